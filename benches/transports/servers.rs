//! The servers. Each echoes what it gets, and is written as well as its kind can be in a few lines. What doesn't fit
//! into a socket's buffer ends a connection: clients that have one short message under way never see that.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use salver::socketserver::{
    Conn, DatagramHandler, Handler, Listener, Next, Options, Sender, Server, SocketOptions, Stream, UdpServer, Wake,
};

use crate::IDLE_WORKERS;

/// Room for what one read takes: more than a message, so that a read that doesn't fill it has found all there is.
const BUFFER_BYTES: usize = 1024;

const IDLE_TIMEOUT: Duration = Duration::from_secs(600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Salver,
    /// With more workers, for idle clients.
    SalverIdle,
    /// A thread per connection.
    Threads,
    /// Mio with so many event loops.
    Mio {
        loops: usize,
        reads: Reads,
    },
    SalverUdp,
    /// One thread that receives and sends.
    PlainUdp,
}

/// When a connection has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// When a read would block, which is what mio asks for.
    ToTheEnd,
    /// When a read doesn't fill its buffer, which is enough with epoll, and what salver does.
    UntilShort,
}

impl Kind {
    pub const TCP: [Self; 5] = [
        Self::Salver,
        Self::Threads,
        Self::Mio { loops: 1, reads: Reads::ToTheEnd },
        Self::Mio { loops: 1, reads: Reads::UntilShort },
        Self::Mio { loops: 2, reads: Reads::UntilShort },
    ];
    pub const UDP: [Self; 2] = [Self::SalverUdp, Self::PlainUdp];

    /// What names it to a child.
    pub fn argument(self) -> String {
        format!("{self:?}")
    }

    pub fn of(argument: &str) -> Self {
        let all = Self::TCP.into_iter().chain(Self::UDP).chain([Self::SalverIdle]);
        all.into_iter().find(|kind| kind.argument() == argument).unwrap()
    }

    /// What names it to people.
    pub fn title(self) -> String {
        let workers = Options::default().workers;
        match self {
            Self::Salver => format!("salver, `Server`, {workers} workers"),
            Self::SalverIdle => format!("salver, `Server`, {IDLE_WORKERS} workers"),
            Self::Threads => "std, a thread per connection".to_owned(),
            Self::Mio { loops, reads } => {
                let plural = if loops == 1 { "" } else { "s" };
                let how = if reads == Reads::ToTheEnd { "reads until `WouldBlock`" } else { "reads until a short one" };
                format!("mio, {loops} event loop{plural}, {how}")
            }
            Self::SalverUdp => format!("salver, `UdpServer`, {workers} workers"),
            Self::PlainUdp => "std, a thread that receives and sends".to_owned(),
        }
    }
}

/// Tells how many datagrams were handled, and how many lost, so far.
pub type Seen = Box<dyn Fn() -> (u64, u64)>;

/// Starts one, in threads; gives its port.
pub fn start(kind: Kind) -> io::Result<(u16, Seen)> {
    let port = match kind {
        Kind::Salver => salver(Options::default())?,
        Kind::SalverIdle => {
            let mut options = Options::default();
            options.workers = IDLE_WORKERS;
            salver(options)?
        }
        Kind::Threads => threads()?,
        Kind::Mio { loops, reads } => mio(loops, reads)?,
        Kind::SalverUdp => return salver_udp(),
        Kind::PlainUdp => return plain_udp(),
    };
    Ok((port, Box::new(|| (0, 0))))
}

fn salver(options: Options) -> io::Result<u16> {
    let listener = Listener::tcp(loopback(), &SocketOptions::default())?;
    let server = Server::new(vec![listener], Echo, options)?;
    let port = server.local_addrs()?.iter().find_map(|address| address.as_inet()).unwrap().port();
    thread::spawn(move || server.serve_forever());
    Ok(port)
}

struct Echo;

impl Handler for Echo {
    type Session = ();

    fn setup(&self, _connection: &Conn<'_>) {}

    fn handle(&self, (): &mut (), stream: &mut Stream, wake: Wake) -> io::Result<Next> {
        if matches!(wake, Wake::Overdue | Wake::Stopping) {
            return Ok(Next::Close);
        }
        let mut bytes = [0; BUFFER_BYTES];
        loop {
            let read = match stream.try_read(&mut bytes) {
                Ok(0) => return Ok(Next::Close),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            if stream.try_write(&bytes[..read])? < read {
                return Err(ErrorKind::WriteZero.into());
            }
            if read < bytes.len() {
                break;
            }
        }
        Ok(Next::Idle(Instant::now() + IDLE_TIMEOUT))
    }
}

fn threads() -> io::Result<u16> {
    let listener = TcpListener::bind(loopback())?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || echo_forever(stream?));
        }
    });
    Ok(port)
}

fn echo_forever(mut stream: std::net::TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut bytes = [0; BUFFER_BYTES];
    loop {
        match stream.read(&mut bytes)? {
            0 => return Ok(()),
            read => stream.write_all(&bytes[..read])?,
        }
    }
}

/// The token of those who are new, which no connection has.
const NEW: Token = Token(usize::MAX);

/// One thread accepts, and deals the connections out to the loops.
fn mio(loops: usize, reads: Reads) -> io::Result<u16> {
    let listener = TcpListener::bind(loopback())?;
    let port = listener.local_addr()?.port();
    let homes = (0..loops).map(|_| {
        let poll = Poll::new()?;
        let waker = mio::Waker::new(poll.registry(), NEW)?;
        let (sender, newcomers) = channel();
        thread::spawn(move || event_loop(poll, &newcomers, reads));
        Ok((sender, waker))
    });
    let homes = homes.collect::<io::Result<Vec<_>>>()?;
    thread::spawn(move || {
        for (stream, (sender, waker)) in listener.incoming().zip(homes.iter().cycle()) {
            sender.send(stream.unwrap()).unwrap();
            waker.wake().unwrap();
        }
    });
    Ok(port)
}

fn event_loop(mut poll: Poll, newcomers: &Receiver<std::net::TcpStream>, reads: Reads) {
    let mut events = Events::with_capacity(1024);
    let mut connections: Vec<Option<TcpStream>> = Vec::new();
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled.unwrap(),
        }
        for event in &events {
            let at = event.token().0;
            if event.token() == NEW {
                newcomers.try_iter().for_each(|stream| register(&poll, &mut connections, stream).unwrap());
            } else if let Some(stream) = &mut connections[at]
                && !echo(stream, reads).unwrap_or(false)
            {
                connections[at] = None;
            }
        }
    }
}

fn register(poll: &Poll, connections: &mut Vec<Option<TcpStream>>, stream: std::net::TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    let mut stream = TcpStream::from_std(stream);
    let free = connections.iter().position(Option::is_none).unwrap_or_else(|| {
        connections.push(None);
        connections.len() - 1
    });
    poll.registry().register(&mut stream, Token(free), Interest::READABLE)?;
    connections[free] = Some(stream);
    Ok(())
}

/// False at the end of the stream.
fn echo(stream: &mut TcpStream, reads: Reads) -> io::Result<bool> {
    let mut bytes = [0; BUFFER_BYTES];
    loop {
        let read = match stream.read(&mut bytes) {
            Ok(0) => return Ok(false),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
            Err(error) => return Err(error),
        };
        stream.write_all(&bytes[..read])?;
        if reads == Reads::UntilShort && read < bytes.len() {
            return Ok(true);
        }
    }
}

fn salver_udp() -> io::Result<(u16, Seen)> {
    let handled = Arc::new(AtomicU64::new(0));
    let server = UdpServer::bind(loopback(), UdpEcho(Arc::clone(&handled)))?;
    let (port, losses) = (server.local_addr()?.as_inet().unwrap().port(), server.losses());
    thread::spawn(move || server.serve_forever());
    Ok((port, Box::new(move || (handled.load(Ordering::SeqCst), losses.count()))))
}

/// Counts first: who has an echo finds it counted.
struct UdpEcho(Arc<AtomicU64>);

impl DatagramHandler for UdpEcho {
    fn handle(&self, datagram: &[u8], sender: &Sender<'_>) -> io::Result<()> {
        self.0.fetch_add(1, Ordering::SeqCst);
        sender.reply(datagram)
    }
}

fn plain_udp() -> io::Result<(u16, Seen)> {
    let socket = Arc::new(UdpSocket::bind(loopback())?);
    let port = socket.local_addr()?.port();
    let handled = Arc::new(AtomicU64::new(0));
    let (echoing, counting) = (Arc::clone(&socket), Arc::clone(&handled));
    thread::spawn(move || {
        let mut bytes = [0; 65_535];
        while let Ok((read, peer)) = echoing.recv_from(&mut bytes) {
            counting.fetch_add(1, Ordering::SeqCst);
            echoing.send_to(&bytes[..read], peer).unwrap();
        }
    });
    Ok((port, Box::new(move || (handled.load(Ordering::SeqCst), super::load::dropped(&socket)))))
}

fn loopback() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}
