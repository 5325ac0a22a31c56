//! Range requests (RFC 9110 section 14). Pure.

use std::ops::Range;

/// What a Range field asks of a representation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Selection {
    /// All of it: the field is malformed, of another unit, or asks for more than is served in parts.
    Whole,
    /// These bytes; never none.
    Part(Range<u64>),
    /// Two or more parts, each with bytes, none overlapping, in the order in which they were asked for.
    Parts(Vec<Range<u64>>),
    /// Nothing that it has.
    Unsatisfiable,
}

/// Reads `bytes=first-last`, `bytes=first-`, `bytes=-suffix` and lists of them, for a representation of this length.
/// Who asks for more than `ranges_max` ranges, or for more bytes than there are, gets the whole, which is cheaper
/// (RFC 9110 section 14.2 lets a server ignore such a field).
pub(super) fn select(field: &[u8], length: u64, ranges_max: usize) -> Selection {
    let Some(set) = after_unit(field) else { return Selection::Whole };
    if ranges_max > 0 && !set.contains(&b',') {
        return select_one(set.trim_ascii(), length);
    }
    let Some(specs) = parse_set(set, ranges_max) else { return Selection::Whole };
    if specs.iter().any(|spec| spec.is_end_of_nothing(length)) {
        return Selection::Whole;
    }
    let ranges: Vec<_> = specs.into_iter().filter_map(|spec| spec.resolve(length)).collect();
    let bytes = ranges.iter().map(|range| range.end - range.start).fold(0, u64::saturating_add);
    if ranges.len() > 1 && bytes > length {
        return Selection::Whole;
    }
    let mut parts = coalesce(ranges);
    match parts.len() {
        0 => Selection::Unsatisfiable,
        1 => parts.pop().map_or(Selection::Unsatisfiable, Selection::Part),
        _ => Selection::Parts(parts),
    }
}

/// The same for the one range that most ask for, without taking memory.
fn select_one(spec: &[u8], length: u64) -> Selection {
    match parse_spec(spec) {
        Some(spec) if !spec.is_end_of_nothing(length) => {
            spec.resolve(length).map_or(Selection::Unsatisfiable, Selection::Part)
        }
        _ => Selection::Whole,
    }
}

fn after_unit(field: &[u8]) -> Option<&[u8]> {
    let (unit, rest) = field.split_at_checked(6)?;
    unit.eq_ignore_ascii_case(b"bytes=").then_some(rest)
}

/// A range as it was asked for.
enum Spec {
    From { first: u64, last: Option<u64> },
    Suffix { length: u64 },
}

/// One malformed member makes the whole set malformed.
fn parse_set(set: &[u8], ranges_max: usize) -> Option<Vec<Spec>> {
    let members = set.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty());
    let specs: Vec<Spec> = members.take(ranges_max.saturating_add(1)).map(parse_spec).collect::<Option<_>>()?;
    (1..=ranges_max).contains(&specs.len()).then_some(specs)
}

fn parse_spec(spec: &[u8]) -> Option<Spec> {
    let dash = spec.iter().position(|&byte| byte == b'-')?;
    let (first, last) = (&spec[..dash], &spec[dash + 1..]);
    match (first, last) {
        ([], []) => None,
        ([], length) => Some(Spec::Suffix { length: number(length)? }),
        (first, []) => Some(Spec::From { first: number(first)?, last: None }),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Spec::From { first, last: Some(last) })
        }
    }
}

/// Joins ranges that overlap or touch, at the place of the first of them. There are few, so looking at all pairs is fine.
fn coalesce(ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    let mut parts: Vec<Range<u64>> = Vec::new();
    for mut range in ranges {
        let mut place = parts.len();
        while let Some(at) = parts.iter().position(|part| part.start <= range.end && range.start <= part.end) {
            let part = parts.remove(at);
            range = range.start.min(part.start)..range.end.max(part.end);
            place = place.min(at);
        }
        parts.insert(place, range);
    }
    parts
}

/// Digits; what is larger than any file is as good as the largest number.
fn number(digits: &[u8]) -> Option<u64> {
    let add = |value: u64, digit: &u8| {
        let digit = char::from(*digit).to_digit(10)?;
        Some(value.saturating_mul(10).saturating_add(u64::from(digit)))
    };
    digits.iter().try_fold(0, add)
}

impl Spec {
    /// Of nothing there is an end, but no bytes that a 206 could name (section 14.1.2).
    fn is_end_of_nothing(&self, length: u64) -> bool {
        length == 0 && matches!(self, Self::Suffix { length: 1.. })
    }

    /// The bytes it means; none when it means nothing that is there.
    fn resolve(self, length: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::From { first, last } => first..last.map_or(length, |last| last.saturating_add(1).min(length)),
            Self::Suffix { length: suffix } => length.saturating_sub(suffix)..length,
        };
        (range.start < range.end).then_some(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Selection::{Part, Parts, Unsatisfiable, Whole};
    use proptest::prelude::*;

    #[test]
    fn fields_select_bytes() {
        for (field, expected) in [
            ("bytes=0-4", Part(0..5)),
            ("bytes=2-2", Part(2..3)),
            ("bytes=2-", Part(2..10)),
            ("bytes=-3", Part(7..10)),
            ("bytes=-100", Part(0..10)),
            ("bytes=5-100", Part(5..10)),
            ("bytes=0-99999999999999999999999", Part(0..10)),
            ("BYTES=0-0", Part(0..1)),
            ("bytes= 0-0 ", Part(0..1)),
            ("bytes=10-", Unsatisfiable),
            ("bytes=10-20", Unsatisfiable),
            ("bytes=99999999999999999999999-", Unsatisfiable),
            ("bytes=-0", Unsatisfiable),
            ("bytes=4-2", Whole),
            ("bytes=-", Whole),
            ("bytes=", Whole),
            ("bytes=a-b", Whole),
            ("bytes=1-2-3", Whole),
            ("bytes=+1-2", Whole),
            ("bytes=0-1,3-4", Parts(vec![0..2, 3..5])),
            ("bytes=8-9, 0-1 ,,-1", Parts(vec![8..10, 0..2])),
            ("bytes=3-4,0-1", Parts(vec![3..5, 0..2])),
            ("bytes=0-1,2-3", Part(0..4)),
            ("bytes=0-1,6-7,1-2", Parts(vec![0..3, 6..8])),
            ("bytes=6-7,0-1,2-5", Part(0..8)),
            ("bytes=0-1,20-", Part(0..2)),
            ("bytes=10-,20-", Unsatisfiable),
            ("bytes=0-1,a", Whole),
            ("bytes=0-1,4-2", Whole),
            ("bytes=0-0,2-2,4-4,6-6", Parts(vec![0..1, 2..3, 4..5, 6..7])),
            ("bytes=0-0,2-2,4-4,6-6,8-8", Whole),
            ("bytes=0-8,1-8", Whole),
            ("bytes=,", Whole),
            ("bytes", Whole),
            ("lines=0-1", Whole),
            ("bytes 0-1", Whole),
        ] {
            assert_eq!(select(field.as_bytes(), 10, 4), expected, "{field}");
        }
        assert_eq!(select(b"bytes=0-", 0, 4), Unsatisfiable);
        assert_eq!(select(b"bytes=-1", 0, 4), Whole);
        assert_eq!(select(b"bytes=0-0,-1", 0, 4), Whole);
        assert_eq!(select(b"bytes=-0", 0, 4), Unsatisfiable);
        assert_eq!(select(b"bytes=0-0", 10, 0), Whole);
    }

    proptest! {
        /// Parts lie within, have bytes, don't overlap, and cover just what was asked for.
        #[test]
        fn parts_are_what_was_asked_for(asked in prop::collection::vec((0..60u64, 0..20u64), 1..6)) {
            let length = 50;
            let field = asked.iter().map(|(first, more)| format!("{first}-{}", first + more)).collect::<Vec<_>>().join(",");
            let parts = match select(format!("bytes={field}").as_bytes(), length, 8) {
                Part(part) => vec![part],
                Parts(parts) => parts,
                Unsatisfiable => Vec::new(),
                Whole => return Ok(()),
            };
            for byte in 0..length {
                let is_asked = asked.iter().any(|(first, more)| (*first..=first + more).contains(&byte));
                let times = parts.iter().filter(|part| part.contains(&byte)).count();
                prop_assert_eq!(times, usize::from(is_asked), "byte {}", byte);
            }
            prop_assert!(parts.iter().all(|part| part.start < part.end && part.end <= length));
        }

        #[test]
        fn a_part_lies_within(field in "bytes=[0-9]{0,21}-[0-9]{0,21}", length: u64) {
            if let Part(range) = select(field.as_bytes(), length, 1) {
                prop_assert!(range.start < range.end && range.end <= length);
            }
        }

        #[test]
        fn no_field_panics(field: Vec<u8>, length: u64, ranges_max in 0..20usize) {
            select(&field, length, ranges_max);
            select(&[b"bytes=", &field[..]].concat(), length, ranges_max);
        }
    }
}
