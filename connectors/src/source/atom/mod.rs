//! Atom feeds: AtomHopper beside a cloud, or Rackspace's Cloud Feeds.
//!
//! A feed tells what happened to servers, so that executors look sooner; who is a member comes from looking at the
//! cloud, never from here. It may also carry events that policies count (rule 7).
//!
//! ```text
//! fetch   an address and a token        -> a body            window  what was read lately, and where to read from
//! page    a body (xml, json)            -> entries           recall  what of it the log has
//! entry   an entry (nova)               -> facts             seek    where to begin, and where we were
//!                                                            poll    all of it, round after round
//! ```
//!
//! A feed is ordered by a time that publishers may set, or by when a row was begun and not when it was seen, so an entry
//! can appear behind one that was read. Therefore each round reads two minutes again ([`BEHIND_MS`]) and drops what it
//! knows; an entry that appears more than two minutes after its date may never be seen. Entries reach the log at least
//! once and have one effect: they and the cursor are one append, and after a restart the log itself says what it has.
//!
//! The first round of a feed acts on nothing: it takes what is there for the past, and begins at the newest entry.

use crate::{
    backend::{self, History, ViewKind},
    config,
};
use std::{path::PathBuf, time::Duration};
use weir_engine::event::Cursor;

mod counts;
mod delay;
pub mod entry;
mod fetch;
mod json;
pub mod nova;
pub mod page;
mod poll;
mod recall;
mod seek;
mod window;
mod xml;

pub use counts::Counts;
pub use poll::{Look, Poller, Round, Wanted};

/// Each round reads again what is younger than this by our clock, milliseconds.
pub const BEHIND_MS: i64 = 120_000;
/// An entry dated further ahead of our clock than this is left for later, milliseconds. It would otherwise be the
/// newest for as long, and what the feed sorts before it would never be read.
pub const AHEAD_MS: i64 = 60_000;
/// Entries a page, where nobody says otherwise.
pub const LIMIT: u16 = 250;

/// A feed that is read.
#[derive(Clone, Debug)]
pub struct Feed {
    /// Whose facts it carries. What a payload says about tenants is not asked.
    pub tenant: String,
    /// Its name among the tenant's feeds.
    pub name: String,
    /// Its head. A query in it, such as `search`, goes along with every request.
    pub url: reqwest::Url,
    /// How often it is read.
    pub every: Duration,
    /// Entries a page, 1 to 1,000.
    pub limit: u16,
    /// Holds the token that the feed wants in `X-Auth-Token`; read anew each time, so that it may be replaced.
    pub token_file: Option<PathBuf>,
}

impl Feed {
    /// The feed of a configuration.
    ///
    /// # Errors
    /// [`Error::Address`].
    pub fn configured(feed: &config::Feed) -> Result<Self, Error> {
        let url = reqwest::Url::parse(&feed.url).map_err(|_| Error::Address(feed.url.clone()))?;
        Ok(Self {
            tenant: feed.tenant.clone(),
            name: feed.name.clone(),
            url,
            every: feed.every.duration(),
            limit: LIMIT,
            token_file: feed.token_file.clone(),
        })
    }

    /// How far the log has it, by the view that the engine keeps of cursors. Ask once the engine has caught up with the
    /// log: a cursor that it has not seen yet would make a feed look new, and a new feed begins at its newest entry.
    ///
    /// # Errors
    /// The store's, or [`backend::Error::Damaged`] where the row is no cursor.
    pub fn cursor(&self, history: &dyn History) -> Result<Option<Cursor>, Error> {
        let row = history.view(ViewKind::Cursors, &self.tenant, &self.name)?;
        let cursor = row.map(serde_json::from_value).transpose();
        cursor
            .map_err(|error| backend::Error::Damaged(format!("the cursor of the feed `{}`: {error}", self.name)).into())
    }

    /// The source of its events: `/atom/NAME`.
    #[must_use]
    pub fn source(&self) -> String {
        format!("/atom/{}", self.name)
    }
}

/// Why a round came to nothing, or ended early. What it had appended by then stays; the next round goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is no address.
    #[error("`{0}` is no http or https URL")]
    Address(String),
    /// The token cannot be had.
    #[error("the token in `{path}` cannot be used: {text}")]
    Token {
        /// The file.
        path: String,
        /// Why.
        text: String,
    },
    /// No answer, or not all of it.
    #[error("no answer from the feed: {0}")]
    NoAnswer(String),
    /// The server knows no such marker: it is older than what is kept, or another feed's.
    #[error("the feed does not know the marker `{0}` any more")]
    Gone(String),
    /// The answer is elsewhere, where a token would have to go along.
    #[error(
        "the feed answers {status}: it is elsewhere, and redirects are not followed; put its new address into `url`"
    )]
    Moved {
        /// The status.
        status: u16,
    },
    /// Anything that is no page.
    #[error("the feed answers {status}")]
    Status {
        /// The status.
        status: u16,
        /// How long it asks us to wait.
        after: Option<Duration>,
    },
    /// The answer is no page.
    #[error(transparent)]
    Page(#[from] page::Error),
    /// The pages lead back to one that was read already.
    #[error("the feed's pages run in a circle at the marker `{0}`")]
    Circle(String),
    /// The log did not take it, or cannot be read.
    #[error("the log or store: {0}")]
    Log(#[from] backend::Error),
}
