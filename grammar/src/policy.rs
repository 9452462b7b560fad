//! The checked program: what a policy file means, every name resolved and every unit met.
//!
//! The checker makes it, the engine runs it. Nothing in here is text to be read again: lengths are [`Millis`], values
//! are [`Quantity`], names of metrics, alarms, events and launches are indices into the file's own lists. Where the
//! source is needed for a message, a [`Span`] of byte offsets is kept.

use crate::quantity::{Millis, Percent, Quantity};
use crate::schedule::{Cron, Zone};
use serde::{Deserialize, Serialize};

/// Byte offsets into the file, half-open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// A whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The language's edition, 2026.
    pub edition: u16,
    /// Metrics, in the order of the file.
    pub metrics: Vec<Metric>,
    /// Alarms, in the order of the file.
    pub alarms: Vec<Alarm>,
    /// Declared event types, in the order of the file.
    pub events: Vec<EventType>,
    /// Launch configurations.
    pub launches: Vec<Launch>,
    /// Scaling groups.
    pub groups: Vec<Group>,
    /// Test blocks.
    pub tests: Vec<Test>,
}

/// The unit of a metric (what its literals are written in, how its values are shown).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    /// `75%`; a sample of 68.4 is 68.4 %.
    Percent,
    /// `250ms`; a sample is in seconds, as Prometheus has it.
    Duration,
    /// A plain number.
    #[default]
    Number,
    /// `512MiB`; a sample is in bytes.
    Bytes,
}

/// `metric cpu.usage: percent every 1m shared from source "prometheus" query "…"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name in the policy, `cpu.usage`.
    pub name: String,
    /// What the sender calls it: the `from` text, else the name; of a source that is asked, its name and the query.
    pub from: String,
    /// What its values are.
    pub unit: Unit,
    /// How often a sample is expected.
    pub every: Millis,
    /// One series for the tenant, rather than one a server.
    pub shared: bool,
    /// A configured source that is asked, with its query.
    pub source: Option<MetricSource>,
    /// Where it stands.
    pub span: Span,
}

/// `from source "prometheus" query "sum(…)"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricSource {
    /// The source's name in the configuration.
    pub name: String,
    /// The query it runs each `every`.
    pub query: String,
}

/// `alarm web_5xx: shared from "web-5xx" stale after 1h`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// Its name in the policy.
    pub name: String,
    /// What the sender calls it: the `from` text, else the name.
    pub from: String,
    /// Of the tenant, not of a server.
    pub shared: bool,
    /// A `warning` or `critical` not repeated this long becomes `unknown` (rule 6).
    pub stale_after: Option<Millis>,
    /// Where it stands.
    pub span: Span,
}

/// `event deploy.done: from "com.example.deploy.done"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventType {
    /// Its name in the policy.
    pub name: String,
    /// The CloudEvents type or the feed entry's type.
    pub from: String,
    /// Where it stands.
    pub span: Span,
}

/// A launch configuration: what a new server is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// Its name.
    pub name: String,
    /// Image, by name or id.
    pub image: String,
    /// Flavor, by name or id.
    pub flavor: String,
    /// Key pair.
    pub key: Option<String>,
    /// Networks, in order.
    pub networks: Vec<String>,
    /// Availability zones over which servers are spread.
    pub zones: Vec<String>,
    /// Volumes, in order.
    pub volumes: Vec<Volume>,
    /// A file beside the policy whose text is the user data.
    pub setup: Option<String>,
    /// Load balancers that a ready server joins.
    pub balancers: Vec<Balancer>,
    /// Metadata, in the order of the file.
    pub metadata: Vec<(String, String)>,
}

/// `volume 100GiB "SSD" on "/dev/vdb"`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Size in bytes.
    pub bytes: u64,
    /// Volume type.
    pub kind: Option<String>,
    /// Device it is attached as.
    pub device: Option<String>,
}

/// `balancer "lb-4471" port 8443`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Balancer {
    /// The balancer's id or name.
    pub name: String,
    /// The port on the server.
    pub port: u16,
}

/// Which servers `remove` takes first, after building and errored ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RemoveOrder {
    /// Longest serving first.
    #[default]
    OldestFirst,
    /// Shortest serving first.
    NewestFirst,
}

/// What the customer's webhook is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum NotifyOn {
    /// A server takes its part.
    Ready,
    /// A build failed for good.
    Failed,
    /// A server is gone on purpose.
    Removed,
    /// A server vanished.
    Lost,
}

/// `notify "https://…" on ready, failed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    /// The customer's URL.
    pub url: String,
    /// What it is told of.
    pub on: Vec<NotifyOn>,
}

/// A scaling group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its doc comment.
    pub doc: String,
    /// The cloud region, as the configuration names it.
    pub region: String,
    /// Fewest servers.
    pub min: u32,
    /// Most servers.
    pub max: u32,
    /// The zone of its schedules; UTC if not given.
    pub zone: Zone,
    /// Index into [`Policy::launches`].
    pub launch: usize,
    /// A build older than this has failed; 30 minutes if not given.
    pub ready_within: Millis,
    /// Time out of the balancer before a server goes.
    pub drain: Millis,
    /// Who goes first.
    pub remove: RemoveOrder,
    /// The customer's webhook.
    pub notify: Option<Notify>,
    /// Between two automatic changes; 5 minutes if not given (rule 11).
    pub cooldown: Millis,
    /// A new server's samples do not count this long.
    pub warmup: Millis,
    /// Gross change per sliding window (rule 13).
    pub limits: Vec<Limit>,
    /// Levels that move the bounds.
    pub windows: Vec<Window>,
    /// Levels that hold rules.
    pub freezes: Vec<Freeze>,
    /// Rules, in the order of the file.
    pub rules: Vec<Rule>,
    /// Where its name stands.
    pub span: Span,
}

/// Up or down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Direction {
    /// More servers.
    Add,
    /// Fewer servers.
    Remove,
}

/// `limit add 12 per 10m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Which changes it counts.
    pub direction: Direction,
    /// At most this much …
    pub amount: Amount,
    /// … in any stretch this long.
    pub per: Millis,
}

/// A number of servers, or a share of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// `3`.
    Servers(u32),
    /// `25%`, of the target (rule 18).
    Share(Percent),
}

/// When a window or freeze holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recurrence {
    /// `cron "0 7 * * MON-FRI" lasting 12h`, in the group's zone or the one it names.
    Cron {
        /// The instants it opens.
        cron: Cron,
        /// The zone they are read in.
        zone: Zone,
        /// Elapsed time until it closes.
        lasting: Millis,
    },
    /// `at 2026-11-27T06:00 lasting 18h`: once.
    Once {
        /// Epoch milliseconds at which it opens.
        at_ms: i64,
        /// Elapsed time until it closes.
        lasting: Millis,
    },
}

/// `window business_hours { … capacity 8..24 }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its name.
    pub name: String,
    /// When it holds.
    pub when: Recurrence,
    /// Floor while it holds.
    pub min: u32,
    /// Ceiling while it holds.
    pub max: u32,
    /// Where its name stands.
    pub span: Span,
}

/// What a freeze holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Blocks {
    /// Both directions, forces, replacement and repair.
    All,
    /// One direction.
    Only(Direction),
}

/// `freeze patch_night { … blocks all except surge }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freeze {
    /// Its name.
    pub name: String,
    /// When it holds.
    pub when: Recurrence,
    /// What it holds.
    pub blocks: Blocks,
    /// Rules it does not hold, as indices into [`Group::rules`].
    pub except: Vec<usize>,
    /// Where its name stands.
    pub span: Span,
}

/// A rule: one trigger, one action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name; its state belongs to (group, name) (rule 20).
    pub name: String,
    /// Its doc comment.
    pub doc: String,
    /// What makes it fire.
    pub trigger: Trigger,
    /// `add only` under `track`.
    pub add_only: bool,
    /// What it does; `None` where the trigger says it itself (`step`, `track`).
    pub action: Option<Action>,
    /// Its own cooldown (rule 11).
    pub cooldown: Option<Millis>,
    /// A removal goes only to the highest wish of this long (rule 12).
    pub stabilize: Option<Millis>,
    /// Schedules found late by at most this still fire; 10 minutes if not given (rule 14).
    pub late_by: Millis,
    /// Decided and recorded, never acted on (rule 22).
    pub observe: bool,
    /// Whether a user may force it (rule 15).
    pub forceable: bool,
    /// Where its name stands.
    pub span: Span,
    /// The text of its trigger and action, white space folded: when it changes, `for` and `stabilize` start again
    /// (rule 20).
    pub meaning: String,
}

/// What makes a rule fire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// `when C for D` (rule 10).
    When {
        /// The condition.
        condition: Condition,
        /// How long it must have been true.
        hold: Option<Millis>,
    },
    /// `step A for D { arms }` (rule 12).
    Step {
        /// The value the arms are read against.
        aggregate: Aggregate,
        /// How long an arm's bound must have held.
        hold: Option<Millis>,
        /// Arms in the order of the file.
        arms: Vec<Arm>,
    },
    /// `track A at G, within P` (rule 12).
    Track {
        /// The value kept at the goal.
        aggregate: Aggregate,
        /// The goal.
        goal: Quantity,
        /// Relative tolerance, inclusive.
        within: Percent,
    },
    /// `cron "30 3 * * *"` (rule 14).
    Cron {
        /// The instants.
        cron: Cron,
        /// The zone they are read in.
        zone: Zone,
    },
    /// `at 2026-11-27T06:00` (rule 14).
    At {
        /// Epoch milliseconds.
        at_ms: i64,
    },
    /// `webhook "deploy-surge"` (rule 15).
    Webhook {
        /// The capability's name.
        name: String,
    },
    /// Only ever forced (rule 15).
    Manual,
}

/// One arm of `step`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arm {
    /// `from` (at or above) or `below`.
    pub side: Side,
    /// The bound.
    pub bound: Quantity,
    /// What it does: `Add` under `from`, `Remove` under `below`.
    pub action: Action,
    /// Where it stands.
    pub span: Span,
}

/// On which side of its bound an arm acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// At or above the bound.
    From,
    /// Under the bound.
    Below,
}

/// What a rule does to the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// `add 25%, at least 2, at most 8`.
    Add(Change),
    /// `remove 1`.
    Remove(Change),
    /// Never shrinks.
    RaiseTo(u32),
    /// Never grows.
    LowerTo(u32),
    /// Exact, either way.
    Set(u32),
}

/// An amount with its clamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// How much.
    pub amount: Amount,
    /// At least this many.
    pub least: Option<u32>,
    /// At most this many.
    pub most: Option<u32>,
}

/// A condition in Kleene's logic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// `a and b`.
    All(Vec<Condition>),
    /// `a or b`.
    Any(Vec<Condition>),
    /// `not a`.
    Not(Box<Condition>),
    /// `avg(cpu.usage over 5m) > 60%`.
    Compare(Comparison),
    /// `alarm web_5xx is critical on 2 servers`.
    Alarm(AlarmTest),
    /// `count(server.lost over 10m) >= 3`.
    Count(CountTest),
    /// `missing(cpu.usage for 10m)` (rule 19).
    Missing(MissingTest),
}

/// An aggregate against a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Left side.
    pub aggregate: Aggregate,
    /// How.
    pub op: Op,
    /// Right side, in the metric's unit.
    pub threshold: Quantity,
    /// Where it stands.
    pub span: Span,
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `>`.
    Above,
    /// `>=`.
    AtLeast,
    /// `<`.
    Under,
    /// `<=`.
    AtMost,
}

/// `avg(cpu.usage over 5m)`, `sum(queue.depth per server over 2m)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Aggregate {
    /// How samples become one value.
    pub func: Func,
    /// Index into [`Policy::metrics`].
    pub metric: usize,
    /// Divided by the target (shared metrics only).
    pub per_server: bool,
    /// The look-back.
    pub over: Millis,
}

/// How samples become one value (rule 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Func {
    /// Mean of the servers' means.
    Avg,
    /// Sum of the servers' means.
    Sum,
    /// Smallest sample.
    Min,
    /// Largest sample.
    Max,
    /// Mean of the servers' latest.
    Last,
    /// Over all samples: 50, 90, 95 or 99.
    Percentile(u8),
}

/// An alarm's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlarmState {
    /// All is well.
    Ok,
    /// Not yet bad.
    Warning,
    /// Bad.
    Critical,
    /// Never spoke, or not for too long.
    #[default]
    Unknown,
}

/// `alarm X is [not] STATE [on QUORUM]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlarmTest {
    /// Index into [`Policy::alarms`].
    pub alarm: usize,
    /// The state asked for.
    pub state: AlarmState,
    /// `is not`.
    pub negated: bool,
    /// On how many servers.
    pub quorum: Quorum,
    /// Where it stands.
    pub span: Span,
}

/// On how many servers an alarm must be so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quorum {
    /// Any server, or the group, or (shared) the tenant.
    Any,
    /// `on 2 servers`.
    Servers(u32),
    /// `on 20% of servers`.
    Share(Percent),
}

/// What `count` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counted {
    /// `server.ready`.
    ServerReady,
    /// `server.failed`.
    ServerFailed,
    /// `server.lost`.
    ServerLost,
    /// Index into [`Policy::events`].
    Declared(usize),
}

/// `count(server.lost over 10m) >= 3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountTest {
    /// What.
    pub counted: Counted,
    /// The look-back.
    pub over: Millis,
    /// How.
    pub op: Op,
    /// Against what.
    pub threshold: u32,
    /// Where it stands.
    pub span: Span,
}

/// `missing(cpu.usage for 10m)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingTest {
    /// Index into [`Policy::metrics`].
    pub metric: usize,
    /// How long it was silent.
    pub hold: Millis,
    /// Where it stands.
    pub span: Span,
}

/// A `test` block (rule 23).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// Its title.
    pub name: String,
    /// Index into [`Policy::groups`].
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
    /// Index into [`Policy::metrics`].
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
        /// Index into [`Policy::alarms`].
        alarm: usize,
        /// The new state.
        state: AlarmState,
        /// On how many servers (the oldest); one if not given, the tenant's where shared.
        servers: u32,
    },
    /// `call surge`: the capability URL of a rule, by index into [`Group::rules`].
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
        /// Index into [`Group::rules`].
        rule: usize,
        /// The guard's name, one of those in the language's rule 23.
        guard: String,
        /// The freeze.
        freeze: Option<String>,
    },
}
