//! Messages over a byte stream.
//!
//! TCP carries bytes, not messages: what was sent as two may come as one, or as seven. A format says where a message, here
//! a *frame*, ends: [`LengthPrefix`] by its length in front, [`Delimiter`] by bytes behind it. [`Frames`] takes a stream
//! apart by one of them; [`HeaderFrames`] does it for frames with a JSON header and a body that may be too large for memory.
//!
//! Both work without waiting, as bytes come:
//!
//! ```
//! use salver::socketserver::framing::{Delimiter, Frames};
//!
//! let mut lines = Frames::new(Delimiter::lines(1024));
//! lines.push(b"one\ntw");
//! assert_eq!(lines.next_frame()?, Some(&b"one"[..]));
//! assert_eq!(lines.next_frame()?, None, "the second isn't complete");
//! lines.push(b"o\n");
//! assert_eq!(lines.next_frame()?, Some(&b"two"[..]));
//! # Ok::<(), salver::socketserver::framing::FrameError>(())
//! ```
//!
//! and on anything that reads, waiting for what is missing ([`Frames::read_frame`], [`HeaderFrames::read_part`]).
//! A length is looked at before memory is asked for, so that four bytes of a stranger don't cost four gigabytes.

mod formats;
mod header;

use std::error::Error;
use std::fmt;
use std::io::{self, Read};
use std::ops::Range;

pub use formats::{Delimiter, Endian, LengthKind, LengthPrefix};
pub use header::{HeaderFormat, HeaderFrames, Part};

/// Bytes read at once by the blocking calls.
const READ_BYTES: usize = 16 << 10;

/// Why bytes are no frame. Nothing that follows them in the stream can be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// The frame, or its body, announces or has more bytes than are taken.
    TooLong {
        /// What it announces, or has so far.
        length: u64,
        /// What is taken.
        max: u64,
    },
    /// A signed length is below zero.
    Negative {
        /// What it announces.
        length: i64,
        /// What is taken.
        max: u64,
    },
    /// The stream ended within a frame.
    Cut {
        /// Bytes that came of it.
        came: u64,
    },
    /// A header is not JSON, no dictionary, or doesn't announce its body.
    Header(String),
    /// What is to be sent holds the delimiter, and would be taken for two frames.
    HoldsDelimiter,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { length, max } => write!(f, "a frame of {length} bytes, where {max} are taken at most"),
            Self::Negative { length, max } => write!(f, "a frame of {length} bytes, where 0 to {max} are taken"),
            Self::Cut { came } => write!(f, "the stream ended after {came} bytes of a frame"),
            Self::Header(reason) => write!(f, "the header of a frame {reason}"),
            Self::HoldsDelimiter => write!(f, "a frame must not hold its own delimiter"),
        }
    }
}

impl Error for FrameError {}

impl From<FrameError> for io::Error {
    fn from(error: FrameError) -> Self {
        let kind = match error {
            FrameError::Cut { .. } => io::ErrorKind::UnexpectedEof,
            FrameError::HoldsDelimiter => io::ErrorKind::InvalidInput,
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

/// Where a frame ends.
pub trait Format {
    /// Finds the frame that begins with these bytes, if it is complete. Of them `looked` were there the last time, when it
    /// was not.
    ///
    /// # Errors
    /// When there can't be one.
    fn find(&self, bytes: &[u8], looked: usize) -> Result<Option<Found>, FrameError>;

    /// Appends a frame with this content to `bytes`; an error leaves them as they were.
    ///
    /// # Errors
    /// When the content is too long for the format, or can't be told from its end.
    fn encode(&self, content: &[u8], bytes: &mut Vec<u8>) -> Result<(), FrameError>;
}

/// A complete frame at the start of some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where its content lies.
    pub content: Range<usize>,
    /// The bytes it takes in all.
    pub length: usize,
}

/// Takes a stream apart into frames.
#[derive(Debug)]
pub struct Frames<F> {
    format: F,
    incoming: Incoming,
    failed: Option<FrameError>,
}

impl<F: Format> Frames<F> {
    /// For a stream that begins with a frame.
    #[must_use]
    pub fn new(format: F) -> Self {
        Self { format, incoming: Incoming::default(), failed: None }
    }

    /// Takes bytes as they came. Whoever takes out what is complete after each push holds no more than the longest frame
    /// and one push.
    pub fn push(&mut self, bytes: &[u8]) {
        self.incoming.push(bytes);
    }

    /// The content of the next frame, if it is complete.
    ///
    /// # Errors
    /// When the stream holds what is no frame; then this and every later call fails.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, FrameError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        match self.format.find(self.incoming.unread(), self.incoming.looked) {
            Ok(Some(found)) => Ok(Some(&self.incoming.take(found.length)[found.content])),
            Ok(None) => {
                self.incoming.looked = self.incoming.unread().len();
                Ok(None)
            }
            Err(error) => Err(self.failed.insert(error).clone()),
        }
    }

    /// Whether the stream may end here: no part of a frame is left over.
    ///
    /// # Errors
    /// [`FrameError::Cut`] when it is.
    pub fn end(&self) -> Result<(), FrameError> {
        self.incoming.end()
    }

    /// Reads until a frame is complete, and gives its content; none at the end of the stream.
    ///
    /// # Errors
    /// What reading says; `InvalidData` when the stream holds what is no frame, and `UnexpectedEof` when it ends within one,
    /// both with a [`FrameError`] in them.
    pub fn read_frame(&mut self, reader: &mut impl Read) -> io::Result<Option<&[u8]>> {
        // Looked for twice, as a frame that is found is lent for as long as this is.
        while self.failed.is_none() && self.format.find(self.incoming.unread(), self.incoming.looked)?.is_none() {
            self.incoming.looked = self.incoming.unread().len();
            if !self.incoming.read_from(reader)? {
                self.end()?;
                return Ok(None);
            }
        }
        Ok(self.next_frame()?)
    }
}

/// Bytes that came and were not taken yet.
#[derive(Debug, Default)]
struct Incoming {
    bytes: Vec<u8>,
    start: usize,
    /// How many of them were looked at without finding an end.
    looked: usize,
}

impl Incoming {
    fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    fn unread(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Takes the first bytes, which are there.
    fn take(&mut self, count: usize) -> &[u8] {
        let taken = self.start..self.start + count;
        (self.start, self.looked) = (taken.end, 0);
        &self.bytes[taken]
    }

    fn end(&self) -> Result<(), FrameError> {
        match self.unread().len() as u64 {
            0 => Ok(()),
            came => Err(FrameError::Cut { came }),
        }
    }

    /// Reads what is there; false at the end of the stream.
    fn read_from(&mut self, reader: &mut impl Read) -> io::Result<bool> {
        let mut bytes = [0; READ_BYTES];
        let read = loop {
            match reader.read(&mut bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.push(&bytes[..read]);
        Ok(read > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAX: usize = 300;

    fn formats() -> Vec<(&'static str, Box<dyn Format>)> {
        let mut formats: Vec<(_, Box<dyn Format>)> = Vec::new();
        for (name, kind) in [("u32", LengthKind::U32), ("i32", LengthKind::I32)] {
            for endian in [Endian::Big, Endian::Little, Endian::Native] {
                formats.push((name, Box::new(LengthPrefix::new(kind, endian, MAX))));
            }
        }
        formats.push(("lines", Box::new(Delimiter::lines(MAX))));
        formats.push(("delimiter", Box::new(Delimiter::new(*b"--end--", MAX))));
        formats
    }

    impl Format for Box<dyn Format> {
        fn find(&self, bytes: &[u8], looked: usize) -> Result<Option<Found>, FrameError> {
            (**self).find(bytes, looked)
        }

        fn encode(&self, content: &[u8], bytes: &mut Vec<u8>) -> Result<(), FrameError> {
            (**self).encode(content, bytes)
        }
    }

    /// Gives a reader's bytes in pieces of these sizes.
    struct Pieces<'a>(&'a [u8], std::iter::Cycle<std::slice::Iter<'a, usize>>);

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.next().copied().unwrap_or(1).min(self.0.len()).min(buffer.len());
            let (now, later) = self.0.split_at(count);
            buffer[..count].copy_from_slice(now);
            self.0 = later;
            Ok(count)
        }
    }

    proptest! {
        /// However the stream was cut into reads, and whichever way it is read.
        #[test]
        fn what_was_sent_arrives(
            contents in prop::collection::vec("[a-z\r-]{0,40}", 0..12),
            sizes in prop::collection::vec(1_usize..50, 1..8),
        ) {
            for (name, format) in formats() {
                let (mut bytes, mut sent) = (Vec::new(), Vec::new());
                for content in &contents {
                    if format.encode(content.as_bytes(), &mut bytes).is_ok() {
                        sent.push(content.as_bytes().to_vec());
                    }
                }
                let (mut frames, mut came) = (Frames::new(format), Vec::new());
                let mut rest = &bytes[..];
                for size in sizes.iter().cycle() {
                    let (now, later) = rest.split_at((*size).min(rest.len()));
                    frames.push(now);
                    while let Some(content) = frames.next_frame().unwrap() {
                        came.push(content.to_vec());
                    }
                    rest = later;
                    if rest.is_empty() {
                        break;
                    }
                }
                prop_assert_eq!(&came, &sent, "{}", name);
                prop_assert_eq!(frames.end(), Ok(()));
                let (mut reader, mut read) = (Pieces(&bytes, sizes.iter().cycle()), Vec::new());
                while let Some(content) = frames.read_frame(&mut reader).unwrap() {
                    read.push(content.to_vec());
                }
                prop_assert_eq!(&read, &sent, "{}", name);
            }
        }

        #[test]
        fn nonsense_is_an_error_or_frames_but_no_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..1_000),
            size in 1_usize..400,
        ) {
            for (_, format) in formats() {
                let mut frames = Frames::new(format);
                for piece in bytes.chunks(size) {
                    frames.push(piece);
                    while let Ok(Some(content)) = frames.next_frame() {
                        prop_assert!(content.len() <= MAX);
                    }
                }
            }
        }
    }

    #[test]
    fn a_stream_that_ends_within_a_frame_says_so() {
        for (bytes, format) in [
            (&b"\0\0\0"[..], formats().remove(0).1),
            (b"\0\0\0\x05abcd", formats().remove(0).1),
            (b"a line without its en", Box::new(Delimiter::lines(MAX))),
        ] {
            let mut frames = Frames::new(format);
            let error = frames.read_frame(&mut &bytes[..]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
            assert_eq!(error.to_string(), format!("the stream ended after {} bytes of a frame", bytes.len()));
        }
    }

    #[test]
    fn after_an_error_nothing_more_is_understood() {
        let mut lines = Frames::new(Delimiter::lines(3));
        lines.push(b"abcdef\nghi\n");
        let error = FrameError::TooLong { length: 6, max: 3 };
        assert_eq!(lines.next_frame(), Err(error.clone()));
        assert_eq!(lines.next_frame(), Err(error.clone()));
        assert_eq!(lines.read_frame(&mut &b""[..]).unwrap_err().to_string(), error.to_string());
    }
}
