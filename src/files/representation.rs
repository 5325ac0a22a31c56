//! A file made ready to be sent: its validators, its head, its content, and what tells that it is no longer the same.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::http::{HeaderName, HeaderValue, StatusCode, header};
use bytes::Bytes;
use rustix::fs::Stat;
use xxhash_rust::xxh3::xxh3_128;

use super::conditional::Validators;
use super::multipart;
use crate::http::{Body, FileBody, FileVersion, PreparedHead, Response, format_date};

/// A time stamp younger than this says little: the clock of a file system is coarse, and a second change may hide in it.
const GRAIN: Duration = Duration::from_secs(2);

/// How often a file that changes while it is read is read again.
const TORN_READS_MAX: usize = 3;

/// Of what is served: look again before it is used again.
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");

/// What can be asked of a file, ready.
#[derive(Debug)]
pub(super) struct Representation {
    pub(super) validators: Validators,
    pub(super) length: u64,
    content_type: HeaderValue,
    content: Content,
    ok: PreparedHead,
    not_modified: PreparedHead,
}

#[derive(Debug)]
enum Content {
    Memory(Bytes),
    Disk(Arc<File>, FileVersion),
}

/// What says whether a name still means the same file in the same state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    version: FileVersion,
    /// It moves when the bytes, the permissions or the mtime are set, and nobody can set it back.
    changed: (i64, u32),
}

impl Stamp {
    #[allow(
        clippy::unnecessary_cast,
        clippy::cast_lossless,
        reason = "the types of these members differ between systems"
    )]
    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            version: FileVersion::of_stat(stat),
            changed: (stat.st_ctime as i64, stat.st_ctime_nsec as u32),
        }
    }

    /// Whether a later change is sure to give another stamp. It isn't while the last one is too young.
    pub(super) fn is_settled(&self, now: SystemTime) -> bool {
        let newest = self.version.modified.0.max(self.changed.0);
        // An mtime may lie in the future and mean nothing; the time of the change itself then decides.
        let newest = if newest > seconds(now) { self.changed.0 } else { newest };
        newest.saturating_add(GRAIN.as_secs() as i64) <= seconds(now)
    }
}

/// Looks by name whether it still is what it was.
#[derive(Debug)]
pub(super) struct Witness {
    path: CString,
    expected: Option<Stamp>,
}

impl Witness {
    /// None for a path that no file can have.
    pub(super) fn new(path: PathBuf, expected: Option<Stamp>) -> Option<Self> {
        Some(Self { path: CString::new(path.as_os_str().as_bytes()).ok()?, expected })
    }

    pub(super) fn agrees(&self) -> bool {
        rustix::fs::stat(&*self.path).ok().map(|stat| Stamp::of(&stat)) == self.expected
    }
}

impl Representation {
    /// Makes a file ready. The stamp is of the state that was read; none when the file doesn't tell its state.
    pub(super) fn of(
        file: File,
        stat: &Stat,
        content_type: HeaderValue,
        memory_bytes_max: u64,
    ) -> io::Result<(Self, Option<Stamp>)> {
        let (content, stamp) = if Stamp::of(stat).version.bytes <= memory_bytes_max {
            read_whole(file, stat, memory_bytes_max)?
        } else {
            let stamp = Stamp::of(stat);
            (Content::Disk(Arc::new(file), stamp.version), Some(stamp))
        };
        Ok((Self::new(content, stamp.unwrap_or(Stamp::of(stat)), content_type, SystemTime::now()), stamp))
    }

    fn new(content: Content, stamp: Stamp, content_type: HeaderValue, now: SystemTime) -> Self {
        let length = match &content {
            Content::Memory(bytes) => bytes.len() as u64,
            Content::Disk(_, version) => version.bytes,
        };
        let validators = Validators {
            etag: match &content {
                Content::Memory(bytes) => Some(content_etag(bytes)),
                Content::Disk(..) => version_etag(stamp, now),
            },
            last_modified: last_modified(stamp.version, now),
        };
        let shared = shared_fields(&validators);
        let mut fields = vec![
            (header::CONTENT_TYPE, content_type.clone()),
            (header::ACCEPT_RANGES, HeaderValue::from_static("bytes")),
        ];
        fields.extend(shared.iter().cloned());
        Self {
            ok: PreparedHead::new(StatusCode::OK, &fields, Some(length)),
            not_modified: PreparedHead::new(StatusCode::NOT_MODIFIED, &shared, None),
            validators,
            length,
            content_type,
            content,
        }
    }

    /// 200: all of it.
    pub(super) fn whole(&self) -> Response {
        Response::prepared(self.ok.clone(), self.content(0..self.length))
    }

    /// 304: what the client has is still right.
    pub(super) fn not_modified(&self) -> Response {
        Response::prepared(self.not_modified.clone(), Body::Empty)
    }

    /// 206: a part of it.
    pub(super) fn part(&self, range: Range<u64>) -> Response {
        let content_range = format!("bytes {}-{}/{}", range.start, range.end - 1, self.length);
        self.with_fields(Response::new(StatusCode::PARTIAL_CONTENT))
            .field(header::CONTENT_RANGE, ascii_value(content_range))
            .field(header::CONTENT_TYPE, self.content_type.clone())
            .body(self.content(range))
    }

    /// 206: several parts of it.
    pub(super) fn parts(&self, parts: &[Range<u64>]) -> Response {
        let (content_type, body) = multipart::body(parts, self.length, &self.content_type, |range| self.content(range));
        self.with_fields(Response::new(StatusCode::PARTIAL_CONTENT))
            .field(header::CONTENT_TYPE, content_type)
            .body(body)
    }

    /// Its content under another status: a page of the site that tells of an error.
    pub(super) fn as_page(&self, status: StatusCode) -> Response {
        Response::new(status)
            .field(header::CONTENT_TYPE, self.content_type.clone())
            .field(header::CACHE_CONTROL, NO_CACHE)
            .body(self.content(0..self.length))
    }

    fn with_fields(&self, response: Response) -> Response {
        shared_fields(&self.validators)
            .into_iter()
            .fold(response, |response, (name, value)| response.field(name, value))
    }

    fn content(&self, range: Range<u64>) -> Body {
        match &self.content {
            Content::Memory(bytes) => {
                let at = |position: u64| usize::try_from(position).map_or(bytes.len(), |at| at.min(bytes.len()));
                Body::Bytes(bytes.slice(at(range.start)..at(range.end)))
            }
            Content::Disk(file, version) => Body::File(FileBody { file: Arc::clone(file), version: *version, range }),
        }
    }

    /// The memory it takes, in bytes; none when it is a descriptor.
    pub(super) fn memory_bytes(&self) -> Option<u64> {
        match &self.content {
            Content::Memory(bytes) => Some(bytes.len() as u64),
            Content::Disk(..) => None,
        }
    }
}

/// What 200, 206 and 304 share (RFC 9110 section 15.4.5).
fn shared_fields(validators: &Validators) -> Vec<(HeaderName, HeaderValue)> {
    let mut fields = vec![(header::CACHE_CONTROL, NO_CACHE)];
    let etag = validators.etag.as_ref().and_then(|etag| HeaderValue::from_bytes(etag).ok());
    fields.extend(etag.map(|etag| (header::ETAG, etag)));
    let date = validators.last_modified.and_then(|seconds| format_date(UNIX_EPOCH + Duration::from_secs(seconds)));
    fields.extend(date.map(|date| (header::LAST_MODIFIED, ascii_value(date))));
    fields
}

/// Reads a file that goes into memory. One that changes meanwhile is read again; one that has outgrown memory is served
/// from disk. What has another length than it tells (in /proc and /sys, say) is sent as it was read, and has no stamp.
fn read_whole(mut file: File, stat: &Stat, memory_bytes_max: u64) -> io::Result<(Content, Option<Stamp>)> {
    let mut stamp = Stamp::of(stat);
    for _ in 0..TORN_READS_MAX {
        if stamp.version.bytes > memory_bytes_max {
            break;
        }
        let mut bytes = Vec::with_capacity(usize::try_from(stamp.version.bytes).unwrap_or(0).saturating_add(1));
        io::Seek::rewind(&mut file)?;
        (&mut file).take(memory_bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
        let now = Stamp::of(&rustix::fs::fstat(&file)?);
        let read = bytes.len() as u64;
        if now == stamp && read <= memory_bytes_max {
            return Ok((Content::Memory(bytes.into()), (read == stamp.version.bytes).then_some(stamp)));
        }
        stamp = now;
    }
    Ok((Content::Disk(Arc::new(file), stamp.version), Some(stamp)))
}

/// A tag that is the same wherever the content is the same, whatever the file's dates say.
fn content_etag(bytes: &[u8]) -> Vec<u8> {
    format!("\"{:032x}\"", xxh3_128(bytes)).into_bytes()
}

/// A tag of a file too large to read for it; none where its times can't tell one state from another. The time of the
/// change itself is in it: a file that was replaced by another of the same length and mtime has another.
fn version_etag(stamp: Stamp, now: SystemTime) -> Option<Vec<u8>> {
    let FileVersion { bytes, modified: (seconds, nanoseconds) } = stamp.version;
    let (changed, changed_nanoseconds) = stamp.changed;
    let tells = tells_time(stamp.version, now) && stamp.is_settled(now);
    let tag = || format!("\"{seconds:x}.{nanoseconds:x}-{changed:x}.{changed_nanoseconds:x}-{bytes:x}\"");
    tells.then(|| tag().into_bytes())
}

/// None where the mtime is no time of a change, or has no form as a date.
fn last_modified(version: FileVersion, now: SystemTime) -> Option<u64> {
    if tells_time(version, now) { u64::try_from(version.modified.0).ok() } else { None }
}

/// Whether an mtime can be believed: 0 and 1 are what reproducible builds write, nothing was changed in the future
/// (RFC 9110 section 8.8.2.1), and in the second that has just begun there may be another change.
fn tells_time(version: FileVersion, now: SystemTime) -> bool {
    (2..=seconds(now) - GRAIN.as_secs() as i64).contains(&version.modified.0)
}

fn seconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// A value made of digits and letters, which always is one.
fn ascii_value(value: String) -> HeaderValue {
    HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000;

    fn stamp(modified: i64, changed: i64) -> Stamp {
        let version = FileVersion { bytes: 1 << 20, modified: (modified, 0) };
        Stamp { device: 1, inode: 1, version, changed: (changed, 0) }
    }

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(NOW as u64)
    }

    #[test]
    fn an_mtime_that_tells_nothing_is_not_told() {
        for (modified, told) in [
            (NOW - 2, true),
            (2, true),
            (NOW - 1, false),
            (NOW, false),
            (NOW + 1, false),
            (1, false),
            (0, false),
            (-1, false),
        ] {
            let stamp = stamp(modified, 100);
            assert_eq!(last_modified(stamp.version, now()).is_some(), told, "{modified}");
            assert_eq!(version_etag(stamp, now()).is_some(), told, "{modified}");
        }
    }

    #[test]
    fn another_file_of_the_same_length_and_mtime_has_another_tag() {
        assert_ne!(version_etag(stamp(100, 100), now()), version_etag(stamp(100, 101), now()));
        assert_eq!(version_etag(stamp(100, NOW - 1), now()), None, "there may be another change in this second");
    }

    #[test]
    fn stamps_are_settled_when_no_change_can_hide_in_them() {
        for (modified, changed, settled) in [
            (100, 100, true),
            (100, NOW - 2, true),
            (100, NOW - 1, false),
            (NOW - 1, NOW - 2, false),
            // An mtime in the future says nothing; the time of the change does.
            (NOW + 100, 100, true),
            (NOW + 100, NOW, false),
            // The clock was set back: nothing can be said.
            (100, NOW + 100, false),
        ] {
            assert_eq!(stamp(modified, changed).is_settled(now()), settled, "{modified} {changed}");
        }
    }

    /// Memory for what a file grew to while it was read would be the end of the server.
    #[test]
    fn a_file_that_outgrows_memory_while_it_is_read_is_served_from_disk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("growing");
        std::fs::write(&path, "small").unwrap();
        let file = File::open(&path).unwrap();
        let stat = rustix::fs::fstat(&file).unwrap();
        let huge = 1 << 42;
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(huge).unwrap();
        let (representation, _) = Representation::of(file, &stat, NO_CACHE, 100 << 10).unwrap();
        assert_eq!((representation.memory_bytes(), representation.length), (None, huge));
    }
}
