//! The variants of a file, and which of them a request gets (RFC 9110 section 12.1).
//!
//! 1. Where the request says nothing of codings, or the file has no variants, the file itself.
//! 2. What the request weighs most. Of equals one that lies beside the file (`siblings`), as it was made with care and
//!    costs no work; br before zstd before gzip, which is from the smallest to the largest, mostly. Then one made on
//!    the fly (`made`), in the order of the option `compress`.
//! 3. Where that can't be had at once, the next; in the end the file itself, or 406 where that was refused.
//!
//! A variant is a representation with content, length, tag and dates of its own, kept in a cache of its own. What it
//! was made from is part of its key or its evidence, so that it never outlives a change of the original.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ::http::{StatusCode, header};
use xxhash_rust::xxh3::Xxh3;

use super::Files;
use super::cache::{Cache, Entry};
use super::compress;
use super::encoding::{Accepted, is_compressible};
use super::made::Made;
use super::options::{Coding, Options};
use super::representation::{Form, Presentation, Representation, VARY};
use super::siblings::{Record, suffix};
use super::stamp::Stamp;
use super::target::SafePath;
use super::turns::Turns;
use crate::http::{Request, Response, cores};

/// What the variants of a file are made from, known as long as the file is.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) path: SafePath,
    /// What is said of it, and of each of its variants.
    pub(super) presentation: Presentation,
    /// Stands for both in keys, of which there is one for each request.
    pub(super) id: u128,
    /// It is a variant itself, by its name: served as it is, and never compressed again.
    is_encoded: bool,
    /// It was made here, so that nothing lies beside it.
    is_made: bool,
    /// Its type and its length are worth compressing.
    is_compressible: bool,
    /// Some variant lay beside it when last looked at.
    pub(super) has_siblings: AtomicBool,
}

impl Origin {
    /// What is told of its variant in this coding: the one place where that is decided.
    pub(super) fn form(&self, coding: Coding) -> Form {
        Form { presentation: self.presentation.clone(), coding: Some(coding), varies: true }
    }
}

/// All that is kept of variants.
pub(super) struct Variants {
    cache_bytes_max: u64,
    /// Codings that are made on the fly.
    pub(super) codings: Vec<Coding>,
    /// What is known of a file's variants, by its id.
    pub(super) records: Cache<Record>,
    pub(super) kept: Cache<Variant>,
    pub(super) turns: Turns<(u128, Coding)>,
    /// States of siblings that the log has heard of.
    pub(super) told: Mutex<HashSet<u128>>,
}

/// What became of a variant that was looked at.
#[derive(Debug)]
pub(super) enum Variant {
    /// It lies beside the file.
    Sibling(Representation, Accord),
    /// It was made.
    Made(Representation),
    /// It is older than the original, broken, or no smaller.
    Useless,
}

/// The state of the original with which a sibling was found to be in accord.
#[derive(Debug)]
pub(super) struct Accord {
    pub(super) stamp: Stamp,
    pub(super) digest: Option<u128>,
}

/// A request that accepts variants of a file, and what is known of them.
pub(super) struct Wish<'a> {
    pub(super) original: &'a Representation,
    pub(super) origin: &'a Origin,
    pub(super) record: &'a Record,
    /// When the request had begun, if that is known.
    pub(super) begun: Option<Instant>,
    /// The file as it is was refused.
    pub(super) is_forced: bool,
}

/// What a request gets.
enum Choice {
    Original,
    Variant(Arc<Entry<Variant>>),
    /// Nothing that it accepts can be had; the status says whether that may change.
    Nothing(StatusCode),
}

/// Of `cache_bytes_max` variants have a part in so many: text is mostly compressed to about that.
const CACHE_PART: u64 = 4;

/// And of that what is known of them has a part in so many.
const RECORDS_PART: u64 = 4;

impl Variants {
    pub(super) fn new(options: &Options) -> Self {
        let codings = if compress::IS_THERE { options.compress.clone() } else { Vec::new() };
        let is_off = codings.is_empty() && !options.precompressed;
        let cache_bytes_max = if is_off { 0 } else { options.cache_bytes_max / CACHE_PART };
        let (idle, revalidate) = (options.cache_idle_timeout, Duration::from_millis(options.cache_revalidate_ms));
        let records_bytes_max = cache_bytes_max / RECORDS_PART;
        let kept_bytes_max = cache_bytes_max - records_bytes_max;
        Self {
            cache_bytes_max,
            codings,
            records: Cache::new(records_bytes_max, idle, revalidate),
            kept: Cache::for_entries_of(options.compress_bytes_max, kept_bytes_max, idle, revalidate),
            turns: Turns::new((cores() / 2).max(1)),
            told: Mutex::default(),
        }
    }

    /// The part of `cache_bytes_max` that is theirs.
    pub(super) fn cache_bytes_max(&self) -> u64 {
        self.cache_bytes_max
    }

    /// Drops those that are open files.
    pub(super) fn close_files(&self) {
        self.kept.keep_only(|variant| variant.representation().is_none_or(|variant| variant.memory_bytes().is_some()));
    }

    pub(super) fn sweep(&self) {
        self.records.sweep();
        self.kept.sweep();
    }
}

impl Variant {
    /// What is sent, if anything can be.
    fn representation(&self) -> Option<&Representation> {
        match self {
            Self::Sibling(representation, _) | Self::Made(representation) => Some(representation),
            Self::Useless => None,
        }
    }
}

impl Files {
    /// What a file that is made ready now may have variants of; none where none are served.
    pub(super) fn origin(&self, path: &SafePath, presentation: &Presentation, bytes: u64) -> Option<Box<Origin>> {
        let (options, variants) = (&self.options, &self.variants);
        if variants.codings.is_empty() && !options.precompressed {
            return None;
        }
        let name = path.as_path().as_os_str().as_encoded_bytes();
        let is_encoded = ENCODED.iter().any(|suffix| {
            name.len().checked_sub(suffix.len()).is_some_and(|at| name[at..].eq_ignore_ascii_case(suffix.as_bytes()))
        });
        Some(Box::new(Origin {
            id: id(name, presentation),
            path: path.clone(),
            presentation: presentation.clone(),
            is_encoded,
            is_made: false,
            is_compressible: !is_encoded && self.is_worth_compressing(presentation, bytes),
            has_siblings: AtomicBool::new(false),
        }))
    }

    /// The same of what was made of a directory. Each content is an original of its own, as the state of the directory
    /// doesn't tell them apart.
    pub(super) fn origin_of_made(
        &self,
        path: &SafePath,
        presentation: &Presentation,
        digest: u128,
        bytes: u64,
    ) -> Option<Box<Origin>> {
        (!self.variants.codings.is_empty()).then(|| {
            Box::new(Origin {
                id: id(&digest.to_ne_bytes(), presentation),
                path: path.clone(),
                presentation: presentation.clone(),
                is_encoded: false,
                is_made: true,
                is_compressible: self.is_worth_compressing(presentation, bytes),
                has_siblings: AtomicBool::new(false),
            })
        })
    }

    fn is_worth_compressing(&self, presentation: &Presentation, bytes: u64) -> bool {
        let (options, variants) = (&self.options, &self.variants);
        !variants.codings.is_empty()
            && (options.compress_bytes_min..=options.compress_bytes_max).contains(&bytes)
            && is_compressible(presentation.content_type.as_bytes())
            // What can't be kept would be compressed again and again.
            && variants.kept.fits(options.compress_bytes_min)
    }

    /// Whether requests that accept other codings may get something else; looked at when a file is made ready.
    pub(super) fn varies(&self, origin: &Origin) -> bool {
        origin.is_compressible || (self.may_have_siblings(origin) && self.has_sibling_names(origin))
    }

    fn may_have_siblings(&self, origin: &Origin) -> bool {
        self.options.precompressed && !origin.is_encoded && !origin.is_made
    }

    /// The answer of a file, or of that variant of it which the request accepts best.
    pub(super) fn select_variant(&self, original: &Representation, request: &Request<'_>, path: &[u8]) -> Response {
        match self.choose(original, request) {
            Choice::Original => add_vary(self.select(original, request, path), original),
            Choice::Variant(entry) => self.select(entry.value.representation().unwrap_or(original), request, path),
            Choice::Nothing(status) => self.error(status, path, request.begun).field(header::VARY, VARY),
        }
    }

    fn choose(&self, original: &Representation, request: &Request<'_>) -> Choice {
        if original.origin.is_none() && original.coding.is_none() {
            return Choice::Original;
        }
        let Some(accepted) = Accepted::of(request.fields) else { return Choice::Original };
        let Some(origin) = &original.origin else {
            let refuses = |coding| accepted.refuses_identity() && accepted.weight(coding) == 0;
            let is_refused = original.coding.is_some_and(refuses);
            return if is_refused { Choice::Nothing(StatusCode::NOT_ACCEPTABLE) } else { Choice::Original };
        };
        let is_forced = accepted.refuses_identity();
        if !accepted.has_coding() || origin.is_encoded {
            return if is_forced { Choice::Nothing(StatusCode::NOT_ACCEPTABLE) } else { Choice::Original };
        }
        let may_have_siblings = self.may_have_siblings(origin);
        let may_be_made = origin.is_compressible || (is_forced && self.can_be_made(original));
        if !may_have_siblings && !may_be_made {
            return if is_forced { Choice::Nothing(StatusCode::NOT_ACCEPTABLE) } else { Choice::Original };
        }
        let record = self.record(original, origin, may_have_siblings, request.begun);
        let wish = Wish { original, origin, record: &record.value, begun: request.begun, is_forced };
        match self.grant(&wish, &accepted, may_be_made) {
            Choice::Nothing(_) if !is_forced => Choice::Original,
            choice => choice,
        }
    }

    fn grant(&self, wish: &Wish<'_>, accepted: &Accepted, mut may_be_made: bool) -> Choice {
        let mut otherwise = Choice::Nothing(StatusCode::NOT_ACCEPTABLE);
        for weight in accepted.weights() {
            let weighs_so = |coding: &Coding| accepted.weight(*coding) == weight;
            for coding in Coding::ALL.into_iter().filter(weighs_so).filter(|coding| wish.record.has(*coding)) {
                if let Some(entry) = self.sibling(wish, coding) {
                    return Choice::Variant(entry);
                }
            }
            for coding in self.variants.codings.iter().copied().filter(weighs_so) {
                if !may_be_made {
                    break;
                }
                match self.made(wish, coding) {
                    Made::Variant(entry) => return Choice::Variant(entry),
                    // What one coding can't make smaller, others can't.
                    Made::Useless => may_be_made = false,
                    Made::NotNow => {
                        may_be_made = false;
                        otherwise = Choice::Nothing(StatusCode::SERVICE_UNAVAILABLE);
                    }
                }
            }
        }
        otherwise
    }

    /// Whether it can be compressed where it has to be, whatever its type.
    fn can_be_made(&self, original: &Representation) -> bool {
        !self.variants.codings.is_empty() && original.length <= self.options.compress_bytes_max
    }
}

/// The same file may be told of in two ways: in its place, and where it stands in for something else.
fn id(path: &[u8], presentation: &Presentation) -> u128 {
    let mut hasher = Xxh3::new();
    // The areas follow from the path, and ranges are the same for all.
    let Presentation { content_type, cache_control, fields, areas: _, takes_ranges: _ } = presentation;
    let values = fields.iter().flat_map(|(name, value)| [name.as_str().as_bytes(), value.as_bytes()]);
    for part in [path, content_type.as_bytes(), cache_control.as_bytes()].into_iter().chain(values) {
        hasher.update(part);
        // Neither a path nor a field has it.
        hasher.update(&[0]);
    }
    hasher.digest128()
}

/// What a name ends with that says: compressed already, by a coding that is served.
const ENCODED: [&str; 5] = [suffix(Coding::Br), suffix(Coding::Zstd), suffix(Coding::Gzip), ".tgz", ".svgz"];

/// Tells that there are variants where that was found out only after the file was made ready.
fn add_vary(response: Response, original: &Representation) -> Response {
    let has_siblings = |origin: &Origin| origin.has_siblings.load(Ordering::Relaxed);
    // Its head tells it, and so its date is one that others have.
    let is_told = original.validators.date_is_shared;
    if is_told || !original.origin.as_deref().is_some_and(has_siblings) || response.status().as_u16() >= 400 {
        return response;
    }
    response.field(header::VARY, VARY)
}
