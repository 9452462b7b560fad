//! Wiring: what a checked group needs at hand to be evaluated fast, worked out once a deploy and never stored.
//!
//! Names become places: each distinct aggregate, window, rule, alarm and event of a group has its place in a list, and
//! the group's state is kept in lists of the same order. A new version of the policy gives new places; `deploy` moves
//! the state over by name (rule 20).

use crate::{command::Spec, condition, fetch, group::Group, question::Question, window::pane_ms, words};
use std::sync::Arc;
use weir_grammar::{
    policy::{self, Aggregate, Condition, Counted, Func, Policy, Rule, Trigger},
    quantity::Millis,
};

/// Events that every group counts: `server.ready`, `server.failed`, `server.lost`.
pub const OWN_EVENTS: usize = 3;

/// One group of a file, wired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wiring {
    /// The distinct aggregates that its rules read, in the order of the file.
    pub aggregates: Vec<Wired>,
    /// The windows that they look into.
    pub windows: Vec<Pane>,
    /// For each rule the places of the aggregates it reads.
    pub reads: Vec<Vec<usize>>,
    /// What each rule asks, where it asks anything.
    pub questions: Vec<Option<Question>>,
    /// The shortest silence of each metric that a rule acts on (rule 19), by the metric's place in the file.
    pub silences: Vec<Option<Millis>>,
    /// The longest look-back of a counted event; what is older is forgotten.
    pub counts_over: Millis,
    /// What its servers are. Boxed, since only a command asks.
    pub spec: Box<Spec>,
    /// A fingerprint of `spec`.
    pub spec_print: Arc<str>,
    /// Each rule's name, as the memories of its groups share it.
    pub names: Vec<Arc<str>>,
    /// Each rule's meaning, likewise.
    pub meanings: Vec<Arc<str>>,
}

/// An aggregate in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wired {
    /// The aggregate.
    pub aggregate: Aggregate,
    /// The place of its window.
    pub window: usize,
    /// The length of its panes, milliseconds.
    pub pane_ms: i64,
    /// As the policy writes it.
    pub words: String,
}

/// A window that a group must keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pane {
    /// The metric's place in the file.
    pub metric: usize,
    /// The length of a pane, milliseconds.
    pub pane_ms: i64,
    /// Complete panes to keep.
    pub keep: u32,
    /// With what percentiles need.
    pub sketch: bool,
}

impl Wiring {
    /// Its lists are on their way into the cache.
    pub(crate) fn fetch_lists(&self) {
        fetch::list(&self.aggregates);
        fetch::list(&self.windows);
        fetch::list(&self.questions);
        fetch::list(&self.reads);
        fetch::list(&self.silences);
    }

    /// Wires a group.
    #[must_use]
    pub fn new(policy: &Policy, plan: &policy::Group, spec: Spec) -> Self {
        let spec_print = blake3::hash(&serde_json::to_vec(&spec).unwrap_or_default()).to_hex();
        let mut wiring = Self {
            aggregates: Vec::new(),
            windows: Vec::new(),
            reads: Vec::with_capacity(plan.rules.len()),
            questions: Vec::new(),
            silences: (0..policy.metrics.len())
                .map(|metric| condition::shortest_silence(&plan.rules, metric))
                .collect(),
            counts_over: plan.rules.iter().map(longest_count).max().unwrap_or_default(),
            spec: Box::new(spec),
            spec_print: Arc::from(spec_print.as_str()),
            names: plan.rules.iter().map(|rule| Arc::from(rule.name.as_str())).collect(),
            meanings: plan.rules.iter().map(|rule| Arc::from(meaning(rule))).collect(),
        };
        for rule in &plan.rules {
            let read = of_rule(rule);
            let mut places = Vec::with_capacity(read.len());
            places.extend(read.into_iter().filter_map(|aggregate| wiring.add(policy, aggregate)));
            wiring.reads.push(places);
        }
        let question = |rule: &Rule| match &rule.trigger {
            Trigger::When { condition, .. } => Some(Question::of(condition, &wiring)),
            _ => None,
        };
        wiring.questions = plan.rules.iter().map(question).collect();
        // Of one of many groups it stays as it is.
        wiring.aggregates.shrink_to_fit();
        wiring.windows.shrink_to_fit();
        wiring
    }

    fn add(&mut self, policy: &Policy, aggregate: Aggregate) -> Option<usize> {
        if let Some(place) = self.place(&aggregate) {
            return Some(place);
        }
        let metric = policy.metrics.get(aggregate.metric)?;
        let pane_ms = pane_ms(metric.every, aggregate.over);
        let keep = u32::try_from((aggregate.over.0 + pane_ms - 1) / pane_ms).unwrap_or(u32::MAX);
        let sketch = matches!(aggregate.func, Func::Percentile(_));
        let same = |pane: &Pane| (pane.metric, pane.pane_ms) == (aggregate.metric, pane_ms);
        let window = self.windows.iter().position(same).unwrap_or_else(|| {
            self.windows.push(Pane { metric: aggregate.metric, pane_ms, keep, sketch });
            self.windows.len() - 1
        });
        if let Some(pane) = self.windows.get_mut(window) {
            pane.keep = pane.keep.max(keep);
            pane.sketch |= sketch;
        }
        self.aggregates.push(Wired { aggregate, window, pane_ms, words: words::aggregate(policy, &aggregate) });
        Some(self.aggregates.len() - 1)
    }

    /// The place of an aggregate. A group reads few, so looking through them beats any index.
    #[must_use]
    pub fn place(&self, aggregate: &Aggregate) -> Option<usize> {
        self.aggregates.iter().position(|wired| wired.aggregate == *aggregate)
    }

    /// Lets a group's memories share the texts that are the same here: kept once a policy and not once a group, and found
    /// equal without being read.
    pub fn share(&self, group: &mut Group) {
        let shared = |own: &mut Arc<str>, ours: &Arc<str>| {
            if *own == *ours {
                *own = Arc::clone(ours);
            }
        };
        shared(&mut group.spec_print, &self.spec_print);
        for (memory, (name, meaning)) in group.rules.iter_mut().zip(self.names.iter().zip(&self.meanings)) {
            shared(&mut memory.name, name);
            shared(&mut memory.meaning, meaning);
        }
    }

    /// What the rule at `index` asks.
    #[must_use]
    pub fn question(&self, index: usize) -> Option<&Question> {
        self.questions.get(index)?.as_ref()
    }

    /// The aggregates that the rule at `index` reads.
    pub fn read_by(&self, index: usize) -> impl Iterator<Item = (usize, &Wired)> {
        let places = self.reads.get(index).map(Vec::as_slice).unwrap_or_default();
        places.iter().filter_map(|place| Some((*place, self.aggregates.get(*place)?)))
    }
}

/// What a rule means: its own words, and the zone that its schedule is read in.
fn meaning(rule: &Rule) -> String {
    match &rule.trigger {
        Trigger::Cron { zone, .. } => format!("{} in {}", rule.meaning, zone.name()),
        Trigger::At { at_ms } => format!("{} at {at_ms}", rule.meaning),
        _ => rule.meaning.clone(),
    }
}

/// The place of a counted event in a group's list: the three that every group counts, then the file's own.
#[must_use]
pub fn event_place(counted: Counted) -> usize {
    match counted {
        Counted::ServerReady => 0,
        Counted::ServerFailed => 1,
        Counted::ServerLost => 2,
        Counted::Declared(index) => OWN_EVENTS + index,
    }
}

/// The aggregates that one rule reads, one perhaps twice.
fn of_rule(rule: &Rule) -> Vec<Aggregate> {
    let mut found = Vec::new();
    match &rule.trigger {
        Trigger::When { condition, .. } => of_condition(condition, &mut found),
        Trigger::Step { aggregate, .. } | Trigger::Track { aggregate, .. } => found.push(*aggregate),
        Trigger::Cron { .. } | Trigger::At { .. } | Trigger::Webhook { .. } | Trigger::Manual => {}
    }
    found
}

fn of_condition(condition: &Condition, found: &mut Vec<Aggregate>) {
    match condition {
        Condition::All(parts) | Condition::Any(parts) => parts.iter().for_each(|part| of_condition(part, found)),
        Condition::Not(part) => of_condition(part, found),
        Condition::Compare(comparison) => found.push(comparison.aggregate),
        Condition::Alarm(_) | Condition::Count(_) | Condition::Missing(_) => {}
    }
}

fn longest_count(rule: &Rule) -> Millis {
    fn of(condition: &Condition) -> Millis {
        match condition {
            Condition::All(parts) | Condition::Any(parts) => parts.iter().map(of).max().unwrap_or_default(),
            Condition::Not(part) => of(part),
            Condition::Count(test) => test.over,
            Condition::Compare(_) | Condition::Alarm(_) | Condition::Missing(_) => Millis(0),
        }
    }
    match &rule.trigger {
        Trigger::When { condition, .. } => of(condition),
        _ => Millis(0),
    }
}
