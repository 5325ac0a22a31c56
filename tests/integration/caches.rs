//! What caches make of answers (RFC 9111), and what salver's own makes of files: by random requests and random changes, the
//! same ones in each run.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Client, NOVEMBER_1994, Random, Reply, Salver, Site, get};

/// Fields of a request, and values to draw from; an empty one is no field.
type Choices = [(&'static str, &'static [&'static str])];

const ENCODINGS: (&str, &[&str]) =
    ("Accept-Encoding", &["", "gzip", "br", "gzip, br, zstd", "identity", "*", "br;q=0, *"]);

const CHOICES: &Choices = &[
    ENCODINGS,
    ("Accept", &["", "text/html", "text/html,*/*;q=0.8", "*/*", "application/json", "text/html;q=0"]),
    ("Origin", &["", "", "https://a.example", "https://b.example"]),
    ("X-Requested-With", &["", "fetch"]),
];

fn draw(random: &mut Random, choices: &Choices) -> Vec<(&'static str, &'static str)> {
    choices.iter().map(|(name, values)| (*name, values[random.below(values.len())])).collect()
}

fn lines(fields: &[(&str, &str)]) -> String {
    let said = fields.iter().filter(|(_, value)| !value.is_empty());
    said.map(|(name, value)| format!("{name}: {value}\r\n")).collect()
}

/// What depends on the time: what changed a moment ago has no Last-Modified yet (RFC 9110 section 8.8.2.2).
const PASSING: &[&str] = &["Date", "Last-Modified"];

/// The lines of a head, but for those of these fields.
fn head_without(reply: &Reply, names: &[&str]) -> Vec<String> {
    let is_wanted = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default();
        !names.iter().any(|unwanted| name.eq_ignore_ascii_case(unwanted))
    };
    reply.head.lines().filter(is_wanted).map(str::to_owned).collect()
}

/// A response that a cache has, and what it was asked with.
struct Stored {
    fields: Vec<(&'static str, &'static str)>,
    vary: Vec<String>,
    head: Vec<String>,
    body: Vec<u8>,
}

impl Stored {
    fn new(fields: Vec<(&'static str, &'static str)>, reply: Reply) -> Self {
        let values = reply.head.lines().filter_map(|line| line.strip_prefix("Vary: "));
        let vary: Vec<_> = values.flat_map(|value| value.split(',')).map(|name| name.trim().to_lowercase()).collect();
        let head = head_without(&reply, &["Date", "Last-Modified", "Vary"]);
        Self { fields, vary, head, body: reply.body }
    }

    /// Whether a cache would answer a request with these fields with it (RFC 9111 section 4.1).
    fn is_for(&self, fields: &[(&str, &str)]) -> bool {
        let is_named = |name: &str| self.vary.iter().any(|varying| varying.eq_ignore_ascii_case(name));
        self.fields.iter().zip(fields).all(|(one, other)| one.1 == other.1 || !is_named(one.0))
    }
}

const TARGETS: [&str; 30] = [
    "/",
    "/about",
    "/about/",
    "/about.html",
    "/both",
    "/both/",
    "/big.txt",
    "/small.txt",
    "/style.css",
    "/style.css.gz",
    "/only.txt",
    "/only.txt.gz",
    "/none",
    "/none.js",
    "/pics/",
    "/pics",
    "/pics/?json",
    "/docs/none",
    "/docs/",
    "/old",
    "/api/1",
    "/api/1.js",
    "/part/7",
    "/part/7.js",
    "/forced/7",
    "/m",
    "/m/",
    "/m/sub",
    "/m/none",
    "/users/7",
];

/// A request, and all that was answered before: where a cache would take one of those answers instead, it is the same.
fn check_stored(flags: &[&str], seed: u64) {
    let (site, other) = (Site::new(), Site::new());
    let text = |name: &str| format!("{name} and so on ").repeat(150);
    for name in ["index.html", "about.html", "both.html", "both/index.html", "big.txt", "style.css", "404.html"] {
        site.write(name, text(name));
    }
    for name in ["small.txt", "docs/404.html", "pics/a.png", "part.html", "error.html"] {
        site.write(name, name);
    }
    site.write("style.css.gz", b"\x1f\x8b not really");
    site.write("only.txt.gz", b"\x1f\x8b not really");
    site.write("data.json", "[]".repeat(1_000));
    site.write("_redirects", "/old /new 302\n/api/* /data.json 200\n/part/* /part.html 200\n/forced/* /big.txt 200!\n");
    other.write("sub/index.html", text("other"));
    let mount = format!("/m={}", other.path().display());
    let server = Salver::start(&site, &[&["--mount", &mount], flags].concat());
    let (mut client, mut random) = (server.connect(), Random::new(seed));
    let mut stored: HashMap<&str, Vec<Stored>> = HashMap::new();
    for _ in 0..500 {
        let (target, fields) = (TARGETS[random.below(TARGETS.len())], draw(&mut random, CHOICES));
        let lines = lines(&fields);
        let reply = client.ask(get(target, &lines));
        let of_head = client.ask(get(target, &lines).replacen("GET", "HEAD", 1));
        assert_eq!(head_without(&of_head, PASSING), head_without(&reply, PASSING), "HEAD {target} {lines}");
        if let (200, Some(tag)) = (reply.status, reply.field("etag")) {
            let again = client.ask(get(target, &format!("{lines}If-None-Match: {tag}\r\n")));
            assert_eq!((again.status, again.field("etag")), (304, Some(tag)), "{target} {lines}");
        }
        let new = Stored::new(fields, reply);
        let mut names = new.vary.clone();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), new.vary.len(), "{target} {lines}{:?}", new.vary);
        let earlier = stored.entry(target).or_default();
        for old in earlier.iter().filter(|old| old.is_for(&new.fields)) {
            assert_eq!((&old.head, &old.body), (&new.head, &new.body), "{target} {lines}stored for {:?}", old.fields);
        }
        earlier.push(new);
    }
}

#[test]
fn what_a_cache_has_stored_is_what_it_would_be_told() {
    for (seed, flags) in [
        &[][..],
        &["--spa", "--cors"],
        &["--spa", "--security-headers", "--error-page", "4xx=/error.html", "--no-list"],
        &["--trailing-slash", "never", "--cors=https://a.example", "-H", "Vary: X-Requested-With"],
        &["--trailing-slash", "always", "--redirect", "/* /index.html 200", "--redirect", "/users/* /small.txt 200!"],
        &["--no-clean-urls", "--no-compress", "--list", "--redirect", "/docs/* /about.html 200"],
    ]
    .into_iter()
    .enumerate()
    {
        check_stored(flags, seed as u64);
    }
}

const NAMES: [&str; 13] = [
    "index.html",
    "a",
    "a.html",
    "b",
    "b.html",
    "x.css",
    "x.css.gz",
    "a.html.br",
    "404.html",
    "d",
    "README.md",
    "big.txt",
    "index.html.gz",
];

const CHANGED: [&str; 26] = [
    "/",
    "/index.html",
    "/a",
    "/a/",
    "/a.html",
    "/b",
    "/b/",
    "/x.css",
    "/x.css.gz",
    "/404.html",
    "/none",
    "/d/",
    "/d/a",
    "/d/a/",
    "/d/none",
    "/big.txt",
    "/a/a",
    "/a/b/",
    "/b/x.css",
    "/d/?json",
    "/m/",
    "/m/a",
    "/m/a/",
    "/m/x.css",
    "/m/none",
    "/m/d/b",
];

/// A site that somebody works on.
struct Workshop {
    site: Site,
    random: Random,
}

impl Workshop {
    /// A place in the root, or in the directory that is mounted.
    fn place(&mut self) -> PathBuf {
        let depth = [0, 0, 1, 1, 2][self.random.below(5)];
        let top = ["www", "www", "other"][self.random.below(3)];
        let folders: PathBuf = (0..depth).map(|_| ["a", "b", "d"][self.random.below(3)]).collect();
        self.site.join(top).join(folders).join(NAMES[self.random.below(NAMES.len())])
    }

    fn content(&mut self, place: &Path) -> Vec<u8> {
        let start = if place.extension().is_some_and(|last| last == "gz") { "\x1f" } else { "" };
        let mut content = start.as_bytes().to_vec();
        content.extend(start.bytes().map(|_| 0x8b));
        content.extend(
            format!("{} text ", self.random.below(1_000_000)).repeat([1, 1, 200][self.random.below(3)]).bytes(),
        );
        content
    }

    /// Changes something; where it can't be done nothing is.
    fn change(&mut self) -> String {
        let (place, other) = (self.place(), self.place());
        let content = self.content(&place);
        let _ = place.parent().map(fs::create_dir_all);
        let (what, done) = match self.random.below(9) {
            0..=2 => ("write", fs::write(&place, content)),
            3 => ("remove", fs::remove_file(&place).or_else(|_| fs::remove_dir_all(&place))),
            4 => ("rename", fs::rename(&place, &other)),
            5 => ("make a directory of", fs::remove_file(&place).and_then(|()| fs::create_dir(&place))),
            6 => ("link", fs::remove_file(&place).and_then(|()| std::os::unix::fs::symlink(&other, &place))),
            7 => {
                let new = place.with_file_name(".new");
                ("replace", fs::write(&new, content).and_then(|()| fs::rename(&new, &place)))
            }
            _ => {
                let (top, spare) = (self.site.join("www"), self.site.join("spare"));
                let swapped = fs::create_dir_all(&spare).and_then(|()| fs::rename(&top, self.site.join("away")));
                let swapped = swapped.and_then(|()| fs::rename(&spare, &top));
                ("swap the root instead of", swapped.and_then(|()| fs::rename(self.site.join("away"), &spare)))
            }
        };
        if self.random.below(2) == 0
            && let Ok(name) = place.strip_prefix(self.site.path())
            && place.is_file()
        {
            self.site.set_modified(name.to_str().unwrap(), NOVEMBER_1994);
        }
        format!("{what} {} ({}): {done:?}", place.display(), other.display())
    }
}

fn serve(site: &Site, flags: &[&str]) -> (Salver, Client) {
    let mut command = crate::support::salver(site.path());
    let mount = format!("/m={}", site.join("other").display());
    command.args(["--port", "0", "--list", "--mount", &mount, "www"]).args(flags);
    let server = Salver::run(&mut command);
    let client = server.connect();
    (server, client)
}

/// After each change the server that has run for long answers as one that has just started, and knows nothing.
fn check_changes(flags: &[&str], seed: u64) {
    let mut workshop = Workshop { site: Site::new(), random: Random::new(seed) };
    workshop.site.write("www/index.html", "home");
    workshop.site.write("other/a", "a");
    (0..40).for_each(|_| drop(workshop.change()));
    let (server, mut client) = serve(&workshop.site, flags);
    let mut history = Vec::new();
    for _ in 0..40 {
        let random = &mut workshop.random;
        let asked: Vec<_> = (0..4)
            .map(|_| {
                let fields = draw(random, &[ENCODINGS, ("Accept", &["", "text/html", "application/json"])]);
                get(CHANGED[random.below(CHANGED.len())], &lines(&fields))
            })
            .collect();
        // Twice: what was asked for again may be kept.
        (0..2).for_each(|_| asked.iter().for_each(|request| drop(client.ask(request))));
        history.push(workshop.change());
        let (_fresh, mut newcomer) = serve(&workshop.site, flags);
        for request in &asked {
            let (reply, expected) = (client.ask(request), newcomer.ask(request));
            let (head, expected_head) = (head_without(&reply, PASSING), head_without(&expected, PASSING));
            assert_eq!((head, reply.text()), (expected_head, expected.text()), "{request}{history:#?}");
        }
    }
    drop(server);
}

#[test]
fn after_any_change_it_answers_as_one_that_has_just_started() {
    for (seed, flags) in [
        &[][..],
        &["--spa", "--symlinks", "follow", "--error-page", "4xx=/404.html"],
        &["--trailing-slash", "never", "--symlinks", "off"],
        &["--trailing-slash", "always", "--redirect", "/a/* /b/:splat 200", "--hide", "*.css"],
        &["--no-clean-urls", "--no-precompressed", "--index", "a.html"],
    ]
    .into_iter()
    .enumerate()
    {
        check_changes(flags, seed as u64);
    }
}
