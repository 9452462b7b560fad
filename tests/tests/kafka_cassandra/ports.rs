//! What every log and store promises, asked of Kafka with Cassandra behind it, as an installation has them.

use std::sync::{Arc, RwLockReadGuard};
use weir::{
    backend::{
        Backend,
        cassandra::Cassandra,
        cluster::Cluster,
        kafka::{Kafka, Settings, setup},
    },
    clock::HeldClock,
};
use weir_tests::{
    cassandra::Node,
    conformance::{PARTITIONS, START_MS, System},
    kafka::Broker,
};

/// A new installation on the shared servers. Its append times are the broker's, so the clock moves nothing.
struct Both {
    _broker: Arc<Broker>,
    settings: Settings,
    node: &'static Node,
    clock: HeldClock,
    _runs: RwLockReadGuard<'static, ()>,
}

impl Both {
    fn new() -> Self {
        let (node, runs) = Node::shared();
        let broker = Broker::shared().unwrap();
        let settings = broker.settings(PARTITIONS);
        setup(&settings).unwrap();
        Self { _broker: broker, settings, node, clock: HeldClock::at(START_MS), _runs: runs }
    }
}

impl System for Both {
    fn open(&self) -> Arc<dyn Backend> {
        let kafka = Arc::new(Kafka::open(self.settings.clone()).unwrap());
        let id = weir::backend::Log::log_id(&*kafka);
        let store = Cassandra::open(&self.node.settings(), &id, PARTITIONS).unwrap();
        Arc::new(Cluster::new(kafka, Arc::new(store)).unwrap())
    }

    fn clock(&self) -> &HeldClock {
        &self.clock
    }
}

// All but those that set the log's clock, which is the broker's, and those about what goes by a time to live, which no clock
// of ours decides.
weir_tests::promises! { @ Both::new();
    log: offsets_start_at_0_and_leave_no_gap, concurrent_appends_are_each_there_once_and_whole, partitions_are_apart,
        reading_goes_in_pages_and_ends_at_the_end, too_long_a_line_is_refused_with_its_neighbours,
        who_waits_for_a_record_is_woken_by_it, the_log_keeps_its_name;
    machines: a_commit_is_there_whole_after_reopening, a_fenced_owner_commits_nothing, epochs_rise_across_reopening,
        the_machines_are_fenced_apart, a_position_goes_neither_back_nor_past_the_end,
        nobody_is_live_who_was_not_said_to_be, commands_are_read_as_a_table, every_command_stays_in_the_history,
        an_older_generation_never_replaces_a_newer, ledgers_are_set_replaced_and_forgotten,
        who_waits_for_a_step_is_woken_by_it;
    history: decisions_are_paged_newest_first, decisions_are_found_by_record, views_are_set_replaced_and_taken_away,
        tenants_do_not_see_each_other;
    switches: a_switch_holds_across_reopening_until_it_ends_or_is_lifted;
    snapshots: a_snapshot_comes_back_as_it_was, no_snapshot_is_newer_than_the_position, a_snapshot_is_immutable,
        the_newest_that_is_not_too_new_is_offered, three_are_kept_and_not_all;
}
