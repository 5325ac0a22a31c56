//! Preconditions (RFC 9110 section 13). Pure.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::http::{Fields, parse_date};

/// What identifies a state of a representation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Validators {
    /// A strong entity tag, with its quotes.
    pub(super) etag: Option<Vec<u8>>,
    /// Seconds since 1970.
    pub(super) last_modified: Option<u64>,
}

/// What the preconditions of a request come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// They hold, or there are none.
    Proceed,
    /// 304
    NotModified,
    /// 412
    Failed,
}

/// Evaluates the preconditions of a GET or HEAD in the order of RFC 9110 section 13.2.2; If-Range comes with the range.
pub(super) fn evaluate(fields: Fields<'_>, validators: &Validators) -> Outcome {
    if fields.has("if-match") {
        if !matches_any(fields, "if-match", validators, strong_match) {
            return Outcome::Failed;
        }
    } else if let Some(since) = date_field(fields, "if-unmodified-since")
        && validators.last_modified.is_some_and(|modified| modified > since)
    {
        return Outcome::Failed;
    }
    if fields.has("if-none-match") {
        if matches_any(fields, "if-none-match", validators, weak_match) {
            return Outcome::NotModified;
        }
    } else if let Some(since) = date_field(fields, "if-modified-since")
        && validators.last_modified.is_some_and(|modified| modified <= since)
    {
        return Outcome::NotModified;
    }
    Outcome::Proceed
}

/// Whether If-Range lets a Range stand (RFC 9110 section 13.1.5): it has to name this state strongly. A date does so only
/// if it is exactly Last-Modified, and that lies far enough before `now` that no later state can have the same.
pub(super) fn range_stands(fields: Fields<'_>, validators: &Validators, now: SystemTime) -> bool {
    let mut values = fields.all("if-range");
    let Some(value) = values.next() else { return true };
    if values.next().is_some() {
        return false;
    }
    if value.starts_with(b"\"") {
        return validators.etag.as_deref() == Some(value);
    }
    let Some(date) = parse_date(value).and_then(seconds) else { return false };
    let now = seconds(now).unwrap_or(0);
    validators.last_modified == Some(date) && date.saturating_add(STRONG_AFTER.as_secs()) <= now
}

/// Last-Modified is a strong validator once it is this old (RFC 9110 section 8.8.2.2).
const STRONG_AFTER: Duration = Duration::from_secs(1);

fn matches_any(fields: Fields<'_>, name: &str, validators: &Validators, same: fn(&[u8], &[u8]) -> bool) -> bool {
    let mut values = fields.all(name);
    let star = values.next() == Some(b"*") && values.next().is_none();
    // `*` asks whether there is a representation at all, and here there is one.
    star || validators
        .etag
        .as_deref()
        .is_some_and(|etag| fields.all(name).flat_map(EntityTags).any(|tag| same(tag, etag)))
}

fn strong_match(tag: &[u8], etag: &[u8]) -> bool {
    tag == etag
}

fn weak_match(tag: &[u8], etag: &[u8]) -> bool {
    tag.strip_prefix(b"W/").unwrap_or(tag) == etag
}

/// The entity tags of a list; it ends where the list is malformed. A tag may hold commas, so splitting is not enough.
struct EntityTags<'a>(&'a [u8]);

impl<'a> Iterator for EntityTags<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let list = self.0.trim_ascii_start();
        let start = list.iter().position(|byte| !b", \t".contains(byte))?;
        let list = &list[start..];
        let open = if list.starts_with(b"W/") { 2 } else { 0 };
        let inner = list[open..].strip_prefix(b"\"")?;
        let end = open + 2 + inner.iter().position(|&byte| byte == b'"')?;
        let (tag, rest) = list.split_at(end);
        self.0 = rest.trim_ascii_start();
        (self.0.is_empty() || self.0.starts_with(b",")).then_some(tag)
    }
}

fn date_field(fields: Fields<'_>, name: &str) -> Option<u64> {
    fields.only(name).and_then(parse_date).and_then(seconds)
}

fn seconds(time: SystemTime) -> Option<u64> {
    time.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}
