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

mod servers {
    //! Deeds on single servers: what becomes of the target, of the commands, and of what is asked for twice.

    use super::*;
    use weir_engine::{
        command::Retired,
        decision::GuardName,
        event::Act,
        id::Slot,
        outcome::{Happening, Outcome},
    };

    fn slot(serial: u32) -> Slot {
        Slot { serial, incarnation: 1 }
    }

    impl Stage {
        /// A group of four ready servers `web-1` to `web-4`, with the cloud's ids `id-1` to `id-4`.
        fn of_four() -> Self {
            let mut stage = Self::new();
            stage.set(Some(4), None, 1);
            for serial in 1..=4 {
                stage.ready(slot(serial), &format!("id-{serial}"), &format!("web-{serial}"));
            }
            stage.pass(2);
            stage
        }

        fn learn(&mut self, happening: Happening) -> Effects {
            let uid = self.partition.uid_of("acme", "web").unwrap();
            self.tell(Fact::Outcome(Outcome { group: "web".to_owned(), uid, seq: self.records, happening }))
        }

        fn ready(&mut self, slot: Slot, server: &str, name: &str) -> Effects {
            let (server, name) = (server.to_owned(), name.to_owned());
            self.learn(Happening::Ready { slot, server, name, addresses: vec![format!("10.0.0.{}", slot.serial)] })
        }

        fn act(&mut self, server: &str, act: Act) -> Effects {
            self.order(Order::Server { group: "web".to_owned(), server: server.to_owned(), act })
        }

        fn refused(&mut self, server: &str, act: Act) -> String {
            let target = self.row().target;
            let made = self.act(server, act);
            assert!(made.commands.is_empty() && self.row().target == target, "{made:?}");
            match &made.decisions.last().unwrap().outcome {
                Verdict::Refused { because, .. } => because.clone(),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_named_server_goes_and_the_target_falls_by_one() {
        for (serial, name) in [(1, "web-1"), (2, "id-2"), (3, "10.0.0.3"), (4, "4.1"), (4, "4")] {
            let mut stage = Stage::of_four();
            let made = stage.act(name, Act::Remove { replace: false });
            let [command] = made.commands.as_slice() else { panic!("{made:?}") };
            assert_eq!((command.target, command.by.as_str()), (3, "hand"));
            assert_eq!(command.by_hand.removed, [slot(serial)].into());
            let Verdict::Changed { by, because } = &made.decisions[0].outcome else { panic!("{made:?}") };
            assert_eq!(by, "hand");
            assert_eq!(because, &format!("remove web-{serial} ({serial}.1) by mary: \"the launch\""));
            assert_eq!(stage.refused(name, Act::Remove { replace: false }), "it leaves already");
            stage.learn(Happening::Leaving { slot: slot(serial) });
            let gone = stage.learn(Happening::Removed { slot: slot(serial) });
            assert!(gone.commands.is_empty(), "executors need not hear of what they said");
            let later = stage.order(Order::Pause { group: "web".to_owned(), until: None });
            assert!(later.commands[0].by_hand.is_empty(), "{later:?}");
        }
    }

    #[test]
    fn at_the_floor_a_server_is_only_replaced() {
        let mut stage = Stage::of_four();
        stage.set(Some(4), None, 60);
        let why = stage.refused("web-2", Act::Remove { replace: false });
        assert!(why.starts_with("the group is at its floor of 4"), "{why}");
        let made = stage.act("web-2", Act::Remove { replace: true });
        assert_eq!((made.commands[0].target, made.commands[0].by_hand.removed.len()), (4, 1));
        let made = stage.act("web-3", Act::Detach { replace: true });
        assert_eq!(made.commands[0].by_hand.removed, [slot(2)].into(), "state, and no message");
        assert_eq!(made.commands[0].by_hand.detached, [slot(3)].into());
    }

    #[test]
    fn what_stops_everything_stops_this_too() {
        let mut stage = Stage::of_four();
        stage.order(Order::Pause { group: "web".to_owned(), until: None });
        for act in [Act::Remove { replace: true }, Act::Detach { replace: false }] {
            let made = stage.act("web-1", act);
            let Verdict::Held { guard, .. } = &made.decisions[0].outcome else { panic!("{made:?}") };
            assert_eq!((guard.name, made.commands.len()), (GuardName::Pause, 0));
        }
        stage.act("stranger", Act::Adopt);
        stage.order(Order::Resume { group: "web".to_owned() });
        assert_eq!(stage.pass(5).iter().filter(|made| made.from != made.to).count(), 0, "nothing is made up for");
        let kill = |adding, removing| Order::KillSwitch { region: String::new(), adding, removing, until: None };
        stage.order(kill(false, true));
        let made = stage.act("web-1", Act::Remove { replace: false });
        assert!(
            matches!(&made.decisions[0].outcome, Verdict::Held { guard, .. } if guard.name == GuardName::KillSwitch)
        );
        let made = stage.act("web-1", Act::Protect { until: None });
        assert_eq!(made.commands[0].by_hand.protected, [slot(1)].into(), "a protection changes no server");
    }

    #[test]
    fn a_protection_holds_until_its_end_and_names_itself() {
        let mut stage = Stage::of_four();
        let until = stage.now_ms + 10 * MINUTE;
        let made = stage.act("web-2", Act::Protect { until: Some(until) });
        assert_eq!((made.commands[0].target, made.commands[0].by_hand.protected.clone()), (4, [slot(2)].into()));
        let why = stage.refused("web-2", Act::Remove { replace: false });
        assert_eq!(why, "it is protected by mary: \"the launch\"; unprotect it first");
        let told = explain::explain(&stage.partition, "acme", "web", stage.now_ms).unwrap();
        assert_eq!(told.by_hand, ["server 2.1 is protected until 2026-03-03T00:12:00.000Z by mary: \"the launch\""]);
        let bytes = stage.partition.snapshot();
        assert_eq!(Partition::restore(&bytes).unwrap().snapshot(), bytes);
        assert_eq!(stage.partition.next_timer(), Some(until));
        stage.now_ms += 10 * MINUTE;
        let ended = stage.tell(Fact::Tick(Tick {}));
        assert!(ended.commands[0].by_hand.is_empty() && ended.decisions[0].at == until, "{ended:?}");
        assert_eq!(stage.refused("web-2", Act::Unprotect), "it is not protected");
    }

    #[test]
    fn a_protection_goes_with_its_server() {
        let mut stage = Stage::of_four();
        stage.act("web-2", Act::Protect { until: None });
        let lost = stage.learn(Happening::Lost { slot: slot(2), reason: "gone".to_owned() });
        assert!(lost.commands.is_empty());
        stage.ready(Slot { serial: 2, incarnation: 2 }, "id-9", "web-9");
        let next = stage.order(Order::Pause { group: "web".to_owned(), until: None });
        assert!(next.commands[0].by_hand.is_empty(), "{next:?}");
    }

    #[test]
    fn a_group_of_protected_servers_stands_over_its_target_and_says_so() {
        let mut stage = Stage::of_four();
        for name in ["web-1", "web-2", "web-3"] {
            stage.act(name, Act::Protect { until: None });
        }
        stage.set(None, Some(2), 60);
        assert_eq!(stage.row().target, 2);
        assert_eq!(stage.row().state.split(", ceiling").next(), Some("1 leaving, 1 over its target, protected"));
        stage.learn(Happening::Removed { slot: slot(4) });
        assert_eq!(stage.row().state.split(", ceiling").next(), Some("1 over its target, protected"));
        let told = explain::explain(&stage.partition, "acme", "web", stage.now_ms).unwrap();
        assert_eq!(told.by_hand.last().unwrap(), "1 server stands over the target of 2, being protected");
    }

    #[test]
    fn a_detached_server_is_told_of_until_it_is_gone_and_with_the_group() {
        let mut stage = Stage::of_four();
        let made = stage.act("web-1", Act::Detach { replace: false });
        assert_eq!((made.commands[0].target, made.commands[0].by_hand.detached.clone()), (3, [slot(1)].into()));
        let gone = stage.order(Order::Remove { group: "web".to_owned(), keep_servers: false });
        let [command] = gone.commands.as_slice() else { panic!("{gone:?}") };
        assert_eq!((command.retired, command.by_hand.detached.clone()), (Some(Retired::Delete), [slot(1)].into()));
    }

    #[test]
    fn one_that_leaves_anyway_is_detached_without_another_fall() {
        let mut stage = Stage::of_four();
        stage.learn(Happening::Leaving { slot: slot(1) });
        assert_eq!(stage.refused("web-1", Act::Remove { replace: false }), "it leaves already");
        let made = stage.act("web-1", Act::Detach { replace: false });
        assert_eq!(made.commands[0].target, 4);
    }

    #[test]
    fn an_adoption_raises_the_target_until_it_took_part_or_came_to_nothing() {
        let mut stage = Stage::of_four();
        let made = stage.act("id-77", Act::Adopt);
        assert_eq!((made.commands[0].target, made.commands[0].by_hand.adopted.len()), (5, 1));
        assert_eq!(stage.refused("id-77", Act::Adopt), "group `web` is adopting it already");
        assert_eq!(stage.refused("id-1", Act::Adopt), "it is server 1.1 of group `web` already");
        stage.learn(Happening::Building { slot: slot(5), server: "id-77".to_owned() });
        assert!(stage.ready(slot(5), "id-77", "old").commands.is_empty());
        assert_eq!(stage.refused("id-77", Act::Adopt), "it is server 5.1 of group `web` already");

        stage.act("id-78", Act::Adopt);
        assert_eq!(stage.row().target, 6);
        let reason = "no such server".to_owned();
        let given_up = stage.learn(Happening::NotAdopted { server: "id-78".to_owned(), reason });
        let [command] = given_up.commands.as_slice() else { panic!("{given_up:?}") };
        assert!((command.target, command.by_hand.is_empty()) == (5, true), "{command:?}");
        assert!(given_up.decisions[0].cause.contains("id-78 not adopted: no such server"), "{given_up:?}");
        let again = stage.learn(Happening::NotAdopted { server: "id-78".to_owned(), reason: String::new() });
        assert!(again.commands.is_empty() && stage.row().target == 5);
    }

    #[test]
    fn nobody_is_adopted_over_the_ceiling_or_the_quota() {
        let mut stage = Stage::of_four();
        stage.set(None, Some(4), 60);
        assert_eq!(stage.refused("id-77", Act::Adopt), "the group is at its ceiling of 4");
        stage.order(Order::LiftOverride { group: "web".to_owned() });
        stage.order(Order::Quota { servers: Some(4) });
        let made = stage.act("id-77", Act::Adopt);
        assert!(matches!(&made.decisions[0].outcome, Verdict::Held { guard, .. } if guard.name == GuardName::Quota));
    }

    #[test]
    fn what_names_nobody_is_refused_in_words() {
        let mut stage = Stage::of_four();
        for act in [Act::Remove { replace: false }, Act::Detach { replace: true }, Act::Protect { until: None }] {
            assert_eq!(stage.refused("web-9", act), "group `web` has no server `web-9`");
        }
        let past = Some(stage.now_ms);
        assert_eq!(stage.refused("web-1", Act::Protect { until: past }), "its end is past");
        let nowhere = Order::Server { group: "nobody".to_owned(), server: "web-1".to_owned(), act: Act::Unprotect };
        assert!(stage.order(nowhere).decisions.is_empty());
    }

    #[test]
    fn an_order_reads_back_from_its_line_and_a_command_without_any_says_nothing() {
        let mut stage = Stage::of_four();
        let order =
            Order::Server { group: "web".to_owned(), server: "web-1".to_owned(), act: Act::Remove { replace: true } };
        let control = Control { actor: "mary".to_owned(), reason: "old".to_owned(), order };
        let line = serde_json::to_string(&control).unwrap();
        assert_eq!(
            line,
            r#"{"actor":"mary","reason":"old","order":"server","group":"web","server":"web-1","act":"remove","replace":true}"#
        );
        assert_eq!(serde_json::from_str::<Control>(&line).unwrap(), control);
        let quiet = stage.order(Order::Pause { group: "web".to_owned(), until: None });
        assert!(!serde_json::to_string(&quiet.commands[0]).unwrap().contains("by_hand"));
    }
}
