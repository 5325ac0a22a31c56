//! What tells that a file is no longer what it was: the [`Stamp`] of a state, and the [`Witness`] that looks by name.

use std::ffi::CString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::Stat;
use rustix::io::Errno;
use rustix::path::Arg;

use crate::http::{FileVersion, since_1970};

/// A time stamp younger than this says little: the clock of a file system is coarse, and a second change may hide in it.
pub(super) const GRAIN: Duration = Duration::from_secs(2);

/// What says whether a name still means the same file in the same state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) version: FileVersion,
    /// It moves when the bytes, the permissions or the mtime are set, and nobody can set it back.
    pub(super) changed: (i64, u32),
}

impl Stamp {
    #[allow(
        clippy::unnecessary_cast,
        clippy::cast_lossless,
        reason = "the types of these members differ between systems"
    )]
    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            version: FileVersion::of_stat(stat),
            changed: (stat.st_ctime as i64, stat.st_ctime_nsec as u32),
        }
    }

    /// Whether a later change is sure to give another stamp. It isn't while the last one is too young.
    pub(super) fn is_settled(&self, now: SystemTime) -> bool {
        let newest = self.version.modified.0.max(self.changed.0);
        // An mtime may lie in the future and mean nothing; the time of the change itself then decides.
        let newest = if newest > since_1970(now) { self.changed.0 } else { newest };
        newest.saturating_add(GRAIN.as_secs() as i64) <= since_1970(now)
    }
}

/// Looks by name whether it still is what it was. It follows any link, so that one stat(2) is enough: a name that has
/// become a link out of the root, to the very file that it meant before and that has not been touched since, still
/// agrees. Not if the file itself was moved or linked, which its ctime tells: only a directory above it can be moved
/// so, by somebody who may write outside of the root, and what goes on being served is what was there when it was
/// opened.
#[derive(Debug)]
pub(super) struct Witness {
    path: CString,
    expected: Option<Stamp>,
}

impl Witness {
    /// None for a path that no file can have.
    pub(super) fn new(path: PathBuf, expected: Option<Stamp>) -> Option<Self> {
        Some(Self { path: CString::new(path.into_os_string().into_vec()).ok()?, expected })
    }

    /// What this path means now is what has to stay. None for a path that no file can have.
    pub(super) fn of_now(path: PathBuf) -> Option<Self> {
        let expected = look(&*path).ok().flatten();
        Self::new(path, expected)
    }

    pub(super) fn agrees(&self) -> bool {
        look(&*self.path) == Ok(self.expected)
    }
}

/// What a name means now; nothing is an answer too. A path that is too long from here isn't: what lies there is opened
/// from the root.
fn look(path: impl Arg) -> Result<Option<Stamp>, Errno> {
    match rustix::fs::stat(path) {
        Ok(stat) => Ok(Some(Stamp::of(&stat))),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// What has to hold for an answer that is kept, and since when it did: the looking had not begun before.
#[derive(Debug)]
pub(super) struct Evidence {
    pub(super) since: Instant,
    pub(super) witnesses: Vec<Witness>,
    /// The witnesses see all that decided. A name that is refused has none: what a link out of the root leads to, and
    /// whether there is anything, must make no difference, not even to what is kept.
    pub(super) is_complete: bool,
}

impl Evidence {
    /// The looking begins.
    pub(super) fn begin() -> Self {
        // Mostly one is enough.
        Self { since: Instant::now(), witnesses: Vec::with_capacity(1), is_complete: true }
    }

    /// What this path means has to stay: a directory in this state, or nothing.
    pub(super) fn add(&mut self, path: PathBuf, directory: Option<Stamp>) {
        self.is_complete &= directory.is_none_or(|stamp| stamp.is_settled(SystemTime::now()));
        self.witnesses.extend(Witness::new(path, directory));
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const NOW: i64 = 1_000_000;

    #[test]
    fn stamps_are_settled_when_no_change_can_hide_in_them() {
        for (modified, changed, settled) in [
            (100, 100, true),
            (100, NOW - 2, true),
            (100, NOW - 1, false),
            (NOW - 1, NOW - 2, false),
            // An mtime in the future says nothing; the time of the change does.
            (NOW + 100, 100, true),
            (NOW + 100, NOW, false),
            // The clock was set back: nothing can be said.
            (100, NOW + 100, false),
        ] {
            let version = FileVersion { bytes: 1, modified: (modified, 0) };
            let stamp = Stamp { device: 1, inode: 1, version, changed: (changed, 0) };
            let now = UNIX_EPOCH + Duration::from_secs(NOW as u64);
            assert_eq!(stamp.is_settled(now), settled, "{modified} {changed}");
        }
    }
}
