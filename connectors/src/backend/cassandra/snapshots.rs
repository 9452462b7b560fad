//! Snapshots: pieces first, under the digest of the whole, the manifest last. What has no whole manifest is not there, and
//! is cleaned away with the next one that is saved.

use super::{
    super::{Error, Ownership, Result, Snapshot, Snapshots, thinning::kept},
    Cassandra, column,
    link::Link,
    part,
    slots::{MACHINE, Manifest, Slot},
};
use weir_engine::id::Position;

/// Bytes of a piece. Cassandra takes a write of half a commit log segment, 16 MiB, and is quicker with small ones.
const CHUNK_BYTES: usize = 512 << 10;

impl Snapshots for Cassandra {
    fn save_snapshot(&self, owner: &Ownership, snapshot: Snapshot) -> Result<()> {
        self.link.run(self.save(owner, snapshot))
    }

    fn snapshot(&self, partition: u32, at_most: u64) -> Result<Option<Snapshot>> {
        self.link.run(self.newest(partition, at_most))
    }
}

impl Cassandra {
    async fn save(&self, owner: &Ownership, Snapshot { at, state }: Snapshot) -> Result<()> {
        let partition = owner.partition;
        let mut manifest = Manifest {
            at,
            epoch: owner.epoch,
            chunks: i32::try_from(state.len().div_ceil(CHUNK_BYTES)).unwrap_or(i32::MAX),
            bytes: state.len(),
            digest: blake3::hash(&state).to_hex().to_string(),
            saved_ms: self.clock.now_ms(),
            whole: false,
        };
        let mut slots = self.slots(partition).await?;
        fence(&slots, owner)?;
        // Immutable: the same again is done, another one under the same position is refused. A damaged one is replaced.
        let place = |manifest: &Manifest| (manifest.at.next, manifest.at.semantics);
        for slot in &mut slots {
            let Some(kept) = slot.manifest.clone().filter(|kept| kept.whole && place(kept) == place(&manifest)) else {
                continue;
            };
            let usable = self.load(partition, &kept).await?.is_ok();
            if usable && kept.is_of(&manifest) {
                return Ok(());
            }
            if usable {
                let at = Position { partition, offset: manifest.at.next };
                return Err(Error::Failed(format!("another snapshot of partition state at `{at}` is kept already")));
            }
            if !kept.is_of(&manifest) {
                self.forget(partition, slot, &kept).await?;
            }
        }
        self.clean(partition, &mut slots, &manifest).await?;
        let Some(slot) = choose(&mut slots, &manifest) else {
            return Err(Error::Failed(format!("there is no room for another snapshot of partition {partition}")));
        };
        self.fill(partition, slot, Some(manifest.clone())).await?;
        let pieces = state.chunks(CHUNK_BYTES).zip(0_i32..).map(|(bytes, chunk)| {
            let Manifest { at, digest, .. } = &manifest;
            let (semantics, position) = (part(at.semantics), column(at.next));
            let row = (&self.log_id, MACHINE, part(partition), semantics, position, digest, chunk, bytes);
            self.link.write(&self.statements.put_chunk, row)
        });
        Link::fan(pieces).await?;
        manifest.whole = true;
        self.fill(partition, slot, Some(manifest.clone())).await?;
        let mut slots = self.slots(partition).await?;
        if !slots.iter().any(|slot| slot.manifest.as_ref() == Some(&manifest)) {
            fence(&slots, owner)?;
            return Err(Error::Failed(format!(
                "another process saved a snapshot of partition {partition} at the same time"
            )));
        }
        self.thin(partition, &mut slots).await
    }

    async fn newest(&self, partition: u32, at_most: u64) -> Result<Option<Snapshot>> {
        let manifests = self.slots(partition).await?.into_iter().filter_map(|slot| slot.manifest);
        let mut manifests: Vec<Manifest> =
            manifests.filter(|manifest| manifest.whole && manifest.at.next <= at_most).collect();
        manifests.sort_unstable_by_key(|manifest| std::cmp::Reverse((manifest.at.next, manifest.at.semantics)));
        for manifest in manifests {
            match self.load(partition, &manifest).await? {
                Ok(state) => return Ok(Some(Snapshot { at: manifest.at, state })),
                Err(how) => {
                    let at = Position { partition, offset: manifest.at.next };
                    tracing::warn!(%at, how, "a snapshot is damaged; using the one before");
                }
            }
        }
        Ok(None)
    }

    /// A snapshot's state, or why it cannot be used.
    async fn load(&self, partition: u32, manifest: &Manifest) -> Result<std::result::Result<Vec<u8>, &'static str>> {
        let pieces = (0..manifest.chunks).map(|chunk| {
            let key = self.piece(partition, manifest, chunk);
            self.link.read::<(Vec<u8>,)>(&self.statements.chunk, key, 1, 1)
        });
        let mut state = Vec::with_capacity(manifest.bytes);
        for piece in Link::fan(pieces).await? {
            let Some((bytes,)) = piece.first() else { return Ok(Err("a piece of it is missing")) };
            state.extend_from_slice(bytes);
        }
        if state.len() != manifest.bytes || blake3::hash(&state).to_hex().as_str() != manifest.digest {
            return Ok(Err("its bytes are not those that were saved"));
        }
        Ok(Ok(state))
    }

    /// Frees the slots of snapshots that were broken off, but for one of the state that is to be saved now.
    async fn clean(&self, partition: u32, slots: &mut [Slot], next: &Manifest) -> Result<()> {
        for slot in slots {
            if let Some(manifest) = slot.manifest.clone().filter(|manifest| !manifest.whole && !manifest.is_of(next)) {
                self.forget(partition, slot, &manifest).await?;
            }
        }
        Ok(())
    }

    /// Takes away what is kept no longer.
    async fn thin(&self, partition: u32, slots: &mut [Slot]) -> Result<()> {
        let whole = slots.iter().filter_map(|slot| slot.manifest.as_ref()).filter(|manifest| manifest.whole);
        let mut saved: Vec<(u64, i64)> = whole.map(|manifest| (manifest.at.next, manifest.saved_ms)).collect();
        saved.sort_unstable();
        let kept = kept(&saved, self.clock.now_ms(), self.events_ms);
        for slot in slots {
            let Some(mut manifest) = slot.manifest.clone().filter(|manifest| manifest.whole) else { continue };
            if !kept.contains(&manifest.at.next) {
                // Said first, so that it is taken up again where this is broken off.
                manifest.whole = false;
                self.fill(partition, slot, Some(manifest.clone())).await?;
                self.forget(partition, slot, &manifest).await?;
            }
        }
        Ok(())
    }

    /// Deletes the pieces, then frees the slot.
    async fn forget(&self, partition: u32, slot: &mut Slot, manifest: &Manifest) -> Result<()> {
        let pieces = (0..manifest.chunks).map(|chunk| {
            let key = self.piece(partition, manifest, chunk);
            self.link.write(&self.statements.drop_chunk, key)
        });
        Link::fan(pieces).await?;
        self.fill(partition, slot, None).await
    }

    /// A piece's key.
    fn piece<'a>(
        &'a self,
        partition: u32,
        manifest: &'a Manifest,
        chunk: i32,
    ) -> (&'a str, &'static str, i32, i32, i64, &'a str, i32) {
        let Manifest { at, digest, .. } = manifest;
        (&self.log_id, MACHINE, part(partition), part(at.semantics), column(at.next), digest, chunk)
    }
}

/// Refuses an owner after whom another one saved already. Who asks knows better whose the partition is; this is for
/// whoever lost it since.
fn fence(slots: &[Slot], owner: &Ownership) -> Result<()> {
    let newest = slots.iter().filter_map(|slot| slot.manifest.as_ref()).map(|manifest| manifest.epoch).max();
    if newest.is_some_and(|newest| newest > owner.epoch) {
        return Err(Error::Fenced { partition: owner.partition });
    }
    Ok(())
}

/// The slot of the same state, else a free one.
fn choose<'s>(slots: &'s mut [Slot], next: &Manifest) -> Option<&'s mut Slot> {
    let of_it = |slot: &Slot| slot.manifest.as_ref().is_some_and(|manifest| manifest.is_of(next));
    let free = |slot: &Slot| slot.manifest.is_none();
    let index = slots.iter().position(of_it).or_else(|| slots.iter().position(free))?;
    slots.get_mut(index)
}
