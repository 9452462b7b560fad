//! How a worker stands: for readiness, metrics, and people.

use serde::Serialize;
use weir_engine::id::Position;

/// How a worker stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Of which partition.
    pub partition: u32,
    /// The next offset to apply; all before is committed.
    pub next: u64,
    /// One past the newest offset in the log.
    pub end: u64,
    /// The log's time, epoch milliseconds; 0 before the first record.
    pub t_ms: i64,
    /// The clock, when this was asked.
    pub now_ms: i64,
    /// Caught up, so executors may act.
    pub live: bool,
    /// Rises with each take-over; 0 before the first.
    pub epoch: u64,
    /// Where and why the partition stands still. Nothing but a person moves it on.
    pub halted: Option<Halted>,
    /// What goes wrong at the moment, and is tried again.
    pub trouble: Option<String>,
    /// Records applied since the start, replays not counted.
    pub events: u64,
    /// Of these, ticks of our own.
    pub ticks: u64,
    /// Commands committed since the start.
    pub commands: u64,
    /// Decisions committed since the start.
    pub decisions: u64,
    /// The position of the newest snapshot known.
    pub snapshot: Option<u64>,
    /// The log's time there, epoch milliseconds.
    pub snapshot_ms: Option<i64>,
    /// Times this process took the partition over.
    pub take_overs: u64,
    /// Commits since the start, and how long they took in all, microseconds.
    pub commits: u64,
    /// See there.
    pub commit_us: u64,
}

/// Where and why a partition stands still.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Halted {
    /// The record that was not applied.
    pub at: Position,
    /// In words.
    pub reason: String,
}

impl Status {
    /// Records in the log that are not applied yet.
    #[must_use]
    pub fn lag(&self) -> u64 {
        self.end.saturating_sub(self.next)
    }

    /// Why this partition is not ready, where it is not.
    #[must_use]
    pub fn not_ready(&self) -> Option<String> {
        let partition = self.partition;
        if let Some(Halted { at, reason }) = &self.halted {
            return Some(format!("partition {partition} has halted at record `{at}`: {reason}"));
        }
        if let Some(trouble) = &self.trouble {
            return Some(format!("partition {partition}: {trouble}"));
        }
        (!self.live).then(|| format!("partition {partition} is catching up: {} records to apply", self.lag()))
    }
}
