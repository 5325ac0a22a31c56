//! Parts of a site that rules of access are about. This layer tells which of them a file lies in; what that means is for
//! who asks. Pure.

use std::borrow::Cow;
use std::iter;

use super::options::Coding;
use super::pattern::Pattern;
use super::siblings::suffix;
use super::target::{PAGE_EXTENSION, SafePath, canonical_path};

/// Longer paths are put together on the heap.
const SHORT_PATH_BYTES: usize = 256;

/// Names of one file, with fewer and fewer suffixes: who asks for `/a.gz.gz.gz...` must not have all of them matched.
const NAMES_MAX: usize = 4;

/// Parts of a site by patterns, 64 at most; a set of them is a bit each, the first in the lowest.
///
/// A pattern covers what it matches and all that lies beneath. A variant beside a file (`page.html.gz`) lies where that
/// file does, and a page where its clean URL does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Areas {
    /// None is the whole site.
    patterns: Vec<Option<Pattern>>,
    /// Files in these are not for caches that others share.
    private: u64,
    /// Files in these are, if that is said later than that they are private.
    public: u64,
    /// Files in these are not either, whatever else is said: it depends on where a client is.
    by_network: u64,
    /// A page lies also where its name without `.html` does.
    has_clean_urls: bool,
}

/// For whom what lies in an area is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// For users.
    Users,
    /// For everybody.
    Everybody,
    /// For clients of some networks.
    Networks,
}

impl Areas {
    /// The most there can be.
    pub const MAX: usize = u64::BITS as usize;

    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Says whether pages have clean URLs: what `/about` lies in, `about.html` does too.
    #[must_use]
    pub fn with_clean_urls(mut self, has_clean_urls: bool) -> Self {
        self.has_clean_urls = has_clean_urls;
        self
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Adds one, and gives its number; none where there are too many. Of those for users and for everybody the last counts.
    pub fn add(&mut self, pattern: Option<Pattern>, audience: Audience) -> Option<usize> {
        let number = self.patterns.len();
        if number == Self::MAX {
            return None;
        }
        self.patterns.push(pattern);
        let kind = match audience {
            Audience::Users => &mut self.private,
            Audience::Everybody => &mut self.public,
            Audience::Networks => &mut self.by_network,
        };
        *kind |= 1 << number;
        Some(number)
    }

    /// The areas of what a target asks for by its path, however that is spelled: a file by its name, or a directory, for
    /// which one of its indexes stands. A path that is served by no name counts as the root's own.
    pub(crate) fn of_target(&self, path: &[u8], index: &str) -> u64 {
        let (name, is_directory) = name_of(path);
        if is_directory { self.of_index(&name, index) } else { self.of(&name) }
    }

    /// The areas of all that a target may lead to by its path: a directory, the name itself, a page with a clean URL.
    pub(crate) fn of_forms(&self, path: &[u8], index: &str) -> [u64; 3] {
        let (name, _) = name_of(path);
        let itself = self.of(&name);
        let is_page = name.is_empty() || name.ends_with(PAGE_EXTENSION.as_bytes());
        let page = if is_page { itself } else { self.of_joined([&name, b"", PAGE_EXTENSION.as_bytes()]) };
        [self.of_index(&name, index), itself, page]
    }

    fn of_index(&self, directory: &[u8], index: &str) -> u64 {
        let slash: &[u8] = if directory.is_empty() { b"" } else { b"/" };
        self.of_joined([directory, slash, index.as_bytes()])
    }

    /// The areas of a file whose path is put together; on the stack, as many requests ask.
    fn of_joined(&self, parts: [&[u8]; 3]) -> u64 {
        let mut short = [0; SHORT_PATH_BYTES];
        let mut rest = &mut short[..];
        for part in parts {
            let Some((place, behind)) = rest.split_at_mut_checked(part.len()) else { return self.of(&parts.concat()) };
            place.copy_from_slice(part);
            rest = behind;
        }
        let length = SHORT_PATH_BYTES - rest.len();
        self.of(&short[..length])
    }

    /// The areas of a file: a path of the site, relative to its root and decoded.
    #[must_use]
    pub fn of(&self, path: &[u8]) -> u64 {
        let covers = |pattern: &Pattern| {
            originals(path)
                .any(|name| pattern.covers(name) || self.clean(name).is_some_and(|page| pattern.covers(page)))
        };
        let is_in = |pattern: &Option<Pattern>| pattern.as_ref().is_none_or(covers);
        self.patterns.iter().enumerate().fold(0, |areas, (at, pattern)| areas | u64::from(is_in(pattern)) << at)
    }

    /// The clean name of a page.
    fn clean<'n>(&self, name: &'n [u8]) -> Option<&'n [u8]> {
        let page = name.strip_suffix(PAGE_EXTENSION.as_bytes()).filter(|_| self.has_clean_urls);
        page.filter(|page| !page.is_empty() && !page.ends_with(b"/"))
    }

    /// The areas that everything in a directory lies in, whatever its name. As in [`Areas::of`].
    pub(super) fn of_all_in(&self, directory: &[u8]) -> u64 {
        // A name that no file has, and no pattern.
        self.of_index(directory, "\0")
    }

    /// Whether what lies in these is for everybody for whom what lies in those others is, as far as that can be told
    /// without knowing who asks: what let them in counts here, and nothing besides keeps them out.
    pub(super) fn are_as_open(&self, areas: u64, others: u64) -> bool {
        areas & !others & !self.public == 0 && others & !areas == 0
    }

    /// Whether what lies in these is for nobody but who asked for it.
    pub(super) fn are_private(&self, areas: u64) -> bool {
        let (private, public) = (areas & self.private, areas & self.public);
        areas & self.by_network != 0 || private.leading_zeros() < public.leading_zeros()
    }
}

/// The name that a target asks for, relative to the root and decoded, and whether as a directory.
fn name_of(path: &[u8]) -> (Cow<'_, [u8]>, bool) {
    match canonical_path(path) {
        // Most paths come as they are, with nothing encoded.
        Some(Cow::Borrowed([b'/', name @ ..])) => match name.strip_suffix(b"/") {
            Some(directory) => (Cow::Borrowed(directory), true),
            None => (Cow::Borrowed(name), name.is_empty()),
        },
        _ => {
            let path = SafePath::parse(path).unwrap_or_else(|_| SafePath::root());
            (Cow::Owned(path.as_bytes().to_vec()), path.is_directory)
        }
    }
}

/// This file, and that of which it is a variant by its name, and so on, as far as anybody compresses.
pub(super) fn originals(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    iter::successors(Some(path), |name| original(name)).take(NAMES_MAX)
}

fn original(path: &[u8]) -> Option<&[u8]> {
    Coding::ALL.iter().find_map(|coding| path.strip_suffix(suffix(*coding).as_bytes()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Audience::{Everybody, Networks, Users};
    use super::*;

    fn areas(patterns: &[(&str, Audience)]) -> Areas {
        let mut areas = Areas::new();
        for (pattern, audience) in patterns {
            areas.add((!pattern.is_empty()).then(|| pattern.parse().unwrap()), *audience).unwrap();
        }
        areas
    }

    #[test]
    fn a_file_lies_in_each_area_that_covers_it() {
        let areas = areas(&[("", Networks), ("/private/*", Networks), ("secret.html", Networks), ("/a", Networks)]);
        for (path, expected) in [
            ("", 0b0001),
            ("b", 0b0001),
            ("private", 0b0001),
            ("private/x/y", 0b0011),
            ("privates/x", 0b0001),
            ("deep/secret.html", 0b0101),
            ("secret.html.gz", 0b0101),
            ("secret.html.br", 0b0101),
            ("secret.html.zst", 0b0101),
            ("secret.html.gz.br.zst", 0b0101),
            ("secret.html.gz.gz.gz.gz", 0b0001),
            ("secret.html.bz2", 0b0001),
            ("a", 0b1001),
            ("a/b/c", 0b1001),
            ("private/secret.html", 0b0111),
        ] {
            assert_eq!(areas.of(path.as_bytes()), expected, "{path}");
        }
    }

    #[test]
    fn a_page_lies_where_its_clean_url_does() {
        let patterns = [("/about", Networks), ("/*.html", Networks), ("/", Networks), ("/blog/*", Networks)];
        let plain = areas(&patterns);
        let clean = plain.clone().with_clean_urls(true);
        for (path, expected, if_clean) in [
            ("about", 0b0001, 0b0001),
            ("about.html", 0b0010, 0b0011),
            ("about.html.gz", 0b0010, 0b0011),
            ("about.htm", 0b0000, 0b0000),
            ("about/x", 0b0001, 0b0001),
            (".html", 0b0010, 0b0010),
            ("blog.html", 0b0010, 0b0010),
            ("blog/.html", 0b1000, 0b1000),
        ] {
            let areas = [plain.of(path.as_bytes()), clean.of(path.as_bytes())].map(|areas| areas & !0b0100);
            assert_eq!(areas, [expected, if_clean], "{path}");
        }
    }

    #[test]
    fn the_last_that_says_so_counts() {
        let areas = areas(&[("/*", Users), ("/public", Everybody), ("/public/not", Users), ("/x", Networks)]);
        for (path, expected) in [("a", true), ("public/a", false), ("public/not/a", true), ("x", true)] {
            assert_eq!(areas.are_private(areas.of(path.as_bytes())), expected, "{path}");
        }
        assert!(!areas.are_private(0));
    }

    #[test]
    fn a_name_is_listed_if_whoever_sees_the_listing_may_have_it() {
        let areas =
            areas(&[("/*", Users), ("!x", Users), ("/open", Everybody), ("/open/not", Users), ("/net", Networks)]);
        let in_root = areas.of_all_in(b"");
        for (name, is_listed) in [("a", true), ("open", true), ("net", false)] {
            assert_eq!(areas.are_as_open(areas.of(name.as_bytes()), in_root), is_listed, "{name}");
        }
        let in_open = areas.of_all_in(b"open");
        assert!(areas.are_as_open(areas.of(b"open/a"), in_open) && !areas.are_as_open(areas.of(b"open/not"), in_open));
        assert!(!areas.are_as_open(areas.of(b"a"), in_open), "what opened that doesn't open this");
    }

    #[test]
    fn there_are_64_at_most() {
        let mut areas = Areas::new();
        assert!((0..Areas::MAX).all(|number| areas.add(None, Networks) == Some(number)));
        assert_eq!(areas.add(None, Networks), None);
        assert_eq!(areas.of(b"a"), u64::MAX);
    }

    #[test]
    fn a_target_is_asked_for_in_one_form_and_may_lead_to_others() {
        let areas = areas(&[
            ("/a", Networks),
            ("/a/*", Networks),
            ("/a.html", Networks),
            ("/index.html", Networks),
            ("/\u{fc}/*", Networks),
        ]);
        for (path, asked, forms) in [
            ("/", 0b1000, 0b1000),
            ("/a", 0b0001, 0b0111),
            ("/a/", 0b0011, 0b0111),
            ("/a.html", 0b0100, 0b0100),
            ("/a/b", 0b0011, 0b0011),
            ("/b", 0, 0),
            ("/%C3%BC", 0, 0b10000),
            ("/%C3%BC/", 0b10000, 0b10000),
            ("/%C3%BC/x", 0b10000, 0b10000),
            ("/.git", 0b1000, 0b1000),
            ("//a//", 0b0011, 0b0111),
            ("/./%61/b/../", 0b0011, 0b0111),
            ("/%2e/a", 0b0001, 0b0111),
        ] {
            let all = areas.of_forms(path.as_bytes(), "index.html").into_iter().fold(0, |all, areas| all | areas);
            assert_eq!((areas.of_target(path.as_bytes(), "index.html"), all), (asked, forms), "{path}");
        }
        let long = format!("/a/{}/", "x".repeat(SHORT_PATH_BYTES));
        assert_eq!(areas.of_target(long.as_bytes(), "index.html"), 0b0011);
    }

    proptest! {
        /// However a path is spelled, it lies where it lies.
        #[test]
        fn no_spelling_is_another_area(segments in prop::collection::vec(("[abp]{1,2}", any::<u32>()), 1..5), slash: bool) {
            let areas = areas(&[("/a", Networks), ("/p/*", Networks), ("b", Networks), ("*a", Networks), ("/a/b/*", Networks), ("", Networks)]);
            let end = if slash { "/" } else { "" };
            let mut plain = String::new();
            let mut spelled = String::new();
            for (segment, bits) in &segments {
                plain.push_str(&format!("/{segment}"));
                // Detours that lead nowhere, and letters encoded.
                spelled.push_str(["/", "//", "/./", "/x/../", "/%2e/", "/p/%2E%2e/"][(bits % 6) as usize]);
                for (at, byte) in segment.bytes().enumerate() {
                    match bits >> (8 + at) & 1 {
                        0 => spelled.push(char::from(byte)),
                        _ => spelled.push_str(&format!("%{byte:02x}")),
                    }
                }
            }
            let of = |path: &str| {
                let path = format!("{path}{end}");
                (areas.of_target(path.as_bytes(), "i"), areas.of_forms(path.as_bytes(), "i"))
            };
            prop_assert_eq!(of(&plain), of(&spelled), "{} {}", plain, spelled);
        }
    }
}
