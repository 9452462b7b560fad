//! The producer of events: idempotent, never in a transaction, shared by all who append.
//!
//! A batch is handed over in one go, so that its lines follow each other; who appends waits for the reports of all of them.

use super::{
    super::{Error, Result},
    failure::{cannot, is_not_written, words},
    settings::{Settings, number},
};
use rdkafka::{
    ClientContext, Message,
    error::KafkaError,
    message::DeliveryResult,
    producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer},
};
use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// A line is tried again for this long; then it is not known whether it was written.
const TRIED_FOR: Duration = Duration::from_secs(10);

/// The lines of one append, while they are on their way.
#[derive(Default)]
struct Batch {
    reports: Mutex<Reports>,
    bell: Condvar,
}

#[derive(Default)]
struct Reports {
    /// Of the line with the highest offset: lines of a batch keep their order.
    last: Option<i64>,
    written: usize,
    refused: usize,
    /// The first reason, and whether any line may be written in spite of its error.
    error: Option<KafkaError>,
    unclear: bool,
}

impl Batch {
    fn report(&self, outcome: std::result::Result<i64, KafkaError>) {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(offset) => {
                reports.written += 1;
                reports.last = reports.last.max(Some(offset));
            }
            Err(error) => {
                reports.refused += 1;
                reports.unclear |= !is_not_written(&error);
                reports.error.get_or_insert(error);
            }
        }
        drop(reports);
        self.bell.notify_all();
    }

    fn wait(&self, lines: usize, until: Instant) -> Result<u64> {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        while reports.written + reports.refused < lines {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::Unclear("no broker says what became of it".into()));
            }
            reports = self.bell.wait_timeout(reports, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        match (&reports.error, reports.last) {
            // Counted back from the last: a batch that went out in two may have another process's lines in its middle, and who
            // waits for what they wrote waits for the last of it.
            (None, Some(last)) => Ok((u64::try_from(last).unwrap_or_default() + 1).saturating_sub(lines as u64)),
            (Some(error), None) if !reports.unclear => Err(cannot("write into the log", error)),
            (Some(error), _) => Err(Error::Unclear(format!("writing into the log: {}", words(error)))),
            (None, None) => Err(Error::Unclear("the broker did not say where it was written".into())),
        }
    }
}

/// Hands reports to the batch that waits for them.
struct Reporter;

impl ClientContext for Reporter {}

impl ProducerContext for Reporter {
    type DeliveryOpaque = Arc<Batch>;

    fn delivery(&self, result: &DeliveryResult<'_>, batch: Self::DeliveryOpaque) {
        batch.report(match result {
            Ok(message) => Ok(message.offset()),
            Err((error, _)) => Err(error.clone()),
        });
    }
}

/// The producer, made again where it cannot go on.
pub(super) struct Appender {
    settings: Settings,
    producer: Mutex<Arc<ThreadedProducer<Reporter>>>,
}

impl Appender {
    pub(super) fn new(settings: Settings) -> Result<Self> {
        let producer = Mutex::new(Arc::new(produce(&settings)?));
        Ok(Self { settings, producer })
    }

    /// Writes records without keys, in order, and waits until all copies in step have them. Answers an offset from which
    /// they end at the last one's: the first one's, unless another process wrote in between.
    pub(super) fn append(&self, topic: &str, partition: u32, lines: &[impl AsRef<[u8]>]) -> Result<u64> {
        let batch = Arc::new(Batch::default());
        let until = Instant::now() + TRIED_FOR + Duration::from_secs(5);
        {
            // Held while a batch is handed over, so that no other one comes between its lines.
            let mut producer = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
            if producer.client().fatal_error().is_some() {
                // It lost count of what it wrote, and says so of everything from now on.
                *producer = Arc::new(produce(&self.settings)?);
            }
            for line in lines {
                send(&producer, topic, partition, None, line.as_ref(), &batch, until);
            }
        }
        batch.wait(lines.len(), until)
    }

    /// Writes one record under a key, and waits as [`Appender::append`] does. Answers its offset.
    pub(super) fn put(&self, topic: &str, partition: u32, key: &str, value: &[u8]) -> Result<u64> {
        let batch = Arc::new(Batch::default());
        let until = Instant::now() + TRIED_FOR + Duration::from_secs(5);
        let producer = Arc::clone(&self.producer.lock().unwrap_or_else(PoisonError::into_inner));
        send(&producer, topic, partition, Some(key), value, &batch, until);
        batch.wait(1, until)
    }

    /// Writes one record under a key and does not wait. One that is lost is followed by another.
    pub(super) fn announce(&self, topic: &str, partition: u32, key: &str, value: &[u8]) {
        let producer = Arc::clone(&self.producer.lock().unwrap_or_else(PoisonError::into_inner));
        send(&producer, topic, partition, Some(key), value, &Arc::new(Batch::default()), Instant::now());
    }

    /// Waits until all that was announced is written, or for `patience`.
    pub(super) fn flush(&self, patience: Duration) {
        let producer = Arc::clone(&self.producer.lock().unwrap_or_else(PoisonError::into_inner));
        // What is lost was announced: nobody counts on it.
        let _ = producer.flush(patience);
    }
}

fn produce(settings: &Settings) -> Result<ThreadedProducer<Reporter>> {
    let mut config = settings.producer();
    config.set("linger.ms", "1").set("message.timeout.ms", TRIED_FOR.as_millis().to_string());
    config.create_with_context(Reporter).map_err(|error| cannot("make a producer", &error))
}

// A full queue empties by itself, on the producer's own thread.
fn send(
    producer: &ThreadedProducer<Reporter>,
    topic: &str,
    partition: u32,
    key: Option<&str>,
    line: &[u8],
    batch: &Arc<Batch>,
    until: Instant,
) {
    let mut record = BaseRecord::with_opaque_to(topic, Arc::clone(batch)).partition(number(partition)).payload(line);
    record.key = key;
    loop {
        match producer.send(record) {
            Ok(()) => return,
            Err((error, refused)) if is_queue_full(&error) && Instant::now() < until => {
                record = refused;
                thread::sleep(Duration::from_millis(1));
            }
            Err((error, _)) => return batch.report(Err(error)),
        }
    }
}

fn is_queue_full(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(rdkafka::types::RDKafkaErrorCode::QueueFull)
}
