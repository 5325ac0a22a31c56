//! Listening sockets.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};

use super::handler::{Address, Peer};
use super::options::SocketOptions;
use super::stop::Stop;
use super::stream::Stream;

/// A socket that listens, ready to be served. UNIX sockets will be the second kind.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
}

impl Listener {
    /// Listens on a TCP address; port 0 takes any free one. `[::]` takes IPv4 connections too, where the system can and
    /// `options.v6_only` doesn't forbid it.
    ///
    /// # Errors
    /// What the system says: the address is in use, is not this machine's, may not be taken, or its family is unknown.
    pub fn tcp(address: SocketAddr, options: &SocketOptions) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(options.v6_only)?;
        }
        socket.set_reuse_address(options.reuse_address)?;
        if options.reuse_port {
            socket.set_reuse_port(true)?;
        }
        // Accepted sockets inherit it on Linux; elsewhere it is set once more for each.
        socket.set_tcp_nodelay(options.nodelay)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(options.backlog)?;
        if options.defer_accept {
            defer_accept(&socket);
        }
        Ok(Self { socket: socket.into() })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What the system says of a socket that is no longer there.
    pub fn local_address(&self) -> io::Result<Address> {
        self.socket.local_addr().map(Address::Inet)
    }

    /// Ignores who begins to connect from now on, and still takes who has begun: nobody ends in the backlog that is
    /// thrown away with the socket. False where the system can't.
    pub(super) fn ignore_newcomers(&self) -> bool {
        ignore_newcomers(&self.socket)
    }

    /// Takes the next connection, if one is ready.
    pub(super) fn accept(&self, stop: &Arc<Stop>) -> io::Result<Stream> {
        let (socket, address) = accept(&self.socket)?;
        Ok(Stream::tcp(socket, Peer { address: Address::Inet(address) }, Arc::clone(stop)))
    }
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

/// One system call: the new socket doesn't block and isn't inherited by other programs.
#[cfg(target_os = "linux")]
fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    use rustix::net::{SocketFlags, acceptfrom_with};
    let (socket, address) = acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
    let address = address.and_then(|address| SocketAddr::try_from(address).ok());
    let unknown = || io::Error::new(io::ErrorKind::ConnectionAborted, "the peer has no address");
    Ok((socket.into(), address.ok_or_else(unknown)?))
}

#[cfg(not(target_os = "linux"))]
fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (socket, address) = listener.accept()?;
    socket.set_nonblocking(true)?;
    socket.set_nodelay(listener_nodelay(listener)?)?;
    Ok((socket, address))
}

#[cfg(not(target_os = "linux"))]
fn listener_nodelay(listener: &TcpListener) -> io::Result<bool> {
    socket2::SockRef::from(listener).tcp_nodelay()
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
