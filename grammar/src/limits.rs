//! The bounds of a policy file, each with its name. What is over one is refused as `E0310`; nothing is cut off silently.

use crate::quantity::Millis;

/// Bytes in a file.
pub const FILE_BYTES_MAX: usize = 256 * 1024;
/// Blocks and parentheses in one another.
pub const NESTING_MAX: usize = 16;
/// Groups in a file.
pub const GROUPS_MAX: usize = 64;
/// Rules in a group.
pub const RULES_MAX: usize = 64;
/// Predicates in a condition.
pub const PREDICATES_MAX: usize = 16;
/// Load balancers in a launch configuration.
pub const BALANCERS_MAX: usize = 5;
/// Servers in a group.
pub const SERVERS_MAX: u32 = 1_000;
/// The look-back of an aggregate.
pub const WINDOW_MAX: Millis = Millis::DAY;
/// The look-back of a percentile, which keeps a sketch a pane (rule 4).
pub const PERCENTILE_WINDOW_MAX: Millis = Millis::HOUR;
/// The look-back of `count`.
pub const COUNT_WINDOW_MAX: Millis = Millis(7 * Millis::DAY.0);
/// A cooldown.
pub const COOLDOWN_MAX: Millis = Millis::DAY;
/// Every other timer of a group or rule: `for`, `stabilize`, `warmup`, `drain`, `ready within`, `late by`, `limit … per`.
pub const TIMER_MAX: Millis = Millis::DAY;
/// Shortest and longest period of a metric.
pub const EVERY_MIN: Millis = Millis::SECOND;
/// See [`EVERY_MIN`].
pub const EVERY_MAX: Millis = Millis::DAY;
/// How long a window or freeze holds.
pub const LASTING_MAX: Millis = Millis(31 * Millis::DAY.0);
/// After this an alarm's word counts no more, at the most (rule 6).
pub const STALE_MAX: Millis = Millis(7 * Millis::DAY.0);
/// Virtual time a test runs.
pub const TEST_SPAN_MAX: Millis = Millis(7 * Millis::DAY.0);
/// Events one line of a test sends.
pub const TEST_EVENTS_MAX: u32 = 10_000;
/// What one evaluation of a group may cost, in the units of `cost`.
pub const FUEL_MAX: u32 = 10_000;
/// Errors reported in one run; the rest is counted.
pub const ERRORS_MAX: usize = 100;
