//! Tree to program: names resolved, units met, limits kept.
//!
//! `check` calls [`policy`] once a file. Every part is lowered even where another failed, so that one run says all there
//! is to say; where a part is not usable an error has been reported, and `check` drops the program. What was declared
//! badly is still declared: using it is no second error.

mod action;
mod condition;
mod group;
mod items;
mod launch;
mod overlap;
mod recurrence;
mod rule;
mod scope;
mod test;
mod value;

use crate::cost::cost;
use crate::diagnostic::Diagnostic;
use crate::limits::{FUEL_MAX, GROUPS_MAX};
use crate::policy::Policy;
use crate::syntax::{Node, Rule};
use scope::Scope;

/// A list with no room for more. A program never grows, and there may be as many as there are groups.
fn tight<T>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut list: Vec<T> = items.collect();
    list.shrink_to_fit();
    list
}

/// Lowers a file. What comes back is only a program if no error was added to `diagnostics`.
pub(crate) fn policy(file: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) -> Policy {
    let mut scope = Scope::new(file);
    let body = scope::Body::of(file);
    let edition = items::edition(&mut scope, &body);
    // Declarations first: a file may use a name above the line that declares it.
    items::constants(&mut scope, &body);
    scope.metrics = items::metrics(&mut scope, &body);
    scope.alarms = items::alarms(&mut scope, &body);
    scope.events = items::events(&mut scope, &body);
    scope.launches = launch::launches(&mut scope, &body);
    scope.groups = group::names(&mut scope, &body);
    let groups = tight(body.all(Rule::group_block).filter_map(|(doc, node)| group::group(&mut scope, doc, node)));
    for group in &groups {
        let fuel = cost(&scope.metrics, group);
        if fuel > FUEL_MAX {
            let message = format!("the group `{}` costs {fuel} fuel an evaluation, more than {FUEL_MAX}", group.name);
            let error = Diagnostic::error("E0310", group.span, message);
            scope.diagnostics.push(error.help("use fewer tests, fewer different look-backs, or split the group"));
        }
    }
    if let Some((_, node)) = body.all(Rule::group_block).nth(GROUPS_MAX) {
        scope.over(node.head().span(), format!("more than {GROUPS_MAX} groups in a file"));
    }
    scope.unique("test", body.all(Rule::test_block).filter_map(|(_, node)| node.head().one(Rule::string)));
    let tests: Vec<_> = body.all(Rule::test_block).filter_map(|(_, node)| test::test(&mut scope, node)).collect();
    let lost = groups.len() < scope.groups.len() || tests.len() < body.all(Rule::test_block).count();
    debug_assert!(
        !lost || body.torn || !diagnostics.is_empty() || !scope.diagnostics.is_empty(),
        "what is lost is reported"
    );
    diagnostics.append(&mut scope.diagnostics);
    Policy {
        edition,
        metrics: scope.metrics,
        alarms: scope.alarms,
        events: scope.events,
        launches: scope.launches,
        groups,
        tests,
    }
}
