//! What of Kafka will not work, before it matters: for `weir doctor`. Each question is asked also where an earlier one was
//! answered badly, as far as it still means anything.

use super::{
    super::{Error, Finding, Log, Result, finding},
    Kafka, control,
    failure::cannot,
    reader::assign,
    settings::{Sees, Settings},
    switchboard,
    topics::{self, Topics},
};
use crate::clock::{Clock, WallClock};
use rdkafka::Message;
use std::time::{Duration, Instant};

/// Looks at brokers, log, topics and clocks. Answers the open log, too, where it can be opened.
#[must_use]
pub fn examine(settings: &Settings) -> (Vec<Finding>, Option<Kafka>) {
    let asker = match settings.asker() {
        Ok(asker) => asker,
        Err(error) => return (vec![Finding::wrong("kafka", error)], None),
    };
    let brokers = settings.brokers.join(", ");
    let user = settings.security.sasl.as_ref().map_or(String::new(), |(_, user, _)| format!(" and lets `{user}` in"));
    let mut findings = vec![Finding::fine("kafka", format!("{brokers} answers{user}"))];
    let topics = Topics::new(&settings.prefix);
    let partitions = match control::find(settings, &topics, &asker) {
        Ok(identity) => match identity.must_have(settings.partitions) {
            Ok(partitions) => {
                let (log, control) = (&identity.log_id, &topics.control);
                findings.push(Finding::fine("log", format!("{log}, {partitions} partitions, as `{control}` says")));
                partitions
            }
            Err(error) => {
                findings.push(Finding::wrong("log", error));
                identity.partitions
            }
        },
        Err(error) => {
            findings.push(Finding::wrong("log", error));
            return (findings, None);
        }
    };
    match topics::violations(&asker, settings, &topics, partitions) {
        Ok(broken) if broken.is_empty() => findings.push(Finding::fine(
            "topics",
            format!(
                "cleanup policies, retention, append time, sizes, partitions and {} copies are as they must be",
                settings.replication
            ),
        )),
        Ok(broken) => findings.extend(broken.into_iter().map(|broken| Finding::wrong("topics", broken))),
        Err(error) => findings.push(Finding::wrong("topics", error)),
    }
    if findings.iter().any(|finding| !finding.ok) {
        return (findings, None);
    }
    match Kafka::open(settings.clone()) {
        Ok(kafka) => {
            findings.push(kafka.clocks().unwrap_or_else(|error| Finding::wrong("clock", error)));
            (findings, Some(kafka))
        }
        Err(error) => {
            findings.push(Finding::wrong("log", error));
            (findings, None)
        }
    }
}

impl Kafka {
    /// Compares this machine's clock with the broker's, by a heartbeat that the broker stamps.
    fn clocks(&self) -> Result<Finding> {
        let topic = &self.topics.control;
        let sent_ms = WallClock.now_ms();
        let place = self.appender.put(topic, 0, switchboard::HEARTBEAT, &switchboard::beat_of("doctor")?)?;
        let answered_ms = WallClock.now_ms();
        let consumer = self.settings.consumer("reader", Sees::Committed)?;
        assign(&consumer, topic, 0, place)?;
        let until = Instant::now() + self.settings.patience;
        loop {
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    let stamped_ms = message.timestamp().to_millis().unwrap_or_default();
                    // It was stamped in between, so no difference smaller than that is one.
                    let ours_ms = stamped_ms.clamp(sent_ms, answered_ms);
                    return Ok(finding::clock("clock", "the broker", ours_ms, stamped_ms));
                }
                Some(Err(error)) if Instant::now() > until => return Err(cannot(&format!("read `{topic}`"), &error)),
                None if Instant::now() > until => {
                    return Err(Error::Away(format!("no broker hands out `{topic}`: try again")));
                }
                _ => {}
            }
        }
    }

    /// When the record before `next` was appended, or the oldest that is kept, for a snapshot's age; `None` in an empty log.
    ///
    /// # Errors
    /// The system's.
    pub fn appended_before(&self, partition: u32, next: u64) -> Result<Option<i64>> {
        let (oldest, end) = self.range(partition)?;
        if oldest == end {
            return Ok(None);
        }
        let at = next.saturating_sub(1).clamp(oldest, end - 1);
        Ok(self.read(partition, at, 1)?.first().map(|line| line.appended_ms))
    }
}
