//! Moving parts of these tests: a feed server, the embedded log in a folder of its own, and a clock that stands.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};
use tempfile::TempDir;
use weir::{
    backend::{Log, embedded},
    clock::HeldClock,
    source::atom::{Feed, Look, Poller, Wanted},
};
use weir_engine::event::{Cursor, Event, Fact};
use weir_tests::feed_server::{FeedServer, HEAD_DELAY_MS, Post};

const NOON: i64 = 1_800_000_000_000;

/// A feed, a log and a clock.
pub struct Bench {
    pub clock: HeldClock,
    pub server: FeedServer,
    pub log: Arc<dyn Log>,
    pub limit: u16,
    pub folder: TempDir,
}

impl Bench {
    pub async fn new() -> Self {
        let clock = HeldClock::at(NOON);
        let folder = TempDir::new().unwrap();
        let server = FeedServer::start(Arc::new(clock.clone())).await.unwrap();
        let log = open(folder.path(), &clock);
        Self { clock, server, log, limit: 25, folder }
    }

    pub fn feed(&self) -> Feed {
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
    pub fn poller(&self) -> Poller {
        self.poller_on(Arc::clone(&self.log))
    }

    pub fn poller_on(&self, log: Arc<dyn Log>) -> Poller {
        self.poller_of(self.feed(), log, Arc::new(|_| false), Arc::new(|_| {}))
    }

    pub fn poller_of(&self, feed: Feed, log: Arc<dyn Log>, wanted: Wanted, look: Look) -> Poller {
        Poller::new(feed, log, Arc::new(self.clock.clone()), self.cursor(), wanted, look).unwrap()
    }

    /// A poller that has seen the feed empty, so that everything in it will be new.
    pub async fn begun(&self) -> Poller {
        let mut poller = self.poller();
        poller.round().await.unwrap();
        poller
    }

    pub fn publish(&self, ids: impl IntoIterator<Item = u32>) {
        ids.into_iter().for_each(|id| self.server.publish(post(id)));
    }

    /// Publishes, one second apart, and waits until all of it is shown.
    pub fn publish_over_time(&self, ids: impl IntoIterator<Item = u32>) {
        for id in ids {
            self.clock.pass(1_000);
            self.publish([id]);
        }
        self.clock.pass(HEAD_DELAY_MS);
    }

    pub fn events(&self) -> Vec<Event> {
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

    pub fn cursor(&self) -> Option<Cursor> {
        let mut cursors = self.events().into_iter().filter_map(|event| match event.fact {
            Fact::Cursor(cursor) => Some(cursor),
            _ => None,
        });
        cursors.next_back()
    }

    pub fn marker(&self) -> String {
        self.cursor().unwrap().marker
    }

    /// How often each entry had its effect.
    pub fn effects(&self) -> BTreeMap<String, usize> {
        let mut effects = BTreeMap::new();
        for event in self.events().iter().filter(|event| matches!(event.fact, Fact::Server(_))) {
            assert_eq!((event.source.as_str(), event.tenant.as_str()), ("/atom/nova", "acme"));
            *effects.entry(event.id.clone()).or_default() += 1;
        }
        effects
    }

    /// In the order in which they came into the log.
    pub fn order(&self) -> Vec<String> {
        let notices = self.events().into_iter().filter(|event| matches!(event.fact, Fact::Server(_)));
        notices.map(|event| event.id).collect()
    }

    pub fn heartbeats(&self) -> Vec<bool> {
        let beats = self.events().into_iter().filter_map(|event| match event.fact {
            Fact::Heartbeat(beat) => Some(beat.healthy),
            _ => None,
        });
        beats.collect()
    }
}

pub fn open(folder: &Path, clock: &HeldClock) -> Arc<dyn Log> {
    let settings = embedded::Settings { clock: Arc::new(clock.clone()), cache_bytes: 1 << 20, ..Default::default() };
    Arc::new(embedded::Embedded::open(folder, settings).unwrap())
}

pub fn id(number: u32) -> String {
    format!("urn:uuid:{number:08}")
}

pub fn post(number: u32) -> Post {
    Post::notification(&id(number), &format!("server-{number}"), "active")
}

/// Each of these, once.
pub fn once(ids: impl IntoIterator<Item = u32>) -> BTreeMap<String, usize> {
    ids.into_iter().map(|number| (id(number), 1)).collect()
}
