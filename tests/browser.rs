//! The welcome site in a real browser: headless Chromium visits it as a person would, served by a real salver.
//!
//! Without Chromium the test says so and passes, unless `SALVER_BROWSER_TEST=required`. `SALVER_CHROMIUM` names the
//! program to use; `SALVER_SCREENSHOTS` names a folder for pictures of what the visitor saw.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by panicking")]

mod support;

mod browser {
    pub mod chromium;
}

use std::env;
use std::io::{Write, stderr};
use std::path::{Path, PathBuf};

use browser::chromium::{self, Page};
use support::{Salver, Site, salver};

/// The browser; none, and said, where there is none and none is required.
fn browser() -> Option<PathBuf> {
    let program = chromium::find();
    if program.is_none() {
        assert!(env::var("SALVER_BROWSER_TEST").as_deref() != Ok("required"), "no chromium was found on the PATH");
        // Not by eprintln!, which `cargo test` withholds from a test that passes.
        let _ = writeln!(stderr(), "SKIPPED a browser test: no chromium was found on the PATH");
    }
    program
}

/// An application whose pages are made by a script, from the path; long enough to be worth compressing.
#[test]
fn a_browser_is_served_an_application() {
    let Some(program) = browser() else { return };
    let script = format!(
        "document.querySelector('h1').textContent = 'page ' + location.pathname;\n{}",
        "// What makes it long.\n".repeat(200)
    );
    let site = Site::with(&[
        (
            "index.html",
            "<!doctype html><title>app</title><link rel=icon href=data:,><h1></h1><script src=/app.js></script>\
             <a href=/users/8>next</a>",
        ),
        ("app.js", &script),
        ("404.html", "<!doctype html><title>nothing</title><h1>ours</h1>"),
    ]);
    let server = Salver::start(&site, &["--spa"]);
    let mut page = Page::open(&program);
    // A deep link, a reload, a link.
    for _ in 0..2 {
        page.go(&server.url("/users/7"));
        assert_eq!(page.value("document.querySelector('h1').textContent"), "page /users/7");
    }
    page.follow("a[href='/users/8']");
    assert_eq!(page.value("document.querySelector('h1').textContent"), "page /users/8");
    expect_response(&page, &server, "/users/8", 200);
    // What a script asks for is there or not.
    let status = |target: &str| format!("fetch('{target}').then(answer => answer.status)");
    assert_eq!(page.value(&status("/missing.js")), 404);
    assert_eq!(page.value(&status("/api/users")), 404);
    // It comes compressed, and whole.
    let script_again = "fetch('/app.js', { cache: 'no-store' })\
        .then(async answer => [answer.headers.get('content-encoding'), (await answer.text()).length])";
    let came = page.value(script_again);
    assert!(came[0].as_str().is_some_and(|coding| ["zstd", "br", "gzip"].contains(&coding)), "{came}");
    assert_eq!(came[1], script.len());
    page.go(&server.url("/missing.html"));
    assert_eq!(page.value("document.querySelector('h1').textContent"), "ours");
    page.screenshot("application-404");
}

#[test]
fn a_browser_is_served_the_welcome_site() {
    let Some(program) = browser() else { return };
    let server = Salver::run(salver(Path::new(env!("CARGO_MANIFEST_DIR"))).args(["--port", "0", "public"]));
    let mut page = Page::open(&program);

    welcome(&mut page, &server);
    light_and_dark(&mut page);
    media(&mut page, &server);
    not_found(&mut page, &server);

    assert_eq!(page.failed_requests(), Vec::<&serde_json::Value>::new());
    let complaints = page.complaints();
    assert!(matches!(&complaints[..], [line] if line.contains("404 (Not Found)")), "{complaints:#?}");
    let unexpected: Vec<_> =
        page.responses().into_iter().filter(|response| ![200, 206, 304, 404].contains(&response.status)).collect();
    assert_eq!(unexpected, []);
}

fn welcome(page: &mut Page, server: &Salver) {
    page.go(&server.url("/"));
    assert_eq!(page.value("document.title"), "salver: you are being served");
    for target in ["/", "/style.css", "/logo.svg", "/index.js"] {
        expect_response(page, server, target, 200);
    }
    assert_eq!(page.value("document.styleSheets[0].cssRules.length > 0"), true);
    assert_eq!(page.value("[...document.images].every(image => image.naturalWidth > 0)"), true);
    // The exchange that the page shows is true: salver's lines in their order, with the values that the script put in.
    until_script_is_done(page);
    let shown = page.value("[...document.querySelectorAll('#answer dt > code')].map(code => code.textContent)");
    let head = server.get("/", "Accept-Encoding: gzip, deflate, br, zstd\r\n").head;
    let undated = |line: &str| if line.starts_with("Date: ") { "Date".to_owned() } else { line.to_owned() };
    let shown: Vec<_> = shown.as_array().unwrap().iter().map(|line| undated(line.as_str().unwrap())).collect();
    assert_eq!(shown, head.lines().map(undated).collect::<Vec<_>>());

    page.click("#again button");
    page.until("document.querySelector('#again output').textContent.startsWith('304 Not Modified: 0 bytes')");
    expect_response(page, server, "/", 304);
}

fn light_and_dark(page: &mut Page) {
    page.value("scrollTo(0, 0)");
    for (scheme, ground) in [("dark", "rgb(20, 23, 26)"), ("light", "rgb(251, 249, 245)")] {
        page.prefer(scheme);
        page.until(&format!("matchMedia('(prefers-color-scheme: {scheme})').matches"));
        assert_eq!(page.value("getComputedStyle(document.body).backgroundColor"), ground, "{scheme}");
        page.screenshot(&format!("index-{scheme}"));
    }
}

fn media(page: &mut Page, server: &Salver) {
    page.follow("a[href='/how.html']");
    assert_eq!(page.value("document.title"), "How it works: salver");
    page.follow("a[href='/media.html']");
    assert_eq!(page.value("location.pathname"), "/media.html");

    page.value("document.querySelector('video').play()");
    page.until("document.querySelector('video').currentTime > 0");
    page.value("document.querySelector('video').pause()");
    expect_response(page, server, "/media/tray.webm", 206);

    // The button makes the player jump, and the page asks for a part of the film by itself.
    page.click("button[data-second='6']");
    page.until("document.querySelector('.answer').textContent.includes('206 Partial Content')");
    page.until("!document.querySelector('video').seeking");
    assert_eq!(page.value("document.querySelector('video').currentTime"), 6);
    page.value("document.querySelector('video').play()");
    page.until("document.querySelector('video').currentTime > 6");
    page.value("document.querySelector('video').pause()");
    page.screenshot("media");
}

fn not_found(page: &mut Page, server: &Salver) {
    page.follow("a.brand");
    until_script_is_done(page);
    page.follow("a[href='/a-page-that-is-not-there']");
    expect_response(page, server, "/a-page-that-is-not-there", 404);
    assert_eq!(page.value("document.title"), "Nothing here: salver");
    assert_eq!(page.value("document.querySelector('h1').textContent"), "The tray is empty.");
    page.screenshot("404");
}

/// Waits until the welcome page has got its last part, the button: nothing on it moves any more.
#[track_caller]
fn until_script_is_done(page: &mut Page) {
    page.until("!document.querySelector('#again').hidden");
}

/// One of the responses so far is this one.
#[track_caller]
fn expect_response(page: &Page, server: &Salver, target: &str, status: u64) {
    let expected = chromium::Response { url: server.url(target), status };
    let responses = page.responses();
    assert!(responses.contains(&expected), "{expected:?} is not among {responses:#?}");
}
