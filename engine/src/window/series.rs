//! What one server sent of one metric, pane by pane.
//!
//! Nearly every pane holds one sample, since a pane is a sample's period or longer only where the look-back is long. Such a
//! series is kept as bare samples, 16 bytes a pane in one block, so that a value at an edge is read from a line or two of
//! memory. The first pane with a second sample, or a window with percentiles, makes it a list of whole panes. Which of the
//! two it is shows nowhere: not in a value, and not in a snapshot.

use super::wire;
use crate::{fetch, ordered::Ordered, sketch::Sketch};
use serde::{Deserialize, Serialize};
use weir_grammar::quantity::Quantity;

/// What one server sent.
#[derive(Clone, Debug)]
pub(super) struct Series {
    /// Time of its newest sample; outlives the panes, so that an old sample stays old.
    pub(super) newest_ms: i64,
    panes: Panes,
}

#[derive(Clone, Debug)]
enum Panes {
    /// One sample a pane: its time and its value, in the order of time.
    Bare(Vec<(i64, i64)>),
    /// By the pane's number.
    Whole(Ordered<i64, Pane>),
}

/// The samples of one server in one pane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pane {
    pub(super) stats: Stats,
    /// Empty where the window keeps none.
    pub(super) sketch: Sketch,
}

/// What `avg sum min max last` need of some samples of one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stats {
    pub(super) count: u32,
    pub(super) sum: i128,
    pub(super) min: i64,
    pub(super) max: i64,
    pub(super) last: i64,
    pub(super) last_ms: i64,
}

/// Bare samples are kept in blocks of so many: a short look-back then wastes little, a long one grows seldom.
const BLOCK: usize = 4;

impl Series {
    /// One without samples.
    pub(super) fn new(newest_ms: i64, sketch: bool) -> Self {
        let panes = if sketch { Panes::Whole(Ordered::default()) } else { Panes::Bare(Vec::new()) };
        Self { newest_ms, panes }
    }

    /// Adds a sample to its pane, and drops the oldest pane where there are more than `most`.
    pub(super) fn insert(&mut self, pane_ms: i64, at_ms: i64, Quantity(value): Quantity, sketch: bool, most: usize) {
        self.newest_ms = self.newest_ms.max(at_ms);
        match &mut self.panes {
            Panes::Bare(samples) => {
                if !put(samples, pane_ms, at_ms, value) {
                    let mut panes = whole(samples, pane_ms);
                    add(&mut panes, pane_ms, at_ms, value, sketch);
                    self.panes = Panes::Whole(panes);
                } else if samples.len() > most {
                    samples.remove(0);
                }
            }
            Panes::Whole(panes) => {
                add(panes, pane_ms, at_ms, value, sketch);
                if panes.len() > most {
                    panes.drop_first();
                }
            }
        }
    }

    /// Its samples are on their way into the cache.
    pub(super) fn fetch(&self) {
        match &self.panes {
            Panes::Bare(samples) => fetch::list(samples),
            Panes::Whole(panes) => panes.fetch(),
        }
    }

    /// Whether no pane is left.
    pub(super) fn is_empty(&self) -> bool {
        match &self.panes {
            Panes::Bare(samples) => samples.is_empty(),
            Panes::Whole(panes) => panes.is_empty(),
        }
    }

    /// Drops the panes before the number `floor`.
    pub(super) fn drop_before(&mut self, pane_ms: i64, floor: i64) {
        match &mut self.panes {
            Panes::Bare(samples) => {
                let begins = floor.saturating_mul(pane_ms);
                if samples.first().is_some_and(|(at, _)| *at < begins) {
                    let stale = samples.partition_point(|(at, _)| *at < begins);
                    samples.drain(..stale);
                }
            }
            Panes::Whole(panes) => panes.drop_before(floor),
        }
    }

    /// The samples in the panes from the number `from` up to and without `end`, reduced; `None` where there are none.
    pub(super) fn reduce(&self, pane_ms: i64, from: i64, end: i64) -> Option<Stats> {
        match &self.panes {
            Panes::Bare(samples) => {
                let (from_ms, end_ms) = (from.saturating_mul(pane_ms), end.saturating_mul(pane_ms));
                let within = samples.iter().skip_while(|(at, _)| *at < from_ms).take_while(|(at, _)| *at < end_ms);
                within.map(|(at, value)| Stats::of(*at, *value)).reduce(Stats::and)
            }
            Panes::Whole(panes) => panes.range(from, end).iter().map(|(_, pane)| pane.stats).reduce(Stats::and),
        }
    }

    /// What percentiles need of the same panes, added to `all`.
    pub(super) fn merge_into(&self, all: &mut Sketch, from: i64, end: i64) {
        if let Panes::Whole(panes) = &self.panes {
            panes.range(from, end).iter().for_each(|(_, pane)| all.merge(&pane.sketch));
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        match &self.panes {
            Panes::Bare(samples) => samples.len(),
            Panes::Whole(panes) => panes.len(),
        }
    }

    /// As it is written.
    pub(super) fn to_wire(&self, pane_ms: i64) -> wire::Series {
        let panes = match &self.panes {
            Panes::Bare(samples) => whole(samples, pane_ms),
            Panes::Whole(panes) => panes.clone(),
        };
        wire::Series { newest_ms: self.newest_ms, panes }
    }

    /// From what was written.
    pub(super) fn from_wire(written: wire::Series, pane_ms: i64, sketch: bool) -> Self {
        let wire::Series { newest_ms, panes } = written;
        let bare = |(index, pane): &(i64, Pane)| {
            pane.stats == Stats::of(pane.stats.last_ms, pane.stats.last)
                && *index == pane.stats.last_ms.div_euclid(pane_ms)
        };
        let panes = if !sketch && panes.iter().all(bare) {
            Panes::Bare(panes.values().map(|pane| (pane.stats.last_ms, pane.stats.last)).collect())
        } else {
            Panes::Whole(panes)
        };
        Self { newest_ms, panes }
    }
}

/// Puts a bare sample into its place, unless its pane has one.
fn put(samples: &mut Vec<(i64, i64)>, pane_ms: i64, at_ms: i64, value: i64) -> bool {
    // Time goes on, so a sample is nearly always the newest.
    let place = match samples.last() {
        Some((last, _)) if *last > at_ms => samples.partition_point(|(at, _)| *at <= at_ms),
        _ => samples.len(),
    };
    let begins = at_ms.div_euclid(pane_ms).saturating_mul(pane_ms);
    let shares = |neighbour: Option<&(i64, i64)>| {
        neighbour.is_some_and(|(at, _)| *at >= begins && at.saturating_sub(begins) < pane_ms)
    };
    let before = place.checked_sub(1).and_then(|before| samples.get(before));
    if shares(before) || shares(samples.get(place)) {
        return false;
    }
    if samples.len() == samples.capacity() {
        samples.reserve_exact(BLOCK);
    }
    samples.insert(place, (at_ms, value));
    true
}

fn add(panes: &mut Ordered<i64, Pane>, pane_ms: i64, at_ms: i64, value: i64, sketch: bool) {
    let stats = Stats::of(at_ms, value);
    let (pane, new) = panes.entry(at_ms.div_euclid(pane_ms), || Pane { stats, sketch: Sketch::default() });
    if !new {
        pane.stats = pane.stats.and(stats);
    }
    if sketch {
        pane.sketch.insert(value);
    }
}

fn whole(samples: &[(i64, i64)], pane_ms: i64) -> Ordered<i64, Pane> {
    let mut panes = Ordered::default();
    samples.iter().for_each(|(at_ms, value)| add(&mut panes, pane_ms, *at_ms, *value, false));
    panes
}

impl Stats {
    pub(super) fn of(at_ms: i64, value: i64) -> Self {
        Self { count: 1, sum: value.into(), min: value, max: value, last: value, last_ms: at_ms }
    }

    /// Both together; of two samples of one time the one that arrived later is the last.
    pub(super) fn and(self, later: Self) -> Self {
        let newest = if later.last_ms >= self.last_ms { later } else { self };
        Self {
            count: self.count.saturating_add(later.count),
            sum: self.sum + later.sum,
            min: self.min.min(later.min),
            max: self.max.max(later.max),
            last: newest.last,
            last_ms: newest.last_ms,
        }
    }

    pub(super) fn mean(self) -> i64 {
        super::round_div(self.sum, self.count.into())
    }
}
