//! What has to stay true when much is asked at once.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::{Client, PATIENCE, Salver, Site, get, settle};

/// One look at a file serves all requests that had begun before it, and no other.
#[test]
fn every_change_shows_on_the_next_request_however_busy_the_server_is() {
    for settings in [&[][..], &[("workers", "4"), ("shards", "2")]] {
        let site = Site::with(&[("file", "0"), ("dir/index.html", "0")]);
        let server = Salver::set(&site, settings);
        settle(&site, "", &server);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| hammer(&server, &done));
            }
            check_changes(&site, &server);
            done.store(true, Ordering::SeqCst);
        });
    }
}

fn hammer(server: &Salver, done: &AtomicBool) {
    let mut client = server.connect();
    while !done.load(Ordering::SeqCst) {
        for target in ["/file", "/there", "/dir/"] {
            client.send(get(target, ""));
            let status = client.reply().status;
            assert!([200, 404].contains(&status), "{target}: {status}");
        }
    }
}

#[track_caller]
fn check_changes(site: &Site, server: &Salver) {
    let mut client = server.connect();
    let mut ask = |target: &str| {
        client.send(get(target, ""));
        let reply = client.reply();
        (reply.status, reply.text())
    };
    for round in 0..200 {
        let content = format!("{round}");
        site.write("new", &content);
        // An old date, so that it is kept at once and every request after it is answered from memory.
        site.set_modified("new", 1_000_000_000 + round);
        fs::rename(site.join("new"), site.join("file")).unwrap();
        assert_eq!(ask("/file"), (200, content.clone()));
        site.write("dir/index.html", &content);
        assert_eq!(ask("/dir/"), (200, content.clone()));
        site.write("there", &content);
        assert_eq!(ask("/there"), (200, content));
        fs::remove_file(site.join("there")).unwrap();
        assert_eq!(ask("/there").0, 404);
    }
}

/// TCP_DEFER_ACCEPT leaves them with the system, which has room for so many.
#[test]
fn two_thousand_silent_connections_shut_nobody_out() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let site = Site::with(&[("a.txt", "a")]);
    let server = Salver::serve(&site);
    let count = limit.maximum.map_or(2000, |maximum| maximum.saturating_sub(500).min(2000));
    let mut silent = Vec::new();
    for at in 0..count {
        silent.push(server.connect());
        if at % 200 == 0 {
            let asked = Instant::now();
            assert_eq!(server.get("/a.txt", "").text(), "a");
            assert!(asked.elapsed() < PATIENCE / 4, "{at} keep others waiting: {:?}", asked.elapsed());
        }
    }
    assert_eq!(server.get("/a.txt", "").text(), "a");
    // And whoever speaks at last is answered.
    for client in silent.iter_mut().step_by(100) {
        client.send(get("/a.txt", ""));
        assert_eq!(client.reply().text(), "a");
    }
}

/// A scan for names that aren't there, each asked for once, and a name that is asked for often.
#[test]
fn a_scan_of_names_changes_nothing_for_others() {
    let site = Site::with(&[("a.txt", "a")]);
    let server = Salver::serve(&site);
    let mut client: Client = server.connect();
    for batch in 0..100 {
        let requests: String = (0..50).map(|at| get(&format!("/{batch}/{}", at * 7919), "")).collect();
        client.send(requests + &get("/a.txt", "") + &get("/missing", ""));
        (0..50).for_each(|_| assert_eq!(client.reply().status, 404));
        assert_eq!(client.reply().text(), "a");
        assert_eq!(client.reply().status, 404);
    }
}
