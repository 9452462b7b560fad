//! What the tests from outside share: promises asked of every log and store, peers that behave like the real ones, and
//! bodies that behave like the worst ones.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

pub mod audit;
pub mod behind;
pub mod bench;
pub mod cassandra;
pub mod conformance;
pub mod crash_matrix;
pub mod dice;
pub mod feed_server;
pub mod full;
pub mod golden;
pub mod hostile_feeds;
pub mod house;
pub mod kafka;
pub mod kafka_proxy;
pub mod load;
pub mod memory_store;
pub mod mimic;
pub mod process;
pub mod raw_server;
pub mod sample;
pub mod service;
pub mod stepping;
pub mod tree;
