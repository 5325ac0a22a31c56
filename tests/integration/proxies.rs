//! Who asks, behind a proxy: Forwarded, X-Forwarded-For, and the PROXY protocol; and never by the word of others.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use crate::support::{Client, PATIENCE, Salver, Site, get, serving};

fn site() -> Site {
    Site::with(&[("index.html", "home"), ("admin/a.txt", "secret")])
}

/// Whoever it is by these rules: 192.0.2.0/24 is let in beneath /admin.
const RULE: [&str; 2] = ["--allow-from", "/admin/* 192.0.2.0/24"];

#[test]
fn a_trusted_proxy_says_who_asks() {
    let site = site();
    for (header, name) in [("x-forwarded-for", "X-Forwarded-For: "), ("forwarded", "Forwarded: for=")] {
        let mut server =
            Salver::start(&site, &[&RULE[..], &["--trust-proxy", "127.0.0.1", "--proxy-header", header]].concat());
        for (value, status) in [
            ("192.0.2.1", 200),
            ("198.51.100.1", 403),
            ("unknown", 403),
            ("192.0.2.1, for=198.51.100.1", 403),
            ("198.51.100.1, for=192.0.2.1", 200),
            ("192.0.2.1, for=127.0.0.1", 200),
            ("192.0.2.1, for=junk", 403),
        ] {
            let value = if header == "forwarded" { value.to_owned() } else { value.replace("for=", "") };
            let reply = server.get("/admin/a.txt", &format!("{name}{value}\r\n"));
            assert_eq!(reply.status, status, "{name}{value}");
        }
        assert_eq!(server.get("/admin/a.txt", "").status, 403, "the proxy itself isn't let in");
        // The other field means nothing.
        let other = if header == "forwarded" { "X-Forwarded-For: 192.0.2.1" } else { "Forwarded: for=192.0.2.1" };
        assert_eq!(server.get("/admin/a.txt", &format!("{other}\r\n")).status, 403);
        server.stop();
        let log = server.log();
        assert!(log.contains("Z 192.0.2.1 \"GET /admin/a.txt HTTP/1.1\" 200"), "{log}");
        assert!(log.contains("Z 198.51.100.1 \"GET /admin/a.txt HTTP/1.1\" 403"), "{log}");
    }
}

/// Whoever isn't trusted may say what they like.
#[test]
fn others_are_not_believed() {
    let site = site();
    let lines = "X-Forwarded-For: 192.0.2.1\r\nForwarded: for=192.0.2.1\r\nX-Real-IP: 192.0.2.1\r\n";
    for flags in [&[][..], &["--trust-proxy", "10.0.0.0/8, unix", "--proxy-header", "x-forwarded-for"]] {
        let server = Salver::start(&site, &[&RULE[..], flags].concat());
        assert_eq!(server.get("/admin/a.txt", lines).status, 403, "{flags:?}");
        server.wait_for_log("Z 127.0.0.1:");
    }
    let server = Salver::run(
        serving(&site).args(RULE).args(["--trust-proxy", "10.0.0.0/8"]).env("SALVER_PROXY_PROTOCOL", "true"),
    );
    assert_eq!(server.get("/admin/a.txt", "").status, 403);
    assert_eq!(server.ask(format!("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n{}", get("/admin/a.txt", ""))).status, 400);
}

/// What is wrong with a request doesn't hide who sent it, as long as its field lines can be read.
#[test]
fn who_is_refused_is_named() {
    let site = site();
    let mut server = Salver::start(&site, &["--trust-proxy", "127.0.0.1", "--proxy-header", "x-forwarded-for"]);
    for (number, (lines, body, status)) in [
        ("Expect: a miracle\r\n", "", 417),
        ("Host: twice\r\n", "", 400),
        ("Content-Length: 1e9\r\n", "", 400),
        ("Content-Length: 999999999999\r\n", "", 413),
        ("Transfer-Encoding: chunked\r\n", "no size\r\n", 400),
    ]
    .into_iter()
    .enumerate()
    {
        let lines = format!("{lines}X-Forwarded-For: 192.0.2.{number}\r\n");
        let request = get("/", &lines).replace("GET", "POST") + body;
        assert_eq!(server.ask(request).status, status, "{lines}");
    }
    assert_eq!(server.ask("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.99\r\nbad\r\n\r\n").status, 400);
    server.stop();
    let log = server.log();
    for (number, status) in [417, 400, 400, 413, 400].into_iter().enumerate() {
        assert!(log.contains(&format!("Z 192.0.2.{number} \"POST / HTTP/1.1\" {status}")), "{log}");
        assert!(log.contains(&format!("192.0.2.{number}: refused with {status}")), "{log}");
    }
    assert!(!log.contains("192.0.2.99"), "{log}");
}

fn behind_proxy(site: &Site) -> Salver {
    Salver::run(&mut with_introductions(site))
}

fn with_introductions(site: &Site) -> Command {
    let mut command = serving(site);
    command.args(RULE).args(["--trust-proxy", "127.0.0.1"]).env("SALVER_PROXY_PROTOCOL", "true");
    command
}

fn binary(command: u8, source: [u8; 4]) -> Vec<u8> {
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, 0x11, 0, 12], &source, &[127, 0, 0, 1, 0x12, 0x34, 0, 80]].concat()
}

/// With a TLV of so many bytes behind the addresses.
fn with_extension(mut introduction: Vec<u8>, bytes: u16) -> Vec<u8> {
    introduction[14..16].copy_from_slice(&(12 + 3 + bytes).to_be_bytes());
    introduction.push(0x20);
    introduction.extend(bytes.to_be_bytes());
    introduction.resize(introduction.len() + usize::from(bytes), b'x');
    introduction
}

#[test]
fn a_proxy_introduces_its_client_in_either_version() {
    let site = site();
    let mut server = behind_proxy(&site);
    for (introduction, status) in [
        (b"PROXY TCP4 192.0.2.1 127.0.0.1 4711 80\r\n".to_vec(), 200),
        (b"PROXY TCP4 198.51.100.1 127.0.0.1 4711 80\r\n".to_vec(), 403),
        (b"PROXY UNKNOWN\r\n".to_vec(), 403),
        (binary(0x21, [192, 0, 2, 9]), 200),
        (binary(0x21, [198, 51, 100, 9]), 403),
        // For itself.
        (binary(0x20, [192, 0, 2, 9]), 403),
        (with_extension(binary(0x21, [192, 0, 2, 9]), 3_000), 200),
    ] {
        // In one piece with the request, and however it may be cut in two; then as single bytes.
        let request = get("/admin/a.txt", "");
        let mut whole = server.connect();
        whole.send([&introduction, request.as_bytes()].concat());
        assert_eq!(whole.reply().status, status);
        // It is said once, and holds for what follows.
        whole.send(&request);
        assert_eq!(whole.reply().status, status);
        for cut in [1, 5, 6, introduction.len() - 1, introduction.len()] {
            let mut client = server.connect();
            client.send(&introduction[..cut]);
            assert!(!client.fills_within(5), "nothing is answered yet");
            client.send(&introduction[cut..]);
            client.send(&request);
            assert_eq!(client.reply().status, status, "{cut} {}", introduction.escape_ascii());
        }
        let mut client = server.connect();
        introduction.iter().chain(request.as_bytes()).for_each(|byte| client.send([*byte]));
        assert_eq!(client.reply().status, status);
    }
    server.stop();
    let log = server.log();
    assert!(log.contains("Z 192.0.2.1:4711 \"GET /admin/a.txt HTTP/1.1\" 200"), "{log}");
    assert!(log.contains("Z 192.0.2.9:4660 \"GET /admin/a.txt HTTP/1.1\" 200"), "{log}");
}

/// Without an introduction nobody knows who asks: nothing is answered.
#[test]
fn who_isnt_introduced_is_not_answered() {
    let site = site();
    let server = behind_proxy(&site);
    for bytes in [
        get("/", "").into_bytes(),
        b"PROXY TCP4 192.0.2.1\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        b"PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n".to_vec(),
        binary(0x31, [192, 0, 2, 1]),
        vec![b'P'; 200],
        [b"PROXY TCP4 ".to_vec(), vec![b'1'; 200]].concat(),
    ] {
        let mut client = server.connect();
        client.send(&bytes);
        let mut answer = Vec::new();
        // What was not read resets the connection, maybe.
        let _ = client.stream.read_to_end(&mut answer);
        assert_eq!(answer, b"", "{}", bytes.escape_ascii());
    }
    let log = server.wait_for_log(": closed: ");
    assert!(!log.contains("\"GET / HTTP/1.1\""), "{log}");
    // The server is none the worse for it.
    let mut client = server.connect();
    client.send(format!("PROXY UNKNOWN\r\n{}", get("/", "")));
    assert_eq!(client.reply().status, 200);
}

/// Who has too many connections is told so after the introduction, which is no request.
#[test]
fn who_is_one_too_many_is_introduced_as_well() {
    let site = site();
    let mut server = Salver::run(with_introductions(&site).env("SALVER_CONNECTIONS_PER_CLIENT_MAX", "1"));
    let mut first = server.connect();
    first.send(format!("PROXY UNKNOWN\r\n{}", get("/", "")));
    assert_eq!(first.reply().status, 200);
    let mut beyond = server.connect();
    let request = get("/", "").replace("GET", "HEAD");
    beyond.send(format!("PROXY TCP4 192.0.2.1 127.0.0.1 4711 80\r\n{request}"));
    let reply = beyond.reply_to(&request);
    assert_eq!((reply.status, reply.field("retry-after")), (503, Some("1")));
    for nobody in [get("/", ""), "PROXY TCP4 192.0.2.1 127.0.0.1 4711 80\r\n".to_owned()] {
        let mut beyond = server.connect();
        beyond.send(&nobody);
        let mut answer = Vec::new();
        let _ = beyond.stream.read_to_end(&mut answer);
        assert_eq!(answer.escape_ascii().to_string(), "", "{nobody}");
    }
    server.stop();
    let log = server.log();
    assert!(log.contains("Z 192.0.2.1:4711 \"HEAD / HTTP/1.1\" 503"), "{log}");
    assert_eq!(log.matches("\" 503 ").count(), 1, "{log}");
}

#[test]
fn an_introduction_has_a_deadline() {
    let site = site();
    let server = Salver::run(
        serving(&site)
            .args(["--trust-proxy", "127.0.0.1"])
            .env("SALVER_PROXY_PROTOCOL", "true")
            .env("SALVER_HEAD_TIMEOUT_S", "0.2"),
    );
    let mut client = server.connect();
    client.send("PROXY TCP4 ");
    let mut answer = Vec::new();
    client.stream.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"");
}

/// Over a UNIX socket a proxy is `unix`, and it can be trusted like others.
#[test]
fn a_proxy_at_a_unix_socket_is_trusted_as_unix() {
    let site = site();
    let start = |flags: &[&str]| {
        let mut command = serving(&site);
        command.args(["--bind", "unix:site.sock"]).args(RULE).args(flags);
        Salver::start_elsewhere(&mut command, Stdio::null())
    };
    let ask = |lines: &str| {
        let mut stream = UnixStream::connect(site.join("site.sock")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(get("/admin/a.txt", &format!("Connection: close\r\n{lines}")).as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    let lines = "X-Forwarded-For: 192.0.2.1\r\n";
    let server = start(&["--trust-proxy", "unix", "--proxy-header", "x-forwarded-for"]);
    assert_eq!([ask(lines), ask("")], ["200", "403"]);
    drop(server);
    let server = start(&["--trust-proxy", "127.0.0.1", "--proxy-header", "x-forwarded-for"]);
    assert_eq!(ask(lines), "403");
    drop(server);
    let server = start(&["--allow-from", "/admin/* unix"]);
    assert_eq!(ask(""), "200");
    drop(server);
    let _server = start(&["--deny-from", "unix"]);
    assert_eq!(ask(""), "403");
}

/// A client that a proxy names is the one that has to wait, and no other of the same proxy.
#[test]
fn failures_are_counted_for_the_client_behind_the_proxy() {
    let site = site();
    let user = "anna:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
    let server = Salver::run(
        serving(&site)
            .args(["--user", user, "--trust-proxy", "127.0.0.1", "--proxy-header", "x-forwarded-for"])
            .env("SALVER_FAILURES_MAX", "2"),
    );
    let ask = |client: &str, credentials: &str| {
        let lines = format!("X-Forwarded-For: {client}\r\nAuthorization: Basic {credentials}\r\n");
        server.get("/", &lines).status
    };
    let (right, wrong) = ("YW5uYTpVKlU=", "YW5uYTp3cm9uZw==");
    assert_eq!([1, 2, 3].map(|_| ask("192.0.2.1", wrong)), [401, 401, 429]);
    assert_eq!(ask("192.0.2.1, 192.0.2.2", right), 200);
    assert_eq!([1, 2, 3].map(|_| ask("2001:db8::1", wrong)), [401, 401, 429]);
    assert_eq!(ask("2001:db8::2", wrong), 429, "a network of IPv6 is one client");
    let _ = Client::connect(server.address);
}
