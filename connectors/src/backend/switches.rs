//! Kill switches as executors ask them: beside the events, so that an order to stop does not queue behind what is to be
//! stopped. A copy in the events gives decisions their reason; this one holds the calls.
//!
//! A [`Board`] is what a process knows of them, in memory, so that asking costs nothing. A board that hears nothing may not
//! know of a switch, so no server is made by its word.

use super::peers::Peers;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// A tenant's kill switch in a region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Switch {
    /// Whose.
    pub tenant: String,
    /// Where; every region of the tenant if empty.
    pub region: String,
    /// No server is added.
    pub adding: bool,
    /// No server is removed. With [`Switch::adding`] false, too, the switch is lifted.
    pub removing: bool,
    /// Until then, epoch milliseconds, else until it is lifted.
    pub until_ms: Option<i64>,
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
}

impl Switch {
    fn holds(&self, deed: Deed, now_ms: i64) -> bool {
        let held = match deed {
            Deed::Adding => self.adding,
            Deed::Removing => self.removing,
        };
        held && self.until_ms.is_none_or(|until_ms| now_ms < until_ms)
    }
}

/// What a call does that a switch may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It makes a server.
    Adding,
    /// It deletes a server, or takes one out of service.
    Removing,
}

/// What is known of the switches.
#[derive(Debug, Default)]
pub(super) struct Board {
    /// By tenant and region, with the place where each was read: no older one is believed.
    switches: BTreeMap<(String, String), (u64, Switch)>,
    heard: Heard,
    /// Why nothing may be done here any more, where the installation has gone.
    gone: Option<String>,
    /// Who else works here.
    pub(super) peers: Peers,
}

/// As of when a board knows all there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Heard {
    /// It has not been read to its end yet, or cannot be.
    #[default]
    Never,
    /// All that was written before then has been read.
    At(Instant),
    /// Always: whoever writes a switch writes it here.
    Always,
}

impl Board {
    /// A board on which everybody writes who sets a switch.
    pub(super) fn of(switches: impl IntoIterator<Item = Switch>) -> Self {
        let mut board = Self { heard: Heard::Always, ..Self::default() };
        switches.into_iter().for_each(|switch| board.set(0, switch));
        board
    }

    /// A switch as it was written at `place`.
    pub(super) fn set(&mut self, place: u64, switch: Switch) {
        let key = (switch.tenant.clone(), switch.region.clone());
        if self.switches.get(&key).is_none_or(|(known, _)| *known <= place) {
            self.switches.insert(key, (place, switch));
        }
    }

    /// All that was written before `at` has been read.
    pub(super) fn hear(&mut self, at: Instant) {
        self.heard = Heard::At(at);
    }

    /// The installation has gone, in words, or it has not.
    pub(super) fn go(&mut self, gone: Option<String>) {
        self.gone = gone;
    }

    /// Why nothing may be done here any more, where the installation has gone.
    pub(super) fn gone(&self) -> Option<String> {
        self.gone.clone()
    }

    /// All switches.
    pub(super) fn all(&self) -> Vec<Switch> {
        self.switches.values().map(|(_, switch)| switch.clone()).collect()
    }

    /// It is to be read anew, from its beginning.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// For how long nothing has been heard, where anything was.
    pub(super) fn silence(&self) -> Option<Duration> {
        match self.heard {
            Heard::Never => None,
            Heard::At(at) => Some(at.elapsed()),
            Heard::Always => Some(Duration::ZERO),
        }
    }

    /// Why a call must not be made at `now_ms`, where it must not. `patience`: from this long a silence on no server is made.
    pub(super) fn held(
        &self,
        tenant: &str,
        region: &str,
        deed: Deed,
        now_ms: i64,
        patience: Duration,
    ) -> Option<String> {
        if let Some(gone) = self.gone() {
            return Some(gone);
        }
        let what = match deed {
            Deed::Adding => "adding",
            Deed::Removing => "removing",
        };
        for place in [region, ""] {
            let key = (tenant.to_owned(), place.to_owned());
            if let Some((_, switch)) = self.switches.get(&key).filter(|(_, switch)| switch.holds(deed, now_ms)) {
                let place = if place.is_empty() { "every region" } else { place };
                return Some(format!(
                    "{what} in {place} was stopped by {}: \"{}\"; `weir kill-switch … --lift` allows it again",
                    switch.actor, switch.reason
                ));
            }
        }
        // Nothing is lost by a deletion that comes later than it could, or by one that an unheard switch would have held for a
        // moment; a server that is made costs money.
        if deed == Deed::Removing {
            return None;
        }
        match self.silence() {
            None => Some("no server is made before the kill switches have been read".into()),
            Some(silence) if silence >= patience => Some(format!(
                "no server is made: whether a kill switch is on has not been heard for {} s",
                silence.as_secs()
            )),
            Some(_) => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn switch(region: &str, adding: bool, removing: bool) -> Switch {
        Switch {
            tenant: "acme".into(),
            region: region.into(),
            adding,
            removing,
            until_ms: None,
            actor: "ops".into(),
            reason: "images".into(),
        }
    }

    fn held(board: &Board, region: &str, deed: Deed) -> Option<String> {
        board.held("acme", region, deed, 1_000, PATIENCE)
    }

    #[test]
    fn a_switch_holds_its_deed_in_its_region_of_its_tenant_until_its_end() {
        let mut board = Board::of([switch("LON", true, false)]);
        let why = held(&board, "LON", Deed::Adding).unwrap();
        assert!(why.contains("adding in LON was stopped by ops: \"images\""), "{why}");
        assert_eq!((held(&board, "LON", Deed::Removing), held(&board, "DFW", Deed::Adding)), (None, None));
        assert_eq!(board.held("other", "LON", Deed::Adding, 1_000, PATIENCE), None);
        board.set(0, Switch { until_ms: Some(1_000), ..switch("LON", true, false) });
        assert_eq!(held(&board, "LON", Deed::Adding), None, "an end is not in it");
        board.set(0, switch("", false, true));
        assert!(held(&board, "DFW", Deed::Removing).unwrap().contains("removing in every region"));
    }

    #[test]
    fn an_older_word_read_later_changes_nothing() {
        let mut board = Board::of([]);
        board.set(8, switch("LON", true, true));
        board.set(7, switch("LON", false, false));
        assert!(held(&board, "LON", Deed::Adding).is_some());
        board.set(9, switch("LON", false, false));
        assert_eq!((held(&board, "LON", Deed::Adding), held(&board, "LON", Deed::Removing)), (None, None));
    }

    #[test]
    fn a_board_that_hears_nothing_makes_no_server_and_removes_what_is_to_go() {
        let mut board = Board::default();
        assert!(held(&board, "LON", Deed::Adding).unwrap().contains("have been read"));
        assert_eq!(held(&board, "LON", Deed::Removing), None);
        board.hear(Instant::now());
        assert_eq!(held(&board, "LON", Deed::Adding), None);
        let Some(long_ago) = Instant::now().checked_sub(PATIENCE) else { return };
        board.hear(long_ago);
        assert!(held(&board, "LON", Deed::Adding).unwrap().contains("not been heard for 30 s"));
        board.hear(Instant::now());
        board.forget();
        assert!(held(&board, "LON", Deed::Adding).is_some(), "what is to be read anew is not known");
    }

    #[test]
    fn where_the_installation_has_gone_nothing_is_made_or_removed() {
        let mut board = Board::of([]);
        board.go(Some("it was moved".into()));
        for deed in [Deed::Adding, Deed::Removing] {
            assert_eq!(held(&board, "LON", deed).as_deref(), Some("it was moved"));
        }
        board.go(None);
        assert_eq!(held(&board, "LON", Deed::Removing), None);
    }
}
