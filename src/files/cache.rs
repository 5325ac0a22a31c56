//! What was found once, kept by canonical target. Never stale: each use first looks, by name, whether all still is as
//! it was; one look serves all requests that had begun before it. Bounded in bytes, and cleared of what nobody asks
//! for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quick_cache::Weighter;
use quick_cache::sync::Cache as QuickCache;

use super::stamp::{Evidence, Witness};

/// What an entry costs beside its value: key, paths, and the cache's own.
const OVERHEAD_BYTES: u64 = 512;

/// A first guess of how many entries there will be; the cache grows with need.
const ENTRIES_EXPECTED: usize = 256;

pub(super) struct Cache<T> {
    entries: QuickCache<Box<[u8]>, Arc<Entry<T>>, ByWeight>,
    idle_timeout: Duration,
    revalidate_after: Duration,
    epoch: Instant,
    /// Seconds of the cache's time when it was last swept.
    swept: AtomicU32,
}

/// A value and what has to hold for it.
#[derive(Debug)]
pub(super) struct Entry<T> {
    pub(super) value: T,
    evidence: Evidence,
    /// When the last look began, in nanoseconds since the first one. An entry is used at most a moment after a look.
    looked: AtomicU64,
    weight: u64,
}

impl<T> Entry<T> {
    /// `bytes` is the memory that the value takes.
    pub(super) fn new(value: T, bytes: u64, mut evidence: Evidence) -> Self {
        evidence.witnesses.shrink_to_fit();
        Self { value, evidence, looked: AtomicU64::new(0), weight: OVERHEAD_BYTES + bytes }
    }

    /// Whether all still is as it was at some moment since a request began, or not long before.
    fn holds(&self, begun: Option<Instant>, revalidate_after: Duration) -> bool {
        let looked = self.looked.load(Ordering::Acquire);
        if begun.is_some_and(|begun| self.age_at(begun) <= looked) {
            return true;
        }
        let now = self.age_at(Instant::now());
        if u128::from(now - looked.min(now)) < revalidate_after.as_nanos() {
            return true;
        }
        let agrees = self.evidence.witnesses.iter().all(Witness::agrees);
        if agrees {
            self.looked.store(now, Ordering::Release);
        }
        agrees
    }

    /// Whether so much time has gone by since it was found.
    pub(super) fn is_older_than(&self, age: Duration) -> bool {
        self.evidence.since.elapsed() >= age
    }

    fn unused_for(&self, now: Instant) -> Duration {
        Duration::from_nanos(self.age_at(now).saturating_sub(self.looked.load(Ordering::Relaxed)))
    }

    /// Nanoseconds since the first look; an instant before it counts as that.
    fn age_at(&self, instant: Instant) -> u64 {
        u64::try_from(instant.saturating_duration_since(self.evidence.since).as_nanos()).unwrap_or(u64::MAX)
    }
}

#[derive(Clone)]
struct ByWeight;

impl<T> Weighter<Box<[u8]>, Arc<Entry<T>>> for ByWeight {
    fn weight(&self, key: &Box<[u8]>, entry: &Arc<Entry<T>>) -> u64 {
        key.len() as u64 + entry.weight
    }
}

impl<T> Cache<T> {
    /// An entry that nobody asks for in `idle_timeout` goes; one that was looked after less than `revalidate_after` ago is
    /// taken as it is.
    pub(super) fn new(bytes_max: u64, idle_timeout: Duration, revalidate_after: Duration) -> Self {
        Self::for_entries_of(0, bytes_max, idle_timeout, revalidate_after)
    }

    /// The same for entries that may weigh so much: it has fewer parts, as an entry has to fit into one of them.
    pub(super) fn for_entries_of(
        entry_bytes: u64,
        bytes_max: u64,
        idle_timeout: Duration,
        revalidate_after: Duration,
    ) -> Self {
        // The cache has a part for each 32 entries that it expects, in a power of two.
        let parts_max = (bytes_max / (2 * entry_bytes).max(1)).max(1);
        let expected = ENTRIES_EXPECTED.min(32 << parts_max.ilog2().min(16));
        let entries = QuickCache::with_weighter(expected, bytes_max, ByWeight);
        Self { entries, idle_timeout, revalidate_after, epoch: Instant::now(), swept: AtomicU32::new(0) }
    }

    /// Whether an entry of so many bytes can be kept at all.
    pub(super) fn fits(&self, bytes: u64) -> bool {
        bytes.saturating_add(2 * OVERHEAD_BYTES) <= self.entries.shard_capacity() / 10 * 9
    }

    /// The entry of a target, if it still holds for a request that [began](crate::http::Request::begun) then.
    pub(super) fn find(&self, target: &[u8], begun: Option<Instant>) -> Option<Arc<Entry<T>>> {
        let entry = self.entries.get(target)?;
        if !entry.holds(begun, self.revalidate_after) {
            self.entries.remove(target);
            return None;
        }
        Some(entry)
    }

    pub(super) fn insert(&self, target: &[u8], entry: Arc<Entry<T>>) {
        self.entries.insert(target.into(), entry);
    }

    /// Drops what isn't worth keeping any more.
    pub(super) fn keep_only(&self, is_worth: impl Fn(&T) -> bool) {
        self.entries.retain(|_, entry| is_worth(&entry.value));
    }

    /// Drops what was not used for long, and with it descriptors; looks a few times in that time.
    pub(super) fn sweep(&self) {
        let (seconds, idle) = (self.seconds(), self.idle_timeout.max(Duration::from_secs(1)));
        if u64::from(seconds) < u64::from(self.swept.load(Ordering::Relaxed)) + idle.as_secs().div_ceil(8) {
            return;
        }
        self.swept.store(seconds, Ordering::Relaxed);
        let now = Instant::now();
        self.entries.retain(|_, entry| entry.unused_for(now) < idle);
    }

    fn seconds(&self) -> u32 {
        u32::try_from(self.epoch.elapsed().as_secs()).unwrap_or(u32::MAX)
    }
}
