//! What follows a head: how long a body is, and where it ends (RFC 9112 sections 6 and 7).

use ::http::StatusCode;

use super::characters::is_token_byte;
use super::headers::Fields;
use super::request::{Refusal, Version, malformed, refuse};

/// How the end of a request's body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is no body.
    None,
    /// It has this many bytes.
    Length(u64),
    /// It comes in chunks.
    Chunked,
}

impl Framing {
    /// Reads Transfer-Encoding and Content-Length as strictly as a server must that wants to be sure where the next
    /// request begins.
    pub(super) fn of(fields: Fields<'_>, version: Version) -> Result<Self, Refusal> {
        let mut lengths = fields.all("content-length");
        let length = lengths.next();
        if lengths.next().is_some() {
            return malformed("more than one Content-Length");
        }
        match (fields.has("transfer-encoding"), length) {
            (true, Some(_)) => malformed("both Content-Length and Transfer-Encoding"),
            (true, None) if version == Version::Http10 => malformed("Transfer-Encoding in HTTP/1.0"),
            (true, None) => chunked(fields),
            (false, Some(length)) => match decimal(length) {
                Some(0) => Ok(Self::None),
                Some(length) => Ok(Self::Length(length)),
                None => malformed("Content-Length is not a number"),
            },
            (false, None) => Ok(Self::None),
        }
    }
}

/// Chunked has to be the last coding, and to be there once. Others before it are well-formed, but unknown here.
fn chunked(fields: Fields<'_>) -> Result<Framing, Refusal> {
    let codings: Vec<_> =
        fields.list("transfer-encoding").map(|coding| coding.eq_ignore_ascii_case(b"chunked")).collect();
    match codings[..] {
        [true] => Ok(Framing::Chunked),
        [ref others @ .., true] if !others.contains(&true) => {
            refuse(StatusCode::NOT_IMPLEMENTED, "a Transfer-Encoding other than chunked")
        }
        _ => malformed("a Transfer-Encoding that doesn't end with chunked"),
    }
}

/// Digits only: no sign, no space, no list, no more than fits.
pub(super) fn decimal(value: &[u8]) -> Option<u64> {
    let digit = |byte: u8| byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
    let (&first, rest) = value.split_first()?;
    rest.iter().try_fold(digit(first)?, |number, &byte| number.checked_mul(10)?.checked_add(digit(byte)?))
}

/// The bytes of chunk extensions and trailers that a body may have: they carry nothing that is wanted here.
const OVERHEAD_BYTES_MAX: usize = 8 << 10;

/// Follows a body as its bytes come in, however they are cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyReader {
    state: State,
    overhead: usize,
    /// Content that may still come.
    allowed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Length(u64),
    Size { value: u64, digits: u8 },
    Extension { value: u64, part: ExtensionPart },
    LineFeedAfterSize { value: u64 },
    Chunk { left: u64 },
    ReturnAfterChunk,
    LineFeedAfterChunk,
    TrailerLine,
    TrailerName,
    TrailerValue,
    LineFeedAfterTrailer,
    LastLineFeed,
    Done,
}

/// Where in `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )` (RFC 9112 section 7.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ExtensionPart {
    /// White space that a semicolon follows.
    Before,
    /// Behind the semicolon.
    Start,
    Name,
    /// White space that an equals sign or a semicolon follows.
    AfterName,
    /// Behind the equals sign.
    Equals,
    Token,
    Quoted,
    /// Behind a backslash in quotes.
    Escaped,
    /// Behind the closing quote.
    Unquoted,
}

impl ExtensionPart {
    fn step(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Before | Self::Name | Self::AfterName | Self::Token | Self::Unquoted, b';') => Self::Start,
            (Self::Before | Self::Token | Self::Unquoted, b' ' | b'\t') => Self::Before,
            (Self::Start | Self::AfterName | Self::Equals, b' ' | b'\t') => self,
            (Self::Name, b' ' | b'\t') => Self::AfterName,
            (Self::Start | Self::Name, _) if is_token_byte(byte) => Self::Name,
            (Self::Name | Self::AfterName, b'=') => Self::Equals,
            (Self::Equals | Self::Token, _) if is_token_byte(byte) => Self::Token,
            (Self::Equals, b'"') => Self::Quoted,
            (Self::Quoted, b'"') => Self::Unquoted,
            (Self::Quoted, b'\\') => Self::Escaped,
            (Self::Quoted | Self::Escaped, _) if is_field_byte(byte) => Self::Quoted,
            _ => return None,
        })
    }

    fn may_end(self) -> bool {
        matches!(self, Self::Name | Self::Token | Self::Unquoted)
    }
}

/// A body that is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unacceptable {
    /// It announces more content than is allowed.
    TooLarge,
    /// A chunked body that isn't one.
    Malformed(&'static str),
}

use Unacceptable::{Malformed, TooLarge};

impl BodyReader {
    /// A body of at most `allowed` bytes of content.
    pub(super) fn new(framing: Framing, allowed: u64) -> Result<Self, Unacceptable> {
        let state = match framing {
            Framing::None => State::Done,
            Framing::Length(length) if length > allowed => return Err(TooLarge),
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Size { value: 0, digits: 0 },
        };
        Ok(Self { state, overhead: 0, allowed })
    }

    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes in bytes, hands on those that are content, and says how many of them belong to the body. Once it is done
    /// it takes no more.
    pub(super) fn feed(&mut self, bytes: &[u8], mut content: impl FnMut(&[u8])) -> Result<usize, Unacceptable> {
        let mut at = 0;
        while at < bytes.len() && self.state != State::Done {
            at += match &mut self.state {
                State::Length(left) | State::Chunk { left } => {
                    let count = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len() - at);
                    content(&bytes[at..at + count]);
                    *left -= count as u64;
                    self.end_of_content();
                    count
                }
                _ => {
                    self.state = self.step(bytes[at])?;
                    1
                }
            };
        }
        Ok(at)
    }

    fn end_of_content(&mut self) {
        match self.state {
            State::Length(0) => self.state = State::Done,
            State::Chunk { left: 0 } => self.state = State::ReturnAfterChunk,
            _ => {}
        }
    }

    /// The state after one byte of what is not content.
    fn step(&mut self, byte: u8) -> Result<State, Unacceptable> {
        use State::*;
        Ok(match (self.state, byte) {
            (Size { value, digits }, _) if byte.is_ascii_hexdigit() => self.add_digit(value, digits, byte)?,
            (Size { value, digits: 1.. }, b'\r') => LineFeedAfterSize { value },
            (Size { value, digits: 1.. }, b' ' | b'\t' | b';') => self.extend(value, ExtensionPart::Before, byte)?,
            (Extension { value, part }, b'\r') if part.may_end() => LineFeedAfterSize { value },
            (Extension { value, part }, _) => self.extend(value, part, byte)?,
            (LineFeedAfterSize { value: 0 }, b'\n') => TrailerLine,
            (LineFeedAfterSize { value }, b'\n') => self.allow(value)?,
            (ReturnAfterChunk, b'\r') => LineFeedAfterChunk,
            (LineFeedAfterChunk, b'\n') => Size { value: 0, digits: 0 },
            (TrailerLine, b'\r') => LastLineFeed,
            (TrailerLine | TrailerName, _) if is_token_byte(byte) => self.spend(TrailerName)?,
            (TrailerName, b':') => TrailerValue,
            (TrailerValue, b'\r') => LineFeedAfterTrailer,
            (TrailerValue, _) if is_field_byte(byte) => self.spend(TrailerValue)?,
            (LineFeedAfterTrailer, b'\n') => TrailerLine,
            (LastLineFeed, b'\n') => Done,
            (Size { .. }, _) => return Err(Malformed("a chunk size is malformed")),
            (ReturnAfterChunk | LineFeedAfterChunk, _) => return Err(Malformed("a chunk is longer than its size")),
            _ => return Err(Malformed("a line of the chunked coding is malformed")),
        })
    }

    /// More than sixteen digits are leading zeros, which mean nothing, and are as bounded as what else means nothing.
    fn add_digit(&mut self, value: u64, digits: u8, byte: u8) -> Result<State, Unacceptable> {
        let digit = char::from(byte).to_digit(16).unwrap_or(0);
        let value = value.checked_mul(16).ok_or(Malformed("a chunk size is too large"))? + u64::from(digit);
        match digits {
            16.. => self.spend(State::Size { value, digits }),
            _ => Ok(State::Size { value, digits: digits + 1 }),
        }
    }

    /// A chunk begins; one that is too large is refused before it comes.
    fn allow(&mut self, value: u64) -> Result<State, Unacceptable> {
        self.allowed = self.allowed.checked_sub(value).ok_or(TooLarge)?;
        Ok(State::Chunk { left: value })
    }

    fn extend(&mut self, value: u64, part: ExtensionPart, byte: u8) -> Result<State, Unacceptable> {
        let part = part.step(byte).ok_or(Malformed("a chunk extension is malformed"))?;
        self.spend(State::Extension { value, part })
    }

    fn spend(&mut self, next: State) -> Result<State, Unacceptable> {
        self.overhead += 1;
        if self.overhead > OVERHEAD_BYTES_MAX {
            return Err(Malformed("too much beside the content: zeros, chunk extensions or trailers"));
        }
        Ok(next)
    }
}

/// A byte of a field value or a chunk extension.
fn is_field_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds bytes in pieces of this size: the content, the bytes used, and whether the body is complete.
    fn read(bytes: &[u8], piece: usize, allowed: u64) -> Result<(Vec<u8>, usize, bool), Unacceptable> {
        let mut reader = BodyReader::new(Framing::Chunked, allowed)?;
        let (mut content, mut used) = (Vec::new(), 0);
        for piece in bytes.chunks(piece) {
            used += reader.feed(piece, |bytes| content.extend_from_slice(bytes))?;
        }
        Ok((content, used, reader.is_done()))
    }

    #[test]
    fn chunks_end_where_they_say() {
        for (body, content) in [
            ("0\r\n\r\n", ""),
            ("5\r\nhello\r\n0\r\n\r\n", "hello"),
            ("000A\r\n0123456789\r\n1\r\n!\r\n0\r\n\r\n", "0123456789!"),
            ("5;a=b\r\nhello\r\n0;c\r\n\r\n", "hello"),
            ("5 ;a=\"b\"\r\nhello\r\n0\r\n\r\n", "hello"),
            ("5\t; a = b ;c;d=\"\\\"; e\\\\\" ; f\r\nhello\r\n0;x\r\n\r\n", "hello"),
            ("5\r\nhello\r\n0\r\nTrailer: x\r\nOther:\r\n\r\n", "hello"),
        ] {
            for piece in [1, 2, 3, 1000] {
                let expected = Ok((content.as_bytes().to_vec(), body.len(), true));
                assert_eq!(read(format!("{body}GET").as_bytes(), piece, 100), expected, "{body:?} by {piece}");
            }
        }
    }

    #[test]
    fn what_is_not_a_chunk_is_refused() {
        for body in [
            "\r\n",
            "g\r\n",
            "0x5\r\n",
            "-1\r\n",
            "5_0\r\n",
            "5 \r\n",
            " 5\r\n",
            "5\n",
            "5\r\r\n",
            "5;a\n",
            "5;a=\rX\r\n",
            "5;\r\n",
            "5;;a\r\n",
            "5;=a\r\n",
            "5;a=\r\n",
            "5;a \r\n",
            "5;a b\r\n",
            "5;a=b c\r\n",
            "5;a=\"b\r\n",
            "5;a=\"b\"c\r\n",
            "5;a=\"\\\r\n",
            "5 a\r\n",
            "5\r\nhello!",
            "5\r\nhello\n",
            "0\r\n\n",
            "0\r\n: a\r\n",
            "0\r\na b: c\r\n",
            "0\r\na: \0\r\n",
            "10000000000000000\r\n",
        ] {
            assert!(matches!(read(body.as_bytes(), 1, 100), Err(Malformed(_))), "{body:?}");
        }
        assert!(matches!(
            read(format!("5;{}", "a".repeat(OVERHEAD_BYTES_MAX + 1)).as_bytes(), 7, 100),
            Err(Malformed(_))
        ));
        let zeros = |count| format!("{}5\r\nhello\r\n0\r\n\r\n", "0".repeat(count));
        assert!(read(zeros(1000).as_bytes(), 7, 100).is_ok_and(|(content, ..)| content == b"hello"));
        assert!(matches!(read(zeros(OVERHEAD_BYTES_MAX + 20).as_bytes(), 7, 100), Err(Malformed(_))));
    }

    #[test]
    fn too_much_is_refused_before_it_comes() {
        assert_eq!(read(b"5\r\nhello\r\n0\r\n\r\n", 1, 5), Ok((b"hello".to_vec(), 15, true)));
        for body in ["6\r\n", "3\r\nabc\r\n3\r\n", "fffffffffffffffe\r\n", "FFFFFFFFFFFFFFFF\r\n"] {
            assert_eq!(read(body.as_bytes(), 1, 5), Err(TooLarge), "{body:?}");
        }
        assert_eq!(BodyReader::new(Framing::Length(6), 5).err(), Some(TooLarge));
    }

    #[test]
    fn a_length_is_counted() {
        let mut reader = BodyReader::new(Framing::Length(5), 5).unwrap();
        assert_eq!(reader.feed(b"hel", |_| ()), Ok(3));
        assert!(!reader.is_done());
        assert_eq!(reader.feed(b"loGET", |_| ()), Ok(2));
        assert!(reader.is_done());
    }

    proptest! {
        #[test]
        fn what_was_chunked_comes_out_whole(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8), piece in 1..50usize) {
            let mut body = Vec::new();
            for chunk in &chunks {
                body.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                body.extend_from_slice(chunk);
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(b"0\r\n\r\n");
            prop_assert_eq!(read(&body, piece, 1000), Ok((chunks.concat(), body.len(), true)));
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, piece in 1..20usize) {
            let _ = read(&bytes, piece, 1000);
        }
    }
}
