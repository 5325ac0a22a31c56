//! The least that a request costs on this machine, for `benches/load.py` to hold beside salver: one thread that waits,
//! reads, has httparse look at the head, and sends a response that is always the same. No file is looked at, nobody is
//! too slow, nothing is ever wrong.
//!
//! `cargo run --release --example bare -- PORT` answers each request on 127.0.0.1 with 1 KiB.
#![allow(missing_docs, reason = "nobody depends on a benchmark")]

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const HEAD: &str = "HTTP/1.1 200 OK\r\nServer: bare\r\nX-Content-Type-Options: nosniff\r\nContent-Length: 1024\r\n\
    Accept-Ranges: bytes\r\nContent-Type: text/html; charset=utf-8\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
    Cache-Control: no-cache\r\nETag: \"8d777f385d3dfec8815d20f7496026dc\"\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n";

const LISTENER: Token = Token(usize::MAX);

fn main() -> io::Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok());
    let Some(port) = port else { return Err(io::Error::other("a port is missing: bare PORT")) };
    let mut listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    // As salver has it on loopback.
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(&listener).set_tcp_congestion(b"reno")?;
    let response = [HEAD.as_bytes(), &[b'x'; 1024]].concat();
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(256));
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut connections: Vec<Option<TcpStream>> = Vec::new();
    let mut vacant = Vec::new();
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut connection, _)) = listener.accept() {
                    connection.set_nodelay(true)?;
                    let place = vacant.pop().unwrap_or(connections.len());
                    poll.registry().register(&mut connection, Token(place), Interest::READABLE)?;
                    if place == connections.len() {
                        connections.push(None);
                    }
                    connections[place] = Some(connection);
                }
                continue;
            }
            let Token(place) = event.token();
            if connections[place].as_mut().is_some_and(|connection| !answer(connection, &response)) {
                connections[place] = None;
                vacant.push(place);
            }
        }
    }
}

/// Answers the one request that is there; false when the peer is gone, or isn't one that this is for.
fn answer(connection: &mut TcpStream, response: &[u8]) -> bool {
    let mut bytes = [0; 8192];
    let read = match connection.read(&mut bytes) {
        Ok(0) => return false,
        Ok(read) => read,
        Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
    };
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let parsed = httparse::Request::new(&mut fields).parse(&bytes[..read]);
    matches!(parsed, Ok(httparse::Status::Complete(_)))
        && matches!(connection.write(response), Ok(sent) if sent == response.len())
}
