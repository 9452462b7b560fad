//! When a group wants to be looked at next: the earliest instant at which time alone may change what it thinks.
//!
//! Too early costs an evaluation that finds nothing new; too late would be a wrong decision, so everything that a
//! verdict depends on and that time can change stands here.

use crate::{
    condition::Scene,
    decide::Case,
    group::Group,
    planted::{self, Bug},
    window::Value,
};
use weir_grammar::policy::Trigger;

/// Keeps since when servers have been on their way without a break.
pub fn note_unsettled(group: &mut Group, now_ms: i64) {
    let unsettled = group.building() > 0 || group.members.unsettled(now_ms);
    group.unsettled_since = if unsettled { group.unsettled_since.or(Some(now_ms)) } else { None };
}

/// The next such instant after the case's own; `None` where only a fact can change anything.
#[must_use]
pub fn next(group: &Group, case: &Case<'_>) -> Option<i64> {
    let now_ms = case.moment.now_ms;
    let mut earliest: Option<i64> = None;
    let mut add = |at_ms: i64| {
        if at_ms > now_ms {
            earliest = Some(earliest.map_or(at_ms, |known| known.min(at_ms)));
        }
    };
    group.edges.iter().filter_map(|edge| edge.next).for_each(&mut add);
    group.windows.iter().filter_map(|window| window.next_edge_after(now_ms)).for_each(&mut add);
    // A value that is known is unknown at its next edge where all that it came from have left, and nothing is stored then.
    for (wired, valued) in case.wiring.aggregates.iter().zip(&group.values) {
        if matches!(valued.value, Value::Known { .. }) {
            add(valued.edge_ms.saturating_add(wired.pane_ms));
        }
    }
    group.members.next_warm_after(now_ms).into_iter().for_each(&mut add);
    group.cooldown.iter().for_each(|cooldown| add(cooldown.until_ms));
    group.pause.iter().filter_map(|pause| pause.until_ms).for_each(&mut add);
    group.by_hand.ends().for_each(&mut add);
    case.standing.next_end(&case.plan.region, now_ms).into_iter().for_each(&mut add);
    group.unsettled_since.into_iter().for_each(|since| add(since.saturating_add(case.plan.ready_within.0)));
    for limit in &case.plan.limits {
        for change in group.changes.iter().filter(|change| change.direction == limit.direction) {
            add(change.at_ms.saturating_add(limit.per.0));
        }
    }
    let scene =
        Scene { group, policy: case.policy, wiring: case.wiring, now_ms, intake_bad_ms: case.moment.intake_bad_ms };
    for (rule, memory) in case.plan.rules.iter().zip(&group.rules) {
        let hold = match &rule.trigger {
            Trigger::When { condition, hold } => {
                scene.changes_after(condition, &mut add);
                *hold
            }
            Trigger::Step { hold, .. } => *hold,
            Trigger::Track { .. }
            | Trigger::Cron { .. }
            | Trigger::At { .. }
            | Trigger::Webhook { .. }
            | Trigger::Manual => None,
        };
        memory.next.into_iter().for_each(&mut add);
        memory.cooldown.iter().for_each(|cooldown| add(cooldown.until_ms));
        memory.since.iter().flatten().for_each(|since| add(since.saturating_add(hold.unwrap_or_default().0)));
        if let (Some(stabilize), Some((first, _))) = (rule.stabilize, memory.wishes.first()) {
            add(first.saturating_add(stabilize.0));
            // The highest wish of the look-back falls when the one after it has been its end for as long.
            memory.wishes.iter().for_each(|(at, _)| add(at.saturating_add(stabilize.0)));
        }
    }
    earliest.map(|at_ms| at_ms + if planted::is(Bug::LateTimer) { 1_000 } else { 0 })
}
