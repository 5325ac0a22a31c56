//! What is served while connections are tried, and a log that is read.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::sync::Once;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use log::{LevelFilter, Log, Metadata, Record};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use salver::files::Options;
use tempfile::TempDir;

use super::wire;

/// A file by its name, which is its target, too, but for the slash. Each has a length of its own, by which it is known.
pub struct File {
    pub name: &'static str,
    pub content: &'static [u8],
}

const FILES: &[File] = &[
    File { name: "index.html", content: b"<!doctype html><title>index</title>" },
    File { name: "a.txt", content: b"hello" },
    // It begins as gzip does, so it is served in place of the one above; nobody here reads it.
    File { name: "a.txt.gz", content: b"\x1f\x8b gzip" },
    File { name: "empty.txt", content: b"" },
    File { name: "404.html", content: b"<!doctype html><title>nothing</title><p>Nothing is here." },
    File { name: "dir/index.html", content: b"<!doctype html><title>a directory</title>" },
    File { name: "dir/b%20c.css", content: b"p { color: red }" },
    // Read behind its head.
    File { name: "part.bin", content: &numbered::<6_000>() },
    // Sent from disk.
    File { name: "large.bin", content: &numbered::<24_000>() },
];

/// Bytes whose place can be told from them.
const fn numbered<const BYTES: usize>() -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    let mut at = 0;
    while at < BYTES {
        bytes[at] = if at % 2 == 0 { (at >> 9) as u8 } else { (at >> 1) as u8 };
        at += 1;
    }
    bytes
}

/// Waits until files have the tags and dates that they keep: not while they are so young that a change might not show.
fn until_settled(root: &Path) {
    let changed = u64::try_from(fs::metadata(root).unwrap().ctime()).unwrap();
    while UNIX_EPOCH + Duration::from_secs(changed + 2) > SystemTime::now() {
        thread::yield_now();
    }
}

/// A file of each kind that isn't served, too.
pub struct Site(TempDir);

impl Site {
    pub fn new() -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        let root = site.root();
        for folder in ["dir", "bare", ".git"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        for File { name, content } in FILES {
            let path = root.join(name.replace("%20", " "));
            fs::write(&path, content).unwrap();
            set_modified(&path);
        }
        fs::write(root.join(".git/config"), "hidden, and not to be seen").unwrap();
        fs::write(site.0.path().join("outside.txt"), "outside, and not to be seen").unwrap();
        symlink("../outside.txt", root.join("out")).unwrap();
        symlink("a.txt", root.join("in")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        until_settled(&root);
        site
    }

    fn root(&self) -> std::path::PathBuf {
        self.0.path().join("root")
    }

    /// With limits that are small, so that small files reach them.
    pub fn options(&self) -> Options {
        let mut options = Options::new(self.root());
        (options.cache_file_bytes_max, options.etag_content_bytes_max, options.ranges_max) = (1_000, 1_000, 4);
        (options.cache_bytes_max, options.cache_descriptors_max) = (4_000, 4);
        // What is made on the fly has no length that is known here.
        options.compress.clear();
        options
    }

    pub fn file_of_length(&self, length: Option<&str>) -> &'static File {
        let has_length = |file: &&File| length == Some(file.content.len().to_string().as_str());
        FILES.iter().find(has_length).unwrap_or_else(|| panic!("no file has {length:?} bytes"))
    }

    /// The file that this target means, if it means one without further ado.
    pub fn file_at(&self, target: &[u8]) -> Option<&'static File> {
        FILES.iter().find(|file| target.strip_prefix(b"/") == Some(file.name.as_bytes()))
    }

    /// The bytes that a Content-Range names.
    pub fn part(&self, content_range: &str) -> &'static [u8] {
        let (first, last, length) = wire::content_range_of(content_range);
        &self.file_of_length(Some(&length.to_string())).content[first..=last]
    }
}

/// Sun, 06 Nov 1994 08:49:37 GMT
fn set_modified(path: &Path) {
    let time = Timespec { tv_sec: 784_111_777, tv_nsec: 0 };
    utimensat(CWD, path, &Timestamps { last_access: time, last_modification: time }, AtFlags::empty()).unwrap();
}

/// Has every log line looked at: nothing from a peer may end one or reach a terminal.
pub fn watch_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Reader).unwrap();
        log::set_max_level(LevelFilter::Trace);
    });
}

struct Reader;

impl Log for Reader {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let line = record.args().to_string();
        assert!(line.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{line:?} is not fit for a log");
    }

    fn flush(&self) {}
}
