//! The socketserver layer on its own: the life of a connection, the rules of watching, spare workers, stopping.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what it expects by panicking")]

mod support;

mod socketserver {
    mod ends;
    mod one;
    mod transports;
}

use std::collections::HashMap;
use std::io::{self, BufRead, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use salver::socketserver::{
    Conn, End, Handler, Interest, Listener, Next, Options, Peer, Server, SocketOptions, Stopper, Stream, Wake, Waker,
    background, blocking, slow,
};
use support::PATIENCE;
use support::process::raise_descriptor_limit;

/// A server in this process, stopped when it is dropped.
struct Running {
    address: SocketAddr,
    stopper: Stopper,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Running {
    fn start(handler: impl Handler, workers: usize) -> Self {
        let mut options = Options::default();
        options.workers = workers;
        Self::with(handler, options)
    }

    fn with(handler: impl Handler, options: Options) -> Self {
        Self::over(Listener::tcp(([127, 0, 0, 1], 0).into(), &SocketOptions::default()).unwrap(), handler, options)
    }

    fn over(listener: Listener, handler: impl Handler, options: Options) -> Self {
        let server = Server::new(vec![listener], handler, options).unwrap();
        let address = server.local_addrs().unwrap()[0].as_inet().unwrap();
        let stopper = server.stopper();
        Self { address, stopper, thread: Some(thread::spawn(|| server.serve_forever())) }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Asks it to stop and waits until it has.
    fn stop(&mut self) {
        self.stopper.shutdown();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap().unwrap();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stopper.shutdown();
    }
}

/// Long enough that no test ever comes to it.
fn far() -> Instant {
    Instant::now() + 10 * PATIENCE
}

#[track_caller]
fn ask(stream: &mut TcpStream, bytes: &[u8]) -> Vec<u8> {
    stream.write_all(bytes).unwrap();
    let mut answer = vec![0; bytes.len()];
    stream.read_exact(&mut answer).unwrap();
    answer
}

/// The stream ends, by an end or a reset.
#[track_caller]
fn expect_end(stream: &mut TcpStream) {
    let mut bytes = [0; 16];
    match stream.read(&mut bytes) {
        Ok(0) => {}
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
        other => panic!("no end: {other:?}"),
    }
}

/// A handler made of a function; it says how each session ended.
struct Each<F> {
    handle: F,
    ends: Sender<String>,
}

impl<F> Each<F>
where
    F: Fn(&mut Stream, Wake, &Waker) -> io::Result<Next> + Send + Sync + 'static,
{
    fn new(handle: F) -> (Self, Receiver<String>) {
        let (ends, receiver) = channel();
        (Self { handle, ends }, receiver)
    }
}

impl<F> Handler for Each<F>
where
    F: Fn(&mut Stream, Wake, &Waker) -> io::Result<Next> + Send + Sync + 'static,
{
    type Session = Waker;

    fn setup(&self, connection: &Conn<'_>) -> Waker {
        connection.waker()
    }

    fn handle(&self, waker: &mut Waker, stream: &mut Stream, wake: Wake) -> io::Result<Next> {
        (self.handle)(stream, wake, waker)
    }

    fn finish(&self, _waker: Waker, end: End) {
        let _ = self.ends.send(format!("{end:?}"));
    }
}

/// Echoes what is there, then waits for more.
fn echo(stream: &mut Stream) -> io::Result<Next> {
    let mut bytes = [0; 1024];
    loop {
        match stream.try_read(&mut bytes) {
            Ok(0) => return Ok(Next::Close),
            Ok(read) => drop(stream.try_write(&bytes[..read])?),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Next::Wait(Interest::Read, far())),
            Err(error) => return Err(error),
        }
    }
}

fn echo_handler() -> impl Handler {
    Each::new(|stream, wake, _| if wake == Wake::Stopping { Ok(Next::Close) } else { echo(stream) }).0
}

#[test]
fn many_clients_are_served_at_once_by_few_workers() {
    raise_descriptor_limit();
    for workers in [1, 2] {
        let mut server = Running::start(echo_handler(), workers);
        let mut clients: Vec<_> = (0..500).map(|_| server.connect()).collect();
        for round in 0..3u8 {
            for client in &mut clients {
                assert_eq!(ask(client, &[round; 64]), [round; 64]);
            }
        }
        drop(clients);
        server.stop();
    }
}

#[test]
fn two_hundred_blocking_clients_are_served_at_once() {
    raise_descriptor_limit();
    let everyone_is_there = Arc::new(Barrier::new(200));
    let server = Running::start(
        blocking(move |stream| {
            let mut line = String::new();
            while stream.read_line(&mut line)? > 0 {
                stream.write_all(line.as_bytes())?;
                line.clear();
            }
            Ok(())
        }),
        2,
    );
    let clients: Vec<_> = (0..200)
        .map(|number| {
            let (mut stream, barrier) = (server.connect(), Arc::clone(&everyone_is_there));
            thread::spawn(move || {
                let line = format!("client {number}\n").into_bytes();
                assert_eq!(ask(&mut stream, &line), line);
                barrier.wait();
                assert_eq!(ask(&mut stream, &line), line);
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
}

#[test]
fn slow_work_keeps_nobody_waiting() {
    for workers in [1, 2] {
        let (release, gate) = channel::<()>();
        let gate = Mutex::new(gate);
        let (handler, _ends) = Each::new(move |stream, _, _| {
            let mut bytes = [0; 1];
            match stream.try_read(&mut bytes) {
                Ok(1) if bytes[0] == b's' => slow(|| gate.lock().unwrap().recv().unwrap_or(())),
                Ok(1) => {}
                Ok(_) => return Ok(Next::Close),
                Err(_) => return Ok(Next::Wait(Interest::Read, far())),
            }
            stream.try_write(&bytes)?;
            Ok(Next::Again)
        });
        let server = Running::start(handler, workers);
        let mut busy: Vec<_> = (0..3).map(|_| server.connect()).collect();
        busy.iter_mut().for_each(|client| client.write_all(b"s").unwrap());
        let mut quick = server.connect();
        assert_eq!(ask(&mut quick, b"quick"), b"quick");
        busy.iter().for_each(|_| release.send(()).unwrap());
        for client in &mut busy {
            let mut answer = [0; 1];
            client.read_exact(&mut answer).unwrap();
        }
    }
}

#[test]
fn a_handler_that_sleeps_holds_up_only_its_worker() {
    for workers in [1, 2] {
        let asleep = Arc::new(AtomicBool::new(false));
        let sleeping = Arc::clone(&asleep);
        let (release, gate) = channel::<()>();
        let gate = Mutex::new(gate);
        let (handler, _ends) = Each::new(move |stream, _, _| {
            let mut bytes = [0; 1];
            match stream.try_read(&mut bytes) {
                Ok(1) if bytes[0] == b's' => {
                    // Not said with `slow`: with one worker, all have to wait.
                    sleeping.store(true, Ordering::SeqCst);
                    gate.lock().unwrap().recv().unwrap_or(());
                }
                Ok(1) => {}
                Ok(_) => return Ok(Next::Close),
                Err(_) => return Ok(Next::Wait(Interest::Read, far())),
            }
            stream.try_write(&bytes)?;
            Ok(Next::Again)
        });
        let server = Running::start(handler, workers);
        let mut others: Vec<_> = (0..20).map(|_| server.connect()).collect();
        others.iter_mut().for_each(|client| assert_eq!(ask(client, b"."), b"."));
        let mut sleeper = server.connect();
        sleeper.write_all(b"s").unwrap();
        while !asleep.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        others.iter_mut().for_each(|client| client.write_all(b"x").unwrap());
        if workers == 1 {
            release.send(()).unwrap();
        }
        for client in &mut others {
            let mut answer = [0; 1];
            client.read_exact(&mut answer).unwrap();
        }
        let _ = release.send(());
        let mut answer = [0; 1];
        sleeper.read_exact(&mut answer).unwrap();
    }
}

#[test]
fn a_panic_costs_one_connection() {
    let (handler, ends) = Each::new(|stream, _, _| {
        let mut bytes = [0; 1];
        match stream.try_read(&mut bytes) {
            Ok(1) if bytes[0] == b'!' => panic!("asked for"),
            Ok(1) => stream.try_write(&bytes)?,
            Ok(_) => return Ok(Next::Close),
            Err(_) => return Ok(Next::Wait(Interest::Read, far())),
        };
        Ok(Next::Again)
    });
    let server = Running::start(handler, 1);
    let mut bystander = server.connect();
    assert_eq!(ask(&mut bystander, b"1"), b"1");
    for _ in 0..3 {
        let mut client = server.connect();
        client.write_all(b"!").unwrap();
        expect_end(&mut client);
        assert_eq!(ends.recv_timeout(PATIENCE).unwrap(), "Panicked");
    }
    assert_eq!(ask(&mut bystander, b"2"), b"2");
}

/// What a handler panics with, and its session, may panic once more when they are dropped.
#[test]
fn panics_of_panics_cost_one_connection_too() {
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            if !thread::panicking() {
                panic!("asked for, when dropped");
            }
        }
    }

    struct Mined;

    impl Handler for Mined {
        type Session = Option<Bomb>;

        fn setup(&self, _connection: &Conn<'_>) -> Option<Bomb> {
            None
        }

        fn handle(&self, session: &mut Option<Bomb>, stream: &mut Stream, _wake: Wake) -> io::Result<Next> {
            let mut bytes = [0; 1];
            match stream.try_read(&mut bytes).map(|_| bytes[0]) {
                Ok(b'p') => std::panic::panic_any(Bomb),
                Ok(b's') => *session = Some(Bomb),
                Ok(b'e') => return Err(io::Error::other(Failing(Bomb))),
                Ok(b'b') => {
                    *session = Some(Bomb);
                    std::panic::panic_any(Bomb);
                }
                Ok(_) => return echo_byte(stream, bytes),
                Err(_) => return Ok(Next::Wait(Interest::Read, far())),
            }
            Ok(Next::Close)
        }

        fn finish(&self, session: Option<Bomb>, _end: End) {
            if session.is_some() {
                std::panic::panic_any(Bomb);
            }
        }
    }

    struct Failing(Bomb);

    impl std::fmt::Debug for Failing {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("failing")
        }
    }

    impl std::fmt::Display for Failing {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            let Self(Bomb) = self;
            f.write_str("failing")
        }
    }

    impl std::error::Error for Failing {}

    fn echo_byte(stream: &mut Stream, bytes: [u8; 1]) -> io::Result<Next> {
        stream.try_write(&bytes)?;
        Ok(Next::Close)
    }

    // A place that is lost would be missed: there is one, and one worker.
    let mut options = Options::default();
    (options.workers, options.workers_max, options.connections_max, options.shards) = (1, 1, 1, 1);
    let server = Running::with(Mined, options);
    for bytes in [b"p", b"s", b"e", b"b", b"p", b"s"] {
        let mut client = server.connect();
        client.write_all(bytes).unwrap();
        expect_end(&mut client);
        let mut other = server.connect();
        assert_eq!(ask(&mut other, b"1"), b"1", "after {}", bytes.escape_ascii());
    }
}

#[test]
fn every_end_has_its_reason() {
    let (handler, ends) = Each::new(|stream, wake, _| {
        let mut bytes = [0; 1];
        match stream.try_read(&mut bytes) {
            Ok(1) if bytes[0] == b'e' => Err(io::Error::other("asked for")),
            Ok(_) => Ok(Next::Close),
            // It doesn't care that the server stops, and is cut.
            Err(_) if wake == Wake::Stopping => Ok(Next::Wait(Interest::Neither, far())),
            Err(_) => Ok(Next::Wait(Interest::Read, far())),
        }
    });
    let mut options = Options::default();
    options.stop_timeout = Duration::from_millis(50);
    let mut server = Running::with(handler, options);
    let next_end = || ends.recv_timeout(PATIENCE).unwrap();
    drop(server.connect());
    assert_eq!(next_end(), "EndOfStream");
    server.connect().write_all(b"c").unwrap();
    assert_eq!(next_end(), "Closed");
    server.connect().write_all(b"e").unwrap();
    assert!(next_end().starts_with("Failed("));
    let mut stubborn = server.connect();
    server.stop();
    assert_eq!(next_end(), "Stopped");
    expect_end(&mut stubborn);
}

#[test]
fn a_peer_that_is_not_verified_gets_no_session() {
    struct Bouncer(Arc<AtomicUsize>);
    impl Handler for Bouncer {
        type Session = ();
        fn verify(&self, peer: &Peer) -> bool {
            assert!(peer.address().as_inet().unwrap().ip().is_loopback());
            false
        }
        fn setup(&self, _connection: &Conn<'_>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
        fn handle(&self, (): &mut (), _stream: &mut Stream, _wake: Wake) -> io::Result<Next> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Ok(Next::Close)
        }
    }
    let calls = Arc::new(AtomicUsize::new(0));
    let mut server = Running::start(Bouncer(Arc::clone(&calls)), 1);
    expect_end(&mut server.connect());
    server.stop();
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[test]
fn deadlines_are_absolute() {
    // Bytes that trickle in wake the handler and don't move the deadline.
    struct Late;
    impl Handler for Late {
        type Session = Instant;
        fn setup(&self, _connection: &Conn<'_>) -> Instant {
            Instant::now() + Duration::from_millis(300)
        }
        fn handle(&self, due: &mut Instant, stream: &mut Stream, wake: Wake) -> io::Result<Next> {
            if wake == Wake::Overdue {
                assert!(Instant::now() >= *due);
                stream.try_write(b"late")?;
                return Ok(Next::Close);
            }
            let mut bytes = [0; 64];
            while stream.try_read(&mut bytes).is_ok_and(|read| read > 0) {}
            Ok(Next::Wait(Interest::Read, *due))
        }
    }
    for workers in [1, 2] {
        let server = Running::start(Late, workers);
        let mut client = server.connect();
        client.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        let deadline = Instant::now() + PATIENCE;
        let mut answer = [0; 4];
        loop {
            assert!(Instant::now() < deadline, "never overdue");
            let _ = client.write_all(b".");
            if client.read(&mut answer).is_ok_and(|read| read > 0) {
                break;
            }
        }
        assert_eq!(&answer, b"late");
    }
}

/// Urgent data ends a read early: what follows it is no news of its own, and must be read all the same.
#[test]
fn nothing_is_left_unread_behind_urgent_data() {
    let (handler, _ends) = Each::new(|stream, wake, _| {
        let mut bytes = [0; 64];
        match stream.try_read(&mut bytes) {
            _ if wake == Wake::Stopping => Ok(Next::Close),
            Ok(0) => Ok(Next::Close),
            Ok(read) => stream.try_write(&bytes[..read]).map(|_| Next::Wait(Interest::Read, far())),
            Err(_) => Ok(Next::Wait(Interest::Read, far())),
        }
    });
    let server = Running::start(handler, 2);
    let mut client = server.connect();
    for _ in 0..100 {
        client.write_all(b"before").unwrap();
        socket2::SockRef::from(&client).send_out_of_band(b"!").unwrap();
        client.write_all(b"behind").unwrap();
        let mut answer = [0; 12];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"beforebehind");
    }
}

#[test]
fn deadlines_pass_without_any_event() {
    let (handler, _ends) = Each::new(|stream, wake, _| match wake {
        Wake::Overdue => stream.try_write(b"!").map(|_| Next::Close),
        _ => Ok(Next::Wait(Interest::Neither, Instant::now())),
    });
    let server = Running::start(handler, 1);
    let mut clients: Vec<_> = (0..50).map(|_| server.connect()).collect();
    for client in &mut clients {
        let mut answer = [0; 1];
        client.read_exact(&mut answer).unwrap();
    }
}

#[test]
fn a_half_closed_client_does_not_make_a_writer_spin() {
    let (said, calls) = channel();
    let (said, count) = (Mutex::new(said), AtomicUsize::new(0));
    let due = Instant::now() + Duration::from_millis(300);
    let (handler, _ends) = Each::new(move |stream, wake, _| {
        let calls = count.fetch_add(1, Ordering::SeqCst);
        if wake == Wake::Overdue {
            said.lock().unwrap().send(calls).unwrap();
            return Ok(Next::Close);
        }
        let bytes = [b'x'; 64 << 10];
        loop {
            match stream.try_write(&bytes) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Next::Wait(Interest::Write, due)),
                Err(error) => return Err(error),
            }
        }
    });
    let server = Running::start(handler, 1);
    let client = server.connect();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let calls = calls.recv_timeout(PATIENCE).unwrap();
    assert!(calls < 50, "{calls} calls while there was no room to write");
}

/// A poller tells of it as long as it is asked.
#[test]
fn who_waits_for_nothing_is_told_once_of_a_hang_up() {
    check_hang_up(|client| socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap());
}

/// Most who go just close: over TCP that is the end of what they send, and no hang-up.
#[test]
#[cfg(all(target_os = "linux", not(salver_portable)))]
fn who_waits_for_nothing_is_told_once_of_the_end() {
    check_hang_up(drop);
}

#[track_caller]
fn check_hang_up(leave: impl FnOnce(TcpStream)) {
    let (said, calls) = channel();
    let (said, count) = (Mutex::new(said), AtomicUsize::new(0));
    let (handler, _ends) = Each::new(move |_, wake, _| match wake {
        Wake::Ready => {
            count.fetch_add(1, Ordering::SeqCst);
            Ok(Next::Wait(Interest::Neither, Instant::now() + Duration::from_millis(300)))
        }
        Wake::Overdue => {
            said.lock().unwrap().send(count.load(Ordering::SeqCst)).unwrap();
            Ok(Next::Close)
        }
        _ => Ok(Next::Wait(Interest::Neither, far())),
    });
    let server = Running::start(handler, 1);
    leave(server.connect());
    assert_eq!(calls.recv_timeout(PATIENCE).unwrap(), 1);
}

/// Reads a line each time there is one, as a blocked worker, and lets others have their turn.
fn line_by_line() -> impl Handler {
    Each::new(|stream, wake, _| {
        let mut line = String::new();
        match wake {
            Wake::Opened => Ok(Next::Wait(Interest::Read, far())),
            Wake::Ready if stream.read_line(&mut line)? > 0 => {
                stream.write_all(line.as_bytes())?;
                Ok(Next::Wait(Interest::Read, far()))
            }
            _ => Ok(Next::Close),
        }
    })
    .0
}

#[test]
fn what_was_read_ahead_is_not_waited_for() {
    let server = Running::start(line_by_line(), 1);
    assert_eq!(ask(&mut server.connect(), b"one\ntwo\nthree\n"), b"one\ntwo\nthree\n");
}

#[test]
fn one_connection_with_endless_work_does_not_starve_the_others() {
    let (handler, _ends) = Each::new(|stream, wake, _| {
        let mut bytes = [0; 1];
        match stream.try_read(&mut bytes) {
            _ if wake == Wake::Stopping => Ok(Next::Close),
            Ok(0) => Ok(Next::Close),
            Ok(_) if bytes[0] == b'e' => Ok(Next::Wait(Interest::Write, far())),
            Ok(_) => stream.try_write(&bytes).map(|_| Next::Again),
            // Writable at once, each time: a connection that always has something to do.
            Err(_) if wake == Wake::Ready => Ok(Next::Again),
            Err(_) => Ok(Next::Wait(Interest::Read, far())),
        }
    });
    let server = Running::start(handler, 1);
    let mut endless = server.connect();
    endless.write_all(b"e").unwrap();
    let mut other = server.connect();
    for _ in 0..100 {
        assert_eq!(ask(&mut other, b"."), b".");
    }
}

/// It is never parked, and hears of a stop and of calls all the same.
#[test]
fn who_always_goes_on_is_told_what_others_are_told() {
    let endless = || {
        let (heard, hears) = channel();
        let (handler, _ends) = Each::new(move |_, wake, waker: &Waker| {
            match wake {
                Wake::Opened => waker.wake(),
                Wake::Ready => {}
                _ => drop(heard.send(wake)),
            }
            Ok(if wake == Wake::Stopping { Next::Close } else { Next::Again })
        });
        (handler, hears)
    };
    let mut options = Options::default();
    options.stop_timeout = 10 * PATIENCE;
    let (handler, hears) = endless();
    let server = Running::with(handler, options);
    let _client = server.connect();
    assert_eq!(hears.recv_timeout(PATIENCE), Ok(Wake::Called));
    drop(server);
    assert_eq!(hears.recv_timeout(PATIENCE), Ok(Wake::Stopping));

    let (handler, hears) = endless();
    let server = Server::bind("127.0.0.1:0", handler).unwrap();
    let _client = TcpStream::connect(server.local_addrs().unwrap()[0].as_inet().unwrap()).unwrap();
    thread::scope(|scope| {
        let serving = scope.spawn(|| server.handle_one());
        assert_eq!(hears.recv_timeout(PATIENCE), Ok(Wake::Called));
        server.stopper().shutdown();
        assert_eq!(hears.recv_timeout(PATIENCE), Ok(Wake::Stopping));
        assert!(serving.join().unwrap().unwrap());
    });
}

#[test]
fn connections_beyond_the_limit_wait_for_a_place() {
    for shards in [1, 2] {
        check_limit(shards);
    }
}

fn check_limit(shards: usize) {
    let mut options = Options::default();
    (options.connections_max, options.shards) = (2, shards);
    let server = Running::with(echo_handler(), options);
    let (mut first, mut second) = (server.connect(), server.connect());
    assert_eq!(ask(&mut first, b"1"), b"1");
    assert_eq!(ask(&mut second, b"2"), b"2");
    let mut third = server.connect();
    third.write_all(b"3").unwrap();
    third.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut answer = [0; 1];
    assert!(third.read(&mut answer).is_err(), "served beyond the limit");
    drop(first);
    third.set_read_timeout(Some(PATIENCE)).unwrap();
    third.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"3");
    for _ in 0..100 {
        drop(std::mem::replace(&mut second, server.connect()));
        assert_eq!(ask(&mut second, b"4"), b"4");
    }
}

/// A place that one listener keeps for what may come is a place that another one lacks.
#[test]
fn idle_listeners_take_no_place() {
    let mut options = Options::default();
    options.connections_max = 1;
    let listen = || Listener::tcp(([127, 0, 0, 1], 0).into(), &SocketOptions::default()).unwrap();
    let server = Server::new(vec![listen(), listen()], echo_handler(), options).unwrap();
    let addresses: Vec<_> = server.local_addrs().unwrap().iter().map(|address| address.as_inet().unwrap()).collect();
    let stopper = server.stopper();
    let thread = thread::spawn(|| server.serve_forever());
    for address in addresses.iter().cycle().take(20) {
        let mut client = TcpStream::connect(address).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(ask(&mut client, b"."), b".");
    }
    stopper.shutdown();
    thread.join().unwrap().unwrap();
}

/// A chat room: what one says, all hear.
#[derive(Default)]
struct Chat {
    members: Mutex<HashMap<usize, (Waker, Vec<u8>)>>,
    joined: AtomicUsize,
}

impl Handler for Chat {
    type Session = usize;

    fn setup(&self, connection: &Conn<'_>) -> usize {
        let number = self.joined.fetch_add(1, Ordering::SeqCst);
        self.members.lock().unwrap().insert(number, (connection.waker(), Vec::new()));
        number
    }

    fn handle(&self, number: &mut usize, stream: &mut Stream, _wake: Wake) -> io::Result<Next> {
        let mut bytes = [0; 64];
        let mut members = self.members.lock().unwrap();
        match stream.try_read(&mut bytes) {
            Ok(0) => return Ok(Next::Close),
            Ok(read) => members.values_mut().for_each(|(waker, unsaid)| {
                unsaid.extend_from_slice(&bytes[..read]);
                waker.wake();
            }),
            Err(_) => {}
        }
        let unsaid = &mut members.get_mut(number).unwrap().1;
        stream.try_write(unsaid)?;
        unsaid.clear();
        Ok(Next::Wait(Interest::Read, far()))
    }

    fn finish(&self, number: usize, _end: End) {
        self.members.lock().unwrap().remove(&number);
    }
}

#[test]
fn wakers_reach_parked_connections() {
    for workers in [1, 2] {
        let server = Running::start(Chat::default(), workers);
        let mut clients: Vec<_> = (0..20).map(|_| server.connect()).collect();
        // Everyone is in once everyone has heard themselves.
        for client in &mut clients {
            client.write_all(b"+").unwrap();
            let mut heard = [0; 1];
            client.read_exact(&mut heard).unwrap();
        }
        clients[0].write_all(b"!").unwrap();
        for client in &mut clients {
            let mut heard = [0; 1];
            while heard != *b"!" {
                client.read_exact(&mut heard).unwrap();
            }
        }
    }
}

#[test]
fn a_call_during_a_turn_counts_and_one_after_the_end_does_nothing() {
    let (wakers, received) = channel();
    let wakers = Mutex::new(wakers);
    let (handler, ends) = Each::new(move |stream, wake, waker| match wake {
        Wake::Opened => {
            // Called while it runs: it is not parked yet.
            waker.wake();
            wakers.lock().unwrap().send(waker.clone()).unwrap();
            Ok(Next::Wait(Interest::Neither, far()))
        }
        Wake::Called => stream.try_write(b"called").map(|_| Next::Close),
        _ => Ok(Next::Close),
    });
    let server = Running::start(handler, 1);
    let mut client = server.connect();
    let mut answer = [0; 6];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"called");
    ends.recv_timeout(PATIENCE).unwrap();
    let waker: Waker = received.recv_timeout(PATIENCE).unwrap();
    // The next connection gets the same slot; the old waker must not reach it.
    let mut next = server.connect();
    let mut answer = [0; 6];
    next.read_exact(&mut answer).unwrap();
    waker.wake();
    drop(server);
    waker.wake();
}

/// A handler may take a turn for bytes that it can read at once, even if some of a message came while it was at it.
#[test]
fn no_turn_comes_for_bytes_that_were_read_already() {
    let (tell, told) = channel();
    let (release, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let empty_turns = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&empty_turns);
    let (handler, _ends) = Each::new(move |stream, wake, _| {
        let mut bytes = [0; 1];
        let mut read_any = false;
        loop {
            match stream.try_read(&mut bytes) {
                Ok(1) if bytes == *b"[" => {
                    // The rest of the message comes, and an event with it, while the connection is here.
                    tell.send(()).unwrap();
                    gate.lock().unwrap().recv().unwrap_or(());
                }
                Ok(1) => drop(stream.try_write(&bytes)?),
                Ok(_) => return Ok(Next::Close),
                Err(_) => break,
            }
            read_any = true;
        }
        if !read_any && wake == Wake::Ready {
            counted.fetch_add(1, Ordering::SeqCst);
        }
        Ok(Next::Wait(Interest::Read, far()))
    });
    let server = Running::start(handler, 2);
    let mut client = server.connect();
    for _ in 0..100 {
        client.write_all(b"[").unwrap();
        told.recv_timeout(PATIENCE).unwrap();
        client.write_all(b"]").unwrap();
        // The other worker has seen that event when it answers another client for the second time: the first turn of that
        // may come of a look before the event.
        let mut other = server.connect();
        assert_eq!([ask(&mut other, b"."), ask(&mut other, b".")], [b".", b"."]);
        release.send(()).unwrap();
        let mut answer = [0; 1];
        client.read_exact(&mut answer).unwrap();
    }
    assert_eq!(ask(&mut client, b"."), b".");
    assert_eq!(empty_turns.load(Ordering::SeqCst), 0);
}

/// Waits until nothing that was sent to this port is still on its way: on a loaded machine even loopback takes its time.
fn until_delivered(port: u16) {
    let deadline = Instant::now() + PATIENCE;
    let peer = format!(":{port:04X}");
    let is_under_way = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields.len() > 4 && fields[2].ends_with(&peer) && !fields[4].starts_with("00000000:")
    };
    // Where there is no such table there is no such wait.
    while std::fs::read_to_string("/proc/net/tcp").unwrap_or_default().lines().any(is_under_way) {
        assert!(Instant::now() < deadline, "it isn't delivered");
    }
}

#[test]
fn a_stop_serves_the_readable_and_closes_the_idle() {
    for workers in [1, 2] {
        let (handler, ends) = Each::new(|stream, wake, _| {
            let mut bytes = [0; 64];
            // Asked first: what was sent before the stop is then found by the read.
            let is_stopping = wake == Wake::Stopping || stream.is_stopping();
            match stream.try_read(&mut bytes) {
                Ok(0) => Ok(Next::Close),
                Ok(read) => {
                    stream.try_write(&bytes[..read])?;
                    Ok(if stream.is_stopping() { Next::Close } else { Next::Again })
                }
                Err(_) if is_stopping => Ok(Next::Close),
                Err(_) => Ok(Next::Wait(Interest::Read, far())),
            }
        });
        let mut server = Running::start(handler, workers);
        let mut clients: Vec<_> = (0..50).map(|_| server.connect()).collect();
        clients.iter_mut().for_each(|client| assert_eq!(ask(client, b"hello"), b"hello"));
        clients.iter_mut().step_by(2).for_each(|client| client.write_all(b"last").unwrap());
        until_delivered(server.address.port());
        server.stop();
        for (number, client) in clients.iter_mut().enumerate() {
            let mut rest = Vec::new();
            client.read_to_end(&mut rest).unwrap();
            assert_eq!(rest, if number % 2 == 0 { &b"last"[..] } else { b"" });
        }
        assert_eq!(ends.iter().filter(|end| end == "Closed").take(50).count(), 50);
        assert!(TcpStream::connect(server.address).is_err(), "it still listens");
    }
}

#[test]
fn what_is_under_way_has_the_stop_timeout_to_finish() {
    let (handler, ends) = Each::new(|_, _, _| Ok(Next::Wait(Interest::Neither, far())));
    let mut options = Options::default();
    options.stop_timeout = Duration::from_millis(200);
    let mut server = Running::with(handler, options);
    let clients: Vec<_> = (0..5).map(|_| server.connect()).collect();
    server.stop();
    assert_eq!(ends.iter().take(5).collect::<Vec<_>>(), ["Stopped"; 5]);
    drop(clients);
}

#[test]
fn a_stop_may_wait_for_ever() {
    let mut options = Options::default();
    options.stop_timeout = Duration::MAX;
    let mut server = Running::with(echo_handler(), options);
    let mut client = server.connect();
    assert_eq!(ask(&mut client, b"hello"), b"hello");
    drop(client);
    server.stop();
}

#[test]
fn blocking_handlers_end_when_the_server_stops() {
    let mut server = Running::start(blocking(|stream| stream.read_line(&mut String::new()).map(drop)), 1);
    let mut clients: Vec<_> = (0..5).map(|_| server.connect()).collect();
    server.stop();
    clients.iter_mut().for_each(expect_end);
}

/// Else its thread would go on for ever in a process that does.
#[test]
fn a_blocking_handler_that_is_never_idle_has_the_stop_timeout() {
    let (said, heard) = channel();
    let said = Mutex::new(said);
    let mut options = Options::default();
    options.stop_timeout = Duration::from_millis(100);
    let mut server = Running::with(
        blocking(move |stream| {
            said.lock().unwrap().send(None).unwrap();
            let error = io::copy(&mut io::repeat(b'x'), stream).unwrap_err();
            said.lock().unwrap().send(Some(error.kind())).unwrap();
            Err(error)
        }),
        options,
    );
    let mut client = server.connect();
    let reader = thread::spawn(move || while matches!(client.read(&mut [0; 1 << 16]), Ok(1..)) {});
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), None);
    server.stop();
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), Some(io::ErrorKind::ConnectionAborted));
    reader.join().unwrap();
}

#[test]
fn blocking_calls_keep_their_deadline() {
    let (said, heard) = channel();
    let said = Mutex::new(said);
    let server = Running::start(
        blocking(move |stream| {
            stream.set_deadline(Some(Instant::now() + Duration::from_millis(50)));
            let error = stream.read_line(&mut String::new()).unwrap_err();
            said.lock().unwrap().send(error.kind()).unwrap();
            Err(error)
        }),
        1,
    );
    let mut client = server.connect();
    client.write_all(b"no end of line").unwrap();
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), io::ErrorKind::TimedOut);
}

/// Who never makes it wait is no exception.
#[test]
fn blocking_calls_keep_their_deadline_with_a_quick_peer() {
    let (said, heard) = channel();
    let said = Mutex::new(said);
    let server = Running::start(
        blocking(move |stream| {
            stream.set_deadline(Some(Instant::now() + Duration::from_millis(50)));
            let error = io::copy(stream, &mut io::sink()).unwrap_err();
            said.lock().unwrap().send(error.kind()).unwrap();
            Err(error)
        }),
        1,
    );
    let mut client = server.connect();
    // Until it is closed.
    let flood = thread::spawn(move || while client.write_all(&[b'x'; 1 << 16]).is_ok() {});
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), io::ErrorKind::TimedOut);
    flood.join().unwrap();
}

/// In the blocking style a worker belongs to its client for as long as the function takes, and this one always has a line.
#[test]
fn clients_that_never_make_it_wait_keep_nobody_waiting() {
    let server = Running::start(
        blocking(|stream| {
            let (reader, mut writer) = stream.split();
            for line in reader.lines() {
                let line = line?;
                if line == "hello" {
                    writeln!(writer, "hello")?;
                }
                // Slower than any client, so that there is always more.
                let until = Instant::now() + Duration::from_millis(1);
                while Instant::now() < until {}
            }
            Ok(())
        }),
        2,
    );
    let lines = [b'x'; 1023].iter().chain(b"\n").copied().cycle().take(64 << 10).collect::<Vec<_>>();
    let (floods, hurdles): (Vec<_>, Vec<_>) = (0..2)
        .map(|_| {
            let (mut client, lines) = (server.connect(), lines.clone());
            client.set_write_timeout(None).unwrap();
            // The first lines are on their way before anyone else is there.
            client.write_all(&lines).unwrap();
            let hurdle = client.try_clone().unwrap();
            (thread::spawn(move || while client.write_all(&lines).is_ok() {}), hurdle)
        })
        .unzip();
    let mut third = server.connect();
    assert_eq!(ask(&mut third, b"hello\n"), b"hello\n");
    assert!(floods.iter().all(|flood| !flood.is_finished()), "the others go on");
    hurdles.iter().for_each(|client| client.shutdown(Shutdown::Both).unwrap());
    floods.into_iter().for_each(|flood| flood.join().unwrap());
}

/// Does what it is told, a byte a command, so that a test can mix everything that can happen to a connection.
struct Obedient {
    calls: Mutex<Sender<Waker>>,
}

#[derive(Default)]
struct Orders {
    waker: Option<Waker>,
    awaited: Option<Wake>,
    command: u8,
}

impl Handler for Obedient {
    type Session = Orders;

    fn setup(&self, connection: &Conn<'_>) -> Orders {
        Orders { waker: Some(connection.waker()), ..Orders::default() }
    }

    fn handle(&self, orders: &mut Orders, stream: &mut Stream, wake: Wake) -> io::Result<Next> {
        if wake == Wake::Stopping {
            return Ok(Next::Close);
        }
        if let Some(awaited) = orders.awaited {
            if wake != awaited {
                return Ok(Next::Wait(
                    Interest::Neither,
                    if awaited == Wake::Overdue { Instant::now() } else { far() },
                ));
            }
            orders.awaited = None;
            stream.try_write(&[orders.command])?;
        }
        let mut byte = [0; 1];
        match stream.try_read(&mut byte) {
            Ok(0) => return Ok(Next::Close),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Next::Wait(Interest::Read, far())),
            Err(error) => return Err(error),
        }
        orders.command = byte[0];
        match byte[0] {
            b's' => slow(|| thread::sleep(Duration::from_micros(200))),
            b'z' => thread::sleep(Duration::from_micros(200)),
            b'w' => {
                orders.awaited = Some(Wake::Called);
                let waker = orders.waker.clone().unwrap();
                self.calls.lock().unwrap().send(waker).unwrap();
                return Ok(Next::Wait(Interest::Neither, far()));
            }
            b'o' => {
                orders.awaited = Some(Wake::Overdue);
                return Ok(Next::Wait(Interest::Neither, Instant::now()));
            }
            b'c' => return Ok(Next::Close),
            _ => {}
        }
        stream.try_write(&byte)?;
        Ok(Next::Again)
    }
}

/// A wake-up that is lost costs up to a second, so that many would take longer than a test may. First one client alone, so
/// that nobody else's event makes up for what was lost; then eight, so that everything meets everything.
#[test]
fn ten_thousand_random_interleavings_lose_nothing() {
    for workers in [1, 2] {
        let (calls, called) = channel::<Waker>();
        let caller = thread::spawn(move || called.iter().for_each(|waker| waker.wake()));
        let mut server = Running::start(Obedient { calls: Mutex::new(calls) }, workers);
        for (clients, steps, lone) in [(1, 1_000, true), (8, 1_125, false)] {
            let obey = |seed| {
                let address = server.address;
                thread::spawn(move || obey(address, seed, steps, lone))
            };
            let started = Instant::now();
            let clients: Vec<_> = (0..clients).map(obey).collect();
            clients.into_iter().for_each(|client| client.join().unwrap());
            assert!(started.elapsed() < 3 * PATIENCE, "wake-ups are lost: {:?}", started.elapsed());
        }
        server.stop();
        caller.join().unwrap();
    }
}

/// Two calls in a row may both count on the one idle worker. It takes the first, which takes long, and has to see to it
/// that the watcher takes the second.
#[test]
fn a_job_left_behind_is_taken_by_the_watcher() {
    let (registered, wakers) = channel();
    let (served, gate) = channel::<()>();
    let (registered, served, gate) = (Mutex::new(registered), Mutex::new(served), Mutex::new(gate));
    let (handler, _ends) = Each::new(move |stream, wake, waker| {
        let mut byte = [0; 1];
        match (wake, stream.try_read(&mut byte)) {
            (Wake::Stopping, _) | (_, Ok(0)) => return Ok(Next::Close),
            (_, Ok(_)) => registered.lock().unwrap().send((byte[0], waker.clone())).unwrap(),
            (Wake::Called, Err(_)) => {
                // Whoever has the gate waits for the other one, who finds it locked.
                match gate.try_lock() {
                    Ok(gate) => gate.recv_timeout(PATIENCE).unwrap(),
                    Err(_) => served.lock().unwrap().send(()).unwrap(),
                }
                stream.try_write(b".")?;
            }
            _ => {}
        }
        Ok(Next::Wait(Interest::Read, far()))
    });
    let server = Running::start(handler, 2);
    let mut clients = [server.connect(), server.connect()];
    clients.iter_mut().for_each(|client| client.write_all(b"+").unwrap());
    let wakers: Vec<Waker> = (0..2).map(|_| wakers.recv_timeout(PATIENCE).unwrap().1).collect();
    let started = Instant::now();
    for _ in 0..400 {
        wakers.iter().for_each(Waker::wake);
        for client in &mut clients {
            let mut answer = [0; 1];
            client.read_exact(&mut answer).unwrap();
        }
    }
    assert!(started.elapsed() < PATIENCE, "jobs are left behind: {:?}", started.elapsed());
}

/// Gives random commands. A lone client makes no slow work, for which a spare worker would come and stay.
fn obey(address: SocketAddr, seed: u64, steps: usize, lone: bool) {
    let mut random = seed + 1;
    let mut next = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let connect = || {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    };
    let mut stream = connect();
    for _ in 0..steps {
        let command = match next(1000) {
            0..2 => b'o',
            2..52 if !lone => b's',
            52..102 => b'z',
            102..302 => b'w',
            302..362 => b'c',
            362..662 if lone => b'c',
            _ => b'.',
        };
        stream.write_all(&[command]).unwrap();
        if command == b'c' {
            expect_end(&mut stream);
            stream = connect();
            continue;
        }
        let mut answer = [0; 1];
        stream.read_exact(&mut answer).unwrap_or_else(|error| panic!("{}: {error}", char::from(command)));
        assert_eq!(answer[0], command);
    }
}

#[test]
fn stops_at_any_moment_lose_no_connection_and_hang_nowhere() {
    for round in 0..20u64 {
        let mut server = Running::start(echo_handler(), 1 + round as usize % 2);
        let stop_now = Arc::new(AtomicBool::new(false));
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let (address, stop_now) = (server.address, Arc::clone(&stop_now));
                thread::spawn(move || {
                    let mut answered = 0;
                    loop {
                        // Who begins to connect during a stop gets no answer at all.
                        let is_stopping = stop_now.load(Ordering::SeqCst);
                        let connected = TcpStream::connect_timeout(&address, Duration::from_millis(100));
                        let Ok(mut stream) = connected else {
                            if is_stopping {
                                break;
                            }
                            continue;
                        };
                        stream.set_read_timeout(Some(PATIENCE)).unwrap();
                        let mut answer = [0; 1];
                        while stream.write_all(b".").is_ok() && stream.read_exact(&mut answer).is_ok() {
                            answered += 1;
                            stop_now.fetch_or(answered > 20 * round, Ordering::SeqCst);
                        }
                    }
                })
            })
            .collect();
        while !stop_now.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        server.stop();
        clients.into_iter().for_each(|client| client.join().unwrap());
    }
}

/// Whoever waited for its end finds what its handler held given back.
#[test]
fn nothing_is_left_of_a_server_that_has_stopped() {
    let held = Arc::new(());
    for round in 0..200 {
        let held_by_handler = Arc::clone(&held);
        let (handler, _) = Each::new(move |stream, _, _| {
            let _held = &held_by_handler;
            echo(stream)
        });
        // Of a socket that is another's too, a stop doesn't wait for who is on the way.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap().into();
        let listener = Listener::from_descriptor(listener, &SocketOptions::default()).unwrap();
        let mut options = Options::default();
        options.workers = 8;
        let server = Server::new(vec![listener], handler, options).unwrap();
        server.stopper().shutdown();
        server.serve_forever().unwrap();
        assert_eq!(Arc::strong_count(&held), 1, "round {round}");
    }
}

#[test]
fn a_write_that_comes_short_is_known() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"ten bytes!").unwrap();
    let (tell, told) = channel();
    let (handler, _ends) = Each::new(move |stream, _, _| {
        for (offset, count) in [(0, 5), (5, 5), (5, 6), (10, 1)] {
            let sent = stream.try_send_file(&file, offset, count)?;
            let _ = tell.send((sent, stream.is_full()));
        }
        Ok(Next::Close)
    });
    let server = Running::start(handler, 1);
    let mut received = String::new();
    server.connect().read_to_string(&mut received).unwrap();
    assert_eq!(received, "ten bytes!ytes!");
    assert_eq!(told.iter().take(4).collect::<Vec<_>>(), [(5, false), (5, false), (5, true), (0, true)]);
}

/// How much the system takes for a peer that doesn't read.
#[cfg(target_os = "linux")]
fn taken_unread(unsent_bytes_max: u32) -> usize {
    let (taken, told) = channel();
    let (handler, _ends) = Each::new(move |stream, _, _| {
        // The limit counts from now on, and the last one alone.
        [1 << 30, unsent_bytes_max, unsent_bytes_max].into_iter().try_for_each(|bytes| stream.limit_unsent(bytes))?;
        let mut sum = 0;
        while let Ok(written) = stream.try_write(&[0; 1 << 14]) {
            assert_eq!(stream.is_full(), written < 1 << 14);
            sum += written;
        }
        assert!(stream.is_full());
        let _ = taken.send(sum);
        Ok(Next::Wait(Interest::Read, far()))
    });
    let server = Running::start(handler, 1);
    let _client = server.connect();
    told.recv_timeout(PATIENCE).unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn the_system_takes_no_more_of_what_is_unsent_than_it_may() {
    let (limited, unlimited) = (taken_unread(16 << 10), taken_unread(0));
    assert!(limited < unlimited / 2, "{limited} {unlimited}");
}

/// Its thread alone does; who waits for it stays what it is.
#[test]
#[cfg(target_os = "linux")]
fn work_in_the_background_steps_back() {
    let niceness = || rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap();
    let own = niceness();
    assert_eq!(background(niceness).unwrap(), 19);
    assert_eq!(niceness(), own);
    let panicked = std::panic::catch_unwind(|| background(|| panic!("a handler may know what to do with that")));
    assert!(panicked.is_err());
}
