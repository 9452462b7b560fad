//! The log and the machines over a real Kafka, with a store in memory behind them: the promises that every log and store
//! keeps, and what only many processes and a broker that falls can show.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use weir::{
    backend::{
        Backend, Deed, Error, Log, Machine, Machines, Settled, Snapshot, Stepped, Store, Switch, Switches,
        cluster::Cluster,
        kafka::{
            Kafka, Settings,
            membership::{Change, Member},
            setup,
        },
    },
    clock::HeldClock,
};
use weir_engine::id::GroupUid;
use weir_tests::{
    conformance::{
        PARTITIONS, START_MS, System,
        log::all,
        machines::{at, up_to},
    },
    kafka::Broker,
    kafka_proxy::{Kind, Loses},
    memory_store::MemoryStore,
    sample::{command, decision, event, events},
};

/// A new installation on the shared broker. Its append times are the broker's, so the clock moves nothing.
struct OnABroker {
    _broker: Arc<Broker>,
    settings: Settings,
    store: Arc<MemoryStore>,
    clock: HeldClock,
}

impl OnABroker {
    fn new() -> Self {
        let broker = Broker::shared().unwrap();
        let settings = broker.settings(PARTITIONS);
        setup(&settings).unwrap();
        Self { _broker: broker, settings, store: Arc::default(), clock: HeldClock::at(START_MS) }
    }

    fn kafka(&self) -> Kafka {
        Kafka::open(self.settings.clone()).unwrap()
    }
}

fn join(settings: &Settings, store: &Arc<MemoryStore>) -> Cluster {
    let kafka = Arc::new(Kafka::open(settings.clone()).unwrap());
    Cluster::new(kafka, Arc::clone(store) as Arc<dyn Store>).unwrap()
}

impl System for OnABroker {
    fn open(&self) -> Arc<dyn Backend> {
        Arc::new(join(&self.settings, &self.store))
    }

    fn clock(&self) -> &HeldClock {
        &self.clock
    }
}

// All but those that set the log's clock, which is the broker's, and those about what a store trims, which a store's own
// tests ask.
weir_tests::promises! { @ OnABroker::new();
    log: offsets_start_at_0_and_leave_no_gap, concurrent_appends_are_each_there_once_and_whole, partitions_are_apart,
        reading_goes_in_pages_and_ends_at_the_end, too_long_a_line_is_refused_with_its_neighbours,
        who_waits_for_a_record_is_woken_by_it, the_log_keeps_its_name;
    machines: a_commit_is_there_whole_after_reopening, a_fenced_owner_commits_nothing, epochs_rise_across_reopening,
        the_machines_are_fenced_apart, a_position_goes_neither_back_nor_past_the_end,
        nobody_is_live_who_was_not_said_to_be, commands_are_read_as_a_table, every_command_stays_in_the_history,
        an_older_generation_never_replaces_a_newer, ledgers_are_set_replaced_and_forgotten,
        who_waits_for_a_step_is_woken_by_it;
    history: decisions_are_paged_newest_first, decisions_are_found_by_record, views_are_set_replaced_and_taken_away,
        tenants_do_not_see_each_other;
    switches: a_switch_holds_across_reopening_until_it_ends_or_is_lifted;
    snapshots: a_snapshot_comes_back_as_it_was, no_snapshot_is_newer_than_the_position, a_snapshot_is_immutable,
        the_newest_that_is_not_too_new_is_offered;
}

fn is_fenced<T: std::fmt::Debug>(outcome: Result<T, Error>) -> bool {
    matches!(outcome, Err(Error::Fenced { partition: 0 }))
}

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

/// As a worker does: what is away for a moment is asked again.
fn again<T>(call: impl Fn() -> Result<T, Error>) -> T {
    let until = Instant::now() + Duration::from_secs(40);
    loop {
        match call() {
            Ok(value) => return value,
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
    }
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

const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";
const CONFIGS: &str = "kafka.admin.ConfigCommand";

/// Made once, found again; a rule that is broken later is seen at the next start.
#[test]
fn topics_are_made_once_and_must_keep_their_rules() {
    let broker = Broker::shared().unwrap();
    let settings = broker.settings(3);
    assert!(Kafka::open(settings.clone()).unwrap_err().to_string().contains("run `weir setup`"));
    let first = setup(&settings).unwrap();
    assert_eq!((first.made.len(), first.partitions), (5, 3));
    let second = setup(&settings).unwrap();
    assert_eq!((second.made.len(), &second.log_id), (0, &first.log_id));
    let open = |settings: &Settings| Kafka::open(settings.clone()).map(|kafka| kafka.log_id());
    assert_eq!(open(&settings).unwrap(), first.log_id);
    assert_eq!(open(&Settings { partitions: None, ..settings.clone() }).unwrap(), first.log_id);

    let refused = |settings: &Settings, why: &str| {
        for error in [open(settings).unwrap_err(), setup(settings).unwrap_err()] {
            assert!(error.to_string().contains(why), "{error}");
        }
    };
    refused(&Settings { partitions: Some(4), ..settings.clone() }, "has 3 partitions and 4 are asked for");
    refused(&Settings { replication: 2, ..settings.clone() }, "has 1 copies and the configuration says 2");
    refused(&Settings { events_ms: settings.events_ms + 1, ..settings.clone() }, "`retention.ms`");
    let name = |topic: &str| format!("{}-{topic}", settings.prefix);
    let set = |topic: &str, config: &str| {
        let name = name(topic);
        let arguments = ["--alter", "--entity-type", "topics", "--entity-name", &name, "--add-config", config];
        broker.tool(CONFIGS, &arguments).unwrap();
    };
    for (topic, wrong, right) in [
        ("events", "message.timestamp.type=CreateTime", "message.timestamp.type=LogAppendTime"),
        ("commands", "cleanup.policy=delete", "cleanup.policy=compact"),
    ] {
        set(topic, wrong);
        let (setting, _) = wrong.split_once('=').unwrap();
        refused(&settings, &format!("the topic `{}` has `{setting}`", name(topic)));
        set(topic, right);
        open(&settings).unwrap();
    }
    broker.tool(TOPICS, &["--alter", "--topic", &name("ledger"), "--partitions", "5"]).unwrap();
    refused(&settings, "has 5 partitions and must have 3");
}

/// A topic that was deleted, and made again by hand: its offsets begin anew, and what was decided about others must not be
/// continued with them.
#[test]
fn a_topic_that_was_made_again_is_refused() {
    let system = OnABroker::new();
    let broker = Broker::shared().unwrap();
    let settings = &system.settings;
    let name = format!("{}-events", settings.prefix);
    {
        let kafka = system.kafka();
        kafka.append(0, &events("a", 5)).unwrap();
        let (owner, _) = kafka.take_over(Machine::Step, 0).unwrap();
        assert_eq!(kafka.read(0, 0, 3).unwrap().len(), 3);
        kafka.commit_step(&owner, Stepped { decisions: vec![decision("web", at(0), 0)], ..up_to(3) }).unwrap();
    }
    broker.tool(TOPICS, &["--delete", "--topic", &name]).unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    let gone = loop {
        let error = setup(settings).map(|_| ()).unwrap_err().to_string();
        if error.contains("is gone") || Instant::now() > until {
            break error;
        }
        thread::sleep(Duration::from_millis(100));
    };
    assert!(gone.contains(&format!("its topic `{name}` is gone")), "{gone}");

    let partitions = PARTITIONS.to_string();
    let retention = format!("retention.ms={}", settings.events_ms);
    let mut create = vec!["--create", "--topic", &name, "--partitions", &partitions];
    for config in ["message.timestamp.type=LogAppendTime", "max.message.bytes=4194304", &retention] {
        create.extend(["--config", config]);
    }
    broker.tool(TOPICS, &create).unwrap();
    let kafka = system.kafka();
    let refused = |why: &str| {
        let error = kafka.take_over(Machine::Step, 0).unwrap_err();
        assert!(matches!(error, Error::Damaged(_)) && error.to_string().contains(why), "{error}");
    };
    refused("it ends at `0:0`");
    kafka.append(0, &events("b", 9)).unwrap();
    refused("record `0:2` is another one");
}

/// The group's position is forgotten by the broker after some days without a commit: the same stands in the topic.
#[test]
fn a_position_that_the_broker_forgot_is_known() {
    let system = OnABroker::new();
    let broker = Broker::shared().unwrap();
    let epoch = {
        let kafka = system.kafka();
        kafka.append(0, &events("a", 5)).unwrap();
        let (owner, _) = kafka.take_over(Machine::Step, 0).unwrap();
        kafka.commit_step(&owner, up_to(4)).unwrap();
        owner.epoch
    };
    let group = format!("{}-step", system.settings.prefix);
    let class = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
    broker.tool(class, &["--delete", "--group", &group]).unwrap();
    let kafka = system.kafka();
    let (owner, committed) = kafka.take_over(Machine::Step, 0).unwrap();
    assert_eq!(committed, up_to(4).committed);
    assert!(owner.epoch > epoch);
}

/// A transaction that nobody ends holds the group's position back. A take-over waits until the broker ends it, and never
/// takes a position that it is not told for the first one.
#[test]
fn a_position_that_is_held_back_is_waited_for() {
    use rdkafka::{
        Offset, TopicPartitionList,
        consumer::{BaseConsumer, Consumer},
        producer::{BaseProducer, Producer},
    };
    let system = OnABroker::new();
    let kafka = system.kafka();
    kafka.append(0, &events("a", 5)).unwrap();
    let (owner, _) = kafka.take_over(Machine::Step, 0).unwrap();
    kafka.commit_step(&owner, up_to(3)).unwrap();

    let client = |name: &str, value: &str| {
        let mut client = rdkafka::ClientConfig::new();
        client.set("bootstrap.servers", system.settings.brokers.join(",")).set(name, value);
        client
    };
    let soon = Duration::from_secs(20);
    let stuck: BaseProducer =
        client("transactional.id", &system.settings.prefix).set("transaction.timeout.ms", "8000").create().unwrap();
    let group: BaseConsumer = client("group.id", &format!("{}-step", system.settings.prefix)).create().unwrap();
    stuck.init_transactions(soon).unwrap();
    stuck.begin_transaction().unwrap();
    let mut place = TopicPartitionList::new();
    place.add_partition_offset(&format!("{}-events", system.settings.prefix), 0, Offset::Offset(0)).unwrap();
    stuck.send_offsets_to_transaction(&place, &group.group_metadata().unwrap(), soon).unwrap();

    let began = Instant::now();
    let hasty = Kafka::open(Settings { patience: Duration::from_secs(2), ..system.settings.clone() }).unwrap();
    let held = hasty.take_over(Machine::Step, 0);
    assert!(matches!(held, Err(Error::Away(_))), "{held:?}");
    let (owner, committed) = again(|| hasty.take_over(Machine::Step, 0));
    assert_eq!(committed, up_to(3).committed);
    assert!(began.elapsed() > Duration::from_secs(2), "{:?}", began.elapsed());
    hasty.commit_step(&owner, up_to(4)).unwrap();
}

/// Where nothing is left that says how far a partition is, while commands, outputs or a snapshot say that it was begun: to
/// begin it anew would do everything a second time.
#[test]
fn a_partition_whose_positions_are_all_gone_is_not_begun_anew() {
    let system = OnABroker::new();
    let broker = Broker::shared().unwrap();
    let group = format!("{}-step", system.settings.prefix);
    let commands = format!("{}-commands", system.settings.prefix);
    let class = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
    {
        let cluster = join(&system.settings, &system.store);
        cluster.append(0, &events("a", 5)).unwrap();
        let (owner, _) = cluster.take_over(Machine::Step, 0).unwrap();
        cluster.commit_step(&owner, Stepped { commands: vec![command(1, 1, at(0))], ..up_to(4) }).unwrap();
        let at = up_to(4).committed;
        weir::backend::Snapshots::save_snapshot(&cluster, &owner, Snapshot { at, state: vec![7] }).unwrap();
        // One that was never owned, in an installation that was: it begins at its first record, as it must.
        assert_eq!(cluster.take_over(Machine::Step, 1).unwrap().1.next, 0);
    }
    broker.tool(class, &["--delete", "--group", &group]).unwrap();
    broker.tool(TOPICS, &["--delete", "--topic", &commands]).unwrap();
    let partitions = PARTITIONS.to_string();
    let mut create = vec!["--create", "--topic", &commands, "--partitions", &partitions];
    for config in ["cleanup.policy=compact", "message.timestamp.type=LogAppendTime", "max.message.bytes=4194304"] {
        create.extend(["--config", config]);
    }
    again(|| broker.tool(TOPICS, &create).map_err(|error| Error::Failed(error.to_string())));

    let refused = |taken: Result<(weir::backend::Ownership, weir::backend::Committed), Error>, why: &str| {
        let error = taken.unwrap_err();
        assert!(matches!(error, Error::Damaged(_)) && error.to_string().contains(why), "{error}");
    };
    refused(system.kafka().take_over(Machine::Step, 0), "nothing says how far partition 0 is applied");
    // The same store behind a log that knows of nothing at all.
    let other = broker.settings(PARTITIONS);
    setup(&other).unwrap();
    refused(join(&other, &system.store).take_over(Machine::Step, 0), "has a snapshot at `0:4`");
    assert_eq!(system.kafka().take_over(Machine::Step, 1).unwrap().1.next, 0);
}

/// Nobody ran for longer than outputs are kept, or somebody deleted some: there is a gap, and what comes after is there.
#[test]
fn outputs_that_are_gone_hold_nobody_up() {
    let system = OnABroker::new();
    let broker = Broker::shared().unwrap();
    let soon = Duration::from_secs(20);
    {
        let cluster = join(&system.settings, &system.store);
        cluster.append(0, &events("a", 9)).unwrap();
        let (owner, _) = cluster.take_over(Machine::Step, 0).unwrap();
        cluster.commit_step(&owner, Stepped { decisions: vec![decision("web", at(0), 0)], ..up_to(1) }).unwrap();
        assert_eq!(weir::backend::History::decisions_between(&cluster, 0, 0, 9).unwrap().len(), 1);
        system.store.refuse(u32::MAX);
        cluster.commit_step(&owner, Stepped { decisions: vec![decision("web", at(1), 0)], ..up_to(2) }).unwrap();
    }
    system.store.refuse(0);
    let file = tempfile::NamedTempFile::new().unwrap();
    let outputs = format!("{}-outputs", system.settings.prefix);
    let all = format!(r#"{{"version":1,"partitions":[{{"topic":"{outputs}","partition":0,"offset":-1}}]}}"#);
    std::fs::write(file.path(), all).unwrap();
    let class = "org.apache.kafka.tools.DeleteRecordsCommand";
    broker.tool(class, &["--offset-json-file", file.path().to_str().unwrap()]).unwrap();

    let cluster = join(&system.settings, &system.store);
    let (owner, _) = cluster.take_over(Machine::Step, 0).unwrap();
    cluster.commit_step(&owner, Stepped { decisions: vec![decision("web", at(2), 0)], ..up_to(3) }).unwrap();
    assert!(cluster.wait_stepped(0, 2, soon), "{:?}", cluster.trouble());
    let kept = weir::backend::History::decisions_between(&cluster, 0, 0, 9).unwrap();
    assert_eq!(kept.iter().map(|decision| decision.position.offset).collect::<Vec<_>>(), [0, 2]);
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
