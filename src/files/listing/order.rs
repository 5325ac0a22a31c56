//! The order of names as people expect it: without case, and `file2` before `file10`. Pure.
//!
//! Names aren't compared, but what is made of each once: 50,000 of them are compared some 800,000 times.

/// Appends what sorts by its bytes as this name sorts among others: letters in lower case, and each run of digits as
/// its count of digits and these, without zeros in front. Names that are the same but for case and such zeros have the
/// same.
pub(super) fn push_key(name: &[u8], key: &mut Vec<u8>) {
    let text = String::from_utf8_lossy(name);
    let mut rest = &*text;
    while let Some(first) = rest.chars().next() {
        if first.is_ascii_digit() {
            let end = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
            push_number(&rest.as_bytes()[..end], key);
            rest = &rest[end..];
        } else {
            push_lower_case(first, key);
            rest = &rest[first.len_utf8()..];
        }
    }
}

/// A number stands where its first digit would: behind a point or a dash, before letters.
fn push_number(digits: &[u8], key: &mut Vec<u8>) {
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    let digits = &digits[zeros..];
    key.push(b'0');
    // The longest names of file systems have less than 64 Ki digits.
    key.extend_from_slice(&u16::try_from(digits.len()).unwrap_or(u16::MAX).to_be_bytes());
    key.extend_from_slice(digits);
}

fn push_lower_case(character: char, key: &mut Vec<u8>) {
    if character.is_ascii() {
        key.push((character as u8).to_ascii_lowercase());
        return;
    }
    let mut bytes = [0; 4];
    for character in character.to_lowercase() {
        key.extend_from_slice(character.encode_utf8(&mut bytes).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(name: &[u8]) -> Vec<u8> {
        let mut key = Vec::new();
        push_key(name, &mut key);
        key
    }

    #[test]
    fn names_are_in_the_order_that_people_expect() {
        for names in [
            &["file1", "file2", "file10", "file10b", "file11"][..],
            &["a", "A1", "a2", "B", "b10", "C"],
            &["1.txt", "02.txt", "3.txt", "10.txt", "a.txt"],
            &["v1.2.9", "v1.2.10", "v1.10.0", "v2"],
            &["a", "a-1", "a.txt", "a1", "a_b", "ab"],
            &["0", "1", "9", "10", "99999999999999999999998", "99999999999999999999999"],
            &["\u{c4}pfel", "\u{e4}pfeln", "\u{d6}l"],
            &["2024-1-2", "2024-1-10", "2024-10-1"],
        ] {
            for pair in names.windows(2) {
                assert!(key(pair[0].as_bytes()) < key(pair[1].as_bytes()), "{pair:?}");
            }
        }
    }

    #[test]
    fn case_and_zeros_in_front_make_no_difference() {
        for (one, other) in [("README", "readme"), ("a007", "A7"), ("000", "0"), ("\u{c9}t\u{e9}", "\u{e9}t\u{c9}")] {
            assert_eq!(key(one.as_bytes()), key(other.as_bytes()), "{one} {other}");
        }
    }

    proptest! {
        #[test]
        fn any_name_has_a_key(name: Vec<u8>) {
            prop_assert_eq!(key(&name).is_empty(), name.is_empty());
        }

        /// Numbers are in the order of what they count.
        #[test]
        fn numbers_count(one: u64, other: u64, zeros in 0_usize..4) {
            let (shown, padded) = (format!("x{one}.y"), format!("x{}{other}.y", "0".repeat(zeros)));
            prop_assert_eq!(key(shown.as_bytes()).cmp(&key(padded.as_bytes())), one.cmp(&other));
        }
    }
}
