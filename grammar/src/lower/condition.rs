//! Conditions: predicates joined by `and` or by `or`, never by both without parentheses.

use crate::diagnostic::Diagnostic;
use crate::limits::{COUNT_WINDOW_MAX, PERCENTILE_WINDOW_MAX, PREDICATES_MAX, TIMER_MAX, WINDOW_MAX};
use crate::lower::scope::Scope;
use crate::lower::value::Length;
use crate::policy::{
    Aggregate, AlarmState, AlarmTest, Amount, Comparison, Condition, CountTest, Func, MissingTest, Op, Quorum,
};
use crate::quantity::Percent;
use crate::syntax::{Node, Rule, span};

const PREDICATES: [Rule; 4] = [Rule::comparison, Rule::alarm_test, Rule::count_test, Rule::missing_test];

/// The condition of `when`, with the `for` behind it.
pub(super) fn condition(scope: &mut Scope<'_>, node: &Node<'_>, hold: Option<&Node<'_>>) -> Option<Condition> {
    let mut count = 0;
    let mut one_too_many = None;
    node.walk(&mut |part| {
        if PREDICATES.contains(&part.rule) {
            count += 1;
            if count == PREDICATES_MAX + 1 {
                one_too_many = Some(part.span());
            }
        }
    });
    if let Some(span) = one_too_many {
        scope.over(span, format!("{count} predicates in a condition, more than {PREDICATES_MAX}"));
    }
    if let Some(clause) = hold
        && node.all(Rule::predicate).count() > 1
        && !is_mixed(node)
    {
        let fixed = format!("({})", node.text);
        let error = Diagnostic::error("E0108", clause.span(), "`for` after more than one test, without parentheses")
            .here("for all of them, or for the last?");
        scope.report(
            error
                .also(node.span(), "this is more than one test")
                .help("put all of it in parentheses")
                .fix(node.span(), fixed),
        );
    }
    all_of(scope, node, hold.is_some())
}

fn is_mixed(node: &Node<'_>) -> bool {
    node.has(Rule::kw_and) && node.has(Rule::kw_or)
}

fn all_of(scope: &mut Scope<'_>, node: &Node<'_>, held: bool) -> Option<Condition> {
    if is_mixed(node) {
        let fixed = grouped(node);
        let fixed = if held { format!("({fixed})") } else { fixed };
        let error = Diagnostic::error("E0107", node.span(), "`and` and `or` without parentheses");
        scope.report(error.help(format!("write `{}`, if that is meant", folded(&fixed))).fix(node.span(), fixed));
    }
    let parts: Vec<_> = node.all(Rule::predicate).map(|part| predicate(scope, part)).collect();
    let mut parts = parts.into_iter().collect::<Option<Vec<_>>>()?;
    match parts.len() {
        0 => None,
        1 => parts.pop(),
        _ if node.has(Rule::kw_and) => Some(Condition::All(parts)),
        _ => Some(Condition::Any(parts)),
    }
}

/// The text of a mixed condition with each run of `and` in parentheses, as most languages would read it.
fn grouped(node: &Node<'_>) -> String {
    let mut runs: Vec<Vec<&str>> = vec![Vec::new()];
    for part in &node.kids {
        match part.rule {
            Rule::predicate => runs.last_mut().into_iter().for_each(|run| run.push(part.text)),
            Rule::kw_or => runs.push(Vec::new()),
            _ => {}
        }
    }
    let run = |parts: &Vec<&str>| match parts.as_slice() {
        [only] => (*only).to_owned(),
        parts => format!("({})", parts.join(" and ")),
    };
    runs.iter().map(run).collect::<Vec<_>>().join(" or ")
}

fn folded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn predicate(scope: &mut Scope<'_>, node: &Node<'_>) -> Option<Condition> {
    let test = node.kids.iter().find(|kid| kid.rule != Rule::kw_not)?;
    let condition = match test.rule {
        Rule::group_cond => all_of(scope, test.one(Rule::condition)?, false),
        Rule::comparison => comparison(scope, test).map(Condition::Compare),
        Rule::alarm_test => alarm(scope, test).map(Condition::Alarm),
        Rule::count_test => count(scope, test).map(Condition::Count),
        _ => missing(scope, test).map(Condition::Missing),
    }?;
    // Two `not` are none, in Kleene's logic too.
    let odd = node.all(Rule::kw_not).count() % 2 == 1;
    Some(if odd { Condition::Not(Box::new(condition)) } else { condition })
}

fn comparison(scope: &mut Scope<'_>, node: &Node<'_>) -> Option<Comparison> {
    let op = op(scope, node);
    let aggregate = aggregate(scope, node.one(Rule::aggregate)?)?;
    let threshold = scope.quantity(node.one(Rule::quantity)?, aggregate.metric)?;
    Some(Comparison { aggregate, op: op?, threshold, span: node.span() })
}

fn op(scope: &mut Scope<'_>, node: &Node<'_>) -> Option<Op> {
    let sign = node.one(Rule::cmp)?;
    match sign.text {
        ">" => Some(Op::Above),
        ">=" => Some(Op::AtLeast),
        "<" => Some(Op::Under),
        "<=" => Some(Op::AtMost),
        other => {
            let error = Diagnostic::error("E0110", sign.span(), format!("there is no comparison `{other}`"));
            scope.report(error.help("values that are measured are hardly ever equal: use `>`, `>=`, `<` or `<=`"));
            None
        }
    }
}

/// `avg(cpu.usage over 5m)`.
pub(super) fn aggregate(scope: &mut Scope<'_>, node: &Node<'_>) -> Option<Aggregate> {
    let word = node.one(Rule::func)?;
    let func = match word.text {
        "avg" => Some(Func::Avg),
        "sum" => Some(Func::Sum),
        "min" => Some(Func::Min),
        "max" => Some(Func::Max),
        "last" => Some(Func::Last),
        "p50" => Some(Func::Percentile(50)),
        "p90" => Some(Func::Percentile(90)),
        "p95" => Some(Func::Percentile(95)),
        "p99" => Some(Func::Percentile(99)),
        other => {
            let error = Diagnostic::error("E0314", word.span(), format!("there is no percentile `{other}`"));
            scope.report(error.help("there are `p50`, `p90`, `p95` and `p99`"));
            None
        }
    };
    let bounds = match func {
        Some(Func::Percentile(_)) => Length::some("the look-back of a percentile", PERCENTILE_WINDOW_MAX),
        _ => Length::some("a look-back", WINDOW_MAX),
    };
    let over = scope.length(node.one(Rule::dur_value)?, bounds);
    let metric = scope.metric(node.one(Rule::path)?)?;
    let per_server = node.one(Rule::per_server);
    if let (Some(clause), Some(declared)) = (per_server, scope.metrics.get(metric))
        && !declared.shared
    {
        let message = format!("`{}` is already a value of each server", declared.name);
        let error =
            Diagnostic::error("E0311", clause.span(), message).also(declared.span, "this metric is not `shared`");
        // One blank goes with the clause.
        let (start, end) = (clause.start, clause.start + clause.text.len() + 1);
        scope.report(error.help("leave out `per server`").fix(span(start, end), ""));
    }
    Some(Aggregate { func: func?, metric, per_server: per_server.is_some(), over: over? })
}

/// `alarm web_5xx is not ok on 20% of servers`.
fn alarm(scope: &mut Scope<'_>, node: &Node<'_>) -> Option<AlarmTest> {
    let alarm = scope.alarm(node.one(Rule::name)?);
    let quorum = match node.one(Rule::quorum) {
        None => Some(Quorum::Any),
        Some(clause) => {
            if let Some(declared) = alarm.and_then(|at| scope.alarms.get(at)).filter(|alarm| alarm.shared) {
                let message = format!("`{}` is the tenant's, not a server's", declared.name);
                let error = Diagnostic::error("E0312", clause.span(), message).also(declared.span, "it is `shared`");
                scope.report(error.help("leave out the number of servers"));
            }
            quorum(scope, clause)
        }
    };
    let state = state(node.one(Rule::state)?);
    Some(AlarmTest { alarm: alarm?, state, negated: node.has(Rule::kw_not), quorum: quorum?, span: node.span() })
}

/// `on 2 servers`, `on 20% of servers`.
fn quorum(scope: &mut Scope<'_>, node: &Node<'_>) -> Option<Quorum> {
    let value = node.one(Rule::amount)?;
    match scope.amount(value, "the number of servers")? {
        Amount::Servers(_) if node.has(Rule::kw_of) => {
            let error = Diagnostic::error("E0301", node.span(), "a number `of servers`");
            scope.report(error.help("write `on 2 servers`, or a percentage"));
            None
        }
        Amount::Servers(servers) => Some(Quorum::Servers(servers)),
        Amount::Share(share) if share > Percent::WHOLE => {
            scope.report(Diagnostic::error("E0314", value.span(), "more than all servers"));
            None
        }
        Amount::Share(share) if node.has(Rule::kw_of) => Some(Quorum::Share(share)),
        Amount::Share(share) => {
            let fixed = format!("on {share} of servers");
            let error = Diagnostic::error("E0301", node.span(), "a share of the servers is a percentage `of servers`");
            scope.report(error.help(format!("write `{fixed}`")).fix(node.span(), fixed));
            None
        }
    }
}

/// A state by its word.
pub(super) fn state(node: &Node<'_>) -> AlarmState {
    match node.text {
        "ok" => AlarmState::Ok,
        "warning" => AlarmState::Warning,
        "critical" => AlarmState::Critical,
        _ => AlarmState::Unknown,
    }
}

/// `count(server.lost over 10m) >= 3`.
fn count(scope: &mut Scope<'_>, node: &Node<'_>) -> Option<CountTest> {
    let op = op(scope, node);
    let counted = scope.counted(node.one(Rule::path)?);
    let over = scope.length(node.one(Rule::dur_value)?, Length::some("the look-back of `count`", COUNT_WINDOW_MAX));
    let threshold = scope.whole(node.one(Rule::int_value)?, "the count", 0, u32::MAX);
    Some(CountTest { counted: counted?, over: over?, op: op?, threshold: threshold?, span: node.span() })
}

/// `missing(cpu.usage for 10m)`.
fn missing(scope: &mut Scope<'_>, node: &Node<'_>) -> Option<MissingTest> {
    let metric = scope.metric(node.one(Rule::path)?);
    let hold = scope.length(node.one(Rule::dur_value)?, Length::some("`missing … for`", TIMER_MAX));
    Some(MissingTest { metric: metric?, hold: hold?, span: node.span() })
}
