//! Why a group is as it is: an evaluation at one instant, told in words with numbers.
//!
//! Nothing is looked up in a diary. The state is brought to the instant as the log would have brought it, the group is
//! evaluated there without keeping anything, and what the evaluation saw is what is told.

use crate::{
    bounds,
    decision::{Decision, Guard, GuardName, RuleState, Truth, Verdict},
    event::{Event, Fact, Record, Tick, Version},
    group::Group,
    partition::Partition,
    time,
    view::LastChange,
};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// Why a group is as it is at an instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// What an evaluation at that instant sees.
    pub decision: Decision,
    /// The policy file.
    pub file: String,
    /// The window that gives the floor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor_by: Option<String>,
    /// When that window closes.
    #[serde(default, with = "time::wire_option", skip_serializing_if = "Option::is_none")]
    pub floor_until: Option<i64>,
    /// What is set by hand for single servers, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_hand: Vec<String>,
    /// The newest change of the target before or at the instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_change: Option<LastChange>,
    /// When the group is looked at next, unless a fact comes first.
    #[serde(default, with = "time::wire_option", skip_serializing_if = "Option::is_none")]
    pub next_look: Option<i64>,
}

/// Explains a group at `at_ms`, from the state after the last record at or before that instant. `None` where there is no
/// such group then.
#[must_use]
pub fn explain(state: &Partition, tenant: &str, group: &str, at_ms: i64) -> Option<Why> {
    let mut state = state.clone();
    if at_ms > state.t() {
        // Timers due by then fire as the next record would make them.
        let event = Event {
            specversion: Version::V1,
            id: String::new(),
            source: "/why".into(),
            time: at_ms,
            tenant: String::new(),
            fact: Fact::Tick(Tick {}),
        };
        let offset = state.next();
        state.step(&Record { offset, appended_ms: at_ms, event }).ok()?;
    }
    let judged = state.peek(tenant, group, at_ms.max(state.t()), "why")?;
    let (id, known) = state.group(tenant, group)?;
    let plan = &state.program(id)?.plan;
    let floor = bounds::of(known, plan).floor_by;
    Some(Why {
        decision: *judged.decision?,
        file: known.file.clone(),
        floor_by: floor.as_ref().map(|(window, _)| window.clone()),
        floor_until: floor.map(|(_, until)| until),
        by_hand: by_hand(known),
        last_change: known.last_change.as_deref().cloned(),
        next_look: known.due,
    })
}

/// The account in words. `clock` writes an instant as the reader's clock shows it.
#[must_use]
pub fn words(why: &Why, clock: &dyn Fn(i64) -> String) -> String {
    let decision = &why.decision;
    let mut text = headline(why, clock);
    text.push_str("\n\n");
    let width = decision.rules.iter().map(|rule| rule.rule.len()).max().unwrap_or(0);
    for rule in &decision.rules {
        // Writing to a string does not fail.
        let _ = writeln!(text, "  {:width$}  {:<11}  {}", rule.rule, state(rule), localised(&rule.seen, clock));
        if let Some(guard) = held(rule, &decision.outcome) {
            let _ = writeln!(text, "  {:width$}  {:<11}  {}", "", "", told(guard, clock));
        }
    }
    if let Some(change) = outlook(&decision.outcome, clock) {
        let _ = writeln!(text, "\n{change}");
    }
    if let Some(hand) = &decision.overridden {
        let _ = writeln!(text, "\nThe bounds are overridden: {}.", hand.words(clock));
    }
    if !why.by_hand.is_empty() {
        text.push_str("\nBy hand:\n");
        why.by_hand.iter().for_each(|line| text.push_str(&format!("  {}\n", localised(line, clock))));
    }
    if let Some(last) = &why.last_change {
        let _ =
            writeln!(text, "\nThe last change was at {}: {} → {} by {}.", clock(last.at), last.from, last.to, last.by);
    }
    text
}

/// What is set for single servers, and what follows from it.
fn by_hand(group: &Group) -> Vec<String> {
    let mut lines = group.by_hand.lines();
    let over = group.kept_over();
    if over > 0 {
        let servers = if over == 1 { "1 server stands".to_owned() } else { format!("{over} servers stand") };
        lines.push(format!("{servers} over the target of {}, being protected", group.target));
    }
    lines
}

fn headline(why: &Why, clock: &dyn Fn(i64) -> String) -> String {
    let decision = &why.decision;
    let floor = match (&why.floor_by, why.floor_until) {
        (Some(window), Some(until)) => format!(" (floor {} from {window} until {})", decision.min, clock(until)),
        _ => String::new(),
    };
    let stood = format!("{} stood at {} of {}..{}{floor}", decision.group, decision.from, decision.min, decision.max);
    match &decision.outcome {
        Verdict::Changed { by, .. } => {
            format!("{stood} and was about to change to {}, because of `{by}`.", decision.to)
        }
        Verdict::Held { guard, .. } => format!("{stood} and nothing changed, because of `{}`.", guard.name.as_str()),
        Verdict::Still if decision.rules.is_empty() => format!("{stood}; it has no rules."),
        Verdict::Still => format!("{stood} and nothing changed: no rule wished for anything else."),
        Verdict::Missed { by, due } => format!("{stood}; `{by}` was due at {} and found too late.", clock(*due)),
        Verdict::Refused { by, because } if decision.rules.iter().any(|rule| rule.rule == *by) => {
            format!("{stood}; a force of `{by}` was refused: {because}.")
        }
        Verdict::Refused { by, because } => format!("{stood}; `{by}` was refused: {because}."),
    }
}

fn state(rule: &RuleState) -> String {
    match (rule.state, rule.wish) {
        (Truth::Fires, Some(wish)) => format!("wished {wish}"),
        (Truth::Fires, None) => "fires".into(),
        (Truth::Waiting, _) => "not yet".into(),
        (Truth::No, _) => "no".into(),
        (Truth::Unknown, _) => "unknown".into(),
        (Truth::Idle, _) => "waits".into(),
    }
}

/// The guard that holds a rule: its own, or the group's where the rule's wish was the largest.
fn held<'a>(rule: &'a RuleState, outcome: &'a Verdict) -> Option<&'a Guard> {
    rule.guard.as_ref().or(match outcome {
        Verdict::Held { by, guard, .. } if *by == rule.rule => Some(guard),
        _ => None,
    })
}

fn told(guard: &Guard, clock: &dyn Fn(i64) -> String) -> String {
    let until = guard.until.map_or_else(String::new, |until| format!(" until {}", clock(until)));
    let detail = if guard.detail.is_empty() { String::new() } else { format!(" ({})", guard.detail) };
    match guard.name {
        GuardName::Cooldown if guard.detail == "its own" => format!("held by its cooldown{until}"),
        GuardName::Cooldown => format!("held by the group's cooldown{until}"),
        name => format!("held by {}{detail}{until}", name.as_str()),
    }
}

/// What would have to change, where the guard says until when it holds.
fn outlook(outcome: &Verdict, clock: &dyn Fn(i64) -> String) -> Option<String> {
    let Verdict::Held { by, wish, guard, .. } = outcome else { return None };
    Some(match (guard.name, guard.until) {
        (_, Some(until)) => format!("It changes to {wish} at {}, should `{by}` still wish it then.", clock(until)),
        (GuardName::Pause, None) => "It changes when somebody resumes the group.".into(),
        (GuardName::KillSwitch, None) => "It changes when the kill switch is lifted.".into(),
        (GuardName::Degraded, None) => "It grows again when the cloud can fill it.".into(),
        (GuardName::Quota, None) => "It grows when the tenant's quota leaves room.".into(),
        (GuardName::Capacity, None) => {
            format!("It is at its bound; `{by}` wishes {wish}, which the bounds do not allow.")
        }
        (GuardName::Unknown, None) => format!("It shrinks when what `{by}` reads is known over all warm servers."),
        (name, None) => format!("It changes when `{}` lets `{by}` through.", name.as_str()),
    })
}

/// Instants inside of words are in the log's notation; a reader gets them by the reader's clock.
fn localised(words: &str, clock: &dyn Fn(i64) -> String) -> String {
    words
        .split(' ')
        .map(|word| match time::parse_rfc3339(word) {
            Ok(at_ms) if word.len() == 24 => clock(at_ms),
            _ => word.to_owned(),
        })
        .collect::<Vec<_>>()
        .join(" ")
}
