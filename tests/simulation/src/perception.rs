//! What a decision says its rules saw, against the judge's own [senses](crate::senses): whether each rule's
//! trigger holds, the value it read, and the size that `track` and `step` wish for it.

use crate::{
    book::Group,
    fraction::Fraction,
    judge::Broken,
    past,
    senses::{Glance, Seen, Senses, Value},
};
use weir_engine::{
    decision::{Decision, RuleState, Truth, Verdict},
    grammar::policy::{Aggregate, Rule, Side, Trigger},
};

const LAW: &str = "a rule sees what was heard, and nothing else";

/// Compares every rule of a decision.
///
/// # Errors
/// The first that saw something else.
pub fn check(group: &Group, decision: &Decision, intake_bad_ms: i64) -> Result<(), Broken> {
    // Where the bounds moved it first, rules saw another size.
    if !(decision.min..=decision.max).contains(&decision.from) {
        return Ok(());
    }
    let (policy, target) = (&*group.policy, decision.from);
    let glance = Glance { policy, at_ms: decision.at, target, intake_bad_ms };
    for (rule, state) in group.plan().rules.iter().zip(&decision.rules) {
        one(&group.senses, rule, state, &glance).map_err(|why| {
            let words = format!("`{}` of `{}` at {}: {why}: {state:?}", rule.name, decision.group, decision.at);
            Broken::new(LAW, words)
        })?;
    }
    let by = match &decision.outcome {
        Verdict::Changed { by, .. } if decision.to < decision.from => by,
        _ => return Ok(()),
    };
    let rule = group.plan().rules.iter().find(|rule| rule.name == *by);
    let Some((rule, stabilize)) = rule.and_then(|rule| Some((rule, rule.stabilize?))) else { return Ok(()) };
    // Sizes that were wished of another target say nothing about this one, and an authenticated force does not wait.
    let since_ms = decision.at - stabilize.0;
    let moved = group.changes.iter().any(|(at_ms, ..)| (since_ms..decision.at).contains(at_ms));
    if moved || decision.cause.starts_with("force ") {
        return Ok(());
    }
    past::lull(&group.senses, rule, stabilize.0, &glance).map_or(Ok(()), |edge_ms| {
        let why =
            format!("`{by}` of `{}` removes at {}, and did not wish to at {edge_ms}", decision.group, decision.at);
        Err(Broken::new("a removal that is to be stable goes to the highest wish of its while", why))
    })
}

fn one(senses: &Senses, rule: &Rule, state: &RuleState, glance: &Glance<'_>) -> Result<(), String> {
    let holds = matches!(state.state, Truth::Fires | Truth::Waiting);
    let same = |what: &str, expected: bool| if expected { Ok(()) } else { Err(what.to_owned()) };
    match &rule.trigger {
        Trigger::When { condition, hold } => match senses.truth(condition, glance) {
            Seen::Sure(true) => {
                same("the condition is true", holds)?;
                let held = match hold {
                    None => Seen::Sure(true),
                    Some(hold) => past::held(senses, rule, condition, hold.0, glance),
                };
                match held {
                    Seen::Sure(true) => same("it has been true for long enough", state.state == Truth::Fires),
                    Seen::Sure(false) => same("it has not been true for long enough", state.state == Truth::Waiting),
                    Seen::Unknown | Seen::Unsure => Ok(()),
                }
            }
            Seen::Sure(false) => same("the condition is false", state.state == Truth::No),
            Seen::Unknown => same("the condition is unknown", state.state == Truth::Unknown),
            Seen::Unsure => Ok(()),
        },
        Trigger::Step { aggregate, hold, arms } => {
            let Some(value) = known(senses, aggregate, state, glance)? else { return Ok(()) };
            if arms.iter().any(|arm| value.exact.is_near(arm.bound.0, value.off)) {
                return Ok(());
            }
            let reached = arms.iter().any(|arm| value.exact.is_above(arm.bound.0) == (arm.side == Side::From));
            same("an arm holds, or none", reached == holds && (hold.is_some() || state.state != Truth::Waiting))
        }
        Trigger::Track { aggregate, goal, within } => {
            let Some(value) = known(senses, aggregate, state, glance)? else { return Ok(()) };
            let (goal, tolerance) = (goal.0, i128::from(goal.0) * i128::from(within.0));
            // The edge of the tolerance lies between whole millionths; next to it rounding decides.
            let distance = value.exact.plus(Fraction::whole(-goal)).times(100_000);
            let near = |edge: i128| distance.is_near(i64::try_from(edge).unwrap_or(i64::MAX), 200_000 * value.off);
            if near(tolerance) || near(-tolerance) {
                return Ok(());
            }
            let (over, under) = (value.exact.is_above(goal), !value.exact.is_above(goal));
            let edge = i64::try_from(tolerance).unwrap_or(i64::MAX);
            let outside = distance.is_above(edge) || distance.times(-1).is_above(edge);
            let acts = outside && !(rule.add_only && under);
            same("it is outside of its tolerance, or is not", holds == acts)?;
            let Some(wish) = state.wish.filter(|_| acts) else { return Ok(()) };
            let load = if aggregate.per_server { i128::from(glance.target.max(1)) } else { i128::from(value.of) };
            let exact = value.exact.times(load);
            // One server more or less only where a rounded value would make that of it.
            let sizes = [exact, exact.plus(Fraction::whole(value.of * 2)), exact.plus(Fraction::whole(-value.of * 2))];
            let target = i128::from(glance.target);
            let wished = |size: &i128| if over { (*size).max(target) } else { (*size).min(target) };
            let mut sizes = sizes.map(|total| total.over(i128::from(goal)).ceil().max(0)).into_iter();
            let fits = sizes.any(|size| wished(&size) == i128::from(wish));
            same("it wishes the size that its goal asks for", fits)
        }
        Trigger::Cron { .. } | Trigger::At { .. } | Trigger::Webhook { .. } | Trigger::Manual => Ok(()),
    }
}

/// The value, where it is known and both agree that it is, and on how much.
fn known(
    senses: &Senses,
    aggregate: &Aggregate,
    state: &RuleState,
    glance: &Glance<'_>,
) -> Result<Option<Value>, String> {
    match senses.read(aggregate, glance) {
        Seen::Unsure => Ok(None),
        Seen::Unknown if state.state == Truth::Unknown => Ok(None),
        Seen::Unknown => Err("its value is unknown".to_owned()),
        Seen::Sure(value) if state.state == Truth::Unknown => Err(format!("its value is {:?}", value.exact)),
        Seen::Sure(value) => match shown(&state.seen) {
            // Shown to a tenth, of which half may have been rounded.
            Some(tenths) if value.exact.is_near(tenths * 100_000, 50_000 + value.off) => Ok(Some(value)),
            shown => Err(format!("its value is {:?} millionths, and {shown:?} tenths are shown", value.exact)),
        },
    }
}

/// The number after the first ` = `, in tenths.
fn shown(seen: &str) -> Option<i64> {
    let (_, rest) = seen.split_once(" = ")?;
    let number = rest.split([',', ' ']).next()?;
    let (whole, tenth) = number.split_once('.').unwrap_or((number, "0"));
    format!("{whole}{tenth}").parse().ok()
}
