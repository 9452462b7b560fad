//! Samples on a test's grid, and the pieces that say them: as few as do.

use super::witness::Scene;
use crate::id::Slot;
use std::collections::{BTreeMap, BTreeSet};
use weir_grammar::{
    policy::{Condition, Policy, Trigger, Unit},
    quantity::{Millis, Quantity},
};

/// Servers that may have lines of their own; with more, nobody reads them.
const APART_MAX: usize = 16;

/// How exactly samples are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Detail {
    /// Values of one piece may be this far apart, in thousandths of the largest.
    pub(super) tolerance: i64,
    /// Given servers have lines of their own.
    pub(super) apart: bool,
    /// Inputs are put on whole seconds.
    pub(super) seconds: bool,
}

impl Detail {
    /// From what is read most easily to what is most exact.
    pub(super) const ALL: [Self; 6] = [
        Self { tolerance: 50, apart: false, seconds: true },
        Self { tolerance: 10, apart: false, seconds: true },
        Self { tolerance: 0, apart: false, seconds: true },
        Self { tolerance: 10, apart: true, seconds: true },
        Self { tolerance: 0, apart: true, seconds: true },
        Self { tolerance: 0, apart: true, seconds: false },
    ];
}

/// The values of a piece, and how long it lasts; `None` is missing.
pub(super) type Piece = (Option<Quantity>, Millis);

/// One metric of a stretch: a value for each period, of all servers together and of each given one.
#[derive(Clone, Debug)]
pub(super) struct Grid {
    /// The metric's place in the file.
    pub(super) metric: usize,
    every: Millis,
    unit: Unit,
    all: Vec<Option<Quantity>>,
    /// Those who came later, together.
    newer: Vec<Option<Quantity>>,
    each: Vec<Vec<Option<Quantity>>>,
}

impl Grid {
    /// The metrics that the group's rules read and that were heard, in the order of the file.
    pub(super) fn all(scene: &Scene, policy: &Policy) -> Vec<Self> {
        let read = read_by(scene, policy);
        let mut grids: Vec<Self> = read.into_iter().filter_map(|metric| Self::new(scene, policy, metric)).collect();
        grids.retain(|grid| grid.all.iter().any(Option::is_some));
        grids
    }

    fn new(scene: &Scene, policy: &Policy, metric: usize) -> Option<Self> {
        let declared = policy.metrics.get(metric)?;
        let (every, shared) = (declared.every, declared.shared);
        let periods = usize::try_from((scene.until_ms - scene.begin_ms + every.0 - 1).max(1) / every.0).unwrap_or(0);
        let mut of: BTreeMap<Option<Slot>, Vec<Vec<Quantity>>> = BTreeMap::new();
        for ((_, whom), samples) in scene.samples.iter().filter(|((known, _), _)| *known == metric) {
            let periods = of.entry(*whom).or_insert_with(|| vec![Vec::new(); periods]);
            for (at_ms, value) in samples {
                let place = usize::try_from((at_ms - scene.begin_ms).div_euclid(every.0)).ok();
                if let Some(values) = place.and_then(|place| periods.get_mut(place)) {
                    values.push(*value);
                }
            }
        }
        let of: BTreeMap<Option<Slot>, Vec<Option<Quantity>>> =
            of.into_iter().map(|(whom, periods)| (whom, periods.iter().map(|values| mean(values)).collect())).collect();
        let together = |whom: &dyn Fn(&Option<Slot>) -> bool, least: &dyn Fn(usize) -> usize| {
            let at = |place: usize| {
                let values = of.iter().filter(|(known, _)| whom(known)).filter_map(|(_, values)| *values.get(place)?);
                let values: Vec<Quantity> = values.collect();
                if values.len() < least(place) { None } else { mean(&values) }
            };
            (0..periods).map(at).collect::<Vec<_>>()
        };
        // Where fewer than four in five spoke, nothing was known; the test hears nothing then (rule 5).
        let enough = |place: usize| {
            let at_ms = scene.begin_ms.saturating_add((place as i64).saturating_mul(every.0));
            let ready = scene.ready.iter().take_while(|(since, _)| *since <= at_ms).last();
            if shared { 1 } else { (ready.map_or(1, |(_, ready)| ready.len()) * 4).div_ceil(5).max(1) }
        };
        let newer = |whom: &Option<Slot>| whom.is_none_or(|slot| !scene.given.contains(&slot));
        let each = match shared || scene.given.len() > APART_MAX {
            true => Vec::new(),
            false => scene.given.iter().map(|slot| of.get(&Some(*slot)).cloned().unwrap_or_default()).collect(),
        };
        Some(Self {
            metric,
            every,
            unit: declared.unit,
            all: together(&|_| true, &enough),
            newer: together(&newer, &|_| 1),
            each,
        })
    }

    /// Whether its servers can have lines of their own.
    pub(super) fn can_part(&self) -> bool {
        self.each.len() > 1
    }

    /// The lines, each with its pieces and the server that it is for.
    pub(super) fn lines(&self, detail: Detail) -> Vec<(Option<usize>, Vec<Piece>)> {
        let pieces = |values: &[Option<Quantity>]| self.pieces(values, detail.tolerance);
        if !detail.apart || !self.can_part() {
            return vec![(None, pieces(&self.all))];
        }
        // The line for all is for those who come later, and they are as all are where nobody came later then.
        let newer: Vec<_> = self.newer.iter().zip(&self.all).map(|(newer, all)| newer.or(*all)).collect();
        let each = self.each.iter().enumerate().filter(|(_, values)| values.iter().any(Option::is_some));
        let each = each.map(|(place, values)| (Some(place + 1), pieces(values)));
        std::iter::once((None, pieces(&newer))).chain(each).collect()
    }

    /// Neighbours that are near enough to each other become one piece.
    fn pieces(&self, values: &[Option<Quantity>], tolerance: i64) -> Vec<Piece> {
        let largest = values.iter().flatten().map(|value| value.0.abs()).max().unwrap_or(0);
        let apart = (i128::from(largest) * i128::from(tolerance) / 1_000) as i64;
        let mut pieces: Vec<Piece> = Vec::new();
        let mut run: Vec<Option<Quantity>> = Vec::new();
        let mut close = |run: &mut Vec<Option<Quantity>>| {
            let Some(first) = run.first() else { return };
            let known: Vec<Quantity> = run.iter().flatten().copied().collect();
            let value = first.and_then(|_| mean(&known)).map(|value| self.rounded(value, apart));
            let length = Millis(self.every.0.saturating_mul(run.len() as i64));
            match pieces.last_mut() {
                Some((known, before)) if *known == value => before.0 = before.0.saturating_add(length.0),
                _ => pieces.push((value, length)),
            }
            run.clear();
        };
        for value in values {
            let fits = run.iter().all(|known| match (known, value) {
                (Some(known), Some(value)) => known.0.abs_diff(value.0) <= apart.unsigned_abs(),
                (None, None) => true,
                _ => false,
            });
            if !fits {
                close(&mut run);
            }
            run.push(*value);
        }
        close(&mut run);
        pieces
    }

    /// To what is written anyway: a tenth where values of one piece differ, else as exact as the unit's literals are.
    fn rounded(&self, value: Quantity, apart: i64) -> Quantity {
        let step = match (self.unit, apart) {
            (Unit::Bytes, _) => Quantity::SCALE,
            (Unit::Duration, _) => Quantity::SCALE / 1_000,
            (Unit::Percent | Unit::Number, 0) => 1,
            (Unit::Percent | Unit::Number, apart) => [Quantity::SCALE, Quantity::SCALE / 10, Quantity::SCALE / 100]
                .into_iter()
                .find(|step| *step * 2 <= apart)
                .unwrap_or(1),
        };
        // Literals have no sign.
        Quantity((value.0.max(0).saturating_add(step / 2)) / step * step)
    }
}

/// The metrics that the group's rules read, or miss.
fn read_by(scene: &Scene, policy: &Policy) -> BTreeSet<usize> {
    let plan = policy.groups.iter().find(|plan| plan.name == scene.group);
    let mut read = BTreeSet::new();
    for rule in plan.into_iter().flat_map(|plan| &plan.rules) {
        match &rule.trigger {
            Trigger::When { condition, .. } => walk(condition, &mut |metric, _| read.extend([metric])),
            Trigger::Step { aggregate, .. } | Trigger::Track { aggregate, .. } => read.extend([aggregate.metric]),
            Trigger::Cron { .. } | Trigger::At { .. } | Trigger::Webhook { .. } | Trigger::Manual => {}
        }
    }
    read
}

/// The longest look-back of a condition.
pub(super) fn longest(condition: &Condition) -> Millis {
    let mut longest = Millis(0);
    walk(condition, &mut |_, over| longest = longest.max(over));
    longest
}

/// Each metric that a condition reads, and how far back.
fn walk(condition: &Condition, found: &mut dyn FnMut(usize, Millis)) {
    match condition {
        Condition::All(parts) | Condition::Any(parts) => parts.iter().for_each(|part| walk(part, found)),
        Condition::Not(part) => walk(part, found),
        Condition::Compare(comparison) => found(comparison.aggregate.metric, comparison.aggregate.over),
        Condition::Missing(test) => found(test.metric, test.hold),
        Condition::Count(_) | Condition::Alarm(_) => {}
    }
}

fn mean(values: &[Quantity]) -> Option<Quantity> {
    let sum: i128 = values.iter().map(|value| i128::from(value.0)).sum();
    let count = values.len() as i128;
    let doubled = sum.checked_mul(2)?.checked_add(count)?;
    doubled.checked_div_euclid(count.checked_mul(2)?).and_then(|mean| i64::try_from(mean).ok()).map(Quantity)
}
