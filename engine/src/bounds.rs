//! Windows, freezes and overrides as levels: which hold at an instant, and the bounds that follow (rules 16 and 17).

use crate::group::{Edge, Group};
use weir_grammar::policy::{self, Blocks, Direction, Freeze, Window};

/// The floor and ceiling that hold, and which window gave each where one did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Fewest servers.
    pub min: u32,
    /// Most servers.
    pub max: u32,
    /// The window that gives the floor, and when it closes.
    pub floor_by: Option<(String, i64)>,
}

/// Brings the edges of all windows and freezes up to `now_ms`, and ends what was set by hand until then. Cron is asked only
/// when an edge has passed.
pub fn refresh(group: &mut Group, policy: &policy::Group, now_ms: i64) {
    group.by_hand.some().into_iter().for_each(|hand| hand.expire(now_ms));
    let spans = policy.windows.iter().map(|window| &window.when);
    for (edge, when) in group.edges.iter_mut().zip(spans.chain(policy.freezes.iter().map(|freeze| &freeze.when))) {
        if !edge.known || edge.next.is_some_and(|next| next <= now_ms) {
            *edge = Edge { open_until: when.open_at(now_ms), next: when.next_edge_after(now_ms), known: true };
        }
    }
}

/// The open windows, each until when.
pub fn open_windows<'a>(group: &'a Group, policy: &'a policy::Group) -> impl Iterator<Item = (&'a Window, i64)> {
    policy.windows.iter().zip(&group.edges).filter_map(|(window, edge)| Some((window, edge.open_until?)))
}

/// The open freezes, each until when.
pub fn open_freezes<'a>(group: &'a Group, policy: &'a policy::Group) -> impl Iterator<Item = (&'a Freeze, i64)> {
    let edges = group.edges.iter().skip(policy.windows.len());
    policy.freezes.iter().zip(edges).filter_map(|(freeze, edge)| Some((freeze, edge.open_until?)))
}

/// The bounds as of the newest edges. Open windows meet the group's bounds; should they disagree, the highest floor
/// within the group's maximum wins. An override stands in place of what the windows say, for whoever set it knew of them;
/// but a group never leaves its policy's bounds.
#[must_use]
pub fn of(group: &Group, policy: &policy::Group) -> Bounds {
    let mut bounds = Bounds { min: policy.min, max: policy.max, floor_by: None };
    for (window, until) in open_windows(group, policy) {
        if window.min > bounds.min {
            bounds.min = window.min;
            bounds.floor_by = Some((window.name.clone(), until));
        }
        bounds.max = bounds.max.min(window.max);
    }
    bounds.min = bounds.min.min(policy.max);
    bounds.max = bounds.max.max(bounds.min);
    let Some(hand) = &group.by_hand.bounds else { return bounds };
    let within = |bound: u32| bound.max(policy.min).min(policy.max);
    if let Some(floor) = hand.floor.map(within) {
        bounds = Bounds { min: floor, max: bounds.max.max(floor), floor_by: None };
    }
    if let Some(ceiling) = hand.ceiling.map(within) {
        bounds.max = ceiling;
        if bounds.min > ceiling {
            (bounds.min, bounds.floor_by) = (ceiling, None);
        }
    }
    bounds
}

/// The first open freeze that holds `direction`, excepting those that name the rule `by`; with when it ends.
#[must_use]
pub fn frozen<'a>(
    group: &'a Group,
    policy: &'a policy::Group,
    direction: Direction,
    by: Option<usize>,
) -> Option<(&'a Freeze, i64)> {
    open_freezes(group, policy).find_map(|(freeze, until)| {
        let blocks = match freeze.blocks {
            Blocks::All => true,
            Blocks::Only(only) => only == direction,
        };
        let excepted = by.is_some_and(|rule| freeze.except.contains(&rule));
        (blocks && !excepted).then_some((freeze, until))
    })
}
