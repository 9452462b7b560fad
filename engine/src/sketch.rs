//! A distribution of samples in integer buckets, for percentiles.
//!
//! Each power of two is cut into 32 buckets, so a bucket is at most 1/32 of its values wide and its middle at most
//! 1/64 (1.6 %) off any of them: inside the 2 % of rule 4. Nothing but integers, so sketches merge in any order to the
//! same bytes. [`crate::window`] keeps one a pane.

use crate::planted::{self, Bug};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Buckets in one power of two.
const PER_DOUBLING: u64 = 32;

/// How many samples fell into each bucket. Bucket numbers are in the order of their values; negative values have
/// negative ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sketch {
    buckets: BTreeMap<i16, u32>,
}

impl Sketch {
    /// One more sample.
    pub fn insert(&mut self, value: i64) {
        let count = self.buckets.entry(bucket(value)).or_default();
        *count = count.saturating_add(1);
    }

    /// Adds what another saw.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, more) in &other.buckets {
            let count = self.buckets.entry(*bucket).or_default();
            *count = count.saturating_add(*more);
        }
    }

    /// The smallest value that at least `percent` of the samples do not exceed, to within 1/64 of it. `None` where
    /// there are no samples.
    #[must_use]
    pub fn percentile(&self, percent: u8) -> Option<i64> {
        let percent = if planted::is(Bug::PercentileTurned) { 100 - percent } else { percent };
        let total: u64 = self.buckets.values().map(|count| u64::from(*count)).sum();
        let rank = (total * u64::from(percent)).div_ceil(100);
        let mut seen = 0;
        let at_rank = self.buckets.iter().find(|(_, count)| {
            seen += u64::from(**count);
            seen >= rank
        });
        at_rank.map(|(bucket, _)| middle(*bucket))
    }
}

fn bucket(value: i64) -> i16 {
    let magnitude = value.unsigned_abs();
    // Doublings past the values that have a bucket of their own; at most 58, so that the number fits.
    let shift = magnitude.checked_ilog2().unwrap_or(0).saturating_sub(PER_DOUBLING.ilog2());
    let number = (u64::from(shift) * PER_DOUBLING + (magnitude >> shift)) as i16;
    if value < 0 { -number } else { number }
}

fn middle(bucket: i16) -> i64 {
    let number = u64::from(bucket.unsigned_abs());
    let shift = (number / PER_DOUBLING).saturating_sub(1);
    let lowest = (number - shift * PER_DOUBLING) << shift;
    let middle = i64::try_from(lowest + (1 << shift) / 2).unwrap_or(i64::MAX);
    if bucket < 0 { -middle } else { middle }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_middle_is_within_a_sixty_fourth(value: i64, shift in 0..63_u32) {
            let value = value >> shift;
            let off = i128::from(middle(bucket(value))).abs_diff(i128::from(value));
            prop_assert!(off * 64 <= u128::from(value.unsigned_abs()), "{value} became {}", middle(bucket(value)));
        }

        #[test]
        fn buckets_are_in_the_order_of_their_values(one: i64, other: i64, shift in 0..63_u32) {
            let (low, high) = ((one.min(other)) >> shift, (one.max(other)) >> shift);
            prop_assert!(bucket(low) <= bucket(high));
            prop_assert!(bucket(i64::MIN) <= bucket(low) && bucket(high) <= bucket(i64::MAX));
        }
    }

    #[test]
    fn a_percentile_is_a_nearest_rank() {
        let mut sketch = Sketch::default();
        assert_eq!(sketch.percentile(50), None);
        (1..=20).for_each(|value| sketch.insert(value));
        assert_eq!(
            [50, 90, 95, 99].map(|percent| sketch.percentile(percent)),
            [Some(10), Some(18), Some(19), Some(20)]
        );
        sketch.merge(&sketch.clone());
        assert_eq!(sketch.percentile(50), Some(10));
    }
}
