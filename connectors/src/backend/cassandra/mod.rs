//! The store in Cassandra, behind a log that is elsewhere: snapshots, history, views and policies of many processes.
//!
//! It is off the path of events: nothing of a decision is ever read from it, all that is written comes behind the log's
//! own commit, in batches of one partition each. Every write makes the same rows when it is made twice, or by two
//! processes at once, so there are no lightweight transactions. The tables stand in `schema.cql`, and who writes which of
//! them when in the README beside this folder.

use super::{Error, Result};
use crate::{
    clock::Clock,
    config::{self, Replication, Retention},
};
use index::Known;
use link::Link;
use statements::Statements;
use std::{fmt, path::PathBuf, sync::Arc};

mod commands;
mod credentials;
mod decisions;
mod error;
mod examine;
mod history;
mod index;
mod link;
mod policies;
mod schema;
mod slots;
mod snapshots;
mod statements;
mod tls;
mod views;

pub use credentials::Credentials;
pub use examine::examine;
pub use policies::KeptPolicy;

/// What may be chosen.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Nodes to ask first, `HOST:PORT`; the others are learnt from them.
    pub nodes: Vec<String>,
    /// The keyspace.
    pub keyspace: String,
    /// How often it is kept; for `weir setup`.
    pub replication: Replication,
    /// The datacenter whose nodes are asked; any where left out.
    pub datacenter: Option<String>,
    /// Who asks.
    pub credentials: Option<Credentials>,
    /// Signs the nodes' certificates; without one nothing is encrypted.
    pub ca_file: Option<PathBuf>,
    /// The clock of the snapshots' retention.
    pub clock: Arc<dyn Clock>,
    /// Events are kept for this long, milliseconds: older snapshots go.
    pub events_ms: i64,
    /// Decisions and commands are kept for this long, milliseconds.
    pub decisions_ms: i64,
}

impl Settings {
    /// What the configuration says. Reads the file with the credentials.
    ///
    /// # Errors
    /// Where that file cannot be used.
    pub fn of(store: &config::Store, retention: &Retention, clock: Arc<dyn Clock>) -> Result<Self> {
        let credentials = store.credentials_file.as_deref().map(Credentials::read).transpose()?;
        Ok(Self {
            nodes: store.nodes.clone(),
            keyspace: store.keyspace.clone(),
            replication: store.replication.clone(),
            datacenter: store.datacenter.clone(),
            credentials,
            ca_file: store.ca_file.clone(),
            clock,
            events_ms: retention.events.ms(),
            decisions_ms: retention.decisions.ms(),
        })
    }
}

/// Makes the keyspace and the tables; done already, it changes nothing.
///
/// # Errors
/// [`Error::Failed`] in words: no node answers, the credentials are refused, the keyspace is another build's or replicated
/// otherwise than configured.
pub fn setup(settings: &Settings) -> Result<()> {
    let link = Link::open(settings)?;
    link.run(schema::setup(&link, settings))
}

/// The open store of one log.
pub struct Cassandra {
    link: Link,
    statements: Statements,
    known: Known,
    log_id: String,
    partitions: u32,
    clock: Arc<dyn Clock>,
    events_ms: i64,
    /// Of decisions and commands, seconds.
    ttl: i32,
}

impl Cassandra {
    /// Opens the store of the log `log_id`, which has so many partitions.
    ///
    /// # Errors
    /// As for [`setup`]; and where that was not done yet, or by another build.
    pub fn open(settings: &Settings, log_id: &str, partitions: u32) -> Result<Self> {
        let link = Link::open(settings)?;
        let keyspace = &settings.keyspace;
        let statements = link.run(async {
            schema::check(&link, keyspace).await?;
            Statements::prepare(&link, keyspace).await
        })?;
        Ok(Self {
            link,
            statements,
            known: Known::default(),
            log_id: log_id.to_owned(),
            partitions,
            clock: Arc::clone(&settings.clock),
            events_ms: settings.events_ms,
            ttl: ttl(settings.decisions_ms),
        })
    }

    /// Requests sent to Cassandra so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.link.requests()
    }
}

impl fmt::Debug for Cassandra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cassandra").field("log_id", &self.log_id).finish_non_exhaustive()
    }
}

/// In seconds, within what Cassandra takes: at least one, since zero is for ever, at most 20 years.
fn ttl(length_ms: i64) -> i32 {
    const YEARS_20: i64 = 20 * 365 * 86_400;
    i32::try_from((length_ms / 1_000).clamp(1, YEARS_20 - 10 * 86_400)).unwrap_or(1)
}

/// A number of ours in a column. Numbers over 2⁶³ are none that a log reaches.
fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A partition's number in a column.
fn part(partition: u32) -> i32 {
    i32::try_from(partition).unwrap_or(i32::MAX)
}

fn encode(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::Failed(format!("cannot be written as JSON: {error}")))
}

fn decode<T: serde::de::DeserializeOwned>(text: &str, what: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::Damaged(format!("{what} in Cassandra cannot be read: {error}")))
}
