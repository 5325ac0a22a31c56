//! What there is enough of for everyone, as long as nobody takes too much: places, memory, lines of the log.

use std::time::Instant;

use crate::support::{Client, PATIENCE, Salver, Site, get};

#[track_caller]
fn ask(client: &mut Client) {
    client.send(get("/a.txt", ""));
    assert_eq!(client.reply().text(), "a");
}

fn site() -> Site {
    Site::with(&[("a.txt", "a")])
}

#[test]
fn the_longest_idle_connection_gives_way_to_a_new_one() {
    let site = site();
    // One worker: when it answers a connection, those before it are idle.
    let server = Salver::set(&site, &[("connections_max", "3"), ("workers", "1")]);
    let mut clients: Vec<Client> = (0..3).map(|_| server.connect()).collect();
    clients.iter_mut().for_each(ask);
    for _ in 0..20 {
        let mut new = server.connect();
        ask(&mut new);
        clients.remove(0).expect_end();
        clients.push(new);
        clients.iter_mut().for_each(ask);
    }
    server.wait_for_log("connections_max is reached");
}

#[test]
fn who_has_a_request_under_way_keeps_its_place_until_it_is_answered() {
    for settings in [&[("connections_max", "2")][..], &[("connections_max", "2"), ("shards", "2")]] {
        let site = site();
        let server = Salver::set(&site, settings);
        let request = get("/a.txt", "");
        let (mut first, mut second, mut third) = (server.connect(), server.connect(), server.connect());
        first.send(&request[..9]);
        second.send(&request[..9]);
        third.send(&request);
        assert!(!third.fills_within(100), "served beyond the limit");
        first.send(&request[9..]);
        assert_eq!([first.reply().status, third.reply().status], [200, 200]);
        first.expect_end();
        second.send(&request[9..]);
        assert_eq!(second.reply().status, 200);
    }
}

#[test]
fn a_client_with_too_many_connections_is_told_so() {
    let site = site();
    let server = Salver::set(&site, &[("connections_per_client_max", "2")]);
    let mut clients = [server.connect(), server.connect()];
    clients.iter_mut().for_each(ask);
    for request in [get("/a.txt", ""), get("/a.txt", "").replace("GET", "HEAD")] {
        let mut beyond = server.connect();
        beyond.send(&request);
        let reply = beyond.reply_to(&request);
        assert_eq!((reply.status, reply.field("retry-after")), (503, Some("1")));
        beyond.expect_end();
    }
    clients.iter_mut().for_each(ask);
    server.wait_for_log("127.0.0.1:");
    let [first, _second] = clients;
    drop(first);
    let deadline = Instant::now() + PATIENCE;
    while server.get("/a.txt", "").status == 503 {
        assert!(Instant::now() < deadline, "the place of a connection that is gone is not given back");
    }
}

/// It would fill the disk.
#[test]
fn lines_that_strangers_cause_are_counted_when_there_are_too_many() {
    let site = site();
    let mut server = Salver::serve(&site);
    for _ in 0..100 {
        assert_eq!(server.ask("nonsense\r\n\r\n").status, 400);
        assert_eq!(server.get("/.hidden", "").status, 404);
    }
    server.stop();
    let log = server.log();
    for kind in ["refused with 400", "/.hidden: not served"] {
        let lines = log.lines().filter(|line| line.contains(kind)).count();
        assert!((1..=60).contains(&lines), "{lines} lines of {kind}");
    }
}

/// The bound of ARCHITECTURE.md, for one connection that does its worst.
#[cfg(target_os = "linux")]
#[test]
fn a_connection_takes_no_more_memory_than_is_said() {
    const CONNECTIONS: usize = 300;
    const HEAD_BYTES_MAX: u64 = 8_192 + 16_384;
    const BYTES_MAX: u64 = 2 * (HEAD_BYTES_MAX + 64) + (32 << 10);
    let site = site();
    site.write("large.bin", vec![b'x'; 100_000]);
    let server = Salver::serve(&site);
    let half_heads = format!("GET /a.txt HTTP/1.1\r\nHost: localhost\r\n{}", field_lines(16_300));
    let body_to_come = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n{}\r\n.", field_lines(16_300));
    let never_read = get("/large.bin", "").repeat(1_000);
    let worst = [half_heads, body_to_come, never_read];
    // What workers and cache take is there before.
    worst.iter().for_each(|bytes| server.connect().send(bytes));
    assert_eq!(server.get("/large.bin", "").status, 200);
    let before = server.process().memory_kib();
    let clients: Vec<Client> = (0..CONNECTIONS)
        .map(|number| {
            let mut client = server.connect();
            client.send(&worst[number % worst.len()]);
            client
        })
        .collect();
    // Asked after all of these, and answered after all of these were looked at.
    for _ in 0..100 {
        assert_eq!(server.get("/a.txt", "").status, 200);
    }
    let grown = server.process().memory_kib().saturating_sub(before);
    let allowed = clients.len() as u64 * BYTES_MAX / 1024 + 4096;
    assert!(grown <= allowed, "{grown} KiB for {CONNECTIONS} connections, at most {allowed}");
}

fn field_lines(bytes: usize) -> String {
    let line = format!("X: {}\r\n", "x".repeat(1_000));
    line.repeat(bytes / line.len())
}
