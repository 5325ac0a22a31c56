//! The table of contents: clients that mean harm, and descriptors that run out, with good clients beside them that lose
//! no request. `tests/soak.rs` does the same for longer, and prints figures.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what it expects by panicking")]

mod support;

mod hostile {
    mod clients;
    mod descriptors;
    mod stopping;
}
