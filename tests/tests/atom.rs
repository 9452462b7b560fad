//! A poller, a feed server and the embedded log: whatever the feed does, every entry has one effect.
//!
//! All share one clock that the tests move. "Effect" is a fact in the log: a notice whose id is the entry's.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::{mpsc, watch},
};
use weir::{
    backend::{self, Line, Log, embedded},
    clock::{Clock, HeldClock},
    source::atom::{AHEAD_MS, BEHIND_MS, Error, Feed, Poller, Round, Wanted},
};
use weir_engine::event::{Cursor, Event, Fact, Notice};
use weir_tests::{
    feed_server::{Fault, FeedServer, HEAD_DELAY_MS, Post},
    hostile_feeds::hostile_feeds,
};

const NOON: i64 = 1_800_000_000_000;

struct Bench {
    clock: HeldClock,
    server: FeedServer,
    log: Arc<dyn Log>,
    limit: u16,
    folder: TempDir,
}

impl Bench {
    async fn new() -> Self {
        let clock = HeldClock::at(NOON);
        let folder = TempDir::new().unwrap();
        let server = FeedServer::start(Arc::new(clock.clone())).await.unwrap();
        let log = open(folder.path(), &clock);
        Self { clock, server, log, limit: 25, folder }
    }

    fn feed(&self) -> Feed {
        Feed {
            tenant: "acme".to_owned(),
            name: "nova".to_owned(),
            url: self.server.url().parse().unwrap(),
            every: Duration::from_millis(10),
            limit: self.limit,
            token_file: None,
        }
    }

    /// A poller as after a restart: from the cursor that the log has.
    fn poller(&self) -> Poller {
        self.poller_on(Arc::clone(&self.log))
    }

    fn poller_on(&self, log: Arc<dyn Log>) -> Poller {
        self.poller_of(self.feed(), log, Arc::new(|_| false), None)
    }

    fn poller_of(&self, feed: Feed, log: Arc<dyn Log>, wanted: Wanted, hints: Option<mpsc::Sender<Notice>>) -> Poller {
        Poller::new(feed, log, Arc::new(self.clock.clone()), self.cursor(), wanted, hints).unwrap()
    }

    /// A poller that has seen the feed empty, so that everything in it will be new.
    async fn begun(&self) -> Poller {
        let mut poller = self.poller();
        poller.round().await.unwrap();
        poller
    }

    fn publish(&self, ids: impl IntoIterator<Item = u32>) {
        ids.into_iter().for_each(|id| self.server.publish(post(id)));
    }

    /// Publishes, one second apart, and waits until all of it is shown.
    fn publish_over_time(&self, ids: impl IntoIterator<Item = u32>) {
        for id in ids {
            self.clock.pass(1_000);
            self.publish([id]);
        }
        self.clock.pass(HEAD_DELAY_MS);
    }

    fn events(&self) -> Vec<Event> {
        let (from, next) = self.log.range(0).unwrap();
        let mut events = Vec::new();
        let mut at = from;
        while at < next {
            let lines = self.log.read(0, at, 1_000).unwrap();
            at = lines.last().unwrap().offset + 1;
            events.extend(lines.iter().map(|line| Event::from_line(&line.bytes).unwrap()));
        }
        events
    }

    fn cursor(&self) -> Option<Cursor> {
        let mut cursors = self.events().into_iter().filter_map(|event| match event.fact {
            Fact::Cursor(cursor) => Some(cursor),
            _ => None,
        });
        cursors.next_back()
    }

    fn marker(&self) -> String {
        self.cursor().unwrap().marker
    }

    /// How often each entry had its effect.
    fn effects(&self) -> BTreeMap<String, usize> {
        let mut effects = BTreeMap::new();
        for event in self.events().iter().filter(|event| matches!(event.fact, Fact::Server(_))) {
            assert_eq!((event.source.as_str(), event.tenant.as_str()), ("/atom/nova", "acme"));
            *effects.entry(event.id.clone()).or_default() += 1;
        }
        effects
    }

    /// In the order in which they came into the log.
    fn order(&self) -> Vec<String> {
        let notices = self.events().into_iter().filter(|event| matches!(event.fact, Fact::Server(_)));
        notices.map(|event| event.id).collect()
    }

    fn heartbeats(&self) -> Vec<bool> {
        let beats = self.events().into_iter().filter_map(|event| match event.fact {
            Fact::Heartbeat(beat) => Some(beat.healthy),
            _ => None,
        });
        beats.collect()
    }
}

fn open(folder: &Path, clock: &HeldClock) -> Arc<dyn Log> {
    let settings = embedded::Settings { clock: Arc::new(clock.clone()), cache_bytes: 1 << 20, ..Default::default() };
    Arc::new(embedded::Embedded::open(folder, settings).unwrap())
}

fn id(number: u32) -> String {
    format!("urn:uuid:{number:08}")
}

fn post(number: u32) -> Post {
    Post::notification(&id(number), &format!("server-{number}"), "active")
}

/// Each of these, once.
fn once(ids: impl IntoIterator<Item = u32>) -> BTreeMap<String, usize> {
    ids.into_iter().map(|number| (id(number), 1)).collect()
}

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
async fn a_page_cut_in_the_middle_moves_no_cursor_and_loses_nothing() {
    let mut bench = Bench::new().await;
    bench.limit = 10;
    let mut poller = bench.begun().await;
    bench.publish_over_time(0..10);
    poller.round().await.unwrap();
    bench.publish_over_time(10..30);
    for permille in [0, 1, 50, 300, 500, 700, 950, 990] {
        let (cursor, effects) = (bench.cursor(), bench.effects());
        bench.server.fail([Fault::Cut(permille)]);
        let error = poller.round().await.unwrap_err();
        assert!(matches!(error, Error::Page(_)), "{permille}: {error}");
        assert_eq!((bench.cursor(), bench.effects()), (cursor, effects), "{permille}");
    }
    bench.server.asked();
    poller.round().await.unwrap();
    assert_eq!(bench.effects(), once(0..30));
    assert!(bench.server.asked().len() >= 3, "page after page");
}

#[tokio::test]
async fn an_error_on_a_later_page_keeps_what_the_earlier_ones_gave() {
    let mut bench = Bench::new().await;
    bench.limit = 10;
    let mut poller = bench.begun().await;
    bench.publish_over_time(0..30);
    // The oldest page, ten more, and then nothing.
    let right = Fault::Cut(1_000);
    bench.server.fail([right.clone(), right, Fault::Cut(500)]);
    poller.round().await.unwrap_err();
    assert_eq!((bench.effects(), bench.marker()), (once(0..20), id(19)));
    poller.round().await.unwrap();
    assert_eq!((bench.effects(), bench.marker()), (once(0..30), id(29)));
}

#[tokio::test]
async fn a_connection_that_ends_early_is_no_page() {
    let bench = Bench::new().await;
    drop(bench.begun().await);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let mut feed = bench.feed();
    feed.url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let serving = tokio::spawn(async move {
        let body = r#"<feed xmlns="http://www.w3.org/2005/Atom"><entry><id>urn:uuid:1</id></entry></feed>"#;
        for (head, body) in [
            ("Content-Length: 5000\r\n", body.to_owned()),
            ("Transfer-Encoding: chunked\r\n", format!("{:x}\r\n{body}\r\n", body.len())),
            ("", "<feed xmlns=\"http://www.w3.org/2005/Atom\">".to_owned()),
            ("Content-Length: 99999999\r\n", "<feed xmlns=\"http://www.w3.org/2005/Atom\">".repeat(400_000)),
        ] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4_096]).await.unwrap();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Type: application/atom+xml\r\n{head}\r\n{body}");
            // Who has read enough goes away, and the rest cannot be sent.
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    let before = bench.cursor();
    let mut poller = bench.poller_of(feed, Arc::clone(&bench.log), Arc::new(|_| true), None);
    for kind in ["no answer", "no answer", "ends inside", "more than 8388608 bytes"] {
        let error = poller.round().await.unwrap_err().to_string();
        assert!(error.contains(kind), "{error}");
    }
    serving.await.unwrap();
    assert_eq!(bench.cursor(), before);
}

#[tokio::test]
async fn a_hostile_page_is_an_error_and_the_cursor_stays() {
    let bench = Bench::new().await;
    let mut poller = bench.begun().await;
    bench.publish_over_time(0..3);
    poller.round().await.unwrap();
    bench.publish_over_time(3..5);
    let (cursor, effects) = (bench.cursor(), bench.effects());
    let mut first = bench.poller();
    for hostile in hostile_feeds() {
        for poller in [&mut poller, &mut first] {
            bench.server.fail([Fault::Body(hostile.media, hostile.body.clone())]);
            let error = poller.round().await.expect_err(&hostile.name).to_string();
            assert!(error.contains(hostile.says), "{}: {error}", hostile.name);
        }
    }
    assert_eq!((bench.cursor(), bench.effects()), (cursor, effects));
    poller.round().await.unwrap();
    assert_eq!(bench.effects(), once(0..5));
}

#[tokio::test]
async fn pages_that_run_in_a_circle_are_an_error() {
    let bench = Bench::new().await;
    let mut poller = bench.begun().await;
    bench.publish_over_time(0..2);
    poller.round().await.unwrap();
    let page = |ids: &[&str]| {
        let entries: String = ids.iter().map(|id| format!("<entry><id>{id}</id></entry>")).collect();
        Fault::Body(
            "application/atom+xml",
            format!(r#"<feed xmlns="http://www.w3.org/2005/Atom">{entries}</feed>"#).into(),
        )
    };
    bench.server.fail([page(&["b", "a"]), page(&["d", "c"]), page(&["b", "a"]), page(&["d", "c"])]);
    let error = poller.round().await.unwrap_err();
    assert!(matches!(&error, Error::Circle(marker) if marker == "b"), "{error}");

    bench.server.fail([page(&["f"]), page(&["f"]), page(&["e"])]);
    poller.round().await.unwrap();
    assert_eq!(bench.server.asked().last().unwrap().matches("marker=f").count(), 1, "its own marker ends a round");

    // Walking back, at a start.
    bench.server.fail([page(&["z", "y"]), page(&["y", "x"]), page(&["x", "y"]), page(&["y", "x"]), page(&["x", "y"])]);
    let error = bench.poller().round().await.unwrap_err();
    assert!(matches!(&error, Error::Circle(_)), "{error}");
}

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
async fn a_feed_that_is_down_is_read_when_it_is_up_again() {
    let bench = Bench::new().await;
    let mut poller = bench.begun().await;
    bench.publish_over_time(0..5);
    bench.server.fail([Fault::Down, Fault::Status(503, "retry-after", "7".to_owned()), Fault::Down]);
    for after in [None, Some(Duration::from_secs(7)), None] {
        let error = poller.round().await.unwrap_err();
        assert!(matches!(&error, Error::Status { after: it, .. } if *it == after), "{error}");
        assert!(!error.to_string().contains("select"), "a server's inside is nobody's business: {error}");
    }
    poller.round().await.unwrap();
    assert_eq!((bench.effects(), poller.counts().failures()), (once(0..5), 3));
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

/// A log whose answers get lost, and one that takes nothing.
struct Moody {
    log: Arc<dyn Log>,
    moods: Mutex<Vec<Mood>>,
}

#[derive(Clone, Copy, Debug)]
enum Mood {
    WrittenButUnclear,
    NotWrittenAndUnclear,
    Full,
}

impl Log for Moody {
    fn log_id(&self) -> String {
        self.log.log_id()
    }

    fn partitions(&self) -> u32 {
        self.log.partitions()
    }

    fn append(&self, partition: u32, events: &[Event]) -> backend::Result<u64> {
        let mood = self.moods.lock().unwrap().pop();
        match mood {
            None => self.log.append(partition, events),
            Some(Mood::WrittenButUnclear) => {
                self.log.append(partition, events)?;
                Err(backend::Error::Unclear("the answer was lost".to_owned()))
            }
            Some(Mood::NotWrittenAndUnclear) => Err(backend::Error::Unclear("the request was lost".to_owned())),
            Some(Mood::Full) => Err(backend::Error::Full("the disk is full".to_owned())),
        }
    }

    fn read(&self, partition: u32, from: u64, most: usize) -> backend::Result<Vec<Line>> {
        self.log.read(partition, from, most)
    }

    fn range(&self, partition: u32) -> backend::Result<(u64, u64)> {
        self.log.range(partition)
    }

    fn offset_at(&self, partition: u32, at_ms: i64) -> backend::Result<u64> {
        self.log.offset_at(partition, at_ms)
    }

    fn wait_for(&self, partition: u32, offset: u64, patience: Duration) -> bool {
        self.log.wait_for(partition, offset, patience)
    }
}

/// Stands where a log was until it is opened again.
struct Nowhere;

impl Log for Nowhere {
    fn log_id(&self) -> String {
        String::new()
    }

    fn partitions(&self) -> u32 {
        1
    }

    fn append(&self, _: u32, _: &[Event]) -> backend::Result<u64> {
        Err(backend::Error::Failed("there is no log".to_owned()))
    }

    fn read(&self, _: u32, _: u64, _: usize) -> backend::Result<Vec<Line>> {
        Err(backend::Error::Failed("there is no log".to_owned()))
    }

    fn range(&self, _: u32) -> backend::Result<(u64, u64)> {
        Err(backend::Error::Failed("there is no log".to_owned()))
    }

    fn offset_at(&self, _: u32, _: i64) -> backend::Result<u64> {
        Err(backend::Error::Failed("there is no log".to_owned()))
    }

    fn wait_for(&self, _: u32, _: u64, _: Duration) -> bool {
        false
    }
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

#[tokio::test]
async fn nothing_that_a_feed_says_sends_us_elsewhere() {
    let bench = Bench::new().await;
    let elsewhere = FeedServer::start(Arc::new(bench.clock.clone())).await.unwrap();
    elsewhere.publish(post(99));
    let mut poller = bench.begun().await;
    bench.publish_over_time(0..3);

    for status in [301, 302, 303, 307, 308] {
        bench.server.fail([Fault::Status(status, "location", elsewhere.url())]);
        let error = poller.round().await.unwrap_err();
        assert!(matches!(error, Error::Moved { status: it } if it == status), "{error}");
    }
    let url = elsewhere.url();
    let page = format!(
        r#"<?xml version="1.0"?><?xml-stylesheet href="{url}"?><feed xmlns="http://www.w3.org/2005/Atom" xml:base="{url}">
        <link rel="previous" href="{url}?marker=x"/><link rel="next" href="{url}?marker=y"/><link rel="hub" href="{url}"/>
        <logo>{url}</logo><entry><id>{url}</id><content type="application/json" src="{url}"/></entry></feed>"#
    );
    bench.server.fail([Fault::Body("application/atom+xml", page.into())]);
    // Its only entry's id is the marker then, which the feed does not know.
    let _ = poller.round().await;
    poller.round().await.unwrap();
    assert_eq!(elsewhere.asked(), [""; 0]);
    assert_eq!(bench.effects(), once(0..3));
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
    let mut poller = bench.poller_of(bench.feed(), Arc::clone(&bench.log), wanted, None);
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
async fn executors_are_told_at_once_and_a_full_queue_stops_nobody() {
    let bench = Bench::new().await;
    drop(bench.begun().await);
    let (hints, mut heard) = mpsc::channel(2);
    let mut poller = bench.poller_of(bench.feed(), Arc::clone(&bench.log), Arc::new(|_| false), Some(hints));
    bench.publish_over_time(0..5);
    poller.round().await.unwrap();
    assert_eq!(bench.effects(), once(0..5));
    let notice = heard.try_recv().unwrap();
    assert_eq!((notice.server.as_str(), notice.group_uid.as_str()), ("server-0", "00c0ffee00c0ffee"));
    assert_eq!(heard.len(), 1);
}

#[tokio::test]
async fn the_token_goes_along_and_is_read_anew() {
    let bench = Bench::new().await;
    let path = bench.folder.path().join("token");
    let mut poller = bench.poller_of(
        Feed { token_file: Some(path.clone()), ..bench.feed() },
        Arc::clone(&bench.log),
        Arc::new(|_| false),
        None,
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
