//! What the checker says, as people read it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use insta::assert_snapshot;
use weir_grammar::{Severity, check, locate, render};

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

#[test]
fn a_unit_that_does_not_meet_shows_the_metric_and_what_was_meant() {
    let said = said_in_group(
        r#"rule hot {
    when avg(cpu.usage over 5m) > 0.75
    add 1
  }"#,
    );
    assert_snapshot!(said, @r#"
    error[E0301]: expected a percentage, found a number `0.75`
      --> p.weir:15:35
       |
     2 | metric cpu.usage: percent every 1m
       | ---------------------------------- `cpu.usage` is measured so
    ...
    15 |     when avg(cpu.usage over 5m) > 0.75
       |                                   ^^^^
       |
       = help: write `75%`
    "#);
}

#[test]
fn unknown_names_have_a_nearest() {
    let said = said_in_group(
        r#"timezone "Europe/Londn"
  rule hot {
    when avg(cpu.usge over 5m) > 75%
    add 1
  }"#,
    );
    assert_snapshot!(said, @r#"
    error[E0207]: unknown time zone `Europe/Londn`
      --> p.weir:14:12
       |
    14 |   timezone "Europe/Londn"
       |            ^^^^^^^^^^^^^^
       |
       = help: did you mean `Europe/London`?

    error[E0201]: unknown metric `cpu.usge`
      --> p.weir:16:14
       |
    16 |     when avg(cpu.usge over 5m) > 75%
       |              ^^^^^^^^
       |
       = help: did you mean `cpu.usage`?
    "#);
}

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
fn silence_never_removes() {
    let said = said_in_group(
        r#"rule gone {
    when missing(cpu.usage for 10m)
    remove 1
  }"#,
    );
    assert_snapshot!(said, @r#"
    error[E0307]: silence must never remove a server
      --> p.weir:15:10
       |
    15 |     when missing(cpu.usage for 10m)
       |          ^^^^^^^^^^^^^^^^^^^^^^^^^^
    16 |     remove 1
       |     -------- this can
       |
       = help: `missing` goes with `add` and `raise to` only
    "#);
}

#[test]
fn step_arms_are_in_order_and_on_their_side() {
    let said = said_in_group(
        r#"rule backlog {
    step avg(queue.depth per server over 2m) {
      below 10 add 1
      from 120 add 1
      from 100 add 4
    }
  }"#,
    );
    assert_snapshot!(said, @r#"
    error[E0306]: an arm `below` a bound that adds
      --> p.weir:16:7
       |
    16 |       below 10 add 1
       |       ^^^^^^^^^^^^^^
       |
       = help: `below` removes, `from` adds

    error[E0306]: the arms of a `step` are out of order
      --> p.weir:18:7
       |
    17 |       from 120 add 1
       |       -------------- the one before it
    18 |       from 100 add 4
       |       ^^^^^^^^^^^^^^ this one is not above
       |
       = help: write `below` arms first, and every bound above the last
    "#);
}

#[test]
fn a_shared_alarm_has_no_servers_and_a_server_metric_no_per_server() {
    let said = said_in_group(
        r#"rule hot {
    when alarm site_down is critical on 2 servers and avg(cpu.usage per server over 5m) > 75%
    add 1
  }"#,
    );
    assert_snapshot!(said, @r#"
    error[E0312]: `site_down` is the tenant's, not a server's
      --> p.weir:15:38
       |
     5 | alarm site_down: shared
       | ----------------------- it is `shared`
    ...
    15 |     when alarm site_down is critical on 2 servers and avg(cpu.usage per server over 5m) > 75%
       |                                      ^^^^^^^^^^^^
       |
       = help: leave out the number of servers

    error[E0311]: `cpu.usage` is already a value of each server
      --> p.weir:15:69
       |
     2 | metric cpu.usage: percent every 1m
       | ---------------------------------- this metric is not `shared`
    ...
    15 |     when alarm site_down is critical on 2 servers and avg(cpu.usage per server over 5m) > 75%
       |                                                                     ^^^^^^^^^^
       |
       = help: leave out `per server`
    "#);
}

#[test]
fn bounds_and_limits() {
    let said = said_in_group(
        r#"rule reset {
    cron "0 0 30 2 *"
    set 30
    cooldown 25h
  }
  window night {
    cron "0 22 * * *" lasting 8h
    capacity 0..2
  }"#,
    );
    assert_snapshot!(said, @r#"
    error[E0305]: `0 0 30 2 *` never fires: no month it names has such a day
      --> p.weir:15:10
       |
    15 |     cron "0 0 30 2 *"
       |          ^^^^^^^^^^^^

    error[E0302]: `set 30` is outside of 3..24
      --> p.weir:16:5
       |
    12 |   capacity 3..24
       |   -------------- the group's bounds
    ...
    16 |     set 30
       |     ^^^^^^

    error[E0310]: a cooldown of 25h is longer than 1d
      --> p.weir:17:14
       |
    17 |     cooldown 25h
       |              ^^^

    error[E0302]: 0..2 and the group's 3..24 have no size in common
      --> p.weir:21:5
       |
    12 |   capacity 3..24
       |   -------------- the group's bounds
    ...
    21 |     capacity 0..2
       |     ^^^^^^^^^^^^^
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
fn local_times_that_clocks_skip_or_repeat() {
    let said = said_in_group(
        r#"rule spring {
    at 2026-03-29T01:30 in "Europe/London"
    raise to 8
  }
  rule autumn {
    at 2026-10-25T01:30 in "Europe/London"
    raise to 8
  }"#,
    );
    assert_snapshot!(said, @r#"
    error[E0315]: `2026-03-29T01:30` does not exist in this zone: its clocks skip it
      --> p.weir:15:8
       |
    15 |     at 2026-03-29T01:30 in "Europe/London"
       |        ^^^^^^^^^^^^^^^^

    warning[W0411]: `2026-10-25T01:30` comes twice in this zone, when its clocks go back
      --> p.weir:19:8
       |
    19 |     at 2026-10-25T01:30 in "Europe/London"
       |        ^^^^^^^^^^^^^^^^
       |
       = note: the first of the two is meant
       = help: write the offset to choose, such as `+01:00`
    "#);
}

#[test]
fn tests_point_at_what_there_is() {
    let said = said_in_group(
        r#"rule hot {
    manual
    add 1
  }
}

test "hot" for web {
  start 2026-01-05T12:00Z
  given size 40
  given cpu.usage 75 for 5m
  expect hto adds 1 at 5m
  expect hot blocked by cooldwn at 6m
  expect hot adds 1"#,
    );
    assert_snapshot!(said, @r#"
    error[E0302]: a size of 40 is outside of the group's 3..24
      --> p.weir:22:3
       |
    22 |   given size 40
       |   ^^^^^^^^^^^^^

    error[E0301]: expected a percentage, found a number `75`
      --> p.weir:23:19
       |
     2 | metric cpu.usage: percent every 1m
       | ---------------------------------- `cpu.usage` is measured so
    ...
    23 |   given cpu.usage 75 for 5m
       |                   ^^
       |
       = help: write `75%`

    error[E0204]: unknown rule `hto`
      --> p.weir:24:10
       |
    24 |   expect hto adds 1 at 5m
       |          ^^^
       |
       = help: did you mean `hot`?

    error[E0210]: unknown guard `cooldwn`
      --> p.weir:25:25
       |
    25 |   expect hot blocked by cooldwn at 6m
       |                         ^^^^^^^
       |
       = help: did you mean `cooldown`?

    error[E0103]: expected `at` or `after`, found the end of the line
      --> p.weir:26:20
       |
    26 |   expect hot adds 1
       |                    ^
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
