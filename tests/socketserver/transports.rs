//! Every transport runs the same echo test; what else is particular to one; addresses that cannot be listened on.

use std::fs;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use salver::socketserver::{Address, ListenError, ToListeners, UnixName};
use socket2::SockRef;

use crate::*;

fn named(path: &Path) -> UnixName {
    UnixName::Path(path.to_owned())
}

fn unix(path: &Path) -> io::Result<Listener> {
    Listener::unix(&named(path), &SocketOptions::default())
}

/// Runs this server as long as the test talks to it.
fn with_echo(listeners: Vec<Listener>, talk: impl FnOnce()) {
    let server = Server::new(listeners, echo_handler(), Options::default()).unwrap();
    let stopper = server.stopper();
    let thread = thread::spawn(|| server.serve_forever());
    talk();
    stopper.shutdown();
    thread.join().unwrap().unwrap();
}

fn check_echo(mut stream: impl Read + Write, end_sending: impl FnOnce()) {
    stream.write_all(b"hello").unwrap();
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"hello");
    end_sending();
    assert_eq!(stream.read(&mut answer).unwrap(), 0);
}

fn check_unix_echo(stream: &UnixStream) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    check_echo(stream, || stream.shutdown(std::net::Shutdown::Write).unwrap());
}

#[test]
fn tcp_echoes() {
    let listener = Listener::tcp(([127, 0, 0, 1], 0).into(), &SocketOptions::default()).unwrap();
    let address = listener.local_address().unwrap().as_inet().unwrap();
    with_echo(vec![listener], || {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        check_echo(&stream, || stream.shutdown(std::net::Shutdown::Write).unwrap());
    });
}

/// Whether listening or accepted sockets have them first differs by the kind.
#[test]
fn connections_have_the_buffers_that_were_asked_for() {
    let (receive, send) = (50_000, 40_000);
    let mut options = SocketOptions::default();
    (options.receive_buffer_bytes, options.send_buffer_bytes) = (Some(receive), Some(send));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let tcp = Listener::tcp(([127, 0, 0, 1], 0).into(), &options).unwrap();
    let address = tcp.local_address().unwrap().as_inet().unwrap();
    let (said, heard) = channel();
    let handler = blocking(move |stream| {
        let socket = SockRef::from(&*stream);
        said.send((socket.recv_buffer_size()?, socket.send_buffer_size()?)).unwrap();
        Ok(())
    });
    let listeners = vec![tcp, Listener::unix(&named(&path), &options).unwrap()];
    let server = Server::new(listeners, handler, Options::default()).unwrap();
    // The system may give more than it is asked for.
    let example = UnixStream::pair().unwrap().0;
    let example = SockRef::from(&example);
    example.set_recv_buffer_size(receive).unwrap();
    example.set_send_buffer_size(send).unwrap();
    let expected = (example.recv_buffer_size().unwrap(), example.send_buffer_size().unwrap());
    let _client = TcpStream::connect(address).unwrap();
    server.handle_one().unwrap();
    assert_eq!(heard.recv().unwrap(), expected, "TCP");
    let _client = UnixStream::connect(&path).unwrap();
    server.handle_one().unwrap();
    assert_eq!(heard.recv().unwrap(), expected, "UNIX");
}

/// What a handler sees on its connection.
#[cfg(target_os = "linux")]
fn congestion_control(ip: Ipv4Addr, options: &SocketOptions) -> Vec<u8> {
    let listener = Listener::tcp((ip, 0).into(), options).unwrap();
    let port = listener.local_address().unwrap().as_inet().unwrap().port();
    let (sender, receiver) = channel();
    let handler = blocking(move |stream| {
        sender.send(SockRef::from(&*stream).tcp_congestion()?).unwrap();
        Ok(())
    });
    let server = Server::new(vec![listener], handler, Options::default()).unwrap();
    let _client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    server.handle_one().unwrap();
    let mut name = receiver.recv().unwrap();
    name.truncate(name.iter().position(|byte| *byte == 0).unwrap_or(name.len()));
    name
}

/// Where the system's is Reno itself there is no difference to see.
#[cfg(target_os = "linux")]
#[test]
fn who_listens_on_loopback_alone_has_reno() {
    let system = fs::read("/proc/sys/net/ipv4/tcp_congestion_control").unwrap();
    let mut options = SocketOptions::default();
    assert_eq!(congestion_control(Ipv4Addr::LOCALHOST, &options), b"reno");
    assert_eq!(congestion_control(Ipv4Addr::UNSPECIFIED, &options), system.trim_ascii());
    options.reno_on_loopback = false;
    assert_eq!(congestion_control(Ipv4Addr::LOCALHOST, &options), system.trim_ascii());
}

#[test]
fn a_unix_socket_echoes_and_its_file_goes_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("echo.sock");
    let listener = unix(&path).unwrap();
    assert_eq!(listener.local_address().unwrap(), Address::Unix(named(&path)));
    assert!(fs::metadata(&path).unwrap().file_type().is_socket());
    with_echo(vec![listener], || (0..3).for_each(|_| check_unix_echo(&UnixStream::connect(&path).unwrap())));
    assert!(!path.exists());
}

#[cfg(target_os = "linux")]
#[test]
fn an_abstract_name_echoes() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;
    let name = format!("salver-test-{}", std::process::id());
    let listener = Listener::unix(&UnixName::parse(format!("@{name}").as_ref()), &SocketOptions::default()).unwrap();
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    with_echo(vec![listener], || check_unix_echo(&UnixStream::connect_addr(&address).unwrap()));
}

#[test]
fn what_a_dead_server_left_is_replaced_and_a_live_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("echo.sock");
    // A listener of the standard library leaves its file.
    drop(UnixListener::bind(&path).unwrap());
    let listener = unix(&path).unwrap();
    let error = unix(&path).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains("stop it"), "{error}");
    with_echo(vec![listener], || check_unix_echo(&UnixStream::connect(&path).unwrap()));
    fs::write(&path, "no socket").unwrap();
    let error = unix(&path).unwrap_err();
    assert_eq!((error.kind(), &*fs::read_to_string(&path).unwrap()), (io::ErrorKind::AlreadyExists, "no socket"));
}

/// A successor may have taken the name over.
#[test]
fn the_file_of_another_socket_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("echo.sock");
    let listener = unix(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let _successor = UnixListener::bind(&path).unwrap();
    drop(listener);
    assert!(path.exists());
}

/// A read ends at the bytes that a descriptor was sent with, however many there are behind them.
#[test]
fn bytes_behind_a_descriptor_are_not_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let (release, gate) = channel();
    let gate = Mutex::new(gate);
    let (handler, _ends) = Each::new(move |stream, wake, _| {
        if wake == Wake::Stopping {
            return Ok(Next::Close);
        }
        // One read a turn: what came short has nothing behind it, or so it seems.
        let mut bytes = [0; 100];
        match stream.try_read(&mut bytes) {
            Ok(0) => return Ok(Next::Close),
            Ok(_) if bytes[0] == b'w' => gate.lock().unwrap().recv_timeout(PATIENCE).unwrap(),
            Ok(read) => drop(stream.try_write(&bytes[..read])?),
            Err(_) => {}
        }
        Ok(Next::Wait(Interest::Read, far()))
    });
    let mut options = Options::default();
    options.workers = 1;
    let server = Server::new(vec![unix(&path).unwrap()], handler, options).unwrap();
    let stopper = server.stopper();
    let thread = thread::spawn(|| server.serve_forever());
    let connect = || {
        let client = UnixStream::connect(&path).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client
    };
    let (mut client, mut other) = (connect(), connect());
    let (mut first, mut all) = ([0; 1], [0; 2]);
    for stream in [&mut client, &mut other] {
        stream.write_all(b"1").unwrap();
        stream.read_exact(&mut first).unwrap();
    }
    // The only worker is away when both come.
    other.write_all(b"w").unwrap();
    let descriptors = [client.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
    sendmsg(&client, &[IoSlice::new(b"2")], &mut control, SendFlags::empty()).unwrap();
    client.write_all(b"3").unwrap();
    release.send(()).unwrap();
    client.read_exact(&mut all).unwrap();
    assert_eq!(&all, b"23");
    stopper.shutdown();
    thread.join().unwrap().unwrap();
}

#[test]
fn the_mode_of_the_file_is_as_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("echo.sock");
    let mut options = SocketOptions::default();
    options.unix_mode = Some(0o620);
    let _listener = Listener::unix(&named(&path), &options).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o620);
}

#[cfg(target_os = "linux")]
#[test]
fn a_unix_peer_is_known_by_its_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("who.sock");
    let (handler, _ends) = Each::new(|stream, _, _| {
        let credentials = stream.peer().credentials().unwrap();
        stream.try_write(format!("{} {}", credentials.process, stream.peer()).as_bytes())?;
        Ok(Next::Close)
    });
    let server = Server::new(vec![unix(&path).unwrap()], handler, Options::default()).unwrap();
    let stopper = server.stopper();
    let thread = thread::spawn(|| server.serve_forever());
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(io::read_to_string(&mut stream).unwrap(), format!("{} unix:", std::process::id()));
    stopper.shutdown();
    thread.join().unwrap().unwrap();
}

#[test]
fn sockets_that_others_opened_are_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("echo.sock");
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    let original = tcp.try_clone().unwrap();
    let original = socket2::SockRef::from(&original);
    original.set_keepalive(true).unwrap();
    let descriptors = [OwnedFd::from(tcp), UnixListener::bind(&path).unwrap().into()];
    let listeners = descriptors.map(|descriptor| Listener::from_descriptor(descriptor, &Default::default()).unwrap());
    // Connections have what their listener has, and what its owner has chosen stays.
    assert!(original.tcp_nodelay().unwrap() && original.keepalive().unwrap());
    with_echo(listeners.into(), || {
        check_unix_echo(&UnixStream::connect(&path).unwrap());
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        check_echo(&stream, || stream.shutdown(std::net::Shutdown::Write).unwrap());
    });
    assert!(path.exists(), "the file is its owner's");
}

#[test]
fn a_descriptor_that_does_not_listen_is_an_error_that_says_what_it_is() {
    let file: OwnedFd = tempfile::tempfile().unwrap().into();
    let datagrams: OwnedFd = UnixDatagram::unbound().unwrap().into();
    let silent: OwnedFd = UnixStream::pair().unwrap().0.into();
    for (descriptor, what) in [(file, "no socket"), (datagrams, "datagrams"), (silent, "doesn't listen")] {
        let error = Listener::from_descriptor(descriptor, &SocketOptions::default()).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    }
}

/// Of each address that the machine has.
#[test]
fn a_name_has_one_port() {
    let listeners = "localhost:0".to_listeners(&SocketOptions::default()).unwrap();
    let ports: Vec<u16> =
        listeners.iter().map(|listener| listener.local_address().unwrap().as_inet().unwrap().port()).collect();
    assert!(!ports.is_empty() && ports.iter().all(|port| *port == ports[0] && *port > 0), "{ports:?}");
    let unknown = "[::ffff:0:192.0.2.1]:0".to_listeners(&SocketOptions::default()).unwrap_err();
    let unknown = unknown.get_ref().unwrap().downcast_ref::<ListenError>().unwrap();
    assert!(unknown.is_absent(), "{unknown}");
}

/// Neither of two servers takes the file of the other, which doesn't listen yet, for one that was left behind.
#[test]
fn of_two_servers_that_start_at_once_one_has_the_socket() {
    let folder = tempfile::tempdir().unwrap();
    let name = UnixName::Path(folder.path().join("site.sock"));
    let UnixName::Path(path) = &name else { unreachable!() };
    for round in 0..300 {
        drop(UnixListener::bind(path).unwrap());
        let together = Barrier::new(2);
        let start = || {
            together.wait();
            Listener::unix(&name, &SocketOptions::default())
        };
        let [one, other] = thread::scope(|scope| [scope.spawn(start), scope.spawn(start)].map(|it| it.join().unwrap()));
        UnixStream::connect(path).unwrap_or_else(|error| panic!("round {round}: {error}"));
        let refused = one.as_ref().err().xor(other.as_ref().err());
        assert_eq!(refused.map(io::Error::kind), Some(io::ErrorKind::AddrInUse), "round {round}: {one:?} {other:?}");
    }
}

/// Errors of `bind` name the address, and what can be done.
#[test]
fn an_address_that_cannot_be_listened_on_is_named_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| format!("unix:{}", folder.path().join(name).display());
    let there = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = there.local_addr().unwrap();
    let _live = path("live").to_listeners(&SocketOptions::default()).unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let too_long = path(&"x".repeat(200));
    for (address, kind, remedy) in [
        (&*taken.to_string(), io::ErrorKind::AddrInUse, "choose another address"),
        ("192.0.2.1:0", io::ErrorKind::AddrNotAvailable, "choose an address of this machine"),
        (&path("live"), io::ErrorKind::AddrInUse, "stop it, or choose another path"),
        (&path("file"), io::ErrorKind::AlreadyExists, "remove it, or choose another path"),
        (&path("no/folder"), io::ErrorKind::NotFound, "make the folder first"),
        (&too_long, io::ErrorKind::InvalidInput, "at most"),
        ("unix:", io::ErrorKind::InvalidInput, "needs a name"),
        ("fd:three", io::ErrorKind::InvalidInput, "a number"),
        ("127.0.0.1", io::ErrorKind::InvalidInput, "HOST:PORT"),
        ("127.0.0.1:99999", io::ErrorKind::InvalidInput, "HOST:PORT"),
    ] {
        let error = Server::bind(address, echo_handler()).err().unwrap();
        let text = error.to_string();
        assert!(text.starts_with(&format!("{address}: ")) && text.contains(remedy), "{text}");
        assert_eq!(error.kind(), kind, "{text}");
        let error: ListenError = error.downcast().unwrap();
        assert_eq!((error.address(), error.cause().kind()), (address, kind));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_number_that_is_no_listening_socket_is_named_with_a_remedy() {
    let file = tempfile::tempfile().unwrap();
    let number = std::os::fd::AsRawFd::as_raw_fd(&file);
    for (address, remedy) in
        [(format!("fd:{number}"), "pass on a stream socket"), ("fd:999999".to_owned(), "have it passed on")]
    {
        let error = Server::bind(&*address, echo_handler()).err().unwrap();
        assert!(
            error.to_string().starts_with(&format!("{address}: ")) && error.to_string().contains(remedy),
            "{error}"
        );
    }
}
