//! `multipart/byteranges` (RFC 9110 section 14.6): several parts in one body, each with a head of its own.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::ops::Range;

use ::http::HeaderValue;
use bytes::Bytes;

use crate::http::Body;

/// A body of several parts, and the Content-Type that names its boundary. `content` gives the bytes of a range; nothing of
/// them is copied.
pub(super) fn body(
    parts: &[Range<u64>],
    length: u64,
    content_type: &HeaderValue,
    content: impl Fn(Range<u64>) -> Body,
) -> (HeaderValue, Body) {
    let boundary = boundary();
    let mut bodies = Vec::with_capacity(2 * parts.len() + 1);
    for (number, part) in parts.iter().enumerate() {
        let end_of_last = if number == 0 { "" } else { "\r\n" };
        let mut head = format!("{end_of_last}--{boundary}\r\nContent-Type: ").into_bytes();
        head.extend_from_slice(content_type.as_bytes());
        let range = format!("\r\nContent-Range: bytes {}-{}/{length}\r\n\r\n", part.start, part.end - 1);
        head.extend_from_slice(range.as_bytes());
        bodies.push(Body::Bytes(head.into()));
        bodies.push(content(part.clone()));
    }
    bodies.push(Body::Bytes(Bytes::from(format!("\r\n--{boundary}--\r\n"))));
    let content_type = HeaderValue::try_from(format!("multipart/byteranges; boundary={boundary}"));
    (content_type.unwrap_or(HeaderValue::from_static("multipart/byteranges")), Body::Several(bodies))
}

/// A line that no content has: nobody who writes content can know it before.
fn boundary() -> String {
    let random = || RandomState::new().hash_one(0);
    format!("{:016x}{:016x}", random(), random())
}
