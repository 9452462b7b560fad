//! The floor: what one would write by hand for one condition. `serde_json` into a struct that borrows from the line and
//! names only what the condition reads, and the condition in Rust. It is told which kind a line is, as by a topic for
//! each, and keeps no state, so it is the fastest that the usual tools can do.

use super::herd::Line;
use serde::Deserialize;
use std::hint::black_box;
use weir_grammar::quantity::Quantity;

/// What a hand-written rule would read of an alarm.
#[derive(Deserialize)]
struct Alarm<'a> {
    #[serde(borrow)]
    tenant: &'a str,
    data: AlarmData<'a>,
}

#[derive(Deserialize)]
struct AlarmData<'a> {
    name: &'a str,
    state: &'a str,
    at: &'a str,
    #[serde(borrow)]
    server: [&'a str; 1],
}

/// What a hand-written rule would read of a sample.
#[derive(Deserialize)]
struct Samples<'a> {
    #[serde(borrow)]
    tenant: &'a str,
    data: [SampleData<'a>; 1],
}

#[derive(Deserialize)]
struct SampleData<'a> {
    metric: &'a str,
    value: i64,
    at: &'a str,
    #[serde(borrow)]
    server: [&'a str; 1],
}

/// Reads every line and asks its condition; how many there were.
pub fn read(lines: &[Line]) -> usize {
    let fired = lines.iter().filter(|line| if line.alarm { alarm(&line.text) } else { sample(&line.text) }).count();
    black_box(fired);
    lines.len()
}

fn alarm(line: &str) -> bool {
    let line: Alarm<'_> = serde_json::from_slice(line.as_bytes()).expect("the herd's lines are what the floor reads");
    let AlarmData { name, state, at, server: [server] } = line.data;
    black_box((line.tenant, at, server));
    name == "hot" && state == "critical"
}

fn sample(line: &str) -> bool {
    let line: Samples<'_> = serde_json::from_slice(line.as_bytes()).expect("the herd's lines are what the floor reads");
    let [SampleData { metric, value, at, server: [server] }] = line.data;
    black_box((line.tenant, at, server));
    metric == "cpu.usage" && value > 80 * Quantity::SCALE
}
