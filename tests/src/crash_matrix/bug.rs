//! Mistakes that somebody could make in the process, to show that the matrix bites. What is judged knows nothing of them.
//!
//! Each is made where the process meets the world, so that the workers under test are the ones that ship.

use weir::backend::{Result, Settled};
use weir_engine::{
    event::{Event, Fact},
    ledger::{Ledger, Phase},
};

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Servers are ordered whose slots no committed ledger has.
    OrdersUncommitted,
    /// An order without an answer is sent again at once.
    OrderedAgain,
    /// An outcome is taken for written, whatever the log said.
    OutcomeDropped,
    /// A customer is answered, whatever the log said.
    HastyAnswer,
    /// What was decided is taken for committed, whatever the store said.
    CommitDropped,
    /// A ledger is taken for committed, whatever the store said.
    LedgerDropped,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::OrdersUncommitted,
        Self::OrderedAgain,
        Self::OutcomeDropped,
        Self::HastyAnswer,
        Self::CommitDropped,
        Self::LedgerDropped,
    ];

    /// What the process makes of the log's answer to `events`.
    pub(super) fn appended(self, events: &[Event], end: u64, said: Result<u64>) -> Result<u64> {
        let outcomes = events.iter().any(|event| matches!(event.fact, Fact::Outcome(_)));
        let customers = events.iter().any(|event| event.source == "/api");
        let taken = self == Self::OutcomeDropped && outcomes || self == Self::HastyAnswer && customers;
        if taken { said.or(Ok(end)) } else { said }
    }

    /// What the process makes of the store's answer to a commit of the step machine.
    pub(super) fn stepped(self, said: Result<()>) -> Result<()> {
        if self == Self::CommitDropped { said.or(Ok(())) } else { said }
    }

    /// Whether the process leaves a commit of ledgers out.
    pub(super) fn leaves_out(self, settled: &Settled) -> bool {
        let orders = |bytes: &Vec<u8>| {
            let ledger = Ledger::from_bytes(bytes).ok();
            ledger.is_some_and(|ledger| ledger.entries().values().any(|entry| entry.phase == Phase::Ordered))
        };
        self == Self::OrdersUncommitted && settled.ledgers.iter().filter_map(|(_, bytes)| bytes.as_ref()).any(orders)
    }

    /// What the process makes of the store's answer to a commit of ledgers.
    pub(super) fn settled(self, said: Result<()>) -> Result<()> {
        if self == Self::LedgerDropped { said.or(Ok(())) } else { said }
    }
}
