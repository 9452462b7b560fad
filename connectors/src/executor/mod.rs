//! Executors: the only ones that call a cloud.
//!
//! [`Cloud`] is the port: one account in one region. Each cloud's file maps its own states to the few neutral ones
//! here, in one table; `settle` and `plan` see only those. A cloud is dumb on purpose: it does what one call says,
//! reports what it saw, never retries, never decides.

use std::{future::Future, pin::Pin};
use weir_engine::{
    command::Spec,
    id::{GroupUid, Slot},
};
use weir_grammar::policy::Balancer;

pub mod nova;
pub mod simulated;

/// What a cloud answers, once it does.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, CloudError>> + Send + 'a>>;

/// One account in one region of a cloud.
pub trait Cloud: Send + Sync {
    /// Every server that carries this installation's and this group's mark, whatever its state. Complete, or an error:
    /// an incomplete listing is never an empty cloud.
    fn list<'a>(&'a self, uid: GroupUid) -> Answer<'a, Vec<Seen>>;

    /// Orders one server, marked with its group uid and slot. Answers the cloud's id.
    fn create<'a>(&'a self, order: &'a ServerOrder) -> Answer<'a, String>;

    /// Deletes one server by its exact id. A server that is not there is deleted.
    fn delete<'a>(&'a self, id: &'a str) -> Answer<'a, ()>;

    /// The members of a balancer.
    fn members<'a>(&'a self, balancer: &'a Balancer) -> Answer<'a, Vec<Member>>;

    /// Puts an address into a balancer, or sets it to serve again. Already there is done.
    fn join<'a>(&'a self, balancer: &'a Balancer, address: &'a str) -> Answer<'a, ()>;

    /// Lets a member finish its connections and take no new ones. Not there is done.
    fn drain<'a>(&'a self, balancer: &'a Balancer, address: &'a str) -> Answer<'a, ()>;

    /// Takes an address out of a balancer. Not there is done.
    fn leave<'a>(&'a self, balancer: &'a Balancer, address: &'a str) -> Answer<'a, ()>;
}

/// An order for one server.
#[derive(Clone, Debug)]
pub struct ServerOrder {
    /// The group's uid, for the mark.
    pub uid: GroupUid,
    /// The slot, for the mark.
    pub slot: Slot,
    /// The server's name, `web-3-1`.
    pub name: String,
    /// What it is made from.
    pub spec: Spec,
    /// The availability zone chosen for it, where the launch names any.
    pub zone: Option<String>,
}

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
