//! Promises about ownership and commits.

use super::System;
use crate::sample::{command, decision, events};
use serde_json::json;
use std::{
    thread,
    time::{Duration, Instant},
};
use weir::backend::{Backend, Committed, Error, Machine, Ownership, Settled, Snapshot, Stepped, View, ViewKind};
use weir_engine::{
    command::Command,
    id::{GroupUid, Position},
};

const NOW: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_secs(20);

/// A position of partition 0.
#[must_use]
pub fn at(offset: u64) -> Position {
    Position { partition: 0, offset }
}

/// A commit up to `next` with nothing in it.
#[must_use]
pub fn up_to(next: u64) -> Stepped {
    let digest = format!("digest-{next}");
    Stepped { committed: Committed { next, semantics: 1, digest }, live: true, ..Stepped::default() }
}

/// Takes the step machine of partition 0 over, with `count` records in the log.
pub fn owner(store: &dyn Backend, count: usize) -> Ownership {
    store.append(0, &events("a", count)).unwrap();
    store.take_over(Machine::Step, 0).unwrap().0
}

fn uids(commands: &[Command]) -> Vec<(u64, u64)> {
    commands.iter().map(|command| (command.uid.0, command.generation)).collect()
}

/// Position, digest, commands, decisions and views.
pub fn a_commit_is_there_whole_after_reopening(system: &dyn System) {
    let row =
        View { kind: ViewKind::Groups, tenant: "acme".into(), name: "web".into(), row: Some(json!({"target": 2})) };
    let stepped = Stepped {
        commands: vec![command(1, 1, at(0)), command(2, 1, at(2))],
        decisions: vec![decision("web", at(0), 5), decision("web", at(2), 6)],
        views: vec![row],
        ..up_to(3)
    };
    {
        let store = system.open();
        let owner = owner(&*store, 5);
        store.commit_step(&owner, stepped.clone()).unwrap();
        assert_eq!(store.stepped(0).unwrap(), (stepped.committed.clone(), true));
    }
    let store = system.open();
    assert_eq!(store.stepped(0).unwrap().0, stepped.committed);
    assert_eq!(store.stepped(1).unwrap().0, Committed::default(), "the other partition is as it was");
    assert_eq!(store.take_over(Machine::Step, 0).unwrap().1, stepped.committed);
    assert_eq!(store.commands_after(0, 0, NOW).unwrap().1, stepped.commands);
    assert_eq!(store.decisions_between(0, 0, 3).unwrap(), stepped.decisions);
    assert_eq!(store.view(ViewKind::Groups, "acme", "web").unwrap(), Some(json!({"target": 2})));
}

/// Neither steps, nor ledgers, nor snapshots, and nothing of the refused commit is seen.
pub fn a_fenced_owner_commits_nothing(system: &dyn System) {
    let store = system.open();
    let old = owner(&*store, 5);
    store.commit_step(&old, up_to(2)).unwrap();
    let (new, committed) = store.take_over(Machine::Step, 0).unwrap();
    assert_eq!(committed.next, 2);
    let late = Stepped { commands: vec![command(1, 1, at(2))], decisions: vec![decision("web", at(2), 1)], ..up_to(3) };
    assert!(matches!(store.commit_step(&old, late.clone()), Err(Error::Fenced { partition: 0 })));
    let snapshot = Snapshot { at: up_to(2).committed, state: vec![1] };
    assert!(matches!(store.save_snapshot(&old, snapshot), Err(Error::Fenced { partition: 0 })));
    assert_eq!(store.stepped(0).unwrap().0.next, 2);
    assert!(store.commands_after(0, 0, NOW).unwrap().1.is_empty());
    assert!(store.decisions_at(at(2)).unwrap().is_empty());
    assert!(store.snapshot(0, 5).unwrap().is_none());
    store.commit_step(&new, late).unwrap();

    let (old, _) = store.take_over(Machine::Settle, 0).unwrap();
    store.take_over(Machine::Settle, 0).unwrap();
    let ledger = Settled { ledgers: vec![(GroupUid(1), Some(vec![1]))], views: Vec::new() };
    assert!(matches!(store.commit_settle(&old, ledger), Err(Error::Fenced { partition: 0 })));
    assert!(store.ledgers(0).unwrap().is_empty());
}

/// So that an owner from before a restart is fenced after it.
pub fn epochs_rise_across_reopening(system: &dyn System) {
    let first = owner(&*system.open(), 1);
    let store = system.open();
    let (second, _) = store.take_over(Machine::Step, 0).unwrap();
    assert!(second.epoch > first.epoch);
    assert!(matches!(store.commit_step(&first, up_to(1)), Err(Error::Fenced { .. })));
    store.commit_step(&second, up_to(1)).unwrap();
}

/// Another machine, or another partition, is another right.
pub fn the_machines_are_fenced_apart(system: &dyn System) {
    let store = system.open();
    let step = owner(&*store, 1);
    let (settle, _) = store.take_over(Machine::Settle, 0).unwrap();
    store.take_over(Machine::Step, 1).unwrap();
    store.take_over(Machine::Settle, 1).unwrap();
    store.commit_step(&step, up_to(1)).unwrap();
    store.commit_settle(&settle, Settled::default()).unwrap();
    assert!(matches!(store.commit_step(&settle, up_to(1)), Err(Error::Fenced { .. })));
    assert!(matches!(store.commit_settle(&step, Settled::default()), Err(Error::Fenced { .. })));
}

/// A machine that says either is broken, and must not be believed.
pub fn a_position_goes_neither_back_nor_past_the_end(system: &dyn System) {
    let store = system.open();
    let owner = owner(&*store, 5);
    store.commit_step(&owner, up_to(3)).unwrap();
    assert!(store.commit_step(&owner, up_to(2)).is_err());
    assert!(store.commit_step(&owner, up_to(6)).is_err());
    assert_eq!(store.stepped(0).unwrap().0, up_to(3).committed);
    store.commit_step(&owner, up_to(3)).unwrap();
    store.commit_step(&owner, up_to(5)).unwrap();
}

/// Executors act only while an owner says that it has caught up; a new owner has not said so yet.
pub fn nobody_is_live_who_was_not_said_to_be(system: &dyn System) {
    let live = |store: &dyn Backend| store.stepped(0).unwrap().1;
    {
        let store = system.open();
        assert!(!live(&*store));
        let owner = owner(&*store, 3);
        assert!(!live(&*store));
        store.commit_step(&owner, up_to(1)).unwrap();
        assert!(live(&*store));
        store.commit_step(&owner, Stepped { live: false, ..up_to(1) }).unwrap();
        assert!(!live(&*store));
        store.commit_step(&owner, up_to(2)).unwrap();
        assert!(live(&*store));
        store.take_over(Machine::Step, 0).unwrap();
        assert!(!live(&*store));
        let (owner, _) = store.take_over(Machine::Step, 0).unwrap();
        store.commit_step(&owner, up_to(3)).unwrap();
        assert!(live(&*store));
    }
    let store = system.open();
    store.take_over(Machine::Step, 0).unwrap();
    assert!(!live(&*store));
}

/// The newest of each group uid, in the order of change, and only what changed since the mark.
pub fn commands_are_read_as_a_table(system: &dyn System) {
    let store = system.open();
    let owner = owner(&*store, 9);
    assert_eq!(store.commands_after(0, 0, Duration::from_millis(10)).unwrap(), (0, Vec::new()));
    let give = |next, commands| store.commit_step(&owner, Stepped { commands, ..up_to(next) }).unwrap();
    give(1, vec![command(1, 1, at(0)), command(2, 1, at(0)), command(3, 1, at(0))]);
    let (first, commands) = store.commands_after(0, 0, NOW).unwrap();
    assert_eq!(uids(&commands), [(1, 1), (2, 1), (3, 1)]);
    give(2, vec![command(1, 2, at(1))]);
    give(3, vec![command(1, 5, at(2)), command(4, 1, at(2))]);
    let (second, commands) = store.commands_after(0, first, NOW).unwrap();
    assert_eq!(uids(&commands), [(1, 5), (4, 1)]);
    assert_eq!(uids(&store.commands_after(0, 0, NOW).unwrap().1), [(2, 1), (3, 1), (1, 5), (4, 1)]);
    assert_eq!(store.commands_after(0, second, NOW).unwrap(), (second, Vec::new()));
    assert!(store.commands_after(1, 0, NOW).unwrap().1.is_empty());

    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let began = Instant::now();
            (store.commands_after(0, second, LONG).unwrap().1, began.elapsed())
        });
        thread::sleep(Duration::from_millis(50));
        give(4, Vec::new());
        give(5, vec![command(3, 2, at(4))]);
        let (commands, after) = waiter.join().unwrap();
        assert_eq!(uids(&commands), [(3, 2)]);
        assert!(after < LONG / 2, "{after:?}");
    });
}

/// Also those that were replaced, in order and in pages: audits ask whether any was given twice.
pub fn every_command_stays_in_the_history(system: &dyn System) {
    let given: Vec<(u64, u64)> = (1..=10).flat_map(|generation| [(1, generation), (2, generation)]).collect();
    {
        let store = system.open();
        let owner = owner(&*store, 10);
        for (n, pair) in given.chunks(2).enumerate() {
            let commands = pair.iter().map(|(uid, generation)| command(*uid, *generation, at(n as u64))).collect();
            store.commit_step(&owner, Stepped { commands, ..up_to(n as u64 + 1) }).unwrap();
        }
    }
    let store = system.open();
    let (mut after, mut history) = (0, Vec::new());
    loop {
        let page = store.commands_since(0, after, 3).unwrap();
        let Some((newest, _)) = page.last() else { break };
        assert!(page.len() <= 3 && *newest > after);
        after = *newest;
        history.extend(page.into_iter().map(|(_, command)| (command.uid.0, command.generation)));
    }
    assert_eq!(history, given);
    assert_eq!(after, store.commands_after(0, 0, NOW).unwrap().0, "marks of history and table are the same");
}

/// Whether it is refused or passed over is the system's choice.
pub fn an_older_generation_never_replaces_a_newer(system: &dyn System) {
    let store = system.open();
    let owner = owner(&*store, 9);
    let give = |next, commands| store.commit_step(&owner, Stepped { commands, ..up_to(next) });
    give(1, vec![command(1, 7, at(0))]).unwrap();
    for (next, generation) in [(2, 6), (3, 7)] {
        let _ = give(next, vec![command(1, generation, at(next - 1))]);
        assert_eq!(uids(&store.commands_after(0, 0, NOW).unwrap().1), [(1, 7)]);
    }
    let _ = give(4, vec![command(2, 2, at(3)), command(2, 1, at(3))]);
    assert!(!uids(&store.commands_after(0, 0, NOW).unwrap().1).contains(&(2, 1)));
    give(5, vec![command(1, 8, at(4))]).unwrap();
    assert!(uids(&store.commands_after(0, 0, NOW).unwrap().1).contains(&(1, 8)));
}

/// Whole, by uid, each partition its own.
pub fn ledgers_are_set_replaced_and_forgotten(system: &dyn System) {
    {
        let store = system.open();
        let (owner, _) = store.take_over(Machine::Settle, 0).unwrap();
        let (other, _) = store.take_over(Machine::Settle, 1).unwrap();
        let set = |owner, ledgers| store.commit_settle(owner, Settled { ledgers, views: Vec::new() }).unwrap();
        set(&owner, vec![(GroupUid(9), Some(vec![9])), (GroupUid(2), Some(vec![2])), (GroupUid(5), Some(Vec::new()))]);
        set(&owner, vec![(GroupUid(2), Some(vec![2; 200_000])), (GroupUid(9), None), (GroupUid(404), None)]);
        set(&other, vec![(GroupUid(1), Some(vec![1]))]);
    }
    let store = system.open();
    let mut ledgers = store.ledgers(0).unwrap();
    ledgers.sort();
    assert_eq!(ledgers, [(GroupUid(2), vec![2; 200_000]), (GroupUid(5), Vec::new())]);
    assert_eq!(store.ledgers(1).unwrap(), [(GroupUid(1), vec![1])]);
}

/// A read that names a position waits for the machine to be there.
pub fn who_waits_for_a_step_is_woken_by_it(system: &dyn System) {
    let store = system.open();
    let owner = owner(&*store, 5);
    assert!(!store.wait_stepped(0, 0, Duration::from_millis(20)));
    store.commit_step(&owner, up_to(2)).unwrap();
    assert!(store.wait_stepped(0, 1, NOW));
    assert!(!store.wait_stepped(0, 2, NOW));
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let began = Instant::now();
            (store.wait_stepped(0, 4, LONG), began.elapsed())
        });
        thread::sleep(Duration::from_millis(50));
        store.commit_step(&owner, up_to(4)).unwrap();
        store.commit_step(&owner, up_to(5)).unwrap();
        let (woken, after) = waiter.join().unwrap();
        assert!(woken && after < LONG / 2, "{after:?}");
    });
}
