//! Opening beneath the root: the only place that opens what a request names.
//!
//! On Linux one openat2(2) with `RESOLVE_BENEATH` does it, and no race can lead it out: a link that points out of the
//! root, or is absolute, is refused by the kernel. Where there is no openat2 a walk does the same, a segment at a time,
//! each opened within the directory before it and never through a link that the walk has not read itself.
//!
//! What it leads to is looked at before it is opened: to open a FIFO, a socket or a device is to use it. A FIFO's
//! writer, who waits for a reader, would wake up and find none; a tape would be wound. Whoever exchanges a file for a
//! FIFO between the look and the opening gets that far, and no further: the opening doesn't wait, and what was opened
//! is looked at again.
//!
//! With [`Symlinks::Off`] both ways refuse every link; with [`Symlinks::Follow`] neither is taken.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, openat, readlinkat, statat};
use rustix::io::Errno;

use super::options::Symlinks;
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
    symlinks: Symlinks,
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
        Self { path, withheld, symlinks, walks: AtomicBool::new(cfg!(salver_portable)), kept: Mutex::default() }
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
        if self.symlinks == Symlinks::Follow {
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

const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC).union(PATH_ONLY);

#[cfg(target_os = "linux")]
const PATH_ONLY: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
const PATH_ONLY: OFlags = OFlags::empty();

/// Wherever links lead.
fn open_anywhere(root: &OwnedFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    if is_special(&statat(root, path, AtFlags::empty())?) {
        return Err(Errno::NXIO);
    }
    openat(root, path, flags, Mode::empty())
}

fn is_special(stat: &Stat) -> bool {
    !matches!(FileType::from_raw_mode(stat.st_mode), FileType::RegularFile | FileType::Directory)
}

#[cfg(target_os = "linux")]
fn open_beneath(root: &OwnedFd, path: &Path, flags: OFlags, symlinks: Symlinks) -> Result<OwnedFd, Errno> {
    use rustix::fs::{ResolveFlags, fstat, openat2};
    let mut resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    resolve.set(ResolveFlags::NO_SYMLINKS, symlinks == Symlinks::Off);
    for _ in 0..RACES_MAX {
        let looked = openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve);
        let opened = looked.and_then(|found| match is_special(&fstat(&found)?) {
            true => Err(Errno::NXIO),
            false => openat2(root, path, flags, Mode::empty(), resolve),
        });
        if !matches!(opened, Err(Errno::AGAIN | Errno::INTR)) {
            return opened;
        }
    }
    // Someone renames all the time; the walk needs less luck.
    walk_beneath(root, path, flags, symlinks)
}

/// Opens a path segment by segment.
fn walk_beneath(root: &OwnedFd, path: &Path, flags: OFlags, symlinks: Symlinks) -> Result<OwnedFd, Errno> {
    let links_max = if symlinks == Symlinks::Off { 0 } else { LINKS_MAX };
    let mut walked = Err(Errno::AGAIN);
    for _ in 0..RACES_MAX {
        walked = walk_once(root, path, flags, links_max);
        if !matches!(walked, Err(Errno::AGAIN | Errno::INTR)) {
            break;
        }
    }
    walked
}

/// `above` holds the directories that the walk came through, so that `..` in a link goes back the way it came, and
/// never above the root. `EAGAIN` says that a segment was exchanged between the look at it and its use.
fn walk_once(root: &OwnedFd, path: &Path, flags: OFlags, links_max: usize) -> Result<OwnedFd, Errno> {
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
                if links > links_max {
                    return Err(Errno::LOOP);
                }
                let target = readlinkat(here, &segment, Vec::new()).map_err(raced(&[Errno::INVAL]))?;
                segments.extend(pending(Path::new(&OsString::from_vec(target.into_bytes())))?);
            }
            FileType::Directory => {
                let opened = openat(here, &segment, DIRECTORY | OFlags::NOFOLLOW, Mode::empty());
                above.push(opened.map_err(raced(&[Errno::LOOP, Errno::NOTDIR]))?);
            }
            FileType::RegularFile if segments.is_empty() => {
                let opened = openat(here, &segment, flags | OFlags::NOFOLLOW, Mode::empty());
                return opened.map_err(raced(&[Errno::LOOP]));
            }
            _ if segments.is_empty() => return Err(Errno::NXIO),
            _ => return Err(Errno::NOTDIR),
        }
    }
    let here = above.last().unwrap_or(root).as_fd();
    openat(here, ".", flags, Mode::empty())
}

/// These errors say that it is no longer what it was a moment ago.
fn raced(signs: &[Errno]) -> impl Fn(Errno) -> Errno {
    move |errno| if signs.contains(&errno) { Errno::AGAIN } else { errno }
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

    /// A way to open what lies beneath a root.
    type Way = fn(&OwnedFd, &Path, OFlags, Symlinks) -> Result<OwnedFd, Errno>;

    /// Both, where there are two.
    const WAYS: &[(&str, Way)] = &[
        #[cfg(target_os = "linux")]
        ("openat2", open_beneath),
        ("walk", walk_beneath),
    ];

    fn directory(path: &Path) -> OwnedFd {
        rustix::fs::open(path, DIRECTORY, Mode::empty()).unwrap()
    }

    fn read(opened: OwnedFd) -> String {
        io::read_to_string(File::from(opened)).unwrap()
    }

    #[track_caller]
    fn check_way(way: &str, path: &str, opened: Result<OwnedFd, Errno>, expected: Result<&str, &[Errno]>) {
        match (opened.map(read), expected) {
            (Ok(content), Ok(expected)) => assert_eq!(content, expected, "{path} by {way}"),
            (Err(errno), Err(expected)) => assert!(expected.contains(&errno), "{path} by {way}: {errno}"),
            (opened, _) => panic!("{path} by {way}: {opened:?}"),
        }
    }

    /// What both ways of opening say, which has to be the same.
    #[track_caller]
    fn check_links(symlinks: Symlinks, path: &str, expected: Result<&str, &[Errno]>) {
        let tree = tree();
        let root = directory(&tree.path().join("root"));
        for (way, open) in WAYS {
            check_way(way, path, open(&root, Path::new(path), OPEN, symlinks), expected);
        }
    }

    #[track_caller]
    fn check(path: &str, expected: Result<&str, &[Errno]>) {
        check_links(Symlinks::Beneath, path, expected);
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
    fn no_link_is_followed_where_that_is_off() {
        let check = |path, expected| check_links(Symlinks::Off, path, expected);
        check("file", Ok("file"));
        check("a/b/deep", Ok("deep"));
        for path in ["in", "a/up", "to_directory/deep", "out", "absolute", "directory_out/secret", "circle", "dangling"]
        {
            check(path, Err(&[Errno::LOOP]));
        }
        check("..", Err(&[Errno::XDEV]));
        check("nowhere", Err(&[Errno::NOENT]));
    }

    #[test]
    fn links_lead_anywhere_where_that_is_asked_for() {
        let tree = tree();
        let root = directory(&tree.path().join("root"));
        let check = |path, expected| {
            check_way("follow", path, open_anywhere(&root, Path::new(path), OPEN), expected);
        };
        check("file", Ok("file"));
        check("to_directory/deep", Ok("deep"));
        check("out", Ok("secret"));
        check("chain_out", Ok("secret"));
        check("directory_out/secret", Ok("secret"));
        check("circle", Err(&[Errno::LOOP]));
        check("dangling", Err(&[Errno::NOENT]));
        symlink("/dev/null", tree.path().join("root/null")).unwrap();
        check("null", Err(&[Errno::NXIO]));
    }

    /// A file, and a directory on the way to one, are exchanged with links out of the root, all the time.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_race_leads_nowhere() {
        let tree = tempfile::tempdir().unwrap();
        let join = |name: &str| tree.path().join(name);
        for (folder, content) in [("root/folder/sub", "inside"), ("outside/sub", "outside")] {
            fs::create_dir_all(join(folder)).unwrap();
            fs::write(join(folder).join("file"), content).unwrap();
        }
        fs::write(join("root/file"), "inside").unwrap();
        // With `..` in it, so that openat2 notices each renaming anywhere, and says EAGAIN.
        symlink("folder/sub/../sub/file", join("root/link")).unwrap();
        symlink("../outside", join("root/other")).unwrap();
        symlink("../outside/sub/file", join("root/other_file")).unwrap();
        let root = directory(&join("root"));
        std::thread::scope(|scope| {
            let opener = scope.spawn(|| open_in_turn(&root));
            // Ends whatever becomes of the opener.
            while !opener.is_finished() {
                use rustix::fs::{RenameFlags, renameat_with};
                for (one, other) in [("folder", "other"), ("file", "other_file")] {
                    renameat_with(&root, one, &root, other, RenameFlags::EXCHANGE).unwrap();
                }
            }
            let opened = opener.join().unwrap();
            assert!(opened > 1000, "{opened} were opened");
        });
    }

    /// How many files were opened; all of them lie inside.
    #[cfg(target_os = "linux")]
    fn open_in_turn(root: &OwnedFd) -> usize {
        let mut opened = 0;
        for round in 0..30_000 {
            let (way, open) = WAYS[round % WAYS.len()];
            let symlinks = if round % 3 == 0 { Symlinks::Off } else { Symlinks::Beneath };
            for path in ["folder/sub/file", "other/sub/file", "file", "other_file", "link"] {
                if let Ok(file) = open(root, Path::new(path), OPEN, symlinks) {
                    opened += 1;
                    assert_eq!(read(file), "inside", "{path} by {way}");
                }
            }
        }
        opened
    }

    /// A writer that waits for a reader would wake up, find none and die of SIGPIPE.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_fifo_is_not_opened_not_even_for_a_moment() {
        let tree = tree();
        let path = tree.path().join("root/fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &path, FileType::Fifo, Mode::from(0o644), 0).unwrap();
        let writer = std::thread::spawn({
            let path = path.clone();
            move || fs::OpenOptions::new().write(true).open(path).map(drop)
        });
        let root = directory(&tree.path().join("root"));
        for _ in 0..1000 {
            for (way, open) in WAYS {
                let opened = open(&root, Path::new("fifo"), OPEN, Symlinks::Beneath);
                check_way(way, "fifo", opened, Err(&[Errno::NXIO]));
            }
            check_way("follow", "fifo", open_anywhere(&root, Path::new("fifo"), OPEN), Err(&[Errno::NXIO]));
        }
        assert!(!writer.is_finished(), "the writer found a reader");
        drop(File::open(path).unwrap());
        writer.join().unwrap().unwrap();
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
