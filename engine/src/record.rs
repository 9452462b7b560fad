//! A recorded stretch as a `test` block: what was measured and what happened becomes given, what was decided becomes
//! expected (rule 23).
//!
//! A test's stage is simpler than the world: servers are ready at once, there is no past, no kill switch and no quota. So
//! a block is first rehearsed, and only what comes out is expected; where that is not what was recorded, or something
//! cannot be said in a test at all, a comment in the block says so. Samples are told as coarsely as they can be while the
//! same is decided: a test is read by people.
//!
//! It is used by `weir record`. It must never give a block that does not pass.

use crate::{
    backtest::Stretch,
    partition::{Halt, Partition},
    rehearse::{Rehearsed, rehearse_one},
    time,
};
use std::collections::BTreeSet;
use weir_grammar::{
    policy::{self, Policy, Test, Trigger},
    quantity::Millis,
};

mod alarms;
mod block;
mod match_up;
mod series;
mod witness;

use block::Block;
use match_up::Compared;
use series::{Detail, Grid};
use witness::Witness;

/// Time before the stretch that a test is given at most, so that look-backs are full when it begins.
pub const LEAD_MAX: Millis = Millis::HOUR;

/// What is to be made a test of.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The records, from [`LEAD_MAX`] before the stretch on where they are kept.
    pub stretch: Stretch<'a>,
    /// The group.
    pub group: &'a str,
    /// The stretch, epoch milliseconds; its end is not in it.
    pub from_ms: i64,
    /// See `from_ms`.
    pub until_ms: i64,
    /// The policy that the test is to stand in; the one that was in force at the beginning where it is left out.
    pub text: Option<&'a str>,
}

/// A test block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// The block, ending in a line break. It passes with the policy.
    pub block: String,
    /// Changes that were recorded.
    pub recorded: usize,
    /// Those of them that the test makes at the same instant.
    pub same: usize,
    /// What is not in it, or not as it was, in words; these are comments in the block.
    pub notes: Vec<String>,
}

/// Why there is no test of a stretch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The stretch is about something else, or about another time.
    #[error("there is no group `{0}` in the records at that time")]
    NoGroup(String),
    /// The beginning is not before the end.
    #[error("the stretch ends before it begins")]
    Empty,
    /// It is none, or has no such group.
    #[error("the policy cannot be used: {0}")]
    Policy(String),
    /// A record cannot be applied.
    #[error(transparent)]
    Halted(#[from] Halt),
    /// Should not be: what a test makes of its own account is not what it expects.
    #[error("no test of this stretch passes: {0}")]
    Unfit(String),
}

/// Makes a test of a stretch.
///
/// # Errors
/// Where there is no such group in it, or its policy cannot be used.
pub fn record(asked: &Asked<'_>) -> Result<Recording, Error> {
    if asked.until_ms <= asked.from_ms {
        return Err(Error::Empty);
    }
    let (text, lead) = in_force(asked)?;
    let text = asked.text.unwrap_or(&text);
    let policy = weir_grammar::check("policy.weir", text).policy;
    let policy = policy.ok_or_else(|| Error::Policy("it has errors".into()))?;
    let place = policy.groups.iter().position(|plan| plan.name == asked.group);
    let place = place.ok_or_else(|| Error::Policy(format!("it has no group `{}`", asked.group)))?;
    let mut witness = Witness::new(asked, &policy, place, lead);
    witness.watch(&asked.stretch)?;
    let Some(scene) = witness.done() else { return Err(Error::NoGroup(asked.group.to_owned())) };
    let grids = Grid::all(&scene, &policy);

    let mut best: Option<(Block, Compared)> = None;
    for detail in Detail::ALL {
        if detail.apart && !grids.iter().any(Grid::can_part) {
            continue;
        }
        let block = Block::given(&scene, &policy, &grids, detail);
        let made = rehearse(text, &block.text(&["expect no action".to_owned()], &[]))?;
        let compared = Compared::new(&scene, &made);
        let better = best.as_ref().is_none_or(|(_, known)| compared.score() > known.score());
        let whole = compared.is_whole();
        if better {
            best = Some((block, compared));
        }
        if whole {
            break;
        }
    }
    let (block, compared) = best.ok_or_else(|| Error::Unfit("nothing was given".into()))?;
    settle(asked, text, &policy, &scene, &block, &compared)
}

/// Puts the expectations in and takes out those blocked ones that the test's own account does not bear out.
fn settle(
    asked: &Asked<'_>,
    text: &str,
    policy: &Policy,
    scene: &witness::Scene,
    block: &Block,
    compared: &Compared,
) -> Result<Recording, Error> {
    let plan = policy.groups.iter().find(|plan| plan.name == asked.group);
    let plan = plan.ok_or_else(|| Error::NoGroup(asked.group.to_owned()))?;
    let mut notes: Vec<String> = scene.notes.clone();
    notes.extend(compared.notes());
    let mut expects = compared.expects(plan);
    let changes = expects.len();
    expects.extend(scene.held.iter().cloned());
    if changes == 0 {
        expects.push((Millis(i64::MAX), "expect no action".into()));
    }
    expects.sort_by_key(|(at, _)| *at);
    let mut lines: Vec<String> = expects.into_iter().map(|(_, line)| line).collect();
    loop {
        let written = block.text(&lines, &notes);
        let made = rehearse(text, &written)?;
        let whole = format!("{text}\n{written}");
        let wrong: BTreeSet<&str> = made
            .failures
            .iter()
            .filter_map(|failure| whole.get(failure.span.start as usize..failure.span.end as usize))
            .map(str::trim)
            .filter(|line| line.contains(" blocked by "))
            .collect();
        if made.failures.is_empty() {
            let (recorded, same) = (compared.recorded(), compared.same());
            return Ok(Recording { block: written, recorded, same, notes });
        }
        if wrong.is_empty() {
            let words = made.failures.first().map(|failure| failure.words.clone());
            return Err(Error::Unfit(words.unwrap_or_default()));
        }
        // Held by something that a test's stage does not have, or for another reason than then.
        notes.extend(wrong.iter().map(|line| format!("left out, since it is not so in a test: {line}")));
        lines.retain(|line| !wrong.contains(line.as_str()));
    }
}

/// Runs the last test of a policy with a block behind it.
fn rehearse(text: &str, block: &str) -> Result<Rehearsed, Error> {
    let whole = format!("{text}\n{block}");
    let checked = weir_grammar::check("policy.weir", &whole);
    let error = || {
        let errors = checked.diagnostics.iter().filter(|found| found.severity == weir_grammar::Severity::Error);
        Error::Unfit(errors.map(|found| found.message.clone()).collect::<Vec<_>>().join("; "))
    };
    let policy = checked.policy.as_ref().ok_or_else(error)?;
    let test: &Test = policy.tests.last().ok_or_else(error)?;
    Ok(rehearse_one(policy, text, test))
}

/// The text of the group's file at the beginning, and how much of the past its rules look at.
fn in_force(asked: &Asked<'_>) -> Result<(String, Millis), Error> {
    let mut state: Partition = asked.stretch.start.clone();
    let tenant = asked.stretch.tenant;
    let mut found = None;
    for record in asked.stretch.records {
        let after = record.event.time.min(record.appended_ms) >= asked.from_ms;
        if after && state.group(tenant, asked.group).is_some() {
            break;
        }
        if record.event.time.min(record.appended_ms) >= asked.until_ms {
            break;
        }
        state.step(record)?;
    }
    if let Some((id, group)) = state.group(tenant, asked.group) {
        let file = state.tenant(tenant).and_then(|tenant| tenant.files.get(&group.file));
        let plan = state.program(id).map(|program| &program.plan);
        found = file.zip(plan).map(|(file, plan)| (file.text.clone(), lead(plan)));
    }
    found.ok_or_else(|| Error::NoGroup(asked.group.to_owned()))
}

/// The longest of the group's look-backs, with the `for` or `stabilize` behind it.
fn lead(plan: &policy::Group) -> Millis {
    let of = |rule: &policy::Rule| {
        let (over, hold) = match &rule.trigger {
            Trigger::When { condition, hold } => (series::longest(condition), *hold),
            Trigger::Step { aggregate, hold, .. } => (aggregate.over, *hold),
            Trigger::Track { aggregate, .. } => (aggregate.over, None),
            Trigger::Cron { .. } | Trigger::At { .. } | Trigger::Webhook { .. } | Trigger::Manual => (Millis(0), None),
        };
        let hold = hold.unwrap_or_default().0.max(rule.stabilize.unwrap_or_default().0);
        over.0.saturating_add(hold)
    };
    let longest = plan.rules.iter().map(of).max().unwrap_or(0);
    Millis(longest.saturating_add(Millis::MINUTE.0).min(LEAD_MAX.0))
}

/// `2026-11-24T02:50:00Z`: a test's `start` knows seconds.
fn second(at_ms: i64) -> String {
    let text = time::rfc3339(at_ms);
    format!("{}Z", text.get(..19).unwrap_or_default())
}
