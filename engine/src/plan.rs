//! Plan: what to ask of a cloud, given a ledger into which this very look was written.
//!
//! Called by [`settle`](crate::settle::settle) alone. The order matters: first who leaves, so that no server is ordered for
//! a place that is given up; then what makes servers useful; then what makes servers. Each kind of call is bounded a
//! look, and what does not fit comes with the next.

use crate::{
    adoption,
    call::Call,
    depart,
    id::Slot,
    ledger::{End, Entry, Ledger, OUTBOX_MAX, Phase, SLOW_RETRY_MS, Trouble},
    observation::{Observation, SeenState, Standing},
};

/// Orders of a group that may be unanswered or of unknown fate at once.
pub const ORDERS_MAX: usize = 10;
/// Changes of balancers, and likewise deletions, that one look asks for.
pub const CHANGES_MAX: usize = 50;

pub(crate) fn plan(ledger: &mut Ledger, look: &Observation, now_ms: i64) -> Vec<Call> {
    // Nothing new is started that the log could not hear of.
    if ledger.outbox.len() >= OUTBOX_MAX {
        return Vec::new();
    }
    depart::choose(ledger, look, now_ms);
    let mut calls = depart::leave(ledger, look, now_ms);
    calls.extend(depart::tidy(ledger, look, now_ms));
    calls.extend(join(ledger, look));
    // Before orders: who is to be adopted fills a place.
    calls.extend(adoption::mark(ledger, now_ms));
    calls.extend(order(ledger, now_ms));
    calls
}

/// Servers that run go into their balancers, and back where somebody took them out.
fn join(ledger: &Ledger, look: &Observation) -> Vec<Call> {
    if ledger.command.hold.repair {
        return Vec::new();
    }
    let runs = |entry: &Entry| {
        matches!(entry.phase, Phase::Joining | Phase::Ready)
            && entry
                .server
                .as_deref()
                .and_then(|id| look.server(id))
                .is_some_and(|seen| seen.state == SeenState::Active)
    };
    let mut calls = Vec::new();
    for (slot, entry) in ledger.entries.iter().filter(|(_, entry)| runs(entry)) {
        let Some(address) = entry.addresses.first() else { continue };
        for balancer in entry.balancers.iter().filter(|balancer| !ledger.resting.contains_key(*balancer)) {
            if matches!(look.standing(balancer, address), Standing::Out | Standing::Drained) {
                calls.push(Call::Join { slot: *slot, balancer: balancer.clone(), address: address.clone() });
            }
        }
    }
    calls.truncate(CHANGES_MAX);
    calls
}

/// Servers are ordered for the places that are missing one. Each order is in the ledger before it is sent.
fn order(ledger: &mut Ledger, now_ms: i64) -> Vec<Call> {
    let held = ledger.command.hold.add || ledger.command.retired.is_some() || ledger.trouble == Some(Trouble::Moved);
    if held || now_ms < ledger.orders_after_ms {
        return Vec::new();
    }
    let count = |ledger: &Ledger, keep: fn(&Entry) -> bool| ledger.entries.values().filter(|entry| keep(entry)).count();
    let in_doubt = count(ledger, |entry| matches!(entry.phase, Phase::Ordered | Phase::Unclear));
    // Where broken servers must stay, replacing them would fill the cloud with them (rule 17 calls that replacement).
    let broken = if ledger.command.hold.remove {
        count(ledger, |entry| entry.phase == Phase::Deleting && entry.end == End::Broken)
    } else {
        0
    };
    let mut places: Vec<Slot> =
        ledger.entries.iter().filter(|(_, entry)| entry.phase == Phase::Allotted).map(|(slot, _)| *slot).collect();
    let missing = ledger.wanted().saturating_sub(ledger.standing() + broken) + places.len();
    let mut most = missing.min(ORDERS_MAX.saturating_sub(in_doubt));
    if ledger.trouble == Some(Trouble::Builds) {
        // One try at a time: a cloud in trouble is not buried under orders.
        most = most.min(1);
    }
    places.truncate(most);
    while places.len() < most {
        let Some(slot) = allot(ledger) else { break };
        places.push(slot);
    }
    if ledger.trouble == Some(Trouble::Builds) && !places.is_empty() {
        ledger.orders_after_ms = now_ms.saturating_add(SLOW_RETRY_MS);
    }
    places.into_iter().map(|slot| sign(ledger, slot, now_ms)).collect()
}

/// The next slot: a place left open by a broken server, else a new one. None when the serials are used up.
fn allot(ledger: &mut Ledger) -> Option<Slot> {
    if let Some((serial, incarnation)) = ledger.vacant.pop_first() {
        return Some(Slot { serial, incarnation });
    }
    ledger.serials = ledger.serials.checked_add(1)?;
    Some(Slot { serial: ledger.serials, incarnation: 1 })
}

/// Writes an order into the ledger.
fn sign(ledger: &mut Ledger, slot: Slot, now_ms: i64) -> Call {
    let zone = zone(ledger, slot);
    let name = format!("{}-{}-{}", ledger.command.group, slot.serial, slot.incarnation);
    let balancers = ledger.command.spec.balancers().to_vec();
    let entry = Entry::new(Phase::Ordered, name.clone(), zone.clone(), balancers, now_ms);
    ledger.entries.insert(slot, entry);
    ledger.moved_ms = now_ms;
    Call::Create { slot, name, zone }
}

/// The zone with the fewest of the group's servers; of several, the first in the launch.
fn zone(ledger: &Ledger, slot: Slot) -> Option<String> {
    let crowd = |zone: &str| {
        let here =
            |(other, entry): &(&Slot, &Entry)| **other != slot && entry.stands() && entry.zone.as_deref() == Some(zone);
        ledger.entries.iter().filter(here).count()
    };
    ledger.command.spec.launch.zones.iter().min_by_key(|zone| crowd(zone)).cloned()
}
