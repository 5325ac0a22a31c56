//! One connection, served to its end on the thread that asks for it.

use std::io;
use std::sync::{Arc, Weak};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::alarm::Alarm;
use super::handler::{Call, Conn, End, Handler, Interest, Next, Wake, Waker};
use super::pool::unless_panicked;
use super::stop::Stop;
use super::stream::Stream;

/// Where the only waker calls.
struct Bell(Alarm);

impl Call for Bell {
    fn call(&self, _slot: u32, _tenancy: u32) {
        self.0.ring();
    }
}

/// Serves a connection as a worker does, turn by turn, and waits in between; `finish` is told of its end.
pub(super) fn serve_one<H: Handler>(handler: &H, mut stream: Stream, stop: &Stop) -> io::Result<()> {
    let bell = Arc::new(Bell(Alarm::new()?));
    let pool: Weak<dyn Call> = Arc::<Bell>::downgrade(&bell);
    let waker = Waker { pool, slot: 0, tenancy: 0 };
    let set_up = || handler.verify(stream.peer()).then(|| handler.setup(&Conn { stream: &stream, waker: &waker }));
    let mut session = match unless_panicked(set_up) {
        Some(Some(session)) => session,
        Some(None) => return Ok(()),
        None => {
            log::error!("{}: a handler panicked; the connection is closed", stream.peer());
            return Ok(());
        }
    };
    let end = unless_panicked(|| take_turns(handler, &mut session, &mut stream, &bell.0, stop));
    let end = end.unwrap_or_else(|| {
        log::error!("{}: a handler panicked; the connection is closed", stream.peer());
        End::Panicked
    });
    if unless_panicked(|| handler.finish(session, end)).is_none() {
        log::error!("{}: a handler panicked in finish", stream.peer());
    }
    Ok(())
}

fn take_turns<H: Handler>(
    handler: &H,
    session: &mut H::Session,
    stream: &mut Stream,
    bell: &Alarm,
    stop: &Stop,
) -> End {
    let mut calls = Calls { bell, stop, has_said_stop: false, has_said_hang_up: false };
    let mut wake = Wake::Opened;
    loop {
        stream.begin_turn(None);
        wake = match handler.handle(session, stream, wake) {
            Ok(Next::Again) => calls.news(),
            Ok(Next::Wait(Interest::Read, _) | Next::Idle(_)) if stream.has_read_ahead() => calls.news(),
            Ok(Next::Wait(interest, deadline)) => calls.wait(stream, interest, deadline),
            Ok(Next::Idle(deadline)) => calls.wait(stream, Interest::Read, deadline),
            Ok(Next::Close) => return stream.end_of_close(),
            Err(error) => return End::Failed(error),
        };
    }
}

/// The end of what the peer sends, where the system tells of it without being asked for bytes.
#[cfg(target_os = "linux")]
const HANG_UP: PollFlags = PollFlags::RDHUP;
#[cfg(not(target_os = "linux"))]
const HANG_UP: PollFlags = PollFlags::empty();

/// What wakes the connection.
struct Calls<'a> {
    bell: &'a Alarm,
    stop: &'a Stop,
    /// Each of these is said once.
    has_said_stop: bool,
    has_said_hang_up: bool,
}

impl Calls<'_> {
    /// What there is to say to a connection that doesn't wait.
    fn news(&mut self) -> Wake {
        let sources = self.calls();
        let wake = first_of(sources, Instant::now()).unwrap_or(Wake::Ready);
        self.note(wake);
        wake
    }

    fn calls(&self) -> Vec<(Wake, PollFd<'_>)> {
        let stop = (!self.has_said_stop).then(|| (Wake::Stopping, PollFd::new(self.stop, PollFlags::IN)));
        [(Wake::Called, PollFd::new(self.bell, PollFlags::IN))].into_iter().chain(stop).collect()
    }

    fn note(&mut self, wake: Wake) {
        self.has_said_stop |= wake == Wake::Stopping;
        if wake == Wake::Called {
            self.bell.silence();
        }
    }

    fn wait(&mut self, stream: &Stream, interest: Interest, deadline: Instant) -> Wake {
        let flags = match interest {
            Interest::Read => PollFlags::IN,
            Interest::Write => PollFlags::OUT,
            // A hang-up is told unasked.
            Interest::Neither => HANG_UP,
        };
        loop {
            let mut sources = self.calls();
            if !(self.has_said_hang_up && flags == HANG_UP) {
                sources.push((Wake::Ready, PollFd::new(stream, flags)));
            }
            if let Some(wake) = first_of(sources, deadline) {
                self.has_said_hang_up |= wake == Wake::Ready && flags == HANG_UP;
                self.note(wake);
                return wake;
            }
            if Instant::now() >= deadline {
                return Wake::Overdue;
            }
        }
    }
}

/// What the first of these that is ready stands for; nothing when time is up, or a signal came.
fn first_of(sources: Vec<(Wake, PollFd<'_>)>, deadline: Instant) -> Option<Wake> {
    let left = deadline.saturating_duration_since(Instant::now());
    let (wakes, mut sources): (Vec<_>, Vec<_>) = sources.into_iter().unzip();
    poll(&mut sources, Timespec::try_from(left).ok().as_ref()).ok()?;
    wakes.into_iter().zip(sources).find(|(_, source)| !source.revents().is_empty()).map(|(wake, _)| wake)
}
