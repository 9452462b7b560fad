//! A process that runs the settle machine: look, commit the ledger, call, commit what was answered, tell the log.
//!
//! Every step of it may be its last. It looks at one group at a time, and keeps no promise but those of the ledger.

use crate::{
    bug::Bug,
    judge::Broken,
    log::Appended,
    process::Process,
    site::{Site, event},
    store::Answer as Committed,
    story::Role,
};
use std::collections::{BTreeMap, BTreeSet};
use weir_engine::{
    call::{Answer, Call},
    event::Fact,
    id::GroupUid,
    ledger::{Ledger, Pace},
    observation::{CloudErrorKind, Observation},
    settle,
};

/// How often it looks.
pub const PACE: Pace = Pace { look_ms: 5_000, sweep_ms: 300_000 };
/// A look this old is not acted on any more, milliseconds: whoever stopped meanwhile may have lost the partition.
const LOOK_GOOD_MS: i64 = 20_000;

/// A process with the settle machine.
#[derive(Debug)]
pub struct Executor {
    /// Its outside.
    pub process: Process,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Has nothing.
    Idle,
    /// Was told to take over.
    TakeOver,
    /// Owns the partition.
    Own(Box<Own>),
}

#[derive(Debug)]
struct Own {
    epoch: u64,
    ledgers: BTreeMap<GroupUid, Ledger>,
    /// Commands read so far.
    mark: usize,
    work: Option<Work>,
}

/// One group's look, on its way.
#[derive(Debug)]
struct Work {
    uid: GroupUid,
    stage: Stage,
    calls: Vec<Call>,
    looked_ms: i64,
    /// Servers that the look showed.
    shown: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// The ledger is committed, with the intents.
    Intend,
    /// The nth call is made.
    Call(usize),
    /// The answers are committed.
    Learn,
    /// Outcomes are appended.
    Tell,
}

impl Executor {
    /// A process that has nothing yet.
    #[must_use]
    pub fn new(number: usize) -> Self {
        Self { process: Process::new(number), state: State::Idle }
    }

    /// It is given the partition, or it is taken from it (which it need not notice).
    pub fn assign(&mut self, assigned: bool, now_ms: i64) {
        if assigned && !self.process.assigned {
            self.state = State::TakeOver;
            self.process.wake_by(now_ms + 100);
        }
        self.process.assigned = assigned;
    }

    /// Somebody says that there may be something to see.
    pub fn hint(&mut self, now_ms: i64) {
        if let State::Own(own) = &mut self.state {
            own.ledgers.values_mut().for_each(Ledger::hint);
            self.process.wake_by(now_ms + 100);
        }
    }

    /// The ledgers it has.
    #[must_use]
    pub fn ledgers(&self) -> Option<&BTreeMap<GroupUid, Ledger>> {
        match &self.state {
            State::Own(own) => Some(&own.ledgers),
            State::Idle | State::TakeOver => None,
        }
    }

    /// The process died of something that it did for another partition.
    pub fn dies(&mut self, until_ms: i64) {
        self.state = State::Idle;
        self.process.assigned = false;
        self.process.doomed = None;
        self.process.freeze(until_ms);
    }

    /// Its next step.
    ///
    /// # Errors
    /// An invariant that does not hold.
    pub fn turn(&mut self, site: &mut Site) -> Result<(), Broken> {
        self.process.wake_ms = i64::MAX;
        if self.process.dies(site.now_ms) {
            self.state = State::Idle;
            self.process.assigned = false;
            return Ok(());
        }
        self.state = match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle => State::Idle,
            State::TakeOver => {
                let epoch = site.store.take_over(Role::Executor);
                let now_ms = site.now_ms + self.process.off_ms;
                let mut ledgers = BTreeMap::new();
                for (uid, bytes) in &site.store.ledgers {
                    let mut ledger = Ledger::from_bytes(bytes).map_err(|damaged| Broken::halted(&damaged))?;
                    ledger.resume(now_ms);
                    ledgers.insert(*uid, ledger);
                }
                site.tally.recoveries += 1;
                self.process.wake_by(site.now_ms + 100);
                State::Own(Box::new(Own { epoch, ledgers, mark: 0, work: None }))
            }
            State::Own(mut own) => match own.work.take() {
                None => self.look(site, own)?,
                Some(work) => self.go_on(site, own, work)?,
            },
        };
        Ok(())
    }

    /// Commands are read, and the group whose turn it is is looked at.
    fn look(&mut self, site: &mut Site, mut own: Box<Own>) -> Result<State, Broken> {
        let (mark, commands) = site.store.commands_after(own.mark);
        for command in commands {
            match own.ledgers.get_mut(&command.uid) {
                Some(ledger) => {
                    ledger.command(command.clone());
                }
                None => {
                    own.ledgers.insert(command.uid, Ledger::new(command.clone()));
                }
            }
        }
        own.mark = mark;
        // What was read once may be read again, in any order.
        if site.dice.percent(5) {
            let count = site.store.commands.len().max(1) as u64;
            let again = site.store.commands.get(usize::try_from(site.dice.below(count)).unwrap_or(0));
            if let Some((command, ledger)) =
                again.and_then(|command| Some((command, own.ledgers.get_mut(&command.uid)?)))
            {
                ledger.command(command.clone());
            }
        }
        if !site.store.live && !site.planted.is(Bug::EagerExecutor) {
            self.process.wake_by(site.now_ms + 1_000);
            return Ok(State::Own(own));
        }
        let clock_ms = site.now_ms + self.process.off_ms;
        let over: Vec<GroupUid> =
            own.ledgers.iter().filter(|(_, ledger)| ledger.is_over()).map(|(uid, _)| *uid).collect();
        for uid in over {
            own.ledgers.remove(&uid);
            if site.store.ledgers.contains_key(&uid) {
                let answer = site.store.commit_settle(own.epoch, &[(uid, None)])?.1;
                if answer != Committed::Done {
                    return Ok(self.lost(site, answer));
                }
            }
        }
        let due = own.ledgers.iter().map(|(uid, ledger)| (ledger.next_look_ms(PACE), *uid)).min();
        let Some((due_ms, uid)) = due else { return Ok(State::Own(own)) };
        if due_ms > clock_ms {
            self.process.wake_by(site.now_ms + (due_ms - clock_ms).min(60_000));
            return Ok(State::Own(own));
        }
        let Some(ledger) = own.ledgers.get_mut(&uid) else { return Ok(State::Own(own)) };
        site.tally.looks += 1;
        let mut shown = BTreeSet::new();
        let mut look = site.cloud.look(uid, &ledger.balancers(), site.now_ms);
        if site.planted.is(Bug::CutListing) && look.is_err() {
            let half = site.cloud.listing(uid, site.now_ms).into_iter().step_by(2).collect();
            look = Ok(Observation::new(half, BTreeMap::new()));
        }
        let calls = match look {
            Ok(look) => {
                shown.extend(look.servers.keys().cloned());
                let calls = settle::settle(ledger, &look, clock_ms);
                site.judge.planned(ledger, &calls, &look, clock_ms)?;
                calls
            }
            Err(error) => {
                settle::blind(ledger, &error, clock_ms);
                Vec::new()
            }
        };
        let work = Work { uid, stage: Stage::Intend, calls, looked_ms: clock_ms, shown };
        self.process.wake_by(site.now_ms + site.dice.between(5, 400));
        own.work = Some(work);
        Ok(State::Own(own))
    }

    fn go_on(&mut self, site: &mut Site, mut own: Box<Own>, mut work: Work) -> Result<State, Broken> {
        let clock_ms = site.now_ms + self.process.off_ms;
        let Some(ledger) = own.ledgers.get_mut(&work.uid) else { return Ok(State::Own(own)) };
        match work.stage {
            Stage::Intend if site.planted.is(Bug::CallFirst) && !work.calls.is_empty() => {
                work.stage = Stage::Call(0);
            }
            Stage::Intend | Stage::Learn => {
                let intends = matches!(work.stage, Stage::Intend);
                let mut bytes = ledger.to_bytes().map_err(|damaged| Broken::halted(&damaged))?;
                if intends && site.planted.is(Bug::DroppedIntent) {
                    bytes = site.store.ledgers.get(&work.uid).cloned().unwrap_or(bytes);
                }
                let (happened, answer) = site.store.commit_settle(own.epoch, &[(work.uid, Some(bytes))])?;
                if happened {
                    site.judge.ledger_committed(&site.store.ledgers, work.uid)?;
                }
                if answer != Committed::Done {
                    return Ok(self.lost(site, answer));
                }
                work.stage = if intends && !work.calls.is_empty() { Stage::Call(0) } else { Stage::Tell };
            }
            Stage::Call(at) => {
                if clock_ms - work.looked_ms > LOOK_GOOD_MS
                    || (!site.store.live && !site.planted.is(Bug::EagerExecutor))
                {
                    return Ok(self.lost(site, Committed::Unclear));
                }
                let Some(call) = work.calls.get(at) else { return Ok(State::Own(own)) };
                site.judge.called(work.uid, call, &work.shown, site.store.live)?;
                site.tally.calls += 1;
                let mut answer = site.cloud.perform(work.uid, call, site.now_ms)?;
                let unclear = matches!(&answer, Answer::Failed(error) if error.kind == CloudErrorKind::Unclear);
                if unclear && site.planted.is(Bug::OrderedAgain) && matches!(call, Call::Create { .. }) {
                    answer = site.cloud.perform(work.uid, call, site.now_ms)?;
                }
                settle::answer(ledger, call, &answer, clock_ms);
                work.stage = if at + 1 < work.calls.len() { Stage::Call(at + 1) } else { Stage::Learn };
            }
            Stage::Tell => {
                let told = ledger.outbox();
                let newest = told.last().map_or(0, |outcome| outcome.seq);
                if !told.is_empty() {
                    let tenant = ledger.newest().tenant.clone();
                    let events: Vec<_> = told
                        .into_iter()
                        .map(|outcome| {
                            let id = format!("{}-{}", outcome.uid, outcome.seq);
                            event("/executor", id, clock_ms, &tenant, Fact::Outcome(outcome))
                        })
                        .collect();
                    let uid = work.uid;
                    let said = site.append(&events)?;
                    if (said == Appended::Done || site.planted.is(Bug::DroppedOutcome))
                        && let Some(ledger) = own.ledgers.get_mut(&uid)
                    {
                        ledger.appended(newest);
                    }
                    // What was appended and is not yet committed as such is appended once more after a crash; what may
                    // not have been, now.
                    if said != Appended::Done {
                        self.process.wake_by(site.now_ms + 3_000);
                        own.work = Some(work);
                        return Ok(State::Own(own));
                    }
                }
                self.process.wake_by(site.now_ms + 5);
                return Ok(State::Own(own));
            }
        }
        let lasts_ms = match work.stage {
            Stage::Call(_) => site.dice.between(50, 800),
            Stage::Intend | Stage::Learn | Stage::Tell => site.dice.between(2, 20),
        };
        self.process.wake_by(site.now_ms + lasts_ms);
        own.work = Some(work);
        Ok(State::Own(own))
    }

    /// It does not know what is committed, or has lost the partition.
    fn lost(&mut self, site: &mut Site, answer: Committed) -> State {
        if answer == Committed::Fenced && !self.process.assigned {
            return State::Idle;
        }
        self.process.wake_by(site.now_ms + 1_000);
        State::TakeOver
    }
}
