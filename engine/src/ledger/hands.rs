//! What a ledger remembers of what people did with single servers, beyond what each command says anew.

use super::{End, Ledger, Phase};
use crate::{id::Slot, outcome::Happening};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How long a slot is remembered whose server was let go, milliseconds. A listing that shows the old mark a day later is
/// no listing.
pub const RELEASED_KEPT_MS: i64 = 24 * 3_600_000;

/// A server and the order by which it was to be adopted.
pub(crate) type Attempt = (String, u64);

/// It rides behind the rest of a ledger, which older builds wrote without it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Remembered {
    /// Slots that were given to servers which are being adopted, until those take part.
    pub(crate) adopting: BTreeMap<Slot, Attempt>,
    /// Adoptions that came to their end, of those that the newest command still names.
    pub(crate) adopted: BTreeSet<Attempt>,
    /// Adoptions that came to nothing, of those that the newest command still names.
    pub(crate) refused: BTreeSet<Attempt>,
    /// Slots whose servers are not ours to delete any more, and when a listing last showed our mark on one.
    pub(crate) released: BTreeMap<Slot, i64>,
}

impl Ledger {
    /// Whether an adoption was tried to its end, this way or that.
    pub(crate) fn is_over_with(&self, attempt: &Attempt) -> bool {
        self.remembered.adopted.contains(attempt) || self.remembered.refused.contains(attempt)
    }

    /// Places that the newest command counts and that nobody will fill: the engine is told, and has not answered yet.
    pub(crate) fn refused(&self) -> usize {
        self.remembered.refused.len()
    }

    /// Forgets adoptions that the newest command no longer names: the engine knows.
    pub(crate) fn forget_adoptions(&mut self) {
        let named = &self.command.by_hand.adopted;
        let known = |(server, number): &Attempt| named.get(server) == Some(number);
        self.remembered.adopted.retain(known);
        self.remembered.refused.retain(known);
    }

    /// A server is not ours to delete, from now on.
    pub(crate) fn release(&mut self, slot: Slot, now_ms: i64) {
        self.remembered.released.insert(slot, now_ms);
    }

    /// Whether a slot's server is not ours to delete.
    pub(crate) fn is_released(&self, slot: Slot) -> bool {
        self.remembered.released.contains_key(&slot)
    }

    /// Forgets slots that no listing has shown for long enough.
    pub(crate) fn forget_released(&mut self, now_ms: i64) {
        let entries = &self.entries;
        self.remembered
            .released
            .retain(|slot, shown_ms| entries.contains_key(slot) || now_ms - *shown_ms < RELEASED_KEPT_MS);
    }

    /// An adoption is over: the server takes its part, or leaves as any other does.
    pub(crate) fn adopted(&mut self, slot: Slot) {
        if let Some(attempt) = self.remembered.adopting.remove(&slot) {
            self.remembered.adopted.insert(attempt);
        }
    }

    /// An adoption came to nothing. Its server was running before we came, so it is let go and never deleted. Answers
    /// whether the slot was one that is being adopted.
    pub(crate) fn let_go(&mut self, slot: Slot, reason: &str, now_ms: i64) -> bool {
        let Some(attempt) = self.remembered.adopting.remove(&slot) else { return false };
        let reason = super::words(reason);
        self.say(Happening::NotAdopted { server: attempt.0.clone(), reason: reason.clone() });
        self.remembered.refused.insert(attempt);
        self.release(slot, now_ms);
        match self.entries.get_mut(&slot) {
            // It bears our mark, and may be in a balancer already.
            Some(entry) if entry.server.is_some() => {
                (entry.end, entry.detail) = (End::Detached, reason);
                self.say(Happening::Leaving { slot });
                self.enter(slot, Phase::Deleting, now_ms);
            }
            _ => self.strike(slot, now_ms),
        }
        true
    }
}
