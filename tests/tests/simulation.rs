//! A small number of the simulation's seeds, those that once failed, and a bug that must be found. Many more:
//! `cargo run --release -p weir-tests --bin simulation -- --seeds 2000 --threads 2`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use weir_tests::simulation::{bug::Bug, run, story::Story, tally::Tally};

/// Seeds of a quick run.
const SEEDS: u64 = 24;

fn holds(seed: u64) -> Tally {
    let (tally, broken) = run(&Story::draw(seed), None);
    if let Some(broken) = broken {
        panic!("{}: {}\nshortened by `simulation --story {seed}`", broken.law, broken.words);
    }
    tally
}

#[test]
fn invariants_hold_over_a_few_seeds() {
    let mut total = Tally::default();
    for seed in 1_000..1_000 + SEEDS {
        let tally = holds(seed);
        assert!(tally.events >= 200, "seed {seed} has {} events", tally.events);
        assert!(tally.faults.values().sum::<u64>() >= 3, "seed {seed} has {:?}", tally.faults);
        total.add(&tally);
    }
    assert!(total.verdicts.len() >= 4 && total.guards.len() >= 8, "{total}");
}

#[test]
fn seeds_that_once_failed_hold() {
    let kept = include_str!("../simulation/kept.txt");
    let seeds = kept.lines().filter_map(|line| line.split('#').next()?.trim().parse().ok());
    assert!(seeds.map(holds).count() >= 5);
}

#[test]
fn a_seed_runs_the_same_twice() {
    assert_eq!(holds(7), holds(7));
}

#[test]
fn mistakes_of_the_harness_are_found() {
    let within = |bug| (0..60).any(|seed| run(&Story::draw(seed), Some(bug)).1.is_some());
    for bug in [Bug::NoFencing, Bug::DroppedOutcome, Bug::CallFirst] {
        assert!(within(bug), "{bug:?} is not found in 60 seeds");
    }
}
