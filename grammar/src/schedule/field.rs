//! The five fields of a cron expression: values, names, ranges, steps and lists, and for days `L` and `#`.
//!
//! Each becomes a set of bits; [`super::Cron`] reads them. The numbers are POSIX's: Sunday is 0, and 7 as well.

use chrono::{Datelike, NaiveDate};
use std::fmt;

/// A field of a cron expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// 0 to 59.
    Minute,
    /// 0 to 23.
    Hour,
    /// 1 to 31, or `L`.
    DayOfMonth,
    /// 1 to 12, or JAN to DEC.
    Month,
    /// 0 to 7, or SUN to SAT, with `L` and `#`.
    Weekday,
}

const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

impl Field {
    /// Lowest and highest value, both included.
    fn range(self) -> (u32, u32) {
        match self {
            Self::Minute => (0, 59),
            Self::Hour => (0, 23),
            Self::DayOfMonth => (1, 31),
            Self::Month => (1, 12),
            Self::Weekday => (0, 7),
        }
    }

    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Minute | Self::Hour | Self::DayOfMonth => &[],
            Self::Month => &MONTHS,
            Self::Weekday => &WEEKDAYS,
        }
    }

    fn value(self, text: &str) -> Result<u32, FieldError> {
        let (low, high) = self.range();
        if let Some(index) = self.names().iter().position(|name| name.eq_ignore_ascii_case(text)) {
            return Ok(low + index as u32);
        }
        // No sign, no more digits than the largest value has: what `u32` would read besides is no cron.
        let digits = !text.is_empty() && text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        let value = text.parse().ok().filter(|value| digits && (low..=high).contains(value));
        value.ok_or_else(|| FieldError::Value { text: text.to_owned(), field: self })
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::DayOfMonth => "day of month",
            Self::Month => "month",
            Self::Weekday => "weekday",
        })
    }
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldError {
    /// Not a value of this field.
    Value {
        /// As written.
        text: String,
        /// Where.
        field: Field,
    },
    /// `5-1`.
    Backwards(String),
    /// `*/0`, `*/90`.
    Step {
        /// As written.
        text: String,
        /// Where.
        field: Field,
    },
    /// `?`, another cron's word for `*`.
    QuestionMark,
    /// `L` alone as a weekday.
    LastWeekday,
    /// `SUN#6`.
    Nth(String),
}

impl std::error::Error for FieldError {}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value { text, field } => {
                let (low, high) = field.range();
                let article = if *field == Field::Hour { "an" } else { "a" };
                write!(f, "`{text}` is not {article} {field}: it is {low} to {high}")?;
                match field.names() {
                    [first, .., last] => write!(f, ", or {first} to {last}"),
                    _ => Ok(()),
                }
            }
            Self::Backwards(text) => write!(f, "`{text}` runs backwards: write the lower value first, or a list"),
            Self::Step { text, field } => {
                let (low, high) = field.range();
                write!(f, "`{text}`: a step of the {field} is 1 to {}", high - low)
            }
            Self::QuestionMark => f.write_str("`?` is not used here: write `*`"),
            Self::LastWeekday => {
                f.write_str("`L` alone is a day of the month: write the weekday before it, as `5L` for the last Friday")
            }
            Self::Nth(text) => write!(f, "`{text}`: a weekday comes one to five times a month, as `SUN#2`"),
        }
    }
}

/// The values of a field as bits, and whether it was written with `*` or a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Set {
    pub bits: u64,
    pub wild: bool,
}

impl Set {
    pub fn parse(field: Field, text: &str) -> Result<Self, FieldError> {
        let mut set = Self { bits: 0, wild: false };
        text.split(',').try_for_each(|item| set.add(field, item))?;
        Ok(set)
    }

    pub fn has(self, value: u32) -> bool {
        self.bits >> value & 1 == 1
    }

    fn add(&mut self, field: Field, item: &str) -> Result<(), FieldError> {
        let (low, high) = field.range();
        let (span, step) = match item.split_once('/') {
            Some((span, step)) => (span, Some(step)),
            None => (item, None),
        };
        let (first, last) = match span.split_once('-') {
            _ if span == "?" => return Err(FieldError::QuestionMark),
            _ if span == "*" => (low, high),
            Some((first, last)) => {
                let (first, last) = (field.value(first)?, field.value(last)?);
                // `SAT-SUN` ends with the week's other Sunday.
                (first, if field == Field::Weekday && last == 0 && first > 0 { 7 } else { last })
            }
            None => {
                let first = field.value(span)?;
                (first, if step.is_some() { high } else { first })
            }
        };
        if last < first {
            return Err(FieldError::Backwards(item.to_owned()));
        }
        let wrong = || FieldError::Step { text: item.to_owned(), field };
        let step = match step {
            Some(step) => step.parse::<u32>().ok().filter(|step| (1..=high - low).contains(step)).ok_or_else(wrong)?,
            None => 1,
        };
        self.wild |= span == "*" || item.len() > span.len();
        self.bits |= (first..=last).step_by(step as usize).fold(0, |bits, value| bits | 1 << value);
        Ok(())
    }
}

/// The dates of a cron: either days of the month or weekdays, since not both may be restricted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Days {
    Every,
    /// Days of the month as bits, and whether the last day is one.
    OfMonth {
        days: u32,
        last: bool,
    },
    /// Weekdays as bits, Sunday the lowest: for the first to fifth time in a month, and for the last.
    OfWeek {
        nth: [u8; 5],
        last: u8,
    },
}

const ALL_DAYS: u32 = 0xffff_fffe;
const ALL_WEEKDAYS: u8 = 0x7f;

impl Days {
    pub fn of_month(text: &str) -> Result<Self, FieldError> {
        let (mut days, mut last) = (0, false);
        for item in text.split(',') {
            match item {
                "L" | "l" => last = true,
                _ => days |= Set::parse(Field::DayOfMonth, item)?.bits as u32,
            }
        }
        Ok(if days == ALL_DAYS { Self::Every } else { Self::OfMonth { days, last } })
    }

    pub fn of_week(text: &str) -> Result<Self, FieldError> {
        let (mut nth, mut last) = ([0; 5], 0);
        for item in text.split(',') {
            if let Some((day, count)) = item.split_once('#') {
                let day = weekday(day)?;
                let count = count.parse::<usize>().ok().and_then(|count| nth.get_mut(count.checked_sub(1)?));
                *count.ok_or_else(|| FieldError::Nth(item.to_owned()))? |= day;
            } else if let Some(day) = item.strip_suffix(['L', 'l']) {
                last |= if day.is_empty() { return Err(FieldError::LastWeekday) } else { weekday(day)? };
            } else {
                let set = fold_sunday(Set::parse(Field::Weekday, item)?.bits);
                nth.iter_mut().for_each(|days| *days |= set);
            }
        }
        Ok(if nth == [ALL_WEEKDAYS; 5] { Self::Every } else { Self::OfWeek { nth, last } })
    }

    pub fn include(self, date: NaiveDate) -> bool {
        let (day, length) = (date.day(), u32::from(date.num_days_in_month()));
        match self {
            Self::Every => true,
            Self::OfMonth { days, last } => days >> day & 1 == 1 || last && day == length,
            Self::OfWeek { nth, last } => {
                let bit = 1 << date.weekday().num_days_from_sunday();
                nth.get((day as usize - 1) / 7).is_some_and(|days| days & bit != 0)
                    || last & bit != 0 && day + 7 > length
            }
        }
    }

    /// The day-of-month and weekday fields for the `cron` crate: a superset of these dates, as plain lists. It numbers
    /// weekdays from Sunday = 1.
    pub fn for_crate(self) -> (String, String) {
        match self {
            Self::Every => ("*".into(), "*".into()),
            Self::OfMonth { days, last } => {
                let days = u64::from(days) | if last { 0xf << 28 } else { 0 };
                (list(days), "*".into())
            }
            Self::OfWeek { nth, last } => {
                let days = nth.iter().fold(last, |all, days| all | days);
                ("*".into(), list(u64::from(days) << 1))
            }
        }
    }
}

/// The bits as `1,2,5`.
pub(super) fn list(bits: u64) -> String {
    let values: Vec<_> = (0..64_u32).filter(|value| bits >> value & 1 == 1).map(|value| value.to_string()).collect();
    values.join(",")
}

fn weekday(text: &str) -> Result<u8, FieldError> {
    Ok(fold_sunday(1 << Field::Weekday.value(text)?))
}

/// Day 7 is day 0.
fn fold_sunday(bits: u64) -> u8 {
    (bits | bits >> 7) as u8 & ALL_WEEKDAYS
}
