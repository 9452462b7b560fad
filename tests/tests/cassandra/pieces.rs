//! Snapshots in pieces: one that is missing, damaged, broken off, or another's is passed over.

use super::{cql, filled, new_log, offered, open, owner, snapshot};
use std::collections::BTreeSet;
use weir::backend::{Error, Snapshot, Snapshots};
use weir_tests::cassandra::Node;

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
