//! One call of Nova: a bounded answer, or a [`Failure`] that names the call.

use super::{
    Rackspace,
    failure::{Failure, retry_after_ms},
    identity::Session,
};
use crate::http;
use reqwest::{Method, RequestBuilder, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Of an answer that is about one thing.
pub(super) const ANSWER_MAX: usize = 1 << 20;

/// What is asked.
#[derive(Debug)]
pub(super) struct Call<'a> {
    /// In words, for messages.
    pub name: &'a str,
    /// How.
    pub method: Method,
    /// Below the region's address, each part as it is.
    pub path: &'a [&'a str],
    /// And what follows the question mark.
    pub query: &'a [(&'a str, &'a str)],
    /// As JSON.
    pub body: Option<&'a Value>,
    /// The longest answer that is read, bytes.
    pub max: usize,
}

impl<'a> Call<'a> {
    /// About one thing.
    pub(super) fn new(name: &'a str, method: Method, path: &'a [&'a str]) -> Self {
        Self { name, method, path, query: &[], body: None, max: ANSWER_MAX }
    }
}

impl Rackspace {
    /// Makes the call with a token; once more with a new one, if that had ended.
    pub(super) async fn call(&self, call: Call<'_>) -> Result<Vec<u8>, Failure> {
        let session = self.identity.session(None).await?;
        match self.once(&call, &session).await {
            Err(Failure { status: Some(StatusCode::UNAUTHORIZED), .. }) => {
                let session = self.identity.session(Some(&session)).await?;
                self.once(&call, &session).await
            }
            answer => answer,
        }
    }

    async fn once(&self, call: &Call<'_>, session: &Session) -> Result<Vec<u8>, Failure> {
        let mut url = session.compute.clone();
        // Only a URL without a host cannot be extended, and the catalog's was checked.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(call.path);
        }
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(call.query);
        }
        let mut request = self.client.request(call.method.clone(), url).header("x-auth-token", session.token.clone());
        if let Some(body) = call.body {
            request = request.json(body);
        }
        let answer = exchange(call.name, request, call.max, self.clock.now_ms()).await;
        answer.map_err(|failure| failure.without(session.token.to_str().unwrap_or_default()))
    }
}

/// Sends `request` and reads the body of a successful answer.
pub(super) async fn exchange(call: &str, request: RequestBuilder, max: usize, now_ms: i64) -> Result<Vec<u8>, Failure> {
    let request = request.header(header::ACCEPT, "application/json");
    let response = request.send().await.map_err(|error| Failure::unanswered(call, error))?;
    let status = response.status();
    let after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let after_ms = after.and_then(|value| retry_after_ms(value, now_ms));
    let body = http::body(response, max).await;
    if status.is_success() {
        return body.map_err(|error| Failure::odd(call, error));
    }
    // What a refusal says is worth less than that it was one.
    Err(Failure::answered(call, status, after_ms, &body.unwrap_or_default()))
}

/// Reads an answer as JSON of this shape.
pub(super) fn parse<T: DeserializeOwned>(call: &str, bytes: &[u8]) -> Result<T, Failure> {
    // The whole of it: serde would pass over strange bytes in what it skips.
    let text = std::str::from_utf8(bytes).map_err(|_| Failure::odd(call, "the answer is not UTF-8"))?;
    serde_json::from_str(text).map_err(|error| {
        let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
        match first {
            None => Failure::odd(call, "the answer is empty"),
            Some(b'<') => Failure::odd(call, "the answer is a page for people, not JSON"),
            // The category alone: serde's own message quotes what it read, and answers carry tokens and passwords.
            Some(_) => Failure::odd(
                call,
                format!(
                    "the answer is not as expected ({:?} error at byte {} of {})",
                    error.classify(),
                    column(bytes, &error),
                    bytes.len()
                ),
            ),
        }
    })
}

/// Where in the bytes serde stopped.
fn column(bytes: &[u8], error: &serde_json::Error) -> usize {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').take(error.line().saturating_sub(1));
    lines.map(<[u8]>::len).sum::<usize>() + error.column()
}
