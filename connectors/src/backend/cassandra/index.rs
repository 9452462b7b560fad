//! What there is to look for: stretches of a partition's numbers that hold anything. Numbers (offsets, marks) rise
//! for ever and most have no row, so a reader asks the index which stretches to read.
//!
//! A row of the index is written before the first row it leads to and once a day after, from a memory of what this
//! process wrote; it lives two days longer than what it leads to.

use super::{super::Result, Cassandra, column, part};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Numbers of a stretch: 2 to this.
const STRETCH_BITS: u32 = 10;
/// Numbers of an era: 2 to this.
const ERA_BITS: u32 = 30;
/// Rows of the index in one answer.
const PAGE: usize = 1_000;
/// A row of the index is written again after this long.
const AGAIN: Duration = Duration::from_secs(86_400);
/// How much longer than the rows it leads to it lives, seconds.
const LONGER: i32 = 2 * 86_400;
/// What is remembered at most; beyond, everything is forgotten, and written once more.
const KNOWN_MAX: usize = 1 << 17;

/// What has numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbered {
    /// Decisions, by offset.
    Decisions,
    /// Commands, by mark.
    Commands,
}

impl Numbered {
    fn as_str(self) -> &'static str {
        match self {
            Self::Decisions => "decisions",
            Self::Commands => "commands",
        }
    }
}

/// The stretch of a number.
pub(super) fn stretch_of(number: u64) -> i64 {
    column(number >> STRETCH_BITS)
}

fn era_of(stretch: i64) -> i32 {
    i32::try_from(stretch >> (ERA_BITS - STRETCH_BITS)).unwrap_or(i32::MAX)
}

/// What this process wrote lately and need not write again.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<HashMap<[u8; 16], Instant>>);

impl Known {
    /// A name for it: parts that cannot run into each other.
    pub(super) fn key(parts: &[&str]) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        }
        let mut key = [0; 16];
        hasher.finalize_xof().fill(&mut key);
        key
    }

    pub(super) fn has(&self, key: &[u8; 16]) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key).is_some_and(|written| written.elapsed() < AGAIN)
    }

    /// To be said once it is written.
    pub(super) fn add(&self, key: [u8; 16]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(key, Instant::now());
    }
}

impl Cassandra {
    /// How long a row of an index lives, seconds.
    pub(super) fn index_ttl(&self) -> i32 {
        self.ttl.saturating_add(LONGER)
    }

    /// Writes down that a shelf of a stretch holds something.
    pub(super) async fn note(&self, what: Numbered, partition: u32, stretch: i64, shelf: i32) -> Result<()> {
        let (kind, part, era) = (what.as_str(), part(partition), era_of(stretch));
        let key = Known::key(&[kind, &part.to_string(), &stretch.to_string(), &shelf.to_string()]);
        if self.known.has(&key) {
            return Ok(());
        }
        let row = (&self.log_id, part, kind, era, stretch, shelf, self.index_ttl());
        self.link.write(&self.statements.put_stretch, row).await?;
        let era_key = Known::key(&["era", kind, &part.to_string(), &era.to_string()]);
        if !self.known.has(&era_key) {
            self.link.write(&self.statements.put_era, (&self.log_id, part, kind, era)).await?;
            self.known.add(era_key);
        }
        self.known.add(key);
        Ok(())
    }

    /// The stretches from one to another that hold something, each with its shelves, ascending; some of them, where there
    /// are many, and none once there are none.
    pub(super) async fn stretches(
        &self,
        what: Numbered,
        partition: u32,
        from: i64,
        to: i64,
    ) -> Result<Vec<(i64, Vec<i32>)>> {
        let (kind, part) = (what.as_str(), part(partition));
        let eras = (&self.log_id, part, kind, era_of(from));
        for (era,) in self.link.read::<(i32,)>(&self.statements.eras, eras, PAGE, usize::MAX).await? {
            if era > era_of(to) {
                break;
            }
            let asked = (&self.log_id, part, kind, era, from, to);
            let rows = self.link.read::<(i64, i32)>(&self.statements.stretches, asked, PAGE, PAGE).await?;
            let more = rows.len() == PAGE;
            let mut stretches: Vec<(i64, Vec<i32>)> = Vec::new();
            for (stretch, shelf) in rows {
                match stretches.last_mut() {
                    Some((last, shelves)) if *last == stretch => shelves.push(shelf),
                    _ => stretches.push((stretch, vec![shelf])),
                }
            }
            // The last may have been cut in the middle of its shelves. One alone fills no page: see `SHELVES_MAX`.
            if more {
                stretches.pop();
            }
            if !stretches.is_empty() {
                return Ok(stretches);
            }
        }
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_and_eras_have_edges() {
        assert_eq!([0, 1_023, 1_024, 2_047].map(stretch_of), [0, 0, 1, 1]);
        assert_eq!([0, (1 << 30) - 1, 1 << 30, u64::MAX].map(|offset| era_of(stretch_of(offset))), [0, 0, 1, i32::MAX]);
    }

    #[test]
    fn keys_of_other_parts_are_other_keys() {
        assert_ne!(Known::key(&["ab", "c"]), Known::key(&["a", "bc"]));
        let known = Known::default();
        let key = Known::key(&["a"]);
        assert!(!known.has(&key));
        known.add(key);
        assert!(known.has(&key));
    }
}
