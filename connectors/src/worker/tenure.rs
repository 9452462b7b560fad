//! One ownership of a partition, from the take-over to its end.

use super::{
    Engine, Settings, Shared,
    commit::{Commit, Done},
    drive::End,
    gathered::Gathered,
    status::Halted,
    ticks::{Idle, Ticks, sleep},
};
use crate::{
    backend::{Backend, Committed, Error, Line, Machine, Ownership, Skips, Snapshot, Stepped},
    replay::{self, Recovered},
};
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    thread::{self, ScopedJoinHandle},
    time::{Duration, Instant},
};
use weir_engine::id::Position;

/// Records that were applied and are to be committed together.
struct Turn {
    gathered: Gathered,
    /// There is more in the log, as far as was seen.
    behind: bool,
    /// The engine's reason to stop after them.
    halted: Option<Halted>,
}

/// An ownership. All that is not committed goes with it.
pub(super) struct Tenure<'a, E> {
    backend: &'a dyn Backend,
    owner: Ownership,
    settings: &'a Settings,
    shared: Arc<Shared>,
    /// A record at which the engine has panicked: applied alone, so that those before it are committed first.
    suspect: Option<u64>,
    state: E,
    /// Records to be passed over, as of the take-over: none is added while one owns the partition.
    skips: Skips,
    /// What was committed last.
    live: bool,
    ticks: Ticks,
    /// The newest snapshot: its position, and when it was saved.
    saved: u64,
    saved_ms: i64,
    /// None is saved before: the last try failed, or took long.
    save_from: Instant,
}

impl<'a, E: Engine> Tenure<'a, E> {
    /// Takes over, recovers, and works until it ends.
    pub(super) fn run(
        backend: &'a dyn Backend,
        partition: u32,
        settings: &'a Settings,
        shared: &Arc<Shared>,
        suspect: Option<u64>,
    ) -> End {
        match Self::begin(backend, partition, settings, shared, suspect) {
            Ok(Some(mut tenure)) => match tenure.work() {
                Ok(()) => tenure.finish(),
                Err(halted @ End::Halted(_)) => {
                    tenure.go_dark();
                    halted
                }
                Err(end) => end,
            },
            Ok(None) => End::Stopped,
            Err(end) => end,
        }
    }

    /// `None` where it is to stop before it has recovered.
    pub(super) fn begin(
        backend: &'a dyn Backend,
        partition: u32,
        settings: &'a Settings,
        shared: &Arc<Shared>,
        suspect: Option<u64>,
    ) -> Result<Option<Self>, End> {
        let (owner, committed) = backend.take_over(Machine::Step, partition)?;
        shared.update(|status| (status.epoch, status.next) = (owner.epoch, committed.next));
        let skips = Skips::of(&backend.skips(partition)?);
        let recovered = catch_unwind(AssertUnwindSafe(|| {
            replay::recover(backend, partition, committed.next, E::restore_to_step, &|| shared.stopping())
        }));
        let recovered = recovered.map_err(|panic| End::Panicked(committed.next, words(&*panic)))??;
        let Recovered { state, snapshot, snapshot_ms } = recovered;
        if state.next() < committed.next {
            return Ok(None);
        }
        check(&state, &committed, partition)?;
        shared.update(|status| {
            (status.t_ms, status.snapshot, status.snapshot_ms) = (state.t(), snapshot, snapshot_ms);
            status.take_overs += 1;
        });
        Ok(Some(Self {
            backend,
            owner,
            settings,
            shared: Arc::clone(shared),
            suspect,
            state,
            skips,
            live: false,
            ticks: Ticks::new(owner.epoch),
            saved: snapshot.unwrap_or(0),
            // As old as it is, so that one from before a long pause is followed by another at once.
            saved_ms: snapshot_ms.unwrap_or_else(|| settings.clock.now_ms()),
            save_from: Instant::now(),
        }))
    }

    /// Applies, commits, ticks and sleeps until it is to stop.
    fn work(&mut self) -> Result<(), End> {
        let mut drained_by = None;
        loop {
            let worked = self.catch_up()?;
            if self.shared.stopping() {
                let by = *drained_by.get_or_insert_with(|| Instant::now() + self.settings.drain);
                if !worked || Instant::now() >= by {
                    return Ok(());
                }
            } else if !worked {
                self.idle()?;
            }
        }
    }

    /// Applies what a read of the log holds, or so many as follow at once within `gather`, and commits. Answers whether it held
    /// any.
    pub(super) fn advance(&mut self, gather: Duration) -> Result<bool, End> {
        match self.gather(gather)? {
            Some(turn) => self.end_turn(turn).map(|()| true),
            None => Ok(false),
        }
    }

    /// As [`Tenure::advance`], until the log is not behind. Meanwhile it decides on what comes next as what was decided before is
    /// on its way: a commit is some tens of milliseconds of waiting. No more than one is on its way, so they keep their order.
    fn catch_up(&mut self) -> Result<bool, End> {
        let (backend, owner) = (self.backend, self.owner);
        thread::scope(|scope| {
            let mut on_its_way: Option<ScopedJoinHandle<'_, Result<Done, Error>>> = None;
            let mut worked = false;
            loop {
                let turn = self.gather(self.settings.gather);
                // Whatever came of the turn, it comes after this.
                if let Some(commit) = on_its_way.take() {
                    let done = commit.join().unwrap_or_else(|panic| resume_unwind(panic))?;
                    self.take_note(done);
                }
                let Some(turn) = turn? else { return Ok(worked) };
                worked = true;
                if !turn.behind || self.is_snapshot_due() || self.shared.stopping() {
                    return self.end_turn(turn).map(|()| true);
                }
                let commit = self.prepare(turn.gathered);
                let written = thread::Builder::new()
                    .name(format!("weir-commit-{}", owner.partition))
                    .spawn_scoped(scope, move || commit.write(backend, &owner))
                    .map_err(|error| Error::Failed(format!("cannot start a thread: {error}")))?;
                on_its_way = Some(written);
            }
        })
    }

    /// Applies what [`Tenure::advance`] commits. Nothing where the log holds nothing.
    fn gather(&mut self, gather: Duration) -> Result<Option<Turn>, End> {
        let until = Instant::now() + gather;
        let mut lines = self.read()?;
        if lines.is_empty() {
            return Ok(None);
        }
        let mut gathered = Gathered::from(self.state.next());
        loop {
            let full = lines.len() >= self.settings.batch;
            let halted = self.apply(&lines, &mut gathered)?.err();
            // What is before a suspect is to be committed without it.
            let behind = full && halted.is_none() && self.suspect.is_none();
            if !behind || gathered.is_much() || Instant::now() >= until {
                return Ok(Some(Turn { gathered, behind, halted }));
            }
            lines = self.read()?;
        }
    }

    fn end_turn(&mut self, turn: Turn) -> Result<(), End> {
        if self.state.next() > turn.gathered.from {
            self.commit(turn.gathered)?;
        }
        match turn.halted {
            Some(halted) => Err(End::Halted(halted)),
            None => self.save_if_due(),
        }
    }

    fn read(&self) -> Result<Vec<Line>, End> {
        let next = self.state.next();
        let most = match self.suspect {
            Some(suspect) if suspect > next => usize::try_from(suspect - next).unwrap_or(usize::MAX),
            Some(suspect) if suspect == next => 1,
            _ => self.settings.batch,
        };
        let lines = self.backend.read(self.owner.partition, next, most.min(self.settings.batch))?;
        Ok(lines.into_iter().map(|line| self.skips.obey(line)).collect())
    }

    /// Applies lines. The inner error is the engine's reason to halt at one of them; what came out before it is good.
    fn apply(&mut self, lines: &[Line], gathered: &mut Gathered) -> Result<Result<(), Halted>, End> {
        let mut done = 0;
        let stepped = catch_unwind(AssertUnwindSafe(|| {
            self.state.step_all(lines, &mut |effects| {
                done += 1;
                gathered.add(effects);
            })
        }));
        let offset = lines.get(done).map_or(self.state.next(), |line| line.offset);
        match stepped {
            Ok(Ok(())) => Ok(Ok(())),
            Ok(Err(reason)) => Ok(Err(Halted { at: Position { partition: self.owner.partition, offset }, reason })),
            // What it has in memory may be half a record, so nothing of it is committed.
            Err(panic) => Err(End::Panicked(offset, words(&*panic))),
        }
    }

    fn commit(&mut self, gathered: Gathered) -> Result<(), End> {
        let done = self.prepare(gathered).write(self.backend, &self.owner)?;
        self.take_note(done);
        Ok(())
    }

    /// A commit of all that is applied.
    fn prepare(&self, gathered: Gathered) -> Commit {
        let live = self.is_live();
        let trouble = (!live).then(|| self.behind()).flatten();
        Commit::new(gathered, self.committed(), live, self.state.t(), trouble, self.settings.decisions.as_ref())
    }

    fn take_note(&mut self, done: Done) {
        self.live = done.live;
        self.shared.update(|status| done.add_to(status));
    }

    fn committed(&self) -> Committed {
        Committed { next: self.state.next(), semantics: self.state.semantics(), digest: self.state.digest() }
    }

    /// The log's time is the clock's, near enough to act on.
    fn is_live(&self) -> bool {
        let behind_ms = self.settings.clock.now_ms().saturating_sub(self.state.t());
        behind_ms <= self.settings.live_ms && -behind_ms <= self.settings.ahead_ms
    }

    /// What a person must look at, where the clock is the reason for not being live.
    fn behind(&self) -> Option<String> {
        let ahead_ms = self.state.t().saturating_sub(self.settings.clock.now_ms());
        if ahead_ms > self.settings.ahead_ms {
            return Some(format!("this machine's clock is {} s behind the log's time: set it right", ahead_ms / 1_000));
        }
        // Its own tick was applied and the log's time is where it was: the log's clock, which wrote it down, is behind.
        (-ahead_ms > self.settings.ahead_ms && self.ticks.has_made())
            .then(|| format!("this machine's clock is {} s ahead of the log's: set it right", -ahead_ms / 1_000))
    }

    /// Nothing is in the log that is not applied: writes the time down where that is due, else waits. Answers whether it
    /// wrote.
    pub(super) fn idle(&mut self) -> Result<bool, End> {
        if !self.live && self.is_live() {
            self.commit(Gathered::from(self.state.next()))?;
        } else if let Some(why) = self.behind().filter(|_| !self.live) {
            self.shared.update(|status| status.trouble = Some(why));
        }
        let (partition, now_ms) = (self.owner.partition, self.settings.clock.now_ms());
        match self.ticks.idle(&self.state, now_ms, self.settings) {
            Idle::Tick => {
                let tick = self.ticks.make(partition, now_ms);
                // Whether or not it was written: a log that takes nothing now is no reason to give up what is owned.
                if let Err(error) = self.backend.append(partition, &[tick]) {
                    self.shared.update(|status| status.trouble = Some(format!("cannot write the time down: {error}")));
                    self.backend.wait_for(partition, self.state.next(), self.settings.poll);
                }
                Ok(true)
            }
            Idle::Sleep(ms) => {
                self.backend.wait_for(partition, self.state.next(), sleep(ms, self.settings));
                Ok(false)
            }
        }
    }

    fn is_snapshot_due(&self) -> bool {
        let records = self.state.next() - self.saved;
        let old = self.settings.clock.now_ms().saturating_sub(self.saved_ms) >= self.settings.snapshot_ms;
        records > 0 && (old || records >= self.settings.snapshot_records) && Instant::now() >= self.save_from
    }

    fn save_if_due(&mut self) -> Result<(), End> {
        if !self.is_snapshot_due() {
            return Ok(());
        }
        let began = Instant::now();
        match self.save() {
            Err(error @ Error::Fenced { .. }) => Err(error.into()),
            Err(error) => {
                // The next start replays a little more, that is all.
                self.save_from = Instant::now() + self.settings.retry_max;
                self.shared.update(|status| status.trouble = Some(format!("cannot keep a snapshot: {error}")));
                Ok(())
            }
            Ok(()) => {
                let ended = Instant::now();
                self.save_from = ended + (ended - began) * self.settings.snapshot_rest;
                Ok(())
            }
        }
    }

    fn save(&mut self) -> Result<(), Error> {
        let snapshot = Snapshot { at: self.committed(), state: self.state.snapshot() };
        self.backend.save_snapshot(&self.owner, snapshot)?;
        (self.saved, self.saved_ms) = (self.state.next(), self.settings.clock.now_ms());
        let t_ms = self.state.t();
        self.shared.update(|status| (status.snapshot, status.snapshot_ms) = (Some(self.saved), Some(t_ms)));
        Ok(())
    }

    /// In order: a snapshot, so that the next start is quick, and nobody is live any more.
    pub(super) fn finish(&mut self) -> End {
        let saved = if self.state.next() > self.saved { self.save() } else { Ok(()) };
        self.go_dark();
        if let Err(error) = saved {
            tracing::warn!(%error, "stopped without a snapshot");
        }
        End::Stopped
    }

    /// Executors stop acting for this partition.
    fn go_dark(&self) {
        let partition = self.owner.partition;
        let dark = self.backend.stepped(partition).and_then(|(committed, _)| {
            self.backend.commit_step(&self.owner, Stepped { committed, live: false, ..Stepped::default() })
        });
        // Who has taken over has its own word on it, and a store that fails says nothing to anybody.
        if let Err(error) = dark {
            tracing::warn!(partition, %error, "cannot say that this owner is not live");
        }
        self.shared.update(|status| status.live = false);
    }
}

/// A replay that ended elsewhere must not go on: executors have seen what was first decided.
fn check(state: &impl Engine, committed: &Committed, partition: u32) -> Result<(), End> {
    // Nothing was ever committed, so there is nothing to differ from.
    if committed.digest.is_empty() {
        return Ok(());
    }
    let halt = |reason| {
        let at = Position { partition, offset: committed.next };
        Err(End::Halted(Halted { at, reason }))
    };
    if state.semantics() != committed.semantics {
        return halt(format!(
            "it was decided by semantics {} and this build replays by {}: use a build that has both",
            committed.semantics,
            state.semantics()
        ));
    }
    if state.digest() != committed.digest {
        return halt(format!(
            "a replay up to here gives other commands (digest `{}`) than were given (`{}`): use the build that gave them, \
             and report this",
            state.digest(),
            committed.digest
        ));
    }
    Ok(())
}

/// What a panic said.
fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "it did not say why".into())
}
