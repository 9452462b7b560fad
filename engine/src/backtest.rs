//! A recorded stretch of the log under another policy: what it would have done, and what that would have cost.
//!
//! Pure, and the same `step` as in earnest. The policy is put in force at the beginning of the stretch (or, where the
//! stretch begins before the first deploy, in its place) and the recorded facts follow; only the servers are not the
//! recorded ones, since another target has other servers. They follow the target as `stage` says. Timers run at their own
//! instants, so that what is ordered by a timer is built from that instant on.
//!
//! It is used by `weir backtest`. It must never be taken for a forecast: a metric does what it did, but for its load.

use crate::{
    decision::Decision,
    event::{Deploy, Event, Fact, Record, Tick, Version},
    id::Position,
    outcome::{Happening, Outcome},
    partition::{GAP_MS, Halt, Partition},
    view::Change,
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use weir_grammar::policy::Policy;

pub mod course;
mod stage;

use course::Recorder;
pub use course::{Course, Figures, Line, Series};
use stage::{Stage, Translated};

/// A build takes this long where the stretch shows none, milliseconds.
pub const BUILD_MS: i64 = 180_000;

/// A recorded stretch of one tenant's log.
#[derive(Clone, Copy, Debug)]
pub struct Stretch<'a> {
    /// The state before its first record.
    pub start: &'a Partition,
    /// Whose it is.
    pub tenant: &'a str,
    /// Its records, in order.
    pub records: &'a [Record],
}

/// What a backtest assumes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// How long a build takes, milliseconds; the median of the stretch where it is left out.
    pub build_ms: Option<i64>,
    /// What becomes of the load.
    pub load: Load,
}

/// What becomes of a percentage that each server measures of itself, where there are more or fewer servers than there
/// were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Load {
    /// The whole load stays as it was and spreads evenly: a sample is multiplied by servers then over servers now.
    #[default]
    Spread,
    /// Each server measures what was measured then.
    AsRecorded,
}

/// A stretch under one policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Run {
    /// How long builds took in it, milliseconds.
    pub build_ms: i64,
    /// How many recorded builds that is the median of; 0 where it is assumed.
    pub builds: u32,
    /// What the policy's groups did, in the order of the file.
    pub groups: Vec<Course>,
    /// What was recorded and is not repeated, in words.
    pub left_out: Vec<String>,
}

/// Why a stretch cannot be run under a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is none.
    #[error("the policy has errors: {0}")]
    Policy(String),
    /// The stretch is about something else.
    #[error("the stretch has no group {0}")]
    NoGroup(String),
    /// The policy does not fit what was in force.
    #[error("the policy would have been refused then: {0}")]
    Refused(String),
    /// A record cannot be applied.
    #[error(transparent)]
    Halted(#[from] Halt),
}

/// Runs a stretch under the policy `text`.
///
/// # Errors
/// Where the policy is none, has none of the stretch's groups, or would have been refused.
pub fn run(stretch: &Stretch<'_>, text: &str, settings: &Settings) -> Result<Run, Error> {
    let policy = policy(text)?;
    let file = file_of(stretch, &policy).ok_or_else(|| no_group(&policy))?;
    let observed = builds(stretch, &policy);
    let build_ms = settings.build_ms.or_else(|| observed.get(observed.len() / 2).copied()).unwrap_or(BUILD_MS);
    let mut running = Running {
        state: stretch.start.clone(),
        tenant: stretch.tenant,
        text,
        policy: &policy,
        file,
        load: settings.load,
        build_ms,
        in_force: false,
        at: Position { partition: 0, offset: stretch.start.next() },
        told: 0,
        stages: BTreeMap::new(),
        recorders: BTreeMap::new(),
        left_out: BTreeMap::new(),
    };
    if running.is_deployed() {
        running.deploy(stretch.start.t(), None)?;
    }
    for record in stretch.records {
        running.take(record)?;
    }
    let builds = if settings.build_ms.is_some() { 0 } else { u32::try_from(observed.len()).unwrap_or(u32::MAX) };
    Ok(running.done(builds))
}

/// The policy in whose place `text` would stand: its file's name, and its text at the beginning of the stretch.
///
/// # Errors
/// Where `text` is no policy, or has none of the stretch's groups.
pub fn recorded(stretch: &Stretch<'_>, text: &str) -> Result<(String, String), Error> {
    let policy = policy(text)?;
    let file = file_of(stretch, &policy).ok_or_else(|| no_group(&policy))?;
    let kept = stretch.start.tenant(stretch.tenant).and_then(|tenant| tenant.files.get(&file));
    let first = stretch.records.iter().find_map(|record| match &record.event.fact {
        Fact::Policy(deploy) if record.event.tenant == stretch.tenant && deploy.name == file => Some(&deploy.text),
        _ => None,
    });
    let text = kept.map(|file| &file.text).or(first).cloned();
    text.map(|text| (file, text)).ok_or_else(|| no_group(&policy))
}

pub(crate) fn policy(text: &str) -> Result<Policy, Error> {
    let checked = weir_grammar::check("policy.weir", text);
    checked.policy.ok_or_else(|| {
        let errors = checked.diagnostics.iter().filter(|found| found.severity == weir_grammar::Severity::Error);
        Error::Policy(errors.map(|found| found.message.clone()).collect::<Vec<_>>().join("; "))
    })
}

/// The deploy that puts a policy in the place of a file, with the setup files of what it replaces: they are no part of
/// what is decided.
pub(crate) fn swapped(
    state: &Partition,
    tenant: &str,
    file: &str,
    (text, policy): (&str, &Policy),
    recorded: Option<&Deploy>,
) -> Deploy {
    let kept = state.tenant(tenant).and_then(|tenant| tenant.files.get(file));
    let kept = kept.map(|file| &file.setup).or(recorded.map(|recorded| &recorded.setup));
    let named = policy.launches.iter().filter_map(|launch| launch.setup.clone());
    let setup = named.map(|name| {
        let text = kept.and_then(|kept| kept.get(&name)).cloned().unwrap_or_default();
        (name, text)
    });
    Deploy {
        name: file.to_owned(),
        text: text.to_owned(),
        setup: setup.collect(),
        capabilities: recorded.map(|recorded| recorded.capabilities.clone()).unwrap_or_default(),
        actor: "swapped".into(),
    }
}

pub(crate) fn no_group(policy: &Policy) -> Error {
    let names: Vec<String> = policy.groups.iter().map(|group| format!("`{}`", group.name)).collect();
    Error::NoGroup(names.join(" or "))
}

/// The file that the policy is another version of: the one that has one of its groups.
fn file_of(stretch: &Stretch<'_>, policy: &Policy) -> Option<String> {
    let names: BTreeSet<&str> = policy.groups.iter().map(|group| group.name.as_str()).collect();
    let known = names.iter().find_map(|name| stretch.start.group(stretch.tenant, name));
    known.map(|(_, group)| group.file.clone()).or_else(|| {
        stretch.records.iter().find_map(|record| match &record.event.fact {
            Fact::Policy(deploy) if record.event.tenant == stretch.tenant => {
                let declared = weir_grammar::check(&deploy.name, &deploy.text).policy?.groups;
                declared.iter().any(|group| names.contains(group.name.as_str())).then(|| deploy.name.clone())
            }
            _ => None,
        })
    })
}

/// How long the recorded builds of the policy's groups took, shortest first.
fn builds(stretch: &Stretch<'_>, policy: &Policy) -> Vec<i64> {
    let names: BTreeSet<&str> = policy.groups.iter().map(|group| group.name.as_str()).collect();
    let mut begun: BTreeMap<(&str, crate::id::Slot), i64> = BTreeMap::new();
    for name in &names {
        let members = stretch.start.group(stretch.tenant, name).into_iter().flat_map(|(_, group)| group.members.iter());
        let building = members.filter(|(_, member)| member.stage == crate::member::Stage::Building);
        begun.extend(building.map(|(slot, member)| ((*name, slot), member.since_ms)));
    }
    let mut took = Vec::new();
    for record in stretch.records {
        let Fact::Outcome(Outcome { group, happening, .. }) = &record.event.fact else { continue };
        let Some(name) = names.get(group.as_str()).filter(|_| record.event.tenant == stretch.tenant) else { continue };
        match happening {
            Happening::Building { slot, .. } => drop(begun.insert((name, *slot), instant(record))),
            Happening::Ready { slot, .. } => {
                took.extend(begun.remove(&(*name, *slot)).map(|since| instant(record).saturating_sub(since)));
            }
            _ => {}
        }
    }
    took.sort_unstable();
    took
}

/// The instant of a record as the log's time has it, if no later one came before.
fn instant(record: &Record) -> i64 {
    record.event.time.min(record.appended_ms)
}

struct Running<'a> {
    state: Partition,
    tenant: &'a str,
    text: &'a str,
    policy: &'a Policy,
    file: String,
    load: Load,
    build_ms: i64,
    /// The policy stands in the place of the recorded one.
    in_force: bool,
    /// The recorded record that is being applied.
    at: Position,
    /// Facts told so far, which makes their ids.
    told: u64,
    stages: BTreeMap<String, Stage>,
    recorders: BTreeMap<String, Recorder>,
    left_out: BTreeMap<&'static str, u32>,
}

impl Running<'_> {
    fn is_deployed(&self) -> bool {
        self.state.tenant(self.tenant).is_some_and(|tenant| tenant.files.contains_key(&self.file))
    }

    /// Puts the policy in force, and lets the servers that are there go on as the stage has them.
    fn deploy(&mut self, at_ms: i64, recorded: Option<&Deploy>) -> Result<(), Error> {
        let deploy = swapped(&self.state, self.tenant, &self.file, (self.text, self.policy), recorded);
        self.in_force = true;
        // The servers are taken over first: the deploy's own decisions already order from the stage.
        self.attend(at_ms)?;
        self.tell(Fact::Policy(deploy), at_ms)?;
        self.attend(at_ms)
    }

    /// Sets a stage for each group of the policy that has none yet.
    fn attend(&mut self, at_ms: i64) -> Result<(), Error> {
        for plan in &self.policy.groups {
            let Some((_, group)) = self.state.group(self.tenant, &plan.name) else { continue };
            if self.stages.contains_key(&plan.name) {
                continue;
            }
            let (stage, first) = Stage::set(group, plan.remove, self.build_ms, at_ms);
            self.recorders.entry(plan.name.clone()).or_insert_with(|| Recorder::new(&plan.name, at_ms));
            self.stages.insert(plan.name.clone(), stage);
            for happening in first {
                self.outcome(&plan.name, happening, at_ms)?;
            }
            self.follow(&plan.name, at_ms)?;
        }
        Ok(())
    }

    /// Applies a recorded record: what fell due before it, then what it says.
    fn take(&mut self, record: &Record) -> Result<(), Error> {
        self.at.offset = record.offset;
        self.at.partition = self.state.state.partition;
        let at_ms = instant(record).max(self.state.t());
        // A log that was silent for so long says that we were not there (rule 19), and a backtest must not cover for it.
        if self.state.t() > 0 && at_ms - self.state.t() <= GAP_MS {
            self.run_to(at_ms)?;
        }
        let facts = self.translate(record, at_ms)?;
        if facts.is_empty() {
            self.tell(Fact::Tick(Tick {}), at_ms)?;
        }
        for fact in facts {
            // The record's own id: a force that was sent twice has one effect here too.
            let event = Event { fact, ..record.event.clone() };
            self.step(event, record.appended_ms, at_ms)?;
        }
        if let Fact::Outcome(outcome) = &record.event.fact {
            // A server that was lost is built again, without any order.
            self.follow(&outcome.group, at_ms)?;
        }
        self.run_to(at_ms)
    }

    /// Runs timers and ends builds, each at its own instant.
    fn run_to(&mut self, until_ms: i64) -> Result<(), Error> {
        loop {
            let timer = self.state.next_timer().filter(|at| *at <= until_ms);
            let ready = self.stages.iter().filter_map(|(name, stage)| Some((stage.next()?, name.clone()))).min();
            let ready = ready.filter(|(at, _)| *at <= until_ms && timer.is_none_or(|timer| *at <= timer));
            if let Some((at, name)) = ready {
                let happening = self.stages.get_mut(&name).and_then(Stage::ready);
                if let Some(happening) = happening {
                    self.outcome(&name, happening, at.max(self.state.t()))?;
                }
                continue;
            }
            let Some(timer) = timer else { return Ok(()) };
            self.tell(Fact::Tick(Tick {}), timer.max(self.state.t()))?;
            if self.state.next_timer() == Some(timer) {
                return Ok(());
            }
        }
    }

    /// What a recorded fact is in this run: mostly itself.
    fn translate(&mut self, record: &Record, at_ms: i64) -> Result<Vec<Fact>, Error> {
        let fact = &record.event.fact;
        if record.event.tenant != self.tenant {
            return Ok(vec![fact.clone()]);
        }
        match fact {
            Fact::Policy(deploy) if deploy.name == self.file => {
                if self.in_force {
                    *self.left_out.entry("a deploy of the policy itself").or_default() += 1;
                } else {
                    self.deploy(at_ms, Some(deploy))?;
                }
                return Ok(Vec::new());
            }
            Fact::Server(_) => return Ok(Vec::new()),
            _ => {}
        }
        let mut facts = vec![fact.clone()];
        for (name, stage) in &mut self.stages {
            let Some((_, group)) = self.state.group(self.tenant, name) else { continue };
            let mut next = Vec::new();
            for fact in facts {
                let Translated { facts, left_out } = stage.translate(fact, group, self.policy, self.load, at_ms);
                next.extend(facts);
                if let Some(what) = left_out {
                    *self.left_out.entry(what).or_default() += 1;
                }
            }
            facts = next;
        }
        Ok(facts)
    }

    /// Tells the run's own fact.
    fn tell(&mut self, fact: Fact, at_ms: i64) -> Result<(), Error> {
        self.told += 1;
        let tenant = if matches!(fact, Fact::Tick(_)) { String::new() } else { self.tenant.to_owned() };
        let (id, source) = (format!("backtest-{}", self.told), "/backtest".to_owned());
        let event = Event { specversion: Version::V1, id, source, time: at_ms, tenant, fact };
        self.step(event, at_ms, at_ms)
    }

    fn outcome(&mut self, name: &str, happening: Happening, at_ms: i64) -> Result<(), Error> {
        let Some((_, group)) = self.state.group(self.tenant, name) else { return Ok(()) };
        let (uid, seq) = (group.uid, group.members.applied() + 1);
        self.tell(Fact::Outcome(Outcome { group: name.to_owned(), uid, seq, happening }), at_ms)
    }

    /// Has a group's servers follow its target.
    fn follow(&mut self, name: &str, at_ms: i64) -> Result<(), Error> {
        while let (Some((_, group)), Some(stage)) = (self.state.group(self.tenant, name), self.stages.get_mut(name)) {
            let Some(happening) = stage.follow(group, at_ms) else { break };
            self.outcome(name, happening, at_ms)?;
        }
        Ok(())
    }

    fn step(&mut self, event: Event, appended_ms: i64, at_ms: i64) -> Result<(), Error> {
        let effects = self.state.step(&Record { offset: self.state.next(), appended_ms, event })?;
        for row in &effects.rows {
            match &row.change {
                Change::Policy(policy) if row.name == self.file => {
                    if let Some(reason) = &policy.refused {
                        return Err(Error::Refused(reason.clone()));
                    }
                }
                Change::GroupGone => drop(self.stages.remove(&row.name)),
                _ => {}
            }
        }
        for decision in effects.decisions {
            if self.policy.groups.iter().any(|plan| plan.name == decision.group) {
                // A group's first decision is made before anybody attends to it.
                let made = || Recorder::new(&decision.group, at_ms);
                let recorder = self.recorders.entry(decision.group.clone()).or_insert_with(made);
                recorder.hear(&self.state, self.tenant, Decision { position: self.at, ..decision });
            }
        }
        for recorder in self.recorders.values_mut() {
            recorder.look(&self.state, self.tenant);
        }
        let ordered: BTreeSet<String> = effects.commands.into_iter().map(|command| command.group).collect();
        for name in ordered {
            self.follow(&name, at_ms)?;
        }
        Ok(())
    }

    fn done(self, builds: u32) -> Run {
        let Self { state, tenant, policy, mut recorders, left_out, build_ms, .. } = self;
        let groups = policy.groups.iter().filter_map(|plan| recorders.remove(&plan.name));
        let groups = groups.map(|recorder| recorder.done(&state, tenant)).collect();
        let left_out = left_out.into_iter().map(|(what, times)| format!("{times} × {what}")).collect();
        Run { build_ms, builds, groups, left_out }
    }
}
