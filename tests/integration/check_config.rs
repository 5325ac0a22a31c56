//! `salver --check-config`: everything that is in effect and where it is from, and every warning and mistake that a start
//! would have.

use rustix::process::geteuid;

use crate::support::{Ended, Salver, Site, end_of, salver};

const CONFIG: &str = "[salver]\nroot = 'www'\nlog_format = 'json'\nheader = [\n  'X-A: 1',\n  '*.css X-B: 2',\n]\n\
                      [salver.hosts.\"one.example\"]\nroot = 'one'\nsymlinks = 'follow'\n";

fn site() -> Site {
    Site::with(&[
        ("site.toml", CONFIG),
        ("www/_redirects", "# moved\n/old /new\n\n/a/* /b/:splat 302\n"),
        ("www/_headers", "/fonts/*\n  Access-Control-Allow-Origin: *\n  X-C: 3\n"),
        ("one/_redirects", "/x /y\n"),
    ])
}

#[track_caller]
fn check_config(site: &Site, words: &[&str]) -> Ended {
    end_of(salver(site.path()).arg("--check-config").args(words).env("SALVER_PROT", "1").env("SALVER_SPA", "true"))
}

#[test]
fn everything_in_effect_is_told_with_its_source() {
    let site = site();
    let ended = check_config(&site, &["-c", "site.toml", "--log-file", "a.log"]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let text = ended.stdout.replace(site.path().to_str().unwrap(), "DIR");
    let lines: Vec<String> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let mut rest = lines.iter();
    for line in [
        "root = \"DIR/www\" # from site.toml:2",
        "spa = \"index.html\" # SALVER_SPA",
        "header = [\"X-A: 1\", \"*.css X-B: 2\"] # from site.toml:4",
        "log_format = \"json\" # from site.toml:3",
        "log_file = \"DIR/a.log\" # flag --log-file",
        "idle_timeout_s = 65 # default",
        "# DIR/www/_redirects, behind those of `redirect`:",
        "# /old /new (_redirects:2)",
        "# /a/* /b/:splat 302 (_redirects:4)",
        "# DIR/www/_headers, before those of `header`:",
        "# /fonts/* access-control-allow-origin: *, x-c: 3 (_headers:1)",
        "[salver.hosts.\"one.example\"]",
        "root = \"DIR/one\" # from site.toml:9",
        "# DIR/one/_redirects, behind those of `redirect`:",
        "# /x /y (_redirects:1)",
    ] {
        assert!(rest.any(|found| found == line), "{line} in this order in: {text}");
    }
}

#[test]
fn pages_that_stand_in_for_others_should_be_there() {
    let site =
        Site::with(&[("www/404.html", ""), ("www/sorry.html", ""), ("www/wait/index.html", ""), ("www/empty/a", "")]);
    let pages = ["404=/404.html", "403=/sorry", "503=/wait", "501=/empty", "500=/500.html", "4xx=/50%30.html"];
    let pages = pages.iter().flat_map(|page| ["--error-page", page]);
    let words: Vec<&str> = ["-d", "www", "--spa=app.html"].into_iter().chain(pages).collect();
    let ended = check_config(&site, &words);
    let text = ended.stderr.replace(site.path().to_str().unwrap(), "DIR");
    let missing: Vec<_> = text.lines().filter(|line| line.contains("there is no")).collect();
    let expected = [
        "salver: warning: spa app.html: there is no app.html in DIR/www, so it can't be sent",
        "salver: warning: error_page 501=/empty: there is no empty in DIR/www, so it can't be sent",
        "salver: warning: error_page 500=/500.html: there is no 500.html in DIR/www, so it can't be sent",
    ];
    assert_eq!(missing, expected, "{text}");
    assert_eq!(ended.status, Some(0));
}

/// What a start warns of, on standard error, so that standard output reads back.
#[test]
fn warnings_are_those_of_a_start() {
    let site = site();
    let ended = check_config(&site, &["-c", "site.toml", "--log-file", "www/a.log"]);
    let warnings: Vec<&str> =
        ended.stderr.lines().map(|line| line.strip_prefix("salver: warning: ").unwrap()).collect();
    let mut command = salver(site.path());
    command.envs([("SALVER_PROT", "1"), ("SALVER_SPA", "true")]).args([
        "-p",
        "0",
        "-c",
        "site.toml",
        "--log-file",
        "www/a.log",
    ]);
    let mut server = Salver::run(&mut command);
    server.stop();
    let log = server.log();
    let logged: Vec<&str> = log.lines().filter_map(|line| Some(line.split_once(" WARN ")?.1)).collect();
    assert_eq!(warnings, logged);
    assert_eq!(warnings.len(), 5 + usize::from(geteuid().is_root()), "{warnings:?}");
    for part in ["SALVER_PROT is no setting and is ignored", "log_file lies in the root", "symlinks = \"follow\""] {
        assert!(warnings.iter().any(|warning| warning.contains(part)), "{part}: {warnings:?}");
    }
    site.write("again.toml", &ended.stdout);
    let again = check_config(&site, &["-c", "again.toml"]);
    assert_eq!(again.status, Some(0), "{again:?}");
}

#[test]
fn mistakes_are_told_with_file_line_and_key() {
    let site = site();
    for (text, said) in [
        (
            "[salver]\nhide = [\n  'ok',\n  'a[',\n]\n",
            "salver: x.toml:4: hide = ['a[']: 'a[': unclosed character class; missing ']'\n",
        ),
        (
            "[salver]\n[salver.hosts.one.example]\nroot = 'one'\n",
            "salver: x.toml:2: a host name with dots stands in quotes: [salver.hosts.\"one.example\"]\n",
        ),
        (
            "[salver]\n[salver.hosts.a]\nlog_file = 'x'\n",
            "salver: x.toml:3: 'log_file' is the same for all hosts; move it to [salver]\n",
        ),
        (
            "[salver]\nlog_format = 'xml'\n",
            "salver: x.toml:2: log_format = 'xml': expected \"short\" or \"common\" or \"combined\" or \"json\" or \"off\"\n",
        ),
        ("[salver]\nlog_file = 1\n", "salver: x.toml:2: log_file = 1: expected a path, or \"\" for none\n"),
    ] {
        site.write("x.toml", text);
        let ended = check_config(&site, &["-c", "x.toml"]);
        assert_eq!((ended.status, &*ended.stdout, &*ended.stderr), (Some(2), "", said));
    }
}

/// As a start would end; but nothing is made.
#[test]
fn a_log_that_could_not_be_opened_is_told() {
    let site = site();
    for (file, status) in [("none/a.log", 1), ("www", 1), ("www/_headers/a.log", 1), ("www/_headers", 0), ("a.log", 0)]
    {
        let ended = check_config(&site, &["-d", "www", "--log-file", file]);
        let path = site.path().join(file);
        let said = format!("salver: log_file {}: cannot be opened: ", path.display());
        let is_told = ended.stderr.lines().any(|line| line.starts_with(&said));
        assert_eq!((ended.status, is_told), (Some(status), status != 0), "{file}: {ended:?}");
        assert!(ended.stdout.starts_with("[salver]\n"));
    }
    assert!(!site.path().join("a.log").exists());
}
