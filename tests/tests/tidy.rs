//! What a reader may rely on in every file: it says what it is, and nothing in it is left for later.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use weir_grammar::codes::CODES;
use weir_tests::tree::{self, ROOMS, Source};

#[test]
fn every_module_opens_with_what_it_is() {
    let sources = tree::sources(&ROOMS);
    name_long_files(&sources);
    // `tests.rs` is its module's tests, as its name says.
    let mute: Vec<String> = sources
        .into_iter()
        .filter(|source| !source.path.ends_with("/tests.rs") && !source.text.starts_with("//!"))
        .map(|source| source.path)
        .collect();
    assert!(mute.is_empty(), "these do not open with `//!`: {mute:#?}");
}

#[test]
fn nothing_is_left_for_later_and_no_test_is_switched_off() {
    // In pieces, so that this file does not find itself.
    let later = [
        concat!("to", "do!("),
        concat!("unimpl", "emented!("),
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("#[ig", "nore"),
    ];
    let mut found = Vec::new();
    for source in tree::sources(&ROOMS) {
        for (number, line) in source.text.lines().enumerate() {
            if later.iter().any(|word| line.contains(word)) {
                found.push(format!("{}:{}: {}", source.path, number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// One module has it, and says why; the compiler refuses it everywhere else, but for who allows it himself.
#[test]
fn what_is_unsafe_stands_in_one_module() {
    const THERE: &str = "engine/src/fetch.rs";
    // In pieces, as above.
    let words = [concat!("uns", "afe "), concat!("uns", "afe{"), concat!("uns", "afe_code")];
    let has = |source: &Source| words.iter().any(|word| source.text.contains(word));
    let found: Vec<String> = tree::sources(&ROOMS).into_iter().filter(has).map(|source| source.path).collect();
    assert_eq!(found, [THERE]);
}

#[test]
fn each_code_has_one_title_and_is_said_somewhere() {
    let mut titles = BTreeMap::new();
    for (code, title) in CODES {
        assert!(titles.insert(*code, *title).is_none(), "`{code}` stands twice");
        assert!(!title.is_empty(), "`{code}` has no title");
    }
    let distinct: BTreeSet<&str> = titles.values().copied().collect();
    assert_eq!(distinct.len(), titles.len(), "two codes have one title");
    let mut said = BTreeSet::new();
    for source in tree::sources(&["grammar/src"]).iter().filter(|source| source.path != "grammar/src/codes.rs") {
        said.extend(source.text.split('"').filter(|word| is_code(word)).map(str::to_owned));
    }
    let known: BTreeSet<String> = titles.keys().map(|code| (*code).to_owned()).collect();
    assert_eq!(said.difference(&known).collect::<Vec<_>>(), Vec::<&String>::new(), "said and not in the list");
    assert_eq!(known.difference(&said).collect::<Vec<_>>(), Vec::<&String>::new(), "in the list and never said");
}

fn is_code(word: &str) -> bool {
    word.len() == 5 && word.starts_with(['E', 'W', 'H']) && word[1..].bytes().all(|byte| byte.is_ascii_digit())
}

/// Long files are a matter of taste, so they are shown and nothing more.
fn name_long_files(sources: &[Source]) {
    const LONG: usize = 500;
    let mut lengths: Vec<(usize, &str)> =
        sources.iter().map(|source| (source.text.lines().count(), source.path.as_str())).collect();
    lengths.sort_unstable();
    let median = lengths.get(lengths.len() / 2).map_or(0, |(lines, _)| *lines);
    let long = lengths.iter().rev().filter(|(lines, _)| *lines > LONG);
    let long: Vec<String> = long.map(|(lines, path)| format!("{path} {lines}")).collect();
    println!("figure: {} files, median {median} lines; over {LONG}: {}", lengths.len(), long.join(", "));
}
