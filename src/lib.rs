//! salver
pub mod files;
pub mod http;
pub mod socketserver;
