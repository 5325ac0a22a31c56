//! How a proxy introduces its client: the PROXY protocol, versions 1 and 2, before the first request of a connection
//! (haproxy's proxy-protocol.txt). Pure.
//!
//! Only connections of trusted proxies begin with it, and those always do: where it is missing or malformed, nobody knows
//! who asks.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest line of version 1, with its CRLF.
const LINE_BYTES_MAX: usize = 107;

/// How version 2 begins.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family and protocol, length.
const FIXED_BYTES: usize = 16;

/// The most that version 2 may say behind that: addresses of UNIX sockets, the longest there are, and extensions, of which
/// those about TLS may tell names and identities of clouds.
const REST_BYTES_MAX: usize = 4 << 10;

/// The longest introduction.
pub(super) const BYTES_MAX: usize = FIXED_BYTES + REST_BYTES_MAX;

/// What has come of an introduction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Introduction {
    /// More must come.
    Partial,
    /// It is so many bytes long.
    Complete {
        bytes: usize,
        /// The client; none where the proxy speaks for itself, or of one without an IP address.
        client: Option<SocketAddr>,
    },
}

/// Reads what a connection begins with. Fails with what is wrong.
pub(super) fn read(bytes: &[u8]) -> Result<Introduction, &'static str> {
    let common = bytes.len().min(SIGNATURE.len());
    if bytes[..common] == SIGNATURE[..common] {
        return read_binary(bytes);
    }
    const START: &[u8] = b"PROXY ";
    let common = bytes.len().min(START.len());
    if bytes[..common] == START[..common] {
        return read_line(bytes);
    }
    Err("it doesn't begin with a header of the PROXY protocol")
}

/// Version 1: `PROXY TCP4 192.0.2.1 192.0.2.2 56324 80`.
fn read_line(bytes: &[u8]) -> Result<Introduction, &'static str> {
    let Some(end) = memchr::memchr(b'\n', &bytes[..bytes.len().min(LINE_BYTES_MAX)]) else {
        return if bytes.len() < LINE_BYTES_MAX {
            Ok(Introduction::Partial)
        } else {
            Err("its PROXY line is too long")
        };
    };
    const WRONG: &str = "its PROXY line is malformed";
    let line = bytes[..end].strip_suffix(b"\r").ok_or(WRONG)?;
    let line = str::from_utf8(line).map_err(|_| WRONG)?;
    let mut words = line.split(' ').skip(1);
    let mut word = || words.next().ok_or(WRONG);
    let client = match word()? {
        "UNKNOWN" => None,
        "TCP4" => Some(read_addresses::<Ipv4Addr>([word()?, word()?], [word()?, word()?]).ok_or(WRONG)?),
        "TCP6" => Some(read_addresses::<Ipv6Addr>([word()?, word()?], [word()?, word()?]).ok_or(WRONG)?),
        _ => return Err(WRONG),
    };
    if client.is_some() && words.next().is_some() {
        return Err(WRONG);
    }
    Ok(Introduction::Complete { bytes: end + 1, client })
}

/// The source; the destination must be an address too.
fn read_addresses<A: std::str::FromStr + Into<IpAddr>>(addresses: [&str; 2], ports: [&str; 2]) -> Option<SocketAddr> {
    let [source, destination] = addresses.map(|address| address.parse::<A>().ok());
    let [port, to] = ports.map(|port| port.parse::<u16>().ok().filter(|_| !port.starts_with('+')));
    destination.and(to)?;
    Some(SocketAddr::new(source?.into(), port?))
}

/// Version 2. Extensions (TLVs) behind the addresses are skipped.
fn read_binary(bytes: &[u8]) -> Result<Introduction, &'static str> {
    let Some((fixed, rest)) = bytes.split_at_checked(FIXED_BYTES) else { return Ok(Introduction::Partial) };
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if length > REST_BYTES_MAX {
        return Err("its PROXY header is too long");
    }
    let is_local = match fixed[12] {
        0x20 => true,
        0x21 => false,
        _ => return Err("its PROXY header has an unknown version or command"),
    };
    let Some(rest) = rest.get(..length) else { return Ok(Introduction::Partial) };
    let bytes = FIXED_BYTES + length;
    // Of what isn't known by its family, the proxy's own address is used, as the specification says.
    let client = match fixed[13] {
        _ if is_local => None,
        0x11 => Some(source_v4(rest).ok_or("its PROXY header is too short for its addresses")?),
        0x21 => Some(source_v6(rest).ok_or("its PROXY header is too short for its addresses")?),
        0x00 | 0x12 | 0x22 | 0x31 | 0x32 => None,
        _ => return Err("its PROXY header has an unknown family of addresses"),
    };
    Ok(Introduction::Complete { bytes, client })
}

/// Source, destination, source port, destination port.
fn source_v4(rest: &[u8]) -> Option<SocketAddr> {
    let address: [u8; 4] = rest.get(..4)?.try_into().ok()?;
    let port: [u8; 2] = rest.get(..12)?.get(8..10)?.try_into().ok()?;
    Some(SocketAddr::new(Ipv4Addr::from(address).into(), u16::from_be_bytes(port)))
}

fn source_v6(rest: &[u8]) -> Option<SocketAddr> {
    let address: [u8; 16] = rest.get(..16)?.try_into().ok()?;
    let port: [u8; 2] = rest.get(..36)?.get(32..34)?.try_into().ok()?;
    Some(SocketAddr::new(Ipv6Addr::from(address).into(), u16::from_be_bytes(port)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    /// However much has come, it is partial until it is complete, and what follows is not touched.
    #[track_caller]
    fn check(header: &[u8], client: Option<&str>) {
        for end in 0..header.len() {
            assert_eq!(read(&header[..end]), Ok(Introduction::Partial), "{end} {}", header.escape_ascii());
        }
        let expected = Introduction::Complete { bytes: header.len(), client: client.map(|text| text.parse().unwrap()) };
        assert_eq!(read(header), Ok(expected), "{}", header.escape_ascii());
        assert_eq!(read(&[header, b"GET / HTTP/1.1\r\n"].concat()), Ok(expected), "{}", header.escape_ascii());
    }

    #[test]
    fn both_versions_name_the_client() {
        check(b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 80\r\n", Some("192.0.2.1:56324"));
        check(b"PROXY TCP6 2001:db8::1 2001:db8::2 0 65535\r\n", Some("[2001:db8::1]:0"));
        check(b"PROXY UNKNOWN\r\n", None);
        check(b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None);
        let v4 = [&[192, 0, 2, 1, 192, 0, 2, 2][..], &[0x12, 0x34, 0, 80]].concat();
        check(&binary(0x21, 0x11, &v4), Some("192.0.2.1:4660"));
        check(&binary(0x21, 0x11, &[&v4[..], &[4, 0, 1, 0]].concat()), Some("192.0.2.1:4660"));
        check(&binary(0x21, 0x11, &[&v4[..], &[4; REST_BYTES_MAX - 12]].concat()), Some("192.0.2.1:4660"));
        let v6 = [[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7], [0; 16]].concat();
        check(&binary(0x21, 0x21, &[&v6[..], &[0, 5, 0, 80]].concat()), Some("[2001:db8::7]:5"));
        check(&binary(0x20, 0x00, &[]), None);
        check(&binary(0x20, 0x11, &v4), None);
        check(&binary(0x21, 0x00, &[]), None);
        check(&binary(0x21, 0x31, &[b'x'; 216]), None);
    }

    #[test]
    fn what_is_malformed_is_refused() {
        let too_long = format!("PROXY TCP6 {} ::1 1 2\r\n", "0".repeat(LINE_BYTES_MAX));
        for (header, reason) in [
            (&b"GET / HTTP/1.1\r\n"[..], "begin"),
            (b"proxy TCP4 ", "begin"),
            (b"PROXY\r\n", "begin"),
            (b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", "malformed"),
            (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n", "malformed"),
            (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n", "malformed"),
            (b"PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n", "malformed"),
            (b"PROXY TCP4 192.0.2.1 x 1 2\r\n", "malformed"),
            (b"PROXY TCP4 ::1 ::2 1 2\r\n", "malformed"),
            (b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n", "malformed"),
            (b"PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "malformed"),
            (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n", "malformed"),
            (b"PROXY TCP4 \xff\r\n", "malformed"),
            (too_long.as_bytes(), "too long"),
            (&binary(0x11, 0x11, &[0; 12]), "version"),
            (&binary(0x22, 0x11, &[0; 12]), "version"),
            (&binary(0x21, 0x41, &[0; 12]), "family"),
            (&binary(0x21, 0x11, &[0; 11]), "short"),
            (&binary(0x21, 0x21, &[0; 35]), "short"),
            (&binary(0x21, 0x11, &[0; REST_BYTES_MAX + 1]), "too long"),
        ] {
            let error = read(header).expect_err(&header.escape_ascii().to_string());
            assert!(error.contains(reason), "{}: {error}", header.escape_ascii());
        }
    }

    proptest! {
        /// Any bytes have an answer; a complete introduction isn't longer than what there is, and is the same with more.
        #[test]
        fn any_bytes_are_read(start in 0usize..3, bytes in prop::collection::vec(any::<u8>(), 0..300), more: Vec<u8>) {
            let start = [&b""[..], b"PROXY TCP4 ", SIGNATURE][start];
            let bytes = [start, &bytes].concat();
            match read(&bytes) {
                Ok(complete @ Introduction::Complete { bytes: length, .. }) => {
                    prop_assert!(length <= bytes.len());
                    prop_assert_eq!(read(&[bytes, more].concat()), Ok(complete));
                }
                Ok(Introduction::Partial) => prop_assert!(bytes.len() < BYTES_MAX),
                Err(_) => prop_assert!(read(&[bytes, more].concat()).is_err()),
            }
        }
    }
}
