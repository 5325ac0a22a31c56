//! What must hold whatever comes in: a function for each fuzz target, called with bytes by `fuzz/` and by
//! `tests/fuzz.rs`.
//!
//! An input is a plan, which ends with the first line feed, and then the bytes that the target reads; some targets need
//! no plan. Every plan means something, and so does every input.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a check says what it expects by panicking")]

pub mod client;
pub mod conditional;
pub mod config;
pub mod connection;
pub mod head;
pub mod range;
mod site;
pub mod target;
mod wire;

/// A fuzz target: its name, which is that of its corpus too, and its checks.
pub type Target = (&'static str, fn(&[u8]));

pub const TARGETS: &[Target] = &[
    ("head", head::check),
    ("target", target::check),
    ("range", range::check),
    ("conditional", conditional::check),
    ("client", client::check),
    ("config", config::check),
    ("connection", connection::check),
];

/// The plan and the rest.
fn split_plan(input: &[u8]) -> (&[u8], &[u8]) {
    match input.iter().position(|&byte| byte == b'\n') {
        Some(end) => (&input[..end], &input[end + 1..]),
        None => (b"", input),
    }
}

/// The numbers of a plan, which are separated by spaces.
fn numbers(plan: &[u8]) -> impl Iterator<Item = u64> + use<'_> {
    plan.split(|&byte| byte == b' ').filter_map(|word| std::str::from_utf8(word).ok()?.parse().ok())
}
