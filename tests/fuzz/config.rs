//! The configuration: a mistake is told with its place, and what is valid is described so that it reads back as the
//! same.
//!
//! No plan: `salver.toml`, and behind it, each behind a NUL, variables as in `NAME=value`.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use salver::cli::Args;
use salver::config::{Config, Error, Host, describe, load};
use tempfile::TempDir;

/// Where the file lies, and where it is written again.
struct Places(TempDir, TempDir);

thread_local! {
    static PLACES: Places = Places(tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
}

pub fn check(input: &[u8]) {
    let mut parts = input.split(|&byte| byte == 0);
    let text = parts.next().unwrap_or_default();
    let variables: Vec<_> = parts.filter_map(variable).collect();
    PLACES.with(|Places(written, described)| {
        let config = match load_text(text, variables.clone(), written.path()) {
            Ok(config) => config,
            Err(error) => return check_mistake(&error, text, &variables),
        };
        for note in &config.notes {
            assert!(!note.contains('\n'), "{note:?} is more than a line");
        }
        let description = describe(&config);
        let again = load_text(description.as_bytes(), Vec::new(), described.path());
        let again = again.unwrap_or_else(|error| panic!("{error}\n{description}"));
        // Bytes that are no UTF-8 can't stand in a file.
        if config.files.root.to_str().is_some() {
            assert_eq!(values(again), values(config), "{description}");
        }
    });
}

/// Not SALVER_CONFIG, which would have any file read.
fn variable(text: &[u8]) -> Option<(OsString, OsString)> {
    let (name, value) = text.split_at(text.iter().position(|&byte| byte == b'=')?);
    let os_string = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    (name != b"SALVER_CONFIG").then(|| (os_string(name), os_string(&value[1..])))
}

fn load_text(text: &[u8], variables: Vec<(OsString, OsString)>, folder: &Path) -> Result<Config, Error> {
    fs::write(folder.join("salver.toml"), text).unwrap();
    load(&Args::default(), variables, folder)
}

/// One line, which begins with the place.
fn check_mistake(error: &Error, text: &[u8], variables: &[(OsString, OsString)]) {
    let message = error.to_string();
    assert!(!message.contains(char::is_control), "{message:?}");
    let (place, what) = message.split_once(": ").unwrap_or_else(|| panic!("{message}: no place"));
    assert!(!what.trim().is_empty(), "{message}");
    if let Some(line) = place.strip_prefix("salver.toml:") {
        let lines = text.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let line: usize = line.parse().unwrap_or_else(|_| panic!("{message}: no line"));
        assert!((1..=lines).contains(&line), "{message}: there are {lines} lines");
    } else if place != "salver.toml" {
        let is_of = |(name, _): &(OsString, OsString)| message.starts_with(&format!("{}=", name.to_string_lossy()));
        assert!(variables.iter().any(is_of), "{message}: whose mistake?");
    }
}

/// All that was configured, but for where it was written.
fn values(config: Config) -> impl PartialEq + std::fmt::Debug {
    let Config { bind, port, quiet, server, sockets, limits, mut files, rules, hosts, allow_host, .. } = config;
    files.withheld.clear();
    let host = |mut host: Host| {
        host.site.files.withheld.clear();
        (host.names, host.site)
    };
    let hosts: Vec<_> = hosts.into_iter().map(host).collect();
    (bind, port, quiet, server, sockets, limits, files, rules, hosts, allow_host)
}
