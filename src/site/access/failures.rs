//! How often each client may be wrong: a few times at once, then as many a minute. Who has to wait costs nothing.

use core::net::{IpAddr, Ipv6Addr};
use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The time in which a client may fail as often as it may at once.
const WINDOW: Duration = Duration::from_secs(60);

/// Clients that are remembered. Beyond that, who is nearest to being forgotten is.
const CLIENTS_MAX: usize = 4_096;

/// What is known of each client.
#[derive(Debug)]
pub(super) struct Failures {
    at_once_max: u32,
    clients: Mutex<HashMap<Option<Ipv6Addr>, Tally>>,
    /// An attempt has ended.
    ended: Condvar,
}

/// A client's.
#[derive(Clone, Copy, Debug)]
struct Tally {
    /// When all failures are forgotten.
    forgotten: Instant,
    /// Attempts that have not ended.
    under_way: u32,
}

impl Failures {
    pub(super) fn new(at_once_max: u32) -> Self {
        Self { at_once_max: at_once_max.max(1), clients: Mutex::default(), ended: Condvar::new() }
    }

    /// How long a client has to wait that was wrong too often.
    pub(super) fn wait(&self, client: Option<IpAddr>, now: Instant) -> Option<Duration> {
        let tally = *self.lock().get(&key(client))?;
        self.too_long(&tally, 1, now)
    }

    /// Begins an attempt, after others where all of them could fail and be too many. Fails with how long to wait.
    pub(super) fn begin(&self, client: Option<IpAddr>, now: Instant) -> Result<Attempt<'_>, Duration> {
        let (mut clients, mut now, client) = (self.lock(), now, key(client));
        loop {
            if clients.len() >= CLIENTS_MAX && !clients.contains_key(&client) {
                make_room(&mut clients, now);
            }
            let tally = clients.entry(client).or_insert(Tally { forgotten: now, under_way: 0 });
            tally.forgotten = tally.forgotten.max(now);
            if let Some(too_long) = self.too_long(tally, 1, now) {
                return Err(too_long);
            }
            if self.too_long(tally, tally.under_way + 1, now).is_none() {
                tally.under_way += 1;
                return Ok(Attempt { failures: self, client, is_failure: true });
            }
            clients = self.ended.wait(clients).unwrap_or_else(PoisonError::into_inner);
            now = now.max(Instant::now());
        }
    }

    /// How much later than it may be so many more failures would be forgotten.
    fn too_long(&self, tally: &Tally, more: u32, now: Instant) -> Option<Duration> {
        let forgotten = tally.forgotten.max(now) + self.cost() * more;
        let too_long = forgotten.saturating_duration_since(now).saturating_sub(WINDOW);
        (!too_long.is_zero()).then_some(too_long)
    }

    fn cost(&self) -> Duration {
        WINDOW / self.at_once_max
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Option<Ipv6Addr>, Tally>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An attempt that is under way. It is a failure in the end, unless somebody says otherwise.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    failures: &'a Failures,
    client: Option<Ipv6Addr>,
    is_failure: bool,
}

impl Attempt<'_> {
    /// It ends, and is none.
    pub(super) fn forgive(mut self) {
        self.is_failure = false;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if let Some(tally) = self.failures.lock().get_mut(&self.client) {
            tally.under_way -= 1;
            if self.is_failure {
                tally.forgotten += self.failures.cost();
            }
        }
        self.failures.ended.notify_all();
    }
}

/// Forgets clients that have failed at nothing, or else who is nearest to that; none with an attempt under way.
fn make_room(clients: &mut HashMap<Option<Ipv6Addr>, Tally>, now: Instant) {
    clients.retain(|_, tally| tally.under_way > 0 || tally.forgotten > now);
    let settled = clients.iter().filter(|(_, tally)| tally.under_way == 0);
    if clients.len() >= CLIENTS_MAX
        && let Some(client) = settled.min_by_key(|(_, tally)| tally.forgotten).map(|(client, _)| *client)
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
    use std::thread;

    use super::*;

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    /// How long the client would have to wait; none where its attempt was allowed, and failed.
    fn fail(failures: &Failures, client: Option<IpAddr>, now: Instant) -> Option<Duration> {
        failures.begin(client, now).map(drop).err()
    }

    #[test]
    fn each_client_may_be_wrong_so_often_and_then_now_and_again() {
        let (failures, now) = (Failures::new(10), Instant::now());
        let one = address("192.0.2.1");
        assert!((0..10).all(|_| failures.wait(one, now).is_none() && fail(&failures, one, now).is_none()));
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(failures.wait(one, now), seconds(6));
        assert_eq!(fail(&failures, one, now), seconds(6));
        assert_eq!(fail(&failures, address("::ffff:192.0.2.1"), now), seconds(6));
        assert_eq!(fail(&failures, one, now + Duration::from_secs(5)), seconds(1));
        assert_eq!(fail(&failures, one, now + Duration::from_secs(6)), None);
        assert!(fail(&failures, one, now + Duration::from_secs(6)).is_some());
        // Others are no worse off.
        assert!(fail(&failures, address("192.0.2.2"), now).is_none() && fail(&failures, None, now).is_none());
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let (failures, now) = (Failures::new(1), Instant::now());
        assert_eq!(fail(&failures, address("2001:db8::1"), now), None);
        assert!(fail(&failures, address("2001:db8::2"), now).is_some());
        assert_eq!(fail(&failures, address("2001:db8:0:1::1"), now), None);
    }

    #[test]
    fn what_was_no_failure_does_not_count() {
        let (failures, now) = (Failures::new(2), Instant::now());
        for _ in 0..100 {
            failures.begin(None, now).unwrap().forgive();
        }
        assert!(fail(&failures, None, now).is_none() && fail(&failures, None, now).is_none());
        assert!(fail(&failures, None, now).is_some());
    }

    /// Of attempts at once no more begin than may fail, and the others find out what became of these.
    #[test]
    fn attempts_at_once_wait_for_what_becomes_of_others() {
        for is_right in [true, false] {
            let (failures, now) = (Failures::new(2), Instant::now());
            let first = failures.begin(None, now).unwrap();
            let second = failures.begin(None, now).unwrap();
            assert_eq!(failures.wait(None, now), None, "none has failed");
            thread::scope(|scope| {
                let third = scope.spawn(|| failures.begin(None, now).map(Attempt::forgive));
                if is_right {
                    first.forgive();
                    assert_eq!(third.join().unwrap(), Ok(()));
                    drop(second);
                } else {
                    drop((first, second));
                    assert!(third.join().unwrap().is_err());
                }
            });
        }
    }

    #[test]
    fn so_many_clients_are_remembered_and_no_more() {
        let (failures, now) = (Failures::new(1), Instant::now());
        let slow = failures.begin(address("2001:db8::1"), now).unwrap();
        for number in 0..2 * CLIENTS_MAX {
            let client = IpAddr::from(core::net::Ipv4Addr::from_bits(u32::try_from(number).unwrap()));
            assert_eq!(fail(&failures, Some(client), now + Duration::from_millis(number as u64)), None);
        }
        assert_eq!(failures.lock().len(), CLIENTS_MAX);
        // Those who failed last are.
        let last = IpAddr::from(core::net::Ipv4Addr::from_bits(2 * CLIENTS_MAX as u32 - 1));
        assert!(fail(&failures, Some(last), now + Duration::from_secs(9)).is_some());
        // And who has not ended.
        drop(slow);
        assert!(fail(&failures, address("2001:db8::1"), now).is_some());
    }
}
