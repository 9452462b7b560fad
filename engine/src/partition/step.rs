//! A record being applied: which groups it makes look, and what came out of it.

use super::{Effects, GROUPS_PER_RECORD_MAX, Partition, ahead};
use crate::{
    agenda::Agenda,
    cause::Cause,
    decide::{self, Case, Judged},
    deed::Deed,
    event::Right,
    group::Group,
    id::{GroupUid, Position},
    tenant::{GroupId, Tenant},
    wish::Moment,
};
use std::collections::BTreeSet;

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
    pub(super) fn of(partition: &'a mut Partition, offset: u64) -> Self {
        let position = Position { partition: partition.state.partition, offset };
        Self { partition, position, effects: Effects::default(), touched: BTreeSet::new(), agenda: Agenda::default() }
    }

    pub(crate) fn t(&self) -> i64 {
        self.partition.state.t_ms
    }

    /// Runs due timers in their order, for at most [`GROUPS_PER_RECORD_MAX`] groups.
    pub(super) fn run_timers(&mut self) {
        let mut fetched = 0;
        for _ in 0..GROUPS_PER_RECORD_MAX {
            match self.partition.timers.first().copied() {
                Some((at_ms, id)) if at_ms <= self.t() => {
                    if fetched == 0 {
                        fetched = ahead::timers(self.partition, self.t());
                    }
                    fetched = fetched.saturating_sub(1);
                    self.look(id, at_ms, &Why::of("timer"));
                }
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

    pub(super) fn judge(&mut self, id: GroupId, now_ms: i64, why: &Why<'_>) -> Option<Judged> {
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
            policy: &program.policy,
            plan: &program.plan,
            wiring: &program.wiring,
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
