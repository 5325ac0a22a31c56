//! The http layer: connections, framing, what is refused and how.

use std::net::Shutdown;
use std::thread;
use std::time::{Instant, SystemTime};

use ::http::StatusCode;
use salver::http::{Handler, Limits, Request, Response, Service};
use salver::socketserver::Server;

use crate::support::{Client, PATIENCE, Random, Reply, Salver, Site, curl, get, settle, start_of};

const HELLO: &[(&str, &str)] = &[("index.html", "<h1>hello</h1>"), ("a.txt", "a"), ("b.txt", "bb"), ("c.txt", "ccc")];

/// A request that asks for the end of the connection.
fn last(target: &str) -> String {
    get(target, "Connection: close\r\n")
}

#[track_caller]
fn check_reply(reply: &Reply, status: u16, body: &str) {
    assert_eq!((reply.status, &*reply.text()), (status, body), "{}", reply.head);
}

/// Answers whether it is known by when a request had begun.
struct Begun;

impl Handler for Begun {
    fn handle(&self, request: &Request<'_>) -> Response {
        let known = if request.begun.is_some() { "known" } else { "unknown" };
        Response::new(StatusCode::OK).html(known)
    }
}

/// What was looked up before that is not news enough for the request, so an earlier time than that of its first byte would
/// be a wrong one.
#[test]
fn an_empty_line_does_not_begin_a_request() {
    let server = Server::bind("127.0.0.1:0", Service::new(Begun, Limits::default())).unwrap();
    let address = server.local_addrs().unwrap()[0].as_inet().unwrap();
    let stopper = server.stopper();
    let serving = thread::spawn(|| server.serve_forever());
    let mut client = Client::connect(address);
    let mut answers = |request: String| {
        client.send(request);
        client.reply().text()
    };
    assert_eq!(answers(get("/", "")), "unknown", "nobody has waited for it");
    let until = Instant::now() + PATIENCE;
    while answers(get("/", "")) != "known" {
        assert!(Instant::now() < until);
    }
    for _ in 0..20 {
        assert_eq!(answers(format!("\r\n{}", get("/", ""))), "unknown");
    }
    stopper.shutdown();
    serving.join().unwrap().unwrap();
}

/// RFC 9112 section 4, RFC 9110 sections 6.6.1, 8.6 and 10.2.4
#[test]
fn a_get_is_answered_with_head_and_body() {
    let site = Site::with(HELLO);
    let reply = Salver::serve(&site).get("/", "");
    check_reply(&reply, 200, "<h1>hello</h1>");
    assert!(reply.head.starts_with("HTTP/1.1 200 OK\r\n"), "{}", reply.head);
    assert_eq!(reply.field("content-length"), Some("14"));
    assert_eq!(reply.field("server"), Some("salver"));
    assert_eq!(reply.field("connection"), None);
    let date = salver::http::parse_date(reply.field("date").unwrap().as_bytes(), SystemTime::now()).unwrap();
    let off = date.elapsed().unwrap_or_else(|error| error.duration());
    assert!(off.as_secs() < 300, "{}", reply.head);
}

#[test]
fn curl_gets_what_is_served() {
    let site = Site::with(HELLO);
    let server = Salver::serve(&site);
    assert_eq!(curl(&[], &server.url("/a.txt")), "a");
    assert_eq!(curl(&["--http1.0"], &server.url("/b.txt")), "bb");
    assert_eq!(curl(&["--head", "--write-out", "%{http_code}", "--output", "/dev/null"], &server.url("/a.txt")), "200");
    // Three files over one connection.
    let format = "%{num_connects}\n";
    let urls = [server.url("/a.txt"), server.url("/b.txt")];
    let said = curl(&["--write-out", format, &urls[0], &urls[1]], &server.url("/c.txt"));
    assert_eq!(said, "a1\nbb0\nccc0\n");
}

/// RFC 9112 section 9.3
#[test]
fn a_connection_serves_one_request_after_the_other() {
    let site = Site::with(HELLO);
    let server = Salver::serve(&site);
    let mut client = server.connect();
    for (target, status) in [("/a.txt", 200), ("/missing", 404), ("/b.txt", 200), ("/%00", 400), ("/c.txt", 200)] {
        client.send(get(target, ""));
        let reply = client.reply();
        assert_eq!((reply.status, reply.field("connection")), (status, None), "{target}");
    }
    client.send(last("/a.txt"));
    assert_eq!(client.reply().field("connection"), Some("close"));
    client.expect_end();
}

/// Does the connection stay after this request, and what does the answer say of it?
#[track_caller]
fn check_connection(request: &str, field: Option<&str>, stays: bool) {
    let site = Site::with(HELLO);
    let server = Salver::serve(&site);
    let mut client = server.connect();
    client.send(request);
    let reply = client.reply();
    assert_eq!((reply.status, reply.field("connection")), (200, field), "{request}");
    if stays {
        client.send(get("/b.txt", ""));
        check_reply(&client.reply(), 200, "bb");
    } else {
        client.expect_end();
    }
}

/// RFC 9112 section 9.3 and appendix C.2.2, RFC 9110 section 2.5
#[test]
fn version_and_connection_field_decide_whether_it_stays() {
    check_connection("GET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n", None, true);
    check_connection("GET /a.txt HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\n\r\n", None, true);
    check_connection("GET /a.txt HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", Some("close"), false);
    check_connection("GET /a.txt HTTP/1.1\r\nHost: h\r\nConnection: x , CLOSE\r\n\r\n", Some("close"), false);
    check_connection(
        "GET /a.txt HTTP/1.1\r\nHost: h\r\nConnection: x\r\nconnection: close\r\n\r\n",
        Some("close"),
        false,
    );
    check_connection("GET /a.txt HTTP/1.0\r\n\r\n", Some("close"), false);
    check_connection("GET /a.txt HTTP/1.0\r\nConnection: close, keep-alive\r\n\r\n", Some("close"), false);
    check_connection("GET /a.txt HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", Some("keep-alive"), true);
    // A later minor version is served as the highest that is known.
    check_connection("GET /a.txt HTTP/1.9\r\nHost: h\r\n\r\n", None, true);
}

/// RFC 9112 section 9.3.2
#[test]
fn requests_sent_together_are_answered_in_order() {
    let site = Site::with(HELLO);
    // Many more than one turn serves, and more bytes than the buffer for a head takes at once.
    let server = Salver::set(&site, &[("turn_requests_max", "3"), ("workers", "1")]);
    let mut client = server.connect();
    let cases = [("/a.txt", 200, "a"), ("/b.txt", 200, "bb"), ("/nothing", 404, ""), ("/c.txt", 200, "ccc")];
    let asked = || cases.iter().cycle().take(1_000);
    let mut requests: String = asked().map(|(target, ..)| get(target, "")).collect();
    requests += &last("/a.txt");
    client.send(&requests);
    for (at, &(target, status, body)) in asked().enumerate() {
        let reply = client.reply();
        assert_eq!(reply.status, status, "{at} {target}");
        assert!(status == 404 || reply.body == body.as_bytes(), "{at} {target}: {}", reply.text());
    }
    check_reply(&client.reply(), 200, "a");
    client.expect_end();
}

/// RFC 9112 section 9.6
#[test]
fn what_follows_the_last_request_is_not_answered() {
    let site = Site::with(HELLO);
    let server = Salver::serve(&site);
    let mut client = server.connect();
    client.send(last("/a.txt") + &get("/b.txt", ""));
    check_reply(&client.reply(), 200, "a");
    client.expect_end();
}

/// RFC 9112 section 2.2: a message is a sequence of octets, however they arrive.
#[test]
fn a_request_may_come_in_any_pieces() {
    let site = Site::with(HELLO);
    let server = Salver::serve(&site);
    let two = get("/a.txt", "X-Y: z\r\n") + &last("/b.txt");
    for at in 1..two.len() {
        let mut client = server.connect();
        client.send(&two[..at]);
        client.send(&two[at..]);
        check_reply(&client.reply(), 200, "a");
        check_reply(&client.reply(), 200, "bb");
        client.expect_end();
    }
    let mut client = server.connect();
    two.bytes().for_each(|byte| client.send([byte]));
    check_reply(&client.reply(), 200, "a");
    check_reply(&client.reply(), 200, "bb");
}

/// RFC 9112 section 2.2
#[test]
fn empty_lines_before_a_request_are_skipped() {
    let site = Site::with(HELLO);
    let server = Salver::serve(&site);
    let mut client = server.connect();
    client.send(format!("\r\n{}\r\n\r\n{}", get("/a.txt", ""), last("/b.txt")));
    check_reply(&client.reply(), 200, "a");
    check_reply(&client.reply(), 200, "bb");
}

/// RFC 9112 section 3.2.2
#[test]
fn a_target_may_be_an_absolute_uri() {
    let site = Site::with(HELLO);
    let server = Salver::serve(&site);
    for (target, status) in [("http://other.example/a.txt?q", 200), ("HTTP://h", 200), ("http://h?q", 200)] {
        assert_eq!(server.get(target, "").status, status, "{target}");
    }
    // RFC 9110 section 7.4: what is to be had over a secured connection is not to be had over this one.
    for target in ["https://other.example/a.txt", "HTTPS://h"] {
        check_refused(&server, get(target, ""), 421);
    }
}

/// RFC 9110 section 9.3.2
#[test]
fn head_is_the_head_of_get() {
    let site = Site::with(HELLO);
    site.write("large.bin", vec![7; 300_000]);
    site.write("sub/index.html", "sub");
    let server = Salver::serve(&site);
    // A file that was just written has no tag yet.
    settle(&site, "", &server);
    let fields = |reply: &Reply| -> Vec<String> {
        reply.head.lines().filter(|line| !line.starts_with("Date: ")).map(str::to_owned).collect()
    };
    for target in ["/", "/a.txt", "/large.bin", "/sub", "/missing", "/.hidden", "/%"] {
        let of_get = server.get(target, "");
        let mut client = server.connect();
        let request = get(target, "").replace("GET", "HEAD") + &last("/b.txt");
        client.send(&request);
        let of_head = client.reply_to(&request);
        assert_eq!(fields(&of_head), fields(&of_get), "{target}");
        // No byte of a body stands between this answer and the next.
        check_reply(&client.reply(), 200, "bb");
        client.expect_end();
    }
}

/// RFC 9112 section 9.6
#[test]
fn a_half_closed_client_gets_its_answers() {
    let site = Site::with(HELLO);
    let server = Salver::serve(&site);
    let mut client = server.connect();
    client.send(get("/a.txt", "") + &get("/b.txt", ""));
    client.end_sending();
    check_reply(&client.reply(), 200, "a");
    check_reply(&client.reply(), 200, "bb");
    client.expect_end();
}

/// RFC 9112 section 8
#[test]
fn a_request_that_is_cut_gets_no_answer() {
    let site = Site::with(HELLO);
    let server = Salver::serve(&site);
    let body = "POST /a.txt HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc";
    for part in ["", "G", "GET / HTTP/1.1\r\nHost: h\r\n", body] {
        let mut client = server.connect();
        client.send(part);
        client.end_sending();
        client.expect_end();
    }
}

/// A request with this framing and body, and the next request, both are answered, wherever the bytes are cut.
#[track_caller]
fn check_body(server: &Salver, method: &str, framing: &str, body: &str) {
    let request = format!("{method} /a.txt HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n{body}") + &last("/b.txt");
    let head_bytes = request.find("\r\n\r\n").unwrap();
    for at in head_bytes..request.len() {
        let mut client = server.connect();
        client.send(&request[..at]);
        client.send(&request[at..]);
        let reply = client.reply();
        assert_eq!((reply.status, reply.field("connection")), (if method == "GET" { 200 } else { 405 }, None), "{at}");
        check_reply(&client.reply(), 200, "bb");
        client.expect_end();
    }
    let mut client = server.connect();
    request.bytes().for_each(|byte| client.send([byte]));
    client.reply();
    check_reply(&client.reply(), 200, "bb");
}

/// RFC 9112 sections 6.3, 7.1 and 9.3
#[test]
fn a_body_is_discarded_and_the_next_request_served() {
    let site = Site::with(HELLO);
    let server = Salver::serve(&site);
    for method in ["GET", "POST"] {
        check_body(&server, method, "Content-Length: 0", "");
        check_body(&server, method, "Content-Length: 18", "GET / HTTP/1.1\r\n\r\n");
        check_body(&server, method, "Transfer-Encoding: chunked", "0\r\n\r\n");
        check_body(
            &server,
            method,
            "transfer-encoding:CHUNKED",
            "5\r\nhello\r\nA;x=\"y\"\r\n\r\n34567890\r\n0\r\nX: y\r\n\r\n",
        );
    }
}

/// What is sent is refused with this status: the answer is complete and says that it is the last, and the connection
/// ends.
#[track_caller]
fn check_refused(server: &Salver, request: impl AsRef<[u8]>, status: u16) {
    let request = request.as_ref();
    let shown = start_of(request);
    let mut client = server.connect();
    client.send(request);
    let Some(reply) = client.next_reply(request.starts_with(b"HEAD ")) else { panic!("no answer to {shown}") };
    assert_eq!((reply.status, reply.field("connection")), (status, Some("close")), "{shown}");
    assert_eq!(reply.field("server"), Some("salver"), "{shown}");
    client.expect_end();
}

#[test]
fn what_is_malformed_is_refused_with_400() {
    let site = Site::with(HELLO);
    let server = Salver::serve(&site);
    let long_number = "9".repeat(30);
    for request in [
        // Request line: RFC 9112 sections 2.2, 2.3 and 3
        " GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /  HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: h\r\n\r\n",
        "GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /\r\nHost: h\r\n\r\n",
        "GET / http/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.10\r\nHost: h\r\n\r\n",
        "GET / HTTP/01.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.x\r\nHost: h\r\n\r\n",
        "GET / HTTP/0.9\r\nHost: h\r\n\r\n",
        "GET /\r\n",
        "GET HTTP/1.1\r\nHost: h\r\n\r\n",
        "G(T / HTTP/1.1\r\nHost: h\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}",
        "\0",
        "\n\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        // Target: RFC 9112 section 3.2, RFC 9110 sections 4.2.1, 4.2.4 and 9.3.6
        "GET a.txt HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET * HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET http:///a.txt HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET http://user@h/a.txt HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /a.txt#x HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /a\u{1}b HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /a\u{7f}b HTTP/1.1\r\nHost: h\r\n\r\n",
        "CONNECT / HTTP/1.1\r\nHost: h\r\n\r\n",
        "CONNECT h: HTTP/1.1\r\nHost: h\r\n\r\n",
        "CONNECT h:0 HTTP/1.1\r\nHost: h\r\n\r\n",
        // Host: RFC 9112 section 3.2, RFC 9110 section 7.2
        "GET / HTTP/1.1\r\n\r\n",
        "GET http://h/ HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: h\r\nhost: i\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: user@h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h/path\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: http://h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h:80x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h:-1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\"b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: \r\n\r\n",
        "GET / HTTP/1.1\r\nHost: %zz\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [1.2.3.4]\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h:65536\r\n\r\n",
        // Lines: RFC 9112 sections 2.2, 5.1 and 5.2, RFC 9110 section 5.5
        "GET / HTTP/1.1\nHost: h\n\n",
        "GET / HTTP/1.1\r\nHost: h\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n\n",
        "GET / HTTP/1.1\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\rHost: h\r\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n",
        // At once, although no end of the head ever comes.
        "GET / HTTP/1.1\rHost: h\r\r",
        "GET / HTTP/1.1\r\nHost: h\r\n\r\r\n",
        "GET / HTTP/1.1\r\n Host: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n\tb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX\t: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX Y: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX(: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX\u{fc}: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX: a\u{1b}b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX: a\u{7f}b\r\n\r\n",
        // Framing: RFC 9112 sections 6.1 and 6.3, RFC 9110 section 8.6
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1, 1\r\n\r\na",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\na",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\na",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x1\r\n\r\na",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1 1\r\n\r\na",
        &format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {long_number}\r\n\r\na"),
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        check_refused(&server, request, 400);
    }
    for body in [
        "\r\n",
        "x\r\n",
        "-1\r\n",
        "0x1\r\na\r\n",
        "1\na\r\n",
        "1 1\r\n",
        "1\r\nab\r\n",
        "1\r\na\n",
        "1\r\na0\r\n\r\n",
        "1;\n",
        "1;a\0b\r\n",
        "1;\r\na\r\n0\r\n\r\n",
        "1;a=\r\na\r\n0\r\n\r\n",
        "1;a=\"\r\na\r\n0\r\n\r\n",
        "0\r\nX\r\n\r\n",
        "0\r\n X: y\r\n\r\n",
        "0\r\nX : y\r\n\r\n",
        "0\r\n\n",
        "fffffffffffffffff\r\n",
    ] {
        let head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
        check_refused(&server, format!("{head}{body}"), 400);
    }
}

#[test]
fn what_is_odd_but_well_formed_is_served() {
    let site = Site::with(HELLO);
    let server = Salver::serve(&site);
    for request in [
        "GET /a.txt?a[b]=c|d HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /a.txt HTTP/1.1\r\nHOST:h\r\n\r\n",
        "GET /a.txt HTTP/1.1\r\nHost: \t h:80 \t \r\n\r\n",
        "GET /a.txt HTTP/1.1\r\nHost: [::1]:8000\r\n\r\n",
        "GET /a.txt HTTP/1.1\r\nHost: h\r\nX:\r\nY: a:b\r\n\r\n",
        "GET /a.txt HTTP/1.1\r\nHost: h\r\nX: \u{fc}\r\n\r\n",
        "GET /a.txt HTTP/1.1\r\nHost: h\r\n!#$%&'*+-.^_`|~: x\r\n\r\n",
        "GET /a.txt HTTP/1.0\r\n\r\n",
        "GET /a.txt HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n",
    ] {
        check_reply(&server.ask(request), 200, "a");
    }
}

/// RFC 9110 sections 2.5 and 15.6.6
#[test]
fn other_versions_are_refused_with_505() {
    let site = Site::with(HELLO);
    let server = Salver::serve(&site);
    for version in ["HTTP/2.0", "HTTP/3.0", "HTTP/9.9"] {
        check_refused(&server, format!("GET / {version}\r\nHost: h\r\n\r\n"), 505);
    }
    check_refused(&server, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505);
    let page = server.ask("GET / HTTP/9.9\r\n\r\n").text();
    assert!(page.contains("HTTP/1.1 and HTTP/1.0 are"), "it tells what is spoken (RFC 9110 section 15.6.6): {page}");
}

/// RFC 9112 sections 3 and 5.4, RFC 9110 section 15.5.15, RFC 6585 section 5
#[test]
fn a_head_has_its_limits() {
    let site = Site::with(HELLO);
    let server = Salver::serve(&site);
    let target = |line_bytes: usize| format!("/a.txt?{}", "q".repeat(line_bytes - "GET /a.txt? HTTP/1.1".len()));
    check_reply(&server.get(&target(8 << 10), ""), 200, "a");
    check_refused(&server, get(&target((8 << 10) + 1), ""), 414);
    check_refused(&server, format!("GET /{}", "a".repeat(100_000)), 414);
    check_refused(&server, "A".repeat(100_000), 501);

    let field = |bytes: usize| format!("X: {}\r\n", "x".repeat(bytes - "Host: localhost\r\nX: \r\n".len()));
    check_reply(&server.get("/a.txt", &field(16 << 10)), 200, "a");
    check_refused(&server, get("/a.txt", &field((16 << 10) + 1)), 431);
    check_refused(&server, format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(100_000)), 431);
    check_refused(&server, format!("GET / HTTP/1.1\r\n{}", "X: y\r\n".repeat(20_000)), 431);

    check_reply(&server.get("/a.txt", &"X: y\r\n".repeat(99)), 200, "a");
    check_refused(&server, get("/a.txt", &"X: y\r\n".repeat(100)), 431);
}

#[test]
fn limits_follow_the_configuration() {
    let site = Site::with(HELLO);
    let settings = [("request_line_bytes_max", "256"), ("field_section_bytes_max", "1024"), ("fields_max", "2")];
    let server = Salver::set(&site, &settings);
    check_refused(&server, get(&format!("/{}", "a".repeat(256)), ""), 414);
    check_refused(&server, get("/", &format!("X: {}\r\n", "x".repeat(1024))), 431);
    check_refused(&server, get("/", "X: y\r\nX: y\r\n"), 431);
    assert_eq!(server.get("/", "X: y\r\n").status, 200);
}

/// RFC 9110 section 15.5.14
#[test]
fn a_body_that_is_too_large_is_refused_with_413() {
    let site = Site::with(HELLO);
    let server = Salver::set(&site, &[("body_discard_bytes_max", "1000")]);
    let post = |framing: &str| format!("POST /a.txt HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n");
    let (fits, too_much) = ("x".repeat(1000), "x".repeat(1001));
    assert_eq!(server.ask(post("Content-Length: 1000") + &fits).status, 405);
    assert_eq!(server.ask(post("Transfer-Encoding: chunked") + &format!("3e8\r\n{fits}\r\n0\r\n\r\n")).status, 405);
    // Told without waiting for it, and with all of it on the way.
    check_refused(&server, post("Content-Length: 1001"), 413);
    check_refused(&server, post("Content-Length: 1001") + &too_much, 413);
    check_refused(&server, post("Content-Length: 18446744073709551615"), 413);
    check_refused(&server, post("Transfer-Encoding: chunked") + "3e9\r\n", 413);
    check_refused(&server, post("Transfer-Encoding: chunked") + &format!("3e8\r\n{fits}\r\n1\r\n"), 413);
    check_refused(&server, post("Transfer-Encoding: chunked") + &"1\r\nx\r\n".repeat(2000), 413);
    assert_eq!(server.get("/a.txt", &format!("Content-Length: 1000\r\n\r\n{fits}")).status, 200);
    assert!(server.ask(post("Content-Length: 1001")).head.starts_with("HTTP/1.1 413 Content Too Large\r\n"));
}

/// RFC 9112 section 9.6
#[test]
fn a_refusal_is_readable_while_the_client_keeps_sending() {
    let site = Site::with(HELLO);
    // On a loaded machine the client takes its time.
    let server = Salver::set(&site, &[("linger_timeout_s", "3600")]);
    // More than the sockets' buffers and a turn hold.
    let more = "x".repeat(8_000_000);
    check_refused(&server, format!("POST /a.txt HTTP/1.1\r\nHost: h\r\nContent-Length: 8000000\r\n\r\n{more}"), 413);
    check_refused(&server, format!("BAD\r\n\r\n{more}"), 400);
    check_refused(&server, format!("{}{more}", last("/missing").replace("Host", "Hast")), 400);
    // The last answer that was asked for, too.
    let mut client = server.connect();
    client.send(last("/a.txt") + &more);
    check_reply(&client.reply(), 200, "a");
    client.expect_end();
}

/// RFC 9112 section 9.6
#[test]
fn nobody_is_read_for_ever_after_the_last_answer() {
    let site = Site::with(HELLO);
    let server = Salver::set(&site, &[("linger_bytes_max", "100000"), ("linger_timeout_s", "3600")]);
    let mut client = server.connect();
    client.send("BAD\r\n\r\n");
    assert_eq!(client.reply().status, 400);
    until_cut(&mut client, &[b'x'; 1000]);

    let server = Salver::set(&site, &[("linger_timeout_s", "1")]);
    let mut client = server.connect();
    client.send("BAD\r\n\r\n");
    assert_eq!(client.reply().status, 400);
    until_cut(&mut client, b"x");
}

/// Sends without end; the server ends it.
#[track_caller]
fn until_cut(client: &mut Client, piece: &[u8]) {
    let deadline = Instant::now() + PATIENCE;
    while client.try_send(piece) {
        assert!(Instant::now() < deadline, "it is still read");
    }
}

/// RFC 9110 sections 10.1.1 and 15.5.18
#[test]
fn an_expectation_is_answered_finally() {
    let site = Site::with(HELLO);
    let server = Salver::serve(&site);
    let put = |expect: &str| format!("PUT /a.txt HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: {expect}\r\n\r\n");
    // The body is of no interest, so the client is spared sending it.
    check_refused(&server, put("100-continue"), 405);
    check_refused(&server, put("100-Continue") + "abc", 405);
    check_refused(&server, put("100-continue").replace(": 3", ": 3000000"), 413);
    check_refused(&server, put("miracles"), 417);
    // HTTP/1.0 knows no expectations.
    assert_eq!(server.ask(put("100-continue").replace("HTTP/1.1", "HTTP/1.0") + "abc").status, 405);
    let upload = site.join("upload").display().to_string();
    let code = ["--write-out", "%{http_code}", "--output", "/dev/null"];
    for (size, status) in [(60 << 10, "405"), (3 << 20, "413")] {
        site.write("upload", vec![b'x'; size]);
        let arguments = [&code[..], &["--upload-file", &upload]].concat();
        assert_eq!(curl(&arguments, &server.url("/a.txt")), status);
    }
}

/// RFC 9110 section 15.5.9
#[test]
fn a_head_that_takes_too_long_is_told_408() {
    let site = Site::with(HELLO);
    let server = Salver::set(&site, &[("head_timeout_s", "0.2")]);
    for start in ["G", "GET /a.txt HTTP/1.1\r\nHost: h\r\n", "\r"] {
        check_refused(&server, start, 408);
    }
    // On a connection that has served before, too.
    let mut client = server.connect();
    client.send(get("/a.txt", "") + "GET");
    check_reply(&client.reply(), 200, "a");
    assert_eq!(client.reply().status, 408);
    client.expect_end();
}

#[test]
fn a_trickle_does_not_extend_the_time_for_a_head() {
    let site = Site::with(HELLO);
    let server = Salver::set(&site, &[("head_timeout_s", "0.2")]);
    check_trickle(server.connect(), "GET / HTTP/1.1\r\nX: ");
}

#[test]
fn a_trickle_does_not_extend_the_time_for_a_body() {
    let site = Site::with(HELLO);
    let server = Salver::set(&site, &[("body_timeout_s", "0.2")]);
    check_trickle(server.connect(), "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 60000\r\n\r\n");
    check_trickle(server.connect(), "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nEA60\r\n");
}

/// A byte from time to time, and in the end 408.
#[track_caller]
fn check_trickle(mut client: Client, start: &str) {
    client.send(start);
    while !client.fills_within(20) {
        client.send("x");
    }
    assert_eq!(client.reply().status, 408);
    client.expect_end();
}

#[test]
fn a_silent_connection_is_closed_in_silence() {
    let site = Site::with(HELLO);
    let server = Salver::set(&site, &[("idle_timeout_s", "0.2")]);
    server.connect().expect_end();
    let mut client = server.connect();
    client.send(get("/a.txt", ""));
    check_reply(&client.reply(), 200, "a");
    client.expect_end();
}

#[test]
fn empty_lines_buy_no_time() {
    let site = Site::with(HELLO);
    let server = Salver::set(&site, &[("idle_timeout_s", "3600"), ("head_timeout_s", "0.2")]);
    let mut client = server.connect();
    client.send("\r\n");
    client.expect_end();
}

#[test]
fn no_bytes_make_it_panic() {
    let site = Site::with(HELLO);
    let server = Salver::serve(&site);
    let seeds = [
        get("/a.txt?x", "Range: bytes=0-1\r\nIf-None-Match: \"a\", W/\"b\"\r\n"),
        get("/%61%2e/../b.txt", "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\nIf-Range: \"x\"\r\nRange: bytes=-5\r\n"),
        "POST /a.txt HTTP/1.1\r\nHost: [::1]:80\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n".into(),
        "OPTIONS * HTTP/1.0\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc".into(),
    ];
    let mut random = Random::new(0);
    for round in 0..400 {
        let mut bytes = seeds[round % seeds.len()].clone().into_bytes();
        for _ in 0..=random.below(4) {
            let at = random.below(bytes.len());
            match random.below(4) {
                0 => bytes[at] = random.below(256) as u8,
                1 if bytes.len() > 1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, b"\r\n\0 :/%-,;\"\xff0"[random.below(13)]),
                _ => bytes.truncate(at.max(1)),
            }
        }
        let mut client = server.connect();
        client.send(&bytes);
        // It may be closed already.
        let _ = client.stream.shutdown(Shutdown::Write);
        let answer = client.rest();
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 "), "{}", bytes.escape_ascii());
    }
    check_reply(&server.get("/a.txt", ""), 200, "a");
    let log = server.log();
    assert!(!log.contains("panic"), "{log}");
}
