//! How each kind of fact finds the groups it concerns and changes what they know (rules 1, 2, 3, 6 and 7).
//!
//! Samples only fill windows, which are read at their edges; everything else makes its groups look at once. A fact that
//! fits nothing changes nothing and is counted.

use crate::{
    aggregate::SHARED,
    control, deploy,
    event::{About, Alarm, Event, Fact, Force, Happened, Heartbeat, Sample},
    group::AlarmMemory,
    id::Slot,
    outcome::{Happening, Outcome},
    partition::{Step, Why},
    rows,
    tenant::{Compiled, FORCES_MAX},
    view::{Change, Row},
    wiring::{Wiring, event_place},
};
use std::{collections::BTreeMap, sync::Arc};
use weir_grammar::policy::{AlarmState, Counted, Metric};

/// A sample this far from `t`, milliseconds, is dropped (rule 1).
pub const SAMPLE_SKEW_MS: i64 = 30_000;

/// Whom one shared alarm may be about at once.
const SUBJECTS_MAX: usize = 1_024;

/// Times kept of one counted event; beyond it the oldest go, which no threshold reaches.
const COUNTED_MAX: usize = 4_096;

/// Applies a fact at the log's time.
pub(crate) fn apply(step: &mut Step<'_>, event: &Event) {
    let tenant = event.tenant.as_str();
    match &event.fact {
        Fact::Alarm(alarm) => hear_alarm(step, tenant, alarm),
        Fact::Samples(samples) => samples.iter().for_each(|sample| take_sample(step, tenant, sample)),
        Fact::Force(force) => force_rule(step, tenant, &event.id, force),
        Fact::Policy(policy) => deploy::deploy(step, tenant, policy),
        Fact::Control(order) => control::obey(step, tenant, order),
        Fact::Happened(happened) => count(step, tenant, happened),
        Fact::Outcome(outcome) => learn(step, tenant, outcome),
        Fact::Heartbeat(Heartbeat { healthy }) => {
            if !healthy {
                let t_ms = step.t();
                step.tenant(tenant).intake_bad_ms = t_ms;
            }
        }
        Fact::Cursor(cursor) => step.effects.rows.push(Row {
            tenant: tenant.to_owned(),
            name: cursor.feed.clone(),
            change: Change::Cursor(cursor.clone()),
        }),
        // Membership comes from looking: a notice makes the executor look, a tick is only the time.
        Fact::Server(_) | Fact::Tick(_) => {}
    }
}

/// Counts a fact without effect, and shows it.
pub(crate) fn drop_fact(step: &mut Step<'_>, tenant: &str, reason: &str) {
    let t_ms = step.t();
    let owner = step.tenant(tenant);
    owner.drop_fact(reason);
    let row = Box::new(owner.row(t_ms));
    step.effects.rows.push(Row { tenant: tenant.to_owned(), name: String::new(), change: Change::Tenant(row) });
}

/// The tenant's groups with their programs, in the order of their names; of the named group only, where one is named.
fn groups(step: &Step<'_>, tenant: &str, only: Option<&str>) -> Vec<(String, Arc<Compiled>)> {
    let Some(owner) = step.partition.state.tenants.get(tenant) else { return Vec::new() };
    let wanted = owner.groups.iter().filter(|(name, _)| only.is_none_or(|only| only == name.as_str()));
    let program = |file: &String| step.partition.compiled.get(&(tenant.to_owned(), file.clone())).cloned();
    wanted.filter_map(|(name, group)| Some((name.clone(), program(&group.file)?))).collect()
}

/// The server that a fact names, with its group.
fn server(step: &Step<'_>, tenant: &str, about: &About) -> Option<(String, Slot)> {
    step.partition.state.tenants.get(tenant)?.find(&about.server)
}

fn hear_alarm(step: &mut Step<'_>, tenant: &str, alarm: &Alarm) {
    let named = server(step, tenant, &alarm.about);
    let group = named.as_ref().map(|(group, _)| group.as_str()).or(alarm.about.group.as_deref());
    let mut fits = false;
    for (name, compiled) in groups(step, tenant, None) {
        let declared = compiled.policy.alarms.iter().enumerate();
        for (place, declared) in declared.filter(|(_, declared)| declared.from == alarm.name) {
            let whom = if declared.shared {
                subject(&alarm.about)
            } else if group == Some(name.as_str()) {
                named.as_ref().map_or(SHARED, |(_, slot)| slot.key())
            } else {
                continue;
            };
            fits = true;
            step.catch_up(tenant, &name);
            let t_ms = step.t();
            let Some(known) = step.tenant(tenant).groups.get_mut(&name) else { continue };
            let Some(about) = known.alarms.get_mut(place) else { continue };
            if note(about, whom, alarm, t_ms) {
                step.touch(tenant, &name, &format!("alarm {}", declared.name));
            } else {
                drop_fact(step, tenant, "alarm older than the one before it");
            }
        }
    }
    if !fits {
        drop_fact(step, tenant, "alarm that fits nothing");
    }
}

/// The key of whom a shared alarm is about; apart from every slot's key, which has its top bit clear.
fn subject(about: &About) -> u64 {
    match about.server.first() {
        None => SHARED,
        Some(name) => {
            let mut first = [0; 8];
            blake3::Hasher::new().update(name.as_bytes()).finalize_xof().fill(&mut first);
            u64::from_le_bytes(first) | 1 << 63
        }
    }
}

/// Remembers an alarm's state, unless a newer one was heard (rule 6).
fn note(about: &mut BTreeMap<u64, AlarmMemory>, whom: u64, alarm: &Alarm, t_ms: i64) -> bool {
    if about.get(&whom).is_some_and(|known| known.at_ms > alarm.at) {
        return false;
    }
    if about.len() >= SUBJECTS_MAX && !about.contains_key(&whom) {
        let calm =
            about.iter().filter(|(_, known)| known.state == AlarmState::Ok).min_by_key(|(_, known)| known.heard_ms);
        match calm.map(|(key, _)| *key) {
            Some(key) => about.remove(&key),
            None => return false,
        };
    }
    about.insert(whom, AlarmMemory { state: alarm.state, at_ms: alarm.at, heard_ms: t_ms });
    true
}

fn take_sample(step: &mut Step<'_>, tenant: &str, sample: &Sample) {
    let t_ms = step.t();
    if sample.at.abs_diff(t_ms) > SAMPLE_SKEW_MS.unsigned_abs() {
        return drop_fact(step, tenant, "sample too far from the log's time");
    }
    let named = server(step, tenant, &sample.about);
    let only = named.as_ref().map(|(group, _)| group.as_str()).or(sample.about.group.as_deref());
    let mut fits = false;
    for (name, compiled) in groups(step, tenant, None) {
        let called = |known: &Metric| known.from == sample.metric || known.name == sample.metric;
        let declared = compiled.policy.metrics.iter().enumerate().filter(|(_, known)| called(known));
        for (index, metric) in declared {
            let key = match (&named, metric.shared) {
                // A shared series is the tenant's; naming a group keeps it to that group.
                (_, true) if sample.about.group.as_ref().is_none_or(|group| *group == name) => SHARED,
                (Some((_, slot)), false) if only == Some(name.as_str()) => slot.key(),
                _ => continue,
            };
            fits = true;
            step.catch_up(tenant, &name);
            let Some((_, wiring)) = compiled.group(&name) else { continue };
            if let Some(edge_ms) = fill(step, tenant, &name, wiring, index, key, sample) {
                step.wake_by(tenant, &name, edge_ms);
            }
            if let Some(silence) = wiring.silences.get(index).copied().flatten() {
                step.wake_by(tenant, &name, t_ms.saturating_add(silence.0));
            }
        }
    }
    if !fits {
        drop_fact(step, tenant, "sample that fits nothing");
    }
}

/// Puts a sample into the group's windows of that metric; the next edge at which it may be seen.
fn fill(
    step: &mut Step<'_>,
    tenant: &str,
    group: &str,
    wiring: &Wiring,
    metric: usize,
    key: u64,
    sample: &Sample,
) -> Option<i64> {
    let t_ms = step.t();
    let known = step.tenant(tenant).groups.get_mut(group)?;
    if let Some(heard) = known.heard.get_mut(metric) {
        *heard = Some(t_ms);
    }
    // Samples of a server that is not warm yet do not count, not even later.
    let warm = key == SHARED || known.members.ready().any(|(slot, warm)| slot.key() == key && warm <= sample.at);
    if !warm {
        return None;
    }
    let mut edge: Option<i64> = None;
    for (pane, window) in wiring.windows.iter().zip(&mut known.windows) {
        if pane.metric == metric && window.last_at(key).is_none_or(|last| last < sample.at) {
            window.insert(key, sample.at, sample.value);
            edge = window.next_edge_after(t_ms).into_iter().chain(edge).min();
        }
    }
    edge
}

fn force_rule(step: &mut Step<'_>, tenant: &str, id: &str, force: &Force) {
    let (t_ms, offset) = (step.t(), step.position.offset);
    let owner = step.tenant(tenant);
    owner.trim_forces(t_ms);
    if owner.forces.contains_key(id) {
        return drop_fact(step, tenant, "force sent again");
    }
    if owner.forces.len() >= FORCES_MAX {
        return drop_fact(step, tenant, "force over the number that is remembered");
    }
    let found = groups(step, tenant, Some(&force.group)).into_iter().next();
    let rule = found.and_then(|(_, compiled)| {
        let plan = compiled.policy.groups.iter().find(|plan| plan.name == force.group)?;
        plan.rules.iter().position(|rule| rule.name == force.rule)
    });
    let Some(rule) = rule else { return drop_fact(step, tenant, "force of a rule that is not there") };
    step.tenant(tenant).forces.insert(id.to_owned(), (t_ms, offset));
    step.catch_up(tenant, &force.group);
    let cause = format!("force {} by {}", force.rule, force.actor);
    step.look(
        tenant,
        &force.group,
        t_ms,
        &Why { cause: &cause, forced: Some((rule, force.by, &force.actor)), verbose: false },
    );
}

fn count(step: &mut Step<'_>, tenant: &str, happened: &Happened) {
    let named = server(step, tenant, &happened.about);
    let only = named.map(|(group, _)| group).or_else(|| happened.about.group.clone());
    let mut fits = false;
    for (name, compiled) in groups(step, tenant, only.as_deref()) {
        let declared = compiled.policy.events.iter().enumerate();
        for (index, declared) in declared.filter(|(_, declared)| declared.from == happened.kind) {
            fits = true;
            step.catch_up(tenant, &name);
            tally(step, tenant, &name, Counted::Declared(index));
            step.touch(tenant, &name, &format!("event {}", declared.name));
        }
    }
    if !fits {
        drop_fact(step, tenant, "event that fits nothing");
    }
}

fn tally(step: &mut Step<'_>, tenant: &str, group: &str, counted: Counted) {
    let t_ms = step.t();
    let Some(known) = step.tenant(tenant).groups.get_mut(group) else { return };
    let Some(times) = known.counts.get_mut(event_place(counted)) else { return };
    let begins = t_ms.saturating_sub(weir_grammar::limits::COUNT_WINDOW_MAX.0);
    times.retain(|at| *at > begins);
    times.push(t_ms);
    let surplus = times.len().saturating_sub(COUNTED_MAX);
    times.drain(..surplus);
}

fn learn(step: &mut Step<'_>, tenant: &str, outcome: &Outcome) {
    let Some(group) = step.tenant(tenant).by_uid(outcome.uid).map(str::to_owned) else {
        return drop_fact(step, tenant, "outcome of a group that is gone");
    };
    step.catch_up(tenant, &group);
    let warmup_ms = groups(step, tenant, Some(&group))
        .first()
        .and_then(|(_, compiled)| {
            compiled.policy.groups.iter().find(|plan| plan.name == group).map(|plan| plan.warmup.0)
        })
        .unwrap_or(0);
    let t_ms = step.t();
    let owner = step.tenant(tenant);
    let Some(known) = owner.groups.get_mut(&group) else { return };
    let moved = known.members.apply(outcome, t_ms, warmup_ms);
    if moved.repeated {
        return;
    }
    if let Some((slot, names)) = moved.gone {
        for about in &mut known.alarms {
            about.remove(&slot.key());
        }
        for window in &mut known.windows {
            window.forget(slot.key());
        }
        for name in names {
            if owner.names.get(&name).is_some_and(|(_, of)| *of == slot) {
                owner.names.remove(&name);
            }
        }
    }
    if let Some((slot, names)) = moved.named {
        owner.names.extend(names.into_iter().map(|name| (name, (group.clone(), slot))));
    }
    let (cause, counted) = match &outcome.happening {
        Happening::Building { slot, .. } => (format!("server {slot} building"), None),
        Happening::Ready { slot, .. } => (format!("server {slot} ready"), Some(Counted::ServerReady)),
        Happening::Failed { slot, reason } => (format!("server {slot} failed: {reason}"), Some(Counted::ServerFailed)),
        Happening::Leaving { slot } => (format!("server {slot} leaving"), None),
        Happening::Removed { slot } => (format!("server {slot} removed"), None),
        Happening::Lost { slot, reason } => (format!("server {slot} lost: {reason}"), Some(Counted::ServerLost)),
        Happening::Degraded { reason } => {
            known.degraded = Some(reason.clone());
            (format!("degraded: {reason}"), None)
        }
        Happening::Healed => {
            known.degraded = None;
            ("healed".to_owned(), None)
        }
    };
    if let Some(counted) = counted {
        tally(step, tenant, &group, counted);
    }
    step.touch(tenant, &group, &cause);
}

/// The row of a policy file, after a deploy or where its groups changed.
pub(crate) fn show_policy(step: &mut Step<'_>, tenant: &str, file: &str, refused: Option<String>) {
    let row = rows::policy(step.partition, tenant, file, refused);
    step.effects.rows.push(row);
}
