//! Topics that are not as they were: other rules, made again, emptied, or with a position gone.

use super::{OnABroker, again, join};
use std::{
    thread,
    time::{Duration, Instant},
};
use weir::backend::{
    Error, Log, Machine, Machines, Snapshot, Stepped,
    kafka::{Kafka, Settings, setup},
};
use weir_tests::{
    conformance::{
        PARTITIONS,
        machines::{at, up_to},
    },
    kafka::Broker,
    sample::{command, decision, events},
};

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

/// A transaction that nobody ends holds the group's position back. The same stands where the commands are.
#[test]
fn a_position_that_is_held_back_holds_nobody_up() {
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
        client("transactional.id", &system.settings.prefix).set("transaction.timeout.ms", "60000").create().unwrap();
    let group: BaseConsumer = client("group.id", &format!("{}-step", system.settings.prefix)).create().unwrap();
    stuck.init_transactions(soon).unwrap();
    stuck.begin_transaction().unwrap();
    let mut place = TopicPartitionList::new();
    place.add_partition_offset(&format!("{}-events", system.settings.prefix), 0, Offset::Offset(0)).unwrap();
    stuck.send_offsets_to_transaction(&place, &group.group_metadata().unwrap(), soon).unwrap();

    let hasty = Kafka::open(Settings { patience: Duration::from_secs(2), ..system.settings.clone() }).unwrap();
    let (owner, committed) = hasty.take_over(Machine::Step, 0).unwrap();
    assert_eq!(committed, up_to(3).committed);
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
