//! What answers say besides: fields by rules and presets, media types, how long a file may be kept.

use crate::support::{Salver, Site, end_of, serving};

#[track_caller]
fn check(server: &Salver, target: &str, name: &str, expected: Option<&str>) {
    // Twice: made, then kept.
    for _ in 0..2 {
        let reply = server.get(target, "");
        assert_eq!(reply.field(name), expected, "{target}: {}", reply.head);
    }
}

#[test]
fn fields_go_by_path_and_the_last_rule_counts() {
    let site = Site::with(&[("index.html", "i"), ("a.css", "a"), ("img/b.css", "b"), ("img/c.png", "c")]);
    let rules = ["-H", "X-All: 1, 2", "-H", "*.css X-Css: yes", "-H", "/img/* X-Css: no", "-H", "*.html X-Page: p"];
    let server = Salver::start(&site, &rules);
    for target in ["/", "/a.css", "/img/c.png", "/missing", "/img", "/%"] {
        check(&server, target, "x-all", Some("1, 2"));
    }
    check(&server, "/a.css", "x-css", Some("yes"));
    check(&server, "/img/b.css", "x-css", Some("no"));
    check(&server, "/img/c.png", "x-css", Some("no"));
    check(&server, "/img/missing", "x-css", Some("no"));
    check(&server, "/", "x-css", None);
    check(&server, "/", "x-page", Some("p"));
    check(&server, "/index.html", "x-page", Some("p"));
    let part = server.get("/a.css", "Range: bytes=0-0\r\n");
    assert_eq!((part.status, part.field("x-css")), (206, Some("yes")));
    let tag = server.get("/a.css", "").field("etag").unwrap().to_owned();
    let unmodified = server.get("/a.css", &format!("If-None-Match: {tag}\r\n"));
    assert_eq!((unmodified.status, unmodified.field("x-css")), (304, Some("yes")));
}

/// A rule about what is asked for holds whatever answers; how long the file that answers may be kept in its own place says
/// nothing of what it stands in for.
#[test]
fn a_rewritten_path_keeps_its_own_rules() {
    let site = Site::with(&[("new/n.txt", "new"), ("app.3f9a1c2b.js", "app"), ("img/p.png", "png")]);
    let server = Salver::start(
        &site,
        &[
            "--immutable-hashed",
            "-H",
            "/old/* X-Old: 1",
            "-H",
            "/new/* X-New: 1",
            "-H",
            "/old/* Cache-Control: max-age=99",
            "-H",
            "/img/* Cache-Control: max-age=31536000",
            "-H",
            "/forced/* Cache-Control: no-store",
            "-H",
            "/forced/* X-Forced: 1",
            "--redirect",
            "/old/* /new/:splat 200",
            "--redirect",
            "/forced/* /new/:splat 200!",
            "--redirect",
            "/latest.js /app.3f9a1c2b.js 200!",
            "--redirect",
            "/app.00000a1b.js /app.3f9a1c2b.js 200!",
            "--redirect",
            "/assets/* /app.3f9a1c2b.js 200",
            "--redirect",
            "/u/* /img/p.png 200",
        ],
    );
    let year = "public, max-age=31536000, immutable";
    for (target, name, expected) in [
        ("/old/n.txt", "x-old", Some("1")),
        ("/old/n.txt", "x-new", Some("1")),
        ("/old/n.txt", "cache-control", Some("no-cache")),
        ("/new/n.txt", "x-old", None),
        ("/forced/n.txt", "x-forced", Some("1")),
        ("/forced/n.txt", "x-old", None),
        ("/forced/n.txt", "cache-control", Some("no-store")),
        ("/new/n.txt", "cache-control", Some("no-cache")),
        ("/app.3f9a1c2b.js", "cache-control", Some(year)),
        ("/latest.js", "cache-control", Some("no-cache")),
        ("/app.00000a1b.js", "cache-control", Some(year)),
        ("/assets/gone.00000a1b.js", "cache-control", Some("no-cache")),
        ("/u/anna.png", "cache-control", Some("no-cache")),
        ("/img/p.png", "cache-control", Some("max-age=31536000")),
    ] {
        check(&server, target, name, expected);
        assert_eq!(server.get(target, "").status, 200, "{target}");
    }
    site.write("u/anna.png", "anna");
    assert_eq!(server.get("/u/anna.png", "").text(), "anna");
}

#[test]
fn a_page_for_errors_says_how_it_is_encoded() {
    let site = Site::new();
    site.write("page.svgz", b"\x1f\x8b\x08 and so on");
    let server = Salver::start(&site, &["--error-page", "404=/page.svgz"]);
    check(&server, "/page.svgz", "content-encoding", Some("gzip"));
    check(&server, "/missing", "content-encoding", Some("gzip"));
    assert_eq!(server.get("/missing", "").status, 404);
}

#[test]
fn a_listing_lies_in_its_directory() {
    let site = Site::with(&[("a/b/c.txt", "c"), ("mounted/d.txt", "d")]);
    let rules = ["-H", "/a/* X-A: 1", "-H", "/a/b X-B: 1", "-H", "/m/* X-M: 1", "-H", "/*.txt X-Text: 1"];
    let server = Salver::start(&site, &[&rules[..], &["--mount", "/m=mounted"]].concat());
    for (target, name, expected) in [
        ("/a/", "x-a", true),
        ("/a/b/", "x-a", true),
        ("/a/b/", "x-b", true),
        ("/a/", "x-b", false),
        ("/m/", "x-m", true),
        ("/", "x-a", false),
        ("/a/", "x-text", false),
    ] {
        check(&server, target, name, expected.then_some("1"));
    }
}

/// What guides a cache or a browser is told anew, and what describes the content isn't (RFC 9110 section 15.4.5).
#[test]
fn a_304_describes_no_content() {
    let site = Site::with(&[("a.txt", "a")]);
    let policy = "Content-Security-Policy: sandbox";
    let rules =
        ["-H", "Content-Language: en", "-H", "Content-Disposition: inline", "-H", policy, "-H", "Content-Location: /b"];
    let server = Salver::start(&site, &rules);
    let names = ["content-language", "content-disposition", "content-security-policy", "content-location"];
    let whole = server.get("/a.txt", "");
    assert_eq!(names.map(|name| whole.field(name)), [Some("en"), Some("inline"), Some("sandbox"), Some("/b")]);
    let unmodified = server.get("/a.txt", "If-None-Match: *\r\n");
    assert_eq!(unmodified.status, 304);
    assert_eq!(names.map(|name| unmodified.field(name)), [None, None, Some("sandbox"), Some("/b")]);
}

#[test]
fn a_headers_file_is_obeyed_and_not_served() {
    let site = Site::with(&[
        ("a.txt", "a"),
        ("deep/b.txt", "b"),
        ("deep/_headers", "not this one"),
        ("_headers", "/*\n  X-All: 1\n  Link: <a>\n  Link: <b>\n/deep/*\n  X-Deep: 2\n  Cache-Control: max-age=60\n"),
    ]);
    let server = Salver::start(&site, &["-H", "X-All: 2"]);
    check(&server, "/deep/b.txt", "x-all", Some("2"));
    check(&server, "/deep/b.txt", "x-deep", Some("2"));
    check(&server, "/deep/b.txt", "cache-control", Some("max-age=60"));
    check(&server, "/a.txt", "cache-control", Some("no-cache"));
    assert_eq!(server.get("/a.txt", "").head.matches("Link: ").count(), 2);
    assert_eq!(server.get("/_headers", "").status, 404);
    assert_eq!(server.get("/deep/_headers", "").status, 200);
}

#[test]
fn what_is_wrong_with_a_rule_stops_the_start() {
    let site = Site::with(&[("_headers", "/a\n  X A: 1\n")]);
    let ended = end_of(&mut serving(&site));
    assert_eq!(ended.status, Some(2));
    assert!(
        ended.stderr.contains("_headers:2: ") && ended.stderr.contains("'X A' is no field name"),
        "{}",
        ended.stderr
    );
    site.write("_headers", "/a\n  Access-Control-Allow-Origin: https://a\n");
    let ended = end_of(serving(&site).arg("--cors"));
    assert!(ended.status == Some(2) && ended.stderr.contains("_headers: '/a access-control-allow-origin"), "{ended:?}");
    assert!(ended.stderr.contains("from `cors` or from this file, not from both"), "{ended:?}");
    let site = Site::new();
    for (flags, expected) in [
        (&["--header", "nothing"][..], "expected Name: value"),
        (&["--header", "Content-Length: 3"], "salver's own"),
        (&["--hide", "a["], "unclosed"),
        (&["--type", "x"], "expected EXTENSION=TYPE"),
        (&["--error-page", "200=/a"], "expected STATUS=/PAGE"),
        (&["--spa=.."], "expected a file beneath the root"),
        (&["--trailing-slash", "yes"], "\"always\""),
    ] {
        let ended = end_of(serving(&site).args(flags));
        assert_eq!(ended.status, Some(2), "{flags:?}");
        assert!(
            ended.stderr.contains(expected) && ended.stderr.contains(flags[0].trim_end_matches("=..")),
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn presets_say_what_they_stand_for() {
    let site = Site::with(&[("index.html", "i")]);
    let server = Salver::start(&site, &["--security-headers", "--isolate", "-H", "X-Frame-Options: DENY"]);
    for target in ["/", "/missing"] {
        check(&server, target, "x-frame-options", Some("DENY"));
        check(&server, target, "referrer-policy", Some("strict-origin-when-cross-origin"));
        check(&server, target, "cross-origin-opener-policy", Some("same-origin"));
        check(&server, target, "cross-origin-embedder-policy", Some("require-corp"));
        let reply = server.get(target, "");
        assert!(reply.field("content-security-policy").unwrap().contains("frame-ancestors 'self'"));
        assert!(reply.field("permissions-policy").unwrap().contains("camera=()"));
    }
    check(&Salver::serve(&site), "/", "x-frame-options", None);
}

#[test]
fn names_with_a_hash_are_kept_for_a_year_where_that_is_asked_for() {
    let site = Site::with(&[
        ("app.3f9a1c2b.js", "a"),
        ("index-BxYz12_a.css", "b"),
        ("app.js", "c"),
        ("report-20240101.txt", "d"),
        ("404.html", "missing"),
        ("own.3f9a1c2b.txt", "e"),
    ]);
    let server = Salver::start(&site, &["--immutable-hashed", "-H", "*.txt Cache-Control: no-store"]);
    let year = Some("public, max-age=31536000, immutable");
    check(&server, "/app.3f9a1c2b.js", "cache-control", year);
    check(&server, "/index-BxYz12_a.css", "cache-control", year);
    check(&server, "/app.js", "cache-control", Some("no-cache"));
    check(&server, "/report-20240101.txt", "cache-control", Some("no-store"));
    check(&server, "/own.3f9a1c2b.txt", "cache-control", Some("no-store"));
    check(&server, "/gone.3f9a1c2b.js", "cache-control", Some("no-cache"));
    check(&Salver::serve(&site), "/app.3f9a1c2b.js", "cache-control", Some("no-cache"));
}

#[test]
fn types_may_be_other_than_names_say() {
    let site = Site::with(&[("a.foo", "a"), ("old/b.txt", "b"), ("c.txt", "c"), ("old/index.html", "i")]);
    let server =
        Salver::start(&site, &["--type", "foo=application/x-foo", "--type", "/old/*=text/plain; charset=iso-8859-1"]);
    check(&server, "/a.foo", "content-type", Some("application/x-foo"));
    check(&server, "/old/b.txt", "content-type", Some("text/plain; charset=iso-8859-1"));
    check(&server, "/old/", "content-type", Some("text/plain; charset=iso-8859-1"));
    check(&server, "/c.txt", "content-type", Some("text/plain; charset=utf-8"));
}
