//! Decisions, twice: of a group by day, newest first, for people; of a partition by record, for export and verification.
//!
//! INVARIANT: within a group a later serial is never of an earlier day, since timers fire in the order of their instants
//! and before the record that is later. So pages follow each other from day to day.

use super::{
    super::{Kept, Result, partition_of},
    Cassandra, column, decode, encode,
    index::{Known, Numbered, stretch_of},
    link::{Link, Put},
    part,
};
use std::collections::BTreeMap;
use weir_engine::decision::Decision;

/// Rows in one answer.
const PAGE: usize = 500;
/// Decisions of one record on a shelf.
const SHELF: u64 = 64;
/// Shelves of a stretch; the last has whatever is left.
const SHELVES_MAX: u64 = 256;
/// Days asked for at once, where a group decided so seldom that one does not fill a page.
const DAYS_AT_ONCE: usize = 4;
const DAY_MS: i64 = 86_400_000;

impl Cassandra {
    pub(super) async fn put_decisions(&self, decisions: &[Kept]) -> Result<()> {
        let (mut of_days, mut of_shelves) = (BTreeMap::new(), BTreeMap::new());
        for kept in decisions {
            let decision = &kept.decision;
            let (day, serial, text) = (day(decision.at), column(kept.serial), encode(decision)?);
            let position = decision.position;
            let key = (position.partition, stretch_of(position.offset), shelf_of(kept.serial));
            let row = (serial, day, text.clone());
            of_shelves.entry(key).or_insert_with(Vec::new).push(row);
            let key = (decision.tenant.as_str(), decision.group.as_str(), day);
            of_days.entry(key).or_insert_with(Vec::new).push((serial, text));
        }
        let shelves = of_shelves.into_iter().map(|((partition, stretch, shelf), rows)| async move {
            self.note(Numbered::Decisions, partition, stretch, shelf).await?;
            let part = part(partition);
            let rows: Vec<_> = rows
                .into_iter()
                .map(|(serial, day, text)| Put {
                    bytes: text.len(),
                    values: (&self.log_id, part, stretch, shelf, serial, day, text, self.ttl),
                })
                .collect();
            self.link.write_all(&self.statements.put_decision_at, &rows).await
        });
        Link::fan(shelves).await?;
        let days = of_days.into_iter().map(|((tenant, group, day), rows)| async move {
            self.note_day(tenant, group, day).await?;
            let rows: Vec<_> = rows
                .into_iter()
                .map(|(serial, text)| Put {
                    bytes: text.len(),
                    values: (&self.log_id, tenant, group, day, serial, text, self.ttl),
                })
                .collect();
            self.link.write_all(&self.statements.put_decision, &rows).await
        });
        Link::fan(days).await.map(drop)
    }

    async fn note_day(&self, tenant: &str, group: &str, day: i32) -> Result<()> {
        let key = Known::key(&["day", tenant, group, &day.to_string()]);
        if self.known.has(&key) {
            return Ok(());
        }
        let row = (&self.log_id, tenant, group, day, self.index_ttl());
        self.link.write(&self.statements.put_day, row).await?;
        self.known.add(key);
        Ok(())
    }

    pub(super) async fn decisions_of(
        &self,
        tenant: &str,
        group: &str,
        before: Option<u64>,
        most: usize,
    ) -> Result<Vec<Kept>> {
        let newest = match before {
            Some(serial) => self.day_of(tenant, serial).await?,
            None => i32::MAX,
        };
        let before = column(before.unwrap_or(u64::MAX));
        let asked = (&self.log_id, tenant, group, newest);
        let days = self.link.read::<(i32,)>(&self.statements.days, asked, PAGE, usize::MAX).await?;
        let mut kept = Vec::new();
        for days in days.chunks(DAYS_AT_ONCE) {
            let left = most - kept.len();
            if left == 0 {
                break;
            }
            let asked = days.iter().map(|(day,)| {
                let asked = (&self.log_id, tenant, group, *day, before);
                self.link.read::<(i64, String)>(&self.statements.decisions, asked, PAGE, left)
            });
            for (serial, text) in Link::fan(asked).await?.into_iter().flatten().take(left) {
                kept.push(Kept { serial: serial.unsigned_abs(), decision: decode(&text, "a decision")? });
            }
        }
        Ok(kept)
    }

    /// The day on which a cursor stands, so that the days after it need not be asked; the newest where it is gone.
    async fn day_of(&self, tenant: &str, serial: u64) -> Result<i32> {
        let part = part(partition_of(tenant, self.partitions));
        let place = (&self.log_id, part, stretch_of(offset_of(serial)), shelf_of(serial), column(serial));
        let days = self.link.read::<(i32,)>(&self.statements.day_of, place, 1, 1).await?;
        Ok(days.first().map_or(i32::MAX, |(day,)| *day))
    }

    pub(super) async fn decisions_from(&self, partition: u32, from: u64, until: u64) -> Result<Vec<Decision>> {
        let mut decisions = Vec::new();
        let Some(last) = until.checked_sub(1).filter(|last| *last >= from) else { return Ok(decisions) };
        let serials = (column(Kept::serial(from, 0)), column(Kept::serial(last, u64::MAX)));
        let (mut next, end) = (stretch_of(from), stretch_of(last));
        while next <= end {
            let stretches = self.stretches(Numbered::Decisions, partition, next, end).await?;
            let Some((newest, _)) = stretches.last() else { break };
            next = newest + 1;
            let asked =
                stretches.iter().flat_map(|(stretch, shelves)| shelves.iter().map(move |shelf| (stretch, shelf)));
            let asked = asked.map(|(stretch, shelf)| {
                let asked = (&self.log_id, part(partition), *stretch, *shelf, serials.0, serials.1);
                self.link.read::<(i64, String)>(&self.statements.decisions_at, asked, PAGE, usize::MAX)
            });
            // Shelves of one stretch hold parts of the same records.
            let mut rows: Vec<(i64, String)> = Link::fan(asked).await?.into_iter().flatten().collect();
            rows.sort_unstable_by_key(|(serial, _)| *serial);
            for (_, text) in rows {
                decisions.push(decode(&text, "a decision")?);
            }
        }
        Ok(decisions)
    }
}

fn day(at_ms: i64) -> i32 {
    i32::try_from(at_ms.div_euclid(DAY_MS)).unwrap_or(if at_ms < 0 { i32::MIN } else { i32::MAX })
}

/// The record of a serial: the inverse of [`Kept::serial`].
fn offset_of(serial: u64) -> u64 {
    serial / Kept::AT_ONE_RECORD_MAX
}

fn shelf_of(serial: u64) -> i32 {
    let shelf = (serial % Kept::AT_ONE_RECORD_MAX / SHELF).min(SHELVES_MAX - 1);
    i32::try_from(shelf).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_gives_its_place_back() {
        for offset in [0, 1, 1_023, 1_024, 1 << 42] {
            for index in [0, SHELF - 1, SHELF, Kept::AT_ONE_RECORD_MAX - 1] {
                let serial = Kept::serial(offset, index);
                assert_eq!(offset_of(serial), offset);
                assert_eq!(u64::from(shelf_of(serial).unsigned_abs()), (index / SHELF).min(SHELVES_MAX - 1));
            }
        }
    }

    #[test]
    fn a_day_is_of_24_hours_from_1970() {
        assert_eq!([-1, 0, DAY_MS - 1, DAY_MS].map(day), [-1, 0, 0, 1]);
    }
}
