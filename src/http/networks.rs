//! Networks of clients, as they are configured (RFC 4632, RFC 4291 section 2.3). Pure.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::fmt;

/// What is expected where a network isn't one.
const EXPECTED: &str = "expected an IP address, a network such as 10.0.0.0/8 or 2001:db8::/32, or unix";

/// The word for everybody who connects to a UNIX socket.
const UNIX: &str = "unix";

/// Networks, and perhaps the clients of UNIX sockets. An address of IPv4 is the same in its IPv6 form
/// (`::ffff:192.0.2.1`), as a socket for both tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

impl Networks {
    /// Reads a list of networks, separated by commas or spaces.
    ///
    /// # Errors
    /// What was expected in place of a network that is none.
    pub fn parse(list: &str) -> Result<Self, String> {
        let members = list.split(|character: char| character == ',' || character.is_whitespace());
        members.filter(|member| !member.is_empty()).map(Network::parse).collect::<Result<_, _>>().map(Self)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an address is in one of them; none is the address of a client of a UNIX socket.
    #[must_use]
    pub fn contain(&self, address: Option<IpAddr>) -> bool {
        let address = address.map(|address| address.to_canonical());
        self.0.iter().any(|network| network.contains(address))
    }

    /// Each, as it is written.
    pub fn iter(&self) -> impl Iterator<Item = String> + use<'_> {
        self.0.iter().map(Network::to_string)
    }
}

impl Extend<Networks> for Networks {
    fn extend<I: IntoIterator<Item = Self>>(&mut self, lists: I) {
        self.0.extend(lists.into_iter().flat_map(|list| list.0));
    }
}

impl FromIterator<Networks> for Networks {
    fn from_iter<I: IntoIterator<Item = Self>>(lists: I) -> Self {
        Self(lists.into_iter().flat_map(|list| list.0).collect())
    }
}

impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.iter().collect::<Vec<_>>().join(", "))
    }
}

/// The addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Network {
    V4(Ipv4Addr, u32),
    V6(Ipv6Addr, u32),
    Unix,
}

impl Network {
    /// An address with bits behind its prefix is a slip: it would let in more than who wrote it believes.
    fn parse(text: &str) -> Result<Self, String> {
        if text == UNIX {
            return Ok(Self::Unix);
        }
        let wrong = || format!("{EXPECTED}, not '{text}'");
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(parse_length(length).ok_or_else(wrong)?)),
            None => (text, None),
        };
        let (network, bits) = match address.parse().map_err(|_| wrong())? {
            IpAddr::V4(address) => (Self::V4(address, length.unwrap_or(32)), 32),
            IpAddr::V6(address) => match (address.to_ipv4_mapped(), length) {
                (Some(address), None) => (Self::V4(address, 32), 32),
                (Some(address), Some(length @ 96..)) => (Self::V4(address, length - 96), 32),
                _ => (Self::V6(address, length.unwrap_or(128)), 128),
            },
        };
        match network {
            Self::V4(_, length) | Self::V6(_, length) if length > bits => Err(wrong()),
            _ if network.first() != network => {
                Err(format!("'{text}' has bits behind its prefix; expected {}", network.first()))
            }
            _ => Ok(network),
        }
    }

    /// The network, by its first address.
    fn first(self) -> Self {
        match self {
            Self::V4(address, length) => Self::V4(Ipv4Addr::from_bits(address.to_bits() & mask_v4(length)), length),
            Self::V6(address, length) => Self::V6(Ipv6Addr::from_bits(address.to_bits() & mask_v6(length)), length),
            Self::Unix => Self::Unix,
        }
    }

    /// `address` is canonical: IPv4 is never in its IPv6 form.
    fn contains(&self, address: Option<IpAddr>) -> bool {
        match (self, address) {
            (Self::V4(first, length), Some(IpAddr::V4(address))) => {
                address.to_bits() & mask_v4(*length) == first.to_bits()
            }
            (Self::V6(first, length), Some(IpAddr::V6(address))) => {
                address.to_bits() & mask_v6(*length) == first.to_bits()
            }
            (Self::Unix, None) => true,
            _ => false,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(address, 32) => address.fmt(f),
            Self::V6(address, 128) => address.fmt(f),
            Self::V4(address, length) => write!(f, "{address}/{length}"),
            Self::V6(address, length) => write!(f, "{address}/{length}"),
            Self::Unix => f.write_str(UNIX),
        }
    }
}

/// A length as it is written everywhere: digits alone, and none in front for nothing.
fn parse_length(text: &str) -> Option<u32> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain)
}

fn mask_v4(length: u32) -> u32 {
    u32::MAX.checked_shl(32 - length).unwrap_or(0)
}

fn mask_v6(length: u32) -> u128 {
    u128::MAX.checked_shl(128 - length).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn networks_contain_the_addresses_that_begin_as_they_do() {
        for (networks, inside, outside) in [
            ("10.0.0.0/8", &["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"][..], &["11.0.0.0", "::a00:1", "::1"][..]),
            ("192.0.2.1", &["192.0.2.1", "::ffff:192.0.2.1"], &["192.0.2.2"]),
            ("::ffff:192.0.2.0/120", &["192.0.2.7"], &["192.0.3.7"]),
            ("2001:db8::/32", &["2001:db8::1", "2001:db8:ffff::"], &["2001:db9::", "32.1.13.184"]),
            ("0.0.0.0/0", &["1.2.3.4", "::ffff:1.2.3.4"], &["::1"]),
            ("::/0", &["::1", "2001:db8::1"], &["1.2.3.4", "::ffff:1.2.3.4"]),
            ("127.0.0.1, ::1 10.0.0.1/32", &["127.0.0.1", "::1", "10.0.0.1"], &["127.0.0.2"]),
            ("", &[], &["127.0.0.1"]),
        ] {
            let networks = Networks::parse(networks).unwrap();
            inside.iter().for_each(|text| assert!(networks.contain(Some(text.parse().unwrap())), "{networks} {text}"));
            outside
                .iter()
                .for_each(|text| assert!(!networks.contain(Some(text.parse().unwrap())), "{networks} {text}"));
            assert!(!networks.contain(None), "{networks}");
        }
        let unix = Networks::parse("unix").unwrap();
        assert!(unix.contain(None) && !unix.contain(Some(Ipv4Addr::LOCALHOST.into())));
    }

    #[test]
    fn what_is_no_network_is_told() {
        for text in ["10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0/8", "10.0.0.0/08", "10.0.0.0/+8", "a", "10.0.0.1:80"]
        {
            let error = Networks::parse(text).unwrap_err();
            assert_eq!(error, format!("{EXPECTED}, not '{text}'"));
        }
        for (text, first) in
            [("10.0.0.1/8", "10.0.0.0/8"), ("2001:db8::1/32", "2001:db8::/32"), ("1.2.3.4/0", "0.0.0.0/0")]
        {
            let error = Networks::parse(text).unwrap_err();
            assert_eq!(error, format!("'{text}' has bits behind its prefix; expected {first}"));
        }
    }

    proptest! {
        /// A network has its own addresses, reads back as it is shown, and one that is longer lies within it.
        #[test]
        fn networks_are_prefixes(bits: u128, length in 0u32..=128, other: u128) {
            let mask = mask_v6(length);
            let text = format!("{}/{length}", Ipv6Addr::from_bits(bits & mask));
            let networks = Networks::parse(&text);
            prop_assume!(networks.is_ok());
            let networks = networks.unwrap();
            prop_assert_eq!(Networks::parse(&networks.to_string()), Ok(networks.clone()));
            let address = Ipv6Addr::from_bits(bits & mask | other & !mask);
            prop_assert!(networks.contain(Some(address.into())) || address.to_ipv4_mapped().is_some());
            prop_assert_eq!(
                networks.contain(Some(Ipv6Addr::from_bits(other).into())),
                other & mask == bits & mask && Ipv6Addr::from_bits(other).to_ipv4_mapped().is_none()
            );
        }
    }
}
