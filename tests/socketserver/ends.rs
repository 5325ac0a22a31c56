//! How sessions begin and end: verify, setup, handle and finish in Python's order, and the reason that finish is told.

use std::net::Shutdown;

use socket2::SockRef;

use crate::*;

/// Says each call of the four, and fails where a test wants it to.
struct Diary {
    lines: Mutex<Sender<String>>,
}

impl Diary {
    fn new() -> (Self, Receiver<String>) {
        let (lines, receiver) = channel();
        (Self { lines: Mutex::new(lines) }, receiver)
    }

    fn say(&self, line: impl Into<String>) {
        let _ = self.lines.lock().unwrap_or_else(|error| error.into_inner()).send(line.into());
    }
}

/// The first byte that a client sends says what becomes of it.
impl Handler for Diary {
    type Session = u32;

    fn verify(&self, _peer: &Peer) -> bool {
        self.say("verify");
        true
    }

    fn setup(&self, _connection: &Conn<'_>) -> u32 {
        self.say("setup");
        0
    }

    fn handle(&self, turns: &mut u32, stream: &mut Stream, _wake: Wake) -> io::Result<Next> {
        let mut bytes = [0; 1];
        *turns += 1;
        match stream.try_read(&mut bytes) {
            Ok(1) if bytes[0] == b'e' => Err(io::Error::other("asked for")),
            Ok(1) if bytes[0] == b'p' => panic!("asked for"),
            // More than the system holds for a connection.
            Ok(1) if bytes[0] == b'w' => stream.write_all(&vec![0; 64 << 20]).map(|()| Next::Close),
            Ok(1) if bytes[0] == b'b' => stream.read_line(&mut String::new()).map(|_| Next::Close),
            Ok(1) => {
                stream.try_write(&bytes)?;
                Ok(Next::Again)
            }
            Ok(_) => Ok(Next::Close),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Next::Wait(Interest::Read, far())),
            Err(error) => Err(error),
        }
    }

    fn finish(&self, turns: u32, end: End) {
        self.say(format!("finish: {end}{}", if turns == 0 { ", unhandled" } else { "" }));
    }
}

fn serve(change: impl FnOnce(&mut SocketOptions)) -> (Running, Receiver<String>) {
    let (diary, lines) = Diary::new();
    let mut sockets = SocketOptions::default();
    change(&mut sockets);
    let listener = Listener::tcp(([127, 0, 0, 1], 0).into(), &sockets).unwrap();
    let mut options = Options::default();
    options.stop_timeout = Duration::from_millis(50);
    (Running::over(listener, diary, options), lines)
}

/// What a client that does this is seen to do, while another one is served before and after.
#[track_caller]
fn check_end(act: impl FnOnce(TcpStream), reason: &str) {
    let (server, lines) = serve(|sockets| sockets.receive_timeout = Some(Duration::from_millis(50)));
    let next_line = || lines.recv_timeout(PATIENCE).unwrap();
    let mut other = server.connect();
    assert_eq!(ask(&mut other, b"1"), b"1");
    assert_eq!([next_line(), next_line()], ["verify", "setup"]);
    act(server.connect());
    assert_eq!([next_line(), next_line(), next_line()], ["verify", "setup", &format!("finish: {reason}")]);
    assert_eq!(ask(&mut other, b"2"), b"2");
}

/// A close that throws away what is under way, and says so.
fn reset(client: TcpStream) {
    SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
}

#[test]
fn the_end_of_the_stream_ends_one_session() {
    check_end(drop, "closed, as the peer ended the stream");
    check_end(
        |mut client| {
            assert_eq!(ask(&mut client, b"3"), b"3");
            client.shutdown(Shutdown::Write).unwrap();
            expect_end(&mut client);
        },
        "closed, as the peer ended the stream",
    );
}

#[test]
fn a_reset_ends_one_session() {
    check_end(
        |mut client| {
            assert_eq!(ask(&mut client, b"3"), b"3");
            reset(client);
        },
        "the peer reset the connection",
    );
}

#[test]
fn a_broken_pipe_ends_one_session() {
    check_end(
        |mut client| {
            client.write_all(b"w").unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            // The answer has begun, and won't be read.
            client.read_exact(&mut [0]).unwrap();
            reset(client);
        },
        "the peer was gone while there was more to send",
    );
}

/// Nothing comes from it any more, not even the system's own answers, as when its machine is switched off.
#[cfg(target_os = "linux")]
#[test]
fn a_peer_that_vanishes_ends_one_session() {
    let mut vanished = None;
    check_end(
        |mut client| {
            client.write_all(b"b").unwrap();
            const RETURN_NOTHING: u16 = 0x06;
            SockRef::from(&client).attach_filter(&[socket2::SockFilter::new(RETURN_NOTHING, 0, 0, 0)]).unwrap();
            vanished = Some(client);
        },
        "the peer was silent for too long",
    );
}

#[test]
fn failures_of_the_handler_end_one_session() {
    check_end(|mut client| client.write_all(b"e").unwrap(), "asked for");
    check_end(|mut client| client.write_all(b"p").unwrap(), "the handler panicked");
}

#[test]
fn a_stop_is_a_reason_too() {
    let (mut server, lines) = serve(|_| {});
    let mut client = server.connect();
    assert_eq!(ask(&mut client, b"1"), b"1");
    server.stop();
    // Told of the stop it waited on; so it was cut.
    assert_eq!(lines.try_iter().collect::<Vec<_>>(), ["verify", "setup", "finish: cut, as the server stopped"]);
}

/// As in Python: who is refused has no session, and one that could not be set up needs no finish.
#[test]
fn only_a_session_that_was_set_up_is_finished() {
    struct Careful(Diary);
    impl Handler for Careful {
        type Session = ();
        fn verify(&self, _peer: &Peer) -> bool {
            self.0.say("verify");
            true
        }
        fn setup(&self, _connection: &Conn<'_>) {
            self.0.say("setup");
            panic!("asked for");
        }
        fn handle(&self, (): &mut (), _stream: &mut Stream, _wake: Wake) -> io::Result<Next> {
            self.0.say("handle");
            Ok(Next::Close)
        }
        fn finish(&self, (): (), _end: End) {
            self.0.say("finish");
        }
    }
    let (diary, lines) = Diary::new();
    let mut server = Running::start(Careful(diary), 1);
    expect_end(&mut server.connect());
    server.stop();
    assert_eq!(lines.try_iter().collect::<Vec<_>>(), ["verify", "setup"]);
}
