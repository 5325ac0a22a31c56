//! Listening sockets: TCP, UNIX, and those that another process opened.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;

use rustix::net::{AddressFamily, SocketAddrAny, SocketType, getsockname, sockopt};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::address::{Address, Credentials, Peer, UnixName};
use super::bind::ListenError;
use super::options::SocketOptions;
use super::socket_file::{SocketFile, lock_folder, remove_stale};
use super::stop::Stop;
use super::stream::Stream;

/// A socket that listens, ready to be served.
#[derive(Debug)]
pub struct Listener {
    socket: Accepting,
    /// What to remove when it closes.
    file: Option<SocketFile>,
    /// Others hold the socket too.
    is_shared: bool,
    /// Of its connections.
    options: SocketOptions,
}

/// The transports.
#[derive(Debug)]
enum Accepting {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Listens on a TCP address; port 0 takes any free one. `[::]` takes IPv4 connections too, where the system can and
    /// `options.v6_only` doesn't forbid it.
    ///
    /// # Errors
    /// A [`ListenError`]: the address is in use, is not this machine's, may not be taken, or its family is unknown.
    pub fn tcp(address: SocketAddr, options: &SocketOptions) -> io::Result<Self> {
        Self::on_tcp(address, options).map_err(ListenError::at(&address))
    }

    fn on_tcp(address: SocketAddr, options: &SocketOptions) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(options.v6_only)?;
        }
        socket.set_reuse_address(options.reuse_address)?;
        if options.reuse_port {
            socket.set_reuse_port(true)?;
        }
        // Accepted sockets inherit these on Linux; elsewhere nodelay is set once more for each.
        socket.set_tcp_nodelay(options.nodelay)?;
        socket.set_keepalive(options.keepalive)?;
        set_buffers(&socket, options)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(options.backlog)?;
        if options.defer_accept {
            defer_accept(&socket);
        }
        if options.reno_on_loopback && address.ip().to_canonical().is_loopback() {
            take_reno(&socket);
        }
        Ok(Self::new(Accepting::Tcp(socket.into()), None, options))
    }

    /// Listens on a UNIX socket. A socket file that a server left behind is replaced; that of a server that still listens is
    /// not. The file goes when the listener does.
    ///
    /// # Errors
    /// A [`ListenError`]: `AddrInUse` when a server listens there already, `AlreadyExists` when the file is something else,
    /// `InvalidInput` when the name can't be one; and what the system says of the folder.
    pub fn unix(name: &UnixName, options: &SocketOptions) -> io::Result<Self> {
        Self::on_unix(name, options).map_err(ListenError::at(&Address::Unix(name.clone())))
    }

    fn on_unix(name: &UnixName, options: &SocketOptions) -> io::Result<Self> {
        let address = name.to_system()?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        set_buffers(&socket, options)?;
        socket.set_nonblocking(true)?;
        let path = if let UnixName::Path(path) = name { Some(path) } else { None };
        let _lock = path.and_then(|path| lock_folder(path));
        path.map_or(Ok(()), |path| remove_stale(path, Type::STREAM))?;
        socket.bind(&address)?;
        let file = path.map(|path| SocketFile::new(path, options.unix_mode)).transpose()?;
        // Only now, when its mode is right, anybody gets in.
        socket.listen(options.backlog)?;
        Ok(Self::new(Accepting::Unix(socket.into()), file, options))
    }

    fn new(socket: Accepting, file: Option<SocketFile>, options: &SocketOptions) -> Self {
        Self { socket, file, is_shared: false, options: options.clone() }
    }

    /// Takes over a listening socket that another process opened: a service manager, or one that hands over to its
    /// successor. Its file, if it has one, stays when the listener goes. Of `options` those count that its connections
    /// have: `nodelay`, `keepalive`, `receive_timeout`, `reno_on_loopback` and the sizes of buffers. What is off there stays as
    /// it is.
    ///
    /// # Errors
    /// `InvalidInput` when the descriptor isn't a stream socket that listens. The error names no address: that is the
    /// caller's.
    pub fn from_descriptor(descriptor: OwnedFd, options: &SocketOptions) -> io::Result<Self> {
        let wrong = |what: &str| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("the descriptor is {what}; pass on a stream socket that listens"),
            )
        };
        let kind = sockopt::socket_type(&descriptor).map_err(|_| wrong("no socket"))?;
        if kind != SocketType::STREAM {
            return Err(wrong("a socket for datagrams"));
        }
        if !sockopt::socket_acceptconn(&descriptor)? {
            return Err(wrong("a socket that doesn't listen"));
        }
        rustix::io::ioctl_fionbio(&descriptor, true)?;
        let address: SocketAddrAny = getsockname(&descriptor)?;
        let socket = match address.address_family() {
            AddressFamily::INET | AddressFamily::INET6 => {
                let socket = SockRef::from(&descriptor);
                if options.nodelay {
                    socket.set_tcp_nodelay(true)?;
                }
                if options.keepalive {
                    socket.set_keepalive(true)?;
                }
                if options.reno_on_loopback && Address::of(Some(address)).is_loopback() {
                    take_reno(&socket);
                }
                Accepting::Tcp(descriptor.into())
            }
            AddressFamily::UNIX => Accepting::Unix(descriptor.into()),
            _ => return Err(wrong("a socket of an unknown family")),
        };
        let listener = Self { is_shared: true, ..Self::new(socket, None, options) };
        set_buffers(&SockRef::from(&listener), options)?;
        Ok(listener)
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What the system says of a socket that is no longer there.
    pub fn local_address(&self) -> io::Result<Address> {
        Ok(Address::of(Some(getsockname(self)?)))
    }

    /// Whether somebody may have begun to connect whom it doesn't see yet: an open handshake, first bytes that are awaited,
    /// a full backlog.
    pub(super) fn is_approached(&self) -> bool {
        !self.is_shared && (matches!(self.socket, Accepting::Tcp(_)) || self.file.is_some())
    }

    /// Ignores who begins to connect from now on, and still takes who has begun: nobody ends in the backlog that is
    /// thrown away with the socket. False where the system can't.
    pub(super) fn ignore_newcomers(&mut self) -> bool {
        match &self.socket {
            // They may be another's.
            _ if self.is_shared => false,
            Accepting::Tcp(socket) => ignore_newcomers(socket),
            // A socket whose file is gone can't be found.
            Accepting::Unix(_) => self.file.take().is_some(),
        }
    }

    /// Takes the next connection, if one is ready.
    pub(super) fn accept(&self, stop: &Arc<Stop>) -> io::Result<Stream> {
        let stop = Arc::clone(stop);
        let stream = match &self.socket {
            Accepting::Tcp(socket) => {
                let (socket, address) = accept_tcp(socket)?;
                Stream::tcp(socket, Peer::new(Address::Inet(address), None), stop)
            }
            Accepting::Unix(socket) => {
                let (socket, address) = accept_unix(socket)?;
                // They inherit nothing. Without it the connection is only slower.
                let _ = set_buffers(&SockRef::from(&socket), &self.options);
                let credentials = credentials(&socket);
                Stream::unix(socket, Peer::new(address, credentials), stop)
            }
        };
        Ok(stream.with_receive_timeout(self.options.receive_timeout))
    }
}

pub(super) fn set_buffers(socket: &Socket, options: &SocketOptions) -> io::Result<()> {
    options.receive_buffer_bytes.map_or(Ok(()), |bytes| socket.set_recv_buffer_size(bytes))?;
    options.send_buffer_bytes.map_or(Ok(()), |bytes| socket.set_send_buffer_size(bytes))
}

/// A second: the least there is. Where the system doesn't know it, things only take a little longer.
#[cfg(target_os = "linux")]
fn defer_accept(socket: &Socket) {
    use nix::{libc, setsockopt_impl, sockopt_impl};
    sockopt_impl!(
        /// Bytes first, then accept(2).
        DeferAccept,
        SetOnly,
        libc::IPPROTO_TCP,
        libc::TCP_DEFER_ACCEPT,
        u32
    );
    if let Err(error) = nix::sys::socket::setsockopt(socket, DeferAccept, &1) {
        log::debug!("TCP_DEFER_ACCEPT: {error}");
    }
}

#[cfg(not(target_os = "linux"))]
fn defer_accept(_socket: &Socket) {}

/// Every Linux has it. Where it isn't allowed, the system's choice stands.
#[cfg(target_os = "linux")]
fn take_reno(socket: &Socket) {
    if let Err(error) = socket.set_tcp_congestion(b"reno") {
        log::debug!("TCP_CONGESTION: {error}");
    }
}

#[cfg(not(target_os = "linux"))]
fn take_reno(_socket: &Socket) {}

/// A filter on the segments that the listening socket gets: not those with SYN. Who has sent one tries again, and is
/// refused when the socket is gone.
#[cfg(target_os = "linux")]
fn ignore_newcomers(listener: &TcpListener) -> bool {
    use nix::libc::{BPF_ABS, BPF_B, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET};
    use socket2::SockFilter;
    const FLAGS_OFFSET: u32 = 13;
    const SYN: u32 = 0x02;
    let code = |parts: &[u32]| parts.iter().fold(0, |code, part| code | *part as u16);
    let program = [
        SockFilter::new(code(&[BPF_LD, BPF_B, BPF_ABS]), 0, 0, FLAGS_OFFSET),
        SockFilter::new(code(&[BPF_JMP, BPF_JSET, BPF_K]), 0, 1, SYN),
        SockFilter::new(code(&[BPF_RET, BPF_K]), 0, 0, 0),
        SockFilter::new(code(&[BPF_RET, BPF_K]), 0, 0, u32::MAX),
    ];
    let attached = socket2::SockRef::from(listener).attach_filter(&program);
    attached.inspect_err(|error| log::debug!("SO_ATTACH_FILTER: {error}")).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn ignore_newcomers(_listener: &TcpListener) -> bool {
    false
}

/// Has the system drop what comes to this socket from now on; false where it can't, and that goes on being received.
#[cfg(target_os = "linux")]
pub(super) fn ignore_all(socket: &Socket) -> bool {
    use nix::libc::{BPF_K, BPF_RET};
    use socket2::SockFilter;
    let program = [SockFilter::new((BPF_RET | BPF_K) as u16, 0, 0, 0)];
    socket.attach_filter(&program).inspect_err(|error| log::debug!("SO_ATTACH_FILTER: {error}")).is_ok()
}

#[cfg(not(target_os = "linux"))]
pub(super) fn ignore_all(_socket: &Socket) -> bool {
    false
}

/// One system call: the new socket doesn't block and isn't inherited by other programs.
#[cfg(target_os = "linux")]
fn accept(listener: impl AsFd) -> io::Result<(OwnedFd, Option<SocketAddrAny>)> {
    use rustix::net::{SocketFlags, acceptfrom_with};
    Ok(acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?)
}

#[cfg(not(target_os = "linux"))]
fn accept(listener: impl AsFd) -> io::Result<(OwnedFd, Option<SocketAddrAny>)> {
    let (socket, address) = rustix::net::acceptfrom(listener)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    Ok((socket, address))
}

fn accept_tcp(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (socket, address) = accept(listener)?;
    let socket = TcpStream::from(socket);
    let is_gone = |why: &str| io::Error::new(io::ErrorKind::ConnectionAborted, format!("the peer is gone: {why}"));
    if cfg!(not(target_os = "linux")) {
        // Linux passes it on itself. Others refuse it for a connection that is broken already.
        let nodelay = SockRef::from(listener).tcp_nodelay()?;
        socket.set_nodelay(nodelay).map_err(|error| is_gone(&error.to_string()))?;
    }
    let address = address.and_then(|address| SocketAddr::try_from(address).ok());
    Ok((socket, address.ok_or_else(|| is_gone("it has no address"))?))
}

fn accept_unix(listener: &UnixListener) -> io::Result<(UnixStream, Address)> {
    let (socket, address) = accept(listener)?;
    Ok((socket.into(), Address::of(address)))
}

#[cfg(target_os = "linux")]
fn credentials(socket: &UnixStream) -> Option<Credentials> {
    // rustix has no number for a process that can't be seen from here.
    let told = nix::sys::socket::getsockopt(socket, nix::sys::socket::sockopt::PeerCredentials).ok()?;
    Some(Credentials { process: told.pid(), user: told.uid(), group: told.gid() })
}

#[cfg(not(target_os = "linux"))]
fn credentials(_socket: &UnixStream) -> Option<Credentials> {
    None
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Accepting::Tcp(socket) => socket.as_fd(),
            Accepting::Unix(socket) => socket.as_fd(),
        }
    }
}
