//! Preconditions: the order of RFC 9110 section 13.2.2, and dates that mean what they say.
//!
//! The plan: which entity tag, and which date of the last change. What follows are field lines.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use salver::files::stages::State;
use salver::http::stages::{read, scan};
use salver::http::{Limits, format_date, parse_date};

use super::{numbers, split_plan, wire};

const ETAGS: [Option<&str>; 4] = [Some("\"a\""), None, Some("\"a,b\""), Some("\"\"")];

/// Fri, 06 Dec 2024 00:00:00 GMT
const MODIFIED: i64 = 1_733_443_200;

const DATES: [Option<i64>; 4] = [Some(MODIFIED), None, Some(MODIFIED + 100), Some(2)];

/// A little after the last change.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(MODIFIED as u64 + 100)
}

pub fn check(input: &[u8]) {
    let (plan, lines) = split_plan(input);
    let mut numbers = numbers(plan);
    let mut choose = || numbers.next().unwrap_or(0) as usize % 4;
    let (etag, modified) = (ETAGS[choose()], DATES[choose()]);
    let head = [b"GET / HTTP/1.1\r\nHost: a\r\n", lines, b"\r\n\r\n"].concat();
    let Some(end) = scan(&head, &Limits::default()) else { return };
    let head = &head[..end];
    read(head, |request| {
        let state = State::new(etag, modified);
        let known = Known { head, etag: etag.map(str::as_bytes), modified };
        assert_eq!(state.evaluate(request.fields, now), known.status(), "{}", head.escape_ascii());
        assert_eq!(state.range_stands(request.fields, now), known.range_stands(), "{}", head.escape_ascii());
        wire::fields(head).for_each(|(_, value)| date(value));
    });
}

/// The same by the book.
struct Known<'h> {
    head: &'h [u8],
    etag: Option<&'h [u8]>,
    modified: Option<i64>,
}

impl Known<'_> {
    /// The steps of section 13.2.2, by their numbers.
    fn status(&self) -> u16 {
        // 1
        let mut goes_on = self.tags("if-match").map(|tags| self.listed(&tags, |tag| tag.to_vec()));
        // 2
        if goes_on.is_none() {
            goes_on = self.date("if-unmodified-since").zip(self.modified).map(|(since, modified)| modified <= since);
        }
        if goes_on == Some(false) {
            return 412;
        }
        // 3
        let weakly = |tag: &[u8]| tag.strip_prefix(b"W/").unwrap_or(tag).to_vec();
        let mut is_new = self.tags("if-none-match").map(|tags| !self.listed(&tags, weakly));
        // 4
        if is_new.is_none() {
            is_new = self.date("if-modified-since").zip(self.modified).map(|(since, modified)| modified > since);
        }
        if is_new == Some(false) { 304 } else { 200 }
    }

    /// Section 13.1.5.
    fn range_stands(&self) -> bool {
        let values = self.values("if-range");
        match values[..] {
            [] => true,
            [tag] if tag.starts_with(b"\"") => self.etag == Some(tag),
            [date] => {
                let date = parse_date(date, now());
                let is_strong = date.is_some_and(|date| date + Duration::from_secs(1) <= now());
                is_strong && date.map(seconds) == self.modified
            }
            _ => false,
        }
    }

    fn values(&self, name: &str) -> Vec<&[u8]> {
        wire::fields(self.head).filter(|field| field.0.eq_ignore_ascii_case(name)).map(|field| field.1).collect()
    }

    /// The tags of a field that is there; `*` is one that every state has.
    fn tags(&self, name: &str) -> Option<Vec<Vec<u8>>> {
        let values = self.values(name);
        match values[..] {
            [] => None,
            [b"*"] => Some(vec![b"*".to_vec()]),
            _ => Some(values.into_iter().flat_map(entity_tags).collect()),
        }
    }

    fn listed(&self, tags: &[Vec<u8>], read: impl Fn(&[u8]) -> Vec<u8>) -> bool {
        tags.iter().any(|tag| tag == b"*" || self.etag.is_some_and(|etag| read(tag) == etag))
    }

    /// A field that comes once, with a date that has come.
    fn date(&self, name: &str) -> Option<i64> {
        match self.values(name)[..] {
            [value] => parse_date(value, now()).filter(|date| *date <= now()).map(seconds),
            _ => None,
        }
    }
}

/// `#entity-tag`, up to the first member that is none.
fn entity_tags(value: &[u8]) -> Vec<Vec<u8>> {
    let (mut tags, mut member, mut in_quotes) = (Vec::new(), Vec::new(), false);
    for &byte in value.iter().chain(b",") {
        in_quotes ^= byte == b'"';
        if byte != b',' || in_quotes {
            member.push(byte);
            continue;
        }
        let tag = wire::trim(&member);
        let opaque = tag.strip_prefix(b"W/").unwrap_or(tag);
        match opaque {
            [] if tag.is_empty() => {}
            [b'"', inner @ .., b'"'] if !inner.contains(&b'"') => tags.push(tag.to_vec()),
            _ => return tags,
        }
        member.clear();
    }
    tags
}

/// A date that is taken for one is written as one of the three forms has it.
fn date(value: &[u8]) {
    let Some(date) = parse_date(value, now()) else { return };
    let text = std::str::from_utf8(value).unwrap();
    // A leap second is the first second of the next minute.
    let is_leap = text.contains(":60");
    let before = date - Duration::from_secs(u64::from(is_leap));
    // The calendar repeats every 400 years, of whole weeks, and dates are only written from 1970 on.
    const CYCLE_SECONDS: u64 = 146_097 * 86_400;
    let (shift, years) = if before < UNIX_EPOCH { (5 * CYCLE_SECONDS, 2_000) } else { (0, 0) };
    let written = format_date(before + Duration::from_secs(shift)).unwrap();
    let written = if is_leap { format!("{}60 GMT", &written[..23]) } else { written };
    let [weekday, day, month, year, time, _] = written.split(' ').collect::<Vec<_>>()[..] else { panic!("{written}") };
    let year = format!("{:04}", year.parse::<u64>().unwrap() - years);
    let weekday = weekday.trim_end_matches(',');
    let weekdays = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
    let long_weekday = weekdays.into_iter().find(|name| name.starts_with(weekday)).unwrap();
    let padded = day.strip_prefix('0').map_or_else(|| day.to_owned(), |digit| format!(" {digit}"));
    let forms = [
        format!("{weekday}, {day} {month} {year} {time} GMT"),
        format!("{long_weekday}, {day}-{month}-{} {time} GMT", &year[2..]),
        format!("{weekday} {month} {padded} {time} {year}"),
        format!("{weekday} {month} {day} {time} {year}"),
    ];
    assert!(forms.iter().any(|form| form == text), "{text:?} is none of {forms:?}");
    if text.contains('-') {
        assert!(seconds(date) <= seconds(now()) + 50 * 1_461 * 86_400 / 4, "{text:?} is more than 50 years ahead");
    }
}

fn seconds(date: SystemTime) -> i64 {
    let whole = |distance: Duration| distance.as_secs() as i64;
    date.duration_since(UNIX_EPOCH).map_or_else(|error| -whole(error.duration()), whole)
}
