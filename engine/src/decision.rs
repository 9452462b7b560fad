//! Decisions: what an evaluation of one group saw and what came out, also where nothing changed, and why not.
//!
//! Self-contained, so that one can be read years later without policy, log or state. One is written when something changed, or
//! when the group's set of reasons changed; the rest is counted.

use crate::{
    by_hand::Override,
    id::{GroupUid, Position},
    time,
};
use serde::{Deserialize, Serialize};

/// One evaluation of one group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Whose group.
    pub tenant: String,
    /// The group's name.
    pub group: String,
    /// Which life of it.
    pub uid: GroupUid,
    /// The record at which it was decided.
    pub position: Position,
    /// The instant for which it was decided: a timer's own, or `t` of the record.
    #[serde(with = "time::wire")]
    pub at: i64,
    /// What made it look: `alarm web_5xx`, `timer`, `force surge by ops`, `policy web.weir`.
    pub cause: String,
    /// The target before.
    pub from: u32,
    /// The target after.
    pub to: u32,
    /// The floor that held.
    pub min: u32,
    /// The ceiling that held.
    pub max: u32,
    /// An override that held; the bounds above are with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overridden: Option<Override>,
    /// Servers ready at that moment.
    pub ready: u32,
    /// What came out.
    pub outcome: Verdict,
    /// Every rule, in the order of the file.
    pub rules: Vec<RuleState>,
    /// The command's generation, where one was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// First 16 hexadecimal digits of the policy text's BLAKE3.
    pub policy: String,
    /// The policy's version, from 1.
    pub version: u32,
    /// The meaning of the rules by which it was decided.
    pub semantics: u32,
    /// The time zone database.
    pub zones: String,
}

/// What came out of an evaluation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// The target changed.
    Changed {
        /// The rule, or `start`, `bounds`.
        by: String,
        /// In words: `cpu: avg 75.8 % is over 60 % ± 10 %`.
        because: String,
    },
    /// A wish was there and a guard held it.
    Held {
        /// The rule that wished.
        by: String,
        /// The size it wished.
        wish: u32,
        /// The guard.
        guard: Guard,
        /// In words.
        because: String,
    },
    /// Nobody wished anything else.
    Still,
    /// A schedule was found too late, and does not fire (rule 14).
    Missed {
        /// The rule.
        by: String,
        /// When it was due.
        #[serde(with = "time::wire")]
        due: i64,
    },
    /// A force was refused.
    Refused {
        /// The rule.
        by: String,
        /// In words.
        because: String,
    },
}

/// A guard that holds a wish, by the name that rule 23 gives it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Guard {
    /// Which.
    pub name: GuardName,
    /// The freeze's name, a pause's actor, the cloud's words: what the guard's name leaves open.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Until when, where that is known.
    #[serde(default, with = "time::wire_option", skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
}

/// Guards, in the order in which they are asked (rule 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardName {
    /// A removal lacks knowledge (rule 9).
    Unknown,
    /// A removal waits for a server that is building or warming (rule 9).
    Building,
    /// A freeze (rule 17).
    Freeze,
    /// The rule's own cooldown or the group's (rule 11).
    Cooldown,
    /// A removal goes only to the highest wish of the last while (rule 12).
    Stabilize,
    /// The group is paused.
    Pause,
    /// Adding or removing is switched off in the region.
    KillSwitch,
    /// The cloud cannot fill the group; adding waits.
    Degraded,
    /// The gross change in a sliding window is used up (rule 13).
    Limit,
    /// The tenant's servers are used up.
    Quota,
    /// The bounds leave nothing of the wish (rule 16).
    Capacity,
    /// A schedule was found too late (rule 14).
    Late,
}

impl GuardName {
    /// As in policy files and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Building => "building",
            Self::Freeze => "freeze",
            Self::Cooldown => "cooldown",
            Self::Stabilize => "stabilize",
            Self::Pause => "pause",
            Self::KillSwitch => "kill_switch",
            Self::Degraded => "degraded",
            Self::Limit => "limit",
            Self::Quota => "quota",
            Self::Capacity => "capacity",
            Self::Late => "late",
        }
    }
}

/// What one rule thought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleState {
    /// Its name.
    pub rule: String,
    /// Whether its trigger holds.
    pub state: Truth,
    /// The size it wishes, before guards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wish: Option<u32>,
    /// The guard of its own that held it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<Guard>,
    /// What was seen against what is asked, in words with numbers: `avg(cpu.usage over 5m) = 70.4 %, goal 60 % ± 10 %`.
    pub seen: String,
}

/// Whether a rule's trigger holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Truth {
    /// It fires.
    Fires,
    /// True, and not yet for long enough.
    Waiting,
    /// It does not hold.
    No,
    /// It cannot be said.
    Unknown,
    /// Waits for its time, its webhook or its user.
    Idle,
}
