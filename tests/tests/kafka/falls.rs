//! A broker that falls, an answer that is lost, a store that fails: nothing is lost, and nothing is done twice.

use super::{OnABroker, again, join};
use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer},
};
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use weir::backend::{
    Deed, Error, Log, Machine, Machines, Settled, Stepped, Switch, Switches,
    cluster::Cluster,
    kafka::{Kafka, Settings, setup},
};
use weir_engine::id::GroupUid;
use weir_tests::{
    conformance::{
        PARTITIONS, START_MS,
        log::all,
        machines::{at, up_to},
    },
    kafka::Broker,
    kafka_proxy::{Kind, Loses},
    memory_store::MemoryStore,
    sample::{command, decision, event, events},
};

/// The word to commit is on its way when the line breaks. It may have arrived or not: only a take-over finds which it was, and
/// what stood at the last position is neither lost nor done twice.
#[test]
fn a_commit_whose_answer_was_lost_is_there_or_not_and_never_twice() {
    let (broker, proxy) = Broker::behind_a_proxy().unwrap();
    let settings = Settings { patience: Duration::from_secs(4), ..broker.settings(PARTITIONS) };
    setup(&settings).unwrap();
    let store = Arc::<MemoryStore>::default();
    let cluster = join(&settings, &store);
    let kafka = Arc::clone(cluster.kafka());
    kafka.append(0, &events("a", 5)).unwrap();
    let ledgers = |kafka: &Kafka| kafka.ledgers(0).unwrap().into_iter().map(|(_, ledger)| ledger).collect::<Vec<_>>();
    let gives = |next: u64| Stepped { commands: vec![command(1, next, at(next - 1))], ..up_to(next) };
    let intends = |intent: &[u8]| Settled { ledgers: vec![(GroupUid(1), Some(intent.to_vec()))], ..Settled::default() };

    let (mut owner, _) = cluster.take_over(Machine::Step, 0).unwrap();
    let (mut executor, _) = cluster.take_over(Machine::Settle, 0).unwrap();
    cluster.commit_step(&owner, gives(1)).unwrap();
    cluster.commit_settle(&executor, intends(b"first")).unwrap();
    let (mut next, mut intent) = (1, b"first".to_vec());
    for loses in [Loses::TheAnswer, Loses::TheRequest, Loses::TheAnswer] {
        proxy.break_at(Kind::EndTransaction, loses);
        let broken = cluster.commit_step(&owner, gives(next + 1));
        assert!(proxy.is_broken() && matches!(broken, Err(Error::Unclear(_))), "{loses:?}: {broken:?}");
        assert!(cluster.commit_step(&owner, gives(next + 1)).is_err(), "the way on is a take-over");
        proxy.mend();
        let (right, committed) = again(|| cluster.take_over(Machine::Step, 0));
        next += u64::from(loses == Loses::TheAnswer);
        assert_eq!((committed, right.epoch > owner.epoch), (up_to(next).committed, true), "{loses:?}");
        owner = right;

        let wish = format!("after {next}, {loses:?}").into_bytes();
        proxy.break_at(Kind::EndTransaction, loses);
        let broken = cluster.commit_settle(&executor, intends(&wish));
        assert!(proxy.is_broken() && matches!(broken, Err(Error::Unclear(_))), "{loses:?}: {broken:?}");
        proxy.mend();
        executor = again(|| cluster.take_over(Machine::Settle, 0)).0;
        if loses == Loses::TheAnswer {
            intent = wish;
        }
        assert_eq!(ledgers(&kafka), [intent.clone()], "{loses:?}");
    }
    cluster.commit_step(&owner, gives(next + 1)).unwrap();
    cluster.commit_settle(&executor, intends(b"last")).unwrap();
    assert!(cluster.wait_stepped(0, next, Duration::from_secs(20)));
    let given = weir::backend::History::commands_since(&cluster, 0, 0, usize::MAX).unwrap();
    let marks: Vec<(u64, u64)> = given.iter().map(|(mark, command)| (*mark, command.generation)).collect();
    assert_eq!(marks, [(1, 1), (2, 2), (3, 3), (4, 4)]);
    assert_eq!(ledgers(&kafka), [b"last".to_vec()]);
}

/// The broker is killed and started while many append and one commits. What was answered is there, once; what was said to be
/// not written is not; positions and commands agree.
#[test]
fn a_broker_that_is_killed_loses_nothing_that_was_answered() {
    let broker = Broker::new().unwrap();
    let settings = Settings { patience: Duration::from_secs(60), ..broker.settings(PARTITIONS) };
    setup(&settings).unwrap();
    let (kafka, stop) = (Kafka::open(settings.clone()).unwrap(), AtomicBool::new(false));
    let (answered, refused, stepped) = thread::scope(|scope| {
        let (kafka, stop) = (&kafka, &stop);
        let appenders: Vec<_> = (0..3)
            .map(|appender| {
                scope.spawn(move || {
                    let (mut answered, mut refused) = (Vec::new(), Vec::new());
                    for n in 0.. {
                        if stop.load(Ordering::Acquire) {
                            break;
                        }
                        let id = format!("{appender}-{n}");
                        match kafka.append(0, &[event(&id)]) {
                            Ok(offset) => answered.push((offset, id)),
                            Err(Error::Unclear(_)) => {}
                            Err(_) => refused.push(id),
                        }
                    }
                    (answered, refused)
                })
            })
            .collect();
        let stepper = scope.spawn(move || step_until(kafka, stop));
        for _ in 0..2 {
            thread::sleep(Duration::from_millis(1_500));
            broker.kill().unwrap();
            thread::sleep(Duration::from_millis(500));
            broker.start().unwrap();
        }
        thread::sleep(Duration::from_secs(3));
        stop.store(true, Ordering::Release);
        let (mut answered, mut refused) = (Vec::new(), Vec::new());
        for appender in appenders {
            let (yes, no) = appender.join().unwrap();
            answered.extend(yes);
            refused.extend(no);
        }
        (answered, refused, stepper.join().unwrap())
    });
    assert!(answered.len() > 100 && stepped > 10, "{} answered, {stepped} stepped", answered.len());
    drop(kafka);

    let kafka = Kafka::open(settings.clone()).unwrap();
    let store = Arc::<MemoryStore>::default();
    let log: Vec<String> = all(&Cluster::new(Arc::new(kafka), store.clone()).unwrap(), 0, 1_000)
        .into_iter()
        .map(|event| event.id)
        .collect();
    for (offset, id) in &answered {
        assert_eq!(log.get(usize::try_from(*offset).unwrap()), Some(id));
    }
    let mut once = log.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), log.len(), "nothing is there twice");
    assert!(refused.iter().all(|id| once.binary_search(id).is_err()), "what was refused is not there");

    // Each record gave one command: as many as the position says, none missing and none twice.
    let cluster = join(&settings, &store);
    let (owner, committed) = cluster.take_over(Machine::Step, 0).unwrap();
    assert!(committed.next >= stepped);
    cluster.commit_step(&owner, Stepped { committed: committed.clone(), ..Stepped::default() }).unwrap();
    let wait_until = Instant::now() + Duration::from_secs(20);
    while !cluster.kafka().wait_written(0, committed.next - 1, Duration::from_millis(100)) {
        assert!(Instant::now() < wait_until, "the history does not catch up: {:?}", cluster.trouble());
    }
    let given = weir::backend::History::commands_since(&cluster, 0, 0, usize::MAX).unwrap();
    let generations: Vec<u64> = given.iter().map(|(_, command)| command.generation).collect();
    assert_eq!(generations, (1..=committed.next).collect::<Vec<_>>());
}

/// A broker that falls twice can leave what a commit wrote into one topic and take back what it wrote into the other. Nobody
/// can make it do so at will, so what is left is written by hand: whichever it is, the records are decided again.
#[test]
fn a_commit_of_which_a_part_was_taken_back_is_decided_again() {
    for left in ["commands", "outputs"] {
        let system = OnABroker::new();
        let cluster = join(&system.settings, &system.store);
        cluster.append(0, &events("a", 5)).unwrap();
        let (owner, _) = cluster.take_over(Machine::Step, 0).unwrap();
        let gives = |next: u64| Stepped { commands: vec![command(1, next, at(next - 1))], ..up_to(next) };
        cluster.commit_step(&owner, gives(1)).unwrap();
        cluster.commit_step(&owner, gives(2)).unwrap();
        drop(cluster);

        let (third, topic) = (command(1, 3, at(2)), format!("{}-{left}", system.settings.prefix));
        let standing = json!({ "log_id": system.kafka().log_id(), "epoch": owner.epoch, "live": true, "mark": 3,
            "committed": up_to(3).committed, "last_ms": null });
        let uid = third.uid.to_string();
        let written = match left {
            "commands" => [(&*uid, json!({ "mark": 3, "command": third })), ("stepped", standing)],
            _ => [("", json!({ "command": { "mark": 3, "command": third } })), ("", json!({ "stepped": standing }))],
        };
        let producer: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", system.settings.brokers.join(",")).create().unwrap();
        for (key, value) in written {
            let value = value.to_string();
            let record = BaseRecord::to(&topic).partition(0).payload(&value);
            producer.send(if key.is_empty() { record } else { record.key(key) }).unwrap();
        }
        producer.flush(Duration::from_secs(20)).unwrap();

        let cluster = join(&system.settings, &system.store);
        let (newer, committed) = cluster.take_over(Machine::Step, 0).unwrap();
        assert_eq!((committed, newer.epoch > owner.epoch), (up_to(2).committed, true), "left in {left}");
        cluster.commit_step(&newer, gives(3)).unwrap();
        assert!(cluster.kafka().wait_written(0, 2, Duration::from_secs(20)), "{:?}", cluster.trouble());
        let given = weir::backend::History::commands_since(&cluster, 0, 0, usize::MAX).unwrap();
        let marks: Vec<(u64, u64)> = given.iter().map(|(mark, command)| (*mark, command.generation)).collect();
        assert_eq!(marks, [(1, 1), (2, 2), (3, 3)], "left in {left}");
        let (_, commands) = cluster.commands_after(0, 0, Duration::ZERO).unwrap();
        assert_eq!(commands, [third], "left in {left}");
        assert_eq!(cluster.take_over(Machine::Step, 0).unwrap().1, up_to(3).committed, "left in {left}");
    }
}

/// As a worker does: on any error everything is dropped and taken over again. Answers the last position that was answered.
fn step_until(kafka: &Kafka, stop: &AtomicBool) -> u64 {
    let mut answered = 0;
    while !stop.load(Ordering::Acquire) {
        let Ok((owner, mut committed)) = kafka.take_over(Machine::Step, 0) else { continue };
        assert!(committed.next >= answered, "what was committed is there");
        while !stop.load(Ordering::Acquire) {
            kafka.wait_for(0, committed.next, Duration::from_millis(50));
            let Ok(lines) = kafka.read(0, committed.next, 100) else { break };
            let Some(last) = lines.last() else { continue };
            let (from, next) = (committed.next, last.offset + 1);
            let commands = (from..next).map(|offset| command(1, offset + 1, at(offset))).collect();
            committed.next = next;
            let stepped = Stepped { committed: committed.clone(), commands, ..Stepped::default() };
            if kafka.commit_step(&owner, stepped).is_err() {
                break;
            }
            answered = next;
        }
    }
    answered
}

/// A switch that one process sets holds the calls of another within a moment, behind however many events. Whoever is cut off
/// from `control` makes no server, and goes on by itself once the broker is back.
#[test]
fn a_kill_switch_reaches_every_process_and_silence_makes_no_server() {
    let broker = Broker::new().unwrap();
    let settings = Settings { control_silence: Duration::from_secs(3), ..broker.settings(1) };
    setup(&settings).unwrap();
    let (one, other) = (Kafka::open(settings.clone()).unwrap(), Kafka::open(settings).unwrap());
    let held = |kafka: &Kafka, deed| kafka.held("acme", "LON", deed, START_MS);
    let wait = |what: &str, most_ms: u64, so: &dyn Fn() -> bool| {
        let began = Instant::now();
        while !so() {
            assert!(began.elapsed() < Duration::from_millis(most_ms), "{what}: {:?}", held(&other, Deed::Adding));
            thread::sleep(Duration::from_millis(1));
        }
        began.elapsed()
    };
    wait("the switches are read", 20_000, &|| held(&other, Deed::Adding).is_none());
    // Nobody applies these.
    one.append(0, &events("a", 5_000)).unwrap();
    let stop = |adding| Switch {
        tenant: "acme".into(),
        region: String::new(),
        adding,
        removing: false,
        until_ms: None,
        actor: "ops".into(),
        reason: "images".into(),
    };
    one.set_switch(stop(true)).unwrap();
    let took = wait("the switch is heard of", 2_000, &|| held(&other, Deed::Adding).is_some());
    println!("figure: a kill switch is known to another process {} ms after it was answered", took.as_millis());
    assert!(held(&other, Deed::Adding).unwrap().contains("stopped by ops"));
    assert_eq!(held(&other, Deed::Removing), None);
    one.set_switch(stop(false)).unwrap();
    wait("it is lifted", 2_000, &|| held(&other, Deed::Adding).is_none());

    broker.kill().unwrap();
    wait("silence is noticed", 10_000, &|| {
        held(&other, Deed::Adding).is_some_and(|why| why.contains("not been heard"))
    });
    assert_eq!(held(&other, Deed::Removing), None);
    broker.start().unwrap();
    wait("it goes on", 30_000, &|| held(&other, Deed::Adding).is_none());
}

/// Behind the commits, at least once, in order, whatever the store does meanwhile.
#[test]
fn the_history_survives_a_store_that_fails_and_an_owner_that_goes() {
    let system = OnABroker::new();
    let soon = Duration::from_secs(20);
    {
        let cluster = join(&system.settings, &system.store);
        cluster.append(0, &events("a", 9)).unwrap();
        let (owner, _) = cluster.take_over(Machine::Step, 0).unwrap();
        system.store.refuse(u32::MAX);
        let decisions = (0..3).map(|offset| decision("web", at(offset), 0)).collect();
        cluster.commit_step(&owner, Stepped { decisions, ..up_to(3) }).unwrap();
        assert!(cluster.kafka().wait_stepped(0, 2, soon));
        let other = join(&system.settings, &system.store);
        assert!(!other.wait_stepped(0, 2, Duration::from_millis(300)), "nobody reads it yet");
        let until = Instant::now() + soon;
        while cluster.trouble().is_none() && Instant::now() < until {
            thread::sleep(Duration::from_millis(20));
        }
        assert!(cluster.trouble().is_some_and(|trouble| trouble.contains("the store is not there")));
    }
    system.store.refuse(0);
    let cluster = join(&system.settings, &system.store);
    let (owner, _) = cluster.take_over(Machine::Step, 0).unwrap();
    cluster.commit_step(&owner, Stepped { decisions: vec![decision("web", at(3), 0)], ..up_to(4) }).unwrap();
    assert!(cluster.wait_stepped(0, 3, soon));
    let kept = weir::backend::History::decisions_between(&cluster, 0, 0, 9).unwrap();
    assert_eq!(kept.iter().map(|decision| decision.position.offset).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(cluster.trouble(), None);
}
