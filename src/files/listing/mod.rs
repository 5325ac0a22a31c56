//! What lies in a directory that has no index: a page for people, or JSON for programs.
//!
//! The steps, a file each: `query` (what is wanted), `catalogue` (the names that may be seen, in the `order` that
//! people expect), `shown` (which of them, and what they are like now), `readme`, and `html` or `json`, which write
//! names, sizes and times as `text` says.
//!
//! Nothing that is kept can be stale. Names are kept as long as their directory is in the same state, which every
//! change of names changes. What entries are like doesn't show in that, so each that is shown is looked at for each
//! request; a page that was made is kept under a digest of the states of all that it shows. What is answered is a
//! representation like that of a file, with a tag of its content, ranges, and variants made on the fly.
//!
//! A directory with many names is read and searched as slow work, one at a time, so that memory is bounded.

mod catalogue;
mod html;
mod json;
mod order;
mod query;
mod readme;
mod shown;
mod text;

use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ::http::{HeaderValue, StatusCode, header};
use bytes::Bytes;
use log::trace;
use rustix::fs::{AtFlags, FileType, statat};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use self::catalogue::{Catalogue, Reading};
use self::html::{POLICY, Page};
use self::query::{Format, Sort, View};
use self::shown::{Looking, Shown};
use super::cache::{Cache, Entry};
use super::errors::Nothing;
use super::options::{Options, TrailingSlash};
use super::representation::{Form, Presentation, Representation};
use super::root::{Directory, Found, Miss};
use super::rules::{Dress, dress};
use super::stamp::{Evidence, Stamp};
use super::target::SafePath;
use super::turns::Turns;
use super::validators::Validators;
use super::{BY_ACCEPT, Files, NO_CACHE, PRIVATE};
use crate::http::{ROUTE, Request, Response, slow};

/// Of `cache_bytes_max` listings have a part in so many, where directories are listed: half of it for names, half for
/// pages.
const CACHE_PART: u64 = 8;

/// What the names of a directory may well take that is kept, in bytes: 50,000 of 30 letters.
const CATALOGUE_BYTES: u64 = 2 << 20;

/// What a page may well take.
const PAGE_BYTES: u64 = 512 << 10;

/// To read and to sort more names than this takes long enough to call it so.
const SLOW_ENTRIES: usize = 4_096;

/// A longer README is an entry like any other.
const README_BYTES_MAX: u64 = 256 << 10;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// What is kept of listings.
pub(super) struct Listings {
    cache_bytes_max: u64,
    catalogues: Cache<Catalogue>,
    /// By a digest of what they show.
    pages: Cache<Representation>,
    /// For what is large.
    turns: Turns<()>,
}

impl Listings {
    pub(super) fn new(options: &Options) -> Self {
        let cache_bytes_max = if options.lists() { options.cache_bytes_max / CACHE_PART } else { 0 };
        let (idle, revalidate) = (options.cache_idle_timeout, Duration::ZERO);
        let of_each = cache_bytes_max / 2;
        Self {
            cache_bytes_max,
            catalogues: Cache::for_entries_of(CATALOGUE_BYTES, of_each, idle, revalidate),
            pages: Cache::for_entries_of(PAGE_BYTES, of_each, idle, revalidate),
            turns: Turns::new(1),
        }
    }

    /// The part of the option `cache_bytes_max` that is theirs.
    pub(super) fn cache_bytes_max(&self) -> u64 {
        self.cache_bytes_max
    }

    pub(super) fn sweep(&self) {
        self.catalogues.sweep();
        self.pages.sweep();
    }
}

/// A directory whose entries can be listed.
pub(super) struct Listable {
    path: SafePath,
    directory: Directory,
}

impl Files {
    /// Opens a directory that has no index, if such are listed.
    pub(super) fn open_listable(&self, path: &SafePath) -> Result<Option<Box<Listable>>, Nothing> {
        if !self.options.lists() {
            trace!(target: ROUTE, "listing: none, as directories are not listed (list, --list)");
            return Ok(None);
        }
        if self.why_hidden(path).is_some() {
            return Ok(None);
        }
        match self.root.open_directory(path) {
            Ok(directory) if self.has_index_name(path, &directory) => Ok(None),
            Ok(directory) => Ok(Some(Box::new(Listable { path: path.as_directory(), directory }))),
            Err(Miss::Absent) => Ok(None),
            Err(miss) => Err(self.tell_missing(path, miss)),
        }
    }

    /// Whether there is an index that is not served: who put it there doesn't want a listing in its place.
    fn has_index_name(&self, path: &SafePath, directory: &Directory) -> bool {
        self.options.index.iter().any(|name| {
            let is_seen = path.child(name.as_bytes()).is_some_and(|path| self.why_hidden(&path).is_none());
            let stat = statat(&directory.opened, name, AtFlags::SYMLINK_NOFOLLOW);
            is_seen && stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) != FileType::Directory)
        })
    }

    /// Answers with what lies in a directory.
    pub(super) fn list(
        &self,
        request: &Request<'_>,
        asked: &[u8],
        listable: &Listable,
        query: Option<&[u8]>,
    ) -> Response {
        trace!(target: ROUTE, "list: {}", self.root.show(&listable.path));
        let Some(view) = View::parse(query, request.fields) else {
            trace!(target: ROUTE, "query: sort, order or page has a value that it can't have");
            return self.error(StatusCode::BAD_REQUEST, asked, request.begun);
        };
        match self.listing(listable, &view) {
            Ok(page) => self.select_variant(&page.value, request, asked),
            Err(nothing) => self.explain(nothing, asked, request.begun),
        }
    }

    fn listing(&self, listable: &Listable, view: &View) -> Result<Arc<Entry<Representation>>, Nothing> {
        let key = listable.path.canonical();
        match self.find_catalogue(listable, &key) {
            Some(kept) if self.is_slow(&kept.value, view) => self.in_turn(|| self.page(listable, &kept.value, view)),
            Some(kept) => self.page(listable, &kept.value, view),
            None => self.read_and_show(listable, &key, view),
        }
    }

    /// The names, if the directory is in the state in which they were read.
    fn find_catalogue(&self, listable: &Listable, key: &str) -> Option<Arc<Entry<Catalogue>>> {
        let stamp = Stamp::of(&listable.directory.stat);
        self.listings.catalogues.find(key.as_bytes(), None).filter(|kept| kept.value.stamp == stamp)
    }

    /// Whether many entries have to be looked at.
    fn is_slow(&self, catalogue: &Catalogue, view: &View) -> bool {
        let looks_at_all = view.sort != Sort::Name || !view.filter.is_empty() || catalogue.has_doubtful;
        let entries = if looks_at_all { catalogue.len() } else { self.options.list_page_entries.min(catalogue.len()) };
        entries > SLOW_ENTRIES
    }

    /// Reads the names; what turns out to be large waits for its turn.
    fn read_and_show(
        &self,
        listable: &Listable,
        key: &str,
        view: &View,
    ) -> Result<Arc<Entry<Representation>>, Nothing> {
        let Listable { path, directory } = listable;
        let failed = |error: std::io::Error| self.fail(path, &error);
        let mut reading = Reading::begin(self, directory, path).map_err(failed)?;
        let finish = |reading: Reading<'_>| {
            let kept = self.keep_catalogue(key, reading.finish().map_err(failed)?);
            self.page(listable, &kept.value, view)
        };
        let entries_max = self.options.list_entries_max;
        if reading.read(entries_max.min(SLOW_ENTRIES)).map_err(failed)? {
            return finish(reading);
        }
        self.in_turn(|| {
            // Who had the turn before mostly wanted the same directory.
            if let Some(kept) = self.find_catalogue(listable, key) {
                return self.page(listable, &kept.value, view);
            }
            reading.read(entries_max).map_err(failed)?;
            finish(reading)
        })
    }

    fn in_turn<T>(&self, work: impl FnOnce() -> Result<T, Nothing>) -> Result<T, Nothing> {
        slow(|| {
            let turn = self.listings.turns.begin(());
            let _turn = turn.ok_or(Nothing::Failed(StatusCode::SERVICE_UNAVAILABLE))?;
            work()
        })
    }

    /// Keeps the names for the next request, unless the next change of the directory might not show.
    fn keep_catalogue(&self, key: &str, catalogue: Catalogue) -> Arc<Entry<Catalogue>> {
        let (bytes, stamp) = (catalogue.bytes(), catalogue.stamp);
        let entry = Arc::new(Entry::new(catalogue, bytes, Evidence::begin()));
        if stamp.is_settled(SystemTime::now()) {
            self.listings.catalogues.insert(key.as_bytes(), Arc::clone(&entry));
        }
        entry
    }

    /// The page of a view, from before if it would be the same.
    fn page(
        &self,
        listable: &Listable,
        catalogue: &Catalogue,
        view: &View,
    ) -> Result<Arc<Entry<Representation>>, Nothing> {
        let Listable { path, directory } = listable;
        let looking = Looking::new(self, directory, path);
        let mut shown = looking.show(catalogue, view, self.options.list_page_entries).ok_or(Nothing::Absent)?;
        let readme = if has_readme(view) { self.find_readme(path, catalogue) } else { None };
        let target = format!("{}{}", self.options.prefix, path.canonical());
        let digest = digest(&target, view, &shown, catalogue.is_cut, readme.as_ref().map(|readme| readme.stamp));
        let now = SystemTime::now();
        let of_rows = shown.rows.iter().flat_map(|row| [Some(row.stamp), row.index.map(|(index, _)| index)]);
        let mut stamps = of_rows.flatten().chain(readme.as_ref().map(|readme| readme.stamp));
        let is_settled = stamps.all(|stamp| stamp.is_settled(now));
        if let Some(kept) = self.listings.pages.find(&digest.to_ne_bytes(), None).filter(|_| is_settled) {
            return Ok(kept);
        }
        let is_kept = looking.verify(&mut shown) && is_settled;
        let are_slashed = self.options.trailing_slash != TrailingSlash::Never;
        let is_slashed = are_slashed || path.is_root();
        let base = Page::base(&target, is_slashed);
        let readme = readme.and_then(|readme| readme.read(&base));
        let page = Page { path: &target, is_slashed, are_slashed, view, shown, is_cut: catalogue.is_cut, readme };
        let content = match view.format {
            Format::Html => page.render(),
            Format::Json => json::render(&page).map_err(|error| self.fail(path, &error.into()))?,
        };
        let made = self.represent(path, view.format, catalogue.stamp, content.into());
        let bytes = made.memory_bytes().unwrap_or_default();
        let entry = Arc::new(Entry::new(made, bytes, Evidence::begin()));
        if is_kept {
            self.listings.pages.insert(&digest.to_ne_bytes(), Arc::clone(&entry));
        }
        Ok(entry)
    }

    /// The README that belongs on a page.
    fn find_readme<'c>(&self, path: &SafePath, catalogue: &'c Catalogue) -> Option<Readme<'c>> {
        let names = catalogue.iter().filter_map(|(name, _)| Some((readme::rank(name)?, name)));
        let (_, name) = names.min_by_key(|(rank, _)| *rank)?;
        match self.root.open(&path.child(name)?) {
            Ok(Found::File(file, stat)) => Some(Readme { name, file, stamp: Stamp::of(&stat) }),
            _ => None,
        }
    }

    /// The areas that a listing of a directory lies in: those of all that is in it, whatever it is called. That its index,
    /// which has a name, may be had is no reason.
    fn directory_areas(&self, path: &SafePath) -> u64 {
        self.options.areas.of_all_in(&self.in_site(path.as_bytes()))
    }

    /// Whether whoever may see the listing of a directory may see this name in it: not one that stricter rules of access
    /// are about. What it leads to isn't known yet, so it may be a directory too.
    fn may_be_named(&self, child: &SafePath, directory_areas: u64) -> bool {
        let areas = &self.options.areas;
        if areas.is_empty() {
            return true;
        }
        let name = self.in_site(child.as_bytes());
        [areas.of(&name), areas.of_all_in(&name)].iter().all(|child| areas.are_as_open(*child, directory_areas))
    }

    /// What was made, with what the rules say of the directory. It has no date: what it shows may change without one.
    fn represent(&self, path: &SafePath, format: Format, stamp: Stamp, content: Bytes) -> Representation {
        // By both of its spellings: rules for all that lies beneath `/dir/` hold for what is there by this name too.
        let path_in_site = self.in_site(path.as_bytes());
        let without_slash = path_in_site.strip_suffix(b"/").unwrap_or(&path_in_site);
        let Dress { cache_control, fields } =
            dress(&self.field_rules, &[without_slash, &[without_slash, b"/"].concat()]);
        let own = [(header::VARY, BY_ACCEPT), (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY))];
        let (content_type, own) = match format {
            Format::Html => (HTML, &own[..]),
            Format::Json => (JSON, &own[..1]),
        };
        let fields = own.iter().cloned().chain(fields).collect();
        let areas = self.directory_areas(path);
        let by_default = if self.options.areas.are_private(areas) { PRIVATE } else { NO_CACHE };
        let cache_control = cache_control.unwrap_or(by_default);
        let takes_ranges = self.options.ranges_max > 0;
        let presentation = Presentation { content_type, cache_control, fields, areas, takes_ranges };
        let (digest, bytes) = (xxh3_128(&content), content.len() as u64);
        let origin = self.origin_of_made(path, &presentation, digest, bytes);
        let varies = origin.as_ref().is_some_and(|origin| self.varies(origin));
        let form = Form { presentation, coding: None, varies };
        let mut made =
            Representation::made(content, stamp, digest, Validators::of_content(self.options.etag, digest), form);
        made.origin = origin;
        made
    }
}

/// Whether the README belongs on the page: on the first one, of all entries.
fn has_readme(view: &View) -> bool {
    view.format == Format::Html && view.page == 1 && view.filter.is_empty()
}

/// The README of a directory, open.
struct Readme<'c> {
    name: &'c [u8],
    file: File,
    stamp: Stamp,
}

impl<'c> Readme<'c> {
    /// Its name and its HTML; none of one that is too long, or can't be read.
    fn read(self, base: &str) -> Option<(&'c [u8], String)> {
        let mut content = Vec::new();
        self.file.take(README_BYTES_MAX + 1).read_to_end(&mut content).ok()?;
        (content.len() as u64 <= README_BYTES_MAX).then(|| (self.name, readme::render(self.name, &content, base)))
    }
}

/// Of all that a page shows, and of what decides that.
fn digest(target: &str, view: &View, shown: &Shown<'_>, is_cut: bool, readme: Option<Stamp>) -> u128 {
    let mut hasher = Xxh3::new();
    let whole = (target, view, shown.total, shown.pages, is_cut, readme);
    hasher.update(format!("{whole:?}").as_bytes());
    for row in &shown.rows {
        // No name has it.
        hasher.update(b"/");
        hasher.update(row.name);
        let Stamp { device, inode, version, changed } = row.stamp;
        for number in [device, inode, version.bytes, u64::from(row.is_directory)] {
            hasher.update(&number.to_ne_bytes());
        }
        for (seconds, nanoseconds) in [version.modified, changed] {
            hasher.update(&seconds.to_ne_bytes());
            hasher.update(&nanoseconds.to_ne_bytes());
        }
        if let Some(index) = row.index {
            hasher.update(format!("{index:?}").as_bytes());
        }
    }
    hasher.digest128()
}
