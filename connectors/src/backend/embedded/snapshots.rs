//! Snapshots in the file: pieces first, each its own job so that appends pass between them, the manifest last. What has no
//! manifest is not there, and is cleaned away with the next snapshot.

use super::{
    super::{Committed, Error, Machine, Ownership, Result, Snapshot, Snapshots, thinning::kept},
    Embedded,
    machines::{committed, decode, encode, fence},
    store::Stop,
    tables::{CHUNKS, SNAPSHOTS, STEPPED, Tables},
    trim::Keep,
};
use redb::{ReadTransaction, ReadableTable};
use serde::{Deserialize, Serialize};
use weir_engine::id::Position;

/// Bytes of a piece.
const CHUNK_BYTES: usize = 1 << 20;

/// What is known of a snapshot without reading it.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    at: Committed,
    chunks: u32,
    bytes: usize,
    /// BLAKE3 of the state, hexadecimal.
    hash: String,
    /// The clock when it was saved, epoch milliseconds.
    saved_ms: i64,
}

impl Snapshots for Embedded {
    fn save_snapshot(&self, owner: &Ownership, snapshot: Snapshot) -> Result<()> {
        self.check(owner.partition)?;
        let (owner, Snapshot { at, state }) = (*owner, snapshot);
        let key = (owner.partition, at.next);
        let hash = blake3::hash(&state).to_hex().to_string();
        // Immutable: the same again is done, another one under the same position is refused.
        if let Some(kept) = self.store.read(|read| Ok(load(read, key)?.ok()))? {
            if kept.0.hash == hash && kept.0.at == at {
                return Ok(());
            }
            let at = Position { partition: key.0, offset: key.1 };
            return Err(Error::Failed(format!("another snapshot of partition state at `{at}` is kept already")));
        }
        let (bytes, mut chunks) = (state.len(), 0);
        for piece in state.chunks(CHUNK_BYTES) {
            let piece = piece.to_vec();
            self.write(piece.len(), move |batch| {
                fence(batch, &owner, Machine::Step)?;
                batch.tables.chunks.insert((key.0, key.1, chunks), piece.as_slice())?;
                Ok(())
            })?;
            chunks += 1;
        }
        let keep = self.keep;
        self.write(256, move |batch| {
            fence(batch, &owner, Machine::Step)?;
            let reached = committed(&batch.tables.stepped, owner.partition)?.next;
            if at.next > reached {
                let at = Position { partition: owner.partition, offset: at.next };
                return Err(
                    Error::Failed(format!("a snapshot at `{at}` is newer than the committed `{reached}`")).into()
                );
            }
            let manifest = encode(&Manifest { at, chunks, bytes, hash, saved_ms: batch.now_ms })?;
            batch.tables.snapshots.insert(key, manifest.as_slice())?;
            thin(&mut batch.tables, owner.partition, keep, batch.now_ms)
        })
    }

    fn snapshot(&self, partition: u32, at_most: u64) -> Result<Option<Snapshot>> {
        self.check(partition)?;
        self.store.read(|read| {
            let reached = committed(&read.open_table(STEPPED)?, partition)?.next;
            let newest_first = read.open_table(SNAPSHOTS)?;
            for row in newest_first.range((partition, 0)..=(partition, at_most.min(reached)))?.rev() {
                let key = row?.0.value();
                match load(read, key)? {
                    Ok((Manifest { at, .. }, state)) => return Ok(Some(Snapshot { at, state })),
                    Err(how) => {
                        let at = Position { partition: key.0, offset: key.1 };
                        tracing::warn!(%at, how, "a snapshot is damaged; using the one before");
                    }
                }
            }
            Ok(None)
        })
    }
}

/// A snapshot, or why it cannot be used.
fn load(
    read: &ReadTransaction,
    key: (u32, u64),
) -> std::result::Result<std::result::Result<(Manifest, Vec<u8>), &'static str>, Stop> {
    let snapshots = read.open_table(SNAPSHOTS)?;
    let Some(row) = snapshots.get(key)? else { return Ok(Err("it is not there")) };
    let Ok(manifest) = decode::<Manifest>(row.value(), "a manifest") else {
        return Ok(Err("its manifest cannot be read"));
    };
    let mut state = Vec::new();
    let pieces = read.open_table(CHUNKS)?;
    for piece in pieces.range((key.0, key.1, 0)..(key.0, key.1, manifest.chunks))? {
        state.extend_from_slice(piece?.1.value());
    }
    if state.len() != manifest.bytes || blake3::hash(&state).to_hex().as_str() != manifest.hash {
        return Ok(Err("its bytes are not those that were saved"));
    }
    Ok(Ok((manifest, state)))
}

/// Takes away what is kept no longer: see [`kept`].
fn thin(tables: &mut Tables<'_>, partition: u32, keep: Keep, now_ms: i64) -> std::result::Result<(), Stop> {
    let mut saved = Vec::new();
    for row in tables.snapshots.range((partition, 0)..=(partition, u64::MAX))? {
        let (key, row) = row?;
        // One that cannot be read is of no use, and counts as from the beginning of time.
        let saved_ms = decode::<Manifest>(row.value(), "a manifest").map_or(i64::MIN, |manifest| manifest.saved_ms);
        saved.push((key.value().1, saved_ms));
    }
    let kept = kept(&saved, now_ms, keep.events_ms);
    for (next, _) in saved.iter().filter(|(next, _)| !kept.contains(next)) {
        tables.snapshots.remove((partition, *next))?;
    }
    // The pieces of those just removed, and of those that never got their manifest.
    tables
        .chunks
        .retain_in((partition, 0, 0)..=(partition, u64::MAX, u32::MAX), |(_, next, _), _| kept.contains(&next))?;
    Ok(())
}
