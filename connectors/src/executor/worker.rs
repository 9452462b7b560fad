//! The executors' worker: one for each partition that this process owns the `settle` machine of.
//!
//! It takes the partition over, reads the ledgers, follows the commands, and visits each group when its ledger wants to be
//! looked at or somebody hints that there is something to see. It acts only while the step machine is live. It decides
//! nothing and keeps nothing that is not in a ledger: any error of log or store ends it, and the caller takes over again.

use super::{
    Clouds, lane,
    visit::{Held, Visit},
};
use crate::{
    backend::{self, Log, Machine, Machines, Ownership, Switches},
    clock::Clock,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    sync::{broadcast, watch},
    task::{JoinError, JoinSet, spawn_blocking},
    time::sleep,
};
use weir_engine::{
    command::Command,
    id::GroupUid,
    ledger::{Damaged, Ledger, Pace},
};

pub(super) use lane::Lanes;

/// Groups of a partition that are visited at once.
const VISITS_MAX: usize = 64;
/// Hints that wait for a worker. Those beyond are forgotten: the sweep comes anyway.
const HINTS_MAX: usize = 1_024;
/// The longest sleep of a worker, of the wall's time, since its own clock may run faster.
const TICK: Duration = Duration::from_millis(100);
/// One wait for commands.
const COMMANDS_PATIENCE: Duration = Duration::from_millis(500);

/// How executors work.
#[derive(Clone, Copy, Debug)]
pub struct ExecutorSettings {
    /// Every group is visited once in this time, whatever happens, milliseconds.
    pub sweep_ms: i64,
    /// While something is under way a group is looked at this often, milliseconds.
    pub look_ms: i64,
    /// A call without an answer after this long may or may not have been done, milliseconds of the wall.
    pub call_timeout_ms: u64,
    /// A look older than this is not acted on any more, milliseconds. Two calls' patience, which a look may take.
    pub look_good_ms: i64,
    /// Calls to one cloud at once.
    pub calls_at_once: usize,
}

impl Default for ExecutorSettings {
    fn default() -> Self {
        Self { sweep_ms: 300_000, look_ms: 2_000, call_timeout_ms: 30_000, look_good_ms: 60_000, calls_at_once: 8 }
    }
}

/// Why a worker ended. Whatever it is, the way on is to take the partition over again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log or the store; [`backend::Error::Fenced`] where somebody else has the partition now.
    #[error(transparent)]
    Backend(#[from] backend::Error),
    /// A ledger that this build cannot read or write.
    #[error("group `{uid}`: {why}")]
    Damaged {
        /// Which life of which group.
        uid: GroupUid,
        /// What is wrong.
        why: Damaged,
    },
    /// A view row that is no JSON.
    #[error("group `{uid}`: its servers cannot be shown: {why}")]
    Unshowable {
        /// Which life of which group.
        uid: GroupUid,
        /// What is wrong.
        why: serde_json::Error,
    },
    /// A defect; its ledger is whole in the store.
    #[error("a visit to a group broke off: {0}")]
    BrokeOff(#[from] JoinError),
}

/// Something may be to see.
#[derive(Clone, Debug)]
enum Hint {
    Group(GroupUid),
    Server { tenant: String, server: String },
}

/// Tells executors that there may be something to see. Hints are never orders, and one that is lost does no harm.
#[derive(Clone, Debug)]
pub struct ExecutorHandle {
    hints: broadcast::Sender<Hint>,
}

impl ExecutorHandle {
    /// A group is looked at soon.
    pub fn look(&self, uid: GroupUid) {
        // An error says that no worker runs, and then the next one looks by itself.
        let _ = self.hints.send(Hint::Group(uid));
    }

    /// The group of a tenant's server is looked at soon, if the server may be one of a group's.
    pub fn look_at_server(&self, tenant: &str, server: &str) {
        let _ = self.hints.send(Hint::Server { tenant: tenant.to_owned(), server: server.to_owned() });
    }
}

/// The executors of a process.
pub struct Executor<B: ?Sized> {
    backend: Arc<B>,
    clock: Arc<dyn Clock>,
    settings: ExecutorSettings,
    lanes: Arc<Lanes>,
    hints: broadcast::Sender<Hint>,
}

impl<B: Log + Machines + Switches + ?Sized + 'static> Executor<B> {
    /// Executors over a log and store, and the clouds of the configuration. Nothing runs before [`Executor::run`].
    #[must_use]
    pub fn new(
        backend: Arc<B>,
        clouds: Arc<dyn Clouds>,
        clock: Arc<dyn Clock>,
        settings: ExecutorSettings,
    ) -> (Self, ExecutorHandle) {
        let (hints, _) = broadcast::channel(HINTS_MAX);
        let patience = Duration::from_millis(settings.call_timeout_ms);
        let lanes = Arc::new(Lanes::new(clouds, settings.calls_at_once, patience));
        let handle = ExecutorHandle { hints: hints.clone() };
        (Self { backend, clock, settings, lanes, hints }, handle)
    }

    /// Works for a partition until `stop` is true (or its sender gone), then lets calls under way come to their end.
    ///
    /// # Errors
    /// Any of log or store, among them that somebody else took the partition over: everything in hand is dropped, and the
    /// caller may run it again, after a pause where the error is not about being fenced.
    pub async fn run(&self, partition: u32, mut stop: watch::Receiver<bool>) -> Result<(), Error> {
        let mut hints = self.hints.subscribe();
        let mut groups = self.take_over(partition).await?;
        let (mut visits, mut reads) = (JoinSet::new(), JoinSet::new());
        let mut live = true;
        self.read(&mut reads, partition, 0);
        let ended = loop {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break Ok(()),
                Some(read) = reads.join_next() => match read.map_err(Error::from).and_then(|read| Ok(read?)) {
                    Ok((mark, commands)) => {
                        groups.follow(commands);
                        self.read(&mut reads, partition, mark);
                    }
                    Err(error) => break Err(error),
                },
                Some(visited) = visits.join_next() => match visited.map_err(Error::from).and_then(|visited| visited) {
                    Ok((uid, held)) => groups.put_back(uid, held),
                    Err(error) => break Err(error),
                },
                Ok(hint) = hints.recv() => groups.hint(&hint),
                () = sleep(if live { TICK.min(groups.wait(self.clock.now_ms())) } else { TICK }) => {}
            }
            match self.visit(&mut groups, &mut visits).await {
                Ok(yes) => live = yes,
                Err(error) => break Err(error),
            }
        };
        // What was begun is ended: its calls may be under way, and their answers are worth having.
        let mut ended = ended;
        while let Some(visited) = visits.join_next().await {
            ended = ended.and(visited.map_err(Error::from).and_then(|visited| visited).map(drop));
        }
        // So that nothing of this worker holds the store when it is gone.
        while reads.join_next().await.is_some() {}
        ended
    }

    /// Takes a partition over, for who moves the executors turn by turn.
    ///
    /// # Errors
    /// As for [`Executor::run`].
    pub async fn begin(&self, partition: u32) -> Result<Shift, Error> {
        Ok(Shift { groups: self.take_over(partition).await?, mark: 0 })
    }

    /// Follows the commands there are and makes the visits that are due, to their end. Waits for nothing else. Answers how
    /// many visits it made.
    ///
    /// # Errors
    /// As for [`Executor::run`]; the shift is over then.
    pub async fn turn(&self, shift: &mut Shift) -> Result<usize, Error> {
        let (backend, partition, mark) = (Arc::clone(&self.backend), shift.groups.owner.partition, shift.mark);
        let (mark, commands) =
            spawn_blocking(move || backend.commands_after(partition, mark, Duration::ZERO)).await??;
        shift.groups.follow(commands);
        shift.mark = mark;
        let mut visits = JoinSet::new();
        self.visit(&mut shift.groups, &mut visits).await?;
        let made = visits.len();
        while let Some(visited) = visits.join_next().await {
            let (uid, held) = visited??;
            shift.groups.put_back(uid, held);
        }
        Ok(made)
    }

    async fn take_over(&self, partition: u32) -> Result<Groups, Error> {
        let backend = Arc::clone(&self.backend);
        let (owner, rows) = spawn_blocking(move || {
            let (owner, _) = backend.take_over(Machine::Settle, partition)?;
            Ok::<_, backend::Error>((owner, backend.ledgers(partition)?))
        })
        .await??;
        let pace = Pace { look_ms: self.settings.look_ms, sweep_ms: self.settings.sweep_ms };
        let mut groups = Groups { owner, pace, groups: BTreeMap::new() };
        for (uid, committed) in rows {
            let mut ledger = Ledger::from_bytes(&committed).map_err(|why| Error::Damaged { uid, why })?;
            ledger.resume(self.clock.now_ms());
            groups.groups.insert(uid, Group::at_home(Held { ledger, committed }, pace));
        }
        Ok(groups)
    }

    fn read(&self, reads: &mut JoinSet<backend::Result<(u64, Vec<Command>)>>, partition: u32, mark: u64) {
        let backend = Arc::clone(&self.backend);
        reads.spawn_blocking(move || backend.commands_after(partition, mark, COMMANDS_PATIENCE));
    }

    /// Starts the visits that are due, if the engine has caught up with the log; answers whether it has.
    async fn visit(
        &self,
        groups: &mut Groups,
        visits: &mut JoinSet<Result<(GroupUid, Option<Held>), Error>>,
    ) -> Result<bool, Error> {
        let room = VISITS_MAX.saturating_sub(visits.len());
        let now_ms = self.clock.now_ms();
        if room == 0 || !groups.is_due(now_ms) {
            return Ok(true);
        }
        let (backend, owner) = (Arc::clone(&self.backend), groups.owner);
        let (_, live) = spawn_blocking(move || backend.stepped(owner.partition)).await??;
        if !live {
            return Ok(false);
        }
        for (uid, held) in groups.take_due(now_ms, room) {
            let (backend, lanes) = (Arc::clone(&self.backend), Arc::clone(&self.lanes));
            let (clock, look_good_ms) = (Arc::clone(&self.clock), self.settings.look_good_ms);
            let visit = Visit { backend, owner, lanes, clock, look_good_ms };
            visits.spawn(async move { Ok((uid, visit.run(held).await?)) });
        }
        Ok(true)
    }
}

/// A partition in the hands of who moves the executors turn by turn. Dropped, it is as if the process were killed.
pub struct Shift {
    groups: Groups,
    mark: u64,
}

/// The groups of a partition.
struct Groups {
    owner: Ownership,
    pace: Pace,
    groups: BTreeMap<GroupUid, Group>,
}

/// A group, whose ledger is at home or on a visit.
struct Group {
    tenant: String,
    home: Option<Held>,
    /// When it wants a visit; while it is on one, not at all.
    due_ms: i64,
    /// What came meanwhile.
    newest: Option<Command>,
    hinted: bool,
}

impl Group {
    fn at_home(held: Held, pace: Pace) -> Self {
        let (tenant, due_ms) = (held.ledger.newest().tenant.clone(), held.ledger.next_look_ms(pace));
        Self { tenant, home: Some(held), due_ms, newest: None, hinted: false }
    }

    /// Gives a ledger that is at home what waits for it.
    fn update(&mut self, pace: Pace) {
        let Some(held) = &mut self.home else { return };
        if let Some(command) = self.newest.take() {
            held.ledger.command(command);
        }
        if std::mem::take(&mut self.hinted) {
            held.ledger.hint();
        }
        self.due_ms = held.ledger.next_look_ms(pace);
    }
}

impl Groups {
    fn follow(&mut self, commands: Vec<Command>) {
        for command in commands {
            let uid = command.uid;
            if let Some(group) = self.groups.get_mut(&uid) {
                if group.newest.as_ref().is_none_or(|newest| newest.generation < command.generation) {
                    group.newest = Some(command);
                }
                group.update(self.pace);
            } else if command.retired.is_none() {
                let held = Held { ledger: Ledger::new(command), committed: Vec::new() };
                self.groups.insert(uid, Group::at_home(held, self.pace));
            }
            // One that is removed and has no ledger was forgotten long ago, or never had a server.
        }
    }

    fn hint(&mut self, hint: &Hint) {
        let hinted: Vec<&mut Group> = match hint {
            Hint::Group(uid) => self.groups.get_mut(uid).into_iter().collect(),
            Hint::Server { tenant, server } => {
                // Of one that is on a visit it is not known; a look too many does no harm.
                let may = |group: &&mut Group| group.home.as_ref().is_none_or(|held| held.ledger.concerns(server));
                self.groups.values_mut().filter(|group| group.tenant == *tenant).filter(may).collect()
            }
        };
        for group in hinted {
            group.hinted = true;
            group.update(self.pace);
        }
    }

    fn put_back(&mut self, uid: GroupUid, held: Option<Held>) {
        match (held, self.groups.get_mut(&uid)) {
            (Some(held), Some(group)) => {
                group.home = Some(held);
                group.update(self.pace);
            }
            (_, _) => drop(self.groups.remove(&uid)),
        }
    }

    fn at_home(&self) -> impl Iterator<Item = (&GroupUid, &Group)> {
        self.groups.iter().filter(|(_, group)| group.home.is_some())
    }

    fn is_due(&self, now_ms: i64) -> bool {
        self.at_home().any(|(_, group)| group.due_ms <= now_ms)
    }

    /// How long until a group is due.
    fn wait(&self, now_ms: i64) -> Duration {
        let due_ms = self.at_home().map(|(_, group)| group.due_ms).min().unwrap_or(i64::MAX);
        // Not zero even when due, since what holds a due group up is not gone in no time.
        Duration::from_millis(u64::try_from(due_ms.saturating_sub(now_ms)).unwrap_or(0).max(5))
    }

    /// Takes the ledgers that are due, the longest overdue first.
    fn take_due(&mut self, now_ms: i64, most: usize) -> Vec<(GroupUid, Held)> {
        let mut due: Vec<(i64, GroupUid)> = self
            .at_home()
            .filter(|(_, group)| group.due_ms <= now_ms)
            .map(|(uid, group)| (group.due_ms, *uid))
            .collect();
        due.sort_unstable();
        due.truncate(most);
        let taken = due.into_iter().filter_map(|(_, uid)| Some((uid, self.groups.get_mut(&uid)?.home.take()?)));
        taken.collect()
    }
}

#[cfg(test)]
mod tests;
