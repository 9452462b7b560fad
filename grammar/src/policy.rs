//! The checked program: what a policy file means, every name resolved and every unit met.
//!
//! The checker makes it, the engine runs it. Nothing in here is text to be read again: lengths are [`Millis`], values are
//! [`Quantity`](crate::quantity::Quantity), names of metrics, alarms, events and launches are indices into the file's own
//! lists. Where the source is needed for a message, a [`Span`] of byte offsets is kept.

mod condition;
mod group;
mod launch;
mod rule;
mod test;

pub use condition::{
    Aggregate, AlarmState, AlarmTest, Comparison, Condition, CountTest, Counted, Func, MissingTest, Op, Quorum,
};
pub use group::{Blocks, Direction, Freeze, Group, Limit, Notify, NotifyOn, Recurrence, RemoveOrder, Window};
pub use launch::{Balancer, Launch, Volume};
pub use rule::{Action, Amount, Arm, Change, Rule, Side, Trigger};
pub use test::{Expect, Expected, Input, Moment, Series, Test};

use crate::quantity::Millis;
use serde::{Deserialize, Serialize};
use std::hash::{Hash, Hasher};

/// Byte offsets into the file, half-open.
///
/// It adds nothing to a hash: where something stands is no part of what it means, so rules that say the same have one hash
/// wherever they stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Hash for Span {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// A whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The language's edition, 2026.
    pub edition: u16,
    /// Metrics, in the order of the file.
    pub metrics: Vec<Metric>,
    /// Alarms, in the order of the file.
    pub alarms: Vec<Alarm>,
    /// Declared event types, in the order of the file.
    pub events: Vec<EventType>,
    /// Launch configurations.
    pub launches: Vec<Launch>,
    /// Scaling groups.
    pub groups: Vec<Group>,
    /// Test blocks.
    pub tests: Vec<Test>,
}

/// The unit of a metric (what its literals are written in, how its values are shown).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Unit {
    /// `75%`; a sample of 68.4 is 68.4 %.
    Percent,
    /// `250ms`; a sample is in seconds, as Prometheus has it.
    Duration,
    /// A plain number.
    #[default]
    Number,
    /// `512MiB`; a sample is in bytes.
    Bytes,
}

/// `metric cpu.usage: percent every 1m shared from source "prometheus" query "…"`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Metric {
    /// Its name in the policy, `cpu.usage`.
    pub name: String,
    /// What the sender calls it: the `from` text, else the name; of a source that is asked, its name and the query.
    pub from: String,
    /// What its values are.
    pub unit: Unit,
    /// How often a sample is expected.
    pub every: Millis,
    /// One series for the tenant, rather than one a server.
    pub shared: bool,
    /// A configured source that is asked, with its query.
    pub source: Option<MetricSource>,
    /// Where it stands.
    pub span: Span,
}

/// `from source "prometheus" query "sum(…)"`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MetricSource {
    /// The source's name in the configuration.
    pub name: String,
    /// The query it runs each `every`.
    pub query: String,
}

/// `alarm web_5xx: shared from "web-5xx" stale after 1h`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Alarm {
    /// Its name in the policy.
    pub name: String,
    /// What the sender calls it: the `from` text, else the name.
    pub from: String,
    /// Of the tenant, not of a server.
    pub shared: bool,
    /// A `warning` or `critical` not repeated this long becomes `unknown` (rule 6).
    pub stale_after: Option<Millis>,
    /// Where it stands.
    pub span: Span,
}

/// `event deploy.done: from "com.example.deploy.done"`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EventType {
    /// Its name in the policy.
    pub name: String,
    /// The CloudEvents type or the feed entry's type.
    pub from: String,
    /// Where it stands.
    pub span: Span,
}
