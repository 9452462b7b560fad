//! The poller of one feed: rounds of reading forward, each from two minutes behind what it has.
//!
//! A round takes page after page, oldest first, until one is empty. What a page has that is new goes into the log in one
//! append with the cursor behind it, before the next page is asked for; so an error anywhere leaves the cursor at what
//! is truly there. The poller decides nothing: it says what it read, and whether it could read.

use super::{
    AHEAD_MS, BEHIND_MS, Counts, Error, Feed,
    delay::back_off,
    entry::{Skip, facts},
    fetch::{Ask, Fetch},
    page::{Entry, Page},
    recall::recall,
    seek::{Place, Seen, seek},
    window::Window,
};
use crate::{
    backend::{self, Log, partition_of},
    clock::Clock,
};
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::sync::watch;
use weir_engine::event::{Cursor, Event, Fact, Heartbeat, Notice, Version};

/// Pages of a round. A feed that has more goes on in the next, which follows at once.
const PAGES_MAX: usize = 1_000;
/// A restart reads this much again before the cursor, milliseconds of the feed's time: two minutes for what is late, and
/// two for the round in which it may have appeared behind what had been read.
const RESUME_MS: i64 = 2 * BEHIND_MS;
/// The log is asked for what was appended this much before the oldest entry that will be read again, milliseconds: an
/// entry may be dated [`AHEAD_MS`] after it was appended, and two machines' clocks differ.
const RECALL_MS: i64 = 600_000;
/// Heartbeats are this far apart, milliseconds.
const BEAT_MS: i64 = 60_000;

/// Whether some policy of the feed's tenant counts events of a type.
pub type Wanted = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// Told of every notice that went into the log, at once, so that somebody looks at the server. It must not block.
pub type Look = Arc<dyn Fn(&Notice) + Send + Sync>;

/// What a round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Entries seen for the first time.
    pub entries: usize,
    /// Facts that went into the log.
    pub facts: usize,
    /// There is more: the next round should follow at once.
    pub more: bool,
    /// The feed had forgotten where we were, and the place was found again by its time.
    pub lost: bool,
}

/// Reads one feed. One poller a feed and log; a second one would write everything twice.
pub struct Poller {
    fetch: Fetch,
    log: Arc<dyn Log>,
    clock: Arc<dyn Clock>,
    wanted: Wanted,
    look: Look,
    /// What the log has.
    cursor: Option<Cursor>,
    /// Where a feed without a cursor begins, until the log has it.
    begins: Option<Cursor>,
    /// `None` until the first round found its place.
    window: Option<Window>,
    /// When a write was begun of which it is not known whether it happened, by our clock.
    unclear_ms: Option<i64>,
    /// Whether every round since the last heartbeat read what it should, and when that was.
    healthy: bool,
    beat_ms: Option<i64>,
    counts: Arc<Counts>,
}

impl Poller {
    /// A poller that goes on from `cursor`: the newest that the log has of this feed, by the view of cursors. Without
    /// one it begins at the feed's newest entry, and acts on what comes after.
    ///
    /// # Errors
    /// [`Error::Address`], or no client can be made.
    pub fn new(
        feed: Feed,
        log: Arc<dyn Log>,
        clock: Arc<dyn Clock>,
        cursor: Option<Cursor>,
        wanted: Wanted,
        look: Look,
    ) -> Result<Self, Error> {
        Ok(Self {
            fetch: Fetch::new(feed)?,
            log,
            clock,
            wanted,
            look,
            cursor,
            begins: None,
            window: None,
            unclear_ms: None,
            healthy: true,
            beat_ms: None,
            counts: Arc::default(),
        })
    }

    /// Counters that go on while the poller runs.
    #[must_use]
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    /// How far the log is known to have the feed.
    #[must_use]
    pub fn cursor(&self) -> Option<&Cursor> {
        self.cursor.as_ref()
    }

    /// Reads until told to stop. Stopping in the midst of a round loses nothing.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        tokio::select! {
            () = self.rounds() => {}
            // Told, or nobody is left who could.
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }

    async fn rounds(&mut self) {
        let mut failures = 0;
        loop {
            let delay = match self.round().await {
                Ok(round) => {
                    failures = 0;
                    if round.more { Duration::ZERO } else { self.feed().every }
                }
                Err(error) => {
                    failures += 1;
                    let delay = back_off(self.feed().every, failures, &error);
                    let Feed { tenant, name, .. } = self.feed();
                    tracing::warn!(%tenant, feed = %name, failures, ?delay, "the feed was not read: {error}");
                    delay
                }
            };
            tokio::time::sleep(delay).await;
        }
    }

    /// One round and, once a minute, its heartbeat.
    ///
    /// # Errors
    /// [`Error`]. What was appended before stays; the next round goes on from there.
    pub async fn round(&mut self) -> Result<Round, Error> {
        let mut result = self.read().await;
        self.healthy &= matches!(result, Ok(Round { lost: false, .. }));
        if let Err(error) = self.beat().await {
            self.healthy = false;
            result = result.and(Err(error));
        }
        if result.is_err() {
            self.counts.failed();
        }
        result
    }

    async fn read(&mut self) -> Result<Round, Error> {
        let mut round = Round::default();
        let mut window = match self.window.take() {
            Some(window) => window,
            None => self.start(&mut round).await?,
        };
        let result = self.read_on(&mut window, &mut round).await;
        self.window = Some(window);
        result.map(|()| round)
    }

    /// Finds the place where the first round begins.
    async fn start(&mut self, round: &mut Round) -> Result<Window, Error> {
        let now_ms = self.clock.now_ms();
        let Some(cursor) = self.cursor.clone() else {
            let until_ms = now_ms.saturating_sub(BEHIND_MS);
            let found = seek(&self.fetch, Ask::Head, until_ms, true, now_ms).await?;
            let newest = found.passed.last().or(match &found.place {
                Place::After(seen) => Some(seen),
                Place::Beginning => None,
            });
            let (marker, updated) = newest.map_or((String::new(), now_ms), |seen| (seen.id.clone(), seen.updated_ms));
            // An empty marker says that the feed had nothing: everything in it will be new.
            self.begins = Some(Cursor { feed: self.feed().name.clone(), marker, updated });
            return Ok(Window::new(found.place, found.passed.iter().map(|seen| seen.id.as_str())));
        };
        let until_ms = cursor.updated.min(now_ms).saturating_sub(RESUME_MS);
        let known = self.recall(until_ms.saturating_sub(RECALL_MS)).await?;
        let place = if cursor.marker.is_empty() {
            Place::Beginning
        } else {
            match seek(&self.fetch, Ask::UpTo(cursor.marker), until_ms, false, now_ms).await {
                Ok(found) => found.place,
                Err(Error::Gone(marker)) => self.find_again(&marker, until_ms, round).await?,
                Err(error) => return Err(error),
            }
        };
        Ok(Window::new(place, known.iter().map(String::as_str)))
    }

    /// The feed knows the marker no more. Its entries still have their times, so we go back from its head to ours.
    async fn find_again(&mut self, marker: &str, until_ms: i64, round: &mut Round) -> Result<Place, Error> {
        round.lost = true;
        self.counts.lost();
        let found = seek(&self.fetch, Ask::Head, until_ms, false, self.clock.now_ms()).await?;
        let Feed { tenant, name, .. } = self.feed();
        let lost = match (&found.place, found.gave_up) {
            (Place::After(_), false) => "nothing was missed",
            (Place::Beginning, _) => "what the feed has deleted meanwhile was missed",
            (Place::After(_), true) => "it has too many newer entries, and the older ones of them were missed",
        };
        tracing::warn!(%tenant, feed = %name, marker, "the feed does not know our marker any more; began again from its head: {lost}");
        Ok(found.place)
    }

    async fn read_on(&mut self, window: &mut Window, round: &mut Round) -> Result<(), Error> {
        if let Some(since_ms) = self.unclear_ms {
            let ids = self.recall(since_ms.saturating_sub(RECALL_MS)).await?;
            window.learn(ids.iter().map(String::as_str));
            self.unclear_ms = None;
        }
        if let Some(cursor) = &self.begins {
            self.append(vec![self.cursor_event(cursor)]).await?;
            self.cursor = self.begins.take();
        }
        let mut ask = window.begin();
        let mut asked = HashSet::new();
        for _ in 0..PAGES_MAX {
            let asked_ms = self.clock.now_ms();
            let page = match self.fetch.page(&ask).await {
                Err(Error::Gone(marker)) if !round.lost => {
                    let until_ms = match window.place() {
                        Place::Beginning => i64::MIN,
                        Place::After(seen) => seen.updated_ms,
                    };
                    let place = self.find_again(&marker, until_ms, round).await?;
                    ask = window.begin_again(place);
                    continue;
                }
                other => other?,
            };
            // A server that puts the marker on its page again has said nothing new.
            let newest = page.entries.iter().find(|entry| !matches!(&ask, Ask::After(marker) if *marker == entry.id));
            let Some(newest) = newest.map(|entry| entry.id.clone()) else {
                self.counts.skip(Skip::WithoutId, page.without_id);
                window.complete();
                return Ok(());
            };
            if !asked.insert(newest.clone()) {
                return Err(Error::Circle(newest));
            }
            self.take(window, page, asked_ms, round).await?;
            ask = Ask::After(newest);
        }
        round.more = true;
        Ok(())
    }

    /// What is new on a page goes into the log, and then into the window.
    async fn take(&mut self, window: &mut Window, page: Page, asked_ms: i64, round: &mut Round) -> Result<(), Error> {
        let now_ms = self.clock.now_ms();
        let entries = in_order(page.entries, window.place(), now_ms);
        let (mut events, mut notices, mut skips, mut new) = (Vec::new(), Vec::new(), Vec::new(), 0);
        let mut here = HashSet::new();
        let mut cursor = self.cursor.clone();
        for (entry, seen) in &entries {
            if window.knows(&seen.id) || !here.insert(seen.id.as_str()) {
                continue;
            }
            new += 1;
            match facts(entry, &*self.wanted) {
                Ok(facts) => {
                    for (id, fact) in facts.into_iter().filter(|(id, _)| !window.knows(id)) {
                        if let Fact::Server(notice) = &fact {
                            notices.push(notice.clone());
                        }
                        events.push(self.event(id, fact, now_ms));
                    }
                }
                Err(skip) => skips.push(skip),
            }
            if cursor.as_ref().is_none_or(|cursor| seen.updated_ms >= cursor.updated) {
                let feed = self.feed().name.clone();
                cursor = Some(Cursor { feed, marker: seen.id.clone(), updated: seen.updated_ms });
            }
        }
        let facts = events.len();
        if let Some(moved) = cursor.as_ref().filter(|cursor| self.cursor.as_ref() != Some(cursor)) {
            events.push(self.cursor_event(moved));
        }
        if !events.is_empty() {
            self.append(events).await?;
        }
        self.cursor = cursor;
        window.take(entries.into_iter().map(|(_, seen)| seen), asked_ms);
        self.counts.took(new, facts);
        self.counts.skip(Skip::WithoutId, page.without_id);
        skips.into_iter().for_each(|skip| self.counts.skip(skip, 1));
        round.entries += new;
        round.facts += facts;
        notices.iter().for_each(|notice| (self.look)(notice));
        Ok(())
    }

    /// Says once a minute whether every round since the last time read what it should.
    async fn beat(&mut self) -> Result<(), Error> {
        let now_ms = self.clock.now_ms();
        if self.beat_ms.is_some_and(|last| now_ms.saturating_sub(last) < BEAT_MS) {
            return Ok(());
        }
        let fact = Fact::Heartbeat(Heartbeat { healthy: self.healthy });
        self.append(vec![self.event(format!("heartbeat:{now_ms}"), fact, now_ms)]).await?;
        (self.healthy, self.beat_ms) = (true, Some(now_ms));
        Ok(())
    }

    async fn recall(&self, since_ms: i64) -> Result<HashSet<String>, Error> {
        let (log, partition) = (Arc::clone(&self.log), self.partition());
        let (source, tenant) = (self.feed().source(), self.feed().tenant.clone());
        let recall = move || recall(&*log, partition, &source, &tenant, since_ms);
        Ok(blocking(recall).await?)
    }

    async fn append(&mut self, events: Vec<Event>) -> Result<(), Error> {
        let (log, partition) = (Arc::clone(&self.log), self.partition());
        let begun_ms = self.clock.now_ms();
        let result = blocking(move || log.append(partition, &events)).await;
        if matches!(result, Err(backend::Error::Unclear(_))) {
            self.unclear_ms.get_or_insert(begun_ms);
        }
        result?;
        Ok(())
    }

    fn cursor_event(&self, cursor: &Cursor) -> Event {
        self.event(format!("cursor:{}", cursor.marker), Fact::Cursor(cursor.clone()), self.clock.now_ms())
    }

    fn event(&self, id: String, fact: Fact, time: i64) -> Event {
        let Feed { tenant, .. } = self.feed();
        Event { specversion: Version::V1, id, source: self.feed().source(), time, tenant: tenant.clone(), fact }
    }

    fn feed(&self) -> &Feed {
        self.fetch.feed()
    }

    fn partition(&self) -> u32 {
        partition_of(&self.feed().tenant, self.log.partitions())
    }
}

/// A page oldest first, with the time of each entry, without what is dated too far ahead.
fn in_order(entries: Vec<Entry>, place: &Place, now_ms: i64) -> Vec<(Entry, Seen)> {
    let mut before_ms = match place {
        Place::Beginning => now_ms,
        Place::After(seen) => seen.updated_ms,
    };
    let dated = entries.into_iter().rev().map(|entry| {
        let updated_ms = entry.updated_ms.unwrap_or(before_ms);
        before_ms = updated_ms;
        let seen = Seen { id: entry.id.clone(), updated_ms };
        (entry, seen)
    });
    dated.filter(|(_, seen)| seen.updated_ms <= now_ms.saturating_add(AHEAD_MS)).collect()
}

/// The log's calls block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> backend::Result<T> + Send + 'static) -> backend::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(backend::Error::Unclear(format!("a call to the log did not come back: {error}"))),
    }
}
