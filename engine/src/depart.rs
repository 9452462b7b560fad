//! Departures: who leaves a group that is too large, and the way out: drained, out of the balancers, deleted, gone.
//!
//! Called by [`plan`](crate::plan) alone.
//!
//! INVARIANT: a deletion names a server that this look showed, by its id and with our mark of a slot that was allotted.
//! INVARIANT: a server that was detached, or never was adopted, is not deleted; our mark is taken off it.
//! INVARIANT: a server in a state that we do not know ([`SeenState::Other`]) is not deleted, whatever its slot.

use crate::{
    adoption,
    call::Call,
    id::Slot,
    ledger::{End, Entry, Ledger, Phase, Stray},
    observation::{CloudErrorKind, Observation, Seen, SeenState, Standing},
    outcome::Happening,
    plan::CHANGES_MAX,
    planted::{self, Bug},
    settle::LISTED_WITHIN_MS,
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};
use weir_grammar::policy::{Balancer, RemoveOrder};

/// How long a balancer may fail to let go of a server until the server is deleted all the same, milliseconds. A balancer
/// that is gone must not make its servers immortal.
pub const LET_GO_WITHIN_MS: i64 = 300_000;
/// How long a balancer may not answer, or not do what it is asked, until the address of a server that is gone is left in it,
/// milliseconds.
pub const LEFT_WITHIN_MS: i64 = 3_600_000;
/// The wait until a deletion is asked for again, milliseconds.
pub const DELETE_AGAIN_MS: i64 = 10_000;
/// Strays that one ledger notes; more wait until these are gone.
pub const STRAYS_MAX: usize = 100;

/// Marks those who leave: building servers first (the youngest, as least is lost), then ready ones in the policy's order,
/// from the fullest zone as long as zones differ. Those in unknown states come last, as they cannot be deleted.
///
/// Before all of them those whom a person named. Never one that is protected, nor one that is being adopted: it ran before we
/// came, and what becomes of it is known soon.
pub(crate) fn choose(ledger: &mut Ledger, look: &Observation, now_ms: i64) {
    named(ledger, now_ms);
    let hold = ledger.command.hold;
    let unknown: BTreeSet<Slot> = ledger
        .entries
        .iter()
        .filter(|(_, entry)| seen(entry, look).is_some_and(|seen| seen.state == SeenState::Other))
        .map(|(slot, _)| *slot)
        .collect();
    let mut surplus = ledger.standing().saturating_sub(ledger.wanted());
    while surplus > 0 {
        // A slot without a server may go even while none may be removed.
        let may_go = |slot: &Slot, entry: &Entry| {
            let kept = ledger.command.by_hand.protected.contains(slot) || ledger.remembered.adopting.contains_key(slot);
            entry.stands() && !kept && (!hold.remove || entry.phase == Phase::Allotted)
        };
        let zones = crowds(ledger);
        let rank = |slot: &Slot, entry: &Entry| (unknown.contains(slot), rank(ledger, &zones, *slot, entry));
        let candidates = ledger.entries.iter().filter(|(slot, entry)| may_go(slot, entry));
        let Some(slot) = candidates.min_by_key(|(slot, entry)| rank(slot, entry)).map(|(slot, _)| *slot) else { break };
        dismiss(ledger, slot, now_ms);
        surplus -= 1;
    }
    let open = ledger.wanted().saturating_sub(ledger.standing());
    while ledger.vacant.len() > open {
        if let Some((serial, next)) = ledger.vacant.pop_last() {
            ledger.incarnations = ledger.incarnations.max(next.saturating_sub(1)).max(1);
            debug_assert!(serial <= ledger.serials, "a vacant serial was given out once");
        }
    }
}

/// Those whom a person named leave, whoever else might; and a group that is gone adopts nobody.
fn named(ledger: &mut Ledger, now_ms: i64) {
    if ledger.command.retired.is_some() {
        let adopting: Vec<Slot> = ledger.remembered.adopting.keys().copied().collect();
        for slot in adopting {
            ledger.let_go(slot, "the group is gone", now_ms);
        }
    }
    if ledger.command.hold.remove {
        return;
    }
    let hands = &ledger.command.by_hand;
    let slots: Vec<Slot> = hands.removed.iter().chain(&hands.detached).copied().collect();
    for slot in slots {
        let Some(entry) = ledger.entries.get(&slot) else { continue };
        if entry.stands() {
            dismiss(ledger, slot, now_ms);
        } else if adoption::end(ledger, slot) == End::Detached && entry.end == End::Removed && entry.asked_ms == 0 {
            // It was on its way out and is wanted elsewhere: as long as its deletion was not asked for, it lives.
            keep(ledger, slot, now_ms);
        }
    }
}

/// A slot's server leaves and runs on.
fn keep(ledger: &mut Ledger, slot: Slot, now_ms: i64) {
    if let Some(entry) = ledger.entries.get_mut(&slot) {
        entry.end = End::Detached;
        ledger.release(slot, now_ms);
    }
}

fn seen<'a>(entry: &Entry, look: &'a Observation) -> Option<&'a Seen> {
    entry.server.as_deref().and_then(|id| look.server(id))
}

fn crowds(ledger: &Ledger) -> BTreeMap<Option<&str>, usize> {
    let mut crowds = BTreeMap::new();
    for entry in ledger.entries.values().filter(|entry| entry.stands()) {
        *crowds.entry(entry.zone.as_deref()).or_default() += 1;
    }
    crowds
}

/// Lower goes first.
fn rank(
    ledger: &Ledger,
    zones: &BTreeMap<Option<&str>, usize>,
    slot: Slot,
    entry: &Entry,
) -> (u8, Reverse<usize>, i64, Slot) {
    let stage = match entry.phase {
        Phase::Allotted => 0,
        Phase::Ordered | Phase::Unclear => 1,
        Phase::Building => 2,
        Phase::Joining => 3,
        Phase::Ready | Phase::Draining | Phase::Deleting => 4,
    };
    let crowd = if stage == 4 { zones.get(&entry.zone.as_deref()).copied().unwrap_or(0) } else { 0 };
    let age = match ledger.command.spec.remove {
        RemoveOrder::OldestFirst if stage == 4 => entry.since_ms,
        RemoveOrder::NewestFirst if stage == 4 => -entry.since_ms,
        RemoveOrder::OldestFirst | RemoveOrder::NewestFirst => -entry.ordered_ms,
    };
    (stage, Reverse(crowd), age, slot)
}

fn dismiss(ledger: &mut Ledger, slot: Slot, now_ms: i64) {
    let Some(entry) = ledger.entries.get_mut(&slot) else { return };
    match entry.phase {
        Phase::Allotted => ledger.strike(slot, now_ms),
        // Whether it has a server is not known yet; the listing will tell.
        Phase::Ordered | Phase::Unclear => entry.unwanted = true,
        Phase::Building | Phase::Joining | Phase::Ready => {
            (entry.end, entry.drained_ms) = (End::Removed, None);
            let next = if entry.phase == Phase::Building { Phase::Deleting } else { Phase::Draining };
            ledger.enter(slot, next, now_ms);
            ledger.say(Happening::Leaving { slot });
            ledger.adopted(slot);
            if adoption::end(ledger, slot) == End::Detached {
                keep(ledger, slot, now_ms);
            }
        }
        Phase::Draining | Phase::Deleting => {}
    }
}

/// The next step out for each server that leaves.
pub(crate) fn leave(ledger: &mut Ledger, look: &Observation, now_ms: i64) -> Vec<Call> {
    let (mut changes, mut deletions) = (Vec::new(), Vec::new());
    let slots: Vec<Slot> = ledger.entries.keys().copied().collect();
    for slot in slots {
        // A server whose unknown fate was found out after it had become unwanted.
        if ledger
            .entries
            .get(&slot)
            .is_some_and(|entry| entry.unwanted && entry.server.is_some() && entry.phase <= Phase::Ready)
        {
            dismiss(ledger, slot, now_ms);
        }
        drain(ledger, slot, look, now_ms, &mut changes);
        delete(ledger, slot, look, now_ms, &mut changes, &mut deletions);
    }
    changes.truncate(CHANGES_MAX);
    for call in &deletions {
        if let Call::Delete { slot, .. } | Call::Unmark { slot, .. } = call
            && let Some(entry) = ledger.entries.get_mut(slot)
        {
            entry.asked_ms = now_ms;
        }
    }
    changes.extend(deletions);
    changes
}

/// Lets a leaving server finish its connections, and ends that when the policy's time is over.
fn drain(ledger: &mut Ledger, slot: Slot, look: &Observation, now_ms: i64, changes: &mut Vec<Call>) {
    let (hold, drain_ms) = (ledger.command.hold, ledger.command.spec.drain_ms);
    let Some(entry) = ledger.entries.get_mut(&slot).filter(|entry| entry.phase == Phase::Draining) else { return };
    let seen = seen(entry, look);
    let runs = seen.is_some_and(|seen| !matches!(seen.state, SeenState::Error | SeenState::Deleting));
    if runs && (hold.remove || hold.repair) {
        if entry.drained_ms.is_none() {
            // The balancer's time to let go does not run while we may not ask it to.
            entry.since_ms = now_ms;
        }
        return;
    }
    if runs && entry.drained_ms.is_none() && !planted::is(Bug::DeletedServing) {
        let standings = standings(entry, look);
        let serves = |standing: &Standing| matches!(standing, Standing::Serving | Standing::Unhealthy);
        let serving: Vec<&Balancer> =
            standings.iter().filter(|(_, standing)| serves(standing)).map(|(balancer, _)| *balancer).collect();
        let unknown = standings.iter().any(|(_, standing)| *standing == Standing::Unknown);
        let patient = now_ms - entry.since_ms < LET_GO_WITHIN_MS;
        if drain_ms > 0 && patient && (unknown || !serving.is_empty()) {
            if let Some(address) = entry.addresses.first() {
                let free = serving.into_iter().filter(|balancer| !ledger.resting.contains_key(*balancer));
                changes.extend(free.map(|balancer| Call::Drain {
                    slot,
                    balancer: balancer.clone(),
                    address: address.clone(),
                }));
            }
            return;
        }
        let member = standings.iter().any(|(_, standing)| *standing != Standing::Out);
        entry.drained_ms = Some(if member { now_ms.saturating_add(drain_ms) } else { now_ms });
    }
    if !runs || entry.drained_ms.is_some_and(|until_ms| until_ms <= now_ms) || planted::is(Bug::DeletedServing) {
        ledger.enter(slot, Phase::Deleting, now_ms);
    }
}

fn standings<'a>(entry: &'a Entry, look: &Observation) -> Vec<(&'a Balancer, Standing)> {
    let Some(address) = entry.addresses.first() else { return Vec::new() };
    entry.balancers.iter().map(|balancer| (balancer, look.standing(balancer, address))).collect()
}

/// Takes a leaving server out of its balancers, then deletes it, then strikes its slot.
fn delete(
    ledger: &mut Ledger,
    slot: Slot,
    look: &Observation,
    now_ms: i64,
    changes: &mut Vec<Call>,
    deletions: &mut Vec<Call>,
) {
    let hold = ledger.command.hold;
    let Some(entry) = ledger.entries.get(&slot).filter(|entry| entry.phase == Phase::Deleting) else { return };
    let patient = now_ms - entry.since_ms < LET_GO_WITHIN_MS;
    // Clouds give addresses again: one that another server of the group has by now is that one's.
    let inherited = entry.addresses.first().is_some_and(|address| is_used(ledger, address));
    let seen = seen(entry, look).filter(|seen| seen.slot == Some(slot));
    let mut still_in = false;
    if !inherited && (seen.is_none() || !hold.remove) {
        for (balancer, standing) in standings(entry, look) {
            still_in |= standing != Standing::Out;
            let known = !matches!(standing, Standing::Out | Standing::Unknown);
            if known && !hold.repair && !ledger.resting.contains_key(balancer) {
                let address = entry.addresses.first().cloned().unwrap_or_default();
                changes.push(Call::Leave { slot, balancer: balancer.clone(), address });
            }
        }
    }
    if (seen.is_some() && hold.remove) || (still_in && hold.repair) {
        // As long as we may not ask it to, the balancer's time to let go does not run: nobody would ask it afterwards.
        if let Some(entry) = ledger.entries.get_mut(&slot) {
            entry.since_ms = now_ms;
        }
        return;
    }
    // Its server is gone: only its address is left, and a balancer that does not let go of it for a while is asked again.
    let patient = patient || (seen.is_none() && now_ms - entry.since_ms < LEFT_WITHIN_MS && may_let_go(entry, look));
    if still_in && patient && !planted::is(Bug::DeletedServing) {
        return;
    }
    if let (true, None, Some(server)) = (planted::is(Bug::DeletedUnseen), seen, &entry.server) {
        deletions.push(Call::Delete { slot, server: server.clone() });
    }
    let Some(seen) = seen else {
        // Right after its order a server may exist and not be listed yet.
        let may_come = !entry.listed && now_ms - entry.ordered_ms < LISTED_WITHIN_MS;
        if entry.server.is_none() || !may_come {
            let end = entry.end;
            ledger.strike(slot, now_ms);
            if end != End::Broken {
                ledger.say(Happening::Removed { slot });
            }
        }
        return;
    };
    let asked = now_ms - entry.asked_ms < DELETE_AGAIN_MS || now_ms < ledger.deletes_after_ms;
    if entry.end == End::Detached {
        if !hold.remove && !asked && deletions.len() < CHANGES_MAX {
            deletions.push(Call::Unmark { slot, server: seen.id.clone() });
        }
        return;
    }
    if !hold.remove && !asked && is_deletable(seen) && deletions.len() < CHANGES_MAX {
        deletions.push(Call::Delete { slot, server: seen.id.clone() });
    }
}

/// One of its balancers may yet let go of it: it answers, and has its address; or it does not answer for now, which is not
/// to say that it is gone.
fn may_let_go(entry: &Entry, look: &Observation) -> bool {
    let may = |(balancer, standing): (&Balancer, Standing)| match look.members.get(balancer) {
        Some(Ok(_)) => standing != Standing::Out,
        Some(Err(error)) => matches!(error.kind, CloudErrorKind::Later { .. } | CloudErrorKind::Unclear),
        None => false,
    };
    standings(entry, look).into_iter().any(may)
}

fn is_deletable(seen: &Seen) -> bool {
    !matches!(seen.state, SeenState::Other | SeenState::Deleting)
}

fn is_used(ledger: &Ledger, address: &String) -> bool {
    ledger.entries.values().any(|entry| entry.stands() && entry.addresses.first() == Some(address))
}

/// Servers with our mark that no slot claims: second ones of a slot and ones whose slot is gone are deleted, others are
/// noted and left alone.
pub(crate) fn tidy(ledger: &mut Ledger, look: &Observation, now_ms: i64) -> Vec<Call> {
    let claimed: BTreeSet<String> = ledger.entries.values().filter_map(|entry| entry.server.clone()).collect();
    let unclaimed = look.servers.values().filter(|seen| !claimed.contains(&seen.id)).take(STRAYS_MAX);
    let (mut noted, mut calls) = (BTreeMap::new(), Vec::new());
    for seen in unclaimed {
        let asked_ms = ledger.strays.get(&seen.id).map_or(0, |stray| stray.asked_ms);
        if let Some(slot) = seen.slot.filter(|slot| ledger.is_released(*slot)) {
            let why = format!("slot {slot} was let go; our mark is taken off it");
            let mut stray = Stray { name: seen.name.clone(), slot: Some(slot), why, asked_ms };
            if !ledger.command.hold.remove && now_ms - asked_ms >= DELETE_AGAIN_MS {
                stray.asked_ms = now_ms;
                calls.push(Call::Unmark { slot, server: seen.id.clone() });
            }
            ledger.release(slot, now_ms);
            noted.insert(seen.id.clone(), stray);
            continue;
        }
        let (ours, why) = match seen.slot {
            None => (planted::is(Bug::ForeignDeleted), "its mark cannot be read; left alone".to_owned()),
            Some(slot) if !ledger.was_allotted(slot) => (false, format!("slot {slot} was never given out; left alone")),
            Some(slot) if ledger.entries.contains_key(&slot) => {
                (true, format!("a second server for slot {slot}; deleted"))
            }
            Some(slot) => (true, format!("slot {slot} is gone; deleted")),
        };
        let mut stray = Stray { name: seen.name.clone(), slot: seen.slot, why, asked_ms };
        let slot = seen.slot.or(planted::is(Bug::ForeignDeleted).then(Slot::default));
        if let Some(slot) = slot.filter(|_| ours && !ledger.command.hold.remove && is_deletable(seen)) {
            let leaves = leaves(ledger, slot, seen, look);
            // Two looks: out of the balancers first, then deleted.
            if leaves.is_empty() && now_ms - asked_ms >= DELETE_AGAIN_MS && now_ms >= ledger.deletes_after_ms {
                stray.asked_ms = now_ms;
                calls.push(Call::Delete { slot, server: seen.id.clone() });
            }
            calls.extend(leaves);
        }
        noted.insert(seen.id.clone(), stray);
    }
    ledger.strays = noted;
    calls.truncate(CHANGES_MAX);
    calls
}

fn leaves(ledger: &Ledger, slot: Slot, seen: &Seen, look: &Observation) -> Vec<Call> {
    let Some(address) = seen.addresses.first().filter(|address| !is_used(ledger, address)) else { return Vec::new() };
    if ledger.command.hold.repair {
        return Vec::new();
    }
    let member = |balancer: &&Balancer| !matches!(look.standing(balancer, address), Standing::Out | Standing::Unknown);
    let leave = |balancer: &Balancer| Call::Leave { slot, balancer: balancer.clone(), address: address.clone() };
    look.members.keys().filter(member).map(leave).collect()
}
