//! The table of contents: each module tries one side of salver through real sockets and real files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what it expects by panicking")]

mod support;

mod integration {
    mod access;
    mod caches;
    mod check_config;
    mod command_line;
    mod compression;
    mod confinement;
    mod faults;
    mod fields;
    mod files;
    mod http;
    mod leaks;
    mod limits;
    mod listing;
    mod load;
    mod log;
    mod log_file;
    mod log_formats;
    mod preconditions;
    mod process;
    mod proxies;
    mod ranges;
    mod routes;
    mod routing;
    mod sites;
    mod sockets;
    mod stopping;
    mod transfers;
    mod validators;
}
