//! `salver routes`: what it tells is what a server answers, for every path and configuration; and it tells why.

use std::collections::BTreeSet;
use std::fs;

use crate::support::{Client, Ended, Reply, Salver, Site, end_of, salver};

/// A site with something of everything.
fn site() -> Site {
    let site = Site::with(&[
        ("www/index.html", "home"),
        ("www/404.html", "site's 404"),
        ("www/about.html", "about"),
        ("www/app.js", "script"),
        ("www/app.js.map", "map"),
        ("www/a b.txt", "space"),
        ("www/blog/index.html", "blog"),
        ("www/blog/post.html", "post"),
        ("www/docs/404.html", "docs' 404"),
        ("www/docs/deep/a.txt", "a"),
        ("www/team.html", "team"),
        ("www/team/ann.txt", "ann"),
        ("www/both.html", "page"),
        ("www/both/index.html", "index"),
        ("www/drafts/one.html", "one"),
        ("www/errors/4xx.html", "a mistake of yours"),
        ("www/.well-known/x", "well known"),
        ("www/.git/config", "secret"),
        ("www/_headers", "/about\n  X-From: file\n/docs/*\n  X-From: file\n  Cache-Control: max-age=5\n"),
        ("www/_redirects", "/from/file /new 302\n/api/* /docs/deep/:splat.txt 200\n"),
        ("other/index.html", "other home"),
        ("other/only.html", "only"),
        ("secret.txt", "secret"),
    ]);
    site.link("www/link.html", "about.html");
    site.link("www/out.html", "../secret.txt");
    site
}

const PATHS: [&str; 50] = [
    "/",
    "/?q=1",
    "/index.html",
    "/about",
    "/about?q=[1]",
    "/about/",
    "/about.html",
    "/%61bout",
    "//about",
    "/./about",
    "/x/../about",
    "/app.js",
    "/app.js.map",
    "/missing",
    "/missing/",
    "/missing.js",
    "/a b.txt",
    "/blog",
    "/blog?q",
    "/blog/",
    "/blog/post",
    "/blog/missing",
    "/docs",
    "/docs/",
    "/docs/deep",
    "/docs/deep/missing",
    "/docs/deep/a.txt",
    "/team",
    "/team/",
    "/team/ann.txt",
    "/both",
    "/both/",
    "/drafts",
    "/drafts/one",
    "/.well-known/x",
    "/.git/config",
    "/_redirects",
    "/link",
    "/out",
    "/..",
    "/..%2fsecret.txt",
    "/a%00",
    "/%zz",
    "/old",
    "/old/x/y?q",
    "/from/file",
    "/api/a",
    "/m",
    "/m/only",
    "/stra\u{df}e",
];

/// Options of serving, each of which changes what answers some of the paths.
const OPTIONS: [&[&str]; 18] = [
    &[],
    &["--spa"],
    &["--no-clean-urls"],
    &["--trailing-slash", "always"],
    &["--trailing-slash", "never"],
    &["--index", "missing.html,post.html"],
    &["--hide", "*.map", "--hide", "/drafts", "--hide", "/m"],
    &["--error-page", "404=/errors/missing.html", "--error-page", "4xx=/errors/4xx.html"],
    &["--mount", "/m=../other", "--mount", "/docs/deep=../other", "--immutable-hashed"],
    &["--redirect", "/old/* /new/:splat 308", "--redirect", "/missing /about 200", "--redirect", "/* /index.html 200"],
    &["--redirect", "/about /blog/ 200!", "--redirect", "/:a/:b https://b.example/:a?b=:b 307"],
    &["-H", "X-All: 1", "-H", "*.html Cache-Control: max-age=60", "-H", "/docs/* X-From: flag"],
    &["--symlinks", "off", "--security-headers", "--isolate", "--type", "txt=text/x-own"],
    &["--symlinks", "follow", "--spa=about.html"],
    &["--cors=https://a.example", "--mount", "/m=../other", "--allow-host", "localhost,one.example"],
    &["-c", "../hosts.toml"],
    &["--deny-from", "/docs/* 127.0.0.1", "--deny-from", "*.map 127.0.0.0/8", "--redirect", "/old/* /docs/ 200"],
    &["--allow-from", "10.0.0.0/8", "--allow-from", "/about 127.0.0.1", "--error-page", "403=/errors/4xx.html"],
];

const HOSTS: &str = "[salver]\n[salver.hosts.\"one.example, *.two.example\"]\nroot = 'other'\nspa = true\n\
                     redirect = [\n  '/about /x', # gone\n  '/old /only'\n]\n\
                     header = [\n  'X-Host: 1'\n]\n";

/// What came of a path: status, fields, and the file whose content it is.
#[derive(Debug)]
struct Told {
    text: String,
    status: u16,
    fields: BTreeSet<(String, String)>,
    from: Option<String>,
}

impl Told {
    fn of(block: &str) -> Self {
        let (_, answer) = block.split_once("\n  answer    ").unwrap_or_else(|| panic!("no answer: {block}"));
        let mut lines = answer.lines();
        let first = lines.next().unwrap();
        let status = first.split(' ').next().unwrap().parse().unwrap();
        let from = first.split_once(", from ").map(|(_, from)| from.to_owned());
        let fields = lines.map(|line| fields_of(line.trim())).collect();
        Self { text: block.to_owned(), status, fields, from }
    }
}

fn fields_of(line: &str) -> (String, String) {
    let (name, value) = line.split_once(": ").unwrap_or((line.trim_end_matches(':'), ""));
    (name.to_ascii_lowercase(), value.to_owned())
}

/// The fields that say something about the path, and not about the moment.
fn lasting(fields: impl IntoIterator<Item = (String, String)>) -> BTreeSet<(String, String)> {
    let passing = ["date", "connection", "etag", "last-modified"];
    fields.into_iter().filter(|(name, _)| !passing.contains(&&**name)).collect()
}

#[track_caller]
fn routes(site: &Site, words: &[&str]) -> Ended {
    end_of(salver(&site.join("www")).arg("routes").args(words))
}

#[track_caller]
fn told(site: &Site, words: &[&str]) -> Vec<Told> {
    let ended = routes(site, words);
    assert_eq!(ended.status, Some(0), "{words:?}: {ended:?}");
    ended.stdout.split("\n\n").map(Told::of).collect()
}

/// A path as a browser sends it.
fn encoded(path: &str) -> String {
    path.replace(' ', "%20").replace('\u{df}', "%C3%9F")
}

#[track_caller]
fn check(told: &Told, reply: &Reply, what: &str) {
    assert_eq!(told.status, reply.status, "{what}: {}\n{}", told.text, reply.head);
    let said = reply.head.lines().skip(1).filter(|line| !line.is_empty()).map(fields_of);
    assert_eq!(lasting(told.fields.clone()), lasting(said), "{what}: {}", told.text);
    if let Some(from) = told.from.as_ref().filter(|_| !reply.body.is_empty()) {
        match fs::read_to_string(from) {
            Ok(content) => assert_eq!(reply.text(), content, "{what}: {}", told.text),
            // A directory; it is listed.
            Err(_) => assert!(reply.text().contains("</table>"), "{what}: {}", told.text),
        }
    } else if reply.status == 200 {
        assert!(reply.body.is_empty(), "{what}: no file is told: {}", told.text);
    }
}

#[test]
fn what_is_told_is_what_is_answered() {
    let site = site();
    site.write("hosts.toml", HOSTS);
    let mut statuses = BTreeSet::new();
    for (number, options) in OPTIONS.iter().enumerate() {
        let mut command = salver(&site.join("www"));
        let server = Salver::run(command.args(["-p", "0"]).args(*options));
        for (method, host, fields) in [
            ("GET", "localhost", &["Accept: text/html"][..]),
            ("GET", "one.example", &["Accept: */*", "Origin: https://a.example"]),
            ("GET", "other.example", &[]),
            ("HEAD", "a.two.example", &["Accept: text/html", "If-None-Match: *"]),
            ("POST", "LOCALHOST:80", &[]),
            ("OPTIONS", "other.example", &["Origin: https://a.example", "Access-Control-Request-Method: GET"]),
        ] {
            // Each method with some of the options, and GET with all.
            if method != "GET" && number % 3 != method.len() % 3 {
                continue;
            }
            let asked = ["--host", host, "--method", method];
            let fields_asked = fields.iter().flat_map(|field| ["--field", field]);
            let words: Vec<&str> =
                asked.into_iter().chain(fields_asked).chain(options.iter().copied()).chain(PATHS).collect();
            let told = told(&site, &words);
            assert_eq!(told.len(), PATHS.len());
            let lines: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
            // What is asked for where nothing else is said.
            let lines = if fields.is_empty() { "Accept: text/html\r\nContent-Length: 0\r\n".to_owned() } else { lines };
            for (told, path) in told.iter().zip(PATHS) {
                let path = encoded(path);
                let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n");
                let mut client = Client::connect(server.address);
                client.send(&request);
                check(told, &client.reply_to(&request), &format!("{options:?} {method} {host} {path}"));
                statuses.insert(told.status);
            }
        }
    }
    assert!(statuses.is_superset(&[200, 204, 301, 302, 304, 307, 308, 400, 403, 404, 405, 421].into()), "{statuses:?}");
}

/// These lines are told of a path, in this order.
#[track_caller]
fn check_steps(site: &Site, words: &[&str], expected: &[&str]) {
    let ended = routes(site, words);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let text = ended.stdout.replace(site.path().to_str().unwrap(), "DIR");
    let squeezed: Vec<String> =
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let mut lines = squeezed.iter();
    for step in expected {
        assert!(lines.any(|line| line == step), "{words:?}: {step:?} in this order in: {text}");
    }
}

#[test]
fn rules_are_told_with_their_place() {
    let site = site();
    site.write("hosts.toml", HOSTS);
    check_steps(
        &site,
        &["/about"],
        &[
            "GET /about",
            "redirect by none of 2 rules",
            "look about isn't there",
            "look about.html is a file",
            "file DIR/www/about.html",
            "field by /about x-from: file (_headers:1)",
            "caching as no rule says more",
            "answer 200 OK, from DIR/www/about.html",
            "X-From: file",
        ],
    );
    check_steps(
        &site,
        &["/from/file?x"],
        &["redirect '/from/file /new 302' (_redirects:1)", "answer 302 Found, to /new?x"],
    );
    let flag = ["/old", "--redirect", "/old /new"];
    check_steps(&site, &flag, &["redirect '/old /new' (flag --redirect)", "answer 301 Moved Permanently, to /new"]);
    check_steps(
        &site,
        &["/old", "--host", "b.two.example", "-c", "../hosts.toml"],
        &[
            "host b.two.example has the site of [salver.hosts.\"one.example, *.two.example\"]",
            "redirect '/old /only' (../hosts.toml:7)",
            "field by X-Host: 1 (../hosts.toml:10)",
            "answer 301 Moved Permanently, to /only",
        ],
    );
    check_steps(
        &site,
        &["/api/a"],
        &[
            "rewrite to /docs/deep/a.txt by '/api/* /docs/deep/:splat.txt 200' (_redirects:2), if nothing is there",
            "rewrite nothing is there, so to /docs/deep/a.txt",
            "answer 200 OK, from DIR/www/docs/deep/a.txt",
        ],
    );
    check_steps(&site, &["/about/"], &["slash it belongs at /about", "answer 301 Moved Permanently, to /about"]);
    check_steps(&site, &["/m/only", "--mount", "/m=../other"], &["mount /m is DIR/www/../other"]);
    let hidden = ["/app.js.map", "--hide", "*.map"];
    check_steps(
        &site,
        &hidden,
        &["hide app.js.map by '*.map' (flag --hide)", "log /app.js.map: not served: it is hidden"],
    );
    check_steps(
        &site,
        &["/out.html"],
        &[
            "log /out.html: not served: a link leads out of the root or is absolute; make it relative, or set symlinks = \
         \"follow\"",
            "error 404, for which the site may have a page",
            "answer 404 Not Found, from DIR/www/404.html",
        ],
    );
    let spa = ["/users/7", "/users.js", "--spa"];
    check_steps(
        &site,
        &spa,
        &[
            "spa index.html in the place of what isn't there",
            "caching as it stands in for what isn't there",
            "answer 200 OK, from DIR/www/index.html",
            "GET /users.js",
            "spa not index.html, which is for HTML and paths without extension",
        ],
    );
    check_steps(
        &site,
        &["http://x.example/", "--allow-host", "localhost"],
        &["host x.example is none of allow_host, which is localhost", "answer 421 Misdirected Request"],
    );
}

/// Whoever asks has chosen the names: they must not tell a terminal to do anything.
#[test]
fn names_are_shown_escaped() {
    let site =
        Site::with(&[("www/a\u{1b}[2Jb.txt", "file"), ("www/hid\u{9b}den", "file"), ("www/d\u{7f}ir/a.txt", "file")]);
    for (path, shown) in [
        ("/a%1b[2Jb.txt", "/a\\x1b[2Jb.txt"),
        ("/a%1b.txt", "look a\\x1b.txt isn't there"),
        ("/d%7fir/", "list DIR/www/d\\x7fir"),
        ("/hid%c2%9bden", "hide hid\\xc2\\x9bden by"),
    ] {
        let ended = routes(&site, &[path, "--list", "--hide", "hid*"]);
        let text = ended.stdout.replace(site.path().to_str().unwrap(), "DIR");
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(shown), "{path}: {words}");
        assert!(!ended.stdout.contains(|character: char| character.is_control() && character != '\n'), "{ended:?}");
    }
}

#[test]
fn what_cannot_be_asked_is_a_mistake() {
    let site = site();
    for (words, said) in [
        (&["about"][..], "PATH about: expected a path that begins with /, or a URL with http://"),
        (&["/a\r\nX: y"], "PATH /a  X: y: expected a path"),
        (&["https://a/"], "PATH https://a/: expected a path"),
        (&["/", "--host", "a b"], "--host a b: expected a host"),
        (&["/", "--method", "G T"], "--method G T: expected a method"),
        (&["/", "--field", "Accept"], "--field Accept: expected Name: value"),
        (&["/", "--redirect", "/a"], "--redirect /a: expected FROM TO [STATUS]"),
        (&["/", "-d", "missing"], "--root missing: there is no directory"),
    ] {
        let ended = routes(&site, words);
        assert_eq!((ended.status, &*ended.stdout), (Some(2), ""), "{words:?}: {ended:?}");
        assert!(ended.stderr.starts_with(&format!("salver: {said}")), "{words:?}: {ended:?}");
    }
    assert_eq!(routes(&site, &[]).status, Some(2));
    let ended = end_of(salver(&site.join("www")).args(["one", "two"]));
    assert!(ended.status == Some(2) && ended.stderr.contains("unexpected argument 'two'"), "{ended:?}");
}

#[test]
fn a_directory_of_that_name_is_served_as_it_was() {
    let site = Site::with(&[("routes/index.html", "way")]);
    for words in [&["./routes"][..], &["-d", "routes"], &["--", "routes"]] {
        let server = Salver::run(salver(site.path()).args(["-p", "0"]).args(words));
        assert_eq!(server.get("/", "").text(), "way", "{words:?}");
    }
}

/// With -vv a server tells the same of its requests.
#[test]
fn a_server_tells_its_steps_to_who_wants_them() {
    let site = site();
    let server = Salver::run(salver(&site.join("www")).args(["-p", "0", "-vv"]));
    assert_eq!(server.get("/from/file", "").status, 302);
    server.wait_for_log("TRACE redirect: '/from/file /new 302' (_redirects:1)\n");
}
