//! The log and the machines over Kafka: what many processes share.
//!
//! `events` is the log. Everything that owners commit goes in one transaction with its position: commands, what the store is
//! to hold, the ledger. Consumer groups say only who should own what ([`membership`]); who does is said by transactional
//! ids. Snapshots and history are a store's, which [`cluster`](super::cluster) joins to this.

use super::{Error, Result};
use appender::Appender;
use control::Identity;
use ends::Ends;
use machines::Tenures;
use reader::Readers;
use settings::{BaseConsumer, Sees};
use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};
use switchboard::Switchboard;
use table::Table;
use tail::Tail;
use topics::Topics;

mod appender;
mod control;
mod ends;
mod examine;
mod failure;
mod follower;
mod lineage;
mod log;
mod machines;
pub mod membership;
mod owner;
mod reader;
mod record;
mod refusal;
mod settings;
mod skips;
mod standing;
mod switchboard;
mod table;
mod tail;
mod topics;

pub use examine::examine;
pub use follower::Follower;
pub use settings::{PARTITIONS, Security, Settings};
pub use topics::{Setup, setup};

/// Most partitions of a log.
pub const PARTITIONS_MAX: u32 = 1_024;

/// The open log. Dropping it lets go of what it owned, without a word: who takes over says so to the broker.
pub struct Kafka {
    settings: Settings,
    topics: Topics,
    identity: Identity,
    /// Asks where topics end.
    asker: BaseConsumer,
    /// Reads and writes positions; of a group that never has a member.
    positions: Arc<BaseConsumer>,
    /// Looks at the newest records of a topic. Kept, since a new one takes half a second to begin.
    looker: Mutex<BaseConsumer>,
    appender: Arc<Appender>,
    readers: Readers,
    ends: Ends,
    table: Arc<Table>,
    tail: Tail,
    switchboard: Switchboard,
    tenures: Mutex<Tenures>,
}

impl Kafka {
    /// Opens the log that [`setup`] has made.
    ///
    /// # Errors
    /// Where there is none, its topics break the rules, or no broker answers.
    pub fn open(settings: Settings) -> Result<Self> {
        let topics = Topics::new(&settings.prefix);
        let asker = settings.asker()?;
        let identity = control::find(&settings, &topics, &asker)?;
        identity.must_have(settings.partitions)?;
        topics::verify(&asker, &settings, &topics, identity.partitions)?;
        let table = Arc::new(Table::default());
        let appender = Arc::new(Appender::new(settings.clone())?);
        Ok(Self {
            positions: Arc::new(settings.consumer("step", Sees::Committed)?),
            looker: Mutex::new(settings.reader_to_the_end()?),
            switchboard: Switchboard::start(
                settings.clone(),
                topics.control.clone(),
                identity.clone(),
                Arc::clone(&appender),
            )?,
            appender,
            readers: Readers::new(settings.clone(), topics.events.clone()),
            ends: Ends::default(),
            tail: Tail::start(settings.clone(), topics.commands.clone(), Arc::clone(&table))?,
            table,
            tenures: Mutex::default(),
            settings,
            topics,
            identity,
            asker,
        })
    }

    /// Refuses a partition that is not there.
    fn check(&self, partition: u32) -> Result<()> {
        if partition < self.identity.partitions {
            return Ok(());
        }
        Err(Error::Failed(format!("there is no partition `{partition}`: the log has {}", self.identity.partitions)))
    }

    /// Waits until what the record at `offset` gave is in the store, or for `patience`. Answers whether it is.
    #[must_use]
    pub fn wait_written(&self, partition: u32, offset: u64, patience: Duration) -> bool {
        self.follow(partition).is_ok() && self.table.wait_written(partition, offset, patience)
    }

    fn follow(&self, partition: u32) -> Result<()> {
        self.check(partition)?;
        self.tail.follow(partition, &self.asker)
    }
}

impl fmt::Debug for Kafka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kafka").field("prefix", &self.settings.prefix).field("log_id", &self.identity.log_id).finish()
    }
}
