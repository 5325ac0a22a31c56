//! Answers every datagram with the time, in UTC.
//!
//! ```text
//! $ cargo run --example time_udp 127.0.0.1:9003 &
//! 127.0.0.1:9003
//! $ echo | nc -u -w 5 -W 1 127.0.0.1 9003
//! 2026-11-21T15:04:05Z
//! $ python3
//! >>> import socket
//! >>> s = socket.socket(type=socket.SOCK_DGRAM)
//! >>> s.sendto(b"", ("127.0.0.1", 9003))
//! 0
//! >>> s.recv(100)
//! b'2026-11-21T15:04:09Z\n'
//! ```

mod common;

use std::io;
use std::process::ExitCode;

use jiff::Timestamp;
use salver::socketserver::{DatagramHandler, Sender, UdpServer};

struct Clock;

impl DatagramHandler for Clock {
    fn handle(&self, _datagram: &[u8], sender: &Sender<'_>) -> io::Result<()> {
        sender.reply(format!("{:.0}\n", Timestamp::now()).as_bytes())
    }
}

fn main() -> ExitCode {
    common::run("time_udp [ADDRESS]", ["127.0.0.1:9003"], |[address]| {
        let server = UdpServer::bind(address, Clock)?;
        common::ready([server.local_addr()?], server.stopper())?;
        server.serve_forever()
    })
}
