//! The access log: one line a request, through `log`, target `access`.

use std::fmt::{self, Write as _};
use std::time::Instant;

use log::{Level, info, log_enabled};

use ::http::StatusCode;

use crate::socketserver::Peer;

/// The longest request line that is logged, in bytes; what is longer ends in `...`.
const REQUEST_LINE_BYTES_MAX: usize = 2 << 10;

/// What is known of a request when its answer begins; nothing when nobody listens.
#[derive(Debug)]
pub(super) struct Record(Option<Box<Known>>);

#[derive(Debug)]
struct Known {
    peer: String,
    request_line: String,
    status: StatusCode,
    began: Instant,
}

impl Record {
    /// `head` begins with the request line.
    pub(super) fn new(peer: &Peer, head: &[u8], status: StatusCode, began: Instant) -> Self {
        if !log_enabled!(target: "access", Level::Info) {
            return Self(None);
        }
        let end = head.iter().position(|byte| b"\r\n".contains(byte)).unwrap_or(head.len());
        let request_line = Escaped(&head[..end]).to_string();
        Self(Some(Box::new(Known { peer: peer.to_string(), request_line, status, began })))
    }

    /// Writes the line, once the answer is out, or is cut.
    pub(super) fn write(self, bytes: u64, cut: bool) {
        let Some(known) = self.0 else { return };
        let Known { peer, request_line, status, began } = *known;
        let time = began.elapsed().as_secs_f64() * 1e3;
        let cut = if cut { " cut" } else { "" };
        info!(target: "access", "{peer} \"{request_line}\" {} {bytes} {time:.3}ms{cut}", status.as_u16());
    }
}

/// Bytes from a peer, fit for one line in quotes: what is not printable ASCII, and `"` and `\`, as `\xNN`.
pub(super) struct Escaped<'a>(pub(super) &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &byte in &self.0[..self.0.len().min(REQUEST_LINE_BYTES_MAX)] {
            match byte {
                b'"' | b'\\' => write!(f, "\\x{byte:02x}")?,
                b' '..=b'~' => f.write_char(char::from(byte))?,
                _ => write!(f, "\\x{byte:02x}")?,
            }
        }
        if self.0.len() > REQUEST_LINE_BYTES_MAX { f.write_str("...") } else { Ok(()) }
    }
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
