//! Room for one more connection: how an acceptor that found none hears of it.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use super::alarm::Alarm;

/// Where the shards say that a slot is free, while an acceptor waits for one.
pub(super) struct Vacancy {
    alarm: Alarm,
    wanted: AtomicBool,
    /// Nobody was idle: who becomes so has to leave.
    from_anyone: AtomicBool,
}

impl Vacancy {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { alarm: Alarm::new()?, wanted: AtomicBool::new(false), from_anyone: AtomicBool::new(false) })
    }

    /// Wants to be told from now on; what can be polled for it.
    pub(super) fn want(&self) -> &Alarm {
        self.alarm.silence();
        self.wanted.store(true, Ordering::SeqCst);
        &self.alarm
    }

    /// Whether whoever becomes idle from now on has to leave.
    pub(super) fn want_from_anyone(&self, wanted: bool) {
        self.from_anyone.store(wanted, Ordering::SeqCst);
    }

    pub(super) fn is_wanted_from_anyone(&self) -> bool {
        self.from_anyone.load(Ordering::Relaxed)
    }

    pub(super) fn say(&self) {
        if self.wanted.load(Ordering::SeqCst) && self.wanted.swap(false, Ordering::SeqCst) {
            self.want_from_anyone(false);
            self.alarm.ring();
        }
    }
}
