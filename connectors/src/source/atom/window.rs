//! What was read lately: the entries of the last two minutes, in the feed's order, and the place right before them, from
//! which every round begins. Knowing an entry means: it has had its effect, or has none.
//!
//! INVARIANT: the place passes an entry only if it was two minutes old when the page that showed it was asked for. So
//! what appears within two minutes of its date appears behind the place, however long a round takes.

use super::{
    BEHIND_MS,
    fetch::Ask,
    seek::{Place, Seen},
};
use std::collections::{HashSet, VecDeque};

/// Entries remembered. Where two minutes have more, fewer minutes are read again.
pub(super) const SEEN_MAX: usize = 50_000;

/// An id, short; ids themselves may be long, and many.
type Key = [u8; 16];

/// The remembered stretch of a feed.
#[derive(Debug)]
pub(super) struct Window {
    /// Right before the oldest entry remembered.
    place: Place,
    /// What this round has read so far behind the place, in the feed's order; and whether it was old enough then.
    round: VecDeque<(Seen, bool)>,
    /// Ids of what had its effect: all of `round`, and until it is complete those of the round before, or of the log.
    known: HashSet<Key>,
}

impl Window {
    /// A window that begins at `place` and knows `ids`.
    pub(super) fn new<'a>(place: Place, ids: impl IntoIterator<Item = &'a str>) -> Self {
        Self { place, round: VecDeque::new(), known: ids.into_iter().map(key).collect() }
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    pub(super) fn knows(&self, id: &str) -> bool {
        self.known.contains(&key(id))
    }

    pub(super) fn learn<'a>(&mut self, ids: impl IntoIterator<Item = &'a str>) {
        self.known.extend(ids.into_iter().map(key));
    }

    /// A round begins. Answers where.
    pub(super) fn begin(&mut self) -> Ask {
        self.round.clear();
        match &self.place {
            Place::Beginning => Ask::Oldest,
            Place::After(seen) => Ask::After(seen.id.clone()),
        }
    }

    /// The place was lost, and is `place` now.
    pub(super) fn begin_again(&mut self, place: Place) -> Ask {
        self.place = place;
        self.begin()
    }

    /// Entries of a page had their effect. `asked_ms` is our clock when the page was asked for.
    pub(super) fn take(&mut self, entries: impl IntoIterator<Item = Seen>, asked_ms: i64) {
        let old_ms = asked_ms.saturating_sub(BEHIND_MS);
        for seen in entries {
            self.known.insert(key(&seen.id));
            let old = seen.updated_ms <= old_ms;
            self.round.push_back((seen, old));
        }
        while self.round.front().is_some_and(|(_, old)| *old) || self.round.len() > SEEN_MAX {
            let Some((oldest, _)) = self.round.pop_front() else { break };
            self.known.remove(&key(&oldest.id));
            self.place = Place::After(oldest);
        }
    }

    /// The round has read everything: what it did not see again is behind the place, and forgotten.
    pub(super) fn complete(&mut self) {
        self.known = self.round.iter().map(|(seen, _)| key(&seen.id)).collect();
    }
}

fn key(id: &str) -> Key {
    let mut key = Key::default();
    key.copy_from_slice(&blake3::hash(id.as_bytes()).as_bytes()[..16]);
    key
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
    use super::*;

    fn seen(id: usize, updated_ms: i64) -> Seen {
        Seen { id: format!("e{id}"), updated_ms }
    }

    #[test]
    fn the_place_follows_two_minutes_behind_the_clock() {
        let mut window = Window::new(Place::Beginning, []);
        assert_eq!(window.begin(), Ask::Oldest);
        window.take([seen(0, 0), seen(1, 1)], BEHIND_MS - 1);
        assert_eq!(window.place(), &Place::Beginning, "two minutes are not over");
        window.complete();
        assert_eq!(window.begin(), Ask::Oldest);
        window.take([seen(0, 0), seen(1, 1), seen(2, 2)], BEHIND_MS);
        assert_eq!(window.place(), &Place::After(seen(0, 0)));
        window.complete();
        assert_eq!(window.begin(), Ask::After("e0".to_owned()));
        assert!(!window.knows("e0") && window.knows("e1") && window.knows("e2"));
    }

    #[test]
    fn what_was_young_when_it_was_asked_for_is_read_again_however_long_the_round_takes() {
        let mut window = Window::new(Place::Beginning, []);
        window.take([seen(0, 0)], 1);
        window.take([seen(1, 1)], 10 * BEHIND_MS);
        assert_eq!(window.place(), &Place::Beginning, "something may have appeared before the first since");
    }

    #[test]
    fn a_round_that_fails_forgets_nothing() {
        let mut window = Window::new(Place::Beginning, []);
        window.take([seen(0, 0), seen(1, 1)], 1);
        window.complete();
        window.begin();
        window.take([seen(0, 0)], 1);
        window.begin();
        assert!(window.knows("e1"), "it has had its effect, and the next round will see it");
    }

    #[test]
    fn memory_is_bounded_at_the_cost_of_reading_less_again() {
        let mut window = Window::new(Place::Beginning, []);
        window.take((0..SEEN_MAX).map(|id| seen(id, 5)), 5);
        assert_eq!(window.place(), &Place::Beginning);
        window.take([seen(SEEN_MAX, 5)], 5);
        assert_eq!(window.place(), &Place::After(seen(0, 5)));
        assert_eq!(window.known.len(), SEEN_MAX);
    }
}
