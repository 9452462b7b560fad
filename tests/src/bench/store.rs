//! The engine over the embedded log and store, every write synced: the way of a fact without HTTP; and the same log
//! replayed.

use super::{ROUNDS, each_second, fleet, per_second, say};
use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use weir::{
    backend::{
        Backend, History, Log, Machines,
        embedded::{Embedded, Settings},
    },
    replay, worker,
};
use weir_engine::event::Event;

/// Facts of one round.
const FACTS: usize = 100_000;
/// Writers at one time, and facts in one write of each.
const SHAPES: [(usize, usize); 3] = [(1, 1), (64, 1), (8, 256)];

/// Prints how many facts a second are written, synced, stepped and committed, and how fast a replay is.
///
/// # Errors
/// The store's.
pub fn run() -> anyhow::Result<()> {
    println!("embedded: append, step, commit, all synced; {} groups", fleet::ALL_GROUPS);
    let mut replays = Vec::new();
    for (writers, together) in SHAPES {
        let facts = if together == 1 { FACTS / 20 } else { FACTS };
        let mut rates = Vec::new();
        for _ in 0..ROUNDS {
            let folder = tempfile::tempdir()?;
            let store = Arc::new(Embedded::open(folder.path(), Settings::default())?);
            let began = populate(&store)?;
            rates.push(live(&store, facts, writers, together)?);
            if together > 1 {
                let (_, end) = store.range(0)?;
                let started = Instant::now();
                let state = replay::state_at(&*store, 0, end)?;
                replays.push(per_second(usize::try_from(state.next() - began)?, started.elapsed()));
            }
        }
        rates.sort_by(f64::total_cmp);
        let live = rates[ROUNDS / 2];
        say(&format!("{writers} writers, {together} facts a write"), &each_second(live), "");
        if together > 1 {
            replays.sort_by(f64::total_cmp);
            let replayed = replays[replays.len() / 2];
            say("the same log replayed", &each_second(replayed), &format!("{:.2} of live", replayed / live));
        }
    }
    Ok(())
}

/// Writes the fleet into a new log, before its worker starts, at the present. Answers where the measured part begins.
fn populate(store: &Arc<Embedded>) -> anyhow::Result<u64> {
    let backend: Arc<dyn Backend> = store.clone();
    let worker = worker::start(backend, 0, worker::Settings::default())?;
    for tenant in 0..fleet::TENANTS {
        store.append(0, &at_present(fleet::policies(tenant)))?;
    }
    wait(store)?;
    let commands = store.commands_since(0, 0, usize::MAX)?.into_iter().map(|(_, command)| command).collect::<Vec<_>>();
    anyhow::ensure!(commands.len() == fleet::ALL_GROUPS, "{} commands instead of one a group", commands.len());
    for some in at_present(fleet::servers(&commands)).chunks(1_000) {
        store.append(0, some)?;
    }
    wait(store)?;
    worker.stop();
    Ok(store.range(0)?.1)
}

fn live(store: &Arc<Embedded>, facts: usize, writers: usize, together: usize) -> anyhow::Result<f64> {
    let events = at_present((0..facts).map(fleet::sample).collect());
    let backend: Arc<dyn Backend> = store.clone();
    let worker = worker::start(backend, 0, worker::Settings::default())?;
    let started = Instant::now();
    thread::scope(|scope| -> anyhow::Result<()> {
        let share = facts.div_ceil(writers);
        let threads: Vec<_> = events
            .chunks(share)
            .map(|share| {
                scope.spawn(move || share.chunks(together).try_for_each(|some| store.append(0, some).map(drop)))
            })
            .collect();
        for thread in threads {
            thread.join().map_err(|_| anyhow::anyhow!("a writer broke off"))??;
        }
        Ok(())
    })?;
    wait(store)?;
    let rate = per_second(facts, started.elapsed());
    worker.stop();
    Ok(rate)
}

/// Until all that is in the log is applied and committed.
fn wait(store: &Embedded) -> anyhow::Result<()> {
    let (_, end) = store.range(0)?;
    anyhow::ensure!(store.wait_stepped(0, end - 1, Duration::from_secs(120)), "not applied within two minutes");
    Ok(())
}

/// The log's own clock is the wall's, so these facts are of now.
fn at_present(mut events: Vec<Event>) -> Vec<Event> {
    use weir::clock::{Clock, WallClock};
    use weir_engine::event::Fact;
    let now_ms = WallClock.now_ms();
    for event in &mut events {
        event.time = now_ms;
        if let Fact::Samples(samples) = &mut event.fact {
            samples.iter_mut().for_each(|sample| sample.at = now_ms);
        }
    }
    events
}
