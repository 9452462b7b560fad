//! Which log and store, by the configuration: one file on this machine, or what many processes share.
//!
//! What is away when a process starts ends the start with words about what to do: whoever starts processes starts them
//! again, and a person at a terminal sees at once what is missing. What goes away later is waited for by each part.

use super::Error;
use crate::{
    backend::{
        self, Backend, Log as _,
        cassandra::{self, Cassandra},
        cluster::Cluster,
        embedded::{self, Embedded},
        kafka::{self, Kafka},
    },
    clock::Clock,
    config::Config,
};
use std::{fs, sync::Arc};
use tokio::task::spawn_blocking;

/// The open log and store.
pub(super) struct System {
    pub(super) backend: Arc<dyn Backend>,
    /// How partitions are shared out among processes; `None` where all are this one's.
    pub(super) shared: Option<kafka::Settings>,
}

impl System {
    /// Opens what the configuration names.
    pub(super) async fn open(config: &Config, clock: &Arc<dyn Clock>) -> Result<Self, Error> {
        let (config, clock) = (config.clone(), Arc::clone(clock));
        let opened = spawn_blocking(move || match config.log.is_kafka() {
            true => open_cluster(&config, clock),
            false => open_embedded(&config, clock),
        });
        let broke_off = |error| backend::Error::Failed(format!("opening the log and store broke off: {error}"));
        Ok(opened.await.map_err(broke_off)??)
    }
}

fn open_embedded(config: &Config, clock: Arc<dyn Clock>) -> backend::Result<System> {
    let settings = embedded::Settings {
        clock,
        events_ms: config.retention.events.ms(),
        decisions_ms: config.retention.decisions.ms(),
        ..embedded::Settings::default()
    };
    Ok(System { backend: Arc::new(Embedded::open(&config.data, settings)?), shared: None })
}

fn open_cluster(config: &Config, clock: Arc<dyn Clock>) -> backend::Result<System> {
    // For tokens and the address; everything else is elsewhere.
    fs::create_dir_all(&config.data).map_err(|error| {
        backend::Error::Failed(format!("the data folder `{}` cannot be made: {error}", config.data.display()))
    })?;
    let log = kafka::Settings::of(&config.log, &config.retention)?;
    let store = cassandra::Settings::of(&config.store, &config.retention, clock)?;
    let kafka = Arc::new(Kafka::open(log.clone())?);
    let store = Cassandra::open(&store, &kafka.log_id(), kafka.partitions())?;
    Ok(System { backend: Arc::new(Cluster::new(kafka, Arc::new(store))?), shared: Some(log) })
}
