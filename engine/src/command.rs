//! Commands: what the engine wants a group to be. A target with a generation, never a difference.
//!
//! Executors read them as a table, the newest of each group uid. A command carries all that is needed to act on it, so
//! an executor never looks a policy up.

use crate::{
    id::{GroupUid, Position, Slot},
    time,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use weir_grammar::policy::{Balancer, Launch, NotifyOn, RemoveOrder};

/// "`tenant`/`group` to `target`, generation N, because of `cause` by `rule`".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Whose group.
    pub tenant: String,
    /// The group's name.
    pub group: String,
    /// Which life of it.
    pub uid: GroupUid,
    /// Rises with each command of this uid; gaps mean nothing. One that is not newer is dropped.
    pub generation: u64,
    /// The size wanted.
    pub target: u32,
    /// The floor that held.
    pub min: u32,
    /// The ceiling that held.
    pub max: u32,
    /// When it was decided, on the log's time.
    #[serde(with = "time::wire")]
    pub decided: i64,
    /// The record it was decided at.
    pub cause: Position,
    /// The rule, or what else decided: `bounds`, `start`, `policy`, `pause`.
    pub by: String,
    /// What the group's servers are.
    pub spec: Spec,
    /// What an executor must leave alone for now.
    #[serde(default)]
    pub hold: Hold,
    /// What people set for single servers, all that holds and not only what is new.
    #[serde(default, skip_serializing_if = "Hands::is_empty")]
    pub by_hand: Hands,
    /// The group is gone: no server is made any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired: Option<Retired>,
}

/// What becomes of the servers of a group that was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retired {
    /// They are deleted.
    Delete,
    /// They are left running and forgotten.
    Keep,
}

/// What a group's servers are, and how they come and go.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Spec {
    /// The cloud region, as the configuration names it.
    pub region: String,
    /// What a new server is made from.
    pub launch: Launch,
    /// The text of the launch's `setup` file.
    pub setup: Option<String>,
    /// A build older than this has failed, milliseconds.
    pub ready_within_ms: i64,
    /// Time out of the balancer before a server goes, milliseconds.
    pub drain_ms: i64,
    /// Who goes first.
    pub remove: RemoveOrder,
    /// The customer's webhook and what it is told of.
    pub notify: Option<(String, Vec<NotifyOn>)>,
}

impl Spec {
    /// The balancers a ready server is in.
    #[must_use]
    pub fn balancers(&self) -> &[Balancer] {
        &self.launch.balancers
    }
}

/// What people set for single servers. It is the state and no message: each command carries all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hands {
    /// Slots that are not chosen when the group shrinks.
    #[serde(default)]
    pub protected: BTreeSet<Slot>,
    /// Slots whose servers go, whoever else might.
    #[serde(default)]
    pub removed: BTreeSet<Slot>,
    /// Slots whose servers leave the group and run on.
    #[serde(default)]
    pub detached: BTreeSet<Slot>,
    /// Servers, by the cloud's id, that are to become the group's, each with the number of the order.
    #[serde(default)]
    pub adopted: BTreeMap<String, u64>,
}

impl Hands {
    /// Nothing is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What an executor must leave alone for now (rule 17).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// No server is made, not even to replace one.
    pub add: bool,
    /// No server is deleted, not even a broken one.
    pub remove: bool,
    /// Balancers are left as they are.
    pub repair: bool,
}
