//! The ledger of one group uid: which servers should exist, how far each has come, and what the log is still to hear.
//!
//! It is all the state that `settle` has, and is committed whole before any call it knows of is made. A worker that
//! takes a partition over has nothing but ledgers and looks; so a ledger must tell a slot that may have a server in some
//! cloud from one that cannot have any. The steps are in [`settle`](crate::settle); here are the words and the upkeep.

use crate::{
    command::{Command, Retired},
    id::{GroupUid, Slot},
    outcome::{Happening, Outcome},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use weir_grammar::policy::Balancer;

mod rest;
mod wire;

pub use rest::{AGAIN_MS, Pace, ServerRow};
pub use wire::Damaged;

/// Builds that fail one after the other, none getting ready between them, until the group is degraded.
pub const FAILURES_MAX: u32 = 3;
/// The wait after a first failure, milliseconds; it doubles with each until the group is degraded.
pub const BACK_OFF_MS: i64 = 10_000;
/// The wait between single tries of a degraded group, milliseconds.
pub const SLOW_RETRY_MS: i64 = 300_000;
/// Looks in a row that gave no complete listing, until the group is degraded.
pub const BLIND_MAX: u32 = 3;
/// The longest wait that a cloud is granted when it says "later", milliseconds; a bogus header stalls no group for a day.
pub const LATER_MAX_MS: i64 = 300_000;
/// Outcomes that may wait for the log, until nothing new is started in their group.
pub const OUTBOX_MAX: usize = 1_000;
/// Characters kept of a cloud's own words.
pub const WORDS_MAX: usize = 500;

/// How far a slot has come. A slot whose last server is gone leaves the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It was given out; the cloud has surely no server for it.
    Allotted,
    /// A create is about to be sent, or its answer never came: there may be a server.
    Ordered,
    /// The answer to the create could mean either: there may be a server.
    Unclear,
    /// A server is being made.
    Building,
    /// It runs, and is being put into its balancers.
    Joining,
    /// It takes its part.
    Ready,
    /// It is being taken out of its balancers, on purpose.
    Draining,
    /// It is being deleted, or is gone and its address still in a balancer.
    Deleting,
}

/// Why a server is being deleted, and so whether the log still has to hear of its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// On purpose; `Removed` is said when it is gone.
    #[default]
    Removed,
    /// It failed or was lost, which was said at once.
    Broken,
}

/// One slot's life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// How far it has come.
    pub phase: Phase,
    /// When it came there, epoch milliseconds.
    pub since_ms: i64,
    /// The server's name.
    pub name: String,
    /// The zone it was ordered in.
    pub zone: Option<String>,
    /// The balancers it belongs to: those of the launch it was ordered with (a new launch is for new servers, rule 21).
    pub balancers: Vec<Balancer>,
    /// The cloud's id, once known.
    pub server: Option<String>,
    /// Its addresses as last seen; the first is the balancers'.
    pub addresses: Vec<String>,
    /// When its server was ordered; the clock of `ready within`.
    pub ordered_ms: i64,
    /// A listing has shown the server.
    pub listed: bool,
    /// The first of the complete listings in a row that should have shown it and did not.
    pub absent_ms: Option<i64>,
    /// It must go, once it is known whether it has a server.
    pub unwanted: bool,
    /// The end of its time in the balancers without new connections.
    pub drained_ms: Option<i64>,
    /// Why it is being deleted.
    pub end: End,
    /// When its deletion was last asked for.
    pub asked_ms: i64,
    /// The cloud's newest words about it.
    pub detail: String,
}

impl Entry {
    /// Counts towards the target: it is, or may become, a server that takes its part.
    #[must_use]
    pub fn stands(&self) -> bool {
        self.phase <= Phase::Ready && !self.unwanted
    }
}

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
            looked_ms: 0,
            look_after_ms: 0,
            hinted: true,
            looks: 0,
        }
    }

    /// Takes a command. One that is not newer than the last is dropped; answers whether it was taken.
    pub fn command(&mut self, command: Command) -> bool {
        if command.uid != self.command.uid || command.generation <= self.command.generation {
            return false;
        }
        self.command = command;
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

    /// Why the group is degraded, if it is.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        self.trouble
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
        if self.command.retired.is_some() { 0 } else { usize::try_from(self.command.target).unwrap_or(usize::MAX) }
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

    /// Says something to the log.
    pub(crate) fn say(&mut self, happening: Happening) {
        self.seq += 1;
        self.outbox.insert(self.seq, happening);
    }

    /// A slot comes to another phase.
    pub(crate) fn enter(&mut self, slot: Slot, phase: Phase, now_ms: i64) {
        if let Some(entry) = self.entries.get_mut(&slot) {
            (entry.phase, entry.since_ms, entry.absent_ms) = (phase, now_ms, None);
            self.moved_ms = now_ms;
        }
    }

    /// A slot's life is over.
    pub(crate) fn strike(&mut self, slot: Slot, now_ms: i64) {
        self.entries.remove(&slot);
        self.incarnations = self.incarnations.max(slot.incarnation);
        self.moved_ms = now_ms;
    }

    /// A build came to nothing: it is said, its place becomes vacant, and the next order waits.
    pub(crate) fn fail(&mut self, slot: Slot, reason: &str, now_ms: i64) {
        let reason = words(reason);
        self.say(Happening::Failed { slot, reason: reason.clone() });
        self.vacate(slot, &reason, now_ms);
        self.failures = self.failures.saturating_add(1);
        self.failed_ms = now_ms;
        let wait_ms = if self.failures < FAILURES_MAX { BACK_OFF_MS << (self.failures - 1) } else { SLOW_RETRY_MS };
        self.orders_after_ms = self.orders_after_ms.max(now_ms.saturating_add(wait_ms));
        if self.failures >= FAILURES_MAX {
            self.degrade(Trouble::Builds, &reason);
        }
    }

    /// A server that took its part is gone or broken: it is said, and its place becomes vacant.
    pub(crate) fn lose(&mut self, slot: Slot, reason: &str, now_ms: i64) {
        let reason = words(reason);
        self.say(Happening::Lost { slot, reason: reason.clone() });
        self.vacate(slot, &reason, now_ms);
    }

    fn vacate(&mut self, slot: Slot, reason: &str, now_ms: i64) {
        // A removal that came first needs no replacement.
        if self.entries.get(&slot).is_some_and(|entry| entry.stands()) {
            self.vacant.insert(slot.serial, slot.incarnation.saturating_add(1));
        }
        match self.entries.get_mut(&slot) {
            Some(entry) if entry.server.is_some() => {
                (entry.end, entry.detail) = (End::Broken, reason.to_owned());
                self.enter(slot, Phase::Deleting, now_ms);
            }
            _ => self.strike(slot, now_ms),
        }
    }

    pub(crate) fn degrade(&mut self, trouble: Trouble, reason: &str) {
        if self.trouble.is_none() {
            self.trouble = Some(trouble);
            self.say(Happening::Degraded { reason: words(reason) });
        }
    }

    pub(crate) fn heal(&mut self, trouble: Trouble) {
        if self.trouble == Some(trouble) {
            self.trouble = None;
            self.say(Happening::Healed);
        }
    }
}

/// A cloud's words, cut to what is worth keeping.
pub(crate) fn words(text: &str) -> String {
    text.chars().take(WORDS_MAX).collect()
}
