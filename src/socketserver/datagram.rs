//! Servers of datagrams: UDP, and UNIX sockets of that kind.
//!
//! A datagram is a message of its own, so there are no connections and nothing to park: each worker waits for the socket,
//! takes what is there, one datagram at a time, and hands it to the [`DatagramHandler`].

use std::io;
use std::marker::PhantomData;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use log::Level;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvFlags, SendFlags, SocketAddrAny, getsockname, recvfrom, sendto};
use socket2::{Domain, Protocol, Socket, Type};

use super::address::{Address, UnixName};
use super::bind::ListenError;
use super::crew::{Crew, slow};
use super::listener::set_buffers;
use super::losses::Losses;
use super::options::{Options, SocketOptions};
use super::pool::unless_panicked;
use super::socket_file::{SocketFile, give_mode, lock_folder, remove_stale};
use super::stop::{Stop, Stopper};
use super::throttle::Throttle;

/// The longest datagram of UDP, and what is taken of others where nothing else is asked for: UNIX sockets have longer ones.
pub const DATAGRAM_BYTES_MAX: usize = 65_535;

/// What a UDP socket asks the system to keep for it, where nothing is said of that. Datagrams come in bursts, and nobody sends
/// again what finds no room. The system gives what it allows.
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;

/// Datagrams that a worker takes before it looks whether the server stops.
const BATCH: usize = 64;

/// How long a worker stands back when receiving fails.
const RECEIVE_PAUSE: Duration = Duration::from_millis(10);

/// How often losses are looked for, and housekeeping done.
const SERVICE_INTERVAL: Duration = Duration::from_secs(1);

/// How long a reply waits for room.
const SEND_PATIENCE: Duration = Duration::from_secs(1);

/// How long it waits between attempts where nothing tells of room, at first and at last.
const SEND_PAUSE: Duration = Duration::from_millis(1);
const SEND_PAUSE_MAX: Duration = Duration::from_millis(50);

/// How long a stop waits for what has come to be handled.
const FAREWELL: Duration = Duration::from_secs(10);

/// How long then for each worker to finish what it is at.
const LAST_FAREWELL: Duration = Duration::from_millis(500);

/// What to do with datagrams. One handler serves them all, from several threads at once; a panic costs the reply to one
/// datagram. For work that takes long or waits there is [`slow`](super::slow).
pub trait DatagramHandler: Send + Sync + 'static {
    /// Says whether datagrams of this peer are handled at all.
    fn verify(&self, peer: &Address) -> bool {
        let _ = peer;
        true
    }

    /// Handles one datagram. An error is logged, and the next one handled.
    ///
    /// # Errors
    /// What replying says, mostly.
    fn handle(&self, datagram: &[u8], sender: &Sender<'_>) -> io::Result<()>;

    /// Is told of a datagram that was longer than is taken: its first bytes, and how many it had (at least: only Linux tells
    /// of those that didn't fit). By default an error.
    ///
    /// # Errors
    /// As [`handle`](Self::handle).
    fn oversized(&self, start: &[u8], bytes: usize, sender: &Sender<'_>) -> io::Result<()> {
        let _ = sender;
        let reason = format!("it has {bytes} bytes, where {} are taken; it is dropped", start.len());
        Err(io::Error::new(io::ErrorKind::InvalidData, reason))
    }

    /// Runs about once a second on a worker, for housekeeping; it should be quick.
    fn service_actions(&self) {}
}

/// Has the system tell the whole length of a datagram that doesn't fit.
#[cfg(target_os = "linux")]
const WHOLE_LENGTH: RecvFlags = RecvFlags::TRUNC;
#[cfg(not(target_os = "linux"))]
const WHOLE_LENGTH: RecvFlags = RecvFlags::empty();

/// Who sent a datagram, and the way back.
#[derive(Debug)]
pub struct Sender<'a> {
    socket: &'a Socket,
    peer: Address,
    way: Option<SocketAddrAny>,
}

impl Sender<'_> {
    /// Where the datagram came from.
    #[must_use]
    pub fn peer(&self) -> &Address {
        &self.peer
    }

    /// Sends a datagram back. It waits for room in the socket's buffer, or in that of a peer at a UNIX socket, for a second at
    /// most.
    ///
    /// # Errors
    /// `NotConnected` when the peer has no address, as UNIX sockets that were never bound; else what the system says.
    pub fn reply(&self, datagram: &[u8]) -> io::Result<()> {
        let nowhere = || io::Error::new(io::ErrorKind::NotConnected, "the peer has no address to reply to");
        let way = self.way.as_ref().filter(|_| self.peer != Address::Unix(UnixName::Unnamed)).ok_or_else(nowhere)?;
        let until = Instant::now() + SEND_PATIENCE;
        let mut pause = Duration::ZERO;
        loop {
            match sendto(self.socket, datagram, SendFlags::NOSIGNAL, way) {
                Err(rustix::io::Errno::AGAIN) if Instant::now() < until => slow(|| {
                    self.wait_for_room(until);
                    // The second time it is the peer, at a UNIX socket, who has no room: nothing tells of that.
                    thread::sleep(pause);
                    pause = (2 * pause).clamp(SEND_PAUSE, SEND_PAUSE_MAX);
                }),
                sent => return sent.map(drop).map_err(io::Error::from),
            }
        }
    }

    fn wait_for_room(&self, until: Instant) {
        let timeout = Timespec::try_from(until.saturating_duration_since(Instant::now())).ok();
        // Whatever it says, the next attempt tells.
        let _ = poll(&mut [PollFd::new(self.socket, PollFlags::OUT)], timeout.as_ref());
    }
}

/// The kind of a [`UdpServer`].
#[derive(Debug)]
pub enum Udp {}

/// The kind of a [`UnixDatagramServer`].
#[derive(Debug)]
pub enum UnixDatagram {}

/// Serves datagrams over UDP.
pub type UdpServer<H> = DatagramServer<H, Udp>;

/// Serves datagrams over a UNIX socket.
pub type UnixDatagramServer<H> = DatagramServer<H, UnixDatagram>;

/// Has a [`DatagramHandler`] handle datagrams, until it is told to stop.
#[derive(Debug)]
pub struct DatagramServer<H, K> {
    shared: Arc<Shared<H>>,
    /// What to remove when it ends.
    file: Option<SocketFile>,
    options: Options,
    kind: PhantomData<K>,
}

#[derive(Debug)]
struct Shared<H> {
    socket: Arc<Socket>,
    handler: H,
    datagram_bytes_max: usize,
    stop: Arc<Stop>,
    /// What has come by now is not handled any more.
    is_over: AtomicBool,
    spare_idle_timeout: Duration,
    epoch: Instant,
    /// Milliseconds since then.
    service_due: AtomicU64,
    /// Lines of the log that peers cause.
    failed: Throttle,
    losses: Losses,
    /// How many of them the log has.
    losses_told: AtomicU64,
}

impl<H: DatagramHandler> DatagramServer<H, Udp> {
    /// Receives at a UDP address: the first one that can be taken, where a name has several. Port 0 is any free one.
    ///
    /// # Errors
    /// When the address means nothing; a [`ListenError`](super::ListenError) when the system refuses it.
    pub fn bind(address: impl ToSocketAddrs, handler: H) -> io::Result<Self> {
        let mut refused = io::Error::new(io::ErrorKind::InvalidInput, "the name has no address");
        for address in address.to_socket_addrs()? {
            match udp(address, &SocketOptions::default()) {
                Ok(socket) => return Self::new(socket, None, handler, Options::default()),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    /// Receives at a UDP address, with options: of `options` those count that are about workers.
    ///
    /// # Errors
    /// A [`ListenError`](super::ListenError) with what the system says of the address.
    pub fn with(address: SocketAddr, sockets: &SocketOptions, handler: H, options: Options) -> io::Result<Self> {
        Self::new(udp(address, sockets)?, None, handler, options)
    }
}

impl<H: DatagramHandler> DatagramServer<H, UnixDatagram> {
    /// Receives at a UNIX socket. Its file is replaced, and goes, as that of [`Listener::unix`](super::Listener::unix).
    ///
    /// # Errors
    /// As [`Listener::unix`](super::Listener::unix).
    pub fn bind(name: &UnixName, handler: H) -> io::Result<Self> {
        Self::with(name, &SocketOptions::default(), handler, Options::default())
    }

    /// Receives at a UNIX socket, with options: of `options` those count that are about workers.
    ///
    /// # Errors
    /// As [`Listener::unix`](super::Listener::unix).
    pub fn with(name: &UnixName, sockets: &SocketOptions, handler: H, options: Options) -> io::Result<Self> {
        let address = Address::Unix(name.clone());
        let (socket, file) = unix_datagrams(name, sockets).map_err(ListenError::at(&address))?;
        Self::new(socket, file, handler, options)
    }
}

fn unix_datagrams(name: &UnixName, options: &SocketOptions) -> io::Result<(Socket, Option<SocketFile>)> {
    let address = name.to_system()?;
    let socket = Socket::new(Domain::UNIX, Type::DGRAM, None)?;
    set_buffers(&socket, options)?;
    socket.set_nonblocking(true)?;
    let UnixName::Path(path) = name else {
        socket.bind(&address)?;
        return Ok((socket, None));
    };
    let _lock = lock_folder(path);
    remove_stale(path, Type::DGRAM)?;
    // Before the bind: from then on it receives.
    give_mode(&socket, options.unix_mode)?;
    socket.bind(&address)?;
    let file = SocketFile::new(path, options.unix_mode)?;
    Ok((socket, Some(file)))
}

fn udp(address: SocketAddr, options: &SocketOptions) -> io::Result<Socket> {
    udp_at(address, options).map_err(ListenError::at(&address))
}

fn udp_at(address: SocketAddr, options: &SocketOptions) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(options.v6_only)?;
    }
    // Not SO_REUSEADDR: with UDP that lets a second server take the port from the first.
    if options.reuse_port {
        socket.set_reuse_port(true)?;
    }
    set_buffers(&socket, options)?;
    if options.receive_buffer_bytes.is_none() {
        // A system that allows less and says so (Linux gives less) is asked for less.
        let (present, mut bytes) = (socket.recv_buffer_size().unwrap_or(usize::MAX), RECEIVE_BUFFER_BYTES);
        while bytes > present && socket.set_recv_buffer_size(bytes).is_err() {
            bytes /= 2;
        }
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

impl<H: DatagramHandler, K> DatagramServer<H, K> {
    fn new(socket: Socket, file: Option<SocketFile>, handler: H, options: Options) -> io::Result<Self> {
        let socket = Arc::new(socket);
        let losses = Losses::of(&socket);
        let shared = Arc::new(Shared {
            socket,
            handler,
            datagram_bytes_max: DATAGRAM_BYTES_MAX,
            stop: Arc::new(Stop::new()?),
            is_over: AtomicBool::new(false),
            spare_idle_timeout: options.spare_idle_timeout,
            epoch: Instant::now(),
            service_due: AtomicU64::new(0),
            failed: Throttle::default(),
            losses,
            losses_told: AtomicU64::new(0),
        });
        Ok(Self { shared, file, options, kind: PhantomData })
    }

    /// Takes datagrams of so many bytes; longer ones are [oversized](DatagramHandler::oversized). Default:
    /// [`DATAGRAM_BYTES_MAX`].
    #[must_use]
    pub fn datagram_bytes_max(mut self, bytes: usize) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.datagram_bytes_max = bytes;
        }
        self
    }

    /// Where it receives.
    ///
    /// # Errors
    /// What the system says of a socket that is no longer there.
    pub fn local_addr(&self) -> io::Result<Address> {
        Ok(Address::of(Some(getsockname(&self.shared.socket)?)))
    }

    /// A handle that stops the server from another thread.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper { stop: Arc::clone(&self.shared.stop) }
    }

    /// Datagrams that the system has thrown away so far, as they came faster than they were handled; on Linux. Each second
    /// in which there are more has a line in the log.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.shared.losses.count()
    }

    /// A handle that tells the same while the server serves.
    #[must_use]
    pub fn losses(&self) -> Losses {
        self.shared.losses.clone()
    }

    /// Waits for one datagram, handles it, and returns. False when the server was told to stop before.
    ///
    /// # Errors
    /// When waiting fails.
    pub fn handle_one(&self) -> io::Result<bool> {
        let mut buffer = self.shared.buffer();
        loop {
            if self.shared.stop.is_requested() {
                return Ok(false);
            }
            match self.shared.handle_next(&mut buffer) {
                Ok(true) => return Ok(true),
                Ok(false) => self.shared.wait(None)?,
                Err(error) => self.shared.stand_back(&error),
            }
        }
    }

    /// Serves until [`Stopper::shutdown`] is called, and then what has come by then, for 10 s at most. When it returns the
    /// address is free and the handler has been dropped, unless it still runs somewhere.
    ///
    /// # Errors
    /// When the workers can't be started.
    pub fn serve_forever(self) -> io::Result<()> {
        let Self { shared, file, options, .. } = self;
        let crew = Crew::new(options.workers_max.max(options.workers));
        let (weak, its_crew) = (Arc::downgrade(&shared), Arc::downgrade(&crew));
        crew.on_hire(move |spare| {
            let (shared, crew) = (weak.upgrade()?, its_crew.upgrade()?);
            Some(Box::new(move || shared.work_on(&crew, spare)))
        });
        let started = (0..options.workers.max(1)).try_for_each(|_| crew.hire(false));
        if started.is_err() {
            shared.stop.request();
        }
        while !shared.stop.is_requested() {
            // A signal ends poll(2) early; then it waits again.
            let _ = poll(&mut [PollFd::new(&*shared.stop, PollFlags::IN)], None);
        }
        crew.end_rest();
        // Who comes now finds nobody; who has come is answered.
        drop(file);
        shared.losses.end();
        if !crew.wait_until_gone(FAREWELL) {
            log::warn!("what had come was not handled in {} s; the rest of it is dropped", FAREWELL.as_secs());
            shared.is_over.store(true, Ordering::SeqCst);
            crew.wait_until_gone(LAST_FAREWELL);
        }
        // The last count: the socket goes now.
        shared.tell_losses();
        started
    }
}

impl<H: DatagramHandler> Shared<H> {
    /// A worker's life.
    fn work_on(&self, crew: &Crew, spare: bool) {
        while unless_panicked(|| self.work(crew, spare)).is_none() {
            log::error!("a worker panicked outside of its handler; it begins anew");
        }
    }

    /// Works until it is told to leave, or nobody needs it.
    fn work(&self, crew: &Crew, spare: bool) {
        let mut buffer = self.buffer();
        let mut idle_since = Instant::now();
        loop {
            // Asked first: what came before a stop is then handled.
            let is_stopping = self.stop.is_requested();
            let mut handled = 0;
            while handled < BATCH && !self.is_over.load(Ordering::SeqCst) {
                match self.handle_next(&mut buffer) {
                    Ok(true) => handled += 1,
                    Ok(false) => break,
                    Err(error) => {
                        self.stand_back(&error);
                        break;
                    }
                }
            }
            if handled > 0 && !self.is_over.load(Ordering::SeqCst) {
                idle_since = Instant::now();
                // As in `pool.rs`, where cores are scarce the clients have their turn first: more has come then, and
                // neither this worker nor another, whom the next datagram would wake, has to wait for it.
                thread::yield_now();
                if spare && crew.has_surplus() && !crew.rest(self.spare_idle_timeout) {
                    break;
                }
            } else if is_stopping {
                crew.leave();
                break;
            } else if spare && idle_since.elapsed() >= self.spare_idle_timeout && crew.may_leave() {
                break;
            } else if let Err(error) = self.wait(Some(SERVICE_INTERVAL)) {
                log::error!("waiting for datagrams failed: {error}");
                thread::sleep(Duration::from_millis(10));
            }
            self.service_actions();
        }
    }

    /// Waits for a datagram, or a stop.
    fn wait(&self, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let mut sources = [PollFd::new(&self.socket, PollFlags::IN), PollFd::new(&*self.stop, PollFlags::IN)];
        match poll(&mut sources, timeout.as_ref()) {
            Err(rustix::io::Errno::INTR) | Ok(_) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Receiving failed, perhaps over what became of an earlier reply; the next datagram may be there.
    fn stand_back(&self, error: &io::Error) {
        self.failed.say(Level::Warn, format_args!("receiving failed: {error}"));
        thread::sleep(RECEIVE_PAUSE);
    }

    /// With room for a byte more than is taken, so that one that is longer shows everywhere.
    fn buffer(&self) -> Vec<u8> {
        vec![0; self.datagram_bytes_max.saturating_add(1)]
    }

    /// Takes a datagram and has it handled; false when there is none.
    fn handle_next(&self, buffer: &mut [u8]) -> io::Result<bool> {
        let (taken, bytes, way) = match recvfrom(&self.socket, &mut *buffer, WHOLE_LENGTH) {
            Ok(received) => received,
            Err(rustix::io::Errno::AGAIN) => return Ok(false),
            Err(errno) => return Err(errno.into()),
        };
        let sender = Sender { socket: &self.socket, peer: Address::of(way.clone()), way };
        let datagram = &buffer[..taken.min(self.datagram_bytes_max)];
        let handled = unless_panicked(|| match bytes {
            _ if !self.handler.verify(&sender.peer) => Ok(()),
            _ if bytes > datagram.len() => self.handler.oversized(datagram, bytes, &sender),
            _ => self.handler.handle(datagram, &sender),
        });
        match handled {
            Some(Ok(())) => {}
            Some(Err(error)) => self.failed.say(Level::Info, format_args!("{}: a datagram: {error}", sender.peer)),
            None => log::error!("{}: a handler panicked over a datagram", sender.peer),
        }
        Ok(true)
    }

    /// Housekeeping, by whoever comes first each second.
    fn service_actions(&self) {
        let now = u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (due, next) = (self.service_due.load(Ordering::Relaxed), now + SERVICE_INTERVAL.as_millis() as u64);
        if now < due || self.service_due.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return;
        }
        self.tell_losses();
        self.failed.catch_up();
        if unless_panicked(|| self.handler.service_actions()).is_none() {
            log::error!("a handler panicked in service_actions");
        }
    }

    fn tell_losses(&self) {
        let lost = self.losses.count();
        let told = self.losses_told.fetch_max(lost, Ordering::Relaxed);
        if lost > told {
            log::warn!("{} datagrams were lost: they came faster than they are handled", lost - told);
        }
    }
}
