//! The promised speeds, by the names they have in [the table](../README.md): each a ratio within one run, of time
//! on the processor, against a floor that is measured in the same run.

use super::{ROUNDS, clock::Took, each_second, per_second, say};
use herd::{Herd, RULES};
use std::fs;

pub use herd::Load;

mod evaluation;
pub mod floor;
pub mod herd;
mod schedules;

/// Facts of one round, at the least; it is always whole minutes, so that every round has the same work.
const FACTS: usize = 200_000;
/// Minutes that fill the longest window before anything is measured.
const WARM_UP: usize = 12;
/// Servers of a group in the smaller herd.
const SERVERS: usize = 4;

/// Prints every promise that a single thread can show. `large` is the larger number of groups.
pub fn run(large: usize) {
    println!("promises: medians of {ROUNDS} rounds, in time on the processor");
    println!("floor: serde_json into a borrowed struct + the condition by hand, in the same rounds");
    let (ours, floor) = race(&mut Herd::new(1_000, SERVERS, RULES), Load::Alarms, FACTS);
    say("F1 alarm: JSON to decision", &ours.shown(), &ours.against(floor, "1.5"));
    let (mixed, floor) = race(&mut Herd::new(1_000, SERVERS, RULES), Load::Mixed, FACTS);
    say("F3 samples, alarms, windows: 1,000 groups of 4", &mixed.shown(), &mixed.against(floor, "1.0"));
    let (small, floor) = race(&mut Herd::new(1_000, 1, RULES), Load::Mixed, FACTS);
    say("F3 the same: 1,000 groups of 1", &small.shown(), &small.against(floor, "1.0"));
    evaluation::run();
    large_herd(large, small);
    a_day();
    schedules::run();
}

/// One herd alone, on one line: to hold two builds against each other, turn by turn. Two builds that decide the same end with
/// the same digest.
pub fn one_herd(groups: usize, servers: usize, load: Load) {
    let mut herd = Herd::new(groups, servers, RULES);
    let (ours, floor) = race(&mut herd, load, FACTS);
    println!(
        "{:.0} ns a line, the floor {:.0}; {}",
        1e9 / ours.each_second(),
        1e9 / floor.each_second(),
        herd.partition().state_digest()
    );
}

/// F4 and F6: many groups.
fn large_herd(groups: usize, small: Speed) {
    let before = resident();
    let mut herd = Herd::new(groups, 1, RULES);
    let (large, floor) = race(&mut herd, Load::Mixed, FACTS);
    say(&format!("F3 the same: {groups} groups of 1"), &large.shown(), &large.against(floor, "1.0"));
    let cost = small.each_second() / large.each_second();
    say(&format!("F4 {groups} groups and rules, to 1,000"), &format!("{cost:.2}"), "times the cost; promised 1.25");
    let grown = resident().saturating_sub(before) / groups.max(1);
    let kept = herd.partition().snapshot().len() / groups.max(1);
    say("F6 memory", &format!("{grown} B a group"), &format!("{kept} B of it state, as a snapshot writes it"));
}

/// F7: a day of a million events: 173 groups of 4 servers, each of which speaks once a minute.
fn a_day() {
    let mut herd = Herd::new(173, SERVERS, RULES);
    let facts = herd.a_minute() * 24 * 60;
    let lines = herd.lines(facts, Load::Mixed);
    let took = herd.decide(&lines);
    let figure = format!("{:.2} s", took.cpu.as_secs_f64());
    let note = format!("{facts} events; promised under 1 s; {:.2} s by the wall", took.wall.as_secs_f64());
    say("F7 a day of a million events, replayed", &figure, &note);
}

/// How fast something was.
#[derive(Clone, Copy)]
struct Speed {
    facts: usize,
    took: Took,
}

impl Speed {
    fn each_second(self) -> f64 {
        per_second(self.facts, self.took.cpu)
    }

    fn shown(self) -> String {
        each_second(self.each_second())
    }

    fn against(self, floor: Self, promised: &str) -> String {
        let ratio = self.each_second() / floor.each_second();
        let wall = each_second(per_second(self.facts, self.took.wall));
        format!("{ratio:.2} of the floor; promised {promised}; {wall} by the wall")
    }
}

/// The engine and the floor over the same lines, turn by turn.
fn race(herd: &mut Herd, load: Load, facts: usize) -> (Speed, Speed) {
    let facts = facts.next_multiple_of(herd.a_minute());
    for _ in 0..WARM_UP {
        let lines = herd.lines(herd.a_minute(), load);
        herd.decide(&lines);
    }
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let lines = herd.lines(facts, load);
        floor.push(Took::of(|| floor::read(&lines)).1);
        ours.push(herd.decide(&lines));
    }
    let speed = |rounds| Speed { facts, took: Took::median(rounds) };
    (speed(ours), speed(floor))
}

/// Resident memory of this process in bytes; 0 where the system does not say.
fn resident() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4_096
}
