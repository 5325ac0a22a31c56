//! The access log: one line a request, through `log`, target `access`.

use std::cell::Cell;
use std::fmt::{self, Write as _};
use std::time::Instant;

use log::{Level, info, log_enabled};

use ::http::StatusCode;

use super::client::Client;

/// The longest request line that is logged, in bytes; what is longer ends in `...`.
const REQUEST_LINE_BYTES_MAX: usize = 2 << 10;

/// What is known of a request when its answer begins; nothing when nobody listens.
#[derive(Debug)]
pub(super) struct Record(Option<Known>);

#[derive(Debug)]
struct Known {
    /// Client, user, request line and status.
    line: String,
    began: Instant,
}

impl Record {
    /// `head` begins with the request line; `buffer` lends its memory until the line is written.
    pub(super) fn new(
        buffer: &Cell<String>,
        (client, user): (Client<'_>, Option<&str>),
        head: &[u8],
        status: StatusCode,
        began: Instant,
    ) -> Self {
        if !log_enabled!(target: "access", Level::Info) {
            return Self(None);
        }
        let end = head.iter().position(|byte| b"\r\n".contains(byte)).unwrap_or(head.len());
        let mut line = buffer.take();
        line.clear();
        // A write to memory doesn't fail.
        let _ = write!(line, "{client} ");
        if let Some(user) = user {
            let _ = write!(line, "{} ", Escaped(user.as_bytes()));
        }
        let _ = write!(line, "\"{}\" {}", Escaped(&head[..end]), status.as_str());
        Self(Some(Known { line, began }))
    }

    /// Writes the line, once the answer is out, or is cut. Gives back the buffer.
    pub(super) fn write(self, bytes: u64, cut: bool) -> String {
        let Some(Known { line, began }) = self.0 else { return String::new() };
        let time = began.elapsed().as_micros();
        let cut = if cut { " cut" } else { "" };
        info!(target: "access", "{line} {bytes} {}.{:03}ms{cut}", time / 1000, time % 1000);
        line
    }
}

/// Bytes from a peer, fit for one line in quotes: what is not printable ASCII, and `"` and `\`, as `\xNN`.
pub(super) struct Escaped<'a>(pub(super) &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = &self.0[..self.0.len().min(REQUEST_LINE_BYTES_MAX)];
        while let [first, ..] = rest {
            let plain = rest.iter().position(|byte| !is_plain(*byte)).unwrap_or(rest.len());
            f.write_str(std::str::from_utf8(&rest[..plain]).unwrap_or_default())?;
            if plain == 0 {
                write!(f, "\\x{first:02x}")?;
            }
            rest = &rest[plain.max(1)..];
        }
        if self.0.len() > REQUEST_LINE_BYTES_MAX { f.write_str("...") } else { Ok(()) }
    }
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_a_peer_ends_a_line_or_its_quotes() {
        for (bytes, expected) in [
            (&b"GET / HTTP/1.1"[..], "GET / HTTP/1.1"),
            (b"GET /\"\\ HTTP/1.1", "GET /\\x22\\x5c HTTP/1.1"),
            (b"a\r\n\x1b[31m\x7f\xc3\xbc", "a\\x0d\\x0a\\x1b[31m\\x7f\\xc3\\xbc"),
        ] {
            assert_eq!(Escaped(bytes).to_string(), expected);
        }
        assert_eq!(Escaped(&[b'a'; REQUEST_LINE_BYTES_MAX + 1]).to_string().len(), REQUEST_LINE_BYTES_MAX + 3);
    }
}
