//! From what says where to listen to listeners, and the error that says why not.

use std::error::Error;
use std::ffi::OsStr;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use rustix::io::Errno;

use super::address::{Address, UnixName};
use super::listener::Listener;
use super::options::SocketOptions;

/// What [`Server::bind`](super::Server::bind) can listen on.
///
/// A string is an IP address or host name with a port (`127.0.0.1:9000`, `[::1]:0`, `localhost:9000`: all addresses of
/// the name), a UNIX socket (`unix:/run/echo.sock`, or `unix:@name` for an abstract one), or a socket that this process was
/// started with (`fd:3`).
pub trait ToListeners {
    /// Listens there.
    ///
    /// # Errors
    /// A [`ListenError`] that names the address.
    fn to_listeners(self, options: &SocketOptions) -> io::Result<Vec<Listener>>;
}

impl ToListeners for &str {
    fn to_listeners(self, options: &SocketOptions) -> io::Result<Vec<Listener>> {
        if let Some(name) = self.strip_prefix("unix:") {
            return UnixName::parse(OsStr::new(name)).to_listeners(options);
        }
        if let Some(number) = self.strip_prefix("fd:") {
            let not_a_number =
                |_| ListenError::new(self, ErrorKind::InvalidInput, "a descriptor is a number, as in fd:3");
            return Ok(vec![Listener::inherited(number.parse().map_err(not_a_number)?, options)?]);
        }
        let named = |error: io::Error| match error.kind() {
            ErrorKind::InvalidInput => {
                let reason = format!("{error}; an address is HOST:PORT, unix:PATH or fd:NUMBER");
                ListenError::new(self, ErrorKind::InvalidInput, reason)
            }
            _ => ListenError { address: self.to_owned(), cause: error },
        };
        on_addresses(self.to_socket_addrs().map_err(named), options)
    }
}

impl ToListeners for String {
    fn to_listeners(self, options: &SocketOptions) -> io::Result<Vec<Listener>> {
        self.as_str().to_listeners(options)
    }
}

impl ToListeners for SocketAddr {
    fn to_listeners(self, options: &SocketOptions) -> io::Result<Vec<Listener>> {
        Ok(vec![Listener::tcp(self, options)?])
    }
}

impl ToListeners for (IpAddr, u16) {
    fn to_listeners(self, options: &SocketOptions) -> io::Result<Vec<Listener>> {
        SocketAddr::from(self).to_listeners(options)
    }
}

impl ToListeners for (&str, u16) {
    fn to_listeners(self, options: &SocketOptions) -> io::Result<Vec<Listener>> {
        let named = |error| ListenError { address: format!("{}:{}", self.0, self.1), cause: error };
        on_addresses(self.to_socket_addrs().map_err(named), options)
    }
}

impl ToListeners for UnixName {
    fn to_listeners(self, options: &SocketOptions) -> io::Result<Vec<Listener>> {
        Ok(vec![Listener::unix(&self, options)?])
    }
}

impl ToListeners for Address {
    fn to_listeners(self, options: &SocketOptions) -> io::Result<Vec<Listener>> {
        match self {
            Self::Inet(address) => address.to_listeners(options),
            Self::Unix(name) => name.to_listeners(options),
        }
    }
}

impl ToListeners for Listener {
    fn to_listeners(self, _options: &SocketOptions) -> io::Result<Vec<Listener>> {
        Ok(vec![self])
    }
}

impl ToListeners for Vec<Listener> {
    fn to_listeners(self, _options: &SocketOptions) -> io::Result<Vec<Listener>> {
        Ok(self)
    }
}

fn on_addresses(
    addresses: Result<impl Iterator<Item = SocketAddr>, ListenError>,
    options: &SocketOptions,
) -> io::Result<Vec<Listener>> {
    let (mut listeners, mut absent, mut port) = (Vec::new(), None, 0);
    for mut address in addresses? {
        // A name has one port, whichever that is.
        if address.port() == 0 {
            address.set_port(port);
        }
        match Listener::tcp(address, options) {
            Ok(listener) => {
                port = listener.local_address()?.as_inet().map_or(port, |local| local.port());
                listeners.push(listener);
            }
            // The name means this machine without IPv6 as well.
            Err(error) if address.is_ipv6() && is_absent(&error) => absent = Some(error),
            Err(error) => return Err(error),
        }
    }
    match absent {
        Some(error) if listeners.is_empty() => Err(error),
        _ => Ok(listeners),
    }
}

fn is_absent(error: &io::Error) -> bool {
    error.get_ref().and_then(|error| error.downcast_ref()).is_some_and(ListenError::is_absent)
}

/// Why nothing listens at an address, with what can be done about it. Functions that fail with it give an [`io::Error`] of
/// the kind that its cause has, and this in it.
#[derive(Debug)]
pub struct ListenError {
    address: String,
    cause: io::Error,
}

impl ListenError {
    pub(super) fn new(address: impl fmt::Display, kind: ErrorKind, reason: impl Into<String>) -> Self {
        Self { address: address.to_string(), cause: io::Error::new(kind, reason.into()) }
    }

    /// Names the address in what went wrong there.
    pub(super) fn at(address: &impl fmt::Display) -> impl Fn(io::Error) -> io::Error {
        move |cause| Self { address: address.to_string(), cause }.into()
    }

    /// The address, as [`ToListeners`] takes it.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whether it is the machine that lacks this address, or the whole family of it: IPv6 may be off.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        let absent = [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL, Errno::PROTONOSUPPORT];
        Errno::from_io_error(&self.cause).is_some_and(|errno| absent.contains(&errno))
    }

    /// What the system said, or what was found before it was asked.
    #[must_use]
    pub fn cause(&self) -> &io::Error {
        &self.cause
    }
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, cause } = self;
        write!(f, "{address}: {cause}")?;
        // What was found before the system was asked tells its remedy itself.
        if cause.raw_os_error().is_none() {
            return Ok(());
        }
        let is_unix = address.starts_with("unix:");
        match cause.kind() {
            ErrorKind::AddrInUse => write!(f, "; stop who listens there, or choose another address"),
            ErrorKind::PermissionDenied if is_unix => write!(f, "; choose a folder that this user may write to"),
            ErrorKind::PermissionDenied => write!(f, "; ports below 1024 may need root, choose a higher one"),
            ErrorKind::AddrNotAvailable => write!(f, "; choose an address of this machine"),
            ErrorKind::NotFound if is_unix => write!(f, "; make the folder first, or choose another"),
            _ => Ok(()),
        }
    }
}

impl Error for ListenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}

impl From<ListenError> for io::Error {
    fn from(error: ListenError) -> Self {
        Self::new(error.cause.kind(), error)
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn what_the_system_refuses_is_told_with_a_remedy() {
        for (address, errno, remedy) in [
            ("127.0.0.1:80", Errno::ACCESS, "root"),
            ("127.0.0.1:8000", Errno::ADDRINUSE, "another address"),
            ("192.0.2.1:80", Errno::ADDRNOTAVAIL, "of this machine"),
            ("unix:/run/a.sock", Errno::ACCESS, "write to"),
            ("unix:/no/a.sock", Errno::NOENT, "make the folder"),
        ] {
            let error = ListenError::at(&address)(errno.into()).to_string();
            assert!(error.starts_with(address) && error.contains(remedy), "{error}");
        }
    }
}
