//! Loops that one would write by hand: a consumer, a producer, a commit each 100 ms. What they do with a record is theirs:
//! nothing, or what the engine says.

use super::house::Stretch;
use crate::bench::per_second;
use anyhow::ensure;
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::KafkaError,
    message::BorrowedMessage,
    producer::{BaseProducer, BaseRecord, Producer},
    types::RDKafkaErrorCode,
};
use std::{
    collections::BTreeMap,
    ops::AddAssign,
    thread,
    time::{Duration, Instant},
};
use weir_engine::{partition::Partition, view::Change};

/// How often a position is committed.
const COMMIT: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(60);

/// What was given out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Volume {
    pub records: usize,
    pub bytes: usize,
}

impl AddAssign for Volume {
    fn add_assign(&mut self, other: Self) {
        self.records += other.records;
        self.bytes += other.bytes;
    }
}

/// How a position is committed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Commits {
    /// After what was given out is written: a crash repeats some.
    AtLeastOnce,
    /// In the transaction that carries it.
    ExactlyOnce,
}

/// What is done with records.
pub trait Work {
    /// The next record. What it gives goes into `out`.
    fn take(&mut self, message: &BorrowedMessage<'_>, out: &mut Vec<Vec<u8>>) -> anyhow::Result<()>;

    /// A commit follows. What is still to be given goes into `out`.
    fn flush(&mut self, out: &mut Vec<Vec<u8>>) -> anyhow::Result<()>;
}

/// Decides nothing and gives out what was measured of another, evenly.
pub struct Blank {
    payload: Vec<u8>,
    /// Records for each fact, and how many are owed.
    share: f64,
    owed: f64,
}

impl Blank {
    pub fn new(volume: Volume, stretch: Stretch) -> Self {
        let facts = (stretch.end - stretch.from) as f64;
        // No two bytes alike in a row, so that it does not shrink to nothing on its way; JSON of ours shrinks to a fifth or so.
        let payload =
            (0..volume.bytes / volume.records.max(1)).map(|byte| b"abcdefghijklmnopqrstuvwxyz"[byte * 7 % 26]);
        Self { payload: payload.collect(), share: volume.records as f64 / facts, owed: 0.0 }
    }
}

impl Work for Blank {
    fn take(&mut self, message: &BorrowedMessage<'_>, out: &mut Vec<Vec<u8>>) -> anyhow::Result<()> {
        ensure!(message.payload().is_some(), "a fact is empty");
        self.owed += self.share;
        while self.owed >= 1.0 {
            self.owed -= 1.0;
            out.push(self.payload.clone());
        }
        Ok(())
    }

    fn flush(&mut self, _: &mut Vec<Vec<u8>>) -> anyhow::Result<()> {
        Ok(())
    }
}

/// Decides as the worker does, and gives out the same.
pub struct Deciding {
    state: Partition,
    rows: BTreeMap<(String, String, u8), Vec<u8>>,
}

impl Deciding {
    pub fn new(state: Partition) -> Self {
        Self { state, rows: BTreeMap::new() }
    }
}

impl Work for Deciding {
    fn take(&mut self, message: &BorrowedMessage<'_>, out: &mut Vec<Vec<u8>>) -> anyhow::Result<()> {
        let (offset, appended_ms) = (u64::try_from(message.offset())?, message.timestamp().to_millis().unwrap_or(0));
        let effects = self.state.step_line(offset, appended_ms, message.payload().unwrap_or_default())?;
        for command in &effects.commands {
            // As a table, and as history.
            let text = serde_json::to_vec(command)?;
            out.extend([text.clone(), text]);
        }
        for decision in &effects.decisions {
            out.push(serde_json::to_vec(decision)?);
        }
        for row in effects.rows {
            let (kind, text) = match row.change {
                Change::Group(group) => (0, serde_json::to_vec(&group)?),
                Change::GroupGone => (0, Vec::new()),
                Change::Policy(policy) => (1, serde_json::to_vec(&policy)?),
                Change::Cursor(cursor) => (2, serde_json::to_vec(&cursor)?),
                Change::Tenant(tenant) => (3, serde_json::to_vec(&tenant)?),
            };
            self.rows.insert((row.tenant, row.name, kind), text);
        }
        Ok(())
    }

    fn flush(&mut self, out: &mut Vec<Vec<u8>>) -> anyhow::Result<()> {
        out.extend(std::mem::take(&mut self.rows).into_values());
        Ok(())
    }
}

/// Where loops give out.
pub fn out_topic(prefix: &str) -> String {
    format!("{prefix}-bench")
}

/// Reads a stretch of the events, works, gives out and commits. Answers records a second, from the first one on.
pub fn pass(
    address: &str,
    prefix: &str,
    stretch: Stretch,
    commits: Commits,
    work: &mut impl Work,
) -> anyhow::Result<f64> {
    let events = &format!("{prefix}-events");
    let consumer = reader(address, events, stretch.from)?;
    let producer = Out::new(address, prefix, commits)?;
    let (mut out, mut done, mut began, mut committed) = (Vec::new(), 0, None, Instant::now());
    let facts = usize::try_from(stretch.end - stretch.from)?;
    while done < facts {
        let Some(message) = consumer.poll(Duration::from_millis(100)) else {
            ensure!(committed.elapsed() < PATIENCE, "no broker hands out `{events}`");
            continue;
        };
        let message = match message {
            Err(KafkaError::PartitionEOF(_)) => continue,
            message => message?,
        };
        if began.is_none() {
            (began, committed) = (Some(Instant::now()), Instant::now());
        }
        work.take(&message, &mut out)?;
        producer.send(&mut out)?;
        done += 1;
        if committed.elapsed() >= COMMIT || done == facts {
            work.flush(&mut out)?;
            producer.send(&mut out)?;
            producer.commit(&consumer, events, message.offset() + 1)?;
            committed = Instant::now();
        }
    }
    Ok(per_second(facts, began.unwrap_or(committed).elapsed()))
}

/// The way out.
struct Out {
    producer: BaseProducer,
    topic: String,
    commits: Commits,
}

impl Out {
    fn new(address: &str, prefix: &str, commits: Commits) -> anyhow::Result<Self> {
        let mut config = ClientConfig::new();
        // As the worker's own producer, so that it is the loop that is compared.
        config.set("bootstrap.servers", address).set("acks", "all").set("enable.idempotence", "true");
        config.set("compression.type", "lz4").set("linger.ms", "5");
        if commits == Commits::ExactlyOnce {
            config.set("transactional.id", format!("{prefix}-bench"));
        }
        let out = Self { producer: config.create()?, topic: out_topic(prefix), commits };
        if commits == Commits::ExactlyOnce {
            out.producer.init_transactions(PATIENCE)?;
            out.producer.begin_transaction()?;
        }
        Ok(out)
    }

    fn send(&self, out: &mut Vec<Vec<u8>>) -> anyhow::Result<()> {
        for payload in out.drain(..) {
            let mut record = BaseRecord::<(), [u8]>::to(&self.topic).partition(0).payload(&payload);
            while let Err((error, refused)) = self.producer.send(record) {
                ensure!(error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull), error);
                record = refused;
                self.serve();
            }
        }
        Ok(())
    }

    /// As the worker's own producer waits, without running in a circle.
    fn serve(&self) {
        self.producer.poll(Duration::ZERO);
        thread::sleep(Duration::from_micros(500));
    }

    fn commit(&self, consumer: &BaseConsumer, events: &str, next: i64) -> anyhow::Result<()> {
        // A commit takes a tenth of a second and more while anything is on its way.
        while self.producer.in_flight_count() > 0 {
            self.serve();
        }
        let mut place = TopicPartitionList::new();
        place.add_partition_offset(events, 0, Offset::Offset(next))?;
        if self.commits == Commits::AtLeastOnce {
            return Ok(consumer.commit(&place, CommitMode::Async)?);
        }
        let group = consumer.group_metadata().ok_or_else(|| anyhow::anyhow!("the group has no name"))?;
        self.producer.send_offsets_to_transaction(&place, &group, PATIENCE)?;
        self.producer.commit_transaction(PATIENCE)?;
        Ok(self.producer.begin_transaction()?)
    }
}

fn reader(address: &str, topic: &str, from: u64) -> anyhow::Result<BaseConsumer> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address).set("group.id", format!("{topic}-bench"));
    config.set("enable.auto.commit", "false").set("enable.partition.eof", "true");
    let consumer: BaseConsumer = config.set("isolation.level", "read_committed").create()?;
    let mut place = TopicPartitionList::new();
    place.add_partition_offset(topic, 0, Offset::Offset(i64::try_from(from)?))?;
    consumer.assign(&place)?;
    Ok(consumer)
}

/// One past the newest record.
pub fn end(address: &str, topic: &str) -> anyhow::Result<u64> {
    let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", address).create()?;
    Ok(u64::try_from(consumer.fetch_watermarks(topic, 0, PATIENCE)?.1)?)
}

/// What stands in a topic from a record on.
pub fn volume(address: &str, topic: &str, from: u64) -> anyhow::Result<Volume> {
    let (consumer, mut volume, began) = (reader(address, topic, from)?, Volume::default(), Instant::now());
    loop {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(volume),
            Some(message) => volume += Volume { records: 1, bytes: message?.payload_len() },
            None => ensure!(began.elapsed() < PATIENCE, "no broker hands out `{topic}`"),
        }
    }
}
