//! A restore that leaves tenants at rest: whoever is concerned is woken, and what is decided is the same as if all had been awake.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use weir_engine::{
    event::{About, Alarm, Deploy, Event, Fact, Tick, Version},
    grammar::policy::AlarmState,
    partition::{Effects, Halt, Partition},
};

const START_MS: i64 = 1_790_000_040_000;
const TENANTS: [&str; 3] = ["acme", "beta", "zeta"];
const POLICY: &str = r#"edition 2026
alarm hot: shared from "hot"
launch app {
  image  "a"
  flavor "s"
}
group web {
  region   "LON"
  capacity 1..30
  launch   app
  cooldown 1m
  rule hot {
    when alarm hot is critical for 90s
    add 2
    cooldown 3m
  }
}
"#;

fn event(tenant: &str, time: i64, fact: Fact) -> Event {
    let (id, source, tenant) = ("1".to_owned(), "/test".to_owned(), tenant.to_owned());
    Event { specversion: Version::V1, id, source, time, tenant, fact }
}

fn deploy(tenant: &str) -> Event {
    let (name, text, actor) = ("web.weir".to_owned(), POLICY.to_owned(), "test".to_owned());
    let deploy = Deploy { name, text, setup: [].into(), capabilities: Vec::new(), actor };
    event(tenant, START_MS, Fact::Policy(deploy))
}

fn alarm(tenant: &str, at: i64, state: AlarmState) -> Event {
    let (name, about) = ("hot".to_owned(), About::default());
    event(tenant, at, Fact::Alarm(Alarm { name, state, at, about, text: String::new(), numbers: [].into() }))
}

fn tick(at: i64) -> Event {
    event("", at, Fact::Tick(Tick {}))
}

/// Three policies; then an alarm of each tenant a minute after that of the one before, and ticks, by which their rules fire.
fn story() -> Vec<Event> {
    let minute = |minute: i64| START_MS + minute * 60_000;
    let mut events: Vec<Event> = TENANTS.iter().map(|tenant| deploy(tenant)).collect();
    events.extend((1..).zip(TENANTS).map(|(at, tenant)| alarm(tenant, minute(at), AlarmState::Critical)));
    events.extend((4..12).map(|at| tick(minute(at))));
    events.extend(TENANTS.map(|tenant| alarm(tenant, minute(12), AlarmState::Ok)));
    events
}

fn step(state: &mut Partition, event: &Event) -> Result<Effects, Halt> {
    state.step_line(state.next(), event.time, event.to_line().as_bytes())
}

#[test]
fn who_is_restored_at_rest_decides_the_same_from_each_record_on() {
    let (mut state, events) = (Partition::new("log", 0), story());
    let mut commands = 0;
    for (done, event) in events.iter().enumerate() {
        let bytes = state.snapshot();
        let (mut awake, mut resting) =
            (Partition::restore(&bytes).unwrap(), Partition::restore_at_rest(&bytes).unwrap());
        assert_eq!(resting.next_timer(), awake.next_timer(), "after {done}");
        for event in &events[done..] {
            assert_eq!(step(&mut resting, event), step(&mut awake, event), "restored after {done}");
            assert_eq!(resting.snapshot(), awake.snapshot(), "restored after {done}");
        }
        commands += step(&mut state, event).unwrap().commands.len();
    }
    assert!(commands > 6, "{commands} commands: it decides hardly anything");
}

/// A policy that this build cannot read stops the partition when its tenant is concerned, by a fact or by a timer alone, before
/// anything of that record is applied; until then everybody else is decided for.
#[test]
fn a_policy_that_means_nothing_to_this_build_stops_the_partition_where_it_is_needed() {
    let mut state = Partition::new("log", 0);
    for event in &story()[..4] {
        step(&mut state, event).unwrap();
    }
    // The first tenant's file, as though another build had known the word.
    let mut bytes = state.snapshot();
    let word = b"add 2";
    let at = bytes.windows(word.len()).position(|window| window == word).unwrap();
    bytes[at..at + word.len()].copy_from_slice(b"odd 2");
    let whole = Partition::restore(&bytes).unwrap_err().to_string();
    let why = "the policy `web.weir` of tenant `acme` is in force and cannot be compiled: error[E0102]";
    assert!(whole.contains(why), "{whole}");

    let mut resting = Partition::restore_at_rest(&bytes).unwrap();
    step(&mut resting, &alarm("beta", START_MS + 61_000, AlarmState::Critical)).unwrap();
    let before = resting.state_digest();
    // Ninety seconds after its alarm the rule of the first is due.
    for concerned in [alarm("acme", START_MS + 62_000, AlarmState::Ok), tick(START_MS + 151_000)] {
        let halt = step(&mut resting, &concerned).unwrap_err();
        assert!(matches!(&halt, Halt::Policy { offset: 5, .. }) && halt.to_string().contains(why), "{halt}");
        assert_eq!(resting.state_digest(), before);
    }
    step(&mut resting, &tick(START_MS + 149_000)).unwrap();
}
