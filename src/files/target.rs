//! From a request target to a path beneath the root: decoded once, without dot segments. Pure.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, percent_decode, percent_encode};

/// What stands for itself in a path segment: `pchar` of RFC 3986 section 3.3 without `%`.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// The one name with a dot in front that is no secret (RFC 8615).
const WELL_KNOWN: &[u8] = b".well-known";

/// Pages with a clean URL have it.
pub(super) const PAGE_EXTENSION: &str = ".html";

/// A path that lies beneath the root by its form: no empty, dot or hidden segments. Links are another matter: the
/// root looks at those when it opens the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SafePath {
    /// Segments joined by `/`, none in front; empty for the root itself.
    bytes: Vec<u8>,
    /// The target ended with a slash: it asks for a directory.
    pub(super) is_directory: bool,
}

/// Why a target has no path beneath the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsafe {
    /// A percent sign without two hexadecimal digits, or an encoded NUL: no URI of this server.
    Malformed,
    /// Dot segments lead above the root.
    Above,
    /// An encoded slash, or a backslash: a separator where none may be.
    Separator,
    /// A segment begins with a dot.
    Hidden,
}

/// The longest path that Linux takes, in bytes (PATH_MAX without its end).
const PATH_BYTES_MAX: usize = 4_095;

impl SafePath {
    /// Reads the path of a target: it begins with `/` and has no query.
    pub(super) fn parse(path: &[u8]) -> Result<Self, Unsafe> {
        let mut bytes: Vec<u8> = Vec::with_capacity(path.len());
        let mut is_directory = true;
        for segment in path.split(|&byte| byte == b'/').skip(1) {
            let above = bytes.len();
            if above > 0 {
                bytes.push(b'/');
            }
            let start = bytes.len();
            decode(segment, &mut bytes)?;
            is_directory = matches!(&bytes[start..], b"" | b"." | b"..");
            match &bytes[start..] {
                b"" | b"." => bytes.truncate(above),
                b".." if above == 0 => return Err(Unsafe::Above),
                b".." => bytes.truncate(memchr::memrchr(b'/', &bytes[..above]).unwrap_or(0)),
                _ => {}
            }
        }
        let mut segments = bytes.split(|&byte| byte == b'/').enumerate();
        if segments.any(|(at, segment)| is_hidden(segment, at == 0)) {
            return Err(Unsafe::Hidden);
        }
        Ok(Self { bytes, is_directory })
    }

    /// The path of a file in this directory.
    pub(super) fn join(&self, name: &str) -> Self {
        let mut bytes = self.bytes.clone();
        if !bytes.is_empty() {
            bytes.push(b'/');
        }
        bytes.extend_from_slice(name.as_bytes());
        Self { bytes, is_directory: false }
    }

    /// The path of an entry of this directory; none of what no target can name.
    pub(super) fn child(&self, name: &[u8]) -> Option<Self> {
        let is_nameable = !name.is_empty() && !is_hidden(name, self.is_root()) && !name.contains(&b'\\');
        let separator: &[u8] = if self.is_root() { b"" } else { b"/" };
        is_nameable.then(|| Self { bytes: [&self.bytes, separator, name].concat(), is_directory: false })
    }

    /// The root itself.
    pub(super) fn root() -> Self {
        Self { bytes: Vec::new(), is_directory: true }
    }

    pub(super) fn is_root(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The path, relative to the root, decoded.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether no system opens it.
    pub(super) fn is_too_long(&self) -> bool {
        self.bytes.len() > PATH_BYTES_MAX
    }

    /// The last segment.
    pub(super) fn name(&self) -> &[u8] {
        self.bytes.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
    }

    /// The page that has this path for a clean URL; none where it is the root, or a page by its own name.
    pub(super) fn page(&self) -> Option<Self> {
        let is_page = self.is_root() || self.bytes.ends_with(PAGE_EXTENSION.as_bytes());
        (!is_page).then(|| self.with_suffix(PAGE_EXTENSION))
    }

    /// The path of the file beside it whose name goes on so.
    pub(super) fn with_suffix(&self, suffix: &str) -> Self {
        Self { bytes: [&self.bytes, suffix.as_bytes()].concat(), is_directory: false }
    }

    /// The path, relative to the root.
    pub(super) fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(if self.bytes.is_empty() { b"." } else { &self.bytes }))
    }

    /// The one spelling of this path as a target: absolute, encoded, with a slash behind a directory. It never begins
    /// with two slashes, which a browser would take for a host.
    pub(super) fn canonical(&self) -> String {
        let mut target = String::with_capacity(self.bytes.len() + 2);
        for segment in self.bytes.split(|&byte| byte == b'/').filter(|segment| !segment.is_empty()) {
            target.push('/');
            target.extend(encode_segment(segment));
        }
        if self.is_directory || target.is_empty() {
            target.push('/');
        }
        target
    }

    /// The target of the directory of this path.
    pub(super) fn as_directory(&self) -> Self {
        Self { bytes: self.bytes.clone(), is_directory: true }
    }

    /// The target of this path without its slash.
    pub(super) fn as_file(&self) -> Self {
        Self { bytes: self.bytes.clone(), is_directory: false }
    }
}

/// Whether a segment is one that clients don't see.
fn is_hidden(segment: &[u8], is_first: bool) -> bool {
    segment.first() == Some(&b'.') && !(is_first && segment == WELL_KNOWN)
}

/// A segment as a target has it.
pub(super) fn encode_segment(segment: &[u8]) -> PercentEncode<'_> {
    percent_encode(segment, SEGMENT)
}

/// The one spelling of a target's path, if it lies beneath the root by its form. Most come in that spelling, and are
/// given back as they are.
pub(crate) fn canonical_path(path: &[u8]) -> Option<Cow<'_, [u8]>> {
    if is_canonical(path) {
        return Some(Cow::Borrowed(path));
    }
    let safe = SafePath::parse(path).ok()?;
    Some(Cow::Owned(safe.canonical().into_bytes()))
}

/// Whether a path is its own canonical spelling for sure: nothing encoded or to be encoded, and no segment that is empty
/// or begins with a dot.
fn is_canonical(path: &[u8]) -> bool {
    let stands_for_itself = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte);
    let mut previous = 0;
    for &byte in path {
        if !stands_for_itself(byte) || previous == b'/' && matches!(byte, b'/' | b'.') {
            return false;
        }
        previous = byte;
    }
    path.first() == Some(&b'/')
}

/// Decodes a segment, once, behind what is there. Bytes that are not UTF-8 are a name like any other.
fn decode(segment: &[u8], bytes: &mut Vec<u8>) -> Result<(), Unsafe> {
    let well_formed = |at: usize| {
        let digits = segment.get(at + 1..at + 3);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !memchr::memchr_iter(b'%', segment).all(well_formed) {
        return Err(Unsafe::Malformed);
    }
    let start = bytes.len();
    bytes.extend(percent_decode(segment));
    let decoded = &bytes[start..];
    if decoded.contains(&0) {
        return Err(Unsafe::Malformed);
    }
    match memchr::memchr2(b'/', b'\\', decoded) {
        Some(_) => Err(Unsafe::Separator),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn targets_become_paths() {
        for (target, expected) in [
            ("/", Ok(("", true))),
            ("/a", Ok(("a", false))),
            ("/a/", Ok(("a", true))),
            ("/a//b", Ok(("a/b", false))),
            ("//a", Ok(("a", false))),
            ("/./a/./b", Ok(("a/b", false))),
            ("/a/../b", Ok(("b", false))),
            ("/a/..", Ok(("", true))),
            ("/a/%2e%2E/b", Ok(("b", false))),
            ("/a/b/.", Ok(("a/b", true))),
            ("/t1%2ehtml", Ok(("t1.html", false))),
            ("/pct%2541.txt", Ok(("pct%41.txt", false))),
            ("/a+b", Ok(("a+b", false))),
            ("/.well-known/x", Ok((".well-known/x", false))),
            ("/a/.well-known", Err(Unsafe::Hidden)),
            ("/.well-known/.x", Err(Unsafe::Hidden)),
            ("/.git/config", Err(Unsafe::Hidden)),
            ("/%2ehidden", Err(Unsafe::Hidden)),
            ("/...", Err(Unsafe::Hidden)),
            ("/.git/../a", Ok(("a", false))),
            ("/..", Err(Unsafe::Above)),
            ("/a/../../b", Err(Unsafe::Above)),
            ("/%2e%2e/b", Err(Unsafe::Above)),
            ("/..%2fb", Err(Unsafe::Separator)),
            ("/a%5cb", Err(Unsafe::Separator)),
            ("/a\\b", Err(Unsafe::Separator)),
            ("/%", Err(Unsafe::Malformed)),
            ("/%zz", Err(Unsafe::Malformed)),
            ("/%4", Err(Unsafe::Malformed)),
            ("/a%00b", Err(Unsafe::Malformed)),
            ("/%252e%252e/b", Ok(("%2e%2e/b", false))),
        ] {
            let expected = expected.map(|(path, is_directory): (&str, bool)| (path.as_bytes().to_vec(), is_directory));
            let parsed = SafePath::parse(target.as_bytes()).map(|path| (path.bytes, path.is_directory));
            assert_eq!(parsed, expected, "{target}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_kept() {
        let path = SafePath::parse(b"/%ff%c0%ae").unwrap();
        assert_eq!(path.bytes, b"\xff\xc0\xae");
        assert_eq!(path.canonical(), "/%FF%C0%AE");
    }

    proptest! {
        /// Whatever is asked for, what comes out has no way up, no separator within a segment, no hidden segment.
        #[test]
        fn paths_are_safe(target in "/([a.%/\\\\]|%2[eEfF5]|%5[cC]|%00|\u{fc}){0,40}") {
            if let Ok(path) = SafePath::parse(target.as_bytes()) {
                for segment in path.bytes.split(|&byte| byte == b'/') {
                    prop_assert!(segment.first() != Some(&b'.') && !segment.contains(&b'\\') && !segment.contains(&0));
                }
            }
        }

        /// A spelling that is taken as it came is the one that would have been made.
        #[test]
        fn a_path_has_one_canonical_spelling(target in "/[ab.%/\\\\|!~:@ \u{fc}]{0,12}") {
            let made = SafePath::parse(target.as_bytes()).ok().map(|path| path.canonical().into_bytes());
            prop_assert_eq!(canonical_path(target.as_bytes()).map(Cow::into_owned), made);
        }

        /// The canonical spelling means the same path, and is its own canonical spelling.
        #[test]
        fn canonical_is_a_fixed_point(segments in prop::collection::vec("[^/\\\\.\0][^/\\\\\0]{0,8}", 0..5), slash: bool) {
            let path = SafePath { bytes: segments.join("/").into_bytes(), is_directory: slash || segments.is_empty() };
            let canonical = path.canonical();
            prop_assert!(canonical.starts_with('/') && !canonical.starts_with("//"));
            prop_assert_eq!(SafePath::parse(canonical.as_bytes()), Ok(path));
        }
    }
}
