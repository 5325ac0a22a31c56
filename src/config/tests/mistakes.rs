//! Values out of range, names that nobody knows, and what is told of them.

use std::os::unix::ffi::OsStringExt as _;

use super::*;

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
