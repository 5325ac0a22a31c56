//! Which entries a view shows, and what they are like now.

use std::ffi::{CStr, CString};

use rustix::fs::{Access, AtFlags, FileType, Stat, accessat, statat};

use super::catalogue::{Catalogue, Nature};
use super::query::{Sort, View};
use crate::files::Files;
use crate::files::root::{Directory, Found, identity};
use crate::files::stamp::Evidence;
use crate::files::target::SafePath;
use crate::http::FileVersion;

/// What a page shows of a directory.
#[derive(Debug)]
pub(super) struct Shown<'c> {
    pub(super) rows: Vec<(&'c [u8], Facts)>,
    /// Entries on all pages together.
    pub(super) total: usize,
    /// At least 1.
    pub(super) pages: usize,
}

/// What is told of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) is_directory: bool,
    /// Of a file; of a directory it means nothing.
    pub(super) bytes: u64,
    /// Seconds since 1970.
    pub(super) modified: i64,
}

/// A name that is shown on some page.
#[derive(Clone, Copy)]
struct Candidate<'c> {
    name: &'c [u8],
    is_directory: bool,
    /// Known where the order depends on it, or whether it is shown at all.
    facts: Option<Facts>,
}

/// Looks at the entries of a directory.
pub(super) struct Looking<'d> {
    files: &'d Files,
    directory: &'d Directory,
    path: &'d SafePath,
    /// Device and inode of what is never served.
    withheld: Vec<(u64, u64)>,
}

impl<'d> Looking<'d> {
    pub(super) fn new(files: &'d Files, directory: &'d Directory, path: &'d SafePath) -> Self {
        Self { files, directory, path, withheld: files.root.withheld().collect() }
    }

    /// The entries of a page. None where there is no such page.
    pub(super) fn show<'c>(&self, catalogue: &'c Catalogue, view: &View, page_entries: usize) -> Option<Shown<'c>> {
        let mut candidates = self.candidates(catalogue, view);
        let (total, pages) = (candidates.len(), candidates.len().div_ceil(page_entries).max(1));
        if view.page > pages {
            return None;
        }
        arrange(&mut candidates, view);
        let on_page = candidates.into_iter().skip((view.page - 1) * page_entries).take(page_entries);
        let looked_at = |candidate: Candidate<'c>| {
            let Candidate { name, is_directory, facts } = candidate;
            Some((name, facts.or_else(|| self.look(name, is_directory))?))
        };
        let rows = on_page.filter_map(looked_at).collect();
        Some(Shown { rows, total, pages })
    }

    fn candidates<'c>(&self, catalogue: &'c Catalogue, view: &View) -> Vec<Candidate<'c>> {
        let mut filter = Filter::new(&view.filter);
        let candidate = |(name, nature)| {
            let (is_directory, facts) = match nature {
                Nature::Doubtful => {
                    let facts = self.look_into(name)?;
                    (facts.is_directory, Some(facts))
                }
                Nature::Directory | Nature::File if view.sort == Sort::Name => (nature == Nature::Directory, None),
                Nature::Directory | Nature::File => {
                    let is_directory = nature == Nature::Directory;
                    (is_directory, Some(self.look(name, is_directory)?))
                }
            };
            Some(Candidate { name, is_directory, facts })
        };
        catalogue.iter().filter(|(name, _)| filter.matches(name)).filter_map(candidate).collect()
    }

    /// What an entry is like that was a directory or a file when the names were read. None where it is another, or would
    /// not be served.
    fn look(&self, name: &[u8], is_directory: bool) -> Option<Facts> {
        let mut bytes = [0; 256];
        let long;
        // Names are nearly always short enough for the stack.
        let name = match bytes.get_mut(..name.len() + 1) {
            Some(bytes) => {
                bytes[..name.len()].copy_from_slice(name);
                CStr::from_bytes_with_nul(bytes).ok()?
            }
            None => {
                long = CString::new(name).ok()?;
                &*long
            }
        };
        let stat = statat(&self.directory.opened, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let access = if is_directory { Access::READ_OK | Access::EXEC_OK } else { Access::READ_OK };
        let facts = self.facts(&stat)?;
        let is_same = facts.is_directory == is_directory;
        (is_same && accessat(&self.directory.opened, name, access, AtFlags::EACCESS).is_ok()).then_some(facts)
    }

    /// The same of an entry in doubt: what a request of it would lead to.
    fn look_into(&self, name: &[u8]) -> Option<Facts> {
        let path = self.path.child(name)?;
        let root = &self.files.root;
        match root.open_from(&self.directory.root, &path).ok()? {
            // One that can't be read may still have an index that can.
            Found::Directory(stat) => {
                let is_answered = root.open_directory(&path).is_ok()
                    || self.files.open_index(&path, &mut Evidence::begin()).is_ok_and(|index| index.is_some());
                is_answered.then(|| self.facts(&stat))?
            }
            Found::File(_, stat) => self.facts(&stat),
        }
    }

    fn facts(&self, stat: &Stat) -> Option<Facts> {
        let is_directory = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => true,
            FileType::RegularFile => false,
            _ => return None,
        };
        if self.withheld.contains(&identity(stat)) {
            return None;
        }
        let version = FileVersion::of_stat(stat);
        Some(Facts { is_directory, bytes: version.bytes, modified: version.modified.0 })
    }
}

/// Directories first; they have no size, so that by size they are in the order of their names.
fn arrange(candidates: &mut Vec<Candidate<'_>>, view: &View) {
    let facts = |candidate: &Candidate<'_>| candidate.facts.map_or((0, 0), |facts| (facts.bytes, facts.modified));
    let (mut directories, mut files): (Vec<_>, Vec<_>) =
        candidates.drain(..).partition(|candidate| candidate.is_directory);
    // These sorts keep the order of names among equals.
    match view.sort {
        Sort::Name => {}
        Sort::Size => files.sort_by_key(|file| facts(file).0),
        Sort::Date => [&mut directories, &mut files].into_iter().for_each(|part| part.sort_by_key(|one| facts(one).1)),
    }
    if view.is_descending {
        files.reverse();
        if view.sort != Sort::Size {
            directories.reverse();
        }
    }
    directories.append(&mut files);
    *candidates = directories;
}

/// Which names contain a text, without case.
struct Filter {
    text: String,
    /// Names in lower case are made here.
    name: String,
}

impl Filter {
    fn new(text: &str) -> Self {
        Self { text: text.to_lowercase(), name: String::new() }
    }

    fn matches(&mut self, name: &[u8]) -> bool {
        if self.text.is_empty() {
            return true;
        }
        self.name.clear();
        let text = String::from_utf8_lossy(name);
        self.name.extend(text.chars().flat_map(char::to_lowercase));
        self.name.contains(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Fields;

    fn view(query: &str) -> View {
        View::parse(Some(query.as_bytes()), Fields::of(&[])).unwrap()
    }

    #[track_caller]
    fn check_order(query: &str, expected: &str) {
        let entries =
            [("a", true, 0, 5), ("b", true, 0, 4), ("c", false, 3, 1), ("d", false, 1, 2), ("e", false, 3, 0)];
        let mut candidates: Vec<Candidate<'_>> = entries
            .iter()
            .map(|(name, is_directory, bytes, modified)| Candidate {
                name: name.as_bytes(),
                is_directory: *is_directory,
                facts: Some(Facts { is_directory: *is_directory, bytes: *bytes, modified: *modified }),
            })
            .collect();
        arrange(&mut candidates, &view(query));
        let names: Vec<u8> = candidates.iter().flat_map(|candidate| candidate.name.iter().copied()).collect();
        assert_eq!(String::from_utf8_lossy(&names), expected, "{query}");
    }

    #[test]
    fn directories_come_first_whatever_the_order() {
        check_order("", "abcde");
        check_order("order=desc", "baedc");
        check_order("sort=size", "abdce");
        check_order("sort=size&order=desc", "abecd");
        check_order("sort=date", "baecd");
        check_order("sort=date&order=desc", "abdce");
    }

    #[test]
    fn a_filter_knows_no_case() {
        for (filter, name, expected) in [
            ("", "anything", true),
            ("READ", "readme.md", true),
            ("\u{c4}", "B\u{e4}r", true),
            ("x", "readme.md", false),
            (".*", "a.b", false),
        ] {
            assert_eq!(Filter::new(filter).matches(name.as_bytes()), expected, "{filter} {name}");
        }
    }
}
