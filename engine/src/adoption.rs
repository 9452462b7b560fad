//! Adoptions: a server that runs and is nobody's gets a slot and our mark, and from then on is found, joined and counted as
//! any server of the group.
//!
//! Called by [`plan`](crate::plan) and [`settle`](crate::settle) alone. The slot is in the ledger before the mark is set, as
//! with an order; setting it twice is setting it once, so an answer that was lost is no trouble.
//!
//! INVARIANT: a server whose adoption came to nothing is never deleted. Our mark is taken off it, wherever a look shows it.

use crate::{
    call::Call,
    id::Slot,
    ledger::{End, Entry, Ledger, Phase},
    observation::{CloudError, CloudErrorKind},
};

/// The wait until a mark is set again whose answer was lost, milliseconds.
pub const MARK_AGAIN_MS: i64 = 10_000;

/// Sets our mark on the servers that somebody wants to adopt.
pub(crate) fn mark(ledger: &mut Ledger, now_ms: i64) -> Vec<Call> {
    if ledger.command.hold.add || ledger.command.retired.is_some() {
        return Vec::new();
    }
    let within_ms = ledger.command.spec.ready_within_ms;
    let wanted: Vec<_> = ledger.command.by_hand.adopted.clone().into_iter().collect();
    let mut calls = Vec::new();
    for attempt in wanted {
        if ledger.is_over_with(&attempt) {
            continue;
        }
        let known = ledger.remembered.adopting.iter().find(|(_, of)| **of == attempt).map(|(slot, _)| *slot);
        let Some(slot) = known.or_else(|| allot(ledger, &attempt, now_ms)) else { continue };
        let Some(entry) = ledger.entries.get_mut(&slot).filter(|entry| entry.server.is_none()) else { continue };
        if now_ms - entry.ordered_ms >= within_ms {
            let reason = format!("it does not bear our mark after {} s ({})", within_ms / 1_000, entry.detail);
            ledger.let_go(slot, &reason, now_ms);
        } else if now_ms - entry.asked_ms >= MARK_AGAIN_MS {
            entry.asked_ms = now_ms;
            ledger.enter(slot, Phase::Ordered, now_ms);
            calls.push(Call::Mark { slot, server: attempt.0 });
        }
    }
    calls
}

/// A place for a server that is to come; none when the serials are used up. Never one that a broken server left open: that
/// is another's.
fn allot(ledger: &mut Ledger, attempt: &(String, u64), now_ms: i64) -> Option<Slot> {
    ledger.serials = ledger.serials.checked_add(1)?;
    let slot = Slot { serial: ledger.serials, incarnation: 1 };
    let balancers = ledger.command.spec.balancers().to_vec();
    ledger.entries.insert(slot, Entry::new(Phase::Ordered, attempt.0.clone(), None, balancers, now_ms));
    ledger.remembered.adopting.insert(slot, attempt.clone());
    Some(slot)
}

/// A mark was not set, or that is not known.
pub(crate) fn not_marked(ledger: &mut Ledger, slot: Slot, error: &CloudError, now_ms: i64) {
    match error.kind {
        CloudErrorKind::Refused | CloudErrorKind::Unauthorized | CloudErrorKind::NotOffered => {
            ledger.let_go(slot, &error.text, now_ms);
        }
        // The next look shows whether it is there; if not, it is set again.
        CloudErrorKind::Unclear | CloudErrorKind::Later { .. } => {
            if let Some(entry) = ledger.entries.get_mut(&slot) {
                entry.detail = crate::ledger::words(&error.text);
            }
        }
    }
}

/// What becomes of a slot's server when the slot is given up by somebody's order: a detached one runs on.
pub(crate) fn end(ledger: &Ledger, slot: Slot) -> End {
    if ledger.command.by_hand.detached.contains(&slot) { End::Detached } else { End::Removed }
}
