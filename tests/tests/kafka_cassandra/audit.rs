//! What must be true when the storm is over, each with a figure.

use super::{
    site::{PARTITIONS, Process, Site},
    storm::Acknowledged,
};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use weir::{api::export::Line, executor::simulated};
use weir_engine::{
    command::Command,
    id::{GroupUid, Slot},
    view::GroupRow,
};
use weir_tests::audit::{Standing, holds, the_cloud_is_as_wanted};

/// A tenant's log, as it is exported, once all of it is decided.
pub fn export(process: &Process, tenant: &str) -> String {
    let exported = process.run(&["log", "export", "--tenant", tenant]);
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    String::from_utf8(exported.stdout).unwrap()
}

/// Every fact that was acknowledged is in the log as it was said, and an order that stands there twice, since its sender tried
/// again by another door, was obeyed once. (An alarm that is said again is heard again, and says nothing new.) Answers how many
/// facts, and how many stand twice.
pub fn nothing_is_lost_or_done_twice(export: &str, acknowledged: &[&Acknowledged]) -> (usize, usize) {
    let (mut records, mut places, mut orders) = (BTreeMap::new(), BTreeMap::<String, Vec<u64>>::new(), BTreeSet::new());
    for line in export.lines() {
        match serde_json::from_str(line).unwrap() {
            Line::Record(recorded) => {
                let event = serde_json::to_value(recorded.event).unwrap();
                places.entry(event["id"].as_str().unwrap().to_owned()).or_default().push(recorded.offset);
                records.insert(recorded.offset, event);
            }
            Line::Decision(decision) => {
                if decision.cause.starts_with("force ") {
                    orders.insert(decision.position.offset);
                }
            }
            Line::Header(_) | Line::State(_) => {}
            Line::Command(_) | Line::Digest(_) => panic!("no export has this: {line}"),
        }
    }
    assert!(!acknowledged.is_empty() && !orders.is_empty());
    for fact in acknowledged {
        let at = match &fact.key {
            Ok(key) => places.get(key).cloned().unwrap_or_default(),
            Err(position) => vec![position.offset],
        };
        let there = at.iter().filter_map(|offset| records.get(offset));
        let kept = there.clone().any(|event| holds(&event["data"], &fact.data));
        assert!(kept, "{fact:?} is lost; at its place: {:?}", there.collect::<Vec<_>>());
    }
    let twice: Vec<(&String, &Vec<u64>)> = places.iter().filter(|(_, places)| places.len() > 1).collect();
    for (id, places) in &twice {
        let heard = places.iter().filter(|offset| orders.contains(*offset)).count();
        assert!(heard <= 1, "`{id}` stands at {places:?}, and was obeyed at {heard} of these");
    }
    (acknowledged.len(), twice.len())
}

/// The whole log, run again, decides what was decided. Answers what the replay said last.
pub fn a_replay_is_equal(process: &Process, folder: &std::path::Path, tenant: &str, export: &str) -> String {
    let file = folder.join(format!("{tenant}.ndjson"));
    std::fs::write(&file, export).unwrap();
    let verified = process.run(&["replay", file.to_str().unwrap(), "--verify"]);
    let said = String::from_utf8_lossy(&verified.stdout).into_owned();
    let end = said.lines().last().unwrap_or_default().to_owned();
    assert!(verified.status.success(), "{end}\n{}", String::from_utf8_lossy(&verified.stderr));
    assert!(end.contains("equal to the record"), "{end}");
    end
}

/// The commands that were committed, as the log's outputs have them: their marks leave no gap, and no generation of a group's
/// life is at or below the one before it. What stands there twice says the same. Answers all of them, and how many stand twice:
/// none, unless a broker fell and took a part of a commit back.
pub fn generations_rise(site: &Site) -> (Vec<Command>, usize) {
    let (mut all, mut newest, mut twice) = (Vec::new(), BTreeMap::new(), 0);
    for partition in 0..PARTITIONS {
        let mut given = BTreeMap::new();
        for (mark, command) in outputs(site, partition) {
            twice += usize::from(given.contains_key(&mark));
            assert_eq!(given.entry(mark).or_insert_with(|| command.clone()), &command, "two commands have a mark");
        }
        for (index, (mark, command)) in given.into_iter().enumerate() {
            assert_eq!(mark, index as u64 + 1, "{command:?}");
            let before = newest.insert(command.uid, command.generation);
            assert!(
                before.is_none_or(|before| before < command.generation),
                "after generation {before:?}: {command:?}"
            );
            all.push(command);
        }
    }
    (all, twice)
}

/// The commands among a partition's outputs, with their marks, in the order of commit.
fn outputs(site: &Site, partition: u32) -> Vec<(u64, Command)> {
    let consumer: BaseConsumer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", &site.broker.address)
        .set("group.id", "audit")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .create()
        .unwrap();
    let mut place = TopicPartitionList::new();
    let topic = format!("{}-outputs", site.settings.prefix);
    place.add_partition_offset(&topic, i32::try_from(partition).unwrap(), Offset::Beginning).unwrap();
    consumer.assign(&place).unwrap();
    let (mut commands, began) = (Vec::new(), Instant::now());
    loop {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                // One without a value says nothing.
                let Some(value) = message.payload() else { continue };
                let mut output: Value = serde_json::from_slice(value).unwrap();
                if let Some(given) = output.get_mut("command") {
                    let mark = given["mark"].as_u64().unwrap();
                    commands.push((mark, serde_json::from_value(given["command"].take()).unwrap()));
                }
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return commands,
            Some(Err(error)) => eprintln!("reading the outputs: {error}"),
            None => {}
        }
        assert!(began.elapsed() < super::site::PATIENCE, "the outputs cannot be read");
    }
}

/// A tenant's cloud has as many servers as the groups want, each with a slot of its own, as the ledger has it. Answers how
/// many.
pub fn a_cloud_is_as_wanted(
    site: &Site,
    tenant: &str,
    groups: &[GroupRow],
    ledger: &BTreeMap<String, (GroupUid, Slot)>,
) -> usize {
    let servers = simulated::read_file(&site.cloud_of(tenant)).unwrap();
    let standing: Vec<Standing> = servers
        .into_iter()
        .map(|server| Standing { id: server.id, mark: server.mark.map(|mark| (mark.uid, mark.slot)) })
        .collect();
    the_cloud_is_as_wanted(groups, ledger, &standing);
    standing.len()
}
