//! The planted bugs: each a mistake that somebody could make, in the harness that is re-stated here or in the engine.
//!
//! No invariant knows of them. They are there to show that the invariants bite.

use weir_engine::planted;

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// The store takes commits of an owner that was fenced.
    NoFencing,
    /// A snapshot is saved before its records are committed.
    EarlySnapshot,
    /// A snapshot's position is taken one record too far.
    SnapshotAhead,
    /// A replay's commands are sent again.
    LoudReplay,
    /// A listing that was cut off is taken for the whole.
    CutListing,
    /// Calls are made before the ledger that knows of them is committed.
    CallFirst,
    /// A committed ledger lacks the orders that are about to be sent.
    DroppedIntent,
    /// An outcome is taken for appended whatever the log said.
    DroppedOutcome,
    /// A fact is acknowledged although the log refused it.
    HastyAnswer,
    /// An executor acts while the engine catches up.
    EagerExecutor,
    /// An order that had no answer is sent again at once.
    OrderedAgain,
    /// After an unanswered commit the same records are committed once more.
    CommittedTwice,
    /// One in the engine.
    Engine(planted::Bug),
}

impl Bug {
    /// Those in the harness.
    const HARNESS: [Self; 12] = [
        Self::NoFencing,
        Self::EarlySnapshot,
        Self::SnapshotAhead,
        Self::LoudReplay,
        Self::CutListing,
        Self::CallFirst,
        Self::DroppedIntent,
        Self::DroppedOutcome,
        Self::HastyAnswer,
        Self::EagerExecutor,
        Self::OrderedAgain,
        Self::CommittedTwice,
    ];

    /// All of them; those in the engine only where it was built with them.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let engine = planted::Bug::ALL.iter().filter(|_| cfg!(feature = "planted")).copied().map(Self::Engine);
        Self::HARNESS.into_iter().chain(engine).collect()
    }

    /// The bug of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|bug| bug.name() == name)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Engine(bug) => format!("{bug:?}"),
            harness => format!("{harness:?}"),
        }
    }
}

/// The bug that is on, if any.
#[derive(Clone, Copy, Debug, Default)]
pub struct Planted(pub Option<Bug>);

impl Planted {
    /// Whether it is this one.
    #[must_use]
    pub fn is(self, bug: Bug) -> bool {
        self.0 == Some(bug)
    }

    /// Tells the engine on this thread which of its bugs is on.
    pub fn tell_the_engine(self) {
        #[cfg(feature = "planted")]
        planted::plant(match self.0 {
            Some(Bug::Engine(bug)) => Some(bug),
            _ => None,
        });
    }
}
