//! F8: how long a take-over takes until the engine stands where it was committed: the newest snapshot alone, as after a stop in
//! order, and with the records after it, as after a crash. The same from Cassandra behind Kafka and from the embedded file.

use super::super::{
    promises::herd::{Herd, Load, RULES},
    say,
};
use crate::{cassandra::Node, kafka::Broker};
use anyhow::ensure;
use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use weir::{
    backend::{
        Backend, Committed, Machine, Snapshot, Stepped,
        cassandra::Cassandra,
        cluster::Cluster,
        embedded::{self, Embedded},
        kafka::{self, Kafka},
    },
    clock::{Clock, HeldClock, WallClock},
    worker,
};
use weir_engine::event::{Event, Fact, Tick, Version};

/// Minutes that fill the longest window.
const WARM_UP: usize = 12;
/// Records after the snapshot: as many as a worker lets come between two.
const TAIL: usize = 10_000;
/// Records of one append.
const TOGETHER: u64 = 10_000;
const PATIENCE: Duration = Duration::from_secs(900);
const MINUTE_MS: i64 = 60_000;

/// Prints how long a partition of so many groups takes to recover.
///
/// # Errors
/// What of Kafka or Cassandra does not come up or breaks off.
pub fn run(groups: usize) -> anyhow::Result<()> {
    // All of it is past, so that the engine's time is that of the facts.
    let started_ms = WallClock.now_ms() - 60 * MINUTE_MS;
    let mut herd = Herd::starting(started_ms, groups, 1, RULES);
    for _ in 0..WARM_UP {
        let lines = herd.lines(herd.a_minute(), Load::Mixed);
        herd.decide(&lines);
    }
    let snapshot = Snapshot { at: committed(&herd), state: herd.partition().snapshot() };
    let snapshot_ms = herd.partition().t();
    let lines = herd.lines(TAIL, Load::Mixed);
    herd.decide(&lines);
    let tail = lines.iter().map(|line| Event::from_line(line.text.as_bytes())).collect::<Result<Vec<_>, _>>()?;
    let partition = Kept { groups, snapshot, snapshot_ms, tail, committed: committed(&herd) };
    drop(herd);

    let (broker, (node, _runs)) = (Broker::shared()?, Node::shared());
    let settings = broker.settings(1);
    kafka::setup(&settings)?;
    partition.recovers("Cassandra, Kafka", "in seconds", &|| {
        let log = Arc::new(Kafka::open(settings.clone())?);
        let store = Arc::new(Cassandra::open(&node.settings(), &weir::backend::Log::log_id(&*log), 1)?);
        Ok(Arc::new(Cluster::new(log, store)?))
    })?;
    let folder = tempfile::tempdir()?;
    partition.recovers("embedded", "at most 2 s for 1 M", &|| {
        Ok(Arc::new(Embedded::open(folder.path(), embedded::Settings::default())?))
    })
}

fn committed(herd: &Herd) -> Committed {
    let partition = herd.partition();
    Committed { next: partition.next(), semantics: partition.semantics(), digest: partition.digest() }
}

/// What a partition left behind.
struct Kept {
    groups: usize,
    snapshot: Snapshot,
    /// The log's time there.
    snapshot_ms: i64,
    /// Facts after the snapshot.
    tail: Vec<Event>,
    /// The position after them.
    committed: Committed,
}

impl Kept {
    fn recovers(
        &self,
        place: &str,
        promised: &str,
        open: &dyn Fn() -> anyhow::Result<Arc<dyn Backend>>,
    ) -> anyhow::Result<()> {
        let backend = open()?;
        let saved = self.keep(&*backend)?;
        drop(backend);
        let backend = open()?;
        // Alone, so that one sees what of the whole is the store's.
        let began = Instant::now();
        let read = backend.snapshot(0, u64::MAX)?;
        let read_in = began.elapsed();
        ensure!(read.is_some_and(|read| read.at == self.snapshot.at), "the snapshot is not there");
        let (at, seconds) = (self.snapshot.at.next, |length: Duration| format!("{:.2} s", length.as_secs_f64()));
        let what = |tail: &str| format!("F8 {} groups{tail}, {place}", self.groups);
        let stopped = recover(&backend, at, self.snapshot_ms)?;
        let note = format!(
            "of it {} to read {} MB of snapshot, which took {} to save; promised {promised}",
            seconds(read_in),
            self.snapshot.state.len() / 1_000_000,
            seconds(saved)
        );
        say(&what(""), &seconds(stopped), &note);
        self.go_on(&*backend)?;
        let crashed = recover(&backend, at, self.tail.last().map_or(0, |event| event.time))?;
        say(&what(" after a crash"), &seconds(crashed), &format!("with the {TAIL} records behind the snapshot"));
        Ok(())
    }

    /// Writes down all up to the snapshot. Answers how long that took.
    fn keep(&self, backend: &dyn Backend) -> anyhow::Result<Duration> {
        // Nobody reads what is before a snapshot, so anything may stand there.
        let before: Vec<Event> = (0..TOGETHER).map(|_| tick()).collect();
        let mut left = self.snapshot.at.next;
        while left > 0 {
            let some = left.min(TOGETHER);
            backend.append(0, &before[..usize::try_from(some)?])?;
            left -= some;
        }
        let (owner, _) = backend.take_over(Machine::Step, 0)?;
        backend.commit_step(&owner, Stepped { committed: self.snapshot.at.clone(), ..Stepped::default() })?;
        let began = Instant::now();
        backend.save_snapshot(&owner, self.snapshot.clone())?;
        Ok(began.elapsed())
    }

    /// Writes down the records behind the snapshot, as applied.
    fn go_on(&self, backend: &dyn Backend) -> anyhow::Result<()> {
        backend.append(0, &self.tail)?;
        let (owner, _) = backend.take_over(Machine::Step, 0)?;
        backend.commit_step(&owner, Stepped { committed: self.committed.clone(), ..Stepped::default() })?;
        Ok(())
    }
}

/// From the start of a worker to where it stands as it was committed, by the snapshot at this position.
fn recover(backend: &Arc<dyn Backend>, snapshot: u64, now_ms: i64) -> anyhow::Result<Duration> {
    let settings = worker::Settings { clock: Arc::new(HeldClock::at(now_ms)), ..worker::Settings::default() };
    let began = Instant::now();
    let worker = worker::start(Arc::clone(backend), 0, settings)?;
    loop {
        let status = worker.known();
        if status.take_overs > 0 {
            ensure!(status.snapshot == Some(snapshot), "recovered from elsewhere: {status:?}");
            let took = began.elapsed();
            worker.stop();
            return Ok(took);
        }
        let waits = status.trouble.is_none() && status.halted.is_none() && began.elapsed() < PATIENCE;
        ensure!(waits, "it does not recover: {status:?}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn tick() -> Event {
    let (id, source) = ("1".into(), "/bench".into());
    Event { specversion: Version::V1, id, source, time: 0, tenant: String::new(), fact: Fact::Tick(Tick {}) }
}
