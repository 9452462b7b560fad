//! Entries: one slot's life in the ledger, from its order to the end of its server.

use serde::{Deserialize, Serialize};
use std::fmt;
use weir_grammar::policy::Balancer;

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
    /// It is not deleted at all: it leaves its balancers, our mark is taken off, and it runs on. `Removed` is said when no
    /// listing shows it any more.
    Detached,
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
    /// A slot that is filled from now on.
    pub(crate) fn new(phase: Phase, name: String, zone: Option<String>, balancers: Vec<Balancer>, now_ms: i64) -> Self {
        Self {
            phase,
            since_ms: now_ms,
            name,
            zone,
            balancers,
            server: None,
            addresses: Vec::new(),
            ordered_ms: now_ms,
            listed: false,
            absent_ms: None,
            unwanted: false,
            drained_ms: None,
            end: End::Removed,
            asked_ms: 0,
            detail: String::new(),
        }
    }

    /// Counts towards the target: it is, or may become, a server that takes its part.
    #[must_use]
    pub fn stands(&self) -> bool {
        self.phase <= Phase::Ready && !self.unwanted
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allotted => "allotted",
            Self::Ordered => "ordered",
            Self::Unclear => "unclear",
            Self::Building => "building",
            Self::Joining => "joining",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Deleting => "deleting",
        })
    }
}
