//! Why a group stood as it did: the engine run again up to the moment, what it sees there, and what came next.
//!
//! The door asks on behalf of whoever asks it. A decision that was made in the moment is what is explained; where there
//! was none, an evaluation is. Within the events' retention the log is run again, and the answer says whether that gave
//! what was recorded; before, it comes from the kept decisions, and says so.

use crate::{
    api::Moment,
    backend::{Backend, Error, Kept, Result, Skips, partition_of},
    clock::Clock,
    replay,
};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use weir_engine::{
    decision::{Decision, Verdict},
    explain::{self, Why, explain},
    id::Position,
    time,
};

/// Decisions looked at to find the one of a moment.
const DECISIONS_MAX: usize = 256;
/// What came next is looked for this far ahead, milliseconds.
const AHEAD_MS: i64 = 24 * 3_600_000;

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// What an evaluation then saw, or what was decided.
    #[serde(flatten)]
    pub why: Why,
    /// The newest record that it rests on.
    pub position: Position,
    /// How it is known.
    pub source: Source,
    /// The first change of the target after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Next>,
}

/// How an account is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The log was run again up to that moment; nothing had been decided in it.
    Rerun,
    /// The log was run again, and gave the decision that was recorded.
    RerunEqual,
    /// The log was run again, and gave another decision than was recorded. The recorded one is told.
    RerunOther,
    /// The events are no longer kept: this is the newest kept decision.
    Record,
}

/// A change of the target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// When.
    #[serde(with = "time::wire")]
    pub at: i64,
    /// From this size …
    pub from: u32,
    /// … to this one.
    pub to: u32,
    /// In words.
    pub because: String,
}

/// Accounts for a group at a moment, now where there is none. `None` where there was no such group then, or nothing is
/// kept of it.
///
/// # Errors
/// The log's or store's, or a moment to come.
pub fn account(
    backend: &dyn Backend,
    clock: &dyn Clock,
    tenant: &str,
    group: &str,
    moment: Option<Moment>,
) -> Result<Option<Account>> {
    let partition = partition_of(tenant, backend.partitions());
    let Some(moment) = moment else {
        let (committed, _) = backend.stepped(partition)?;
        let state = replay::state_of(backend, tenant, partition, committed.next)?;
        let why = explain(&state, tenant, group, clock.now_ms().max(state.t()));
        let position = Position { partition, offset: committed.next.saturating_sub(1) };
        return Ok(why.map(|why| Account { why, position, source: Source::Rerun, next: None }));
    };
    if moment.from_ms > clock.now_ms() {
        return Err(Error::OutOfRange(format!("{} is yet to come", time::rfc3339(moment.from_ms))));
    }
    let asked = Asked { backend, tenant, group, partition };
    let account = match asked.decided(moment)? {
        Some(decision) => Some(asked.rerun(decision)?),
        None => asked.quiet(moment.from_ms)?,
    };
    account.map(|account| Ok(Account { next: asked.next(account.why.decision.at)?, ..account })).transpose()
}

struct Asked<'a> {
    backend: &'a dyn Backend,
    tenant: &'a str,
    group: &'a str,
    partition: u32,
}

impl Asked<'_> {
    /// Decisions that may have been made before `until_ms`, newest first: the record that moved the time past it ran the
    /// timers before it.
    fn before(&self, until_ms: i64) -> Result<Vec<Kept>> {
        let offset = self.backend.offset_at(self.partition, until_ms)?;
        let before = Kept::serial(offset.saturating_add(2), 0);
        self.backend.decisions(self.tenant, self.group, Some(before), DECISIONS_MAX)
    }

    /// The decision that a moment is remembered for: its last change, or else the last thing that was said.
    fn decided(&self, moment: Moment) -> Result<Option<Decision>> {
        let within = |kept: &Kept| (moment.from_ms..moment.until_ms).contains(&kept.decision.at);
        let kept: Vec<Kept> = self.before(moment.until_ms)?.into_iter().filter(within).collect();
        let changed = kept.iter().position(|kept| kept.decision.from != kept.decision.to);
        let acted = || kept.iter().position(|kept| !matches!(kept.decision.outcome, Verdict::Still));
        let at = changed.or_else(acted).unwrap_or(0);
        Ok(kept.into_iter().nth(at).map(|kept| kept.decision))
    }

    /// Runs the log again over the record of a decision.
    fn rerun(&self, decision: Decision) -> Result<Account> {
        let position = decision.position;
        // The whole partition's: at which record a timer ran may depend on how many others were due.
        let mut state = match replay::state_at(self.backend, self.partition, position.offset) {
            Ok(state) => state,
            Err(replay::Error::Backend(Error::OutOfRange(_))) => return Ok(recorded(decision)),
            Err(error) => return Err(error.into()),
        };
        let damaged = |reason: String| Error::Damaged(format!("record `{position}` cannot be applied: {reason}"));
        let Some(line) = self.backend.read(self.partition, position.offset, 1)?.into_iter().next() else {
            return Ok(recorded(decision));
        };
        let line = Skips::of(&self.backend.skips(self.partition)?).obey(line);
        let record = replay::record(&line).map_err(damaged)?;
        let made = state.step(&record).map_err(|halt| damaged(halt.to_string()))?;
        let source = if made.decisions.contains(&decision) { Source::RerunEqual } else { Source::RerunOther };
        // The file and the window as they are right after it; a deploy in between would have been a decision of its own.
        let mut why =
            explain(&state, self.tenant, self.group, decision.at).unwrap_or_else(|| recorded(decision.clone()).why);
        why.last_change = why.last_change.filter(|last| last.at < decision.at);
        why.decision = decision;
        Ok(Account { why, position, source, next: None })
    }

    /// Nothing was decided in the moment: what an evaluation would have seen at its beginning.
    fn quiet(&self, at_ms: i64) -> Result<Option<Account>> {
        let (oldest, end) = self.backend.range(self.partition)?;
        if oldest == end {
            return Ok(None);
        }
        let offset = self.backend.offset_at(self.partition, at_ms)?;
        let line = self.backend.read(self.partition, offset, 1)?;
        let known = line.first().is_some_and(|line| line.appended_ms <= at_ms);
        let (committed, _) = self.backend.stepped(self.partition)?;
        let next = offset.saturating_add(1).min(committed.next);
        let state = match replay::state_of(self.backend, self.tenant, self.partition, next) {
            Ok(state) if known => state,
            Ok(_) | Err(replay::Error::Backend(Error::OutOfRange(_))) => {
                let kept = self.before(at_ms)?.into_iter().find(|kept| kept.decision.at <= at_ms);
                return Ok(kept.map(|kept| recorded(kept.decision)));
            }
            Err(error) => return Err(error.into()),
        };
        let position = Position { partition: self.partition, offset: next.saturating_sub(1) };
        let why = explain(&state, self.tenant, self.group, at_ms);
        Ok(why.map(|why| Account { why, position, source: Source::Rerun, next: None }))
    }

    fn next(&self, at_ms: i64) -> Result<Option<Next>> {
        let until_ms = at_ms.saturating_add(AHEAD_MS);
        let mut earliest = None;
        let mut page = self.before(until_ms)?;
        // Newest first, so the last one of a page that is still after the moment is the earliest so far.
        loop {
            let after = |kept: &&Kept| kept.decision.at > at_ms && kept.decision.from != kept.decision.to;
            earliest = page.iter().rfind(after).map(|kept| kept.decision.clone()).or(earliest);
            match page.last() {
                Some(last) if last.decision.at > at_ms => {
                    page = self.backend.decisions(self.tenant, self.group, Some(last.serial), DECISIONS_MAX)?;
                }
                _ => break,
            }
        }
        Ok(earliest.map(|decision| Next {
            at: decision.at,
            from: decision.from,
            to: decision.to,
            because: match decision.outcome {
                Verdict::Changed { because, .. } => because,
                Verdict::Held { .. } | Verdict::Still | Verdict::Missed { .. } | Verdict::Refused { .. } => {
                    String::new()
                }
            },
        }))
    }
}

/// A decision is self-contained: it can be told without the log.
fn recorded(decision: Decision) -> Account {
    let position = decision.position;
    let why = Why {
        decision,
        file: String::new(),
        floor_by: None,
        floor_until: None,
        by_hand: Vec::new(),
        last_change: None,
        next_look: None,
    };
    Account { why, position, source: Source::Record, next: None }
}

/// The account in words. `clock` writes an instant as the reader's clock shows it.
#[must_use]
pub fn words(account: &Account, clock: &dyn Fn(i64) -> String) -> String {
    let Account { why, position, source, next } = account;
    let decision = &why.decision;
    let mut text = explain::words(why, clock);
    if let Some(next) = next {
        // Writing to a string does not fail.
        let _ =
            writeln!(text, "\nWhat came next, at {}: {} → {}, {}", clock(next.at), next.from, next.to, next.because);
    }
    let file = if why.file.is_empty() { "the policy" } else { why.file.as_str() };
    let how = match source {
        Source::Rerun => "re-run up to then",
        Source::RerunEqual => "re-run, equal to the record",
        Source::RerunOther => "re-run, NOT equal to the record: `weir replay --verify` says where they part",
        Source::Record => "from the record; its events are no longer kept",
    };
    let (version, semantics) = (decision.version, decision.semantics);
    let _ = writeln!(text, "\n{file} version {version} · position {position} · semantics {semantics} · {how}");
    text
}
