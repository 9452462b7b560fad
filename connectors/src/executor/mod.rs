//! Executors: the only ones that call a cloud.
//!
//! [`Cloud`] is the port: one account in one region. Each cloud's file maps its own states to the few neutral ones of
//! [`weir_engine::observation`], in one table; `settle` and `plan` see only those. A cloud is dumb on purpose: it does
//! what one call says, reports what it saw, never retries, never decides. [`worker`] runs `settle` over them: one
//! visit a look, through one lane a cloud.

use std::{future::Future, pin::Pin};
use weir_engine::{
    command::Spec,
    id::{GroupUid, Slot},
};
use weir_grammar::policy::Balancer;

mod lane;
pub mod rackspace;
pub mod simulated;
mod visit;
pub mod worker;

pub use lane::{Clouds, LaunchBudget};
pub use weir_engine::observation::{CloudError, CloudErrorKind, Member, Seen, SeenState};
pub use worker::{Executor, ExecutorHandle, ExecutorSettings, Shift};

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

    /// Sets the mark of a group and slot on a server that runs and is nobody's. The same mark already there is done; one
    /// that is not there, does not run, or bears another mark, is refused.
    fn mark<'a>(&'a self, id: &'a str, uid: GroupUid, slot: Slot) -> Answer<'a, ()> {
        let _ = (uid, slot);
        Box::pin(std::future::ready(Err(no_marks(id))))
    }

    /// Takes the mark of a group and slot off a server. Another mark, none, or no such server is done.
    fn unmark<'a>(&'a self, id: &'a str, uid: GroupUid, slot: Slot) -> Answer<'a, ()> {
        let _ = (uid, slot);
        Box::pin(std::future::ready(Err(no_marks(id))))
    }

    /// The members of a balancer.
    fn members<'a>(&'a self, balancer: &'a Balancer) -> Answer<'a, Vec<Member>>;

    /// Puts an address into a balancer, or sets it to serve again. Already there is done.
    fn join<'a>(&'a self, balancer: &'a Balancer, address: &'a str) -> Answer<'a, ()>;

    /// Lets a member finish its connections and take no new ones. Not there is done.
    fn drain<'a>(&'a self, balancer: &'a Balancer, address: &'a str) -> Answer<'a, ()>;

    /// Takes an address out of a balancer. Not there is done.
    fn leave<'a>(&'a self, balancer: &'a Balancer, address: &'a str) -> Answer<'a, ()>;
}

fn no_marks(id: &str) -> CloudError {
    let text = format!("server `{id}`: this cloud cannot change whose a server is, so none is adopted or detached");
    CloudError { kind: CloudErrorKind::NotOffered, text }
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
