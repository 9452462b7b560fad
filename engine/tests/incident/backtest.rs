//! A recorded stretch under another policy.

use crate::world::{Export, MINUTE_MS, START_MS, World};
use proptest::prelude::*;
use weir_engine::{
    backtest::{Error, Load, Run, Settings, run},
    event::{Deploy, Fact, Record},
    grammar::{policy::AlarmState, quantity::Quantity},
};

pub const POLICY: &str = r#"edition 2026
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
  warmup   1m
  rule cpu {
    track avg(cpu.usage over 3m) at 60%, within 10%
    add only
    cooldown 5m
  }
  rule failing {
    when alarm web_5xx is critical on 2 servers for 1m
    add 2
    cooldown 10m
  }
  rule outage {
    when count(server.lost over 10m) >= 2
    raise to 9
    cooldown 30m
  }
  rule quiet {
    when avg(cpu.usage over 5m) < 30% for 3m
    remove 1
    cooldown 4m
  }
}
"#;

const BUILD_MS: i64 = 95_000;

fn run_with(export: &Export, policy: &str, load: Load) -> Run {
    run(&export.stretch(), policy, &Settings { build_ms: Some(BUILD_MS), load }).unwrap()
}

/// The targets of a run of the one group, from each instant on.
fn targets(run: &Run) -> Vec<(i64, u32)> {
    run.groups[0].targets.clone()
}

#[derive(Clone, Debug)]
enum Minute {
    Load(i64),
    Critical(usize),
    Ok(usize),
    Lost,
}

fn minutes() -> impl Strategy<Value = Vec<Minute>> {
    let minute = prop_oneof![
        8 => (10..900_i64).prop_map(Minute::Load),
        1 => (0..3_usize).prop_map(Minute::Critical),
        1 => (0..3_usize).prop_map(Minute::Ok),
        1 => Just(Minute::Lost),
    ];
    prop::collection::vec(minute, 20..90)
}

fn world(minutes: &[Minute]) -> World {
    let mut world = World::new(POLICY, "web", BUILD_MS);
    let mut load = 150;
    for minute in minutes {
        let server = |place: &usize| world.ready().get(*place).cloned();
        match minute {
            Minute::Load(next) => load = *next,
            Minute::Critical(place) => drop(server(place).map(|name| world.alarm(&name, AlarmState::Critical))),
            Minute::Ok(place) => drop(server(place).map(|name| world.alarm(&name, AlarmState::Ok))),
            Minute::Lost if !world.ready().is_empty() => world.lose(),
            Minute::Lost => {}
        }
        world.minute(load);
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Under the policy that was in force, with servers that came as they come here, a backtest decides what was
    /// decided: from wherever it starts.
    #[test]
    fn the_policy_in_force_does_again_what_it_did(minutes in minutes(), cut in 0.0..1.0_f64) {
        let world = world(&minutes);
        let cut = ((world.records.len() as f64) * cut) as usize;
        let export = Export::of(&world.records, cut);
        let made = run_with(&export, POLICY, Load::Spread);
        let begins = export.start.t();
        let since = |at: i64, from: u32, to: u32| (at > begins && from != to).then_some((at, to));
        let recorded: Vec<_> = world.decisions.iter().filter_map(|made| since(made.at, made.from, made.to)).collect();
        let again = &made.groups[0].decisions;
        let again: Vec<_> = again.iter().filter_map(|why| since(why.decision.at, why.decision.from, why.decision.to)).collect();
        prop_assert_eq!(again, recorded);
        // And so twice is no difference at all.
        prop_assert_eq!(&made, &run_with(&export, POLICY, Load::Spread));
    }
}

#[test]
fn the_stretches_of_the_property_do_change_something() {
    let minutes: Vec<Minute> = (0..60).map(|at| Minute::Load(if at < 30 { 400 } else { 40 })).collect();
    let world = world(&minutes);
    let changes = world.decisions.iter().filter(|decision| decision.from != decision.to).count();
    assert!(changes > 5, "{changes} changes");
    let figures = &run_with(&Export::of(&world.records, 0), POLICY, Load::Spread).groups[0].figures;
    assert_eq!(figures.changes as usize, changes);
    assert_eq!((figures.low, figures.peak), (2, 7));
}

/// Twenty minutes at 240 % and forty at 480 %.
fn hot_hour() -> Export {
    let mut world = World::new(POLICY, "web", BUILD_MS);
    for minute in 0..60 {
        world.minute(if minute < 20 { 200 } else { 480 });
    }
    Export::of(&world.records, 0)
}

#[test]
fn the_whole_load_stays_as_it_was() {
    let export = hot_hour();
    // A higher goal wants fewer servers, each of which then has more of the same load.
    let calmer = POLICY.replace("at 60%", "at 80%");
    let spread = run_with(&export, &calmer, Load::Spread);
    let size = targets(&spread).last().unwrap().1;
    assert_eq!(size, 6);
    let value = spread.groups[0].series[0].points.last().unwrap().1;
    assert_eq!(value, Some(Quantity(80 * Quantity::SCALE)));
    // As recorded, each of the six measures what each of the eight did.
    let recorded = run_with(&export, &calmer, Load::AsRecorded);
    assert_eq!(recorded.groups[0].series[0].points.last().unwrap().1, Some(Quantity(60 * Quantity::SCALE)));
}

#[test]
fn figures_are_integrals() {
    let export = hot_hour();
    let made = run_with(&export, POLICY, Load::Spread);
    let course = &made.groups[0];
    let mut server_ms = 0;
    for (at, pair) in course.targets.iter().enumerate() {
        let until = course.targets.get(at + 1).map_or(course.ended_ms, |next| next.0);
        server_ms += (until - pair.0) * i64::from(pair.1);
    }
    assert_eq!(course.figures.server_ms, server_ms);
    assert_eq!(course.ended_ms - START_MS, 60 * MINUTE_MS);
    let over: Vec<&str> = course.figures.over_ms.iter().map(|(rule, _)| rule.as_str()).collect();
    assert_eq!(over, ["cpu", "failing", "outage"], "every adding rule, and no other");
    let cpu = course.figures.over_ms[0].1;
    assert!(cpu > 2 * MINUTE_MS && cpu < 20 * MINUTE_MS, "{cpu}");
    assert_eq!(course.figures.over_ms[1].1, 0);
}

#[test]
fn a_change_taken_back_is_a_reversal() {
    let mut world = World::new(POLICY, "web", BUILD_MS);
    for minute in 0..60 {
        world.minute(if minute < 15 { 480 } else { 60 });
    }
    let made = run_with(&Export::of(&world.records, 0), POLICY, Load::Spread);
    assert_eq!(made.groups[0].figures.reversals, 1, "{:?}", targets(&made));
}

#[test]
fn builds_take_what_they_took() {
    let export = hot_hour();
    let made = run(&export.stretch(), POLICY, &Settings::default()).unwrap();
    assert_eq!(made.build_ms, BUILD_MS);
    assert!(made.builds >= 8, "{}", made.builds);
    // Where none was seen, one is assumed and said to be.
    let quiet = Export { records: export.records[..1].to_vec(), ..export };
    assert_eq!(run(&quiet.stretch(), POLICY, &Settings::default()).unwrap().builds, 0);
}

#[test]
fn what_does_not_fit_is_refused() {
    let export = hot_hour();
    let other = POLICY.replace("group web {", "group shop {");
    assert_eq!(run(&export.stretch(), &other, &Settings::default()), Err(Error::NoGroup("`shop`".into())));
    let wrong = POLICY.replace("2..20", "20..2");
    assert!(matches!(run(&export.stretch(), &wrong, &Settings::default()), Err(Error::Policy(_))));
    // A file that loses a group is refused in a backtest as it is in a deploy (rule 21).
    let side = POLICY.replace("group web {", "group side {\n  region \"LON\"\n  capacity 1..2\n  launch web\n  rule one {\n    manual\n    add 1\n  }\n}\n\ngroup web {");
    let mut world = World::new(&side, "web", BUILD_MS);
    world.minute(100);
    let export = Export::of(&world.records, world.records.len() - 1);
    let refused = run(&export.stretch(), POLICY, &Settings::default());
    assert!(matches!(&refused, Err(Error::Refused(why)) if why.contains("`side`")), "{refused:?}");
}

#[test]
fn a_deploy_within_the_stretch_is_left_out_and_said() {
    let mut export = hot_hour();
    let last = export.records.last().unwrap().clone();
    let text = POLICY.replace("2..20", "12..20");
    let (name, setup, capabilities, actor) = ("web.weir".into(), [].into(), Vec::new(), "test".into());
    let fact = Fact::Policy(Deploy { name, text, setup, capabilities, actor });
    let event = weir_engine::event::Event { fact, tenant: crate::world::TENANT.into(), ..last.event };
    export.records.push(Record { offset: last.offset + 1, appended_ms: last.appended_ms, event });
    let made = run_with(&export, POLICY, Load::Spread);
    assert_eq!(targets(&made).last().unwrap().1, 8);
    assert_eq!(made.left_out, ["1 × a deploy of the policy itself"]);
}
