//! Files at a root that say how it is served: they are read at the start, and never served themselves.

use std::io::{self, Read as _};

use super::options::Options;
use super::root::{Found, Miss, Root};
use super::target::SafePath;

/// By their names, right beneath the root.
const SITE_FILES: [&str; 2] = ["_redirects", "_headers"];

/// A larger one is a mistake.
const SITE_FILE_BYTES_MAX: u64 = 1 << 20;

pub(super) fn is_site_file(path: &SafePath) -> bool {
    SITE_FILES.iter().any(|name| path.as_path().as_os_str() == *name)
}

/// The text of such a file, if the root has it; found as any file of the root is, so that no link leads out and no FIFO
/// holds up the start.
///
/// # Errors
/// What the system says, or why it is refused.
pub(crate) fn read_site_file(options: &Options, name: &str) -> io::Result<Option<Vec<u8>>> {
    let root = Root::new(options.root.clone(), Vec::new(), options.symlinks);
    let Ok(path) = SafePath::parse(format!("/{name}").as_bytes()) else { return Ok(None) };
    let file = match root.open(&path) {
        Ok(Found::File(file, _)) => file,
        Ok(Found::Directory(_)) | Err(Miss::Absent) => return Ok(None),
        Err(Miss::Refused(reason)) => return Err(io::Error::other(reason)),
        Err(Miss::Failed(error)) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(SITE_FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > SITE_FILE_BYTES_MAX {
        return Err(io::Error::other(format!("it is larger than {SITE_FILE_BYTES_MAX} bytes")));
    }
    Ok(Some(bytes))
}
