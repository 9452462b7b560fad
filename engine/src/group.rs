//! A group's state: everything a decision about it may depend on, besides its policy and its tenant's standing.
//!
//! Where there are many groups, a look mostly waits for memory: what nearly every group has one of lies in the group itself,
//! and what nearly none has in a block of its own.
//!
//! All of it is data: serialised into snapshots as it stands, in an order that does not depend on the run. State of a
//! rule belongs to (group, rule name) (rule 20).

use crate::{
    by_hand::MaybeByHand, command::Hold, id::GroupUid, member::Members, ordered::Ordered, view::LastChange,
    window::Window,
};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::sync::Arc;
use weir_grammar::policy::{AlarmState, Direction};

/// One group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its tenant's place in the partition.
    pub tenant: u32,
    /// Which life of it.
    pub uid: GroupUid,
    /// The policy file it lives in.
    pub file: String,
    /// The size wanted.
    pub target: u32,
    /// The newest command's generation; 0 before the first.
    pub generation: u64,
    /// Its servers.
    pub members: Members,
    /// What its rules remember, in the order of the file.
    pub rules: Vec<RuleMemory>,
    /// The group's own cooldown (rule 11).
    pub cooldown: Option<Cooldown>,
    /// Emitted changes still in sight of a limit (rule 13), oldest first.
    pub changes: Vec<SizeChange>,
    /// The file's alarms in their order, each by whom it is about.
    pub alarms: SmallVec<[Ordered<u64, AlarmMemory>; 1]>,
    /// Samples, in the order of the wiring's windows.
    pub windows: SmallVec<[Window; 1]>,
    /// Aggregates as of their newest pane edge, in the order of the wiring.
    pub values: SmallVec<[Valued; 2]>,
    /// When each counted event happened, oldest first: the three every group counts, then the file's own.
    pub counts: Vec<Vec<i64>>,
    /// When each of the file's metrics was last heard, for `missing` (rule 19).
    pub heard: SmallVec<[Option<i64>; 1]>,
    /// When each window opens and closes next, then each freeze.
    pub edges: SmallVec<[Edge; 1]>,
    /// A pause.
    pub pause: Option<Box<Pause>>,
    /// What else was set by hand. It rides at the end of a snapshot, apart from the rest.
    #[serde(skip)]
    pub by_hand: MaybeByHand,
    /// The cloud cannot fill the group, in its own words.
    pub degraded: Option<String>,
    /// Since when servers have been on their way without a break; a removal waits for them at most `ready within`.
    pub unsettled_since: Option<i64>,
    /// A fingerprint of the reasons of the newest evaluation.
    pub reasons: u64,
    /// Decisions that were only counted since then.
    pub unwritten: u64,
    /// The newest change of the target.
    pub last_change: Option<Box<LastChange>>,
    /// What the newest command told executors to leave alone.
    pub hold: Hold,
    /// A rule that an open freeze excepts moved the target in a direction: executors may act in it until then.
    pub lifted: Option<(Direction, i64)>,
    /// Fingerprint of the newest command's specification.
    pub spec_print: Arc<str>,
    /// When it wants to be looked at again. Kept here so that a restored state has the timers it had.
    pub due: Option<i64>,
}

/// What a rule remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleMemory {
    /// The rule's name; its state belongs to (group, name). The text is the wiring's own, as is `meaning`.
    pub name: Arc<str>,
    /// The trigger and action it remembers for; where they change, `for` and `stabilize` start again.
    pub meaning: Arc<str>,
    /// Since when its condition has been true, or (`step`) each arm's bound has held, in the order of the arms.
    pub since: SmallVec<[Option<i64>; 1]>,
    /// Since when its condition has been unknown after being true (rule 10).
    pub unknown_since: Option<i64>,
    /// Its cooldown.
    pub cooldown: Option<Cooldown>,
    /// Its wishes, each until the next one, oldest first (rule 12).
    pub wishes: Vec<(i64, u32)>,
    /// The next instant of its schedule.
    pub next: Option<i64>,
}

/// A cooldown, running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cooldown {
    /// It permits this instant again.
    pub until_ms: i64,
    /// After an addition it delays both directions, after a removal only removals.
    pub after: Direction,
}

impl Cooldown {
    /// Whether it delays a change in `direction` at `now_ms`.
    #[must_use]
    pub fn delays(&self, direction: Direction, now_ms: i64) -> bool {
        now_ms < self.until_ms && (self.after == Direction::Add || direction == Direction::Remove)
    }
}

/// An emitted change of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizeChange {
    /// When.
    pub at_ms: i64,
    /// Up or down.
    pub direction: Direction,
    /// By how many.
    pub servers: u32,
}

/// What an alarm last said about somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmMemory {
    /// Its state.
    pub state: AlarmState,
    /// The sender's time of that state.
    pub at_ms: i64,
    /// The log's time when it was last repeated.
    pub heard_ms: i64,
}

/// An aggregate as of a pane edge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Valued {
    /// The edge.
    pub edge_ms: i64,
    /// The value.
    pub value: crate::window::Value,
    /// It was known at some time before (rule 9 asks what went from known to unknown).
    pub was_known: bool,
}

/// A window's or freeze's state as of its newest edge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// Open, until then.
    pub open_until: Option<i64>,
    /// The next edge.
    pub next: Option<i64>,
    /// Worked out at all; a new version of the policy forgets it.
    pub known: bool,
}

/// A pause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// Until then, else until resumed.
    pub until_ms: Option<i64>,
}

impl Group {
    /// A new group of no servers that has never decided anything.
    #[must_use]
    pub fn new(tenant: u32, name: &str, uid: GroupUid, file: &str) -> Self {
        Self {
            name: name.to_owned(),
            tenant,
            uid,
            file: file.to_owned(),
            target: 0,
            generation: 0,
            members: Members::default(),
            rules: Vec::new(),
            cooldown: None,
            changes: Vec::new(),
            alarms: SmallVec::new(),
            windows: SmallVec::new(),
            values: SmallVec::new(),
            counts: Vec::new(),
            heard: SmallVec::new(),
            edges: SmallVec::new(),
            pause: None,
            by_hand: MaybeByHand::default(),
            degraded: None,
            unsettled_since: None,
            reasons: 0,
            unwritten: 0,
            last_change: None,
            hold: Hold::default(),
            lifted: None,
            spec_print: Arc::from(""),
            due: None,
        }
    }

    /// Servers that should be there and do not take their part yet.
    #[must_use]
    pub fn building(&self) -> u32 {
        self.target.saturating_sub(self.members.ready_count())
    }

    /// Servers that stand over the target because they are protected.
    #[must_use]
    pub fn kept_over(&self) -> u32 {
        let kept = self.by_hand.protected.keys().filter(|slot| self.members.get(**slot).is_some()).count();
        u32::try_from(kept).unwrap_or(u32::MAX).saturating_sub(self.target)
    }

    /// Whether a pause holds at `now_ms`.
    #[must_use]
    pub fn paused(&self, now_ms: i64) -> Option<&Pause> {
        self.pause.as_deref().filter(|pause| pause.until_ms.is_none_or(|until| now_ms < until))
    }
}
