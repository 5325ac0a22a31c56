//! Large files: whole, side by side with small requests, to slow and to stalled readers, and while the file changes.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::support::{Client, PATIENCE, Reply, Salver, Site, curl, get};

const LARGE: usize = 20 << 20;

/// More than the system holds for a connection, on both sides together.
const HUGE: u64 = 64 << 20;

/// Bytes that tell their place.
pub(super) fn numbered(bytes: usize) -> Vec<u8> {
    let mut content = Vec::with_capacity(bytes + 4);
    for number in 0..=u32::try_from(bytes / 4).unwrap() {
        content.extend_from_slice(&number.wrapping_mul(0x9e37_79b1).to_le_bytes());
    }
    content.truncate(bytes);
    content
}

/// A client whose side of the connection holds little.
#[track_caller]
pub(super) fn narrow_client(server: &Salver) -> Client {
    client_that_holds(8 << 10, server)
}

#[track_caller]
fn client_that_holds(bytes: usize, server: &Salver) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(bytes).unwrap();
    socket.connect_timeout(&server.address.into(), PATIENCE).unwrap();
    Client::of(socket.into())
}

/// The head of the answer to a GET, and the length that it promises; the body has not been read.
#[track_caller]
pub(super) fn begin(client: &mut Client, target: &str) -> (Reply, usize) {
    client.send(get(target, ""));
    let reply = client.reply_to("HEAD ");
    let length = reply.field("content-length").unwrap().parse().unwrap();
    (reply, length)
}

#[track_caller]
pub(super) fn check_same(found: &[u8], expected: &[u8]) {
    if found != expected {
        let difference = found.iter().zip(expected).position(|(one, other)| one != other);
        panic!("{} bytes for {}; the first that differs: {difference:?}", found.len(), expected.len());
    }
}

#[test]
fn a_large_file_arrives_byte_by_byte() {
    let site = Site::with(&[("a.txt", "a")]);
    let content = numbered(LARGE);
    site.write("large.bin", &content);
    let server = Salver::serve(&site);
    let mut client = server.connect();
    for _ in 0..2 {
        client.send(get("/large.bin", "") + &get("/a.txt", ""));
        check_same(&client.reply().body, &content);
        assert_eq!(client.reply().body, b"a");
    }
    let part = server.get("/large.bin", "Range: bytes=5000001-15000000\r\n");
    assert_eq!(part.status, 206);
    check_same(&part.body, &content[5_000_001..=15_000_000]);
    let copy = site.join("copy");
    curl(&["--output", copy.to_str().unwrap()], &server.url("/large.bin"));
    check_same(&fs::read(copy).unwrap(), &content);
}

#[test]
fn every_size_around_the_borders_arrives_whole() {
    let site = Site::new();
    // Where a body is copied behind its head, held in memory, sent in several turns.
    let borders = [0, 1, 4 << 10, 100 << 10, 1 << 20, 2 << 20];
    let sizes: Vec<usize> = borders.iter().flat_map(|&size: &usize| [size.saturating_sub(1), size, size + 1]).collect();
    let content = numbered(3 << 20);
    sizes.iter().for_each(|size| site.write(&format!("{size}"), &content[..*size]));
    let server = Salver::serve(&site);
    let mut client = server.connect();
    client.send(sizes.iter().map(|size| get(&format!("/{size}"), "")).collect::<String>());
    for size in sizes {
        check_same(&client.reply().body, &content[..size]);
    }
}

#[test]
fn a_slow_reader_gets_all_of_it() {
    let site = Site::new();
    let content = numbered(4 << 20);
    site.write("large.bin", &content);
    site.write("medium.bin", &content[..90 << 10]);
    let server = Salver::set(&site, &[("turn_bytes_max", "4096"), ("workers", "1")]);
    let mut client = narrow_client(&server);
    // One from disk, then many from memory, more than there is room for at once.
    client.send(get("/large.bin", "") + &get("/medium.bin", "").repeat(40));
    check_same(&client.reply().body, &content);
    for _ in 0..40 {
        check_same(&client.reply().body, &content[..90 << 10]);
    }
}

/// RFC 9112 section 9.6: bytes that come behind the last request don't reset the connection under its answer.
#[test]
fn the_last_answer_arrives_whole_whatever_the_client_sends_after_its_request() {
    let site = Site::new();
    let content = numbered(8 << 20);
    site.write("large.bin", &content);
    site.write("small.bin", &content[..40_000]);
    let server = Salver::serve(&site);
    for (target, content) in [("/large.bin", &content[..]), ("/small.bin", &content[..40_000])] {
        for request in [
            format!("GET {target} HTTP/1.0\r\n\r\n"),
            format!("GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
        ] {
            let mut client = narrow_client(&server);
            client.send(&request);
            assert!(client.fill(), "the answer has begun");
            for more in ["\r\n", &get("/small.bin", ""), "x"] {
                client.send(more);
            }
            check_same(&client.reply().body, content);
            client.expect_end();
        }
    }
}

#[test]
fn small_requests_are_served_beside_large_transfers() {
    let site = Site::with(&[("a.txt", "a")]);
    let content = numbered(LARGE);
    site.write("large.bin", &content);
    let server = Salver::set(&site, &[("workers", "1")]);
    let mut slow: Vec<Client> = (0..8).map(|_| server.connect()).collect();
    slow.iter_mut().for_each(|client| client.send(get("/large.bin", "")));
    // Nobody reads those yet; the one worker is free for others all the same.
    let mut other = server.connect();
    for _ in 0..200 {
        other.send(get("/a.txt", ""));
        assert_eq!(other.reply().body, b"a");
    }
    std::thread::scope(|scope| {
        for client in &mut slow {
            scope.spawn(|| check_same(&client.reply().body, &content));
        }
        for _ in 0..200 {
            assert_eq!(server.get("/a.txt", "").body, b"a");
        }
    });
}

#[test]
fn a_stalled_reader_is_cut() {
    let site = Site::new();
    File::create(site.join("huge.bin")).unwrap().set_len(HUGE).unwrap();
    let server = Salver::set(&site, &[("write_timeout_s", "0.3")]);
    let mut client = narrow_client(&server);
    let (_, length) = begin(&mut client, "/huge.bin");
    let log = server.wait_for_log(" cut\n");
    assert!(log.contains("a response was cut: the peer takes the response too slowly"), "{log}");
    assert!(log.contains("\"GET /huge.bin HTTP/1.1\" 200 "), "{log}");
    assert!(client.rest().len() < length);
}

#[test]
fn a_reader_that_is_too_slow_is_cut() {
    let site = Site::new();
    File::create(site.join("endless.bin")).unwrap().set_len(64 << 30).unwrap();
    // A speed that nobody reaches with so small a buffer.
    let server = Salver::set(&site, &[("write_timeout_s", "1"), ("write_rate_bytes_min", "1000000000")]);
    let mut client = narrow_client(&server);
    begin(&mut client, "/endless.bin");
    while client.at_most(1 << 20).len() == 1 << 20 {}
    server.wait_for_log("the peer takes the response too slowly");
}

/// What the system holds for it lasts longer than its time, so the server hears late of what it takes.
#[test]
fn a_reader_that_pauses_and_goes_on_slowly_is_not_cut() {
    let site = Site::with(&[("a.txt", "a")]);
    File::create(site.join("endless.bin")).unwrap().set_len(64 << 30).unwrap();
    let server = Salver::set(&site, &[("write_timeout_s", "2")]);
    let mut client = client_that_holds(128 << 10, &server);
    begin(&mut client, "/endless.bin");
    let pause = |time| {
        let start = Instant::now();
        while start.elapsed() < time {
            assert_eq!(server.get("/a.txt", "").text(), "a");
        }
    };
    assert_eq!(client.at_most(16 << 20).len(), 16 << 20);
    // A little into the next time; in what is left of it, it takes a part of what is there already.
    pause(Duration::from_millis(2_300));
    for _ in 0..40 {
        pause(Duration::from_millis(50));
        assert_eq!(client.at_most(32 << 10).len(), 32 << 10);
    }
    assert_eq!(client.at_most(16 << 20).len(), 16 << 20, "more than was there by then");
    assert!(!server.log().contains("a response was cut"), "{}", server.log());
}

/// What a client gets of a huge file that is changed once the transfer has begun.
#[track_caller]
fn transfer_while(change: impl FnOnce(&Site)) -> (Vec<u8>, usize) {
    let site = Site::new();
    File::create(site.join("huge.bin")).unwrap().set_len(HUGE).unwrap();
    let server = Salver::serve(&site);
    let mut client = narrow_client(&server);
    let (_, length) = begin(&mut client, "/huge.bin");
    change(&site);
    (client.at_most(length), length)
}

#[test]
fn a_file_truncated_while_it_is_sent_cuts_the_connection() {
    let (body, length) = transfer_while(|site| {
        File::options().write(true).open(site.join("huge.bin")).unwrap().set_len(1000).unwrap();
    });
    assert!(body.len() < length);
    assert!(body.iter().all(|byte| *byte == 0));
}

#[test]
fn a_file_changed_while_it_is_sent_cuts_the_connection() {
    let (body, length) = transfer_while(|site| {
        let file = File::options().write(true).open(site.join("huge.bin")).unwrap();
        file.write_all_at(&[1; 1000], HUGE - 1000).unwrap();
    });
    assert!(body.len() < length);
    assert!(body.iter().all(|byte| *byte == 0));
}

#[test]
fn a_file_that_grows_while_it_is_sent_has_the_promised_length() {
    let (body, length) = transfer_while(|site| {
        let mut file = File::options().append(true).open(site.join("huge.bin")).unwrap();
        file.write_all(&[1; 1000]).unwrap();
    });
    assert_eq!((body.len(), length as u64), (length, HUGE));
}

#[test]
fn a_file_replaced_or_removed_while_it_is_sent_arrives_as_it_was() {
    for remove in [false, true] {
        let site = Site::new();
        let content = numbered(LARGE);
        site.write("large.bin", &content);
        let server = Salver::serve(&site);
        let mut client = narrow_client(&server);
        let (_, length) = begin(&mut client, "/large.bin");
        if remove {
            fs::remove_file(site.join("large.bin")).unwrap();
        } else {
            site.write("new", vec![0; LARGE]);
            fs::rename(site.join("new"), site.join("large.bin")).unwrap();
        }
        check_same(&client.at_most(length), &content);
        // The next request sees what is there now.
        client.send(get("/large.bin", ""));
        let reply = client.reply();
        assert_eq!(reply.status, if remove { 404 } else { 200 });
        assert!(remove || reply.body.iter().all(|byte| *byte == 0));
    }
}
