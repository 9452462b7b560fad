//! An owner's producer: everything it writes is in transactions under a name that only one process can have.
//!
//! Made by a take-over, which fences whoever had the name. After an error whose outcome is not known it is of no use any
//! more: the way on is another take-over.
//!
//! A broker that is started again may hold a transaction for ended and have written its end nowhere: Apache Kafka 4.3.1, with
//! no other broker beside it, looks for the partitions' leaders before it knows of any, and takes the partitions for deleted.
//! Nobody reads past such a transaction until the name's next one ends in the same partitions, and as that one ends so does
//! it: by one that is taken back, what was answered as committed is gone. So an owner begins nothing before the commit before
//! can be seen, and ends one that stays unseen by a transaction that says nothing ([`Owner::seal`]). A take-over does the
//! same before it reads anything.

use super::{
    super::{Error, Result},
    failure::{cannot, is_fenced, words},
    record::NOBODY,
    settings::{BaseConsumer, Settings, ends, number},
};
use rdkafka::{
    ClientContext, Message, TopicPartitionList,
    consumer::{Consumer, ConsumerGroupMetadata},
    error::KafkaError,
    message::DeliveryResult,
    producer::{BaseProducer, BaseRecord, Producer, ProducerContext},
    types::RDKafkaErrorCode,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// A transaction that is not ended by then is ended by the broker, without what was in it.
const TRANSACTION_MS: &str = "15000";

/// Between two looks at what is on its way, which takes some milliseconds.
const SOON: Duration = Duration::from_micros(500);
/// Between two asks of a broker that said to ask again.
const AGAIN: Duration = Duration::from_millis(10);
/// The end of a transaction is written some milliseconds after the answer. One that is not there by now may never be.
const ENDS_IN: Duration = Duration::from_secs(1);

/// What became of the records of a transaction.
#[derive(Default)]
struct Deliveries(Mutex<Delivered>);

#[derive(Default)]
struct Delivered {
    failed: Option<KafkaError>,
    /// The newest offset in each topic.
    newest: BTreeMap<String, i64>,
}

impl Deliveries {
    fn lock(&self) -> MutexGuard<'_, Delivered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Deliveries {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(error = words(&error), reason, "an owner's producer");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let mut delivered = self.lock();
        match result {
            Ok(message) => match delivered.newest.get_mut(message.topic()) {
                Some(newest) => *newest = message.offset().max(*newest),
                None => drop(delivered.newest.insert(message.topic().to_owned(), message.offset())),
            },
            Err((error, _)) => drop(delivered.failed.get_or_insert_with(|| error.clone())),
        }
    }
}

/// The right to write for one machine of one partition.
pub(super) struct Owner {
    producer: BaseProducer<Deliveries>,
    partition: u32,
    patience: Duration,
    /// The topic into which nobody else writes transactions: who sees the newest record of ours there sees all before it.
    own: String,
    /// Sees what is committed; of the group of positions.
    sees: Arc<BaseConsumer>,
    /// A position that nobody reads, for an owner that commits positions. That of `events` itself, left open by a commit before,
    /// would be lost under another of the same place.
    nowhere: Option<TopicPartitionList>,
    /// The newest record in each topic of what was committed, until its end was seen.
    unseen: BTreeMap<String, i64>,
    /// An outcome is not known, or somebody else has the name.
    over: bool,
}

/// A position to commit with the records: a place, and the group under which it stands.
pub(super) type Place<'a> = (&'a TopicPartitionList, &'a ConsumerGroupMetadata);

impl Owner {
    /// Takes the name over. Whoever had it commits nothing any more, and what they had begun is gone.
    pub(super) fn begin(
        settings: &Settings,
        name: &str,
        partition: u32,
        own: &str,
        sees: Arc<BaseConsumer>,
        nowhere: Option<TopicPartitionList>,
    ) -> Result<Self> {
        let mut config = settings.producer();
        config.set("transactional.id", name).set("transaction.timeout.ms", TRANSACTION_MS).set("linger.ms", "5");
        let producer: BaseProducer<Deliveries> =
            config.create_with_context(Deliveries::default()).map_err(|error| cannot("make a producer", &error))?;
        let (own, unseen) = (own.to_owned(), BTreeMap::new());
        let owner = Self { producer, partition, patience: settings.patience, own, sees, nowhere, unseen, over: false };
        let until = Instant::now() + settings.patience;
        owner
            .again(until, || owner.producer.init_transactions(settings.patience))
            .map_err(|error| cannot(&format!("take over `{name}`"), &error))?;
        Ok(owner)
    }

    /// Ends what may stand open under this name in these topics, and in the positions, by a transaction that says nothing.
    ///
    /// # Errors
    /// As for [`Owner::transact`].
    pub(super) fn seal(&mut self, topics: &[&str]) -> Result<()> {
        self.say_nothing(topics)?;
        self.see_ended()
    }

    /// Waits until all that was committed can be seen, and ends it where it stands open.
    ///
    /// # Errors
    /// [`Error::Fenced`] or [`Error::Unclear`]; the owner is over then.
    pub(super) fn see_ended(&mut self) -> Result<()> {
        let until = Instant::now() + self.patience;
        let mut asked = Instant::now();
        while let Some(newest) = self.unseen.get(&self.own) {
            let seen = ends(&self.sees, &self.own, self.partition, ENDS_IN).map(|(_, end)| i64::try_from(end));
            if matches!(seen, Ok(Ok(end)) if end > *newest) {
                break;
            }
            if Instant::now() > until {
                self.over = true;
                return Err(Error::Unclear(format!("nobody sees the end of a commit in `{}`", self.own)));
            }
            if seen.is_err() {
                // No broker: the time to end in begins with its first answer.
                asked = Instant::now();
            } else if asked.elapsed() > ENDS_IN {
                tracing::warn!(topic = self.own, self.partition, "a commit stands open: ended by another");
                let topics: Vec<String> = self.unseen.keys().cloned().collect();
                // Taken back, it takes with it what it was to end.
                let said = self.say_nothing(&topics);
                self.over |= said.is_err();
                said?;
                asked = Instant::now();
            }
            serve(&self.producer, SOON);
        }
        self.unseen.clear();
        Ok(())
    }

    fn say_nothing(&mut self, topics: &[impl AsRef<str>]) -> Result<()> {
        let nowhere = self.nowhere.clone().zip(self.sees.group_metadata());
        let place = nowhere.as_ref().map(|(place, group)| (place, group));
        let nothing =
            |out: &Outgoing<'_>| topics.iter().try_for_each(|topic| out.send(topic.as_ref(), Some(NOBODY), None));
        let newest = self.commit(nothing, place)?;
        self.unseen.extend(newest);
        Ok(())
    }

    /// Writes what `fill` puts into a transaction, with a position, and commits it. Answers the newest offset in each topic.
    ///
    /// # Errors
    /// [`Error::Fenced`], [`Error::Unclear`], or [`Error::Failed`] where nothing was committed.
    pub(super) fn transact(
        &mut self,
        fill: impl FnOnce(&Outgoing<'_>) -> Result<()>,
        place: Option<Place<'_>>,
    ) -> Result<BTreeMap<String, i64>> {
        self.see_ended()?;
        let newest = self.commit(fill, place)?;
        self.unseen.clone_from(&newest);
        Ok(newest)
    }

    fn commit(
        &mut self,
        fill: impl FnOnce(&Outgoing<'_>) -> Result<()>,
        place: Option<Place<'_>>,
    ) -> Result<BTreeMap<String, i64>> {
        if self.over {
            return Err(Error::Failed("an earlier commit broke off: take the partition over again".into()));
        }
        *self.producer.context().lock() = Delivered::default();
        let until = Instant::now() + self.patience;
        self.producer.begin_transaction().map_err(|error| self.fail("begin a commit", &error))?;
        if let Err(error) = self.write(fill, place, until) {
            return Err(self.give_up(error));
        }
        match self.again(until, || self.producer.commit_transaction(self.left(until))) {
            Ok(()) => Ok(std::mem::take(&mut self.producer.context().lock().newest)),
            // Also where the broker had taken the commit and the answer was lost: the way on is the same.
            Err(error) if is_fenced(&error) => Err(self.fail("commit", &error)),
            // Taken back by the broker's own word, so nothing of it stands.
            Err(error) if requires_abort(&error) && self.producer.abort_transaction(self.patience).is_ok() => {
                Err(cannot("commit", &error))
            }
            // The word to commit may have arrived. Only a take-over ends what is open and then finds which it was.
            Err(error) => {
                self.over = true;
                Err(Error::Unclear(format!("committing: {}", words(&error))))
            }
        }
    }

    fn write(
        &mut self,
        fill: impl FnOnce(&Outgoing<'_>) -> Result<()>,
        place: Option<Place<'_>>,
        until: Instant,
    ) -> Result<()> {
        fill(&Outgoing { producer: &self.producer, partition: self.partition, until })?;
        // Before the commit, which takes a tenth of a second and more while anything is on its way.
        while self.producer.in_flight_count() > 0 {
            serve(&self.producer, SOON);
            if Instant::now() > until {
                return Err(Error::Failed("no broker takes the records of a commit: try again".into()));
            }
        }
        self.producer.poll(Duration::ZERO);
        let failed = self.producer.context().lock().failed.take();
        if let Some(error) = failed {
            // A report of a fenced producer may say only that the record was given up.
            let fatal = self.producer.client().fatal_error().map(|(code, _)| KafkaError::Global(code));
            return Err(self.fail("write a commit", &fatal.unwrap_or(error)));
        }
        if let Some((place, group)) = place {
            self.again(until, || self.producer.send_offsets_to_transaction(place, group, self.left(until)))
                .map_err(|error| self.fail("commit a position", &error))?;
        }
        Ok(())
    }

    /// Ends a transaction before it was to be committed. Nothing was, whether or not the broker hears of it now. In a topic that
    /// others write into too, the end of the commit before may not have been there yet: a take-over finds what stands.
    fn give_up(&mut self, error: Error) -> Error {
        if !self.over {
            let _ = self.producer.abort_transaction(self.patience);
            self.over = true;
        }
        error
    }

    fn fail(&mut self, what: &str, error: &KafkaError) -> Error {
        if is_fenced(error) {
            self.over = true;
            return Error::Fenced { partition: self.partition };
        }
        self.over |= is_fatal(error);
        cannot(what, error)
    }

    // The client says which calls may be made again, and remembers how far it was.
    fn again(
        &self,
        until: Instant,
        call: impl Fn() -> std::result::Result<(), KafkaError>,
    ) -> std::result::Result<(), KafkaError> {
        loop {
            match call() {
                Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < until => {
                    serve(&self.producer, AGAIN);
                }
                outcome => return outcome,
            }
        }
    }

    fn left(&self, until: Instant) -> Duration {
        until.saturating_duration_since(Instant::now()).max(Duration::from_millis(100))
    }
}

/// Where a transaction's records go.
pub(super) struct Outgoing<'a> {
    producer: &'a BaseProducer<Deliveries>,
    partition: u32,
    until: Instant,
}

impl Outgoing<'_> {
    /// A record; without a value it says that the key is gone.
    pub(super) fn send(&self, topic: &str, key: Option<&str>, value: Option<&[u8]>) -> Result<()> {
        let mut record = BaseRecord::to(topic).partition(number(self.partition));
        (record.key, record.payload) = (key, value);
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((error, refused))
                    if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull)
                        && Instant::now() < self.until =>
                {
                    record = refused;
                    serve(self.producer, SOON);
                }
                Err((error, _)) if is_fenced(&error) => return Err(Error::Fenced { partition: self.partition }),
                Err((error, _)) => return Err(cannot(&format!("write into `{topic}`"), &error)),
            }
        }
    }
}

/// Takes what the client has to tell, and gives it a moment for more. Its own wait would run the last millisecond in a circle,
/// which takes the processor from a broker on the same machine.
fn serve(producer: &BaseProducer<Deliveries>, moment: Duration) {
    producer.poll(Duration::ZERO);
    thread::sleep(moment);
}

fn requires_abort(error: &KafkaError) -> bool {
    matches!(error, KafkaError::Transaction(error) if error.txn_requires_abort())
}

fn is_fatal(error: &KafkaError) -> bool {
    matches!(error, KafkaError::Transaction(error) if error.is_fatal())
}
