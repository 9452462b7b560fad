//! Members: the servers of a group as the log tells of them. The engine learns of a server only from outcomes.

use crate::{
    id::Slot,
    ordered::Ordered,
    outcome::{Happening, Outcome},
    planted::{self, Bug},
};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// A server of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// How far it is.
    pub stage: Stage,
    /// On the log's time, when it came to this stage, epoch milliseconds.
    pub since_ms: i64,
    /// Samples from this instant on count: ready plus warmup. `i64::MAX` while it is building.
    pub warm_ms: i64,
    /// The cloud's id, its name and its addresses: what a sender may call it.
    pub names: Vec<String>,
}

/// How far a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// Ordered, not yet taking its part.
    Building,
    /// Takes its part.
    Ready,
    /// Is being taken out on purpose.
    Leaving,
}

/// The servers of one group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    servers: Ordered<Slot, Member>,
    /// The highest outcome number applied; a lower one is a repeat.
    applied: u64,
}

/// What an outcome did to the members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// The outcome was a repeat.
    pub repeated: bool,
    /// A server that is no member any more, with the names it had.
    pub gone: Option<(Slot, Vec<String>)>,
    /// Names by which a member is known from now on.
    pub named: Option<(Slot, Vec<String>)>,
    /// Names by which it was known, and is no more.
    pub unnamed: Option<(Slot, Vec<String>)>,
}

impl Members {
    /// Applies an outcome at instant `t_ms`.
    pub fn apply(&mut self, outcome: &Outcome, t_ms: i64, warmup_ms: i64) -> Moved {
        if outcome.seq <= self.applied && !planted::is(Bug::OutcomeAgain) {
            return Moved { repeated: true, ..Moved::default() };
        }
        self.applied = outcome.seq;
        let mut moved = Moved::default();
        if let Happening::Building { slot, .. } | Happening::Ready { slot, .. } = &outcome.happening {
            moved.unnamed = self.servers.get(*slot).map(|member| (*slot, member.names.clone()));
        }
        match &outcome.happening {
            Happening::Building { slot, server } => {
                let names = vec![server.clone()];
                moved.named = Some((*slot, names.clone()));
                self.servers.insert(*slot, Member { stage: Stage::Building, since_ms: t_ms, warm_ms: i64::MAX, names });
            }
            Happening::Ready { slot, server, name, addresses } => {
                let mut names = vec![server.clone(), name.clone()];
                names.extend(addresses.iter().cloned());
                names.retain(|name| !name.is_empty());
                moved.named = Some((*slot, names.clone()));
                // A server that is seen ready again (a balancer lost it for a while) stays as warm as it was.
                let warm_ms = match self.servers.get(*slot) {
                    Some(known) if known.stage == Stage::Ready => known.warm_ms,
                    Some(_) | None => t_ms.saturating_add(warmup_ms),
                };
                self.servers.insert(*slot, Member { stage: Stage::Ready, since_ms: t_ms, warm_ms, names });
            }
            Happening::Leaving { slot } => {
                if let Some(member) = self.servers.get_mut(*slot) {
                    member.stage = Stage::Leaving;
                    member.since_ms = t_ms;
                }
            }
            Happening::Failed { slot, .. } | Happening::Removed { slot } | Happening::Lost { slot, .. } => {
                moved.gone = self.servers.remove(*slot).map(|member| (*slot, member.names));
            }
            Happening::NotAdopted { .. } | Happening::Degraded { .. } | Happening::Healed => {}
        }
        moved
    }

    /// The number of the newest outcome that was applied; the next is to be higher.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// Servers that take their part, with the instant from which their samples count; oldest slot first.
    pub fn ready(&self) -> impl Iterator<Item = (Slot, i64)> + '_ {
        self.servers
            .iter()
            .filter(|(_, member)| member.stage == Stage::Ready)
            .map(|(slot, member)| (*slot, member.warm_ms))
    }

    /// Servers whose samples count at `now_ms`, as the window wants them: key and since when.
    #[must_use]
    pub fn warm(&self, now_ms: i64) -> SmallVec<[(u64, i64); 8]> {
        self.ready().filter(|(_, warm)| *warm <= now_ms).map(|(slot, warm)| (slot.key(), warm)).collect()
    }

    /// Whether a server takes its part and its samples count at `now_ms`.
    #[must_use]
    pub fn is_warm(&self, slot: Slot, now_ms: i64) -> bool {
        self.get(slot).is_some_and(|member| member.stage == Stage::Ready && member.warm_ms <= now_ms)
    }

    /// How many take their part.
    #[must_use]
    pub fn ready_count(&self) -> u32 {
        u32::try_from(self.ready().count()).unwrap_or(u32::MAX)
    }

    /// How many are warm.
    #[must_use]
    pub fn warm_count(&self, now_ms: i64) -> u32 {
        u32::try_from(self.ready().filter(|(_, warm)| *warm <= now_ms).count()).unwrap_or(u32::MAX)
    }

    /// Whether a server is building, or ready and not yet warm.
    #[must_use]
    pub fn unsettled(&self, now_ms: i64) -> bool {
        self.servers.values().any(|member| match member.stage {
            Stage::Building => true,
            Stage::Ready => member.warm_ms > now_ms,
            Stage::Leaving => false,
        })
    }

    /// The next instant after `now_ms` at which a server becomes warm.
    #[must_use]
    pub fn next_warm_after(&self, now_ms: i64) -> Option<i64> {
        self.ready().map(|(_, warm)| warm).filter(|warm| *warm > now_ms).min()
    }

    /// They are on their way into the cache.
    pub(crate) fn fetch(&self) {
        self.servers.fetch();
    }

    /// A member.
    #[must_use]
    pub fn get(&self, slot: Slot) -> Option<&Member> {
        self.servers.get(slot)
    }

    /// All members.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, &Member)> + '_ {
        self.servers.iter().map(|(slot, member)| (*slot, member))
    }

    /// Puts a server there that was always warm: the servers a policy test is given (rule 23).
    pub fn stage(&mut self, slot: Slot, name: &str) {
        let member =
            Member { stage: Stage::Ready, since_ms: i64::MIN / 2, warm_ms: i64::MIN / 2, names: vec![name.to_owned()] };
        self.servers.insert(slot, member);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::GroupUid;

    fn outcome(seq: u64, happening: Happening) -> Outcome {
        Outcome { group: "web".into(), uid: GroupUid(1), seq, happening }
    }

    #[test]
    fn a_repeated_or_late_outcome_changes_nothing() {
        let slot = Slot { serial: 1, incarnation: 1 };
        let mut members = Members::default();
        let building = outcome(1, Happening::Building { slot, server: "a".into() });
        members.apply(&building, 10, 5);
        members.apply(&outcome(2, Happening::Removed { slot }), 20, 5);
        assert!(members.apply(&building, 30, 5).repeated);
        assert_eq!(members.iter().count(), 0);
    }

    #[test]
    fn a_server_is_warm_a_warmup_after_it_was_ready() {
        let slot = Slot { serial: 1, incarnation: 1 };
        let mut members = Members::default();
        let ready =
            Happening::Ready { slot, server: "a".into(), name: "web-1".into(), addresses: vec!["10.0.0.1".into()] };
        members.apply(&outcome(1, ready), 100, 50);
        assert!(members.unsettled(149));
        assert_eq!((members.warm_count(149), members.warm_count(150)), (0, 1));
        assert_eq!(members.next_warm_after(100), Some(150));
    }
}
