//! Observations: what an executor saw of a cloud, in few neutral words. `settle` and `plan` know clouds only from these.
//!
//! Each cloud's file maps its own states to the ones here, in one table. Nothing in here says what should be.

use crate::id::Slot;
use std::collections::BTreeMap;
use weir_grammar::policy::Balancer;

/// A server as a cloud shows it, in neutral words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The cloud's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The slot in its mark; `None` where the mark cannot be read (then it is left alone).
    pub slot: Option<Slot>,
    /// Its state.
    pub state: SeenState,
    /// Its addresses, the one a balancer should use first.
    pub addresses: Vec<String>,
    /// The cloud's time of its creation, epoch milliseconds.
    pub created_ms: i64,
    /// The cloud's own words, where it says why.
    pub fault: Option<String>,
}

/// What matters of a server's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SeenState {
    /// Being made.
    Building,
    /// Runs.
    Active,
    /// Came to nothing, or broke.
    Error,
    /// Being deleted.
    Deleting,
    /// Anything else (stopped, rescued, migrating …): left alone, neither ready nor gone.
    Other,
}

/// A balancer's member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its address.
    pub address: String,
    /// Its port.
    pub port: u16,
    /// Takes new connections (not draining, not disabled).
    pub serving: bool,
    /// The balancer finds it healthy; true where it does not look.
    pub healthy: bool,
}

/// Why a call gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct CloudError {
    /// What may follow from it.
    pub kind: CloudErrorKind,
    /// The cloud's own words where it said any, with the call.
    pub text: String,
}

/// What may follow from a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloudErrorKind {
    /// It may or may not have happened (time-out, connection lost, 5xx): look before doing it again.
    Unclear,
    /// It did not happen, and will not soon: quota, no such image, forbidden.
    Refused,
    /// It did not happen; again later (429, 503 before the work, immutable balancer), at the earliest after this long.
    Later {
        /// Milliseconds the cloud asks for, 0 where it does not say.
        after_ms: u64,
    },
    /// The credentials were not accepted.
    Unauthorized,
    /// This cloud has no such thing (balancers where none are configured).
    NotOffered,
}

/// One complete look at a group: its servers, and the members of its balancers. A listing that is not complete is an
/// error and never becomes one of these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// Every server with the group's mark, by the cloud's id.
    pub servers: BTreeMap<String, Seen>,
    /// Each balancer's members, or why they are not known.
    pub members: BTreeMap<Balancer, Result<Vec<Member>, CloudError>>,
}

/// Where an address stands in a balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not a member.
    Out,
    /// A member that takes no new connections.
    Drained,
    /// A member that serves, and is not (yet) healthy.
    Unhealthy,
    /// A member that serves and is healthy.
    Serving,
    /// The balancer did not say.
    Unknown,
}

impl Observation {
    /// A look made of a complete listing.
    #[must_use]
    pub fn new(listed: Vec<Seen>, members: BTreeMap<Balancer, Result<Vec<Member>, CloudError>>) -> Self {
        Self { servers: listed.into_iter().map(|seen| (seen.id.clone(), seen)).collect(), members }
    }

    /// The server with this id.
    #[must_use]
    pub fn server(&self, id: &str) -> Option<&Seen> {
        self.servers.get(id)
    }

    /// Where `address` stands in `balancer`.
    #[must_use]
    pub fn standing(&self, balancer: &Balancer, address: &str) -> Standing {
        let Some(Ok(members)) = self.members.get(balancer) else { return Standing::Unknown };
        match members.iter().find(|member| member.address == address && member.port == balancer.port) {
            None => Standing::Out,
            Some(member) if !member.serving => Standing::Drained,
            Some(member) if !member.healthy => Standing::Unhealthy,
            Some(_) => Standing::Serving,
        }
    }
}
