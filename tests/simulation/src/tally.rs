//! What happened over a run, and over many: faults, verdicts, guards, and how much of everything.

use crate::digest::Digest;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};
use weir_engine::decision::{Decision, Verdict};

/// Counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Everything that was recorded.
    pub digest: Digest,
    /// Records in the log.
    pub events: u64,
    /// Looks at the cloud.
    pub looks: u64,
    /// Calls to the cloud.
    pub calls: u64,
    /// Take-overs.
    pub recoveries: u64,
    /// Snapshots saved.
    pub snapshots: u64,
    /// Groups that came to rest, and ones that schedules kept moving.
    pub settled: u64,
    /// Groups that something held, or that went on moving, at the end.
    pub restless: u64,
    /// Faults that happened, by kind.
    pub faults: BTreeMap<String, u64>,
    /// Evaluations by verdict.
    pub verdicts: BTreeMap<String, u64>,
    /// Guards that held a wish or a rule.
    pub guards: BTreeMap<String, u64>,
    /// Changes by who made them: the bounds, a rule, a force, a hand on one server.
    pub changes: BTreeMap<String, u64>,
}

impl Tally {
    /// Counts an evaluation.
    pub fn decision(&mut self, decision: &Decision) {
        let verdict = match &decision.outcome {
            Verdict::Changed { by, .. } => {
                let forced = decision.cause.starts_with("force ");
                let who = if by == "bounds" || by == "hand" {
                    by.as_str()
                } else if forced {
                    "force"
                } else {
                    "rule"
                };
                count(&mut self.changes, who);
                "changed"
            }
            Verdict::Held { guard, .. } => {
                count(&mut self.guards, guard.name.as_str());
                "held"
            }
            Verdict::Still => "still",
            Verdict::Missed { .. } => "missed",
            Verdict::Refused { .. } => "refused",
        };
        count(&mut self.verdicts, verdict);
    }

    /// Counts a fault.
    pub fn fault(&mut self, kind: &str) {
        count(&mut self.faults, kind);
    }

    /// Adds another run's counts.
    pub fn add(&mut self, other: &Self) {
        self.digest.add(other.digest);
        self.events += other.events;
        self.looks += other.looks;
        self.calls += other.calls;
        self.recoveries += other.recoveries;
        self.snapshots += other.snapshots;
        self.settled += other.settled;
        self.restless += other.restless;
        for (mine, others) in [
            (&mut self.faults, &other.faults),
            (&mut self.verdicts, &other.verdicts),
            (&mut self.guards, &other.guards),
            (&mut self.changes, &other.changes),
        ] {
            for (name, count) in others {
                *mine.entry(name.clone()).or_default() += count;
            }
        }
    }
}

fn count(counts: &mut BTreeMap<String, u64>, name: &str) {
    *counts.entry(name.to_owned()).or_default() += 1;
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} events, {} looks, {} calls, {} recoveries, {} snapshots; {} groups came to rest, {} were held or moved on",
            self.events, self.looks, self.calls, self.recoveries, self.snapshots, self.settled, self.restless
        )?;
        histogram(f, "faults", &self.faults)?;
        histogram(f, "verdicts", &self.verdicts)?;
        histogram(f, "guards", &self.guards)?;
        histogram(f, "changes by", &self.changes)?;
        writeln!(f, "digest of all that was recorded: {}", self.digest)
    }
}

fn histogram(f: &mut fmt::Formatter<'_>, title: &str, counts: &BTreeMap<String, u64>) -> fmt::Result {
    let mut rows: Vec<(&str, u64)> = counts.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    rows.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), *name));
    let most = rows.first().map_or(1, |(_, count)| (*count).max(1));
    writeln!(f, "{title}")?;
    for (name, count) in rows {
        let bar = "#".repeat(usize::try_from(count * 40 / most).unwrap_or(0));
        writeln!(f, "  {name:<32} {count:>9} {bar}")?;
    }
    Ok(())
}
