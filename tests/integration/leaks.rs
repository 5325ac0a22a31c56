//! What leaves besides content: no field and no line of the log holds what a request or a file name brought, unless
//! it is escaped; and nothing tells of versions, paths or the system.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::support::{Reply, Salver, Site, get, salver};

/// Names that would break a line, forge a field, become markup or steer a terminal.
const NAMES: [&[u8]; 7] = [
    b"line\r\nSet-Cookie: forged=1",
    b"line\nGET HTTP",
    b"\x1b[2J\x1b]0;forged\x07",
    b"<script>forged()<script>",
    b"quote\"' onclick=forged",
    b"\xc2\x9b31m\xff\xe2\x80\xae",
    b"%0d%0aforged: 1",
];

/// As a URL has it.
fn encoded(name: &[u8]) -> String {
    name.iter().map(|byte| format!("%{byte:02x}")).collect()
}

/// The names of the fields of a response.
fn fields(reply: &Reply) -> Vec<&str> {
    reply.head.lines().skip(1).map(|line| line.split_once(": ").expect("a field").0).collect()
}

#[track_caller]
fn check_clean(reply: &Reply, what: &str) {
    for unescaped in ["forged", "<script", "\x1b"] {
        assert!(!reply.text().contains(unescaped), "{what}: {}", reply.text());
    }
    assert!(reply.head.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\r' | b'\n')), "{what}: {}", reply.head);
    for line in reply.head.lines().filter(|line| line.contains("forged")) {
        assert!(line.starts_with("Location: /"), "{what}: {line}");
    }
}

/// A directory of such a name is redirected to, and a file of it served and not.
#[test]
fn names_stay_in_their_place() {
    let site = Site::with(&[("plain/x", "")]);
    for name in NAMES {
        fs::create_dir(site.path().join(OsStr::from_bytes(name))).unwrap();
    }
    let server = Salver::start(&site, &["--no-list"]);
    let expected = server.get("/plain", "");
    for name in NAMES {
        let target = format!("/{}", encoded(name));
        let reply = server.get(&target, "");
        assert_eq!(reply.status, 301, "{target}");
        assert_eq!(fields(&reply), fields(&expected), "{target}");
        check_clean(&reply, &target);
        let location = reply.field("location").unwrap();
        assert_eq!(server.get(location, "").status, 404, "it has no index: {location}");
        assert!(location.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"".contains(&byte)), "{location}");
        for (method, behind, lines, status) in [
            ("GET", "/", "", 404),
            ("GET", "/nothing", "", 404),
            ("POST", "", "", 405),
            ("BREW", "", "", 501),
            ("GET", "%", "", 400),
            ("GET", "", "Content-Length: <script>forged()</script>\r\n", 400),
            ("GET", "", "Transfer-Encoding: forged\r\n", 400),
        ] {
            let reply = server.ask(get(&format!("{target}{behind}"), lines).replacen("GET", method, 1));
            assert_eq!(reply.status, status, "{method} {target}{behind}");
            check_clean(&reply, &target);
        }
    }
}

/// What is refused is named in the log, by whatever name it has.
#[test]
fn names_in_the_log_are_escaped() {
    let site = Site::with(&[("secret", "SECRET"), ("root/index.html", "home")]);
    for (at, name) in NAMES.into_iter().enumerate() {
        let path = site.join("root").join(OsStr::from_bytes(name));
        if at % 2 == 0 {
            mknodat(CWD, path, FileType::Fifo, Mode::from(0o644), 0).unwrap();
        } else {
            std::os::unix::fs::symlink("../secret", path).unwrap();
        }
    }
    let mut server = Salver::run(salver(site.path()).args(["--port", "0", "-vv", "root"]));
    for name in NAMES {
        for target in [encoded(name), format!(".{}", encoded(name)), format!("%2f{}", encoded(name))] {
            assert_eq!(server.get(&format!("/{target}"), "").status, 404, "{target}");
        }
    }
    server.ask(b"GET /\x1b[2J\x00\xff HTTP/1.1\r\nHost: a\r\nX: forged\x1b\r\n\r\n");
    server.ask("GET / HTTP/1.1\r\nHost: <script>forged()</script>\r\n\r\n");
    server.get(
        "/",
        "User-Agent: private\r\nReferer: http://private/\r\nCookie: private\r\nAuthorization: Basic private\r\n",
    );
    server.stop();
    let log = server.log();
    assert!(log.matches(": not served: ").count() >= 3 * NAMES.len(), "{log}");
    assert!(log.chars().all(|character| character == '\n' || !character.is_control()), "{log:?}");
    assert!(log.is_ascii(), "{log:?}");
    for line in log.lines() {
        assert!(line.starts_with("20") && line.contains("Z "), "forged: {line}");
        assert!(!line.contains("private"), "fields are not logged: {line}");
    }
}

/// The root's own name is told once, at the start, and may be as odd.
#[test]
fn a_root_of_any_name_is_told_in_one_line() {
    let site = Site::new();
    let name = "root\nsalver: serving / at http://192.0.2.1:80\u{1b}[2J";
    site.write(&format!("{name}/index.html"), "home");
    site.write(&format!("{name}/salver.toml"), "[salver]\n");
    let mut server = Salver::run(salver(&site.join(name)).args(["--port", "0"]));
    assert_eq!(server.get("/", "").text(), "home");
    assert_eq!(server.line.matches(char::is_control).count(), 1, "{:?}", server.line);
    server.stop();
    assert!(server.log().chars().all(|character| character == '\n' || !character.is_control()), "{:?}", server.log());
}

/// Who serves is said, but not in which version, where from, or on what.
#[test]
fn no_version_and_no_path_is_told() {
    let site = Site::with(&[("index.html", "home"), ("sub/x", "")]);
    let server = Salver::serve(&site);
    let root = site.path().to_str().unwrap();
    for request in [
        get("/", ""),
        get("/sub", ""),
        get("/nothing", ""),
        get("/%", ""),
        get("/", "Range: bytes=9-\r\n"),
        get("/", "If-Match: \"x\"\r\n"),
        get("/", "").replace("GET", "POST"),
        get("/", "").replace("GET", "BREW"),
        get("/", "").replace("HTTP/1.1", "HTTP/3.0"),
        get("/", "Content-Length: x\r\n"),
        get("/", "").replace("GET", "OPTIONS"),
        get(&format!("/{}", "x".repeat(10_000)), ""),
        get("/", &format!("X: {}\r\n", "x".repeat(20_000))),
        "nonsense\r\n\r\n".to_owned(),
    ] {
        let reply = server.ask(&request);
        let all = format!("{}\n{}", reply.head, reply.text());
        assert_eq!(reply.field("server"), Some("salver"));
        for leak in [env!("CARGO_PKG_VERSION"), root, "os error", "rust", "panick", "src/"] {
            assert!(!all.contains(leak), "{leak}: {all}");
        }
    }
}
