//! Aggregates of a group's samples: brought up to the newest pane edge, and read by conditions (rules 4 and 5).
//!
//! A value changes only at its pane edges, together with the count of warm servers it came from. An evaluation between
//! two edges reads what the last edge showed, so what a group decides does not depend on how often it is looked at.

use crate::{
    group::{Group, Valued},
    window::{Value, Window},
    wiring::{Wired, Wiring},
};
use smallvec::smallvec;
use weir_grammar::{
    policy::{Aggregate, Policy},
    quantity::Quantity,
};

/// The key of a shared series.
pub const SHARED: u64 = 0;

/// Brings every aggregate up to the newest edge at or before `now_ms`.
pub fn refresh(group: &mut Group, policy: &Policy, wiring: &Wiring, now_ms: i64) {
    let mut moved = false;
    for (place, wired) in wiring.aggregates.iter().enumerate() {
        let edge_ms = now_ms.div_euclid(wired.pane_ms) * wired.pane_ms;
        let before = group.values.get(place).copied();
        if before.is_some_and(|valued| valued.edge_ms == edge_ms) {
            continue;
        }
        moved = true;
        let value = compute(group, policy, wired, edge_ms);
        let known = matches!(value, Value::Known { .. });
        if let Some(valued) = group.values.get_mut(place) {
            *valued = Valued { edge_ms, value, was_known: valued.was_known || known };
        }
    }
    if moved {
        group.windows.iter_mut().for_each(|window| window.trim(now_ms));
    }
}

fn compute(group: &Group, policy: &Policy, wired: &Wired, edge_ms: i64) -> Value {
    let (Some(window), Some(metric)) = (group.windows.get(wired.window), policy.metrics.get(wired.aggregate.metric))
    else {
        return Value::Unknown { known: 0, of: 0 };
    };
    let servers = if metric.shared { smallvec![(SHARED, i64::MIN / 2)] } else { group.members.warm(edge_ms) };
    window.evaluate(wired.aggregate.func, wired.aggregate.over, metric.every, edge_ms, &servers)
}

/// The value in a place as of its newest edge.
fn value(group: &Group, wiring: &Wiring, aggregate: &Aggregate) -> Option<Valued> {
    group.values.get(wiring.place(aggregate)?).copied()
}

/// An aggregate's value as a condition reads it, divided by the target where it is `per server`; `None` is unknown.
#[must_use]
pub fn read(group: &Group, wiring: &Wiring, aggregate: &Aggregate) -> Option<Quantity> {
    read_at(group, wiring.place(aggregate)?, aggregate.per_server)
}

/// The same of the aggregate in a place.
#[inline]
pub(crate) fn read_at(group: &Group, place: usize, per_server: bool) -> Option<Quantity> {
    match group.values.get(place)?.value {
        Value::Known { value, .. } if per_server => Some(share(value, group.target)),
        Value::Known { value, .. } => Some(value),
        Value::Unknown { .. } => None,
    }
}

/// The whole value (not per server), and the servers it came from.
#[must_use]
pub fn read_whole(group: &Group, wiring: &Wiring, aggregate: &Aggregate) -> Option<(Quantity, u32)> {
    match value(group, wiring, aggregate)?.value {
        Value::Known { value, of, .. } => Some((value, of)),
        Value::Unknown { .. } => None,
    }
}

/// Whether the aggregate in a place is known over all warm servers, as a removal needs it (rule 9).
#[must_use]
pub fn known_over_all(group: &Group, place: usize) -> bool {
    group.values.get(place).is_some_and(|valued| matches!(valued.value, Value::Known { all_known: true, .. }))
}

/// Whether the aggregate in a place was known once and is unknown now (rule 9).
#[must_use]
pub fn went_silent(group: &Group, place: usize) -> bool {
    group.values.get(place).is_some_and(|valued| valued.was_known && matches!(valued.value, Value::Unknown { .. }))
}

/// A shared value for one server of the present target, rounded half away from zero (rule 4).
fn share(value: Quantity, target: u32) -> Quantity {
    let servers = i64::from(target.max(1));
    let half = if value.0 < 0 { -servers / 2 } else { servers / 2 };
    Quantity(value.0.saturating_add(half) / servers)
}

/// Makes the windows and values that a new wiring needs. What `kept` finds in the old one stays (rule 20); it answers the
/// old place of a window by the new one's, or of an aggregate by its words.
pub fn fit(
    group: &mut Group,
    wiring: &Wiring,
    kept_window: impl Fn(usize) -> Option<usize>,
    kept_value: impl Fn(&Wired) -> Option<usize>,
) {
    let mut old_windows: Vec<Option<Window>> = std::mem::take(&mut group.windows).into_iter().map(Some).collect();
    group.windows.reserve_exact(wiring.windows.len());
    for (place, pane) in wiring.windows.iter().enumerate() {
        let kept = kept_window(place).and_then(|old| old_windows.get_mut(old)?.take());
        group.windows.push(match kept {
            Some(mut window) => {
                window.set_keep(pane.keep);
                window
            }
            None => Window::new(pane.pane_ms, pane.keep, pane.sketch),
        });
    }
    let old_values = std::mem::take(&mut group.values);
    let kept = wiring.aggregates.iter().map(|wired| kept_value(wired).and_then(|old| old_values.get(old).copied()));
    group.values = kept.map(Option::unwrap_or_default).collect();
}
