//! What `benches/stages.rs` runs, which has no way to private modules; no part of the API.

use std::time::Instant;

use super::limits::Limits;
use super::request::{HeadScan, NO_FIELDS, Request, Version, parse};
use super::response::Response;
use super::write::{Asked, Outgoing};
use crate::socketserver::{Address, Peer};

/// Looks for the end of a head.
pub fn scan(bytes: &[u8], limits: &Limits) -> Option<usize> {
    HeadScan::default().advance(bytes, limits).ok().flatten()
}

/// Reads a complete head, for `then`; none when it is refused.
pub fn read<T>(head: &[u8], then: impl FnOnce(&Request<'_>) -> T) -> Option<T> {
    let peer = Peer::new(Address::Inet(([127, 0, 0, 1], 50_000).into()), None);
    let mut slots = NO_FIELDS;
    parse(head, &mut slots, &peer).ok().map(|head| then(&head.request))
}

/// Makes the bytes of a response, as far as they aren't sent from where they are.
pub fn compose(response: Response, buffer: Vec<u8>, now: Instant, limits: &Limits) -> Vec<u8> {
    let asked = Asked { head_only: false, version: Version::Http11, keep_alive: true };
    Outgoing::new(response, asked, buffer, now, limits).into_buffer()
}
