//! Many seeds on several threads, in stretches. After each stretch the progress is kept, so that a long run can be stopped
//! at any time and goes on where it was.

use crate::{
    bug::Bug,
    judge::Broken,
    run,
    story::{FAULTS_MIN, Story},
    tally::Tally,
};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Seeds of a stretch; what is lost at most when a run is stopped.
const STRETCH: u64 = 200;
/// A story that says less than this is no test, and it is the generator that is wrong.
const EVENTS_MIN: u64 = 200;
/// Progress is said no more often.
const SAID_EVERY: Duration = Duration::from_secs(5);

/// How far a run of many seeds has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The build that runs it. Another decides otherwise, and cannot go on with it.
    pub build: String,
    /// The first seed.
    pub from: u64,
    /// The first seed that was not run.
    pub next: u64,
    /// What was counted.
    pub tally: Tally,
    /// Seeds that broke an invariant, and which, in their order.
    pub failed: Vec<(u64, String)>,
}

impl Progress {
    /// Reads what was kept in a file by this same build for a run from the same seed; else begins anew.
    #[must_use]
    pub fn read(path: &Path, build: &str, from: u64) -> Self {
        let kept = fs::read(path).ok().and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok());
        let anew = Self { build: build.to_owned(), from, next: from, ..Self::default() };
        kept.filter(|kept| (kept.build.as_str(), kept.from) == (build, from)).unwrap_or(anew)
    }

    /// Keeps it, whole or not at all.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn keep(&self, path: &Path) -> io::Result<()> {
        let beside = path.with_extension("new");
        fs::write(&beside, serde_json::to_vec(self)?)?;
        fs::rename(beside, path)
    }
}

/// Runs the seeds up to `end`, on so many threads. After each stretch `kept` sees the progress, and what it answers with
/// `false` ends there.
///
/// # Panics
/// Where a thread cannot be started.
pub fn many(
    mut progress: Progress,
    end: u64,
    threads: usize,
    bug: Option<Bug>,
    mut kept: impl FnMut(&Progress) -> bool,
) -> Progress {
    while progress.next < end {
        let stretch_end = end.min(progress.next + STRETCH);
        let (next, found) = (AtomicU64::new(progress.next), Mutex::new((Tally::default(), Vec::new())));
        let work = || {
            let (mut tally, mut failed) = (Tally::default(), Vec::new());
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= stretch_end {
                    break;
                }
                let (counted, broken) = whole(seed, bug);
                tally.add(&counted);
                failed.extend(broken.map(|broken| (seed, broken.law.to_owned())));
            }
            let mut found = found.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            found.0.add(&tally);
            found.1.extend(failed);
        };
        thread::scope(|scope| (0..threads.max(1)).for_each(|_| drop(scope.spawn(work))));
        let (tally, mut failed) = found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        failed.sort_unstable();
        progress.tally.add(&tally);
        progress.failed.extend(failed);
        progress.next = stretch_end;
        if !kept(&progress) {
            break;
        }
    }
    progress
}

/// Runs a seed as it was drawn, which must also be worth running.
#[must_use]
pub fn whole(seed: u64, bug: Option<Bug>) -> (Tally, Option<Broken>) {
    let (tally, broken) = run(&Story::draw(seed), bug);
    let faults: u64 = tally.faults.values().sum();
    let thin = tally.events < EVENTS_MIN || faults < FAULTS_MIN;
    let says = || Broken::new("a story says enough", format!("{} events and {faults} faults", tally.events));
    let broken = broken.or_else(|| thin.then(says));
    (tally, broken)
}

/// Says now and then how far a run is.
#[derive(Debug)]
pub struct Teller {
    began: Instant,
    said: Instant,
    from: u64,
    end: u64,
}

impl Teller {
    /// For a run that goes on with seed `from`.
    #[must_use]
    pub fn new(from: u64, end: u64) -> Self {
        Self { began: Instant::now(), said: Instant::now(), from, end }
    }

    /// A line about the progress, if the last one is some seconds ago.
    pub fn line(&mut self, progress: &Progress) -> Option<String> {
        if self.said.elapsed() < SAID_EVERY {
            return None;
        }
        self.said = Instant::now();
        let rate = (progress.next - self.from) as f64 / self.began.elapsed().as_secs_f64();
        let left = (self.end - progress.next) as f64 / rate.max(0.001);
        let (done, all) = (progress.next - progress.from, self.end - progress.from);
        let failed = progress.failed.len();
        Some(format!("{done} of {all} seeds, {rate:.1} a second, {left:.0} s to go, {failed} failed"))
    }
}
