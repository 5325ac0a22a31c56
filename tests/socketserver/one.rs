//! `Server::handle_one`: a connection, served by whoever asks, and no more.

use crate::*;

fn echo_of_one() -> (Server<impl Handler>, Receiver<String>) {
    let (handler, ends) = Each::new(|stream, wake, waker| match wake {
        // What it waits for may come from itself.
        Wake::Opened => {
            waker.wake();
            Ok(Next::Wait(Interest::Neither, far()))
        }
        Wake::Stopping => Ok(Next::Close),
        Wake::Overdue => Err(io::ErrorKind::TimedOut.into()),
        Wake::Called | Wake::Ready => echo(stream),
    });
    (Server::bind("127.0.0.1:0", handler).unwrap(), ends)
}

fn connect(server: &Server<impl Handler>) -> TcpStream {
    let stream = TcpStream::connect(server.local_addrs().unwrap()[0].as_inet().unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn each_call_serves_one_connection() {
    let (server, ends) = echo_of_one();
    for _ in 0..3 {
        let (mut client, mut other) = (connect(&server), connect(&server));
        thread::scope(|scope| {
            let serving = scope.spawn(|| server.handle_one());
            for _ in 0..3 {
                assert_eq!(ask(&mut client, b"hello"), b"hello");
            }
            drop(client);
            assert!(serving.join().unwrap().unwrap());
            assert_eq!(ends.try_iter().collect::<Vec<_>>(), ["EndOfStream"]);
            let serving = scope.spawn(|| server.handle_one());
            assert_eq!(ask(&mut other, b"next"), b"next");
            drop(other);
            assert!(serving.join().unwrap().unwrap());
            assert_eq!(ends.try_iter().count(), 1);
        });
    }
}

#[test]
fn a_stop_ends_the_wait_and_the_connection() {
    let (server, ends) = echo_of_one();
    let stopper = server.stopper();
    let mut client = connect(&server);
    thread::scope(|scope| {
        let serving = scope.spawn(|| server.handle_one());
        assert_eq!(ask(&mut client, b"hello"), b"hello");
        stopper.shutdown();
        assert!(serving.join().unwrap().unwrap());
    });
    assert_eq!(ends.try_iter().collect::<Vec<_>>(), ["Closed"]);
    expect_end(&mut client);
    assert!(!server.handle_one().unwrap(), "nobody is served any more");
}

#[test]
fn blocking_code_and_deadlines_and_panics_are_as_ever() {
    let lines = blocking(|stream| {
        let (reader, mut writer) = stream.split();
        reader.lines().try_for_each(|line| match line?.as_str() {
            "panic" => panic!("asked for"),
            line => writeln!(writer, "{line}"),
        })
    });
    let server = Server::bind(("127.0.0.1", 0), lines).unwrap();
    for end in ["", "panic\n"] {
        let mut client = connect(&server);
        thread::scope(|scope| {
            let serving = scope.spawn(|| server.handle_one());
            assert_eq!(ask(&mut client, b"one\ntwo\n"), b"one\ntwo\n");
            client.write_all(end.as_bytes()).unwrap();
            client.shutdown(std::net::Shutdown::Write).unwrap();
            expect_end(&mut client);
            assert!(serving.join().unwrap().unwrap());
        });
    }
    let (handler, ends) = Each::new(|_, wake, _| match wake {
        Wake::Overdue => Ok(Next::Close),
        _ => Ok(Next::Wait(Interest::Read, Instant::now() + Duration::from_millis(20))),
    });
    let server = Server::bind("localhost:0", handler).unwrap();
    let _silent = connect(&server);
    assert!(server.handle_one().unwrap());
    assert_eq!(ends.try_iter().collect::<Vec<_>>(), ["Closed"]);
}

/// Doesn't get as far as a session.
struct Unverifiable;

impl Handler for Unverifiable {
    type Session = ();

    fn verify(&self, _peer: &Peer) -> bool {
        panic!("as it was asked to")
    }

    fn setup(&self, _connection: &Conn<'_>) {}

    fn handle(&self, (): &mut (), _stream: &mut Stream, _wake: Wake) -> io::Result<Next> {
        Ok(Next::Close)
    }
}

#[test]
fn a_panic_before_the_session_costs_the_connection_alone() {
    let server = Server::bind("127.0.0.1:0", Unverifiable).unwrap();
    let mut client = connect(&server);
    assert!(server.handle_one().unwrap());
    expect_end(&mut client);
}

#[test]
fn what_was_read_ahead_is_not_waited_for() {
    let server = Server::bind("127.0.0.1:0", line_by_line()).unwrap();
    let mut client = connect(&server);
    thread::scope(|scope| {
        let serving = scope.spawn(|| server.handle_one());
        assert_eq!(ask(&mut client, b"one\ntwo\nthree\n"), b"one\ntwo\nthree\n");
        drop(client);
        assert!(serving.join().unwrap().unwrap());
    });
}
