//! A store that stands behind a log without one, seen as one backend, so that what is asked of whole systems can be asked of
//! the store: the embedded log commits, and what it committed is written behind it at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use weir::backend::{
    Committed, Deed, Error, History, Installation, Kept, Line, Lineage, Log, Machine, Machines, Ownership, Peer,
    Result, Settled, Skip, Snapshot, Snapshots, Stepped, Store, Switch, Switches, View, ViewKind, embedded::Embedded,
};
use weir_engine::{
    command::Command,
    decision::Decision,
    event::Event,
    id::{GroupUid, Position},
};

/// The log, and the store behind it.
pub struct Behind<S> {
    log: Embedded,
    store: S,
    /// Orders of views so far; outlives a handle.
    orders: Arc<AtomicU64>,
}

impl<S: Store> Behind<S> {
    /// Puts the store behind the log.
    pub fn new(log: Embedded, store: S, orders: Arc<AtomicU64>) -> Self {
        Self { log, store, orders }
    }

    fn write_views(&self, partition: u32, views: Vec<View>) -> Result<()> {
        let views: Vec<_> = views.into_iter().map(|view| (self.orders.fetch_add(1, Ordering::SeqCst), view)).collect();
        self.store.write_views(partition, &views)
    }
}

/// With the serials that the embedded store gives: the index counts from 0 at each record.
#[must_use]
pub fn kept(decisions: &[Decision]) -> Vec<Kept> {
    decisions
        .chunk_by(|one, other| one.position == other.position)
        .flat_map(|at_one| at_one.iter().zip(0..))
        .map(|(decision, index)| Kept {
            serial: Kept::serial(decision.position.offset, index),
            decision: decision.clone(),
        })
        .collect()
}

impl<S: Store> Machines for Behind<S> {
    fn take_over(&self, machine: Machine, partition: u32) -> Result<(Ownership, Committed)> {
        self.log.take_over(machine, partition)
    }

    fn commit_step(&self, owner: &Ownership, stepped: Stepped) -> Result<()> {
        let (decisions, views) = (kept(&stepped.decisions), stepped.views.clone());
        let mark = self.log.commands_since(owner.partition, 0, usize::MAX)?.last().map_or(0, |(mark, _)| *mark);
        self.log.commit_step(owner, stepped)?;
        self.store.write_commands(owner.partition, &self.log.commands_since(owner.partition, mark, usize::MAX)?)?;
        self.store.write_decisions(&decisions)?;
        self.write_views(owner.partition, views)
    }

    fn commit_settle(&self, owner: &Ownership, settled: Settled) -> Result<()> {
        let views = settled.views.clone();
        self.log.commit_settle(owner, settled)?;
        self.write_views(owner.partition, views)
    }

    fn stepped(&self, partition: u32) -> Result<(Committed, bool)> {
        self.log.stepped(partition)
    }

    fn wait_stepped(&self, partition: u32, offset: u64, patience: Duration) -> bool {
        self.log.wait_stepped(partition, offset, patience)
    }

    fn commands_after(&self, partition: u32, after: u64, patience: Duration) -> Result<(u64, Vec<Command>)> {
        self.log.commands_after(partition, after, patience)
    }

    fn skips(&self, partition: u32) -> Result<Vec<Skip>> {
        self.log.skips(partition)
    }

    fn skip(&self, owner: &Ownership, skip: Skip) -> Result<()> {
        self.log.skip(owner, skip)
    }

    fn ledgers(&self, partition: u32) -> Result<Vec<(GroupUid, Vec<u8>)>> {
        self.log.ledgers(partition)
    }
}

impl<S: Store> Switches for Behind<S> {
    fn set_switch(&self, switch: Switch) -> Result<()> {
        self.log.set_switch(switch)
    }

    fn held(&self, tenant: &str, region: &str, deed: Deed, now_ms: i64) -> Option<String> {
        self.log.held(tenant, region, deed, now_ms)
    }

    fn switch_silence(&self) -> Option<Duration> {
        self.log.switch_silence()
    }

    fn switches(&self) -> Vec<Switch> {
        self.log.switches()
    }
}

impl<S: Store> Installation for Behind<S> {
    fn lineage(&self) -> Result<Lineage> {
        self.log.lineage()
    }

    fn set_lineage(&self, lineage: &Lineage) -> Result<()> {
        self.log.set_lineage(lineage)
    }

    fn retire(&self, partition: u32, gone: bool) -> Result<()> {
        self.log.retire(partition, gone)
    }

    fn others(&self) -> Result<Vec<Peer>> {
        self.log.others()
    }
}

impl<S: Store> Snapshots for Behind<S> {
    fn save_snapshot(&self, owner: &Ownership, snapshot: Snapshot) -> Result<()> {
        if snapshot.at.next > self.log.stepped(owner.partition)?.0.next {
            return Err(Error::Failed("newer than the position".into()));
        }
        self.store.save_snapshot(owner, snapshot)
    }

    fn snapshot(&self, partition: u32, at_most: u64) -> Result<Option<Snapshot>> {
        self.store.snapshot(partition, at_most.min(self.log.stepped(partition)?.0.next))
    }
}

impl<S: Store> Log for Behind<S> {
    fn log_id(&self) -> String {
        self.log.log_id()
    }

    fn partitions(&self) -> u32 {
        self.log.partitions()
    }

    fn append(&self, partition: u32, events: &[Event]) -> Result<u64> {
        self.log.append(partition, events)
    }

    fn read(&self, partition: u32, from: u64, most: usize) -> Result<Vec<Line>> {
        self.log.read(partition, from, most)
    }

    fn range(&self, partition: u32) -> Result<(u64, u64)> {
        self.log.range(partition)
    }

    fn offset_at(&self, partition: u32, at_ms: i64) -> Result<u64> {
        self.log.offset_at(partition, at_ms)
    }

    fn wait_for(&self, partition: u32, offset: u64, patience: Duration) -> bool {
        self.log.wait_for(partition, offset, patience)
    }
}

impl<S: Store> History for Behind<S> {
    fn decisions(&self, tenant: &str, group: &str, before: Option<u64>, most: usize) -> Result<Vec<Kept>> {
        self.store.decisions(tenant, group, before, most)
    }

    fn decisions_at(&self, position: Position) -> Result<Vec<Decision>> {
        self.store.decisions_at(position)
    }

    fn decisions_between(&self, partition: u32, from: u64, until: u64) -> Result<Vec<Decision>> {
        self.store.decisions_between(partition, from, until)
    }

    fn commands_since(&self, partition: u32, after: u64, most: usize) -> Result<Vec<(u64, Command)>> {
        self.store.commands_since(partition, after, most)
    }

    fn view(&self, kind: ViewKind, tenant: &str, name: &str) -> Result<Option<serde_json::Value>> {
        self.store.view(kind, tenant, name)
    }

    fn views(&self, kind: ViewKind, tenant: &str) -> Result<Vec<(String, serde_json::Value)>> {
        self.store.views(kind, tenant)
    }
}
