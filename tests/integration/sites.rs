//! The site layer: hosts, redirects, rewrites, mounts, pages of other origins.

use std::process::Command;

use crate::support::{Reply, Salver, Site, curl, salver, serving};

#[track_caller]
fn check(server: &Salver, target: &str, status: u16, body: &str) {
    let reply = server.get(target, "");
    assert_eq!((reply.status, &*reply.text()), (status, body), "{target}");
}

#[track_caller]
fn check_redirect(server: &Salver, target: &str, status: u16, location: &str) {
    let reply = server.get(target, "");
    assert_eq!((reply.status, reply.field("location")), (status, Some(location)), "{target}");
    assert_eq!(reply.field("cache-control"), Some("no-cache"), "{target}");
}

/// A site with this `_redirects` file.
fn redirecting(rules: &str) -> Site {
    let site = Site::with(&[("index.html", "home"), ("page.html", "page"), ("dir/index.html", "dir")]);
    site.write("_redirects", rules);
    site
}

fn with_config(site: &Site, text: &str) -> Command {
    site.write("salver.toml", text);
    let mut command = salver(site.path());
    command.args(["--port", "0"]);
    command
}

/// The reply to a GET of this host.
#[track_caller]
fn get_of(server: &Salver, host: &str, target: &str) -> Reply {
    server.ask(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
}

#[test]
fn redirects_of_a_file_are_followed_before_files() {
    let site = redirecting(
        "# All that moved.\n/old /new\n/page.html /elsewhere 302\n/blog/* /posts/:splat 308\n/u/:id https://id.example/:id 303\n\
         /shop /store?from=shop 307 # for a while\n",
    );
    let server = Salver::serve(&site);
    check_redirect(&server, "/old", 301, "/new");
    check_redirect(&server, "/old?a=b&c", 301, "/new?a=b&c");
    check_redirect(&server, "/page.html", 302, "/elsewhere");
    check_redirect(&server, "/blog/2026/x%20y/?q", 308, "/posts/2026/x%20y/?q");
    check_redirect(&server, "/u/7?q", 303, "https://id.example/7?q");
    check_redirect(&server, "/shop?x=[1]", 307, "/store?from=shop&x=%5B1%5D");
    // By any spelling of the path.
    for target in ["/%6fld", "//old", "/./old", "/x/../old", "/old/", "/old/."] {
        check_redirect(&server, target, 301, "/new");
    }
    check(&server, "/", 200, "home");
    check(&server, "/dir/", 200, "dir");
    check_redirect(&server, "/dir?q", 301, "/dir/?q");
    assert_eq!(server.get("/older", "").status, 404);
    assert_eq!(server.ask("HEAD /old HTTP/1.1\r\nHost: a\r\n\r\n").field("location"), Some("/new"));
    let post = server.ask("POST /blog/x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!((post.status, post.field("location")), (308, Some("/posts/x")));
    let options = server.ask("OPTIONS /old HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((options.status, options.field("allow")), (204, Some("GET, HEAD, OPTIONS")));
    assert_eq!(server.ask("TRACE /old HTTP/1.1\r\nHost: a\r\n\r\n").status, 405);
    assert_eq!(server.ask("BREW /old HTTP/1.1\r\nHost: a\r\n\r\n").status, 501);
}

#[test]
fn redirects_of_flags_and_variables() {
    let site = redirecting("/c /d\n");
    let server = Salver::start(&site, &["--redirect", "/a,b /new 302", "--redirect", "/x/* /y/:splat"]);
    check_redirect(&server, "/a,b", 302, "/new");
    check_redirect(&server, "/x/1", 301, "/y/1");
    check_redirect(&server, "/c", 301, "/d");
    let server = Salver::set(&site, &[("redirect", "/a /b 307\n# no more\n")]);
    check_redirect(&server, "/a", 307, "/b");
    assert_eq!(curl(&["--location"], &Salver::start(&site, &["--redirect", "/a /page.html"]).url("/a")), "page");
}

/// CVE-2021-28861: what looks like a host to a browser must not come out of a path that somebody asks for.
#[test]
fn no_path_makes_a_redirect_lead_off_the_site() {
    let site = redirecting("/go/* /:splat\n/to/:a/* /:splat/:a\n/q/* /x?u=:splat\n");
    let server = Salver::serve(&site);
    check_redirect(&server, "/go/evil.example", 301, "/evil.example");
    check_redirect(&server, "/go//evil.example", 301, "/evil.example");
    check_redirect(&server, "/go/%2e/evil.example", 301, "/evil.example");
    check_redirect(&server, "//go//evil.example/", 301, "/evil.example/");
    check_redirect(&server, "/go", 301, "/");
    check_redirect(&server, "/to/evil.example", 301, "/evil.example");
    check_redirect(&server, "/go/@evil.example", 301, "/@evil.example");
    check_redirect(&server, "/go/https://evil.example", 301, "/https:/evil.example");
    check_redirect(&server, "/go/a%0d%0aSet-Cookie:x", 301, "/a%0D%0ASet-Cookie:x");
    check_redirect(&server, "/q/a&b=c", 301, "/x?u=a%26b%3Dc");
    // What files would refuse by its form has no rule.
    for (target, status) in [
        ("/go/%2fevil.example", 404),
        ("/go/%5cevil.example", 404),
        ("/go/\\evil.example", 404),
        ("/go/.git", 404),
        ("/go/../../x", 404),
        ("/go/%zz", 400),
        ("/go/%00", 400),
    ] {
        let reply = server.get(target, "");
        assert_eq!((reply.status, reply.field("location")), (status, None), "{target}");
    }
}

#[test]
fn a_rewrite_answers_for_what_is_missing() {
    let site =
        redirecting("/api/* /api/:splat.json 200\n/page.html /index.html 200\n/dir/ /page.html 200!\n/gone /no 200\n");
    site.write("api/users.json", "[]");
    let server = Salver::serve(&site);
    check(&server, "/api/users", 200, "[]");
    assert_eq!(server.get("/api/users?q", "").field("content-type"), Some("application/json"));
    check(&server, "/api/users.json", 200, "[]");
    check(&server, "/page.html", 200, "page");
    check(&server, "/dir/", 200, "page");
    check(&server, "/dir/index.html", 200, "dir");
    assert_eq!(server.get("/gone", "").status, 404);
    // It is a file like any other: with validators, ranges and methods.
    let part = server.get("/dir/", "Range: bytes=0-1\r\n");
    assert_eq!((part.status, &*part.text()), (206, "pa"));
    let etag = server.get("/dir/", "").field("etag").unwrap().to_owned();
    assert_eq!(server.get("/dir/", &format!("If-None-Match: {etag}\r\n")).status, 304);
    assert_eq!(server.ask("DELETE /api/users HTTP/1.1\r\nHost: a\r\n\r\n").status, 405);
    site.write("gone", "back");
    check(&server, "/gone", 200, "back");
}

const NAVIGATION: &str = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n";

/// serve#257: a missing script was answered with the page of the application, and a browser kept it.
#[test]
fn a_page_for_everything_does_not_stand_in_for_a_missing_script() {
    let site = redirecting("/* /index.html 200\n");
    site.write("user.json", "{}");
    let server = Salver::serve(&site);
    for target in ["/user/7", "/user/7?tab=1", "/v1.2/user/", "/nothing"] {
        let reply = server.get(target, NAVIGATION);
        assert_eq!((reply.status, &*reply.text()), (200, "home"), "{target}");
        assert_eq!(reply.field("cache-control"), Some("no-cache"), "{target}");
    }
    for (target, lines) in [
        ("/app.js", NAVIGATION),
        ("/app.js", "Accept: */*\r\n"),
        ("/logo.svg", "Accept: image/avif,image/webp,*/*;q=0.8\r\n"),
        ("/user/7", ""),
        ("/user/7", "Accept: */*\r\n"),
        ("/user/7", "Accept: application/json\r\n"),
        ("/user/7", "Accept: text/html;q=0\r\n"),
    ] {
        assert_eq!(server.get(target, lines).status, 404, "{target} {lines}");
    }
    assert_eq!(server.ask(format!("POST /user/7 HTTP/1.1\r\nHost: a\r\n{NAVIGATION}\r\n")).status, 404);
    assert_eq!(server.get("/user.json", NAVIGATION).text(), "{}");
    assert_eq!(server.get("/page.html", NAVIGATION).text(), "page");
}

/// The page of an application is for what nothing else is for. Else a rewrite would mean something to scripts alone, and a
/// page of a part of the site nothing at all.
#[test]
fn a_rewrite_comes_before_the_page_of_an_application() {
    let site = redirecting("/api/* /api/:splat.json 200\n/part/* /part.html 200\n");
    site.write("api/users.json", "[]");
    site.write("part.html", "part");
    let server = Salver::start(&site, &["--spa"]);
    for (target, lines, status, body, vary) in [
        ("/api/users", NAVIGATION, 200, "[]", None),
        ("/api/users", "", 200, "[]", None),
        ("/api/none", NAVIGATION, 404, "", None),
        ("/part/7", NAVIGATION, 200, "part", Some("Accept")),
        ("/part/7", "", 404, "", Some("Accept")),
        ("/part", NAVIGATION, 200, "part", None),
        ("/other/7", NAVIGATION, 200, "home", Some("Accept")),
        ("/other/7", "", 404, "", Some("Accept")),
        ("/dir/", NAVIGATION, 200, "dir", None),
    ] {
        let reply = server.get(target, lines);
        let body = if status == 200 { body.to_owned() } else { reply.text() };
        assert_eq!((reply.status, reply.text()), (status, body), "{target} {lines}");
        let said: Vec<_> = reply.head.lines().filter_map(|line| line.strip_prefix("Vary: ")).collect();
        assert_eq!(said, Vec::from_iter(vary), "{target} {lines}");
    }
}

#[test]
fn files_that_say_how_a_site_is_served_are_not_served() {
    let site = redirecting("/old /new\n");
    site.write("_headers", "/*\n  X-A: b\n");
    site.write("dir/_redirects", "a file like any other");
    let server = Salver::start(&site, &["--index", "_redirects", "--index", "index.html", "--mount", "/m=dir"]);
    for target in ["/_redirects", "/%5fredirects", "//_redirects", "/_redirects/", "/_headers", "/m/_redirects"] {
        assert_eq!(server.get(target, "").status, 404, "{target}");
    }
    check(&server, "/", 200, "home");
    check(&server, "/dir/_redirects", 200, "a file like any other");
}

#[test]
fn a_wrong_rule_stops_the_start() {
    for (rules, part) in [
        ("/a /b\n/c\n", "_redirects:2: expected FROM TO [STATUS], not '/c'"),
        ("/a /b 404\n", "_redirects:1: expected a status of 200, 301, 302, 303, 307 or 308, not '404'"),
        ("/a /b/:splat\n", "_redirects:1: ':splat' stands for nothing"),
        ("/a /b\n\n/a /c\n", "_redirects:3: '/a /c' comes in vain after '/a /b'; remove one"),
        (
            "/a/* /b/:splat\n/b/* /a/:splat\n",
            "_redirects:1: redirects that never end: '/a/* /b/:splat', '/b/* /a/:splat'",
        ),
        ("/a/* /a/b/:splat\n", "_redirects:1: redirects that never end: '/a/* /a/b/:splat'"),
    ] {
        let site = redirecting(rules);
        let ended = crate::support::end_of(&mut serving(&site));
        assert_eq!(ended.status, Some(2), "{rules}: {ended:?}");
        assert!(ended.stderr.starts_with("salver: ") && ended.stderr.contains(part), "{rules}: {ended:?}");
    }
}

#[test]
fn a_mount_is_a_directory_in_the_place_of_a_path() {
    let site =
        Site::with(&[("www/index.html", "home"), ("www/docs/index.html", "hidden by the mount"), ("www/docsx", "x")]);
    site.write("docs/index.html", "docs");
    site.write("docs/sub dir/index.html", "sub");
    site.write("docs/404.html", "no such page of the docs");
    site.write("old/index.html", "old docs");
    let mut command = salver(site.path());
    command.args([
        "--port",
        "0",
        "--mount",
        "/docs=docs",
        "--mount",
        "/docs/v1/=./old",
        "--mount",
        "/a%20b=old",
        "www",
    ]);
    let server = Salver::run(&mut command);
    check(&server, "/", 200, "home");
    check(&server, "/docs/", 200, "docs");
    check(&server, "/docs/index.html", 200, "docs");
    check(&server, "/docs/v1/", 200, "old docs");
    check(&server, "/docs/v1/index.html", 200, "old docs");
    check(&server, "/a%20b/", 200, "old docs");
    check(&server, "/docsx", 200, "x");
    check(&server, "/docs/none", 404, "no such page of the docs");
    check(&server, "//docs//./v1/../", 200, "docs");
    check_redirect(&server, "/docs", 301, "/docs/");
    check_redirect(&server, "/docs?q=[1]", 301, "/docs/?q=%5B1%5D");
    check_redirect(&server, "/docs/v1?", 301, "/docs/v1/?");
    check_redirect(&server, "//a%20b", 301, "/a%20b/");
    // A directory of a mount is found under its path in the site.
    check_redirect(&server, "/docs/sub%20dir?q", 301, "/docs/sub%20dir/?q");
    check(&server, "/docs/sub%20dir/", 200, "sub");
    // Nothing leads out of one into another.
    for target in ["/docs/../www/index.html", "/docs/%2e%2e/old/index.html", "/docs/..%2fold/index.html", "/docs/.git"]
    {
        assert_eq!(server.get(target, "").status, 404, "{target}");
    }
    assert_eq!(server.ask("POST /docs HTTP/1.1\r\nHost: a\r\n\r\n").status, 405);
    assert_eq!(server.ask("OPTIONS /docs HTTP/1.1\r\nHost: a\r\n\r\n").status, 204);
    drop(server);
    // Its root has a slash as the site's own has, wherever else slashes belong.
    let server = Salver::run(command.args(["--trailing-slash", "never"]));
    check_redirect(&server, "/docs", 301, "/docs/");
    check(&server, "/docs/", 200, "docs");
    check_redirect(&server, "/docs/sub%20dir/", 301, "/docs/sub%20dir");
}

const HOSTS: &str = "\
[salver]
root = \"www\"
redirect = [\"/old /new\"]

[salver.hosts.\"example.org, www.example.org\"]
root = \"example\"
index = [\"start.html\"]
redirect = [\"/old /example 302\"]

[salver.hosts.\"*.example.org\"]
root = \"any\"

[salver.hosts.\"*.b.example.org ::1 127.0.0.2\"]
root = \"b\"
etag = \"off\"
mount = [\"/any=any\"]
";

#[test]
fn each_host_has_its_site() {
    let site = Site::with(&[("www/index.html", "www"), ("any/index.html", "any"), ("b/index.html", "b")]);
    site.write("example/start.html", "example");
    let server = Salver::run(&mut with_config(&site, HOSTS));
    for (host, body) in [
        ("example.org", "example"),
        ("EXAMPLE.org:8080", "example"),
        ("example.org.", "example"),
        ("www.example.org.:80", "example"),
        ("a.example.org", "any"),
        ("x.a.example.org", "any"),
        ("a.b.example.org", "b"),
        ("b.example.org", "any"),
        ("[::1]:8000", "b"),
        ("[0:0::1]", "b"),
        ("127.0.0.2:1", "b"),
        ("127.0.0.1", "www"),
        ("localhost", "www"),
        ("badexample.org", "www"),
    ] {
        let reply = get_of(&server, host, "/");
        assert_eq!((reply.status, &*reply.text()), (200, body), "{host}");
        assert_eq!(reply.field("etag").is_none(), body == "b", "{host}");
    }
    assert_eq!(server.ask("GET / HTTP/1.0\r\n\r\n").text(), "www");
    // The authority of an absolute target is the host (RFC 9112 section 3.2.2).
    assert_eq!(get_of(&server, "localhost", "http://example.org/").text(), "example");
    assert_eq!(get_of(&server, "example.org", "/old").field("location"), Some("/example"));
    assert_eq!(get_of(&server, "a.example.org", "/old").field("location"), Some("/new"));
    assert_eq!(get_of(&server, "a.b.example.org", "/any/").text(), "any");
    assert_eq!(get_of(&server, "a.example.org", "/any/").status, 404);
    server.wait_for_log("example.org, www.example.org: ");
}

#[test]
fn hosts_on_one_connection_are_told_apart() {
    let site = Site::with(&[("www/index.html", "www"), ("example/start.html", "example"), ("any/x", ""), ("b/x", "")]);
    let server = Salver::run(&mut with_config(&site, HOSTS));
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: example.org\r\n\r\nGET / HTTP/1.1\r\nHost: other\r\n\r\n".repeat(3));
    for body in ["example", "www"].repeat(3) {
        assert_eq!(client.reply().text(), body);
    }
}

/// A page from elsewhere whose name points to this machine (DNS rebinding) asks with that name.
#[test]
fn a_host_that_is_not_allowed_is_misdirected() {
    let site = Site::with(&[("index.html", "home")]);
    let server = Salver::start(&site, &["--allow-host", "localhost, *.localhost,127.0.0.1", "--allow-host", "[::1]"]);
    for host in ["localhost", "LOCALHOST.:8000", "a.localhost", "127.0.0.1:8000", "[::1]:8000"] {
        assert_eq!(get_of(&server, host, "/").status, 200, "{host}");
    }
    for host in ["evil.example", "localhost.evil.example:8000", "127.0.0.2", "[::2]", "xlocalhost"] {
        let reply = get_of(&server, host, "/");
        assert_eq!((reply.status, reply.text().contains("home")), (421, false), "{host}");
        assert!(reply.head.starts_with("HTTP/1.1 421 Misdirected Request"), "{}", reply.head);
    }
    assert_eq!(server.ask("GET / HTTP/1.0\r\n\r\n").status, 421);
    assert_eq!(server.ask("OPTIONS * HTTP/1.1\r\nHost: evil.example\r\n\r\n").status, 421);
    assert_eq!(get_of(&server, "localhost", "http://evil.example/").status, 421);
    assert_eq!(Salver::serve(&site).ask("GET / HTTP/1.0\r\n\r\n").status, 200);
}

const PREFLIGHT: &str = "Origin: https://a.example\r\nAccess-Control-Request-Method: GET\r\n";

#[test]
fn pages_of_all_origins_may_read_answers_with_cors() {
    let site = redirecting("/old /new\n");
    let server = Salver::start(&site, &["--cors", "--mount", "/m=dir"]);
    for (target, status) in [("/", 200), ("/none", 404), ("/old", 301), ("/m", 301), ("/m/", 200), ("/%zz", 400)] {
        let reply = server.get(target, "Origin: https://a.example\r\n");
        assert_eq!((reply.status, reply.field("access-control-allow-origin")), (status, Some("*")), "{target}");
        let exposed = "Accept-Ranges, Content-Encoding, Content-Length, Content-Range, ETag";
        assert_eq!(reply.field("access-control-expose-headers"), Some(exposed), "{target}");
        assert_eq!(reply.field("vary"), None, "{target}");
    }
    assert_eq!(server.get("/", "").field("access-control-allow-origin"), Some("*"));
    let etag = server.get("/", "").field("etag").unwrap().to_owned();
    let not_modified = server.get("/", &format!("If-None-Match: {etag}\r\n"));
    assert_eq!((not_modified.status, not_modified.field("access-control-allow-origin")), (304, Some("*")));

    let asked = "Access-Control-Request-Headers: range, X-Own\r\n";
    let reply = server.ask(format!("OPTIONS /any HTTP/1.1\r\nHost: a\r\n{PREFLIGHT}{asked}\r\n"));
    assert_eq!(reply.status, 204);
    for (name, value) in [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-methods", "GET, HEAD, OPTIONS"),
        ("access-control-allow-headers", "range, X-Own"),
        ("access-control-max-age", "86400"),
    ] {
        assert_eq!(reply.field(name), Some(value), "{}", reply.head);
    }
    for odd in ["a b", "a,,b", "\u{fc}", "a:b"] {
        let asked = format!("Access-Control-Request-Headers: {odd}\r\n");
        let reply = server.ask(format!("OPTIONS / HTTP/1.1\r\nHost: a\r\n{PREFLIGHT}{asked}\r\n"));
        assert_eq!((reply.status, reply.field("access-control-allow-headers")), (204, None), "{odd}");
    }
    // Without these fields it asks something else.
    let options = server.ask("OPTIONS / HTTP/1.1\r\nHost: a\r\nOrigin: https://a.example\r\n\r\n");
    assert_eq!(options.field("allow"), Some("GET, HEAD, OPTIONS"));
    assert_eq!(options.field("access-control-allow-methods"), None);
}

#[test]
fn pages_of_listed_origins_may_read_answers() {
    let site = Site::with(&[("index.html", "home")]);
    let server = Salver::start(&site, &["--cors=https://a.example,http://localhost:3000"]);
    for (origin, allowed) in [
        ("https://a.example", true),
        ("http://localhost:3000", true),
        ("http://localhost", false),
        ("http://a.example", false),
        ("https://a.example.evil.example", false),
        ("null", false),
        ("*", false),
    ] {
        let reply = server.get("/", &format!("Origin: {origin}\r\n"));
        assert_eq!(reply.field("access-control-allow-origin"), Some(origin).filter(|_| allowed), "{origin}");
        assert_eq!(reply.field("access-control-expose-headers").is_some(), allowed, "{origin}");
        assert_eq!((reply.status, reply.field("vary")), (200, Some("Origin")), "{origin}");
        let preflight = format!("OPTIONS / HTTP/1.1\r\nHost: a\r\nOrigin: {origin}\r\n");
        let preflight = server.ask(format!("{preflight}Access-Control-Request-Method: GET\r\n\r\n"));
        assert_eq!(preflight.field("access-control-allow-methods").is_some(), allowed, "{origin}");
        assert_eq!((preflight.status, preflight.field("vary")), (204, Some("Origin")), "{origin}");
    }
    assert_eq!(server.get("/none", "").field("vary"), Some("Origin"));
    let off = Salver::serve(&site).get("/", "Origin: https://a.example\r\n");
    assert!(!off.head.to_lowercase().contains("access-control") && off.field("vary").is_none(), "{}", off.head);
}

/// Fields, hidden names and types go by the path in the site, wherever the file lies.
#[test]
fn rules_about_files_reach_into_mounts_and_redirects() {
    let site =
        Site::with(&[("www/index.html", "home"), ("docs/a.txt", "a"), ("docs/sub/x", "x"), ("docs/drafts/b", "b")]);
    site.write("www/_redirects", "/old /new\n");
    let flags = ["--mount", "/do%20cs=docs", "-H", "/do?cs/* X-A: 1", "-H", "/old X-B: 2", "-H", "X-All: 3"];
    let mut command = salver(site.path());
    command.args(["--port", "0", "www", "--hide", "/do cs/drafts", "--type", "/do cs/*.txt=text/x-own"]).args(flags);
    let server = Salver::run(&mut command);
    for (target, status, x_a, x_b) in [
        ("/", 200, None, None),
        ("/do%20cs/a.txt", 200, Some("1"), None),
        ("/do%20cs/sub", 301, Some("1"), None),
        ("/do%20cs/none", 404, Some("1"), None),
        ("/do%20cs/drafts/b", 404, Some("1"), None),
        ("/do%20cs", 301, None, None),
        ("/old", 301, None, Some("2")),
    ] {
        let reply = server.get(target, "");
        assert_eq!((reply.status, reply.field("x-a"), reply.field("x-b")), (status, x_a, x_b), "{target}");
        assert_eq!(reply.field("x-all"), Some("3"), "{target}");
    }
    assert_eq!(server.get("/do%20cs/a.txt", "").field("content-type"), Some("text/x-own"));
    server.wait_for_log("/do%20cs/drafts/b: not served: it is hidden");
}

#[test]
fn each_root_has_its_own_files_of_rules() {
    let site = Site::with(&[("www/index.html", "www"), ("example/start.html", "example"), ("any/x", ""), ("b/x", "")]);
    site.write("www/_headers", "/*\n  X-Of: www\n");
    site.write("example/_headers", "/*\n  X-Of: example\n");
    site.write("example/_redirects", "/own /start.html\n");
    let server = Salver::run(&mut with_config(&site, HOSTS));
    assert_eq!(get_of(&server, "other", "/").field("x-of"), Some("www"));
    assert_eq!(get_of(&server, "example.org", "/").field("x-of"), Some("example"));
    assert_eq!(get_of(&server, "a.example.org", "/x").field("x-of"), None);
    assert_eq!(get_of(&server, "example.org", "/own").field("location"), Some("/start.html"));
    assert_eq!(get_of(&server, "other", "/own").status, 404);
}

#[test]
fn one_file_alone_has_no_redirects_of_its_directory() {
    let site = redirecting("/old /new\n");
    let server = Salver::run(salver(site.path()).args(["--port", "0", "page.html", "--mount", "/dir=dir"]));
    check(&server, "/", 200, "page");
    assert_eq!(server.get("/old", "").status, 404);
    check(&server, "/dir/", 200, "dir");
}
