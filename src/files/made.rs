//! Variants made on the fly: each content is compressed once, by whoever asks for it first, as slow work off the
//! workers that serve; meanwhile others get what there is.
//!
//! A variant is kept by the digest of the content that it was made from. So it can't be stale, and a file that was only
//! touched, or is too young to be kept itself, isn't compressed again.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_128;

use super::Files;
use super::cache::Entry;
use super::compress::compress;
use super::options::Coding;
use super::representation::Representation;
use super::stamp::Evidence;
use super::variants::{Variant, Wish};
use crate::http::slow;

/// What came of the wish for a variant.
pub(super) enum Made {
    Variant(Arc<Entry<Variant>>),
    /// It is no smaller.
    Useless,
    /// It is being made, or too much else is; or the file has just changed, or can't be read.
    NotNow,
}

impl Files {
    /// The variant of a file in this coding: from before, or compressed now if it is this one's turn. Where it has to
    /// be had, its turn is waited for, and it may be larger.
    pub(super) fn made(&self, wish: &Wish<'_>, coding: Coding) -> Made {
        let digest = wish.original.digest.or_else(|| wish.record.digest.get().copied());
        if let Some(made) = digest.and_then(|digest| self.recall_made(wish, coding, digest)) {
            return made;
        }
        let (turns, turn) = (&self.variants.turns, (wish.origin.id, coding));
        if wish.is_forced {
            return slow(|| turns.begin(turn).map_or(Made::NotNow, |_turn| self.make(wish, coding)));
        }
        turns.try_begin(turn).map_or(Made::NotNow, |_turn| slow(|| self.make(wish, coding)))
    }

    /// What was made of this content before. What turned out larger is kept apart, for those who have to have it.
    fn recall_made(&self, wish: &Wish<'_>, coding: Coding, digest: u128) -> Option<Made> {
        let find = |is_larger| self.variants.kept.find(&key(wish, coding, digest, is_larger), wish.begun);
        let entry = match find(false)? {
            entry if !matches!(entry.value, Variant::Useless) => entry,
            _ if wish.is_forced => find(true)?,
            _ => return Some(Made::Useless),
        };
        let Variant::Made(variant) = &entry.value else { return None };
        let (told, original) = (&variant.validators, &wish.original.validators);
        let dates_are_same =
            (told.last_modified, told.is_of_the_future) == (original.last_modified, original.is_of_the_future);
        if dates_are_same {
            return Some(Made::Variant(entry));
        }
        let (bytes, tag) = (variant.read().ok()??, variant.digest?);
        Some(Made::Variant(self.keep_made(wish, coding, digest, bytes, tag)))
    }

    /// Reads and compresses.
    fn make(&self, wish: &Wish<'_>, coding: Coding) -> Made {
        let path = &wish.origin.path;
        let content = match wish.original.read() {
            Ok(Some(content)) => content,
            Ok(None) => return Made::NotNow,
            Err(error) => {
                self.fail(path, &error);
                return Made::NotNow;
            }
        };
        let digest = *wish.record.digest.get_or_init(|| wish.original.digest.unwrap_or_else(|| xxh3_128(&content)));
        // Another one may have made it a moment ago, or from a content that only now turns out to be the same.
        if let Some(made) = self.recall_made(wish, coding, digest) {
            return made;
        }
        let begun = Instant::now();
        let compressed = match compress(coding, &content) {
            Ok(compressed) => Bytes::from(compressed),
            Err(error) => {
                self.fail(path, &error);
                return Made::NotNow;
            }
        };
        let (before, after) = (content.len(), compressed.len());
        let (target, name, time) = (path.canonical(), coding.name(), begun.elapsed());
        log::debug!("{target}: compressed by {name} from {before} to {after} bytes in {time:.1?}");
        if !self.is_worth_keeping(wish, &compressed) {
            let useless = Arc::new(Entry::new(Variant::Useless, 0, Evidence::begin()));
            self.variants.kept.insert(&key(wish, coding, digest, false), useless);
            if !wish.is_forced {
                return Made::Useless;
            }
        }
        let tag = xxh3_128(&compressed);
        Made::Variant(self.keep_made(wish, coding, digest, compressed, tag))
    }

    /// Whether it is smaller, and can be kept, so that the work was worth it.
    fn is_worth_keeping(&self, wish: &Wish<'_>, compressed: &Bytes) -> bool {
        let bytes = compressed.len() as u64;
        bytes < wish.original.length && self.variants.kept.fits(bytes + HEADS_BYTES)
    }

    /// Makes it ready, with the dates that the original has now.
    fn keep_made(&self, wish: &Wish<'_>, coding: Coding, digest: u128, bytes: Bytes, tag: u128) -> Arc<Entry<Variant>> {
        let is_larger = !self.is_worth_keeping(wish, &bytes);
        let weight = bytes.len() as u64 + HEADS_BYTES;
        let variant = Representation::compressed(wish.original, bytes, tag, wish.origin.form(coding), &self.options);
        let entry = Arc::new(Entry::new(Variant::Made(variant), weight, Evidence::begin()));
        self.variants.kept.insert(&key(wish, coding, digest, is_larger), Arc::clone(&entry));
        entry
    }
}

/// What the heads of a variant weigh, beside its content.
const HEADS_BYTES: u64 = 1 << 10;

/// The key of a variant among all; shorter than that are those of siblings.
fn key(wish: &Wish<'_>, coding: Coding, digest: u128, is_larger: bool) -> [u8; 34] {
    let mut key = [0; 34];
    (key[0], key[1]) = (coding as u8, u8::from(is_larger));
    key[2..18].copy_from_slice(&wish.origin.id.to_ne_bytes());
    key[18..].copy_from_slice(&digest.to_ne_bytes());
    key
}
