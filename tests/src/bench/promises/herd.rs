//! Groups with servers, standing in one partition, and the facts that come from them minute by minute.
//!
//! Every server speaks once a minute: a sample, or in one minute of ten an alarm. Each group looks at each pane edge and
//! at each alarm; nothing of the load is left out, but nobody has a reason to act, as is so of most groups at most times.

use crate::bench::clock::Took;
use std::fmt::Write as _;
use weir_engine::{
    event::{About, Alarm, Deploy, Event, Fact, Sample, Version},
    id::Slot,
    outcome::{Happening, Outcome},
    partition::{self, Effects, Partition},
};
use weir_grammar::{policy::AlarmState, quantity::Quantity};

/// Groups of a tenant, all in one file.
const GROUPS_PER_FILE: usize = 50;
/// A Tuesday, ten minutes after midnight in UTC.
pub const START_MS: i64 = 1_795_478_400_000 + 600_000;
/// A minute, milliseconds.
const MINUTE_MS: i64 = 60_000;

/// Two look-backs over samples, an alarm by a number of servers, hours of business, a limit and cooldowns.
pub const RULES: &str = r#"
  limit add 12 per 10m
  window business_hours {
    cron "0 7 * * MON-FRI" lasting 12h
    capacity 1..40
  }
  rule hot {
    when avg(cpu.usage over 5m) > 80%
    add 1
    cooldown 5m
  }
  rule failing {
    when alarm hot is critical on 2 servers for 90s
    add 2
    cooldown 10m
  }
  rule quiet {
    when avg(cpu.usage over 10m) < 20% for 10m
    remove 1
    cooldown 15m
  }
"#;

/// A line of the log.
pub struct Line {
    /// The log's clock when it was appended.
    pub at_ms: i64,
    /// Whether it is an alarm, else a sample.
    pub alarm: bool,
    /// The line.
    pub text: String,
}

/// Which facts come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// Alarms alone, each of which is an evaluation.
    Alarms,
    /// Nine samples to one alarm.
    Mixed,
}

/// Groups with servers.
pub struct Herd {
    groups: usize,
    /// Of each group.
    servers: usize,
    /// Facts so far.
    told: usize,
    /// The log's time at its start.
    start_ms: i64,
    partition: Partition,
}

impl Herd {
    /// A herd in which every server is ready.
    ///
    /// # Panics
    /// Where the engine refuses a policy: then nothing would be measured.
    #[must_use]
    pub fn new(groups: usize, servers: usize, rules: &str) -> Self {
        Self::starting(START_MS, groups, servers, rules)
    }

    /// As [`Herd::new`], at another time than [`START_MS`].
    ///
    /// # Panics
    /// As there.
    #[must_use]
    pub fn starting(start_ms: i64, groups: usize, servers: usize, rules: &str) -> Self {
        let mut herd = Self { groups, servers, told: 0, start_ms, partition: Partition::new("bench", 0) };
        for file in 0..groups.div_ceil(GROUPS_PER_FILE) {
            let members = file * GROUPS_PER_FILE..groups.min((file + 1) * GROUPS_PER_FILE);
            let tenant = tenant(members.start);
            herd.deploy(&tenant, policy(members.clone(), servers, rules));
            members.for_each(|group| herd.fill(&tenant, group));
        }
        herd
    }

    fn deploy(&mut self, tenant: &str, text: String) {
        let deploy = Deploy {
            name: "policy.weir".into(),
            text,
            setup: std::collections::BTreeMap::new(),
            capabilities: Vec::new(),
            actor: "bench".into(),
        };
        self.tell(event(tenant, self.start_ms, Fact::Policy(deploy)));
    }

    fn fill(&mut self, tenant: &str, group: usize) {
        let name = format!("g{group}");
        let uid = self.partition.uid_of(tenant, &name).expect("the policy is in force");
        for (serial, seq) in (1..).zip(1..=self.servers as u64) {
            let slot = Slot { serial, incarnation: 1 };
            let server = server(group, seq as usize - 1);
            let happening = Happening::Ready { slot, server, name: String::new(), addresses: Vec::new() };
            let outcome = Outcome { group: name.clone(), uid, seq, happening };
            self.tell(event(tenant, self.start_ms, Fact::Outcome(outcome)));
        }
    }

    fn tell(&mut self, event: Event) {
        let (offset, line) = (self.partition.next(), event.to_line());
        self.partition.step_line(offset, event.time, line.as_bytes()).expect("the records follow each other");
    }

    /// The state.
    #[must_use]
    pub fn partition(&self) -> &Partition {
        &self.partition
    }

    /// Facts of a minute.
    #[must_use]
    pub fn a_minute(&self) -> usize {
        self.groups * self.servers
    }

    /// The next `facts` lines, in the order of their time.
    pub fn lines(&mut self, facts: usize, load: Load) -> Vec<Line> {
        let from = self.told;
        self.told += facts;
        (from..self.told).map(|number| self.line(number, load)).collect()
    }

    fn line(&self, number: usize, load: Load) -> Line {
        let (minute, within) = (number / self.a_minute(), number % self.a_minute());
        // Strides that share no divisor with any number of groups used here, so that neighbours in time are strangers in
        // memory.
        let group = within.wrapping_mul(7_919) % self.groups;
        let serial = within / self.groups;
        let at = self.start_ms + MINUTE_MS + number as i64 * MINUTE_MS / self.a_minute() as i64;
        let about = About { server: vec![server(group, serial)], group: None };
        let alarm = load == Load::Alarms || (minute + group + serial).is_multiple_of(10);
        let fact = if alarm {
            // Critical on one server at the most, so the rule looks each time and never acts.
            let critical = serial == 0 && (minute / 10).is_multiple_of(2);
            let state = if critical { AlarmState::Critical } else { AlarmState::Ok };
            let (name, text, numbers) = ("hot".into(), String::new(), std::collections::BTreeMap::new());
            Fact::Alarm(Alarm { name, state, at, about, text, numbers })
        } else {
            let value = Quantity((40 + ((minute * 7 + group) % 17) as i64) * Quantity::SCALE + group as i64);
            Fact::Samples(vec![Sample { metric: "cpu.usage".into(), value, at, about }])
        };
        let text = event(&tenant(group), at, fact).to_line();
        Line { at_ms: at, alarm, text }
    }

    /// Decides the lines and says what it took.
    ///
    /// # Panics
    /// Where something is commanded: a quiet load is meant.
    pub fn decide(&mut self, lines: &[Line]) -> Took {
        let partition = &mut self.partition;
        let ((), took) = Took::of(|| {
            let lines = (partition.next()..).zip(lines);
            let lines = lines.map(|(offset, line)| partition::Line {
                offset,
                appended_ms: line.at_ms,
                bytes: line.text.as_bytes(),
            });
            let quiet = |effects: Effects| assert!(effects.commands.is_empty(), "a quiet load was meant");
            partition.step_lines(lines, quiet).expect("the records follow each other");
        });
        took
    }
}

fn policy(groups: std::ops::Range<usize>, servers: usize, rules: &str) -> String {
    let mut text = String::from(
        "edition 2026\nmetric cpu.usage: percent every 1m\nalarm hot: from \"hot\"\n\
         launch small {\n  image \"debian\"\n  flavor \"small\"\n}\n",
    );
    for group in groups {
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "group g{group} {{\n  region \"LON\"\n  capacity {servers}..40\n  launch small\n  cooldown 1m\n{rules}}}\n"
        );
    }
    text
}

fn tenant(group: usize) -> String {
    format!("tenant-{}", group / GROUPS_PER_FILE)
}

fn server(group: usize, serial: usize) -> String {
    format!("server-{group}-{serial}")
}

/// An event of the bench's.
#[must_use]
pub fn event(tenant: &str, time: i64, fact: Fact) -> Event {
    Event { specversion: Version::V1, id: "1".into(), source: "/bench".into(), time, tenant: tenant.into(), fact }
}
