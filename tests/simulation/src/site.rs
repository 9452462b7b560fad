//! What the processes of an installation share of one partition: its log, its store, its tenants' cloud, the instant; and who
//! judges them.

use crate::{
    bug::Planted,
    cloud::Cloud,
    dice::Dice,
    judge::{Broken, Judge},
    log::{Appended, Log},
    store::Store,
    tally::Tally,
};
use weir_engine::event::{Event, Fact, Version};

/// Records that one append can have added.
const READ_MAX: usize = 4_096;

/// What the processes share.
#[derive(Debug)]
pub struct Site {
    /// Which partition.
    pub partition: u32,
    /// The true instant, epoch milliseconds.
    pub now_ms: i64,
    /// The log.
    pub log: Log,
    /// The store.
    pub store: Store,
    /// The cloud.
    pub cloud: Cloud,
    /// Who judges.
    pub judge: Judge,
    /// Chance in how long things take.
    pub dice: Dice,
    /// What happened, counted.
    pub tally: Tally,
    /// The bug that is on.
    pub planted: Planted,
    /// Something was appended or committed since the loop last looked.
    pub stirred: bool,
}

impl Site {
    /// Appends events, and lets the judge hear what got into the log.
    ///
    /// # Errors
    /// What the judge says.
    pub fn append(&mut self, events: &[Event]) -> Result<Appended, Broken> {
        let appended = self.log.append(self.now_ms, events);
        self.stirred = true;
        let from = self.judge.heard();
        for record in self.log.read(from, READ_MAX) {
            self.judge.hear(record, &self.cloud, &mut self.tally)?;
        }
        Ok(appended)
    }
}

/// An event of a source.
#[must_use]
pub fn event(source: &str, id: String, time: i64, tenant: &str, fact: Fact) -> Event {
    Event { specversion: Version::V1, id, source: source.to_owned(), time, tenant: tenant.to_owned(), fact }
}
