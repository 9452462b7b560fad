//! What a group's rules see, reckoned a second time and in the simplest way: every sample is kept as it came, and each
//! aggregate is reckoned anew from all of them in exact fractions; what alarms said, what was counted and when a metric was
//! heard are looked up in lists.
//!
//! Written from the language's rules 1 to 7, 12 and 19. It has no panes that are kept, no timers, no snapshots: an
//! aggregate at an edge is what was heard before the edge, and nothing else.

use crate::fraction::Fraction;
use std::collections::BTreeMap;
use weir_engine::{
    event::{Alarm, Sample},
    grammar::policy::{self, Aggregate, AlarmState, AlarmTest, Condition, Counted, Func, MissingTest, Op, Quorum},
    id::Slot,
    outcome::Happening,
};

/// A sample further than this from the log's time is none, milliseconds (rule 1).
const SKEW_MS: i64 = 30_000;

/// What one group heard.
#[derive(Debug, Default)]
pub struct Senses {
    /// Each server's stretches as a part of the group, oldest first.
    servers: BTreeMap<Slot, Vec<Stretch>>,
    /// By metric; of a server, or of nobody where shared. Oldest first.
    samples: BTreeMap<(String, Option<Slot>), Vec<Heard>>,
    alarms: BTreeMap<(String, Option<Slot>), Said>,
    /// When each thing that may be counted happened.
    counts: BTreeMap<String, Vec<i64>>,
    /// When a metric was last heard.
    heard_ms: BTreeMap<String, i64>,
    /// When the version in force came.
    pub deployed_ms: i64,
}

/// A server takes its part.
#[derive(Debug)]
struct Stretch {
    from_ms: i64,
    warm_ms: i64,
    to_ms: Option<i64>,
}

#[derive(Debug)]
struct Heard {
    heard_ms: i64,
    at_ms: i64,
    value: i64,
}

#[derive(Debug)]
struct Said {
    state: AlarmState,
    at_ms: i64,
    heard_ms: i64,
}

/// What is true, as far as this can be said. `Unsure` is where a new version looks back further than it was in force, and
/// where a value is so near to what it is compared with that rounding decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen<T> {
    /// It is so.
    Sure(T),
    /// It is unknown by rule 5.
    Unknown,
    /// Cannot be said here.
    Unsure,
}

/// An aggregate, with the servers that were expected to say something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    /// Millionths of the metric's unit.
    pub exact: Fraction,
    /// How far off rounding may take it, millionths.
    pub off: i64,
    /// Servers.
    pub of: i64,
}

/// At which instant somebody looks.
#[derive(Clone, Copy, Debug)]
pub struct Glance<'a> {
    /// The policy in force.
    pub policy: &'a policy::Policy,
    /// Then.
    pub at_ms: i64,
    /// The size that `per server` divides by.
    pub target: u32,
    /// The newest instant at which our own intake was unwell.
    pub intake_bad_ms: i64,
}

impl Senses {
    /// An outcome that is new.
    pub fn learn(&mut self, happening: &Happening, t_ms: i64, warmup_ms: i64) {
        let counted = match happening {
            Happening::Ready { slot, .. } => {
                let stretches = self.servers.entry(*slot).or_default();
                if stretches.last().is_none_or(|newest| newest.to_ms.is_some()) {
                    stretches.push(Stretch { from_ms: t_ms, warm_ms: t_ms + warmup_ms, to_ms: None });
                }
                Some("server.ready")
            }
            Happening::Building { slot, .. } | Happening::Leaving { slot } => {
                self.ends(*slot, t_ms);
                None
            }
            Happening::Failed { slot, .. } => {
                self.goes(*slot, t_ms);
                Some("server.failed")
            }
            Happening::Lost { slot, .. } => {
                self.goes(*slot, t_ms);
                Some("server.lost")
            }
            Happening::Removed { slot } => {
                self.goes(*slot, t_ms);
                None
            }
            Happening::NotAdopted { .. } | Happening::Degraded { .. } | Happening::Healed => None,
        };
        counted.into_iter().for_each(|name| self.count(name, t_ms));
    }

    fn ends(&mut self, slot: Slot, t_ms: i64) {
        if let Some(newest) = self.servers.get_mut(&slot).and_then(|stretches| stretches.last_mut()) {
            newest.to_ms.get_or_insert(t_ms);
        }
    }

    /// A server that leaves takes what alarms said of it along (rule 6).
    fn goes(&mut self, slot: Slot, t_ms: i64) {
        self.ends(slot, t_ms);
        self.alarms.retain(|(_, about), _| *about != Some(slot));
    }

    /// Something that may be counted happened.
    pub fn count(&mut self, name: &str, t_ms: i64) {
        self.counts.entry(name.to_owned()).or_default().push(t_ms);
    }

    /// A sample of a metric that is known by this name, of one of the group's servers or of nobody.
    pub fn sample(&mut self, metric: &str, of: Option<Slot>, sample: &Sample, t_ms: i64) {
        if (sample.at - t_ms).abs() > SKEW_MS {
            return;
        }
        self.heard_ms.insert(metric.to_owned(), t_ms);
        if of.is_some_and(|slot| !self.is_warm(slot, sample.at)) {
            return;
        }
        let kept = self.samples.entry((metric.to_owned(), of)).or_default();
        if kept.last().is_none_or(|newest| newest.at_ms < sample.at) {
            kept.push(Heard { heard_ms: t_ms, at_ms: sample.at, value: sample.value.0 });
        }
    }

    /// A state of an alarm of this name.
    pub fn alarm(&mut self, name: &str, about: Option<Slot>, alarm: &Alarm, t_ms: i64) {
        let said = Said { state: alarm.state, at_ms: alarm.at, heard_ms: t_ms };
        let known = self.alarms.entry((name.to_owned(), about));
        known
            .and_modify(|known| {
                if known.at_ms <= said.at_ms {
                    *known = Said { ..said };
                }
            })
            .or_insert(Said { ..said });
    }

    /// Whether a server is a part of the group now, and was warm at an instant.
    fn is_warm(&self, slot: Slot, at_ms: i64) -> bool {
        let newest = self.servers.get(&slot).and_then(|stretches| stretches.last());
        newest.is_some_and(|newest| newest.to_ms.is_none() && newest.warm_ms <= at_ms)
    }

    /// Servers that are warm.
    fn warm(&self, at_ms: i64) -> impl Iterator<Item = Slot> {
        self.servers.keys().copied().filter(move |slot| self.is_warm(*slot, at_ms))
    }

    /// Servers that were warm at an edge, by all that was told before it, and since when.
    fn warm_at_edge(&self, edge_ms: i64) -> impl Iterator<Item = (Slot, i64)> {
        let then = move |stretch: &&Stretch| {
            stretch.from_ms < edge_ms
                && stretch.warm_ms <= edge_ms
                && stretch.to_ms.is_none_or(|to_ms| to_ms >= edge_ms)
        };
        self.servers.iter().filter_map(move |(slot, stretches)| Some((*slot, stretches.iter().find(then)?.warm_ms)))
    }

    /// An aggregate as the newest edge showed it (rules 4 and 5), whole.
    #[must_use]
    pub fn value(&self, aggregate: &Aggregate, glance: &Glance<'_>) -> Seen<Value> {
        let metric = &glance.policy.metrics[aggregate.metric];
        let (every_ms, over_ms) = (metric.every.0, aggregate.over.0);
        let pane_ms = pane_ms(glance.policy, aggregate);
        let edge_ms = glance.at_ms.div_euclid(pane_ms) * pane_ms;
        let begin_ms = edge_ms - ceil(over_ms, pane_ms) * pane_ms;
        if begin_ms < self.deployed_ms {
            return Seen::Unsure;
        }
        let servers: Vec<(Option<Slot>, i64)> = if metric.shared {
            vec![(None, i64::MIN / 2)]
        } else {
            self.warm_at_edge(edge_ms).map(|(slot, warm_ms)| (Some(slot), warm_ms)).collect()
        };
        let (mut known, mut of) = (Vec::new(), 0);
        for (server, warm_ms) in servers {
            // The pane in which a warmup ends holds what was before it, and does not count.
            let from_ms = begin_ms.max(ceil(warm_ms, pane_ms) * pane_ms);
            let expected = (edge_ms - from_ms) / every_ms;
            if expected < 1 {
                continue;
            }
            of += 1;
            let kept = self.samples.get(&(metric.name.clone(), server)).map_or(&[][..], Vec::as_slice);
            let counts = |heard: &&Heard| heard.heard_ms < edge_ms && (from_ms..edge_ms).contains(&heard.at_ms);
            let values: Vec<&Heard> = kept.iter().filter(counts).collect();
            let recent = values.last().is_some_and(|newest| newest.at_ms >= edge_ms - 2 * every_ms);
            if recent && values.len() as i64 >= (expected * 8 / 10).max(1) {
                known.push(values.into_iter().map(|heard| heard.value).collect::<Vec<i64>>());
            }
        }
        if of == 0 || known.len() as i64 * 10 < of * 8 {
            return Seen::Unknown;
        }
        let off = |exact: Fraction| match aggregate.func {
            // Buckets are two percent off at most (rule 4).
            Func::Percentile(_) => i64::try_from(exact.abs().over(50).ceil()).unwrap_or(i64::MAX) + 1,
            Func::Avg | Func::Sum | Func::Min | Func::Max | Func::Last => of + 1,
        };
        together(aggregate.func, &known).map_or(Seen::Unsure, |exact| Seen::Sure(Value { exact, off: off(exact), of }))
    }

    /// An aggregate as a condition reads it.
    #[must_use]
    pub fn read(&self, aggregate: &Aggregate, glance: &Glance<'_>) -> Seen<Value> {
        match self.value(aggregate, glance) {
            Seen::Sure(value) if aggregate.per_server => {
                Seen::Sure(Value { exact: value.exact.over(i128::from(glance.target.max(1))), ..value })
            }
            seen => seen,
        }
    }

    /// Whether a condition holds, in Kleene's logic.
    #[must_use]
    pub fn truth(&self, condition: &Condition, glance: &Glance<'_>) -> Seen<bool> {
        match condition {
            Condition::All(parts) => self.join(parts, false, glance),
            Condition::Any(parts) => self.join(parts, true, glance),
            Condition::Not(part) => match self.truth(part, glance) {
                Seen::Sure(truth) => Seen::Sure(!truth),
                other => other,
            },
            Condition::Compare(comparison) => match self.read(&comparison.aggregate, glance) {
                Seen::Sure(value) if value.exact.is_near(comparison.threshold.0, value.off) => Seen::Unsure,
                Seen::Sure(value) => {
                    let above = value.exact.is_above(comparison.threshold.0);
                    Seen::Sure(matches!(comparison.op, Op::Above | Op::AtLeast) == above)
                }
                Seen::Unknown => Seen::Unknown,
                Seen::Unsure => Seen::Unsure,
            },
            Condition::Alarm(test) => Seen::Sure(self.is_alarmed(test, glance)),
            Condition::Count(test) => {
                let begin_ms = glance.at_ms - test.over.0;
                if begin_ms < self.deployed_ms {
                    return Seen::Unsure;
                }
                let name = match test.counted {
                    Counted::ServerReady => "server.ready",
                    Counted::ServerFailed => "server.failed",
                    Counted::ServerLost => "server.lost",
                    Counted::Declared(event) => glance.policy.events[event].from.as_str(),
                };
                let times = self.counts.get(name).into_iter().flatten().filter(|at_ms| **at_ms > begin_ms).count();
                let threshold = test.threshold as usize;
                Seen::Sure(match test.op {
                    Op::Above => times > threshold,
                    Op::AtLeast => times >= threshold,
                    Op::Under => times < threshold,
                    Op::AtMost => times <= threshold,
                })
            }
            Condition::Missing(test) => Seen::Sure(self.is_missing(test, glance)),
        }
    }

    fn join(&self, parts: &[Condition], decisive: bool, glance: &Glance<'_>) -> Seen<bool> {
        let parts: Vec<Seen<bool>> = parts.iter().map(|part| self.truth(part, glance)).collect();
        if parts.contains(&Seen::Sure(decisive)) {
            Seen::Sure(decisive)
        } else if parts.contains(&Seen::Unsure) {
            Seen::Unsure
        } else if parts.contains(&Seen::Unknown) {
            Seen::Unknown
        } else {
            Seen::Sure(!decisive)
        }
    }

    fn is_alarmed(&self, test: &AlarmTest, glance: &Glance<'_>) -> bool {
        let alarm = &glance.policy.alarms[test.alarm];
        let is_so = |said: &Said| {
            let bad = matches!(said.state, AlarmState::Warning | AlarmState::Critical);
            let stale = alarm.stale_after.is_some_and(|stale| said.heard_ms + stale.0 <= glance.at_ms);
            let state = if bad && stale { AlarmState::Unknown } else { said.state };
            // Only `is unknown` is true of unknown.
            if test.negated { state != AlarmState::Unknown && state != test.state } else { state == test.state }
        };
        let said = self.alarms.iter().filter(|((name, _), said)| *name == alarm.name && is_so(said));
        let warm = self.warm(glance.at_ms).count() as u64;
        let on_warm = |slot: &Option<Slot>| slot.is_some_and(|slot| self.is_warm(slot, glance.at_ms));
        let on = said.clone().filter(|((_, slot), _)| on_warm(slot)).count() as u64;
        match test.quorum {
            Quorum::Any => said.count() > 0,
            Quorum::Servers(servers) => on >= u64::from(servers),
            Quorum::Share(share) => on >= (warm * share.0.unsigned_abs()).div_ceil(100_000).max(1),
        }
    }

    fn is_missing(&self, test: &MissingTest, glance: &Glance<'_>) -> bool {
        let metric = &glance.policy.metrics[test.metric];
        let since_ms = glance.at_ms - test.hold.0;
        let silent = self.heard_ms.get(&metric.name).is_some_and(|heard_ms| *heard_ms <= since_ms);
        let should_speak = metric.shared || self.warm(glance.at_ms).next().is_some();
        silent && should_speak && glance.intake_bad_ms <= since_ms
    }
}

/// How far apart the edges are at which an aggregate is read anew (rule 2), milliseconds.
#[must_use]
pub fn pane_ms(policy: &policy::Policy, aggregate: &Aggregate) -> i64 {
    policy.metrics[aggregate.metric].every.0.max(ceil(aggregate.over.0, 20))
}

/// Each server reduced first, then the servers together (rule 4); of each, its values oldest first.
fn together(func: Func, servers: &[Vec<i64>]) -> Option<Fraction> {
    let means = || servers.iter().map(|values| Fraction::mean(values)).fold(Fraction::ZERO, Fraction::plus);
    let all = || servers.iter().flatten().copied();
    let last = |values: &Vec<i64>| values.last().copied();
    Some(match func {
        Func::Avg => means().over(servers.len() as i128),
        Func::Sum => means(),
        Func::Min => Fraction::whole(all().min()?),
        Func::Max => Fraction::whole(all().max()?),
        Func::Last => Fraction::mean(&servers.iter().filter_map(last).collect::<Vec<i64>>()),
        // Of all samples: the smallest that so many percent of them do not exceed.
        Func::Percentile(percent) => {
            let mut values: Vec<i64> = all().collect();
            values.sort_unstable();
            let rank = (values.len() * usize::from(percent)).div_ceil(100);
            Fraction::whole(*values.get(rank.checked_sub(1)?)?)
        }
    })
}

fn ceil(dividend: i64, divisor: i64) -> i64 {
    -(-dividend).div_euclid(divisor)
}
