//! The speeds that are promised, each as a ratio within one run against a floor: `serde_json` into a borrowed struct plus
//! the condition written by hand in Rust, on one core. F1, F3, F4, F6, F7 and F10 by the names they have in the README.

use super::{each_second, rate, say};
use serde::Deserialize;
use std::{fmt::Write as _, fs};
use weir_engine::{
    event::{About, Alarm, Deploy, Event, Fact, Sample, Tick, Version},
    id::Slot,
    outcome::{Happening, Outcome},
    partition::Partition,
};
use weir_grammar::{policy::AlarmState, quantity::Quantity};

/// Facts of one round.
const FACTS: usize = 200_000;
/// Groups of a tenant, all in one file.
const GROUPS_PER_FILE: usize = 50;
/// A Tuesday, a little after midnight in UTC.
const START_MS: i64 = 1_795_478_400_000 + 600_000;

/// Prints every promise that a single process can show. `large` is the larger number of groups.
pub fn run(large: usize) {
    println!(
        "promises: medians of {} rounds, floor = serde_json into a borrowed struct + the condition by hand",
        super::ROUNDS
    );
    let small = Fleet::new(1_000);
    let alarms = small.lines(FACTS, |fleet, number| fleet.alarm(number));
    let mixed = small.lines(FACTS, Fleet::mixed);
    let floor = rate(|| alarms.iter().filter(|(_, line)| floor_alarm(line)).count() + alarms.len());
    let ours = small.rate(&alarms);
    say("F1 alarm: JSON to decision", &each_second(ours), &format!("{:.2} of the floor; promised 1.5", ours / floor));
    let floor = rate(|| mixed.iter().filter(|(_, line)| floor_fact(line)).count() + mixed.len());
    let small_rate = small.rate(&mixed);
    say(
        "F3 samples, windows, alarms: 1,000 groups",
        &each_second(small_rate),
        &format!("{:.2} of the floor; promised 1.0", small_rate / floor),
    );
    let bytes_before = resident();
    let big = Fleet::new(large);
    let grown = resident().saturating_sub(bytes_before);
    let lines = big.lines(FACTS.max(large * 2), Fleet::mixed);
    let big_rate = big.rate(&lines);
    let cost = small_rate / big_rate;
    say(
        &format!("F4 the same: {large} groups"),
        &each_second(big_rate),
        &format!("{cost:.2} times the cost; promised 1.25 at 1,000,000"),
    );
    say(
        "F6 memory",
        &format!("{} B a group", grown / large.max(1)),
        "promised 128 B a group and 12 B a pane of a series",
    );
    drop((big, lines));
    a_day();
    schedules();
}

/// F7: a day of a million events, decided again from its lines.
fn a_day() {
    let fleet = Fleet::new(100);
    let events = 1_000_000;
    let lines: Vec<(i64, String)> = (0..events)
        .map(|number| {
            let event = Event { time: START_MS + (number as i64) * 86_400_000 / events as i64, ..fleet.mixed(number) };
            (event.time, at_its_time(event).to_line())
        })
        .collect();
    let ours = fleet.rate(&lines);
    let seconds = events as f64 / ours;
    say("F7 a day of a million events", &format!("{seconds:.2} s"), "promised under 1 s");
}

/// Puts the sender's time where the event's is.
fn at_its_time(mut event: Event) -> Event {
    let time = event.time;
    match &mut event.fact {
        Fact::Samples(samples) => samples.iter_mut().for_each(|sample| sample.at = time),
        Fact::Alarm(alarm) => alarm.at = time,
        _ => {}
    }
    event
}

/// F10: a million schedules due at the same second.
fn schedules() {
    let (groups, rules) = (15_625, 64);
    let mut text = String::new();
    for rule in 0..rules {
        // Writing to a string does not fail.
        let _ = write!(text, "  rule r{rule} {{\n    cron \"0 1 * * *\"\n    raise to 2\n  }}\n");
    }
    let standing = Fleet::with_rules(groups, &text).partition;
    let due = (START_MS / 86_400_000) * 86_400_000 + 3_600_000;
    let decided = rate(|| {
        let mut partition = standing.clone();
        let mut at = partition.t();
        let mut records = 0;
        while at < due || partition.next_timer().is_some_and(|timer| timer <= due) {
            // No gap in the log's time, as the worker's ticks leave none.
            at = (at + 60_000).min(due);
            let tick = event("", at, Fact::Tick(Tick {})).to_line();
            let _ = partition.step_line(partition.next(), at, tick.as_bytes());
            records += 1;
        }
        assert!(records > groups / 4_096, "they are decided in several records");
        groups * rules
    });
    say("F10 a million schedules at one second", &each_second(decided), "promised 1,000,000/s");
}

/// Groups with servers, standing.
struct Fleet {
    groups: usize,
    partition: Partition,
}

const RULES: &str = r"
  rule hot {
    when avg(cpu.usage over 5m) > 80%
    add 1
    cooldown 5m
  }
  rule alarmed {
    when alarm hot is critical for 1m
    add 2
    cooldown 10m
  }
  rule quiet {
    when avg(cpu.usage over 5m) < 20% for 10m
    remove 1
    cooldown 5m
  }
";

impl Fleet {
    fn new(groups: usize) -> Self {
        Self::with_rules(groups, RULES)
    }

    fn with_rules(groups: usize, rules: &str) -> Self {
        let mut fleet = Self { groups, partition: Partition::new("bench", 0) };
        for file in 0..groups.div_ceil(GROUPS_PER_FILE) {
            let mut text = String::from(
                "edition 2026\nmetric cpu.usage: percent every 1m\nalarm hot: from \"hot\"\nlaunch small {\n  image \"debian\"\n  flavor \"small\"\n}\n",
            );
            let members = file * GROUPS_PER_FILE..groups.min((file + 1) * GROUPS_PER_FILE);
            for group in members.clone() {
                let _ = write!(
                    text,
                    "group g{group} {{\n  region \"LON\"\n  capacity 1..40\n  launch small\n  cooldown 1m\n{rules}}}\n"
                );
            }
            let deploy = Deploy {
                name: "policy.weir".into(),
                text,
                setup: std::collections::BTreeMap::new(),
                capabilities: Vec::new(),
                actor: "bench".into(),
            };
            let tenant = tenant(file * GROUPS_PER_FILE);
            fleet.tell(event(&tenant, START_MS, Fact::Policy(deploy)));
            for group in members {
                let (name, server) = (format!("g{group}"), format!("server-{group}"));
                let uid = fleet.partition.uid_of(&tenant, &name).expect("the policy is in force");
                let slot = Slot { serial: 1, incarnation: 1 };
                let happening = Happening::Ready { slot, server, name: String::new(), addresses: Vec::new() };
                fleet.tell(event(&tenant, START_MS, Fact::Outcome(Outcome { group: name, uid, seq: 1, happening })));
            }
        }
        fleet
    }

    fn tell(&mut self, event: Event) {
        let (offset, line) = (self.partition.next(), event.to_line());
        self.partition.step_line(offset, event.time, line.as_bytes()).expect("the records follow each other");
    }

    /// Which group the `number`-th fact is about; a stride of a prime, so that neighbours in time are strangers in memory.
    fn group(&self, number: usize) -> usize {
        number.wrapping_mul(7_919) % self.groups
    }

    /// Every group speaks once a minute.
    fn instant(&self, number: usize) -> i64 {
        START_MS + i64::try_from(number * 60_000 / self.groups).unwrap_or_default()
    }

    fn about(&self, number: usize) -> (String, About) {
        let group = self.group(number);
        (tenant(group), About { server: vec![format!("server-{group}")], group: None })
    }

    fn sample(&self, number: usize) -> Event {
        let ((tenant, about), at) = (self.about(number), self.instant(number));
        let value = Quantity((40 + (number % 17) as i64) * Quantity::SCALE);
        event(&tenant, at, Fact::Samples(vec![Sample { metric: "cpu.usage".into(), value, at, about }]))
    }

    fn alarm(&self, number: usize) -> Event {
        let ((tenant, about), at) = (self.about(number), self.instant(number));
        // Critical for less than the minute that the rule waits for: evaluated each time, acted on never.
        let state = if (number / self.groups).is_multiple_of(2) { AlarmState::Ok } else { AlarmState::Warning };
        let (name, text, numbers) = ("hot".into(), String::new(), std::collections::BTreeMap::new());
        event(&tenant, at, Fact::Alarm(Alarm { name, state, at, about, text, numbers }))
    }

    /// Nine samples and one alarm.
    fn mixed(&self, number: usize) -> Event {
        if number % 10 == 9 { self.alarm(number) } else { self.sample(number) }
    }

    fn lines(&self, facts: usize, make: impl Fn(&Self, usize) -> Event) -> Vec<(i64, String)> {
        (0..facts).map(|number| make(self, number)).map(|event| (event.time, event.to_line())).collect()
    }

    /// How many lines a second are decided.
    fn rate(&self, lines: &[(i64, String)]) -> f64 {
        let mut rates = Vec::new();
        for _ in 0..super::ROUNDS {
            let mut partition = self.partition.clone();
            let started = std::time::Instant::now();
            for (offset, (time, line)) in (partition.next()..).zip(lines) {
                let effects = partition.step_line(offset, *time, line.as_bytes());
                assert!(effects.is_ok_and(|effects| effects.commands.is_empty()), "a quiet load was meant");
            }
            rates.push(super::per_second(lines.len(), started.elapsed()));
        }
        rates.sort_by(f64::total_cmp);
        rates[super::ROUNDS / 2]
    }
}

fn tenant(group: usize) -> String {
    format!("tenant-{}", group / GROUPS_PER_FILE)
}

fn event(tenant: &str, time: i64, fact: Fact) -> Event {
    Event { specversion: Version::V1, id: "1".into(), source: "/bench".into(), time, tenant: tenant.into(), fact }
}

/// Resident memory of this process in bytes; 0 where the system does not say.
fn resident() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4_096
}

/// What a hand-written rule would read of an alarm.
#[derive(Deserialize)]
struct AlarmLine<'a> {
    #[serde(borrow)]
    tenant: &'a str,
    data: AlarmData<'a>,
}

#[derive(Deserialize)]
struct AlarmData<'a> {
    name: &'a str,
    state: &'a str,
    at: &'a str,
    #[serde(borrow)]
    server: [&'a str; 1],
}

/// What a hand-written rule would read of a sample.
#[derive(Deserialize)]
struct SampleLine<'a> {
    #[serde(borrow)]
    tenant: &'a str,
    data: [SampleData<'a>; 1],
}

#[derive(Deserialize)]
struct SampleData<'a> {
    metric: &'a str,
    value: i64,
    at: &'a str,
    #[serde(borrow)]
    server: [&'a str; 1],
}

fn floor_alarm(line: &str) -> bool {
    serde_json::from_str::<AlarmLine<'_>>(line).is_ok_and(|line| {
        let AlarmData { name, state, at, server: [server] } = line.data;
        std::hint::black_box((line.tenant, at, server));
        name == "hot" && state == "critical"
    })
}

fn floor_fact(line: &str) -> bool {
    match serde_json::from_str::<SampleLine<'_>>(line) {
        Ok(SampleLine { tenant, data: [SampleData { metric, value, at, server: [server] }] }) => {
            std::hint::black_box((tenant, at, server));
            metric == "cpu.usage" && value > 80 * Quantity::SCALE
        }
        Err(_) => floor_alarm(line),
    }
}
