//! Where the manifests of a partition's snapshots stand: a few slots, each overwritten in place, so that a read of all of
//! them passes over nothing that was deleted.
//!
//! A manifest is one cell. It is written with a timestamp one above the cell it replaces, which needs no clock; of two
//! writers who saw the same cell one wins whole, and the other finds out by looking again.

use super::{super::Result, Cassandra, decode, encode, part};
use crate::backend::Committed;
use serde::{Deserialize, Serialize};

/// Slots of a partition: those that are kept, see [`super::super::thinning`], and room for some that were broken off.
pub(super) const SLOTS: i32 = 32;
/// The machine whose state is kept.
pub(super) const MACHINE: &str = "step";

/// What is known of a snapshot without reading it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) at: Committed,
    /// Whose it is: the epoch of the owner that saved it.
    pub(super) epoch: u64,
    pub(super) chunks: i32,
    pub(super) bytes: usize,
    /// BLAKE3 of the state, hexadecimal.
    pub(super) digest: String,
    /// The clock when it was saved, epoch milliseconds.
    pub(super) saved_ms: i64,
    /// All of its pieces are there. Before, and while they are being deleted, it is no snapshot.
    pub(super) whole: bool,
}

impl Manifest {
    /// Whether it is of the same state.
    pub(super) fn is_of(&self, other: &Self) -> bool {
        self.at == other.at && self.digest == other.digest
    }
}

/// A place for a manifest.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot {
    pub(super) number: i32,
    /// The timestamp of what is in it.
    written: i64,
    /// `None`: it is free.
    pub(super) manifest: Option<Manifest>,
}

impl Cassandra {
    /// All slots. One that cannot be read counts as free: it is of no use.
    pub(super) async fn slots(&self, partition: u32) -> Result<Vec<Slot>> {
        let mut slots: Vec<Slot> = (0..SLOTS).map(|number| Slot { number, ..Slot::default() }).collect();
        let asked = (&self.log_id, MACHINE, part(partition));
        let rows =
            self.link.read::<(i32, Option<String>, Option<i64>)>(&self.statements.manifests, asked, 100, 100).await?;
        for (number, text, written) in rows {
            if let Some(slot) = usize::try_from(number).ok().and_then(|number| slots.get_mut(number)) {
                slot.written = written.unwrap_or_default();
                slot.manifest = text.filter(|text| !text.is_empty()).and_then(|text| decode(&text, "a manifest").ok());
            }
        }
        Ok(slots)
    }

    /// Writes over what was read in the slot.
    pub(super) async fn fill(&self, partition: u32, slot: &mut Slot, manifest: Option<Manifest>) -> Result<()> {
        let text = manifest.as_ref().map(encode).transpose()?.unwrap_or_default();
        slot.written += 1;
        slot.manifest = manifest;
        let row = (&self.log_id, MACHINE, part(partition), slot.number, text, slot.written);
        self.link.write(&self.statements.put_manifest, row).await
    }
}
