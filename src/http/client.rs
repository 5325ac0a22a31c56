//! Who asks: the peer of the connection, or whom a trusted proxy names (RFC 7239). Pure.
//!
//! Only what a trusted proxy has added itself is believed: the list is walked from its right end, over trusted proxies, to
//! the first address that is none of them. What stands left of it anybody may have written.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::borrow::Cow;
use std::fmt;

use super::headers::{Fields, trim};
use super::networks::Networks;
use crate::socketserver::{Address, Peer};

/// Who asks, as rules and logs know them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Client<'a> {
    /// Who is at the other end of the connection.
    Peer(&'a Peer),
    /// Whom a trusted proxy names.
    Named {
        /// The address.
        ip: IpAddr,
        /// The port, where the proxy tells it.
        port: Option<u16>,
    },
}

impl Client<'_> {
    /// The IP address, in the form of IPv4 where it is one; none of a client of a UNIX socket.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Peer(peer) => peer.address().as_inet().map(|address| address.ip().to_canonical()),
            Self::Named { ip, .. } => Some(ip.to_canonical()),
        }
    }

    /// The port, where that is known.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Peer(peer) => peer.address().as_inet().map(|address| address.port()),
            Self::Named { port, .. } => *port,
        }
    }
}

impl From<SocketAddr> for Client<'_> {
    fn from(address: SocketAddr) -> Self {
        Self::Named { ip: address.ip().to_canonical(), port: Some(address.port()) }
    }
}

/// With its port, where that is known: an address alone is shown without brackets.
impl fmt::Display for Client<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Peer(peer) => peer.fmt(f),
            Self::Named { ip, port: Some(port) } => SocketAddr::new(ip, port).fmt(f),
            Self::Named { ip, port: None } => ip.fmt(f),
        }
    }
}

/// Proxies in front, and how they name their clients. Default: none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proxies {
    /// Whose word counts.
    pub trusted: Networks,
    /// The field in which they tell it. Default: none.
    pub header: ProxyHeader,
    /// Connections of those that are trusted begin with a header of the PROXY protocol. Default: false.
    pub protocol: bool,
}

/// The field in which a proxy names its client. One alone: a proxy that sets one passes on what a client says in another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyHeader {
    /// None.
    #[default]
    None,
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// `X-Forwarded-For`: a list of addresses.
    XForwardedFor,
}

impl ProxyHeader {
    /// As a configuration has it.
    pub(super) fn name(self) -> &'static str {
        Self::NAMES.into_iter().find(|(_, header)| *header == self).map_or("", |(name, _)| name)
    }

    /// Each by its name in a configuration.
    pub const NAMES: [(&'static str, Self); 3] =
        [("none", Self::None), ("forwarded", Self::Forwarded), ("x-forwarded-for", Self::XForwardedFor)];
}

impl Proxies {
    /// Whether connections of this peer begin with a header of the PROXY protocol.
    pub(super) fn introduce(&self, peer: &Peer) -> bool {
        self.protocol && self.trusts(peer.address())
    }

    /// Who asks, by the word of whoever sent the request.
    pub(super) fn client<'a>(&self, sender: Client<'a>, fields: Fields<'_>) -> Client<'a> {
        if self.header == ProxyHeader::None || !self.trusted.contain(sender.ip()) {
            return sender;
        }
        match self.header {
            ProxyHeader::None => sender,
            ProxyHeader::Forwarded => {
                self.walk(sender, fields.all("forwarded").rev().flat_map(elements_from_the_right).map(forwarded_for))
            }
            ProxyHeader::XForwardedFor => {
                let lines = fields.all("x-forwarded-for").rev();
                let members = lines.flat_map(|line| line.rsplit(|&byte| byte == b',')).map(trim);
                self.walk(sender, members.filter(|member| !member.is_empty()).map(Node::parse))
            }
        }
    }

    /// Whether who sent the request is a trusted proxy, and has named nobody.
    pub(super) fn miss(&self, sender: Client<'_>, client: Client<'_>) -> bool {
        self.header != ProxyHeader::None && client == sender && self.trusted.contain(sender.ip())
    }

    fn trusts(&self, address: &Address) -> bool {
        self.trusted.contain(address.as_inet().map(|address| address.ip()))
    }

    /// The walk over nodes from the right. One that is unknown or malformed is nobody's: neither the proxy that says so,
    /// which rules may trust, nor who stands left of it.
    fn walk<'a>(&self, sender: Client<'a>, nodes: impl Iterator<Item = Option<Node>>) -> Client<'a> {
        let mut client = sender;
        for node in nodes {
            let Node { ip, port } = node.unwrap_or(NOBODY);
            client = Client::Named { ip: ip.to_canonical(), port };
            if !self.trusted.contain(Some(ip)) {
                break;
            }
        }
        client
    }
}

/// A node that is an address (RFC 7239 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Node {
    ip: IpAddr,
    port: Option<u16>,
}

/// An address that no client has.
const NOBODY: Node = Node { ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED), port: None };

impl Node {
    /// `192.0.2.1`, `192.0.2.1:80`, `[2001:db8::1]`, `[2001:db8::1]:80`, and what only X-Forwarded-For has,
    /// `2001:db8::1`. An unknown or obfuscated one is none.
    fn parse(text: &[u8]) -> Option<Self> {
        let text = str::from_utf8(text).ok()?;
        // The interface behind which a link-local address is means nothing here (RFC 4007 section 11).
        let text = if text.starts_with('[') { text } else { text.split_once('%').map_or(text, |(address, _)| address) };
        if let Ok(ip) = text.parse() {
            return Some(Self { ip, port: None });
        }
        let (address, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, rest) = rest.split_once(']')?;
                let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) };
                (IpAddr::V6(address.parse().ok()?), port)
            }
            None => {
                let (address, port) = text.split_once(':')?;
                (IpAddr::V4(address.parse().ok()?), Some(port))
            }
        };
        let is_obfuscated = |port: &str| port.starts_with('_');
        let port = match port.filter(|port| !is_obfuscated(port)) {
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(port.parse().ok()?),
            Some(_) => return None,
            None => None,
        };
        Some(Self { ip: address, port })
    }
}

/// The address of the `for` parameter of an element of Forwarded (RFC 7239 section 4). An element without one, with two, or
/// with something else than parameters names nobody.
fn forwarded_for(element: &[u8]) -> Option<Node> {
    let mut node = None;
    for pair in parameters(element) {
        let pair = trim(pair);
        if pair.is_empty() {
            continue;
        }
        let at = memchr::memchr(b'=', pair)?;
        if pair[..at].eq_ignore_ascii_case(b"for") {
            if node.is_some() {
                return None;
            }
            node = Some(Node::parse(&unquote(&pair[at + 1..])?)?);
        }
    }
    node
}

/// A token as it is, what a quoted string stands for (RFC 9110 section 5.6.4).
fn unquote(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    match value {
        [b'"', inner @ .., b'"'] if memchr::memchr2(b'"', b'\\', inner).is_none() => Some(inner.into()),
        [b'"', inner @ ..] => unescape(inner).map(Cow::Owned),
        token => (!token.contains(&b'"')).then_some(token.into()),
    }
}

/// What is quoted up to the closing quote, which has to be the last byte; a backslash means the byte behind it.
fn unescape(quoted: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = quoted.iter();
    let mut text = Vec::new();
    loop {
        match bytes.next()? {
            b'"' => return bytes.as_slice().is_empty().then_some(text),
            b'\\' => text.push(*bytes.next()?),
            byte => text.push(*byte),
        }
    }
}

/// The elements of a list, the last first. Quotes are paired from the right end too: one that a client has left open
/// must not hide what a proxy writes behind it.
fn elements_from_the_right(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(list);
    std::iter::from_fn(move || {
        let list = rest?;
        let mut is_quoted = false;
        let comma = (0..list.len()).rev().find(|&at| {
            is_quoted ^= list[at] == b'"' && !is_escaped(list, at);
            list[at] == b',' && !is_quoted
        });
        rest = comma.map(|comma| &list[..comma]);
        Some(trim(comma.map_or(list, |comma| &list[comma + 1..])))
    })
    .filter(|element| !element.is_empty())
}

/// Whether an odd number of backslashes stands before this place.
fn is_escaped(text: &[u8], at: usize) -> bool {
    text[..at].iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 1
}

/// The pieces between semicolons that stand outside of quoted strings (RFC 9110 section 5.6.4).
fn parameters(element: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    element.split(move |&byte| {
        let is_end = byte == b';' && !is_quoted;
        is_quoted ^= byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && is_quoted && !is_escaped;
        is_end
    })
}

#[cfg(test)]
mod tests {
    use httparse::Header;
    use proptest::prelude::*;

    use super::*;

    fn peer(address: &str) -> Peer {
        Peer::new(Address::Inet(address.parse().unwrap()), None)
    }

    fn proxies(header: ProxyHeader) -> Proxies {
        Proxies { trusted: Networks::parse("127.0.0.1 10.0.0.0/8 2001:db8::/32").unwrap(), header, protocol: false }
    }

    /// The client of a request from this peer with these lines of the field.
    fn client(header: ProxyHeader, from: &str, lines: &[&str]) -> String {
        let name = if header == ProxyHeader::Forwarded { "Forwarded" } else { "X-Forwarded-For" };
        let lines: Vec<_> = lines.iter().map(|value| Header { name, value: value.as_bytes() }).collect();
        proxies(header).client(Client::Peer(&peer(from)), Fields::of(&lines)).to_string()
    }

    #[test]
    fn x_forwarded_for_is_walked_from_the_right() {
        for (lines, expected) in [
            (&["192.0.2.1"][..], "192.0.2.1"),
            (&["192.0.2.1, 10.0.0.1"], "192.0.2.1"),
            (&["203.0.113.9, 192.0.2.1, 10.0.0.1"], "192.0.2.1"),
            (&["203.0.113.9", "192.0.2.1"], "192.0.2.1"),
            (&["192.0.2.1", "10.0.0.1"], "192.0.2.1"),
            (&["10.0.0.2, 10.0.0.1"], "10.0.0.2"),
            (&["192.0.2.1, unknown, 10.0.0.1"], "0.0.0.0"),
            (&["192.0.2.1, x"], "0.0.0.0"),
            (&["fe80::1%eth0"], "fe80::1"),
            (&["192.0.2.1, x, 203.0.113.9"], "203.0.113.9"),
            (&["192.0.2.1:4711"], "192.0.2.1:4711"),
            (&["2001:db9::1"], "2001:db9::1"),
            (&["[2001:db9::1]:80"], "[2001:db9::1]:80"),
            (&["::ffff:192.0.2.1, ::ffff:10.0.0.1"], "192.0.2.1"),
            (&[" , 192.0.2.1 ,,"], "192.0.2.1"),
            (&[""], "127.0.0.1:5"),
            (&[], "127.0.0.1:5"),
            (&["192.0.2.256"], "0.0.0.0"),
            (&["192.0.2.1:x"], "0.0.0.0"),
            (&["192.0.2.1:65536"], "0.0.0.0"),
        ] {
            assert_eq!(client(ProxyHeader::XForwardedFor, "127.0.0.1:5", lines), expected, "{lines:?}");
            // Of others nothing is believed.
            assert_eq!(client(ProxyHeader::XForwardedFor, "192.0.2.7:5", lines), "192.0.2.7:5", "{lines:?}");
        }
    }

    /// RFC 7239 sections 4 and 6
    #[test]
    fn forwarded_has_parameters_and_quoted_strings() {
        for (lines, expected) in [
            (&["for=192.0.2.60;proto=http;by=203.0.113.43"][..], "192.0.2.60"),
            (&["For=\"[2001:db9:cafe::17]:4711\""], "[2001:db9:cafe::17]:4711"),
            (&["for=\"[2001:db9::1]\""], "2001:db9::1"),
            (&["for=192.0.2.43, for=198.51.100.17"], "198.51.100.17"),
            (&["for=192.0.2.43", "for=10.0.0.1"], "192.0.2.43"),
            (&["for=192.0.2.43;ext=\"a, for=203.0.113.1\""], "192.0.2.43"),
            (&["ext=\"\\\", for=203.0.113.1\";for=192.0.2.43"], "192.0.2.43"),
            (&["for=192.0.2.43, for=_hidden, for=10.0.0.1"], "0.0.0.0"),
            (&["for=192.0.2.43, for=unknown"], "0.0.0.0"),
            (&["for=\"192.0.2.43:_port\""], "192.0.2.43"),
            (&["for=192.0.2.43;for=192.0.2.44"], "0.0.0.0"),
            (&["proto=http"], "0.0.0.0"),
            (&["192.0.2.43"], "0.0.0.0"),
            (&["for=\"192.0.2.43"], "0.0.0.0"),
            (&["for=\"192.0.2.43, for=10.0.0.1"], "0.0.0.0"),
            (&["for=\", for=192.0.2.43"], "192.0.2.43"),
            (&["for=\"192.0\\.2.43\""], "192.0.2.43"),
            (&["for=\"\\[2001:db8::1\\]:8\""], "[2001:db8::1]:8"),
            (&["for=\"192.0.2.4\\3\"", "for=\"10.0.0.\\1\""], "192.0.2.43"),
            (&["for=\"192.0.2.43\\\""], "0.0.0.0"),
            (&["for=\"192.0.2.43\"4"], "0.0.0.0"),
            (&["for=\"192.0.2.4\\\"3\""], "0.0.0.0"),
            (&["for="], "0.0.0.0"),
        ] {
            assert_eq!(client(ProxyHeader::Forwarded, "127.0.0.1:5", lines), expected, "{lines:?}");
            assert_eq!(client(ProxyHeader::Forwarded, "192.0.2.7:5", lines), "192.0.2.7:5", "{lines:?}");
        }
    }

    /// A client in a trusted network is named as any other.
    #[test]
    fn a_proxy_that_names_nobody_is_known_by_that() {
        let (proxies, proxy, other) = (proxies(ProxyHeader::XForwardedFor), peer("127.0.0.1:5"), peer("192.0.2.7:5"));
        for (from, lines, expected) in [
            (&proxy, &[][..], true),
            (&proxy, &["", " , "], true),
            (&proxy, &["192.0.2.1"], false),
            (&proxy, &["10.0.0.2"], false),
            (&proxy, &["10.0.0.2, 127.0.0.1"], false),
            (&proxy, &["127.0.0.1"], false),
            (&proxy, &["x"], false),
            (&other, &[], false),
            (&other, &["10.0.0.2"], false),
        ] {
            let values: Vec<_> =
                lines.iter().map(|value| Header { name: "X-Forwarded-For", value: value.as_bytes() }).collect();
            let sender = Client::Peer(from);
            let client = proxies.client(sender, Fields::of(&values));
            assert_eq!(proxies.miss(sender, client), expected, "{from} {lines:?}");
        }
        let silent = Proxies { header: ProxyHeader::None, ..proxies };
        assert!(!silent.miss(Client::Peer(&proxy), Client::Peer(&proxy)));
    }

    #[test]
    fn only_one_field_counts() {
        assert_eq!(client(ProxyHeader::None, "127.0.0.1:5", &["192.0.2.1"]), "127.0.0.1:5");
        let lines = [Header { name: "Forwarded", value: b"for=203.0.113.1" }];
        let (proxies, peer) = (proxies(ProxyHeader::XForwardedFor), peer("127.0.0.1:5"));
        assert_eq!(proxies.client(Client::Peer(&peer), Fields::of(&lines)), Client::Peer(&peer));
    }

    proptest! {
        /// Whatever a client writes, what a trusted proxy adds behind it decides.
        #[test]
        fn nothing_left_of_an_untrusted_address_counts(left in "[ -~]{0,40}", right in "10\\.0\\.0\\.[1-9]") {
            let line = format!("{left}, 192.0.2.1, {right}");
            prop_assert_eq!(client(ProxyHeader::XForwardedFor, "127.0.0.1:5", &[&line]), "192.0.2.1");
            let line = format!("for={left}, for=192.0.2.1;by=\"a,b\", for={right}");
            prop_assert_eq!(client(ProxyHeader::Forwarded, "127.0.0.1:5", &[&line]), "192.0.2.1");
        }

        /// The walk as it is described: from the right, over trusted ones, to the first that is not; nobody where that has no
        /// address.
        #[test]
        fn the_walk_is_the_one_described(nodes in prop::collection::vec(0u8..3, 0..8)) {
            let text = |at: usize, kind: u8| match kind { 0 => format!("10.0.0.{at}"), 1 => format!("192.0.2.{at}"), _ => "x".to_owned() };
            let texts: Vec<_> = nodes.iter().enumerate().map(|(at, &kind)| text(at, kind)).collect();
            let mut expected = "127.0.0.1:5".to_owned();
            for (at, &kind) in nodes.iter().enumerate().rev() {
                expected = if kind < 2 { text(at, kind) } else { "0.0.0.0".to_owned() };
                if kind > 0 {
                    break;
                }
            }
            prop_assert_eq!(client(ProxyHeader::XForwardedFor, "127.0.0.1:5", &[&texts.join(",")]), expected);
        }
    }
}
