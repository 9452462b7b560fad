//! Decisions, views and policies, late, twice and for a time.

use super::{at, cql, new_log, open, owner, snapshot, view};
use serde_json::json;
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};
use weir::backend::{
    History, HistoryWriter, Kept, Snapshots, ViewKind,
    cassandra::{Cassandra, Settings},
};
use weir_engine::decision::Decision;
use weir_tests::{
    behind::kept,
    cassandra::Node,
    conformance::START_MS,
    sample::{command, decision},
};

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
