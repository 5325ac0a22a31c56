//! Servers of datagrams, over UDP and UNIX sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what it expects by panicking")]

mod support;

use std::io;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender as Channel, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use salver::socketserver::{
    Address, DatagramHandler, DatagramServer, Options, Sender, SocketOptions, UdpServer, UnixDatagramServer, UnixName,
    slow,
};
use support::PATIENCE;

/// A name that no other run of the tests has.
fn named(role: &str) -> String {
    format!("salver-test-{role}-{}", std::process::id())
}

/// Sends back what it gets; what was too long it tells the length of, and `panic` makes it panic.
#[derive(Debug)]
struct Echo;

impl DatagramHandler for Echo {
    fn verify(&self, peer: &Address) -> bool {
        *peer != Address::Unix(UnixName::Abstract(named("unwanted").into()))
    }

    fn handle(&self, datagram: &[u8], sender: &Sender<'_>) -> io::Result<()> {
        assert!(datagram != b"panic", "as it was asked to");
        sender.reply(datagram)
    }

    fn oversized(&self, start: &[u8], bytes: usize, sender: &Sender<'_>) -> io::Result<()> {
        sender.reply(format!("{} of {bytes}", start.len()).as_bytes())
    }
}

/// Runs a server as long as the test talks to it.
fn with<H: DatagramHandler, K: Send + 'static>(server: DatagramServer<H, K>, talk: impl FnOnce()) {
    let stopper = server.stopper();
    let thread = thread::spawn(|| server.serve_forever());
    talk();
    stopper.shutdown();
    thread.join().unwrap().unwrap();
}

fn client(server: &UdpServer<impl DatagramHandler>) -> UdpSocket {
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.connect(server.local_addr().unwrap().as_inet().unwrap()).unwrap();
    client
}

#[track_caller]
fn ask(client: &UdpSocket, datagram: &[u8]) -> Vec<u8> {
    client.send(datagram).unwrap();
    let mut answer = vec![0; 70_000];
    let length = client.recv(&mut answer).unwrap();
    answer.truncate(length);
    answer
}

#[test]
fn udp_echoes_datagrams_of_every_length() {
    let server = UdpServer::bind("127.0.0.1:0", Echo).unwrap();
    let client = client(&server);
    with(server, || {
        for length in [0, 1, 1_400, 9_000, 65_507] {
            let datagram = vec![b'x'; length];
            assert_eq!(ask(&client, &datagram), datagram, "{length}");
        }
    });
}

#[test]
fn many_clients_are_answered_each_with_its_own() {
    let server = UdpServer::bind("localhost:0", Echo).unwrap();
    let address = server.local_addr().unwrap().as_inet().unwrap();
    with(server, || {
        thread::scope(|scope| {
            for number in 0..8 {
                scope.spawn(move || {
                    let client = UdpSocket::bind((address.ip(), 0)).unwrap();
                    client.set_read_timeout(Some(PATIENCE)).unwrap();
                    client.connect(address).unwrap();
                    for round in 0..200 {
                        let datagram = format!("{number} {round}");
                        assert_eq!(ask(&client, datagram.as_bytes()), datagram.as_bytes());
                    }
                });
            }
        });
    });
}

#[test]
fn a_datagram_that_is_too_long_is_told_and_not_cut_in_silence() {
    let server = UdpServer::bind("127.0.0.1:0", Echo).unwrap().datagram_bytes_max(10);
    let client = client(&server);
    with(server, || {
        assert_eq!(ask(&client, b"0123456789"), b"0123456789");
        assert_eq!(ask(&client, b"0123456789!"), b"10 of 11");
    });
}

#[test]
fn a_panic_costs_one_answer() {
    let mut options = Options::default();
    options.workers = 1;
    let server = UdpServer::with(([127, 0, 0, 1], 0).into(), &SocketOptions::default(), Echo, options).unwrap();
    let client = client(&server);
    with(server, || {
        client.send(b"panic").unwrap();
        assert_eq!(ask(&client, b"still here"), b"still here");
    });
}

/// Says when it begins, and waits until the other one has begun too.
struct Slow(Channel<()>, Mutex<usize>);

impl DatagramHandler for Slow {
    fn handle(&self, _datagram: &[u8], sender: &Sender<'_>) -> io::Result<()> {
        *self.1.lock().unwrap() += 1;
        self.0.send(()).unwrap();
        let deadline = Instant::now() + PATIENCE;
        slow(|| {
            while *self.1.lock().unwrap() < 2 && Instant::now() < deadline {
                thread::yield_now();
            }
        });
        sender.reply(b"done")
    }
}

#[test]
fn while_one_waits_a_spare_worker_goes_on() {
    let (begun, begins) = channel();
    let mut options = Options::default();
    options.workers = 1;
    let handler = Slow(begun, Mutex::new(0));
    let server = UdpServer::with(([127, 0, 0, 1], 0).into(), &SocketOptions::default(), handler, options).unwrap();
    let (first, second) = (client(&server), client(&server));
    with(server, || {
        first.send(b"1").unwrap();
        begins.recv_timeout(PATIENCE).unwrap();
        assert_eq!(ask(&second, b"2"), b"done");
        let mut answer = [0; 4];
        assert_eq!((first.recv(&mut answer).unwrap(), &answer), (4, b"done"));
    });
}

#[test]
fn one_datagram_can_be_handled_by_itself() {
    let server = UdpServer::bind("127.0.0.1:0", Echo).unwrap();
    let client = client(&server);
    client.send(b"one").unwrap();
    client.send(b"two").unwrap();
    assert!(server.handle_one().unwrap());
    let mut answer = [0; 10];
    assert_eq!(client.recv(&mut answer).unwrap(), 3);
    assert_eq!(&answer[..3], b"one");
    server.stopper().shutdown();
    assert!(!server.handle_one().unwrap(), "it was told to stop");
}

/// What came before the stop is still answered.
#[test]
fn a_stop_handles_what_has_come() {
    let server = UdpServer::bind("127.0.0.1:0", Echo).unwrap();
    let client = client(&server);
    (0..20).for_each(|_| assert_eq!(client.send(b"early").unwrap(), 5));
    server.stopper().shutdown();
    server.serve_forever().unwrap();
    let mut answer = [0; 5];
    (0..20).for_each(|_| assert_eq!(client.recv(&mut answer).unwrap(), 5));
}

/// Takes its time over each, and counts them.
struct Unhurried(Arc<AtomicUsize>);

impl DatagramHandler for Unhurried {
    fn handle(&self, _datagram: &[u8], _sender: &Sender<'_>) -> io::Result<()> {
        thread::sleep(Duration::from_millis(1));
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// Otherwise whoever goes on sending would keep it from stopping.
#[cfg(target_os = "linux")]
#[test]
fn what_comes_after_a_stop_is_not_waited_for() {
    let handled = Arc::new(AtomicUsize::new(0));
    let mut sockets = SocketOptions::default();
    sockets.receive_buffer_bytes = Some(16 << 10);
    let handler = Unhurried(Arc::clone(&handled));
    // An address of its own: no other test may be given the port once it is free.
    let server = UdpServer::with(([127, 0, 0, 2], 0).into(), &sockets, handler, Options::default()).unwrap();
    let (client, address) = (client(&server), server.local_addr().unwrap().as_inet().unwrap());
    let (stopper, serving) = (server.stopper(), thread::spawn(|| server.serve_forever()));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                // It is refused once nobody is there any more.
                let _ = client.send(b"more");
            }
        });
        let deadline = Instant::now() + PATIENCE;
        while handled.load(Ordering::SeqCst) < 100 && Instant::now() < deadline {
            thread::yield_now();
        }
        stopper.shutdown();
        let before = handled.load(Ordering::SeqCst);
        serving.join().unwrap().unwrap();
        is_over.store(true, Ordering::SeqCst);
        let after = handled.load(Ordering::SeqCst) - before;
        assert!(before >= 100 && after < 1_000, "{before} {after}");
    });
    UdpSocket::bind(address).unwrap();
}

/// Whoever waited for its end may take its address, and what its handler held, at once.
#[test]
fn nothing_is_left_of_a_server_that_has_stopped() {
    let held = Arc::new(AtomicUsize::new(0));
    let mut options = Options::default();
    options.workers = 8;
    for round in 0..100 {
        let handler = Unhurried(Arc::clone(&held));
        let address = ([127, 0, 0, 1], 0).into();
        let server = UdpServer::with(address, &SocketOptions::default(), handler, options.clone()).unwrap();
        let client = client(&server);
        with(server, || assert_eq!(client.send(b"one").unwrap(), 3));
        assert_eq!(Arc::strong_count(&held), 1, "round {round}");
    }
}

/// Says what became of a reply, and how long it has kept a processor busy.
struct Replying(Mutex<Channel<(bool, Duration)>>);

impl DatagramHandler for Replying {
    fn handle(&self, datagram: &[u8], sender: &Sender<'_>) -> io::Result<()> {
        let busy = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap();
        let before = busy();
        let is_sent = sender.reply(datagram).is_ok();
        self.0.lock().unwrap().send((is_sent, busy() - before)).unwrap();
        Ok(())
    }
}

#[test]
fn a_peer_at_a_unix_socket_that_has_no_room_is_waited_for_asleep() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.sock");
    let (said, replies) = channel();
    let server = UnixDatagramServer::bind(&UnixName::Path(path.clone()), Replying(Mutex::new(said))).unwrap();
    with(server, || {
        let client = UnixDatagram::bind(folder.path().join("client.sock")).unwrap();
        // Of one that is connected the server's own buffer would be full first.
        let busy = loop {
            client.send_to(b"hello", &path).unwrap();
            let (is_sent, busy) = replies.recv_timeout(PATIENCE).unwrap();
            if !is_sent {
                break busy;
            }
        };
        assert!(busy < Duration::from_millis(300), "{busy:?} of the second that it was tried for");
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_burst_waits_for_its_turn() {
    // Each takes some 768 bytes of what the system allows, which counts twice.
    const TRUE_BYTES: usize = 1_024;
    let Ok(allowed) = std::fs::read_to_string("/proc/sys/net/core/rmem_max") else {
        return eprintln!("skipped: this system doesn't say what it allows");
    };
    let burst = 2 * allowed.trim().parse::<usize>().unwrap().min(4 << 20) / TRUE_BYTES;
    let handled = Arc::new(Mutex::new(0));
    let server = UdpServer::bind("127.0.0.1:0", Counting(Arc::clone(&handled))).unwrap();
    let client = client(&server);
    (0..burst).for_each(|_| assert_eq!(client.send(b"at once").unwrap(), 7));
    assert_eq!(server.lost(), 0, "of {burst}");
    server.stopper().shutdown();
    server.serve_forever().unwrap();
    assert_eq!(*handled.lock().unwrap(), burst as u64);
}

#[cfg(target_os = "linux")]
#[test]
fn losses_are_counted() {
    const SENT: u64 = 5_000;
    let mut sockets = SocketOptions::default();
    sockets.receive_buffer_bytes = Some(4_096);
    let server = UdpServer::with(([127, 0, 0, 1], 0).into(), &sockets, Echo, Options::default()).unwrap();
    let client = client(&server);
    assert_eq!(server.lost(), 0);
    // Nobody takes them yet.
    (0..SENT).for_each(|_| assert_eq!(client.send(&[0; 100]).unwrap(), 100));
    let lost = server.lost();
    assert!((1..SENT).contains(&lost), "{lost}");
    let mut handled = 0;
    client.set_nonblocking(true).unwrap();
    server.stopper().shutdown();
    server.serve_forever().unwrap();
    while client.recv(&mut [0; 100]).is_ok() {
        handled += 1;
    }
    assert_eq!(lost + handled, SENT);
}

/// Counts, as soon as it may.
#[cfg(target_os = "linux")]
struct Counting(Arc<Mutex<u64>>);

#[cfg(target_os = "linux")]
impl DatagramHandler for Counting {
    fn handle(&self, _datagram: &[u8], _sender: &Sender<'_>) -> io::Result<()> {
        *self.0.lock().unwrap() += 1;
        Ok(())
    }
}

#[cfg(target_os = "linux")]
#[test]
fn losses_are_told_while_it_serves_and_after() {
    const SENT: u64 = 5_000;
    let mut sockets = SocketOptions::default();
    sockets.receive_buffer_bytes = Some(4_096);
    let handled = Arc::new(Mutex::new(0));
    let handler = Counting(Arc::clone(&handled));
    let server = UdpServer::with(([127, 0, 0, 1], 0).into(), &sockets, handler, Options::default()).unwrap();
    let (client, losses) = (client(&server), server.losses());
    let holds_it_up = handled.lock().unwrap();
    with(server, || {
        (0..SENT).for_each(|_| assert_eq!(client.send(&[0; 100]).unwrap(), 100));
        let lost = losses.count();
        assert!((1..SENT).contains(&lost), "{lost}");
        drop(holds_it_up);
    });
    assert_eq!(*handled.lock().unwrap() + losses.count(), SENT);
}

/// What comes to a server that stops was never to be handled.
#[cfg(target_os = "linux")]
#[test]
fn what_comes_after_a_stop_is_not_lost() {
    let probe = socket2::Socket::from(UdpSocket::bind("127.0.0.1:0").unwrap());
    if probe.attach_filter(&[socket2::SockFilter::new(6, 0, 0, u32::MAX)]).is_err() {
        return eprintln!("skipped: this system doesn't let sockets be filtered");
    }
    let mut sockets = SocketOptions::default();
    sockets.receive_buffer_bytes = Some(4_096);
    let handled = Arc::new(Mutex::new(0));
    let handler = Counting(Arc::clone(&handled));
    let server = UdpServer::with(([127, 0, 0, 1], 0).into(), &sockets, handler, Options::default()).unwrap();
    let (client, losses, stopper) = (client(&server), server.losses(), server.stopper());
    let holds_it_up = handled.lock().unwrap();
    with(server, || {
        let send = || {
            (0..100).for_each(|_| assert_eq!(client.send(&[0; 100]).unwrap(), 100));
            losses.count()
        };
        let full = Instant::now() + PATIENCE;
        while send() == 0 {
            assert!(Instant::now() < full, "there is always room");
        }
        stopper.shutdown();
        let (stopped, mut before) = (Instant::now() + PATIENCE, losses.count());
        loop {
            let lost = send();
            if lost == before {
                break;
            }
            before = lost;
            assert!(Instant::now() < stopped, "{lost} are lost, and still more");
        }
        drop(holds_it_up);
    });
}

#[test]
fn a_unix_socket_echoes_and_its_file_goes_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("echo.sock");
    let name = UnixName::Path(path.clone());
    // A socket of the standard library leaves its file.
    drop(UnixDatagram::bind(&path).unwrap());
    let server = UnixDatagramServer::bind(&name, Echo).unwrap();
    assert_eq!(UnixDatagramServer::bind(&name, Echo).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    with(server, || {
        let client = UnixDatagram::bind(folder.path().join("client.sock")).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.connect(&path).unwrap();
        client.send(b"hello").unwrap();
        let mut answer = [0; 10];
        assert_eq!(client.recv(&mut answer).unwrap(), 5);
        // One without a name can't be answered, and does no harm.
        UnixDatagram::unbound().unwrap().send_to(b"hello", &path).unwrap();
        client.send(b"again").unwrap();
        assert_eq!(client.recv(&mut answer).unwrap(), 5);
    });
    assert!(!path.exists());
}

#[cfg(target_os = "linux")]
#[test]
fn an_unwanted_peer_is_not_heard() {
    use std::os::linux::net::SocketAddrExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("echo.sock");
    let server = UnixDatagramServer::bind(&UnixName::Path(path.clone()), Echo).unwrap();
    let bound = |name: &str| {
        let address = std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap();
        let client = UnixDatagram::bind_addr(&address).unwrap();
        client.connect(&path).unwrap();
        client
    };
    let (unwanted, wanted) = (bound(&named("unwanted")), bound(&named("wanted")));
    with(server, || {
        unwanted.send(b"hello").unwrap();
        wanted.set_read_timeout(Some(PATIENCE)).unwrap();
        wanted.send(b"hello").unwrap();
        assert_eq!(wanted.recv(&mut [0; 10]).unwrap(), 5);
    });
    unwanted.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    assert!(unwanted.recv(&mut [0; 10]).is_err());
}

#[test]
fn an_address_that_cannot_be_taken_is_named_with_a_remedy() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = UdpServer::bind(address, Echo).err().unwrap().to_string();
    assert!(error.starts_with(&format!("{address}: ")) && error.contains("choose another address"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    for (name, remedy) in [("no/folder", "make the folder first"), (&*"x".repeat(200), "at most")] {
        let path = folder.path().join(name);
        let error = UnixDatagramServer::bind(&UnixName::Path(path.clone()), Echo).err().unwrap().to_string();
        assert!(error.starts_with(&format!("unix:{}: ", path.display())) && error.contains(remedy), "{error}");
    }
}
