//! The file of the access log. It is appended to, opened anew where it was moved away or removed, and what can't be
//! written waits; what finds no room then is lost, counted, and told on standard error.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use log::{info, warn};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Access, OFlags, access};

use super::log_writer::Queue;
use super::logging::one_line;

/// How long after a failure the next try comes.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// How long the reader of a pipe may take nothing before that counts as a failure.
const READER_PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 500_000_000 };

/// How often a failure that goes on is told.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);

/// What the umask leaves of this is the mode of a new file: what people ask for is not for everybody to read.
const MODE: u32 = 0o640;

/// A file that lines are appended to, by one thread.
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    /// Of the file, which no other one has while it is open.
    identity: (u64, u64),
    /// Lines that were not written since that was last told.
    lost: u64,
    /// When it was last told that it fails, if it does.
    complained: Option<Instant>,
    /// Why a file that was moved away couldn't be followed by a new one; that is told once.
    left_behind: Option<String>,
}

impl LogFile {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = open(path)?;
        Ok(Self {
            path: path.to_owned(),
            identity: identity(&file.metadata()?),
            file,
            lost: 0,
            complained: None,
            left_behind: None,
        })
    }

    /// Writes what is queued, for as long as the program runs.
    pub(super) fn write_forever(mut self, queue: &Queue) {
        let mut batch = Vec::new();
        loop {
            self.lost += queue.next_batch(&mut batch);
            self.follow();
            self.write_or_lose(&batch, queue);
            queue.end_writing(&mut batch);
        }
    }

    /// Writes these lines, as often as it takes; unless somebody is in a hurry, which is at the end.
    fn write_or_lose(&mut self, lines: &[u8], queue: &Queue) {
        let mut written = 0;
        let mut is_last_try = false;
        while let Err(error) = self.write_on(lines, &mut written) {
            self.lost += queue.take_dropped();
            if is_last_try {
                self.lost += count(&lines[written..]) + queue.discard();
                self.complain(&error, true);
                return;
            }
            self.complain(&error, false);
            is_last_try = queue.is_hurried_within(RETRY_INTERVAL);
            if self.follow() {
                // The line that was cut is whole in the new file.
                written = lines[..written].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            }
        }
        self.recover();
    }

    /// Writes from this place on.
    fn write_on(&mut self, lines: &[u8], written: &mut usize) -> io::Result<()> {
        self.check_name()?;
        while *written < lines.len() {
            match self.file.write(&lines[*written..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => *written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait_for_reader()?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn wait_for_reader(&self) -> io::Result<()> {
        match poll(&mut [PollFd::new(&self.file, PollFlags::OUT)], Some(&READER_PATIENCE)) {
            Ok(0) => Err(io::Error::new(ErrorKind::TimedOut, "nobody reads it")),
            _ => Ok(()),
        }
    }

    /// Opens the file anew where another one has its name, or none; true if so. Looked at before each batch, as what was moved
    /// away may be compressed and removed the next moment.
    fn follow(&mut self) -> bool {
        if std::fs::metadata(&self.path).is_ok_and(|now| identity(&now) == self.identity) {
            self.left_behind = None;
            return false;
        }
        let opened = open(&self.path).and_then(|file| Ok((identity(&file.metadata()?), file)));
        match opened {
            Ok((identity, file)) => {
                (self.identity, self.file, self.left_behind) = (identity, file, None);
                info!("log_file {}: opened anew", self.shown());
                true
            }
            Err(error) => {
                let is_told = self.left_behind.replace(error.to_string()).is_some();
                if !is_told && self.check_name().is_ok() {
                    let shown = self.shown();
                    warn!("log_file {shown}: moved away, and cannot be opened anew: {error}; lines follow the old one");
                }
                false
            }
        }
    }

    /// What is written to a file that has no name any more is for nobody.
    fn check_name(&self) -> io::Result<()> {
        match &self.left_behind {
            Some(why) if self.file.metadata()?.nlink() == 0 => {
                Err(io::Error::new(ErrorKind::NotFound, format!("it was removed, and cannot be made anew: {why}")))
            }
            _ => Ok(()),
        }
    }

    fn complain(&mut self, error: &io::Error, is_end: bool) {
        let is_first = self.complained.is_none();
        if !self.may_complain() && !is_end {
            return;
        }
        let (shown, lost) = (self.shown(), self.lost);
        if is_first && lost == 0 {
            warn!("log_file {shown}: cannot be written: {error}; lines wait in memory, as many as find room");
        } else {
            self.lost = 0;
            warn!("log_file {shown}: cannot be written: {error}; {lost} lines were lost");
        }
    }

    fn may_complain(&mut self) -> bool {
        let may = self.complained.is_none_or(|complained| complained.elapsed() >= COMPLAINT_INTERVAL);
        if may {
            self.complained = Some(Instant::now());
        }
        may
    }

    fn recover(&mut self) {
        let lost = std::mem::take(&mut self.lost);
        let shown = self.shown();
        match (self.complained.take(), lost) {
            (None, 0) => {}
            (None, lost) => warn!("log_file {shown}: {lost} lines were lost: they came faster than they are written"),
            (Some(_), lost) => warn!("log_file {shown}: written again; {lost} lines were lost meanwhile"),
        }
    }

    fn shown(&self) -> String {
        one_line(&self.path.display().to_string())
    }
}

/// A FIFO is opened for reading too: it then needs no reader to be there at once, and may lose one. Nothing that the
/// path leads to makes this wait.
fn open(path: &Path) -> io::Result<File> {
    let is_fifo = std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo());
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let mut file =
        OpenOptions::new().append(true).read(is_fifo).create(true).mode(MODE).custom_flags(flags).open(path)?;
    if ends_within_line(path) {
        // If it fails, so will the next line, which is told.
        let _ = file.write_all(b"\n");
    }
    Ok(file)
}

/// Whether it holds the start of a line, as after a disk was full: the next one must not be glued to that.
fn ends_within_line(path: &Path) -> bool {
    let last_byte = |path: &Path| {
        if !path.metadata()?.is_file() {
            return Ok(b'\n');
        }
        let mut last = [0];
        let mut file = File::open(path)?;
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        io::Result::Ok(last[0])
    };
    // An empty one has no last byte.
    last_byte(path).is_ok_and(|last| last != b'\n')
}

/// Device and inode.
fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Whether the file could be opened, or made; without doing so.
///
/// # Errors
/// What the system would say.
pub(super) fn check(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    if path.exists() {
        return Ok(access(path, Access::WRITE_OK)?);
    }
    // What a link leads to is made, where that can be.
    let target = path.read_link().map_or_else(|_| path.to_owned(), |target| path.with_file_name(target));
    let directory = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(access(directory, Access::WRITE_OK | Access::EXEC_OK)?)
}

/// How many lines end here.
pub(super) fn count(lines: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', lines).count() as u64
}
