//! Every bound of a file, just under it, at it and just over it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use weir_grammar::limits::*;
use weir_grammar::quantity::Millis;
use weir_grammar::{Severity, check, render};

const HEAD: &str = r#"edition 2026
metric cpu.usage: percent every 1m
alarm down: shared
launch v1 {
  image "web"
  flavor "small"
}
"#;

/// A file with one group that holds these statements.
fn group(statements: &str) -> String {
    format!("{HEAD}group web {{\n  region \"LON\"\n  capacity 1..10\n  launch v1\n{statements}\n}}\n")
}

/// A file with one rule that holds these statements.
fn rule(statements: &str) -> String {
    group(&format!("rule r {{\n{statements}\n}}"))
}

/// The codes of the errors in a text.
fn codes(text: &str) -> Vec<&'static str> {
    let errors = check("p.weir", text).diagnostics.into_iter().filter(|found| found.severity == Severity::Error);
    errors.inspect(|found| println!("{}", render(found, "p.weir", text, false))).map(|found| found.code).collect()
}

/// Checks that `bound - 1` and `bound` pass and that `bound + 1` is refused with this code, and with nothing else.
fn upper(bound: i64, code: &str, text: impl Fn(i64) -> String) {
    assert_eq!(codes(&text(bound - 1)), [""; 0], "under {bound}");
    assert_eq!(codes(&text(bound)), [""; 0], "at {bound}");
    assert_eq!(codes(&text(bound + 1)), [code], "over {bound}");
}

/// The same for a length of time, by the millisecond.
fn longest(bound: Millis, text: impl Fn(&str) -> String) {
    upper(bound.0, "E0310", |length| text(&format!("{length}ms")));
}

#[test]
fn lengths_of_time() {
    let plain = "manual\nadd 1\n";
    longest(COOLDOWN_MAX, |length| group(&format!("cooldown {length}")));
    longest(COOLDOWN_MAX, |length| rule(&format!("{plain}cooldown {length}")));
    for timer in ["warmup", "drain", "ready within", "limit add 1 per"] {
        longest(TIMER_MAX, |length| group(&format!("{timer} {length}")));
    }
    longest(TIMER_MAX, |length| rule(&format!("cron \"0 3 * * *\"\nadd 1\nlate by {length}")));
    longest(TIMER_MAX, |length| rule(&format!("track avg(cpu.usage over 5m) at 60%\nstabilize {length}")));
    longest(TIMER_MAX, |length| rule(&format!("when alarm down is critical for {length}\nadd 1")));
    longest(TIMER_MAX, |length| rule(&format!("when missing(cpu.usage for {length})\nadd 1")));
    longest(WINDOW_MAX, |length| rule(&format!("when avg(cpu.usage over {length}) > 60%\nadd 1")));
    longest(PERCENTILE_WINDOW_MAX, |length| rule(&format!("when p95(cpu.usage over {length}) > 60%\nadd 1")));
    longest(COUNT_WINDOW_MAX, |length| rule(&format!("when count(server.lost over {length}) > 1\nadd 1")));
    longest(EVERY_MAX, |length| format!("{HEAD}metric m.n: number every {length}\n"));
    longest(STALE_MAX, |length| format!("{HEAD}alarm a: stale after {length}\n"));
    longest(LASTING_MAX, |length| {
        group(&format!("window w {{\nat 2026-11-27T06:00 lasting {length}\ncapacity 1..2\n}}"))
    });
    let test = |given: &str| {
        group("") + &format!("test \"t\" for web {{\nstart 2026-01-05T12:00Z\n{given}\nexpect no action\n}}\n")
    };
    longest(TEST_SPAN_MAX, |length| test(&format!("given cpu.usage 5% for {length}")));
    longest(Millis(TEST_SPAN_MAX.0 - 60_000), |length| test(&format!("given cpu.usage 5% for 1m, 6% for {length}")));
    longest(TEST_SPAN_MAX, |length| test(&format!("pause at {length}")));
}

#[test]
fn shortest_lengths() {
    let under = EVERY_MIN.0 - 1;
    assert_eq!(codes(&format!("{HEAD}metric m.n: number every {under}ms\n")), ["E0314"]);
    assert_eq!(codes(&format!("{HEAD}metric m.n: number every {}ms\n", EVERY_MIN.0)), [""; 0]);
    assert_eq!(codes(&rule("when alarm down is critical for 0s\nadd 1")), ["E0314"]);
    assert_eq!(codes(&rule("manual\nadd 1\ncooldown 0s")), [""; 0]);
}

#[test]
fn numbers_of_servers() {
    let most = i64::from(SERVERS_MAX);
    let sized = |n: i64| group("").replace("capacity 1..10", &format!("capacity 0..{n}"));
    upper(most, "E0310", sized);
    for action in ["add", "remove", "raise to", "lower to"] {
        upper(most, "E0310", |n| rule(&format!("manual\n{action} {n}")));
    }
    upper(10, "E0302", |n| rule(&format!("manual\nset {n}")));
    assert_eq!(codes(&rule("manual\nadd 0")), ["E0314"]);
    assert_eq!(codes(&rule("manual\nadd 0%")), ["E0314"]);
    upper(1000, "E0314", |n| rule(&format!("manual\nadd {n}%")));
    upper(65_535, "E0314", |n| {
        HEAD.replace("flavor \"small\"", &format!("flavor \"small\"\nbalancer \"lb\" port {n}"))
    });
}

#[test]
fn numbers_of_things() {
    let many = |count: i64, one: &dyn Fn(i64) -> String| (0..count).map(one).collect::<Vec<_>>().join("\n");
    upper(BALANCERS_MAX as i64, "E0310", |n| {
        let balancers = many(n, &|i| format!("balancer \"lb-{i}\" port 80"));
        HEAD.replace("flavor \"small\"", &format!("flavor \"small\"\n{balancers}"))
    });
    upper(PREDICATES_MAX as i64, "E0310", |n| {
        let tests = vec!["alarm down is critical"; n as usize].join(" or ");
        rule(&format!("when ({tests})\nadd 1"))
    });
    upper(RULES_MAX as i64, "E0310", |n| group(&many(n, &|i| format!("rule r{i} {{\nmanual\nadd 1\n}}"))));
    upper(GROUPS_MAX as i64, "E0310", |n| {
        let one = |i: i64| group("").replace(HEAD, "").replace("group web", &format!("group g{i}"));
        HEAD.to_owned() + &many(n, &one)
    });
}

#[test]
fn what_an_evaluation_costs() {
    // A rule of one arm and one look-back of one pane of its own costs three; further arms cost one each.
    let arms = |count: i64| (0..count).map(|i| format!("from {i}% add 1\n")).collect::<String>();
    let step = |name: &str, over: i64, count: i64| {
        format!("rule {name} {{\nstep avg(cpu.usage over {over}s) {{\n{}}}\n}}\n", arms(count))
    };
    upper(i64::from(FUEL_MAX), "E0310", |fuel| {
        group(&(step("a", 60, fuel / 2 - 2) + &step("b", 59, fuel - fuel / 2 - 2)))
    });
}

#[test]
fn size_and_depth() {
    upper(FILE_BYTES_MAX as i64, "E0310", |n| format!("{HEAD}{}", "\n".repeat(n as usize - HEAD.len())));
    // The group and the rule are two of the levels, the aggregate's own parentheses a third.
    upper(NESTING_MAX as i64 - 3, "E0310", |n| {
        let (open, close) = ("(".repeat(n as usize), ")".repeat(n as usize));
        rule(&format!("when {open}avg(cpu.usage over 5m) > 60%{close}\nadd 1"))
    });
}

#[test]
fn more_errors_than_a_person_reads_are_counted() {
    let lines = |n: usize| format!("edition 2026\n{}", "nonsense\n".repeat(n));
    assert_eq!(codes(&lines(ERRORS_MAX)).len(), ERRORS_MAX);
    let over = check("p.weir", &lines(ERRORS_MAX + 1)).diagnostics;
    assert_eq!(over.len(), ERRORS_MAX + 1);
    assert_eq!(
        over.last().map(|found| (found.code, found.message.as_str())),
        Some(("E0109", "1 more errors are not shown"))
    );
}
