//! A connection's byte stream: calls that never wait for the pool's handlers, `Read`, `BufRead` and `Write` that do for
//! [`blocking`](super::blocking) ones.

use std::fs::File;
use std::io::{self, BufRead, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{SendFlags, getsockname, send};

use super::address::{Address, Peer};
use super::crew::slow;
use super::handler::Interest;
use super::stop::Stop;

/// Bytes read ahead for `Read` and `BufRead`.
const READ_AHEAD_BYTES: usize = 8 << 10;

/// How long a blocking call waits when no deadline is set.
const WAIT_MAX: Duration = Duration::from_secs(65);

/// The connection, as its handler sees it.
///
/// `try_read`, `try_write` and their like never wait: they do what can be done now, or fail with
/// [`io::ErrorKind::WouldBlock`]. `Read`, `BufRead` and `Write` wait, until the [deadline](Stream::set_deadline), and
/// while they do another worker takes this one's place.
#[derive(Debug)]
pub struct Stream {
    socket: Socket,
    peer: Peer,
    stop: Arc<Stop>,
    read_ahead: Option<Box<ReadAhead>>,
    deadline: Option<Instant>,
    /// In this turn a read has found all there was.
    drained: bool,
    ready_since: Option<Instant>,
}

/// The transports. TLS will stand here.
#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

#[derive(Debug)]
struct ReadAhead {
    bytes: [u8; READ_AHEAD_BYTES],
    start: usize,
    end: usize,
}

impl Stream {
    /// Takes over a socket that doesn't block.
    pub(super) fn tcp(socket: TcpStream, peer: Peer, stop: Arc<Stop>) -> Self {
        Self::new(Socket::Tcp(socket), peer, stop)
    }

    /// Takes over a socket that doesn't block.
    pub(super) fn unix(socket: UnixStream, peer: Peer, stop: Arc<Stop>) -> Self {
        Self::new(Socket::Unix(socket), peer, stop)
    }

    fn new(socket: Socket, peer: Peer, stop: Arc<Stop>) -> Self {
        Self { socket, peer, stop, read_ahead: None, deadline: None, drained: false, ready_since: None }
    }

    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The address that the peer connected to.
    ///
    /// # Errors
    /// What the system says when the socket is already gone.
    pub fn local_address(&self) -> io::Result<Address> {
        Ok(Address::of(Some(getsockname(self)?)))
    }

    /// Whether the server is stopping: an answer given now should say that it is the last.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stop.is_requested()
    }

    /// An instant, before this turn, by which the first byte that a read will find had come. None where that isn't known:
    /// in a first turn, after [`Next::Again`](super::Next::Again), and in turns that nothing to read has brought about.
    #[must_use]
    pub fn ready_since(&self) -> Option<Instant> {
        self.ready_since
    }

    /// Reads what is there; 0 is the end of the stream.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there yet; else the connection is broken.
    pub fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.read_ahead.as_mut().map(|ahead| ahead.take(buffer)) {
            Some(taken) if taken > 0 => Ok(taken),
            _ => self.receive(buffer),
        }
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let received = match &mut self.socket {
            Socket::Tcp(socket) => socket.read(buffer),
            Socket::Unix(socket) => socket.read(buffer),
        };
        self.drained = match &received {
            Ok(count) => (1..buffer.len()).contains(count),
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        };
        received
    }

    /// A worker takes it up: what was read in earlier turns says nothing about now.
    pub(super) fn begin_turn(&mut self, ready_since: Option<Instant>) {
        (self.drained, self.ready_since) = (false, ready_since);
    }

    /// Whether the last read of this turn left nothing to read, and the stream goes on.
    pub(super) fn is_drained(&self) -> bool {
        self.drained
    }

    /// Writes what there is room for.
    ///
    /// # Errors
    /// `WouldBlock` when there is no room; else the connection is broken.
    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(send(&*self, bytes, SendFlags::NOSIGNAL)?)
    }

    /// Writes what there is room for, and lets the system hold it back until more follows.
    ///
    /// # Errors
    /// As [`try_write`](Self::try_write).
    pub fn try_write_more(&mut self, bytes: &[u8]) -> io::Result<usize> {
        #[cfg(target_os = "linux")]
        let flags = SendFlags::NOSIGNAL | SendFlags::MORE;
        #[cfg(not(target_os = "linux"))]
        let flags = SendFlags::NOSIGNAL;
        Ok(send(&*self, bytes, flags)?)
    }

    /// Writes what there is room for of several pieces, in one system call.
    ///
    /// # Errors
    /// As [`try_write`](Self::try_write).
    pub fn try_write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match &mut self.socket {
            Socket::Tcp(socket) => socket.write_vectored(pieces),
            Socket::Unix(socket) => socket.write_vectored(pieces),
        }
    }

    /// Writes what there is room for of `count` bytes of a file from `offset` on; 0 means that the file ends there.
    ///
    /// # Errors
    /// As [`try_write`](Self::try_write), or what reading the file says.
    pub fn try_send_file(&mut self, file: &File, offset: u64, count: usize) -> io::Result<usize> {
        #[cfg(all(target_os = "linux", not(salver_portable)))]
        {
            let mut offset = offset;
            Ok(rustix::fs::sendfile(&*self, file, Some(&mut offset), count)?)
        }
        #[cfg(any(not(target_os = "linux"), salver_portable))]
        {
            use std::os::unix::fs::FileExt;
            let mut bytes = [0; 64 << 10];
            let count = count.min(bytes.len());
            let read = file.read_at(&mut bytes[..count], offset)?;
            if read == 0 { Ok(0) } else { self.try_write(&bytes[..read]) }
        }
    }

    /// Says that nothing more will be written; reading goes on.
    ///
    /// # Errors
    /// When the connection is already broken.
    pub fn shut_down_writing(&mut self) -> io::Result<()> {
        match &self.socket {
            Socket::Tcp(socket) => socket.shutdown(Shutdown::Write),
            Socket::Unix(socket) => socket.shutdown(Shutdown::Write),
        }
    }

    /// Has the close throw away what the peer hasn't taken, and tell it so with a reset. Without this the system keeps
    /// it, and goes on offering it, for minutes after the close.
    ///
    /// # Errors
    /// When the connection is already broken.
    pub fn discard_unsent(&mut self) -> io::Result<()> {
        match &self.socket {
            Socket::Tcp(socket) => socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO)),
            // What is unread goes with the peer's end alone.
            Socket::Unix(_) => Ok(()),
        }
    }

    /// The instant until which the blocking calls wait; past it they fail with [`io::ErrorKind::TimedOut`]. Without
    /// one, each of them waits 65 s at most.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// Waits, as a blocked worker, until the socket can be read or written.
    fn wait(&self, interest: Interest) -> io::Result<()> {
        let now = Instant::now();
        let until = self.deadline.unwrap_or(now + WAIT_MAX);
        let Some(left) = until.checked_duration_since(now).filter(|left| !left.is_zero()) else {
            return Err(io::ErrorKind::TimedOut.into());
        };
        slow(|| wait_for(self, interest, left, &self.stop))
    }
}

fn wait_for(socket: &Stream, interest: Interest, timeout: Duration, stop: &Stop) -> io::Result<()> {
    let reading = interest == Interest::Read;
    let flags = if reading { PollFlags::IN } else { PollFlags::OUT };
    let timeout = Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    // A stop ends the wait for a request, not the writing of an answer.
    let mut both = [PollFd::new(socket, flags), PollFd::new(stop, PollFlags::IN)];
    let sources = if reading { &mut both[..] } else { &mut both[..1] };
    match poll(sources, Some(&timeout)) {
        Ok(0) => Err(io::ErrorKind::TimedOut.into()),
        Ok(_) if both[0].revents().is_empty() => {
            Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the server is stopping"))
        }
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Tcp(socket) => socket.as_fd(),
            Socket::Unix(socket) => socket.as_fd(),
        }
    }
}

impl BufRead for Stream {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let mut ahead = self.read_ahead.take().unwrap_or_else(ReadAhead::boxed);
        let filled = if ahead.is_empty() { self.refill(&mut ahead) } else { Ok(()) };
        let ahead = self.read_ahead.insert(ahead);
        filled.map(|()| &ahead.bytes[ahead.start..ahead.end])
    }

    fn consume(&mut self, amount: usize) {
        if let Some(ahead) = &mut self.read_ahead {
            ahead.start = (ahead.start + amount).min(ahead.end);
        }
    }
}

impl Stream {
    fn refill(&mut self, ahead: &mut ReadAhead) -> io::Result<()> {
        loop {
            match self.receive(&mut ahead.bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait(Interest::Read)?,
                read => {
                    (ahead.start, ahead.end) = (0, read?);
                    return Ok(());
                }
            }
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut ahead = self.fill_buf()?;
        let taken = ahead.read(buffer)?;
        self.consume(taken);
        Ok(taken)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait(Interest::Write)?,
                done => return done,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl ReadAhead {
    fn boxed() -> Box<Self> {
        Box::new(Self { bytes: [0; READ_AHEAD_BYTES], start: 0, end: 0 })
    }

    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    fn take(&mut self, buffer: &mut [u8]) -> usize {
        let count = buffer.len().min(self.end - self.start);
        buffer[..count].copy_from_slice(&self.bytes[self.start..self.start + count]);
        self.start += count;
        count
    }
}
