//! A feed server on loopback that behaves as a running AtomHopper was seen to, with its oddities.
//!
//! Newest first; `previous` excludes its marker and `next` includes it; a forward page has the oldest of the newer ones;
//! the newest two seconds are hidden from the head and from forward pages; an empty page has neither `previous` nor
//! `next` nor ETag; every answer has another feed id; markers stand in links as they are. On demand it fails, cuts
//! answers off, answers something else, forgets old entries, and takes entries in the past.

use axum::{
    Router,
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use page::escape;
use request::Request;
use serde_json::json;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{net::TcpListener, task::JoinHandle};
use weir::clock::Clock;

mod page;
mod request;

/// Entries younger than this are hidden.
pub const HEAD_DELAY_MS: i64 = 2_000;
const PATH: &str = "/nova/events/";

/// An entry as a publisher posts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Post {
    /// Its id, unique in the feed.
    pub id: String,
    /// The first category, the title and the summary.
    pub kind: String,
    /// The content's media type.
    pub media: String,
    /// The content's text.
    pub content: String,
}

impl Post {
    /// A notification that a server is in a state.
    #[must_use]
    pub fn notification(id: &str, server: &str, state: &str) -> Self {
        let content = json!({
            "message_id": id, "publisher_id": "compute.c1", "event_type": "compute.instance.update",
            "priority": "INFO", "timestamp": "2026-11-24 08:30:03.101889",
            "payload": {
                "tenant_id": "77aa", "instance_id": server, "display_name": "R&D <1>", "state": state,
                "old_state": "building", "new_task_state": null, "metadata": {"weir_group": "00c0ffee00c0ffee"},
            },
        });
        let content = content.to_string();
        Self {
            id: id.to_owned(),
            kind: "compute.instance.update".to_owned(),
            media: "application/json".into(),
            content,
        }
    }

    /// Something with a type and no more.
    #[must_use]
    pub fn plain(id: &str, kind: &str) -> Self {
        Self { id: id.to_owned(), kind: kind.to_owned(), media: "text".to_owned(), content: "Hello".to_owned() }
    }
}

/// What the next request gets instead of its answer.
#[derive(Clone, Debug)]
pub enum Fault {
    /// An error as the server shows it while its database is down.
    Down,
    /// A status with a header.
    Status(u16, &'static str, String),
    /// The right answer's first bytes, so many permille of them, as if they were all.
    Cut(usize),
    /// Another body.
    Body(&'static str, Vec<u8>),
}

#[derive(Debug)]
struct Row {
    updated_ms: i64,
    serial: u64,
    post: Post,
}

#[derive(Debug, Default)]
struct Feed {
    /// Oldest first: by time, and among equals by arrival.
    rows: Vec<Row>,
    serial: u64,
    answers: u64,
    faults: VecDeque<Fault>,
    asked: Vec<String>,
    headers: Vec<HeaderMap>,
    json_only: bool,
}

/// The server. It ends with the value.
#[derive(Debug)]
pub struct FeedServer {
    base: String,
    clock: Arc<dyn Clock>,
    feed: Arc<Mutex<Feed>>,
    serving: JoinHandle<()>,
}

#[derive(Clone)]
struct Shared {
    base: String,
    clock: Arc<dyn Clock>,
    feed: Arc<Mutex<Feed>>,
}

impl FeedServer {
    /// Serves an empty feed on a free port of loopback.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn start(clock: Arc<dyn Clock>) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let base = format!("http://{}", listener.local_addr()?);
        let feed = Arc::<Mutex<Feed>>::default();
        let shared = Shared { base: base.clone(), clock: Arc::clone(&clock), feed: Arc::clone(&feed) };
        let app = Router::new().fallback(answer).with_state(shared);
        let serving = tokio::spawn(async move {
            // It only ends when it is aborted.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { base, clock, feed, serving })
    }

    /// The feed's address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}{PATH}", self.base)
    }

    /// Takes an entry now.
    pub fn publish(&self, post: Post) {
        self.publish_at(self.clock.now_ms(), post);
    }

    /// Takes an entry under a time: that of a transaction which began then, or the publisher's own.
    pub fn publish_at(&self, updated_ms: i64, post: Post) {
        let mut feed = locked(&self.feed);
        feed.serial += 1;
        let row = Row { updated_ms, serial: feed.serial, post };
        let at = feed.rows.partition_point(|other| (other.updated_ms, other.serial) < (row.updated_ms, row.serial));
        feed.rows.insert(at, row);
    }

    /// Forgets what is older than an instant.
    pub fn purge_before(&self, instant_ms: i64) {
        locked(&self.feed).rows.retain(|row| row.updated_ms >= instant_ms);
    }

    /// The next requests get these, one each.
    pub fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        locked(&self.feed).faults.extend(faults);
    }

    /// Answers JSON, whatever is asked for.
    pub fn only_json(&self) {
        locked(&self.feed).json_only = true;
    }

    /// How many requests were answered so far.
    #[must_use]
    pub fn answers(&self) -> u64 {
        locked(&self.feed).answers
    }

    /// What was asked since the last time: path and query of each request.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut locked(&self.feed).asked)
    }

    /// The headers of the requests since the last time.
    pub fn headers(&self) -> Vec<HeaderMap> {
        std::mem::take(&mut locked(&self.feed).headers)
    }
}

impl Drop for FeedServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn locked(feed: &Mutex<Feed>) -> MutexGuard<'_, Feed> {
    // A test that panicked while it held the lock has failed already.
    feed.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    match right_or_faulty(&shared, &method, &uri, query.as_deref(), &headers) {
        (page, Some(permille)) => cut(page, permille).await,
        (page, None) => page,
    }
}

/// The answer, and how much of it may be sent.
fn right_or_faulty(
    shared: &Shared,
    method: &Method,
    uri: &Uri,
    query: Option<&str>,
    headers: &HeaderMap,
) -> (Response, Option<usize>) {
    let mut feed = locked(&shared.feed);
    feed.answers += 1;
    feed.asked.push(uri.to_string());
    feed.headers.push(headers.clone());
    let fault = feed.faults.pop_front();
    let right = || {
        let request = Request::read(method, uri, query, headers);
        request.map_or_else(|(status, words)| error(status, words), |request| request.answer(&feed, shared))
    };
    match fault {
        None => (right(), None),
        Some(Fault::Cut(permille)) => (right(), Some(permille)),
        Some(Fault::Down) => (error(500, "org.hibernate.exception: select * from entries where feed=?"), None),
        Some(Fault::Body(media, body)) => (([(header::CONTENT_TYPE, media)], body).into_response(), None),
        Some(Fault::Status(status, name, value)) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            ((status, [(HeaderName::from_static(name), value)]).into_response(), None)
        }
    }
}

/// The first part of an answer, with a length that fits it.
async fn cut(page: Response, permille: usize) -> Response {
    let (mut parts, body) = page.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, usize::MAX).await else { return error(500, "no body") };
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, bytes.slice(..bytes.len() * permille / 1_000).into())
}

/// An error as Abdera writes one.
fn error(status: u16, message: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = format!(
        r#"<?xml version='1.0' encoding='UTF-8'?><a:error xmlns:a="http://abdera.apache.org"><a:code>{}</a:code><a:message>{}</a:message></a:error>"#,
        status.as_u16(),
        escape(message)
    );
    (status, [(header::CONTENT_TYPE, "application/xml")], body).into_response()
}
