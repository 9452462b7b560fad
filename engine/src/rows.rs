//! Rows of the views, made from the state after a step.

use crate::{
    bounds,
    group::Group,
    partition::Partition,
    time,
    view::{Change, GroupRow, PolicyRow, Row, RuleRow},
};
use weir_grammar::policy::Trigger;

/// The row of a group, or that it is gone.
#[must_use]
pub fn group(partition: &Partition, tenant: &str, name: &str) -> Row {
    let change = group_row(partition, tenant, name).map_or(Change::GroupGone, |row| Change::Group(Box::new(row)));
    Row { tenant: tenant.to_owned(), name: name.to_owned(), change }
}

/// A group as `weir status` shows it.
#[must_use]
pub fn group_row(partition: &Partition, tenant: &str, name: &str) -> Option<GroupRow> {
    let owner = partition.state.tenants.get(tenant)?;
    let group = owner.groups.get(name)?;
    let file = owner.files.get(&group.file)?;
    let compiled = partition.compiled.get(&(tenant.to_owned(), group.file.clone()))?;
    let plan = compiled.policy.groups.iter().find(|plan| plan.name == name)?;
    let bounds = bounds::of(group, plan);
    Some(GroupRow {
        group: name.to_owned(),
        uid: group.uid,
        policy: group.file.clone(),
        version: file.version,
        region: plan.region.clone(),
        target: group.target,
        ready: group.members.ready_count(),
        building: group.building(),
        min: bounds.min,
        max: bounds.max,
        generation: group.generation,
        state: state(group, partition.t()),
        last_change: group.last_change.clone(),
        rules: plan
            .rules
            .iter()
            .map(|rule| RuleRow {
                rule: rule.name.clone(),
                forceable: rule.forceable,
                webhook: matches!(rule.trigger, Trigger::Webhook { .. }),
            })
            .collect(),
        at: partition.t(),
    })
}

fn state(group: &Group, t_ms: i64) -> String {
    if let Some(pause) = group.paused(t_ms) {
        let until = pause.until_ms.map_or_else(String::new, |until| format!(" until {}", time::rfc3339(until)));
        let reason = if pause.reason.is_empty() { String::new() } else { format!(": {:?}", pause.reason) };
        return format!("paused by {}{until}{reason}", pause.actor);
    }
    if let Some(words) = &group.degraded {
        return format!("degraded: {words}");
    }
    let ready = group.members.ready_count();
    match group.target.cmp(&ready) {
        std::cmp::Ordering::Greater => format!("{} building", group.building()),
        std::cmp::Ordering::Less => format!("{} leaving", ready - group.target),
        std::cmp::Ordering::Equal => "ok".into(),
    }
}

/// The row of a policy file in force, with why the newest deploy was refused, where it was.
#[must_use]
pub fn policy(partition: &Partition, tenant: &str, name: &str, refused: Option<String>) -> Row {
    let file = partition.state.tenants.get(tenant).and_then(|owner| owner.files.get(name));
    let groups = partition.state.tenants.get(tenant).into_iter().flat_map(|owner| &owner.groups);
    let row = PolicyRow {
        name: name.to_owned(),
        version: file.map_or(0, |file| file.version),
        hash: file.map_or_else(String::new, |file| file.hash.clone()),
        text: file.map_or_else(String::new, |file| file.text.clone()),
        setup: file.map(|file| file.setup.clone()).unwrap_or_default(),
        capabilities: file.map(|file| file.capabilities.clone()).unwrap_or_default(),
        groups: groups.filter(|(_, group)| group.file == name).map(|(group, _)| group.clone()).collect(),
        refused,
    };
    Row { tenant: tenant.to_owned(), name: name.to_owned(), change: Change::Policy(Box::new(row)) }
}
