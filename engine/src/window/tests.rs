//! Rules 4 and 5 at their edges, and against a model that keeps every sample.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use super::*;
use proptest::prelude::*;

const MINUTE: i64 = 60_000;
const EVERY: Millis = Millis(MINUTE);

fn whole(units: i64) -> Quantity {
    Quantity::whole(units).unwrap()
}

/// One sample a minute, in the middle of its pane.
fn minutes(window: &mut Window, server: u64, minutes: std::ops::Range<i64>, value: i64) {
    minutes.for_each(|minute| window.insert(server, minute * MINUTE + 30_000, whole(value)));
}

fn avg_of_five(window: &Window, minute: i64, servers: &[(u64, i64)]) -> Value {
    window.evaluate(Func::Avg, Millis(5 * MINUTE), EVERY, minute * MINUTE, servers)
}

#[test]
fn panes_are_a_period_or_a_twentieth_long() {
    assert_eq!(pane_ms(EVERY, Millis(5 * MINUTE)), MINUTE);
    assert_eq!(pane_ms(EVERY, Millis(20 * MINUTE)), MINUTE);
    assert_eq!(pane_ms(EVERY, Millis(20 * MINUTE + 1)), MINUTE + 1);
    assert_eq!(pane_ms(Millis(1), Millis(1)), 1);
}

#[test]
fn each_server_is_reduced_before_the_servers() {
    let mut window = Window::new(MINUTE, 5, false);
    // Nine samples of one server weigh as much as five of another.
    minutes(&mut window, 1, 0..5, 10);
    (0..4).for_each(|minute| window.insert(1, minute * MINUTE, whole(10)));
    minutes(&mut window, 2, 0..5, 20);
    window.insert(2, 5 * MINUTE - 1, whole(26));
    let at = |func| window.evaluate(func, Millis(5 * MINUTE), EVERY, 5 * MINUTE, &[(1, 0), (2, 0)]);
    let known = |value| Value::Known { value, servers: 2, of: 2, all_known: true };
    assert_eq!(at(Func::Avg), known(Quantity(15_500_000)));
    assert_eq!(at(Func::Sum), known(whole(31)));
    assert_eq!(at(Func::Min), known(whole(10)));
    assert_eq!(at(Func::Max), known(whole(26)));
    assert_eq!(at(Func::Last), known(whole(18)));
    assert_eq!(at(Func::Percentile(50)), Value::Unknown { known: 2, of: 2 }, "this window keeps no sketches");
}

#[test]
fn means_are_rounded_half_away_from_zero() {
    let mean = |values: &[i64]| round_div(values.iter().map(|value| i128::from(*value)).sum(), values.len() as i128);
    assert_eq!([mean(&[1, 2]), mean(&[-1, -2]), mean(&[1, 1, 2]), mean(&[1, -2])], [2, -2, 1, -1]);
    assert_eq!(mean(&[i64::MAX, i64::MAX]), i64::MAX);
}

#[test]
fn only_complete_panes_are_seen_and_late_samples_at_the_next_edge() {
    let mut window = Window::new(MINUTE, 5, false);
    minutes(&mut window, 1, 0..5, 10);
    let before = avg_of_five(&window, 5, &[(1, 0)]);
    minutes(&mut window, 1, 5..6, 1_000);
    let within = window.evaluate(Func::Avg, Millis(5 * MINUTE), EVERY, 6 * MINUTE - 1, &[(1, 0)]);
    assert_eq!(within, before);
    assert_eq!(window.next_edge_after(5 * MINUTE), Some(6 * MINUTE));
    assert_eq!(window.next_edge_after(6 * MINUTE - 1), Some(6 * MINUTE));
    window.insert(1, 5 * MINUTE + 1, whole(1_000));
    let Value::Known { value, .. } = avg_of_five(&window, 6, &[(1, 0)]) else { panic!() };
    assert_eq!(value, whole((4 * 10 + 2 * 1_000) / 6));
}

#[test]
fn a_server_is_known_with_four_fifths_of_its_samples() {
    let known = |have: &[i64]| {
        let mut window = Window::new(MINUTE, 10, false);
        have.iter().for_each(|minute| minutes(&mut window, 1, *minute..minute + 1, 1));
        matches!(avg_of_five(&window, 5, &[(1, 0)]), Value::Known { .. })
    };
    assert!(known(&[0, 1, 2, 3, 4]));
    assert!(known(&[0, 1, 2, 4]));
    assert!(!known(&[0, 1, 4]));
    // The newest lies within the last two periods, whose first instant counts.
    let newest_at = |newest_ms| {
        let mut window = Window::new(MINUTE, 10, false);
        minutes(&mut window, 1, 0..3, 1);
        window.insert(1, newest_ms, whole(1));
        matches!(avg_of_five(&window, 5, &[(1, 0)]), Value::Known { .. })
    };
    assert!(newest_at(3 * MINUTE));
    assert!(!newest_at(3 * MINUTE - 1));
}

#[test]
fn an_aggregate_is_known_with_four_fifths_of_its_servers() {
    let servers: Vec<_> = (1..=10).map(|server| (server, 0)).collect();
    let with = |known: u64| {
        let mut window = Window::new(MINUTE, 5, false);
        (1..=known).for_each(|server| minutes(&mut window, server, 0..5, 7));
        // A server that is not known adds nothing, whatever it once sent.
        minutes(&mut window, 10, 0..2, 1_000_000);
        avg_of_five(&window, 5, &servers)
    };
    assert_eq!(with(7), Value::Unknown { known: 7, of: 10 });
    assert_eq!(with(8), Value::Known { value: whole(7), servers: 8, of: 10, all_known: false });
    assert!(matches!(with(10), Value::Known { servers: 10, all_known: true, .. }));
}

#[test]
fn a_server_counts_from_the_end_of_its_warmup() {
    let mut window = Window::new(MINUTE, 5, false);
    minutes(&mut window, 1, 0..6, 10);
    minutes(&mut window, 2, 0..6, 90);
    // Warm at 4:30, so its first whole period ends at 6:00; before that it does not count.
    let servers = [(1, 0), (2, 4 * MINUTE + 30_000)];
    assert_eq!(
        avg_of_five(&window, 5, &servers),
        Value::Known { value: whole(10), servers: 1, of: 1, all_known: false }
    );
    assert_eq!(
        avg_of_five(&window, 6, &servers),
        Value::Known { value: whole(50), servers: 2, of: 2, all_known: true }
    );
    // What it sent while it warmed up is not seen: the two minutes since hold one sample of 30.
    window.insert(3, 3 * MINUTE, whole(1_000));
    window.insert(3, 4 * MINUTE, whole(30));
    assert_eq!(
        avg_of_five(&window, 6, &[(3, 4 * MINUTE)]),
        Value::Known { value: whole(30), servers: 1, of: 1, all_known: true }
    );
    assert_eq!(avg_of_five(&window, 6, &[(3, 6 * MINUTE)]), Value::Unknown { known: 0, of: 0 });
    assert_eq!(avg_of_five(&window, 6, &[]), Value::Unknown { known: 0, of: 0 });
}

#[test]
fn nothing_is_kept_longer_than_needed() {
    let mut window = Window::new(MINUTE, 5, true);
    minutes(&mut window, 1, 0..10, 1);
    let before = avg_of_five(&window, 10, &[(1, 0)]);
    window.trim(10 * MINUTE);
    assert_eq!(avg_of_five(&window, 10, &[(1, 0)]), before);
    let kept = window.clone();
    window.insert(1, 5 * MINUTE - 1, whole(99));
    assert_eq!(window, kept, "before the kept panes");
    window.trim(16 * MINUTE);
    assert_eq!(window.next_edge_after(16 * MINUTE), None);
    assert_eq!(window.last_at(1), Some(9 * MINUTE + 30_000), "an old sample stays old");
    window.forget(1);
    assert_eq!(window.last_at(1), None);
    // Without any trim it stays bounded too.
    minutes(&mut window, 2, 20..10_000, 1);
    assert_eq!(window.series.get(2).unwrap().len(), 7);
    assert!(matches!(avg_of_five(&window, 10_000, &[(2, 0)]), Value::Known { .. }));
}

#[test]
fn a_snapshot_reads_back_the_same() {
    let mut window = Window::new(MINUTE, 5, true);
    minutes(&mut window, 1, 0..5, i64::from(i32::MIN));
    minutes(&mut window, u64::MAX, -3..2, 7);
    let bytes = postcard::to_stdvec(&window).unwrap();
    assert_eq!(postcard::from_bytes::<Window>(&bytes).unwrap(), window);
}

type Sample = (u64, i64, i64);

/// Rules 4 and 5 over a list of samples, in fractions and by sorting. Percentiles are exact.
fn model(samples: &[Sample], func: Func, over: i64, every: i64, now: i64, servers: &[(u64, i64)]) -> Option<i64> {
    let pane = pane_ms(Millis(every), Millis(over));
    let end = now - now % pane;
    let start = end - pane * (over as u64).div_ceil(pane as u64) as i64;
    let half_away = |sum: i128, count: usize| {
        let (twice, whole) = (2 * sum.abs() + count as i128, 2 * count as i128);
        (sum.signum() * (twice / whole)) as i64
    };
    let (mut expected_servers, mut known) = (0, Vec::new());
    for (server, counts_from) in servers {
        let from = (0..).map(|edge| start + edge * pane).find(|edge| edge >= counts_from).unwrap().min(end);
        let expected = (end - from) / every;
        if expected == 0 {
            continue;
        }
        expected_servers += 1;
        let mut own: Vec<_> = samples.iter().filter(|(key, at, _)| key == server && (from..end).contains(at)).collect();
        own.sort_by_key(|(_, at, _)| *at);
        let recent = own.last().is_some_and(|(_, at, _)| *at >= end - 2 * every);
        if recent && own.len() as i64 >= (expected * 4 / 5).max(1) {
            known.push(own.iter().map(|(_, _, value)| *value).collect::<Vec<_>>());
        }
    }
    if expected_servers == 0 || known.len() * 5 < expected_servers * 4 {
        return None;
    }
    let mean = |own: &Vec<i64>| i128::from(half_away(own.iter().map(|value| i128::from(*value)).sum(), own.len()));
    let mut all = known.concat();
    all.sort_unstable();
    Some(match func {
        Func::Avg => half_away(known.iter().map(mean).sum(), known.len()),
        Func::Sum => known.iter().map(mean).sum::<i128>() as i64,
        Func::Min => all[0],
        Func::Max => all[all.len() - 1],
        Func::Last => half_away(known.iter().map(|own| i128::from(own[own.len() - 1])).sum(), known.len()),
        Func::Percentile(percent) => all[(all.len() * percent as usize).div_ceil(100) - 1],
    })
}

fn value() -> impl Strategy<Value = i64> {
    prop_oneof![0..100_000_000_i64, -50..50_i64, -9_000_000_000_000..9_000_000_000_000_i64]
}

/// Three servers that mostly send, each in its own phase, with holes, and now and then twice a period.
fn samples(every: i64) -> impl Strategy<Value = Vec<Sample>> {
    let slot = (prop::bool::weighted(0.85), 0..every, value());
    prop::collection::vec(prop::collection::vec(slot, 60), 3).prop_map(move |servers| {
        let mut all = Vec::new();
        for (server, slots) in servers.into_iter().enumerate() {
            for (period, (sent, offset, value)) in slots.into_iter().enumerate() {
                if sent {
                    all.push((server as u64 + 1, period as i64 * every + offset, value));
                }
            }
        }
        all
    })
}

fn filled(samples: &[Sample], every: i64, over: i64) -> Window {
    let pane = pane_ms(Millis(every), Millis(over));
    let mut window = Window::new(pane, 60, true);
    samples.iter().for_each(|(server, at, value)| window.insert(*server, *at, Quantity(*value)));
    window
}

proptest! {
    #[test]
    fn it_is_what_a_model_with_every_sample_says(
        (every, samples) in (1_000..20_000_i64).prop_flat_map(|every| (Just(every), samples(every))),
        periods in 1..55_i64, odd in 0..3_000_i64, now in 0..60_i64, warm in prop::collection::vec(0..60_i64, 3),
    ) {
        let (over, now_ms) = (periods * every + odd, now * every + odd);
        // One server was warm long before.
        let mut servers: Vec<_> = (1..).zip(warm.iter().map(|warm| warm * every / 2 + odd)).collect();
        servers[0].1 = 0;
        let window = filled(&samples, every, over);
        for func in [Func::Avg, Func::Sum, Func::Min, Func::Max, Func::Last] {
            let got = match window.evaluate(func, Millis(over), Millis(every), now_ms, &servers) {
                Value::Known { value, .. } => Some(value.0),
                Value::Unknown { .. } => None,
            };
            prop_assert_eq!(got, model(&samples, func, over, every, now_ms, &servers), "{:?}", func);
        }
        for percent in [50, 90, 95, 99] {
            let func = Func::Percentile(percent);
            let exact = model(&samples, func, over, every, now_ms, &servers);
            match window.evaluate(func, Millis(over), Millis(every), now_ms, &servers) {
                Value::Unknown { .. } => prop_assert_eq!(exact, None),
                Value::Known { value, .. } => {
                    let exact = exact.unwrap();
                    prop_assert!(value.0.abs_diff(exact) * 50 <= exact.unsigned_abs(), "{} for {exact}", value.0);
                }
            }
        }
    }

    #[test]
    fn neither_the_order_of_arrival_nor_trimming_shows(
        (samples, shuffled) in samples(1_000).prop_flat_map(|samples| (Just(samples.clone()), Just(samples).prop_shuffle())),
        trims in prop::collection::vec(0..60_000_i64, 0..5),
    ) {
        let (one, mut other) = (filled(&samples, 1_000, 10_000), filled(&shuffled, 1_000, 10_000));
        prop_assert_eq!(&one, &other);
        let last = trims.iter().copied().max().unwrap_or(0);
        other.set_keep(10);
        trims.iter().for_each(|now| other.trim(*now));
        for now in last..last + 20 {
            let at = |window: &Window| {
                window.evaluate(Func::Percentile(95), Millis(10_000), Millis(1_000), now, &[(1, 0), (2, 0), (3, 0)])
            };
            prop_assert_eq!(at(&one), at(&other));
        }
    }
}
