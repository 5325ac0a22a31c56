//! The left side of a rule: which paths it is about. Pure.

use std::collections::BTreeSet;

use crate::files::canonical_path;

/// The name of what a `*` stands for.
const SPLAT: &str = "splat";

/// Paths, segment by segment. A slash at the end of a path means nothing: `/old` is about `/old/` too, and `/old/*` about
/// both and all beneath.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pattern {
    segments: Vec<Segment>,
    /// Whatever follows, if anything does.
    pub(super) has_splat: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Segment {
    /// In its canonical spelling.
    Literal(String),
    /// Any one segment.
    Any,
}

impl Pattern {
    /// Reads a pattern, and gives the names of its captures in order.
    pub(super) fn parse(text: &str) -> Result<(Self, Vec<String>), String> {
        let Some(path) = text.strip_prefix('/') else {
            return Err(format!("expected a path that begins with /, not '{text}'"));
        };
        if path.contains(['?', '#']) {
            return Err(format!("expected a path without query and fragment, not '{text}'"));
        }
        let (path, has_splat) = match path.strip_suffix('*') {
            Some(path) if path.is_empty() || path.ends_with('/') => (path, true),
            _ => (path, false),
        };
        if path.contains('*') {
            return Err(format!("expected one * at most, as the last segment, not '{text}'"));
        }
        let path = path.strip_suffix('/').unwrap_or(path);
        let parts: Vec<&str> = if path.is_empty() { Vec::new() } else { path.split('/').collect() };
        let mut names = Vec::new();
        let segment = |part: &&str| match part.strip_prefix(':') {
            Some(name) if is_name(name) => {
                names.push(name.to_owned());
                Ok(Segment::Any)
            }
            Some(_) => Err(format!(
                "expected a name of letters, digits and _ behind the colon of '{part}', or %3A for the colon"
            )),
            None => literal(part).map(Segment::Literal),
        };
        let segments: Vec<Segment> = parts.iter().map(segment).collect::<Result<_, _>>()?;
        names.extend(has_splat.then(|| SPLAT.to_owned()));
        if names.iter().collect::<BTreeSet<_>>().len() < names.len() {
            return Err(format!("expected each name once in '{text}'"));
        }
        let pattern = Self { segments, has_splat };
        // What is above the root or hidden is asked for in vain, whatever rules there are.
        let sample = pattern.fill(|_| "x".to_owned());
        match canonical_path(sample.as_bytes()) {
            Some(canonical) if *canonical == *sample.as_bytes() => Ok((pattern, names)),
            _ => Err(format!("expected a path that could be served, not '{text}'")),
        }
    }

    /// The one path that it is about, but for a slash at its end; none where there are several.
    pub(super) fn only_path(&self) -> Option<String> {
        let is_fixed = !self.has_splat && !self.segments.contains(&Segment::Any);
        is_fixed.then(|| self.fill(|_| String::new()).trim_end_matches('/').to_owned())
    }

    /// What the first segment must be, if it is always the same.
    pub(super) fn first(&self) -> Option<&str> {
        match self.segments.first() {
            Some(Segment::Literal(first)) => Some(first),
            _ => None,
        }
    }

    /// How many captures it has.
    pub(super) fn count(&self) -> usize {
        self.segments.iter().filter(|segment| **segment == Segment::Any).count() + usize::from(self.has_splat)
    }

    /// What stands in it as it is.
    pub(super) fn literals(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(literal) => Some(literal.as_str()),
            Segment::Any => None,
        })
    }

    pub(super) fn matches(&self, path: &[u8]) -> bool {
        self.walk(path, |_| ())
    }

    /// What its captures stand for in a canonical path, in order.
    pub(super) fn captures<'p>(&self, path: &'p [u8]) -> Option<Vec<&'p [u8]>> {
        let mut captures = Vec::new();
        self.walk(path, |capture| captures.push(capture)).then_some(captures)
    }

    fn walk<'p>(&self, path: &'p [u8], mut capture: impl FnMut(&'p [u8])) -> bool {
        let mut rest = path.strip_prefix(b"/").unwrap_or(path);
        for segment in &self.segments {
            let (found, after) = rest.split_at(memchr::memchr(b'/', rest).unwrap_or(rest.len()));
            match segment {
                _ if found.is_empty() => return false,
                Segment::Literal(literal) if literal.as_bytes() != found => return false,
                Segment::Literal(_) => {}
                Segment::Any => capture(found),
            }
            rest = after.strip_prefix(b"/").unwrap_or(after);
        }
        if self.has_splat {
            capture(rest);
        }
        self.has_splat || rest.is_empty()
    }

    /// A path that it is about, with these captures.
    pub(super) fn fill(&self, mut capture: impl FnMut(usize) -> String) -> String {
        let mut path = String::new();
        let mut captures = 0;
        let mut next = || {
            captures += 1;
            capture(captures - 1)
        };
        for segment in &self.segments {
            path.push('/');
            match segment {
                Segment::Literal(literal) => path.push_str(literal),
                Segment::Any => path.push_str(&next()),
            }
        }
        if self.has_splat || path.is_empty() {
            path.push('/');
        }
        if self.has_splat {
            path.push_str(&next());
        }
        path
    }
}

/// The letters that a capture's name may have.
pub(super) fn is_name(name: &str) -> bool {
    let is_letter = |character: char| character.is_ascii_alphabetic() || character == '_';
    name.starts_with(is_letter) && name.chars().all(|character| is_letter(character) || character.is_ascii_digit())
}

/// A segment in its canonical spelling.
fn literal(segment: &str) -> Result<String, String> {
    let path = format!("/{segment}");
    let spelt = canonical_path(path.as_bytes()).and_then(|path| String::from_utf8(path.into_owned()).ok());
    let spelt = spelt.and_then(|path| path.strip_prefix('/').map(str::to_owned));
    spelt.filter(|segment| !segment.is_empty()).ok_or_else(|| {
        format!("expected a path that could be served, without empty, hidden or dot segments, not '{segment}' in it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, path: &str, expected: Option<&[&str]>) {
        let (pattern, _) = Pattern::parse(pattern).unwrap();
        let captures = pattern.captures(path.as_bytes());
        let captures: Option<Vec<_>> =
            captures.map(|captures| captures.into_iter().map(|capture| str::from_utf8(capture).unwrap()).collect());
        assert_eq!(captures.as_deref(), expected, "{pattern:?} {path}");
        assert_eq!(pattern.matches(path.as_bytes()), expected.is_some(), "{pattern:?} {path}");
    }

    #[test]
    fn patterns_are_about_paths() {
        for (pattern, path, expected) in [
            ("/", "/", Some(&[][..])),
            ("/", "/a", None),
            ("/old", "/old", Some(&[])),
            ("/old", "/old/", Some(&[])),
            ("/old/", "/old", Some(&[])),
            ("/old", "/older", None),
            ("/old", "/old/x", None),
            ("/old/*", "/old", Some(&[""])),
            ("/old/*", "/old/", Some(&[""])),
            ("/old/*", "/old/a/b/", Some(&["a/b/"])),
            ("/old/*", "/older", None),
            ("/*", "/", Some(&[""])),
            ("/*", "/a/b", Some(&["a/b"])),
            ("/:year/:month", "/2026/11", Some(&["2026", "11"])),
            ("/:year/:month", "/2026/11/", Some(&["2026", "11"])),
            ("/:year/:month", "/2026", None),
            ("/:year/:month", "/2026/", None),
            ("/:year/:month", "/2026/11/21", None),
            ("/blog/:id/*", "/blog/7", Some(&["7", ""])),
            ("/blog/:id/*", "/blog/7/a/b", Some(&["7", "a/b"])),
            ("/blog/:id/*", "/blog/", None),
            ("/a%62c", "/abc", Some(&[])),
            ("/%3Ax", "/:x", Some(&[])),
            ("/a b", "/a%20b", Some(&[])),
            ("/stra\u{df}e", "/stra%C3%9Fe", Some(&[])),
            ("/.well-known/x", "/.well-known/x", Some(&[])),
        ] {
            check(pattern, path, expected);
        }
    }

    #[test]
    fn what_is_no_pattern_is_told() {
        for (pattern, told) in [
            ("old", "expected a path that begins with /, not 'old'"),
            ("https://a/b", "expected a path that begins with /"),
            ("/a?b", "expected a path without query"),
            ("/a#b", "expected a path without query"),
            ("/a*", "expected one * at most, as the last segment"),
            ("/*/a", "expected one * at most, as the last segment"),
            ("/*/*", "expected one * at most, as the last segment"),
            ("/:", "expected a name"),
            ("/:1a", "expected a name"),
            ("/:a.html", "expected a name"),
            ("/:a/:a", "expected each name once"),
            ("/:splat/*", "expected each name once"),
            ("//a", "without empty"),
            ("/a//b", "without empty"),
            ("/a/./b", "without empty"),
            ("/../a", "without empty"),
            ("/.git/*", "without empty"),
            ("/a/.well-known", "expected a path that could be served"),
            ("/%zz", "could be served"),
            ("/a%2fb", "could be served"),
            ("/a\\b", "could be served"),
        ] {
            let error = Pattern::parse(pattern).unwrap_err();
            assert!(error.contains(told), "{pattern}: {error}");
        }
    }
}
