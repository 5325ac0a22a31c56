//! Every limit of this layer, in one place.

use std::time::{Duration, Instant};

/// Bytes of all turns of a queue together, before the one who comes last has its first: it should not wait for long.
const ROUND_BYTES: u64 = 64 << 20;

/// Below this a turn costs more than what it sends.
const TURN_BYTES_MIN: u64 = 64 << 10;

/// What one connection may ask, hold and take. Sizes are bytes; times run from the start of what they bound, and bytes
/// that trickle in do not extend them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// A longer request line is answered 414. Default: 8 KiB.
    pub request_line_bytes_max: usize,
    /// A larger field section is answered 431. Default: 16 KiB.
    pub field_section_bytes_max: usize,
    /// More field lines are answered 431; at most [`FIELDS_CEILING`]. Default: 100.
    pub fields_max: usize,
    /// The time a request head may take from its first byte to its last; later it is answered 408. Default: 10 s.
    pub head_timeout: Duration,
    /// The time a connection may stay open without a request. Default: 65 s.
    pub idle_timeout: Duration,
    /// The most a request body may hold that the handler does not want, read and thrown away; more is answered 413.
    /// Default: 64 KiB.
    pub body_discard_bytes_max: u64,
    /// The time a request body may take; later it is answered 408. Default: 30 s.
    pub body_timeout: Duration,
    /// The time in which a peer must take at least `write_rate_min` bytes a second of a response. Default: 30 s.
    pub write_timeout: Duration,
    /// Bytes a second, over `write_timeout`, below which a response is cut off. Default: 256.
    pub write_rate_min: u64,
    /// Body bytes read or written for one connection before the others have their turn; less where many others wait.
    /// Default: 1 MiB.
    pub turn_bytes_max: u64,
    /// Requests answered for one connection before the others have their turn. Default: 32.
    pub turn_requests_max: u32,
    /// The time a closing connection is still read, so that the peer gets the last answer (RFC 9112 section 9.6).
    /// Default: 2 s.
    pub linger_timeout: Duration,
    /// The bytes read and thrown away in that time. Default: 64 MiB.
    pub linger_bytes_max: u64,
}

impl Limits {
    /// The bytes of a turn, with so many who wait for theirs.
    pub(super) fn turn_bytes(&self, waiting: usize) -> u64 {
        let share = ROUND_BYTES / (waiting as u64 + 1);
        share.max(TURN_BYTES_MIN).min(self.turn_bytes_max).max(1)
    }
}

/// The end of a time that begins now; a time that never ends is cut to a year.
pub(super) fn end_of(timeout: Duration, now: Instant) -> Instant {
    now.checked_add(timeout.min(YEAR)).unwrap_or(now)
}

const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The largest `fields_max`.
pub const FIELDS_CEILING: usize = 256;

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_line_bytes_max: 8 << 10,
            field_section_bytes_max: 16 << 10,
            fields_max: 100,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(65),
            body_discard_bytes_max: 64 << 10,
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            write_rate_min: 256,
            turn_bytes_max: 1 << 20,
            turn_requests_max: 32,
            linger_timeout: Duration::from_secs(2),
            linger_bytes_max: 64 << 20,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_shorter_where_many_wait() {
        for (bytes_max, waiting, expected) in [
            (1 << 20, 0, 1 << 20),
            (1 << 20, 63, 1 << 20),
            (1 << 20, 127, 512 << 10),
            (1 << 20, 1_023, 64 << 10),
            (1 << 20, 100_000, 64 << 10),
            (1 << 30, 0, 64 << 20),
            (4_096, 1_000, 4_096),
            (0, 0, 1),
        ] {
            let limits = Limits { turn_bytes_max: bytes_max, ..Limits::default() };
            assert_eq!(limits.turn_bytes(waiting), expected, "{bytes_max} {waiting}");
        }
    }
}
