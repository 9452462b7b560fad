//! A policy file is deployed: judged in the order of the log, whole or not at all (rules 20 and 21).

use crate::{
    aggregate,
    event::{Capability, Deploy},
    group::Group,
    id::GroupUid,
    intake,
    partition::Step,
    tenant::{Compiled, File},
};
use std::sync::Arc;
use weir_grammar::policy::{self, Metric, Policy, Rule, Trigger};

/// Policy files a tenant.
pub const FILES_MAX: usize = 1_024;

/// Puts a file in force, or leaves everything as it is and says why.
pub(crate) fn deploy(step: &mut Step<'_>, tenant: &str, deploy: &Deploy) {
    match accept(step, tenant, deploy) {
        Ok(groups) => {
            intake::show_policy(step, tenant, &deploy.name, None);
            for group in groups {
                step.catch_up(tenant, &group);
                step.touch(tenant, &group, &format!("policy {}", deploy.name));
            }
        }
        Err(why) => intake::show_policy(step, tenant, &deploy.name, Some(why)),
    }
}

fn accept(step: &mut Step<'_>, tenant: &str, deploy: &Deploy) -> Result<Vec<String>, String> {
    let compiled = File::compile(&deploy.name, &deploy.text, &deploy.setup)?;
    let owner = step.tenant(tenant);
    for plan in &compiled.policy.groups {
        if let Some(group) = owner.groups.get(&plan.name).filter(|group| group.file != deploy.name) {
            return Err(format!("group `{}` lives in `{}`; a group lives in one file", plan.name, group.file));
        }
    }
    let lost = owner.groups.iter().find(|(name, group)| {
        group.file == deploy.name && !compiled.policy.groups.iter().any(|plan| plan.name == **name)
    });
    if let Some((name, _)) = lost {
        return Err(format!(
            "group `{name}` is missing from the file; remove it first, saying what becomes of its servers"
        ));
    }
    if owner.files.len() >= FILES_MAX && !owner.files.contains_key(&deploy.name) {
        return Err(format!("a tenant has at most {FILES_MAX} policy files"));
    }
    let hash = File::hash_of(&deploy.text, &deploy.setup);
    let before = owner.files.get(&deploy.name);
    let same = before.is_some_and(|file| file.hash == hash);
    let complete = compiled.policy.groups.iter().all(|plan| owner.groups.contains_key(&plan.name));
    if same && complete {
        return Ok(Vec::new());
    }
    let version = before.map_or(0, |file| file.version).saturating_add(1);
    let capabilities =
        capabilities(&compiled.policy, before.map_or(&[], |file| &file.capabilities), &deploy.capabilities);
    let file = File { version, text: deploy.text.clone(), setup: deploy.setup.clone(), hash, capabilities };
    owner.files.insert(deploy.name.clone(), file);
    let key = (tenant.to_owned(), deploy.name.clone());
    let compiled = Arc::new(compiled);
    let old = step.partition.compiled.insert(key, Arc::clone(&compiled));
    Ok(compiled.policy.groups.iter().map(|plan| fit(step, tenant, deploy, &compiled, old.as_deref(), plan)).collect())
}

/// The capabilities in force: what a rule already has stays, what the deploy offers fills the rest.
fn capabilities(policy: &Policy, kept: &[Capability], offered: &[Capability]) -> Vec<Capability> {
    let webhooks = policy.groups.iter().flat_map(|plan| plan.rules.iter().map(move |rule| (plan, rule)));
    webhooks
        .filter(|(_, rule)| matches!(rule.trigger, Trigger::Webhook { .. }))
        .filter_map(|(plan, rule)| {
            let of = |one: &&Capability| one.group == plan.name && one.rule == rule.name;
            kept.iter().find(of).or_else(|| offered.iter().find(of)).cloned()
        })
        .collect()
}

/// Makes a group, or fits the one that is there to the new version.
fn fit(
    step: &mut Step<'_>,
    tenant: &str,
    deploy: &Deploy,
    compiled: &Compiled,
    old: Option<&Compiled>,
    plan: &policy::Group,
) -> String {
    let t_ms = step.t();
    let uid = GroupUid::derive(&step.partition.state.log_id, step.position, tenant, &plan.name);
    let owner = step.tenant(tenant);
    let group = owner.groups.entry(plan.name.clone()).or_insert_with(|| Group::new(uid, &deploy.name));
    let mut memories = std::mem::take(&mut group.rules);
    for rule in &plan.rules {
        let mut memory = memories.remove(&rule.name).unwrap_or_default();
        let meaning = meaning(rule);
        if memory.meaning != meaning {
            // `for`, `stabilize` and schedules start again; a cooldown runs on.
            memory.since.clear();
            memory.unknown_since = None;
            memory.wishes.clear();
            memory.next = first_run(rule, t_ms);
            memory.meaning = meaning;
        }
        group.rules.insert(rule.name.clone(), memory);
    }
    let same = |name: &str| {
        let old = old.and_then(|old| old.policy.metrics.iter().find(|metric| metric.name == name));
        let new = compiled.policy.metrics.iter().find(|metric| metric.name == name);
        old.zip(new).is_some_and(|(old, new)| same_line(old, new))
    };
    aggregate::fit_windows(group, &compiled.policy, &plan.rules, same);
    group.edges.clear();
    group.alarms.retain(|name, _| compiled.policy.alarms.iter().any(|alarm| alarm.name == *name));
    group.heard.retain(|name, _| compiled.policy.metrics.iter().any(|metric| metric.name == *name));
    plan.name.clone()
}

fn same_line(old: &Metric, new: &Metric) -> bool {
    Metric { span: new.span, ..old.clone() } == *new
}

/// What a rule means: its own words, and the zone that its schedule is read in.
fn meaning(rule: &Rule) -> String {
    match &rule.trigger {
        Trigger::Cron { zone, .. } => format!("{} in {}", rule.meaning, zone.name()),
        Trigger::At { at_ms } => format!("{} at {at_ms}", rule.meaning),
        _ => rule.meaning.clone(),
    }
}

/// The first instant of a schedule after its deploy.
fn first_run(rule: &Rule, t_ms: i64) -> Option<i64> {
    match &rule.trigger {
        Trigger::Cron { cron, zone } => cron.next_after(*zone, t_ms),
        Trigger::At { at_ms } => Some(*at_ms).filter(|at_ms| *at_ms > t_ms),
        _ => None,
    }
}
