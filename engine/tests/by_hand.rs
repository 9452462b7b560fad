//! What people set by hand, in the log's time: bounds for a while, and what becomes of them.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use weir_engine::{
    by_hand::OVERRIDE_MAX_MS,
    decision::{Decision, Verdict},
    event::{Control, Deploy, Event, Fact, Order, Record, Tick, Version},
    explain,
    partition::{Effects, Partition},
    view::{Change, GroupRow},
};

const MINUTE: i64 = 60_000;
/// Tuesday 2026-03-03, midnight in London.
const MIDNIGHT: i64 = 1_772_496_000_000;

const CAPACITY: &str = "  capacity 2..20\n";
const REST: &str = "  timezone \"UTC\"\n  cooldown 1h\n  limit add 1 per 1h\n  limit remove 2 per 10m\n  window day {\n    \
                    cron \"0 8 * * *\" lasting 10h\n    capacity 6..12\n  }\n";

/// A partition with one group, and its log's clock.
struct Stage {
    partition: Partition,
    now_ms: i64,
    records: u64,
    row: Option<GroupRow>,
}

impl Stage {
    fn new() -> Self {
        let mut stage = Self { partition: Partition::new("by hand", 0), now_ms: MIDNIGHT, records: 0, row: None };
        stage.deploy(CAPACITY);
        stage
    }

    fn tell(&mut self, fact: Fact) -> Effects {
        self.records += 1;
        let event = Event {
            specversion: Version::V1,
            id: self.records.to_string(),
            source: "/api".to_owned(),
            time: self.now_ms,
            tenant: "acme".to_owned(),
            fact,
        };
        let record = Record { offset: self.partition.next(), appended_ms: self.now_ms, event };
        let effects = self.partition.step(&record).unwrap();
        for row in &effects.rows {
            match &row.change {
                Change::Group(row) => self.row = Some(row.as_ref().clone()),
                Change::GroupGone => self.row = None,
                _ => {}
            }
        }
        effects
    }

    fn deploy(&mut self, capacity: &str) -> Effects {
        let text = format!(
            "edition 2026\nlaunch small {{\n  image \"i\"\n  flavor \"f\"\n}}\ngroup web {{\n  region \"LON\"\n  launch \
             small\n{capacity}{REST}}}\n"
        );
        let found = weir_engine::grammar::check("web.weir", &text);
        assert!(found.policy.is_some(), "{:?}", found.diagnostics);
        let (name, setup, capabilities) = ("web.weir".to_owned(), BTreeMap::new(), Vec::new());
        self.tell(Fact::Policy(Deploy { name, text, setup, capabilities, actor: "ops".to_owned() }))
    }

    fn order(&mut self, order: Order) -> Effects {
        self.tell(Fact::Control(Control { actor: "mary".to_owned(), reason: "the launch".to_owned(), order }))
    }

    fn set(&mut self, floor: Option<u32>, ceiling: Option<u32>, minutes: i64) -> Effects {
        let until = self.now_ms + minutes * MINUTE;
        self.order(Order::Override { group: "web".to_owned(), floor, ceiling, until })
    }

    /// Time passes in quiet, and its decisions.
    fn pass(&mut self, minutes: i64) -> Vec<Decision> {
        let mut made = Vec::new();
        for _ in 0..minutes {
            self.now_ms += MINUTE;
            made.extend(self.tell(Fact::Tick(Tick {})).decisions);
        }
        made
    }

    fn row(&self) -> &GroupRow {
        self.row.as_ref().unwrap()
    }

    fn bounds(&self) -> (u32, u32, u32) {
        let row = self.row();
        (row.target, row.min, row.max)
    }
}

#[test]
fn a_raised_floor_is_met_at_once_and_its_end_shrinks_nothing() {
    let mut stage = Stage::new();
    stage.pass(1);
    let made = stage.set(Some(9), None, 90);
    let [decision] = made.decisions.as_slice() else { panic!("{made:?}") };
    assert_eq!((decision.from, decision.to, decision.min, decision.max), (2, 9, 9, 20));
    assert_eq!(decision.cause, "override by mary");
    let Verdict::Changed { by, because } = &decision.outcome else { panic!("{decision:?}") };
    assert_eq!((by.as_str(), made.commands[0].target), ("bounds", 9));
    assert_eq!(because, "overridden, floor 9 by mary until 2026-03-03T01:31:00.000Z: \"the launch\"");
    assert!(stage.row().state.ends_with(", floor 9 by mary until 2026-03-03T01:31:00.000Z: \"the launch\""));
    let ended = stage.pass(95);
    let [end] = ended.as_slice() else { panic!("{ended:?}") };
    assert_eq!((end.at, end.from, end.to, end.min), (MIDNIGHT + 91 * MINUTE, 9, 9, 2), "said at its own instant");
    assert_eq!(end.overridden, None);
    assert_eq!((stage.bounds(), &stage.row().overridden), ((9, 2, 20), &None));
}

#[test]
fn a_lowered_ceiling_is_walked_down_under_the_limit() {
    let mut stage = Stage::new();
    stage.set(Some(9), None, 1);
    stage.pass(20);
    let first = stage.set(None, Some(4), 60);
    assert_eq!(first.decisions[0].to, 7);
    let made = stage.pass(9);
    assert_eq!(made.iter().filter(|made| made.from != made.to).count(), 0, "{made:?}");
    stage.pass(1);
    assert_eq!(stage.bounds(), (5, 2, 4));
    stage.pass(10);
    assert_eq!(stage.bounds(), (4, 2, 4));
}

#[test]
fn an_end_needs_no_event_to_come_at_its_instant() {
    let mut stage = Stage::new();
    stage.set(Some(9), None, 30);
    assert_eq!(stage.partition.next_timer(), Some(MIDNIGHT + 30 * MINUTE));
    stage.now_ms += 31 * MINUTE;
    let late = stage.tell(Fact::Tick(Tick {}));
    assert_eq!(late.decisions[0].at, MIDNIGHT + 30 * MINUTE, "found late, and told for its own instant");
}

#[test]
fn it_stands_in_place_of_the_windows_and_within_the_capacity() {
    let mut stage = Stage::new();
    stage.pass(8 * 60);
    assert_eq!(stage.bounds(), (6, 6, 12));
    stage.set(None, Some(3), 30);
    assert_eq!(stage.bounds(), (4, 3, 3), "the window's floor gives way");
    stage.pass(30);
    assert_eq!(stage.bounds(), (6, 6, 12), "and comes back at once");
    stage.set(Some(15), None, 30);
    assert_eq!(stage.bounds(), (15, 15, 15), "so does its ceiling");
    stage.set(Some(1), Some(50), 30);
    assert_eq!(stage.bounds(), (15, 2, 20), "a group never leaves its capacity");
    stage.set(Some(0), Some(0), 30);
    assert_eq!((stage.row().min, stage.row().max), (2, 2));
}

#[test]
fn a_size_is_both_bounds_and_another_override_takes_the_place_of_the_first() {
    let mut stage = Stage::new();
    stage.set(Some(5), Some(5), 30);
    assert_eq!(stage.bounds(), (5, 5, 5));
    stage.set(Some(8), None, 60);
    assert_eq!(stage.bounds(), (8, 8, 20));
    assert_eq!(stage.pass(31).len(), 0, "the first one's end is none");
    let lifted = stage.order(Order::LiftOverride { group: "web".to_owned() });
    assert_eq!((lifted.decisions[0].cause.as_str(), stage.bounds()), ("override lifted by mary", (8, 2, 20)));
    assert_eq!(stage.pass(40).len(), 0);
}

#[test]
fn what_cannot_hold_changes_nothing_and_is_counted() {
    let mut stage = Stage::new();
    stage.set(Some(5), None, 30);
    for (floor, ceiling, minutes) in [(Some(8), Some(7), 30), (Some(8), None, 0), (Some(8), None, -5)] {
        let made = stage.set(floor, ceiling, minutes);
        assert_eq!((made.decisions.len(), made.commands.len()), (0, 0));
        assert!(matches!(&made.rows[0].change, Change::Tenant(row) if row.dropped.len() <= 2));
    }
    assert_eq!(stage.bounds(), (5, 5, 20));
    let gone = stage.order(Order::LiftOverride { group: "nobody".to_owned() });
    assert!(gone.decisions.is_empty());
}

#[test]
fn it_holds_for_thirty_days_at_most() {
    for (over_ms, held_ms) in [(-1, OVERRIDE_MAX_MS - 1), (0, OVERRIDE_MAX_MS), (1, OVERRIDE_MAX_MS)] {
        let mut stage = Stage::new();
        let until = stage.now_ms + OVERRIDE_MAX_MS + over_ms;
        stage.order(Order::Override { group: "web".to_owned(), floor: Some(3), ceiling: None, until });
        assert_eq!(stage.row().overridden.as_ref().unwrap().until, MIDNIGHT + held_ms);
    }
}

#[test]
fn it_survives_a_restart_and_a_new_version_and_goes_with_the_group() {
    let mut stage = Stage::new();
    stage.set(Some(9), None, 30);
    let bytes = stage.partition.snapshot();
    stage.partition = Partition::restore(&bytes).unwrap();
    assert_eq!(stage.partition.snapshot(), bytes);
    assert_eq!(stage.partition.only("acme").unwrap().snapshot(), bytes);
    stage.deploy("  capacity 2..7\n");
    assert_eq!(stage.bounds(), (7, 7, 7), "the new version's capacity bounds it, and its limit the way down");
    stage.deploy(CAPACITY);
    assert_eq!(stage.bounds(), (9, 9, 20));
    let why = explain::explain(&stage.partition, "acme", "web", stage.now_ms).unwrap();
    let words = explain::words(&why, &|at_ms| format!("+{}m", (at_ms - MIDNIGHT) / MINUTE));
    assert!(words.contains("The bounds are overridden: floor 9 by mary until +30m: \"the launch\"."), "{words}");
    stage.order(Order::Remove { group: "web".to_owned(), keep_servers: false });
    assert_eq!(stage.row, None);
    stage.deploy(CAPACITY);
    assert_eq!((stage.bounds(), &stage.row().overridden), ((2, 2, 20), &None));
}

/// A snapshot that was written before anything could be set by hand is read as one in which nothing is.
#[test]
fn a_snapshot_of_the_format_before_is_still_read() {
    let mut stage = Stage::new();
    stage.pass(3);
    let mut bytes = stage.partition.snapshot();
    let restored = Partition::restore(&bytes).unwrap();
    assert_eq!((bytes[0], bytes.pop()), (3, Some(0)), "an empty list is what stands behind the state");
    bytes[0] = 2;
    assert_eq!(Partition::restore(&bytes).unwrap().snapshot(), restored.snapshot());
    bytes[0] = 4;
    assert!(Partition::restore(&bytes).unwrap_err().to_string().contains("its format is 4"));
}

#[test]
fn a_paused_group_is_not_moved_by_it() {
    let mut stage = Stage::new();
    stage.order(Order::Pause { group: "web".to_owned(), until: None });
    let held = stage.set(Some(9), None, 30);
    assert!(matches!(&held.decisions[0].outcome, Verdict::Held { wish: 9, .. }), "{held:?}");
    assert_eq!(stage.bounds(), (2, 9, 20));
    assert!(stage.row().state.starts_with("paused by mary: \"the launch\", floor 9 by mary until "));
    stage.order(Order::Resume { group: "web".to_owned() });
    assert_eq!(stage.bounds(), (9, 9, 20));
}
