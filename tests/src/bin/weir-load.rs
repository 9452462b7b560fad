//! A process for tests to kill, or to put on a small disk. It says what it was answered, a line each.
//!
//! `weir-load crash FOLDER RUN` writes until it is killed; a run that begins with `large` writes as into a large store.
//! `weir-load step FOLDER RUN` does so with the engine running. `weir-load fill FOLDER` fills its disk, makes room again, and ends with `done`; it must be run on a small filesystem
//! of its own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::{io::Write, path::Path};
use weir::backend::embedded::{Embedded, Settings};
use weir_tests::{conformance::crash, full, stepping};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["crash", folder, run] => {
            let large_bytes = if run.starts_with("large") { 0 } else { u64::MAX };
            let settings = Settings { large_bytes, ..Settings::default() };
            let store = Embedded::open(Path::new(folder), settings).unwrap();
            crash::load(&store, run, say);
        }
        ["step", folder, run] => stepping::drive(Path::new(folder), run, say),
        ["fill", folder] => full::fill(Path::new(folder)),
        _ => panic!("`weir-load crash|step FOLDER RUN` or `weir-load fill FOLDER`"),
    }
}

/// One write each, so that a kill never leaves half a line that reads like a whole one.
fn say(line: &str) {
    std::io::stdout().write_all(format!("{line}\n").as_bytes()).unwrap();
}
