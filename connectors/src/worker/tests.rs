#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
//! The harness, driving a machine that does what the events say: command, set timers, refuse, panic, disagree with itself.

use super::{Engine, Settings, Status, WorkerHandle, start_with};
use crate::{
    backend::{
        Backend, Committed, Line, Log as _, Machine, Machines as _, Snapshots as _, Stepped,
        embedded::{self, Embedded},
    },
    clock::HeldClock,
    replay,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::sync::broadcast;
use weir_engine::{
    decision::{Decision, Verdict},
    event::{About, Event, Fact, Happened, Version},
    id::{GroupUid, Position},
    partition::{Effects, Partition},
};

const START_MS: i64 = 1_764_000_000_000;
const SOON: Duration = Duration::from_secs(20);

/// A machine that does what it is told.
#[derive(Serialize, Deserialize)]
struct Obedient {
    next: u64,
    t: i64,
    digest: String,
    timers: BTreeSet<(i64, u32)>,
}

/// Records at which a machine has panicked once already.
static PANICKED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
/// What a machine that disagrees with itself adds to its digest.
static DRIFT: AtomicU32 = AtomicU32::new(0);

impl Engine for Obedient {
    fn new(_: &str, _: u32) -> Self {
        Self { next: 0, t: 0, digest: "none".into(), timers: BTreeSet::new() }
    }

    fn restore(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }

    fn snapshot(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap()
    }

    fn step(&mut self, line: &Line) -> Result<Effects, String> {
        let record = &replay::record(line)?;
        assert_eq!(record.offset, self.next, "records come in order");
        let mut effects = Effects { tick: matches!(record.event.fact, Fact::Tick(_)), ..Effects::default() };
        let mut t = self.t.max(record.event.time).max(record.appended_ms);
        if let Fact::Happened(Happened { kind, .. }) = &record.event.fact {
            let (word, number) = kind.split_once(' ').unwrap_or((kind, "0"));
            let number: i64 = number.parse().unwrap();
            match word {
                "decide" => effects.decisions.push(decision(record.offset)),
                "timer" => drop(self.timers.insert((t + number, 0))),
                "due" => self.timers.extend((0..u32::try_from(number).unwrap()).map(|n| (t, n + 1))),
                "ahead" => t += number,
                "refuse" => return Err("it was told to refuse".into()),
                "panic" => panic!("it was told to panic"),
                "panic-once" if PANICKED.lock().unwrap().insert(record.event.id.clone()) => {
                    panic!("it was told to panic once")
                }
                "drift" => self.digest += &DRIFT.fetch_add(1, Ordering::SeqCst).to_string(),
                _ => {}
            }
        }
        self.t = t;
        // One timer a record, as though each were all that a record may run.
        if self.timers.first().is_some_and(|(at, _)| *at <= self.t) {
            self.timers.pop_first();
        }
        self.digest = blake3::hash(format!("{} {}", self.digest, record.event.id).as_bytes()).to_hex().to_string();
        self.next += 1;
        Ok(effects)
    }

    fn next(&self) -> u64 {
        self.next
    }

    fn t(&self) -> i64 {
        self.t
    }

    fn next_timer(&self) -> Option<i64> {
        self.timers.first().map(|(at, _)| *at)
    }

    fn digest(&self) -> String {
        self.digest.clone()
    }

    fn semantics(&self) -> u32 {
        1
    }
}

fn decision(offset: u64) -> Decision {
    Decision {
        tenant: "acme".into(),
        group: "web".into(),
        uid: GroupUid(1),
        position: Position { partition: 0, offset },
        at: START_MS,
        cause: "test".into(),
        from: 0,
        to: 0,
        min: 0,
        max: 0,
        overridden: None,
        ready: 0,
        outcome: Verdict::Still,
        rules: Vec::new(),
        generation: None,
        policy: String::new(),
        version: 1,
        semantics: 1,
        zones: String::new(),
    }
}

/// A log with a clock that stands.
struct Bench {
    folder: tempfile::TempDir,
    clock: HeldClock,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), clock: HeldClock::at(START_MS) }
    }

    fn open(&self) -> Arc<Embedded> {
        let settings = embedded::Settings { clock: Arc::new(self.clock.clone()), ..embedded::Settings::default() };
        Arc::new(Embedded::open(Path::new(self.folder.path()), settings).unwrap())
    }

    fn settings(&self) -> Settings {
        Settings {
            clock: Arc::new(self.clock.clone()),
            // A commit for each read, so that what a test sees does not depend on how fast the machine is.
            gather: Duration::ZERO,
            snapshot_rest: 0,
            poll: Duration::from_millis(2),
            retry_min: Duration::from_millis(2),
            retry_max: Duration::from_millis(20),
            ..Settings::default()
        }
    }

    fn tell(&self, log: &Embedded, kinds: &[&str]) {
        let event = |kind: &&str| Event {
            specversion: Version::V1,
            id: format!("{}-{kind}", self.folder.path().display()),
            source: "/api".into(),
            time: START_MS,
            tenant: "acme".into(),
            fact: Fact::Happened(Happened { kind: (*kind).into(), about: About::default() }),
        };
        log.append(0, &kinds.iter().map(event).collect::<Vec<_>>()).unwrap();
    }

    fn start(&self, log: &Arc<Embedded>) -> WorkerHandle {
        self.start_as(log, self.settings())
    }

    fn start_as(&self, log: &Arc<Embedded>, settings: Settings) -> WorkerHandle {
        start_with::<Obedient>(Arc::clone(log) as Arc<dyn Backend>, 0, settings).unwrap()
    }
}

fn until(worker: &WorkerHandle, so: impl Fn(&Status) -> bool) -> Status {
    let by = Instant::now() + SOON;
    loop {
        let status = worker.status();
        if so(&status) {
            return status;
        }
        assert!(Instant::now() < by, "it never came to that: {status:?}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// All that is in the log is applied.
fn caught_up(status: &Status) -> bool {
    status.live && status.lag() == 0
}

#[test]
fn what_is_in_the_log_is_applied_in_order_committed_and_told() {
    let bench = Bench::new();
    let log = bench.open();
    bench.tell(&log, &["decide", "nothing", "decide"]);
    let (sender, mut told) = broadcast::channel(16);
    let worker = bench.start_as(&log, Settings { decisions: Some(sender), batch: 2, ..bench.settings() });
    assert!(log.wait_stepped(0, 2, SOON));
    bench.tell(&log, &["decide"]);
    assert!(log.wait_stepped(0, 3, SOON));
    let status = until(&worker, |status| status.next == 4);
    assert_eq!((status.events, status.decisions, status.ticks, status.epoch), (4, 3, 0, 1));
    assert!(status.live && status.not_ready().is_none() && log.stepped(0).unwrap().1);
    let offsets: Vec<u64> = std::iter::from_fn(|| told.try_recv().ok()).map(|told| told.position.offset).collect();
    assert_eq!(offsets, [0, 2, 3]);
}

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
fn a_restart_goes_on_from_a_snapshot_and_ends_where_a_replay_from_the_start_ends() {
    let bench = Bench::new();
    let log = bench.open();
    let kinds: Vec<String> = (0..95).map(|n| format!("nothing {n}")).collect();
    let kinds: Vec<&str> = kinds.iter().map(String::as_str).collect();
    let mut said = Vec::new();
    for part in kinds.chunks(19) {
        bench.tell(&log, part);
        let settings = Settings { snapshot_records: 10, batch: 7, ..bench.settings() };
        let worker = bench.start_as(&log, settings);
        until(&worker, caught_up);
        let status = worker.stop();
        assert_eq!(status.snapshot, Some(status.next), "a stop in order keeps a snapshot");
        assert!(!log.stepped(0).unwrap().1, "who has stopped is not live");
        said.push(log.stepped(0).unwrap().0);
    }
    // Each of them by the snapshots that are left, and by none.
    for committed in said {
        let recovered = replay::recover(&*log, 0, committed.next, Obedient::restore, &|| false).unwrap();
        assert_eq!((recovered.state.next, recovered.state.digest), (committed.next, committed.digest.clone()));
        let mut from_the_start = Obedient::new("", 0);
        for line in log.read(0, 0, usize::try_from(committed.next).unwrap()).unwrap() {
            from_the_start.step(&line).unwrap();
        }
        assert_eq!(from_the_start.digest, committed.digest);
    }
}

#[test]
fn a_state_of_the_past_is_the_state_there_was() {
    let bench = Bench::new();
    let log = bench.open();
    bench.tell(&log, &["timer 5", "decide", "nothing", "nothing"]);
    let worker = bench.start_as(&log, Settings { snapshot_records: 1, batch: 1, ..bench.settings() });
    until(&worker, |status| status.snapshot == Some(4));
    for offset in 0..=4 {
        let recovered = replay::recover(&*log, 0, offset, Obedient::restore, &|| false).unwrap();
        assert_eq!((recovered.state.next, recovered.snapshot), (offset, Some(offset).filter(|offset| *offset > 0)));
    }
    let error = replay::recover(&*log, 0, 5, Obedient::restore, &|| false).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "there is no record before `0:5` yet: the log ends at `0:4`");
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

#[test]
fn who_was_fenced_drops_everything_and_takes_over_again() {
    let bench = Bench::new();
    let log = bench.open();
    bench.tell(&log, &["decide"]);
    let worker = bench.start(&log);
    until(&worker, caught_up);
    log.take_over(Machine::Step, 0).unwrap();
    bench.tell(&log, &["decide"]);
    let status = until(&worker, |status| status.next == 2 && status.live);
    assert_eq!(status.epoch, 3);
    assert_eq!(log.stepped(0).unwrap().0.next, 2);
}

#[test]
fn a_due_timer_makes_ticks_but_not_more_than_one_a_second() {
    let bench = Bench::new();
    let log = bench.open();
    bench.tell(&log, &["timer 1500", "timer 1600"]);
    let worker = bench.start(&log);
    until(&worker, caught_up);
    let end = |log: &Embedded| log.range(0).unwrap().1;
    let settle = || thread::sleep(Duration::from_millis(40));
    settle();
    assert_eq!(end(&log), 2, "nothing is due");
    bench.clock.pass(1_499);
    settle();
    assert_eq!(end(&log), 2);
    bench.clock.pass(51);
    until(&worker, |status| status.next == 3);
    // The second is due 50 ms later, and waits until a second has passed since the tick.
    bench.clock.pass(999);
    settle();
    assert_eq!(end(&log), 3);
    bench.clock.pass(1);
    let status = until(&worker, |status| status.next == 4);
    assert_eq!((status.ticks, status.t_ms), (2, START_MS + 2_550));
}

#[test]
fn while_timers_remain_due_ticks_follow_at_once() {
    let bench = Bench::new();
    let log = bench.open();
    bench.tell(&log, &["due 20"]);
    let worker = bench.start(&log);
    // One is run by the record itself, nineteen by ticks; the clock stands still all the while.
    let status = until(&worker, |status| status.ticks == 19);
    thread::sleep(Duration::from_millis(40));
    assert_eq!(worker.status().next, status.next);
    assert_eq!(status.t_ms, START_MS);
}

#[test]
fn an_idle_log_hears_of_the_time_once_a_minute() {
    let bench = Bench::new();
    let log = bench.open();
    let worker = bench.start(&log);
    until(&worker, caught_up);
    assert_eq!(worker.status().ticks, 1, "the first owner of a log writes down that it begins");
    for minute in 1..=3 {
        bench.clock.pass(59_999);
        thread::sleep(Duration::from_millis(40));
        assert_eq!(worker.status().ticks, minute);
        bench.clock.pass(1);
        until(&worker, |status| status.ticks == minute + 1 && status.live);
    }
}

#[test]
fn a_log_that_lags_is_brought_up_to_date_before_anybody_acts() {
    let bench = Bench::new();
    let log = bench.open();
    bench.tell(&log, &["nothing"]);
    bench.clock.pass(3_600_000);
    let worker = bench.start(&log);
    let status = until(&worker, caught_up);
    assert_eq!((status.ticks, status.t_ms), (1, START_MS + 3_600_000));
    worker.stop();
    // Stopped for four seconds only: nobody needs to be told the time, and the new owner is live at once.
    bench.clock.pass(4_000);
    let status = until(&bench.start(&log), |status| status.live);
    assert_eq!(status.ticks, 0);
}

#[test]
fn an_owner_whose_clock_is_far_behind_the_log_is_not_ready() {
    let bench = Bench::new();
    let log = bench.open();
    bench.tell(&log, &["ahead 60001"]);
    let worker = bench.start(&log);
    let status = until(&worker, |status| status.next == 1 && status.trouble.is_some());
    assert!(!status.live && !log.stepped(0).unwrap().1);
    assert!(status.not_ready().unwrap().contains("clock is 60 s behind the log's time"), "{status:?}");
    // Set right, it acts, also without a new record.
    bench.clock.pass(2);
    let status = until(&worker, |status| status.live);
    assert_eq!(status.not_ready(), None);
}

#[test]
fn a_snapshot_is_kept_after_so_many_records_or_so_long() {
    let bench = Bench::new();
    let log = bench.open();
    let settings =
        Settings { snapshot_records: 3, snapshot_ms: 100_000, batch: 1, tick_max_ms: i64::MAX, ..bench.settings() };
    let worker = bench.start_as(&log, settings);
    until(&worker, |status| status.live);
    let from = worker.status().next;
    bench.tell(&log, &["nothing", "nothing", "nothing", "nothing"]);
    until(&worker, |status| status.next == from + 4 && status.snapshot == Some(3));
    bench.clock.pass(100_000);
    bench.tell(&log, &["nothing"]);
    until(&worker, |status| status.snapshot == Some(from + 5));
    assert_eq!(log.snapshot(0, 99).unwrap().unwrap().at.next, from + 5);
}

#[test]
fn a_stop_works_off_what_the_log_holds() {
    let bench = Bench::new();
    let log = bench.open();
    let worker = bench.start_as(&log, Settings { batch: 1, ..bench.settings() });
    until(&worker, |status| status.live);
    let kinds = vec!["nothing"; 30];
    bench.tell(&log, &kinds);
    let status = worker.stop();
    assert_eq!((status.next, status.lag(), status.live), (log.range(0).unwrap().1, 0, false));
}
