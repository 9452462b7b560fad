//! The crash matrix: at every effect of a group's life the process is killed, or its answer lost, or the effect fails once or
//! is done twice; and whatever happened, nothing is lost and nothing doubled.
//!
//! Of two faults: all pairs of the short story; of the long one all adjacent pairs and a sample of the rest, `WEIR_PAIRS`
//! many (150), drawn by `WEIR_SEED` (1).

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::{collections::BTreeSet, env, time::Instant};
use weir_tests::crash_matrix::{
    bug::Bug,
    faults::{Effect, Moment, Plan},
    runs::{Clean, Run, pairs, table},
    story,
};

/// Plays, prints the table, and fails where anything went wrong.
fn judge(what: &str, clean: &Clean, plans: &[Plan]) -> Vec<Run> {
    let began = Instant::now();
    let runs = clean.run(plans);
    let wrong: Vec<&Run> = runs.iter().filter(|run| run.wrong.is_some()).collect();
    println!("figure: crash matrix, {what}: {} plays, {} right", runs.len(), runs.len() - wrong.len());
    println!("{}\nin {:.0?}", table(&runs), began.elapsed());
    for run in wrong.iter().take(10) {
        let fault = |(number, moment): (&usize, &Moment)| format!("{moment} #{number} {:?}", run.trail.get(*number));
        let faults: Vec<String> = run.plan.iter().map(fault).collect();
        println!("{}: {}", faults.join(", "), run.wrong.as_deref().unwrap_or_default());
    }
    assert!(wrong.is_empty(), "{} of {} plays went wrong", wrong.len(), runs.len());
    runs
}

#[test]
fn one_fault_at_any_effect_or_two_in_a_row_or_two_drawn() {
    let clean = Clean::play(story::LONG).unwrap();
    // A story that calls nothing would be right whatever happens.
    let effects: BTreeSet<Effect> = clean.played.trail.iter().copied().collect();
    assert_eq!(effects.len(), 12, "the story does not do everything: {effects:?}");
    let singles = judge("one fault", &clean, &clean.singles());
    judge("two faults in a row", &clean, &pairs(&singles, 1));
    let drawn = draw(pairs(&singles, usize::MAX), number("WEIR_PAIRS", 150), number("WEIR_SEED", 1));
    judge("two faults, drawn", &clean, &drawn);
}

#[test]
fn any_two_faults_in_a_short_story() {
    let clean = Clean::play(story::SHORT).unwrap();
    let singles = judge("one fault, short story", &clean, &clean.singles());
    judge("any two faults, short story", &clean, &pairs(&singles, usize::MAX));
}

#[test]
fn one_fault_or_two_drawn_while_people_act_by_hand() {
    let clean = Clean::play(story::HANDS).unwrap();
    let effects: BTreeSet<Effect> = clean.played.trail.iter().copied().collect();
    assert!(effects.contains(&Effect::Mark) && effects.contains(&Effect::Unmark), "{effects:?}");
    let singles = judge("one fault, by hand", &clean, &clean.singles());
    let drawn = draw(pairs(&singles, usize::MAX), number("WEIR_PAIRS", 150) / 2, number("WEIR_SEED", 1));
    judge("two faults, drawn, by hand", &clean, &drawn);
}

/// A matrix that finds nothing proves nothing: each mistake is found by one fault. Without any fault none is to be seen.
#[test]
fn mistakes_are_found() {
    let clean = Clean::play(story::LONG).unwrap();
    let singles = clean.singles();
    for bug in Bug::ALL {
        assert!(clean.finds(&[Plan::default()], bug).is_none(), "{bug:?} is seen without a fault");
        let (plays, run) = clean.finds(&singles, bug).unwrap_or_else(|| panic!("{bug:?} is not found"));
        let fault = run.plan.iter().map(|(number, moment)| format!("{moment} {}", run.trail[*number]));
        let (fault, wrong) = (fault.collect::<String>(), run.wrong.unwrap_or_default());
        let first: String = wrong.chars().take(90).collect();
        println!("figure: {bug:?} found by play {plays} of {}, {fault}: {first}", singles.len());
    }
}

/// So many of the plans, drawn by a seed.
fn draw(mut plans: Vec<Plan>, many: u64, seed: u64) -> Vec<Plan> {
    let mut state = seed;
    let many = usize::try_from(many).unwrap().min(plans.len());
    for place in 0..many {
        // SplitMix64: a few lines, and the same on every machine.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let left = u64::try_from(plans.len() - place).unwrap();
        plans.swap(place, place + usize::try_from((word ^ (word >> 31)) % left).unwrap());
    }
    plans.truncate(many);
    plans
}

fn number(variable: &str, usual: u64) -> u64 {
    env::var(variable).map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{variable}=`{text}` is no number")))
}
