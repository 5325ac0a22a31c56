//! The examples, each run as its doc comment says, with clients that are not ours: Python's `socket`, nc, socat, curl.
//! The echo is compared with one that Python's `socketserver` makes.
//!
//! Without Python, OpenBSD's nc or socat their tests say so and pass, unless `SALVER_CLIENTS_TEST=required`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by panicking")]

mod support;

use std::env;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use rustix::process::Signal;
use support::{Running, Site, curl, end_of, is_installed};

const EXAMPLES: [&str; 5] = ["chat", "echo", "hello_http", "time_udp", "upload"];

/// Where the examples are. `cargo test` builds them, but `cargo test --test examples` doesn't, so that is done here;
/// where nothing has changed it is a matter of a moment.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let this = env::current_exe().unwrap();
    let profile = this.ancestors().nth(2).unwrap();
    let mut build = Command::new(env!("CARGO"));
    build.current_dir(env!("CARGO_MANIFEST_DIR")).args(["build", "--locked", "--quiet", "--examples", "--target-dir"]);
    build.arg(profile.parent().unwrap());
    if profile.ends_with("release") {
        build.arg("--release");
    }
    assert!(build.status().unwrap().success(), "the examples can't be built");
    profile.join("examples")
});

/// A server that runs, and where it says that it listens: its first line.
struct Server {
    running: Running,
    address: String,
}

impl Server {
    #[track_caller]
    fn example(name: &str, arguments: &[&str]) -> Self {
        Self::start(Command::new(FOLDER.join(name)).args(arguments))
    }

    #[track_caller]
    fn start(command: &mut Command) -> Self {
        let mut running = Running::start(command);
        let text = running.stdout.wait(|text| text.contains('\n'));
        let Some((address, _)) = text.split_once('\n') else {
            panic!("it didn't start ({}): {}", running.wait(), running.stderr.now());
        };
        Self { address: address.to_owned(), running }
    }

    /// Ctrl-C.
    #[track_caller]
    fn stop(mut self) {
        self.running.signal(Signal::INT);
        self.expect_end();
    }

    #[track_caller]
    fn expect_end(&mut self) {
        let status = self.running.wait();
        assert!(status.success(), "{status}: {}", self.running.stderr.now());
    }
}

/// What a client prints, which has to end well.
#[track_caller]
fn output(command: &mut Command) -> String {
    let ended = end_of(command);
    assert_eq!(ended.status, Some(0), "{command:?}: {}{}", ended.stdout, ended.stderr);
    ended.stdout
}

fn script(name: &str) -> Command {
    let mut command = Command::new("python3");
    // Without the folder of compiled modules, which would stay.
    command.arg("-B").arg(format!("{}/tests/examples/{name}", env!("CARGO_MANIFEST_DIR")));
    command
}

/// Runs a script that tries a server, and that fails when something isn't right. Gives what it prints before its last
/// line, which proves that it came to its end.
#[track_caller]
fn python(name: &str, arguments: &[&str]) -> String {
    let printed = output(script(name).args(arguments));
    printed
        .strip_suffix("all is well\n")
        .unwrap_or_else(|| panic!("{name} didn't come to its end: {printed}"))
        .to_owned()
}

/// What a line of shell prints, as one would type it; `$1` and so on are the arguments.
#[track_caller]
fn shell(line: &str, arguments: &[&str]) -> String {
    output(Command::new("sh").args(["-c", line, "sh"]).args(arguments))
}

/// OpenBSD's nc: others know no UNIX sockets, or can't say that they have no more to send.
#[track_caller]
fn nc() -> Option<&'static str> {
    for name in ["nc", "nc.openbsd"] {
        let help = Command::new(name).arg("-h").output();
        if help.is_ok_and(|help| String::from_utf8_lossy(&help.stderr).contains("OpenBSD")) {
            return Some(name);
        }
    }
    is_installed("nc.openbsd").then_some("nc.openbsd")
}

fn host_and_port(address: &str) -> [&str; 2] {
    address.rsplit_once(':').unwrap().into()
}

#[test]
fn every_example_says_where_it_listens_and_stops_at_ctrl_c() {
    for name in EXAMPLES {
        let site = Site::new();
        let mut command = Command::new(FOLDER.join(name));
        let server = Server::start(command.current_dir(site.path()).arg("127.0.0.1:0"));
        let port: u16 = server.address.strip_prefix("127.0.0.1:").unwrap().parse().unwrap();
        assert_ne!(port, 0, "{name}");
        server.stop();
    }
}

#[test]
fn every_example_says_how_it_is_used_and_why_it_cannot_listen() {
    let (tcp, udp) = (TcpListener::bind("127.0.0.1:0").unwrap(), std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
    for name in EXAMPLES {
        let site = Site::new();
        let run = |arguments: &[&str]| end_of(Command::new(FOLDER.join(name)).current_dir(site.path()).args(arguments));
        for arguments in [&["127.0.0.1:0", "folder", "more"][..], &["--help"], &[""]] {
            let ended = run(arguments);
            assert_eq!((ended.status, &*ended.stdout), (Some(2), ""), "{name} {arguments:?}");
            assert!(ended.stderr.starts_with(&format!("usage: {name} [ADDRESS")), "{}", ended.stderr);
        }
        let taken = if name == "time_udp" { udp.local_addr() } else { tcp.local_addr() }.unwrap().to_string();
        let ended = run(&[&taken]);
        assert_eq!((ended.status, &*ended.stdout), (Some(1), ""), "{name} {taken}");
        assert!(ended.stderr.starts_with(&format!("{name}: {taken}: Address already in use")), "{}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
}

#[test]
fn echo_serves_fifty_python_clients_at_once() {
    if is_installed("python3") {
        let server = Server::example("echo", &["127.0.0.1:0"]);
        python("echo.py", &[&server.address, "crowd"]);
        server.stop();
    }
}

#[test]
fn echo_keeps_little_and_loses_nothing_of_a_client_that_does_not_read() {
    if is_installed("python3") {
        let site = Site::new();
        for address in ["127.0.0.1:0", &format!("unix:{}", site.join("echo.sock").display())] {
            let server = Server::example("echo", &[address]);
            python("echo.py", &[&server.address, "deaf"]);
            server.stop();
        }
    }
}

/// One script, run against both.
#[test]
fn echo_answers_as_one_made_with_pythons_socketserver() {
    if !is_installed("python3") {
        return;
    }
    let site = Site::new();
    let unix = |name: &str| format!("unix:{}", site.join(name).display());
    let transcript = |server: &Server| python("echo.py", &[&server.address, "transcript"]);
    for (ours, theirs) in [("127.0.0.1:0".to_owned(), "tcp".to_owned()), (unix("ours"), unix("theirs"))] {
        let (ours, theirs) = (Server::example("echo", &[&ours]), Server::start(script("echo_server.py").arg(&theirs)));
        let expected = transcript(&theirs);
        assert!(expected.contains("pieces: 3000000 bytes"), "{expected}");
        assert_eq!(transcript(&ours), expected);
    }
}

#[test]
fn echo_is_the_same_on_tcp_and_on_unix_for_nc_and_socat() {
    let site = Site::new();
    let path = site.join("echo.sock");
    let path = path.to_str().unwrap();
    let (tcp, unix) = (Server::example("echo", &["127.0.0.1:0"]), Server::example("echo", &[&format!("unix:{path}")]));
    assert_eq!(unix.address, format!("unix:{path}"));
    let [host, port] = host_and_port(&tcp.address);
    if let Some(nc) = nc() {
        assert_eq!(shell("echo hello | $1 -N -w 20 $2 $3", &[nc, host, port]), "hello\n");
        assert_eq!(shell("echo hello | $1 -N -w 20 -U \"$2\"", &[nc, path]), "hello\n");
    }
    if is_installed("socat") {
        assert_eq!(shell("echo hello | socat -t 20 - TCP:$1:$2", &[host, port]), "hello\n");
        assert_eq!(shell("echo hello | socat -t 20 - \"UNIX-CONNECT:$1\"", &[path]), "hello\n");
        let copied = "head -c 3000000 /dev/urandom >\"$2\" && socat -t 20 - \"UNIX-CONNECT:$1\" <\"$2\" | cmp - \"$2\"";
        shell(copied, &[path, site.join("content").to_str().unwrap()]);
    }
    tcp.stop();
    unix.stop();
    assert!(!Path::new(path).exists(), "the socket's file is left behind");
}

#[test]
fn chat_tells_all_the_same_and_waits_for_nobody() {
    if is_installed("python3") {
        let site = Site::new();
        for address in ["127.0.0.1:0", &format!("unix:{}", site.join("chat.sock").display())] {
            let server = Server::example("chat", &[address]);
            python("chat.py", &[&server.address]);
            server.stop();
        }
    }
}

#[test]
fn chat_is_for_nc() {
    let server = Server::example("chat", &["127.0.0.1:0"]);
    let [host, port] = host_and_port(&server.address);
    if let Some(nc) = nc() {
        let heard = shell("printf 'ann\\nhello\\n' | $1 -N -w 20 $2 $3", &[nc, host, port]);
        assert_eq!(heard, "* a name that nobody has, please\n* ann is here\nann: hello\n");
    }
    server.stop();
}

#[test]
fn time_udp_tells_python_the_time() {
    if is_installed("python3") {
        let server = Server::example("time_udp", &["127.0.0.1:0"]);
        python("time_udp.py", &[&server.address]);
        server.stop();
    }
}

#[test]
fn time_udp_tells_nc_the_time() {
    let server = Server::example("time_udp", &["127.0.0.1:0"]);
    let [host, port] = host_and_port(&server.address);
    if let Some(nc) = nc() {
        // One answer ends it.
        let told = shell("echo | $1 -u -w 20 -W 1 $2 $3", &[nc, host, port]);
        assert!(
            told.starts_with("20") && told.ends_with("Z\n") && told.len() == "2026-11-21T15:04:05Z\n".len(),
            "{told}"
        );
    }
    server.stop();
}

#[test]
fn upload_takes_whole_files_under_good_names_and_nothing_else() {
    if !is_installed("python3") {
        return;
    }
    let site = Site::new();
    let folder = site.join("uploads");
    let folder = folder.to_str().unwrap();
    let mut server = Server::example("upload", &["127.0.0.1:0", folder]);
    python("upload.py", &[&server.address, folder, &server.running.id().to_string()]);
    // The script stopped it, in the midst of a file.
    server.expect_end();
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    let expected = ["a..b", "both", "empty", "good", "large.bin", "one", "slow", "taken", "two", "zwölf Wörter.txt"];
    assert_eq!(names, expected);
    assert_eq!(fs::read_dir(site.path()).unwrap().count(), 1, "something lies beside the folder");
}

#[test]
fn hello_http_greets_beside_static_files() {
    let site = Site::with(&[("index.html", "<h1>home</h1>"), ("hello.txt", "a file")]);
    let server = Server::example("hello_http", &["127.0.0.1:0", site.path().to_str().unwrap()]);
    let url = |target: &str| format!("http://{}{target}", server.address);
    let greeting = |name: &str| format!("<!doctype html><title>Hello</title><p>Hello, {name}!\n");
    for (target, name) in [
        ("/hello", "world"),
        ("/hello?name=Ann", "Ann"),
        ("/hello?lang=en&name=Ann+Lee&name=Bob", "Ann Lee"),
        ("/hello?name=a%2Bb%20%26%C3%BC", "a+b &amp;ü"),
        ("/hello?name=", ""),
        ("/hello?name", "world"),
        ("/hello?name=%3Cscript%3Ealert(1)%3C/script%3E", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("/hello?name=%ff%3", "\u{fffd}%3"),
    ] {
        assert_eq!(curl(&[], &url(target)), greeting(name), "{target}");
    }
    let as_a_form = ["--get", "--data-urlencode", "name=<b title=\"x\">'&amp;"];
    assert_eq!(curl(&as_a_form, &url("/hello")), greeting("&lt;b title=&quot;x&quot;&gt;&#39;&amp;amp;"));

    let code = |arguments: &[&str], target| {
        let quiet = ["--output", "/dev/null", "--write-out", "%{http_code} %{content_type}"];
        curl(&[&quiet, arguments].concat(), &url(target))
    };
    for (arguments, target, expected) in [
        (&[][..], "/hello", "200 text/html; charset=utf-8"),
        (&["--head"], "/hello?name=Ann", "200 text/html; charset=utf-8"),
        (&["--data", "name=Ann"], "/hello", "405 text/html; charset=utf-8"),
        (&[], "/", "200 text/html; charset=utf-8"),
        (&[], "/hello.txt", "200 text/plain; charset=utf-8"),
        (&["--range", "2-5"], "/hello.txt", "206 text/plain; charset=utf-8"),
        (&[], "/hello/", "404 text/html; charset=utf-8"),
        (&["--path-as-is"], "/../hello", "404 text/html; charset=utf-8"),
    ] {
        assert_eq!(code(arguments, target), expected, "{arguments:?} {target}");
    }
    assert_eq!(curl(&[], &url("/")), "<h1>home</h1>");
    server.stop();
}
