//! What the program says on standard output when it is ready: a banner for a person, one stable line for a program.

use std::io::IsTerminal as _;
use std::net::{IpAddr, SocketAddr};

use log::info;
use rustix::net::sockopt::ipv6_v6only;
use salver::config::Config;
use salver::socketserver::Listener;

use super::logging::one_line;

/// The text, with its last end of line.
pub(super) fn text(config: &Config, listeners: &[Listener]) -> String {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in listeners.iter().flat_map(reachable) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    let root = one_line(&config.files.shown().display().to_string());
    let mut urls: Vec<String> = addresses.iter().map(|address| format!("http://{address}")).collect();
    let others = listeners.iter().filter_map(|listener| listener.local_address().ok());
    urls.extend(others.filter(|address| address.as_inet().is_none()).map(|address| address.to_string()));
    let file = config.file.as_ref().map(|file| one_line(&format!("configured by {}", file.display())));
    if std::io::stdout().is_terminal() {
        for_person(&root, &urls, file.as_deref())
    } else {
        file.iter().for_each(|file| info!("{file}"));
        format!("salver: serving {root} at {}\n", urls.join(", "))
    }
}

fn for_person(root: &str, urls: &[String], file: Option<&str>) -> String {
    let mut lines = vec![format!("salver {} serves {root}", env!("CARGO_PKG_VERSION"))];
    lines.extend(file.map(str::to_owned));
    lines.push(String::new());
    lines.extend_from_slice(urls);
    lines.extend([String::new(), "Ctrl-C stops it.".to_owned()]);
    let indented = lines.iter().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("  {line}\n") });
    format!("\n{}\n", indented.collect::<String>())
}

/// The addresses under which a listener can be reached: its own, or with `0.0.0.0` and `[::]` those of all interfaces.
/// Link-local ones of IPv6 mean nothing in a URL.
fn reachable(listener: &Listener) -> Vec<SocketAddr> {
    let Some(address) = listener.local_address().ok().and_then(|address| address.as_inet()) else { return Vec::new() };
    if !address.ip().is_unspecified() {
        return vec![address];
    }
    let takes_v4 = address.is_ipv4() || ipv6_v6only(listener).is_ok_and(|v6_only| !v6_only);
    let in_url = |ip: &IpAddr| match ip {
        IpAddr::V4(_) => takes_v4,
        IpAddr::V6(ip) => address.is_ipv6() && !ip.is_unicast_link_local(),
    };
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let mut found: Vec<IpAddr> = interfaces.iter().map(|interface| interface.ip()).filter(in_url).collect();
    found.sort_by_key(|ip| (!ip.is_loopback(), ip.is_ipv6()));
    found.dedup();
    if found.is_empty() {
        vec![address]
    } else {
        found.into_iter().map(|ip| SocketAddr::new(ip, address.port())).collect()
    }
}
