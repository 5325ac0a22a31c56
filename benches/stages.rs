//! What each stage of a request costs, without sockets: `cargo bench --bench stages`.
//!
//! Most stages are private. They are reached through `stages` modules of their layers, hidden and only there with the
//! feature `stages`, which no build of the library or the program has: only this package as its own dev-dependency.
#![allow(clippy::unwrap_used, reason = "a stage that refuses what is measured is a mistake here")]
#![allow(missing_docs, reason = "nobody depends on a benchmark")]

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use divan::{Bencher, bench};
use http::{HeaderName, HeaderValue, StatusCode, header};
use salver::files::{self, Files, Options};
use salver::http::{Body, FieldLinesBuilder, Handler, Limits, PreparedHead, Response, format_date, parse_date, stages};

fn main() {
    divan::main();
}

/// A head by the name that the table shows.
fn head(name: &str) -> &'static [u8] {
    if name == "browser" { BROWSER.as_bytes() } else { SMALL.as_bytes() }
}

const SMALL: &str = "GET /index.html HTTP/1.1\r\nHost: localhost\r\n\r\n";

const BROWSER: &str = "GET /index.html?page=2 HTTP/1.1\r\n\
    Host: localhost:8000\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-GB,en;q=0.7,de;q=0.3\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Referer: http://localhost:8000/docs/index.html\r\n\
    DNT: 1\r\n\
    Connection: keep-alive\r\n\
    Cookie: session=4f1c0a9b7d2e48c6; theme=dark; consent=necessary\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    Sec-Fetch-Dest: document\r\n\
    Sec-Fetch-Mode: navigate\r\n\
    Sec-Fetch-Site: same-origin\r\n\
    Sec-Fetch-User: ?1\r\n\
    If-Modified-Since: Fri, 06 Dec 2024 00:00:00 GMT\r\n\
    If-None-Match: \"8d777f385d3dfec8815d20f7496026dc\"\r\n\
    Priority: u=0, i\r\n\r\n";

const ETAG: &str = "\"8d777f385d3dfec8815d20f7496026dc\"";
const MODIFIED: i64 = 1_733_443_200;

#[bench(args = ["small", "browser"])]
fn scan_head(bencher: Bencher<'_, '_>, name: &str) {
    let limits = Limits::default();
    bencher.bench(|| stages::scan(black_box(head(name)), &limits).unwrap());
}

#[bench(args = ["small", "browser"])]
fn parse_head(bencher: Bencher<'_, '_>, name: &str) {
    bencher.bench(|| stages::read(black_box(head(name)), |request| request.version).unwrap());
}

#[bench(args = ["/", "/docs/guide/index.html", "/d%C3%BC/na%20me.html", "/a/./b/../c/"])]
fn parse_target(path: &str) -> bool {
    files::stages::is_safe(black_box(path.as_bytes()))
}

#[bench(args = ["/index.html", "/media/tray.webm", "/LICENSE"])]
fn content_type(path: &str) -> usize {
    files::stages::content_type_bytes(black_box(Path::new(path)))
}

#[bench(args = ["small", "browser"])]
fn evaluate_conditions(bencher: Bencher<'_, '_>, name: &str) {
    let state = files::stages::State::new(Some(ETAG), Some(MODIFIED));
    stages::read(head(name), |request| {
        bencher.bench(|| state.evaluate(black_box(request.fields), SystemTime::now));
    })
    .unwrap();
}

#[bench(args = ["bytes=0-99", "bytes=-500", "bytes=0-0,100-199,500-599,1000-", "lines=1-2"])]
fn select_range(field: &str) -> Option<usize> {
    files::stages::select(black_box(field.as_bytes()), 100_000, 16).map(|parts| parts.len())
}

#[bench(args = ["Fri, 06 Dec 2024 00:00:00 GMT", "Friday, 06-Dec-24 00:00:00 GMT", "Fri Dec  6 00:00:00 2024"])]
fn read_date(bencher: Bencher<'_, '_>, date: &str) {
    let now = SystemTime::now();
    bencher.bench(|| parse_date(black_box(date.as_bytes()), now).unwrap());
}

#[bench]
fn write_date() -> String {
    format_date(UNIX_EPOCH + Duration::from_secs(black_box(MODIFIED).unsigned_abs())).unwrap()
}

fn fields() -> [(http::HeaderName, HeaderValue); 4] {
    [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::ACCEPT_RANGES, HeaderValue::from_static("bytes")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::ETAG, HeaderValue::from_static(ETAG)),
    ]
}

fn prepared(fields: &[(HeaderName, HeaderValue)]) -> PreparedHead {
    let mut lines = FieldLinesBuilder::new();
    lines.put_content_length(1024);
    fields.iter().for_each(|(name, value)| lines.put(name, value));
    PreparedHead::new(StatusCode::OK, lines.build())
}

#[bench]
fn prepare_head(bencher: Bencher<'_, '_>) {
    let fields = fields();
    bencher.bench(|| prepared(black_box(&fields)));
}

/// A response as the cache has it: its head made ahead, its body in memory.
#[bench]
fn compose_prepared(bencher: Bencher<'_, '_>) {
    let head = prepared(&fields());
    let body = bytes::Bytes::from(vec![b'x'; 1024]);
    compose(bencher, || Response::prepared(head.clone(), Body::Bytes(body.clone())));
}

/// A response whose head is made for it.
#[bench]
fn compose_error_page(bencher: Bencher<'_, '_>) {
    compose(bencher, || Response::error_page(StatusCode::NOT_FOUND));
}

fn compose(bencher: Bencher<'_, '_>, response: impl Fn() -> Response) {
    let (limits, now) = (Limits::default(), Instant::now());
    let mut buffer = Vec::new();
    bencher.bench_local(|| buffer = stages::compose(response(), std::mem::take(&mut buffer), now, &limits));
}

/// From a request to its response, for a file of the cache: with the system call that looks whether it has changed.
#[bench(args = ["small", "browser"])]
fn find_and_decide(bencher: Bencher<'_, '_>, name: &str) {
    let files = Files::new(Options::new(concat!(env!("CARGO_MANIFEST_DIR"), "/public")));
    stages::read(head(name), |request| bencher.bench_local(|| files.handle(black_box(request)))).unwrap();
}
