#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
//! The harness, driving a machine that does what the events say: command, set timers, refuse, panic, disagree with itself.

mod clock;
mod halts;

use super::{Engine, Settings, Status, WorkerHandle, start_with};
use crate::{
    backend::{
        Backend, Line, Log as _, Machine, Machines as _, Snapshots as _,
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
    partition::Effects,
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

/// A log that is behind: the next records are decided on while those before are on their way, a record a commit here. Whatever
/// ends that, each decision is told once, in order, and none that is not committed.
#[test]
fn what_is_decided_while_a_commit_is_on_its_way_stands_behind_it_or_goes_with_it() {
    for ends in ["nothing", "refuse", "fence"] {
        let bench = Bench::new();
        let log = bench.open();
        let mut kinds = vec!["decide"; 400];
        kinds.push(ends);
        bench.tell(&log, &kinds);
        let (sender, mut told) = broadcast::channel(1_024);
        let settings = Settings { decisions: Some(sender), batch: 1, snapshot_records: 150, ..bench.settings() };
        let worker = bench.start_as(&log, settings);
        if ends == "fence" {
            until(&worker, |status| status.next >= 20);
            log.take_over(Machine::Step, 0).unwrap();
        }
        let status = until(&worker, |status| status.halted.is_some() || status.next == 401);
        assert_eq!(status.halted.map(|halted| halted.at.offset), (ends == "refuse").then_some(400), "{ends}");
        assert_eq!((status.decisions, log.stepped(0).unwrap().0.next), (400, status.next), "{ends}");
        assert_eq!((status.take_overs > 1, status.snapshot.is_some()), (ends == "fence", true), "{ends}");
        let offsets: Vec<u64> = std::iter::from_fn(|| told.try_recv().ok()).map(|told| told.position.offset).collect();
        assert_eq!(offsets, (0..400).collect::<Vec<_>>(), "{ends}");
    }
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
