//! A test block: what comes in virtual time, and what is expected of it.

use super::{AlarmState, Counted, Span};
use crate::quantity::{Millis, Quantity};

/// A `test` block (rule 23).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// Its title.
    pub name: String,
    /// Index into [`Policy::groups`](super::Policy::groups).
    pub group: usize,
    /// Epoch milliseconds of offset zero.
    pub start_ms: i64,
    /// Size at the start.
    pub size: u32,
    /// Samples.
    pub series: Vec<Series>,
    /// What happens, in the order of the file.
    pub inputs: Vec<(Millis, Input)>,
    /// What must happen, in the order of the file.
    pub expects: Vec<Expect>,
    /// Where its title stands.
    pub span: Span,
}

/// `given cpu.usage 60% for 5m, 90% for 15m on server 2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// Index into [`Policy::metrics`](super::Policy::metrics).
    pub metric: usize,
    /// Only this server (1 is the oldest given one); all warm ones else.
    pub server: Option<u32>,
    /// `None` is `missing`.
    pub pieces: Vec<(Option<Quantity>, Millis)>,
    /// Where it stands.
    pub span: Span,
}

/// An input of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// `event deploy.done x3`.
    Event {
        /// What.
        counted: Counted,
        /// How often.
        times: u32,
    },
    /// `alarm web_5xx becomes critical on 2 servers`.
    Alarm {
        /// Index into [`Policy::alarms`](super::Policy::alarms).
        alarm: usize,
        /// The new state.
        state: AlarmState,
        /// On how many servers (the oldest); one if not given, the tenant's where shared.
        servers: u32,
    },
    /// `call surge`: the capability URL of a rule, by index into [`Group::rules`](super::Group::rules).
    Call(usize),
    /// `force surge`: an authenticated force.
    Force(usize),
    /// `pause`.
    Pause,
    /// `resume`.
    Resume,
}

/// When an expectation must be met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// `at T`, exactly.
    At(Millis),
    /// `after T`.
    After(Millis),
    /// A bare `no action`.
    Throughout,
}

/// One `expect` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expect {
    /// What.
    pub what: Expected,
    /// When.
    pub when: Moment,
    /// Where it stands.
    pub span: Span,
}

/// What an `expect` line names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// `no action`.
    NoAction,
    /// `size 5`.
    Size(u32),
    /// `cpu adds 2`.
    Adds(usize, u32),
    /// `cpu removes 1`.
    Removes(usize, u32),
    /// `cpu raises to 5`.
    RaisesTo(usize, u32),
    /// `cpu lowers to 5`.
    LowersTo(usize, u32),
    /// `nightly sets 5`.
    Sets(usize, u32),
    /// `cpu blocked by freeze patch_night`: a guard's name, and the freeze's where it is one.
    Blocked {
        /// Index into [`Group::rules`](super::Group::rules).
        rule: usize,
        /// The guard's name, one of those in the language's rule 23.
        guard: String,
        /// The freeze.
        freeze: Option<String>,
    },
}
