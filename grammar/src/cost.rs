//! What an evaluation of a group costs at the most, known before the file is accepted.
//!
//! The language is total, so the bound is a sum: one unit of fuel for each rule, test and step arm, and one for each
//! pane of each different aggregate, which the evaluations of a group share (rule 4).

use crate::policy::{Aggregate, Condition, Group, Metric, Trigger};
use std::collections::BTreeSet;

/// Panes a look-back has at the most, before its period makes them fewer (rule 4).
const PANES: i64 = 20;

/// Fuel that one evaluation of a group burns at the most.
#[must_use]
pub fn cost(metrics: &[Metric], group: &Group) -> u32 {
    let mut aggregates = BTreeSet::new();
    let tests: usize = group.rules.iter().map(|rule| 1 + tests(&rule.trigger, &mut aggregates)).sum();
    let panes: i64 = aggregates.iter().map(|aggregate| panes(metrics, aggregate)).sum();
    u32::try_from(tests).unwrap_or(u32::MAX).saturating_add(u32::try_from(panes).unwrap_or(u32::MAX))
}

fn panes(metrics: &[Metric], aggregate: &Aggregate) -> i64 {
    let every = metrics.get(aggregate.metric).map_or(1, |metric| metric.every.0);
    let pane = every.max(aggregate.over.0 / PANES).max(1);
    (aggregate.over.0 + pane - 1) / pane
}

fn tests(trigger: &Trigger, aggregates: &mut BTreeSet<Aggregate>) -> usize {
    match trigger {
        Trigger::When { condition, .. } => predicates(condition, aggregates),
        Trigger::Step { aggregate, arms, .. } => {
            aggregates.insert(*aggregate);
            arms.len()
        }
        Trigger::Track { aggregate, .. } => {
            aggregates.insert(*aggregate);
            1
        }
        Trigger::Cron { .. } | Trigger::At { .. } | Trigger::Webhook { .. } | Trigger::Manual => 0,
    }
}

fn predicates(condition: &Condition, aggregates: &mut BTreeSet<Aggregate>) -> usize {
    match condition {
        Condition::All(parts) | Condition::Any(parts) => parts.iter().map(|part| predicates(part, aggregates)).sum(),
        Condition::Not(part) => predicates(part, aggregates),
        Condition::Compare(comparison) => {
            aggregates.insert(comparison.aggregate);
            1
        }
        Condition::Alarm(_) | Condition::Count(_) | Condition::Missing(_) => 1,
    }
}
