//! A newer meaning of the rules holds from its record on, and a build that does not know it stops there. One test, since what
//! a process knows is the whole process's.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use weir_engine::{
    decision::Decision,
    event::{Deploy, Event, Fact, Force, Record, Right, Upgrade, Version},
    partition::Partition,
    semantics,
};

const POLICY: &str = r#"edition 2026

launch small {
  image  "app-1"
  flavor "small"
}

group app {
  region   "LON"
  capacity 2..30
  launch   small
  cooldown 1s

  rule share {
    manual
    add 60%
    cooldown 1s
  }
}
"#;

fn record(offset: u64, fact: Fact) -> Record {
    let time = 1_790_000_000_000 + offset as i64 * 10_000;
    let tenant = if matches!(fact, Fact::Upgrade(_)) { String::new() } else { "acme".to_owned() };
    let event = Event { specversion: Version::V1, id: offset.to_string(), source: "/api".into(), time, tenant, fact };
    Record { offset, appended_ms: time, event }
}

fn upgrade(semantics: u32) -> Fact {
    Fact::Upgrade(Upgrade { semantics, actor: "ops".into() })
}

fn log() -> Vec<Record> {
    let force =
        || Fact::Force(Force { group: "app".into(), rule: "share".into(), by: Right::Token, actor: "ops".into() });
    let (text, setup, capabilities) = (POLICY.into(), [].into(), Vec::new());
    let deploy = Fact::Policy(Deploy { name: "app.weir".into(), text, setup, capabilities, actor: "ops".into() });
    // The second upgrade is to what held before, and changes nothing.
    let facts = [deploy, force(), upgrade(2), force(), upgrade(1), force()];
    facts.into_iter().enumerate().map(|(offset, fact)| record(offset as u64, fact)).collect()
}

#[test]
fn a_newer_meaning_holds_from_its_record_on_and_only_where_it_is_known() {
    let log = log();
    let mut old = Partition::new("log", 0);
    log[..2].iter().for_each(|record| drop(old.step(record).unwrap()));
    let before = old.state_digest();
    let halt = old.step(&log[2]).unwrap_err().to_string();
    assert!(halt.contains("semantics 2, and this build knows 1: use a build that has it"), "{halt}");
    assert_eq!(old.state_digest(), before, "nothing of it is applied");
    // As it stands in the log, too.
    let line = log[2].event.to_line();
    assert!(old.step_line(2, log[2].appended_ms, line.as_bytes()).is_err());
    assert!(
        line.contains("\"type\":\"weir.upgrade\"") && Event::from_line(line.as_bytes()).unwrap() == log[2].event,
        "{line}"
    );

    semantics::rehearse();
    let decide = |restored: bool| -> Vec<Decision> {
        let mut state = Partition::new("log", 0);
        let mut decisions = Vec::new();
        for record in &log {
            decisions.extend(state.step(record).unwrap().decisions);
            if restored {
                state = Partition::restore(&state.snapshot()).unwrap();
            }
        }
        assert_eq!(state.semantics(), 2);
        decisions
    };
    let decisions = decide(false);
    let seen: Vec<(u32, u32, u32)> = decisions.iter().map(|one| (one.from, one.to, one.semantics)).collect();
    // Six tenths of 2 are 1.2, of 4 are 2.4, of 6 are 3.6: away from zero by the first meaning, toward it by the next.
    assert_eq!(seen, [(0, 2, 1), (2, 4, 1), (4, 6, 2), (6, 9, 2)]);
    assert_eq!(decide(true), decisions, "a state that is restored on either side decides the same");
}
