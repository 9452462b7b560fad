//! The samples of one metric, of one group (or, where it is shared, of one tenant), in panes of one length.
//!
//! A group inserts samples as they come and evaluates at pane edges; rules 4 and 5 of the language are here and nowhere
//! else. Which sample is new enough, which servers are warm and when to evaluate is the caller's business. Pure data:
//! it never reads a clock, and of each server it never holds more panes than [`Window::new`] said, however many samples it
//! is given.

mod series;
mod wire;

use crate::{
    ordered::Ordered,
    planted::{self, Bug},
    sketch::Sketch,
};
use serde::{Deserialize, Serialize};
use series::{Series, Stats};
use weir_grammar::policy::Func;
use weir_grammar::quantity::{Millis, Quantity};

/// A look-back is cut into at most this many panes (rule 4).
const PANES_MAX: i64 = 20;

/// A sample may be this far ahead of `t` (rule 1), and so in a pane that has not begun.
const AHEAD_MAX: Millis = Millis(30_000);

/// This share, in percent, of the expected samples makes a server known, and of the servers an aggregate (rule 5).
const KNOWN_PERCENT: i64 = 80;

/// The length of a pane in milliseconds, for a metric sampled `every` and looked back on `over` (rule 4).
#[must_use]
pub fn pane_ms(every: Millis, over: Millis) -> i64 {
    every.0.max(div_ceil(over.0, PANES_MAX)).max(1)
}

/// The samples of one metric in panes of one length, aligned to the epoch.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "wire::Window")]
pub struct Window {
    pane_ms: i64,
    /// Complete panes that an evaluation may need.
    keep: u32,
    with_sketch: bool,
    /// The lowest pane still kept.
    floor: i64,
    series: Ordered<u64, Series>,
}

/// An aggregate at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value {
    /// Known by rule 5.
    Known {
        /// The aggregate.
        value: Quantity,
        /// Servers that are known; only they contributed.
        servers: u32,
        /// Servers that are warm and expected to have samples.
        of: u32,
        /// Every warm server is known, those not yet expected to have samples included: what a removal needs (rule 9).
        all_known: bool,
    },
    /// Too few servers are known, or none is expected to be.
    Unknown {
        /// Servers that are known.
        known: u32,
        /// Servers that are warm and expected to have samples.
        of: u32,
    },
}

impl Default for Value {
    fn default() -> Self {
        Self::Unknown { known: 0, of: 0 }
    }
}

impl Window {
    /// An empty one that keeps `keep` complete panes of `pane_ms`, with what percentiles need if `sketch`.
    #[must_use]
    pub fn new(pane_ms: i64, keep: u32, sketch: bool) -> Self {
        Self { pane_ms: pane_ms.max(1), keep, with_sketch: sketch, floor: i64::MIN, series: Ordered::default() }
    }

    /// Its series are on their way into the cache.
    pub(crate) fn fetch_series(&self) {
        self.series.fetch();
    }

    /// Likewise the samples of its series.
    pub(crate) fn fetch_samples(&self) {
        self.series.values().for_each(Series::fetch);
    }

    /// Adds a sample of `server` (its key, 0 where the metric is shared) to its own pane, late ones too. What lies
    /// before the kept panes is dropped.
    pub fn insert(&mut self, server: u64, at_ms: i64, value: Quantity) {
        let index = at_ms.div_euclid(self.pane_ms);
        if index < self.floor {
            return;
        }
        let pane_count_max = self.keep as usize + 2 + (AHEAD_MAX.0 / self.pane_ms) as usize;
        let (series, _) = self.series.entry(server, || Series::new(at_ms, self.with_sketch));
        series.insert(self.pane_ms, at_ms, value, self.with_sketch, pane_count_max);
    }

    /// Adds a sample of `server` where it is newer than the last one of its series; whether it is.
    pub fn hear(&mut self, server: u64, at_ms: i64, value: Quantity) -> bool {
        let newer = self.last_at(server).is_none_or(|last| last < at_ms);
        if newer {
            self.insert(server, at_ms, value);
        }
        newer
    }

    /// The time of a server's newest sample, also after its pane is gone.
    #[must_use]
    pub fn last_at(&self, server: u64) -> Option<i64> {
        self.series.get(server).map(|series| series.newest_ms)
    }

    /// A server left: nothing of it is kept.
    pub fn forget(&mut self, server: u64) {
        self.series.remove(server);
    }

    /// A new version of the policy looks back further, or less far.
    pub fn set_keep(&mut self, keep: u32) {
        self.keep = keep;
    }

    /// Drops the panes that no evaluation at or after `now_ms` needs.
    pub fn trim(&mut self, now_ms: i64) {
        let floor = now_ms.div_euclid(self.pane_ms).saturating_sub(i64::from(self.keep));
        self.floor = self.floor.max(floor);
        for series in self.series.values_mut() {
            series.drop_before(self.pane_ms, self.floor);
        }
    }

    /// The next pane edge after `now_ms`, at which a value may change; `None` where nothing is stored.
    #[must_use]
    pub fn next_edge_after(&self, now_ms: i64) -> Option<i64> {
        let stored = self.series.values().any(|series| !series.is_empty());
        stored.then(|| (now_ms.div_euclid(self.pane_ms) + 1).saturating_mul(self.pane_ms))
    }

    /// The aggregate over the last ceil(`over` / pane) complete panes at `now_ms`, of the warm `servers`: their keys,
    /// and from when on (epoch milliseconds, the end of its warmup) each counts.
    ///
    /// A server whose warmup ends within a pane counts from that pane's end on, since the pane may hold samples from
    /// before. Each mean, a server's and the servers', is rounded to the millionth, half away from zero.
    #[must_use]
    pub fn evaluate(&self, func: Func, over: Millis, every: Millis, now_ms: i64, servers: &[(u64, i64)]) -> Value {
        let end = now_ms.div_euclid(self.pane_ms);
        let start = end.saturating_sub(div_ceil(over.0, self.pane_ms));
        let recent_ms = end.saturating_mul(self.pane_ms).saturating_sub(every.0.saturating_mul(2));
        let (mut all, mut of) = (Across::default(), 0_u32);
        for &(server, counts_from_ms) in servers {
            let always = counts_from_ms <= start.saturating_mul(self.pane_ms);
            let from = if always || planted::is(Bug::ColdSample) {
                start
            } else {
                start.max(div_ceil(counts_from_ms, self.pane_ms))
            };
            let expected = (end.saturating_sub(from)).saturating_mul(self.pane_ms) / every.0.max(1);
            if expected < 1 {
                continue;
            }
            of += 1;
            let needed = (expected.saturating_mul(KNOWN_PERCENT) / 100).max(1);
            let Some(series) = self.series.get(server) else { continue };
            let Some(stats) = series.reduce(self.pane_ms, from, end) else { continue };
            if i64::from(stats.count) >= needed && stats.last_ms >= recent_ms {
                all.add(func, stats);
                if matches!(func, Func::Percentile(_)) {
                    series.merge_into(&mut all.sketch, from, end);
                }
            }
        }
        let few = planted::is(Bug::FewKnown) && all.servers > 0;
        let enough = few || of > 0 && i64::from(all.servers) * 100 >= i64::from(of) * KNOWN_PERCENT;
        match all.value(func).filter(|_| enough) {
            Some(value) => {
                let all_known = all.servers as usize == servers.len();
                Value::Known { value: Quantity(value), servers: all.servers, of, all_known }
            }
            None => Value::Unknown { known: all.servers, of },
        }
    }
}

/// The known servers' reductions together (rule 4).
#[derive(Default)]
struct Across {
    servers: u32,
    /// Of what each server contributes: its mean, or its latest.
    sum: i128,
    ends: Option<(i64, i64)>,
    sketch: Sketch,
}

impl Across {
    fn add(&mut self, func: Func, stats: Stats) {
        self.servers += 1;
        self.sum += i128::from(match func {
            Func::Avg | Func::Sum => stats.mean(),
            Func::Last => stats.last,
            Func::Min | Func::Max | Func::Percentile(_) => 0,
        });
        let (min, max) = self.ends.unwrap_or((stats.min, stats.max));
        self.ends = Some((min.min(stats.min), max.max(stats.max)));
    }

    /// `None` where there are no servers, or of a percentile of what has no sketch.
    fn value(&self, func: Func) -> Option<i64> {
        let (min, max) = self.ends?;
        Some(match func {
            Func::Avg | Func::Last => round_div(self.sum, self.servers.into()),
            Func::Sum => round_div(self.sum, 1),
            Func::Min => min,
            Func::Max => max,
            // A bucket's middle may lie outside of what was ever sent.
            Func::Percentile(percent) => self.sketch.percentile(percent)?.clamp(min, max),
        })
    }
}

/// The quotient rounded half away from zero; what lies outside of `i64` becomes its end.
fn round_div(dividend: i128, divisor: i128) -> i64 {
    let (twice, divisor) = (dividend.unsigned_abs() * 2, divisor.unsigned_abs());
    // Nearly all fit into one word, and a division of two is many times slower.
    let magnitude = match (u64::try_from(twice + divisor), u64::try_from(divisor * 2)) {
        (Ok(dividend), Ok(divisor)) => u128::from(dividend / divisor.max(1)),
        _ => (twice + divisor) / (divisor * 2).max(1),
    };
    let magnitude = i64::try_from(magnitude).unwrap_or(i64::MAX);
    if dividend < 0 { -magnitude } else { magnitude }
}

fn div_ceil(dividend: i64, divisor: i64) -> i64 {
    dividend.saturating_add(divisor - 1).div_euclid(divisor)
}

#[cfg(test)]
mod tests;
