//! Fates: what becomes of slots and of the group as a whole, said to the log in the same breath.

use super::{End, Ledger, Phase, SLOW_RETRY_MS, Trouble};
use crate::{id::Slot, outcome::Happening};

/// Builds that fail one after the other, none getting ready between them, until the group is degraded.
pub const FAILURES_MAX: u32 = 3;
/// The wait after a first failure, milliseconds; it doubles with each until the group is degraded.
pub const BACK_OFF_MS: i64 = 10_000;
/// Characters kept of a cloud's own words.
pub const WORDS_MAX: usize = 500;

impl Ledger {
    /// Says something to the log.
    pub(crate) fn say(&mut self, happening: Happening) {
        self.seq += 1;
        self.outbox.insert(self.seq, happening);
    }

    /// A slot comes to another phase.
    pub(crate) fn enter(&mut self, slot: Slot, phase: Phase, now_ms: i64) {
        if let Some(entry) = self.entries.get_mut(&slot) {
            (entry.phase, entry.since_ms, entry.absent_ms) = (phase, now_ms, None);
            self.moved_ms = now_ms;
        }
    }

    /// A slot's life is over.
    pub(crate) fn strike(&mut self, slot: Slot, now_ms: i64) {
        self.entries.remove(&slot);
        self.incarnations = self.incarnations.max(slot.incarnation);
        self.moved_ms = now_ms;
    }

    /// A build came to nothing: it is said, its place becomes vacant, and the next order waits.
    ///
    /// One that was being adopted is let go instead.
    pub(crate) fn fail(&mut self, slot: Slot, reason: &str, now_ms: i64) {
        if self.let_go(slot, reason, now_ms) {
            return;
        }
        let reason = words(reason);
        self.abandon(slot, &reason, now_ms);
        self.failures = self.failures.saturating_add(1);
        self.failed_ms = now_ms;
        let wait_ms = if self.failures < FAILURES_MAX { BACK_OFF_MS << (self.failures - 1) } else { SLOW_RETRY_MS };
        self.orders_after_ms = self.orders_after_ms.max(now_ms.saturating_add(wait_ms));
        if self.failures >= FAILURES_MAX {
            self.degrade(Trouble::Builds, &reason);
        }
    }

    /// An order came to nothing by no fault of the cloud: it is said, and its place becomes vacant.
    pub(crate) fn abandon(&mut self, slot: Slot, reason: &str, now_ms: i64) {
        let reason = words(reason);
        self.say(Happening::Failed { slot, reason: reason.clone() });
        self.vacate(slot, &reason, now_ms);
    }

    /// A server that took its part is gone or broken: it is said, and its place becomes vacant.
    pub(crate) fn lose(&mut self, slot: Slot, reason: &str, now_ms: i64) {
        let reason = words(reason);
        self.say(Happening::Lost { slot, reason: reason.clone() });
        self.vacate(slot, &reason, now_ms);
    }

    fn vacate(&mut self, slot: Slot, reason: &str, now_ms: i64) {
        // A removal that came first needs no replacement.
        if self.entries.get(&slot).is_some_and(|entry| entry.stands()) {
            self.vacant.insert(slot.serial, slot.incarnation.saturating_add(1));
        }
        match self.entries.get_mut(&slot) {
            Some(entry) if entry.server.is_some() => {
                (entry.end, entry.detail) = (End::Broken, reason.to_owned());
                self.enter(slot, Phase::Deleting, now_ms);
            }
            _ => self.strike(slot, now_ms),
        }
    }

    pub(crate) fn degrade(&mut self, trouble: Trouble, reason: &str) {
        if self.trouble.is_none() {
            self.trouble = Some(trouble);
            self.say(Happening::Degraded { reason: words(reason) });
        }
    }

    pub(crate) fn heal(&mut self, trouble: Trouble) {
        if self.trouble == Some(trouble) {
            self.trouble = None;
            self.say(Happening::Healed);
        }
    }
}

/// A cloud's words, cut to what is worth keeping.
pub(crate) fn words(text: &str) -> String {
    text.chars().take(WORDS_MAX).collect()
}
