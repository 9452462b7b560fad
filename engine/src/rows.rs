//! Rows of the views, made from the state after a step.

use crate::{
    bounds,
    group::Group,
    partition::Partition,
    tenant::{GroupId, Tenant},
    time,
    view::{Change, GroupRow, PolicyRow, Row, RuleRow},
};
use weir_grammar::policy::Trigger;

/// The row of a group.
#[must_use]
pub(crate) fn group(partition: &Partition, id: GroupId) -> Option<Row> {
    let group = partition.at(id)?;
    let tenant = partition.state.tenants.get(group.tenant as usize)?;
    let row = group_row(partition, tenant, id, group)?;
    Some(Row { tenant: tenant.name.clone(), name: group.name.clone(), change: Change::Group(Box::new(row)) })
}

/// A group as `weir status` shows it.
fn group_row(partition: &Partition, tenant: &Tenant, id: GroupId, group: &Group) -> Option<GroupRow> {
    let file = tenant.files.get(&group.file)?;
    let plan = &partition.program(id)?.plan;
    let bounds = bounds::of(group, plan);
    Some(GroupRow {
        group: group.name.clone(),
        uid: group.uid,
        policy: group.file.clone(),
        version: file.version,
        region: plan.region.clone(),
        target: group.target,
        ready: group.members.ready_count(),
        building: group.building(),
        min: bounds.min,
        max: bounds.max,
        overridden: group.by_hand.bounds.clone(),
        generation: group.generation,
        state: state(group, partition.t()),
        last_change: group.last_change.as_deref().cloned(),
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
    let standing = standing(group, t_ms);
    match &group.by_hand.bounds {
        Some(hand) => format!("{standing}, {}", hand.words(&time::rfc3339)),
        None => standing,
    }
}

fn standing(group: &Group, t_ms: i64) -> String {
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
        std::cmp::Ordering::Less => {
            let (over, kept) = (ready - group.target, group.kept_over());
            match over.saturating_sub(kept) {
                0 => format!("{over} over its target, protected"),
                leaving if kept == 0 => format!("{leaving} leaving"),
                leaving => format!("{leaving} leaving, {kept} over its target, protected"),
            }
        }
        std::cmp::Ordering::Equal => "ok".into(),
    }
}

/// The row of a policy file in force, with why the newest deploy was refused, where it was.
#[must_use]
pub fn policy(partition: &Partition, tenant: &str, name: &str, refused: Option<String>) -> Row {
    let owner = partition.tenant(tenant);
    let file = owner.and_then(|owner| owner.files.get(name));
    let groups = owner.into_iter().flat_map(|owner| &owner.groups);
    let here = |id: GroupId| partition.at(id).is_some_and(|group| group.file == name);
    let row = PolicyRow {
        name: name.to_owned(),
        version: file.map_or(0, |file| file.version),
        hash: file.map_or_else(String::new, |file| file.hash.clone()),
        text: file.map_or_else(String::new, |file| file.text.clone()),
        setup: file.map(|file| file.setup.clone()).unwrap_or_default(),
        capabilities: file.map(|file| file.capabilities.clone()).unwrap_or_default(),
        groups: groups.filter(|(_, id)| here(**id)).map(|(group, _)| group.clone()).collect(),
        refused,
    };
    Row { tenant: tenant.to_owned(), name: name.to_owned(), change: Change::Policy(Box::new(row)) }
}
