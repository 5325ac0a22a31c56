//! Files, variables and flags in; the configuration, its notes or the complaint out.

use std::fs;
use std::os::unix::ffi::OsStringExt as _;

use clap::Parser as _;
use tempfile::TempDir;

use super::*;

pub(super) fn defaults(current_dir: &Path) -> Config {
    super::defaults(&Args::default(), current_dir)
}

/// The configuration with this config.toml alone.
pub(super) fn load_file(text: &str) -> Config {
    let site = Site::new(&[("config.toml", text)]);
    site.load(&[], "").unwrap()
}

/// A directory with the directory `public`, the file `page.html`, the endless link `loop`, and these files.
struct Site(TempDir);

impl Site {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("etc/site")).unwrap();
        fs::create_dir(dir.path().join("public")).unwrap();
        fs::write(dir.path().join("page.html"), "").unwrap();
        std::os::unix::fs::symlink("loop", dir.path().join("loop")).unwrap();
        files.iter().for_each(|(name, text)| fs::write(dir.path().join(name), text).unwrap());
        Self(dir)
    }

    fn load(&self, environment: &[(&str, &str)], flags: &str) -> Result<Config, Error> {
        let args = Args::try_parse_from(format!("salver {flags}").split_whitespace()).unwrap();
        let environment = environment.iter().map(|&(name, value)| (name.into(), value.into()));
        load(&args, environment, self.0.path())
    }

    /// What comes out, as lines: `key = value # source`, `file: ..`, `note: ..`, or `STATUS message`. DIR is the
    /// directory.
    fn outcome(&self, environment: &[(&str, &str)], flags: &str) -> String {
        let text = match self.load(environment, flags) {
            Ok(config) => {
                let squeeze = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
                let values = describe(&config).lines().map(squeeze).collect::<Vec<_>>().join("\n");
                let notes: String = config.notes.iter().map(|note| format!("\nnote: {note}")).collect();
                format!("{values}{notes}\nfile: {:?}\nwithheld: {:?}", config.file, config.files.withheld)
            }
            Err(error) => format!("{} {error}", error.status()),
        };
        text.replace(self.0.path().to_str().unwrap(), "DIR")
    }
}

/// With these files, variables and flags, the outcome has this line.
#[track_caller]
fn check(files: &[(&str, &str)], environment: &[(&str, &str)], flags: &str, expected: &str) {
    let outcome = Site::new(files).outcome(environment, flags);
    assert!(outcome.lines().any(|line| line == expected), "expected: {expected}\n{outcome}");
}

#[track_caller]
fn check_file(text: &str, expected: &str) {
    check(&[("config.toml", text)], &[], "", expected);
}

#[track_caller]
fn check_variable(name: &str, value: &str, expected: &str) {
    check(&[], &[(name, value)], "", expected);
}

#[track_caller]
fn check_flags(flags: &str, expected: &str) {
    check(&[], &[], flags, expected);
}

#[test]
fn nothing_written_is_the_defaults() {
    check_flags("", "root = \"DIR\" # default");
    check_flags("", "index = [\"index.html\"] # default");
    check_flags("", "bind = [\"127.0.0.1\"] # default");
    check_flags("", "port = 8000 # default");
    check_flags("", "idle_timeout_s = 65 # default");
    check_flags("", "file: None");
    assert!(!Site::new(&[]).load(&[], "").unwrap().port_asked);
}

#[test]
fn codings_are_named_in_order() {
    check_flags("", "compress = [\"zstd\", \"br\", \"gzip\"] # default");
    check_file(
        "[salver]\ncompress = [\"gzip\", \"br\", \"gzip\"]",
        "compress = [\"gzip\", \"br\"] # from config.toml:2",
    );
    check_file("[salver]\ncompress = []", "compress = [] # from config.toml:2");
    check_variable("SALVER_COMPRESS", "br, zstd", "compress = [\"br\", \"zstd\"] # SALVER_COMPRESS");
    check_variable("SALVER_COMPRESS", "none", "compress = [] # SALVER_COMPRESS");
    check_variable(
        "SALVER_COMPRESS",
        "zst",
        "2 SALVER_COMPRESS=zst: expected \"br\" or \"zstd\" or \"gzip\", not 'zst'",
    );
    check_file(
        "[salver]\ncompress = true",
        "2 config.toml:2: compress = true: expected a list of codings, such as [\"zstd\", \"br\", \"gzip\"], or [] for none",
    );
}

#[test]
fn flag_wins_over_environment_over_file_over_default() {
    let file = [("config.toml", "[salver]\nport = 1")];
    let both = [("PORT", "2"), ("SALVER_PORT", "3")];
    check(&file, &[], "", "port = 1 # from config.toml:2");
    check(&file, &both[..1], "", "port = 2 # PORT");
    check(&file, &both, "", "port = 3 # SALVER_PORT");
    check(&file, &both, "-p 4", "port = 4 # flag --port");
}

#[test]
fn port_is_asked_for_by_whoever_writes_it() {
    let is_asked = |environment: &[_], flags| Site::new(&[]).load(environment, flags).unwrap().port_asked;
    assert!(is_asked(&[], "-p 8000"));
    assert!(is_asked(&[("PORT", "8000")], ""));
    assert!(load_file("[salver]\nport = 8000").port_asked);
    assert!(!is_asked(&[], "-b ::1"));
}

#[test]
fn a_port_that_no_address_takes_is_noted() {
    let notes = |file: &str, environment: &[_], flags| {
        Site::new(&[("config.toml", file)]).load(environment, flags).unwrap().notes
    };
    let said = "no address takes it, as none of `bind` is without a port of its own";
    assert_eq!(notes("[salver]", &[], "-p 81 -b ::1 -b localhost:80"), [""; 0]);
    assert_eq!(notes("[salver]", &[], "-p 81 -b [::1]:80"), [format!("--port 81: {said} (--bind [::1]:80)")]);
    assert_eq!(notes("[salver]", &[], "-p 81 -b unix:/run/a"), [format!("--port 81: {said} (--bind unix:/run/a)")]);
    let in_file = notes("[salver]\nbind = [\"[::1]:80\"]", &[], "-p 81");
    assert_eq!(in_file, [format!("--port 81: {said} (config.toml:2: bind = [\"[::1]:80\"])")]);
    assert_eq!(notes("[salver]\nport = 81", &[], "-b [::1]:80"), [""; 0]);
    let variables = [("SALVER_BIND", "[::1]:80"), ("SALVER_PORT", "81"), ("PORT", "81")];
    assert_eq!(notes("[salver]", &variables[..2], ""), [format!("SALVER_PORT=81: {said} (SALVER_BIND=[::1]:80)")]);
    assert_eq!(notes("[salver]", &[variables[0], variables[2]], ""), [""; 0]);
}

#[test]
fn every_flag_arrives() {
    check_flags("-w 3", "workers = 3 # flag --workers");
    check_flags("-q", "quiet = true # flag --quiet");
    check_flags("--no-clean-urls", "clean_urls = false # flag --no-clean-urls");
    check_flags("--trailing-slash never", "trailing_slash = \"never\" # flag --trailing-slash");
    check_flags("--spa", "spa = \"index.html\" # flag --spa");
    check_flags("--spa=/app.html public", "spa = \"app.html\" # flag --spa");
    check_flags("--error-page 500=/a --error-page 4xx=/b", "error_page = [\"500=/a\", \"4xx=/b\"] # flag --error-page");
    check_flags("--hide *.map --hide {a,b}", "hide = [\"*.map\", \"{a,b}\"] # flag --hide");
    check_flags("--type foo=text/x", "type = [\"foo=text/x\"] # flag --type");
    check_flags("-H X-A:1", "header = [\"X-A:1\"] # flag --header");
    check_flags("--security-headers --isolate", "isolate = true # flag --isolate");
    check_flags("--immutable-hashed", "immutable_hashed = true # flag --immutable-hashed");
    check_flags("--symlinks off", "symlinks = \"off\" # flag --symlinks");
    check_flags("public", "root = \"DIR/public\" # argument ROOT");
    check_flags("-d ./public/.", "root = \"DIR/public\" # flag --root");
    check_flags("-b ::1 --host a:80,[::]:0", "bind = [\"[::1]\", \"a:80\", \"[::]:0\"] # flag --bind");
    check_flags("--index a,b --index c", "index = [\"a\", \"b\", \"c\"] # flag --index");
    check_flags("--mount /a,b=etc", "mount = [\"/a,b=DIR/etc\"] # flag --mount");
    check_flags("--mount /a=public --mount /b=etc", "mount = [\"/a=DIR/public\", \"/b=DIR/etc\"] # flag --mount");
    check_flags("--cors", "cors = [\"*\"] # flag --cors");
    check_flags("--cors=http://A:80,https://b", "cors = [\"http://a\", \"https://b\"] # flag --cors");
    check_flags("--allow-host A.,::1 --allow-host *.b", "allow_host = [\"a\", \"[::1]\", \"*.b\"] # flag --allow-host");
    check_flags(
        "--auth /a --auth !/b --user anna:HASH",
        "2 --user (not shown): user anna: expected a hash of argon2 ($argon2id$...) or bcrypt ($2y$...), as `salver hash-password` makes it (in line 1 of the list)",
    );
    check_flags(
        "--users-file=page.html",
        "2 --users-file page.html: there is no user in it; expected a line NAME:HASH for each",
    );
    check_flags(
        "--allow-from ::1,10.0.0.0/8 --allow-from unix",
        "allow_from = [\"::1,10.0.0.0/8\", \"unix\"] # flag --allow-from",
    );
    check_flags("--deny-from 10.0.0.0/8", "deny_from = [\"10.0.0.0/8\"] # flag --deny-from");
    check_flags(
        "--trust-proxy ::1,unix --trust-proxy 10.0.0.0/8 --proxy-header forwarded",
        "trusted_proxies = [\"::1\", \"unix\", \"10.0.0.0/8\"] # flag --trust-proxy",
    );
    check_flags("--no-compress", "compress = [] # flag --no-compress");
    check_flags("--no-precompressed", "precompressed = false # flag --no-precompressed");
    let config = Site::new(&[]).load(&[], "-vv --color never").unwrap();
    assert_eq!((config.verbose, config.color), (2, ColorChoice::Never));
}

#[test]
fn every_key_is_settable_in_file_and_environment() {
    let mut config = defaults(Path::new("/"));
    for key in KEYS {
        let value = (key.field)(&mut config).toml();
        let line = format!("{} = {value} #", key.name);
        check_file(&format!("[salver]\n{} = {value}", key.name), &format!("{line} from config.toml:2"));
        let text = value.replace(['[', ']', '"'], "");
        // An empty variable is not set, so an empty list can't be.
        if !text.is_empty() {
            check_variable(&key.variable(), &text, &format!("{line} {}", key.variable()));
        }
    }
}

#[test]
fn numbers_are_held_to_their_ranges() {
    for key in KEYS.iter().filter(|key| *key.range.end() < u64::MAX) {
        let (least, most, variable) = (*key.range.start(), *key.range.end(), key.variable());
        let check_number = |number: i128, expected: &str| {
            let workers_max = ("SALVER_WORKERS_MAX", "1024");
            check(&[], &[workers_max, (&variable, &number.to_string())], "", expected);
        };
        let wrong = |number: i128| format!("2 {variable}={number}: expected a number from {least} to {most}");
        for number in [least, most] {
            check_number(number.into(), &format!("{} = {number} # {variable}", key.name));
        }
        for number in [i128::from(least) - 1, i128::from(most) + 1, i128::MAX] {
            check_number(number, &wrong(number));
        }
    }
}

#[test]
fn times_are_seconds_whole_or_not() {
    let expected = "expected seconds, more than 0 and at most 86400 (a day)";
    for (text, value) in [("0.25", "0.25"), ("7", "7"), ("7.0", "7"), ("1_000", "1000"), ("86400", "86400")] {
        check_file(
            &format!("[salver]\nhead_timeout_s = {text}"),
            &format!("head_timeout_s = {value} # from config.toml:2"),
        );
    }
    for text in ["0", "0.0", "-1", "1e-12", "86400.5", "inf", "nan", "\"10\"", "true"] {
        check_file(
            &format!("[salver]\nhead_timeout_s = {text}"),
            &format!("2 config.toml:2: head_timeout_s = {text}: {expected}"),
        );
    }
    check_variable("SALVER_HEAD_TIMEOUT_S", "1.5", "head_timeout_s = 1.5 # SALVER_HEAD_TIMEOUT_S");
    check_variable("SALVER_HEAD_TIMEOUT_S", "10s", &format!("2 SALVER_HEAD_TIMEOUT_S=10s: {expected}"));
}

#[test]
fn the_mode_of_a_socket_is_octal() {
    check_variable("SALVER_UNIX_MODE", "20", "unix_mode = \"020\" # SALVER_UNIX_MODE");
    for wrong in ["rw", "888", "1000", "+7"] {
        let expected = "expected the mode of a file in octal digits, such as \"660\", or \"umask\"";
        check_variable("SALVER_UNIX_MODE", wrong, &format!("2 SALVER_UNIX_MODE={wrong}: {expected}"));
    }
}

#[test]
fn a_wrong_value_is_told_with_its_place_and_the_remedy() {
    let port = "expected a number from 0 to 65535";
    check_file("# a\n[salver]\nport = \"80\"", &format!("2 config.toml:3: port = \"80\": {port}"));
    check_file("[salver]\n\nport = 80.0", &format!("2 config.toml:3: port = 80.0: {port}"));
    check_file("[salver]\nport = 0x10000", &format!("2 config.toml:2: port = 0x10000: {port}"));
    check_file("salver.port = 65_536", &format!("2 config.toml:1: port = 65_536: {port}"));
    check_variable("SALVER_PORT", "abc", &format!("2 SALVER_PORT=abc: {port}"));
    check_variable("PORT", "a\nb", &format!("2 PORT=a b: {port}"));
    check_flags("-p -1", &format!("2 --port -1: {port}"));
    check_flags("--workers 0", "2 --workers 0: expected a number from 1 to 1024");
    check_file("[salver]\nquiet = 1", "2 config.toml:2: quiet = 1: expected true or false");
    check_variable("SALVER_QUIET", "0", "quiet = false # SALVER_QUIET");
    check_variable("SALVER_QUIET", "yes", "2 SALVER_QUIET=yes: expected true or false");
}

#[test]
fn a_wrong_value_is_a_mistake_even_where_a_stronger_one_hides_it() {
    check(&[], &[("PORT", "x")], "-p 80", "2 PORT=x: expected a number from 0 to 65535");
}

#[test]
fn lists_name_the_item_that_is_wrong() {
    let address = "expected an IP address or a host name, such as 0.0.0.0, localhost:8080 or [::1]:8080, a UNIX socket \
                   (unix:/run/site.sock), or an inherited descriptor (fd:3)";
    let addresses = "expected a list of addresses, such as [\"127.0.0.1\", \"[::1]:8080\"]";
    check_flags("-b ::1 -b 1.2.3", &format!("2 --bind ::1,1.2.3: {address}, not '1.2.3'"));
    check_file("[salver]\nbind = [\n\"*\"]", &format!("2 config.toml:3: bind = [\"*\"]: {address}, not '*'"));
    check_file("[salver]\nbind = \"::1\"", &format!("2 config.toml:2: bind = \"::1\": {addresses}"));
    check_file("[salver]\nbind = []", &format!("2 config.toml:2: bind = []: {addresses}"));
    check_variable("SALVER_BIND", "::1, a:80", "bind = [\"[::1]\", \"a:80\"] # SALVER_BIND");
    for name in ["a/b", "/", "..", "."] {
        let expected = format!("2 --index {name}: expected file names without a directory, not '{name}'");
        check_flags(&format!("--index {name}"), &expected);
    }
    check_file(
        "[salver]\nindex = [1]",
        "2 config.toml:2: index = [1]: expected a list of file names, such as [\"index.html\"]",
    );
    check_file("[salver]\nindex = []", "index = [] # from config.toml:2");
    check_file("[salver]\nindex = [\"a,b\"]", "index = [\"a,b\"] # from config.toml:2");
}

/// Of a list of many lines the line that is wrong is told, and nothing of the others.
#[test]
fn a_mistake_in_a_list_of_many_lines_has_a_line_of_its_own() {
    check_file(
        "[salver]\nredirect = [\n  '/a /b', # one\n\n  '/c',\n  '/d'\n]",
        "2 config.toml:5: redirect = ['/c']: expected FROM TO [STATUS], not '/c'",
    );
    check_file(
        "[salver]\nredirect = [\n'/a /b',\n'/x /y',\n'/b /a']",
        "2 config.toml:5: redirect = ['/b /a']: redirects that never end: '/a /b', '/b /a'",
    );
    check_file(
        "[salver]\nmount = [\n'/a=etc',\n'/b=public',\n'/c=no']",
        "2 config.toml:5: mount = ['/c=no']: there is no directory DIR/no; create it or name another",
    );
    check_file(
        "[salver]\nmount = ['/a=etc',\n'/%61/=public']",
        "2 config.toml:3: mount = ['/%61/=public']: expected one directory for /a",
    );
    check_file(
        "[salver]\nindex = [\n'a',\n1]",
        "2 config.toml:4: index = [1]: expected a list of file names, such as [\"index.html\"]",
    );
    check_file(
        "[salver]\n[salver.hosts.a]\nhide = [\n'ok',\n'a[',\n]",
        "2 config.toml:5: hide = ['a[']: 'a[': unclosed character class; missing ']'",
    );
}

#[test]
fn workers_fit_below_their_maximum() {
    check_flags("-w 257", "2 --workers 257: expected at most workers_max, which is 256; raise that too");
    check(&[], &[("SALVER_WORKERS_MAX", "300")], "-w 300", "workers = 300 # flag --workers");
    check_variable("SALVER_WORKERS_MAX", "1", "workers = 1 # default");
}

#[test]
fn names_nobody_knows_are_mistakes_in_the_file() {
    check_file(
        "[salver]\n\nidle_timout_s = 1",
        "2 config.toml:3: unknown key 'idle_timout_s'; did you mean 'idle_timeout_s'?",
    );
    check_file("[salver]\ngzip = true", "2 config.toml:2: unknown key 'gzip'; salver --check-config lists every key");
    check_file("[salver.limits]", "2 config.toml:1: unknown key 'limits'; salver --check-config lists every key");
    check_file("[salver]\n[server]\n", "2 config.toml:2: unknown table [server]; every key stands in [salver]");
    check_file("port = 1\n[salver]", "2 config.toml:1: 'port' stands outside of the table; move it below [salver]");
    check_file("[[salver]]", "2 config.toml:1: expected one table [salver]");
    // The first in the file is told, not the first in the alphabet.
    check_file("[salver]\nworkers = 0\nport = -1", "2 config.toml:2: workers = 0: expected a number from 1 to 1024");
}

#[test]
fn names_nobody_knows_are_notes_in_the_environment() {
    check_variable("SALVER_PROT", "1", "note: SALVER_PROT is no setting and is ignored; did you mean SALVER_PORT?");
    check_variable("SALVER_TOKEN", "1", "note: SALVER_TOKEN is no setting and is ignored");
    check_variable("SALVER_port", "1", "note: SALVER_port is no setting and is ignored; did you mean SALVER_PORT?");
}

#[test]
fn variables_of_a_kubernetes_service_are_not_ours() {
    let names = [("SALVER_PORT", "tcp://10.0.0.1:80"), ("SALVER_PORT_80_TCP", "x"), ("SALVER_SERVICE_HOST", "x")];
    let note = "note: ignored, as Kubernetes sets them for a service named salver: SALVER_PORT, SALVER_PORT_80_TCP, \
                SALVER_SERVICE_HOST";
    check(&[], &names, "", note);
    check(&[], &names, "", "port = 8000 # default");
}

/// Found by fuzzing: the list above took names as they were.
#[test]
fn a_note_is_one_line_whatever_variables_are_called() {
    let note = "note: ignored, as Kubernetes sets them for a service named salver: SALVER_SERVICE_A  B";
    check(&[], &[("SALVER_SERVICE_A\n\u{1b}B", "x")], "", note);
    check_variable("SALVER_A\nB", "x", "note: SALVER_A B is no setting and is ignored");
}

#[test]
fn an_empty_variable_is_not_set() {
    check_variable("SALVER_PORT", "", "port = 8000 # default");
    check_variable("SALVER_CONFIG", "", "file: None");
}

#[test]
fn only_a_path_may_be_something_else_than_utf8() {
    let site = Site::new(&[]);
    let load_variable = |name: &str, value: &[u8]| {
        load(&Args::default(), [(name.into(), OsString::from_vec(value.to_vec()))], site.0.path())
    };
    let error = load_variable("SALVER_PORT", b"80\xff").unwrap_err();
    assert_eq!(error.to_string(), "SALVER_PORT=80\u{fffd}: expected a number from 0 to 65535");
    assert!(load_variable("SALVER_INDEX", b"\xff").is_err());
    let odd = site.0.path().join(OsString::from_vec(b"\xff".to_vec()));
    fs::create_dir(&odd).unwrap();
    assert_eq!(load_variable("SALVER_ROOT", b"\xff").unwrap().files.root, odd);
}

#[test]
fn the_file_is_the_one_asked_for_or_the_first_there() {
    let files = [
        ("salver.toml", "[salver]\nport = 1"),
        ("config.toml", "[salver]\nport = 2"),
        ("etc/a.toml", "[salver]\nport = 3"),
        ("etc/b.toml", "[salver]\nport = 4"),
    ];
    let asked = [("SALVER_CONFIG", "etc/a.toml")];
    check(&files[1..], &[], "", "port = 2 # from config.toml:2");
    check(&files, &[], "", "port = 1 # from salver.toml:2");
    check(&files, &asked, "", "port = 3 # from etc/a.toml:2");
    check(&files, &asked, "-c etc/b.toml", "port = 4 # from etc/b.toml:2");
    check(&files, &asked, "-c etc/b.toml", "file: Some(\"DIR/etc/b.toml\")");
    check(&files, &asked, "-c etc/b.toml", "withheld: [\"DIR/etc/b.toml\"]");
}

#[test]
fn a_file_asked_for_must_be_there_and_ours() {
    check_flags("-c no.toml", "2 --config no.toml: there is no such file; create it or name another");
    check_flags("-c public", "2 --config public: it is a directory; name a file in it");
    check_variable("SALVER_CONFIG", "no", "2 SALVER_CONFIG=no: there is no such file; create it or name another");
    check(
        &[("salver.toml", "port = 1")],
        &[],
        "",
        "2 salver.toml: there is no table [salver]; put a line [salver] above the settings",
    );
    check(&[("x", "")], &[], "-c x", "2 x: there is no table [salver]; put a line [salver] above the settings");
    check(
        &[("config.toml", "")],
        &[],
        "-c config.toml",
        "2 config.toml: there is no table [salver]; put a line [salver] above the settings",
    );
    let outcome = Site::new(&[("x", "\n[salver]\nport = \n")]).outcome(&[], "-c x");
    assert!(outcome.starts_with("2 x:3: this is not TOML: "), "{outcome}");
    let outcome = Site::new(&[]).outcome(&[], "-c loop");
    assert!(outcome.starts_with("1 --config loop: cannot be read: "), "{outcome}");
}

#[test]
fn a_config_toml_of_another_program_is_left_alone() {
    let note = "note: config.toml has no valid [salver] table: left alone";
    for text in ["", "title = 'Hugo'\n[params]", "not TOML", "[server]\nport = 1"] {
        check_file(text, note);
        check_file(text, "file: None");
        check_file(text, "withheld: []");
    }
    let site = Site::new(&[]);
    fs::write(site.0.path().join("config.toml"), b"\xff").unwrap();
    assert!(site.outcome(&[], "").contains(note));
    fs::write(site.0.path().join("config.toml"), vec![b'#'; (1 << 20) + 1]).unwrap();
    assert!(site.outcome(&[], "").contains(note));
}

#[test]
fn a_slip_in_our_own_config_toml_is_not_passed_over() {
    let outcome = Site::new(&[("config.toml", "[salver]\nroot = public")]).outcome(&[], "");
    assert!(outcome.starts_with("2 config.toml:2: this is not TOML: "), "{outcome}");
    check_file("[salver]\nport = 1\nport = 2", "2 config.toml:3: this is not TOML: duplicate key");
}

#[test]
fn a_relative_path_starts_where_it_was_written() {
    let file = [("etc/a.toml", "[salver]\nroot = 'site'")];
    check(&file, &[], "-c etc/a.toml", "root = \"DIR/etc/site\" # from etc/a.toml:2");
    check(&file, &[("SALVER_ROOT", "public")], "-c etc/a.toml", "root = \"DIR/public\" # SALVER_ROOT");
    check(&file, &[], "-c etc/a.toml public", "root = \"DIR/public\" # argument ROOT");
    check_file("[salver]\nroot = ''", "2 config.toml:2: root = '': expected a path");
}

#[test]
fn a_root_that_cannot_be_served_is_told_with_its_source() {
    check_flags("no", "2 ROOT no: there is no directory DIR/no; create it or name another");
    check_flags("-d no", "2 --root no: there is no directory DIR/no; create it or name another");
    check_variable("SALVER_ROOT", "no", "2 SALVER_ROOT=no: there is no directory DIR/no; create it or name another");
    check_file(
        "[salver]\nroot = \"no\"",
        "2 config.toml:2: root = \"no\": there is no directory DIR/no; create it or name another",
    );
    check_flags("page.html/x", "2 ROOT page.html/x: DIR/page.html/x is not a directory; name the directory to serve");
    check(&[("config.toml", "[salver]\nroot = 'no'")], &[], "public", "root = \"DIR/public\" # argument ROOT");
    let outcome = Site::new(&[]).outcome(&[], "loop");
    assert!(outcome.starts_with("1 ROOT loop: DIR/loop cannot be read: "), "{outcome}");
}

#[test]
fn more_connections_than_descriptors_are_noted() {
    let allowed = socketserver::connections_allowed();
    let mut config = defaults(Path::new("/"));
    config.server.connections_max = allowed + 1;
    note_connections(&mut config);
    let [note] = &config.notes[..] else { panic!("{:?}", config.notes) };
    assert!(note.starts_with(&format!("connections_max = {}, but the descriptor limit", allowed + 1)), "{note}");
}

#[test]
fn the_description_reads_back_as_the_same_configuration() {
    let site = Site::new(&[]);
    let environment = [("SALVER_HEAD_TIMEOUT_S", "0.1"), ("SALVER_FIELDS_MAX", "7"), ("SALVER_REUSE_PORT", "true")];
    let config = site.load(&environment, "-b ::1 -b a:80 --index \"\\ -q -p 0 public").unwrap();
    fs::write(site.0.path().join("etc/copy.toml"), describe(&config)).unwrap();
    let mut copy = site.load(&[], "-c etc/copy.toml").unwrap();
    copy.files.withheld.clear();
    assert_eq!((&copy.bind, copy.port, copy.quiet), (&config.bind, config.port, config.quiet));
    assert_eq!((&copy.server, &copy.sockets), (&config.server, &config.sockets));
    assert_eq!((&copy.limits, &copy.files), (&config.limits, &config.files));
}

#[test]
fn rules_are_told_with_their_place_and_what_was_expected() {
    check_file(
        "[salver]\nhide = [\"a[\"]",
        "2 config.toml:2: hide = [\"a[\"]: 'a[': unclosed character class; missing ']'",
    );
    check_file(
        "[salver]\nheader = [\"X-A\"]",
        "2 config.toml:2: header = [\"X-A\"]: 'X-A': expected Name: value, or PATTERN Name: value",
    );
    check_flags(
        "--type foo",
        "2 --type foo: 'foo': expected EXTENSION=TYPE or PATTERN=TYPE, such as foo=application/x-foo",
    );
    check_flags(
        "--spa=../a",
        "2 --spa ../a: expected a file beneath the root, such as \"index.html\", or true or false",
    );
    check_variable("SALVER_HEADER", "X-A: 1, 2\nX-B: 3", "header = [\"X-A: 1, 2\", \"X-B: 3\"] # SALVER_HEADER");
    // What stands in a file there is not said twice.
    check(&[("public/_headers", "/a\n  X-A: 1\n")], &[], "public", "header = [] # default");
    check(
        &[("public/_headers", "/a\nX-A: 1\n")],
        &[],
        "public",
        "2 DIR/public/_headers:2: expected a path from the root, such as /fonts/*, not 'X-A: 1'; fields are indented",
    );
}

#[test]
fn what_would_be_a_trap_is_refused() {
    check_flags("--allow-host ,", "2 --allow-host ,: expected host names, such as localhost");
    check_flags(
        "--hide *.map,/drafts",
        "2 --hide *.map,/drafts: '*.map,/drafts': a comma stands in braces, or behind a backslash; each pattern has a line of its own",
    );
    check_flags(
        "--hide ./drafts",
        "2 --hide ./drafts: './drafts': a pattern has no dot segments; paths start from the root",
    );
    check_flags(
        "--cors -H Access-Control-Allow-Origin:*",
        "2 --cors *: expected Access-Control-Allow-Origin from `cors` or from `header`, not from both",
    );
    check_flags("-H Keep-Alive:1", "2 --header Keep-Alive:1: 'Keep-Alive:1': keep-alive is salver's own to say");
}

#[test]
fn a_file_is_a_site_of_its_own() {
    let site = Site::new(&[]);
    let config = site.load(&[], "page.html").unwrap();
    assert_eq!((config.files.single.as_deref(), &*config.files.root), (Some("page.html"), site.0.path()));
    assert!(site.outcome(&[], "page.html").contains("root = \"DIR/page.html\" # argument ROOT"));
    assert_eq!(config.notes, [""; 0]);
    // Who writes that mostly means the page of an application.
    let notes = site.load(&[], "--spa page.html").unwrap().notes;
    assert!(notes[0].contains("page.html is the root") && notes[0].contains("(--spa=page.html)"), "{notes:?}");
}

const HOSTS: &str = "\
[salver]
root = \"public\"
index = [\"a.html\"]
mount = [\"/docs=etc\"]
redirect = [\"/old /new\"]
cors = [\"*\"]
allow_host = [\"localhost\", \"*.example.org\"]

[salver.hosts.\"Example.ORG, *.example.org [::1]\"]
root = \"etc\"
etag = \"mtime\"
redirect = [
  \"/a,b/* /c/:splat 302\",
  \"/x https://example.org/?y \",
]

[salver.hosts.\"localhost\"]
cors = []
mount = []

[salver.hosts.other]
";

#[test]
fn a_host_has_what_its_table_says_and_else_what_all_have() {
    let site = Site::new(&[("config.toml", HOSTS)]);
    let config = site.load(&[("SALVER_ETAG", "off")], "-d etc/site").unwrap();
    let [example, localhost, other] = &config.hosts[..] else { panic!("{:?}", config.hosts) };
    assert_eq!(example.names.to_string(), "example.org, *.example.org, [::1]");
    assert_eq!(example.site.files.root, site.0.path().join("etc"));
    assert_eq!(example.site.files.index, ["a.html"]);
    // A table has the last word, even against flags and variables, which are for all that have no say of their own.
    assert_eq!(example.site.files.etag, files::EtagSource::Mtime);
    assert_eq!(localhost.site.files.root, site.0.path().join("etc/site"));
    assert_eq!((&localhost.site.rules.mounts[..], localhost.site.rules.cors.list()), (&[][..], Vec::new()));
    let lines = |rules: &Rules| rules.redirects.lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines(&example.site.rules), ["/a,b/* /c/:splat 302", "/x https://example.org/?y"]);
    assert_eq!(lines(&localhost.site.rules), ["/old /new"]);
    assert_eq!((&other.site.files, &other.site.rules), (&config.files, &config.rules));
    assert_eq!(config.files.withheld, localhost.site.files.withheld);
    assert_eq!(example.sources.keys().copied().collect::<Vec<_>>(), ["etag", "redirect", "root"]);
}

#[test]
fn hosts_are_described_and_read_back() {
    let files = [("config.toml", HOSTS)];
    check(&files, &[], "", "[salver.hosts.\"example.org, *.example.org, [::1]\"]");
    check(&files, &[], "", "root = \"DIR/etc\" # from config.toml:10");
    check(&files, &[], "", "mount = [] # from config.toml:19");
    check(&files, &[], "", "[salver.hosts.\"other\"]");
    let site = Site::new(&files);
    let config = site.load(&[], "").unwrap();
    fs::write(site.0.path().join("etc/copy.toml"), describe(&config)).unwrap();
    let copy = site.load(&[], "-c etc/copy.toml").unwrap();
    let sites = |config: &Config| {
        let site = |files: &files::Options, rules: &Rules| {
            let mut files = files.clone();
            files.withheld.clear();
            (files, rules.clone())
        };
        let hosts = config.hosts.iter().map(|host| (host.names.clone(), site(&host.site.files, &host.site.rules)));
        (site(&config.files, &config.rules), hosts.collect::<Vec<_>>(), config.allow_host.clone())
    };
    assert_eq!(sites(&copy), sites(&config));
    assert_eq!(describe(&copy).replace("copy.toml", "config.toml").lines().count(), describe(&config).lines().count());
}

#[test]
fn a_mistake_in_a_table_of_a_host_is_told_with_its_place() {
    let check_table = |text: &str, expected: &str| check_file(&format!("[salver]\n{text}"), expected);
    check_table("[salver.hosts.a]\nport = 1", "2 config.toml:3: 'port' is the same for all hosts; move it to [salver]");
    check_table(
        "[salver.hosts.a]\ncache_bytes_max = 1",
        "2 config.toml:3: 'cache_bytes_max' is the same for all hosts; move it to [salver]",
    );
    check_table("[salver.hosts.a]\nrot = 'etc'", "2 config.toml:3: unknown key 'rot'; did you mean 'root'?");
    check_table(
        "[salver.hosts.a]\netag = 1",
        "2 config.toml:3: etag = 1: expected \"auto\" or \"content\" or \"mtime\" or \"off\"",
    );
    check_table(
        "[salver.hosts.a]\nroot = 'no'",
        "2 config.toml:3: root = 'no': there is no directory DIR/no; create it or name another",
    );
    check_table("[salver.hosts.a]\n[salver.hosts.\"A.\"]", "2 config.toml:3: a has a table already; a host has one");
    check_table(
        "[salver.hosts.\"b *.c\"]\n[salver.hosts.\"*.c\"]",
        "2 config.toml:3: *.c has a table already; a host has one",
    );
    let name = "expected a host name, such as example.org or *.example.org, or an IP address, without a port";
    check_table("[salver.hosts.\"a:80\"]", &format!("2 config.toml:2: {name}, not 'a:80'"));
    check_table("[salver.hosts.\"\"]", "2 config.toml:2: expected a host name in the name of the table");
    for (header, whole) in [
        ("[salver.hosts.example.org]", "example.org"),
        ("[salver.hosts.www.example.org]\netag = 'off'", "www.example.org"),
        ("hosts.a.b.etag = 'off'", "a.b"),
    ] {
        let told = format!("2 config.toml:2: a host name with dots stands in quotes: [salver.hosts.\"{whole}\"]");
        check_table(header, &told);
    }
    let table = "expected a table for each host, such as [salver.hosts.\"example.org\"]";
    check_table("hosts = ['a']", &format!("2 config.toml:2: {table}"));
    check_table("hosts.a = 'etc'", &format!("2 config.toml:2: {table}"));
    check_table("[[salver.hosts.a]]", &format!("2 config.toml:2: {table}"));
    check_table("allow_host = ['*']", &format!("2 config.toml:2: allow_host = ['*']: {name}, not '*'"));
}

#[test]
fn a_wrong_rule_is_told_with_its_place() {
    check_file(
        "[salver]\nredirect = ['/a /b', '/c']",
        "2 config.toml:2: redirect = ['/a /b', '/c']: expected FROM TO [STATUS], not '/c'",
    );
    check_file(
        "[salver]\nredirect = ['/a /b', '/b /a']",
        "2 config.toml:2: redirect = ['/a /b', '/b /a']: redirects that never end: '/a /b', '/b /a'",
    );
    check_variable(
        "SALVER_REDIRECT",
        "/a,b /c\n/d /e 308",
        "redirect = [\"/a,b /c\", \"/d /e 308\"] # SALVER_REDIRECT",
    );
    check_file(
        "[salver]\nmount = ['/docs=no']",
        "2 config.toml:2: mount = ['/docs=no']: there is no directory DIR/no; create it or name another",
    );
    check_file(
        "[salver]\nmount = ['/a=etc', '/%61/=public']",
        "2 config.toml:2: mount = ['/a=etc', '/%61/=public']: expected one directory for /a",
    );
    check_flags("--mount /docs", "2 --mount /docs: expected PATH=DIR, such as /docs=../docs, not '/docs'");
    check_flags(
        "--cors=example.org",
        "2 --cors example.org: expected origins, such as https://example.org or http://localhost:3000, or * alone, not \
         'example.org'",
    );
}

#[test]
fn redirects_of_a_root_are_read_and_checked_at_the_start() {
    let lines = [("public/_redirects", "# moved\n/old /new\n"), ("config.toml", "[salver]\nredirect = ['/a /b']")];
    let config = Site::new(&lines).load(&[], "public").unwrap();
    assert_eq!(config.rules.redirects.len(), 2);
    // What stands in a file there is not said twice.
    check(&lines, &[], "public", "redirect = [\"/a /b\"] # from config.toml:2");
    let wrong = [("public/_redirects", "\n/old new\n")];
    check(
        &wrong,
        &[],
        "public",
        "2 DIR/public/_redirects:2: expected a path that begins with / or a URL that begins with http:// or https://, not \
         'new'",
    );
    let circle = [("public/_redirects", "\n/b /a"), ("config.toml", "[salver]\nredirect = ['/a /b']")];
    check(&circle, &[], "public", "2 DIR/public/_redirects:2: redirects that never end: '/a /b', '/b /a'");
    let of_host = [("etc/_redirects", "x"), ("config.toml", "[salver]\n[salver.hosts.a]\nroot = 'etc'")];
    check(&of_host, &[], "public", "2 DIR/etc/_redirects:1: expected FROM TO [STATUS], not 'x'");
    let site = Site::new(&[]);
    std::os::unix::fs::symlink("/etc/passwd", site.0.path().join("_redirects")).unwrap();
    let outcome = site.outcome(&[], "");
    assert!(outcome.starts_with("1 DIR/_redirects: cannot be read: a link leads out of the root"), "{outcome}");
    let site = Site::new(&[]);
    fs::create_dir(site.0.path().join("_redirects")).unwrap();
    assert!(site.load(&[], "").unwrap().rules.redirects.is_empty());
}

/// Users, and the rules that name them, come out as they went in; so do those of a host, which has them beside its own file.
#[test]
#[cfg(feature = "auth")]
fn users_and_their_rules_read_back() {
    let line = "anna:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
    let text = format!(
        "[salver]\nusers = [\"{line}\"]\nusers_file = \"more\"\nauth = [\"/a anna,bob\", \"!/b\"]\n\
         [salver.hosts.\"b\"]\nauth = [\"/c bob\"]\n"
    );
    let more = line.replace("anna", "bob");
    let site = Site::new(&[("config.toml", &text), ("more", &more)]);
    let config = site.load(&[], "").unwrap();
    let described = describe(&config);
    assert!(described.contains(&format!("[\"{line}\"]")) && described.contains("[\"/c bob\"]"), "{described}");
    let again =
        Site::new(&[("config.toml", &described.replace(site.0.path().to_str().unwrap(), ".")), ("more", &more)]);
    let again = again.load(&[], "").unwrap();
    assert_eq!(again.rules.access.users, config.rules.access.users);
    assert_eq!(again.rules.access.auth, config.rules.access.auth);
    assert_eq!(again.hosts[0].site.rules.access.file_users, config.hosts[0].site.rules.access.file_users);
    let withheld = |files: &files::Options| files.withheld.contains(&site.0.path().join("more"));
    assert!(withheld(&config.files) && withheld(&config.hosts[0].site.files));
}
