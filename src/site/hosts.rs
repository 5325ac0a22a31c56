//! Names of hosts: what a configuration lists, and which of them a request asks for (RFC 9110 section 7.2). Pure.

use core::net::{Ipv4Addr, Ipv6Addr};
use std::fmt;

/// The longest name that DNS has, in bytes.
const NAME_BYTES_MAX: usize = 253;

/// What is expected where a name isn't one.
const EXPECTED: &str = "expected a host name, such as example.org or *.example.org, or an IP address, without a port";

/// Hosts by name. Case and a dot at the end mean nothing; `*.example.org` is everything beneath `example.org`, but not
/// that itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(Vec<Name>);

impl Names {
    /// Reads a list of names, separated by commas or spaces.
    ///
    /// # Errors
    /// What was expected in place of a name that is none.
    pub fn parse(list: &str) -> Result<Self, String> {
        let names = list.split(|character: char| character == ',' || character.is_whitespace());
        let names = names.filter(|name| !name.is_empty());
        names.map(|name| Name::parse(name).ok_or_else(|| format!("{EXPECTED}, not '{name}'"))).collect()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each, as it is written.
    pub fn iter(&self) -> impl Iterator<Item = String> + use<'_> {
        self.0.iter().map(Name::to_string)
    }

    /// One that the other list has too.
    #[must_use]
    pub fn shared_with(&self, other: &Self) -> Option<String> {
        self.0.iter().find(|name| other.0.contains(name)).map(Name::to_string)
    }

    /// How closely this host is named, if it is: the more, the better.
    pub(super) fn closeness(&self, host: &Host<'_>) -> Option<usize> {
        self.0.iter().filter_map(|name| name.closeness(host)).max()
    }
}

impl FromIterator<Name> for Names {
    fn from_iter<I: IntoIterator<Item = Name>>(names: I) -> Self {
        Self(names.into_iter().collect())
    }
}

impl FromIterator<Names> for Names {
    fn from_iter<I: IntoIterator<Item = Names>>(lists: I) -> Self {
        lists.into_iter().flat_map(|list| list.0).collect()
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.iter().collect::<Vec<_>>().join(", "))
    }
}

/// A name, in small letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// A name, or an address of IPv4.
    Exact(String),
    /// Every name that ends with this one, which begins with a dot.
    Beneath(String),
    /// An address of IPv6, which has many spellings.
    V6(Ipv6Addr),
}

impl Name {
    fn parse(text: &str) -> Option<Self> {
        if let Some(above) = text.strip_prefix("*.") {
            let is_name = |name: &String| name.parse::<Ipv4Addr>().is_err();
            return exact(above).filter(is_name).map(|name| Self::Beneath(format!(".{name}")));
        }
        let literal = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        literal.parse().map(Self::V6).ok().or_else(|| exact(text).map(Self::Exact))
    }

    fn closeness(&self, host: &Host<'_>) -> Option<usize> {
        match (self, host) {
            (Self::Exact(name), Host::Name(host)) => host.eq_ignore_ascii_case(name.as_bytes()).then_some(usize::MAX),
            (Self::V6(address), Host::V6(host)) => (address == host).then_some(usize::MAX),
            (Self::Beneath(end), Host::Name(host)) => {
                let (start, host_end) = host.split_at_checked(host.len().checked_sub(end.len())?)?;
                (!start.is_empty() && host_end.eq_ignore_ascii_case(end.as_bytes())).then_some(end.len())
            }
            _ => None,
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Beneath(end) => write!(f, "*{end}"),
            Self::V6(address) => write!(f, "[{address}]"),
        }
    }
}

/// A name as DNS has it. One whose last label is a number can only be an address of IPv4.
fn exact(text: &str) -> Option<String> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_good = match last.bytes().all(|byte| byte.is_ascii_digit()) {
        true => name.parse::<Ipv4Addr>().is_ok(),
        false => name.len() <= NAME_BYTES_MAX && name.split('.').all(is_label),
    };
    is_good.then_some(name)
}

fn is_label(label: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=63).contains(&label.len()) && !label.starts_with('-') && label.bytes().all(is_allowed)
}

/// Whose site a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Host<'a> {
    Name(&'a [u8]),
    V6(Ipv6Addr),
}

impl<'a> Host<'a> {
    /// Reads a well-formed authority; its port means nothing here.
    pub(super) fn of(authority: &'a [u8]) -> Self {
        if let [b'[', literal @ ..] = authority {
            let end = literal.iter().position(|&byte| byte == b']').unwrap_or(literal.len());
            let address = str::from_utf8(&literal[..end]).ok().and_then(|text| text.parse().ok());
            return address.map_or(Self::Name(authority), Self::V6);
        }
        let end = authority.iter().position(|&byte| byte == b':').unwrap_or(authority.len());
        let name = &authority[..end];
        Self::Name(name.strip_suffix(b".").unwrap_or(name))
    }
}

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.escape_ascii().fmt(f),
            Self::V6(address) => write!(f, "[{address}]"),
        }
    }
}

/// Reads an authority that somebody configured: a host, and perhaps a port. Both come back as they are compared; there
/// is no user information (RFC 9110 section 4.2.4).
pub(super) fn parse_authority(text: &str) -> Option<(String, Option<u16>)> {
    let host_end = match text.strip_prefix('[') {
        Some(_) => text.find(']')? + 1,
        None => text.find(':').unwrap_or(text.len()),
    };
    let (host, port) = text.split_at(host_end);
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        None => return None,
        Some(digits) => Some(digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))?),
    };
    match Name::parse(host)? {
        Name::Beneath(_) => None,
        name => Some((name.to_string(), port)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(names: &str, authority: &str, expected: bool) {
        let names = Names::parse(names).unwrap();
        let found = names.closeness(&Host::of(authority.as_bytes())).is_some();
        assert_eq!(found, expected, "{names}: {authority}");
    }

    #[test]
    fn a_host_is_known_by_its_name_alone() {
        for (names, authority, expected) in [
            ("example.org", "example.org", true),
            ("example.org", "EXAMPLE.ORG:8080", true),
            ("Example.Org.", "example.org", true),
            ("example.org", "example.org.", true),
            ("example.org", "example.org.:80", true),
            ("example.org", "example.org..", false),
            ("example.org", "www.example.org", false),
            ("example.org", "example.org.evil.example", false),
            ("example.org", "e%78ample.org", false),
            ("a.org, b.org c.org", "c.org", true),
            ("*.example.org", "www.example.org", true),
            ("*.example.org", "a.b.EXAMPLE.org:1", true),
            ("*.example.org", "example.org", false),
            ("*.example.org", ".example.org", false),
            ("*.example.org", "badexample.org", false),
            ("127.0.0.1", "127.0.0.1:8000", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("::1", "[::1]:8000", true),
            ("[::1]", "[0:0:0:0:0:0:0:1]", true),
            ("::ffff:1.2.3.4", "[::ffff:102:304]", true),
            ("::1", "[::2]", false),
            ("::1", "[v1.x]", false),
            ("", "example.org", false),
        ] {
            check(names, authority, expected);
        }
    }

    #[test]
    fn the_closest_name_counts_most() {
        let closeness = |names: &str| Names::parse(names).unwrap().closeness(&Host::of(b"a.b.org"));
        assert!(closeness("a.b.org") > closeness("*.b.org") && closeness("*.b.org") > closeness("*.org"));
        assert!(closeness("*.org") > closeness("b.org"));
    }

    #[test]
    fn what_is_no_name_is_told() {
        let wrong = "*|*.|*.1.2.3.4|a.*.org|**.org|a..b|.a|-a.org|example.org:80|[::1]:80|[::1|http://a|a/b|\u{e9}.fr\
                     |256.0.0.1|1.2.3|user@a";
        for name in wrong.split('|') {
            assert_eq!(Names::parse(name), Err(format!("{EXPECTED}, not '{name}'")), "{name}");
        }
        assert!(Names::parse(&"a".repeat(64)).is_err() && Names::parse(&"a.".repeat(128)).is_err());
        assert_eq!(Names::parse(" , ").map(|names| names.is_empty()), Ok(true));
    }

    #[test]
    fn authorities_are_hosts_and_ports() {
        let authority = |host: &str, port| Some((host.to_owned(), port));
        assert_eq!(parse_authority("Example.org"), authority("example.org", None));
        assert_eq!(parse_authority("[::1]:80"), authority("[::1]", Some(80)));
        for wrong in ["", ":80", "a:", "a:+1", "a:65536", "user@a", "a b", "*.a", "[::1]x", "[", "a:1:2"] {
            assert_eq!(parse_authority(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_list_reads_back(list in "(\\*\\.)?[a-zA-Z0-9._*:\\[\\]-]{0,12}([, ](\\*\\.)?[a-z0-9.:]{0,9}){0,3}") {
            if let Ok(names) = Names::parse(&list) {
                prop_assert_eq!(Names::parse(&names.to_string()), Ok(names));
            }
        }

        #[test]
        fn any_authority_is_somebody(authority: Vec<u8>) {
            let names = Names::parse("*.a, a, ::1").unwrap();
            let _ = names.closeness(&Host::of(&authority));
        }
    }
}
