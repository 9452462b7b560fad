//! What a simulated cloud holds: servers, and balancers' nodes. The last record of each is what it is.

use super::{
    super::{CloudError, CloudErrorKind, Member, Seen, SeenState, ServerOrder},
    settings::Settings,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use weir_engine::id::{GroupUid, Slot};
use weir_grammar::policy::Balancer;

/// A server, as its file has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// The how-manieth this cloud made.
    pub number: u64,
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whose it is; none on a server that somebody else made.
    pub mark: Option<Mark>,
    /// What it was made from.
    pub image: String,
    /// And on what.
    pub flavor: String,
    /// Where it stands.
    pub zone: Option<String>,
    /// Its address, in 10.0.0.0/8.
    pub address: String,
    /// When it was ordered, epoch milliseconds.
    pub created_ms: i64,
    /// When its build ends; never, where none.
    pub built_ms: Option<i64>,
    /// The words with which the build ends, or with which it broke later.
    pub fault: Option<String>,
    /// It is being deleted, and gone by then.
    pub gone_ms: Option<i64>,
}

/// Whose a server is: the group's uid and, where it can be read, the slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The group's uid.
    pub uid: GroupUid,
    /// The slot.
    pub slot: Option<Slot>,
}

impl Server {
    /// The `number`-th server, as ordered.
    pub(super) fn ordered(number: u64, order: &ServerOrder, settings: &Settings, now_ms: i64) -> Self {
        let fate = settings.fate(number, order);
        Self {
            number,
            id: format!("{}-{number}", settings.name),
            name: order.name.clone(),
            mark: Some(Mark { uid: order.uid, slot: Some(order.slot) }),
            image: order.spec.launch.image.clone(),
            flavor: order.spec.launch.flavor.clone(),
            zone: order.zone.clone(),
            address: address(number),
            created_ms: now_ms,
            built_ms: fate.build_ms.map(|build_ms| now_ms.saturating_add_unsigned(build_ms)),
            fault: fate.fault,
            gone_ms: None,
        }
    }

    /// A server that somebody else made: active at once.
    pub(super) fn planted(number: u64, name: &str, mark: Option<Mark>, settings: &Settings, now_ms: i64) -> Self {
        Self {
            number,
            id: format!("{}-{number}", settings.name),
            name: name.to_owned(),
            mark,
            image: "by-hand".to_owned(),
            flavor: "by-hand".to_owned(),
            zone: None,
            address: address(number),
            created_ms: now_ms,
            built_ms: Some(now_ms),
            fault: None,
            gone_ms: None,
        }
    }

    /// What it looks like at `now_ms`; nothing once it is gone.
    #[must_use]
    pub fn seen(&self, now_ms: i64) -> Option<Seen> {
        let built = self.built_ms.is_some_and(|built_ms| built_ms <= now_ms);
        let state = match (self.gone_ms, built, &self.fault) {
            (Some(gone_ms), _, _) if gone_ms <= now_ms => return None,
            (Some(_), _, _) => SeenState::Deleting,
            (None, false, _) => SeenState::Building,
            (None, true, Some(_)) => SeenState::Error,
            (None, true, None) => SeenState::Active,
        };
        Some(Seen {
            id: self.id.clone(),
            name: self.name.clone(),
            slot: self.mark.as_ref().and_then(|mark| mark.slot),
            state,
            // A server has its address when its network is there, which is late in a build.
            addresses: built.then(|| self.address.clone()).into_iter().collect(),
            created_ms: self.created_ms,
            fault: self.fault.clone().filter(|_| state == SeenState::Error),
        })
    }
}

/// The address of the `number`-th server: distinct for 16.6 million of them, after which the first has long gone. The
/// last byte is never 0 or 255, which some software takes for a network or a broadcast.
fn address(number: u64) -> String {
    format!("10.{}.{}.{}", number / (254 * 256) % 256, number / 254 % 256, number % 254 + 1)
}

/// A member of a balancer, as its file has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// The balancer's name.
    pub balancer: String,
    /// The address.
    pub address: String,
    /// The port.
    pub port: u16,
    /// Takes new connections.
    pub serving: bool,
    /// When it last joined, drained or left, epoch milliseconds.
    pub changed_ms: i64,
}

impl Node {
    pub(super) fn new(balancer: &Balancer, address: String, now_ms: i64) -> Self {
        Self { balancer: balancer.name.clone(), address, port: balancer.port, serving: true, changed_ms: now_ms }
    }

    fn key(&self) -> (String, u16, String) {
        (self.balancer.clone(), self.port, self.address.clone())
    }
}

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Change {
    /// So many servers were made so far, also those of which nothing else is left.
    Made(u64),
    /// A server is this now.
    Server(Server),
    /// A node is this now.
    Node(Node),
    /// A node is out.
    Left(Node),
}

/// All that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// Servers ever made.
    pub made: u64,
    /// Servers by number.
    pub servers: BTreeMap<u64, Server>,
    /// Nodes by balancer, port and address.
    pub nodes: BTreeMap<(String, u16, String), Node>,
    /// When each balancer was last changed, by name.
    changed_ms: BTreeMap<String, i64>,
}

impl State {
    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::Made(made) => self.made = self.made.max(made),
            Change::Server(server) => {
                self.made = self.made.max(server.number);
                self.servers.insert(server.number, server);
            }
            Change::Node(node) => {
                self.changed_ms.insert(node.balancer.clone(), node.changed_ms);
                self.nodes.insert(node.key(), node);
            }
            Change::Left(node) => {
                self.nodes.remove(&node.key());
                self.changed_ms.insert(node.balancer, node.changed_ms);
            }
        }
    }

    /// The shortest list of changes that leads here.
    pub(super) fn changes(&self) -> Vec<Change> {
        let servers = self.servers.values().cloned().map(Change::Server);
        let nodes = self.nodes.values().cloned().map(Change::Node);
        std::iter::once(Change::Made(self.made)).chain(servers).chain(nodes).collect()
    }

    /// How many things are there.
    pub(super) fn len(&self) -> usize {
        self.servers.len() + self.nodes.len()
    }

    /// Drops the servers whose deletion is over.
    pub(super) fn forget_gone(&mut self, now_ms: i64) {
        self.servers.retain(|_, server| server.gone_ms.is_none_or(|gone_ms| gone_ms > now_ms));
        let named: BTreeSet<_> = self.nodes.keys().map(|(balancer, ..)| balancer).collect();
        // A balancer without nodes is remembered for the minute in which it might still be immutable.
        self.changed_ms.retain(|name, at_ms| named.contains(name) || now_ms.saturating_sub(*at_ms) < 60_000);
    }

    pub(super) fn node(&self, balancer: &Balancer, address: &str) -> Option<&Node> {
        self.nodes.get(&(balancer.name.clone(), balancer.port, address.to_owned()))
    }

    pub(super) fn members(&self, balancer: &Balancer, settings: &Settings, now_ms: i64) -> Vec<Member> {
        let ours = self.nodes.values().filter(|node| node.balancer == balancer.name && node.port == balancer.port);
        ours.map(|node| Member {
            address: node.address.clone(),
            port: node.port,
            serving: node.serving,
            healthy: now_ms >= node.changed_ms.saturating_add_unsigned(settings.healthy_after_ms)
                && self.answers(&node.address, now_ms),
        })
        .collect()
    }

    /// Whether a server answers at `address`.
    fn answers(&self, address: &str, now_ms: i64) -> bool {
        let mut there = self.servers.values().filter(|server| server.address == address);
        there.any(|server| server.seen(now_ms).is_some_and(|seen| seen.state == SeenState::Active))
    }

    /// A balancer takes one change at a time.
    pub(super) fn must_be_mutable(
        &self,
        balancer: &Balancer,
        settings: &Settings,
        now_ms: i64,
    ) -> Result<(), CloudError> {
        let Some(changed_ms) = self.changed_ms.get(&balancer.name) else { return Ok(()) };
        let free_ms = changed_ms.saturating_add_unsigned(settings.immutable_ms);
        match u64::try_from(free_ms.saturating_sub(now_ms)) {
            Ok(after_ms) if after_ms > 0 => Err(CloudError {
                kind: CloudErrorKind::Later { after_ms },
                text: format!("Load balancer `{}` is immutable: PENDING_UPDATE", balancer.name),
            }),
            _ => Ok(()),
        }
    }
}
