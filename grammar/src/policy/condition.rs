//! What a rule looks at: comparisons of aggregates, states of alarms, counts of events, silence.

use super::Span;
use crate::quantity::{Millis, Percent, Quantity};
use serde::{Deserialize, Serialize};

/// A condition in Kleene's logic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    /// `a and b`.
    All(Vec<Condition>),
    /// `a or b`.
    Any(Vec<Condition>),
    /// `not a`.
    Not(Box<Condition>),
    /// `avg(cpu.usage over 5m) > 60%`.
    Compare(Comparison),
    /// `alarm web_5xx is critical on 2 servers`.
    Alarm(AlarmTest),
    /// `count(server.lost over 10m) >= 3`.
    Count(CountTest),
    /// `missing(cpu.usage for 10m)` (rule 19).
    Missing(MissingTest),
}

/// An aggregate against a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Comparison {
    /// Left side.
    pub aggregate: Aggregate,
    /// How.
    pub op: Op,
    /// Right side, in the metric's unit.
    pub threshold: Quantity,
    /// Where it stands.
    pub span: Span,
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// `>`.
    Above,
    /// `>=`.
    AtLeast,
    /// `<`.
    Under,
    /// `<=`.
    AtMost,
}

/// `avg(cpu.usage over 5m)`, `sum(queue.depth per server over 2m)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Aggregate {
    /// How samples become one value.
    pub func: Func,
    /// Index into [`Policy::metrics`](super::Policy::metrics).
    pub metric: usize,
    /// Divided by the target (shared metrics only).
    pub per_server: bool,
    /// The look-back.
    pub over: Millis,
}

/// How samples become one value (rule 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Func {
    /// Mean of the servers' means.
    Avg,
    /// Sum of the servers' means.
    Sum,
    /// Smallest sample.
    Min,
    /// Largest sample.
    Max,
    /// Mean of the servers' latest.
    Last,
    /// Over all samples: 50, 90, 95 or 99.
    Percentile(u8),
}

/// An alarm's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlarmState {
    /// All is well.
    Ok,
    /// Not yet bad.
    Warning,
    /// Bad.
    Critical,
    /// Never spoke, or not for too long.
    #[default]
    Unknown,
}

/// `alarm X is [not] STATE [on QUORUM]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AlarmTest {
    /// Index into [`Policy::alarms`](super::Policy::alarms).
    pub alarm: usize,
    /// The state asked for.
    pub state: AlarmState,
    /// `is not`.
    pub negated: bool,
    /// On how many servers.
    pub quorum: Quorum,
    /// Where it stands.
    pub span: Span,
}

/// On how many servers an alarm must be so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quorum {
    /// Any server, or the group, or (shared) the tenant.
    Any,
    /// `on 2 servers`.
    Servers(u32),
    /// `on 20% of servers`.
    Share(Percent),
}

/// What `count` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counted {
    /// `server.ready`.
    ServerReady,
    /// `server.failed`.
    ServerFailed,
    /// `server.lost`.
    ServerLost,
    /// Index into [`Policy::events`](super::Policy::events).
    Declared(usize),
}

/// `count(server.lost over 10m) >= 3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CountTest {
    /// What.
    pub counted: Counted,
    /// The look-back.
    pub over: Millis,
    /// How.
    pub op: Op,
    /// Against what.
    pub threshold: u32,
    /// Where it stands.
    pub span: Span,
}

/// `missing(cpu.usage for 10m)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MissingTest {
    /// Index into [`Policy::metrics`](super::Policy::metrics).
    pub metric: usize,
    /// How long it was silent.
    pub hold: Millis,
    /// Where it stands.
    pub span: Span,
}
