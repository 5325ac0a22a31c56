//! Range requests (RFC 9110 section 14). Pure.

use std::ops::Range;

/// What a Range field asks of a representation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Selection {
    /// All of it: the field is malformed, of another unit, or asks for more parts than are served.
    Whole,
    /// These bytes; never none.
    Part(Range<u64>),
    /// Nothing that it has.
    Unsatisfiable,
}

/// Reads `bytes=first-last`, `bytes=first-` and `bytes=-suffix`, for a representation of this length.
pub(super) fn select(field: &[u8], length: u64) -> Selection {
    let Some(set) = after_unit(field) else { return Selection::Whole };
    match parse_spec(set) {
        Some(spec) => spec.resolve(length).map_or(Selection::Unsatisfiable, Selection::Part),
        None => Selection::Whole,
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

fn parse_spec(spec: &[u8]) -> Option<Spec> {
    let spec = spec.trim_ascii();
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

/// Digits; what is larger than any file is as good as the largest number.
fn number(digits: &[u8]) -> Option<u64> {
    let add = |value: u64, digit: &u8| {
        let digit = char::from(*digit).to_digit(10)?;
        Some(value.saturating_mul(10).saturating_add(u64::from(digit)))
    };
    digits.iter().try_fold(0, add)
}

impl Spec {
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
    use Selection::{Part, Unsatisfiable, Whole};
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
            ("bytes=0-1,3-4", Whole),
            ("bytes", Whole),
            ("lines=0-1", Whole),
            ("bytes 0-1", Whole),
        ] {
            assert_eq!(select(field.as_bytes(), 10), expected, "{field}");
        }
        assert_eq!(select(b"bytes=0-", 0), Unsatisfiable);
        assert_eq!(select(b"bytes=-1", 0), Unsatisfiable);
    }

    proptest! {
        #[test]
        fn a_part_lies_within(field in "bytes=[0-9]{0,21}-[0-9]{0,21}", length: u64) {
            if let Part(range) = select(field.as_bytes(), length) {
                prop_assert!(range.start < range.end && range.end <= length);
            }
        }

        #[test]
        fn no_field_panics(field: Vec<u8>, length: u64) {
            select(&field, length);
        }
    }
}
