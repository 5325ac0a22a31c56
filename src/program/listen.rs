//! From what the configuration asks for to sockets that listen.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, ToSocketAddrs};

use log::warn;
use salver::config::{Bind, Config, PORT};
use salver::socketserver::{ListenError, Listener, SocketOptions, UnixName};

/// The ports tried when nobody asked for one.
const PORTS: std::ops::RangeInclusive<u16> = PORT..=PORT + 10;

/// How often another free port is looked for that all addresses have in common.
const COMMON_PORT_TRIES: usize = 16;

/// An address that can't be listened on.
#[derive(Debug)]
pub(crate) struct Error {
    address: String,
    error: io::Error,
    /// It is the port that others share, so that another one may do.
    is_common_port: bool,
}

impl Error {
    fn new(address: impl fmt::Display, error: io::Error) -> Self {
        Self { address: address.to_string(), error, is_common_port: false }
    }

    /// Another port may help.
    fn is_taken(&self) -> bool {
        self.is_common_port && self.error.kind() == ErrorKind::AddrInUse
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, error, .. } = self;
        let cause = cause(error);
        match cause.kind() {
            // Of a UNIX socket or a descriptor: no flag but --bind has to do with it.
            _ if address.starts_with("unix:") || address.starts_with("fd:") => error.fmt(f),
            ErrorKind::AddrInUse => {
                write!(f, "{address}: the port is taken; choose another with --port, or 0 for any that is free")
            }
            ErrorKind::PermissionDenied => {
                write!(f, "{address}: not permitted; ports below 1024 may need root, choose a higher one with --port")
            }
            ErrorKind::AddrNotAvailable => {
                write!(f, "{address}: not an address of this machine; choose another with --bind")
            }
            _ => write!(f, "{address}: cannot listen: {cause}; choose another address with --bind"),
        }
    }
}

/// What the library names the address of, without that: the program knows it by the words of its user.
fn cause(error: &io::Error) -> &io::Error {
    error.get_ref().and_then(|error| error.downcast_ref()).map_or(error, ListenError::cause)
}

/// Listens on everything that was asked for; where nobody asked, on what a service manager has opened for this process.
pub(super) fn all(config: &Config) -> Result<Vec<Listener>, Error> {
    let bind = match Listener::passed_on() {
        sockets if sockets.is_empty() || config.sources.contains_key("bind") => config.bind.clone(),
        sockets => sockets.into_iter().map(Bind::Descriptor).collect(),
    };
    let mut listeners = Vec::new();
    for bind in &bind {
        match bind {
            Bind::Unix(name) => listeners.push(on_unix(name, config)?),
            Bind::Descriptor(number) => {
                let listener = Listener::inherited(*number, &config.sockets);
                listeners.push(listener.map_err(|error| Error::new(bind, error))?);
            }
            _ => {}
        }
    }
    let mut config = config.clone();
    config.bind = bind;
    if config.bind.iter().any(|bind| matches!(bind, Bind::Inet { .. })) {
        listeners.extend(on_addresses(&config)?);
    }
    Ok(listeners)
}

/// Whether nobody but this machine can ask: all listen on loopback. Behind a UNIX socket there mostly is a proxy, for others.
pub(super) fn is_local(listeners: &[Listener]) -> bool {
    listeners.iter().all(|listener| listener.local_address().is_ok_and(|address| address.is_loopback()))
}

/// The same of what would be listened on.
pub(super) fn would_be_local(config: &Config) -> bool {
    let are_inet = config.bind.iter().all(|bind| matches!(bind, Bind::Inet { .. }));
    let addresses = resolve(&config.bind, config.port);
    are_inet && addresses.is_ok_and(|addresses| addresses.iter().all(|to| to.ip().to_canonical().is_loopback()))
}

fn on_unix(name: &UnixName, config: &Config) -> Result<Listener, Error> {
    Listener::unix(name, &config.sockets).map_err(|error| Error::new(Bind::Unix(name.clone()), error))
}

/// Listens on every TCP address, with one port for those that have none of their own.
fn on_addresses(config: &Config) -> Result<Vec<Listener>, Error> {
    if config.port_asked {
        return match config.port {
            0 => on_common_free_port(config),
            port => on_port(config, port),
        };
    }
    let mut tried = on_port(config, PORT);
    for port in PORTS.skip(1) {
        if !tried.as_ref().is_err_and(Error::is_taken) {
            break;
        }
        tried = on_port(config, port);
        if tried.is_ok() {
            warn!("port {PORT} is taken; serving on port {port} instead");
        }
    }
    tried
}

/// Port 0: the first address gets any free port, and the others the same one.
fn on_common_free_port(config: &Config) -> Result<Vec<Listener>, Error> {
    let mut tried = on_port(config, 0);
    for _ in 0..COMMON_PORT_TRIES {
        if !tried.as_ref().is_err_and(Error::is_taken) {
            break;
        }
        tried = on_port(config, 0);
    }
    tried
}

fn on_port(config: &Config, port: u16) -> Result<Vec<Listener>, Error> {
    let addresses = resolve(&config.bind, port)?;
    let mut listeners: Vec<Listener> = Vec::new();
    let mut unsupported = None;
    let mut port_given = None;
    for &asked in &addresses {
        let mut address = asked;
        if address.port() == 0 {
            address.set_port(port_given.unwrap_or(0));
        }
        match Listener::tcp(address, &options(config, &addresses, asked)) {
            Ok(listener) => {
                let local = listener.local_address().map_err(|error| Error::new(address, error))?;
                port_given = port_given.or(local.as_inet().map(|local| local.port()));
                listeners.push(listener);
            }
            // A machine without IPv6 serves on what it has.
            Err(error) if address.is_ipv6() && is_absent(&error) => unsupported = Some(Error::new(address, error)),
            Err(error) => {
                let is_common_port = port == 0 || address.port() == port;
                return Err(Error { is_common_port, ..Error::new(address, error) });
            }
        }
    }
    match unsupported {
        Some(error) if listeners.is_empty() => Err(error),
        Some(error) => {
            warn!("{error}");
            Ok(listeners)
        }
        None => Ok(listeners),
    }
}

/// `[::]` takes IPv4 connections too, unless some IPv4 address of the same port is asked for by itself.
fn options(config: &Config, addresses: &[SocketAddr], address: SocketAddr) -> SocketOptions {
    let mut options = config.sockets.clone();
    // In HTTP the client speaks first.
    options.defer_accept = true;
    let mut beside = addresses.iter().filter(|other| other.port() == address.port());
    options.v6_only = address.is_ipv6() && address.ip().is_unspecified() && beside.any(SocketAddr::is_ipv4);
    options
}

fn is_absent(error: &io::Error) -> bool {
    error.get_ref().and_then(|error| error.downcast_ref()).is_some_and(ListenError::is_absent)
}

/// All addresses of all names, each once, and none that another one covers.
fn resolve(binds: &[Bind], port: u16) -> Result<Vec<SocketAddr>, Error> {
    let mut addresses = Vec::new();
    for bind in binds {
        let Bind::Inet { host, port: own_port } = bind else { continue };
        let found = (host.as_str(), own_port.unwrap_or(port)).to_socket_addrs();
        for address in found.map_err(|error| Error::new(bind, error))? {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    let all: Vec<SocketAddr> = addresses.iter().copied().filter(|address| address.ip().is_unspecified()).collect();
    let covers = |all: &SocketAddr, one: &SocketAddr| {
        all.is_ipv4() == one.is_ipv4() && all.port() == one.port() && !one.ip().is_unspecified()
    };
    addresses.retain(|address| !all.iter().any(|all| covers(all, address)));
    Ok(addresses)
}
