//! Orders of operators and customers: pause, resume, remove, kill switch, quota. Every one has an actor.

use crate::{
    command::{Command, Retired},
    event::{Control, Order},
    group::Pause,
    intake,
    partition::Step,
    standing::KillSwitch,
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
    step.catch_up(tenant, group);
    match step.tenant(tenant).groups.get_mut(group) {
        Some(known) => {
            known.pause = pause;
            step.touch(tenant, group, cause);
        }
        None => intake::drop_fact(step, tenant, "order for a group that is not there"),
    }
}

/// A group goes. The last command of its uid says what becomes of the servers.
fn remove(step: &mut Step<'_>, tenant: &str, group: &str, keep_servers: bool) {
    step.catch_up(tenant, group);
    let (position, t_ms) = (step.position, step.t());
    let Some(known) = step.tenant(tenant).groups.remove(group) else {
        return intake::drop_fact(step, tenant, "order for a group that is not there");
    };
    step.reschedule(tenant, group, known.due, None);
    step.tenant(tenant).index_names();
    let compiled = step.partition.compiled.get(&(tenant.to_owned(), known.file.clone()));
    let spec = compiled.and_then(|compiled| compiled.group(group)).map(|(_, wiring)| wiring.spec.clone());
    if let Some(spec) = spec {
        step.effects.commands.push(Command {
            tenant: tenant.to_owned(),
            group: group.to_owned(),
            uid: known.uid,
            generation: known.generation + 1,
            target: if keep_servers { known.target } else { 0 },
            min: 0,
            max: known.target,
            decided: t_ms,
            cause: position,
            by: "remove".into(),
            spec,
            hold: crate::command::Hold::default(),
            retired: Some(if keep_servers { Retired::Keep } else { Retired::Delete }),
        });
    }
    step.touched.insert((tenant.to_owned(), group.to_owned()));
    intake::show_policy(step, tenant, &known.file, None);
}

fn touch_all(step: &mut Step<'_>, tenant: &str, cause: &str) {
    let groups: Vec<String> = step.tenant(tenant).groups.keys().cloned().collect();
    for group in groups {
        step.catch_up(tenant, &group);
        step.touch(tenant, &group, cause);
    }
    let t_ms = step.t();
    let row = Box::new(step.tenant(tenant).row(t_ms));
    step.effects.rows.push(Row { tenant: tenant.to_owned(), name: String::new(), change: Change::Tenant(row) });
}
