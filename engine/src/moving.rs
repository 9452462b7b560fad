//! States carried into another log: the tenants of some partitions, gathered into one partition of a log that is new.
//!
//! `weir move` calls it, and `weir log import`. A group keeps its uid, its generation, its servers and all that its rules
//! remember; an import leaves the servers behind, since another installation has them.

use crate::{
    bounds,
    command::{Command, Hands},
    group::Group,
    id::{GroupUid, Position},
    member::Members,
    partition::{Damaged, Effects, GAP_MS, Partition, State},
    rows,
    tenant::{GroupId, Tenant},
    view::{Change, Row},
};

impl Partition {
    /// The names of its tenants, in the order in which the log first named them.
    pub fn tenants(&self) -> impl Iterator<Item = &str> {
        self.state.tenants.iter().map(|tenant| tenant.name.as_str())
    }

    /// Which lives of which groups there are, in the order of their making.
    pub fn uids(&self) -> impl Iterator<Item = GroupUid> {
        self.state.groups.iter().flatten().map(|group| group.uid)
    }

    /// The tenants of `from` that belong `here`, as `partition` of the log `log_id` before its first record.
    ///
    /// Groups keep their order, and with it the order of their decisions. Time goes on from the newest of theirs; who was
    /// far behind it has an outage to show for the rest (rule 19). The digest is one that no log can have that began empty,
    /// so that nobody takes the beginning for nothing.
    ///
    /// # Errors
    /// Where a file in force no longer compiles, which a build that compiled it once does not do.
    pub fn moved(from: &[Self], log_id: &str, partition: u32, here: impl Fn(&str) -> bool) -> Result<Self, Damaged> {
        let mut digest = blake3::Hasher::new_derive_key("weir moved 1");
        let State { semantics, .. } = Self::new(log_id, partition).state;
        let (tenants, groups) = (Vec::new(), Vec::new());
        let (log_id, digest_none) = (log_id.to_owned(), [0; 32]);
        let mut state =
            State { log_id, partition, next: 0, t_ms: 0, digest: digest_none, semantics, gap: None, tenants, groups };
        // Of all of them, so that partitions which were empty decide as the others do.
        state.semantics = from.iter().map(|old| old.state.semantics).max().unwrap_or(semantics);
        let mut oldest_ms = i64::MAX;
        for old in from.iter().map(|old| &old.state) {
            if !old.tenants.iter().any(|tenant| here(&tenant.name)) {
                continue;
            }
            digest.update(&old.digest);
            oldest_ms = oldest_ms.min(old.gap.map_or(old.t_ms, |(from, _)| from));
            state.t_ms = state.t_ms.max(old.t_ms);
            take(&mut state, old, &here);
        }
        if state.t_ms.saturating_sub(oldest_ms) > GAP_MS {
            state.gap = Some((oldest_ms, state.t_ms));
        }
        state.digest = *digest.finalize().as_bytes();
        Self::wired(state)
    }

    /// What was last told of all groups: their commands, and the rows that people read.
    #[must_use]
    pub fn told(&self) -> Effects {
        let groups =
            self.state.groups.iter().enumerate().filter_map(|(id, group)| Some((id as GroupId, group.as_ref()?)));
        let commands = groups.clone().filter_map(|(id, group)| self.newest_command(id, group)).collect();
        let mut rows: Vec<Row> = groups.filter_map(|(id, _)| rows::group(self, id)).collect();
        for tenant in &self.state.tenants {
            rows.extend(tenant.files.keys().map(|file| rows::policy(self, &tenant.name, file, None)));
            let change = Change::Tenant(Box::new(tenant.row(self.state.t_ms)));
            rows.push(Row { tenant: tenant.name.clone(), name: String::new(), change });
        }
        Effects { commands, rows, ..Effects::default() }
    }

    fn newest_command(&self, id: GroupId, group: &Group) -> Option<Command> {
        let program = self.program(id)?;
        let bounds = bounds::of(group, &program.plan);
        let offset = self.state.next.saturating_sub(1);
        Some(Command {
            tenant: self.state.tenants.get(group.tenant as usize)?.name.clone(),
            group: group.name.clone(),
            uid: group.uid,
            generation: group.generation,
            target: group.target,
            min: bounds.min,
            max: bounds.max,
            decided: self.state.t_ms,
            cause: Position { partition: self.state.partition, offset },
            by: "import".into(),
            spec: (*program.wiring.spec).clone(),
            hold: group.hold,
            by_hand: group.by_hand.sent.clone(),
            retired: None,
        })
    }

    /// The same with no servers: each group is a new one of the same name and size, with the generation that it had, and what
    /// was known of single servers is forgotten. `name` makes its uid another one.
    ///
    /// # Errors
    /// As for [`Partition::moved`].
    pub fn without_servers(&self, name: &str) -> Result<Self, Damaged> {
        let mut state = self.state.clone();
        let names: Vec<String> = state.tenants.iter().map(|tenant| tenant.name.clone()).collect();
        for group in state.groups.iter_mut().flatten() {
            let at = Position { partition: state.partition, offset: state.next };
            let tenant = names.get(group.tenant as usize).map_or("", String::as_str);
            leave_servers(group, GroupUid::derive(name, at, tenant, &group.name));
        }
        state.tenants.iter_mut().for_each(unmake);
        Self::wired(state)
    }
}

/// Takes over those tenants of a partition that belong here, with their groups.
fn take(state: &mut State, old: &State, here: impl Fn(&str) -> bool) {
    // Where each of its tenants has its place now, as its groups name them.
    let mut places = vec![None; old.tenants.len()];
    for (tenant, place) in old.tenants.iter().zip(&mut places) {
        if here(&tenant.name) {
            *place = Some(state.tenants.len() as u32);
            let mut kept = tenant.clone();
            unmake(&mut kept);
            kept.groups.clear();
            state.tenants.push(kept);
        }
    }
    for group in old.groups.iter().flatten() {
        let Some(place) = places.get(group.tenant as usize).copied().flatten() else { continue };
        let id = state.groups.len() as GroupId;
        if let Some(tenant) = state.tenants.get_mut(place as usize) {
            tenant.groups.insert(group.name.clone(), id);
        }
        state.groups.push(Some(Group { tenant: place, ..group.clone() }));
    }
}

/// Takes away what is made of a tenant's members and files again.
fn unmake(tenant: &mut Tenant) {
    tenant.servers = Default::default();
    tenant.listeners.clear();
}

fn leave_servers(group: &mut Group, uid: GroupUid) {
    group.uid = uid;
    let slots: Vec<_> = group.members.iter().map(|(slot, _)| slot).collect();
    for slot in slots {
        group.by_hand.some().into_iter().for_each(|hand| hand.forget(slot));
        for about in &mut group.alarms {
            about.remove(slot.key());
        }
        group.windows.iter_mut().for_each(|window| window.forget(slot.key()));
    }
    if let Some(hand) = group.by_hand.some() {
        hand.adopting.clear();
        hand.sent = Hands::default();
    }
    // Outcomes are counted anew, by the ledger that the new life gets.
    group.members = Members::default();
    (group.degraded, group.unsettled_since) = (None, None);
}
