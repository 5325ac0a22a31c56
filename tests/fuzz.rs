//! Every input of the corpora in `fuzz/corpus`, through the checks that it was found with: what a fuzzer found once is
//! looked at in every run of the tests, without a fuzzer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what it expects by panicking")]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

#[path = "fuzz/mod.rs"]
mod checks;

#[track_caller]
fn replay(name: &str) {
    let (_, check) = checks::TARGETS.iter().find(|(target, _)| *target == name).unwrap();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut inputs: Vec<_> = fs::read_dir(&corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!inputs.is_empty(), "{} is empty", corpus.display());
    inputs.sort();
    for input in inputs {
        let bytes = fs::read(&input).unwrap();
        let held = catch_unwind(AssertUnwindSafe(|| check(&bytes)));
        assert!(held.is_ok(), "{} fails: {}", input.display(), bytes.escape_ascii());
    }
}

#[test]
fn heads() {
    replay("head");
}

#[test]
fn targets() {
    replay("target");
}

#[test]
fn ranges() {
    replay("range");
}

#[test]
fn conditions() {
    replay("conditional");
}

#[test]
fn clients() {
    replay("client");
}

#[test]
fn configurations() {
    replay("config");
}

#[test]
fn connections() {
    replay("connection");
}
