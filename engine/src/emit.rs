//! From a decision to a command: the target moves, cooldowns start, the change counts against the limits.

use crate::{
    bounds::{self, Bounds},
    command::{Command, Hold},
    decide::{By, Case},
    group::{Cooldown, Group, SizeChange},
    planted::{self, Bug},
    view::LastChange,
};
use std::sync::Arc;
use weir_grammar::{
    limits::TIMER_MAX,
    policy::{Blocks, Direction},
};

/// Emitted changes remembered for limits; far above what limits of a day at the group's own cooldown can need.
const CHANGES_MAX: usize = 4_096;

/// Moves the group to `to` and gives the command, where executors must hear of it: the target moved, servers are made
/// differently from now on, or something else must be left alone.
pub fn emit(group: &mut Group, case: &Case<'_>, bounds: &Bounds, to: u32, by: By) -> Option<Command> {
    let now_ms = case.moment.now_ms;
    let from = group.target;
    let rule = match by {
        By::Rule(index) => case.plan.rules.get(index).map(|rule| (index, rule)),
        By::Bounds | By::Hand => None,
    };
    if to != from {
        let direction = if to > from { Direction::Add } else { Direction::Remove };
        group.target = to;
        remember(group, SizeChange { at_ms: now_ms, direction, servers: to.abs_diff(from) });
        let name = match (by, rule) {
            (_, Some((_, rule))) => rule.name.clone(),
            (By::Hand, None) => "hand".to_owned(),
            (By::Rule(_) | By::Bounds, None) => "bounds".to_owned(),
        };
        group.last_change = Some(Box::new(LastChange { at: now_ms, by: name, from, to }));
        if direction == Direction::Add {
            group.unsettled_since = Some(now_ms);
        }
        if let Some((index, rule)) = rule {
            // Only the winner's cooldown starts, and the group's; corrections of the bounds start none.
            if let (Some(length), Some(memory)) = (rule.cooldown, group.rules.get_mut(index)) {
                memory.cooldown = Some(stronger(memory.cooldown, now_ms, length.0, direction));
            }
            group.cooldown = Some(stronger(group.cooldown, now_ms, case.plan.cooldown.0, direction));
            lift(group, case, index, direction);
        } else if by == By::Hand {
            // As after a force: what a person did must first show its effect.
            group.cooldown = Some(stronger(group.cooldown, now_ms, case.plan.cooldown.0, direction));
        }
    }
    let hold = hold(group, case);
    // One text is nearly always both, and then it is not read.
    let ours = &case.wiring.spec_print;
    let respecified = !Arc::ptr_eq(&group.spec_print, ours) && group.spec_print != *ours;
    let hands = group.by_hand.hands();
    let handled = hands != group.by_hand.sent;
    if to == from && hold == group.hold && !respecified && !handled && group.generation > 0 {
        return None;
    }
    let name = match rule {
        Some((_, rule)) => rule.name.clone(),
        None if by == By::Hand => "hand".into(),
        None if group.generation == 0 => "start".into(),
        None if to != from => "bounds".into(),
        None if respecified => "policy".into(),
        None if handled => "hand".into(),
        None => "hold".into(),
    };
    group.generation += u64::from(to != from || !planted::is(Bug::ForgottenGeneration));
    group.hold = hold;
    if handled {
        group.by_hand.sent.clone_from(&hands);
    }
    group.spec_print = Arc::clone(ours);
    Some(Command {
        tenant: case.tenant.to_owned(),
        group: case.name.to_owned(),
        uid: group.uid,
        generation: group.generation,
        target: to,
        min: bounds.min,
        max: bounds.max,
        decided: now_ms,
        cause: case.position,
        by: name,
        spec: (*case.wiring.spec).clone(),
        hold,
        by_hand: hands,
        retired: None,
    })
}

fn remember(group: &mut Group, change: SizeChange) {
    // As long as any limit may look back, whatever the present ones do: the next version may look further.
    let begins = change.at_ms.saturating_sub(TIMER_MAX.0);
    group.changes.retain(|known| known.at_ms > begins);
    group.changes.push(change);
    let surplus = group.changes.len().saturating_sub(CHANGES_MAX);
    group.changes.drain(..surplus);
}

/// A new cooldown never shortens one that is running, nor lets through what that one delays.
fn stronger(running: Option<Cooldown>, now_ms: i64, length_ms: i64, direction: Direction) -> Cooldown {
    let new = Cooldown { until_ms: now_ms.saturating_add(length_ms), after: direction };
    match running.filter(|running| now_ms < running.until_ms) {
        Some(running) => Cooldown {
            until_ms: running.until_ms.max(new.until_ms),
            after: if running.after == Direction::Add { Direction::Add } else { new.after },
        },
        None => new,
    }
}

/// A rule that an open freeze excepts, or a force that it does not hold, must reach the executors too.
fn lift(group: &mut Group, case: &Case<'_>, index: usize, direction: Direction) {
    let freeze = bounds::frozen(group, case.plan, direction, None);
    let forced = case.forced.is_some();
    if let Some((freeze, until)) = freeze
        && (freeze.except.contains(&index) || forced)
    {
        group.lifted = Some((direction, until));
    }
}

/// What executors must leave alone (rule 17).
fn hold(group: &Group, case: &Case<'_>) -> Hold {
    let now_ms = case.moment.now_ms;
    if group.paused(now_ms).is_some() {
        return Hold { add: true, remove: true, repair: true };
    }
    let off = |direction| case.standing.switched_off(&case.plan.region, direction, now_ms).is_some();
    let lifted = |direction| group.lifted.is_some_and(|(which, until)| which == direction && now_ms < until);
    let mut hold = Hold { add: off(Direction::Add), remove: off(Direction::Remove), repair: false };
    for (freeze, _) in bounds::open_freezes(group, case.plan) {
        match freeze.blocks {
            Blocks::All => {
                hold.add |= !lifted(Direction::Add);
                hold.remove |= !lifted(Direction::Remove);
                hold.repair = true;
            }
            Blocks::Only(Direction::Remove) => hold.remove |= !lifted(Direction::Remove),
            // New servers are held by the rules' guards; replacing a lost one is no addition.
            Blocks::Only(Direction::Add) => {}
        }
    }
    hold
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removal_does_not_let_through_what_an_addition_delays() {
        let running = Some(Cooldown { until_ms: 100, after: Direction::Add });
        let both = stronger(running, 50, 10, Direction::Remove);
        assert_eq!(both, Cooldown { until_ms: 100, after: Direction::Add });
        assert_eq!(stronger(running, 100, 10, Direction::Remove), Cooldown { until_ms: 110, after: Direction::Remove });
    }
}
