//! The one queue of a pool, and who waits for it to fill. The rules that it keeps are told in `pool.rs`.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::parking::SlotId;
use super::poller::Poller;

/// What a worker can draw from the queue.
pub(super) enum Job {
    /// Give this connection its turn.
    Serve(SlotId),
    /// Leave, and pass it on.
    Leave,
}

/// Jobs, from everyone to every worker.
pub(super) struct Queue {
    sender: Sender<Job>,
    receiver: Receiver<Job>,
    /// Workers that watch, or are about to.
    watchers: AtomicUsize,
    /// A wake-up is under way to one of them.
    waking: AtomicBool,
}

impl Queue {
    /// A push never waits for a worker. As a connection is in one place only, there are never more jobs than connections;
    /// room for all of them, taken ahead, would be 0.26 MiB.
    pub(super) fn new() -> Self {
        let (sender, receiver) = unbounded();
        Self { sender, receiver, watchers: AtomicUsize::new(0), waking: AtomicBool::new(false) }
    }

    pub(super) fn push(&self, job: Job, poller: &Poller) {
        self.push_all([job]);
        self.wake_watcher(poller);
    }

    /// Pushes without a wake-up, which is then for the caller.
    pub(super) fn push_all(&self, jobs: impl IntoIterator<Item = Job>) {
        // It can't be disconnected: both ends live in this struct.
        jobs.into_iter().for_each(|job| drop(self.sender.send(job)));
    }

    /// The next job, if there is one.
    pub(super) fn take(&self, poller: &Poller) -> Option<Job> {
        let job = self.receiver.try_recv().ok()?;
        self.wake_for_more(poller);
        Some(job)
    }

    /// Rule 2, of a worker that is about to be busy.
    pub(super) fn wake_for_more(&self, poller: &Poller) {
        if !self.is_empty() {
            self.wake_watcher(poller);
        }
    }

    pub(super) fn len(&self) -> u32 {
        self.receiver.len().try_into().unwrap_or(u32::MAX)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }

    /// Rule 1: this first, then a look at the queue.
    pub(super) fn begin_watching(&self) {
        self.watchers.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// Rule 2: a wake-up has arrived before the queue is looked at.
    pub(super) fn end_watching(&self, woken: bool) {
        self.watchers.fetch_sub(1, Ordering::SeqCst);
        if woken {
            self.waking.store(false, Ordering::SeqCst);
            fence(Ordering::SeqCst);
        }
    }

    pub(super) fn wake_watcher(&self, poller: &Poller) {
        fence(Ordering::SeqCst);
        let watched = self.watchers.load(Ordering::SeqCst) > 0;
        if watched && !self.waking.load(Ordering::SeqCst) && !self.waking.swap(true, Ordering::SeqCst) {
            poller.wake();
        }
    }
}
