//! Replays: a stretch of the log, run again from the state at its start and without what other tenants said, gives the
//! decisions that were recorded; and a record that was tampered with is found.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use proptest::prelude::*;
use weir_engine::{
    decision::Decision,
    event::{About, Alarm, Control, Deploy, Event, Fact, Force, Order, Record, Right, Sample, Tick, Version},
    grammar::{policy::AlarmState, quantity::Quantity},
    id::Position,
    partition::{Effects, Halt, Line, Partition},
    replay::{How, Replay, compare},
};

const POLICY: &str = r#"edition 2026
metric load: percent every 30s shared
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
  rule track_load {
    track avg(load per server over 2m) at 6%, within 10%
    cooldown 2m
  }
  rule hot {
    when alarm hot is critical for 30s
    add 2
    cooldown 3m
  }
  rule more {
    manual
    add 25%
  }
}
group side {
  region   "LON"
  capacity 0..9
  launch   app
  rule hot {
    when alarm hot is critical
    add 1
    cooldown 2m
  }
  rule calm {
    when avg(load over 2m) < 40% for 1m
    remove 1
    cooldown 2m
  }
}
"#;

/// What happens next, and after how many seconds.
#[derive(Clone, Debug)]
enum Step {
    Load(i64),
    Alarm(bool),
    Force,
    Pause(bool),
    Quiet,
}

fn step() -> impl Strategy<Value = (bool, i64, Step)> {
    let what = prop_oneof![
        6 => (0..120_i64).prop_map(Step::Load),
        2 => any::<bool>().prop_map(Step::Alarm),
        1 => Just(Step::Force),
        1 => any::<bool>().prop_map(Step::Pause),
        2 => Just(Step::Quiet),
    ];
    (any::<bool>(), 1..40_i64, what)
}

fn records(steps: &[(bool, i64, Step)]) -> Vec<Record> {
    let mut now_ms = 1_790_000_000_000;
    let mut records = Vec::new();
    let mut push = |now_ms: i64, tenant: &str, fact| {
        let offset = records.len() as u64;
        let tenant = tenant.to_owned();
        let (id, source) = (offset.to_string(), "/test".to_owned());
        let event = Event { specversion: Version::V1, id, source, time: now_ms, tenant, fact };
        records.push(Record { offset, appended_ms: now_ms, event });
    };
    for tenant in ["acme", "zeta"] {
        let deploy = Deploy {
            name: "app.weir".into(),
            text: POLICY.replace("image \"a\"", &format!("image \"{tenant}\"")),
            setup: [].into(),
            capabilities: Vec::new(),
            actor: "test".into(),
        };
        push(now_ms, tenant, Fact::Policy(deploy));
    }
    for (first, seconds, what) in steps {
        now_ms += seconds * 1_000;
        let about = About::default();
        let (group, actor) = ("web".to_owned(), "test".to_owned());
        let control = |order| Fact::Control(Control { actor: "test".into(), reason: String::new(), order });
        let fact = match what {
            Step::Load(percent) => Fact::Samples(vec![Sample {
                metric: "load".into(),
                value: Quantity::whole(*percent).unwrap(),
                at: now_ms,
                about,
            }]),
            Step::Alarm(critical) => {
                let state = if *critical { AlarmState::Critical } else { AlarmState::Ok };
                let (text, numbers) = (String::new(), [].into());
                Fact::Alarm(Alarm { name: "hot".into(), state, at: now_ms, about, text, numbers })
            }
            Step::Force => Fact::Force(Force { group, rule: "more".into(), by: Right::Token, actor }),
            Step::Pause(true) => control(Order::Pause { group, until: Some(now_ms + 90_000) }),
            Step::Pause(false) => control(Order::Resume { group }),
            Step::Quiet => Fact::Tick(Tick {}),
        };
        let tenant = match (&fact, first) {
            (Fact::Tick(_), _) => "",
            (_, true) => "acme",
            (_, false) => "zeta",
        };
        push(now_ms, tenant, fact);
    }
    records
}

/// What an export shows: other tenants' records are ticks.
fn shown(record: &Record, tenant: &str) -> Record {
    let mut record = record.clone();
    if record.event.tenant != tenant {
        (record.event.tenant, record.event.fact) = (String::new(), Fact::Tick(Tick {}));
    }
    record
}

fn at(record: &Record) -> Position {
    Position { partition: 0, offset: record.offset }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_stretch_of_one_tenant_stands_alone(steps in prop::collection::vec(step(), 10..120), cut in 0.0..1.0_f64, pick in any::<prop::sample::Index>()) {
        let records = records(&steps);
        let cut = ((records.len() as f64) * cut) as usize;
        let mut live = Partition::new("log", 0);
        for record in &records[..cut] {
            live.step(record).unwrap();
        }
        // As an export hands it out: through bytes, with nothing of the other tenant.
        let bytes = live.only("acme").unwrap().snapshot();
        prop_assert!(!bytes.windows(4).any(|window| window == b"zeta"));
        let mut replay = Replay::new(Partition::restore(&bytes).unwrap(), "acme", None);
        let mut made: Vec<(Record, Vec<Decision>)> = Vec::new();
        for record in &records[cut..] {
            let recorded: Vec<Decision> =
                live.step(record).unwrap().decisions.into_iter().filter(|one| one.tenant == "acme").collect();
            let replayed = replay.step(&shown(record, "acme")).unwrap();
            prop_assert_eq!(compare(at(record), &recorded, &replayed), None);
            made.push((record.clone(), recorded));
        }
        // One decision is changed, one is taken away, one is added: each is found, where it is.
        let full: Vec<&(Record, Vec<Decision>)> = made.iter().filter(|(_, decisions)| !decisions.is_empty()).collect();
        if !full.is_empty() {
            let (record, decisions) = pick.get(&full);
            let mut changed = decisions.clone();
            changed[0].to += 1;
            let found = compare(at(record), &changed, decisions).unwrap();
            prop_assert_eq!(found.at, at(record));
            prop_assert!(matches!(found.how, How::Other { ref field, .. } if field == "to"), "{}", found);
            let found = compare(at(record), &decisions[1..], decisions).unwrap();
            prop_assert_eq!(found.at, at(record));
            let mut more = decisions.clone();
            more.push(decisions[0].clone());
            let found = compare(at(record), &more, decisions).unwrap();
            prop_assert!(matches!(found.how, How::NotMade { .. }), "{}", found);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What is fetched of memory beforehand decides nothing.
    #[test]
    fn lines_decide_the_same_one_by_one_and_in_batches(
        steps in prop::collection::vec(step(), 1..80),
        sizes in prop::collection::vec(1..40_usize, 1..5),
    ) {
        let records = records(&steps);
        let texts: Vec<String> = records.iter().map(|record| record.event.to_line()).collect();
        let lines: Vec<Line<'_>> = records
            .iter()
            .zip(&texts)
            .map(|(record, text)| Line { offset: record.offset, appended_ms: record.appended_ms, bytes: text.as_bytes() })
            .collect();
        let mut alone = Partition::new("log", 0);
        let expected: Vec<Effects> =
            lines.iter().map(|line| alone.step_line(line.offset, line.appended_ms, line.bytes).unwrap()).collect();
        let (mut together, mut given, mut rest) = (Partition::new("log", 0), Vec::new(), lines.as_slice());
        for size in sizes.into_iter().cycle() {
            let batch = rest.split_off(..size.min(rest.len())).unwrap();
            together.step_lines(batch.iter().copied(), |effects| given.push(effects)).unwrap();
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(given, expected);
        prop_assert_eq!(together.state_digest(), alone.state_digest());
        // One that cannot be read ends the batch, and what came before it stands.
        let unreadable = Line { offset: together.next() + 1, appended_ms: 0, bytes: b"{}" };
        let tick = Event { specversion: Version::V1, id: String::new(), source: "/test".into(), time: 0, tenant: String::new(), fact: Fact::Tick(Tick {}) }.to_line();
        let readable = Line { offset: together.next(), appended_ms: 0, bytes: tick.as_bytes() };
        let mut before = 0;
        let halt = together.step_lines([readable, unreadable], |_| before += 1).unwrap_err();
        prop_assert!(matches!(halt, Halt::Unreadable { offset, .. } if offset == unreadable.offset), "{halt}");
        prop_assert_eq!((before, together.next()), (1, unreadable.offset));
    }
}

#[test]
fn the_stretches_of_the_property_do_decide_something() {
    let mut live = Partition::new("log", 0);
    let steps: Vec<_> = (0..60)
        .map(|at| (at % 3 > 0, 20, if at % 7 == 0 { Step::Alarm(at < 30) } else { Step::Load(90 - at) }))
        .collect();
    let made = records(&steps).iter().map(|record| live.step(record).unwrap().decisions.len()).sum::<usize>();
    assert!(made > 10, "{made} decisions");
}
