//! Rows of the views that people read: made by the engine as a by-product of a step, rebuilt by a replay, never read
//! back by it.

use crate::{
    by_hand::Override,
    event::{Capability, Cursor},
    id::GroupUid,
    time,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A changed row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Whose.
    pub tenant: String,
    /// The group's or file's name, the feed's URL.
    pub name: String,
    /// The row, or that it is gone.
    pub change: Change,
}

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A group is as said.
    Group(Box<GroupRow>),
    /// A group is gone.
    GroupGone,
    /// A policy file is as said.
    Policy(Box<PolicyRow>),
    /// A source has read this far.
    Cursor(Cursor),
    /// A tenant's standing.
    Tenant(Box<TenantRow>),
}

/// A group as `weir status` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRow {
    /// Its name.
    pub group: String,
    /// Which life of it.
    pub uid: GroupUid,
    /// The policy file it lives in.
    pub policy: String,
    /// The file's version.
    pub version: u32,
    /// The region.
    pub region: String,
    /// The size wanted.
    pub target: u32,
    /// Servers that take their part.
    pub ready: u32,
    /// Servers on their way: target less ready, where positive.
    pub building: u32,
    /// The floor that holds.
    pub min: u32,
    /// The ceiling that holds.
    pub max: u32,
    /// An override of the bounds; those above are with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overridden: Option<Override>,
    /// The newest command's generation.
    pub generation: u64,
    /// `ok`, `2 building`, `degraded: …`, `paused by ops until …: "…"`; an override stands behind it,
    /// `ok, floor 6 by ops until …: "…"`.
    pub state: String,
    /// The newest change of the target.
    pub last_change: Option<LastChange>,
    /// Its rules.
    pub rules: Vec<RuleRow>,
    /// When this row was true, on the log's time.
    #[serde(with = "time::wire")]
    pub at: i64,
}

/// The newest change of a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastChange {
    /// When.
    #[serde(with = "time::wire")]
    pub at: i64,
    /// The rule, or `start`, `bounds`.
    pub by: String,
    /// From this size …
    pub from: u32,
    /// … to this one.
    pub to: u32,
}

/// A rule as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleRow {
    /// Its name.
    pub rule: String,
    /// Whether a user may force it.
    pub forceable: bool,
    /// Fires by its webhook.
    pub webhook: bool,
}

/// A policy file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRow {
    /// The file's name.
    pub name: String,
    /// Its version, from 1.
    pub version: u32,
    /// BLAKE3 of text and setup files, hexadecimal.
    pub hash: String,
    /// Its text.
    pub text: String,
    /// The setup files' texts.
    pub setup: BTreeMap<String, String>,
    /// The capabilities in force.
    pub capabilities: Vec<Capability>,
    /// Its groups.
    pub groups: Vec<String>,
    /// Why the newest deploy was refused, where it was; the version above stays live.
    pub refused: Option<String>,
}

/// A tenant's standing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantRow {
    /// Most servers over all groups.
    pub quota: Option<u32>,
    /// Servers wanted over all groups.
    pub servers: u32,
    /// Facts that fit nothing or came too late, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Kill switches in words.
    pub kill_switches: Vec<String>,
}
