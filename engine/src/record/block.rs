//! The text of a test block.

use super::{
    second,
    series::{Detail, Grid, Piece},
    witness::Scene,
};
use std::fmt::Write as _;
use weir_grammar::{
    policy::{Policy, Unit},
    quantity::{Millis, Quantity},
};

/// The longest line.
const WIDTH: usize = 100;

/// A block without what it expects.
#[derive(Clone, Debug)]
pub(super) struct Block {
    title: String,
    group: String,
    start: String,
    size: u32,
    given: Vec<String>,
    inputs: Vec<String>,
    asked: (Millis, Millis),
}

impl Block {
    pub(super) fn given(scene: &Scene, policy: &Policy, grids: &[Grid], detail: Detail) -> Self {
        let since = |at_ms: i64| Millis(at_ms.saturating_sub(scene.begin_ms));
        let mut given = Vec::new();
        for grid in grids {
            let Some(metric) = policy.metrics.get(grid.metric) else { continue };
            for (server, pieces) in grid.lines(detail) {
                given.push(series(&metric.name, metric.unit, &pieces, server));
            }
        }
        let mut inputs: Vec<(Millis, String, u32)> = Vec::new();
        let mut sorted = scene.inputs.clone();
        sorted.sort_by_key(|(at_ms, _)| *at_ms);
        for (at_ms, line) in sorted {
            let step = if detail.seconds { Millis::SECOND.0 } else { 1 };
            let at = Millis(since(at_ms).0.div_euclid(step) * step);
            // Of one alarm told of more and more servers at once the last line says it all.
            if let Some((.., text, _)) =
                inputs.last_mut().filter(|(known, text, _)| *known == at && covers(&line, text))
            {
                *text = line;
                continue;
            }
            // An event of a kind comes so many times at once; other lines have effect once.
            match inputs.iter_mut().find(|(known, text, _)| *known == at && *text == line) {
                Some((.., times)) => *times += 1,
                None => inputs.push((at, line, 1)),
            }
        }
        let until = |at_ms: i64| second(at_ms).get(11..16).unwrap_or_default().to_owned();
        Self {
            title: format!(
                "{} on {}, {} to {} UTC, as it was",
                scene.group,
                second(scene.from_ms).get(..10).unwrap_or_default(),
                until(scene.from_ms),
                until(scene.until_ms)
            ),
            group: scene.group.clone(),
            start: second(scene.begin_ms),
            size: scene.size,
            given,
            inputs: inputs.into_iter().filter(|(at, ..)| at.0 < since(scene.until_ms).0).map(input).collect(),
            asked: (since(scene.from_ms), since(scene.until_ms)),
        }
    }

    /// The block with what it expects, and what is to be said about it.
    pub(super) fn text(&self, expects: &[String], notes: &[String]) -> String {
        let Self { title, group, start, size, given, inputs, asked: (from, until) } = self;
        let mut text = format!("test \"{title}\" for {group} {{\n");
        let asked = format!("Recorded; the stretch is from {from} to {until}, and before it look-backs fill.");
        for note in std::iter::once(&asked).filter(|_| from.0 > 0).chain(notes) {
            for line in wrapped(note, WIDTH - 4) {
                // Writing to a string does not fail.
                let _ = writeln!(text, "  # {line}");
            }
        }
        let _ = writeln!(text, "  start {start}\n  given size {size}");
        for line in given.iter().chain(inputs) {
            let _ = writeln!(text, "  {line}");
        }
        text.push('\n');
        for line in expects {
            let _ = writeln!(text, "  {line}");
        }
        text.push_str("}\n");
        text
    }
}

/// Whether a line says of more servers what another says of fewer: always the oldest.
fn covers(line: &str, other: &str) -> bool {
    let servers = |line: &str| {
        let (what, servers) = line.strip_prefix("alarm ")?.split_once(" on ")?;
        Some((what.to_owned(), servers.split(' ').next()?.parse::<u32>().ok()?))
    };
    matches!((servers(line), servers(other)), (Some(a), Some(b)) if a.0 == b.0 && a.1 >= b.1)
}

fn input((at, line, times): (Millis, String, u32)) -> String {
    let times = if times > 1 && line.starts_with("event ") { format!(" x{times}") } else { String::new() };
    format!("{line}{times} at {at}")
}

/// `given cpu.usage 60% for 5m, 90% for 15m`, broken behind commas where it is long.
fn series(metric: &str, unit: Unit, pieces: &[Piece], server: Option<usize>) -> String {
    let mut text = format!("given {metric}");
    let mut column = text.len() + 2;
    let indent = text.len() + 3;
    for (place, (value, length)) in pieces.iter().enumerate() {
        let value = value.map_or_else(|| "missing".to_owned(), |value| literal(unit, value));
        let comma = if place + 1 < pieces.len() { "," } else { "" };
        let piece = format!("{value} for {length}{comma}");
        if place > 0 && column + 1 + piece.len() > WIDTH {
            text.push('\n');
            text.push_str(&" ".repeat(indent - 1));
            column = indent - 1;
        }
        text.push(' ');
        text.push_str(&piece);
        column += 1 + piece.len();
    }
    if let Some(server) = server {
        text.push_str(&format!(" on server {server}"));
    }
    text
}

/// A value as the language writes it.
fn literal(unit: Unit, value: Quantity) -> String {
    match unit {
        Unit::Percent => format!("{value}%"),
        Unit::Number => value.to_string(),
        Unit::Duration => Millis(value.0 / (Quantity::SCALE / 1_000)).to_string(),
        Unit::Bytes => format!("{}B", value.0 / Quantity::SCALE),
    }
}

/// Words in lines no longer than `width`.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
