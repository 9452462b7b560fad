//! What a person has set by hand in a group: who, why, and until when.
//!
//! It enters by the log as a `control` fact and is part of the group's state, so it survives a restart, a replay and a new
//! version of the policy, and is gone with the group. An end is a timer at its own instant and needs no event.

use crate::{command::Hands, id::Slot, time};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::{Deref, DerefMut},
};

/// The longest that an override may hold, milliseconds: 30 days. What is meant for longer belongs into the policy.
pub const OVERRIDE_MAX_MS: i64 = 30 * 24 * 3_600_000;

/// All that is set by hand in one group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByHand {
    /// Bounds in place of the windows'.
    pub bounds: Option<Override>,
    /// Servers that scale-in leaves alone.
    pub protected: BTreeMap<Slot, Protection>,
    /// Servers that leave because somebody named them, until they are gone.
    pub leaving: BTreeMap<Slot, Leaving>,
    /// Servers that were nobody's and are to become the group's, by the cloud's id, until they are or cannot be.
    pub adopting: BTreeMap<String, Adoption>,
    /// What the newest command told of all this.
    pub sent: Hands,
}

/// The same in a group's state. In nearly every group it is nothing, and then it takes no room there.
#[derive(Clone, Debug, Default)]
pub struct MaybeByHand(Option<Box<ByHand>>);

static NOTHING: ByHand = ByHand {
    bounds: None,
    protected: BTreeMap::new(),
    leaving: BTreeMap::new(),
    adopting: BTreeMap::new(),
    sent: Hands {
        protected: BTreeSet::new(),
        removed: BTreeSet::new(),
        detached: BTreeSet::new(),
        adopted: BTreeMap::new(),
    },
};

impl MaybeByHand {
    /// Where there may be something, to take some of it away: through this, nothing stays nothing.
    pub fn some(&mut self) -> Option<&mut ByHand> {
        self.0.as_deref_mut()
    }
}

impl Deref for MaybeByHand {
    type Target = ByHand;

    fn deref(&self) -> &ByHand {
        self.0.as_deref().unwrap_or(&NOTHING)
    }
}

impl DerefMut for MaybeByHand {
    fn deref_mut(&mut self) -> &mut ByHand {
        self.0.get_or_insert_default()
    }
}

impl PartialEq for MaybeByHand {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for MaybeByHand {}

/// A server is left alone by scale-in. Against repair it does not stand: one that broke is replaced, and the one in its
/// place is not protected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protection {
    /// Until then, else until it is taken back.
    pub until_ms: Option<i64>,
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
}

/// A server leaves because somebody named it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaving {
    /// What becomes of it.
    pub parting: Parting,
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
}

/// What becomes of a server that leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Parting {
    /// It is deleted.
    Removed,
    /// It runs on, as nobody's.
    Detached,
}

/// A server is to become the group's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adoption {
    /// The record that ordered it: asked for again after it failed, it is another one.
    pub number: u64,
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
}

impl ByHand {
    /// What executors must know of it.
    #[must_use]
    pub fn hands(&self) -> Hands {
        let part = |parting| {
            let of = self.leaving.iter().filter(move |(_, leaving)| leaving.parting == parting);
            of.map(|(slot, _)| *slot).collect()
        };
        Hands {
            protected: self.protected.keys().copied().collect(),
            removed: part(Parting::Removed),
            detached: part(Parting::Detached),
            adopted: self.adopting.iter().map(|(server, adoption)| (server.clone(), adoption.number)).collect(),
        }
    }

    /// Ends what is over at `now_ms`.
    pub fn expire(&mut self, now_ms: i64) {
        self.bounds.take_if(|hand| hand.until <= now_ms);
        self.protected.retain(|_, protection| protection.until_ms.is_none_or(|until| now_ms < until));
    }

    /// Every instant at which something of it ends by itself.
    pub fn ends(&self) -> impl Iterator<Item = i64> + '_ {
        let protections = self.protected.values().filter_map(|protection| protection.until_ms);
        self.bounds.iter().map(|hand| hand.until).chain(protections)
    }

    /// A server takes its part: what was adopted is a server like any other now. No executor needs to be told.
    pub fn took_part(&mut self, server: &str) {
        self.adopting.remove(server);
        self.sent.adopted.remove(server);
    }

    /// A server is gone, and with it all that was set for it. No executor needs to be told.
    pub fn forget(&mut self, slot: Slot) {
        self.protected.remove(&slot);
        self.leaving.remove(&slot);
        for told in [&mut self.sent.protected, &mut self.sent.removed, &mut self.sent.detached] {
            told.remove(&slot);
        }
    }

    /// What is set for servers, a line each. Instants are in the log's notation.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let why = |actor: &str, reason: &str| {
            if reason.is_empty() { format!("by {actor}") } else { format!("by {actor}: {reason:?}") }
        };
        let protected = self.protected.iter().map(|(slot, known)| {
            let until = known.until_ms.map_or_else(String::new, |until| format!(" until {} ", time::rfc3339(until)));
            let until = if until.is_empty() { " " } else { until.as_str() }.to_owned();
            format!("server {slot} is protected{until}{}", why(&known.actor, &known.reason))
        });
        let leaving = self.leaving.iter().map(|(slot, known)| {
            let word = match known.parting {
                Parting::Removed => "removed",
                Parting::Detached => "detached",
            };
            format!("server {slot} leaves, {word} {}", why(&known.actor, &known.reason))
        });
        let adopting = self
            .adopting
            .iter()
            .map(|(server, known)| format!("server {server} is being adopted {}", why(&known.actor, &known.reason)));
        protected.chain(leaving).chain(adopting).collect()
    }
}

/// Bounds that an operator has set for a time.
///
/// They stand in place of what the windows say, and clamp as a window does (rule 16): a raised floor is met at once, over
/// cooldown and limit; a lowered ceiling is walked down under `limit remove`; the end restores the bounds and shrinks
/// nothing. A group never leaves its policy's `capacity`, so each bound is taken as far as that allows, also after a new
/// version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// Fewest servers; the windows' floor where it is left out.
    pub floor: Option<u32>,
    /// Most servers; the windows' ceiling where it is left out.
    pub ceiling: Option<u32>,
    /// It ends then.
    #[serde(with = "time::wire")]
    pub until: i64,
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
}

impl Override {
    /// `size 5`, `floor 5, ceiling 8`.
    #[must_use]
    pub fn bounds(&self) -> String {
        match (self.floor, self.ceiling) {
            (Some(floor), Some(ceiling)) if floor == ceiling => format!("size {floor}"),
            (Some(floor), Some(ceiling)) => format!("floor {floor}, ceiling {ceiling}"),
            (Some(floor), None) => format!("floor {floor}"),
            (None, Some(ceiling)) => format!("ceiling {ceiling}"),
            (None, None) => "no bounds".to_owned(),
        }
    }

    /// `size 5 by ops until 09:20: "the launch"`, the instant as `clock` writes it.
    #[must_use]
    pub fn words(&self, clock: &dyn Fn(i64) -> String) -> String {
        let reason = if self.reason.is_empty() { String::new() } else { format!(": {:?}", self.reason) };
        format!("{} by {} until {}{reason}", self.bounds(), self.actor, clock(self.until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_stays_nothing_until_something_is_set_and_equals_what_was_taken_back() {
        let mut hand = MaybeByHand::default();
        assert!(hand.some().is_none());
        let slot = Slot { serial: 1, incarnation: 1 };
        hand.protected.insert(slot, Protection { until_ms: Some(5), actor: "mary".into(), reason: String::new() });
        assert_ne!(hand, MaybeByHand::default());
        hand.some().into_iter().for_each(|hand| hand.expire(5));
        assert_eq!(hand, MaybeByHand::default());
        assert_eq!(*hand, ByHand::default());
    }
}
