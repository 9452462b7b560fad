//! A thousand groups of four servers, and the facts that come from them.
//!
//! Nothing is drawn at random, so every run sees the same log.

use weir_engine::{
    command::Command,
    event::{About, Alarm, Deploy, Event, Fact, Record, Sample, Tick, Version},
    id::{GroupUid, Slot},
    outcome::{Happening, Outcome},
    partition::Partition,
};
use weir_grammar::{policy::AlarmState, quantity::Quantity};

/// Tenants, groups of each, servers of each group.
pub const TENANTS: usize = 20;
/// See [`TENANTS`].
pub const GROUPS: usize = 50;
/// See [`TENANTS`].
pub const SERVERS: u32 = 4;
/// All groups.
pub const ALL_GROUPS: usize = TENANTS * GROUPS;
/// The log's time at its start: a Tuesday morning.
pub const START_MS: i64 = 1_795_500_000_000;

const HEAD: &str = r#"edition 2026
metric cpu.usage: percent every 1m
alarm hot: from "hot"
launch small {
  image  "debian-12"
  flavor "small"
}
"#;

const RULES: &str = r#"
  region "SIM"
  capacity 4..40
  launch small
  cooldown 60s
  rule cpu {
    track avg(cpu.usage over 5m) at 60%, within 10%
    add only
    cooldown 8m
  }
  rule quiet {
    when avg(cpu.usage over 15m) < 30% for 10m
    remove 1
    cooldown 15m
  }
  rule failing {
    when alarm hot is critical
    add 1
    cooldown 10m
  }
"#;

/// The name of a tenant.
#[must_use]
pub fn tenant(number: usize) -> String {
    format!("tenant-{number}")
}

/// What the cloud calls a server.
#[must_use]
pub fn server(tenant: usize, group: usize, serial: u32) -> String {
    format!("server-{tenant}-{group}-{serial}")
}

/// The policies of one tenant, each in a file of its own.
#[must_use]
pub fn policies(tenant_number: usize) -> Vec<Event> {
    let policy = |group: usize| {
        let name = format!("group-{group}.weir");
        let text = format!("{HEAD}group group-{group} {{{RULES}}}\n").replace("group-", "group_");
        let deploy = Deploy {
            name: name.clone(),
            text,
            setup: std::collections::BTreeMap::new(),
            capabilities: Vec::new(),
            actor: "bench".into(),
        };
        event(&name, &tenant(tenant_number), START_MS, Fact::Policy(deploy))
    };
    (0..GROUPS).map(policy).collect()
}

/// The facts that a fleet's executors would send: every server is building, then ready.
#[must_use]
pub fn servers(commands: &[Command]) -> Vec<Event> {
    let mut events = Vec::new();
    for command in commands {
        let tenant: usize = command.tenant.trim_start_matches("tenant-").parse().unwrap_or_default();
        let group: usize = command.group.trim_start_matches("group_").parse().unwrap_or_default();
        for serial in 1..=SERVERS {
            let (slot, id) = (Slot { serial, incarnation: 1 }, server(tenant, group, serial));
            let happenings = [
                Happening::Building { slot, server: id.clone() },
                Happening::Ready { slot, server: id.clone(), name: id.clone(), addresses: Vec::new() },
            ];
            for (half, happening) in happenings.into_iter().enumerate() {
                let seq = u64::from(serial - 1) * 2 + half as u64 + 1;
                let outcome = outcome(command.group.clone(), command.uid, seq, happening);
                events.push(event(&format!("{id}-{half}"), &command.tenant, START_MS, Fact::Outcome(outcome)));
            }
        }
    }
    events
}

fn outcome(group: String, uid: GroupUid, seq: u64, happening: Happening) -> Outcome {
    Outcome { group, uid, seq, happening }
}

/// One sample of the `number`-th server's turn, as pushed alone. The fleet is gone round once a minute, so the log's time
/// runs on evenly.
#[must_use]
pub fn sample(number: usize) -> Event {
    let (turn, tenant_number, group, serial) = place(number);
    let at = instant(number);
    // Between 40 and 70 percent, in a wave of twenty minutes: some rules wish, most do not.
    let wave = [55, 58, 62, 66, 69, 70, 69, 66, 62, 58, 55, 51, 47, 43, 41, 40, 41, 43, 47, 51];
    let percent = wave[turn % wave.len()] + i64::from(serial);
    let sample = Sample {
        metric: "cpu.usage".into(),
        value: Quantity(percent * Quantity::SCALE),
        at,
        about: About { server: vec![server(tenant_number, group, serial)], group: None },
    };
    event(&format!("s{number}"), &tenant(tenant_number), at, Fact::Samples(vec![sample]))
}

/// What a sample's turn says as an alarm: critical in one round, ok in the next.
#[must_use]
pub fn alarm(number: usize) -> Event {
    let (turn, tenant_number, group, serial) = place(number);
    let at = instant(number);
    let alarm = Alarm {
        name: "hot".into(),
        state: if turn.is_multiple_of(2) { AlarmState::Critical } else { AlarmState::Ok },
        at,
        about: About { server: vec![server(tenant_number, group, serial)], group: None },
        text: "bench".into(),
        numbers: std::collections::BTreeMap::new(),
    };
    event(&format!("a{number}"), &tenant(tenant_number), at, Fact::Alarm(alarm))
}

/// Which round, tenant, group and server the `number`-th fact is about. Tenants alternate, as they would.
fn place(number: usize) -> (usize, usize, usize, u32) {
    let round = ALL_GROUPS * SERVERS as usize;
    let within = number % round;
    let serial = u32::try_from(within / ALL_GROUPS).unwrap_or_default() + 1;
    (number / round, within % TENANTS, within / TENANTS % GROUPS, serial)
}

fn instant(number: usize) -> i64 {
    let round = ALL_GROUPS * SERVERS as usize;
    START_MS + i64::try_from(number * 60_000 / round).unwrap_or_default()
}

/// Nothing but the time.
#[must_use]
pub fn tick(at: i64) -> Event {
    event("tick", "", at, Fact::Tick(Tick {}))
}

fn event(id: &str, tenant: &str, time: i64, fact: Fact) -> Event {
    Event { specversion: Version::V1, id: id.into(), source: "/bench".into(), time, tenant: tenant.into(), fact }
}

/// A partition in which the whole fleet stands.
///
/// # Panics
/// Where the engine refuses a policy: then nothing would be measured.
#[must_use]
pub fn standing() -> Partition {
    let mut partition = Partition::new("bench", 0);
    let mut commands = Vec::new();
    for policy in (0..TENANTS).flat_map(policies) {
        commands.extend(apply(&mut partition, policy));
    }
    assert_eq!(commands.len(), ALL_GROUPS, "every group starts with one command");
    for outcome in servers(&commands) {
        apply(&mut partition, outcome);
    }
    partition
}

fn apply(partition: &mut Partition, event: Event) -> Vec<Command> {
    let record = Record { offset: partition.next(), appended_ms: event.time, event };
    partition.step(&record).expect("the records follow each other").commands
}
