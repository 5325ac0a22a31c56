//! A chat: a client's first line is its name, and every further one is told to all, in the same order to each.
//!
//! ```text
//! $ cargo run --example chat 127.0.0.1:9002 &
//! 127.0.0.1:9002
//! $ nc 127.0.0.1 9002
//! * a name that nobody has, please
//! ann
//! * ann is here
//! * bob is here
//! bob: hello, ann
//! ```
//!
//! What is told goes into the outbox of each member, whose waker has it sent. Who doesn't read until its outbox is full
//! is dropped, and nobody ever waits for it.

mod common;

use std::collections::HashMap;
use std::io::{self, ErrorKind::WouldBlock};
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use salver::socketserver::framing::{Delimiter, Frames};
use salver::socketserver::{Conn, End, Handler, Interest, Next, Outbox, Server, Stream, Wake};

const PROMPT: &[u8] = b"* a name that nobody has, please\n";
const LINE_BYTES_MAX: usize = 1000;
const OUTBOX_BYTES_MAX: usize = 256 << 10;
const SILENCE_MAX: Duration = Duration::from_secs(3600);

/// The members' outboxes, by name.
#[derive(Default)]
struct Chat(Mutex<HashMap<String, Outbox>>);

struct Guest {
    /// Empty before it is a member.
    name: String,
    lines: Frames<Delimiter>,
    outbox: Outbox,
}

impl Handler for Chat {
    type Session = Guest;

    fn setup(&self, connection: &Conn<'_>) -> Guest {
        let outbox = Outbox::new(OUTBOX_BYTES_MAX, connection.waker());
        outbox.push(PROMPT);
        Guest { name: String::new(), lines: Frames::new(Delimiter::lines(LINE_BYTES_MAX)), outbox }
    }

    fn handle(&self, guest: &mut Guest, stream: &mut Stream, wake: Wake) -> io::Result<Next> {
        let deadline = Instant::now() + SILENCE_MAX;
        if matches!(wake, Wake::Overdue | Wake::Stopping) {
            return Ok(Next::Close);
        }
        if !guest.outbox.send(stream)? {
            return Ok(Next::Wait(Interest::Write, deadline));
        }
        let mut bytes = [0; 4096];
        match stream.try_read(&mut bytes) {
            Ok(0) => return Ok(Next::Close),
            Ok(read) => guest.lines.push(&bytes[..read]),
            Err(error) if error.kind() == WouldBlock => return Ok(Next::Idle(deadline)),
            Err(error) => return Err(error),
        }
        let mut members = self.members();
        while let Some(line) = guest.lines.next_frame()? {
            let line = String::from_utf8_lossy(line).replace(char::is_control, "");
            if !guest.name.is_empty() {
                tell(&members, &format!("{}: {line}\n", guest.name));
            } else if line.is_empty() || !line.chars().all(char::is_alphanumeric) || members.contains_key(&line) {
                guest.outbox.push(PROMPT);
            } else {
                members.insert(line.clone(), guest.outbox.clone());
                tell(&members, &format!("* {line} is here\n"));
                guest.name = line;
            }
        }
        Ok(Next::Again)
    }

    fn finish(&self, guest: Guest, _end: End) {
        let mut members = self.members();
        if members.remove(&guest.name).is_some() {
            tell(&members, &format!("* {} has left\n", guest.name));
        }
    }
}

impl Chat {
    fn members(&self) -> MutexGuard<'_, HashMap<String, Outbox>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell(members: &HashMap<String, Outbox>, line: &str) {
    members.values().for_each(|outbox| outbox.push(line.as_bytes()));
}

fn main() -> ExitCode {
    common::run("chat [ADDRESS]", ["127.0.0.1:9002"], |[address]| {
        let server = Server::bind(address, Chat::default())?;
        common::ready(server.local_addrs()?, server.stopper())?;
        server.serve_forever()
    })
}
