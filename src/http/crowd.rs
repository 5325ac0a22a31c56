//! How many responses are under way that take more than one turn, and what the system may have of each.
//!
//! By itself it takes some megabytes of each, whether its peer has room for them or not. That is quickest for a few; but
//! a thousand peers that read slowly keep it busy with that, and everybody else waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// More responses than these are a crowd.
const UNLIMITED_RESPONSES_MAX: usize = 64;

/// What the system may have of each response of a crowd, beyond what its peer has room for.
const UNSENT_BYTES_MAX: u32 = 128 << 10;

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

    /// What the system may have from now on of a response with so many bytes to come; 0 means no limit, and none that it may
    /// have what it may now. A limit comes with the first byte or not at all: what the system has by then would have to drain
    /// before the peer counts as reading.
    pub(super) fn unsent_bytes_max(&self, bytes: u64, begins: bool) -> Option<u32> {
        let is_there = self.0.load(Ordering::Relaxed) > UNLIMITED_RESPONSES_MAX;
        match is_there {
            false => Some(0),
            true => (begins && bytes > u64::from(UNSENT_BYTES_MAX)).then_some(UNSENT_BYTES_MAX),
        }
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
        assert_eq!(crowd.unsent_bytes_max(large, true), Some(0));
        places.push(crowd.join());
        assert_eq!(crowd.unsent_bytes_max(large, true), Some(UNSENT_BYTES_MAX));
        assert_eq!(crowd.unsent_bytes_max(large, false), None, "it has begun without");
        assert_eq!(crowd.unsent_bytes_max(UNSENT_BYTES_MAX.into(), true), None);
        places.pop();
        assert_eq!(crowd.unsent_bytes_max(large, true), Some(0));
        assert_eq!(crowd.unsent_bytes_max(large, false), Some(0));
    }
}
