//! What the engine cannot get past: the partition halts there, and what is before it is kept.

use super::{Bench, SOON, caught_up, until};
use crate::{
    backend::{Backend, Committed, Log as _, Machine, Machines as _, Stepped},
    replay,
    worker::{Engine, Settings, start_with},
};
use std::sync::Arc;
use weir_engine::partition::Partition;

/// A log that is behind is applied in few commits, each of many reads; a record that cannot be applied, or breaks the engine off,
/// takes nothing from those that were gathered before it.
#[test]
fn what_lies_behind_is_gathered_into_few_commits_up_to_what_cannot_be_applied() {
    for (last, halts) in [("nothing", None), ("refuse", Some("told to refuse")), ("panic", Some("told to panic"))] {
        let bench = Bench::new();
        let log = bench.open();
        let mut kinds = vec!["decide"; 100];
        kinds.push(last);
        bench.tell(&log, &kinds);
        let worker = bench.start_as(&log, Settings { gather: SOON, batch: 2, ..bench.settings() });
        let status = match halts {
            None => until(&worker, |status| status.next == 101),
            Some(_) => until(&worker, |status| status.halted.is_some()),
        };
        let halted = status.halted.as_ref().map(|halted| (halted.at.offset, halted.reason.contains(halts.unwrap())));
        assert_eq!(halted, halts.map(|_| (100, true)), "{status:?}");
        assert_eq!((status.events, status.decisions), (100 + u64::from(halts.is_none()), 100));
        assert_eq!(log.stepped(0).unwrap().0.next, status.next);
        // Where the engine broke off it is taken over again, and what is before is read up to there.
        let most = if last == "panic" { 60 } else { 3 };
        assert!(status.commits <= most, "{status:?}");
    }
}

#[test]
fn a_line_that_nobody_of_us_wrote_halts_the_partition_after_what_was_before_it() {
    let bench = Bench::new();
    let log = bench.open();
    bench.tell(&log, &["decide", "decide"]);
    log.append_line(0, br#"{"specversion":"1.0","type":"weir.tomorrow","id":"x"}"#);
    bench.tell(&log, &["decide"]);
    let worker = bench.start(&log);
    let halted = until(&worker, |status| status.halted.is_some());
    let (at, reason) = halted.halted.clone().map(|halted| (halted.at.to_string(), halted.reason)).unwrap();
    assert_eq!(at, "0:2");
    assert!(reason.contains("no event that this build knows"), "{reason}");
    assert!(halted.not_ready().unwrap().contains("partition 0 has halted at record `0:2`"));
    let (committed, live) = log.stepped(0).unwrap();
    assert!(committed.next == 2 && !live, "{committed:?}");
    assert_eq!(log.append(0, &[]).unwrap(), 4, "the log goes on taking");
}

/// The engine's own machine takes many lines together; where one of them stops it, those before it are kept all the same.
#[test]
fn the_engine_stops_in_the_midst_of_a_batch_at_the_line_that_it_cannot_apply() {
    let foreign: &[(&[u8], &str)] = &[
        (br#"{"specversion":"1.0","type":"weir.tomorrow","id":"x"}"#, "no event that this build knows"),
        (b"", "something other than Weir wrote into the log"),
    ];
    for (line, reason) in foreign {
        let bench = Bench::new();
        let log = bench.open();
        bench.tell(&log, &["nothing"; 40]);
        log.append_line(0, line);
        bench.tell(&log, &["nothing"; 40]);
        let settings = Settings { gather: SOON, ..bench.settings() };
        let worker = start_with::<Partition>(Arc::clone(&log) as Arc<dyn Backend>, 0, settings).unwrap();
        let status = until(&worker, |status| status.halted.is_some());
        let halted = status.halted.as_ref().unwrap();
        assert!(halted.at.offset == 40 && halted.reason.contains(reason), "{status:?}");
        assert_eq!((status.events, log.stepped(0).unwrap().0.next), (40, 40), "{status:?}");
        let recovered = replay::recover(&*log, 0, 40, <Partition as Engine>::restore, &|| false).unwrap();
        assert_eq!(recovered.state.digest(), log.stepped(0).unwrap().0.digest);
    }
}

#[test]
fn what_the_engine_refuses_halts_the_partition() {
    let bench = Bench::new();
    let log = bench.open();
    bench.tell(&log, &["nothing", "refuse"]);
    let worker = bench.start(&log);
    let halted = until(&worker, |status| status.halted.is_some()).halted.unwrap();
    assert_eq!((halted.at.offset, halted.reason.as_str()), (1, "it was told to refuse"));
    // A restart says the same and does not get past it.
    drop(worker);
    let halted = until(&bench.start(&log), |status| status.halted.is_some()).halted.unwrap();
    assert_eq!(halted.at.offset, 1);
}

#[test]
fn two_panics_at_one_record_halt_the_partition_and_one_does_not() {
    let bench = Bench::new();
    let log = bench.open();
    bench.tell(&log, &["nothing", "panic-once", "decide"]);
    let worker = bench.start(&log);
    let status = until(&worker, caught_up);
    assert_eq!((status.next, status.epoch), (3, 2));
    bench.tell(&log, &["decide", "decide", "panic", "decide"]);
    let halted = until(&worker, |status| status.halted.is_some());
    assert_eq!(halted.halted.as_ref().unwrap().at.offset, 5);
    assert!(halted.not_ready().unwrap().contains("the engine broke off twice: it was told to panic"));
    assert_eq!(log.stepped(0).unwrap().0.next, 5, "what was before it is committed");
}

#[test]
fn a_replay_that_gives_other_commands_halts_the_partition() {
    let bench = Bench::new();
    let log = bench.open();
    bench.tell(&log, &["nothing", "drift"]);
    let worker = bench.start(&log);
    until(&worker, caught_up);
    // As after a crash: the next owner replays, without the snapshot that a stop in order keeps.
    log.take_over(Machine::Step, 0).unwrap();
    bench.tell(&log, &["nothing"]);
    let halted = until(&worker, |status| status.halted.is_some()).halted.unwrap();
    assert_eq!(halted.at.offset, 2);
    assert!(halted.reason.contains("gives other commands"), "{}", halted.reason);
}

#[test]
fn other_semantics_than_this_build_has_halt_the_partition() {
    let bench = Bench::new();
    let log = bench.open();
    bench.tell(&log, &["nothing"]);
    let (owner, _) = log.take_over(Machine::Step, 0).unwrap();
    let committed = Committed { next: 1, semantics: 2, digest: "newer".into() };
    log.commit_step(&owner, Stepped { committed, ..Stepped::default() }).unwrap();
    let halted = until(&bench.start(&log), |status| status.halted.is_some()).halted.unwrap();
    assert!(halted.reason.contains("by semantics 2 and this build replays by 1"), "{}", halted.reason);
}
