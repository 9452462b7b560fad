//! Time zones: names from the IANA database, and wall time to instants and back.
//!
//! The database is compiled in. It must never be read from the machine, or two machines would decide differently.

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The first and last instants that are read as they are, the years 1 to 9999; what lies outside is moved to them.
const INSTANTS: (i64, i64) = (-62_135_596_800_000, 253_402_300_799_999);

/// More than any zone's wall clock has been away from UTC: 14 hours, and the day that Samoa left out.
const OFFSET_MAX: TimeDelta = TimeDelta::hours(26);

/// An IANA zone, `Europe/London`. Written and read as its name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub struct Zone(Tz);

impl Zone {
    /// Coordinated universal time, the zone where none is named.
    pub const UTC: Self = Self(Tz::UTC);

    /// The zone of this name, spelled exactly as in the database.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        name.parse().ok().map(Self)
    }

    /// Every name in the database, in its order; for suggestions.
    pub fn names() -> impl Iterator<Item = &'static str> {
        chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name())
    }

    /// The IANA name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// What the wall clock shows at an instant (epoch milliseconds).
    #[must_use]
    pub fn local(self, at_ms: i64) -> NaiveDateTime {
        let utc = DateTime::from_timestamp_millis(at_ms.clamp(INSTANTS.0, INSTANTS.1)).unwrap_or_default().naive_utc();
        utc + self.0.offset_from_utc_datetime(&utc).fix()
    }

    /// The first instant after the gap in which `skipped` lies.
    pub(super) fn after_gap(self, skipped: NaiveDateTime) -> i64 {
        // Around a gap the wall clock only moves forward, so the first instant that shows a later time can be halved
        // for. No zone has turned its clock back within two days of leaving a gap.
        let mut before = (skipped - OFFSET_MAX).and_utc().timestamp_millis();
        let mut after = (skipped + OFFSET_MAX).and_utc().timestamp_millis();
        while after - before > 1 {
            let middle = before + (after - before) / 2;
            if self.local(middle) > skipped { after = middle } else { before = middle }
        }
        after
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self::UTC
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({})", self.name())
    }
}

impl From<Zone> for &'static str {
    fn from(zone: Zone) -> Self {
        zone.name()
    }
}

/// A name that is not in the database.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown time zone `{0}`: give a name of the IANA database, as `Europe/London`")]
pub struct UnknownZone(pub String);

impl TryFrom<String> for Zone {
    type Error = UnknownZone;

    fn try_from(name: String) -> Result<Self, UnknownZone> {
        Self::parse(&name).ok_or(UnknownZone(name))
    }
}

/// The version of the compiled-in database, `2025b`; every decision carries it.
#[must_use]
pub fn database_version() -> &'static str {
    chrono_tz::IANA_TZDB_VERSION
}

/// How often a wall time comes to pass, with its instants in epoch milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalTime {
    /// As nearly always.
    Once(i64),
    /// The clock was turned back over it: the first pass, the second pass.
    Twice(i64, i64),
    /// The clock was turned forward over it.
    Never,
}

/// The instants at which the zone's wall clock shows `local`.
#[must_use]
pub fn local_to_instant(zone: Zone, local: NaiveDateTime) -> LocalTime {
    match zone.0.from_local_datetime(&local) {
        MappedLocalTime::Single(at) => LocalTime::Once(at.timestamp_millis()),
        MappedLocalTime::Ambiguous(one, other) => {
            let (one, other) = (one.timestamp_millis(), other.timestamp_millis());
            LocalTime::Twice(one.min(other), one.max(other))
        }
        MappedLocalTime::None => LocalTime::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::NaiveDate;

    fn wall(text: &str) -> NaiveDateTime {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M").unwrap()
    }

    fn utc(text: &str) -> i64 {
        wall(text).and_utc().timestamp_millis()
    }

    #[test]
    fn gaps_and_folds_are_half_open() {
        let london = Zone::parse("Europe/London").unwrap();
        let at = |text| local_to_instant(london, wall(text));
        assert_eq!(at("2026-03-29T00:59"), LocalTime::Once(utc("2026-03-29T00:59")));
        assert_eq!(at("2026-03-29T01:00"), LocalTime::Never);
        assert_eq!(at("2026-03-29T01:59"), LocalTime::Never);
        assert_eq!(at("2026-03-29T02:00"), LocalTime::Once(utc("2026-03-29T01:00")));
        assert_eq!(at("2026-10-25T00:59"), LocalTime::Once(utc("2026-10-24T23:59")));
        assert_eq!(at("2026-10-25T01:00"), LocalTime::Twice(utc("2026-10-25T00:00"), utc("2026-10-25T01:00")));
        assert_eq!(at("2026-10-25T02:00"), LocalTime::Once(utc("2026-10-25T02:00")));
    }

    #[test]
    fn a_gap_ends_at_the_first_instant_after_it() {
        let end = |zone, text| Zone::parse(zone).unwrap().after_gap(wall(text));
        assert_eq!(end("Europe/London", "2026-03-29T01:00"), utc("2026-03-29T01:00"));
        assert_eq!(end("Europe/London", "2026-03-29T01:59"), utc("2026-03-29T01:00"));
        // Half an hour: 02:00 at +10:30 becomes 02:30 at +11.
        assert_eq!(end("Australia/Lord_Howe", "2026-10-04T02:15"), utc("2026-10-03T15:30"));
        // A whole day that Samoa left out.
        assert_eq!(end("Pacific/Apia", "2011-12-30T09:00"), utc("2011-12-30T10:00"));
    }

    #[test]
    fn zones_are_written_as_their_names() {
        let zone = Zone::parse("Australia/Lord_Howe").unwrap();
        assert_eq!(Zone::try_from(zone.name().to_owned()), Ok(zone));
        assert_eq!(Zone::parse("Europe/Lodnon"), None);
        assert_eq!(Zone::default().name(), "UTC");
        assert!(Zone::names().all(|name| Zone::parse(name).is_some()));
        assert!(database_version().starts_with("20"));
    }

    #[test]
    fn instants_past_all_calendars_are_moved_to_the_nearest() {
        let zone = Zone::parse("Pacific/Apia").unwrap();
        assert!(zone.local(i64::MIN) < NaiveDate::from_ymd_opt(2, 1, 1).unwrap().into());
        assert!(zone.local(i64::MAX) > NaiveDate::from_ymd_opt(9999, 1, 1).unwrap().into());
    }
}
