//! Whom a proxy names: as an introduction of the PROXY protocol, and as lines of Forwarded and X-Forwarded-For.

use std::net::IpAddr;

use salver::http::stages::{introduce, named_client};
use salver::http::{Networks, Proxies, ProxyHeader};

/// Proxies, beside the one that sends.
const TRUSTED: &str = "127.0.0.1 10.0.0.0/8 2001:db8::/32";

pub fn check(input: &[u8]) {
    check_introduction(input);
    let lines: Vec<&[u8]> = input.split(|&byte| byte == b'\n').collect();
    let is_value = |line: &&[u8]| !line.iter().any(|&byte| byte != b'\t' && (byte < b' ' || byte == 0x7f));
    if lines.iter().all(is_value) {
        check_field(ProxyHeader::Forwarded, "Forwarded", &lines, ["for=192.0.2.1;proto=http", "for=10.0.0.1"]);
        check_field(ProxyHeader::XForwardedFor, "X-Forwarded-For", &lines, ["192.0.2.1", "10.0.0.1"]);
    }
}

/// Byte after byte, it is partial, and then complete as long as it is or wrong; and so it stays.
fn check_introduction(input: &[u8]) {
    let mut settled = None;
    for end in 0..=input.len() {
        let now = introduce(&input[..end]);
        match &settled {
            Some(settled) => assert_eq!(&now, settled, "with {end} bytes"),
            None if now == Ok(None) => {}
            None => {
                if let Ok(Some((bytes, _))) = now {
                    assert_eq!(bytes, end, "it is complete with its last byte");
                }
                settled = Some(now);
            }
        }
    }
    if let Some(Ok(Some((bytes, Some(client))))) = settled
        && let Some(line) = input[..bytes].strip_prefix(b"PROXY ")
    {
        let mut words = std::str::from_utf8(line).unwrap().split_ascii_whitespace().skip(1);
        assert_eq!(words.next().map(str::parse), Some(Ok(client.ip())));
        assert_eq!(words.nth(1).map(str::parse), Some(Ok(client.port())));
    }
}

/// What a trusted proxy adds on the right decides, and nothing that stands left of the client does.
fn check_field(header: ProxyHeader, name: &str, lines: &[&[u8]], [of_client, of_proxy]: [&str; 2]) {
    let trusted = Networks::parse(TRUSTED).unwrap();
    let mut proxies = Proxies::default();
    proxies.trusted = trusted.clone();
    proxies.header = header;
    let named = named_client(&proxies, name, lines);
    let (ip, _) = named;
    let known: IpAddr = [192, 0, 2, 1].into();
    let behind = [lines, &[of_client.as_bytes(), of_proxy.as_bytes()]].concat();
    assert_eq!(named_client(&proxies, name, &behind), (Some(known), None), "on lines of its own");
    let members = [lines.last().unwrap_or(&&b""[..]), of_client.as_bytes(), of_proxy.as_bytes()].join(&b", "[..]);
    assert_eq!(named_client(&proxies, name, &[&members]), (Some(known), None), "behind what was there");
    if !trusted.contain(ip) {
        let left = [&[of_client.as_bytes()], lines].concat();
        assert_eq!(named_client(&proxies, name, &left), named, "whatever stands left of it");
    }
}
