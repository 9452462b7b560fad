//! What is answered when nothing was done: `application/problem+json` (RFC 9457) with what is wrong, where, and what to
//! do. Every refusal of the API is one of these, so every refusal can be counted and looked at.

use crate::{backend, source};
use axum::{
    http::{HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Map, Value};

/// Why nothing was done. Its word is in the answer, in `/metrics` and in `/v1/refused`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The body is no JSON or not of the shape that is read here.
    Malformed,
    /// No token, or one that nobody has.
    Unauthorized,
    /// The token does not permit this.
    Forbidden,
    /// The body speaks for another tenant.
    OtherTenant,
    /// There is no such thing.
    NotFound,
    /// The path takes another method.
    Method,
    /// It does not fit what is there.
    Conflict,
    /// The body is over the limit.
    TooLarge,
    /// The body did not come in time.
    Timeout,
    /// It can be read and cannot be done.
    Unprocessable,
    /// The position asked for is not applied yet.
    TooEarly,
    /// More than the tenant may send.
    TooMany,
    /// This process has no such part.
    NotOffered,
    /// It may or may not have been written.
    Unclear,
    /// The log or the store does not answer.
    Away,
    /// Too much is under way.
    Busy,
    /// There is no room.
    Full,
    /// Something broke.
    Failed,
}

impl Reason {
    /// As in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.about().1
    }

    fn about(self) -> (StatusCode, &'static str) {
        match self {
            Self::Malformed => (StatusCode::BAD_REQUEST, "malformed"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden"),
            Self::OtherTenant => (StatusCode::FORBIDDEN, "other_tenant"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method"),
            Self::Conflict => (StatusCode::CONFLICT, "conflict"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            Self::Timeout => (StatusCode::REQUEST_TIMEOUT, "timeout"),
            Self::Unprocessable => (StatusCode::UNPROCESSABLE_ENTITY, "unprocessable"),
            Self::TooEarly => (StatusCode::TOO_EARLY, "too_early"),
            Self::TooMany => (StatusCode::TOO_MANY_REQUESTS, "too_many"),
            Self::NotOffered => (StatusCode::NOT_IMPLEMENTED, "not_offered"),
            Self::Unclear => (StatusCode::SERVICE_UNAVAILABLE, "unclear"),
            Self::Away => (StatusCode::SERVICE_UNAVAILABLE, "away"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            Self::Full => (StatusCode::INSUFFICIENT_STORAGE, "full"),
            Self::Failed => (StatusCode::INTERNAL_SERVER_ERROR, "failed"),
        }
    }
}

/// A refusal.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Why.
    pub reason: Reason,
    /// In words: what, where, what to do. Never a secret, never a body's content beyond names.
    pub detail: String,
    /// Whose it is, where no token says so.
    pub tenant: Option<String>,
    retry_after_s: Option<u64>,
    more: Map<String, Value>,
}

impl Problem {
    /// A refusal in words.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into(), tenant: None, retry_after_s: None, more: Map::new() }
    }

    /// Says when it is worth trying again, seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// Adds a member to the answer.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.more.insert(name.to_owned(), value);
        self
    }

    /// Says whose refusal it is, where no token does.
    #[must_use]
    pub fn of(mut self, tenant: &str) -> Self {
        self.tenant = Some(tenant.to_owned());
        self
    }
}

impl From<source::Error> for Problem {
    fn from(error: source::Error) -> Self {
        Self::new(Reason::Malformed, format!("the body cannot be read: {error}"))
    }
}

impl From<backend::Error> for Problem {
    fn from(error: backend::Error) -> Self {
        let text = error.to_string();
        match error {
            backend::Error::Unclear(_) | backend::Error::Fenced { .. } => {
                Self::new(Reason::Unclear, text).retry_after(1)
            }
            backend::Error::Away(_) => Self::new(Reason::Away, text).retry_after(5),
            backend::Error::Full(_) => Self::new(Reason::Full, text).retry_after(60),
            backend::Error::OutOfRange(_) => Self::new(Reason::NotFound, text),
            backend::Error::InUse { .. } | backend::Error::Damaged(_) | backend::Error::Failed(_) => {
                Self::new(Reason::Failed, text)
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, word) = self.reason.about();
        let mut body = Map::new();
        body.insert("title".into(), status.canonical_reason().unwrap_or("Error").into());
        body.insert("status".into(), status.as_u16().into());
        body.insert("reason".into(), word.into());
        body.insert("detail".into(), self.detail.clone().into());
        body.extend(self.more.clone());
        let mut response = (status, Value::Object(body).to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.reason == Reason::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        // For whoever counts refusals on the way out.
        response.extensions_mut().insert(self);
        response
    }
}

/// A path that is not there.
pub(super) async fn no_such_path(uri: Uri) -> Problem {
    // A mistyped capability URL comes by here: its last part is a secret, so the path is not repeated whole.
    let first: String = uri.path().chars().take_while(|c| c.is_ascii_graphic()).take(24).collect();
    Problem::new(Reason::NotFound, format!("there is no path `{first}…` here; the API is under `/v1`"))
}

/// A method that a path does not take.
pub(super) async fn no_such_method(method: Method) -> Problem {
    Problem::new(Reason::Method, format!("this path does not take `{method}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sender tries a 5xx again and gives up on a 4xx: what was not written, or perhaps was, must be a 5xx.
    #[test]
    fn what_the_store_could_not_take_is_to_be_sent_again() {
        let answer = |error: backend::Error| {
            let response = Problem::from(error).into_response();
            (response.status().as_u16(), response.headers().contains_key(header::RETRY_AFTER))
        };
        assert_eq!(answer(backend::Error::Unclear(String::new())), (503, true));
        assert_eq!(answer(backend::Error::Fenced { partition: 0 }), (503, true));
        assert_eq!(answer(backend::Error::Away(String::new())), (503, true));
        assert_eq!(answer(backend::Error::Full(String::new())), (507, true));
        assert_eq!(answer(backend::Error::Failed(String::new())), (500, false));
    }
}
