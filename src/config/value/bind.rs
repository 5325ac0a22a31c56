//! Where to listen, as it is written. Pure.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use crate::socketserver::UnixName;

/// What is expected where an address isn't one.
pub(super) const EXPECTED: &str = "expected an IP address or a host name, such as 0.0.0.0, localhost:8080 or [::1]:8080, \
                             a UNIX socket (unix:/run/site.sock), or an inherited descriptor (fd:3)";

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bind {
    /// A TCP address.
    Inet {
        /// An IP address or a host name, without brackets.
        host: String,
        /// Its own port, in place of the common one.
        port: Option<u16>,
    },
    /// A UNIX socket.
    Unix(UnixName),
    /// A listening socket that was open when the program started.
    Descriptor(i32),
}

impl Bind {
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(name) = text.strip_prefix("unix:") {
            return (!matches!(name, "" | "@")).then(|| Self::Unix(UnixName::parse(name.as_ref())));
        }
        if let Some(number) = text.strip_prefix("fd:") {
            return number.parse().ok().filter(|number| *number >= 0).map(Self::Descriptor);
        }
        let (host, rest) = match text.strip_prefix('[') {
            Some(text) => text.split_once(']').filter(|(host, _)| is_ipv6(host))?,
            None if is_ipv6(text) => (text, ""),
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        let port = match rest.strip_prefix(':') {
            Some(port) => Some(port.parse().ok()?),
            None if rest.is_empty() => None,
            None => return None,
        };
        (is_ipv6(host) || is_ipv4_or_name(host)).then(|| Self::Inet { host: host.to_owned(), port })
    }

    /// With a path that starts from there, if it is a relative one.
    pub(super) fn beneath(self, base: &Path) -> Self {
        match self {
            Self::Unix(UnixName::Path(path)) => Self::Unix(UnixName::Path(base.join(path))),
            other => other,
        }
    }
}

/// A link-local address may name its interface: `fe80::1%eth0`.
fn is_ipv6(host: &str) -> bool {
    let (address, zone) = host.split_once('%').unwrap_or((host, "0"));
    address.parse::<Ipv6Addr>().is_ok() && zone.split('.').all(is_label)
}

/// A name whose last label is a number can only be an IPv4 address, and then it must be one.
fn is_ipv4_or_name(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        return host.parse::<Ipv4Addr>().is_ok();
    }
    host.len() <= 253 && host.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=63).contains(&label.len()) && !label.starts_with('-') && label.bytes().all(is_allowed)
}

impl fmt::Display for Bind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port) = match self {
            Self::Inet { host, port } => (host, port),
            Self::Unix(UnixName::Path(path)) => return write!(formatter, "unix:{}", path.display()),
            Self::Unix(name) => return write!(formatter, "unix:{name}"),
            Self::Descriptor(number) => return write!(formatter, "fd:{number}"),
        };
        if host.contains(':') {
            write!(formatter, "[{host}]")?;
        } else {
            formatter.write_str(host)?;
        }
        port.map_or(Ok(()), |port| write!(formatter, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_bind(text: &str, expected: Option<(&str, Option<u16>)>) {
        let bind = Bind::parse(text);
        let inet = expected.map(|(host, port)| Bind::Inet { host: host.to_owned(), port });
        assert_eq!(bind, inet, "{text}");
        if let Some(bind) = bind {
            assert_eq!(Bind::parse(&bind.to_string()), Some(bind), "{text} reads back");
        }
    }

    #[test]
    fn bind_takes_addresses_and_names_with_or_without_a_port() {
        check_bind("127.0.0.1", Some(("127.0.0.1", None)));
        check_bind("0.0.0.0:80", Some(("0.0.0.0", Some(80))));
        check_bind("::", Some(("::", None)));
        check_bind("::1", Some(("::1", None)));
        check_bind("[::1]", Some(("::1", None)));
        check_bind("[::1]:0", Some(("::1", Some(0))));
        check_bind("fe80::1%eth0.7", Some(("fe80::1%eth0.7", None)));
        check_bind("[fe80::1%eth0]:80", Some(("fe80::1%eth0", Some(80))));
        check_bind("localhost", Some(("localhost", None)));
        check_bind("my_box-2.example.org:65535", Some(("my_box-2.example.org", Some(65_535))));
        check_bind("1.example", Some(("1.example", None)));
    }

    #[test]
    fn bind_takes_unix_sockets_and_descriptors() {
        let path = |path: &str| Bind::Unix(UnixName::Path(path.into()));
        for (text, expected) in [
            ("unix:/run/a.sock", path("/run/a.sock")),
            ("unix:a b", path("a b")),
            ("unix:@a", Bind::Unix(UnixName::Abstract(b"a".to_vec()))),
            ("fd:3", Bind::Descriptor(3)),
        ] {
            assert_eq!(Bind::parse(text), Some(expected.clone()), "{text}");
            assert_eq!(expected.to_string(), text);
        }
        assert_eq!(path("a").beneath(Path::new("/etc")), path("/etc/a"));
        assert_eq!(path("/a").beneath(Path::new("/etc")), path("/a"));
    }

    #[test]
    fn bind_refuses_what_no_socket_could_be_bound_to() {
        let wrong = "|:80|80|*|a b|a..b|.a|-a|http://a|a/b|\u{e9}.fr|localhost:|localhost:x|localhost:65536\
                     |localhost:-1|256.0.0.1|1.2.3|1.2.3.4.5|[127.0.0.1]|[localhost]:80\
                     |unix:|unix:@|fd:|fd:x|fd:-1|[|[]|[]:80|[::1|::1]|[::1]80|[::1]:|1:2:3|fe80::1%";
        wrong.split('|').for_each(|text| check_bind(text, None));
        check_bind(&"a".repeat(64), None);
    }
}
