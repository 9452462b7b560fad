//! Texts that nobody means: the checker answers all of them, at once and without a panic.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use proptest::prelude::*;
use std::time::{Duration, Instant};
use weir_grammar::{Checked, Severity, check, locate, render};

const WEB: &str = include_str!("../../policies/web.weir");

/// Checks a text and all that is done with what is said of it.
fn survives(text: &str) -> Checked {
    let checked = check("p.weir", text);
    let errors = checked.diagnostics.iter().filter(|found| found.severity == Severity::Error).count();
    assert_eq!(checked.policy.is_some(), errors == 0, "a program or an error, never both nor neither");
    for found in &checked.diagnostics {
        assert!(weir_grammar::codes::title(found.code).is_some(), "{} has a title", found.code);
        assert!(found.message.is_ascii() || !text.is_ascii());
        assert!(render(found, "p.weir", text, true).contains(found.code));
        assert!(locate(found, "p.weir", text).at.line > 0);
    }
    assert_eq!(checked, check("p.weir", text), "the same text means the same twice");
    checked
}

/// Words, signs and values of the language, and some that are none.
fn tokens() -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut word = String::new();
    for c in WEB.chars() {
        if c.is_alphanumeric() || matches!(c, '_' | '.' | '%' | '-') {
            word.push(c);
            continue;
        }
        tokens.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty()));
        tokens.push(c.to_string());
    }
    tokens.sort();
    tokens.dedup();
    tokens.extend(
        ["é", "\u{FEFF}", "99999999999999999999", "0.0000001%", "2026-02-30T25:61Z", "predict", "\r", "\\"]
            .map(str::to_owned),
    );
    tokens
}

/// The example in pieces that join to it again.
fn pieces() -> Vec<&'static str> {
    WEB.split_inclusive(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '{' | '}' | ',' | ':' | '"')).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in "\\PC*|(\\PC|[\n\r\t{}()\"#\\\\])*") {
        survives(&text);
    }

    #[test]
    fn any_words(words in proptest::collection::vec(proptest::sample::select(tokens()), 0..200)) {
        survives(&words.concat());
        survives(&words.join(" "));
    }

    #[test]
    fn the_example_with_words_exchanged(changes in proptest::collection::vec(
        (0..pieces().len(), proptest::sample::select(tokens()), any::<bool>()), 1..6,
    )) {
        let mut pieces: Vec<String> = pieces().into_iter().map(str::to_owned).collect();
        for (at, token, replace) in changes {
            if replace {
                pieces[at] = format!("{token} ");
            } else {
                pieces[at].insert_str(0, &token);
            }
        }
        survives(&pieces.concat());
    }

    #[test]
    fn the_example_cut_off(at in 0..WEB.len()) {
        if WEB.is_char_boundary(at) {
            survives(&WEB[..at]);
            survives(&WEB[at..]);
        }
    }
}

#[test]
fn without_any_one_of_its_lines_the_example_is_judged_at_a_plausible_place() {
    let lines: Vec<&str> = WEB.split_inclusive('\n').collect();
    for (index, line) in lines.iter().enumerate() {
        let text: String = lines.iter().enumerate().filter(|(at, _)| *at != index).map(|(_, line)| *line).collect();
        let checked = survives(&text);
        let words = line.trim();
        // A line that must be there is missed; what is optional is not.
        let needed = [
            "edition", "metric", "let", "alarm", "launch", "image", "flavor", "region", "capacity", "}", "group",
            "rule", "window", "freeze", "test", "when", "track", "step", "cron", "at ", "manual", "webhook", "add 3",
            "add 4", "remove 1", "raise to", "lower to", "blocks", "start",
        ];
        let spared = words.starts_with("metric http.latency") || words.starts_with("metadata") || words == "add only";
        if needed.iter().any(|word| words.starts_with(word)) && !spared {
            assert!(checked.policy.is_none(), "without line {}, `{words}`, nothing is wrong", index + 1);
        }
        // Where a brace is lost, the place named is the block that lost it, and not the end of the file.
        if words == "}" || words.ends_with('{') {
            let first = locate(&checked.diagnostics[0], "p.weir", &text).at.line as usize;
            let indent = |line: &str| line.len() - line.trim_start().len();
            let start = lines[..index].iter().rposition(|other| indent(other) == 0 && other.contains('{')).unwrap_or(0);
            let end = index + lines[index..].iter().position(|other| other.starts_with('}')).unwrap_or(0) + 1;
            assert!(
                (start..=end + 1).contains(&first),
                "without line {}, `{words}`, line {first} is blamed",
                index + 1
            );
        }
    }
}

#[test]
fn nasty_texts_are_read_in_a_moment() {
    let head = "edition 2026\nmetric q.len: number every 1m\ngroup g {\nrule a {\nwhen ";
    let tail = "\nadd 1\n}\n}\n";
    let fill = |part: &str| part.repeat(64 * 1024 / part.len());
    let test = "avg(q.len over 5m) > 3";
    let texts = [
        ("an open parenthesis", format!("{head}{}{tail}", fill("("))),
        ("an open brace", fill("{")),
        ("a closed brace", fill("}")),
        ("empty blocks", fill("{}")),
        ("deep blocks", fill(&format!("{}{}\n", "{".repeat(16), "}".repeat(16)))),
        ("deep blocks with a word behind", fill(&format!("{}{} x\n", "group a {rule b {".repeat(8), "}}".repeat(8)))),
        ("deep parentheses, broken inside", fill(&format!("when {}x{}\n", "(".repeat(15), ")".repeat(15)))),
        ("not", format!("{head}{}{tail}", fill("not "))),
        ("and", format!("{head}{}{test}{tail}", fill(&format!("{test} and ")))),
        ("and and or", format!("{head}{}{test}{tail}", fill(&format!("{test} and {test} or ")))),
        ("short lines", fill("a\n")),
        ("quotes", fill("\"")),
        ("digits", fill("1")),
        ("grouped digits", format!("edition 2026\nlet a = {}1", fill("1_"))),
        ("line ends behind a condition", format!("{head}{test}{}{tail}", fill("\n"))),
        ("clamps", format!("{head}{test}\nadd 1{}\n}}\n}}\n", fill(", at least 1"))),
        ("unknown zones", format!("group g {{\n{}}}\n", fill("timezone \"Europe/Londno\"\n"))),
        ("days that never come", format!("group g {{\n{}}}\n", fill("rule a {\ncron \"0 0 30 2 *\"\nadd 1\n}\n"))),
    ];
    for (what, text) in texts {
        let started = Instant::now();
        drop(check("p.weir", &text));
        // Debug builds on a busy machine need a second for the worst; 3^depth would need hours.
        assert!(started.elapsed() < Duration::from_secs(20), "{what} took {:?}", started.elapsed());
    }
}

#[test]
fn depth_costs_no_more_than_length() {
    let nested = |depth: usize| {
        let (open, close) = ("not (".repeat(depth), ")".repeat(depth));
        format!("edition 2026\ngroup g {{\nrule a {{\nwhen {open}avg(q.len over 5m) > 3 3{close}\nadd 1\n}}\n}}\n")
    };
    let took = |text: &str| {
        let started = Instant::now();
        (0..20).for_each(|_| drop(check("p.weir", text)));
        started.elapsed()
    };
    let (flat, deep) = (took(&nested(1)), took(&nested(13)));
    assert!(deep < flat * 30 + Duration::from_millis(200), "{flat:?} at depth 1, {deep:?} at depth 13");
}
