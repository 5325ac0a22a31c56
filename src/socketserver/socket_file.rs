//! The files of UNIX sockets: whose they are, who may write to them, and when they go.

use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use socket2::{Domain, Socket, Type};

use super::address::UnixName;

/// How long another server that starts is waited for, and how long between looks.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// A lock on the folder of a socket file, to be held until the socket listens: so of two servers that start at once neither
/// takes the other's file for one that was left behind. Whoever else holds it isn't waited for forever.
pub(super) fn lock_folder(path: &Path) -> Option<fs::File> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Where it can't be read there is no lock, and things are as they would be without.
    let folder = fs::File::open(folder).ok()?;
    let until = Instant::now() + LOCK_PATIENCE;
    while let Err(Errno::WOULDBLOCK) = flock(&folder, FlockOperation::NonBlockingLockExclusive) {
        if Instant::now() >= until {
            return None;
        }
        thread::sleep(LOCK_PAUSE);
    }
    Some(folder)
}

/// Removes the file of a server that is gone: one that refuses connections.
pub(super) fn remove_stale(path: &Path, of: Type) -> io::Result<()> {
    let kind = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        metadata => metadata?.file_type(),
    };
    if !kind.is_socket() {
        let reason = "it is there already, and is no socket; remove it, or choose another path";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, reason));
    }
    let probe = Socket::new(Domain::UNIX, of, None)?;
    probe.set_nonblocking(true)?;
    match probe.connect(&UnixName::Path(path.to_owned()).to_system()?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
        // Somebody is there, even if its backlog is full, or it is of another kind.
        _ => Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "another server listens there; stop it, or choose another path",
        )),
    }
}

/// Sets who may write to the file that binding this socket will make. (The file is set as well, as the umask takes away from
/// this; and elsewhere than on Linux that is all.)
pub(super) fn give_mode(socket: &Socket, mode: Option<u32>) -> io::Result<()> {
    match mode {
        Some(mode) if cfg!(target_os = "linux") => {
            Ok(rustix::fs::fchmod(socket, rustix::fs::Mode::from_raw_mode(mode))?)
        }
        _ => Ok(()),
    }
}

/// The file of a socket, which is removed with it, unless another has taken its place.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    pub(super) fn new(path: &Path, mode: Option<u32>) -> io::Result<Self> {
        let path = path.canonicalize()?;
        if let Some(mode) = mode {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        }
        let identity = identity(&path)?;
        Ok(Self { path, identity })
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            // Where it can't be removed, the next server finds it stale.
            let _ = fs::remove_file(&self.path);
        }
    }
}
