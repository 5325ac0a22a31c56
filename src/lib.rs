//! salver: a multithreaded static HTTP/1.1 file server, and the small `socketserver` library it stands on.
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
//! That is an echo server, for two hundred clients at once and with a clean stop; [`socketserver`] goes on from there. An
//! HTTP server of your own takes as much, see [below](#a-server-of-your-own).
//!
//! # The life of a request
//!
//! A connection comes in at a listener. Its acceptor thread queues it; a worker takes it from the queue and gives it its
//! turn: the `http` layer reads the request head and asks its handler for a complete response; the `site` layer finds
//! which directory is meant, and the `files` layer decides the response from it; the `http` layer writes it. When the connection has nothing to read, or no room to
//! write, it is parked, and costs no thread until the poller says that it is ready.
//!
//! ```text
//! listener -> acceptor -> queue -> worker -> http -> site -> files -> response -> write
//! ```
//!
//! # The modules, in reading order
//!
//! - [`socketserver`]: sockets, threads, deadlines. A `Handler` trait for any protocol, as in Python's module of that name.
//! - [`http`]: bytes to requests, responses to bytes, for an `http::Handler`.
//! - [`files`]: from a URL to a response, from a directory.
//! - [`site`]: which directory, by host, redirect and mount, and for whom.
//! - `config` and `cli` (with the feature `cli`, on by default): command line, environment and file to a valid `Config`.
//!
//! # A server of your own
//!
//! ```no_run
//! use salver::http::{Handler, Limits, Request, Response, Service, StatusCode};
//! use salver::socketserver::Server;
//!
//! struct Hello;
//!
//! impl Handler for Hello {
//!     fn handle(&self, request: &Request<'_>) -> Response {
//!         Response::new(StatusCode::OK).html(format!("<p>Hello, {}!", request.peer))
//!     }
//! }
//!
//! Server::bind("127.0.0.1:9000", Service::new(Hello, Limits::default()))?.serve_forever()?;
//! # Ok::<(), std::io::Error>(())
//! ```
#![cfg_attr(all(target_os = "linux", not(salver_portable)), forbid(unsafe_code))]
#![cfg_attr(any(not(target_os = "linux"), salver_portable), deny(unsafe_code))]

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "cli")]
pub mod config;
pub mod files;
pub mod http;
pub mod site;
pub mod socketserver;
