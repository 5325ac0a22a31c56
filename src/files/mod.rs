//! From a URL to a response, from a directory: [`Files`] is an `http::Handler`.
//!
//! The steps of a GET, in order, one file each: `target` (a safe path, by its form), `lookup` (which file that means:
//! an index, a page with a clean URL, a redirect), `root` (opening beneath the root, in one of the `ways`),
//! `representation` (head with the fields that `rules` want of a file in this `role`, content, and its `validators`), `variants` (which of them
//! the request accepts best, by `encoding`: one of the `siblings` of the file, or one `made` by `compress` when `turns`
//! lets it), `conditional` (preconditions), `range` (and `multipart`; small `parts` of large files are kept), and the
//! [`Response`]. `cache` keeps representations, so that the first steps are often one look whether the file has
//! changed, by its `stamp`. Where there is nothing, `errors` finds the page that says so; a directory that has no index
//! may be told of by a `listing`.
//!
//! This layer knows nothing of sockets or threads.

mod areas;
#[cfg(feature = "compress")]
mod brotli;
mod cache;
mod compress;
mod conditional;
mod encoding;
mod errors;
mod headers_file;
mod listing;
mod lookup;
mod made;
mod mime;
mod multipart;
mod navigation;
mod options;
mod parts;
mod pattern;
mod range;
mod representation;
mod role;
mod root;
mod rules;
mod siblings;
mod site_file;
#[cfg(feature = "stages")]
#[doc(hidden)]
pub mod stages;
mod stamp;
mod target;
mod turns;
mod validators;
mod variants;
mod ways;

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use ::http::{HeaderValue, Method, StatusCode, header};
use log::{Level, trace};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode, percent_encode};
use rustix::fs::Stat;

use self::cache::{Cache, Entry};
use self::conditional::Outcome;
use self::errors::Nothing;
use self::listing::Listings;
use self::lookup::Resource;
use self::range::Selection;
use self::representation::{Form, Presentation, Representation, tags_content};
use self::role::Role;
use self::root::{Found, Miss, Root};
use self::rules::{dress_by, is_hashed};
use self::stamp::{Evidence, Witness};
use self::target::SafePath;
use self::variants::Variants;
use crate::http::{FileVersion, Handler, PreparedResponse, ROUTE, Request, Response, Target, Throttle, slow};

pub use self::areas::{Areas, Audience};
pub use self::headers_file::{HEADERS_FILE, parse_headers_file};
pub(crate) use self::navigation::{is_navigation, may_be_navigated_to};
use self::options::ABSENT_BYTES_MAX;
pub use self::options::{Coding, EtagSource, Listing, Options, Symlinks, TrailingSlash};
pub use self::pattern::Pattern;
pub(crate) use self::role::Rewrite;
pub(crate) use self::rules::Place;
pub use self::rules::{ErrorPage, FieldRule, TypeRule};
pub(crate) use self::site_file::read_site_file;
pub(crate) use self::target::canonical_path;
#[cfg(feature = "auth")]
pub(crate) use self::turns::Turns;

/// The methods there are, for files.
const ALLOW: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

/// Of what is served: look again before it is used again.
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");

/// Of what is HTML for browsers, and for others something else or nothing.
pub(crate) const BY_ACCEPT: HeaderValue = HeaderValue::from_static("Accept");

/// Of what changes its name when it changes: no need to look again for a year.
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// Of what is for nobody but who asked for it: a cache that others share must not keep it (RFC 9111 section 3.5).
const PRIVATE: HeaderValue = HeaderValue::from_static("private, no-cache");
const PRIVATE_IMMUTABLE: HeaderValue = HeaderValue::from_static("private, max-age=31536000, immutable");

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
    listings: Listings,
    /// What they are told, where no rule says more.
    not_found: PreparedResponse,
    /// What answers say besides.
    field_rules: Vec<FieldRule>,
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

impl Files {
    /// Serves as these options say. The root may come and go while it is served.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let (idle, revalidate) = (options.cache_idle_timeout, Duration::from_millis(options.cache_revalidate_ms));
        let (variants, listings) = (Variants::new(&options), Listings::new(&options));
        let files_bytes_max = options.cache_bytes_max - variants.cache_bytes_max() - listings.cache_bytes_max();
        let root = Root::new(options.root.clone(), options.withheld.clone(), options.symlinks);
        Self {
            root: root.following(options.single.as_deref()),
            cache: Cache::new(files_bytes_max, idle, revalidate),
            variants,
            listings,
            absent: Cache::new(ABSENT_BYTES_MAX, idle, revalidate),
            not_found: PreparedResponse::error_page(StatusCode::NOT_FOUND),
            field_rules: options.field_rules(),
            options,
            not_served: Throttle::default(),
            failed: Throttle::default(),
            tagging: Mutex::new(()),
        }
    }

    /// The directory that is served.
    pub(crate) fn root(&self) -> &Path {
        &self.options.root
    }

    fn get(&self, request: &Request<'_>, path: &[u8], query: Option<&[u8]>) -> Response {
        self.find_answer(request, path, query).unwrap_or_else(|nothing| match self.fallback(request, path, &nothing) {
            Some(page) => self.select_variant(&page.value, request, path),
            None if self.may_fall_back(path, &nothing) => self.explain(nothing, path, request.begun).varying(BY_ACCEPT),
            None => self.explain(nothing, path, request.begun),
        })
    }

    /// With what is there.
    fn find_answer(&self, request: &Request<'_>, path: &[u8], query: Option<&[u8]>) -> Result<Response, Nothing> {
        Ok(match self.find(path, request.begun)? {
            Resource::File(entry) => self.select_variant(&entry.value, request, path),
            Resource::Directory(listable) => self.list(request, path, &listable, query),
            Resource::Moved(target) => {
                trace!(target: ROUTE, "slash: it belongs at {}{target}", self.options.prefix);
                self.dressed(redirect(format!("{}{target}", self.options.prefix), query), path)
            }
        })
    }

    /// As [`handle`](Handler::handle), but without the page of an application: something else is for what isn't there.
    pub(crate) fn handle_existing(&self, request: &Request<'_>) -> Response {
        match (&request.method, request.target) {
            (&Method::GET | &Method::HEAD, Target::Path { path, query }) => self
                .find_answer(request, path, query)
                .unwrap_or_else(|nothing| self.explain(nothing, path, request.begun)),
            _ => self.handle(request),
        }
    }

    /// Answers with this page in the place of what isn't there; 404 where the page isn't either.
    pub(crate) fn stand_in(&self, request: &Request<'_>) -> Response {
        self.answer_as(&Role::StandIn, request)
    }

    /// Answers with this path in the place of another.
    pub(crate) fn in_place(&self, request: &Request<'_>, rewrite: Rewrite<'_>) -> Response {
        let options = &self.options;
        let is_all_the_same = self.field_rules.is_empty() && !options.immutable_hashed && options.areas.is_empty();
        if is_all_the_same {
            return self.answer_as(&Role::Itself, request);
        }
        let index = options.index.first().map_or("", String::as_str);
        self.answer_as(&Role::of(rewrite, &self.field_rules, &options.areas, index), request)
    }

    fn answer_as(&self, role: &Role, request: &Request<'_>) -> Response {
        match (&request.method, request.target) {
            (&Method::GET | &Method::HEAD, Target::Path { path, .. }) => {
                match self.find_as(role, path, request.begun) {
                    Ok(entry) => self.select_variant(&entry.value, request, path),
                    Err(nothing) => self.explain(nothing, path, request.begun),
                }
            }
            _ => self.handle(request),
        }
    }

    /// Answers a method that files don't have: 405 where there is something, else what a GET would be told.
    fn refuse_method(&self, path: &[u8], begun: Option<Instant>) -> Response {
        match self.find(path, begun) {
            Ok(_) => self.error(StatusCode::METHOD_NOT_ALLOWED, path, begun).field(header::ALLOW, ALLOW),
            Err(nothing) => self.explain(nothing, path, begun),
        }
    }

    /// From a representation to the answer that the request's conditions and range select.
    fn select(&self, representation: &Representation, request: &Request<'_>, path: &[u8]) -> Response {
        let (fields, validators) = (request.fields, &representation.validators);
        match conditional::evaluate(fields, validators, SystemTime::now) {
            Outcome::NotModified => return representation.not_modified(),
            Outcome::Failed => {
                return self.error_of(representation, StatusCode::PRECONDITION_FAILED, path, request.begun);
            }
            Outcome::Proceed => {}
        }
        // Range is defined for GET alone (RFC 9110 section 14.2).
        let range = fields.only("range").filter(|_| request.method == Method::GET);
        let Some(range) = range.filter(|_| conditional::range_stands(fields, validators, SystemTime::now)) else {
            return representation.whole();
        };
        match range::select(range, representation.length, self.options.ranges_max) {
            Selection::Whole => representation.whole(),
            Selection::Part(part) => representation.part(part),
            Selection::Parts(parts) => representation.parts(&parts),
            Selection::Unsatisfiable => {
                let page = self.error_of(representation, StatusCode::RANGE_NOT_SATISFIABLE, path, request.begun);
                page.field(header::CONTENT_RANGE, unsatisfied(representation.length))
            }
        }
    }

    /// An error that tells of a file, and is for whom that is; the site's page for it only where it is for all of them.
    fn error_of(&self, told: &Representation, status: StatusCode, path: &[u8], begun: Option<Instant>) -> Response {
        let page = self.error(status, path, begun);
        let is_for_them = self.options.areas.are_as_open(page.areas(), told.areas);
        let page = if is_for_them { page } else { page.with_error_page() };
        page.of_areas(told.areas)
    }

    /// Why a name is not served, whatever it leads to.
    fn why_hidden(&self, path: &SafePath) -> Option<&'static str> {
        match path {
            path if site_file::is_site_file(path) => Some("it says how the site is served"),
            path if self.is_hidden(path) => Some("it is hidden"),
            _ => None,
        }
    }

    fn open(&self, path: &SafePath) -> Result<Found, Nothing> {
        if self.options.single.as_ref().is_some_and(|name| name.as_bytes() != path.as_bytes()) {
            return Err(Nothing::Absent);
        }
        if let Some(why) = self.why_hidden(path) {
            self.not_served
                .say(Level::Info, format_args!("{}{}: not served: {why}", self.options.prefix, path.canonical()));
            return Err(Nothing::Refused);
        }
        let opened = self.root.open(path).or_else(|miss| match miss {
            // What is kept open can be opened again; what is asked for now comes first.
            Miss::Failed(error) if descriptors_ran_out(&error) => {
                self.cache.keep_only(|file| file.memory_bytes().is_some());
                self.variants.close_files();
                self.root.open(path)
            }
            miss => Err(miss),
        });
        let shown = path.as_bytes().escape_ascii();
        match &opened {
            Ok(Found::File(..)) => trace!(target: ROUTE, "look: {shown} is a file"),
            Ok(Found::Directory(_)) => trace!(target: ROUTE, "look: {shown} is a directory"),
            Err(Miss::Absent) => trace!(target: ROUTE, "look: {shown} isn't there"),
            Err(Miss::Refused(_) | Miss::Failed(_)) => {}
        }
        opened.map_err(|miss| self.tell_missing(path, miss))
    }

    /// Whether the site hides it, or a directory above it, or the file of which it is a variant by its name.
    fn is_hidden(&self, path: &SafePath) -> bool {
        let path_in_site = self.in_site(path.as_bytes());
        let mut patterns = self.options.hide.iter();
        let hiding = patterns.find(|pattern| areas::originals(&path_in_site).any(|name| pattern.covers(name)));
        if let Some(pattern) = hiding {
            trace!(target: ROUTE, "hide: {} by '{pattern}'{}", path.as_bytes().escape_ascii(), pattern.place);
        }
        hiding.is_some()
    }

    /// Whether the site hides this path, as it was asked for.
    pub(crate) fn hides(&self, path: &[u8]) -> bool {
        !self.options.hide.is_empty() && SafePath::parse(path).is_ok_and(|path| self.is_hidden(&path))
    }

    /// Makes a file ready, as what it answers a canonical target. Where that means to read a large one, other requests go on
    /// meanwhile.
    fn keep(
        &self,
        (role, canonical): (&Role, &str),
        path: &SafePath,
        file: File,
        stat: &Stat,
        evidence: Evidence,
    ) -> Result<Arc<Entry<Representation>>, Nothing> {
        let bytes = FileVersion::of_stat(stat).bytes;
        if bytes <= SLOW_BYTES || !tags_content(&self.options, bytes) {
            return self.keep_now((role, canonical), path, file, stat, evidence);
        }
        slow(|| {
            let _turn = self.tagging.lock().unwrap_or_else(PoisonError::into_inner);
            match self.cache.find(role.key(canonical).as_bytes(), None) {
                Some(entry) => Ok(entry),
                None => self.keep_now((role, canonical), path, file, stat, evidence),
            }
        })
    }

    /// Makes a file ready, and keeps it for the next request, unless its next change might not show.
    fn keep_now(
        &self,
        (role, canonical): (&Role, &str),
        path: &SafePath,
        file: File,
        stat: &Stat,
        mut evidence: Evidence,
    ) -> Result<Arc<Entry<Representation>>, Nothing> {
        trace!(target: ROUTE, "file: {}", self.root.show(path));
        let presentation = self.presentation(role, canonical, path);
        let coding = siblings::own_coding(&presentation, path, &file);
        // What is encoded by itself is had in that coding alone.
        let origin = match coding {
            None => self.origin(path, &presentation, FileVersion::of_stat(stat).bytes),
            Some(_) => None,
        };
        let varies = origin.as_ref().is_some_and(|origin| self.varies(origin));
        let form = Form { presentation, coding, varies };
        // Earlier than the look that decides on a tag: one that has none yet must not be kept.
        let begun = SystemTime::now();
        let made = Representation::of(file, stat, form, &self.options);
        let (mut representation, stamp) = made.map_err(|error| self.fail(path, &error))?;
        representation.origin = origin.filter(|_| stamp.is_some());
        evidence.witnesses.extend(Witness::new(self.root.locate(path), stamp));
        let bytes = representation.memory_bytes().unwrap_or(self.options.descriptor_weight());
        let is_complete = evidence.is_complete;
        let entry = Arc::new(Entry::new(representation, bytes, evidence));
        let is_kept = is_complete && !self.options.keeps_nothing;
        if is_kept && stamp.is_some_and(|stamp| stamp.is_settled(begun)) {
            self.cache.insert(role.key(canonical).as_bytes(), Arc::clone(&entry));
        }
        Ok(entry)
    }

    /// A path of the site, of one beneath this root: rules go by that.
    fn in_site(&self, path: &[u8]) -> Vec<u8> {
        let prefix = self.options.prefix.trim_start_matches('/').as_bytes();
        let mut whole = Vec::with_capacity(prefix.len() + 1 + path.len());
        whole.extend(percent_decode(prefix));
        if !whole.is_empty() {
            whole.push(b'/');
        }
        whole.extend_from_slice(path);
        whole
    }

    /// What is said of a file: its type, and what the rules want. What stands in for something else is never to be kept for
    /// long.
    fn presentation(&self, role: &Role, canonical: &str, path: &SafePath) -> Presentation {
        let target: Cow<'_, [u8]> = percent_decode(canonical.trim_matches('/').as_bytes()).into();
        let (target, answering) = (self.in_site(&target), self.in_site(path.as_bytes()));
        // Of a rewrite the target is nobody's, neither of the request nor of the file.
        let paths = if matches!(role, Role::Rewritten(_)) { [&*answering; 2] } else { [&*target, &*answering] };
        let dress = dress_by(&self.field_rules, |at, rule| role.rules().contains(&at) || rule.applies(&paths));
        let content_type = TypeRule::find(&self.options.types, &answering);
        let areas = self.options.areas.of(&answering);
        let is_private = self.options.areas.are_private(areas) || role.is_private();
        let is_hashed = self.options.immutable_hashed && is_hashed(path.name()) && role.may_be_hashed();
        let is_passing = role.is_passing();
        let (cache_control, why) = match &dress.cache_control {
            _ if is_passing && is_private => (PRIVATE, "as it stands in for what isn't there, for some"),
            _ if is_passing => (NO_CACHE, "as it stands in for what isn't there"),
            Some(rule) => (rule.clone(), "by a rule"),
            None if is_private && is_hashed => (PRIVATE_IMMUTABLE, "by immutable_hashed, and not for everybody"),
            None if is_private => (PRIVATE, "as it is not for everybody"),
            None if is_hashed => (IMMUTABLE, "by immutable_hashed"),
            None => (NO_CACHE, "as no rule says more"),
        };
        trace!(target: ROUTE, "caching: {why}");
        Presentation {
            content_type: content_type.unwrap_or_else(|| mime::content_type(path.as_path())),
            cache_control,
            fields: match role {
                // Who doesn't navigate gets 404 there.
                Role::StandIn => [vec![(header::VARY, BY_ACCEPT)], dress.not_of_caching()].concat(),
                _ if is_passing => dress.not_of_caching(),
                _ => dress.fields,
            },
            areas,
            takes_ranges: self.options.ranges_max > 0,
        }
    }
}

impl Handler for Files {
    fn handle(&self, request: &Request<'_>) -> Response {
        match (&request.method, request.target) {
            (&Method::GET | &Method::HEAD, Target::Path { path, query }) => self.get(request, path, query),
            (&Method::OPTIONS, target) => {
                let path = if let Target::Path { path, .. } = target { path } else { b"" };
                self.dressed(Response::new(StatusCode::NO_CONTENT).field(header::ALLOW, ALLOW), path)
            }
            (&Method::CONNECT | &Method::TRACE, _) => {
                self.error(StatusCode::METHOD_NOT_ALLOWED, b"", request.begun).field(header::ALLOW, ALLOW)
            }
            (&Method::POST | &Method::PUT | &Method::DELETE | &Method::PATCH, Target::Path { path, .. }) => {
                trace!(target: ROUTE, "method: {} is none that files have", request.method);
                self.refuse_method(path, request.begun)
            }
            _ => self.error(StatusCode::NOT_IMPLEMENTED, b"", request.begun),
        }
    }

    fn service_actions(&self) {
        self.root.sweep();
        self.cache.sweep();
        self.absent.sweep();
        self.variants.sweep();
        self.listings.sweep();
        self.not_served.catch_up();
        self.failed.catch_up();
    }
}

/// Of a range that can't be satisfied (RFC 9110 section 14.4).
fn unsatisfied(length: u64) -> HeaderValue {
    HeaderValue::try_from(format!("bytes */{length}")).unwrap_or(HeaderValue::from_static("bytes */*"))
}

/// What a peer may send in a query all the same, and a URI has not (RFC 3986 section 3.4).
pub(crate) const NOT_IN_QUERY: &AsciiSet = &CONTROLS
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
pub(crate) fn encode_query(query: &[u8]) -> Vec<u8> {
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
    moved(StatusCode::MOVED_PERMANENTLY, location)
}

/// A redirection, which is asked for anew each time: a mistake in one must not stay in browsers.
pub(crate) fn moved(status: StatusCode, location: Vec<u8>) -> Response {
    match HeaderValue::try_from(location) {
        Ok(location) => Response::error_page(status).field(header::LOCATION, location),
        Err(_) => Response::error_page(StatusCode::BAD_REQUEST),
    }
}

fn descriptors_ran_out(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}
