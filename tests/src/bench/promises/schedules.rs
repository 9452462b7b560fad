//! F10: a million schedules due at the same second.

use super::{
    super::{clock::Took, each_second, per_second, say},
    herd::{Herd, START_MS, event},
};
use std::fmt::Write as _;
use weir_engine::event::{Fact, Tick};

const GROUPS: usize = 15_625;
/// Of each group; as many as a group may have.
const RULES: usize = 64;
/// Rounds. Each is a second of its own, an hour after the one before.
const ROUNDS: i64 = 3;
const HOUR_MS: i64 = 3_600_000;

/// Prints how many schedules a second are decided.
pub fn run() {
    let mut text = String::new();
    for rule in 0..RULES {
        // Writing to a string does not fail.
        let _ = write!(text, "  rule r{rule} {{\n    cron \"0 * * * *\"\n    raise to 2\n  }}\n");
    }
    let mut partition = Herd::new(GROUPS, 2, &text).partition().clone();
    let mut rounds = Vec::new();
    for round in 1..=ROUNDS {
        let due = (START_MS / HOUR_MS + round) * HOUR_MS;
        let mut tick = |at: i64| {
            let line = event("", at, Fact::Tick(Tick {})).to_line();
            partition.step_line(partition.next(), at, line.as_bytes()).expect("the records follow each other");
            partition.next_timer().is_some_and(|timer| timer <= at)
        };
        // No gap in the log's time, as the worker's ticks leave none.
        (0..60).rev().for_each(|minutes| while tick(due - 1 - minutes * 60_000) {});
        let (records, took) = Took::of(|| {
            let mut records = 1;
            while tick(due) {
                records += 1;
            }
            records
        });
        assert!(records >= GROUPS / 4_096, "they are decided in several records");
        rounds.push(took);
    }
    let took = Took::median(rounds);
    let wall = each_second(per_second(GROUPS * RULES, took.wall));
    let note = format!("promised 1,000,000/s; {wall} by the wall");
    say("F10 a million schedules at one second", &each_second(per_second(GROUPS * RULES, took.cpu)), &note);
}
