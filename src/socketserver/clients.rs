//! How many connections each client has, where that is limited.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;

use super::address::Peer;
use super::parking::lock;

pub(super) struct Clients {
    max: usize,
    open: Mutex<HashMap<Ipv6Addr, usize>>,
}

impl Clients {
    /// At most so many for each; 0 is no limit.
    pub(super) fn new(max: usize) -> Self {
        Self { max, open: Mutex::default() }
    }

    /// Counts one more connection of this peer's client; false when that would be too many.
    pub(super) fn enter(&self, peer: &Peer) -> bool {
        let Some(client) = self.client(peer) else { return true };
        let mut clients = lock(&self.open);
        let open = clients.entry(client).or_default();
        let has_room = *open < self.max;
        *open += usize::from(has_room);
        has_room
    }

    /// One that was counted is gone.
    pub(super) fn leave(&self, peer: &Peer) {
        let Some(client) = self.client(peer) else { return };
        let mut clients = lock(&self.open);
        if let Some(open) = clients.get_mut(&client) {
            *open -= 1;
            if *open == 0 {
                clients.remove(&client);
            }
        }
    }

    /// Who counts as one: an IPv4 address, or the IPv6 addresses of one network (/64), of which anybody has plenty. None
    /// where nobody is counted.
    fn client(&self, peer: &Peer) -> Option<Ipv6Addr> {
        const NETWORK: u128 = !(u64::MAX as u128);
        let address = peer.address().as_inet().filter(|_| self.max > 0)?;
        match address.ip().to_canonical() {
            IpAddr::V4(address) => Some(address.to_ipv6_mapped()),
            IpAddr::V6(address) => Some(Ipv6Addr::from_bits(address.to_bits() & NETWORK)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socketserver::Address;

    fn peer(address: &str) -> Peer {
        Peer::new(Address::Inet(address.parse().unwrap()), None)
    }

    #[test]
    fn each_client_has_its_own_places() {
        let clients = Clients::new(2);
        let (one, again, mapped) = (peer("192.0.2.1:1"), peer("192.0.2.1:2"), peer("[::ffff:192.0.2.1]:3"));
        assert!(clients.enter(&one) && clients.enter(&again) && !clients.enter(&mapped));
        assert!(clients.enter(&peer("192.0.2.2:1")));
        clients.leave(&again);
        assert!(clients.enter(&mapped) && !clients.enter(&one));
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let clients = Clients::new(1);
        assert!(clients.enter(&peer("[2001:db8::1]:1")) && !clients.enter(&peer("[2001:db8::2]:1")));
        assert!(clients.enter(&peer("[2001:db8:0:1::1]:1")));
        clients.leave(&peer("[2001:db8::1]:1"));
        assert!(clients.enter(&peer("[2001:db8::3]:1")));
        clients.leave(&peer("[2001:db8::3]:1"));
        clients.leave(&peer("[2001:db8:0:1::1]:1"));
        assert!(lock(&clients.open).is_empty(), "who has none takes no memory");
    }

    #[test]
    fn without_a_limit_nobody_is_counted() {
        let clients = Clients::new(0);
        assert!((0..10).all(|_| clients.enter(&peer("192.0.2.1:1"))));
        assert!(lock(&clients.open).is_empty());
    }
}
