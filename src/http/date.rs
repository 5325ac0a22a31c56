//! HTTP dates (RFC 9110 section 5.6.7).

use std::cell::Cell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The length of a date in the preferred form, `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(super) const DATE_BYTES: usize = 29;

/// The first second that has no four-digit year.
const YEAR_10000: u64 = 253_402_300_800;

/// A point in time in the preferred form; none before 1970 and after 9999, which it has no words for.
#[must_use]
pub fn format_date(time: SystemTime) -> Option<String> {
    let seconds = time.duration_since(UNIX_EPOCH).ok()?.as_secs();
    (seconds < YEAR_10000).then(|| httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds)))
}

/// A date in any of the three forms that a recipient has to know; none when it is not a date.
#[must_use]
pub fn parse_date(value: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()
}

/// The present in the preferred form, made once a second for each thread; none when the clock stands before 1970.
pub(super) fn now() -> Option<[u8; DATE_BYTES]> {
    thread_local! {
        static LAST: Cell<(u64, [u8; DATE_BYTES])> = const { Cell::new((u64::MAX, [0; DATE_BYTES])) };
    }
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    let (last, date) = LAST.get();
    if last == seconds {
        return Some(date);
    }
    let date = format_date(UNIX_EPOCH + Duration::from_secs(seconds))?.into_bytes().try_into().ok()?;
    LAST.set((seconds, date));
    Some(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_without_four_digit_years_are_not_made() {
        for (seconds, expected) in [
            (0, Some("Thu, 01 Jan 1970 00:00:00 GMT")),
            (784_111_777, Some("Sun, 06 Nov 1994 08:49:37 GMT")),
            (YEAR_10000 - 1, Some("Fri, 31 Dec 9999 23:59:59 GMT")),
            (YEAR_10000, None),
        ] {
            assert_eq!(format_date(UNIX_EPOCH + Duration::from_secs(seconds)).as_deref(), expected);
        }
        assert_eq!(format_date(UNIX_EPOCH - Duration::from_secs(1)), None);
    }

    #[test]
    fn all_three_forms_are_understood() {
        let expected = Some(UNIX_EPOCH + Duration::from_secs(784_111_777));
        for form in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(parse_date(form.as_bytes()), expected, "{form}");
        }
        for garbage in ["", "foobar", "2024.12.09 GMT", "Sun, 06 Nov 1994 08:49:37 GMT; foo", "\u{e9}"] {
            assert_eq!(parse_date(garbage.as_bytes()), None, "{garbage}");
        }
    }
}
