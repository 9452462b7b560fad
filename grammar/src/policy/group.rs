//! A scaling group: its bounds, its windows and freezes, how it is filled and emptied.

use super::{Amount, Rule, Span};
use crate::quantity::Millis;
use crate::schedule::{Cron, Zone};
use serde::{Deserialize, Serialize};

/// Which servers `remove` takes first, after building and errored ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RemoveOrder {
    /// Longest serving first.
    #[default]
    OldestFirst,
    /// Shortest serving first.
    NewestFirst,
}

/// What the customer's webhook is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum NotifyOn {
    /// A server takes its part.
    Ready,
    /// A build failed for good.
    Failed,
    /// A server is gone on purpose.
    Removed,
    /// A server vanished.
    Lost,
}

/// `notify "https://…" on ready, failed`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Notify {
    /// The customer's URL.
    pub url: String,
    /// What it is told of.
    pub on: Vec<NotifyOn>,
}

/// A scaling group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its doc comment.
    pub doc: String,
    /// The cloud region, as the configuration names it.
    pub region: String,
    /// Fewest servers.
    pub min: u32,
    /// Most servers.
    pub max: u32,
    /// The zone of its schedules; UTC if not given.
    pub zone: Zone,
    /// Index into [`Policy::launches`](super::Policy::launches).
    pub launch: usize,
    /// A build older than this has failed; 30 minutes if not given.
    pub ready_within: Millis,
    /// Time out of the balancer before a server goes.
    pub drain: Millis,
    /// Who goes first.
    pub remove: RemoveOrder,
    /// The customer's webhook.
    pub notify: Option<Notify>,
    /// Between two automatic changes; 5 minutes if not given (rule 11).
    pub cooldown: Millis,
    /// A new server's samples do not count this long.
    pub warmup: Millis,
    /// Gross change per sliding window (rule 13).
    pub limits: Vec<Limit>,
    /// Levels that move the bounds.
    pub windows: Vec<Window>,
    /// Levels that hold rules.
    pub freezes: Vec<Freeze>,
    /// Rules, in the order of the file.
    pub rules: Vec<Rule>,
    /// Where its name stands.
    pub span: Span,
}

/// Up or down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Direction {
    /// More servers.
    Add,
    /// Fewer servers.
    Remove,
}

/// `limit add 12 per 10m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limit {
    /// Which changes it counts.
    pub direction: Direction,
    /// At most this much …
    pub amount: Amount,
    /// … in any stretch this long.
    pub per: Millis,
}

/// When a window or freeze holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Recurrence {
    /// `cron "0 7 * * MON-FRI" lasting 12h`, in the group's zone or the one it names.
    Cron {
        /// The instants it opens.
        cron: Cron,
        /// The zone they are read in.
        zone: Zone,
        /// Elapsed time until it closes.
        lasting: Millis,
    },
    /// `at 2026-11-27T06:00 lasting 18h`: once.
    Once {
        /// Epoch milliseconds at which it opens.
        at_ms: i64,
        /// Elapsed time until it closes.
        lasting: Millis,
    },
}

/// `window business_hours { … capacity 8..24 }`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Its name.
    pub name: String,
    /// When it holds.
    pub when: Recurrence,
    /// Floor while it holds.
    pub min: u32,
    /// Ceiling while it holds.
    pub max: u32,
    /// Where its name stands.
    pub span: Span,
}

/// What a freeze holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Blocks {
    /// Both directions, forces, replacement and repair.
    All,
    /// One direction.
    Only(Direction),
}

/// `freeze patch_night { … blocks all except surge }`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Freeze {
    /// Its name.
    pub name: String,
    /// When it holds.
    pub when: Recurrence,
    /// What it holds.
    pub blocks: Blocks,
    /// Rules it does not hold, as indices into [`Group::rules`](super::Group::rules).
    pub except: Vec<usize>,
    /// Where its name stands.
    pub span: Span,
}
