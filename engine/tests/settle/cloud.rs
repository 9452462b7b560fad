//! A toy cloud in memory that lies as real ones do: answers get lost, listings lag, builds fail, servers vanish. It keeps
//! the books by which the tests judge who called it.

use crate::dice::Dice;
use std::collections::{BTreeMap, BTreeSet};
use weir_engine::{
    call::{Answer, Call},
    grammar::policy::Balancer,
    id::Slot,
    observation::{CloudError, CloudErrorKind, Member, Observation, Seen, SeenState},
};

/// How often each thing goes wrong, percent.
#[derive(Clone, Copy, Default)]
pub struct Faults {
    /// A call is done and its answer lost, or not done and not said.
    pub unclear: u64,
    /// A build comes to nothing.
    pub failed_build: u64,
    /// An order makes two servers.
    pub doubled: u64,
    /// "Too many requests".
    pub later: u64,
    /// The listing is cut off, and says so.
    pub no_list: u64,
    /// The listing is cut off, and does not say so.
    pub empty_list: u64,
    /// How long a new server may be missing from the listing, and a deleted one be in it, milliseconds.
    pub lag_ms: u64,
}

#[derive(Clone, Debug)]
pub struct Server {
    pub slot: Option<Slot>,
    pub name: String,
    pub zone: Option<String>,
    pub address: String,
    pub created_ms: i64,
    pub active_ms: i64,
    pub listed_ms: i64,
    pub state: Option<SeenState>,
    pub fails: bool,
    /// Deleted; the listing may still show it.
    pub gone_ms: Option<i64>,
}

impl Server {
    fn state(&self, now_ms: i64) -> SeenState {
        match self.state {
            Some(state) => state,
            None if now_ms < self.active_ms => SeenState::Building,
            None if self.fails => SeenState::Error,
            None => SeenState::Active,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Place {
    pub serving: bool,
    pub healthy_ms: i64,
    pub drained_ms: Option<i64>,
}

#[derive(Default)]
pub struct Cloud {
    pub servers: BTreeMap<String, Server>,
    pub balancers: BTreeMap<Balancer, BTreeMap<String, Place>>,
    pub faults: Faults,
    pub build_ms: i64,
    /// Most servers; one more is refused.
    pub quota: usize,
    made: u32,
    /// Servers that bear no mark of ours at all, so that our listings do not show them.
    pub strangers: BTreeSet<String>,
    /// Ids that the newest listing showed.
    shown: BTreeSet<String>,
    /// Slots whose order may have made a server.
    ordered: BTreeSet<Slot>,
    /// All calls, for tests that look at the order.
    pub calls: Vec<(i64, Call)>,
}

impl Cloud {
    pub fn new(balancers: &[Balancer]) -> Self {
        let balancers = balancers.iter().map(|balancer| (balancer.clone(), BTreeMap::new())).collect();
        Self { balancers, build_ms: 30_000, quota: usize::MAX, ..Self::default() }
    }

    /// Servers that run and are not deleted, with a mark of ours.
    pub fn active(&self, now_ms: i64) -> BTreeMap<Slot, String> {
        let runs = self.servers.iter().filter(|(_, s)| s.gone_ms.is_none() && s.state(now_ms) == SeenState::Active);
        runs.filter_map(|(id, s)| Some((s.slot?, id.clone()))).collect()
    }

    /// Servers that are there at all.
    pub fn living(&self) -> impl Iterator<Item = (&String, &Server)> {
        self.servers.iter().filter(|(_, server)| server.gone_ms.is_none())
    }

    pub fn spawn(
        &mut self,
        slot: Option<Slot>,
        name: &str,
        zone: Option<String>,
        now_ms: i64,
        lag_ms: i64,
        fails: bool,
    ) -> String {
        self.made += 1;
        let id = format!("srv-{:04}", self.made);
        let server = Server {
            slot,
            name: name.to_owned(),
            zone,
            address: format!("10.0.{}.{}", self.made / 250, self.made % 250),
            created_ms: now_ms,
            active_ms: now_ms + self.build_ms,
            listed_ms: now_ms + lag_ms,
            state: None,
            fails,
            gone_ms: None,
        };
        self.servers.insert(id.clone(), server);
        id
    }

    /// A server of somebody else's, which runs.
    pub fn stranger(&mut self, now_ms: i64) -> String {
        let id = self.spawn(None, "elsewhere", None, now_ms - self.build_ms, 0, false);
        self.strangers.insert(id.clone());
        id
    }

    /// Somebody else deletes it.
    pub fn vanish(&mut self, id: &str, now_ms: i64) {
        if let Some(server) = self.servers.get_mut(id) {
            server.gone_ms = Some(now_ms);
        }
    }

    pub fn look(&mut self, dice: &mut Dice, now_ms: i64) -> Result<Observation, CloudError> {
        if dice.percent(self.faults.no_list) {
            return Err(error(CloudErrorKind::Unclear, "the list was cut off"));
        }
        let empty = dice.percent(self.faults.empty_list);
        let lag_ms = i64::try_from(self.faults.lag_ms).unwrap();
        let listed = |server: &Server| {
            !empty && server.listed_ms <= now_ms && server.gone_ms.is_none_or(|gone_ms| now_ms < gone_ms + lag_ms)
        };
        let servers: Vec<Seen> = self
            .servers
            .iter()
            .filter(|(id, server)| listed(server) && !self.strangers.contains(*id))
            .map(|(id, server)| Seen {
                id: id.clone(),
                name: server.name.clone(),
                slot: server.slot,
                state: server.state(now_ms),
                addresses: vec![server.address.clone()],
                created_ms: server.created_ms,
                fault: server.fails.then(|| "no valid host was found".to_owned()),
            })
            .collect();
        self.shown = servers.iter().map(|seen| seen.id.clone()).collect();
        let member = |(address, place): (&String, &Place), port: u16| Member {
            address: address.clone(),
            port,
            serving: place.serving,
            healthy: place.healthy_ms <= now_ms,
        };
        let mut members = BTreeMap::new();
        for (balancer, places) in &self.balancers {
            let said = if dice.percent(self.faults.unclear) {
                Err(error(CloudErrorKind::Unclear, "the balancer did not answer"))
            } else {
                Ok(places.iter().map(|place| member(place, balancer.port)).collect())
            };
            members.insert(balancer.clone(), said);
        }
        Ok(Observation::new(servers, members))
    }

    /// Does what a call says, or not, and says so, or not. Judges the call.
    pub fn perform(&mut self, call: &Call, dice: &mut Dice, now_ms: i64) -> Answer {
        self.calls.push((now_ms, call.clone()));
        if dice.percent(self.faults.later) {
            return Answer::Failed(error(CloudErrorKind::Later { after_ms: 3_000 }, "too many requests"));
        }
        let unclear = dice.percent(self.faults.unclear);
        if let Call::Create { slot, .. } = call {
            assert!(!self.ordered.contains(slot), "slot {slot} is ordered again though a server may exist for it");
            let refused = self.living().filter(|(_, server)| server.slot.is_some()).count() >= self.quota;
            if refused {
                return Answer::Failed(error(CloudErrorKind::Refused, "quota exceeded for instances"));
            }
            self.ordered.insert(*slot);
        }
        // Half of the unclear ones never reached the cloud.
        let answer = if unclear && dice.percent(50) { Answer::Done } else { self.apply(call, dice, now_ms) };
        if unclear { Answer::Failed(error(CloudErrorKind::Unclear, "timed out")) } else { answer }
    }

    /// Does what a call says.
    pub fn apply(&mut self, call: &Call, dice: &mut Dice, now_ms: i64) -> Answer {
        match call {
            Call::Create { slot, name, zone } => {
                let lag_ms = i64::try_from(dice.below(self.faults.lag_ms + 1)).unwrap();
                let fails = dice.percent(self.faults.failed_build);
                let server = self.spawn(Some(*slot), name, zone.clone(), now_ms, lag_ms, fails);
                if dice.percent(self.faults.doubled) {
                    self.spawn(Some(*slot), name, zone.clone(), now_ms, lag_ms, fails);
                }
                Answer::Created { server }
            }
            Call::Delete { slot, server } => {
                assert!(self.shown.contains(server), "{server} is deleted and the newest listing did not show it");
                let found = self.servers.get_mut(server).unwrap();
                assert_eq!(found.slot, Some(*slot), "{server} is deleted under another slot's name");
                assert_ne!(found.state(now_ms), SeenState::Other, "{server} is in an unknown state and deleted");
                found.gone_ms.get_or_insert(now_ms);
                Answer::Done
            }
            Call::Mark { slot, server } => {
                let runs = self
                    .servers
                    .get(server)
                    .is_some_and(|server| server.gone_ms.is_none() && server.state(now_ms) == SeenState::Active);
                let Some(found) = self.servers.get_mut(server).filter(|_| runs) else {
                    return Answer::Failed(error(CloudErrorKind::Refused, "no such server runs"));
                };
                if found.slot.is_some_and(|known| known != *slot) {
                    return Answer::Failed(error(CloudErrorKind::Refused, "it bears another mark"));
                }
                self.strangers.remove(server);
                found.slot = Some(*slot);
                found.listed_ms = now_ms + i64::try_from(dice.below(self.faults.lag_ms + 1)).unwrap();
                Answer::Done
            }
            Call::Unmark { slot, server } => {
                assert!(self.shown.contains(server), "{server} loses its mark and the newest listing did not show it");
                if let Some(found) = self.servers.get_mut(server).filter(|found| found.slot == Some(*slot)) {
                    found.slot = None;
                    self.strangers.insert(server.clone());
                }
                Answer::Done
            }
            Call::Join { balancer, address, .. } => {
                let healthy_ms = now_ms + 4_000;
                let place = Place { serving: true, healthy_ms, drained_ms: None };
                self.balancers.get_mut(balancer).unwrap().insert(address.clone(), place);
                Answer::Done
            }
            Call::Drain { balancer, address, .. } => {
                if let Some(place) = self.balancers.get_mut(balancer).unwrap().get_mut(address) {
                    (place.serving, place.drained_ms) = (false, Some(now_ms));
                }
                Answer::Done
            }
            Call::Leave { balancer, address, .. } => {
                self.balancers.get_mut(balancer).unwrap().remove(address);
                Answer::Done
            }
        }
    }
}

pub fn error(kind: CloudErrorKind, text: &str) -> CloudError {
    CloudError { kind, text: text.to_owned() }
}
