//! A connection's turn: reading a head, perhaps a body; handling; writing (`answering.rs`); and again.
//!
//! Nothing here waits. A turn goes on until the connection has nothing more to read or no room to write, or has had its
//! share; what has to be remembered till then is in the [`Session`]. The buffers belong to the worker.

mod answering;

use std::cell::Cell;
use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ::http::StatusCode;
use log::{Level, warn};

use super::body::{BodyReader, Framing, Unacceptable};
use super::client::{Client, Proxies};
use super::crowd::Crowd;
use super::head_scan::HeadScan;
use super::introduction::{self, Introduction};
use super::limits::{Limits, end_of};
use super::log::Record;
use super::request::{NO_FIELDS, Refusal, Version, fields_of, parse, settle_version};
use super::response::Response;
use super::service::{Buffers, Lines, Service};
use super::session::{After, Awaited, Session, State};
use super::write::{Asked, CONTINUE};
use crate::http::Handler;
use crate::socketserver::{Interest, Next, Stream, Wake};

/// How long an idle connection that a stop ends is still read at most: a request may cross the goodbye.
const GOODBYE: Duration = Duration::from_millis(500);

/// Empty lines skipped before a request line (RFC 9112 section 2.2 asks for at least one).
const EMPTY_LINES_MAX: u8 = 4;

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

/// What one connection does with a worker's time.
pub(super) struct Turn<'a, H> {
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

impl<'a, H: Handler> Turn<'a, H> {
    pub(super) fn new(
        service: &'a Service<H>,
        session: &'a mut Session,
        stream: &'a mut Stream,
        buffers: &'a mut Buffers,
    ) -> Self {
        let begins = session.unread.is_empty() && matches!(session.state, State::Head);
        buffers.inbox.load(&session.unread, &service.limits);
        Self {
            handler: &service.handler,
            limits: &service.limits,
            proxies: &service.proxies,
            lines: &service.lines,
            crowd: &service.crowd,
            now: Cell::new(None),
            begun: stream.ready_since().filter(|_| begins),
            bytes_left: service.limits.turn_bytes(stream.waiting()),
            requests_left: service.limits.turn_requests_max.max(1),
            leaves_idle: false,
            session,
            stream,
            buffers,
        }
    }

    fn now(&self) -> Instant {
        let now = self.now.get().unwrap_or_else(Instant::now);
        self.now.set(Some(now));
        now
    }

    /// Has the turn. What was read and not used is left with the session.
    pub(super) fn run(mut self, wake: Wake) -> io::Result<Next> {
        let next = self.go_on(wake);
        self.buffers.inbox.save(&mut self.session.unread);
        next
    }

    fn go_on(&mut self, wake: Wake) -> io::Result<Next> {
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
                // The request begins with a later byte than the first.
                self.begun = None;
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
            self.begun = None;
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
        let sender = self.session.sender(self.stream.peer());
        let client = self.proxies.client(sender, head.request.fields);
        head.request.client = client;
        if self.proxies.miss(sender, client) && !self.lines.said_unnamed.swap(true, Ordering::Relaxed) {
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
        let mut slots = NO_FIELDS;
        let client = self.proxies.client(self.session.sender(self.stream.peer()), fields_of(head, &mut slots));
        let number = status.as_u16();
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
