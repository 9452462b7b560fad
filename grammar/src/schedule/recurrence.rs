//! When a window or freeze holds: the spans of a [`Recurrence`].
//!
//! A span is half-open: it holds at its first instant and no longer at its last. `lasting` is elapsed time, whatever
//! the wall clock does meanwhile.

use crate::policy::Recurrence;

impl Recurrence {
    /// The instant it closes (epoch milliseconds), or `None` where it does not hold at `at_ms`. Of several openings
    /// that hold at once the latest close counts.
    #[must_use]
    pub fn open_at(&self, at_ms: i64) -> Option<i64> {
        let (opened, lasting) = match self {
            // All openings last equally long, so the last one closes last.
            Self::Cron { cron, zone, lasting } => (cron.last_at_or_before(*zone, at_ms)?, lasting),
            Self::Once { at_ms: opens, lasting } => (*opens, lasting),
        };
        let closes = opened.saturating_add(lasting.0);
        (opened <= at_ms && at_ms < closes).then_some(closes)
    }

    /// The next instant strictly after `at_ms` at which it opens (or opens once more, and so closes later) or closes.
    #[must_use]
    pub fn next_edge_after(&self, at_ms: i64) -> Option<i64> {
        let opens = match self {
            Self::Cron { cron, zone, .. } => cron.next_after(*zone, at_ms),
            Self::Once { at_ms: opens, .. } => Some(*opens).filter(|opens| *opens > at_ms),
        };
        self.open_at(at_ms).into_iter().chain(opens).min()
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::Recurrence;
    use crate::quantity::Millis;
    use crate::schedule::{Cron, Zone};
    use chrono::NaiveDateTime;

    fn utc(text: &str) -> i64 {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M").unwrap().and_utc().timestamp_millis()
    }

    fn every(cron: &str, lasting: Millis) -> Recurrence {
        let zone = Zone::parse("Europe/London").unwrap();
        Recurrence::Cron { cron: Cron::parse(cron).unwrap(), zone, lasting }
    }

    #[test]
    fn a_span_is_half_open() {
        let once = Recurrence::Once { at_ms: 1_000, lasting: Millis(500) };
        assert_eq!([999, 1_000, 1_499, 1_500].map(|at| once.open_at(at)), [None, Some(1_500), Some(1_500), None]);
        let edges = [999, 1_000, 1_499, 1_500].map(|at| once.next_edge_after(at));
        assert_eq!(edges, [Some(1_000), Some(1_500), Some(1_500), None]);
    }

    #[test]
    fn lasting_is_elapsed_time_across_a_clock_change() {
        // Saturday 22:00 in London to Sunday 10:00 by the clock, had it not been turned back: 12 hours end at 09:00.
        let window = every("0 22 * * 6", Millis(12 * Millis::HOUR.0));
        assert_eq!(window.open_at(utc("2026-10-25T08:59")), Some(utc("2026-10-25T09:00")));
        assert_eq!(window.open_at(utc("2026-10-25T09:00")), None);
        assert_eq!(window.next_edge_after(utc("2026-10-24T20:00")), Some(utc("2026-10-24T21:00")));
        assert_eq!(window.next_edge_after(utc("2026-10-24T21:00")), Some(utc("2026-10-25T09:00")));
    }

    #[test]
    fn overlapping_openings_are_one_span() {
        let window = every("0 9,10 1 6 *", Millis(2 * Millis::HOUR.0));
        let edge = |text| window.next_edge_after(utc(text));
        assert_eq!(edge("2026-06-01T08:00"), Some(utc("2026-06-01T09:00")));
        assert_eq!(window.open_at(utc("2026-06-01T09:00")), Some(utc("2026-06-01T11:00")));
        assert_eq!(edge("2026-06-01T09:00"), Some(utc("2026-06-01T11:00")));
        assert_eq!(edge("2026-06-01T11:00"), Some(utc("2027-06-01T08:00")));
    }

    #[test]
    fn openings_that_meet_never_close() {
        let window = every("0 * * * *", Millis::HOUR);
        let mut at = utc("2026-03-28T12:30");
        for _ in 0..30 {
            assert!(window.open_at(at).is_some(), "{at}");
            at = window.next_edge_after(at).unwrap();
        }
    }
}
