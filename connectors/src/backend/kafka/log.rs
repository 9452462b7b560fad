//! The log in the `events` topic. Offsets are Kafka's own and leave no gap, since no transaction ever writes there.
//!
//! Append times are the broker's, as they are: a broker whose clock is set back makes one that is earlier than the one before,
//! and every reader sees the same, wherever it begins. The engine's time is the largest so far.

use super::{
    super::{Error, LINE_BYTES_MAX, Line, Log, Result},
    Kafka,
    failure::cannot,
    settings::{ends, number},
};
use rdkafka::{Offset, TopicPartitionList, consumer::Consumer};
use std::time::{Duration, Instant};
use weir_engine::{event::Event, id::Position};

impl Log for Kafka {
    fn log_id(&self) -> String {
        self.identity.log_id.clone()
    }

    fn partitions(&self) -> u32 {
        self.identity.partitions
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
            return Ok(self.range(partition)?.1);
        }
        self.must_be_here()?;
        // What is written now comes after all that is known now; in a topic that was made again it does not.
        let known = self.ends.newest(partition);
        let first = self.appender.append(&self.topics.events, partition, &lines)?;
        if let Some(known) = known.filter(|known| first <= *known) {
            let (first, known) = (Position { partition, offset: first }, Position { partition, offset: known });
            return Err(Error::Damaged(format!(
                "it was written as `{first}` and `{known}` was there before, so `{}` was deleted and made again; it is not in the \
                 log: stop Weir, and bring the topic back or begin a new installation under another `prefix`",
                self.topics.events
            )));
        }
        self.ends.reached(partition, first + lines.len() as u64 - 1);
        Ok(first)
    }

    fn read(&self, partition: u32, from: u64, most: usize) -> Result<Vec<Line>> {
        self.check(partition)?;
        let lines = self.readers.read(partition, from, most, || self.range(partition))?;
        if let Some(last) = lines.last() {
            self.ends.seen(partition, last.offset, last.appended_ms);
        }
        Ok(lines)
    }

    fn range(&self, partition: u32) -> Result<(u64, u64)> {
        self.check(partition)?;
        ends(&self.asker, &self.topics.events, partition, self.settings.patience)
    }

    fn offset_at(&self, partition: u32, at_ms: i64) -> Result<u64> {
        let (oldest, end) = self.range(partition)?;
        let mut place = TopicPartitionList::with_capacity(1);
        let asked = |error| cannot(&format!("find a time in `{}`", self.topics.events), &error);
        // Kafka answers the first that is not earlier; the one before that of a millisecond later is the newest not later.
        let later = Offset::Offset(at_ms.saturating_add(1).max(0));
        place.add_partition_offset(&self.topics.events, number(partition), later).map_err(asked)?;
        let found = self.asker.offsets_for_times(place, self.settings.patience).map_err(asked)?;
        let first_later = found.elements().first().map(|element| element.offset());
        Ok(match first_later {
            Some(Offset::Offset(offset)) => u64::try_from(offset).unwrap_or_default(),
            _ => end,
        }
        .saturating_sub(1)
        .max(oldest))
    }

    fn wait_for(&self, partition: u32, offset: u64, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        // Who waits asks again, and is told what is wrong where it reads.
        self.check(partition).is_ok()
            && self.readers.wait_for(partition, offset, until, || self.range(partition)).unwrap_or_else(|_| {
                std::thread::sleep(until.saturating_duration_since(Instant::now()));
                false
            })
    }
}
