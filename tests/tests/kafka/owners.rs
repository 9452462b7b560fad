//! Who owns a partition: one process at a time, and what another one, stopped, silent or dead, can still do.

use super::{OnABroker, is_fenced};
use std::{
    thread,
    time::{Duration, Instant},
};
use weir::backend::{
    Log, Machine, Machines, Stepped,
    kafka::{
        membership::{Change, Member},
        setup,
    },
};
use weir_tests::{
    conformance::machines::{at, up_to},
    kafka::Broker,
    sample::{command, events},
};

/// Two processes: the one that was replaced and does not know it changes nothing, for either machine.
#[test]
fn a_zombie_in_another_process_commits_nothing() {
    let system = OnABroker::new();
    let (zombie, heir) = (system.kafka(), system.kafka());
    zombie.append(0, &events("a", 5)).unwrap();
    let (old, _) = zombie.take_over(Machine::Step, 0).unwrap();
    zombie.commit_step(&old, up_to(2)).unwrap();
    let (new, committed) = heir.take_over(Machine::Step, 0).unwrap();
    assert_eq!(committed, up_to(2).committed);
    assert!(new.epoch > old.epoch);
    let late = Stepped { commands: vec![command(1, 1, at(2))], ..up_to(3) };
    assert!(is_fenced(zombie.commit_step(&old, late.clone())));
    assert!(zombie.commit_step(&old, late.clone()).is_err(), "and it stays so");
    assert_eq!(heir.stepped(0).unwrap(), (up_to(2).committed, false), "nor is anybody live by its word");
    assert!(heir.commands_after(0, 0, Duration::ZERO).unwrap().1.is_empty());
    heir.commit_step(&new, late).unwrap();
    // The zombie reads like anybody else.
    assert!(zombie.wait_stepped(0, 2, Duration::from_secs(10)));
    assert_eq!(zombie.commands_after(0, 0, Duration::from_secs(10)).unwrap().1.len(), 1);
}

/// Nobody takes its word back for an owner that died as it was live: its silence does.
#[test]
fn an_owner_that_is_silent_is_not_live() {
    let mut system = OnABroker::new();
    system.settings.silence_ms = 3_000;
    let (owner, other) = (system.kafka(), system.kafka());
    owner.append(0, &events("a", 1)).unwrap();
    let (right, _) = owner.take_over(Machine::Step, 0).unwrap();
    owner.commit_step(&right, up_to(1)).unwrap();
    assert!(other.wait_stepped(0, 0, Duration::from_secs(10)));
    let at_once = other.stepped(0).unwrap();
    drop(owner);
    thread::sleep(Duration::from_millis(3_100));
    assert_eq!((at_once, other.stepped(0).unwrap()), ((up_to(1).committed, true), (up_to(1).committed, false)));
}

/// An owner that died in the middle of a commit, records written and nothing ended: none of it is ever seen.
#[test]
fn what_a_dead_owner_had_begun_is_gone() {
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
    let system = OnABroker::new();
    let prefix = &system.settings.prefix;
    let kafka = system.kafka();
    kafka.append(0, &events("a", 3)).unwrap();
    let (owner, _) = kafka.take_over(Machine::Step, 0).unwrap();
    kafka.commit_step(&owner, Stepped { commands: vec![command(1, 1, at(0))], ..up_to(1) }).unwrap();

    let dead: BaseProducer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", system.settings.brokers.join(","))
        .set("transactional.id", format!("{prefix}-step-0"))
        .create()
        .unwrap();
    let patience = Duration::from_secs(20);
    dead.init_transactions(patience).unwrap();
    dead.begin_transaction().unwrap();
    let topic = format!("{prefix}-commands");
    for (key, value) in [("00000000000000aa", "no command at all"), ("stepped", "nor a standing")] {
        dead.send(BaseRecord::to(&topic).partition(0).key(key).payload(value)).unwrap();
    }
    while dead.in_flight_count() > 0 {
        dead.poll(Duration::from_millis(1));
    }
    // While its transaction is open a newcomer reads what was committed before it.
    let newcomer = system.kafka();
    assert_eq!(newcomer.stepped(0).unwrap().0, up_to(1).committed);

    assert!(is_fenced(kafka.commit_step(&owner, up_to(2))), "whoever came after has the name");
    let (owner, committed) = newcomer.take_over(Machine::Step, 0).unwrap();
    assert_eq!(committed, up_to(1).committed);
    newcomer.commit_step(&owner, Stepped { commands: vec![command(1, 2, at(1))], ..up_to(2) }).unwrap();
    assert!(dead.commit_transaction(patience).is_err());
    assert!(kafka.wait_stepped(0, 1, Duration::from_secs(10)));
    let commands = system.kafka().commands_after(0, 0, Duration::ZERO).unwrap().1;
    assert_eq!(commands.iter().map(|command| (command.uid.0, command.generation)).collect::<Vec<_>>(), [(1, 2)]);
}

/// Each partition is somebody's, and nobody's twice once the group has settled; one who goes leaves his to the others.
#[test]
fn members_share_the_partitions() {
    let broker = Broker::shared().unwrap();
    let settings = broker.settings(4);
    setup(&settings).unwrap();
    let (first, told) = Member::join(&settings, Machine::Step).unwrap();
    let mut of_first = Vec::new();
    let mut follow = |told: &std::sync::mpsc::Receiver<Change>, wanted: usize| {
        let until = Instant::now() + Duration::from_secs(40);
        while of_first.len() != wanted {
            let left = until.saturating_duration_since(Instant::now());
            match told.recv_timeout(left).unwrap_or_else(|_| panic!("{of_first:?} and not {wanted}")) {
                Change::Gained(partition) => of_first.push(partition),
                Change::Lost(partition) => of_first.retain(|one| *one != partition),
            }
        }
        of_first.sort_unstable();
        of_first.clone()
    };
    assert_eq!(follow(&told, 4), [0, 1, 2, 3]);
    let (second, told_second) = Member::join(&settings, Machine::Step).unwrap();
    let mut shared = follow(&told, 2);
    for _ in 0..2 {
        match told_second.recv_timeout(Duration::from_secs(40)).unwrap() {
            Change::Gained(partition) => shared.push(partition),
            lost @ Change::Lost(_) => panic!("{lost:?}"),
        }
    }
    shared.sort_unstable();
    assert_eq!(shared, [0, 1, 2, 3]);
    drop(second);
    assert_eq!(follow(&told, 4), [0, 1, 2, 3]);
    drop(first);
}
