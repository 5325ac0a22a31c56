//! The clients: one thread for all TCP connections, one for a closed loop over UDP, two for an open one.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::child::cpu;

pub const MESSAGE_BYTES: usize = 64;

/// How long anything is waited for that should come at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long silence lasts that means that nothing more comes.
const SILENCE: Duration = Duration::from_millis(100);

/// What a while of echoing came to.
#[derive(Debug)]
pub struct Echoes {
    pub count: u64,
    pub time: Duration,
    pub client_cpu: Duration,
    pub server_cpu: Duration,
}

impl Echoes {
    fn since(start: Instant, cpu_before: Duration, count: u64) -> Self {
        Self { count, time: start.elapsed(), client_cpu: cpu() - cpu_before, server_cpu: Duration::ZERO }
    }
}

/// TCP connections with at most one message under way each.
pub struct Crowd {
    poll: Poll,
    events: Events,
    clients: Vec<Client>,
}

struct Client {
    stream: TcpStream,
    message: [u8; MESSAGE_BYTES],
    /// Bytes of its echo that have come.
    received: usize,
}

impl Crowd {
    pub fn connect(address: SocketAddr, count: usize) -> Self {
        let poll = Poll::new().unwrap();
        let clients = (0..count).map(|number| Client::connect(&poll, address, number));
        Self { clients: clients.collect(), poll, events: Events::with_capacity(1024) }
    }

    /// Has each send, and send again when its echo has come, for so long; and once at least. Returns with nothing under
    /// way.
    pub fn echo_for(&mut self, time: Duration) -> Echoes {
        let (start, cpu_before) = (Instant::now(), cpu());
        self.clients.iter_mut().for_each(Client::send);
        let (mut count, mut under_way) = (0, self.clients.len());
        while under_way > 0 {
            self.poll.poll(&mut self.events, Some(PATIENCE)).unwrap();
            assert!(!self.events.is_empty(), "{under_way} echoes don't come");
            let is_over = start.elapsed() >= time;
            for event in &self.events {
                let client = &mut self.clients[event.token().0];
                if !client.has_echo() {
                    continue;
                }
                count += 1;
                if is_over {
                    under_way -= 1;
                } else {
                    client.send();
                }
            }
        }
        Echoes::since(start, cpu_before, count)
    }
}

impl Client {
    fn connect(poll: &Poll, address: SocketAddr, number: usize) -> Self {
        let stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_nonblocking(true).unwrap();
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(number), Interest::READABLE).unwrap();
        let mut message = [b'x'; MESSAGE_BYTES];
        message[8..16].copy_from_slice(&(number as u64).to_le_bytes());
        Self { stream, message, received: 0 }
    }

    /// Sends a message that was not sent before.
    fn send(&mut self) {
        let next = self.message.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)) + 1;
        self.message[..8].copy_from_slice(&next.to_le_bytes());
        self.received = 0;
        self.stream.write_all(&self.message).unwrap();
    }

    /// Reads what is there; true when that completes the echo. Nothing is left then: the next message isn't sent yet.
    fn has_echo(&mut self) -> bool {
        let mut bytes = [0; 2 * MESSAGE_BYTES];
        loop {
            let read = match self.stream.read(&mut bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                read => read.unwrap(),
            };
            let expected = &self.message[self.received..];
            assert!(read > 0 && expected.starts_with(&bytes[..read]), "not what was sent");
            self.received += read;
            if self.received == MESSAGE_BYTES {
                return true;
            }
        }
    }
}

/// Echoes over UDP, so many datagrams under way at any time; returns when each has come back.
pub fn closed_loop(address: SocketAddr, window: u64, time: Duration) -> Echoes {
    let socket = udp(address, PATIENCE);
    let (start, cpu_before) = (Instant::now(), cpu());
    let mut bytes = [0; 2 * MESSAGE_BYTES];
    let (mut sent, mut answered) = (0, 0);
    while answered < sent || sent == 0 {
        while sent < answered + window && start.elapsed() < time {
            socket.send(&[b'x'; MESSAGE_BYTES]).unwrap();
            sent += 1;
        }
        let read = socket.recv(&mut bytes).expect("a datagram was lost");
        assert_eq!(read, MESSAGE_BYTES);
        answered += 1;
    }
    Echoes::since(start, cpu_before, answered)
}

/// What became of datagrams that were sent as fast as one thread can.
#[derive(Debug)]
pub struct Flood {
    pub sent: u64,
    pub time: Duration,
    /// At the server.
    pub handled: u64,
    pub lost: u64,
    /// At the client.
    pub answered: u64,
    pub answers_lost: u64,
}

/// Sends for so long, while another thread takes the echoes; returns when no more of them come.
pub fn flood(address: SocketAddr, time: Duration) -> Flood {
    let socket = udp(address, SILENCE);
    let is_over = AtomicBool::new(false);
    let receive = || {
        let mut bytes = [0; 2 * MESSAGE_BYTES];
        let mut answered = 0;
        loop {
            match socket.recv(&mut bytes) {
                Ok(_) => answered += 1,
                Err(_) if is_over.load(Ordering::Relaxed) => return answered,
                Err(_) => {}
            }
        }
    };
    thread::scope(|scope| {
        let receiver = scope.spawn(receive);
        let (start, mut sent) = (Instant::now(), 0);
        while start.elapsed() < time {
            socket.send(&[b'x'; MESSAGE_BYTES]).unwrap();
            sent += 1;
        }
        let time = start.elapsed();
        is_over.store(true, Ordering::Relaxed);
        let answered = receiver.join().unwrap();
        Flood { sent, time, handled: 0, lost: 0, answered, answers_lost: dropped(&socket) }
    })
}

fn udp(address: SocketAddr, patience: Duration) -> UdpSocket {
    let socket = UdpSocket::bind((address.ip(), 0)).unwrap();
    socket.set_read_timeout(Some(patience)).unwrap();
    socket.connect(address).unwrap();
    socket
}

/// What the system has thrown away for want of room in a socket's buffer: the last column of its table.
pub fn dropped(socket: &UdpSocket) -> u64 {
    let port = format!(":{:04X}", socket.local_addr().unwrap().port());
    let table = fs::read_to_string("/proc/self/net/udp").unwrap();
    let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let line = lines.find(|columns| columns.get(1).is_some_and(|local| local.ends_with(&port))).unwrap();
    line.last().unwrap().parse().unwrap()
}
