//! The workers and their one queue.
//!
//! Watching the poller is a job like any other, and exactly one such job exists. Whoever draws it waits for events,
//! queues the connections that are ready or overdue, and puts it back. So no thread is set apart for watching, and an
//! idle connection costs none. The rules that keep this from losing a wake-up:
//!
//! 1. The watcher first declares that it watches, then looks at the queue; when that is not empty it waits for nothing.
//! 2. Every push wakes a sleeping watcher, unless an idle worker is there to take the job; and every worker that takes
//!    a job and leaves more behind wakes it too.
//! 3. A wait lasts a second at most; deadlines are scanned once a second.
//! 4. Parking is: store, then arm (`parking.rs`).
//! 5. A peer's hang-up is armed with reading only, and what is told only once is never waited for again (`poller.rs`).
//! 6. The watch job returns to the queue even when its worker panics.
//! 7. A lone event goes to the watcher itself, once the watch job is back in the queue: one hop less.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::time::{Duration, Instant};
use std::{io, thread};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::alarm::Alarm;
use super::crew::Crew;
use super::handler::{Call, Conn, End, Handler, Next, Wake, Waker};
use super::options::Options;
use super::parking::{Connection, Parking, ParkingLot, SlotId, lock};
use super::poller::{Events, Poller};
use super::stop::Stop;

/// How often deadlines are scanned, and how long a wait lasts at most.
const SCAN_INTERVAL: Duration = Duration::from_secs(1);

/// How long a stop waits for workers after the last connection is gone or given up.
const FAREWELL: Duration = Duration::from_millis(500);

/// What a worker can draw from the queue.
enum Job {
    /// Give this connection its turn.
    Serve(SlotId),
    /// Wait for events; there is one such job.
    Watch,
    /// Leave, and pass it on.
    Leave,
}

pub(super) struct Pool<H: Handler> {
    handler: H,
    pub(super) lot: ParkingLot<H::Session>,
    pub(super) stop: Arc<Stop>,
    /// Rung when a slot becomes vacant while an acceptor waits for one.
    pub(super) vacancy: Alarm,
    pub(super) vacancy_wanted: AtomicBool,
    queue: Queue,
    crew: Arc<Crew>,
    scan_due: Mutex<Instant>,
    tidying: AtomicBool,
    gone: (Mutex<()>, Condvar),
    spare_idle_timeout: Duration,
}

/// What a worker needs for the watch job.
struct Lookout {
    events: Events,
    ready: Vec<SlotId>,
}

impl<H: Handler> Pool<H> {
    pub(super) fn new(handler: H, options: &Options, stop: Arc<Stop>) -> io::Result<Arc<Self>> {
        let jobs = options.connections_max.saturating_add(options.workers_max).saturating_add(2);
        let pool = Arc::new(Self {
            handler,
            lot: ParkingLot::new(options.connections_max)?,
            stop,
            vacancy: Alarm::new()?,
            vacancy_wanted: AtomicBool::new(false),
            queue: Queue::new(jobs),
            crew: Crew::new(options.workers_max.max(options.workers)),
            scan_due: Mutex::new(Instant::now()),
            tidying: AtomicBool::new(false),
            gone: (Mutex::new(()), Condvar::new()),
            spare_idle_timeout: options.spare_idle_timeout,
        });
        let weak = Arc::downgrade(&pool);
        pool.crew.on_hire(move |spare| start_worker(&weak, spare));
        Ok(pool)
    }

    /// Starts the workers, and the watching with them.
    pub(super) fn start(&self, workers: usize) -> io::Result<()> {
        self.push(Job::Watch);
        (0..workers.max(1)).try_for_each(|_| self.crew.hire(false))
    }

    /// Queues a connection that the lot holds as queued.
    pub(super) fn queue(&self, id: SlotId) {
        self.push(Job::Serve(id));
    }

    /// Ends every connection: what is under way may finish in `timeout`; then the workers leave.
    pub(super) fn wind_down(&self, timeout: Duration) {
        self.lot.stop(|id| self.queue(id));
        if !self.wait_until(timeout, || self.lot.occupied() == 0) {
            log::warn!("{} connections did not finish in {timeout:?} and are cut", self.lot.occupied());
            for (id, connection) in self.lot.clear() {
                self.end(id, connection, End::Stopped);
            }
        }
        self.push(Job::Leave);
        self.wait_until(FAREWELL, || self.crew.workers() == 0);
    }

    fn wait_until(&self, timeout: Duration, done: impl Fn() -> bool) -> bool {
        let (mutex, condvar) = &self.gone;
        let guard = lock(mutex);
        condvar.wait_timeout_while(guard, timeout, |()| !done()).is_ok_and(|(_, waited)| !waited.timed_out())
    }

    /// Says to a stopping server that a connection or a worker is gone.
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
    fn work(self: &Arc<Self>, spare: bool) {
        self.crew.join();
        let mut lookout = Lookout { events: Events::new(), ready: Vec::new() };
        let mut idle_since = Instant::now();
        loop {
            let patience = spare.then(|| self.spare_idle_timeout.saturating_sub(idle_since.elapsed()));
            match self.queue.take(patience, self.lot.poller()) {
                Some(Job::Serve(id)) => {
                    self.serve(id);
                    idle_since = Instant::now();
                }
                Some(Job::Watch) => {
                    let (lone, scanned) = self.watch(&mut lookout);
                    if let Some(id) = lone {
                        self.serve(id);
                        idle_since = Instant::now();
                    }
                    if scanned {
                        self.service_actions();
                    }
                }
                Some(Job::Leave) => {
                    self.crew.leave();
                    return self.push(Job::Leave);
                }
                None => {}
            }
            if spare && idle_since.elapsed() >= self.spare_idle_timeout && self.crew.may_leave() {
                return;
            }
        }
    }

    /// Gives a connection its turn, and parks, queues or ends it as its handler says.
    fn serve(self: &Arc<Self>, id: SlotId) {
        let Some((mut connection, wake, tenancy)) = self.lot.take(id) else { return };
        let turn = catch_unwind(AssertUnwindSafe(|| self.turn(id, &mut connection, wake, tenancy)));
        match turn {
            Ok(Ok(Next::Wait(interest, deadline))) => {
                match self.lot.park(id, connection, interest, deadline, &self.stop) {
                    Parking::Done => {}
                    Parking::Requeue => self.queue(id),
                    Parking::Failed(connection, error) => self.end(id, connection, End::Failed(error)),
                }
            }
            Ok(Ok(Next::Again)) => {
                self.lot.requeue(id, connection);
                self.queue(id);
            }
            Ok(Ok(Next::Close)) => self.end(id, connection, End::Closed),
            Ok(Err(error)) => self.end(id, connection, End::Failed(error)),
            Err(_) => {
                log::error!("{}: a handler panicked; the connection is closed", connection.stream.peer());
                self.end(id, connection, End::Panicked);
            }
        }
    }

    fn turn(
        self: &Arc<Self>,
        id: SlotId,
        connection: &mut Connection<H::Session>,
        wake: Wake,
        tenancy: u32,
    ) -> io::Result<Next> {
        let stream = &mut connection.stream;
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
        if let Some(session) = connection.session.take() {
            let finished = catch_unwind(AssertUnwindSafe(|| self.handler.finish(session, end)));
            if finished.is_err() {
                log::error!("{}: a handler panicked in finish", connection.stream.peer());
            }
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
        if self.vacancy_wanted.swap(false, Ordering::SeqCst) {
            self.vacancy.ring();
        }
        self.say_gone();
    }

    /// Waits for events and queues who is ready or overdue. A lone one is returned, to be served at once; and whether
    /// deadlines were scanned.
    fn watch(&self, lookout: &mut Lookout) -> (Option<SlotId>, bool) {
        let _back = WatchReturns(self);
        self.watch_once(lookout).unwrap_or_else(|error| {
            log::error!("waiting for events failed: {error}");
            thread::sleep(Duration::from_millis(10));
            (None, false)
        })
    }

    fn watch_once(&self, lookout: &mut Lookout) -> io::Result<(Option<SlotId>, bool)> {
        let Lookout { events, ready } = lookout;
        // Only the one watcher ever locks it.
        let mut scan_due = lock(&self.scan_due);
        let timeout = scan_due.saturating_duration_since(Instant::now()).min(SCAN_INTERVAL);
        let waited = self.lot.poller().wait(events, self.queue.declare_watching(timeout));
        self.queue.end_watching();
        waited?;
        let now = Instant::now();
        ready.extend(events.iter().filter_map(|event| self.lot.ready(event, now)));
        let scan = now >= *scan_due;
        if scan {
            *scan_due = now + SCAN_INTERVAL;
            self.lot.overdue(now, |id| ready.push(id));
        }
        if ready.len() == 1 && self.queue.is_empty() {
            return Ok((ready.pop(), scan));
        }
        ready.drain(..).for_each(|id| self.queue(id));
        Ok((None, scan))
    }

    /// The handler's housekeeping; skipped when the last one still runs.
    fn service_actions(&self) {
        if self.tidying.swap(true, Ordering::SeqCst) {
            return;
        }
        if catch_unwind(AssertUnwindSafe(|| self.handler.service_actions())).is_err() {
            log::error!("a handler panicked in service_actions");
        }
        self.tidying.store(false, Ordering::SeqCst);
    }
}

/// Puts the watch job back, whatever happens (rule 6).
struct WatchReturns<'a, H: Handler>(&'a Pool<H>);

impl<H: Handler> Drop for WatchReturns<'_, H> {
    fn drop(&mut self) {
        self.0.push(Job::Watch);
    }
}

impl<H: Handler> Call for Pool<H> {
    fn call(&self, slot: u32, tenancy: u32) {
        if self.lot.call(slot, tenancy) {
            self.queue(slot);
        }
    }
}

fn start_worker<H: Handler>(pool: &Weak<Pool<H>>, spare: bool) -> io::Result<()> {
    let Some(pool) = pool.upgrade() else { return Err(io::Error::other("the pool is gone")) };
    let name = if spare { "spare" } else { "worker" };
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        pool.work(spare);
        pool.say_gone();
    })?;
    Ok(())
}

/// The one queue, and who waits at it.
struct Queue {
    sender: Sender<Job>,
    receiver: Receiver<Job>,
    /// The watcher sleeps, or is about to.
    watching: AtomicBool,
    /// Workers that wait for a job.
    idle: AtomicUsize,
}

impl Queue {
    /// There is room for every job that can exist, so a push never waits.
    fn new(jobs: usize) -> Self {
        let (sender, receiver) = bounded(jobs);
        Self { sender, receiver, watching: AtomicBool::new(false), idle: AtomicUsize::new(0) }
    }

    fn push(&self, job: Job, poller: &Poller) {
        // It can't be disconnected: both ends live in this struct.
        let _ = self.sender.send(job);
        fence(Ordering::SeqCst);
        if self.idle.load(Ordering::SeqCst) == 0 {
            self.wake_watcher(poller);
        }
    }

    /// The next job; none when `patience` runs out.
    fn take(&self, patience: Option<Duration>, poller: &Poller) -> Option<Job> {
        let job = self.receiver.try_recv().ok().or_else(|| self.wait(patience));
        fence(Ordering::SeqCst);
        if !self.receiver.is_empty() {
            self.wake_watcher(poller);
        }
        job
    }

    fn wait(&self, patience: Option<Duration>) -> Option<Job> {
        self.idle.fetch_add(1, Ordering::SeqCst);
        let job = match patience {
            Some(patience) => self.receiver.recv_timeout(patience).ok(),
            None => self.receiver.recv().ok(),
        };
        self.idle.fetch_sub(1, Ordering::SeqCst);
        job
    }

    fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }

    /// Rule 1: first the declaration, then the look at the queue. Gives the time to wait.
    fn declare_watching(&self, timeout: Duration) -> Duration {
        self.watching.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if self.is_empty() { timeout } else { Duration::ZERO }
    }

    fn end_watching(&self) {
        self.watching.store(false, Ordering::SeqCst);
    }

    fn wake_watcher(&self, poller: &Poller) {
        if self.watching.load(Ordering::SeqCst) && self.watching.swap(false, Ordering::SeqCst) {
            poller.wake();
        }
    }
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
        Pool::new(Deaf, &options, Arc::new(Stop::new().unwrap())).unwrap()
    }

    fn wait_until(condition: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !condition() {
            assert!(Instant::now() < deadline, "it doesn't happen");
            thread::yield_now();
        }
    }

    #[test]
    fn the_watch_job_returns_when_its_worker_panics() {
        let pool = pool(|_| ());
        let watch = catch_unwind(AssertUnwindSafe(|| {
            let _back = WatchReturns(&pool);
            panic!("while watching");
        }));
        assert!(watch.is_err());
        assert!(matches!(pool.queue.take(Some(Duration::ZERO), pool.lot.poller()), Some(Job::Watch)));
        assert!(pool.queue.is_empty());
    }

    #[test]
    fn a_spare_worker_comes_for_a_waiting_one_and_leaves_when_idle() {
        let pool = pool(|options| options.spare_idle_timeout = Duration::from_millis(50));
        pool.start(1).unwrap();
        pool.crew.join();
        slow(|| assert_eq!(pool.crew.workers(), 2));
        wait_until(|| pool.crew.workers() == 1);
        pool.stop.request();
        pool.wind_down(Duration::ZERO);
        assert_eq!(pool.crew.workers(), 0);
    }

    #[test]
    fn there_are_never_more_workers_than_allowed() {
        let pool = pool(|options| (options.workers, options.workers_max) = (1, 1));
        pool.start(1).unwrap();
        pool.crew.join();
        slow(|| slow(|| assert_eq!(pool.crew.workers(), 1)));
        pool.stop.request();
        pool.wind_down(Duration::ZERO);
        assert_eq!(pool.crew.workers(), 0);
    }
}
