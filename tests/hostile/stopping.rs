//! Stops under load: who has asked is answered, and told that it was the last time; nobody is reset.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{PATIENCE, Salver, Site, get};

/// How often it is stopped, unless the variable SALVER_STOPS says otherwise.
const STOPS: usize = 20;

/// Clients that keep their connection, and as many that open one for each request.
const CLIENTS: usize = 4;

#[test]
fn no_stop_under_load_resets_who_has_asked() {
    let stops = std::env::var("SALVER_STOPS").map_or(STOPS, |stops| stops.parse().unwrap());
    let site = Site::with(&[("index.html", "home")]);
    let mut lost = Vec::new();
    for stop in 0..stops {
        let mut server = Salver::start(&site, &["--quiet"]);
        let (answered, stopping) = (AtomicUsize::new(0), AtomicBool::new(false));
        thread::scope(|scope| {
            let clients = (0..2 * CLIENTS).map(|number| {
                let (address, answered, stopping) = (server.address, &answered, &stopping);
                scope.spawn(move || ask_until_refused(address, number < CLIENTS, answered, stopping))
            });
            let clients: Vec<_> = clients.collect();
            // At another moment each time.
            while answered.load(Ordering::Relaxed) < 50 + 7 * stop {
                thread::yield_now();
            }
            stopping.store(true, Ordering::SeqCst);
            server.signal(Signal::TERM);
            lost.extend(clients.into_iter().flat_map(|client| client.join().unwrap()));
        });
        assert_eq!(server.wait().code(), Some(0));
    }
    assert!(lost.is_empty(), "{} requests were lost in {stops} stops: {lost:?}", lost.len());
}

/// So long a client waits for a connection: who begins to connect during a stop gets none.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(100);

/// A stop waits 200 ms for the first bytes of who is about to connect; a client that was kept from sending them, as it may
/// be on a loaded machine, isn't waited for.
const PROMPT: Duration = Duration::from_millis(100);

/// Asks until it stops and nobody can connect any more; tells which requests got no answer although they should.
fn ask_until_refused(address: SocketAddr, keeps: bool, answered: &AtomicUsize, stopping: &AtomicBool) -> Vec<String> {
    let request = get("/", if keeps { "" } else { "Connection: close\r\n" });
    let mut lost = Vec::new();
    loop {
        let is_stopping = stopping.load(Ordering::SeqCst);
        let began = Instant::now();
        let Ok(mut stream) = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) else {
            if is_stopping {
                return lost;
            }
            continue;
        };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        for earlier in 0.. {
            let (answer, written) = ask(&mut stream, &request);
            let is_late = earlier == 0 && stopping.load(Ordering::SeqCst) && written - began > PROMPT;
            match answer {
                Ok(answer) if answer.ends_with("\r\n\r\nhome") => {
                    answered.fetch_add(1, Ordering::Relaxed);
                    if answer.contains("Connection: close\r\n") {
                        break;
                    }
                }
                // The server has closed an idle connection in order, and this client can ask again elsewhere.
                Ok(answer) if answer.is_empty() && earlier > 0 => break,
                _ if is_late => break,
                other => {
                    lost.push(format!("{other:?} after {earlier} answers"));
                    break;
                }
            }
        }
    }
}

/// The answer, as far as it goes, and when the request was written.
fn ask(stream: &mut TcpStream, request: &str) -> (Result<String, ErrorKind>, Instant) {
    // A peer that has closed may not be written to, and its farewell is still to be read.
    let written = stream.write_all(request.as_bytes()).map_err(|error| error.kind());
    let written_at = Instant::now();
    (read(stream).map_err(|error| written.err().unwrap_or(error)), written_at)
}

fn read(stream: &mut TcpStream) -> Result<String, ErrorKind> {
    let (mut answer, mut bytes) = (Vec::new(), [0; 4096]);
    while !answer.ends_with(b"\r\n\r\nhome") {
        match stream.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&bytes[..count]),
            Err(error) => return Err(error.kind()),
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
