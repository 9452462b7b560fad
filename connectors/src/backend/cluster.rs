//! What many processes share, as one backend: the log and the machines over Kafka, snapshots and history in a store behind
//! it.
//!
//! The store is no part of a commit. A follower brings outputs there a moment later, and reads here wait for what this process
//! has committed itself, so that who writes and then reads sees what they wrote. What other processes committed is seen a moment
//! later; [`Machines::wait_stepped`] waits for that, too.

use super::{
    Committed, Deed, Error, History, Installation, Kept, Line, Lineage, Log, Machine, Machines, Ownership, Peer,
    Result, Settled, Skip, Snapshot, Snapshots, Stepped, Store, Switch, Switches, ViewKind,
    kafka::{Follower, Kafka},
};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use weir_engine::{
    command::Command,
    decision::Decision,
    event::Event,
    id::{GroupUid, Position},
};

/// A read waits at most this long for what this process has committed.
const READ_PATIENCE: Duration = Duration::from_secs(2);
/// What a partition's last owner left may take so long to come into the store.
const RETIRE_PATIENCE: Duration = Duration::from_secs(60);

/// Kafka with a store.
pub struct Cluster {
    // First, so that it ends before what it reads and writes is let go of.
    follower: Follower,
    kafka: Arc<Kafka>,
    store: Arc<dyn Store>,
    /// How far this process has committed in each partition.
    ours: Mutex<BTreeMap<u32, Ours>>,
}

/// What this process committed last in a partition.
#[derive(Clone, Copy, Default)]
struct Ours {
    /// The position of its step machine.
    next: u64,
    /// The newest output of either machine.
    output: Option<u64>,
}

impl Cluster {
    /// Joins them. The store must be opened for this log's id.
    ///
    /// # Errors
    /// Where the follower cannot be started.
    pub fn new(kafka: Arc<Kafka>, store: Arc<dyn Store>) -> Result<Self> {
        let follower = Follower::start(Arc::clone(&kafka), Arc::clone(&store))?;
        Ok(Self { follower, kafka, store, ours: Mutex::default() })
    }

    /// The log and the machines.
    #[must_use]
    pub fn kafka(&self) -> &Arc<Kafka> {
        &self.kafka
    }

    /// What the store says, where it takes nothing now: the history is behind until it does.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.follower.trouble()
    }

    fn ours(&self) -> MutexGuard<'_, BTreeMap<u32, Ours>> {
        self.ours.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // A store that is late is no reason to answer nothing.
    fn wait_for_ours(&self) {
        let ours = self.ours().clone();
        let until = Instant::now() + READ_PATIENCE;
        for (partition, Ours { output, .. }) in ours {
            let left = until.saturating_duration_since(Instant::now());
            if output.is_some_and(|output| !self.follower.wait(partition, output, left)) {
                tracing::debug!(partition, "reading a history that is behind");
            }
        }
    }

    /// Refuses to begin at the first record where the store has a snapshot of later ones.
    fn must_be_the_beginning(&self, partition: u32, next: u64) -> Result<()> {
        match next {
            0 => match self.store.snapshot(partition, u64::MAX)? {
                None => Ok(()),
                // What a log begins with that an installation was moved to.
                Some(Snapshot { at: Committed { next: 0, .. }, .. }) => Ok(()),
                Some(Snapshot { at, .. }) => Err(Error::Damaged(format!(
                    "the log says that nothing of partition {partition} was applied, and the store has a snapshot at \
                     `{partition}:{}`: bring the log's topics back, or begin a new installation under another `prefix`",
                    at.next
                ))),
            },
            _ => Ok(()),
        }
    }

    fn leave(&self, partition: u32) {
        self.follower.leave(partition);
        self.ours().remove(&partition);
    }

    fn fenced<T>(&self, owner: &Ownership, outcome: Result<T>) -> Result<T> {
        if matches!(outcome, Err(Error::Fenced { .. })) {
            self.leave(owner.partition);
        }
        outcome
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // So that a process that ends in order leaves a history that is whole; after a crash the next owner makes it so.
        self.wait_for_ours();
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("kafka", &self.kafka).finish_non_exhaustive()
    }
}

impl Log for Cluster {
    fn log_id(&self) -> String {
        self.kafka.log_id()
    }

    fn partitions(&self) -> u32 {
        self.kafka.partitions()
    }

    fn append(&self, partition: u32, events: &[Event]) -> Result<u64> {
        self.kafka.append(partition, events)
    }

    fn read(&self, partition: u32, from: u64, most: usize) -> Result<Vec<Line>> {
        self.kafka.read(partition, from, most)
    }

    fn range(&self, partition: u32) -> Result<(u64, u64)> {
        self.kafka.range(partition)
    }

    fn offset_at(&self, partition: u32, at_ms: i64) -> Result<u64> {
        self.kafka.offset_at(partition, at_ms)
    }

    fn wait_for(&self, partition: u32, offset: u64, patience: Duration) -> bool {
        self.kafka.wait_for(partition, offset, patience)
    }
}

impl Machines for Cluster {
    fn take_over(&self, machine: Machine, partition: u32) -> Result<(Ownership, Committed)> {
        let taken = self.kafka.take_over(machine, partition)?;
        if machine == Machine::Step {
            self.must_be_the_beginning(partition, taken.1.next)?;
            self.follower.follow(partition);
        }
        Ok(taken)
    }

    fn let_go(&self, machine: Machine, partition: u32) {
        if machine == Machine::Step {
            // What is not in the store yet the next owner brings there.
            self.leave(partition);
        }
    }

    fn commit_step(&self, owner: &Ownership, stepped: Stepped) -> Result<()> {
        let next = stepped.committed.next;
        let output = self.fenced(owner, self.kafka.step(owner, stepped))?;
        let mut ours = self.ours();
        let ours = ours.entry(owner.partition).or_default();
        (ours.next, ours.output) = (next, output.or(ours.output));
        Ok(())
    }

    fn commit_settle(&self, owner: &Ownership, settled: Settled) -> Result<()> {
        let output = self.kafka.settle(owner, settled)?;
        let mut ours = self.ours();
        let ours = ours.entry(owner.partition).or_default();
        ours.output = output.or(ours.output);
        Ok(())
    }

    fn stepped(&self, partition: u32) -> Result<(Committed, bool)> {
        self.kafka.stepped(partition)
    }

    /// Waits until it can be read, too: a read that names a position must see what came out of it. For what this process has
    /// committed the read itself waits.
    fn wait_stepped(&self, partition: u32, offset: u64, patience: Duration) -> bool {
        let ours = self.ours().get(&partition).is_some_and(|ours| ours.next > offset);
        ours || self.kafka.wait_written(partition, offset, patience)
    }

    fn commands_after(&self, partition: u32, after: u64, patience: Duration) -> Result<(u64, Vec<Command>)> {
        self.kafka.commands_after(partition, after, patience)
    }

    fn skips(&self, partition: u32) -> Result<Vec<Skip>> {
        self.kafka.skips(partition)
    }

    fn skip(&self, owner: &Ownership, skip: Skip) -> Result<()> {
        self.kafka.skip(owner, skip)
    }

    fn ledgers(&self, partition: u32) -> Result<Vec<(GroupUid, Vec<u8>)>> {
        self.kafka.ledgers(partition)
    }
}

impl Switches for Cluster {
    fn set_switch(&self, switch: Switch) -> Result<()> {
        self.kafka.set_switch(switch)
    }

    fn held(&self, tenant: &str, region: &str, deed: Deed, now_ms: i64) -> Option<String> {
        self.kafka.held(tenant, region, deed, now_ms)
    }

    fn switch_silence(&self) -> Option<Duration> {
        self.kafka.switch_silence()
    }

    fn switches(&self) -> Vec<Switch> {
        self.kafka.switches()
    }
}

impl Installation for Cluster {
    fn lineage(&self) -> Result<Lineage> {
        self.kafka.lineage()
    }

    fn set_lineage(&self, lineage: &Lineage) -> Result<()> {
        self.kafka.set_lineage(lineage)
    }

    /// Waits until all that was committed can be read from the store, too.
    fn retire(&self, partition: u32, gone: bool) -> Result<()> {
        let last = self.kafka.end_tenures(partition, gone)?;
        self.follower.follow(partition);
        if self.follower.wait(partition, last, RETIRE_PATIENCE) {
            return Ok(());
        }
        let trouble = self.trouble().map(|trouble| format!(" ({trouble})")).unwrap_or_default();
        Err(Error::Away(format!("the views of partition {partition} are not in the store yet{trouble}: try again")))
    }

    fn others(&self) -> Result<Vec<Peer>> {
        self.kafka.others()
    }
}

impl Snapshots for Cluster {
    fn save_snapshot(&self, owner: &Ownership, snapshot: Snapshot) -> Result<()> {
        let committed = self.fenced(owner, self.kafka.prove(owner))?;
        if snapshot.at.next > committed.next {
            let (at, partition) = (snapshot.at.next, owner.partition);
            return Err(Error::Failed(format!(
                "a snapshot at `{partition}:{at}` is refused: `{partition}:{}` is committed",
                committed.next
            )));
        }
        self.store.save_snapshot(owner, snapshot)
    }

    fn snapshot(&self, partition: u32, at_most: u64) -> Result<Option<Snapshot>> {
        let (committed, _) = self.kafka.stepped(partition)?;
        self.store.snapshot(partition, at_most.min(committed.next))
    }
}

impl History for Cluster {
    fn decisions(&self, tenant: &str, group: &str, before: Option<u64>, most: usize) -> Result<Vec<Kept>> {
        self.wait_for_ours();
        self.store.decisions(tenant, group, before, most)
    }

    fn decisions_at(&self, position: Position) -> Result<Vec<Decision>> {
        self.wait_for_ours();
        self.store.decisions_at(position)
    }

    /// Strict, unlike the other reads: what is missing here would look like a replay that decides otherwise.
    fn decisions_between(&self, partition: u32, from: u64, until: u64) -> Result<Vec<Decision>> {
        let applied = self.kafka.stepped(partition)?.0.next.min(until);
        if applied > from && !self.kafka.wait_written(partition, applied - 1, READ_PATIENCE) {
            let trouble = self.trouble().map(|trouble| format!(" ({trouble})")).unwrap_or_default();
            return Err(Error::Away(format!(
                "the decisions before `{partition}:{applied}` are not in the store yet{trouble}: ask again"
            )));
        }
        self.store.decisions_between(partition, from, until)
    }

    fn commands_since(&self, partition: u32, after: u64, most: usize) -> Result<Vec<(u64, Command)>> {
        self.wait_for_ours();
        self.store.commands_since(partition, after, most)
    }

    fn view(&self, kind: ViewKind, tenant: &str, name: &str) -> Result<Option<serde_json::Value>> {
        self.wait_for_ours();
        self.store.view(kind, tenant, name)
    }

    fn views(&self, kind: ViewKind, tenant: &str) -> Result<Vec<(String, serde_json::Value)>> {
        self.wait_for_ours();
        self.store.views(kind, tenant)
    }
}
