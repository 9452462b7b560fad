//! Golden logs: stories whose decisions and commands were recorded once, and which every later build must decide the same
//! under the semantics that the file names.
//!
//! A log is told by one of the [`stories`] through the [`recorder`], in the shape of an export from a log's first record
//! on, with the commands after each record and the digest of all of them at the end. [`again`] decides it once more.

pub mod again;
pub mod recorder;
pub mod stories;

use std::path::PathBuf;

/// Where the logs are.
#[must_use]
pub fn folder() -> PathBuf {
    crate::tree::root().join("tests/golden")
}

/// A log's file.
#[must_use]
pub fn path(name: &str) -> PathBuf {
    folder().join(format!("{name}.ndjson"))
}
