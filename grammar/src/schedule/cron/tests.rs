//! Hard days, messages, and two laws: runs are ordered, and in UTC they are what a minute-by-minute reader finds.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use super::*;
use chrono::{Datelike, Timelike};
use proptest::prelude::*;

fn utc(text: &str) -> i64 {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M").unwrap().and_utc().timestamp_millis()
}

/// The next runs as UTC, `03-29T01:00`.
fn runs(cron: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let (cron, zone) = (Cron::parse(cron).unwrap(), Zone::parse(zone).unwrap());
    let all = std::iter::successors(Some(utc(after)), |at| cron.next_after(zone, *at));
    let text = |at| DateTime::from_timestamp_millis(at).unwrap().format("%m-%dT%H:%M").to_string();
    all.skip(1).take(count).map(text).collect()
}

fn message(cron: &str) -> String {
    Cron::parse(cron).unwrap_err().to_string()
}

#[test]
fn a_fixed_time_in_a_gap_runs_at_the_first_instant_after_it() {
    let london = |cron| runs(cron, "Europe/London", "2026-03-28T12:00", 2);
    assert_eq!(london("30 1 * * *"), ["03-29T01:00", "03-30T00:30"]);
    assert_eq!(london("15,45 1 * * *"), ["03-29T01:00", "03-30T00:15"]);
    assert_eq!(london("30 1-2 * * *"), ["03-29T01:00", "03-29T01:30"]);
    // 02:30 at +11 is the first instant after Lord Howe's half hour.
    let lord_howe = |cron| runs(cron, "Australia/Lord_Howe", "2026-10-03T10:00", 2);
    assert_eq!(lord_howe("15 2 * * *"), ["10-03T15:30", "10-04T15:15"]);
    assert_eq!(lord_howe("30 2 * * *"), ["10-03T15:30", "10-04T15:30"]);
}

#[test]
fn a_fixed_time_in_a_fold_runs_once_at_the_first_pass() {
    let london = |cron| runs(cron, "Europe/London", "2026-10-24T12:00", 2);
    assert_eq!(london("30 1 * * *"), ["10-25T00:30", "10-26T01:30"]);
    assert_eq!(london("0 2 * * *"), ["10-25T02:00", "10-26T02:00"]);
    let lord_howe = runs("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00", 2);
    assert_eq!(lord_howe, ["04-04T14:45", "04-05T15:15"]);
}

#[test]
fn a_wildcard_or_step_runs_by_the_wall_clock() {
    let london = |cron, after| runs(cron, "Europe/London", after, 4);
    assert_eq!(
        london("*/30 1 * * *", "2026-03-28T12:00"),
        ["03-30T00:00", "03-30T00:30", "03-31T00:00", "03-31T00:30"]
    );
    assert_eq!(
        london("*/30 1 * * *", "2026-10-24T12:00"),
        ["10-25T00:00", "10-25T00:30", "10-25T01:00", "10-25T01:30"]
    );
    // From within the first pass on, the second is still to come.
    assert_eq!(london("10 * * * *", "2026-10-25T00:30"), ["10-25T01:10", "10-25T02:10", "10-25T03:10", "10-25T04:10"]);
    assert_eq!(
        runs("*/15 * * * *", "Australia/Lord_Howe", "2026-04-04T14:45", 4),
        ["04-04T15:00", "04-04T15:15", "04-04T15:30", "04-04T15:45"]
    );
}

#[test]
fn a_fold_over_midnight_keeps_its_order() {
    // St. John's turned its clock back at 00:01, to 23:01 of the day before.
    let runs = runs("0 * * * *", "America/St_Johns", "2010-11-07T00:30", 5);
    assert_eq!(runs, ["11-07T01:30", "11-07T02:30", "11-07T03:30", "11-07T04:30", "11-07T05:30"]);
}

#[test]
fn the_first_run_that_a_clock_change_moves() {
    let odd = |cron: &str, zone: &str| {
        let cron = Cron::parse(cron).unwrap();
        let run = cron.first_odd_run(Zone::parse(zone).unwrap(), utc("2026-01-01T00:00"))?;
        Some((run.wall.and_utc().timestamp_millis(), run.local, run.at_ms))
    };
    let gap_end = utc("2026-03-29T01:00");
    assert_eq!(odd("30 1 * * *", "Europe/London"), Some((utc("2026-03-29T01:30"), LocalTime::Never, gap_end)));
    let passes = LocalTime::Twice(utc("2026-10-25T00:30"), utc("2026-10-25T01:30"));
    let fold = Some((utc("2026-10-25T01:30"), passes, utc("2026-10-25T00:30")));
    assert_eq!(odd("30 1 * 9-12 *", "Europe/London"), fold);
    assert_eq!(odd("30 3 * * *", "Europe/London"), None);
    assert_eq!(odd("0-59 0-23 * * *", "UTC"), None);
    assert_eq!(odd("* 1 * * *", "Europe/London"), None);
}

#[test]
fn weekdays_are_numbered_from_sunday() {
    let days = |cron| runs(cron, "UTC", "2026-01-01T12:00", 3);
    // 2026-01-02 is a Friday.
    assert_eq!(days("0 9 * * 1-5"), ["01-02T09:00", "01-05T09:00", "01-06T09:00"]);
    assert_eq!(days("0 9 * * 0"), ["01-04T09:00", "01-11T09:00", "01-18T09:00"]);
    assert_eq!(days("0 9 * * 7"), days("0 9 * * 0"));
    assert_eq!(days("0 9 * * sat-Sun"), ["01-03T09:00", "01-04T09:00", "01-10T09:00"]);
    assert_eq!(days("0 9 * * 5-7/2"), ["01-02T09:00", "01-04T09:00", "01-09T09:00"]);
}

#[test]
fn last_days_and_numbered_weekdays() {
    let days = |cron| runs(cron, "UTC", "2028-01-30T12:00", 3);
    assert_eq!(days("0 9 L * *"), ["01-31T09:00", "02-29T09:00", "03-31T09:00"]);
    assert_eq!(days("0 9 1,L FEB *"), ["02-01T09:00", "02-29T09:00", "02-01T09:00"]);
    assert_eq!(days("0 9 * * 5L"), ["02-25T09:00", "03-31T09:00", "04-28T09:00"]);
    assert_eq!(days("0 9 * * sunL"), ["02-27T09:00", "03-26T09:00", "04-30T09:00"]);
    assert_eq!(days("0 9 * * SUN#2"), ["02-13T09:00", "03-12T09:00", "04-09T09:00"]);
}

#[test]
fn the_rarest_dates_are_found() {
    // A fifth Sunday in February: 2100 is no leap year, so the one after 2088 lies beyond the known years.
    let cron = Cron::parse("0 0 * 2 SUN#5").unwrap();
    assert_eq!(cron.next_after(Zone::UTC, utc("2060-03-01T00:00")), Some(utc("2088-02-29T00:00")));
    assert_eq!(cron.last_at_or_before(Zone::UTC, utc("2088-02-28T23:59")), Some(utc("2060-02-29T00:00")));
    assert_eq!(cron.next_after(Zone::UTC, utc("2088-02-29T00:00")), None);
    let leap = Cron::parse("0 0 29 2 *").unwrap();
    assert_eq!(leap.next_after(Zone::UTC, utc("2026-01-01T00:00")), Some(utc("2028-02-29T00:00")));
}

#[test]
fn errors_name_the_thing_and_say_what_to_do() {
    assert_eq!(message("0 0 9 * * *"), "a cron has five fields and no seconds: leave the first of the six out");
    assert_eq!(message("0 9 * *"), "a cron has five fields (minute, hour, day of month, month, weekday), not 4");
    assert_eq!(
        message("0 9 1 * MON"),
        "day of month and weekday may not both be restricted: write `*` for one of them"
    );
    assert_eq!(message("0 0 30 2 *"), "`0 0 30 2 *` never fires: no month it names has such a day");
    assert_eq!(message("0 24 * * *"), "`24` is not an hour: it is 0 to 23");
    assert_eq!(message("0 9 * * FRY"), "`FRY` is not a weekday: it is 0 to 7, or SUN to SAT");
    assert_eq!(message("0 17-9 * * *"), "`17-9` runs backwards: write the lower value first, or a list");
    assert_eq!(message("*/90 * * * *"), "`*/90`: a step of the minute is 1 to 59");
    assert_eq!(message("0 9 ? * *"), "`?` is not used here: write `*`");
    assert_eq!(message("0 9 * * SUN#6"), "`SUN#6`: a weekday comes one to five times a month, as `SUN#2`");
    for bad in [
        "",
        "@daily",
        "0 9 * * L",
        "+5 9 * * *",
        "5, 9 * * *",
        "*/0 * * * *",
        "0 9 31 4,6,9,11 *",
        "0 9 0 * *",
        "0 9 1#2 * *",
    ] {
        assert!(Cron::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn searches_end_outside_the_known_years() {
    let cron = Cron::parse("*/5 * * * *").unwrap();
    for zone in ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"].map(|name| Zone::parse(name).unwrap()) {
        assert_eq!(cron.next_after(zone, i64::MAX), None);
        assert_eq!(cron.last_at_or_before(zone, i64::MIN), None);
        assert_eq!(cron.last_at_or_before(zone, -1), None);
        let (first, last) = (cron.next_after(zone, i64::MIN).unwrap(), cron.last_at_or_before(zone, i64::MAX).unwrap());
        assert!(first >= 0);
        assert_eq!(cron.next_after(zone, last), None);
    }
}

#[test]
fn no_zone_turns_its_clock_back_further_than_assumed() {
    // By the month: summer time comes and goes between, and only what does not matter is left out.
    for zone in Zone::names().map(|name| Zone::parse(name).unwrap()) {
        let start = utc("2000-01-01T00:00");
        let mut before = zone.local(start);
        for month in 1..500 {
            let now = zone.local(start + month * 30 * 86_400_000);
            assert!(now - before >= TimeDelta::days(30) - FOLD_MAX, "{zone} before {now}");
            before = now;
        }
    }
}

/// Any valid field: a list of values, ranges and steps.
fn field(low: u32, high: u32) -> impl Strategy<Value = String> {
    let value = low..=high;
    let item = prop_oneof![
        3 => value.clone().prop_map(|value| value.to_string()),
        2 => (value.clone(), value.clone()).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        1 => (1..high - low).prop_map(|step| format!("*/{step}")),
        1 => (value.clone(), value, 1..high - low).prop_map(|(a, b, step)| format!("{}-{}/{step}", a.min(b), a.max(b))),
    ];
    prop_oneof![1 => Just("*".to_owned()), 3 => prop::collection::vec(item, 1..3).prop_map(|items| items.join(","))]
}

fn expression() -> impl Strategy<Value = String> {
    let weekday = prop_oneof![
        2 => field(0, 7),
        1 => (0..8_u32, 1..6_u32).prop_map(|(day, nth)| format!("{day}#{nth}")),
        1 => (0..8_u32).prop_map(|day| format!("{day}L")),
    ];
    let day = prop_oneof![2 => field(1, 31), 1 => Just("L".to_owned())];
    let days = prop_oneof![day.prop_map(|day| (day, "*".into())), weekday.prop_map(|weekday| ("*".into(), weekday))];
    (field(0, 59), field(0, 23), field(1, 12), days)
        .prop_map(|(minute, hour, month, (day, weekday))| format!("{minute} {hour} {day} {month} {weekday}"))
}

/// Whether a field's text names a value: a reader of its own, without bit sets.
fn names(text: &str, low: u32, high: u32, value: u32) -> bool {
    text.split(',').any(|item| {
        let (span, step) = item.split_once('/').unwrap_or((item, "1"));
        let (first, last) = if span == "*" {
            (low, high)
        } else {
            let (first, last) = span.split_once('-').unwrap_or((span, span));
            (first.parse().unwrap(), last.parse().unwrap())
        };
        (first..=last).contains(&value) && (value - first).is_multiple_of(step.parse().unwrap())
    })
}

fn matches(cron: &str, at: NaiveDateTime) -> bool {
    let [minute, hour, day, month, weekday] = *cron.split(' ').collect::<Vec<_>>() else { panic!("{cron}") };
    let tomorrow_is_next_month = (at + TimeDelta::days(1)).day() == 1;
    let last_of_its_weekday = (at + TimeDelta::days(7)).month() != at.month();
    let sunday_based = at.weekday().num_days_from_sunday();
    let is = |text: &str| text.parse::<u32>().unwrap() % 7 == sunday_based;
    let on_weekday = match (weekday.split_once('#'), weekday.strip_suffix('L')) {
        (Some((day, nth)), _) => is(day) && at.day().div_ceil(7) == nth.parse::<u32>().unwrap(),
        (_, Some(day)) => is(day) && last_of_its_weekday,
        _ => names(weekday, 0, 7, sunday_based) || sunday_based == 0 && names(weekday, 0, 7, 7),
    };
    names(minute, 0, 59, at.minute())
        && names(hour, 0, 23, at.hour())
        && names(month, 1, 12, at.month())
        && if day == "L" { tomorrow_is_next_month } else { names(day, 1, 31, at.day()) }
        && on_weekday
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    #[test]
    fn in_utc_a_year_is_what_a_reader_by_the_minute_finds(text in expression(), year in 2024..2030) {
        let Ok(cron) = Cron::parse(&text) else { return Ok(()) };
        let start = NaiveDateTime::parse_from_str(&format!("{year}-01-01T00:00"), "%Y-%m-%dT%H:%M").unwrap();
        let end = start + TimeDelta::days(365);
        let mut at = start.and_utc().timestamp_millis() - 1;
        // A thousand runs are enough of a dense expression; a sparse one is followed through the year.
        let mut wall = start;
        for _ in 0..1_000 {
            let Some(next) = cron.next_after(Zone::UTC, at) else { break };
            let next_wall = Zone::UTC.local(next);
            while wall < end && wall < next_wall {
                prop_assert!(!matches(&text, wall), "missed {wall}");
                wall += TimeDelta::minutes(1);
            }
            if wall >= end { break }
            prop_assert!(matches(&text, wall), "should not run at {wall}");
            wall += TimeDelta::minutes(1);
            at = next;
        }
    }
}

proptest! {
    #[test]
    fn runs_are_ordered_and_found_from_both_sides(
        text in expression(),
        zone in prop::sample::select(vec!["UTC", "Europe/London", "Australia/Lord_Howe", "America/St_Johns", "Pacific/Apia"]),
        // Around a change of each zone's clock, and anywhere.
        near in prop::sample::select(vec![utc("2026-03-29T01:00"), utc("2026-10-25T01:00"), utc("2026-04-04T15:00"),
            utc("2026-10-03T15:30"), utc("2010-11-07T02:31"), utc("2011-12-30T10:00"), utc("2050-06-01T00:00")]),
        away in -200_000_000_i64..200_000_000,
    ) {
        let Ok(cron) = Cron::parse(&text) else { return Ok(()) };
        let zone = Zone::parse(zone).unwrap();
        let mut at = near + away;
        for _ in 0..20 {
            let Some(next) = cron.next_after(zone, at) else { break };
            prop_assert!(next > at);
            prop_assert_eq!(cron.last_at_or_before(zone, next), Some(next));
            prop_assert_eq!(cron.next_after(zone, next - 1), Some(next));
            let last = cron.last_at_or_before(zone, next - 1);
            prop_assert!(last.is_none_or(|last| last <= at), "{last:?} lies between {at} and {next}");
            at = next;
        }
    }
}
