//! A file made ready to be sent: its validators, its head, its content.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::http::{HeaderName, HeaderValue, StatusCode, header};
use bytes::Bytes;
use rustix::fs::Stat;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::NO_CACHE;
use super::multipart;
use super::options::{Coding, EtagSource, Options};
use super::parts::Parts;
use super::stamp::Stamp;
use super::validators::Validators;
use super::variants::Origin;
use crate::http::{Body, FieldLines, FieldLinesBuilder, FileBody, FileVersion, PreparedHead, Response, format_date};

/// How often a file that changes while it is read is read again.
const TORN_READS_MAX: usize = 3;

/// Of a file that tells that it is empty, which in /proc is said of those that aren't, so much may be read all the same.
const UNTOLD_BYTES_MAX: u64 = 100 << 10;

/// What is read of a file at once to make its digest.
const DIGEST_BUFFER_BYTES: usize = 64 << 10;

/// What a representation takes beside its content and its fields: validators, what variants need. (Of 20,000 files each took
/// 1,320 bytes more than its content; 350 of them are fields, and some the cache's own and the key.)
const OWN_BYTES: u64 = 448;

/// What is said of a file, whatever its state.
#[derive(Clone, Debug)]
pub(super) struct Presentation {
    pub(super) content_type: HeaderValue,
    pub(super) cache_control: HeaderValue,
    /// What else the site wants said.
    pub(super) fields: Vec<(HeaderName, HeaderValue)>,
    /// Parts of the site that it lies in.
    pub(super) areas: u64,
    /// A part of it may be asked for.
    pub(super) takes_ranges: bool,
}

/// What chooses between a file and its variants.
pub(super) const VARY: HeaderValue = HeaderValue::from_static("Accept-Encoding");

/// What is told of a representation beside its content.
#[derive(Clone, Debug)]
pub(super) struct Form {
    pub(super) presentation: Presentation,
    /// None of a file as it is, unless its name says that it is encoded.
    pub(super) coding: Option<Coding>,
    /// There are others, and Accept-Encoding chooses.
    pub(super) varies: bool,
}

/// What can be asked of a file, ready.
#[derive(Debug)]
pub(super) struct Representation {
    pub(super) validators: Validators,
    pub(super) length: u64,
    content_type: HeaderValue,
    pub(super) coding: Option<Coding>,
    pub(super) areas: u64,
    content: Content,
    /// The state of the file that the content belongs to.
    pub(super) stamp: Stamp,
    /// Of the content, where that was asked for.
    pub(super) digest: Option<u128>,
    /// What variants are made of; none where there can't be any.
    pub(super) origin: Option<Box<Origin>>,
    heads: Heads,
}

#[derive(Debug)]
enum Content {
    Memory(Bytes),
    /// In a box, as there are more of the others, and all take the room.
    Disk(Arc<File>, FileVersion, Box<Parts>),
}

impl Representation {
    /// Makes a file ready. The stamp is of the state that was read; none when the file doesn't tell its state.
    pub(super) fn of(file: File, stat: &Stat, form: Form, options: &Options) -> io::Result<(Self, Option<Stamp>)> {
        let mut state = State::read(file, Stamp::of(stat), options)?;
        let digest = if tags_content(options, state.content.length()) { state.digest()? } else { None };
        let stamp = state.is_told.then_some(state.stamp);
        let validators = Validators::new(options.etag, digest, state.stamp, SystemTime::now());
        let validators = match form.coding {
            Some(coding) => validators.of_sibling(coding),
            None => validators,
        };
        Ok((Self::new(state.content, state.stamp, digest, validators, form), stamp))
    }

    /// What was compressed from another, with the digest that it has.
    pub(super) fn compressed(original: &Self, bytes: Bytes, digest: u128, form: Form, options: &Options) -> Self {
        let validators = original.validators.of_compressed(options.etag, digest);
        Self::new(Content::Memory(bytes), original.stamp, Some(digest), validators, form)
    }

    /// What was made of a directory in this state, with the digest that it has.
    pub(super) fn made(bytes: Bytes, stamp: Stamp, digest: u128, validators: Validators, form: Form) -> Self {
        Self::new(Content::Memory(bytes), stamp, Some(digest), validators, form)
    }

    fn new(content: Content, stamp: Stamp, digest: Option<u128>, mut validators: Validators, form: Form) -> Self {
        validators.date_is_shared |= form.varies;
        Self {
            heads: Heads::new(content.length(), &validators, &form),
            validators,
            length: content.length(),
            content_type: form.presentation.content_type,
            coding: form.coding,
            areas: form.presentation.areas,
            content,
            stamp,
            digest,
            origin: None,
        }
    }

    /// 200: all of it.
    pub(super) fn whole(&self) -> Response {
        Response::prepared(self.heads.ok(), self.content(0..self.length))
            .modified_now(self.validators.is_of_the_future)
            .of_areas(self.areas)
    }

    /// 304: what the client has is still right.
    pub(super) fn not_modified(&self) -> Response {
        Response::prepared(self.heads.not_modified(), Body::Empty).of_areas(self.areas)
    }

    /// 206: a part of it.
    pub(super) fn part(&self, range: Range<u64>) -> Response {
        let body = self.kept_part(&range).map_or_else(|| self.content(range.clone()), Body::Bytes);
        Response::prepared(self.heads.part(), body)
            .part_of(range.start..=range.end - 1, self.length)
            .modified_now(self.validators.is_of_the_future)
            .of_areas(self.areas)
    }

    /// 206: several parts of it.
    pub(super) fn parts(&self, parts: &[Range<u64>]) -> Response {
        let (content_type, body) = multipart::body(parts, self.length, &self.content_type, |range| self.content(range));
        Response::prepared(self.heads.parts(), body)
            .field(header::CONTENT_TYPE, content_type)
            .modified_now(self.validators.is_of_the_future)
            .of_areas(self.areas)
    }

    /// Its content under another status: a page of the site that tells of an error.
    pub(super) fn as_page(&self, status: StatusCode) -> Response {
        let page = Response::new(status)
            .field(header::CONTENT_TYPE, self.content_type.clone())
            .field(header::CACHE_CONTROL, NO_CACHE);
        let page = match self.coding {
            Some(coding) => page.field(header::CONTENT_ENCODING, HeaderValue::from_static(coding.name())),
            None => page,
        };
        page.body(self.content(0..self.length)).of_areas(self.areas)
    }

    fn content(&self, range: Range<u64>) -> Body {
        match &self.content {
            Content::Memory(bytes) => {
                let at = |position: u64| usize::try_from(position).map_or(bytes.len(), |at| at.min(bytes.len()));
                Body::Bytes(bytes.slice(at(range.start)..at(range.end)))
            }
            Content::Disk(file, version, _) => {
                Body::File(FileBody { file: Arc::clone(file), version: *version, range })
            }
        }
    }

    /// A part of a large file that is asked for again. (Not for several parts in one answer: those shall be of one state
    /// even where [`Options::cache_revalidate_ms`] lets some time pass between a change and the look.)
    fn kept_part(&self, range: &Range<u64>) -> Option<Bytes> {
        let Content::Disk(file, _, parts) = &self.content else { return None };
        parts.find(range, || self.read_part(file, range).ok().flatten())
    }

    /// A part of the file. None when it is no longer as it was when this was made ready.
    fn read_part(&self, file: &File, range: &Range<u64>) -> io::Result<Option<Bytes>> {
        let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut bytes, range.start)?;
        // Looked at afterwards, so that these bytes are of that state.
        let now = Stamp::of(&rustix::fs::fstat(file)?);
        Ok((now == self.stamp).then(|| bytes.into()))
    }

    /// The bytes that it has. None when they are no longer those that it was made ready with.
    pub(super) fn read(&self) -> io::Result<Option<Bytes>> {
        match &self.content {
            Content::Memory(bytes) => Ok(Some(bytes.clone())),
            Content::Disk(file, version, _) => self.read_part(file, &(0..version.bytes)),
        }
    }

    /// The memory it takes, in bytes; none when it is a descriptor.
    pub(super) fn memory_bytes(&self) -> Option<u64> {
        match &self.content {
            Content::Memory(bytes) => Some(bytes.len() as u64 + self.heads.content_length as u64 + OWN_BYTES),
            Content::Disk(..) => None,
        }
    }
}

/// The fields of every answer that a representation gives: those of 200, of which the others have a stretch.
#[derive(Debug)]
struct Heads {
    lines: FieldLines,
    /// Where that begins, of several parts and of 304; and where all but that of 200 end.
    parts: usize,
    not_modified: usize,
    content_length: usize,
}

impl Heads {
    fn new(length: u64, validators: &Validators, form: &Form) -> Self {
        let mut lines = FieldLinesBuilder::new();
        let Presentation { content_type, cache_control, fields, takes_ranges, .. } = &form.presentation;
        lines.put(&header::CONTENT_TYPE, content_type);
        lines.put(&header::ACCEPT_RANGES, &HeaderValue::from_static(if *takes_ranges { "bytes" } else { "none" }));
        let parts = lines.position();
        if let Some(coding) = form.coding {
            lines.put(&header::CONTENT_ENCODING, &HeaderValue::from_static(coding.name()));
        }
        let (of_content, others): (Vec<_>, Vec<_>) = fields.iter().partition(|(name, _)| is_of_content(name));
        of_content.into_iter().for_each(|(name, value)| lines.put(name, value));
        let mut not_modified = lines.position();
        let seconds = validators.last_modified.and_then(|seconds| u64::try_from(seconds).ok());
        if let Some(date) = seconds.and_then(|seconds| format_date(UNIX_EPOCH + Duration::from_secs(seconds))) {
            lines.put(&header::LAST_MODIFIED, &ascii_value(date));
        }
        let etag = validators.etag.as_ref().and_then(|etag| HeaderValue::from_bytes(etag).ok());
        if etag.is_some() {
            // Then 304 has no date (RFC 9110 section 15.4.5).
            not_modified = lines.position();
        }
        lines.put(&header::CACHE_CONTROL, cache_control);
        others.into_iter().for_each(|(name, value)| lines.put(name, value));
        if let Some(etag) = &etag {
            lines.put(&header::ETAG, etag);
        }
        if form.varies {
            lines.put(&header::VARY, &VARY);
        }
        let content_length = lines.position();
        lines.put_content_length(length);
        Self { lines: lines.build(), parts, not_modified, content_length }
    }

    fn ok(&self) -> PreparedHead {
        PreparedHead::new(StatusCode::OK, self.lines.clone())
    }

    /// Of a part; which one comes besides.
    fn part(&self) -> PreparedHead {
        self.without_length(StatusCode::PARTIAL_CONTENT, 0)
    }

    /// Of several parts; the type that they are wrapped in comes besides. The coding is of what they are cut from, as is
    /// the tag (RFC 9110 section 15.3.7).
    fn parts(&self) -> PreparedHead {
        self.without_length(StatusCode::PARTIAL_CONTENT, self.parts)
    }

    /// What guides a cache (RFC 9110 section 15.4.5).
    fn not_modified(&self) -> PreparedHead {
        self.without_length(StatusCode::NOT_MODIFIED, self.not_modified)
    }

    fn without_length(&self, status: StatusCode, start: usize) -> PreparedHead {
        PreparedHead::new(status, self.lines.between(start, self.content_length))
    }
}

/// What describes the content, which the client of a 304 has already (RFC 9110 section 15.4.5).
fn is_of_content(name: &HeaderName) -> bool {
    [header::CONTENT_LANGUAGE, header::CONTENT_DISPOSITION].contains(name)
}

/// Whether the tag of a file of this length is made from its content.
pub(super) fn tags_content(options: &Options, bytes: u64) -> bool {
    match options.etag {
        EtagSource::Auto => bytes <= options.etag_content_bytes_max,
        EtagSource::Content => true,
        EtagSource::Mtime | EtagSource::Off => false,
    }
}

impl Content {
    fn length(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Disk(_, version, _) => version.bytes,
        }
    }
}

/// A file's content, and the state of the file that it belongs to.
struct State {
    content: Content,
    stamp: Stamp,
    /// The file tells its state: the stamp changes with the content.
    is_told: bool,
}

impl State {
    /// Takes a small file into memory. One that changes meanwhile is read again; one that has outgrown memory is served
    /// from disk. What has another length than it tells (in /proc and /sys, say) is sent as it was read.
    fn read(file: File, mut stamp: Stamp, options: &Options) -> io::Result<Self> {
        for _ in 0..TORN_READS_MAX {
            let memory_bytes_max = match stamp.version.bytes {
                0 => options.cache_file_bytes_max.max(UNTOLD_BYTES_MAX),
                _ => options.cache_file_bytes_max,
            };
            if stamp.version.bytes > memory_bytes_max {
                break;
            }
            let bytes = read_whole(&file, stamp.version.bytes, memory_bytes_max)?;
            let now = Stamp::of(&rustix::fs::fstat(&file)?);
            let read = bytes.len() as u64;
            if now == stamp && read <= memory_bytes_max {
                let is_told = read == stamp.version.bytes;
                return Ok(Self { content: Content::Memory(bytes.into()), stamp, is_told });
            }
            if now == stamp && stamp.version.bytes == 0 {
                let reason = format!("it tells no length and has more than {memory_bytes_max} bytes");
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
            }
            stamp = now;
        }
        let content = Content::Disk(Arc::new(file), stamp.version, Box::new(Parts::new(options)));
        Ok(Self { content, stamp, is_told: true })
    }

    /// The digest of the content; none of a file that changes each time while it is read.
    fn digest(&mut self) -> io::Result<Option<u128>> {
        let (file, version) = match &mut self.content {
            Content::Memory(bytes) => return Ok(Some(xxh3_128(bytes))),
            Content::Disk(file, version, _) => (file, version),
        };
        for _ in 0..TORN_READS_MAX {
            let (digest, bytes) = digest_from_disk(file)?;
            let now = Stamp::of(&rustix::fs::fstat(&**file)?);
            if now == self.stamp && bytes == version.bytes {
                return Ok(Some(digest));
            }
            (self.stamp, *version) = (now, now.version);
        }
        Ok(None)
    }
}

/// All bytes of a file that tells that it has so many, or one more than may be taken into memory.
fn read_whole(mut file: &File, told: u64, memory_bytes_max: u64) -> io::Result<Vec<u8>> {
    let told = usize::try_from(told).unwrap_or(usize::MAX - 1);
    let mut bytes = vec![0; told + 1];
    // Where there was room for more, what came is all; a file of the kernel may tell that it has nothing.
    if told > 0 && matches!(file.read_at(&mut bytes, 0), Ok(read) if read == told) {
        bytes.truncate(told);
        return Ok(bytes);
    }
    bytes.clear();
    io::Seek::rewind(&mut file)?;
    file.take(memory_bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The digest of all bytes of a file, and how many there are.
fn digest_from_disk(file: &File) -> io::Result<(u128, u64)> {
    let mut hasher = Xxh3::new();
    let mut buffer = vec![0; DIGEST_BUFFER_BYTES];
    let mut bytes = 0;
    loop {
        match file.read_at(&mut buffer, bytes) {
            Ok(0) => return Ok((hasher.digest128(), bytes)),
            Ok(read) => {
                hasher.update(&buffer[..read]);
                bytes += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A value made of digits and letters, which always is one.
fn ascii_value(value: String) -> HeaderValue {
    HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form() -> Form {
        let presentation = Presentation {
            content_type: NO_CACHE,
            cache_control: NO_CACHE,
            fields: Vec::new(),
            areas: 0,
            takes_ranges: true,
        };
        Form { presentation, coding: None, varies: false }
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
        let options = Options::new(folder.path());
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(huge).unwrap();
        let (representation, _) = Representation::of(file, &stat, form(), &options).unwrap();
        assert_eq!((representation.memory_bytes(), representation.length), (None, huge));
    }

    /// Whatever is kept is of the state that the tag names.
    #[test]
    fn a_part_of_another_state_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        std::fs::write(&path, vec![b'x'; 200_000]).unwrap();
        let file = File::open(&path).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(1_000_000)).unwrap();
        let stat = rustix::fs::fstat(&file).unwrap();
        let (representation, _) = Representation::of(file, &stat, form(), &Options::new(folder.path())).unwrap();
        let ask = |range: Range<u64>| (representation.kept_part(&range), representation.kept_part(&range)).1;
        assert_eq!(ask(0..10).as_deref(), Some(&b"xxxxxxxxxx"[..]));
        std::fs::write(&path, vec![b'y'; 200_000]).unwrap();
        assert_eq!(ask(10..20), None);
        assert_eq!(representation.kept_part(&(0..10)).as_deref(), Some(&b"xxxxxxxxxx"[..]), "it was read before");
    }

    /// RFC 9110 section 8.8.3: the tag of a content is the same, wherever it is kept.
    #[test]
    fn a_content_has_one_tag_in_memory_and_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        for bytes in [0, 1, DIGEST_BUFFER_BYTES - 1, DIGEST_BUFFER_BYTES, 3 * DIGEST_BUFFER_BYTES + 5] {
            let path = folder.path().join(bytes.to_string());
            std::fs::write(&path, vec![b'x'; bytes]).unwrap();
            let etag = |memory_bytes_max| {
                let mut options = Options::new(folder.path());
                (options.etag, options.cache_file_bytes_max) = (EtagSource::Content, memory_bytes_max);
                let file = File::open(&path).unwrap();
                let stat = rustix::fs::fstat(&file).unwrap();
                Representation::of(file, &stat, form(), &options).unwrap().0.validators.etag.unwrap()
            };
            assert_eq!(etag(0), etag(1 << 20), "{bytes}");
        }
    }
}
