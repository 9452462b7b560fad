//! What conditions look at, and the words for what was seen there. Whether they are true is asked apart, by a
//! [`Question`](crate::question::Question).
//!
//! Reads a group's state and changes nothing. Everything is a function of (state, instant), so asking twice is harmless:
//! most evaluations only want the truth, and only a decision that is news wants the words.

use crate::{
    aggregate,
    group::{AlarmMemory, Group},
    id::Slot,
    wiring::{Wiring, event_place},
    words,
};
use weir_grammar::{
    policy::{
        Aggregate, Alarm, AlarmState, AlarmTest, Comparison, Condition, CountTest, MissingTest, Policy, Quorum, Rule,
        Trigger,
    },
    quantity::Millis,
};

/// What conditions look at, at one instant.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// The group.
    pub group: &'a Group,
    /// Its policy.
    pub policy: &'a Policy,
    /// Its wiring.
    pub wiring: &'a Wiring,
    /// The instant.
    pub now_ms: i64,
    /// The newest instant at which our own intake was known to be unwell (rule 19).
    pub intake_bad_ms: i64,
}

/// How many of whom an alarm test finds: those in the state, of those that count, and how many it wants.
pub(crate) struct Poll {
    pub(crate) found: u32,
    of: u32,
    pub(crate) needed: u32,
}

impl Scene<'_> {
    /// What was seen, in words with numbers.
    #[must_use]
    pub fn words(&self, condition: &Condition) -> String {
        let join = |parts: &[Condition], between: &str| {
            parts.iter().map(|part| self.words(part)).collect::<Vec<_>>().join(between)
        };
        match condition {
            Condition::All(parts) => join(parts, " and "),
            Condition::Any(parts) => join(parts, " or "),
            Condition::Not(part) => format!("not ({})", self.words(part)),
            Condition::Compare(comparison) => self.compare_words(comparison),
            Condition::Alarm(test) => self.alarm_words(test),
            Condition::Count(test) => format!(
                "{} = {}, fires {} {}",
                words::count_test(self.policy, test),
                self.count(test),
                words::op(test.op),
                test.threshold
            ),
            Condition::Missing(test) => words::missing_test(self.policy, test),
        }
    }

    fn compare_words(&self, comparison: &Comparison) -> String {
        let name = words::aggregate(self.policy, &comparison.aggregate);
        let unit = self.policy.metrics.get(comparison.aggregate.metric).map(|metric| metric.unit).unwrap_or_default();
        let asked = format!("fires {} {}", words::op(comparison.op), words::value(unit, comparison.threshold));
        match aggregate::read(self.group, self.wiring, &comparison.aggregate) {
            Some(value) => format!("{name} = {}, {asked}", words::value(unit, value)),
            None => format!("{name} is unknown, {asked}"),
        }
    }

    fn alarm_words(&self, test: &AlarmTest) -> String {
        let asked = words::alarm_test(self.policy, test);
        let poll = self.poll(test);
        match test.quorum {
            Quorum::Any if poll.found == 0 => format!("{asked}: no"),
            Quorum::Any if poll.of == 0 => format!("{asked}: yes"),
            Quorum::Any => format!("{asked}: yes, on {}", poll.found),
            Quorum::Servers(_) | Quorum::Share(_) => {
                format!("{asked}: {} of {}, fires on {}", poll.found, poll.of, poll.needed)
            }
        }
    }

    /// An alarm's state about somebody, as it stands now: a `warning` or `critical` not repeated for long is `unknown`.
    fn standing(&self, alarm: &Alarm, memory: &AlarmMemory) -> AlarmState {
        match (memory.state, alarm.stale_after) {
            (AlarmState::Warning | AlarmState::Critical, Some(stale))
                if memory.heard_ms.saturating_add(stale.0) <= self.now_ms =>
            {
                AlarmState::Unknown
            }
            (state, _) => state,
        }
    }

    pub(crate) fn poll(&self, test: &AlarmTest) -> Poll {
        let (Some(alarm), Some(spoken)) = (self.policy.alarms.get(test.alarm), self.group.alarms.get(test.alarm))
        else {
            return Poll { found: 0, of: 0, needed: 1 };
        };
        let matches = |state: AlarmState| match (test.negated, state) {
            // Only `is unknown` is true of unknown (rule 6).
            (true, AlarmState::Unknown) => false,
            (true, state) => state != test.state,
            (false, state) => state == test.state,
        };
        let matching = spoken.iter().filter(|(_, memory)| matches(self.standing(alarm, memory)));
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        if test.quorum == Quorum::Any {
            let of_servers = matching.clone().filter(|(about, _)| *about != aggregate::SHARED).count();
            return Poll { found: count(matching.count()), of: count(of_servers), needed: 1 };
        }
        let of = self.group.members.warm_count(self.now_ms);
        // A shared alarm's subjects are apart from every slot's key, so they are nobody's slot.
        let warm = |key: u64| self.group.members.is_warm(Slot::of_key(key), self.now_ms);
        let needed = match test.quorum {
            Quorum::Servers(servers) => servers,
            // Of no servers at all nothing can be asked.
            Quorum::Share(share) => share.of(of).max(1),
            Quorum::Any => 1,
        };
        Poll { found: count(matching.filter(|(about, _)| warm(*about)).count()), of, needed }
    }

    pub(crate) fn count(&self, test: &CountTest) -> usize {
        let since = self.now_ms.saturating_sub(test.over.0);
        let times = self.group.counts.get(event_place(test.counted)).map(Vec::as_slice).unwrap_or_default();
        times.len() - times.partition_point(|at| *at <= since)
    }

    pub(crate) fn missing(&self, test: &MissingTest) -> bool {
        let heard = self.group.heard.get(test.metric).copied().flatten();
        let silent = heard.is_some_and(|heard| heard.saturating_add(test.hold.0) <= self.now_ms);
        let shared = self.policy.metrics.get(test.metric).is_some_and(|metric| metric.shared);
        let expected = shared || self.group.members.warm_count(self.now_ms) > 0;
        // Our own outage is not the customer's.
        let listening = self.intake_bad_ms <= self.now_ms.saturating_sub(test.hold.0);
        expected && silent && listening
    }

    /// The next instants at which this condition may change by time alone (samples apart, which have their edges).
    pub fn changes_after(&self, condition: &Condition, add: &mut dyn FnMut(i64)) {
        match condition {
            Condition::All(parts) | Condition::Any(parts) => {
                parts.iter().for_each(|part| self.changes_after(part, add))
            }
            Condition::Not(part) => self.changes_after(part, add),
            Condition::Compare(_) => {}
            Condition::Alarm(test) => {
                let stale = self.policy.alarms.get(test.alarm).and_then(|alarm| alarm.stale_after);
                let (Some(stale), Some(spoken)) = (stale, self.group.alarms.get(test.alarm)) else { return };
                for memory in spoken.values() {
                    if matches!(memory.state, AlarmState::Warning | AlarmState::Critical) {
                        add(memory.heard_ms.saturating_add(stale.0));
                    }
                }
            }
            Condition::Count(test) => {
                let times = self.group.counts.get(event_place(test.counted));
                times.into_iter().flatten().for_each(|at| add(at.saturating_add(test.over.0)));
            }
            Condition::Missing(test) => {
                if let Some(heard) = self.group.heard.get(test.metric).copied().flatten() {
                    add(heard.saturating_add(test.hold.0));
                    add(self.intake_bad_ms.saturating_add(test.hold.0));
                }
            }
        }
    }
}

/// Whether a condition asks an alarm: then an unknown resets its `for` at once (rule 10).
#[must_use]
pub fn asks_alarms(condition: &Condition) -> bool {
    match condition {
        Condition::All(parts) | Condition::Any(parts) => parts.iter().any(asks_alarms),
        Condition::Not(part) => asks_alarms(part),
        Condition::Alarm(_) => true,
        Condition::Compare(_) | Condition::Count(_) | Condition::Missing(_) => false,
    }
}

/// The shortest silence of a metric that a group's rules act on, if any (rule 19).
#[must_use]
pub fn shortest_silence(rules: &[Rule], metric: usize) -> Option<Millis> {
    fn of(condition: &Condition, metric: usize) -> Option<Millis> {
        match condition {
            Condition::All(parts) | Condition::Any(parts) => parts.iter().filter_map(|part| of(part, metric)).min(),
            Condition::Not(part) => of(part, metric),
            Condition::Missing(test) if test.metric == metric => Some(test.hold),
            Condition::Missing(_) | Condition::Compare(_) | Condition::Alarm(_) | Condition::Count(_) => None,
        }
    }
    let conditions = rules.iter().filter_map(|rule| match &rule.trigger {
        Trigger::When { condition, .. } => Some(condition),
        _ => None,
    });
    conditions.filter_map(|condition| of(condition, metric)).min()
}

/// The longest period of the metrics that some aggregates read; a second where there are none.
#[must_use]
pub fn slowest_period<'a>(policy: &Policy, aggregates: impl Iterator<Item = &'a Aggregate>) -> Millis {
    let metrics = aggregates.filter_map(|aggregate| policy.metrics.get(aggregate.metric));
    metrics.map(|metric| metric.every).max().unwrap_or(Millis::SECOND)
}
