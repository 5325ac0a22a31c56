//! What `benches/stages.rs` runs, which has no way to private modules; no part of the API.

use std::path::Path;
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

/// What a file is known by.
#[derive(Debug)]
pub struct State(Validators);

impl State {
    /// With this tag and date, in seconds since 1970.
    pub fn new(etag: &str, last_modified: i64) -> Self {
        let etag = Some(etag.into());
        Self(Validators { etag, last_modified: Some(last_modified), is_of_the_future: false })
    }

    /// Whether the preconditions come to a 304.
    pub fn is_not_modified(&self, fields: Fields<'_>) -> bool {
        conditional::evaluate(fields, &self.0, SystemTime::now) == Outcome::NotModified
    }
}

/// How many parts a Range field selects; none where it is the whole, or nothing.
pub fn parts(field: &[u8], length: u64, ranges_max: usize) -> Option<usize> {
    match range::select(field, length, ranges_max) {
        Selection::Part(_) => Some(1),
        Selection::Parts(parts) => Some(parts.len()),
        Selection::Whole | Selection::Unsatisfiable => None,
    }
}

/// The length of a file's media type.
pub fn content_type_bytes(path: &Path) -> usize {
    mime::content_type(path).len()
}
