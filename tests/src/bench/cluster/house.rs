//! An installation on one broker and one node, with the fleet in its log, and the worker that decides on it.

use super::{
    super::{fleet, per_second},
    loops::{self, Commits, Volume, Work},
};
use crate::{cassandra::Node, kafka::Broker};
use anyhow::ensure;
use std::{
    sync::{Arc, RwLockReadGuard},
    thread,
    time::{Duration, Instant},
};
use weir::{
    backend::{
        Backend, History, Log, Store,
        cassandra::Cassandra,
        cluster::Cluster,
        kafka::{self, Kafka},
    },
    clock::{Clock, HeldClock, WallClock},
    replay, worker,
};
use weir_engine::{
    event::{Event, Fact},
    partition::Partition,
};

/// Facts of one append.
const TOGETHER: usize = 2_000;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// A stretch of the log: from its first record to one past its last.
#[derive(Clone, Copy)]
pub struct Stretch {
    pub from: u64,
    pub end: u64,
}

/// What the worker did with a stretch.
pub struct Worked {
    /// Facts a second, from its first commit on.
    pub rate: f64,
    /// What it gave out.
    pub volume: Volume,
    /// Requests to Cassandra, the last of what it gave out included.
    pub requests: u64,
}

/// The installation.
pub struct House {
    cluster: Arc<Cluster>,
    store: Arc<Cassandra>,
    settings: kafka::Settings,
    _broker: Arc<Broker>,
    _runs: RwLockReadGuard<'static, ()>,
    /// Facts of one round, and those so far.
    facts: usize,
    told: usize,
    /// How far the fleet's facts are moved in time, so that all of them are past.
    shift_ms: i64,
}

impl House {
    /// With the fleet's policies and servers applied, for rounds of so many facts.
    pub fn new(facts: usize) -> anyhow::Result<Self> {
        let (broker, (node, runs)) = (Broker::shared()?, Node::shared());
        let settings = broker.settings(1);
        kafka::setup(&settings)?;
        let out = loops::out_topic(&settings.prefix);
        broker.tool("org.apache.kafka.tools.TopicCommand", &["--create", "--topic", &out, "--partitions", "1"])?;
        let log = Arc::new(Kafka::open(settings.clone())?);
        let store = Arc::new(Cassandra::open(&node.settings(), &log.log_id(), 1)?);
        let cluster = Arc::new(Cluster::new(log, Arc::clone(&store) as Arc<dyn Store>)?);
        // The engine's time is that of facts, as long as it is earlier than the broker's.
        let last = fleet::sample(facts * (super::ROUNDS + 1)).time;
        let shift_ms = WallClock.now_ms() - last;
        let house = Self { cluster, store, settings, _broker: broker, _runs: runs, facts, told: 0, shift_ms };
        house.populate()?;
        Ok(house)
    }

    fn populate(&self) -> anyhow::Result<()> {
        let worker = self.worker()?;
        for tenant in 0..fleet::TENANTS {
            self.cluster.append(0, &self.moved(fleet::policies(tenant)))?;
        }
        self.wait()?;
        let commands = self.cluster.commands_since(0, 0, usize::MAX)?;
        let commands: Vec<_> = commands.into_iter().map(|(_, command)| command).collect();
        ensure!(commands.len() == fleet::ALL_GROUPS, "{} commands instead of one a group", commands.len());
        for some in self.moved(fleet::servers(&commands)).chunks(TOGETHER) {
            self.cluster.append(0, some)?;
        }
        self.wait()?;
        worker.stop();
        Ok(())
    }

    fn worker(&self) -> anyhow::Result<worker::WorkerHandle> {
        let backend: Arc<dyn Backend> = self.cluster.clone();
        // Its clock stands at the fleet's beginning, so that no tick comes between the facts of two rounds.
        let clock: Arc<dyn Clock> = Arc::new(HeldClock::at(fleet::START_MS + self.shift_ms));
        Ok(worker::start(backend, 0, worker::Settings { clock, ..worker::Settings::default() })?)
    }

    /// Until all that is in the log is applied, and what came out is in the store.
    fn wait(&self) -> anyhow::Result<()> {
        let (_, end) = self.cluster.range(0)?;
        ensure!(self.cluster.kafka().wait_written(0, end - 1, PATIENCE), "not written within {PATIENCE:?}");
        Ok(())
    }

    fn moved(&self, mut events: Vec<Event>) -> Vec<Event> {
        for event in &mut events {
            event.time += self.shift_ms;
            match &mut event.fact {
                Fact::Samples(samples) => samples.iter_mut().for_each(|sample| sample.at += self.shift_ms),
                Fact::Alarm(alarm) => alarm.at += self.shift_ms,
                _ => {}
            }
        }
        events
    }

    /// Writes the facts of a round.
    pub fn append(&mut self) -> anyhow::Result<Stretch> {
        let (_, from) = self.cluster.range(0)?;
        let numbers = self.told..self.told + self.facts;
        self.told += self.facts;
        let fact = |number: usize| if number.is_multiple_of(10) { fleet::alarm(number) } else { fleet::sample(number) };
        for some in self.moved(numbers.map(fact).collect()).chunks(TOGETHER) {
            self.cluster.append(0, some)?;
        }
        Ok(Stretch { from, end: from + self.facts as u64 })
    }

    /// The engine's state before a stretch.
    pub fn state_at(&self, stretch: Stretch) -> anyhow::Result<Partition> {
        Ok(replay::state_at(&*self.cluster, 0, stretch.from)?)
    }

    /// Lets the worker decide on a stretch.
    pub fn work(&self, stretch: Stretch) -> anyhow::Result<Worked> {
        let topics = ["commands", "outputs"].map(|name| format!("{}-{name}", self.settings.prefix));
        let address = self.address();
        let before = topics.each_ref().map(|topic| loops::end(address, topic));
        let requests = self.store.requests();
        let worker = self.worker()?;
        let began = Instant::now();
        let first = loop {
            let next = worker.known().next;
            if next > stretch.from {
                break (Instant::now(), next);
            }
            ensure!(began.elapsed() < PATIENCE, "the worker does not begin: {:?}", worker.known());
            thread::sleep(Duration::from_micros(200));
        };
        while worker.known().next < stretch.end {
            ensure!(began.elapsed() < PATIENCE, "the worker does not end: {:?}", worker.known());
            thread::sleep(Duration::from_micros(200));
        }
        let rate = per_second(usize::try_from(stretch.end - first.1)?, first.0.elapsed());
        self.wait()?;
        let requests = self.store.requests() - requests;
        let mut volume = Volume::default();
        for (topic, before) in topics.iter().zip(before) {
            volume += loops::volume(address, topic, before?)?;
        }
        worker.stop();
        Ok(Worked { rate, volume, requests })
    }

    /// Runs a loop of one's own over a stretch. Answers facts a second.
    pub fn pass(&self, stretch: Stretch, commits: Commits, work: &mut impl Work) -> anyhow::Result<f64> {
        loops::pass(self.address(), &self.settings.prefix, stretch, commits, work)
    }

    fn address(&self) -> &str {
        self.settings.brokers.first().map_or("", String::as_str)
    }
}
