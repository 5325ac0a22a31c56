//! A request of a cached file or variant, on a connection that stays, takes no memory from the allocator.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by panicking")]
#![allow(unsafe_code, reason = "an allocator that counts can't be made without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use salver::files;
use salver::http::{Handler, Limits, LogFormat, Request, Response, Service};
#[cfg(feature = "auth")]
use salver::site::Users;
use salver::site::{Names, Options, Redirects, Rules, SiteOptions, Sites};
use salver::socketserver::{self, Address, Listener, Server, SocketOptions};

/// Passes every call on, and counts those of workers.
struct Counting;

static COUNT: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static IS_WORKER: Cell<bool> = const { Cell::new(false) };
}

fn count() {
    if IS_WORKER.try_with(Cell::get) == Ok(true) {
        COUNT.fetch_add(1, Ordering::SeqCst);
    }
}

// SAFETY: every call goes to the system's allocator as it came; counting touches no memory that is handed out.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the promises of this function's contract, which is that one's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Whoever serves files is a worker.
struct Marking(Sites);

impl Handler for Marking {
    fn handle(&self, request: &Request<'_>) -> Response {
        IS_WORKER.set(true);
        self.0.handle(request)
    }

    fn service_actions(&self) {
        self.0.service_actions();
    }
}

/// Writes lines of the access log into memory that it has.
struct Lines;

impl log::Log for Lines {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target() == "access"
    }

    fn log(&self, record: &log::Record<'_>) {
        thread_local! {
            static LINE: Cell<[u8; 1024]> = const { Cell::new([0; 1024]) };
        }
        if self.enabled(record.metadata()) {
            let mut line = LINE.get();
            writeln!(&mut line[..], "{}", record.args()).unwrap();
            LINE.set(line);
            LINES.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn flush(&self) {}
}

static LINES: AtomicU64 = AtomicU64::new(0);

#[test]
fn a_thousand_requests_of_a_cached_file_allocate_nothing() {
    let site = tempfile::tempdir().unwrap();
    // Of a size that the system takes at once: what has to wait for the peer is kept in memory meanwhile.
    for (name, size) in [("small.html", 1_000), ("page.html", 10_000), ("large.bin", 1_000_000)] {
        fs::write(site.path().join(name), vec![b'x'; size]).unwrap();
    }
    // A variant that lies beside its file, so that both kinds of them are asked for.
    fs::write(site.path().join("page.html.br"), "not looked into").unwrap();
    log::set_boxed_logger(Box::new(Lines)).unwrap();
    log::set_max_level(log::LevelFilter::Info);
    check(Options::new(SiteOptions::new(files::Options::new(site.path()), Rules::default())), LogFormat::Off);
    assert_eq!(LINES.load(Ordering::SeqCst), 0);
    for format in [LogFormat::Short, LogFormat::Combined, LogFormat::Json] {
        let before = LINES.load(Ordering::SeqCst);
        check(Options::new(SiteOptions::new(files::Options::new(site.path()), Rules::default())), format);
        assert!(LINES.load(Ordering::SeqCst) - before > 12_000, "each request has its line");
    }
    // Nor do rules that a request passes by.
    let mut rules = Rules::default();
    rules.redirects =
        Redirects::parse(["/old /new", "/blog/:id/* /posts/:id", "/:a/:b/c /c", "/* /a.html 200"]).unwrap();
    let mut options = Options::new(SiteOptions::new(files::Options::new(site.path()), rules));
    options.allow_host = Names::parse("h, example.org").unwrap();
    options.hosts = vec![(Names::parse("*.example.org").unwrap(), options.default.clone())];
    check(options, LogFormat::Off);
    // Nor does somebody who is known, from a network that is let in.
    #[cfg(feature = "auth")]
    {
        let mut rules = Rules::default();
        let anna = "anna:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
        rules.access.users = Users::parse([anna]).unwrap();
        rules.access.auth = vec!["/*".parse().unwrap(), "!/public".parse().unwrap(), "/*.html anna".parse().unwrap()];
        rules.access.allow_from = vec!["127.0.0.0/8, ::1".parse().unwrap(), "/admin 10.0.0.0/8".parse().unwrap()];
        check(Options::new(SiteOptions::new(files::Options::new(site.path()), rules)), LogFormat::Combined);
    }
}

#[track_caller]
fn check(options: Options, format: LogFormat) {
    let service = Service::new(Marking(Sites::new(options)), Limits::default()).log_format(format);
    // One worker, so that no other one's first request is among those that are counted; and none to stand in for it
    // while it compresses.
    let mut options = socketserver::Options::default();
    options.workers = 1;
    options.workers_max = 1;
    let listener = Listener::tcp("127.0.0.1:0".parse().unwrap(), &SocketOptions::default()).unwrap();
    let server = Server::new(vec![listener], service, options).unwrap();
    let Some(Address::Inet(address)) = server.local_addrs().unwrap().pop() else { unreachable!("it is bound to TCP") };
    let stopper = server.stopper();
    let server = thread::spawn(move || server.serve_forever());

    for (target, lines) in [
        ("/small.html", ""),
        ("/page.html", ""),
        ("/small.html", "If-None-Match: *\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\n"),
        ("/missing.html", ""),
        ("/page.html", "Accept-Encoding: gzip, deflate, br, zstd\r\n"),
        ("/page.html", "Accept-Encoding: gzip;q=0.5, zstd\r\n"),
        ("/page.html", "Accept-Encoding: zstd\r\nIf-None-Match: *\r\n"),
        ("/small.html", "Accept-Encoding: gzip, deflate, br, zstd\r\n"),
        ("/page.html", "Accept-Encoding: identity, gzip;q=0.5\r\n"),
        ("/page.html", "Range: bytes=1000-2999\r\n"),
        ("/page.html", "Range: bytes=-1\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n"),
        ("/large.bin", "Range: bytes=1000-2999\r\n"),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\nAuthorization: Basic YW5uYTpVKlU=\r\n{lines}\r\n");
        until_settled(address, &request);
        let mut client = connect(address);
        (0..100).for_each(|_| ask(&mut client, &request));
        let before = COUNT.load(Ordering::SeqCst);
        assert_ne!(before, 0, "to make the file ready takes memory, and that is counted");
        (0..1_000).for_each(|_| ask(&mut client, &request));
        assert_eq!(COUNT.load(Ordering::SeqCst) - before, 0, "{request}");
    }
    stopper.shutdown();
    server.join().unwrap().unwrap();
}

/// A file that was just written isn't kept yet. Once it is, ten requests in a row allocate nothing.
fn until_settled(address: SocketAddr, request: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut client = connect(address);
    loop {
        let before = COUNT.load(Ordering::SeqCst);
        (0..10).for_each(|_| ask(&mut client, request));
        if COUNT.load(Ordering::SeqCst) == before {
            return;
        }
        assert!(Instant::now() < deadline, "each request allocates: {request}");
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    client
}

/// Sends a request and reads its answer.
fn ask(client: &mut TcpStream, request: &str) {
    client.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let mut bytes = [0; 64 << 10];
    loop {
        let read = client.read(&mut bytes).unwrap();
        assert_ne!(read, 0, "the answer is cut");
        answer.extend_from_slice(&bytes[..read]);
        let Some(end) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&answer[..end]);
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        if answer.len() == end + 4 + length.map_or(0, |length| length.parse().unwrap()) {
            return;
        }
    }
}
