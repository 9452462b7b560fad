//! Outcomes: what an executor saw and did, returned to the log. The engine knows servers only from these.
//!
//! Every outcome may come twice. The ledger numbers those of one group uid as it makes them and sends them in that
//! order, so the engine drops one whose number is not higher than the last it applied.

use crate::id::{GroupUid, Slot};
use serde::{Deserialize, Serialize};

/// What became of a server, or how a group fares in its cloud.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The group's name, for people.
    pub group: String,
    /// Which life of it.
    pub uid: GroupUid,
    /// Rises by one with each outcome of this uid, from 1; committed in the ledger before the outcome is sent.
    pub seq: u64,
    /// What.
    #[serde(flatten)]
    pub happening: Happening,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Happening {
    /// The cloud has taken the order for a server.
    Building {
        /// Its slot.
        slot: Slot,
        /// The cloud's id.
        server: String,
    },
    /// A server takes its part: active, and in its balancers.
    Ready {
        /// Its slot.
        slot: Slot,
        /// The cloud's id.
        server: String,
        /// Its name.
        name: String,
        /// Its addresses, as text.
        addresses: Vec<String>,
    },
    /// A build came to nothing and was, or will be, cleaned away.
    Failed {
        /// Its slot.
        slot: Slot,
        /// The cloud's own words.
        reason: String,
    },
    /// A server is being taken out on purpose; its samples count no more.
    Leaving {
        /// Its slot.
        slot: Slot,
    },
    /// A server is gone, on purpose.
    Removed {
        /// Its slot.
        slot: Slot,
    },
    /// A server is gone or broken, and nobody here meant it to be. Its place is filled again under another slot.
    Lost {
        /// Its slot.
        slot: Slot,
        /// What was seen.
        reason: String,
    },
    /// A server that somebody wanted to adopt is not the group's, and is left as it was.
    NotAdopted {
        /// The cloud's id.
        server: String,
        /// The cloud's own words, or ours.
        reason: String,
    },
    /// The group cannot be filled; adding waits (`degraded`).
    Degraded {
        /// The cloud's own words.
        reason: String,
    },
    /// It can be filled again.
    Healed,
}

impl Happening {
    /// The slot it is about, if any.
    #[must_use]
    pub fn slot(&self) -> Option<Slot> {
        match self {
            Self::Building { slot, .. }
            | Self::Ready { slot, .. }
            | Self::Failed { slot, .. }
            | Self::Leaving { slot }
            | Self::Removed { slot }
            | Self::Lost { slot, .. } => Some(*slot),
            Self::NotAdopted { .. } | Self::Degraded { .. } | Self::Healed => None,
        }
    }
}
