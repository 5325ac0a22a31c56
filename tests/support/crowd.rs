//! Hostile clients, many to a thread: each acts at its pace and never waits, and whoever is cut off comes back.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use super::{PATIENCE, get};

/// What a hostile client does with a connection.
#[derive(Clone, Debug, Default)]
pub struct Manner {
    /// Sent first, as far as there is room for it.
    opening: Vec<u8>,
    /// Sent each time it acts from then on.
    piece: Vec<u8>,
    /// Bytes read each time it acts.
    reads: usize,
    /// Its side of the connection holds little.
    narrow: bool,
    /// It resets the connection when it acts again.
    resets: bool,
}

impl Manner {
    /// Says nothing.
    pub fn silent() -> Self {
        Self { reads: 4096, ..Self::default() }
    }

    /// A head that comes byte by byte and never ends.
    pub fn slow_head() -> Self {
        Self { opening: b"GET / HTTP/1.1\r\nHost: h\r\nX: ".to_vec(), piece: b"x".to_vec(), ..Self::silent() }
    }

    /// A body that comes byte by byte.
    pub fn slow_body() -> Self {
        let opening = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 60000\r\n\r\n".to_vec();
        Self { opening, piece: b"x".to_vec(), ..Self::silent() }
    }

    /// Asks for a large file and reads a little of it each time.
    pub fn slow_reader(target: &str) -> Self {
        Self { opening: get(target, "").into_bytes(), reads: 512, narrow: true, ..Self::default() }
    }

    /// Field lines without end, 64 KiB at a time.
    pub fn huge_head() -> Self {
        let piece = format!("X: {}\r\n", "x".repeat(1019)).repeat(64).into_bytes();
        Self { opening: b"GET / HTTP/1.1\r\nHost: h\r\n".to_vec(), piece, ..Self::silent() }
    }

    /// Chunks without end, 64 KiB at a time.
    pub fn endless_chunks() -> Self {
        let opening = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        Self { opening, piece: format!("400\r\n{}\r\n", "x".repeat(1024)).repeat(64).into_bytes(), ..Self::silent() }
    }

    /// So many requests in one write; their answers are never read.
    pub fn flood(target: &str, requests: usize) -> Self {
        let request = get(target, "").into_bytes();
        Self { opening: request.repeat(requests), piece: request, ..Self::default() }
    }

    /// A thousand overlapping ranges, again and again.
    pub fn ranges(target: &str) -> Self {
        let ranges: Vec<String> = (0..1000).map(|first| format!("{first}-")).collect();
        let request = get(target, &format!("Range: bytes={}\r\n", ranges.join(",")));
        Self { piece: request.into_bytes(), reads: 1 << 20, ..Self::default() }
    }

    /// Connects, sends this and resets the connection.
    pub fn reset_after(opening: &str) -> Self {
        Self { opening: opening.into(), resets: true, ..Self::default() }
    }
}

/// What became of the connections of a crowd.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub connected: usize,
    /// The server closed so many.
    pub ended: usize,
    /// How often the first answer of a connection had this status.
    pub statuses: BTreeMap<u16, usize>,
}

#[derive(Default)]
struct Told {
    tally: Mutex<Tally>,
    changed: Condvar,
}

impl Told {
    fn change(&self, change: impl FnOnce(&mut Tally)) {
        change(&mut self.tally.lock().unwrap());
        self.changed.notify_all();
    }
}

/// Hostile clients of one manner, until it is dropped.
pub struct Crowd {
    told: Arc<Told>,
    /// Dropped to send them away.
    stay: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Crowd {
    /// So many, each of whom acts once in `pace`.
    pub fn gather(address: SocketAddr, count: usize, pace: Duration, manner: Manner) -> Self {
        let (stay, leave) = channel::<()>();
        let told = Arc::new(Told::default());
        let tell = Arc::clone(&told);
        let thread = thread::spawn(move || {
            let start = Instant::now();
            let due = |at: usize| start + pace.mul_f64(at as f64 / count as f64);
            let mut members: VecDeque<_> = (0..count).map(|at| (due(at), None)).collect();
            while let Some((due, member)) = members.pop_front() {
                let wait = due.saturating_duration_since(Instant::now());
                if leave.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
                members.push_back((due.max(Instant::now()) + pace, act(member, address, &manner, &tell)));
            }
        });
        Self { told, stay: Some(stay), thread: Some(thread) }
    }

    pub fn tally(&self) -> Tally {
        self.told.tally.lock().unwrap().clone()
    }

    /// Waits until this holds.
    #[track_caller]
    pub fn wait_until(&self, holds: impl Fn(&Tally) -> bool) {
        let tally = self.told.tally.lock().unwrap();
        let (tally, waited) = self.told.changed.wait_timeout_while(tally, PATIENCE, |tally| !holds(tally)).unwrap();
        assert!(!waited.timed_out(), "it doesn't come to that: {tally:?}");
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        drop(self.stay.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// One of a crowd, connected.
struct Member {
    stream: TcpStream,
    /// Bytes of the opening that were sent.
    sent: usize,
    answered: bool,
}

/// Does what is next; none when the connection is over.
fn act(member: Option<Member>, address: SocketAddr, manner: &Manner, told: &Told) -> Option<Member> {
    let Some(mut member) = member else {
        let member = Member { stream: connect(address, manner.narrow)?, sent: 0, answered: false };
        told.change(|tally| tally.connected += 1);
        return Some(member);
    };
    let is_opened = member.sent == manner.opening.len();
    if is_opened && manner.resets {
        let _ = SockRef::from(&member.stream).set_linger(Some(Duration::ZERO));
        return None;
    }
    let next = if is_opened { &manner.piece } else { &manner.opening[member.sent..] };
    let written = if next.is_empty() { Ok(0) } else { member.stream.write(next) };
    if let (false, Ok(count)) = (is_opened, &written) {
        member.sent += count;
    }
    if is_over(&written) || is_over(&member.read(manner.reads, told)) {
        told.change(|tally| tally.ended += 1);
        return None;
    }
    Some(member)
}

fn connect(address: SocketAddr, narrow: bool) -> Option<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).ok()?;
    if narrow {
        socket.set_recv_buffer_size(4 << 10).ok()?;
    }
    socket.set_nonblocking(true).ok()?;
    // Until it is there, reads and writes have to wait.
    let _ = socket.connect(&address.into());
    Some(socket.into())
}

impl Member {
    /// Reads so many bytes at most; the end of the stream is an error.
    fn read(&mut self, count: usize, told: &Told) -> io::Result<usize> {
        let mut bytes = vec![0; count];
        let read = if count == 0 { 0 } else { self.stream.read(&mut bytes)? };
        if count > 0 && read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if !self.answered
            && let Some(status) = bytes[..read].get(9..12)
        {
            self.answered = true;
            let status = String::from_utf8_lossy(status).parse().unwrap_or(0);
            told.change(|tally| *tally.statuses.entry(status).or_default() += 1);
        }
        Ok(read)
    }
}

/// It is not just that it has to wait.
fn is_over(done: &io::Result<usize>) -> bool {
    let waits = [ErrorKind::WouldBlock, ErrorKind::NotConnected, ErrorKind::Interrupted];
    done.as_ref().is_err_and(|error| !waits.contains(&error.kind()))
}
