//! Tenants at rest: restored, and their policies still texts.
//!
//! Compiling is nearly all that a restore of many groups takes, and a partition that was taken over should not stand still until
//! the policies of everybody are compiled. So a tenant rests until a record or a timer concerns it, and is woken before
//! anything of that record is applied: a policy that this build cannot compile stops the partition there. Nobody looks at a tenant
//! at rest, nothing of it is changed, and what is decided is the same.

use super::{GROUPS_PER_RECORD_MAX, Partition, State};
use crate::program::Compiled;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

impl Partition {
    /// Wakes whom a record may concern that takes the log's time to `t_ms`: its tenant, and all whose timers it runs.
    ///
    /// # Errors
    /// Which policy cannot be compiled, and why.
    pub(super) fn wake(&mut self, tenant: &str, t_ms: i64) -> Result<(), String> {
        if self.resting.is_empty() {
            return Ok(());
        }
        // A timer that is set meanwhile is of a group that has looked or was looked up, so of a tenant among these.
        let due = self.timers.iter().take_while(|(at_ms, _)| *at_ms <= t_ms).take(GROUPS_PER_RECORD_MAX);
        let owners = due.filter_map(|(_, id)| Some(self.at(*id)?.tenant));
        let concerned: BTreeSet<u32> = owners.chain(self.tenants.get(tenant).copied()).collect();
        concerned.into_iter().try_for_each(|place| self.wake_tenant(place))
    }

    /// Wakes everybody.
    ///
    /// # Errors
    /// As for [`Partition::wake`].
    pub(super) fn wake_all(&mut self) -> Result<(), String> {
        while let Some(place) = self.resting.first().copied() {
            self.wake_tenant(place)?;
        }
        Ok(())
    }

    /// Makes everything of a tenant that is not stored, if it rests.
    fn wake_tenant(&mut self, place: u32) -> Result<(), String> {
        if !self.resting.contains(&place) {
            return Ok(());
        }
        let Self { state: State { tenants, groups, .. }, programs, pool, .. } = self;
        let Some(tenant) = tenants.get_mut(place as usize) else { return Ok(()) };
        let mut files = BTreeMap::new();
        for (name, file) in &tenant.files {
            let compiled = Compiled::of(name, &file.text, &file.setup, pool).map_err(|why| {
                format!("the policy `{name}` of tenant `{}` is in force and cannot be compiled: {why}", tenant.name)
            })?;
            files.insert(name, compiled);
        }
        for (name, id) in &tenant.groups {
            let missing = || format!("group `{name}` of tenant `{}` is in none of its policies", tenant.name);
            let group = groups.get_mut(*id as usize).and_then(Option::as_mut).ok_or_else(missing)?;
            let file = files.get(&group.file).ok_or_else(missing)?;
            let program = file.program(name).ok_or_else(missing)?;
            program.wiring.share(group);
            if program.listens() {
                tenant.listeners.push(*id);
            }
            for (slot, member) in group.members.iter() {
                tenant.servers.know(&member.names, *id, slot);
            }
            if let Some(kept) = programs.get_mut(*id as usize) {
                *kept = Some(Arc::clone(program));
            }
        }
        // In the order of creation, as deploys keep them, and not by name: it is the order of decisions.
        tenant.listeners.sort_unstable();
        self.resting.remove(&place);
        Ok(())
    }
}
