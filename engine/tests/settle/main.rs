//! `settle` against a toy cloud: what it does when all goes well, each rule by itself, and that whatever goes wrong, a
//! group comes to exactly its target once things stop going wrong.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests fail by panicking")]

mod cloud;
mod dice;
mod hands;
mod left;
mod rules;
mod storm;
mod world;
