//! What a call that gave nothing means: statuses, broken connections and odd answers as [`CloudError`]s, with the call
//! named and the cloud's own words first.

use super::super::{CloudError, CloudErrorKind};
use crate::http;
use reqwest::StatusCode;
use serde_json::Value;

/// A longer wait than this is not believed, milliseconds.
const LATER_MAX_MS: u64 = 3_600_000;
/// Of a cloud's own words, characters.
const WORDS_MAX: usize = 300;

/// A call that gave nothing, before anyone decided what follows.
#[derive(Debug)]
pub(super) struct Failure {
    /// The status, where there was an answer.
    pub status: Option<StatusCode>,
    /// What may follow.
    pub kind: CloudErrorKind,
    /// The cloud's words or ours, and the call.
    pub text: String,
}

impl From<Failure> for CloudError {
    fn from(failure: Failure) -> Self {
        Self { kind: failure.kind, text: failure.text }
    }
}

impl Failure {
    /// The request got no answer.
    pub(super) fn unanswered(call: &str, error: reqwest::Error) -> Self {
        // What never connected never arrived. All else may have.
        let kind = if error.is_connect() { CloudErrorKind::Later { after_ms: 0 } } else { CloudErrorKind::Unclear };
        Self { status: None, kind, text: format!("{call}: {}", http::causes(error)) }
    }

    /// The answer is not what was asked for. For a call that changes something, it may have happened.
    pub(super) fn odd(call: &str, what: impl std::fmt::Display) -> Self {
        Self { status: None, kind: CloudErrorKind::Unclear, text: format!("{call}: {what}") }
    }

    /// The call was not made, and will not be.
    pub(super) fn refused(text: String) -> Self {
        Self { status: None, kind: CloudErrorKind::Refused, text }
    }

    /// An answer with a status that is not success.
    pub(super) fn answered(call: &str, status: StatusCode, after_ms: Option<u64>, body: &[u8]) -> Self {
        let words = words(body);
        let text = match &words {
            Some(words) => format!("{words} ({call}: {})", status.as_u16()),
            None => format!("{call}: {status}, without a reason"),
        };
        Self { status: Some(status), kind: kind(status, after_ms, words.as_deref()), text }
    }

    /// The same, with a secret taken out that the cloud repeated.
    pub(super) fn without(mut self, secret: &str) -> Self {
        if !secret.is_empty() {
            self.text = self.text.replace(secret, "…");
        }
        self
    }

    /// The same, of a step before the one that changes something: whatever it was, nothing happened.
    pub(super) fn before_the_work(mut self) -> Self {
        if self.kind == CloudErrorKind::Unclear {
            self.kind = CloudErrorKind::Later { after_ms: 0 };
        }
        self
    }
}

/// What follows from a status.
fn kind(status: StatusCode, after_ms: Option<u64>, words: Option<&str>) -> CloudErrorKind {
    match status.as_u16() {
        401 => CloudErrorKind::Unauthorized,
        // Older Novas answer a full quota with 413 and "retry after 0"; trying again at once helps nobody.
        413 if words.is_some_and(|words| words.starts_with("Quota exceeded")) => CloudErrorKind::Refused,
        413 | 429 => CloudErrorKind::Later { after_ms: after_ms.unwrap_or(0).min(LATER_MAX_MS) },
        // Redirects are not followed: the token would go along.
        300..=499 => CloudErrorKind::Refused,
        _ => CloudErrorKind::Unclear,
    }
}

/// `Retry-After`, seconds or a date, as milliseconds from `now_ms`.
pub(super) fn retry_after_ms(value: &str, now_ms: i64) -> Option<u64> {
    if let Ok(seconds) = value.trim().parse::<u64>() {
        return Some(seconds.saturating_mul(1_000));
    }
    let at = chrono::DateTime::parse_from_rfc2822(value.trim()).ok()?;
    u64::try_from(at.timestamp_millis().saturating_sub(now_ms)).ok()
}

/// The cloud's own words: `{"forbidden": {"message": "…"}}`, or `{"message": "…"}`. No HTML, which says nothing in a
/// thousand words.
fn words(body: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let inner = value.as_object()?.values().find_map(|inner| inner.get("message"));
    tidy(inner.or(value.get("message"))?.as_str()?)
}

/// One short line, fit for a terminal; nothing where nothing was said.
pub(super) fn tidy(words: &str) -> Option<String> {
    let line = words.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let line = line.collect::<Vec<_>>().join(" ");
    (!line.is_empty()).then(|| line.chars().take(WORDS_MAX).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
    use super::*;

    fn failure(status: u16, after_ms: Option<u64>, body: &str) -> Failure {
        Failure::answered("create a server", StatusCode::from_u16(status).unwrap(), after_ms, body.as_bytes())
    }

    #[test]
    fn each_status_has_its_consequence() {
        let later = |after_ms| CloudErrorKind::Later { after_ms };
        for (status, kind) in [
            (302, CloudErrorKind::Refused),
            (400, CloudErrorKind::Refused),
            (401, CloudErrorKind::Unauthorized),
            (403, CloudErrorKind::Refused),
            (404, CloudErrorKind::Refused),
            (409, CloudErrorKind::Refused),
            (413, later(0)),
            (429, later(0)),
            (500, CloudErrorKind::Unclear),
            (502, CloudErrorKind::Unclear),
            (503, CloudErrorKind::Unclear),
            (504, CloudErrorKind::Unclear),
        ] {
            assert_eq!(failure(status, None, "").kind, kind, "{status}");
        }
        assert_eq!(failure(429, Some(7_000), "").kind, later(7_000));
        assert_eq!(failure(429, Some(u64::MAX), "").kind, later(LATER_MAX_MS));
        let full = r#"{"overLimit": {"code": 413, "message": "Quota exceeded for ram", "retryAfter": 0}}"#;
        assert_eq!(failure(413, Some(0), full).kind, CloudErrorKind::Refused);
    }

    #[test]
    fn the_clouds_words_come_first_on_one_short_line() {
        let text =
            failure(403, None, "{\"forbidden\": {\"message\": \"Quota\\n exceeded \\u001b[2J\", \"code\": 403}}").text;
        assert_eq!(text, "Quota exceeded [2J (create a server: 403)");
        assert_eq!(failure(400, None, r#"{"message": "No", "code": 400}"#).text, "No (create a server: 400)");
        let long = format!(r#"{{"forbidden": {{"message": "{}"}}}}"#, "é".repeat(5_000));
        assert!(failure(403, None, &long).text.chars().count() < WORDS_MAX + 40);
        for wordless in
            ["", "<html><h1>Bad Gateway</h1></html>", "[]", "7", r#"{"a": {"message": 7}}"#, "{\"message\": \" \"}"]
        {
            let text = failure(502, None, wordless).text;
            assert_eq!(text, "create a server: 502 Bad Gateway, without a reason");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after_ms("12", 0), Some(12_000));
        assert_eq!(retry_after_ms("Thu, 01 Jan 1970 00:01:00 GMT", 20_000), Some(40_000));
        assert_eq!(retry_after_ms("Thu, 01 Jan 1970 00:01:00 GMT", 90_000), None, "already past");
        assert_eq!(retry_after_ms("soon", 0), None);
    }
}
