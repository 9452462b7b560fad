//! Records that replays pass over, because an operator said so of one that cannot be applied.
//!
//! INVARIANT: a skip is committed with the ownership of its partition, and only for the record at which the machine stands. So
//! no owner has ever applied a record that a later replay passes over.

use super::{Error, Line};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use weir_engine::event::{Event, Fact, Tick, Version};

/// A record that is passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skip {
    /// Its offset.
    pub offset: u64,
    /// Why.
    pub reason: String,
    /// Who said so.
    pub actor: String,
    /// When, epoch milliseconds.
    pub at_ms: i64,
}

/// Refuses to skip a record at which the machine does not stand.
pub(super) fn must_stand_there(partition: u32, stands: u64, offset: u64) -> Result<(), Error> {
    match offset == stands {
        true => Ok(()),
        false => Err(Error::Failed(format!(
            "partition {partition} stands at `{partition}:{stands}`, not at `{partition}:{offset}`: only the record at which a \
             partition stands can be passed over"
        ))),
    }
}

/// The offsets of a partition's skips.
#[derive(Clone, Debug, Default)]
pub struct Skips(BTreeSet<u64>);

impl Skips {
    /// Of these.
    #[must_use]
    pub fn of(skips: &[Skip]) -> Self {
        Self(skips.iter().map(|skip| skip.offset).collect())
    }

    /// Whether the record at `offset` is passed over.
    #[must_use]
    pub fn has(&self, offset: u64) -> bool {
        self.0.contains(&offset)
    }

    /// The line as it is to be applied: itself, or in place of one that is passed over a tick at the beginning of time, which
    /// moves nothing. So an export needs no word of its own for a skip, and whoever replays it obeys.
    #[must_use]
    pub fn obey(&self, line: Line) -> Line {
        if !self.has(line.offset) {
            return line;
        }
        let event = Event {
            specversion: Version::V1,
            id: format!("skipped-{}", line.offset),
            source: "/skip".into(),
            time: 0,
            tenant: String::new(),
            fact: Fact::Tick(Tick {}),
        };
        Line { bytes: event.to_line().into_bytes(), ..line }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_engine::partition::Partition;

    #[test]
    fn a_record_that_is_passed_over_moves_nothing_but_the_position() {
        let line = |offset: u64, text: &str| Line { offset, appended_ms: 9_000_000, bytes: text.as_bytes().to_vec() };
        let skip = Skip { offset: 1, reason: "noise".into(), actor: "ops".into(), at_ms: 0 };
        let skips = Skips::of(&[skip]);
        let mut state = Partition::new("log", 0);
        let apply = |state: &mut Partition, line: Line| state.step_line(line.offset, line.appended_ms, &line.bytes);
        let first = Event {
            time: 1_000,
            ..Event::from_line(&skips.obey(line(1, "")).bytes).unwrap_or_else(|_| unreachable!())
        };
        assert!(apply(&mut state, line(0, &first.to_line())).is_ok());
        assert!(apply(&mut state, line(1, "noise")).is_err());
        assert_eq!((state.next(), state.t()), (1, 1_000));
        assert!(apply(&mut state, skips.obey(line(1, "noise"))).is_ok());
        assert_eq!((state.next(), state.t()), (2, 1_000));
        assert!(apply(&mut state, skips.obey(line(2, "noise"))).is_err(), "and no other one");
    }
}
