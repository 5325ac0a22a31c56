//! The only place that makes HTTP bytes: a [`Response`] goes in, bytes go out to the stream, as the peer takes them.

use std::fmt;
use std::io::{self, IoSlice, Write as _};
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use ::http::{HeaderName, HeaderValue, Method, StatusCode};
use bytes::Bytes;

use super::date;
use super::limits::{Limits, end_of};
use super::request::Version;
use super::response::{Body, Head, Response, reason_phrase};
use crate::socketserver::Stream;

/// The answer to `Expect: 100-continue` of a request whose body is wanted.
pub(super) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A body up to this size is copied behind its head; a larger one leaves with it in one vectored send.
const COPY_BYTES_MAX: usize = 4 << 10;

/// A file's part up to this size is read behind the head, as one send then does it all.
const READ_BYTES_MAX: u64 = 16 << 10;

/// Field lines as they are sent, made ahead for many responses.
#[derive(Clone, Debug)]
pub struct FieldLines {
    bytes: Bytes,
    /// Where the one of Content-Length is, if there is one.
    length_at: Option<usize>,
}

impl FieldLines {
    /// Those between two [positions](FieldLinesBuilder::position).
    #[must_use]
    pub fn between(&self, start: usize, end: usize) -> Self {
        let end = end.min(self.bytes.len());
        let start = start.min(end);
        let length_at = self.length_at.filter(|at| (start..end).contains(at)).map(|at| at - start);
        Self { bytes: self.bytes.slice(start..end), length_at }
    }
}

/// Makes [`FieldLines`], one after the other.
#[derive(Debug, Default)]
pub struct FieldLinesBuilder {
    bytes: Vec<u8>,
    length_at: Option<usize>,
}

impl FieldLinesBuilder {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self { bytes: Vec::with_capacity(512), length_at: None }
    }

    /// Adds a line.
    pub fn put(&mut self, name: &HeaderName, value: &HeaderValue) {
        put_line(&mut self.bytes, name, value);
    }

    /// Adds Content-Length, where that is always the same; without it the writer does.
    pub fn put_content_length(&mut self, length: u64) {
        self.length_at = Some(self.bytes.len());
        put_content_length(&mut self.bytes, Some(length));
    }

    /// Where the next line begins.
    #[must_use]
    pub fn position(&self) -> usize {
        self.bytes.len()
    }

    /// The lines; they take no more memory than they need.
    #[must_use]
    pub fn build(self) -> FieldLines {
        // A copy, and not what it shrinks to: small pieces that are left over spoil the allocator's memory.
        FieldLines { bytes: Bytes::copy_from_slice(&self.bytes), length_at: self.length_at }
    }
}

/// A head made ahead for many responses: status and fields; not Date and Connection, which differ, and Content-Length
/// only where it is always the same.
#[derive(Clone, Debug)]
pub struct PreparedHead {
    status: StatusCode,
    lines: FieldLines,
}

impl PreparedHead {
    /// A head with these fields.
    #[must_use]
    pub fn new(status: StatusCode, lines: FieldLines) -> Self {
        Self { status, lines }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }
}

/// The status line, and what every response has.
fn put_start(bytes: &mut Vec<u8>, status: StatusCode) {
    bytes.extend_from_slice(b"HTTP/1.1 ");
    bytes.extend_from_slice(status.as_str().as_bytes());
    bytes.push(b' ');
    bytes.extend_from_slice(reason_phrase(status).unwrap_or_default().as_bytes());
    bytes.extend_from_slice(b"\r\nServer: salver\r\n");
    if may_have_content(status) {
        // What the type says it is, it is: a browser must not make a page of what somebody uploaded as text.
        bytes.extend_from_slice(b"X-Content-Type-Options: nosniff\r\n");
    }
}

fn put_fields(bytes: &mut Vec<u8>, fields: &[(HeaderName, HeaderValue)]) {
    for (name, value) in fields {
        put_line(bytes, name, value);
    }
}

fn put_content_length(bytes: &mut Vec<u8>, content_length: Option<u64>) {
    if let Some(length) = content_length {
        put_number_field(bytes, format_args!("Content-Length: {length}"));
    }
}

/// A field line that is made for each response, without taking memory.
fn put_number_field(bytes: &mut Vec<u8>, line: fmt::Arguments<'_>) {
    // Writing to memory doesn't fail.
    let _ = write!(bytes, "{line}\r\n");
}

fn put_line(bytes: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    put_name(bytes, name);
    put_field(bytes, b"", value.as_bytes());
}

/// The same of a name that is written as it shall be, or is there already.
fn put_field(bytes: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    for piece in [name, b": ", value, b"\r\n"] {
        bytes.extend_from_slice(piece);
    }
}

/// `content-type` to `Content-Type`: case means nothing, but people read it. `ETag` is the one that is written otherwise.
fn put_name(bytes: &mut Vec<u8>, name: &HeaderName) {
    if name == ::http::header::ETAG {
        return bytes.extend_from_slice(b"ETag");
    }
    let start = bytes.len();
    bytes.extend_from_slice(name.as_str().as_bytes());
    let words = bytes[start..].split_mut(|&byte| byte == b'-');
    words.filter_map(<[u8]>::first_mut).for_each(|byte| byte.make_ascii_uppercase());
}

/// What the response answers, as far as it matters for writing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) head_only: bool,
    pub(super) version: Version,
    /// The connection stays open afterwards.
    pub(super) keep_alive: bool,
}

impl Asked {
    pub(super) fn new(method: &Method, version: Version, keep_alive: bool) -> Self {
        Self { head_only: *method == Method::HEAD, version, keep_alive }
    }
}

/// A response on its way out.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// The head, and a small body behind it.
    bytes: Vec<u8>,
    bytes_sent: usize,
    /// What follows them now; of what follows later, the last is the next.
    body: Body,
    body_sent: u64,
    later: Vec<Body>,
    total_sent: u64,
    head_bytes: usize,
    window: Window,
}

/// How far a call of [`Outgoing::write`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// All has been handed to the system.
    Done,
    /// The peer doesn't take more now; it must have taken some by this instant.
    Blocked(Instant),
    /// The bytes of this turn are used up.
    Spent,
}

impl Outgoing {
    /// Makes the bytes of the head in `buffer`, which is given back by [`Outgoing::into_buffer`].
    pub(super) fn new(response: Response, asked: Asked, mut buffer: Vec<u8>, now: Instant, limits: &Limits) -> Self {
        buffer.clear();
        let status = response.status();
        put_start(&mut buffer, status);
        let mut tells_length = false;
        if let Head::Prepared(head) = &response.head {
            buffer.extend_from_slice(&head.lines.bytes);
            tells_length = head.lines.length_at.is_some();
        }
        put_fields(&mut buffer, &response.fields);
        if !tells_length {
            put_content_length(&mut buffer, content_length(status, &response.body));
        }
        if let Some((bytes, length)) = &response.part {
            let (first, last) = (bytes.start(), bytes.end());
            put_number_field(&mut buffer, format_args!("Content-Range: bytes {first}-{last}/{length}"));
        }
        put_rest_of_head(&mut buffer, asked, response.modified_now);
        let head_bytes = buffer.len();
        let has_content = !asked.head_only && may_have_content(status);
        let body = if has_content { response.body } else { Body::Empty };
        let (body, later) = match body {
            Body::Bytes(content) if content.len() <= COPY_BYTES_MAX => {
                buffer.extend_from_slice(&content);
                (Body::Empty, Vec::new())
            }
            Body::Several(mut bodies) => {
                bodies.reverse();
                (Body::Empty, bodies)
            }
            other => (other, Vec::new()),
        };
        let window = Window { ends: end_of(limits.write_timeout, now), sent: 0 };
        Self { bytes: buffer, bytes_sent: 0, body, body_sent: 0, later, total_sent: 0, head_bytes, window }
    }

    /// Writes what the peer takes, at most about `turn` bytes of content.
    ///
    /// # Errors
    /// When the connection breaks, the peer is too slow, or the file is not what the head promised: then the connection
    /// has to be cut.
    pub(super) fn write(
        &mut self,
        stream: &mut Stream,
        turn: &mut u64,
        now: Instant,
        limits: &Limits,
    ) -> io::Result<Progress> {
        loop {
            self.read_small_part()?;
            if self.is_done() {
                let Some(next) = self.later.pop() else { return Ok(Progress::Done) };
                (self.body, self.body_sent) = (next, 0);
                continue;
            }
            if *turn == 0 {
                return Ok(Progress::Spent);
            }
            let before = self.content_sent();
            match self.write_once(stream, *turn) {
                Ok(sent) => {
                    *turn = turn.saturating_sub(self.content_sent() - before);
                    self.window.sent += sent;
                    // The peer makes room bit by bit: to fill each bit at once would cost more than to wait for more.
                    if stream.is_full() {
                        return self.blocked(now, limits);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return self.blocked(now, limits);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The peer's time is judged once all the room is filled that it has made: the system tells of it late.
    fn blocked(&mut self, now: Instant, limits: &Limits) -> io::Result<Progress> {
        self.window.check(now, limits)?;
        Ok(Progress::Blocked(self.window.ends))
    }

    /// What is to be sent now has been.
    fn is_done(&self) -> bool {
        self.bytes_sent == self.bytes.len() && self.body_sent == self.body.len()
    }

    /// A small part of a file that comes next is put behind what is in memory.
    fn read_small_part(&mut self) -> io::Result<()> {
        let Body::File(file) = &self.body else { return Ok(()) };
        if self.body_sent > 0 || self.body.len() > READ_BYTES_MAX {
            return Ok(());
        }
        if self.bytes_sent == self.bytes.len() {
            self.bytes.clear();
            self.bytes_sent = 0;
        }
        let (before, length) = (self.bytes.len(), usize::try_from(self.body.len()).unwrap_or(usize::MAX));
        self.bytes.resize(before + length, 0);
        file.file.read_exact_at(&mut self.bytes[before..], file.range.start)?;
        // Looked at afterwards, so that these bytes are of the state that was promised.
        file.check()?;
        self.body = Body::Empty;
        Ok(())
    }

    fn write_once(&mut self, stream: &mut Stream, turn: u64) -> io::Result<u64> {
        let rest = &self.bytes[self.bytes_sent..];
        let sent = match &self.body {
            Body::Bytes(content) => {
                let content = &content[usize::try_from(self.body_sent).unwrap_or(usize::MAX)..];
                stream.try_write_vectored(&[IoSlice::new(rest), IoSlice::new(content)])?
            }
            Body::File(_) if !rest.is_empty() => stream.try_write_more(rest)?,
            Body::File(file) => {
                file.check()?;
                let offset = file.range.start + self.body_sent;
                let count = usize::try_from((file.range.end - offset).min(turn)).unwrap_or(usize::MAX);
                match stream.try_send_file(&file.file, offset, count)? {
                    0 => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file ended while it was sent")),
                    sent => sent,
                }
            }
            // Several bodies are taken apart before, and hold no others.
            Body::Empty | Body::Several(_) => stream.try_write(rest)?,
        };
        let of_bytes = sent.min(rest.len());
        self.bytes_sent += of_bytes;
        self.body_sent += (sent - of_bytes) as u64;
        self.total_sent += sent as u64;
        Ok(sent as u64)
    }

    /// Bytes of content handed to the system so far.
    pub(super) fn content_sent(&self) -> u64 {
        self.total_sent.saturating_sub(self.head_bytes as u64)
    }

    /// Bytes of the content that have yet to be handed to the system, but for what stands behind the head.
    pub(super) fn content_left(&self) -> u64 {
        let later: u64 = self.later.iter().map(Body::len).sum();
        (self.body.len() + later).saturating_sub(self.body_sent)
    }

    /// Gives back the buffer, for the next response.
    pub(super) fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }
}

fn content_length(status: StatusCode, body: &Body) -> Option<u64> {
    may_have_content(status).then(|| body.len())
}

/// RFC 9110 section 6.4.1; what a handler gives all the same would be taken for the next response.
fn may_have_content(status: StatusCode) -> bool {
    !status.is_informational() && !matches!(status.as_u16(), 204 | 304)
}

/// Date (RFC 9110 section 6.6.1), Connection where it differs from the version's default, and the empty line.
fn put_rest_of_head(bytes: &mut Vec<u8>, asked: Asked, modified_now: bool) {
    if let Some(date) = date::now() {
        if modified_now {
            put_field(bytes, b"Last-Modified", &date);
        }
        put_field(bytes, b"Date", &date);
    }
    match (asked.keep_alive, asked.version) {
        (false, _) => bytes.extend_from_slice(b"Connection: close\r\n\r\n"),
        (true, Version::Http10) => bytes.extend_from_slice(b"Connection: keep-alive\r\n\r\n"),
        (true, Version::Http11) => bytes.extend_from_slice(b"\r\n"),
    }
}

/// The time in which a peer has to take its share.
#[derive(Clone, Copy, Debug)]
struct Window {
    ends: Instant,
    sent: u64,
}

impl Window {
    /// Begins the next window, if in the last one the peer took enough.
    fn check(&mut self, now: Instant, limits: &Limits) -> io::Result<()> {
        if now < self.ends {
            return Ok(());
        }
        if self.sent < rate_bytes(limits.write_rate_min, limits.write_timeout) {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the peer takes the response too slowly"));
        }
        *self = Self { ends: end_of(limits.write_timeout, now), sent: 0 };
        Ok(())
    }
}

fn rate_bytes(rate: u64, time: Duration) -> u64 {
    let bytes = u128::from(rate).saturating_mul(time.as_millis()) / 1_000;
    u64::try_from(bytes).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a response is on the wire, but for Date.
    fn written(response: Response, keep_alive: bool) -> String {
        let asked = Asked::new(&Method::GET, Version::Http11, keep_alive);
        let outgoing = Outgoing::new(response, asked, Vec::new(), Instant::now(), &Limits::default());
        assert!(matches!(outgoing.body, Body::Empty), "a small body stands behind its head");
        let text = String::from_utf8(outgoing.bytes).unwrap();
        let lines: Vec<&str> = text.split_inclusive("\r\n").filter(|line| !line.starts_with("Date: ")).collect();
        lines.concat()
    }

    #[test]
    fn a_response_is_its_head_and_its_body() {
        let page = Response::new(StatusCode::OK).html("hi");
        let expected = "HTTP/1.1 200 OK\r\nServer: salver\r\nX-Content-Type-Options: nosniff\r\n\
                        Content-Type: text/html; charset=utf-8\r\n\
                        Content-Length: 2\r\nConnection: close\r\n\r\nhi";
        assert_eq!(written(page, false), expected);
        let empty =
            "HTTP/1.1 404 Not Found\r\nServer: salver\r\nX-Content-Type-Options: nosniff\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(written(Response::new(StatusCode::NOT_FOUND), true), empty);
    }

    /// It would be taken for the next response.
    #[test]
    fn a_body_where_none_may_be_is_not_written() {
        for status in [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED] {
            let text = written(Response::new(status).html("HTTP/1.1 200 OK\r\n\r\n"), true);
            assert!(text.ends_with("\r\n\r\n") && !text.contains("200 OK") && !text.contains("Length"), "{text}");
        }
    }

    #[test]
    fn rates_count_fractions_of_a_second() {
        assert_eq!(rate_bytes(1_000, Duration::from_millis(1_500)), 1_500);
        assert_eq!(rate_bytes(256, Duration::from_millis(1)), 1);
        assert_eq!(rate_bytes(u64::MAX, Duration::MAX), u64::MAX);
    }
}
