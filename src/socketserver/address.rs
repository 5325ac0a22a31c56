//! Addresses of sockets, and who is at the other end.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::net::{SocketAddrAny, SocketAddrUnix};
use socket2::SockAddr;

/// Bytes that the name of a UNIX socket may have, everywhere: the system keeps one more for an end.
#[cfg(target_os = "linux")]
pub(super) const UNIX_NAME_BYTES_MAX: usize = 107;
#[cfg(not(target_os = "linux"))]
pub(super) const UNIX_NAME_BYTES_MAX: usize = 103;

/// Bytes of the address of a UNIX socket: the family, and room for one more than a name may have.
const UNIX_ADDRESS_BYTES_MAX: usize = 2 + UNIX_NAME_BYTES_MAX + 1;

/// An address of a transport.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// IPv4 or IPv6 with a port.
    Inet(SocketAddr),
    /// A UNIX socket.
    Unix(UnixName),
}

/// What a UNIX socket is called.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnixName {
    /// A file.
    Path(PathBuf),
    /// A name of Linux that is no file, and goes with the socket.
    Abstract(Vec<u8>),
    /// Nothing: most clients.
    Unnamed,
}

impl Address {
    /// The IP address and port, where there are any.
    #[must_use]
    pub fn as_inet(&self) -> Option<SocketAddr> {
        match self {
            Self::Inet(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// Whether it is this machine by a loopback address.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.as_inet().is_some_and(|address| address.ip().to_canonical().is_loopback())
    }

    /// From what a system call tells; a datagram's sender may have none.
    pub(super) fn of(address: Option<SocketAddrAny>) -> Self {
        let Some(address) = address else { return Self::Unix(UnixName::Unnamed) };
        match SocketAddr::try_from(address.clone()) {
            Ok(address) => Self::Inet(address),
            Err(_) => Self::Unix(UnixName::of(&address)),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(address) => address.fmt(f),
            Self::Unix(name) => write!(f, "unix:{name}"),
        }
    }
}

impl UnixName {
    /// A path, or, after an `@`, an abstract name.
    #[must_use]
    pub fn parse(name: &OsStr) -> Self {
        match name.as_bytes().strip_prefix(b"@") {
            Some(name) if cfg!(target_os = "linux") => Self::Abstract(name.to_vec()),
            _ => Self::Path(name.into()),
        }
    }

    fn of(address: &SocketAddrAny) -> Self {
        // Linux takes a path without its zero, adds one, and tells a length that is greater than there is room for. To
        // decode it would be a panic.
        if address.addr_len() as usize > UNIX_ADDRESS_BYTES_MAX {
            return Self::Unnamed;
        }
        let Ok(address) = SocketAddrUnix::try_from(address.clone()) else { return Self::Unnamed };
        #[cfg(target_os = "linux")]
        if let Some(name) = address.abstract_name().filter(|name| !name.is_empty()) {
            return Self::Abstract(name.to_vec());
        }
        // Of the longest one the zero is told, too.
        match address.path_bytes().map(|path| path.strip_suffix(b"\0").unwrap_or(path)) {
            Some(path) if !path.is_empty() => Self::Path(Path::new(OsStr::from_bytes(path)).to_owned()),
            _ => Self::Unnamed,
        }
    }

    /// The form that the system takes.
    ///
    /// # Errors
    /// `InvalidInput` when the name is empty, too long, or holds a zero byte.
    pub(super) fn to_system(&self) -> io::Result<SockAddr> {
        let (bytes, is_path) = match self {
            Self::Path(path) => (path.as_os_str().as_bytes(), true),
            Self::Abstract(name) => (&name[..], false),
            Self::Unnamed => (&b""[..], true),
        };
        let invalid = |reason: String| Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        if bytes.is_empty() {
            return invalid("a UNIX socket to listen on needs a name".to_owned());
        }
        if bytes.len() > UNIX_NAME_BYTES_MAX {
            let count = bytes.len();
            return invalid(format!(
                "the name has {count} bytes; that of a UNIX socket has at most {UNIX_NAME_BYTES_MAX}"
            ));
        }
        if is_path && bytes.contains(&0) {
            return invalid("a path has no zero bytes".to_owned());
        }
        let name = if is_path { bytes.to_vec() } else { [b"\0", bytes].concat() };
        SockAddr::unix(OsStr::from_bytes(&name))
    }
}

impl fmt::Display for UnixName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.as_os_str().as_bytes().escape_ascii().fmt(f),
            Self::Abstract(name) => write!(f, "@{}", name.escape_ascii()),
            Self::Unnamed => Ok(()),
        }
    }
}

/// The other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    address: Address,
    credentials: Option<Box<Credentials>>,
}

/// Which process connected to a UNIX socket, as the system saw it then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Credentials {
    /// Its number; 0 where it can't be seen from here, as it is in another PID namespace.
    pub process: i32,
    /// Its effective user.
    pub user: u32,
    /// Its effective group.
    pub group: u32,
}

impl Peer {
    pub(crate) fn new(address: Address, credentials: Option<Credentials>) -> Self {
        Self { address, credentials: credentials.map(Box::new) }
    }

    /// Where it connects from.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Who it is, where the system knows: on Linux, of a connection to a UNIX socket.
    #[must_use]
    pub fn credentials(&self) -> Option<Credentials> {
        self.credentials.as_deref().copied()
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The path has no zero, which the system allows and tells of with a length that it doesn't have.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_client_of_the_longest_path_has_no_name() {
        use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};

        let folder = tempfile::tempdir().unwrap();
        let name = "x".repeat(UNIX_NAME_BYTES_MAX - folder.path().as_os_str().len());
        let path = folder.path().join(&name);
        assert_eq!(path.as_os_str().len(), UNIX_NAME_BYTES_MAX + 1);
        let client = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
        bind(&client, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        assert_eq!(UnixName::of(&getsockname(&client).unwrap()), UnixName::Unnamed);

        let path = folder.path().join(&name[1..]);
        let client = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
        bind(&client, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        assert_eq!(UnixName::of(&getsockname(&client).unwrap()), UnixName::Path(path));
    }

    #[test]
    fn names_of_unix_sockets_are_checked_before_the_system_is_asked() {
        let longest = "x".repeat(UNIX_NAME_BYTES_MAX);
        for name in ["/run/a.sock", "a", "@a", &longest, &format!("@{longest}")] {
            assert!(UnixName::parse(OsStr::new(name)).to_system().is_ok(), "{name}");
        }
        for (name, reason) in [
            (format!("{longest}x"), format!("at most {UNIX_NAME_BYTES_MAX}")),
            (String::new(), "needs a name".to_owned()),
            ("a\0b".to_owned(), "zero bytes".to_owned()),
        ] {
            let error = UnixName::parse(OsStr::new(&name)).to_system().unwrap_err();
            assert!(error.to_string().contains(&reason), "{name:?}: {error}");
        }
    }

    #[test]
    fn addresses_are_shown_on_one_line() {
        for (name, expected) in [("/run/a.sock", "unix:/run/a.sock"), ("@a", "unix:@a"), ("/a\n\"", "unix:/a\\n\\\"")] {
            assert_eq!(Address::Unix(UnixName::parse(OsStr::new(name))).to_string(), expected);
        }
        assert_eq!(Address::Unix(UnixName::Unnamed).to_string(), "unix:");
    }
}
