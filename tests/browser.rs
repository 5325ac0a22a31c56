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

/// Names that a link could lead astray from.
const ODD_NAMES: [&str; 9] =
    ["a b", "100%", "h#x", "q?x=1&y", "javascript:document.title='x'", "<b>bold", "\"it's\"", "%41", "new\nline"];

/// A directory without an index, as a person goes about in it: with the mouse, by keys, and without scripts.
#[test]
fn a_browser_is_shown_a_directory() {
    let Some(program) = browser() else { return };
    let site = Site::with(&[
        ("photos/2026/a.txt", "a"),
        ("photos/large.bin", &"x".repeat(12_345)),
        ("photos/small.bin", "x"),
        ("photos/file2.txt", "2"),
        ("photos/file10.txt", "10"),
        ("photos/README.md", "# Photos\n\nSee [2026](2026/). <script>document.title = 'x'</script>\n\n- [x] sorted\n"),
    ]);
    for name in ODD_NAMES {
        // Without an extension it would be saved, not shown.
        site.write(&format!("odd/{name}.txt"), format!("content of {name}.txt"));
        site.write(&format!("odd/{name}-folder/x"), "");
    }
    let server = Salver::serve(&site);
    let mut page = Page::open(&program);

    sorted_by_links(&mut page, &server);
    filtered_while_typing(&mut page);
    by_keys(&mut page, &server);
    light_and_dark_listings(&mut page, &server);
    without_scripts(&mut page, &server);
    odd_names_clicked(&mut page, &server);
    in_pages(&mut page);

    assert_eq!(page.failed_requests(), Vec::<&serde_json::Value>::new());
    // The policy of the page forbids nothing that the page does.
    // Text that is shown has no icon of its own, and browsers ask for one.
    let complaints = page.complaints().into_iter().filter(|line| !line.contains("/favicon.ico"));
    assert_eq!(complaints.collect::<Vec<_>>(), [""; 0]);
}

/// The names that are to be seen, in order.
fn entries(page: &mut Page) -> Vec<String> {
    let names = page.value(
        "[...document.querySelectorAll('tbody tr[data-entry]')].filter(row => row.checkVisibility())\
         .map(row => row.querySelector('a').textContent)",
    );
    names.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

fn sorted_by_links(page: &mut Page, server: &Salver) {
    page.go(&server.url("/photos/"));
    assert_eq!(page.value("document.title"), "Index of /photos/");
    let by_name = ["2026/", "file2.txt", "file10.txt", "large.bin", "README.md", "small.bin"];
    assert_eq!(entries(page), by_name);
    assert_eq!(page.value("document.querySelector('.readme h2').textContent"), "Photos");
    page.follow("thead th:nth-child(2) a");
    assert_eq!(page.value("document.querySelector('[aria-sort]').ariaSort"), "descending");
    assert_eq!(entries(page)[..2], ["2026/", "large.bin"]);
    page.follow("thead th:nth-child(2) a");
    assert_eq!(page.value("document.querySelector('[aria-sort]').ariaSort"), "ascending");
    assert_eq!(entries(page).last().unwrap(), "large.bin");
    page.follow("thead th:nth-child(1) a");
    assert_eq!(entries(page), by_name);
    page.follow(".readme a");
    assert_eq!(page.value("location.pathname"), "/photos/2026/");
    page.follow("tbody a");
    assert_eq!(page.value("location.pathname"), "/photos/");
    page.follow("nav a");
    assert_eq!(entries(page), ["odd/", "photos/"]);
}

fn filtered_while_typing(page: &mut Page) {
    page.follow("a[href='./photos/']");
    page.click("#filter");
    page.type_text("FILE");
    assert_eq!(entries(page), ["file2.txt", "file10.txt"]);
    assert_eq!(page.value("document.querySelector('output').textContent"), "2 of 6");
    page.value("document.querySelector('#filter').select()");
    page.type_text("nothing like it");
    assert_eq!(entries(page), [""; 0]);
    page.value("document.querySelector('#filter').select()");
    page.type_text("bin");
    page.enter();
    assert_eq!(page.value("location.search"), "?q=bin");
    assert_eq!(entries(page), ["large.bin", "small.bin"]);
}

/// From the top of the page, each thing that can be used has the focus in turn, and shows it.
fn by_keys(page: &mut Page, server: &Salver) {
    page.go(&server.url("/photos/"));
    let mut stops = Vec::new();
    for _ in 0..8 {
        page.press("Tab", 9);
        let stop = page.value("document.activeElement.textContent.trim() || document.activeElement.name");
        stops.push(stop.as_str().unwrap().to_owned());
        let outline = page.value("getComputedStyle(document.activeElement).outlineStyle");
        assert_eq!(outline, "solid", "{stops:?}");
    }
    let expected =
        ["root", "q", "Filter", "Name \u{2191}", "Size", "Modified (UTC)", "../ (parent directory)", "2026/"];
    assert_eq!(stops, expected);
    page.screenshot("listing-keys");
    page.enter();
    assert_eq!(page.value("location.pathname"), "/photos/2026/");
}

fn light_and_dark_listings(page: &mut Page, server: &Salver) {
    page.go(&server.url("/photos/"));
    for (scheme, ground) in [("dark", "rgb(20, 23, 26)"), ("light", "rgb(251, 249, 245)")] {
        page.prefer(scheme);
        page.until(&format!("matchMedia('(prefers-color-scheme: {scheme})').matches"));
        assert_eq!(page.value("getComputedStyle(document.body).backgroundColor"), ground, "{scheme}");
        page.screenshot(&format!("listing-{scheme}"));
        accessible(page);
    }
    for target in ["/photos/?q=nothing-like-it", "/photos/2026/", "/"] {
        page.go(&server.url(target));
        accessible(page);
    }
}

/// Pages of a large directory lead to each other.
fn in_pages(page: &mut Page) {
    let site = Site::new();
    (0..100).for_each(|number| site.write(&format!("{number}.txt"), ""));
    let server = Salver::set(&site, &[("list_page_entries", "10")]);
    page.go(&server.url("/?page=4&sort=name"));
    page.screenshot("listing-pages");
    accessible(page);
    page.follow("nav a[rel=next]");
    assert_eq!(entries(page)[0], "40.txt");
    page.follow("nav a[aria-label='Page 10']");
    assert_eq!(entries(page)[9], "99.txt");
    // The script leaves to the server what is on other pages, too.
    page.click("#filter");
    page.type_text("1");
    assert_eq!(entries(page).len(), 10);
    page.enter();
    assert_eq!(page.value("document.querySelector('caption').textContent.split(' ')[0]"), "19");
}

/// By axe-core, whose file `SALVER_AXE` names; it comes from elsewhere, and its licence isn't ours.
fn accessible(page: &mut Page) {
    let Some(axe) = env::var_os("SALVER_AXE") else {
        let _ = writeln!(stderr(), "SKIPPED the accessibility of listings: SALVER_AXE names no axe.min.js");
        return;
    };
    page.value(&format!("{}; true", std::fs::read_to_string(axe).unwrap()));
    let found = page.value(
        "axe.run().then(result => [result.passes.length, result.violations.map(violation => \
         [violation.id, violation.help, violation.nodes.map(node => node.html)])])",
    );
    assert_eq!(found[1], serde_json::json!([]));
    assert!(found[0].as_u64().unwrap() > 20, "rules were tried: {found}");
}

fn without_scripts(page: &mut Page, server: &Salver) {
    page.allow_scripts(false);
    page.go(&server.url("/photos/"));
    page.click("#filter");
    page.type_text("file1");
    page.follow("form button");
    assert_eq!(page.value("location.search"), "?q=file1");
    assert_eq!(entries(page), ["file10.txt"]);
    page.follow("thead th:nth-child(3) a");
    assert_eq!(entries(page), ["file10.txt"]);
    page.allow_scripts(true);
}

/// Each is clicked with the mouse, and leads to what has its name.
fn odd_names_clicked(page: &mut Page, server: &Salver) {
    for number in 1..=2 * ODD_NAMES.len() {
        page.go(&server.url("/odd/"));
        let link = format!("tbody tr[data-entry]:nth-of-type({}) a", number + 1);
        let name = page.value(&format!("document.querySelector('{link}').textContent"));
        let name = name.as_str().unwrap().replace('\u{240a}', "\n");
        page.follow(&link);
        let path = page.value("decodeURIComponent(location.pathname)");
        assert_eq!(path, format!("/odd/{name}"));
        if !name.ends_with('/') {
            assert_eq!(page.value("document.body.textContent"), format!("content of {name}"));
        }
    }
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
