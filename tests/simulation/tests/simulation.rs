//! Seeds of the simulation: as many as fit into every run of the tests, those that once failed, and a bug that must be
//! found. `WEIR_SEEDS` says how many (2,000). Many more: `tests/run simulation --seeds 100000`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::{env, thread, time::Duration};
use weir_simulation::{
    bug::Bug,
    many::{Progress, many, whole},
    run,
    shorten::shorten,
    story::Story,
    tally::Tally,
};

/// How long a failing story is shortened.
const PATIENCE: Duration = Duration::from_secs(30);

/// Tells a seed's story, as short as it gets, where it breaks an invariant.
fn holds(seed: u64) -> Tally {
    let (tally, broken) = whole(seed, None);
    if let Some(broken) = broken {
        let (story, broken) = shorten(&Story::draw(seed), None, &broken, PATIENCE);
        panic!("{story}\nBROKEN: {}\n{}", broken.law, broken.words);
    }
    tally
}

#[test]
fn invariants_hold() {
    let seeds = env::var("WEIR_SEEDS").map_or(2_000, |seeds| seeds.parse().expect("WEIR_SEEDS is no number"));
    let threads = thread::available_parallelism().map_or(1, usize::from);
    // Ends with the first stretch in which one fails, and tells it.
    let ran = many(Progress::default(), seeds, threads, None, |progress| progress.failed.is_empty());
    println!("{}", ran.tally);
    println!("figure: {} seeds, {} failed, digest {}", ran.next, ran.failed.len(), ran.tally.digest);
    ran.failed.iter().take(1).for_each(|(seed, _)| drop(holds(*seed)));
    assert!(ran.failed.is_empty(), "{:?}", ran.failed);
    assert!(ran.tally.verdicts.len() >= 4 && ran.tally.guards.len() >= 8, "a story too dull");
}

#[test]
fn seeds_that_once_failed_hold() {
    let kept = include_str!("kept.txt");
    let seeds = kept.lines().filter_map(|line| line.split('#').next()?.trim().parse().ok());
    assert!(seeds.map(holds).count() >= 5);
}

#[test]
fn a_seed_runs_the_same_twice() {
    assert_eq!(holds(7), holds(7));
}

#[test]
fn a_run_that_was_stopped_goes_on_and_ends_as_if_it_had_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("progress");
    let begin = || Progress::read(&path, "this", 40_000);
    let at_once = many(begin(), 40_006, 2, None, |_| true);
    many(begin(), 40_004, 1, None, |progress| progress.keep(&path).is_ok());
    assert_eq!(begin().next, 40_004);
    assert_eq!(many(begin(), 40_006, 1, None, |_| true), at_once);
    // Another build's progress, or one from another seed, is none.
    assert_eq!(Progress::read(&path, "other", 40_000).next, 40_000);
    assert_eq!(Progress::read(&path, "this", 40_001).next, 40_001);
}

#[test]
fn mistakes_of_the_harness_are_found() {
    let within = |bug| (0..60).any(|seed| run(&Story::draw(seed), Some(bug)).1.is_some());
    for bug in [Bug::NoFencing, Bug::DroppedOutcome, Bug::CallFirst] {
        assert!(within(bug), "{bug:?} is not found in 60 seeds");
    }
}
