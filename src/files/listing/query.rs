//! What a request wants to see of a directory: the query, and what it accepts. Pure.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};

use crate::http::Fields;

/// What stands for itself in a value of a query.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What entries are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Name,
    Size,
    Date,
}

impl Sort {
    pub(super) const NAMES: [(&'static str, Self); 3] =
        [("name", Self::Name), ("size", Self::Size), ("date", Self::Date)];

    fn name(self) -> &'static str {
        Self::NAMES.into_iter().find(|(_, sort)| *sort == self).map_or("", |(name, _)| name)
    }
}

/// What the entries are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Html,
    Json,
}

/// What is shown of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    pub(super) sort: Sort,
    /// The last first.
    pub(super) is_descending: bool,
    /// Counted from 1.
    pub(super) page: usize,
    /// Only names that contain this, without case; empty for all.
    pub(super) filter: String,
    pub(super) format: Format,
    /// The query asked for JSON, whatever the request accepts.
    json_asked: bool,
}

impl View {
    /// Reads a query: `sort=name|size|date`, `order=asc|desc`, `page=1`, `q=text`, `json`. Of a key that is repeated
    /// the last counts; others mean nothing here. None where one of these keys has a value that it can't have.
    pub(super) fn parse(query: Option<&[u8]>, fields: Fields<'_>) -> Option<Self> {
        let mut view = Self {
            sort: Sort::Name,
            is_descending: false,
            page: 1,
            filter: String::new(),
            format: Format::Html,
            json_asked: false,
        };
        for pair in query.unwrap_or_default().split(|&byte| byte == b'&') {
            let (key, value) = match pair.iter().position(|&byte| byte == b'=') {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &[][..]),
            };
            let value = decode(value);
            match key {
                b"sort" => view.sort = Sort::NAMES.into_iter().find(|(name, _)| *name == value)?.1,
                b"order" => view.is_descending = ["asc", "desc"].iter().position(|name| *name == value)? == 1,
                b"page" => view.page = value.parse().ok().filter(|page| *page > 0)?,
                b"q" => view.filter = value,
                b"json" => view.json_asked = true,
                _ => {}
            }
        }
        if view.json_asked || prefers_json(fields) {
            view.format = Format::Json;
        }
        Some(view)
    }

    /// The same view of another page.
    pub(super) fn at(&self, page: usize) -> Self {
        Self { page, ..self.clone() }
    }

    /// All of what is filtered, in another order, from its first page on.
    pub(super) fn sorted(&self, sort: Sort, is_descending: bool) -> Self {
        Self { sort, is_descending, page: 1, ..self.clone() }
    }

    /// The query that asks for it, with its `?`.
    pub(super) fn query(&self) -> String {
        let mut query = format!("?sort={}", self.sort.name());
        if self.is_descending {
            query.push_str("&order=desc");
        }
        if self.page > 1 {
            query.push_str(&format!("&page={}", self.page));
        }
        if !self.filter.is_empty() {
            query.push_str("&q=");
            query.extend(percent_encode(self.filter.as_bytes(), VALUE));
        }
        if self.json_asked {
            query.push_str("&json");
        }
        query
    }

    /// The keys and values that a form has to send besides the filter, so that the order stays.
    pub(super) fn hidden_inputs(&self) -> impl Iterator<Item = (&'static str, &'static str)> + use<> {
        let (sort, is_descending) = (self.sort, self.is_descending);
        let sort = (sort != Sort::Name).then_some(("sort", sort.name()));
        sort.into_iter().chain(is_descending.then_some(("order", "desc")))
    }
}

/// A value as forms send it: a plus is a space. What is no UTF-8 finds nothing.
fn decode(value: &[u8]) -> String {
    let spaced: Vec<u8> = value.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
    percent_decode(&spaced).decode_utf8_lossy().into_owned()
}

/// Whether JSON is wanted more than HTML; of two that are wanted as much, whether JSON is named and HTML isn't, as in
/// `application/json, */*`, which is what scripts say (RFC 9110 section 12.5.1).
fn prefers_json(fields: Fields<'_>) -> bool {
    let (json, html) = (Wanted::of(fields, b"application/", b"json"), Wanted::of(fields, b"text/", b"html"));
    json.weight > html.weight || (json.weight > 0 && json.weight == html.weight && json.closeness > html.closeness)
}

/// How much a media type is wanted.
#[derive(Clone, Copy, Debug, Default)]
struct Wanted {
    /// In thousandths.
    weight: u16,
    /// How closely the range that says so names it: 3 by its name, 2 by its type, 1 by `*/*`; 0 not at all.
    closeness: u8,
}

impl Wanted {
    /// The closest range counts. Those with parameters but a weight are for other types.
    fn of(fields: Fields<'_>, main: &[u8], sub: &[u8]) -> Self {
        let mut wanted = Self::default();
        for range in fields.list("accept") {
            let mut parts = range.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
            let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
            let closeness = match media_type.strip_prefix(main) {
                Some(rest) if rest == sub => 3,
                Some(b"*") => 2,
                _ if media_type == b"*/*" => 1,
                _ => continue,
            };
            if closeness > wanted.closeness {
                wanted = Self { weight: parts.find_map(weight).unwrap_or(1000), closeness };
            }
        }
        wanted
    }
}

/// `q=0.5` is 500. A weight that can't be read is none.
fn weight(parameter: &[u8]) -> Option<u16> {
    let [b'q' | b'Q', b'=', value @ ..] = parameter else { return None };
    let (whole, digits) = match value {
        [whole] => (whole, &[][..]),
        [whole, b'.', digits @ ..] => (whole, digits),
        _ => return None,
    };
    let digit = |at: usize| digits.get(at).map_or(0, |digit| u16::from(digit.wrapping_sub(b'0').min(9)));
    Some((u16::from(whole.wrapping_sub(b'0').min(1)) * 1000 + digit(0) * 100 + digit(1) * 10 + digit(2)).min(1000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(query: &str, accept: &str) -> Option<View> {
        let lines = [httparse::Header { name: "Accept", value: accept.as_bytes() }];
        View::parse(Some(query.as_bytes()), Fields::of(&lines))
    }

    #[test]
    fn a_query_says_what_is_shown() {
        for (query, expected) in [
            ("", Some("?sort=name")),
            ("sort=size&order=desc", Some("?sort=size&order=desc")),
            ("sort=size&sort=date", Some("?sort=date")),
            ("order=asc&page=3", Some("?sort=name&page=3")),
            ("q=a+b%26%3C%C3%BC", Some("?sort=name&q=a%20b%26%3C%C3%BC")),
            ("q=", Some("?sort=name")),
            ("json", Some("?sort=name&json")),
            ("json=1&v=2&utm_source=x", Some("?sort=name&json")),
            ("sort=", None),
            ("sort=colour", None),
            ("order=up", None),
            ("page=0", None),
            ("page=-1", None),
            ("page=99999999999999999999", None),
        ] {
            assert_eq!(parse(query, "*/*").map(|view| view.query()).as_deref(), expected, "{query}");
        }
    }

    #[test]
    fn who_wants_json_more_gets_it() {
        for (accept, expected) in [
            ("", Format::Html),
            ("*/*", Format::Html),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Format::Html),
            ("application/json", Format::Json),
            ("Application/JSON;q=0.5", Format::Json),
            ("application/json, text/plain, */*", Format::Json),
            ("application/json, text/html", Format::Html),
            ("application/json;q=0.9, text/html", Format::Html),
            ("application/json, text/html;q=0.9", Format::Json),
            ("application/json;q=0, */*", Format::Html),
            ("application/*", Format::Json),
            ("text/html;q=0, */*;q=0.1", Format::Json),
            ("application/json;q=0", Format::Html),
            ("image/*", Format::Html),
        ] {
            assert_eq!(parse("", accept).unwrap().format, expected, "{accept}");
        }
        assert_eq!(parse("json", "text/html").unwrap().format, Format::Json, "the query has the last word");
    }

    proptest! {
        #[test]
        fn no_query_and_no_field_panics(query: Vec<u8>, accept: Vec<u8>) {
            let lines = [httparse::Header { name: "Accept", value: &accept }];
            View::parse(Some(&query), Fields::of(&lines));
        }

        /// A link to a view leads to that view.
        #[test]
        fn a_view_reads_back(filter: String, page in 1_usize..100, descending: bool, sort in 0_usize..3) {
            let view = View {
                sort: Sort::NAMES[sort].1, is_descending: descending, page, filter,
                format: Format::Html, json_asked: false,
            };
            prop_assert_eq!(parse(&view.query()[1..], ""), Some(view));
        }
    }
}
