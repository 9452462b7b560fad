//! The tables of `weir.redb`, format 1. Keys sort as they are read: partition, then offset, mark or serial.
//!
//! INVARIANT: a table's types never change under its name; another shape is another table and another format number.

use redb::{ReadableTable, Table, TableDefinition, TableError, WriteTransaction};

/// The format this build writes and reads.
pub(super) const FORMAT: u64 = 1;

/// Bytes by name: see the constants below.
pub(super) const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
/// Partition to (next offset, newest append time, newest command mark).
pub(super) const ENDS: TableDefinition<u32, (u64, i64, u64)> = TableDefinition::new("ends");
/// (partition, offset) to (append time, line).
pub(super) const EVENTS: TableDefinition<(u32, u64), (i64, &[u8])> = TableDefinition::new("events");
/// (machine, partition) to epoch.
pub(super) const OWNERS: TableDefinition<(u8, u32), u64> = TableDefinition::new("owners");
/// Partition to (next, semantics, digest), as the step machine committed it.
pub(super) const STEPPED: TableDefinition<u32, (u64, u32, &str)> = TableDefinition::new("stepped");
/// (partition, mark) to a command, JSON. The history; marks rise by one with each command.
pub(super) const COMMANDS: TableDefinition<(u32, u64), &[u8]> = TableDefinition::new("commands");
/// (partition, mark) to a group's newest command, JSON: the table that executors read, in the order of change.
pub(super) const CURRENT: TableDefinition<(u32, u64), &[u8]> = TableDefinition::new("current");
/// (partition, group uid) to (mark, generation) of its newest command.
pub(super) const NEWEST: TableDefinition<(u32, u64), (u64, u64)> = TableDefinition::new("newest");
/// (partition, serial) to a decision, JSON. A serial holds the record's offset, see [`super::super::Kept`].
pub(super) const DECISIONS: TableDefinition<(u32, u64), &[u8]> = TableDefinition::new("decisions");
/// (tenant, group, serial): which decisions are a group's.
pub(super) const DECIDED: TableDefinition<(&str, &str, u64), ()> = TableDefinition::new("decided");
/// (kind, tenant, name) to a row, JSON.
pub(super) const VIEWS: TableDefinition<(u8, &str, &str), &[u8]> = TableDefinition::new("views");
/// (partition, group uid) to a ledger.
pub(super) const LEDGERS: TableDefinition<(u32, u64), &[u8]> = TableDefinition::new("ledgers");
/// (partition, next offset) to a snapshot's manifest, JSON.
pub(super) const SNAPSHOTS: TableDefinition<(u32, u64), &[u8]> = TableDefinition::new("snapshots");
/// (partition, next offset, number) to a piece of a snapshot.
pub(super) const CHUNKS: TableDefinition<(u32, u64, u32), &[u8]> = TableDefinition::new("chunks");

/// (partition, offset) to a record that replays pass over, JSON. Not in stores of older builds, either.
pub(super) const SKIPS: TableDefinition<(u32, u64), &[u8]> = TableDefinition::new("skips");
/// (tenant, region) to a kill switch, JSON. Not in stores of older builds, until they are written to.
pub(super) const SWITCHES: TableDefinition<(&str, &str), &[u8]> = TableDefinition::new("switches");

/// In [`META`]: [`FORMAT`], little endian as all numbers there.
pub(super) const META_FORMAT: &str = "format";
/// In [`META`]: the log's name, text.
pub(super) const META_LOG_ID: &str = "log_id";
/// In [`META`]: how many partitions.
pub(super) const META_PARTITIONS: &str = "partitions";
/// In [`META`]: where the installation came from and where it has gone, JSON; not there where nobody moved it.
pub(super) const META_LINEAGE: &str = "lineage";
/// In [`META`]: the number of the newest batch, by which a batch whose commit failed is found or not found again.
pub(super) const META_BATCH: &str = "batch";

/// All tables, open for one write.
pub(super) struct Tables<'t> {
    pub(super) meta: Table<'t, &'static str, &'static [u8]>,
    pub(super) ends: Table<'t, u32, (u64, i64, u64)>,
    pub(super) events: Table<'t, (u32, u64), (i64, &'static [u8])>,
    pub(super) owners: Table<'t, (u8, u32), u64>,
    pub(super) stepped: Table<'t, u32, (u64, u32, &'static str)>,
    pub(super) commands: Table<'t, (u32, u64), &'static [u8]>,
    pub(super) current: Table<'t, (u32, u64), &'static [u8]>,
    pub(super) newest: Table<'t, (u32, u64), (u64, u64)>,
    pub(super) decisions: Table<'t, (u32, u64), &'static [u8]>,
    pub(super) decided: Table<'t, (&'static str, &'static str, u64), ()>,
    pub(super) views: Table<'t, (u8, &'static str, &'static str), &'static [u8]>,
    pub(super) ledgers: Table<'t, (u32, u64), &'static [u8]>,
    pub(super) snapshots: Table<'t, (u32, u64), &'static [u8]>,
    pub(super) chunks: Table<'t, (u32, u64, u32), &'static [u8]>,
    pub(super) skips: Table<'t, (u32, u64), &'static [u8]>,
    pub(super) switches: Table<'t, (&'static str, &'static str), &'static [u8]>,
}

impl<'t> Tables<'t> {
    /// Opens them, and makes those that are not there.
    pub(super) fn open(write: &'t WriteTransaction) -> Result<Self, TableError> {
        Ok(Self {
            meta: write.open_table(META)?,
            ends: write.open_table(ENDS)?,
            events: write.open_table(EVENTS)?,
            owners: write.open_table(OWNERS)?,
            stepped: write.open_table(STEPPED)?,
            commands: write.open_table(COMMANDS)?,
            current: write.open_table(CURRENT)?,
            newest: write.open_table(NEWEST)?,
            decisions: write.open_table(DECISIONS)?,
            decided: write.open_table(DECIDED)?,
            views: write.open_table(VIEWS)?,
            ledgers: write.open_table(LEDGERS)?,
            snapshots: write.open_table(SNAPSHOTS)?,
            chunks: write.open_table(CHUNKS)?,
            skips: write.open_table(SKIPS)?,
            switches: write.open_table(SWITCHES)?,
        })
    }
}

/// A number in [`META`]; 0 where there is none.
pub(super) fn number(meta: &impl ReadableTable<&'static str, &'static [u8]>, name: &str) -> redb::Result<u64> {
    let mut bytes = [0; 8];
    if let Some(row) = meta.get(name)? {
        for (to, from) in bytes.iter_mut().zip(row.value()) {
            *to = *from;
        }
    }
    Ok(u64::from_le_bytes(bytes))
}
