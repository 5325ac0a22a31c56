//! A descriptor that becomes readable when it is rung: what a thread in poll(2) can be called with.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

/// Rung by anyone, waited for with poll(2).
#[derive(Debug)]
pub(super) struct Alarm {
    button: UnixStream,
    bell: UnixStream,
}

impl Alarm {
    pub(super) fn new() -> io::Result<Self> {
        let (button, bell) = UnixStream::pair()?;
        button.set_nonblocking(true)?;
        bell.set_nonblocking(true)?;
        Ok(Self { button, bell })
    }

    /// Makes the descriptor readable. A full pipe is as loud as one more byte, so a failed write is no loss.
    pub(super) fn ring(&self) {
        let _ = (&self.button).write(&[1]);
    }

    /// Makes it wait for the next ring.
    pub(super) fn silence(&self) {
        let mut bytes = [0; 64];
        while matches!((&self.bell).read(&mut bytes), Ok(read) if read == bytes.len()) {}
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}
