//! A recorded stretch as a test.

use crate::world::{Export, MINUTE_MS, START_MS, World};
use weir_engine::{
    event::{Control, Fact, Force, Order, Right},
    grammar::{check, policy::AlarmState},
    record::{Asked, Error, Recording, record},
    rehearse::rehearse,
};

const POLICY: &str = r#"edition 2026
metric cpu.usage: percent every 1m
alarm web_5xx: from "web-5xx"
launch web {
  image  "web-1"
  flavor "small"
}
group web {
  region   "LON"
  capacity 2..20
  launch   web
  cooldown 1m
  warmup   0s
  rule cpu {
    when avg(cpu.usage over 3m) > 60%
    add 1
    cooldown 6m
  }
  rule failing {
    when alarm web_5xx is critical on 2 servers for 90s
    add 3
    cooldown 10m
  }
  rule quiet {
    when avg(cpu.usage over 5m) < 30% for 3m
    remove 1
    cooldown 8m
  }
  rule surge {
    webhook "surge"
    add 2
  }
}
"#;

fn asked(world: &World, from: i64, until: i64) -> Result<Recording, Error> {
    let export = Export::of(&world.records, 0);
    let (from_ms, until_ms) = (START_MS + from * MINUTE_MS, START_MS + until * MINUTE_MS);
    record(&Asked { stretch: export.stretch(), group: "web", from_ms, until_ms, text: None })
}

/// Whatever comes out passes: with the policy, as a file of its own.
fn passes(recording: &Recording) {
    let file = format!("{POLICY}\n{}", recording.block);
    let policy = check("web.weir", &file).policy.unwrap_or_else(|| panic!("{}", recording.block));
    for test in rehearse(&policy, &file) {
        assert!(test.failures.is_empty(), "{:?}\n{}", test.failures, recording.block);
    }
}

#[test]
fn a_hot_quarter_of_an_hour() {
    let mut world = World::new(POLICY, "web", 1_000);
    for minute in 0..45 {
        world.minute(if minute < 20 { 80 } else { 180 });
    }
    let recording = asked(&world, 18, 30).unwrap();
    passes(&recording);
    assert_eq!((recording.recorded, recording.same), (1, 1), "{}", recording.block);
    insta::assert_snapshot!(recording.block);
}

#[test]
fn alarms_forces_and_pauses_are_in_it() {
    let mut world = World::new(POLICY, "web", 1_000);
    for minute in 0..60 {
        let servers = world.ready();
        let control = |order| Fact::Control(Control { actor: "ops".into(), reason: String::new(), order });
        match minute {
            21 => {
                world.alarm(&servers[1], AlarmState::Critical);
                world.run_to(world.now_ms + 20_000);
                world.alarm(&servers[0], AlarmState::Critical);
            }
            26 => world.alarm(&servers[1], AlarmState::Ok),
            28 => {
                let (group, rule, actor) = ("web".into(), "surge".into(), "ops".into());
                world.tell(Fact::Force(Force { group, rule, by: Right::Token, actor }));
            }
            30 => world.tell(control(Order::Pause { group: "web".into(), until: Some(world.now_ms + 5 * MINUTE_MS) })),
            _ => {}
        }
        let begins = START_MS + minute * MINUTE_MS;
        world.minute(if minute < 45 { 100 + world.ready().len() as i64 } else { 40 });
        world.run_to(begins + MINUTE_MS);
    }
    let recording = asked(&world, 20, 40).unwrap();
    passes(&recording);
    assert_eq!(recording.recorded, recording.same, "{}", recording.block);
    insta::assert_snapshot!(recording.block);
}

#[test]
fn what_a_test_cannot_say_is_said() {
    // Nothing was added any more, since somebody forbade it; a test knows nobody who does.
    let slow = POLICY.replace("when avg(cpu.usage over 3m) > 60%\n    add 1", "track avg(cpu.usage over 3m) at 60%");
    let mut world = World::new(&slow, "web", 400_000);
    for minute in 0..60 {
        if minute == 25 {
            let order = Order::KillSwitch { region: String::new(), adding: true, removing: false, until: None };
            world.tell(Fact::Control(Control { actor: "ops".into(), reason: String::new(), order }));
        }
        world.minute(if minute < 20 { 110 } else { 500 });
    }
    let export = Export::of(&world.records, 0);
    let (from_ms, until_ms) = (START_MS + 18 * MINUTE_MS, START_MS + 50 * MINUTE_MS);
    let recording = record(&Asked { stretch: export.stretch(), group: "web", from_ms, until_ms, text: None }).unwrap();
    assert!(recording.notes.iter().any(|note| note.contains("kill switch")), "{:#?}", recording.notes);
    assert!(recording.notes.iter().any(|note| note.contains("which was not recorded")), "{:#?}", recording.notes);
    let file = format!("{slow}\n{}", recording.block);
    let policy = check("web.weir", &file).policy.unwrap();
    assert!(rehearse(&policy, &file).iter().all(|test| test.failures.is_empty()), "{}", recording.block);
}

#[test]
fn nothing_there_is_no_test() {
    let mut world = World::new(POLICY, "web", 1_000);
    world.minute(100);
    assert_eq!(asked(&world, 3, 3), Err(Error::Empty));
    assert_eq!(asked(&world, -30, -20), Err(Error::NoGroup("web".into())));
}
