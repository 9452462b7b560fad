//! Weir's policy language: text in, checked program or diagnostics out.
//!
//! `check` is the one door: the command line, the API and the tests all call it. Nothing here knows of files, clocks
//! or groups at work; a text means the same on every machine at every time.

pub mod policy;
pub mod quantity;
pub mod schedule;
