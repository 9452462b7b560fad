//! Times as people write and read them: local, on a day they need not name.

use super::Failure;
use crate::api::Moment;
use chrono::{DateTime, Local, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeZone};

/// Writes instants on the reader's clock, with the date where it is not that of a day the reader has in mind.
#[derive(Clone, Copy, Debug)]
pub struct Reader {
    day: Option<NaiveDate>,
}

impl Reader {
    /// A reader who has the day of `at_ms` in mind.
    #[must_use]
    pub fn on_day_of(at_ms: i64) -> Self {
        Self { day: local(at_ms).map(|at| at.date_naive()) }
    }

    /// `09:22:00`, or `2026-11-23 09:22:00` of another day.
    #[must_use]
    pub fn second(&self, at_ms: i64) -> String {
        self.show(at_ms, "%H:%M:%S")
    }

    /// `09:22`, or `2026-11-23 09:22` of another day.
    #[must_use]
    pub fn minute(&self, at_ms: i64) -> String {
        self.show(at_ms, "%H:%M")
    }

    fn show(&self, at_ms: i64, time: &str) -> String {
        let Some(at) = local(at_ms) else { return at_ms.to_string() };
        let same = Some(at.date_naive()) == self.day;
        at.format(&if same { time.to_owned() } else { format!("%Y-%m-%d {time}") }).to_string()
    }
}

/// The reader's zone at an instant, `UTC+01:00`.
#[must_use]
pub fn zone(at_ms: i64) -> String {
    local(at_ms).map_or_else(|| "UTC".to_owned(), |at| format!("UTC{}", at.format("%:z")))
}

fn local(at_ms: i64) -> Option<DateTime<Local>> {
    Local.timestamp_millis_opt(at_ms).single()
}

/// What a person means by `09:20`, `09:20:30`, `2026-11-24 09:20`, `2026-11-24`, or an RFC 3339 instant: all of the
/// minute, second or day that is named. Without a date it is the day of `now_ms`.
///
/// # Errors
/// Where it is none of these, or a local time that does not exist.
pub fn moment(text: &str, now_ms: i64) -> Result<Moment, Failure> {
    if let Ok(from_ms) = weir_engine::time::parse_rfc3339(text) {
        let length_ms = if text.contains('.') { 1 } else { 1_000 };
        return Ok(Moment { from_ms, until_ms: from_ms.saturating_add(length_ms) });
    }
    let (at, length_ms) = naive(text, now_ms).ok_or_else(|| {
        Failure::usage(format!("`{text}` is no time"))
            .help("write `09:20` (today), `2026-11-24 09:20` (your clock), or `2026-11-24T09:20:00Z`")
    })?;
    let from_ms = match Local.from_local_datetime(&at) {
        // What comes twice is meant the first time, as schedules do.
        LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => at.timestamp_millis(),
        LocalResult::None => {
            return Err(Failure::usage(format!("`{text}` does not exist: the clocks were put forward over it")));
        }
    };
    Ok(Moment { from_ms, until_ms: from_ms.saturating_add(length_ms) })
}

/// The same for what is over: without a date it is the newest such time that has come by `now_ms`, which may be
/// yesterday's.
///
/// # Errors
/// As for [`moment`].
pub fn past(text: &str, now_ms: i64) -> Result<Moment, Failure> {
    const DAY_MS: i64 = 24 * 3_600_000;
    let today = moment(text, now_ms)?;
    if today.from_ms > now_ms && !names_its_day(text) { moment(text, now_ms.saturating_sub(DAY_MS)) } else { Ok(today) }
}

/// Whether a time names its day.
#[must_use]
pub fn names_its_day(text: &str) -> bool {
    text.contains('-')
}

fn naive(text: &str, now_ms: i64) -> Option<(NaiveDateTime, i64)> {
    const SECOND_MS: i64 = 1_000;
    const MINUTE_MS: i64 = 60 * SECOND_MS;
    const DAY_MS: i64 = 24 * 60 * MINUTE_MS;
    let time = |text: &str| {
        let minute = NaiveTime::parse_from_str(text, "%H:%M").map(|time| (time, MINUTE_MS));
        minute.or_else(|_| NaiveTime::parse_from_str(text, "%H:%M:%S").map(|time| (time, SECOND_MS))).ok()
    };
    let date = |text: &str| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    if let Some((time, length_ms)) = time(text) {
        return Some((local(now_ms)?.date_naive().and_time(time), length_ms));
    }
    if let Some(day) = date(text) {
        return Some((day.and_time(NaiveTime::MIN), DAY_MS));
    }
    let (day, rest) = text.split_once(['T', ' '])?;
    let (time, length_ms) = time(rest)?;
    Some((date(day)?.and_time(time), length_ms))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

    use super::*;

    #[test]
    fn a_time_covers_what_it_leaves_out() {
        let noon = Local.with_ymd_and_hms(2026, 11, 24, 12, 0, 0).unwrap().timestamp_millis();
        let at = |hour, minute| Local.with_ymd_and_hms(2026, 11, 24, hour, minute, 0).unwrap().timestamp_millis();
        let read = |text: &str| {
            let Moment { from_ms, until_ms } = moment(text, noon).unwrap();
            (from_ms, until_ms - from_ms)
        };
        assert_eq!(read("09:20"), (at(9, 20), 60_000));
        assert_eq!(read("09:20:07"), (at(9, 20) + 7_000, 1_000));
        assert_eq!(read("2026-11-24 09:20"), (at(9, 20), 60_000));
        assert_eq!(read("2026-11-24T09:20"), (at(9, 20), 60_000));
        assert_eq!(read("2026-11-24"), (at(0, 0), 86_400_000));
        assert_eq!(read("2026-11-24T09:20:00Z"), (1_795_512_000_000, 1_000));
        assert_eq!(read("2026-11-24T09:20:00.250Z"), (1_795_512_000_250, 1));
        for wrong in ["", "9", "noon", "25:00", "09:61", "2026-13-01", "2026-11-24 25:00"] {
            assert!(moment(wrong, noon).is_err(), "{wrong}");
        }
        assert_eq!(past("12:01", noon).unwrap().from_ms, at(12, 1) - 86_400_000);
        assert_eq!(past("12:00", noon).unwrap().from_ms, noon);
        assert!(past("2026-11-25", noon).unwrap().from_ms > noon, "a day that is named is meant");
        assert!(names_its_day("2026-11-24 09:20") && !names_its_day("09:20"));
    }

    #[test]
    fn another_day_is_named() {
        let noon = Local.with_ymd_and_hms(2026, 11, 24, 12, 0, 0).unwrap().timestamp_millis();
        let reader = Reader::on_day_of(noon);
        assert_eq!(reader.second(noon + 5_000), "12:00:05");
        assert_eq!(reader.minute(noon - 86_400_000), "2026-11-23 12:00");
    }
}
