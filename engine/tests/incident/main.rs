//! A stretch of a log under another policy, and as a test: `backtest` and `record` over a small world of their own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod backtest;
mod record;
mod swap;
mod world;
