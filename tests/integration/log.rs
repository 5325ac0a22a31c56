//! The access log under load: written off the path of requests, complete after a clean stop, and no reason to wait.

use std::io::Read;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Client, Salver, Site, get, serving};

#[test]
fn a_clean_stop_loses_no_line() {
    let site = Site::with(&[("a.txt", "a")]);
    let mut server = Salver::serve(&site);
    let mut client = server.connect();
    for batch in 0..20 {
        ask(&mut client, batch, 100);
    }
    assert_eq!(server.stop().code(), Some(0));
    let log = server.log();
    for number in 0..2000 {
        let line = format!("\"GET /a.txt?{number} HTTP/1.1\" 200 1 ");
        assert_eq!(log.matches(&line).count(), 1, "{line}");
    }
}

/// So many requests at once, each with a number.
#[track_caller]
fn ask(client: &mut Client, batch: usize, count: usize) {
    let requests: String = (0..count).map(|at| get(&format!("/a.txt?{}", batch * count + at), "")).collect();
    client.send(requests);
    (0..count).for_each(|_| assert_eq!(client.reply().status, 200));
}

/// A server whose log nobody reads for the test. It ends with the test.
pub(super) struct Unread(pub(super) Child);

impl Unread {
    /// Starts this command, and waits for the line that tells where it serves.
    #[track_caller]
    pub(super) fn start(command: &mut Command) -> (Self, SocketAddr) {
        let mut server = Self(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap());
        let (mut line, mut stdout) = (Vec::new(), server.0.stdout.take().unwrap());
        while !line.ends_with(b"\n") {
            let mut byte = [0];
            stdout.read_exact(&mut byte).unwrap();
            line.push(byte[0]);
        }
        let line = String::from_utf8(line).unwrap();
        (server, line.rsplit_once("http://").unwrap().1.trim().parse().unwrap())
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_log_that_nobody_reads_holds_up_no_request() {
    let site = Site::with(&[("a.txt", "a")]);
    // Nothing but the access log, so that what is dropped is that.
    let mut command = serving(&site);
    command.env("RUST_LOG", "off,access=info").stderr(Stdio::piped());
    let (mut server, address) = Unread::start(&mut command);
    // More than a pipe and the memory for waiting lines hold.
    let mut client = Client::connect(address);
    for batch in 0..250 {
        ask(&mut client, batch, 100);
    }
    drop(client);
    let mut stderr = server.0.stderr.take().unwrap();
    server.signal(Signal::TERM);
    let mut log = String::new();
    stderr.read_to_string(&mut log).unwrap();
    assert_eq!(server.0.wait().unwrap().code(), Some(0));
    let said = log
        .lines()
        .find_map(|line| line.strip_suffix(" lines of the log were dropped: they came faster than they are read"));
    let dropped: usize = said.expect("it says how many lines were dropped").parse().unwrap();
    let written = log.lines().filter(|line| line.contains("\"GET /a.txt?")).count();
    assert_eq!(written + dropped, 25_000);
}
