//! Work behind everybody else's: on threads that get what others leave of the processors.

use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{io, thread};

#[cfg(target_os = "linux")]
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
};

use super::crew::slow;
use super::options::cores;

/// Threads that help with one piece of work, at most.
const HELPERS_MAX: usize = 3;

/// Runs work that only computes, and that strangers can ask for, behind everybody else: as [`slow`], on a thread of its own,
/// which on Linux has the lowest priority there is. A panic of the work is one of the caller.
///
/// # Errors
/// When the system has no thread to spare; the work is not begun.
pub fn background<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    slow(|| {
        thread::scope(|scope| {
            let thread = spawn(scope, work)?;
            thread.join().map_err(|payload| resume_unwind(payload))
        })
    })
}

/// Does work on the numbers up to `length` in shares of so many, and gives what came of each share, in order. This thread
/// does it, and threads in the background help where processors are idle. A panic of the work is one of the caller.
pub(crate) fn in_shares<T: Send>(length: usize, share: usize, work: impl Fn(Range<usize>) -> T + Sync) -> Vec<T> {
    let begun = AtomicUsize::new(0);
    let do_shares = || {
        let mut done = Vec::new();
        loop {
            let start = begun.fetch_add(share.max(1), Ordering::Relaxed);
            if start >= length {
                return done;
            }
            done.push((start, work(start..length.min(start + share.max(1)))));
        }
    };
    let helpers_max = (cores() - 1).min(HELPERS_MAX);
    let mut done = thread::scope(|scope| {
        // Without a thread to spare there is one helper less.
        let helpers: Vec<_> = (0..helpers_max).map_while(|_| spawn(scope, do_shares).ok()).collect();
        let mut done = do_shares();
        for helper in helpers {
            done.append(&mut helper.join().unwrap_or_else(|payload| resume_unwind(payload)));
        }
        done
    });
    done.sort_unstable_by_key(|(start, _)| *start);
    done.into_iter().map(|(_, done)| done).collect()
}

fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> io::Result<thread::ScopedJoinHandle<'scope, T>> {
    thread::Builder::new().name("background".to_owned()).spawn_scoped(scope, || {
        step_back();
        work()
    })
}

/// For the present thread alone: with SCHED_IDLE it gets next to nothing of a processor that others want, and who wakes up
/// takes it from it at once. A niceness doesn't do that: another thread may have to wait for its whole slice, some
/// milliseconds.
#[cfg(target_os = "linux")]
fn step_back() {
    let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    // To step back is always permitted; where a sandbox knows nothing of it, it goes on as it is.
    let _ = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy);
}

#[cfg(not(target_os = "linux"))]
fn step_back() {}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn shares_are_all_done_once_and_in_order() {
        for (length, share) in [(0, 1), (1, 1), (1, 0), (7, 3), (1_000, 1), (1_000, 999), (1_000, 2_000)] {
            let shares = in_shares(length, share, |range| range);
            assert_eq!(shares.iter().cloned().flatten().collect::<Vec<_>>(), (0..length).collect::<Vec<_>>());
            assert_eq!(shares.len(), length.div_ceil(share.max(1)));
        }
    }

    #[test]
    fn a_panic_over_a_share_is_the_callers() {
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            in_shares(100, 1, |range| assert!(range.start != 70, "this one"));
        }));
        assert!(panicked.is_err());
    }
}
