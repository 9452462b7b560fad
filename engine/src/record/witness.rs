//! What a test needs to know of a recorded stretch: how the group stood when it began, what was measured, what happened,
//! what was decided.

use super::{Asked, Error, alarms::Alarms};
use crate::{
    backtest::Stretch,
    decision::{Decision, GuardName, Verdict},
    event::{About, Event, Fact, Order, Record, Right},
    group::Group,
    id::Slot,
    ordered::Ordered,
    outcome::Happening,
    partition::Partition,
};
use std::collections::BTreeMap;
use weir_grammar::{
    policy::{AlarmState, Policy},
    quantity::{Millis, Quantity},
};

/// Blocked lines in a test: after so many, another says little.
const HELD_MAX: usize = 12;

/// A metric's place, and the server it is of; `None` is the tenant.
pub(super) type Whom = (usize, Option<Slot>);

/// A stretch, seen with a test's eyes.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    /// The group.
    pub(super) group: String,
    /// When the test begins, on a whole minute.
    pub(super) begin_ms: i64,
    /// When the stretch that was asked for begins, and when it ends.
    pub(super) from_ms: i64,
    pub(super) until_ms: i64,
    /// The size at the beginning.
    pub(super) size: u32,
    /// The servers at the beginning, oldest first.
    pub(super) given: Vec<Slot>,
    /// Who took part, from each instant on.
    pub(super) ready: Vec<(i64, Vec<Slot>)>,
    /// Samples by metric and server (`None` is the tenant's): the sender's time and the value.
    pub(super) samples: BTreeMap<Whom, Vec<(i64, Quantity)>>,
    /// Lines that make something happen.
    pub(super) inputs: Vec<(i64, String)>,
    /// Changes that were recorded.
    pub(super) changes: Vec<Decision>,
    /// Lines for what was held.
    pub(super) held: Vec<(Millis, String)>,
    /// What cannot be said in a test.
    pub(super) notes: Vec<String>,
}

/// Watches the records go by.
pub(super) struct Witness<'a> {
    policy: &'a Policy,
    place: usize,
    tenant: &'a str,
    lead: Millis,
    asked: &'a Asked<'a>,
    scene: Option<Scene>,
    alarms: Alarms,
}

impl<'a> Witness<'a> {
    pub(super) fn new(asked: &'a Asked<'a>, policy: &'a Policy, place: usize, lead: Millis) -> Self {
        let alarms = Alarms::default();
        Self { policy, place, tenant: asked.stretch.tenant, lead, asked, scene: None, alarms }
    }

    /// What was seen; `None` where the group was not there.
    pub(super) fn done(self) -> Option<Scene> {
        self.scene
    }

    pub(super) fn watch(&mut self, stretch: &Stretch<'_>) -> Result<(), Error> {
        const MINUTE: i64 = Millis::MINUTE.0;
        let wanted_ms = self.asked.from_ms.saturating_sub(self.lead.0).div_euclid(MINUTE) * MINUTE;
        let mut state = stretch.start.clone();
        for record in stretch.records {
            let at_ms = record.event.time.min(record.appended_ms).max(state.t());
            if at_ms >= self.asked.until_ms {
                break;
            }
            if self.scene.is_none() && at_ms >= wanted_ms {
                // The records may begin later than one would wish; then on the next whole minute.
                let begin_ms = if state.t() > 0 { wanted_ms.max(up(state.t(), MINUTE)) } else { wanted_ms };
                if at_ms >= begin_ms {
                    self.begin(&state, begin_ms);
                }
            }
            let repeated = self.is_repeated(&state, record);
            let offered = self.offered(&state, &record.event);
            let effects = state.step(record)?;
            let decisions = effects.decisions.into_iter();
            let mine =
                decisions.filter(|decision| decision.tenant == self.tenant && decision.group == self.asked.group);
            let decisions: Vec<Decision> = mine.collect();
            if self.scene.is_some() {
                self.measured(offered);
                self.happened(&state, record, at_ms, repeated);
                decisions.into_iter().for_each(|decision| self.decided(decision));
            }
        }
        Ok(())
    }

    /// The group as it stands when the test begins.
    fn begin(&mut self, state: &Partition, begin_ms: i64) {
        let Some((_, group)) = state.group(self.tenant, self.asked.group) else { return };
        let given: Vec<Slot> = group.members.ready().map(|(slot, _)| slot).collect();
        let mut notes = Vec::new();
        let (min, max) = self.policy.groups.get(self.place).map_or((0, 0), |plan| (plan.min, plan.max));
        let size = group.target.clamp(min, max);
        if size != group.target {
            notes.push(format!("the size was {} when it began, outside of {min}..{max}", group.target));
        }
        if given.len() != group.target as usize {
            notes.push(format!(
                "{} of {} servers were ready when it began; in a test all are",
                given.len(),
                group.target
            ));
        }
        let cool = |until_ms: i64| Millis(until_ms.saturating_sub(begin_ms));
        if let Some(cooldown) = group.cooldown.filter(|cooldown| cooldown.until_ms > begin_ms) {
            notes.push(format!("the group's cooldown still ran until {}; a test has no past", cool(cooldown.until_ms)));
        }
        for rule in &group.rules {
            if let Some(cooldown) = rule.cooldown.filter(|cooldown| cooldown.until_ms > begin_ms) {
                let (name, until) = (&rule.name, cool(cooldown.until_ms));
                notes.push(format!("the cooldown of `{name}` still ran until {until}; a test has no past"));
            }
        }
        if let Some(why) = &group.degraded {
            notes.push(format!("the group was degraded ({why}); a test's cloud is never full"));
        }
        if state.tenant(self.tenant).is_some_and(|tenant| tenant.switches.iter().any(|switch| switch.on(begin_ms))) {
            notes.push("a kill switch was on; a test has none".into());
        }
        let mut inputs: Vec<(i64, String)> = Vec::new();
        if let Some(pause) = group.paused(begin_ms) {
            inputs.push((begin_ms, "pause".into()));
            inputs.extend(pause.until_ms.map(|until| (until, "resume".to_owned())));
        }
        if let Some(hand) = group.by_hand.bounds.as_ref().filter(|hand| begin_ms < hand.until) {
            let (bounds, until) = (hand.bounds(), cool(hand.until));
            notes.push(format!("the bounds were overridden until {until} ({bounds}); a test has its policy's"));
        }
        inputs.extend(self.alarms.begin(self.policy, group).into_iter().map(|line| (begin_ms, line)));
        let Asked { group: name, from_ms, until_ms, .. } = *self.asked;
        self.scene = Some(Scene {
            group: name.to_owned(),
            begin_ms,
            from_ms,
            until_ms,
            size,
            ready: vec![(begin_ms, given.clone())],
            given,
            samples: BTreeMap::new(),
            inputs,
            changes: Vec::new(),
            held: Vec::new(),
            notes,
        });
    }

    /// A force that has no effect, since the same was sent before.
    fn is_repeated(&self, state: &Partition, record: &Record) -> bool {
        let tenant = state.tenant(self.tenant);
        matches!(record.event.fact, Fact::Force(_))
            && tenant.is_some_and(|tenant| tenant.forces.contains_key(&record.event.id))
    }

    /// The samples of an event that are of the group or the tenant, with whom they are of.
    fn offered(&self, state: &Partition, event: &Event) -> Vec<(Whom, (i64, Quantity))> {
        let (Fact::Samples(samples), true) = (&event.fact, event.tenant == self.tenant) else { return Vec::new() };
        let mut offered = Vec::new();
        for sample in samples {
            let whom = self.server(state, &sample.about);
            for (place, metric) in self.policy.metrics.iter().enumerate() {
                if metric.from != sample.metric && metric.name != sample.metric {
                    continue;
                }
                let elsewhere = sample.about.group.as_ref().is_some_and(|name| *name != self.asked.group);
                let whom = match whom {
                    _ if metric.shared && !elsewhere => None,
                    Some(slot) if !metric.shared => Some(slot),
                    _ => continue,
                };
                offered.push(((place, whom), (sample.at, sample.value)));
            }
        }
        offered
    }

    fn server(&self, state: &Partition, about: &About) -> Option<Slot> {
        let names = about.server.iter().map(String::as_str);
        let (id, slot) = state.tenant(self.tenant)?.servers.find(names)?;
        (state.at(id)?.name == self.asked.group).then_some(slot)
    }

    fn measured(&mut self, offered: Vec<(Whom, (i64, Quantity))>) {
        let Some(scene) = &mut self.scene else { return };
        for (key, sample) in offered {
            scene.samples.entry(key).or_default().push(sample);
        }
    }

    fn happened(&mut self, state: &Partition, record: &Record, at_ms: i64, repeated: bool) {
        let (Some(scene), Some((_, group))) = (&mut self.scene, state.group(self.tenant, self.asked.group)) else {
            return;
        };
        let since = |at_ms: i64| Millis(at_ms.saturating_sub(scene.begin_ms));
        let at = since(at_ms);
        let ready: Vec<Slot> = group.members.ready().map(|(slot, _)| slot).collect();
        if scene.ready.last().is_none_or(|(_, known)| *known != ready) {
            scene.ready.push((at_ms, ready));
        }
        if record.event.tenant != self.tenant {
            return;
        }
        let (inputs, notes) = (&mut scene.inputs, &mut scene.notes);
        match &record.event.fact {
            Fact::Alarm(alarm) => {
                let lines = self.alarms.hear(self.policy, group, &alarm.name);
                inputs.extend(lines.into_iter().map(|line| (at_ms, line)));
                if names_only_group(alarm.about.group.as_deref(), self.asked.group, &alarm.about)
                    && self.policy.alarms.iter().any(|known| !known.shared && known.from == alarm.name)
                {
                    notes.push(format!(
                        "at {at} the alarm \"{}\" was about the whole group; a test's is about servers",
                        alarm.name
                    ));
                }
            }
            Fact::Happened(happened) => {
                let declared = self.policy.events.iter().enumerate().find(|(_, event)| event.from == happened.kind);
                let counted = |place: usize| group.counts.get(crate::wiring::OWN_EVENTS + place)?.last().copied();
                if let Some((_, event)) = declared.filter(|(place, _)| counted(*place) == Some(state.t())) {
                    inputs.push((at_ms, format!("event {}", event.name)));
                }
            }
            Fact::Force(force) if force.group == self.asked.group && !repeated => {
                let known = self
                    .policy
                    .groups
                    .get(self.place)
                    .is_some_and(|plan| plan.rules.iter().any(|rule| rule.name == force.rule));
                let word = match force.by {
                    Right::Capability => "call",
                    Right::Token => "force",
                };
                if known {
                    inputs.push((at_ms, format!("{word} {}", force.rule)));
                } else {
                    notes.push(format!("at {at} `{}` was forced, which this policy does not have", force.rule));
                }
            }
            Fact::Control(control) => match &control.order {
                Order::Pause { group, until } if *group == self.asked.group => {
                    inputs.push((at_ms, "pause".into()));
                    inputs.extend(until.map(|until| (until, "resume".to_owned())));
                }
                Order::Resume { group } if *group == self.asked.group => {
                    inputs.retain(|(later, line)| *later < at_ms || line != "resume");
                    inputs.push((at_ms, "resume".into()));
                }
                Order::KillSwitch { .. } => notes.push(format!("a kill switch was set at {at}; a test has none")),
                Order::Quota { .. } => notes.push(format!("the quota was set at {at}; a test has none")),
                Order::Override { group, .. } if *group == self.asked.group => {
                    notes.push(format!("the bounds were overridden at {at}; a test has its policy's"));
                }
                Order::LiftOverride { group } if *group == self.asked.group => {
                    notes.push(format!("the override of the bounds was lifted at {at}"));
                }
                Order::Server { group, server, act } if *group == self.asked.group => {
                    notes
                        .push(format!("at {at} somebody did `{} {server}`; a test's servers are nobody's", act.word()));
                }
                Order::Pause { .. }
                | Order::Resume { .. }
                | Order::Override { .. }
                | Order::LiftOverride { .. }
                | Order::Server { .. }
                | Order::Remove { .. } => {}
            },
            Fact::Policy(deploy) if deploy.name == group.file => {
                notes.push(format!("the policy was deployed again at {at}; the test is of one version"));
            }
            Fact::Outcome(outcome) if outcome.uid == group.uid => match &outcome.happening {
                Happening::Lost { .. } => inputs.push((at_ms, "event server.lost".into())),
                Happening::Failed { .. } => inputs.push((at_ms, "event server.failed".into())),
                Happening::Degraded { reason } => {
                    notes.push(format!("degraded from {at} on ({reason}); a test's cloud is never full"));
                }
                Happening::Building { .. } | Happening::Ready { .. } | Happening::Leaving { .. } => {}
                Happening::Removed { .. } | Happening::NotAdopted { .. } | Happening::Healed => {}
            },
            _ => {}
        }
    }

    fn decided(&mut self, decision: Decision) {
        let Some(scene) = &mut self.scene else { return };
        let at = Millis(decision.at.saturating_sub(scene.begin_ms));
        if at.0 < 0 {
            return;
        }
        let line = match &decision.outcome {
            _ if decision.from != decision.to => {
                scene.changes.push(decision);
                return;
            }
            Verdict::Held { by, guard, .. } if by != "bounds" => {
                let guard = match guard.name {
                    GuardName::Freeze => format!("freeze {}", guard.detail),
                    name => name.as_str().to_owned(),
                };
                format!("{by} blocked by {guard}")
            }
            Verdict::Missed { by, .. } => format!("{by} blocked by late"),
            Verdict::Changed { .. } | Verdict::Held { .. } | Verdict::Still | Verdict::Refused { .. } => return,
        };
        // The same again says nothing, until something changed in between.
        let since = scene.changes.last().map_or(i64::MIN, |change| change.at - scene.begin_ms);
        let told = scene.held.iter().any(|(known, held)| known.0 >= since && held.contains(&line));
        if decision.at >= scene.from_ms && !told && scene.held.len() < HELD_MAX {
            scene.held.push((at, format!("expect {line} at {at}")));
        }
    }
}

/// Whether a fact is about the group as a whole.
fn names_only_group(named: Option<&str>, group: &str, about: &About) -> bool {
    named == Some(group) && about.server.is_empty()
}

/// The next multiple of `step`, or `at_ms` itself where it is one.
fn up(at_ms: i64, step: i64) -> i64 {
    at_ms.saturating_add(step - 1).div_euclid(step) * step
}

/// What an alarm last said, by whom it is about.
pub(super) fn states(group: &Group, alarm: usize) -> impl Iterator<Item = (u64, AlarmState)> + '_ {
    group.alarms.get(alarm).into_iter().flat_map(Ordered::iter).map(|(key, memory)| (*key, memory.state))
}
