//! Weir's engine: events in, bounded commands and explained decisions out.
//!
//! Pure on purpose. A decision is a function of (policy, state, log): no clock, no I/O, no threads, no randomness, no
//! hash-order iteration in this package. Time, ids and answers are inputs, so replay, `why`, tests in policy files and
//! recovery after a crash are the same code run again.
//!
//! Two machines live here. [`step`](partition::Partition::step) turns the log into commands and decisions; `settle`
//! and `plan` turn commands and observations of a cloud into calls. Neither calls anything.

pub mod adoption;
pub mod agenda;
pub mod aggregate;
pub mod backtest;
pub mod bounds;
pub mod by_hand;
pub mod call;
pub mod cause;
pub mod command;
pub mod condition;
pub mod control;
pub mod decide;
pub mod decision;
pub mod deed;
pub mod depart;
pub mod deploy;
pub mod directory;
pub mod due;
pub mod emit;
pub mod event;
pub mod explain;
mod fetch;
pub mod group;
pub mod guard;
pub mod id;
pub mod index;
pub mod intake;
pub mod ledger;
pub mod member;
mod moving;
pub mod names;
pub mod observation;
mod ordered;
pub mod outcome;
pub mod partition;
pub mod plan;
pub mod planted;
pub mod program;
pub mod question;
pub mod record;
pub mod rehearse;
pub mod replay;
pub mod rows;
pub mod scan;
pub mod semantics;
pub mod settle;
pub mod sketch;
pub mod standing;
pub mod tenant;
pub mod time;
pub mod view;
pub mod window;
pub mod wiring;
pub mod wish;
pub mod words;

pub use weir_grammar as grammar;
