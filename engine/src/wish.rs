//! From a rule's trigger to the size it wishes (rules 10, 12, 14 and 15). Guards come later; here a rule only speaks its
//! mind, and remembers since when it has been of it.

use crate::{
    agenda::Agenda,
    aggregate,
    condition::{self, Scene},
    decision::Truth,
    group::{Group, RuleMemory},
    planted::{self, Bug},
    semantics,
    wiring::Wiring,
    words,
};
use smallvec::smallvec;
use weir_grammar::{
    policy::{Action, Aggregate, Amount, Arm, Change, Condition, Policy, Rule, Side, Trigger},
    quantity::{Millis, Percent, Quantity},
};

/// An unknown stops an adding `for` this many periods of its slowest metric before it resets it (rule 10).
const UNKNOWN_PERIODS: i64 = 2;

/// Wishes remembered for `stabilize`; a look-back of a day at the shortest pane does not reach it.
const WISHES_MAX: usize = 4_096;

/// What a rule thinks at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thought {
    /// Whether its trigger holds.
    pub truth: Truth,
    /// The size it wishes where it fires; may equal the target.
    pub wish: Option<u32>,
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
    /// By which meaning of the rules it is judged.
    pub semantics: u32,
}

/// A group with its program, in which a rule thinks.
#[derive(Clone, Copy)]
pub struct Mind<'a> {
    /// The group.
    pub group: &'a Group,
    /// The file.
    pub policy: &'a Policy,
    /// The group's wiring.
    pub wiring: &'a Wiring,
    /// The instant.
    pub moment: Moment,
    /// Runs of schedules worked out before.
    pub agenda: &'a Agenda,
}

impl Thought {
    fn quiet(truth: Truth) -> Self {
        Self { truth, wish: None, missed: None }
    }

    fn fires(wish: Option<u32>) -> Self {
        Self { truth: Truth::Fires, wish, missed: None }
    }
}

impl Mind<'_> {
    fn scene(&self) -> Scene<'_> {
        let Self { group, policy, wiring, moment, .. } = *self;
        Scene { group, policy, wiring, now_ms: moment.now_ms, intake_bad_ms: moment.intake_bad_ms }
    }

    /// What `rule` thinks; `memory` is what it remembers, and remembers from now on.
    pub fn think(&self, index: usize, rule: &Rule, memory: &mut RuleMemory) -> Thought {
        let now_ms = self.moment.now_ms;
        let thought = match &rule.trigger {
            Trigger::When { condition, hold } => self.when(index, rule, condition, *hold, memory),
            Trigger::Step { aggregate, hold, arms } => self.step(aggregate, *hold, arms, memory),
            Trigger::Track { aggregate, goal, within } => self.track(aggregate, *goal, *within, rule.add_only),
            Trigger::Cron { .. } | Trigger::At { .. } => {
                let due = memory.next.filter(|next| *next <= now_ms);
                let again = planted::is(Bug::ScheduleTwice) && due.is_some_and(|due| due < self.moment.t_ms);
                if due.is_some() && !again {
                    memory.next = match &rule.trigger {
                        Trigger::Cron { cron, zone } => self.agenda.next_after(cron, *zone, now_ms),
                        _ => None,
                    };
                }
                self.scheduled(rule, due)
            }
            Trigger::Webhook { .. } | Trigger::Manual => Thought::quiet(Truth::Idle),
        };
        if let (Trigger::Step { .. } | Trigger::Track { .. }, Some(stabilize)) = (&rule.trigger, rule.stabilize) {
            remember_wish(memory, thought.wish.unwrap_or(self.group.target), stabilize, now_ms);
        }
        thought
    }

    /// What was seen against what is asked, in words with numbers.
    #[must_use]
    pub fn words(&self, rule: &Rule, thought: &Thought, memory: &RuleMemory) -> String {
        let value = |aggregate: &Aggregate| {
            let unit = self.policy.metrics.get(aggregate.metric).map(|metric| metric.unit).unwrap_or_default();
            let name = words::aggregate(self.policy, aggregate);
            let shown = match aggregate::read(self.group, self.wiring, aggregate) {
                Some(value) => format!("{name} = {}", words::value(unit, value)),
                None => format!("{name} is unknown"),
            };
            (unit, shown)
        };
        match &rule.trigger {
            Trigger::When { condition, hold } => format!("{}{}", self.scene().words(condition), words::hold(*hold)),
            Trigger::Step { aggregate, hold, arms } => {
                let (unit, shown) = value(aggregate);
                let acts = dead_band(arms, |bound| words::value(unit, bound));
                format!("{shown}, acts {acts}{}", words::hold(*hold))
            }
            Trigger::Track { aggregate, goal, within } => {
                let (unit, shown) = value(aggregate);
                format!("{shown}, goal {} ± {}", words::value(unit, *goal), words::percent(*within))
            }
            Trigger::Cron { .. } | Trigger::At { .. } => match memory.next {
                _ if thought.truth == Truth::Fires => "its time has come".into(),
                Some(next) => format!("for {}", crate::time::rfc3339(next)),
                None => "its time is over".into(),
            },
            Trigger::Webhook { name } => format!("for its webhook `{name}`, or a force"),
            Trigger::Manual => "for a force".into(),
        }
    }

    /// What a rule wishes when somebody forces it, or in words why it cannot say (rule 15).
    ///
    /// # Errors
    /// Where a `step` or `track` reads what is unknown, or sees nothing to do.
    pub fn forced(&self, rule: &Rule) -> Result<u32, String> {
        let target = self.group.target;
        match &rule.trigger {
            Trigger::Step { aggregate, arms, .. } => {
                let name = words::aggregate(self.policy, aggregate);
                let value = aggregate::read(self.group, self.wiring, aggregate);
                let value = value.ok_or_else(|| format!("{name} is unknown"))?;
                let arm = furthest(arms.iter().filter(|arm| holds(arm, value)));
                arm.map(|arm| apply(&arm.action, target, self.moment.semantics))
                    .ok_or_else(|| format!("{name} is in the dead band"))
            }
            Trigger::Track { aggregate, goal, within } => {
                let thought = self.track(aggregate, *goal, *within, rule.add_only);
                thought.wish.ok_or_else(|| self.words(rule, &thought, &RuleMemory::default()))
            }
            Trigger::When { .. }
            | Trigger::Cron { .. }
            | Trigger::At { .. }
            | Trigger::Webhook { .. }
            | Trigger::Manual => rule
                .action
                .map(|action| apply(&action, target, self.moment.semantics))
                .ok_or_else(|| "it has no action".into()),
        }
    }

    fn when(
        &self,
        index: usize,
        rule: &Rule,
        condition: &Condition,
        hold: Option<Millis>,
        memory: &mut RuleMemory,
    ) -> Thought {
        let moment = &self.moment;
        if memory.since.len() != 1 {
            memory.since = smallvec![None];
        }
        let mut since = memory.since.first().copied().flatten();
        let patient = || can_add(rule) && !condition::asks_alarms(condition);
        let patience_ms = || {
            let read = self.wiring.read_by(index).map(|(_, wired)| &wired.aggregate);
            condition::slowest_period(self.policy, read).0.saturating_mul(UNKNOWN_PERIODS)
        };
        let truth = match self.wiring.question(index).and_then(|question| question.truth(&self.scene())) {
            Some(true) => {
                if let Some(unknown) = memory.unknown_since.take() {
                    since = resumed(since, unknown, patient(), patience_ms(), moment.now_ms);
                }
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
                if !patient() || moment.now_ms.saturating_sub(unknown_since) > patience_ms() {
                    since = None;
                }
                Truth::Unknown
            }
        };
        if let Some(kept) = memory.since.first_mut() {
            *kept = since;
        }
        if truth != Truth::Fires {
            return Thought::quiet(truth);
        }
        Thought::fires(rule.action.map(|action| apply(&action, self.group.target, self.moment.semantics)))
    }

    fn step(&self, aggregate: &Aggregate, hold: Option<Millis>, arms: &[Arm], memory: &mut RuleMemory) -> Thought {
        let moment = &self.moment;
        memory.since.resize(arms.len(), None);
        let Some(value) = aggregate::read(self.group, self.wiring, aggregate) else {
            memory.unknown_since.get_or_insert(moment.now_ms);
            for (arm, since) in arms.iter().zip(&mut memory.since) {
                if arm.side == Side::Below {
                    *since = None;
                }
            }
            return Thought::quiet(Truth::Unknown);
        };
        let unknown = memory.unknown_since.take();
        let metric = self.policy.metrics.get(aggregate.metric);
        let patience_ms = metric.map_or(0, |metric| metric.every.0).saturating_mul(UNKNOWN_PERIODS);
        for (arm, since) in arms.iter().zip(&mut memory.since) {
            if let Some(unknown) = unknown {
                *since = resumed(*since, unknown, true, patience_ms, moment.now_ms);
            }
            *since = holds(arm, value).then(|| start_over(since.unwrap_or(moment.now_ms), hold, moment));
        }
        let ripe = |since: &Option<i64>| since.is_some_and(|at| matured(at, hold, moment.now_ms));
        let grown = arms.iter().zip(&memory.since).filter(|(_, since)| ripe(since));
        match furthest(grown.map(|(arm, _)| arm)) {
            Some(arm) => Thought::fires(Some(apply(&arm.action, self.group.target, self.moment.semantics))),
            None if memory.since.iter().any(Option::is_some) => Thought::quiet(Truth::Waiting),
            None => Thought::quiet(Truth::No),
        }
    }

    fn track(&self, aggregate: &Aggregate, goal: Quantity, within: Percent, add_only: bool) -> Thought {
        let Some((whole, warm)) = aggregate::read_whole(self.group, self.wiring, aggregate) else {
            return Thought::quiet(Truth::Unknown);
        };
        let target = self.group.target;
        // Exact and inclusive: |value − goal| ≤ goal × within, where the value is the total over the target if `per server`.
        let servers = if aggregate.per_server { i128::from(target.max(1)) } else { 1 };
        let (value, goal) = (i128::from(whole.0), i128::from(goal.0));
        let distance = (value - goal * servers).abs();
        let inside = distance * i128::from(Percent::WHOLE.0) <= goal * servers * i128::from(within.0);
        if inside || goal <= 0 {
            return Thought::quiet(Truth::No);
        }
        let load = if aggregate.per_server { value } else { value * i128::from(warm) };
        let wished = u32::try_from((load + goal - 1).div_euclid(goal).max(0)).unwrap_or(u32::MAX);
        // Servers on their way are capacity: too high a value never shrinks the target, too low a one never grows it.
        let over = value > goal * servers;
        if add_only && !over {
            return Thought::quiet(Truth::No);
        }
        Thought::fires(Some(if over { wished.max(target) } else { wished.min(target) }))
    }

    fn scheduled(&self, rule: &Rule, due: Option<i64>) -> Thought {
        match due {
            None => Thought::quiet(Truth::Idle),
            Some(due) if self.moment.t_ms.saturating_sub(due) > rule.late_by.0 => {
                let missed = Some(due).filter(|_| !planted::is(Bug::ScheduleSkipped));
                Thought { truth: Truth::Idle, wish: None, missed }
            }
            Some(_) => {
                Thought::fires(rule.action.map(|action| apply(&action, self.group.target, self.moment.semantics)))
            }
        }
    }
}

/// `for` goes on after a short unknown, less the time that was unknown; after a long one it starts again.
fn resumed(since: Option<i64>, unknown_since: i64, patient: bool, patience_ms: i64, now_ms: i64) -> Option<i64> {
    let unknown_ms = now_ms.saturating_sub(unknown_since);
    // What a gap of the log began anew may have begun while it was unknown.
    let stopped_ms = |since: i64| now_ms.saturating_sub(unknown_since.max(since)).max(0);
    since.filter(|_| patient && unknown_ms <= patience_ms).map(|since| since.saturating_add(stopped_ms(since)))
}

/// A `for` that was due within a gap of the log starts again at the gap's end: our own outage proves nothing.
fn start_over(since: i64, hold: Option<Millis>, moment: &Moment) -> i64 {
    match (hold, moment.gap) {
        (Some(hold), Some((from, to))) if since.saturating_add(hold.0) > from => since.max(to),
        _ => since,
    }
}

fn matured(since: i64, hold: Option<Millis>, now_ms: i64) -> bool {
    let hold_ms = hold.unwrap_or_default().0;
    since.saturating_add(if planted::is(Bug::ForHalved) { hold_ms / 2 } else { hold_ms }) <= now_ms
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

/// The size that an action makes of `target`, before any bounds (rule 18), by a meaning of the rules.
#[must_use]
pub fn apply(action: &Action, target: u32, semantics: u32) -> u32 {
    match action {
        // A percentage of nothing adds one, or a group at zero could never start.
        Action::Add(change) => target.saturating_add(servers(change, target, semantics).max(u32::from(target == 0))),
        Action::Remove(change) => target.saturating_sub(servers(change, target, semantics)),
        Action::RaiseTo(size) => target.max(*size),
        Action::LowerTo(size) => target.min(*size),
        Action::Set(size) => *size,
    }
}

fn servers(change: &Change, target: u32, semantics: u32) -> u32 {
    let amount = match change.amount {
        Amount::Share(share) if semantics::is_rehearsed(semantics) => toward_zero(share, target),
        by => amount(by, target),
    };
    let amount = amount.max(change.least.unwrap_or(0));
    amount.min(change.most.unwrap_or(u32::MAX))
}

/// A number of servers, or a share of `target` rounded away from zero.
#[must_use]
pub fn amount(amount: Amount, target: u32) -> u32 {
    match amount {
        Amount::Servers(servers) => servers,
        Amount::Share(share) if planted::is(Bug::RoundedDown) => toward_zero(share, target),
        Amount::Share(share) => share.of(target),
    }
}

fn toward_zero(share: Percent, target: u32) -> u32 {
    u32::try_from(i64::from(target) * share.0 / Percent::WHOLE.0).unwrap_or(u32::MAX)
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
        assert_eq!(apply(&Action::Add(tenth), 11, 1), 13);
        assert_eq!(apply(&Action::Add(tenth), 0, 1), 1);
        assert_eq!(apply(&Action::Remove(tenth), 0, 1), 0);
        assert_eq!(apply(&Action::Remove(change(Amount::Share(Percent(25_000)), None, Some(2))), 100, 1), 98);
        assert_eq!(apply(&Action::Add(change(Amount::Share(Percent(50_000)), Some(8), None)), 4, 1), 12);
    }

    #[test]
    fn raise_never_shrinks_and_lower_never_grows() {
        assert_eq!(apply(&Action::RaiseTo(3), 5, 1), 5);
        assert_eq!(apply(&Action::LowerTo(9), 5, 1), 5);
        assert_eq!(apply(&Action::Set(9), 5, 1), 9);
    }

    #[test]
    fn a_short_unknown_stops_for_and_a_long_one_resets_it() {
        assert_eq!(resumed(Some(100), 200, true, 50, 250), Some(150));
        assert_eq!(resumed(Some(100), 200, true, 50, 251), None);
        assert_eq!(resumed(Some(100), 200, false, 50, 201), None);
    }

    #[test]
    fn a_for_due_in_a_gap_starts_again_and_one_that_was_ripe_stays() {
        let moment = Moment { now_ms: 300, t_ms: 500, gap: Some((100, 500)), intake_bad_ms: 0, semantics: 1 };
        assert_eq!(start_over(50, Some(Millis(60)), &moment), 500);
        assert_eq!(start_over(40, Some(Millis(60)), &moment), 40);
        assert_eq!(start_over(50, None, &moment), 50);
    }

    #[test]
    fn a_short_unknown_stops_a_for_and_never_takes_it_into_the_future() {
        let resumed = |since, unknown_since| resumed(Some(since), unknown_since, true, 600, 1_000);
        assert_eq!(resumed(100, 700), Some(400));
        assert_eq!(resumed(100, 400), Some(700));
        assert_eq!(resumed(100, 399), None);
        // A gap that ended at 748 began it anew while it was unknown.
        assert_eq!(resumed(748, 700), Some(1_000));
    }
}
