//! What is read, in which order, and what becomes of it.

use crate::bench::{Bench, id, once, post};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::watch;
use weir::{
    clock::Clock,
    source::atom::{AHEAD_MS, BEHIND_MS, Error, Feed, Round, Wanted},
};
use weir_engine::event::{Fact, Notice};
use weir_tests::feed_server::{Fault, HEAD_DELAY_MS, Post};

#[tokio::test]
async fn a_feed_is_begun_at_its_newest_entry() {
    let bench = Bench::new().await;
    bench.publish_over_time(0..300);
    let mut poller = bench.poller();
    assert_eq!(poller.round().await.unwrap(), Round::default());
    assert_eq!((bench.effects(), bench.marker()), (once([]), id(299)), "what is there is the past");

    bench.publish_over_time(300..303);
    assert_eq!(poller.round().await.unwrap(), Round { entries: 3, facts: 3, ..Round::default() });
    assert_eq!(bench.order(), [id(300), id(301), id(302)], "oldest first");
    let events = bench.events();
    let [.., last] = events.as_slice() else { panic!() };
    assert!(
        matches!(&last.fact, Fact::Cursor(cursor) if cursor.marker == id(302) && cursor.feed == "nova"),
        "{last:?}"
    );
    assert_eq!(poller.round().await.unwrap(), Round::default(), "what is known is dropped");
}

#[tokio::test]
async fn everything_in_a_feed_that_was_empty_is_new_even_after_a_restart() {
    let bench = Bench::new().await;
    drop(bench.begun().await);
    assert_eq!(bench.marker(), "");
    bench.publish_over_time(0..60);
    bench.poller().round().await.unwrap();
    assert_eq!(bench.effects(), once(0..60));
}

/// Eight writers whose transactions stay open for up to five seconds: the server dates an entry by its transaction's
/// begin, so many appear behind what the poller has read.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn entries_of_eight_writers_have_one_effect_each() {
    let mut bench = Bench::new().await;
    bench.limit = 20;
    let bench = Arc::new(bench);
    let mut poller = bench.begun().await;
    let writers: Vec<_> = (0..8)
        .map(|writer: u32| {
            let bench = Arc::clone(&bench);
            tokio::spawn(async move {
                let mut written = 0;
                // Until the poller was in the midst of it many times.
                while bench.server.answers() < 60 || written < 15 {
                    // The clock runs eight times ten milliseconds in one, so these stay open for up to five seconds.
                    let begun_ms = bench.clock.now_ms();
                    for _ in 0..(writer * 7 + written * 13) % 60 {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                        bench.clock.pass(10);
                    }
                    bench.server.publish_at(begun_ms, post(writer * 10_000 + written));
                    written += 1;
                }
                (0..written).map(move |number| writer * 10_000 + number)
            })
        })
        .collect();
    while writers.iter().any(|writer| !writer.is_finished()) {
        poller.round().await.unwrap();
    }
    let mut all = Vec::new();
    for writer in writers {
        all.extend(writer.await.unwrap());
    }
    bench.clock.pass(HEAD_DELAY_MS);
    poller.round().await.unwrap();
    assert_eq!(bench.effects(), once(all));
}

#[tokio::test]
async fn entries_of_the_last_two_minutes_are_seen_however_late_they_appear() {
    let bench = Bench::new().await;
    let mut poller = bench.begun().await;
    bench.publish_over_time(0..300);
    poller.round().await.unwrap();
    let (now_ms, marker) = (bench.clock.now_ms(), bench.marker());
    for (number, behind_ms) in [(1_000, HEAD_DELAY_MS + 1), (1_001, 60_500), (1_002, BEHIND_MS - 1)] {
        bench.server.publish_at(now_ms - behind_ms, post(number));
        assert_eq!(poller.round().await.unwrap().facts, 1, "{behind_ms} ms behind");
        assert_eq!(bench.marker(), marker, "the cursor does not go back");
    }
    bench.server.publish_at(now_ms - BEHIND_MS - 1_500, post(1_003));
    assert_eq!(poller.round().await.unwrap().facts, 0, "this is the limit, and it is written down");
    assert_eq!(bench.effects(), once((0..300).chain(1_000..1_003)));

    // A restarted poller looks further back, and knows from the log what has had its effect.
    bench.server.publish_at(now_ms - 90_000, post(1_004));
    assert_eq!(bench.poller().round().await.unwrap().facts, 2);
    assert_eq!(bench.effects(), once((0..300).chain(1_000..1_005)));
}

#[tokio::test]
async fn an_idle_hour_does_not_hide_what_comes_right_after() {
    let bench = Bench::new().await;
    let mut poller = bench.begun().await;
    bench.publish_over_time(0..3);
    poller.round().await.unwrap();
    bench.clock.pass(3_600_000);
    bench.publish_over_time([3]);
    poller.round().await.unwrap();
    bench.server.publish_at(bench.clock.now_ms() - 60_000, post(4));
    poller.round().await.unwrap();
    assert_eq!(bench.effects(), once(0..5));
}

#[tokio::test]
async fn markers_with_characters_of_addresses_work() {
    let mut bench = Bench::new().await;
    bench.limit = 1;
    let mut poller = bench.begun().await;
    let ids = ["a?b=c&marker=last", "d&limit=9", "e#f", "g%20h+i j", "ü/../k", "l\"<>&amp;m"];
    for id in ids {
        bench.clock.pass(1_000);
        bench.server.publish(Post::notification(id, "s", "active"));
    }
    bench.clock.pass(HEAD_DELAY_MS);
    poller.round().await.unwrap();
    assert_eq!(bench.order(), ids);
    bench.clock.pass(60_000);
    bench.publish_over_time([1]);
    bench.poller().round().await.unwrap();
    assert_eq!(bench.order().len(), 7, "walking back too");
}

#[tokio::test]
async fn a_server_that_answers_json_is_read_as_well() {
    let mut bench = Bench::new().await;
    bench.limit = 4;
    bench.server.only_json();
    let mut poller = bench.begun().await;
    bench.publish_over_time(0..9);
    poller.round().await.unwrap();
    bench.publish_over_time([9]);
    poller.round().await.unwrap();
    assert_eq!(bench.effects(), once(0..10));
}

#[tokio::test]
async fn an_entry_dated_ahead_waits_for_its_time_and_holds_up_nobody() {
    let bench = Bench::new().await;
    let mut poller = bench.begun().await;
    bench.server.publish_at(bench.clock.now_ms() + 3_600_000, post(99));
    bench.publish_over_time(0..3);
    bench.clock.pass(3_600_000 - AHEAD_MS - 30_000);
    poller.round().await.unwrap();
    assert_eq!((bench.effects(), bench.marker()), (once(0..3), id(2)));
    bench.publish_over_time(3..6);
    poller.round().await.unwrap();
    bench.poller().round().await.unwrap();
    assert_eq!((bench.effects(), bench.marker()), (once(0..6), id(5)));
    bench.clock.pass(AHEAD_MS * 2);
    poller.round().await.unwrap();
    assert_eq!(bench.effects(), once((0..6).chain([99])));
    bench.poller().round().await.unwrap();
    assert_eq!(bench.effects(), once((0..6).chain([99])));
}

#[tokio::test]
async fn heartbeats_come_once_a_minute_and_speak_for_all_of_it() {
    let bench = Bench::new().await;
    let mut poller = bench.begun().await;
    for minute in 0..4 {
        for _ in 0..6 {
            bench.clock.pass(10_000);
            if minute == 2 {
                bench.server.fail([Fault::Down]);
                poller.round().await.unwrap_err();
            }
            poller.round().await.unwrap();
        }
    }
    assert_eq!(bench.heartbeats(), [true, true, true, false, true]);
}

#[tokio::test]
async fn declared_types_happen_and_other_entries_are_counted_by_reason() {
    let bench = Bench::new().await;
    drop(bench.begun().await);
    let wanted: Wanted = Arc::new(|kind| matches!(kind, "deploy.done" | "compute.instance.update"));
    let mut poller = bench.poller_of(bench.feed(), Arc::clone(&bench.log), wanted, Arc::new(|_| {}));
    bench.server.publish(Post::plain("urn:uuid:deploy", "deploy.done"));
    bench.server.publish(Post::plain("urn:uuid:other", "deploy.begun"));
    bench.server.publish(Post { media: "application/json".to_owned(), ..Post::plain("urn:uuid:broken", "x") });
    bench.publish([1]);
    bench.clock.pass(HEAD_DELAY_MS);
    for _ in 0..3 {
        poller.round().await.unwrap();
    }
    let happened: Vec<(String, String)> = bench
        .events()
        .into_iter()
        .filter_map(|event| match event.fact {
            Fact::Happened(happened) => Some((event.id, happened.kind)),
            _ => None,
        })
        .collect();
    assert_eq!(
        happened,
        [
            ("urn:uuid:deploy".to_owned(), "deploy.done".to_owned()),
            (format!("{}#happened", id(1)), "compute.instance.update".to_owned()),
        ]
    );
    let skipped: Vec<(&str, u64)> = poller.counts().skipped().map(|(skip, count)| (skip.name(), count)).collect();
    assert_eq!(skipped, [("without_id", 0), ("untyped", 0), ("unwanted", 1), ("unreadable", 1)], "each once");
    assert_eq!((poller.counts().entries(), poller.counts().facts()), (4, 3));
    assert_eq!(bench.poller().round().await.unwrap().facts, 0, "nor does a restart count anything again");
}

#[tokio::test]
async fn executors_are_told_at_once_and_once() {
    let bench = Bench::new().await;
    drop(bench.begun().await);
    let told = Arc::<Mutex<Vec<Notice>>>::default();
    let look = {
        let told = Arc::clone(&told);
        Arc::new(move |notice: &Notice| told.lock().unwrap().push(notice.clone()))
    };
    let mut poller = bench.poller_of(bench.feed(), Arc::clone(&bench.log), Arc::new(|_| false), look);
    bench.publish_over_time(0..5);
    for _ in 0..2 {
        poller.round().await.unwrap();
    }
    let told = told.lock().unwrap();
    let servers: Vec<&str> = told.iter().map(|notice| notice.server.as_str()).collect();
    assert_eq!(servers, ["server-0", "server-1", "server-2", "server-3", "server-4"]);
    assert_eq!((told[0].state.as_str(), told[0].group_uid.as_str()), ("active", "00c0ffee00c0ffee"));
}

#[tokio::test]
async fn the_token_goes_along_and_is_read_anew() {
    let bench = Bench::new().await;
    let path = bench.folder.path().join("token");
    let mut poller = bench.poller_of(
        Feed { token_file: Some(path.clone()), ..bench.feed() },
        Arc::clone(&bench.log),
        Arc::new(|_| false),
        Arc::new(|_| {}),
    );
    assert!(matches!(poller.round().await.unwrap_err(), Error::Token { .. }));
    for token in ["first", "second"] {
        std::fs::write(&path, format!("{token}\n")).unwrap();
        poller.round().await.unwrap();
        assert!(bench.server.headers().iter().all(|headers| headers["x-auth-token"] == token));
    }
    std::fs::write(&path, "canary\u{7f}").unwrap();
    let error = poller.round().await.unwrap_err().to_string();
    assert!(error.contains("token") && !error.contains("canary"), "{error}");
}

#[tokio::test]
async fn a_long_way_to_catch_up_is_taken_in_rounds() {
    let mut bench = Bench::new().await;
    bench.limit = 1;
    let mut poller = bench.begun().await;
    bench.publish(0..1_001);
    bench.clock.pass(HEAD_DELAY_MS);
    assert!(poller.round().await.unwrap().more);
    assert!(bench.effects().len() >= 999);
    // All are of one instant, so each round reads all of them again; the next poller has more room.
    bench.limit = 1_000;
    assert!(!bench.poller().round().await.unwrap().more);
    assert_eq!(bench.effects(), once(0..1_001));
}

#[tokio::test]
async fn a_poller_runs_until_it_is_told_to_stop() {
    let bench = Bench::new().await;
    let poller = bench.begun().await;
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(poller.run(stopped));
    bench.server.fail([Fault::Down, Fault::Down]);
    bench.publish_over_time(0..5);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while bench.effects().len() < 5 {
        assert!(tokio::time::Instant::now() < deadline, "nothing came");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.send(true).unwrap();
    tokio::time::timeout(Duration::from_secs(5), running).await.expect("it stops").unwrap();
    assert_eq!(bench.effects(), once(0..5));
}
