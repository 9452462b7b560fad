//! The cloud that the worker is tested on: the simulated one, watched as it is asked.

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
    id::GroupUid,
    ledger::{Ledger, Phase},
};
use weir_grammar::policy::Balancer;

/// The simulated cloud, and what happens before it lists or makes servers.
pub(super) struct Watched {
    cloud: Simulated,
    before_list: Box<dyn Fn() + Send + Sync>,
    before_create: Box<dyn Fn(&ServerOrder) + Send + Sync>,
}

impl Watched {
    /// Judged: no server may be ordered whose intent is not committed, and none twice.
    pub(super) fn judged(cloud: Simulated, backend: Arc<Embedded>) -> Self {
        let ordered = Mutex::new(BTreeSet::new());
        let judge = move |order: &ServerOrder| {
            let rows = backend.ledgers(0).unwrap();
            let (_, bytes) = rows.iter().find(|(uid, _)| *uid == order.uid).expect("a ledger is committed");
            let ledger = Ledger::from_bytes(bytes).unwrap();
            assert_eq!(ledger.entries()[&order.slot].phase, Phase::Ordered, "{}", order.slot);
            assert!(ordered.lock().unwrap().insert(order.slot), "{} is ordered twice", order.slot);
        };
        Self { cloud, before_list: Box::new(|| ()), before_create: Box::new(judge) }
    }

    /// Late: its listing takes a time, while the clock goes on.
    pub(super) fn late(cloud: Simulated, clock: HeldClock, takes_ms: Arc<AtomicI64>) -> Self {
        let takes = move || clock.pass(takes_ms.load(Ordering::Relaxed));
        Self { cloud, before_list: Box::new(takes), before_create: Box::new(|_| ()) }
    }
}

impl Cloud for Watched {
    fn list<'a>(&'a self, uid: GroupUid) -> Answer<'a, Vec<Seen>> {
        (self.before_list)();
        self.cloud.list(uid)
    }
    fn create<'a>(&'a self, order: &'a ServerOrder) -> Answer<'a, String> {
        (self.before_create)(order);
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

/// One account, of one tenant in one region.
pub(super) struct One {
    pub(super) cloud: Arc<Watched>,
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
