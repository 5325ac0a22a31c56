//! [`Server`]: listeners, a pool, and a way to stop.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};

use super::acceptor::{self, Shards, concerns_one_connection};
use super::address::Address;
use super::bind::ToListeners;
use super::handler::Handler;
use super::listener::Listener;
use super::one::serve_one;
use super::options::{Options, SocketOptions};
use super::pool::Pool;
use super::stop::{Stop, Stopper};

/// How long a stop waits that may wait for longer than the clock can tell.
const STOP_TIMEOUT_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// Accepts connections and has a [`Handler`] serve them, until it is told to stop.
///
/// # Examples
/// An echo, on a port of the system's choice, that another thread stops:
///
/// ```
/// use std::io::{BufRead, BufReader, Read, Write};
/// use salver::socketserver::{Server, blocking};
///
/// let server = Server::bind("127.0.0.1:0", blocking(|stream| {
///     let (reader, mut writer) = stream.split();
///     reader.lines().try_for_each(|line| writeln!(writer, "{}", line?))
/// }))?;
/// let (address, stopper) = (server.local_addrs()?[0].as_inet().unwrap(), server.stopper());
/// let thread = std::thread::spawn(|| server.serve_forever());
///
/// let mut client = std::net::TcpStream::connect(address)?;
/// client.write_all(b"hello\n")?;
/// let mut line = String::new();
/// BufReader::new(&client).read_line(&mut line)?;
/// assert_eq!(line, "hello\n");
///
/// stopper.shutdown();
/// thread.join().unwrap()?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Server<H: Handler> {
    listeners: Vec<Listener>,
    handler: H,
    options: Options,
    stop: Arc<Stop>,
}

impl<H: Handler> Server<H> {
    /// Listens at an address with default options: `"127.0.0.1:9000"`, `"unix:/run/echo.sock"`, a `SocketAddr`, or
    /// whatever else [`ToListeners`] is made for.
    ///
    /// # Errors
    /// A [`ListenError`](super::ListenError), which names the address, when that means nothing or the system refuses it.
    pub fn bind(address: impl ToListeners, handler: H) -> io::Result<Self> {
        Self::new(address.to_listeners(&SocketOptions::default())?, handler, Options::default())
    }

    /// Serves connections of these listeners.
    ///
    /// # Errors
    /// When the system has no descriptors left.
    pub fn new(listeners: Vec<Listener>, handler: H, options: Options) -> io::Result<Self> {
        Ok(Self { listeners, handler, options, stop: Arc::new(Stop::new()?) })
    }

    /// Where it listens, with the ports that were really taken.
    ///
    /// # Errors
    /// What the system says of a socket that is no longer there.
    pub fn local_addrs(&self) -> io::Result<Vec<Address>> {
        self.listeners.iter().map(Listener::local_address).collect()
    }

    /// A handle that stops the server from another thread.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper { stop: Arc::clone(&self.stop) }
    }

    /// Waits for one connection, serves it to its end on this thread, and returns: Python's `handle_request`. Waiting code
    /// and wakers work as they do in a pool; limits and options of the pool don't count. False when the server was told to
    /// stop before anybody came.
    ///
    /// # Errors
    /// When the system refuses a connection, or has no descriptors left.
    pub fn handle_one(&self) -> io::Result<bool> {
        while !self.stop.is_requested() {
            for listener in &self.listeners {
                match listener.accept(&self.stop) {
                    Ok(stream) => return serve_one(&self.handler, stream, &self.stop).map(|()| true),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock || concerns_one_connection(&error) => {}
                    Err(error) => return Err(error),
                }
            }
            self.wait_for_connection();
        }
        Ok(false)
    }

    fn wait_for_connection(&self) {
        let listeners = self.listeners.iter().map(|listener| PollFd::new(listener, PollFlags::IN));
        let mut sources: Vec<_> = listeners.chain([PollFd::new(&*self.stop, PollFlags::IN)]).collect();
        // A signal ends poll(2) early; then it is called again.
        let _ = poll(&mut sources, None);
    }

    /// Serves until [`Stopper::shutdown`] is called. Then it accepts what the backlog holds, lets what is under way finish
    /// (`options.stop_timeout`), and returns when all connections are closed; the handler has been dropped then, unless it
    /// still runs somewhere.
    ///
    /// # Errors
    /// When the pool or its threads can't be started.
    pub fn serve_forever(self) -> io::Result<()> {
        let shards = Pool::shards(self.handler, &self.options, &self.stop)?;
        let workers = self.options.of_each_shard();
        let mut started = shards.iter().zip(workers).try_for_each(|(shard, options)| shard.start(options.workers));
        let mut acceptors = Vec::new();
        for listener in self.listeners {
            started = started.and_then(|()| {
                let (shards, stop) = (Shards::new(shards.clone()), Arc::clone(&self.stop));
                let accept = move || acceptor::run(listener, shards, &stop);
                acceptors.push(thread::Builder::new().name("acceptor".to_owned()).spawn(accept)?);
                Ok(())
            });
        }
        match &started {
            Ok(()) => wait_for(&self.stop),
            Err(_) => self.stop.request(),
        }
        acceptors.into_iter().for_each(|thread| drop(thread.join()));
        let until = Instant::now() + self.options.stop_timeout.min(STOP_TIMEOUT_MAX);
        shards.iter().for_each(|shard| shard.say_stop());
        shards.iter().for_each(|shard| shard.wind_down(until));
        started
    }
}

fn wait_for(stop: &Stop) {
    while !stop.is_requested() {
        // A signal ends poll(2) early; then it waits again.
        let _ = poll(&mut [PollFd::new(stop, PollFlags::IN)], None);
    }
}
