//! Where a frame ends: by a length in front, or by what stands behind.

use memchr::memmem;

use super::{Format, Found, FrameError};

/// Frames with their length in front, of four bytes, which doesn't count itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LengthPrefix {
    kind: LengthKind,
    endian: Endian,
    max: usize,
}

/// What the four bytes mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LengthKind {
    /// Python's `struct` calls it `I`.
    U32,
    /// Python's `struct` calls it `i`; below zero is an error.
    I32,
}

/// Which of the four bytes comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endian {
    /// The most significant one, as in network protocols; `!` and `>` in Python's `struct`.
    Big,
    /// The least significant one; `<` in Python's `struct`.
    Little,
    /// As this machine has it; Python's `struct` without a sign before the letter.
    Native,
}

const PREFIX_BYTES: usize = 4;

impl LengthPrefix {
    /// `max` is the longest content in bytes, whatever else would fit into four of them.
    #[must_use]
    pub fn new(kind: LengthKind, endian: Endian, max: usize) -> Self {
        Self { kind, endian, max }
    }

    fn length(self, bytes: [u8; PREFIX_BYTES]) -> Result<usize, FrameError> {
        let number = match self.endian {
            Endian::Big => u32::from_be_bytes(bytes),
            Endian::Little => u32::from_le_bytes(bytes),
            Endian::Native => u32::from_ne_bytes(bytes),
        };
        let length = match self.kind {
            LengthKind::U32 => i64::from(number),
            LengthKind::I32 => i64::from(number.cast_signed()),
        };
        let max = self.max as u64;
        let length = u64::try_from(length).map_err(|_| FrameError::Negative { length, max })?;
        usize::try_from(length).ok().filter(|length| *length <= self.max).ok_or(FrameError::TooLong { length, max })
    }

    fn prefix(self, length: usize) -> Result<[u8; PREFIX_BYTES], FrameError> {
        let ceiling = match self.kind {
            LengthKind::U32 => u32::MAX,
            LengthKind::I32 => i32::MAX.cast_unsigned(),
        };
        let max = (self.max as u64).min(u64::from(ceiling));
        let number = u32::try_from(length).ok().filter(|number| u64::from(*number) <= max);
        let number = number.ok_or(FrameError::TooLong { length: length as u64, max })?;
        Ok(match self.endian {
            Endian::Big => number.to_be_bytes(),
            Endian::Little => number.to_le_bytes(),
            Endian::Native => number.to_ne_bytes(),
        })
    }
}

impl Format for LengthPrefix {
    fn find(&self, bytes: &[u8], _looked: usize) -> Result<Option<Found>, FrameError> {
        let Some((prefix, rest)) = bytes.split_first_chunk() else { return Ok(None) };
        let length = self.length(*prefix)?;
        let end = PREFIX_BYTES + length;
        Ok((rest.len() >= length).then_some(Found { content: PREFIX_BYTES..end, length: end }))
    }

    fn encode(&self, content: &[u8], bytes: &mut Vec<u8>) -> Result<(), FrameError> {
        bytes.extend_from_slice(&self.prefix(content.len())?);
        bytes.extend_from_slice(content);
        Ok(())
    }
}

/// Frames with a delimiter behind them, which is no part of their content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delimiter {
    delimiter: Vec<u8>,
    /// A CR before it is no part of the content either.
    strips_cr: bool,
    max: usize,
}

impl Delimiter {
    /// `max` is the longest content in bytes. The delimiter must have a byte at least; an empty one never comes.
    #[must_use]
    pub fn new(delimiter: impl Into<Vec<u8>>, max: usize) -> Self {
        Self { delimiter: delimiter.into(), strips_cr: false, max }
    }

    /// Lines that end in LF or CR LF; they are sent with LF. `max` is the longest line in bytes, with its CR.
    #[must_use]
    pub fn lines(max: usize) -> Self {
        Self { delimiter: b"\n".to_vec(), strips_cr: true, max }
    }

    fn position(&self, bytes: &[u8]) -> Option<usize> {
        if self.delimiter.is_empty() { None } else { memmem::find(bytes, &self.delimiter) }
    }

    fn check(&self, length: usize) -> Result<(), FrameError> {
        let too_long = FrameError::TooLong { length: length as u64, max: self.max as u64 };
        if length > self.max { Err(too_long) } else { Ok(()) }
    }
}

impl Format for Delimiter {
    fn find(&self, bytes: &[u8], looked: usize) -> Result<Option<Found>, FrameError> {
        let begin = looked.saturating_sub(self.delimiter.len().saturating_sub(1)).min(bytes.len());
        let Some(end) = self.position(&bytes[begin..]).map(|at| begin + at) else {
            // Some of the last bytes may belong to a delimiter that isn't all there.
            self.check(bytes.len().saturating_sub(self.delimiter.len().saturating_sub(1)))?;
            return Ok(None);
        };
        self.check(end)?;
        let without_cr = bytes[..end].strip_suffix(b"\r").filter(|_| self.strips_cr);
        let content = 0..without_cr.map_or(end, <[u8]>::len);
        Ok(Some(Found { content, length: end + self.delimiter.len() }))
    }

    fn encode(&self, content: &[u8], bytes: &mut Vec<u8>) -> Result<(), FrameError> {
        self.check(content.len())?;
        let start = bytes.len();
        bytes.extend_from_slice(content);
        bytes.extend_from_slice(&self.delimiter);
        // Looked for in both: the end of the content and the start of the delimiter may make one.
        let loses_cr = self.strips_cr && content.ends_with(b"\r");
        if loses_cr || self.position(&bytes[start..]) != Some(content.len()) {
            bytes.truncate(start);
            return Err(FrameError::HoldsDelimiter);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(format: &dyn Format, bytes: &[u8], expected: Result<Option<&[u8]>, FrameError>) {
        let found = format.find(bytes, 0).map(|found| found.map(|found| &bytes[found.content]));
        assert_eq!(found, expected, "{}", bytes.escape_ascii());
    }

    #[test]
    fn a_length_is_read_as_its_format_has_it() {
        let format = |kind, endian| LengthPrefix::new(kind, endian, 10);
        let (big, little) = (format(LengthKind::U32, Endian::Big), format(LengthKind::I32, Endian::Little));
        check(&big, b"\0\0\0\x02abc", Ok(Some(b"ab")));
        check(&little, b"\x02\0\0\0abc", Ok(Some(b"ab")));
        check(&big, b"\0\0\0\0", Ok(Some(b"")));
        check(&big, b"\0\0\0\x0aabc", Ok(None));
        check(&big, b"\0\0\0\x0b", Err(FrameError::TooLong { length: 11, max: 10 }));
        check(&big, b"\xff\xff\xff\xff", Err(FrameError::TooLong { length: 4_294_967_295, max: 10 }));
        check(&little, b"\xff\xff\xff\xff", Err(FrameError::Negative { length: -1, max: 10 }));
    }

    #[test]
    fn what_is_too_long_for_a_length_is_not_sent() {
        let mut bytes = b"before".to_vec();
        let format = LengthPrefix::new(LengthKind::I32, Endian::Big, 3);
        assert_eq!(format.encode(b"four", &mut bytes), Err(FrameError::TooLong { length: 4, max: 3 }));
        assert_eq!(format.prefix(1 << 31), Err(FrameError::TooLong { length: 1 << 31, max: 3 }));
        let signed = LengthPrefix::new(LengthKind::I32, Endian::Big, usize::MAX);
        assert_eq!(signed.prefix(1 << 31), Err(FrameError::TooLong { length: 1 << 31, max: (1 << 31) - 1 }));
        assert_eq!(bytes, b"before");
    }

    #[test]
    fn a_frame_ends_at_its_delimiter() {
        let lines = Delimiter::lines(4);
        check(&lines, b"ab\ncd", Ok(Some(b"ab")));
        check(&lines, b"ab\r\ncd", Ok(Some(b"ab")));
        check(&lines, b"\n", Ok(Some(b"")));
        check(&lines, b"abcd", Ok(None));
        check(&lines, b"abcde", Err(FrameError::TooLong { length: 5, max: 4 }));
        check(&lines, b"abcde\n", Err(FrameError::TooLong { length: 5, max: 4 }));
        let long = Delimiter::new(*b"<>", 2);
        check(&long, b"ab<", Ok(None));
        check(&long, b"ab<>", Ok(Some(b"ab")));
        check(&long, b"abc<>", Err(FrameError::TooLong { length: 3, max: 2 }));
        check(&Delimiter::new(*b"", 2), b"ab", Ok(None));
    }

    #[test]
    fn what_would_be_taken_for_two_frames_is_not_sent() {
        let mut bytes = b"before".to_vec();
        for (format, content) in [(Delimiter::lines(9), &b"a\nb"[..]), (Delimiter::new(*b"aba", 9), b"xab")] {
            assert_eq!(format.encode(content, &mut bytes), Err(FrameError::HoldsDelimiter));
        }
        assert_eq!(bytes, b"before");
    }
}
