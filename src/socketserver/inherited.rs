//! Sockets that this process was started with: by a service manager, or by its own predecessor.

use std::env;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::process;

use super::bind::ListenError;
use super::listener::Listener;
use super::options::SocketOptions;

/// Where systemd and its like begin to count.
const FIRST_PASSED_ON: i32 = 3;

/// Sockets that may be passed on.
const PASSED_ON_MAX: i32 = 64;

impl Listener {
    /// Takes over the listening socket with this number. What a process is born with nobody in it owns, so this is a copy,
    /// and the original stays open. `options` count as with [`from_descriptor`](Self::from_descriptor).
    ///
    /// # Errors
    /// A [`ListenError`]: no such descriptor is open, a sandbox forbids to copy it, or as
    /// [`from_descriptor`](Self::from_descriptor). `Unsupported` elsewhere than on Linux.
    pub fn inherited(number: i32, options: &SocketOptions) -> io::Result<Self> {
        let taken = copy_of(number).and_then(|descriptor| Self::from_descriptor(descriptor, options));
        taken.map_err(ListenError::at(&format!("fd:{number}")))
    }

    /// The numbers of the sockets that systemd and its like have passed on to this process, for [`Listener::inherited`]:
    /// `LISTEN_FDS` descriptors from 3 on, if `LISTEN_PID` is this process; none where they say something else.
    #[must_use]
    pub fn passed_on() -> Vec<i32> {
        let number = |name| env::var(name).ok()?.parse::<i32>().ok();
        let is_for_us = number("LISTEN_PID").is_some_and(|pid| u32::try_from(pid) == Ok(process::id()));
        let count = number("LISTEN_FDS").filter(|count| is_for_us && (1..=PASSED_ON_MAX).contains(count)).unwrap_or(0);
        (FIRST_PASSED_ON..FIRST_PASSED_ON + count).collect()
    }
}

/// By way of the process's own pidfd, which needs no `unsafe`.
#[cfg(target_os = "linux")]
fn copy_of(number: i32) -> io::Result<OwnedFd> {
    use rustix::io::Errno;
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
    let this = pidfd_open(getpid(), PidfdFlags::empty());
    let copy = this.and_then(|this| pidfd_getfd(this, number, PidfdGetfdFlags::empty()));
    copy.map_err(|errno| match errno {
        Errno::BADF => {
            io::Error::new(ErrorKind::InvalidInput, "no such descriptor is open; have it passed on to this process")
        }
        Errno::PERM | Errno::ACCESS | Errno::NOSYS => io::Error::new(
            ErrorKind::PermissionDenied,
            format!(
                "{errno}; have the sandbox of this process permit pidfd_open and pidfd_getfd, which take a socket over"
            ),
        ),
        errno => errno.into(),
    })
}

#[cfg(not(target_os = "linux"))]
fn copy_of(_number: i32) -> io::Result<OwnedFd> {
    Err(io::Error::new(ErrorKind::Unsupported, "descriptors are inherited on Linux alone"))
}
