//! Decisions as they come, one calm line each: ` 09:12  web  ███████████  11   cpu: avg 75.8 % is over 60 % ± 10 %`.
//!
//! Not every decision is a line: an evaluation is written down whenever its reasons change, and a person wants to hear
//! of a size that changed, of a wish that was held, of what was refused or came too late. That a group does not shrink
//! at once is how it should be, and no news.

use super::{
    clock::Reader,
    output::{COLUMNS, Output, Tone, shortened},
    timeline::{self, bar},
};
use std::collections::BTreeMap;
use weir_engine::decision::{Decision, GuardName, Verdict};

/// The widest bar, in columns.
const BAR: usize = 24;
/// Room for a group's name until a longer one comes.
const WIDTH: usize = 8;
/// An hour, milliseconds.
const HOUR_MS: f64 = 3_600_000.0;

/// What was told of a group last.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    by: String,
    guard: GuardName,
    until: Option<i64>,
}

/// Tells decisions, and counts them.
pub struct Ticker {
    /// `09:12` rather than `09:12:07`.
    minutes: bool,
    reader: Option<Reader>,
    /// The longest group's name so far.
    width: usize,
    groups: BTreeMap<(String, String), Group>,
    /// Changes of a size.
    pub changes: u32,
    /// Wishes that were held.
    pub held: u32,
    /// Schedules that were found too late.
    pub missed: u32,
}

#[derive(Clone, Debug, Default)]
struct Group {
    told: Option<Told>,
    since_ms: i64,
    size: u32,
    peak: u32,
    server_ms: i64,
    began_ms: i64,
}

impl Ticker {
    /// Nothing told yet.
    #[must_use]
    pub fn new(minutes: bool) -> Self {
        let (changes, held, missed) = (0, 0, 0);
        Self { minutes, reader: None, width: WIDTH, groups: BTreeMap::new(), changes, held, missed }
    }

    /// The line of a decision, where it is one to be told.
    pub fn tell(&mut self, decision: &Decision, output: &Output) -> Option<String> {
        let group = self.groups.entry((decision.tenant.clone(), decision.group.clone())).or_insert_with(|| Group {
            since_ms: decision.at,
            began_ms: decision.at,
            ..Group::default()
        });
        let starts = decision.from == 0 && group.peak == 0;
        group.run_to(decision.at);
        (group.size, group.peak) = (decision.to, group.peak.max(decision.to));
        let (tone, told) = match &decision.outcome {
            Verdict::Changed { .. } if decision.from == decision.to => return None,
            Verdict::Changed { .. } if decision.to < decision.from => (None, None),
            Verdict::Changed { .. } => (Some(Tone::Good), None),
            Verdict::Held { wish, guard, .. } if *wish < decision.from && is_routine(guard.name) => return None,
            Verdict::Held { by, guard, .. } => {
                let told = Told { by: by.clone(), guard: guard.name, until: guard.until };
                if group.told.as_ref() == Some(&told) {
                    return None;
                }
                (Some(Tone::Waiting), Some(told))
            }
            Verdict::Missed { .. } | Verdict::Refused { .. } => (Some(Tone::Bad), None),
            Verdict::Still => return None,
        };
        match (&decision.outcome, starts) {
            (Verdict::Changed { .. }, false) => self.changes += 1,
            (Verdict::Held { .. }, _) => self.held += 1,
            (Verdict::Missed { .. }, _) => self.missed += 1,
            _ => {}
        }
        group.told = told;
        self.width = self.width.max(decision.group.chars().count());
        let reader = *self.reader.get_or_insert_with(|| Reader::on_day_of(decision.at));
        let (minutes, width) = (self.minutes, self.width);
        let clock = move |at_ms| if minutes { reader.minute(at_ms) } else { reader.second(at_ms) };
        let reason = if starts {
            format!("starts, {}..{}", decision.min, decision.max)
        } else {
            timeline::reason(decision, &clock)
        };
        let bar = bar(decision.to, decision.max);
        let pad = " ".repeat(BAR.saturating_sub(bar.chars().count()));
        let bar = tone.map_or_else(|| bar.clone(), |tone| output.paint(tone, &bar));
        let before = format!(" {}  {:width$}  ", clock(decision.at), decision.group);
        let after = format!("  {:>3}   ", decision.to);
        let used = before.chars().count() + BAR + after.chars().count();
        // `weir why` tells it whole.
        let reason = shortened(&reason, COLUMNS.saturating_sub(used));
        Some(format!("{before}{bar}{pad}{after}{reason}"))
    }

    /// Servers times hours until `until_ms`: as they were, and as they would be were each group always at its peak.
    pub fn server_hours(&mut self, until_ms: i64) -> (f64, f64) {
        let (mut were, mut fixed) = (0.0, 0.0);
        for group in self.groups.values_mut() {
            group.run_to(until_ms);
            let length_ms = until_ms.saturating_sub(group.began_ms);
            were += group.server_ms as f64 / HOUR_MS;
            fixed += f64::from(group.peak) * length_ms as f64 / HOUR_MS;
        }
        (were, fixed)
    }
}

/// Whether a guard holds removals day in, day out.
fn is_routine(guard: GuardName) -> bool {
    match guard {
        GuardName::Unknown
        | GuardName::Building
        | GuardName::Cooldown
        | GuardName::Stabilize
        | GuardName::Limit
        | GuardName::Capacity => true,
        GuardName::Freeze
        | GuardName::Pause
        | GuardName::KillSwitch
        | GuardName::Degraded
        | GuardName::Quota
        | GuardName::Late => false,
    }
}

impl Group {
    fn run_to(&mut self, at_ms: i64) {
        self.server_ms += i64::from(self.size) * at_ms.saturating_sub(self.since_ms).max(0);
        self.since_ms = self.since_ms.max(at_ms);
    }
}
