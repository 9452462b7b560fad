//! What the bench measures, and with what. It asserts nothing: machines are noisy, and no test fails because a clock was
//! slow. Speeds are medians of several rounds, and ratios are taken within one run on one machine.

use std::time::{Duration, Instant};

pub mod clock;
pub mod cluster;
pub mod engine;
pub mod fleet;
pub mod promises;
pub mod road;
pub mod store;

/// Rounds of one measurement; the median counts.
pub const ROUNDS: usize = 5;

/// How many a second, in the median round. `round` answers how many it did.
pub fn rate(mut round: impl FnMut() -> usize) -> f64 {
    let mut rates: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            let done = round();
            per_second(done, started.elapsed())
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    rates[ROUNDS / 2]
}

/// How many a second.
#[must_use]
pub fn per_second(done: usize, took: Duration) -> f64 {
    count(done) / took.as_secs_f64().max(f64::MIN_POSITIVE)
}

/// A number of things as a float: exact up to 2⁵³ of them, and only shown.
#[expect(clippy::cast_precision_loss, reason = "nothing here is counted that far")]
fn count(things: usize) -> f64 {
    things as f64
}

/// The value below which `permille` of these lie.
#[must_use]
pub fn quantile(sorted: &[Duration], permille: usize) -> Duration {
    let last = sorted.len().saturating_sub(1);
    sorted.get((sorted.len() * permille / 1_000).min(last)).copied().unwrap_or_default()
}

/// One line of the report: `  what … figure   note`.
pub fn say(what: &str, figure: &str, note: &str) {
    println!("  {what:<46} {figure:>16}   {note}");
}

/// `1234567.8` as `1,234,568/s`.
#[must_use]
pub fn each_second(rate: f64) -> String {
    let digits = format!("{rate:.0}");
    let grouped = digits.as_bytes().rchunks(3).rev().map(|three| String::from_utf8_lossy(three).into_owned());
    format!("{}/s", grouped.collect::<Vec<_>>().join(","))
}
