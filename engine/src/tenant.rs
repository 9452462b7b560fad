//! A tenant: who owns groups, and all that its groups share. Everything of a tenant lives in one partition.

use crate::{
    directory::Directory,
    event::Capability,
    planted::{self, Bug},
    standing::{KillSwitch, Standing},
    view::TenantRow,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Forces remembered a tenant, so that one sent again has no second effect.
pub const FORCES_MAX: usize = 4_096;
/// How long a force is remembered, milliseconds.
pub const FORCES_KEPT_MS: i64 = 600_000;

/// One tenant.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Tenant {
    /// Its name.
    pub name: String,
    /// Policy files by name.
    pub files: BTreeMap<String, File>,
    /// Groups by name, over all files: their places in the partition.
    pub groups: BTreeMap<String, GroupId>,
    /// Most servers over all groups.
    pub quota: Option<u32>,
    /// Kill switches.
    pub switches: Vec<KillSwitch>,
    /// Forces of the last ten minutes by their ids: when, and at which offset.
    pub forces: BTreeMap<String, (i64, u64)>,
    /// Facts that fit nothing or came too late, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// The newest instant at which our own intake was unwell (rule 19).
    pub intake_bad_ms: i64,
    /// Servers wanted over all groups.
    pub wanted: u32,
    /// Whom a server's name belongs to; made from the members, never stored.
    #[serde(skip)]
    pub servers: Directory,
    /// Groups that hear what is about nobody in particular: those whose files declare anything `shared`.
    #[serde(skip)]
    pub listeners: Vec<GroupId>,
}

/// A group's place in its partition, in the order of creation; never used again.
pub type GroupId = u32;

/// A policy file in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Counts deploys that changed it, from 1.
    pub version: u32,
    /// Its text.
    pub text: String,
    /// The setup files' texts.
    pub setup: BTreeMap<String, String>,
    /// BLAKE3 over text and setup files, hexadecimal.
    pub hash: String,
    /// Capabilities by (group, rule) as they were first given.
    pub capabilities: Vec<Capability>,
}

impl File {
    /// BLAKE3 over text and setup files.
    #[must_use]
    pub fn hash_of(text: &str, setup: &BTreeMap<String, String>) -> String {
        let mut hasher = blake3::Hasher::new_derive_key("weir policy 1");
        for part in std::iter::once(text).chain(setup.iter().flat_map(|(name, text)| [name.as_str(), text.as_str()])) {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }
}

impl Tenant {
    /// The standing that a decision of one of its groups sees.
    #[must_use]
    pub fn standing(&self) -> Standing<'_> {
        let wanted = if planted::is(Bug::QuotaPerChange) { 0 } else { self.wanted };
        let quota_left = self.quota.map(|quota| quota.saturating_sub(wanted));
        Standing { quota_left, switches: &self.switches }
    }

    /// Counts a fact that had no effect.
    pub fn drop_fact(&mut self, reason: &str) {
        *self.dropped.entry(reason.to_owned()).or_default() += 1;
    }

    /// Forgets forces that are too old to be sent again.
    pub fn trim_forces(&mut self, t_ms: i64) {
        self.forces.retain(|_, (at, _)| t_ms.saturating_sub(*at) < FORCES_KEPT_MS);
    }

    /// The row that people read.
    #[must_use]
    pub fn row(&self, t_ms: i64) -> TenantRow {
        let words = |switch: &KillSwitch| {
            let what = match (switch.adding, switch.removing) {
                (true, true) => "adding and removing",
                (true, false) => "adding",
                _ => "removing",
            };
            let where_ = if switch.region.is_empty() { "everywhere" } else { switch.region.as_str() };
            format!("{where_}: {what} off by {}: {}", switch.actor, switch.reason)
        };
        TenantRow {
            quota: self.quota,
            servers: self.wanted,
            dropped: self.dropped.clone(),
            kill_switches: self.switches.iter().filter(|switch| switch.on(t_ms)).map(words).collect(),
        }
    }
}
