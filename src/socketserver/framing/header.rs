//! Frames of a header and a body.

use std::io::{self, Read};

use serde_json::{Map, Value};

use super::{Format, FrameError, Incoming, LengthPrefix};

/// Frames of a header and a body: four bytes with the length of the header, the header, which is a JSON dictionary, and as
/// many bytes as it announces under a key. Files are sent like that in many a course on sockets, by Python's
/// `struct.pack("i", len(header)) + header + content`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderFormat {
    prefix: LengthPrefix,
    length_key: String,
    body_max: u64,
}

impl HeaderFormat {
    /// `prefix` is the header's length and limit, `length_key` names the body's length in bytes in the header, `body_max` is
    /// the longest body.
    #[must_use]
    pub fn new(prefix: LengthPrefix, length_key: impl Into<String>, body_max: u64) -> Self {
        Self { prefix, length_key: length_key.into(), body_max }
    }

    /// Appends the prefix and the header to `bytes`; the body has to follow.
    ///
    /// # Errors
    /// When the header is too long, or doesn't announce a body that may be sent.
    pub fn encode(&self, header: &Map<String, Value>, bytes: &mut Vec<u8>) -> Result<(), FrameError> {
        self.body_length(header)?;
        let header = serde_json::to_vec(header).map_err(|error| FrameError::Header(error.to_string()))?;
        self.prefix.encode(&header, bytes)
    }

    fn decode(&self, header: &[u8]) -> Result<(Map<String, Value>, u64), FrameError> {
        let value: Value = serde_json::from_slice(header)
            .map_err(|error| FrameError::Header(format!("of {} bytes is not JSON: {error}", header.len())))?;
        let Value::Object(header) = value else {
            return Err(FrameError::Header("is JSON, but no dictionary".to_owned()));
        };
        let length = self.body_length(&header)?;
        Ok((header, length))
    }

    fn body_length(&self, header: &Map<String, Value>) -> Result<u64, FrameError> {
        let (key, max) = (&self.length_key, self.body_max);
        let Some(value) = header.get(key) else {
            return Err(FrameError::Header(format!("has no {key:?}")));
        };
        match (value.as_u64(), value.as_i64()) {
            (Some(length), _) if length <= max => Ok(length),
            (Some(length), _) => Err(FrameError::TooLong { length, max }),
            (None, Some(length)) => Err(FrameError::Negative { length, max }),
            (None, None) => Err(FrameError::Header(format!("has no whole number under {key:?}"))),
        }
    }
}

/// Takes a stream apart into headers and pieces of bodies; a body is never held as a whole.
#[derive(Debug)]
pub struct HeaderFrames {
    format: HeaderFormat,
    incoming: Incoming,
    body: Option<BodyLeft>,
    failed: Option<FrameError>,
}

#[derive(Clone, Copy, Debug)]
struct BodyLeft {
    left: u64,
    length: u64,
}

/// What comes next of a frame with a header.
#[derive(Debug, PartialEq)]
pub enum Part<'a> {
    /// Its header, and the length of the body that follows, in bytes.
    Header(Map<String, Value>, u64),
    /// The next bytes of the body.
    Body(&'a [u8]),
    /// The body is complete.
    End,
}

impl HeaderFrames {
    /// For a stream that begins with a frame.
    #[must_use]
    pub fn new(format: HeaderFormat) -> Self {
        Self { format, incoming: Incoming::default(), body: None, failed: None }
    }

    /// Takes bytes as they came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.incoming.push(bytes);
    }

    /// What comes next, as far as it is there.
    ///
    /// # Errors
    /// When the stream holds what is no frame; then this and every later call fails.
    pub fn next_part(&mut self) -> Result<Option<Part<'_>>, FrameError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        match self.body {
            None => self.next_header().map_err(|error| self.failed.insert(error).clone()),
            Some(BodyLeft { left: 0, .. }) => {
                self.body = None;
                Ok(Some(Part::End))
            }
            Some(_) if self.incoming.unread().is_empty() => Ok(None),
            Some(BodyLeft { left, length }) => {
                let count = usize::try_from(left).unwrap_or(usize::MAX).min(self.incoming.unread().len());
                self.body = Some(BodyLeft { left: left - count as u64, length });
                Ok(Some(Part::Body(self.incoming.take(count))))
            }
        }
    }

    fn next_header(&mut self) -> Result<Option<Part<'static>>, FrameError> {
        let Some(found) = self.format.prefix.find(self.incoming.unread(), 0)? else { return Ok(None) };
        let (header, length) = self.format.decode(&self.incoming.take(found.length)[found.content])?;
        self.body = Some(BodyLeft { left: length, length });
        Ok(Some(Part::Header(header, length)))
    }

    /// Whether the stream may end here: no part of a frame is missing.
    ///
    /// # Errors
    /// [`FrameError::Cut`] when it is.
    pub fn end(&self) -> Result<(), FrameError> {
        match self.body {
            Some(BodyLeft { left, length }) if left > 0 => Err(FrameError::Cut { came: length - left }),
            _ => self.incoming.end(),
        }
    }

    /// Reads until there is something, and gives it; none at the end of the stream.
    ///
    /// # Errors
    /// As [`Frames::read_frame`](super::Frames::read_frame).
    pub fn read_part(&mut self, reader: &mut impl Read) -> io::Result<Option<Part<'_>>> {
        while self.needs_more()? {
            if !self.incoming.read_from(reader)? {
                self.end()?;
                return Ok(None);
            }
        }
        Ok(self.next_part()?)
    }

    fn needs_more(&self) -> Result<bool, FrameError> {
        match (&self.failed, self.body) {
            (Some(_), _) => Ok(false),
            (None, Some(body)) => Ok(body.left > 0 && self.incoming.unread().is_empty()),
            (None, None) => Ok(self.format.prefix.find(self.incoming.unread(), 0)?.is_none()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socketserver::framing::{Endian, LengthKind};

    fn format() -> HeaderFormat {
        HeaderFormat::new(LengthPrefix::new(LengthKind::I32, Endian::Big, 100), "size", 1_000)
    }

    fn framed(header: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        LengthPrefix::new(LengthKind::U32, Endian::Big, 1_000).encode(header.as_bytes(), &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_header_is_followed_by_the_body_it_announces() {
        let bytes = [framed(r#"{"name": "a", "size": 5}"#), b"hello".to_vec(), framed(r#"{"size": 0}"#)].concat();
        for size in 1..=bytes.len() {
            let (mut frames, mut came) = (HeaderFrames::new(format()), Vec::new());
            for piece in bytes.chunks(size) {
                frames.push(piece);
                while let Some(part) = frames.next_part().unwrap() {
                    match part {
                        Part::Header(header, length) => came.push(format!("{} {length}", header.len())),
                        Part::Body(bytes) => came.extend(bytes.iter().map(|byte| char::from(*byte).to_string())),
                        Part::End => came.push("end".to_owned()),
                    }
                }
            }
            assert_eq!(came, ["2 5", "h", "e", "l", "l", "o", "end", "1 0", "end"], "in pieces of {size}");
            assert_eq!(frames.end(), Ok(()));
        }
    }

    #[test]
    fn it_can_be_read_from_anything() {
        let bytes = [framed(r#"{"size": 3}"#), b"abc".to_vec()].concat();
        let (mut frames, mut reader) = (HeaderFrames::new(format()), &bytes[..]);
        assert!(matches!(frames.read_part(&mut reader).unwrap(), Some(Part::Header(_, 3))));
        assert_eq!(frames.read_part(&mut reader).unwrap(), Some(Part::Body(b"abc")));
        assert_eq!(frames.read_part(&mut reader).unwrap(), Some(Part::End));
        assert_eq!(frames.read_part(&mut reader).unwrap(), None);
        let cut = &bytes[..bytes.len() - 1];
        let (mut frames, mut reader) = (HeaderFrames::new(format()), cut);
        let error = loop {
            match frames.read_part(&mut reader) {
                Ok(part) => assert!(part.is_some()),
                Err(error) => break error,
            }
        };
        assert_eq!(error.to_string(), "the stream ended after 2 bytes of a frame");
    }

    #[test]
    fn a_header_that_cannot_be_is_an_error_that_says_why() {
        for (header, expected) in [
            ("{", "the header of a frame of 1 bytes is not JSON: EOF while parsing an object at line 1 column 1"),
            ("[5]", "the header of a frame is JSON, but no dictionary"),
            ("{}", r#"the header of a frame has no "size""#),
            (r#"{"size": "5"}"#, r#"the header of a frame has no whole number under "size""#),
            (r#"{"size": 1.5}"#, r#"the header of a frame has no whole number under "size""#),
            (r#"{"size": 1001}"#, "a frame of 1001 bytes, where 1000 are taken at most"),
            (r#"{"size": -5}"#, "a frame of -5 bytes, where 0 to 1000 are taken"),
        ] {
            let mut frames = HeaderFrames::new(format());
            frames.push(&framed(header));
            assert_eq!(frames.next_part().unwrap_err().to_string(), expected);
            assert_eq!(frames.next_part().unwrap_err().to_string(), expected, "and it stays so");
        }
        let mut frames = HeaderFrames::new(format());
        frames.push(&framed(&format!("{{\"size\": 1, \"name\": \"{}\"}}", "x".repeat(200)))[..4]);
        assert!(matches!(frames.next_part(), Err(FrameError::TooLong { max: 100, .. })), "before it has come");
    }

    #[test]
    fn a_header_is_sent_only_with_a_length() {
        let (mut bytes, mut header) = (Vec::new(), Map::new());
        assert!(format().encode(&header, &mut bytes).is_err() && bytes.is_empty());
        header.insert("size".to_owned(), 5.into());
        format().encode(&header, &mut bytes).unwrap();
        assert_eq!(bytes, b"\0\0\0\x0a{\"size\":5}");
    }
}
