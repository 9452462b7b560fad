//! What the simulation once lost, each told as the story of the loss.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use weir_engine::{
    decision::{Truth, Verdict},
    event::{About, Alarm, Control, Deploy, Event, Fact, Force, Happened, Order, Record, Right, Sample, Tick, Version},
    grammar::{policy::AlarmState, quantity::Quantity},
    id::Slot,
    outcome::{Happening, Outcome},
    partition::{Effects, Partition},
};

const MINUTE: i64 = 60_000;

/// A partition and the clocks of its log and of a door.
struct Told {
    partition: Partition,
    now_ms: i64,
    door_off_ms: i64,
    targets: BTreeMap<String, u32>,
}

impl Told {
    fn new() -> Self {
        Self { partition: Partition::new("losses", 0), now_ms: 1_000_000_000, door_off_ms: 0, targets: BTreeMap::new() }
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
        let effects = self.partition.step(&record).unwrap();
        self.targets.extend(effects.commands.iter().map(|command| (command.group.clone(), command.target)));
        effects
    }

    fn deploy(&mut self, group: &str) {
        self.declare("", group);
    }

    /// Deploys a group behind some declarations.
    fn declare(&mut self, declarations: &str, group: &str) {
        let text = format!(
            "edition 2026\n{declarations}launch small {{\n  image \"i\"\n  flavor \"f\"\n}}\ngroup web {{\n  region \"LON\"\n  launch \
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

    fn control(&mut self, id: &str, order: Order) {
        self.tell(id, Fact::Control(Control { actor: "ops".to_owned(), reason: String::new(), order }));
    }

    fn quota(&mut self, servers: u32) {
        self.control("quota", Order::Quota { servers: Some(servers) });
    }

    /// The target that the newest command of a group had.
    fn target(&self, group: &str) -> u32 {
        self.targets.get(group).copied().unwrap_or(0)
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

/// Four servers of quota, three of them used. A raised floor took the fourth, and a rule took it once more in the same
/// decision.
#[test]
fn the_bounds_and_a_rule_do_not_both_take_the_rest_of_a_quota() {
    let group = |floor: u32| format!("  capacity {floor}..9\n  rule up {{\n    manual\n    add 1\n  }}\n");
    let mut told = Told::new();
    told.deploy(&group(3));
    told.quota(3);
    told.deploy(&group(4));
    assert_eq!(told.target("web"), 3, "no quota for the floor");
    told.quota(4);
    told.force("a", "up", Right::Token);
    assert_eq!(told.target("web"), 4);
}

/// The quota held a group below its floor. Another group was removed; nobody looked at the first again for hours.
#[test]
fn quota_that_is_left_goes_to_a_group_below_its_floor() {
    let mut told = Told::new();
    let one = |floor: u32| format!("  capacity {floor}..9\n");
    let other = "}\ngroup other {\n  region \"LON\"\n  launch small\n  capacity 3..9\n";
    told.quota(5);
    told.deploy(&format!("{}{other}", one(2)));
    told.deploy(&format!("{}{other}", one(4)));
    assert_eq!((told.target("web"), told.target("other")), (2, 3));
    told.control("gone", Order::Remove { group: "other".to_owned(), keep_servers: false });
    told.tell("tick", Fact::Tick(Tick {}));
    assert_eq!(told.target("web"), 4);
}

/// Somebody deleted a server, and the cloud gave its address to one of another group before anybody had looked. An alarm on
/// that address was the one server's, and the other's for a partition that had been restored meanwhile.
#[test]
fn whose_server_an_address_is_does_not_change_with_a_restart() {
    let rule = "  capacity 1..9\n  rule sick {\n    when alarm sick is critical\n    add 1\n  }\n";
    let other = "}\nalarm sick: from \"sick\"\ngroup alpha {\n  region \"LON\"\n  launch small\n";
    let mut told = Told::new();
    told.deploy(&format!("{rule}{other}{rule}"));
    let ready = |told: &mut Told, group: &str, seq: u64, address: &str| {
        let uid = told.partition.uid_of("acme", group).unwrap();
        let happening = Happening::Ready {
            slot: Slot { serial: 1, incarnation: 1 },
            server: format!("id of {group}"),
            name: group.to_owned(),
            addresses: vec![address.to_owned()],
        };
        told.tell("ready", Fact::Outcome(Outcome { group: group.to_owned(), uid, seq, happening }));
    };
    // As decided by whom it went on for, which a partition restored just now must decide too.
    let sick = |told: &mut Told, address: &str| {
        let restored = Partition::restore(&told.partition.snapshot()).unwrap();
        let mut again = Told { partition: restored, now_ms: told.now_ms, ..Told::new() };
        let alarm = Alarm {
            name: "sick".to_owned(),
            state: AlarmState::Critical,
            at: told.now_ms,
            about: About { server: vec![address.to_owned()], group: None },
            text: String::new(),
            numbers: BTreeMap::new(),
        };
        let effects = told.tell("sick", Fact::Alarm(alarm.clone()));
        assert_eq!(again.tell("sick", Fact::Alarm(alarm)), effects, "{address}");
        effects.commands.iter().map(|command| command.group.clone()).collect::<Vec<_>>()
    };
    ready(&mut told, "web", 1, "10.0.0.1");
    ready(&mut told, "alpha", 1, "10.0.0.1");
    assert_eq!(sick(&mut told, "10.0.0.1"), ["alpha"]);
    // An address that a server had is not its own any more.
    ready(&mut told, "web", 2, "10.0.0.2");
    ready(&mut told, "web", 3, "10.0.0.3");
    assert!(sick(&mut told, "10.0.0.2").is_empty());
    assert_eq!(sick(&mut told, "10.0.0.3"), ["web"]);
}

/// What happened was everybody's. The first group that counted it let a server go, the second looked for the quota that
/// was left, and was judged before it had counted the same thing.
#[test]
fn a_fact_is_known_to_all_groups_before_any_is_judged() {
    let done = "  rule done {\n    when count(deploy.done over 10m) >= 1\n    remove 1\n  }\n";
    let up = "  rule up {\n    manual\n    add 2\n  }\n";
    let two = |floor: u32| {
        let other = format!("}}\ngroup other {{\n  region \"LON\"\n  launch small\n  capacity {floor}..5\n{done}");
        format!("  capacity 1..5\n{done}{up}{other}")
    };
    let declared = "event deploy.done: from \"done\"\n";
    let mut told = Told::new();
    told.quota(4);
    told.declare(declared, &two(1));
    told.force("up", "up", Right::Token);
    told.declare(declared, &two(2));
    assert_eq!((told.target("web"), told.target("other")), (3, 1), "the quota holds it below its floor");
    told.now_ms += 60 * MINUTE;
    let about = About::default();
    let effects = told.tell("done", Fact::Happened(Happened { kind: "done".to_owned(), about }));
    let groups: BTreeSet<&str> = effects.decisions.iter().map(|decision| decision.group.as_str()).collect();
    assert_eq!(groups.len(), 2, "{:?}", effects.decisions);
    let seen = effects.decisions.iter().flat_map(|decision| &decision.rules).filter(|rule| rule.rule == "done");
    seen.for_each(|rule| assert!(rule.seen.contains("= 1"), "{}", rule.seen));
}

/// The servers that a removal's rule had read all left. The metric was unknown at the next edge, and nobody looked, so what
/// the rule had seen of them counted as seen of those that came after.
#[test]
fn a_removals_for_ends_where_all_that_its_metric_came_from_has_left() {
    let quiet = "  capacity 1..3\n  warmup 0s\n  rule quiet {\n    when avg(cpu.usage over 5m) < 30% for 10m\n    remove 1\n  }\n";
    let mut told = Told::new();
    told.now_ms = 16_667 * MINUTE + 10_000;
    told.partition.set_verbose(true);
    told.declare("metric cpu.usage: percent every 1m\n", quiet);
    let slot = |serial| Slot { serial, incarnation: 1 };
    let outcome = |told: &mut Told, seq: u64, happening: Happening| {
        let uid = told.partition.uid_of("acme", "web").unwrap();
        told.tell("outcome", Fact::Outcome(Outcome { group: "web".to_owned(), uid, seq, happening }))
    };
    let ready = |serial: u32| {
        let (server, name, addresses) = (format!("s{serial}"), String::new(), Vec::new());
        Happening::Ready { slot: slot(serial), server, name, addresses }
    };
    let minutes = |told: &mut Told, serial: u32, minutes: u32| {
        let mut decided = Vec::new();
        for _ in 0..minutes {
            told.now_ms += MINUTE;
            let about = About { server: vec![format!("s{serial}")], group: None };
            let sample = Sample { metric: "cpu.usage".to_owned(), value: Quantity(10_000_000), at: told.now_ms, about };
            decided.extend(told.tell("sample", Fact::Samples(vec![sample])).decisions);
        }
        decided
    };
    outcome(&mut told, 1, ready(1));
    minutes(&mut told, 1, 8);
    outcome(&mut told, 2, Happening::Lost { slot: slot(1), reason: String::new() });
    outcome(&mut told, 3, ready(2));
    // Its first sample comes after the edge at which nothing is known.
    told.now_ms += MINUTE;
    let decided = minutes(&mut told, 2, 9);
    let states: Vec<_> = decided.iter().flat_map(|decision| &decision.rules).map(|rule| rule.state).collect();
    assert!(states.contains(&Truth::Unknown) && states.contains(&Truth::Waiting), "{states:?}");
    assert!(!states.contains(&Truth::Fires), "{states:?}");
    let decided = minutes(&mut told, 2, 4);
    assert!(decided.iter().flat_map(|decision| &decision.rules).any(|rule| rule.state == Truth::Fires), "{decided:?}");
}
