//! How it stops: what is under way finishes, what is idle goes, and nothing takes longer than it may.

use std::collections::HashSet;
use std::net::TcpStream;
use std::process::Command;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Instant;

use rustix::process::Signal;

use crate::support::{Client, PATIENCE, Salver, Site, get, serving};

/// More than the buffers of both sockets hold, so that sending it takes a client that reads.
const LARGE: usize = 16 << 20;

/// With so much time to stop, nothing ends because that time is over.
const UNHURRIED: &[(&str, &str)] = &[("stop_timeout_s", "3600")];

fn site() -> Site {
    let site = Site::with(&[("index.html", "home")]);
    site.write("large", vec![b'x'; LARGE]);
    site
}

/// A client whose transfer of the large file has begun and can't go on.
fn stuck(server: &Salver) -> Client {
    let mut client = server.connect();
    client.send(get("/large", ""));
    assert!(client.fill());
    client
}

#[test]
fn an_idle_server_stops_at_once_and_cleanly() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let site = site();
        let mut server = Salver::set(&site, UNHURRIED);
        let mut silent = server.connect();
        let mut idle = server.connect();
        idle.send(get("/", ""));
        assert_eq!(idle.reply().status, 200);
        let asked = Instant::now();
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(0), "{signal:?}");
        assert!(asked.elapsed() < PATIENCE / 4, "{:?} to stop", asked.elapsed());
        idle.expect_end();
        // The system hasn't handed it over yet (TCP_DEFER_ACCEPT), so it is told when it speaks.
        silent.try_send(get("/", ""));
        silent.expect_end();
    }
}

#[test]
fn a_transfer_under_way_finishes() {
    let site = site();
    let mut server = Salver::set(&site, UNHURRIED);
    let mut client = stuck(&server);
    server.signal(Signal::TERM);
    server.wait_for_log("stopping");
    let reply = client.reply();
    assert_eq!((reply.status, reply.body.len()), (200, LARGE));
    client.expect_end();
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_request_that_is_there_is_answered_and_told_that_it_was_the_last() {
    let site = site();
    let mut server = Salver::set(&site, UNHURRIED);
    // The first one keeps the server from stopping before the second has sent its request.
    let mut transfer = stuck(&server);
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: ");
    server.signal(Signal::TERM);
    server.wait_for_log("stopping");
    client.send("localhost\r\n\r\n");
    let reply = client.reply();
    assert_eq!((reply.status, reply.field("connection")), (200, Some("close")));
    client.expect_end();
    assert_eq!(transfer.reply().body.len(), LARGE);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn requests_sent_before_the_stop_are_all_answered() {
    let site = site();
    let mut server = Salver::set(&site, UNHURRIED);
    let mut clients: Vec<Client> = (0..50).map(|_| server.connect()).collect();
    clients.iter_mut().for_each(|client| client.send(get("/", "")));
    server.signal(Signal::TERM);
    for client in &mut clients {
        assert_eq!(client.reply().text(), "home");
    }
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn it_no_longer_listens_while_it_finishes() {
    let site = site();
    let mut server = Salver::set(&site, UNHURRIED);
    let mut transfer = stuck(&server);
    server.signal(Signal::TERM);
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(server.address).is_ok() {
        assert!(Instant::now() < deadline, "it still listens");
        thread::yield_now();
    }
    assert_eq!(transfer.reply().body.len(), LARGE);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn stop_timeout_bounds_what_is_under_way() {
    let site = site();
    let mut server = Salver::set(&site, &[("stop_timeout_s", "0.2")]);
    let mut client = stuck(&server);
    assert_eq!(server.stop().code(), Some(0));
    let log = server.wait_for_log("did not finish");
    let cut = log.lines().filter(|line| line.contains("\"GET /large HTTP/1.1\" 200 ") && line.ends_with("ms cut"));
    assert_eq!(cut.count(), 1, "{log}");
    assert!(client.rest().len() < LARGE);
}

#[test]
fn a_second_signal_ends_at_once() {
    for signal in [Signal::INT, Signal::TERM] {
        let site = site();
        let mut server = Salver::set(&site, UNHURRIED);
        let _client = stuck(&server);
        server.signal(signal);
        server.wait_for_log("stopping");
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(130), "{signal:?}");
    }
}

/// When a terminal closes, its shell and the system say so, one right behind the other; a login session that ends says
/// SIGTERM before.
#[test]
fn a_terminal_that_says_twice_that_it_closes_cuts_nobody() {
    for first in [Signal::HUP, Signal::TERM] {
        let site = site();
        let mut server = Salver::set(&site, UNHURRIED);
        let mut client = stuck(&server);
        server.signal(first);
        server.wait_for_log("stopping");
        server.signal(Signal::HUP);
        assert!(client.rest().len() > LARGE, "{first:?}");
        assert_eq!(server.wait().code(), Some(0), "{first:?}");
    }
}

/// It is what scripts that rotate the logs of other servers send.
#[test]
fn a_word_of_a_moved_log_ends_nothing() {
    let site = site();
    let mut server = Salver::serve(&site);
    server.signal(Signal::USR1);
    for _ in 0..10 {
        assert_eq!(server.get("/", "").text(), "home");
    }
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn hangup_stays_ignored_under_nohup() {
    let site = site();
    let serving = serving(&site);
    let mut nohup = Command::new("sh");
    nohup.current_dir(site.path()).env_clear().args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]);
    nohup.arg(serving.get_program()).args(serving.get_args());
    let mut server = Salver::run(&mut nohup);
    server.signal(Signal::HUP);
    for _ in 0..10 {
        assert_eq!(server.get("/", "").text(), "home");
    }
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn a_stop_under_load_ends_in_order() {
    for _ in 0..5 {
        let site = site();
        let mut server = Salver::start(&site, &["--quiet"]);
        let address = server.address;
        let (answered, answers) = channel();
        let clients: Vec<_> = (0..8)
            .map(|number| {
                let answered = answered.clone();
                thread::spawn(move || {
                    while let Some(mut client) = Client::try_connect(address) {
                        while client.try_send(get("/", "")) {
                            let Some(reply) = client.next_reply(false) else { break };
                            assert_eq!(reply.text(), "home");
                            let _ = answered.send(number);
                            if reply.field("connection") == Some("close") {
                                break;
                            }
                        }
                    }
                })
            })
            .collect();
        let mut served = HashSet::new();
        while served.len() < clients.len() {
            served.insert(answers.recv_timeout(PATIENCE).unwrap());
        }
        assert_eq!(server.stop().code(), Some(0));
        clients.into_iter().for_each(|client| client.join().unwrap());
    }
}
