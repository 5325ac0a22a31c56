//! A whole connection: whatever comes, in whatever pieces, what goes out is HTTP/1.1, each body is what its head
//! promises and of the right file, no request is left without its answer, and nothing hangs.
//!
//! The plan: what client and server do, one byte after the other; see [`Conversation::follow`]. What is left after it
//! is sent at once.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use http::{HeaderValue, StatusCode, header};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use salver::files::Files;
use salver::http::{Handler, Limits, Request, Response, Service, Target, parse_date};
use salver::socketserver::stages::Lone;
use salver::socketserver::{Interest, Next, Wake};

use super::site::{File, Site, watch_log};
use super::split_plan;
use super::wire::{self, Answer};

/// So little is sent before the peer has to read that answers don't go out in one piece.
const SEND_BUFFER_BYTES: usize = 4 << 10;

/// Turns that any input may take, beside those that its bytes, answers and plan account for.
const TURNS_MAX: usize = 50;

pub fn check(input: &[u8]) {
    watch_log();
    let (plan, wire) = split_plan(input);
    HOUSE.with(|house| {
        let is_patient = plan.first() != Some(&b'!');
        let service = if is_patient { &house.patient } else { &house.impatient };
        let mut conversation = Conversation::new(service, is_patient);
        conversation.follow(plan, wire);
        let first = conversation.end();
        let answers = first.judge(&wire[..first.sent], &house.site);
        if first.is_undisturbed {
            let mut conversation = Conversation::new(service, is_patient);
            conversation.send(&wire[..first.sent]);
            let second = conversation.end();
            let at_once = second.judge(&wire[..second.sent], &house.site);
            assert_eq!(comparable(at_once), comparable(answers), "at once, and in pieces");
        }
    });
}

thread_local! {
    static HOUSE: House = House::new();
}

struct House {
    site: Site,
    patient: Service<Desk>,
    /// Every head and body is late.
    impatient: Service<Desk>,
}

impl House {
    fn new() -> Self {
        let site = Site::new();
        let service = |limits| Service::new(Desk(Files::new(site.options())), limits);
        let mut limits = Limits::default();
        (limits.request_line_bytes_max, limits.field_section_bytes_max, limits.fields_max) = (128, 512, 8);
        (limits.body_discard_bytes_max, limits.linger_bytes_max) = (64, 1 << 10);
        (limits.turn_bytes_max, limits.turn_requests_max) = (8 << 10, 3);
        let patient = service(limits.clone());
        (limits.head_timeout, limits.body_timeout) = (Duration::from_nanos(1), Duration::from_nanos(1));
        Self { patient, impatient: service(limits), site }
    }
}

/// The files, and a place that wants bodies.
struct Desk(Files);

const ECHO: &[u8] = b"/echo";
const ECHO_BYTES_MAX: u64 = 100;
const ECHO_TYPE: &str = "text/x-echo";

fn is_echo(request: &Request<'_>) -> bool {
    matches!(request.target, Target::Path { path: ECHO, .. })
}

impl Handler for Desk {
    fn handle(&self, request: &Request<'_>) -> Response {
        if is_echo(request) {
            let echo = Response::new(StatusCode::OK).html(request.body.to_vec());
            return echo.field(header::CONTENT_LANGUAGE, HeaderValue::from_static(ECHO_TYPE));
        }
        self.0.handle(request)
    }

    fn body_bytes_max(&self, head: &Request<'_>) -> u64 {
        if is_echo(head) { ECHO_BYTES_MAX } else { self.0.body_bytes_max(head) }
    }
}

/// A connection, from both ends.
struct Conversation<'s> {
    client: UnixStream,
    /// None once it is closed.
    server: Option<Lone<'s, Service<Desk>>>,
    interest: Interest,
    sent: usize,
    received: Vec<u8>,
    /// The client has read the end of the stream.
    is_over: bool,
    is_patient: bool,
    is_undisturbed: bool,
    /// What had been sent when the server was told to stop: that much is answered.
    sent_before_stop: Option<usize>,
    turns: usize,
    steps: usize,
}

/// What came of it.
struct Outcome {
    sent: usize,
    received: Vec<u8>,
    /// The server ended it, without having been told anything.
    server_left: bool,
    is_undisturbed: bool,
    sent_before_stop: Option<usize>,
}

impl<'s> Conversation<'s> {
    fn new(service: &'s Service<Desk>, is_patient: bool) -> Self {
        let (client, server) = UnixStream::pair().unwrap();
        client.set_nonblocking(true).unwrap();
        rustix::net::sockopt::set_socket_send_buffer_size(&server, SEND_BUFFER_BYTES).unwrap();
        let mut conversation = Self {
            client,
            server: Some(Lone::open(service, server).unwrap()),
            interest: Interest::Read,
            sent: 0,
            received: Vec::new(),
            is_over: false,
            is_patient,
            is_undisturbed: is_patient,
            sent_before_stop: None,
            turns: 0,
            steps: 0,
        };
        conversation.turn(Wake::Opened);
        conversation
    }

    fn follow(&mut self, plan: &[u8], wire: &[u8]) {
        for &step in plan {
            self.steps += 1;
            let count = match step {
                b'0'..=b'9' => usize::from(step - b'0') + 1,
                b'a'..=b'k' => 8 << (step - b'a'),
                // The client reads, a little or all.
                b'r' => {
                    self.receive(100);
                    0
                }
                b'R' => {
                    self.receive(usize::MAX);
                    0
                }
                // The deadline passes; somebody calls; the server stops.
                b'D' => self.disturb(Wake::Overdue),
                b'C' => self.turn(Wake::Called),
                b'S' => {
                    if let Some(server) = &self.server {
                        server.stopper().shutdown();
                    }
                    self.sent_before_stop.get_or_insert(self.sent);
                    self.disturb(Wake::Stopping)
                }
                // Nothing more is sent.
                b'E' => return,
                _ => 0,
            };
            self.send(&wire[self.sent..(self.sent + count).min(wire.len())]);
        }
        self.send(&wire[self.sent..]);
    }

    fn send(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.server.is_some() {
            match self.client.write(bytes) {
                Ok(count) => {
                    self.sent += count;
                    bytes = &bytes[count..];
                }
                // The server waits until its answers are read.
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.receive(usize::MAX),
                Err(error) => panic!("the connection is broken: {error}"),
            }
            self.turn(Wake::Ready);
        }
    }

    fn receive(&mut self, bytes_max: usize) {
        let mut buffer = [0; 16 << 10];
        let mut left = bytes_max;
        while left > 0 && !self.is_over {
            let most = buffer.len().min(left);
            match self.client.read(&mut buffer[..most]) {
                // What the server hasn't read when it closes makes a reset of its end.
                Ok(0) => self.is_over = true,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => self.is_over = true,
                Ok(count) => {
                    self.received.extend_from_slice(&buffer[..count]);
                    left -= count;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("the connection is broken: {error}"),
            }
        }
        if self.interest == Interest::Write {
            self.turn(Wake::Ready);
        }
    }

    fn disturb(&mut self, wake: Wake) -> usize {
        self.is_undisturbed = false;
        self.turn(wake)
    }

    /// A turn, and those that it asks for. Gives 0, the bytes that it sends for the client.
    fn turn(&mut self, mut wake: Wake) -> usize {
        while let Some(server) = &mut self.server {
            self.turns += 1;
            let accounted = self.steps + self.sent + self.received.len() / 100;
            assert!(self.turns <= TURNS_MAX + 2 * accounted, "{} turns: it doesn't end", self.turns);
            let since = (wake == Wake::Ready).then(Instant::now);
            match server.turn(wake, since).expect("a peer that takes everything") {
                Next::Wait(interest, _) => {
                    self.interest = interest;
                    break;
                }
                Next::Idle(_) => {
                    self.interest = Interest::Read;
                    break;
                }
                Next::Again => wake = Wake::Ready,
                Next::Close => self.server = None,
            }
        }
        0
    }

    /// Reads all answers that come before the client says that it has sent everything, and then the end.
    fn end(mut self) -> Outcome {
        while let Some(server) = &self.server {
            let (was_received, was_readable) = (self.received.len(), is_readable(server));
            match self.interest {
                Interest::Write => self.receive(usize::MAX),
                Interest::Read if was_readable => {
                    self.turn(Wake::Ready);
                }
                Interest::Read => {
                    self.receive(usize::MAX);
                    break;
                }
                Interest::Neither => panic!("it waits for nothing"),
            }
            let is_readable = self.server.as_ref().is_some_and(is_readable);
            // To come no further is a turn in vain; too many of those are a hang.
            self.turns += usize::from(self.received.len() == was_received && is_readable == was_readable);
        }
        self.receive(usize::MAX);
        let server_left = self.is_over;
        let answered = self.received.len();
        self.client.shutdown(Shutdown::Write).or_else(|error| if server_left { Ok(()) } else { Err(error) }).unwrap();
        self.turn(Wake::Ready);
        self.receive(usize::MAX);
        assert!(self.server.is_none() && self.is_over, "it doesn't close when its peer has");
        // Who has been late all the time is told so whenever it is noticed.
        assert!(self.received.len() == answered || !self.is_patient, "it answers only when its peer closes");
        let Self { sent, received, is_undisturbed, sent_before_stop, .. } = self;
        Outcome { sent, received, server_left, is_undisturbed, sent_before_stop }
    }
}

fn is_readable(server: &Lone<'_, Service<Desk>>) -> bool {
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(server, PollFlags::IN)], Some(&at_once)).unwrap() > 0
}

impl Outcome {
    /// Reads the answers, each for its request, and gives the final ones.
    fn judge(&self, sent: &[u8], site: &Site) -> Vec<Answer> {
        let (mut unanswered, mut output) = (sent, &self.received[..]);
        let mut answers = Vec::new();
        let mut was_last = false;
        while !output.is_empty() {
            assert!(!was_last, "something follows the last answer: {}", output.escape_ascii());
            let head = wire::skip_empty_lines(unanswered);
            let (answer, rest) = wire::next_answer(output, head.starts_with(b"HEAD "));
            output = rest;
            if answer.status == 100 {
                let expects = head.to_ascii_lowercase().windows(12).any(|window| window == b"100-continue");
                assert!(expects, "nobody waits for it");
                continue;
            }
            let request = wire::next_request(unanswered);
            was_last = answer.value("connection") == Some("close");
            assert!(was_last || ![408, 413, 414, 417, 421, 431, 505].contains(&answer.status), "{}", answer.status);
            match &request {
                Some(request) => {
                    check_answer(&answer, Some(request), site);
                    unanswered = &unanswered[request.bytes..];
                }
                None => {
                    assert!(was_last, "an answer to half a request, and it goes on: {}", unanswered.escape_ascii());
                    check_answer(&answer, None, site);
                }
            }
            answers.push(answer);
        }
        // What crosses a stop's goodbye may be thrown away.
        let answered = sent.len() - unanswered.len();
        let due = &unanswered[..self.sent_before_stop.unwrap_or(sent.len()).max(answered) - answered];
        assert!(was_last || wire::next_request(due).is_none(), "no answer to {}", due.escape_ascii());
        if self.is_undisturbed {
            assert_eq!(self.server_left, was_last, "the end is told, and what is told comes");
        }
        answers
    }
}

fn check_answer(answer: &Answer, request: Option<&wire::Request<'_>>, site: &Site) {
    let date = parse_date(answer.value("date").expect("a date").as_bytes(), std::time::SystemTime::now());
    assert!(date.is_some(), "{answer:?}");
    assert_eq!(answer.value("server"), Some("salver"));
    match answer.status {
        200 if answer.value("content-language") == Some(ECHO_TYPE) => {
            let request = request.expect("a request that was echoed");
            assert!(answer.body.is_none() || answer.body.as_ref() == Some(&request.content), "another echo");
        }
        200 => {
            let file = site.file_of_length(answer.value("content-length"));
            assert!(answer.body.is_none() || answer.body.as_deref() == Some(file.content), "not {}", file.name);
            let target = request.and_then(|request| request.head.split(|&byte| byte == b' ').nth(1));
            let wanted = target.and_then(|target| site.file_at(target));
            let variant = answer.value("content-encoding").map(|coding| (coding, file.name.strip_suffix(".gz")));
            let is_wanted = |wanted: &File| match variant {
                None => wanted.name == file.name,
                Some((coding, of)) => coding == "gzip" && of == Some(wanted.name),
            };
            assert!(wanted.is_none_or(is_wanted), "{target:?} is not {}", file.name);
        }
        206 => part(answer, site),
        301 => {
            let location = answer.value("location").expect("a Location");
            assert!(location.starts_with('/') && !location.starts_with("//"), "{location}");
            let path = location.split('?').next().unwrap_or_default();
            assert!(path.ends_with('/') && location.bytes().all(|byte| byte.is_ascii_graphic()), "{location}");
        }
        204 | 304 => {}
        404 => {
            let page = site.file_of_length(answer.value("content-length"));
            assert!(page.name == "404.html" && answer.body.as_deref().is_none_or(|body| body == page.content));
        }
        400 | 405 | 406 | 408 | 412 | 413 | 414 | 416 | 417 | 421 | 431 | 501 | 505 => {
            let status = format!("<h1>{}</h1>", answer.status);
            let names = |body: &Vec<u8>| String::from_utf8_lossy(body).contains(&status);
            assert!(answer.body.as_ref().is_none_or(names), "{answer:?}");
            if answer.status == 416 {
                let length = answer.value("content-range").and_then(|range| range.strip_prefix("bytes */"));
                site.file_of_length(length);
            }
        }
        status => panic!("{status} is no answer of this server"),
    }
}

fn part(answer: &Answer, site: &Site) {
    let body = answer.body.as_deref().expect("206 is for GET");
    let content_type = answer.value("content-type").expect("a type");
    let Some(boundary) = content_type.strip_prefix("multipart/byteranges; boundary=") else {
        let content_range = answer.value("content-range").expect("a Content-Range");
        assert_eq!(body, site.part(content_range), "{content_range}");
        return;
    };
    let parts = wire::parts(body, boundary);
    assert!(parts.len() > 1 && answer.value("content-range").is_none());
    for (content_range, content) in parts {
        assert_eq!(content, site.part(&content_range), "{content_range}");
    }
}

/// What two answers to the same have in common: all but the time, and the boundary, which nobody may foresee.
fn comparable(mut answers: Vec<Answer>) -> Vec<Answer> {
    for answer in &mut answers {
        let is_multipart = answer.value("content-type").is_some_and(|value| value.starts_with("multipart/"));
        let differs = |name: &str| name == "Date" || is_multipart && name == "Content-Type";
        answer.fields.retain(|(name, _)| !differs(name));
        answer.body = answer.body.take().filter(|_| !is_multipart);
    }
    answers
}
