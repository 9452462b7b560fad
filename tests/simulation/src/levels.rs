//! Schedules written out: every instant and every open stretch of a policy within the run, by asking for the next one
//! again and again. The judge's own reckoning, beside the engine's edges and timers.

use weir_engine::grammar::policy::{Recurrence, Rule, Trigger};

/// The instants of a rule's schedule after `from_ms`, up to `to_ms`.
#[must_use]
pub fn instants(rule: &Rule, from_ms: i64, to_ms: i64) -> Vec<i64> {
    match &rule.trigger {
        Trigger::At { at_ms } => {
            Some(*at_ms).filter(|at_ms| (from_ms + 1..=to_ms).contains(at_ms)).into_iter().collect()
        }
        Trigger::Cron { cron, zone } => {
            let next = |after_ms: &i64| cron.next_after(*zone, *after_ms);
            std::iter::successors(next(&from_ms), next).take_while(|at_ms| *at_ms <= to_ms).collect()
        }
        _ => Vec::new(),
    }
}

/// The stretches in which a window or freeze is open, half-open, oldest first, from `from_ms` to `to_ms`.
#[must_use]
pub fn stretches(when: &Recurrence, from_ms: i64, to_ms: i64) -> Vec<(i64, i64)> {
    match when {
        Recurrence::Once { at_ms, lasting } => vec![(*at_ms, at_ms + lasting.0)],
        Recurrence::Cron { cron, zone, lasting } => {
            let next = |after_ms: &i64| cron.next_after(*zone, *after_ms);
            let begins = std::iter::successors(next(&(from_ms - lasting.0 - 1)), next);
            begins.take_while(|at_ms| *at_ms <= to_ms).map(|at_ms| (at_ms, at_ms + lasting.0)).collect()
        }
    }
}

/// Whether one of the stretches is open.
#[must_use]
pub fn is_open(stretches: &[(i64, i64)], at_ms: i64) -> bool {
    stretches.iter().any(|(from_ms, to_ms)| (*from_ms..*to_ms).contains(&at_ms))
}
