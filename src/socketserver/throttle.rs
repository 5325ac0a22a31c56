//! Lines of the log that strangers can cause.

use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use log::{Level, log, log_enabled};

use super::parking::lock;

/// Lines in each window.
const LINES_MAX: u32 = 20;

const WINDOW: Duration = Duration::from_secs(10);

/// Keeps lines of one kind from filling the log: of each 10 s the first 20 are written, and then how many more there were.
/// Who has the log tell more than usual (debug) gets them all.
#[derive(Debug, Default)]
pub struct Throttle {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    window: Option<Instant>,
    written: u32,
    left_out: u64,
}

impl Throttle {
    /// Writes a line, or counts it.
    pub fn say(&self, level: Level, line: fmt::Arguments<'_>) {
        if !log_enabled!(level) {
            return;
        }
        if log_enabled!(Level::Debug) {
            log!(level, "{line}");
        } else if let Some(left_out) = lock(&self.counts).count(Instant::now()) {
            tell(left_out);
            log!(level, "{line}");
        }
    }

    /// Tells how many lines were left out, once their window is over; for
    /// [`service_actions`](super::Handler::service_actions).
    pub fn catch_up(&self) {
        tell(lock(&self.counts).turn(Instant::now()));
    }
}

impl Counts {
    /// Counts a line. If it may be written: how many were left out before it.
    fn count(&mut self, now: Instant) -> Option<u64> {
        let left_out = self.turn(now);
        self.window.get_or_insert(now);
        if self.written == LINES_MAX {
            self.left_out += 1;
            return None;
        }
        self.written += 1;
        Some(left_out)
    }

    /// Ends a window that is over; how many lines were left out of it.
    fn turn(&mut self, now: Instant) -> u64 {
        if self.window.is_none_or(|window| now.saturating_duration_since(window) < WINDOW) {
            return 0;
        }
        std::mem::take(self).left_out
    }
}

fn tell(left_out: u64) {
    if left_out > 0 {
        log::warn!("{left_out} more lines like those above were left out");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_window_has_its_lines_and_then_a_count() {
        let (mut counts, start) = (Counts::default(), Instant::now());
        for _ in 0..LINES_MAX {
            assert_eq!(counts.count(start), Some(0));
        }
        for _ in 0..1_000 {
            assert_eq!(counts.count(start + WINDOW / 2), None);
        }
        assert_eq!(counts.turn(start + WINDOW / 2), 0, "it is not over");
        assert_eq!(counts.count(start + WINDOW), Some(1_000));
        assert_eq!(counts.count(start + WINDOW), Some(0));
    }

    #[test]
    fn the_count_is_told_once_without_another_line() {
        let (mut counts, start) = (Counts::default(), Instant::now());
        let counted = (0..=LINES_MAX).filter_map(|_| counts.count(start)).count();
        assert_eq!(counted, LINES_MAX as usize);
        assert_eq!([counts.turn(start + WINDOW), counts.turn(start + WINDOW)], [1, 0]);
    }
}
