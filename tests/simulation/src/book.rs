//! The judge's book: what the log's facts mean for a group, kept in the simplest way that could be right.
//!
//! It knows nothing of the engine's state. It follows the facts in the order of the log and the decisions that came out.

use crate::{levels, senses::Senses};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use weir_engine::{
    command::Hold,
    event::{About, Alarm, Control, Happened, Order, Sample},
    grammar::policy::{self, Direction, Policy},
    id::{GroupUid, Slot},
    outcome::{Happening, Outcome},
};

/// How long a force's key is remembered, milliseconds.
const FORCE_KEPT_MS: i64 = 600_000;

/// A tenant.
#[derive(Debug, Default)]
pub struct Tenant {
    /// Groups by name.
    pub groups: BTreeMap<String, Group>,
    /// Most servers.
    pub quota: Option<u32>,
    /// Kill switch: adding, removing, until when.
    pub kill: Option<(bool, bool, Option<i64>)>,
    /// When each force's key came first.
    pub forces: BTreeMap<String, i64>,
    /// Groups that were ever made.
    made: u64,
    /// What the servers of each group, by its number, are called.
    called: BTreeMap<(u64, Slot), Vec<String>>,
    /// The newest instant at which our own intake was unwell (rule 19).
    pub intake_bad_ms: i64,
}

/// A group.
#[derive(Debug)]
pub struct Group {
    /// Counts the groups that were made.
    number: u64,
    /// What it heard.
    pub senses: Senses,
    /// Which life of it; none before its first decision.
    pub uid: Option<GroupUid>,
    /// Its policy.
    pub policy: Arc<Policy>,
    /// Its place in it.
    pub index: usize,
    /// The size wanted.
    pub target: u32,
    /// The newest generation.
    pub generation: u64,
    /// The instant of its newest evaluation.
    pub judged_ms: i64,
    /// What the newest command holds.
    pub hold: Hold,
    /// A pause, until when.
    pub pause: Option<Option<i64>>,
    /// An override: floor, ceiling, until when.
    pub hand: Option<(Option<u32>, Option<u32>, i64)>,
    /// Its cloud cannot fill it.
    pub degraded: bool,
    /// Every change: when, which way, how many.
    pub changes: Vec<(i64, Direction, u32)>,
    /// Cooldowns by rule name: until when, after which direction, how long the group's.
    pub cooldowns: Vec<(String, i64, i64, Direction)>,
    /// Servers that are building (none), or ready and warm from then on.
    pub members: BTreeMap<Slot, Option<i64>>,
    leaving: BTreeSet<Slot>,
    /// The newest outcome's number.
    pub seq: u64,
    /// Since when servers have been on their way.
    pub unsettled_ms: Option<i64>,
    /// Each schedule's instants that are still to come or to be accounted for, by rule name.
    pub due: BTreeMap<String, BTreeSet<i64>>,
    /// Stretches in which windows and freezes are open, by name.
    pub stretches: BTreeMap<String, Vec<(i64, i64)>>,
}

impl Tenant {
    /// A version is in force from `t_ms` on; schedules are written out until `end_ms`.
    pub fn deploy(&mut self, policy: &Arc<Policy>, t_ms: i64, end_ms: i64) {
        for (index, plan) in policy.groups.iter().enumerate() {
            let made = &mut self.made;
            let group = self.groups.entry(plan.name.clone()).or_insert_with(|| {
                *made += 1;
                Group::new(*made, policy, index)
            });
            group.senses.deployed_ms = t_ms;
            let before = std::mem::replace(&mut group.policy, Arc::clone(policy));
            let old = before.groups.iter().find(|old| old.name == plan.name);
            group.index = index;
            let mut due = std::mem::take(&mut group.due);
            for rule in &plan.rules {
                let old = old.and_then(|old| old.rules.iter().find(|old| old.name == rule.name));
                let same = old.is_some_and(|old| old.meaning == rule.meaning && zone(old) == zone(rule));
                let kept = due.remove(&rule.name).filter(|_| same);
                let due = kept.unwrap_or_else(|| levels::instants(rule, t_ms, end_ms).into_iter().collect());
                group.due.insert(rule.name.clone(), due);
            }
            group.cooldowns.retain(|(name, ..)| plan.rules.iter().any(|rule| rule.name == *name));
            let windows = plan.windows.iter().map(|window| (&window.name, &window.when));
            let freezes = plan.freezes.iter().map(|freeze| (&freeze.name, &freeze.when));
            let written = windows.chain(freezes);
            group.stretches =
                written.map(|(name, when)| (name.clone(), levels::stretches(when, t_ms, end_ms))).collect();
        }
    }

    /// An order, at the log's time.
    pub fn obey(&mut self, control: &Control, t_ms: i64) {
        match &control.order {
            Order::Pause { group, until } => {
                if let Some(group) = self.groups.get_mut(group) {
                    group.pause = Some(*until);
                }
            }
            Order::Resume { group } => {
                if let Some(group) = self.groups.get_mut(group) {
                    group.pause = None;
                }
            }
            Order::Override { group, floor, ceiling, until } => {
                if let Some(group) = self.groups.get_mut(group).filter(|_| *until > t_ms) {
                    group.hand = Some((*floor, *ceiling, *until));
                }
            }
            Order::LiftOverride { group } => {
                if let Some(group) = self.groups.get_mut(group) {
                    group.hand = None;
                }
            }
            Order::Remove { group, .. } => {
                if let Some(gone) = self.groups.remove(group) {
                    self.called.retain(|(number, _), _| *number != gone.number);
                }
            }
            Order::KillSwitch { adding, removing, until, .. } => self.kill = Some((*adding, *removing, *until)),
            Order::Quota { servers } => self.quota = *servers,
            // What becomes of the target stands in the decision, and is weighed there.
            Order::Server { .. } => {}
        }
    }

    /// Whether adding, or removing, is switched off.
    #[must_use]
    pub fn killed(&self, direction: Direction, at_ms: i64) -> bool {
        self.kill.is_some_and(|(adding, removing, until)| {
            let holds = if direction == Direction::Add { adding } else { removing };
            holds && until.is_none_or(|until_ms| at_ms < until_ms)
        })
    }

    /// Whether a force's key is new; it is remembered then.
    pub fn is_new_force(&mut self, id: &str, t_ms: i64) -> bool {
        self.forces.retain(|_, at_ms| t_ms - *at_ms < FORCE_KEPT_MS);
        self.forces.insert(id.to_owned(), t_ms).is_none_or(|first_ms| {
            self.forces.insert(id.to_owned(), first_ms);
            false
        })
    }

    /// An outcome of one of its groups, by the group's uid.
    pub fn learn(&mut self, outcome: &Outcome, t_ms: i64) {
        let Some(group) = self.groups.values_mut().find(|group| group.uid == Some(outcome.uid)) else { return };
        if outcome.seq > group.seq {
            match &outcome.happening {
                Happening::Building { slot, server } => {
                    self.called.insert((group.number, *slot), vec![server.clone()]);
                }
                Happening::Ready { slot, server, name, addresses } => {
                    let names = [server, name].into_iter().chain(addresses).cloned().collect();
                    self.called.insert((group.number, *slot), names);
                }
                Happening::Failed { slot, .. } | Happening::Removed { slot } | Happening::Lost { slot, .. } => {
                    self.called.remove(&(group.number, *slot));
                }
                Happening::Leaving { .. }
                | Happening::NotAdopted { .. }
                | Happening::Degraded { .. }
                | Happening::Healed => {}
            }
        }
        group.learn(outcome, t_ms);
    }

    /// The server that a fact names, with its group's number; the later where two are called the same.
    fn server(&self, about: &About) -> Option<(u64, Slot)> {
        let called = |name: &String| self.called.iter().rev().find(|(_, names)| names.contains(name));
        about.server.iter().find_map(called).map(|(server, _)| *server)
    }

    /// Whom of a group a fact concerns: a server of it, or nobody where the thing is shared or the group is named.
    fn whom(
        server: Option<(u64, Slot)>,
        (name, group): (&String, &Group),
        about: &About,
        shared: bool,
    ) -> Option<Option<Slot>> {
        let named = about.group.as_ref() == Some(name);
        match server {
            _ if shared => (about.group.is_none() || named).then_some(None),
            Some((number, slot)) => (number == group.number).then_some(Some(slot)),
            None => named.then_some(None),
        }
    }

    /// Samples came.
    pub fn sample(&mut self, samples: &[Sample], t_ms: i64) {
        for sample in samples {
            let server = self.server(&sample.about);
            for (name, group) in &mut self.groups {
                let policy = Arc::clone(&group.policy);
                let meant = |metric: &&policy::Metric| [&metric.from, &metric.name].contains(&&sample.metric);
                for metric in policy.metrics.iter().filter(meant) {
                    let whom = Self::whom(server, (name, group), &sample.about, metric.shared);
                    // What is measured on servers is said of one.
                    if let Some(of) = whom.filter(|of| metric.shared || of.is_some()) {
                        group.senses.sample(&metric.name, of, sample, t_ms);
                    }
                }
            }
        }
    }

    /// An alarm spoke.
    pub fn alarm(&mut self, alarm: &Alarm, t_ms: i64) {
        let server = self.server(&alarm.about);
        for (name, group) in &mut self.groups {
            let policy = Arc::clone(&group.policy);
            for declared in policy.alarms.iter().filter(|declared| declared.from == alarm.name) {
                if let Some(about) = Self::whom(server, (name, group), &alarm.about, declared.shared) {
                    group.senses.alarm(&declared.name, about, alarm, t_ms);
                }
            }
        }
    }

    /// Something happened that may be counted; what is about nobody is everybody's.
    pub fn count(&mut self, happened: &Happened, t_ms: i64) {
        let server = self.server(&happened.about);
        for (name, group) in &mut self.groups {
            let everybodys = server.is_none() && happened.about.group.is_none();
            if everybodys || Self::whom(server, (name, group), &happened.about, false).is_some() {
                group.senses.count(&happened.kind, t_ms);
            }
        }
    }

    /// Servers wanted over all groups.
    #[must_use]
    pub fn wanted(&self) -> u32 {
        self.groups.values().map(|group| group.target).sum()
    }
}

fn zone(rule: &policy::Rule) -> Option<&str> {
    match &rule.trigger {
        policy::Trigger::Cron { zone, .. } => Some(zone.name()),
        _ => None,
    }
}

impl Group {
    fn new(number: u64, policy: &Arc<Policy>, index: usize) -> Self {
        Self {
            number,
            senses: Senses::default(),
            uid: None,
            policy: Arc::clone(policy),
            index,
            target: 0,
            generation: 0,
            judged_ms: 0,
            hold: Hold::default(),
            pause: None,
            hand: None,
            degraded: false,
            changes: Vec::new(),
            cooldowns: Vec::new(),
            members: BTreeMap::new(),
            leaving: BTreeSet::new(),
            seq: 0,
            unsettled_ms: None,
            due: BTreeMap::new(),
            stretches: BTreeMap::new(),
        }
    }

    /// Its plan.
    #[must_use]
    pub fn plan(&self) -> &policy::Group {
        &self.policy.groups[self.index]
    }

    /// Floor and ceiling at an instant (rule 16), an override with them.
    #[must_use]
    pub fn bounds(&self, at_ms: i64) -> (u32, u32) {
        let plan = self.plan();
        let open = plan.windows.iter().filter(|window| levels::is_open(&self.stretches[&window.name], at_ms));
        let floor = open.clone().map(|window| window.min).fold(plan.min, u32::max).min(plan.max);
        let ceiling = open.map(|window| window.max).fold(plan.max, u32::min);
        let ceiling = ceiling.max(floor);
        let Some((low, high, _)) = self.hand.filter(|(.., until_ms)| at_ms < *until_ms) else {
            return (floor, ceiling);
        };
        // Whoever overrides knows of the windows; the policy's own bounds stand above both.
        let within = |bound: u32| bound.max(plan.min).min(plan.max);
        match (low.map(within), high.map(within)) {
            (Some(low), Some(high)) => (low, high),
            (Some(low), None) => (low, ceiling.max(low)),
            (None, Some(high)) => (floor.min(high), high),
            (None, None) => (floor, ceiling),
        }
    }

    /// Whether a pause holds at an instant.
    #[must_use]
    pub fn paused(&self, at_ms: i64) -> bool {
        self.pause.is_some_and(|until| until.is_none_or(|until_ms| at_ms < until_ms))
    }

    /// Freezes that are open and hold a direction, without the rule `except` where they say so.
    #[must_use]
    pub fn freezes(&self, direction: Direction, at_ms: i64, except: Option<usize>) -> Vec<&policy::Freeze> {
        let holds = |freeze: &&policy::Freeze| match freeze.blocks {
            policy::Blocks::All => true,
            policy::Blocks::Only(only) => only == direction,
        };
        let open = self.plan().freezes.iter().filter(|freeze| levels::is_open(&self.stretches[&freeze.name], at_ms));
        open.filter(holds).filter(|freeze| except.is_none_or(|rule| !freeze.except.contains(&rule))).collect()
    }

    /// Servers that take their part.
    #[must_use]
    pub fn ready(&self) -> u32 {
        let ready = |(slot, warm): &(&Slot, &Option<i64>)| warm.is_some() && !self.leaving.contains(slot);
        u32::try_from(self.members.iter().filter(ready).count()).unwrap_or(u32::MAX)
    }

    /// Brings up to an instant since when servers have been on their way.
    pub fn note_unsettled(&mut self, at_ms: i64) {
        let on_its_way = |(slot, warm): (&Slot, &Option<i64>)| {
            let settled = warm.is_some_and(|warm_ms| warm_ms <= at_ms);
            !settled && !self.leaving.contains(slot)
        };
        let unsettled = self.target > self.ready() || self.members.iter().any(on_its_way);
        self.unsettled_ms = if unsettled { self.unsettled_ms.or(Some(at_ms)) } else { None };
    }

    /// An outcome; one that comes again is none.
    pub fn learn(&mut self, outcome: &Outcome, t_ms: i64) {
        if outcome.seq <= self.seq {
            return;
        }
        self.seq = outcome.seq;
        self.senses.learn(&outcome.happening, t_ms, self.plan().warmup.0);
        let warm_ms = t_ms + self.plan().warmup.0;
        match &outcome.happening {
            Happening::Building { slot, .. } => {
                self.members.insert(*slot, None);
            }
            Happening::Ready { slot, .. } => {
                let known = self.members.get(slot).copied().flatten().filter(|_| !self.leaving.contains(slot));
                self.members.insert(*slot, Some(known.unwrap_or(warm_ms)));
            }
            Happening::Leaving { slot } => {
                self.leaving.extend(self.members.get(slot).map(|_| *slot));
            }
            Happening::Failed { slot, .. } | Happening::Removed { slot } | Happening::Lost { slot, .. } => {
                self.members.remove(slot);
                self.leaving.remove(slot);
            }
            Happening::NotAdopted { .. } => {}
            Happening::Degraded { .. } => self.degraded = true,
            Happening::Healed => self.degraded = false,
        }
    }
}
