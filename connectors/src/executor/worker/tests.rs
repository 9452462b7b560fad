//! The worker on the embedded store and the simulated cloud, with a clock that runs faster than the wall.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod clouds;

use super::*;
use crate::{
    backend::{
        Committed, History, Stepped, Switch, ViewKind,
        embedded::{Embedded, Settings},
    },
    clock::{HeldClock, ScaledClock},
    executor::{
        CloudError, CloudErrorKind, LaunchBudget,
        simulated::{self, Call, Simulated, Trouble},
    },
};
use clouds::{One, Watched};
use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;
use weir_engine::{
    command::{Hands, Hold, Retired, Spec},
    event::{Event, Fact},
    id::Position,
    outcome::{Happening, Outcome},
};
use weir_grammar::policy::{Balancer, Launch, RemoveOrder};

const UID: GroupUid = GroupUid(0xabc);

fn command(generation: u64, target: u32) -> Command {
    let launch = Launch {
        name: "web".to_owned(),
        image: "web-1".to_owned(),
        flavor: "small".to_owned(),
        key: None,
        networks: Vec::new(),
        zones: Vec::new(),
        volumes: Vec::new(),
        setup: None,
        balancers: vec![Balancer { name: "lb-1".to_owned(), port: 80 }],
        metadata: Vec::new(),
    };
    Command {
        tenant: "acme".to_owned(),
        group: "web".to_owned(),
        uid: UID,
        generation,
        target,
        min: 0,
        max: 100,
        decided: 0,
        cause: Position::default(),
        by: "start".to_owned(),
        spec: Spec {
            region: "LON".to_owned(),
            launch,
            setup: None,
            ready_within_ms: 600_000,
            drain_ms: 2_000,
            remove: RemoveOrder::OldestFirst,
            notify: None,
        },
        hold: Hold::default(),
        by_hand: Hands::default(),
        retired: None,
    }
}

struct Rig {
    backend: Arc<Embedded>,
    cloud: Simulated,
    executor: Arc<Executor<Embedded>>,
    handle: ExecutorHandle,
    stop: watch::Sender<bool>,
    running: Option<JoinHandle<Result<(), Error>>>,
    step: Ownership,
    _folder: tempfile::TempDir,
}

impl Rig {
    fn with(settings: ExecutorSettings, budget: Option<LaunchBudget>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(ScaledClock::starting_at(1_700_000_000_000, 50));
        let store = Settings { full_percent: 101, ..Settings::default() };
        let backend = Arc::new(Embedded::open(folder.path(), store).unwrap());
        let cloud = Simulated::in_memory(simulated::Settings::default(), Arc::clone(&clock));
        let judged = Watched::judged(cloud.clone(), Arc::clone(&backend));
        let clouds = Arc::new(One { cloud: Arc::new(judged), budget });
        let (executor, handle) = Executor::new(Arc::clone(&backend), clouds, clock, settings);
        let (step, _) = backend.take_over(Machine::Step, 0).unwrap();
        let (stop, _) = watch::channel(false);
        Self { backend, cloud, executor: Arc::new(executor), handle, stop, running: None, step, _folder: folder }
    }

    fn new() -> Self {
        Self::with(ExecutorSettings { sweep_ms: 30_000, look_ms: 500, ..ExecutorSettings::default() }, None)
    }

    fn start(&mut self) {
        self.stop.send_replace(false);
        let (executor, stop) = (Arc::clone(&self.executor), self.stop.subscribe());
        self.running = Some(tokio::spawn(async move { executor.run(0, stop).await }));
    }

    async fn stop(&mut self) -> Result<(), Error> {
        self.stop.send_replace(true);
        self.running.take().unwrap().await.unwrap()
    }

    /// As if the process were killed: whatever it was at is dropped.
    async fn kill(&mut self) {
        let running = self.running.take().unwrap();
        running.abort();
        assert!(running.await.unwrap_err().is_cancelled(), "the worker had ended by itself");
    }

    fn send(&self, commands: Vec<Command>, live: bool) {
        let stepped = Stepped { committed: Committed::default(), live, commands, ..Stepped::default() };
        self.backend.commit_step(&self.step, stepped).unwrap();
    }

    fn outcomes(&self) -> Vec<Outcome> {
        let lines = self.backend.read(0, 0, 10_000).unwrap();
        let outcome = |bytes: &[u8]| match Event::from_line(bytes).unwrap().fact {
            Fact::Outcome(outcome) => outcome,
            other => panic!("{other:?}"),
        };
        lines.iter().map(|line| outcome(&line.bytes)).collect()
    }

    /// How many are ready by what the log heard.
    fn ready(&self) -> usize {
        let (mut ready, mut seq) = (BTreeSet::new(), 0);
        for outcome in self.outcomes() {
            if outcome.seq <= seq {
                continue;
            }
            seq = outcome.seq;
            match outcome.happening {
                Happening::Ready { slot, .. } => drop(ready.insert(slot)),
                other => drop(other.slot().map(|slot| ready.remove(&slot))),
            }
        }
        ready.len()
    }

    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !holds(self) {
            assert!(begun.elapsed() < Duration::from_secs(60), "{what}: {:?}\n{:?}", self.outcomes(), self.rows());
            sleep(Duration::from_millis(10)).await;
        }
    }

    async fn until_settled(&self, size: usize) {
        let settled = |rig: &Self| {
            rig.ready() == size && rig.cloud.all().unwrap().iter().filter(|s| s.gone_ms.is_none()).count() == size
        };
        self.until(&format!("{size} servers, no more and no fewer"), settled).await;
    }

    fn rows(&self) -> Option<serde_json::Value> {
        self.backend.view(ViewKind::Servers, "acme", &UID.to_string()).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_grows_shrinks_and_is_removed_and_the_log_and_the_view_know() {
    let mut rig = Rig::new();
    // The balancer takes its time with each change.
    rig.cloud.adjust(|settings| settings.immutable_ms = 700);
    rig.send(vec![command(1, 4)], true);
    rig.start();
    rig.until_settled(4).await;
    let rows = rig.rows().unwrap();
    assert!(rows.as_array().unwrap().iter().all(|row| row["state"] == "ready" && row["server"].is_string()), "{rows}");
    rig.send(vec![command(2, 1)], true);
    rig.until_settled(1).await;
    rig.stop().await.unwrap();

    // Started again it finds all as it was.
    rig.start();
    sleep(Duration::from_millis(300)).await;
    assert_eq!(rig.cloud.made().unwrap(), 4);
    rig.send(vec![Command { retired: Some(Retired::Delete), ..command(3, 0) }], true);
    rig.until_settled(0).await;
    rig.until("the ledger is forgotten", |rig| rig.backend.ledgers(0).unwrap().is_empty() && rig.rows().is_none())
        .await;
    rig.stop().await.unwrap();
    let numbers: Vec<u64> = rig.outcomes().iter().map(|outcome| outcome.seq).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "each is said once, in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_done_before_the_engine_has_caught_up() {
    let mut rig = Rig::new();
    rig.send(vec![command(1, 2)], false);
    rig.start();
    sleep(Duration::from_millis(400)).await;
    assert!(rig.cloud.made().unwrap() == 0 && rig.backend.ledgers(0).unwrap().is_empty());
    rig.send(Vec::new(), true);
    rig.until_settled(2).await;

    // Neither where it falls behind while one looks.
    rig.cloud.trouble(Call::List, Trouble::Slow(Duration::from_millis(1_000)), 1);
    rig.send(vec![command(2, 3)], true);
    sleep(Duration::from_millis(150)).await;
    rig.send(Vec::new(), false);
    sleep(Duration::from_millis(1_300)).await;
    assert_eq!(rig.cloud.made().unwrap(), 2);
    rig.send(Vec::new(), true);
    rig.until_settled(3).await;
    rig.stop().await.unwrap();
}

/// A switch that the engine has not heard of holds the calls all the same, those of one group that queue, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_switch_holds_the_next_call() {
    let mut rig = Rig::new();
    let switch = |adding, removing| Switch {
        tenant: "acme".to_owned(),
        region: "LON".to_owned(),
        adding,
        removing,
        until_ms: None,
        actor: "ops".to_owned(),
        reason: "images".to_owned(),
    };
    rig.backend.set_switch(switch(true, false)).unwrap();
    rig.send(vec![command(1, 3)], true);
    rig.start();
    sleep(Duration::from_millis(500)).await;
    assert_eq!(rig.cloud.made().unwrap(), 0);
    rig.backend.set_switch(switch(false, true)).unwrap();
    rig.until_settled(3).await;
    rig.send(vec![command(2, 1)], true);
    sleep(Duration::from_millis(500)).await;
    let stand = rig.cloud.all().unwrap().iter().filter(|server| server.gone_ms.is_none()).count();
    assert_eq!(stand, 3, "nothing is removed");
    rig.backend.set_switch(switch(false, false)).unwrap();
    rig.until_settled(1).await;
    // What was held was no failure: nothing was tried in vain, and no group is degraded.
    assert_eq!(rig.cloud.made().unwrap(), 3);
    assert!(!rig.outcomes().iter().any(|outcome| matches!(outcome.happening, Happening::Degraded { .. })));
    rig.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_whose_partition_was_taken_over_ends_and_orders_nothing() {
    let mut rig = Rig::new();
    rig.start();
    // Its first commit is what finds it out.
    sleep(Duration::from_millis(100)).await;
    rig.backend.take_over(Machine::Settle, 0).unwrap();
    rig.send(vec![command(1, 2)], true);
    let ended = rig.running.take().unwrap().await.unwrap();
    assert!(matches!(ended, Err(Error::Backend(backend::Error::Fenced { partition: 0 }))), "{ended:?}");
    assert_eq!(rig.cloud.made().unwrap(), 0);
}

/// A process was stopped between its look and its calls, and ordered servers when it went on, for a partition that another
/// had by then.
#[tokio::test]
async fn a_look_is_not_acted_on_once_it_is_old() {
    let folder = tempfile::tempdir().unwrap();
    let clock = HeldClock::at(1_700_000_000_000);
    let backend =
        Arc::new(Embedded::open(folder.path(), Settings { full_percent: 101, ..Settings::default() }).unwrap());
    let cloud = Simulated::in_memory(simulated::Settings::default(), Arc::new(clock.clone()));
    let settings = ExecutorSettings::default();
    let takes_ms = Arc::new(AtomicI64::new(settings.look_good_ms + 1));
    let late = Watched::late(cloud.clone(), clock.clone(), Arc::clone(&takes_ms));
    let clouds = Arc::new(One { cloud: Arc::new(late), budget: None });
    let (executor, _) = Executor::new(Arc::clone(&backend), clouds, Arc::new(clock.clone()), settings);
    let (step, _) = backend.take_over(Machine::Step, 0).unwrap();
    let commands = vec![command(1, 2)];
    backend
        .commit_step(&step, Stepped { committed: Committed::default(), live: true, commands, ..Stepped::default() })
        .unwrap();
    let mut shift = executor.begin(0).await.unwrap();
    assert_eq!(executor.turn(&mut shift).await.unwrap(), 1);
    assert_eq!(cloud.made().unwrap(), 0, "the look was a millisecond too old");
    takes_ms.store(settings.look_good_ms, Ordering::Relaxed);
    clock.pass(10_000);
    assert_eq!(executor.turn(&mut shift).await.unwrap(), 1);
    assert_eq!(cloud.made().unwrap(), 2, "nothing was done before, and all of it is now");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_without_a_cloud_degrades_its_groups_and_says_what_to_configure() {
    let mut rig = Rig::new();
    let mut wanted = command(1, 2);
    wanted.spec.region = "DFW".to_owned();
    rig.send(vec![wanted], true);
    rig.start();
    rig.until("degraded", |rig| !rig.outcomes().is_empty()).await;
    let Happening::Degraded { reason } = &rig.outcomes()[0].happening else { panic!("{:?}", rig.outcomes()) };
    assert!(reason.contains("[[cloud]]") && reason.contains("DFW") && reason.contains("acme"), "{reason}");
    rig.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_whose_answers_are_lost_make_no_server_too_many() {
    let mut rig = Rig::with(
        ExecutorSettings { sweep_ms: 30_000, look_ms: 500, call_timeout_ms: 50, ..ExecutorSettings::default() },
        None,
    );
    rig.cloud.trouble(Call::Create, Trouble::AnswerLost, 3);
    rig.cloud.trouble(Call::Delete, Trouble::AnswerLost, 1);
    rig.send(vec![command(1, 3)], true);
    rig.start();
    rig.until_settled(3).await;
    assert_eq!(rig.cloud.made().unwrap(), 3);
    rig.send(vec![command(2, 2)], true);
    rig.until_settled(2).await;
    rig.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusing_cloud_is_told_of_in_its_own_words() {
    let mut rig = Rig::new();
    rig.cloud.adjust(|settings| settings.quota = 1);
    rig.send(vec![command(1, 4)], true);
    rig.start();
    let degraded = |outcome: &Outcome| matches!(outcome.happening, Happening::Degraded { .. });
    rig.until("degraded", |rig| rig.outcomes().iter().any(degraded)).await;
    rig.cloud.adjust(|settings| settings.quota = 100);
    rig.until_settled(4).await;
    rig.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_waits_for_the_answers_to_calls_under_way() {
    let mut rig = Rig::new();
    rig.cloud.trouble(Call::Create, Trouble::Slow(Duration::from_millis(400)), 1);
    rig.send(vec![command(1, 1)], true);
    rig.start();
    rig.until("the intent is committed", |rig| !rig.backend.ledgers(0).unwrap().is_empty()).await;
    rig.stop().await.unwrap();
    let (_, bytes) = rig.backend.ledgers(0).unwrap().remove(0);
    let ledger = Ledger::from_bytes(&bytes).unwrap();
    assert!(ledger.entries().values().all(|entry| entry.server.is_some()), "{ledger:?}");
    assert!(
        matches!(rig.outcomes()[..], [Outcome { happening: Happening::Building { .. }, .. }]),
        "{:?}",
        rig.outcomes()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hint_makes_it_look_long_before_the_sweep() {
    let mut rig = Rig::with(
        ExecutorSettings { sweep_ms: i64::from(u32::MAX), look_ms: 500, ..ExecutorSettings::default() },
        None,
    );
    rig.send(vec![command(1, 2)], true);
    rig.start();
    rig.until_settled(2).await;
    // The visit that said so is over then.
    sleep(Duration::from_millis(200)).await;
    let server = rig.cloud.all().unwrap().remove(0).id;
    rig.cloud.lose(&server).unwrap();
    rig.handle.look_at_server("somebody-else", &server);
    rig.handle.look_at_server("acme", "unknown");
    sleep(Duration::from_millis(400)).await;
    assert_eq!(
        rig.cloud.made().unwrap(),
        2,
        "neither another tenant's word nor one about another server makes it look"
    );
    rig.handle.look_at_server("acme", &server);
    rig.until("replaced", |rig| rig.cloud.made().unwrap() == 3).await;
    rig.until_settled(2).await;
    let server = rig.cloud.all().unwrap().into_iter().find(|server| server.gone_ms.is_none()).unwrap().id;
    rig.cloud.lose(&server).unwrap();
    rig.handle.look(UID);
    rig.until("replaced", |rig| rig.cloud.made().unwrap() == 4).await;
    rig.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn builds_start_no_faster_than_the_budget() {
    // Two at once, then one in 25 s of the fast clock, which is half a second.
    let budget = LaunchBudget { count: 2, per_ms: 50_000 };
    let mut rig = Rig::with(ExecutorSettings { look_ms: 500, ..ExecutorSettings::default() }, Some(budget));
    let begun = Instant::now();
    rig.send(vec![command(1, 4)], true);
    rig.start();
    rig.until("two are made", |rig| rig.cloud.made().unwrap() == 2).await;
    sleep(Duration::from_millis(100)).await;
    assert!(begun.elapsed() > Duration::from_millis(450) || rig.cloud.made().unwrap() == 2);
    rig.until_settled(4).await;
    assert!(begun.elapsed() >= Duration::from_millis(950), "{:?}", begun.elapsed());
    assert!(!rig.outcomes().iter().any(|outcome| matches!(outcome.happening, Happening::Failed { .. })));
    rig.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_killed_again_and_again_makes_no_server_too_many() {
    let mut rig = Rig::new();
    rig.cloud.adjust(|settings| settings.answer_ms = 7);
    rig.start();
    for generation in 1..=30 {
        let target = u32::try_from(generation * 5 % 7).unwrap();
        rig.send(vec![command(generation, target)], true);
        sleep(Duration::from_millis(generation * 13 % 90)).await;
        rig.kill().await;
        rig.start();
    }
    rig.send(vec![command(100, 5)], true);
    rig.until_settled(5).await;
    rig.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cloud_that_lets_nobody_look_is_told_of_until_it_does() {
    let mut rig = Rig::new();
    let who = CloudError { kind: CloudErrorKind::Unauthorized, text: "the password is not accepted".to_owned() };
    rig.cloud.trouble(Call::List, Trouble::Refuses(who), 2);
    rig.send(vec![command(1, 1)], true);
    rig.start();
    rig.until_settled(1).await;
    let words: Vec<Happening> = rig.outcomes().into_iter().map(|outcome| outcome.happening).take(2).collect();
    assert!(matches!(&words[0], Happening::Degraded { reason } if reason.contains("password")), "{words:?}");
    assert_eq!(words[1], Happening::Healed);
    rig.stop().await.unwrap();
}
