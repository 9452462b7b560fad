//! Golden logs are decided again as they were recorded, under the semantics that each names: every decision, command and
//! digest, byte for byte, from events, from lines, and with the state made anew from its snapshot on the way.
//!
//! Recorded by `cargo run -p weir-tests --bin record-golden -- NAME`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::{collections::BTreeSet, fs, process::Command};
use weir_tests::golden::{
    again::{Way, decide},
    folder, path,
    stories::STORIES,
};

fn recorded(name: &str) -> String {
    let how = "record it with `cargo run -p weir-tests --bin record-golden`";
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{}: {error}; {how}", path(name).display()))
}

/// Decides every log and names those that part.
fn all(way: Way) {
    let mut parted = Vec::new();
    for (name, _) in STORIES {
        match decide(&recorded(name), way) {
            Ok((records, decisions, commands)) => {
                assert!(records > 50 && decisions > 5 && commands > 2, "`{name}` says too little to be worth keeping");
                println!("{name}: {records} records, {decisions} decisions, {commands} commands");
            }
            Err(why) => parted.push(format!("{name}: {why}")),
        }
    }
    assert!(parted.is_empty(), "{}", parted.join("\n"));
}

#[test]
fn from_events() {
    all(Way::Events);
}

#[test]
fn from_lines_of_the_log() {
    all(Way::Lines);
}

#[test]
fn from_snapshots_on_the_way() {
    all(Way::Snapshots(9));
}

#[test]
fn no_log_lies_about_that_no_story_tells() {
    let told: BTreeSet<String> = STORIES.iter().map(|(name, _)| format!("{name}.ndjson")).collect();
    let there = fs::read_dir(folder()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    assert_eq!(there.collect::<BTreeSet<_>>(), told);
}

/// A log can be told again to the last byte, so what regenerates it is known to be what made it.
#[test]
fn a_story_told_again_is_the_same_file() {
    for (name, story) in STORIES {
        assert!(story() == recorded(name), "`{name}` is another file when it is told again");
    }
}

/// One changed byte of a recorded decision or command is seen.
#[test]
fn a_changed_record_is_found() {
    let text = recorded("limits");
    for (whole, changed) in
        [(r#""to":6"#, r#""to":7"#), (r#""target":6"#, r#""target":5"#), (r#""digest":""#, r#""digest":"0"#)]
    {
        assert!(text.contains(whole), "{whole}");
        assert!(decide(&text.replacen(whole, changed, 1), Way::Lines).is_err(), "{whole} was changed and not missed");
    }
}

#[test]
fn the_program_verifies_them_too() {
    for (name, _) in STORIES {
        let mut weir = Command::new(env!("CARGO_BIN_EXE_weir-under-test"));
        let ended = weir.args(["replay", "--verify"]).arg(path(name)).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success() && said.contains("equal to the record"), "{name}: {said}");
    }
}
