//! The way to a feed's server: addresses that we build ourselves, one request, a bounded body.
//!
//! AtomHopper puts markers into its links as they are, so an id with `&` in it would break the link; ours are encoded.
//! And nothing that a server answers, link or redirect, makes us ask another one: a token would go along.

use super::{Error, Feed, page};
use crate::http::{BodyError, body, causes, client};
use reqwest::{
    Client, StatusCode, Url,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER},
};
use std::{path::Path, time::Duration};

/// For a whole exchange; a page of a thousand entries takes a tenth of a second.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Nobody is believed who wants us to wait longer.
const AFTER_MAX: Duration = Duration::from_secs(300);

/// Which page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// The newest.
    Head,
    /// The oldest.
    Oldest,
    /// The oldest of those newer than the marker, which is not on it.
    After(String),
    /// The newest of those older than the marker, which is the first on it.
    UpTo(String),
}

/// Asks one feed's server.
#[derive(Debug)]
pub(super) struct Fetch {
    client: Client,
    feed: Feed,
}

impl Fetch {
    pub(super) fn new(feed: Feed) -> Result<Self, Error> {
        if !matches!(feed.url.scheme(), "http" | "https") {
            return Err(Error::Address(feed.url.to_string()));
        }
        let client = client().map_err(|error| Error::NoAnswer(causes(error)))?;
        Ok(Self { client, feed })
    }

    pub(super) fn feed(&self) -> &Feed {
        &self.feed
    }

    /// One page.
    pub(super) async fn page(&self, ask: &Ask) -> Result<page::Page, Error> {
        let request = self.client.get(address(&self.feed, ask)).timeout(ANSWER_WITHIN);
        let mut request = request.header(ACCEPT, "application/atom+xml");
        if let Some(path) = &self.feed.token_file {
            request = request.header("x-auth-token", token(path).await?);
        }
        let response = request.send().await.map_err(|error| Error::NoAnswer(causes(error)))?;
        let status = response.status();
        match (status, ask) {
            (StatusCode::OK, _) => {}
            // A feed that has no entries yet has no oldest one.
            (StatusCode::NOT_FOUND, Ask::Oldest) => return Ok(page::Page::default()),
            (StatusCode::NOT_FOUND, Ask::After(marker) | Ask::UpTo(marker)) => return Err(Error::Gone(marker.clone())),
            _ if status.is_redirection() => return Err(Error::Moved { status: status.as_u16() }),
            _ => return Err(Error::Status { status: status.as_u16(), after: after(response.headers()) }),
        }
        let media = response.headers().get(CONTENT_TYPE).and_then(|media| media.to_str().ok()).map(str::to_owned);
        let body = body(response, page::PAGE_BYTES_MAX).await.map_err(|error| match error {
            BodyError::TooLong { max } => page::Error::TooMuch { what: "bytes", most: max }.into(),
            BodyError::BrokeOff(_) => Error::NoAnswer(error.to_string()),
        })?;
        Ok(page::read(&body, media.as_deref())?)
    }
}

/// The feed's address with what we ask for in its query.
fn address(feed: &Feed, ask: &Ask) -> Url {
    let mut url = feed.url.clone();
    let theirs: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(key, _)| !matches!(key.as_ref(), "marker" | "limit" | "direction"))
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .collect();
    // A page of one, read backwards from its own entry, would be that entry for ever.
    let limit = if matches!(ask, Ask::UpTo(_)) { feed.limit.max(2) } else { feed.limit };
    let (marker, direction) = match ask {
        Ask::Head => (None, "backward"),
        Ask::Oldest => (Some("last"), "backward"),
        Ask::After(marker) => (Some(marker.as_str()), "forward"),
        Ask::UpTo(marker) => (Some(marker.as_str()), "backward"),
    };
    let mut query = url.query_pairs_mut();
    query.clear().extend_pairs(theirs);
    if let Some(marker) = marker {
        query.append_pair("marker", marker);
    }
    query.append_pair("limit", &limit.to_string()).append_pair("direction", direction);
    drop(query);
    url
}

async fn token(path: &Path) -> Result<HeaderValue, Error> {
    let unusable = |text: String| Error::Token { path: path.display().to_string(), text };
    let text = tokio::fs::read_to_string(path).await.map_err(|error| unusable(error.to_string()))?;
    let mut value = HeaderValue::from_str(text.trim())
        .map_err(|_| unusable("it has characters that no header can carry".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(AFTER_MAX))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
    use super::*;

    fn ask(url: &str, limit: u16, ask: &Ask) -> String {
        let feed = Feed {
            tenant: "acme".to_owned(),
            name: "nova".to_owned(),
            url: Url::parse(url).unwrap(),
            every: Duration::from_secs(1),
            limit,
            token_file: None,
        };
        address(&feed, ask).to_string()
    }

    #[test]
    fn addresses_keep_the_feeds_own_query_and_encode_markers() {
        let url = "http://feeds.example.net/nova/events/?search=%2Ba&marker=old&limit=7";
        assert_eq!(
            ask(url, 25, &Ask::Head),
            "http://feeds.example.net/nova/events/?search=%2Ba&limit=25&direction=backward"
        );
        assert_eq!(
            ask("http://feeds.example.net/nova/events/", 25, &Ask::After("urn:x?a=1&b=ü #+".to_owned())),
            "http://feeds.example.net/nova/events/?marker=urn%3Ax%3Fa%3D1%26b%3D%C3%BC+%23%2B&limit=25&direction=forward"
        );
    }

    #[test]
    fn a_page_read_backwards_has_room_for_more_than_its_marker() {
        assert!(ask("http://h/", 1, &Ask::UpTo("m".to_owned())).contains("limit=2&"));
        assert!(ask("http://h/", 1, &Ask::After("m".to_owned())).contains("limit=1&"));
    }
}
