//! Ownership and commits in the file. One process has the file, so fencing is about a worker of this process that was
//! replaced and does not know it yet; it is the same promise as with many processes.

use super::{
    super::{
        Committed, Error, Kept, Machine, Machines, Ownership, READ_BYTES_MAX, Result, Settled, Skip, Stepped, View,
        skip::must_stand_there,
    },
    Embedded,
    history::view_key,
    signals::Change,
    store::Stop,
    tables::{CURRENT, LEDGERS, SKIPS, STEPPED},
    writer::Batch,
};
use redb::ReadableTable;
use std::time::Duration;
use weir_engine::{
    command::Command,
    decision::Decision,
    id::{GroupUid, Position},
};

impl Machines for Embedded {
    fn take_over(&self, machine: Machine, partition: u32) -> Result<(Ownership, Committed)> {
        self.check(partition)?;
        self.write(64, move |batch| {
            let key = (number(machine), partition);
            let epoch = batch.tables.owners.get(key)?.map(|row| row.value()).unwrap_or_default() + 1;
            batch.tables.owners.insert(key, epoch)?;
            if machine == Machine::Step {
                batch.changes.push((partition, Change::TakenOver));
            }
            let committed = committed(&batch.tables.stepped, partition)?;
            Ok((Ownership { machine, partition, epoch }, committed))
        })
    }

    fn commit_step(&self, owner: &Ownership, stepped: Stepped) -> Result<()> {
        self.check(owner.partition)?;
        let (commands, decisions) = (encode_all(&stepped.commands)?, encode_all(&stepped.decisions)?);
        let views = encode_views(&stepped.views)?;
        let bytes = commands.iter().chain(&decisions).map(Vec::len).sum();
        let owner = *owner;
        self.write(bytes, move |batch| {
            fence(batch, &owner, Machine::Step)?;
            check_step(batch, owner.partition, &stepped)?;
            let Committed { next, semantics, digest } = &stepped.committed;
            batch.tables.stepped.insert(owner.partition, (*next, *semantics, digest.as_str()))?;
            put_commands(batch, owner.partition, &stepped.commands, &commands)?;
            put_decisions(batch, owner.partition, &stepped.decisions, &decisions)?;
            put_views(batch, &stepped.views, &views)?;
            batch.changes.push((owner.partition, Change::Stepped { next: *next, live: stepped.live }));
            Ok(())
        })
    }

    fn commit_settle(&self, owner: &Ownership, settled: Settled) -> Result<()> {
        self.check(owner.partition)?;
        let views = encode_views(&settled.views)?;
        let bytes = settled.ledgers.iter().filter_map(|(_, ledger)| ledger.as_ref()).map(Vec::len).sum();
        let owner = *owner;
        self.write(bytes, move |batch| {
            fence(batch, &owner, Machine::Settle)?;
            for (uid, ledger) in &settled.ledgers {
                let key = (owner.partition, uid.0);
                match ledger {
                    Some(ledger) => drop(batch.tables.ledgers.insert(key, ledger.as_slice())?),
                    None => drop(batch.tables.ledgers.remove(key)?),
                }
            }
            put_views(batch, &settled.views, &views)
        })
    }

    fn stepped(&self, partition: u32) -> Result<(Committed, bool)> {
        self.check(partition)?;
        // Asked first, so that `live` is never said of a position that is newer than its owner's word.
        let live = self.signals.get(partition).live;
        let committed = self.store.read(|read| committed(&read.open_table(STEPPED)?, partition))?;
        Ok((committed, live))
    }

    fn wait_stepped(&self, partition: u32, offset: u64, patience: Duration) -> bool {
        self.signals.wait(partition, patience, |seen| seen.stepped > offset)
    }

    fn commands_after(&self, partition: u32, after: u64, patience: Duration) -> Result<(u64, Vec<Command>)> {
        self.check(partition)?;
        if !self.signals.wait(partition, patience, |seen| seen.mark > after) {
            return Ok((after, Vec::new()));
        }
        self.store.read(|read| {
            let (mut mark, mut commands, mut bytes) = (after, Vec::new(), 0);
            let changed = (partition, after.saturating_add(1))..=(partition, u64::MAX);
            for row in read.open_table(CURRENT)?.range(changed)? {
                let (key, row) = row?;
                bytes += row.value().len();
                if bytes > READ_BYTES_MAX && !commands.is_empty() {
                    break;
                }
                mark = key.value().1;
                commands.push(decode(row.value(), "a command")?);
            }
            Ok((mark, commands))
        })
    }

    fn skips(&self, partition: u32) -> Result<Vec<Skip>> {
        self.check(partition)?;
        self.store.read(|read| {
            let table = match read.open_table(SKIPS) {
                Ok(table) => table,
                Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
                Err(error) => return Err(error.into()),
            };
            let rows = table.range((partition, 0)..=(partition, u64::MAX))?;
            rows.map(|row| Ok(decode(row?.1.value(), "a skip")?)).collect()
        })
    }

    fn skip(&self, owner: &Ownership, skip: Skip) -> Result<()> {
        self.check(owner.partition)?;
        let (owner, row) = (*owner, encode(&skip)?);
        self.write(row.len(), move |batch| {
            fence(batch, &owner, Machine::Step)?;
            let stands = committed(&batch.tables.stepped, owner.partition)?.next;
            must_stand_there(owner.partition, stands, skip.offset)?;
            batch.tables.skips.insert((owner.partition, skip.offset), row.as_slice())?;
            Ok(())
        })
    }

    fn ledgers(&self, partition: u32) -> Result<Vec<(GroupUid, Vec<u8>)>> {
        self.check(partition)?;
        self.store.read(|read| {
            let mut ledgers = Vec::new();
            for row in read.open_table(LEDGERS)?.range((partition, 0)..=(partition, u64::MAX))? {
                let (key, ledger) = row?;
                ledgers.push((GroupUid(key.value().1), ledger.value().to_vec()));
            }
            Ok(ledgers)
        })
    }
}

/// Refuses who is not the owner any more.
pub(super) fn fence(batch: &Batch<'_>, owner: &Ownership, machine: Machine) -> std::result::Result<(), Stop> {
    let epoch = batch.tables.owners.get((number(machine), owner.partition))?.map(|row| row.value());
    if owner.machine == machine && epoch == Some(owner.epoch) {
        return Ok(());
    }
    Err(Error::Fenced { partition: owner.partition }.into())
}

/// How far the step machine has come.
pub(super) fn committed(
    table: &impl ReadableTable<u32, (u64, u32, &'static str)>,
    partition: u32,
) -> std::result::Result<Committed, Stop> {
    Ok(table.get(partition)?.map_or_else(Committed::default, |row| {
        let (next, semantics, digest) = row.value();
        Committed { next, semantics, digest: digest.to_owned() }
    }))
}

// What no right machine commits. Written here too, since a position that runs back would let commands be given twice.
fn check_step(batch: &Batch<'_>, partition: u32, stepped: &Stepped) -> std::result::Result<(), Stop> {
    let refuse = |why: String| Err(Stop::Refused(Error::Failed(why)));
    let to = Position { partition, offset: stepped.committed.next };
    let from = committed(&batch.tables.stepped, partition)?.next;
    if to.offset < from {
        return refuse(format!(
            "a commit up to `{to}` is refused: all before `{partition}:{from}` is committed already"
        ));
    }
    let end = batch.tables.ends.get(partition)?.map(|row| row.value().0).unwrap_or_default();
    if to.offset > end {
        return refuse(format!("a commit up to `{to}` is refused: the log ends at `{partition}:{end}`"));
    }
    let at_one_record =
        stepped.decisions.chunk_by(|one, other| one.position == other.position).map(<[Decision]>::len).max();
    if at_one_record.is_some_and(|count| count as u64 > Kept::AT_ONE_RECORD_MAX) {
        return refuse(format!("more than {} decisions at one record of `{to}` are refused", Kept::AT_ONE_RECORD_MAX));
    }
    let mut given: Vec<(u64, u64)> = Vec::with_capacity(stepped.commands.len());
    for command in &stepped.commands {
        let newest = match given.iter().rev().find(|(uid, _)| *uid == command.uid.0) {
            Some((_, generation)) => Some(*generation),
            None => batch.tables.newest.get((partition, command.uid.0))?.map(|row| row.value().1),
        };
        if let Some(newest) = newest.filter(|newest| command.generation <= *newest) {
            return refuse(format!(
                "the command of generation {} for group `{}` of tenant `{}` is refused: {newest} was given already",
                command.generation, command.group, command.tenant
            ));
        }
        given.push((command.uid.0, command.generation));
    }
    Ok(())
}

fn put_commands(
    batch: &mut Batch<'_>,
    partition: u32,
    commands: &[Command],
    rows: &[Vec<u8>],
) -> std::result::Result<(), Stop> {
    if commands.is_empty() {
        return Ok(());
    }
    let (next, newest_ms, mut mark) = batch.tables.ends.get(partition)?.map(|row| row.value()).unwrap_or_default();
    for (command, row) in commands.iter().zip(rows) {
        mark += 1;
        batch.tables.commands.insert((partition, mark), row.as_slice())?;
        batch.tables.current.insert((partition, mark), row.as_slice())?;
        let replaced = batch.tables.newest.insert((partition, command.uid.0), (mark, command.generation))?;
        if let Some((replaced, _)) = replaced.map(|row| row.value()) {
            batch.tables.current.remove((partition, replaced))?;
        }
    }
    batch.tables.ends.insert(partition, (next, newest_ms, mark))?;
    batch.changes.push((partition, Change::Mark(mark)));
    Ok(())
}

fn put_decisions(
    batch: &mut Batch<'_>,
    partition: u32,
    decisions: &[Decision],
    rows: &[Vec<u8>],
) -> std::result::Result<(), Stop> {
    let (mut offset, mut index) = (u64::MAX, 0);
    for (decision, row) in decisions.iter().zip(rows) {
        index = if decision.position.offset == offset { index + 1 } else { 0 };
        offset = decision.position.offset;
        let serial = Kept::serial(offset, index);
        batch.tables.decisions.insert((partition, serial), row.as_slice())?;
        batch.tables.decided.insert((decision.tenant.as_str(), decision.group.as_str(), serial), ())?;
    }
    Ok(())
}

fn put_views(batch: &mut Batch<'_>, views: &[View], rows: &[Option<Vec<u8>>]) -> std::result::Result<(), Stop> {
    for (view, row) in views.iter().zip(rows) {
        let key = view_key(view.kind, &view.tenant, &view.name);
        match row {
            Some(row) => drop(batch.tables.views.insert(key, row.as_slice())?),
            None => drop(batch.tables.views.remove(key)?),
        }
    }
    Ok(())
}

/// A machine's number in keys.
fn number(machine: Machine) -> u8 {
    match machine {
        Machine::Step => 0,
        Machine::Settle => 1,
    }
}

fn encode_all<T: serde::Serialize>(values: &[T]) -> Result<Vec<Vec<u8>>> {
    values.iter().map(encode).collect()
}

fn encode_views(views: &[View]) -> Result<Vec<Option<Vec<u8>>>> {
    views.iter().map(|view| view.row.as_ref().map(encode).transpose()).collect()
}

/// To JSON, as all rows are.
pub(super) fn encode(value: &impl serde::Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Error::Failed(format!("cannot be written as JSON: {error}")))
}

/// From JSON. What this build cannot read was written by a newer one or is damaged.
pub(super) fn decode<T: serde::de::DeserializeOwned>(row: &[u8], what: &str) -> Result<T> {
    serde_json::from_slice(row).map_err(|error| Error::Damaged(format!("{what} in the store cannot be read: {error}")))
}
