//! Aggregates of a group's samples: brought up to the newest pane edge, and read by conditions (rules 4 and 5).
//!
//! A value changes only at its pane edges, together with the count of warm servers it came from. An evaluation between
//! two edges reads what the last edge showed, so what a group decides does not depend on how often it is looked at.

use crate::{
    group::{Group, Valued},
    window::{Value, Window, pane_ms},
    words,
};
use weir_grammar::{
    policy::{Aggregate, Condition, Func, Metric, Policy, Rule, Trigger},
    quantity::Quantity,
};

/// The key of a shared series.
pub const SHARED: u64 = 0;

/// Every aggregate that a group's rules read, in the order of the file; one may come twice.
#[must_use]
pub fn of_rules(rules: &[Rule]) -> Vec<Aggregate> {
    rules.iter().flat_map(of_rule).collect()
}

/// The aggregates that one rule reads.
#[must_use]
pub fn of_rule(rule: &Rule) -> Vec<Aggregate> {
    let mut found = Vec::new();
    match &rule.trigger {
        Trigger::When { condition, .. } => of_condition(condition, &mut found),
        Trigger::Step { aggregate, .. } | Trigger::Track { aggregate, .. } => found.push(*aggregate),
        Trigger::Cron { .. } | Trigger::At { .. } | Trigger::Webhook { .. } | Trigger::Manual => {}
    }
    found
}

fn of_condition(condition: &Condition, found: &mut Vec<Aggregate>) {
    match condition {
        Condition::All(parts) | Condition::Any(parts) => parts.iter().for_each(|part| of_condition(part, found)),
        Condition::Not(part) => of_condition(part, found),
        Condition::Compare(comparison) => found.push(comparison.aggregate),
        Condition::Alarm(_) | Condition::Count(_) | Condition::Missing(_) => {}
    }
}

/// The windows a group needs for its rules: (metric index, pane length, complete panes, with percentiles).
#[must_use]
pub fn windows_of(policy: &Policy, rules: &[Rule]) -> Vec<(usize, i64, u32, bool)> {
    let mut needed: Vec<(usize, i64, u32, bool)> = Vec::new();
    for aggregate in of_rules(rules) {
        let Some(metric) = policy.metrics.get(aggregate.metric) else { continue };
        let pane = pane_ms(metric.every, aggregate.over);
        let panes = u32::try_from((aggregate.over.0 + pane - 1) / pane).unwrap_or(u32::MAX);
        let sketch = matches!(aggregate.func, Func::Percentile(_));
        match needed.iter_mut().find(|(index, length, ..)| (*index, *length) == (aggregate.metric, pane)) {
            Some(known) => *known = (known.0, known.1, known.2.max(panes), known.3 || sketch),
            None => needed.push((aggregate.metric, pane, panes, sketch)),
        }
    }
    needed
}

/// Brings every aggregate up to the newest edge at or before `now_ms`.
pub fn refresh(group: &mut Group, policy: &Policy, rules: &[Rule], now_ms: i64) {
    for aggregate in of_rules(rules) {
        let Some(metric) = policy.metrics.get(aggregate.metric) else { continue };
        let pane = pane_ms(metric.every, aggregate.over);
        let edge_ms = now_ms.div_euclid(pane) * pane;
        let key = words::aggregate(policy, &aggregate);
        let before = group.values.get(&key);
        if before.is_some_and(|valued| valued.edge_ms == edge_ms) {
            continue;
        }
        let was_known = before.is_some_and(|valued| valued.was_known);
        let value = compute(group, metric, &aggregate, pane, edge_ms);
        let was_known = was_known || matches!(value, Value::Known { .. });
        group.values.insert(key, Valued { edge_ms, value, was_known });
    }
    for window in group.windows.values_mut() {
        window.trim(now_ms);
    }
}

fn compute(group: &Group, metric: &Metric, aggregate: &Aggregate, pane: i64, edge_ms: i64) -> Value {
    let Some(window) = group.windows.get(&(metric.name.clone(), pane)) else {
        return Value::Unknown { known: 0, of: 0 };
    };
    let servers = if metric.shared { vec![(SHARED, i64::MIN / 2)] } else { group.members.warm(edge_ms) };
    window.evaluate(aggregate.func, aggregate.over, metric.every, edge_ms, &servers)
}

/// An aggregate's value as a condition reads it, divided by the target where it is `per server`; `None` is unknown.
#[must_use]
pub fn read(group: &Group, policy: &Policy, aggregate: &Aggregate) -> Option<Quantity> {
    match group.values.get(&words::aggregate(policy, aggregate))?.value {
        Value::Known { value, .. } if aggregate.per_server => Some(per_server(value, group.target)),
        Value::Known { value, .. } => Some(value),
        Value::Unknown { .. } => None,
    }
}

/// The whole value (not per server), and the servers it came from.
#[must_use]
pub fn read_whole(group: &Group, policy: &Policy, aggregate: &Aggregate) -> Option<(Quantity, u32)> {
    match group.values.get(&words::aggregate(policy, aggregate))?.value {
        Value::Known { value, of, .. } => Some((value, of)),
        Value::Unknown { .. } => None,
    }
}

/// Whether an aggregate is known over all warm servers, as a removal needs it (rule 9).
#[must_use]
pub fn known_over_all(group: &Group, policy: &Policy, aggregate: &Aggregate) -> bool {
    group
        .values
        .get(&words::aggregate(policy, aggregate))
        .is_some_and(|valued| matches!(valued.value, Value::Known { all_known: true, .. }))
}

/// Whether an aggregate was known once and is unknown now (rule 9).
#[must_use]
pub fn went_silent(group: &Group, policy: &Policy, aggregate: &Aggregate) -> bool {
    group
        .values
        .get(&words::aggregate(policy, aggregate))
        .is_some_and(|valued| valued.was_known && matches!(valued.value, Value::Unknown { .. }))
}

/// A shared value for one server of the present target, rounded half away from zero (rule 4).
fn per_server(value: Quantity, target: u32) -> Quantity {
    let servers = i64::from(target.max(1));
    let half = if value.0 < 0 { -servers / 2 } else { servers / 2 };
    Quantity(value.0.saturating_add(half) / servers)
}

/// Makes the windows that a policy needs, keeping those whose metric's line is the same (rule 20): `same(name)` says so.
pub fn fit_windows(group: &mut Group, policy: &Policy, rules: &[Rule], same: impl Fn(&str) -> bool) {
    let mut kept = std::mem::take(&mut group.windows);
    for (index, pane, panes, sketch) in windows_of(policy, rules) {
        let Some(metric) = policy.metrics.get(index) else { continue };
        let key = (metric.name.clone(), pane);
        let window = match kept.remove(&key).filter(|_| same(&metric.name)) {
            Some(mut window) => {
                window.set_keep(panes);
                window
            }
            None => Window::new(pane, panes, sketch),
        };
        group.windows.insert(key, window);
    }
    group.values.retain(|key, _| of_rules(rules).iter().any(|aggregate| words::aggregate(policy, aggregate) == *key));
}
