//! One run: the story is told to an installation of a few engines and executors, in one thread, in virtual time.

use crate::{
    again,
    bug::{Bug, Planted},
    digest::Digest,
    engine::Engine,
    judge::Broken,
    log::Appended,
    part::Part,
    rest,
    site::event,
    sources,
    story::{Fault, Input, Role, SAFETY_MS, Story, What},
    tally::Tally,
};
use std::collections::{BTreeMap, BTreeSet};
use weir_engine::event::{Control, Event, Fact, Order};

/// The longest that groups are waited for after the faults, milliseconds.
const PATIENCE_MS: i64 = 2 * 3_600_000;

/// Something that is due.
#[derive(Clone, Debug)]
enum Task {
    /// The nth item of the story.
    Item(usize),
    /// A tenant's sender sends an event, for the nth time.
    Send(usize, Box<Event>, u32),
    /// A tenant's monitoring samples its servers.
    Sample(usize),
    /// Whoever should have the partitions is looked after.
    Assign,
}

/// What a tenant's monitoring sees.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load {
    /// Percent of one server.
    pub percent: i64,
    /// Jobs in the queue.
    pub jobs: i64,
    /// It says nothing before then.
    pub silent_until_ms: i64,
}

/// A run.
pub struct World<'a> {
    story: &'a Story,
    now_ms: i64,
    parts: Vec<Part>,
    agenda: BTreeMap<(i64, u64), Task>,
    serial: u64,
    loads: Vec<Load>,
    periods: Vec<i64>,
    door_off_ms: i64,
    acknowledged: BTreeSet<String>,
    calm: bool,
    /// Faults that were told of.
    faults: usize,
}

/// Runs a story.
///
/// # Errors
/// The first invariant that does not hold.
pub fn run(story: &Story, planted: Planted) -> (Tally, Result<(), Broken>) {
    planted.tell_the_engine();
    let mut world = World::new(story, planted);
    let result = world.all();
    Planted::default().tell_the_engine();
    let mut tally = Tally::default();
    for Part { site, .. } in &world.parts {
        tally.add(&site.tally);
        tally.digest.add(Digest::of(story.seed, site.partition, &site.log, &site.store));
    }
    (tally, result)
}

impl<'a> World<'a> {
    fn new(story: &'a Story, planted: Planted) -> Self {
        let end_ms = story.start_ms + SAFETY_MS + PATIENCE_MS + 3_600_000;
        let part = |at: usize| Part::new(story, u32::try_from(at).unwrap_or(0), end_ms, planted);
        let mut world = Self {
            story,
            now_ms: story.start_ms,
            parts: (0..story.partitions).map(part).collect(),
            agenda: BTreeMap::new(),
            serial: 0,
            loads: vec![Load::default(); story.files.len()],
            periods: story.files.iter().map(|versions| sources::period_ms(&versions[0])).collect(),
            door_off_ms: 0,
            acknowledged: BTreeSet::new(),
            calm: false,
            faults: 0,
        };
        for (at, item) in story.items.iter().enumerate() {
            world.plan(story.start_ms + item.after_ms, Task::Item(at));
        }
        for tenant in 0..story.files.len() {
            world.plan(story.start_ms + 30_000, Task::Sample(tenant));
        }
        world.plan(story.start_ms, Task::Assign);
        world
    }

    fn plan(&mut self, at_ms: i64, task: Task) {
        self.serial += 1;
        self.agenda.insert((at_ms, self.serial), task);
    }

    /// The partition that a tenant's groups are in.
    fn of(&mut self, tenant: usize) -> &mut Part {
        let place = tenant % self.parts.len();
        &mut self.parts[place]
    }

    fn all(&mut self) -> Result<(), Broken> {
        self.until(self.story.start_ms + SAFETY_MS)?;
        self.faults_off()?;
        let calm_ms = self.now_ms;
        loop {
            self.until(self.now_ms + 60_000)?;
            let late = self.now_ms >= calm_ms + PATIENCE_MS;
            if late || self.parts.iter().all(|part| rest::is_due(&part.site, calm_ms)) {
                break;
            }
        }
        for Part { site, engines, .. } in &mut self.parts {
            rest::check(site, calm_ms)?;
            let lag = site.log.end() - site.store.committed.next;
            Broken::unless(lag < 50, "without faults the engine keeps up", || {
                let who: Vec<String> = engines.iter().map(Engine::describe).collect();
                format!("{lag} records wait: {who:?}")
            })?;
            again::decide_again(site.partition, &site.log, &site.store, &mut site.dice)?;
        }
        let heard = |id: &String| self.parts.iter().any(|part| part.site.judge.ids.contains(id));
        let lost = self.acknowledged.iter().find(|id| !heard(id));
        Broken::unless(lost.is_none(), "what was acknowledged is in the log", || format!("{lost:?} is not"))
    }

    /// Runs until an instant.
    fn until(&mut self, end_ms: i64) -> Result<(), Broken> {
        loop {
            let task_ms = self.agenda.first_key_value().map_or(i64::MAX, |((at_ms, _), _)| *at_ms);
            let nexts = self.parts.iter().map(Part::next).enumerate();
            let (place, (unit, wake_ms)) = nexts.min_by_key(|(at, (_, wake_ms))| (*wake_ms, *at)).unwrap_or_default();
            if task_ms.min(wake_ms) > end_ms {
                self.pass_to(end_ms);
                return Ok(());
            }
            if task_ms <= wake_ms {
                let Some((_, task)) = self.agenda.pop_first() else { continue };
                self.pass_to(self.now_ms.max(task_ms));
                self.perform(task)?;
            } else {
                self.pass_to(self.now_ms.max(wake_ms));
                if let Some((role, who)) = self.parts[place].turn(unit)? {
                    let until_ms = self.parts[place].unit(role, who).absent_until_ms;
                    let others = self.parts.iter_mut().enumerate().filter(|(at, _)| *at != place);
                    others.for_each(|(_, part)| part.dies(role, who, until_ms));
                }
            }
            self.parts.iter_mut().for_each(Part::stir);
        }
    }

    fn pass_to(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
        self.parts.iter_mut().for_each(|part| part.site.now_ms = now_ms);
    }

    fn perform(&mut self, task: Task) -> Result<(), Broken> {
        let (now_ms, story) = (self.now_ms, self.story);
        match task {
            Task::Item(at) => match &story.items[at].what {
                What::Fact(tenant, input, delivery) => {
                    self.take(*tenant, input);
                    let made = sources::fact(&self.of(*tenant).site, story, *tenant, input);
                    for (nth, fact) in made.into_iter().enumerate() {
                        let id = format!("item-{at}-{nth}");
                        let made = event("/api", id, now_ms + self.door_off_ms, &sources::tenant(*tenant), fact);
                        let sent = Task::Send(*tenant, Box::new(made.clone()), 0);
                        self.plan(now_ms + delivery.slow_ms, sent);
                        if let Some(again_ms) = delivery.again_ms {
                            let again = Event { time: made.time + again_ms, ..made };
                            self.plan(now_ms + again_ms, Task::Send(*tenant, Box::new(again), 0));
                        }
                    }
                }
                What::Fault(fault) => self.break_something(fault)?,
            },
            Task::Send(tenant, event, tries) => {
                let site = &mut self.of(tenant).site;
                let said = site.append(std::slice::from_ref(&event))?;
                if said == Appended::Done || site.planted.is(Bug::HastyAnswer) {
                    self.acknowledged.insert(event.id.clone());
                } else if tries < 20 {
                    let again = Event { time: now_ms + 3_000 + self.door_off_ms, ..*event };
                    self.plan(now_ms + 3_000, Task::Send(tenant, Box::new(again), tries + 1));
                }
            }
            Task::Sample(tenant) => {
                let period_ms = self.periods[tenant];
                self.plan(now_ms + period_ms, Task::Sample(tenant));
                if !self.calm && self.loads[tenant].silent_until_ms <= now_ms {
                    let load = self.loads[tenant];
                    let samples = sources::samples(&mut self.of(tenant).site, tenant, load);
                    let id = format!("samples-{tenant}-{now_ms}");
                    let time = now_ms + self.door_off_ms;
                    let made = event("/samples", id, time, &sources::tenant(tenant), Fact::Samples(samples));
                    self.plan(now_ms, Task::Send(tenant, Box::new(made), 20));
                }
            }
            Task::Assign => {
                self.parts.iter_mut().for_each(Part::assign);
                self.plan(now_ms + 2_000, Task::Assign);
            }
        }
        Ok(())
    }

    /// What an input does before it is a fact.
    fn take(&mut self, tenant: usize, input: &Input) {
        let (now_ms, load) = (self.now_ms, &mut self.loads[tenant]);
        match input {
            Input::Load(percent, jobs) => (load.percent, load.jobs) = (*percent, *jobs),
            Input::Silence(length_ms) => load.silent_until_ms = now_ms + length_ms,
            _ => {}
        }
    }

    fn break_something(&mut self, fault: &Fault) -> Result<(), Broken> {
        let (now_ms, processes, calls) = (self.now_ms, self.story.processes, self.faults);
        self.faults += 1;
        let parts = &mut self.parts;
        // What happens to one partition happens to each in turn.
        let place = calls % parts.len();
        match fault {
            Fault::Crash(role, who, steps, down_ms) => {
                let process = parts[place].unit(*role, who % processes);
                process.doomed = Some((*steps, *down_ms));
                process.wake_by(now_ms + 500);
            }
            Fault::Freeze(role, who, length_ms) => {
                parts.iter_mut().for_each(|part| part.unit(*role, who % processes).freeze(now_ms + length_ms));
            }
            Fault::Rebalance(role) => parts[place].rebalance(*role),
            Fault::CommitLost(role, happens) => {
                parts[place].site.store.lose[usize::from(*role == Role::Executor)].push(*happens);
            }
            Fault::AppendLost(happens) => parts[place].site.log.lose.push(*happens),
            Fault::SnapshotTorn => parts[place].site.store.tear(),
            Fault::Clock(role, who, off_ms) => {
                parts.iter_mut().for_each(|part| part.unit(*role, who % processes).off_ms = *off_ms);
            }
            Fault::DoorClock(off_ms) => self.door_off_ms = *off_ms,
            Fault::CutOff(length_ms) => {
                parts.iter_mut().for_each(|part| part.site.log.cut_off_until_ms = now_ms + length_ms);
            }
            Fault::Echo(back) => {
                let site = &mut parts[place].site;
                let outcomes = site.log.read(0, usize::MAX >> 1).iter().rev().map(|record| &record.event);
                let echo = outcomes.filter(|event| matches!(event.fact, Fact::Outcome(_))).nth(*back).cloned();
                let Some(echo) = echo else { return Ok(()) };
                site.append(&[echo])?;
            }
            Fault::Weather(weather, length_ms) => {
                parts.iter_mut().for_each(|part| {
                    part.site.cloud.weather.insert(*weather, now_ms + length_ms);
                });
            }
            Fault::Server(harm, nth) => {
                if !parts[place].site.cloud.harm(*harm, *nth, now_ms) {
                    return Ok(());
                }
                parts[place].hint();
            }
        }
        parts[place].site.tally.fault(&fault.kind());
        Ok(())
    }

    /// Faults end, and people let go of everything.
    fn faults_off(&mut self) -> Result<(), Broken> {
        let now_ms = self.now_ms;
        self.calm = true;
        self.door_off_ms = 0;
        for part in &mut self.parts {
            part.site.log.cut_off_until_ms = 0;
            part.site.log.lose.clear();
            part.site.store.lose.iter_mut().for_each(Vec::clear);
            part.site.cloud.calm(now_ms);
            for process in part.units() {
                (process.off_ms, process.doomed) = (0, None);
                if process.absent_until_ms > now_ms {
                    (process.absent_until_ms, process.wake_ms) = (now_ms, now_ms);
                }
            }
        }
        let story = self.story;
        for (tenant, groups) in story.groups.iter().enumerate() {
            let site = &mut self.of(tenant).site;
            let mut orders: Vec<Order> = groups.iter().map(|group| Order::Resume { group: group.clone() }).collect();
            orders.extend(groups.iter().map(|group| Order::LiftOverride { group: group.clone() }));
            orders.push(Order::KillSwitch { region: String::new(), adding: false, removing: false, until: None });
            orders.push(Order::Quota { servers: None });
            for (at, order) in orders.into_iter().enumerate() {
                let fact = Fact::Control(Control { actor: "ops".to_owned(), reason: String::new(), order });
                let id = format!("calm-{tenant}-{at}");
                site.append(&[event("/api", id, now_ms, &sources::tenant(tenant), fact)])?;
            }
            let calm = sources::all_well(site, tenant);
            for (at, fact) in calm.into_iter().enumerate() {
                let id = format!("well-{tenant}-{at}");
                site.append(&[event("/api", id, now_ms, &sources::tenant(tenant), fact)])?;
            }
        }
        Ok(())
    }
}
