//! Events: facts in the log, CloudEvents 1.0 JSON, one line each.
//!
//! Sources make them at the door from whatever a sender sent; only Weir writes them. The engine reads one canonical
//! shape. Fields are only ever added; a kind that this build does not know is an error, never skipped.

use crate::{outcome::Outcome, time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use weir_grammar::{policy::AlarmState, quantity::Quantity};

/// A fact, who says it, whose it is, and when our door took it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// CloudEvents' version, always `1.0`.
    pub specversion: Version,
    /// Unique among the source's events; the sender's own key where it has one.
    pub id: String,
    /// The source: `/maas`, `/alertmanager`, `/samples`, `/api`, `/atom/NAME`, `/executor`, `/clock`.
    pub source: String,
    /// Our door's clock when the fact was taken, never the sender's.
    #[serde(with = "time::wire")]
    pub time: i64,
    /// Whose fact it is, fixed by the credential it came with (rule 2). Empty for a tick or an upgrade, which is everybody's.
    pub tenant: String,
    /// What happened.
    #[serde(flatten)]
    pub fact: Fact,
}

/// CloudEvents' `specversion`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Version {
    /// The only one there is.
    #[default]
    #[serde(rename = "1.0")]
    V1,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum Fact {
    /// A monitoring system's alarm is in a state.
    #[serde(rename = "weir.alarm")]
    Alarm(Alarm),
    /// Measured values, at most [`SAMPLES_MAX`] of them.
    #[serde(rename = "weir.samples")]
    Samples(Vec<Sample>),
    /// Somebody wants a rule to fire now (rule 15).
    #[serde(rename = "weir.force")]
    Force(Force),
    /// A policy file is deployed (rules 20, 21).
    #[serde(rename = "weir.policy")]
    Policy(Deploy),
    /// An operator's or customer's order.
    #[serde(rename = "weir.control")]
    Control(Control),
    /// Something that `event` declarations may count (rule 7).
    #[serde(rename = "weir.happened")]
    Happened(Happened),
    /// A cloud's notification about a server: a hint to look, never a change of membership.
    #[serde(rename = "weir.server")]
    Server(Notice),
    /// What an executor saw or did.
    #[serde(rename = "weir.outcome")]
    Outcome(Outcome),
    /// How far a source has read; written after the facts it covers.
    #[serde(rename = "weir.cursor")]
    Cursor(Cursor),
    /// A source is alive and reads (rule 19 asks whether our intake was healthy).
    #[serde(rename = "weir.heartbeat")]
    Heartbeat(Heartbeat),
    /// Rules mean something newer from here on.
    #[serde(rename = "weir.upgrade")]
    Upgrade(Upgrade),
    /// Nothing but the time.
    #[serde(rename = "weir.tick")]
    Tick(Tick),
}

/// Samples in one event.
pub const SAMPLES_MAX: usize = 1_000;

/// Whom a fact is about: a server, a group, or nobody in particular (rule 2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// What the sender calls the server: cloud id, name or address, any of which may be known. At most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub server: Vec<String>,
    /// The group's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// An alarm's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// What the sender calls it; an `alarm` declaration's `from` matches it.
    pub name: String,
    /// The state.
    pub state: AlarmState,
    /// The sender's own time of this state; states of one alarm are ordered by it (rule 6).
    #[serde(with = "time::wire")]
    pub at: i64,
    /// On whom.
    #[serde(flatten)]
    pub about: About,
    /// The sender's words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// Numbers that rode in the notification, for `why` only (rule 3).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub numbers: BTreeMap<String, String>,
}

/// A measured value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// What the sender calls the metric; a `metric` declaration's `from` or name matches it.
    pub metric: String,
    /// Millionths of the metric's unit; a percent sample of 68.4 is 68,400,000.
    pub value: Quantity,
    /// The sender's time; more than 30 s from `t` it is dropped (rule 1).
    #[serde(with = "time::wire")]
    pub at: i64,
    /// Of whom.
    #[serde(flatten)]
    pub about: About,
}

/// A rule is forced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Force {
    /// The group.
    pub group: String,
    /// The rule.
    pub rule: String,
    /// By which right.
    pub by: Right,
    /// Who; a capability's short id, or the name of a token.
    pub actor: String,
}

/// By which right a rule is forced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// A capability URL: obeys the rule's cooldown and the limits.
    Capability,
    /// A token: skips cooldowns, limits and `stabilize`.
    Token,
}

/// A policy file is deployed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deploy {
    /// The file's name, `web.weir`.
    pub name: String,
    /// Its whole text.
    pub text: String,
    /// Texts of the `setup` files that it names, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub setup: BTreeMap<String, String>,
    /// Capabilities offered for its `webhook` rules; one that the rule already has stays instead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<Capability>,
    /// Who.
    pub actor: String,
}

/// The right to force one rule by knowing a URL. Only the hash is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capability {
    /// The group.
    pub group: String,
    /// The rule, whose trigger is a `webhook`.
    pub rule: String,
    /// BLAKE3 of the URL's last part, in hexadecimal.
    pub hash: String,
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    /// Who.
    pub actor: String,
    /// Why, in the actor's words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What.
    #[serde(flatten)]
    pub order: Order,
}

/// What an operator or customer orders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum Order {
    /// Nothing changes in a group.
    Pause {
        /// The group.
        group: String,
        /// Until then, else until resumed.
        #[serde(default, with = "time::wire_option", skip_serializing_if = "Option::is_none")]
        until: Option<i64>,
    },
    /// A pause ends.
    Resume {
        /// The group.
        group: String,
    },
    /// A group's bounds are set by hand for a time, in place of what its windows say.
    Override {
        /// The group.
        group: String,
        /// Fewest servers; as the windows have it where it is left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        floor: Option<u32>,
        /// Most servers; as the windows have it where it is left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ceiling: Option<u32>,
        /// Until then.
        #[serde(with = "time::wire")]
        until: i64,
    },
    /// An override ends before its time.
    LiftOverride {
        /// The group.
        group: String,
    },
    /// Something is done with one server.
    Server {
        /// The group.
        group: String,
        /// The server: the cloud's id, its name, an address or its slot; for an adoption the cloud's id.
        server: String,
        /// What.
        #[serde(flatten)]
        act: Act,
    },
    /// A group goes; its servers are deleted, or left alone and forgotten (rule 21).
    Remove {
        /// The group.
        group: String,
        /// Servers are left running.
        keep_servers: bool,
    },
    /// No adding, or no removing, in a region of a tenant.
    KillSwitch {
        /// The region; every region of the tenant if empty.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        region: String,
        /// No server is added.
        adding: bool,
        /// No server is removed.
        removing: bool,
        /// Until then, else until ordered again with both false.
        #[serde(default, with = "time::wire_option", skip_serializing_if = "Option::is_none")]
        until: Option<i64>,
    },
    /// A tenant's quota of servers over all its groups; `None` lifts it.
    Quota {
        /// Most servers.
        servers: Option<u32>,
    },
}

/// What a person does with one server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum Act {
    /// Scale-in leaves it alone.
    Protect {
        /// Until then, else until it is taken back.
        #[serde(default, with = "time::wire_option", skip_serializing_if = "Option::is_none")]
        until: Option<i64>,
    },
    /// A protection is taken back.
    Unprotect,
    /// It is drained and deleted, and the target falls by one.
    Remove {
        /// Another one takes its place, and the target stays.
        replace: bool,
    },
    /// It is drained, leaves the group and runs on, and the target falls by one.
    Detach {
        /// Another one takes its place, and the target stays.
        replace: bool,
    },
    /// A server of the cloud that is nobody's becomes one of the group's, and the target rises by one.
    Adopt,
}

impl Act {
    /// `remove`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Protect { .. } => "protect",
            Self::Unprotect => "unprotect",
            Self::Remove { .. } => "remove",
            Self::Detach { .. } => "detach",
            Self::Adopt => "adopt",
        }
    }
}

/// Something that may be counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happened {
    /// The CloudEvents type or the feed entry's type; an `event` declaration's `from` matches it.
    pub kind: String,
    /// To whom.
    #[serde(flatten)]
    pub about: About,
}

/// A cloud's notification about a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The notification's type, `compute.instance.update`.
    pub kind: String,
    /// The cloud's id of the server.
    pub server: String,
    /// The state it names, in the cloud's word.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub state: String,
    /// The group's uid, where the server's metadata says it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group_uid: String,
}

/// How far a source has read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The feed's URL, or another source's name.
    pub feed: String,
    /// The newest entry that is in the log.
    pub marker: String,
    /// That entry's time in the feed.
    #[serde(with = "time::wire")]
    pub updated: i64,
}

/// A source is alive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Whether it reads what it should.
    pub healthy: bool,
}

/// Rules mean something newer from here on, for every tenant of the partition. It decides nothing itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upgrade {
    /// The [meaning](crate::semantics) by which evaluations after this record decide.
    pub semantics: u32,
    /// Who.
    pub actor: String,
}

/// Nothing but the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tick {}

impl Event {
    /// The canonical line, without its newline.
    #[must_use]
    pub fn to_line(&self) -> String {
        // Every field is a string, a number or a map with string keys, so this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a line of the log.
    ///
    /// # Errors
    /// Where it is not an event that this build knows; the message says where.
    pub fn from_line(line: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(line)
    }
}

/// A line of the log with its place and the time the log took it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its offset in the partition.
    pub offset: u64,
    /// The log's clock when it was appended, epoch milliseconds.
    pub appended_ms: i64,
    /// The fact.
    pub event: Event,
}
