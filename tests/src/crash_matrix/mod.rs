//! The crash matrix: the real workers over the real embedded log and store and the simulated cloud, killed at every effect.
//!
//! A [`story`] is played by [`world`] through lives of the [`process`]; every write and every call to the cloud goes through
//! [`backend`] or [`cloud`], which number them and let [`faults`] happen. After each story [`audit`] compares what is left
//! with what may be left. Everything runs on one thread by a clock that is moved by hand, so a plan of faults always gives
//! the same story.

mod audit;
pub mod backend;
pub mod bug;
mod cloud;
pub mod faults;
mod process;
pub mod runs;
pub mod story;
mod world;

pub use world::{Played, play};

use std::path::PathBuf;

/// A folder in memory, where the machine has one.
#[must_use]
pub fn fast_folder() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() { memory } else { std::env::temp_dir() }
}
