//! A store that stands behind a log, in memory: what a real one must do, in the plainest way. For tests of the log beside
//! it, which then need no other server.

use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};
use weir::backend::{Error, History, HistoryWriter, Kept, Ownership, Result, Snapshot, Snapshots, View, ViewKind};
use weir_engine::{command::Command, decision::Decision, id::Position};

/// The store. Its handles share it.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<Rows>);

#[derive(Debug, Default)]
struct Rows {
    commands: BTreeMap<(u32, u64), Command>,
    decisions: BTreeMap<(u32, u64), Decision>,
    views: BTreeMap<(ViewKind, String, String), (u64, Option<Value>)>,
    snapshots: BTreeMap<(u32, u64), Snapshot>,
    /// Writes still to be refused.
    refusing: u32,
}

impl MemoryStore {
    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses so many writes of history from now on.
    pub fn refuse(&self, writes: u32) {
        self.lock().refusing = writes;
    }

    fn write(&self, write: impl FnOnce(&mut Rows)) -> Result<()> {
        let mut rows = self.lock();
        if rows.refusing > 0 {
            rows.refusing -= 1;
            return Err(Error::Failed("the store is not there".into()));
        }
        write(&mut rows);
        Ok(())
    }
}

impl HistoryWriter for MemoryStore {
    fn write_commands(&self, partition: u32, commands: &[(u64, Command)]) -> Result<()> {
        self.write(|rows| {
            rows.commands.extend(commands.iter().map(|(mark, command)| ((partition, *mark), command.clone())));
        })
    }

    fn write_decisions(&self, decisions: &[Kept]) -> Result<()> {
        self.write(|rows| {
            let keyed = |kept: &Kept| ((kept.decision.position.partition, kept.serial), kept.decision.clone());
            rows.decisions.extend(decisions.iter().map(keyed));
        })
    }

    fn write_views(&self, _: u32, views: &[(u64, View)]) -> Result<()> {
        self.write(|rows| {
            for (order, view) in views {
                let key = (view.kind, view.tenant.clone(), view.name.clone());
                if rows.views.get(&key).is_none_or(|(known, _)| known <= order) {
                    rows.views.insert(key, (*order, view.row.clone()));
                }
            }
        })
    }
}

impl Snapshots for MemoryStore {
    fn save_snapshot(&self, owner: &Ownership, snapshot: Snapshot) -> Result<()> {
        let mut rows = self.lock();
        let kept = rows.snapshots.entry((owner.partition, snapshot.at.next)).or_insert_with(|| snapshot.clone());
        if *kept == snapshot { Ok(()) } else { Err(Error::Failed("another snapshot is at this position".into())) }
    }

    fn snapshot(&self, partition: u32, at_most: u64) -> Result<Option<Snapshot>> {
        let rows = self.lock();
        let newest = rows.snapshots.range((partition, 0)..=(partition, at_most)).next_back();
        Ok(newest.map(|(_, snapshot)| snapshot.clone()))
    }
}

impl History for MemoryStore {
    fn decisions(&self, tenant: &str, group: &str, before: Option<u64>, most: usize) -> Result<Vec<Kept>> {
        let rows = self.lock();
        let of_group = rows.decisions.iter().rev().filter(|((_, serial), decision)| {
            decision.tenant == tenant && decision.group == group && before.is_none_or(|before| *serial < before)
        });
        let kept = of_group.map(|((_, serial), decision)| Kept { serial: *serial, decision: decision.clone() });
        Ok(kept.take(most).collect())
    }

    fn decisions_at(&self, position: Position) -> Result<Vec<Decision>> {
        self.decisions_between(position.partition, position.offset, position.offset + 1)
    }

    fn decisions_between(&self, partition: u32, from: u64, until: u64) -> Result<Vec<Decision>> {
        let rows = self.lock();
        let between = rows.decisions.values().filter(|decision| {
            decision.position.partition == partition && (from..until).contains(&decision.position.offset)
        });
        Ok(between.cloned().collect())
    }

    fn commands_since(&self, partition: u32, after: u64, most: usize) -> Result<Vec<(u64, Command)>> {
        let rows = self.lock();
        let since = rows.commands.range((partition, after + 1)..=(partition, u64::MAX)).take(most);
        Ok(since.map(|((_, mark), command)| (*mark, command.clone())).collect())
    }

    fn view(&self, kind: ViewKind, tenant: &str, name: &str) -> Result<Option<Value>> {
        Ok(self.lock().views.get(&(kind, tenant.into(), name.into())).and_then(|(_, row)| row.clone()))
    }

    fn views(&self, kind: ViewKind, tenant: &str) -> Result<Vec<(String, Value)>> {
        let rows = self.lock();
        let of_tenant =
            rows.views.iter().filter(|((of_kind, of_tenant, _), _)| *of_kind == kind && of_tenant == tenant);
        Ok(of_tenant.filter_map(|((_, _, name), (_, row))| Some((name.clone(), row.clone()?))).collect())
    }
}
