//! Between looks: when a ledger wants to be looked at next, and what people see of it meanwhile.

use super::{Ledger, Phase};
use crate::{id::Slot, time};
use serde::Serialize;

/// The wait for a second listing where one does not prove that a server is not there, milliseconds. Clouds list with a
/// delay: a server ordered a moment ago may be missing from a complete answer.
pub const AGAIN_MS: i64 = 5_000;

/// How often to look.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// While something is under way, milliseconds.
    pub look_ms: i64,
    /// When all is well, milliseconds.
    pub sweep_ms: i64,
}

/// A server as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServerRow {
    /// Its slot, where it has one.
    pub slot: Option<Slot>,
    /// The cloud's id, once known.
    pub server: Option<String>,
    /// Its name.
    pub name: String,
    /// Its [`Phase`], or `stray`.
    pub state: String,
    /// Since when; nothing for a stray.
    #[serde(with = "time::wire_option")]
    pub since: Option<i64>,
    /// Scale-in leaves it alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub protected: bool,
    /// Its addresses.
    pub addresses: Vec<String>,
    /// The cloud's newest words about it.
    pub detail: String,
}

impl Ledger {
    /// A process took the ledger over: what is under way is looked at now, the rest at its place in the sweep.
    pub fn resume(&mut self, now_ms: i64) {
        self.looked_ms = now_ms;
        self.hinted = self.is_under_way() || self.command.retired.is_some();
    }

    /// Somebody knows that there is something to see.
    pub fn hint(&mut self) {
        self.hinted = true;
    }

    /// When the group wants to be looked at next, epoch milliseconds; in the past if at once.
    ///
    /// While something is under way the wait is a twentieth of the time since anything moved, but not shorter than the
    /// pace: a build of ten minutes is seen half a minute late at most, and costs the cloud few requests. At rest, looks
    /// of different groups are spread over the sweep by their uid.
    #[must_use]
    pub fn next_look_ms(&self, pace: Pace) -> i64 {
        if self.hinted || self.blind > 0 {
            // A feed may have ten words to say about one build; a quarter of the pace is often enough to listen.
            return self.look_after_ms.max(self.looked_ms.saturating_add(pace.look_ms / 4));
        }
        let sweep_ms = pace.sweep_ms.max(1);
        let place_ms = i64::try_from(self.uid().0 >> 1).unwrap_or(0) % sweep_ms;
        let mut next_ms = self.looked_ms + 1 + (place_ms - self.looked_ms - 1).rem_euclid(sweep_ms);
        if self.is_under_way() {
            let wait_ms =
                ((self.looked_ms - self.moved_ms) / 20).clamp(pace.look_ms.max(1), sweep_ms.max(pace.look_ms));
            next_ms = next_ms.min(self.looked_ms.saturating_add(wait_ms));
        }
        for due_ms in self.timers() {
            next_ms = next_ms.min(due_ms.max(self.looked_ms.saturating_add(pace.look_ms)));
        }
        next_ms.max(self.look_after_ms)
    }

    /// Something is expected to be different at the next look.
    fn is_under_way(&self) -> bool {
        let hold = self.command.hold;
        let moves = |phase| match phase {
            Phase::Ready | Phase::Allotted | Phase::Draining => false,
            Phase::Ordered | Phase::Unclear | Phase::Building => true,
            Phase::Joining => !hold.repair,
            Phase::Deleting => !hold.remove,
        };
        let drains = |drained_ms: Option<i64>| drained_ms.is_none() && !hold.remove && !hold.repair;
        self.entries
            .values()
            .any(|entry| moves(entry.phase) || (entry.phase == Phase::Draining && drains(entry.drained_ms)))
            || (self.is_short() && self.orders_after_ms <= self.looked_ms)
            || (self.haunted() && !hold.remove)
    }

    /// A server is missing, and may be ordered.
    fn is_short(&self) -> bool {
        let allotted = self.entries.values().any(|entry| entry.phase == Phase::Allotted);
        !self.command.hold.add && (allotted || self.standing() < self.wanted())
    }

    /// Instants known beforehand.
    fn timers(&self) -> impl Iterator<Item = i64> {
        let drains = self.entries.values().filter(|entry| entry.phase == Phase::Draining && !self.command.hold.remove);
        let absent = self.entries.values().filter_map(|entry| entry.absent_ms).map(|since_ms| since_ms + AGAIN_MS);
        let orders = self.is_short().then_some(self.orders_after_ms);
        drains.filter_map(|entry| entry.drained_ms).chain(absent).chain(orders)
    }

    /// The group's servers, by slot, then those that no slot claims.
    #[must_use]
    pub fn rows(&self) -> Vec<ServerRow> {
        let entries = self.entries.iter().map(|(slot, entry)| ServerRow {
            slot: Some(*slot),
            server: entry
                .server
                .clone()
                .or_else(|| self.remembered.adopting.get(slot).map(|(server, _)| server.clone())),
            name: entry.name.clone(),
            state: entry.phase.to_string(),
            since: Some(entry.since_ms),
            protected: self.command.by_hand.protected.contains(slot),
            addresses: entry.addresses.clone(),
            detail: entry.detail.clone(),
        });
        let strays = self.strays.iter().map(|(server, stray)| ServerRow {
            slot: stray.slot,
            server: Some(server.clone()),
            name: stray.name.clone(),
            state: "stray".to_owned(),
            since: None,
            protected: false,
            addresses: Vec::new(),
            detail: stray.why.clone(),
        });
        entries.chain(strays).collect()
    }
}
