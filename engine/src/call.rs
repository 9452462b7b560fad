//! Calls: what an executor is about to do in a cloud, one request each, and what the cloud made of it.
//!
//! `plan` makes them, the ledger that knows of them is committed, then the executor performs them and hands each answer
//! back. A call says everything; who performs it decides nothing.

use crate::{id::Slot, observation::CloudError};
use weir_grammar::policy::Balancer;

/// One request to a cloud.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Order a server for a slot, made from the newest command's spec.
    Create {
        /// Its slot; in the ledger already.
        slot: Slot,
        /// Its name, `web-3-1`.
        name: String,
        /// Its availability zone, where the launch names any.
        zone: Option<String>,
    },
    /// Delete one server that was seen with our mark a moment ago.
    Delete {
        /// The slot in its mark.
        slot: Slot,
        /// The cloud's id.
        server: String,
    },
    /// Set our mark, with a slot, on a server that runs and is nobody's.
    Mark {
        /// Its slot; in the ledger already.
        slot: Slot,
        /// The cloud's id.
        server: String,
    },
    /// Take our mark off a server that was seen with it a moment ago; it runs on.
    Unmark {
        /// The slot in its mark.
        slot: Slot,
        /// The cloud's id.
        server: String,
    },
    /// Put an address into a balancer, or let it serve again.
    Join {
        /// Whose address.
        slot: Slot,
        /// The balancer.
        balancer: Balancer,
        /// The address.
        address: String,
    },
    /// Let a member finish and take no new connections.
    Drain {
        /// Whose address.
        slot: Slot,
        /// The balancer.
        balancer: Balancer,
        /// The address.
        address: String,
    },
    /// Take an address out of a balancer.
    Leave {
        /// Whose address.
        slot: Slot,
        /// The balancer.
        balancer: Balancer,
        /// The address.
        address: String,
    },
}

impl Call {
    /// The balancer that it changes, if it changes one.
    #[must_use]
    pub fn balancer(&self) -> Option<&Balancer> {
        match self {
            Self::Create { .. } | Self::Delete { .. } | Self::Mark { .. } | Self::Unmark { .. } => None,
            Self::Join { balancer, .. } | Self::Drain { balancer, .. } | Self::Leave { balancer, .. } => Some(balancer),
        }
    }
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The order was taken.
    Created {
        /// The cloud's id.
        server: String,
    },
    /// It was done.
    Done,
    /// It was not done, or that is not known.
    Failed(CloudError),
}
