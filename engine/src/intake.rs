//! How each kind of fact finds the groups it concerns and changes what they know (rules 1, 2, 3, 6 and 7).
//!
//! Samples only fill windows, which are read at their edges; everything else makes its groups look at once. A fact that
//! fits nothing changes nothing and is counted.

use crate::{
    aggregate::SHARED,
    cause::Cause,
    control, deed, deploy,
    event::{About, Alarm, Event, Fact, Force, Happened, Heartbeat, Sample},
    group::AlarmMemory,
    id::Slot,
    ordered::Ordered,
    outcome::{Happening, Outcome},
    partition::{Step, Why},
    planted::{self, Bug},
    rows,
    scan::{AboutRef, AlarmRef, Hot, SampleRef, Scanned},
    tenant::{FORCES_MAX, GroupId},
    view::{Change, Row},
    wiring::{Wiring, event_place},
};
use smallvec::SmallVec;
use weir_grammar::policy::{self, AlarmState, Counted, Policy};

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
        Fact::Alarm(alarm) => hear_alarm(step, tenant, &alarm.into()),
        Fact::Samples(samples) => samples.iter().for_each(|sample| take_sample(step, tenant, &sample.into())),
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
        // Membership comes from looking: a notice makes the executor look.
        Fact::Server(_) => {}
        Fact::Upgrade(upgrade) => step.upgrade(upgrade.semantics),
        Fact::Tick(_) => step.effects.tick = true,
    }
}

/// Applies a fact of a hot kind, scanned from its line.
pub(crate) fn apply_hot(step: &mut Step<'_>, scanned: &Scanned<'_>) {
    match &scanned.fact {
        Hot::Tick => step.effects.tick = true,
        Hot::Alarm(alarm) => hear_alarm(step, scanned.tenant, alarm),
        Hot::Samples(samples) => samples.clone().for_each(|sample| take_sample(step, scanned.tenant, &sample)),
    }
}

impl<'a> From<&'a About> for AboutRef<'a> {
    fn from(about: &'a About) -> Self {
        Self { server: about.server.as_slice().into(), group: about.group.as_deref() }
    }
}

impl<'a> From<&'a Alarm> for AlarmRef<'a> {
    fn from(alarm: &'a Alarm) -> Self {
        Self { name: &alarm.name, state: alarm.state, at: alarm.at, about: (&alarm.about).into() }
    }
}

impl<'a> From<&'a Sample> for SampleRef<'a> {
    fn from(sample: &'a Sample) -> Self {
        Self { metric: &sample.metric, value: sample.value, at: sample.at, about: (&sample.about).into() }
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

/// Whom a fact may concern: the server it names, and the groups that may hear it, in the order of their making.
struct Audience {
    server: Option<(GroupId, Slot)>,
    groups: SmallVec<[GroupId; 4]>,
}

impl Audience {
    /// The group of the server, else the group that is named, and all that listen to what is about nobody.
    fn of(step: &Step<'_>, tenant: &str, about: &AboutRef<'_>) -> Self {
        let Some(owner) = step.partition.tenant(tenant) else { return Self { server: None, groups: SmallVec::new() } };
        let server = owner.servers.find(about.server.iter());
        let named = server.map(|(id, _)| id).or_else(|| owner.groups.get(about.group?).copied());
        let mut groups = SmallVec::from_slice(&owner.listeners);
        if let Some(id) = named.filter(|id| !groups.contains(id)) {
            groups.push(id);
            groups.sort_unstable();
        }
        Self { server, groups }
    }

    /// The groups that declare what a fact is about, with the place of each declaration and what `declared` says of it; each
    /// has caught up with the log's time.
    ///
    /// A fact is known to all of them before any of them is judged: one that shrinks gives up quota, for which another looks
    /// at the very same instant, and all rules see one snapshot (rule 8).
    fn declaring<T>(
        &self,
        step: &mut Step<'_>,
        declared: impl Fn(&Policy, GroupId, &Step<'_>) -> SmallVec<[(usize, T); 2]>,
    ) -> Vec<(GroupId, usize, T)> {
        let mut all = Vec::new();
        for id in self.groups.iter().copied() {
            let Some(program) = step.partition.program(id).cloned() else { continue };
            let here = declared(&program.policy, id, step);
            if !here.is_empty() {
                step.catch_up(id);
            }
            all.extend(here.into_iter().map(|(place, what)| (id, place, what)));
        }
        all
    }

    /// Whose key in the group `id` a fact about a server has, if it is one of that group's.
    fn key_in(&self, id: GroupId) -> Option<u64> {
        self.server.filter(|(group, _)| *group == id).map(|(_, slot)| slot.key())
    }
}

/// Whether a fact names the group at a place.
fn names_group(step: &Step<'_>, about: &AboutRef<'_>, id: GroupId) -> bool {
    about.group.is_some_and(|name| step.partition.at(id).is_some_and(|group| group.name == name))
}

fn hear_alarm(step: &mut Step<'_>, tenant: &str, alarm: &AlarmRef<'_>) {
    let audience = Audience::of(step, tenant, &alarm.about);
    let heard = audience.declaring(step, |policy, id, step| {
        let declared = policy.alarms.iter().enumerate().filter(|(_, declared)| declared.from == alarm.name);
        let whom = |declared: &policy::Alarm| match audience.key_in(id) {
            _ if declared.shared => Some(subject(&alarm.about)),
            Some(key) => Some(key),
            None => (audience.server.is_none() && names_group(step, &alarm.about, id)).then_some(SHARED),
        };
        declared.filter_map(|(place, declared)| Some((place, whom(declared)?))).collect()
    });
    if heard.is_empty() {
        drop_fact(step, tenant, "alarm that fits nothing");
    }
    let t_ms = step.t();
    let mut news = Vec::with_capacity(heard.len());
    for (id, place, whom) in heard {
        let Some(about) = step.group(id).and_then(|group| group.alarms.get_mut(place)) else { continue };
        if note(about, whom, alarm, t_ms) {
            news.push((id, place));
        } else {
            drop_fact(step, tenant, "alarm older than the one before it");
        }
    }
    for (id, place) in news {
        let Some(program) = step.partition.program(id).cloned() else { continue };
        let Some(declared) = program.policy.alarms.get(place) else { continue };
        step.touch(id, Cause::Alarm(&declared.name));
    }
}

/// The key of whom a shared alarm is about; apart from every slot's key, which has its top bit clear.
fn subject(about: &AboutRef<'_>) -> u64 {
    match about.server.iter().next() {
        None => SHARED,
        Some(name) => {
            let mut first = [0; 8];
            blake3::Hasher::new().update(name.as_bytes()).finalize_xof().fill(&mut first);
            u64::from_le_bytes(first) | 1 << 63
        }
    }
}

/// Remembers an alarm's state, unless a newer one was heard (rule 6).
fn note(about: &mut Ordered<u64, AlarmMemory>, whom: u64, alarm: &AlarmRef<'_>, t_ms: i64) -> bool {
    if about.get(whom).is_some_and(|known| known.at_ms > alarm.at) {
        return false;
    }
    if about.len() >= SUBJECTS_MAX && about.get(whom).is_none() {
        let calm =
            about.iter().filter(|(_, known)| known.state == AlarmState::Ok).min_by_key(|(_, known)| known.heard_ms);
        match calm.map(|(key, _)| *key) {
            Some(key) => about.remove(key),
            None => return false,
        };
    }
    about.insert(whom, AlarmMemory { state: alarm.state, at_ms: alarm.at, heard_ms: t_ms });
    true
}

fn take_sample(step: &mut Step<'_>, tenant: &str, sample: &SampleRef<'_>) {
    let t_ms = step.t();
    if sample.at.abs_diff(t_ms) > SAMPLE_SKEW_MS.unsigned_abs() {
        return drop_fact(step, tenant, "sample too far from the log's time");
    }
    let audience = Audience::of(step, tenant, &sample.about);
    let mut fits = false;
    for id in audience.groups.iter().copied() {
        let Some(program) = step.partition.program(id).cloned() else { continue };
        for (place, metric) in program.policy.metrics.iter().enumerate() {
            if metric.from != sample.metric && metric.name != sample.metric {
                continue;
            }
            let key = match audience.key_in(id) {
                // A shared series is the tenant's; naming a group keeps it to that group.
                _ if metric.shared && (sample.about.group.is_none() || names_group(step, &sample.about, id)) => SHARED,
                Some(key) if !metric.shared => key,
                _ => continue,
            };
            fits = true;
            step.catch_up(id);
            if let Some(edge_ms) = fill(step, id, &program.wiring, place, key, sample) {
                step.wake_by(id, edge_ms);
            }
            if let Some(silence) = program.wiring.silences.get(place).copied().flatten() {
                step.wake_by(id, t_ms.saturating_add(silence.0));
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
    id: GroupId,
    wiring: &Wiring,
    metric: usize,
    key: u64,
    sample: &SampleRef<'_>,
) -> Option<i64> {
    let t_ms = step.t();
    let known = step.group(id)?;
    if let Some(heard) = known.heard.get_mut(metric) {
        *heard = Some(t_ms);
    }
    // Samples of a server that is not warm yet do not count, not even later.
    let warm = key == SHARED || known.members.is_warm(Slot::of_key(key), sample.at);
    if !warm && !planted::is(Bug::ColdSample) {
        return None;
    }
    let mut edge: Option<i64> = None;
    for (pane, window) in wiring.windows.iter().zip(&mut known.windows) {
        if pane.metric == metric && window.hear(key, sample.at, sample.value) {
            edge = window.next_edge_after(t_ms).into_iter().chain(edge).min();
        }
    }
    edge
}

fn force_rule(step: &mut Step<'_>, tenant: &str, id: &str, force: &Force) {
    let (t_ms, offset) = (step.t(), step.position.offset);
    let owner = step.tenant(tenant);
    owner.trim_forces(t_ms);
    if owner.forces.contains_key(id) && !planted::is(Bug::ForceTwice) {
        return drop_fact(step, tenant, "force sent again");
    }
    if owner.forces.len() >= FORCES_MAX {
        return drop_fact(step, tenant, "force over the number that is remembered");
    }
    let group = owner.groups.get(&force.group).copied();
    let rule = group.and_then(|group| {
        let rules = &step.partition.program(group)?.plan.rules;
        Some((group, rules.iter().position(|rule| rule.name == force.rule)?))
    });
    let Some((group, rule)) = rule else { return drop_fact(step, tenant, "force of a rule that is not there") };
    step.tenant(tenant).forces.insert(id.to_owned(), (t_ms, offset));
    step.catch_up(group);
    let cause = format!("force {} by {}", force.rule, force.actor);
    let why = Why { forced: Some((rule, force.by, &force.actor)), ..Why::of(&cause) };
    step.look(group, t_ms, &why);
}

fn count(step: &mut Step<'_>, tenant: &str, happened: &Happened) {
    let about = AboutRef::from(&happened.about);
    let audience = Audience::of(step, tenant, &about);
    let named = audience.server.map(|(id, _)| id);
    let counted = audience.declaring(step, |policy, id, step| {
        // What is about a server or a group is that group's alone; what is about nobody is everybody's.
        let elsewhere = match (named, about.group) {
            (Some(named), _) => named != id,
            (None, Some(_)) => !names_group(step, &about, id),
            (None, None) => false,
        };
        let declared = policy.events.iter().enumerate().filter(|(_, declared)| declared.from == happened.kind);
        declared.filter(|_| !elsewhere).map(|(place, _)| (place, ())).collect()
    });
    if counted.is_empty() {
        drop_fact(step, tenant, "event that fits nothing");
    }
    for (id, place, ()) in &counted {
        tally(step, *id, Counted::Declared(*place));
    }
    for (id, place, ()) in counted {
        let Some(program) = step.partition.program(id).cloned() else { continue };
        let Some(declared) = program.policy.events.get(place) else { continue };
        step.touch(id, Cause::Event(&declared.name));
    }
}

fn tally(step: &mut Step<'_>, id: GroupId, counted: Counted) {
    let t_ms = step.t();
    let over = step.partition.program(id).map_or(0, |program| program.wiring.counts_over.0);
    let Some(times) = step.group(id).and_then(|group| group.counts.get_mut(event_place(counted))) else { return };
    let begins = t_ms.saturating_sub(over);
    times.retain(|at| *at > begins);
    times.push(t_ms);
    let surplus = times.len().saturating_sub(COUNTED_MAX);
    times.drain(..surplus);
}

fn learn(step: &mut Step<'_>, tenant: &str, outcome: &Outcome) {
    let Some(id) = step.by_uid(outcome.uid) else {
        return drop_fact(step, tenant, "outcome of a group that is gone");
    };
    step.catch_up(id);
    let warmup_ms = step.partition.program(id).map_or(0, |program| program.plan.warmup.0);
    let t_ms = step.t();
    let Some(known) = step.group(id) else { return };
    let moved = known.members.apply(outcome, t_ms, warmup_ms);
    if moved.repeated {
        return;
    }
    if let Happening::Ready { server, .. } = &outcome.happening {
        known.by_hand.some().into_iter().for_each(|hand| hand.took_part(server));
    }
    if let Some((slot, names)) = moved.gone {
        known.by_hand.some().into_iter().for_each(|hand| hand.forget(slot));
        for about in &mut known.alarms {
            about.remove(slot.key());
        }
        for window in &mut known.windows {
            window.forget(slot.key());
        }
        step.tenant(tenant).servers.forget(&names, id, slot);
    }
    if let Some((slot, names)) = moved.unnamed {
        step.tenant(tenant).servers.forget(&names, id, slot);
    }
    if let Some((slot, names)) = moved.named {
        step.tenant(tenant).servers.know(&names, id, slot);
    }
    let (cause, counted) = match &outcome.happening {
        Happening::Building { slot, .. } => (format!("server {slot} building"), None),
        Happening::Ready { slot, .. } => (format!("server {slot} ready"), Some(Counted::ServerReady)),
        Happening::Failed { slot, reason } => (format!("server {slot} failed: {reason}"), Some(Counted::ServerFailed)),
        Happening::Leaving { slot } => (format!("server {slot} leaving"), None),
        Happening::Removed { slot } => (format!("server {slot} removed"), None),
        Happening::Lost { slot, reason } => (format!("server {slot} lost: {reason}"), Some(Counted::ServerLost)),
        Happening::NotAdopted { server, reason } => return deed::not_adopted(step, id, server, reason),
        Happening::Degraded { reason } => {
            degrade(step, id, Some(reason.clone()));
            (format!("degraded: {reason}"), None)
        }
        Happening::Healed => {
            degrade(step, id, None);
            ("healed".to_owned(), None)
        }
    };
    if let Some(counted) = counted {
        tally(step, id, counted);
    }
    step.touched.insert(id);
    step.touch(id, &cause);
}

fn degrade(step: &mut Step<'_>, id: GroupId, words: Option<String>) {
    if let Some(group) = step.group(id) {
        group.degraded = words;
    }
}

/// The row of a policy file, after a deploy or where its groups changed.
pub(crate) fn show_policy(step: &mut Step<'_>, tenant: &str, file: &str, refused: Option<String>) {
    let row = rows::policy(step.partition, tenant, file, refused);
    step.effects.rows.push(row);
}
