//! Rules about the source text itself, so that they cannot rot.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what it expects by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

/// What each layer must not name: the layers above it, and what is not its business.
const LAYERS: [(&str, &[&str]); 4] = [
    (
        "src/socketserver",
        &["crate::http", "crate::files", "crate::site", "crate::config", "crate::cli", "httparse", "::http::"],
    ),
    ("src/http", &["crate::files", "crate::site", "crate::config", "crate::cli", "std::thread::", "crossbeam"]),
    (
        "src/files",
        &[
            "crate::socketserver",
            "crate::site",
            "crate::config",
            "crate::cli",
            "std::net",
            "std::thread::",
            "crossbeam",
        ],
    ),
    ("src/site", &["crate::socketserver", "crate::config", "crate::cli", "std::net", "std::thread::", "crossbeam"]),
];

/// Stages that take values and give values: they touch no disk and no network.
const PURE: [&str; 29] = [
    "src/files/headers_file.rs",
    "src/files/pattern.rs",
    "src/files/rules.rs",
    "src/files/target.rs",
    "src/files/conditional.rs",
    "src/files/encoding.rs",
    "src/files/range.rs",
    "src/files/mime.rs",
    "src/files/listing/html.rs",
    "src/files/listing/json.rs",
    "src/files/listing/order.rs",
    "src/files/listing/query.rs",
    "src/files/listing/readme.rs",
    "src/files/listing/text.rs",
    "src/files/navigation.rs",
    "src/files/validators.rs",
    "src/http/authority.rs",
    "src/http/body.rs",
    "src/http/characters.rs",
    "src/http/headers.rs",
    "src/http/log_text.rs",
    "src/http/request.rs",
    "src/site/cors.rs",
    "src/site/hosts.rs",
    "src/site/redirects/circles.rs",
    "src/site/redirects/mod.rs",
    "src/site/redirects/pattern.rs",
    "src/site/redirects/rule.rs",
    "src/site/redirects/target.rs",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} has no sources");
    found
}

/// The part of a file that is built into the program, without comments.
fn code(text: &str) -> String {
    let program = text.split("#[cfg(test)]").next().unwrap_or_default();
    program.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn layers_name_only_those_below() {
    for (layer, forbidden) in LAYERS {
        for (path, text) in sources(layer) {
            for name in forbidden {
                assert!(!code(&text).contains(name), "{} names {name}", path.display());
            }
        }
    }
}

#[test]
fn pure_stages_touch_no_disk_and_no_network() {
    for file in PURE {
        let text = fs::read_to_string(root().join(file)).unwrap();
        for name in ["std::fs", "std::net", "rustix", "std::env"] {
            assert!(!code(&text).contains(name), "{file} names {name}");
        }
    }
}

#[test]
fn http_bytes_are_made_in_one_place() {
    for (path, text) in sources("src") {
        if !path.ends_with("http/write.rs") {
            assert!(!code(&text).contains("b\"HTTP/1"), "{} makes HTTP bytes", path.display());
        }
    }
}

#[test]
fn unsafe_code_is_in_one_file() {
    for (path, text) in sources("src") {
        if !path.ends_with("socketserver/poller.rs") {
            assert!(!code(&text).contains("unsafe {"), "{} has unsafe code", path.display());
        }
    }
}

#[test]
fn the_program_ends_in_one_place() {
    for (path, text) in sources("src") {
        if !path.ends_with("program/signals.rs") {
            assert!(!code(&text).contains("process::exit("), "{} exits", path.display());
        }
    }
}

#[test]
fn nothing_is_left_over() {
    let marks = ["dbg", "todo", "unimplemented"].map(|name| format!("{name}!("));
    let words = ["FIX", "XX", "TO"].map(|start| {
        format!(
            "{start}{}",
            if start == "XX" {
                "X"
            } else if start == "TO" {
                "DO"
            } else {
                "ME"
            }
        )
    });
    for folder in ["src", "tests", "benches", "examples"] {
        for (path, text) in sources(folder) {
            for mark in marks.iter().chain(&words) {
                assert!(!text.contains(mark.as_str()), "{} has a {mark}", path.display());
            }
        }
    }
}

/// Examples are read from top to bottom, first how they are tried.
#[test]
fn examples_are_short_and_begin_with_a_session() {
    for (path, text) in sources("examples") {
        let name = path.file_stem().unwrap().to_str().unwrap();
        if path.ends_with("common/mod.rs") {
            continue;
        }
        // A chat is members, names and messages before it is anything.
        let lines_max = if name == "chat" { 110 } else { 90 };
        assert!(text.lines().count() <= lines_max, "{} is longer than {lines_max} lines", path.display());
        let head: Vec<_> = text.lines().map_while(|line| line.strip_prefix("//!")).collect();
        let mut session = head.iter().skip_while(|line| **line != " ```text").skip(1);
        let start = format!(" $ cargo run --example {name} ");
        assert!(session.next().is_some_and(|line| line.starts_with(&start)), "{name} isn't started");
        let clients = [" $ python3", " $ echo ", " $ nc ", " $ curl "];
        let has_client = session.any(|line| clients.iter().any(|client| line.starts_with(client)));
        assert!(has_client, "{name} has no client");
    }
}

/// Every path in backquotes that ARCHITECTURE.md and README.md name is there.
#[test]
fn documents_name_what_exists() {
    for document in ["ARCHITECTURE.md", "README.md", "CHANGELOG.md", "SECURITY.md"] {
        let text = fs::read_to_string(root().join(document)).unwrap();
        for name in text.split('`').skip(1).step_by(2) {
            let is_path = ["src/", "tests/", "benches/", "examples/", "public/", "fuzz/", ".ci/"]
                .iter()
                .any(|start| name.starts_with(start));
            if is_path && !name.contains(char::is_whitespace) {
                assert!(root().join(name).exists(), "{document} names {name}");
            }
        }
    }
}
