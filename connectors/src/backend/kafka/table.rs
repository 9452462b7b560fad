//! Commands as executors read them, and how each step machine stands: the `commands` topic in memory, and a bell.
//!
//! Filled by the [`tail`](super::tail), and by a commit of this process as soon as it is answered, whichever is first; what is
//! older than what is known changes nothing.

use super::{
    super::{Error, READ_BYTES_MAX, Result, Skip},
    record::{Given, SKIP, STEPPED, Standing, WRITTEN, Written, decode},
};
use rdkafka::Message;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use weir_engine::{command::Command, id::GroupUid};

/// What is known of one partition.
#[derive(Default)]
pub(super) struct Rows {
    /// All that was in the topic when it was first asked for is here.
    ready: bool,
    standing: Standing,
    /// Where the standing was read, and no older one is believed.
    standing_at: Option<i64>,
    /// When it was written, epoch milliseconds.
    stood_ms: i64,
    written: u64,
    /// Why records are passed over, by offset.
    skips: BTreeMap<u64, Skip>,
    /// The newest command of each uid, by mark.
    commands: BTreeMap<u64, Command>,
    newest: HashMap<GroupUid, (u64, u64)>,
}

impl Rows {
    fn stand(&mut self, at: i64, written_ms: i64, standing: Standing) {
        if self.standing_at.is_none_or(|known| known < at) {
            (self.standing_at, self.stood_ms, self.standing) = (Some(at), written_ms, standing);
        }
    }

    fn give(&mut self, given: Given) {
        let Given { mark, command } = given;
        if let Some((replaced, generation)) = self.newest.get(&command.uid) {
            if command.generation <= *generation {
                return;
            }
            self.commands.remove(replaced);
        }
        self.newest.insert(command.uid, (mark, command.generation));
        self.commands.insert(mark, command);
    }

    fn mark(&self) -> u64 {
        self.commands.last_key_value().map_or(0, |(mark, _)| *mark)
    }
}

/// All partitions that anybody asked for.
#[derive(Default)]
pub(super) struct Table {
    partitions: Mutex<HashMap<u32, Rows>>,
    bell: Condvar,
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Rows>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a record of the topic. Without a value it says nothing: commands are never taken away.
    pub(super) fn read(&self, message: &impl Message) -> Result<()> {
        let Some(value) = message.payload() else { return Ok(()) };
        let (topic, key) = (message.topic(), message.key().unwrap_or_default());
        let partition = u32::try_from(message.partition()).unwrap_or_default();
        if key == STEPPED.as_bytes() {
            let standing = decode(value, topic)?;
            self.lock().entry(partition).or_default().stand(message.offset(), millis(message), standing);
        } else if key == WRITTEN.as_bytes() {
            let Written { next } = decode(value, topic)?;
            let mut partitions = self.lock();
            let rows = partitions.entry(partition).or_default();
            rows.written = rows.written.max(next);
        } else if key.starts_with(SKIP.as_bytes()) {
            let skip: Skip = decode(value, topic)?;
            self.lock().entry(partition).or_default().skips.insert(skip.offset, skip);
        } else {
            let given = decode(value, topic)?;
            self.lock().entry(partition).or_default().give(given);
        }
        self.bell.notify_all();
        Ok(())
    }

    /// Takes in what was committed just now, with the offset at which its standing was written.
    pub(super) fn commit(&self, partition: u32, at: i64, now_ms: i64, standing: Standing, commands: Vec<Given>) {
        let mut partitions = self.lock();
        let rows = partitions.entry(partition).or_default();
        rows.stand(at, now_ms, standing);
        commands.into_iter().for_each(|given| rows.give(given));
        drop(partitions);
        self.bell.notify_all();
    }

    /// The end of what was there has been read.
    pub(super) fn is_ready(&self, partition: u32) {
        self.lock().entry(partition).or_default().ready = true;
        self.bell.notify_all();
    }

    /// How the step machine stands, and when it said so, epoch milliseconds.
    pub(super) fn standing(&self, partition: u32, patience: Duration) -> Result<(Standing, i64)> {
        if !self.wait(partition, patience, |_| true) {
            return Err(Error::Away(format!("the commands of partition {partition} cannot be read yet: try again")));
        }
        Ok(self.lock().get(&partition).map(|rows| (rows.standing.clone(), rows.stood_ms)).unwrap_or_default())
    }

    /// Why records are passed over, as far as it is known.
    pub(super) fn skips(&self, partition: u32) -> BTreeMap<u64, Skip> {
        self.lock().get(&partition).map(|rows| rows.skips.clone()).unwrap_or_default()
    }

    /// Waits until the record at `offset` is applied.
    pub(super) fn wait_stepped(&self, partition: u32, offset: u64, patience: Duration) -> bool {
        self.wait(partition, patience, |rows| rows.standing.committed.next > offset)
    }

    /// Waits until what the record at `offset` gave is in the store.
    pub(super) fn wait_written(&self, partition: u32, offset: u64, patience: Duration) -> bool {
        self.wait(partition, patience, |rows| rows.written > offset)
    }

    /// The newest command of each uid that changed after the mark, and the new mark.
    pub(super) fn commands_after(&self, partition: u32, after: u64, patience: Duration) -> (u64, Vec<Command>) {
        self.wait(partition, patience, |rows| rows.mark() > after);
        let partitions = self.lock();
        let (mut mark, mut commands, mut bytes) = (after, Vec::new(), 0);
        let Some(rows) = partitions.get(&partition).filter(|rows| rows.ready) else { return (mark, commands) };
        for (newest, command) in rows.commands.range(after.saturating_add(1)..) {
            if bytes > READ_BYTES_MAX {
                break;
            }
            bytes += BYTES_OF_A_COMMAND;
            mark = *newest;
            commands.push(command.clone());
        }
        (mark, commands)
    }

    fn wait(&self, partition: u32, patience: Duration, so: impl Fn(&Rows) -> bool) -> bool {
        let until = Instant::now() + patience;
        let mut partitions = self.lock();
        loop {
            if partitions.get(&partition).is_some_and(|rows| rows.ready && so(rows)) {
                return true;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            partitions = self.bell.wait_timeout(partitions, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn millis(message: &impl Message) -> i64 {
    message.timestamp().to_millis().unwrap_or_default()
}

/// About what one takes in memory.
const BYTES_OF_A_COMMAND: usize = 2_048;
