//! A cron expression: five POSIX fields, read as wall time in a zone.
//!
//! The fields are parsed here; the `cron` crate only walks the dates, over wall time held as UTC, because it numbers
//! weekdays from 1, wants seconds, skips what falls in a gap and knows neither `L` nor `#`. Wall time becomes an
//! instant by one rule:
//!
//! * hour and minute both fixed (values, ranges and lists of them): what falls in a gap runs at the first instant after
//!   it; in a fold once, at the first pass;
//! * hour or minute written with `*` or a step: runs whenever the wall clock shows such a time, so not in a gap, and in
//!   both passes of a fold.
//!
//! Two times that fall on one instant are one run.

use super::field::{Days, Field, FieldError, Set, list};
use super::zone::{LocalTime, Zone, local_to_instant};
use chrono::{DateTime, NaiveDateTime, NaiveTime, TimeDelta};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::RangeInclusive;
use std::str::FromStr;

/// No zone has turned its clock back further than this since 2000 (Antarctica/Casey did by three hours).
const FOLD_MAX: TimeDelta = TimeDelta::hours(3);

/// Dates looked at in one search. The rarest there is, a fifth Sunday in February, comes every 28 years, which is some
/// 115 Sundays.
const DATES_MAX: usize = 400;

/// Wall times looked at for one that a clock change touches: a daily job's for longer than any zone's rules repeat.
const WALLS_MAX: usize = 20_000;

/// The first and last instant of any run, because the `cron` crate's years are 1970 to 2100. A day is left off the end:
/// walking back from the year after it goes wrong in the crate.
const RUNS: RangeInclusive<i64> = 0..=4_133_894_400_000;

/// A cron expression. Equal where its text is equal; written and read as its text.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cron {
    text: String,
    minutes: Set,
    hours: Set,
    days: Days,
    /// The dates at midnight, a superset where `days` uses `L` or `#`.
    dates: Box<cron::Schedule>,
}

/// A fixed wall time that a change of the clock skips or repeats, and when it runs all the same (W0411).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OddRun {
    /// What the expression says.
    pub wall: NaiveDateTime,
    /// [`LocalTime::Never`] or [`LocalTime::Twice`].
    pub local: LocalTime,
    /// When it runs, in epoch milliseconds.
    pub at_ms: i64,
}

/// Why a text is no cron expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// Not five fields, nor six.
    #[error("a cron has five fields (minute, hour, day of month, month, weekday), not {0}")]
    Fields(usize),
    /// Six fields: the first would be seconds.
    #[error("a cron has five fields and no seconds: leave the first of the six out")]
    Seconds,
    /// `@daily`.
    #[error("`{0}` is not used here: write the five fields, as `0 0 * * *` for every midnight")]
    Nickname(String),
    /// One field is wrong.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// POSIX would run on either; most people mean both.
    #[error("day of month and weekday may not both be restricted: write `*` for one of them")]
    BothDays,
    /// `0 0 30 2 *`.
    #[error("`{0}` never fires: no month it names has such a day")]
    Never(String),
}

impl Cron {
    /// Reads five fields: values, names, ranges, steps, lists, `L` (last day of the month; `5L` its last Friday) and
    /// `SUN#2` (its second Sunday). Sunday is 0 and 7.
    ///
    /// # Errors
    /// What is wrong and what to write instead; an expression that never fires is one.
    pub fn parse(text: &str) -> Result<Self, CronError> {
        let fields: Vec<_> = text.split_ascii_whitespace().collect();
        let [minute, hour, day, month, weekday] = match *fields {
            [minute, hour, day, month, weekday] => [minute, hour, day, month, weekday],
            [nickname] if nickname.starts_with('@') => return Err(CronError::Nickname(nickname.to_owned())),
            [_, _, _, _, _, _] => return Err(CronError::Seconds),
            _ => return Err(CronError::Fields(fields.len())),
        };
        let (minutes, hours) = (Set::parse(Field::Minute, minute)?, Set::parse(Field::Hour, hour)?);
        let days = Days::of_month(day)?;
        let months = Set::parse(Field::Month, month)?;
        let days = match (days, Days::of_week(weekday)?) {
            (days, Days::Every) | (Days::Every, days) => days,
            _ => return Err(CronError::BothDays),
        };
        let (of_month, of_week) = days.for_crate();
        let never = || CronError::Never(text.to_owned());
        let dates = cron::Schedule::from_str(&format!("0 0 0 {of_month} {} {of_week}", list(months.bits)));
        let cron = Self { text: text.to_owned(), minutes, hours, days, dates: Box::new(dates.map_err(|_| never())?) };
        cron.walls_from(DateTime::UNIX_EPOCH.naive_utc()).next().ok_or_else(never)?;
        Ok(cron)
    }

    /// The expression as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether hour and minute are both fixed, so that the rule of gaps and single passes applies.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        !self.minutes.wild && !self.hours.wild
    }

    /// The first run strictly after an instant (epoch milliseconds); `None` past the year 2100.
    #[must_use]
    pub fn next_after(&self, zone: Zone, after_ms: i64) -> Option<i64> {
        let mut best = None;
        // A fold shows earlier wall times at later instants, so wall times around the wanted one are looked at too.
        for wall in self.walls_from(zone.local(after_ms) - FOLD_MAX) {
            if best.is_some_and(|best| wall > zone.local(best) + FOLD_MAX) {
                break;
            }
            let runs = self.runs(zone, wall).filter(|run| *run > after_ms);
            best = runs.chain(best).min();
        }
        best
    }

    /// The last run at or before an instant (epoch milliseconds); `None` before the year 1970.
    #[must_use]
    pub fn last_at_or_before(&self, zone: Zone, at_ms: i64) -> Option<i64> {
        let at_ms = at_ms.min(*RUNS.end());
        let mut best = None;
        for wall in self.walls_back(zone.local(at_ms) + FOLD_MAX) {
            if best.is_some_and(|best| wall < zone.local(best) - FOLD_MAX) {
                break;
            }
            let runs = self.runs(zone, wall).filter(|run| *run <= at_ms);
            best = runs.chain(best).max();
        }
        best
    }

    /// The first wall time from an instant on (epoch milliseconds) that a change of the zone's clock skips or repeats;
    /// the search ends after 400 dates. `None` where hour or minute is not fixed: such a job goes by the clock anyway.
    #[must_use]
    pub fn first_odd_run(&self, zone: Zone, from_ms: i64) -> Option<OddRun> {
        let walls = self.walls_from(zone.local(from_ms)).take(if self.is_fixed() { WALLS_MAX } else { 0 });
        walls.map(|wall| (wall, local_to_instant(zone, wall))).find_map(|(wall, local)| {
            let odd = !matches!(local, LocalTime::Once(_));
            let at_ms = self.runs(zone, wall).next().filter(|_| odd)?;
            Some(OddRun { wall, local, at_ms })
        })
    }

    /// The instants at which a wall time of this expression runs, by the rule of this module.
    fn runs(&self, zone: Zone, wall: NaiveDateTime) -> impl Iterator<Item = i64> {
        let runs = match local_to_instant(zone, wall) {
            LocalTime::Once(at) => [Some(at), None],
            LocalTime::Twice(first, second) => [Some(first), (!self.is_fixed()).then_some(second)],
            LocalTime::Never => [self.is_fixed().then(|| zone.after_gap(wall)), None],
        };
        runs.into_iter().flatten().filter(|run| RUNS.contains(run))
    }

    /// Wall times of this expression at or after `from`, in order.
    fn walls_from(&self, from: NaiveDateTime) -> impl Iterator<Item = NaiveDateTime> {
        let before = from.date().and_time(NaiveTime::MIN).and_utc() - TimeDelta::seconds(1);
        let dates = self.dates.after(&before).map(|midnight| midnight.date_naive());
        let dates = dates.take(DATES_MAX).filter(|date| self.days.include(*date));
        dates.flat_map(|date| self.times().map(move |time| date.and_time(time))).skip_while(move |wall| *wall < from)
    }

    /// Wall times of this expression at or before `from`, the latest first.
    fn walls_back(&self, from: NaiveDateTime) -> impl Iterator<Item = NaiveDateTime> {
        let after = from.date().and_time(NaiveTime::MIN).and_utc() + TimeDelta::seconds(1);
        let dates = self.dates.after(&after).rev().map(|midnight| midnight.date_naive());
        let dates = dates.take(DATES_MAX).filter(|date| self.days.include(*date));
        dates
            .flat_map(|date| self.times().rev().map(move |time| date.and_time(time)))
            .skip_while(move |wall| *wall > from)
    }

    /// The times of a day, in order.
    fn times(&self) -> impl DoubleEndedIterator<Item = NaiveTime> {
        let hours = (0..24).filter(|hour| self.hours.has(*hour));
        hours.flat_map(|hour| {
            let minutes = (0..60).filter(|minute| self.minutes.has(*minute));
            minutes.filter_map(move |minute| NaiveTime::from_hms_opt(hour, minute, 0))
        })
    }
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Cron {}

impl Hash for Cron {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cron({:?})", self.text)
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<Cron> for String {
    fn from(cron: Cron) -> Self {
        cron.text
    }
}

impl TryFrom<String> for Cron {
    type Error = CronError;

    fn try_from(text: String) -> Result<Self, CronError> {
        Self::parse(&text)
    }
}

#[cfg(test)]
mod tests;
