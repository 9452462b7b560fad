//! What is too old to keep goes, a little at a time. Events go only up to the oldest kept snapshot: without one before
//! them, the rest could not be replayed.

use super::{
    machines::decode,
    store::Stop,
    tables::{COMMANDS, DECISIONS, EVENTS, NEWEST, SNAPSHOTS, Tables},
};
use redb::{ReadTransaction, ReadableTable};
use weir_engine::{command::Command, decision::Decision};

/// Rows of one table and partition that go in one step.
const STEP_ROWS_MAX: usize = 1_000;

/// How long things are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keep {
    /// Events, milliseconds.
    pub(super) events_ms: i64,
    /// Decisions and commands, milliseconds.
    pub(super) decisions_ms: i64,
    /// Of this many partitions.
    pub(super) partitions: u32,
}

/// Whether there is anything to trim.
pub(super) fn due(read: &ReadTransaction, keep: Keep, now_ms: i64) -> Result<bool, Stop> {
    let (events, snapshots) = (read.open_table(EVENTS)?, read.open_table(SNAPSHOTS)?);
    let (decisions, commands, newest) =
        (read.open_table(DECISIONS)?, read.open_table(COMMANDS)?, read.open_table(NEWEST)?);
    for partition in 0..keep.partitions {
        if !old_events(&events, &snapshots, partition, now_ms - keep.events_ms, 1)?.is_empty()
            || !old_decisions(&decisions, partition, now_ms - keep.decisions_ms, 1)?.is_empty()
            || !old_commands(&commands, &newest, partition, now_ms - keep.decisions_ms, 1)?.is_empty()
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Trims one step of each table. Answers whether there was anything.
pub(super) fn step(tables: &mut Tables<'_>, keep: Keep, now_ms: i64) -> Result<bool, Stop> {
    let mut any = false;
    for partition in 0..keep.partitions {
        let before_ms = now_ms - keep.events_ms;
        for offset in old_events(&tables.events, &tables.snapshots, partition, before_ms, STEP_ROWS_MAX)? {
            tables.events.remove((partition, offset))?;
            any = true;
        }
        let before_ms = now_ms - keep.decisions_ms;
        for (serial, tenant, group) in old_decisions(&tables.decisions, partition, before_ms, STEP_ROWS_MAX)? {
            tables.decisions.remove((partition, serial))?;
            tables.decided.remove((tenant.as_str(), group.as_str(), serial))?;
            any = true;
        }
        for (mark, ended) in old_commands(&tables.commands, &tables.newest, partition, before_ms, STEP_ROWS_MAX)? {
            tables.commands.remove((partition, mark))?;
            if let Some(uid) = ended {
                tables.current.remove((partition, mark))?;
                tables.newest.remove((partition, uid))?;
            }
            any = true;
        }
    }
    Ok(any)
}

fn old_events(
    events: &impl ReadableTable<(u32, u64), (i64, &'static [u8])>,
    snapshots: &impl ReadableTable<(u32, u64), &'static [u8]>,
    partition: u32,
    before_ms: i64,
    most: usize,
) -> Result<Vec<u64>, Stop> {
    let oldest = snapshots.range((partition, 0)..=(partition, u64::MAX))?.next().transpose()?;
    let Some(needed) = oldest.map(|(key, _)| key.value().1) else { return Ok(Vec::new()) };
    let mut old = Vec::new();
    for row in events.range((partition, 0)..(partition, needed))?.take(most) {
        let (key, row) = row?;
        if row.value().0 >= before_ms {
            break;
        }
        old.push(key.value().1);
    }
    Ok(old)
}

fn old_decisions(
    decisions: &impl ReadableTable<(u32, u64), &'static [u8]>,
    partition: u32,
    before_ms: i64,
    most: usize,
) -> Result<Vec<(u64, String, String)>, Stop> {
    let mut old = Vec::new();
    for row in decisions.range((partition, 0)..=(partition, u64::MAX))?.take(most) {
        let (key, row) = row?;
        let decision: Decision = decode(row.value(), "a decision")?;
        if decision.at >= before_ms {
            break;
        }
        old.push((key.value().1, decision.tenant, decision.group));
    }
    Ok(old)
}

/// Old commands of the history, each with the group uid it ended, where it is still that one's newest: the command of a
/// group that is gone leaves the table with it. The newest of a living group stays there for as long as the group.
fn old_commands(
    commands: &impl ReadableTable<(u32, u64), &'static [u8]>,
    newest: &impl ReadableTable<(u32, u64), (u64, u64)>,
    partition: u32,
    before_ms: i64,
    most: usize,
) -> Result<Vec<(u64, Option<u64>)>, Stop> {
    let mut old = Vec::new();
    for row in commands.range((partition, 0)..=(partition, u64::MAX))?.take(most) {
        let (key, row) = row?;
        let (mark, command) = (key.value().1, decode::<Command>(row.value(), "a command")?);
        if command.decided >= before_ms {
            break;
        }
        let newest = newest.get((partition, command.uid.0))?.is_some_and(|row| row.value().0 == mark);
        old.push((mark, (newest && command.retired.is_some()).then_some(command.uid.0)));
    }
    Ok(old)
}
