//! One partition: its log and store, and the units of every process that may own it, one for each of the two machines.
//!
//! A process has a unit in each partition. What happens to a process happens to all of its units: it dies, stands still or
//! has a wrong clock as a whole, and owns some partitions and not others.

use crate::{
    bug::Planted,
    cloud::Cloud,
    dice::Dice,
    engine::Engine,
    executor::Executor,
    judge::{Broken, Judge},
    log::Log,
    process::Process,
    site::Site,
    store::Store,
    story::{Role, Story},
    tally::Tally,
};

/// The owner of a partition is missed after so long, milliseconds.
const MISSED_AFTER_MS: i64 = 8_000;
/// Sets the chance of one partition apart from that of another.
const APART: u64 = 0x51_7c_c1_b7_27_22_0a_95;

/// A partition with all that may own it.
#[derive(Debug)]
pub struct Part {
    /// Its log, store and cloud, and its judge.
    pub site: Site,
    /// Units of the step machine, by process.
    pub engines: Vec<Engine>,
    /// Units of the settle machine, by process.
    pub executors: Vec<Executor>,
    /// Who should own it: the engine, the executor.
    owners: [usize; 2],
}

impl Part {
    /// A partition of a story that ends before `end_ms`. Another process than that of the partition before owns it first.
    #[must_use]
    pub fn new(story: &Story, partition: u32, end_ms: i64, planted: Planted) -> Self {
        let seed = story.seed.wrapping_add(u64::from(partition).wrapping_mul(APART));
        let site = Site {
            partition,
            now_ms: story.start_ms,
            log: Log::default(),
            store: Store::new(planted),
            cloud: Cloud::new(seed, story.room),
            judge: Judge::new(partition, end_ms),
            dice: Dice::new(seed, 3),
            tally: Tally::default(),
            planted,
            stirred: false,
        };
        Self {
            site,
            engines: (0..story.processes).map(Engine::new).collect(),
            executors: (0..story.processes).map(Executor::new).collect(),
            owners: [partition as usize % story.processes; 2],
        }
    }

    fn processes(&self) -> impl Iterator<Item = &Process> {
        let engines = self.engines.iter().map(|engine| &engine.process);
        engines.chain(self.executors.iter().map(|executor| &executor.process))
    }

    /// The unit that goes on first, counted through engines and executors, and when.
    #[must_use]
    pub fn next(&self) -> (usize, i64) {
        let next = self.processes().enumerate().min_by_key(|(at, process)| (process.wake_ms, *at));
        next.map_or((0, i64::MAX), |(at, process)| (at, process.wake_ms))
    }

    /// That unit's next step. Answers the process, if it died of it.
    ///
    /// # Errors
    /// An invariant that does not hold.
    pub fn turn(&mut self, unit: usize) -> Result<Option<(Role, usize)>, Broken> {
        let (now_ms, who) = (self.site.now_ms, unit % self.engines.len());
        let role = if unit < self.engines.len() { Role::Engine } else { Role::Executor };
        let doomed = self.unit(role, who).doomed.is_some();
        match role {
            Role::Engine => self.engines[who].turn(&mut self.site)?,
            Role::Executor => self.executors[who].turn(&mut self.site)?,
        }
        let process = self.unit(role, who);
        let died = doomed && process.doomed.is_none() && process.absent_until_ms > now_ms;
        Ok(died.then_some((role, who)))
    }

    /// Whoever should own the partition hears of what was written.
    pub fn stir(&mut self) {
        if std::mem::take(&mut self.site.stirred) {
            let now_ms = self.site.now_ms;
            self.engines[self.owners[0]].process.wake_by(now_ms + 10);
            self.executors[self.owners[1]].process.wake_by(now_ms + 20);
        }
    }

    /// What a process has in this partition.
    pub fn unit(&mut self, role: Role, who: usize) -> &mut Process {
        match role {
            Role::Engine => &mut self.engines[who].process,
            Role::Executor => &mut self.executors[who].process,
        }
    }

    /// All that processes have here.
    pub fn units(&mut self) -> impl Iterator<Item = &mut Process> {
        let engines = self.engines.iter_mut().map(|engine| &mut engine.process);
        engines.chain(self.executors.iter_mut().map(|executor| &mut executor.process))
    }

    /// A process is gone, until then.
    pub fn dies(&mut self, role: Role, who: usize, until_ms: i64) {
        match role {
            Role::Engine => self.engines[who].dies(until_ms),
            Role::Executor => self.executors[who].dies(until_ms),
        }
    }

    /// The partition is given to the next process.
    pub fn rebalance(&mut self, role: Role) {
        let owner = &mut self.owners[usize::from(role == Role::Executor)];
        *owner = (*owner + 1) % self.engines.len();
        self.assign();
    }

    /// A partition whose owner is missed goes to the next process that is there.
    pub fn assign(&mut self) {
        let (now_ms, count) = (self.site.now_ms, self.engines.len());
        let missed = |process: &Process| process.absent_until_ms > now_ms + MISSED_AFTER_MS / 2;
        if missed(&self.engines[self.owners[0]].process) {
            self.owners[0] = (self.owners[0] + 1) % count;
        }
        if missed(&self.executors[self.owners[1]].process) {
            self.owners[1] = (self.owners[1] + 1) % count;
        }
        for (at, engine) in self.engines.iter_mut().enumerate() {
            engine.assign(at == self.owners[0], now_ms);
        }
        for (at, executor) in self.executors.iter_mut().enumerate() {
            executor.assign(at == self.owners[1], now_ms);
        }
    }

    /// Somebody says that there may be something to see in the cloud.
    pub fn hint(&mut self) {
        let now_ms = self.site.now_ms;
        self.executors[self.owners[1]].hint(now_ms);
    }
}
