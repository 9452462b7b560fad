//! One run: the story is told to an installation of two engines and two executors, in one thread, in virtual time.

use crate::simulation::{
    again,
    bug::{Bug, Planted},
    cloud::Cloud,
    dice::Dice,
    engine::Engine,
    executor::Executor,
    judge::{Broken, Judge},
    log::{Appended, Log},
    process::Process,
    rest,
    site::{Site, event},
    sources,
    store::Store,
    story::{Fault, Input, Role, SAFETY_MS, Story, What},
    tally::Tally,
};
use std::collections::{BTreeMap, BTreeSet};
use weir_engine::event::{Control, Event, Fact, Order};

/// The longest that groups are waited for after the faults, milliseconds.
const PATIENCE_MS: i64 = 2 * 3_600_000;
/// The owner of a partition is missed after so long, milliseconds.
const MISSED_AFTER_MS: i64 = 8_000;

/// Something that is due.
#[derive(Clone, Debug)]
enum Task {
    /// The nth item of the story.
    Item(usize),
    /// A sender sends an event, for the nth time.
    Send(Box<Event>, u32),
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
    site: Site,
    engines: Vec<Engine>,
    executors: Vec<Executor>,
    /// The owners, engine and executor, by number.
    owners: [usize; 2],
    agenda: BTreeMap<(i64, u64), Task>,
    serial: u64,
    loads: Vec<Load>,
    periods: Vec<i64>,
    door_off_ms: i64,
    acknowledged: BTreeSet<String>,
    calm: bool,
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
    (world.site.tally, result)
}

impl<'a> World<'a> {
    fn new(story: &'a Story, planted: Planted) -> Self {
        let end_ms = story.start_ms + SAFETY_MS + PATIENCE_MS + 3_600_000;
        let site = Site {
            now_ms: story.start_ms,
            log: Log::default(),
            store: Store::new(planted),
            cloud: Cloud::new(story.seed, story.room),
            judge: Judge::new(end_ms),
            dice: Dice::new(story.seed, 3),
            tally: Tally::default(),
            planted,
            stirred: false,
        };
        let mut world = Self {
            story,
            site,
            engines: (0..2).map(Engine::new).collect(),
            executors: (0..2).map(Executor::new).collect(),
            owners: [0, 0],
            agenda: BTreeMap::new(),
            serial: 0,
            loads: vec![Load::default(); story.files.len()],
            periods: story.files.iter().map(|versions| sources::period_ms(&versions[0])).collect(),
            door_off_ms: 0,
            acknowledged: BTreeSet::new(),
            calm: false,
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

    fn all(&mut self) -> Result<(), Broken> {
        self.until(self.story.start_ms + SAFETY_MS)?;
        self.faults_off()?;
        let calm_ms = self.site.now_ms;
        loop {
            self.until(self.site.now_ms + 60_000)?;
            let newest = self.site.store.newest();
            let due_ms = newest.values().map(|command| rest::due_ms(command, calm_ms)).max().unwrap_or(0);
            let late = self.site.now_ms >= calm_ms + PATIENCE_MS;
            let caught_up = self.site.store.committed.next == self.site.log.end();
            if (due_ms <= self.site.now_ms && caught_up) || late {
                break;
            }
        }
        rest::check(&mut self.site, calm_ms)?;
        let lag = self.site.log.end() - self.site.store.committed.next;
        Broken::unless(lag < 50, "without faults the engine keeps up", || {
            let who: Vec<String> = self.engines.iter().map(Engine::describe).collect();
            format!("{lag} records wait: {who:?}")
        })?;
        let lost = self.acknowledged.iter().find(|id| !self.site.judge.ids.contains(*id));
        Broken::unless(lost.is_none(), "what was acknowledged is in the log", || format!("{lost:?} is not"))?;
        again::decide_again(&self.site.log, &self.site.store, &mut self.site.dice)
    }

    /// Runs until an instant.
    fn until(&mut self, end_ms: i64) -> Result<(), Broken> {
        loop {
            let task_ms = self.agenda.first_key_value().map_or(i64::MAX, |((at_ms, _), _)| *at_ms);
            let engines = self.engines.iter().map(|engine| &engine.process);
            let executors = self.executors.iter().map(|executor| &executor.process);
            let next = engines.chain(executors).enumerate().min_by_key(|(at, process)| (process.wake_ms, *at));
            let (who, wake_ms) = next.map_or((0, i64::MAX), |(at, process)| (at, process.wake_ms));
            if task_ms.min(wake_ms) > end_ms {
                self.site.now_ms = end_ms;
                return Ok(());
            }
            if task_ms <= wake_ms {
                let Some((_, task)) = self.agenda.pop_first() else { continue };
                self.site.now_ms = self.site.now_ms.max(task_ms);
                self.perform(task)?;
            } else {
                self.site.now_ms = self.site.now_ms.max(wake_ms);
                match self.engines.get_mut(who) {
                    Some(engine) => engine.turn(&mut self.site)?,
                    None => self.executors[who - 2].turn(&mut self.site)?,
                }
            }
            if std::mem::take(&mut self.site.stirred) {
                let now_ms = self.site.now_ms;
                self.engines[self.owners[0]].process.wake_by(now_ms + 10);
                self.executors[self.owners[1]].process.wake_by(now_ms + 20);
            }
        }
    }

    fn perform(&mut self, task: Task) -> Result<(), Broken> {
        let (now_ms, story) = (self.site.now_ms, self.story);
        match task {
            Task::Item(at) => match &story.items[at].what {
                What::Fact(tenant, input, delivery) => {
                    self.take(*tenant, input);
                    let made = sources::fact(&self.site, self.story, *tenant, input);
                    for (nth, fact) in made.into_iter().enumerate() {
                        let id = format!("item-{at}-{nth}");
                        let made = event("/api", id, now_ms + self.door_off_ms, &sources::tenant(*tenant), fact);
                        self.plan(now_ms + delivery.slow_ms, Task::Send(Box::new(made.clone()), 0));
                        if let Some(again_ms) = delivery.again_ms {
                            let again = Event { time: made.time + again_ms, ..made };
                            self.plan(now_ms + again_ms, Task::Send(Box::new(again), 0));
                        }
                    }
                }
                What::Fault(fault) => self.break_something(fault)?,
            },
            Task::Send(event, tries) => {
                let said = self.site.append(std::slice::from_ref(&event))?;
                if said == Appended::Done || self.site.planted.is(Bug::HastyAnswer) {
                    self.acknowledged.insert(event.id.clone());
                } else if tries < 20 {
                    let again = Event { time: now_ms + 3_000 + self.door_off_ms, ..*event };
                    self.plan(now_ms + 3_000, Task::Send(Box::new(again), tries + 1));
                }
            }
            Task::Sample(tenant) => {
                let period_ms = self.periods[tenant];
                self.plan(now_ms + period_ms, Task::Sample(tenant));
                if !self.calm && self.loads[tenant].silent_until_ms <= now_ms {
                    let samples = sources::samples(&mut self.site, tenant, self.loads[tenant]);
                    let id = format!("samples-{tenant}-{now_ms}");
                    let time = now_ms + self.door_off_ms;
                    let made = event("/samples", id, time, &sources::tenant(tenant), Fact::Samples(samples));
                    self.plan(now_ms, Task::Send(Box::new(made), 20));
                }
            }
            Task::Assign => {
                self.assign();
                self.plan(now_ms + 2_000, Task::Assign);
            }
        }
        Ok(())
    }

    /// What an input does before it is a fact.
    fn take(&mut self, tenant: usize, input: &Input) {
        let (now_ms, load) = (self.site.now_ms, &mut self.loads[tenant]);
        match input {
            Input::Load(percent, jobs) => (load.percent, load.jobs) = (*percent, *jobs),
            Input::Silence(length_ms) => load.silent_until_ms = now_ms + length_ms,
            _ => {}
        }
    }

    /// A partition whose owner is missed goes to another process.
    fn assign(&mut self) {
        let now_ms = self.site.now_ms;
        let missed = |process: &Process| process.absent_until_ms > now_ms + MISSED_AFTER_MS / 2;
        if missed(&self.engines[self.owners[0]].process) {
            self.owners[0] = 1 - self.owners[0];
        }
        if missed(&self.executors[self.owners[1]].process) {
            self.owners[1] = 1 - self.owners[1];
        }
        for (at, engine) in self.engines.iter_mut().enumerate() {
            engine.assign(at == self.owners[0], now_ms);
        }
        for (at, executor) in self.executors.iter_mut().enumerate() {
            executor.assign(at == self.owners[1], now_ms);
        }
    }

    fn process(&mut self, role: Role, who: usize) -> &mut Process {
        match role {
            Role::Engine => &mut self.engines[who].process,
            Role::Executor => &mut self.executors[who].process,
        }
    }

    fn break_something(&mut self, fault: &Fault) -> Result<(), Broken> {
        let now_ms = self.site.now_ms;
        match fault {
            Fault::Crash(role, who, steps, down_ms) => {
                let process = self.process(*role, *who);
                process.doomed = Some((*steps, *down_ms));
                process.wake_by(now_ms + 500);
            }
            Fault::Freeze(role, who, length_ms) => self.process(*role, *who).freeze(now_ms + length_ms),
            Fault::Rebalance(role) => {
                let owner = &mut self.owners[usize::from(*role == Role::Executor)];
                *owner = 1 - *owner;
                self.assign();
            }
            Fault::CommitLost(role, happens) => {
                self.site.store.lose[usize::from(*role == Role::Executor)].push(*happens);
            }
            Fault::AppendLost(happens) => self.site.log.lose.push(*happens),
            Fault::SnapshotTorn => self.site.store.tear(),
            Fault::Clock(role, who, off_ms) => self.process(*role, *who).off_ms = *off_ms,
            Fault::DoorClock(off_ms) => self.door_off_ms = *off_ms,
            Fault::CutOff(length_ms) => self.site.log.cut_off_until_ms = now_ms + length_ms,
            Fault::Echo(back) => {
                let outcomes = self.site.log.read(0, usize::MAX >> 1).iter().rev().map(|record| &record.event);
                let echo = outcomes.filter(|event| matches!(event.fact, Fact::Outcome(_))).nth(*back).cloned();
                let Some(echo) = echo else { return Ok(()) };
                self.site.append(&[echo])?;
            }
            Fault::Weather(weather, length_ms) => {
                self.site.cloud.weather.insert(*weather, now_ms + length_ms);
            }
            Fault::Server(harm, nth) => {
                if !self.site.cloud.harm(*harm, *nth, now_ms) {
                    return Ok(());
                }
                self.executors[self.owners[1]].hint(now_ms);
            }
        }
        self.site.tally.fault(fault.kind());
        Ok(())
    }

    /// Faults end, and people let go of everything.
    fn faults_off(&mut self) -> Result<(), Broken> {
        let now_ms = self.site.now_ms;
        self.calm = true;
        self.door_off_ms = 0;
        self.site.log.cut_off_until_ms = 0;
        self.site.log.lose.clear();
        self.site.store.lose.iter_mut().for_each(Vec::clear);
        self.site.cloud.calm(now_ms);
        let engines = self.engines.iter_mut().map(|engine| &mut engine.process);
        for process in engines.chain(self.executors.iter_mut().map(|executor| &mut executor.process)) {
            (process.off_ms, process.doomed) = (0, None);
            if process.absent_until_ms > now_ms {
                (process.absent_until_ms, process.wake_ms) = (now_ms, now_ms);
            }
        }
        for (tenant, groups) in self.story.groups.iter().enumerate() {
            let mut orders: Vec<Order> = groups.iter().map(|group| Order::Resume { group: group.clone() }).collect();
            orders.extend(groups.iter().map(|group| Order::LiftOverride { group: group.clone() }));
            orders.push(Order::KillSwitch { region: String::new(), adding: false, removing: false, until: None });
            orders.push(Order::Quota { servers: None });
            for (at, order) in orders.into_iter().enumerate() {
                let fact = Fact::Control(Control { actor: "ops".to_owned(), reason: String::new(), order });
                let id = format!("calm-{tenant}-{at}");
                self.site.append(&[event("/api", id, now_ms, &sources::tenant(tenant), fact)])?;
            }
            let calm = sources::all_well(&self.site, tenant);
            for (at, fact) in calm.into_iter().enumerate() {
                let id = format!("well-{tenant}-{at}");
                self.site.append(&[event("/api", id, now_ms, &sources::tenant(tenant), fact)])?;
            }
        }
        Ok(())
    }
}
