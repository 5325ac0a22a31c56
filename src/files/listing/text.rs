//! How names, sizes and times are written on a page. Pure.

use std::borrow::Cow;

/// Text for HTML, in an element or in an attribute with quotes.
pub(super) fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(is_special) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
    }
    Cow::Owned(escaped)
}

fn is_special(character: char) -> bool {
    matches!(character, '&' | '<' | '>' | '"' | '\'')
}

/// A name as it is shown: control characters, which would not be seen, as their pictures; bytes that are no UTF-8, and
/// what would turn the order of the letters behind it, as U+FFFD, so that no name looks like another.
pub(super) fn shown(name: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(name);
    if !text.contains(|character: char| character.is_control() || turns(character)) {
        return text;
    }
    let picture = |character: char| match u32::from(character) {
        control @ 0..=0x1f => char::from_u32(0x2400 + control).unwrap_or(char::REPLACEMENT_CHARACTER),
        0x7f => '\u{2421}',
        0x80..=0x9f => char::REPLACEMENT_CHARACTER,
        _ if turns(character) => char::REPLACEMENT_CHARACTER,
        _ => character,
    };
    Cow::Owned(text.chars().map(picture).collect())
}

/// Whether it sets the direction of what follows, or ends the line.
fn turns(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A size as people read it, with three digits or four: `999 B`, `12.3 KB`. Units are powers of 1000.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut unit = 1000;
    for name in UNITS {
        let tenths = (u128::from(bytes) * 10 + unit / 2) / unit;
        if tenths < 10_000 {
            return format!("{}.{} {name}", tenths / 10, tenths % 10);
        }
        unit *= 1000;
    }
    format!("{bytes} B")
}

/// A count with its thousands apart: `50,000`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A point in time, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Utc {
    date: (i64, i64, i64),
    time: (i64, i64, i64),
}

impl Utc {
    /// Of seconds since 1970, or before it; none in years that don't have four digits, as a file system may hold any
    /// number.
    pub(super) fn of(seconds: i64) -> Option<Self> {
        const YEARS_0_TO_9999: std::ops::Range<i64> = -62_167_219_200..253_402_300_800;
        if !YEARS_0_TO_9999.contains(&seconds) {
            return None;
        }
        let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        Some(Self { date: date_of(days), time: (second / 3_600, second / 60 % 60, second % 60) })
    }

    /// `2026-11-21T04:14:56Z` (RFC 3339).
    pub(super) fn for_machines(self) -> String {
        let ((year, month, day), (hour, minute, second)) = (self.date, self.time);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }

    /// `2026-11-21 04:14`
    pub(super) fn for_people(self) -> String {
        let ((year, month, day), (hour, minute, _)) = (self.date, self.time);
        format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}")
    }
}

/// Year, month and day of a day counted from 1970. Years are counted here from March on, so that a leap day is the
/// last, and in the 400 years after which the calendar repeats.
fn date_of(days: i64) -> (i64, i64, i64) {
    const CYCLE_DAYS: i64 = 146_097;
    /// From the first of March of the year 0 to 1970.
    const DAYS_TO_1970: i64 = 719_468;
    let days = days + DAYS_TO_1970;
    let (cycle, day) = (days.div_euclid(CYCLE_DAYS), days.rem_euclid(CYCLE_DAYS));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    // Five months from March on have 153 days.
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (cycle * 400 + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::http::format_date;
    use proptest::prelude::*;

    #[test]
    fn nothing_of_a_name_is_markup() {
        assert_eq!(escape("<b a=\"1\" c='2'>&amp;</b>"), "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;amp;&lt;/b&gt;");
        assert!(matches!(escape("plain \u{fc}"), Cow::Borrowed("plain \u{fc}")));
    }

    #[test]
    fn names_are_shown_whatever_they_are_made_of() {
        for (name, expected) in [
            (&b"plain"[..], "plain"),
            (b"a\nb\x1b[31m", "a\u{240a}b\u{241b}[31m"),
            (b"\x7f\xc2\x85", "\u{2421}\u{fffd}"),
            (b"\xff\xc0", "\u{fffd}\u{fffd}"),
            ("\u{202e}txt.exe".as_bytes(), "\u{fffd}txt.exe"),
        ] {
            assert_eq!(shown(name), expected);
        }
    }

    #[test]
    fn sizes_have_few_digits() {
        for (bytes, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 KB"),
            (12_345, "12.3 KB"),
            (999_949, "999.9 KB"),
            (999_950, "1.0 MB"),
            (1_500_000_000, "1.5 GB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(size(bytes), expected, "{bytes}");
        }
        for (number, expected) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), expected);
        }
    }

    #[track_caller]
    fn check_time(seconds: i64, expected: Option<&str>) {
        assert_eq!(Utc::of(seconds).map(Utc::for_machines).as_deref(), expected, "{seconds}");
    }

    /// One file dated before 1970 ended the servers of others.
    #[test]
    fn times_before_1970_and_out_of_all_reason_do_no_harm() {
        check_time(0, Some("1970-01-01T00:00:00Z"));
        check_time(-1, Some("1969-12-31T23:59:59Z"));
        check_time(951_782_400, Some("2000-02-29T00:00:00Z"));
        check_time(-62_167_219_200, Some("0000-01-01T00:00:00Z"));
        check_time(-62_167_219_201, None);
        check_time(253_402_300_799, Some("9999-12-31T23:59:59Z"));
        check_time(253_402_300_800, None);
        check_time(i64::MIN, None);
        check_time(i64::MAX, None);
        assert_eq!(Utc::of(1_795_234_496).map(Utc::for_people).as_deref(), Some("2026-11-21 04:14"));
    }

    proptest! {
        /// The same day and time as in HTTP's own dates.
        #[test]
        fn times_agree_with_http_dates(seconds in 0_u64..253_402_300_800) {
            let date = format_date(UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
            let shown = Utc::of(seconds as i64).unwrap().for_machines();
            prop_assert_eq!(&shown[0..4], &date[12..16]);
            prop_assert_eq!(&shown[8..10], &date[5..7]);
            prop_assert_eq!(&shown[11..19], &date[17..25]);
        }
    }
}
