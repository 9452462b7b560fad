//! A stretch of the log run again: whether it gives the decisions that were recorded, and where it first does not.
//!
//! Pure like the rest: whoever replays brings the state at the start, the records and what was recorded at each. A
//! difference says that another build, or another meaning of a rule, decided; with the same build it says that something
//! was changed in between.

use crate::{
    backtest::{Error, no_group, policy, swapped},
    decision::Decision,
    event::{Event, Fact, Record, Tick, Version},
    id::Position,
    partition::{Effects, Halt, Partition},
    view::Change,
};
use serde::Serialize;
use serde_json::Value;
use std::{borrow::Cow, fmt};
use weir_grammar::policy::Policy;

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
    swap: Option<Swap>,
}

/// Another policy than the recorded one.
#[derive(Clone, Debug)]
struct Swap {
    text: String,
    policy: Policy,
    /// The file in whose place it stands, once that is known.
    file: Option<String>,
    /// Records of the replay's own, by which it is ahead of the log.
    ahead: u64,
}

impl Replay {
    /// Begins at `state`.
    #[must_use]
    pub fn new(state: Partition, tenant: &str, group: Option<&str>) -> Self {
        Self { state, tenant: tenant.to_owned(), group: group.map(str::to_owned), swap: None }
    }

    /// Puts another policy in the place of the one that has its groups, from here on, and answers what that decides. The
    /// servers stay the recorded ones, which is what tells it from a backtest.
    ///
    /// # Errors
    /// Where it is no policy, or would have been refused.
    pub fn swap(&mut self, text: &str) -> Result<Vec<Decision>, Error> {
        let policy = policy(text)?;
        let known = policy.groups.iter().find_map(|plan| self.state.group(&self.tenant, &plan.name));
        let file = known.map(|(_, group)| group.file.clone());
        if file.is_none() && self.state.tenant(&self.tenant).is_some_and(|tenant| !tenant.files.is_empty()) {
            return Err(no_group(&policy));
        }
        let swap = Swap { text: text.to_owned(), policy, file, ahead: 0 };
        let Swap { file: Some(file), .. } = &swap else {
            // The log begins before any policy: it goes in where the first one does.
            self.swap = Some(swap);
            return Ok(Vec::new());
        };
        let at_ms = self.state.t();
        let fact = Fact::Policy(swapped(&self.state, &self.tenant, file, (text, &swap.policy), None));
        let (id, source, tenant) = ("swap".to_owned(), "/replay".to_owned(), self.tenant.clone());
        let event = Event { specversion: Version::V1, id, source, time: at_ms, tenant, fact };
        let effects = self.state.step(&Record { offset: self.state.next(), appended_ms: at_ms, event })?;
        let refused = effects.rows.iter().find_map(|row| match &row.change {
            Change::Policy(policy) => policy.refused.clone(),
            _ => None,
        });
        if let Some(reason) = refused {
            return Err(Error::Refused(reason));
        }
        self.swap = Some(Swap { ahead: 1, ..swap });
        Ok(self.wanted(effects, 0))
    }

    /// The state after the records so far.
    #[must_use]
    pub fn state(&self) -> &Partition {
        &self.state
    }

    /// The log's next record.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.state.next() - self.ahead()
    }

    /// Applies the next record and answers the decisions that are wanted.
    ///
    /// # Errors
    /// As [`Partition::step`].
    pub fn step(&mut self, record: &Record) -> Result<Vec<Decision>, Halt> {
        let ahead = self.ahead();
        let record = self.instead(record);
        let effects = self.state.step(&record)?;
        Ok(self.wanted(effects, ahead))
    }

    fn ahead(&self) -> u64 {
        self.swap.as_ref().map_or(0, |swap| swap.ahead)
    }

    fn wanted(&self, effects: Effects, ahead: u64) -> Vec<Decision> {
        let wanted = effects.decisions.into_iter().filter(|decision| self.wants(decision));
        // Positions are the log's.
        let here = |position: Position| Position { offset: position.offset - ahead, ..position };
        wanted.map(|decision| Decision { position: here(decision.position), ..decision }).collect()
    }

    /// The record, but for deploys of the file in whose place another policy stands.
    fn instead<'a>(&mut self, record: &'a Record) -> Cow<'a, Record> {
        let Self { state, tenant, swap: Some(swap), .. } = self else { return Cow::Borrowed(record) };
        let mut record = Record { offset: record.offset + swap.ahead, ..record.clone() };
        if let Fact::Policy(deploy) = &record.event.fact
            && record.event.tenant == *tenant
        {
            let declares = || {
                let declared = weir_grammar::check(&deploy.name, &deploy.text).policy.into_iter();
                let mut groups = declared.flat_map(|policy| policy.groups);
                groups.any(|group| swap.policy.groups.iter().any(|plan| plan.name == group.name))
            };
            record.event.fact = match &swap.file {
                Some(file) if *file == deploy.name => Fact::Tick(Tick {}),
                None if declares() => {
                    let file = deploy.name.clone();
                    let deploy = swapped(state, tenant, &file, (&swap.text, &swap.policy), Some(deploy));
                    swap.file = Some(file);
                    Fact::Policy(deploy)
                }
                Some(_) | None => return Cow::Owned(record),
            };
        }
        Cow::Owned(record)
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
