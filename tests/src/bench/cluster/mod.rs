//! F5 and F8: the engine over a real Kafka with a real Cassandra behind it. One broker, one node and everything that is
//! compared run on this one machine, in one run and turn by turn, so that only the ratios say something.

use super::{ROUNDS, each_second, say};
use house::House;
use loops::{Blank, Commits, Deciding, Volume};

mod house;
mod loops;
mod recovery;

/// Facts of one round: nine samples to an alarm, of a thousand groups of four servers.
const FACTS: usize = 200_000;
/// Groups that are recovered, up to the largest asked for.
const GROUPS: [usize; 2] = [1_000, 100_000];

/// Prints what Kafka → decision → Kafka reaches of a loop that decides nothing, what it asks of Cassandra, and how long a
/// take-over takes. `largest`: the most groups that are recovered.
///
/// # Errors
/// What of Kafka or Cassandra does not come up or breaks off.
pub fn run(largest: usize) -> anyhow::Result<()> {
    println!(
        "cluster: one broker, one node, one partition, on this machine; medians of {ROUNDS} rounds of {FACTS} facts"
    );
    throughput()?;
    for groups in GROUPS.into_iter().filter(|groups| *groups < largest).chain([largest]) {
        recovery::run(groups)?;
    }
    Ok(())
}

/// F5, and F8's requests.
fn throughput() -> anyhow::Result<()> {
    let mut house = House::new(FACTS)?;
    let mut rates = [const { Vec::new() }; 5];
    let (mut volume, mut requests) = (Volume::default(), 0);
    for _ in 0..ROUNDS {
        let stretch = house.append()?;
        let before = house.state_at(stretch)?;
        let worked = house.work(stretch)?;
        requests += worked.requests;
        volume = worked.volume;
        // The worker has to be first, since what it gives out is what the others must.
        let loops = [
            house.pass(stretch, Commits::AtLeastOnce, &mut Blank::new(volume, stretch))?,
            house.pass(stretch, Commits::ExactlyOnce, &mut Blank::new(volume, stretch))?,
            house.pass(stretch, Commits::AtLeastOnce, &mut Deciding::new(before.clone()))?,
            house.pass(stretch, Commits::ExactlyOnce, &mut Deciding::new(before))?,
        ];
        for (rates, rate) in rates.iter_mut().zip([worked.rate].into_iter().chain(loops)) {
            rates.push(rate);
        }
    }
    let [ours, bare, bare_exactly, deciding, deciding_exactly] = rates.map(median);
    let given = format!("gives {} records, {} KB a round", volume.records, volume.bytes / 1_000);
    say("Kafka to decision to Kafka, the worker", &each_second(ours), &given);
    say("bare loop, the same given out", &each_second(bare), "position each 100 ms, at least once");
    say("bare loop in transactions of 100 ms", &each_second(bare_exactly), "");
    say("the same engine in a bare loop", &each_second(deciding), "at least once");
    say("the same engine in a bare loop, transactions", &each_second(deciding_exactly), "of 100 ms");
    ratio("F5 the worker, to the bare loop", ours / bare, 0.9);
    ratio("F5 exactly once, to at least once", ours / deciding, 0.9);
    let each = requests as f64 / (FACTS * ROUNDS) as f64;
    let met = if each <= 0.05 { "met" } else { "not met" };
    let note = format!("{requests} for {} facts; promised at most 5 %: {met}", FACTS * ROUNDS);
    say("F8 requests to Cassandra for a fact", &format!("{:.2} %", each * 100.0), &note);
    Ok(())
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}

fn ratio(what: &str, ratio: f64, promised: f64) {
    let met = if ratio >= promised { "met" } else { "not met" };
    say(what, &format!("{ratio:.2}"), &format!("promised {promised:.1}: {met}"));
}
