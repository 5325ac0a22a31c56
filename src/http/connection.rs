//! The life of an HTTP connection: reading a head, perhaps a body; handling; writing; and again.
//!
//! Nothing here waits. A turn goes on until the connection has nothing more to read or no room to write, or has had its
//! share; what has to be remembered till then is in the [`Session`], which for an idle connection is a few words. The
//! buffers belong to the worker.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ::http::{HeaderValue, StatusCode, header};
use log::{Level, debug, warn};

use super::body::{BodyReader, Framing, Unacceptable};
use super::client::{Client, Proxies};
use super::crowd::{Crowd, Place};
use super::head_scan::HeadScan;
use super::inbox::Inbox;
use super::introduction::{self, Introduction};
use super::limits::{Limits, end_of};
use super::log::{LogFormat, Record};
use super::request::{NO_FIELDS, Refusal, Version, parse, settle_version};
use super::response::Response;
use super::write::{Asked, CONTINUE, Outgoing, Progress};
use crate::http::Handler;
use crate::socketserver::{Conn, End, Handler as SocketHandler, Interest, Next, Peer, Stream, Throttle, Wake};

/// Empty lines skipped before a request line (RFC 9112 section 2.2 asks for at least one).
const EMPTY_LINES_MAX: u8 = 4;

/// When somebody who had too many connections may have one more: soon, as those close again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Serves HTTP with a [`Handler`]: what a [`Server`](crate::socketserver::Server) is given.
#[derive(Debug)]
pub struct Service<H> {
    handler: H,
    limits: Limits,
    proxies: Proxies,
    lines: Lines,
    crowd: Crowd,
}

/// Lines of the log that peers cause.
#[derive(Debug, Default)]
struct Lines {
    /// Of the access log.
    format: LogFormat,
    refused: Throttle,
    cut: Throttle,
    /// That a proxy names no client: once, as every request may be so.
    said_unnamed: AtomicBool,
}

impl<H: Handler> Service<H> {
    /// Has `handler` answer requests, within these limits.
    #[must_use]
    pub fn new(handler: H, limits: Limits) -> Self {
        Self { handler, limits, proxies: Proxies::default(), lines: Lines::default(), crowd: Crowd::default() }
    }

    /// Believes these proxies who their clients are.
    #[must_use]
    pub fn behind(mut self, proxies: Proxies) -> Self {
        self.proxies = proxies;
        self
    }

    /// What lines of the access log look like. Default: [`LogFormat::Short`].
    #[must_use]
    pub fn log_format(mut self, format: LogFormat) -> Self {
        self.lines.format = format;
        self
    }
}

/// What a connection remembers between two turns.
#[derive(Debug, Default)]
pub struct Session {
    state: State,
    /// Bytes read and not yet used.
    unread: Vec<u8>,
    /// How much of a head they hold.
    scan: HeadScan,
    /// When the head or body that has begun must be complete.
    due: Option<Instant>,
    empty_lines: u8,
    /// A proxy has yet to say for whom it speaks.
    awaits_introduction: bool,
    /// For whom it speaks; in a box, as most connections have no proxy, and all keep the room for it.
    introduced: Option<Box<SocketAddr>>,
}

impl Session {
    /// Who sends the requests of this connection, as far as that is known before them.
    fn sender<'a>(&self, peer: &'a Peer) -> Client<'a> {
        self.introduced.as_deref().map_or(Client::Peer(peer), |address| Client::from(*address))
    }
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Head,
    Body(Box<Awaited>),
    Writing(Box<Answer>),
    /// The last answer is out, and what the peer still sends is thrown away, so that it can read that answer.
    Lingering {
        until: Instant,
        bytes_left: u64,
    },
}

/// A request whose body is not complete.
#[derive(Debug)]
struct Awaited {
    head: Vec<u8>,
    reader: BodyReader,
    /// Content, if the handler wants it.
    content: Vec<u8>,
    wanted: bool,
}

/// An answer that is not all written, and what comes after it.
#[derive(Debug)]
struct Answer {
    outgoing: Outgoing,
    record: Record,
    after: After,
    /// What the system may have of it, where it began in a crowd; 0 for no limit.
    unsent_bytes_max: u32,
    /// Among those that take more than one turn.
    place: Option<Place>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// The next request.
    Stay,
    /// Nothing: the peer knows that this was the last answer, and has sent nothing more.
    Close,
    /// Nothing, but the peer may still be sending (RFC 9112 section 9.6).
    Linger,
}

/// How long an idle connection that a stop ends is still read at most: a request may cross the goodbye.
const GOODBYE: Duration = Duration::from_millis(500);

/// What a complete head leads to.
#[allow(clippy::large_enum_variant, reason = "most are answers, and for these a box would be memory taken each time")]
enum Outcome {
    Answer(Planned),
    /// Its body has to be read first.
    Body {
        reader: BodyReader,
        wanted: bool,
        expects_continue: bool,
    },
}

/// The content of an answer that leaves at once: with its head it fits into TCP's initial window (RFC 6928).
const FIRST_FLIGHT_BYTES: u64 = 12 << 10;

/// An answer before its first byte.
struct Planned {
    response: Response,
    asked: Asked,
    record: Record,
    after: After,
    /// The peer knows by itself that this is the last answer.
    peer_leaves: bool,
}

/// What a step of a turn comes to.
enum Step {
    /// The turn goes on.
    Go,
    /// The turn is over.
    Over(Next),
}

impl<H: Handler> SocketHandler for Service<H> {
    type Session = Session;

    /// 503, if the peer's request is there to be answered; it may try again.
    fn refuse(&self, stream: &mut Stream) {
        BUFFERS.with_borrow_mut(|buffers| {
            buffers.inbox.load(&[], &self.limits);
            // What is not read would reset the connection, and take the answer with it.
            if !matches!(buffers.inbox.read_from(stream), Ok(1..)) {
                return;
            }
            let head = buffers.inbox.unread();
            let status = StatusCode::SERVICE_UNAVAILABLE;
            let (format, client) = (self.lines.format, Client::Peer(stream.peer()));
            let began = format.is_wanted().then(Instant::now);
            let record = Record::new(format, &buffers.line, (client, None), head, status, began);
            let asked = Asked { head_only: head.starts_with(b"HEAD "), version: Version::Http11, keep_alive: false };
            let response = Response::error_page(status).field(header::RETRY_AFTER, RETRY_AFTER);
            let mut outgoing = Outgoing::new(response, asked, Vec::new(), Instant::now(), &self.limits);
            let written = outgoing.write(stream, &mut u64::from(u32::MAX), Instant::now(), &self.limits);
            let is_cut = !matches!(written, Ok(Progress::Done));
            buffers.line.set(record.write(outgoing.content_sent(), is_cut));
            buffers.inbox.clear();
        });
    }

    fn setup(&self, connection: &Conn<'_>) -> Session {
        Session { awaits_introduction: self.proxies.introduce(connection.peer()), ..Session::default() }
    }

    fn handle(&self, session: &mut Session, stream: &mut Stream, wake: Wake) -> io::Result<Next> {
        BUFFERS.with_borrow_mut(|buffers| {
            let begins = session.unread.is_empty() && matches!(session.state, State::Head);
            buffers.inbox.load(&session.unread, &self.limits);
            let mut turn = Turn {
                handler: &self.handler,
                limits: &self.limits,
                proxies: &self.proxies,
                lines: &self.lines,
                crowd: &self.crowd,
                now: Cell::new(None),
                begun: stream.ready_since().filter(|_| begins),
                bytes_left: self.limits.turn_bytes(stream.waiting()),
                requests_left: self.limits.turn_requests_max.max(1),
                leaves_idle: false,
                session,
                stream,
                buffers,
            };
            let next = turn.run(wake);
            turn.buffers.inbox.save(&mut turn.session.unread);
            next
        })
    }

    fn finish(&self, session: Session, end: End) {
        if let End::Failed(error) = &end {
            debug!("a connection failed: {error}");
        }
        if let State::Writing(answer) = session.state {
            answer.record.write(answer.outgoing.content_sent(), true);
        }
    }

    fn service_actions(&self) {
        self.lines.refused.catch_up();
        self.lines.cut.catch_up();
        self.handler.service_actions();
    }
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = const {
        RefCell::new(Buffers { inbox: Inbox::new(), outbox: Vec::new(), line: Cell::new(String::new()) })
    };
}

/// A worker's buffers.
struct Buffers {
    inbox: Inbox,
    outbox: Vec<u8>,
    /// Of the access log.
    line: Cell<String>,
}

/// What one connection does with a worker's time.
struct Turn<'a, H> {
    handler: &'a H,
    limits: &'a Limits,
    proxies: &'a Proxies,
    lines: &'a Lines,
    crowd: &'a Crowd,
    /// Looked at when it is needed for the first time, and again after a handler.
    now: Cell<Option<Instant>>,
    /// When the request had begun that comes first in this turn, if nothing of it was read before.
    begun: Option<Instant>,
    bytes_left: u64,
    requests_left: u32,
    /// If nothing has come, nothing is waited for any more.
    leaves_idle: bool,
    session: &'a mut Session,
    stream: &'a mut Stream,
    buffers: &'a mut Buffers,
}

impl<H: Handler> Turn<'_, H> {
    fn now(&self) -> Instant {
        let now = self.now.get().unwrap_or_else(Instant::now);
        self.now.set(Some(now));
        now
    }

    fn run(&mut self, wake: Wake) -> io::Result<Next> {
        let is_late = self.session.due.is_some_and(|due| due <= self.now());
        if (wake == Wake::Overdue || is_late)
            && let Step::Over(next) = self.overdue()
        {
            return Ok(next);
        }
        loop {
            let step = match std::mem::take(&mut self.session.state) {
                State::Head => self.head()?,
                State::Body(awaited) => self.body(awaited)?,
                State::Writing(answer) => self.write(*answer)?,
                State::Lingering { until, bytes_left } => self.linger(until, bytes_left)?,
            };
            if let Step::Over(next) = step {
                return Ok(next);
            }
        }
    }

    /// A deadline has passed: an idle connection closes in silence, if nothing has come at the last moment, a request that
    /// is late is told so; a response that is late is for [`Outgoing::write`] to judge.
    fn overdue(&mut self) -> Step {
        let late = match &self.session.state {
            State::Head if self.buffers.inbox.is_empty() => {
                self.leaves_idle = true;
                return Step::Go;
            }
            State::Head | State::Body(_) => self.session.due.is_some_and(|due| due <= self.now()),
            State::Lingering { .. } => return Step::Over(Next::Close),
            State::Writing(_) => false,
        };
        if late && self.session.awaits_introduction {
            return Step::Over(Next::Close);
        }
        if late {
            self.refuse(Refusal { status: StatusCode::REQUEST_TIMEOUT, reason: "the request took too long" });
        }
        Step::Go
    }

    /// Looks for a complete head in what was read, and reads on if there is none.
    fn head(&mut self) -> io::Result<Step> {
        if self.session.awaits_introduction {
            return self.introduction();
        }
        self.skip_empty_lines();
        let unread = self.buffers.inbox.unread();
        if unread.is_empty() || unread == b"\r" && self.session.empty_lines < EMPTY_LINES_MAX {
            return self.read_head();
        }
        match self.session.scan.advance(unread, self.limits) {
            Ok(Some(_)) if self.requests_left == 0 => {
                self.session.scan = HeadScan::default();
                Ok(Step::Over(Next::Again))
            }
            Ok(Some(length)) => {
                self.session.scan = HeadScan::default();
                self.session.empty_lines = 0;
                self.requests_left -= 1;
                self.request(length)
            }
            Ok(None) => self.read_head(),
            Err(refusal) => {
                self.refuse(refusal);
                Ok(Step::Go)
            }
        }
    }

    /// Takes what a proxy says of its client. Where that is no introduction, there is nobody to answer: who speaks is not
    /// known, and a proxy would take an answer for one to somebody's request.
    fn introduction(&mut self) -> io::Result<Step> {
        match introduction::read(self.buffers.inbox.unread()) {
            Ok(Introduction::Partial) => self.read_head(),
            Ok(Introduction::Complete { bytes, client }) => {
                self.buffers.inbox.consume(bytes);
                self.session.awaits_introduction = false;
                self.session.introduced = client.map(Box::new);
                self.session.due = None;
                Ok(Step::Go)
            }
            Err(reason) => {
                let peer = self.stream.peer();
                self.lines.refused.say(Level::Info, format_args!("{peer}: closed: {reason}"));
                self.buffers.inbox.clear();
                Ok(Step::Over(Next::Close))
            }
        }
    }

    fn skip_empty_lines(&mut self) {
        let fresh = self.session.scan.is_fresh();
        while fresh && self.session.empty_lines < EMPTY_LINES_MAX && self.buffers.inbox.unread().starts_with(b"\r\n") {
            self.session.empty_lines += 1;
            self.buffers.inbox.consume(2);
            // An empty line begins a request, so that nobody stays for the price of a few.
            self.session.due.get_or_insert(end_of(self.limits.head_timeout, self.now()));
        }
    }

    fn read_head(&mut self) -> io::Result<Step> {
        if !self.buffers.inbox.is_empty() && self.session.due.is_none() {
            self.session.due = Some(end_of(self.limits.head_timeout, self.now()));
        }
        let idle = self.buffers.inbox.is_empty();
        // Asked first: what was sent before a stop is then found by the read.
        let is_stopping = self.stream.is_stopping();
        match self.buffers.inbox.read_from(self.stream) {
            Ok(0) => Ok(Step::Over(Next::Close)),
            Ok(_) => Ok(Step::Go),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(match idle {
                true if is_stopping => self.end_writing(self.limits.linger_timeout.min(GOODBYE)),
                true if self.leaves_idle => Step::Over(Next::Close),
                true => Step::Over(Next::Idle(self.due())),
                false => Step::Over(Next::Wait(Interest::Read, self.due())),
            }),
            Err(error) => Err(error),
        }
    }

    /// When what has begun must be complete, or an idle connection closes.
    fn due(&self) -> Instant {
        self.session.due.unwrap_or_else(|| end_of(self.limits.idle_timeout, self.now()))
    }

    /// A head is complete: answer it, or first read its body.
    fn request(&mut self, head_length: usize) -> io::Result<Step> {
        settle_version(&mut self.buffers.inbox.unread_mut()[..head_length]);
        let unread = self.buffers.inbox.unread();
        let nothing_follows = unread.len() == head_length;
        let head = &unread[..head_length];
        self.session.due = None;
        let outcome = self.read(head, None);
        self.begun = None;
        match outcome {
            Ok(Outcome::Answer(mut answer)) => {
                // A peer that asked for the end sends nothing more, and nothing unread is left to reset its answer, if
                // that is on its way before the close.
                let leaves_at_once = answer.response.body_length() <= FIRST_FLIGHT_BYTES;
                if answer.after == After::Linger && answer.peer_leaves && nothing_follows && leaves_at_once {
                    answer.after = After::Close;
                }
                self.buffers.inbox.consume(head_length);
                // The handler may have taken its time, and what is timed now begins after it.
                self.now.set(None);
                self.answer(answer)
            }
            Ok(Outcome::Body { reader, wanted, expects_continue }) => {
                let head = head.to_vec();
                self.buffers.inbox.consume(head_length);
                self.await_body(Awaited { head, reader, content: Vec::new(), wanted }, expects_continue)
            }
            Err(refusal) => {
                self.refuse(refusal);
                Ok(Step::Go)
            }
        }
    }

    /// Parses a head whose end is known, and has it answered, unless its body comes first. `body` is what has come of it.
    fn read(&self, head_bytes: &[u8], body: Option<&[u8]>) -> Result<Outcome, Refusal> {
        let mut slots = NO_FIELDS;
        let mut head = parse(head_bytes, &mut slots, self.stream.peer(), self.limits)?;
        if let (None, Framing::Length(_) | Framing::Chunked) = (body, head.framing) {
            let wanted = self.handler.body_bytes_max(&head.request);
            let allowed = if wanted > 0 { wanted } else { self.limits.body_discard_bytes_max };
            let (reader, wanted) = (BodyReader::new(head.framing, allowed)?, wanted > 0);
            if wanted || !head.expects_continue {
                return Ok(Outcome::Body { reader, wanted, expects_continue: head.expects_continue });
            }
            // The peer holds the body back for an answer, and this one doesn't depend on it. Whether the body follows
            // nobody can know, so this answer is the last.
            head.keep_alive = false;
        }
        head.request.body = body.unwrap_or_default();
        head.request.begun = self.begun;
        head.request.client = self.proxies.client(self.session.sender(self.stream.peer()), head.request.fields);
        let client = head.request.client;
        if self.proxies.miss(client) && !self.lines.said_unnamed.swap(true, Ordering::Relaxed) {
            let header = self.proxies.header.name();
            warn!("{client}: a trusted proxy names no client in {header}, so that such requests count as its own");
        }
        let began = self.began();
        let response = self.handler.handle(&head.request);
        let stay = head.keep_alive && !self.stream.is_stopping();
        Ok(Outcome::Answer(Planned {
            record: self.record((client, response.user.as_deref()), head_bytes, response.status(), began),
            response,
            asked: Asked::new(&head.request.method, head.request.version, stay),
            after: if stay { After::Stay } else { After::Linger },
            peer_leaves: !head.keep_alive && head.framing == Framing::None,
        }))
    }

    /// What the access log will tell of this request of a client, and of the user that it is.
    fn record(
        &self,
        who: (Client<'_>, Option<&str>),
        head: &[u8],
        status: StatusCode,
        began: Option<Instant>,
    ) -> Record {
        Record::new(self.lines.format, &self.buffers.line, who, head, status, began)
    }

    /// When the answer begins, if the access log wants to know.
    fn began(&self) -> Option<Instant> {
        self.lines.format.is_wanted().then(|| self.now())
    }

    /// Begins with a body; the head is kept until it is complete.
    fn await_body(&mut self, awaited: Awaited, expects_continue: bool) -> io::Result<Step> {
        if expects_continue && self.buffers.inbox.is_empty() {
            self.ask_for_body()?;
        }
        self.session.due = Some(end_of(self.limits.body_timeout, self.now()));
        self.session.state = State::Body(Box::new(awaited));
        Ok(Step::Go)
    }

    /// Sends `100 Continue`. Where there is no room for it, the peer gets none and goes on by itself after a while.
    fn ask_for_body(&mut self) -> io::Result<()> {
        match self.stream.try_write(CONTINUE) {
            Ok(sent) if sent < CONTINUE.len() => Err(io::ErrorKind::WriteZero.into()),
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }

    /// Goes on with a body.
    fn body(&mut self, mut awaited: Box<Awaited>) -> io::Result<Step> {
        if let Err(reason) = awaited.feed(&mut self.buffers.inbox) {
            self.refuse_as(reason.into(), &awaited.head);
            return Ok(Step::Go);
        }
        if awaited.reader.is_done() {
            return self.body_is_complete(&awaited);
        }
        let read = self.buffers.inbox.read_from(self.stream);
        self.session.state = State::Body(awaited);
        match read {
            Ok(0) => Ok(Step::Over(Next::Close)),
            Ok(read) => {
                self.bytes_left = self.bytes_left.saturating_sub(read as u64);
                Ok(if self.bytes_left == 0 { Step::Over(Next::Again) } else { Step::Go })
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Ok(Step::Over(Next::Wait(Interest::Read, self.session.due.unwrap_or(self.now()))))
            }
            Err(error) => Err(error),
        }
    }

    fn body_is_complete(&mut self, awaited: &Awaited) -> io::Result<Step> {
        self.session.due = None;
        match self.read(&awaited.head, Some(&awaited.content)) {
            Ok(Outcome::Answer(answer)) => {
                self.now.set(None);
                self.answer(answer)
            }
            // The head was read before, so neither can be.
            Ok(Outcome::Body { .. }) => Ok(Step::Over(Next::Close)),
            Err(refusal) => {
                self.refuse_as(refusal, &awaited.head);
                Ok(Step::Go)
            }
        }
    }

    /// Refuses what was read, of which nothing more can be trusted.
    fn refuse(&mut self, refusal: Refusal) {
        let head = match std::mem::take(&mut self.session.state) {
            State::Body(awaited) => awaited.head,
            _ => self.buffers.inbox.unread().to_vec(),
        };
        self.refuse_as(refusal, &head);
    }

    fn refuse_as(&mut self, refusal: Refusal, head: &[u8]) {
        let Refusal { status, reason } = refusal;
        let (client, number) = (self.session.sender(self.stream.peer()), status.as_u16());
        self.lines.refused.say(Level::Info, format_args!("{client}: refused with {number}: {reason}"));
        let asked = Asked { head_only: head.starts_with(b"HEAD "), version: Version::Http11, keep_alive: false };
        let record = self.record((client, None), head, status, self.began());
        self.buffers.inbox.clear();
        self.session.scan = HeadScan::default();
        self.session.due = None;
        let response = Response::error_page(status);
        let answer = self.compose(Planned { response, asked, record, after: After::Linger, peer_leaves: false });
        self.session.state = State::Writing(Box::new(answer));
    }

    fn answer(&mut self, planned: Planned) -> io::Result<Step> {
        let answer = self.compose(planned);
        self.write(answer)
    }

    fn compose(&mut self, planned: Planned) -> Answer {
        let Planned { response, asked, record, after, .. } = planned;
        let buffer = std::mem::take(&mut self.buffers.outbox);
        let outgoing = Outgoing::new(response, asked, buffer, self.now(), self.limits);
        let is_local = self.stream.peer().address().is_loopback();
        let unsent_bytes_max = self.crowd.unsent_bytes_max(outgoing.content_left(), is_local);
        Answer { outgoing, record, after, unsent_bytes_max, place: None }
    }

    /// Writes an answer as far as it goes, and says what comes next.
    fn write(&mut self, mut answer: Answer) -> io::Result<Step> {
        answer.unsent_bytes_max =
            self.crowd.unsent_bytes_max_now(answer.unsent_bytes_max, answer.outgoing.content_left());
        self.limit_unsent(answer.unsent_bytes_max);
        let now = self.now();
        match answer.outgoing.write(self.stream, &mut self.bytes_left, now, self.limits) {
            Ok(Progress::Done) => {
                self.buffers.line.set(answer.record.write(answer.outgoing.content_sent(), false));
                self.buffers.outbox = answer.outgoing.into_buffer();
                Ok(self.after(answer.after))
            }
            Ok(Progress::Blocked(until)) => {
                if answer.after == After::Close {
                    answer.after = After::Linger;
                }
                let left = answer.outgoing.content_left();
                self.limit_unsent(Crowd::unsent_bytes_max_in_a_wait(answer.unsent_bytes_max, left));
                self.go_on_later(answer);
                Ok(Step::Over(Next::Wait(Interest::Write, until)))
            }
            Ok(Progress::Spent) => {
                self.go_on_later(answer);
                Ok(Step::Over(Next::Again))
            }
            Err(error) => {
                let client = self.session.sender(self.stream.peer());
                self.lines.cut.say(Level::Info, format_args!("{client}: a response was cut: {error}"));
                if error.kind() == io::ErrorKind::TimedOut {
                    // Who reads slowly to hold memory shall not hold the system's either. It may be broken already.
                    let _ = self.stream.discard_unsent();
                }
                self.buffers.line.set(answer.record.write(answer.outgoing.content_sent(), true));
                Err(error)
            }
        }
    }

    /// It saves memory and time; a connection that is broken shows itself elsewhere.
    fn limit_unsent(&mut self, bytes: u32) {
        let _ = self.stream.limit_unsent(bytes);
    }

    fn go_on_later(&mut self, mut answer: Answer) {
        answer.place.get_or_insert_with(|| self.crowd.join());
        self.session.state = State::Writing(Box::new(answer));
    }

    fn after(&mut self, after: After) -> Step {
        match after {
            // What was read is used up, and the next request is hardly there yet: asking would be a call in vain. Not so
            // when the server stops: what has not come by then is not waited for, and nobody says so a second time.
            After::Stay if self.buffers.inbox.is_empty() && !self.stream.is_stopping() => {
                Step::Over(Next::Idle(end_of(self.limits.idle_timeout, self.now())))
            }
            After::Stay => Step::Go,
            After::Close => Step::Over(Next::Close),
            After::Linger => self.end_writing(self.limits.linger_timeout),
        }
    }

    /// Tells the peer that nothing more comes, and reads on for a while: closed at once, the connection would be reset by
    /// what the peer sends before it knows.
    fn end_writing(&mut self, linger: Duration) -> Step {
        if self.stream.shut_down_writing().is_err() {
            return Step::Over(Next::Close);
        }
        self.buffers.inbox.clear();
        let until = end_of(linger, self.now());
        self.session.state = State::Lingering { until, bytes_left: self.limits.linger_bytes_max };
        Step::Go
    }

    /// Reads and throws away, until the peer closes, or time or patience is over.
    fn linger(&mut self, until: Instant, bytes_left: u64) -> io::Result<Step> {
        self.buffers.inbox.clear();
        match self.buffers.inbox.read_from(self.stream) {
            Ok(read @ 1..) if read as u64 <= bytes_left && self.now() < until => {
                self.session.state = State::Lingering { until, bytes_left: bytes_left - read as u64 };
                self.bytes_left = self.bytes_left.saturating_sub(read as u64);
                Ok(if self.bytes_left == 0 { Step::Over(Next::Again) } else { Step::Go })
            }
            Ok(_) => Ok(Step::Over(Next::Close)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.session.state = State::Lingering { until, bytes_left };
                Ok(Step::Over(Next::Wait(Interest::Read, until)))
            }
            Err(error) => Err(error),
        }
    }
}

impl From<Unacceptable> for Refusal {
    fn from(reason: Unacceptable) -> Self {
        match reason {
            Unacceptable::TooLarge => {
                Self { status: StatusCode::PAYLOAD_TOO_LARGE, reason: "the body is larger than is taken here" }
            }
            Unacceptable::Malformed(reason) => Self { status: StatusCode::BAD_REQUEST, reason },
        }
    }
}

impl Awaited {
    /// Takes what has come of the body.
    fn feed(&mut self, inbox: &mut Inbox) -> Result<(), Unacceptable> {
        let (content, wanted) = (&mut self.content, self.wanted);
        let used = self.reader.feed(inbox.unread(), |bytes| {
            if wanted {
                content.extend_from_slice(bytes);
            }
        })?;
        inbox.consume(used);
        Ok(())
    }
}
