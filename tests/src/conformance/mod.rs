//! What every log and store promises, asked from outside. A system passes a [`System`] that opens it; each function here is
//! one promise, takes a system that is new, and panics where it is broken. [`promises`] makes a test of each.

use std::sync::Arc;
use weir::{backend::Backend, clock::HeldClock};

pub mod crash;
pub mod history;
pub mod log;
pub mod machines;
pub mod snapshots;
pub mod switches;
pub mod trimming;

/// A log and store that outlives the handles on it.
pub trait System {
    /// Opens it; once all handles are dropped, again, with all that was written.
    fn open(&self) -> Arc<dyn Backend>;

    /// The clock by which it stamps and trims. It starts at [`START_MS`].
    fn clock(&self) -> &HeldClock;
}

/// When a system's clock starts.
pub const START_MS: i64 = 1_764_000_000_000;
/// A system under test has so many partitions.
pub const PARTITIONS: u32 = 2;
/// It keeps events for so long, milliseconds.
pub const EVENTS_MS: i64 = 3_600_000;
/// It keeps decisions and commands for so long, milliseconds.
pub const DECISIONS_MS: i64 = 2 * 3_600_000;

/// Makes a test of each promise for the system that `$new` makes.
#[macro_export]
macro_rules! promises {
    ($new:expr) => {
        $crate::promises! { @ $new;
            log: offsets_start_at_0_and_leave_no_gap, concurrent_appends_are_each_there_once_and_whole,
                partitions_are_apart, append_times_never_run_backwards, reading_goes_in_pages_and_ends_at_the_end,
                too_long_a_line_is_refused_with_its_neighbours, who_waits_for_a_record_is_woken_by_it,
                a_time_finds_its_offset, the_log_keeps_its_name;
            machines: a_commit_is_there_whole_after_reopening, a_fenced_owner_commits_nothing,
                epochs_rise_across_reopening, the_machines_are_fenced_apart,
                a_position_goes_neither_back_nor_past_the_end, nobody_is_live_who_was_not_said_to_be,
                commands_are_read_as_a_table, every_command_stays_in_the_history,
                an_older_generation_never_replaces_a_newer, ledgers_are_set_replaced_and_forgotten,
                who_waits_for_a_step_is_woken_by_it;
            history: decisions_are_paged_newest_first, decisions_are_found_by_record,
                views_are_set_replaced_and_taken_away, tenants_do_not_see_each_other;
            snapshots: a_snapshot_comes_back_as_it_was, no_snapshot_is_newer_than_the_position,
                a_snapshot_is_immutable, the_newest_that_is_not_too_new_is_offered, three_are_kept_and_not_all;
            switches: a_switch_holds_across_reopening_until_it_ends_or_is_lifted;
            trimming: old_events_go_but_never_those_a_snapshot_needs, nothing_goes_without_a_snapshot,
                old_decisions_and_commands_go_but_the_table_stays;
        }
    };
    (@ $new:expr; $($module:ident: $($promise:ident),+);+ $(;)?) => {
        $(mod $module {
            use super::*;
            $(#[test]
            fn $promise() {
                $crate::conformance::$module::$promise(&$new);
            })+
        })+
    };
}
