//! HTTP dates (RFC 9110 section 5.6.7).

use std::cell::Cell;
use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use httpdate::HttpDate;
use memchr::memchr;

/// The length of a date in the preferred form, `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(super) const DATE_BYTES: usize = 29;

/// The first second that has no four-digit year.
const YEAR_10000: u64 = 253_402_300_800;

/// A point in time in the preferred form; none before 1970 and after 9999, which it has no words for.
#[must_use]
pub fn format_date(time: SystemTime) -> Option<String> {
    let bytes = format_bytes(time.duration_since(UNIX_EPOCH).ok()?.as_secs())?;
    String::from_utf8(bytes.to_vec()).ok()
}

/// A date in any of the three forms that a recipient has to know; none when it is not a date. The year of the form with
/// two digits depends on `now`.
#[must_use]
pub fn parse_date(value: &[u8], now: SystemTime) -> Option<SystemTime> {
    let seconds = parse_seconds(value, since_1970(now))?;
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) }
}

/// The same in seconds [since 1970](since_1970).
pub(crate) fn parse_seconds(value: &[u8], now: i64) -> Option<i64> {
    parse_fixdate(value).or_else(|| parse_rfc850(value, now)).or_else(|| parse_asctime(value))
}

/// Seconds from 1970 to this time, or negative ones back to it. A time within a second before 1970 belongs to 1970, as
/// dates have no fractions.
pub(crate) fn since_1970(time: SystemTime) -> i64 {
    let whole = |distance: Duration| i64::try_from(distance.as_secs()).unwrap_or(i64::MAX);
    time.duration_since(UNIX_EPOCH).map_or_else(|error| -whole(error.duration()), whole)
}

const MONTHS: [[u8; 3]; 12] =
    [*b"Jan", *b"Feb", *b"Mar", *b"Apr", *b"May", *b"Jun", *b"Jul", *b"Aug", *b"Sep", *b"Oct", *b"Nov", *b"Dec"];

/// From Thursday on, the first day of 1970.
const WEEKDAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

const DAY_SECONDS: i64 = 86_400;

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn parse_fixdate(text: &[u8]) -> Option<i64> {
    let &[w0, w1, w2, b',', b' ', d0, d1, b' ', m0, m1, m2, b' ', ref rest @ ..] = text else { return None };
    let &[y0, y1, y2, y3, b' ', ref time @ .., b' ', b'G', b'M', b'T'] = rest else { return None };
    let date = (number([y0, y1, y2, y3])?, [m0, m1, m2], number([d0, d1])?);
    seconds_since_1970(|name| name.as_bytes()[..3] == [w0, w1, w2], date, time)
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`. A year that would lie more than 50 years ahead is one of the past.
fn parse_rfc850(text: &[u8], now: i64) -> Option<i64> {
    const FIFTY_YEARS: i64 = 50 * 1_461 * DAY_SECONDS / 4;
    let (weekday, rest) = text.split_at(memchr(b',', text)?);
    let &[b',', b' ', d0, d1, b'-', m0, m1, m2, b'-', y0, y1, b' ', ref time @ .., b' ', b'G', b'M', b'T'] = rest
    else {
        return None;
    };
    let (day, month, short_year) = (number([d0, d1])?, [m0, m1, m2], number([y0, y1])?);
    let is_too_far = |year: i64| {
        let date = seconds_since_1970(|_| true, (year, month, day), time);
        date.is_some_and(|date| date > now.saturating_add(FIFTY_YEARS))
    };
    // About this year: on the days around New Year it may be the other one, which doesn't matter.
    let this_year = 1970 + now / (146_097 * DAY_SECONDS / 400);
    let next = this_year + (short_year - this_year).rem_euclid(100);
    let year = if is_too_far(next) { next - 100 } else { next };
    seconds_since_1970(|name| weekday == name.as_bytes(), (year, month, day), time)
}

/// `Sun Nov  6 08:49:37 1994`
fn parse_asctime(text: &[u8]) -> Option<i64> {
    let &[w0, w1, w2, b' ', m0, m1, m2, b' ', d0, d1, b' ', ref time @ .., b' ', y0, y1, y2, y3] = text else {
        return None;
    };
    let d0 = if d0 == b' ' { b'0' } else { d0 };
    let date = (number([y0, y1, y2, y3])?, [m0, m1, m2], number([d0, d1])?);
    seconds_since_1970(|name| name.as_bytes()[..3] == [w0, w1, w2], date, time)
}

/// Digits alone; few, so that it fits.
fn number<const DIGITS: usize>(digits: [u8; DIGITS]) -> Option<i64> {
    digits.iter().try_fold(0, |value, digit| digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0')))
}

/// None for a day that doesn't exist or is another weekday.
fn seconds_since_1970(
    is_weekday: impl Fn(&str) -> bool,
    (year, month, day): (i64, [u8; 3], i64),
    time: &[u8],
) -> Option<i64> {
    let month = MONTHS.iter().position(|name| *name == month)?;
    if !(1..=days_of_month(year, month)).contains(&day) {
        return None;
    }
    let days = days_to_month(year, month) + day - 1;
    let weekday = usize::try_from(days.rem_euclid(7)).ok()?;
    is_weekday(WEEKDAYS[weekday]).then_some(days * DAY_SECONDS + second_of_day(time)?)
}

/// Months count from 0 for January.
fn days_of_month(year: i64, month: usize) -> i64 {
    const DAYS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let is_leap_year = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if month == 1 && is_leap_year { 29 } else { DAYS[month] }
}

/// Days from 1970 to the first day of a month.
fn days_to_month(year: i64, month: usize) -> i64 {
    const DAYS_BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let leap_days = |year: i64| year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // The leap day of this year counts from March on.
    let last_leap_year = if month >= 2 { year } else { year - 1 };
    (year - 1970) * 365 + leap_days(last_leap_year) - leap_days(1969) + DAYS_BEFORE[month]
}

/// `08:49:37`; a minute may have a leap second.
fn second_of_day(time: &[u8]) -> Option<i64> {
    let &[h0, h1, b':', m0, m1, b':', s0, s1] = time else { return None };
    let (hours, minutes, seconds) = (number([h0, h1])?, number([m0, m1])?, number([s0, s1])?);
    (hours <= 23 && minutes <= 59 && seconds <= 60).then_some((hours * 60 + minutes) * 60 + seconds)
}

/// The present in the preferred form; none when the clock stands before 1970.
pub(super) fn now() -> Option<[u8; DATE_BYTES]> {
    at(SystemTime::now())
}

/// A point in time in the preferred form, made once a second for each thread. A clock that was set back or forward
/// tells another second, so that what was made before doesn't count.
fn at(time: SystemTime) -> Option<[u8; DATE_BYTES]> {
    thread_local! {
        static LAST: Cell<(u64, [u8; DATE_BYTES])> = const { Cell::new((u64::MAX, [0; DATE_BYTES])) };
    }
    let seconds = time.duration_since(UNIX_EPOCH).ok()?.as_secs();
    let (last, date) = LAST.get();
    if last == seconds {
        return Some(date);
    }
    let date = format_bytes(seconds)?;
    LAST.set((seconds, date));
    Some(date)
}

/// Takes no memory; none for a year beyond 9999.
fn format_bytes(seconds: u64) -> Option<[u8; DATE_BYTES]> {
    let mut bytes = [0; DATE_BYTES];
    let date = (seconds < YEAR_10000).then(|| HttpDate::from(UNIX_EPOCH + Duration::from_secs(seconds)))?;
    write!(&mut bytes[..], "{date}").ok()?;
    Some(bytes)
}

/// The length of `10/Oct/2000:13:55:36 +0000`.
pub(super) const COMMON_TIME_BYTES: usize = 26;

/// The length of `2000-10-10T13:55:36.123Z`.
pub(super) const RFC3339_TIME_BYTES: usize = 24;

/// A point in time as the Common Log Format has it, in UTC.
pub(super) fn common_time(time: SystemTime) -> [u8; COMMON_TIME_BYTES] {
    let date = at(time).unwrap_or(EPOCH);
    let mut text = *b"00/Jan/1970:00:00:00 +0000";
    text[..2].copy_from_slice(&date[5..7]);
    text[3..6].copy_from_slice(&date[8..11]);
    text[7..11].copy_from_slice(&date[12..16]);
    text[12..20].copy_from_slice(&date[17..25]);
    text
}

/// A point in time as RFC 3339 has it, in UTC, with milliseconds.
pub(super) fn rfc3339_time(time: SystemTime) -> [u8; RFC3339_TIME_BYTES] {
    let date = at(time).unwrap_or(EPOCH);
    let month = MONTHS.iter().position(|name| name[..] == date[8..11]).map_or(1, |month| month as u32 + 1);
    let milliseconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().subsec_millis();
    let digit = |number: u32| b'0' + (number % 10) as u8;
    let mut text = *b"1970-00-00T00:00:00.000Z";
    text[..4].copy_from_slice(&date[12..16]);
    text[5..7].copy_from_slice(&[digit(month / 10), digit(month)]);
    text[8..10].copy_from_slice(&date[5..7]);
    text[11..19].copy_from_slice(&date[17..25]);
    text[20..23].copy_from_slice(&[digit(milliseconds / 100), digit(milliseconds / 10), digit(milliseconds)]);
    text
}

/// What stands in for a time that the preferred form has no words for.
const EPOCH: [u8; DATE_BYTES] = *b"Thu, 01 Jan 1970 00:00:00 GMT";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
    fn a_clock_that_is_set_is_believed_at_once() {
        for (seconds, expected) in [
            (784_111_777, Some("Sun, 06 Nov 1994 08:49:37 GMT")),
            (784_111_777, Some("Sun, 06 Nov 1994 08:49:37 GMT")),
            (784_111_776, Some("Sun, 06 Nov 1994 08:49:36 GMT")),
            (YEAR_10000 - 1, Some("Fri, 31 Dec 9999 23:59:59 GMT")),
            (YEAR_10000, None),
            (0, Some("Thu, 01 Jan 1970 00:00:00 GMT")),
        ] {
            let date = at(UNIX_EPOCH + Duration::from_secs(seconds));
            assert_eq!(date.as_ref().map(|date| std::str::from_utf8(date).unwrap()), expected);
        }
        assert_eq!(at(UNIX_EPOCH - Duration::from_secs(1)), None);
    }

    #[test]
    fn times_of_logs_are_in_utc() {
        for (milliseconds, common, rfc3339) in [
            (0, "01/Jan/1970:00:00:00 +0000", "1970-01-01T00:00:00.000Z"),
            (784_111_777_089, "06/Nov/1994:08:49:37 +0000", "1994-11-06T08:49:37.089Z"),
            (1_709_251_199_999, "29/Feb/2024:23:59:59 +0000", "2024-02-29T23:59:59.999Z"),
            (YEAR_10000 * 1000, "01/Jan/1970:00:00:00 +0000", "1970-01-01T00:00:00.000Z"),
        ] {
            let time = UNIX_EPOCH + Duration::from_millis(milliseconds);
            assert_eq!(str::from_utf8(&common_time(time)), Ok(common));
            assert_eq!(str::from_utf8(&rfc3339_time(time)), Ok(rfc3339));
        }
        let before = UNIX_EPOCH - Duration::from_millis(500);
        assert_eq!(&rfc3339_time(before), b"1970-01-01T00:00:00.000Z");
    }

    fn parse(date: &str, now: i64) -> Option<i64> {
        parse_date(date.as_bytes(), UNIX_EPOCH + Duration::from_secs(now as u64)).map(since_1970)
    }

    /// Sat, 21 Nov 2026 00:00:00 GMT
    const NOW: i64 = 1_795_219_200;

    /// RFC 9110 section 5.6.7
    #[test]
    fn all_three_forms_are_understood() {
        for form in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(parse(form, NOW), Some(784_111_777), "{form}");
        }
        for (date, expected) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Wed, 31 Dec 1969 23:59:59 GMT", -1),
            ("Mon, 01 Jan 0001 00:00:00 GMT", -62_135_596_800),
            ("Fri, 31 Dec 9999 23:59:59 GMT", YEAR_10000 as i64 - 1),
            ("Thu, 29 Feb 2024 12:00:00 GMT", 1_709_208_000),
            ("Thu Feb 29 12:00:00 2024", 1_709_208_000),
            ("Tue, 29 Feb 2000 00:00:00 GMT", 951_782_400),
            // A leap second is the first second of the next minute.
            ("Sat, 31 Dec 2016 23:59:60 GMT", 1_483_228_800),
        ] {
            assert_eq!(parse(date, NOW), Some(expected), "{date}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for garbage in [
            "",
            "foobar",
            "2024.12.09 GMT",
            "0",
            "Sun, 06 Nov 1994 08:49:37 GMT; foo",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 gmt",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun,  6 Nov 1994 08:49:37 GMT",
            "sun, 06 Nov 1994 08:49:37 GMT",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Thu, 31 Nov 1994 08:49:37 GMT",
            "Wed, 29 Feb 2023 12:00:00 GMT",
            "Thu, 29 Feb 1900 12:00:00 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:60:00 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
            "Sun, 06 Nov 1994 8:49:37 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 06 Nov 1994 08:49:37:1 GMT",
            "Sun, 06 Nov +994 08:49:37 GMT",
            "Sun, 06-Nov-94 08:49:37 GMT",
            "Sunday, 06-Nov-1994 08:49:37 GMT",
            "Sunday, 06 Nov 1994 08:49:37 GMT",
            "Sun Nov 6 08:49:37 1994",
            "Sun Nov  6 08:49:37 94",
            "Sun Nov  6 08:49:37 1994 ",
            "\u{e9}",
            "Sun Nov  6 08:49:37 199\u{e9}",
        ] {
            assert_eq!(parse(garbage, NOW), None, "{garbage}");
        }
        assert_eq!(parse_date(b"\xff", UNIX_EPOCH), None);
    }

    /// RFC 9110 section 5.6.7: what seems to be more than 50 years ahead was the last year with these digits.
    #[test]
    fn a_year_of_two_digits_is_never_more_than_fifty_years_ahead() {
        for (date, year) in [
            ("Sunday, 22-Nov-26 00:00:00 GMT", 2026),
            ("Friday, 21-Nov-25 00:00:00 GMT", 2025),
            ("Friday, 20-Nov-76 00:00:00 GMT", 2076),
            ("Tuesday, 23-Nov-76 00:00:00 GMT", 1976),
            ("Friday, 21-Nov-70 00:00:00 GMT", 2070),
            ("Monday, 21-Nov-77 00:00:00 GMT", 1977),
            ("Saturday, 01-Jan-00 00:00:00 GMT", 2000),
            ("Sunday, 21-Nov-99 00:00:00 GMT", 1999),
        ] {
            let found =
                parse(date, NOW).and_then(|seconds| format_date(UNIX_EPOCH + Duration::from_secs(seconds as u64)));
            assert!(found.as_ref().is_some_and(|found| found.contains(&format!(" {year} "))), "{date}: {found:?}");
        }
    }

    proptest! {
        /// What is written is read again, in each form.
        #[test]
        fn dates_are_read_as_they_were_written(seconds in 0..YEAR_10000) {
            let written = format_date(UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
            prop_assert_eq!(parse(&written, NOW), Some(seconds as i64));
            let (weekday, rest) = written.split_once(", ").unwrap();
            let [day, month, year, time, _] = rest.split(' ').collect::<Vec<_>>()[..] else { panic!("{written}") };
            let asctime = format!("{weekday} {month} {:>2} {time} {year}", day.trim_start_matches('0'));
            prop_assert_eq!(parse(&asctime, NOW), Some(seconds as i64));
            let weekday = WEEKDAYS.iter().find(|name| name.starts_with(weekday)).unwrap();
            let rfc850 = format!("{weekday}, {day}-{month}-{} {time} GMT", &year[2..]);
            prop_assert_eq!(parse(&rfc850, seconds as i64), Some(seconds as i64));
        }

        #[test]
        fn no_text_panics(text in "[A-Za-z0-9:, -]{0,40}|\\PC{0,40}", now in 0..YEAR_10000) {
            parse(&text, now as i64);
        }
    }
}
