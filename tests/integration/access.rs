//! Who may have what: users, networks, and whatever a path may be called to get around them.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::thread;

use crate::support::{Ended, Reply, Salver, Site, end_of, get, salver, serving};

/// Of `salver hash-password` with the least that argon2 takes, so that tests have time for other things: secret, and other.
pub(super) const ANNA: &str = "anna:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
const BOB: &str = "bob:$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";

/// `Authorization` of anna:U*U, of bob:password, and of anna with a wrong password.
pub(super) const AS_ANNA: &str = "Authorization: Basic YW5uYTpVKlU=\r\n";
const AS_BOB: &str = "Authorization: Basic Ym9iOnBhc3N3b3Jk\r\n";
const WRONG: &str = "Authorization: Basic YW5uYTp3cm9uZw==\r\n";

const SECRET: &str = "this is secret";

fn site() -> Site {
    Site::with(&[
        ("index.html", "home"),
        ("a.txt", "a"),
        ("private/index.html", SECRET),
        ("private/page.html", SECRET),
        ("private/data.json", SECRET),
        ("private/deep/er.txt", SECRET),
        ("secret.html", SECRET),
        ("secret.html.gz", SECRET),
        ("m\u{fc}ll/x.txt", SECRET),
        ("404.html", "nothing here"),
        ("_redirects", "/rewritten/* /private/:splat 200!\n/instead/* /private/:splat 200\n/moved /private/ 302\n"),
    ])
}

fn started(site: &Site, flags: &[&str]) -> Salver {
    Salver::start(site, &[&["--user", ANNA, "--user", BOB], flags].concat())
}

const RULES: [&str; 6] = ["--auth", "/private", "--auth", "/secret.html", "--auth", "/m\u{fc}ll/*"];

/// No spelling of a path gets around a rule: decoded and encoded, with dots and slashes, by clean URLs, by variants that lie
/// beside a file, by rewrites, with other methods.
#[test]
fn no_spelling_gets_around_a_rule() {
    let site = site();
    let server = started(&site, &RULES);
    for target in [
        "/private",
        "/private/",
        "/private/index.html",
        "/private/index",
        "/private/page",
        "/private/page/",
        "/private/page.html",
        "/private/data.json",
        "/private/data.json?x=/a.txt",
        "/private/deep/er.txt",
        "//private/",
        "///private//data.json",
        "/./private/data.json",
        "/a/../private/data.json",
        "/a.txt/../private/data.json",
        "/%70rivate/data.json",
        "/%70%72ivate/%64ata.json",
        "/private%2fdata.json/../data.json",
        "/private/%2e/data.json",
        "/x/%2e%2e/private/data.json",
        "/private/./",
        "/private/x/..",
        "/private/missing",
        "/private/missing/",
        "/secret",
        "/secret/",
        "/secret.html",
        "/secret.html.gz",
        "/secret.html.br",
        "//secret.html",
        "/%73ecret",
        "/m%c3%bcll/x.txt",
        "/m%C3%BCll/",
        "/rewritten/data.json",
        "/rewritten/",
        "/rewritten/missing",
        "/rewritten/deep/../data.json",
        "/instead/data.json",
        "/instead/missing",
        "http://localhost/private/data.json",
    ] {
        for method in ["GET", "HEAD", "POST", "OPTIONS", "DELETE"] {
            let ask = |lines: &str| server.ask(format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n"));
            let reply =
                ask("Accept: text/html\r\nAccept-Encoding: gzip, br\r\nRange: bytes=0-3\r\nIf-None-Match: *\r\n");
            // Above the root by its form is nowhere.
            if target.contains("%2f") {
                assert!(!reply.text().contains(&SECRET[..4]), "{method} {target}");
                continue;
            }
            // A rewrite is for what is asked of files; another method sees what is there without it.
            if reply.status != 401 {
                assert!(method == "OPTIONS", "{method} {target}: {}", reply.status);
                assert!(reply.body.is_empty(), "{method} {target}");
                continue;
            }
            assert_eq!(reply.field("www-authenticate"), Some("Basic realm=\"restricted\", charset=\"UTF-8\""));
            assert_eq!(reply.field("cache-control"), Some("no-cache"), "{target}");
            assert!(
                [reply.field("etag"), reply.field("content-range"), reply.field("location")] == [None; 3],
                "{target}"
            );
        }
        let reply = server.get(target, AS_ANNA);
        assert!(![401, 403, 429].contains(&reply.status), "{target}: {}", reply.status);
    }
    // What isn't meant isn't kept from anybody.
    for (target, status) in [("/", 200), ("/a.txt", 200), ("/privates", 404), ("/missing", 404), ("/moved", 302)] {
        assert_eq!(server.get(target, "").status, status, "{target}");
    }
    assert_eq!(server.get("/private/data.json", AS_ANNA).text(), SECRET);
}

/// What answers in the place of something else must be allowed too: an application, pages for errors, indexes.
#[test]
fn what_stands_in_for_something_else_is_checked_by_its_own_name() {
    let site = site();
    site.write("app.html", SECRET);
    site.write("sub/404.html", SECRET);
    site.write("errors/405.html", SECRET);
    let flags = ["--auth", "/app.html", "--auth", "/sub/404.html", "--auth", "/errors", "--spa=app.html"];
    let server = started(
        &site,
        &[&flags[..], &["--error-page", "405=/errors/405.html", "--error-page", "401=/errors/405.html"]].concat(),
    );
    let navigation = "Accept: text/html\r\n";
    let is_refused = |reply: &Reply| reply.status == 401 && !reply.text().contains(SECRET);
    assert!(is_refused(&server.get("/users/7", navigation)));
    assert!(is_refused(&server.get("/users/7", &format!("{navigation}Range: bytes=0-1\r\n"))));
    assert!(is_refused(&server.get("/users/7", &format!("{navigation}Range: bytes=100-\r\n"))));
    assert!(is_refused(&server.get("/users/7", &format!("{navigation}If-Match: \"x\"\r\n"))));
    // An error is told, without the page for it.
    let reply = server.get("/sub/missing.txt", "");
    assert!(reply.status == 404 && !reply.text().contains(SECRET), "{reply:?}");
    let reply = server.ask("POST /a.txt HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(reply.status == 405 && reply.field("allow").is_some() && !reply.text().contains(SECRET), "{reply:?}");
    assert_eq!(server.get("/users/7", &format!("{navigation}{AS_ANNA}")).text(), SECRET);
    assert_eq!(server.get("/sub/missing.txt", AS_ANNA).text(), SECRET);
    assert_eq!(server.get("/missing.txt", "").text(), "nothing here");
}

/// Nor does a page for an error that tells of a file that is for everybody.
#[test]
fn pages_of_failed_conditions_are_checked_by_their_own_name() {
    let site = site();
    site.write("errors/4xx.html", SECRET);
    let server = started(&site, &["--auth", "/errors", "--error-page", "4xx=/errors/4xx.html"]);
    for (lines, status) in [("If-Match: \"x\"\r\n", 412), ("Range: bytes=10000-\r\n", 416)] {
        let reply = server.get("/a.txt", lines);
        assert!(reply.status == status && !reply.text().contains(SECRET), "{reply:?}");
        assert_eq!(reply.field("content-range").is_some(), status == 416);
    }
    // A page that is for everybody is for these too.
    let server = started(&site, &["--auth", "/private", "--error-page", "4xx=/errors/4xx.html"]);
    assert_eq!(server.get("/a.txt", "If-Match: \"x\"\r\n").text(), SECRET);
}

/// A variant that is for others than its original is not had by its original's name.
#[test]
fn variants_have_the_rules_of_their_own_names() {
    let site = site();
    site.write("page.csv", "public");
    site.write("page.csv.gz", [&[0x1f, 0x8b][..], SECRET.as_bytes()].concat());
    let denied = ["--auth", "/private", "--deny-from", "/page.csv.gz 127.0.0.1"];
    for rules in [&["--auth", "*.gz"][..], &denied] {
        let server = started(&site, rules);
        for _ in 0..2 {
            let reply = server.get("/page.csv", "Accept-Encoding: gzip\r\n");
            assert_eq!((reply.status, &*reply.text()), (200, "public"), "{rules:?}");
            assert!([401, 403].contains(&server.get("/page.csv.gz", "").status), "{rules:?}");
        }
    }
    let server = started(&site, &["--auth", "/private"]);
    assert_eq!(server.get("/page.csv", "Accept-Encoding: gzip\r\n").field("content-encoding"), Some("gzip"));
}

#[test]
fn mounts_and_hosts_have_the_rules_of_their_sites() {
    let (site, other) = (site(), Site::with(&[("x.txt", SECRET), ("index.html", "other")]));
    let docs = format!("/docs={}", other.path().display());
    let server = started(&site, &["--mount", &docs, "--auth", "/docs/x.txt", "--redirect", "/d/* /docs/:splat 200"]);
    for target in ["/docs/x.txt", "//docs/./x.txt", "/d/x.txt"] {
        assert_eq!(server.get(target, "").status, 401, "{target}");
        assert_eq!(server.get(target, AS_ANNA).text(), SECRET, "{target}");
    }
    assert_eq!(server.get("/docs/", "").text(), "other");

    site.write(
        "site.toml",
        format!(
            "[salver]\nusers = ['{ANNA}']\nauth = [\"/private\"]\n[salver.hosts.\"b.example\"]\nusers = ['{BOB}']\n\
             auth = [\"/*\", \"!/a.txt\"]\n[salver.hosts.\"c.example\"]\nusers = []\nauth = []\n"
        ),
    );
    let server = Salver::start(&site, &["--config", site.join("site.toml").to_str().unwrap()]);
    let status = |host: &str, target: &str, lines: &str| {
        server.ask(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n")).status
    };
    for (host, target, lines, expected) in [
        ("a", "/", "", 200),
        ("a", "/private/", AS_ANNA, 200),
        ("a", "/private/", AS_BOB, 401),
        ("b.example", "/", "", 401),
        ("b.example", "/", AS_BOB, 200),
        // Who is remembered by one site isn't by another.
        ("b.example", "/", AS_ANNA, 401),
        ("b.example", "/a.txt", "", 200),
        ("c.example", "/private/", "", 200),
    ] {
        assert_eq!(status(host, target, lines), expected, "{host}{target} {lines}");
    }
}

#[test]
fn the_last_rule_about_a_path_counts() {
    let site = site();
    site.write("open/a.txt", "open");
    site.write("open/not/a.txt", SECRET);
    site.write("admin/a.txt", SECRET);
    let flags = ["--auth", "/*", "--auth", "!/open", "--auth", "/open/not bob", "--auth", "/admin/* bob"];
    let server = started(&site, &flags);
    for (target, nobody, anna, bob) in [
        ("/", 401, 200, 200),
        ("/missing", 401, 404, 404),
        ("/open/a.txt", 200, 200, 200),
        ("/open/missing", 404, 404, 404),
        ("/open", 301, 301, 301),
        ("/open/not/a.txt", 401, 403, 200),
        ("/admin/a.txt", 401, 403, 200),
        ("/.git/config", 401, 404, 404),
        ("/%", 401, 400, 400),
    ] {
        let statuses = ["", AS_ANNA, AS_BOB].map(|lines| server.get(target, lines).status);
        assert_eq!(statuses, [nobody, anna, bob], "{target}");
    }
    assert_eq!(server.ask("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").status, 401);
}

/// Users alone, without a rule, are for everything. RFC 9111 section 3.5: what is for users is not for shared caches.
#[test]
fn where_there_are_users_everything_is_for_them() {
    let site = site();
    site.write("app.3f9a1c2b.js", "1");
    let server = started(&site, &["--immutable-hashed", "-H", "*.txt Cache-Control: max-age=5"]);
    assert_eq!(server.get("/", "").status, 401);
    for (target, expected) in [
        ("/", "private, no-cache"),
        ("/app.3f9a1c2b.js", "private, max-age=31536000, immutable"),
        ("/a.txt", "max-age=5"),
        ("/missing", "no-cache"),
    ] {
        assert_eq!(server.get(target, AS_ANNA).field("cache-control"), Some(expected), "{target}");
    }
    let tag = server.get("/", AS_ANNA).field("etag").unwrap().to_owned();
    assert_eq!(server.get("/", &format!("If-None-Match: {tag}\r\n")).status, 401);
    assert_eq!(server.get("/", &format!("{AS_ANNA}If-None-Match: {tag}\r\n")).status, 304);
}

#[test]
fn only_good_credentials_of_one_field_let_in() {
    let site = site();
    let server = started(&site, &[]);
    for (lines, expected) in [
        (AS_ANNA.to_owned(), 200),
        (AS_BOB.to_owned(), 200),
        (AS_ANNA.to_lowercase().replace("basic yw5uytpvklu=", "bAsIc  YW5uYTpVKlU="), 200),
        (WRONG.to_owned(), 401),
        (format!("{AS_ANNA}{AS_ANNA}"), 401),
        (format!("{AS_ANNA}{WRONG}"), 401),
        ("Authorization: Basic\r\n".to_owned(), 401),
        ("Authorization: Basic YW5uYTpVKlU\r\n".to_owned(), 401),
        ("Authorization: Bearer YW5uYTpVKlU=\r\n".to_owned(), 401),
        ("Authorization: Basic \u{e9}\r\n".to_owned(), 401),
        ("Proxy-Authorization: Basic YW5uYTpVKlU=\r\n".to_owned(), 401),
    ] {
        assert_eq!(server.get("/", &lines).status, expected, "{lines}");
    }
}

/// FEATURES 11: a line of the log has client, user and status together, and never a password.
#[test]
fn failures_are_in_the_log_and_passwords_are_not() {
    let site = site();
    let mut server = started(&site, &[]);
    server.get("/", AS_ANNA);
    server.get("/x", WRONG);
    // A name that could forge a line: a"\n[ ]:pw
    server.get("/y", "Authorization: Basic YSIKWyBdOnB3\r\n");
    server.stop();
    let log = server.log();
    let mut lines: Vec<&str> = log.lines().filter(|line| line.ends_with("ms")).collect();
    // Lines of several connections may change places.
    lines.sort_unstable_by_key(|line| line.split('"').nth(1));
    assert_eq!(lines.len(), 3, "{log}");
    assert!(lines[0].contains(" 127.0.0.1:") && lines[0].contains(" anna \"GET / HTTP/1.1\" 200 "), "{log}");
    assert!(lines[1].contains(" anna \"GET /x HTTP/1.1\" 401 "), "{log}");
    assert!(lines[2].split_whitespace().nth(2) == Some("\"GET"), "{log}");
    for secret in ["U*U", "YW5u", "wrong", "Basic"] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}

/// Who guesses waits, and nothing is computed for it; who is known doesn't notice.
#[test]
fn who_guesses_has_to_wait() {
    let site = site();
    let server = Salver::run(
        serving(&site)
            .args(["--user", ANNA, "--user", BOB])
            .env("SALVER_FAILURES_MAX", "3")
            .env("SALVER_SLOW_MAX", "1"),
    );
    assert_eq!(server.get("/", AS_ANNA).status, 200);
    let statuses: Vec<u16> = (0..6).map(|_| server.get("/", WRONG).status).collect();
    assert_eq!(statuses, [401, 401, 401, 429, 429, 429]);
    let reply = server.get("/", WRONG);
    let seconds: u64 = reply.field("retry-after").unwrap().parse().unwrap();
    assert!((1..=20).contains(&seconds), "{seconds}");
    assert_eq!(server.get("/", AS_ANNA).status, 200, "she is remembered");
    assert_eq!(server.get("/", AS_BOB).status, 429, "bob isn't yet");
    // From elsewhere bob is let in.
    let elsewhere = std::net::SocketAddr::from(([127, 0, 0, 9], 0));
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&elsewhere.into()).unwrap();
    socket.connect(&server.address.into()).unwrap();
    let mut client = crate::support::Client::of(socket.into());
    client.send(get("/", AS_BOB));
    assert_eq!(client.reply().status, 200);
}

/// A thousand wrong passwords at once keep one worker at most from good clients, and memory within bounds.
#[test]
fn a_flood_of_wrong_passwords_keeps_nobody_waiting() {
    let site = site();
    let server = Salver::run(serving(&site).args(["--user", ANNA]).env("SALVER_SLOW_MAX", "1"));
    assert_eq!(server.get("/", AS_ANNA).status, 200);
    thread::scope(|scope| {
        let guesses: Vec<_> = (0..20)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = server.connect();
                    let statuses = (0..50).map(|_| {
                        client.send(get("/", WRONG));
                        client.reply().status
                    });
                    statuses.filter(|status| *status == 401).count()
                })
            })
            .collect();
        let mut good = server.connect();
        for _ in 0..200 {
            good.send(get("/", AS_ANNA));
            assert_eq!(good.reply().status, 200);
        }
        let computed: usize = guesses.into_iter().map(|guess| guess.join().unwrap()).sum();
        // Ten at once, and as many in a minute: machines may be busy.
        assert!((10..=30).contains(&computed), "{computed}");
    });
}

#[test]
fn networks_are_allowed_and_denied_by_path() {
    let site = site();
    let check = |flags: &[&str], expected: &[(&str, u16)]| {
        let server = Salver::start(&site, flags);
        for (target, status) in expected {
            let reply = server.get(target, "");
            assert_eq!(reply.status, *status, "{flags:?} {target}");
            assert!(*status != 403 || !reply.text().contains(SECRET));
        }
    };
    check(&["--allow-from", "127.0.0.1"], &[("/", 200)]);
    check(&["--allow-from", "10.0.0.0/8, ::1"], &[("/", 403), ("/missing", 403), ("/.git", 403)]);
    check(&["--allow-from", "10.0.0.0/8", "--allow-from", "127.0.0.0/8"], &[("/", 200)]);
    check(&["--deny-from", "127.0.0.0/8"], &[("/", 403)]);
    check(&["--deny-from", "127.0.0.0/8", "--allow-from", "127.0.0.1"], &[("/", 403)]);
    let admin = ["--allow-from", "/private/* 10.0.0.0/8"];
    check(&admin, &[("/", 200), ("/private/", 403), ("/private", 403), ("/rewritten/data.json", 403), ("/a.txt", 200)]);
    check(&["--allow-from", "10.0.0.1", "--allow-from", "/a.txt 127.0.0.1"], &[("/", 403), ("/a.txt", 200)]);
    check(&["--deny-from", "/secret.html 127.0.0.1"], &[("/", 200), ("/secret", 403), ("/secret.html", 403)]);
    // A network and a user are both needed.
    let server = started(&site, &["--deny-from", "/private 127.0.0.1"]);
    assert_eq!(server.get("/private/", AS_ANNA).status, 403);
    assert_eq!(server.get("/", AS_ANNA).status, 200);
}

/// A browser's question whether it may ask comes without credentials (Fetch standard, section 3.2.2).
#[test]
fn a_preflight_needs_no_credentials() {
    let site = site();
    let server = started(&site, &["--cors=https://app.example"]);
    let preflight = "Origin: https://app.example\r\nAccess-Control-Request-Method: GET\r\n\
                     Access-Control-Request-Headers: authorization\r\n";
    let reply = server.ask(format!("OPTIONS / HTTP/1.1\r\nHost: a\r\n{preflight}\r\n"));
    assert_eq!((reply.status, reply.field("access-control-allow-headers")), (204, Some("authorization")));
    let reply = server.get("/", "Origin: https://app.example\r\n");
    assert_eq!((reply.status, reply.field("access-control-allow-origin")), (401, Some("https://app.example")));
}

#[test]
fn a_file_of_users_is_read_and_never_served() {
    let site = site();
    site.write("users", format!("# who\n{ANNA}\n\n"));
    site.link("alias", "users");
    let server = Salver::start(&site, &["--users-file", "users", "--user", BOB]);
    for target in ["/users", "/alias"] {
        assert_eq!(server.get(target, AS_ANNA).status, 404, "{target}");
    }
    assert_eq!([AS_ANNA, AS_BOB].map(|lines| server.get("/", lines).status), [200, 200]);
}

/// Runs `salver hash-password` with this on its standard input.
fn hash(arguments: &[&str], input: &[u8]) -> Ended {
    let folder = Site::new();
    folder.write("input", input);
    let mut command = salver(folder.path());
    command.arg("hash-password").args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may have ended without reading.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[test]
fn hash_password_makes_a_line_that_lets_in() {
    let ended = hash(&["--user", "carl"], "p\u{e4}ss: word\n".as_bytes());
    let line = ended.stdout.trim_end();
    assert!(ended.status == Some(0) && line.starts_with("carl:$argon2id$v=19$m=19456,t=2,p=1$"), "{ended:?}");
    assert_ne!(hash(&["--user", "carl"], "p\u{e4}ss: word\n".as_bytes()).stdout, ended.stdout, "each has a salt");
    let site = site();
    let server = Salver::start(&site, &["--user", line]);
    let as_carl =
        format!("Authorization: Basic {}\r\n", data_encoding::BASE64.encode("carl:p\u{e4}ss: word".as_bytes()));
    assert_eq!([&*as_carl, AS_ANNA].map(|lines| server.get("/", lines).status), [200, 401]);
    for (arguments, input, told) in [
        (&[][..], &b""[..], "an empty password"),
        (&[], b"\n", "an empty password"),
        (&[], b"\xff\n", "not UTF-8"),
        (&[], &[b'x'; 1025], "at most 1024 bytes"),
        (&["--user", "a:b"], b"x\n", "--user a:b: "),
        (&["--user", "\u{e9}"], b"x\n", "expected a name of letters"),
    ] {
        let ended = hash(arguments, input);
        assert!(ended.status == Some(2) && ended.stdout.is_empty(), "{ended:?}");
        assert!(ended.stderr.contains(told), "{ended:?}");
    }
}

/// What is wrong stops the start, with place and remedy, and without what may be a password.
#[test]
fn what_is_wrong_stops_the_start() {
    for (text, told) in [
        ("users = [\"anna:hunter2\"]", "config.toml:2: users = (not shown): user anna: expected a hash of argon2"),
        ("users = [\"hunter2\"]", "config.toml:2: users = (not shown): expected NAME:HASH"),
        ("users = \"hunter2\"", "config.toml:2: users = (not shown): expected a list of lines"),
        ("users_file = \"missing\"", "config.toml:2: users_file = \"missing\": it can't be read: No such file"),
        ("users_file = \"empty\"", "config.toml:2: users_file = \"empty\": there is no user in it"),
        ("auth = [\"!/public\"]\nusers = ['ANNA']", "expected a rule for users besides; \"/*\" in front"),
        ("auth = [\"/my%20dir\"]\nusers = ['ANNA']", "not as in a URL"),
        ("users_file = \"wrong\"", "wrong:2: user bob: expected a hash"),
        ("auth = [\"/a\"]", "config.toml:2: auth = [\"/a\"]: expected users, or a users_file"),
        ("auth = [\"/a[\"]", "config.toml:2: auth = [\"/a[\"]: '/a[': "),
        (
            "auth = [\"/a carl\"]\nusers = ['ANNA']",
            "config.toml:2: auth = [\"/a carl\"]: '/a carl': there is no user carl",
        ),
        ("users = ['ANNA', 'ANNA']", "user anna is there twice"),
        ("users_file = \"good\"\nusers = ['ANNA']", "good:1: user anna is there twice"),
        (
            "allow_from = [\"/a 10.0.0.1\", \"10.0.0.0/8\", \"/a 10.0.0.2\"]",
            "'/a 10.0.0.2': its pattern comes again after another one; expected lines about one pattern in a row",
        ),
        (
            "allow_from = [\"10.0.0.0/8\", \"/a 10.0.0.1\", \"/* 10.0.0.2\"]",
            "'/* 10.0.0.2': its pattern comes again after another one",
        ),
        ("allow_from = [\"10.0.0.1/8\"]", "'10.0.0.1/8' has bits behind its prefix; expected 10.0.0.0/8"),
        (
            "deny_from = [\"localhost\"]",
            "config.toml:2: deny_from = [\"localhost\"]: 'localhost': expected an IP address",
        ),
        ("slow_max = 0", "config.toml:2: slow_max = 0: expected a number from 1"),
        ("failures_max = 0", "config.toml:2: failures_max = 0: expected a number from 1"),
        (
            "trusted_proxies = [\"x\"]\nproxy_protocol = true",
            "config.toml:2: trusted_proxies = [\"x\"]: expected an IP",
        ),
        ("trusted_proxies = [\"::1\"]", "config.toml:2: trusted_proxies = [\"::1\"]: expected proxy_header or"),
        ("proxy_header = \"forwarded\"", "config.toml:2: proxy_header = \"forwarded\": expected trusted_proxies"),
        ("proxy_protocol = true", "config.toml:2: proxy_protocol = true: expected trusted_proxies"),
        ("proxy_header = \"x-real-ip\"", "expected \"none\" or \"forwarded\" or \"x-forwarded-for\""),
    ] {
        let site = site();
        site.write("good", ANNA);
        site.write("empty", "# nobody yet\n");
        site.write("wrong", format!("{ANNA}\nbob:x\n"));
        site.write("config.toml", format!("[salver]\n{}\n", text.replace("ANNA", ANNA)));
        let ended = end_of(salver(site.path()).args(["--port", "0"]));
        assert!(ended.status == Some(2) && ended.stderr.contains(told), "{text}: {ended:?}");
        assert!(!ended.stderr.contains("hunter2"), "{ended:?}");
    }
    let rules: Vec<String> = (0..64).map(|number| format!("10.0.0.{number}")).collect();
    let site = site();
    let mut command: Command = serving(&site);
    for rule in &rules {
        command.args(["--allow-from", rule]);
    }
    let ended = end_of(&mut command);
    assert!(ended.status == Some(2) && ended.stderr.contains("expected at most 63 rules"), "{ended:?}");
}

/// A listing is for whom an index in its place would be, and names nothing that stricter rules are about.
#[test]
fn listings_tell_nothing_that_rules_keep() {
    let site = Site::with(&[
        ("open/a.txt", "a"),
        ("open/README.md", SECRET),
        ("open/plan.pdf", SECRET),
        ("open/staff/x.txt", SECRET),
        ("open/own/x.txt", SECRET),
        ("closed/b.txt", SECRET),
        ("closed/public/c.txt", "c"),
    ]);
    let rules = ["*.pdf", "/open/staff/", "/open/own/*", "README.md", "/closed", "!/closed/public"];
    let flags: Vec<_> = rules.iter().flat_map(|rule| ["--auth", rule]).collect();
    let server = started(&site, &[&["--list"], &flags[..]].concat());
    let open = server.get("/open/", "").text();
    assert!(open.contains("a.txt"), "{open}");
    for kept in ["plan.pdf", "staff", "own", "README", SECRET] {
        assert!(!open.contains(kept), "{kept}: {open}");
    }
    for (target, fields, status) in [
        ("/closed/", "", 401),
        ("/closed/?json", "", 401),
        ("/closed/?sort=size", WRONG, 401),
        ("/open/staff/", "", 401),
        ("/open/own/?json", "", 401),
        ("/closed/public/", "", 200),
        ("/open/own/", AS_ANNA, 200),
    ] {
        assert_eq!(server.get(target, fields).status, status, "{target} {fields}");
    }
    let closed = server.get("/closed/", AS_ANNA);
    assert_eq!(closed.field("cache-control"), Some("private, no-cache"));
    assert!(["b.txt", "public/"].iter().all(|name| closed.text().contains(name)), "{}", closed.text());
}

/// A rule that opens an index, which may be there or not, opens no listing in its place.
#[test]
fn an_index_for_everybody_makes_no_listing_for_everybody() {
    let site = Site::with(&[("docs/payroll.xlsx", SECRET), ("docs/README.md", SECRET), ("home/index.html", "home")]);
    for rules in [
        &["--auth", "/*", "--auth", "!*.html"][..],
        &["--auth", "/*", "--auth", "!index.html"],
        &["--auth", "/*", "--auth", "!/docs/index.html"],
        &["--allow-from", "/docs 10.0.0.0/8", "--allow-from", "/docs/index.html 127.0.0.0/8"],
    ] {
        let server = started(&site, &[&["--list"], rules].concat());
        for target in ["/docs/", "/docs/?json", "/docs/?q=pay", "/docs"] {
            let reply = server.get(target, "");
            assert!(matches!(reply.status, 301 | 401 | 403), "{target} {rules:?}: {}", reply.head);
            assert!(!reply.text().contains("payroll") && !reply.text().contains(SECRET), "{target} {rules:?}");
        }
    }
    let server = started(&site, &["--list", "--auth", "/*", "--auth", "!index.html"]);
    assert_eq!(server.get("/home/", "").text(), "home");
    assert_eq!(server.get("/docs/", AS_ANNA).status, 200);
}

/// A cache in between that keeps an answer gives it to clients of any network.
#[test]
fn what_is_for_networks_is_for_no_shared_cache() {
    let site = Site::with(&[("net/app.3f9a1c2b.js", "x"), ("app.3f9a1c2b.js", "x")]);
    let rewrites = ["--redirect", "/net/new/* /:splat 200!", "--redirect", "/new/* /:splat 200!"];
    let rules = ["--immutable-hashed", "--allow-from", "/net 127.0.0.1"];
    let server = Salver::start(&site, &[&rules[..], &rewrites].concat());
    let kept = |target: &str| server.get(target, "").field("cache-control").unwrap().to_owned();
    for _ in 0..2 {
        assert_eq!(kept("/net/app.3f9a1c2b.js"), "private, max-age=31536000, immutable");
        assert_eq!(kept("/net/new/app.3f9a1c2b.js"), "private, max-age=31536000, immutable");
        assert_eq!(kept("/app.3f9a1c2b.js"), "public, max-age=31536000, immutable");
        assert_eq!(kept("/new/app.3f9a1c2b.js"), "public, max-age=31536000, immutable");
    }
}

/// Who tries the rule by the URL that it names finds it at work, and it is by the other name too.
#[test]
fn a_page_is_protected_by_its_clean_url() {
    let site =
        Site::with(&[("secret.html", SECRET), ("secret.html.gz", SECRET), ("open.html", "open"), ("a.txt", SECRET)]);
    let server = started(&site, &["--auth", "/secret", "--auth", "/a"]);
    for target in ["/secret", "/secret/", "/secret.html", "/secret.html.gz", "/%73ecret.html", "/secret.html/"] {
        let reply = server.get(target, "");
        assert!(reply.status == 401 && !reply.text().contains(SECRET), "{target}: {}", reply.head);
    }
    assert_eq!(server.get("/secret.html", AS_ANNA).text(), SECRET);
    assert_eq!((server.get("/open", "").status, server.get("/a.txt", "").status), (200, 200));
    let server = started(&site, &["--auth", "/*", "--auth", "!/open"]);
    assert_eq!((server.get("/open", "").status, server.get("/open.html", "").status), (200, 200));
    assert_eq!(server.get("/secret", "").status, 401);
    let server = started(&site, &["--no-clean-urls", "--auth", "/secret"]);
    assert_eq!((server.get("/secret.html", "").status, server.get("/secret", "").status), (200, 401));
}

/// Some tools compress what is compressed once more.
#[test]
fn a_variant_of_a_variant_is_one_too() {
    let site = Site::with(&[("secret.html.gz.br", SECRET), ("secret.html.gz", SECRET), ("app.js.map.gz.br", SECRET)]);
    let server = started(&site, &["--auth", "/secret.html", "--hide", "*.map"]);
    assert_eq!((server.get("/secret.html.gz", "").status, server.get("/secret.html.gz.br", "").status), (401, 401));
    assert_eq!(server.get("/app.js.map.gz.br", "").status, 404);
}
