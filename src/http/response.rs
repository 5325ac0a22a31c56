//! A response as a complete value: nothing of it is decided after its first byte has left.

use std::fs::File;
use std::io;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderName, HeaderValue, StatusCode, header};
use bytes::Bytes;

use super::write::{FieldLinesBuilder, PreparedHead};
use crate::socketserver::pause;

/// How long a write in place may turn out to be one at the end; looked at after this, then after twice as long.
const APPEND_PAUSE_MIN: Duration = Duration::from_millis(1);
/// The last of these pauses, about half of them all: a writer that has to wait for a processor may need it.
const APPEND_PAUSE_MAX: Duration = Duration::from_millis(64);

/// Some statuses may be kept for as long as a cache thinks right, unless it is told (RFC 9111 section 4.2.2).
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// Status, fields and body. Date, Server, Content-Length and Connection are the writer's.
#[derive(Debug)]
pub struct Response {
    pub(super) head: Head,
    pub(super) fields: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Body,
    /// For Content-Range: the bytes, and of how many.
    pub(super) part: Option<(RangeInclusive<u64>, u64)>,
    /// Last-Modified is the time of the answer.
    pub(super) modified_now: bool,
    pub(super) user: Option<Arc<str>>,
    pub(super) areas: u64,
}

/// What stands before the body.
#[derive(Debug)]
pub(super) enum Head {
    /// Made for this response.
    Status(StatusCode),
    /// Made ahead, for many.
    Prepared(PreparedHead),
}

impl Response {
    /// A response with this status, without fields or body.
    #[must_use]
    pub fn new(status: StatusCode) -> Self {
        Self {
            head: Head::Status(status),
            fields: Vec::new(),
            body: Body::Empty,
            part: None,
            modified_now: false,
            user: None,
            areas: 0,
        }
    }

    /// A response whose head was made ahead; this body has the length that it tells, if it tells one.
    #[must_use]
    pub fn prepared(head: PreparedHead, body: Body) -> Self {
        Self { head: Head::Prepared(head), body, ..Self::new(StatusCode::OK) }
    }

    /// A small clean page that names the status and tells nothing else; not to be kept without asking again.
    #[must_use]
    pub fn error_page(status: StatusCode) -> Self {
        Self::new(status).field(header::CACHE_CONTROL, NO_CACHE).html(error_page(status))
    }

    /// The same answer with the page of [`Response::error_page`] in the place of its own.
    #[must_use]
    pub fn with_error_page(mut self) -> Self {
        let status = self.status();
        self.fields.retain(|(name, _)| name != header::CONTENT_TYPE);
        self.areas = 0;
        self.html(error_page(status))
    }

    /// Adds a field.
    #[must_use]
    pub fn field(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.fields.push((name, value));
        self
    }

    /// Says in Vary, once, that it depends on this field of the request too (RFC 9110 section 12.5.5).
    pub(crate) fn varying(mut self, field: HeaderValue) -> Self {
        let line = (header::VARY, field);
        if !self.fields.contains(&line) {
            self.fields.push(line);
        }
        self
    }

    /// Says with Content-Range (RFC 9110 section 14.4) which bytes the body has, the first and the last, of a
    /// representation of this length.
    #[must_use]
    pub fn part_of(mut self, bytes: RangeInclusive<u64>, length: u64) -> Self {
        self.part = Some((bytes, length));
        self
    }

    /// Whether Last-Modified tells the time of the answer, as it has to of what was changed in the future (RFC 9110
    /// section 8.8.2.1).
    #[must_use]
    pub fn modified_now(mut self, modified_now: bool) -> Self {
        self.modified_now = modified_now;
        self
    }

    /// Tells the log as whom the client asked, by a name that is known here or not; nothing of it is sent.
    #[must_use]
    pub fn with_user(mut self, user: Option<Arc<str>>) -> Self {
        self.user = user;
        self
    }

    /// Tells the handler around this one which parts of the site the content is from, a bit each; nothing of it is sent.
    #[must_use]
    pub fn of_areas(mut self, areas: u64) -> Self {
        self.areas = areas;
        self
    }

    /// What [`Response::of_areas`] told.
    #[must_use]
    pub fn areas(&self) -> u64 {
        self.areas
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    /// Sets an HTML body.
    #[must_use]
    pub fn html(self, page: impl Into<Bytes>) -> Self {
        self.field(header::CONTENT_TYPE, HTML).body(Body::Bytes(page.into()))
    }

    /// The bytes of content that it has.
    pub(super) fn body_length(&self) -> u64 {
        self.body.len()
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match &self.head {
            Head::Status(status) => *status,
            Head::Prepared(head) => head.status(),
        }
    }
}

fn error_page(status: StatusCode) -> String {
    let reason = reason_phrase(status).unwrap_or("Error");
    let more = match status {
        // What can be had instead, and what is spoken (RFC 9110 sections 15.5.7 and 15.6.6).
        StatusCode::NOT_ACCEPTABLE => ": it can be had as it is (Accept-Encoding: identity)",
        StatusCode::HTTP_VERSION_NOT_SUPPORTED => ": HTTP/1.1 and HTTP/1.0 are",
        _ => "",
    };
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\">\
         <title>{code} {reason}</title>\n\
         <style>body{{font:1.1rem/1.5 system-ui,sans-serif;display:grid;place-content:center;min-height:90vh}}</style>\n\
         <h1>{code}</h1><p>{reason}{more}</p>\n",
        code = status.as_u16(),
    )
}

/// A response that is always the same, made ahead.
#[derive(Clone, Debug)]
pub struct PreparedResponse {
    head: PreparedHead,
    body: Bytes,
}

impl PreparedResponse {
    /// [`Response::error_page`], made once.
    #[must_use]
    pub fn error_page(status: StatusCode) -> Self {
        let body = Bytes::from(error_page(status));
        let mut lines = FieldLinesBuilder::new();
        lines.put(&header::CACHE_CONTROL, &NO_CACHE);
        lines.put(&header::CONTENT_TYPE, &HTML);
        lines.put_content_length(body.len() as u64);
        Self { head: PreparedHead::new(status, lines.build()), body }
    }

    /// The response.
    #[must_use]
    pub fn response(&self) -> Response {
        Response::prepared(self.head.clone(), Body::Bytes(self.body.clone()))
    }
}

/// The phrase of a status; 413 has had another name since RFC 9110.
pub(super) fn reason_phrase(status: StatusCode) -> Option<&'static str> {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => Some("Content Too Large"),
        _ => status.canonical_reason(),
    }
}

/// What follows the head.
#[derive(Debug)]
pub enum Body {
    /// Nothing, and no Content-Length where the status allows none; `Content-Length: 0` elsewhere.
    Empty,
    /// Bytes in memory.
    Bytes(Bytes),
    /// A part of a file.
    File(FileBody),
    /// One after the other.
    Several(Vec<Body>),
}

impl Body {
    /// The bytes that it has.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(file) => file.range.end - file.range.start,
            Self::Several(bodies) => bodies.iter().map(Self::len).sum(),
        }
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A part of an open file, as it was when the response was decided.
#[derive(Clone, Debug)]
pub struct FileBody {
    /// The open file; it stays readable when its name goes.
    pub file: Arc<File>,
    /// What the file was like.
    pub version: FileVersion,
    /// The bytes to send.
    pub range: Range<u64>,
}

impl FileBody {
    /// Fails when the file is no longer what the head of the response promised: cut short, or written to at the same
    /// length. One that has grown still has the bytes that were promised.
    pub(super) fn check(&self) -> io::Result<()> {
        let mut now = FileVersion::of(&self.file)?;
        if self.version.is_rewritten_in(now) {
            now = self.look_until_settled()?;
        }
        if now.bytes < self.version.bytes {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file was truncated while it was sent"));
        }
        if self.version.is_rewritten_in(now) {
            return Err(io::Error::other("the file was changed while it was sent"));
        }
        Ok(())
    }

    /// A write at the end of a file sets its time first and its length a moment later. Between the two it looks like a
    /// change in place, so that is believed only when it is still there after a while.
    fn look_until_settled(&self) -> io::Result<FileVersion> {
        let mut time = APPEND_PAUSE_MIN;
        loop {
            pause(time);
            let now = FileVersion::of(&self.file)?;
            if time >= APPEND_PAUSE_MAX || !self.version.is_rewritten_in(now) {
                return Ok(now);
            }
            time *= 2;
        }
    }
}

/// What tells two states of a file apart: length and time of the last change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileVersion {
    /// Its length.
    pub bytes: u64,
    /// Its mtime: seconds since 1970, which may be negative, and nanoseconds.
    pub modified: (i64, u32),
}

impl FileVersion {
    /// What an open file is like now.
    ///
    /// # Errors
    /// What the system says.
    pub fn of(file: &File) -> io::Result<Self> {
        Ok(Self::of_stat(&rustix::fs::fstat(file)?))
    }

    /// What a file of this status is like.
    #[must_use]
    #[allow(
        clippy::unnecessary_cast,
        clippy::cast_lossless,
        reason = "the types of these members differ between systems"
    )]
    pub fn of_stat(stat: &rustix::fs::Stat) -> Self {
        Self { bytes: stat.st_size as u64, modified: (stat.st_mtime as i64, stat.st_mtime_nsec as u32) }
    }

    /// Whether a later state says that bytes were written in the place of others.
    fn is_rewritten_in(self, now: Self) -> bool {
        now.bytes == self.bytes && now != self
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    /// Whatever the moment of a look: the writer, too, is seen in the middle of its work.
    #[test]
    fn a_write_at_the_end_is_no_change_in_place() {
        let folder = tempfile::tempdir().unwrap();
        for round in 0..300 {
            let path = folder.path().join(round.to_string());
            fs::write(&path, [b'x'; 1000]).unwrap();
            let file = Arc::new(File::open(&path).unwrap());
            file.set_modified(std::time::UNIX_EPOCH).unwrap();
            let version = FileVersion::of(&file).unwrap();
            let body = FileBody { file: Arc::clone(&file), version, range: 0..1000 };
            let begins = Barrier::new(2);
            thread::scope(|scope| {
                scope.spawn(|| {
                    let mut end = File::options().append(true).open(&path).unwrap();
                    begins.wait();
                    end.write_all(&[b'y'; 1000]).unwrap();
                });
                begins.wait();
                while FileVersion::of(&file).unwrap().bytes == 1000 {
                    body.check().unwrap();
                }
                body.check().unwrap();
            });
        }
    }

    #[test]
    fn a_change_in_place_and_a_shorter_file_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, [b'x'; 1000]).unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
        let version = FileVersion::of(&file).unwrap();
        let body = FileBody { file: Arc::new(file), version, range: 0..1000 };
        body.check().unwrap();
        fs::write(&path, [b'y'; 1000]).unwrap();
        assert_eq!(body.check().unwrap_err().to_string(), "the file was changed while it was sent");
        body.file.set_len(999).unwrap();
        assert_eq!(body.check().unwrap_err().to_string(), "the file was truncated while it was sent");
    }
}
