//! `weir status`: every group on a line.

use super::{
    Exit, Failure, Global, Output,
    client::{Client, Connect},
    clock::Reader,
    output::{COLUMNS, Tone, shortened},
    timeline,
};
use crate::clock::{Clock, WallClock};
use serde_json::Value;
use weir_engine::{time, view::GroupRow};

/// Show every group: its size, its bounds, its state, its last change
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  weir status
  weir status --json | jq -r 'select(.state != \"ok\") | .group'")]
pub struct Args {
    #[command(flatten)]
    connect: Connect,
}

/// Asks and prints.
pub async fn run(args: &Args, global: &Global, output: &mut Output) -> Result<Exit, Failure> {
    let client = Client::open(global, &args.connect)?;
    let answer = client.get(&["v1", "groups"], &[]).await?;
    // The server's day, which in a demonstration is another than the wall's.
    let now = answer.get("now").and_then(Value::as_str).and_then(|text| time::parse_rfc3339(text).ok());
    let now_ms = now.unwrap_or_else(|| WallClock.now_ms());
    let rows = answer.get("groups").and_then(Value::as_array).cloned().unwrap_or_default();
    if output.json {
        for row in &rows {
            output.object(row)?;
        }
        return Ok(Exit::Done);
    }
    let read = |row: Value| serde_json::from_value::<GroupRow>(row);
    let rows: Vec<GroupRow> = rows
        .into_iter()
        .map(read)
        .collect::<Result<_, _>>()
        .map_err(|error| Failure::found(format!("the server's answer cannot be read: {error}")))?;
    if rows.is_empty() {
        output.line("no groups yet; deploy a policy: weir deploy FILE.weir")?;
    } else {
        let reader = Reader::on_day_of(now_ms);
        output.text(&table(&rows, &|at_ms| reader.minute(at_ms), output))?;
    }
    // Numbers that nobody moves on look like any others, so this is said with them.
    if let Err(failure) = client.get(&["readyz"], &[]).await {
        output.line(&format!("\n{} {}", output.paint(Tone::Bad, "not ready:"), failure.message))?;
        return Ok(Exit::Found);
    }
    Ok(Exit::Done)
}

/// The table. `clock` writes an instant as the reader's clock shows it.
pub fn table(rows: &[GroupRow], clock: &dyn Fn(i64) -> String, output: &Output) -> String {
    let header = ["GROUP", "TARGET", "READY", "BOUNDS", "STATE", "LAST CHANGE"].map(str::to_owned);
    let mut cells = vec![header];
    cells.extend(rows.iter().map(|row| {
        [
            row.group.clone(),
            row.target.to_string(),
            row.ready.to_string(),
            format!("{}..{}", row.min, row.max),
            timeline::localised(&row.state, clock),
            last_change(row, clock),
        ]
    }));
    let width = |column: usize| cells.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let mut widths: Vec<usize> = (0..6).filter_map(width).collect();
    let others: usize = widths.iter().enumerate().filter(|(column, _)| *column != 4).map(|(_, width)| width + 2).sum();
    if let Some(state) = widths.get_mut(4) {
        // Whole in `--json`; here it must leave room for the rest.
        *state = (*state).min(COLUMNS.saturating_sub(others).max(20));
    }
    let mut text = String::new();
    for (index, row) in cells.iter().enumerate() {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let cell = shortened(cell, *width);
            let pad = " ".repeat(width - cell.chars().count());
            let tone = match (index, column, row.get(4).map(String::as_str)) {
                (0, ..) => Some(Tone::Faint),
                (_, 4, Some("ok")) => Some(Tone::Good),
                (_, 4, Some(state)) if state.starts_with("degraded") => Some(Tone::Bad),
                (_, 4, _) => Some(Tone::Waiting),
                _ => None,
            };
            let painted = tone.map_or_else(|| cell.clone(), |tone| output.paint(tone, &cell));
            // Numbers to the right, as one compares them.
            line.push_str(&if (1..=3).contains(&column) {
                format!("{pad}{painted}")
            } else {
                format!("{painted}{pad}")
            });
            line.push_str("  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// `09:12 cpu +3`.
fn last_change(row: &GroupRow, clock: &dyn Fn(i64) -> String) -> String {
    let Some(last) = &row.last_change else { return "none yet".to_owned() };
    let by = i64::from(last.to) - i64::from(last.from);
    format!("{} {} {by:+}", clock(last.at), last.by)
}
