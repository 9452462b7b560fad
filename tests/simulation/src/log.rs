//! The log of one partition: appends are durable and in order; an answer may be lost.

use weir_engine::event::{Event, Record};

/// What became of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is in the log.
    Done,
    /// It may be.
    Unclear,
    /// It is not.
    Refused,
}

/// The log.
#[derive(Debug, Default)]
pub struct Log {
    records: Vec<Record>,
    /// Answers to lose: whether the append happens all the same.
    pub lose: Vec<bool>,
    /// Nobody reaches it before then.
    pub cut_off_until_ms: i64,
    newest_ms: i64,
}

impl Log {
    /// Appends events.
    pub fn append(&mut self, now_ms: i64, events: &[Event]) -> Appended {
        if now_ms < self.cut_off_until_ms {
            return Appended::Refused;
        }
        let lost = self.lose.pop();
        if lost != Some(false) {
            self.newest_ms = self.newest_ms.max(now_ms);
            for event in events {
                let offset = self.records.len() as u64;
                self.records.push(Record { offset, appended_ms: self.newest_ms, event: event.clone() });
            }
        }
        if lost.is_some() { Appended::Unclear } else { Appended::Done }
    }

    /// One past the newest offset.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.records.len() as u64
    }

    /// Records from `from` on, at most `most`.
    #[must_use]
    pub fn read(&self, from: u64, most: usize) -> &[Record] {
        let from = usize::try_from(from).unwrap_or(usize::MAX).min(self.records.len());
        &self.records[from..(from + most).min(self.records.len())]
    }
}
