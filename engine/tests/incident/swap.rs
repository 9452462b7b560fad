//! A replay with another policy than the recorded one.

use crate::{
    backtest::POLICY,
    world::{Export, TENANT, World},
};
use weir_engine::{backtest::Error, decision::Decision, replay::Replay};

fn recorded() -> World {
    let mut world = World::new(POLICY, "web", 95_000);
    for minute in 0..60 {
        world.minute(if minute < 20 { 200 } else { 480 });
    }
    world
}

fn replayed(export: &Export, text: &str) -> Vec<Decision> {
    let mut replay = Replay::new(export.start.clone(), TENANT, None);
    let mut made = replay.swap(text).unwrap();
    for record in &export.records {
        assert_eq!(replay.next(), record.offset);
        made.extend(replay.step(record).unwrap());
    }
    made
}

#[test]
fn the_same_policy_decides_the_same_at_the_same_positions() {
    let world = recorded();
    let told = |decisions: &[Decision]| -> Vec<_> {
        let changes = decisions.iter().filter(|decision| decision.from != decision.to);
        changes.map(|decision| (decision.position, decision.at, decision.to)).collect()
    };
    // From the first record the recorded deploy is replaced, from a later one the policy comes before what follows.
    for from in [0, 1, 8] {
        let export = Export::of(&world.records, from);
        let after: Vec<Decision> =
            world.decisions.iter().filter(|made| made.position.offset >= from as u64).cloned().collect();
        assert!(told(&after).len() > 1);
        assert_eq!(told(&replayed(&export, POLICY)), told(&after), "from {from}");
    }
}

#[test]
fn another_policy_decides_otherwise_and_a_wrong_one_not_at_all() {
    let world = recorded();
    let export = Export::of(&world.records, 8);
    let higher = replayed(&export, &POLICY.replace("2..20", "4..20"));
    assert_eq!((higher[0].from, higher[0].to), (2, 4), "a raised floor is met at once");
    let mut replay = Replay::new(export.start.clone(), TENANT, None);
    assert!(matches!(replay.swap("edition"), Err(Error::Policy(_))));
    assert!(matches!(replay.swap(&POLICY.replace("group web", "group shop")), Err(Error::NoGroup(_))));
}
