//! What must be true when the storm is over, each with a figure.

use super::storm::Acknowledged;
use std::collections::BTreeMap;
use weir::{
    api::export::Line,
    backend::{
        History,
        embedded::{Embedded, Settings},
    },
};
pub use weir_tests::audit::{Standing, the_cloud_is_as_wanted};
use weir_tests::{audit::holds, process::Installation};

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
