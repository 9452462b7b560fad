//! Actions and step arms, and which action may follow from which trigger.

use crate::diagnostic::Diagnostic;
use crate::lower::scope::{Body, Scope};
use crate::policy::{Action, Arm, Change, Condition, Counted, Op, Side, Trigger};
use crate::syntax::{Node, Rule};

/// The action a statement says.
pub(super) fn action(scope: &mut Scope<'_>, node: &Node<'_>) -> Option<Action> {
    let size = |scope: &mut Scope<'_>, what: &str| scope.servers(node.one(Rule::int_value)?, what, 0);
    match node.rule {
        Rule::add_stmt => change(scope, node.one(Rule::change_add)?).map(Action::Add),
        Rule::remove_stmt => change(scope, node.one(Rule::change_remove)?).map(Action::Remove),
        Rule::raise_stmt => size(scope, "`raise to`").map(Action::RaiseTo),
        Rule::lower_stmt => size(scope, "`lower to`").map(Action::LowerTo),
        _ => size(scope, "`set`").map(Action::Set),
    }
}

/// `25%, at least 2, at most 8`.
fn change(scope: &mut Scope<'_>, node: &Node<'_>) -> Option<Change> {
    let amount = scope.amount(node.one(Rule::amount)?, "the change");
    let mut bound = |rule: Rule, what: &str| -> Option<Option<u32>> {
        let mut clamps = node.all(Rule::clamp).filter(|clamp| clamp.has(rule));
        let Some(clamp) = clamps.next() else { return Some(None) };
        if let Some(again) = clamps.next() {
            scope.report(Diagnostic::error("E0212", again.span(), format!("{what} is given twice")));
        }
        Some(Some(scope.servers(clamp.one(Rule::int_value)?, what, 1)?))
    };
    let (least, most) = (bound(Rule::kw_least, "`at least`"), bound(Rule::kw_most, "`at most`"));
    let (least, most) = (least?, most?);
    if let (Some(low), Some(high)) = (least, most)
        && low > high
    {
        scope.report(Diagnostic::error("E0302", node.span(), format!("at least {low} is more than at most {high}")));
    }
    Some(Change { amount: amount?, least, most })
}

/// The arms of `step`, in ascending order: every `below` under every `from`.
pub(super) fn arms(scope: &mut Scope<'_>, node: &Node<'_>, metric: Option<usize>) -> Option<Vec<Arm>> {
    let body = Body::of(node);
    let mut arms: Vec<Arm> = Vec::new();
    let mut whole = !body.torn;
    for (_, node) in body.all(Rule::step_arm) {
        match arm(scope, node, metric) {
            Some(arm) => {
                if let Some(before) = arms.last() {
                    in_order(scope, before, &arm);
                }
                arms.push(arm);
            }
            None => whole = false,
        }
    }
    if whole && arms.is_empty() {
        let error = Diagnostic::error("E0308", node.head().span(), "a `step` without arms does nothing");
        scope.report(error.help("write `from 80% add 1` or `below 20% remove 1` in it"));
    }
    whole.then_some(arms)
}

fn arm(scope: &mut Scope<'_>, node: &Node<'_>, metric: Option<usize>) -> Option<Arm> {
    let side = if node.has(Rule::kw_from) { Side::From } else { Side::Below };
    let bound = metric.and_then(|metric| scope.quantity(node.one(Rule::quantity)?, metric));
    let action = match (node.one(Rule::change_add), node.one(Rule::change_remove)) {
        (Some(add), _) => change(scope, add).map(Action::Add),
        (_, Some(remove)) => change(scope, remove).map(Action::Remove),
        _ => None,
    };
    let wrong = match (side, action) {
        (Side::Below, Some(Action::Add(_))) => {
            Some(("an arm `below` a bound that adds", "`below` removes, `from` adds"))
        }
        (Side::From, Some(Action::Remove(_))) => {
            Some(("an arm `from` a bound that removes", "`from` adds, `below` removes"))
        }
        _ => None,
    };
    if let Some((message, help)) = wrong {
        scope.report(Diagnostic::error("E0306", node.span(), message).help(help));
    }
    Some(Arm { side, bound: bound?, action: action?, span: node.span() })
}

fn in_order(scope: &mut Scope<'_>, before: &Arm, arm: &Arm) {
    let ascends = match (before.side, arm.side) {
        (Side::From, Side::Below) => false,
        // `below 40` and `from 40` share a bound and no value.
        (Side::Below, Side::From) => before.bound <= arm.bound,
        _ => before.bound < arm.bound,
    };
    if !ascends {
        let error =
            Diagnostic::error("E0306", arm.span, "the arms of a `step` are out of order").here("this one is not above");
        scope.report(
            error
                .also(before.span, "the one before it")
                .help("write `below` arms first, and every bound above the last"),
        );
    }
}

/// Reports an action that must not follow from this trigger.
pub(super) fn goes_with(scope: &mut Scope<'_>, trigger: &Trigger, action: Action, node: &Node<'_>) {
    let Trigger::When { condition, .. } = trigger else { return };
    if matches!(action, Action::Set(_) | Action::LowerTo(_)) {
        let word = if matches!(action, Action::Set(_)) { "set" } else { "lower to" };
        let error = Diagnostic::error("E0309", node.span(), format!("`{word}` under a condition"));
        scope.report(error.help(format!(
            "`{word}` goes with `cron`, `at`, `webhook` and `manual`; here write `remove` or `raise to`"
        )));
    }
    let grows = matches!(action, Action::Add(_) | Action::RaiseTo(_));
    let mut missing = None;
    let mut failing = None;
    search(condition, true, &mut |test, positive| match test {
        Condition::Missing(test) => missing = Some(test.span),
        Condition::Count(test)
            if test.counted == Counted::ServerFailed && positive == matches!(test.op, Op::Above | Op::AtLeast) =>
        {
            failing = Some(test.span);
        }
        _ => {}
    });
    if let Some(span) = missing.filter(|_| !grows) {
        let error =
            Diagnostic::error("E0307", span, "silence must never remove a server").also(node.span(), "this can");
        scope.report(error.help("`missing` goes with `add` and `raise to` only"));
    }
    if let Some(span) = failing.filter(|_| grows) {
        let error =
            Diagnostic::error("E0309", node.span(), "more servers because builds fail").also(span, "this asks for it");
        scope
            .report(error.note(
                "a cloud that cannot build is not helped by more to build; failed builds are tried again anyhow",
            ));
    }
}

/// Calls `visit` for every test in a condition, with whether it stands under an even number of `not`.
fn search(condition: &Condition, positive: bool, visit: &mut impl FnMut(&Condition, bool)) {
    match condition {
        Condition::All(parts) | Condition::Any(parts) => parts.iter().for_each(|part| search(part, positive, visit)),
        Condition::Not(part) => search(part, !positive, visit),
        test => visit(test, positive),
    }
}
