//! Every limit and choice of this layer, in one place.

use std::sync::OnceLock;
use std::time::Duration;

/// How a [`Server`](super::Server) runs its connections. [`Options::default`] is right for most machines.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Workers (threads) that run handlers; at least 1. Default: the cores of the machine, at least 2.
    pub workers: usize,
    /// Groups of workers, each with a queue and a poller of its own, so that many cores don't wait for each other; at most one
    /// for each worker. Default: 0, which is one for each 8 workers that have a core, or part of them.
    pub shards: usize,
    /// Workers in all, counting the spare ones that start while others wait in blocking code. Default: 256.
    pub workers_max: usize,
    /// Open connections. When there are so many, those that are [idle](super::Next::Idle) give way to new ones, the longest
    /// idle first; where none is, new ones wait in the listener's backlog. Default: what the descriptor limit allows, at most 16,384.
    pub connections_max: usize,
    /// Open connections of one client: an IPv4 address, or the IPv6 addresses that share 64 bits. More are refused. Default:
    /// 0, which is no limit.
    pub connections_per_client_max: usize,
    /// How long a spare worker stays without work. Default: 10 s.
    pub spare_idle_timeout: Duration,
    /// How long a stop lets connections finish what is under way before they are cut. Default: 10 s.
    pub stop_timeout: Duration,
}

/// So many workers share a queue by default.
const WORKERS_PER_SHARD: usize = 8;

/// Connections that are open at once at most, whatever the descriptor limit allows.
pub const CONNECTIONS_CEILING: usize = 16_384;

/// Descriptors kept for everything but connections: listeners, poller, log, and the files a handler holds open.
pub const DESCRIPTORS_RESERVED: usize = 1_280;

impl Options {
    /// The options of each shard: its part of all there is.
    pub(super) fn of_each_shard(&self) -> Vec<Self> {
        self.of_each_shard_with(cores())
    }

    fn of_each_shard_with(&self, cores: usize) -> Vec<Self> {
        let enough = self.workers.min(cores).div_ceil(WORKERS_PER_SHARD);
        let shards = if self.shards == 0 { enough } else { self.shards };
        let shards = shards.clamp(1, self.workers.min(self.connections_max).max(1));
        let part = |all: usize, number: usize| all / shards + usize::from(number < all % shards);
        let of_shard = |number| Self {
            workers: part(self.workers, number),
            shards: 1,
            workers_max: part(self.workers_max, number),
            connections_max: part(self.connections_max, number),
            ..self.clone()
        };
        (0..shards).map(of_shard).collect()
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            workers: cores().max(2),
            shards: 0,
            workers_max: 256,
            connections_max: connections_allowed(),
            connections_per_client_max: 0,
            spare_idle_timeout: Duration::from_secs(10),
            stop_timeout: Duration::from_secs(10),
        }
    }
}

/// The cores that this process may use, as it was asked first: the system takes a dozen calls to tell. 2 where that isn't
/// known.
pub(crate) fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(2, usize::from))
}

/// The connections that this process's descriptor limit leaves room for. Raise the soft limit first.
#[must_use]
pub fn connections_allowed() -> usize {
    (descriptor_limit() - descriptors_reserved()).clamp(1, CONNECTIONS_CEILING)
}

/// The descriptors that [`connections_allowed`] leaves for everything else: [`DESCRIPTORS_RESERVED`], or half of a limit
/// that is low.
#[must_use]
pub fn descriptors_reserved() -> usize {
    DESCRIPTORS_RESERVED.min(descriptor_limit() / 2)
}

fn descriptor_limit() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// Options of a listening socket and of the connections it accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketOptions {
    /// Connections that the kernel keeps ready while the acceptor is busy, if the system lets it. Default: 4,096.
    pub backlog: i32,
    /// TCP_NODELAY: small writes leave at once. Default: true.
    pub nodelay: bool,
    /// SO_REUSEADDR: an address in TIME-WAIT can be bound again. Default: true.
    pub reuse_address: bool,
    /// SO_REUSEPORT: several processes may listen on one address; hides that a port is taken. Default: false.
    pub reuse_port: bool,
    /// TCP_DEFER_ACCEPT (Linux): a connection is accepted once its first bytes are there, or about a second later; it saves
    /// a wait where the client speaks first, and delays the greeting where the server does. Default: false.
    pub defer_accept: bool,
    /// TCP_CONGESTION (Linux): the connections of a listener on a loopback address have Reno, whatever the system has for
    /// others. No link lies between two ends on one machine, so there is nothing to learn of it, and BBR's pacing by timers
    /// costs large answers a third to a half of the processor time. Default: true.
    pub reno_on_loopback: bool,
    /// SO_KEEPALIVE: a peer that vanished without a word is noticed, after hours by default of the system. Default: false, as
    /// deadlines notice sooner.
    pub keepalive: bool,
    /// SO_RCVBUF in bytes, of each connection, or of the socket of a [`UdpServer`](super::UdpServer). Default: none, which
    /// leaves it to the system to fit them to the connection; a `UdpServer` asks for 4 MiB then, as far as the system
    /// allows (`net.core.rmem_max`), so that bursts are not lost.
    pub receive_buffer_bytes: Option<usize>,
    /// SO_SNDBUF in bytes, of each connection. Default: none, as above.
    pub send_buffer_bytes: Option<usize>,
    /// How long a blocking read of [`Stream`](super::Stream) waits for its peer before it fails with `TimedOut`, where no
    /// [deadline](super::Stream::set_deadline) says more: Python's `StreamRequestHandler.timeout`. Handlers that don't wait
    /// give deadlines of their own. Default: none, which is 65 s.
    pub receive_timeout: Option<Duration>,
    /// The mode of a UNIX socket's file: who may write may connect. Default: none, which is what the umask leaves.
    pub unix_mode: Option<u32>,
    /// IPV6_V6ONLY: `[::]` takes no IPv4 connections. Default: false.
    pub v6_only: bool,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            backlog: 4_096,
            nodelay: true,
            reuse_address: true,
            reuse_port: false,
            defer_accept: false,
            reno_on_loopback: true,
            keepalive: false,
            receive_buffer_bytes: None,
            send_buffer_bytes: None,
            receive_timeout: None,
            unix_mode: None,
            v6_only: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_have_all_there_is_between_them() {
        for (shards, workers, connections_max, expected) in
            [(1, 2, 10, 1), (2, 2, 10, 2), (3, 8, 10, 3), (9, 4, 10, 4), (9, 4, 3, 3), (0, 1, 1, 1)]
        {
            let options = Options { shards, workers, connections_max, ..Options::default() };
            let parts = options.of_each_shard();
            assert_eq!(parts.len(), expected, "{options:?}");
            assert_eq!(parts.iter().map(|part| part.workers).sum::<usize>(), workers);
            assert_eq!(parts.iter().map(|part| part.workers_max).sum::<usize>(), options.workers_max);
            assert_eq!(parts.iter().map(|part| part.connections_max).sum::<usize>(), connections_max);
            assert!(parts.iter().all(|part| part.workers > 0 && part.connections_max > 0), "{parts:?}");
        }
    }

    #[test]
    fn a_shard_has_as_many_workers_as_one_queue_is_good_for() {
        for (workers, cores, expected) in [(2, 1, 1), (8, 8, 1), (9, 9, 2), (64, 64, 8), (4, 64, 1), (64, 2, 1)] {
            let options = Options { workers, connections_max: 99, ..Options::default() };
            assert_eq!(options.of_each_shard_with(cores).len(), expected, "{workers} {cores}");
        }
    }
}
