//! A process that runs the step machine: take over, recover, go live, commit. Every step of it may be its last.

use crate::{
    bug::Bug,
    judge::Broken,
    log::Appended,
    process::Process,
    site::{Site, event},
    store::{Answer, Committed, Stepped},
    story::Role,
};
use weir_engine::{
    event::{Fact, Tick},
    partition::Partition,
};

/// The name of the log.
pub const LOG_ID: &str = "simulated";
/// Records of a replay taken at once.
const REPLAY_MAX: usize = 200;
/// A snapshot each so many records.
const SNAPSHOT_EVERY: u64 = 150;
/// `t` this close to the wall is caught up, milliseconds.
const LIVE_WITHIN_MS: i64 = 5_000;
/// A tick at least each so often, milliseconds.
const TICK_MS: i64 = 60_000;

/// A process with the step machine.
#[derive(Debug)]
pub struct Engine {
    /// Its outside.
    pub process: Process,
    state: State,
    ticked_ms: i64,
}

#[derive(Debug)]
enum State {
    /// Has nothing.
    Idle,
    /// Was told to take over.
    TakeOver,
    /// Owns the partition and looks for a snapshot.
    Load { epoch: u64, committed: Committed },
    /// Replays, muted, up to the committed position.
    Replay { epoch: u64, committed: Committed, partition: Box<Partition> },
    /// Decides.
    Run(Box<Run>),
}

#[derive(Debug)]
struct Run {
    epoch: u64,
    partition: Partition,
    /// Decided and not yet committed.
    stepped: Option<Stepped>,
    snapshot_at: u64,
    live: bool,
}

impl Engine {
    /// A process that has nothing yet.
    #[must_use]
    pub fn new(number: usize) -> Self {
        Self { process: Process::new(number), state: State::Idle, ticked_ms: 0 }
    }

    /// It is given the partition, or it is taken from it (which it need not notice).
    pub fn assign(&mut self, assigned: bool, now_ms: i64) {
        if assigned && !self.process.assigned {
            self.state = State::TakeOver;
            self.process.wake_by(now_ms + 100);
        }
        self.process.assigned = assigned;
    }

    /// How many records it is behind.
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.state {
            State::Run(run) => format!("engine {} runs at {}", self.process.number, run.partition.next()),
            State::Idle => format!("engine {} is idle", self.process.number),
            State::TakeOver | State::Load { .. } | State::Replay { .. } => {
                format!("engine {} recovers", self.process.number)
            }
        }
    }

    /// The process died of something that it did for another partition.
    pub fn dies(&mut self, until_ms: i64) {
        self.state = State::Idle;
        self.process.assigned = false;
        self.process.doomed = None;
        self.process.freeze(until_ms);
    }

    /// Its next step.
    ///
    /// # Errors
    /// An invariant that does not hold.
    pub fn turn(&mut self, site: &mut Site) -> Result<(), Broken> {
        self.process.wake_ms = i64::MAX;
        if self.process.dies(site.now_ms) {
            // Whoever had the partition when it died takes it again when it is back, unless it was given away.
            self.state = State::Idle;
            self.process.assigned = false;
            return Ok(());
        }
        let pause_ms = site.dice.between(5, 60);
        let state = std::mem::replace(&mut self.state, State::Idle);
        self.state = match state {
            State::Idle => State::Idle,
            State::TakeOver => {
                let epoch = site.store.take_over(Role::Engine);
                self.process.wake_by(site.now_ms + pause_ms);
                State::Load { epoch, committed: site.store.committed.clone() }
            }
            State::Load { epoch, committed } => {
                self.process.wake_by(site.now_ms + pause_ms);
                let found = site.store.snapshot().filter(|snapshot| snapshot.at.next <= committed.next);
                let partition = match found {
                    Some(snapshot) => {
                        Partition::restore_at_rest(&snapshot.bytes).map_err(|damaged| Broken::halted(&damaged))?
                    }
                    None => Partition::new(LOG_ID, site.partition),
                };
                site.tally.recoveries += 1;
                State::Replay { epoch, committed, partition: Box::new(partition) }
            }
            State::Replay { epoch, committed, partition } => {
                self.process.wake_by(site.now_ms + pause_ms);
                replay(site, epoch, committed, partition)?
            }
            State::Run(run) => self.run(site, run)?,
        };
        Ok(())
    }

    fn run(&mut self, site: &mut Site, mut run: Box<Run>) -> Result<State, Broken> {
        if let Some(stepped) = run.stepped.take() {
            return self.commit(site, run, stepped);
        }
        let wall_ms = site.now_ms + self.process.off_ms;
        let batch = usize::try_from(site.dice.between(1, 40)).unwrap_or(1);
        let mut stepped = Stepped::default();
        for record in site.log.read(run.partition.next(), batch) {
            let effects = run.partition.step(record).map_err(|halt| Broken::halted(&halt))?;
            stepped.commands.extend(effects.commands);
            stepped.decisions.extend(effects.decisions);
        }
        // A partition that is behind the wall acts on nothing; one that was live stays so until its log is read.
        let live = wall_ms - run.partition.t() <= LIVE_WITHIN_MS && run.partition.next() == site.log.end()
            || run.live && wall_ms - run.partition.t() <= TICK_MS + LIVE_WITHIN_MS;
        if run.partition.next() > site.store.committed.next || live != run.live {
            let committed = Committed { next: run.partition.next(), digest: run.partition.digest() };
            run.live = live;
            run.stepped = Some(Stepped { committed, live, ..stepped });
            if site.planted.is(Bug::EarlySnapshot) {
                save(site, &mut run, 0)?;
            }
            self.process.wake_by(site.now_ms + site.dice.between(1, 30));
            return Ok(State::Run(run));
        }
        if run.partition.next() >= run.snapshot_at + SNAPSHOT_EVERY {
            save(site, &mut run, u64::from(site.planted.is(Bug::SnapshotAhead)))?;
        }
        self.tick(site, &run, wall_ms)?;
        Ok(State::Run(run))
    }

    /// The time is written down when the earliest timer is due, at most once a second and at least once a minute.
    fn tick(&mut self, site: &mut Site, run: &Run, wall_ms: i64) -> Result<(), Broken> {
        let remain = run.partition.next_timer().is_some_and(|timer_ms| timer_ms <= run.partition.t());
        let timer_ms = run.partition.next_timer().unwrap_or(i64::MAX).max(self.ticked_ms + 1_000);
        let due_ms = timer_ms.min(self.ticked_ms + TICK_MS);
        if wall_ms < due_ms && !remain {
            self.process.wake_by(site.now_ms + (due_ms - wall_ms).clamp(1, TICK_MS));
            return Ok(());
        }
        self.ticked_ms = wall_ms;
        let id = format!("{}-{wall_ms}", self.process.number);
        let said = site.append(&[event("/clock", id, wall_ms, "", Fact::Tick(Tick {}))])?;
        let wait_ms = if said == Appended::Refused { 1_000 } else { 10 };
        self.process.wake_by(site.now_ms + wait_ms);
        Ok(())
    }

    fn commit(&mut self, site: &mut Site, run: Box<Run>, stepped: Stepped) -> Result<State, Broken> {
        let from = site.store.committed.next;
        let (happened, answer) = site.store.commit_step(run.epoch, &stepped)?;
        site.stirred = true;
        if happened {
            site.judge.committed(from, &stepped)?;
        }
        match answer {
            Answer::Done => {
                self.process.wake_by(site.now_ms + 1);
                Ok(State::Run(run))
            }
            Answer::Unclear if site.planted.is(Bug::CommittedTwice) => {
                self.process.wake_by(site.now_ms + 50);
                Ok(State::Run(Box::new(Run { stepped: Some(stepped), ..*run })))
            }
            // Neither knows what is committed now: drop everything and take over again.
            Answer::Unclear => {
                self.process.wake_by(site.now_ms + 500);
                Ok(State::TakeOver)
            }
            Answer::Fenced if self.process.assigned => {
                self.process.wake_by(site.now_ms + 2_000);
                Ok(State::TakeOver)
            }
            Answer::Fenced => Ok(State::Idle),
        }
    }
}

fn replay(site: &mut Site, epoch: u64, committed: Committed, mut partition: Box<Partition>) -> Result<State, Broken> {
    let left = usize::try_from(committed.next.saturating_sub(partition.next())).unwrap_or(0);
    for record in site.log.read(partition.next(), left.min(REPLAY_MAX)) {
        let effects = partition.step(record).map_err(|halt| Broken::halted(&halt))?;
        if site.planted.is(Bug::LoudReplay) {
            let loud = Stepped {
                committed: committed.clone(),
                live: false,
                commands: effects.commands,
                decisions: effects.decisions,
            };
            site.store.commit_step(epoch, &loud)?;
            site.judge.committed(record.offset, &loud)?;
        }
    }
    if partition.next() < committed.next {
        return Ok(State::Replay { epoch, committed, partition });
    }
    let digest = partition.digest();
    let replayed = partition.next() == committed.next && (committed.next == 0 || digest == committed.digest);
    Broken::unless(replayed, "a replay ends at the committed position and digest", || {
        format!("at {} with {digest}, and {committed:?} is committed", partition.next())
    })?;
    let snapshot_at = partition.next();
    Ok(State::Run(Box::new(Run { epoch, partition: *partition, stepped: None, snapshot_at, live: false })))
}

fn save(site: &mut Site, run: &mut Run, ahead: u64) -> Result<(), Broken> {
    let at = Committed { next: run.partition.next() + ahead, digest: run.partition.digest() };
    run.snapshot_at = at.next;
    site.tally.snapshots += 1;
    site.store.save(run.epoch, at, run.partition.snapshot())
}
