//! Test blocks: what is given, what happens, what must come of it (rule 23).

use crate::diagnostic::Diagnostic;
use crate::limits::{TEST_EVENTS_MAX, TEST_SPAN_MAX};
use crate::lower::condition::state;
use crate::lower::group::rule_index;
use crate::lower::recurrence::instant;
use crate::lower::scope::{Body, Scope};
use crate::lower::value::{Length, string};
use crate::policy::{Expect, Expected, Input, Moment, Series, Test};
use crate::quantity::Millis;
use crate::schedule::Zone;
use crate::syntax::{Node, Rule, span};

/// The guards a test may name, beside `freeze NAME`.
pub(super) const GUARDS: [&str; 11] = [
    "pause",
    "kill_switch",
    "degraded",
    "cooldown",
    "stabilize",
    "limit",
    "quota",
    "capacity",
    "unknown",
    "building",
    "late",
];

/// `test "…" for web { … }`.
pub(super) fn test(scope: &mut Scope<'_>, node: &Node<'_>) -> Option<Test> {
    let (body, head) = (Body::of(node), node.head());
    let target = head.one(Rule::name)?;
    let group = scope.groups.iter().position(|group| group.name == target.text);
    if group.is_none() {
        let known: Vec<&str> = scope.groups.iter().map(|group| group.name).collect();
        scope.unknown("E0205", "group", target, &known);
    }
    let (zone, bounds) =
        group.and_then(|at| scope.groups.get(at)).map_or((Zone::UTC, None), |group| (group.zone, group.bounds));
    let start = body.required(scope, Rule::start_stmt, head, "start 2026-11-24T22:00:00Z");
    let start_ms = start.and_then(|node| instant(scope, node, zone));
    let size = size(scope, &body, bounds);
    let series: Vec<_> = body.all(Rule::given_series).map(|(_, node)| series(scope, node, size)).collect();
    let mut inputs = Vec::new();
    let mut expects = Vec::new();
    let mut whole = true;
    for (_, node) in &body.statements {
        match node.rule {
            Rule::event_input
            | Rule::alarm_input
            | Rule::call_input
            | Rule::force_input
            | Rule::pause_input
            | Rule::resume_input => match group.and_then(|_| input(scope, target.text, node)) {
                Some(input) => inputs.push(input),
                None => whole = false,
            },
            Rule::expect_stmt => match group.and_then(|_| expect(scope, target.text, node)) {
                Some(expect) => expects.push(expect),
                None => whole = false,
            },
            _ => {}
        }
    }
    if expects.is_empty() && whole && !body.torn {
        let error = Diagnostic::error("E0313", head.span(), "a test that expects nothing");
        scope.report(error.help("write `expect no action`, if that is meant"));
    }
    let title = head.one(Rule::string)?;
    Some(Test {
        name: string(title),
        group: group?,
        start_ms: start_ms?,
        size: size?,
        series: series.into_iter().collect::<Option<_>>()?,
        inputs,
        expects: Some(expects).filter(|_| whole)?,
        span: title.span(),
    })
}

/// The size at the start: the one given, else the group's floor.
fn size(scope: &mut Scope<'_>, body: &Body<'_, '_>, bounds: Option<(u32, u32)>) -> Option<u32> {
    let Some(node) = body.single(scope, &[Rule::given_size]) else {
        return bounds.map(|(min, _)| min);
    };
    let size = scope.servers(node.one(Rule::int_value)?, "the size", 0)?;
    if let Some((min, max)) = bounds.filter(|(min, max)| !(min..=max).contains(&&size)) {
        let message = format!("a size of {size} is outside of the group's {min}..{max}");
        scope.report(Diagnostic::error("E0302", node.span(), message));
        return None;
    }
    Some(size)
}

/// `given cpu.usage 60% for 5m, missing for 15m on server 2`.
fn series(scope: &mut Scope<'_>, node: &Node<'_>, size: Option<u32>) -> Option<Series> {
    let metric = scope.metric(node.one(Rule::path)?)?;
    let mut pieces = Vec::new();
    let mut total = Millis(0);
    for piece in node.all(Rule::piece) {
        let value = match piece.one(Rule::quantity) {
            None => None,
            Some(value) => Some(scope.quantity(value, metric)?),
        };
        let length = scope.length(piece.one(Rule::dur_value)?, Length::some("a piece", TEST_SPAN_MAX))?;
        total = Millis(total.0.saturating_add(length.0));
        pieces.push((value, length));
    }
    if total > TEST_SPAN_MAX {
        scope.over(node.span(), format!("a series of {total} is longer than {TEST_SPAN_MAX}"));
    }
    let mut server = None;
    if let Some(clause) = node.one(Rule::on_server) {
        if let Some(declared) = scope.metrics.get(metric).filter(|metric| metric.shared) {
            let error = Diagnostic::error(
                "E0312",
                clause.span(),
                format!("`{}` is the tenant's, not a server's", declared.name),
            );
            let error = error.also(declared.span, "it is `shared`").help("leave out the server");
            scope.report(error);
        }
        server = Some(scope.whole(clause.one(Rule::int_value)?, "the server", 1, size.unwrap_or(u32::MAX).max(1))?);
    }
    Some(Series { metric, server, pieces, span: node.span() })
}

/// A line that makes something happen.
fn input(scope: &mut Scope<'_>, group: &str, node: &Node<'_>) -> Option<(Millis, Input)> {
    let at = scope.length(node.one(Rule::at_offset)?.one(Rule::dur_value)?, Length::up_to("an offset", TEST_SPAN_MAX));
    let input = match node.rule {
        Rule::event_input => {
            let counted = scope.counted(node.one(Rule::path)?);
            let times = match node.one(Rule::times) {
                None => 1,
                Some(times) => {
                    let number = times.text.trim_start_matches('x').parse::<u32>().unwrap_or(u32::MAX);
                    if number == 0 || number > TEST_EVENTS_MAX {
                        scope.over(times.span(), format!("an event comes 1 to {TEST_EVENTS_MAX} times"));
                    }
                    number
                }
            };
            Input::Event { counted: counted?, times }
        }
        Rule::alarm_input => {
            let alarm = scope.alarm(node.one(Rule::name)?)?;
            let clause = node.one(Rule::on_servers);
            if let (Some(clause), Some(declared)) = (clause, scope.alarms.get(alarm).filter(|alarm| alarm.shared)) {
                let message = format!("`{}` is the tenant's, not a server's", declared.name);
                let error = Diagnostic::error("E0312", clause.span(), message).also(declared.span, "it is `shared`");
                scope.report(error.help("leave out the number of servers"));
            }
            let servers = match clause {
                None => 1,
                Some(clause) => scope.servers(clause.one(Rule::int_value)?, "an alarm", 1)?,
            };
            Input::Alarm { alarm, state: state(node.one(Rule::state)?), servers }
        }
        Rule::call_input => Input::Call(rule_index(scope, group, node.one(Rule::name)?)?),
        Rule::force_input => Input::Force(rule_index(scope, group, node.one(Rule::name)?)?),
        Rule::pause_input => Input::Pause,
        _ => Input::Resume,
    };
    Some((at?, input))
}

/// `expect …`.
fn expect(scope: &mut Scope<'_>, group: &str, node: &Node<'_>) -> Option<Expect> {
    let inner = node.kids.iter().find(|kid| kid.rule != Rule::kw_expect)?;
    let when = match inner.one(Rule::moment) {
        None => Some(Moment::Throughout),
        Some(clause) => {
            let offset = scope.length(clause.one(Rule::dur_value)?, Length::up_to("an offset", TEST_SPAN_MAX));
            offset.map(|at| if clause.has(Rule::kw_at) { Moment::At(at) } else { Moment::After(at) })
        }
    };
    let what = match inner.rule {
        Rule::exp_none => Expected::NoAction,
        Rule::exp_size => Expected::Size(scope.servers(inner.one(Rule::int_value)?, "the size", 0)?),
        _ => {
            let rule = rule_index(scope, group, inner.one(Rule::name)?);
            match inner.one(Rule::exp_blocked) {
                Some(blocked) => {
                    let (guard, freeze) = guard(scope, group, blocked)?;
                    Expected::Blocked { rule: rule?, guard, freeze }
                }
                None => act(scope, inner.one(Rule::exp_act)?, rule)?,
            }
        }
    };
    Some(Expect { what, when: when?, span: node.span() })
}

/// `adds 2`, `raises to 5`.
fn act(scope: &mut Scope<'_>, node: &Node<'_>, rule: Option<usize>) -> Option<Expected> {
    let number = scope.servers(node.one(Rule::int_value)?, "the change", 0);
    let make = match node.kids.first()?.rule {
        Rule::kw_adds => Expected::Adds,
        Rule::kw_removes => Expected::Removes,
        Rule::kw_raises => Expected::RaisesTo,
        Rule::kw_lowers => Expected::LowersTo,
        _ => Expected::Sets,
    };
    Some(make(rule?, number?))
}

/// `blocked by freeze patch_night`: the guard's name and the freeze's.
fn guard(scope: &mut Scope<'_>, group: &str, node: &Node<'_>) -> Option<(String, Option<String>)> {
    if let Some(name) = node.one(Rule::name) {
        let known = scope.groups.iter().find(|known| known.name == group).map(|known| known.freezes.clone())?;
        if !known.contains(&name.text) {
            scope.unknown("E0209", "freeze", name, &known);
            return None;
        }
        return Some(("freeze".to_owned(), Some(name.text.to_owned())));
    }
    let word = node.one(Rule::guard)?;
    if word.text == "freeze" {
        let end = span(word.start, word.start + word.text.len());
        scope.report(Diagnostic::error("E0210", end, "which freeze?").help("write its name behind it"));
        return None;
    }
    if !GUARDS.contains(&word.text) {
        scope.unknown("E0210", "guard", word, &GUARDS);
        return None;
    }
    Some((word.text.to_owned(), None))
}
