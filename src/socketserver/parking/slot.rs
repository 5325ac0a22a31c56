//! A slot for one connection: in which place it is, and what happened to it in the others.

use std::mem;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use super::Connection;
use crate::socketserver::handler::{Interest, Wake};
use crate::socketserver::poller::Poller;

pub(super) struct Slot<S> {
    /// Microseconds since the lot's epoch. Outside of the lock, as all of them are looked at for one that has passed.
    pub(super) deadline: AtomicU64,
    pub(super) state: Mutex<State<S>>,
}

pub(super) struct State<S> {
    pub(super) place: Place<S>,
    /// The number of the last one.
    pub(super) arming: u32,
    /// Looks that had begun when it was parked.
    pub(super) looks_before: u64,
    /// There was an event that nobody waited for: what it tells of may have been read since, or not.
    pub(super) missed: bool,
    /// There was one that doesn't come again: only a new arming tells it once more.
    pub(super) final_told: bool,
    /// Which connection of this slot it is, for wakers.
    pub(super) tenancy: u32,
    /// A waker called while the connection was not parked.
    pub(super) called: bool,
    pub(super) told_to_stop: bool,
    /// While it is parked, nothing is under way.
    pub(super) idle: bool,
}

pub(super) enum Place<S> {
    /// There is none.
    Vacant,
    /// It has a turn to come, for this.
    Queued(Box<Connection<S>>, Wake),
    /// A worker has it.
    Held,
    /// It waits.
    Parked(Box<Connection<S>>),
}

impl<S> Slot<S> {
    pub(super) fn new() -> Self {
        let state = State {
            place: Place::Vacant,
            arming: 0,
            looks_before: 0,
            missed: false,
            final_told: false,
            tenancy: 0,
            called: false,
            told_to_stop: false,
            idle: false,
        };
        Self { deadline: AtomicU64::new(u64::MAX), state: Mutex::new(state) }
    }
}

impl<S> State<S> {
    /// Whether the poller still watches for this, by the last arming, as a reader has found the socket empty since.
    pub(super) fn lasts(&self, connection: &Connection<S>, interest: Interest) -> bool {
        Poller::LASTS
            && !self.final_told
            && interest == Interest::Read
            && connection.armed == Some(Interest::Read)
            && connection.stream.is_drained()
    }

    /// Whether it waits, by an arming that lasts, for more than there is.
    pub(super) fn has_read_all(&self) -> bool {
        match &self.place {
            Place::Parked(connection) => self.lasts(connection, Interest::Read) && !connection.stream.has_bytes(),
            _ => false,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.idle && matches!(self.place, Place::Parked(_))
    }

    /// Why it has to have a turn at once, before it can wait for this, if it has to.
    pub(super) fn cause_for_turn(
        &mut self,
        connection: &Connection<S>,
        interest: Interest,
        is_stopping: bool,
    ) -> Option<Wake> {
        if let Some(wake) = self.news(is_stopping) {
            return Some(wake);
        }
        let has_read_ahead = interest == Interest::Read && connection.stream.has_read_ahead();
        // What was missed is looked for only here, and not by a turn in vain: a handler may read as a blocked worker, and
        // would wait.
        let is_ready = has_read_ahead
            || self.lasts(connection, interest) && mem::take(&mut self.missed) && connection.stream.has_bytes();
        is_ready.then_some(Wake::Ready)
    }

    /// What happened while the connection was in a worker's hands.
    pub(super) fn news(&mut self, stopping: bool) -> Option<Wake> {
        if mem::take(&mut self.called) {
            return Some(Wake::Called);
        }
        (stopping && !mem::replace(&mut self.told_to_stop, true)).then_some(Wake::Stopping)
    }

    /// From the lot to the queue; false when it isn't in the lot.
    pub(super) fn unpark(&mut self, wake: Wake) -> bool {
        match mem::replace(&mut self.place, Place::Held) {
            Place::Parked(connection) => {
                self.place = Place::Queued(connection, wake);
                true
            }
            other => {
                self.place = other;
                false
            }
        }
    }
}
