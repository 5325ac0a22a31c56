//! What `benches/stages.rs` and `tests/fuzz` run, which have no way to private modules; no part of the API.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::conditional::{self, Outcome};
use super::mime;
use super::range::{self, Selection};
use super::target::SafePath;
use super::validators::Validators;
use crate::http::Fields;

/// Whether a target's path is a safe one.
pub fn is_safe(path: &[u8]) -> bool {
    SafePath::parse(path).is_ok()
}

/// What a target's path is taken for.
#[derive(Debug, PartialEq, Eq)]
pub struct Located {
    /// Relative to the root.
    pub path: PathBuf,
    /// It asks for a directory.
    pub is_directory: bool,
    /// Its one spelling as a target.
    pub canonical: String,
}

/// Reads a target's path; none when it is not a safe one.
pub fn locate(path: &[u8]) -> Option<Located> {
    let path = SafePath::parse(path).ok()?;
    let (is_directory, canonical) = (path.is_directory, path.canonical());
    Some(Located { path: path.as_path().to_owned(), is_directory, canonical })
}

/// What a file is known by.
#[derive(Debug)]
pub struct State(Validators);

impl State {
    /// With this tag, in quotes, and this date, in seconds since 1970.
    pub fn new(etag: Option<&str>, last_modified: Option<i64>) -> Self {
        Self(Validators { etag: etag.map(Into::into), last_modified, ..Validators::default() })
    }

    /// The status that the preconditions come to; 200 when they hold.
    pub fn evaluate(&self, fields: Fields<'_>, now: fn() -> SystemTime) -> u16 {
        match conditional::evaluate(fields, &self.0, now) {
            Outcome::Proceed => 200,
            Outcome::NotModified => 304,
            Outcome::Failed => 412,
        }
    }

    /// Whether If-Range lets a Range stand.
    pub fn range_stands(&self, fields: Fields<'_>, now: fn() -> SystemTime) -> bool {
        conditional::range_stands(fields, &self.0, now)
    }
}

/// The parts that a Range field selects, none of them where nothing can be; none at all where it is the whole.
pub fn select(field: &[u8], length: u64, ranges_max: usize) -> Option<Vec<Range<u64>>> {
    match range::select(field, length, ranges_max) {
        Selection::Part(part) => Some(vec![part]),
        Selection::Parts(parts) => Some(parts),
        Selection::Unsatisfiable => Some(Vec::new()),
        Selection::Whole => None,
    }
}

/// The length of a file's media type.
pub fn content_type_bytes(path: &Path) -> usize {
    mime::content_type(path).len()
}
