//! The next runs of schedules that were worked out lately.
//!
//! To find a cron's next run its dates are walked through the zone's calendar, which costs more than all the rest of an
//! evaluation. Schedules of one instant are nearly all the same few expressions (midnight, seven on working days), in
//! whoever's policy they stand; a run is a function of (expression, zone, instant), so what one group found holds for all.

use std::cell::RefCell;
use weir_grammar::schedule::{Cron, Zone};

/// Runs remembered; the oldest goes first.
const KEPT_MAX: usize = 16;

/// What was worked out. It lives as long as one record is applied and is no state.
#[derive(Debug, Default)]
pub struct Agenda(RefCell<Vec<Run>>);

#[derive(Debug)]
struct Run {
    cron: Cron,
    zone: Zone,
    after_ms: i64,
    next: Option<i64>,
}

impl Agenda {
    /// The first run strictly after an instant, as [`Cron::next_after`] says.
    pub fn next_after(&self, cron: &Cron, zone: Zone, after_ms: i64) -> Option<i64> {
        let mut runs = self.0.borrow_mut();
        let known = runs.iter().find(|run| run.after_ms == after_ms && run.zone == zone && run.cron == *cron);
        if let Some(run) = known {
            return run.next;
        }
        let next = cron.next_after(zone, after_ms);
        if runs.len() >= KEPT_MAX {
            runs.remove(0);
        }
        runs.push(Run { cron: cron.clone(), zone, after_ms, next });
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_the_cron_says_also_beyond_what_it_keeps() {
        let agenda = Agenda::default();
        let zones = [Zone::UTC, Zone::parse("Europe/London").unwrap()];
        let crons = ["0 1 * * *", "*/5 * * * *", "0 7 * * 1-5"].map(|text| Cron::parse(text).unwrap());
        for _ in 0..2 {
            for hour in 0..20 {
                let at_ms = 1_774_742_400_000 + hour * 1_800_000;
                for (cron, zone) in crons.iter().flat_map(|cron| zones.map(|zone| (cron, zone))) {
                    assert_eq!(agenda.next_after(cron, zone, at_ms), cron.next_after(zone, at_ms), "{cron} {at_ms}");
                }
            }
        }
    }
}
