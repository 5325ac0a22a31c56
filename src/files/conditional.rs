//! Preconditions (RFC 9110 section 13). Pure.

use std::time::{Duration, SystemTime};

use super::validators::Validators;
use crate::http::{Fields, parse_date, parse_seconds, since_1970};

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
/// Few requests have a date, so what time it is is only asked for those.
pub(super) fn evaluate(fields: Fields<'_>, validators: &Validators, now: fn() -> SystemTime) -> Outcome {
    if fields.has("if-match") {
        if !matches_any(fields, "if-match", validators, strong_match) {
            return Outcome::Failed;
        }
    } else if let Some(since) = date_field(fields, "if-unmodified-since", now)
        && validators.last_modified.is_some_and(|modified| modified > since)
    {
        return Outcome::Failed;
    }
    if fields.has("if-none-match") {
        if matches_any(fields, "if-none-match", validators, weak_match) {
            return Outcome::NotModified;
        }
    } else if let Some(since) = date_field(fields, "if-modified-since", now)
        && validators.last_modified.is_some_and(|modified| modified <= since)
    {
        return Outcome::NotModified;
    }
    Outcome::Proceed
}

/// Whether If-Range lets a Range stand (RFC 9110 section 13.1.5): it has to name this state strongly. A date does so only
/// if it is exactly Last-Modified, and that lies far enough in the past that no later state can have the same, nor has
/// a variant.
pub(super) fn range_stands(fields: Fields<'_>, validators: &Validators, now: fn() -> SystemTime) -> bool {
    let mut values = fields.all("if-range");
    let Some(value) = values.next() else { return true };
    if values.next().is_some() {
        return false;
    }
    if value.starts_with(b"\"") {
        return validators.etag.as_deref() == Some(value);
    }
    if validators.date_is_shared {
        return false;
    }
    let now = now();
    let Some(date) = parse_date(value, now) else { return false };
    validators.last_modified == Some(since_1970(date)) && now.duration_since(date).is_ok_and(|age| age >= STRONG_AFTER)
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

/// The date of a field that has just one. A date that hasn't come yet says nothing of what was changed since.
fn date_field(fields: Fields<'_>, name: &str, now: fn() -> SystemTime) -> Option<i64> {
    let (value, now) = (fields.only(name)?, since_1970(now()));
    parse_seconds(value, now).filter(|&date| date <= now)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use httparse::Header;
    use proptest::prelude::*;

    /// Fri, 06 Dec 2024 00:00:00 GMT
    const MODIFIED: u64 = 1_733_443_200;

    fn validators() -> Validators {
        let etag = Some(b"\"a,b\"".to_vec());
        Validators { etag, last_modified: Some(MODIFIED as i64), ..Validators::default() }
    }

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(MODIFIED + 100)
    }

    fn with_fields<T>(lines: &[(&str, &str)], then: impl FnOnce(Fields<'_>) -> T) -> T {
        let bytes: String = lines.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let mut slots = [httparse::EMPTY_HEADER; 8];
        let head = format!("{bytes}\r\n");
        let Ok(httparse::Status::Complete((_, parsed))) = httparse::parse_headers(head.as_bytes(), &mut slots) else {
            panic!("{head}")
        };
        let parsed: &[Header<'_>] = parsed;
        then(Fields::of(parsed))
    }

    #[track_caller]
    fn check(lines: &[(&str, &str)], expected: Outcome) {
        assert_eq!(with_fields(lines, |fields| evaluate(fields, &validators(), now)), expected, "{lines:?}");
    }

    const SAME: &str = "Fri, 06 Dec 2024 00:00:00 GMT";
    const BEFORE: &str = "Thu, 05 Dec 2024 23:59:59 GMT";
    const AFTER: &str = "Fri, 06 Dec 2024 00:00:01 GMT";

    /// A second after [`now`].
    const FUTURE: &str = "Fri, 06 Dec 2024 00:01:41 GMT";

    #[test]
    fn entity_tags_match_as_their_field_says() {
        use Outcome::{Failed, NotModified, Proceed};
        for (tags, none_match, matching) in [
            ("\"a,b\"", NotModified, Proceed),
            ("W/\"a,b\"", NotModified, Failed),
            ("\"x\", \"a,b\"", NotModified, Proceed),
            (",, \"x\" ,\t\"a,b\",", NotModified, Proceed),
            ("*", NotModified, Proceed),
            ("\"*\"", Proceed, Failed),
            ("\"x\"", Proceed, Failed),
            ("a,b", Proceed, Failed),
            ("\"a,b", Proceed, Failed),
            ("", Proceed, Failed),
            ("\"x\" \"a,b\"", Proceed, Failed),
        ] {
            check(&[("If-None-Match", tags)], none_match);
            check(&[("If-Match", tags)], matching);
        }
        check(&[("If-None-Match", "\"x\""), ("If-None-Match", "\"a,b\"")], NotModified);
    }

    #[test]
    fn dates_compare_by_the_second() {
        check(&[("If-Modified-Since", SAME)], Outcome::NotModified);
        check(&[("If-Modified-Since", AFTER)], Outcome::NotModified);
        check(&[("If-Modified-Since", BEFORE)], Outcome::Proceed);
        check(&[("If-Unmodified-Since", SAME)], Outcome::Proceed);
        check(&[("If-Unmodified-Since", BEFORE)], Outcome::Failed);
        // Long before 1970, and in the two other forms.
        check(&[("If-Modified-Since", "Fri, 06 Dec 1901 00:00:00 GMT")], Outcome::Proceed);
        check(&[("If-Unmodified-Since", "Fri, 06 Dec 1901 00:00:00 GMT")], Outcome::Failed);
        check(&[("If-Modified-Since", "Friday, 06-Dec-24 00:00:00 GMT")], Outcome::NotModified);
        check(&[("If-Modified-Since", "Fri Dec  6 00:00:00 2024")], Outcome::NotModified);
        check(&[("If-Modified-Since", SAME), ("If-Modified-Since", SAME)], Outcome::Proceed);
        for garbage in ["", "yesterday", "2024-12-06", FUTURE] {
            check(&[("If-Modified-Since", garbage)], Outcome::Proceed);
            check(&[("If-Unmodified-Since", garbage)], Outcome::Proceed);
        }
    }

    #[test]
    fn tags_win_over_dates_and_match_over_none_match() {
        check(&[("If-None-Match", "\"x\""), ("If-Modified-Since", SAME)], Outcome::Proceed);
        check(&[("If-Match", "\"a,b\""), ("If-Unmodified-Since", BEFORE)], Outcome::Proceed);
        check(&[("If-Match", "\"x\""), ("If-None-Match", "\"a,b\"")], Outcome::Failed);
        check(&[("If-Unmodified-Since", BEFORE), ("If-Modified-Since", AFTER)], Outcome::Failed);
    }

    #[test]
    fn a_range_stands_only_on_a_strong_validator() {
        for (value, stands) in [
            ("\"a,b\"", true),
            ("W/\"a,b\"", false),
            ("\"x\"", false),
            (SAME, true),
            (BEFORE, false),
            (AFTER, false),
            ("garbage", false),
            ("", false),
        ] {
            let found = with_fields(&[("If-Range", value)], |fields| range_stands(fields, &validators(), now));
            assert_eq!(found, stands, "{value}");
        }
        let same_second = || UNIX_EPOCH + Duration::from_secs(MODIFIED);
        assert!(!with_fields(&[("If-Range", SAME)], |fields| range_stands(fields, &validators(), same_second)));
        assert!(with_fields(&[], |fields| range_stands(fields, &validators(), now)));
        let shared = Validators { date_is_shared: true, ..validators() };
        assert!(
            !with_fields(&[("If-Range", SAME)], |fields| range_stands(fields, &shared, now)),
            "a variant has it too"
        );
        assert!(with_fields(&[("If-Range", "\"a,b\"")], |fields| range_stands(fields, &shared, now)));
    }

    #[test]
    fn without_validators_nothing_matches_but_the_star() {
        let none = Validators::default();
        for (name, value, expected) in [
            ("If-None-Match", "\"\"", Outcome::Proceed),
            ("If-None-Match", "*", Outcome::NotModified),
            ("If-Match", "\"\"", Outcome::Failed),
            ("If-Modified-Since", SAME, Outcome::Proceed),
            ("If-Unmodified-Since", BEFORE, Outcome::Proceed),
        ] {
            assert_eq!(
                with_fields(&[(name, value)], |fields| evaluate(fields, &none, now)),
                expected,
                "{name}: {value}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_list_panics(list: Vec<u8>) {
            EntityTags(&list).count();
        }
    }
}
