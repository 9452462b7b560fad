//! Test blocks of policy files (rule 23): a group in virtual time, run through the same `step` as in earnest.
//!
//! The stage is simple on purpose: given servers are warm, new ones are ready at once and then warm up, servers that are
//! taken away are gone at once. What a cloud does in between is settle's business and tested there.

use crate::{
    decision::{Decision, Verdict},
    event::{About, Alarm, Control, Deploy, Event, Fact, Force, Happened, Order, Record, Right, Sample, Tick, Version},
    id::{GroupUid, Slot},
    member::Stage,
    outcome::{Happening, Outcome},
    partition::Partition,
};
use std::collections::{BTreeMap, BTreeSet};
use weir_grammar::{
    policy::{AlarmState, Counted, Expected, Input, Moment, Policy, RemoveOrder, Series, Span, Test},
    quantity::{Millis, Quantity},
};

mod expect;

/// Whose groups are rehearsed.
const TENANT: &str = "rehearsal";

/// Between two records of a quiet stretch; anything under two minutes keeps it from being a gap (rule 19).
const TICK: Millis = Millis(60_000);

/// What became of one test block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rehearsed {
    /// Its title.
    pub name: String,
    /// Where its title stands.
    pub span: Span,
    /// What was not as expected, in the order of the file; empty where the test passed.
    pub failures: Vec<Failure>,
    /// What happened: every change, and every decision with another reason than the one before.
    pub timeline: Vec<TimelineRow>,
    /// Rules that fired, held or were forced in it.
    pub reached: BTreeSet<String>,
}

/// A line of a test that was not met, or a change that no line names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The `expect` line, or the title where a change is named by none.
    pub span: Span,
    /// When it went wrong, since the start.
    pub offset: Millis,
    /// In words.
    pub words: String,
}

/// A line of the timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineRow {
    /// Since the start.
    pub offset: Millis,
    /// The decision.
    pub decision: Decision,
}

/// Runs every test block of a checked file.
#[must_use]
pub fn rehearse(policy: &Policy, text: &str) -> Vec<Rehearsed> {
    policy.tests.iter().map(|test| rehearse_one(policy, text, test)).collect()
}

/// Runs one test of a checked file.
#[must_use]
pub fn rehearse_one(policy: &Policy, text: &str, test: &Test) -> Rehearsed {
    Rehearsal::new(policy, text, test).run()
}

struct Rehearsal<'a> {
    policy: &'a Policy,
    test: &'a Test,
    group: String,
    partition: Partition,
    now_ms: i64,
    /// Outcomes so far, and the last slot given out.
    seq: u64,
    serial: u32,
    seen: Vec<(Millis, Decision)>,
    /// Decisions that were news, by their place in `seen`.
    news: BTreeSet<usize>,
    forces: u32,
}

impl<'a> Rehearsal<'a> {
    fn new(policy: &'a Policy, text: &str, test: &'a Test) -> Self {
        let group = policy.groups.get(test.group).map(|group| group.name.clone()).unwrap_or_default();
        let mut rehearsal = Self {
            policy,
            test,
            group,
            partition: Partition::new("rehearsal", 0),
            now_ms: test.start_ms,
            seq: 0,
            serial: 0,
            seen: Vec::new(),
            news: BTreeSet::new(),
            forces: 0,
        };
        // Setup files are no part of what is decided.
        let setup = policy.launches.iter().filter_map(|launch| launch.setup.clone()).map(|name| (name, String::new()));
        rehearsal.tell(Fact::Policy(Deploy {
            name: "policy.weir".into(),
            text: text.to_owned(),
            setup: setup.collect(),
            capabilities: Vec::new(),
            actor: "test".into(),
        }));
        rehearsal.serial = test.size;
        rehearsal.partition.set_stage(TENANT, &rehearsal.group, test.size, test.start_ms);
        rehearsal.seen.clear();
        rehearsal.partition.set_verbose(true);
        rehearsal
    }

    fn run(mut self) -> Rehearsed {
        let end = self.end();
        let mut script = self.script(end);
        // Samples first, then what happens, then the look: an `expect` at an instant sees all of it.
        script.sort_by_key(|(offset, order, _)| (*offset, *order));
        for (offset, _, act) in script {
            self.now_ms = self.test.start_ms.saturating_add(offset.0);
            self.perform(act);
        }
        let failures = expect::unmet(&self.account(end));
        let reached = self
            .seen
            .iter()
            .flat_map(|(_, decision)| &decision.rules)
            .filter(|rule| rule.wish.is_some() || rule.guard.is_some())
            .map(|rule| rule.rule.clone())
            .collect();
        let news = &self.news;
        let timeline = self
            .seen
            .iter()
            .enumerate()
            .filter(|(at, _)| news.contains(at))
            .map(|(_, (offset, decision))| TimelineRow { offset: *offset, decision: decision.clone() })
            .collect();
        Rehearsed { name: self.test.name.clone(), span: self.test.span, failures, timeline, reached }
    }

    fn account(&self, end: Millis) -> expect::Account<'_> {
        expect::Account { policy: self.policy, test: self.test, seen: &self.seen, end }
    }

    /// The last offset named, an hour later with `after`.
    fn end(&self) -> Millis {
        let series =
            self.test.series.iter().map(|series| Millis(series.pieces.iter().map(|(_, length)| length.0).sum()));
        let inputs = self.test.inputs.iter().map(|(offset, _)| *offset);
        let expects = self.test.expects.iter().map(|expect| match expect.when {
            Moment::At(offset) => offset,
            Moment::After(offset) => Millis(offset.0.saturating_add(Millis::HOUR.0)),
            Moment::Throughout => Millis(0),
        });
        series.chain(inputs).chain(expects).max().unwrap_or_default()
    }

    fn script(&self, end: Millis) -> Vec<(Millis, u8, Act<'a>)> {
        let mut script = Vec::new();
        for series in &self.test.series {
            let every = self.policy.metrics.get(series.metric).map_or(TICK, |metric| metric.every);
            let mut begins = 0_i64;
            for (value, length) in &series.pieces {
                let mut offset = 0;
                while offset < length.0 {
                    script.extend(value.map(|value| (Millis(begins + offset), 0, Act::Sample(series, value))));
                    offset += every.0.max(1);
                }
                begins += length.0;
            }
        }
        script.extend(self.test.inputs.iter().map(|(offset, input)| (*offset, 1, Act::Input(input))));
        let looks = self.test.expects.iter().filter_map(|expect| match expect.when {
            Moment::At(offset) | Moment::After(offset) => Some(offset),
            Moment::Throughout => None,
        });
        script.extend(looks.map(|offset| (offset, 2, Act::Look)));
        let blocked = self.test.expects.iter().filter(|expect| matches!(expect.what, Expected::Blocked { .. }));
        script.extend(blocked.filter_map(|expect| match expect.when {
            Moment::At(offset) => Some((offset, 3, Act::Ask)),
            Moment::After(_) | Moment::Throughout => None,
        }));
        let ticks = (0..=end.0 / TICK.0).map(|tick| Millis(tick * TICK.0)).chain([end]);
        script.extend(ticks.map(|offset| (offset, 2, Act::Look)));
        script
    }

    fn perform(&mut self, act: Act<'_>) {
        match act {
            Act::Look => self.tell(Fact::Tick(Tick {})),
            Act::Ask => self.ask(),
            Act::Sample(series, value) => self.sample(series, value),
            Act::Input(input) => self.input(input),
        }
    }

    /// An `expect … blocked` at an instant with no evaluation of its own is answered as `why` would be.
    fn ask(&mut self) {
        let offset = Millis(self.now_ms.saturating_sub(self.test.start_ms));
        if self.seen.iter().any(|(seen, _)| *seen == offset) {
            return;
        }
        let judged = self.partition.peek(TENANT, &self.group, self.now_ms, "why");
        // Nothing is done by asking: what it would change, a timer or a fact will.
        let decision = judged
            .and_then(|judged| judged.decision.map(|decision| *decision))
            .filter(|decision| decision.from == decision.to);
        self.seen.extend(decision.map(|decision| (offset, decision)));
    }

    fn sample(&mut self, series: &Series, value: Quantity) {
        let Some(metric) = self.policy.metrics.get(series.metric) else { return };
        let sample = |about| Sample { metric: metric.from.clone(), value, at: self.now_ms, about };
        let of_server = |name: String| About { server: vec![name], group: None };
        let samples: Vec<Sample> = if metric.shared {
            vec![sample(About::default())]
        } else {
            // A line for one server speaks for it alone; the line for all leaves that server out.
            let apart = |serial: u32| {
                self.test.series.iter().any(|other| other.metric == series.metric && other.server == Some(serial))
            };
            let wanted = |serial: u32| match series.server {
                Some(only) => only == serial,
                None => !apart(serial),
            };
            let warm = self.ready(self.now_ms);
            warm.into_iter()
                .filter(|slot| wanted(slot.serial))
                .map(|slot| sample(of_server(server_name(slot))))
                .collect()
        };
        if !samples.is_empty() {
            self.tell(Fact::Samples(samples));
        }
    }

    fn input(&mut self, input: &Input) {
        let group = self.group.clone();
        let rule_name = |index: usize| {
            let plan = self.policy.groups.get(self.test.group);
            plan.and_then(|plan| plan.rules.get(index)).map(|rule| rule.name.clone()).unwrap_or_default()
        };
        let force =
            |index, by| Fact::Force(Force { group: group.clone(), rule: rule_name(index), by, actor: "test".into() });
        let control = |order| Fact::Control(Control { actor: "test".into(), reason: String::new(), order });
        match input {
            Input::Call(rule) => {
                let fact = force(*rule, Right::Capability);
                self.tell(fact);
            }
            Input::Force(rule) => {
                let fact = force(*rule, Right::Token);
                self.tell(fact);
            }
            Input::Pause => self.tell(control(Order::Pause { group: group.clone(), until: None })),
            Input::Resume => self.tell(control(Order::Resume { group: group.clone() })),
            Input::Alarm { alarm, state, servers } => self.alarm(*alarm, *state, *servers),
            Input::Event { counted, times } => (0..*times).for_each(|_| self.event(*counted)),
        }
    }

    fn alarm(&mut self, alarm: usize, state: AlarmState, servers: u32) {
        let Some(declared) = self.policy.alarms.get(alarm) else { return };
        let say = |about| {
            let (text, numbers) = (String::new(), BTreeMap::new());
            Fact::Alarm(Alarm { name: declared.from.clone(), state, at: self.now_ms, about, text, numbers })
        };
        let facts: Vec<Fact> = if declared.shared {
            vec![say(About::default())]
        } else {
            let oldest = self.ready(i64::MAX).into_iter().take(servers as usize);
            oldest.map(|slot| say(About { server: vec![server_name(slot)], group: None })).collect()
        };
        facts.into_iter().for_each(|fact| self.tell(fact));
    }

    fn event(&mut self, counted: Counted) {
        let new = Slot { serial: self.serial.saturating_add(1), incarnation: 1 };
        match counted {
            Counted::Declared(index) => {
                let Some(kind) = self.policy.events.get(index).map(|event| event.from.clone()) else { return };
                let about = About { server: Vec::new(), group: Some(self.group.clone()) };
                self.tell(Fact::Happened(Happened { kind, about }));
            }
            Counted::ServerLost => {
                let Some(slot) = self.ready(i64::MAX).into_iter().next() else { return };
                self.outcome(Happening::Lost { slot, reason: "test".into() });
                self.grow();
            }
            Counted::ServerFailed => {
                self.serial = new.serial;
                self.outcome(Happening::Failed { slot: new, reason: "test".into() });
            }
            Counted::ServerReady => self.grow(),
        }
    }

    /// Servers that take their part and are warm at `warm_ms`, oldest first.
    fn ready(&self, warm_ms: i64) -> Vec<Slot> {
        let group = self.partition.group(TENANT, &self.group);
        let members = group.into_iter().flat_map(|(_, group)| group.members.iter());
        members
            .filter(|(_, member)| member.stage == Stage::Ready && member.warm_ms <= warm_ms)
            .map(|(slot, _)| slot)
            .collect()
    }

    /// Puts a fact into the log, and does at once what the commands say.
    fn tell(&mut self, fact: Fact) {
        self.forces = self.forces.saturating_add(1);
        let record = Record {
            offset: self.partition.next(),
            appended_ms: self.now_ms,
            event: Event {
                specversion: Version::V1,
                id: self.forces.to_string(),
                source: "/test".into(),
                time: self.now_ms,
                tenant: TENANT.into(),
                fact,
            },
        };
        let reasons = self.reasons();
        // Offsets are taken from the partition itself, so no record is out of order.
        let Ok(effects) = self.partition.step(&record) else { return };
        for decision in effects.decisions.into_iter().filter(|decision| decision.group == self.group) {
            let offset = Millis(decision.at.saturating_sub(self.test.start_ms));
            if !matches!(decision.outcome, Verdict::Still | Verdict::Held { .. }) || self.reasons() != reasons {
                self.news.insert(self.seen.len());
            }
            self.seen.push((offset, decision));
        }
        // Of several commands of one record the newest is the one to act on.
        let newest = effects.commands.into_iter().rfind(|command| command.group == self.group);
        if let Some(command) = newest {
            self.resize(command.target);
        }
    }

    fn reasons(&self) -> u64 {
        self.partition.group(TENANT, &self.group).map_or(0, |(_, group)| group.reasons)
    }

    fn resize(&mut self, target: u32) {
        let newest_first =
            self.policy.groups.get(self.test.group).is_some_and(|plan| plan.remove == RemoveOrder::NewestFirst);
        loop {
            let ready = self.ready(i64::MAX);
            if ready.len() < target as usize {
                self.grow();
            } else if ready.len() > target as usize {
                let goes = if newest_first { ready.last() } else { ready.first() };
                let Some(slot) = goes.copied() else { return };
                self.outcome(Happening::Removed { slot });
            } else {
                return;
            }
        }
    }

    fn grow(&mut self) {
        self.serial = self.serial.saturating_add(1);
        let slot = Slot { serial: self.serial, incarnation: 1 };
        let name = server_name(slot);
        self.outcome(Happening::Ready { slot, server: name.clone(), name, addresses: Vec::new() });
    }

    fn outcome(&mut self, happening: Happening) {
        self.seq += 1;
        let uid = self.partition.uid_of(TENANT, &self.group).unwrap_or(GroupUid(0));
        self.tell(Fact::Outcome(Outcome { group: self.group.clone(), uid, seq: self.seq, happening }));
    }
}

fn server_name(slot: Slot) -> String {
    format!("server-{}", slot.serial)
}

/// One thing that happens in a test.
enum Act<'a> {
    Sample(&'a Series, Quantity),
    Input(&'a Input),
    Look,
    /// What a rule thinks, also where nothing made the group look.
    Ask,
}

impl Partition {
    /// Gives a group `size` servers that were always there, and no history.
    fn set_stage(&mut self, tenant: &str, group: &str, size: u32, now_ms: i64) {
        let Some((id, _)) = self.group(tenant, group) else { return };
        let Some(known) = self.state.groups.get_mut(id as usize).and_then(Option::as_mut) else { return };
        known.target = size;
        known.members = crate::member::Members::default();
        known.changes.clear();
        known.reasons = 0;
        known.last_change = None;
        known.unsettled_since = None;
        let place = known.tenant as usize;
        for serial in 1..=size {
            let slot = Slot { serial, incarnation: 1 };
            known.members.stage(slot, &server_name(slot));
            if let Some(owner) = self.state.tenants.get_mut(place) {
                owner.servers.know(&[server_name(slot)], id, slot);
            }
        }
        if let Some(owner) = self.state.tenants.get_mut(place) {
            owner.wanted = size;
        }
        self.set_due(id, Some(now_ms));
    }
}

/// Whether an expectation is of a change.
fn names_change(expected: &Expected) -> bool {
    !matches!(expected, Expected::NoAction | Expected::Blocked { .. })
}
