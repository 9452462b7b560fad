//! The store: ownership by epochs, what owners commit, snapshots. Commits are atomic; an answer may be lost.

use crate::{
    bug::{Bug, Planted},
    judge::Broken,
    story::Role,
};
use std::collections::BTreeMap;
use weir_engine::{command::Command, decision::Decision, id::GroupUid};

/// Snapshots kept.
const SNAPSHOTS_KEPT: usize = 3;

/// How far the step machine has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// The next offset to apply.
    pub next: u64,
    /// The rolling digest of the commands so far.
    pub digest: String,
}

/// What the step machine commits in one go.
#[derive(Clone, Debug, Default)]
pub struct Stepped {
    /// The new position.
    pub committed: Committed,
    /// Executors may act.
    pub live: bool,
    /// Commands, oldest first.
    pub commands: Vec<Command>,
    /// Decisions, oldest first.
    pub decisions: Vec<Decision>,
}

/// A snapshot of the step machine.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// All records before `at.next` are in it.
    pub at: Committed,
    /// The engine's bytes.
    pub bytes: Vec<u8>,
    torn: bool,
}

/// What became of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is there.
    Done,
    /// It may be.
    Unclear,
    /// Somebody else has the partition.
    Fenced,
}

/// The store.
#[derive(Debug, Default)]
pub struct Store {
    /// Epochs of the two machines.
    epochs: [u64; 2],
    /// Answers to lose, by machine: whether the commit happens all the same.
    pub lose: [Vec<bool>; 2],
    /// The step machine's position.
    pub committed: Committed,
    /// Its owner has caught up.
    pub live: bool,
    /// Every command, oldest first.
    pub commands: Vec<Command>,
    /// Every decision, oldest first.
    pub decisions: Vec<Decision>,
    /// Every group's ledger.
    pub ledgers: BTreeMap<GroupUid, Vec<u8>>,
    /// The newest snapshots, oldest first.
    pub snapshots: Vec<Snapshot>,
    /// Planted bugs that are on.
    planted: Planted,
}

fn index(role: Role) -> usize {
    match role {
        Role::Engine => 0,
        Role::Executor => 1,
    }
}

impl Store {
    /// An empty one.
    #[must_use]
    pub fn new(planted: Planted) -> Self {
        Self { planted, ..Self::default() }
    }

    /// Fences whoever had a machine; the new epoch.
    pub fn take_over(&mut self, role: Role) -> u64 {
        if role == Role::Engine {
            self.live = false;
        }
        self.epochs[index(role)] += 1;
        self.epochs[index(role)]
    }

    /// Whether a commit of this epoch happens, and what is answered.
    fn admit(&mut self, role: Role, epoch: u64) -> (bool, Answer) {
        if epoch != self.epochs[index(role)] && !self.planted.is(Bug::NoFencing) {
            return (false, Answer::Fenced);
        }
        match self.lose[index(role)].pop() {
            Some(happens) => (happens, Answer::Unclear),
            None => (true, Answer::Done),
        }
    }

    /// Commits what the step machine gave; whether it happened, and what is answered.
    ///
    /// # Errors
    /// Where an owner that was fenced got in.
    pub fn commit_step(&mut self, epoch: u64, stepped: &Stepped) -> Result<(bool, Answer), Broken> {
        let (happens, answer) = self.admit(Role::Engine, epoch);
        if happens {
            Broken::unless(epoch == self.epochs[0], "a zombie commits nothing", || {
                format!("epoch {epoch} of the step machine committed after epoch {} began", self.epochs[0])
            })?;
            self.committed = stepped.committed.clone();
            self.live = stepped.live;
            self.commands.extend(stepped.commands.iter().cloned());
            self.decisions.extend(stepped.decisions.iter().cloned());
        }
        Ok((happens, answer))
    }

    /// Commits ledgers, `None` forgets one; whether it happened, and what is answered.
    ///
    /// # Errors
    /// Where an owner that was fenced got in.
    pub fn commit_settle(
        &mut self,
        epoch: u64,
        ledgers: &[(GroupUid, Option<Vec<u8>>)],
    ) -> Result<(bool, Answer), Broken> {
        let (happens, answer) = self.admit(Role::Executor, epoch);
        if happens {
            Broken::unless(epoch == self.epochs[1], "a zombie commits nothing", || {
                format!("epoch {epoch} of the settle machine committed after epoch {} began", self.epochs[1])
            })?;
            for (uid, bytes) in ledgers {
                match bytes {
                    Some(bytes) => self.ledgers.insert(*uid, bytes.clone()),
                    None => self.ledgers.remove(uid),
                };
            }
        }
        Ok((happens, answer))
    }

    /// Keeps a snapshot, unless its owner was fenced.
    ///
    /// # Errors
    /// Where it is newer than the committed position.
    pub fn save(&mut self, epoch: u64, at: Committed, bytes: Vec<u8>) -> Result<(), Broken> {
        if epoch != self.epochs[0] {
            return Ok(());
        }
        Broken::unless(at.next <= self.committed.next, "no snapshot is newer than the committed position", || {
            format!("a snapshot at {} while {} is committed", at.next, self.committed.next)
        })?;
        if self.snapshots.last().is_none_or(|newest| newest.at.next < at.next) {
            self.snapshots.push(Snapshot { at, bytes, torn: false });
            let surplus = self.snapshots.len().saturating_sub(SNAPSHOTS_KEPT);
            self.snapshots.drain(..surplus);
        }
        Ok(())
    }

    /// The newest whole snapshot.
    #[must_use]
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshots.iter().rev().find(|snapshot| !snapshot.torn)
    }

    /// The newest snapshot turns out to be torn.
    pub fn tear(&mut self) {
        if let Some(newest) = self.snapshots.last_mut() {
            newest.torn = true;
        }
    }

    /// Commands after a mark, and the new mark.
    #[must_use]
    pub fn commands_after(&self, mark: usize) -> (usize, &[Command]) {
        (self.commands.len(), &self.commands[mark.min(self.commands.len())..])
    }

    /// The newest command of each group uid.
    #[must_use]
    pub fn newest(&self) -> BTreeMap<GroupUid, &Command> {
        self.commands.iter().map(|command| (command.uid, command)).collect()
    }
}
