//! What is counted, as Prometheus reads it. No label names a tenant or a group: there may be a million of them.

use super::{PartitionStatus, Reason};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use std::{sync::atomic::AtomicU64, time::Duration};

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

/// What is the installation's, as this process sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Installation {
    /// All there are, whoever owns them.
    pub(super) partitions: u32,
    /// For how long nothing was heard of kill switches; `None` where they have not been read.
    pub(super) switch_silence: Option<Duration>,
    /// The wall's time.
    pub(super) now_ms: i64,
}

/// Of something that happens, and of seconds that it takes.
type Times = Family<Partition, Counter>;
type Seconds = Family<Partition, Counter<f64, AtomicU64>>;
type Level = Gauge<f64, AtomicU64>;

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

    /// Everything, with how the partitions of this process stand.
    pub(super) fn text(&self, partitions: &[PartitionStatus], installation: &Installation) -> String {
        let now_ms = installation.now_ms;
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
        gauge(&mut registry, "partition_troubled", "1 where something goes wrong and is tried again", &|status| {
            Some(i64::from(status.trouble.is_some()))
        });
        let age = |registry: &mut Registry, name: &str, help: &str, since: &dyn Fn(&PartitionStatus) -> Option<i64>| {
            let family = Family::<Partition, Level>::default();
            for status in partitions {
                if let Some(since_ms) = since(status).filter(|since_ms| *since_ms > 0) {
                    let seconds = now_ms.saturating_sub(since_ms) as f64 / 1_000.0;
                    family.get_or_create(&Partition { partition: status.partition }).set(seconds);
                }
            }
            registry.register(name, help, family);
        };
        age(&mut registry, "partition_lag_seconds", "The wall's time less the log's", &|status| status.t_ms);
        age(&mut registry, "partition_snapshot_age_seconds", "The wall's time less the newest snapshot's", &|status| {
            status.snapshot_ms
        });
        self.work(&mut registry, partitions);
        let owned = Gauge::<i64>::default();
        owned.set(i64::try_from(partitions.len()).unwrap_or(i64::MAX));
        registry.register("partitions_owned", "Partitions that this process decides for", owned);
        let all = Gauge::<i64>::default();
        all.set(i64::from(installation.partitions));
        registry.register("partitions", "Partitions of the log", all);
        let read = Gauge::<i64>::default();
        read.set(i64::from(installation.switch_silence.is_some()));
        registry.register("switches_read", "1 where the kill switches have been read; else no server is made", read);
        if let Some(silence) = installation.switch_silence {
            let heard = Level::default();
            heard.set(silence.as_secs_f64());
            registry.register("switches_silence_seconds", "How long nothing was heard of kill switches", heard);
        }
        let mut text = String::new();
        // Writing into a string fails only where a metric's own encoding does, and these are numbers.
        if encode(&mut text, &registry).is_err() {
            text.clear();
        }
        text
    }

    /// What this process's owners have done.
    fn work(&self, registry: &mut Registry, partitions: &[PartitionStatus]) {
        let (take_overs, commits, seconds) = (Times::default(), Times::default(), Seconds::default());
        for status in partitions {
            let of = Partition { partition: status.partition };
            take_overs.get_or_create(&of).inc_by(status.take_overs);
            commits.get_or_create(&of).inc_by(status.commits);
            seconds.get_or_create(&of).inc_by(status.commit_us as f64 / 1_000_000.0);
        }
        registry.register("partition_take_overs", "Times this process took the partition over", take_overs);
        registry.register("partition_commits", "Commits of the step machine", commits);
        registry.register("partition_commit_seconds", "How long these took in all", seconds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALERTS: &str = include_str!("../../alerts.yaml");

    /// A rule over a metric that nobody tells never fires.
    #[test]
    fn every_metric_that_an_alert_rule_names_is_told() {
        let status = PartitionStatus { t_ms: Some(1), snapshot_ms: Some(1), ..PartitionStatus::default() };
        let installation = Installation { partitions: 1, switch_silence: Some(Duration::from_secs(1)), now_ms: 5_001 };
        let counters = Counters::default();
        counters.refused(Reason::Busy);
        let text = counters.text(&[status], &installation);
        let words = ALERTS.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let named: Vec<&str> = words.filter(|word| word.starts_with("weir_")).collect();
        assert!(named.len() > 8, "{named:?}");
        for name in named {
            let told = text.lines().any(|line| line.split(['{', ' ']).next() == Some(name));
            assert!(told, "`{name}` is not told:\n{text}");
        }
        assert!(text.contains("weir_partition_lag_seconds{partition=\"0\"} 5.0"), "{text}");
    }
}
