//! Faults: every effect of the process under test has a number, and at some numbers something happens to it. What holds the
//! numbers outlives the process, since the next life of it goes on counting.

use super::bug::Bug;
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, PoisonError},
};

/// What the process does to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Writes facts into the log.
    Append,
    /// Takes one of the two machines over.
    TakeOver,
    /// Commits what the step machine gave.
    CommitStep,
    /// Commits ledgers.
    CommitSettle,
    /// Keeps a snapshot.
    SaveSnapshot,
    /// Writes down that the installation moves.
    SetLineage,
    /// Asks a cloud for a group's servers.
    List,
    /// Asks a balancer for its members.
    Members,
    /// Orders a server.
    Create,
    /// Deletes one.
    Delete,
    /// Marks a server as a group's.
    Mark,
    /// Takes the mark off.
    Unmark,
    /// Puts an address into a balancer.
    Join,
    /// Lets a member finish.
    Drain,
    /// Takes an address out of a balancer.
    Leave,
}

impl Effect {
    /// It changes nothing.
    #[must_use]
    pub fn reads(self) -> bool {
        matches!(self, Self::List | Self::Members)
    }

    /// The moments of which a pair is made. A process killed before an effect leaves what one leaves that is killed after the
    /// effect before it, and so does one killed after it has only read; each such place is taken once.
    #[must_use]
    pub fn moments(self) -> &'static [Moment] {
        if self.reads() { &[Moment::Lost] } else { &[Moment::After, Moment::Lost] }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Append => "append",
            Self::TakeOver => "take_over",
            Self::CommitStep => "commit_step",
            Self::CommitSettle => "commit_settle",
            Self::SaveSnapshot => "save_snapshot",
            Self::SetLineage => "set_lineage",
            Self::List => "list",
            Self::Members => "members",
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Mark => "mark",
            Self::Unmark => "unmark",
            Self::Join => "join",
            Self::Drain => "drain",
            Self::Leave => "leave",
        })
    }
}

/// What happens to an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// The process is killed before it.
    Before,
    /// The process is killed after it, and has heard no answer.
    After,
    /// It is done and its answer is lost; the process lives and hears that it is not known.
    Lost,
    /// It is not done; the process lives and hears that it failed.
    Fails,
    /// It is done twice; the process hears the first answer.
    Twice,
}

impl Moment {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Before, Self::After, Self::Lost, Self::Fails, Self::Twice];
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Before => "before",
            Self::After => "after",
            Self::Lost => "lost",
            Self::Fails => "fails",
            Self::Twice => "twice",
        })
    }
}

/// What happens, by the effect's number.
pub type Plan = BTreeMap<usize, Moment>;

/// The faults of one story, shared by everything that the process does.
#[derive(Debug, Default)]
pub struct Faults {
    count: Mutex<Count>,
    bug: Option<Bug>,
}

#[derive(Debug, Default)]
struct Count {
    plan: Plan,
    trail: Vec<Effect>,
    dead: bool,
}

/// What meets an effect: none where all is well.
pub(super) enum Met {
    /// The process is dead, and nothing of it reaches anybody.
    Dead,
    /// It works, and one of these happens.
    Alive(Option<Moment>),
}

impl Faults {
    /// Faults that have not happened yet.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        Self { count: Mutex::new(Count { plan, ..Count::default() }), bug: None }
    }

    /// The same, of a process with a mistake in it.
    #[must_use]
    pub fn with_bug(self, bug: Option<Bug>) -> Self {
        Self { bug, ..self }
    }

    /// The mistake in the process.
    pub(super) fn bug(&self) -> Option<Bug> {
        self.bug
    }

    /// Every effect so far, by number.
    #[must_use]
    pub fn trail(&self) -> Vec<Effect> {
        self.with(|count| count.trail.clone())
    }

    /// Whether the process was killed.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.with(|count| count.dead)
    }

    /// Another process begins.
    pub(super) fn revive(&self) {
        self.with(|count| count.dead = false);
    }

    pub(super) fn kill(&self) {
        self.with(|count| count.dead = true);
    }

    /// An effect is about to be.
    pub(super) fn meet(&self, effect: Effect) -> Met {
        self.with(|count| {
            if count.dead {
                return Met::Dead;
            }
            let moment = count.plan.get(&count.trail.len()).copied();
            count.trail.push(effect);
            if moment == Some(Moment::Before) {
                count.dead = true;
                return Met::Dead;
            }
            Met::Alive(moment)
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut Count) -> T) -> T {
        work(&mut self.count.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
