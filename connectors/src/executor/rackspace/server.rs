//! A server on Nova's wire, in neutral words.

use super::{
    super::{Seen, SeenState},
    failure::tidy,
    page::Listed,
};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};
use weir_engine::id::{GroupUid, Slot};

/// Metadata key of the installation's mark. Metadata, since Rackspace has no tags.
pub(super) const INSTALL: &str = "weir_install";
/// Metadata key of the group's uid.
pub(super) const GROUP: &str = "weir_group";
/// Metadata key of the slot.
pub(super) const SLOT: &str = "weir_slot";

/// Nova's states. One that is not here is [`SeenState::Other`]: left alone.
const STATES: &[(&str, SeenState)] = &[
    ("ACTIVE", SeenState::Active),
    ("BUILD", SeenState::Building),
    ("DELETED", SeenState::Deleting),
    ("ERROR", SeenState::Error),
    ("HARD_REBOOT", SeenState::Other),
    ("MIGRATING", SeenState::Other),
    ("PASSWORD", SeenState::Other),
    ("PAUSED", SeenState::Other),
    // Somebody makes it anew by hand: not ours to time or to delete.
    ("REBUILD", SeenState::Other),
    ("REBOOT", SeenState::Other),
    ("RESCUE", SeenState::Other),
    ("RESIZE", SeenState::Other),
    ("REVERT_RESIZE", SeenState::Other),
    ("SHELVED", SeenState::Other),
    ("SHELVED_OFFLOADED", SeenState::Other),
    ("SHUTOFF", SeenState::Other),
    ("SOFT_DELETED", SeenState::Deleting),
    ("SUSPENDED", SeenState::Other),
    ("UNKNOWN", SeenState::Other),
    ("VERIFY_RESIZE", SeenState::Other),
];

/// A server in a listing with details. What is not optional here must be there, or the listing is none: without
/// metadata, a full cloud would look like an empty one.
#[derive(Deserialize)]
pub(super) struct Server {
    id: String,
    name: String,
    pub(super) status: String,
    created: String,
    pub(super) metadata: BTreeMap<String, String>,
    #[serde(default)]
    addresses: BTreeMap<String, Vec<Address>>,
    fault: Option<Fault>,
    #[serde(rename = "OS-EXT-STS:task_state")]
    task: Option<String>,
}

#[derive(Deserialize)]
struct Address {
    addr: String,
}

#[derive(Deserialize)]
struct Fault {
    message: String,
}

impl Listed for Server {
    const PLURAL: &'static str = "servers";

    fn id(&self) -> &str {
        &self.id
    }
}

impl Server {
    /// The group of `installation` that it belongs to.
    pub(super) fn group(&self, installation: &str) -> Option<GroupUid> {
        let ours = self.metadata.get(INSTALL).is_some_and(|install| install == installation);
        let mark = self.metadata.get(GROUP).filter(|_| ours)?;
        // Read and printed again: `0xA1` and `a1` are not two ways to write one mark.
        mark.parse::<GroupUid>().ok().filter(|uid| uid.to_string() == *mark)
    }

    /// In neutral words, or what is wrong with it.
    pub(super) fn seen(self) -> Result<Seen, String> {
        let state = state(&self.status, self.task.as_deref());
        let created = chrono::DateTime::parse_from_rfc3339(&self.created);
        let created_ms = created.map_err(|_| format!("the creation of server `{}` is no time", self.id))?;
        let slot =
            self.metadata.get(SLOT).and_then(|mark| mark.parse::<Slot>().ok().filter(|s| s.to_string() == *mark));
        Ok(Seen {
            slot,
            state,
            addresses: in_order(&self.addresses),
            created_ms: created_ms.timestamp_millis(),
            fault: self.fault.and_then(|fault| tidy(&fault.message)),
            id: self.id,
            name: self.name,
        })
    }
}

fn state(status: &str, task: Option<&str>) -> SeenState {
    // Nova shows the state a server has until it is gone, and the deletion as a task.
    if matches!(task, Some("deleting" | "soft-deleting")) {
        return SeenState::Deleting;
    }
    STATES.iter().find(|(name, _)| *name == status).map_or(SeenState::Other, |(_, state)| *state)
}

/// IPv4 first, as Rackspace's balancers want it; inner networks before the public one, since traffic there is free and
/// unseen; then by network's name. What is no address is left out.
fn in_order(networks: &BTreeMap<String, Vec<Address>>) -> Vec<String> {
    let every = networks.iter().flat_map(|(network, addresses)| addresses.iter().map(move |one| (network, one)));
    let ranked: BTreeSet<_> = every
        .filter_map(|(network, one)| {
            one.addr.parse::<IpAddr>().ok().map(|ip| (ip.is_ipv6(), network == "public", network, ip))
        })
        .collect();
    ranked.into_iter().map(|(.., ip)| ip.to_string()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
    use super::*;
    use serde_json::{Value, json};

    fn server(change: impl FnOnce(&mut Value)) -> Server {
        let mut server = json!({
            "id": "6f1c", "name": "web-3-1", "status": "ACTIVE", "created": "2026-03-01T09:12:04Z",
            "OS-EXT-STS:task_state": null,
            "metadata": { "weir_install": "prod", "weir_group": "00000000000000a1", "weir_slot": "3.1" },
            "addresses": {
                "public": [{ "addr": "2001:db8::7", "version": 6 }, { "addr": "192.0.2.7", "version": 4 }],
                "private": [{ "addr": "10.1.2.3", "version": 4 }],
                "blue": [{ "addr": "172.16.0.9", "version": 4 }, { "addr": "fd00::9", "version": 6 }, { "addr": "?" }],
            },
        });
        change(&mut server);
        serde_json::from_value(server).unwrap()
    }

    #[test]
    fn the_table_of_states_names_each_once_and_the_unknown_is_left_alone() {
        let names: BTreeSet<_> = STATES.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), STATES.len());
        assert_eq!(state("ACTIVE", None), SeenState::Active);
        assert_eq!(state("ACTIVE", Some("deleting")), SeenState::Deleting);
        assert_eq!(state("BUILD", Some("spawning")), SeenState::Building);
        assert_eq!(state("active", None), SeenState::Other);
        assert_eq!(state("TELEPORTING", None), SeenState::Other);
    }

    #[test]
    fn the_address_for_a_balancer_comes_first() {
        let seen = server(|_| {}).seen().unwrap();
        assert_eq!(seen.addresses, ["172.16.0.9", "10.1.2.3", "192.0.2.7", "fd00::9", "2001:db8::7"]);
        assert_eq!(seen.slot, Some(Slot { serial: 3, incarnation: 1 }));
        assert_eq!(seen.created_ms, 1_772_356_324_000);
    }

    #[test]
    fn only_an_exact_mark_is_ours() {
        assert_eq!(server(|_| {}).group("prod"), Some(GroupUid(0xa1)));
        assert_eq!(server(|_| {}).group("test"), None);
        for mark in ["a1", "00000000000000A1", "+0000000000000a1", "00000000000000a1 ", ""] {
            assert_eq!(server(|s| s["metadata"]["weir_group"] = json!(mark)).group("prod"), None, "{mark:?}");
        }
        for mark in ["3", "03.1", "3.1.1", "+3.1", ""] {
            assert_eq!(server(|s| s["metadata"]["weir_slot"] = json!(mark)).seen().unwrap().slot, None, "{mark:?}");
        }
    }

    #[test]
    fn a_fault_is_told_in_the_clouds_words() {
        let fault = json!({ "code": 500, "created": "2026-03-01T09:12:09Z", "message": "No valid host was found. " });
        let seen = server(|s| (s["status"], s["fault"]) = (json!("ERROR"), fault)).seen().unwrap();
        assert_eq!((seen.state, seen.fault.as_deref()), (SeenState::Error, Some("No valid host was found.")));
    }
}
