//! The files layer: what is served, what is not, and what is said of it.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};

use crate::support::{NOVEMBER_1994, Reply, Salver, Site, curl, get, salver, serving, settle, unprivileged};

#[track_caller]
fn check(server: &Salver, target: &str, status: u16, body: &str) {
    let reply = server.get(target, "");
    assert_eq!((reply.status, &*reply.text()), (status, body), "{target}");
}

/// All of a reply but its date.
fn undated(reply: &Reply) -> String {
    let head: Vec<&str> = reply.head.lines().filter(|line| !line.starts_with("Date: ")).collect();
    format!("{}\n\n{}", head.join("\n"), reply.text())
}

/// To the client, this is not there: the answer is the same as for any name that nothing has.
#[track_caller]
fn check_absent(server: &Salver, target: &str) {
    let (found, absent) = (server.get(target, ""), server.get("/nothing-of-this-name", ""));
    assert_eq!(found.status, 404, "{target}");
    assert_eq!(undated(&found), undated(&absent), "{target}");
}

#[test]
fn a_directory_answers_with_its_index() {
    let site = Site::with(&[("index.html", "home"), ("sub/index.html", "sub"), ("bare/a.txt", "a")]);
    site.write("odd/index.html/x", "x");
    let server = Salver::start(&site, &["--no-list"]);
    check(&server, "/", 200, "home");
    check(&server, "/?q", 200, "home");
    check(&server, "/sub/", 200, "sub");
    check(&server, "/sub/index.html", 200, "sub");
    check(&server, "//sub//.//", 200, "sub");
    check(&server, "/bare/../sub/", 200, "sub");
    check(&server, "/bare/..", 200, "home");
    check_absent(&server, "/bare/");
    check_absent(&server, "/odd/");
    check_absent(&server, "/sub/index.html/");
}

#[test]
fn indexes_are_tried_in_their_order() {
    let site = Site::with(&[("both/b.html", "b"), ("both/a.html", "a"), ("one/a.html", "a"), ("none/index.html", "i")]);
    let server = Salver::start(&site, &["--no-list", "--index", "b.html", "--index", "a.html"]);
    check(&server, "/both/", 200, "b");
    check(&server, "/one/", 200, "a");
    check_absent(&server, "/none/");
}

#[track_caller]
fn check_redirect(server: &Salver, target: &str, location: &str) {
    let reply = server.get(target, "");
    assert_eq!((reply.status, reply.field("location")), (301, Some(location)), "{target}");
}

/// RFC 9110 sections 10.2.2 and 15.4.2, RFC 3986 section 4.2: a path that begins with one slash names no host.
/// Others have had to fix this: CVE-2021-28861, CVE-2015-1164.
#[test]
fn a_directory_without_its_slash_is_redirected() {
    let site = Site::with(&[("sub/index.html", "sub"), ("a b/c&d/index.html", "deep"), ("\u{fc}/x", "")]);
    site.write("100%/x", "");
    site.write("evil.example/sub/x", "");
    let server = Salver::serve(&site);
    check_redirect(&server, "/sub", "/sub/");
    check_redirect(&server, "/sub?a=b&c=%20/?", "/sub/?a=b&c=%20/?");
    check_redirect(&server, "/sub?", "/sub/?");
    check_redirect(&server, "/a%20b", "/a%20b/");
    check_redirect(&server, "/a%20b/c&d?x", "/a%20b/c&d/?x");
    check_redirect(&server, "/%c3%bc", "/%C3%BC/");
    check_redirect(&server, "/100%25", "/100%25/");
    check_redirect(&server, "/%73ub", "/sub/");
    // What looks like a host is a path here, and in the answer can't be taken for a host.
    check_redirect(&server, "//sub", "/sub/");
    check_redirect(&server, "//evil.example", "/evil.example/");
    check_redirect(&server, "//evil.example/sub", "/evil.example/sub/");
    check_redirect(&server, "//evil.example/../sub", "/sub/");
    check_redirect(&server, "///evil.example/%2e%2e/sub", "/sub/");
    check_redirect(&server, "/.//sub", "/sub/");
    check_redirect(&server, "http://evil.example/sub?x", "/sub/?x");
    check_redirect(
        &server,
        "/sub?a[b]=c|d&e=%7E%c3%BC+\u{fc}'\"<>",
        "/sub/?a%5Bb%5D=c%7Cd&e=%7E%c3%BC+%C3%BC'%22%3C%3E",
    );
    check_redirect(&server, "/sub?x%0d%0aSet-Cookie:%20y", "/sub/?x%0d%0aSet-Cookie:%20y");
    for target in [
        "/\\evil.example",
        "/\\evil.example/sub",
        "/%5cevil.example",
        "/%2fevil.example",
        "/%2f%2fevil.example/%2e%2e/sub",
    ] {
        check_absent(&server, target);
    }
    // What no URI may have is encoded, what is encoded stays (RFC 9110 section 10.2.2, RFC 3986 section 3.4).
    check_redirect(&server, "/sub?a=[1]|{2}^`\\\"<>", "/sub/?a=%5B1%5D%7C%7B2%7D%5E%60%5C%22%3C%3E");
    check_redirect(&server, "/sub?%zz%4&%41%7c%%20%", "/sub/?%25zz%254&%41%7c%25%20%25");
    assert_eq!(curl(&["--location"], &server.url("/sub")), "sub");
    assert_eq!(curl(&["--location"], &server.url("/a%20b/c&d")), "deep");
}

#[test]
fn what_is_not_there_gets_a_small_page_that_leaks_nothing() {
    let site = Site::with(&[("index.html", "home")]);
    let server = Salver::serve(&site);
    let reply = server.get("/no/such-page?secret", "");
    assert_eq!((reply.status, reply.field("content-type")), (404, Some("text/html; charset=utf-8")));
    let (page, root) = (reply.text(), site.path().to_str().unwrap().to_owned());
    assert!(page.starts_with("<!doctype html>") && page.contains("404"), "{page}");
    for leak in ["such-page", "secret", &root, "os error", "No such file"] {
        assert!(!page.contains(leak), "{leak}: {page}");
    }
}

#[test]
fn a_site_may_have_its_own_404_page() {
    let site = Site::with(&[("404.html", "<p>ours"), ("sub/a.txt", "a"), ("a.txt", "a")]);
    let server = Salver::serve(&site);
    let reply = server.get("/missing", "");
    assert_eq!((reply.status, &*reply.text()), (404, "<p>ours"));
    assert_eq!(reply.field("content-type"), Some("text/html; charset=utf-8"));
    // It is no representation of what was asked for, so no condition or range applies to it.
    assert_eq!((reply.field("etag"), reply.field("last-modified")), (None, None));
    for lines in ["If-None-Match: *\r\n", "Range: bytes=0-1\r\n", "If-Match: \"x\"\r\n"] {
        assert_eq!(undated(&server.get("/missing", lines)), undated(&reply), "{lines}");
    }
    check(&server, "/sub/missing", 404, "<p>ours");
    check(&server, "/.env", 404, "<p>ours");
    check(&server, "/404.html", 200, "<p>ours");
    site.write("404.html", "<p>edited");
    check(&server, "/missing", 404, "<p>edited");
    fs::remove_file(site.join("404.html")).unwrap();
    assert!(server.get("/missing", "").text().contains("404"));
}

#[test]
fn dotfiles_are_hidden_but_well_known() {
    let site = Site::with(&[(".env", "secret"), (".git/config", "secret"), ("sub/.hidden", "secret")]);
    site.write(".well-known/security.txt", "known");
    site.write(".well-known/.secret", "secret");
    site.write("sub/.well-known/x", "secret");
    site.write("...", "secret");
    let server = Salver::serve(&site);
    check(&server, "/.well-known/security.txt", 200, "known");
    check(&server, "/%2ewell-known/security.txt", 200, "known");
    for target in [
        "/.env",
        "/%2eenv",
        "/.git",
        "/.git/",
        "/.git/config",
        "/%2Egit/config",
        "/sub/.hidden",
        "/sub/%2ehidden",
        "/.well-known/.secret",
        "/sub/.well-known/x",
        "/...",
        "/.WELL-KNOWN/security.txt",
    ] {
        check_absent(&server, target);
    }
    server.wait_for_log("/.env: not served: its name begins with a dot");
}

/// A folder `root` to serve, and beside it what must not be served.
fn walled() -> Site {
    let site = Site::with(&[("secret", "SECRET"), ("outside/secret", "SECRET"), ("root/index.html", "home")]);
    site.write("root/sub/a.txt", "a");
    site
}

fn serve_walled(site: &Site) -> Salver {
    Salver::run(salver(site.path()).args(["--port", "0", "root"]))
}

#[test]
fn nothing_outside_the_root_is_served() {
    let site = walled();
    let server = serve_walled(&site);
    let secret = site.join("secret").display().to_string();
    for target in [
        "/../secret",
        "/../root/../secret",
        "/sub/../../secret",
        "/sub/../../../../../../../../../../etc/passwd",
        "/..%2fsecret",
        "/..%2Fsecret",
        "/%2e%2e/secret",
        "/%2E%2E/secret",
        "/.%2e/secret",
        "/%2e./secret",
        "/%2e%2e%2fsecret",
        "/%2e%2e%5csecret",
        "/..%5csecret",
        "/..\\secret",
        "/sub\\..\\..\\secret",
        "\\..\\secret",
        "/sub/%2e%2e/%2e%2e/secret",
        "/%252e%252e/secret",
        "/%252e%252e%252fsecret",
        "/%25252e%25252e/secret",
        "/%c0%ae%c0%ae/secret",
        "/..%c0%afsecret",
        "/%e0%80%ae%e0%80%ae/secret",
        "/\u{ff0e}\u{ff0e}/secret",
        "/%u002e%u002e/secret",
        "/..%u2215secret",
        "//../secret",
        "///..//..///secret",
        "/./../secret",
        "/..;/secret",
        "/....//secret",
        "/.../secret",
        "/..",
        "/../",
        "/%2e%2e",
        "/..%00/secret",
        "/../secret%00",
        "/../secret%00.html",
        "/secret\u{0}",
        "/..%0a/secret",
        "/..%20/secret",
        "/%20../secret",
        "/~/secret",
        "/~root/secret",
        "/C:/secret",
        "/sub/a.txt/../../../secret",
        "/nothing/../../secret",
        "/%2f..%2fsecret",
        "/%2e%2e//secret",
        "/..//secret",
        "http://localhost/../secret",
        "http://localhost/%2e%2e/secret",
        "file:///etc/passwd",
        &secret,
        &format!("/{secret}"),
        &format!("/%2f{secret}"),
        &format!("/..{secret}"),
        "//etc/passwd",
        "/%2fetc%2fpasswd",
        "/proc/self/environ",
        "/dev/null",
        "/?/../secret",
        "/;/../../secret",
    ] {
        let reply = server.get(target, "");
        // A query is no path.
        let status_is_good = matches!(reply.status, 400 | 404) || (target.starts_with("/?") && reply.status == 200);
        assert!(status_is_good, "{target}: {}", reply.head);
        assert!(!reply.text().contains("SECRET") && !reply.text().contains("root:"), "{target}");
    }
    check(&server, "/sub/../sub/./a.txt", 200, "a");
    let code = ["--path-as-is", "--write-out", "%{http_code}", "--output", "/dev/null"];
    assert_eq!(curl(&code, &server.url("/../secret")), "404");
}

#[test]
fn a_target_that_no_name_can_have_is_malformed() {
    let site = Site::with(&[("a.txt", "a")]);
    let server = Salver::serve(&site);
    for target in ["/%", "/%4", "/%zz", "/a.txt%", "/a%00", "/%00", "/a.txt%00.html", "/%u0041"] {
        let reply = server.get(target, "");
        assert_eq!((reply.status, reply.field("connection")), (400, None), "{target}");
    }
    // A query may hold anything.
    check(&server, "/a.txt?%zz%00", 200, "a");
}

#[test]
fn links_are_followed_within_the_root_only() {
    let site = walled();
    let inside = site.join("root/sub/a.txt").display().to_string();
    let outside = site.join("secret").display().to_string();
    for (name, target) in [
        ("in", "sub/a.txt"),
        ("sub/up", "../index.html"),
        ("chain", "sub/chained"),
        ("sub/chained", "./a.txt"),
        ("directory", "sub"),
        ("out", "../secret"),
        ("absolute", &outside),
        ("absolute_in", &inside),
        ("chain_out", "sub/chained_out"),
        ("sub/chained_out", "../out"),
        ("directory_out", "../outside"),
        ("around", "../root/index.html"),
        ("self", "self"),
        ("dangling", "nowhere"),
        ("system", "/"),
        ("process", "/proc/self/root"),
    ] {
        site.link(&format!("root/{name}"), target);
    }
    let server = serve_walled(&site);
    check(&server, "/in", 200, "a");
    check(&server, "/sub/up", 200, "home");
    check(&server, "/chain", 200, "a");
    check(&server, "/directory/a.txt", 200, "a");
    check_redirect(&server, "/directory", "/directory/");
    for target in [
        "/out",
        "/absolute",
        "/absolute_in",
        "/chain_out",
        "/directory_out",
        "/directory_out/",
        "/directory_out/secret",
        "/around",
        "/self",
        "/dangling",
        "/system",
        "/system/etc/passwd",
        "/process/etc/passwd",
    ] {
        check_absent(&server, target);
    }
    let log = server.wait_for_log("/process/etc/passwd");
    for line in ["/out: not served: a link leads out of the root", "/self: not served: its links go round in circles"] {
        assert!(log.contains(line), "{line}: {log}");
    }
}

#[test]
fn a_link_that_is_turned_outwards_is_no_longer_followed() {
    let site = walled();
    site.link("root/link", "sub/a.txt");
    let server = serve_walled(&site);
    check(&server, "/link", 200, "a");
    site.link("root/new", "../secret");
    fs::rename(site.join("root/new"), site.join("root/link")).unwrap();
    check_absent(&server, "/link");
}

#[test]
fn special_files_neither_serve_nor_hang() {
    let site = Site::with(&[("index.html", "home")]);
    let make = |name: &str, kind, device| mknodat(CWD, site.join(name), kind, Mode::from(0o644), device);
    make("fifo", FileType::Fifo, 0).unwrap();
    let _listener = UnixListener::bind(site.join("socket")).unwrap();
    fs::create_dir(site.join("sub")).unwrap();
    make("sub/index.html", FileType::Fifo, 0).unwrap();
    let server = Salver::set(&site, &[("workers", "1")]);
    for target in ["/fifo", "/socket", "/sub/index.html", "/sub/"] {
        check_absent(&server, target);
    }
    server.wait_for_log("/fifo: not served: it is neither a file nor a directory");
    // Only root may make a device; who may not has /dev to try.
    if make("null", FileType::CharacterDevice, rustix::fs::makedev(1, 3)).is_ok() {
        check_absent(&server, "/null");
    }
    let devices = Salver::run(salver(site.path()).args(["--port", "0", "/dev"]));
    for target in ["/null", "/zero", "/tty", "/full"] {
        check_absent(&devices, target);
    }
}

#[test]
fn what_may_not_be_read_is_not_there() {
    let site = Site::with(&[("open.txt", "open"), ("closed.txt", "SECRET"), ("closed/a.txt", "SECRET"), ("dir/x", "")]);
    site.write("dir/index.html", "SECRET");
    site.write("only_search/index.html", "home");
    for (name, mode) in [
        ("", 0o755),
        ("open.txt", 0o644),
        ("closed.txt", 0),
        ("closed", 0),
        ("dir", 0o755),
        ("dir/index.html", 0),
        ("only_search", 0o111),
        ("only_search/index.html", 0o644),
    ] {
        site.set_mode(name, mode);
    }
    let shelf = Site::new();
    let server = Salver::run(unprivileged(&shelf, site.path()).args(["--port", "0", "."]));
    check(&server, "/open.txt", 200, "open");
    check(&server, "/only_search/", 200, "home");
    for target in ["/closed.txt", "/closed", "/closed/", "/closed/a.txt", "/closed/nothing", "/dir/", "/dir/index.html"]
    {
        check_absent(&server, target);
    }
    let log = server.wait_for_log("/dir/index.html: not served: permission denied");
    assert!(log.contains("/closed.txt: not served: permission denied"), "{log}");
    // What is closed while it is served, and opened again.
    site.set_mode("open.txt", 0);
    check_absent(&server, "/open.txt");
    site.set_mode("open.txt", 0o644);
    check(&server, "/open.txt", 200, "open");
    ["only_search", "closed"].iter().for_each(|name| site.set_mode(name, 0o755));
}

#[test]
fn the_configuration_in_use_is_never_served() {
    let site = Site::with(&[("salver.toml", "[salver]\nport = 0\n"), ("index.html", "home"), ("sub/x", "")]);
    site.link("link.toml", "salver.toml");
    site.link("sub/link.toml", "../salver.toml");
    fs::hard_link(site.join("salver.toml"), site.join("hard.toml")).unwrap();
    fs::copy(site.join("salver.toml"), site.join("copy.toml")).unwrap();
    let server = Salver::run(&mut salver(site.path()));
    let names = ["/salver.toml", "/link.toml", "/sub/link.toml", "/hard.toml", "/sub/../salver.toml", "/%73alver.toml"];
    names.iter().for_each(|name| check_absent(&server, name));
    server.wait_for_log("/salver.toml: not served: it is the configuration in use");
    // Another file of the same content is just a file.
    check(&server, "/copy.toml", 200, "[salver]\nport = 0\n");
    // An editor writes a new file and gives it the name.
    fs::rename(site.join("copy.toml"), site.join("salver.toml")).unwrap();
    check_absent(&server, "/salver.toml");
    check_absent(&server, "/link.toml");
}

/// RFC 9110 sections 9.1, 9.3.6 to 9.3.8, 10.2.1, 15.5.6 and 15.6.2
#[test]
fn a_method_that_files_do_not_have_is_refused() {
    let site = Site::with(&[("a.txt", "a"), ("sub/index.html", "sub")]);
    let server = Salver::serve(&site);
    let allow = Some("GET, HEAD, OPTIONS");
    for (method, target, status, allow) in [
        ("POST", "/a.txt", 405, allow),
        ("PUT", "/a.txt", 405, allow),
        ("DELETE", "/a.txt", 405, allow),
        ("PATCH", "/sub/", 405, allow),
        ("POST", "/missing", 404, None),
        ("DELETE", "/.env", 404, None),
        ("POST", "/%00", 400, None),
        ("TRACE", "/a.txt", 405, allow),
        ("CONNECT", "localhost:80", 405, allow),
        ("BREW", "/a.txt", 501, None),
        ("get", "/a.txt", 501, None),
        ("PROPFIND", "/missing", 501, None),
        ("OPTIONS", "/a.txt", 204, allow),
        ("OPTIONS", "*", 204, allow),
    ] {
        let mut client = server.connect();
        client.send(get(target, "").replacen("GET", method, 1) + &get("/a.txt", ""));
        let reply = client.reply();
        assert_eq!((reply.status, reply.field("allow")), (status, allow), "{method} {target}");
        assert_eq!(reply.field("content-length").is_some(), status != 204, "{method} {target}");
        assert_eq!(client.reply().text(), "a", "after {method} {target}");
    }
    assert_eq!(fs::read(site.join("a.txt")).unwrap(), b"a");
}

#[test]
fn the_media_type_follows_the_name() {
    let site = Site::new();
    let server = Salver::serve(&site);
    for (name, expected) in [
        ("a.html", "text/html; charset=utf-8"),
        ("a.HTM", "text/html; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.txt", "text/plain; charset=utf-8"),
        ("a.md", "text/markdown; charset=utf-8"),
        ("a.json", "application/json"),
        ("a.svg", "image/svg+xml"),
        ("a.webp", "image/webp"),
        ("a.webm", "video/webm"),
        ("a.woff2", "font/woff2"),
        ("a.wasm", "application/wasm"),
        ("a.tar.gz", "application/gzip"),
        ("a.unheard-of", "application/octet-stream"),
        ("README", "application/octet-stream"),
    ] {
        site.write(name, "x");
        assert_eq!(server.get(&format!("/{name}"), "").field("content-type"), Some(expected), "{name}");
    }
}

/// RFC 3986 sections 2.1 and 3.3: decoded once, then bytes.
#[test]
fn any_name_can_be_asked_for() {
    let site = Site::new();
    let server = Salver::serve(&site);
    let long = "n".repeat(255);
    let names: [(&[u8], &str); 14] = [
        (b"a b.txt", "/a%20b.txt"),
        (b"a#b", "/a%23b"),
        (b"a?b", "/a%3fb"),
        (b"100%", "/100%25"),
        (b"pct%41", "/pct%2541"),
        (b"a+b", "/a+b"),
        (b"a&b=c;d", "/a&b=c;d"),
        (b"quo\"te'", "/quo%22te'"),
        (b"line\nbreak", "/line%0abreak"),
        ("\u{fc}.txt".as_bytes(), "/%c3%bc.txt"),
        ("\u{1f980}".as_bytes(), "/\u{1f980}"),
        (b"\xff\xfe.bin", "/%ff%FE.bin"),
        (b"-", "/-"),
        (long.as_bytes(), &format!("/{long}")),
    ];
    for (name, target) in names {
        fs::write(site.path().join(std::ffi::OsStr::from_bytes(name)), name).unwrap();
        for _ in 0..2 {
            let reply = server.get(target, "");
            assert_eq!((reply.status, &*reply.body), (200, name), "{target}");
        }
    }
    for target in
        ["/a b".replace(' ', "%09"), "/a+b.txt".into(), "/pctA".into(), format!("/{long}n"), "/a/".repeat(2_500)]
    {
        check_absent(&server, &target);
    }
}

#[test]
fn every_edit_shows_on_the_next_request() {
    let site = Site::with(&[("a.txt", "0")]);
    let server = Salver::serve(&site);
    let mut client = server.connect();
    let mut etag = String::new();
    for number in 100..400 {
        site.write("a.txt", number.to_string());
        if number % 2 == 0 {
            site.set_modified("a.txt", NOVEMBER_1994);
        }
        client.send(get("/a.txt", &format!("If-None-Match: {etag}\r\n")));
        let reply = client.reply();
        assert_eq!((reply.status, reply.text()), (200, number.to_string()));
        etag = reply.field("etag").unwrap().to_owned();
    }
}

/// A target, what it gives, what is done, the status and what it gives then.
type Change<'a> = (&'a str, &'a str, &'a dyn Fn(), u16, &'a str);

#[test]
fn what_is_kept_ready_is_never_stale() {
    let (site, outside) = (Site::new(), Site::new());
    let write = |name: &str, content: &str| site.write(name, content);
    let rename = |from: &str, to: &str| fs::rename(site.join(from), site.join(to)).unwrap();
    let remove = |name: &str| fs::remove_file(site.join(name)).unwrap();
    for name in
        ["edited", "same_size", "same_size_and_time", "replaced", "twin", "deleted", "to_directory", "to_link", "moved"]
            .into_iter()
            .chain(["moved_out", "linked_out"])
    {
        write(name, "old");
        site.set_modified(name, NOVEMBER_1994);
    }
    for (name, content) in [
        ("index_edited/b.html", "old"),
        ("index_appears/b.html", "old"),
        ("index_goes/b.html", "old"),
        ("index_goes/a.html", "first"),
        ("all_goes/b.html", "old"),
        ("folder/file", "old"),
        ("folder_new/file", "new"),
    ] {
        write(name, content);
    }
    write("large", &"o".repeat(200_000));
    write("404.html", "old");
    site.link("link", "edited");
    let server = Salver::start(&site, &["--no-list", "--index", "a.html", "--index", "b.html"]);
    settle(&site, "", &server);
    let mut client = server.connect();
    let mut ask = |target: &str| {
        client.send(get(target, ""));
        let reply = client.reply();
        (reply.status, reply.text().chars().take(10).collect::<String>())
    };
    let changes: &[Change<'_>] = &[
        ("/edited", "old", &|| write("edited", "edited"), 200, "edited"),
        ("/./edited", "edited", &|| write("edited", "again"), 200, "again"),
        ("/link", "again", &|| write("edited", "linked"), 200, "linked"),
        ("/same_size", "old", &|| write("same_size", "new"), 200, "new"),
        (
            "/same_size_and_time",
            "old",
            &|| {
                write("same_size_and_time", "new");
                site.set_modified("same_size_and_time", NOVEMBER_1994);
            },
            200,
            "new",
        ),
        (
            "/replaced",
            "old",
            &|| {
                write("twin", "new");
                site.set_modified("twin", NOVEMBER_1994);
                rename("twin", "replaced");
            },
            200,
            "new",
        ),
        ("/deleted", "old", &|| remove("deleted"), 404, "old"),
        (
            "/to_directory",
            "old",
            &|| {
                remove("to_directory");
                write("to_directory/a.html", "new");
            },
            301,
            "<!doctype ",
        ),
        (
            "/to_link",
            "old",
            &|| {
                remove("to_link");
                site.link("to_link", "/etc/passwd");
            },
            404,
            "old",
        ),
        // To a stat they are the same files as before; that they lie outside now shows in their ctime.
        (
            "/moved_out",
            "old",
            &|| {
                fs::rename(site.join("moved_out"), outside.join("moved_out")).unwrap();
                site.link("moved_out", outside.join("moved_out").to_str().unwrap());
            },
            404,
            "old",
        ),
        (
            "/linked_out",
            "old",
            &|| {
                fs::hard_link(site.join("linked_out"), outside.join("linked_out")).unwrap();
                remove("linked_out");
                site.link("linked_out", outside.join("linked_out").to_str().unwrap());
            },
            404,
            "old",
        ),
        ("/moved", "old", &|| rename("moved", "away"), 404, "old"),
        ("/index_edited/", "old", &|| write("index_edited/b.html", "new"), 200, "new"),
        ("/index_appears/", "old", &|| write("index_appears/a.html", "new"), 200, "new"),
        ("/index_goes/", "first", &|| remove("index_goes/a.html"), 200, "old"),
        ("/all_goes/", "old", &|| remove("all_goes/b.html"), 404, "old"),
        (
            "/folder/file",
            "old",
            &|| {
                rename("folder", "folder_old");
                rename("folder_new", "folder");
            },
            200,
            "new",
        ),
        ("/large", "oooooooooo", &|| write("large", &"n".repeat(200_000)), 200, "nnnnnnnnnn"),
        ("/missing", "old", &|| write("404.html", "new"), 404, "new"),
    ];
    for (target, before, change, status, after) in changes {
        for _ in 0..2 {
            assert_eq!(ask(target).1, *before, "{target} before");
        }
        change();
        assert_eq!(ask(target), (*status, (*after).to_owned()), "{target}");
    }
}

#[test]
fn a_root_may_be_rebuilt_while_it_is_served() {
    let site = Site::with(&[("root/index.html", "old"), ("root/old.txt", "old"), ("new/index.html", "new")]);
    let server = serve_walled(&site);
    settle(&site, "root/", &server);
    check(&server, "/", 200, "old");
    check(&server, "/old.txt", 200, "old");
    fs::remove_dir_all(site.join("root")).unwrap();
    assert_eq!(server.get("/", "").status, 404);
    assert_eq!(server.get("/old.txt", "").status, 404);
    fs::rename(site.join("new"), site.join("root")).unwrap();
    check(&server, "/", 200, "new");
    check_absent(&server, "/old.txt");
}

#[test]
fn a_root_that_is_a_link_may_be_switched() {
    let site = Site::with(&[("one/index.html", "one"), ("two/index.html", "two"), ("one/only", "1")]);
    for name in ["one", "two"] {
        site.set_modified(&format!("{name}/index.html"), NOVEMBER_1994);
    }
    site.link("current", "one");
    let server = Salver::run(salver(site.path()).args(["--port", "0", "current"]));
    settle(&site, "one/", &server);
    for (target, content) in [("two", "two"), ("one", "one"), ("two", "two")] {
        check(&server, "/", 200, if content == "one" { "two" } else { "one" });
        site.link("next", target);
        fs::rename(site.join("next"), site.join("current")).unwrap();
        check(&server, "/", 200, content);
    }
    check_absent(&server, "/only");
}

#[test]
fn a_file_that_is_replaced_all_the_time_is_always_one_of_its_versions() {
    let site = Site::with(&[("page.html", "0")]);
    let server = Salver::serve(&site);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for digit in "123456789".chars().cycle() {
                let times = digit.to_digit(10).unwrap() as usize * 5_000;
                site.write("next", digit.to_string().repeat(times));
                fs::rename(site.join("next"), site.join("page.html")).unwrap();
                if done.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        let mut client = server.connect();
        for _ in 0..300 {
            client.send(get("/page.html", ""));
            let page = client.reply().text();
            let digit = page.chars().next().unwrap();
            let whole = page.chars().all(|other| other == digit);
            assert!(page == "0" || (whole && page.len() == digit.to_digit(10).unwrap() as usize * 5_000));
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
#[cfg(target_os = "linux")]
fn a_failing_disk_is_a_500_that_leaks_nothing() {
    let site = Site::new();
    let server = Salver::run(salver(site.path()).args(["--port", "0", "/proc/self"]));
    // Nothing is mapped at the address 0, so reading there fails.
    let reply = server.get("/mem", "");
    assert_eq!((reply.status, reply.field("content-type")), (500, Some("text/html; charset=utf-8")));
    for leak in ["mem", "proc", "os error", "Input/output"] {
        assert!(!reply.text().contains(leak), "{}", reply.text());
    }
    server.wait_for_log("ERROR /mem: Input/output error");
    // The links of this file system lead anywhere.
    for target in ["/root/etc/passwd", "/cwd/", "/exe", "/fd/0", "/fd/1", "/task/../root/"] {
        check_absent(&server, target);
    }
}

/// Files of the kernel say that they are empty, or as long as a page.
#[test]
#[cfg(target_os = "linux")]
fn a_file_that_is_longer_than_it_says_is_sent_as_it_is() {
    let site = Site::new();
    for bytes_max in ["0", "32768"] {
        let mut command = salver(site.path());
        command.args(["--port", "0", "/proc/sys/kernel"]).env("SALVER_CACHE_FILE_BYTES_MAX", bytes_max);
        let server = Salver::run(&mut command);
        let mut client = server.connect();
        for _ in 0..2 {
            client.send(get("/ostype", ""));
            assert_eq!(client.reply().text(), fs::read_to_string("/proc/sys/kernel/ostype").unwrap());
        }
    }
}

/// An answer needs a length before its first byte.
#[test]
#[cfg(target_os = "linux")]
fn a_long_file_that_tells_no_length_is_an_error_that_says_so() {
    // A file of the kernel, so it may be missing, or short.
    if fs::read("/proc/kallsyms").is_ok_and(|bytes| bytes.len() > 200_000) {
        let site = Site::new();
        let server = Salver::run(salver(site.path()).args(["--port", "0", "/proc"]));
        assert_eq!(server.get("/kallsyms", "").status, 500);
        server.wait_for_log("ERROR /kallsyms: it tells no length and has more than 102400 bytes");
    }
}

/// Descriptors that are only kept ready make way for what is asked for.
#[test]
fn many_large_files_do_not_use_up_the_descriptors() {
    let site = Site::with(&[("small.txt", "small")]);
    (0..100).for_each(|number| site.write(&format!("{number}.bin"), vec![number; 110_000]));
    let serving = serving(&site);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 64; exec \"$0\" \"$@\""]).arg(serving.get_program()).args(serving.get_args());
    let server = Salver::run(command.current_dir(site.path()).env_remove("PORT"));
    let mut client = server.connect();
    // Not kept while they are young, so they are asked for again until they are not.
    let settled = Instant::now() + std::time::Duration::from_secs(3);
    loop {
        for number in 0..100 {
            client.send(get(&format!("/{number}.bin"), ""));
            assert_eq!(client.reply().body.first(), Some(&number));
        }
        if Instant::now() > settled {
            break;
        }
    }
    check(&server, "/small.txt", 200, "small");
}

#[test]
fn a_server_short_of_descriptors_serves_on() {
    let site = Site::with(&[("a.txt", "a")]);
    site.write("large.bin", vec![7; 200_000]);
    let serving = serving(&site);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 48; exec \"$0\" \"$@\""]).arg(serving.get_program()).args(serving.get_args());
    let server = Salver::run(command.current_dir(site.path()).env_remove("PORT"));
    let mut clients: Vec<_> = (0..100).map(|_| server.connect()).collect();
    clients.iter_mut().for_each(|client| client.send(get("/large.bin", "Connection: close\r\n")));
    // Those that find no place wait until the others are done.
    for client in clients {
        let mut client = client;
        assert_eq!(client.reply().body.len(), 200_000);
    }
    check(&server, "/a.txt", 200, "a");
}

/// What lies in memory needs no descriptor.
#[test]
#[cfg(target_os = "linux")]
fn kept_files_are_served_without_a_descriptor() {
    let site = Site::with(&[("a.txt", "a"), ("b.txt", "b")]);
    let server = Salver::serve(&site);
    settle(&site, "", &server);
    let mut client = server.connect();
    let mut ask = |target: &str| {
        client.send(get(target, ""));
        let reply = client.reply();
        (reply.status, reply.text())
    };
    assert_eq!(ask("/a.txt"), (200, "a".to_owned()));
    let limit = server.process().limit_descriptors(Some(3));
    for _ in 0..3 {
        assert_eq!(ask("/b.txt").0, 503);
        assert_eq!(ask("/a.txt"), (200, "a".to_owned()));
    }
    server.process().limit_descriptors(limit);
    assert_eq!(ask("/b.txt"), (200, "b".to_owned()));
}

/// A path that is too long from the root of the file system is not so from the root of the site.
#[test]
fn what_lies_deep_is_seen_when_it_comes() {
    let site = Site::new();
    let folder = "d".repeat(200);
    let depth = 3_500 / 201;
    let root = site.path().join(vec![&*folder; depth].join("/"));
    std::fs::create_dir_all(&root).unwrap();
    let server = Salver::run(salver(site.path()).args(["-p", "0"]).arg(&root));
    let deep = [&*folder; 4].join("/");
    let opened = rustix::fs::open(&root, OFlags::PATH, Mode::empty()).unwrap();
    for depth in 1..=4 {
        rustix::fs::mkdirat(&opened, [&*folder; 4][..depth].join("/"), Mode::RWXU).unwrap();
    }
    // As long as a change might hide.
    let until = Instant::now() + std::time::Duration::from_millis(2_200);
    let target = format!("/{deep}/a.txt");
    while Instant::now() < until {
        assert_eq!(server.get(&target, "").status, 404);
    }
    let file = rustix::fs::openat(&opened, &target[1..], OFlags::CREATE | OFlags::WRONLY, Mode::RWXU).unwrap();
    rustix::io::write(&file, b"a").unwrap();
    check(&server, &target, 200, "a");
}

/// Text that was put there must not become a page of scripts in somebody's browser.
#[test]
fn types_are_not_to_be_guessed() {
    let site = Site::with(&[("notes.txt", "<script>")]);
    let server = Salver::serve(&site);
    for target in ["/notes.txt", "/nowhere"] {
        assert_eq!(server.get(target, "").field("x-content-type-options"), Some("nosniff"), "{target}");
    }
    assert_eq!(server.get("/notes.txt", "If-None-Match: *\r\n").field("x-content-type-options"), None);
}
