//! Who is ready? A oneshot poller: each arming gives at most one event, which carries the key it was armed with.
//!
//! On Linux this is epoll, through rustix, without `unsafe`: an arming is one system call and a wait is one more.
//! Elsewhere (or with `--cfg salver_portable`, to try it) it is the `polling` crate, whose `add` asks its caller to
//! remove a source before it is closed, which [`Poller::forget`] does.

#[cfg(all(target_os = "linux", not(salver_portable)))]
pub(super) use epoll::{Events, Poller};
#[cfg(any(not(target_os = "linux"), salver_portable))]
pub(super) use portable::{Events, Poller};

/// Events taken in one wait at most.
const EVENTS_MAX: usize = 512;

#[cfg(all(target_os = "linux", not(salver_portable)))]
mod epoll {
    use std::io;
    use std::os::fd::{AsFd, OwnedFd};
    use std::time::Duration;

    use rustix::buffer::spare_capacity;
    use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
    use rustix::event::{EventfdFlags, Timespec, eventfd};

    use super::EVENTS_MAX;
    use crate::socketserver::Interest;

    /// The key of the wake-up call, which no connection has.
    const WAKE: u64 = u64::MAX;

    #[derive(Debug)]
    pub(crate) struct Poller {
        epoll: OwnedFd,
        /// Edge-triggered: each write is an event, and nobody needs to read it.
        alarm: OwnedFd,
    }

    pub(crate) struct Events {
        list: Vec<Event>,
    }

    impl Events {
        pub(crate) fn new() -> Self {
            Self { list: Vec::with_capacity(EVENTS_MAX) }
        }

        pub(crate) fn keys(&self) -> impl Iterator<Item = u64> {
            self.list.iter().map(|event| event.data.u64()).filter(|&key| key != WAKE)
        }
    }

    impl Poller {
        pub(crate) fn new() -> io::Result<Self> {
            let epoll = epoll::create(CreateFlags::CLOEXEC)?;
            let alarm = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
            epoll::add(&epoll, &alarm, EventData::new_u64(WAKE), EventFlags::IN | EventFlags::ET)?;
            Ok(Self { epoll, alarm })
        }

        /// Asks for one event with this key. `registered` says that the source was armed before.
        pub(crate) fn arm(&self, source: impl AsFd, key: u64, interest: Interest, registered: bool) -> io::Result<()> {
            let data = EventData::new_u64(key);
            let flags = EventFlags::ONESHOT | flags(interest);
            if registered {
                epoll::modify(&self.epoll, source, data, flags)?;
            } else {
                epoll::add(&self.epoll, source, data, flags)?;
            }
            Ok(())
        }

        /// Closing a descriptor takes it out of an epoll set: nothing to do.
        pub(crate) fn forget(&self, _source: impl AsFd) {}

        /// Waits for events, for a wake-up call, or for the timeout.
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

        /// Ends the wait that is under way, or the next one.
        pub(crate) fn wake(&self) {
            // It fails only when its counter is full, and then the event is due anyway.
            let _ = rustix::io::write(&self.alarm, &1u64.to_ne_bytes());
        }
    }

    /// A hang-up of the peer is asked for with reading only: a client that has closed its half and still reads would
    /// otherwise make every wait for room return at once.
    fn flags(interest: Interest) -> EventFlags {
        match interest {
            Interest::Read => EventFlags::IN | EventFlags::RDHUP,
            Interest::Write => EventFlags::OUT,
            Interest::Neither => EventFlags::empty(),
        }
    }
}

#[cfg(any(not(target_os = "linux"), salver_portable))]
#[allow(unsafe_code, reason = "polling::Poller::add asks for a promise that only the caller can keep")]
mod portable {
    use std::io;
    use std::num::NonZeroUsize;
    use std::os::fd::{AsFd, AsRawFd};
    use std::time::Duration;

    use polling::Event;

    use super::EVENTS_MAX;
    use crate::socketserver::Interest;

    #[derive(Debug)]
    pub(crate) struct Poller {
        poller: polling::Poller,
    }

    pub(crate) struct Events {
        list: polling::Events,
    }

    impl Events {
        pub(crate) fn new() -> Self {
            let capacity = NonZeroUsize::new(EVENTS_MAX).unwrap_or(NonZeroUsize::MIN);
            Self { list: polling::Events::with_capacity(capacity) }
        }

        pub(crate) fn keys(&self) -> impl Iterator<Item = u64> {
            self.list.iter().map(|event| event.key as u64)
        }
    }

    impl Poller {
        pub(crate) fn new() -> io::Result<Self> {
            Ok(Self { poller: polling::Poller::new()? })
        }

        pub(crate) fn arm(&self, source: impl AsFd, key: u64, interest: Interest, registered: bool) -> io::Result<()> {
            let (readable, writable) = (interest == Interest::Read, interest == Interest::Write);
            let event = Event::new(key as usize, readable, writable);
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

        pub(crate) fn wait(&self, events: &mut Events, timeout: Duration) -> io::Result<()> {
            events.list.clear();
            match self.poller.wait(&mut events.list, Some(timeout)) {
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
