//! Finding a place in a feed by walking back through it: at the first start, after a restart, and when the feed has
//! forgotten where we were. Nothing is acted upon on the way.

use super::{
    AHEAD_MS, Error,
    fetch::{Ask, Fetch},
    window::SEEN_MAX,
};
use std::collections::HashSet;

/// Pages walked back. What lies further behind is given up, loudly.
const PAGES_MAX: usize = 10_000;

/// An entry that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Its id, a marker of its place.
    pub(super) id: String,
    /// The feed's time of it; where it says none, that of the entry before.
    pub(super) updated_ms: i64,
}

/// A place to read on from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Before every entry.
    Beginning,
    /// Right after this one.
    After(Seen),
}

/// What was found.
#[derive(Debug)]
pub(super) struct Found {
    /// The place.
    pub(super) place: Place,
    /// The newest entries behind it, oldest first: at most [`SEEN_MAX`] and only where they were asked for.
    pub(super) passed: Vec<Seen>,
    /// The walk was given up: entries before the place may never have been read.
    pub(super) gave_up: bool,
}

/// Walks back from the page that `ask` names to the newest entry at or before `until_ms`, the feed's time.
pub(super) async fn seek(fetch: &Fetch, ask: Ask, until_ms: i64, remember: bool, now_ms: i64) -> Result<Found, Error> {
    let mut passed: Vec<Seen> = Vec::new();
    let mut oldest: Option<Seen> = None;
    let mut asked = HashSet::new();
    let mut ask = ask;
    let found = |place, mut passed: Vec<Seen>, gave_up| {
        passed.reverse();
        Ok(Found { place, passed, gave_up })
    };
    for number in 0..PAGES_MAX {
        let page = match fetch.page(&ask).await {
            // What was purged while we walked is the end of the feed.
            Err(Error::Gone(_)) if number > 0 => return found(Place::Beginning, passed, false),
            other => other?,
        };
        let mut moved = false;
        for entry in &page.entries {
            if number > 0 && matches!(&ask, Ask::UpTo(marker) if *marker == entry.id) {
                continue;
            }
            moved = true;
            let newer_ms = oldest.as_ref().map_or(now_ms, |seen| seen.updated_ms);
            let seen = Seen { id: entry.id.clone(), updated_ms: entry.updated_ms.unwrap_or(newer_ms) };
            if seen.updated_ms > now_ms.saturating_add(AHEAD_MS) {
                // It will be new when its time comes.
                oldest = Some(seen);
                continue;
            }
            if seen.updated_ms <= until_ms || passed.len() >= SEEN_MAX {
                return found(Place::After(seen), passed, false);
            }
            if remember {
                passed.push(seen.clone());
            }
            oldest = Some(seen);
        }
        match &oldest {
            Some(seen) if moved => {
                if !asked.insert(seen.id.clone()) {
                    return Err(Error::Circle(seen.id.clone()));
                }
                ask = Ask::UpTo(seen.id.clone());
            }
            _ => return found(Place::Beginning, passed, false),
        }
    }
    found(oldest.map_or(Place::Beginning, Place::After), passed, true)
}
