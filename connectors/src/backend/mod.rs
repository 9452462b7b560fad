//! The log and the store, as ports. One system a file fills them: the embedded one here, Kafka and Cassandra beside it.
//!
//! What every system must promise, and the conformance suite in `tests` asks of each:
//! - what [`Log::append`] answered is in the log, synced;
//! - what an owner commits is there whole with its position, or not at all;
//! - who was fenced commits nothing any more;
//! - a snapshot is immutable, and none is offered that is newer than the committed position.
//!
//! All calls block; callers on the async side use `spawn_blocking`.

use serde::{Deserialize, Serialize};
use std::time::Duration;
use weir_engine::{
    command::Command,
    decision::Decision,
    event::Event,
    id::{GroupUid, Position},
};

pub mod cassandra;
pub mod cluster;
pub mod embedded;
mod finding;
pub mod kafka;
mod lineage;
mod peers;
mod skip;
mod switches;
mod thinning;

pub use finding::Finding;
pub use lineage::{Destination, Lineage, Origin};
pub use peers::Peer;
pub use skip::{Skip, Skips};
pub use switches::{Deed, Switch};

/// A record as the log keeps it: an [`Event`]'s canonical line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its offset in the partition.
    pub offset: u64,
    /// The log's clock when it was appended, epoch milliseconds.
    pub appended_ms: i64,
    /// The line, without a newline.
    pub bytes: Vec<u8>,
}

/// Most bytes of one line. Kafka's brokers take 1 MiB by default, so what fits here fits there.
pub const LINE_BYTES_MAX: usize = 1_000_000;

/// About how many bytes of lines [`Log::read`] answers at most.
pub const READ_BYTES_MAX: usize = 16 << 20;

/// What can go wrong with the log or the store.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else took the partition over; drop everything and take over again.
    #[error("partition {partition} was taken over by another process")]
    Fenced {
        /// The partition.
        partition: u32,
    },
    /// It is not known whether the write happened; ask again with the same keys.
    #[error("{0}; whether it was written is not known, try again")]
    Unclear(String),
    /// The system does not answer, and nothing was written: it may be there again in a moment.
    #[error("{0}")]
    Away(String),
    /// No room: nothing was written.
    #[error("{0}; nothing was written: make room and try again")]
    Full(String),
    /// Another process has the data folder.
    #[error("the data folder `{path}` is in use{holder}")]
    InUse {
        /// The folder.
        path: String,
        /// ` by process 4711`, where that is known.
        holder: String,
    },
    /// What is stored cannot be read back.
    #[error("{0}")]
    Damaged(String),
    /// It is asked for what is no longer kept, or not yet there.
    #[error("{0}")]
    OutOfRange(String),
    /// Anything else, in the system's words; nothing was written.
    #[error("{0}")]
    Failed(String),
}

/// `Result` with the port's error.
pub type Result<T> = std::result::Result<T, Error>;

/// Which of the two pure machines owns a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Machine {
    /// Events to commands and decisions.
    Step,
    /// Commands and observations to calls.
    Settle,
}

/// The right to commit for one machine of one partition, until somebody else takes it over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// The machine.
    pub machine: Machine,
    /// The partition.
    pub partition: u32,
    /// Rises with each take-over.
    pub epoch: u64,
}

/// How far a machine has come, committed together with what came out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// The next offset to apply; all before it is applied.
    pub next: u64,
    /// The meaning of the rules by which it was applied.
    pub semantics: u32,
    /// The rolling digest of the commands so far; a replay that ends at another one halts the partition.
    pub digest: String,
}

/// What the step machine commits in one go.
#[derive(Clone, Debug, Default)]
pub struct Stepped {
    /// The new position.
    pub committed: Committed,
    /// `t` has caught up with the wall: executors may act.
    pub live: bool,
    /// Commands, oldest first.
    pub commands: Vec<Command>,
    /// Decisions, oldest first.
    pub decisions: Vec<Decision>,
    /// Changed rows of the views that the API reads.
    pub views: Vec<View>,
}

/// A row of a view: JSON under (kind, tenant, name). `None` takes the row away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Which view.
    pub kind: ViewKind,
    /// Whose.
    pub tenant: String,
    /// The group's, policy's or feed's name; a group's uid for `Servers`.
    pub name: String,
    /// The row.
    pub row: Option<serde_json::Value>,
}

/// The views. What a row holds stands where it is made: [`weir_engine`] for what the log says, the executor for servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ViewKind {
    /// A group: target, bounds, counts, state, last change.
    Groups,
    /// A policy file: text, hash, version, capabilities' hashes.
    Policies,
    /// Where a source stands.
    Cursors,
    /// A group's servers, from the ledger; named by the group's uid.
    Servers,
    /// A tenant's standing: quota, kill switches, dropped facts.
    Tenants,
}

/// What the settle machine commits in one go: ledger rows with their intents, before any call is made.
#[derive(Clone, Debug, Default)]
pub struct Settled {
    /// Ledgers by group uid, whole; `None` forgets a group that is gone.
    pub ledgers: Vec<(GroupUid, Option<Vec<u8>>)>,
    /// Changed rows of the views.
    pub views: Vec<View>,
}

/// Immutable state of a whole partition at one position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// All records before `at.next` are in it.
    pub at: Committed,
    /// The engine's own bytes.
    pub state: Vec<u8>,
}

/// A decision with its place in its group's history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// Rises within a group; a cursor for paging.
    pub serial: u64,
    /// The decision.
    #[serde(flatten)]
    pub decision: Decision,
}

impl Kept {
    /// Decisions at one record, of all its groups, that have serials of their own.
    pub const AT_ONE_RECORD_MAX: u64 = 1 << 20;

    /// The serial of the `index`-th decision made at the record at `offset`. Made from the place alone, so a decision that
    /// is written again is the same row again. Offsets up to 2⁴⁴ have one.
    #[must_use]
    pub fn serial(offset: u64, index: u64) -> u64 {
        offset.min((1 << 44) - 1) << 20 | index.min(Self::AT_ONE_RECORD_MAX - 1)
    }
}

/// The log.
pub trait Log: Send + Sync {
    /// Names this log; another one has another name.
    fn log_id(&self) -> String;

    /// How many partitions, at least 1. All facts of a tenant go to [`partition_of`] it.
    fn partitions(&self) -> u32;

    /// Writes facts in order and syncs. Answers the offset of the first; where other processes write too, their facts may stand
    /// between, and then it is the last that stands as far behind the answer as it would without them. Offsets start at 0 and
    /// rise; `appended_ms` is the log's own clock and never runs backwards within a partition.
    ///
    /// # Errors
    /// [`Error::Away`], [`Error::Full`] and [`Error::Failed`]: nothing was written. [`Error::Unclear`]: perhaps.
    fn append(&self, partition: u32, events: &[Event]) -> Result<u64>;

    /// At most `most` records from `from` on, fewer where they are more than about [`READ_BYTES_MAX`]; none when there
    /// are none yet.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] where `from` is older than what is kept.
    fn read(&self, partition: u32, from: u64, most: usize) -> Result<Vec<Line>>;

    /// The offsets kept: the oldest, and one past the newest.
    ///
    /// # Errors
    /// The system's.
    fn range(&self, partition: u32) -> Result<(u64, u64)>;

    /// The newest kept offset whose `appended_ms` is at or before `at_ms`, for reading from a time on; the oldest kept
    /// where all are later.
    ///
    /// # Errors
    /// The system's.
    fn offset_at(&self, partition: u32, at_ms: i64) -> Result<u64>;

    /// Waits until there is a record at `offset`, or for `patience`. Answers whether there is.
    fn wait_for(&self, partition: u32, offset: u64, patience: Duration) -> bool;
}

/// Ownership and what owners commit.
pub trait Machines: Send + Sync {
    /// Fences whoever had it. Answers the right and how far the machine had come.
    ///
    /// # Errors
    /// The system's.
    fn take_over(&self, machine: Machine, partition: u32) -> Result<(Ownership, Committed)>;

    /// This process works on the partition no longer, and has ended what it did for it: somebody else is to own it.
    fn let_go(&self, _machine: Machine, _partition: u32) {}

    /// Commits what `step` gave, with its position, in one durable transaction. Whole records only. A position never goes
    /// back, and generations of one group uid rise; where the system can tell, what does neither is [`Error::Failed`].
    ///
    /// # Errors
    /// [`Error::Fenced`]; otherwise nothing was committed unless it is [`Error::Unclear`].
    fn commit_step(&self, owner: &Ownership, stepped: Stepped) -> Result<()>;

    /// Commits what `settle` gave, in one durable transaction.
    ///
    /// # Errors
    /// As for `commit_step`.
    fn commit_settle(&self, owner: &Ownership, settled: Settled) -> Result<()>;

    /// The committed position of the step machine and whether its owner is live.
    ///
    /// # Errors
    /// The system's.
    fn stepped(&self, partition: u32) -> Result<(Committed, bool)>;

    /// Waits until the step machine has applied the record at `offset`, or for `patience`. Answers whether it has.
    fn wait_stepped(&self, partition: u32, offset: u64, patience: Duration) -> bool;

    /// Commands read as a table: the newest of each group uid whose row changed after the mark `after` (0: all), and the
    /// new mark, oldest change first; about [`READ_BYTES_MAX`] bytes at most, the rest with the new mark. Waits up to
    /// `patience` for a change.
    ///
    /// # Errors
    /// The system's.
    fn commands_after(&self, partition: u32, after: u64, patience: Duration) -> Result<(u64, Vec<Command>)>;

    /// The records of a partition that every replay passes over, by offset. An owner asks after its take-over.
    ///
    /// # Errors
    /// The system's.
    fn skips(&self, partition: u32) -> Result<Vec<Skip>>;

    /// Lets every replay pass over a record: the one at which the step machine stands. In one durable transaction with the
    /// ownership, so that nobody can have applied it.
    ///
    /// # Errors
    /// As for `commit_step`; [`Error::Failed`] where the machine stands elsewhere.
    fn skip(&self, owner: &Ownership, skip: Skip) -> Result<()>;

    /// All ledgers of a partition.
    ///
    /// # Errors
    /// The system's.
    fn ledgers(&self, partition: u32) -> Result<Vec<(GroupUid, Vec<u8>)>>;
}

/// Kill switches, which executors ask before each call to a cloud. They do not wait behind events: what is set holds from the
/// next call on, however far the engine is behind.
pub trait Switches: Send + Sync {
    /// Sets a switch, or lifts it, for all processes. Set again it is the same.
    ///
    /// # Errors
    /// As for [`Log::append`].
    fn set_switch(&self, switch: Switch) -> Result<()>;

    /// Why a call must not be made at `now_ms`, where it must not: a switch, or, for a server that would be made, that
    /// nothing has been heard of switches for too long. Never waits.
    fn held(&self, tenant: &str, region: &str, deed: Deed, now_ms: i64) -> Option<String>;

    /// For how long nothing has been heard of switches; `None` where they have not been read.
    fn switch_silence(&self) -> Option<Duration>;

    /// All that are known, lifted ones too.
    fn switches(&self) -> Vec<Switch>;
}

/// The installation as a whole: who works on it, and whether it is here at all.
pub trait Installation: Send + Sync {
    /// Where it came from and where it has gone, as it is written down now.
    ///
    /// # Errors
    /// The system's.
    fn lineage(&self) -> Result<Lineage>;

    /// Writes that down. Processes that run notice, and those that start refuse to where [`Lineage::must_be_here`] does.
    ///
    /// # Errors
    /// As for [`Log::append`].
    fn set_lineage(&self, lineage: &Lineage) -> Result<()>;

    /// Fences both machines of a partition. While `gone` nobody takes them over any more, whatever they have read; what they
    /// committed before can be read whole, views too.
    ///
    /// # Errors
    /// As for [`Machines::take_over`].
    fn retire(&self, partition: u32, gone: bool) -> Result<()>;

    /// The other processes that work on it now. One that was killed counts for some time more.
    ///
    /// # Errors
    /// Where they cannot be heard.
    fn others(&self) -> Result<Vec<Peer>>;
}

/// Snapshots of the step machine.
pub trait Snapshots: Send + Sync {
    /// Keeps a snapshot beside those before it: the three newest at least, and as many older ones, spread over the events'
    /// retention, as replays of any kept event need. Saved again with the same bytes it is done.
    ///
    /// # Errors
    /// [`Error::Fenced`]; [`Error::Failed`] where it is newer than the committed position, or another one is at its
    /// position; or the system's.
    fn save_snapshot(&self, owner: &Ownership, snapshot: Snapshot) -> Result<()>;

    /// The newest one at or before offset `at_most` (and never newer than the committed position).
    ///
    /// # Errors
    /// The system's. A damaged one is passed over for the one before.
    fn snapshot(&self, partition: u32, at_most: u64) -> Result<Option<Snapshot>>;
}

/// What the API and `why` read.
pub trait History: Send + Sync {
    /// Decisions of one group, newest first, older than the cursor `before` where given.
    ///
    /// # Errors
    /// The system's.
    fn decisions(&self, tenant: &str, group: &str, before: Option<u64>, most: usize) -> Result<Vec<Kept>>;

    /// Decisions made at one record, all groups of the partition.
    ///
    /// # Errors
    /// The system's.
    fn decisions_at(&self, position: Position) -> Result<Vec<Decision>>;

    /// Decisions of a partition between two offsets, oldest first, for export and verification.
    ///
    /// # Errors
    /// The system's.
    fn decisions_between(&self, partition: u32, from: u64, until: u64) -> Result<Vec<Decision>>;

    /// Commands of a partition after a mark, oldest first, also those that newer ones replaced, each with its mark: for
    /// audits and export.
    ///
    /// # Errors
    /// The system's.
    fn commands_since(&self, partition: u32, after: u64, most: usize) -> Result<Vec<(u64, Command)>>;

    /// One row.
    ///
    /// # Errors
    /// The system's.
    fn view(&self, kind: ViewKind, tenant: &str, name: &str) -> Result<Option<serde_json::Value>>;

    /// All rows of a tenant, by name.
    ///
    /// # Errors
    /// The system's.
    fn views(&self, kind: ViewKind, tenant: &str) -> Result<Vec<(String, serde_json::Value)>>;
}

/// Writes what owners committed into a store that is not part of their transaction. One writer for each partition follows
/// the log's outputs, so all of it comes later, in order, at least once, and now and then from two writers at once: each
/// call writes rows under keys made of what it is given, so that the same again is the same rows.
///
/// A store of many installations keeps everything under the log's [`Log::log_id`]: marks, serials and orders start anew in
/// a new log.
pub trait HistoryWriter: Send + Sync {
    /// Commands of a partition with their marks, for [`History::commands_since`].
    ///
    /// # Errors
    /// The system's; some may have been written, and all are written again.
    fn write_commands(&self, partition: u32, commands: &[(u64, Command)]) -> Result<()>;

    /// Decisions with their serials; each says its own position.
    ///
    /// # Errors
    /// As for `write_commands`.
    fn write_decisions(&self, decisions: &[Kept]) -> Result<()>;

    /// Changed rows of a partition's tenants, each with its order in time, which rises. INVARIANT: a row that was written
    /// with a higher order stays, whoever writes it later with a lower one.
    ///
    /// # Errors
    /// As for `write_commands`.
    fn write_views(&self, partition: u32, views: &[(u64, View)]) -> Result<()>;
}

/// A store that stands behind a log without one. It cannot know who owns what: who asks [`Snapshots::save_snapshot`] of it
/// has found the owner not fenced and the snapshot not newer than the position, and asks [`Snapshots::snapshot`] for
/// nothing newer.
pub trait Store: Snapshots + History + HistoryWriter {}

impl<T: Snapshots + History + HistoryWriter> Store for T {}

/// Everything at once, as one installation has it.
pub trait Backend: Log + Machines + Switches + Installation + Snapshots + History {}

impl<T: Log + Machines + Switches + Installation + Snapshots + History> Backend for T {}

/// The partition of a tenant: all of its groups share it, so shared metrics and quotas need no coordination.
#[must_use]
pub fn partition_of(tenant: &str, partitions: u32) -> u32 {
    let mut first = [0; 8];
    blake3::Hasher::new_derive_key("weir partition 1").update(tenant.as_bytes()).finalize_xof().fill(&mut first);
    u32::try_from(u64::from_le_bytes(first) % u64::from(partitions.max(1))).unwrap_or(0)
}
