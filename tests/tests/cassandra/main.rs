//! The store in a real Cassandra: what every store promises, and what only one that many processes share, late, twice and
//! through crashes, has to.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod node;
mod pieces;
mod rows;

use std::sync::{
    Arc, RwLockReadGuard,
    atomic::{AtomicU64, Ordering},
};
use weir::{
    backend::{
        Backend, Committed, Machine, Ownership, Snapshot, Snapshots, View, ViewKind,
        cassandra::{Cassandra, Settings},
        embedded::{self, Embedded},
    },
    clock::HeldClock,
};
use weir_engine::id::Position;
use weir_tests::{
    behind::Behind,
    cassandra::Node,
    conformance::{DECISIONS_MS, EVENTS_MS, PARTITIONS, START_MS, System},
};

/// The embedded log with Cassandra behind it.
struct BehindALog {
    folder: tempfile::TempDir,
    clock: HeldClock,
    orders: Arc<AtomicU64>,
    node: &'static Node,
    _runs: RwLockReadGuard<'static, ()>,
}

impl BehindALog {
    fn new() -> Self {
        let (node, runs) = Node::shared();
        let (folder, clock) = (tempfile::tempdir().unwrap(), HeldClock::at(START_MS));
        Self { folder, clock, orders: Arc::default(), node, _runs: runs }
    }
}

impl System for BehindALog {
    fn open(&self) -> Arc<dyn Backend> {
        let clock = Arc::new(self.clock.clone());
        let (partitions, events_ms, decisions_ms) = (Some(PARTITIONS), EVENTS_MS, DECISIONS_MS);
        let settings = embedded::Settings {
            partitions,
            clock: clock.clone(),
            events_ms,
            decisions_ms,
            ..embedded::Settings::default()
        };
        let log = Embedded::open(self.folder.path(), settings).unwrap();
        let settings = Settings { clock, events_ms, decisions_ms, ..self.node.settings() };
        let store = Cassandra::open(&settings, &weir::backend::Log::log_id(&log), PARTITIONS).unwrap();
        Arc::new(Behind::new(log, store, Arc::clone(&self.orders)))
    }

    fn clock(&self) -> &HeldClock {
        &self.clock
    }
}

// All that a store has a part in. What goes by its time to live is asked below, since no clock of ours decides it.
weir_tests::promises! { @ BehindALog::new();
    machines: a_commit_is_there_whole_after_reopening, every_command_stays_in_the_history;
    history: decisions_are_paged_newest_first, decisions_are_found_by_record, views_are_set_replaced_and_taken_away,
        tenants_do_not_see_each_other;
    snapshots: a_snapshot_comes_back_as_it_was, no_snapshot_is_newer_than_the_position, a_snapshot_is_immutable,
        the_newest_that_is_not_too_new_is_offered, three_are_kept_and_not_all;
}

/// Each test writes for a log of its own.
fn new_log() -> String {
    static LOGS: AtomicU64 = AtomicU64::new(0);
    format!("log-{}", LOGS.fetch_add(1, Ordering::SeqCst))
}

fn open(node: &Node, log: &str) -> Cassandra {
    Cassandra::open(&node.settings(), log, 1).unwrap()
}

/// Runs a statement of one's own in the shared keyspace. Answers the rows.
fn cql<R>(node: &Node, text: &str) -> Vec<R>
where
    R: for<'frame, 'meta> scylla::deserialize::row::DeserializeRow<'frame, 'meta>,
{
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let answer = node.session().await.unwrap().query_unpaged(text, ()).await.unwrap();
        match answer.into_rows_result() {
            Ok(rows) => rows.rows::<R>().unwrap().map(Result::unwrap).collect(),
            Err(_) => Vec::new(),
        }
    })
}

fn at(offset: u64) -> Position {
    Position { partition: 0, offset }
}

fn snapshot(next: u64, state: Vec<u8>) -> Snapshot {
    Snapshot { at: Committed { next, semantics: 1, digest: format!("digest-{next}") }, state }
}

fn owner(epoch: u64) -> Ownership {
    Ownership { machine: Machine::Step, partition: 0, epoch }
}

fn view(kind: ViewKind, name: &str, row: Option<serde_json::Value>) -> View {
    View { kind, tenant: "acme".into(), name: name.into(), row }
}

fn filled(node: &Node, log: &str) -> Cassandra {
    let store = open(node, log);
    for next in [10, 20, 30] {
        // Some pieces each.
        store.save_snapshot(&owner(1), snapshot(next, vec![u8::try_from(next).unwrap(); 1_200_000])).unwrap();
    }
    store
}

fn offered(store: &Cassandra) -> Option<u64> {
    let snapshot = store.snapshot(0, u64::MAX).unwrap()?;
    assert_eq!(snapshot.state, vec![u8::try_from(snapshot.at.next).unwrap(); 1_200_000]);
    Some(snapshot.at.next)
}
