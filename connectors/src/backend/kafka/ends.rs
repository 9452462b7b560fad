//! The ends of the last stretches that were read of each partition, with their append times. A commit writes down the time of
//! the record before its position, and a take-over sees by it that this is still the same record.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
};

/// So many are remembered of a partition: those who read for other reasons must not push the engine's out.
const KEPT: usize = 64;

#[derive(Default)]
pub(super) struct Ends {
    read: Mutex<HashMap<u32, VecDeque<(u64, i64)>>>,
    /// The newest offset that was read or written in each partition.
    newest: Mutex<HashMap<u32, u64>>,
}

impl Ends {
    pub(super) fn seen(&self, partition: u32, offset: u64, appended_ms: i64) {
        self.reached(partition, offset);
        let mut ends = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let ends = ends.entry(partition).or_default();
        if ends.len() == KEPT {
            ends.pop_front();
        }
        ends.push_back((offset, appended_ms));
    }

    /// The newest offset known of a partition.
    pub(super) fn newest(&self, partition: u32) -> Option<u64> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).get(&partition).copied()
    }

    /// There is a record at `offset`.
    pub(super) fn reached(&self, partition: u32, offset: u64) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = newest.entry(partition).or_default();
        *newest = offset.max(*newest);
    }

    /// When the record before `next` was appended, where it was the last one of a stretch.
    pub(super) fn before(&self, partition: u32, next: u64) -> Option<i64> {
        let ends = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let last = next.checked_sub(1)?;
        ends.get(&partition)?.iter().rev().find(|(offset, _)| *offset == last).map(|(_, appended_ms)| *appended_ms)
    }
}
