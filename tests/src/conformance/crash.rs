//! Promises that hold when the process is killed at any moment. [`load`] runs in a process of its own that says what it was
//! answered; [`audit`] compares what was said with what a later process finds.

use super::machines::at;
use crate::sample::{NEVER_OLD_MS, command, decision, event};
use serde_json::json;
use std::{thread, time::Duration};
use weir::backend::{Backend, Committed, Machine, Settled, Snapshot, Stepped, View, ViewKind};
use weir_engine::id::GroupUid;

const APPENDERS: usize = 3;
/// Records of one commit at most.
const STEP_MAX: usize = 16;
/// A snapshot after so many commits.
const SNAPSHOT_EVERY: u64 = 4;

/// Appends, steps, settles and saves snapshots until killed. `say` is told of each thing that was answered, in one line.
pub fn load(store: &dyn Backend, run: &str, say: impl Fn(&str) + Sync) {
    let say = &say;
    thread::scope(|scope| {
        for appender in 0..APPENDERS {
            scope.spawn(move || append(store, &format!("{run}-{appender}"), say));
        }
        step(store, say);
    });
}

fn append(store: &dyn Backend, who: &str, say: &(impl Fn(&str) + Sync)) {
    for n in 0_u64.. {
        let ids: Vec<String> = (0..=n % 4).map(|k| format!("{who}-{n}-{k}")).collect();
        let events: Vec<_> = ids.iter().map(event).collect();
        let offset = store.append(0, &events).unwrap();
        say(&format!("appended {offset} {}", ids.join(" ")));
    }
}

fn step(store: &dyn Backend, say: &(impl Fn(&str) + Sync)) {
    let (owner, mut committed) = store.take_over(Machine::Step, 0).unwrap();
    let (settler, _) = store.take_over(Machine::Settle, 0).unwrap();
    for commits in 1.. {
        store.wait_for(0, committed.next, Duration::from_secs(60));
        let lines = store.read(0, committed.next, STEP_MAX).unwrap();
        let from = committed.next;
        for line in &lines {
            committed = after(&committed, &line.bytes);
        }
        let next = committed.next;
        let row = Some(json!({ "next": next }));
        let stepped = Stepped {
            committed: committed.clone(),
            live: true,
            commands: (from..next).map(|offset| command(1, offset + 1, at(offset))).collect(),
            decisions: (from..next).map(|offset| decision("web", at(offset), NEVER_OLD_MS)).collect(),
            views: vec![View { kind: ViewKind::Groups, tenant: "acme".into(), name: "web".into(), row }],
        };
        store.commit_step(&owner, stepped).unwrap();
        say(&format!("stepped {next}"));
        let row = Some(json!({ "next": next }));
        let settled = Settled {
            ledgers: vec![(GroupUid(1), Some(next.to_le_bytes().into()))],
            views: vec![View { kind: ViewKind::Servers, tenant: "acme".into(), name: "1".into(), row }],
        };
        store.commit_settle(&settler, settled).unwrap();
        say(&format!("settled {next}"));
        if commits % SNAPSHOT_EVERY == 0 {
            store.save_snapshot(&owner, Snapshot { at: committed.clone(), state: state(&committed) }).unwrap();
            say(&format!("saved {next}"));
        }
    }
}

/// What a machine knows after a record: a chain of hashes of all records so far.
fn after(committed: &Committed, line: &[u8]) -> Committed {
    let mut hasher = blake3::Hasher::new();
    hasher.update(committed.digest.as_bytes()).update(line);
    Committed { next: committed.next + 1, semantics: 1, digest: hasher.finalize().to_hex().to_string() }
}

/// A state of some pieces that belongs to this position and no other.
fn state(committed: &Committed) -> Vec<u8> {
    committed.digest.bytes().cycle().take(2_500_000).collect()
}

/// Compares everything that was ever said with what is there.
///
/// # Panics
/// Where something that was answered is not there, or something is there in part.
pub fn audit(store: &dyn Backend, said: &[String]) {
    let (oldest, end) = store.range(0).unwrap();
    assert_eq!(oldest, 0, "nothing was old enough to be trimmed");
    let mut lines = Vec::new();
    while (lines.len() as u64) < end {
        lines.extend(store.read(0, lines.len() as u64, 1_000).unwrap());
    }
    let ids: Vec<String> =
        lines.iter().map(|line| weir_engine::event::Event::from_line(&line.bytes).unwrap().id).collect();
    let mut once = ids.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), ids.len(), "nothing is there twice");

    let (committed, _) = store.stepped(0).unwrap();
    for line in said {
        let mut words = line.split(' ');
        let (what, position) = (words.next().unwrap(), words.next().unwrap().parse::<u64>().unwrap());
        match what {
            "appended" => {
                let from = usize::try_from(position).unwrap();
                let appended: Vec<&str> = words.collect();
                assert_eq!(ids.get(from..from + appended.len()).unwrap(), appended, "{line}");
            }
            "stepped" => assert!(committed.next >= position, "{line}, and found {}", committed.next),
            "settled" => assert!(ledger(store) >= position, "{line}"),
            "saved" => {
                let snapshot = store.snapshot(0, u64::MAX).unwrap().unwrap();
                assert!(snapshot.at.next >= position, "{line}");
            }
            _ => panic!("`{line}` was said"),
        }
    }

    // All of a commit or nothing: each part tells the same position.
    let mut replayed = Committed { semantics: committed.semantics, ..Committed::default() };
    for line in lines.iter().take(usize::try_from(committed.next).unwrap()) {
        replayed = after(&replayed, &line.bytes);
    }
    assert_eq!(replayed, committed);
    let commands = store.commands_since(0, 0, usize::MAX).unwrap();
    let generations: Vec<u64> = commands.iter().map(|(_, command)| command.generation).collect();
    assert_eq!(generations, (1..=committed.next).collect::<Vec<_>>(), "each command once, none missing");
    let decided = store.decisions_between(0, 0, u64::MAX).unwrap();
    assert_eq!(decided.len() as u64, committed.next);
    let row = |kind, name| store.view(kind, "acme", name).unwrap().map_or(0, |row| row["next"].as_u64().unwrap());
    assert_eq!(row(ViewKind::Groups, "web"), committed.next);
    assert_eq!(row(ViewKind::Servers, "1"), ledger(store));
    if let Some(snapshot) = store.snapshot(0, u64::MAX).unwrap() {
        assert!(snapshot.at.next <= committed.next);
        assert_eq!(snapshot.state, state(&snapshot.at), "a snapshot belongs to its position");
    }
}

fn ledger(store: &dyn Backend) -> u64 {
    let ledgers = store.ledgers(0).unwrap();
    ledgers.first().map_or(0, |(_, ledger)| u64::from_le_bytes(ledger.as_slice().try_into().unwrap()))
}
