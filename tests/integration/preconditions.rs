//! Preconditions (RFC 9110 section 13), through real sockets.

use crate::support::{NOVEMBER_1994, Reply, Salver, Site, get};

/// Serves one file with a date of its own, and gives its validators.
pub struct Dated {
    _site: Site,
    pub server: Salver,
    pub etag: String,
}

impl Dated {
    pub fn new() -> Self {
        let site = Site::with(&[("digits.txt", "0123456789")]);
        site.set_modified("digits.txt", NOVEMBER_1994);
        let server = Salver::serve(&site);
        let reply = server.get("/digits.txt", "");
        assert_eq!(reply.field("last-modified"), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
        assert_eq!(reply.field("accept-ranges"), Some("bytes"));
        let etag = reply.field("etag").unwrap().to_owned();
        assert!(etag.starts_with('"') && etag.ends_with('"'), "a strong tag: {etag}");
        Self { _site: site, server, etag }
    }

    /// With these field lines, TAG standing for the entity tag, comes this status and body.
    #[track_caller]
    pub fn check(&self, lines: &str, status: u16, body: &str) -> Reply {
        let lines: String = lines.lines().map(|line| line.trim().replace("TAG", &self.etag) + "\r\n").collect();
        let reply = self.server.get("/digits.txt", &lines);
        assert_eq!(reply.status, status, "{lines}");
        assert!(status >= 400 || reply.text() == body, "{lines}: {}", reply.text());
        reply
    }
}

pub const WHOLE: &str = "0123456789";

/// RFC 9110 sections 13.1.2 and 8.8.3.2: weak comparison, and lists over several lines.
#[test]
fn if_none_match_gives_304_when_a_tag_matches() {
    let dated = Dated::new();
    for value in
        ["TAG", "W/TAG", "*", "\"x\", TAG", "\"x\",W/\"y\" ,\tTAG, \"z\"", "\"a,b\", TAG", " ,, TAG", "\"\", TAG"]
    {
        dated.check(&format!("If-None-Match: {value}"), 304, "");
    }
    dated.check("If-None-Match: \"x\"\nIf-None-Match: TAG", 304, "");
    for value in ["\"x\"", "W/\"x\"", "x", "", "\"x\", \"*\"", "'TAG'", "w/TAG"] {
        dated.check(&format!("If-None-Match: {value}"), 200, WHOLE);
    }
}

/// RFC 9110 section 15.4.5
#[test]
fn a_304_tells_what_guides_a_cache_and_no_more() {
    let dated = Dated::new();
    let whole = dated.check("", 200, WHOLE);
    let reply = dated.check("If-None-Match: TAG", 304, "");
    for name in ["etag", "cache-control"] {
        assert!(reply.field(name).is_some() && reply.field(name) == whole.field(name), "{name}: {}", reply.head);
    }
    let names: Vec<_> = reply.head.lines().skip(1).filter_map(|line| line.split(':').next()).collect();
    assert_eq!(names, ["Server", "Cache-Control", "ETag", "Date"]);
    let mut client = dated.server.connect();
    let request = get("/digits.txt", &format!("If-None-Match: {}\r\n", dated.etag));
    client.send(request.repeat(2) + &request.replace("GET", "HEAD") + &get("/digits.txt", ""));
    (0..3).for_each(|_| assert_eq!(client.reply().status, 304));
    assert_eq!(client.reply().text(), WHOLE);
}

/// RFC 9110 sections 13.1.3 and 5.6.7. A date to come says nothing of what was changed since.
#[test]
fn if_modified_since_compares_dates_in_all_three_forms() {
    let dated = Dated::new();
    for date in [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Sun, 06 Nov 1994 08:49:38 GMT",
        "Sat, 01 Jan 2022 00:00:00 GMT",
    ] {
        dated.check(&format!("If-Modified-Since: {date}"), 304, "");
    }
    for date in [
        "Sun, 06 Nov 1994 08:49:36 GMT",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Mon, 01 Jan 1900 00:00:00 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Mon, 06 Nov 1994 08:49:37 GMT",
        "sun, 06 nov 1994 08:49:37 gmt",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "yesterday",
        "",
        "784111777",
    ] {
        dated.check(&format!("If-Modified-Since: {date}"), 200, WHOLE);
    }
    let same = "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT";
    dated.check(&format!("{same}\n{same}"), 200, WHOLE);
}

/// RFC 9110 section 13.2.2, by sections 13.1.1 to 13.1.4
#[test]
fn preconditions_have_their_order() {
    let dated = Dated::new();
    let (older, newer) = ("Sun, 06 Nov 1994 08:49:36 GMT", "Sun, 06 Nov 1994 08:49:38 GMT");
    for (lines, status) in [
        (format!("If-None-Match: \"x\"\nIf-Modified-Since: {newer}"), 200),
        (format!("If-None-Match: TAG\nIf-Modified-Since: {older}"), 304),
        ("If-Match: TAG".to_owned(), 200),
        ("If-Match: *".to_owned(), 200),
        ("If-Match: \"x\", TAG".to_owned(), 200),
        ("If-Match: \"x\"".to_owned(), 412),
        ("If-Match: W/TAG".to_owned(), 412),
        (format!("If-Unmodified-Since: {older}"), 412),
        (format!("If-Unmodified-Since: {newer}"), 200),
        ("If-Unmodified-Since: never".to_owned(), 200),
        ("If-Unmodified-Since: Mon, 01 Jan 1900 00:00:00 GMT".to_owned(), 412),
        (format!("If-Unmodified-Since: {older}\nIf-Modified-Since: {newer}"), 412),
        (format!("If-Unmodified-Since: {older}\nRange: bytes=0-1"), 412),
        (format!("If-Match: TAG\nIf-Unmodified-Since: {older}"), 200),
        (format!("If-Match: \"x\"\nIf-Unmodified-Since: {newer}"), 412),
        ("If-Match: \"x\"\nIf-None-Match: TAG".to_owned(), 412),
        ("If-Match: TAG\nIf-None-Match: TAG".to_owned(), 304),
        (format!("If-Unmodified-Since: {newer}\nIf-None-Match: TAG"), 304),
        ("If-None-Match: TAG\nRange: bytes=0-1".to_owned(), 304),
        ("If-Match: \"x\"\nRange: bytes=0-1".to_owned(), 412),
    ] {
        dated.check(&lines, status, if status == 200 { WHOLE } else { "" });
    }
}

/// RFC 9110 section 13.1.5: strong comparison, or exactly the date.
#[test]
fn if_range_lets_a_range_stand_for_the_same_state_only() {
    let dated = Dated::new();
    let with = |value: &str| format!("Range: bytes=2-3\nIf-Range: {value}");
    dated.check(&with("TAG"), 206, "23");
    dated.check(&with("Sun, 06 Nov 1994 08:49:37 GMT"), 206, "23");
    dated.check(&with("Sunday, 06-Nov-94 08:49:37 GMT"), 206, "23");
    dated.check("Range: bytes=99-\nIf-Range: TAG", 416, "");
    for value in
        ["\"x\"", "W/TAG", "Sun, 06 Nov 1994 08:49:38 GMT", "Sun, 06 Nov 1994 08:49:36 GMT", "*", "", "TAG, TAG"]
    {
        dated.check(&with(value), 200, WHOLE);
    }
    // Nothing is said against a range that can't be met when the state is another.
    dated.check("Range: bytes=99-\nIf-Range: \"x\"", 200, WHOLE);
}

/// RFC 9110 section 13.2.1: where the answer would be none of success, preconditions are not looked at; nor are they for
/// methods that select no representation.
#[test]
fn preconditions_of_what_is_not_there_are_ignored() {
    let site = Site::with(&[("a.txt", "a"), ("sub/x", "")]);
    let server = Salver::serve(&site);
    let fails = "If-Match: \"x\"\r\nIf-None-Match: *\r\nIf-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    for (method, target, status) in [
        ("GET", "/missing", 404),
        ("HEAD", "/missing", 404),
        ("GET", "/sub", 301),
        ("GET", "/%00", 400),
        ("POST", "/a.txt", 405),
        ("OPTIONS", "/a.txt", 204),
        ("BREW", "/a.txt", 501),
    ] {
        let reply = server.ask(get(target, fails).replacen("GET", method, 1));
        assert_eq!(reply.status, status, "{method} {target}");
    }
    assert_eq!(server.get("/a.txt", fails).status, 412);
}
