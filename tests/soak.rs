//! Good and bad clients together, while files change and limits are hit: every body is checked, no good request is
//! lost, and in the end nothing has grown.
//!
//! SALVER_SOAK_S is for how many seconds, 5 if it isn't set. The figures that a machine should reach are printed by
//! `cargo test --release --test soak -- --ignored --nocapture --test-threads 1`.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what it expects by panicking")]

mod support;

use std::collections::HashMap;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use support::crowd::{Crowd, Manner};
use support::process::raise_descriptor_limit;
use support::visitors::{Visitor, beside};
use support::{Client, PATIENCE, Reply, Salver, Site, get};

const MIB: u64 = 1024;

fn duration(default: u64) -> Duration {
    Duration::from_secs(std::env::var("SALVER_SOAK_S").map_or(default, |seconds| seconds.parse().unwrap()))
}

/// So low that each of them is hit.
const LOW: &[(&str, &str)] = &[
    ("connections_max", "150"),
    ("head_timeout_s", "1"),
    ("body_timeout_s", "1"),
    ("idle_timeout_s", "2"),
    ("linger_timeout_s", "0.5"),
    ("write_timeout_s", "1"),
    ("write_rate_bytes_min", "100000"),
    ("turn_bytes_max", "65536"),
    ("turn_requests_max", "4"),
    ("ranges_max", "8"),
    ("cache_bytes_max", "200000"),
    ("cache_descriptors_max", "2"),
    ("quiet", "true"),
];

#[test]
fn good_clients_lose_nothing_and_nothing_grows() {
    let (site, shelf) = (Site::new(), Shelf::new());
    shelf.files.iter().for_each(|file| file.write_next(&site));
    site.write("large.bin", vec![b'x'; 10 << 20]);
    let server = Salver::set(&site, LOW);
    let process = server.process();
    // Once it has answered it has all descriptors that it needs for itself.
    assert_eq!(server.get("/large.bin", "Range: bytes=0-0\r\n").status, 206);
    let idle = process.descriptors();
    let started = Instant::now();
    let until = started + duration(5);
    let (mut settled, mut most) = (0, 0);
    let (tallies, times) = beside(
        server.address,
        8,
        Duration::from_millis(2),
        |visitor, _| shelf.visit(visitor),
        || {
            let crowds = bad_mix(&server);
            for file in shelf.files.iter().filter(|file| file.change != Change::Never).cycle() {
                if Instant::now() > until {
                    break;
                }
                file.write_next(&site);
                // Files that change all the time are never kept; these are, between two changes.
                thread::park_timeout(Duration::from_millis(10));
                most = process.memory_kib().max(most);
                if started.elapsed() < (until - started) / 3 {
                    settled = most;
                }
            }
            crowds.iter().map(|(name, crowd)| format!("{name} {:?}", crowd.tally())).collect::<Vec<_>>()
        },
    );
    until_it_holds("descriptors are back", || process.descriptors() <= idle + 4);
    let last = process.memory_kib();
    println!("{times}");
    println!("memory: {settled} KiB after a third, {most} KiB at most, {last} KiB in the end");
    println!("descriptors: {idle} before, {} in the end", process.descriptors());
    tallies.iter().for_each(|tally| println!("{tally}"));
    assert!(last <= settled + 8 * MIB, "memory: {settled} KiB have become {last} KiB");
    assert!(times.count() > 100, "{times}");
    let log = server.log();
    assert!(!log.contains("panicked"), "{log}");
}

fn bad_mix(server: &Salver) -> Vec<(&'static str, Crowd)> {
    let pace = Duration::from_millis(200);
    let gather = |name, count, manner| (name, Crowd::gather(server.address, count, pace, manner));
    vec![
        gather("silent", 50, Manner::silent()),
        gather("slow heads", 50, Manner::slow_head()),
        gather("slow bodies", 30, Manner::slow_body()),
        gather("slow readers", 20, Manner::slow_reader("/large.bin")),
        gather("huge heads", 3, Manner::huge_head()),
        gather("endless chunks", 3, Manner::endless_chunks()),
        gather("floods", 3, Manner::flood("/fixed/2", 10_000)),
        gather("range floods", 3, Manner::ranges("/large.bin")),
        gather("resets", 5, Manner::reset_after("GET / HTTP/1.1\r\nHo")),
        gather("resets within an answer", 5, Manner::reset_after(&get("/large.bin", ""))),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Never,
    /// A new file takes its name.
    Renamed,
    /// Written over.
    InPlace,
    /// Deleted, and there again at the next change.
    Deleted,
}

/// The files that are asked for, and which content each has had.
struct Shelf {
    files: Vec<Changing>,
    /// Whose turn it is to be asked for.
    next: AtomicUsize,
    /// What was found under an entity tag: its file and a digest of its content.
    tags: Mutex<HashMap<(String, String), u128>>,
}

struct Changing {
    name: String,
    bytes: usize,
    change: Change,
    /// The newest generation that may be found, and the oldest: it is there, and all before it are gone.
    begun: AtomicU64,
    published: AtomicU64,
}

impl Shelf {
    fn new() -> Self {
        let sizes = [(Change::Never, &[10, 5_000, 90_000, 300_000][..]), (Change::Renamed, &[100, 60_000, 1_500_000])];
        let sizes = sizes.into_iter().chain([(Change::InPlace, &[2_000][..]), (Change::Deleted, &[3_000, 200_000])]);
        let of_each =
            sizes.flat_map(|(change, sizes)| sizes.iter().enumerate().map(move |(at, bytes)| (change, at, *bytes)));
        let files = of_each.map(|(change, at, bytes)| {
            let folder =
                if change == Change::Never { "fixed".to_owned() } else { format!("{change:?}").to_lowercase() };
            let (begun, published) = (AtomicU64::new(0), AtomicU64::new(0));
            Changing { name: format!("{folder}/{at}"), bytes, change, begun, published }
        });
        Self { files: files.collect(), next: AtomicUsize::new(0), tags: Mutex::default() }
    }

    /// Asks for the next file, and checks what comes.
    fn visit(&self, visitor: &mut Visitor) {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let file = &self.files[turn % self.files.len()];
        let oldest = file.published.load(Ordering::SeqCst);
        let reply =
            visitor.get(&format!("/{}", file.name), if turn.is_multiple_of(7) { "Connection: close\r\n" } else { "" });
        file.check(&reply, oldest);
        let Some(tag) = reply.field("etag") else { return };
        let digest = xxhash_rust::xxh3::xxh3_128(&reply.body);
        let known = *self.tags.lock().unwrap().entry((file.name.clone(), tag.to_owned())).or_insert(digest);
        assert_eq!(digest, known, "{} has two contents under one tag: {}", file.name, reply.head);
    }
}

impl Changing {
    /// Makes its next change.
    fn write_next(&self, site: &Site) {
        let generation = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let content = content(&self.name, generation, self.bytes);
        match self.change {
            Change::Deleted if generation.is_multiple_of(2) => fs::remove_file(site.join(&self.name)).unwrap(),
            Change::Renamed | Change::Deleted => {
                site.write("new", content);
                let _ = fs::create_dir_all(site.join(&self.name).parent().unwrap());
                fs::rename(site.join("new"), site.join(&self.name)).unwrap();
            }
            Change::Never | Change::InPlace => site.write(&self.name, content),
        }
        self.published.store(generation, Ordering::SeqCst);
    }

    /// It is one of the contents that the file has had since the request was sent.
    #[track_caller]
    fn check(&self, reply: &Reply, oldest: u64) {
        let generations = oldest..=self.begun.load(Ordering::SeqCst);
        match (self.change, reply.status) {
            (Change::Deleted, 404) => assert!(generations.into_iter().any(|number| number.is_multiple_of(2))),
            // Written over in several steps, any of which may be seen.
            (Change::InPlace, 200) => assert!(reply.body.len() <= self.bytes, "{}", reply.head),
            (_, 200) => {
                let is_one = |generation| content(&self.name, generation, self.bytes) == reply.body;
                let start = support::start_of(&reply.body);
                assert!(generations.clone().any(is_one), "{} {generations:?}: {}\n{start}", self.name, reply.head);
            }
            _ => panic!("{}: {}", self.name, reply.head),
        }
    }
}

/// Bytes that no other file and no other generation has.
fn content(name: &str, generation: u64, bytes: usize) -> Vec<u8> {
    let start = format!("{name} {generation} ");
    let line = format!("{:016x} {start}\n", xxhash_rust::xxh3::xxh3_64(start.as_bytes()));
    line.into_bytes().into_iter().cycle().take(bytes).collect()
}

/// Lets time pass: a thread that is parked may wake early.
fn pass(time: Duration) {
    let until = Instant::now() + time;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        thread::park_timeout(left);
    }
}

#[track_caller]
fn until_it_holds(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not so: {what}");
        thread::park_timeout(Duration::from_millis(10));
    }
}

/// So many of each kind together: silent, slow heads, slow bodies, slow readers.
const LOADS: [[usize; 4]; 2] = [[2_000, 2_000, 500, 500], [4_000, 3_000, 1_000, 1_000]];

#[test]
#[ignore = "several minutes of full load, for figures"]
fn figures_beside_thousands_of_hostile_connections() {
    if raise_descriptor_limit() <= 11_000 {
        println!("skipped: it takes 11,000 descriptors");
        return;
    }
    let site = Site::with(&[("a.txt", "a")]);
    site.write("large.bin", vec![b'x'; 10 << 20]);
    for load in LOADS {
        let server = Salver::start(&site, &["--quiet"]);
        let (process, pause) = (server.process(), Duration::from_millis(20));
        let check = |visitor: &mut Visitor, number: usize| {
            // Most keep their connections, as browsers do, and some open a new one each time.
            let lines = if number.is_multiple_of(8) { "Connection: close\r\n" } else { "" };
            assert_eq!(visitor.get("/a.txt", lines).text(), "a");
        };
        let ((), alone) = beside(server.address, 64, pause, check, || pass(duration(60) / 3));
        let (before, cpu) = (process.memory_kib(), process.cpu());
        let [silent, heads, bodies, readers] = load;
        let gather = |count, manner| Crowd::gather(server.address, count, Duration::from_secs(2), manner);
        let (crowds, arriving) = beside(server.address, 64, pause, check, || {
            let crowds = [
                gather(silent, Manner::silent()),
                gather(heads, Manner::slow_head()),
                gather(bodies, Manner::slow_body()),
                gather(readers, Manner::slow_reader("/large.bin")),
            ];
            pass(Duration::from_secs(5));
            crowds
        });
        let ((memory, descriptors), times) = beside(server.address, 64, pause, check, || {
            let (until, mut most) = (Instant::now() + duration(60), (0, 0));
            while Instant::now() < until {
                pass(Duration::from_secs(1));
                most = (process.memory_kib().max(most.0), process.descriptors().max(most.1));
            }
            most
        });
        let tallies = crowds.map(|crowd| crowd.tally());
        println!("\n{load:?} silent, slow heads, slow bodies, slow readers");
        println!("alone:  {alone}");
        println!("while they come: {arriving}");
        println!("beside: {times}");
        println!("memory: {before} KiB before, {memory} KiB at most; descriptors: {descriptors} at most");
        println!("CPU of the server: {:?}", process.cpu() - cpu);
        tallies.iter().for_each(|tally| println!("{tally:?}"));
        assert!(memory <= before + 64 * MIB, "memory: {before} KiB have become {memory} KiB");
    }
}

#[test]
#[ignore = "figures, for a quiet machine"]
fn figures_of_single_attacks() {
    let site = Site::with(&[("a.txt", "a")]);
    site.write("file.bin", vec![b'x'; 100_000]);
    let make = |name: &str, kind| {
        let mode = rustix::fs::Mode::from(0o644);
        rustix::fs::mknodat(rustix::fs::CWD, site.join(name), kind, mode, 0).unwrap();
    };
    make("fifo", rustix::fs::FileType::Fifo);
    make("socket", rustix::fs::FileType::Socket);
    let server = Salver::start(&site, &["--quiet"]);
    let process = server.process();
    let mut client = server.connect();
    let mut ask = |what: &str, target: &str, lines: &str| {
        let asked = Instant::now();
        client.send(get(target, lines));
        let reply = client.reply();
        println!(
            "{what}: {} with {} bytes in {:?}",
            reply.status,
            reply.head.len() + reply.body.len(),
            asked.elapsed()
        );
    };
    support::settle(&site, "", &server);
    ["/fifo", "/socket", "/a.txt"].iter().for_each(|target| ask(target, target, ""));
    for ranges_max in ["100", "1024"] {
        let server = Salver::set(&site, &[("ranges_max", ranges_max), ("quiet", "true")]);
        let mut client = server.connect();
        let ranges: Vec<String> = (0..1000).map(|first| format!("{first}-{}", first * 2 + 50)).collect();
        for _ in 0..3 {
            let asked = Instant::now();
            client.send(get("/file.bin", &format!("Range: bytes={}\r\n", ranges.join(","))));
            let reply = client.reply();
            let bytes = reply.head.len() + reply.body.len();
            println!("1,000 ranges of 100,000 bytes, ranges_max {ranges_max}: {bytes} bytes, {:?}", asked.elapsed());
        }
    }

    let (before, asked) = (process.memory_kib(), Instant::now());
    let mut endless = server.connect();
    endless.send("GET / HTTP/1.1\r\n".to_owned() + &"X: y\r\n".repeat(1_000_000 / 6));
    let status = endless.reply().status;
    println!(
        "1 MB of a head: {status} in {:?}, {} KiB more",
        asked.elapsed(),
        process.memory_kib().saturating_sub(before)
    );

    let limit = process.limit_descriptors(Some(3));
    let mut waiting: Vec<Client> = (0..100).map(|_| server.connect()).collect();
    waiting.iter_mut().for_each(|client| client.send(get("/a.txt", "")));
    let (cpu, asked) = (process.cpu(), Instant::now());
    pass(Duration::from_secs(10));
    let share = (process.cpu() - cpu).as_secs_f64() / asked.elapsed().as_secs_f64();
    let released = Instant::now();
    process.limit_descriptors(limit);
    waiting.iter_mut().for_each(|client| assert_eq!(client.reply().text(), "a"));
    println!("no descriptors: {:.1} % CPU; 100 answered {:?} after the release", share * 100.0, released.elapsed());
}
