//! Datagrams that the system had no room for, and so threw away.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, Weak};

use socket2::Socket;

use super::listener::ignore_all;
use super::parking::lock;

/// Tells from any thread how many datagrams a [`DatagramServer`](super::DatagramServer) has lost, while it serves and after.
#[derive(Clone, Debug)]
pub struct Losses {
    /// It closes with the server.
    socket: Weak<Socket>,
    counted: Arc<Mutex<Count>>,
}

#[derive(Debug, Default)]
struct Count {
    lost: u64,
    /// The system drops all that comes, and counts that as well.
    is_final: bool,
}

impl Losses {
    pub(super) fn of(socket: &Arc<Socket>) -> Self {
        Self { socket: Arc::downgrade(socket), counted: Arc::default() }
    }

    /// Datagrams that the system has thrown away so far, as they came faster than they were handled; on Linux.
    #[must_use]
    pub fn count(&self) -> u64 {
        let mut counted = lock(&self.counted);
        if let Some(socket) = self.socket.upgrade() {
            counted.add(&socket);
        }
        counted.lost
    }

    /// Has the system drop what comes from now on, where it can: that doesn't count.
    pub(super) fn end(&self) {
        let mut counted = lock(&self.counted);
        if let Some(socket) = self.socket.upgrade() {
            counted.add(&socket);
            counted.is_final = ignore_all(&socket);
        }
    }
}

impl Count {
    /// Adds what has come to it. The system's count has 32 bits; an older one would seem to have gone round, so it is read
    /// with this one locked.
    fn add(&mut self, socket: &Socket) {
        if !self.is_final {
            self.lost += u64::from(dropped(socket.as_fd()).wrapping_sub(self.lost as u32));
        }
    }
}

/// Datagrams that the system had no room for.
#[cfg(target_os = "linux")]
fn dropped(socket: BorrowedFd<'_>) -> u32 {
    use nix::{getsockopt_impl, libc, sockopt_impl};
    const DROPS: usize = 8;
    sockopt_impl!(
        /// The memory of a socket, and what was dropped for want of it.
        MemoryInfo,
        GetOnly,
        libc::SOL_SOCKET,
        libc::SO_MEMINFO,
        [u32; DROPS + 1]
    );
    nix::sys::socket::getsockopt(&socket, MemoryInfo).map_or(0, |info| info[DROPS])
}

#[cfg(not(target_os = "linux"))]
fn dropped(_socket: BorrowedFd<'_>) -> u32 {
    0
}
