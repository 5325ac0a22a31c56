//! URL to response, from a directory.
mod options;
pub use options::Options;
