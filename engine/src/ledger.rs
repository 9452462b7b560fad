//! The ledger of one group uid: which servers should exist, how far each has come, and what the log is still to hear.
//!
//! It is all the state that `settle` has, and is committed whole before any call it knows of is made. A worker that
//! takes a partition over has nothing but ledgers and looks; so a ledger must tell a slot that may have a server in some
//! cloud from one that cannot have any. The steps are in [`settle`](crate::settle); here are the words and the upkeep.

use crate::{
    command::{Command, Retired},
    id::{GroupUid, Slot},
    outcome::{Happening, Outcome},
    planted::{self, Bug},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use weir_grammar::policy::Balancer;

mod entry;
mod fate;
mod hands;
mod rest;
mod wire;

pub use entry::{End, Entry, Phase};
pub(crate) use fate::words;
pub use fate::{BACK_OFF_MS, FAILURES_MAX, WORDS_MAX};
pub use hands::RELEASED_KEPT_MS;
pub use rest::{AGAIN_MS, Pace, ServerRow};
pub use wire::Damaged;

/// The wait between single tries of a degraded group, milliseconds.
pub const SLOW_RETRY_MS: i64 = 300_000;
/// Looks in a row that gave no complete listing, until the group is degraded.
pub const BLIND_MAX: u32 = 3;
/// The longest wait that a cloud is granted when it says "later", milliseconds; a bogus header stalls no group for a day.
pub const LATER_MAX_MS: i64 = 300_000;
/// Outcomes that may wait for the log, until nothing new is started in their group.
pub const OUTBOX_MAX: usize = 1_000;

/// A server that carries the group's mark and that no slot of the ledger claims.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stray {
    /// Its name.
    pub name: String,
    /// The slot in its mark, where that can be read.
    pub slot: Option<Slot>,
    /// What it is, and what becomes of it.
    pub why: String,
    /// When its deletion was last asked for.
    pub asked_ms: i64,
}

/// What a group is degraded by, and so what heals it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trouble {
    /// Builds fail. A build ordered since then that gets ready heals it, or that nothing is missing any more.
    Builds,
    /// The cloud cannot be looked at. A complete listing heals it.
    Blind,
    /// The policy names another region than the one where the servers are. The old name heals it, or having no servers.
    Moved,
}

/// All that is known of one group uid's servers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// The newest command.
    #[serde(with = "wire::json")]
    pub(crate) command: Command,
    /// The region where the servers are.
    pub(crate) region: String,
    /// The slots that have a life, oldest serial first.
    pub(crate) entries: BTreeMap<Slot, Entry>,
    /// Serials given out so far.
    pub(crate) serials: u32,
    /// The highest incarnation given out so far to a serial that is gone: what is above was never allotted.
    pub(crate) incarnations: u32,
    /// Places that a broken server left open, each with the incarnation it gets next.
    pub(crate) vacant: BTreeMap<u32, u32>,
    /// Servers that no slot claims, by the cloud's id, as last seen.
    pub(crate) strays: BTreeMap<String, Stray>,
    /// Outcomes not yet known to be in the log, by number.
    #[serde(with = "wire::json")]
    pub(crate) outbox: BTreeMap<u64, Happening>,
    /// The newest outcome's number.
    pub(crate) seq: u64,
    /// What the group is degraded by.
    pub(crate) trouble: Option<Trouble>,
    /// Failed builds since one got ready.
    pub(crate) failures: u32,
    /// When a build failed last.
    pub(crate) failed_ms: i64,
    /// Looks in a row that gave nothing to act on.
    pub(crate) blind: u32,
    /// No order before then.
    pub(crate) orders_after_ms: i64,
    /// No deletion before then.
    pub(crate) deletes_after_ms: i64,
    /// Balancers that asked for patience, and until when.
    pub(crate) resting: BTreeMap<Balancer, i64>,
    /// When anything last moved.
    pub(crate) moved_ms: i64,
    /// What is to be remembered of single servers; it rides behind the rest.
    #[serde(skip)]
    pub(crate) remembered: hands::Remembered,
    /// The newest look; of this process, since a new one looks anyway.
    #[serde(skip)]
    pub(crate) looked_ms: i64,
    /// No look before then, whoever asks.
    #[serde(skip)]
    pub(crate) look_after_ms: i64,
    /// Somebody said that there is something to see.
    #[serde(skip)]
    pub(crate) hinted: bool,
    /// Looks by this process.
    #[serde(skip)]
    pub(crate) looks: u64,
}

impl Ledger {
    /// The ledger of a group that has none yet.
    #[must_use]
    pub fn new(command: Command) -> Self {
        Self {
            region: command.spec.region.clone(),
            command,
            entries: BTreeMap::new(),
            serials: 0,
            incarnations: 0,
            vacant: BTreeMap::new(),
            strays: BTreeMap::new(),
            outbox: BTreeMap::new(),
            seq: 0,
            trouble: None,
            failures: 0,
            failed_ms: 0,
            blind: 0,
            orders_after_ms: 0,
            deletes_after_ms: 0,
            resting: BTreeMap::new(),
            moved_ms: 0,
            remembered: hands::Remembered::default(),
            looked_ms: 0,
            look_after_ms: 0,
            hinted: true,
            looks: 0,
        }
    }

    /// Takes a command. One that is not newer than the last is dropped; answers whether it was taken.
    pub fn command(&mut self, command: Command) -> bool {
        let newer = command.generation > self.command.generation || planted::is(Bug::OldGeneration);
        if command.uid != self.command.uid || !newer {
            return false;
        }
        self.command = command;
        self.forget_adoptions();
        self.hinted = true;
        true
    }

    /// The newest command.
    #[must_use]
    pub fn newest(&self) -> &Command {
        &self.command
    }

    /// Which life of which group.
    #[must_use]
    pub fn uid(&self) -> GroupUid {
        self.command.uid
    }

    /// The region to look at.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The slots that have a life.
    #[must_use]
    pub fn entries(&self) -> &BTreeMap<Slot, Entry> {
        &self.entries
    }

    /// How many servers take their part.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.entries.values().filter(|entry| entry.phase == Phase::Ready).count()
    }

    /// Looks since this process has the ledger.
    #[must_use]
    pub fn looks(&self) -> u64 {
        self.looks
    }

    /// Whether this is one of the group's servers, or may be one that an order of unknown fate made.
    #[must_use]
    pub fn concerns(&self, server: &str) -> bool {
        self.strays.contains_key(server)
            || self.entries.values().any(|entry| match entry.server.as_deref() {
                Some(known) => known == server,
                None => matches!(entry.phase, Phase::Ordered | Phase::Unclear),
            })
    }

    /// Every balancer of which a look needs the members.
    #[must_use]
    pub fn balancers(&self) -> BTreeSet<Balancer> {
        let of_entries = self.entries.values().flat_map(|entry| &entry.balancers);
        of_entries.chain(self.command.spec.balancers()).cloned().collect()
    }

    /// Outcomes not yet known to be in the log, oldest first. They go there in this order, after the ledger is committed.
    #[must_use]
    pub fn outbox(&self) -> Vec<Outcome> {
        let outcome = |(seq, happening): (&u64, &Happening)| Outcome {
            group: self.command.group.clone(),
            uid: self.command.uid,
            seq: *seq,
            happening: happening.clone(),
        };
        self.outbox.iter().map(outcome).collect()
    }

    /// Outcomes up to the number `seq` are in the log.
    pub fn appended(&mut self, seq: u64) {
        self.outbox.retain(|waiting, _| *waiting > seq);
    }

    /// Nothing is left to do for a group that was removed: the ledger may be forgotten.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.outbox.is_empty()
            && match self.command.retired {
                None => false,
                Some(Retired::Keep) => true,
                // A first look must have been, since a ledger that never looked knows of no stray.
                Some(Retired::Delete) => {
                    self.entries.is_empty() && self.looks > 0 && self.blind == 0 && !self.haunted()
                }
            }
    }

    /// A stray that will be deleted is still there.
    pub(crate) fn haunted(&self) -> bool {
        self.strays.values().any(|stray| stray.slot.is_some_and(|slot| self.was_allotted(slot)))
    }

    /// The size wanted of servers.
    #[must_use]
    pub fn wanted(&self) -> usize {
        let target = usize::try_from(self.command.target).unwrap_or(usize::MAX);
        // A place that was meant for a server which could not be adopted is given back, and not filled by another.
        if self.command.retired.is_some() { 0 } else { target.saturating_sub(self.refused()) }
    }

    /// How many slots count towards it.
    pub(crate) fn standing(&self) -> usize {
        self.entries.values().filter(|entry| entry.stands()).count()
    }

    /// Whether a slot was ever given out, still in the ledger or not.
    pub(crate) fn was_allotted(&self, slot: Slot) -> bool {
        if slot.serial == 0 || slot.serial > self.serials || slot.incarnation == 0 {
            return false;
        }
        let newest =
            self.entries.keys().filter(|known| known.serial == slot.serial).map(|known| known.incarnation).max();
        let next = self.vacant.get(&slot.serial).map(|next| next.saturating_sub(1));
        // Of serials that are gone only the highest incarnation of all is kept: exact enough, and it does not grow.
        slot.incarnation <= newest.max(next).unwrap_or(self.incarnations)
    }
}
