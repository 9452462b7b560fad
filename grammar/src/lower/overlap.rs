//! Windows that are open at once and leave a group no size to be: found by walking the edges of both (E0303).

use super::scope::Scope;
use crate::{diagnostic::Diagnostic, policy::Window};
use chrono::DateTime;

/// Looked at from here on, so that nothing depends on today's date: 2026-01-01T00:00Z.
const FROM_MS: i64 = 1_767_225_600_000;
/// The calendar repeats after 28 years.
const UNTIL_MS: i64 = FROM_MS + 28 * 365_250 * 86_400;
/// Edges of one pair that are looked at; 28 years of a daily window. A denser one has met its neighbour long before.
const EDGES_MAX: usize = 20_500;

/// Reports each pair of a group's windows that have nothing in common and are open together at some instant.
pub(super) fn check(scope: &mut Scope<'_>, windows: &[Window]) {
    for (index, one) in windows.iter().enumerate() {
        for other in windows.iter().skip(index + 1).filter(|other| one.min > other.max || other.min > one.max) {
            let Some(at_ms) = first_together(one, other) else { continue };
            let at = DateTime::from_timestamp_millis(at_ms).unwrap_or_default().format("%Y-%m-%dT%H:%MZ");
            let message = format!(
                "`{}` ({}..{}) and `{}` ({}..{}) are open together at {at} and have no size in common",
                one.name, one.min, one.max, other.name, other.min, other.max
            );
            scope.report(
                Diagnostic::error("E0303", other.span, message)
                    .also(one.span, "the other window")
                    .help("let their bounds meet, or keep them apart in time"),
            );
        }
    }
}

fn first_together(one: &Window, other: &Window) -> Option<i64> {
    let mut at_ms = FROM_MS;
    for _ in 0..EDGES_MAX {
        if one.when.open_at(at_ms).is_some() && other.when.open_at(at_ms).is_some() {
            return Some(at_ms);
        }
        let edges = [&one.when, &other.when].map(|when| when.next_edge_after(at_ms));
        at_ms = edges.into_iter().flatten().min().filter(|next| *next < UNTIL_MS)?;
    }
    None
}
