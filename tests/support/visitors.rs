//! Good clients: they ask, wait for the answer, and lose patience with no one but the tester.

use std::net::SocketAddr;
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::{Client, Reply, get};

/// A client that keeps its connection, and opens another one when the server has closed it between two requests, as
/// RFC 9112 section 9.3.1 wants. A request that was lost in any other way is a failure.
pub struct Visitor {
    address: SocketAddr,
    client: Option<Client>,
    /// Connections that the server closed while they were idle.
    pub reopened: usize,
}

impl Visitor {
    pub fn new(address: SocketAddr) -> Self {
        Self { address, client: None, reopened: 0 }
    }

    #[track_caller]
    pub fn get(&mut self, target: &str, lines: &str) -> Reply {
        let request = get(target, lines);
        let kept = self.client.take().and_then(|mut client| {
            let reply = client.try_send(&request).then(|| client.next_reply(false)).flatten();
            self.reopened += usize::from(reply.is_none());
            Some((reply?, client))
        });
        let (reply, client) = kept.unwrap_or_else(|| {
            let mut client = Client::connect(self.address);
            client.send(&request);
            (client.reply(), client)
        });
        self.client = (reply.field("connection") != Some("close")).then_some(client);
        reply
    }
}

/// Good clients, `count` of them, each with a pause between its requests, beside what `meanwhile` does. `visit` makes
/// one request of one of them and checks its answer. Gives what `meanwhile` gave, and how long the answers took.
pub fn beside<T>(
    address: SocketAddr,
    count: usize,
    pause: Duration,
    visit: impl Fn(&mut Visitor, usize) + Sync,
    meanwhile: impl FnOnce() -> T,
) -> (T, Times) {
    let (is_over, times) = (Over::default(), Mutex::new(Vec::new()));
    let result = thread::scope(|scope| {
        // Also when something panics: else the others would go on for ever.
        let over = is_over.say_when_dropped();
        for number in 0..count {
            let (is_over, times, visit) = (&is_over, &times, &visit);
            scope.spawn(move || {
                let over = is_over.say_when_dropped();
                let (mut visitor, mut taken) = (Visitor::new(address), Vec::new());
                loop {
                    let asked = Instant::now();
                    visit(&mut visitor, number);
                    taken.push(asked.elapsed());
                    if is_over.is_said_within(pause) {
                        break;
                    }
                }
                std::mem::forget(over);
                times.lock().unwrap().append(&mut taken);
            });
        }
        let result = meanwhile();
        drop(over);
        result
    });
    let mut times = times.into_inner().unwrap();
    times.sort_unstable();
    (result, Times(times))
}

/// How long answers took, in order.
pub struct Times(Vec<Duration>);

impl Times {
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The time that `share` of them took at most.
    pub fn quantile(&self, share: f64) -> Duration {
        let at = (self.0.len() as f64 * share) as usize;
        self.0.get(at.min(self.0.len().saturating_sub(1))).copied().unwrap_or_default()
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let milliseconds = |share| self.quantile(share).as_secs_f64() * 1e3;
        let (half, most, nearly_all, all) =
            (milliseconds(0.5), milliseconds(0.99), milliseconds(0.999), milliseconds(1.0));
        let count = self.count();
        write!(f, "{count} answers: p50 {half:.2} ms, p99 {most:.2} ms, p99.9 {nearly_all:.2} ms, max {all:.2} ms")
    }
}

/// Said once, heard by everyone.
#[derive(Default)]
struct Over {
    said: Mutex<bool>,
    changed: Condvar,
}

impl Over {
    fn is_said_within(&self, time: Duration) -> bool {
        let said = self.said.lock().unwrap();
        *self.changed.wait_timeout_while(said, time, |said| !*said).unwrap().0
    }

    fn say_when_dropped(&self) -> impl Drop + '_ {
        struct Say<'a>(&'a Over);
        impl Drop for Say<'_> {
            fn drop(&mut self) {
                *self.0.said.lock().unwrap() = true;
                self.0.changed.notify_all();
            }
        }
        Say(self)
    }
}
