//! What a site is told: rules, hosts, redirects, users.

use super::*;

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
