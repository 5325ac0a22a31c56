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
fn every_flag_arrives() {
    check_flags("-w 3", "workers = 3 # flag --workers");
    check_flags("-q", "quiet = true # flag --quiet");
    check_flags("public", "root = \"DIR/public\" # argument ROOT");
    check_flags("-d ./public/.", "root = \"DIR/public\" # flag --root");
    check_flags("-b ::1 --host a:80,[::]:0", "bind = [\"[::1]\", \"a:80\", \"[::]:0\"] # flag --bind");
    check_flags("--index a,b --index c", "index = [\"a\", \"b\", \"c\"] # flag --index");
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
        check_variable(&key.variable(), &text, &format!("{line} {}", key.variable()));
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
    check_file("[salver]\nbind = [\n\"*\"]", &format!("2 config.toml:2: bind = [ \"*\"]: {address}, not '*'"));
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
    check_flags("-c public", "2 --config public: there is no such file; create it or name another");
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
    check_flags("page.html", "2 ROOT page.html: DIR/page.html is not a directory; name the directory to serve");
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
