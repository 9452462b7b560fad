//! A cloud with its balancers, and the weather in it: answers get lost, builds fail or never end, listings lag or are cut
//! off, balancers are immutable, servers vanish. It keeps the books by which its callers are judged.

use crate::{
    dice::Dice,
    judge::Broken,
    story::{Harm, Weather},
};
use std::collections::{BTreeMap, BTreeSet};
use weir_engine::{
    call::{Answer, Call},
    grammar::policy::Balancer,
    id::{GroupUid, Slot},
    observation::{CloudError, CloudErrorKind, Member, Observation, Seen, SeenState},
};

/// The longest build that is not stuck, milliseconds.
pub const BUILD_MAX_MS: i64 = 120_000;

/// The name of servers that are somebody else's.
const FOREIGN: &str = "database";

/// A server.
#[derive(Clone, Debug)]
pub struct Server {
    /// Whose mark it carries; somebody else's where none.
    pub uid: Option<GroupUid>,
    /// The slot in its mark.
    pub slot: Option<Slot>,
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: String,
    created_ms: i64,
    active_ms: i64,
    listed_ms: i64,
    fails: bool,
    broken: bool,
    stopped_until_ms: i64,
    /// Its deletion was taken; gone at that instant.
    gone_ms: Option<i64>,
    /// Whether somebody else deleted it.
    pub by_hand: bool,
}

impl Server {
    fn state(&self, now_ms: i64) -> SeenState {
        match self.gone_ms {
            Some(_) => SeenState::Deleting,
            None if self.broken => SeenState::Error,
            None if now_ms < self.active_ms => SeenState::Building,
            None if self.fails => SeenState::Error,
            None if now_ms < self.stopped_until_ms => SeenState::Other,
            None => SeenState::Active,
        }
    }

    fn is_gone(&self, now_ms: i64) -> bool {
        self.gone_ms.is_some_and(|gone_ms| gone_ms <= now_ms)
    }
}

#[derive(Clone, Copy, Debug)]
struct Place {
    serving: bool,
    healthy_ms: i64,
}

/// A cloud in one region.
#[derive(Debug)]
pub struct Cloud {
    /// Every server there ever was, by id.
    pub servers: BTreeMap<String, Server>,
    balancers: BTreeMap<Balancer, BTreeMap<String, Place>>,
    changing_until_ms: BTreeMap<Balancer, i64>,
    /// Weather, each until when.
    pub weather: BTreeMap<Weather, i64>,
    /// Most servers at once.
    pub room: usize,
    /// Servers made by order for each (group, slot).
    made: BTreeMap<(GroupUid, Slot), u32>,
    dice: Dice,
}

impl Cloud {
    /// A cloud in which some servers are somebody else's.
    #[must_use]
    pub fn new(seed: u64, room: usize) -> Self {
        let mut cloud = Self {
            servers: BTreeMap::new(),
            balancers: BTreeMap::new(),
            changing_until_ms: BTreeMap::new(),
            weather: BTreeMap::new(),
            room,
            made: BTreeMap::new(),
            dice: Dice::new(seed, 2),
        };
        for _ in 0..2 {
            cloud.spawn(None, None, FOREIGN, 0);
        }
        cloud
    }

    fn is(&self, weather: Weather, now_ms: i64) -> bool {
        self.weather.get(&weather).is_some_and(|until_ms| now_ms < *until_ms)
    }

    fn spawn(&mut self, uid: Option<GroupUid>, slot: Option<Slot>, name: &str, now_ms: i64) -> String {
        let taken: BTreeSet<&str> = self
            .servers
            .values()
            .filter(|server| !server.is_gone(now_ms))
            .map(|server| server.address.as_str())
            .collect();
        // Addresses are given again.
        let address = (1..).map(|at: u32| format!("10.0.0.{at}")).find(|address| !taken.contains(address.as_str()));
        let stuck = self.is(Weather::StuckBuilds, now_ms) && self.dice.percent(60);
        let fails = self.is(Weather::FailedBuilds, now_ms) && self.dice.percent(70);
        let late = self.is(Weather::LateListings, now_ms);
        let server = Server {
            uid,
            slot,
            name: name.to_owned(),
            address: address.unwrap_or_default(),
            created_ms: now_ms,
            active_ms: if stuck { i64::MAX } else { now_ms + self.dice.between(5_000, BUILD_MAX_MS) },
            listed_ms: if late { now_ms + self.dice.between(0, 4_000) } else { now_ms },
            fails,
            broken: false,
            stopped_until_ms: 0,
            gone_ms: None,
            by_hand: false,
        };
        let id = format!("srv-{:04}", self.servers.len());
        self.servers.insert(id.clone(), server);
        id
    }

    /// Servers with a group's mark that are there at all, copies with a mark that cannot be read left out.
    pub fn living(&self, uid: GroupUid, now_ms: i64) -> impl Iterator<Item = (&String, &Server)> {
        let there = self.servers.iter().filter(move |(_, server)| !server.is_gone(now_ms));
        there.filter(move |(_, server)| server.uid == Some(uid) && server.slot.is_some())
    }

    /// Servers of a group that run.
    pub fn running(&self, uid: GroupUid, now_ms: i64) -> impl Iterator<Item = (&String, &Server)> {
        self.living(uid, now_ms).filter(move |(_, server)| server.state(now_ms) == SeenState::Active)
    }

    /// Whether a build of a group never ends that was still there at an instant.
    #[must_use]
    pub fn hangs(&self, uid: GroupUid, at_ms: i64) -> bool {
        let hangs = |server: &Server| server.uid == Some(uid) && server.active_ms == i64::MAX && !server.is_gone(at_ms);
        self.servers.values().any(hangs)
    }

    /// Servers that run, were made for a group and are nobody's by now: what somebody may want to adopt.
    pub fn let_go(&self, now_ms: i64) -> impl Iterator<Item = &String> {
        let free = self.servers.iter().filter(|(_, server)| server.uid.is_none() && server.name != FOREIGN);
        free.filter(move |(_, server)| server.state(now_ms) == SeenState::Active).map(|(id, _)| id)
    }

    /// Somebody else does something to the nth server that has a mark.
    pub fn harm(&mut self, harm: Harm, nth: usize, now_ms: i64) -> bool {
        let marked = self.servers.iter().filter(|(_, server)| server.slot.is_some() && server.gone_ms.is_none());
        let marked: Vec<String> = marked.map(|(id, _)| id.clone()).collect();
        let id = marked.get(nth % marked.len().max(1));
        let Some(server) = id.and_then(|id| self.servers.get_mut(id)) else { return false };
        match harm {
            Harm::Deleted => (server.gone_ms, server.by_hand) = (Some(now_ms), true),
            Harm::Broken => server.broken = true,
            Harm::Copied => {
                let (uid, name) = (server.uid, format!("{}-copy", server.name));
                self.spawn(uid, None, &name, now_ms);
            }
            Harm::Stopped => server.stopped_until_ms = now_ms + 600_000,
            Harm::Unlisted => {
                let address = server.address.clone();
                self.balancers.values_mut().for_each(|members| {
                    members.remove(&address);
                });
            }
        }
        true
    }

    /// The weather clears.
    pub fn calm(&mut self, now_ms: i64) {
        self.weather.clear();
        self.room = usize::MAX;
        for server in self.servers.values_mut() {
            server.stopped_until_ms = server.stopped_until_ms.min(now_ms);
        }
    }

    /// One complete look at a group, or an error.
    ///
    /// # Errors
    /// The cloud's.
    pub fn look(
        &mut self,
        uid: GroupUid,
        balancers: &BTreeSet<Balancer>,
        now_ms: i64,
    ) -> Result<Observation, CloudError> {
        if self.is(Weather::CutListings, now_ms) && self.dice.percent(60) {
            return Err(error(CloudErrorKind::Unclear, "the listing was cut off"));
        }
        self.trouble(now_ms)?;
        let servers = self.listing(uid, now_ms);
        let mut members = BTreeMap::new();
        for balancer in balancers {
            let places = self.balancers.entry(balancer.clone()).or_default();
            let member = |(address, place): (&String, &Place)| Member {
                address: address.clone(),
                port: balancer.port,
                serving: place.serving,
                healthy: place.healthy_ms <= now_ms,
            };
            let known = places.iter().map(member).collect();
            let troubled = self.trouble(now_ms);
            members.insert(balancer.clone(), troubled.map(|()| known));
        }
        Ok(Observation::new(servers, members))
    }

    /// What a listing shows, or would show.
    pub fn listing(&self, uid: GroupUid, now_ms: i64) -> Vec<Seen> {
        let there = self.servers.iter().filter(|(_, server)| server.uid == Some(uid) && !server.is_gone(now_ms));
        let listed = there.filter(|(_, server)| server.listed_ms <= now_ms);
        let seen = listed.map(|(id, server)| Seen {
            id: id.clone(),
            name: server.name.clone(),
            slot: server.slot,
            state: server.state(now_ms),
            addresses: vec![server.address.clone()],
            created_ms: server.created_ms,
            fault: (server.fails || server.broken).then(|| "no valid host was found".to_owned()),
        });
        seen.collect()
    }

    /// "Try later" and "internal error": nothing was done.
    fn trouble(&mut self, now_ms: i64) -> Result<(), CloudError> {
        if self.is(Weather::TooMany, now_ms) && self.dice.percent(40) {
            let after_ms = if self.dice.percent(50) { 0 } else { self.dice.below(20_000) };
            return Err(error(CloudErrorKind::Later { after_ms }, "too many requests"));
        }
        if self.is(Weather::Errors, now_ms) && self.dice.percent(40) {
            return Err(error(CloudErrorKind::Unclear, "500 internal server error"));
        }
        Ok(())
    }

    /// Does what a call says, or not, and says so, or not.
    ///
    /// # Errors
    /// Where the caller may not do this.
    pub fn perform(&mut self, uid: GroupUid, call: &Call, now_ms: i64) -> Result<Answer, Broken> {
        if let Err(error) = self.trouble(now_ms) {
            return Ok(Answer::Failed(error));
        }
        let lost = self.is(Weather::TimeOuts, now_ms) && self.dice.percent(35);
        let happens = !lost || self.dice.percent(60);
        let answer = if happens { self.apply(uid, call, now_ms)? } else { Answer::Done };
        Ok(if lost { Answer::Failed(error(CloudErrorKind::Unclear, "timed out")) } else { answer })
    }

    fn apply(&mut self, uid: GroupUid, call: &Call, now_ms: i64) -> Result<Answer, Broken> {
        if let Some(balancer) = call.balancer()
            && self.changing_until_ms.get(balancer).is_some_and(|until_ms| now_ms < *until_ms)
        {
            let kind = CloudErrorKind::Later { after_ms: 2_000 };
            return Ok(Answer::Failed(error(kind, "the load balancer is immutable")));
        }
        match call {
            Call::Create { slot, name, .. } => {
                let full = self.servers.values().filter(|server| !server.is_gone(now_ms)).count() >= self.room;
                if full || self.is(Weather::Full, now_ms) {
                    return Ok(Answer::Failed(error(CloudErrorKind::Refused, "quota exceeded for instances")));
                }
                let server = self.spawn(Some(uid), Some(*slot), name, now_ms);
                let made = self.made.entry((uid, *slot)).or_default();
                *made += 1;
                Broken::unless(*made == 1, "no slot gets two servers", || {
                    format!("slot {slot} of {uid} again: {server}")
                })?;
                return Ok(Answer::Created { server });
            }
            Call::Delete { slot, server } => {
                let Some(found) = self.servers.get_mut(server) else {
                    return Err(Broken::new("what is deleted was there", format!("{server} never was")));
                };
                Broken::unless(
                    found.uid == Some(uid) && found.slot == Some(*slot),
                    "what is deleted carries our mark",
                    || format!("{server} was deleted for slot {slot} of {uid} and is {found:?}"),
                )?;
                let lasts_ms = self.dice.between(0, 8_000);
                found.gone_ms.get_or_insert(now_ms + lasts_ms);
            }
            Call::Mark { slot, server } => {
                let mark = (Some(uid), Some(*slot));
                let found = self.servers.get_mut(server).filter(|found| found.state(now_ms) == SeenState::Active);
                let Some(found) = found.filter(|found| found.uid.is_none() || (found.uid, found.slot) == mark) else {
                    let text = "no such server runs, or it is another's";
                    return Ok(Answer::Failed(error(CloudErrorKind::Refused, text)));
                };
                (found.uid, found.slot) = mark;
            }
            Call::Unmark { slot, server } => {
                let found = self.servers.get_mut(server);
                if let Some(found) = found.filter(|found| (found.uid, found.slot) == (Some(uid), Some(*slot))) {
                    (found.uid, found.slot) = (None, None);
                }
            }
            Call::Join { balancer, address, .. } => {
                let place = Place { serving: true, healthy_ms: now_ms + self.dice.between(0, 6_000) };
                self.balancers.entry(balancer.clone()).or_default().insert(address.clone(), place);
            }
            Call::Drain { balancer, address, .. } => {
                if let Some(place) = self.balancers.entry(balancer.clone()).or_default().get_mut(address) {
                    place.serving = false;
                }
            }
            Call::Leave { balancer, address, .. } => {
                self.balancers.entry(balancer.clone()).or_default().remove(address);
            }
        }
        if let Some(balancer) = call.balancer().filter(|_| self.is(Weather::Immutable, now_ms)) {
            self.changing_until_ms.insert(balancer.clone(), now_ms + 3_000);
        }
        Ok(Answer::Done)
    }

    /// The addresses in a balancer, those that serve and are healthy marked.
    #[must_use]
    pub fn members(&self, balancer: &Balancer, now_ms: i64) -> BTreeMap<String, bool> {
        let places = self.balancers.get(balancer).into_iter().flatten();
        places.map(|(address, place)| (address.clone(), place.serving && place.healthy_ms <= now_ms)).collect()
    }
}

fn error(kind: CloudErrorKind, text: &str) -> CloudError {
    CloudError { kind, text: text.to_owned() }
}
