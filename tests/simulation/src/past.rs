//! What was so over a stretch of time: whether a condition has held for its `for` (rule 10), and whether a rule wished to
//! remove all through its `stabilize` (rule 12). Reckoned anew at each edge from what had been heard by then; the engine
//! keeps an instant, or a list of wishes.

use crate::senses::{Glance, Seen, Senses, Value, pane_ms};
use weir_engine::grammar::policy::{Action, Aggregate, Condition, Rule, Side, Trigger};

/// Edges at which an aggregate is read anew: the one in force at `from_ms`, and all after it.
fn edges(glance: &Glance<'_>, aggregate: &Aggregate, from_ms: i64) -> impl Iterator<Item = i64> + use<> {
    let pane_ms = pane_ms(glance.policy, aggregate);
    let first_ms = from_ms.div_euclid(pane_ms) * pane_ms;
    let last_ms = glance.at_ms;
    (0..).map(move |pane| first_ms + pane * pane_ms).take_while(move |edge_ms| *edge_ms <= last_ms)
}

/// Whether a condition, which is true, has been true for `hold_ms`. Only of a comparison that nothing but edges changes.
#[must_use]
pub fn held(senses: &Senses, rule: &Rule, condition: &Condition, hold_ms: i64, glance: &Glance<'_>) -> Seen<bool> {
    let Condition::Compare(comparison) = condition else { return Seen::Unsure };
    if comparison.aggregate.per_server {
        return Seen::Unsure;
    }
    let from_ms = glance.at_ms - hold_ms;
    let mut held = Seen::Sure(true);
    for edge_ms in edges(glance, &comparison.aggregate, from_ms) {
        match senses.truth(condition, &Glance { at_ms: edge_ms, ..*glance }) {
            Seen::Sure(true) => {}
            Seen::Sure(false) => return Seen::Sure(false),
            // It stops a `for` that adds for a while, and ends one that does not.
            Seen::Unknown if !can_add(rule) => return Seen::Sure(false),
            Seen::Unknown | Seen::Unsure => held = Seen::Unsure,
        }
    }
    // An outage of ours may have begun it anew (rule 19).
    if held == Seen::Sure(true) && glance.intake_bad_ms >= from_ms { Seen::Unsure } else { held }
}

/// An edge within the last `over_ms` at which the rule, at this target, wished to remove nothing.
#[must_use]
pub fn lull(senses: &Senses, rule: &Rule, over_ms: i64, glance: &Glance<'_>) -> Option<i64> {
    let aggregate = match &rule.trigger {
        Trigger::Step { aggregate, .. } | Trigger::Track { aggregate, .. } => aggregate,
        _ => return None,
    };
    // What holds as the while begins counts, too.
    edges(glance, aggregate, glance.at_ms - over_ms).find(|edge_ms| {
        match senses.read(aggregate, &Glance { at_ms: *edge_ms, ..*glance }) {
            Seen::Sure(value) => !may_remove(&rule.trigger, value),
            Seen::Unknown => true,
            Seen::Unsure => false,
        }
    })
}

/// Whether a rule that reads this may wish less than there is.
fn may_remove(trigger: &Trigger, value: Value) -> bool {
    match trigger {
        Trigger::Step { arms, .. } => arms
            .iter()
            .filter(|arm| arm.side == Side::Below)
            .any(|arm| !value.exact.is_above(arm.bound.0) || value.exact.is_near(arm.bound.0, value.off)),
        Trigger::Track { goal, .. } => !value.exact.is_above(goal.0),
        _ => true,
    }
}

/// Whether what a rule does may make a group larger (rule 10).
fn can_add(rule: &Rule) -> bool {
    !matches!(rule.action, None | Some(Action::Remove(_) | Action::LowerTo(_)))
}
