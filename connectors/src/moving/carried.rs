//! An installation's state in hand, and a new log that begins with it.
//!
//! A new log begins, before its first record, with a snapshot of each partition, the newest command of each group and the
//! ledgers. So nothing is decided again and no server is made twice.

use super::Error;
use crate::{
    backend::{Backend, Committed, Machine, Settled, Snapshot, Stepped, Switch, View, ViewKind, partition_of},
    replay,
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};
use weir_engine::{
    command::Command,
    id::{GroupUid, Position},
    ledger::Ledger,
    partition::Partition,
};

/// Rows of one commit. A transaction has seconds, and each row may be large.
const ROWS: usize = 256;

/// Everything that is carried.
#[derive(Debug, Default)]
pub struct Carried {
    /// What it is, in words.
    pub of: String,
    /// By partition of the old log.
    pub states: Vec<Partition>,
    /// The newest of each group.
    pub commands: Vec<Command>,
    /// Ledgers, with whose they are.
    pub ledgers: Vec<(String, GroupUid, Vec<u8>)>,
    /// Rows that the API reads.
    pub views: Vec<View>,
    /// Kill switches.
    pub switches: Vec<Switch>,
}

/// How much that is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Tenants that have said anything.
    pub tenants: usize,
    /// Their groups.
    pub groups: usize,
    /// The servers of which ledgers know.
    pub servers: usize,
    /// Kill switches, lifted ones too.
    pub switches: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tenants, groups, servers, switches } = self;
        write!(f, "{tenants} tenants, {groups} groups, {servers} servers, {switches} kill switches")
    }
}

impl Carried {
    /// Everything of an installation on which nobody works. `known`: tenants of whom there may be rows and no state.
    ///
    /// # Errors
    /// Where records are not applied yet, or something cannot be read.
    pub fn take(backend: &dyn Backend, known: impl IntoIterator<Item = String>) -> Result<Self, Error> {
        let mut carried = Self { of: of(backend)?, switches: backend.switches(), ..Self::default() };
        for partition in 0..backend.partitions() {
            let next = applied(backend, partition)?;
            carried.states.push(replay::state_at(backend, partition, next).map_err(crate::backend::Error::from)?);
            carried.commands.extend(commands(backend, partition)?);
            for (uid, bytes) in backend.ledgers(partition)? {
                let tenant = read(uid, &bytes)?.newest().tenant.clone();
                carried.ledgers.push((tenant, uid, bytes));
            }
        }
        // Those of groups that are gone for good are of no use to anybody.
        let ledgers = carried.ledgers.iter().map(|(_, uid, _)| *uid);
        let alive: BTreeSet<GroupUid> = carried.states.iter().flat_map(Partition::uids).chain(ledgers).collect();
        carried.commands.retain(|command| alive.contains(&command.uid));
        let tenants: BTreeSet<String> = carried.tenants().into_iter().map(str::to_owned).chain(known).collect();
        carried.views = views(backend, &tenants)?;
        Ok(carried)
    }

    /// The names of all tenants in it.
    #[must_use]
    pub fn tenants(&self) -> BTreeSet<&str> {
        self.states.iter().flat_map(Partition::tenants).collect()
    }

    /// The regions in which a tenant's ledgers have servers.
    ///
    /// # Errors
    /// Where a ledger cannot be read.
    pub fn regions(&self) -> Result<BTreeSet<(String, String)>, Error> {
        let ledgers = self.ledgers.iter().map(|(tenant, uid, bytes)| {
            let ledger = read(*uid, bytes)?;
            Ok((!ledger.entries().is_empty()).then(|| (tenant.clone(), ledger.region().to_owned())))
        });
        Ok(ledgers.collect::<Result<Vec<_>, Error>>()?.into_iter().flatten().collect())
    }

    /// How much it is.
    ///
    /// # Errors
    /// Where a ledger cannot be read.
    pub fn counts(&self) -> Result<Counts, Error> {
        let entries = self.ledgers.iter().map(|(_, uid, bytes)| Ok(read(*uid, bytes)?.entries().len()));
        Ok(Counts {
            tenants: self.tenants().len(),
            groups: self.states.iter().flat_map(Partition::uids).count(),
            servers: entries.sum::<Result<usize, Error>>()?,
            switches: self.switches.len(),
        })
    }

    /// Fills a log that has no record yet. Done again with the same it changes nothing.
    ///
    /// # Errors
    /// The system's.
    pub fn fill(&self, backend: &dyn Backend) -> Result<(), Error> {
        let (partitions, log_id) = (backend.partitions(), backend.log_id());
        for partition in 0..partitions {
            let here = |tenant: &str| partition_of(tenant, partitions) == partition;
            let state = Partition::moved(&self.states, &log_id, partition, here)
                .map_err(|damaged| Error::Refused(damaged.to_string()))?;
            let at = Committed { next: 0, semantics: state.semantics(), digest: state.digest() };
            let (owner, _) = backend.take_over(Machine::Step, partition)?;
            // A generation that is there already is not given again.
            let there: BTreeMap<GroupUid, u64> =
                commands(backend, partition)?.map(|command| (command.uid, command.generation)).collect();
            let newer = |command: &&Command| there.get(&command.uid).is_none_or(|known| *known < command.generation);
            let commands = self.commands.iter().filter(|command| here(&command.tenant)).filter(newer);
            let views = self.views.iter().filter(|view| here(&view.tenant));
            let (commands, views) = (Vec::from_iter(commands.cloned()), Vec::from_iter(views.cloned()));
            let empty = Stepped { committed: at.clone(), ..Stepped::default() };
            backend.commit_step(&owner, empty.clone())?;
            for commands in commands.chunks(ROWS) {
                backend.commit_step(&owner, Stepped { commands: commands.to_vec(), ..empty.clone() })?;
            }
            for views in views.chunks(ROWS) {
                backend.commit_step(&owner, Stepped { views: views.to_vec(), ..empty.clone() })?;
            }
            backend.save_snapshot(&owner, Snapshot { at, state: state.snapshot() })?;
            let (owner, _) = backend.take_over(Machine::Settle, partition)?;
            let ledgers = self.ledgers.iter().filter(|(tenant, ..)| here(tenant));
            let ledgers = Vec::from_iter(ledgers.map(|(_, uid, ledger)| (*uid, Some(ledger.clone()))));
            for ledgers in ledgers.chunks(ROWS) {
                backend.commit_settle(&owner, Settled { ledgers: ledgers.to_vec(), views: Vec::new() })?;
            }
        }
        Ok(self.switches.iter().try_for_each(|switch| backend.set_switch(switch.clone()))?)
    }
}

/// Which log, and how far it is applied.
fn of(backend: &dyn Backend) -> Result<String, Error> {
    let at = (0..backend.partitions())
        .map(|partition| Ok(Position { partition, offset: applied(backend, partition)? }.to_string()));
    let at: Vec<String> = at.collect::<Result<_, Error>>()?;
    Ok(format!("the log `{}` at {}", backend.log_id(), at.join(", ")))
}

/// How far a partition is applied: to its end, or it cannot be carried.
pub(super) fn applied(backend: &dyn Backend, partition: u32) -> Result<u64, Error> {
    let ((_, end), (committed, _)) = (backend.range(partition)?, backend.stepped(partition)?);
    match end.checked_sub(committed.next) {
        Some(0) => Ok(end),
        left => Err(Error::Refused(format!(
            "{} records of partition {partition} are not applied yet: start the installation, wait until `/readyz` says ready, \
             stop it with SIGTERM, and do this again",
            left.unwrap_or_default()
        ))),
    }
}

fn read(uid: GroupUid, bytes: &[u8]) -> Result<Ledger, Error> {
    Ledger::from_bytes(bytes).map_err(|why| Error::Refused(format!("the ledger of group `{uid}`: {why}")))
}

/// The newest command of each group.
fn commands(backend: &dyn Backend, partition: u32) -> Result<impl Iterator<Item = Command> + use<>, Error> {
    let (mut newest, mut mark) = (BTreeMap::<GroupUid, Command>::new(), 0);
    loop {
        let (next, some) = backend.commands_after(partition, mark, Duration::ZERO)?;
        for command in some {
            if newest.get(&command.uid).is_none_or(|known| known.generation < command.generation) {
                newest.insert(command.uid, command);
            }
        }
        if next == mark {
            return Ok(newest.into_values());
        }
        mark = next;
    }
}

/// Whether a command was ever given.
pub(super) fn has_commands(backend: &dyn Backend, partition: u32) -> Result<bool, Error> {
    Ok(commands(backend, partition)?.next().is_some())
}

/// Rows of these tenants.
fn views(backend: &dyn Backend, tenants: &BTreeSet<String>) -> Result<Vec<View>, Error> {
    let kinds = [ViewKind::Groups, ViewKind::Policies, ViewKind::Cursors, ViewKind::Servers, ViewKind::Tenants];
    let mut views = Vec::new();
    for tenant in tenants {
        for kind in kinds {
            let rows = backend.views(kind, tenant)?;
            views.extend(rows.into_iter().map(|(name, row)| View {
                kind,
                tenant: tenant.clone(),
                name,
                row: Some(row),
            }));
        }
    }
    Ok(views)
}
