//! Many plays of one story, over all processors, and what came of them as a table.

use super::{
    Played,
    bug::Bug,
    faults::{Effect, Faults, Moment, Plan},
    play,
    story::Act,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};
use tokio::runtime::{Builder, Runtime};

/// The story without faults, with which the others are compared.
#[derive(Debug)]
pub struct Clean {
    story: &'static [Act],
    /// How it goes.
    pub played: Played,
}

/// A play with faults.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its faults.
    pub plan: Plan,
    /// Its effects.
    pub trail: Vec<Effect>,
    /// What was wrong with it, if anything.
    pub wrong: Option<String>,
}

impl Clean {
    /// Plays a story without faults, twice, which must be the same.
    ///
    /// # Errors
    /// Where it goes wrong or is not the same.
    pub fn play(story: &'static [Act]) -> Result<Self, String> {
        let runtime = runtime();
        let played = play(&runtime, story, &Arc::default())?;
        let again = play(&runtime, story, &Arc::default())?;
        if played != again {
            return Err(format!("the same story went otherwise: {played:?} and {again:?}"));
        }
        Ok(Self { story, played })
    }

    /// Every plan of one fault.
    #[must_use]
    pub fn singles(&self) -> Vec<Plan> {
        let numbers = 0..self.played.trail.len();
        numbers.flat_map(|number| Moment::ALL.map(|moment| Plan::from([(number, moment)]))).collect()
    }

    /// Plays each plan.
    ///
    /// # Panics
    /// Where a play does.
    #[must_use]
    pub fn run(&self, plans: &[Plan]) -> Vec<Run> {
        let (next, runs) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let worker = || {
            let runtime = runtime();
            while let Some(plan) = plans.get(next.fetch_add(1, Ordering::Relaxed)) {
                let run = self.judge(&runtime, plan, None);
                runs.lock().unwrap().push(run);
            }
        };
        thread::scope(|scope| {
            for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
                scope.spawn(worker);
            }
        });
        let mut runs = runs.into_inner().unwrap();
        runs.sort_by(|one, other| one.plan.cmp(&other.plan));
        runs
    }

    /// Plays plans with a mistake in the process until one goes wrong; how many it took, and that play.
    #[must_use]
    pub fn finds(&self, plans: &[Plan], bug: Bug) -> Option<(usize, Run)> {
        let runtime = runtime();
        let plays = plans.iter().map(|plan| self.judge(&runtime, plan, Some(bug)));
        plays.enumerate().find(|(_, run)| run.wrong.is_some()).map(|(before, run)| (before + 1, run))
    }

    fn judge(&self, runtime: &Runtime, plan: &Plan, bug: Option<Bug>) -> Run {
        let faults = Arc::new(Faults::new(plan.clone()).with_bug(bug));
        let played = play(runtime, self.story, &faults);
        let wrong = played.and_then(|played| self.compare(plan, &played)).err();
        Run { plan: plan.clone(), trail: faults.trail(), wrong }
    }

    fn compare(&self, plan: &Plan, played: &Played) -> Result<(), String> {
        if played.changes != self.played.changes {
            return Err(format!("the target went {:?} and should go {:?}", played.changes, self.played.changes));
        }
        // An order that was sent twice makes a server too many, for a moment; nothing else may.
        let ordered_twice = |(number, moment): &(&usize, &Moment)| {
            **moment == Moment::Twice && played.trail.get(**number) == Some(&Effect::Create)
        };
        let most = self.played.made + plan.iter().filter(ordered_twice).count() as u64;
        if played.made > most {
            return Err(format!("{} servers were made, {most} at most should be", played.made));
        }
        Ok(())
    }
}

/// Plans of two faults: a first one as in `firsts`, each a play with one fault, and a second at most `apart` effects later.
/// What comes after a first fault is read from its own play, so each pair is one that happens.
#[must_use]
pub fn pairs(firsts: &[Run], apart: usize) -> Vec<Plan> {
    let mut plans = Vec::new();
    for first in firsts {
        let Some((number, moment)) = first.plan.first_key_value() else { continue };
        if !first.trail.get(*number).is_some_and(|effect| effect.moments().contains(moment)) {
            continue;
        }
        for (second, effect) in first.trail.iter().enumerate().skip(number + 1).take(apart) {
            plans.extend(effect.moments().iter().map(|other| Plan::from([(*number, *moment), (second, *other)])));
        }
    }
    plans
}

/// How many plays went well, of how many, by effect and moment. A play of two faults counts for both.
#[must_use]
pub fn table(runs: &[Run]) -> String {
    let mut counts: BTreeMap<(Effect, Moment), (usize, usize)> = BTreeMap::new();
    for run in runs {
        for (number, moment) in &run.plan {
            let Some(effect) = run.trail.get(*number) else { continue };
            let (ok, all) = counts.entry((*effect, *moment)).or_default();
            *ok += usize::from(run.wrong.is_none());
            *all += 1;
        }
    }
    let mut text = format!("{:<14}", "effect");
    text.extend(Moment::ALL.iter().map(|moment| format!("{moment:>12}")));
    let effects: BTreeSet<Effect> = counts.keys().map(|(effect, _)| *effect).collect();
    for effect in effects {
        text.push_str(&format!("\n{effect:<14}"));
        let cell = |moment| counts.get(&(effect, moment)).map_or("–".to_owned(), |(ok, all)| format!("{ok}/{all}"));
        text.extend(Moment::ALL.iter().map(|moment| format!("{:>12}", cell(*moment))));
    }
    text
}

fn runtime() -> Runtime {
    // One thread for what is asynchronous, and one at a time for what blocks, since each is waited for.
    Builder::new_current_thread().enable_time().build().unwrap()
}
