//! What the checker says, as people read it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod meaning;
mod syntax;

use weir_grammar::{Severity, check, render};

/// What is said of a whole file.
fn said(text: &str) -> String {
    let checked = check("p.weir", text);
    assert_eq!(checked.policy.is_some(), checked.diagnostics.iter().all(|found| found.severity != Severity::Error));
    let drawn: Vec<String> = checked.diagnostics.iter().map(|found| render(found, "p.weir", text, false)).collect();
    drawn.join("\n\n")
}

/// What is said of these statements in a group that is otherwise well.
fn said_in_group(statements: &str) -> String {
    said(&format!("{GROUP}  {statements}\n}}\n"))
}

const GROUP: &str = r#"edition 2026
metric cpu.usage: percent every 1m
metric queue.depth: number every 30s shared
alarm web_5xx: from "web-5xx"
alarm site_down: shared
launch web_v1 {
  image "web"
  flavor "general1-4"
}
group web {
  region "LON"
  capacity 3..24
  launch web_v1
"#;

#[test]
fn a_group_that_is_well_has_nothing_said_of_it() {
    assert_eq!(said_in_group("rule hot {\n    manual\n    add 1\n  }"), "");
}
