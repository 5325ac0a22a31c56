//! Where connections wait: a slot for each, with its deadline, and the poller that says who is ready.
//!
//! A connection is in exactly one place: queued, in a worker's hands, or parked. The slot's lock guards each change of
//! place and is never held while a handler runs. Each arming of the poller has a number, which its event brings back:
//! an event of an earlier arming, or of an earlier connection of the same slot, is stale and dropped.

mod slot;

use std::collections::BinaryHeap;
use std::mem;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use slot::{Place, Slot, State};

use super::handler::{Interest, Wake};
use super::poller::{Event, Poller};
use super::stop::Stop;
use super::stream::Stream;

/// The number of a slot.
pub(super) type SlotId = u32;

/// Slots are made this many at a time, when they are first needed.
const CHUNK: usize = 256;

/// More connections than any system has descriptors for.
const SLOTS_MAX: usize = 1 << 24;

type Chunk<S> = Box<[Slot<S>]>;

pub(super) struct ParkingLot<S> {
    chunks: Box<[OnceLock<Chunk<S>>]>,
    vacant: Mutex<Vacant>,
    occupied: AtomicUsize,
    /// How many looks for events have begun.
    looks: AtomicU64,
    poller: Poller,
    /// Deadlines are kept as microseconds since this instant.
    epoch: Instant,
}

/// A connection and what its handler remembers of it.
pub(super) struct Connection<S> {
    pub(super) stream: Stream,
    pub(super) session: Option<S>,
    /// Its client has too many: it is told so, and that is all.
    pub(super) is_refused: bool,
    /// What the poller was last asked to watch the socket for; nothing before it was parked for the first time.
    armed: Option<Interest>,
    /// It was told of a hang-up while it waited for neither; a poller would tell it so at each arming.
    hang_up_told: bool,
    /// When an event told that it is ready, for the turn that it is queued for.
    ready_since: Option<Instant>,
}

impl<S> Connection<S> {
    pub(super) fn new(stream: Stream) -> Box<Self> {
        Box::new(Self { stream, session: None, is_refused: false, armed: None, hang_up_told: false, ready_since: None })
    }

    pub(super) fn refused(stream: Stream) -> Box<Self> {
        Box::new(Self { is_refused: true, ..*Self::new(stream) })
    }
}

/// What a parked connection waits for.
#[derive(Clone, Copy)]
pub(super) struct Wait {
    pub(super) interest: Interest,
    pub(super) deadline: Instant,
    /// Nothing is under way: it may be told that it is overdue when its place is needed.
    pub(super) idle: bool,
}

struct Vacant {
    used_before: Vec<SlotId>,
    never_used: SlotId,
    slots: SlotId,
}

/// What became of a connection that was to be parked.
pub(super) enum Parking<S> {
    /// It waits.
    Done,
    /// There is news for it already: it has to be queued again.
    Requeue,
    /// It can't be watched.
    Failed(Box<Connection<S>>, std::io::Error),
}

impl<S> ParkingLot<S> {
    pub(super) fn new(slots: usize) -> std::io::Result<Self> {
        let slots = slots.min(SLOTS_MAX) as SlotId;
        Ok(Self {
            chunks: (0..(slots as usize).div_ceil(CHUNK)).map(|_| OnceLock::new()).collect(),
            vacant: Mutex::new(Vacant { used_before: Vec::new(), never_used: 0, slots }),
            occupied: AtomicUsize::new(0),
            looks: AtomicU64::new(0),
            poller: Poller::new()?,
            epoch: Instant::now(),
        })
    }

    pub(super) fn poller(&self) -> &Poller {
        &self.poller
    }

    /// Connections that have a slot.
    pub(super) fn occupied(&self) -> usize {
        self.occupied.load(Ordering::SeqCst)
    }

    /// Takes a slot for a connection to come, if one is left.
    pub(super) fn reserve(&self) -> Option<SlotId> {
        let mut vacant = lock(&self.vacant);
        let id = vacant.used_before.pop().or_else(|| vacant.next())?;
        self.occupied.fetch_add(1, Ordering::SeqCst);
        Some(id)
    }

    /// Puts a new connection into its reserved slot, to be queued.
    pub(super) fn admit(&self, id: SlotId, connection: Box<Connection<S>>) {
        let mut state = self.state(id);
        state.tenancy = state.tenancy.wrapping_add(1);
        (state.called, state.told_to_stop) = (false, false);
        state.place = Place::Queued(connection, Wake::Opened);
    }

    /// Takes a queued connection into a worker's hands.
    pub(super) fn take(&self, id: SlotId) -> Option<(Box<Connection<S>>, Wake, u32)> {
        let mut state = self.state(id);
        match mem::replace(&mut state.place, Place::Held) {
            Place::Queued(mut connection, wake) => {
                connection.stream.begin_turn(connection.ready_since.take());
                Some((connection, wake, state.tenancy))
            }
            other => {
                state.place = other;
                None
            }
        }
    }

    /// Puts a connection at the end of the queue for its next turn, in which it is told what it would be told when parked;
    /// the caller queues the slot.
    pub(super) fn requeue(&self, id: SlotId, connection: Box<Connection<S>>, stop: &Stop) {
        let mut state = self.state(id);
        let wake = state.news(stop.is_requested()).unwrap_or(Wake::Ready);
        state.place = Place::Queued(connection, wake);
    }

    /// Parks a connection: stores it, then arms the poller, so that its event finds it. Both happen under the slot's
    /// lock, so that nobody can close the socket in between and let its number pass to another one.
    pub(super) fn park(
        &self,
        id: SlotId,
        mut connection: Box<Connection<S>>,
        Wait { interest, deadline, idle }: Wait,
        stop: &Stop,
    ) -> Parking<S> {
        let slot = self.slot(id);
        let mut state = lock(&slot.state);
        // Looked at under the lock: whoever tells the parked of a stop comes either before, and this sees it, or after,
        // and finds the connection parked.
        if let Some(wake) = state.cause_for_turn(&connection, interest, stop.is_requested()) {
            state.place = Place::Queued(connection, wake);
            return Parking::Requeue;
        }
        slot.deadline.store(self.microseconds(deadline), Ordering::Relaxed);
        state.idle = idle;
        state.looks_before = self.looks.load(Ordering::SeqCst);
        if !state.lasts(&connection, interest)
            && let Err(error) = self.arm(id, &mut state, &mut connection, interest)
        {
            return Parking::Failed(connection, error);
        }
        state.place = Place::Parked(connection);
        Parking::Done
    }

    /// Has the poller watch for this from now on. Events of earlier armings are stale then.
    fn arm(
        &self,
        id: SlotId,
        state: &mut State<S>,
        connection: &mut Connection<S>,
        interest: Interest,
    ) -> std::io::Result<()> {
        state.arming = state.arming.wrapping_add(1);
        (state.missed, state.final_told) = (false, false);
        let has_heard_all = interest == Interest::Neither && connection.hang_up_told;
        if !has_heard_all {
            let key = key(id, state.arming);
            self.poller.arm(&connection.stream, key, interest, connection.armed.is_some())?;
        }
        connection.armed = Some(interest);
        Ok(())
    }

    /// A look for events begins; its number.
    pub(super) fn begin_look(&self) -> u64 {
        self.looks.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The slot of an event that this look has found by now, if the connection still waits for it; it has to be queued.
    pub(super) fn ready(&self, event: Event, look: u64, now: Instant) -> Option<SlotId> {
        let (id, arming) = (event.key as SlotId, (event.key >> 32) as u32);
        let mut state = self.state(id);
        if state.arming != arming {
            return None;
        }
        state.final_told |= event.is_final;
        // Of one that was parked meanwhile, the event may be of what its last turn has read.
        let is_of_now = state.looks_before < look;
        if !is_of_now && state.has_read_all() {
            return None;
        }
        let unparked = state.unpark(Wake::Ready);
        state.missed |= !unparked;
        if unparked && let Place::Queued(connection, _) = &mut state.place {
            connection.ready_since = (is_of_now && connection.armed == Some(Interest::Read)).then_some(now);
            connection.hang_up_told |= connection.armed == Some(Interest::Neither);
        }
        unparked.then_some(id)
    }

    /// Gives each slot whose deadline has passed; it has to be queued.
    pub(super) fn overdue(&self, now: Instant, mut queue: impl FnMut(SlotId)) {
        let now = self.microseconds(now);
        for (id, slot) in self.slots() {
            let is_overdue = || slot.deadline.load(Ordering::Relaxed) <= now;
            if is_overdue() {
                let mut state = lock(&slot.state);
                if is_overdue() && state.unpark(Wake::Overdue) {
                    queue(id);
                }
            }
        }
    }

    /// Makes room: tells those that are idle and have the earliest deadlines, at most so many, that they are overdue. Each
    /// slot given has to be queued.
    pub(super) fn evict(&self, count: usize, mut queue: impl FnMut(SlotId)) {
        let mut earliest = BinaryHeap::with_capacity(count + 1);
        for (id, slot) in self.slots() {
            if lock(&slot.state).is_idle() {
                earliest.push((slot.deadline.load(Ordering::Relaxed), id));
                if earliest.len() > count {
                    earliest.pop();
                }
            }
        }
        earliest.into_sorted_vec().into_iter().filter(|(_, id)| self.hurry(*id)).for_each(|(_, id)| queue(id));
    }

    /// Tells an idle connection that it is overdue; true when it has to be queued.
    pub(super) fn hurry(&self, id: SlotId) -> bool {
        let mut state = self.state(id);
        state.is_idle() && state.unpark(Wake::Overdue)
    }

    /// Tells every parked connection that the server stops; each slot given has to be queued.
    pub(super) fn stop(&self, mut queue: impl FnMut(SlotId)) {
        for (id, slot) in self.slots() {
            let mut state = lock(&slot.state);
            if state.unpark(Wake::Stopping) {
                state.told_to_stop = true;
                queue(id);
            }
        }
    }

    /// Takes every connection that no worker holds, when the time to stop is over.
    pub(super) fn clear(&self) -> Vec<(SlotId, Box<Connection<S>>)> {
        let take = |(id, slot): (SlotId, &Slot<S>)| {
            let mut state = lock(&slot.state);
            match mem::replace(&mut state.place, Place::Held) {
                Place::Queued(connection, _) | Place::Parked(connection) => Some((id, connection)),
                other => {
                    state.place = other;
                    None
                }
            }
        };
        self.slots().filter_map(take).collect()
    }

    /// A waker's call; true when the slot has to be queued.
    pub(super) fn call(&self, id: SlotId, tenancy: u32) -> bool {
        let mut state = self.state(id);
        if state.tenancy != tenancy || matches!(state.place, Place::Vacant) {
            return false;
        }
        let unparked = state.unpark(Wake::Called);
        state.called = !unparked;
        unparked
    }

    /// Closes a connection, or gives back a slot that got none.
    pub(super) fn vacate(&self, id: SlotId, connection: Option<Box<Connection<S>>>) {
        if let Some(connection) = connection {
            if connection.armed.is_some() {
                self.poller.forget(&connection.stream);
            }
            let slot = self.slot(id);
            slot.deadline.store(u64::MAX, Ordering::Relaxed);
            lock(&slot.state).place = Place::Vacant;
        }
        lock(&self.vacant).used_before.push(id);
        self.occupied.fetch_sub(1, Ordering::SeqCst);
    }

    fn state(&self, id: SlotId) -> MutexGuard<'_, State<S>> {
        lock(&self.slot(id).state)
    }

    fn slot(&self, id: SlotId) -> &Slot<S> {
        let id = id as usize;
        &self.chunks[id / CHUNK].get_or_init(|| (0..CHUNK).map(|_| Slot::new()).collect())[id % CHUNK]
    }

    /// All slots that were ever used.
    fn slots(&self) -> impl Iterator<Item = (SlotId, &Slot<S>)> {
        let chunks = self.chunks.iter().zip((0..).step_by(CHUNK));
        let made = chunks.filter_map(|(chunk, first)| chunk.get().map(|slots| (slots, first)));
        made.flat_map(|(slots, first)| (first..).zip(slots.iter()))
    }

    fn microseconds(&self, instant: Instant) -> u64 {
        u64::try_from(instant.saturating_duration_since(self.epoch).as_micros()).unwrap_or(u64::MAX)
    }
}

impl Vacant {
    fn next(&mut self) -> Option<SlotId> {
        let id = self.never_used;
        (id < self.slots).then(|| self.never_used += 1)?;
        Some(id)
    }
}

fn key(id: SlotId, arming: u32) -> u64 {
    u64::from(arming) << 32 | u64::from(id)
}

/// Nothing under these locks panics, so a poisoned one holds what it should.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socketserver::{Address, Peer};
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;
    use std::time::Duration;

    /// A lot with one connection in a worker's hands, and the other end of it.
    fn lot() -> (ParkingLot<()>, SlotId, Box<Connection<()>>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, address) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        let stream = Stream::tcp(socket, Peer::new(Address::Inet(address), None), Arc::new(Stop::new().unwrap()));
        let lot = ParkingLot::new(2).unwrap();
        let id = lot.reserve().unwrap();
        lot.admit(id, Connection::new(stream));
        let (connection, wake, _) = lot.take(id).unwrap();
        assert_eq!(wake, Wake::Opened);
        (lot, id, connection, client)
    }

    fn park(lot: &ParkingLot<()>, id: SlotId, connection: Box<Connection<()>>) {
        let wait = Wait { interest: Interest::Read, deadline: Instant::now(), idle: false };
        let parking = lot.park(id, connection, wait, &Stop::new().unwrap());
        assert!(matches!(parking, Parking::Done));
    }

    fn event(id: SlotId, arming: u32) -> Event {
        Event { key: key(id, arming), is_final: false }
    }

    /// An event comes of a look that begins now.
    fn ready(lot: &ParkingLot<()>, id: SlotId, arming: u32) -> Option<SlotId> {
        lot.ready(event(id, arming), lot.begin_look(), Instant::now())
    }

    /// What it tells of may have been read before it was parked, and what comes next may come long after.
    #[test]
    fn an_event_that_was_found_before_it_was_parked_says_nothing_of_since_when() {
        for is_early in [false, true] {
            let (lot, id, connection, _client) = lot();
            let early = lot.begin_look();
            park(&lot, id, connection);
            let look = if is_early { early } else { lot.begin_look() };
            assert_eq!(lot.ready(event(id, 1), look, Instant::now()), Some(id));
            assert_eq!(lot.take(id).unwrap().0.stream.ready_since().is_some(), !is_early);
        }
    }

    /// A handler in the blocking style would wait in a turn in vain.
    #[test]
    #[cfg(all(target_os = "linux", not(salver_portable)))]
    fn an_event_of_what_was_read_before_it_was_parked_gives_no_turn() {
        use rustix::event::{PollFd, PollFlags, poll};
        for (is_final, comes_back) in [(false, false), (true, true)] {
            let (lot, id, mut connection, mut client) = lot();
            client.write_all(b"x").unwrap();
            poll(&mut [PollFd::new(&connection.stream, PollFlags::IN)], None).unwrap();
            assert_eq!(connection.stream.try_read(&mut [0; 2]).unwrap(), 1);
            let early = lot.begin_look();
            park(&lot, id, connection);
            let unparked = lot.ready(Event { is_final, ..event(id, 1) }, early, Instant::now());
            assert_eq!(unparked.is_some(), comes_back, "an end is for a turn to find");
            if !comes_back {
                client.write_all(b"y").unwrap();
                let connection = || matches!(&lot.state(id).place, Place::Parked(parked) if parked.stream.has_bytes());
                while !connection() {
                    std::thread::yield_now();
                }
                assert_eq!(lot.ready(event(id, 1), early, Instant::now()), Some(id), "there is more by now");
            }
        }
    }

    #[test]
    fn an_event_of_an_earlier_arming_is_dropped() {
        let (lot, id, connection, _client) = lot();
        park(&lot, id, connection);
        assert_eq!(ready(&lot, id, 1), Some(id));
        assert_eq!(ready(&lot, id, 1), None, "it is queued already");
        let (connection, ..) = lot.take(id).unwrap();
        assert_eq!(ready(&lot, id, 1), None, "a worker has it");
        park(&lot, id, connection);
        assert_eq!(ready(&lot, id, 1), None, "it was armed anew");
        assert_eq!(ready(&lot, id, 2), Some(id));
    }

    #[test]
    #[cfg(all(target_os = "linux", not(salver_portable)))]
    fn who_is_told_of_bytes_while_a_worker_has_it_is_queued_if_they_are_still_there() {
        let (lot, id, connection, mut client) = lot();
        park(&lot, id, connection);
        assert_eq!(ready(&lot, id, 1), Some(id));
        let (mut connection, ..) = lot.take(id).unwrap();
        assert!(connection.stream.try_read(&mut [0]).is_err(), "nothing is there");
        assert_eq!(ready(&lot, id, 1), None, "a worker has it");
        park(&lot, id, connection);
        assert_eq!(ready(&lot, id, 1), Some(id), "it was parked, and the first arming lasts");
        let (mut connection, ..) = lot.take(id).unwrap();
        assert!(connection.stream.try_read(&mut [0]).is_err(), "nothing is there");
        client.write_all(b"x").unwrap();
        assert_eq!(ready(&lot, id, 1), None, "a worker has it");
        let wait = Wait { interest: Interest::Read, deadline: Instant::now(), idle: true };
        assert!(matches!(lot.park(id, connection, wait, &Stop::new().unwrap()), Parking::Requeue));
        assert_eq!(lot.take(id).unwrap().1, Wake::Ready);
    }

    #[test]
    fn an_arming_survives_from_one_connection_of_a_slot_to_the_next() {
        let (lot, id, connection, _client) = lot();
        park(&lot, id, connection);
        assert_eq!(ready(&lot, id, 1), Some(id));
        let (first, ..) = lot.take(id).unwrap();
        lot.vacate(id, Some(first));
        let (_, _, second, _client) = super::tests::lot();
        assert_eq!(lot.reserve(), Some(id));
        lot.admit(id, Connection::new(second.stream));
        let (second, ..) = lot.take(id).unwrap();
        park(&lot, id, second);
        assert_eq!(ready(&lot, id, 1), None, "the event was for the first connection");
        assert_eq!(ready(&lot, id, 2), Some(id));
    }

    #[test]
    fn a_call_reaches_only_the_connection_it_is_for() {
        let (lot, id, first, _client) = lot();
        let of_first = lot.state(id).tenancy;
        park(&lot, id, first);
        assert!(lot.call(id, of_first), "parked: it has to be queued");
        assert!(!lot.call(id, of_first), "queued: it counts, but not as another job");
        let (first, ..) = lot.take(id).unwrap();
        lot.vacate(id, Some(first));
        assert!(!lot.call(id, of_first), "nobody is there");
        let (_, _, second, _client) = super::tests::lot();
        assert_eq!(lot.reserve(), Some(id));
        lot.admit(id, Connection::new(second.stream));
        let (second, ..) = lot.take(id).unwrap();
        assert!(!lot.call(id, of_first) && !lot.state(id).called, "another has its slot");
        park(&lot, id, second);
        assert!(!lot.call(id, of_first), "another is parked there");
    }

    #[test]
    fn each_deadline_passes_once() {
        let (lot, id, connection, _client) = lot();
        park(&lot, id, connection);
        let mut overdue = Vec::new();
        lot.overdue(Instant::now() + Duration::from_secs(1), |id| overdue.push(id));
        lot.overdue(Instant::now() + Duration::from_secs(2), |id| overdue.push(id));
        assert_eq!(overdue, [id]);
    }

    #[test]
    fn there_are_as_many_slots_as_were_asked_for() {
        let lot = ParkingLot::<()>::new(2).unwrap();
        assert_eq!([lot.reserve(), lot.reserve(), lot.reserve()], [Some(0), Some(1), None]);
        lot.vacate(1, None);
        assert_eq!([lot.reserve(), lot.reserve()], [Some(1), None]);
    }
}
