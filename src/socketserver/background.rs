//! Work behind everybody else's: on threads that get little of the processors where others want them.

use std::panic::resume_unwind;
use std::{io, thread};

use super::crew::slow;

/// Runs work that only computes, and that strangers can ask for, behind everybody else: as [`slow`], on a thread of its own,
/// which on Linux has the greatest niceness there is, 19. A panic of the work is one of the caller.
///
/// # Errors
/// When the system has no thread to spare; the work is not begun.
pub fn background<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    let in_background = || {
        step_back();
        work()
    };
    slow(|| {
        thread::scope(|scope| {
            let thread = thread::Builder::new().name("background".to_owned()).spawn_scoped(scope, in_background)?;
            thread.join().map_err(|payload| resume_unwind(payload))
        })
    })
}

/// For the present thread alone: it gets a sixtieth or so of a processor that others want. The policy SCHED_IDLE would be
/// still less in their way, but gives so little that who waits for the work would wait for seconds where all processors are
/// busy all the time.
#[cfg(target_os = "linux")]
fn step_back() {
    const NICENESS_MAX: i32 = 19;
    // To step back is always permitted; where a sandbox knows nothing of it, it goes on as it is.
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS_MAX);
}

#[cfg(not(target_os = "linux"))]
fn step_back() {}
