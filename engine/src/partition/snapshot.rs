//! A partition's state as bytes and back. What is made from other state (indices, programs, timers) is not in them and is
//! made again.

use super::{Partition, State};
use crate::{
    by_hand::ByHand,
    directory::Directory,
    group::Group,
    planted::{self, Bug},
    semantics,
    tenant::{GroupId, Tenant},
};

/// The version of the snapshot's bytes: the state, then what is set by hand in each group that has any of it.
const FORMAT: u8 = 3;
/// The version before there was anything by hand, which is still read: the state, and nothing behind it.
const FORMAT_BEFORE_HANDS: u8 = 2;

/// Bytes that are no snapshot of this build's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the snapshot cannot be read: {0}")]
pub struct Damaged(String);

impl Partition {
    /// Canonical bytes of the whole state.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        // Plain data of known sizes into memory: there is nothing here that could fail.
        bytes.extend(postcard::to_stdvec(&self.state).unwrap_or_default());
        let groups = self.state.groups.iter().enumerate().filter_map(|(id, group)| Some((id, group.as_ref()?)));
        let hands: Vec<(GroupId, &ByHand)> = groups
            .filter(|(_, group)| *group.by_hand != ByHand::default())
            .map(|(id, group)| (id as GroupId, &*group.by_hand))
            .collect();
        bytes.extend(postcard::to_stdvec(&hands).unwrap_or_default());
        bytes
    }

    /// The state that gave these bytes.
    ///
    /// # Errors
    /// Where they are not a snapshot of this build's format, or a policy in it cannot be compiled.
    pub fn restore(bytes: &[u8]) -> Result<Self, Damaged> {
        Self::restore_at_rest(bytes)?.awake()
    }

    /// As [`restore`](Self::restore), with every tenant [at rest](super::rest): its policies are compiled once a record or a
    /// timer concerns it. For who is going to step it and has no time.
    ///
    /// # Errors
    /// Where they are not a snapshot of this build's format.
    pub fn restore_at_rest(bytes: &[u8]) -> Result<Self, Damaged> {
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
                *group.by_hand = by_hand;
            }
        }
        Self::indexed(state)
    }

    /// Around a state with everything in place.
    pub(crate) fn wired(state: State) -> Result<Self, Damaged> {
        Self::indexed(state)?.awake()
    }

    fn awake(mut self) -> Result<Self, Damaged> {
        self.wake_all().map_err(Damaged)?;
        Ok(self)
    }

    /// Around a state with what finds groups and their timers; every tenant is at rest.
    fn indexed(state: State) -> Result<Self, Damaged> {
        let mut indexed = Self::around(state);
        let State { tenants, groups, .. } = &mut indexed.state;
        indexed.programs = vec![None; groups.len()];
        for (place, tenant) in (0..).zip(tenants) {
            indexed.tenants.insert(tenant.name.clone(), place);
            if !tenant.groups.is_empty() {
                indexed.resting.insert(place);
            }
            for (name, id) in &tenant.groups {
                let group = groups.get_mut(*id as usize).and_then(Option::as_mut);
                let group = group.filter(|group| tenant.files.contains_key(&group.file));
                let group = group.ok_or_else(|| Damaged(format!("group `{name}` has no state or no policy")))?;
                if planted::is(Bug::CooldownForgotten) {
                    group.cooldown = None;
                }
                indexed.uids.insert(group.uid, *id);
                indexed.timers.extend(group.due.map(|due| (due, *id)));
            }
        }
        Ok(indexed)
    }

    /// The same state with nothing in it of other tenants: what may be handed to this one. Run on through its own records
    /// it decides for it as the whole would, as long as one record's timers are no more than
    /// [`GROUPS_PER_RECORD_MAX`](super::GROUPS_PER_RECORD_MAX).
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
}
