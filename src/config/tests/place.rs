//! Which file is read, where its paths start, and which root there is to serve.

use super::*;

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
