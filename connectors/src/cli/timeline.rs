//! A decision as one calm line: a bar, a size, the reason. Whatever prints decisions in a row takes its words from here.

use weir_engine::{
    decision::{Decision, Guard, GuardName, Verdict},
    time,
};

/// The widest bar, in columns.
const BAR_MAX: usize = 24;

/// How instants are written: `09:20`, `7m`, or in full.
pub type Clock<'a> = &'a dyn Fn(i64) -> String;

/// One block a server; fewer where that many do not fit. A group with servers has at least one.
#[must_use]
pub fn bar(size: u32, widest: u32) -> String {
    let (size, widest) = (u64::from(size), u64::from(widest.max(1)));
    let columns = if widest <= BAR_MAX as u64 { size } else { (size * BAR_MAX as u64).div_ceil(widest) };
    "█".repeat(usize::try_from(columns).unwrap_or(BAR_MAX).min(BAR_MAX))
}

/// Why it came out as it did.
#[must_use]
pub fn reason(decision: &Decision, clock: Clock<'_>) -> String {
    match &decision.outcome {
        Verdict::Changed { because, .. } => localised(because, clock),
        Verdict::Held { by, wish, guard, .. } => format!("{by} wishes {wish}, {}", held(guard, clock)),
        Verdict::Missed { by, due } => format!("{by} was due at {} and found too late", clock(*due)),
        Verdict::Refused { by, because } => format!("{by} was refused: {because}"),
        Verdict::Still => still(decision, clock),
    }
}

/// Nobody's wish stood; a rule may have been held by what it does not know.
fn still(decision: &Decision, clock: Clock<'_>) -> String {
    let guarded = decision.rules.iter().find_map(|rule| rule.guard.as_ref().map(|guard| (&rule.rule, guard)));
    match guarded {
        Some((rule, guard)) => format!("{rule} {}", held(guard, clock)),
        None => "nobody wishes anything else".to_owned(),
    }
}

/// `held by its cooldown until 09:22`.
#[must_use]
pub fn held(guard: &Guard, clock: Clock<'_>) -> String {
    let until = guard.until.map_or_else(String::new, |until| format!(" until {}", clock(until)));
    let detail = guard.detail.as_str();
    match (guard.name, detail) {
        (GuardName::Cooldown, "its own") => format!("held by its cooldown{until}"),
        (GuardName::Cooldown, _) => format!("held by the group's cooldown{until}"),
        (GuardName::Freeze, _) => format!("held by the freeze {detail}{until}"),
        (GuardName::Unknown, "") => "cannot say: what it reads is unknown".to_owned(),
        (GuardName::Building, _) => format!("held while servers are building{until}"),
        (name, "") => format!("held by {}{until}", name.as_str()),
        (name, _) => format!("held by {} ({}){until}", name.as_str(), localised(detail, clock)),
    }
}

/// Instants inside of words are in the log's notation; a reader gets them by the reader's clock.
#[must_use]
pub fn localised(words: &str, clock: Clock<'_>) -> String {
    // The log's instants have 24 characters; a colon or comma may follow one.
    let one = |word: &str| match word.split_at_checked(24) {
        Some((instant, rest)) if rest.len() < 2 => {
            time::parse_rfc3339(instant).map_or_else(|_| word.to_owned(), |at_ms| format!("{}{rest}", clock(at_ms)))
        }
        _ => word.to_owned(),
    };
    words.split(' ').map(one).collect::<Vec<_>>().join(" ")
}
