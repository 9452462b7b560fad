//! Promises about snapshots.

use super::{
    System,
    machines::{owner, up_to},
};
use weir::backend::Snapshot;

fn snapshot(next: u64, state: impl Into<Vec<u8>>) -> Snapshot {
    Snapshot { at: up_to(next).committed, state: state.into() }
}

/// Also an empty one, and one of many pieces.
pub fn a_snapshot_comes_back_as_it_was(system: &dyn System) {
    let large: Vec<u8> = (0..5_000_000_u32).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1]).collect();
    {
        let store = system.open();
        let owner = owner(&*store, 9);
        store.commit_step(&owner, up_to(9)).unwrap();
        assert_eq!(store.snapshot(0, 9).unwrap(), None);
        store.save_snapshot(&owner, snapshot(3, [])).unwrap();
        store.save_snapshot(&owner, snapshot(7, large.clone())).unwrap();
    }
    let store = system.open();
    assert_eq!(store.snapshot(0, 5).unwrap(), Some(snapshot(3, [])));
    assert_eq!(store.snapshot(0, 9).unwrap(), Some(snapshot(7, large)));
    assert_eq!(store.snapshot(1, 9).unwrap(), None);
}

/// INVARIANT of the whole: what is not committed is in no snapshot.
pub fn no_snapshot_is_newer_than_the_position(system: &dyn System) {
    let store = system.open();
    let owner = owner(&*store, 9);
    store.commit_step(&owner, up_to(4)).unwrap();
    assert!(store.save_snapshot(&owner, snapshot(5, [1])).is_err());
    assert_eq!(store.snapshot(0, u64::MAX).unwrap(), None);
    store.save_snapshot(&owner, snapshot(4, [2])).unwrap();
    assert_eq!(store.snapshot(0, u64::MAX).unwrap(), Some(snapshot(4, [2])));
}

/// The same again is done; others under its position change nothing.
pub fn a_snapshot_is_immutable(system: &dyn System) {
    let store = system.open();
    let owner = owner(&*store, 9);
    store.commit_step(&owner, up_to(5)).unwrap();
    store.save_snapshot(&owner, snapshot(5, vec![7; 2_000_000])).unwrap();
    store.save_snapshot(&owner, snapshot(5, vec![7; 2_000_000])).unwrap();
    assert!(store.save_snapshot(&owner, snapshot(5, vec![8; 10])).is_err());
    assert!(store.save_snapshot(&owner, snapshot(5, vec![8; 3_000_000])).is_err());
    assert_eq!(store.snapshot(0, 9).unwrap(), Some(snapshot(5, vec![7; 2_000_000])));
}

/// For `why`, which starts before the moment it is asked about.
pub fn the_newest_that_is_not_too_new_is_offered(system: &dyn System) {
    let store = system.open();
    let owner = owner(&*store, 30);
    store.commit_step(&owner, up_to(30)).unwrap();
    for next in [10, 20, 30] {
        store.save_snapshot(&owner, snapshot(next, next.to_le_bytes())).unwrap();
    }
    let offered = |at_most| store.snapshot(0, at_most).unwrap().map(|snapshot| snapshot.at.next);
    for (at_most, next) in [(9, None), (10, Some(10)), (19, Some(10)), (20, Some(20)), (29, Some(20)), (99, Some(30))] {
        assert_eq!(offered(at_most), next, "at most {at_most}");
    }
}

/// The newest three stay whatever their age; not every one stays for ever.
pub fn three_are_kept_and_not_all(system: &dyn System) {
    let store = system.open();
    let owner = owner(&*store, 200);
    store.commit_step(&owner, up_to(200)).unwrap();
    for next in 1..=100 {
        system.clock().pass(60_000);
        store.save_snapshot(&owner, snapshot(next, next.to_le_bytes())).unwrap();
    }
    let mut kept = Vec::new();
    let mut at_most = 200;
    while let Some(snapshot) = store.snapshot(0, at_most).unwrap() {
        assert_eq!(snapshot.state, snapshot.at.next.to_le_bytes());
        kept.push(snapshot.at.next);
        at_most = snapshot.at.next - 1;
    }
    assert_eq!(kept[..3], [100, 99, 98]);
    assert!(kept.len() < 20, "{kept:?}");
    // Minute 100, and events are kept for 60: some snapshot is from before minute 40.
    assert!(kept.last().is_some_and(|next| *next < 40), "{kept:?}");
}
