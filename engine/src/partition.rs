//! The state of one partition, and the step that a record of its log takes it.
//!
//! `step` is the whole engine: single-threaded, no clock, no I/O, no randomness. Timers fire at their own instants, in
//! order of (instant, tenant, group), before the record that moved `t` past them is applied; so a decision depends on
//! the log alone and not on how often the clock was written down.

use crate::{
    command::Command,
    decide::{self, Case, Judged, SEMANTICS},
    decision::Decision,
    event::{Record, Right},
    id::Position,
    intake, rows,
    tenant::{Compiled, File, Tenant},
    view::Row,
    wish::Moment,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// At most this many groups act by their timers on one record; the rest on the next, which follows at once.
pub const GROUPS_PER_RECORD_MAX: usize = 4_096;

/// A record that moves `t` by more than this, milliseconds, shows an outage of ours (rule 19).
pub const GAP_MS: i64 = 120_000;

/// The version of the snapshot's bytes.
const FORMAT: u8 = 1;

/// One partition.
#[derive(Clone, Debug)]
pub struct Partition {
    pub(crate) state: State,
    /// Programs by (tenant, file); made from the texts.
    pub(crate) compiled: BTreeMap<(String, String), Arc<Compiled>>,
    /// Every group's next timer, by (instant, tenant, group); made from the groups' own `due`.
    timers: BTreeSet<(i64, String, String)>,
    /// Every evaluation gives its decision, not only those that are news: for tests in policy files and for `why`.
    pub(crate) verbose: bool,
}

/// What is kept in a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) log_id: String,
    pub(crate) partition: u32,
    pub(crate) next: u64,
    pub(crate) t_ms: i64,
    pub(crate) digest: [u8; 32],
    pub(crate) semantics: u32,
    /// A stretch in which the log was silent too long, while timers within it remain to be run.
    pub(crate) gap: Option<(i64, i64)>,
    pub(crate) tenants: BTreeMap<String, Tenant>,
}

/// What a step gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Commands, oldest first.
    pub commands: Vec<Command>,
    /// Decisions, oldest first.
    pub decisions: Vec<Decision>,
    /// Changed rows of what people read.
    pub rows: Vec<Row>,
}

/// A record at which a partition must stop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Halt {
    /// It is not the one that follows.
    #[error(
        "record {found} of the log came where {expected} should, so some are missing; restore the log from a backup"
    )]
    OutOfOrder {
        /// The offset it has.
        found: u64,
        /// The offset that follows.
        expected: u64,
    },
}

/// Bytes that are no snapshot of this build's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the snapshot cannot be read: {0}")]
pub struct Damaged(String);

/// Why a group is looked at.
#[derive(Clone, Debug)]
pub(crate) struct Why<'a> {
    pub(crate) cause: &'a str,
    pub(crate) forced: Option<(usize, Right, &'a str)>,
    /// The decision is wanted also where it says nothing new.
    pub(crate) verbose: bool,
}

impl<'a> Why<'a> {
    pub(crate) fn of(cause: &'a str) -> Self {
        Self { cause, forced: None, verbose: false }
    }
}

impl Partition {
    /// The state before the first record of the log `log_id`.
    #[must_use]
    pub fn new(log_id: &str, partition: u32) -> Self {
        let state = State {
            log_id: log_id.to_owned(),
            partition,
            next: 0,
            t_ms: 0,
            digest: [0; 32],
            semantics: SEMANTICS,
            gap: None,
            tenants: BTreeMap::new(),
        };
        Self { state, compiled: BTreeMap::new(), timers: BTreeSet::new(), verbose: false }
    }

    /// The next offset to apply.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.state.next
    }

    /// The log's time, epoch milliseconds: the largest of door's and log's clocks so far.
    #[must_use]
    pub fn t(&self) -> i64 {
        self.state.t_ms
    }

    /// The instant of the earliest timer. At or before [`t`](Self::t) it means that timers remain due: append another
    /// tick at once.
    #[must_use]
    pub fn next_timer(&self) -> Option<i64> {
        self.timers.first().map(|(at_ms, ..)| *at_ms)
    }

    /// The rolling digest of all commands so far, hexadecimal.
    #[must_use]
    pub fn digest(&self) -> String {
        blake3::Hash::from_bytes(self.state.digest).to_hex().to_string()
    }

    /// The digest of the whole state, hexadecimal.
    #[must_use]
    pub fn state_digest(&self) -> String {
        blake3::hash(&self.snapshot()).to_hex().to_string()
    }

    /// The meaning of the rules by which this partition decides.
    #[must_use]
    pub fn semantics(&self) -> u32 {
        self.state.semantics
    }

    /// Every evaluation gives its decision from now on, not only those that say something new.
    pub fn set_verbose(&mut self, verbose: bool) {
        self.verbose = verbose;
    }

    /// Canonical bytes of the whole state.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        // Plain data of known sizes into memory: there is nothing here that could fail.
        bytes.extend(postcard::to_stdvec(&self.state).unwrap_or_default());
        bytes
    }

    /// The state that gave these bytes.
    ///
    /// # Errors
    /// Where they are not a snapshot of this build's format.
    pub fn restore(bytes: &[u8]) -> Result<Self, Damaged> {
        let state = match bytes.split_first() {
            Some((&FORMAT, rest)) => postcard::from_bytes::<State>(rest).map_err(|error| Damaged(error.to_string()))?,
            Some((format, _)) => return Err(Damaged(format!("its format is {format}, this build reads {FORMAT}"))),
            None => return Err(Damaged("it is empty".into())),
        };
        let mut restored = Self { state, compiled: BTreeMap::new(), timers: BTreeSet::new(), verbose: false };
        for (name, tenant) in &mut restored.state.tenants {
            tenant.index_names();
            for (file, kept) in &tenant.files {
                let compiled = File::compile(file, &kept.text, &kept.setup).map_err(Damaged)?;
                restored.compiled.insert((name.clone(), file.clone()), Arc::new(compiled));
            }
            for (group, kept) in &tenant.groups {
                restored.timers.extend(kept.due.map(|due| (due, name.clone(), group.clone())));
            }
        }
        Ok(restored)
    }

    /// Applies the next record.
    ///
    /// # Errors
    /// Where the partition must stop; nothing of the record is applied then.
    pub fn step(&mut self, record: &Record) -> Result<Effects, Halt> {
        if record.offset != self.state.next {
            return Err(Halt::OutOfOrder { found: record.offset, expected: self.state.next });
        }
        let before_ms = self.state.t_ms;
        let t_ms = before_ms.max(record.event.time).max(record.appended_ms);
        self.state.t_ms = t_ms;
        if before_ms > 0 && t_ms - before_ms > GAP_MS {
            let from = self.state.gap.map_or(before_ms, |(from, _)| from);
            self.state.gap = Some((from, t_ms));
            for tenant in self.state.tenants.values_mut() {
                tenant.intake_bad_ms = t_ms;
            }
        }
        let mut step = Step {
            position: Position { partition: self.state.partition, offset: record.offset },
            effects: Effects::default(),
            touched: BTreeSet::new(),
            partition: self,
        };
        step.run_timers();
        intake::apply(&mut step, &record.event);
        let touched = std::mem::take(&mut step.touched);
        let mut effects = step.effects;
        effects.rows.extend(touched.iter().map(|(tenant, group)| rows::group(self, tenant, group)));
        for command in &effects.commands {
            let line = serde_json::to_vec(command).unwrap_or_default();
            let mut hasher = blake3::Hasher::new();
            hasher.update(&self.state.digest).update(&line);
            self.state.digest = *hasher.finalize().as_bytes();
        }
        self.state.next += 1;
        Ok(effects)
    }

    /// Makes a group's next look be at `at_ms`.
    pub(crate) fn set_due(&mut self, tenant: &str, group: &str, at_ms: i64) {
        let Some(known) = self.state.tenants.get_mut(tenant).and_then(|owner| owner.groups.get_mut(group)) else {
            return;
        };
        let entry = |at_ms| (at_ms, tenant.to_owned(), group.to_owned());
        known.due.map(|due| self.timers.remove(&entry(due)));
        known.due = Some(at_ms);
        self.timers.insert(entry(at_ms));
    }

    /// Evaluates a group as it would be at `now_ms`, without a record and without keeping anything.
    #[must_use]
    pub(crate) fn peek(&self, tenant: &str, group: &str, now_ms: i64, cause: &str) -> Option<Judged> {
        let mut copy = self.clone();
        let position = Position { partition: self.state.partition, offset: self.state.next.saturating_sub(1) };
        let mut step = Step { position, effects: Effects::default(), touched: BTreeSet::new(), partition: &mut copy };
        step.judge(tenant, group, now_ms, &Why { verbose: true, ..Why::of(cause) })
    }
}

/// A record being applied.
pub(crate) struct Step<'a> {
    pub(crate) partition: &'a mut Partition,
    pub(crate) position: Position,
    pub(crate) effects: Effects,
    /// Groups whose row changed.
    pub(crate) touched: BTreeSet<(String, String)>,
}

impl Step<'_> {
    pub(crate) fn t(&self) -> i64 {
        self.partition.state.t_ms
    }

    /// Runs due timers in their order, for at most [`GROUPS_PER_RECORD_MAX`] groups.
    fn run_timers(&mut self) {
        for _ in 0..GROUPS_PER_RECORD_MAX {
            let due = self.partition.timers.first().filter(|(at_ms, ..)| *at_ms <= self.t()).cloned();
            let Some((at_ms, tenant, group)) = due else {
                self.partition.state.gap = None;
                return;
            };
            self.look(&tenant, &group, at_ms, &Why::of("timer"));
        }
    }

    /// Runs the timers of one group that are due, so that a fact finds it as of now.
    pub(crate) fn catch_up(&mut self, tenant: &str, group: &str) {
        while let Some(at_ms) = self.due(tenant, group).filter(|at_ms| *at_ms <= self.t()) {
            self.look(tenant, group, at_ms, &Why::of("timer"));
        }
    }

    /// A fact touched a group: evaluate it as of now.
    pub(crate) fn touch(&mut self, tenant: &str, group: &str, cause: &str) {
        self.look(tenant, group, self.t(), &Why::of(cause));
    }

    /// Evaluates a group at an instant and collects what came out.
    pub(crate) fn look(&mut self, tenant: &str, group: &str, at_ms: i64, why: &Why<'_>) {
        let why = Why { verbose: why.verbose || self.partition.verbose, ..why.clone() };
        let Some(judged) = self.judge(tenant, group, at_ms, &why) else { return };
        if judged.news {
            self.touched.insert((tenant.to_owned(), group.to_owned()));
        }
        self.effects.decisions.extend(judged.missed);
        self.effects.decisions.extend(judged.decision);
        self.effects.commands.extend(judged.command);
    }

    fn judge(&mut self, tenant: &str, group: &str, now_ms: i64, why: &Why<'_>) -> Option<Judged> {
        let state = &mut self.partition.state;
        let owner = state.tenants.get_mut(tenant)?;
        let standing = owner.standing();
        let known = owner.groups.get_mut(group)?;
        let file = owner.files.get(&known.file)?;
        let compiled = self.partition.compiled.get(&(tenant.to_owned(), known.file.clone()))?;
        let (plan, wiring) = compiled.group(group)?;
        let gap = state.gap.filter(|(_, to)| now_ms <= *to);
        let moment = Moment { now_ms, t_ms: state.t_ms, gap, intake_bad_ms: owner.intake_bad_ms };
        let case = Case {
            tenant,
            name: group,
            hash: file.hash.get(..16).unwrap_or_default(),
            version: file.version,
            policy: &compiled.policy,
            plan,
            wiring,
            standing: &standing,
            moment,
            position: self.position,
            cause: why.cause,
            forced: why.forced,
            verbose: why.verbose,
        };
        let before = known.due;
        let judged = decide::judge(known, &case);
        let after = known.due;
        self.reschedule(tenant, group, before, after);
        Some(judged)
    }

    fn due(&self, tenant: &str, group: &str) -> Option<i64> {
        self.partition.state.tenants.get(tenant)?.groups.get(group)?.due
    }

    /// Moves a group's entry in the queue of timers.
    pub(crate) fn reschedule(&mut self, tenant: &str, group: &str, before: Option<i64>, after: Option<i64>) {
        if before == after {
            return;
        }
        let entry = |at_ms| (at_ms, tenant.to_owned(), group.to_owned());
        before.map(|at_ms| self.partition.timers.remove(&entry(at_ms)));
        self.partition.timers.extend(after.map(entry));
    }

    /// A fact arrived that changes nothing before `at_ms`: look then at the latest.
    pub(crate) fn wake_by(&mut self, tenant: &str, group: &str, at_ms: i64) {
        let known = self.partition.state.tenants.get_mut(tenant).and_then(|owner| owner.groups.get_mut(group));
        let Some(known) = known else { return };
        let before = known.due;
        known.wake_by(at_ms);
        let after = known.due;
        self.reschedule(tenant, group, before, after);
    }

    pub(crate) fn tenant(&mut self, tenant: &str) -> &mut Tenant {
        self.partition.state.tenants.entry(tenant.to_owned()).or_default()
    }
}
