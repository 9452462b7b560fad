//! The simulation: an installation of several engines and executors over a log, a store and a cloud that all fail, in
//! one thread, in virtual time, from one seed. Its tenants fall into partitions, which processes own and lose one by one.
//!
//! A [`story`] is drawn from the seed: policies, facts, faults. A [`world`] tells it to the engine's own code, in a
//! harness that is re-stated here as small state machines any step of which may be the last. A [`judge`] holds what
//! happens against what must hold always, and never against what is expected of one story. First faults happen, then
//! they end and every group must come to rest.
//!
//! INVARIANT: nothing here depends on a clock, an address in memory or a hash's order: a seed's run is the same for ever.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

pub mod again;
pub mod book;
pub mod bug;
pub mod cloud;
pub mod dice;
pub mod digest;
pub mod engine;
pub mod executor;
pub mod fraction;
pub mod judge;
pub mod levels;
pub mod log;
pub mod many;
pub mod part;
pub mod past;
pub mod perception;
pub mod policies;
pub mod process;
pub mod rest;
pub mod senses;
pub mod shorten;
pub mod site;
pub mod sources;
pub mod store;
pub mod story;
pub mod tally;
pub mod verdicts;
pub mod world;

use bug::{Bug, Planted};
use judge::Broken;
use std::panic::{AssertUnwindSafe, catch_unwind};
use story::Story;
use tally::Tally;

/// Runs a story, with a bug planted or none; a panic is a broken invariant too.
#[must_use]
pub fn run(story: &Story, bug: Option<Bug>) -> (Tally, Option<Broken>) {
    match catch_unwind(AssertUnwindSafe(|| world::run(story, Planted(bug)))) {
        Ok((tally, result)) => (tally, result.err()),
        Err(panic) => {
            Planted::default().tell_the_engine();
            let words = panic.downcast_ref::<String>().cloned();
            let words = words.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            (Tally::default(), Some(Broken::new("nothing panics", words.unwrap_or_default())))
        }
    }
}
