//! The access log: one line a request, through `log`, target `access`.
//!
//! What is known when an answer begins is written down then, in a buffer that the worker keeps, as the request's head is
//! gone by the time that the answer is out; what is known only then is put where it belongs. When nobody listens
//! nothing is done but to ask.

use std::cell::Cell;
use std::fmt::{self, Write as _};
use std::time::{Instant, SystemTime};

use log::{Level, info, log_enabled};

use ::http::StatusCode;

use super::client::Client;
use super::date;
use super::headers::trim;
use super::log_text::{Escaped, Json, Word};

/// What a line of the access log looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// `127.0.0.1:56664 "GET / HTTP/1.1" 200 8249 0.827ms`: client, user if there is one, request line, status, bytes of content, time taken; ` cut`
    /// behind it where the answer is not complete. The time of day is for the logger to add.
    #[default]
    Short,
    /// The Common Log Format of NCSA httpd, with the time in UTC:
    /// `127.0.0.1 - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" 200 8249`.
    Common,
    /// The same with the fields Referer and User-Agent in quotes, as nginx and Apache httpd have it.
    Combined,
    /// An object of JSON (RFC 8259) with the keys `time` (RFC 3339, UTC), `client`, `port`, `user`, `method`, `target`,
    /// `protocol`, `status`, `referer`, `user_agent`, `bytes`, `duration_ms` and `cut`. What isn't there is null.
    Json,
    /// No lines.
    Off,
}

impl LogFormat {
    /// Each by its name in a configuration.
    pub const NAMES: [(&'static str, Self); 5] = [
        ("short", Self::Short),
        ("common", Self::Common),
        ("combined", Self::Combined),
        ("json", Self::Json),
        ("off", Self::Off),
    ];

    /// Whether there are lines of this format, and somebody listens.
    pub(super) fn is_wanted(self) -> bool {
        self != Self::Off && log_enabled!(target: "access", Level::Info)
    }
}

/// Who asked, and the name under which that was.
type Who<'a> = (Client<'a>, Option<&'a str>);

/// What is known of a request when its answer begins; nothing when nobody listens.
#[derive(Debug)]
pub(super) struct Record(Option<Known>);

#[derive(Debug)]
struct Known {
    format: LogFormat,
    /// The line without bytes and time taken, and with room for the time of day.
    line: String,
    /// Where in it that room is.
    time_at: usize,
    /// Where the bytes belong.
    bytes_at: usize,
    began: Instant,
}

impl Record {
    /// `began` is none when [nobody listens](LogFormat::is_wanted). `head` begins with the request line, and need not be a
    /// good one; `buffer` lends its memory until the line is written.
    pub(super) fn new(
        format: LogFormat,
        buffer: &Cell<String>,
        who: Who<'_>,
        head: &[u8],
        status: StatusCode,
        began: Option<Instant>,
    ) -> Self {
        let Some(began) = began else { return Self(None) };
        let mut line = buffer.take();
        line.clear();
        let mut known = Known { format, line, time_at: 0, bytes_at: 0, began };
        // A write to memory doesn't fail.
        let _ = match format {
            LogFormat::Json => known.begin_json(who, head, status),
            LogFormat::Common | LogFormat::Combined => known.begin_common(who, head, status),
            LogFormat::Short | LogFormat::Off => known.begin_short(who, head, status),
        };
        Self(Some(known))
    }

    /// Writes the line, once the answer is out, or is cut. Gives back the buffer.
    pub(super) fn write(self, bytes: u64, cut: bool) -> String {
        let Some(mut known) = self.0 else { return String::new() };
        let micros = known.began.elapsed().as_micros();
        let (milliseconds, rest) = (micros / 1000, micros % 1000);
        known.put_time(SystemTime::now());
        let (before, after) = known.line.split_at(known.bytes_at);
        match known.format {
            LogFormat::Short | LogFormat::Off => {
                let cut = if cut { " cut" } else { "" };
                info!(target: "access", "{before} {bytes} {milliseconds}.{rest:03}ms{cut}");
            }
            LogFormat::Common | LogFormat::Combined => info!(target: "access", "{before}{bytes}{after}"),
            LogFormat::Json => {
                info!(target: "access", "{before}{bytes},\"duration_ms\":{milliseconds}.{rest:03},\"cut\":{cut}}}");
            }
        }
        known.line
    }
}

/// Room for the time of day.
const COMMON_TIME: &str = "00/Jan/1970:00:00:00 +0000";
const RFC3339_TIME: &str = "1970-00-00T00:00:00.000Z";

impl Known {
    /// Puts the time of day where there is room for it.
    fn put_time(&mut self, now: SystemTime) {
        let (common, rfc3339);
        let text: &[u8] = match self.format {
            LogFormat::Common | LogFormat::Combined => {
                common = date::common_time(now);
                &common
            }
            LogFormat::Json => {
                rfc3339 = date::rfc3339_time(now);
                &rfc3339
            }
            LogFormat::Short | LogFormat::Off => return,
        };
        let room = self.time_at..self.time_at + text.len();
        self.line.replace_range(room, str::from_utf8(text).unwrap_or_default());
    }

    fn begin_short(&mut self, (client, user): Who<'_>, head: &[u8], status: StatusCode) -> fmt::Result {
        write!(self.line, "{client} ")?;
        if let Some(user) = user {
            write!(self.line, "{} ", Word(user.as_bytes()))?;
        }
        write!(self.line, "\"{}\" {}", Escaped(request_line(head)), status.as_str())?;
        self.bytes_at = self.line.len();
        Ok(())
    }

    fn begin_common(&mut self, (client, user): Who<'_>, head: &[u8], status: StatusCode) -> fmt::Result {
        match client.ip() {
            Some(ip) => write!(self.line, "{ip} - ")?,
            // As nginx has it.
            None => self.line.push_str("unix: - "),
        }
        match user {
            Some(user) => write!(self.line, "{} [", Word(user.as_bytes()))?,
            None => self.line.push_str("- ["),
        }
        self.time_at = self.line.len();
        self.line.push_str(COMMON_TIME);
        write!(self.line, "] \"{}\" {} ", Escaped(request_line(head)), status.as_str())?;
        self.bytes_at = self.line.len();
        if self.format == LogFormat::Combined {
            let [referer, user_agent] = fields(head).map(|value| Escaped(value.unwrap_or(b"-")));
            write!(self.line, " \"{referer}\" \"{user_agent}\"")?;
        }
        Ok(())
    }

    fn begin_json(&mut self, (client, user): Who<'_>, head: &[u8], status: StatusCode) -> fmt::Result {
        self.line.push_str("{\"time\":\"");
        self.time_at = self.line.len();
        self.line.push_str(RFC3339_TIME);
        match client.ip() {
            Some(ip) => write!(self.line, "\",\"client\":\"{ip}\",\"port\":")?,
            None => self.line.push_str("\",\"client\":\"unix:\",\"port\":"),
        }
        match client.port() {
            Some(port) => write!(self.line, "{port}")?,
            None => self.line.push_str("null"),
        }
        let (method, target, protocol) = words(request_line(head));
        let [referer, user_agent] = fields(head);
        write!(
            self.line,
            ",\"user\":{},\"method\":{},\"target\":{},\"protocol\":{},\"status\":{},\"referer\":{},\"user_agent\":{},\
             \"bytes\":",
            Json(user.map(str::as_bytes)),
            Json(Some(method)),
            Json(target),
            Json(protocol),
            status.as_str(),
            Json(referer),
            Json(user_agent),
        )?;
        self.bytes_at = self.line.len();
        Ok(())
    }
}

fn request_line(head: &[u8]) -> &[u8] {
    let end = memchr::memchr2(b'\r', b'\n', head).unwrap_or(head.len());
    &head[..end]
}

/// Method, target and protocol of a request line, which may be malformed: put together with spaces they are that line.
fn words(line: &[u8]) -> (&[u8], Option<&[u8]>, Option<&[u8]>) {
    let Some(at) = memchr::memchr(b' ', line) else { return (line, None, None) };
    let (method, rest) = (&line[..at], &line[at + 1..]);
    match memchr::memrchr(b' ', rest) {
        Some(at) if rest[at + 1..].starts_with(b"HTTP/") => (method, Some(&rest[..at]), Some(&rest[at + 1..])),
        _ => (method, Some(rest), None),
    }
}

/// The values of the first Referer and the first User-Agent of a head that may be malformed. What comes behind an empty line
/// is another request's.
fn fields(head: &[u8]) -> [Option<&[u8]>; 2] {
    let mut found = [None, None];
    for at in memchr::memchr_iter(b'\n', head) {
        let line = &head[at + 1..];
        let (slot, name): (_, &[u8]) = match line {
            [b'R' | b'r', ..] => (&mut found[0], b"referer:"),
            [b'U' | b'u', ..] => (&mut found[1], b"user-agent:"),
            [b'\n', ..] | [b'\r', b'\n', ..] => break,
            _ => continue,
        };
        let Some((start, rest)) = line.split_at_checked(name.len()) else { continue };
        if slot.is_none() && start.eq_ignore_ascii_case(name) {
            let end = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
            *slot = Some(trim(&rest[..end]));
        }
    }
    found.map(|value| value.filter(|value| !value.is_empty()))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    /// What is written down when an answer begins: before the time of day, between that and the bytes, and after those.
    #[track_caller]
    fn check(format: LogFormat, head: &[u8], expected: [&str; 3]) {
        let client: Client<'_> = "[::ffff:192.0.2.7]:50000".parse::<SocketAddr>().unwrap().into();
        let mut known = Known { format, line: String::new(), time_at: 0, bytes_at: 0, began: Instant::now() };
        let who = (client, Some("a b\""));
        match format {
            LogFormat::Json => known.begin_json(who, head, StatusCode::OK).unwrap(),
            _ => known.begin_common(who, head, StatusCode::OK).unwrap(),
        }
        let room = if format == LogFormat::Json { RFC3339_TIME } else { COMMON_TIME };
        let (before, after) = known.line.split_at(known.bytes_at);
        let (before, middle) = before.split_at(known.time_at);
        let middle = middle.strip_prefix(room).unwrap();
        assert_eq!([before, middle, after], expected);
    }

    #[test]
    fn a_line_has_what_analysers_read() {
        let head =
            b"GET /\"\xff HTTP/1.1\r\nHost: h\r\nReferer:  http://a/\"b\r\nUSER-AGENT: Mozilla/5.0 (\\)\t\r\n\r\n";
        let request = "] \"GET /\\x22\\xFF HTTP/1.1\" 200 ";
        check(LogFormat::Common, head, ["192.0.2.7 - a\\x20b\\x22 [", request, ""]);
        let fields = " \"http://a/\\x22b\" \"Mozilla/5.0 (\\x5C)\"";
        check(LogFormat::Combined, head, ["192.0.2.7 - a\\x20b\\x22 [", request, fields]);
        let bare = b"\xff\r\nuser-agentx: 1\r\nreferer :2\nuser-agent:\r\n";
        check(LogFormat::Combined, bare, ["192.0.2.7 - a\\x20b\\x22 [", "] \"\\xFF\" 200 ", " \"-\" \"-\""]);
        for end in ["\r\n\r\n", "\n\n", "\n\r\n"] {
            let two = format!("\u{16}\nUser-Agent: 1{end}GET / HTTP/1.1\r\nReferer: 2\r\nUser-Agent: 3\r\n\r\n");
            check(
                LogFormat::Combined,
                two.as_bytes(),
                ["192.0.2.7 - a\\x20b\\x22 [", "] \"\\x16\" 200 ", " \"-\" \"1\""],
            );
        }
        check(
            LogFormat::Json,
            head,
            [
                "{\"time\":\"",
                "\",\"client\":\"192.0.2.7\",\"port\":50000,\"user\":\"a b\\\"\",\"method\":\"GET\",\
                 \"target\":\"/\\\"\\ufffd\",\"protocol\":\"HTTP/1.1\",\"status\":200,\"referer\":\"http://a/\\\"b\",\
                 \"user_agent\":\"Mozilla/5.0 (\\\\)\",\"bytes\":",
                "",
            ],
        );
    }

    #[test]
    fn a_request_line_has_up_to_three_words() {
        for (line, expected) in [
            ("GET / HTTP/1.1", ("GET", Some("/"), Some("HTTP/1.1"))),
            ("GET /a b HTTP/1.1", ("GET", Some("/a b"), Some("HTTP/1.1"))),
            ("GET  HTTP/1.1", ("GET", Some(""), Some("HTTP/1.1"))),
            ("GET /", ("GET", Some("/"), None)),
            ("GET / x", ("GET", Some("/ x"), None)),
            ("GET HTTP/1.1", ("GET", Some("HTTP/1.1"), None)),
            ("\u{16}\u{3}", ("\u{16}\u{3}", None, None)),
            ("", ("", None, None)),
        ] {
            let (method, target, protocol) = expected;
            let expected = (method.as_bytes(), target.map(str::as_bytes), protocol.map(str::as_bytes));
            assert_eq!(words(line.as_bytes()), expected, "{line}");
        }
    }
}
