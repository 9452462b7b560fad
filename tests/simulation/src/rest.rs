//! At rest: once nothing goes wrong any more, every group comes to exactly its target within two sweeps.

use crate::{
    cloud::{BUILD_MAX_MS, Cloud},
    executor::PACE,
    judge::Broken,
    site::Site,
};
use std::collections::{BTreeMap, BTreeSet};
use weir_engine::{
    command::{Command, Hold, Retired},
    id::GroupUid,
    ledger::{Ledger, Phase},
};

const LAW: &str = "without faults a group comes to its target within two sweeps";

/// When a group must be at rest: two sweeps, a build, a drain after its newest command and the end of the faults. A build
/// that hangs since before is one of the faults, and ends when the group's own patience with it does.
#[must_use]
pub fn due_ms(cloud: &Cloud, command: &Command, calm_ms: i64) -> i64 {
    let patience_ms = if cloud.hangs(command.uid, calm_ms) { command.spec.ready_within_ms } else { 0 };
    calm_ms.max(command.decided) + patience_ms + 2 * PACE.sweep_ms + BUILD_MAX_MS + command.spec.drain_ms + 60_000
}

/// Whether every group must be at rest by now, and the engine has nothing left to read.
#[must_use]
pub fn is_due(site: &Site, calm_ms: i64) -> bool {
    let due_ms = site.store.newest().values().map(|command| due_ms(&site.cloud, command, calm_ms)).max();
    due_ms.unwrap_or(0) <= site.now_ms && site.store.committed.next == site.log.end()
}

/// Judges every group that must be at rest by now.
///
/// # Errors
/// Where one is not.
pub fn check(site: &mut Site, calm_ms: i64) -> Result<(), Broken> {
    let newest: Vec<Command> = site.store.newest().into_values().cloned().collect();
    for command in newest {
        if due_ms(&site.cloud, &command, calm_ms) > site.now_ms || command.hold != Hold::default() {
            site.tally.restless += 1;
            continue;
        }
        site.tally.settled += 1;
        let is_at_rest = match command.retired {
            None => at_target(site, &command),
            Some(Retired::Delete) => {
                let left = site.cloud.living(command.uid, site.now_ms).count();
                if left == 0 { Ok(()) } else { Err(format!("{left} servers are left of a group that was removed")) }
            }
            Some(Retired::Keep) => Ok(()),
        };
        is_at_rest.map_err(|why| Broken::new(LAW, format!("`{}` ({}): {why}", command.group, command.uid)))?;
    }
    Ok(())
}

fn at_target(site: &Site, command: &Command) -> Result<(), String> {
    let (uid, target) = (command.uid, command.target as usize);
    let there: Vec<_> = site.cloud.living(uid, site.now_ms).collect();
    let running: BTreeMap<_, _> = site.cloud.running(uid, site.now_ms).collect();
    let ledger = || ledger(site, uid).map_or_else(|| "no ledger".to_owned(), |ledger| format!("{ledger:#?}"));
    if there.len() != target || running.len() != target {
        return Err(format!("{} run and {} exist of {target}: {there:#?}\n{}", running.len(), there.len(), ledger()));
    }
    let slots: BTreeSet<_> = running.values().map(|server| server.slot).collect();
    if slots.len() != target {
        return Err(format!("a slot has two servers: {there:#?}"));
    }
    let kept = ledger_of(site, uid)?;
    if kept.entries().len() != target
        || kept.ready() != target
        || kept.entries().values().any(|entry| entry.phase != Phase::Ready)
    {
        return Err(format!("the ledger has {} ready of {}: {}", kept.ready(), kept.entries().len(), ledger()));
    }
    for (slot, entry) in kept.entries() {
        for balancer in &entry.balancers {
            let members = site.cloud.members(balancer, site.now_ms);
            let serves = entry.addresses.first().is_some_and(|address| members.get(address) == Some(&true));
            if !serves {
                return Err(format!("server {slot} does not serve in {balancer:?}: {members:?}"));
            }
        }
    }
    // Of its balancers the group is the only user, but for lives of it that were removed and whose servers were kept.
    let kept = |uid: &GroupUid| site.store.newest().get(uid).is_some_and(|of| of.retired == Some(Retired::Keep));
    let left = site.cloud.servers.values().filter(|server| server.uid.as_ref().is_some_and(kept));
    let addresses: BTreeSet<&String> = running.values().copied().chain(left).map(|server| &server.address).collect();
    for balancer in command.spec.balancers() {
        let members = site.cloud.members(balancer, site.now_ms);
        if let Some((address, _)) = members.iter().find(|(address, _)| !addresses.contains(address)) {
            return Err(format!("{balancer:?} has a member {address} that is no server of the group"));
        }
    }
    let known = site.judge.tenants().get(&command.tenant).and_then(|tenant| tenant.groups.get(&command.group));
    let Some(known) = known.filter(|known| known.uid == Some(uid)) else { return Ok(()) };
    if known.ready() != command.target || known.degraded {
        return Err(format!("the log knows {} ready of {target}, degraded: {}", known.ready(), known.degraded));
    }
    Ok(())
}

fn ledger(site: &Site, uid: GroupUid) -> Option<Ledger> {
    site.store.ledgers.get(&uid).and_then(|bytes| Ledger::from_bytes(bytes).ok())
}

fn ledger_of(site: &Site, uid: GroupUid) -> Result<Ledger, String> {
    ledger(site, uid).ok_or_else(|| "its ledger is not there".to_owned())
}
