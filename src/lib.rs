//! salver
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "cli")]
pub mod config;
pub mod files;
pub mod http;
pub mod socketserver;
