//! Reading records in order: events by whoever asks for a stretch of them, small topics whole.
//!
//! A reader is a consumer that is given one partition and a place. Who reads on where they stopped gets the same reader
//! back, which has fetched ahead meanwhile. None of them is in a group, commits, or guesses where to begin.

use super::{
    super::{Error, LINE_BYTES_MAX, Line, READ_BYTES_MAX, Result},
    failure::{cannot, is_out_of_range, is_passing},
    settings::{BaseConsumer, Sees, Settings, ends, number},
};
use rdkafka::{Message, Offset, TopicPartitionList, consumer::Consumer, error::KafkaError, message::BorrowedMessage};
use std::{
    collections::VecDeque,
    ops::Range,
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};
use weir_engine::id::Position;

/// Readers of one partition that are kept for who comes back: the engine's, and one for `why` and exports.
const IDLE_MAX: usize = 2;

/// A consumer at a place of a partition.
struct Reader {
    consumer: BaseConsumer,
    partition: u32,
    /// The offset of the next line it gives.
    next: u64,
    /// Lines that were fetched by somebody who only waited for them, or before a hole was noticed.
    ahead: VecDeque<Line>,
    /// It has been at the end.
    ended: bool,
}

/// What a look at a reader showed.
enum Seen {
    Line(Line),
    Nothing,
}

impl Reader {
    /// The next line, waited for until `until`.
    fn look(&mut self, until: Instant) -> Result<Seen> {
        if let Some(line) = self.ahead.pop_front() {
            return Ok(Seen::Line(self.give(line)));
        }
        loop {
            match self.consumer.poll(until.saturating_duration_since(Instant::now())) {
                Some(Ok(message)) => {
                    let line = line(&message);
                    return Ok(Seen::Line(self.give(line)));
                }
                // Who waits goes on waiting: there is more once somebody writes.
                Some(Err(KafkaError::PartitionEOF(_))) => self.ended = true,
                Some(Err(error)) if is_passing(&error) => {}
                Some(Err(error)) if is_out_of_range(&error) => {
                    let asked = Position { partition: self.partition, offset: self.next };
                    return Err(Error::OutOfRange(format!("record `{asked}` is not in the log")));
                }
                Some(Err(error)) => return Err(cannot("read the log", &error)),
                None => {}
            }
            if Instant::now() >= until {
                return Ok(Seen::Nothing);
            }
        }
    }

    /// The line, or in its place a hole: where offsets are missing, something other than Weir has written, in a transaction or
    /// with a key, and who reads must neither pass that over nor wait for it.
    fn give(&mut self, line: Line) -> Line {
        let at = self.next;
        self.next += 1;
        if line.offset == at {
            return line;
        }
        let hole = Line { offset: at, appended_ms: line.appended_ms, bytes: Vec::new() };
        self.ahead.push_front(line);
        hole
    }
}

fn line(message: &BorrowedMessage<'_>) -> Line {
    let offset = u64::try_from(message.offset()).unwrap_or(u64::MAX);
    let appended_ms = message.timestamp().to_millis().unwrap_or_default();
    Line { offset, appended_ms, bytes: message.payload().unwrap_or_default().to_vec() }
}

/// The readers of the events.
pub(super) struct Readers {
    settings: Settings,
    topic: String,
    /// Those that nobody uses now, the longest idle first.
    idle: Mutex<Vec<Reader>>,
}

impl Readers {
    pub(super) fn new(settings: Settings, topic: String) -> Self {
        Self { settings, topic, idle: Mutex::new(Vec::new()) }
    }

    /// At most `most` lines from `from` on, at least one where `range` says that there is one.
    pub(super) fn read(
        &self,
        partition: u32,
        from: u64,
        most: usize,
        range: impl Fn() -> Result<(u64, u64)>,
    ) -> Result<Vec<Line>> {
        if most == 0 {
            return Ok(Vec::new());
        }
        let mut reader = self.at(partition, from);
        if let Some(mut known) = reader.take() {
            let lines = gather(&mut known, most, Instant::now())?;
            if !lines.is_empty() {
                self.put_back(known);
                return Ok(lines);
            }
            reader = Some(known);
        }
        let (oldest, end) = range()?;
        if from < oldest {
            let (asked, oldest) = (Position { partition, offset: from }, Position { partition, offset: oldest });
            return Err(Error::OutOfRange(format!("record `{asked}` is not kept any more: the oldest is `{oldest}`")));
        }
        if from >= end {
            if let Some(reader) = reader {
                self.put_back(reader);
            }
            return Ok(Vec::new());
        }
        let mut reader = match reader {
            Some(reader) => reader,
            None => self.fresh(partition, from)?,
        };
        let lines = gather(&mut reader, most, Instant::now() + self.settings.patience)?;
        if lines.is_empty()
            && reader.ended
            && from < ends(&reader.consumer, &self.topic, partition, self.settings.patience)?.1
        {
            // The reader was at the end, and what is before the end is no record: the mark of somebody's transaction.
            return Ok(vec![Line { offset: from, appended_ms: 0, bytes: Vec::new() }]);
        }
        if lines.is_empty() {
            let at = Position { partition, offset: from };
            return Err(Error::Away(format!("record `{at}` is in the log and no broker hands it out: try again")));
        }
        self.put_back(reader);
        Ok(lines)
    }

    /// Waits until there is a record at `offset`, or until `until`.
    pub(super) fn wait_for(
        &self,
        partition: u32,
        offset: u64,
        until: Instant,
        range: impl Fn() -> Result<(u64, u64)>,
    ) -> Result<bool> {
        let mut reader = match self.at(partition, offset) {
            Some(reader) if !reader.ahead.is_empty() => {
                self.put_back(reader);
                return Ok(true);
            }
            Some(reader) => reader,
            None => {
                let (_, end) = range()?;
                if offset < end {
                    return Ok(true);
                }
                self.fresh(partition, end)?
            }
        };
        while let Seen::Line(line) = reader.look(until)? {
            if line.offset >= offset {
                reader.next = line.offset;
                reader.ahead.push_front(line);
                self.put_back(reader);
                return Ok(true);
            }
        }
        self.put_back(reader);
        Ok(false)
    }

    /// The reader that stands there, if one is idle.
    fn at(&self, partition: u32, from: u64) -> Option<Reader> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let found = idle.iter().rposition(|reader| reader.partition == partition && reader.next == from)?;
        Some(idle.remove(found))
    }

    fn fresh(&self, partition: u32, from: u64) -> Result<Reader> {
        let consumer = self.settings.consumer("reader", Sees::Committed)?;
        assign(&consumer, &self.topic, partition, from)?;
        Ok(Reader { consumer, partition, next: from, ahead: VecDeque::new(), ended: false })
    }

    fn put_back(&self, reader: Reader) {
        let partition = reader.partition;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(reader);
        let dropped = if idle.iter().filter(|reader| reader.partition == partition).count() > IDLE_MAX {
            idle.iter().position(|reader| reader.partition == partition).map(|oldest| idle.remove(oldest))
        } else {
            None
        };
        // Closing one takes a moment, in which others may want theirs.
        drop(idle);
        drop(dropped);
    }
}

/// The first line until `until`, and what has been fetched already.
fn gather(reader: &mut Reader, most: usize, until: Instant) -> Result<Vec<Line>> {
    let (mut lines, mut bytes) = (Vec::new(), 0);
    while lines.len() < most && bytes <= READ_BYTES_MAX - LINE_BYTES_MAX {
        let until = if lines.is_empty() { until } else { Instant::now() };
        match reader.look(until) {
            Ok(Seen::Line(line)) => {
                bytes += line.bytes.len();
                lines.push(line);
            }
            // What was read is good; the next look meets the error again.
            Ok(Seen::Nothing) => break,
            Err(error) if lines.is_empty() => return Err(error),
            Err(_) => break,
        }
    }
    Ok(lines)
}

/// Gives `consumer` one partition, from an offset on.
pub(super) fn assign(consumer: &BaseConsumer, topic: &str, partition: u32, from: u64) -> Result<()> {
    let mut place = TopicPartitionList::with_capacity(1);
    let from = Offset::Offset(i64::try_from(from).unwrap_or(i64::MAX));
    place
        .add_partition_offset(topic, number(partition), from)
        .and_then(|()| consumer.assign(&place))
        .map_err(|error| cannot(&format!("read `{topic}`"), &error))
}

/// Hands all that a partition of a small topic holds now to `each`, oldest first: keys, and values where there is one.
///
/// What a transaction wrote that was answered is among it: the broker marks the end of a transaction a moment later, and this
/// waits for that.
pub(super) fn whole(
    settings: &Settings,
    asker: &BaseConsumer,
    topic: &str,
    partition: u32,
    mut each: impl FnMut(&[u8], Option<&[u8]>) -> Result<()>,
) -> Result<()> {
    let consumer = settings.reader_to_the_end()?;
    let (oldest, end) = settled(settings, asker, &consumer, topic, partition, settings.patience)?;
    between(&consumer, topic, partition, oldest..end, settings.patience, &mut each)
}

/// What `pick` makes of the newest record of which it makes anything. Looked for from the end that is seen, in steps that grow.
pub(super) fn newest<T>(
    settings: &Settings,
    looker: &Mutex<BaseConsumer>,
    topic: &str,
    partition: u32,
    pick: impl Fn(&[u8], Option<&[u8]>) -> Result<Option<T>>,
) -> Result<Option<T>> {
    let consumer = looker.lock().unwrap_or_else(PoisonError::into_inner);
    let (oldest, end) = ends(&consumer, topic, partition, settings.patience)?;
    let (mut until, mut step, mut found) = (end, 64, Ok(None));
    while until > oldest && matches!(found, Ok(None)) {
        let from = until.saturating_sub(step).max(oldest);
        let mut newest = None;
        found = between(&consumer, topic, partition, from..until, settings.patience, &mut |key, value| {
            newest = pick(key, value)?.or(newest.take());
            Ok(())
        })
        .map(|()| newest);
        (until, step) = (from, step * 8);
    }
    // Or it would go on asking the broker for more.
    consumer.unassign().map_err(|error| cannot(&format!("let go of `{topic}`"), &error))?;
    found
}

/// Takes in a record: its key, and its value where it has one.
type Each<'a> = dyn FnMut(&[u8], Option<&[u8]>) -> Result<()> + 'a;

fn between(
    consumer: &BaseConsumer,
    topic: &str,
    partition: u32,
    range: Range<u64>,
    patience: Duration,
    each: &mut Each<'_>,
) -> Result<()> {
    if range.is_empty() {
        return Ok(());
    }
    assign(consumer, topic, partition, range.start)?;
    let until = Instant::now() + patience;
    loop {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                let next = u64::try_from(message.offset()).unwrap_or_default() + 1;
                if next <= range.end {
                    each(message.key().unwrap_or_default(), message.payload())?;
                }
                // A client tells of the end only where nothing comes for a while, and in a topic that is written all the time
                // that is never. Where a transaction's mark is the last thing, nothing is read there, and it does tell.
                if next >= range.end {
                    return Ok(());
                }
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(()),
            Some(Err(error)) if is_passing(&error) => {}
            Some(Err(error)) => return Err(cannot(&format!("read `{topic}`"), &error)),
            None if Instant::now() > until => {
                return Err(Error::Away(format!("no broker hands out `{topic}`: try again")));
            }
            None => {}
        }
    }
}

/// The ends of a partition once the transactions that were under way in it are, for those who see only committed records.
pub(super) fn settled(
    settings: &Settings,
    asker: &BaseConsumer,
    consumer: &BaseConsumer,
    topic: &str,
    partition: u32,
    patience: Duration,
) -> Result<(u64, u64)> {
    let (_, end) = ends(asker, topic, partition, settings.patience)?;
    let until = Instant::now() + patience;
    loop {
        let (oldest, stable) = ends(consumer, topic, partition, settings.patience)?;
        if stable >= end {
            return Ok((oldest, stable));
        }
        if Instant::now() > until {
            return Err(Error::Failed(format!(
                "a transaction in `{topic}` {partition} does not end: try again once its owner or its time is gone"
            )));
        }
        thread::sleep(Duration::from_millis(2));
    }
}
