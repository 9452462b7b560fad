//! What is remembered, by whom: restarts, writes of which nobody knows, and a feed that forgets.

use crate::{
    bench::{Bench, id, once, open},
    moody::{Mood, Moody, Nowhere},
};
use std::sync::{Arc, Mutex};
use weir::{backend::Log, clock::Clock, source::atom::Error};
use weir_tests::feed_server::Fault;

#[tokio::test]
async fn a_forgotten_marker_is_found_again_by_its_time() {
    let mut bench = Bench::new().await;
    bench.limit = 10;
    let mut poller = bench.begun().await;
    bench.publish_over_time(0..200);
    poller.round().await.unwrap();
    bench.clock.pass(60_000);
    bench.publish_over_time(200..260);
    // The feed keeps what is younger than 100 s: neither the poller's marker nor the cursor's.
    bench.server.purge_before(bench.clock.now_ms() - 100_000);
    let counts = poller.counts();
    let round = poller.round().await.unwrap();
    assert!(round.lost, "{round:?}");
    assert_eq!((bench.effects(), bench.marker(), counts.gone()), (once(0..260), id(259), 1));
    assert_eq!(bench.heartbeats().last(), Some(&false), "the minute in which it happened was not a healthy one");
    assert!(!poller.round().await.unwrap().lost);
    bench.clock.pass(60_000);
    poller.round().await.unwrap();
    assert_eq!(bench.heartbeats().last(), Some(&true));
}

#[tokio::test]
async fn a_marker_forgotten_while_we_were_away_is_found_again_too() {
    let mut bench = Bench::new().await;
    bench.limit = 10;
    bench.publish_over_time(0..5);
    drop(bench.begun().await);
    bench.clock.pass(4 * 86_400_000);
    bench.publish_over_time(5..45);
    bench.server.purge_before(bench.clock.now_ms() - 3 * 86_400_000);
    let round = bench.poller().round().await.unwrap();
    assert!(round.lost);
    assert_eq!(bench.effects(), once(5..45));

    // A feed that has forgotten everything, and then goes on.
    bench.clock.pass(4 * 86_400_000);
    bench.server.purge_before(bench.clock.now_ms());
    let mut poller = bench.poller();
    assert!(poller.round().await.unwrap().lost);
    bench.publish_over_time(45..50);
    assert!(!poller.round().await.unwrap().lost);
    assert_eq!(bench.effects(), once(5..50));
}

#[tokio::test]
async fn a_restart_goes_on_where_the_log_is() {
    let mut bench = Bench::new().await;
    bench.limit = 7;
    drop(bench.begun().await);
    for number in 0..20 {
        bench.publish_over_time(number * 15..number * 15 + 15);
        // Some end in the midst of a round, after one page or two.
        let pages = (0..number % 4).map(|_| Fault::Cut(1_000));
        bench.server.fail(pages.chain((number % 4 > 0).then_some(Fault::Down)));
        let _ = bench.poller().round().await;
        if number == 10 {
            // The file too is closed and opened again.
            bench.log = Arc::new(Nowhere);
            bench.log = open(bench.folder.path(), &bench.clock);
        }
    }
    bench.server.fail([]);
    bench.poller().round().await.unwrap();
    assert_eq!(bench.effects(), once(0..300));
}

#[tokio::test]
async fn a_write_of_which_nobody_knows_has_one_effect() {
    use Mood::{Full, NotWrittenAndUnclear, WrittenButUnclear};
    let mut bench = Bench::new().await;
    bench.limit = 5;
    let moody = Arc::new(Moody { log: Arc::clone(&bench.log), moods: Mutex::default() });
    let mut poller = bench.poller_on(Arc::clone(&moody) as Arc<dyn Log>);
    poller.round().await.unwrap();
    let mut published = 0;
    for moods in [
        vec![WrittenButUnclear],
        vec![NotWrittenAndUnclear],
        vec![Full],
        vec![WrittenButUnclear, WrittenButUnclear],
        vec![NotWrittenAndUnclear, WrittenButUnclear, Full],
        vec![Full, NotWrittenAndUnclear, WrittenButUnclear, NotWrittenAndUnclear],
    ] {
        bench.publish_over_time(published..published + 12);
        published += 12;
        *moody.moods.lock().unwrap() = moods.clone();
        while !moody.moods.lock().unwrap().is_empty() {
            let error = poller.round().await.unwrap_err();
            assert!(matches!(error, Error::Log(_)), "{moods:?}: {error}");
        }
        poller.round().await.unwrap();
        assert_eq!(bench.effects(), once(0..published), "{moods:?}");
    }
    assert_eq!(bench.marker(), id(published - 1));
}

#[tokio::test]
async fn a_feed_begins_where_it_was_first_seen_even_if_the_log_was_full_then() {
    let bench = Bench::new().await;
    bench.publish_over_time(0..3);
    let moody = Arc::new(Moody { log: Arc::clone(&bench.log), moods: Mutex::new(vec![Mood::Full; 4]) });
    let mut poller = bench.poller_on(Arc::clone(&moody) as Arc<dyn Log>);
    poller.round().await.unwrap_err();
    bench.publish_over_time(3..6);
    while poller.round().await.is_err() {}
    assert_eq!((bench.effects(), bench.marker()), (once(3..6), id(5)));
}
