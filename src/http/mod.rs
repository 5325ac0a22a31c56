//! Bytes to requests, responses to bytes.
mod limits;
pub use limits::*;
