//! What can be read and means nothing: units, names, bounds, times that no clock shows.

use super::said_in_group;
use insta::assert_snapshot;

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
