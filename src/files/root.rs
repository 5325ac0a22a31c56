//! Opening beneath the root: the only place that opens what a request names.
//!
//! On Linux one openat2(2) with `RESOLVE_BENEATH` does it, and no race can lead it out: a link that points out of the
//! root, or is absolute, is refused by the kernel. Where there is no openat2 a walk does the same, a segment at a time,
//! each opened within the directory before it and never through a link that the walk has not read itself.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, openat, readlinkat, statat};
use rustix::io::Errno;

use super::target::SafePath;

/// How often a path that was renamed while it was opened is tried again.
const RACES_MAX: usize = 8;

/// Links followed in one path, as in the kernel.
const LINKS_MAX: usize = 40;

/// Without waiting for the other end of a FIFO, and without becoming anyone's terminal.
const OPEN: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC).union(OFlags::NOCTTY);

/// The directory that is served.
#[derive(Debug)]
pub(super) struct Root {
    path: PathBuf,
    withheld: Vec<PathBuf>,
    /// The kernel has no openat2.
    walks: AtomicBool,
}

/// What a path beneath the root is.
#[derive(Debug)]
pub(super) enum Found {
    File(File, Stat),
    Directory,
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
    pub(super) fn new(path: PathBuf, withheld: Vec<PathBuf>) -> Self {
        Self { path, withheld, walks: AtomicBool::new(cfg!(salver_portable)) }
    }

    /// Where a path lies, for looking whether it has changed; never for opening.
    pub(super) fn locate(&self, path: &SafePath) -> PathBuf {
        self.path.join(path.as_path())
    }

    /// Opens a regular file, or finds that it is a directory. The root is opened anew each time: it may have been
    /// replaced.
    pub(super) fn open(&self, path: &SafePath) -> Result<Found, Miss> {
        let root = rustix::fs::open(&self.path, DIRECTORY, Mode::empty()).map_err(miss)?;
        let opened = self.open_beneath(&root, path.as_path(), OPEN).or_else(|errno| match errno {
            // A directory that may be searched but not read can still have an index. To look for "." is to search.
            Errno::ACCESS => self.open_beneath(&root, &path.as_path().join("."), DIRECTORY).map_err(|_| Errno::ACCESS),
            errno => Err(errno),
        });
        let opened = opened.map_err(miss)?;
        let stat = rustix::fs::fstat(&opened).map_err(miss)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Ok(Found::Directory),
            FileType::RegularFile if self.is_withheld(&stat) => Err(Miss::Refused("it is the configuration in use")),
            FileType::RegularFile => Ok(Found::File(opened.into(), stat)),
            _ => Err(Miss::Refused("it is neither a file nor a directory")),
        }
    }

    fn is_withheld(&self, stat: &Stat) -> bool {
        let is_same = |other: Stat| (other.st_dev, other.st_ino) == (stat.st_dev, stat.st_ino);
        self.withheld.iter().any(|path| rustix::fs::stat(path).is_ok_and(is_same))
    }

    fn open_beneath(&self, root: &OwnedFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        #[cfg(target_os = "linux")]
        if !self.walks.load(Ordering::Relaxed) {
            match open_beneath(root, path, flags) {
                Err(Errno::NOSYS) => self.walks.store(true, Ordering::Relaxed),
                // A sandbox that doesn't know the call may say EPERM; a file is refused with EACCES.
                Err(Errno::PERM) => {}
                opened => return opened,
            }
        }
        walk_beneath(root, path, flags)
    }
}

const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC).union(PATH_ONLY);

#[cfg(target_os = "linux")]
const PATH_ONLY: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
const PATH_ONLY: OFlags = OFlags::empty();

#[cfg(target_os = "linux")]
fn open_beneath(root: &OwnedFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    use rustix::fs::{ResolveFlags, openat2};
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let mut opened = Err(Errno::AGAIN);
    for _ in 0..RACES_MAX {
        opened = openat2(root, path, flags, Mode::empty(), resolve);
        if !matches!(opened, Err(Errno::AGAIN | Errno::INTR)) {
            return opened;
        }
    }
    match opened {
        // Someone renames all the time; the walk needs no luck.
        Err(Errno::AGAIN | Errno::INTR) => walk_beneath(root, path, flags),
        opened => opened,
    }
}

/// Opens a path segment by segment. `above` holds the directories that the walk came through, so that `..` in a link
/// goes back the way it came, and never above the root.
fn walk_beneath(root: &OwnedFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut above: Vec<OwnedFd> = Vec::new();
    let mut segments = pending(path)?;
    let mut links = 0;
    while let Some(segment) = segments.pop() {
        let here = above.last().unwrap_or(root);
        if segment == ".." {
            above.pop().ok_or(Errno::XDEV)?;
            continue;
        }
        let stat = statat(here, &segment, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => {
                links += 1;
                if links > LINKS_MAX {
                    return Err(Errno::LOOP);
                }
                let target = readlinkat(here, &segment, Vec::new())?;
                segments.extend(pending(Path::new(&OsString::from_vec(target.into_bytes())))?);
            }
            FileType::Directory => {
                above.push(openat(here, &segment, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?);
            }
            _ if segments.is_empty() => return openat(here, &segment, flags | OFlags::NOFOLLOW, Mode::empty()),
            _ => return Err(Errno::NOTDIR),
        }
    }
    let here = above.last().unwrap_or(root).as_fd();
    openat(here, ".", flags, Mode::empty())
}

/// The segments of a path, the first one last; an absolute path leads out.
fn pending(path: &Path) -> Result<Vec<OsString>, Errno> {
    let segments = path.components().rev().filter_map(|component| match component {
        Component::CurDir => None,
        Component::ParentDir => Some(Ok("..".into())),
        Component::Normal(name) => Some(Ok(name.to_owned())),
        Component::RootDir | Component::Prefix(_) => Some(Err(Errno::XDEV)),
    });
    segments.collect()
}

fn miss(errno: Errno) -> Miss {
    match errno {
        Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::INVAL | Errno::ILSEQ => Miss::Absent,
        Errno::ACCESS | Errno::PERM => Miss::Refused("permission denied"),
        Errno::XDEV => Miss::Refused("a link leads out of the root"),
        Errno::LOOP => Miss::Refused("its links go round in circles"),
        Errno::NXIO | Errno::NODEV => Miss::Refused("it is neither a file nor a directory"),
        errno => Miss::Failed(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn tree() -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        let root = tree.path().join("root");
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("file"), "file").unwrap();
        fs::write(root.join("a/b/deep"), "deep").unwrap();
        fs::write(tree.path().join("secret"), "secret").unwrap();
        for (link, target) in [
            ("in", "file"),
            ("a/up", "../file"),
            ("a/b/chain", "../up"),
            ("a/around", "b/../../a/b/deep"),
            ("to_directory", "a/b"),
            ("out", "../secret"),
            ("absolute", "/etc/passwd"),
            ("chain_out", "out"),
            ("directory_out", ".."),
            ("circle", "circle"),
            ("dangling", "nowhere"),
        ] {
            symlink(target, root.join(link)).unwrap();
        }
        tree
    }

    /// What both ways of opening say, which has to be the same.
    #[track_caller]
    fn check(path: &str, expected: Result<&str, &[Errno]>) {
        let tree = tree();
        let root = rustix::fs::open(tree.path().join("root"), DIRECTORY, Mode::empty()).unwrap();
        let read = |opened: OwnedFd| io::read_to_string(File::from(opened)).unwrap();
        let walked = walk_beneath(&root, Path::new(path), OPEN).map(read);
        #[cfg(target_os = "linux")]
        let ways = [("openat2", open_beneath(&root, Path::new(path), OPEN).map(read)), ("walk", walked)];
        #[cfg(not(target_os = "linux"))]
        let ways = [("walk", walked)];
        for (way, opened) in ways {
            match (&opened, expected) {
                (Ok(content), Ok(expected)) => assert_eq!(content, expected, "{path} by {way}"),
                (Err(errno), Err(expected)) => assert!(expected.contains(errno), "{path} by {way}: {errno}"),
                _ => panic!("{path} by {way}: {opened:?}"),
            }
        }
    }

    #[test]
    fn files_and_links_within_the_root_are_opened() {
        check("file", Ok("file"));
        check("a/b/deep", Ok("deep"));
        check("in", Ok("file"));
        check("a/up", Ok("file"));
        check("a/b/chain", Ok("file"));
        check("a/around", Ok("deep"));
        check("to_directory/deep", Ok("deep"));
    }

    #[test]
    fn nothing_leads_out() {
        for path in ["out", "absolute", "chain_out", "directory_out/secret", "..", "../secret", "a/../../secret"] {
            check(path, Err(&[Errno::XDEV]));
        }
        check("circle", Err(&[Errno::LOOP]));
        check("dangling", Err(&[Errno::NOENT]));
        check("file/x", Err(&[Errno::NOTDIR]));
        check("nowhere", Err(&[Errno::NOENT]));
    }

    #[test]
    fn special_files_are_refused_at_once() {
        let tree = tree();
        let root = tree.path().join("root");
        rustix::fs::mknodat(rustix::fs::CWD, root.join("fifo"), FileType::Fifo, Mode::from(0o644), 0).unwrap();
        drop(std::os::unix::net::UnixListener::bind(root.join("sock")).unwrap());
        let root = Root::new(root, Vec::new());
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
        let root = Root::new(root.clone(), vec![root.join("file")]);
        for name in ["/file", "/in", "/other_name"] {
            let opened = root.open(&SafePath::parse(name.as_bytes()).unwrap());
            assert!(matches!(opened, Err(Miss::Refused(_))), "{name}: {opened:?}");
        }
    }
}
