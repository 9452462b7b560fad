//! Two courses in numbers, side by side.

use super::Comparison;
use serde_json::{Map, Value, json};
use weir_engine::backtest::{Course, Figures};

/// A row: what it is, old, new.
pub struct Row {
    /// In words.
    pub label: String,
    /// As a program names it.
    pub key: String,
    old: Number,
    new: Number,
}

#[derive(Clone, Copy)]
enum Number {
    Count(i64),
    /// Server-milliseconds.
    Servers(i64),
    /// Milliseconds.
    Time(i64),
}

impl Number {
    fn whole(self) -> i64 {
        match self {
            Self::Count(number) | Self::Servers(number) | Self::Time(number) => number,
        }
    }

    fn less(self, other: Self) -> Self {
        let difference = self.whole().saturating_sub(other.whole());
        match self {
            Self::Count(_) => Self::Count(difference),
            Self::Servers(_) => Self::Servers(difference),
            Self::Time(_) => Self::Time(difference),
        }
    }

    fn words(self) -> String {
        match self {
            Self::Count(count) => count.to_string(),
            Self::Servers(server_ms) => tenths(server_ms, 3_600_000),
            Self::Time(ms) => tenths(ms, 60_000),
        }
    }
}

impl Row {
    /// Old, new and their difference in words.
    #[must_use]
    pub fn words(&self) -> [String; 3] {
        let difference = self.new.less(self.old);
        let shown = difference.words();
        let sign = if difference.whole() > 0 { "+" } else { "" };
        // What is not even a tenth has no sign to show.
        let nothing = shown.trim_start_matches('-').starts_with("0.0") || difference.whole() == 0;
        [self.old.words(), self.new.words(), if nothing { "·".into() } else { format!("{sign}{shown}") }]
    }
}

/// A quotient to one decimal, rounded half away from zero.
fn tenths(value: i64, unit: i64) -> String {
    let tenths = (value.abs().saturating_mul(10).saturating_add(unit / 2)) / unit;
    let sign = if value < 0 && tenths > 0 { "-" } else { "" };
    format!("{sign}{}.{}", tenths / 10, tenths % 10)
}

/// All rows.
#[must_use]
pub fn rows(old: &Figures, new: &Figures) -> Vec<Row> {
    let count = |key: &str, label: &str, of: fn(&Figures) -> u32| Row {
        label: label.into(),
        key: key.into(),
        old: Number::Count(of(old).into()),
        new: Number::Count(of(new).into()),
    };
    let time = |key: &str, label: &str, of: fn(&Figures) -> i64| Row {
        label: label.into(),
        key: key.into(),
        old: Number::Time(of(old)),
        new: Number::Time(of(new)),
    };
    // Minutes and hours have one decimal, the rest none.
    let mut rows = vec![
        Row {
            label: "server-hours".into(),
            key: "server_ms".into(),
            old: Number::Servers(old.server_ms),
            new: Number::Servers(new.server_ms),
        },
        count("peak", "largest size", |figures| figures.peak),
        count("low", "smallest size", |figures| figures.low),
        count("changes", "changes", |figures| figures.changes),
        count("added", "servers added", |figures| figures.added),
        count("removed", "servers removed", |figures| figures.removed),
        count("reversals", "taken back within 30 min", |figures| figures.reversals),
        count("held", "wishes held", |figures| figures.held),
        count("missed", "schedules missed", |figures| figures.missed),
        count("refused", "forces refused", |figures| figures.refused),
        time("ceiling_ms", "minutes at the ceiling", |figures| figures.ceiling_ms),
        time("floor_ms", "minutes at the floor", |figures| figures.floor_ms),
    ];
    // A rule may be in one of them only; where it is not, nothing was watched for.
    let mut rules: Vec<&String> = Vec::new();
    for (rule, _) in new.over_ms.iter().chain(&old.over_ms) {
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    let of = |figures: &Figures, rule: &String| {
        figures.over_ms.iter().find(|(known, _)| known == rule).map_or(0, |(_, ms)| *ms)
    };
    rows.extend(rules.into_iter().map(|rule| Row {
        label: format!("minutes of {rule}'s condition"),
        key: format!("over_ms.{rule}"),
        old: Number::Time(of(old, rule)),
        new: Number::Time(of(new, rule)),
    }));
    rows
}

/// New less old, by name.
#[must_use]
pub fn difference(old: &Figures, new: &Figures) -> Value {
    let rows = rows(old, new).into_iter().map(|row| (row.key.clone(), json!(row.new.less(row.old).whole())));
    Value::Object(rows.collect::<Map<_, _>>())
}

/// The widest a policy's name is shown.
const NAME_MAX: usize = 24;

/// For a terminal.
#[must_use]
pub fn table(comparison: &Comparison, old: &Course, new: &Course) -> String {
    let rows = rows(&old.figures, &new.figures);
    let heads = [short(&comparison.old.name), short(&comparison.new.name), "difference".to_owned()];
    let label = rows.iter().map(|row| row.label.chars().count()).max().unwrap_or(0);
    let words: Vec<[String; 3]> = rows.iter().map(Row::words).collect();
    let width = |column: usize| {
        let cells = words.iter().filter_map(|row| row.get(column)).chain(heads.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2)];
    let line = |first: &str, cells: &[String; 3]| {
        let cells = cells.iter().zip(widths).map(|(cell, width)| format!("   {cell:>width$}")).collect::<String>();
        format!("  {first:label$}{cells}\n")
    };
    let mut text = line("", &heads);
    for (row, cells) in rows.iter().zip(&words) {
        text.push_str(&line(&row.label, cells));
    }
    text
}

/// The end of a long name, since that is where names differ.
fn short(name: &str) -> String {
    let length = name.chars().count();
    if length <= NAME_MAX {
        return name.to_owned();
    }
    format!("…{}", name.chars().skip(length - NAME_MAX + 1).collect::<String>())
}
