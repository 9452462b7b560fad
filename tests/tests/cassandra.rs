//! The store in a real Cassandra: what every store promises, and what only one that many processes share, late, twice and
//! through crashes, has to.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use serde_json::json;
use std::{
    collections::BTreeSet,
    sync::{
        Arc, RwLockReadGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use weir::{
    backend::{
        Backend, Committed, Error, History, HistoryWriter, Kept, Machine, Ownership, Snapshot, Snapshots, View,
        ViewKind,
        cassandra::{self, Cassandra, Credentials, Settings},
        embedded::{self, Embedded},
    },
    clock::HeldClock,
    config::Replication,
};
use weir_engine::{decision::Decision, id::Position};
use weir_tests::{
    behind::{Behind, kept},
    cassandra::Node,
    conformance::{DECISIONS_MS, EVENTS_MS, PARTITIONS, START_MS, System},
    sample::{command, decision},
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

/// Over months, a day now and then without any, and over stretches of the log; whatever the size of a page nothing is
/// missing or twice. And they are written in batches: what a busy log's history costs is counted in requests.
#[test]
fn five_thousand_decisions_are_paged_and_cost_few_requests() {
    const HOUR_MS: i64 = 3_600_000;
    let (node, _runs) = Node::shared();
    let store = open(node, &new_log());
    let made: Vec<Decision> = (0..5_000_i64)
        .map(|n| decision("web", at(n.unsigned_abs() / 70 * 3_000), n / 60 * 12 * HOUR_MS + n / 600 * 96 * HOUR_MS))
        .collect();
    let made = kept(&made);
    let before = store.requests();
    for some in made.chunks(500) {
        store.write_decisions(some).unwrap();
        // At least once.
        store.write_decisions(&some[..100]).unwrap();
    }
    let requests = store.requests() - before;
    println!("figure: 6,000 decisions of one group over 75 stretches and 40 days written in {requests} requests");
    assert!(requests < 600, "that is less than ten decisions a request");

    for page in [7, 1_000, 10_000] {
        // The smallest pages only for the newest, for the sake of time.
        let wanted = if page == 7 { 300 } else { made.len() };
        let (mut cursor, mut read) = (None, Vec::new());
        while read.len() < wanted {
            let rows = store.decisions("acme", "web", cursor, page).unwrap();
            assert!(rows.len() <= page && !rows.is_empty(), "page {page} at {cursor:?}");
            cursor = rows.last().map(|kept| kept.serial);
            read.extend(rows);
        }
        let expected: Vec<Kept> = made.iter().rev().take(read.len()).cloned().collect();
        assert!(read == expected, "pages of {page} are other decisions");
    }
    assert_eq!(store.decisions("acme", "web", Some(made[0].serial), 10).unwrap(), []);
    let all: Vec<Decision> = made.into_iter().map(|kept| kept.decision).collect();
    assert!(store.decisions_between(0, 0, u64::MAX).unwrap() == all);
    assert_eq!(store.decisions_at(at(3_000)).unwrap(), all[70..140]);
    assert!(store.decisions_between(0, 3_001, 6_000).unwrap().is_empty());
}

/// What the log's commits cost where decisions are of many groups at once: one record, four thousand groups.
#[test]
fn a_record_of_many_groups_is_found_whole_and_in_order() {
    let (node, _runs) = Node::shared();
    let store = open(node, &new_log());
    let made: Vec<Decision> =
        (0..1_000).map(|n| decision(&format!("group-{}", n % 50), at(7), START_MS + i64::from(n))).collect();
    let before = store.requests();
    store.write_decisions(&kept(&made)).unwrap();
    println!("figure: 1,000 decisions of 50 groups at one record written in {} requests", store.requests() - before);
    assert!(store.decisions_at(at(7)).unwrap() == made);
    assert_eq!(store.decisions("acme", "group-3", None, 100).unwrap().len(), 20);
}

/// A process that was replaced, and writes what it still had.
#[test]
fn a_late_write_with_a_lower_order_loses() {
    let (node, _runs) = Node::shared();
    let store = open(node, &new_log());
    let write = |order, name, row: Option<i32>| {
        let row = row.map(|row| json!({ "target": row }));
        store.write_views(0, &[(order, view(ViewKind::Groups, name, row))]).unwrap();
    };
    let read = |name| store.view(ViewKind::Groups, "acme", name).unwrap().map(|row| row["target"].as_i64().unwrap());
    write(10, "web", Some(10));
    write(9, "web", Some(9));
    assert_eq!(read("web"), Some(10));
    write(8, "web", None);
    assert_eq!(read("web"), Some(10), "nor does it take the row away");
    write(12, "web", None);
    write(11, "web", Some(11));
    assert_eq!(read("web"), None, "nor does it bring one back");
    write(13, "web", Some(13));
    assert_eq!(read("web"), Some(13));
    // In one call the last counts, whatever stands between.
    let rows = [(20, Some(1)), (21, None), (22, Some(3))];
    let rows =
        rows.map(|(order, row)| (order, view(ViewKind::Groups, "batch", row.map(|row| json!({ "target": row })))));
    store.write_views(0, &rows).unwrap();
    assert_eq!(read("batch"), Some(3));
    assert_eq!(store.views(ViewKind::Groups, "acme").unwrap().len(), 2);
}

/// More than a page of answers, over all shelves, sorted by name.
#[test]
fn a_tenant_may_have_thousands_of_groups() {
    let (node, _runs) = Node::shared();
    let store = open(node, &new_log());
    let names: BTreeSet<String> = (0..3_000).map(|n| format!("group-{n}")).collect();
    let rows: Vec<_> =
        names.iter().map(|name| (1, view(ViewKind::Groups, name, Some(json!({ "group": name }))))).collect();
    let before = store.requests();
    store.write_views(0, &rows).unwrap();
    println!("figure: 3,000 changed groups written in {} requests", store.requests() - before);
    let read = store.views(ViewKind::Groups, "acme").unwrap();
    assert!(read.iter().map(|(name, _)| name).eq(names.iter()));
    assert!(read.iter().all(|(name, row)| row["group"] == *name));
}

/// Decisions, commands and what leads to them go by themselves; views, snapshots and policies never do.
#[test]
fn what_is_kept_for_a_time_has_a_time_to_live() {
    const DAYS_90: i32 = 90 * 86_400;
    let (node, _runs) = Node::shared();
    let log = new_log();
    let store = open(node, &log);
    store.write_decisions(&kept(&[decision("web", at(5), START_MS)])).unwrap();
    store.write_commands(0, &[(3, command(1, 1, at(5)))]).unwrap();
    let policy = json!({ "name": "web.weir", "hash": "00ff".repeat(16), "text": "group web {}", "setup": {} });
    store.write_views(0, &[(1, view(ViewKind::Policies, "web.weir", Some(policy)))]).unwrap();
    store.save_snapshot(&owner(1), snapshot(5, vec![1; 10])).unwrap();
    let lives = |column: &str, table: &str| {
        let key = format!("WHERE log_id = '{log}' ALLOW FILTERING");
        let rows = cql::<(Option<i32>,)>(node, &format!("SELECT TTL({column}) FROM {table} {key}"));
        assert_eq!(rows.len(), 1, "{table}");
        rows[0].0
    };
    for (column, table) in [("decision", "decisions"), ("decision", "decisions_at"), ("command", "commands")] {
        let left = lives(column, table).unwrap();
        assert!((DAYS_90 - 60..=DAYS_90).contains(&left), "{table}: {left} s");
    }
    for (column, table) in [("value", "views"), ("bytes", "chunks"), ("manifest", "snapshots")] {
        assert_eq!(lives(column, table), None, "{table}");
    }
    assert_eq!(cql::<(Option<i32>,)>(node, "SELECT TTL(policy) FROM policies LIMIT 1"), [(None,)]);
}

/// And the index that leads to them does not go before they do.
#[test]
fn what_has_expired_is_not_there() {
    let (node, _runs) = Node::shared();
    let settings = Settings { decisions_ms: 2_000, ..node.settings() };
    let store = Cassandra::open(&settings, &new_log(), 1).unwrap();
    store.write_decisions(&kept(&[decision("web", at(5), START_MS)])).unwrap();
    store.write_commands(0, &[(3, command(1, 1, at(5)))]).unwrap();
    let there = || {
        let decisions = store.decisions("acme", "web", None, 10).unwrap();
        let at_record = store.decisions_at(at(5)).unwrap();
        (decisions.len(), at_record.len(), store.commands_since(0, 0, 10).unwrap().len())
    };
    let until = Instant::now() + Duration::from_secs(20);
    while there() != (0, 0, 0) {
        assert!(Instant::now() < until, "{:?}", there());
        std::thread::sleep(Duration::from_millis(200));
    }
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

/// The key of a piece of the snapshot at `next`.
fn piece(node: &Node, log: &str, next: u64, chunk: i32) -> String {
    let text = format!("SELECT digest FROM chunks WHERE log_id = '{log}' AND position = {next} ALLOW FILTERING");
    let (digest,) = cql::<(String,)>(node, &text).into_iter().next().unwrap();
    format!(
        "log_id = '{log}' AND machine = 'step' AND part = 0 AND semantics = 1 AND position = {next} AND digest = \
         '{digest}' AND chunk = {chunk}"
    )
}

/// Saved again, it is whole again.
#[test]
fn a_snapshot_with_a_missing_or_damaged_piece_is_passed_over() {
    let (node, _runs) = Node::shared();
    let log = new_log();
    let store = filled(node, &log);
    assert_eq!(offered(&store), Some(30));
    cql::<()>(node, &format!("DELETE FROM chunks WHERE {}", piece(node, &log, 30, 1)));
    assert_eq!(offered(&store), Some(20));
    cql::<()>(node, &format!("UPDATE chunks SET bytes = 0x00ff WHERE {}", piece(node, &log, 20, 0)));
    assert_eq!(offered(&store), Some(10));
    store.save_snapshot(&owner(1), snapshot(30, vec![30; 1_200_000])).unwrap();
    assert_eq!(offered(&store), Some(30));
    cql::<()>(
        node,
        &format!(
            "UPDATE snapshots SET manifest = 'x' WHERE log_id = '{log}' AND machine = 'step' AND part = 0 AND slot = 2"
        ),
    );
    assert_eq!(offered(&store), Some(10));
    // Another state under the position of a damaged one, as of a build that was corrected.
    let other = Snapshot { at: snapshot(20, Vec::new()).at, state: vec![20; 1_200_000] };
    store.save_snapshot(&owner(1), other).unwrap();
    assert_eq!(offered(&store), Some(20));
}

/// A process that died while it saved leaves pieces that nobody will ask for: the next that saves cleans them away.
#[test]
fn a_snapshot_that_was_broken_off_is_none_and_is_cleaned_away() {
    let (node, _runs) = Node::shared();
    let log = new_log();
    let store = filled(node, &log);
    let slots =
        format!("SELECT slot, manifest FROM snapshots WHERE log_id = '{log}' AND machine = 'step' AND part = 0");
    let (slot, manifest) =
        cql::<(i32, String)>(node, &slots).into_iter().find(|(_, text)| text.contains("digest-30")).unwrap();
    let begun = manifest.replace("\"whole\":true", "\"whole\":false");
    assert_ne!(begun, manifest);
    let key = format!("log_id = '{log}' AND machine = 'step' AND part = 0 AND slot = {slot}");
    cql::<()>(node, &format!("UPDATE snapshots SET manifest = '{begun}' WHERE {key}"));
    assert_eq!(offered(&store), Some(20));
    let pieces = || {
        let text = format!("SELECT position, chunk FROM chunks WHERE log_id = '{log}' ALLOW FILTERING");
        cql::<(i64, i32)>(node, &text).into_iter().map(|(position, _)| position).collect::<BTreeSet<_>>()
    };
    assert_eq!(pieces(), BTreeSet::from([10, 20, 30]));
    store.save_snapshot(&owner(2), snapshot(40, vec![40; 1_200_000])).unwrap();
    assert_eq!(pieces(), BTreeSet::from([10, 20, 40]));
    assert_eq!(offered(&store), Some(40));
}

/// Whoever lost the partition and does not know it leaves what its successor saved alone.
#[test]
fn an_owner_that_was_replaced_saves_nothing() {
    let (node, _runs) = Node::shared();
    let store = open(node, &new_log());
    store.save_snapshot(&owner(5), snapshot(10, vec![1])).unwrap();
    let late = store.save_snapshot(&owner(4), snapshot(11, vec![2]));
    assert!(matches!(late, Err(Error::Fenced { partition: 0 })), "{late:?}");
    assert_eq!(store.snapshot(0, 99).unwrap().unwrap().at.next, 10);
}

/// Two that save at once, as around a take-over: what is offered is whole, and one of theirs.
#[test]
fn two_who_save_at_once_do_not_mix_theirs() {
    let (node, _runs) = Node::shared();
    let log = new_log();
    let stores = [open(node, &log), open(node, &log)];
    std::thread::scope(|scope| {
        for (store, epoch) in stores.iter().zip([1, 2]) {
            scope.spawn(move || {
                for n in 1..=10_u64 {
                    let state = vec![u8::try_from(n * 10 + epoch).unwrap(); 600_000];
                    // Refused is fine, half of it is not.
                    let _ = store.save_snapshot(&owner(epoch), snapshot(n * 10 + epoch, state));
                }
            });
        }
    });
    let (mut at_most, mut found) = (u64::MAX, 0);
    while let Some(snapshot) = stores[0].snapshot(0, at_most).unwrap() {
        assert_eq!(snapshot.state, vec![u8::try_from(snapshot.at.next).unwrap(); 600_000]);
        at_most = snapshot.at.next - 1;
        found += 1;
    }
    assert!(found >= 3, "{found} snapshots are left");
}

/// Decisions name their policy by the beginning of its hash; the text is there after it was replaced, and after the file
/// is gone.
#[test]
fn a_policy_is_found_by_its_hash_for_ever() {
    let (node, _runs) = Node::shared();
    let store = open(node, &new_log());
    let row = |hash: &str, text: &str| json!({ "name": "web.weir", "hash": hash.repeat(8), "text": text, "setup": {} });
    let rows = [Some(row("0123abcd", "one")), Some(row("4567abcd", "two")), None];
    for (order, row) in (0..).zip(rows) {
        store.write_views(0, &[(order, view(ViewKind::Policies, "web.weir", row))]).unwrap();
    }
    assert_eq!(store.view(ViewKind::Policies, "acme", "web.weir").unwrap(), None);
    assert_eq!(store.policy("acme", "0123abcd0123abcd").unwrap().unwrap().text, "one");
    assert_eq!(store.policy("acme", "4567abcd4567abcd").unwrap().unwrap().text, "two");
    assert_eq!(store.policy("acme", "ffffabcdffffabcd").unwrap(), None);
    assert_eq!(store.policy("beta", "0123abcd0123abcd").unwrap(), None, "each tenant sees its own");
}

/// Each with what to do.
#[test]
fn who_is_not_let_in_is_told_why() {
    let (node, _runs) = Node::shared();
    let why = |settings: Settings| {
        let error = Cassandra::open(&settings, "log", 1).unwrap_err();
        assert!(matches!(error, Error::Failed(_)), "{error:?}");
        error.to_string()
    };
    let with = |password: &str| {
        let credentials = Some(Credentials { username: "cassandra".into(), password: password.into() });
        Settings { credentials, ..node.settings() }
    };
    let said = why(with("canary"));
    assert!(said.contains("refuses the credentials") && said.contains("correct `credentials_file`"), "{said}");
    assert!(!said.contains("canary"), "{said}");
    let said = why(Settings { credentials: None, ..node.settings() });
    assert!(said.contains("asks for a user and a password; name a `credentials_file`"), "{said}");
    let began = Instant::now();
    let said = why(Settings { nodes: vec!["127.0.0.1:1".into()], ..node.settings() });
    assert!(said.contains("`127.0.0.1:1`) cannot be reached") && said.contains("correct `nodes`"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(10));
    let said = why(Settings { keyspace: "nowhere".into(), ..node.settings() });
    assert!(said.contains("the keyspace `nowhere` has no tables of Weir's yet: run `weir setup`"), "{said}");
    let said = why(Settings { ca_file: Some("/nowhere/ca.pem".into()), ..node.settings() });
    assert!(said.contains("`/nowhere/ca.pem` holds no certificates") || said.contains("--features tls"), "{said}");
}

/// `weir setup` as often as one likes; what it cannot change it names.
#[test]
fn setup_is_done_once_and_says_what_does_not_fit() {
    let (node, _runs) = Node::shared();
    let settings = Settings { keyspace: "weir_setup".into(), ..node.settings() };
    cassandra::setup(&settings).unwrap();
    let store = Cassandra::open(&settings, "log", 1).unwrap();
    store.write_decisions(&kept(&[decision("web", at(5), START_MS)])).unwrap();
    cassandra::setup(&settings).unwrap();
    assert_eq!(store.decisions("acme", "web", None, 10).unwrap().len(), 1);
    let three = Settings { replication: Replication::Everywhere(3), ..settings.clone() };
    let said = cassandra::setup(&three).unwrap_err().to_string();
    assert!(said.contains("is replicated as `datacenter1: 1`") && said.contains("ALTER KEYSPACE"), "{said}");

    cql::<()>(node, "UPDATE weir_setup.meta SET value = '2' WHERE name = 'schema'");
    for said in [cassandra::setup(&settings).unwrap_err(), Cassandra::open(&settings, "log", 1).unwrap_err()] {
        let said = said.to_string();
        assert!(said.contains("has schema 2 and this build knows 1: use the build that made it"), "{said}");
    }
    cql::<()>(node, "UPDATE weir_setup.meta SET value = '0' WHERE name = 'schema'");
    let said = Cassandra::open(&settings, "log", 1).unwrap_err().to_string();
    assert!(said.contains("has schema 0 and this build needs 1: run `weir setup`"), "{said}");
    cassandra::setup(&settings).unwrap();
    // A table that somebody changed by hand.
    cql::<()>(node, "ALTER TABLE weir_setup.views DROP value");
    let said = Cassandra::open(&settings, "log", 1).unwrap_err().to_string();
    assert!(said.contains("run `weir setup`"), "{said}");
    cql::<()>(node, "DROP KEYSPACE weir_setup");
}

/// Killed in the middle of the work: what was answered is there afterwards; meanwhile one is told, within a bounded time;
/// and the same handle goes on by itself.
#[test]
fn a_node_that_is_killed_and_comes_back_has_everything() {
    let (node, _runs) = Node::alone();
    let log = new_log();
    let store = filled(node, &log);
    let made: Vec<Decision> = (0..200).map(|n| decision("web", at(n), START_MS)).collect();
    store.write_decisions(&kept(&made)).unwrap();
    store.write_views(0, &[(1, view(ViewKind::Groups, "web", Some(json!(1))))]).unwrap();
    node.kill();
    let began = Instant::now();
    let away = store.write_views(0, &[(2, view(ViewKind::Groups, "web", Some(json!(2))))]).unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    assert!(away.to_string().contains("Cassandra (`127.0.0.1:"), "{away}");
    let unread = store.view(ViewKind::Groups, "acme", "web").unwrap_err();
    assert!(matches!(unread, Error::Away(_)), "a read changes nothing: {unread:?}");
    let closed = Cassandra::open(&node.settings(), &log, 1).unwrap_err();
    assert!(closed.to_string().contains("cannot be reached"), "{closed}");
    node.restart();
    let until = Instant::now() + Duration::from_secs(60);
    while let Err(error) = store.view(ViewKind::Groups, "acme", "web") {
        assert!(Instant::now() < until, "{error}");
    }
    for store in [&store, &open(node, &log)] {
        assert_eq!(offered(store), Some(30));
        assert_eq!(store.decisions_between(0, 0, 1_000).unwrap(), made);
        assert_eq!(store.decisions("acme", "web", None, 1_000).unwrap().len(), 200);
    }
    store.write_views(0, &[(2, view(ViewKind::Groups, "web", Some(json!(2))))]).unwrap();
    assert_eq!(store.view(ViewKind::Groups, "acme", "web").unwrap(), Some(json!(2)));
}

/// Up to the last of them: a node that answers first and syncs later would lose what it answered in its last tenth of a second.
#[test]
fn what_a_node_answered_before_it_was_killed_is_there_after_it() {
    let (node, _runs) = Node::alone();
    let log = new_log();
    let store = open(node, &log);
    let answered = std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut answered = Vec::new();
            for offset in 0.. {
                let made = decision("web", at(offset), START_MS);
                if store.write_decisions(&kept(std::slice::from_ref(&made))).is_err() {
                    return answered;
                }
                answered.push(made);
            }
            unreachable!("it writes until it is refused");
        });
        std::thread::sleep(Duration::from_secs(2));
        node.kill();
        writing.join().unwrap()
    });
    assert!(answered.len() > 20, "{}", answered.len());
    node.restart();
    let until = Instant::now() + Duration::from_secs(60);
    let there = loop {
        match store.decisions_between(0, 0, answered.len() as u64) {
            Ok(there) => break there,
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
    };
    println!("figure: {} decisions answered before the kill, {} there after it", answered.len(), there.len());
    assert!(there == answered, "{} of {} are gone", answered.len() - there.len(), answered.len());
}
