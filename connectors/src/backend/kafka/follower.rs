//! The thread that brings outputs into the store: behind the commits, in order, at least once.
//!
//! Runs where a step machine is owned. Two of them at one partition, while an owner does not know yet that it was replaced,
//! write the same rows twice. How far one is stands with the broker, under a group of its own without members.

use super::{
    super::{Error, Kept, Result, Store, View},
    Kafka,
    failure::{cannot, is_passing, words},
    record::{Output, WRITTEN, Written, decode, encode},
    settings::{BaseConsumer, Sees, ends, number},
};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer},
    error::KafkaError,
    message::BorrowedMessage,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use weir_engine::command::Command;

/// Outputs of one batch at most.
const BATCH: usize = 4_096;
/// How long a batch waits for more.
const GATHER: Duration = Duration::from_millis(20);
/// A store that fails is tried again after this long.
const RETRY: Duration = Duration::from_secs(1);

/// What the thread and its handle share.
#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    state: Mutex<State>,
    bell: Condvar,
}

#[derive(Default)]
struct State {
    /// Partitions to follow.
    wanted: BTreeSet<u32>,
    /// One past the newest output of each that is in the store.
    done: BTreeMap<u32, u64>,
    /// What the store said last, where it fails.
    trouble: Option<String>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

/// The running thread. Dropping it ends it; what it has not written the next one writes.
pub struct Follower {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    /// Starts it with nothing to follow.
    ///
    /// # Errors
    /// Where no consumer or no thread can be made.
    pub fn start(kafka: Arc<Kafka>, store: Arc<dyn Store>) -> Result<Self> {
        let shared = Arc::<Shared>::default();
        let consumer = kafka.settings.consumer("history", Sees::Committed)?;
        let mut work = Work { kafka, store, consumer, shared: Arc::clone(&shared), followed: BTreeSet::new() };
        let thread = thread::Builder::new()
            .name("weir-history".into())
            .spawn(move || work.run())
            .map_err(|error| Error::Failed(format!("cannot start a thread: {error}")))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Follows a partition from where the last follower was.
    pub fn follow(&self, partition: u32) {
        self.shared.lock().wanted.insert(partition);
    }

    /// Leaves a partition to somebody else.
    pub fn leave(&self, partition: u32) {
        self.shared.lock().wanted.remove(&partition);
    }

    /// Waits until the output at `offset` is in the store, or for `patience`. Answers whether it is.
    #[must_use]
    pub fn wait(&self, partition: u32, offset: u64, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let mut state = self.shared.lock();
        loop {
            if state.done.get(&partition).is_some_and(|done| *done > offset) {
                return true;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || !state.wanted.contains(&partition) {
                return false;
            }
            state = self.shared.bell.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What the store says, where it takes nothing now.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.shared.lock().trouble.clone()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // Were it to have broken off, nothing is lost but time: its place is with the broker.
            let _ = thread.join();
        }
    }
}

/// What the thread has.
struct Work {
    kafka: Arc<Kafka>,
    store: Arc<dyn Store>,
    consumer: BaseConsumer,
    shared: Arc<Shared>,
    followed: BTreeSet<u32>,
}

/// Rows of one partition on their way.
#[derive(Default)]
struct Rows {
    commands: Vec<(u64, Command)>,
    decisions: Vec<Kept>,
    views: Vec<(u64, View)>,
    /// One past the newest.
    end: u64,
    /// The newest position that stands before it.
    stepped: Option<u64>,
}

impl Work {
    fn run(&mut self) {
        while !self.shared.stopping() {
            if let Err(error) = self.turn() {
                self.shared.lock().trouble = Some(error.to_string());
                tracing::warn!(%error, "the history is not written on; trying again");
                self.begin_again();
                self.pause(RETRY);
            }
        }
    }

    fn turn(&mut self) -> Result<()> {
        self.follow_what_is_wanted()?;
        let batch = self.gather()?;
        if batch.is_empty() {
            return Ok(());
        }
        for (partition, rows) in &batch {
            self.store.write_commands(*partition, &rows.commands)?;
            self.store.write_decisions(&rows.decisions)?;
            self.store.write_views(*partition, &rows.views)?;
        }
        self.done(&batch)
    }

    fn done(&self, batch: &BTreeMap<u32, Rows>) -> Result<()> {
        let topic = &self.kafka.topics.outputs;
        let mut places = TopicPartitionList::with_capacity(batch.len());
        {
            let mut state = self.shared.lock();
            state.trouble = None;
            for (partition, rows) in batch {
                state.done.insert(*partition, rows.end);
            }
        }
        self.shared.bell.notify_all();
        for (partition, rows) in batch {
            let end = Offset::Offset(i64::try_from(rows.end).unwrap_or(i64::MAX));
            places
                .add_partition_offset(topic, number(*partition), end)
                .map_err(|error| cannot("write down how far the history is", &error))?;
            if let Some(next) = rows.stepped {
                let written = encode(&Written { next })?;
                self.kafka.appender.announce(&self.kafka.topics.commands, *partition, WRITTEN, &written);
            }
        }
        // One that is lost makes the next follower write some rows again.
        self.consumer
            .commit(&places, CommitMode::Async)
            .map_err(|error| cannot("write down how far the history is", &error))
    }

    fn gather(&self) -> Result<BTreeMap<u32, Rows>> {
        let mut batch = BTreeMap::<u32, Rows>::new();
        let (mut count, mut until) = (0, Instant::now() + Duration::from_millis(100));
        while count < BATCH {
            match self.consumer.poll(until.saturating_duration_since(Instant::now())) {
                Some(Ok(message)) => {
                    if count == 0 {
                        until = Instant::now() + GATHER;
                    }
                    count += 1;
                    let partition = u32::try_from(message.partition()).unwrap_or_default();
                    self.take(batch.entry(partition).or_default(), &message)?;
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {}
                Some(Err(error)) if is_passing(&error) => {}
                Some(Err(error)) => return Err(cannot("read the outputs", &error)),
                None => {}
            }
            if Instant::now() >= until {
                break;
            }
        }
        Ok(batch)
    }

    fn take(&self, rows: &mut Rows, message: &BorrowedMessage<'_>) -> Result<()> {
        let offset = u64::try_from(message.offset()).unwrap_or_default();
        rows.end = offset + 1;
        let Some(value) = message.payload() else { return Ok(()) };
        match decode(value, &self.kafka.topics.outputs)? {
            Output::Command { mark, command } => rows.commands.push((mark, command)),
            Output::Decision { serial, decision } => rows.decisions.push(Kept { serial, decision }),
            // The place in the topic is an order that rises, also over owners.
            Output::View { kind, tenant, name, row } => rows.views.push((offset, View { kind, tenant, name, row })),
            Output::Stepped(standing) => rows.stepped = Some(standing.committed.next),
        }
        Ok(())
    }

    fn follow_what_is_wanted(&mut self) -> Result<()> {
        let wanted = self.shared.lock().wanted.clone();
        if wanted == self.followed {
            return Ok(());
        }
        let topic = self.kafka.topics.outputs.clone();
        let cannot_follow = |error| cannot("follow the outputs", &error);
        let mut more = TopicPartitionList::new();
        for partition in wanted.difference(&self.followed) {
            more.add_partition(&topic, number(*partition));
        }
        if more.count() > 0 {
            let more = self.consumer.committed_offsets(more, self.kafka.settings.patience).map_err(cannot_follow)?;
            for mut element in more.elements() {
                element.error().map_err(cannot_follow)?;
                if !matches!(element.offset(), Offset::Offset(at) if self.is_kept(element.partition(), at)?) {
                    element.set_offset(Offset::Beginning).map_err(cannot_follow)?;
                }
            }
            let begun = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| match element.offset() {
                Offset::Offset(offset) => Some((u32::try_from(element.partition()).ok()?, u64::try_from(offset).ok()?)),
                _ => None,
            };
            self.shared.lock().done.extend(more.elements().iter().filter_map(begun));
            self.consumer.incremental_assign(&more).map_err(cannot_follow)?;
        }
        let mut fewer = TopicPartitionList::new();
        for partition in self.followed.difference(&wanted) {
            fewer.add_partition(&topic, number(*partition));
        }
        if fewer.count() > 0 {
            self.consumer.incremental_unassign(&fewer).map_err(cannot_follow)?;
        }
        self.followed = wanted;
        Ok(())
    }

    /// Whether the outputs from there on are still in the topic. Those that nobody brought into the store in a week are not,
    /// and the history has a gap, which is better than none from then on.
    fn is_kept(&self, partition: i32, at: i64) -> Result<bool> {
        let (partition, at) = (u32::try_from(partition).unwrap_or_default(), u64::try_from(at).unwrap_or_default());
        let (oldest, _) = ends(&self.kafka.asker, &self.kafka.topics.outputs, partition, self.kafka.settings.patience)?;
        if at < oldest {
            tracing::error!(
                partition,
                at,
                oldest,
                "outputs are gone that were not in the store yet: the history has a gap"
            );
        }
        Ok(at >= oldest)
    }

    /// Reads again from where the broker says that we were: what was gathered is lost with the error.
    fn begin_again(&mut self) {
        if let Err(error) = self.consumer.unassign() {
            tracing::warn!(error = words(&error), "the outputs are not let go of");
        }
        self.followed.clear();
    }

    fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while !self.shared.stopping() && Instant::now() < until {
            thread::sleep(Duration::from_millis(20));
        }
    }
}
