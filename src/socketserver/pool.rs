//! The workers and their one queue.
//!
//! A worker takes jobs from the queue; when there are none it watches the poller, as all idle workers do at once: the
//! system gives an event to one of them. Who gets some serves the first of these connections itself and queues the rest.
//! So no thread is set apart for watching, a lone connection never changes hands, and an idle one costs no thread. The
//! rules that keep this from losing a wake-up:
//!
//! 1. A watcher first declares that it watches, then looks at the queue; when that is not empty it waits for nothing.
//! 2. Every push, and every worker that takes a job and leaves more behind, wakes a watcher, if there is one and no other
//!    wake-up is under way. A watcher that is woken says so before it looks at the queue.
//! 3. A wait lasts a second at most; deadlines are scanned once a second, by whoever notices, and before events are looked
//!    at, so that these don't hide them. When the queue is never empty, workers look for events all the same.
//! 4. Parking is: store, then arm (`parking/mod.rs`).
//! 5. A peer's hang-up is armed with reading only, and what is told only once is never waited for again (`poller.rs`).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::time::{Duration, Instant};
use std::{io, thread};

use super::clients::Clients;
use super::crew::{Crew, Life, end_conversation};
use super::handler::{Call, Conn, End, Handler, Interest, Next, Wake, Waker};
use super::options::Options;
use super::parking::{Connection, Parking, ParkingLot, SlotId, Wait, lock};
use super::poller::Events;
use super::queue::{Job, Queue};
use super::stop::Stop;
use super::vacancy::Vacancy;

/// How often deadlines are scanned.
const SCAN_INTERVAL: Duration = Duration::from_secs(1);

/// And while the server stops, which shall not take longer than it must.
const SCAN_INTERVAL_STOPPING: Duration = Duration::from_millis(50);

/// A spare worker with nothing to do waits so long at least: it may be the only one that can.
const LEAST_PATIENCE: Duration = Duration::from_millis(100);

/// A worker that always finds a job looks for events after so many.
const TURNS_BETWEEN_LOOKS: u32 = 16;

/// How long a stop waits for workers after the last connection is gone: they only have to leave, however busy the machine.
const FAREWELL: Duration = Duration::from_secs(10);

/// The same where a handler still runs that was given up.
const FAREWELL_GIVEN_UP: Duration = Duration::from_millis(500);

/// When places are wanted one connection of so many gives way, if it is idle: a look for those that are costs a look at
/// all.
const EVICTED_PART: usize = 256;
const EVICTED_MAX: usize = 64;

pub(super) struct Pool<H: Handler> {
    handler: Arc<H>,
    /// The handler's housekeeping is this pool's.
    tidies: bool,
    pub(super) lot: ParkingLot<H::Session>,
    pub(super) stop: Arc<Stop>,
    pub(super) vacancy: Arc<Vacancy>,
    pub(super) clients: Arc<Clients>,
    /// Idle connections that leave at once when places are wanted.
    evictions: usize,
    queue: Queue,
    crew: Arc<Crew>,
    /// Milliseconds since `epoch`.
    scan_due: AtomicU64,
    epoch: Instant,
    tidying: AtomicBool,
    gone: (Mutex<()>, Condvar),
    spare_idle_timeout: Duration,
}

/// What a worker needs to watch.
struct Lookout {
    events: Events,
    ready: Vec<SlotId>,
}

impl<H: Handler> Pool<H> {
    /// A pool for each shard.
    pub(super) fn shards(handler: H, options: &Options, stop: &Arc<Stop>) -> io::Result<Vec<Arc<Self>>> {
        let (handler, vacancy) = (Arc::new(handler), Arc::new(Vacancy::new()?));
        let clients = Arc::new(Clients::new(options.connections_per_client_max));
        let shards = options.of_each_shard();
        let shards = shards.iter().enumerate().map(|(number, options)| {
            let (vacancy, clients, stop) = (Arc::clone(&vacancy), Arc::clone(&clients), Arc::clone(stop));
            Self::new(Arc::clone(&handler), number == 0, options, vacancy, clients, stop)
        });
        shards.collect()
    }

    fn new(
        handler: Arc<H>,
        tidies: bool,
        options: &Options,
        vacancy: Arc<Vacancy>,
        clients: Arc<Clients>,
        stop: Arc<Stop>,
    ) -> io::Result<Arc<Self>> {
        let pool = Arc::new(Self {
            handler,
            tidies,
            lot: ParkingLot::new(options.connections_max)?,
            stop,
            vacancy,
            clients,
            evictions: (options.connections_max / EVICTED_PART).clamp(1, EVICTED_MAX),
            queue: Queue::new(),
            crew: Crew::new(options.workers_max.max(options.workers)),
            scan_due: AtomicU64::new(0),
            epoch: Instant::now(),
            tidying: AtomicBool::new(false),
            gone: (Mutex::new(()), Condvar::new()),
            spare_idle_timeout: options.spare_idle_timeout,
        });
        let weak = Arc::downgrade(&pool);
        pool.crew.on_hire(move |spare| weak.upgrade().map(|pool| Box::new(move || pool.work_on(spare)) as Life));
        Ok(pool)
    }

    /// Starts the workers.
    pub(super) fn start(&self, workers: usize) -> io::Result<()> {
        (0..workers.max(1)).try_for_each(|_| self.crew.hire(false))
    }

    /// Queues a connection that the lot holds as queued.
    pub(super) fn queue(&self, id: SlotId) {
        self.push(Job::Serve(id));
    }

    /// Queues it for a worker that looks at the queue next itself, so that nobody has to be woken for it.
    fn queue_behind(&self, id: SlotId) {
        self.queue.push_all([Job::Serve(id)]);
    }

    /// Tells the connections of a stop.
    pub(super) fn say_stop(&self) {
        self.scan_due.store(0, Ordering::Relaxed);
        self.lot.stop(|id| self.queue(id));
    }

    /// Ends every connection: what is under way may finish in this time; then the workers leave.
    pub(super) fn wind_down(&self, until: Instant) {
        let time_left = until.saturating_duration_since(Instant::now());
        if !self.wait_until_empty(time_left) {
            log::warn!("{} connections did not finish in time and are cut", self.lot.occupied());
            self.stop.set_overdue();
            self.cut_all();
        }
        self.crew.end_rest();
        self.push(Job::Leave);
        let is_empty = self.lot.occupied() == 0;
        self.crew.wait_until_gone(if is_empty { FAREWELL } else { FAREWELL_GIVEN_UP });
        // Those that a worker had in its hands before, and parked since.
        self.cut_all();
    }

    fn cut_all(&self) {
        for (id, connection) in self.lot.clear() {
            self.end(id, connection, End::Stopped);
        }
    }

    /// Waits until no connection is left; false when that takes longer.
    fn wait_until_empty(&self, timeout: Duration) -> bool {
        let (mutex, condvar) = &self.gone;
        let waited = condvar.wait_timeout_while(lock(mutex), timeout, |()| self.lot.occupied() > 0);
        waited.is_ok_and(|(_, waited)| !waited.timed_out())
    }

    /// Says to a stopping server that a connection is gone.
    fn say_gone(&self) {
        if self.stop.is_requested() {
            drop(lock(&self.gone.0));
            self.gone.1.notify_all();
        }
    }

    fn push(&self, job: Job) {
        self.queue.push(job, self.lot.poller());
    }

    /// A worker's life.
    fn work_on(self: &Arc<Self>, spare: bool) {
        while unless_panicked(|| self.work(spare)).is_none() {
            log::error!("a worker panicked outside of its handler; it begins anew");
        }
    }

    /// Works until it is told to leave, or nobody needs it.
    fn work(self: &Arc<Self>, spare: bool) {
        let mut lookout = Lookout { events: Events::new(), ready: Vec::new() };
        let mut idle_since = Instant::now();
        let mut turns = 0;
        loop {
            let job = if turns < TURNS_BETWEEN_LOOKS { self.queue.take(self.lot.poller()) } else { None };
            let served = match job {
                Some(Job::Serve(id)) => {
                    turns += 1;
                    self.serve(id);
                    true
                }
                Some(Job::Leave) => {
                    self.crew.leave();
                    return self.push(Job::Leave);
                }
                None => {
                    turns = 0;
                    let patience = spare.then(|| self.spare_idle_timeout.saturating_sub(idle_since.elapsed()));
                    let patience = patience.map(|patience| patience.max(LEAST_PATIENCE));
                    self.watch(&mut lookout, patience)
                }
            };
            if spare && self.spare_leaves(served, &mut idle_since) {
                return;
            }
        }
    }

    /// Whether a spare worker leaves now, which has just served a connection or found nothing to do. It rests where the
    /// others are enough, and leaves when it hasn't been needed for a while.
    fn spare_leaves(&self, served: bool, idle_since: &mut Instant) -> bool {
        if served {
            if self.crew.has_surplus() {
                // What this worker was woken for may be there still.
                if !self.queue.is_empty() {
                    self.queue.wake_watcher(self.lot.poller());
                }
                if !self.crew.rest(self.spare_idle_timeout) {
                    return true;
                }
            }
        } else if idle_since.elapsed() < self.spare_idle_timeout {
            return false;
        } else if self.queue.is_empty() && self.crew.may_leave() {
            // With a job in it, a wake-up that reached this worker would be one that nobody else has heard.
            return true;
        }
        *idle_since = Instant::now();
        false
    }

    /// Gives a connection its turn, and parks, queues or ends it as its handler says.
    fn serve(self: &Arc<Self>, id: SlotId) {
        let Some((mut connection, wake, tenancy)) = self.lot.take(id) else { return };
        let turn = unless_panicked(|| self.turn(id, &mut connection, wake, tenancy));
        end_conversation();
        match turn {
            Some(Ok(Next::Wait(interest, deadline))) => {
                self.park(id, connection, Wait { interest, deadline, idle: false });
            }
            Some(Ok(Next::Idle(deadline))) => {
                self.park(id, connection, Wait { interest: Interest::Read, deadline, idle: true });
                if self.vacancy.is_wanted_from_anyone() && self.lot.hurry(id) {
                    self.queue_behind(id);
                }
            }
            Some(Ok(Next::Again)) => {
                self.lot.requeue(id, connection, &self.stop);
                self.queue_behind(id);
            }
            Some(Ok(Next::Close)) => {
                let end = connection.stream.end_of_close();
                self.end(id, connection, end);
            }
            Some(Err(error)) => self.end(id, connection, End::Failed(error)),
            None => {
                log::error!("{}: a handler panicked; the connection is closed", connection.stream.peer());
                self.end(id, connection, End::Panicked);
            }
        }
    }

    fn park(&self, id: SlotId, connection: Box<Connection<H::Session>>, wait: Wait) {
        match self.lot.park(id, connection, wait, &self.stop) {
            Parking::Done => {}
            Parking::Requeue => self.queue_behind(id),
            Parking::Failed(connection, error) => self.end(id, connection, End::Failed(error)),
        }
    }

    /// Has idle connections leave for new ones; false when none is idle.
    pub(super) fn make_room(&self) -> bool {
        let mut leaves = false;
        self.lot.evict(self.evictions, |id| {
            leaves = true;
            self.queue(id);
        });
        leaves
    }

    fn turn(
        self: &Arc<Self>,
        id: SlotId,
        connection: &mut Connection<H::Session>,
        wake: Wake,
        tenancy: u32,
    ) -> io::Result<Next> {
        let stream = &mut connection.stream;
        stream.waiting = self.queue.len();
        if connection.is_refused {
            self.handler.refuse(stream);
            return Ok(Next::Close);
        }
        let session = match &mut connection.session {
            Some(session) => session,
            None if !self.handler.verify(stream.peer()) => return Ok(Next::Close),
            None => {
                let pool: Weak<dyn Call> = Arc::<Self>::downgrade(self);
                let waker = Waker { pool, slot: id, tenancy };
                connection.session.insert(self.handler.setup(&Conn { stream, waker: &waker }))
            }
        };
        self.handler.handle(session, stream, wake)
    }

    /// Closes a connection, after its handler has said goodbye to the session.
    fn end(&self, id: SlotId, mut connection: Box<Connection<H::Session>>, end: End) {
        if let Some(session) = connection.session.take()
            && unless_panicked(|| self.handler.finish(session, end)).is_none()
        {
            log::error!("{}: a handler panicked in finish", connection.stream.peer());
        }
        if !connection.is_refused {
            self.clients.leave(connection.stream.peer());
        }
        self.lot.vacate(id, Some(connection));
        self.say_vacant();
    }

    /// Takes back a slot that got no connection.
    pub(super) fn give_back(&self, id: SlotId) {
        self.lot.vacate(id, None);
        self.say_vacant();
    }

    /// Says to an acceptor that waits for a slot, and to a stopping server, that one is free.
    fn say_vacant(&self) {
        self.vacancy.say();
        self.say_gone();
    }

    /// Waits for events, queues who is ready or overdue, and serves the first of them; false when there was none.
    fn watch(self: &Arc<Self>, lookout: &mut Lookout, patience: Option<Duration>) -> bool {
        let look = self.lot.begin_look();
        let waited = self.wait_for_events(&mut lookout.events, patience);
        if let Err(error) = waited {
            log::error!("waiting for events failed: {error}");
            thread::sleep(Duration::from_millis(10));
        }
        let now = Instant::now();
        let ready = &mut lookout.ready;
        let scans = self.is_scan_due(now);
        if scans {
            self.lot.overdue(now, |id| ready.push(id));
        }
        ready.extend(lookout.events.iter().filter_map(|event| self.lot.ready(event, look, now)));
        let mut ready = ready.drain(..);
        let first = ready.next();
        self.queue.push_all(ready.map(Job::Serve));
        self.queue.wake_for_more(self.lot.poller());
        if let Some(id) = first {
            self.serve(id);
        }
        if scans {
            self.service_actions();
        }
        first.is_some()
    }

    fn wait_for_events(&self, events: &mut Events, patience: Option<Duration>) -> io::Result<()> {
        let now = self.milliseconds(Instant::now());
        let until_scan = Duration::from_millis(self.scan_due.load(Ordering::Relaxed).saturating_sub(now));
        let timeout = patience.map_or(until_scan, |patience| patience.min(until_scan));
        // Where cores are scarce the clients have their turn first: more is ready then at once, and fewer waits are needed.
        thread::yield_now();
        self.queue.begin_watching();
        let waited = self.lot.poller().wait(events, if self.queue.is_empty() { timeout } else { Duration::ZERO });
        self.queue.end_watching(waited.is_err() || events.has_wake_up());
        waited
    }

    /// Whether deadlines have to be scanned now, and by whom: it is true for one worker each time.
    fn is_scan_due(&self, now: Instant) -> bool {
        let (due, now) = (self.scan_due.load(Ordering::Relaxed), self.milliseconds(now));
        let interval = if self.stop.is_requested() { SCAN_INTERVAL_STOPPING } else { SCAN_INTERVAL };
        let next = now + interval.as_millis() as u64;
        now >= due && self.scan_due.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    fn milliseconds(&self, instant: Instant) -> u64 {
        u64::try_from(instant.saturating_duration_since(self.epoch).as_millis()).unwrap_or(u64::MAX)
    }

    /// The handler's housekeeping; skipped when the last one still runs.
    fn service_actions(&self) {
        if !self.tidies || self.tidying.swap(true, Ordering::SeqCst) {
            return;
        }
        if unless_panicked(|| self.handler.service_actions()).is_none() {
            log::error!("a handler panicked in service_actions");
        }
        self.tidying.store(false, Ordering::SeqCst);
    }
}

impl<H: Handler> Call for Pool<H> {
    fn call(&self, slot: u32, tenancy: u32) {
        if self.lot.call(slot, tenancy) {
            self.queue(slot);
        }
    }
}

/// What this gives; nothing when it panicked. What it panicked with may panic once more when it is dropped, and is then
/// left where it is.
pub(super) fn unless_panicked<T>(work: impl FnOnce() -> T) -> Option<T> {
    let payload = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(value) => return Some(value),
        Err(payload) => payload,
    };
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(payload);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socketserver::{Stream, slow};

    struct Deaf;

    impl Handler for Deaf {
        type Session = ();
        fn setup(&self, _connection: &Conn<'_>) {}
        fn handle(&self, (): &mut (), _stream: &mut Stream, _wake: Wake) -> io::Result<Next> {
            Ok(Next::Close)
        }
    }

    fn pool(change: impl FnOnce(&mut Options)) -> Arc<Pool<Deaf>> {
        let mut options = Options { connections_max: 4, ..Options::default() };
        change(&mut options);
        Pool::shards(Deaf, &options, &Arc::new(Stop::new().unwrap())).unwrap().remove(0)
    }

    fn wait_until(condition: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !condition() {
            assert!(Instant::now() < deadline, "it doesn't happen");
            thread::yield_now();
        }
    }

    #[test]
    fn a_spare_worker_comes_for_a_waiting_one_and_leaves_when_idle() {
        let pool = pool(|options| options.spare_idle_timeout = Duration::from_millis(50));
        pool.start(1).unwrap();
        pool.crew.join();
        slow(|| assert_eq!(pool.crew.workers(), 2));
        wait_until(|| pool.crew.workers() == 1);
        pool.stop.request();
        pool.wind_down(Instant::now());
        assert_eq!(pool.crew.workers(), 0);
    }

    /// Gives the workers something to do, and says whether one of them rests.
    fn has_rested(pool: &Pool<Deaf>) -> bool {
        if pool.queue.is_empty() {
            pool.queue(0);
        }
        pool.crew.resting() > 0
    }

    /// However busy the others are: so many threads would be in each other's way.
    #[test]
    fn spare_workers_rest_when_all_are_back_and_are_called_first() {
        let pool = pool(|options| options.spare_idle_timeout = Duration::from_secs(600));
        pool.start(1).unwrap();
        pool.crew.join();
        slow(|| assert_eq!(pool.crew.workers(), 2));
        // Whoever is spare gets a job sooner or later, and then sees that it isn't needed. (The test is one of the crew by
        // halves: it was away, and has come back, so that it counts.)
        wait_until(|| has_rested(&pool));
        slow(|| assert_eq!(pool.crew.workers(), 2, "nobody new"));
        wait_until(|| has_rested(&pool));
        pool.stop.request();
        pool.wind_down(Instant::now());
        assert_eq!(pool.crew.workers(), 0);
    }

    #[test]
    fn a_worker_that_panics_by_itself_works_on() {
        let pool = pool(|_| {});
        pool.start(1).unwrap();
        // No lot has a slot of this number.
        (0..3).for_each(|_| pool.queue(SlotId::MAX));
        wait_until(|| pool.queue.is_empty());
        pool.stop.request();
        pool.wind_down(Instant::now());
        assert_eq!(pool.crew.workers(), 0, "it has seen the word to leave");
    }

    #[test]
    fn there_are_never_more_workers_than_allowed() {
        let pool = pool(|options| (options.workers, options.workers_max) = (1, 1));
        pool.start(1).unwrap();
        pool.crew.join();
        slow(|| slow(|| assert_eq!(pool.crew.workers(), 1)));
        pool.stop.request();
        pool.wind_down(Instant::now());
        assert_eq!(pool.crew.workers(), 0);
    }
}
