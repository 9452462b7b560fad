//! The program as a person or a service manager meets it: a process of its own, asked by other processes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod by_hand;
mod carried;
mod day;
mod files;
mod halt;
mod incident;
mod server;
mod serving;
