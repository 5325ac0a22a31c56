//! The file of the access log: opened anew when it is moved away, and no reason to wait or to end when it can't be
//! written.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::support::{Client, PATIENCE, Salver, Site, end_of, get, serving};

fn site() -> Site {
    Site::with(&[("a.txt", "a")])
}

/// The arguments for a log in this file, whose lines are known by the numbers in them.
fn logging_to(file: &Path) -> [&str; 4] {
    ["--log-format", "common", "--log-file", file.to_str().unwrap()]
}

/// Requests with the numbers of a range, on one connection.
#[track_caller]
fn ask(client: &mut Client, numbers: std::ops::Range<usize>) {
    client.send(numbers.clone().map(|number| get(&format!("/a.txt?{number}"), "")).collect::<String>());
    numbers.for_each(|_| assert_eq!(client.reply().status, 200));
}

/// How often each of so many numbers stands in these lines, all of which are whole.
#[track_caller]
fn tally(text: &str, count: usize) -> Vec<usize> {
    let mut found = vec![0; count];
    for line in text.lines() {
        let (start, rest) = line.split_once("\"GET /a.txt?").unwrap_or_else(|| panic!("{line}"));
        let number = rest.strip_suffix(" HTTP/1.1\" 200 1").unwrap_or_else(|| panic!("{line}"));
        assert!(start.starts_with("127.0.0.1 - - [") && start.ends_with("] "), "{line}");
        found[number.parse::<usize>().unwrap()] += 1;
    }
    found
}

#[test]
fn a_file_that_is_moved_away_is_followed_by_a_new_one_and_no_line_is_lost() {
    const BATCHES: usize = 400;
    let (site, logs) = (site(), Site::new());
    let file = logs.join("access.log");
    let mut server = Salver::start(&site, &logging_to(&file));
    let mut client = server.connect();
    let (mut asked, mut moved) = (0, 0);
    // As long as it takes for the file to come again.
    let deadline = Instant::now() + 3 * PATIENCE;
    while asked < BATCHES || moved < 3 {
        ask(&mut client, asked * 50..(asked + 1) * 50);
        asked += 1;
        if moved < 3 && file.exists() && asked > moved * 50 {
            match moved {
                // As logrotate does it, and as people do.
                0 | 1 => fs::rename(&file, logs.join(&format!("access.log.{moved}"))).unwrap(),
                _ => fs::hard_link(&file, logs.join("access.log.2")).and_then(|()| fs::remove_file(&file)).unwrap(),
            }
            moved += 1;
        }
        assert!(Instant::now() < deadline, "moved {moved} times");
    }
    while !file.exists() {
        ask(&mut client, asked * 50..(asked + 1) * 50);
        asked += 1;
        assert!(Instant::now() < deadline, "it isn't made anew");
    }
    assert_eq!(server.stop().code(), Some(0));
    let names = ["access.log.0", "access.log.1", "access.log.2", "access.log"];
    let texts = names.map(|name| fs::read_to_string(logs.join(name)).unwrap());
    // One that was moved before its first line is empty.
    assert!(texts.iter().all(|text| text.is_empty() || text.ends_with('\n')), "lines are whole");
    assert!(tally(&texts.concat(), asked * 50).iter().all(|&times| times == 1), "each line is in one of the files");
    assert!(server.log().contains("access.log: opened anew\n"), "{}", server.log());
}

/// What was moved away may be compressed and removed at once, as logrotate does without `delaycompress`.
#[test]
fn a_file_that_was_moved_away_gets_no_more_lines() {
    let (site, logs) = (site(), Site::new());
    let (file, old) = (logs.join("access.log"), logs.join("access.log.1"));
    let mut server = Salver::start(&site, &logging_to(&file));
    let (mut client, deadline) = (server.connect(), Instant::now() + PATIENCE);
    let mut await_line = |at: usize| {
        ask(&mut client, at..at + 1);
        while fs::read_to_string(&file).unwrap_or_default().is_empty() {
            assert!(Instant::now() < deadline && !client.fills_within(5), "no line of request {at}");
        }
    };
    for at in 0..5 {
        await_line(at);
        fs::rename(&file, &old).unwrap();
        await_line(at + 5);
        assert_eq!(fs::read_to_string(&old).unwrap().lines().count(), 1);
        fs::remove_file(&file).unwrap();
    }
    assert_eq!(server.stop().code(), Some(0));
}

/// Lines for a file without a name wait, as any that can't be written.
#[test]
fn lines_wait_where_a_file_was_removed_and_cannot_be_made_anew() {
    let (site, logs) = (site(), Site::new());
    logs.write("var/x", "");
    let file = logs.join("var/access.log");
    let mut server = Salver::start(&site, &logging_to(&file));
    let mut client = server.connect();
    fs::remove_dir_all(logs.join("var")).unwrap();
    ask(&mut client, 0..5);
    server.wait_for_log(
        "cannot be written: it was removed, and cannot be made anew: No such file or directory (os error 2); lines wait",
    );
    ask(&mut client, 5..10);
    logs.write("var/x", "");
    server.wait_for_log("written again; 0 lines were lost meanwhile");
    assert_eq!(server.stop().code(), Some(0));
    assert!(tally(&fs::read_to_string(&file).unwrap(), 10).iter().all(|&times| times == 1));
}

/// A disk that was full leaves the start of a line behind.
#[test]
fn a_line_that_was_cut_spoils_no_other() {
    let (site, logs) = (site(), Site::with(&[("access.log", "127.0.0.1 - - [")]));
    let file = logs.join("access.log");
    for round in 0..2 {
        let mut server = Salver::start(&site, &logging_to(&file));
        ask(&mut server.connect(), round..round + 1);
        assert_eq!(server.stop().code(), Some(0));
    }
    let text = fs::read_to_string(&file).unwrap();
    let lines = text.strip_prefix("127.0.0.1 - - [\n").unwrap_or_else(|| panic!("{text}"));
    assert_eq!(tally(lines, 2), [1, 1]);
}

/// Where no new file can be made lines follow the old one; that is said once, and what was missing may come back.
#[test]
fn lines_follow_the_old_file_where_there_can_be_no_new_one() {
    let (site, logs) = (site(), Site::new());
    logs.write("var/x", "");
    let mut server = Salver::start(&site, &logging_to(&logs.join("var/access.log")));
    let mut client = server.connect();
    fs::rename(logs.join("var"), logs.join("old")).unwrap();
    let (mut asked, deadline) = (0, Instant::now() + PATIENCE);
    let mut ask_until = |holds: &dyn Fn() -> bool| {
        while !holds() {
            ask(&mut client, asked..asked + 10);
            asked += 10;
            assert!(Instant::now() < deadline && !client.fills_within(20), "asked {asked} times");
        }
        asked
    };
    ask_until(&|| server.log().contains("moved away, and cannot be opened anew: No such file or directory"));
    let asked_before = ask_until(&|| true);
    ask_until(&|| fs::read_to_string(logs.join("old/access.log")).unwrap().lines().count() >= asked_before);
    logs.write("var/x", "");
    let asked = ask_until(&|| logs.join("var/access.log").exists());
    assert_eq!(server.stop().code(), Some(0));
    let texts = ["old/access.log", "var/access.log"].map(|name| fs::read_to_string(logs.join(name)).unwrap());
    assert!(tally(&texts.concat(), asked).iter().all(|&times| times == 1));
    assert_eq!(server.log().matches("cannot be opened anew").count(), 1, "{}", server.log());
    assert!(!server.log().contains("written again"), "{}", server.log());
}

#[test]
fn a_file_that_cannot_be_opened_ends_the_start() {
    let (site, logs) = (site(), Site::with(&[("file", "")]));
    logs.write("directory/x", "");
    for (name, cause) in [
        ("missing/access.log", "No such file or directory"),
        ("directory", "Is a directory"),
        ("file/access.log", "Not a directory"),
    ] {
        let path = logs.join(name);
        let ended = end_of(serving(&site).args(logging_to(&path)));
        assert_eq!((ended.status, &*ended.stdout), (Some(1), ""), "{ended:?}");
        let said = format!("salver: log_file {}: cannot be opened: {cause}", path.display());
        assert!(ended.stderr.starts_with(&said), "{said}: {ended:?}");
    }
    let ended = end_of(serving(&site).args(["--log-format", "xml"]));
    assert!(ended.status == Some(2), "{ended:?}");
    assert!(ended.stderr.starts_with("salver: --log-format xml: expected \"short\" or \"common\" or "), "{ended:?}");
}

/// What a count is told of that stands before these words, in all lines together.
fn told(log: &str, words: &str) -> usize {
    let before = log.lines().filter_map(|line| line.split_once(words)?.0.rsplit(' ').next()?.parse::<usize>().ok());
    before.sum()
}

/// ENOSPC at each write: more lines than find room in memory.
#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_costs_lines_that_are_counted_and_no_request() {
    const REQUESTS: usize = 20_000;
    let site = site();
    let mut server = Salver::start(&site, &logging_to(Path::new("/dev/full")));
    let mut client = server.connect();
    (0..REQUESTS / 100).for_each(|batch| ask(&mut client, batch * 100..(batch + 1) * 100));
    server.wait_for_log("WARN log_file /dev/full: cannot be written: No space left on device");
    assert_eq!(server.stop().code(), Some(0));
    assert_eq!(told(&server.log(), " lines were lost"), REQUESTS, "{}", server.log());
}

#[test]
#[cfg(target_os = "linux")]
fn a_pipe_that_nobody_reads_holds_up_no_request_and_its_reader_is_told_what_it_missed() {
    const REQUESTS: usize = 25_000;
    let (site, logs) = (site(), Site::new());
    let pipe = logs.join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::from(0o600), 0).unwrap();
    let mut server = Salver::start(&site, &logging_to(&pipe));
    let mut client = server.connect();
    (0..REQUESTS / 100).for_each(|batch| ask(&mut client, batch * 100..(batch + 1) * 100));
    server.wait_for_log("cannot be written: nobody reads it");
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || {
            let mut text = String::new();
            fs::File::open(pipe).unwrap().read_to_string(&mut text).unwrap();
            text
        }
    });
    server.wait_for_log("written again; ");
    ask(&mut client, 0..1);
    assert_eq!(server.stop().code(), Some(0));
    let found = tally(&reader.join().unwrap(), REQUESTS);
    assert_eq!(found[0], 2, "the first and the last line came through");
    let written: usize = found.iter().sum();
    let lost = told(&server.log(), " lines were lost");
    assert!(lost > 0, "{}", server.log());
    assert_eq!(written + lost, REQUESTS + 1, "{}", server.log());
}

/// A file that has its full size can be moved away, and all goes on, without a gap and without half a line.
#[test]
#[cfg(target_os = "linux")]
fn a_file_that_may_grow_no_further_is_an_error_that_ends() {
    let (site, logs) = (site(), Site::new());
    let file = logs.join("access.log");
    let serving = serving(&site);
    let mut command = Command::new("sh");
    // 16 times 512 bytes, or 1024 in some shells.
    command.args(["-c", "ulimit -f 16; exec \"$0\" \"$@\""]).arg(serving.get_program()).args(serving.get_args());
    command.args(logging_to(&file)).current_dir(site.path()).env_remove("PORT");
    let mut server = Salver::run(&mut command);
    let mut client = server.connect();
    let (mut asked, deadline) = (0, Instant::now() + PATIENCE);
    while !server.log().contains("cannot be written: File too large") {
        ask(&mut client, asked..asked + 10);
        asked += 10;
        assert!(Instant::now() < deadline && !client.fills_within(100), "it takes {asked} lines");
    }
    fs::rename(&file, logs.join("old")).unwrap();
    server.wait_for_log("written again; 0 lines were lost meanwhile");
    ask(&mut client, asked..asked + 1);
    assert_eq!(server.stop().code(), Some(0));
    let (old, new) = (fs::read_to_string(logs.join("old")).unwrap(), fs::read_to_string(&file).unwrap());
    // What there was room for of a line is left behind; the line is whole where it goes on.
    let whole = old.rfind('\n').map_or(0, |end| end + 1);
    assert!(tally(&format!("{}{new}", &old[..whole]), asked + 1).iter().all(|&times| times == 1));
}

#[test]
fn quiet_is_about_standard_error() {
    let (site, logs) = (site(), Site::new());
    let file = logs.join("access.log");
    let mut command = serving(&site);
    command.args(logging_to(&file)).arg("-q").env("RUST_LOG", "off");
    let mut server = Salver::run(&mut command);
    ask(&mut server.connect(), 0..3);
    assert_eq!(server.stop().code(), Some(0));
    assert_eq!(tally(&fs::read_to_string(&file).unwrap(), 3), [1, 1, 1]);
    assert_eq!(server.log(), "");
}

/// Who asked for what is nobody else's business.
#[test]
fn a_log_in_the_root_is_not_served() {
    let site = site();
    let mut server = Salver::start(&site, &logging_to(Path::new("access.log")));
    ask(&mut server.connect(), 0..1);
    let deadline = Instant::now() + PATIENCE;
    while fs::metadata(site.join("access.log")).unwrap().len() == 0 {
        assert!(Instant::now() < deadline, "no line is written");
        std::thread::park_timeout(Duration::from_millis(1));
    }
    assert_eq!(server.get("/access.log", "").status, 404);
    server.wait_for_log("WARN log_file lies in the root");
    assert_eq!(server.stop().code(), Some(0));
}
