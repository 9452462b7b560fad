//! Orders of operators and customers: pause, resume, override, remove, kill switch, quota. Every one has an actor.

use crate::{
    by_hand::{OVERRIDE_MAX_MS, Override},
    command::{Command, Hands, Hold, Retired},
    deed,
    event::{Control, Order},
    group::Pause,
    intake,
    partition::Step,
    standing::KillSwitch,
    tenant::GroupId,
    view::{Change, Row},
};

/// Obeys an order at the log's time.
pub(crate) fn obey(step: &mut Step<'_>, tenant: &str, control: &Control) {
    match &control.order {
        Order::Pause { group, until } => {
            let pause = Pause { actor: control.actor.clone(), reason: control.reason.clone(), until_ms: *until };
            set_pause(step, tenant, group, Some(pause), &format!("pause by {}", control.actor));
        }
        Order::Resume { group } => set_pause(step, tenant, group, None, &format!("resume by {}", control.actor)),
        Order::Override { group, floor, ceiling, until } => {
            // The door refuses what is too long; here it is bounded, whatever the door's clock said.
            let until = (*until).min(step.t().saturating_add(OVERRIDE_MAX_MS));
            let (actor, reason) = (control.actor.clone(), control.reason.clone());
            let bounds = Override { floor: *floor, ceiling: *ceiling, until, actor, reason };
            if bounds.floor.zip(bounds.ceiling).is_some_and(|(floor, ceiling)| floor > ceiling) {
                intake::drop_fact(step, tenant, "override whose floor is above its ceiling");
            } else if until <= step.t() {
                intake::drop_fact(step, tenant, "override whose end is past");
            } else {
                set_bounds(step, tenant, group, Some(bounds), &format!("override by {}", control.actor));
            }
        }
        Order::LiftOverride { group } => {
            set_bounds(step, tenant, group, None, &format!("override lifted by {}", control.actor));
        }
        Order::Server { group, server, act } => deed::order(step, tenant, control, group, server, act),
        Order::Remove { group, keep_servers } => remove(step, tenant, group, *keep_servers),
        Order::KillSwitch { region, adding, removing, until } => {
            let owner = step.tenant(tenant);
            owner.switches.retain(|switch| switch.region != *region);
            owner.switches.push(KillSwitch {
                region: region.clone(),
                adding: *adding,
                removing: *removing,
                until_ms: *until,
                actor: control.actor.clone(),
                reason: control.reason.clone(),
            });
            owner.switches.retain(|switch| switch.adding || switch.removing);
            touch_all(step, tenant, &format!("kill switch by {}", control.actor));
        }
        Order::Quota { servers } => {
            step.tenant(tenant).quota = *servers;
            touch_all(step, tenant, &format!("quota by {}", control.actor));
        }
    }
}

fn set_pause(step: &mut Step<'_>, tenant: &str, group: &str, pause: Option<Pause>, cause: &str) {
    let Some(id) = step.tenant(tenant).groups.get(group).copied() else {
        return intake::drop_fact(step, tenant, "order for a group that is not there");
    };
    step.catch_up(id);
    if let Some(known) = step.group(id) {
        known.pause = pause.map(Box::new);
    }
    step.touch(id, cause);
}

fn set_bounds(step: &mut Step<'_>, tenant: &str, group: &str, bounds: Option<Override>, cause: &str) {
    let Some(id) = step.tenant(tenant).groups.get(group).copied() else {
        return intake::drop_fact(step, tenant, "order for a group that is not there");
    };
    step.catch_up(id);
    if let Some(known) = step.group(id) {
        known.by_hand.bounds = bounds;
    }
    step.touch(id, cause);
}

/// A group goes. The last command of its uid says what becomes of the servers.
fn remove(step: &mut Step<'_>, tenant: &str, group: &str, keep_servers: bool) {
    let Some(id) = step.tenant(tenant).groups.get(group).copied() else {
        return intake::drop_fact(step, tenant, "order for a group that is not there");
    };
    step.catch_up(id);
    let spec = step.partition.program(id).map(|program| (*program.wiring.spec).clone());
    let (Some(known), Some(spec)) = (step.bury(tenant, id), spec) else { return };
    step.effects.commands.push(Command {
        tenant: tenant.to_owned(),
        group: group.to_owned(),
        uid: known.uid,
        generation: known.generation + 1,
        target: if keep_servers { known.target } else { 0 },
        min: 0,
        max: known.target,
        decided: step.t(),
        cause: step.position,
        by: "remove".into(),
        spec,
        hold: Hold::default(),
        // Who was to run on runs on, also where no executor heard of it yet.
        by_hand: Hands { detached: known.by_hand.hands().detached, ..Hands::default() },
        retired: Some(if keep_servers { Retired::Keep } else { Retired::Delete }),
    });
    step.effects.rows.push(Row { tenant: tenant.to_owned(), name: group.to_owned(), change: Change::GroupGone });
    intake::show_policy(step, tenant, &known.file, None);
}

fn touch_all(step: &mut Step<'_>, tenant: &str, cause: &str) {
    let groups: Vec<GroupId> = step.tenant(tenant).groups.values().copied().collect();
    for id in groups {
        step.catch_up(id);
        step.touch(id, cause);
    }
    let t_ms = step.t();
    let row = Box::new(step.tenant(tenant).row(t_ms));
    step.effects.rows.push(Row { tenant: tenant.to_owned(), name: String::new(), change: Change::Tenant(row) });
}
