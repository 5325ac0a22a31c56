//! [`Server`]: listeners, a pool, and a way to stop.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, poll};

use super::acceptor::{Shards, accept_forever};
use super::address::Address;
use super::handler::Handler;
use super::listener::Listener;
use super::options::{Options, SocketOptions};
use super::pool::Pool;
use super::stop::{Stop, Stopper};

/// Accepts connections and has a [`Handler`] serve them, until it is told to stop.
pub struct Server<H: Handler> {
    listeners: Vec<Listener>,
    handler: H,
    options: Options,
    stop: Arc<Stop>,
}

impl<H: Handler> Server<H> {
    /// Listens on a TCP address (all of them, where a name has several) with default options.
    ///
    /// # Errors
    /// When the address means nothing, or the system refuses it.
    pub fn bind(address: impl ToSocketAddrs, handler: H) -> io::Result<Self> {
        let addresses: Vec<SocketAddr> = address.to_socket_addrs()?.collect();
        let listen = |address: &SocketAddr| Listener::tcp(*address, &SocketOptions::default());
        let listeners = addresses.iter().map(listen).collect::<io::Result<Vec<_>>>()?;
        Self::new(listeners, handler, Options::default())
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

    /// Serves until [`Stopper::shutdown`] is called. Then it accepts what the backlog holds, lets what is under way finish
    /// (`options.stop_timeout`), and returns when all connections are closed.
    ///
    /// # Errors
    /// When the pool or its threads can't be started.
    pub fn serve_forever(self) -> io::Result<()> {
        let shards = Pool::shards(self.handler, &self.options, &self.stop)?;
        let workers = self.options.of_each_shard();
        let started = shards.iter().zip(workers).try_for_each(|(shard, options)| shard.start(options.workers));
        let acceptors = started.and_then(|()| {
            let acceptors = self.listeners.into_iter().map(|listener| {
                let (shards, stop) = (Shards::new(shards.clone()), Arc::clone(&self.stop));
                thread::Builder::new()
                    .name("acceptor".to_owned())
                    .spawn(move || accept_forever(listener, shards, &stop))
            });
            acceptors.collect::<io::Result<Vec<_>>>()
        });
        match &acceptors {
            Ok(_) => wait_for(&self.stop),
            Err(_) => self.stop.request(),
        }
        let acceptors = acceptors.map(|threads| threads.into_iter().for_each(|thread| drop(thread.join())));
        let until = Instant::now() + self.options.stop_timeout;
        shards.iter().for_each(|shard| shard.say_stop());
        shards.iter().for_each(|shard| shard.wind_down(until));
        acceptors
    }
}

fn wait_for(stop: &Stop) {
    while !stop.is_requested() {
        // A signal ends poll(2) early; then it waits again.
        let _ = poll(&mut [PollFd::new(stop, PollFlags::IN)], None);
    }
}
