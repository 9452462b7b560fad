//! The numbers a policy is written in: integers and fixed point, never floats.
//!
//! Sums of integers are exact and do not depend on the order of their terms, so the same log gives the same decision on
//! every machine. Every metric value and every literal it is compared with is a [`Quantity`]; lengths of time are
//! [`Millis`]; shares of a size are [`Percent`].

use serde::{Deserialize, Serialize};
use std::fmt;

/// A metric's value, six decimals: `60%`, `0.75`, `250ms` (in seconds) and `512MiB` (in bytes) are 60, 0.75, 0.25 and
/// 536,870,912 with a scale of one million. The largest is a little over 9.2 × 10¹² of the metric's unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Quantity(pub i64);

impl Quantity {
    /// Millionths in one unit.
    pub const SCALE: i64 = 1_000_000;

    /// A whole number of units, or `None` past the range.
    #[must_use]
    pub fn whole(units: i64) -> Option<Self> {
        units.checked_mul(Self::SCALE).map(Self)
    }

    /// Reads JSON's and the language's decimal notation exactly (`68.4`, `-3`, `1e3`), rounding what lies beyond the
    /// sixth decimal half away from zero. `None` where it is no number or out of range.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = match rest.find(['e', 'E']) {
            Some(at) => (&rest[..at], rest[at + 1..].trim_start_matches('+').parse::<i32>().ok()?),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if whole.is_empty() || mantissa.ends_with('.') || whole.len() + fraction.len() > 400 {
            return None;
        }
        let digits = || whole.bytes().chain(fraction.bytes());
        if !digits().all(|b| b.is_ascii_digit()) {
            return None;
        }
        // The number is digits × 10^(exponent − fraction.len()); we want it × 10^6.
        let shift = i64::from(exponent) - fraction.len() as i64 + 6;
        let kept = (whole.len() + fraction.len()) as i64 + shift.min(0);
        let mut value: i128 = 0;
        for (index, digit) in digits().enumerate() {
            if (index as i64) < kept {
                value = value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
            } else if index as i64 == kept && digit >= b'5' {
                value += 1;
            }
        }
        for _ in 0..shift.max(0) {
            if value == 0 {
                break;
            }
            value = value.checked_mul(10)?;
        }
        i64::try_from(if negative { -value } else { value }).ok().map(Self)
    }
}

impl fmt::Display for Quantity {
    /// The shortest decimal that reads back as the same value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.unsigned_abs();
        let (whole, fraction) = (magnitude / Self::SCALE as u64, magnitude % Self::SCALE as u64);
        let sign = if self.0 < 0 { "-" } else { "" };
        if fraction == 0 {
            return write!(f, "{sign}{whole}");
        }
        let decimals = format!("{fraction:06}");
        write!(f, "{sign}{whole}.{}", decimals.trim_end_matches('0'))
    }
}

/// A length of time in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Millis(pub i64);

impl Millis {
    /// One second.
    pub const SECOND: Self = Self(1_000);
    /// One minute.
    pub const MINUTE: Self = Self(60_000);
    /// One hour.
    pub const HOUR: Self = Self(3_600_000);
    /// One day of 24 hours; days of 23 or 25 are a calendar's business.
    pub const DAY: Self = Self(86_400_000);

    /// A whole number of minutes.
    #[must_use]
    pub const fn minutes(minutes: i64) -> Self {
        Self(minutes * Self::MINUTE.0)
    }
}

impl fmt::Display for Millis {
    /// As the language writes it: `1h30m`, `90s` as `1m30s`, `0s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        if self.0 < 0 {
            f.write_str("-")?;
        }
        let mut rest = self.0.unsigned_abs();
        for (unit, length) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
            if rest >= length {
                write!(f, "{}{unit}", rest / length)?;
                rest %= length;
            }
        }
        Ok(())
    }
}

/// A share, in thousandths of a percent: `0.5%` is 500. May exceed 100 %.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Percent(pub i64);

impl Percent {
    /// The whole: `100%`.
    pub const WHOLE: Self = Self(100_000);

    /// This share of `size`, rounded away from zero, exactly: 0.1 % of 1000 is 1, 10 % of 11 is 2 (rule 18).
    #[must_use]
    pub fn of(self, size: u32) -> u32 {
        let share = i128::from(self.0.max(0)) * i128::from(size);
        u32::try_from((share + i128::from(Self::WHOLE.0) - 1) / i128::from(Self::WHOLE.0)).unwrap_or(u32::MAX)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", Quantity(self.0 * (Quantity::SCALE / 1_000)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_exactly_and_rounded_once() {
        let read = |text| Quantity::parse(text).map(|quantity| quantity.0);
        assert_eq!(read("68.4"), Some(68_400_000));
        assert_eq!(read("-0.0000005"), Some(-1));
        assert_eq!(read("0.0000004"), Some(0));
        assert_eq!(read("1e3"), Some(1_000_000_000));
        assert_eq!(read("1.5E-3"), Some(1_500));
        assert_eq!(read("12e-9"), Some(0));
        assert_eq!(read("0e999999"), Some(0));
        assert_eq!(read("9223372036854.775807"), Some(i64::MAX));
        for bad in ["", "-", ".5", "5.", "1e", "NaN", "1_0", "9223372036854.775808", "1e999999999"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn percentages_round_away_from_zero() {
        assert_eq!(Percent(100).of(1000), 1);
        assert_eq!(Percent(10_000).of(11), 2);
        assert_eq!(Percent(25_000).of(0), 0);
        assert_eq!(Percent(150_000).of(4), 6);
    }

    #[test]
    fn lengths_print_as_the_language_writes_them() {
        assert_eq!(Millis(5_400_000).to_string(), "1h30m");
        assert_eq!(Millis(250).to_string(), "250ms");
        assert_eq!(Percent(500).to_string(), "0.5%");
        assert_eq!(Quantity(68_400_000).to_string(), "68.4");
    }
}
