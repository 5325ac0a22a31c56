//! The authority of a request: the host that is asked, and its port (RFC 3986 section 3.2). Pure.

use core::net::Ipv6Addr;

use memchr::memchr;

use super::body::decimal;
use super::characters::is_name_byte;

/// Reads `uri-host [":" port]` (RFC 3986 section 3.2): a name, an IPv4 address, or an IP literal in brackets, never empty
/// (RFC 9110 section 4.2.1), and no user information. None when it is malformed; else the port, if there is one.
pub(super) fn split_authority(value: &[u8]) -> Option<Option<u16>> {
    let host_end = match value {
        [b'[', ..] => memchr(b']', value)? + 1,
        _ => memchr(b':', value).unwrap_or(value.len()),
    };
    let (host, port) = value.split_at(host_end);
    let host_is_good = match host {
        [] => false,
        [b'[', literal @ .., b']'] => is_ip_literal(literal),
        name => is_name(name),
    };
    match port {
        _ if !host_is_good => None,
        [] | [b':'] => Some(None),
        [b':', digits @ ..] => decimal(digits).and_then(|port| u16::try_from(port).ok()).map(Some),
        _ => None,
    }
}

fn is_ip_literal(literal: &[u8]) -> bool {
    let Ok(literal) = std::str::from_utf8(literal) else { return false };
    if literal.parse::<Ipv6Addr>().is_ok() {
        return true;
    }
    // IPvFuture, of which there is none yet.
    let Some((version, address)) = literal.strip_prefix(['v', 'V']).and_then(|rest| rest.split_once('.')) else {
        return false;
    };
    let is_hexadecimal = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hexadecimal && !address.is_empty() && address.bytes().all(|byte| byte == b':' || is_name_byte(byte))
}

fn is_name(name: &[u8]) -> bool {
    let is_encoded = |at: usize| {
        let digits = name.get(at + 1..at + 3);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    name.iter().enumerate().all(|(at, &byte)| is_name_byte(byte) || byte == b'%' && is_encoded(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9112 section 3.2, RFC 9110 sections 4.2.1 and 7.2, RFC 3986 section 3.2
    #[test]
    fn hosts_are_well_formed() {
        for (good, port) in [
            ("a", None),
            ("a.b-c.d123", None),
            ("foo_bar", None),
            ("127.0.0.1:80", Some(80)),
            ("a:", None),
            ("a:0080", Some(80)),
            ("a:65535", Some(65535)),
            ("[::1]", None),
            ("[::1]:8000", Some(8000)),
            ("[::ffff:127.0.0.1]", None),
            ("[v1.a:b]", None),
            ("%41", None),
            ("a,b", None),
        ] {
            assert_eq!(split_authority(good.as_bytes()), Some(port), "{good}");
        }
        let bad = "|a b|u@a|a/b|../a|a#b|a?b|a\\b|a\"b|<a>|\u{e9}|a:-1|a:+1|a:x|a:65536|a:123456|a:1:2|:80|%|%4|%zz|a%2\
                   |[::1|[]|[::1]x|[::1]]|[a]|[1.2.3.4]|[::1%25eth0]|[:::]|[v1.]|[v.a]|[vg.a]|[]:80|::1|[::1]:80:80";
        for bad in bad.split('|') {
            assert_eq!(split_authority(bad.as_bytes()), None, "{bad}");
        }
    }
}
