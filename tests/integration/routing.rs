//! Which file answers: clean URLs, slashes at the end, single-page applications, pages for errors, what is hidden, one
//! file alone.

use crate::support::{Reply, Salver, Site, get, settle};

fn site() -> Site {
    Site::with(&[
        ("index.html", "home"),
        ("404.html", "site's 404"),
        ("about.html", "about"),
        ("v1.2.html", "version"),
        ("blog/index.html", "blog"),
        ("blog/post.html", "post"),
        ("docs/404.html", "docs' 404"),
        ("docs/deep/a.txt", "a"),
        // A directory without an index, beside a page of its name.
        ("team.html", "team"),
        ("team/ann.txt", "ann"),
        // And one with an index.
        ("both.html", "page"),
        ("both/index.html", "index"),
    ])
}

/// What a GET comes to: `200 body`, or the status and where to.
fn outcome(server: &Salver, target: &str, lines: &str) -> String {
    let reply = server.get(target, lines);
    match reply.field("location") {
        Some(location) => format!("{} {location}", reply.status),
        None => format!("{} {}", reply.status, reply.text()),
    }
}

#[track_caller]
fn check(server: &Salver, expected: &[(&str, &str)]) {
    for (target, expected) in expected {
        // Twice: found, then kept.
        for _ in 0..2 {
            assert_eq!(outcome(server, target, ""), *expected, "{target}");
        }
    }
}

/// serve#393 (the query is lost), serve#565 (pages redirect to their clean URL, which breaks service workers),
/// miniserve#1577 (a directory shadows the page of its name).
#[test]
fn pages_have_clean_urls() {
    let site = site();
    let server = Salver::serve(&site);
    check(
        &server,
        &[
            ("/about", "200 about"),
            ("/about?q=1", "200 about"),
            ("/about.html", "200 about"),
            ("/%61bout", "200 about"),
            ("/about/?q=1", "301 /about?q=1"),
            ("/v1.2", "200 version"),
            ("/blog/post", "200 post"),
            ("/blog?q=1", "301 /blog/?q=1"),
            ("/team", "200 team"),
            ("/team/", "301 /team"),
            ("/team/ann.txt", "200 ann"),
            ("/both", "301 /both/"),
            ("/both/", "200 index"),
            ("/docs/deep", "301 /docs/deep/"),
            ("/about.html.html", "404 site's 404"),
            ("/.html", "404 site's 404"),
        ],
    );
    assert_eq!(server.get("/about", "").field("content-type"), Some("text/html; charset=utf-8"));
}

/// serve#431: the index is lost with them.
#[test]
fn without_clean_urls_names_are_as_they_are() {
    let site = site();
    let server = Salver::start(&site, &["--no-clean-urls"]);
    check(
        &server,
        &[
            ("/", "200 home"),
            ("/about", "404 site's 404"),
            ("/about/", "404 site's 404"),
            ("/about.html", "200 about"),
            ("/team", "301 /team/"),
            ("/blog", "301 /blog/"),
            ("/blog/", "200 blog"),
        ],
    );
}

#[test]
fn slashes_belong_where_the_site_wants_them() {
    let site = site();
    check(
        &Salver::start(&site, &["--trailing-slash", "always"]),
        &[
            ("/about?q", "301 /about/?q"),
            ("/about/", "200 about"),
            ("/about.html", "200 about"),
            ("/team", "301 /team/"),
            ("/team/", "200 team"),
            ("/blog", "301 /blog/"),
            ("/blog/", "200 blog"),
            ("/both/", "200 index"),
            ("/team/ann.txt", "200 ann"),
        ],
    );
    check(
        &Salver::start(&site, &["--trailing-slash", "never", "--no-list"]),
        &[
            ("/", "200 home"),
            ("/about", "200 about"),
            ("/about/?q", "301 /about?q"),
            ("/team/", "301 /team"),
            ("/blog/?q", "301 /blog?q"),
            ("/blog", "200 blog"),
            ("/both", "200 index"),
            ("/both/", "301 /both"),
            ("/docs/deep", "404 docs' 404"),
        ],
    );
}

/// What is kept ready is right the moment that something else would answer.
#[test]
fn what_answers_follows_every_change() {
    let site = Site::with(&[("page.html", "page")]);
    let server = Salver::serve(&site);
    check(&server, &[("/page", "200 page")]);
    site.write("page/a.txt", "a");
    check(&server, &[("/page", "200 page"), ("/page/", "301 /page")]);
    site.write("page/index.html", "index");
    check(&server, &[("/page", "301 /page/"), ("/page/", "200 index")]);
    std::fs::remove_dir_all(site.join("page")).unwrap();
    check(&server, &[("/page", "200 page"), ("/page/", "301 /page")]);
    site.write("page", "file");
    check(&server, &[("/page", "200 file"), ("/page.html", "200 page")]);
    std::fs::remove_file(site.join("page")).unwrap();
    std::fs::remove_file(site.join("page.html")).unwrap();
    assert_eq!(server.get("/page", "").status, 404);
    site.write("page.html", "again");
    check(&server, &[("/page", "200 again")]);
}

const BROWSER: &str = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n";

/// serve#257: a missing script is answered with 200 and HTML.
#[test]
fn an_application_gets_navigations_and_nothing_else() {
    let site = Site::with(&[("index.html", "app"), ("app.js", "script"), ("about.html", "about"), ("404.html", "404")]);
    for flags in [&["--spa"][..], &["--spa=index.html"], &["--spa=/index.html"]] {
        let server = Salver::start(&site, flags);
        let outcome = |target: &str, lines: &str| outcome(&server, target, lines);
        assert_eq!(outcome("/users/7", BROWSER), "200 app");
        assert_eq!(outcome("/users/?q", BROWSER), "200 app");
        assert_eq!(outcome("/about", BROWSER), "200 about");
        assert_eq!(outcome("/app.js", BROWSER), "200 script");
        assert_eq!(outcome("/missing.js", BROWSER), "404 404");
        assert_eq!(outcome("/users/7", "Accept: application/json\r\n"), "404 404");
        assert_eq!(outcome("/users/7", "Accept: text/html;q=0, */*\r\n"), "404 404");
        assert_eq!(outcome("/users/7", "Accept: */*\r\n"), "404 404");
        // Nobody learns what is hidden.
        assert_eq!(outcome("/.git/config", BROWSER), "200 app");
        assert_eq!(outcome("/%", BROWSER).split(' ').next(), Some("400"));
        let mut client = server.connect();
        client.send(format!("HEAD /users/7 HTTP/1.1\r\nHost: h\r\n{BROWSER}\r\n"));
        let head = client.reply_to("HEAD ");
        assert_eq!((head.status, head.field("content-length")), (200, Some("3")));
        let posted = server.ask(format!("POST /users/7 HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n{BROWSER}\r\n"));
        assert_eq!(posted.status, 404);
    }
}

/// A cache that others share must not give a page to a script, nor a 404 to who navigates (RFC 9110 section 12.5.5).
#[test]
fn what_is_for_navigations_alone_says_so() {
    let site = Site::with(&[("index.html", "app"), ("about.html", "about")]);
    let check = |flags: &[&str]| {
        let server = Salver::start(&site, flags);
        let vary = |target: &str, lines: &str| server.get(target, lines).field("vary").map(str::to_owned);
        assert_eq!(vary("/users/7", BROWSER).as_deref(), Some("Accept"), "{flags:?}");
        assert_eq!(vary("/users/7", "").as_deref(), Some("Accept"), "{flags:?}");
        assert_eq!((vary("/about", BROWSER), vary("/a.js", BROWSER), vary("/%", BROWSER)), (None, None, None));
        let tag = server.get("/users/7", BROWSER).field("etag").unwrap().to_owned();
        let again = server.get("/users/7", &format!("{BROWSER}If-None-Match: {tag}\r\n"));
        assert_eq!((again.status, again.field("vary")), (304, Some("Accept")));
    };
    check(&["--spa"]);
    check(&["--redirect", "/* /index.html 200"]);
}

/// The same where a rule behind the page for navigations has something else for others.
#[test]
fn what_navigations_do_not_get_says_so_too() {
    let site = Site::with(&[("index.html", "app"), ("about.html", "about"), ("data/users.json", "users")]);
    for (rule, others, about) in [
        ("/* /data/:splat.json 200", "200 users", "200 about"),
        ("/* /data/:splat.json 200!", "200 users", "404"),
        ("/* https://example.org/:splat", "301 https://example.org/users", "301 https://example.org/about"),
    ] {
        let server = Salver::start(&site, &["--redirect", "/* /index.html 200", "--redirect", rule]);
        let vary = |target: &str, lines: &str| server.get(target, lines).field("vary").map(str::to_owned);
        assert_eq!(outcome(&server, "/users", BROWSER), "200 app", "{rule}");
        assert_eq!(outcome(&server, "/users", ""), others, "{rule}");
        assert_eq!(outcome(&server, "/about", BROWSER), "200 about", "{rule}");
        assert!(outcome(&server, "/about", "").starts_with(about), "{rule}");
        for lines in [BROWSER, ""] {
            assert_eq!(vary("/users", lines).as_deref(), Some("Accept"), "{rule} {lines}");
            let is_the_same = about == "200 about";
            assert_eq!(vary("/about", lines).as_deref(), (!is_the_same).then_some("Accept"), "{rule} {lines}");
        }
    }
}

/// However its bytes are spelled.
#[test]
fn a_rewrite_may_lead_into_a_mount() {
    let site = Site::with(&[("www/a.txt", "a"), ("menu/tea.txt", "tea")]);
    let rules = ["/tea /caf%c3%a9/tea.txt 200", "/te%61/:x /caf\u{e9}/:x 200!", "/Tea /%63afé/tea.txt 200"];
    let flags = rules.iter().flat_map(|rule| ["--redirect", rule]);
    let mut command = crate::support::salver(&site.join("www"));
    command.args(["-p", "0", "--mount", "/café=../menu"]).args(flags).arg("../www");
    let server = Salver::run(&mut command);
    let tea = "200 tea";
    check(&server, &[("/tea", tea), ("/tea/tea.txt", tea), ("/Tea", tea), ("/caf%C3%A9/tea.txt", tea)]);
}

/// Of what stands in for others a file comes before a page with a clean URL, whenever it comes.
#[test]
fn a_stand_in_gives_way_to_what_comes_before_it() {
    let site = Site::with(&[("app.html", "page"), ("dir/index.html", "index")]);
    for (rule, first, then) in [("/* /app 200", "app.html", "app"), ("/* /dir 200", "dir/index.html", "dir.html")] {
        let server = Salver::start(&site, &["--redirect", rule]);
        let expected = std::fs::read_to_string(site.join(first)).unwrap();
        settle(&site, "", &server);
        assert_eq!(outcome(&server, "/users/7", BROWSER), format!("200 {expected}"));
        assert_eq!(outcome(&server, "/users/7", BROWSER), format!("200 {expected}"));
        match then {
            "app" => site.write("app", "file"),
            _ => {
                std::fs::remove_dir_all(site.join("dir")).unwrap();
                site.write("dir.html", "file");
            }
        }
        assert_eq!(outcome(&server, "/users/7", BROWSER), "200 file", "{rule}");
    }
}

/// What a path costs must not depend on how deep it is: strangers choose it.
#[test]
fn deep_paths_cost_no_more_than_others() {
    let site = Site::with(&[("404.html", "none")]);
    let flags = ["--hide", "**/node_modules", "--hide", "/a/**/b/**/c", "--hide", "x", "--security-headers"];
    let server = Salver::start(&site, &flags);
    let mut client = server.connect();
    for _ in 0..20 {
        for path in [
            "/a".repeat(2_000),
            "/a".repeat(4_000),
            "/a/b".repeat(1_000),
            format!("{}x", "/".repeat(8_000)),
            format!("{0}.x{0}", "/".repeat(4_000)),
            format!("{}/.x{}", "/%61".repeat(1_000), "/".repeat(4_000)),
        ] {
            client.send(get(&path, ""));
            assert_eq!(client.reply().text(), "none");
        }
    }
}

/// http-server#337, SWS#135: what stands in for something else is kept for long.
#[test]
fn what_stands_in_is_not_to_be_kept() {
    let site = site();
    let server = Salver::start(&site, &["--spa", "-H", "Cache-Control: max-age=3600", "-H", "X-Own: 1"]);
    let check = |reply: &Reply, cache_control: Option<&str>| {
        assert_eq!((reply.field("cache-control"), reply.field("x-own")), (cache_control, Some("1")), "{}", reply.head);
    };
    check(&server.get("/about", ""), Some("max-age=3600"));
    check(&server.get("/", ""), Some("max-age=3600"));
    check(&server.get("/users/7", BROWSER), Some("no-cache"));
    check(&server.get("/missing.js", ""), Some("no-cache"));
    check(&server.get("/blog", ""), Some("no-cache"));
    check(&server.get("/%", ""), Some("no-cache"));
    check(&server.get("/about", "Range: bytes=9-\r\n"), Some("no-cache"));
    check(&server.get("/about", "If-Match: \"x\"\r\n"), Some("no-cache"));
    let rules = ["--redirect", "/* /index.html 200", "--redirect", "/old /about", "--mount", "/m=."];
    let server = Salver::start(&site, &[&rules[..], &["-H", "Cache-Control: max-age=3600", "-H", "X-Own: 1"]].concat());
    check(&server.get("/users/7", BROWSER), Some("no-cache"));
    check(&server.get("/index.html", BROWSER), Some("max-age=3600"));
    check(&server.get("/old", BROWSER), Some("no-cache"));
    check(&server.get("/m", ""), Some("no-cache"));
    check(&server.get("/m/about", ""), Some("max-age=3600"));
}

/// RFC 9213: they win over Cache-Control.
#[test]
fn what_certain_caches_are_told_is_of_what_is_there_alone() {
    let rules = ["-H", "CDN-Cache-Control: max-age=60", "-H", "Surrogate-Control: max-age=60", "-H", "Expires: 0"];
    let rules = [&rules[..], &["--spa", "--redirect", "/old /about"]].concat();
    let site = site();
    let server = Salver::start(&site, &rules);
    let count = |target: &str, fields: &str| {
        let reply = server.get(target, fields);
        ["cdn-cache-control", "surrogate-control", "expires"].map(|name| reply.field(name).is_some())
    };
    assert_eq!(count("/about", ""), [true; 3]);
    for (target, fields) in [("/users/7", BROWSER), ("/missing.js", ""), ("/old", ""), ("/%", ""), ("/blog", "")] {
        assert_eq!(count(target, fields), [false; 3], "{target}");
    }
    assert_eq!(count("/about", "Range: bytes=99999-\r\n"), [false; 3]);
}

/// Rules, patterns and redirects see a mount as the part of the site that it is.
#[test]
fn a_mount_is_a_part_of_the_site() {
    let site = Site::with(&[("www/a.txt", "a"), ("docs/guide.html", "guide"), ("docs/draft.html", "draft")]);
    let flags = ["--mount", "/docs=../docs", "--hide", "/docs/draft.html", "-H", "/docs/* X-Docs: 1", "../www"];
    let server = Salver::run(crate::support::salver(&site.join("www")).args(["-p", "0"]).args(flags));
    check(
        &server,
        &[
            ("/docs?q", "301 /docs/?q"),
            ("/docs/guide", "200 guide"),
            ("/docs/guide/", "301 /docs/guide"),
            ("/docs/%67uide", "200 guide"),
        ],
    );
    assert_eq!(server.get("/docs/guide", "").field("x-docs"), Some("1"));
    assert_eq!(server.get("/docs/missing", "").field("x-docs"), Some("1"));
    assert_eq!(server.get("/a.txt", "").field("x-docs"), None);
    assert_eq!(server.get("/docs/draft", "").status, 404);
    server.wait_for_log("/docs/draft.html: not served: it is hidden");
}

#[test]
fn the_nearest_page_tells_that_something_is_missing() {
    let site = site();
    let server = Salver::serve(&site);
    check(
        &server,
        &[
            ("/missing", "404 site's 404"),
            ("/blog/missing", "404 site's 404"),
            ("/docs/missing", "404 docs' 404"),
            ("/docs/deep/missing/er", "404 docs' 404"),
            ("/docs/.hidden", "404 docs' 404"),
            ("/docs/deep/..%2f", "404 docs' 404"),
        ],
    );
}

#[test]
fn errors_have_pages_of_the_sites_choice() {
    let site = Site::with(&[
        ("a.txt", "a"),
        ("404.html", "found by itself"),
        ("errors/404.html", "chosen"),
        ("errors/4xx.html", "a mistake of yours"),
    ]);
    let pages = ["--error-page", "404=/errors/404.html", "--error-page", "4xx=/errors/4xx.html"];
    let server = Salver::start(&site, &pages);
    check(&server, &[("/missing", "404 chosen"), ("/%", "400 a mistake of yours")]);
    let refused = server.ask("POST /a.txt HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
    assert_eq!((refused.status, &*refused.text()), (405, "a mistake of yours"));
    assert_eq!(refused.field("allow"), Some("GET, HEAD, OPTIONS"));
    let unsatisfied = server.get("/a.txt", "Range: bytes=5-\r\n");
    assert_eq!((unsatisfied.status, unsatisfied.field("content-range")), (416, Some("bytes */1")));
    assert_eq!(unsatisfied.text(), "a mistake of yours");
    // Its own pages may go, and come back.
    std::fs::remove_file(site.join("errors/404.html")).unwrap();
    check(&server, &[("/missing", "404 a mistake of yours")]);
    std::fs::remove_file(site.join("errors/4xx.html")).unwrap();
    check(&server, &[("/missing", "404 found by itself")]);
    assert!(outcome(&server, "/%", "").contains("<h1>400</h1>"));
}

/// Where a client would be sent on to the page, it has the page itself.
#[test]
fn a_page_of_errors_may_be_named_in_any_way_that_is_served() {
    let site = Site::with(&[
        ("errors/index.html", "index"),
        ("gone.html", "page"),
        ("404.html", "found by itself"),
        ("listed/a", ""),
    ]);
    let pages = ["--error-page", "404=/errors", "--error-page", "400=/gone"];
    for slash in ["auto", "always", "never"] {
        let server = Salver::start(&site, &[&pages[..], &["--trailing-slash", slash]].concat());
        check(&server, &[("/missing", "404 index"), ("/%", "400 page")]);
    }
    let server = Salver::start(&site, &["--error-page", "404=/listed", "--trailing-slash", "always"]);
    check(&server, &[("/missing", "404 found by itself")]);
}

#[test]
fn what_is_hidden_is_not_there() {
    let site = Site::with(&[
        ("a.txt", "a"),
        ("js/app.js", "js"),
        ("js/app.js.map", "map"),
        ("drafts/one.html", "one"),
        ("blog/drafts/two.html", "two"),
        ("old/index.html", "old"),
    ]);
    let flags = ["--no-list", "--hide", "*.map", "--hide", "/drafts", "--hide", "/old/index.html"];
    let server = Salver::start(&site, &flags);
    check(&server, &[("/a.txt", "200 a"), ("/js/app.js", "200 js"), ("/blog/drafts/two", "200 two")]);
    let absent = server.get("/nothing", "").text();
    for target in
        ["/js/app.js.map", "/js/app.js%2emap", "/drafts", "/drafts/", "/drafts/one", "/drafts/one.html", "/old/"]
    {
        assert_eq!(outcome(&server, target, ""), format!("404 {absent}"), "{target}");
    }
    server.wait_for_log("/js/app.js.map: not served: it is hidden");
}

#[test]
fn one_file_is_a_site() {
    let site =
        Site::with(&[("report.html", "report"), ("other.html", "other"), ("404.html", "404"), ("index.html", "i")]);
    let server = Salver::run(crate::support::salver(site.path()).args(["-p", "0", "report.html"]));
    check(&server, &[("/", "200 report"), ("/report.html", "200 report"), ("/?q", "200 report")]);
    for target in ["/other.html", "/other", "/index.html", "/404.html", "/report", "/report.html/", "/x/report.html"] {
        assert_eq!(server.get(target, "").status, 404, "{target}");
    }
    assert_eq!(server.get("/", "").field("content-type"), Some("text/html; charset=utf-8"));
    assert!(server.line.contains(&format!("serving {} at ", site.join("report.html").display())), "{}", server.line);
    site.write("report.html", "edited");
    check(&server, &[("/", "200 edited")]);
}

/// Whoever names a link means what it leads to, wherever that is and whenever it is switched.
#[test]
fn one_file_may_be_a_link() {
    let site = Site::with(&[("data/v1.html", "one"), ("data/v2.html", "two"), ("www/other.html", "other")]);
    let target = site.join("data/v1.html");
    site.link("www/relative.html", "../data/v1.html");
    site.link("www/absolute.html", target.to_str().unwrap());
    site.link("www/chain.html", "absolute.html");
    for name in ["relative", "absolute", "chain"] {
        for symlinks in ["beneath", "off"] {
            let file = format!("www/{name}.html");
            let words = ["-p", "0", "--symlinks", symlinks, &file];
            let server = Salver::run(crate::support::salver(site.path()).args(words));
            let own = format!("/{name}.html");
            check(&server, &[("/", "200 one"), (&own, "200 one")]);
            assert_eq!(["/v1.html", "/other.html"].map(|target| server.get(target, "").status), [404, 404]);
            std::fs::remove_file(site.join(&file)).unwrap();
            site.link(&file, "../data/v2.html");
            check(&server, &[("/", "200 two"), (&own, "200 two")]);
            std::fs::remove_file(site.join(&file)).unwrap();
            site.link(&file, if name == "relative" { "../data/v1.html" } else { target.to_str().unwrap() });
        }
    }
}

/// No other name leads out: not by a variant either.
#[test]
fn links_beside_one_file_are_followed_as_ever() {
    let site = Site::with(&[("data/secret", "secret"), ("www/page.html", "page")]);
    site.link("www/page.html.br", "../data/secret");
    for symlinks in ["beneath", "off"] {
        let words = ["-p", "0", "--symlinks", symlinks, "www/page.html"];
        let server = Salver::run(crate::support::salver(site.path()).args(words));
        assert_eq!(outcome(&server, "/", "Accept-Encoding: br\r\n"), "200 page", "{symlinks}");
    }
}

/// What a rule says of a path doesn't depend on its spelling, however long it is.
#[test]
fn rules_are_about_long_paths_too() {
    let site = Site::with(&[("index.html", "app")]);
    let rules = ["--redirect", "/old/* /new/:splat", "--redirect", "/app/* /index.html 200"];
    let server = Salver::start(&site, &rules);
    let long = "a".repeat(4_200);
    for start in ["a", "%61"] {
        assert_eq!(outcome(&server, &format!("/old/{start}{long}"), ""), format!("301 /new/a{long}"));
        assert_eq!(outcome(&server, &format!("/app/{start}{long}"), BROWSER), "200 app");
    }
}

/// A rewrite to what has its slash elsewhere would lead a client round in circles.
#[test]
fn what_is_put_in_the_place_of_another_leads_nowhere_else() {
    let site = Site::with(&[("z/index.html", "z"), ("p.html", "p"), ("shell.html", "shell"), ("y/a.txt", "a")]);
    for (rule, target, expected) in [
        ("/* /shell 200", "/users/7", "200 shell"),
        ("/* /z 200", "/users/7", "200 z"),
        ("/* /y 200", "/users/7", "404"),
        ("/z/* /z 200!", "/z/", "200 z"),
        ("/z /z/ 200!", "/z", "200 z"),
        ("/p /p/ 200!", "/p", "200 p"),
        ("/p/ /p 200!", "/p/", "200 p"),
        ("/api/* /:splat.html 200", "/api/p/", "200 p"),
        // The bare path of a mount.
        ("/* /m 200", "/users/7", "200 z"),
        ("/m/* /m 200!", "/m/", "200 z"),
        ("/tod /m 200", "/tod", "200 z"),
    ] {
        for slash in ["auto", "always", "never"] {
            let mount = format!("/m={}", site.join("z").display());
            let flags = ["--redirect", rule, "--trailing-slash", slash, "-H", "Cache-Control: no-store", "--mount"];
            let server = Salver::start(&site, &[&flags[..], &[&mount]].concat());
            let found = outcome(&server, target, BROWSER);
            assert!(found.starts_with(expected), "{rule} {slash}: {found}");
            let is_fallback = rule.starts_with("/* ") && expected.starts_with("200");
            let cache_control = server.get(target, BROWSER).field("cache-control").map(str::to_owned);
            assert!(!is_fallback || cache_control.as_deref() == Some("no-cache"), "{rule} {slash}: {cache_control:?}");
        }
    }
}

#[test]
fn what_is_hidden_has_no_other_way_in() {
    let site = Site::with(&[("www/app.js", &"js ".repeat(1000)), ("www/app.js.gz", "\x1f\u{8b}"), ("docs/a.txt", "a")]);
    let flags = ["--hide", "*.gz", "--hide", "/e", "--mount", "/e=../docs", "--no-compress"];
    let server = Salver::run(crate::support::salver(&site.join("www")).args(["-p", "0"]).args(flags));
    let packed = server.get("/app.js", "Accept-Encoding: gzip\r\n");
    assert_eq!((packed.status, packed.field("content-encoding")), (200, None));
    for target in ["/e", "/e/", "/e/a.txt", "/app.js.gz"] {
        assert_eq!(server.get(target, "").status, 404, "{target}");
    }
}

#[test]
fn one_file_stays_alone_whatever_the_rules_say() {
    let site = Site::with(&[("report.html", "report"), ("index.html", "secret"), ("other.html", "other")]);
    let flags =
        ["-p", "0", "--spa", "--redirect", "/x /other.html 200", "--error-page", "404=/other.html", "report.html"];
    let server = Salver::run(crate::support::salver(site.path()).args(flags));
    for target in ["/users/7", "/x", "/other.html", "/index.html"] {
        assert_eq!(server.get(target, BROWSER).status, 404, "{target}");
        assert!(!["secret", "other"].contains(&&*server.get(target, BROWSER).text()), "{target}");
    }
    check(&server, &[("/", "200 report")]);
}
