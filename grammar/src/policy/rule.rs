//! A rule: when it fires, and what it then wishes.

use super::{Aggregate, Condition, Span};
use crate::quantity::{Millis, Percent, Quantity};
use crate::schedule::{Cron, Zone};

/// A number of servers, or a share of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Amount {
    /// `3`.
    Servers(u32),
    /// `25%`, of the target (rule 18).
    Share(Percent),
}

/// A rule: one trigger, one action.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// Its name; its state belongs to (group, name) (rule 20).
    pub name: String,
    /// Its doc comment.
    pub doc: String,
    /// What makes it fire.
    pub trigger: Trigger,
    /// `add only` under `track`.
    pub add_only: bool,
    /// What it does; `None` where the trigger says it itself (`step`, `track`).
    pub action: Option<Action>,
    /// Its own cooldown (rule 11).
    pub cooldown: Option<Millis>,
    /// A removal goes only to the highest wish of this long (rule 12).
    pub stabilize: Option<Millis>,
    /// Schedules found late by at most this still fire; 10 minutes if not given (rule 14).
    pub late_by: Millis,
    /// Decided and recorded, never acted on (rule 22).
    pub observe: bool,
    /// Whether a user may force it (rule 15).
    pub forceable: bool,
    /// Where its name stands.
    pub span: Span,
    /// The text of its trigger and action, white space folded: when it changes, `for` and `stabilize` start again
    /// (rule 20).
    pub meaning: String,
}

/// What makes a rule fire.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// `when C for D` (rule 10).
    When {
        /// The condition.
        condition: Condition,
        /// How long it must have been true.
        hold: Option<Millis>,
    },
    /// `step A for D { arms }` (rule 12).
    Step {
        /// The value the arms are read against.
        aggregate: Aggregate,
        /// How long an arm's bound must have held.
        hold: Option<Millis>,
        /// Arms in the order of the file.
        arms: Vec<Arm>,
    },
    /// `track A at G, within P` (rule 12).
    Track {
        /// The value kept at the goal.
        aggregate: Aggregate,
        /// The goal.
        goal: Quantity,
        /// Relative tolerance, inclusive.
        within: Percent,
    },
    /// `cron "30 3 * * *"` (rule 14).
    Cron {
        /// The instants.
        cron: Cron,
        /// The zone they are read in.
        zone: Zone,
    },
    /// `at 2026-11-27T06:00` (rule 14).
    At {
        /// Epoch milliseconds.
        at_ms: i64,
    },
    /// `webhook "deploy-surge"` (rule 15).
    Webhook {
        /// The capability's name.
        name: String,
    },
    /// Only ever forced (rule 15).
    Manual,
}

/// One arm of `step`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Arm {
    /// `from` (at or above) or `below`.
    pub side: Side,
    /// The bound.
    pub bound: Quantity,
    /// What it does: `Add` under `from`, `Remove` under `below`.
    pub action: Action,
    /// Where it stands.
    pub span: Span,
}

/// On which side of its bound an arm acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// At or above the bound.
    From,
    /// Under the bound.
    Below,
}

/// What a rule does to the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// `add 25%, at least 2, at most 8`.
    Add(Change),
    /// `remove 1`.
    Remove(Change),
    /// Never shrinks.
    RaiseTo(u32),
    /// Never grows.
    LowerTo(u32),
    /// Exact, either way.
    Set(u32),
}

/// An amount with its clamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Change {
    /// How much.
    pub amount: Amount,
    /// At least this many.
    pub least: Option<u32>,
    /// At most this many.
    pub most: Option<u32>,
}
