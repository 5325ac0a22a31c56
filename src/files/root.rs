//! The directory that is served: the only place that opens what a request names. How it does is told in `ways.rs`.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::options::Symlinks;
use super::target::SafePath;
#[cfg(target_os = "linux")]
use super::ways::open_beneath;
use super::ways::{DIRECTORY, OPEN, open_anywhere, walk_beneath};

/// The directory that is served.
#[derive(Debug)]
pub(super) struct Root {
    path: PathBuf,
    withheld: Vec<PathBuf>,
    symlinks: Symlinks,
    /// The name whose links are followed wherever they lead: of a file that is served alone.
    followed: Option<PathBuf>,
    /// The kernel has no openat2.
    walks: AtomicBool,
    kept: Mutex<Option<Kept>>,
}

/// The directory that the root was a moment ago.
#[derive(Debug)]
struct Kept {
    directory: Arc<OwnedFd>,
    /// No other directory has it while this one is open.
    identity: (u64, u64),
    is_used: bool,
}

/// What a path beneath the root is.
#[derive(Debug)]
pub(super) enum Found {
    File(File, Stat),
    Directory(Stat),
}

/// An open directory beneath the root.
#[derive(Debug)]
pub(super) struct Directory {
    /// The root that it was found beneath.
    pub(super) root: Arc<OwnedFd>,
    pub(super) opened: OwnedFd,
    /// Of before anything of it was read.
    pub(super) stat: Stat,
}

/// Device and inode: what a file is, whatever it is called.
#[allow(clippy::unnecessary_cast, reason = "the types of these members differ between systems")]
pub(super) fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev as u64, stat.st_ino as u64)
}

/// Why there is nothing to serve. To a client the first two are the same.
#[derive(Debug)]
pub(super) enum Miss {
    Absent,
    /// It is there, but not for serving.
    Refused(&'static str),
    /// The system failed.
    Failed(io::Error),
}

impl Root {
    pub(super) fn new(path: PathBuf, withheld: Vec<PathBuf>, symlinks: Symlinks) -> Self {
        let walks = AtomicBool::new(cfg!(salver_portable));
        Self { path, withheld, symlinks, followed: None, walks, kept: Mutex::default() }
    }

    /// The same, but that links of this one name are followed: whoever names a file means what it leads to.
    pub(super) fn following(self, name: Option<&str>) -> Self {
        Self { followed: name.map(PathBuf::from), ..self }
    }

    /// Where a path lies, for looking whether it has changed; never for opening.
    pub(super) fn locate(&self, path: &SafePath) -> PathBuf {
        let (root, path) = (&self.path, path.as_path());
        // With what stands between them, and behind them in a C string.
        let mut located = PathBuf::with_capacity(root.as_os_str().len() + path.as_os_str().len() + 2);
        located.push(root);
        located.push(path);
        located
    }

    /// Where a path lies, for people: whoever asks has chosen it, so it is escaped.
    pub(super) fn show(&self, path: &SafePath) -> String {
        self.locate(path).as_os_str().as_bytes().escape_ascii().to_string()
    }

    /// Opens a regular file, or finds that it is a directory.
    pub(super) fn open(&self, path: &SafePath) -> Result<Found, Miss> {
        self.open_from(&*self.open_root()?, path)
    }

    /// The root is looked for by its name each time: it may have been replaced. What was opened before is taken again if
    /// the name still means it.
    fn open_root(&self) -> Result<Arc<OwnedFd>, Miss> {
        self.find_root().map_err(|errno| self.miss(errno))
    }

    fn find_root(&self) -> Result<Arc<OwnedFd>, Errno> {
        let found = identity(&rustix::fs::stat(&self.path)?);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = kept.as_mut().filter(|kept| kept.identity == found) {
            kept.is_used = true;
            return Ok(Arc::clone(&kept.directory));
        }
        let directory = Arc::new(rustix::fs::open(&self.path, DIRECTORY, Mode::empty())?);
        let identity = identity(&rustix::fs::fstat(&directory)?);
        *kept = Some(Kept { directory: Arc::clone(&directory), identity, is_used: true });
        Ok(directory)
    }

    /// Closes the root if nobody has asked for it since the last time: its file system can't be unmounted meanwhile.
    pub(super) fn sweep(&self) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.take_if(|kept| !kept.is_used).is_none()
            && let Some(kept) = kept.as_mut()
        {
            kept.is_used = false;
        }
    }

    /// The same beneath a root that was opened a moment ago, for many paths.
    pub(super) fn open_from(&self, root: &OwnedFd, path: &SafePath) -> Result<Found, Miss> {
        let (path, miss) = (path.as_path(), |errno| self.miss(errno));
        let opened = self.open_file(root, path, OPEN).or_else(|errno| match errno {
            // A directory that may be searched but not read can still have an index. To look for "." is to search.
            Errno::ACCESS => self.open_file(root, &path.join("."), DIRECTORY).map_err(|_| Errno::ACCESS),
            errno => Err(errno),
        });
        let opened = opened.map_err(miss)?;
        let stat = rustix::fs::fstat(&opened).map_err(miss)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Ok(Found::Directory(stat)),
            FileType::RegularFile if self.is_withheld(&stat) => {
                Err(Miss::Refused("it is the configuration in use, its log or its users"))
            }
            FileType::RegularFile => Ok(Found::File(opened.into(), stat)),
            _ => Err(miss(Errno::NXIO)),
        }
    }

    /// Opens a directory, to be read.
    pub(super) fn open_directory(&self, path: &SafePath) -> Result<Directory, Miss> {
        let root = self.open_root()?;
        let miss = |errno| self.miss(errno);
        // To look for "." is to search: names that can be read but not looked up are of no use.
        let opened = self.open_file(&root, &path.as_path().join("."), OPEN | OFlags::DIRECTORY).map_err(miss)?;
        let stat = rustix::fs::fstat(&opened).map_err(miss)?;
        Ok(Directory { root, opened, stat })
    }

    fn is_withheld(&self, stat: &Stat) -> bool {
        self.withheld().any(|withheld| withheld == identity(stat))
    }

    /// What is never served, by device and inode.
    pub(super) fn withheld(&self) -> impl Iterator<Item = (u64, u64)> {
        self.withheld.iter().filter_map(|path| rustix::fs::stat(path).ok()).map(|stat| identity(&stat))
    }

    fn open_file(&self, root: &OwnedFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        if self.symlinks == Symlinks::Follow || self.followed.as_deref() == Some(path) {
            return open_anywhere(root, path, flags);
        }
        #[cfg(target_os = "linux")]
        if !self.walks.load(Ordering::Relaxed) {
            match open_beneath(root, path, flags, self.symlinks) {
                Err(Errno::NOSYS) => self.walks.store(true, Ordering::Relaxed),
                // A sandbox that doesn't know the call may say EPERM; a file is refused with EACCES.
                Err(Errno::PERM) => {}
                opened => return opened,
            }
        }
        walk_beneath(root, path, flags, self.symlinks)
    }

    fn miss(&self, errno: Errno) -> Miss {
        match errno {
            Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::INVAL | Errno::ILSEQ => Miss::Absent,
            Errno::ACCESS | Errno::PERM => Miss::Refused("permission denied"),
            Errno::XDEV => Miss::Refused(
                "a link leads out of the root or is absolute; make it relative, or set symlinks = \"follow\"",
            ),
            Errno::LOOP if self.symlinks == Symlinks::Off => {
                Miss::Refused("it is a link or behind one, and symlinks = \"off\"")
            }
            Errno::LOOP => Miss::Refused("its links go round in circles"),
            Errno::NXIO | Errno::NODEV => Miss::Refused("it is neither a file nor a directory"),
            Errno::AGAIN => Miss::Refused("it is exchanged faster than it can be opened"),
            errno => Miss::Failed(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A root with a file, and a link to it.
    fn tree() -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        let root = tree.path().join("root");
        fs::create_dir(&root).unwrap();
        fs::write(root.join("file"), "file").unwrap();
        symlink("file", root.join("in")).unwrap();
        tree
    }

    /// A directory that was removed leaves its inode to the next one that is made.
    #[test]
    fn a_root_that_was_replaced_is_another_one_at_once() {
        let tree = tempfile::tempdir().unwrap();
        let path = tree.path().join("root");
        let root = Root::new(path.clone(), Vec::new(), Symlinks::Beneath);
        let file = SafePath::parse(b"/file").unwrap();
        let read = || match root.open(&file) {
            Ok(Found::File(file, _)) => Some(io::read_to_string(file).unwrap()),
            _ => None,
        };
        for round in 0..100 {
            fs::create_dir(&path).unwrap();
            assert_eq!(read(), None, "round {round}");
            fs::write(path.join("file"), round.to_string()).unwrap();
            assert_eq!(read(), Some(round.to_string()));
            if round % 2 == 0 {
                root.sweep();
            }
            fs::remove_dir_all(&path).unwrap();
            assert_eq!(read(), None, "round {round}");
        }
    }

    #[test]
    fn a_root_that_nobody_asks_for_is_closed() {
        let tree = tree();
        let root = Root::new(tree.path().join("root"), Vec::new(), Symlinks::Beneath);
        let is_open = || root.kept.lock().unwrap().is_some();
        assert!(root.open(&SafePath::root()).is_ok() && is_open());
        root.sweep();
        assert!(is_open(), "somebody had just asked");
        root.sweep();
        assert!(!is_open());
    }

    #[test]
    fn special_files_are_refused_at_once() {
        let tree = tree();
        let root = tree.path().join("root");
        rustix::fs::mknodat(rustix::fs::CWD, root.join("fifo"), FileType::Fifo, Mode::from(0o644), 0).unwrap();
        drop(std::os::unix::net::UnixListener::bind(root.join("sock")).unwrap());
        let root = Root::new(root, Vec::new(), Symlinks::Beneath);
        for name in ["/fifo", "/sock"] {
            let opened = root.open(&SafePath::parse(name.as_bytes()).unwrap());
            assert!(matches!(opened, Err(Miss::Refused(_))), "{name}: {opened:?}");
        }
    }

    #[test]
    fn withheld_files_are_refused_by_any_name() {
        let tree = tree();
        let root = tree.path().join("root");
        fs::hard_link(root.join("file"), root.join("other_name")).unwrap();
        let root = Root::new(root.clone(), vec![root.join("file")], Symlinks::Beneath);
        for name in ["/file", "/in", "/other_name"] {
            let opened = root.open(&SafePath::parse(name.as_bytes()).unwrap());
            assert!(matches!(opened, Err(Miss::Refused(_))), "{name}: {opened:?}");
        }
    }
}
