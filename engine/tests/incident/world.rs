//! A world with one tenant: a load that spreads over its servers, a cloud that builds, monitoring that measures, and a log
//! of all of it.

use std::collections::BTreeMap;
use weir_engine::{
    backtest::Stretch,
    decision::Decision,
    event::{About, Alarm, Deploy, Event, Fact, Record, Sample, Tick, Version},
    grammar::{policy::AlarmState, quantity::Quantity},
    id::{GroupUid, Slot},
    outcome::{Happening, Outcome},
    partition::Partition,
};

pub const TENANT: &str = "acme";
/// 2026-11-24T02:00:00Z.
pub const START_MS: i64 = 1_795_485_600_000;
pub const MINUTE_MS: i64 = 60_000;

pub struct World {
    pub state: Partition,
    pub records: Vec<Record>,
    pub decisions: Vec<Decision>,
    pub now_ms: i64,
    build_ms: i64,
    group: String,
    builds: BTreeMap<(i64, u32), ()>,
    servers: Vec<u32>,
    serial: u32,
    seq: u64,
    wanted: u32,
}

impl World {
    pub fn new(policy: &str, group: &str, build_ms: i64) -> Self {
        let mut world = Self {
            state: Partition::new("log", 0),
            records: Vec::new(),
            decisions: Vec::new(),
            now_ms: START_MS,
            build_ms,
            group: group.to_owned(),
            builds: BTreeMap::new(),
            servers: Vec::new(),
            serial: 0,
            seq: 0,
            wanted: 0,
        };
        let (name, text, actor) = ("web.weir".to_owned(), policy.to_owned(), "test".to_owned());
        let (setup, capabilities) = ([].into(), Vec::new());
        world.tell(Fact::Policy(Deploy { name, text, setup, capabilities, actor }));
        world
    }

    /// Servers that take their part.
    pub fn ready(&self) -> Vec<String> {
        self.servers.iter().map(|serial| format!("web-{serial}")).collect()
    }

    /// Lets time pass: timers fire and builds end at their own instants.
    pub fn run_to(&mut self, until_ms: i64) {
        loop {
            let timer = self.state.next_timer();
            let build = self.builds.first_key_value().map(|(key, ())| *key);
            match (timer, build) {
                (timer, Some((at, serial))) if at <= until_ms && timer.is_none_or(|timer| at <= timer) => {
                    self.now_ms = at;
                    self.builds.remove(&(at, serial));
                    self.servers.push(serial);
                    let (slot, server) = (slot(serial), format!("web-{serial}"));
                    self.outcome(Happening::Ready { slot, name: server.clone(), server, addresses: Vec::new() });
                }
                (Some(at), _) if at <= until_ms => {
                    self.now_ms = at;
                    self.tell(Fact::Tick(Tick {}));
                }
                _ => break,
            }
        }
        self.now_ms = until_ms;
    }

    /// A minute in which each server measures its share of `load` percent, ten seconds into it.
    pub fn minute(&mut self, load: i64) {
        let begins = self.now_ms;
        self.run_to(begins + 10_000);
        let servers = self.ready();
        let share = load * Quantity::SCALE / i64::try_from(servers.len().max(1)).unwrap();
        let sample = |server: String| Sample {
            metric: "cpu.usage".into(),
            value: Quantity(share),
            at: self.now_ms,
            about: About { server: vec![server], group: None },
        };
        let samples: Vec<Sample> = servers.into_iter().map(sample).collect();
        if !samples.is_empty() {
            self.tell(Fact::Samples(samples));
        }
        self.run_to(begins + MINUTE_MS);
    }

    pub fn alarm(&mut self, server: &str, state: AlarmState) {
        let about = About { server: vec![server.to_owned()], group: None };
        let (name, text, numbers) = ("web-5xx".to_owned(), String::new(), [].into());
        self.tell(Fact::Alarm(Alarm { name, state, at: self.now_ms, about, text, numbers }));
    }

    /// A server vanishes, and is built again.
    pub fn lose(&mut self) {
        let serial = self.servers.remove(0);
        self.outcome(Happening::Lost { slot: slot(serial), reason: "not in the cloud".into() });
        self.resize(self.wanted);
    }

    pub fn tell(&mut self, fact: Fact) {
        let offset = self.state.next();
        let tenant = if matches!(fact, Fact::Tick(_)) { String::new() } else { TENANT.to_owned() };
        let (id, source) = (offset.to_string(), "/test".to_owned());
        let event = Event { specversion: Version::V1, id, source, time: self.now_ms, tenant, fact };
        let record = Record { offset, appended_ms: self.now_ms, event };
        let effects = self.state.step(&record).unwrap();
        self.records.push(record);
        self.decisions.extend(effects.decisions);
        if let Some(command) = effects.commands.last() {
            self.resize(command.target);
        }
    }

    /// One server at a time, since what is told of it may change the target again.
    fn resize(&mut self, target: u32) {
        self.wanted = target;
        loop {
            let there = self.servers.len() + self.builds.len();
            if there < self.wanted as usize {
                self.serial += 1;
                self.builds.insert((self.now_ms + self.build_ms, self.serial), ());
                self.outcome(Happening::Building { slot: slot(self.serial), server: format!("web-{}", self.serial) });
            } else if there > self.wanted as usize {
                // The youngest build, else the oldest server.
                let youngest = self.builds.keys().max_by_key(|(_, serial)| *serial).copied();
                let serial = match youngest {
                    Some(key) => {
                        self.builds.remove(&key);
                        key.1
                    }
                    None => self.servers.remove(0),
                };
                self.outcome(Happening::Removed { slot: slot(serial) });
            } else {
                return;
            }
        }
    }

    fn outcome(&mut self, happening: Happening) {
        self.seq += 1;
        let uid = self.state.uid_of(TENANT, &self.group).unwrap_or(GroupUid(0));
        self.tell(Fact::Outcome(Outcome { group: self.group.clone(), uid, seq: self.seq, happening }));
    }
}

/// A log with its state at the offset `from`, as an export has it.
pub struct Export {
    pub start: Partition,
    pub records: Vec<Record>,
}

impl Export {
    pub fn of(records: &[Record], from: usize) -> Self {
        let mut start = Partition::new("log", 0);
        for record in &records[..from] {
            start.step(record).unwrap();
        }
        Self { start, records: records[from..].to_vec() }
    }

    pub fn stretch(&self) -> Stretch<'_> {
        Stretch { start: &self.start, tenant: TENANT, records: &self.records }
    }
}

fn slot(serial: u32) -> Slot {
    Slot { serial, incarnation: 1 }
}
