//! When there are no descriptors left: nobody is lost, nothing spins, and it goes on once there are some again.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::visitors::{Visitor, beside};
use crate::support::{Client, PATIENCE, Salver, Site, get, serving};

/// None but those that are open already.
const NONE_MORE: Option<u64> = Some(3);

#[test]
fn who_cant_be_accepted_is_served_once_there_are_descriptors_again() {
    let site = Site::with(&[("a.txt", "a"), ("b.txt", "b")]);
    let server = Salver::serve(&site);
    let mut kept = server.connect();
    kept.send(get("/a.txt", ""));
    assert_eq!(kept.reply().text(), "a");

    let limit = server.process().limit_descriptors(NONE_MORE);
    let mut waiting: Vec<Client> = (0..50).map(|_| server.connect()).collect();
    waiting.iter_mut().for_each(|client| client.send(get("/a.txt", "")));
    server.wait_for_log("a connection can't be accepted");
    let before = server.process().cpu();
    assert!(!waiting[0].fills_within(1_000), "nobody can be accepted");
    let used = server.process().cpu() - before;
    assert!(used < Duration::from_millis(300), "{used:?} in about a second");
    // Who is connected is answered: nothing can be opened now, but perhaps later.
    kept.send(get("/b.txt", ""));
    assert_eq!(kept.reply().status, 503);

    let released = Instant::now();
    server.process().limit_descriptors(limit);
    for client in &mut waiting {
        assert_eq!(client.reply().text(), "a");
    }
    assert!(released.elapsed() < PATIENCE / 2, "{:?} until all were served", released.elapsed());
    kept.send(get("/b.txt", ""));
    assert_eq!(kept.reply().text(), "b");
    let complaints = server.log().matches("a connection can't be accepted").count();
    assert!(complaints < 5, "{complaints} lines in the log");
}

/// Descriptors come and go; each answer is right, or says that it is a passing trouble.
#[test]
fn a_limit_that_comes_and_goes_loses_no_request() {
    let site = Site::with(&[("a.txt", "a")]);
    site.write("large.bin", vec![b'x'; 200_000]);
    let server = Salver::serve(&site);
    assert_eq!(server.get("/a.txt", "").text(), "a", "it has begun");
    let limit = server.process().limit_descriptors(Some(1_000));
    let check = |visitor: &mut Visitor, number: usize| {
        // Some keep their connection, some don't.
        let (target, bytes) = if number.is_multiple_of(2) { ("/a.txt", 1) } else { ("/large.bin", 200_000) };
        let reply = visitor.get(target, if number < 4 { "" } else { "Connection: close\r\n" });
        assert!(reply.status == 503 || (reply.status, reply.body.len()) == (200, bytes), "{}", reply.head);
    };
    beside(server.address, 8, Duration::from_millis(1), check, || {
        let mut client = server.connect();
        server.process().limit_descriptors(NONE_MORE);
        for _ in 0..10 {
            assert!(!client.fills_within(20), "nothing was asked");
            server.process().limit_descriptors(limit);
            assert!(!client.fills_within(20), "nothing was asked");
            server.process().limit_descriptors(NONE_MORE);
        }
        server.process().limit_descriptors(limit);
        client.send(get("/large.bin", ""));
        assert_eq!(client.reply().body.len(), 200_000);
    });
}

/// `connections_max` is fitted to the limit, so that the files of as many answers can still be opened.
#[test]
fn connections_leave_descriptors_for_files() {
    let site = Site::with(&[("a.txt", "a")]);
    (0..20).for_each(|number| site.write(&format!("{number}.bin"), vec![number; 200_000]));
    let serving = serving(&site);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 64; exec \"$0\" \"$@\""]).arg(serving.get_program()).args(serving.get_args());
    let server = Salver::run(command.current_dir(site.path()));
    let check = |visitor: &mut Visitor, number: usize| {
        let reply = visitor.get(&format!("/{number}.bin"), "Connection: close\r\n");
        assert_eq!((reply.status, reply.body.len()), (200, 200_000), "{}", reply.head);
    };
    // More than there is room for.
    let idle: Vec<Client> = (0..10).map(|_| server.connect()).collect();
    beside(server.address, 20, Duration::ZERO, check, || {
        (0..100).for_each(|_| assert_eq!(server.get("/a.txt", "").text(), "a"));
    });
    drop(idle);
    assert!(!server.log().contains("Too many open files"), "{}", server.log());
}
