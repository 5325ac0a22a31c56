//! The names of a directory that a client may see, in order: read once, and kept while the directory is in the same
//! state.
//!
//! What a link leads to, and so whether it is shown, depends on more than its directory. Such names are in doubt here,
//! and are looked at anew for each request.

use rustix::fs::{Dir, FileType};

use super::order::push_key;
use crate::files::Files;
use crate::files::root::Directory;
use crate::files::stamp::Stamp;
use crate::files::target::SafePath;

/// The names of a directory.
#[derive(Debug)]
pub(super) struct Catalogue {
    /// The state of the directory before it was read.
    pub(super) stamp: Stamp,
    names: Vec<u8>,
    entries: Vec<Entry>,
    /// There were more names than are kept.
    pub(super) is_cut: bool,
    pub(super) has_doubtful: bool,
}

/// A name, and what it was found to be.
#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u32,
    length: u16,
    nature: Nature,
}

/// What a name is, as far as the directory tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    Directory,
    File,
    /// A link, something that may be withheld, or whatever the file system doesn't tell.
    Doubtful,
}

impl Catalogue {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Each name and its nature, in order.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (&[u8], Nature)> {
        self.entries.iter().map(|entry| (self.name(entry), entry.nature))
    }

    fn name(&self, entry: &Entry) -> &[u8] {
        &self.names[entry.start as usize..][..usize::from(entry.length)]
    }

    /// The memory that it takes.
    pub(super) fn bytes(&self) -> u64 {
        (self.names.capacity() + self.entries.capacity() * size_of::<Entry>()) as u64
    }

    fn push(&mut self, name: &[u8], nature: Nature) {
        let (Ok(start), Ok(length)) = (u32::try_from(self.names.len()), u16::try_from(name.len())) else {
            self.is_cut = true;
            return;
        };
        self.names.extend_from_slice(name);
        self.has_doubtful |= nature == Nature::Doubtful;
        self.entries.push(Entry { start, length, nature });
    }

    /// Puts the names in order.
    fn sort(&mut self) {
        let (mut bytes, mut keys) = (Vec::with_capacity(self.names.len() * 5 / 4), Vec::with_capacity(self.len()));
        for entry in &self.entries {
            let start = bytes.len();
            push_key(self.name(entry), &mut bytes);
            keys.push((start, bytes.len(), *entry));
        }
        let key = |(start, end, entry): &(usize, usize, Entry)| (&bytes[*start..*end], self.name(entry));
        keys.sort_unstable_by(|one, other| key(one).cmp(&key(other)));
        self.entries = keys.into_iter().map(|(_, _, entry)| entry).collect();
    }
}

/// A catalogue that is being made.
pub(super) struct Reading<'d> {
    files: &'d Files,
    path: &'d SafePath,
    names: Dir,
    /// Those of the directory itself.
    areas: u64,
    /// The configuration in use, by its inodes: the only sign of it that the directory has.
    withheld: Vec<u64>,
    catalogue: Catalogue,
    is_complete: bool,
}

impl<'d> Reading<'d> {
    /// Begins to read a directory.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn begin(files: &'d Files, directory: &'d Directory, path: &'d SafePath) -> std::io::Result<Self> {
        let stamp = Stamp::of(&directory.stat);
        let catalogue = Catalogue { stamp, names: Vec::new(), entries: Vec::new(), is_cut: false, has_doubtful: false };
        Ok(Self {
            files,
            path,
            names: Dir::read_from(&directory.opened)?,
            areas: files.directory_areas(path),
            withheld: files.root.withheld().map(|(_, inode)| inode).collect(),
            catalogue,
            is_complete: false,
        })
    }

    /// Reads until there are so many names, or no more; then it is complete.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn read(&mut self, names_max: usize) -> std::io::Result<bool> {
        while !self.is_complete && self.catalogue.len() < names_max {
            let Some(entry) = self.names.read() else {
                self.is_complete = true;
                break;
            };
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            let is_seen = self.path.child(name).is_some_and(|path| self.is_seen(&path));
            if is_seen && let Some(nature) = self.nature(entry.file_type(), entry.ino()) {
                self.catalogue.push(name, nature);
            }
        }
        Ok(self.is_complete)
    }

    fn is_seen(&self, path: &SafePath) -> bool {
        self.files.why_hidden(path).is_none() && self.files.may_be_named(path, self.areas)
    }

    /// None for what is never served.
    fn nature(&self, file_type: FileType, inode: u64) -> Option<Nature> {
        match file_type {
            FileType::Directory => Some(Nature::Directory),
            FileType::RegularFile if !self.withheld.contains(&inode) => Some(Nature::File),
            FileType::RegularFile | FileType::Symlink | FileType::Unknown => Some(Nature::Doubtful),
            _ => None,
        }
    }

    /// What was read, in order.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn finish(mut self) -> std::io::Result<Catalogue> {
        // One more tells whether something is left out.
        let kept = self.catalogue.len();
        self.read(kept + 1)?;
        self.catalogue.is_cut |= self.catalogue.len() > kept;
        self.catalogue.entries.truncate(kept);
        self.catalogue.sort();
        self.catalogue.names.shrink_to_fit();
        Ok(self.catalogue)
    }
}
