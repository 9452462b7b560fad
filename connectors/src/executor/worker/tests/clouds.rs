//! The clouds that the worker is tested on: the simulated one, judged, and one that takes its time.

use crate::{
    backend::{Machines, embedded::Embedded},
    clock::HeldClock,
    executor::{Answer, Cloud, Clouds, LaunchBudget, Member, Seen, ServerOrder, simulated::Simulated},
};
use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
};
use weir_engine::{
    id::{GroupUid, Slot},
    ledger::{Ledger, Phase},
};
use weir_grammar::policy::Balancer;

/// The simulated cloud, judged: no server may be ordered whose intent is not committed.
pub(super) struct Judged {
    pub(super) cloud: Simulated,
    pub(super) backend: Arc<Embedded>,
    pub(super) ordered: Mutex<BTreeSet<Slot>>,
}

impl Cloud for Judged {
    fn list<'a>(&'a self, uid: GroupUid) -> Answer<'a, Vec<Seen>> {
        self.cloud.list(uid)
    }
    fn create<'a>(&'a self, order: &'a ServerOrder) -> Answer<'a, String> {
        let rows = self.backend.ledgers(0).unwrap();
        let (_, bytes) = rows.iter().find(|(uid, _)| *uid == order.uid).expect("a ledger is committed");
        let ledger = Ledger::from_bytes(bytes).unwrap();
        assert_eq!(ledger.entries()[&order.slot].phase, Phase::Ordered, "{}", order.slot);
        assert!(self.ordered.lock().unwrap().insert(order.slot), "{} is ordered twice", order.slot);
        self.cloud.create(order)
    }
    fn delete<'a>(&'a self, id: &'a str) -> Answer<'a, ()> {
        self.cloud.delete(id)
    }
    fn members<'a>(&'a self, balancer: &'a Balancer) -> Answer<'a, Vec<Member>> {
        self.cloud.members(balancer)
    }
    fn join<'a>(&'a self, balancer: &'a Balancer, address: &'a str) -> Answer<'a, ()> {
        self.cloud.join(balancer, address)
    }
    fn drain<'a>(&'a self, balancer: &'a Balancer, address: &'a str) -> Answer<'a, ()> {
        self.cloud.drain(balancer, address)
    }
    fn leave<'a>(&'a self, balancer: &'a Balancer, address: &'a str) -> Answer<'a, ()> {
        self.cloud.leave(balancer, address)
    }
}

pub(super) struct One {
    pub(super) cloud: Arc<Judged>,
    pub(super) budget: Option<LaunchBudget>,
}

impl Clouds for One {
    fn cloud(&self, tenant: &str, region: &str) -> Option<Arc<dyn Cloud>> {
        ((tenant, region) == ("acme", "LON")).then(|| Arc::clone(&self.cloud) as Arc<dyn Cloud>)
    }
    fn launch_budget(&self, _: &str, _: &str) -> Option<LaunchBudget> {
        self.budget
    }
}

/// A cloud whose listing takes its time, while the clock goes on.
pub(super) struct Late {
    pub(super) cloud: Simulated,
    pub(super) clock: HeldClock,
    pub(super) takes_ms: Arc<AtomicI64>,
}

impl Cloud for Late {
    fn list<'a>(&'a self, uid: GroupUid) -> Answer<'a, Vec<Seen>> {
        self.clock.pass(self.takes_ms.load(Ordering::Relaxed));
        self.cloud.list(uid)
    }
    fn create<'a>(&'a self, order: &'a ServerOrder) -> Answer<'a, String> {
        self.cloud.create(order)
    }
    fn delete<'a>(&'a self, id: &'a str) -> Answer<'a, ()> {
        self.cloud.delete(id)
    }
    fn members<'a>(&'a self, balancer: &'a Balancer) -> Answer<'a, Vec<Member>> {
        self.cloud.members(balancer)
    }
    fn join<'a>(&'a self, balancer: &'a Balancer, address: &'a str) -> Answer<'a, ()> {
        self.cloud.join(balancer, address)
    }
    fn drain<'a>(&'a self, balancer: &'a Balancer, address: &'a str) -> Answer<'a, ()> {
        self.cloud.drain(balancer, address)
    }
    fn leave<'a>(&'a self, balancer: &'a Balancer, address: &'a str) -> Answer<'a, ()> {
        self.cloud.leave(balancer, address)
    }
}

impl Clouds for Late {
    fn cloud(&self, _: &str, _: &str) -> Option<Arc<dyn Cloud>> {
        let (cloud, clock, takes_ms) = (self.cloud.clone(), self.clock.clone(), Arc::clone(&self.takes_ms));
        Some(Arc::new(Self { cloud, clock, takes_ms }))
    }
}
