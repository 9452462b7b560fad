//! Rackspace Identity v2: credentials in; a token, and where the region's servers are managed, out.
//!
//! One token is kept and used until shortly before it ends, or until a call is answered 401. It lives in memory only.

use super::{call, credentials::Credentials, failure::Failure};
use crate::clock::Clock;
use reqwest::{Client, Url, header::HeaderValue};
use serde::Deserialize;
use std::sync::Arc;
use tokio::sync::Mutex;

/// The name under which the catalog has Nova.
const COMPUTE: &str = "cloudServersOpenStack";
/// A token is not used in its last minutes: a call under way must not see it end.
const MARGIN_MS: i64 = 300_000;
/// A catalog is some 30 KiB.
const ANSWER_MAX: usize = 4 << 20;

/// A token, and what it opens.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// The token, marked as not to be printed.
    pub token: HeaderValue,
    /// Where the region's servers are managed.
    pub compute: Url,
    /// Not used from then on, epoch milliseconds.
    stale_ms: i64,
}

/// Where tokens are had, and the one that is held.
#[derive(Debug)]
pub(super) struct Identity {
    client: Client,
    clock: Arc<dyn Clock>,
    tokens_url: Url,
    region: String,
    credentials: Credentials,
    session: Mutex<Option<Session>>,
}

#[derive(Deserialize)]
struct Answer {
    access: Access,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Access {
    token: Token,
    service_catalog: Vec<Service>,
}

#[derive(Deserialize)]
struct Token {
    id: String,
    expires: String,
}

#[derive(Deserialize)]
struct Service {
    name: String,
    #[serde(default)]
    endpoints: Vec<Endpoint>,
}

#[derive(Deserialize)]
struct Endpoint {
    region: Option<String>,
    #[serde(rename = "publicURL")]
    public_url: Option<String>,
}

impl Identity {
    pub(super) fn new(
        client: Client,
        clock: Arc<dyn Clock>,
        tokens_url: Url,
        region: String,
        credentials: Credentials,
    ) -> Self {
        Self { client, clock, tokens_url, region, credentials, session: Mutex::new(None) }
    }

    /// A session to make calls with: the one that is held while it is good, else a new one.
    ///
    /// `rejected` is a session that was answered 401. If another is held by now, that one is given. The lock is held
    /// while a token is had, so a hundred calls that find it stale ask once.
    pub(super) async fn session(&self, rejected: Option<&Session>) -> Result<Session, Failure> {
        let mut held = self.session.lock().await;
        if let Some(session) = held.as_ref() {
            let rejected = rejected.is_some_and(|rejected| rejected.token == session.token);
            if !rejected && self.clock.now_ms() < session.stale_ms {
                return Ok(session.clone());
            }
        }
        *held = None;
        let session = self.authenticate().await.map_err(|failure| {
            // An answer may repeat what it was asked.
            failure.before_the_work().without(self.credentials.exposed())
        })?;
        *held = Some(session.clone());
        Ok(session)
    }

    async fn authenticate(&self) -> Result<Session, Failure> {
        const CALL: &str = "get a token";
        let asked_ms = self.clock.now_ms();
        let request = self.client.post(self.tokens_url.clone()).json(&self.credentials.request());
        let bytes = call::exchange(CALL, request, ANSWER_MAX, asked_ms).await?;
        let Answer { access } = call::parse(CALL, &bytes)?;
        let expires = chrono::DateTime::parse_from_rfc3339(&access.token.expires)
            .map_err(|_| Failure::odd(CALL, "the token's end is no time"))?;
        // A token that lives for less than two margins is used for half its life.
        let life_ms = expires.timestamp_millis().saturating_sub(asked_ms);
        let mut token =
            HeaderValue::try_from(access.token.id).map_err(|_| Failure::odd(CALL, "the token fits in no header"))?;
        token.set_sensitive(true);
        let compute = self.compute(&access.service_catalog)?;
        Ok(Session { token, compute, stale_ms: asked_ms + life_ms - MARGIN_MS.min(life_ms / 2) })
    }

    /// Where the region's servers are managed.
    fn compute(&self, catalog: &[Service]) -> Result<Url, Failure> {
        let offered: Vec<_> =
            catalog.iter().filter(|service| service.name == COMPUTE).flat_map(|service| &service.endpoints).collect();
        let ours = offered.iter().find(|endpoint| {
            endpoint.region.as_deref().is_some_and(|region| region.eq_ignore_ascii_case(&self.region))
        });
        let Some(text) = ours.and_then(|endpoint| endpoint.public_url.as_deref()) else {
            let regions: Vec<_> = offered.iter().filter_map(|endpoint| endpoint.region.as_deref()).take(20).collect();
            let (region, user) = (&self.region, &self.credentials.username);
            let regions = if regions.is_empty() { "none".to_owned() } else { regions.join(", ") };
            return Err(Failure::refused(format!(
                "the account of `{user}` has no servers in region `{region}`; its regions: {regions}"
            )));
        };
        let secure = self.tokens_url.scheme() == "https";
        Url::parse(text)
            .ok()
            .filter(|url| url.has_host() && (url.scheme() == "https" || (url.scheme() == "http" && !secure)))
            .ok_or_else(|| {
                Failure::refused(format!("the catalog's address of `{COMPUTE}` in `{}` is not usable", self.region))
            })
    }
}
