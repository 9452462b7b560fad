//! The thread that follows the `commands` topic into the [`Table`]: one consumer for all partitions that anybody asked for.

use super::{
    super::{Error, Result},
    failure::{cannot, is_passing, words},
    reader::settled,
    settings::{BaseConsumer, Sees, Settings, number},
    table::Table,
};
use rdkafka::{Message, Offset, TopicPartitionList, consumer::Consumer, error::KafkaError};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// How long a partition that is asked for first waits for transactions under way in it. An owner that died in one is no
/// reason to know nothing.
const SETTLES_IN: Duration = Duration::from_secs(5);

/// The running thread. Dropping it ends it.
pub(super) struct Tail {
    settings: Settings,
    topic: String,
    consumer: Arc<BaseConsumer>,
    followed: Mutex<BTreeSet<u32>>,
    /// Where each ended when it was first asked for.
    ends: Arc<Mutex<BTreeMap<u32, u64>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Tail {
    pub(super) fn start(settings: Settings, topic: String, table: Arc<Table>) -> Result<Self> {
        let consumer = Arc::new(settings.consumer("reader", Sees::Committed)?);
        let stop = Arc::new(AtomicBool::new(false));
        let ends = Arc::<Mutex<BTreeMap<u32, u64>>>::default();
        let (reads, stops, known) = (Arc::clone(&consumer), Arc::clone(&stop), Arc::clone(&ends));
        let thread = thread::Builder::new()
            .name("weir-commands".into())
            .spawn(move || follow(&reads, &table, &known, &stops))
            .map_err(|error| Error::Failed(format!("cannot start a thread: {error}")))?;
        Ok(Self { settings, topic, consumer, followed: Mutex::default(), ends, stop, thread: Some(thread) })
    }

    /// From now on the partition is followed.
    pub(super) fn follow(&self, partition: u32, asker: &BaseConsumer) -> Result<()> {
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        if followed.contains(&partition) {
            return Ok(());
        }
        let settled = settled(&self.settings, asker, &self.consumer, &self.topic, partition, SETTLES_IN);
        let end = settled.map(|(_, end)| end).unwrap_or_else(|error| {
            tracing::warn!(partition, %error, "following the commands without those of a transaction under way");
            u64::MAX
        });
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).insert(partition, end);
        let mut place = TopicPartitionList::with_capacity(1);
        place
            .add_partition_offset(&self.topic, number(partition), Offset::Beginning)
            .and_then(|()| self.consumer.incremental_assign(&place))
            .map_err(|error| cannot(&format!("follow `{}`", self.topic), &error))?;
        followed.insert(partition);
        Ok(())
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // What it read is in memory only.
            let _ = thread.join();
        }
    }
}

fn follow(consumer: &BaseConsumer, table: &Table, ends: &Mutex<BTreeMap<u32, u64>>, stop: &AtomicBool) {
    while !stop.load(Ordering::Acquire) {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                let partition = u32::try_from(message.partition()).unwrap_or_default();
                if let Err(error) = table.read(&message) {
                    // A command that cannot be read must not be passed over in silence: who reads the table waits in vain.
                    tracing::error!(partition, %error, "the commands cannot be followed any further");
                    return;
                }
                // Of a topic that is written all the time no client says that it has been read to its end.
                let end = ends.lock().unwrap_or_else(PoisonError::into_inner).get(&partition).copied();
                let next = u64::try_from(message.offset()).map_or(0, |offset| offset + 1);
                if end.is_some_and(|end| next >= end) {
                    table.is_ready(partition);
                }
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                table.is_ready(u32::try_from(partition).unwrap_or_default());
            }
            Some(Err(error)) if is_passing(&error) => {}
            Some(Err(error)) => tracing::warn!(error = words(&error), "following the commands"),
            None => {}
        }
    }
}
