//! A log and store whose every write may be what the process dies at.

use super::faults::{Effect, Faults, Met, Moment};
use std::{sync::Arc, time::Duration};
use weir::backend::{
    Backend, Committed, Deed, Error, History, Installation, Kept, Line, Lineage, Log, Machine, Machines, Ownership,
    Peer, Result, Settled, Skip, Snapshot, Snapshots, Stepped, Switch, Switches, ViewKind,
};
use weir_engine::{
    command::Command,
    decision::Decision,
    event::Event,
    id::{GroupUid, Position},
};

/// A log and store with faults.
#[derive(Debug)]
pub struct Faulty<B> {
    /// As it is without.
    pub inner: B,
    faults: Arc<Faults>,
}

impl<B: Backend> Faulty<B> {
    /// The same with faults.
    pub fn new(inner: B, faults: Arc<Faults>) -> Self {
        Self { inner, faults }
    }

    fn write<T>(&self, effect: Effect, work: impl Fn(&B) -> Result<T>) -> Result<T> {
        match self.faults.meet(effect) {
            Met::Dead => Err(dead()),
            Met::Alive(None) => work(&self.inner),
            Met::Alive(Some(Moment::Twice)) => {
                let first = work(&self.inner);
                // Whatever it says: who asked twice has heard the first answer.
                drop(work(&self.inner));
                first
            }
            Met::Alive(Some(Moment::Fails)) => Err(Error::Failed(format!("{effect} fails once"))),
            Met::Alive(Some(Moment::Lost)) => {
                work(&self.inner)?;
                Err(Error::Unclear(format!("the answer to {effect} is lost")))
            }
            Met::Alive(Some(Moment::Before | Moment::After)) => {
                let done = work(&self.inner);
                self.faults.kill();
                done.and(Err(dead()))
            }
        }
    }

    fn read<T>(&self, work: impl Fn(&B) -> Result<T>) -> Result<T> {
        if self.faults.is_dead() { Err(dead()) } else { work(&self.inner) }
    }
}

fn dead() -> Error {
    Error::Failed("the process is dead".into())
}

impl<B: Backend> Log for Faulty<B> {
    fn log_id(&self) -> String {
        self.inner.log_id()
    }
    fn partitions(&self) -> u32 {
        self.inner.partitions()
    }
    fn append(&self, partition: u32, events: &[Event]) -> Result<u64> {
        let said = self.write(Effect::Append, |inner| inner.append(partition, events));
        match (self.faults.bug(), self.inner.range(partition)) {
            // A process that is dead makes nothing of anything.
            (Some(bug), Ok((_, end))) if !self.faults.is_dead() => bug.appended(events, end, said),
            _ => said,
        }
    }
    fn read(&self, partition: u32, from: u64, most: usize) -> Result<Vec<Line>> {
        self.read(|inner| inner.read(partition, from, most))
    }
    fn range(&self, partition: u32) -> Result<(u64, u64)> {
        self.read(|inner| inner.range(partition))
    }
    fn offset_at(&self, partition: u32, at_ms: i64) -> Result<u64> {
        self.read(|inner| inner.offset_at(partition, at_ms))
    }
    /// Never waits: the clock stands until all that can be done is done.
    fn wait_for(&self, partition: u32, offset: u64, _: Duration) -> bool {
        self.inner.wait_for(partition, offset, Duration::ZERO)
    }
}

impl<B: Backend> Machines for Faulty<B> {
    fn take_over(&self, machine: Machine, partition: u32) -> Result<(Ownership, Committed)> {
        self.write(Effect::TakeOver, |inner| inner.take_over(machine, partition))
    }
    fn commit_step(&self, owner: &Ownership, stepped: Stepped) -> Result<()> {
        let said = self.write(Effect::CommitStep, |inner| inner.commit_step(owner, stepped.clone()));
        match self.faults.bug() {
            Some(bug) if !self.faults.is_dead() => bug.stepped(said),
            _ => said,
        }
    }
    fn commit_settle(&self, owner: &Ownership, settled: Settled) -> Result<()> {
        if self.faults.bug().is_some_and(|bug| bug.leaves_out(&settled)) {
            return Ok(());
        }
        let said = self.write(Effect::CommitSettle, |inner| inner.commit_settle(owner, settled.clone()));
        match self.faults.bug() {
            Some(bug) if !self.faults.is_dead() => bug.settled(said),
            _ => said,
        }
    }
    fn stepped(&self, partition: u32) -> Result<(Committed, bool)> {
        self.read(|inner| inner.stepped(partition))
    }
    fn wait_stepped(&self, partition: u32, offset: u64, _: Duration) -> bool {
        self.inner.wait_stepped(partition, offset, Duration::ZERO)
    }
    fn commands_after(&self, partition: u32, after: u64, _: Duration) -> Result<(u64, Vec<Command>)> {
        self.read(|inner| inner.commands_after(partition, after, Duration::ZERO))
    }
    fn skips(&self, partition: u32) -> Result<Vec<Skip>> {
        self.read(|inner| inner.skips(partition))
    }
    fn skip(&self, owner: &Ownership, skip: Skip) -> Result<()> {
        self.read(|inner| inner.skip(owner, skip.clone()))
    }
    fn ledgers(&self, partition: u32) -> Result<Vec<(GroupUid, Vec<u8>)>> {
        self.read(|inner| inner.ledgers(partition))
    }
}

impl<B: Backend> Switches for Faulty<B> {
    fn set_switch(&self, switch: Switch) -> Result<()> {
        self.read(|inner| inner.set_switch(switch.clone()))
    }
    fn held(&self, tenant: &str, region: &str, deed: Deed, now_ms: i64) -> Option<String> {
        self.inner.held(tenant, region, deed, now_ms)
    }
    fn switch_silence(&self) -> Option<Duration> {
        self.inner.switch_silence()
    }
    fn switches(&self) -> Vec<Switch> {
        self.inner.switches()
    }
}

impl<B: Backend> Installation for Faulty<B> {
    fn lineage(&self) -> Result<Lineage> {
        self.read(Installation::lineage)
    }
    fn set_lineage(&self, lineage: &Lineage) -> Result<()> {
        self.write(Effect::SetLineage, |inner| inner.set_lineage(lineage))
    }
    fn retire(&self, partition: u32, gone: bool) -> Result<()> {
        self.write(Effect::TakeOver, |inner| inner.retire(partition, gone))
    }
    fn others(&self) -> Result<Vec<Peer>> {
        self.read(Installation::others)
    }
}

impl<B: Backend> Snapshots for Faulty<B> {
    fn save_snapshot(&self, owner: &Ownership, snapshot: Snapshot) -> Result<()> {
        self.write(Effect::SaveSnapshot, |inner| inner.save_snapshot(owner, snapshot.clone()))
    }
    fn snapshot(&self, partition: u32, at_most: u64) -> Result<Option<Snapshot>> {
        self.read(|inner| inner.snapshot(partition, at_most))
    }
}

impl<B: Backend> History for Faulty<B> {
    fn decisions(&self, tenant: &str, group: &str, before: Option<u64>, most: usize) -> Result<Vec<Kept>> {
        self.read(|inner| inner.decisions(tenant, group, before, most))
    }
    fn decisions_at(&self, position: Position) -> Result<Vec<Decision>> {
        self.read(|inner| inner.decisions_at(position))
    }
    fn decisions_between(&self, partition: u32, from: u64, until: u64) -> Result<Vec<Decision>> {
        self.read(|inner| inner.decisions_between(partition, from, until))
    }
    fn commands_since(&self, partition: u32, after: u64, most: usize) -> Result<Vec<(u64, Command)>> {
        self.read(|inner| inner.commands_since(partition, after, most))
    }
    fn view(&self, kind: ViewKind, tenant: &str, name: &str) -> Result<Option<serde_json::Value>> {
        self.read(|inner| inner.view(kind, tenant, name))
    }
    fn views(&self, kind: ViewKind, tenant: &str) -> Result<Vec<(String, serde_json::Value)>> {
        self.read(|inner| inner.views(kind, tenant))
    }
}
