//! What a tenant's policies declare, as the door needs it: names, to tell a sender that nothing hears it, and
//! capabilities, to find whose URL was called. Read from the views and kept for a moment; the engine judges by its own
//! state, so being a moment late here costs a note and no decision.

use super::Door;
use crate::{
    backend::{self, ViewKind},
    nearest::nearest,
};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use weir_engine::{
    event::{About, Capability},
    grammar,
    view::PolicyRow,
};

/// How long what was read is good enough.
const FRESH: Duration = Duration::from_millis(250);

/// What all tenants' policies declare.
#[derive(Default)]
pub(super) struct Declared {
    tenants: Mutex<BTreeMap<String, (Instant, Arc<Known>)>>,
}

/// What one tenant's policies declare.
#[derive(Debug, Default)]
pub(super) struct Known {
    files: Vec<Arc<File>>,
    /// The files' groups.
    groups: Vec<String>,
    /// Every name of every server in the groups' ledgers, as the executor last wrote them.
    servers: BTreeSet<String>,
}

#[derive(Debug)]
struct File {
    row: PolicyRow,
    names: Vec<Name>,
}

/// What a row of the servers says of names; the rest is for people.
#[derive(Deserialize)]
struct Server {
    server: Option<String>,
    name: String,
    addresses: Vec<String>,
}

/// A declaration.
#[derive(Clone, Debug)]
struct Name {
    kind: Kind,
    name: String,
    from: String,
    shared: bool,
    /// `web.weir:9`.
    place: String,
}

/// What is declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Alarm,
    Metric,
    Event,
}

impl Declared {
    /// What a tenant's policies declare now, or did a moment ago. Blocks.
    pub(super) fn of(&self, door: &Door, tenant: &str) -> backend::Result<Arc<Known>> {
        let before = {
            let tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
            tenants.get(tenant).cloned()
        };
        if let Some((read, known)) = &before
            && read.elapsed() < FRESH
        {
            return Ok(Arc::clone(known));
        }
        let rows = door.backend.views(ViewKind::Policies, tenant)?;
        let mut known = Known::new(rows, before.as_ref().map(|(_, known)| known.as_ref()));
        known.servers = server_names(door.backend.views(ViewKind::Servers, tenant)?);
        let known = Arc::new(known);
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        tenants.insert(tenant.to_owned(), (Instant::now(), Arc::clone(&known)));
        Ok(known)
    }

    /// A policy of the tenant has changed.
    pub(super) fn forget(&self, tenant: &str) {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner).remove(tenant);
    }
}

impl Known {
    fn new(rows: Vec<(String, serde_json::Value)>, before: Option<&Self>) -> Self {
        let mut known = Self::default();
        for (name, row) in rows {
            let row: PolicyRow = match serde_json::from_value(row) {
                Ok(row) => row,
                Err(error) => {
                    tracing::error!(policy = %name, "a row of the policies cannot be read: {error}");
                    continue;
                }
            };
            known.groups.extend(row.groups.iter().cloned());
            let same = before.and_then(|before| before.files.iter().find(|file| file.row == row));
            known.files.push(same.map_or_else(|| Arc::new(File::new(row)), Arc::clone));
        }
        known
    }

    /// The capability with this hash.
    pub(super) fn capability(&self, hash: &str) -> Option<&Capability> {
        self.files.iter().flat_map(|file| &file.row.capabilities).find(|capability| capability.hash == hash)
    }

    /// Why nothing hears a fact of this name about this one; `None` where something does, as far as can be seen here.
    pub(super) fn note(&self, tenant: &str, kind: Kind, name: &str, about: &About) -> Option<String> {
        let heard: Vec<&Name> = self.names(kind).filter(|declared| declared.hears(name)).collect();
        let Some(first) = heard.first() else {
            return Some(self.unheard(tenant, kind, name));
        };
        if kind == Kind::Event || heard.iter().any(|declared| declared.shared) {
            return None;
        }
        match &about.group {
            Some(group) if !self.groups.contains(group) => {
                let hint = nearest(group, self.groups.iter().map(String::as_str));
                let hint = hint.map(|group| format!("; nearest: {group}")).unwrap_or_default();
                Some(format!("tenant `{tenant}` has no group `{group}`{hint}"))
            }
            None if about.server.is_empty() => {
                let (name, place) = (&first.name, &first.place);
                Some(format!("it names no server and no group, and `{name}` ({place}) is not shared: nothing hears it"))
            }
            None if about.server.iter().all(|server| !self.servers.contains(server)) => {
                let said = about.server.iter().map(|server| format!("`{server}`")).collect::<Vec<_>>().join(" or ");
                Some(format!("no group of tenant `{tenant}` has a server {said}"))
            }
            _ => None,
        }
    }

    fn unheard(&self, tenant: &str, kind: Kind, name: &str) -> String {
        let declares = match kind {
            Kind::Alarm => format!("an alarm from {name:?}"),
            Kind::Metric => format!("a metric {name:?}"),
            Kind::Event => format!("an event from {name:?}"),
        };
        let words = || self.names(kind).flat_map(|declared| [declared.name.as_str(), declared.from.as_str()]);
        let near = nearest(name, words());
        let near = near.and_then(|near| self.names(kind).find(|known| known.name == near || known.from == near));
        let hint = match near {
            Some(known) => format!("; nearest: {} ({})", known.name, known.place),
            None if self.files.is_empty() => format!("; tenant `{tenant}` has no policy yet"),
            None => String::new(),
        };
        format!("no policy of tenant `{tenant}` declares {declares}{hint}")
    }

    fn names(&self, kind: Kind) -> impl Iterator<Item = &Name> {
        self.files.iter().flat_map(|file| &file.names).filter(move |name| name.kind == kind)
    }
}

/// Ids, names and addresses: what a fact may call a server by.
fn server_names(rows: Vec<(String, serde_json::Value)>) -> BTreeSet<String> {
    let servers = rows.into_iter().flat_map(|(uid, row)| {
        serde_json::from_value::<Vec<Server>>(row).unwrap_or_else(|error| {
            tracing::error!(group = %uid, "a row of the servers cannot be read: {error}");
            Vec::new()
        })
    });
    servers.flat_map(|row| row.server.into_iter().chain([row.name]).chain(row.addresses)).collect()
}

impl Name {
    fn hears(&self, name: &str) -> bool {
        self.from == name || (self.kind == Kind::Metric && self.name == name)
    }
}

impl File {
    fn new(row: PolicyRow) -> Self {
        let policy = grammar::check(&row.name, &row.text).policy.unwrap_or_default();
        let place = |span: grammar::policy::Span| {
            let before = row.text.as_bytes().get(..span.start as usize).unwrap_or_default();
            format!("{}:{}", row.name, before.iter().filter(|byte| **byte == b'\n').count() + 1)
        };
        let alarms = policy.alarms.iter().map(|one| (Kind::Alarm, &one.name, &one.from, one.shared, one.span));
        let metrics = policy.metrics.iter().map(|one| (Kind::Metric, &one.name, &one.from, one.shared, one.span));
        let events = policy.events.iter().map(|one| (Kind::Event, &one.name, &one.from, true, one.span));
        let names = alarms.chain(metrics).chain(events).map(|(kind, name, from, shared, span)| Name {
            kind,
            name: name.clone(),
            from: from.clone(),
            shared,
            place: place(span),
        });
        let names = names.collect();
        Self { row, names }
    }
}
