//! What a person types and reads: flags, environment, config.toml, the line on standard output, messages, exit statuses.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use crate::support::{Salver, Site, end_of, salver, serving, unprivileged};

fn site() -> Site {
    Site::with(&[("index.html", "home"), ("other.html", "other")])
}

/// Runs it with these words in a site's folder, and expects it to end like this.
#[track_caller]
fn check(words: &[&str], status: i32, parts: &[&str]) {
    check_in(&site(), words, status, parts);
}

#[track_caller]
fn check_in(site: &Site, words: &[&str], status: i32, parts: &[&str]) {
    let ended = end_of(salver(site.path()).args(words));
    assert_eq!(ended.status, Some(status), "{words:?}: {ended:?}");
    let said = format!("{}{}", ended.stdout, ended.stderr);
    for part in parts {
        assert!(said.contains(part), "{words:?} doesn't say {part:?}: {said}");
    }
    if status == 1 {
        assert_eq!(ended.stderr.trim_end().lines().count(), 1, "{said}");
        assert!(ended.stderr.starts_with("salver: "), "{said}");
    }
}

#[test]
fn one_stable_line_says_what_is_served_and_where() {
    let site = site();
    let server = Salver::serve(&site);
    assert_eq!(server.line, format!("salver: serving {} at http://{}\n", site.path().display(), server.address));
    assert_ne!(server.address.port(), 0);
}

#[test]
fn several_addresses_share_a_free_port() {
    let site = site();
    let server = Salver::start(&site, &["--bind", "127.0.0.1", "--host", "127.0.0.2"]);
    let port = server.address.port();
    assert!(
        server.line.ends_with(&format!(" at http://127.0.0.1:{port}, http://127.0.0.2:{port}\n")),
        "{}",
        server.line
    );
    for ip in ["127.0.0.1", "127.0.0.2"] {
        let address: SocketAddr = format!("{ip}:{port}").parse().unwrap();
        let mut client = crate::support::Client::connect(address);
        client.send(crate::support::get("/", ""));
        assert_eq!(client.reply().text(), "home");
    }
}

#[test]
fn ipv6_stands_in_brackets() {
    if TcpListener::bind("[::1]:0").is_err() {
        eprintln!("skipped: this machine has no IPv6");
        return;
    }
    let site = site();
    let server = Salver::start(&site, &["--bind", "::1"]);
    assert!(server.line.contains(" at http://[::1]:"), "{}", server.line);
    assert_eq!(server.get("/", "").text(), "home");
    let mixed = Salver::start(&site, &["--bind", "::", "--bind", "127.0.0.1", "--bind", "127.0.0.1"]);
    assert_eq!(mixed.get("/", "").text(), "home");
    let both = Salver::start(&site, &["--bind", "::", "--bind", "0.0.0.0"]);
    assert_eq!(both.get("/", "").text(), "home");
}

/// A wildcard of IPv6 is one of IPv4 too, unless something else of IPv4 has its port; and what is named can be reached.
#[test]
fn every_address_that_is_named_answers() {
    if TcpListener::bind("[::1]:0").is_err() {
        eprintln!("skipped: this machine has no IPv6");
        return;
    }
    let site = site();
    // With a port of its own, which was free just now.
    let another = TcpListener::bind("127.0.0.2:0").unwrap().local_addr().unwrap();
    for (second, takes_v4) in [(another.to_string(), true), ("127.0.0.2".to_owned(), false)] {
        let server = Salver::start(&site, &["--bind", "::", "--bind", &second]);
        let urls = server.line.split_once(" at ").unwrap().1;
        let addresses: Vec<SocketAddr> =
            urls.trim().split(", ").map(|url| url.strip_prefix("http://").unwrap().parse().unwrap()).collect();
        for &address in addresses.iter().filter(|address| address.ip().is_loopback()) {
            let mut client = crate::support::Client::connect(address);
            client.send(crate::support::get("/", ""));
            assert_eq!(client.reply().text(), "home", "{address}");
        }
        let is_named = |text: &str| addresses.iter().any(|address| address.ip().to_string() == text);
        assert_eq!((is_named("::1"), is_named("127.0.0.2"), is_named("127.0.0.1")), (true, true, takes_v4), "{urls}");
    }
}

#[test]
fn a_default_port_that_is_taken_gives_way_to_the_next_free_one() {
    // Others may hold some of these, and may let them go at any time.
    let taken = TcpListener::bind("127.0.0.1:8000");
    if (8001..=8010).all(|port| TcpListener::bind(("127.0.0.1", port)).is_err()) {
        eprintln!("skipped: all default ports are taken");
        return;
    }
    let site = site();
    let server = Salver::run(&mut salver(site.path()));
    let port = server.address.port();
    let first = if taken.is_ok() { 8001 } else { 8000 };
    assert!((first..=8010).contains(&port), "{}", server.line);
    if port != 8000 {
        server.wait_for_log(&format!("port 8000 is taken; serving on port {port} instead"));
    }
}

#[test]
fn a_port_that_was_asked_for_is_that_port_or_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let message = format!("salver: 127.0.0.1:{port}: the port is taken; choose another with --port");
    check(&["--port", &port], 1, &[&message]);
    check(&["--bind", &format!("127.0.0.1:{port}")], 1, &[&message]);
    let site = site();
    for variable in ["PORT", "SALVER_PORT"] {
        let ended = end_of(salver(site.path()).env(variable, &port));
        assert_eq!(ended.status, Some(1), "{variable}: {ended:?}");
        assert!(ended.stderr.contains(&message), "{variable}: {ended:?}");
    }
}

#[test]
fn what_cannot_be_is_a_usage_error() {
    check(&["--workers", "0"], 2, &["salver: --workers 0: expected a number from 1 to 1024"]);
    check(&["--port", "65536"], 2, &["salver: --port 65536: expected a number from 0 to 65535"]);
    check(&["--port", "http"], 2, &["salver: --port http: "]);
    check(&["--bind", "999.1.1.1"], 2, &["salver: --bind 999.1.1.1: expected an IP address or a host name"]);
    check(&["--index", "a/b"], 2, &["salver: --index a/b: "]);
    check(&["nowhere"], 2, &["salver: ROOT nowhere: there is no directory", "create it or name another"]);
    check(&["index.html/x"], 2, &["index.html/x is not a directory"]);
    check(&["--config", "nowhere.toml"], 2, &["nowhere.toml"]);
    check(&["--prot", "1"], 2, &["unexpected argument '--prot'", "'--port'"]);
    check(&["one", "two"], 2, &["unexpected argument 'two'"]);
}

#[test]
fn what_the_system_refuses_is_a_failure() {
    // An address that documentation uses and no machine has.
    check(&["--port", "0", "--bind", "192.0.2.1"], 1, &["salver: 192.0.2.1:0: not an address of this machine"]);
    let (shelf, site) = (Site::new(), site());
    site.write("closed/index.html", "secret");
    site.set_mode("", 0o755);
    site.set_mode("closed", 0o000);
    let ended = end_of(unprivileged(&shelf, site.path()).args(["--port", "0", "closed"]));
    assert_eq!(ended.status, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("closed") && ended.stderr.to_lowercase().contains("permi"), "{ended:?}");
    // To search a directory is enough, as to serve a file takes no more.
    site.set_mode("closed/index.html", 0o644);
    site.set_mode("closed", 0o711);
    let server = Salver::run(unprivileged(&shelf, site.path()).args(["--port", "0", "closed"]));
    assert_eq!((server.get("/", "").text().as_str(), server.get("/x/", "").status), ("secret", 404));
    site.set_mode("closed", 0o755);
}

#[test]
fn a_mistake_in_the_file_names_file_line_key_and_remedy() {
    for (text, part) in [
        (
            "[salver]\nidle_timout_s = 1\n",
            "salver: config.toml:2: unknown key 'idle_timout_s'; did you mean 'idle_timeout_s'?",
        ),
        ("[salver]\n\nport = \"80\"\n", "salver: config.toml:3: port = \"80\": expected a number from 0 to 65535"),
        ("[salver]\nworkers = 0\n", "salver: config.toml:2: workers = 0: expected a number from 1 to 1024"),
        ("[salver]\nroot = \"nowhere\"\n", "salver: config.toml:2: "),
        ("[salver]\nbind = [1]\n", "salver: config.toml:2: bind"),
        ("[salver\nport = 1\n", "salver: config.toml:1: "),
        ("[salver]\n[slaver]\n", "salver: config.toml:2: unknown"),
    ] {
        let site = site();
        site.write("config.toml", text);
        check_in(&site, &[], 2, &[part]);
    }
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let site = site();
    site.write("salver.toml", "[salver]\nindex = [\"other.html\"]\nport = 1\nworkers = 3\n");
    let effective = |command: &mut std::process::Command| end_of(command.arg("--check-config")).stdout;
    let text = effective(salver(site.path()).env("PORT", "2").env("SALVER_WORKERS", "4").args(["--workers", "5"]));
    let line = |key: &str| text.lines().find(|line| line.split(' ').next() == Some(key)).unwrap_or_default().to_owned();
    assert!(line("index").contains("[\"other.html\"]") && line("index").contains("salver.toml:2"), "{text}");
    assert!(line("port").contains("= 2 ") && line("port").ends_with("# PORT"), "{text}");
    assert!(line("workers").contains("= 5 ") && line("workers").contains("--workers"), "{text}");
    assert!(line("idle_timeout_s").ends_with("# default"), "{text}");
    let text = effective(salver(site.path()).env("PORT", "2").env("SALVER_PORT", "7"));
    assert!(text.lines().any(|line| line.starts_with("port ") && line.contains("= 7 ")), "{text}");
}

#[test]
fn the_effective_configuration_reads_back() {
    let site = site();
    let first = end_of(salver(site.path()).args(["--check-config", "--workers", "3"]));
    assert_eq!(first.status, Some(0), "{first:?}");
    site.write("again.toml", &first.stdout);
    let second = end_of(salver(site.path()).args(["--check-config", "--config", "again.toml"]));
    let values = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split(" # ").next().unwrap_or_default().trim_end().to_owned()).collect()
    };
    assert_eq!(values(&first.stdout), values(&second.stdout));
}

#[test]
fn a_file_is_found_named_and_never_served() {
    for name in ["salver.toml", "config.toml"] {
        let site = site();
        site.write(name, "[salver]\nindex = [\"other.html\"]\n");
        site.link("alias", name);
        std::fs::hard_link(site.join(name), site.join("twin")).unwrap();
        let server = Salver::run(salver(site.path()).args(["--port", "0"]));
        assert_eq!(server.get("/", "").text(), "other");
        for target in [format!("/{name}"), "/alias".to_owned(), "/twin".to_owned()] {
            assert_eq!(server.get(&target, "").status, 404, "{target}");
        }
        server.wait_for_log(&format!("configured by {}", site.join(name).display()));
    }
}

#[test]
fn paths_in_a_file_are_relative_to_it() {
    let site = site();
    site.write("etc/site.toml", "[salver]\nroot = \"../www\"\n");
    site.write("www/index.html", "www");
    let server = Salver::run(salver(site.path()).args(["--port", "0", "--config", "etc/site.toml"]));
    assert_eq!(server.get("/", "").text(), "www");
}

#[test]
fn the_config_toml_of_another_program_is_left_alone() {
    let site = site();
    site.write("config.toml", "baseURL = \"https://example.org/\"\n[params]\nport = \"x\"\n");
    let server = Salver::serve(&site);
    server.wait_for_log("config.toml");
    assert_eq!(server.get("/", "").text(), "home");
    assert_eq!(server.get("/config.toml", "").status, 200, "it is a file like any other");
}

#[test]
fn what_the_repository_ships_is_what_it_serves() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let server = Salver::run(salver(repository).args(["--port", "0"]));
    assert!(server.line.contains(repository.join("public").to_str().unwrap()), "{}", server.line);
    assert_eq!(server.get("/", "").status, 200);
}

#[test]
fn a_request_leaves_one_line_and_cannot_forge_another() {
    let site = site();
    let mut server = Salver::serve(&site);
    server.get("/", "");
    server.ask("GET /a\"b%0a\\x HTTP/1.1\r\nHost: a\r\n\r\n");
    server.ask("GET /\x1b[31m HTTP/1.1\r\nHost: a\r\n\r\n");
    server.ask("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    server.stop();
    let log = server.log();
    let access: Vec<&str> = log.lines().filter(|line| line.ends_with("ms")).collect();
    assert_eq!(access.len(), 4, "{log}");
    for part in [
        " \"GET / HTTP/1.1\" 200 4 ",
        " \"GET /a\\x22b%0a\\x5Cx HTTP/1.1\" 404 ",
        " \"GET /\\x1B[31m HTTP/1.1\" 400 ",
        " \"HEAD / HTTP/1.1\" 200 0 ",
    ] {
        let lines = access.iter().filter(|line| line.contains(part) && line.contains("Z 127.0.0.1:")).count();
        assert_eq!(lines, 1, "{part}: {log}");
    }
    assert!(!log.contains('\x1b'), "{log}");
}

#[test]
fn quiet_logs_no_requests_and_rust_log_has_the_last_word() {
    let site = site();
    let mut quiet = Salver::start(&site, &["--quiet"]);
    assert_eq!(quiet.get("/", "").status, 200);
    quiet.stop();
    let log = quiet.log();
    // Root is warned all the same.
    assert!(log.lines().all(|line| line.contains(" WARN running as root: ")), "{log}");
    let mut server = Salver::run(serving(&site).env("RUST_LOG", "off,access=info"));
    assert_eq!(server.get("/", "").status, 200);
    server.stop();
    let log = server.log();
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(log.contains("\"GET / HTTP/1.1\" 200"), "{log}");
}

#[test]
fn help_and_version_are_there() {
    check(&["--help"], 0, &["Usage: salver [OPTIONS] [ROOT]", "--port", "--bind", "Exit status"]);
    check(&["-V"], 0, &[concat!("salver ", env!("CARGO_PKG_VERSION"))]);
}
