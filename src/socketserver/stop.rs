//! The wish to stop: said once, seen by everyone.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::alarm::Alarm;

/// Whether a stop was asked for; its descriptor is readable from then on.
#[derive(Debug)]
pub(super) struct Stop {
    requested: AtomicBool,
    overdue: AtomicBool,
    alarm: Alarm,
}

impl Stop {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { requested: AtomicBool::new(false), overdue: AtomicBool::new(false), alarm: Alarm::new()? })
    }

    pub(super) fn request(&self) {
        self.requested.store(true, Ordering::SeqCst);
        self.alarm.ring();
    }

    pub(super) fn is_requested(&self) -> bool {
        self.requested.load(Ordering::SeqCst)
    }

    /// Says that the time for what was under way is over.
    pub(super) fn set_overdue(&self) {
        self.overdue.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_overdue(&self) -> bool {
        self.overdue.load(Ordering::SeqCst)
    }
}

impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.alarm.as_fd()
    }
}

/// Stops a [`Server`](super::Server) from any thread.
#[derive(Clone, Debug)]
pub struct Stopper {
    pub(super) stop: Arc<Stop>,
}

impl Stopper {
    /// Asks the server to stop; `serve_forever` returns when it has. Asking again changes nothing.
    pub fn shutdown(&self) {
        self.stop.request();
    }
}
