//! What the simulation once lost, each told as the story of the loss.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use weir_engine::{
    decision::Verdict,
    event::{Deploy, Event, Fact, Force, Record, Right, Tick, Version},
    partition::{Effects, Partition},
};

const MINUTE: i64 = 60_000;

/// A partition and the clocks of its log and of a door.
struct Told {
    partition: Partition,
    now_ms: i64,
    door_off_ms: i64,
}

impl Told {
    fn new() -> Self {
        Self { partition: Partition::new("losses", 0), now_ms: 1_000_000_000, door_off_ms: 0 }
    }

    fn tell(&mut self, id: &str, fact: Fact) -> Effects {
        let event = Event {
            specversion: Version::V1,
            id: id.to_owned(),
            source: "/api".to_owned(),
            time: self.now_ms + self.door_off_ms,
            tenant: "acme".to_owned(),
            fact,
        };
        let record = Record { offset: self.partition.next(), appended_ms: self.now_ms, event };
        self.partition.step(&record).unwrap()
    }

    fn deploy(&mut self, group: &str) {
        let text = format!(
            "edition 2026\nlaunch small {{\n  image \"i\"\n  flavor \"f\"\n}}\ngroup web {{\n  region \"LON\"\n  launch \
             small\n{group}}}\n"
        );
        let found = weir_engine::grammar::check("web.weir", &text);
        assert!(found.policy.is_some(), "{:?}", found.diagnostics);
        let deploy = Deploy {
            name: "web.weir".to_owned(),
            text,
            setup: BTreeMap::new(),
            capabilities: Vec::new(),
            actor: "ops".to_owned(),
        };
        self.tell("deploy", Fact::Policy(deploy));
    }

    fn force(&mut self, id: &str, rule: &str, by: Right) -> Effects {
        let force = Force { group: "web".to_owned(), rule: rule.to_owned(), by, actor: "ops".to_owned() };
        self.tell(id, Fact::Force(force))
    }
}

/// A door's clock was half a minute ahead. Its first event moved `t` there, and timers fired half a minute early.
#[test]
fn a_door_whose_clock_is_ahead_moves_no_time() {
    let mut told = Told::new();
    told.door_off_ms = 30_000;
    told.tell("tick", Fact::Tick(Tick {}));
    assert_eq!(told.partition.t(), told.now_ms);
}

/// A version without a limit was in force for a while. Changes were remembered only as long as the limits of the moment
/// looked back, so the next version's limit began from nothing and let twice as many servers go.
#[test]
fn a_limit_counts_what_changed_before_it_was_written() {
    let rules = "  capacity 1..20\n  cooldown 30s\n  rule up {\n    manual\n    add 5\n  }\n  rule more {\n    webhook \
                 \"more\"\n    add 1\n  }\n";
    let mut told = Told::new();
    told.deploy(rules);
    for id in ["a", "b"] {
        told.now_ms += MINUTE;
        assert_eq!(told.force(id, "up", Right::Token).commands.len(), 1);
    }
    told.deploy(&format!("  limit add 10 per 10m\n{rules}"));
    told.now_ms += MINUTE;
    let held = told.force("c", "more", Right::Capability);
    assert_eq!(held.commands.len(), 0, "{:?}", held.decisions);
    told.now_ms += 10 * MINUTE;
    assert_eq!(told.force("d", "more", Right::Capability).commands.len(), 1);
}

/// Somebody forced a rule that is only observed, and servers were made.
#[test]
fn an_observed_rule_is_not_forced() {
    let mut told = Told::new();
    told.deploy("  capacity 1..9\n  rule up {\n    manual\n    add 1\n    observe\n  }\n");
    let effects = told.force("a", "up", Right::Token);
    assert!(effects.commands.is_empty());
    assert!(matches!(effects.decisions.last().unwrap().outcome, Verdict::Refused { .. }));
}
