//! Sockets, threads and deadlines.
mod options;
pub use options::*;
