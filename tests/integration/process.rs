//! The process and what surrounds it: streams that are gone or full, signals, limits, the account it runs under.
//! Serving goes on.

use std::fs::{File, OpenOptions};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Instant;

use rustix::process::{Resource, Signal, geteuid, getrlimit};

use super::log::Unread;
use crate::support::{Client, PATIENCE, Salver, Site, get, serving};

fn site() -> Site {
    let site = Site::with(&[("index.html", "home")]);
    site.write("large.bin", vec![7; 8 << 20]);
    site
}

/// More lines of the log than are written at once, and than a pipe holds.
#[track_caller]
fn check_serves(address: SocketAddr) {
    let mut client = Client::connect(address);
    for _ in 0..30 {
        client.send(get("/", "").repeat(100));
        (0..100).for_each(|_| assert_eq!(client.reply().text(), "home"));
    }
    client.send(get("/missing", ""));
    assert_eq!(client.reply().status, 404);
}

#[track_caller]
fn check_stops(mut server: Unread, signal: Signal) {
    server.signal(signal);
    assert_eq!(server.0.wait().unwrap().code(), Some(0));
}

fn full() -> File {
    OpenOptions::new().write(true).open("/dev/full").unwrap()
}

#[test]
fn a_log_pipe_that_is_closed_is_no_reason_to_end() {
    let site = site();
    let (mut server, address) = Unread::start(serving(&site).stderr(Stdio::piped()));
    check_serves(address);
    drop(server.0.stderr.take());
    check_serves(address);
    check_stops(server, Signal::TERM);
}

/// As when a terminal is closed: nobody reads any more, and SIGHUP says so.
#[test]
fn a_terminal_that_is_closed_ends_it_in_order() {
    let site = site();
    let (mut server, address) = Unread::start(serving(&site).stderr(Stdio::piped()));
    drop(server.0.stderr.take());
    check_serves(address);
    check_stops(server, Signal::HUP);
}

/// ENOSPC at each write.
#[test]
#[cfg(target_os = "linux")]
fn a_log_on_a_full_disk_is_no_reason_to_end() {
    let site = site();
    let (server, address) = Unread::start(serving(&site).stderr(full()));
    check_serves(address);
    check_stops(server, Signal::TERM);
}

/// Where it serves is then told to nobody, so the test chooses.
#[test]
#[cfg(target_os = "linux")]
fn a_standard_output_that_takes_nothing_is_no_reason_to_end() {
    let (_, broken) = std::io::pipe().unwrap();
    for (case, stdout) in [(1, Stdio::from(full())), (2, Stdio::from(broken)), (3, Stdio::null())] {
        let (site, address) = (site(), free_address(case));
        let serving = serving(&site);
        let mut command = Command::new("sh");
        let closing = if case == 3 { ">&-" } else { "" };
        command.args(["-c", &format!("exec \"$0\" \"$@\" {closing}")]).arg(serving.get_program());
        command.args(serving.get_args()).args(["--bind", &address.to_string()]).current_dir(site.path());
        let server = Unread(command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::null()).spawn().unwrap());
        until_listening(address);
        check_serves(address);
        check_stops(server, Signal::TERM);
    }
}

/// A free port of an address that no other test has.
#[cfg(target_os = "linux")]
fn free_address(case: u8) -> SocketAddr {
    let [.., high, low] = std::process::id().to_be_bytes();
    TcpListener::bind(SocketAddr::from(([127, high, low, case], 0))).unwrap().local_addr().unwrap()
}

#[cfg(target_os = "linux")]
fn until_listening(address: SocketAddr) {
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < deadline, "it doesn't listen");
        std::thread::yield_now();
    }
}

#[test]
fn broken_pipes_and_resets_are_survived() {
    let site = site();
    let mut server = Salver::serve(&site);
    server.signal(Signal::PIPE);
    for _ in 0..50 {
        let mut client = server.connect();
        client.send(get("/large.bin", ""));
        assert!(client.fill());
        // Unread bytes make a reset of the close.
        drop(client);
    }
    check_serves(server.address);
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn the_start_tells_limits_and_risks() {
    let site = site();
    let limit = getrlimit(Resource::Nofile).maximum.map_or("any number of".to_owned(), |limit| limit.to_string());
    let server = Salver::set(&site, &[("workers", "3"), ("connections_max", "100")]);
    let log = server.wait_for_log(" descriptors\n");
    assert!(log.contains(&format!("INFO 3 workers, up to 100 connections, {limit} descriptors\n")), "{log}");
    let warnings: Vec<&str> = log.lines().filter(|line| line.contains(" WARN ")).collect();
    assert_eq!(warnings.len(), usize::from(geteuid().is_root()), "{log}");
    assert!(warnings.iter().all(|line| line.contains("running as root: use an account that may read")), "{log}");
}

#[test]
fn more_connections_than_descriptors_are_complained_of() {
    let site = site();
    let serving = serving(&site);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 64; exec \"$0\" \"$@\""]).arg(serving.get_program()).args(serving.get_args());
    let server = Salver::run(command.env("SALVER_CONNECTIONS_MAX", "60").current_dir(site.path()).env_remove("PORT"));
    server.wait_for_log(
        "WARN connections_max = 60, but the descriptor limit (ulimit -Hn) leaves room for 32 beside files; raise the \
         limit, or lower connections_max",
    );
    server.wait_for_log("up to 60 connections, 64 descriptors");
    // Nobody who chose no number is bothered.
    let server = Salver::run(command.env_remove("SALVER_CONNECTIONS_MAX"));
    let log = server.wait_for_log("up to 32 connections, 64 descriptors");
    assert!(!log.contains("connections_max") && !log.contains("descriptors_max"), "{log}");
    // Of those that are left files keep half.
    let server = Salver::run(command.env("SALVER_CACHE_DESCRIPTORS_MAX", "17"));
    server
        .wait_for_log("WARN SALVER_CACHE_DESCRIPTORS_MAX=17: at most 16 are kept open, as connections have the others");
}
