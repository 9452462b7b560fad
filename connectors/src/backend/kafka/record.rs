//! What stands in the topics that owners write: JSON, one record a row, so that Kafka's own tools show what happened.
//!
//! `commands`: under a group's uid its newest [`Given`] command; under [`STEPPED`] how the step machine stands; under
//! [`WRITTEN`] how far the store is behind it. `outputs`: [`Output`]s in the order of commit, without keys. `ledger`: under
//! a group's uid its ledger's own bytes; under [`OWNER`] who owns the settle machine.

use super::super::{Committed, Error, Kept, Result, View, ViewKind};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use weir_engine::{command::Command, decision::Decision};

/// Keys that are no group's uid, which has sixteen hexadecimal digits.
pub(super) const STEPPED: &str = "stepped";
pub(super) const WRITTEN: &str = "written";
pub(super) const OWNER: &str = "owner";
/// The uid of no group. Under it there is never a value: such a record says nothing, in any of the topics.
pub(super) const NOBODY: &str = "0000000000000000";
/// What keys of skips begin with; the offset follows.
pub(super) const SKIP: &str = "skip ";

/// A command with its mark: how many the partition had given with it.
#[derive(Debug, Deserialize)]
pub(super) struct Given {
    pub(super) mark: u64,
    pub(super) command: Command,
}

/// How the step machine of a partition stands: committed with what it gave, as a record and as a position's metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Standing {
    /// Whose log's position this is.
    pub(super) log_id: String,
    pub(super) epoch: u64,
    pub(super) live: bool,
    /// Commands given so far.
    pub(super) mark: u64,
    pub(super) committed: Committed,
    /// Offsets of records that replays pass over. Why stands in the topic beside it, under [`SKIP`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) skips: Vec<u64>,
    /// The installation has gone elsewhere: nobody owns it here any more.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) gone: bool,
    /// When the record before the position was appended, so that another record at its offset is known for one.
    pub(super) last_ms: Option<i64>,
}

/// How far a partition's outputs are in the store: all of the records before this offset of `events` are.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Written {
    pub(super) next: u64,
}

/// Who owns the settle machine of a partition.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Owned {
    pub(super) epoch: u64,
    /// See [`Standing::gone`].
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) gone: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_false(gone: &bool) -> bool {
    !gone
}

/// Something on its way to the store.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Output {
    Command {
        mark: u64,
        command: Command,
    },
    Decision {
        serial: u64,
        decision: Decision,
    },
    View {
        kind: ViewKind,
        tenant: String,
        name: String,
        row: Option<Value>,
    },
    /// All that was given at records before this position stands before.
    Stepped(Standing),
}

/// As [`Output`] and [`Given`], for writing without a copy.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outgoing<'a> {
    Command {
        mark: u64,
        command: &'a Command,
    },
    Decision {
        serial: u64,
        decision: &'a Decision,
    },
    View {
        kind: ViewKind,
        tenant: &'a str,
        name: &'a str,
        row: Option<&'a Value>,
    },
    Stepped(&'a Standing),
    #[serde(untagged)]
    Given {
        mark: u64,
        command: &'a Command,
    },
}

impl<'a> Outgoing<'a> {
    pub(super) fn view(view: &'a View) -> Self {
        Self::View { kind: view.kind, tenant: &view.tenant, name: &view.name, row: view.row.as_ref() }
    }
}

/// Decisions with the serials that their places give them.
pub(super) fn numbered(decisions: &[Decision]) -> Result<Vec<(u64, &Decision)>> {
    let (mut offset, mut index) = (u64::MAX, 0);
    let mut numbered = Vec::with_capacity(decisions.len());
    for decision in decisions {
        index = if decision.position.offset == offset { index + 1 } else { 0 };
        offset = decision.position.offset;
        if index >= Kept::AT_ONE_RECORD_MAX {
            let most = Kept::AT_ONE_RECORD_MAX;
            return Err(Error::Failed(format!(
                "more than {most} decisions at record `{}` are refused",
                decision.position
            )));
        }
        numbered.push((Kept::serial(offset, index), decision));
    }
    Ok(numbered)
}

/// To JSON.
pub(super) fn encode(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Error::Failed(format!("cannot be written as JSON: {error}")))
}

/// From JSON. What this build cannot read was written by a newer one, or by something else.
pub(super) fn decode<T: DeserializeOwned>(value: &[u8], topic: &str) -> Result<T> {
    serde_json::from_slice(value).map_err(|error| {
        Error::Damaged(format!(
            "a record of `{topic}` cannot be read ({error}): use the build that wrote it, or a newer one"
        ))
    })
}
