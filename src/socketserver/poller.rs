//! Who is ready? A poller whose events carry the key that the source was last armed with.
//!
//! On Linux this is epoll, edge-triggered, through rustix, without `unsafe`. An arming is one system call; it gives an
//! event for what is there already, and lasts: one more for each thing that comes. A wait is one more call.
//! Elsewhere (or with `--cfg salver_portable`, to try it) it is the `polling` crate: an arming gives one event, and ends with
//! it, and `add` asks its caller to remove a source before it is closed, which [`Poller::forget`] does.

#[cfg(all(target_os = "linux", not(salver_portable)))]
pub(super) use epoll::{Events, Poller};
#[cfg(any(not(target_os = "linux"), salver_portable))]
pub(super) use portable::{Events, Poller};

/// Events taken in one wait at most.
const EVENTS_MAX: usize = 512;

/// What happened to a source.
#[derive(Clone, Copy)]
pub(super) struct Event {
    /// What it was armed with.
    pub(super) key: u64,
    /// The peer has hung up, or the like: that doesn't happen again, so a lasting arming won't tell it again.
    pub(super) is_final: bool,
}

#[cfg(all(target_os = "linux", not(salver_portable)))]
mod epoll {
    use std::io;
    use std::os::fd::{AsFd, OwnedFd};
    use std::time::Duration;

    use rustix::buffer::spare_capacity;
    use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
    use rustix::event::{EventfdFlags, Timespec, eventfd};

    use super::{EVENTS_MAX, Event};
    use crate::socketserver::Interest;

    /// What a short read doesn't use up.
    const FINAL: EventFlags = EventFlags::RDHUP.union(EventFlags::HUP).union(EventFlags::ERR).union(EventFlags::PRI);

    /// The key of the wake-up call, which no connection has.
    const WAKE: u64 = u64::MAX;

    #[derive(Debug)]
    pub(crate) struct Poller {
        epoll: OwnedFd,
        /// Edge-triggered: each write is an event, and nobody needs to read it.
        alarm: OwnedFd,
    }

    pub(crate) struct Events {
        list: Vec<epoll::Event>,
    }

    impl Events {
        pub(crate) fn new() -> Self {
            Self { list: Vec::with_capacity(EVENTS_MAX) }
        }

        pub(crate) fn iter(&self) -> impl Iterator<Item = Event> {
            let events = self.list.iter().map(|event| {
                // Copied out of a packed struct.
                let (flags, data) = (event.flags, event.data);
                Event { key: data.u64(), is_final: flags.intersects(FINAL) }
            });
            events.filter(|event| event.key != WAKE)
        }

        /// Whether a wake-up call is among them.
        pub(crate) fn has_wake_up(&self) -> bool {
            self.list.iter().any(|event| event.data.u64() == WAKE)
        }
    }

    impl Poller {
        /// An arming lasts until the next one.
        pub(crate) const LASTS: bool = true;

        pub(crate) fn new() -> io::Result<Self> {
            let epoll = epoll::create(CreateFlags::CLOEXEC)?;
            let alarm = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
            epoll::add(&epoll, &alarm, EventData::new_u64(WAKE), EventFlags::IN | EventFlags::ET)?;
            Ok(Self { epoll, alarm })
        }

        /// Asks for events with this key, the first of them for what is there already. `registered` says that the source
        /// was armed before.
        pub(crate) fn arm(&self, source: impl AsFd, key: u64, interest: Interest, registered: bool) -> io::Result<()> {
            let data = EventData::new_u64(key);
            let flags = EventFlags::ET | flags(interest);
            if registered {
                epoll::modify(&self.epoll, source, data, flags)?;
            } else {
                epoll::add(&self.epoll, source, data, flags)?;
            }
            Ok(())
        }

        /// Closing a descriptor takes it out of an epoll set: nothing to do.
        pub(crate) fn forget(&self, _source: impl AsFd) {}

        /// Waits for events, for a wake-up call, or for the timeout. Each event goes to one of those who wait, and each call.
        pub(crate) fn wait(&self, events: &mut Events, timeout: Duration) -> io::Result<()> {
            events.list.clear();
            let timeout = Timespec {
                tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: timeout.subsec_nanos().into(),
            };
            match epoll::wait(&self.epoll, spare_capacity(&mut events.list), Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
                Err(error) => Err(error.into()),
            }
        }

        /// Ends one of the waits that are under way, or the next one.
        pub(crate) fn wake(&self) {
            // It fails only when its counter is full, and then the event is due anyway.
            let _ = rustix::io::write(&self.alarm, &1u64.to_ne_bytes());
        }
    }

    /// A hang-up of the peer and urgent data are asked for with reading only: they say nothing about room.
    fn flags(interest: Interest) -> EventFlags {
        match interest {
            Interest::Read => EventFlags::IN | EventFlags::RDHUP | EventFlags::PRI,
            // Once, as it is always armed anew: what a turn does to the socket itself shall not look like news.
            Interest::Write => EventFlags::OUT | EventFlags::ONESHOT,
            // Over TCP the end of what the peer sends is all that tells of most who have gone.
            Interest::Neither => EventFlags::RDHUP,
        }
    }
}

#[cfg(any(not(target_os = "linux"), salver_portable))]
#[allow(unsafe_code, reason = "polling::Poller::add asks for a promise that only the caller can keep")]
mod portable {
    use std::io;
    use std::num::NonZeroUsize;
    use std::os::fd::{AsFd, AsRawFd};
    use std::sync::{Condvar, Mutex, PoisonError};
    use std::time::{Duration, Instant};

    use super::{EVENTS_MAX, Event};
    use crate::socketserver::Interest;

    // A slot and the number of an arming are 64 bits, and `polling` gives keys of one word.
    #[cfg(target_pointer_width = "32")]
    compile_error!("of the systems of 32 bits only Linux is supported");

    #[derive(Debug)]
    pub(crate) struct Poller {
        poller: polling::Poller,
        /// Somebody waits in it: only one may.
        taken: Mutex<bool>,
        free: Condvar,
    }

    pub(crate) struct Events {
        list: polling::Events,
    }

    impl Events {
        pub(crate) fn new() -> Self {
            let capacity = NonZeroUsize::new(EVENTS_MAX).unwrap_or(NonZeroUsize::MIN);
            Self { list: polling::Events::with_capacity(capacity) }
        }

        pub(crate) fn iter(&self) -> impl Iterator<Item = Event> {
            self.list.iter().map(|event| Event { key: event.key as u64, is_final: false })
        }

        /// Whether a wake-up call may be among them: that isn't told.
        pub(crate) fn has_wake_up(&self) -> bool {
            true
        }
    }

    impl Poller {
        /// An arming ends with its event.
        pub(crate) const LASTS: bool = false;

        pub(crate) fn new() -> io::Result<Self> {
            Ok(Self { poller: polling::Poller::new()?, taken: Mutex::new(false), free: Condvar::new() })
        }

        pub(crate) fn arm(&self, source: impl AsFd, key: u64, interest: Interest, registered: bool) -> io::Result<()> {
            let (readable, writable) = (interest == Interest::Read, interest == Interest::Write);
            let event = polling::Event::new(key as usize, readable, writable);
            if registered {
                return self.poller.modify(source.as_fd(), event);
            }
            // SAFETY: the source must be removed before it is closed. A connection is closed by `ParkingLot::vacate`
            // alone, which calls `forget` for every registered one, or with the poller itself.
            unsafe { self.poller.add(source.as_fd().as_raw_fd(), event) }
        }

        pub(crate) fn forget(&self, source: impl AsFd) {
            // A source that is not in the set is as forgotten as one that was taken out.
            let _ = self.poller.delete(source.as_fd());
        }

        /// Those who come while another waits wait until it has what it waits for.
        pub(crate) fn wait(&self, events: &mut Events, timeout: Duration) -> io::Result<()> {
            events.list.clear();
            let until = Instant::now() + timeout;
            let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
            let waited = self.free.wait_timeout_while(taken, timeout, |taken| *taken);
            let (mut taken, waited) = waited.unwrap_or_else(PoisonError::into_inner);
            if waited.timed_out() {
                return Ok(());
            }
            *taken = true;
            drop(taken);
            let waited = self.poller.wait(&mut events.list, Some(until.saturating_duration_since(Instant::now())));
            *self.taken.lock().unwrap_or_else(PoisonError::into_inner) = false;
            self.free.notify_one();
            match waited {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
                _ => Ok(()),
            }
        }

        pub(crate) fn wake(&self) {
            // It fails only where the poller itself is broken, and then the next wait says so.
            let _ = self.poller.notify();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::*;
    use crate::socketserver::Interest;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// The keys of the next events, or none when there are none now.
    fn keys(poller: &Poller, timeout: Duration) -> Vec<u64> {
        let mut events = Events::new();
        poller.wait(&mut events, timeout).unwrap();
        events.iter().map(|event| event.key).collect()
    }

    /// Miri can run this of the portable one, and so the one piece of `unsafe` code: see fuzz/README.md.
    #[test]
    fn a_source_is_added_once_until_it_is_forgotten() {
        let poller = Poller::new().unwrap();
        for round in 0..3 {
            let (source, _peer) = UnixStream::pair().unwrap();
            poller.arm(&source, round, Interest::Read, false).unwrap();
            assert!(poller.arm(&source, round, Interest::Read, false).is_err(), "it is there");
            poller.arm(&source, round, Interest::Neither, true).unwrap();
            poller.forget(&source);
        }
    }

    #[test]
    fn a_source_is_told_by_the_key_of_its_last_arming_and_not_after_it_was_forgotten() {
        let poller = Poller::new().unwrap();
        for round in 0..3 {
            let (source, mut peer) = UnixStream::pair().unwrap();
            poller.arm(&source, 7, Interest::Neither, false).unwrap();
            assert_eq!(keys(&poller, Duration::ZERO), [0; 0], "{round}");
            peer.write_all(b"x").unwrap();
            poller.arm(&source, 8, Interest::Read, true).unwrap();
            assert_eq!(keys(&poller, PATIENCE), [8]);
            poller.arm(&source, 9, Interest::Write, true).unwrap();
            assert_eq!(keys(&poller, PATIENCE), [9]);
            poller.forget(&source);
            drop(source);
            assert_eq!(keys(&poller, Duration::ZERO), [0; 0], "{round}");
        }
    }

    #[test]
    fn a_call_ends_a_wait_before_or_while_it_is_under_way() {
        let poller = Poller::new().unwrap();
        poller.wake();
        assert_eq!(keys(&poller, PATIENCE), [0; 0]);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| keys(&poller, PATIENCE));
            poller.wake();
            assert_eq!(waiting.join().unwrap(), [0; 0]);
        });
    }
}
