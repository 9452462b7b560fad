//! Everything of Weir that touches the world: log and store, sources, executors, API, command line.
//!
//! Each folder is one port, each file one system. No connector decides; no decision calls.

pub mod api;
pub mod backend;
pub mod cli;
pub mod clock;
pub mod config;
pub mod executor;
pub mod http;
pub mod moving;
mod nearest;
pub mod replay;
pub mod run;
pub mod secret;
pub mod source;
pub mod why;
pub mod worker;
