//! F2: the evaluation of a condition alone, values at hand, beside embeddable rule languages.
//!
//! The peers are `rhai` and `evalexpr`, each with its expression compiled beforehand and its values set anew each time, as
//! ours are. They are built with the feature `peers` only: `cargo run --release -p weir-tests --features peers --bin
//! weir-bench promises`.

use super::super::{ROUNDS, clock::Took, say};
use std::{collections::BTreeMap, hint::black_box};
use weir_engine::{
    condition::Scene,
    group::{Group, Valued},
    id::GroupUid,
    program::{Compiled, Pool, Program},
    question::Question,
    window::Value,
    wiring::Wiring,
};
use weir_grammar::{policy::Policy, quantity::Quantity};

/// Evaluations of one round.
const EVALUATIONS: u32 = 200_000;

const POLICY: &str = r#"edition 2026
metric cpu.usage:   percent every 1m
metric queue.depth: number  every 1m
metric disk.usage:  percent every 1m
launch small {
  image  "debian"
  flavor "small"
}
group web {
  region   "LON"
  capacity 1..40
  launch   small
  cooldown 1m
  rule busy {
    when (avg(cpu.usage over 5m) > 80% and max(queue.depth over 5m) >= 100) or avg(disk.usage over 5m) > 95%
    add 1
    cooldown 10m
  }
}
"#;

/// The same for the peers.
#[cfg(feature = "peers")]
const EXPRESSION: &str = "(cpu > 80.0 && queue >= 100.0) || disk > 95.0";

/// Prints what one evaluation takes, and how much that is of each peer's.
pub fn run() {
    let compiled = Compiled::of("bench.weir", POLICY, &BTreeMap::new(), &mut Pool::default());
    let compiled = compiled.expect("the bench's policy is right");
    let (_, program) = compiled.0.first().expect("it has a group");
    let ours = ours(program);
    say(
        "F2 evaluation of one condition alone",
        &format!("{ours:.1} ns"),
        "three aggregates, `and` and `or`; promised 40 times a peer",
    );
    for (name, theirs) in peers() {
        say(&format!("F2 the same in {name}"), &format!("{theirs:.1} ns"), &format!("{:.0} times ours", theirs / ours));
    }
    if cfg!(not(feature = "peers")) {
        say("F2 peers", "", "not built; add --features peers");
    }
}

/// Values of the `turn`-th evaluation: now and then the condition is true.
fn values(turn: u32) -> [i64; 3] {
    let turn = i64::from(turn);
    [40 + turn * 7 % 50, 20 + turn * 13 % 120, 50 + turn * 3 % 47]
}

fn ours(Program { policy, wiring, .. }: &Program) -> f64 {
    let question = wiring.question(0).expect("its rule has a condition");
    let mut group = Group::new(0, "web", GroupUid(1), "bench.weir");
    group.values.resize(wiring.aggregates.len(), Valued::default());
    nanoseconds(|turn| {
        for (valued, value) in group.values.iter_mut().zip(values(turn)) {
            let value = Quantity(value * Quantity::SCALE);
            valued.value = Value::Known { value, servers: 4, of: 4, all_known: true };
        }
        truth(&group, policy, wiring, question)
    })
}

fn truth(group: &Group, policy: &Policy, wiring: &Wiring, question: &Question) -> bool {
    question.truth(&Scene { group, policy, wiring, now_ms: 0, intake_bad_ms: 0 }) == Some(true)
}

/// The median round's nanoseconds for one evaluation.
fn nanoseconds(mut evaluate: impl FnMut(u32) -> bool) -> f64 {
    let round = |_| Took::of(|| (0..EVALUATIONS).filter(|turn| black_box(evaluate(black_box(*turn)))).count()).1;
    let took = Took::median((0..ROUNDS).map(round).collect());
    took.cpu.as_secs_f64() * 1e9 / f64::from(EVALUATIONS)
}

#[cfg(not(feature = "peers"))]
fn peers() -> Vec<(&'static str, f64)> {
    Vec::new()
}

#[cfg(feature = "peers")]
fn peers() -> Vec<(&'static str, f64)> {
    vec![("rhai", rhai()), ("evalexpr", evalexpr())]
}

#[cfg(feature = "peers")]
fn floats(turn: u32) -> [(&'static str, f64); 3] {
    let [cpu, queue, disk] = values(turn);
    // Small numbers, exact as floats.
    [("cpu", cpu as f64), ("queue", queue as f64), ("disk", disk as f64)]
}

#[cfg(feature = "peers")]
fn rhai() -> f64 {
    let engine = rhai::Engine::new();
    let compiled = engine.compile_expression(EXPRESSION).expect("rhai reads the expression");
    let mut scope = rhai::Scope::new();
    nanoseconds(|turn| {
        for (name, value) in floats(turn) {
            scope.set_value(name, value);
        }
        engine.eval_ast_with_scope(&mut scope, &compiled).expect("rhai evaluates the expression")
    })
}

#[cfg(feature = "peers")]
fn evalexpr() -> f64 {
    use evalexpr::{ContextWithMutableVariables as _, HashMapContext, Value, build_operator_tree};
    let compiled = build_operator_tree(EXPRESSION).expect("evalexpr reads the expression");
    let mut context = HashMapContext::new();
    nanoseconds(|turn| {
        for (name, value) in floats(turn) {
            context.set_value(name.into(), Value::Float(value)).expect("the type stays");
        }
        compiled.eval_boolean_with_context(&context).expect("evalexpr evaluates the expression")
    })
}
