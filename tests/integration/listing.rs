//! Directories without an index: when they are listed, what is listed, and how.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::time::Instant;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::Value;

use crate::support::{
    Client, NOVEMBER_1994, PATIENCE, Reply, Salver, Site, curl, end_of, get, salver, serving, settle, unprivileged,
};

/// The listing at this target as JSON.
#[track_caller]
fn json(server: &Salver, target: &str) -> Value {
    let reply = server.get(target, "Accept: application/json\r\n");
    assert_eq!(
        (reply.status, reply.field("content-type")),
        (200, Some("application/json")),
        "{target}: {}",
        reply.text()
    );
    serde_json::from_slice(&reply.body).unwrap()
}

/// The names on the page at this target, each with a slash behind a directory.
#[track_caller]
fn names(server: &Salver, target: &str) -> Vec<String> {
    let name = |entry: &Value| {
        let slash = if entry["type"] == "directory" { "/" } else { "" };
        format!("{}{slash}", entry["name"].as_str().unwrap())
    };
    json(server, target)["entries"].as_array().unwrap().iter().map(name).collect()
}

#[track_caller]
fn check_status(server: &Salver, target: &str, status: u16) -> Reply {
    let reply = server.get(target, "");
    assert_eq!(reply.status, status, "{target}: {}", reply.text());
    reply
}

#[test]
fn directories_are_listed_by_default_on_loopback_alone() {
    let site = Site::with(&[("public/sub/a.txt", "a")]);
    let status = |arguments: &[&str]| {
        let server = Salver::run(salver(site.path()).args(["--port", "0", "--bind", "127.0.0.1"]).args(arguments));
        server.get("/sub/", "").status
    };
    assert_eq!(status(&["public"]), 200);
    assert_eq!(status(&["--no-list", "public"]), 404);
    // Who asks through a UNIX socket may be a proxy, for anybody.
    assert_eq!(status(&["--bind", "unix:site.sock", "public"]), 404);
    assert_eq!(status(&["--bind", "unix:site.sock", "--list", "public"]), 200);
    assert_eq!(status(&["--bind", "127.0.0.2", "public"]), 200);
}

#[test]
fn each_host_may_be_listed_or_not() {
    let site = Site::with(&[("www/sub/a.txt", "a"), ("other/sub/b.txt", "b")]);
    site.write(
        "salver.toml",
        "[salver]\nroot = \"www\"\nlist = false\n[salver.hosts.\"b.example\"]\nroot = \"other\"\nlist = true\n",
    );
    let server = Salver::run(salver(site.path()).args(["--port", "0"]));
    let status = |host: &str| server.ask(format!("GET /sub/ HTTP/1.1\r\nHost: {host}\r\n\r\n")).status;
    assert_eq!((status("a.example"), status("b.example")), (404, 200));
}

#[test]
fn a_value_that_cannot_be_stops_the_start() {
    let site = Site::with(&[("a.txt", "a")]);
    for (key, value, expected) in [
        ("LIST", "maybe", "SALVER_LIST=maybe: expected true, false or \"auto\""),
        ("LIST_PAGE_ENTRIES", "0", "SALVER_LIST_PAGE_ENTRIES=0: expected a number from 1 to 100000"),
        ("LIST_ENTRIES_MAX", "1000001", "SALVER_LIST_ENTRIES_MAX=1000001: expected a number from 1 to 1000000"),
    ] {
        let ended = end_of(serving(&site).env(format!("SALVER_{key}"), value));
        assert_eq!(ended.status, Some(2), "{key}");
        assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    }
}

#[test]
fn a_listing_stands_only_where_nothing_else_would() {
    let site = Site::with(&[
        ("with/index.html", "index"),
        ("page.html", "page"),
        ("page/a.txt", "a"),
        ("plain/b.txt", "b"),
        ("404.html", "nothing"),
        ("refused/a.txt", "a"),
        ("odd/index.html/a.txt", "a"),
        ("app.html", "app"),
    ]);
    site.link("refused/index.html", "../../outside");
    let server = Salver::start(&site, &["--spa=app.html"]);
    for (target, status, text) in [
        ("/with/", 200, "index"),
        ("/with/?json", 200, "index"),
        ("/page", 200, "page"),
        ("/page/", 301, ""),
        ("/plain", 301, ""),
        ("/plain?json", 301, ""),
        ("/nothing/", 404, "nothing"),
        ("/plain/b.txt/", 404, "nothing"),
        // Who put an index there doesn't want a listing, even if it can't be served.
        ("/refused/", 404, "nothing"),
        ("/plain/", 200, "<caption>1 entry</caption>"),
        ("/odd/", 200, "<caption>1 entry</caption>"),
    ] {
        let reply = check_status(&server, target, status);
        assert!(reply.text().contains(text), "{target}: {}", reply.text());
    }
    let navigate = |target: &str| server.get(target, "Accept: text/html\r\n").text();
    assert_eq!(navigate("/users/"), "app", "there is no such directory");
    assert!(navigate("/plain/").contains("b.txt"), "what is there comes before an application");
    let refused = server.ask(get("/plain/", "").replacen("GET", "POST", 1));
    assert_eq!((refused.status, refused.field("allow")), (405, Some("GET, HEAD, OPTIONS")));
    // An index may come and go at any time.
    site.write("plain/index.html", "new");
    assert_eq!(server.get("/plain/", "").text(), "new");
    fs::remove_file(site.join("plain/index.html")).unwrap();
    assert_eq!(names(&server, "/plain/"), ["b.txt"]);
    fs::create_dir(site.join("nothing")).unwrap();
    assert_eq!(names(&server, "/nothing/"), [""; 0]);
    assert!(server.get("/nothing/", "").text().contains("This directory is empty"));
    // One file alone has no directory.
    let alone = Salver::run(salver(site.path()).args(["--port", "0", "--list", "page.html"]));
    check_status(&alone, "/plain/", 404);
}

/// What a browser makes of an attribute.
fn unescape(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'").replace("&amp;", "&")
}

/// `# % ? :` and spaces in names broke the links of others (SWS#149, miniserve#1076, #229, http-server#13).
#[test]
fn every_link_leads_to_its_entry() {
    let odd: [&[u8]; 22] = [
        b"a b",
        b"100%",
        b"%41",
        b"%2e%2e",
        b"h#x",
        b"q?x=1&y",
        b"c:d",
        b"javascript:alert(1)",
        b"//x".split_at(2).1,
        b"\"quoted\"",
        b"it's",
        b"<b>bold",
        b"&amp;",
        b"a+b",
        b"new\nline",
        b"tab\t",
        b"\xff\xfe",
        "\u{fc}\u{1f980}".as_bytes(),
        b"~tilde",
        b"[x]|{y}^`",
        b";a=b,c",
        b"@at!$*()",
    ];
    let site = Site::new();
    for parent in ["", "d %#/"] {
        fs::create_dir_all(site.join(parent)).unwrap();
        for name in odd {
            let place = site.join(parent).join(OsStr::from_bytes(name));
            fs::write(&place, [parent.as_bytes(), name].concat()).unwrap();
            let mut folder = place.into_os_string();
            folder.push("-folder");
            fs::create_dir(&folder).unwrap();
        }
    }
    // Where no slash is behind a directory, links start from the one above.
    for (slashes, above) in [("auto", "/d%20%25%23/"), ("never", "/")] {
        let server = Salver::start(&site, &["--trailing-slash", slashes]);
        for (target, parent, base) in [("/", "", "/"), ("/d%20%25%23/", "d %#/", above)] {
            let target = if slashes == "never" && !parent.is_empty() { target.trim_end_matches('/') } else { target };
            let page = check_status(&server, target, 200).text();
            let links: Vec<String> = page
                .split("data-entry><th scope=\"row\"><a href=\"")
                .skip(1)
                .map(|rest| unescape(rest.split('"').next().unwrap()))
                .collect();
            let of_json: Vec<Value> = json(&server, target)["entries"].as_array().unwrap().clone();
            assert_eq!(links, of_json.iter().map(|entry| entry["href"].as_str().unwrap()).collect::<Vec<_>>());
            let mut contents = BTreeSet::new();
            for (link, entry) in links.iter().zip(&of_json) {
                let reply = check_status(&server, &format!("{base}{}", link.strip_prefix("./").unwrap()), 200);
                if entry["type"] == "file" {
                    contents.insert(reply.body);
                }
            }
            let expected: BTreeSet<Vec<u8>> = odd.iter().map(|name| [parent.as_bytes(), name].concat()).collect();
            assert_eq!(contents, expected, "{target} with {slashes}");
            assert!(of_json.len() >= 2 * odd.len(), "directories too");
        }
    }
}

/// What a request would be told is not there isn't in its listing either, and the other way round.
#[test]
fn what_is_listed_is_what_is_served() {
    let (site, shelf) = (Site::new(), Site::new());
    for name in [
        "root/a.txt",
        "root/closed.txt",
        "root/.hidden",
        "root/.well-known/x",
        "root/.git/config",
        "root/_headers",
        "root/_redirects",
        "root/back\\slash",
        "root/app.js.map",
        "root/drafts/x",
        "root/open/x",
        "root/closed/x",
        "root/unread/x",
        "root/unread_index/index.html",
        "root/refused_index/index.html",
        "root/linked_index/x",
        "root/index_in_place/index.html",
        "root/salver.toml",
        "root/sub/.well-known/x",
        "root/sub/_headers",
        "outside/secret",
    ] {
        site.write(name, "");
    }
    site.write("root/salver.toml", "[salver]\n");
    for (name, target) in [
        ("out", "../outside/secret"),
        ("out_directory", "../outside"),
        ("absolute", "/etc/passwd"),
        ("dangling", "nothing"),
        ("circle", "circle"),
        ("in", "a.txt"),
        ("in_directory", "open"),
        ("to_closed", "closed.txt"),
        ("to_fifo", "fifo"),
        ("to_config", "salver.toml"),
        ("of.map", "a.txt"),
        ("around", "../root/a.txt"),
        ("linked_index/index.html", "../../outside/secret"),
        ("to_refused_index", "refused_index"),
    ] {
        site.link(&format!("root/{name}"), target);
    }
    mknodat(CWD, site.join("root/fifo"), FileType::Fifo, Mode::from(0o644), 0).unwrap();
    let _socket = UnixListener::bind(site.join("root/socket")).unwrap();
    fs::set_permissions(site.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for (name, mode) in [("closed.txt", 0), ("closed", 0), ("unread", 0o311), ("unread_index", 0o311)] {
        site.set_mode(&format!("root/{name}"), mode);
    }
    site.set_mode("root/refused_index/index.html", 0);
    let mut command = unprivileged(&shelf, &site.join("root"));
    let server = Salver::run(command.args(["--port", "0", "--hide", "*.map", "--hide", "/drafts"]));
    // From disk, and from what was kept of it.
    for round in 0..2 {
        for folder in ["", "sub/"] {
            let listed: BTreeSet<String> = names(&server, &format!("/{folder}"))
                .iter()
                .map(|name| name.trim_end_matches('/').to_owned())
                .collect();
            let mut count = 0;
            for entry in fs::read_dir(site.join("root").join(folder)).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                let slash = if site.join("root").join(folder).join(&name).is_dir() { "/" } else { "" };
                let encoded = name.replace('\\', "%5c");
                let is_served = server.get(&format!("/{folder}{encoded}{slash}"), "").status == 200;
                assert_eq!(listed.contains(&name), is_served, "{folder}{name}");
                count += usize::from(is_served);
            }
            assert_eq!(listed.len(), count, "{listed:?}");
        }
        if round == 0 {
            settle(&site, "root/", &server);
        }
    }
    assert_eq!(names(&server, "/sub/"), ["_headers"]);
    assert!(names(&server, "/").iter().any(|name| name == "unread_index/"), "its index can be read");
    ["closed", "unread", "unread_index"].iter().for_each(|name| site.set_mode(&format!("root/{name}"), 0o755));
}

/// A change, and what it does to the listing: text that is then in it, or not.
type Change<'a> = (&'a str, &'a dyn Fn(), &'a str, bool);

/// Names come and go with a new state of their directory; what entries are like doesn't show in that.
#[test]
fn a_listing_is_never_out_of_date() {
    let (site, shelf) =
        (Site::with(&[("root/sub/a.txt", "a"), ("root/sub/b.txt", "bb"), ("root/t.txt", "")]), Site::new());
    for number in 0..30 {
        site.write(&format!("root/sub/c{number:02}.txt"), "c");
    }
    site.write("root/sub/README.md", "# first");
    site.write("root/sub/d/index.html", "d");
    site.link("root/sub/link", "a.txt");
    fs::set_permissions(site.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = unprivileged(&shelf, site.path());
    let server = Salver::run(command.args(["--port", "0", "root"]));
    settle(&site, "root/", &server);
    let write = |name: &str, content: &str| site.write(&format!("root/{name}"), content);
    let changes: &[Change<'_>] = &[
        ("as it is", &|| {}, ">link</bdi></a></th><td><data value=\"1\"", true),
        ("a file grows in its place", &|| write("sub/a.txt", &"a".repeat(321)), "<data value=\"321\"", true),
        ("so does what a link leads to", &|| (), ">link</bdi></a></th><td><data value=\"321\"", true),
        ("a date is set", &|| site.set_modified("root/sub/a.txt", NOVEMBER_1994), "1994-11-06 08:49", true),
        ("what may not be read goes", &|| site.set_mode("root/sub/b.txt", 0), ">b.txt<", false),
        ("and comes back", &|| site.set_mode("root/sub/b.txt", 0o644), ">b.txt<", true),
        ("what a link leads to goes", &|| fs::remove_file(site.join("root/sub/a.txt")).unwrap(), ">link<", false),
        ("and comes back", &|| write("sub/a.txt", "x"), ">link<", true),
        ("a README is edited", &|| write("sub/README.md", "# second"), "<h2>second</h2>", true),
        ("a file is added", &|| write("sub/new.txt", "x"), ">new.txt<", true),
        (
            "a file is renamed",
            &|| fs::rename(site.join("root/sub/new.txt"), site.join("root/sub/old.txt")).unwrap(),
            ">new.txt<",
            false,
        ),
        ("an index may not be read", &|| site.set_mode("root/sub/d/index.html", 0), "./d/", false),
        ("and may be again", &|| site.set_mode("root/sub/d/index.html", 0o644), "./d/", true),
        ("a directory is added", &|| fs::create_dir(site.join("root/sub/folder")).unwrap(), "./folder/", true),
        ("the README goes", &|| fs::remove_file(site.join("root/sub/README.md")).unwrap(), "second", false),
    ];
    let mut client = server.connect();
    // As often as not all that was there is kept when something changes.
    for target in ["/sub/", "/sub/?sort=size", "/sub/?sort=date&order=desc"] {
        client.send(get(target, ""));
        assert!(client.reply().text().contains(">b.txt<"), "{target}");
    }
    for (what, change, text, is_there) in changes {
        change();
        for target in ["/sub/", "/sub/?sort=size", "/sub/?sort=date&order=desc"] {
            client.send(get(target, ""));
            let page = client.reply().text();
            assert_eq!(page.contains(text), *is_there, "{what}, {target}: {page}");
        }
    }
}

#[test]
fn a_listing_is_a_representation_like_any_other() {
    let site = Site::new();
    for number in 0..200 {
        site.write(&format!("sub/a file of some name {number}.txt"), "x");
    }
    let server = Salver::serve(&site);
    let page = check_status(&server, "/sub/", 200);
    assert_eq!(page.field("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(page.field("cache-control"), Some("no-cache"));
    assert_eq!((page.field("last-modified"), page.field("x-content-type-options")), (None, Some("nosniff")));
    assert!(page.field("content-security-policy").unwrap().starts_with("default-src 'none'; style-src 'sha256-"));
    let etag = page.field("etag").unwrap().to_owned();
    assert!(etag.starts_with('"'), "{etag}");
    let vary: Vec<&str> = page.head.lines().filter(|line| line.starts_with("Vary: ")).collect();
    assert_eq!(vary, ["Vary: Accept", "Vary: Accept-Encoding"]);
    let kept = server.get("/sub/", &format!("If-None-Match: {etag}\r\n"));
    assert_eq!((kept.status, kept.field("etag")), (304, Some(&*etag)));
    assert_eq!(server.get("/sub/", "If-Match: \"other\"\r\n").status, 412);
    let head = server.ask(get("/sub/", "").replacen("GET", "HEAD", 1));
    assert_eq!((head.status, head.field("content-length")), (200, Some(&*page.body.len().to_string())));
    let part = server.get("/sub/", "Range: bytes=0-14\r\n");
    assert_eq!((part.status, &*part.body), (206, &b"<!doctype html>"[..]));
    // JSON at the same target is another one.
    let json = server.get("/sub/", &format!("Accept: application/json\r\nIf-None-Match: {etag}\r\n"));
    assert_eq!((json.status, json.field("content-security-policy")), (200, None));
    assert_ne!(json.field("etag"), Some(&*etag));
    assert_eq!(server.get("/sub/?json", "Accept: text/html\r\n").body.first(), Some(&b'{'));
    // It comes compressed, and is the same then.
    for coding in ["gzip", "br", "zstd"] {
        let reply = server.get("/sub/", &format!("Accept-Encoding: {coding}, identity;q=0\r\n"));
        assert_eq!((reply.status, reply.field("content-encoding")), (200, Some(coding)));
        assert!(reply.body.len() < page.body.len() / 4, "{}", reply.body.len());
    }
    assert_eq!(curl(&["--compressed"], &server.url("/sub/")), page.text());
    // A sibling of the directory's name is not its page.
    site.write("sub.gz", [0x1f, 0x8b]);
    assert_eq!(server.get("/sub/", "Accept-Encoding: gzip\r\n").field("content-encoding"), Some("gzip"));
    assert_eq!(curl(&["--compressed"], &server.url("/sub/")), page.text());
}

#[test]
fn entries_are_sorted_filtered_and_paged() {
    let site = Site::new();
    for number in 1..=25 {
        let name = format!("root/file{number}.txt");
        site.write(&name, "x".repeat(100 - number));
        site.set_modified(&name, NOVEMBER_1994 + i64::from(number as u32 % 7));
    }
    ["root/Zoo/x", "root/apes/x", "root/File.md"].iter().for_each(|name| site.write(name, ""));
    let server = Salver::run(salver(site.path()).args(["--port", "0", "root"]).env("SALVER_LIST_PAGE_ENTRIES", "10"));
    assert_eq!(names(&server, "/")[..5], ["apes/", "Zoo/", "File.md", "file1.txt", "file2.txt"]);
    assert_eq!(names(&server, "/")[9], "file7.txt");
    assert_eq!(
        names(&server, "/?page=3"),
        [
            "file18.txt",
            "file19.txt",
            "file20.txt",
            "file21.txt",
            "file22.txt",
            "file23.txt",
            "file24.txt",
            "file25.txt"
        ]
    );
    assert_eq!(names(&server, "/?order=desc")[..3], ["Zoo/", "apes/", "file25.txt"]);
    assert_eq!(names(&server, "/?sort=size")[..4], ["apes/", "Zoo/", "File.md", "file25.txt"]);
    assert_eq!(names(&server, "/?sort=size&order=desc")[..4], ["apes/", "Zoo/", "file1.txt", "file2.txt"]);
    assert_eq!(names(&server, "/?sort=date&q=FILE2")[..3], ["file21.txt", "file22.txt", "file2.txt"]);
    let listing = json(&server, "/?page=2&q=.t");
    assert_eq!((&listing["page"], &listing["pages"], &listing["total"]), (&2.into(), &3.into(), &25.into()));
    assert_eq!((&listing["path"], &listing["complete"]), (&"/".into(), &true.into()));
    let entry = json(&server, "/?q=file25")["entries"][0].clone();
    let expected = serde_json::json!({
        "name": "file25.txt", "href": "./file25.txt", "type": "file", "size": 75, "modified": "1994-11-06T08:49:41Z",
    });
    assert_eq!(entry, expected);
    for (target, status) in [
        ("/?page=4", 404),
        ("/?page=0", 400),
        ("/?sort=colour", 400),
        ("/?order=up", 400),
        ("/?q=nothing-like-it", 200),
        ("/?utm_source=x&C=M;O=D", 200),
        ("/?q=%zz%00", 200),
    ] {
        check_status(&server, target, status);
    }
    let page = check_status(&server, "/?page=2&sort=size&q=%22%3Cb%3Efile", 404).text();
    assert!(!page.contains("<b>"), "{page}");
    let page = check_status(&server, "/?page=2", 200).text();
    for part in
        ["28 entries; page 2 of 3", "href=\"?sort=name\" rel=\"prev\"", "href=\"?sort=name&amp;page=3\" rel=\"next\""]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
}

/// 50,000 entries took others seconds (caddy#7902).
#[test]
fn fifty_thousand_entries_come_in_pages_each_once() {
    let site = Site::new();
    fs::create_dir_all(site.join("many")).unwrap();
    for number in 0..50_000 {
        fs::File::create(site.join(&format!("many/{number}.txt"))).unwrap();
    }
    let server = Salver::serve(&site);
    // Unless it is kept it is read for each page.
    settle(&site, "", &server);
    let before = server.process().memory_kib();
    let begun = Instant::now();
    let mut client = server.connect();
    for page in 1..=50 {
        client.send(get(&format!("/many/?page={page}&json"), ""));
        let listing: Value = serde_json::from_slice(&client.reply().body).unwrap();
        assert_eq!((&listing["pages"], &listing["total"]), (&50.into(), &50_000.into()));
        for (at, entry) in listing["entries"].as_array().unwrap().iter().enumerate() {
            assert_eq!(entry["name"], format!("{}.txt", (page - 1) * 1_000 + at));
        }
    }
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    let grown = server.process().memory_kib().saturating_sub(before);
    assert!(grown < 48 << 10, "it took {grown} KiB more");
    let exact = Salver::set(&site, &[("list_entries_max", "50000")]);
    assert_eq!(json(&exact, "/many/")["complete"], true);
    // There is a limit to what is read of a directory, and it is told.
    let limited = Salver::set(&site, &[("list_entries_max", "20000")]);
    let listing = json(&limited, "/many/");
    assert_eq!((&listing["total"], &listing["complete"]), (&20_000.into(), &false.into()));
    assert!(limited.get("/many/", "").text().contains("there are more, which are not listed"));
}

/// Whoever asks for much at once is answered in turn, and others don't wait.
#[test]
fn large_directories_keep_nobody_waiting() {
    let site = Site::with(&[("small.txt", "small")]);
    fs::create_dir_all(site.join("many")).unwrap();
    for number in 0..10_000 {
        fs::File::create(site.join(&format!("many/{number}.txt"))).unwrap();
    }
    let server = Salver::set(&site, &[("workers", "1")]);
    let mut clients: Vec<Client> = (0..20).map(|_| server.connect()).collect();
    clients.iter_mut().for_each(|client| client.send(get("/many/?sort=size&json", "")));
    assert_eq!(server.get("/small.txt", "").text(), "small");
    for client in &mut clients {
        assert_eq!(client.reply().status, 200);
    }
}

#[test]
fn mounts_are_listed_beneath_their_paths() {
    let site = Site::with(&[("www/sub/a.txt", "a"), ("docs/v1/b.txt", "b"), ("docs/c.txt", "c")]);
    let mut command = salver(site.path());
    let server =
        Salver::run(command.args(["--port", "0", "--mount", "/sub/docs=docs", "--hide", "/sub/docs/c.txt", "www"]));
    assert_eq!(names(&server, "/sub/"), ["a.txt"]);
    assert_eq!(names(&server, "/sub/docs/"), ["v1/"]);
    let listing = json(&server, "/sub/docs/v1/");
    assert_eq!(listing["path"], "/sub/docs/v1/");
    let page = check_status(&server, "/sub/docs/v1/", 200).text();
    for part in [
        "Index of <bdi>/sub/docs/v1/",
        "<a href=\"./../../../\"><bdi>root",
        "<a href=\"./../../\"><bdi>sub",
        "<a href=\"./../\"><bdi>docs",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
}

#[test]
fn a_readme_is_shown_beneath_the_first_page() {
    let site = Site::with(&[("a/ReadMe.md", "# Head\n\n[x](b.txt) <script>alert(1)</script>"), ("a/b.txt", "")]);
    site.write("text/README", "<plain> *text*");
    site.write("both/README.txt", "text");
    site.write("both/readme.md", "*markdown*");
    site.write("long/README.md", "x".repeat((256 << 10) + 1));
    site.link("a/README.txt", "../../outside");
    fs::create_dir_all(site.join("folder/README.md")).unwrap();
    let server = Salver::serve(&site);
    for (target, text, is_there) in [
        ("/a/", "<section class=\"readme\" aria-label=\"ReadMe.md\">", true),
        ("/a/", "<h2>Head</h2>\n<p><a href=\"./b.txt\">x</a> &lt;script&gt;alert(1)&lt;/script&gt;</p>", true),
        ("/a/?q=b", "<section", false),
        ("/a/?sort=size", "<section", true),
        ("/text/", "<pre>&lt;plain&gt; *text*</pre>", true),
        ("/both/", "<em>markdown</em>", true),
        ("/long/", "<section", false),
        ("/folder/", "<section", false),
    ] {
        let page = check_status(&server, target, 200).text();
        assert_eq!(page.contains(text), is_there, "{target}: {page}");
    }
    let hidden = Salver::start(&site, &["--hide", "ReadMe.md"]);
    assert!(!check_status(&hidden, "/a/", 200).text().contains("<section"));
    let unslashed = Salver::start(&site, &["--trailing-slash", "never"]);
    assert!(check_status(&unslashed, "/a", 200).text().contains("<a href=\"./a/b.txt\">x</a>"));
    assert!(check_status(&unslashed, "/", 200).text().contains("<a href=\"./a\">"));
    assert_eq!(check_status(&unslashed, "/a/", 301).field("location"), Some("/a"));
}

#[test]
fn rules_are_for_listings_too() {
    let site = Site::with(&[("sub/a.txt", "a"), ("other/a.txt", "a")]);
    let flags = [
        "--security-headers",
        "--cors=https://a.example",
        "-H",
        "/sub X-Rule: yes",
        "-H",
        "/sub Cache-Control: max-age=9",
    ];
    let server = Salver::start(&site, &flags);
    let reply = server.get("/sub/", "Origin: https://a.example\r\n");
    assert_eq!(reply.status, 200);
    for (name, value) in [
        ("x-rule", "yes"),
        ("cache-control", "max-age=9"),
        ("x-frame-options", "SAMEORIGIN"),
        ("access-control-allow-origin", "https://a.example"),
    ] {
        assert_eq!(reply.field(name), Some(value), "{name}");
    }
    let other = check_status(&server, "/other/", 200);
    assert_eq!((other.field("x-rule"), other.field("cache-control")), (None, Some("no-cache")));
}
