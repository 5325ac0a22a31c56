//! The clients that people use, as they use them: curl, Python's `http.client` and `urllib`, and Node's `http.Agent` and
//! `fetch`. A browser has a test of its own.
//!
//! Without Python or Node their tests say so and pass, unless `SALVER_CLIENTS_TEST=required`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by panicking")]

mod support;

use std::fs;
use std::process::Command;

use support::{NOVEMBER_1994, Salver, Site, curl, end_of, is_installed};

/// Not a multiple of anything, and more than a socket's buffers hold.
const LARGE: usize = 8_000_009;

const TEXT: &str = "one\ntwo\nthree\n";

/// A site for every client: a small file of text, a large one of bytes, and a folder with a page.
fn site() -> Site {
    let site = Site::with(&[("text.txt", TEXT), ("folder/index.html", "<h1>folder</h1>"), ("a b&c#d?e%.txt", "odd")]);
    site.write("large.bin", large());
    site.write("page.html", page());
    site.set_modified("text.txt", NOVEMBER_1994);
    site
}

/// Bytes of which no two stretches of a page are alike.
fn large() -> Vec<u8> {
    (0..LARGE).map(|at| (at * 7 + at / 251) as u8).collect()
}

/// Worth compressing.
fn page() -> String {
    (0..2_000).map(|number| format!("<p>Paragraph {number}.</p>\n")).collect()
}

/// What curl says of the response when it is asked for `--write-out` alone.
#[track_caller]
fn figures(format: &str, arguments: &[&str], url: &str) -> String {
    let arguments = [&["--output", "/dev/null", "--write-out", format], arguments].concat();
    curl(&arguments, url)
}

#[track_caller]
fn code(arguments: &[&str], url: &str) -> String {
    figures("%{http_code}", arguments, url)
}

#[test]
fn curl_asks_for_ranges() {
    let site = site();
    let server = Salver::serve(&site);
    let url = server.url("/text.txt");
    for (range, expected) in
        [("0-2", "one"), ("4-6", "two"), ("-6", "three\n"), ("8-", "three\n"), ("8-999", "three\n")]
    {
        assert_eq!(curl(&["--range", range], &url), expected, "{range}");
        assert_eq!(code(&["--range", range], &url), "206", "{range}");
    }
    assert_eq!(code(&["--range", "14-"], &url), "416");
    let parts = curl(&["--range", "0-2,8-12"], &url);
    assert!(parts.contains("Content-Range: bytes 0-2/14\r\n\r\none\r\n--"), "{parts}");
    assert!(parts.contains("Content-Range: bytes 8-12/14\r\n\r\nthree\r\n--"), "{parts}");
}

#[test]
fn curl_continues_a_download() {
    let (site, here) = (site(), Site::new());
    let server = Salver::serve(&site);
    let copy = here.join("copy.bin");
    let path = copy.to_str().unwrap();
    for kept in [0, 1, LARGE / 2, LARGE - 1] {
        here.write("copy.bin", &large()[..kept]);
        let figures = curl(
            &["--continue-at", "-", "--output", path, "--write-out", "%{http_code} %{size_download}"],
            &server.url("/large.bin"),
        );
        let status = if kept == 0 { 200 } else { 206 };
        assert_eq!(figures, format!("{status} {}", LARGE - kept));
        assert!(fs::read(&copy).unwrap() == large(), "after {kept} bytes");
    }
    // Of a file that is there in full, nothing is left: 416 tells its size, and curl leaves the file as it is.
    let figures =
        curl(&["--continue-at", "-", "--output", path, "--write-out", "%{http_code}"], &server.url("/large.bin"));
    assert_eq!(figures, "416");
    assert!(fs::read(&copy).unwrap() == large());
}

#[test]
fn curl_asks_for_what_is_newer() {
    let site = site();
    let server = Salver::serve(&site);
    let (text, same, older) = (server.url("/text.txt"), site.join("text.txt"), site.join("older"));
    site.write("older", "");
    site.set_modified("older", NOVEMBER_1994 - 1);
    // A date, or the file whose mtime is the date; with `-` before it, what isn't newer.
    for (condition, status) in [
        ("Sun, 06 Nov 1994 08:49:37 GMT", "304"),
        ("Sun, 06 Nov 1994 08:49:36 GMT", "200"),
        (same.to_str().unwrap(), "304"),
        (older.to_str().unwrap(), "200"),
        // curl itself holds that what has just this date isn't older.
        ("-Sun, 06 Nov 1994 08:49:38 GMT", "200"),
        ("-Sun, 06 Nov 1994 08:49:36 GMT", "412"),
    ] {
        assert_eq!(code(&["--time-cond", condition], &text), status, "{condition}");
    }
    // And what it fetched keeps the server's date.
    let copy = site.join("copy.txt");
    curl(&["--remote-time", "--output", copy.to_str().unwrap()], &text);
    assert_eq!(code(&["--time-cond", copy.to_str().unwrap()], &text), "304");
}

#[test]
fn curl_compares_tags() {
    let (site, here) = (site(), Site::new());
    let server = Salver::serve(&site);
    let (url, tag) = (server.url("/text.txt"), here.join("tag"));
    let tag = tag.to_str().unwrap();
    assert_eq!(code(&["--etag-save", tag], &url), "200");
    let saved = fs::read_to_string(tag).unwrap();
    assert!(saved.starts_with('"') && saved.trim_end().ends_with('"'), "{saved}");
    assert_eq!(figures("%{http_code} %{size_download}", &["--etag-compare", tag], &url), "304 0");

    site.write("text.txt", "four");
    let arguments = ["--etag-compare", tag, "--etag-save", tag, "--write-out", " %{http_code}"];
    assert_eq!(curl(&arguments, &url), "four 200");
    assert_eq!(code(&["--etag-compare", tag], &url), "304");
}

#[test]
fn curl_speaks_http_1_0() {
    let site = site();
    let server = Salver::serve(&site);
    let url = server.url("/text.txt");
    assert_eq!(curl(&["--http1.0"], &url), TEXT);
    assert_eq!(figures("%{http_code} %{num_connects}", &["--http1.0", "--range", "0-2"], &url), "206 1");
    // Two transfers on one connection only when it is asked for; the second says that it opened none.
    let connects = |arguments: &[&str]| {
        let format = ["--write-out", "%{num_connects} ", "--output", "/dev/null"];
        curl(&[&format, arguments, &[&url, "--output", "/dev/null"]].concat(), &url)
    };
    assert_eq!(connects(&["--http1.1"]), "1 0 ");
    assert_eq!(connects(&["--http1.0"]), "1 1 ");
    assert_eq!(connects(&["--http1.0", "--header", "Connection: keep-alive"]), "1 0 ");
    assert_eq!(connects(&["--http1.1", "--header", "Connection: close"]), "1 1 ");
}

#[test]
fn curl_takes_what_is_not_compressed() {
    let site = site();
    let server = Salver::serve(&site);
    assert_eq!(curl(&["--compressed"], &server.url("/text.txt")), TEXT);
    let large = figures("%{http_code} %{size_download}", &["--compressed"], &server.url("/large.bin"));
    assert_eq!(large, format!("200 {LARGE}"));
}

/// With whichever codings this curl was built.
#[test]
fn curl_takes_what_is_compressed() {
    let site = site();
    let server = Salver::serve(&site);
    let url = server.url("/page.html");
    let features = end_of(Command::new("curl").arg("--version")).stdout;
    for (coding, feature) in [("gzip", "libz"), ("br", "brotli"), ("zstd", "zstd")] {
        if !features.contains(feature) {
            continue;
        }
        let arguments = ["--compressed", "--header", &format!("Accept-Encoding: {coding}")];
        assert!(curl(&arguments, &url) == page(), "{coding}");
        let told = figures("%{size_download} %header{content-encoding}", &arguments, &url);
        let (bytes, told_coding) = told.split_once(' ').unwrap();
        assert!(told_coding == coding && bytes.parse::<usize>().unwrap() < page().len() / 4, "{told}");
    }
    assert!(curl(&["--compressed"], &url) == page());
    assert!(curl(&[], &url) == page());
}

#[test]
fn curl_tries_every_method() {
    let site = site();
    let server = Salver::serve(&site);
    let url = server.url("/text.txt");
    let body = site.join("large.bin");
    let body = body.to_str().unwrap();
    for (arguments, status) in [
        (&["--head"][..], "200"),
        (&["--request", "OPTIONS"], "204"),
        (&["--request", "OPTIONS", "--request-target", "*"], "204"),
        (&["--data", "a=b"], "405"),
        (&["--request", "DELETE"], "405"),
        (&["--request", "BREW"], "501"),
        // More than is taken of a body: curl asks first with `Expect: 100-continue`, unless it is told not to.
        (&["--upload-file", body], "413"),
        (&["--upload-file", body, "--header", "Expect:"], "413"),
        // Of a body in chunks nobody knows the size before it is read.
        (&["--upload-file", body, "--header", "Transfer-Encoding: chunked"], "405"),
        (&["--upload-file", body, "--header", "Transfer-Encoding: chunked", "--header", "Expect:"], "413"),
    ] {
        assert_eq!(code(arguments, &url), status, "{arguments:?}");
    }
    let (head, got) = (curl(&["--head"], &url), curl(&["--dump-header", "-", "--output", "/dev/null"], &url));
    let undated = |head: &str| head.lines().filter(|line| !line.starts_with("Date:")).collect::<Vec<_>>().join("\n");
    assert_eq!(undated(&head), undated(&got));
}

#[test]
fn curl_follows_and_normalises() {
    let site = site();
    let server = Salver::serve(&site);
    let effective = "%{http_code} %{num_redirects} %{url_effective}";
    let at = server.url("/folder/?q=1");
    assert_eq!(figures(effective, &["--location"], &server.url("/folder?q=1")), format!("200 1 {at}"));
    assert_eq!(curl(&[], &server.url("/a%20b%26c%23d%3Fe%25.txt")), "odd");
    assert_eq!(curl(&["--path-as-is"], &server.url("/folder/../text.txt")), TEXT);
    assert_eq!(code(&["--path-as-is"], &server.url("/../../etc/passwd")), "404");
}

#[test]
fn python_is_served() {
    run_script("python3", "http_client.py");
}

#[test]
fn node_is_served() {
    run_script("node", "agent.js");
}

/// Runs a script that asks this server what such a client asks, and that fails when an answer isn't right.
#[track_caller]
fn run_script(program: &str, script: &str) {
    if !is_installed(program) {
        return;
    }
    let site = site();
    let server = Salver::serve(&site);
    let path = format!("{}/tests/clients/{script}", env!("CARGO_MANIFEST_DIR"));
    let ended = end_of(Command::new(program).args([&path, &server.address.to_string()]));
    assert_eq!(ended.status, Some(0), "{script}: {}{}", ended.stdout, ended.stderr);
    // A proof that it came to its end: the last thing that it does.
    assert_eq!(ended.stdout, "all is well\n", "{}", ended.stderr);
}
