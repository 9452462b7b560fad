//! Promises of the log.

use super::{PARTITIONS, START_MS, System};
use crate::sample::{event, events};
use std::{
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};
use weir::backend::{Backend, Error, LINE_BYTES_MAX};
use weir_engine::event::Event;

const LONG: Duration = Duration::from_secs(20);

/// All events of a partition, read in pages of `page`.
#[must_use]
pub fn all(log: &dyn Backend, partition: u32, page: usize) -> Vec<Event> {
    let (mut from, end) = log.range(partition).unwrap();
    let mut events = Vec::new();
    while from < end {
        for line in log.read(partition, from, page).unwrap() {
            assert_eq!(line.offset, from, "offsets leave no gap");
            events.push(Event::from_line(&line.bytes).unwrap());
            from += 1;
        }
    }
    events
}

/// Dense offsets, bytes as written, also after reopening.
pub fn offsets_start_at_0_and_leave_no_gap(system: &dyn System) {
    let written = events("a", 60);
    {
        let log = system.open();
        assert_eq!(log.range(0).unwrap(), (0, 0));
        assert_eq!(log.append(0, &[]).unwrap(), 0);
        assert_eq!(log.append(0, &written[..1]).unwrap(), 0);
        assert_eq!(log.append(0, &written[1..4]).unwrap(), 1);
        assert_eq!(log.append(0, &[]).unwrap(), 4);
        assert_eq!(log.append(0, &written[4..30]).unwrap(), 4);
        assert_eq!(all(&*log, 0, 7), written[..30]);
    }
    let log = system.open();
    assert_eq!(log.range(0).unwrap(), (0, 30));
    assert_eq!(log.append(0, &written[30..]).unwrap(), 30);
    assert_eq!(all(&*log, 0, 1_000), written);
    let lines = log.read(0, 0, 60).unwrap();
    assert!(lines.iter().zip(&written).all(|(line, event)| line.bytes == event.to_line().as_bytes()));
}

/// Many writers at once: each batch stays together, each answer names its place, nothing is lost or doubled.
pub fn concurrent_appends_are_each_there_once_and_whole(system: &dyn System) {
    const WRITERS: usize = 8;
    let log = system.open();
    let start = Barrier::new(WRITERS);
    let answers: Vec<(u64, Vec<Event>)> = thread::scope(|scope| {
        let (log, start) = (&log, &start);
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                scope.spawn(move || {
                    start.wait();
                    let batch = |n| events(&format!("{writer}-{n}"), 1 + (writer + n) % 4);
                    (0..20).map(batch).map(|batch| (log.append(0, &batch).unwrap(), batch)).collect::<Vec<_>>()
                })
            })
            .collect();
        let answers: Vec<Vec<_>> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
        for of_one in &answers {
            assert!(of_one.is_sorted_by_key(|(first, _)| *first), "one writer's appends keep their order");
        }
        answers.into_iter().flatten().collect()
    });
    let log = all(&*log, 0, 100);
    assert_eq!(log.len(), answers.iter().map(|(_, batch)| batch.len()).sum::<usize>());
    for (first, batch) in answers {
        let first = usize::try_from(first).unwrap();
        assert_eq!(log[first..first + batch.len()], batch);
    }
}

/// Offsets of one partition say nothing of another; one that does not exist is refused.
pub fn partitions_are_apart(system: &dyn System) {
    let log = system.open();
    assert_eq!(log.partitions(), PARTITIONS);
    log.append(0, &events("zero", 3)).unwrap();
    assert_eq!(log.append(1, &events("one", 2)).unwrap(), 0);
    assert_eq!(all(&*log, 1, 10), events("one", 2));
    assert_eq!(all(&*log, 0, 10), events("zero", 3));
    assert!(log.append(PARTITIONS, &events("none", 1)).is_err());
    assert!(log.read(PARTITIONS, 0, 1).is_err());
}

/// The clock may be set back, also while the log is closed.
pub fn append_times_never_run_backwards(system: &dyn System) {
    let append = |id: &str| system.open().append(0, &[event(id)]).unwrap();
    append("a");
    system.clock().pass(5_000);
    append("b");
    system.clock().pass(-60_000);
    append("c");
    system.clock().pass(61_000);
    append("d");
    let times: Vec<i64> =
        system.open().read(0, 0, 10).unwrap().iter().map(|line| line.appended_ms - START_MS).collect();
    assert_eq!(times, [0, 5_000, 5_000, 6_000]);
}

/// `most` is obeyed; at the end there is nothing, and no error.
pub fn reading_goes_in_pages_and_ends_at_the_end(system: &dyn System) {
    let log = system.open();
    assert!(log.read(0, 0, 10).unwrap().is_empty());
    log.append(0, &events("a", 10)).unwrap();
    let offsets = |from, most| log.read(0, from, most).unwrap().iter().map(|line| line.offset).collect::<Vec<_>>();
    assert_eq!(offsets(0, 3), [0, 1, 2]);
    assert_eq!(offsets(8, 3), [8, 9]);
    assert!(offsets(10, 3).is_empty());
    assert!(offsets(99, 3).is_empty());
    assert!(offsets(0, 0).is_empty());
}

/// All or nothing of one append; the longest line that is allowed fits.
pub fn too_long_a_line_is_refused_with_its_neighbours(system: &dyn System) {
    let log = system.open();
    let padded = |bytes: usize| {
        let bare = event("").to_line().len();
        event("x".repeat(bytes - bare))
    };
    let too_long = [event("before"), padded(LINE_BYTES_MAX + 1), event("after")];
    assert!(matches!(log.append(0, &too_long), Err(Error::Failed(_))));
    assert_eq!(log.range(0).unwrap(), (0, 0));
    log.append(0, &[padded(LINE_BYTES_MAX)]).unwrap();
    assert_eq!(log.read(0, 0, 1).unwrap()[0].bytes.len(), LINE_BYTES_MAX);
}

/// A waiter sleeps until the record is there, and not much longer.
pub fn who_waits_for_a_record_is_woken_by_it(system: &dyn System) {
    let log = system.open();
    assert!(!log.wait_for(0, 0, Duration::from_millis(20)));
    log.append(0, &events("a", 2)).unwrap();
    assert!(log.wait_for(0, 1, Duration::ZERO));
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let began = Instant::now();
            (log.wait_for(0, 3, LONG), began.elapsed())
        });
        thread::sleep(Duration::from_millis(50));
        log.append(0, &events("b", 1)).unwrap();
        thread::sleep(Duration::from_millis(50));
        log.append(0, &events("c", 1)).unwrap();
        let (woken, after) = waiter.join().unwrap();
        assert!(woken && after < LONG / 2, "{after:?}");
        assert!(after >= Duration::from_millis(80), "{after:?}: offset 3 was not there yet");
    });
}

/// The newest at or before the time, within what is kept.
pub fn a_time_finds_its_offset(system: &dyn System) {
    let log = system.open();
    assert_eq!(log.offset_at(0, START_MS).unwrap(), 0);
    for n in 0..5 {
        log.append(0, &events(&n.to_string(), 2)).unwrap();
        system.clock().pass(1_000);
    }
    // Two records each second, from START_MS on.
    for (at_ms, offset) in [(-1, 0), (0, 1), (999, 1), (1_000, 3), (3_500, 7), (4_000, 9), (99_000, 9)] {
        assert_eq!(log.offset_at(0, START_MS + at_ms).unwrap(), offset, "{at_ms} ms");
    }
}

/// A log has one name for life, and two logs have two.
pub fn the_log_keeps_its_name(system: &dyn System) {
    let name = system.open().log_id();
    assert!(!name.is_empty());
    assert_eq!(system.open().log_id(), name);
}
