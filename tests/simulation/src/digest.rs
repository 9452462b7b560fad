//! A digest of everything that a run left behind: what two builds are compared by, and two runs of one build.

use crate::{log::Log, store::Store};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The digest of one run, or of many added up: part by part, so that it does not matter which of them ended first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest([u64; 4]);

impl Digest {
    /// Of every byte of a partition's log, and of the commands, decisions, ledgers and snapshots in the store.
    #[must_use]
    pub fn of(seed: u64, partition: u32, log: &Log, store: &Store) -> Self {
        let mut hasher = blake3::Hasher::new();
        // What is hashed is preceded by its length, so that no two runs are told apart by where one thing ends alone.
        let mut add = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        add(&seed.to_le_bytes());
        add(&partition.to_le_bytes());
        for record in log.read(0, usize::MAX >> 1) {
            add(&record.appended_ms.to_le_bytes());
            add(record.event.to_line().as_bytes());
        }
        store.commands.iter().for_each(|command| add(&serde_json::to_vec(command).unwrap_or_default()));
        store.decisions.iter().for_each(|decision| add(&serde_json::to_vec(decision).unwrap_or_default()));
        for (uid, ledger) in &store.ledgers {
            add(uid.to_string().as_bytes());
            add(ledger);
        }
        store.snapshots.iter().for_each(|snapshot| add(&snapshot.bytes));
        let mut parts = [0; 4];
        for (part, bytes) in parts.iter_mut().zip(hasher.finalize().as_bytes().chunks_exact(8)) {
            *part = bytes.iter().fold(0, |part, byte| part << 8 | u64::from(*byte));
        }
        Self(parts)
    }

    /// Adds another run's.
    pub fn add(&mut self, other: Self) {
        for (part, others) in self.0.iter_mut().zip(other.0) {
            *part = part.wrapping_add(others);
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| write!(f, "{part:016x}"))
    }
}
