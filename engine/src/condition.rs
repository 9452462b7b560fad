//! Conditions in Kleene's logic: true, false, or unknown (`None`), each with the words for what was seen.
//!
//! Reads a group's state and changes nothing. Everything is a function of (state, instant), so asking twice is harmless.

use crate::{
    aggregate,
    group::{AlarmMemory, Group},
    words,
};
use weir_grammar::{
    policy::{
        Alarm, AlarmState, AlarmTest, Comparison, Condition, CountTest, MissingTest, Op, Policy, Quorum, Rule, Trigger,
    },
    quantity::Millis,
};

/// What a condition is, and what was seen.
pub struct Seen {
    /// True, false, or unknown.
    pub truth: Option<bool>,
    /// In words, with numbers.
    pub words: String,
}

/// What conditions look at, at one instant.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// The group.
    pub group: &'a Group,
    /// Its policy.
    pub policy: &'a Policy,
    /// The instant.
    pub now_ms: i64,
    /// The newest instant at which our own intake was known to be unwell (rule 19).
    pub intake_bad_ms: i64,
}

impl Scene<'_> {
    /// Judges a condition.
    #[must_use]
    pub fn judge(&self, condition: &Condition) -> Seen {
        match condition {
            Condition::All(parts) => self.join(parts, " and ", false),
            Condition::Any(parts) => self.join(parts, " or ", true),
            Condition::Not(part) => {
                let seen = self.judge(part);
                Seen { truth: seen.truth.map(|truth| !truth), words: format!("not ({})", seen.words) }
            }
            Condition::Compare(comparison) => self.compare(comparison),
            Condition::Alarm(test) => self.alarm(test),
            Condition::Count(test) => self.count(test),
            Condition::Missing(test) => self.missing(test),
        }
    }

    /// `decisive` is the truth that one part alone can give: false for `and`, true for `or`.
    fn join(&self, parts: &[Condition], between: &str, decisive: bool) -> Seen {
        let seen: Vec<Seen> = parts.iter().map(|part| self.judge(part)).collect();
        let truth = if seen.iter().any(|part| part.truth == Some(decisive)) {
            Some(decisive)
        } else if seen.iter().any(|part| part.truth.is_none()) {
            None
        } else {
            Some(!decisive)
        };
        Seen { truth, words: seen.into_iter().map(|part| part.words).collect::<Vec<_>>().join(between) }
    }

    fn compare(&self, comparison: &Comparison) -> Seen {
        let name = words::aggregate(self.policy, &comparison.aggregate);
        let unit = self.policy.metrics.get(comparison.aggregate.metric).map(|metric| metric.unit).unwrap_or_default();
        let asked = format!("{} {}", words::op(comparison.op), words::value(unit, comparison.threshold));
        match aggregate::read(self.group, self.policy, &comparison.aggregate) {
            Some(value) => Seen {
                truth: Some(meets(comparison.op, value, comparison.threshold)),
                words: format!("{name} = {}, fires {asked}", words::value(unit, value)),
            },
            None => Seen { truth: None, words: format!("{name} is unknown, fires {asked}") },
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

    fn alarm(&self, test: &AlarmTest) -> Seen {
        let Some(alarm) = self.policy.alarms.get(test.alarm) else {
            return Seen { truth: Some(false), words: String::new() };
        };
        let matches = |state: AlarmState| match (test.negated, state) {
            // Only `is unknown` is true of unknown (rule 6).
            (true, AlarmState::Unknown) => false,
            (true, state) => state != test.state,
            (false, state) => state == test.state,
        };
        let spoken = self.group.alarms.get(&alarm.name);
        let matching: Vec<u64> = spoken
            .into_iter()
            .flatten()
            .filter(|(_, memory)| matches(self.standing(alarm, memory)))
            .map(|(about, _)| *about)
            .collect();
        let asked = words::alarm_test(self.policy, test);
        if test.quorum == Quorum::Any {
            let found =
                if matching.is_empty() { "no".to_owned() } else { format!("yes, {}", self.whose(alarm, &matching)) };
            return Seen { truth: Some(!matching.is_empty()), words: format!("{asked}: {found}") };
        }
        let warm = self.group.members.warm(self.now_ms);
        let count = matching.iter().filter(|about| warm.iter().any(|(key, _)| key == *about)).count();
        let warm_count = u32::try_from(warm.len()).unwrap_or(u32::MAX);
        let needed = match test.quorum {
            Quorum::Servers(servers) => servers,
            // Of no servers at all nothing can be asked.
            Quorum::Share(share) => share.of(warm_count).max(1),
            Quorum::Any => 1,
        };
        Seen {
            truth: Some(count >= needed as usize),
            words: format!("{asked}: {count} of {warm_count}, fires on {needed}"),
        }
    }

    fn whose(&self, alarm: &Alarm, matching: &[u64]) -> String {
        let servers = matching.iter().filter(|about| **about != aggregate::SHARED).count();
        if alarm.shared || servers == 0 { "it is".into() } else { format!("on {servers}") }
    }

    fn count(&self, test: &CountTest) -> Seen {
        let name = words::counted(self.policy, test.counted);
        let since = self.now_ms.saturating_sub(test.over.0);
        let count = self.group.counts.get(&name).map_or(0, |times| times.iter().filter(|at| **at > since).count());
        let truth = meets(test.op, count, test.threshold as usize);
        let words = format!(
            "{} = {count}, fires {} {}",
            words::count_test(self.policy, test),
            words::op(test.op),
            test.threshold
        );
        Seen { truth: Some(truth), words }
    }

    fn missing(&self, test: &MissingTest) -> Seen {
        let words = words::missing_test(self.policy, test);
        let truth = self.policy.metrics.get(test.metric).is_some_and(|metric| {
            let heard = self.group.heard.get(&metric.name);
            let expected = metric.shared || self.group.members.warm_count(self.now_ms) > 0;
            let silent = heard.is_some_and(|heard| heard.saturating_add(test.hold.0) <= self.now_ms);
            // Our own outage is not the customer's.
            let listening = self.intake_bad_ms <= self.now_ms.saturating_sub(test.hold.0);
            expected && silent && listening
        });
        Seen { truth: Some(truth), words }
    }

    /// The next instants at which this condition may change by time alone (samples apart, which have their edges).
    pub fn changes_after(&self, condition: &Condition, add: &mut dyn FnMut(i64)) {
        let mut later = |at_ms: i64| {
            if at_ms > self.now_ms {
                add(at_ms);
            }
        };
        match condition {
            Condition::All(parts) | Condition::Any(parts) => {
                for part in parts {
                    self.changes_after(part, &mut later);
                }
            }
            Condition::Not(part) => self.changes_after(part, &mut later),
            Condition::Compare(_) => {}
            Condition::Alarm(test) => {
                let Some((alarm, stale)) =
                    self.policy.alarms.get(test.alarm).and_then(|alarm| Some((alarm, alarm.stale_after?)))
                else {
                    return;
                };
                for memory in self.group.alarms.get(&alarm.name).into_iter().flat_map(|about| about.values()) {
                    if matches!(memory.state, AlarmState::Warning | AlarmState::Critical) {
                        later(memory.heard_ms.saturating_add(stale.0));
                    }
                }
            }
            Condition::Count(test) => {
                let times = self.group.counts.get(&words::counted(self.policy, test.counted));
                for at in times.into_iter().flatten() {
                    later(at.saturating_add(test.over.0));
                }
            }
            Condition::Missing(test) => {
                let metric =
                    self.policy.metrics.get(test.metric).map(|metric| metric.name.as_str()).unwrap_or_default();
                if let Some(heard) = self.group.heard.get(metric) {
                    later(heard.saturating_add(test.hold.0));
                    later(self.intake_bad_ms.saturating_add(test.hold.0));
                }
            }
        }
    }
}

fn meets<T: PartialOrd>(op: Op, value: T, threshold: T) -> bool {
    match op {
        Op::Above => value > threshold,
        Op::AtLeast => value >= threshold,
        Op::Under => value < threshold,
        Op::AtMost => value <= threshold,
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

/// The longest period of the metrics a rule's aggregates read; a second where it reads none.
#[must_use]
pub fn slowest_period(policy: &Policy, aggregates: &[weir_grammar::policy::Aggregate]) -> Millis {
    aggregates
        .iter()
        .filter_map(|aggregate| policy.metrics.get(aggregate.metric))
        .map(|metric| metric.every)
        .max()
        .unwrap_or(Millis::SECOND)
}
