//! What goes wrong around a cluster, and what its operator is told and can do: over a real Kafka and a real Cassandra, with the
//! program as a person runs it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

#[path = "operating/clocks.rs"]
mod clocks;
#[path = "operating/disk.rs"]
mod disk;
#[path = "operating/moving.rs"]
mod moving;
#[path = "operating/place.rs"]
mod place;
#[path = "program/server.rs"]
mod server;
#[path = "operating/store.rs"]
mod store;
#[path = "operating/upgrading.rs"]
mod upgrading;

use place::{Place, done, found};
use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer},
};
use serde_json::Value;
use server::{Server, run};
use std::{
    net::TcpListener,
    thread,
    time::{Duration, Instant},
};
use weir_tests::kafka::Broker;

/// Somebody else's producer, in a transaction or not, puts something into a partition of the events.
fn intrude(place: &Place, partition: i32, text: &str, transactional: bool) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &place.broker.address);
    if transactional {
        config.set("transactional.id", "an-intruder");
    }
    let producer: BaseProducer = config.create().unwrap();
    let patience = Duration::from_secs(20);
    if transactional {
        producer.init_transactions(patience).unwrap();
        producer.begin_transaction().unwrap();
    }
    let topic = place.topic("events");
    producer.send(BaseRecord::<str, str>::to(&topic).partition(partition).payload(text)).unwrap();
    producer.flush(patience).unwrap();
    if transactional {
        producer.commit_transaction(patience).unwrap();
    }
}

/// A record that nobody of us wrote stops its partition, by name; the other goes on. Skipped, it is passed over by the owner, by
/// a process that starts anew, and by a replay of an export. A stranger's transaction leaves a second thing to pass over.
#[test]
fn a_record_of_a_stranger_halts_its_partition_until_it_is_skipped() {
    let place = Place::new(2);
    let folder = place.process("one");
    done(run(&folder, &["setup"]));
    let server = Server::start(&folder, &[]);
    place.wait_ready(&server);
    for tenant in &place.tenants {
        done(server.ask(&["deploy", "../app.weir", "--tenant", tenant]));
    }
    let refused = found(server.ask(&["skip", "0@0", "--reason", "no reason"]));
    assert!(refused.contains("is applied already"), "{refused}");

    intrude(&place, 0, "{\"from\": \"the shop\"}", true);
    let halted = place.wait_not_ready(&server, "has halted");
    assert!(halted.contains("partition 0") && halted.contains("it is no event that this build knows"), "{halted}");
    let at: u64 = halted.split("record `0:").nth(1).unwrap().split('`').next().unwrap().parse().unwrap();
    let metrics = place.get(&format!("{}/metrics", server.url())).1;
    assert!(metrics.contains("weir_partition_halted{partition=\"0\"} 1"), "{metrics}");
    assert!(metrics.contains("weir_partition_halted{partition=\"1\"} 0"), "{metrics}");
    let forced = done(server.ask(&["force", "app", "surge", "--tenant", &place.tenants[1]]));
    assert!(forced.contains("app: 2 → 5"), "the other partition goes on: {forced}");

    let there = format!("0@{at}");
    let refused = found(server.ask(&["skip", &format!("0@{}", at + 1), "--reason", "the shop's"]));
    assert!(refused.contains(&format!("partition 0 stands at `0:{at}`")), "{refused}");
    let shown = done(server.ask(&["skip", &there, "--reason", "the shop's", "--dry-run", "--json"]));
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert!(shown["begins"].as_str().unwrap().contains("the shop") && shown["dry_run"] == true, "{shown}");
    place.wait_not_ready(&server, "has halted");
    let said = done(server.ask(&["skip", &there, "--reason", "the shop's"]));
    assert!(said.contains("is passed over from now on"), "{said}");
    // The mark of the transaction's end is the next thing that is no record.
    let hole = format!("0:{}`", at + 1);
    let halted = place.wait_not_ready(&server, &hole);
    assert!(halted.contains("something other than Weir wrote into the log"), "{halted}");
    done(server.ask(&["skip", &format!("0:{}", at + 1), "--reason", "the mark of the shop's transaction"]));
    place.wait_ready(&server);
    let forced = done(server.ask(&["force", "app", "surge", "--tenant", &place.tenants[0]]));
    assert!(forced.contains("app: 2 → 5"), "{forced}");
    place.verify(&server, &place.tenants[0]);

    // Killed, so that no snapshot is kept: the next one replays all of it.
    assert_eq!(server.end("-KILL"), None);
    let again = Server::start(&folder, &[]);
    place.wait_ready(&again);
    place.verify(&again, &place.tenants[0]);
    let refused = found(again.ask(&["skip", &there, "--reason", "the shop's"]));
    assert!(refused.contains("is applied already"), "{refused}");
    assert_eq!(again.end("-TERM"), Some(0));
}

/// Kafka goes away for longer than any client's patience: a door says so each time and when to come again, and no fact is
/// acknowledged that is not there afterwards. Then `events` is deleted and made again under the running process: nothing is
/// acknowledged, and nothing of it is decided on.
#[test]
fn a_door_says_what_is_away_and_when_to_come_again() {
    let place = Place::on(Broker::new().unwrap().into(), 1);
    let folder = place.process("one");
    done(run(&folder, &["setup"]));
    let server = Server::start(&folder, &[]);
    place.wait_ready(&server);
    let tenant = &place.tenants[0];
    done(server.ask(&["deploy", "../app.weir", "--tenant", tenant]));
    let mut taken = 0;
    let mut offer = |place: &Place| {
        let (status, body, retry) = place.alarm(&server, tenant);
        taken += u64::from(status == 202);
        (status, body, retry)
    };
    assert_eq!(offer(&place).0, 202);
    place.broker.kill().unwrap();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(14) {
        let (status, body, retry) = offer(&place);
        assert!(status == 503 && retry.is_some(), "after {:?}: {status} {retry:?} {body}", began.elapsed());
        let (status, body) = place.get(&format!("{}/v1/groups", server.url()));
        assert!(status == 200 || status == 401 || status == 503, "{status} {body}");
        thread::sleep(Duration::from_secs(1));
    }
    place.broker.start().unwrap();
    let began = Instant::now();
    while offer(&place).0 != 202 {
        assert!(began.elapsed() < Duration::from_secs(60), "{}", server.said());
        thread::sleep(Duration::from_millis(200));
    }
    place.wait_ready(&server);
    let exported = done(server.ask(&["log", "export", "--tenant", tenant]));
    let alarms = exported.lines().filter(|line| line.contains("\"weir.alarm\"")).count() as u64;
    assert!(alarms >= taken && taken >= 2, "{alarms} alarms in the log, {taken} taken");

    place.make_again("events", 1);
    // A client may need a moment to hear of it; it answers nothing good meanwhile.
    let began = Instant::now();
    let refused = loop {
        let (status, body, _) = place.alarm(&server, tenant);
        assert_ne!(status, 202, "a fact in another log was acknowledged: {body}");
        if body.contains("deleted and made again") || began.elapsed() > Duration::from_secs(40) {
            break body;
        }
        thread::sleep(Duration::from_millis(200));
    };
    assert!(refused.contains("deleted and made again"), "{refused}");
    let why = place.wait_not_ready(&server, "is not the log that was applied");
    assert!(why.contains("bring that one back"), "{why}");
}

/// What is away or not let in at a start is named, with the file that is to be corrected, and the exit code says that it did
/// not start.
#[test]
fn a_start_names_what_is_away_and_whose_credentials_are_wrong() {
    let place = Place::new(1);
    let folder = place.process("one");
    done(run(&folder, &["setup"]));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let start = ["run", "--listen", "127.0.0.1:0"];
    let with = |name: &str, change: &dyn Fn(String) -> String| {
        let folder = place.process(name);
        let file = folder.join("weir.toml");
        std::fs::write(&file, change(std::fs::read_to_string(&file).unwrap())).unwrap();
        found(run(&folder, &start))
    };
    let node = &place.node.address;
    let said = with("no-log", &|text| text.replace(place.broker.address.as_str(), &closed));
    assert!(said.contains("ask Kafka") && said.contains(&closed), "{said}");
    let said = with("no-store", &|text| text.replace(node.as_str(), &closed));
    assert!(said.contains("Cassandra") && said.contains(&closed) && said.contains("correct `nodes`"), "{said}");
    place.write("wrong.toml", "username = \"cassandra\"\npassword = \"canary\"\n");
    let said = with("not-let-in", &|text| text.replace("../cassandra.toml", "../wrong.toml"));
    assert!(said.contains("Cassandra") && said.contains("refuses the credentials"), "{said}");
    assert!(!said.contains("canary"), "{said}");
    // Kafka's second door asks for a name.
    place.write("kafka.toml", "username = \"weir\"\npassword = \"canary\"\n");
    let sasl = |text: String| {
        text.replace(&place.broker.address, &place.broker.sasl).replace(
            "kind = \"kafka\"",
            "kind = \"kafka\"\ncredentials_file = \"../kafka.toml\"\nmechanism = \"PLAIN\"",
        )
    };
    let said = with("not-known", &sasl);
    assert!(said.contains("Kafka") && said.contains("refuses the credentials of `weir`"), "{said}");
    assert!(said.contains("credentials_file") && !said.contains("canary"), "{said}");
    place.write("kafka.toml", "username = \"weir\"\npassword = \"weir-secret\"\n");
    let folder = place.process("known");
    let file = folder.join("weir.toml");
    std::fs::write(&file, sasl(std::fs::read_to_string(&file).unwrap())).unwrap();
    let known = Server::start(&folder, &[]);
    place.wait_ready(&known);
    assert_eq!(known.end("-TERM"), Some(0));
}

/// The lines of a doctor, by what they are about.
fn examined(ended: &server::Ended) -> Vec<(String, bool, String)> {
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        (line["about"].as_str().unwrap().to_owned(), line["ok"] == true, line["text"].as_str().unwrap().to_owned())
    };
    ended.out.lines().map(line).collect()
}

/// Nothing is wrong with a new installation; then one thing after the other is, and each is named with what to do.
#[test]
fn a_doctor_names_each_thing_that_will_not_work() {
    let place = Place::new(1);
    let folder = place.process("one");
    let doctor = |folder: &std::path::Path| run(folder, &["doctor", "--json"]);
    let before = doctor(&folder);
    assert!(before.code == 1 && before.out.contains("run `weir setup`"), "{before:?}");
    done(run(&folder, &["setup"]));
    let well = doctor(&folder);
    assert_eq!(well.code, 0, "{well:?}");
    let looked: Vec<String> = examined(&well).into_iter().map(|(about, ..)| about).collect();
    let all = [
        "configuration",
        "secrets",
        "data folder",
        "disk",
        "kafka",
        "log",
        "topics",
        "clock",
        "cassandra",
        "schema",
        "replication",
        "commit log",
        "clock",
        "snapshots",
    ];
    assert_eq!(looked, all);
    let shown = done(run(&folder, &["doctor"]));
    assert!(shown.lines().all(|line| line.starts_with("ok ")) && shown.contains("ms apart at most"), "{shown}");

    let broken = |name: &str, change: &dyn Fn(String) -> String| {
        let folder = place.process(name);
        let file = folder.join("weir.toml");
        std::fs::write(&file, change(std::fs::read_to_string(&file).unwrap())).unwrap();
        let ended = doctor(&folder);
        assert_eq!(ended.code, 1, "{ended:?}");
        let wrong = examined(&ended).into_iter().filter(|(_, ok, _)| !ok);
        wrong.map(|(about, _, text)| format!("{about}: {text}")).collect::<Vec<String>>()
    };
    let copies = broken("copies", &|text| text.replace("replication = 1", "replication = 3"));
    assert!(copies.iter().any(|text| text.starts_with("topics: ") && text.contains("has 1 copies")), "{copies:#?}");
    assert!(copies.iter().any(|text| text.starts_with("replication: ") && text.contains("otherwise")), "{copies:#?}");
    let tenant = &place.tenants[0];
    let token = broken("token", &|text| text.replace(&format!("\"../{tenant}\""), "\"../nobody\""));
    assert!(matches!(&token[..], [one] if one.starts_with("secrets: ") && one.contains("nobody")), "{token:#?}");
    let count = broken("partitions", &|text| text.replace("partitions = 1", "partitions = 2"));
    assert!(count[0].contains("has 1 partitions and 2 are asked for"), "{count:#?}");
    let key = broken("key", &|text| text.replace("look =", "looks ="));
    assert!(matches!(&key[..], [one] if one.starts_with("configuration: ") && one.contains("looks")), "{key:#?}");
    let topic = place.topic("events");
    let set = [
        "--alter",
        "--entity-type",
        "topics",
        "--entity-name",
        &topic,
        "--add-config",
        "retention.ms=1000,message.timestamp.type=CreateTime",
    ];
    place.broker.tool("kafka.admin.ConfigCommand", &set).unwrap();
    let topics = broken("topics", &|text| text);
    for setting in ["retention.ms", "message.timestamp.type"] {
        assert!(topics.iter().any(|text| text.contains(setting) && text.contains("Kafka's tools")), "{topics:#?}");
    }

    // The embedded log needs less, and is left alone where a process has it.
    let alone = tempfile::tempdir().unwrap();
    assert!(done(run(alone.path(), &["doctor"])).contains("`weir run` makes it"));
    let server = Server::start(alone.path(), &[]);
    assert!(done(server.ask(&["doctor"])).contains("is in use by process"));
    assert_eq!(server.end("-TERM"), Some(0));
}
