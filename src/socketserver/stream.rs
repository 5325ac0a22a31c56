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
use rustix::net::{RecvFlags, SendFlags, getsockname, recv, send};

use super::address::{Address, Peer};
use super::crew::{converse, slow};
use super::handler::{End, Interest};
use super::stop::Stop;

/// Bytes read ahead for `Read` and `BufRead`.
const READ_AHEAD_BYTES: usize = 8 << 10;

/// How long a blocking call waits when nothing else is said.
const WAIT_MAX: Duration = Duration::from_secs(65);

/// The connection, as its handler sees it.
///
/// `try_read`, `try_write` and their like never wait: they do what can be done now, or fail with
/// [`io::ErrorKind::WouldBlock`]. `Read`, `BufRead` and `Write` wait, until the [deadline](Stream::set_deadline), and
/// while they do another worker takes this one's place.
#[derive(Debug)]
pub struct Stream {
    link: Link,
    peer: Peer,
    incoming: Incoming,
    ready_since: Option<Instant>,
    pub(super) waiting: u32,
    /// The last write of this turn found less room than it had bytes.
    full: bool,
    /// 0 for no limit.
    unsent_bytes_max: u32,
}

/// What reading and writing share.
#[derive(Debug)]
struct Link {
    socket: Socket,
    stop: Arc<Stop>,
    deadline: Option<Instant>,
    receive_timeout: Duration,
}

/// What is known of the bytes that come.
#[derive(Debug, Default)]
struct Incoming {
    read_ahead: Option<Box<ReadAhead>>,
    /// In this turn a read has found all there was.
    drained: bool,
    /// A read has found the end.
    ended: bool,
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
        let link = Link { socket, stop, deadline: None, receive_timeout: WAIT_MAX };
        Self {
            link,
            peer,
            incoming: Incoming::default(),
            ready_since: None,
            waiting: 0,
            full: false,
            unsent_bytes_max: 0,
        }
    }

    /// How long a blocking read waits, where that is set.
    pub(super) fn with_receive_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.link.receive_timeout = timeout.unwrap_or(WAIT_MAX);
        self
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
        self.link.stop.is_requested()
    }

    /// An instant, before this turn, by which the first byte that a read will find had come. None where that isn't known:
    /// in a first turn, after [`Next::Again`](super::Next::Again), and in turns that nothing to read has brought about.
    #[must_use]
    pub fn ready_since(&self) -> Option<Instant> {
        self.ready_since
    }

    /// How many other connections waited for their turn when this one began, about: a handler may do less at once where
    /// there are many.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting as usize
    }

    /// Reads what is there; 0 is the end of the stream.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there yet; else the connection is broken.
    pub fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.incoming.read_ahead.as_mut().map(|ahead| ahead.take(buffer)) {
            Some(taken) if taken > 0 => Ok(taken),
            _ => self.incoming.receive(&self.link, buffer),
        }
    }

    /// A worker takes it up: what was read in earlier turns says nothing about now.
    pub(super) fn begin_turn(&mut self, ready_since: Option<Instant>) {
        (self.incoming.drained, self.full, self.ready_since) = (false, false, ready_since);
    }

    /// Whether the last read of this turn left nothing to read, and the stream goes on.
    pub(super) fn is_drained(&self) -> bool {
        self.incoming.drained
    }

    /// Whether bytes were read ahead of the handler, which no event will tell of.
    pub(super) fn has_read_ahead(&self) -> bool {
        self.incoming.read_ahead.as_ref().is_some_and(|ahead| !ahead.is_empty())
    }

    /// Whether there is something to read; what can't be told is for the next read to find.
    pub(super) fn has_bytes(&self) -> bool {
        rustix::io::ioctl_fionread(&self.link) != Ok(0)
    }

    /// What it means that the handler closes now.
    pub(super) fn end_of_close(&self) -> End {
        if self.incoming.ended { End::EndOfStream } else { End::Closed }
    }

    /// Writes what there is room for.
    ///
    /// # Errors
    /// `WouldBlock` when there is no room; else the connection is broken.
    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.link.try_write(bytes);
        self.note_room(bytes.len(), written)
    }

    /// Whether the last write of this turn, one of those that never wait, wrote less than it was to: there was no more room,
    /// or the file had no more bytes. Another one right away would write a few bytes at best.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.full
    }

    fn note_room(&mut self, offered: usize, written: io::Result<usize>) -> io::Result<usize> {
        self.full = match &written {
            Ok(count) => *count < offered,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        };
        written
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
        let written = send(&*self, bytes, flags).map_err(io::Error::from);
        self.note_room(bytes.len(), written)
    }

    /// Has the system take no more than about so many bytes beyond those that the peer has room for, from now on; 0 takes the
    /// limit away again. Of TCP on Linux (TCP_NOTSENT_LOWAT); others take what fits their buffers.
    ///
    /// # Errors
    /// What the system says of it.
    pub fn limit_unsent(&mut self, bytes: u32) -> io::Result<()> {
        if bytes == self.unsent_bytes_max {
            return Ok(());
        }
        self.unsent_bytes_max = bytes;
        match &self.link.socket {
            #[cfg(target_os = "linux")]
            Socket::Tcp(socket) => socket2::SockRef::from(socket).set_tcp_notsent_lowat(bytes),
            _ => Ok(()),
        }
    }

    /// Writes what there is room for of several pieces, in one system call.
    ///
    /// # Errors
    /// As [`try_write`](Self::try_write).
    pub fn try_write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let written = match &mut self.link.socket {
            Socket::Tcp(socket) => socket.write_vectored(pieces),
            Socket::Unix(socket) => socket.write_vectored(pieces),
        };
        self.note_room(pieces.iter().map(|piece| piece.len()).sum(), written)
    }

    /// Writes what there is room for of `count` bytes of a file from `offset` on; 0 means that the file ends there.
    ///
    /// # Errors
    /// As [`try_write`](Self::try_write), or what reading the file says.
    pub fn try_send_file(&mut self, file: &File, offset: u64, count: usize) -> io::Result<usize> {
        #[cfg(all(target_os = "linux", not(salver_portable)))]
        {
            let mut offset = offset;
            let sent = rustix::fs::sendfile(&*self, file, Some(&mut offset), count).map_err(io::Error::from);
            self.note_room(count, sent)
        }
        #[cfg(any(not(target_os = "linux"), salver_portable))]
        {
            use std::os::unix::fs::FileExt;
            let mut bytes = [0; 64 << 10];
            let count = count.min(bytes.len());
            let read = file.read_at(&mut bytes[..count], offset)?;
            let sent = if read == 0 { Ok(0) } else { self.try_write(&bytes[..read]) };
            self.full |= read < count;
            sent
        }
    }

    /// Says that nothing more will be written; reading goes on.
    ///
    /// # Errors
    /// When the connection is already broken.
    pub fn shut_down_writing(&mut self) -> io::Result<()> {
        match &self.link.socket {
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
        match &self.link.socket {
            Socket::Tcp(socket) => socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO)),
            // What is unread goes with the peer's end alone.
            Socket::Unix(_) => Ok(()),
        }
    }

    /// The instant until which the blocking calls wait; past it they fail with [`io::ErrorKind::TimedOut`]. Without
    /// one a read waits for [`receive_timeout`](super::SocketOptions::receive_timeout), or 65 s, and a write 65 s.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.link.deadline = deadline;
    }

    /// A half to read from and one to write to, for code that does one while it is in the midst of the other, as
    /// `for line in reader.lines()` with an answer to each is.
    pub fn split(&mut self) -> (Reader<'_>, Writer<'_>) {
        (Reader { incoming: &mut self.incoming, link: &self.link }, Writer { link: &self.link })
    }
}

impl Link {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(send(self, bytes, SendFlags::NOSIGNAL)?)
    }

    /// A blocking call begins. The deadline, and the end of a stop's patience, are for those that never have to wait, too, as
    /// their peer is quick.
    fn begin_call(&self) -> io::Result<()> {
        converse();
        if self.stop.is_overdue() {
            return Err(stopping());
        }
        match self.deadline {
            Some(deadline) if deadline <= Instant::now() => Err(io::ErrorKind::TimedOut.into()),
            _ => Ok(()),
        }
    }

    /// Writes some of it, as a blocked worker.
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.begin_call()?;
        loop {
            match self.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait(Interest::Write, WAIT_MAX)?,
                done => return done,
            }
        }
    }

    /// Waits, as a blocked worker, until the socket can be read or written.
    fn wait(&self, interest: Interest, timeout: Duration) -> io::Result<()> {
        let now = Instant::now();
        // A timeout may be longer than the clock can tell.
        let until = self.deadline.or_else(|| now.checked_add(timeout)).unwrap_or(now + WAIT_MAX);
        let Some(left) = until.checked_duration_since(now).filter(|left| !left.is_zero()) else {
            return Err(io::ErrorKind::TimedOut.into());
        };
        slow(|| wait_for(self, interest, left))
    }
}

fn stopping() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the server is stopping")
}

fn wait_for(link: &Link, interest: Interest, timeout: Duration) -> io::Result<()> {
    let reading = interest == Interest::Read;
    let flags = if reading { PollFlags::IN } else { PollFlags::OUT };
    let timeout = Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    // A stop ends the wait for a request, not the writing of an answer.
    let mut both = [PollFd::new(link, flags), PollFd::new(&*link.stop, PollFlags::IN)];
    let sources = if reading { &mut both[..] } else { &mut both[..1] };
    match poll(sources, Some(&timeout)) {
        Ok(0) => Err(io::ErrorKind::TimedOut.into()),
        Ok(_) if both[0].revents().is_empty() => Err(stopping()),
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl Incoming {
    fn receive(&mut self, link: &Link, buffer: &mut [u8]) -> io::Result<usize> {
        let received = recv(link, &mut *buffer, RecvFlags::empty()).map(|(count, _)| count).map_err(io::Error::from);
        self.drained = match &received {
            // A UNIX socket gives less than it has where a descriptor was sent along.
            Ok(count) => matches!(link.socket, Socket::Tcp(_)) && (1..buffer.len()).contains(count),
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        };
        self.ended |= matches!(received, Ok(0)) && !buffer.is_empty();
        received
    }

    /// Reads ahead when nothing is left, as a blocked worker.
    fn fill(&mut self, link: &Link) -> io::Result<&[u8]> {
        let mut ahead = self.read_ahead.take().unwrap_or_else(ReadAhead::boxed);
        let filled = if ahead.is_empty() { self.refill(link, &mut ahead) } else { Ok(()) };
        let ahead = self.read_ahead.insert(ahead);
        filled.map(|()| &ahead.bytes[ahead.start..ahead.end])
    }

    fn refill(&mut self, link: &Link, ahead: &mut ReadAhead) -> io::Result<()> {
        link.begin_call()?;
        loop {
            match self.receive(link, &mut ahead.bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    link.wait(Interest::Read, link.receive_timeout)?;
                }
                read => {
                    (ahead.start, ahead.end) = (0, read?);
                    return Ok(());
                }
            }
        }
    }

    fn read(&mut self, link: &Link, buffer: &mut [u8]) -> io::Result<usize> {
        let mut ahead = self.fill(link)?;
        let taken = ahead.read(buffer)?;
        self.consume(taken);
        Ok(taken)
    }

    fn consume(&mut self, amount: usize) {
        if let Some(ahead) = &mut self.read_ahead {
            ahead.start = (ahead.start + amount).min(ahead.end);
        }
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Tcp(socket) => socket.as_fd(),
            Socket::Unix(socket) => socket.as_fd(),
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.link.as_fd()
    }
}

impl BufRead for Stream {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.incoming.fill(&self.link)
    }

    fn consume(&mut self, amount: usize) {
        self.incoming.consume(amount);
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.incoming.read(&self.link, buffer)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.link.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The half of a [`Stream`] that is read, and waits: Python's `rfile`.
#[derive(Debug)]
pub struct Reader<'a> {
    incoming: &'a mut Incoming,
    link: &'a Link,
}

impl BufRead for Reader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.incoming.fill(self.link)
    }

    fn consume(&mut self, amount: usize) {
        self.incoming.consume(amount);
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.incoming.read(self.link, buffer)
    }
}

/// The half of a [`Stream`] that is written, and waits: Python's `wfile`.
#[derive(Debug)]
pub struct Writer<'a> {
    link: &'a Link,
}

impl Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.link.write(bytes)
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
