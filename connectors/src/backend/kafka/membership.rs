//! Which process should own which partition: Kafka's consumer groups say, and whoever runs the process obeys.
//!
//! A member joins a group to be given partitions and reads nothing. What it is told is a wish and no right: the right is had
//! by a take-over, which fences whoever had it, so that two who believe in the same partition do no harm. Changes are sent from
//! the client's callback and acted on elsewhere, since a callback that waits holds the whole group up.

use super::{
    super::{Error, Machine, Result},
    failure::{cannot, is_passing, words},
    settings::Settings,
    topics::Topics,
};
use rdkafka::{
    ClientContext, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance},
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// A process that says nothing for so long is no member any more, milliseconds.
const SESSION_MS: &str = "10000";

/// What is shared out. Each is balanced by itself, over the processes that take part in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Step machines.
    Step,
    /// Settle machines.
    Settle,
    /// What is read from elsewhere for the tenants of a partition.
    Sources,
}

impl From<Machine> for Share {
    fn from(machine: Machine) -> Self {
        match machine {
            Machine::Step => Self::Step,
            Machine::Settle => Self::Settle,
        }
    }
}

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// This process should own the partition.
    Gained(u32),
    /// Somebody else should, or this process was given up.
    Lost(u32),
}

/// A member of the group for one share. Dropping it leaves the group.
pub struct Member {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Member {
    /// Joins. Changes come as they are told; the sender is gone when the member is.
    ///
    /// # Errors
    /// Where no consumer or no thread can be made.
    pub fn join(settings: &Settings, share: impl Into<Share>) -> Result<(Self, Receiver<Change>)> {
        let topics = Topics::new(&settings.prefix);
        // Of the machines each its own topic, so that a look at the groups says which is which.
        let (name, topic) = match share.into() {
            Share::Step => ("step-members", &topics.events),
            Share::Settle => ("settle-members", &topics.ledger),
            Share::Sources => ("source-members", &topics.events),
        };
        let mut config = settings.client();
        config
            .set("group.id", format!("{}-{name}", settings.prefix))
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "latest")
            .set("session.timeout.ms", SESSION_MS)
            .set("heartbeat.interval.ms", "1000")
            // What stays where it is goes on being worked on.
            .set("partition.assignment.strategy", "cooperative-sticky");
        let (changes, told) = mpsc::channel();
        let consumer: BaseConsumer<Teller> =
            config.create_with_context(Teller { changes }).map_err(|error| cannot("make a consumer", &error))?;
        consumer.subscribe(&[topic]).map_err(|error| cannot("join a group", &error))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stops = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name(format!("weir-{name}"))
            .spawn(move || belong(&consumer, &stops))
            .map_err(|error| Error::Failed(format!("cannot start a thread: {error}")))?;
        Ok((Self { stop, thread: Some(thread) }, told))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A member that broke off is given up by the group after a while.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").finish_non_exhaustive()
    }
}

fn belong(consumer: &BaseConsumer<Teller>, stop: &AtomicBool) {
    while !stop.load(Ordering::Acquire) {
        match consumer.poll(Duration::from_millis(100)) {
            // A record that came before its partition was paused.
            Some(Ok(_)) | None => {}
            Some(Err(error)) if is_passing(&error) => {}
            Some(Err(error)) => tracing::warn!(error = words(&error), "in the group that shares partitions out"),
        }
    }
}

/// Sends what the group says.
struct Teller {
    changes: Sender<Change>,
}

impl Teller {
    fn tell(&self, partitions: &TopicPartitionList, change: impl Fn(u32) -> Change) {
        for element in partitions.elements() {
            if let Ok(partition) = u32::try_from(element.partition()) {
                // Nobody listens any more only while the member is leaving.
                let _ = self.changes.send(change(partition));
            }
        }
    }
}

impl ClientContext for Teller {}

impl ConsumerContext for Teller {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(partitions) = rebalance {
            self.tell(partitions, Change::Lost);
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(partitions) => {
                // Nothing is to be read here.
                if let Err(error) = consumer.pause(partitions) {
                    tracing::warn!(error = words(&error), "a member's partitions are not paused");
                }
                self.tell(partitions, Change::Gained);
            }
            Rebalance::Revoke(_) => {}
            Rebalance::Error(error) => tracing::warn!(error = words(error), "partitions are not shared out"),
        }
    }
}
