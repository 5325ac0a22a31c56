//! Sends back what it is sent, to any number of clients at once, over TCP or a UNIX socket.
//!
//! ```text
//! $ cargo run --example echo 127.0.0.1:9000 &
//! 127.0.0.1:9000
//! $ echo hello | nc -N 127.0.0.1 9000
//! hello
//! $ cargo run --example echo unix:/tmp/echo.sock &
//! unix:/tmp/echo.sock
//! $ echo hello | socat - UNIX-CONNECT:/tmp/echo.sock
//! hello
//! ```
//!
//! The handler never waits. Where there is nothing to read, or no room to write, it says so, and is called again when
//! that has changed; so a silent client costs no thread. `salver::socketserver::blocking` is the way that waits.

mod common;

use std::io::{self, ErrorKind::WouldBlock};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use salver::socketserver::{Conn, Handler, Interest, Next, Server, Stream, Wake};

/// Who neither sends nor reads for so long is let go.
const PATIENCE: Duration = Duration::from_secs(600);

struct Echo;

impl Handler for Echo {
    /// What was read and not yet sent back: one read at most, as nothing more is read before it is sent. So a client
    /// that sends and doesn't read has to wait, and costs no memory.
    type Session = Vec<u8>;

    fn setup(&self, _connection: &Conn<'_>) -> Vec<u8> {
        Vec::new()
    }

    fn handle(&self, unsent: &mut Vec<u8>, stream: &mut Stream, wake: Wake) -> io::Result<Next> {
        let deadline = Instant::now() + PATIENCE;
        if wake == Wake::Overdue {
            return Ok(Next::Close);
        }
        if unsent.is_empty() {
            let mut bytes = [0; 16 << 10];
            match stream.try_read(&mut bytes) {
                Ok(0) => return Ok(Next::Close),
                Ok(read) => unsent.extend_from_slice(&bytes[..read]),
                Err(error) if error.kind() == WouldBlock && stream.is_stopping() => return Ok(Next::Close),
                Err(error) if error.kind() == WouldBlock => return Ok(Next::Idle(deadline)),
                Err(error) => return Err(error),
            }
        }
        match stream.try_write(unsent) {
            Ok(sent) => *unsent = unsent.split_off(sent),
            Err(error) if error.kind() == WouldBlock => return Ok(Next::Wait(Interest::Write, deadline)),
            Err(error) => return Err(error),
        }
        // Not a loop: a client that sends without end takes turns with the others.
        Ok(Next::Again)
    }
}

fn main() -> ExitCode {
    common::run("echo [ADDRESS]", ["127.0.0.1:9000"], |[address]| {
        let server = Server::bind(address, Echo)?;
        common::ready(server.local_addrs()?, server.stopper())?;
        server.serve_forever()
    })
}
