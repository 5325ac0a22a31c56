//! The acceptor: a thread per listener that waits in poll(2), takes every connection that is ready, and queues it. No
//! error ends it.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{io, iter, thread};

use log::{error, warn};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::handler::Handler;
use super::listener::Listener;
use super::parking::{Connection, SlotId};
use super::pool::{Pool, unless_panicked};
use super::stop::Stop;

/// How long it stands back when the system has run out of something.
const PAUSE: Duration = Duration::from_millis(100);

/// How long who was about to connect when the server was told to stop has for its first bytes.
const LAST_CALL: Duration = Duration::from_millis(200);

/// So many connections may break in a row before they are taken. More are a trouble of the system: a sandbox that forbids
/// accept(2) says EPERM, as a firewall does of one connection.
const BROKEN_MAX: u32 = 64;

/// At most one line in the log of each kind in this time, for each acceptor.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(5);

/// Why the acceptor stops taking connections for a moment.
enum Rest {
    /// No connection is ready.
    Empty,
    /// All slots are taken.
    Full,
    /// The system refuses.
    Refused(io::Error),
}

/// The shards, and whose turn it is to get a connection.
pub(super) struct Shards<H: Handler> {
    pools: Vec<Arc<Pool<H>>>,
    next: usize,
}

impl<H: Handler> Shards<H> {
    pub(super) fn new(pools: Vec<Arc<Pool<H>>>) -> Self {
        Self { pools, next: 0 }
    }

    /// Has idle connections leave, of the next shard that has some; false when none is idle.
    fn make_room(&self) -> bool {
        let (before, after) = self.pools.split_at(self.next);
        after.iter().chain(before).any(|pool| pool.make_room())
    }

    /// A slot in the next shard that has one.
    fn reserve(&mut self) -> Option<Slot<'_, H>> {
        let (start, shards) = (self.next, self.pools.len());
        let pools = (0..shards).map(|step| (start + step) % shards);
        let (at, id) = pools.filter_map(|at| Some((at, self.pools[at].lot.reserve()?))).next()?;
        self.next = (at + 1) % shards;
        Some(Slot { pool: &self.pools[at], id: Some(id) })
    }
}

/// A slot that awaits a connection, and is given back if none comes.
struct Slot<'a, H: Handler> {
    pool: &'a Arc<Pool<H>>,
    id: Option<SlotId>,
}

impl<H: Handler> Slot<'_, H> {
    fn fill(mut self, connection: Box<Connection<H::Session>>) {
        if let Some(id) = self.id.take() {
            self.pool.lot.admit(id, connection);
            self.pool.queue(id);
        }
    }
}

impl<H: Handler> Drop for Slot<'_, H> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.pool.give_back(id);
        }
    }
}

/// An acceptor's life. A panic in it would be a fault of its own, as it calls no handler; others than it shouldn't
/// suffer for that.
pub(super) fn run<H: Handler>(mut listener: Listener, mut shards: Shards<H>, stop: &Arc<Stop>) {
    while unless_panicked(|| accept_forever(&mut listener, &mut shards, stop)).is_none() {
        error!("an acceptor panicked; it begins anew");
        wait(&[stop.as_fd()], Some(PAUSE));
    }
}

/// Accepts until the server stops; then has the shards serve what the backlog holds.
fn accept_forever<H: Handler>(listener: &mut Listener, shards: &mut Shards<H>, stop: &Arc<Stop>) {
    let mut complaints = Complaints::default();
    while !stop.is_requested() {
        wait(&[listener.as_fd(), stop.as_fd()], None);
        match accept_all(listener, shards, stop, None, &mut complaints) {
            Rest::Empty => {}
            Rest::Full if !is_ready(listener) => {}
            Rest::Full => {
                complaints.full.say(|| {
                    warn!("connections_max is reached: idle connections give way to new ones, or these wait");
                });
                wait_for_vacancy(shards, Some(stop), Duration::from_secs(1));
            }
            Rest::Refused(error) => {
                complaints.system.say(|| error!("a connection can't be accepted: {error}"));
                wait(&[stop.as_fd()], Some(PAUSE));
            }
        }
    }
    accept_last(listener, shards, stop, &mut complaints);
}

/// Takes what the backlog holds, and what is on its way there.
fn accept_last<H: Handler>(
    listener: &mut Listener,
    shards: &mut Shards<H>,
    stop: &Arc<Stop>,
    complaints: &mut Complaints,
) {
    let until = Instant::now() + LAST_CALL;
    let somebody_may_be_on_the_way = listener.is_approached();
    // Where newcomers can't be ignored, they are taken as well until then.
    let until_if_others_come = (!listener.ignore_newcomers()).then_some(until);
    loop {
        let rest = accept_all(listener, shards, stop, until_if_others_come, complaints);
        let time_left = until.saturating_duration_since(Instant::now());
        let is_over = time_left.is_zero() && until_if_others_come.is_some();
        match rest {
            Rest::Empty if somebody_may_be_on_the_way && !is_over && wait(&[listener.as_fd()], Some(time_left)) => {}
            Rest::Full if !time_left.is_zero() => wait_for_vacancy(shards, None, time_left),
            _ => return,
        }
    }
}

/// Takes every connection that is ready, each after a slot for it; not for longer than that, where there is an end.
fn accept_all<H: Handler>(
    listener: &Listener,
    shards: &mut Shards<H>,
    stop: &Arc<Stop>,
    until: Option<Instant>,
    complaints: &mut Complaints,
) -> Rest {
    let (mut taken, mut broken) = (0, 0);
    loop {
        if taken > 0 && until.is_some_and(|until| Instant::now() >= until) {
            return Rest::Empty;
        }
        let Some(slot) = shards.reserve() else { return Rest::Full };
        match listener.accept(stop) {
            Ok(stream) => {
                (taken, broken) = (taken + 1, 0);
                let connection = if slot.pool.clients.enter(stream.peer()) {
                    Connection::new(stream)
                } else {
                    complaints.client.say(|| warn!("{}: its client has too many connections", stream.peer()));
                    Connection::refused(stream)
                };
                slot.fill(connection);
            }
            Err(error) => {
                drop(slot);
                match error.kind() {
                    // Where several come at once more are on their way, and a sleep costs more than to let others go first.
                    io::ErrorKind::WouldBlock if taken > 1 && !stop.is_requested() => {
                        taken = 0;
                        thread::yield_now();
                    }
                    io::ErrorKind::WouldBlock => return Rest::Empty,
                    _ if concerns_one_connection(&error) && broken < BROKEN_MAX => broken += 1,
                    _ => return Rest::Refused(error),
                }
            }
        }
    }
}

fn is_ready(listener: &Listener) -> bool {
    wait(&[listener.as_fd()], Some(Duration::ZERO))
}

/// Errors that accept(2) passes on from a connection that broke before it was taken.
pub(super) fn concerns_one_connection(error: &io::Error) -> bool {
    let passed_on = [
        Errno::INTR,
        Errno::PROTO,
        Errno::PERM,
        Errno::NETDOWN,
        Errno::NETUNREACH,
        Errno::HOSTDOWN,
        Errno::HOSTUNREACH,
        Errno::OPNOTSUPP,
        Errno::NOPROTOOPT,
    ];
    error.kind() == io::ErrorKind::ConnectionAborted
        || Errno::from_io_error(error).is_some_and(|errno| passed_on.contains(&errno))
}

/// Waits for a slot, or a stop, and has idle connections give way. The wish is said before the last look, so that a slot given back
/// in between is not missed.
fn wait_for_vacancy<H: Handler>(shards: &mut Shards<H>, stop: Option<&Stop>, timeout: Duration) {
    let Some(vacancy) = shards.pools.first().map(|pool| Arc::clone(&pool.vacancy)) else { return };
    let alarm = vacancy.want();
    if shards.reserve().is_some() {
        return;
    }
    if !shards.make_room() {
        vacancy.want_from_anyone(true);
        // One that became idle in between has not heard of it.
        shards.make_room();
    }
    let sources: Vec<_> = iter::once(alarm.as_fd()).chain(stop.map(AsFd::as_fd)).collect();
    wait(&sources, Some(timeout));
    // A place may have been given back before that was said.
    vacancy.want_from_anyone(false);
}

/// Waits until one of these is readable; false when none is.
fn wait(sources: &[BorrowedFd<'_>], timeout: Option<Duration>) -> bool {
    let mut sources: Vec<_> = sources.iter().map(|source| PollFd::from_borrowed_fd(*source, PollFlags::IN)).collect();
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    // An error of poll(2) here is a signal or want of memory: trying again is all there is to do.
    poll(&mut sources, timeout.as_ref()).is_ok_and(|ready| ready > 0)
}

/// What may have to be said again and again.
#[derive(Default)]
struct Complaints {
    full: Complaint,
    client: Complaint,
    system: Complaint,
}

/// Keeps a lasting trouble from filling the log.
#[derive(Default)]
struct Complaint {
    last: Option<Instant>,
}

impl Complaint {
    fn say(&mut self, say: impl FnOnce()) {
        if self.last.is_none_or(|last| last.elapsed() >= COMPLAINT_INTERVAL) {
            self.last = Some(Instant::now());
            say();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socketserver::{Conn, Next, Options, Stream, Wake};

    struct Silent;

    impl Handler for Silent {
        type Session = ();

        fn setup(&self, _connection: &Conn<'_>) {}

        fn handle(&self, (): &mut (), _stream: &mut Stream, _wake: Wake) -> io::Result<Next> {
            Ok(Next::Close)
        }
    }

    /// A logger may panic, say, and the acceptor begins anew.
    #[test]
    fn no_panic_costs_a_slot() {
        let options = Options { connections_max: 1, ..Options::default() };
        let stop = Arc::new(Stop::new().unwrap());
        let mut shards = Shards::new(Pool::shards(Silent, &options, &stop).unwrap());
        let broken = unless_panicked(|| {
            let slot = shards.reserve();
            assert!(slot.is_none(), "a panic with the slot in hand");
        });
        assert!(broken.is_none() && shards.reserve().is_some());
    }
}
