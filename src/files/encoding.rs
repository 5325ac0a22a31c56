//! Content codings (RFC 9110 section 8.4.1): which of them a request accepts, and which media types are worth one.
//! Pure: what a thread remembers of the last field is what reading it again would give.

use std::cell::RefCell;

use super::options::Coding;
use crate::http::Fields;

/// A weight in thousandths: `q=0.5` is 500, and 0 a refusal.
type Weight = u16;

const WEIGHT_MAX: Weight = 1000;

/// What is sent as it is when nobody said how much that is wanted: acceptable, but any coding that was named is better.
const WEIGHT_UNSAID: Weight = 1;

const FIELD: &str = "accept-encoding";

thread_local! {
    /// The last value that was read, and what it says: most requests say the same as the one before.
    static LAST: RefCell<(Vec<u8>, Option<Accepted>)> = const { RefCell::new((Vec::new(), None)) };
}

/// Longer values, which no browser sends, are read each time.
const REMEMBERED_BYTES_MAX: usize = 64;

/// What a request says of each coding (RFC 9110 section 12.5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Accepted {
    /// In the order of [`Coding::ALL`].
    codings: [Weight; Coding::ALL.len()],
    identity: Weight,
}

impl Accepted {
    /// What Accept-Encoding says. None where it isn't there or names nothing: then there is nothing to choose.
    pub(super) fn of(fields: Fields<'_>) -> Option<Self> {
        let mut values = fields.all(FIELD);
        // Many don't say anything, and these shall cost no more than this look.
        let value = values.next()?;
        if values.next().is_some() || value.len() > REMEMBERED_BYTES_MAX {
            return Self::read(fields);
        }
        LAST.with_borrow_mut(|(last, meaning)| {
            if last != value {
                last.clear();
                last.extend_from_slice(value);
                *meaning = Self::read(fields);
            }
            *meaning
        })
    }

    fn read(fields: Fields<'_>) -> Option<Self> {
        let mut said = Said::default();
        fields.list(FIELD).filter_map(parse_member).for_each(|(name, weight)| said.note(name, weight));
        (said != Said::default()).then(|| said.meaning())
    }

    /// What is sent as it is would be wrong.
    pub(super) fn refuses_identity(&self) -> bool {
        self.identity == 0
    }

    /// Whether there is a coding that may be used.
    pub(super) fn has_coding(&self) -> bool {
        Coding::ALL.iter().any(|&coding| self.weight(coding) > 0)
    }

    /// The weights of codings, the greatest first, each once; without 0.
    pub(super) fn weights(&self) -> impl Iterator<Item = Weight> + use<> {
        let mut weights = Coding::ALL.map(|coding| self.weight(coding));
        weights.sort_unstable_by(|one, other| other.cmp(one));
        let mut last = 0;
        weights.into_iter().filter(move |&weight| weight > 0 && std::mem::replace(&mut last, weight) != weight)
    }

    /// How much a coding is wanted; 0 where it must not be used, or where to send content as it is would be better.
    pub(super) fn weight(&self, coding: Coding) -> Weight {
        let weight = self.codings[coding as usize];
        if weight < self.identity { 0 } else { weight }
    }
}

/// What stood in the field, by name.
#[derive(Default, PartialEq, Eq)]
struct Said {
    codings: [Option<Weight>; Coding::ALL.len()],
    identity: Option<Weight>,
    /// Of `*`: whatever was not named.
    others: Option<Weight>,
}

impl Said {
    fn note(&mut self, name: &[u8], weight: Weight) {
        let place = match coding_of(name) {
            Some(coding) => &mut self.codings[coding as usize],
            None if name.eq_ignore_ascii_case(b"identity") => &mut self.identity,
            None if name == b"*" => &mut self.others,
            None => return,
        };
        // Who says two things of one coding gets no more of it than the lesser allows.
        *place = Some(place.map_or(weight, |said| said.min(weight)));
    }

    fn meaning(&self) -> Accepted {
        let codings = self.codings.map(|said| said.or(self.others).unwrap_or(0));
        // That `*;q=0` refuses identity too stands in section 12.5.3, rule 2.
        Accepted { codings, identity: self.identity.or(self.others).unwrap_or(WEIGHT_UNSAID) }
    }
}

/// A coding by its name; `x-gzip` is an old one of gzip's (RFC 9110 section 8.4.1.3).
fn coding_of(name: &[u8]) -> Option<Coding> {
    if name.eq_ignore_ascii_case(b"x-gzip") {
        return Some(Coding::Gzip);
    }
    Coding::ALL.into_iter().find(|coding| name.eq_ignore_ascii_case(coding.name().as_bytes()))
}

/// A member of the list: a name, and its weight if there is one. None where it is malformed.
fn parse_member(member: &[u8]) -> Option<(&[u8], Weight)> {
    let Some(at) = member.iter().position(|&byte| byte == b';') else { return Some((member, WEIGHT_MAX)) };
    let (name, parameter) = (member[..at].trim_ascii(), member[at + 1..].trim_ascii());
    let [b'q' | b'Q', b'=', value @ ..] = parameter else { return None };
    Some((name, parse_weight(value)?))
}

/// `qvalue` (RFC 9110 section 12.4.2): 0 to 1, with at most three digits behind the point.
fn parse_weight(value: &[u8]) -> Option<Weight> {
    let (whole, digits) = match value {
        [whole] => (whole, &[][..]),
        [whole, b'.', digits @ ..] if digits.len() <= 3 => (whole, digits),
        _ => return None,
    };
    let mut weight = match whole {
        b'0' => 0,
        b'1' => WEIGHT_MAX,
        _ => return None,
    };
    for (digit, unit) in digits.iter().zip([100, 10, 1]) {
        weight += Weight::from(digit.is_ascii_digit().then(|| digit - b'0')?) * unit;
    }
    (weight <= WEIGHT_MAX).then_some(weight)
}

/// Whether content of this type is mostly made much smaller; pictures, films and archives are not, as they are
/// compressed already.
pub(super) fn is_compressible(content_type: &[u8]) -> bool {
    let end = content_type.iter().position(|&byte| byte == b';').unwrap_or(content_type.len());
    let Ok(essence) = std::str::from_utf8(content_type[..end].trim_ascii()) else { return false };
    essence.starts_with("text/")
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
        || COMPRESSIBLE.contains(&essence)
}

const COMPRESSIBLE: &[&str] = &[
    "application/ecmascript",
    "application/graphql",
    "application/javascript",
    "application/json",
    "application/json5",
    "application/jsonlines",
    "application/ndjson",
    "application/postscript",
    "application/rtf",
    "application/sql",
    "application/toml",
    "application/vnd.apple.mpegurl",
    "application/vnd.ms-fontobject",
    "application/wasm",
    "application/x-font-otf",
    "application/x-font-ttf",
    "application/x-javascript",
    "application/x-ndjson",
    "application/x-sh",
    "application/x-sql",
    "application/x-tex",
    "application/x-yaml",
    "application/xml",
    "application/xml-dtd",
    "application/yaml",
    "font/collection",
    "font/otf",
    "font/sfnt",
    "font/ttf",
    "image/bmp",
    "image/vnd.microsoft.icon",
    "image/x-icon",
    "image/x-ms-bmp",
    "model/obj",
    "model/stl",
];

#[cfg(test)]
mod tests {
    use httparse::Header;
    use proptest::prelude::*;

    use super::*;
    use Coding::{Br, Gzip, Zstd};

    fn accepted(lines: &[&str]) -> Option<Accepted> {
        let line = |value: &&'static str| Header { name: "Accept-encoding", value: value.as_bytes() };
        // Leaked, as a header borrows from what lives as long as it does; these are a few bytes of a test.
        let lines: Vec<&'static str> = lines.iter().map(|line| &*String::leak((*line).to_owned())).collect();
        let lines: Vec<Header<'_>> = lines.iter().map(line).collect();
        Accepted::of(Fields::of(&lines))
    }

    /// The weights of br, zstd, gzip and identity.
    #[track_caller]
    fn check(value: &str, expected: Option<[Weight; 4]>) {
        assert_eq!(accepted(&[value]).map(in_order), expected, "{value}");
    }

    fn in_order(Accepted { codings: [br, zstd, gzip], identity }: Accepted) -> [Weight; 4] {
        [br, zstd, gzip, identity]
    }

    #[test]
    fn each_coding_has_the_weight_that_was_said() {
        check("gzip, deflate, br, zstd", Some([1000, 1000, 1000, 1]));
        check("gzip;q=1.0, br;q=0.5, zstd;q=0.25", Some([500, 250, 1000, 1]));
        check("GZIP;Q=0.001", Some([0, 0, 1, 1]));
        check("x-gzip", Some([0, 0, 1000, 1]));
        check("X-GZip;q=0.5, gzip;q=0.75", Some([0, 0, 500, 1]));
        check("identity", Some([0, 0, 0, 1000]));
        check("identity;q=0.5, gzip;q=0.25", Some([0, 0, 250, 500]));
        check("identity;q=0", Some([0, 0, 0, 0]));
        check("*", Some([1000, 1000, 1000, 1000]));
        check("*;q=0", Some([0, 0, 0, 0]));
        check("gzip, *;q=0", Some([0, 0, 1000, 0]));
        check("*;q=0, identity;q=0.1", Some([0, 0, 0, 100]));
        check("br;q=0, *", Some([0, 1000, 1000, 1000]));
        check("gzip\t;\tq=0.5", Some([0, 0, 500, 1]));
    }

    #[test]
    fn who_names_nothing_has_no_preference() {
        for value in ["", " ", ",", "deflate", "compress, deflate;q=0.5", "gz", "zst", "brotli", "gzip;level=9"] {
            check(value, None);
        }
        assert_eq!(accepted(&[]), None);
    }

    #[test]
    fn a_malformed_member_is_no_member() {
        for member in [
            "br;q=",
            "br;q",
            "br;",
            "br;q=2",
            "br;q=1.001",
            "br;q=0.0001",
            "br;q=.5",
            "br;q=-1",
            "br;q=0,5x",
            "br;q= 1",
            "br;q=1;q=1",
            "br q=1",
            "br;q=\"1\"",
            "b r",
            "br;q=0.x",
            "br;q=1.01",
        ] {
            check(&format!("{member}, gzip"), Some([0, 0, 1000, 1]));
        }
        // A point needs no digits behind it.
        check("br;q=1.", Some([1000, 0, 0, 1]));
        check("br;q=0.", Some([0, 0, 0, 1]));
    }

    /// Whatever was read before, short or long, in one line or several.
    #[test]
    fn what_is_remembered_is_of_this_value() {
        let long = format!("gzip;q=0.1{:64}", "");
        for value in ["gzip", "br", "gzip", "", "br", "deflate", &long, "br", "br;q=0", "br"] {
            check(value, Accepted::read(Fields::of(&[Header { name: FIELD, value: value.as_bytes() }])).map(in_order));
            assert_eq!(accepted(&[value, "zstd"]).unwrap().weight(Zstd), WEIGHT_MAX, "{value}");
        }
    }

    #[test]
    fn a_list_runs_over_lines() {
        let found = accepted(&["gzip;q=0.5", "", "br"]).unwrap();
        assert_eq!(found.weights().collect::<Vec<_>>(), [1000, 500]);
        assert_eq!((found.weight(Br), found.weight(Zstd), found.weight(Gzip)), (1000, 0, 500));
    }

    #[test]
    fn what_is_wanted_less_than_identity_is_not_used() {
        let found = accepted(&["gzip;q=0.5, br;q=0.8, identity;q=0.8"]).unwrap();
        assert_eq!((found.weight(Br), found.weight(Gzip)), (800, 0));
        assert!(found.has_coding() && !found.refuses_identity());
        assert!(!accepted(&["identity, gzip;q=0.9"]).unwrap().has_coding());
        assert!(accepted(&["identity;q=0"]).unwrap().refuses_identity());
    }

    #[test]
    fn what_is_compressed_already_is_left_alone() {
        for (content_type, expected) in [
            ("text/html; charset=utf-8", true),
            ("text/plain", true),
            ("application/javascript; charset=utf-8", true),
            ("application/json", true),
            ("application/manifest+json", true),
            ("application/rss+xml", true),
            ("image/svg+xml", true),
            ("application/wasm", true),
            ("font/ttf", true),
            ("image/x-icon", true),
            ("image/png", false),
            ("image/jpeg", false),
            ("font/woff2", false),
            ("video/webm", false),
            ("application/gzip", false),
            ("application/zip", false),
            ("application/octet-stream", false),
            ("", false),
            ("\u{fc}", false),
        ] {
            assert_eq!(is_compressible(content_type.as_bytes()), expected, "{content_type}");
        }
    }

    proptest! {
        /// Whatever comes, weights are weights, and what was refused is refused.
        #[test]
        fn any_field_is_read(value in "[ ,;=.a-z0-9*]{0,40}", refused in 0usize..3) {
            if let Some(found) = accepted(&[&value]) {
                prop_assert!(found.codings.iter().all(|&weight| weight <= WEIGHT_MAX));
                let weights: Vec<_> = found.weights().collect();
                prop_assert!(weights.is_sorted_by(|one, other| one > other), "{:?}", weights);
            }
            let refused = Coding::ALL[refused];
            let found = accepted(&[&value, &format!("{};q=0", refused.name())]).unwrap();
            prop_assert_eq!(found.weight(refused), 0);
        }

        /// Every weight there is reads as what it says.
        #[test]
        fn any_weight_is_read(weight in 0..=WEIGHT_MAX) {
            let text = format!("{}.{:03}", weight / 1000, weight % 1000);
            prop_assert_eq!(parse_weight(text.as_bytes()), Some(weight));
            prop_assert_eq!(parse_weight(text.trim_end_matches('0').as_bytes()), Some(weight));
        }
    }
}
