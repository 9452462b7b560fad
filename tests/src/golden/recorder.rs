//! Records a story: a clock that is moved by hand, a log that ticks as the worker would make it, and a small cloud that does
//! what commands say. All of it is made of the story alone, so the same story is the same file.

use std::collections::{BTreeMap, VecDeque};
use weir::api::export::{FORMAT, Header, Line, Recorded};
use weir_engine::{
    command::{Command, Retired},
    event::{
        About, Alarm, Capability, Control, Deploy, Event, Fact, Force, Happened, Heartbeat, Order, Right, Sample, Tick,
        Version,
    },
    id::{GroupUid, Slot},
    outcome::{Happening, Outcome},
    partition::Partition,
    time,
    view::{Change, Row},
};
use weir_grammar::{policy::AlarmState, quantity::Quantity};

/// Whose groups they are.
const TENANT: &str = "acme";
/// From the door's clock to the log's.
const APPEND_MS: i64 = 4;
/// A quiet log ticks this often.
const TICK_MS: i64 = 60_000;
/// At most one tick for a due timer in this time.
const TICK_MIN_MS: i64 = 1_000;
/// A server is built in this time, and gone in that.
const BUILD_MS: i64 = 75_000;
const LEAVE_MS: i64 = 20_000;

/// A story being recorded.
pub struct Recorder {
    state: Partition,
    lines: Vec<Line>,
    now_ms: i64,
    /// When the newest record was written.
    said_ms: i64,
    events: u64,
    clouds: BTreeMap<GroupUid, Small>,
    /// What servers will do: when, in the order it was planned, whose, and what.
    coming: BTreeMap<(i64, u64), (GroupUid, Happening)>,
    planned: u64,
    feeds: BTreeMap<String, Feed>,
}

/// A group's servers.
struct Small {
    group: String,
    servers: VecDeque<Slot>,
    serials: u32,
    seq: u64,
    failing: u32,
}

/// A metric that is measured now and then.
struct Feed {
    every_ms: i64,
    level: Level,
}

/// What is measured.
#[derive(Clone, Copy)]
enum Level {
    /// On each ready server, about this many millionths.
    Each(i64),
    /// On nobody in particular.
    Shared(i64),
}

impl Recorder {
    /// Begins at an instant.
    ///
    /// # Panics
    /// Where it is none.
    #[must_use]
    pub fn at(instant: &str) -> Self {
        let now_ms = time::parse_rfc3339(instant).unwrap();
        Self {
            state: Partition::new("golden", 0),
            lines: Vec::new(),
            now_ms,
            said_ms: now_ms,
            events: 0,
            clouds: BTreeMap::new(),
            coming: BTreeMap::new(),
            planned: 0,
            feeds: BTreeMap::new(),
        }
    }

    /// The file.
    ///
    /// # Panics
    /// Where a line cannot be written as JSON, which none is.
    #[must_use]
    pub fn finish(self) -> String {
        let header = Header {
            format: FORMAT,
            log_id: "golden".into(),
            partition: 0,
            tenant: TENANT.into(),
            group: None,
            from: 0,
            until: self.state.next(),
            semantics: self.state.semantics(),
        };
        let head = [Line::Header(header), Line::State(String::new())];
        let lines = head.into_iter().chain(self.lines).chain([Line::Digest(self.state.digest())]);
        lines.map(|line| serde_json::to_string(&line).unwrap() + "\n").collect()
    }

    /// Puts a fact into the log and lets the cloud do what follows. Answers what changed for people to read.
    ///
    /// # Panics
    /// Where the partition halts.
    pub fn tell(&mut self, source: &str, fact: Fact) -> Vec<Row> {
        let id = format!("{source}-{}", self.events);
        self.tell_as(source, &id, fact)
    }

    /// As [`tell`](Self::tell), under an id of one's choice.
    ///
    /// # Panics
    /// Where the partition halts.
    pub fn tell_as(&mut self, source: &str, id: &str, fact: Fact) -> Vec<Row> {
        let tenant = if matches!(fact, Fact::Tick(_)) { String::new() } else { TENANT.to_owned() };
        let (id, source) = (id.to_owned(), format!("/{source}"));
        let event = Event { specversion: Version::V1, id, source, time: self.now_ms, tenant, fact };
        let (offset, appended) = (self.state.next(), self.now_ms + APPEND_MS);
        let effects = self.state.step_line(offset, appended, event.to_line().as_bytes()).unwrap();
        (self.events, self.said_ms) = (self.events + 1, self.now_ms);
        self.lines.push(Line::Record(Recorded { offset, appended, event }));
        self.lines.extend(effects.decisions.into_iter().map(|decision| Line::Decision(Box::new(decision))));
        for command in effects.commands {
            self.obey(&command);
            self.lines.push(Line::Command(Box::new(command)));
        }
        effects.rows
    }

    /// Time passes: metrics are measured, servers come and go, and the log ticks when a timer is due or a minute is quiet.
    pub fn pass(&mut self, seconds: i64) {
        let end_ms = self.now_ms + seconds * 1_000;
        loop {
            let coming_ms = self.coming.first_key_value().map_or(i64::MAX, |((at_ms, _), _)| *at_ms);
            let timer_ms = self.state.next_timer().map_or(i64::MAX, |at_ms| at_ms.max(self.said_ms + TICK_MIN_MS));
            let tick_ms = timer_ms.min(self.said_ms + TICK_MS);
            let next_edge = |feed: &Feed| (self.now_ms / feed.every_ms + 1) * feed.every_ms;
            let feed_ms = self.feeds.values().map(next_edge).min().unwrap_or(i64::MAX);
            let next_ms = coming_ms.min(tick_ms).min(feed_ms);
            if next_ms > end_ms {
                break;
            }
            self.now_ms = self.now_ms.max(next_ms);
            if feed_ms == next_ms {
                self.measure();
            } else if coming_ms == next_ms {
                self.come();
            } else {
                self.tell("clock", Fact::Tick(Tick {}));
            }
        }
        self.now_ms = end_ms;
    }

    /// Time passes and nobody writes it down, as in an outage of ours. What servers would have done meanwhile is seen later.
    pub fn silence(&mut self, seconds: i64) {
        self.now_ms += seconds * 1_000;
        self.tell("clock", Fact::Tick(Tick {}));
    }

    fn measure(&mut self) {
        let due: Vec<(String, Level)> = self
            .feeds
            .iter()
            .filter(|(_, feed)| self.now_ms % feed.every_ms == 0)
            .map(|(metric, feed)| (metric.clone(), feed.level))
            .collect();
        let mut samples = Vec::new();
        for (metric, level) in due {
            let sample =
                |value, about| Sample { metric: metric.clone(), value: Quantity(value), at: self.now_ms, about };
            match level {
                Level::Shared(value) => samples.push(sample(value, About::default())),
                Level::Each(value) => {
                    let servers = self.clouds.values().flat_map(|cloud| {
                        cloud.servers.iter().map(|slot| (server(&cloud.group, *slot), i64::from(slot.serial)))
                    });
                    // Servers differ a little, so that a mean is none of them.
                    samples.extend(servers.map(|(name, serial)| {
                        let about = About { server: vec![name], group: None };
                        sample(value + (serial * 37 % 11 - 5) * 200_000, about)
                    }));
                }
            }
        }
        if !samples.is_empty() {
            self.tell("samples", Fact::Samples(samples));
        }
    }

    fn come(&mut self) {
        let Some((_, (uid, happening))) = self.coming.pop_first() else { return };
        if let (Happening::Ready { slot, .. }, Some(cloud)) = (&happening, self.clouds.get_mut(&uid)) {
            cloud.servers.push_back(*slot);
        }
        self.outcome(uid, happening);
    }

    fn outcome(&mut self, uid: GroupUid, happening: Happening) {
        let Some(cloud) = self.clouds.get_mut(&uid) else { return };
        cloud.seq += 1;
        let outcome = Outcome { group: cloud.group.clone(), uid, seq: cloud.seq, happening };
        self.tell("executor", Fact::Outcome(outcome));
    }

    fn plan(&mut self, after_ms: i64, uid: GroupUid, happening: Happening) {
        self.planned += 1;
        self.coming.insert((self.now_ms + after_ms, self.planned), (uid, happening));
    }

    fn obey(&mut self, command: &Command) {
        let uid = command.uid;
        let cloud = self.clouds.entry(uid).or_insert_with(|| Small {
            group: command.group.clone(),
            servers: VecDeque::new(),
            serials: 0,
            seq: 0,
            failing: 0,
        });
        if command.retired == Some(Retired::Keep) {
            return;
        }
        let building = self.coming.values().filter(|(of, what)| *of == uid && matches!(what, Happening::Ready { .. }));
        let (have, want) = (cloud.servers.len() + building.count(), command.target as usize);
        if command.hold.add || command.hold.remove {
            return;
        }
        let leaving: Vec<Slot> = (want..have).filter_map(|_| cloud.servers.pop_front()).collect();
        for slot in leaving {
            self.plan(1, uid, Happening::Leaving { slot });
            self.plan(LEAVE_MS, uid, Happening::Removed { slot });
        }
        for _ in have..want {
            self.order(uid);
        }
    }

    fn order(&mut self, uid: GroupUid) {
        let Some(cloud) = self.clouds.get_mut(&uid) else { return };
        cloud.serials += 1;
        let slot = Slot { serial: cloud.serials, incarnation: 1 };
        let (name, fails) = (server(&cloud.group, slot), cloud.failing > 0);
        cloud.failing = cloud.failing.saturating_sub(1);
        self.plan(1, uid, Happening::Building { slot, server: format!("id-{name}") });
        if fails {
            self.plan(30_000, uid, Happening::Failed { slot, reason: "No valid host was found".into() });
        } else {
            let addresses = vec![format!("10.0.{}.{}", slot.serial / 250, slot.serial % 250 + 1)];
            let ready = Happening::Ready { slot, server: format!("id-{name}"), name, addresses };
            self.plan(BUILD_MS + i64::from(slot.serial % 3) * 5_000, uid, ready);
        }
    }
}

/// What customers, operators and clouds do.
impl Recorder {
    /// A metric is measured on each ready server from now on: its value in thousandths, and how often, seconds.
    pub fn load(&mut self, metric: &str, every: i64, thousandths: i64) {
        let feed = Feed { every_ms: every * 1_000, level: Level::Each(thousandths * 1_000) };
        self.feeds.insert(metric.to_owned(), feed);
    }

    /// The same on nobody in particular.
    pub fn shared_load(&mut self, metric: &str, every: i64, thousandths: i64) {
        let feed = Feed { every_ms: every * 1_000, level: Level::Shared(thousandths * 1_000) };
        self.feeds.insert(metric.to_owned(), feed);
    }

    /// A metric is measured no more.
    pub fn unload(&mut self, metric: &str) {
        self.feeds.remove(metric);
    }

    /// Deploys a policy file.
    ///
    /// # Panics
    /// Where it is refused.
    pub fn deploy(&mut self, name: &str, text: &str) {
        let refused = self.try_deploy(name, text);
        assert_eq!(refused, None, "{text}");
    }

    /// Deploys a policy file that is refused.
    ///
    /// # Panics
    /// Where it is not.
    pub fn deploy_in_vain(&mut self, name: &str, text: &str) {
        assert!(self.try_deploy(name, text).is_some(), "{text}");
    }

    fn try_deploy(&mut self, name: &str, text: &str) -> Option<String> {
        let capability = |group: &str, rule: &str| Capability {
            group: group.into(),
            rule: rule.into(),
            hash: blake3::hash(rule.as_bytes()).to_hex().to_string(),
        };
        let deploy = Deploy {
            name: name.into(),
            text: text.into(),
            setup: BTreeMap::new(),
            capabilities: vec![capability("web", "surge")],
            actor: "ops".into(),
        };
        let rows = self.tell("api", Fact::Policy(deploy));
        rows.into_iter().find_map(|row| match row.change {
            Change::Policy(row) => row.refused,
            _ => None,
        })
    }

    /// An alarm is in a state, about a server of `web` by its place among the ready ones, or about nobody.
    pub fn alarm(&mut self, name: &str, state: AlarmState, place: Option<usize>) {
        self.alarm_at(name, state, place, 0);
    }

    /// The same, said so many seconds late.
    pub fn alarm_at(&mut self, name: &str, state: AlarmState, place: Option<usize>, late: i64) {
        let server = place.map_or_else(Vec::new, |place| vec![self.server("web", place)]);
        let about = About { server, group: None };
        let at = self.now_ms - late * 1_000;
        let numbers = BTreeMap::from([("rate".to_owned(), "12.5".to_owned())]);
        let alarm = Alarm { name: name.into(), state, at, about, text: "as measured".into(), numbers };
        self.tell("alertmanager", Fact::Alarm(alarm));
    }

    /// The name of a group's ready server, by place.
    ///
    /// # Panics
    /// Where there is none.
    #[must_use]
    pub fn server(&self, group: &str, place: usize) -> String {
        let cloud = self.clouds.values().rfind(|cloud| cloud.group == group && !cloud.servers.is_empty()).unwrap();
        server(group, cloud.servers[place % cloud.servers.len()])
    }

    /// Somebody forces a rule of `web`.
    pub fn force(&mut self, rule: &str, by: Right) {
        let id = format!("force-{}", self.events);
        self.force_as(&id, rule, by);
    }

    /// The same, under a key of one's choice.
    pub fn force_as(&mut self, id: &str, rule: &str, by: Right) {
        let actor = if by == Right::Token { "ops" } else { "cap-1" }.to_owned();
        let force = Force { group: "web".into(), rule: rule.into(), by, actor };
        self.tell_as("api", id, Fact::Force(force));
    }

    /// Somebody gives an order.
    pub fn order_by(&mut self, actor: &str, reason: &str, order: Order) {
        self.tell("api", Fact::Control(Control { actor: actor.into(), reason: reason.into(), order }));
    }

    /// Something that may be counted happens to nobody in particular.
    pub fn happens(&mut self, kind: &str) {
        self.tell("atom", Fact::Happened(Happened { kind: kind.into(), about: About::default() }));
    }

    /// A source says how it is.
    pub fn heartbeat(&mut self, healthy: bool) {
        self.tell("atom", Fact::Heartbeat(Heartbeat { healthy }));
    }

    /// The oldest server of a group is gone; another one is ordered for it.
    ///
    /// # Panics
    /// Where there is none.
    pub fn lose(&mut self, group: &str) {
        let uid = self.uid(group);
        let slot = self.clouds.get_mut(&uid).and_then(|cloud| cloud.servers.pop_front()).unwrap();
        self.outcome(uid, Happening::Lost { slot, reason: "the server is gone from the cloud's list".into() });
        self.order(uid);
    }

    /// The next builds of a group fail, so many of them.
    ///
    /// # Panics
    /// Where there is no such group.
    pub fn fail_builds(&mut self, group: &str, builds: u32) {
        let uid = self.uid(group);
        self.clouds.get_mut(&uid).unwrap().failing = builds;
    }

    /// An executor says something of a group as a whole.
    pub fn says(&mut self, group: &str, happening: Happening) {
        let uid = self.uid(group);
        self.outcome(uid, happening);
    }

    /// The executor says its newest word of a group once more.
    ///
    /// # Panics
    /// Where it has said none.
    pub fn repeats(&mut self, group: &str) {
        let uid = self.uid(group);
        let said = self.lines.iter().rev().find_map(|line| match line {
            Line::Record(Recorded { event: Event { fact: Fact::Outcome(outcome), .. }, .. }) if outcome.uid == uid => {
                Some(outcome.clone())
            }
            _ => None,
        });
        self.tell("executor", Fact::Outcome(said.unwrap()));
    }

    /// The clock, epoch milliseconds.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    fn uid(&self, group: &str) -> GroupUid {
        self.state.uid_of(TENANT, group).unwrap()
    }
}

fn server(group: &str, slot: Slot) -> String {
    format!("{group}-{}-{}", slot.serial, slot.incarnation)
}
