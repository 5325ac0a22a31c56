//! How often each client may be wrong: a few times at once, then as many a minute. Who has to wait costs nothing.

use core::net::{IpAddr, Ipv6Addr};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The time in which a client may fail as often as it may at once.
const WINDOW: Duration = Duration::from_secs(60);

/// Clients that are remembered. Beyond that, who is nearest to being forgotten is.
const CLIENTS_MAX: usize = 4_096;

/// Failures of each client, as the instant when all of them are forgotten.
#[derive(Debug)]
pub(super) struct Failures {
    at_once_max: u32,
    forgotten: Mutex<HashMap<Option<Ipv6Addr>, Instant>>,
}

impl Failures {
    pub(super) fn new(at_once_max: u32) -> Self {
        Self { at_once_max: at_once_max.max(1), forgotten: Mutex::default() }
    }

    /// How long a client has to wait that was wrong too often.
    pub(super) fn wait(&self, client: Option<IpAddr>, now: Instant) -> Option<Duration> {
        let forgotten = *self.lock().get(&key(client))?;
        self.too_long(forgotten + self.cost(), now)
    }

    /// Counts a failure ahead of it, so that none that are under way at once are too many. Fails with how long to wait.
    pub(super) fn begin(&self, client: Option<IpAddr>, now: Instant) -> Result<(), Duration> {
        let mut clients = self.lock();
        let client = key(client);
        let forgotten = clients.get(&client).copied().unwrap_or(now).max(now);
        let next = forgotten + self.cost();
        if let Some(too_long) = self.too_long(next, now) {
            return Err(too_long);
        }
        if clients.len() >= CLIENTS_MAX && !clients.contains_key(&client) {
            make_room(&mut clients, now);
        }
        clients.insert(client, next);
        Ok(())
    }

    /// It was none.
    pub(super) fn take_back(&self, client: Option<IpAddr>) {
        if let Some(forgotten) = self.lock().get_mut(&key(client)) {
            *forgotten = forgotten.checked_sub(self.cost()).unwrap_or(*forgotten);
        }
    }

    /// How much later than it may be a failure would be forgotten.
    fn too_long(&self, forgotten: Instant, now: Instant) -> Option<Duration> {
        let too_long = forgotten.saturating_duration_since(now).saturating_sub(WINDOW);
        (!too_long.is_zero()).then_some(too_long)
    }

    fn cost(&self) -> Duration {
        WINDOW / self.at_once_max
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Option<Ipv6Addr>, Instant>> {
        self.forgotten.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn make_room(clients: &mut HashMap<Option<Ipv6Addr>, Instant>, now: Instant) {
    clients.retain(|_, forgotten| *forgotten > now);
    if clients.len() >= CLIENTS_MAX
        && let Some(client) = clients.iter().min_by_key(|(_, forgotten)| **forgotten).map(|(client, _)| *client)
    {
        clients.remove(&client);
    }
}

/// Who counts as one: an IPv4 address, the IPv6 addresses of one network (/64), or all clients of UNIX sockets.
fn key(client: Option<IpAddr>) -> Option<Ipv6Addr> {
    const NETWORK: u128 = !(u64::MAX as u128);
    client.map(|address| match address.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & NETWORK),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn each_client_may_be_wrong_so_often_and_then_now_and_again() {
        let (failures, now) = (Failures::new(10), Instant::now());
        let one = address("192.0.2.1");
        assert!((0..10).all(|_| failures.wait(one, now).is_none() && failures.begin(one, now).is_ok()));
        assert_eq!(failures.wait(one, now), Some(Duration::from_secs(6)));
        assert_eq!(failures.begin(one, now), Err(Duration::from_secs(6)));
        assert_eq!(failures.begin(address("::ffff:192.0.2.1"), now), Err(Duration::from_secs(6)));
        assert_eq!(failures.begin(one, now + Duration::from_secs(5)), Err(Duration::from_secs(1)));
        assert_eq!(failures.begin(one, now + Duration::from_secs(6)), Ok(()));
        assert!(failures.begin(one, now + Duration::from_secs(6)).is_err());
        // Others are no worse off.
        assert!(failures.begin(address("192.0.2.2"), now).is_ok() && failures.begin(None, now).is_ok());
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let (failures, now) = (Failures::new(1), Instant::now());
        assert!(failures.begin(address("2001:db8::1"), now).is_ok());
        assert!(failures.begin(address("2001:db8::2"), now).is_err());
        assert!(failures.begin(address("2001:db8:0:1::1"), now).is_ok());
    }

    #[test]
    fn what_was_no_failure_is_taken_back() {
        let (failures, now) = (Failures::new(2), Instant::now());
        for _ in 0..100 {
            failures.begin(None, now).unwrap();
            failures.take_back(None);
        }
        assert!(failures.begin(None, now).is_ok() && failures.begin(None, now).is_ok());
        assert!(failures.begin(None, now).is_err());
    }

    #[test]
    fn so_many_clients_are_remembered_and_no_more() {
        let (failures, now) = (Failures::new(1), Instant::now());
        for number in 0..2 * CLIENTS_MAX {
            let client = IpAddr::from(core::net::Ipv4Addr::from_bits(u32::try_from(number).unwrap()));
            failures.begin(Some(client), now + Duration::from_millis(number as u64)).unwrap();
        }
        assert_eq!(failures.lock().len(), CLIENTS_MAX);
        // Those who failed last are.
        let last = IpAddr::from(core::net::Ipv4Addr::from_bits(2 * CLIENTS_MAX as u32 - 1));
        assert!(failures.begin(Some(last), now + Duration::from_secs(9)).is_err());
    }
}
