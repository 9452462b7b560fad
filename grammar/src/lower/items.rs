//! The declarations of a file: edition, constants, metrics, alarms, events.

use crate::diagnostic::Diagnostic;
use crate::limits::{EVERY_MAX, EVERY_MIN, STALE_MAX};
use crate::lower::scope::{Body, Constant, Scope};
use crate::lower::value::{Length, Literal, string};
use crate::policy::{Alarm, EventType, Metric, MetricSource, Unit};
use crate::quantity::Millis;
use crate::syntax::{Node, Rule, span};

/// The one edition there is.
const EDITION: u16 = 2026;

/// The edition, which is the first statement of a file.
pub(super) fn edition(scope: &mut Scope<'_>, body: &Body<'_, '_>) -> u16 {
    let Some(node) = body.single(scope, &[Rule::edition_decl]) else {
        if !scope.is_torn("edition") {
            let first = body.statements.first().map_or(span(0, 0), |(_, node)| span(node.start, node.start));
            let error = Diagnostic::error("E0106", first, "the file does not say its edition");
            scope.report(
                error.help(format!("begin it with `edition {EDITION}`")).fix(first, format!("edition {EDITION}\n\n")),
            );
        }
        return EDITION;
    };
    if body.statements.first().is_some_and(|(_, first)| first.start != node.start && first.rule != Rule::bad_line) {
        scope.report(
            Diagnostic::error("E0106", node.span(), "the edition stands after another statement")
                .help("make it the first"),
        );
    }
    if let Some(year) = node.one(Rule::year).filter(|year| year.text != EDITION.to_string()) {
        let error = Diagnostic::error("E0106", year.span(), format!("there is no edition {}", year.text));
        scope.report(error.help(format!("write `edition {EDITION}`")).fix(year.span(), EDITION.to_string()));
    }
    EDITION
}

/// `let peak_floor = 8`.
pub(super) fn constants<'a>(scope: &mut Scope<'a>, body: &Body<'_, 'a>) {
    scope.unique("constant", names(body, Rule::let_decl, Rule::name));
    for (_, node) in body.all(Rule::let_decl) {
        let (Some(name), Some(value)) =
            (node.one(Rule::name), node.one(Rule::literal).and_then(|node| node.kids.first()))
        else {
            continue;
        };
        let literal = Literal::read(value);
        if literal.is_none() {
            scope.report(Diagnostic::error("E0314", value.span(), format!("`{}` is out of range", value.text)));
        }
        if literal == Some(Literal::Time) {
            let error = Diagnostic::error("E0301", value.span(), "a constant cannot be a time");
            scope.report(error.help("write the time where it is used; there it has a zone"));
        }
        let literal = literal.unwrap_or(Literal::Time);
        scope.constants.entry(name.text).or_insert(Constant { literal, text: value.text, span: name.span() });
    }
}

/// `metric cpu.usage: percent every 1m`.
pub(super) fn metrics<'a>(scope: &mut Scope<'a>, body: &Body<'_, 'a>) -> Vec<Metric> {
    scope.unique("metric", names(body, Rule::metric_decl, Rule::path));
    body.all(Rule::metric_decl).map(|(_, node)| metric(scope, node)).collect()
}

fn metric(scope: &mut Scope<'_>, node: &Node<'_>) -> Metric {
    let name = text(node, Rule::path);
    let unit = node.one(Rule::unit).map_or(Unit::Number, |unit| match unit.text {
        "percent" => Unit::Percent,
        "duration" => Unit::Duration,
        "bytes" => Unit::Bytes,
        _ => Unit::Number,
    });
    let bounds = Length { what: "a period", least: EVERY_MIN, most: EVERY_MAX };
    let every = node.one(Rule::dur_value).and_then(|value| scope.length(value, bounds)).unwrap_or(Millis::MINUTE);
    let source = node.one(Rule::source).map(|source| {
        let mut texts = source.all(Rule::string).map(string);
        MetricSource { name: texts.next().unwrap_or_default(), query: texts.next().unwrap_or_default() }
    });
    let from = match &source {
        // Its samples are known by what was asked, so that two files may call two questions by one name.
        Some(MetricSource { name, query }) => format!("{name}: {query}"),
        None => node.one(Rule::string).map_or_else(|| name.clone(), string),
    };
    Metric { name, from, unit, every, shared: node.has(Rule::kw_shared), source, span: node.span() }
}

/// `alarm web_5xx: from "web-5xx" stale after 1h`.
pub(super) fn alarms<'a>(scope: &mut Scope<'a>, body: &Body<'_, 'a>) -> Vec<Alarm> {
    scope.unique("alarm", names(body, Rule::alarm_decl, Rule::name));
    let alarm = |(_, node): (&str, &Node<'_>)| {
        let name = text(node, Rule::name);
        let stale_after =
            node.one(Rule::dur_value).and_then(|value| scope.length(value, Length::some("`stale after`", STALE_MAX)));
        let from = node.one(Rule::string).map_or_else(|| name.clone(), string);
        Alarm { name, from, shared: node.has(Rule::kw_shared), stale_after, span: node.span() }
    };
    body.all(Rule::alarm_decl).map(alarm).collect()
}

/// `event deploy.done: from "com.example.deploy.done"`.
pub(super) fn events<'a>(scope: &mut Scope<'a>, body: &Body<'_, 'a>) -> Vec<EventType> {
    scope.unique("event", names(body, Rule::event_decl, Rule::path));
    let event = |(_, node): (&str, &Node<'_>)| {
        let name = text(node, Rule::path);
        if name.starts_with("server.") {
            // Rule 7: those come from the ledger, and a customer's event must not pass for one.
            let message = format!("`{name}`: events that begin with `server.` come from the ledger");
            scope.report(Diagnostic::error("E0211", node.span(), message).help("another first word will do"));
        }
        let from = node.one(Rule::string).map_or_else(|| name.clone(), string);
        EventType { name, from, span: node.span() }
    };
    body.all(Rule::event_decl).map(event).collect()
}

/// The nodes of the names that a kind of statement declares.
fn names<'b, 'n, 'a: 'n>(
    body: &'b Body<'n, 'a>,
    statement: Rule,
    part: Rule,
) -> impl Iterator<Item = &'n Node<'a>> + 'b {
    body.all(statement).filter_map(move |(_, node)| node.one(part))
}

fn text(node: &Node<'_>, rule: Rule) -> String {
    node.one(rule).map(|name| name.text.to_owned()).unwrap_or_default()
}
