//! Sockets, threads and deadlines: Python's `socketserver` done for Rust.
//!
//! Write a [`Handler`], hand it to a [`Server`], call [`Server::serve_forever`]; for datagrams it is a [`DatagramHandler`]
//! and a [`UdpServer`] or [`UnixDatagramServer`]. [`framing`] takes a byte stream apart into messages.
//!
//! An acceptor thread per listener queues connections for a pool of workers; a connection that waits for its peer is parked
//! and costs a socket and some hundred bytes, never a thread. This layer knows nothing of HTTP or files.
//!
//! Reading order: `handler` (what a protocol says), `address`, `stream`, `listener`, `acceptor` (and `clients`), `pool`
//! (workers and their queue), `crew` (spare workers), `parking` and `poller` (who waits, who is ready), `server`;
//! `datagram`, `framing` and `throttle` stand by themselves.

mod acceptor;
mod address;
mod alarm;
mod bind;
mod blocking;
mod clients;
mod crew;
mod datagram;
pub mod framing;
mod handler;
mod inherited;
mod listener;
mod one;
mod options;
mod parking;
mod poller;
mod pool;
mod server;
#[cfg(feature = "stages")]
#[doc(hidden)]
pub mod stages;
mod stop;
mod stream;
mod throttle;

pub use address::{Address, Credentials, Peer, UnixName};
pub use bind::{ListenError, ToListeners};
pub use blocking::blocking;
pub use crew::{pause, slow};
pub use datagram::{
    DATAGRAM_BYTES_MAX, DatagramHandler, DatagramServer, Sender, Udp, UdpServer, UnixDatagram, UnixDatagramServer,
};
pub use handler::{Conn, End, Handler, Interest, Next, Wake, Waker};
pub use listener::Listener;
pub use options::{
    CONNECTIONS_CEILING, DESCRIPTORS_RESERVED, Options, SocketOptions, connections_allowed, descriptors_reserved,
};
pub use server::Server;
pub use stop::Stopper;
pub use stream::{Reader, Stream, Writer};
pub use throttle::Throttle;
