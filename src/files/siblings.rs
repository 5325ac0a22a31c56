//! Variants that lie beside a file: `page.html.br`, `page.html.zst`, `page.html.gz`.
//!
//! Which of these names there are is kept with what decided it: the state of their directory, which changes when a name
//! comes or goes, or, while it is too young to tell, the state of each name. What a name leads to has a witness of its
//! own. A sibling is used if it isn't older than its original, and if it begins as its coding does.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::{Instant, SystemTime};

use log::Level;
use rustix::fs::Stat;
use xxhash_rust::xxh3::xxh3_128;

use super::cache::Entry;
use super::options::Coding;
use super::representation::{Presentation, Representation, tags_content};
use super::root::{Found, Miss};
use super::stamp::{Evidence, GRAIN, Stamp, Witness};
use super::target::SafePath;
use super::variants::{Accord, Origin, Variant, Wish};
use super::{Files, SLOW_BYTES};
use crate::http::slow;

/// So many lines about siblings are remembered, so that they aren't repeated.
const TOLD_MAX: usize = 4096;

/// What the name of a variant ends with. zstd's is not what the coding is called in HTTP.
pub(super) const fn suffix(coding: Coding) -> &'static str {
    match coding {
        Coding::Br => ".br",
        Coding::Zstd => ".zst",
        Coding::Gzip => ".gz",
    }
}

/// What is known of the variants of one state of a file.
#[derive(Debug)]
pub(super) struct Record {
    original: Stamp,
    /// Which names there are, in the order of [`Coding::ALL`].
    siblings: [bool; Coding::ALL.len()],
    /// Each name was looked at, as the directory was too young; later one look at the directory will do.
    looks_at_names: bool,
    /// Of the original's content, once it was read.
    pub(super) digest: OnceLock<u128>,
}

impl Record {
    pub(super) fn has(&self, coding: Coding) -> bool {
        self.siblings[coding as usize]
    }
}

impl Files {
    /// Whether there is any such name, at a glance.
    pub(super) fn has_sibling_names(&self, origin: &Origin) -> bool {
        Coding::ALL.into_iter().any(|coding| {
            let path = origin.path.with_suffix(suffix(coding));
            rustix::fs::stat(self.root.locate(&path)).is_ok() && self.may_stand_for(&path, origin)
        })
    }

    /// Whether a sibling may be told of by its original's name: what is hidden is not served, under no name, and what is for
    /// others than the original only by its own.
    fn may_stand_for(&self, sibling: &SafePath, origin: &Origin) -> bool {
        let areas = || self.options.areas.of(&self.in_site(sibling.as_bytes()));
        self.why_hidden(sibling).is_none() && areas() == origin.presentation.areas
    }

    /// What is known of a file's variants, from before if that still holds.
    pub(super) fn record(
        &self,
        original: &Representation,
        origin: &Origin,
        may_have_siblings: bool,
        begun: Option<Instant>,
    ) -> Arc<Entry<Record>> {
        let key = origin.id.to_ne_bytes();
        let is_current = |entry: &Arc<Entry<Record>>| {
            let has_time_come = entry.value.looks_at_names && entry.is_older_than(GRAIN);
            entry.value.original == original.stamp && !has_time_come
        };
        if let Some(entry) = self.variants.records.find(&key, begun).filter(is_current) {
            return entry;
        }
        let mut evidence = Evidence::begin();
        let mut record = Record {
            original: original.stamp,
            siblings: Default::default(),
            looks_at_names: false,
            digest: OnceLock::new(),
        };
        if may_have_siblings {
            self.look_for_siblings(origin, &mut record, &mut evidence);
            origin.has_siblings.store(record.siblings.contains(&true), Ordering::Relaxed);
        }
        let is_complete = evidence.is_complete;
        let entry = Arc::new(Entry::new(record, origin.path.as_path().as_os_str().len() as u64, evidence));
        if is_complete && original.stamp.is_settled(SystemTime::now()) {
            self.variants.records.insert(&key, Arc::clone(&entry));
        }
        entry
    }

    /// The look at the directory comes before those at names, so that a change between them shows.
    fn look_for_siblings(&self, origin: &Origin, record: &mut Record, evidence: &mut Evidence) {
        let location = self.root.locate(&origin.path);
        let directory = location.parent().unwrap_or(&location);
        let stamp = rustix::fs::stat(directory).ok().map(|stat| Stamp::of(&stat));
        record.looks_at_names = !stamp.is_some_and(|stamp| stamp.is_settled(SystemTime::now()));
        if !record.looks_at_names {
            evidence.witnesses.extend(Witness::new(directory.to_owned(), stamp));
        }
        for coding in Coding::ALL {
            let path = origin.path.with_suffix(suffix(coding));
            let location = self.root.locate(&path);
            let is_named = rustix::fs::lstat(&location).is_ok() && self.may_stand_for(&path, origin);
            let is_seen_by_directory = !record.looks_at_names && !is_named;
            let witness = if is_seen_by_directory { None } else { Witness::of_now(location) };
            if is_named {
                match self.root.open(&path) {
                    Ok(Found::File(..)) => record.siblings[coding as usize] = true,
                    Ok(Found::Directory(_)) | Err(Miss::Absent) => {}
                    Err(miss) => {
                        self.tell_miss(&path.canonical(), &miss);
                        evidence.is_complete = false;
                    }
                }
            }
            // A link that leads nowhere may lead somewhere tomorrow, and its directory won't tell.
            if record.looks_at_names || !record.has(coding) {
                evidence.witnesses.extend(witness);
            }
        }
    }

    /// The variant beside a file in this coding, if it is good for this state of the file.
    pub(super) fn sibling(&self, wish: &Wish<'_>, coding: Coding) -> Option<Arc<Entry<Variant>>> {
        let key = key(wish, coding);
        let entry = match self.variants.kept.find(&key, wish.begun) {
            Some(entry) => entry,
            None => self.open_sibling(wish, coding, &key)?,
        };
        let Variant::Sibling(sibling, accord) = &entry.value else { return None };
        (is_fresh(sibling.stamp, wish.original.stamp) && accord.holds(wish.original)).then_some(entry)
    }

    /// Opens a sibling and keeps what it turns out to be, unless its next change might not show.
    fn open_sibling(&self, wish: &Wish<'_>, coding: Coding, key: &[u8]) -> Option<Arc<Entry<Variant>>> {
        let mut evidence = Evidence::begin();
        let path = wish.origin.path.with_suffix(suffix(coding));
        let (file, stat) = match self.root.open(&path) {
            Ok(Found::File(file, stat)) => (file, stat),
            Ok(Found::Directory(_)) | Err(Miss::Absent) => return None,
            Err(miss) => {
                self.tell_miss(&path.canonical(), &miss);
                return None;
            }
        };
        let (stamp, begun) = (Stamp::of(&stat), SystemTime::now());
        let judged = if !is_fresh(stamp, wish.original.stamp) {
            (Variant::Useless, Some(stamp))
        } else if !begins_as(coding, &file) {
            self.tell_broken(&path.canonical(), coding, stamp);
            (Variant::Useless, Some(stamp))
        } else {
            let made = self.make_sibling_ready(wish, coding, file, &stat);
            made.map_err(|error| self.fail(&path, &error)).ok()?
        };
        let (variant, stamp) = judged;
        evidence.witnesses.extend(Witness::new(self.root.locate(&path), stamp));
        let bytes = match &variant {
            Variant::Sibling(sibling, _) => sibling.memory_bytes().unwrap_or(self.options.descriptor_weight()),
            _ => 0,
        };
        let entry = Arc::new(Entry::new(variant, bytes, evidence));
        // As of any file: before it was decided on a tag.
        if stamp.is_some_and(|stamp| stamp.is_settled(begun)) {
            self.variants.kept.insert(key, Arc::clone(&entry));
        }
        Some(entry)
    }

    fn make_sibling_ready(
        &self,
        wish: &Wish<'_>,
        coding: Coding,
        file: File,
        stat: &Stat,
    ) -> std::io::Result<(Variant, Option<Stamp>)> {
        let bytes = Stamp::of(stat).version.bytes;
        let make = || Representation::of(file, stat, wish.origin.form(coding), &self.options);
        let (sibling, stamp) = if bytes > SLOW_BYTES && tags_content(&self.options, bytes) {
            slow(|| {
                let _turn = self.tagging.lock().unwrap_or_else(PoisonError::into_inner);
                make()
            })?
        } else {
            make()?
        };
        let accord = Accord { stamp: wish.original.stamp, digest: wish.original.digest };
        Ok((Variant::Sibling(sibling, accord), stamp))
    }

    fn tell_broken(&self, path: &str, coding: Coding, stamp: Stamp) {
        if self.is_news(&format!("{path} {stamp:?}")) {
            log::warn!("{path}: ignored: it is no {}; make it anew, or remove it", coding.name());
        }
    }

    fn tell_miss(&self, path: &str, miss: &Miss) {
        if !self.is_news(path) {
            return;
        }
        match miss {
            Miss::Absent => {}
            Miss::Refused(reason) => self.not_served.say(Level::Info, format_args!("{path}: not served: {reason}")),
            Miss::Failed(error) => self.failed.say(Level::Error, format_args!("{path}: {error}")),
        }
    }

    /// Whether the log hasn't heard of this: each state of a sibling has one line, however often it is asked for.
    fn is_news(&self, what: &str) -> bool {
        let mut told = self.variants.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= TOLD_MAX {
            told.clear();
        }
        told.insert(xxh3_128(what.as_bytes()))
    }
}

impl Accord {
    /// A sibling that stays while its original changes is of the former one, whatever their dates say: who puts back an
    /// older file, with its date, makes it older than what was compressed from another. Other permissions or another name
    /// don't.
    fn holds(&self, original: &Representation) -> bool {
        let is_untouched = Stamp { changed: self.stamp.changed, ..original.stamp } == self.stamp;
        is_untouched || (self.digest.is_some() && self.digest == original.digest)
    }
}

fn is_fresh(sibling: Stamp, original: Stamp) -> bool {
    sibling.version.modified >= original.version.modified
}

/// The key of a sibling among variants.
fn key(wish: &Wish<'_>, coding: Coding) -> [u8; 17] {
    let mut key = [coding as u8; 17];
    key[1..].copy_from_slice(&wish.origin.id.to_ne_bytes());
    key
}

/// The coding that is part of the media type of a file by its name: SVG's registration has `.svgz` for what is sent with
/// Content-Encoding, as nobody could show it else. Of everything else that is compressed the type says so.
pub(super) fn own_coding(presentation: &Presentation, path: &SafePath, file: &File) -> Option<Coding> {
    let extension = path.as_path().extension()?;
    let is_svgz = extension.eq_ignore_ascii_case("svgz") && presentation.content_type == "image/svg+xml";
    (is_svgz && begins_as(Coding::Gzip, file)).then_some(Coding::Gzip)
}

/// Whether a file begins as its coding does. Brotli has no mark to know it by, but nothing is no brotli.
fn begins_as(coding: Coding, file: &File) -> bool {
    let mut start = [0; 4];
    let length = match coding {
        Coding::Br => 1,
        Coding::Gzip => 2,
        Coding::Zstd => 4,
    };
    file.read_exact_at(&mut start[..length], 0).is_ok()
        && match (coding, start) {
            (Coding::Br, _) => true,
            (Coding::Gzip, start) => start.starts_with(&[0x1f, 0x8b]),
            // A frame, or one before it that is to be skipped (RFC 8878 section 3.1).
            (Coding::Zstd, [first, rest @ ..]) => {
                start == [0x28, 0xb5, 0x2f, 0xfd] || (first & 0xf0 == 0x50 && rest == [0x2a, 0x4d, 0x18])
            }
        }
}
