//! Clients that want to keep it busy, to fill its memory, or to stay for ever.

use std::fs;
use std::time::{Duration, Instant};

use crate::support::crowd::{Crowd, Manner, Tally};
use crate::support::process::raise_descriptor_limit;
use crate::support::visitors::{Visitor, beside};
use crate::support::{PATIENCE, Salver, Site, get};

const LARGE: usize = 10 << 20;

/// Deadlines that a test can wait for.
const SHORT: &[(&str, &str)] = &[
    ("head_timeout_s", "0.5"),
    ("body_timeout_s", "0.5"),
    ("idle_timeout_s", "1"),
    ("linger_timeout_s", "0.5"),
    ("write_timeout_s", "1"),
    ("write_rate_bytes_min", "1000000"),
];

const PACE: Duration = Duration::from_millis(100);

const MIB: u64 = 1024;

fn site() -> Site {
    let site = Site::with(&[("index.html", "home"), ("a.txt", "a")]);
    site.write("medium.txt", vec![b'm'; 10_000]);
    site.write("large.bin", vec![b'x'; LARGE]);
    site
}

/// Good clients lose nothing, as far as `beside` can see.
#[track_caller]
fn check_visit(visitor: &mut Visitor, number: usize) {
    let (target, body) = if number.is_multiple_of(2) { ("/", "home") } else { ("/a.txt", "a") };
    assert_eq!(visitor.get(target, "").text(), body);
}

#[test]
fn nobody_stays_for_ever_and_good_clients_lose_nothing() {
    let room = raise_descriptor_limit() / 10;
    let (site, count) = (site(), room.min(100));
    let server = Salver::set(&site, SHORT);
    let gather = |count, manner| Crowd::gather(server.address, count, PACE, manner);
    beside(server.address, 8, Duration::from_millis(5), check_visit, || {
        let crowds = [
            (count, Manner::silent(), None),
            (count, Manner::slow_head(), Some(408)),
            (count, Manner::slow_body(), Some(408)),
            (count, Manner::slow_reader("/large.bin"), Some(200)),
            (5, Manner::huge_head(), Some(431)),
            (5, Manner::endless_chunks(), Some(413)),
            (5, Manner::flood("/medium.txt", 10_000), None),
        ];
        for (count, crowd, status) in crowds.map(|(count, manner, status)| (count, gather(count, manner), status)) {
            let is_told = |tally: &Tally| status.is_none_or(|status| tally.statuses.contains_key(&status));
            crowd.wait_until(|tally| tally.ended >= count && is_told(tally));
        }
    });
}

/// The most memory it takes until this is so, while a good client asks.
#[track_caller]
fn most_memory(server: &Salver, visitor: &mut Visitor, is_over: impl Fn() -> bool) -> u64 {
    let (mut most, deadline) = (0, Instant::now() + PATIENCE);
    while !is_over() {
        assert!(Instant::now() < deadline, "it doesn't end");
        (0..20).for_each(|number| check_visit(visitor, number));
        most = most.max(server.process().memory_kib());
    }
    most
}

/// However many requests were sent: what waits, waits with the system.
#[test]
fn a_flood_of_requests_whose_answers_nobody_reads_takes_bounded_memory() {
    let site = site();
    let server = Salver::set(&site, &[("write_timeout_s", "1"), ("write_rate_bytes_min", "1000000")]);
    let mut visitor = Visitor::new(server.address);
    check_visit(&mut visitor, 0);
    let before = server.process().memory_kib();
    let crowd = Crowd::gather(server.address, 50, PACE, Manner::flood("/medium.txt", 10_000));
    crowd.wait_until(|tally| tally.connected == 50);
    // By the time that so many have been cut, 5 GB of answers have been asked for.
    let most = most_memory(&server, &mut visitor, || crowd.tally().ended >= 50);
    assert!(most <= before + 16 * MIB, "{before} KiB have become {most}");
}

#[test]
fn heads_without_end_take_bounded_memory() {
    let site = site();
    let server = Salver::set(&site, &[("linger_bytes_max", "1000000")]);
    let mut visitor = Visitor::new(server.address);
    check_visit(&mut visitor, 0);
    let before = server.process().memory_kib();
    let crowd = Crowd::gather(server.address, 20, Duration::from_millis(2), Manner::huge_head());
    let most = most_memory(&server, &mut visitor, || crowd.tally().ended >= 100);
    assert!(most <= before + 8 * MIB, "{before} KiB have become {most}");
    assert_eq!(crowd.tally().statuses.into_keys().collect::<Vec<_>>(), [431]);
}

#[test]
fn a_range_flood_costs_no_more_than_the_file() {
    let site = site();
    let server = Salver::serve(&site);
    let forms: [fn(usize) -> String; 4] = [
        |at| format!("{at}-"),
        |at| format!("0-{at}"),
        |at| format!("-{}", at + 1),
        |at| format!("{}-{}", at * 2, at * 2),
    ];
    let mut client = server.connect();
    for form in forms {
        let ranges: Vec<String> = (0..1000).map(form).collect();
        client.send(get("/large.bin", &format!("Range: bytes={}\r\n", ranges.join(","))));
        let reply = client.reply();
        assert!(reply.head.len() + reply.body.len() <= LARGE + 10_000, "{}", reply.head);
    }
    let crowd = Crowd::gather(server.address, 20, PACE, Manner::ranges("/large.bin"));
    let mut visitor = Visitor::new(server.address);
    while crowd.tally().statuses.values().sum::<usize>() < 20 {
        check_visit(&mut visitor, 0);
    }
}

/// Bytes that the system holds for peers of this port, each: the fifth column of its table.
fn bytes_held(port: u16) -> Vec<u64> {
    let table = fs::read_to_string("/proc/self/net/tcp").unwrap();
    let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let of_port = lines.filter(|columns| columns[1].ends_with(&format!(":{port:04X}")));
    of_port.map(|columns| u64::from_str_radix(columns[4].split(':').next().unwrap(), 16).unwrap()).collect()
}

/// A few may have what the system likes to give; it takes megabytes of each.
#[test]
fn a_crowd_of_slow_readers_holds_little_of_the_systems_memory() {
    const FEW: usize = 64;
    const LITTLE: u64 = 512 << 10;
    // Each worker may be with one more when it is a crowd.
    let few = FEW + std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2)) + 2;
    let (site, count) = (site(), 3 * few);
    let server = Salver::start(&site, &[]);
    let crowd = Crowd::gather(server.address, count, PACE * 5, Manner::slow_reader("/large.bin"));
    crowd.wait_until(|tally| tally.connected == count);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let held = bytes_held(server.address.port());
        let [little, much] = [true, false]
            .map(|is_little| held.iter().filter(|held| **held > 0 && (**held <= LITTLE) == is_little).count());
        assert!(much <= few, "{much} hold much: {held:?}");
        if little + much == count {
            break;
        }
        assert!(Instant::now() < deadline, "{little} and {much} of {count}: {held:?}");
        check_visit(&mut Visitor::new(server.address), 0);
    }
}

/// Resets at every moment: before the first byte, within a head, before the answer, within it.
#[test]
fn a_storm_of_resets_leaves_nothing_behind() {
    let site = site();
    let server = Salver::serve(&site);
    let mut visitor = Visitor::new(server.address);
    check_visit(&mut visitor, 0);
    let before = server.process().descriptors();
    let crowds = ["", "GET / HTTP/1.1\r\nHos", &get("/a.txt", ""), &get("/large.bin", "")]
        .map(|opening| Crowd::gather(server.address, 20, Duration::from_millis(2), Manner::reset_after(opening)));
    beside(server.address, 4, Duration::from_millis(1), check_visit, || {
        crowds.iter().for_each(|crowd| crowd.wait_until(|tally| tally.connected >= 1_000));
    });
    drop(crowds);
    let deadline = Instant::now() + PATIENCE;
    while server.process().descriptors() > before + 1 {
        assert!(Instant::now() < deadline, "{before} descriptors have become {}", server.process().descriptors());
        check_visit(&mut visitor, 0);
    }
}
