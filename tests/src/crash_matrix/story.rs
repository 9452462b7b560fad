//! Stories: what happens to a group, act by act. An act begins when the one before has come to rest.

use std::collections::BTreeMap;
use weir_engine::event::{self, Control, Deploy, Fact, Force, Order, Right};

/// What happens, and what is then wanted.
#[derive(Clone, Copy, Debug)]
pub struct Act {
    /// For people.
    pub name: &'static str,
    pub(super) what: What,
    /// Servers once it has come to rest; none where the group is gone.
    pub(super) servers: Option<usize>,
}

/// What happens.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// The policy is deployed, with this floor.
    Deploy(u32),
    /// A rule is forced.
    Force(&'static str),
    /// Somebody deletes the oldest server by hand.
    Lose,
    /// The first server is detached by hand: it runs on, and is nobody's.
    Detach,
    /// The first server, which is nobody's, is adopted.
    Adopt,
    /// The group is removed with its servers.
    Remove,
}

/// The long story. Its third server is the one whose build fails.
pub const LONG: &[Act] = &[
    Act { name: "grows", what: What::Deploy(2), servers: Some(2) },
    Act { name: "a build fails", what: What::Force("up"), servers: Some(3) },
    Act { name: "a server is lost", what: What::Lose, servers: Some(3) },
    Act { name: "shrinks with drain", what: What::Force("down"), servers: Some(2) },
    Act { name: "is removed", what: What::Remove, servers: None },
];

/// What people do with a server by hand.
pub const HANDS: &[Act] = &[
    Act { name: "grows", what: What::Deploy(2), servers: Some(2) },
    Act { name: "a build fails", what: What::Force("up"), servers: Some(3) },
    Act { name: "a server is detached", what: What::Detach, servers: Some(2) },
    Act { name: "it is adopted", what: What::Adopt, servers: Some(3) },
    Act { name: "is removed", what: What::Remove, servers: None },
];

/// The short story, for all pairs.
pub const SHORT: &[Act] = &[
    Act { name: "grows", what: What::Deploy(1), servers: Some(1) },
    Act { name: "is removed", what: What::Remove, servers: None },
];

/// Whose group.
pub const TENANT: &str = "acme";
/// The group.
pub const GROUP: &str = "web";
/// The build of the cloud that fails.
pub const FAILING_BUILD: u64 = 3;

impl What {
    /// What the customer says, where it is the customer's. `first`: the id of the cloud's first server.
    pub(super) fn fact(self, first: &str) -> Option<Fact> {
        let actor = "ops".to_owned();
        let group = GROUP.to_owned();
        let ordered =
            |order| Fact::Control(Control { actor: "ops".to_owned(), reason: "the story goes so".into(), order });
        let by_hand = |act| ordered(Order::Server { group: GROUP.into(), server: first.into(), act });
        Some(match self {
            Self::Deploy(floor) => Fact::Policy(Deploy {
                name: "web.weir".into(),
                text: policy(floor),
                setup: BTreeMap::new(),
                capabilities: Vec::new(),
                actor,
            }),
            Self::Force(rule) => Fact::Force(Force { group, rule: rule.into(), by: Right::Token, actor }),
            Self::Remove => ordered(Order::Remove { group, keep_servers: false }),
            Self::Detach => by_hand(event::Act::Detach { replace: false }),
            Self::Adopt => by_hand(event::Act::Adopt),
            Self::Lose => return None,
        })
    }
}

fn policy(floor: u32) -> String {
    format!(
        r#"edition 2026

launch small {{
  image    "debian-13"
  flavor   "general1-1"
  balancer "lb-1" port 80
}}

group {GROUP} {{
  region   "LON"
  capacity {floor}..6
  launch   small
  ready    within 2m
  drain    2s
  cooldown 1s

  rule up {{
    webhook "up"
    add 1
    cooldown 1s
  }}

  rule down {{
    webhook "down"
    remove 1
    cooldown 1s
  }}
}}
"#
    )
}
