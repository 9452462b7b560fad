//! What is counted, as Prometheus reads it. No label names a tenant or a group: there may be a million of them.

use super::{PartitionStatus, Reason};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Why {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Partition {
    partition: u32,
}

/// The door's counters.
#[derive(Default)]
pub(super) struct Counters {
    facts: Family<Kind, Counter>,
    dropped: Family<Kind, Counter>,
    notes: Family<Kind, Counter>,
    refused: Family<Why, Counter>,
}

impl Counters {
    /// So many facts of a kind are in the log.
    pub(super) fn facts(&self, kind: &'static str, count: usize) {
        self.facts.get_or_create(&Kind { kind }).inc_by(count as u64);
    }

    /// So many facts of a kind were readable and came at the wrong time.
    pub(super) fn dropped(&self, kind: &'static str, count: usize) {
        self.dropped.get_or_create(&Kind { kind }).inc_by(count as u64);
    }

    /// A request with facts of a kind was answered with a note.
    pub(super) fn noted(&self, kind: &'static str) {
        self.notes.get_or_create(&Kind { kind }).inc();
    }

    /// A request was refused.
    pub(super) fn refused(&self, reason: Reason) {
        self.refused.get_or_create(&Why { reason: reason.as_str() }).inc();
    }

    /// Everything, with how the partitions stand at `now_ms`.
    pub(super) fn text(&self, partitions: &[PartitionStatus], now_ms: i64) -> String {
        let mut registry = Registry::with_prefix("weir");
        registry.register("facts", "Facts in the log, by kind", self.facts.clone());
        registry.register("facts_dropped", "Facts too far from our clock, by kind", self.dropped.clone());
        registry.register(
            "facts_noted",
            "Requests whose facts fit nothing that is declared, by kind",
            self.notes.clone(),
        );
        registry.register("refused", "Requests refused, by reason", self.refused.clone());
        let gauge =
            |registry: &mut Registry, name: &str, help: &str, value: &dyn Fn(&PartitionStatus) -> Option<i64>| {
                let family = Family::<Partition, Gauge>::default();
                for status in partitions {
                    if let Some(value) = value(status) {
                        family.get_or_create(&Partition { partition: status.partition }).set(value);
                    }
                }
                registry.register(name, help, family);
            };
        gauge(&mut registry, "partition_lag_records", "Records in the log and not yet applied", &|status| {
            i64::try_from(status.end.saturating_sub(status.next)).ok()
        });
        gauge(&mut registry, "partition_live", "1 where executors may act", &|status| Some(i64::from(status.live)));
        gauge(&mut registry, "partition_halted", "1 where the worker ended with an error", &|status| {
            Some(i64::from(status.halted.is_some()))
        });
        gauge(&mut registry, "partition_time_behind_ms", "The wall's time less the log's", &|status| {
            status.t_ms.map(|t_ms| now_ms.saturating_sub(t_ms))
        });
        let mut text = String::new();
        // Writing into a string fails only where a metric's own encoding does, and these are numbers.
        if encode(&mut text, &registry).is_err() {
            text.clear();
        }
        text
    }
}
