//! What a test does, held against what was recorded.

use super::witness::Scene;
use crate::{
    decision::{Decision, Verdict},
    rehearse::Rehearsed,
};
use weir_grammar::{
    policy::{Action, Amount, Group, Trigger},
    quantity::Millis,
};

/// Inputs are told on whole seconds, so what they lead to may be so far apart and still be the same.
const SAME_MS: u64 = 1_000;
/// A change so far away from one that was recorded is still that one, only at another time.
const NEAR_MS: u64 = 600_000;

/// A change of the target.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    at: Millis,
    by: String,
    from: u32,
    to: u32,
}

/// Changes of a test, each with the recorded one that it is.
#[derive(Clone, Debug)]
pub(super) struct Compared {
    made: Vec<(Change, Option<Change>)>,
    /// Recorded changes that the test does not make.
    missing: Vec<Change>,
}

impl Compared {
    pub(super) fn new(scene: &Scene, made: &Rehearsed) -> Self {
        let mut missing: Vec<Change> = scene.changes.iter().filter_map(|change| of(change, scene.begin_ms)).collect();
        let begin_ms = scene.begin_ms;
        let made = made.timeline.iter().filter_map(|row| of(&row.decision, begin_ms));
        let mut made: Vec<(Change, Option<Change>)> = made.map(|change| (change, None)).collect();
        // First those at the same instant, then the nearest by the same rule in the same direction.
        for within_ms in [SAME_MS, NEAR_MS] {
            for (change, found) in made.iter_mut().filter(|(_, found)| found.is_none()) {
                let fits = |known: &&Change| {
                    let exact = within_ms > SAME_MS || (known.from, known.to) == (change.from, change.to);
                    let same_way = (known.to > known.from) == (change.to > change.from);
                    known.by == change.by && exact && same_way && known.at.0.abs_diff(change.at.0) <= within_ms
                };
                let nearest = missing.iter().filter(fits).min_by_key(|known| known.at.0.abs_diff(change.at.0)).cloned();
                missing.retain(|known| Some(known) != nearest.as_ref());
                *found = nearest;
            }
        }
        Self { made, missing }
    }

    /// Whether the test does what was recorded, and nothing else.
    pub(super) fn is_whole(&self) -> bool {
        self.missing.is_empty() && self.same() == self.made.len()
    }

    /// The larger, the nearer to what was recorded.
    pub(super) fn score(&self) -> i64 {
        let near = self.made.iter().filter(|(_, found)| found.is_some()).count() as i64;
        let surplus = self.made.len() as i64 - near;
        4 * self.same() as i64 + 2 * near - 2 * surplus - 3 * self.missing.len() as i64
    }

    /// Changes that were recorded.
    pub(super) fn recorded(&self) -> usize {
        self.missing.len() + self.made.iter().filter(|(_, found)| found.is_some()).count()
    }

    /// Those of them that the test makes at the same instant.
    pub(super) fn same(&self) -> usize {
        self.made.iter().filter(|(made, found)| found.as_ref().is_some_and(|found| is_same(made, found))).count()
    }

    /// Where the test and the record part, in words.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for (made, found) in &self.made {
            let Change { at, by, from, to } = made;
            match found {
                Some(found) if is_same(made, found) => {}
                Some(found) => notes.push(format!(
                    "{at}: {from} → {to} by {by} here; recorded was {} → {} at {}",
                    found.from, found.to, found.at
                )),
                None => notes.push(format!("{at}: {from} → {to} by {by} here, which was not recorded")),
            }
        }
        for Change { at, by, from, to } in &self.missing {
            notes.push(format!("recorded and not made here: {from} → {to} by {by} at {at}"));
        }
        if !notes.is_empty() {
            notes.push("a test's servers are ready at once, and it begins without a past".into());
        }
        notes
    }

    /// The lines for what the test does.
    pub(super) fn expects(&self, plan: &Group) -> Vec<(Millis, String)> {
        self.made.iter().map(|(change, _)| (change.at, line(plan, change))).collect()
    }
}

fn is_same(one: &Change, other: &Change) -> bool {
    (one.from, one.to) == (other.from, other.to) && one.at.0.abs_diff(other.at.0) <= SAME_MS
}

fn of(decision: &Decision, begin_ms: i64) -> Option<Change> {
    let Verdict::Changed { by, .. } = &decision.outcome else { return None };
    let at = Millis(decision.at.saturating_sub(begin_ms));
    let (from, to) = (decision.from, decision.to);
    (from != to && at.0 >= 0).then(|| Change { at, by: by.clone(), from, to })
}

/// `expect cpu raises to 5 at 7m`, in the words that the rule itself uses.
fn line(plan: &Group, change: &Change) -> String {
    let Change { at, by, from, to } = change;
    let Some(rule) = plan.rules.iter().find(|rule| rule.name == *by) else {
        return format!("expect size {to} at {at}");
    };
    let counts = |amount: Amount| matches!(amount, Amount::Servers(_));
    let fixed = match (&rule.trigger, &rule.action) {
        (Trigger::Step { .. } | Trigger::Track { .. }, _) => false,
        (_, Some(Action::Add(change) | Action::Remove(change))) => counts(change.amount),
        (_, Some(Action::Set(_))) => return format!("expect {by} sets {to} at {at}"),
        _ => false,
    };
    match (to > from, fixed) {
        (true, true) => format!("expect {by} adds {} at {at}", to - from),
        (true, false) => format!("expect {by} raises to {to} at {at}"),
        (false, true) => format!("expect {by} removes {} at {at}", from - to),
        (false, false) => format!("expect {by} lowers to {to} at {at}"),
    }
}
