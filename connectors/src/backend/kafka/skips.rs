//! Skips in the `commands` topic: offsets in the standing that is committed with a position, so that no take-over misses one,
//! and the words beside it, for people.

use super::{
    super::{Error, Machine, Ownership, Result, Skip, skip::must_stand_there},
    Kafka,
    machines::lock,
    record::{SKIP, STEPPED, encode},
    settings::ends,
};
use crate::clock::{Clock, WallClock};

/// Skips of a partition. They stand in the metadata of its position, which a broker takes up to 4 KiB of.
const SKIPS_MAX: usize = 100;

impl Kafka {
    /// What this process's owner found at its take-over, and what the topic has told since.
    pub(super) fn known_skips(&self, partition: u32) -> Result<Vec<Skip>> {
        self.follow(partition)?;
        let (standing, _) = self.table.standing(partition, self.settings.patience)?;
        let tenure = self.tenures().get(&(Machine::Step, partition)).cloned();
        let owned = tenure.map(|tenure| lock(&tenure).standing.skips.clone()).unwrap_or_default();
        let mut offsets: Vec<u64> = standing.skips.into_iter().chain(owned).collect();
        offsets.sort_unstable();
        offsets.dedup();
        let words = self.table.skips(partition);
        let skip = |offset: u64| {
            // The offset is what replays go by; its words may be a moment behind.
            let unknown = Skip { offset, reason: String::new(), actor: String::new(), at_ms: 0 };
            words.get(&offset).cloned().unwrap_or(unknown)
        };
        Ok(offsets.into_iter().map(skip).collect())
    }

    pub(super) fn commit_skip(&self, owner: &Ownership, skip: &Skip) -> Result<()> {
        let tenure = self.tenure(owner, Machine::Step)?;
        let mut tenure = lock(&tenure);
        let partition = owner.partition;
        must_stand_there(partition, tenure.standing.committed.next, skip.offset)?;
        let mut standing = tenure.standing.clone();
        // Nobody replays a record that is kept no longer.
        let (oldest, _) = ends(&self.asker, &self.topics.events, partition, self.settings.patience)?;
        standing.skips.retain(|offset| *offset >= oldest && *offset != skip.offset);
        if standing.skips.len() >= SKIPS_MAX {
            return Err(Error::Failed(format!(
                "{SKIPS_MAX} records of partition {partition} are passed over already: find out who writes into `{}`",
                self.topics.events
            )));
        }
        standing.skips.push(skip.offset);
        standing.live = false;
        let place = self.place(partition, &standing)?;
        let topics = &self.topics;
        let newest = tenure.owner.transact(
            |out| {
                let key = format!("{SKIP}{}", skip.offset);
                out.send(&topics.commands, Some(&key), Some(&encode(skip)?))?;
                out.send(&topics.commands, Some(STEPPED), Some(&encode(&standing)?))
            },
            Some((&place, &self.group()?)),
        )?;
        tenure.standing = standing.clone();
        drop(tenure);
        let at = newest.get(&topics.commands).copied().unwrap_or_default();
        self.table.commit(partition, at, WallClock.now_ms(), standing, Vec::new());
        Ok(())
    }
}
