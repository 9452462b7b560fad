//! `simulation [--seeds N] [--from S] [--threads T] [--resume FILE] [--bug NAME]` runs seeds and prints what happened;
//! `simulation --story SEED [--bug NAME]` prints one seed's story, shortened if it fails;
//! `simulation --bugs` finds each planted bug and prints the table.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a tool for tests")]

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};
use weir_simulation::{
    bug::Bug,
    judge::Broken,
    many::{Progress, Teller, many},
    run,
    shorten::shorten,
    story::Story,
};

/// How long a failing story is shortened.
const PATIENCE: Duration = Duration::from_secs(20);
/// Seeds in which a planted bug must be found.
const BUG_SEEDS: u64 = 500;

struct Words {
    seeds: u64,
    from: u64,
    threads: usize,
    resume: Option<PathBuf>,
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
        None => run_many(&words),
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
            "--resume" => words.resume = Some(value.into()),
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
fn run_many(words: &Words) -> bool {
    let end = words.from + words.seeds;
    let begin = Progress { from: words.from, next: words.from, ..Progress::default() };
    let resume = words.resume.as_deref();
    let begin = resume.map_or(begin, |path| Progress::read(path, &build(), words.from));
    if begin.next > begin.from {
        println!("goes on with seed {}", begin.next);
    }
    let mut teller = Teller::new(begin.next, end);
    let mut known = begin.failed.len();
    let began = (Instant::now(), begin.next);
    let ended = many(begin, end, words.threads, words.bug, |progress| {
        for (seed, law) in &progress.failed[known..] {
            println!("seed {seed}: {law}; read it with `simulation --story {seed}`");
        }
        known = progress.failed.len();
        teller.line(progress).iter().for_each(|line| println!("{line}"));
        if let Some(Err(error)) = resume.map(|path| progress.keep(path)) {
            refuse(&format!("the progress cannot be kept: {error}"));
        }
        true
    });
    let rate = (ended.next - began.1) as f64 / began.0.elapsed().as_secs_f64();
    let (ran, failed) = (ended.next - ended.from, ended.failed.len());
    println!("{}{ran} seeds from {}, {rate:.1} a second, {failed} failed", ended.tally, ended.from);
    if let Some((seed, _)) = ended.failed.first() {
        tell(*seed, words.bug);
    }
    failed > 0
}

/// Which build this is: another may decide otherwise, so it does not go on where this one was.
fn build() -> String {
    let program = std::env::current_exe().and_then(fs::read).unwrap_or_default();
    blake3::hash(&program).to_hex().to_string()
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
