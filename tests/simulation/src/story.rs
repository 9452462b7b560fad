//! A story: everything that happens to an installation from outside, facts and faults, each at its instant.
//!
//! Drawn whole from a seed before the run. What is left out of it changes nothing of the rest, so a story that fails can
//! be shortened until only what matters is left, and then be read.

use crate::{dice::Dice, policies::Draft};
use std::fmt;
use weir_engine::{event::Act, grammar::policy::AlarmState};

const MINUTE: i64 = 60_000;
/// The phase in which faults happen, milliseconds.
pub const SAFETY_MS: i64 = 6 * 60 * MINUTE;
/// Faults that happen in each story at least.
pub const FAULTS_MIN: u64 = 3;

/// Everything that happens from outside.
#[derive(Clone, Debug)]
pub struct Story {
    /// What it was drawn from.
    pub seed: u64,
    /// The instant at which it begins, epoch milliseconds.
    pub start_ms: i64,
    /// Each tenant's policy file, its versions in order.
    pub files: Vec<Vec<String>>,
    /// Names of the groups by tenant.
    pub groups: Vec<Vec<String>>,
    /// Into how many partitions the tenants fall.
    pub partitions: usize,
    /// Processes of each role.
    pub processes: usize,
    /// How many servers the cloud has room for.
    pub room: usize,
    /// What happens, by instant.
    pub items: Vec<Item>,
}

/// Something that happens.
#[derive(Clone, Debug)]
pub struct Item {
    /// When, from the beginning, milliseconds.
    pub after_ms: i64,
    /// What.
    pub what: What,
}

/// What happens.
#[derive(Clone, Debug)]
pub enum What {
    /// A fact for a tenant.
    Fact(usize, Input, Delivery),
    /// Something breaks.
    Fault(Fault),
}

/// How a fact gets to the log.
#[derive(Clone, Copy, Debug, Default)]
pub struct Delivery {
    /// The door took it, and is this slow to append it, milliseconds.
    pub slow_ms: i64,
    /// The sender sends it again after this long, milliseconds.
    pub again_ms: Option<i64>,
}

/// A fact.
#[derive(Clone, Debug)]
pub enum Input {
    /// The tenant's file, by version, is deployed.
    Deploy(usize),
    /// An alarm is in a state, on the nth server of a group or shared, said by a sender whose clock is so far off.
    Alarm {
        /// `sick` or `down`.
        name: &'static str,
        /// The state.
        state: AlarmState,
        /// Group and server, counted around; `None` where shared.
        on: Option<(usize, usize)>,
        /// Off, milliseconds.
        off_ms: i64,
    },
    /// The nth rule of a group is forced.
    Force {
        /// The group.
        group: usize,
        /// The rule.
        rule: usize,
        /// With a token; else by a capability.
        token: bool,
    },
    /// A deployment is done.
    Deployed,
    /// A group is paused, for a while or until resumed.
    Pause(usize, Option<i64>),
    /// A group is resumed.
    Resume(usize),
    /// A group's bounds are set by hand, for so long.
    Override {
        /// The group.
        group: usize,
        /// Fewest servers.
        floor: Option<u32>,
        /// Most servers.
        ceiling: Option<u32>,
        /// How long, milliseconds.
        length_ms: i64,
    },
    /// An override is lifted.
    Lift(usize),
    /// Something is done with the nth server of a group, counted around, or with the nth that is nobody's. The end of a
    /// protection is how long it holds.
    Server {
        /// The group.
        group: usize,
        /// The server.
        nth: usize,
        /// What.
        act: Act,
    },
    /// A kill switch: adding, removing, for so long.
    Kill(bool, bool, i64),
    /// Most servers of the tenant.
    Quota(Option<u32>),
    /// A group is removed, its servers left running or not.
    Remove(usize, bool),
    /// The load on the tenant from now on, in percent of one server and in jobs.
    Load(i64, i64),
    /// The tenant's monitoring says nothing for so long.
    Silence(i64),
    /// A source is unwell, or well.
    Heartbeat(bool),
}

/// A fault.
#[derive(Clone, Debug)]
pub enum Fault {
    /// A process dies within its next steps and is down for a while.
    Crash(Role, usize, u32, i64),
    /// A process stops, and goes on later where it was.
    Freeze(Role, usize, i64),
    /// The partition is given to another process while its owner is well.
    Rebalance(Role),
    /// The next commit's answer is lost; it happened, or not.
    CommitLost(Role, bool),
    /// The next append's answer is lost; it happened, or not.
    AppendLost(bool),
    /// The newest snapshot is torn.
    SnapshotTorn,
    /// A process' clock is so far off from now on.
    Clock(Role, usize, i64),
    /// The door's clock is so far off from now on.
    DoorClock(i64),
    /// Nothing gets into the log for so long: every appender is cut off.
    CutOff(i64),
    /// An outcome that was appended before, counted back from the newest, is appended once more.
    Echo(usize),
    /// The cloud misbehaves for so long.
    Weather(Weather, i64),
    /// The nth server vanishes, or breaks.
    Server(Harm, usize),
}

/// Which of the two machines a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Events to commands.
    Engine,
    /// Commands to calls.
    Executor,
}

/// How a cloud misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weather {
    /// Calls are done and the answer is lost, or are not done and nobody says so.
    TimeOuts,
    /// "Internal server error", nothing done.
    Errors,
    /// "Too many requests".
    TooMany,
    /// Builds fail.
    FailedBuilds,
    /// Builds never end.
    StuckBuilds,
    /// Listings are cut off, and say so.
    CutListings,
    /// New servers are listed late.
    LateListings,
    /// Balancers are immutable for a while after each change.
    Immutable,
    /// Orders are refused.
    Full,
}

/// What happens to a server behind our back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Harm {
    /// Deleted by hand.
    Deleted,
    /// In error.
    Broken,
    /// Stopped for a while, a state that we do not know.
    Stopped,
    /// Taken out of its balancer.
    Unlisted,
    /// Copied, with half of its mark.
    Copied,
}

impl Story {
    /// The story of a seed.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let mut dice = Dice::new(seed, 1);
        let start_ms = start(&mut dice);
        let tenants = 1 + usize::from(dice.percent(25));
        let (mut files, mut groups) = (Vec::new(), Vec::new());
        for tenant in 0..tenants {
            let count = if tenants == 2 { 1 } else { 1 + usize::from(dice.percent(40)) };
            let mut draft = Draft::draw(&mut dice, &format!("g{tenant}"), count, start_ms);
            let mut versions = vec![draft.text()];
            for _ in 0..2 {
                draft = draft.next(&mut dice);
                versions.push(draft.text());
            }
            files.push(versions);
            groups.push((0..count).map(|at| format!("g{tenant}{at}")).collect::<Vec<_>>());
        }
        let room = usize::try_from(dice.between(6, 40)).unwrap_or(6);
        // From a stream of their own, so that the rest of a story is the same over any number of either.
        let mut shape = Dice::new(seed, 4);
        let partitions = 1 + usize::from(tenants == 2 && shape.percent(60));
        let processes = 2 + usize::from(shape.percent(30));
        let mut story = Self { seed, start_ms, files, groups, partitions, processes, room, items: Vec::new() };
        story.facts(&mut dice);
        story.faults(&mut dice);
        story.by_hand(&mut Dice::new(seed, 7));
        story.servers(&mut Dice::new(seed, 8));
        story.items.sort_by_key(|item| item.after_ms);
        story
    }

    fn facts(&mut self, dice: &mut Dice) {
        for tenant in 0..self.files.len() {
            self.tell(tenant, 0, Input::Deploy(0), Delivery::default());
            for _ in 0..dice.between(6, 14) {
                let load = Input::Load(dice.between(0, 800), dice.between(0, 1_500));
                self.tell(tenant, dice.between(0, SAFETY_MS), load, Delivery::default());
            }
            for _ in 0..dice.between(30, 70) {
                let input = self.fact(dice, tenant);
                let delivery = Delivery {
                    slow_ms: if dice.percent(20) { dice.between(0, 20_000) } else { 0 },
                    again_ms: dice.percent(15).then(|| dice.between(1_000, 400_000)),
                };
                self.tell(tenant, dice.between(2 * MINUTE, SAFETY_MS), input, delivery);
            }
        }
    }

    /// What operators set by hand. From dice of its own, so that the rest of a story is what it was without it.
    fn by_hand(&mut self, dice: &mut Dice) {
        for tenant in 0..self.files.len() {
            for _ in 0..dice.between(0, 5) {
                let group = usize::try_from(dice.below(self.groups[tenant].len() as u64)).unwrap_or(0);
                let mut bound = |percent| dice.percent(percent).then(|| u32::try_from(dice.below(14)).unwrap_or(0));
                let (low, high) = (bound(70), bound(60));
                let input = match (low, high) {
                    (None, None) => Input::Lift(group),
                    (Some(low), Some(high)) => {
                        let (floor, ceiling) = (Some(low.min(high)), Some(high.max(low)));
                        Input::Override { group, floor, ceiling, length_ms: dice.between(1_000, 60 * MINUTE) }
                    }
                    (floor, ceiling) => {
                        Input::Override { group, floor, ceiling, length_ms: dice.between(1_000, 60 * MINUTE) }
                    }
                };
                let delivery = Delivery {
                    slow_ms: if dice.percent(20) { dice.between(0, 20_000) } else { 0 },
                    again_ms: dice.percent(15).then(|| dice.between(1_000, 400_000)),
                };
                self.tell(tenant, dice.between(2 * MINUTE, SAFETY_MS), input, delivery);
            }
        }
    }

    /// What operators do with single servers, from dice of its own. Protections end before the faults do.
    fn servers(&mut self, dice: &mut Dice) {
        for tenant in 0..self.files.len() {
            for _ in 0..dice.between(0, 6) {
                let group = usize::try_from(dice.below(self.groups[tenant].len() as u64)).unwrap_or(0);
                let nth = usize::try_from(dice.below(5)).unwrap_or(0);
                let act = match dice.below(8) {
                    0..=1 => Act::Protect { until: Some(dice.between(1_000, 20 * MINUTE)) },
                    2 => Act::Unprotect,
                    3..=4 => Act::Remove { replace: dice.percent(50) },
                    5..=6 => Act::Detach { replace: dice.percent(50) },
                    _ => Act::Adopt,
                };
                let delivery = Delivery {
                    slow_ms: if dice.percent(20) { dice.between(0, 20_000) } else { 0 },
                    again_ms: dice.percent(15).then(|| dice.between(1_000, 400_000)),
                };
                let after_ms = dice.between(5 * MINUTE, SAFETY_MS - 40 * MINUTE);
                self.tell(tenant, after_ms, Input::Server { group, nth, act }, delivery);
            }
        }
    }

    fn fact(&self, dice: &mut Dice, tenant: usize) -> Input {
        let group = usize::try_from(dice.below(self.groups[tenant].len() as u64)).unwrap_or(0);
        let state = *dice.pick(&[AlarmState::Ok, AlarmState::Warning, AlarmState::Critical, AlarmState::Critical]);
        let nth = usize::try_from(dice.below(5)).unwrap_or(0);
        match dice.below(20) {
            0..=4 => {
                let off_ms = if dice.percent(30) { dice.between(-600_000, 60_000) } else { 0 };
                Input::Alarm { name: "sick", state, on: Some((group, nth)), off_ms }
            }
            5..=6 => Input::Alarm { name: "down", state, on: None, off_ms: 0 },
            7..=11 => Input::Force { group, rule: nth, token: dice.percent(50) },
            12..=13 => Input::Deployed,
            14 => Input::Deploy(usize::try_from(dice.below(3)).unwrap_or(0)),
            15 => Input::Pause(group, dice.percent(70).then(|| dice.between(MINUTE, 40 * MINUTE))),
            16 => Input::Resume(group),
            17 => match dice.below(3) {
                0 => Input::Kill(dice.percent(60), dice.percent(60), dice.between(MINUTE, 30 * MINUTE)),
                1 => Input::Quota(dice.percent(60).then(|| u32::try_from(dice.between(2, 12)).unwrap_or(2))),
                _ => Input::Heartbeat(dice.percent(50)),
            },
            18 => Input::Silence(dice.between(MINUTE, 40 * MINUTE)),
            _ if dice.percent(25) => Input::Remove(group, dice.percent(30)),
            _ => Input::Deployed,
        }
    }

    fn tell(&mut self, tenant: usize, after_ms: i64, input: Input, delivery: Delivery) {
        self.items.push(Item { after_ms, what: What::Fact(tenant, input, delivery) });
    }

    fn faults(&mut self, dice: &mut Dice) {
        // An echo needs an outcome and a server's harm a server; the others happen in every story.
        let happens = |fault: &Fault| !matches!(fault, Fault::Echo(_) | Fault::Server(..));
        let (mut left, mut sure) = (dice.between(4, 24), 0);
        while left > 0 || sure < FAULTS_MIN {
            let fault = fault(dice);
            (left, sure) = (left - 1, sure + u64::from(happens(&fault)));
            self.items.push(Item { after_ms: dice.between(MINUTE, SAFETY_MS - MINUTE), what: What::Fault(fault) });
        }
    }
}

/// Many begin hours before clocks change, the rest anywhere.
fn start(dice: &mut Dice) -> i64 {
    // 2026: London on 29 March and 25 October at 01:00Z, New York on 8 March at 07:00Z, Lord Howe on 4 April at 15:00Z.
    let change = *dice.pick(&[1_774_746_000_000, 1_792_890_000_000, 1_772_953_200_000, 1_775_314_800_000]);
    if dice.percent(40) {
        change - dice.between(0, 5 * 60) * MINUTE
    } else {
        change + dice.between(0, 300 * 24 * 60) * MINUTE + dice.between(0, 59_999)
    }
}

fn fault(dice: &mut Dice) -> Fault {
    let role = if dice.percent(50) { Role::Engine } else { Role::Executor };
    let who = usize::try_from(dice.below(2)).unwrap_or(0);
    let steps = u32::try_from(dice.below(12)).unwrap_or(0);
    match dice.below(17) {
        0..=2 => Fault::Crash(role, who, steps, dice.between(500, 3 * MINUTE)),
        3 => Fault::Freeze(role, who, dice.between(1_000, 4 * MINUTE)),
        4 => Fault::Rebalance(role),
        5..=6 => Fault::CommitLost(role, dice.percent(50)),
        7 => Fault::AppendLost(dice.percent(50)),
        8 => Fault::SnapshotTorn,
        9 => match dice.below(3) {
            0 => Fault::DoorClock(dice.between(-40_000, 40_000)),
            _ => Fault::Clock(role, who, dice.between(-30_000, 30_000)),
        },
        10 => Fault::CutOff(dice.between(30_000, 30 * MINUTE)),
        11 => Fault::Echo(who + usize::try_from(dice.below(8)).unwrap_or(0)),
        12..=14 => {
            let weather = *dice.pick(&[
                Weather::TimeOuts,
                Weather::TimeOuts,
                Weather::Errors,
                Weather::TooMany,
                Weather::FailedBuilds,
                Weather::StuckBuilds,
                Weather::CutListings,
                Weather::LateListings,
                Weather::Immutable,
                Weather::Full,
            ]);
            Fault::Weather(weather, dice.between(MINUTE, 40 * MINUTE))
        }
        _ => {
            let harm =
                *dice.pick(&[Harm::Deleted, Harm::Deleted, Harm::Broken, Harm::Stopped, Harm::Unlisted, Harm::Copied]);
            Fault::Server(harm, usize::try_from(dice.below(8)).unwrap_or(0))
        }
    }
}

impl Fault {
    /// Its kind, for counting.
    #[must_use]
    pub fn kind(&self) -> String {
        match self {
            Self::Crash(role, ..) => format!("{role:?} crashes"),
            Self::Freeze(role, ..) => format!("{role:?} freezes"),
            Self::Rebalance(role) => format!("{role:?} is rebalanced"),
            Self::CommitLost(role, _) => format!("{role:?}'s commit unanswered"),
            Self::AppendLost(_) => "append unanswered".to_owned(),
            Self::SnapshotTorn => "snapshot torn".to_owned(),
            Self::Clock(role, ..) => format!("{role:?}'s clock steps"),
            Self::DoorClock(_) => "door's clock steps".to_owned(),
            Self::CutOff(_) => "log cut off".to_owned(),
            Self::Echo(_) => "outcome comes again".to_owned(),
            Self::Weather(weather, _) => format!("cloud: {weather:?}"),
            Self::Server(harm, _) => format!("server {harm:?}"),
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.after_ms / 1_000;
        write!(f, "+{}:{:02}:{:02}  ", seconds / 3_600, seconds / 60 % 60, seconds % 60)?;
        match &self.what {
            What::Fault(fault) => write!(f, "FAULT {fault:?}"),
            What::Fact(tenant, input, delivery) => {
                write!(f, "t{tenant} {input:?}")?;
                if delivery.slow_ms > 0 {
                    write!(f, ", appended {} ms late", delivery.slow_ms)?;
                }
                delivery.again_ms.map_or(Ok(()), |again_ms| write!(f, ", again after {again_ms} ms"))
            }
        }
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (begin, partitions) = (weir_engine::time::rfc3339(self.start_ms), self.partitions);
        writeln!(
            f,
            "seed {}, from {begin}, partitions: {partitions}, processes a role: {}",
            self.seed, self.processes
        )?;
        let used = |tenant: usize, version: usize| {
            self.items.iter().any(
                |item| matches!(&item.what, What::Fact(of, Input::Deploy(what), _) if (*of, *what) == (tenant, version)),
            )
        };
        for (tenant, versions) in self.files.iter().enumerate() {
            for (version, text) in versions.iter().enumerate().filter(|(version, _)| used(tenant, *version)) {
                writeln!(f, "--- t{tenant}, version {version}\n{text}")?;
            }
        }
        self.items.iter().try_for_each(|item| writeln!(f, "{item}"))
    }
}
