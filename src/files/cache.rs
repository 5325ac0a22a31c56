//! Representations kept ready, by canonical target. Never stale: each use first looks, by name, whether the file still is
//! what it was. Bounded in bytes, and cleared of what nobody asks for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use quick_cache::Weighter;
use quick_cache::sync::Cache as QuickCache;

use super::representation::Representation;
use super::stamp::Witness;

/// What an entry costs beside its content: key, heads, paths, and the cache's own.
const OVERHEAD_BYTES: u64 = 1 << 10;

/// A first guess of how many entries there will be; the cache grows with need.
const ENTRIES_EXPECTED: usize = 256;

pub(super) struct Cache {
    entries: QuickCache<Box<[u8]>, Arc<Entry>, Weigh>,
    idle_timeout: Duration,
    epoch: Instant,
    /// Seconds of the cache's time when it was last swept.
    swept: AtomicU32,
}

/// A representation and what has to hold for it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) representation: Representation,
    witnesses: Vec<Witness>,
    /// Seconds of the cache's time when it was last used.
    used: AtomicU32,
}

impl Entry {
    pub(super) fn new(representation: Representation, witnesses: Vec<Witness>) -> Self {
        Self { representation, witnesses, used: AtomicU32::new(0) }
    }
}

/// Bounds both the bytes and the descriptors: as many descriptors as are allowed weigh as much as all bytes.
#[derive(Clone)]
struct Weigh {
    descriptor: u64,
}

impl Weighter<Box<[u8]>, Arc<Entry>> for Weigh {
    fn weight(&self, key: &Box<[u8]>, entry: &Arc<Entry>) -> u64 {
        OVERHEAD_BYTES + key.len() as u64 + entry.representation.memory_bytes().unwrap_or(self.descriptor)
    }
}

impl Cache {
    pub(super) fn new(bytes_max: u64, descriptors_max: usize, idle_timeout: Duration) -> Self {
        let weigh = Weigh { descriptor: bytes_max.div_ceil(descriptors_max.max(1) as u64) };
        let entries = QuickCache::with_weighter(ENTRIES_EXPECTED, bytes_max, weigh);
        Self { entries, idle_timeout, epoch: Instant::now(), swept: AtomicU32::new(0) }
    }

    /// The entry of a target, if its file is still the same.
    pub(super) fn find(&self, target: &[u8]) -> Option<Arc<Entry>> {
        let entry = self.entries.get(target)?;
        if !entry.witnesses.iter().all(Witness::agrees) {
            self.entries.remove(target);
            return None;
        }
        entry.used.store(self.seconds(), Ordering::Relaxed);
        Some(entry)
    }

    pub(super) fn insert(&self, target: &[u8], entry: Arc<Entry>) {
        entry.used.store(self.seconds(), Ordering::Relaxed);
        self.entries.insert(target.into(), entry);
    }

    /// Drops everything, and with it the descriptors.
    pub(super) fn clear(&self) {
        self.entries.clear();
    }

    /// Drops what was not used for long, and with it descriptors; looks a few times in that time.
    pub(super) fn sweep(&self) {
        let (now, idle) = (u64::from(self.seconds()), self.idle_timeout.as_secs().max(1));
        if now < u64::from(self.swept.load(Ordering::Relaxed)) + idle.div_ceil(8) {
            return;
        }
        self.swept.store(self.seconds(), Ordering::Relaxed);
        let is_used = |entry: &Entry| now < u64::from(entry.used.load(Ordering::Relaxed)) + idle;
        self.entries.retain(|_, entry| is_used(entry));
    }

    fn seconds(&self) -> u32 {
        u32::try_from(self.epoch.elapsed().as_secs()).unwrap_or(u32::MAX)
    }
}
