//! The node itself: who is let in, how it is set up, and what is there after a power cut.

use super::{at, cql, filled, new_log, offered, open, view};
use serde_json::json;
use std::{
    thread,
    time::{Duration, Instant},
};
use weir::{
    backend::{
        Error, History, HistoryWriter, ViewKind,
        cassandra::{self, Cassandra, Credentials, Settings},
    },
    config::Replication,
};
use weir_engine::decision::Decision;
use weir_tests::{behind::kept, cassandra::Node, conformance::START_MS, sample::decision};

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

/// Many machines of a new installation set up at once: Cassandra lists a table a moment before it can be read, and forgets
/// what one has prepared whenever another makes a table.
#[test]
fn setups_at_once_do_not_stumble_over_each_other() {
    let (node, _runs) = Node::shared();
    for turn in 0..3 {
        let settings = Settings { keyspace: format!("weir_at_once_{turn}"), ..node.settings() };
        let setups: Vec<_> = std::iter::repeat_with(|| settings.clone())
            .take(12)
            .map(|each| thread::spawn(move || cassandra::setup(&each)))
            .collect();
        for setup in setups {
            setup.join().unwrap().unwrap();
        }
        cql::<()>(node, &format!("DROP KEYSPACE weir_at_once_{turn}"));
    }
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
    let answered = thread::scope(|scope| {
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
        thread::sleep(Duration::from_secs(2));
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
