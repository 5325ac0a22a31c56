//! Files, variables and flags in; the configuration, its notes or the complaint out.

mod mistakes;
mod place;
mod site;

use std::fs;

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
