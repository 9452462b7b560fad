//! What cannot be read: a line that is none, a brace that was lost, words that are taken.

use super::{said, said_in_group};
use insta::assert_snapshot;
use weir_grammar::{check, locate};

#[test]
fn every_bad_line_is_reported_and_nothing_that_follows_from_it() {
    let said = said_in_group(
        r#"colldown 5m
  limit add 12 per
  image "web"
  rul hot {
    when avg(cpu.usage over 5m > 75%
    add 1 now
  }
  rule cold {
    track avg(cpu.usage over 5m) at 60%, withn 10%
  }"#,
    );
    assert_snapshot!(said, @r#"
    error[E0102]: `colldown` begins no statement of a `group`
      --> p.weir:14:3
       |
    14 |   colldown 5m
       |   ^^^^^^^^
       |
       = help: did you mean `cooldown`?

    error[E0103]: expected a duration such as `5m`, found the end of the line
      --> p.weir:15:19
       |
    15 |   limit add 12 per
       |                   ^

    error[E0102]: `image` begins no statement of a `group`
      --> p.weir:16:3
       |
    16 |   image "web"
       |   ^^^^^
       |
       = help: `image` belongs in a `launch` block

    error[E0102]: `rul` begins no statement of a `group`
      --> p.weir:17:3
       |
    17 |   rul hot {
       |   ^^^
       |
       = help: did you mean `rule`?

    error[E0103]: expected `)`, found `>`
      --> p.weir:18:32
       |
    18 |     when avg(cpu.usage over 5m > 75%
       |                                ^

    error[E0103]: expected `,` or the end of the line, found `now`
      --> p.weir:19:11
       |
    19 |     add 1 now
       |           ^^^

    error[E0103]: expected `within`, found `withn`
      --> p.weir:22:42
       |
    22 |     track avg(cpu.usage over 5m) at 60%, withn 10%
       |                                          ^^^^^
       |
       = help: did you mean `within`?
    "#);
}

#[test]
fn a_mix_of_and_and_or_is_read_and_given_back_with_parentheses() {
    let said = said_in_group(
        r#"rule hot {
    when alarm site_down is critical or alarm web_5xx is not ok
      and avg(cpu.usage over 5m) > 75% for 2m
    add 1
  }"#,
    );
    assert_snapshot!(said, @r#"
    error[E0107]: `and` and `or` without parentheses
      --> p.weir:15:10
       |
    15 |       when alarm site_down is critical or alarm web_5xx is not ok
       |  __________^
    16 | |       and avg(cpu.usage over 5m) > 75% for 2m
       | |______________________________________^
       |
       = help: write `(alarm site_down is critical or (alarm web_5xx is not ok and avg(cpu.usage over 5m) > 75%))`, if that is meant
    "#);
}

#[test]
fn for_behind_two_tests_wants_parentheses() {
    let said = said_in_group(
        r#"rule hot {
    when alarm site_down is critical or alarm web_5xx is critical for 90s
    add 1
  }"#,
    );
    assert_snapshot!(said, @r#"
    error[E0108]: `for` after more than one test, without parentheses
      --> p.weir:15:67
       |
    15 |     when alarm site_down is critical or alarm web_5xx is critical for 90s
       |          -------------------------------------------------------- ^^^^^^^ for all of them, or for the last?
       |          |
       |          this is more than one test
       |
       = help: put all of it in parentheses
    "#);
}

#[test]
fn two_actions_and_none() {
    let said = said_in_group(
        r#"rule hot {
    when alarm site_down is critical
    add 1
    raise to 8
  }
  rule cold {
    manual
  }"#,
    );
    assert_snapshot!(said, @r#"
    error[E0308]: the rule `hot` has two actions
      --> p.weir:17:5
       |
    16 |     add 1
       |     ----- the first
    17 |     raise to 8
       |     ^^^^^^^^^^ the second
       |
       = help: write a rule for each

    error[E0308]: the rule `cold` has no action
      --> p.weir:19:8
       |
    19 |   rule cold {
       |        ^^^^
       |
       = help: say `add`, `remove`, `raise to`, `lower to` or `set`
    "#);
}

#[test]
fn reserved_words_and_quotes() {
    let said = said_in_group(
        r#"rule predict {
    webhook "surge
    add 1
  }"#,
    );
    assert_snapshot!(said, @r#"
    error[E0105]: `predict` is kept for a later edition and cannot be a name
      --> p.weir:14:8
       |
    14 |   rule predict {
       |        ^^^^^^^
       |
       = help: another name will do, such as `predict_1`

    error[E0104]: a text that is not closed
      --> p.weir:15:13
       |
    15 |     webhook "surge
       |             ^^^^^^
       |
       = help: write the closing `"` on the same line
    "#);
}

#[test]
fn without_an_edition() {
    let said = said(
        r#"metric cpu.usage: percent every 1m
"#,
    );
    assert_snapshot!(said, @r#"
    error[E0106]: the file does not say its edition
     --> p.weir:1:1
      |
    1 | metric cpu.usage: percent every 1m
      | ^
      |
      = help: begin it with `edition 2026`
    "#);
}

#[test]
fn a_brace_that_was_lost_is_looked_for_by_indentation() {
    let said = said(
        r#"edition 2026

group web {
  rule hot {
    manual
    add 1

  rule cold {
    manual
    remove 1
  }
}
"#,
    );
    assert_snapshot!(said, @r#"
    error[E0101]: a block is not closed
      --> p.weir:4:12
       |
     4 |   rule hot {
       |            ^ by its indentation, this one
    ...
    12 | }
       |  - the file ends in it
       |
       = help: write the missing `}`
    "#);
}

#[test]
fn programs_get_lines_columns_and_bytes() {
    let text = "edition 2026\nlet é = 1\nlet floor = 1 # é\nlet floor = 2\n";
    let checked = check("p.weir", text);
    let json: Vec<_> = checked.diagnostics.iter().map(|found| locate(found, "p.weir", text)).collect();
    assert_snapshot!(serde_json::to_string_pretty(&json[1]).unwrap(), @r#"
    {
      "file": "p.weir",
      "code": "E0211",
      "severity": "error",
      "message": "the constant `floor` is declared twice",
      "start": 47,
      "end": 52,
      "line": 4,
      "column": 5,
      "end_line": 4,
      "end_column": 10,
      "labels": [
        {
          "start": 47,
          "end": 52,
          "line": 4,
          "column": 5,
          "end_line": 4,
          "end_column": 10,
          "text": "again here",
          "primary": true
        },
        {
          "start": 28,
          "end": 33,
          "line": 3,
          "column": 5,
          "end_line": 3,
          "end_column": 10,
          "text": "first here",
          "primary": false
        }
      ],
      "notes": [],
      "help": null,
      "fix": null
    }
    "#);
}
