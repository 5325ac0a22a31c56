//! How much of a response the system may have at a time.
//!
//! By itself it takes some megabytes of each, whether its peer has room for them or not. That is quickest for a few; but
//! a thousand peers that read slowly keep it busy with that, and everybody else waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// More responses than these are a crowd.
const UNLIMITED_RESPONSES_MAX: usize = 64;

/// What the system may have of each response of a crowd, beyond what its peer has room for.
const UNSENT_BYTES_MAX: u32 = 128 << 10;

/// Of a response that didn't begin in a crowd, and has more than [`REFILL_BYTES_MIN`] to come, the system wants more once less
/// than half of these, 512 KiB, are left to send. By itself it does so much sooner, and each turn brings it less.
pub(super) const REFILL_UNSENT_BYTES: u32 = 1 << 20;

/// With less to come than this, sooner is as good.
pub(super) const REFILL_BYTES_MIN: u64 = 1 << 20;

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

    /// What the system may have of a response that begins now, with so many bytes to come; 0 means no limit. A limit comes
    /// with the first byte or not at all: what the system has by then would have to drain before the peer counts as
    /// reading.
    pub(super) fn unsent_bytes_max(&self, bytes: u64) -> u32 {
        let is_large = bytes > u64::from(UNSENT_BYTES_MAX);
        if is_large && self.is_there() { UNSENT_BYTES_MAX } else { 0 }
    }

    pub(super) fn is_there(&self) -> bool {
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
    fn large_responses_are_limited_in_a_crowd() {
        let (crowd, large) = (Crowd::default(), 1 << 20);
        let mut places: Vec<_> = (0..UNLIMITED_RESPONSES_MAX).map(|_| crowd.join()).collect();
        assert_eq!(crowd.unsent_bytes_max(large), 0);
        places.push(crowd.join());
        assert_eq!(crowd.unsent_bytes_max(large), UNSENT_BYTES_MAX);
        assert_eq!(crowd.unsent_bytes_max(UNSENT_BYTES_MAX.into()), 0);
        places.pop();
        assert_eq!(crowd.unsent_bytes_max(large), 0);
    }
}
