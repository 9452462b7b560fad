//! A stretch of the log run again: whether it gives the decisions that were recorded, and where it first does not.
//!
//! Pure like the rest: whoever replays brings the state at the start, the records and what was recorded at each. A
//! difference says that another build, or another meaning of a rule, decided; with the same build it says that something
//! was changed in between.

use crate::{
    decision::Decision,
    event::Record,
    id::Position,
    partition::{Effects, Halt, Partition},
};
use serde::Serialize;
use serde_json::Value;
use std::fmt;

/// The first place at which a replay and the record part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The record.
    #[serde(serialize_with = "in_short")]
    pub at: Position,
    /// Whose decision.
    pub group: String,
    /// How they part.
    #[serde(flatten)]
    pub how: How,
}

/// How a replay and the record part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum How {
    /// A decision was recorded that the replay does not make.
    NotMade {
        /// It.
        recorded: Box<Decision>,
    },
    /// The replay makes a decision that was not recorded.
    NotRecorded {
        /// It.
        replayed: Box<Decision>,
    },
    /// Both have one, and they are not the same.
    Other {
        /// The first field that differs: `to`, `rules.0.seen`.
        field: String,
        /// As recorded, JSON.
        recorded: String,
        /// As replayed, JSON.
        replayed: String,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, group, how } = self;
        match how {
            How::NotMade { recorded } => {
                let (from, to) = (recorded.from, recorded.to);
                write!(f, "{at} `{group}`: a decision was recorded ({from} → {to}) that the replay does not make")
            }
            How::NotRecorded { replayed } => {
                let (from, to) = (replayed.from, replayed.to);
                write!(f, "{at} `{group}`: the replay makes a decision ({from} → {to}) that was not recorded")
            }
            How::Other { field, recorded, replayed } => {
                write!(f, "{at} `{group}`: `{field}` was recorded as {recorded}, and is {replayed} in the replay")
            }
        }
    }
}

/// A state that is run on through a stretch of the log, for a tenant and, where named, one group of it.
#[derive(Clone, Debug)]
pub struct Replay {
    state: Partition,
    tenant: String,
    group: Option<String>,
}

impl Replay {
    /// Begins at `state`.
    #[must_use]
    pub fn new(state: Partition, tenant: &str, group: Option<&str>) -> Self {
        Self { state, tenant: tenant.to_owned(), group: group.map(str::to_owned) }
    }

    /// The state after the records so far.
    #[must_use]
    pub fn state(&self) -> &Partition {
        &self.state
    }

    /// Applies the next record and answers the decisions that are wanted.
    ///
    /// # Errors
    /// As [`Partition::step`].
    pub fn step(&mut self, record: &Record) -> Result<Vec<Decision>, Halt> {
        let Effects { decisions, .. } = self.state.step(record)?;
        Ok(decisions.into_iter().filter(|decision| self.wants(decision)).collect())
    }

    /// Whether a decision is one of those asked for.
    #[must_use]
    pub fn wants(&self, decision: &Decision) -> bool {
        decision.tenant == self.tenant && self.group.as_ref().is_none_or(|group| *group == decision.group)
    }
}

/// The first difference between what was recorded and what a replay made at the record at `at`, both in order.
#[must_use]
pub fn compare(at: Position, recorded: &[Decision], replayed: &[Decision]) -> Option<Difference> {
    let pairs = recorded.len().max(replayed.len());
    (0..pairs).find_map(|index| match (recorded.get(index), replayed.get(index)) {
        (Some(recorded), Some(replayed)) if recorded == replayed => None,
        (Some(recorded), Some(replayed)) => {
            let group = recorded.group.clone();
            let (field, recorded, replayed) = parting(&plain(recorded), &plain(replayed), String::new())?;
            Some(Difference { at, group, how: How::Other { field, recorded, replayed } })
        }
        (Some(recorded), None) => {
            let how = How::NotMade { recorded: Box::new(recorded.clone()) };
            Some(Difference { at, group: recorded.group.clone(), how })
        }
        (None, Some(replayed)) => {
            let how = How::NotRecorded { replayed: Box::new(replayed.clone()) };
            Some(Difference { at, group: replayed.group.clone(), how })
        }
        (None, None) => None,
    })
}

/// Decisions are plain data with text for keys, so this cannot fail.
fn plain(decision: &Decision) -> Value {
    serde_json::to_value(decision).unwrap_or_default()
}

/// The path to the first value that is not the same, and both values.
fn parting(one: &Value, other: &Value, path: String) -> Option<(String, String, String)> {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match (one, other) {
        (Value::Object(a), Value::Object(b)) => a.keys().chain(b.keys()).find_map(|key| {
            let (a, b) = (a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null));
            parting(a, b, below(key))
        }),
        (Value::Array(a), Value::Array(b)) => (0..a.len().max(b.len())).find_map(|index| {
            let (a, b) = (a.get(index).unwrap_or(&Value::Null), b.get(index).unwrap_or(&Value::Null));
            parting(a, b, below(&index.to_string()))
        }),
        (a, b) if a == b => None,
        (a, b) => Some((path, a.to_string(), b.to_string())),
    }
}

fn in_short<S: serde::Serializer>(at: &Position, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}
