//! What became of a feed's entries, for metrics and people. Read while the poller runs.

use super::entry::Skip;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since the start; they only rise.
#[derive(Debug, Default)]
pub struct Counts {
    /// Entries seen for the first time.
    entries: AtomicU64,
    /// Facts that went into the log.
    facts: AtomicU64,
    /// Rounds that failed.
    failures: AtomicU64,
    /// Times that the feed had forgotten where we were.
    gone: AtomicU64,
    /// Entries that became nothing, in the order of [`SKIPS`].
    skipped: [AtomicU64; SKIPS.len()],
}

const SKIPS: [Skip; 4] = [Skip::WithoutId, Skip::Untyped, Skip::Unwanted, Skip::Unreadable];

impl Counts {
    /// Entries seen for the first time.
    pub fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    /// Facts that went into the log.
    pub fn facts(&self) -> u64 {
        self.facts.load(Ordering::Relaxed)
    }

    /// Rounds that failed.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Times that the feed had forgotten where we were.
    pub fn gone(&self) -> u64 {
        self.gone.load(Ordering::Relaxed)
    }

    /// Entries that became nothing, by reason.
    pub fn skipped(&self) -> impl Iterator<Item = (Skip, u64)> + '_ {
        SKIPS.iter().zip(&self.skipped).map(|(skip, count)| (*skip, count.load(Ordering::Relaxed)))
    }

    pub(super) fn took(&self, entries: usize, facts: usize) {
        self.entries.fetch_add(entries as u64, Ordering::Relaxed);
        self.facts.fetch_add(facts as u64, Ordering::Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn lost(&self) {
        self.gone.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn skip(&self, skip: Skip, times: usize) {
        if let Some(count) = SKIPS.iter().position(|it| *it == skip).and_then(|at| self.skipped.get(at)) {
            count.fetch_add(times as u64, Ordering::Relaxed);
        }
    }
}
