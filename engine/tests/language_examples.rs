//! The rules of meaning, each told as a story in a policy file under `tests/rules`, and the tests of the policies that ship.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::path::{Path, PathBuf};

fn policies(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "weir"));
    files.sort();
    files
}

/// Runs every test block of a folder's policies; answers how many there were.
fn all_pass(folder: &str) -> usize {
    let mut count = 0;
    let mut failed = String::new();
    for path in policies(folder) {
        let text = std::fs::read_to_string(&path).unwrap();
        let checked = weir_grammar::check(&path.display().to_string(), &text);
        let found: Vec<String> =
            checked.diagnostics.iter().map(|one| weir_grammar::render(one, &checked.name, &text, false)).collect();
        let policy = checked.policy.unwrap_or_else(|| panic!("{}", found.join("\n")));
        for result in weir_engine::rehearse::rehearse(&policy, &text) {
            count += 1;
            if result.failures.is_empty() {
                continue;
            }
            failed.push_str(&format!("\n{}: {}\n", path.display(), result.name));
            for failure in &result.failures {
                let line = text[..failure.span.start as usize].lines().count();
                failed.push_str(&format!("  line {line}: {}\n", failure.words));
            }
            for row in &result.timeline {
                let (from, to) = (row.decision.from, row.decision.to);
                failed.push_str(&format!("    {} {from} → {to} {:?}\n", row.offset, row.decision.outcome));
            }
        }
    }
    assert!(failed.is_empty(), "{failed}");
    count
}

#[test]
fn every_rule_means_what_its_story_says() {
    assert!(all_pass("tests/rules") >= 30);
}

#[test]
fn the_shipped_policies_pass_their_tests() {
    assert!(all_pass("../policies") > 0);
}
