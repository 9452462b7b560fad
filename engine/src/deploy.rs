//! A policy file is deployed: judged in the order of the log, whole or not at all (rules 20 and 21).

use crate::{
    aggregate,
    event::{Capability, Deploy},
    group::{Edge, Group, RuleMemory},
    id::GroupUid,
    intake,
    partition::Step,
    program::{Compiled, Program},
    tenant::{File, GroupId},
    wiring::{OWN_EVENTS, Pane},
};
use smallvec::SmallVec;
use std::sync::Arc;
use weir_grammar::policy::{Metric, Policy, Rule, Trigger};

/// Policy files a tenant.
pub const FILES_MAX: usize = 1_024;

/// Puts a file in force, or leaves everything as it is and says why.
pub(crate) fn deploy(step: &mut Step<'_>, tenant: &str, deploy: &Deploy) {
    match accept(step, tenant, deploy) {
        Ok(groups) => {
            intake::show_policy(step, tenant, &deploy.name, None);
            for id in groups {
                step.catch_up(id);
                step.touch(id, &format!("policy {}", deploy.name));
            }
        }
        Err(why) => intake::show_policy(step, tenant, &deploy.name, Some(why)),
    }
}

fn accept(step: &mut Step<'_>, tenant: &str, deploy: &Deploy) -> Result<Vec<GroupId>, String> {
    let compiled = Compiled::of(&deploy.name, &deploy.text, &deploy.setup, &mut step.partition.pool)?;
    let ids: Vec<GroupId> = step.tenant(tenant).groups.values().copied().collect();
    for group in ids.iter().filter_map(|id| step.partition.at(*id)) {
        let declared = compiled.program(&group.name).is_some();
        if declared && group.file != deploy.name {
            return Err(format!("group `{}` lives in `{}`; a group lives in one file", group.name, group.file));
        }
        if !declared && group.file == deploy.name {
            return Err(format!(
                "group `{}` is missing from the file; remove it first, saying what becomes of its servers",
                group.name
            ));
        }
    }
    let owner = step.tenant(tenant);
    if owner.files.len() >= FILES_MAX && !owner.files.contains_key(&deploy.name) {
        return Err(format!("a tenant has at most {FILES_MAX} policy files"));
    }
    let hash = File::hash_of(&deploy.text, &deploy.setup);
    let before = owner.files.get(&deploy.name);
    let same = before.is_some_and(|file| file.hash == hash);
    let complete = compiled.0.iter().all(|(name, _)| owner.groups.contains_key(name));
    if same && complete {
        return Ok(Vec::new());
    }
    let version = before.map_or(0, |file| file.version).saturating_add(1);
    let capabilities = capabilities(&compiled, before.map_or(&[], |file| &file.capabilities), &deploy.capabilities);
    let file = File { version, text: deploy.text.clone(), setup: deploy.setup.clone(), hash, capabilities };
    owner.files.insert(deploy.name.clone(), file);
    let groups = compiled.0.into_iter();
    Ok(groups.filter_map(|(name, program)| fit(step, tenant, &deploy.name, &name, &program)).collect())
}

/// The capabilities in force: what a rule already has stays, what the deploy offers fills the rest.
fn capabilities(compiled: &Compiled, kept: &[Capability], offered: &[Capability]) -> Vec<Capability> {
    let rules = compiled.0.iter().flat_map(|(name, program)| program.plan.rules.iter().map(move |rule| (name, rule)));
    rules
        .filter(|(_, rule)| matches!(rule.trigger, Trigger::Webhook { .. }))
        .filter_map(|(name, rule)| {
            let of = |one: &&Capability| one.group == *name && one.rule == rule.name;
            kept.iter().find(of).or_else(|| offered.iter().find(of)).cloned()
        })
        .collect()
}

/// Makes a group of the file, or fits the one that is there to the new version.
fn fit(step: &mut Step<'_>, tenant: &str, file: &str, name: &str, program: &Arc<Program>) -> Option<GroupId> {
    let t_ms = step.t();
    let id = match step.tenant(tenant).groups.get(name).copied() {
        Some(id) => {
            step.catch_up(id);
            id
        }
        None => {
            let uid = GroupUid::derive(&step.partition.state.log_id, step.position, tenant, name);
            let owner = step.tenant_place(tenant);
            step.found(tenant, Group::new(owner, name, uid, file))
        }
    };
    let old = step.partition.programs.get_mut(id as usize).and_then(|kept| kept.replace(Arc::clone(program)));
    let owner = step.tenant(tenant);
    owner.listeners.retain(|listener| *listener != id);
    if program.listens() {
        owner.listeners.push(id);
        owner.listeners.sort_unstable();
    }
    let Program { policy, plan, wiring } = &**program;
    let group = step.group(id)?;
    let mut memories = std::mem::take(&mut group.rules);
    group.rules.reserve_exact(plan.rules.len());
    for (rule, (name, meaning)) in plan.rules.iter().zip(wiring.names.iter().zip(&wiring.meanings)) {
        let known = memories.iter_mut().find(|memory| memory.name == *name).map(std::mem::take);
        group.rules.push(remember(rule, name, meaning, known.unwrap_or_default(), t_ms));
    }
    fit_lists(group, policy, old.as_ref().map(|old| &*old.policy));
    aggregate::fit(
        group,
        wiring,
        |place| {
            let pane = wiring.windows.get(place)?;
            let old = old.as_ref()?;
            let metric = policy.metrics.get(pane.metric)?;
            let same = |known: &Pane| {
                let kept = old.policy.metrics.get(known.metric).is_some_and(|old| same_line(old, metric));
                kept && (known.pane_ms, known.sketch) == (pane.pane_ms, pane.sketch)
            };
            old.wiring.windows.iter().position(same)
        },
        |wired| old.as_ref()?.wiring.aggregates.iter().position(|known| known.words == wired.words),
    );
    group.edges = SmallVec::from_elem(Edge::default(), plan.windows.len() + plan.freezes.len());
    Some(id)
}

/// What a rule remembers under a new version: `for`, `stabilize` and schedules start again where it means something
/// else; a cooldown runs on.
fn remember(rule: &Rule, name: &Arc<str>, meaning: &Arc<str>, known: RuleMemory, t_ms: i64) -> RuleMemory {
    let (name, meaning) = (Arc::clone(name), Arc::clone(meaning));
    if known.meaning == meaning {
        return RuleMemory { name, meaning, ..known };
    }
    RuleMemory { name, meaning, cooldown: known.cooldown, next: first_run(rule, t_ms), ..RuleMemory::default() }
}

/// Moves alarms, counted events and what was heard to their places in the new version, by name.
fn fit_lists(group: &mut Group, policy: &Policy, before: Option<&Policy>) {
    let old = |place: Option<usize>| place.unwrap_or(usize::MAX);
    let mut alarms = std::mem::take(&mut group.alarms);
    for alarm in &policy.alarms {
        let place = before.and_then(|before| before.alarms.iter().position(|known| known.name == alarm.name));
        group.alarms.push(alarms.get_mut(old(place)).map(std::mem::take).unwrap_or_default());
    }
    let heard = std::mem::take(&mut group.heard);
    for metric in &policy.metrics {
        let place = before.and_then(|before| before.metrics.iter().position(|known| known.name == metric.name));
        group.heard.push(heard.get(old(place)).copied().flatten());
    }
    let mut counts = std::mem::take(&mut group.counts);
    counts.resize(counts.len().max(OWN_EVENTS), Vec::new());
    group.counts.extend(counts.iter_mut().take(OWN_EVENTS).map(std::mem::take));
    for event in &policy.events {
        let place = before.and_then(|before| before.events.iter().position(|known| known.name == event.name));
        let kept = counts.get_mut(old(place.map(|place| place + OWN_EVENTS)));
        group.counts.push(kept.map(std::mem::take).unwrap_or_default());
    }
}

fn same_line(old: &Metric, new: &Metric) -> bool {
    Metric { span: new.span, ..old.clone() } == *new
}

/// The first instant of a schedule after its deploy.
fn first_run(rule: &Rule, t_ms: i64) -> Option<i64> {
    match &rule.trigger {
        Trigger::Cron { cron, zone } => cron.next_after(*zone, t_ms),
        Trigger::At { at_ms } => Some(*at_ms).filter(|at_ms| *at_ms > t_ms),
        _ => None,
    }
}
