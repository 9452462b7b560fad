//! Scaling groups: bounds, timers, limits, windows, freezes, and the rules in them.

use crate::diagnostic::Diagnostic;
use crate::limits::{COOLDOWN_MAX, RULES_MAX, TIMER_MAX};
use crate::lower::overlap;
use crate::lower::recurrence::{recurrence, zone};
use crate::lower::rule::rule;
use crate::lower::scope::{Body, GroupNames, Scope};
use crate::lower::tight;
use crate::lower::value::{Length, string};
use crate::policy::{Blocks, Direction, Freeze, Group, Limit, Notify, NotifyOn, RemoveOrder, Window};
use crate::quantity::Millis;
use crate::schedule::Zone;
use crate::syntax::{Node, Rule};

/// The groups' names and what tests ask of them, read before anything that points into a group.
pub(super) fn names<'a>(scope: &mut Scope<'a>, body: &Body<'_, 'a>) -> Vec<GroupNames<'a>> {
    scope.unique("group", body.all(Rule::group_block).filter_map(|(_, node)| node.head().one(Rule::name)));
    let read = |(_, node): (&str, &Node<'a>)| {
        let body = Body::of(node);
        let name = name_of(node);
        let inner = |rule: Rule| body.all(rule).map(|(_, node)| name_of(node)).collect();
        GroupNames {
            name,
            rules: inner(Rule::rule_block),
            freezes: inner(Rule::freeze_block),
            zone: Zone::UTC,
            bounds: None,
        }
    };
    body.all(Rule::group_block).map(read).collect()
}

fn name_of<'a>(block: &Node<'a>) -> &'a str {
    block.head().one(Rule::name).map_or("", |name| name.text)
}

/// `group web { … }`.
pub(super) fn group<'a>(scope: &mut Scope<'a>, doc: &str, node: &Node<'a>) -> Option<Group> {
    let (body, head) = (Body::of(node), node.head());
    let name = head.one(Rule::name)?;
    for (kind, what) in [(Rule::rule_block, "rule"), (Rule::window_block, "window"), (Rule::freeze_block, "freeze")] {
        scope.unique(what, body.all(kind).filter_map(|(_, node)| node.head().one(Rule::name)));
    }
    let zone = body.single(scope, &[Rule::timezone_stmt]).and_then(|node| zone(scope, node)).unwrap_or(Zone::UTC);
    let region = body.required(scope, Rule::region_stmt, head, "region \"…\"").map(string);
    let capacity = body.required(scope, Rule::capacity_stmt, head, "capacity 1..10");
    let bounds = capacity.and_then(|node| bounds(scope, node));
    if let Some(known) = scope.groups.iter_mut().find(|group| group.name == name.text) {
        (known.zone, known.bounds) = (zone, bounds);
    }
    let launch = body.required(scope, Rule::launch_ref, head, "launch NAME").and_then(|node| launch_of(scope, node));
    let timer = |scope: &mut Scope<'a>, rule: Rule, bounds: Length| {
        let node = body.single(scope, &[rule])?;
        scope.length(node.one(Rule::dur_value)?, bounds)
    };
    let ready_within = timer(scope, Rule::ready_stmt, Length::some("`ready within`", TIMER_MAX));
    let drain = timer(scope, Rule::drain_stmt, Length::up_to("`drain`", TIMER_MAX));
    let cooldown = timer(scope, Rule::cooldown_stmt, Length::up_to("a cooldown", COOLDOWN_MAX));
    let warmup = timer(scope, Rule::warmup_stmt, Length::up_to("`warmup`", TIMER_MAX));
    let remove = match body.single(scope, &[Rule::order_stmt]) {
        Some(node) if node.has(Rule::kw_newest) => RemoveOrder::NewestFirst,
        _ => RemoveOrder::OldestFirst,
    };
    let notify = body.single(scope, &[Rule::notify_stmt]).and_then(|node| notify(scope, node));
    let limits = tight(body.all(Rule::limit_stmt).filter_map(|(_, node)| limit(scope, node)));
    let windows =
        tight(body.all(Rule::window_block).filter_map(|(_, node)| window(scope, node, zone, capacity, bounds)));
    if let Some((_, node)) = body.all(Rule::rule_block).nth(RULES_MAX) {
        scope.over(node.head().span(), format!("more than {RULES_MAX} rules in a group"));
    }
    webhooks_are_unique(scope, &body);
    overlap::check(scope, &windows);
    let rules =
        tight(body.all(Rule::rule_block).filter_map(|(doc, node)| rule(scope, doc, node, zone, capacity, bounds)));
    let freezes = tight(body.all(Rule::freeze_block).filter_map(|(_, node)| freeze(scope, node, zone, name.text)));
    let (min, max) = bounds?;
    Some(Group {
        name: name.text.to_owned(),
        doc: doc.to_owned(),
        region: region?,
        min,
        max,
        zone,
        launch: launch?,
        ready_within: ready_within.unwrap_or(Millis::minutes(30)),
        drain: drain.unwrap_or_default(),
        remove,
        notify,
        cooldown: cooldown.unwrap_or(Millis::minutes(5)),
        warmup: warmup.unwrap_or_default(),
        limits,
        windows,
        freezes,
        rules,
        span: name.span(),
    })
}

/// `capacity 3..24`.
fn bounds(scope: &mut Scope<'_>, node: &Node<'_>) -> Option<(u32, u32)> {
    let mut ends = node.all(Rule::int_value);
    let (low, high) = (ends.next()?, ends.next()?);
    let min = scope.servers(low, "the floor", 0);
    let max = scope.servers(high, "the ceiling", 0);
    let (min, max) = (min?, max?);
    if min > max {
        let message = format!("the floor {min} is above the ceiling {max}");
        let error = Diagnostic::error("E0302", node.span(), message);
        scope.report(error.help("write the smaller number first").fix(node.span(), format!("capacity {max}..{min}")));
        return None;
    }
    Some((min, max))
}

fn launch_of(scope: &mut Scope<'_>, node: &Node<'_>) -> Option<usize> {
    let name = node.one(Rule::name)?;
    let at = scope.launches.iter().position(|launch| launch.name == name.text);
    if at.is_none() {
        let known: Vec<String> = scope.launches.iter().map(|launch| launch.name.clone()).collect();
        scope.unknown("E0206", "launch configuration", name, &known.iter().map(String::as_str).collect::<Vec<_>>());
    }
    at
}

/// `notify "https://…" on ready, failed`.
fn notify(scope: &mut Scope<'_>, node: &Node<'_>) -> Option<Notify> {
    let text = node.one(Rule::string)?;
    let url = string(text);
    if !["https://", "http://"].iter().any(|scheme| url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty())) {
        let error = Diagnostic::error("E0314", text.span(), format!("`{url}` is not a URL to call"));
        scope.report(error.help("it begins with `https://`"));
    }
    let mut on: Vec<NotifyOn> = Vec::new();
    for word in node.all(Rule::notify_on) {
        let what = match word.text {
            "ready" => NotifyOn::Ready,
            "failed" => NotifyOn::Failed,
            "removed" => NotifyOn::Removed,
            _ => NotifyOn::Lost,
        };
        if on.contains(&what) {
            scope.report(Diagnostic::error("E0212", word.span(), format!("`{}` is given twice", word.text)));
        } else {
            on.push(what);
        }
    }
    Some(Notify { url, on })
}

/// `limit add 12 per 10m`.
fn limit(scope: &mut Scope<'_>, node: &Node<'_>) -> Option<Limit> {
    let direction = if node.has(Rule::kw_add) { Direction::Add } else { Direction::Remove };
    let amount = scope.amount(node.one(Rule::amount)?, "a limit");
    let per = scope.length(node.one(Rule::dur_value)?, Length::some("`per`", TIMER_MAX));
    Some(Limit { direction, amount: amount?, per: per? })
}

/// `window business_hours { … }`.
fn window(
    scope: &mut Scope<'_>,
    node: &Node<'_>,
    zone: Zone,
    group: Option<&Node<'_>>,
    of_group: Option<(u32, u32)>,
) -> Option<Window> {
    let (body, head) = (Body::of(node), node.head());
    let when = recurrence(scope, &body, head.span(), zone);
    let capacity = body.required(scope, Rule::capacity_stmt, head, "capacity 1..10")?;
    let (min, max) = bounds(scope, capacity)?;
    if let (Some(group), Some((floor, ceiling))) = (group, of_group)
        && (min > ceiling || max < floor)
    {
        let message = format!("{min}..{max} and the group's {floor}..{ceiling} have no size in common");
        scope.report(Diagnostic::error("E0302", capacity.span(), message).also(group.span(), "the group's bounds"));
    }
    let name = head.one(Rule::name)?;
    Some(Window { name: name.text.to_owned(), when: when?, min, max, span: name.span() })
}

/// `freeze patch_night { … }`.
fn freeze(scope: &mut Scope<'_>, node: &Node<'_>, zone: Zone, group: &str) -> Option<Freeze> {
    let (body, head) = (Body::of(node), node.head());
    let when = recurrence(scope, &body, head.span(), zone);
    let blocks = body.required(scope, Rule::blocks_stmt, head, "blocks all").map(|node| {
        let only = |rule: Rule, direction| node.has(rule).then_some(Blocks::Only(direction));
        only(Rule::kw_add, Direction::Add).or(only(Rule::kw_remove, Direction::Remove)).unwrap_or(Blocks::All)
    });
    let mut except = Vec::new();
    if let Some(list) = body.single(scope, &[Rule::except_stmt]) {
        scope.unique("exception", list.all(Rule::name));
        except.extend(list.all(Rule::name).filter_map(|name| rule_index(scope, group, name)));
    }
    let name = head.one(Rule::name)?;
    Some(Freeze { name: name.text.to_owned(), when: when?, blocks: blocks?, except, span: name.span() })
}

/// The index of a rule in a group, by name.
pub(super) fn rule_index(scope: &mut Scope<'_>, group: &str, name: &Node<'_>) -> Option<usize> {
    let rules = scope.groups.iter().find(|known| known.name == group).map(|known| known.rules.clone())?;
    let at = rules.iter().position(|rule| *rule == name.text);
    if at.is_none() {
        scope.unknown("E0204", "rule", name, &rules);
    }
    at
}

/// A capability names its rule, so two rules of a group cannot share one.
fn webhooks_are_unique<'a>(scope: &mut Scope<'a>, body: &Body<'_, 'a>) {
    let mut texts: Vec<Node<'a>> = Vec::new();
    for (_, rule) in body.all(Rule::rule_block) {
        let hooks = Body::of(rule);
        texts.extend(hooks.all(Rule::webhook_stmt).filter_map(|(_, node)| node.one(Rule::string)).cloned());
    }
    scope.unique("webhook", texts.iter());
}
