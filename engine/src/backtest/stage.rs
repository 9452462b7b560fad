//! Servers that follow the target: new ones are ready after a build, removed ones are gone at once.
//!
//! A recorded fact about a server is about one that may not be there in this run. The recorded servers are therefore kept
//! beside the simulated ones, and each stands for its counterpart: the how-manieth oldest, counted around where there are
//! more or fewer. As long as both are the same servers everything is about whom it was about.

use super::Load;
use crate::{
    event::{About, Alarm, Control, Fact, Happened, Order, Sample},
    group::Group,
    id::{GroupUid, Slot},
    member::{self, Members},
    ordered::Ordered,
    outcome::{Happening, Outcome},
};
use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};
use weir_grammar::{
    policy::{AlarmState, Metric, Policy, RemoveOrder, Unit},
    quantity::Quantity,
};

/// One group's servers.
pub(super) struct Stage {
    group: String,
    newest_first: bool,
    build_ms: i64,
    /// The last place given out.
    serial: u32,
    /// When each build ends.
    builds: BTreeSet<(i64, Slot)>,
    /// The servers as they were recorded, of which life of the group, and what senders call them.
    recorded: Members,
    uid: GroupUid,
    names: BTreeMap<String, Slot>,
    /// Who of the run has an alarm in the place of a recorded server.
    alarms: BTreeMap<(String, Slot), Slot>,
}

/// What a recorded fact is in the run.
#[derive(Default)]
pub(super) struct Translated {
    pub(super) facts: Vec<Fact>,
    /// What is not repeated.
    pub(super) left_out: Option<&'static str>,
}

impl Stage {
    /// Takes a group's servers over, and says what becomes of those on their way in or out.
    pub(super) fn set(group: &Group, remove: RemoveOrder, build_ms: i64, now_ms: i64) -> (Self, Vec<Happening>) {
        let mut stage = Self {
            group: group.name.clone(),
            newest_first: remove == RemoveOrder::NewestFirst,
            build_ms,
            serial: group.members.iter().map(|(slot, _)| slot.serial).max().unwrap_or(0),
            builds: BTreeSet::new(),
            recorded: group.members.clone(),
            uid: group.uid,
            names: BTreeMap::new(),
            alarms: BTreeMap::new(),
        };
        let mut first = Vec::new();
        for (slot, member) in group.members.iter() {
            stage.names.extend(member.names.iter().map(|name| (name.clone(), slot)));
            match member.stage {
                member::Stage::Building => {
                    stage.builds.insert((member.since_ms.saturating_add(build_ms).max(now_ms), slot));
                }
                member::Stage::Leaving => first.push(Happening::Removed { slot }),
                member::Stage::Ready => {}
            }
        }
        for known in group.alarms.iter().flat_map(Ordered::iter).map(|(key, _)| key) {
            // A server keeps the alarm that it has: it is its own counterpart.
            let slot = group.members.iter().map(|(slot, _)| slot).find(|slot| slot.key() == *known);
            stage.alarms.extend(slot.map(|slot| ((String::new(), slot), slot)));
        }
        if group.degraded.is_some() {
            first.push(Happening::Healed);
        }
        (stage, first)
    }

    /// When the next build ends.
    pub(super) fn next(&self) -> Option<i64> {
        self.builds.first().map(|(at_ms, _)| *at_ms)
    }

    /// Ends the next build.
    pub(super) fn ready(&mut self) -> Option<Happening> {
        let (_, slot) = self.builds.pop_first()?;
        let server = self.name(slot);
        Some(Happening::Ready { slot, name: server.clone(), server, addresses: Vec::new() })
    }

    fn name(&self, slot: Slot) -> String {
        format!("backtest-{}-{slot}", self.group)
    }

    /// What is done next so that the group has its target's number of servers: one thing at a time, since what is told of
    /// it may change the target.
    pub(super) fn follow(&mut self, group: &Group, now_ms: i64) -> Option<Happening> {
        let of = |stage| group.members.iter().filter(move |(_, member)| member.stage == stage).map(|(slot, _)| slot);
        let (building, ready) = (of(member::Stage::Building), of(member::Stage::Ready));
        match (building.count() + ready.count()).cmp(&(group.target as usize)) {
            Ordering::Equal => None,
            Ordering::Less => {
                self.serial = self.serial.saturating_add(1);
                let slot = Slot { serial: self.serial, incarnation: 1 };
                self.builds.insert((now_ms.saturating_add(self.build_ms), slot));
                Some(Happening::Building { slot, server: self.name(slot) })
            }
            Ordering::Greater => {
                // Of those that are building the youngest goes first: least is lost.
                let ready = || {
                    if self.newest_first { of(member::Stage::Ready).last() } else { of(member::Stage::Ready).next() }
                };
                let slot = of(member::Stage::Building).last().or_else(ready)?;
                self.builds.retain(|(_, building)| *building != slot);
                Some(Happening::Removed { slot })
            }
        }
    }

    /// A recorded fact as it is in the run, whose state of the group is `group`.
    pub(super) fn translate(
        &mut self,
        fact: Fact,
        group: &Group,
        policy: &Policy,
        load: Load,
        now_ms: i64,
    ) -> Translated {
        match fact {
            Fact::Outcome(outcome) if outcome.group == self.group => self.learn(&outcome, group, policy, now_ms),
            Fact::Samples(samples) => {
                Translated { facts: vec![Fact::Samples(self.measure(samples, group, policy, load))], left_out: None }
            }
            Fact::Alarm(alarm) => match self.find(&alarm.about) {
                Some(server) => Translated { facts: self.alarm(alarm, server, group), left_out: None },
                None => Translated { facts: vec![Fact::Alarm(alarm)], left_out: None },
            },
            // What happened to a server is counted by its group.
            Fact::Happened(Happened { about, kind }) if self.find(&about).is_some() => {
                let about = About { server: Vec::new(), group: Some(self.group.clone()) };
                Translated { facts: vec![Fact::Happened(Happened { kind, about })], left_out: None }
            }
            Fact::Control(Control { order: Order::Server { .. }, .. }) => {
                Translated { facts: Vec::new(), left_out: Some("an order about one server") }
            }
            other => Translated { facts: vec![other], left_out: None },
        }
    }

    fn find(&self, about: &About) -> Option<Slot> {
        about.server.iter().find_map(|name| self.names.get(name)).copied()
    }

    /// Brings the recorded servers up to date. Of what happened to them only a loss happens here too: nobody decided it.
    fn learn(&mut self, outcome: &Outcome, group: &Group, policy: &Policy, now_ms: i64) -> Translated {
        if outcome.uid != self.uid {
            (self.recorded, self.uid) = (Members::default(), outcome.uid);
            self.names.clear();
        }
        let before = outcome.happening.slot().map(|slot| self.counterparts(slot, group)).unwrap_or_default();
        let moved = self.recorded.apply(outcome, now_ms, 0);
        if let Some((slot, names)) = moved.named {
            self.names.extend(names.into_iter().map(|name| (name, slot)));
        }
        let mut translated = Translated::default();
        if let Some((gone, names)) = moved.gone {
            self.names.retain(|name, _| !names.contains(name));
            // Whoever goes with it needs no word: its alarms go too.
            let goes = matches!(outcome.happening, Happening::Lost { .. }).then(|| before.first()).flatten();
            translated.facts = self.silence(gone, goes.copied(), group, policy, now_ms);
        }
        match &outcome.happening {
            Happening::Lost { reason, .. } => match before.first() {
                Some(slot) => {
                    let seq = group.members.applied() + 1;
                    let happening = Happening::Lost { slot: *slot, reason: reason.clone() };
                    let (group, uid) = (self.group.clone(), group.uid);
                    translated.facts.push(Fact::Outcome(Outcome { group, uid, seq, happening }));
                }
                None => translated.left_out = Some("a server lost that is not there"),
            },
            Happening::Failed { .. } => translated.left_out = Some("a failed build"),
            Happening::Degraded { .. } => translated.left_out = Some("degraded"),
            _ => {}
        }
        translated
    }

    /// Alarms of a recorded server that is gone are forgotten with it; whoever has them in its place is well again.
    fn silence(&mut self, gone: Slot, goes: Option<Slot>, group: &Group, policy: &Policy, now_ms: i64) -> Vec<Fact> {
        let kept: Vec<(String, Slot)> = self.alarms.keys().filter(|(_, slot)| *slot == gone).cloned().collect();
        let mut facts = Vec::new();
        for key in kept {
            let Some(server) = self.alarms.remove(&key).filter(|server| Some(*server) != goes) else { continue };
            let Some(about) = about(group, server) else { continue };
            let names: Vec<String> = match key.0.as_str() {
                "" => policy.alarms.iter().map(|alarm| alarm.from.clone()).collect(),
                name => vec![name.to_owned()],
            };
            facts.extend(names.into_iter().map(|name| {
                let (text, numbers) = (String::new(), BTreeMap::new());
                Fact::Alarm(Alarm { name, state: AlarmState::Ok, at: now_ms, about: about.clone(), text, numbers })
            }));
        }
        facts
    }

    /// An alarm stays with the server that got it first in a recorded one's place.
    fn alarm(&mut self, alarm: Alarm, recorded: Slot, group: &Group) -> Vec<Fact> {
        let key = (alarm.name.clone(), recorded);
        let kept = self.alarms.get(&key).copied().filter(|slot| group.members.get(*slot).is_some());
        let itself = || group.members.get(recorded).filter(|_| self.is_itself(recorded, group)).map(|_| recorded);
        let server = kept.or_else(itself).or_else(|| self.counterparts(recorded, group).first().copied());
        let Some(about) = server.and_then(|server| about(group, server)) else { return Vec::new() };
        self.alarms.extend(server.map(|server| (key, server)));
        vec![Fact::Alarm(Alarm { about, ..alarm })]
    }

    /// Whether a recorded server is the one of that slot in the run, too.
    fn is_itself(&self, slot: Slot, group: &Group) -> bool {
        let names = |members: &Members| members.get(slot).map(|member| member.names.clone());
        names(&self.recorded) == names(&group.members)
    }

    /// Samples of recorded servers become their counterparts'. What one event says of several that are one here is
    /// averaged.
    fn measure(&self, samples: Vec<Sample>, group: &Group, policy: &Policy, load: Load) -> Vec<Sample> {
        let (then, now) = (self.recorded.ready().count(), group.members.ready().count());
        let mut measured: Vec<Sample> = Vec::new();
        let mut sums: BTreeMap<(String, Slot), (i128, i128, i64)> = BTreeMap::new();
        for sample in samples {
            let declared = |metric: &&Metric| metric.from == sample.metric || metric.name == sample.metric;
            let metric = policy.metrics.iter().filter(declared).find(|metric| !metric.shared);
            let (Some(server), Some(metric)) = (self.find(&sample.about), metric) else {
                measured.push(sample);
                continue;
            };
            let spreads = load == Load::Spread && metric.unit == Unit::Percent;
            for slot in self.counterparts(server, group) {
                let value = if spreads { scaled(sample.value, then, now) } else { sample.value };
                let (sum, count, at) = sums.entry((sample.metric.clone(), slot)).or_insert((0, 0, sample.at));
                (*sum, *count, *at) = (*sum + i128::from(value.0), *count + 1, (*at).max(sample.at));
            }
        }
        measured.extend(sums.into_iter().filter_map(|((metric, slot), (sum, count, at))| {
            let value = Quantity(i64::try_from(sum / count).unwrap_or(i64::MAX));
            Some(Sample { metric, value, at, about: about(group, slot)? })
        }));
        measured
    }

    /// The servers of the run that a recorded one stands for.
    fn counterparts(&self, recorded: Slot, group: &Group) -> Vec<Slot> {
        let then: Vec<Slot> = self.recorded.ready().map(|(slot, _)| slot).collect();
        let now: Vec<Slot> = group.members.ready().map(|(slot, _)| slot).collect();
        let Some(place) = then.iter().position(|slot| *slot == recorded) else { return Vec::new() };
        if now.len() <= then.len() {
            let place = place.checked_rem(now.len());
            return place.and_then(|place| now.get(place)).copied().into_iter().collect();
        }
        now.into_iter().skip(place).step_by(then.len()).collect()
    }
}

/// A server by one of its names.
fn about(group: &Group, slot: Slot) -> Option<About> {
    let name = group.members.get(slot)?.names.first()?.clone();
    Some(About { server: vec![name], group: None })
}

/// A share of the same load among `now` servers instead of `then`, rounded half away from zero.
fn scaled(value: Quantity, then: usize, now: usize) -> Quantity {
    if then == now || now == 0 {
        return value;
    }
    let (product, now) = (i128::from(value.0) * then as i128, now as i128);
    let rounded = (product.abs() * 2 + now) / (now * 2) * product.signum();
    Quantity(i64::try_from(rounded).unwrap_or(i64::MAX))
}
