#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
//! What only the embedded store has: its folder and its file. What every store promises is asked in `tests`.

use super::*;
use crate::backend::{Committed, Error, Log as _, Machine, Machines as _, Snapshot, Snapshots as _, Stepped};
use redb::ReadableTable as _;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use weir_engine::event::{Event, Fact, Tick, Version};

fn tick(id: u32) -> Event {
    Event {
        specversion: Version::V1,
        id: id.to_string(),
        source: "/clock".into(),
        time: 0,
        tenant: String::new(),
        fact: Fact::Tick(Tick {}),
    }
}

#[test]
fn a_new_folder_and_its_files_are_closed_to_others() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("weir-data");
    let log = Embedded::open(&folder, Settings::default()).unwrap();
    log.append(0, &[tick(0)]).unwrap();
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    for file in fs::read_dir(&folder).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.file_name());
    }
}

#[test]
fn the_number_of_partitions_is_fixed_when_the_log_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let settings = |partitions| Settings { partitions, ..Settings::default() };
    assert!(matches!(Embedded::open(folder.path(), settings(Some(0))), Err(Error::Failed(_))));
    assert_eq!(Embedded::open(folder.path(), settings(Some(3))).unwrap().partitions(), 3);
    assert_eq!(Embedded::open(folder.path(), settings(None)).unwrap().partitions(), 3);
    let Err(Error::Failed(why)) = Embedded::open(folder.path(), settings(Some(4))) else { panic!("opened") };
    assert!(why.contains("has 3 partitions and 4 are asked for"), "{why}");
}

#[test]
fn a_folder_that_lost_its_store_is_not_started_empty() {
    let folder = tempfile::tempdir().unwrap();
    drop(Embedded::open(folder.path(), Settings::default()).unwrap());
    fs::remove_file(folder.path().join("weir.redb")).unwrap();
    let Err(Error::Damaged(why)) = Embedded::open(folder.path(), Settings::default()) else { panic!("opened") };
    assert!(why.contains("weir.redb` cannot be used: it is missing; put a backup"), "{why}");
}

#[test]
fn the_store_of_another_log_is_refused() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    drop(Embedded::open(one.path(), Settings::default()).unwrap());
    drop(Embedded::open(other.path(), Settings::default()).unwrap());
    fs::copy(one.path().join("weir.redb"), other.path().join("weir.redb")).unwrap();
    assert!(matches!(Embedded::open(other.path(), Settings::default()), Err(Error::Damaged(_))));
}

#[test]
fn a_file_that_is_another_programs_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    redb::Database::create(folder.path().join("weir.redb")).unwrap().begin_write().unwrap().commit().unwrap();
    let Err(Error::Damaged(why)) = Embedded::open(folder.path(), Settings::default()) else { panic!("opened") };
    assert!(why.contains("not one of ours"), "{why}");
}

#[test]
fn a_store_that_was_left_half_made_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("weir.redb.new"), b"cut off").unwrap();
    let log = Embedded::open(folder.path(), Settings::default()).unwrap();
    assert_eq!(log.append(0, &[tick(0)]).unwrap(), 0);
}

#[test]
fn a_disk_counts_as_full_from_the_chosen_part_on() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { full_percent: 0, ..Settings::default() };
    let log = Embedded::open(folder.path(), settings).unwrap();
    let Err(Error::Full(why)) = log.append(0, &[tick(0)]) else { panic!("appended") };
    assert!(why.contains("no event is taken from 0 % on"), "{why}");
    assert_eq!(log.range(0).unwrap(), (0, 0));
}

#[test]
fn a_damaged_snapshot_is_passed_over_for_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(folder.path(), Settings::default()).unwrap();
    store.append(0, &[tick(0), tick(1), tick(2)]).unwrap();
    let (owner, _) = store.take_over(Machine::Step, 0).unwrap();
    let at = |next| Committed { next, ..Committed::default() };
    store.commit_step(&owner, Stepped { committed: at(3), ..Stepped::default() }).unwrap();
    let snapshot = |next| Snapshot { at: at(next), state: vec![u8::try_from(next).unwrap(); 1_500_000] };
    for next in [1, 2, 3] {
        store.save_snapshot(&owner, snapshot(next)).unwrap();
    }
    // One piece is another's, and one is gone.
    let damage = |batch: &mut Batch<'_>| {
        batch.tables.chunks.insert((0, 3, 1), [3; 500].as_slice())?;
        batch.tables.chunks.remove((0, 2, 0))?;
        Ok(())
    };
    store.write(0, damage).unwrap();
    assert_eq!(store.snapshot(0, 9).unwrap(), Some(snapshot(1)));
    // The machine comes by again and saves it whole.
    store.save_snapshot(&owner, snapshot(3)).unwrap();
    assert_eq!(store.snapshot(0, 9).unwrap(), Some(snapshot(3)));
}

/// The disk fails a commit. What is in the file then decides what is answered, and everything goes on.
#[test]
fn a_commit_that_fails_is_answered_by_what_is_in_the_file() {
    use store::Fault::{AnswerLost, Lost};
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(folder.path(), Settings::default()).unwrap();
    let fail = |fault| store.store.faults.lock().unwrap().push(fault);
    let ids = || -> Vec<String> {
        let lines = store.read(0, 0, 100).unwrap();
        lines.iter().map(|line| Event::from_line(&line.bytes).unwrap().id).collect()
    };
    store.append(0, &[tick(0)]).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        // Somebody reads all the while and never hears of it.
        let reader = scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                assert!(!ids().is_empty());
            }
        });
        for _ in 0..5 {
            fail(AnswerLost);
            let next = ids().len() as u64;
            assert_eq!(store.append(0, &[tick(1)]).unwrap(), next);
            fail(Lost);
            assert!(matches!(store.append(0, &[tick(2)]), Err(Error::Failed(_))));
            assert_eq!(ids().len() as u64, next + 1);
        }
        done.store(true, Ordering::SeqCst);
        reader.join().unwrap();
    });
    assert_eq!(ids(), ["0", "1", "1", "1", "1", "1"]);
    // Waiters are told of what was found in the file, too.
    assert!(store.wait_for(0, 5, Duration::ZERO) && !store.wait_for(0, 6, Duration::ZERO));
}

impl Embedded {
    /// Writes a line that no event of ours is, for tests of who reads the log.
    pub(crate) fn append_line(&self, partition: u32, line: &[u8]) -> u64 {
        let line = line.to_vec();
        self.write(line.len(), move |batch| {
            let (next, appended_ms, mark) =
                batch.tables.ends.get(partition)?.map(|row| row.value()).unwrap_or_default();
            batch.tables.events.insert((partition, next), (appended_ms, line.as_slice()))?;
            batch.tables.ends.insert(partition, (next + 1, appended_ms, mark))?;
            batch.changes.push((partition, signals::Change::Next(next + 1)));
            Ok(next)
        })
        .unwrap()
    }
}
