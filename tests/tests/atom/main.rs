//! A poller, a feed server and the embedded log: whatever the feed does, every entry has one effect.
//!
//! All share one clock that the tests move. "Effect" is a fact in the log: a notice whose id is the entry's.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod bench;
mod memory;
mod moody;
mod reading;
mod trouble;
