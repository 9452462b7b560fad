//! The values that the configuration writes as text: lengths of time, budgets, kinds of cloud, roles.

use serde::{Deserialize, Deserializer, de::Error as _};
use std::{fmt, str::FromStr, time::Duration};
use weir_engine::grammar::quantity::Millis;

/// A length of time, written as in policies: `250ms`, `90s`, `1h30m`, `7d`. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Length(Millis);

impl Length {
    /// So many seconds.
    #[must_use]
    pub const fn seconds(seconds: i64) -> Self {
        Self(Millis(seconds * 1_000))
    }

    /// So many days of 24 hours.
    #[must_use]
    pub const fn days(days: i64) -> Self {
        Self::seconds(days * 86_400)
    }

    /// In milliseconds.
    #[must_use]
    pub const fn ms(self) -> i64 {
        self.0.0
    }

    /// For timers.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_millis(self.0.0.unsigned_abs())
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Length {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no length of time; write `90s`, `5m`, `1h30m` or `7d`");
        let (mut total, mut rest) = (0_i64, text);
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
            let (number, tail) = rest.split_at(digits);
            let (unit, tail) = tail.split_at(tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len()));
            let unit_ms = match unit {
                "ms" => 1,
                "s" => 1_000,
                "m" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                _ => return Err(wrong()),
            };
            let part = number.parse::<i64>().ok().and_then(|number| number.checked_mul(unit_ms)).ok_or_else(wrong)?;
            total = total.checked_add(part).ok_or_else(wrong)?;
            rest = tail;
        }
        if total == 0 { Err(wrong()) } else { Ok(Self(Millis(total))) }
    }
}

/// So many in any stretch so long: `20 per 1m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// How many.
    pub count: u32,
    /// In how long.
    pub per: Length,
}

impl FromStr for Budget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no budget; write `20 per 1m`");
        let (count, per) = text.split_once(" per ").ok_or_else(wrong)?;
        let count = count.trim().parse().ok().filter(|count| *count > 0).ok_or_else(wrong)?;
        Ok(Self { count, per: per.trim().parse()? })
    }
}

/// The clouds of this build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloudKind {
    /// Servers that exist in memory, to try policies on.
    Simulated,
    /// Rackspace's, with Identity v2.
    Rackspace,
}

impl FromStr for CloudKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "simulated" => Ok(Self::Simulated),
            "rackspace" => Ok(Self::Rackspace),
            _ => Err(format!("no cloud of kind `{text}`: this build has `simulated` and `rackspace`")),
        }
    }
}

/// What an API token permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Sends alarms, samples and events, and nothing else: for monitoring systems.
    Sender,
    /// Reads.
    Viewer,
    /// Reads, sends, forces, pauses and resumes.
    Operator,
    /// Everything.
    Admin,
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "sender" => Ok(Self::Sender),
            "viewer" => Ok(Self::Viewer),
            "operator" => Ok(Self::Operator),
            "admin" => Ok(Self::Admin),
            _ => Err(format!("no role `{text}`: there are `sender`, `viewer`, `operator` and `admin`")),
        }
    }
}

macro_rules! from_text {
    ($($kind:ty),*) => {$(
        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    )*};
}
from_text!(Length, Budget, CloudKind, Role);
