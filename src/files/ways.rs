//! Ways to open a path beneath a directory.
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
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, openat, readlinkat, statat};
use rustix::io::Errno;

use super::options::Symlinks;

/// How often a path that was renamed while it was opened is tried again.
const RACES_MAX: usize = 8;

/// Links followed in one path, as in the kernel.
const LINKS_MAX: usize = 40;

/// Without waiting for the other end of a FIFO, and without becoming anyone's terminal.
pub(super) const OPEN: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC).union(OFlags::NOCTTY);

/// To look for names in it, and nothing else.
pub(super) const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC).union(PATH_ONLY);

#[cfg(target_os = "linux")]
const PATH_ONLY: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
const PATH_ONLY: OFlags = OFlags::empty();

/// Wherever links lead.
pub(super) fn open_anywhere(root: &OwnedFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    if is_special(&statat(root, path, AtFlags::empty())?) {
        return Err(Errno::NXIO);
    }
    openat(root, path, flags, Mode::empty())
}

fn is_special(stat: &Stat) -> bool {
    !matches!(FileType::from_raw_mode(stat.st_mode), FileType::RegularFile | FileType::Directory)
}

#[cfg(target_os = "linux")]
pub(super) fn open_beneath(root: &OwnedFd, path: &Path, flags: OFlags, symlinks: Symlinks) -> Result<OwnedFd, Errno> {
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
pub(super) fn walk_beneath(root: &OwnedFd, path: &Path, flags: OFlags, symlinks: Symlinks) -> Result<OwnedFd, Errno> {
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
    use std::fs::{self, File};
    use std::io;
    use std::os::unix::fs::symlink;

    use super::*;

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
}
