//! Stories: what happens to a group, act by act. An act begins when the one before has come to rest.

use std::collections::BTreeMap;
use weir_engine::event::{Control, Deploy, Fact, Force, Order, Right};

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
    /// What the customer says, where it is the customer's.
    pub(super) fn fact(self) -> Option<Fact> {
        let actor = "ops".to_owned();
        let group = GROUP.to_owned();
        Some(match self {
            Self::Deploy(floor) => Fact::Policy(Deploy {
                name: "web.weir".into(),
                text: policy(floor),
                setup: BTreeMap::new(),
                capabilities: Vec::new(),
                actor,
            }),
            Self::Force(rule) => Fact::Force(Force { group, rule: rule.into(), by: Right::Token, actor }),
            Self::Remove => Fact::Control(Control {
                actor,
                reason: "the story ends".into(),
                order: Order::Remove { group, keep_servers: false },
            }),
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
