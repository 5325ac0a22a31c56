//! The checks of `tests/fuzz`, for the targets.

#[path = "../../tests/fuzz/mod.rs"]
pub mod checks;
