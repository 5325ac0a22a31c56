//! Sockets, threads and deadlines: Python's `socketserver` done for Rust.
//!
//! ```no_run
//! use salver::socketserver::{Server, blocking};
//! use std::io::{BufRead, Write};
//!
//! fn main() -> std::io::Result<()> {
//!     let echo = blocking(|stream| {
//!         let (reader, mut writer) = stream.split();
//!         reader.lines().try_for_each(|line| writeln!(writer, "{}", line?))
//!     });
//!     Server::bind("127.0.0.1:9000", echo)?.serve_forever()
//! }
//! ```
//!
//! With `"unix:/tmp/echo.sock"` for an address it does the same on a UNIX socket. For datagrams there are a
//! [`DatagramHandler`] and a [`UdpServer`] or [`UnixDatagramServer`]; [`framing`] takes a byte stream apart into messages.
//!
//! # Which style of handler
//!
//! - **[`blocking`]**, a function a connection that reads and writes as if it were alone: the simplest, and right for some
//!   hundred clients at once, as one that waits costs a thread ([`Options::workers_max`] of them at most).
//! - A **[`Handler`]** that doesn't wait, with a session a connection: for thousands of clients, as one that waits is parked
//!   and costs a socket and some hundred bytes. Others can call it ([`Waker`]) or send through it ([`Outbox`]), and
//!   everything has a deadline.
//!
//! Both may mix: a `Handler` may use the waiting calls of [`Stream`] now and then, and declare work that takes long as
//! [`slow`].
//!
//! # From Python's socketserver to salver
//!
//! | Python | here |
//! |---|---|
//! | `TCPServer`, `ThreadingTCPServer` | [`Server::bind("host:port", handler)`](Server::bind); it always serves many at once |
//! | `UnixStreamServer`, `ThreadingUnixStreamServer` | [`Server::bind("unix:/path", handler)`](Server::bind) |
//! | `UDPServer`, `UnixDatagramServer` | [`UdpServer::bind`](DatagramServer::bind), [`UnixDatagramServer`] |
//! | `ThreadingMixIn`, `daemon_threads`, `block_on_close` | a pool of threads: [`Options::workers`], [`Options::workers_max`], [`Options::stop_timeout`] |
//! | `ForkingMixIn` | nothing: a panic ends one connection, as a crash of a child does there |
//! | `BaseRequestHandler` | [`Handler`]; one for all connections, what one remembers is its [`Session`](Handler::Session) |
//! | `StreamRequestHandler`, `rfile`, `wfile` | [`blocking`], [`Stream::split`], [`Reader`], [`Writer`] |
//! | `DatagramRequestHandler` | [`DatagramHandler`], which replies through its [`Sender`] |
//! | `self.request`, `self.client_address`, `self.server` | [`Stream`] or the datagram, [`Stream::peer`] or [`Sender::peer`], `&self` |
//! | `setup()`, `handle()`, `finish()` | [`Handler::setup`], [`Handler::handle`] (each time something happened), [`Handler::finish`] (with the reason, also after an error) |
//! | `verify_request()` | [`Handler::verify`], [`DatagramHandler::verify`] |
//! | `handle_error()` | [`Handler::finish`], with [`End::Failed`] or [`End::Panicked`] |
//! | `service_actions()` | [`Handler::service_actions`], about once a second |
//! | `serve_forever(poll_interval)` | [`Server::serve_forever`]; a stop needs no polling |
//! | `handle_request()` | [`Server::handle_one`], [`DatagramServer::handle_one`] |
//! | `timeout`, `handle_timeout()` of a server | [`Stopper::shutdown`] from another thread |
//! | `shutdown()` | [`Stopper::shutdown`], which doesn't wait; `serve_forever` returns when all is done |
//! | `server_close()`, `with` | dropping the server, or the return of `serve_forever`, which takes it |
//! | `server_address`, `fileno()` | [`Server::local_addrs`], [`DatagramServer::local_addr`]; `AsFd` of [`Listener`] |
//! | `server_bind()`, `server_activate()`, `bind_and_activate` | [`Listener::tcp`], [`Listener::unix`], [`Listener::from_descriptor`], then [`Server::new`] |
//! | `address_family`, `socket_type` | what the address says, and the kind of server |
//! | `allow_reuse_address`, `allow_reuse_port`, `request_queue_size` | [`SocketOptions::reuse_address`] (on here), [`SocketOptions::reuse_port`], [`SocketOptions::backlog`] |
//! | `timeout`, `disable_nagle_algorithm` of a handler | [`SocketOptions::receive_timeout`] or [`Stream::set_deadline`]; [`SocketOptions::nodelay`] (on here) |
//! | `rbufsize`, `wbufsize` | reads are 8 KiB ahead, writes go out at once: wrap a [`Writer`] in a `BufWriter` to gather them |
//! | `max_packet_size` | [`DatagramServer::datagram_bytes_max`]; what is longer is told, not cut |
//! | `get_request()`, `process_request()`, `finish_request()`, `shutdown_request()`, `close_request()` | nothing: steps inside |
//!
//! # Inside
//!
//! An acceptor thread per listener queues connections for a pool of workers; a connection that waits for its peer is parked
//! and costs a socket and some hundred bytes, never a thread. This layer knows nothing of HTTP or files.
//!
//! Reading order: `handler` (what a protocol says), `address`, `bind`, `stream`, `listener` and `inherited`, `acceptor` (and
//! `clients`), `pool` (workers), `queue`, `crew` (spare workers), `parking` and `poller` (who waits, who is ready), `vacancy`,
//! `server`, `one`; `datagram` (and `losses`), `framing`, `outbox` and `throttle` stand by themselves.

mod acceptor;
mod address;
mod alarm;
mod background;
mod bind;
mod blocking;
mod clients;
mod crew;
mod datagram;
pub mod framing;
mod handler;
mod inherited;
mod listener;
mod losses;
mod one;
mod options;
mod outbox;
mod parking;
mod poller;
mod pool;
mod queue;
mod server;
mod socket_file;
#[cfg(feature = "stages")]
#[doc(hidden)]
pub mod stages;
mod stop;
mod stream;
mod throttle;
mod vacancy;

pub use address::{Address, Credentials, Peer, UnixName};
pub use background::background;
pub use bind::{ListenError, ToListeners};
pub use blocking::blocking;
pub use crew::{pause, slow};
pub use datagram::{
    DATAGRAM_BYTES_MAX, DatagramHandler, DatagramServer, Sender, Udp, UdpServer, UnixDatagram, UnixDatagramServer,
};
pub use handler::{Conn, End, Handler, Interest, Next, Wake, Waker};
pub use listener::Listener;
pub use losses::Losses;
pub(crate) use options::cores;
pub use options::{
    CONNECTIONS_CEILING, DESCRIPTORS_RESERVED, Options, SocketOptions, connections_allowed, descriptors_reserved,
};
pub use outbox::Outbox;
pub use server::Server;
pub use stop::Stopper;
pub use stream::{Reader, Stream, Writer};
pub use throttle::Throttle;
