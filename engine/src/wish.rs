//! From a rule's trigger to the size it wishes (rules 10, 12, 14 and 15). Guards come later; here a rule only speaks its
//! mind, and remembers since when it has been of it.

use crate::{
    aggregate,
    condition::{self, Scene},
    decision::Truth,
    group::{Group, RuleMemory},
    words,
};
use weir_grammar::{
    policy::{Action, Aggregate, Amount, Arm, Change, Condition, Policy, Rule, Side, Trigger},
    quantity::{Millis, Percent, Quantity},
};

/// An unknown stops an adding `for` this many periods of its slowest metric before it resets it (rule 10).
const UNKNOWN_PERIODS: i64 = 2;

/// Wishes remembered for `stabilize`; a look-back of a day at the shortest pane does not reach it.
const WISHES_MAX: usize = 4_096;

/// What a rule thinks at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thought {
    /// Whether its trigger holds.
    pub truth: Truth,
    /// The size it wishes where it fires; may equal the target.
    pub wish: Option<u32>,
    /// What was seen, in words.
    pub seen: String,
    /// An instant of its schedule that was found too late to fire.
    pub missed: Option<i64>,
}

/// The instant, and what of it a trigger depends on.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The instant.
    pub now_ms: i64,
    /// The log's time, which timers may lag behind.
    pub t_ms: i64,
    /// One record moved `t` so far that what was due within does not fire (rule 19): from, to.
    pub gap: Option<(i64, i64)>,
    /// The newest instant at which our intake was unwell.
    pub intake_bad_ms: i64,
}

impl Thought {
    fn quiet(truth: Truth, seen: String) -> Self {
        Self { truth, wish: None, seen, missed: None }
    }
}

/// What `rule` thinks, remembering it.
pub fn think(group: &mut Group, policy: &Policy, rule: &Rule, moment: &Moment) -> Thought {
    let mut memory = group.rules.remove(&rule.name).unwrap_or_default();
    let thought = match &rule.trigger {
        Trigger::When { condition, hold } => when(group, policy, rule, condition, *hold, moment, &mut memory),
        Trigger::Step { aggregate, hold, arms } => step(group, policy, aggregate, *hold, arms, moment, &mut memory),
        Trigger::Track { aggregate, goal, within } => track(group, policy, aggregate, *goal, *within, rule.add_only),
        Trigger::Cron { cron, zone } => {
            let due = memory.next.filter(|next| *next <= moment.now_ms);
            if due.is_some() {
                memory.next = cron.next_after(*zone, moment.now_ms);
            }
            scheduled(group, rule, due, memory.next, moment)
        }
        Trigger::At { .. } => {
            let due = memory.next.filter(|next| *next <= moment.now_ms);
            if due.is_some() {
                memory.next = None;
            }
            scheduled(group, rule, due, memory.next, moment)
        }
        Trigger::Webhook { name } => Thought::quiet(Truth::Idle, format!("waits for its webhook `{name}`, or a force")),
        Trigger::Manual => Thought::quiet(Truth::Idle, "waits for a force".into()),
    };
    if let (Trigger::Step { .. } | Trigger::Track { .. }, Some(stabilize)) = (&rule.trigger, rule.stabilize) {
        remember_wish(&mut memory, thought.wish.unwrap_or(group.target), stabilize, moment.now_ms);
    }
    group.rules.insert(rule.name.clone(), memory);
    thought
}

/// What a rule wishes when somebody forces it, or in words why it cannot say (rule 15).
pub fn forced(group: &Group, policy: &Policy, rule: &Rule) -> Result<u32, String> {
    let target = group.target;
    match &rule.trigger {
        Trigger::Step { aggregate, arms, .. } => {
            let name = words::aggregate(policy, aggregate);
            let value = aggregate::read(group, policy, aggregate).ok_or_else(|| format!("{name} is unknown"))?;
            let arm = furthest(arms.iter().filter(|arm| holds(arm, value)));
            arm.map(|arm| apply(&arm.action, target)).ok_or_else(|| format!("{name} is in the dead band"))
        }
        Trigger::Track { aggregate, goal, within } => {
            let thought = track(group, policy, aggregate, *goal, *within, rule.add_only);
            match thought.truth {
                Truth::Unknown => Err(thought.seen),
                _ => thought.wish.ok_or_else(|| format!("{}: within the tolerance", thought.seen)),
            }
        }
        Trigger::When { .. }
        | Trigger::Cron { .. }
        | Trigger::At { .. }
        | Trigger::Webhook { .. }
        | Trigger::Manual => rule.action.map(|action| apply(&action, target)).ok_or_else(|| "it has no action".into()),
    }
}

fn when(
    group: &Group,
    policy: &Policy,
    rule: &Rule,
    condition: &Condition,
    hold: Option<Millis>,
    moment: &Moment,
    memory: &mut RuleMemory,
) -> Thought {
    let scene = Scene { group, policy, now_ms: moment.now_ms, intake_bad_ms: moment.intake_bad_ms };
    let seen = scene.judge(condition);
    let words = format!("{}{}", seen.words, words::hold(hold));
    let mut since = memory.since.first().copied().flatten();
    let patient = can_add(rule) && !condition::asks_alarms(condition);
    let patience_ms = condition::slowest_period(policy, &aggregate::of_rule(rule)).0.saturating_mul(UNKNOWN_PERIODS);
    let truth = match seen.truth {
        Some(true) => {
            since = resumed(since, memory.unknown_since.take(), patient, patience_ms, moment.now_ms);
            let from = start_over(since.unwrap_or(moment.now_ms), hold, moment);
            since = Some(from);
            if matured(from, hold, moment.now_ms) { Truth::Fires } else { Truth::Waiting }
        }
        Some(false) => {
            memory.unknown_since = None;
            since = None;
            Truth::No
        }
        None => {
            let unknown_since = *memory.unknown_since.get_or_insert(moment.now_ms);
            if !patient || moment.now_ms.saturating_sub(unknown_since) > patience_ms {
                since = None;
            }
            Truth::Unknown
        }
    };
    memory.since = vec![since];
    let wish = (truth == Truth::Fires).then(|| rule.action.map(|action| apply(&action, group.target))).flatten();
    Thought { truth, wish, seen: words, missed: None }
}

/// `for` goes on after a short unknown, less the time that was unknown; after a long one it starts again.
fn resumed(since: Option<i64>, unknown: Option<i64>, patient: bool, patience_ms: i64, now_ms: i64) -> Option<i64> {
    let Some(unknown_since) = unknown else { return since };
    let stopped_ms = now_ms.saturating_sub(unknown_since);
    since.filter(|_| patient && stopped_ms <= patience_ms).map(|since| since.saturating_add(stopped_ms))
}

/// A `for` that was due within a gap of the log starts again at the gap's end: our own outage proves nothing.
fn start_over(since: i64, hold: Option<Millis>, moment: &Moment) -> i64 {
    match (hold, moment.gap) {
        (Some(hold), Some((from, to))) if since.saturating_add(hold.0) > from => since.max(to),
        _ => since,
    }
}

fn matured(since: i64, hold: Option<Millis>, now_ms: i64) -> bool {
    since.saturating_add(hold.unwrap_or_default().0) <= now_ms
}

fn step(
    group: &Group,
    policy: &Policy,
    aggregate: &Aggregate,
    hold: Option<Millis>,
    arms: &[Arm],
    moment: &Moment,
    memory: &mut RuleMemory,
) -> Thought {
    let metric = policy.metrics.get(aggregate.metric);
    let unit = metric.map(|metric| metric.unit).unwrap_or_default();
    let name = words::aggregate(policy, aggregate);
    let acts = dead_band(arms, |bound| words::value(unit, bound));
    memory.since.resize(arms.len(), None);
    let Some(value) = aggregate::read(group, policy, aggregate) else {
        memory.unknown_since.get_or_insert(moment.now_ms);
        for (arm, since) in arms.iter().zip(&mut memory.since) {
            if arm.side == Side::Below {
                *since = None;
            }
        }
        return Thought::quiet(Truth::Unknown, format!("{name} is unknown, acts {acts}"));
    };
    let unknown = memory.unknown_since.take();
    let patience_ms = metric.map_or(0, |metric| metric.every.0).saturating_mul(UNKNOWN_PERIODS);
    for (arm, since) in arms.iter().zip(&mut memory.since) {
        *since = if holds(arm, value) {
            let from = resumed(*since, unknown, true, patience_ms, moment.now_ms).unwrap_or(moment.now_ms);
            Some(start_over(from, hold, moment))
        } else {
            None
        };
    }
    let grown =
        arms.iter().zip(&memory.since).filter(|(_, since)| since.is_some_and(|at| matured(at, hold, moment.now_ms)));
    let seen = format!("{name} = {}, acts {acts}{}", words::value(unit, value), words::hold(hold));
    match furthest(grown.map(|(arm, _)| arm)) {
        Some(arm) => Thought { truth: Truth::Fires, wish: Some(apply(&arm.action, group.target)), seen, missed: None },
        None if memory.since.iter().any(Option::is_some) => Thought::quiet(Truth::Waiting, seen),
        None => Thought::quiet(Truth::No, seen),
    }
}

fn holds(arm: &Arm, value: Quantity) -> bool {
    match arm.side {
        Side::From => value >= arm.bound,
        Side::Below => value < arm.bound,
    }
}

/// The arm furthest from the dead band: the highest `from`, or the lowest `below`; never both hold at once.
fn furthest<'a>(arms: impl Iterator<Item = &'a Arm>) -> Option<&'a Arm> {
    arms.max_by_key(|arm| match arm.side {
        Side::From => arm.bound.0,
        Side::Below => -arm.bound.0,
    })
}

/// `under 40 and from 120`: where the innermost arms begin.
fn dead_band(arms: &[Arm], show: impl Fn(Quantity) -> String) -> String {
    let below = arms.iter().filter(|arm| arm.side == Side::Below).map(|arm| arm.bound).max();
    let from = arms.iter().filter(|arm| arm.side == Side::From).map(|arm| arm.bound).min();
    let parts =
        [below.map(|bound| format!("under {}", show(bound))), from.map(|bound| format!("from {}", show(bound)))];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" and ")
}

fn track(
    group: &Group,
    policy: &Policy,
    aggregate: &Aggregate,
    goal: Quantity,
    within: Percent,
    add_only: bool,
) -> Thought {
    let unit = policy.metrics.get(aggregate.metric).map(|metric| metric.unit).unwrap_or_default();
    let name = words::aggregate(policy, aggregate);
    let asked = format!("goal {} ± {within}", words::value(unit, goal));
    let (Some(shown), Some((whole, warm))) =
        (aggregate::read(group, policy, aggregate), aggregate::read_whole(group, policy, aggregate))
    else {
        return Thought::quiet(Truth::Unknown, format!("{name} is unknown, {asked}"));
    };
    let seen = format!("{name} = {}, {asked}", words::value(unit, shown));
    // Exact and inclusive: |value − goal| ≤ goal × within, where the value is the total over the target if `per server`.
    let (value, servers) = if aggregate.per_server {
        (i128::from(whole.0), i128::from(group.target.max(1)))
    } else {
        (i128::from(whole.0), 1)
    };
    let distance = (value - i128::from(goal.0) * servers).abs();
    let inside = distance * i128::from(Percent::WHOLE.0) <= i128::from(goal.0) * servers * i128::from(within.0);
    if inside || goal.0 <= 0 {
        return Thought::quiet(Truth::No, seen);
    }
    let load = if aggregate.per_server { value } else { value * i128::from(warm) };
    let wished = (load + i128::from(goal.0) - 1).div_euclid(i128::from(goal.0));
    let wished = u32::try_from(wished.max(0)).unwrap_or(u32::MAX);
    // Servers on their way are capacity: too high a value never shrinks the target, too low a one never grows it.
    let over = value > i128::from(goal.0) * servers;
    let wish = if over { wished.max(group.target) } else { wished.min(group.target) };
    if add_only && !over {
        return Thought::quiet(Truth::No, seen);
    }
    Thought { truth: Truth::Fires, wish: Some(wish), seen, missed: None }
}

fn scheduled(group: &Group, rule: &Rule, due: Option<i64>, next: Option<i64>, moment: &Moment) -> Thought {
    let wish = rule.action.map(|action| apply(&action, group.target));
    let waits = |next: Option<i64>| match next {
        Some(next) => format!("waits for {}", crate::time::rfc3339(next)),
        None => "its time is over".into(),
    };
    match due {
        None => Thought::quiet(Truth::Idle, waits(next)),
        Some(due) if moment.t_ms.saturating_sub(due) > rule.late_by.0 => {
            Thought { truth: Truth::Idle, wish: None, seen: waits(next), missed: Some(due) }
        }
        Some(_) => Thought { truth: Truth::Fires, wish, seen: "its time has come".into(), missed: None },
    }
}

fn remember_wish(memory: &mut RuleMemory, wish: u32, stabilize: Millis, now_ms: i64) {
    if memory.wishes.last().is_none_or(|(_, last)| *last != wish) {
        memory.wishes.push((now_ms, wish));
    }
    // The newest wish from before the look-back still holds at its beginning.
    let begins = now_ms.saturating_sub(stabilize.0);
    let older = memory.wishes.iter().take_while(|(at, _)| *at <= begins).count();
    let surplus = memory.wishes.len().saturating_sub(WISHES_MAX);
    memory.wishes.drain(..older.saturating_sub(1).max(surplus));
}

/// The size that an action makes of `target`, before any bounds (rule 18).
#[must_use]
pub fn apply(action: &Action, target: u32) -> u32 {
    match action {
        // A percentage of nothing adds one, or a group at zero could never start.
        Action::Add(change) => target.saturating_add(servers(change, target).max(u32::from(target == 0))),
        Action::Remove(change) => target.saturating_sub(servers(change, target)),
        Action::RaiseTo(size) => target.max(*size),
        Action::LowerTo(size) => target.min(*size),
        Action::Set(size) => *size,
    }
}

fn servers(change: &Change, target: u32) -> u32 {
    let amount = amount(change.amount, target);
    let amount = amount.max(change.least.unwrap_or(0));
    amount.min(change.most.unwrap_or(u32::MAX))
}

/// A number of servers, or a share of `target` rounded away from zero.
#[must_use]
pub fn amount(amount: Amount, target: u32) -> u32 {
    match amount {
        Amount::Servers(servers) => servers,
        Amount::Share(share) => share.of(target),
    }
}

/// Whether a rule can make a group grow by a condition.
#[must_use]
pub fn can_add(rule: &Rule) -> bool {
    match &rule.trigger {
        Trigger::Step { arms, .. } => arms.iter().any(|arm| arm.side == Side::From),
        Trigger::Track { .. } => true,
        _ => matches!(rule.action, Some(Action::Add(_) | Action::RaiseTo(_) | Action::Set(_))),
    }
}

/// Whether a rule can make a group shrink.
#[must_use]
pub fn can_remove(rule: &Rule) -> bool {
    match &rule.trigger {
        Trigger::Step { arms, .. } => arms.iter().any(|arm| arm.side == Side::Below),
        Trigger::Track { .. } => !rule.add_only,
        _ => matches!(rule.action, Some(Action::Remove(_) | Action::LowerTo(_) | Action::Set(_))),
    }
}

/// Whether a rule fires by what is seen, rather than by a time, a webhook or a user.
#[must_use]
pub fn is_conditional(rule: &Rule) -> bool {
    matches!(rule.trigger, Trigger::When { .. } | Trigger::Step { .. } | Trigger::Track { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(amount: Amount, least: Option<u32>, most: Option<u32>) -> Change {
        Change { amount, least, most }
    }

    #[test]
    fn percentages_are_of_the_target_and_of_nothing_add_one() {
        let tenth = change(Amount::Share(Percent(10_000)), None, None);
        assert_eq!(apply(&Action::Add(tenth), 11), 13);
        assert_eq!(apply(&Action::Add(tenth), 0), 1);
        assert_eq!(apply(&Action::Remove(tenth), 0), 0);
        assert_eq!(apply(&Action::Remove(change(Amount::Share(Percent(25_000)), None, Some(2))), 100), 98);
        assert_eq!(apply(&Action::Add(change(Amount::Share(Percent(50_000)), Some(8), None)), 4), 12);
    }

    #[test]
    fn raise_never_shrinks_and_lower_never_grows() {
        assert_eq!(apply(&Action::RaiseTo(3), 5), 5);
        assert_eq!(apply(&Action::LowerTo(9), 5), 5);
        assert_eq!(apply(&Action::Set(9), 5), 9);
    }

    #[test]
    fn a_short_unknown_stops_for_and_a_long_one_resets_it() {
        assert_eq!(resumed(Some(100), Some(200), true, 50, 250), Some(150));
        assert_eq!(resumed(Some(100), Some(200), true, 50, 251), None);
        assert_eq!(resumed(Some(100), Some(200), false, 50, 201), None);
        assert_eq!(resumed(Some(100), None, true, 50, 900), Some(100));
    }

    #[test]
    fn a_for_due_in_a_gap_starts_again_and_one_that_was_ripe_stays() {
        let moment = Moment { now_ms: 300, t_ms: 500, gap: Some((100, 500)), intake_bad_ms: 0 };
        assert_eq!(start_over(50, Some(Millis(60)), &moment), 500);
        assert_eq!(start_over(40, Some(Millis(60)), &moment), 40);
        assert_eq!(start_over(50, None, &moment), 50);
    }
}
