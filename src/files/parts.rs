//! Small parts of a large file that are asked for more than once: the first bytes of a map of tiles, of an archive, of a
//! video, which everybody reads. They are kept in memory beside the file's descriptor, for as long as that is kept, and
//! take no more than it counts for in the cache.

use std::ops::Range;
use std::sync::Mutex;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use super::options::Options;

/// Larger parts are read each time.
const PART_BYTES_MAX: u64 = 16 << 10;

/// Parts kept of a file at most.
const KEPT_MAX: u64 = 8;

/// Parts remembered as asked for once, each in the one place that it can have.
const ASKED_MAX: usize = 64;

#[derive(Debug)]
pub(super) struct Parts {
    part_bytes_max: u64,
    kept_max: usize,
    memory: Mutex<Memory>,
}

#[derive(Debug)]
struct Memory {
    /// The latest comes first.
    kept: Vec<(Range<u64>, Bytes)>,
    /// Digests: who has the one of another is kept a little early.
    asked: [u32; ASKED_MAX],
}

impl Parts {
    /// Keeps none yet, and later no more than these options have room for.
    pub(super) fn new(options: &Options) -> Self {
        let part_bytes_max = PART_BYTES_MAX.min(options.cache_file_bytes_max);
        let kept_max = options.descriptor_weight() / PART_BYTES_MAX;
        Self {
            part_bytes_max,
            kept_max: kept_max.min(KEPT_MAX) as usize,
            memory: Mutex::new(Memory { kept: Vec::new(), asked: [0; ASKED_MAX] }),
        }
    }

    /// The bytes of a part that was asked for before, if it is kept or `read` gives them now. Never waits: where another
    /// worker looks at the same moment, there are none.
    pub(super) fn find(&self, range: &Range<u64>, read: impl FnOnce() -> Option<Bytes>) -> Option<Bytes> {
        if self.kept_max == 0 || range.end - range.start > self.part_bytes_max {
            return None;
        }
        let mut memory = self.memory.try_lock().ok()?;
        if let Some(at) = memory.kept.iter().position(|(kept, _)| kept == range) {
            memory.kept[..=at].rotate_right(1);
            return Some(memory.kept[0].1.clone());
        }
        let digest = digest(range);
        let asked = &mut memory.asked[digest as usize % ASKED_MAX];
        if *asked != digest {
            *asked = digest;
            return None;
        }
        // Should it be driven out, it has to be asked for twice again.
        *asked = 0;
        let bytes = read()?;
        memory.kept.truncate(self.kept_max - 1);
        memory.kept.insert(0, (range.clone(), bytes.clone()));
        Some(bytes)
    }
}

fn digest(range: &Range<u64>) -> u32 {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&range.start.to_ne_bytes());
    bytes[8..].copy_from_slice(&range.end.to_ne_bytes());
    (xxh3_64(&bytes) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(change: impl FnOnce(&mut Options)) -> Parts {
        let mut options = Options::new("/");
        change(&mut options);
        Parts::new(&options)
    }

    fn find(parts: &Parts, range: Range<u64>) -> Option<Bytes> {
        let bytes = vec![b'x'; (range.end - range.start) as usize];
        parts.find(&range, || Some(bytes.into()))
    }

    /// Asks until the part is kept.
    fn keep(parts: &Parts, range: Range<u64>) {
        find(parts, range.clone());
        assert_eq!(find(parts, range.clone()).map(|bytes| bytes.len() as u64), Some(range.end - range.start));
    }

    fn is_kept(parts: &Parts, range: Range<u64>) -> bool {
        parts.find(&range, || None).is_some()
    }

    #[test]
    fn a_part_is_kept_when_it_is_asked_for_again() {
        let parts = parts(|_| {});
        assert_eq!(find(&parts, 10..20), None);
        assert_eq!(find(&parts, 10..21), None);
        assert_eq!(parts.find(&(10..20), || None), None, "it can't be read");
        assert_eq!(find(&parts, 10..20), None);
        assert_eq!(find(&parts, 10..20), Some(Bytes::from_static(b"xxxxxxxxxx")));
        assert!(is_kept(&parts, 10..20) && !is_kept(&parts, 10..21));
    }

    #[test]
    fn who_reads_on_and_on_drives_nothing_out_and_who_asks_again_what_was_not_used_for_longest() {
        let parts = parts(|_| {});
        (0..KEPT_MAX).for_each(|at| keep(&parts, at..at + 1));
        (100..200).for_each(|at| _ = parts.find(&(at..at + 5), || None));
        assert!((0..KEPT_MAX).all(|at| is_kept(&parts, at..at + 1)));
        assert!(is_kept(&parts, 0..1));
        keep(&parts, 50..60);
        assert!(is_kept(&parts, 0..1) && is_kept(&parts, 50..60) && !is_kept(&parts, 1..2));
    }

    /// Of a map of tiles everybody reads the first bytes, and then what nobody else reads.
    #[test]
    fn a_part_is_remembered_while_others_are_asked_for() {
        let parts = parts(|_| {});
        find(&parts, 0..100);
        (1..=10).for_each(|tile| assert_eq!(find(&parts, tile * 1_000..tile * 1_000 + 500), None));
        assert!(find(&parts, 0..100).is_some());
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let roomy = parts(|_| {});
        keep(&roomy, 0..PART_BYTES_MAX);
        find(&roomy, 0..PART_BYTES_MAX + 1);
        assert_eq!(find(&roomy, 0..PART_BYTES_MAX + 1), None, "it is too large");
        for (what, none) in [
            ("cache_bytes_max", parts(|options| options.cache_bytes_max = 0)),
            ("cache_descriptors_max", parts(|options| options.cache_descriptors_max = 65_536)),
            ("cache_file_bytes_max", parts(|options| options.cache_file_bytes_max = 0)),
        ] {
            find(&none, 0..1);
            assert_eq!(find(&none, 0..1), None, "{what}");
        }
        let one = parts(|options| options.cache_bytes_max = 512 * PART_BYTES_MAX);
        keep(&one, 0..1);
        keep(&one, 1..2);
        assert!(is_kept(&one, 1..2) && !is_kept(&one, 0..1));
    }
}
