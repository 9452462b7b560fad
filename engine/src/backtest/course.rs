//! The course of one group in a run: sizes, bounds and what its rules read over time, every decision, and the figures by
//! which two policies are compared. Integers throughout, so that two runs of one thing are equal to the last digit.

use crate::{
    aggregate, bounds,
    condition::Scene,
    decision::{Decision, Verdict},
    explain::Why,
    partition::Partition,
    program::Program,
    view::LastChange,
    wish,
};
use serde::Serialize;
use weir_grammar::{
    policy::{Aggregate, Comparison, Condition, Rule, Side, Trigger, Unit},
    quantity::{Percent, Quantity},
};

/// A change this soon after one in the other direction takes it back, milliseconds.
pub const REVERSAL_MS: i64 = 1_800_000;

/// What one group did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Course {
    /// Its name.
    pub group: String,
    /// When the run began to watch it, epoch milliseconds.
    pub began_ms: i64,
    /// When it ended.
    pub ended_ms: i64,
    /// The target from each instant on.
    pub targets: Vec<(i64, u32)>,
    /// Servers that take their part, from each instant on.
    pub ready: Vec<(i64, u32)>,
    /// Floor and ceiling from each instant on.
    pub bounds: Vec<(i64, u32, u32)>,
    /// What its rules read, in the order of the file.
    pub series: Vec<Series>,
    /// Every decision that was news, and what it saw.
    pub decisions: Vec<Why>,
    /// In numbers.
    pub figures: Figures,
}

/// A value that rules read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Series {
    /// As the policy writes it: `avg(cpu.usage over 5m)`.
    pub words: String,
    /// What its values are.
    pub unit: Unit,
    /// The values from each instant on; `None` is unknown.
    pub points: Vec<(i64, Option<Quantity>)>,
    /// What rules hold it against.
    pub lines: Vec<Line>,
}

/// A value at which a rule acts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The rule.
    pub rule: String,
    /// The value.
    pub at: Quantity,
}

/// A course in numbers. Lengths are milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Changes of the target.
    pub changes: u32,
    /// Servers added, all together.
    pub added: u32,
    /// Servers removed, all together.
    pub removed: u32,
    /// Changes that took back the one before within [`REVERSAL_MS`].
    pub reversals: u32,
    /// Wishes held by a guard, each once as long as its reasons stay the same.
    pub held: u32,
    /// Schedules found too late.
    pub missed: u32,
    /// Forces that were refused.
    pub refused: u32,
    /// The target over time: one server for an hour is 3,600,000.
    pub server_ms: i64,
    /// The largest target.
    pub peak: u32,
    /// The smallest target.
    pub low: u32,
    /// At the floor.
    pub floor_ms: i64,
    /// At the ceiling.
    pub ceiling_ms: i64,
    /// How long what each adding rule watches for was so, in the order of the file.
    pub over_ms: Vec<(String, i64)>,
}

/// Watches one group.
pub(super) struct Recorder {
    course: Course,
    /// What holds since `course.ended_ms`: floor, ceiling, and which adding rules' conditions are met.
    floor: bool,
    ceiling: bool,
    over: Vec<(String, bool)>,
    last: Option<LastChange>,
}

impl Recorder {
    pub(super) fn new(group: &str, began_ms: i64) -> Self {
        let course = Course {
            group: group.to_owned(),
            began_ms,
            ended_ms: began_ms,
            targets: Vec::new(),
            ready: Vec::new(),
            bounds: Vec::new(),
            series: Vec::new(),
            decisions: Vec::new(),
            figures: Figures::default(),
        };
        Self { course, floor: false, ceiling: false, over: Vec::new(), last: None }
    }

    /// Takes a decision down.
    pub(super) fn hear(&mut self, state: &Partition, tenant: &str, decision: Decision) {
        let figures = &mut self.course.figures;
        let by = match &decision.outcome {
            Verdict::Changed { by, .. } => by.clone(),
            Verdict::Held { .. } => {
                figures.held += 1;
                String::new()
            }
            Verdict::Missed { .. } => {
                figures.missed += 1;
                String::new()
            }
            Verdict::Refused { .. } => {
                figures.refused += 1;
                String::new()
            }
            Verdict::Still => String::new(),
        };
        let (at, from, to) = (decision.at, decision.from, decision.to);
        let changed = (from != to).then_some(LastChange { at, by, from, to });
        if let Some(change) = &changed {
            figures.changes += 1;
            figures.added = figures.added.saturating_add(to.saturating_sub(from));
            figures.removed = figures.removed.saturating_add(from.saturating_sub(to));
            let back = |last: &LastChange| (last.to > last.from) != (to > from) && change.at - last.at <= REVERSAL_MS;
            figures.reversals += u32::from(self.last.as_ref().is_some_and(back));
        }
        let known = state.group(tenant, &decision.group);
        let plan = known.and_then(|(id, _)| Some(&state.program(id)?.plan));
        let floor = known.zip(plan).and_then(|((_, group), plan)| bounds::of(group, plan).floor_by);
        self.course.decisions.push(Why {
            file: known.map(|(_, group)| group.file.clone()).unwrap_or_default(),
            floor_by: floor.as_ref().map(|(window, _)| window.clone()),
            floor_until: floor.map(|(_, until)| until),
            by_hand: Vec::new(),
            last_change: self.last.clone(),
            next_look: None,
            decision,
        });
        self.last = changed.or(self.last.take());
    }

    /// Looks at the group as it is now.
    pub(super) fn look(&mut self, state: &Partition, tenant: &str) {
        let now_ms = state.t();
        self.pass(now_ms);
        let Some((id, group)) = state.group(tenant, &self.course.group) else { return };
        let Some(program) = state.program(id) else { return };
        let Program { plan, wiring, .. } = &**program;
        let course = &mut self.course;
        let bounds = bounds::of(group, plan);
        note(&mut course.targets, now_ms, group.target);
        note(&mut course.ready, now_ms, group.members.ready_count());
        if course.bounds.last().is_none_or(|(_, min, max)| (*min, *max) != (bounds.min, bounds.max)) {
            course.bounds.push((now_ms, bounds.min, bounds.max));
        }
        if course.series.is_empty() {
            course.series =
                wiring.aggregates.iter().map(|wired| series(program, &wired.aggregate, &wired.words)).collect();
        }
        for (wired, series) in wiring.aggregates.iter().zip(&mut course.series) {
            note(&mut series.points, now_ms, aggregate::read(group, wiring, &wired.aggregate));
        }
        let figures = &mut course.figures;
        let first = course.targets.len() == 1;
        figures.low = if first { group.target } else { figures.low.min(group.target) };
        figures.peak = figures.peak.max(group.target);
        (self.floor, self.ceiling) = (group.target == bounds.min, group.target == bounds.max);
        let intake_bad_ms = state.tenant(tenant).map_or(0, |tenant| tenant.intake_bad_ms);
        let scene = Scene { group, policy: &program.policy, wiring, now_ms, intake_bad_ms };
        let adding = plan.rules.iter().enumerate().filter(|(_, rule)| !rule.observe && wish::can_add(rule));
        self.over =
            adding.filter_map(|(index, rule)| Some((rule.name.clone(), exceeded(index, rule, &scene)?))).collect();
        for (rule, _) in &self.over {
            if !self.course.figures.over_ms.iter().any(|(known, _)| known == rule) {
                self.course.figures.over_ms.push((rule.clone(), 0));
            }
        }
    }

    /// Time passed, in which everything was as it was seen last.
    fn pass(&mut self, now_ms: i64) {
        let passed = now_ms.saturating_sub(self.course.ended_ms).max(0);
        let Course { targets, ended_ms, figures, .. } = &mut self.course;
        *ended_ms = (*ended_ms).max(now_ms);
        let target = targets.last().map_or(0, |(_, target)| *target);
        figures.server_ms = figures.server_ms.saturating_add(passed.saturating_mul(i64::from(target)));
        figures.floor_ms += if self.floor { passed } else { 0 };
        figures.ceiling_ms += if self.ceiling { passed } else { 0 };
        for (rule, _) in self.over.iter().filter(|(_, over)| *over) {
            if let Some((_, over_ms)) = figures.over_ms.iter_mut().find(|(known, _)| known == rule) {
                *over_ms += passed;
            }
        }
    }

    pub(super) fn done(mut self, state: &Partition, tenant: &str) -> Course {
        self.look(state, tenant);
        self.course
    }
}

/// Notes a value where it is another one than before.
fn note<T: PartialEq>(points: &mut Vec<(i64, T)>, now_ms: i64, value: T) {
    match points.last_mut() {
        Some((_, last)) if *last == value => {}
        Some((at, last)) if *at == now_ms => *last = value,
        _ => points.push((now_ms, value)),
    }
}

fn series(program: &Program, aggregate: &Aggregate, words: &str) -> Series {
    let policy = &program.policy;
    let unit = policy.metrics.get(aggregate.metric).map(|metric| metric.unit).unwrap_or_default();
    let mut lines = Vec::new();
    for rule in &program.plan.rules {
        let mut add = |at| lines.push(Line { rule: rule.name.clone(), at });
        match &rule.trigger {
            Trigger::Track { aggregate: read, goal, .. } if read == aggregate => add(*goal),
            Trigger::Step { aggregate: read, arms, .. } if read == aggregate => {
                arms.iter().for_each(|arm| add(arm.bound))
            }
            Trigger::When { condition, .. } => thresholds(condition, &mut |comparison| {
                if comparison.aggregate == *aggregate {
                    add(comparison.threshold);
                }
            }),
            _ => {}
        }
    }
    Series { words: words.to_owned(), unit, points: Vec::new(), lines }
}

fn thresholds(condition: &Condition, found: &mut dyn FnMut(&Comparison)) {
    match condition {
        Condition::All(parts) | Condition::Any(parts) => parts.iter().for_each(|part| thresholds(part, found)),
        Condition::Not(part) => thresholds(part, found),
        Condition::Compare(comparison) => found(comparison),
        Condition::Alarm(_) | Condition::Count(_) | Condition::Missing(_) => {}
    }
}

/// Whether what an adding rule watches for is so, `for` and guards apart; `None` where it watches for nothing.
fn exceeded(index: usize, rule: &Rule, scene: &Scene<'_>) -> Option<bool> {
    let Scene { group, wiring, .. } = *scene;
    match &rule.trigger {
        Trigger::When { .. } => Some(wiring.question(index)?.truth(scene) == Some(true)),
        Trigger::Step { aggregate, arms, .. } => {
            let value = aggregate::read(group, wiring, aggregate);
            let from = |value: Quantity| arms.iter().any(|arm| arm.side == Side::From && value >= arm.bound);
            Some(value.is_some_and(from))
        }
        Trigger::Track { aggregate, goal, within } => {
            let value = aggregate::read(group, wiring, aggregate);
            Some(value.is_some_and(|value| over(value, *goal, *within)))
        }
        Trigger::Cron { .. } | Trigger::At { .. } | Trigger::Webhook { .. } | Trigger::Manual => None,
    }
}

/// Over the goal by more than the tolerance, exactly.
fn over(value: Quantity, goal: Quantity, within: Percent) -> bool {
    let whole = i128::from(Percent::WHOLE.0);
    i128::from(value.0) * whole > i128::from(goal.0) * (whole + i128::from(within.0))
}
