//! The log in the file. Offsets start at 0 and leave no gap; append times never run backwards within a partition.

use super::{
    super::{Error, LINE_BYTES_MAX, Line, Log, READ_BYTES_MAX, Result},
    Embedded,
    signals::Change,
    store::Stop,
    tables::{ENDS, EVENTS},
    writer::Batch,
};
use redb::{ReadTransaction, ReadableTable};
use std::time::Duration;
use weir_engine::{event::Event, id::Position};

impl Log for Embedded {
    fn log_id(&self) -> String {
        self.log_id.clone()
    }

    fn partitions(&self) -> u32 {
        self.partitions
    }

    fn append(&self, partition: u32, events: &[Event]) -> Result<u64> {
        self.check(partition)?;
        let lines: Vec<String> = events.iter().map(Event::to_line).collect();
        if let Some((event, line)) = events.iter().zip(&lines).find(|(_, line)| line.len() > LINE_BYTES_MAX) {
            let bytes = line.len();
            return Err(Error::Failed(format!(
                "the event `{}` has {bytes} bytes and a line holds {LINE_BYTES_MAX}: split it",
                event.id
            )));
        }
        if lines.is_empty() {
            return Ok(self.signals.get(partition).next);
        }
        let bytes = lines.iter().map(String::len).sum();
        self.write(bytes, move |batch| append(batch, partition, &lines))
    }

    fn read(&self, partition: u32, from: u64, most: usize) -> Result<Vec<Line>> {
        self.check(partition)?;
        self.store.read(|read| {
            let events = read.open_table(EVENTS)?;
            let (oldest, next) = range(read, partition)?;
            if from < oldest {
                let (asked, oldest) = (Position { partition, offset: from }, Position { partition, offset: oldest });
                return Err(Error::OutOfRange(format!(
                    "record `{asked}` is not kept any more: the oldest is `{oldest}`"
                ))
                .into());
            }
            let (mut lines, mut bytes) = (Vec::new(), 0);
            for row in events.range((partition, from)..(partition, next))? {
                let (key, value) = row?;
                let (appended_ms, line) = value.value();
                bytes += line.len();
                if lines.len() >= most || (bytes > READ_BYTES_MAX && !lines.is_empty()) {
                    break;
                }
                lines.push(Line { offset: key.value().1, appended_ms, bytes: line.to_vec() });
            }
            Ok(lines)
        })
    }

    fn range(&self, partition: u32) -> Result<(u64, u64)> {
        self.check(partition)?;
        self.store.read(|read| range(read, partition))
    }

    fn offset_at(&self, partition: u32, at_ms: i64) -> Result<u64> {
        self.check(partition)?;
        self.store.read(|read| {
            let events = read.open_table(EVENTS)?;
            let (oldest, next) = range(read, partition)?;
            // Append times never run backwards, so the newest that is not too late is found by halving.
            let (mut low, mut high) = (oldest, next);
            while low < high {
                let middle = low + (high - low) / 2;
                let appended_ms = events.get((partition, middle))?.map_or(i64::MIN, |row| row.value().0);
                if appended_ms <= at_ms { low = middle + 1 } else { high = middle }
            }
            Ok(low.saturating_sub(1).max(oldest))
        })
    }

    fn wait_for(&self, partition: u32, offset: u64, patience: Duration) -> bool {
        self.signals.wait(partition, patience, |seen| seen.next > offset)
    }
}

/// The offsets kept, at one moment.
pub(super) fn range(read: &ReadTransaction, partition: u32) -> std::result::Result<(u64, u64), Stop> {
    let next = read.open_table(ENDS)?.get(partition)?.map(|row| row.value().0).unwrap_or_default();
    let events = read.open_table(EVENTS)?;
    let oldest =
        events.range((partition, 0)..(partition, next))?.next().transpose()?.map_or(next, |(key, _)| key.value().1);
    Ok((oldest, next))
}

fn append(batch: &mut Batch<'_>, partition: u32, lines: &[String]) -> std::result::Result<u64, Stop> {
    if let Some(full) = &batch.full {
        return Err(Error::Full(full.clone()).into());
    }
    let (first, newest_ms, mark) = batch.tables.ends.get(partition)?.map(|row| row.value()).unwrap_or_default();
    let appended_ms = batch.now_ms.max(newest_ms);
    let mut next = first;
    for line in lines {
        batch.tables.events.insert((partition, next), (appended_ms, line.as_bytes()))?;
        next += 1;
    }
    batch.tables.ends.insert(partition, (next, appended_ms, mark))?;
    batch.changes.push((partition, Change::Next(next)));
    Ok(first)
}
