//! Exact fractions, for the judge's own arithmetic.

/// A fraction in its lowest terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fraction {
    above: i128,
    below: i128,
}

impl Fraction {
    /// Nothing.
    pub const ZERO: Self = Self { above: 0, below: 1 };

    fn new(above: i128, below: i128) -> Self {
        let (mut one, mut other) = (above.unsigned_abs(), below.unsigned_abs());
        while other != 0 {
            (one, other) = (other, one % other);
        }
        let divisor = i128::try_from(one.max(1)).unwrap_or(1);
        Self { above: above / divisor, below: below / divisor }
    }

    /// A whole number.
    #[must_use]
    pub fn whole(number: i64) -> Self {
        Self { above: number.into(), below: 1 }
    }

    /// The mean of some numbers; of none, nothing.
    #[must_use]
    pub fn mean(numbers: &[i64]) -> Self {
        Self::new(numbers.iter().copied().map(i128::from).sum(), numbers.len().max(1) as i128)
    }

    /// The sum of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self::new(self.above * other.below + other.above * self.below, self.below * other.below)
    }

    /// So many times it.
    #[must_use]
    pub fn times(self, factor: i128) -> Self {
        Self::new(self.above * factor, self.below)
    }

    /// Divided by a positive number.
    #[must_use]
    pub fn over(self, divisor: i128) -> Self {
        Self::new(self.above, self.below * divisor)
    }

    /// Without its sign.
    #[must_use]
    pub fn abs(self) -> Self {
        Self { above: self.above.abs(), ..self }
    }

    /// Whether it is above a whole number.
    #[must_use]
    pub fn is_above(self, number: i64) -> bool {
        self.above > i128::from(number) * self.below
    }

    /// Whether it is no further than `distance` from a whole number.
    #[must_use]
    pub fn is_near(self, number: i64, distance: i64) -> bool {
        (self.above - i128::from(number) * self.below).abs() <= i128::from(distance) * self.below
    }

    /// The smallest whole number that is not below it.
    #[must_use]
    pub fn ceil(self) -> i128 {
        -(-self.above).div_euclid(self.below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_of_means_is_exact() {
        let mean = Fraction::mean(&[1, 2]).plus(Fraction::mean(&[1, 0, 0])).over(2);
        assert_eq!(mean, Fraction { above: 11, below: 12 });
        assert_eq!((mean.ceil(), mean.times(-1).ceil(), Fraction::whole(3).ceil()), (1, 0, 3));
        assert!(mean.is_above(0) && !mean.is_above(1) && mean.is_near(1, 1) && !mean.is_near(2, 1));
    }
}
