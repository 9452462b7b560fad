//! The comparison as one page that needs nothing else: no network, no other file.

use super::{Comparison, assumptions, table};
use serde_json::{Value, json};
use std::fmt::Write as _;
use weir_engine::{
    backtest::{Course, Series},
    decision::{Decision, Verdict},
    explain,
};

/// The page around the data. The two marks in it are replaced.
const TEMPLATE: &str = include_str!("page.html");
/// Points of one series that are drawn; what is between them nobody could see.
const POINTS_MAX: usize = 4_000;

/// The page.
#[must_use]
pub fn page(comparison: &Comparison) -> String {
    let groups: Vec<Value> = comparison
        .pairs()
        .map(|(old, new)| {
            let rows = table::rows(&old.figures, &new.figures);
            let figures: Vec<Value> = rows.iter().map(|row| json!([row.label, row.words()])).collect();
            json!({ "name": new.group, "old": course(old), "new": course(new), "figures": figures })
        })
        .collect();
    let data = json!({
        "old": comparison.old.name,
        "new": comparison.new.name,
        "records": comparison.records,
        "assumptions": assumptions(comparison),
        "groups": groups,
    });
    let title = format!("{} against {}", comparison.new.name, comparison.old.name);
    // Within a script element only an end tag could end it.
    let data = data.to_string().replace('<', "\\u003c");
    TEMPLATE.replace("{{title}}", &escaped(&title)).replace("{{data}}", &data)
}

fn course(course: &Course) -> Value {
    json!({
        "from": course.began_ms,
        "until": course.ended_ms,
        "targets": course.targets,
        "ready": course.ready,
        "bounds": course.bounds,
        "series": course.series.iter().map(series).collect::<Vec<_>>(),
        "decisions": course.decisions.iter().map(decision).collect::<Vec<_>>(),
    })
}

fn series(series: &Series) -> Value {
    let every = series.points.len().div_ceil(POINTS_MAX).max(1);
    // Of those that are too near to each other the largest is shown.
    let points = series.points.chunks(every).filter_map(|chunk| {
        let (at, value) = chunk.iter().max_by_key(|(_, value)| *value)?;
        Some((at, value.map(|value| value.0)))
    });
    let lines: Vec<Value> = series.lines.iter().map(|line| json!([line.rule, line.at.0])).collect();
    json!({
        "words": series.words,
        "unit": format!("{:?}", series.unit).to_lowercase(),
        "points": points.collect::<Vec<_>>(),
        "lines": lines,
    })
}

fn decision(why: &explain::Why) -> Value {
    let Decision { at, from, to, min, max, position, outcome, .. } = &why.decision;
    let (kind, by) = match outcome {
        Verdict::Changed { by, .. } => ("changed", by.as_str()),
        Verdict::Held { by, .. } => ("held", by.as_str()),
        Verdict::Still => ("still", ""),
        Verdict::Missed { by, .. } => ("missed", by.as_str()),
        Verdict::Refused { by, .. } => ("refused", by.as_str()),
    };
    // The page writes instants on its reader's clock, which is not known here.
    let mark = |at_ms: i64| format!("\u{27e6}{at_ms}\u{27e7}");
    json!({
        "at": at,
        "from": from,
        "to": to,
        "min": min,
        "max": max,
        "kind": kind,
        "by": by,
        "reason": super::super::timeline::reason(&why.decision, &mark),
        "position": position.to_string(),
        "why": explain::words(why, &mark),
    })
}

fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '<' | '>' | '&' | '"' => drop(write!(escaped, "&#{};", u32::from(character))),
            _ => escaped.push(character),
        }
    }
    escaped
}
