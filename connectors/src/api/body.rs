//! What a request brings, taken in within bounds and refused in words: whole bodies, queries, path segments, keys.

use super::{BODY_MAX, Problem, Reason};
use crate::source::json;
use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{StatusCode, request::Parts},
};
use serde::{Deserialize, Deserializer, de::DeserializeOwned, de::Error as _};
use std::time::Duration;
use tokio::time::timeout;
use weir_engine::{id::Position, time};

/// A body must be here within this time: a sender that trickles holds a connection and no more.
const BODY_WITHIN: Duration = Duration::from_secs(10);
/// The longest `Idempotency-Key`.
const KEY_MAX: usize = 128;

/// A whole body of at most [`BODY_MAX`] bytes.
pub(super) struct Whole(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Whole {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match timeout(BODY_WITHIN, Bytes::from_request(request, state)).await {
            Ok(Ok(bytes)) => Ok(Self(bytes)),
            Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(Problem::new(Reason::TooLarge, format!("the body is over {BODY_MAX} bytes; send less at once")))
            }
            Ok(Err(_)) => Err(Problem::new(Reason::Malformed, "the body broke off; send it again")),
            Err(_) => Err(Problem::new(Reason::Timeout, "the body did not come within 10 s; send it again")),
        }
    }
}

impl Whole {
    /// Reads it as JSON of this shape; an empty body is an empty object.
    pub(super) fn order<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let bytes: &[u8] = if self.0.iter().all(u8::is_ascii_whitespace) { b"{}" } else { &self.0 };
        Ok(json::read(bytes)?)
    }
}

/// The query. Unknown parameters are refused, since a misspelt bound would be none.
pub(super) struct Asked<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(error) => {
                Err(Problem::new(Reason::Malformed, format!("the query cannot be read: {}", error.body_text())))
            }
        }
    }
}

/// Path segments, decoded.
pub(super) struct Named<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(named)) => Ok(Self(named)),
            Err(_) => Err(Problem::new(Reason::Malformed, "the path cannot be read: a name in it is not UTF-8")),
        }
    }
}

/// The sender's key for what it sends: the same key within ten minutes is the same deed.
pub(super) struct Key(pub Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get("idempotency-key") else { return Ok(Self(None)) };
        match value.to_str() {
            Ok(key) if (1..=KEY_MAX).contains(&key.len()) => Ok(Self(Some(key.to_owned()))),
            _ => Err(Problem::new(
                Reason::Malformed,
                format!("`Idempotency-Key` must be 1 to {KEY_MAX} visible ASCII characters"),
            )),
        }
    }
}

/// An instant in a query or an order: RFC 3339, or epoch milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Instant(pub i64);

impl Instant {
    pub(super) fn parse(text: &str) -> Option<Self> {
        text.parse().ok().or_else(|| time::parse_rfc3339(text).ok()).map(Self)
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom(format!(
                "`{text}` is no time; write RFC 3339, `2026-11-24T09:20:00Z`, or epoch milliseconds"
            ))
        })
    }
}

/// A position in a query, `4:188213`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place(pub Position);

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.split_once(':').and_then(|_| text.parse().ok()) {
            Some(position) => Ok(Self(position)),
            None => Err(D::Error::custom(format!("`{text}` is no position; write `4:188213`"))),
        }
    }
}
