//! Range fields: the parts lie within, and are what the field asks for.
//!
//! The plan: the length of the representation, and how many ranges it is served in.

use std::ops::Range;

use salver::files::stages::select;

use super::{numbers, split_plan};

/// Up to this length the oracle looks at every byte.
const LENGTH_SMALL: u64 = 300;

pub fn check(input: &[u8]) {
    let (plan, field) = split_plan(input);
    if field.iter().any(|&byte| byte != b'\t' && (byte < b' ' || byte == 0x7f)) {
        return; // No field value.
    }
    let mut numbers = numbers(plan);
    let length = numbers.next().unwrap_or(10);
    let ranges_max = usize::try_from(numbers.next().unwrap_or(4)).unwrap_or(usize::MAX);
    let selected = select(field, length, ranges_max);
    if let Some(parts) = &selected {
        assert!(parts.len() <= ranges_max, "{parts:?}");
        assert!(parts.iter().all(|part| part.start < part.end && part.end <= length), "{parts:?} of {length}");
        let touches = |one: &Range<u64>, other: &Range<u64>| one.start <= other.end && other.start <= one.end;
        for (at, part) in parts.iter().enumerate() {
            assert!(!parts[..at].iter().any(|other| touches(part, other)), "{parts:?}: two that could be one");
        }
    }
    if length <= LENGTH_SMALL {
        assert_eq!(selected.map(|parts| bytes_of(&parts)), oracle(field, length, ranges_max));
    }
}

fn bytes_of(parts: &[Range<u64>]) -> Vec<u64> {
    let mut bytes: Vec<u64> = parts.iter().cloned().flatten().collect();
    bytes.sort_unstable();
    bytes
}

/// The bytes that are asked for, in order; none where the whole is the answer.
fn oracle(field: &[u8], length: u64, ranges_max: usize) -> Option<Vec<u64>> {
    let text = std::str::from_utf8(field).ok()?;
    let (unit, set) = text.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let members: Vec<&str> =
        set.split(',').map(|member| member.trim_matches([' ', '\t'])).filter(|member| !member.is_empty()).collect();
    if members.is_empty() || members.len() > ranges_max {
        return None;
    }
    let mut asked = Vec::new();
    for member in members {
        let (first, last) = member.split_once('-')?;
        let (first, last) = (number(first)?, number(last)?);
        let of_member = |byte: &u64| match (first, last) {
            (Some(first), Some(last)) => (first..=last).contains(&u128::from(*byte)),
            (Some(first), None) => first <= u128::from(*byte),
            (None, Some(suffix)) => u128::from(length - byte) <= suffix,
            (None, None) => false,
        };
        let is_reversed = first.zip(last).is_some_and(|(first, last)| first > last && last < u128::from(u64::MAX));
        let is_end_of_nothing = length == 0 && first.is_none() && last > Some(0);
        if (first, last) == (None, None) || is_reversed || is_end_of_nothing {
            return None;
        }
        asked.push((0..length).filter(of_member).collect::<Vec<_>>());
    }
    asked.retain(|bytes| !bytes.is_empty());
    let bytes_in_all: usize = asked.iter().map(Vec::len).sum();
    if asked.len() > 1 && bytes_in_all as u64 > length {
        return None;
    }
    let mut bytes = asked.concat();
    bytes.sort_unstable();
    bytes.dedup();
    Some(bytes)
}

/// Nothing, or digits; the largest number there is stands for what is larger.
fn number(text: &str) -> Option<Option<u128>> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((!text.is_empty()).then(|| text.parse().unwrap_or(u128::MAX)))
}
