//! So many groups that what their steps read is fetched beforehand: what they decide is the same, line by line and together.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use weir_engine::{
    event::{About, Alarm, Deploy, Event, Fact, Sample, Tick, Version},
    grammar::{policy::AlarmState, quantity::Quantity},
    id::Slot,
    outcome::{Happening, Outcome},
    partition::{Effects, Line, Partition},
};

/// More than are near all the time.
const GROUPS: i64 = 80;
const MINUTES: i64 = 12;
const START_MS: i64 = 1_790_000_040_000;

fn event(time: i64, fact: Fact) -> Event {
    let (id, source, tenant) = ("1".to_owned(), "/test".to_owned(), "acme".to_owned());
    Event { specversion: Version::V1, id, source, time, tenant, fact }
}

fn deploy(group: i64) -> Event {
    let text = format!(
        r#"edition 2026
metric cpu: percent every 1m
alarm hot: from "hot"
launch app {{
  image  "a"
  flavor "s"
}}
group g{group} {{
  region   "LON"
  capacity 1..9
  launch   app
  cooldown 1m
  limit    add 3 per 10m
  rule busy {{
    when avg(cpu over 2m) > 60%
    add 1
    cooldown 2m
  }}
  rule failing {{
    when alarm hot is critical for 30s
    add 2
    cooldown 3m
  }}
}}
"#
    );
    let (name, actor) = (format!("g{group}.weir"), "test".to_owned());
    event(START_MS, Fact::Policy(Deploy { name, text, setup: [].into(), capabilities: Vec::new(), actor }))
}

/// What a server of each group says in a minute: load that differs by group, now and then an alarm.
fn minute(minute: i64) -> impl Iterator<Item = Event> {
    (0..GROUPS).map(move |turn| {
        let group = turn * 37 % GROUPS;
        let at = START_MS + minute * 60_000 + turn * 700;
        let about = About { server: vec![format!("server-{group}")], group: None };
        let fact = if (group + minute) % 7 == 0 {
            let state = if minute % 2 == 0 { AlarmState::Critical } else { AlarmState::Ok };
            Fact::Alarm(Alarm { name: "hot".into(), state, at, about, text: String::new(), numbers: [].into() })
        } else {
            let value = Quantity::whole(group * 13 % 90).unwrap();
            Fact::Samples(vec![Sample { metric: "cpu".into(), value, at, about }])
        };
        // Somewhere a stretch without facts ends by a tick, at which the timers of all groups are due.
        if turn == 40 { event(at, Fact::Tick(Tick {})) } else { event(at, fact) }
    })
}

/// The state in which each group has its one server, made by the events that are answered.
fn standing() -> (Partition, Vec<Event>) {
    let (mut state, mut events) = (Partition::new("log", 0), Vec::new());
    let mut tell = |state: &mut Partition, event: Event| {
        state.step_line(state.next(), event.time, event.to_line().as_bytes()).unwrap();
        events.push(event);
    };
    for group in 0..GROUPS {
        tell(&mut state, deploy(group));
        let name = format!("g{group}");
        let uid = state.uid_of("acme", &name).unwrap();
        let slot = Slot { serial: 1, incarnation: 1 };
        let server = format!("server-{group}");
        let happening = Happening::Ready { slot, server, name: String::new(), addresses: Vec::new() };
        tell(&mut state, event(START_MS, Fact::Outcome(Outcome { group: name, uid, seq: 1, happening })));
    }
    (state, events)
}

#[test]
fn many_groups_decide_the_same_line_by_line_and_in_batches() {
    let (mut alone, mut events) = standing();
    let prepared = events.len();
    events.extend((1..=MINUTES).flat_map(minute));
    let texts: Vec<String> = events.iter().map(Event::to_line).collect();
    let lines: Vec<Line<'_>> = (0..)
        .zip(events.iter().zip(&texts))
        .map(|(offset, (event, text))| Line { offset, appended_ms: event.time, bytes: text.as_bytes() })
        .collect();
    let one = |line: &Line<'_>| alone.step_line(line.offset, line.appended_ms, line.bytes).unwrap();
    let expected: Vec<Effects> = lines[prepared..].iter().map(one).collect();
    let changes = expected.iter().map(|effects| effects.commands.len()).sum::<usize>();
    assert!(changes > 100, "{changes} changes: it decides hardly anything");
    for size in [lines.len(), 1, 7, 16, 50] {
        let (mut together, mut given) = (Partition::new("log", 0), Vec::new());
        for batch in lines.chunks(size) {
            together.step_lines(batch.iter().copied(), |effects| given.push(effects)).unwrap();
        }
        assert!(given[prepared..] == expected, "batches of {size} decide otherwise");
        assert_eq!(together.state_digest(), alone.state_digest(), "batches of {size}");
    }
}
