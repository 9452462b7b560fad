//! The manual's own examples, decided as the manual says.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

#[test]
fn the_shipped_policies_pass_their_tests() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../policies");
    let mut tests = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "weir") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let checked = weir_grammar::check(&path.display().to_string(), &text);
        let policy = checked.policy.unwrap_or_else(|| panic!("{}: {:?}", path.display(), checked.diagnostics));
        for result in weir_engine::rehearse::rehearse(&policy, &text) {
            let timeline: Vec<String> = result
                .timeline
                .iter()
                .map(|row| {
                    format!("{} {}→{} {:?}", row.offset, row.decision.from, row.decision.to, row.decision.outcome)
                })
                .collect();
            assert!(result.failures.is_empty(), "{}: {:#?}\n{}", result.name, result.failures, timeline.join("\n"));
            tests += 1;
        }
    }
    assert!(tests > 0, "no policy brings a test");
}
