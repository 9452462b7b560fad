//! The log and the machines over a real Kafka, with a store in memory behind them: what only many processes and a broker that
//! falls can show. The promises that every log and store keeps are asked of Kafka in the suite `kafka-cassandra`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod falls;
mod owners;
mod topics;

use std::{
    fmt::Debug,
    sync::Arc,
    time::{Duration, Instant},
};
use weir::backend::{
    Error, Store,
    cluster::Cluster,
    kafka::{Kafka, Settings, setup},
};
use weir_tests::{conformance::PARTITIONS, kafka::Broker, memory_store::MemoryStore};

/// A new installation on the shared broker.
struct OnABroker {
    _broker: Arc<Broker>,
    settings: Settings,
    store: Arc<MemoryStore>,
}

impl OnABroker {
    fn new() -> Self {
        let broker = Broker::shared().unwrap();
        let settings = broker.settings(PARTITIONS);
        setup(&settings).unwrap();
        Self { _broker: broker, settings, store: Arc::default() }
    }

    fn kafka(&self) -> Kafka {
        Kafka::open(self.settings.clone()).unwrap()
    }
}

fn join(settings: &Settings, store: &Arc<MemoryStore>) -> Cluster {
    let kafka = Arc::new(Kafka::open(settings.clone()).unwrap());
    Cluster::new(kafka, Arc::clone(store) as Arc<dyn Store>).unwrap()
}

fn is_fenced<T: Debug>(outcome: Result<T, Error>) -> bool {
    matches!(outcome, Err(Error::Fenced { partition: 0 }))
}

/// As a worker does: what is away for a moment is asked again.
fn again<T>(call: impl Fn() -> Result<T, Error>) -> T {
    let until = Instant::now() + Duration::from_secs(40);
    loop {
        match call() {
            Ok(value) => return value,
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
    }
}
