//! Weir's policy language: text in, checked program or diagnostics out.
//!
//! [`check`] is the one door: the command line, the API and the tests all call it. Nothing here knows of files, clocks
//! or groups at work; a text means the same on every machine at every time.

pub mod codes;
pub mod cost;
pub mod diagnostic;
pub mod limits;
pub mod policy;
pub mod quantity;
pub mod render;
pub mod schedule;

mod check;
mod lower;
mod recover;
mod scan;
mod syntax;
mod vocabulary;

pub use check::{Checked, check};
pub use cost::cost;
pub use diagnostic::{Diagnostic, Severity};
pub use render::{locate, render};
