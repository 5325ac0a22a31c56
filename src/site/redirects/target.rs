//! The right side of a rule: where it leads. Pure.

use percent_encoding::{AsciiSet, percent_encode};

use super::pattern::is_name;
use crate::files::{NOT_IN_QUERY, canonical_path, encode_query};
use crate::site::hosts::parse_authority;

/// What a path has not (RFC 3986 section 3.3), but for the percent sign of what is encoded already.
const NOT_IN_PATH: &AsciiSet = &NOT_IN_QUERY.add(b'?').add(b'#');

/// What would end a value in a query.
const NOT_IN_VALUE: &AsciiSet = &NOT_IN_QUERY.add(b'&').add(b'+').add(b';').add(b'=').add(b'#');

/// A path of this site, or a URL of another, with places for captures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    /// Scheme and authority; empty for a path of this site. No capture gets in there, so no request chooses the host.
    origin: String,
    path: Vec<Piece>,
    query: Option<Vec<Piece>>,
    fragment: Option<Vec<Piece>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// Encoded.
    Literal(String),
    /// By its place among those of the pattern.
    Capture(usize),
}

impl Template {
    /// Reads a target that may use captures of these names.
    pub(super) fn parse(text: &str, names: &[String]) -> Result<Self, String> {
        let is_encoding = |part: &str| part.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
        if !text.split('%').skip(1).all(is_encoding) {
            return Err(format!("expected two hexadecimal digits behind each % of '{text}', %25 for the sign itself"));
        }
        let (origin, rest) = split_origin(text)?;
        let (rest, fragment) = split_off(rest, '#');
        let (path, query) = split_off(rest, '?');
        let pieces = |text: &str| pieces(text, names);
        let template = Self {
            origin,
            path: pieces(path)?,
            query: query.map(pieces).transpose()?,
            fragment: fragment.map(pieces).transpose()?,
        };
        if template.is_local() && !could_be_served(&template.path) {
            return Err(format!(
                "expected a target that could be served, without empty, hidden or dot segments, not '{text}'; \
                 another host begins with http:// or https://"
            ));
        }
        Ok(template)
    }

    /// A path of this site.
    pub(super) fn is_local(&self) -> bool {
        self.origin.is_empty()
    }

    /// A path and nothing else.
    pub(super) fn is_path(&self) -> bool {
        self.is_local() && self.query.is_none() && self.fragment.is_none()
    }

    /// It is the same for every request.
    pub(super) fn is_fixed(&self) -> bool {
        let pieces = [Some(&self.path), self.query.as_ref(), self.fragment.as_ref()];
        !pieces.into_iter().flatten().flatten().any(|piece| matches!(piece, Piece::Capture(_)))
    }

    /// It names an HTML file, or a directory, which answers with one.
    pub(super) fn is_page(&self) -> bool {
        let last = match self.path.last() {
            Some(Piece::Literal(last)) => last.as_str(),
            _ => return false,
        };
        [".html", ".htm", "/"].iter().any(|end| last.ends_with(end))
    }

    /// The path with these captures, encoded. One of this site begins with one slash and has no empty segment: an empty
    /// capture must not make `//evil.example` of it, which browsers take for a host (CVE-2021-28861).
    pub(super) fn path(&self, captures: &[&[u8]]) -> Vec<u8> {
        let mut path = Vec::new();
        for piece in &self.path {
            match piece {
                Piece::Literal(literal) => path.extend_from_slice(literal.as_bytes()),
                Piece::Capture(at) => path.extend_from_slice(captures.get(*at).copied().unwrap_or_default()),
            }
        }
        if self.is_local() {
            path.dedup_by(|next, before| *next == b'/' && *before == b'/');
        }
        path
    }

    /// The value of Location, with these captures and the query that was asked.
    pub(super) fn location(&self, captures: &[&[u8]], asked: Option<&[u8]>) -> Vec<u8> {
        let mut location = self.origin.clone().into_bytes();
        location.extend(self.path(captures));
        let own = self.query.as_ref().map(|query| values(query, captures));
        if let Some(query) = join_queries(own, asked.map(encode_query)) {
            location.push(b'?');
            location.extend(query);
        }
        if let Some(fragment) = &self.fragment {
            location.push(b'#');
            location.extend(values(fragment, captures));
        }
        location
    }
}

/// Scheme and authority of an absolute URL, as they are written in a Location; nothing for a path.
fn split_origin(text: &str) -> Result<(String, &str), String> {
    if text.starts_with('/') {
        return Ok((String::new(), text));
    }
    let expected =
        || format!("expected a path that begins with / or a URL that begins with http:// or https://, not '{text}'");
    let (scheme, rest) = text.split_once("://").ok_or_else(expected)?;
    let scheme = scheme.to_ascii_lowercase();
    if !matches!(&*scheme, "http" | "https") {
        return Err(expected());
    }
    let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (host, port) = parse_authority(authority).ok_or_else(|| {
        format!("expected a host, and perhaps a port, behind :// in '{text}'; captures may follow the host")
    })?;
    Ok((format!("{scheme}://{host}{}", port.map_or_else(String::new, |port| format!(":{port}"))), rest))
}

fn split_off(text: &str, separator: char) -> (&str, Option<&str>) {
    text.split_once(separator).map_or((text, None), |(before, after)| (before, Some(after)))
}

/// Takes a text apart at its captures, each a colon and a name.
fn pieces(text: &str, names: &[String]) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut parts = text.split(':');
    let mut literal = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = split_name(part);
        if name.is_empty() {
            literal.push(':');
            literal.push_str(part);
            continue;
        }
        let Some(at) = names.iter().position(|known| known == name) else {
            return Err(format!("':{name}' stands for nothing in the path before it; write %3A for a colon"));
        };
        pieces.push(Piece::Literal(encode(&literal)));
        pieces.push(Piece::Capture(at));
        literal = rest.to_owned();
    }
    pieces.push(Piece::Literal(encode(&literal)));
    pieces.retain(|piece| *piece != Piece::Literal(String::new()));
    Ok(pieces)
}

/// The name that a text begins with; empty if there is none.
fn split_name(text: &str) -> (&str, &str) {
    let is_of_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let (name, rest) = text.split_at(text.find(|character| !is_of_name(character)).unwrap_or(text.len()));
    if is_name(name) { (name, rest) } else { ("", text) }
}

/// Encodes what no URI has; what is encoded stays.
fn encode(literal: &str) -> String {
    literal
        .split('%')
        .map(|part| percent_encode(part.as_bytes(), NOT_IN_PATH).to_string())
        .collect::<Vec<_>>()
        .join("%")
}

/// Whether a path of this site could be served, as far as that can be seen before its captures are known.
fn could_be_served(path: &[Piece]) -> bool {
    let piece = |piece: &Piece| match piece {
        Piece::Literal(literal) => literal.clone(),
        Piece::Capture(_) => "x".to_owned(),
    };
    let sample: String = path.iter().map(piece).collect();
    let has_odd_segment = sample.contains("//") || sample.split('/').any(|segment| matches!(segment, "." | ".."));
    !has_odd_segment && canonical_path(sample.as_bytes()).is_some()
}

/// A query or a fragment with these captures, none of which can end the value that it stands in.
fn values(pieces: &[Piece], captures: &[&[u8]]) -> Vec<u8> {
    let mut text = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Literal(literal) => text.extend_from_slice(literal.as_bytes()),
            Piece::Capture(at) => {
                let capture = captures.get(*at).copied().unwrap_or_default();
                text.extend(percent_encode(capture, NOT_IN_VALUE).flat_map(str::bytes));
            }
        }
    }
    text
}

fn join_queries(own: Option<Vec<u8>>, asked: Option<Vec<u8>>) -> Option<Vec<u8>> {
    match (own, asked) {
        (Some(own), Some(asked)) if own.is_empty() => Some(asked),
        (Some(own), Some(asked)) if asked.is_empty() => Some(own),
        (Some(own), Some(asked)) => Some([own, asked].join(&b'&')),
        (own, asked) => own.or(asked),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(target: &str, captures: &[&str], asked: Option<&str>, expected: &str) {
        let names = ["id", "splat"].map(str::to_owned);
        let captures: Vec<&[u8]> = captures.iter().map(|capture| capture.as_bytes()).collect();
        let template = Template::parse(target, &names).unwrap();
        let location = template.location(&captures, asked.map(str::as_bytes));
        assert_eq!(location.escape_ascii().to_string(), expected, "{target} {captures:?}");
    }

    #[test]
    fn targets_take_captures_and_queries() {
        check("/new", &[], None, "/new");
        check("/new", &[], Some("a=1"), "/new?a=1");
        check("/new", &[], Some(""), "/new?");
        check("/new?b=2", &[], Some("a=1"), "/new?b=2&a=1");
        check("/new?b=2", &[], Some(""), "/new?b=2");
        check("/new?", &[], Some("a=1"), "/new?a=1");
        check("/new?b#c", &[], Some("a"), "/new?b&a#c");
        check("/new#c", &[], Some("a"), "/new?a#c");
        check("/n/:id/:splat", &["7", "a/b/"], None, "/n/7/a/b/");
        check("/n-:id.html", &["7"], None, "/n-7.html");
        check("/n?id=:id&x=1#:id", &["a&b=c+d%20"], None, "/n?id=a%26b%3Dc%2Bd%20&x=1#a%26b%3Dc%2Bd%20");
        check("https://Example.org/:splat", &["", "a/b"], Some("q"), "https://example.org/a/b?q");
        check("https://example.org:8443", &[], None, "https://example.org:8443");
        check("http://example.org?x=:id", &["1"], Some("q"), "http://example.org?x=1&q");
        check("https://a/x/../y//z", &[], None, "https://a/x/../y//z");
        check("/a b|c/stra\u{df}e/%41%2f".trim_end_matches("%2f"), &[], None, "/a%20b%7Cc/stra%C3%9Fe/%41");
        check("/time/10:30", &[], None, "/time/10:30");
        check("/talk%3Aid", &[], None, "/talk%3Aid");
        check("/n", &[], Some("a=[1]"), "/n?a=%5B1%5D");
    }

    /// CVE-2021-28861, CVE-2015-1164: what begins with two slashes is another host to a browser.
    #[test]
    fn no_capture_makes_another_host_of_a_path() {
        check("/:splat", &["", ""], None, "/");
        check("/:splat/x", &["", ""], None, "/x");
        check("/:splat/:id", &["evil.example", ""], None, "/evil.example");
        check("/:splat", &["", "evil.example/x"], None, "/evil.example/x");
        check("/a/:splat/b", &["", ""], None, "/a/b");
    }

    #[test]
    fn what_is_no_target_is_told() {
        for (target, told) in [
            ("new", "expected a path that begins with / or a URL"),
            ("ftp://a/b", "expected a path that begins with / or a URL"),
            ("javascript:alert", "expected a path that begins with / or a URL"),
            ("//evil.example", "another host begins with http://"),
            ("/a//b", "without empty, hidden or dot segments"),
            ("/../a", "without empty, hidden or dot segments"),
            ("/a/%2e%2e/../..", "without empty, hidden or dot segments"),
            ("/.git/x", "without empty, hidden or dot segments"),
            ("/\\evil.example", "could be served"),
            ("/%zz", "expected two hexadecimal digits"),
            ("/a?100%", "expected two hexadecimal digits"),
            ("/a%2f", "could be served"),
            ("https://", "expected a host"),
            ("https:///a", "expected a host"),
            ("https://user@a/", "expected a host"),
            ("https://:id.example/", "expected a host"),
            ("https://a:splat/", "expected a host"),
            ("https://*.a/", "expected a host"),
            ("/:other", "':other' stands for nothing"),
            ("/x?y=:other", "':other' stands for nothing"),
            ("/talk:about", "':about' stands for nothing in the path before it; write %3A for a colon"),
        ] {
            let error = Template::parse(target, &["id".to_owned(), "splat".to_owned()]).unwrap_err();
            assert!(error.contains(told), "{target}: {error}");
        }
    }
}
