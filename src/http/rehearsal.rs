//! An answer without a connection: what a client would be told, for those who ask before anybody else does.

use core::net::SocketAddr;
use std::time::Instant;

use super::client::Proxies;
use super::head_scan::HeadScan;
use super::limits::Limits;
use super::request::{NO_FIELDS, Refusal, Version, malformed, parse, settle_version};
use super::response::Response;
use super::write::{Asked, Outgoing};
use crate::http::Handler;
use crate::socketserver::{Address, Peer};

/// The head of the answer that this handler would give to this client's request, as it would be sent but for what belongs to
/// a connection. The request is a head with the empty line that ends it, and has no body; `peer` may be one of the proxies.
pub fn rehearse(handler: &impl Handler, head: &[u8], peer: SocketAddr, proxies: &Proxies, limits: &Limits) -> Vec<u8> {
    let response = answer(handler, head, peer, proxies, limits);
    let response = response.unwrap_or_else(|refusal| Response::error_page(refusal.status));
    let asked = Asked { head_only: true, version: Version::Http11, keep_alive: true };
    Outgoing::new(response, asked, Vec::new(), Instant::now(), limits).into_buffer()
}

/// As a connection does it.
fn answer(
    handler: &impl Handler,
    head: &[u8],
    peer: SocketAddr,
    proxies: &Proxies,
    limits: &Limits,
) -> Result<Response, Refusal> {
    let mut head = head.to_vec();
    if HeadScan::default().advance(&head, limits)? != Some(head.len()) {
        return malformed("the head ends too early or too late");
    }
    settle_version(&mut head);
    let (peer, mut slots) = (Peer::new(Address::Inet(peer), None), NO_FIELDS);
    let mut request = parse(&head, &mut slots, &peer, limits)?.request;
    request.client = proxies.client(request.client, request.fields);
    Ok(handler.handle(&request))
}
