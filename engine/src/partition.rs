//! The state of one partition, and the step that a record of its log takes it.
//!
//! `step` is the whole engine: single-threaded, no clock, no I/O, no randomness. Timers fire at their own instants, in
//! order of (instant, group), before the record that moved `t` past them is applied; so a decision depends on the log
//! alone and not on how often the clock was written down.

use crate::{
    agenda::Agenda,
    by_hand::ByHand,
    cause::Cause,
    command::Command,
    decide::{self, Case, Judged},
    decision::Decision,
    deed::Deed,
    directory::Directory,
    event::{Event, Fact, Record, Right, Upgrade},
    group::Group,
    id::{GroupUid, Position},
    index::Index,
    intake,
    planted::{self, Bug},
    rows, scan, semantics,
    tenant::{File, GroupId, Program, Tenant},
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

/// The version of the snapshot's bytes: the state, then what is set by hand in each group that has any of it.
const FORMAT: u8 = 3;
/// The version before there was anything by hand, which is still read: the state, and nothing behind it.
const FORMAT_BEFORE_HANDS: u8 = 2;

/// One partition.
#[derive(Clone, Debug)]
pub struct Partition {
    pub(crate) state: State,
    /// Tenants by name; made from the state.
    tenants: Index<String, u32>,
    /// Each group's program, in the order of the groups; made from the files' texts.
    pub(crate) programs: Vec<Option<Program>>,
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
}

/// Bytes that are no snapshot of this build's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the snapshot cannot be read: {0}")]
pub struct Damaged(String);

/// Why a group is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Why<'a> {
    pub(crate) cause: Cause<'a>,
    pub(crate) forced: Option<(usize, Right, &'a str)>,
    /// What a person does with one server.
    pub(crate) deed: Option<&'a Deed>,
    /// The decision is wanted also where it says nothing new.
    pub(crate) verbose: bool,
}

impl<'a> Why<'a> {
    pub(crate) fn of(cause: impl Into<Cause<'a>>) -> Self {
        Self { cause: cause.into(), forced: None, deed: None, verbose: false }
    }
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

    /// Canonical bytes of the whole state.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        // Plain data of known sizes into memory: there is nothing here that could fail.
        bytes.extend(postcard::to_stdvec(&self.state).unwrap_or_default());
        let groups = self.state.groups.iter().enumerate().filter_map(|(id, group)| Some((id, group.as_ref()?)));
        let hands: Vec<(GroupId, &ByHand)> = groups
            .filter(|(_, group)| group.by_hand != ByHand::default())
            .map(|(id, group)| (id as GroupId, &group.by_hand))
            .collect();
        bytes.extend(postcard::to_stdvec(&hands).unwrap_or_default());
        bytes
    }

    /// The state that gave these bytes.
    ///
    /// # Errors
    /// Where they are not a snapshot of this build's format.
    pub fn restore(bytes: &[u8]) -> Result<Self, Damaged> {
        let damaged = |error: postcard::Error| Damaged(error.to_string());
        let (format, rest) = bytes.split_first().ok_or_else(|| Damaged("it is empty".into()))?;
        if ![FORMAT, FORMAT_BEFORE_HANDS].contains(format) {
            return Err(Damaged(format!("its format is {format}, this build reads {FORMAT}")));
        }
        let (mut state, rest): (State, _) = postcard::take_from_bytes(rest).map_err(damaged)?;
        if !semantics::knows(state.semantics) {
            return Err(Damaged(semantics::unknown(state.semantics)));
        }
        let hands: Vec<(GroupId, ByHand)> =
            if *format == FORMAT { postcard::from_bytes(rest).map_err(damaged)? } else { Vec::new() };
        for (id, by_hand) in hands {
            if let Some(group) = state.groups.get_mut(id as usize).and_then(Option::as_mut) {
                group.by_hand = by_hand;
            }
        }
        Self::wired(state)
    }

    /// Around a state with everything in place.
    pub(crate) fn wired(state: State) -> Result<Self, Damaged> {
        let mut wired = Self::around(state);
        wired.programs = vec![None; wired.state.groups.len()];
        for place in 0..wired.state.tenants.len() {
            wired.wire_tenant(place as u32)?;
        }
        Ok(wired)
    }

    /// Makes everything of a tenant that is not stored.
    fn wire_tenant(&mut self, place: u32) -> Result<(), Damaged> {
        let State { tenants, groups, .. } = &mut self.state;
        let Some(tenant) = tenants.get_mut(place as usize) else { return Ok(()) };
        self.tenants.insert(tenant.name.clone(), place);
        let mut files = BTreeMap::new();
        for (name, file) in &tenant.files {
            files.insert(name, Arc::new(File::compile(name, &file.text, &file.setup).map_err(Damaged)?));
        }
        for (name, id) in &tenant.groups {
            let missing = || Damaged(format!("group `{name}` has no state or no policy"));
            let group = groups.get_mut(*id as usize).and_then(Option::as_mut).ok_or_else(missing)?;
            if planted::is(Bug::CooldownForgotten) {
                group.cooldown = None;
            }
            let file = files.get(&group.file).ok_or_else(missing)?;
            let program = Program { place: file.place(name).ok_or_else(missing)?, file: Arc::clone(file) };
            if let Some(wiring) = program.wiring() {
                wiring.share(group);
            }
            if file.listens() {
                tenant.listeners.push(*id);
            }
            self.uids.insert(group.uid, *id);
            self.timers.extend(group.due.map(|due| (due, *id)));
            for (slot, member) in group.members.iter() {
                tenant.servers.know(&member.names, *id, slot);
            }
            if let Some(kept) = self.programs.get_mut(*id as usize) {
                *kept = Some(program);
            }
        }
        // In the order of creation, as deploys keep them, and not by name: it is the order of decisions.
        tenant.listeners.sort_unstable();
        Ok(())
    }

    /// The same state with nothing in it of other tenants: what may be handed to this one. Run on through its own records
    /// it decides for it as the whole would, as long as one record's timers are no more than
    /// [`GROUPS_PER_RECORD_MAX`].
    ///
    /// # Errors
    /// Where a file in force no longer compiles, which a build that compiled it once does not do.
    pub fn only(&self, tenant: &str) -> Result<Self, Damaged> {
        let State { partition, next, t_ms, digest, semantics, gap, .. } = self.state;
        let place = self.tenants.get(tenant).copied();
        // Groups keep their places, and with them their order among timers; the tenant is the only one.
        let own = |group: &Group| (Some(group.tenant) == place).then(|| Group { tenant: 0, ..group.clone() });
        let groups = self.state.groups.iter().map(|group| group.as_ref().and_then(own)).collect();
        let tenants = self.tenant(tenant).cloned().map(|kept| Tenant {
            servers: Directory::default(),
            listeners: Vec::new(),
            ..kept
        });
        let (log_id, tenants) = (self.state.log_id.clone(), Vec::from_iter(tenants));
        Self::wired(State { log_id, partition, next, t_ms, digest, semantics, gap, tenants, groups })
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
        self.apply(record.offset, record.event.time, record.appended_ms, |step| intake::apply(step, &record.event))
    }

    /// Applies the next record from its line in the log, as [`step`](Self::step) does from the event. The hot kinds are
    /// read without a copy.
    ///
    /// # Errors
    /// As for `step`, and where the line is no event that this build knows.
    pub fn step_line(&mut self, offset: u64, appended_ms: i64, line: &[u8]) -> Result<Effects, Halt> {
        if let Some(scanned) = scan::event(line) {
            return self.apply(offset, scanned.time, appended_ms, |step| intake::apply_hot(step, &scanned));
        }
        match Event::from_line(line) {
            Ok(event) => self.step(&Record { offset, appended_ms, event }),
            Err(error) => Err(Halt::Unreadable { offset, why: error.to_string() }),
        }
    }

    fn apply(
        &mut self,
        offset: u64,
        time: i64,
        appended_ms: i64,
        fact: impl FnOnce(&mut Step<'_>),
    ) -> Result<Effects, Halt> {
        if offset != self.state.next {
            return Err(Halt::OutOfOrder { found: offset, expected: self.state.next });
        }
        let before_ms = self.state.t_ms;
        // The earlier of the two clocks: one that runs ahead cannot drag the log's time along.
        let t_ms = before_ms.max(time.min(appended_ms));
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
    pub(crate) fn program(&self, id: GroupId) -> Option<&Program> {
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

/// A record being applied.
pub(crate) struct Step<'a> {
    pub(crate) partition: &'a mut Partition,
    pub(crate) position: Position,
    pub(crate) effects: Effects,
    /// Groups whose row changed.
    pub(crate) touched: BTreeSet<GroupId>,
    /// Runs of schedules worked out for it.
    agenda: Agenda,
}

impl<'a> Step<'a> {
    fn of(partition: &'a mut Partition, offset: u64) -> Self {
        let position = Position { partition: partition.state.partition, offset };
        Self { partition, position, effects: Effects::default(), touched: BTreeSet::new(), agenda: Agenda::default() }
    }

    pub(crate) fn t(&self) -> i64 {
        self.partition.state.t_ms
    }

    /// Runs due timers in their order, for at most [`GROUPS_PER_RECORD_MAX`] groups.
    fn run_timers(&mut self) {
        for _ in 0..GROUPS_PER_RECORD_MAX {
            match self.partition.timers.first().copied() {
                Some((at_ms, id)) if at_ms <= self.t() => self.look(id, at_ms, &Why::of("timer")),
                Some(_) | None => {
                    self.partition.state.gap = None;
                    return;
                }
            }
        }
    }

    /// Later evaluations decide by a newer meaning of the rules. Timers that were due have run by the one before.
    pub(crate) fn upgrade(&mut self, semantics: u32) {
        let state = &mut self.partition.state;
        state.semantics = state.semantics.max(semantics);
    }

    /// Runs the timers of one group that are due, so that a fact finds it as of now.
    pub(crate) fn catch_up(&mut self, id: GroupId) {
        while let Some(at_ms) = self.partition.at(id).and_then(|group| group.due).filter(|at_ms| *at_ms <= self.t()) {
            self.look(id, at_ms, &Why::of("timer"));
        }
    }

    /// A fact touched a group: evaluate it as of now.
    pub(crate) fn touch<'c>(&mut self, id: GroupId, cause: impl Into<Cause<'c>>) {
        self.look(id, self.t(), &Why::of(cause));
    }

    /// Evaluates a group at an instant and collects what came out.
    pub(crate) fn look(&mut self, id: GroupId, at_ms: i64, why: &Why<'_>) {
        let why = Why { verbose: why.verbose || self.partition.verbose, ..*why };
        let target = |step: &Self| step.partition.at(id).map_or(0, |group| group.target);
        let before = target(self);
        let Some(judged) = self.judge(id, at_ms, &why) else { return };
        if target(self) < before {
            self.offer_quota(id, at_ms);
        }
        if judged.news {
            self.touched.insert(id);
        }
        self.effects.decisions.extend(judged.missed);
        self.effects.decisions.extend(judged.decision.map(|decision| *decision));
        self.effects.commands.extend(judged.command.map(|command| *command));
    }

    /// A group needs fewer servers, so others of its tenant that the quota held may have them: they look, too.
    fn offer_quota(&mut self, id: GroupId, at_ms: i64) {
        let Partition { state, .. } = &*self.partition;
        let group = state.groups.get(id as usize).and_then(Option::as_ref);
        let Some(tenant) = group.and_then(|group| state.tenants.get(group.tenant as usize)) else { return };
        if tenant.quota.is_none() {
            return;
        }
        let others: Vec<GroupId> = tenant.groups.values().copied().filter(|other| *other != id).collect();
        others.into_iter().for_each(|other| self.wake_by(other, at_ms));
    }

    fn judge(&mut self, id: GroupId, now_ms: i64, why: &Why<'_>) -> Option<Judged> {
        let Partition { state, programs, .. } = &mut *self.partition;
        let group = state.groups.get_mut(id as usize)?.as_mut()?;
        let tenant = state.tenants.get(group.tenant as usize)?;
        let program = programs.get(id as usize)?.as_ref()?;
        let name = std::mem::take(&mut group.name);
        let gap = state.gap.filter(|(_, to)| now_ms <= *to);
        let case = Case {
            tenant: &tenant.name,
            name: &name,
            files: &tenant.files,
            policy: &program.file.policy,
            plan: program.plan()?,
            wiring: program.wiring()?,
            standing: tenant.standing(),
            moment: Moment {
                now_ms,
                t_ms: state.t_ms,
                gap,
                intake_bad_ms: tenant.intake_bad_ms,
                semantics: state.semantics,
            },
            position: self.position,
            cause: why.cause,
            forced: why.forced,
            deed: why.deed,
            verbose: why.verbose,
            agenda: &self.agenda,
        };
        let (due, target) = (group.due, group.target);
        let judged = decide::judge(group, &case);
        group.name = name;
        let next = std::mem::replace(&mut group.due, due);
        let (owner, grown) = (group.tenant, group.target);
        if let Some(tenant) = state.tenants.get_mut(owner as usize).filter(|_| grown != target) {
            tenant.wanted = tenant.wanted.saturating_add(grown).saturating_sub(target);
        }
        self.partition.set_due(id, next);
        Some(judged)
    }

    /// A fact arrived that changes nothing before `at_ms`: look then at the latest.
    pub(crate) fn wake_by(&mut self, id: GroupId, at_ms: i64) {
        let due = self.partition.at(id).and_then(|group| group.due);
        if due.is_none_or(|due| at_ms < due) {
            self.partition.set_due(id, Some(at_ms));
        }
    }

    /// A tenant's place; one that the log names for the first time gets one.
    pub(crate) fn tenant_place(&mut self, name: &str) -> u32 {
        if let Some(place) = self.partition.tenants.get(name) {
            return *place;
        }
        let place = self.partition.state.tenants.len() as u32;
        self.partition.state.tenants.push(Tenant { name: name.to_owned(), ..Tenant::default() });
        self.partition.tenants.insert(name.to_owned(), place);
        place
    }

    pub(crate) fn tenant(&mut self, name: &str) -> &mut Tenant {
        let place = self.tenant_place(name) as usize;
        // The place was made just now, if it was not there before.
        #[expect(clippy::indexing_slicing, reason = "places are indices of this list")]
        &mut self.partition.state.tenants[place]
    }

    pub(crate) fn group(&mut self, id: GroupId) -> Option<&mut Group> {
        self.partition.state.groups.get_mut(id as usize)?.as_mut()
    }

    pub(crate) fn by_uid(&self, uid: GroupUid) -> Option<GroupId> {
        self.partition.uids.get(&uid).copied()
    }

    /// A new group takes its place.
    pub(crate) fn found(&mut self, tenant: &str, group: Group) -> GroupId {
        let id = self.partition.state.groups.len() as GroupId;
        self.partition.uids.insert(group.uid, id);
        self.tenant(tenant).groups.insert(group.name.clone(), id);
        self.partition.state.groups.push(Some(group));
        self.partition.programs.push(None);
        id
    }

    /// A group is gone; its place stays empty.
    pub(crate) fn bury(&mut self, tenant: &str, id: GroupId) -> Option<Group> {
        self.offer_quota(id, self.t());
        self.partition.set_due(id, None);
        let group = self.partition.state.groups.get_mut(id as usize)?.take()?;
        self.partition.uids.remove(&group.uid);
        if let Some(program) = self.partition.programs.get_mut(id as usize) {
            *program = None;
        }
        let owner = self.tenant(tenant);
        owner.groups.remove(&group.name);
        owner.listeners.retain(|listener| *listener != id);
        owner.wanted = owner.wanted.saturating_sub(group.target);
        group.members.iter().for_each(|(slot, member)| owner.servers.forget(&member.names, id, slot));
        self.touched.remove(&id);
        Some(group)
    }
}
