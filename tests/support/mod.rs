//! What every test needs: a site in a folder of its own, a server on port 0, a client that speaks in bytes, and deadlines.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a test waits for anything. Long, because machines can be busy; nothing here waits that long when all is well.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A folder to serve, gone when the test is over.
pub struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A site with these files.
    pub fn with(files: &[(&str, &str)]) -> Self {
        let site = Self::new();
        files.iter().for_each(|(name, content)| site.write(name, content));
        site
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Writes a file, and makes the folders it lies in.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub fn link(&self, name: &str, target: &str) {
        std::os::unix::fs::symlink(target, self.join(name)).unwrap();
    }

    pub fn set_mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Sets the mtime, in seconds since 1970.
    pub fn set_modified(&self, name: &str, seconds: i64) {
        use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
        let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        utimensat(CWD, self.join(name), &times, AtFlags::empty()).unwrap();
    }
}

/// The program, running on a port of its own.
pub struct Salver {
    child: Child,
    /// The one line it says when it is ready.
    pub line: String,
    pub address: SocketAddr,
    log: Arc<Log>,
}

/// Standard error of a program, as it comes.
#[derive(Default)]
struct Log {
    text: Mutex<String>,
    grown: Condvar,
}

impl Salver {
    /// Serves a site with default options.
    pub fn serve(site: &Site) -> Self {
        Self::start(site, &[])
    }

    /// Serves a site with these flags besides.
    pub fn start(site: &Site, flags: &[&str]) -> Self {
        let root = site.path().to_str().unwrap();
        Self::run(salver(site.path()).args(["--port", "0", root]).args(flags))
    }

    /// Starts this command and waits until it is ready.
    #[track_caller]
    pub fn run(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Log::default());
        let stderr = child.stderr.take().unwrap();
        let copy = Arc::clone(&log);
        thread::spawn(move || copy.fill(stderr));
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some((_, url)) = line.split_once(" at http://") else {
            let status = child.wait().unwrap();
            panic!("it didn't start ({status}): {line:?} {}", log.text.lock().unwrap());
        };
        let address = url.trim().split(',').next().unwrap().parse().unwrap();
        Self { child, line, address, log }
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// Sends a request on a connection of its own and gives the reply.
    #[track_caller]
    pub fn ask(&self, request: impl AsRef<[u8]>) -> Reply {
        let mut client = self.connect();
        client.send(&request);
        client.reply_to(&request)
    }

    /// GET with these field lines (each with its CRLF) besides Host.
    #[track_caller]
    pub fn get(&self, target: &str, lines: &str) -> Reply {
        self.ask(get(target, lines))
    }

    pub fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.address)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until the log holds this text, and gives all of it.
    #[track_caller]
    pub fn wait_for_log(&self, part: &str) -> String {
        let text = self.log.text.lock().unwrap();
        let (text, waited) = self.log.grown.wait_timeout_while(text, PATIENCE, |text| !text.contains(part)).unwrap();
        assert!(!waited.timed_out(), "{part:?} is not in the log: {text}");
        text.clone()
    }

    /// What is in the log now.
    pub fn log(&self) -> String {
        self.log.text.lock().unwrap().clone()
    }

    /// Waits for the end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        wait_for(&mut self.child)
    }

    /// SIGTERM, and waits for the end.
    #[track_caller]
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }
}

impl Drop for Salver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Log {
    fn fill(&self, mut source: impl Read) {
        let mut bytes = [0; 4096];
        while let Ok(read @ 1..) = source.read(&mut bytes) {
            self.text.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..read]));
            self.grown.notify_all();
        }
    }
}

/// The program with nothing of this environment that configures it.
pub fn salver(current_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_salver"));
    command.current_dir(current_dir).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// Waits for a child's end, but not forever.
#[track_caller]
pub fn wait_for(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(Instant::now() < deadline, "it doesn't end");
        thread::yield_now();
    }
}

/// The bytes of a GET.
pub fn get(target: &str, lines: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")
}

/// A client that sends just the bytes it is given.
pub struct Client {
    pub stream: TcpStream,
    received: Vec<u8>,
}

/// A response.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    /// The status line and the field lines, without the empty line.
    pub head: String,
    pub body: Vec<u8>,
}

impl Reply {
    /// The value of a field that occurs at most once.
    #[track_caller]
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.head.lines().skip(1).filter_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        });
        let value = values.next();
        assert_eq!(values.next(), None, "{name} occurs twice: {}", self.head);
        value
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, received: Vec::new() }
    }

    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Says that no more will be sent.
    pub fn end_sending(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// The next reply, to a request that isn't HEAD.
    #[track_caller]
    pub fn reply(&mut self) -> Reply {
        self.reply_to("GET")
    }

    /// The next reply, to this request.
    #[track_caller]
    pub fn reply_to(&mut self, request: impl AsRef<[u8]>) -> Reply {
        self.next_reply(request.as_ref().starts_with(b"HEAD ")).expect("a reply")
    }

    /// The next reply; none when the connection ends before its first byte.
    #[track_caller]
    pub fn next_reply(&mut self, head_only: bool) -> Option<Reply> {
        let end = loop {
            match self.received.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                Some(end) => break end,
                None if self.fill() => {}
                None if self.received.is_empty() => return None,
                None => panic!("the head is cut: {}", self.received.escape_ascii()),
            }
        };
        let head = String::from_utf8(self.received[..end].to_vec()).unwrap();
        self.received.drain(..end + 4);
        let status: u16 = head[9..12].parse().unwrap();
        assert!(head.starts_with("HTTP/1.1 "), "{head}");
        let mut reply = Reply { status, head, body: Vec::new() };
        let length = reply.field("content-length").map_or(0, |length| length.parse().unwrap());
        if !head_only && status != 304 {
            while self.received.len() < length {
                assert!(self.fill(), "the body is cut at {} of {length}: {}", self.received.len(), reply.head);
            }
            reply.body = self.received.drain(..length).collect();
        }
        Some(reply)
    }

    /// Bytes that come until the end of the stream; a reset is an end too.
    pub fn rest(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.received)
    }

    /// The connection ends here, with nothing more.
    #[track_caller]
    pub fn expect_end(&mut self) {
        let rest = self.rest();
        assert!(rest.is_empty(), "{} bytes more: {}", rest.len(), rest[..rest.len().min(200)].escape_ascii());
    }

    /// Reads once; false at the end of the stream.
    #[track_caller]
    pub fn fill(&mut self) -> bool {
        let mut bytes = [0; 64 << 10];
        match self.stream.read(&mut bytes) {
            Ok(read) => {
                self.received.extend_from_slice(&bytes[..read]);
                read > 0
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("no answer: {error}; so far: {}", self.received.escape_ascii()),
        }
    }
}
