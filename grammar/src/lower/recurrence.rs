//! When windows, freezes and schedules are due: cron expressions, local times and their zones.

use crate::diagnostic::Diagnostic;
use crate::limits::LASTING_MAX;
use crate::lower::scope::{Body, Scope};
use crate::lower::value::{Length, string};
use crate::policy::{Recurrence, Span};
use crate::schedule::{Cron, LocalTime, Zone, local_to_instant};
use crate::syntax::{Node, Rule};
use crate::vocabulary::nearest;
use chrono::{DateTime, NaiveDateTime};

/// The zone a text names.
pub(super) fn zone(scope: &mut Scope<'_>, node: &Node<'_>) -> Option<Zone> {
    let text = node.one(Rule::string).unwrap_or(node);
    let name = string(text);
    let zone = Zone::parse(&name);
    if zone.is_none() {
        let error = Diagnostic::error("E0207", text.span(), format!("unknown time zone `{name}`"));
        scope.report(match nearest(&name, Zone::names()) {
            Some(near) => error.help(format!("did you mean `{near}`?")).fix(text.span(), format!("\"{near}\"")),
            None => error.help("write the name of a place in the time zone database, such as `Europe/London`"),
        });
    }
    zone
}

/// The zone of a schedule: the one it names, else the group's.
fn zone_of(scope: &mut Scope<'_>, node: &Node<'_>, group: Zone) -> Zone {
    let mut named = node.all(Rule::zone_clause);
    let zone = named.next().and_then(|clause| zone(scope, clause)).unwrap_or(group);
    if let Some(again) = named.next() {
        scope.report(Diagnostic::error("E0212", again.span(), "`in` is given twice"));
    }
    zone
}

/// A cron expression and its zone.
pub(super) fn cron(scope: &mut Scope<'_>, node: &Node<'_>, group: Zone) -> Option<(Cron, Zone)> {
    let zone = zone_of(scope, node, group);
    let text = node.one(Rule::string)?;
    match Cron::parse(&string(text)) {
        Ok(cron) => Some((cron, zone)),
        Err(error) => {
            scope.report(Diagnostic::error("E0305", text.span(), error.to_string()));
            None
        }
    }
}

/// A time as epoch milliseconds: one with an offset as it stands, a local one in its zone.
pub(super) fn instant(scope: &mut Scope<'_>, node: &Node<'_>, group: Zone) -> Option<i64> {
    let zone = zone_of(scope, node, group);
    let stamp = node.one(Rule::timestamp)?;
    if let Some(at_ms) = with_offset(stamp.text) {
        if let Some(clause) = node.one(Rule::zone_clause) {
            let error = Diagnostic::error("E0315", clause.span(), "a zone beside a time that says its offset");
            scope.report(error.help("leave out one of the two"));
        }
        return Some(at_ms);
    }
    let Some(local) = local(stamp.text) else {
        let error = Diagnostic::error("E0315", stamp.span(), format!("there is no such time as `{}`", stamp.text));
        scope.report(error);
        return None;
    };
    match local_to_instant(zone, local) {
        LocalTime::Once(at_ms) => Some(at_ms),
        LocalTime::Twice(first, _) => {
            let message = format!("`{}` comes twice in this zone, when its clocks go back", stamp.text);
            let warning = Diagnostic::warning("W0411", stamp.span(), message).note("the first of the two is meant");
            scope.report(warning.help("write the offset to choose, such as `+01:00`"));
            Some(first)
        }
        LocalTime::Never => {
            let message = format!("`{}` does not exist in this zone: its clocks skip it", stamp.text);
            scope.report(Diagnostic::error("E0315", stamp.span(), message));
            None
        }
    }
}

/// `2026-11-24T22:00Z` or with `+01:00`, seconds or not.
fn with_offset(text: &str) -> Option<i64> {
    let time = text.get(11..)?;
    let sign = time.find(['Z', '+', '-'])?;
    let seconds = if sign == 5 { ":00" } else { "" };
    let full = format!("{}{seconds}{}", text.get(..11 + sign)?, time.get(sign..)?);
    DateTime::parse_from_rfc3339(&full).ok().map(|instant| instant.timestamp_millis())
}

/// `2026-11-27T06:00`, seconds or not.
fn local(text: &str) -> Option<NaiveDateTime> {
    ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M"].iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
}

/// When a window or freeze holds; exactly one statement says so.
pub(super) fn recurrence(scope: &mut Scope<'_>, body: &Body<'_, '_>, head: Span, group: Zone) -> Option<Recurrence> {
    let Some(node) = body.single(scope, &[Rule::span_cron, Rule::span_once]) else {
        if !body.torn {
            let error = Diagnostic::error("E0313", head, "nothing says when this holds");
            scope.report(error.help("write `cron \"…\" lasting 1h` or `at 2026-11-27T06:00 lasting 1h` in it"));
        }
        return None;
    };
    let lasting =
        node.one(Rule::dur_value).and_then(|value| scope.length(value, Length::some("`lasting`", LASTING_MAX)));
    if node.rule == Rule::span_cron {
        let (cron, zone) = cron(scope, node, group)?;
        return Some(Recurrence::Cron { cron, zone, lasting: lasting? });
    }
    Some(Recurrence::Once { at_ms: instant(scope, node, group)?, lasting: lasting? })
}
