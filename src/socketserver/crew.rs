//! How many workers there are, how many of them can run, and the spare ones that stand in for those that wait.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

use super::parking::lock;
use super::pool::unless_panicked;
use super::throttle::Throttle;

thread_local! {
    /// The crew that this thread works in.
    static CREW: RefCell<Option<Arc<Crew>>> = const { RefCell::new(None) };
    /// How deep this thread is in calls of `slow`: only the outermost counts.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// What this thread's turn does in the blocking style.
    static CONVERSATION: RefCell<Conversation> = const { RefCell::new(Conversation::None) };
}

/// How long a turn may go on in the blocking style before its worker counts as away, though it never has to wait.
const CONVERSATION_MAX: Duration = Duration::from_millis(10);

/// Runs work that takes long or waits (hashing, compression, a database) without keeping others waiting: as long as it
/// runs, this worker doesn't count, and when no other is left a spare one starts. Outside a worker it just runs.
pub fn slow<T>(work: impl FnOnce() -> T) -> T {
    let _absent = Absent::begin();
    work()
}

/// A turn that reads and writes in the blocking style.
enum Conversation {
    None,
    Since(Instant),
    Long { _absent: Absent },
}

/// Says that this turn reads or writes in the blocking style. One that does so for long is [`slow`] work from then on: its
/// peer may be so quick that it never has to wait, and others would wait for the end of it.
pub(super) fn converse() {
    let is_elsewhere = || DEPTH.get() > 0 || CREW.with_borrow(Option::is_none);
    CONVERSATION.with_borrow_mut(|conversation| match conversation {
        Conversation::None => *conversation = Conversation::Since(Instant::now()),
        Conversation::Since(began) if began.elapsed() >= CONVERSATION_MAX && !is_elsewhere() => {
            *conversation = Conversation::Long { _absent: Absent::begin() };
        }
        Conversation::Since(_) | Conversation::Long { .. } => {}
    });
}

/// This worker's turn is over: it is back, if it was away.
pub(super) fn end_conversation() {
    CONVERSATION.set(Conversation::None);
}

/// Waits so long, as [`slow`] work.
pub fn pause(time: Duration) {
    slow(|| thread::sleep(time));
}

/// A worker that is away from the queue; it is back when this is dropped, panic or not.
struct Absent(Option<Arc<Crew>>);

impl Absent {
    fn begin() -> Self {
        let depth = DEPTH.get();
        DEPTH.set(depth + 1);
        let crew = if depth == 0 { CREW.with_borrow(Clone::clone) } else { None };
        if let Some(crew) = &crew {
            crew.leave_queue();
        }
        Self(crew)
    }
}

impl Drop for Absent {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
        if let Some(crew) = &self.0 {
            crew.runnable.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// The workers of one pool.
pub(super) struct Crew {
    /// Threads alive.
    workers: AtomicUsize,
    /// Threads that are not in `slow`.
    runnable: AtomicUsize,
    workers_max: usize,
    /// Threads that are no spare ones.
    regular: AtomicUsize,
    resting: Mutex<Resting>,
    /// For those who rest.
    called: Condvar,
    /// What a new worker does.
    duty: OnceLock<Box<Duty>>,
    said_full: AtomicBool,
    /// Lines of the log about workers that could not be started.
    not_started: Throttle,
    /// Threads that have not let go of everything yet: a worker that has left may still be about to.
    threads: Mutex<usize>,
    /// For who waits for the last of them.
    last_gone: Condvar,
}

/// Spare workers that nobody needs at present.
#[derive(Default)]
struct Resting {
    workers: usize,
    /// How many of them were called and have not woken up yet; they count as runnable again.
    called: usize,
    /// There is nothing to rest for.
    is_over: bool,
}

/// Gives a worker's life, `true` for a spare one; nothing once there is nothing to work for.
type Duty = dyn Fn(bool) -> Option<Life> + Send + Sync;

/// What a worker does until it leaves. What it holds of the server goes with it.
pub(super) type Life = Box<dyn FnOnce() + Send>;

impl Crew {
    pub(super) fn new(workers_max: usize) -> Arc<Self> {
        Arc::new(Self {
            workers: AtomicUsize::new(0),
            runnable: AtomicUsize::new(0),
            workers_max,
            regular: AtomicUsize::new(0),
            resting: Mutex::default(),
            called: Condvar::new(),
            duty: OnceLock::new(),
            said_full: AtomicBool::new(false),
            not_started: Throttle::default(),
            threads: Mutex::new(0),
            last_gone: Condvar::new(),
        })
    }

    /// Says what a worker does; before the first one starts.
    pub(super) fn on_hire(&self, duty: impl Fn(bool) -> Option<Life> + Send + Sync + 'static) {
        let _ = self.duty.set(Box::new(duty));
    }

    /// Starts one worker, if there may be one more.
    pub(super) fn hire(self: &Arc<Self>, spare: bool) -> io::Result<()> {
        let one_more = |workers: usize| (workers < self.workers_max).then(|| workers + 1);
        if self.workers.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).is_err() {
            self.say_full();
            return Ok(());
        }
        self.runnable.fetch_add(1, Ordering::SeqCst);
        self.regular.fetch_add(usize::from(!spare), Ordering::SeqCst);
        self.start(spare).inspect_err(|_| {
            self.regular.fetch_sub(usize::from(!spare), Ordering::SeqCst);
            self.runnable.fetch_sub(1, Ordering::SeqCst);
            self.workers.fetch_sub(1, Ordering::SeqCst);
        })
    }

    fn start(self: &Arc<Self>, spare: bool) -> io::Result<()> {
        let life =
            self.duty.get().and_then(|duty| duty(spare)).ok_or_else(|| io::Error::other("the server is gone"))?;
        let (crew, name) = (Arc::clone(self), if spare { "spare" } else { "worker" });
        *lock(&self.threads) += 1;
        let started = thread::Builder::new().name(name.to_owned()).spawn(move || {
            crew.join();
            if unless_panicked(life).is_none() {
                log::error!("a worker panicked outside of its handler, and is lost");
            }
            crew.say_gone();
        });
        started.map(drop).inspect_err(|_| self.say_gone())
    }

    fn say_gone(&self) {
        *lock(&self.threads) -= 1;
        self.last_gone.notify_all();
    }

    /// Waits until the threads of all workers have let go of what they held; false when that takes longer.
    pub(super) fn wait_until_gone(&self, timeout: Duration) -> bool {
        let waited = self.last_gone.wait_timeout_while(lock(&self.threads), timeout, |threads| *threads > 0);
        waited.is_ok_and(|(_, waited)| !waited.timed_out())
    }

    /// Makes this thread one of the crew for `slow`.
    pub(super) fn join(self: &Arc<Self>) {
        CREW.set(Some(Arc::clone(self)));
    }

    #[cfg(test)]
    pub(super) fn workers(&self) -> usize {
        self.workers.load(Ordering::SeqCst)
    }

    /// Whether a worker may leave for want of work: the last that can run never does.
    pub(super) fn may_leave(&self) -> bool {
        // Under the lock, as in `rest`.
        let _resting = lock(&self.resting);
        let one_less = |runnable: usize| (runnable > 1).then(|| runnable - 1);
        let left = self.runnable.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok();
        if left {
            self.workers.fetch_sub(1, Ordering::SeqCst);
        }
        left
    }

    /// A worker leaves because the pool stops.
    pub(super) fn leave(&self) {
        self.runnable.fetch_sub(1, Ordering::SeqCst);
        self.workers.fetch_sub(1, Ordering::SeqCst);
    }

    /// Whether more workers can run than there are regular ones: so many threads on few processors are in each other's way.
    pub(super) fn has_surplus(&self) -> bool {
        self.runnable.load(Ordering::SeqCst) > self.regular.load(Ordering::SeqCst)
    }

    /// A spare worker rests until it is called, or everything ends. False when it was not called in this time: then it has
    /// left the crew.
    pub(super) fn rest(&self, patience: Duration) -> bool {
        let regular = self.regular.load(Ordering::SeqCst);
        let one_less = |runnable: usize| (runnable > regular.max(1)).then(|| runnable - 1);
        // The lock is taken first: whoever goes away as the last that can run finds either this one, or that it rests.
        let mut resting = lock(&self.resting);
        if self.runnable.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_err() {
            return true;
        }
        resting.workers += 1;
        let has_to_wait = |resting: &mut Resting| resting.called == 0 && !resting.is_over;
        let waited = self.called.wait_timeout_while(resting, patience, has_to_wait);
        let (mut resting, _) = waited.unwrap_or_else(PoisonError::into_inner);
        resting.workers -= 1;
        if resting.called > 0 {
            resting.called -= 1;
            return true;
        }
        let is_over = resting.is_over;
        if is_over {
            self.runnable.fetch_add(1, Ordering::SeqCst);
        } else {
            self.workers.fetch_sub(1, Ordering::SeqCst);
        }
        is_over
    }

    /// Has those who rest get up, from now on.
    pub(super) fn end_rest(&self) {
        lock(&self.resting).is_over = true;
        self.called.notify_all();
    }

    #[cfg(test)]
    pub(super) fn resting(&self) -> usize {
        let resting = lock(&self.resting);
        resting.workers - resting.called
    }

    /// Calls one of those who rest; false where nobody does.
    fn call(&self) -> bool {
        let mut resting = lock(&self.resting);
        let is_there = resting.workers > resting.called;
        if is_there {
            resting.called += 1;
            self.runnable.fetch_add(1, Ordering::SeqCst);
            self.called.notify_one();
        }
        is_there
    }

    /// A worker begins to wait elsewhere; the last one that could run is replaced.
    fn leave_queue(self: &Arc<Self>) {
        if self.runnable.fetch_sub(1, Ordering::SeqCst) > 1 || self.call() {
            return;
        }
        if let Err(error) = self.hire(true) {
            self.not_started.say(log::Level::Warn, format_args!("no spare worker could be started: {error}"));
        }
    }

    fn say_full(&self) {
        if !self.said_full.swap(true, Ordering::SeqCst) {
            log::warn!("all {} workers wait in blocking code; raise workers_max if that lasts", self.workers_max);
        }
    }
}
