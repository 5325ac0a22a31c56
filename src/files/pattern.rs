//! Patterns of paths, as rules about files have them. Pure.

use std::fmt;
use std::str::FromStr;

use fast_glob::{ErrorKind, glob_match, validate};

use super::rules::Place;

/// A glob over the path beneath the root of a site, as it is decoded.
///
/// - `*.css` and other patterns without a slash match the name of a file or directory, wherever it lies.
/// - `/img/*.png` and others with one match the path from the root; `*` and `?` stand for no slash, `**` for any
///   directories.
/// - `/img/` and `/img/*` match all that lies beneath, and `/*` everything.
/// - `[a-z]` and `{a,b}` are as in a shell; a backslash takes what follows it literally. `?` is one byte: a letter outside
///   ASCII takes several.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    /// What it means to the matcher.
    glob: String,
    /// The same of all that lies beneath what it matches; none where it matches that by itself.
    beneath: Option<String>,
    /// It is matched with names.
    is_name: bool,
    pub(super) place: Place,
}

impl FromStr for Pattern {
    type Err = String;

    /// Fails with what is wrong with it.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("a pattern can't be empty".to_owned());
        }
        if text.ends_with('/') { Self::compile(text, &format!("{text}**")) } else { Self::of_path(text) }
    }
}

impl Pattern {
    /// One of which a slash at the end means nothing.
    pub(super) fn of_path(text: &str) -> Result<Self, String> {
        let glob = if text.ends_with("/*") { format!("{text}*") } else { text.trim_end_matches('/').to_owned() };
        Self::compile(text, &glob)
    }

    fn compile(text: &str, glob: &str) -> Result<Self, String> {
        if text.chars().any(char::is_control) {
            return Err("a pattern has no control characters".to_owned());
        }
        if text.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err("a pattern has no dot segments; paths start from the root".to_owned());
        }
        if has_bare_comma(text) {
            return Err(
                "a comma stands in braces, or behind a backslash; each pattern has a line of its own".to_owned()
            );
        }
        validate(text).map_err(|error| what_is_wrong(error.kind).to_owned())?;
        let glob = glob.trim_start_matches('/');
        // It would turn the meaning round, which no rule has a use for.
        let escape = if glob.starts_with('!') { "\\" } else { "" };
        let is_name = !text.contains('/');
        let glob = format!("{escape}{glob}");
        let has_it = glob.is_empty() || glob == "**" || glob.ends_with("/**");
        let beneath = (!has_it).then(|| format!("{glob}/**"));
        Ok(Self { text: text.to_owned(), glob, beneath, is_name, place: Place::default() })
    }
}

impl Pattern {
    /// Told where it is written, for those who ask which rule it was.
    #[must_use]
    pub fn placed(mut self, place: String) -> Self {
        self.place.0 = place;
        self
    }

    /// Whether it matches this path, relative to the root of the site and decoded.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        let matched = if self.is_name { path.rsplit(|&byte| byte == b'/').next().unwrap_or_default() } else { path };
        glob_match(&self.glob, matched)
    }

    /// Whether it matches this path or a directory above it. Not by matching with each of these: strangers choose how deep a
    /// path is.
    pub(super) fn covers(&self, path: &[u8]) -> bool {
        if self.is_name {
            return path.split(|&byte| byte == b'/').any(|name| glob_match(&self.glob, name));
        }
        glob_match(&self.glob, path) || self.beneath.as_ref().is_some_and(|beneath| glob_match(beneath, path))
    }
}

fn what_is_wrong(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::UnclosedBrace => "unclosed braces; missing '}'",
        ErrorKind::UnclosedBracket => "unclosed character class; missing ']'",
        ErrorKind::TrailingBackslash => "a backslash at the end, which nothing follows; write it twice",
        // And what later versions of the crate may tell.
        _ => "too many braces; expected 10 at most",
    }
}

/// Whether there is a comma that means nothing: who writes one mostly means two patterns.
fn has_bare_comma(text: &str) -> bool {
    let (mut depth, mut is_escaped) = (0, false);
    text.chars().any(|character| {
        match character {
            '{' | '[' if !is_escaped => depth += 1,
            '}' | ']' if !is_escaped => depth -= 1,
            ',' if !is_escaped && depth <= 0 => return true,
            _ => {}
        }
        is_escaped = character == '\\' && !is_escaped;
        false
    })
}

/// As it was written.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_match_names_or_paths() {
        for (pattern, matched, not_matched) in [
            ("*.css", &["a.css", "deep/er/a.css", ".css"][..], &["a.css/b", "a.cssx", ""][..]),
            ("/*.css", &["a.css"], &["deep/a.css"]),
            ("/img/*.png", &["img/a.png"], &["img/deep/a.png", "a/img/a.png"]),
            ("/img/**/*.png", &["img/a.png", "img/b/c/a.png"], &["a.png"]),
            ("/img/*", &["img/a.png", "img/b/c.png"], &["img", "imgs/a"]),
            ("img/", &["img/a.png", "img/b/c.png"], &["img", "a/img/b"]),
            ("/*", &["a", "a/b", ""], &[]),
            ("/", &["a", "a/b", ""], &[]),
            ("index.html", &["index.html", "a/index.html"], &["index.htm"]),
            ("/index.html", &["index.html"], &["a/index.html"]),
            ("*.{js,mjs}", &["a.js", "b/a.mjs"], &["a.json"]),
            ("[ab]?", &["a1", "x/b2"], &["c1", "a"]),
            ("a\\*", &["a*"], &["ab"]),
            ("\u{e9}*", &["\u{e9}t\u{e9}"], &["e"]),
            ("caf\u{e9}?", &["caf\u{e9}s"], &["caf\u{e9}"]),
            ("!a", &["!a", "b/!a"], &["a", "b"]),
            ("[!a]b", &["cb"], &["ab", "b"]),
            ("/**/a", &["a", "b/a", "b/c/a"], &["ba"]),
            ("/{a,b/c}/*.js", &["a/x.js", "b/c/x.js"], &["b/x.js", "a/c/x.js"]),
            ("/a/**/b/*", &["a/b/c", "a/x/y/b/c/d"], &["a/b", "b/c"]),
            ("*a*a*a*a*a*a*a*a*b", &["aaaaaaaab"], &["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac"]),
        ] {
            let parsed: Pattern = pattern.parse().unwrap();
            matched.iter().for_each(|path| assert!(parsed.matches(path.as_bytes()), "{pattern} {path}"));
            not_matched.iter().for_each(|path| assert!(!parsed.matches(path.as_bytes()), "{pattern} {path}"));
            assert_eq!(parsed.to_string(), pattern);
        }
    }

    #[test]
    fn a_pattern_covers_what_lies_beneath_what_it_matches() {
        for (pattern, path, covered) in [
            ("drafts", "drafts", true),
            ("drafts", "blog/drafts/a/b", true),
            ("/drafts", "blog/drafts/a", false),
            ("/drafts", "drafts/a", true),
            ("*.map", "js/a.map", true),
            ("*.map", "js/a.js", false),
        ] {
            let pattern: Pattern = pattern.parse().unwrap();
            assert_eq!(pattern.covers(path.as_bytes()), covered, "{pattern} {path}");
        }
    }

    proptest! {
        /// What a pattern covers is what it matches, or lies beneath that.
        #[test]
        fn covering_is_matching_some_start(
            pattern in r"/?(\*\*/)?([ab*?]|\{a,b\}|\[ab\]|\{a/b,b\}){1,3}(/(\*|\*\*|[ab?]{1,2}|\{a,b/a\})){0,4}/?",
            path in "[ab]{0,3}(/[ab]{1,3}){0,6}",
        ) {
            let pattern: Pattern = pattern.parse().unwrap();
            let path = path.trim_start_matches('/').as_bytes();
            let ends = memchr::memchr_iter(b'/', path).chain([path.len()]);
            let expected = ends.into_iter().any(|end| pattern.matches(&path[..end]));
            prop_assert_eq!(pattern.covers(path), expected, "{} {}", pattern, path.escape_ascii());
        }
    }

    #[test]
    fn what_is_no_pattern_is_told() {
        for (pattern, reason) in [
            ("", "empty"),
            ("a[", "unclosed"),
            ("{a", "unclosed"),
            ("a\\", "backslash"),
            ("{a,{a,{a,{a,{a,{a,{a,{a,{a,{a,{a,b}}}}}}}}}}}", "braces"),
            ("a\nb", "control"),
            ("./a", "dot"),
            ("a,b", "comma"),
        ] {
            let error = pattern.parse::<Pattern>().unwrap_err();
            assert!(error.contains(reason), "{pattern}: {error}");
        }
    }

    #[test]
    fn any_bytes_are_a_path() {
        let pattern: Pattern = "*.\u{e9}".parse().unwrap();
        assert!(!pattern.matches(b"\xff\xfe.\xe9"));
        assert!("*".parse::<Pattern>().unwrap().matches(b"\xff"));
    }
}
