//! What `tests/fuzz` runs: a connection without acceptor, pool and threads; no part of the API.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Weak};
use std::time::Instant;

use super::address::{Address, Peer};
use super::handler::{Call, Conn, End, Handler, Next, Wake, Waker};
use super::stop::{Stop, Stopper};
use super::stream::Stream;

/// A connection whose turns are taken by who holds it, on one end of a socket pair.
#[derive(Debug)]
pub struct Lone<'h, H: Handler> {
    handler: &'h H,
    session: Option<H::Session>,
    stream: Stream,
    stop: Arc<Stop>,
}

/// Nobody to call.
struct Nobody;

impl Call for Nobody {
    fn call(&self, _slot: u32, _tenancy: u32) {}
}

impl<'h, H: Handler> Lone<'h, H> {
    /// Begins a connection.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(handler: &'h H, socket: UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let stop = Arc::new(Stop::new()?);
        let peer = Peer::new(Address::Inet((Ipv4Addr::LOCALHOST, 50_000).into()), None);
        let stream = Stream::unix(socket, peer, Arc::clone(&stop));
        let pool: Weak<Nobody> = Weak::new();
        let waker = Waker { pool, slot: 0, tenancy: 0 };
        let session = Some(handler.setup(&Conn { stream: &stream, waker: &waker }));
        Ok(Self { handler, session, stream, stop })
    }

    /// Takes one turn, as a worker does.
    ///
    /// # Errors
    /// When the handler gives up.
    pub fn turn(&mut self, wake: Wake, ready_since: Option<Instant>) -> io::Result<Next> {
        self.stream.begin_turn(ready_since);
        match &mut self.session {
            Some(session) => self.handler.handle(session, &mut self.stream, wake),
            None => Ok(Next::Close),
        }
    }

    /// What stops the server that it belongs to.
    pub fn stopper(&self) -> Stopper {
        Stopper { stop: Arc::clone(&self.stop) }
    }
}

impl<H: Handler> AsFd for Lone<'_, H> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl<H: Handler> Drop for Lone<'_, H> {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            self.handler.finish(session, End::Closed);
        }
    }
}
