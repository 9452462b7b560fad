//! Rules: one trigger, one action, and what may stand beside them.

use crate::diagnostic::Diagnostic;
use crate::limits::{COOLDOWN_MAX, TIMER_MAX};
use crate::lower::action::{action, arms, goes_with};
use crate::lower::condition::{aggregate, condition};
use crate::lower::recurrence::{cron, instant};
use crate::lower::scope::{Body, Scope};
use crate::lower::value::{Length, string};
use crate::policy::{Action, Rule as Lowered, Trigger};
use crate::quantity::{Millis, Percent};
use crate::schedule::Zone;
use crate::syntax::{Node, Rule};

const TRIGGERS: [Rule; 7] = [
    Rule::when_stmt,
    Rule::step_block,
    Rule::track_stmt,
    Rule::cron_stmt,
    Rule::at_stmt,
    Rule::webhook_stmt,
    Rule::manual_stmt,
];
const ACTIONS: [Rule; 5] = [Rule::add_stmt, Rule::remove_stmt, Rule::raise_stmt, Rule::lower_stmt, Rule::set_stmt];

/// A schedule found late by at most this still fires (rule 14).
const LATE_BY: Millis = Millis::minutes(10);
/// The tolerance of `track` that does not name one (rule 12).
const WITHIN: Percent = Percent(10_000);

/// `rule cpu { … }` of a group with these bounds.
pub(super) fn rule<'a>(
    scope: &mut Scope<'a>,
    doc: &str,
    node: &Node<'a>,
    zone: Zone,
    capacity: Option<&Node<'a>>,
    bounds: Option<(u32, u32)>,
) -> Option<Lowered> {
    let (body, name) = (Body::of(node), node.head().one(Rule::name)?);
    let of = |rules: &[Rule]| -> Vec<&Node<'a>> {
        body.statements.iter().map(|(_, node)| *node).filter(|node| rules.contains(&node.rule)).collect()
    };
    let (triggers, actions) = (of(&TRIGGERS), of(&ACTIONS));
    let one_each = one_each(scope, &body, name, &triggers, &actions);
    let lowered: Vec<_> = triggers.iter().map(|node| trigger(scope, node, zone)).collect();
    let acts: Vec<_> = actions.iter().map(|node| action(scope, node)).collect();
    beside(scope, &body, triggers.first().copied());
    let timer = |scope: &mut Scope<'a>, rule: Rule, bounds: Length| {
        let node = body.single(scope, &[rule])?;
        scope.length(node.one(Rule::dur_value)?, bounds)
    };
    let cooldown = timer(scope, Rule::cooldown_stmt, Length::up_to("a cooldown", COOLDOWN_MAX));
    let stabilize = timer(scope, Rule::stabilize_stmt, Length::some("`stabilize`", TIMER_MAX));
    let late_by = timer(scope, Rule::late_stmt, Length::up_to("`late by`", TIMER_MAX));
    let observe = body.single(scope, &[Rule::observe_stmt]).is_some();
    let forceable = body.single(scope, &[Rule::no_force_stmt]).is_none();
    let act = acts.first().copied();
    if let (Some(Some(Action::Set(size))), [node, ..], Some((min, max)), Some(capacity)) =
        (act, &actions[..], bounds, capacity)
        && !(min..=max).contains(&size)
    {
        let message = format!("`set {size}` is outside of {min}..{max}");
        scope.report(Diagnostic::error("E0302", node.span(), message).also(capacity.span(), "the group's bounds"));
    }
    if !one_each {
        return None;
    }
    let trigger = lowered.into_iter().next()??;
    if let (Some(Some(action)), [node, ..]) = (act, &actions[..]) {
        goes_with(scope, &trigger, action, node);
    }
    let action = match act {
        None => None,
        Some(lowered) => Some(lowered?),
    };
    Some(Lowered {
        name: name.text.to_owned(),
        doc: doc.to_owned(),
        trigger,
        add_only: body.all(Rule::add_only).next().is_some(),
        action,
        cooldown,
        stabilize,
        late_by: late_by.unwrap_or(LATE_BY),
        observe,
        forceable,
        span: name.span(),
        meaning: meaning(scope, triggers.iter().chain(&actions)),
    })
}

/// Whether a rule has one trigger and one action; `step` and `track` are both.
fn one_each(
    scope: &mut Scope<'_>,
    body: &Body<'_, '_>,
    name: &Node<'_>,
    triggers: &[&Node<'_>],
    actions: &[&Node<'_>],
) -> bool {
    let mut two = |what: &str, first: &Node<'_>, second: &Node<'_>| {
        let message = format!("the rule `{}` has two {what}", name.text);
        let (first, second) = (first.head_span(), second.head_span());
        let error = Diagnostic::error("E0308", second, message).here("the second").also(first, "the first");
        scope.report(error.help("write a rule for each"));
    };
    let acting = triggers.iter().copied().find(|node| matches!(node.rule, Rule::step_block | Rule::track_stmt));
    let mut well = true;
    if let [first, second, ..] = triggers {
        two("triggers", first, second);
        well = false;
    }
    let second = match (acting, actions) {
        (Some(first), [second, ..]) => Some((first, *second)),
        (None, [first, second, ..]) => Some((*first, *second)),
        _ => None,
    };
    if let Some((first, second)) = second {
        two("actions", first, second);
        well = false;
    }
    let mut absent = |what: &str, help: &str| {
        if !body.torn {
            let error = Diagnostic::error("E0308", name.span(), format!("the rule `{}` has no {what}", name.text));
            scope.report(error.help(help));
        }
        well = false;
    };
    if triggers.is_empty() {
        absent("trigger", "begin it with `when`, `step`, `track`, `cron`, `at`, `webhook` or `manual`");
    }
    if acting.is_none() && actions.is_empty() {
        absent("action", "say `add`, `remove`, `raise to`, `lower to` or `set`");
    }
    well
}

/// Reports statements that mean nothing beside this trigger.
fn beside(scope: &mut Scope<'_>, body: &Body<'_, '_>, trigger: Option<&Node<'_>>) {
    let Some(trigger) = trigger else { return };
    let fits: [(Rule, &[Rule], &str); 4] = [
        (Rule::add_only, &[Rule::track_stmt], "`add only` goes with `track`"),
        (Rule::stabilize_stmt, &[Rule::track_stmt, Rule::step_block], "`stabilize` goes with `step` and `track`"),
        (Rule::late_stmt, &[Rule::cron_stmt, Rule::at_stmt], "`late by` goes with `cron` and `at`"),
        (
            Rule::no_force_stmt,
            &[Rule::when_stmt, Rule::step_block, Rule::track_stmt, Rule::cron_stmt, Rule::at_stmt, Rule::webhook_stmt],
            "a `manual` rule is only ever forced",
        ),
    ];
    for (statement, triggers, message) in fits {
        if let Some((_, node)) = body.all(statement).next()
            && !triggers.contains(&trigger.rule)
        {
            let error =
                Diagnostic::error("E0316", node.span(), message).also(trigger.head_span(), "the trigger of this rule");
            scope.report(error.help("leave it out"));
        }
    }
    body.single(scope, &[Rule::add_only]);
}

fn trigger<'a>(scope: &mut Scope<'a>, node: &Node<'a>, zone: Zone) -> Option<Trigger> {
    let hold = |scope: &mut Scope<'a>, node: &Node<'a>| -> Option<Option<Millis>> {
        let Some(clause) = node.one(Rule::for_clause) else { return Some(None) };
        Some(Some(scope.length(clause.one(Rule::dur_value)?, Length::some("`for`", TIMER_MAX))?))
    };
    match node.rule {
        Rule::when_stmt => {
            let condition = condition(scope, node.one(Rule::condition)?, node.one(Rule::for_clause));
            let hold = hold(scope, node);
            Some(Trigger::When { condition: condition?, hold: hold? })
        }
        Rule::step_block => {
            let aggregate = aggregate(scope, node.head().one(Rule::aggregate)?);
            let hold = hold(scope, node.head());
            let arms = arms(scope, node, aggregate.map(|aggregate| aggregate.metric));
            Some(Trigger::Step { aggregate: aggregate?, hold: hold?, arms: arms? })
        }
        Rule::track_stmt => {
            let aggregate = aggregate(scope, node.one(Rule::aggregate)?);
            let within = match node.one(Rule::percent_value) {
                None => Some(WITHIN),
                Some(value) => scope.percent(value),
            };
            let (aggregate, value) = (aggregate?, node.one(Rule::quantity)?);
            let goal = scope.quantity(value, aggregate.metric)?;
            if goal.0 <= 0 {
                scope.report(Diagnostic::error("E0314", value.span(), "a goal of nothing: no size would reach it"));
            }
            Some(Trigger::Track { aggregate, goal, within: within? })
        }
        Rule::cron_stmt => cron(scope, node, zone).map(|(cron, zone)| Trigger::Cron { cron, zone }),
        Rule::at_stmt => instant(scope, node, zone).map(|at_ms| Trigger::At { at_ms }),
        Rule::webhook_stmt => Some(Trigger::Webhook { name: string(node) }),
        _ => Some(Trigger::Manual),
    }
}

/// The text of trigger and action with white space folded and constants replaced by what they stand for: it changes
/// when what the rule does may have changed, and not for a comment or a line break (rule 20).
fn meaning<'n, 'a: 'n>(scope: &Scope<'a>, nodes: impl Iterator<Item = &'n &'n Node<'a>>) -> String {
    let mut words: Vec<&str> = Vec::new();
    for node in nodes {
        // Every word and sign of the language is a leaf of the tree; comments and blanks are not.
        node.leaves(&mut |leaf| {
            let constant = scope.constants.get(leaf.text).filter(|_| leaf.rule == Rule::const_ref);
            words.push(constant.map_or(leaf.text, |constant| constant.text));
        });
    }
    words.join(" ")
}

impl Node<'_> {
    /// The span of a statement, of a block's first line only.
    fn head_span(&self) -> crate::policy::Span {
        if self.kids.iter().any(|kid| kid.rule.is_body()) { self.head().span() } else { self.span() }
    }
}
