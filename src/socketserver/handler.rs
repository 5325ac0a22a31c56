//! What a protocol has to say to be served: the [`Handler`] trait and the words of its conversation with the pool.

use std::fmt;
use std::io;
use std::sync::Weak;
use std::time::Instant;

use super::address::{Address, Peer};
use super::stream::Stream;

/// A protocol: what to do with a connection each time something happened to it.
///
/// One handler serves all connections, from several threads at once; what it shares lives in `&self`, what one
/// connection remembers in its `Session`. No lock of the pool is held during any of these calls, and a panic in one of
/// them ends that connection alone.
///
/// `handle` must not wait for its peer: it reads and writes with the `try_` calls of [`Stream`] until one says
/// [`io::ErrorKind::WouldBlock`], and then returns [`Next::Wait`]. For code that does wait there is
/// [`blocking`](super::blocking), and [`slow`](super::slow) for work that takes long.
pub trait Handler: Send + Sync + 'static {
    /// What one connection remembers between two calls of `handle`.
    type Session: Send + 'static;

    /// Says whether this peer is served at all; `false` closes the connection before it has a session.
    fn verify(&self, peer: &Peer) -> bool {
        let _ = peer;
        true
    }

    /// Tells a peer that it has more connections than [`connections_per_client_max`] allows, in words of the protocol, and
    /// without waiting: then this one is closed. It has no session.
    ///
    /// [`connections_per_client_max`]: super::Options::connections_per_client_max
    fn refuse(&self, stream: &mut Stream) {
        let _ = stream;
    }

    /// Makes the session of a new connection.
    fn setup(&self, connection: &Conn<'_>) -> Self::Session;

    /// Goes on with a connection, and says what it waits for next. An error ends the connection.
    fn handle(&self, session: &mut Self::Session, stream: &mut Stream, wake: Wake) -> io::Result<Next>;

    /// Sees a session off, whatever ended it; but for one whose `handle` is still running when the time to stop is over. The
    /// connection is closed afterwards.
    fn finish(&self, session: Self::Session, end: End) {
        let _ = (session, end);
    }

    /// Runs about once a second on a worker, for housekeeping; it should be quick.
    fn service_actions(&self) {}
}

/// Why `handle` is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// The connection is new.
    Opened,
    /// It can be read or written, as it waited for, or its peer hung up; or its turn came again.
    Ready,
    /// Its deadline has passed; or it was [idle](Next::Idle), and its place is needed.
    Overdue,
    /// A [`Waker`] called.
    Called,
    /// The server is stopping: finish what is under way, say goodbye, or close. Said once.
    Stopping,
}

/// What a connection does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Wait until it can do this, or until the (absolute) instant, which is then noticed within about a second.
    Wait(Interest, Instant),
    /// Nothing is under way: wait for bytes to read, until the (absolute) instant. Where all places are taken and somebody
    /// new wants one, those who have been idle for longest are [`Wake::Overdue`] before it.
    Idle(Instant),
    /// Let the others have their turn, then go on.
    Again,
    /// Close it.
    Close,
}

/// What a parked connection waits for, besides its deadline, a waker and a hang-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Bytes to read, or the end of them.
    Read,
    /// Room to write.
    Write,
    /// Nothing: the next [`Wake::Ready`] is a hang-up, which is told once; on Linux also the end of what the peer sends, by which
    /// alone TCP tells that it has gone.
    Neither,
}

/// How a connection ended; shown, it is a reason for a line in a log.
#[derive(Debug)]
#[non_exhaustive]
pub enum End {
    /// `handle` said [`Next::Close`].
    Closed,
    /// The same, after a read had found the end of the stream: the peer has no more to say.
    EndOfStream,
    /// `handle` returned this error, or the connection could not be watched. What the peer did shows in its kind:
    /// `ConnectionReset` and `BrokenPipe` when it went away, `TimedOut` when it vanished, or kept a blocking call waiting.
    Failed(io::Error),
    /// The server stopped before the connection was done.
    Stopped,
    /// The handler panicked.
    Panicked,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => write!(f, "closed"),
            Self::EndOfStream => write!(f, "closed, as the peer ended the stream"),
            Self::Failed(error) => match error.kind() {
                io::ErrorKind::ConnectionReset => write!(f, "the peer reset the connection"),
                io::ErrorKind::BrokenPipe => write!(f, "the peer was gone while there was more to send"),
                io::ErrorKind::TimedOut => write!(f, "the peer was silent for too long"),
                _ => write!(f, "{error}"),
            },
            Self::Stopped => write!(f, "cut, as the server stopped"),
            Self::Panicked => write!(f, "the handler panicked"),
        }
    }
}

/// A new connection, as `setup` sees it.
pub struct Conn<'a> {
    pub(super) stream: &'a Stream,
    pub(super) waker: &'a Waker,
}

impl Conn<'_> {
    /// Who connected.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        self.stream.peer()
    }

    /// Where it connected to.
    ///
    /// # Errors
    /// What the system says when the socket is already gone.
    pub fn local_address(&self) -> io::Result<Address> {
        self.stream.local_address()
    }

    /// A handle that queues this connection from any thread.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }
}

impl fmt::Debug for Conn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conn").field("peer", self.peer()).finish_non_exhaustive()
    }
}

/// Queues one parked connection from any thread: its handler then runs with [`Wake::Called`]. A call that comes while
/// the handler runs counts, so that it runs once more; a call for a connection that has ended does nothing.
#[derive(Clone)]
pub struct Waker {
    pub(super) pool: Weak<dyn Call>,
    pub(super) slot: u32,
    pub(super) tenancy: u32,
}

/// What a waker needs of the pool.
pub(super) trait Call: Send + Sync {
    fn call(&self, slot: u32, tenancy: u32);
}

impl Waker {
    /// Queues the connection.
    pub fn wake(&self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.call(self.slot, self.tenancy);
        }
    }
}

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waker").field("slot", &self.slot).field("tenancy", &self.tenancy).finish()
    }
}
