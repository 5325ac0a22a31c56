//! Which entries a view shows, and what they are like now.

use rustix::fs::{Access, AtFlags, FileType, Stat, accessat, statat};

use super::catalogue::{Catalogue, Nature};
use super::query::{Sort, View};
use crate::files::Files;
use crate::files::root::{Directory, Found, identity};
use crate::files::stamp::{Evidence, Stamp};
use crate::files::target::SafePath;

/// What a page shows of a directory.
#[derive(Debug)]
pub(super) struct Shown<'c> {
    pub(super) rows: Vec<Row<'c>>,
    /// Entries on all pages together. Where there are several, one that may not be read counts, and is left out of its
    /// page: to know of each would be to ask for each.
    pub(super) total: usize,
    /// At least 1.
    pub(super) pages: usize,
}

/// An entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'c> {
    pub(super) name: &'c [u8],
    pub(super) is_directory: bool,
    /// The state of what it leads to.
    pub(super) stamp: Stamp,
    /// Of a directory, that of its index, by which it may be answered or not; and whether that is a link.
    pub(super) index: Option<(Stamp, bool)>,
    /// It was found as a request would find it.
    is_sure: bool,
}

impl<'c> Row<'c> {
    /// One of 1970.
    #[cfg(test)]
    pub(super) fn new(name: &'c [u8], is_directory: bool, bytes: u64) -> Self {
        let version = crate::http::FileVersion { bytes, modified: (0, 0) };
        let stamp = Stamp { device: 1, inode: 1, version, changed: (0, 0) };
        Self { name, is_directory, stamp, index: None, is_sure: true }
    }

    /// Of a file; of a directory it means nothing.
    pub(super) fn bytes(&self) -> u64 {
        self.stamp.version.bytes
    }

    /// Seconds since 1970.
    pub(super) fn modified(&self) -> i64 {
        self.stamp.version.modified.0
    }
}

/// A name that belongs on some page.
#[derive(Clone, Copy)]
struct Candidate<'c> {
    name: &'c [u8],
    is_directory: bool,
    is_doubtful: bool,
    /// What it is sorted by, if not by its name.
    rank: i64,
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
        let skipped = (view.page - 1).saturating_mul(page_entries);
        // Before anything is looked at for it.
        if skipped > 0 && skipped >= catalogue.len() {
            return None;
        }
        let (total, on_page) = if view.sort == Sort::Name && view.filter.is_empty() && !catalogue.has_doubtful {
            (catalogue.len(), in_their_order(catalogue, view.is_descending, skipped, page_entries))
        } else {
            let mut candidates = self.candidates(catalogue.iter(), view);
            arrange(&mut candidates, view);
            (candidates.len(), candidates.into_iter().skip(skipped).take(page_entries).collect())
        };
        let pages = total.div_ceil(page_entries).max(1);
        let look = |candidate: Candidate<'c>| match candidate.is_doubtful {
            true => self.look_into(candidate.name),
            false => self.look(candidate.name, candidate.is_directory).map(|row| self.with_index(row)),
        };
        (view.page <= pages).then(|| Shown { rows: on_page.into_iter().filter_map(look).collect(), total, pages })
    }

    /// What is to be put in order, and then on pages. To look at each costs most by far.
    fn candidates<'c>(&self, entries: impl Iterator<Item = (&'c [u8], Nature)>, view: &View) -> Vec<Candidate<'c>> {
        let mut filter = Filter::new(&view.filter);
        let rank = |row: &Row<'_>| match view.sort {
            Sort::Name => 0,
            Sort::Size => i64::try_from(row.bytes()).unwrap_or(i64::MAX),
            Sort::Date => row.modified(),
        };
        let candidate = |(name, nature)| {
            let (is_directory, is_doubtful) = (nature == Nature::Directory, nature == Nature::Doubtful);
            if view.sort == Sort::Name && !is_doubtful {
                return Some(Candidate { name, is_directory, is_doubtful, rank: 0 });
            }
            let row = if is_doubtful { self.look_into(name) } else { self.look(name, is_directory) }?;
            Some(Candidate { name, is_directory: row.is_directory, is_doubtful, rank: rank(&row) })
        };
        entries.filter(|(name, _)| filter.matches(name)).filter_map(candidate).collect()
    }

    /// Leaves out what a request would be told is not there. Gives whether that holds as long as all is in the same
    /// state: not where several names of indexes have a say, or a link.
    pub(super) fn verify(&self, shown: &mut Shown<'_>) -> bool {
        let mut holds = true;
        shown.rows.retain(|row| {
            let may_be_read = row.is_sure || self.may_be_read(row);
            if !row.is_directory || row.is_sure || (may_be_read && row.index.is_none()) {
                return may_be_read;
            }
            holds &= self.files.options.index.len() == 1 && row.index.is_some_and(|(_, is_link)| !is_link);
            self.path.child(row.name).is_some_and(|path| self.is_answered(&path))
        });
        if shown.pages == 1 {
            shown.total = shown.rows.len();
        }
        holds
    }

    fn may_be_read(&self, row: &Row<'_>) -> bool {
        let access = if row.is_directory { Access::READ_OK | Access::EXEC_OK } else { Access::READ_OK };
        accessat(&self.directory.opened, row.name, access, AtFlags::EACCESS).is_ok()
    }

    /// Looks for what a directory has of the name of an index.
    fn with_index<'c>(&self, mut row: Row<'c>) -> Row<'c> {
        if row.is_directory {
            row.index = self.files.options.index.iter().find_map(|index| {
                let path = [row.name, b"/", index.as_bytes()].concat();
                let stat = statat(&self.directory.opened, path, AtFlags::SYMLINK_NOFOLLOW).ok()?;
                Some((Stamp::of(&stat), FileType::from_raw_mode(stat.st_mode) == FileType::Symlink))
            });
        }
        row
    }

    /// Whether a directory has an index that is served, or else is listed itself.
    fn is_answered(&self, path: &SafePath) -> bool {
        let index = self.files.open_index(path, &mut Evidence::begin());
        index.is_ok_and(|index| index.is_some() || self.files.open_listable(path).is_ok_and(|listed| listed.is_some()))
    }

    /// What an entry is like that was a directory or a file when the names were read. None where it is another by now.
    fn look<'c>(&self, name: &'c [u8], is_directory: bool) -> Option<Row<'c>> {
        let stat = statat(&self.directory.opened, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        self.row(name, &stat, false).filter(|row| row.is_directory == is_directory)
    }

    /// The same of an entry in doubt: what a request of it would lead to.
    fn look_into<'c>(&self, name: &'c [u8]) -> Option<Row<'c>> {
        let path = self.path.child(name)?;
        match self.files.root.open_from(&self.directory.root, &path).ok()? {
            Found::File(_, stat) => self.row(name, &stat, true),
            Found::Directory(stat) => self.is_answered(&path).then(|| self.row(name, &stat, true))?,
        }
    }

    fn row<'c>(&self, name: &'c [u8], stat: &Stat, is_sure: bool) -> Option<Row<'c>> {
        let is_directory = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => true,
            FileType::RegularFile => false,
            _ => return None,
        };
        let is_withheld = self.withheld.contains(&identity(stat));
        (!is_withheld).then(|| Row { name, is_directory, stamp: Stamp::of(stat), index: None, is_sure })
    }
}

/// Some of the names, in the order that they have anyway: most requests are for that, and then nothing has to be made
/// of those that are not shown.
fn in_their_order(catalogue: &Catalogue, is_descending: bool, skipped: usize, taken: usize) -> Vec<Candidate<'_>> {
    let of = |nature| {
        let candidate =
            move |name| Candidate { name, is_directory: nature == Nature::Directory, is_doubtful: false, rank: 0 };
        catalogue.iter().filter(move |(_, other)| *other == nature).map(move |(name, _)| candidate(name))
    };
    let (directories, files) = (of(Nature::Directory), of(Nature::File));
    match is_descending {
        false => directories.chain(files).skip(skipped).take(taken).collect(),
        true => directories.rev().chain(files.rev()).skip(skipped).take(taken).collect(),
    }
}

/// Directories first; they have no size, so that by size they are in the order of their names.
fn arrange(candidates: &mut Vec<Candidate<'_>>, view: &View) {
    let (mut directories, mut files): (Vec<_>, Vec<_>) =
        candidates.drain(..).partition(|candidate| candidate.is_directory);
    // These sorts keep the order of names among equals.
    if view.sort != Sort::Name {
        files.sort_by_key(|file| file.rank);
    }
    if view.sort == Sort::Date {
        directories.sort_by_key(|directory| directory.rank);
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
        Self { text: without_case(text).collect(), name: String::new() }
    }

    fn matches(&mut self, name: &[u8]) -> bool {
        if self.text.is_empty() {
            return true;
        }
        self.name.clear();
        let text = String::from_utf8_lossy(name);
        self.name.extend(without_case(&text));
        self.name.contains(&self.text)
    }
}

/// In lower case, where one letter is another at the end of a word: what is sought for may end within one.
fn without_case(text: &str) -> impl Iterator<Item = char> {
    text.chars().flat_map(char::to_lowercase).map(|letter| if letter == '\u{3c2}' { '\u{3c3}' } else { letter })
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
        let view = view(query);
        let mut candidates: Vec<Candidate<'_>> = entries
            .iter()
            .map(|(name, is_directory, bytes, modified)| Candidate {
                name: name.as_bytes(),
                is_directory: *is_directory,
                is_doubtful: false,
                rank: if view.sort == Sort::Size { *bytes } else { *modified },
            })
            .collect();
        arrange(&mut candidates, &view);
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
            // The last letter of the first is not the one that ends a word.
            ("\u{39f}\u{3a3}", "\u{3bf}\u{3c3}\u{3b1}", true),
            ("\u{39f}\u{3a3}", "\u{3bf}\u{3c2}", true),
            (".*", "a.b", false),
        ] {
            assert_eq!(Filter::new(filter).matches(name.as_bytes()), expected, "{filter} {name}");
        }
    }
}
