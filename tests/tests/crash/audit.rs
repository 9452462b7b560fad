//! What must be true when the storm is over, each with a figure.

use super::storm::Acknowledged;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use weir::{
    api::export::Line,
    backend::{
        History,
        embedded::{Embedded, Settings},
    },
};
use weir_engine::{
    id::{GroupUid, Slot},
    view::GroupRow,
};
use weir_tests::process::Installation;

/// A server as its cloud has it.
#[derive(Debug)]
pub struct Standing {
    pub id: String,
    /// Whose it says it is.
    pub mark: Option<(GroupUid, Option<Slot>)>,
}

/// Every fact that was acknowledged is in the log, at its place, as it was said. Answers the log's name.
pub fn nothing_acknowledged_is_lost(export: &str, acknowledged: &[Acknowledged]) -> String {
    let (mut records, mut log_id, mut decisions) = (BTreeMap::new(), String::new(), 0);
    for line in export.lines() {
        match serde_json::from_str(line).unwrap() {
            Line::Header(header) => log_id = header.log_id,
            Line::State(_) => {}
            Line::Record(recorded) => {
                drop(records.insert(recorded.offset, serde_json::to_value(recorded.event).unwrap()))
            }
            Line::Decision(_) => decisions += 1,
            Line::Command(_) | Line::Digest(_) => panic!("no export has this: {line}"),
        }
    }
    assert!(!acknowledged.is_empty() && decisions > 0);
    for fact in acknowledged {
        let record = records.get(&fact.position.offset);
        let record = record.unwrap_or_else(|| panic!("{fact:?} is lost: nothing is at its place"));
        let kept = fact.key.as_ref().is_none_or(|key| record["id"] == **key) && holds(&record["data"], &fact.data);
        assert!(kept, "{fact:?} is lost: at its place is {record}");
    }
    println!(
        "figure: {} facts acknowledged, all of them at their places among {} records; {decisions} decisions",
        acknowledged.len(),
        records.len()
    );
    log_id
}

/// Whether a value has all that another one has.
fn holds(there: &Value, wanted: &Value) -> bool {
    match (there, wanted) {
        (Value::Object(there), Value::Object(wanted)) => {
            wanted.iter().all(|(name, wanted)| there.get(name).is_some_and(|there| holds(there, wanted)))
        }
        (Value::Array(there), Value::Array(wanted)) => {
            there.len() == wanted.len() && there.iter().zip(wanted).all(|(there, wanted)| holds(there, wanted))
        }
        _ => there == wanted,
    }
}

/// The whole log, run again, decides what was decided.
pub fn a_replay_is_equal(weir: &Installation, export: &str) {
    std::fs::write(weir.folder().join("storm.ndjson"), export).unwrap();
    let verified = weir.run(&["replay", "storm.ndjson", "--verify"]).unwrap();
    let said = String::from_utf8_lossy(&verified.stdout).into_owned();
    let end = said.lines().last().unwrap_or_default();
    assert!(verified.status.success(), "{end}\n{}", String::from_utf8_lossy(&verified.stderr));
    println!("figure: replayed: {end}");
}

/// No command of a group's life has a generation that another one has. The process has ended.
pub fn generations_rise(weir: &Installation) {
    let store = Embedded::open(&weir.data(), Settings::default()).unwrap();
    let (mut newest, mut after, mut commands) = (BTreeMap::new(), 0, 0);
    loop {
        let page = store.commands_since(0, after, 1_000).unwrap();
        let Some((last, _)) = page.last() else { break };
        after = *last;
        for (_, command) in page {
            commands += 1;
            let before = newest.insert(command.uid, command.generation);
            assert!(
                before.is_none_or(|before| before < command.generation),
                "after generation {before:?}: {command:?}"
            );
        }
    }
    assert!(commands > newest.len(), "only {commands} commands");
    println!("figure: {commands} commands of {} groups, no generation twice", newest.len());
}

/// The cloud has as many servers as the groups want, each with a slot of its own, as the ledger has it.
pub fn the_cloud_is_as_wanted(groups: &[GroupRow], ledger: &BTreeMap<String, (GroupUid, Slot)>, cloud: &[Standing]) {
    let mut slots = BTreeSet::new();
    let mut counts: BTreeMap<GroupUid, u32> = BTreeMap::new();
    for server in cloud {
        let Some((uid, Some(slot))) = server.mark else { panic!("{server:?} has no slot: it was left over") };
        assert!(slots.insert((uid, slot)), "{server:?} is the second one of its slot");
        assert_eq!(
            ledger.get(&server.id),
            Some(&(uid, slot)),
            "{server:?} stands otherwise in the ledger: {ledger:#?}"
        );
        *counts.entry(uid).or_default() += 1;
    }
    for group in groups {
        assert_eq!(counts.remove(&group.uid).unwrap_or_default(), group.target, "{group:#?}\n{cloud:#?}");
    }
    assert!(counts.is_empty(), "servers of groups that nobody knows: {counts:?}");
    let targets: Vec<u32> = groups.iter().map(|group| group.target).collect();
    println!("figure: {} servers in the cloud, targets {targets:?}; each has its slot, none is left over", cloud.len());
}
