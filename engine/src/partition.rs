//! The state of one partition, and the step that a record of its log takes it.
//!
//! `step` is the whole engine: single-threaded, no clock, no I/O, no randomness. Timers fire at their own instants, in
//! order of (instant, group), before the record that moved `t` past them is applied; so a decision depends on the log
//! alone and not on how often the clock was written down.

mod ahead;
mod rest;
mod snapshot;
mod step;

pub use snapshot::Damaged;
pub(crate) use step::{Step, Why};

use crate::{
    command::Command,
    decide::Judged,
    decision::Decision,
    event::{Event, Fact, Record, Upgrade},
    group::Group,
    id::GroupUid,
    index::Index,
    intake,
    program::{Pool, Program},
    rows,
    scan::{self, Scanned},
    semantics,
    tenant::{GroupId, Tenant},
    view::Row,
};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::{collections::BTreeSet, sync::Arc};

/// At most this many groups act by their timers on one record; the rest on the next, which follows at once.
pub const GROUPS_PER_RECORD_MAX: usize = 4_096;

/// A record that moves `t` by more than this, milliseconds, shows an outage of ours (rule 19).
pub const GAP_MS: i64 = 120_000;

/// One partition.
#[derive(Clone, Debug)]
pub struct Partition {
    pub(crate) state: State,
    /// Tenants by name; made from the state.
    tenants: Index<String, u32>,
    /// Each group's program, in the order of the groups; made from the files' texts.
    pub(crate) programs: Vec<Option<Arc<Program>>>,
    /// Those programs, each once.
    pub(crate) pool: Pool,
    /// Tenants whose programs are still to be made, by place.
    resting: BTreeSet<u32>,
    /// Groups by uid; made from the state.
    uids: Index<GroupUid, GroupId>,
    /// Every group's next timer; made from the groups' own `due`.
    timers: BTreeSet<(i64, GroupId)>,
    /// Every evaluation gives its decision, not only those that are news: for tests in policy files and for `why`.
    verbose: bool,
}

/// What is kept in a snapshot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) log_id: String,
    pub(crate) partition: u32,
    pub(crate) next: u64,
    pub(crate) t_ms: i64,
    pub(crate) digest: [u8; 32],
    pub(crate) semantics: u32,
    /// A stretch in which the log was silent too long, while timers within it remain to be run.
    pub(crate) gap: Option<(i64, i64)>,
    /// In the order in which the log first named them.
    pub(crate) tenants: Vec<Tenant>,
    /// In the order in which they were made; one that was removed leaves its place empty.
    pub(crate) groups: Vec<Option<Group>>,
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
    /// The record was a tick: nothing but the time.
    pub tick: bool,
}

/// A line of the log.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// Its offset.
    pub offset: u64,
    /// The log's clock when it was appended, epoch milliseconds.
    pub appended_ms: i64,
    /// The event.
    pub bytes: &'a [u8],
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
    /// It is no event that this build knows.
    #[error("it is no event that this build knows ({why}); use the build that wrote it, or a newer one")]
    Unreadable {
        /// The offset it has.
        offset: u64,
        /// What the parser says.
        why: String,
    },
    /// It concerns a tenant whose policy was accepted by another build, and means nothing to this one.
    #[error("{why}; use the build that accepted it, or a newer one")]
    Policy {
        /// The offset it has.
        offset: u64,
        /// Which policy, and what the compiler says.
        why: String,
    },
}

impl Partition {
    /// The state before the first record of the log `log_id`.
    #[must_use]
    pub fn new(log_id: &str, partition: u32) -> Self {
        Self::around(State {
            log_id: log_id.to_owned(),
            partition,
            next: 0,
            t_ms: 0,
            digest: [0; 32],
            semantics: semantics::FIRST,
            gap: None,
            tenants: Vec::new(),
            groups: Vec::new(),
        })
    }

    fn around(state: State) -> Self {
        Self {
            state,
            tenants: Index::default(),
            programs: Vec::new(),
            pool: Pool::default(),
            resting: BTreeSet::new(),
            uids: Index::default(),
            timers: BTreeSet::new(),
            verbose: false,
        }
    }

    /// The next offset to apply.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.state.next
    }

    /// The log's time, epoch milliseconds: the largest so far of what door's and log's clocks agree has come.
    #[must_use]
    pub fn t(&self) -> i64 {
        self.state.t_ms
    }

    /// The instant of the earliest timer. At or before [`t`](Self::t) it means that timers remain due: append another
    /// tick at once.
    #[must_use]
    pub fn next_timer(&self) -> Option<i64> {
        self.timers.first().map(|(at_ms, _)| *at_ms)
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

    /// The uid of a group that is there.
    #[must_use]
    pub fn uid_of(&self, tenant: &str, group: &str) -> Option<GroupUid> {
        self.group(tenant, group).map(|(_, group)| group.uid)
    }

    /// Applies the next record.
    ///
    /// # Errors
    /// Where the partition must stop; nothing of the record is applied then.
    pub fn step(&mut self, record: &Record) -> Result<Effects, Halt> {
        if let Fact::Upgrade(Upgrade { semantics, .. }) = &record.event.fact
            && *semantics > semantics::newest()
        {
            let offset = record.offset;
            return Err(Halt::Unreadable { offset, why: semantics::unknown(*semantics) });
        }
        let Record { offset, appended_ms, event } = record;
        self.apply(*offset, (event.time, *appended_ms), &event.tenant, |step| intake::apply(step, event))
    }

    /// Applies the next record from its line in the log, as [`step`](Self::step) does from the event. The hot kinds are
    /// read without a copy.
    ///
    /// # Errors
    /// As for `step`, and where the line is no event that this build knows.
    pub fn step_line(&mut self, offset: u64, appended_ms: i64, line: &[u8]) -> Result<Effects, Halt> {
        self.step_scanned(&Line { offset, appended_ms, bytes: line }, scan::event(line).as_ref())
    }

    fn step_scanned(&mut self, line: &Line<'_>, scanned: Option<&Scanned<'_>>) -> Result<Effects, Halt> {
        let Line { offset, appended_ms, bytes } = *line;
        if let Some(scanned) = scanned {
            let clocks = (scanned.time, appended_ms);
            return self.apply(offset, clocks, scanned.tenant, |step| intake::apply_hot(step, scanned));
        }
        match Event::from_line(bytes) {
            Ok(event) => self.step(&Record { offset, appended_ms, event }),
            Err(error) => Err(Halt::Unreadable { offset, why: error.to_string() }),
        }
    }

    /// Applies records one after the other, as [`step_line`](Self::step_line) does each of them, and hands on each one's
    /// effects. What the steps will read of memory is fetched for several of them together.
    ///
    /// # Errors
    /// As for `step_line`; the records before that one are applied and handed on.
    pub fn step_lines<'a>(
        &mut self,
        lines: impl IntoIterator<Item = Line<'a>>,
        mut each: impl FnMut(Effects),
    ) -> Result<(), Halt> {
        let mut lines = lines.into_iter().map(|line| (line, scan::event(line.bytes)));
        loop {
            let batch: SmallVec<[_; ahead::BATCH]> = lines.by_ref().take(ahead::BATCH).collect();
            if batch.is_empty() {
                return Ok(());
            }
            ahead::facts(self, batch.iter().filter_map(|(_, scanned)| scanned.as_ref()));
            for (line, scanned) in &batch {
                each(self.step_scanned(line, scanned.as_ref())?);
            }
        }
    }

    /// Applies a tenant's fact that came at this time by the door's clock and by the log's.
    fn apply(
        &mut self,
        offset: u64,
        (door_ms, log_ms): (i64, i64),
        tenant: &str,
        fact: impl FnOnce(&mut Step<'_>),
    ) -> Result<Effects, Halt> {
        if offset != self.state.next {
            return Err(Halt::OutOfOrder { found: offset, expected: self.state.next });
        }
        let before_ms = self.state.t_ms;
        // The earlier of the two clocks: one that runs ahead cannot drag the log's time along.
        let t_ms = before_ms.max(door_ms.min(log_ms));
        self.wake(tenant, t_ms).map_err(|why| Halt::Policy { offset, why })?;
        self.state.t_ms = t_ms;
        if before_ms > 0 && t_ms - before_ms > GAP_MS {
            let from = self.state.gap.map_or(before_ms, |(from, _)| from);
            self.state.gap = Some((from, t_ms));
            for tenant in &mut self.state.tenants {
                tenant.intake_bad_ms = t_ms;
            }
        }
        let mut step = Step::of(self, offset);
        step.run_timers();
        fact(&mut step);
        let Step { mut effects, touched, .. } = step;
        effects.rows.extend(touched.iter().filter_map(|id| rows::group(self, *id)));
        for command in &effects.commands {
            let line = serde_json::to_vec(command).unwrap_or_default();
            self.state.digest = *blake3::Hasher::new().update(&self.state.digest).update(&line).finalize().as_bytes();
        }
        self.state.next += 1;
        Ok(effects)
    }

    /// Evaluates a group as it would be at `now_ms`, without a record and without keeping anything.
    #[must_use]
    pub(crate) fn peek(&self, tenant: &str, group: &str, now_ms: i64, cause: &str) -> Option<Judged> {
        let (id, _) = self.group(tenant, group)?;
        let mut copy = self.clone();
        let offset = self.state.next.saturating_sub(1);
        Step::of(&mut copy, offset).judge(id, now_ms, &Why { verbose: true, ..Why::of(cause) })
    }

    /// A tenant by name.
    pub(crate) fn tenant(&self, name: &str) -> Option<&Tenant> {
        self.state.tenants.get(*self.tenants.get(name)? as usize)
    }

    /// A group by name, with its place.
    pub(crate) fn group(&self, tenant: &str, name: &str) -> Option<(GroupId, &Group)> {
        let id = *self.tenant(tenant)?.groups.get(name)?;
        Some((id, self.at(id)?))
    }

    /// A group by place.
    pub(crate) fn at(&self, id: GroupId) -> Option<&Group> {
        self.state.groups.get(id as usize)?.as_ref()
    }

    /// A group's program.
    pub(crate) fn program(&self, id: GroupId) -> Option<&Arc<Program>> {
        self.programs.get(id as usize)?.as_ref()
    }

    /// Makes a group's next look be at `at_ms`.
    pub(crate) fn set_due(&mut self, id: GroupId, at_ms: Option<i64>) {
        let Some(group) = self.state.groups.get_mut(id as usize).and_then(Option::as_mut) else { return };
        if group.due != at_ms {
            group.due.map(|due| self.timers.remove(&(due, id)));
            group.due = at_ms;
            self.timers.extend(at_ms.map(|due| (due, id)));
        }
    }
}
