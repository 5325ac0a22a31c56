//! Faults of the disk, and hands that change files while they are sent: a client gets right bytes, or a cut
//! connection; the log has a line; the server goes on.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::transfers::{begin, check_same, narrow_client, numbered};
use crate::support::{self, Client, Salver, Site, get, unprivileged};

/// More than the system holds for a connection, on both sides together.
const LARGE: usize = 16 << 20;

/// A site in `root`, and a client that has the head and the first bytes of a large file.
struct Transfer {
    site: Site,
    content: Vec<u8>,
    server: Salver,
    client: Client,
    length: usize,
    /// For the program that is run.
    _shelf: Site,
}

impl Transfer {
    fn begin() -> Self {
        let (site, shelf, content) = (Site::new(), Site::new(), numbered(LARGE));
        site.write("root/large.bin", &content);
        site.write("root/small.txt", "small");
        site.set_mode("", 0o777);
        site.set_mode("root", 0o777);
        let server = Salver::run(unprivileged(&shelf, site.path()).args(["--port", "0", "root"]));
        let mut client = narrow_client(&server);
        let (_, length) = begin(&mut client, "/large.bin");
        assert_eq!(length, LARGE);
        Self { site, content, server, client, length, _shelf: shelf }
    }

    /// The client gets all that was promised, as it was.
    #[track_caller]
    fn check_whole(&mut self) {
        check_same(&self.client.at_most(self.length), &self.content);
    }

    /// The client gets a part of what was, and the end of the connection; the log says why. Others are served.
    #[track_caller]
    fn check_cut(&mut self, why: &str) {
        let body = self.client.at_most(self.length);
        assert!(body.len() < self.length, "it got all of it");
        check_same(&body, &self.content[..body.len()]);
        self.client.expect_end();
        self.server.wait_for_log(&format!("a response was cut: {why}"));
        let access = self.server.wait_for_log(" cut\n");
        assert!(access.contains("\"GET /large.bin HTTP/1.1\" 200 "), "{access}");
        self.check_answer("/small.txt", 200);
    }

    /// What a new request is answered.
    #[track_caller]
    fn check_answer(&self, target: &str, status: u16) {
        assert_eq!(self.server.get(target, "").status, status, "{target}");
    }

    fn path(&self) -> std::path::PathBuf {
        self.site.join("root/large.bin")
    }
}

#[test]
fn a_truncated_file_ends_in_a_cut_and_not_in_padding() {
    let mut transfer = Transfer::begin();
    // Beyond what the system holds for the client: that is still the file's memory, and truncating clears the end of it.
    File::options().write(true).open(transfer.path()).unwrap().set_len(LARGE as u64 / 2).unwrap();
    transfer.check_cut("the file was truncated while it was sent");
}

#[test]
fn a_file_written_over_is_not_mixed_with_what_it_was() {
    let mut transfer = Transfer::begin();
    let file = File::options().write(true).open(transfer.path()).unwrap();
    file.write_all_at(&vec![0; LARGE / 2], (LARGE / 2) as u64).unwrap();
    transfer.check_cut("the file was changed while it was sent");
}

#[test]
fn a_file_that_grows_is_sent_as_long_as_it_was() {
    let mut transfer = Transfer::begin();
    File::options().append(true).open(transfer.path()).unwrap().write_all(&[0; 1000]).unwrap();
    transfer.check_whole();
    let grown = transfer.server.get("/large.bin", "Range: bytes=-1000\r\n");
    assert_eq!((grown.status, &grown.body[..]), (206, &[0; 1000][..]));
}

#[test]
fn a_file_made_unreadable_is_sent_to_its_end_and_not_begun_again() {
    let mut transfer = Transfer::begin();
    transfer.site.set_mode("root/large.bin", 0);
    transfer.check_answer("/large.bin", 404);
    transfer.server.wait_for_log("/large.bin: not served: permission denied");
    transfer.check_whole();
    transfer.site.set_mode("root/large.bin", 0o644);
    transfer.check_answer("/large.bin", 200);
}

#[test]
fn a_root_that_is_renamed_away_and_back_is_missed_only_meanwhile() {
    let mut transfer = Transfer::begin();
    transfer.check_answer("/small.txt", 200);
    for _ in 0..3 {
        fs::rename(transfer.site.join("root"), transfer.site.join("away")).unwrap();
        transfer.check_answer("/small.txt", 404);
        transfer.check_answer("/large.bin", 404);
        fs::rename(transfer.site.join("away"), transfer.site.join("root")).unwrap();
        transfer.check_answer("/small.txt", 200);
    }
    transfer.check_whole();
}

#[test]
fn a_root_that_is_removed_is_served_to_those_who_had_begun() {
    let mut transfer = Transfer::begin();
    fs::remove_dir_all(transfer.site.join("root")).unwrap();
    transfer.check_answer("/small.txt", 404);
    transfer.check_whole();
    transfer.site.write("root/small.txt", "new");
    transfer.check_answer("/small.txt", 200);
}

/// strace, that has calls of a running process fail.
struct Injector(Child);

impl Injector {
    /// None, and said, where there is no strace or it isn't permitted; with `SALVER_FAULTS_TEST=required` it has to be.
    fn attach(server: u32, call: &str, fault: &str) -> Option<Self> {
        let mut command = Command::new("strace");
        command.args(["-f", "-e", &format!("trace={call}"), "-e", &format!("inject={call}:{fault}")]);
        command.args(["-p", &server.to_string()]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let attached = command.spawn().map_err(|error| error.to_string()).and_then(|mut strace| {
            let mut said = BufReader::new(strace.stderr.take().unwrap());
            let mut line = String::new();
            said.read_line(&mut line).unwrap();
            let strace = Self(strace);
            if !line.contains(" attached") {
                return Err(line);
            }
            // Unread, it would hold up what it traces.
            std::thread::spawn(move || drop(said.read_to_end(&mut Vec::new())));
            Ok(strace)
        });
        if let Err(reason) = &attached {
            assert_ne!(std::env::var("SALVER_FAULTS_TEST").as_deref(), Ok("required"), "{reason}");
            eprintln!("skipped: strace can't be attached: {reason}");
        }
        attached.ok()
    }

    /// Lets the process go.
    fn detach(mut self) {
        kill_process(Pid::from_child(&self.0), Signal::TERM).unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Injector {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The system call that reads what is sent of a large file.
const READS: &str = if cfg!(all(target_os = "linux", not(salver_portable))) { "sendfile" } else { "pread64" };

#[test]
fn a_disk_that_fails_in_mid_body_cuts_the_connection() {
    let mut transfer = Transfer::begin();
    let Some(injector) = Injector::attach(transfer.server.id(), READS, "error=EIO") else { return };
    transfer.check_cut("Input/output error");
    injector.detach();
    let whole = transfer.server.get("/large.bin", "");
    check_same(&whole.body, &transfer.content);
}

#[test]
fn a_disk_that_fails_from_the_first_byte_of_a_body_on_cuts_the_connection() {
    let mut transfer = Transfer::begin();
    transfer.check_whole();
    let Some(injector) = Injector::attach(transfer.server.id(), READS, "error=EIO") else { return };
    let mut client = transfer.server.connect();
    begin(&mut client, "/large.bin");
    client.expect_end();
    transfer.server.wait_for_log("a response was cut: Input/output error");
    transfer.check_answer("/small.txt", 200);
    injector.detach();
    transfer.check_answer("/large.bin", 200);
}

#[test]
#[cfg(all(target_os = "linux", not(salver_portable)))]
fn a_disk_that_fails_while_a_file_is_opened_is_a_500() {
    let site = Site::with(&[("root/a.txt", "a"), ("root/b.txt", "b")]);
    let server = Salver::run(support::salver(site.path()).args(["--port", "0", "root"]));
    for (fault, status) in [("EIO", 500), ("ENOMEM", 500), ("EMFILE", 503), ("ENFILE", 503), ("EACCES", 404)] {
        let Some(injector) = Injector::attach(server.id(), "openat2", &format!("error={fault}")) else { return };
        let reply = server.get("/a.txt", "");
        assert_eq!(reply.status, status, "{fault}");
        assert!(!reply.text().contains("a.txt") && !reply.text().contains("rror:"), "{}", reply.text());
        injector.detach();
        assert_eq!(server.get("/a.txt", "").text(), "a", "after {fault}");
    }
    server.wait_for_log("ERROR /a.txt: Input/output error");
}

/// The table of open files of the whole system is full, or the kernel has no memory for a socket.
#[test]
#[cfg(all(target_os = "linux", not(salver_portable)))]
fn who_cant_be_accepted_is_served_once_the_system_recovers() {
    let site = Site::with(&[("root/a.txt", "a")]);
    for (fault, said) in [("ENFILE", "Too many open files in system"), ("ENOBUFS", "No buffer space available")] {
        let server = Salver::run(support::salver(site.path()).args(["--port", "0", "root"]));
        let mut kept = server.connect();
        kept.send(get("/a.txt", ""));
        assert_eq!(kept.reply().text(), "a");
        let Some(injector) = Injector::attach(server.id(), "accept4", &format!("error={fault}")) else { return };
        let mut waiting: Vec<_> = (0..20).map(|_| server.connect()).collect();
        waiting.iter_mut().for_each(|client| client.send(get("/a.txt", "")));
        server.wait_for_log(&format!("a connection can't be accepted: {said}"));
        kept.send(get("/a.txt", ""));
        assert_eq!(kept.reply().text(), "a", "who is there is served");
        assert!(!waiting[0].fills_within(300), "nobody can be accepted");
        injector.detach();
        waiting.iter_mut().for_each(|client| assert_eq!(client.reply().text(), "a"));
        let complaints = server.log().matches("a connection can't be accepted").count();
        assert!(complaints < 3, "{complaints} lines in the log");
    }
}

/// A kernel without openat2, or a sandbox that doesn't know it.
#[test]
#[cfg(all(target_os = "linux", not(salver_portable)))]
fn without_openat2_the_walk_serves_the_same() {
    for fault in ["ENOSYS", "EPERM", "EAGAIN"] {
        let site = Site::with(&[("root/sub/a.txt", "a"), ("secret", "SECRET")]);
        site.link("root/in", "sub/a.txt");
        site.link("root/out", "../secret");
        let server = Salver::run(support::salver(site.path()).args(["--port", "0", "root"]));
        let Some(_injector) = Injector::attach(server.id(), "openat2", &format!("error={fault}")) else { return };
        for (target, status) in [("/sub/a.txt", 200), ("/in", 200), ("/out", 404), ("/sub", 301), ("/nothing", 404)] {
            assert_eq!(server.get(target, "").status, status, "{target} {fault}");
        }
    }
}
