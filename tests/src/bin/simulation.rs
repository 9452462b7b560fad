//! `simulation [--seeds N] [--from S] [--threads T] [--resume FILE] [--bug NAME]` runs seeds and prints what happened;
//! `simulation --story SEED [--bug NAME]` prints one seed's story, shortened if it fails;
//! `simulation --bugs` finds each planted bug and prints the table.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a tool for tests")]

use std::{
    fs,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use weir_tests::simulation::{bug::Bug, judge::Broken, run, shorten::shorten, story::Story, tally::Tally};

/// How long a failing story is shortened.
const PATIENCE: Duration = Duration::from_secs(20);
/// Seeds in which a planted bug must be found.
const BUG_SEEDS: u64 = 500;

struct Words {
    seeds: u64,
    from: u64,
    threads: usize,
    resume: Option<String>,
    bug: Option<Bug>,
    story: Option<u64>,
    bugs: bool,
}

fn main() {
    std::panic::set_hook(Box::new(|_| {}));
    let words = read(std::env::args().skip(1));
    let failed = match words.story {
        _ if words.bugs => table(words.from),
        Some(seed) => tell(seed, words.bug),
        None => many(&words),
    };
    std::process::exit(i32::from(failed));
}

fn read(mut arguments: impl Iterator<Item = String>) -> Words {
    let mut words = Words { seeds: 100, from: 0, threads: 1, resume: None, bug: None, story: None, bugs: false };
    while let Some(name) = arguments.next() {
        if name == "--bugs" {
            words.bugs = true;
            continue;
        }
        let Some(value) = arguments.next() else { refuse(&format!("`{name}` wants a value")) };
        let number = || value.parse().unwrap_or_else(|_| refuse(&format!("`{value}` is no number")));
        match name.as_str() {
            "--seeds" => words.seeds = number(),
            "--from" => words.from = number(),
            "--threads" => words.threads = usize::try_from(number()).unwrap(),
            "--story" => words.story = Some(number()),
            "--resume" => words.resume = Some(value),
            "--bug" => words.bug = Some(Bug::named(&value).unwrap_or_else(|| refuse(&format!("no bug `{value}`")))),
            _ => refuse(&format!("`{name}` is not known")),
        }
    }
    words
}

fn refuse(why: &str) -> ! {
    eprintln!("{why}");
    eprintln!("simulation [--seeds N] [--from S] [--threads T] [--resume FILE] [--bug NAME] | --story SEED | --bugs");
    std::process::exit(2);
}

/// Runs seeds on several threads; whether any failed.
fn many(words: &Words) -> bool {
    let resumed = words.resume.as_ref().and_then(|path| fs::read_to_string(path).ok());
    let from = resumed.and_then(|text| text.trim().parse().ok()).unwrap_or(words.from);
    let end = words.from + words.seeds;
    let next = AtomicU64::new(from);
    let total = Mutex::new((Tally::default(), Vec::<(u64, Broken)>::new()));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..words.threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let (tally, broken) = run(&Story::draw(seed), words.bug);
                    let mut total = total.lock().unwrap();
                    total.0.add(&tally);
                    if let Some(broken) = broken {
                        println!("seed {seed}: {}\n  {}", broken.law, first_lines(&broken.words));
                        total.1.push((seed, broken));
                    }
                    if let Some(path) = words.resume.as_ref().filter(|_| seed.is_multiple_of(50)) {
                        fs::write(path, format!("{}\n", seed.saturating_sub(words.threads as u64))).unwrap();
                    }
                }
            });
        }
    });
    let (tally, failed) = total.into_inner().unwrap();
    let ran = end.saturating_sub(from);
    let rate = ran as f64 / began.elapsed().as_secs_f64();
    println!("{tally}{ran} seeds from {from}, {rate:.1} a second, {} failed", failed.len());
    if let Some((seed, broken)) = failed.first() {
        show(*seed, words.bug, broken);
    }
    !failed.is_empty()
}

fn tell(seed: u64, bug: Option<Bug>) -> bool {
    let story = Story::draw(seed);
    match run(&story, bug) {
        (tally, None) => {
            println!("{story}\n{tally}\nnothing is broken");
            false
        }
        (_, Some(broken)) => {
            show(seed, bug, &broken);
            true
        }
    }
}

fn show(seed: u64, bug: Option<Bug>, broken: &Broken) {
    let (story, broken) = shorten(&Story::draw(seed), bug, broken, PATIENCE);
    println!("\n{story}\nBROKEN: {}\n{}", broken.law, broken.words);
}

/// Finds each planted bug; whether any was not.
fn table(from: u64) -> bool {
    let mut missed = 0;
    for bug in Bug::all() {
        let found = (from..from + BUG_SEEDS).find_map(|seed| Some((seed, run(&Story::draw(seed), Some(bug)).1?)));
        match found {
            Some((seed, broken)) => println!("{:<22} {:>4}  {}", bug.name(), seed - from + 1, broken.law),
            None => {
                println!("{:<22}    -  not found in {BUG_SEEDS} seeds", bug.name());
                missed += 1;
            }
        }
    }
    if !cfg!(feature = "planted") {
        println!("the engine's own bugs need a build with `--features planted`");
    }
    missed > 0
}

fn first_lines(text: &str) -> String {
    let cut: String = text.chars().take(600).collect();
    cut.lines().take(8).collect::<Vec<_>>().join("\n  ")
}
