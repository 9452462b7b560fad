//! The log's time and the clock: when the worker writes the time down, and when it is not to be trusted.

use super::{Bench, START_MS, caught_up, until};
use crate::backend::{Log as _, Machines as _, embedded::Embedded};
use std::{thread, time::Duration};

#[test]
fn a_due_timer_makes_ticks_but_not_more_than_one_a_second() {
    let bench = Bench::new();
    let log = bench.open();
    bench.tell(&log, &["timer 1500", "timer 1600"]);
    let worker = bench.start(&log);
    until(&worker, caught_up);
    let end = |log: &Embedded| log.range(0).unwrap().1;
    let settle = || thread::sleep(Duration::from_millis(40));
    settle();
    assert_eq!(end(&log), 2, "nothing is due");
    bench.clock.pass(1_499);
    settle();
    assert_eq!(end(&log), 2);
    bench.clock.pass(51);
    until(&worker, |status| status.next == 3);
    // The second is due 50 ms later, and waits until a second has passed since the tick.
    bench.clock.pass(999);
    settle();
    assert_eq!(end(&log), 3);
    bench.clock.pass(1);
    let status = until(&worker, |status| status.next == 4);
    assert_eq!((status.ticks, status.t_ms), (2, START_MS + 2_550));
}

#[test]
fn while_timers_remain_due_ticks_follow_at_once() {
    let bench = Bench::new();
    let log = bench.open();
    bench.tell(&log, &["due 20"]);
    let worker = bench.start(&log);
    // One is run by the record itself, nineteen by ticks; the clock stands still all the while.
    let status = until(&worker, |status| status.ticks == 19);
    thread::sleep(Duration::from_millis(40));
    assert_eq!(worker.status().next, status.next);
    assert_eq!(status.t_ms, START_MS);
}

#[test]
fn an_idle_log_hears_of_the_time_once_a_minute() {
    let bench = Bench::new();
    let log = bench.open();
    let worker = bench.start(&log);
    until(&worker, caught_up);
    assert_eq!(worker.status().ticks, 1, "the first owner of a log writes down that it begins");
    for minute in 1..=3 {
        bench.clock.pass(59_999);
        thread::sleep(Duration::from_millis(40));
        assert_eq!(worker.status().ticks, minute);
        bench.clock.pass(1);
        until(&worker, |status| status.ticks == minute + 1 && status.live);
    }
}

#[test]
fn a_log_that_lags_is_brought_up_to_date_before_anybody_acts() {
    let bench = Bench::new();
    let log = bench.open();
    bench.tell(&log, &["nothing"]);
    bench.clock.pass(3_600_000);
    let worker = bench.start(&log);
    let status = until(&worker, caught_up);
    assert_eq!((status.ticks, status.t_ms), (1, START_MS + 3_600_000));
    worker.stop();
    // Stopped for four seconds only: nobody needs to be told the time, and the new owner is live at once.
    bench.clock.pass(4_000);
    let status = until(&bench.start(&log), |status| status.live);
    assert_eq!(status.ticks, 0);
}

#[test]
fn an_owner_whose_clock_is_far_behind_the_log_is_not_ready() {
    let bench = Bench::new();
    let log = bench.open();
    bench.tell(&log, &["ahead 60001"]);
    let worker = bench.start(&log);
    let status = until(&worker, |status| status.next == 1 && status.trouble.is_some());
    assert!(!status.live && !log.stepped(0).unwrap().1);
    assert!(status.not_ready().unwrap().contains("clock is 60 s behind the log's time"), "{status:?}");
    // Set right, it acts, also without a new record.
    bench.clock.pass(2);
    let status = until(&worker, |status| status.live);
    assert_eq!(status.not_ready(), None);
}
