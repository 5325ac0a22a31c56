//! Head and body of a request: what they are taken for doesn't depend on the pieces in which they come.
//!
//! The plan: each byte is the size of a piece, again and again.

use salver::http::Limits;
use salver::http::stages::{Received, receive};

use super::{split_plan, wire};

pub fn check(input: &[u8]) {
    let (plan, bytes) = split_plan(input);
    let limits = limits();
    let at_once = receive([bytes], &limits);
    let by_one = receive(bytes.chunks(1), &limits);
    assert_eq!(by_one, at_once, "byte by byte, and at once");
    if !plan.is_empty() {
        assert_eq!(receive(pieces(plan, bytes), &limits), at_once, "by plan, and at once");
    }
    match at_once {
        Received::Complete { head_bytes, content, bytes: taken, .. } => {
            complete(&bytes[..taken], head_bytes, &content);
            assert_eq!(receive([&bytes[..taken]], &limits), by_one, "what follows means nothing");
        }
        Received::Refused(status, _) => {
            assert!([400, 413, 414, 417, 421, 431, 501, 505].contains(&status), "{status}");
            // What is refused stays refused, whatever follows.
            let more = receive([bytes, b"\r\n\r\n"], &limits);
            assert_eq!(more, by_one, "with more");
        }
        Received::Incomplete => {
            let bytes_max = limits.request_line_bytes_max + limits.field_section_bytes_max + 4;
            assert!(bytes.len() <= bytes_max || wire::split_head(bytes).is_some(), "a head that grows without end");
        }
    }
}

/// Small ones, so that a small input can exceed each.
fn limits() -> Limits {
    let mut limits = Limits::default();
    (limits.request_line_bytes_max, limits.field_section_bytes_max, limits.fields_max) = (48, 160, 6);
    limits.body_discard_bytes_max = 40;
    limits
}

pub fn pieces<'b>(plan: &'b [u8], mut bytes: &'b [u8]) -> impl Iterator<Item = &'b [u8]> {
    let mut sizes = plan.iter().cycle().map(|&size| usize::from(size).max(1));
    std::iter::from_fn(move || {
        let size = sizes.next()?.min(bytes.len());
        let (piece, rest) = bytes.split_at(size);
        bytes = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

/// A request that was taken is one by the book, which ends where the book says.
fn complete(bytes: &[u8], head_bytes: usize, content: &[u8]) {
    let request = wire::next_request(bytes).expect("a complete request");
    assert_eq!(request.head.len(), head_bytes, "the end of the head");
    assert_eq!(request.content, content, "the content");
    assert_eq!(request.bytes, bytes.len(), "the end of the body");
    let lines = request.head.strip_suffix(b"\r\n\r\n").expect("an end");
    let text: Vec<u8> =
        lines.split(|&byte| byte == b'\n').flat_map(|line| line.strip_suffix(b"\r").unwrap_or(line)).copied().collect();
    assert!(text.iter().all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f)), "a control character");
    for (name, _) in wire::fields(request.head) {
        assert!(!name.is_empty() && name.bytes().all(wire::is_token_byte), "{name:?} is no name");
    }
}
