//! What `benches/stages.rs` and `tests/fuzz` run, which have no way to private modules; no part of the API.

use core::net::{IpAddr, SocketAddr};
use std::time::Instant;

use httparse::Header;

use super::body::BodyReader;
use super::client::{Client, Proxies};
use super::head_scan::HeadScan;
use super::headers::Fields;
use super::introduction::{self, Introduction};
use super::limits::Limits;
use super::request::{NO_FIELDS, Refusal, Request, Version, parse, settle_version};
use super::response::Response;
use super::write::{Asked, Outgoing};
use crate::socketserver::{Address, Peer};

/// Looks for the end of a head.
pub fn scan(bytes: &[u8], limits: &Limits) -> Option<usize> {
    HeadScan::default().advance(bytes, limits).ok().flatten()
}

/// Reads a complete head, for `then`; none when it is refused.
pub fn read<T>(head: &[u8], then: impl FnOnce(&Request<'_>) -> T) -> Option<T> {
    let (peer, mut slots) = (peer(), NO_FIELDS);
    parse(head, &mut slots, &peer, &Limits::default()).ok().map(|head| then(&head.request))
}

fn peer() -> Peer {
    Peer::new(Address::Inet(([127, 0, 0, 1], 50_000).into()), None)
}

/// What bytes are taken for that came as a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// The end of it hasn't come.
    Incomplete,
    /// It is answered with this status.
    Refused(u16, &'static str),
    /// A request, and nothing else.
    Complete {
        /// As it was parsed.
        head: String,
        /// The bytes of the head.
        head_bytes: usize,
        /// The content of the body.
        content: Vec<u8>,
        /// The bytes of head and body.
        bytes: usize,
    },
}

/// Receives a request in pieces, as a connection does.
pub fn receive<'p>(pieces: impl IntoIterator<Item = &'p [u8]>, limits: &Limits) -> Received {
    let refused = |Refusal { status, reason }| Received::Refused(status.as_u16(), reason);
    receive_or_refuse(pieces.into_iter(), limits).unwrap_or_else(refused)
}

fn receive_or_refuse<'p>(mut pieces: impl Iterator<Item = &'p [u8]>, limits: &Limits) -> Result<Received, Refusal> {
    let (mut scan, mut unread) = (HeadScan::default(), Vec::new());
    let head_bytes = loop {
        if let Some(head_bytes) = scan.advance(&unread, limits)? {
            break head_bytes;
        }
        let Some(piece) = pieces.next() else { return Ok(Received::Incomplete) };
        unread.extend_from_slice(piece);
    };
    settle_version(&mut unread[..head_bytes]);
    let (peer, mut slots) = (peer(), NO_FIELDS);
    let head = parse(&unread[..head_bytes], &mut slots, &peer, limits)?;
    let mut reader = BodyReader::new(head.framing, limits.body_discard_bytes_max)?;
    let mut content = Vec::new();
    let mut feed = |piece: &[u8]| {
        let used = reader.feed(piece, |bytes| content.extend_from_slice(bytes))?;
        Ok::<_, Refusal>((used, reader.is_done()))
    };
    let (mut bytes, mut is_done) = feed(&unread[head_bytes..])?;
    while !is_done {
        let Some(piece) = pieces.next() else { return Ok(Received::Incomplete) };
        let fed = feed(piece)?;
        (bytes, is_done) = (bytes + fed.0, fed.1);
    }
    Ok(Received::Complete { head: format!("{head:?}"), head_bytes, content, bytes: head_bytes + bytes })
}

/// Reads how a proxy introduces its client: the bytes of the introduction and the client it names, once all of it is there.
///
/// # Errors
/// What is wrong with it.
pub fn introduce(bytes: &[u8]) -> Result<Option<(usize, Option<SocketAddr>)>, &'static str> {
    introduction::read(bytes).map(|introduction| match introduction {
        Introduction::Partial => None,
        Introduction::Complete { bytes, client } => Some((bytes, client)),
    })
}

/// Whom a proxy on 127.0.0.1 names in these field lines, all of this name.
pub fn named_client(proxies: &Proxies, name: &str, values: &[&[u8]]) -> (Option<IpAddr>, Option<u16>) {
    let lines: Vec<_> = values.iter().map(|value| Header { name, value }).collect();
    let peer = peer();
    let client = proxies.client(Client::Peer(&peer), Fields::of(&lines));
    (client.ip(), client.port())
}

/// Makes the bytes of a response, as far as they aren't sent from where they are.
pub fn compose(response: Response, buffer: Vec<u8>, now: Instant, limits: &Limits) -> Vec<u8> {
    let asked = Asked { head_only: false, version: Version::Http11, keep_alive: true };
    Outgoing::new(response, asked, buffer, now, limits).into_buffer()
}
