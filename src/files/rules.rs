//! Rules of a site about its answers: fields by pattern, media types, pages for errors. Pure.

use std::fmt;
use std::str::FromStr;

use ::http::{HeaderName, HeaderValue, StatusCode, header};
use log::trace;
use mime_guess::Mime;

use super::pattern::Pattern;
use crate::http::ROUTE;

/// Fields of answers, by the path that is asked for: `Name: value` for all, `PATTERN Name: value` for some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRule {
    /// As it was written; of others where they come from.
    text: String,
    /// None is every path.
    pattern: Option<Pattern>,
    /// Several of one name are several field lines.
    fields: Vec<(HeaderName, HeaderValue)>,
    place: Place,
}

/// Where a rule is written, for people; what it says has nothing to do with that.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place(pub(crate) String);

impl PartialEq for Place {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Place {}

/// As it stands behind what is written there.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " ({})", self.0) }
    }
}

impl FieldRule {
    /// These fields for every path; `origin` is for people.
    pub(super) fn everywhere(origin: &str, fields: Vec<(HeaderName, HeaderValue)>) -> Self {
        Self { text: origin.to_owned(), pattern: None, fields, place: Place::default() }
    }

    /// These fields where the pattern matches.
    pub(super) fn of(origin: &str, pattern: Pattern, fields: Vec<(HeaderName, HeaderValue)>) -> Self {
        Self { text: origin.to_owned(), pattern: Some(pattern), fields, place: Place::default() }
    }

    /// Told where it is written, for those who ask which rule it was.
    #[must_use]
    pub fn placed(mut self, place: String) -> Self {
        self.place.0 = place;
        self
    }

    /// Whether it has a field of this name.
    #[must_use]
    pub fn names(&self, name: &HeaderName) -> bool {
        self.fields.iter().any(|(named, _)| named == name)
    }

    pub(super) fn applies(&self, paths: &[&[u8]]) -> bool {
        self.pattern.as_ref().is_none_or(|pattern| paths.iter().any(|path| pattern.matches(path)))
    }
}

impl FromStr for FieldRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (pattern, field) = match text.split_once(char::is_whitespace) {
            // A name has a colon right behind it; a pattern has none.
            Some((first, rest)) if !first.contains(':') => (Some(first), rest.trim_start()),
            _ => (None, text),
        };
        let fields = vec![parse_field(field)?];
        Ok(Self {
            text: text.to_owned(),
            pattern: pattern.map(str::parse).transpose()?,
            fields,
            place: Place::default(),
        })
    }
}

impl fmt::Display for FieldRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What salver says of an answer itself: another value would be a lie, or break the framing.
const OWN: [HeaderName; 19] = [
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TRAILER,
    header::DATE,
    header::SERVER,
    header::CONTENT_ENCODING,
    header::CONTENT_RANGE,
    header::ACCEPT_RANGES,
    header::CONTENT_TYPE,
    header::ETAG,
    header::LAST_MODIFIED,
    header::LOCATION,
    header::ALLOW,
    header::X_CONTENT_TYPE_OPTIONS,
];

/// A field as `Name: value`.
pub(super) fn parse_field(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let expected = "expected Name: value, or PATTERN Name: value";
    let (name, value) = text.split_once(':').ok_or(expected)?;
    let name: HeaderName = name.parse().map_err(|_| format!("{expected}; '{name}' is no field name"))?;
    if name == header::CONTENT_TYPE {
        return Err("Content-Type is chosen by `type`".to_owned());
    }
    if OWN.contains(&name) {
        return Err(format!("{name} is salver's own to say"));
    }
    let value =
        HeaderValue::from_str(value.trim()).map_err(|_| format!("the value of {name} has control characters"))?;
    Ok((name, value))
}

/// Fields that several rules add to, where others replace what was said before.
const ADDED_UP: [HeaderName; 3] = [header::LINK, header::SET_COOKIE, header::VARY];

/// What rules say of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Dress {
    pub(super) cache_control: Option<HeaderValue>,
    pub(super) fields: Vec<(HeaderName, HeaderValue)>,
}

impl Dress {
    /// The fields that say nothing of how long an answer may be kept.
    pub(super) fn not_of_caching(self) -> Vec<(HeaderName, HeaderValue)> {
        self.fields.into_iter().filter(|(name, _)| !is_of_caching(name)).collect()
    }
}

/// Besides Cache-Control: what came before it, and what tells certain caches more (RFC 9213).
fn is_of_caching(name: &HeaderName) -> bool {
    let name = name.as_str();
    matches!(name, "expires" | "pragma" | "surrogate-control" | "x-accel-expires") || name.ends_with("-cache-control")
}

/// The fields of an answer, of a later rule rather than an earlier one. `paths` are what is asked for, and what answers it.
pub(super) fn dress(rules: &[FieldRule], paths: &[&[u8]]) -> Dress {
    dress_by(rules, |_, rule| rule.applies(paths))
}

/// The same, of the rules for which this holds, told their places.
pub(super) fn dress_by(rules: &[FieldRule], applies: impl Fn(usize, &FieldRule) -> bool) -> Dress {
    let mut dress = Dress::default();
    for (_, rule) in rules.iter().enumerate().filter(|(at, rule)| applies(*at, rule)) {
        trace!(target: ROUTE, "field: by {rule}{}", rule.place);
        let replaced = |name: &HeaderName| !ADDED_UP.contains(name) && rule.fields.iter().any(|(new, _)| new == name);
        dress.fields.retain(|(name, _)| !replaced(name));
        dress.fields.extend(rule.fields.iter().cloned());
    }
    let caching = dress.fields.iter().rposition(|(name, _)| *name == header::CACHE_CONTROL);
    dress.cache_control = caching.map(|at| dress.fields[at].1.clone());
    dress.fields.retain(|(name, _)| *name != header::CACHE_CONTROL);
    dress
}

/// Whether a name has the digest of its content in it, next to its extension, as build tools write it: `app.3f9a1c2b.js`,
/// `index-BxYz12_a.css`. Eight characters at least: hexadecimal with a letter and a digit, or of base64url's (or
/// base32's) with a capital and a digit, so that neither a word nor a date is taken for one.
pub(super) fn is_hashed(name: &[u8]) -> bool {
    let mut pieces = name.rsplitn(2, |&byte| byte == b'.');
    let (Some(_extension), Some(stem)) = (pieces.next(), pieces.next()) else { return false };
    let separators = stem.iter().enumerate().filter(|(_, byte)| matches!(byte, b'.' | b'-' | b'_')).map(|(at, _)| at);
    let is_all_hash = stem.len() >= 2 * HASH_CHARACTERS_MIN && stem.iter().all(u8::is_ascii_hexdigit) && is_hash(stem);
    is_all_hash || separators.into_iter().filter(|&at| at > 0).map(|at| &stem[at + 1..]).any(is_hash)
}

fn is_hash(text: &[u8]) -> bool {
    let has = |is: fn(&u8) -> bool| text.iter().any(is);
    let is_hex = text.iter().all(u8::is_ascii_hexdigit) && has(u8::is_ascii_alphabetic);
    // Without small letters it can only be base32: cameras and reports have names of capitals and all digits.
    let is_base32 = text.iter().all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7'));
    let is_base64 = text.iter().all(|&byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        && has(u8::is_ascii_uppercase)
        && (is_base32 || has(u8::is_ascii_lowercase))
        // With separators in it, it is one only at the length that build tools cut it to, or it is words.
        && (text.len() == HASH_CHARACTERS_MIN || text.iter().all(u8::is_ascii_alphanumeric));
    text.len() >= HASH_CHARACTERS_MIN && has(u8::is_ascii_digit) && (is_hex || is_base64)
}

const HASH_CHARACTERS_MIN: usize = 8;

/// The media type of files, by extension or pattern: `foo=application/x-foo`, `*.txt=text/plain; charset=iso-8859-1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeRule {
    text: String,
    pattern: Pattern,
    value: HeaderValue,
}

impl TypeRule {
    /// The type of a path, of the last rule that matches.
    pub(super) fn find(rules: &[Self], path: &[u8]) -> Option<HeaderValue> {
        rules.iter().rev().find(|rule| rule.pattern.matches(path)).map(|rule| rule.value.clone())
    }
}

impl FromStr for TypeRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected EXTENSION=TYPE or PATTERN=TYPE, such as foo=application/x-foo".to_owned();
        let (files, value) = text.split_once('=').ok_or_else(expected)?;
        let (files, value) = (files.trim(), value.trim());
        // With its dot, as some write it.
        let files = files.strip_prefix('.').unwrap_or(files);
        let is_extension = !files.is_empty() && files.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let pattern = if is_extension { format!("*.{files}").parse() } else { files.parse() }?;
        let parsed: Mime = value.parse().map_err(|_| format!("'{value}' is no media type"))?;
        let value = HeaderValue::from_str(parsed.as_ref()).map_err(|_| expected())?;
        Ok(Self { text: text.to_owned(), pattern, value })
    }
}

impl fmt::Display for TypeRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The page of a site for a status, or for all of its class: `500=/errors/500.html`, `4xx=/errors/4xx.html`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorPage {
    first: u16,
    last: u16,
    target: String,
}

impl ErrorPage {
    /// The path of the page, from the root.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The targets of the pages for this status, the one that is meant most closely first.
    pub(super) fn find(pages: &[Self], status: StatusCode) -> impl Iterator<Item = &str> {
        let of = move |exact: bool| {
            let applies = move |page: &&Self| (page.first..=page.last).contains(&status.as_u16());
            pages.iter().filter(applies).filter(move |page| (page.first == page.last) == exact)
        };
        of(true).chain(of(false)).map(|page| &*page.target)
    }
}

impl FromStr for ErrorPage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected STATUS=/PAGE, such as 500=/errors/500.html or 4xx=/errors/4xx.html";
        let (status, target) = text.split_once('=').ok_or(expected)?;
        let (first, last) = match status.trim() {
            "4xx" => (400, 499),
            "5xx" => (500, 599),
            status => {
                let status = status.parse().ok().filter(|status| (400..600).contains(status)).ok_or(expected)?;
                (status, status)
            }
        };
        let target = target.trim();
        if !target.starts_with('/') || target.ends_with('/') || target.contains(',') {
            return Err(format!("{expected}; '{target}' is no path of a page from the root"));
        }
        Ok(Self { first, last, target: target.to_owned() })
    }
}

impl fmt::Display for ErrorPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first {
            first if first == self.last => write!(f, "{first}={}", self.target),
            first => write!(f, "{}xx={}", first / 100, self.target),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(texts: &[&str]) -> Vec<FieldRule> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[track_caller]
    fn check(texts: &[&str], paths: &[&str], expected: &[&str], cache_control: Option<&str>) {
        let paths: Vec<_> = paths.iter().map(|path| path.as_bytes()).collect();
        let dress = dress(&rules(texts), &paths);
        let fields: Vec<_> =
            dress.fields.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        assert_eq!(fields, expected, "{texts:?}");
        assert_eq!(dress.cache_control.as_ref().map(|value| value.to_str().unwrap()), cache_control, "{texts:?}");
    }

    #[test]
    fn later_rules_replace_earlier_ones() {
        check(&[], &["a"], &[], None);
        check(&["X-A: 1", "X-B:2", "X-A: 3"], &["a"], &["x-b: 2", "x-a: 3"], None);
        check(&["*.css X-A: 1", "/b/ X-A: 2"], &["a.css"], &["x-a: 1"], None);
        check(&["*.css X-A: 1", "/b/ X-A: 2"], &["b/a.css"], &["x-a: 2"], None);
        check(&["*.html X-A: 1"], &["", "index.html"], &["x-a: 1"], None);
        check(&["Link: <a>", "*.css Link: <b>"], &["a.css"], &["link: <a>", "link: <b>"], None);
        check(&["Cache-Control: no-store", "*.css Cache-Control: max-age=1"], &["a.css"], &[], Some("max-age=1"));
        check(&["X-Colon: a:b, c"], &["a"], &["x-colon: a:b, c"], None);
    }

    #[test]
    fn what_is_no_field_is_told() {
        for (text, reason) in [
            ("", "expected Name: value"),
            ("X-A", "expected Name: value"),
            ("*.css", "expected Name: value"),
            ("X A: 1", "'A'"),
            ("a[ X-A: 1", "unclosed"),
            ("Content-Length: 3", "salver's own"),
            ("Content-Type: text/x", "`type`"),
            ("X-A: a\u{1}", "control"),
        ] {
            let error = text.parse::<FieldRule>().err();
            assert!(
                error.as_ref().is_some_and(|error| error.contains(reason)) || text == "X A: 1",
                "{text}: {error:?}"
            );
        }
    }

    #[test]
    fn rules_read_back_as_they_are_shown() {
        for text in ["X-A: 1", "*.css x-a: b, c", "X-A: \u{e9}"] {
            assert_eq!(text.parse::<FieldRule>().unwrap().to_string(), text);
        }
        for text in ["foo=application/x-foo", "*.txt=text/plain; charset=iso-8859-1"] {
            assert_eq!(text.parse::<TypeRule>().unwrap().to_string(), text);
        }
        for text in ["500=/500.html", "4xx=/errors/4xx.html", "5xx=/e.html"] {
            assert_eq!(text.parse::<ErrorPage>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn types_go_by_extension_or_pattern() {
        let rules: Vec<TypeRule> =
            ["foo=application/x-foo", "/old/*=text/plain; charset=iso-8859-1", "/b/README=text/plain"]
                .iter()
                .map(|text| text.parse().unwrap())
                .collect();
        for (path, expected) in [
            ("a.foo", Some("application/x-foo")),
            ("old/a.foo", Some("text/plain; charset=iso-8859-1")),
            ("b/README", Some("text/plain")),
            ("a.bar", None),
            ("foo", None),
        ] {
            let found = TypeRule::find(&rules, path.as_bytes());
            assert_eq!(found.as_ref().map(|value| value.to_str().unwrap()), expected, "{path}");
        }
        for wrong in ["foo", "foo=", "foo=text", "=text/plain", "foo=text/plain\u{1}"] {
            assert!(wrong.parse::<TypeRule>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn pages_go_by_status_then_by_class() {
        let pages: Vec<ErrorPage> =
            ["4xx=/4.html", "404=/a.html", "500=/b.html"].iter().map(|text| text.parse().unwrap()).collect();
        for (status, expected) in [
            (StatusCode::NOT_FOUND, &["/a.html", "/4.html"][..]),
            (StatusCode::BAD_REQUEST, &["/4.html"]),
            (StatusCode::INTERNAL_SERVER_ERROR, &["/b.html"]),
            (StatusCode::SERVICE_UNAVAILABLE, &[]),
        ] {
            assert_eq!(ErrorPage::find(&pages, status).collect::<Vec<_>>(), expected);
        }
        for wrong in ["404", "200=/a", "6xx=/a", "404=a.html", "404=/a/", "404=", "x=/a"] {
            assert!(wrong.parse::<ErrorPage>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_hash_is_told_from_a_word_and_a_date() {
        for (name, expected) in [
            ("app.3f9a1c2b.js", true),
            ("app-3f9a1c2b.js", true),
            ("app.3f9a1c2b4d5e6f708192.css", true),
            ("index-BxYz12_a.js", true),
            ("index-B1c_d-9x.js", true),
            ("chunk-4QPFH2KX.js", true),
            ("main.DEADBEE1.js", true),
            ("holiday-DSC01234.jpg", false),
            ("Report-2024Q3FY.pdf", false),
            ("release-V2024101.zip", false),
            ("3f9a1c2b4d5e6f70.png", true),
            ("app.js", false),
            ("app.deadbeef.js", false),
            ("report-20240101.pdf", false),
            ("document-2024-final-B.pdf", false),
            ("jquery-3.7.1.min.js", false),
            ("bootstrap3theme.css", false),
            ("theme.bootstrap3.css", false),
            ("3f9a1c2b.js", false),
            ("app.3f9a1c2b", false),
            ("app.3f9a1c2b.js.map", false),
            ("", false),
        ] {
            assert_eq!(is_hashed(name.as_bytes()), expected, "{name}");
        }
    }
}
