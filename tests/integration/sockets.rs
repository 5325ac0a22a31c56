//! Where the program listens besides TCP: UNIX sockets, and sockets that another process opened for it.

use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use crate::support::{Salver, Site, curl, end_of, salver};

fn site() -> Site {
    Site::with(&[("public/a.txt", "a")])
}

#[test]
fn a_unix_socket_serves_http() {
    let site = site();
    let socket = site.join("site.sock");
    let mut server = Salver::start_elsewhere(
        salver(site.path()).args(["--bind", "unix:site.sock", "public"]).env("SALVER_UNIX_MODE", "600"),
        Stdio::null(),
    );
    assert!(server.line.ends_with(&format!(" at unix:{}\n", socket.display())), "{}", server.line);
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let path = socket.to_str().unwrap();
    assert_eq!(curl(&["--unix-socket", path], "http://localhost/a.txt"), "a");
    server.wait_for_log(" unix: \"GET /a.txt HTTP/1.1\" 200");
    let second = end_of(salver(site.path()).args(["--bind", "unix:site.sock", "public"]));
    assert_eq!(second.status, Some(1));
    assert!(second.stderr.contains("another server listens there"), "{}", second.stderr);
    assert_eq!(curl(&["--unix-socket", path], "http://localhost/a.txt"), "a", "the first is not disturbed");
    assert!(server.stop().success());
    assert!(!socket.exists());
}

#[test]
fn tcp_and_unix_sockets_go_together() {
    let site = site();
    let server =
        Salver::run(salver(site.path()).args(["-p", "0", "-b", "127.0.0.1", "-b", "unix:site.sock", "public"]));
    assert_eq!(server.get("/a.txt", "").text(), "a");
    let path = site.join("site.sock");
    assert_eq!(curl(&["--unix-socket", path.to_str().unwrap()], "http://localhost/a.txt"), "a");
}

#[test]
fn what_is_no_unix_socket_is_left_alone_and_named() {
    let site = site();
    site.write("file", "content");
    for (name, reason) in [("file", "is no socket"), (&*"x".repeat(150), "at most"), ("no/folder", "No such file")] {
        let ended = end_of(salver(site.path()).args(["--bind", &format!("unix:{name}"), "public"]));
        assert_eq!(ended.status, Some(1), "{name}");
        assert!(ended.stderr.contains(reason) && ended.stderr.contains("unix:"), "{name}: {}", ended.stderr);
    }
    assert_eq!(fs::read_to_string(site.join("file")).unwrap(), "content");
}

#[cfg(target_os = "linux")]
#[test]
fn an_inherited_socket_is_served() {
    let site = site();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let ours = listener.try_clone().unwrap();
    let server =
        Salver::start_elsewhere(salver(site.path()).args(["--bind", "fd:0", "public"]), OwnedFd::from(listener).into());
    assert!(rustix::net::sockopt::tcp_nodelay(&ours).unwrap(), "or the end of a large answer waits");
    assert!(server.line.ends_with(&format!(" at http://{address}\n")), "{}", server.line);
    assert_eq!(curl(&[], &format!("http://{address}/a.txt")), "a");
}

/// As systemd does it: descriptors from 3 on, and variables that say how many, and for whom.
#[cfg(target_os = "linux")]
#[test]
fn what_a_service_manager_passes_on_is_served_unless_an_address_is_asked_for() {
    const PASS_ON: &str = "exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$@\"";
    let site = site();
    let path = site.join("passed.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let passed_on = |arguments: &[&str]| {
        let program = salver(site.path());
        let mut command = Command::new("sh");
        command.args(["-c", PASS_ON, "sh"]).arg(program.get_program()).args(arguments).current_dir(site.path());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        Salver::start_elsewhere(&mut command, OwnedFd::from(listener.try_clone().unwrap()).into())
    };
    let server = passed_on(&["public"]);
    assert!(server.line.ends_with(&format!(" at unix:{}\n", path.display())), "{}", server.line);
    assert_eq!(curl(&["--unix-socket", path.to_str().unwrap()], "http://localhost/a.txt"), "a");
    drop(server);
    let server = passed_on(&["-b", "127.0.0.1", "-p", "0", "public"]);
    assert!(server.line.contains(" at http://127.0.0.1:"), "{}", server.line);
}

#[test]
fn a_descriptor_that_cannot_be_served_is_an_error_that_says_why() {
    let site = site();
    for (number, reason) in [("99", "no such descriptor is open"), ("1", "no socket")] {
        let ended = end_of(salver(site.path()).args(["--bind", &format!("fd:{number}"), "public"]));
        assert_eq!(ended.status, Some(1));
        assert!(ended.stderr.contains(&format!("fd:{number}: ")) && ended.stderr.contains(reason), "{}", ended.stderr);
    }
}
