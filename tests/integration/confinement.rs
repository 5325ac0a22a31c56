//! Confinement: which links lead anywhere, what of the outside can be told from inside, and races that try to lead out.

use std::fs::{self, File};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::support::{Client, Reply, Salver, Site, get, salver};

/// A folder `root` to serve with links of every kind, and beside it what they lead to.
fn walled() -> Site {
    let site = Site::with(&[("secret", "SECRET"), ("outside/secret", "SECRET"), ("root/index.html", "home")]);
    site.write("root/sub/a.txt", "a");
    for (name, target) in [("in", "sub/a.txt"), ("directory", "sub"), ("out", "../secret"), ("out_dir", "../outside")] {
        site.link(&format!("root/{name}"), target);
    }
    site.link("root/absolute", site.join("secret").to_str().unwrap());
    site.link("root/absolute_in", site.join("root/sub/a.txt").to_str().unwrap());
    site
}

fn serve(site: &Site, symlinks: &str) -> Salver {
    Salver::run(salver(site.path()).args(["--port", "0", "--no-list", "root"]).env("SALVER_SYMLINKS", symlinks))
}

/// What each link gives in this mode: the body, or nothing for 404.
#[track_caller]
fn check_mode(symlinks: &str, expected: [(&str, Option<&str>); 8]) -> Salver {
    let site = walled();
    let server = serve(&site, symlinks);
    for (target, expected) in expected {
        let reply = server.get(target, "");
        let found = (reply.status != 404).then(|| reply.text());
        assert_eq!(found.as_deref(), expected, "{target} with symlinks = {symlinks}");
    }
    server
}

#[test]
fn links_are_followed_as_configured() {
    let (a, secret) = (Some("a"), Some("SECRET"));
    let beneath = check_mode(
        "beneath",
        [
            ("/sub/a.txt", a),
            ("/in", a),
            ("/directory/a.txt", a),
            ("/out", None),
            ("/out_dir/", None),
            ("/out_dir/secret", None),
            ("/absolute", None),
            ("/absolute_in", None),
        ],
    );
    let log = beneath.wait_for_log("/absolute_in: not served: ");
    let refusal = "/absolute_in: not served: a link leads out of the root or is absolute; make it relative, or set \
                   symlinks = \"follow\"\n";
    assert!(log.contains(refusal) && !log.contains("WARN symlinks"), "{log}");

    let off = check_mode(
        "off",
        [
            ("/sub/a.txt", a),
            ("/in", None),
            ("/directory/a.txt", None),
            ("/out", None),
            ("/out_dir/", None),
            ("/out_dir/secret", None),
            ("/absolute", None),
            ("/absolute_in", None),
        ],
    );
    off.wait_for_log("/in: not served: it is a link or behind one, and symlinks = \"off\"\n");

    let follow = check_mode(
        "follow",
        [
            ("/sub/a.txt", a),
            ("/in", a),
            ("/directory/a.txt", a),
            ("/out", secret),
            ("/out_dir/", None),
            ("/out_dir/secret", secret),
            ("/absolute", secret),
            ("/absolute_in", a),
        ],
    );
    follow.wait_for_log("WARN symlinks = \"follow\": links are followed wherever they lead, out of the root too\n");
}

/// Links may lead anywhere then; what else is refused stays so.
#[test]
fn what_is_no_file_is_refused_behind_any_link() {
    let site = walled();
    mknodat(CWD, site.join("fifo"), FileType::Fifo, Mode::from(0o644), 0).unwrap();
    site.write("root/.hidden", "SECRET");
    for (name, target) in [("fifo", "../fifo"), ("device", "/dev/zero"), ("self", "self")] {
        site.link(&format!("root/{name}"), target);
    }
    let server = serve(&site, "follow");
    for target in ["/fifo", "/device", "/self", "/.hidden", "/../secret", "/sub/../../secret"] {
        assert_eq!(server.get(target, "").status, 404, "{target}");
    }
    server.wait_for_log("/self: not served: its links go round in circles");
    assert!(server.log().contains("/device: not served: it is neither a file nor a directory"), "{}", server.log());
}

/// All of a reply but its date.
fn undated(reply: &Reply) -> String {
    let head: Vec<&str> = reply.head.lines().filter(|line| !line.starts_with("Date: ")).collect();
    format!("{}\n\n{}", head.join("\n"), reply.text())
}

/// A line of the log without what differs each time.
fn timeless(line: &str) -> String {
    let lasts = |word: &&str| !word.ends_with('Z') && !word.ends_with("ms") && !word.starts_with("127.0.0.1:");
    line.split(' ').filter(lasts).collect::<Vec<_>>().join(" ")
}

/// Neither an answer nor the log tells whether there is something at the other end of a link that leads out.
#[test]
fn what_lies_outside_makes_no_difference() {
    let site = walled();
    mknodat(CWD, site.join("fifo"), FileType::Fifo, Mode::from(0o644), 0).unwrap();
    site.write("closed", "SECRET");
    site.set_mode("closed", 0);
    let (here, nowhere) = (site.path().to_str().unwrap(), "/nowhere-at-all");
    // To what there is, and to what there isn't.
    for (name, there, missing) in [
        ("file", "../secret", "../nothing"),
        ("absolute", &*format!("{here}/secret"), nowhere),
        ("folder", "../outside", "../nothing"),
        ("fifo", "../fifo", "../nothing"),
        ("device", "/dev/zero", "/dev/nothing"),
        ("closed", "../closed", "../nothing"),
        ("up", "..", "../nothing/.."),
        ("around", "../root/index.html", "../nothing/index.html"),
    ] {
        site.link(&format!("root/{name}_1"), there);
        site.link(&format!("root/{name}_2"), missing);
    }
    for (name, target) in [("index_1", "../../secret"), ("index_2", "../../nothing")] {
        fs::create_dir(site.join("root").join(name)).unwrap();
        site.link(&format!("root/{name}/index.html"), target);
    }
    let server = Salver::run(salver(site.path()).args(["--port", "0", "--workers", "1", "-v", "root"]));
    let mut client = server.connect();
    let mut ask = |number: u8| {
        let mut answers = String::new();
        for name in ["file", "absolute", "folder", "fifo", "device", "closed", "up", "around", "index"] {
            for behind in ["", "/", "/secret", "/nothing"] {
                for method in ["GET", "HEAD", "POST", "GET"] {
                    let request = get(&format!("/{name}_{number}{behind}"), "").replacen("GET", method, 1);
                    client.send(&request);
                    let reply = client.reply_to(&request);
                    assert!(reply.status == 404 || (name, behind) == ("index", ""), "{request}");
                    answers += &undated(&reply).replace(&format!("_{number}"), "_N");
                }
            }
        }
        answers
    };
    assert_eq!(ask(1), ask(2));
    client.send(get("/the-end", ""));
    let log = server.wait_for_log("/the-end");
    let lines = |number: &str| -> Vec<String> {
        log.lines().filter(|line| line.contains(number)).map(|line| timeless(line).replace(number, "_N")).collect()
    };
    let (there, missing) = (lines("_1"), lines("_2"));
    assert!(there.iter().any(|line| line.contains("/file_N: not served: a link leads out of the root")), "{log}");
    assert_eq!(there, missing);
}

/// A FIFO waits for a writer, a socket and a device for whatever: none of them keeps a request waiting.
#[test]
fn special_files_are_answered_at_once() {
    let site = Site::new();
    mknodat(CWD, site.join("fifo"), FileType::Fifo, Mode::from(0o644), 0).unwrap();
    let _listener = UnixListener::bind(site.join("socket")).unwrap();
    // Only root may make a device; who may not has those of /dev.
    let made =
        mknodat(CWD, site.join("device"), FileType::CharacterDevice, Mode::from(0o644), rustix::fs::makedev(1, 5));
    let server = Salver::set(&site, &[("workers", "1")]);
    let devices = Salver::run(salver(site.path()).args(["--port", "0", "--workers", "1", "/dev"]));
    check_prompt(&server, "/fifo");
    check_prompt(&server, "/socket");
    if made.is_ok() {
        check_prompt(&server, "/device");
    }
    check_prompt(&devices, "/zero");
    check_prompt(&devices, "/tty");
}

/// The best of some tries counts, as the machine may be busy.
#[track_caller]
fn check_prompt(server: &Salver, target: &str) {
    let times = (0..10).map(|_| {
        let asked = Instant::now();
        assert_eq!(server.get(target, "").status, 404, "{target}");
        asked.elapsed()
    });
    let best = times.min().unwrap();
    assert!(best < Duration::from_millis(50), "{target}: {best:?}");
}

/// A reader that comes and goes would be the end of the program that waits for one (SIGPIPE).
#[test]
#[cfg(target_os = "linux")]
fn a_fifo_is_never_opened() {
    let site = Site::new();
    mknodat(CWD, site.join("fifo"), FileType::Fifo, Mode::from(0o644), 0).unwrap();
    let server = Salver::serve(&site);
    let path = site.join("fifo");
    let writer = thread::spawn({
        let path = path.clone();
        move || File::options().write(true).open(path).map(drop)
    });
    for _ in 0..100 {
        assert_eq!(server.get("/fifo", "").status, 404);
    }
    assert!(!writer.is_finished(), "it was opened");
    drop(File::open(path).unwrap());
    writer.join().unwrap().unwrap();
}

const LARGE: usize = 150_000;

/// A tree of files made of this letter.
fn plant(site: &Site, folder: &str, letter: &str) {
    site.write(&format!("{folder}/index.html"), letter.repeat(100));
    site.write(&format!("{folder}/sub/file"), letter.repeat(100));
    site.write(&format!("{folder}/large"), letter.repeat(LARGE));
}

/// Directories and files are exchanged with links out of the root, and moved out of it and back, as fast as the system
/// can, while they are asked for. `SALVER_RACE_SECONDS` says for how long; long enough for files to be kept ready.
#[test]
#[cfg(target_os = "linux")]
fn no_race_leads_out_of_the_root() {
    let seconds = std::env::var("SALVER_RACE_SECONDS").map_or(3, |seconds| seconds.parse().unwrap());
    let site = Site::new();
    plant(&site, "root/folder", "p");
    plant(&site, "root/moving", "p");
    plant(&site, "outside", "s");
    site.write("outside/sub/only_outside", "s");
    site.write("root/file", "p".repeat(100));
    site.link("root/link", "folder/sub/../sub/file");
    site.link("root/other", "../outside");
    site.link("root/other_file", "../outside/large");
    let server = Salver::run(salver(site.path()).args(["--port", "0", "--quiet", "root"]));
    let (is_done, mut rounds) = (AtomicBool::new(false), 0);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(|| ask_all(&mut server.connect(), &is_done))).collect();
        let end = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < end {
            exchange(&site, "root/folder", "root/other");
            exchange(&site, "root/file", "root/other_file");
            fs::rename(site.join("root/moving"), site.join("moved")).unwrap();
            fs::rename(site.join("moved"), site.join("root/moving")).unwrap();
            rounds += 1;
        }
        is_done.store(true, Ordering::Relaxed);
        let counts: Vec<[usize; 2]> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        let [served, missed] = [0, 1].map(|at| counts.iter().map(|count| count[at]).sum::<usize>());
        println!("{rounds} rounds of renaming, {served} answers from within, {missed} without content");
        assert!(served > 0 && missed > 0, "{served} {missed}");
    });
}

#[cfg(target_os = "linux")]
fn exchange(site: &Site, one: &str, other: &str) {
    use rustix::fs::{RenameFlags, renameat_with};
    renameat_with(CWD, site.join(one), CWD, site.join(other), RenameFlags::EXCHANGE).unwrap();
}

/// How many answers had content, and how many had none. No content is from outside.
fn ask_all(client: &mut Client, is_done: &AtomicBool) -> [usize; 2] {
    let mut counts = [0; 2];
    while !is_done.load(Ordering::Relaxed) {
        for target in [
            "/folder/sub/file",
            "/folder/large",
            "/folder/",
            "/other/sub/file",
            "/other/large",
            "/other/",
            "/file",
            "/other_file",
            "/link",
            "/moving/sub/file",
            "/moving/large",
            "/?json",
            "/folder/sub/?json",
            "/other/sub/?json",
        ] {
            client.send(get(target, ""));
            let reply = client.reply();
            match reply.status {
                // Neither a name from outside, nor the size of what a name leads to there.
                200 if target.ends_with("json") => {
                    let text = reply.text();
                    let is_inside = !text.contains("only_outside") && !text.contains(&LARGE.to_string());
                    assert!(is_inside && text.contains("\"entries\""), "{target}: {text}");
                }
                200 => {
                    assert!(reply.body.iter().all(|byte| *byte == b'p'), "{target}: {}", reply.head);
                    assert!([100, LARGE].contains(&reply.body.len()), "{target}: {}", reply.head);
                }
                404 => assert!(!reply.text().contains("sss"), "{target}: {}", reply.head),
                _ => panic!("{target}: {}", reply.head),
            }
            counts[usize::from(reply.status == 404)] += 1;
        }
    }
    counts
}
