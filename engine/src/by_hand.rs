//! What a person has set by hand in a group: who, why, and until when.
//!
//! It enters by the log as a `control` fact and is part of the group's state, so it survives a restart, a replay and a new
//! version of the policy, and is gone with the group. An end is a timer at its own instant and needs no event.

use crate::time;
use serde::{Deserialize, Serialize};

/// The longest that an override may hold, milliseconds: 30 days. What is meant for longer belongs into the policy.
pub const OVERRIDE_MAX_MS: i64 = 30 * 24 * 3_600_000;

/// All that is set by hand in one group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByHand {
    /// Bounds in place of the windows'.
    pub bounds: Option<Override>,
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
