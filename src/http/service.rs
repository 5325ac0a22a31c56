//! HTTP as a handler of connections: what all of them share, and each one's turns.

use std::cell::{Cell, RefCell};
use std::io;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use ::http::{HeaderValue, StatusCode, header};
use log::debug;

use super::client::{Client, Proxies};
use super::crowd::Crowd;
use super::inbox::Inbox;
use super::introduction::{self, Introduction};
use super::limits::Limits;
use super::log::{LogFormat, Record};
use super::request::{NO_FIELDS, Version, fields_of};
use super::response::Response;
use super::session::{Session, State};
use super::turn::Turn;
use super::write::{Asked, Outgoing, Progress};
use crate::http::Handler;
use crate::socketserver::{Conn, End, Handler as SocketHandler, Next, Stream, Throttle, Wake};

/// When somebody who had too many connections may have one more: soon, as those close again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Serves HTTP with a [`Handler`]: what a [`Server`](crate::socketserver::Server) is given.
#[derive(Debug)]
pub struct Service<H> {
    pub(super) handler: H,
    pub(super) limits: Limits,
    pub(super) proxies: Proxies,
    pub(super) lines: Lines,
    pub(super) crowd: Crowd,
}

/// Lines of the log that peers cause.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Of the access log.
    pub(super) format: LogFormat,
    pub(super) refused: Throttle,
    pub(super) cut: Throttle,
    /// That a proxy names no client: once, as every request may be so.
    pub(super) said_unnamed: AtomicBool,
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

impl<H: Handler> SocketHandler for Service<H> {
    type Session = Session;

    /// 503, if the peer's request is there to be answered; it may try again. Of what a proxy sends, the client is told in
    /// the log; where the introduction is missing, there is nobody to answer.
    fn refuse(&self, stream: &mut Stream) {
        BUFFERS.with_borrow_mut(|buffers| {
            buffers.inbox.load(&[], &self.limits);
            // What is not read would reset the connection, and take the answer with it.
            if !matches!(buffers.inbox.read_from(stream), Ok(1..)) {
                return;
            }
            let mut sender = Client::Peer(stream.peer());
            if self.proxies.introduce(stream.peer()) {
                let read = introduction::read(buffers.inbox.unread());
                let Ok(Introduction::Complete { bytes, client }) = read else { return };
                sender = client.map_or(sender, Client::from);
                buffers.inbox.consume(bytes);
            }
            let head = buffers.inbox.unread();
            if head.is_empty() {
                return;
            }
            let mut slots = NO_FIELDS;
            let client = self.proxies.client(sender, fields_of(head, &mut slots));
            let (format, status) = (self.lines.format, StatusCode::SERVICE_UNAVAILABLE);
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
        BUFFERS.with_borrow_mut(|buffers| Turn::new(self, session, stream, buffers).run(wake))
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
pub(super) struct Buffers {
    pub(super) inbox: Inbox,
    pub(super) outbox: Vec<u8>,
    /// Of the access log.
    pub(super) line: Cell<String>,
}
