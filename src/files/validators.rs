//! What identifies a state of a representation (RFC 9110 section 8.8): a strong entity tag, from its content or from what
//! the file system knows of it, and the date of its last change. Pure.

use std::fmt::Write as _;
use std::time::SystemTime;

use super::options::{Coding, EtagSource};
use super::stamp::{GRAIN, Stamp};
use crate::http::{FileVersion, since_1970};

/// The validators of one state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Validators {
    /// A strong entity tag, with its quotes.
    pub(super) etag: Option<Vec<u8>>,
    /// Seconds since 1970.
    pub(super) last_modified: Option<i64>,
    /// The mtime lay in the future. What is sent as Last-Modified then is no validator.
    pub(super) is_of_the_future: bool,
    /// Variants of the same content may have the same date, so that it is a weak validator (RFC 9110 section 8.8.2.2).
    pub(super) date_is_shared: bool,
}

impl Validators {
    /// Of a state whose content has this digest, where the source asks for one.
    pub(super) fn new(source: EtagSource, digest: Option<u128>, stamp: Stamp, now: SystemTime) -> Self {
        let etag = match (source, digest) {
            (EtagSource::Off, _) => None,
            (EtagSource::Auto | EtagSource::Content, Some(digest)) => Some(content_etag(digest)),
            // A file that changed each time while it was read.
            (EtagSource::Content, None) => None,
            (EtagSource::Auto, None) => state_etag(stamp, now),
            (EtagSource::Mtime, _) => mtime_etag(stamp.version, now),
        };
        Self {
            etag: etag.map(String::into_bytes),
            last_modified: last_modified(stamp.version, now),
            is_of_the_future: stamp.version.modified.0 > since_1970(now),
            date_is_shared: false,
        }
    }

    /// Of what is made from more than one file, whose digest this is: no date says when it was changed.
    pub(super) fn of_content(source: EtagSource, digest: u128) -> Self {
        let etag = (source != EtagSource::Off).then(|| content_etag(digest).into_bytes());
        Self { etag, ..Self::default() }
    }

    /// Of what was compressed from this state, whose digest this is: the bytes are what a range of it is cut from, so
    /// they make the tag, whatever the source, and servers that compress in another way have another.
    pub(super) fn of_compressed(&self, source: EtagSource, digest: u128) -> Self {
        let etag = (source != EtagSource::Off).then(|| content_etag(digest).into_bytes());
        Self { etag, date_is_shared: true, ..self.clone() }
    }

    /// Of a file that is a variant in this coding: one tag for all files of a state would not tell variants apart that
    /// have the same length and were dated alike.
    pub(super) fn of_sibling(mut self, coding: Coding) -> Self {
        if let Some(etag) = &mut self.etag {
            etag.pop();
            etag.extend_from_slice(format!("-{}\"", coding.name()).as_bytes());
        }
        self
    }
}

fn content_etag(digest: u128) -> String {
    let mut etag = String::with_capacity(34);
    // Writing to memory doesn't fail.
    let _ = write!(etag, "\"{digest:032x}\"");
    etag
}

/// The time of the change itself is in it: a file that was replaced by another of the same length and mtime has another.
fn state_etag(stamp: Stamp, now: SystemTime) -> Option<String> {
    let FileVersion { bytes, modified: (seconds, nanoseconds) } = stamp.version;
    let (changed, changed_nanoseconds) = stamp.changed;
    let tells = tells_time(stamp.version, now) && stamp.is_settled(now);
    tells.then(|| format!("\"{seconds:x}.{nanoseconds:x}-{changed:x}.{changed_nanoseconds:x}-{bytes:x}\""))
}

/// The same on every machine to which a file was copied with its mtime.
fn mtime_etag(version: FileVersion, now: SystemTime) -> Option<String> {
    let FileVersion { bytes, modified: (seconds, nanoseconds) } = version;
    tells_time(version, now).then(|| format!("\"{seconds:x}.{nanoseconds:x}-{bytes:x}\""))
}

/// None where the mtime is no time of a change.
fn last_modified(version: FileVersion, now: SystemTime) -> Option<i64> {
    tells_time(version, now).then_some(version.modified.0)
}

/// Whether an mtime can be believed: 0 and 1 are what reproducible builds write, nothing was changed in the future
/// (RFC 9110 section 8.8.2.1), and in the second that has just begun there may be another change.
fn tells_time(version: FileVersion, now: SystemTime) -> bool {
    (2..=since_1970(now) - GRAIN.as_secs() as i64).contains(&version.modified.0)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use EtagSource::{Auto, Content, Mtime, Off};

    const NOW: i64 = 1_000_000;

    fn stamp(modified: i64, changed: i64) -> Stamp {
        let version = FileVersion { bytes: 1 << 20, modified: (modified, 7) };
        Stamp { device: 1, inode: 1, version, changed: (changed, 9) }
    }

    fn validators(source: EtagSource, digest: Option<u128>, stamp: Stamp) -> Validators {
        Validators::new(source, digest, stamp, UNIX_EPOCH + Duration::from_secs(NOW as u64))
    }

    #[track_caller]
    fn check(source: EtagSource, digest: Option<u128>, expected: Option<&str>) {
        let etag = validators(source, digest, stamp(0x100, 0x200)).etag;
        assert_eq!(etag.as_deref().map(String::from_utf8_lossy).as_deref(), expected, "{source:?} {digest:?}");
    }

    #[test]
    fn a_tag_is_made_from_what_the_source_says() {
        let of_content = Some("\"000000000000000000000000000000ab\"");
        check(Auto, Some(0xab), of_content);
        check(Content, Some(0xab), of_content);
        check(Auto, None, Some("\"100.7-200.9-100000\""));
        check(Mtime, None, Some("\"100.7-100000\""));
        check(Content, None, None);
        check(Off, None, None);
    }

    #[test]
    fn an_mtime_that_tells_nothing_is_not_told() {
        for (modified, told) in [
            (NOW - 2, true),
            (2, true),
            (NOW - 1, false),
            (NOW, false),
            (NOW + 1, false),
            (1, false),
            (0, false),
            (-1, false),
        ] {
            let stamp = stamp(modified, 100);
            for source in [Auto, Mtime] {
                let Validators { etag, last_modified, is_of_the_future, .. } = validators(source, None, stamp);
                assert_eq!((etag.is_some(), last_modified.is_some()), (told, told), "{source:?} {modified}");
                assert_eq!(is_of_the_future, modified > NOW, "{modified}");
            }
            assert!(validators(Content, Some(1), stamp).etag.is_some(), "content needs no time");
        }
    }

    /// A file system may hold any number as a date.
    #[test]
    fn no_date_is_too_far_away() {
        for at in [i64::MIN, i64::MIN + 1, -292_277_022_400, 253_402_300_800, 292_277_026_596, i64::MAX] {
            for stamp in [stamp(at, 100), stamp(100, at), stamp(at, at)] {
                for source in [Auto, Content, Mtime, Off] {
                    let last_modified = validators(source, Some(1), stamp).last_modified;
                    assert!(last_modified.is_none_or(|told| told == 100), "{at}: {last_modified:?}");
                }
            }
        }
    }

    /// RFC 9110 section 8.8.3: `gzip --keep` gives its file the date of the original, and br's may be as long as
    /// gzip's.
    #[test]
    fn variants_of_one_date_and_length_have_tags_of_their_own() {
        let original = validators(Mtime, None, stamp(100, 100));
        let [br, gzip] = [Coding::Br, Coding::Gzip].map(|coding| original.clone().of_sibling(coding).etag.unwrap());
        assert_eq!(String::from_utf8_lossy(&br), "\"64.7-100000-br\"");
        assert_eq!(String::from_utf8_lossy(&gzip), "\"64.7-100000-gzip\"");
        let compressed = original.of_compressed(Mtime, 0xab);
        assert_eq!(compressed.etag.as_deref(), Some(&b"\"000000000000000000000000000000ab\""[..]));
        assert!(compressed.date_is_shared && compressed.last_modified == original.last_modified);
        assert_eq!(original.of_compressed(Off, 0xab).etag, None);
    }

    #[test]
    fn another_file_of_the_same_length_and_mtime_has_another_tag() {
        let etag = |source, changed| validators(source, None, stamp(100, changed)).etag;
        assert_ne!(etag(Auto, 100), etag(Auto, 101));
        assert_eq!(etag(Auto, NOW - 1), None, "there may be another change in this second");
        // But not where the tag has to be the same on another machine.
        assert_eq!(etag(Mtime, 100), etag(Mtime, NOW - 1));
    }
}
