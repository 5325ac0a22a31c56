//! From the bytes of a head to a [`Request`] (RFC 9112 sections 2, 3 and 5).
//!
//! Where the head ends is known by then (`head_scan.rs`). [`parse`] reads it once: request line and field lines by
//! httparse, then what that leaves open: version, form of the target, Host, framing, options of the connection.

use std::mem::MaybeUninit;
use std::time::Instant;

use ::http::{Method, StatusCode};
use httparse::Header;
use memchr::{memchr, memchr2};

use super::authority::split_authority;
use super::body::Framing;
use super::client::Client;
use super::headers::Fields;
use super::limits::{FIELDS_CEILING, Limits};
use crate::socketserver::Peer;

/// A request that is not served, because of its form; the connection closes after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// For the log.
    pub(super) reason: &'static str,
}

pub(super) fn refuse<T>(status: StatusCode, reason: &'static str) -> Result<T, Refusal> {
    Err(Refusal { status, reason })
}

pub(super) fn malformed<T>(reason: &'static str) -> Result<T, Refusal> {
    refuse(StatusCode::BAD_REQUEST, reason)
}

/// HTTP/1.0, or HTTP/1.1, which every later minor version is served as (RFC 9110 section 2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// What a request asks for, in one of the four forms of RFC 9112 section 3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// origin-form or absolute-form: an absolute path, as it was sent, and a query without its `?`.
    Path {
        /// Begins with `/`.
        path: &'a [u8],
        /// What follows the first `?`, if there is one.
        query: Option<&'a [u8]>,
    },
    /// asterisk-form: `*`, of OPTIONS only.
    Asterisk,
    /// authority-form, of CONNECT only.
    Authority(&'a [u8]),
}

/// A request: its head, and its body if the handler wanted it. It borrows from the connection's buffer.
#[derive(Debug)]
pub struct Request<'a> {
    /// The method, known or not.
    pub method: Method,
    /// The request target.
    pub target: Target<'a>,
    /// The version as it is served.
    pub version: Version,
    /// The host (and port) that is asked: of an absolute-form target, else of Host; none in HTTP/1.0 without Host.
    pub authority: Option<&'a [u8]>,
    /// The field lines.
    pub fields: Fields<'a>,
    /// The content, collected as [`Handler::body_bytes_max`](super::Handler::body_bytes_max) asked for it, else empty.
    pub body: &'a [u8],
    /// Who is at the other end of the connection.
    pub peer: &'a Peer,
    /// Who asks: the peer, unless a trusted proxy says otherwise. For rules and logs.
    pub client: Client<'a>,
    /// An instant by which its first byte had come, where one is known that lies before other requests that came with it:
    /// what was looked up after that for one of them is news enough for this one.
    pub begun: Option<Instant>,
}

/// A parsed head and what it means for the connection.
#[derive(Debug)]
pub(super) struct Head<'a> {
    pub(super) request: Request<'a>,
    pub(super) framing: Framing,
    /// The peer wants the connection to stay.
    pub(super) keep_alive: bool,
    /// The peer waits for `100 Continue` before it sends the body.
    pub(super) expects_continue: bool,
}

/// Room for the field lines of a head.
pub(super) type FieldSlots<'a> = [MaybeUninit<Header<'a>>; FIELDS_CEILING];

pub(super) const NO_FIELDS: FieldSlots<'static> = [const { MaybeUninit::uninit() }; FIELDS_CEILING];

/// Replaces a minor version above 1 by 1, as which it is served and which is the highest that httparse knows.
pub(super) fn settle_version(head: &mut [u8]) {
    let minor = memchr(b'\r', head).and_then(|line_end| head[..line_end].last_mut());
    if let Some(minor @ b'2'..=b'9') = minor {
        *minor = b'1';
    }
}

/// Reads a complete head, whose version is settled.
pub(super) fn parse<'a>(
    bytes: &'a [u8],
    slots: &'a mut FieldSlots<'a>,
    peer: &'a Peer,
    limits: &Limits,
) -> Result<Head<'a>, Refusal> {
    let mut parsed = httparse::Request::new(&mut []);
    let slots = &mut slots[..limits.fields_max.min(FIELDS_CEILING)];
    match parsed.parse_with_uninit_headers(bytes, slots) {
        Ok(httparse::Status::Complete(length)) if length == bytes.len() => {}
        Ok(_) => return malformed("the head ends too early or too late"),
        Err(httparse::Error::TooManyHeaders) => {
            return refuse(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "too many field lines");
        }
        Err(_) => return malformed("the head is malformed"),
    }
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version) else {
        return malformed("the request line is incomplete");
    };
    let Ok(method) = Method::from_bytes(method.as_bytes()) else { return malformed("the method is malformed") };
    let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
    let fields = Fields::of(parsed.headers);
    let (target, authority) = parse_target(target.as_bytes(), &method)?;
    let host = parse_host(fields, version)?;
    let framing = Framing::of(fields, version)?;
    let expects_continue = parse_expect(fields, version)? && framing != Framing::None;
    let keep_alive = wants_to_stay(fields, version);
    let (authority, client) = (authority.or(host), Client::Peer(peer));
    let request = Request { method, target, version, authority, fields, body: &[], peer, client, begun: None };
    Ok(Head { request, framing, keep_alive, expects_continue })
}

/// The field lines of a head that is refused, which may tell who sent it: none where it isn't complete or well-formed.
pub(super) fn fields_of<'a>(bytes: &'a [u8], slots: &'a mut FieldSlots<'a>) -> Fields<'a> {
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(bytes, slots) {
        Ok(httparse::Status::Complete(_)) => Fields::of(parsed.headers),
        _ => Fields::of(&[]),
    }
}

/// The form of the target, and the authority of an absolute-form one.
fn parse_target<'a>(target: &'a [u8], method: &Method) -> Result<(Target<'a>, Option<&'a [u8]>), Refusal> {
    if *method == Method::CONNECT {
        return match split_authority(target) {
            Some(Some(1..)) => Ok((Target::Authority(target), None)),
            _ => malformed("CONNECT wants a host and a port"),
        };
    }
    match target {
        b"*" if *method == Method::OPTIONS => Ok((Target::Asterisk, None)),
        [b'/', ..] => Ok((split_query(target)?, None)),
        _ => {
            // Over a connection that isn't secured nothing secured is served (RFC 9110 section 7.4).
            if after_scheme(target, b"https://").is_some() {
                return refuse(StatusCode::MISDIRECTED_REQUEST, "an https target on a connection that isn't secured");
            }
            let Some(rest) = after_scheme(target, b"http://") else {
                return malformed("the request target has no known form");
            };
            let end = rest.iter().position(|byte| b"/?".contains(byte)).unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            if split_authority(authority).is_none() {
                return malformed("the request target's authority is malformed");
            }
            Ok((absolute_path(path, method)?, Some(authority)))
        }
    }
}

/// An absolute-form target without a path asks for `/`, or with OPTIONS for the server itself (RFC 9112 section 3.2.4).
fn absolute_path<'a>(path: &'a [u8], method: &Method) -> Result<Target<'a>, Refusal> {
    match split_query(path)? {
        Target::Path { path: b"", query: None } if *method == Method::OPTIONS => Ok(Target::Asterisk),
        Target::Path { path: b"", query } => Ok(Target::Path { path: b"/", query }),
        target => Ok(target),
    }
}

fn after_scheme<'a>(target: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = target.split_at_checked(scheme.len())?;
    start.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// httparse has refused controls and spaces; a fragment, which no target has, is left.
fn split_query(target: &[u8]) -> Result<Target<'_>, Refusal> {
    let Some(at) = memchr2(b'?', b'#', target) else { return Ok(Target::Path { path: target, query: None }) };
    let (path, query) = (&target[..at], &target[at + 1..]);
    if target[at] == b'#' || memchr(b'#', query).is_some() {
        return malformed("the request target has a fragment");
    }
    Ok(Target::Path { path, query: Some(query) })
}

/// Host: exactly one in HTTP/1.1, at most one in HTTP/1.0, and well-formed (RFC 9112 section 3.2).
fn parse_host<'a>(fields: Fields<'a>, version: Version) -> Result<Option<&'a [u8]>, Refusal> {
    let mut hosts = fields.all("host");
    match (hosts.next(), hosts.next()) {
        (_, Some(_)) => malformed("more than one Host"),
        (Some(host), None) if split_authority(host).is_none() => malformed("Host is malformed"),
        (Some(host), None) => Ok(Some(host)),
        (None, None) if version == Version::Http10 => Ok(None),
        (None, None) => malformed("no Host"),
    }
}

/// `Expect: 100-continue`, the only expectation there is (RFC 9110 section 10.1.1); HTTP/1.0 has none.
fn parse_expect(fields: Fields<'_>, version: Version) -> Result<bool, Refusal> {
    if version == Version::Http10 {
        return Ok(false);
    }
    let mut expects = false;
    for expectation in fields.list("expect") {
        if !expectation.eq_ignore_ascii_case(b"100-continue") {
            return refuse(StatusCode::EXPECTATION_FAILED, "an expectation other than 100-continue");
        }
        expects = true;
    }
    Ok(expects)
}

/// RFC 9112 section 9.3.
fn wants_to_stay(fields: Fields<'_>, version: Version) -> bool {
    if fields.list_has("connection", "close") {
        return false;
    }
    version == Version::Http11 || fields.list_has("connection", "keep-alive")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head_scan::HeadScan;
    use crate::http::headers::trim;
    use crate::socketserver::Address;
    use proptest::prelude::*;

    fn peer() -> Peer {
        Peer::new(Address::Inet(([127, 0, 0, 1], 1).into()), None)
    }

    /// The head of these bytes, as a connection would read it: scanned, then parsed.
    fn read<T>(bytes: &[u8], then: impl FnOnce(Head<'_>) -> T) -> Result<Option<T>, Refusal> {
        let Some(length) = HeadScan::default().advance(bytes, &Limits::default())? else { return Ok(None) };
        let mut head = bytes[..length].to_vec();
        settle_version(&mut head);
        let (peer, mut slots) = (peer(), NO_FIELDS);
        parse(&head, &mut slots, &peer, &Limits::default()).map(|head| Some(then(head)))
    }

    #[track_caller]
    fn check(bytes: &str, status: u16) {
        let refused = read(bytes.as_bytes(), |_| ()).expect_err(bytes);
        assert_eq!(refused.status.as_u16(), status, "{bytes:?}: {}", refused.reason);
    }

    /// RFC 9112 sections 2.2, 3 and 3.2
    #[test]
    fn malformed_request_lines_are_refused() {
        for line in [
            "GET",
            "GET ",
            "GET /",
            "GET  / HTTP/1.1",
            "GET /  HTTP/1.1",
            "GET / HTTP/1.1 ",
            " GET / HTTP/1.1",
            "G ET / HTTP/1.1",
            "GET /a b HTTP/1.1",
            "GET\t/\tHTTP/1.1",
            "GET / http/1.1",
            "GET / HTTP/1.",
            "GET / HTTP/1.1.1",
            "GET / HTTP/01.1",
            "GET / HTTP/+1.1",
            "GET /\x01 HTTP/1.1",
            "GET /\x7f HTTP/1.1",
            "GET /#f HTTP/1.1",
            "GET /?q#f HTTP/1.1",
            "GET http://a#f HTTP/1.1",
            "GET http://a?q#f HTTP/1.1",
            "GET http://a/p#f HTTP/1.1",
            "GET http://a:#f HTTP/1.1",
            "OPTIONS *#f HTTP/1.1",
            "CONNECT a:1#f HTTP/1.1",
            "GET a HTTP/1.1",
            "GET * HTTP/1.1",
            "GET ftp://a/ HTTP/1.1",
            "GET http:/// HTTP/1.1",
            "GET http://u@a/ HTTP/1.1",
            "CONNECT / HTTP/1.1",
            "CONNECT a HTTP/1.1",
            "CONNECT :1 HTTP/1.1",
            // An empty or invalid port (RFC 9110 section 9.3.6).
            "CONNECT a: HTTP/1.1",
            "CONNECT a:0 HTTP/1.1",
            "CONNECT a:65536 HTTP/1.1",
            "CONNECT [::1] HTTP/1.1",
            "CONNECT http://a:1/ HTTP/1.1",
            // RFC 9112 appendix C.1: HTTP/0.9 has no version, and no server has to speak it.
            "GET / HTTP/0.9",
            "G@T / HTTP/1.1",
        ] {
            check(&format!("{line}\r\nHost: a\r\n\r\n"), 400);
        }
    }

    /// RFC 9112 section 3.2: nothing but what a URI may have, without a fragment; a few more that do no harm are let pass.
    #[test]
    fn targets_have_no_controls_no_spaces_and_no_fragment() {
        for byte in 0..0x80_u8 {
            let line = [b"GET /a", &[byte][..], b"b HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
            let is_refused = read(&line, |_| ()).is_err();
            assert_eq!(is_refused, byte <= b' ' || byte == 0x7f || byte == b'#', "{byte:#x}");
        }
    }

    /// RFC 9110 section 15.6.6
    #[test]
    fn other_versions_are_not_supported() {
        for version in ["HTTP/2.0", "HTTP/3.0", "HTTP/9.9"] {
            check(&format!("GET / {version}\r\n"), 505);
        }
    }

    /// RFC 9112 sections 5, 6.1 and 6.3; RFC 9110 sections 8.6 and 10.1.1
    #[test]
    fn malformed_field_lines_are_refused() {
        for lines in [
            "X: a\n",
            "X : a\r\n",
            "X: a\r\n b\r\n",
            " X: a\r\n",
            ": a\r\n",
            "X\r\n",
            "X@: a\r\n",
            "X: a\rb\r\n",
            "X: \0\r\n",
            "X: \x7f\r\n",
            "Host: b\r\n",
            "Content-Length: 1\r\nContent-Length: 1\r\n",
            "Content-Length: 1, 1\r\n",
            "Content-Length: +1\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Content-Length:\r\n",
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: gzip\r\n",
            "Transfer-Encoding: chunked, chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
            "Transfer-Encoding:\r\n",
        ] {
            check(&format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n"), 400);
        }
        check("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400);
        check("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501);
        check("GET / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n", 417);
    }

    /// RFC 9112 section 3.2
    #[test]
    fn a_request_of_http_1_1_has_a_host() {
        check("GET / HTTP/1.1\r\n\r\n", 400);
        check("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400);
        let host = |bytes: &str| read(bytes.as_bytes(), |head| head.request.authority.map(<[u8]>::to_vec));
        assert_eq!(host("GET / HTTP/1.1\r\nHost: a:1\r\n\r\n"), Ok(Some(Some(b"a:1".to_vec()))));
        assert_eq!(host("GET / HTTP/1.0\r\n\r\n"), Ok(Some(None)));
    }

    /// RFC 9112 section 3.2
    #[test]
    fn each_form_of_a_target_is_known() {
        for (line, expected) in [
            ("GET /a?b?c", Target::Path { path: b"/a", query: Some(b"b?c") }),
            ("GET /a?", Target::Path { path: b"/a", query: Some(b"") }),
            ("GET http://b/a?q", Target::Path { path: b"/a", query: Some(b"q") }),
            ("GET HTTP://b?q", Target::Path { path: b"/", query: Some(b"q") }),
            ("GET http://b", Target::Path { path: b"/", query: None }),
            ("OPTIONS http://b", Target::Asterisk),
            ("OPTIONS *", Target::Asterisk),
            ("CONNECT b:1", Target::Authority(b"b:1")),
            ("CONNECT [::1]:1", Target::Authority(b"[::1]:1")),
        ] {
            let bytes = format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n");
            let read = read(bytes.as_bytes(), |head| {
                assert_eq!(head.request.target, expected);
                head.request.authority.map(<[u8]>::to_vec)
            });
            let authority = if line.contains("//b") { "b" } else { "a" };
            assert_eq!(read, Ok(Some(Some(authority.as_bytes().to_vec()))), "{line}");
        }
    }

    /// RFC 9112 section 9.3
    #[test]
    fn connections_stay_as_version_and_options_say() {
        for (lines, stays) in [
            ("1\r\nHost: a\r\n", true),
            ("1\r\nHost: a\r\nConnection: close\r\n", false),
            ("1\r\nHost: a\r\nConnection: upgrade, Close\r\n", false),
            ("2\r\nHost: a\r\n", true),
            ("0\r\n", false),
            ("0\r\nConnection: Keep-Alive\r\n", true),
            ("0\r\nConnection: keep-alive, close\r\n", false),
        ] {
            let bytes = format!("GET / HTTP/1.{lines}\r\n");
            assert_eq!(read(bytes.as_bytes(), |head| head.keep_alive), Ok(Some(stays)), "{lines:?}");
        }
    }

    /// RFC 9112 sections 3 and 5.4, RFC 6585 section 5
    #[test]
    fn limits_are_exact() {
        let limits = Limits::default();
        let line = |bytes: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(bytes - 14));
        assert!(read(line(limits.request_line_bytes_max).as_bytes(), |_| ()).unwrap().is_some());
        check(&line(limits.request_line_bytes_max + 1), 414);
        check(&format!("GET /{}", "a".repeat(limits.request_line_bytes_max)), 414);
        let method = "A".repeat(limits.request_line_bytes_max + 3);
        check(&method, 501);
        check(&format!("{method} / HTTP/1.1\r\n"), 501);
        check(&format!("A({method}"), 400);
        let fields = |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "a: b\r\n".repeat(count - 1));
        assert!(read(fields(limits.fields_max).as_bytes(), |_| ()).unwrap().is_some());
        check(&fields(limits.fields_max + 1), 431);
        let section = |bytes: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nb: {}\r\n\r\n", "c".repeat(bytes - 14));
        assert!(read(section(limits.field_section_bytes_max).as_bytes(), |_| ()).unwrap().is_some());
        check(&section(limits.field_section_bytes_max + 1), 431);
    }

    proptest! {
        /// What is sent is what is read.
        #[test]
        fn a_request_is_read_as_it_was_written(
            method in "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}",
            path in "(/([!-\"$->@-~]|\u{e9}){0,8}){1,4}",
            query in prop::option::of("[!-\"$-~]{0,20}"),
            fields in prop::collection::vec(("[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}x", "([!-~]([ \t!-~\u{e9}]{0,20}[!-~])?)?"), 0..10),
        ) {
            prop_assume!(method != "CONNECT");
            let target = query.iter().fold(path.clone(), |path, query| path + "?" + query);
            let lines: String = fields.iter().map(|(name, value)| format!("{name}: \t{value} \r\n")).collect();
            let head = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
            let read = read(head.as_bytes(), |head| {
                let found: Vec<_> = head.request.fields.iter().map(|(name, value)| (name.to_owned(), trim(value).to_vec())).collect();
                let Target::Path { path, query } = head.request.target else { panic!("{target}") };
                (head.request.method.to_string(), path.to_vec(), query.map(<[u8]>::to_vec), found)
            });
            let host = ("Host".to_owned(), b"a".to_vec());
            let fields = fields.into_iter().map(|(name, value)| (name, value.into_bytes()));
            let fields: Vec<_> = std::iter::once(host).chain(fields).collect();
            prop_assert_eq!(read, Ok(Some((method, path.into_bytes(), query.map(String::into_bytes), fields))));
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = read(&bytes, |_| ());
            let _ = read(&[b"GET / HTTP/1.1\r\n", &bytes[..], b"\r\n\r\n"].concat(), |_| ());
        }
    }
}
