//! From a URL to a response, from a directory: [`Files`] is an `http::Handler`.
//!
//! The steps of a GET, in order, one file each: `target` (a safe path, by its form), `root` (opening beneath the root),
//! index or redirect (here), `representation` (head, content, and its `validators`), `variants` (which of them the
//! request accepts best, by `encoding`: one of the `siblings` of the file, or one `made` by `compress` when `turns`
//! lets it), `conditional` (preconditions), `range` (and `multipart`), and the [`Response`]. `cache` keeps
//! representations, so that the first steps are often one look whether the file has changed, by its `stamp`.
//! This layer knows nothing of sockets or threads.

mod cache;
mod compress;
mod conditional;
mod encoding;
mod made;
mod mime;
mod multipart;
mod options;
mod range;
mod representation;
mod root;
mod siblings;
#[cfg(feature = "stages")]
#[doc(hidden)]
pub mod stages;
mod stamp;
mod target;
mod turns;
mod validators;
mod variants;

use std::fmt;
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use ::http::{HeaderValue, Method, StatusCode, header};
use log::Level;
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use rustix::fs::Stat;

use self::cache::{Cache, Entry};
use self::conditional::Outcome;
use self::range::Selection;
use self::representation::{Form, Representation, tags_content};
use self::root::{Found, Miss, Root};
use self::stamp::{Evidence, Witness};
use self::target::{SafePath, Unsafe};
use self::variants::Variants;
use crate::http::{FileVersion, Handler, PreparedResponse, Request, Response, Target, Throttle, slow};

use self::options::ABSENT_BYTES_MAX;
pub use self::options::{Coding, EtagSource, Options, Symlinks};

/// The methods there are, for files.
const ALLOW: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

/// The page of a site that tells that there is no such page.
const NOT_FOUND_PAGE: &[u8] = b"/404.html";

/// To read more than this takes long enough to call it so.
const SLOW_BYTES: u64 = 1 << 20;

/// Serves the files of a directory.
pub struct Files {
    root: Root,
    options: Options,
    cache: Cache<Representation>,
    /// Names that are not there, as often asked for as those that are.
    absent: Cache<()>,
    variants: Variants,
    /// What they are told.
    not_found: PreparedResponse,
    /// Lines of the log that peers cause: what is not served, and what can't be.
    not_served: Throttle,
    failed: Throttle,
    /// Held while a large file is read for its tag: who waits for that mostly waits for the same file.
    tagging: Mutex<()>,
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").field("options", &self.options).finish_non_exhaustive()
    }
}

/// What a target turns out to be.
enum Resource {
    File(Arc<Entry<Representation>>),
    /// A directory that was asked for without its slash; its canonical target.
    Moved(String),
}

/// Why a target has no resource.
enum Nothing {
    /// No URI of this server.
    Malformed,
    /// Not there.
    Absent,
    /// There, but not for serving; the reason is in the log. The client is told the same.
    Refused,
    /// The system failed; the reason is in the log.
    Failed(StatusCode),
}

impl Files {
    /// Serves as these options say. The root may come and go while it is served.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let (idle, revalidate) = (options.cache_idle_timeout, Duration::from_millis(options.cache_revalidate_ms));
        let variants = Variants::new(&options);
        Self {
            root: Root::new(options.root.clone(), options.withheld.clone(), options.symlinks),
            cache: Cache::new(options.cache_bytes_max - variants.cache_bytes_max(), idle, revalidate),
            variants,
            absent: Cache::new(ABSENT_BYTES_MAX, idle, revalidate),
            not_found: PreparedResponse::error_page(StatusCode::NOT_FOUND),
            options,
            not_served: Throttle::default(),
            failed: Throttle::default(),
            tagging: Mutex::new(()),
        }
    }

    fn get(&self, request: &Request<'_>, path: &[u8], query: Option<&[u8]>) -> Response {
        match self.find(path, request.begun) {
            Ok(Resource::File(entry)) => self.select_variant(&entry.value, request),
            Ok(Resource::Moved(target)) => redirect(target, query),
            Err(nothing) => self.explain(nothing, request.begun),
        }
    }

    /// Answers a method that files don't have: 405 where there is something, else what a GET would be told.
    fn refuse_method(&self, path: &[u8], begun: Option<Instant>) -> Response {
        match self.find(path, begun) {
            Ok(_) => Response::error_page(StatusCode::METHOD_NOT_ALLOWED).field(header::ALLOW, ALLOW),
            Err(nothing) => self.explain(nothing, begun),
        }
    }

    fn explain(&self, nothing: Nothing, begun: Option<Instant>) -> Response {
        match nothing {
            Nothing::Malformed => Response::error_page(StatusCode::BAD_REQUEST),
            Nothing::Failed(status) => Response::error_page(status),
            Nothing::Absent | Nothing::Refused => match self.find(NOT_FOUND_PAGE, begun) {
                Ok(Resource::File(page)) => page.value.as_page(StatusCode::NOT_FOUND),
                _ => self.not_found.response(),
            },
        }
    }

    /// Finds what a path means: from the cache by the path as it came, then by its canonical spelling, then from disk.
    fn find(&self, path: &[u8], begun: Option<Instant>) -> Result<Resource, Nothing> {
        if let Some(kept) = self.recall(path, begun) {
            return kept;
        }
        let safe = SafePath::parse(path).map_err(|reason| self.refuse_target(path, reason))?;
        let canonical = safe.canonical();
        if canonical.as_bytes() != path
            && let Some(kept) = self.recall(canonical.as_bytes(), begun)
        {
            return kept;
        }
        if safe.is_directory { self.find_index(&safe, &canonical) } else { self.find_file(&safe, &canonical) }
    }

    /// What was found before, if that still holds.
    fn recall(&self, target: &[u8], begun: Option<Instant>) -> Option<Result<Resource, Nothing>> {
        match self.cache.find(target, begun) {
            Some(entry) => Some(Ok(Resource::File(entry))),
            None => self.absent.find(target, begun).map(|_| Err(Nothing::Absent)),
        }
    }

    /// Keeps that there is nothing, as long as these names mean nothing.
    fn forgo(&self, canonical: &str, evidence: Evidence) -> Nothing {
        if evidence.is_complete {
            self.absent.insert(canonical.as_bytes(), Arc::new(Entry::new((), canonical.len() as u64, evidence)));
        }
        Nothing::Absent
    }

    fn find_file(&self, path: &SafePath, canonical: &str) -> Result<Resource, Nothing> {
        let mut evidence = Evidence::begin();
        match self.open(path) {
            Ok(Found::Directory) => Ok(Resource::Moved(path.as_directory().canonical())),
            Ok(Found::File(file, stat)) => self.keep(canonical, path, file, &stat, evidence).map(Resource::File),
            Err(Nothing::Absent) => {
                evidence.witnesses.extend(Witness::new(self.root.locate(path), None));
                Err(self.forgo(canonical, evidence))
            }
            Err(nothing) => Err(nothing),
        }
    }

    /// The first index that a directory has. That those before it are missing is part of what has to hold.
    fn find_index(&self, directory: &SafePath, canonical: &str) -> Result<Resource, Nothing> {
        let mut evidence = Evidence::begin();
        for name in &self.options.index {
            let path = directory.join(name);
            match self.open(&path) {
                Ok(Found::File(file, stat)) => {
                    return self.keep(canonical, &path, file, &stat, evidence).map(Resource::File);
                }
                Ok(Found::Directory) | Err(Nothing::Absent) => {
                    evidence.witnesses.extend(Witness::new(self.root.locate(&path), None));
                }
                Err(Nothing::Refused) => evidence.is_complete = false,
                Err(nothing) => return Err(nothing),
            }
        }
        Err(self.forgo(canonical, evidence))
    }

    fn open(&self, path: &SafePath) -> Result<Found, Nothing> {
        let opened = self.root.open(path).or_else(|miss| match miss {
            // What is kept ready can be opened again; what is asked for now comes first.
            Miss::Failed(error) if descriptors_ran_out(&error) => {
                self.cache.clear();
                self.variants.clear();
                self.root.open(path)
            }
            miss => Err(miss),
        });
        opened.map_err(|miss| match miss {
            Miss::Absent => Nothing::Absent,
            Miss::Refused(reason) => {
                self.not_served.say(Level::Info, format_args!("{}: not served: {reason}", path.canonical()));
                Nothing::Refused
            }
            Miss::Failed(error) => self.fail(path, &error),
        })
    }

    /// As many descriptors as are allowed weigh as much as all bytes.
    fn descriptor_weight(&self) -> u64 {
        self.options.cache_bytes_max.div_ceil(self.options.cache_descriptors_max.max(1) as u64)
    }

    /// Makes a file ready. Where that means to read a large one, other requests go on meanwhile.
    fn keep(
        &self,
        canonical: &str,
        path: &SafePath,
        file: File,
        stat: &Stat,
        evidence: Evidence,
    ) -> Result<Arc<Entry<Representation>>, Nothing> {
        let bytes = FileVersion::of_stat(stat).bytes;
        if bytes <= SLOW_BYTES || !tags_content(&self.options, bytes) {
            return self.keep_now(canonical, path, file, stat, evidence);
        }
        slow(|| {
            let _turn = self.tagging.lock().unwrap_or_else(PoisonError::into_inner);
            match self.cache.find(canonical.as_bytes(), None) {
                Some(entry) => Ok(entry),
                None => self.keep_now(canonical, path, file, stat, evidence),
            }
        })
    }

    /// Makes a file ready, and keeps it for the next request, unless its next change might not show.
    fn keep_now(
        &self,
        canonical: &str,
        path: &SafePath,
        file: File,
        stat: &Stat,
        mut evidence: Evidence,
    ) -> Result<Arc<Entry<Representation>>, Nothing> {
        let content_type = mime::content_type(path.as_path());
        let origin = self.origin(path, &content_type, FileVersion::of_stat(stat).bytes);
        let varies = origin.as_ref().is_some_and(|origin| self.varies(origin));
        let form = Form { content_type, coding: None, varies };
        let made = Representation::of(file, stat, form, &self.options);
        let (mut representation, stamp) = made.map_err(|error| self.fail(path, &error))?;
        representation.origin = origin.filter(|_| stamp.is_some());
        evidence.witnesses.extend(Witness::new(self.root.locate(path), stamp));
        let bytes = representation.memory_bytes().unwrap_or(self.descriptor_weight());
        let is_complete = evidence.is_complete;
        let entry = Arc::new(Entry::new(representation, bytes, evidence));
        if is_complete && stamp.is_some_and(|stamp| stamp.is_settled(SystemTime::now())) {
            self.cache.insert(canonical.as_bytes(), Arc::clone(&entry));
        }
        Ok(entry)
    }

    fn refuse_target(&self, path: &[u8], reason: Unsafe) -> Nothing {
        let why = match reason {
            Unsafe::Malformed => return Nothing::Malformed,
            Unsafe::Above => "it leads above the root",
            Unsafe::Separator => "it has a separator within a segment",
            Unsafe::Hidden => "its name begins with a dot",
        };
        self.not_served.say(Level::Info, format_args!("{}: not served: {why}", path.escape_ascii()));
        Nothing::Refused
    }

    fn fail(&self, path: &SafePath, error: &std::io::Error) -> Nothing {
        self.failed.say(Level::Error, format_args!("{}: {error}", path.canonical()));
        let is_passing = descriptors_ran_out(error);
        Nothing::Failed(if is_passing { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::INTERNAL_SERVER_ERROR })
    }
}

impl Handler for Files {
    fn handle(&self, request: &Request<'_>) -> Response {
        match (&request.method, request.target) {
            (&Method::GET | &Method::HEAD, Target::Path { path, query }) => self.get(request, path, query),
            (&Method::OPTIONS, _) => Response::new(StatusCode::NO_CONTENT).field(header::ALLOW, ALLOW),
            (&Method::CONNECT | &Method::TRACE, _) => {
                Response::error_page(StatusCode::METHOD_NOT_ALLOWED).field(header::ALLOW, ALLOW)
            }
            (&Method::POST | &Method::PUT | &Method::DELETE | &Method::PATCH, Target::Path { path, .. }) => {
                self.refuse_method(path, request.begun)
            }
            _ => Response::error_page(StatusCode::NOT_IMPLEMENTED),
        }
    }

    fn service_actions(&self) {
        self.cache.sweep();
        self.absent.sweep();
        self.variants.sweep();
        self.not_served.catch_up();
        self.failed.catch_up();
    }
}

/// From a representation to the answer that the request's conditions and range select.
fn select(representation: &Representation, request: &Request<'_>, ranges_max: usize) -> Response {
    let (fields, validators) = (request.fields, &representation.validators);
    match conditional::evaluate(fields, validators, SystemTime::now) {
        Outcome::NotModified => return representation.not_modified(),
        Outcome::Failed => return Response::error_page(StatusCode::PRECONDITION_FAILED),
        Outcome::Proceed => {}
    }
    // Range is defined for GET alone (RFC 9110 section 14.2).
    let range = fields.only("range").filter(|_| request.method == Method::GET);
    let Some(range) = range.filter(|_| conditional::range_stands(fields, validators, SystemTime::now)) else {
        return representation.whole();
    };
    match range::select(range, representation.length, ranges_max) {
        Selection::Whole => representation.whole(),
        Selection::Part(part) => representation.part(part),
        Selection::Parts(parts) => representation.parts(&parts),
        Selection::Unsatisfiable => unsatisfiable(representation.length),
    }
}

fn unsatisfiable(length: u64) -> Response {
    let content_range = HeaderValue::try_from(format!("bytes */{length}"));
    let page = Response::error_page(StatusCode::RANGE_NOT_SATISFIABLE);
    content_range.into_iter().fold(page, |page, value| page.field(header::CONTENT_RANGE, value))
}

/// What a peer may send in a query all the same, and a URI has not (RFC 3986 section 3.4).
const NOT_IN_QUERY: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A query as a URI may have it; what the peer encoded stays as it is.
fn encode_query(query: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(query.len());
    for (at, piece) in query.split(|&byte| byte == b'%').enumerate() {
        if at > 0 {
            let is_encoded = piece.iter().take(2).filter(|byte| byte.is_ascii_hexdigit()).count() == 2;
            encoded.extend_from_slice(if is_encoded { b"%" } else { b"%25" });
        }
        encoded.extend(percent_encode(piece, NOT_IN_QUERY).flat_map(str::bytes));
    }
    encoded
}

/// 301 to a path of this server, with the query that was asked.
fn redirect(target: String, query: Option<&[u8]>) -> Response {
    let mut location = target.into_bytes();
    if let Some(query) = query {
        location.push(b'?');
        location.extend(encode_query(query));
    }
    match HeaderValue::try_from(location) {
        Ok(location) => Response::error_page(StatusCode::MOVED_PERMANENTLY)
            .field(header::LOCATION, location)
            .field(header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        Err(_) => Response::error_page(StatusCode::BAD_REQUEST),
    }
}

fn descriptors_ran_out(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}
