//! Bytes from a peer, fit for a line of the log: nothing in them ends the line or its quotes, or tells a terminal to do
//! anything. What is too long is cut. Pure.

use std::fmt::{self, Write as _};

/// The longest request line or field value that is logged, in bytes; what is longer ends in `...`.
pub(super) const TEXT_BYTES_MAX: usize = 2 << 10;

/// For quotes: what is not printable ASCII, and `"` and `\`, as `\xNN`, just as nginx has it.
pub(super) struct Escaped<'a>(pub(super) &'a [u8]);

/// The same, without spaces.
pub(super) struct Word<'a>(pub(super) &'a [u8]);

/// A string of JSON (RFC 8259 section 7), in ASCII; what is not UTF-8 comes as U+FFFD. What isn't there is null.
pub(super) struct Json<'a>(pub(super) Option<&'a [u8]>);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(self.0, is_plain, f)
    }
}

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(self.0, |byte| is_plain(byte) && byte != b' ', f)
    }
}

fn escape(bytes: &[u8], is_plain: impl Fn(u8) -> bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut rest = &bytes[..bytes.len().min(TEXT_BYTES_MAX)];
    if let Some(plain) = all_plain(rest, &is_plain) {
        f.write_str(plain)?;
        rest = &[];
    }
    while let [first, ..] = rest {
        let plain = rest.iter().position(|byte| !is_plain(*byte)).unwrap_or(rest.len());
        f.write_str(std::str::from_utf8(&rest[..plain]).unwrap_or_default())?;
        if plain == 0 {
            write!(f, "\\x{first:02X}")?;
        }
        rest = &rest[plain.max(1)..];
    }
    if bytes.len() > TEXT_BYTES_MAX { f.write_str("...") } else { Ok(()) }
}

/// The text that bytes are where all of them are plain, as they mostly are. Without a way out of the loop many are looked at
/// at once.
fn all_plain(bytes: &[u8], is_plain: impl Fn(u8) -> bool) -> Option<&str> {
    let are_plain = bytes.iter().fold(true, |all, byte| all & is_plain(*byte));
    std::str::from_utf8(bytes).ok().filter(|_| are_plain)
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(bytes) = self.0 else { return f.write_str("null") };
        f.write_char('"')?;
        let text = &bytes[..bytes.len().min(TEXT_BYTES_MAX)];
        match all_plain(text, is_plain) {
            Some(plain) => f.write_str(plain)?,
            None => write_lossy(text, f)?,
        }
        f.write_str(if bytes.len() > TEXT_BYTES_MAX { "...\"" } else { "\"" })
    }
}

fn write_lossy(text: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for chunk in text.utf8_chunks() {
        write_valid(chunk.valid(), f)?;
        if !chunk.invalid().is_empty() {
            f.write_str("\\ufffd")?;
        }
    }
    Ok(())
}

fn write_valid(mut text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    while let Some(at) = text.bytes().position(|byte| !is_plain(byte)) {
        f.write_str(&text[..at])?;
        let mut characters = text[at..].chars();
        match characters.next() {
            Some(mark @ ('"' | '\\')) => write!(f, "\\{mark}")?,
            Some(character) => {
                let mut units = [0; 2];
                character.encode_utf16(&mut units).iter().try_for_each(|unit| write!(f, "\\u{unit:04x}"))?;
            }
            None => {}
        }
        text = characters.as_str();
    }
    f.write_str(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_from_a_peer_ends_a_line_or_its_quotes() {
        for (bytes, expected) in [
            (&b"GET / HTTP/1.1"[..], "GET / HTTP/1.1"),
            (b"GET /\"\\ HTTP/1.1", "GET /\\x22\\x5C HTTP/1.1"),
            (b"a\r\n\x1b[31m\x7f\xc3\xbc", "a\\x0D\\x0A\\x1B[31m\\x7F\\xC3\\xBC"),
        ] {
            assert_eq!(Escaped(bytes).to_string(), expected);
        }
        assert_eq!(Escaped(&[b'a'; TEXT_BYTES_MAX + 1]).to_string().len(), TEXT_BYTES_MAX + 3);
        assert_eq!(Word(b"a b").to_string(), "a\\x20b");
    }

    #[test]
    fn json_is_ascii_and_one_line() {
        assert_eq!(Json(None).to_string(), "null");
        assert_eq!(
            Json(Some("\"\\\n\u{1b}\u{7f}\u{fc}\u{1f980}a".as_bytes())).to_string(),
            "\"\\\"\\\\\\u000a\\u001b\\u007f\\u00fc\\ud83e\\udd80a\""
        );
        assert_eq!(Json(Some(b"a\xff\xe2\x82b")).to_string(), "\"a\\ufffd\\ufffdb\"");
    }

    proptest! {
        #[test]
        fn whatever_comes_is_a_line_and_a_string_of_json(bytes in prop::collection::vec(any::<u8>(), 0..TEXT_BYTES_MAX)) {
            let json = Json(Some(&bytes)).to_string();
            let read: String = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(read, String::from_utf8_lossy(&bytes));
            for text in [json, Escaped(&bytes).to_string(), Word(&bytes).to_string()] {
                prop_assert!(text.bytes().all(|byte| matches!(byte, b' '..=b'~')));
            }
            prop_assert!(!Escaped(&bytes).to_string().contains('"'));
        }
    }
}
