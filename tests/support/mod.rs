//! What every test needs: a site in a folder of its own, a server on port 0, a client that speaks in bytes, and deadlines.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what it expects by panicking")]

pub mod crowd;
pub mod process;
pub mod visitors;

use std::fs;
use std::io::{ErrorKind, Read, Write, stderr};
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

/// A date that no test runs at: Sun, 06 Nov 1994 08:49:37 GMT.
pub const NOVEMBER_1994: i64 = 784_111_777;

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

/// A child and what it says, as it comes.
pub struct Running {
    child: Child,
    pub stdout: Arc<Said>,
    pub stderr: Arc<Said>,
}

/// What came out of a stream so far, and whether that is all.
#[derive(Default)]
pub struct Said {
    text: Mutex<(String, bool)>,
    grown: Condvar,
}

impl Said {
    fn listen(mut source: impl Read + Send + 'static) -> Arc<Self> {
        let said = Arc::new(Self::default());
        let copy = Arc::clone(&said);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = source.read(&mut bytes) {
                copy.text.lock().unwrap().0.push_str(&String::from_utf8_lossy(&bytes[..read]));
                copy.grown.notify_all();
            }
            copy.text.lock().unwrap().1 = true;
            copy.grown.notify_all();
        });
        said
    }

    pub fn now(&self) -> String {
        self.text.lock().unwrap().0.clone()
    }

    /// Waits until this holds, or the stream ends; gives all of it.
    #[track_caller]
    pub fn wait(&self, holds: impl Fn(&str) -> bool) -> String {
        let text = self.text.lock().unwrap();
        let not_yet = |(text, ended): &mut (String, bool)| !*ended && !holds(text);
        let (text, waited) = self.grown.wait_timeout_while(text, PATIENCE, not_yet).unwrap();
        assert!(!waited.timed_out(), "it doesn't say what it should: {}", text.0);
        text.0.clone()
    }
}

impl Running {
    pub fn start(command: &mut Command) -> Self {
        Self::start_with(command, Stdio::null())
    }

    fn start_with(command: &mut Command, stdin: Stdio) -> Self {
        let mut child = command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Self { child, stdout: Said::listen(stdout), stderr: Said::listen(stderr) }
    }

    /// Waits for the end: a process that ends closes its streams.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        self.stdout.wait(|_| false);
        self.stderr.wait(|_| false);
        self.child.wait().unwrap()
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a program ended, and what it said.
#[derive(Debug)]
pub struct Ended {
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a command to its end.
#[track_caller]
pub fn end_of(command: &mut Command) -> Ended {
    let mut running = Running::start(command);
    let status = running.wait().code();
    Ended { status, stdout: running.stdout.now(), stderr: running.stderr.now() }
}

/// Whether a client is there to be tried. Where it isn't, that is said, for the test to go on without it; unless
/// `SALVER_CLIENTS_TEST=required`.
#[track_caller]
pub fn is_installed(program: &str) -> bool {
    // What a program thinks of this is its own affair, as long as it starts.
    if Command::new(program).arg("--version").stdin(Stdio::null()).output().is_ok() {
        return true;
    }
    assert!(std::env::var("SALVER_CLIENTS_TEST").as_deref() != Ok("required"), "{program} was not found on the PATH");
    // Not by eprintln!, which `cargo test` withholds from a test that passes.
    let _ = writeln!(stderr(), "SKIPPED a test of clients: {program} was not found on the PATH");
    false
}

/// What curl prints, with these arguments before the URL.
#[track_caller]
pub fn curl(arguments: &[&str], url: &str) -> String {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--noproxy", "*", "--max-time", "20"]).args(arguments).arg(url);
    let ended = end_of(&mut command);
    assert_eq!((ended.status, &*ended.stderr), (Some(0), ""), "curl {arguments:?} {url}: {}", ended.stdout);
    ended.stdout
}

/// The program, running on a port of its own.
pub struct Salver {
    running: Running,
    /// The one line it says when it is ready.
    pub line: String,
    pub address: SocketAddr,
}

impl Salver {
    /// Serves a site with default options.
    #[track_caller]
    pub fn serve(site: &Site) -> Self {
        Self::start(site, &[])
    }

    /// Serves a site with these flags besides.
    #[track_caller]
    pub fn start(site: &Site, flags: &[&str]) -> Self {
        Self::run(serving(site).args(flags))
    }

    /// Serves a site with these settings: keys of the configuration and their values.
    #[track_caller]
    pub fn set(site: &Site, settings: &[(&str, &str)]) -> Self {
        let mut command = serving(site);
        for (key, value) in settings {
            command.env(format!("SALVER_{}", key.to_uppercase()), value);
        }
        Self::run(&mut command)
    }

    /// Starts this command and waits until it is ready.
    #[track_caller]
    pub fn run(command: &mut Command) -> Self {
        let mut server = Self::start_elsewhere(command, Stdio::null());
        let urls = server.line.rsplit_once(" at http://").expect("a URL").1;
        server.address = urls.trim().split(',').next().unwrap().parse().unwrap();
        server
    }

    /// Starts this command, which may listen on anything, and waits until it is ready.
    #[track_caller]
    pub fn start_elsewhere(command: &mut Command, stdin: Stdio) -> Self {
        let mut running = Running::start_with(command, stdin);
        let line = running.stdout.wait(|text| text.contains('\n'));
        if !line.contains(" at ") {
            panic!("it didn't start ({}): {line:?} {}", running.wait(), running.stderr.now());
        }
        Self { running, line, address: (std::net::Ipv4Addr::UNSPECIFIED, 0).into() }
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

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.running.id()
    }

    pub fn process(&self) -> process::Process {
        process::Process(Pid::from_child(&self.running.child))
    }

    pub fn signal(&self, signal: Signal) {
        self.running.signal(signal);
    }

    /// Waits until the log holds this text, and gives all of it.
    #[track_caller]
    pub fn wait_for_log(&self, part: &str) -> String {
        let log = self.running.stderr.wait(|text| text.contains(part));
        assert!(log.contains(part), "it ended without {part:?} in the log: {log}");
        log
    }

    /// What is in the log now.
    pub fn log(&self) -> String {
        self.running.stderr.now()
    }

    /// Waits for the end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        self.running.wait()
    }

    /// SIGTERM, and waits for the end.
    #[track_caller]
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }
}

/// Waits until whatever the site holds now has not been changed for long enough to be kept ready: then a large file gets
/// a tag made of its state.
#[track_caller]
pub fn settle(site: &Site, root: &str, server: &Salver) {
    site.write(&format!("{root}settling.bin"), vec![0; 200_000]);
    let (mut client, deadline) = (server.connect(), Instant::now() + PATIENCE);
    loop {
        client.send(get("/settling.bin", ""));
        let reply = client.reply();
        if reply.field("etag").is_some() {
            return;
        }
        assert!(Instant::now() < deadline, "it gets no tag: {}", reply.head);
        assert!(!client.fills_within(50), "nothing was asked");
    }
}

/// The program with nothing of this environment that configures it.
pub fn salver(current_dir: &Path) -> Command {
    isolated(Path::new(env!("CARGO_BIN_EXE_salver")), current_dir)
}

/// The program, about to serve a site on a free port.
pub fn serving(site: &Site) -> Command {
    let mut command = salver(site.path());
    command.args(["--port", "0"]).arg(site.path());
    command
}

fn isolated(program: &Path, current_dir: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(current_dir).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// The program as a user whom file modes keep out: root, whom they don't, runs a copy of it as nobody. `shelf` is a
/// folder for that copy, which everyone may enter.
pub fn unprivileged(shelf: &Site, current_dir: &Path) -> Command {
    use std::os::unix::process::CommandExt;
    if !rustix::process::geteuid().is_root() {
        return salver(current_dir);
    }
    const NOBODY: u32 = 65_534;
    let copy = shelf.join("salver");
    // By cp: a descriptor of ours that writes a program could be inherited by another test's child, and keep it busy.
    assert_eq!(end_of(Command::new("cp").arg(env!("CARGO_BIN_EXE_salver")).arg(&copy)).status, Some(0));
    shelf.set_mode("", 0o755);
    let mut command = isolated(&copy, current_dir);
    command.uid(NOBODY).gid(NOBODY);
    command
}

/// The bytes of a GET.
pub fn get(target: &str, lines: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")
}

/// Numbers that are the same in each run (xorshift).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(0x9e37_79b9_7f4a_7c15 ^ seed << 32)
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap()
    }
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
        Self::of(TcpStream::connect_timeout(&address, PATIENCE).unwrap())
    }

    /// Takes over a connection.
    pub fn of(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, received: Vec::new() }
    }

    /// Connects, unless nobody listens any more.
    pub fn try_connect(address: SocketAddr) -> Option<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        Some(Self { stream, received: Vec::new() })
    }

    /// Sends, unless the connection is gone.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
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

    /// The reply to this request.
    #[track_caller]
    pub fn ask(&mut self, request: impl AsRef<[u8]>) -> Reply {
        self.send(&request);
        self.reply_to(request)
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
                None => panic!("the head is cut: {}", start_of(&self.received)),
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

    /// So many bytes, or fewer when the stream ends before.
    #[track_caller]
    pub fn at_most(&mut self, count: usize) -> Vec<u8> {
        while self.received.len() < count && self.fill() {}
        self.received.drain(..count.min(self.received.len())).collect()
    }

    /// The connection ends here, with nothing more.
    #[track_caller]
    pub fn expect_end(&mut self) {
        let rest = self.rest();
        assert!(rest.is_empty(), "{} bytes more: {}", rest.len(), start_of(&rest));
    }

    /// Whether something comes, or the stream ends, in these milliseconds.
    pub fn fills_within(&mut self, milliseconds: u64) -> bool {
        self.stream.set_read_timeout(Some(Duration::from_millis(milliseconds))).unwrap();
        let mut byte = [0];
        let peeked = self.stream.peek(&mut byte);
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        !peeked.is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted))
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
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            // A read with a deadline isn't begun again by itself when the machine puts the process to sleep.
            Err(error) if error.kind() == ErrorKind::Interrupted => self.fill(),
            Err(error) => panic!("no answer: {error}; so far: {}", start_of(&self.received)),
        }
    }
}

/// As much as a message can show.
pub fn start_of(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(200)].escape_ascii().to_string()
}
