//! How much of a response the system may have at a time.
//!
//! By itself it takes some megabytes of each, whether its peer has room for them or not. For a few large ones that takes the
//! least processor time; but a thousand peers that read slowly keep it busy with that, and everybody else waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// More responses than these are a crowd.
const UNLIMITED_RESPONSES_MAX: usize = 64;

/// What the system may have of a response that is limited, beyond what its peer has room for.
const UNSENT_BYTES_MAX: u32 = 128 << 10;

/// A response is large while more than these are to come. To a peer on this machine more of what is not comes through if
/// little is under way at a time: that is in the processor's caches still when the peer copies it. Over a network it would
/// only cost more turns.
const LARGE_BYTES_MIN: u64 = 1 << 20;

/// Of a large response that didn't begin in a crowd the system wants more once less than half of these, 512 KiB, are left to
/// send. By itself it does so much sooner, and each turn brings it less.
const REFILL_UNSENT_BYTES: u32 = 1 << 20;

/// Responses under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Crowd(Arc<AtomicUsize>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<AtomicUsize>);

impl Crowd {
    pub(super) fn join(&self) -> Place {
        self.0.fetch_add(1, Ordering::Relaxed);
        Place(Arc::clone(&self.0))
    }

    /// What the system may have of a response that begins now, with so many bytes to come, to a peer on this machine or
    /// elsewhere; 0 means no limit. A limit comes with the first byte or not at all: what the system has by then would have
    /// to drain before the peer counts as reading.
    pub(super) fn unsent_bytes_max(&self, bytes: u64, is_local: bool) -> u32 {
        let is_limited = is_local && bytes <= LARGE_BYTES_MIN || self.is_there();
        if bytes > u64::from(UNSENT_BYTES_MAX) && is_limited { UNSENT_BYTES_MAX } else { 0 }
    }

    /// What it may have now of one that began with this limit: a large one is rid of it when the crowd is gone.
    pub(super) fn unsent_bytes_max_now(&self, begun_with: u32, bytes: u64) -> u32 {
        if bytes <= LARGE_BYTES_MIN || self.is_there() { begun_with } else { 0 }
    }

    /// And while it has taken all that it has room for.
    pub(super) fn unsent_bytes_max_in_a_wait(limit: u32, bytes: u64) -> u32 {
        if limit == 0 && bytes > LARGE_BYTES_MIN { REFILL_UNSENT_BYTES } else { limit }
    }

    fn is_there(&self) -> bool {
        self.0.load(Ordering::Relaxed) > UNLIMITED_RESPONSES_MAX
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_limited_in_a_crowd_and_those_on_this_machine_that_are_not_large_always() {
        const LARGE: u64 = LARGE_BYTES_MIN + 1;
        let crowd = Crowd::default();
        let mut places: Vec<_> = (0..UNLIMITED_RESPONSES_MAX).map(|_| crowd.join()).collect();
        let sizes = [UNSENT_BYTES_MAX.into(), LARGE_BYTES_MIN, LARGE];
        let limits = |is_local| sizes.map(|bytes| crowd.unsent_bytes_max(bytes, is_local));
        assert_eq!((limits(false), limits(true)), ([0, 0, 0], [0, UNSENT_BYTES_MAX, 0]));
        places.push(crowd.join());
        let in_a_crowd = [0, UNSENT_BYTES_MAX, UNSENT_BYTES_MAX];
        assert_eq!((limits(false), limits(true)), (in_a_crowd, in_a_crowd));
        assert_eq!(crowd.unsent_bytes_max_now(UNSENT_BYTES_MAX, LARGE), UNSENT_BYTES_MAX);
        assert_eq!(crowd.unsent_bytes_max_now(0, LARGE), 0, "a limit never comes later");
        places.pop();
        assert_eq!((limits(false), limits(true)), ([0, 0, 0], [0, UNSENT_BYTES_MAX, 0]));
        assert_eq!(crowd.unsent_bytes_max_now(UNSENT_BYTES_MAX, LARGE), 0, "the crowd is gone");
        assert_eq!(crowd.unsent_bytes_max_now(UNSENT_BYTES_MAX, LARGE_BYTES_MIN), UNSENT_BYTES_MAX);
        let waits = [(0, LARGE), (0, LARGE_BYTES_MIN), (UNSENT_BYTES_MAX, LARGE)];
        let waits = waits.map(|(limit, bytes)| Crowd::unsent_bytes_max_in_a_wait(limit, bytes));
        assert_eq!(waits, [REFILL_UNSENT_BYTES, 0, UNSENT_BYTES_MAX]);
    }
}
