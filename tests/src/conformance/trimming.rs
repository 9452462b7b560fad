//! Promises about what is kept, and for how long.

use super::{
    DECISIONS_MS, EVENTS_MS, START_MS, System,
    machines::{at, owner, up_to},
};
use crate::sample::{command, decision, events};
use std::{
    thread,
    time::{Duration, Instant},
};
use weir::backend::{Error, Snapshot, Stepped};

/// Trimming happens beside the work, within this time.
const SOON: Duration = Duration::from_secs(20);

fn soon(so: impl Fn() -> bool) -> bool {
    let until = Instant::now() + SOON;
    while !so() {
        if Instant::now() > until {
            return false;
        }
        thread::sleep(Duration::from_millis(50));
    }
    true
}

fn snapshot(next: u64) -> Snapshot {
    Snapshot { at: up_to(next).committed, state: vec![1] }
}

/// What is gone is said to be gone, never read as empty.
pub fn old_events_go_but_never_those_a_snapshot_needs(system: &dyn System) {
    let store = system.open();
    let owner = owner(&*store, 2_500);
    system.clock().pass(EVENTS_MS / 2);
    store.append(0, &events("young", 10)).unwrap();
    store.commit_step(&owner, up_to(2_510)).unwrap();
    store.save_snapshot(&owner, snapshot(2_400)).unwrap();
    store.save_snapshot(&owner, snapshot(2_505)).unwrap();
    system.clock().pass(EVENTS_MS / 2 + 1);
    assert!(soon(|| store.range(0).unwrap() == (2_400, 2_510)), "{:?}", store.range(0));
    assert!(matches!(store.read(0, 2_399, 1), Err(Error::OutOfRange(_))));
    assert!(matches!(store.read(0, 0, 1), Err(Error::OutOfRange(_))));
    assert_eq!(store.read(0, 2_400, 200).unwrap().len(), 110);
    assert_eq!(store.offset_at(0, START_MS).unwrap(), 2_499);
    drop(store);
    let store = system.open();
    assert_eq!(store.range(0).unwrap(), (2_400, 2_510));
    assert_eq!(store.append(0, &events("new", 1)).unwrap(), 2_510, "offsets are never given again");
}

/// Then everything is replayed from the first record.
pub fn nothing_goes_without_a_snapshot(system: &dyn System) {
    let store = system.open();
    let owner = owner(&*store, 5);
    store.commit_step(&owner, up_to(5)).unwrap();
    store.append(1, &events("b", 3)).unwrap();
    let (other, _) = store.take_over(weir::backend::Machine::Step, 1).unwrap();
    store.commit_step(&other, up_to(3)).unwrap();
    store.save_snapshot(&other, snapshot(3)).unwrap();
    system.clock().pass(10 * EVENTS_MS);
    // The other partition tells when a trimming has passed.
    assert!(soon(|| store.range(1).unwrap() == (3, 3)), "{:?}", store.range(1));
    assert_eq!(store.range(0).unwrap(), (0, 5));
}

/// The newest command of a living group stays, however old: executors read it as a table.
pub fn old_decisions_and_commands_go_but_the_table_stays(system: &dyn System) {
    let store = system.open();
    let owner = owner(&*store, 5);
    let give = |next: u64, age_ms: i64, generation| {
        let mut command = command(1, generation, at(next - 1));
        command.decided = START_MS + age_ms;
        let decisions = vec![decision("web", at(next - 1), START_MS + age_ms)];
        store.commit_step(&owner, Stepped { commands: vec![command], decisions, ..up_to(next) }).unwrap();
    };
    give(1, 0, 1);
    give(2, 1_000, 2);
    give(3, DECISIONS_MS, 3);
    system.clock().pass(DECISIONS_MS + 2_000);
    let history =
        || store.commands_since(0, 0, 10).unwrap().iter().map(|(_, command)| command.generation).collect::<Vec<_>>();
    assert!(soon(|| history() == [3]), "{:?}", history());
    assert_eq!(store.decisions("acme", "web", None, 10).unwrap().len(), 1);
    assert_eq!(store.decisions_between(0, 0, 5).unwrap().len(), 1);
    system.clock().pass(DECISIONS_MS);
    assert!(soon(|| history().is_empty()), "{:?}", history());
    assert!(store.decisions("acme", "web", None, 10).unwrap().is_empty());
    let (_, commands) = store.commands_after(0, 0, Duration::ZERO).unwrap();
    assert_eq!(commands.iter().map(|command| command.generation).collect::<Vec<_>>(), [3]);
}
