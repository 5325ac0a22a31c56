//! What lines of the access log look like, and that log analysers read them.

use std::path::PathBuf;
use std::process::Command;

use crate::support::{Client, Salver, Site, end_of, is_installed, serving};

/// Requests that try to end a line, its quotes or an object, or to talk to a terminal.
const ODD: [&[u8]; 8] = [
    b"GET /?q=\"a\"\\ HTTP/1.1\r\nHost: a\r\nUser-Agent: x\" 200 5 \"-\" \"y\r\nReferer: http://a/\\\"\r\n\r\n",
    b"GET /\xc3\xbc\xff?\xf0\x9f\xa6\x80 HTTP/1.1\r\nHost: a\r\nUser-Agent: \xff\xc3\xbc\r\n\r\n",
    b"GET /\x1b[31m HTTP/1.1\r\nHost: a\r\nUser-Agent: \x1b[2J\r\n\r\n",
    b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\x16\x03\x01\x02\x00\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent:\r\nReferer: \t \r\n\r\n",
    b"GET /\nforged HTTP/1.1\r\nHost: a\r\n\r\n",
    b"BREW /pot HTTP/1.1\r\nHost: a\r\nReferer: a\r\nReferer: b\r\n\r\n",
];

/// A server that has been asked all this and then stopped, and the lines of its access log.
#[track_caller]
fn lines_of(format: &str, requests: &[&[u8]]) -> (Salver, Vec<String>) {
    let (site, logs) = (Site::with(&[("index.html", "home")]), Site::new());
    let file = logs.join("access.log");
    let file = file.to_str().unwrap();
    let mut server = Salver::start(&site, &["--log-format", format, "--log-file", file, "--color", "always"]);
    requests.iter().for_each(|request| drop(server.ask(request)));
    assert_eq!(server.stop().code(), Some(0));
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    (server, text.lines().map(str::to_owned).collect())
}

/// `2026-11-21T04:14:56.945Z` and the like, with these marks for digits.
fn digits_as_marks(text: &str) -> String {
    text.chars().map(|character| if character.is_ascii_digit() { '9' } else { character }).collect()
}

const PLAIN: &[u8] = b"GET /?a HTTP/1.1\r\nHost: h\r\nReferer: http://x/\r\nUser-Agent: curl/8.1\r\n\r\n";

#[test]
fn each_format_has_its_line() {
    let (_, lines) = lines_of("short", &[PLAIN]);
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert!(digits_as_marks(line).starts_with("9999-99-99T99:99:99.999Z 999.9.9.9:9"), "{line}");
    assert!(line.contains(" \"GET /?a HTTP/1.1\" 200 4 ") && line.ends_with("ms"), "{line}");

    for (format, end) in [("common", ""), ("combined", " \"http://x/\" \"curl/8.1\"")] {
        let (_, lines) = lines_of(format, &[PLAIN]);
        let [line] = &lines[..] else { panic!("{lines:?}") };
        let time = line.strip_prefix("127.0.0.1 - - [").and_then(|rest| rest.split_once(']')).unwrap();
        assert_eq!(time.1, format!(" \"GET /?a HTTP/1.1\" 200 4{end}"));
        let time = digits_as_marks(time.0);
        assert!(time.len() == 26 && time.starts_with("99/") && time.ends_with("/9999:99:99:99 +9999"), "{line}");
    }

    let (_, lines) = lines_of("json", &[PLAIN]);
    let [line] = &lines[..] else { panic!("{lines:?}") };
    let object: serde_json::Value = serde_json::from_str(line).unwrap();
    for (key, expected) in [
        ("client", "\"127.0.0.1\""),
        ("user", "null"),
        ("method", "\"GET\""),
        ("target", "\"/?a\""),
        ("protocol", "\"HTTP/1.1\""),
        ("status", "200"),
        ("referer", "\"http://x/\""),
        ("user_agent", "\"curl/8.1\""),
        ("bytes", "4"),
        ("cut", "false"),
    ] {
        assert_eq!(object[key].to_string(), expected, "{key}: {line}");
    }
    assert_eq!(digits_as_marks(object["time"].as_str().unwrap()), "9999-99-99T99:99:99.999Z");
    assert!(object["port"].is_u64() && object["duration_ms"].is_f64(), "{line}");

    let (server, lines) = lines_of("off", &[PLAIN]);
    assert_eq!(lines, Vec::<String>::new());
    assert!(server.log().contains(" stopped\n"), "{}", server.log());
}

#[test]
fn no_request_forges_a_line() {
    for format in ["short", "common", "combined", "json"] {
        let (_, lines) = lines_of(format, &ODD);
        assert_eq!(lines.len(), ODD.len(), "{format}: {lines:?}");
        for line in &lines {
            assert!(line.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{line}");
        }
    }
    let (_, lines) = lines_of("combined", &ODD);
    // Lines of different connections may change places.
    for (start, end) in [
        (r#""GET /?q=\x22a\x22\x5C HTTP/1.1" "#, r#" "http://a/\x5C\x22" "x\x22 200 5 \x22-\x22 \x22y""#),
        (r#""GET /\xC3\xBC\xFF?\xF0\x9F\xA6\x80 HTTP/1.1" 400 "#, r#" "-" "\xFF\xC3\xBC""#),
        (r#""GET /\x1B[31m HTTP/1.1" 400 "#, r#" "-" "\x1B[2J""#),
        (r#""\x16\x03\x01\x02\x00" 400 "#, r#" "-" "-""#),
        (r#""GET / HTTP/1.1" 200 4 "#, r#"4 "-" "-""#),
        (r#""GET /" 400 "#, r#" "-" "-""#),
        (r#""BREW /pot HTTP/1.1" 501 "#, r#" "a" "-""#),
    ] {
        let is_it = |line: &&String| line.split_once("] ").is_some_and(|(_, line)| line.starts_with(start));
        let found: Vec<&String> = lines.iter().filter(is_it).collect();
        assert!(found.len() == 1 && found[0].ends_with(end), "{start}: {lines:?}");
    }
}

#[test]
fn json_is_json_whatever_is_asked_for() {
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\nUser-Agent: {0}\r\n\r\n", "\"\u{fc}".repeat(1_500));
    let requests: Vec<&[u8]> = ODD.into_iter().chain([long.as_bytes()]).collect();
    let (_, lines) = lines_of("json", &requests);
    assert_eq!(lines.len(), requests.len());
    let read: Vec<serde_json::Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(read.iter().all(|object| object.as_object().unwrap().len() == 13));
    let one = |key: &str, is_it: &dyn Fn(&str) -> bool| {
        let found: Vec<_> = read.iter().filter(|object| object[key].as_str().is_some_and(is_it)).collect();
        assert_eq!(found.len(), 1, "{key}: {read:?}");
        found[0].clone()
    };
    one("target", &|target| target == "/?q=\"a\"\\");
    one("target", &|target| target == "/\u{fc}\u{fffd}?\u{1f980}");
    assert!(one("method", &|method| method == "\u{16}\u{3}\u{1}\u{2}\0")["target"].is_null());
    one("target", &|target| target.ends_with("..."));
}

/// Over a UNIX socket nobody has an address; nginx says it so too.
#[test]
fn a_peer_without_an_address_is_unix() {
    let (site, logs) = (Site::with(&[("a", "a")]), Site::new());
    let (socket, file) = (logs.join("sock"), logs.join("access.log"));
    let mut command = serving(&site);
    command.args(["-b", &format!("unix:{}", socket.display()), "--log-format", "combined", "--log-file"]).arg(&file);
    let mut server = Salver::start_elsewhere(&mut command, std::process::Stdio::null());
    let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    std::io::Write::write_all(&mut stream, b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
    std::io::Read::read_to_end(&mut stream, &mut Vec::new()).unwrap();
    assert_eq!(server.stop().code(), Some(0));
    let log = std::fs::read_to_string(file).unwrap();
    assert!(log.starts_with("unix: - - [") && log.ends_with("\"GET /a HTTP/1.1\" 200 1 \"-\" \"-\"\n"), "{log}");
}

/// A log of good, bad and odd requests, for an analyser.
fn written(format: &str, logs: &Site) -> PathBuf {
    let site = Site::with(&[("index.html", "home"), ("a.css", "x")]);
    let file = logs.join(format);
    let mut server = Salver::start(&site, &["--log-format", format, "--log-file", file.to_str().unwrap()]);
    let mut client = Client::connect(server.address);
    for (target, status) in [("/", 200), ("/a.css?v=1", 200), ("/missing", 404), ("/wp-login.php", 404)] {
        for agent in ["Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0", "a \"b\" \\c"] {
            let lines = format!("Referer: http://x.example/\"?q\r\nUser-Agent: {agent}\r\n");
            client.send(crate::support::get(target, &lines));
            assert_eq!(client.reply().status, status);
        }
    }
    drop(client);
    ODD.iter().for_each(|request| drop(server.ask(request)));
    assert_eq!(server.stop().code(), Some(0));
    file
}

#[test]
fn goaccess_reads_every_line() {
    if !is_installed("goaccess") {
        return;
    }
    let logs = Site::new();
    for (format, name) in [("common", "COMMON"), ("combined", "COMBINED")] {
        let (log, report) = (written(format, &logs), logs.join("report.json"));
        let mut command = Command::new("goaccess");
        command.arg(&log).args([&format!("--log-format={name}"), "--no-global-config", "--no-progress", "-o"]);
        let ended = end_of(command.arg(&report));
        assert_eq!(ended.status, Some(0), "{ended:?}");
        let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
        let general = &report["general"];
        assert_eq!(general["total_requests"], 8 + ODD.len(), "{format}: {general}");
        assert_eq!(general["failed_requests"], 0, "{format}: {general}");
        assert_eq!(general["valid_requests"], 8 + ODD.len(), "{format}: {general}");
    }
}

/// SWS#735: there is no line with client, request and status together, so that no rule can be written.
#[test]
fn a_rule_for_fail2ban_can_be_written() {
    if !is_installed("fail2ban-regex") {
        return;
    }
    let logs = Site::new();
    for format in ["common", "combined", "short"] {
        let log = written(format, &logs);
        let rule = match format {
            // The time is cut out before the rule is tried.
            "short" => r#"^\s*<HOST>:\d+ "[^"]*wp-login[^"]*" 404 "#,
            _ => r#"^<HOST> - \S+ \[[^\]]*\] "[^"]*wp-login[^"]*" 404 "#,
        };
        let ended = end_of(Command::new("fail2ban-regex").arg(&log).arg(rule));
        let expected = format!("Lines: {} lines, 0 ignored, 2 matched, {} missed", 8 + ODD.len(), 6 + ODD.len());
        assert!(ended.stdout.contains(&expected), "{format}: {expected}: {ended:?}");
    }
    // One of the filters that come with it, for nginx.
    let filter = "/etc/fail2ban/filter.d/nginx-bad-request.conf";
    if std::path::Path::new(filter).exists() {
        let log = written("combined", &logs);
        let refused = std::fs::read_to_string(&log).unwrap().lines().filter(|line| line.contains("\" 400 ")).count();
        let ended = end_of(Command::new("fail2ban-regex").arg(&log).arg(filter));
        assert!(refused > 0 && ended.stdout.contains(&format!(" {refused} matched,")), "{refused}: {ended:?}");
    }
}

/// The client is the one that a trusted proxy names, and the user the one that it says it is.
#[test]
#[cfg(feature = "auth")]
fn a_line_tells_client_and_user() {
    use super::access::{ANNA, AS_ANNA};
    for (format, expected) in [
        ("common", "203.0.113.7 - anna ["),
        ("short", " 203.0.113.7 anna \"GET / HTTP/1.1\" 200 4 "),
        ("json", "\"client\":\"203.0.113.7\",\"port\":null,\"user\":\"anna\","),
    ] {
        let (site, logs) = (Site::with(&[("index.html", "home")]), Site::new());
        let file = logs.join("access.log");
        let flags = ["--trust-proxy", "127.0.0.1", "--proxy-header", "x-forwarded-for", "--user", ANNA];
        let logging = ["--log-format", format, "--log-file", file.to_str().unwrap()];
        let mut server = Salver::start(&site, &[&flags[..], &logging].concat());
        let lines = format!("X-Forwarded-For: 198.51.100.1, 203.0.113.7\r\n{AS_ANNA}");
        assert_eq!(server.get("/", &lines).status, 200);
        assert_eq!(server.stop().code(), Some(0));
        let log = std::fs::read_to_string(file).unwrap();
        assert!(log.contains(expected), "{format}: {log}");
    }
}
