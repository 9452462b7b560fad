//! What must be true of a cloud and a log when a storm is over, whatever it went through.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use weir_engine::{
    id::{GroupUid, Slot},
    view::GroupRow,
};

/// A server as its cloud has it.
#[derive(Debug)]
pub struct Standing {
    /// Its id.
    pub id: String,
    /// Whose it says it is.
    pub mark: Option<(GroupUid, Option<Slot>)>,
}

/// Whether a value has all that another one has.
#[must_use]
pub fn holds(there: &Value, wanted: &Value) -> bool {
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

/// The cloud has as many servers as the groups want, each with a slot of its own, as the ledger has it.
///
/// # Panics
/// Where it has not.
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
