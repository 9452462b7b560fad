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
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    fmt::Write,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{net::TcpListener, task::JoinHandle};
use weir::clock::Clock;
use weir_engine::time::rfc3339;

/// Entries younger than this are hidden.
pub const HEAD_DELAY_MS: i64 = 2_000;
const PATH: &str = "/nova/events/";
const LIMIT: usize = 25;
const LIMIT_MAX: usize = 1_000;

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

/// Where a page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ask {
    Head,
    Last,
    Forward(String),
    Backward(String),
    ById(String),
}

/// A status and its words.
type Refusal = (u16, &'static str);

/// What is asked, once it is understood.
struct Request {
    ask: Ask,
    limit: usize,
    json: bool,
    if_none_match: Option<String>,
    uri: String,
}

impl Request {
    fn read(method: &Method, uri: &Uri, query: Option<&str>, headers: &HeaderMap) -> Result<Self, Refusal> {
        if method != Method::GET {
            return Err((405, ""));
        }
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let Some(rest) = uri.path().strip_prefix(PATH) else { return Err((404, "no such feed")) };
        let mut ask = rest.strip_prefix("entries/").map_or(Ask::Head, |id| Ask::ById(id.to_owned()));
        let (mut marker, mut direction, mut limit) = (None, "forward".to_owned(), LIMIT);
        for (key, value) in pairs(query.unwrap_or_default()) {
            match key.as_str() {
                "marker" => marker = Some(value),
                "direction" => direction = value,
                "limit" => {
                    limit = value
                        .parse()
                        .ok()
                        .filter(|limit| (1..=LIMIT_MAX).contains(limit))
                        .ok_or((400, "Limit parameter not valid, acceptable values are 1 to 1000"))?;
                }
                _ => {}
            }
        }
        if let Some(marker) = marker {
            ask = match direction.as_str() {
                _ if marker == "last" => Ask::Last,
                "forward" => Ask::Forward(marker),
                "backward" => Ask::Backward(marker),
                _ => return Err((400, "Marker must be used with a page direction of forward or backward")),
            };
        }
        let json = header(header::ACCEPT).is_some_and(|accept| accept.contains("application/json"));
        Ok(Self { ask, limit, json, if_none_match: header(header::IF_NONE_MATCH), uri: uri.to_string() })
    }

    fn answer(&self, feed: &Feed, shared: &Shared) -> Response {
        let all = &feed.rows;
        let shown = || {
            let old = |row: &&Row| row.updated_ms <= shared.clock.now_ms() - HEAD_DELAY_MS;
            all.iter().filter(old)
        };
        let find = |id: &str| all.iter().position(|row| row.post.id == id);
        // Oldest first here, as the rows are.
        let rows: Vec<&Row> = match &self.ask {
            Ask::Head => last(shown().collect(), self.limit),
            Ask::Last => all.iter().take(self.limit).collect(),
            Ask::ById(id) => match find(id) {
                Some(at) => return self.single(&all[at], feed, shared),
                None => return error(404, "no such entry"),
            },
            Ask::Forward(marker) => match find(marker) {
                Some(at) => {
                    let place = (all[at].updated_ms, all[at].serial);
                    shown().filter(|row| (row.updated_ms, row.serial) > place).take(self.limit).collect()
                }
                None => return error(404, "the marker was not found"),
            },
            Ask::Backward(marker) => match find(marker) {
                Some(at) => last(all.iter().take(at + 1).collect(), self.limit),
                None => return error(404, "the marker was not found"),
            },
        };
        self.page(&rows, feed, shared)
    }

    fn page(&self, rows: &[&Row], feed: &Feed, shared: &Shared) -> Response {
        let url = format!("{}{PATH}", shared.base);
        let mut links = vec![("current", url.clone()), ("self", format!("{}{}", shared.base, self.uri))];
        let mut headers = HeaderMap::new();
        let link = |marker: &str, direction: &str| {
            format!("{url}?marker={marker}&limit={}&search=&direction={direction}", self.limit)
        };
        if let [oldest, ..] = rows
            && let [.., newest] = rows
        {
            links.push(("previous", link(&newest.post.id, "forward")));
            let at = feed.rows.iter().position(|row| row.serial == oldest.serial).unwrap_or(0);
            if let Some(older) = at.checked_sub(1).and_then(|at| feed.rows.get(at)) {
                links.push(("next", link(&older.post.id, "backward")));
            }
            if self.ask == Ask::Head {
                links.push(("last", link("last", "backward")));
            }
            let tag = format!("\"{}:{}\"", newest.post.id, oldest.post.id);
            let asked = self.if_none_match.as_deref().map(|tag| tag.strip_prefix("W/").unwrap_or(tag));
            if self.ask == Ask::Head && asked == Some(&*tag) {
                return StatusCode::NOT_MODIFIED.into_response();
            }
            insert(&mut headers, header::ETAG, &format!("W/{tag}"));
            for (rel, href) in links.iter().filter(|(rel, _)| matches!(*rel, "next" | "previous")) {
                if let Ok(value) = format!("<{href}>; rel=\"{rel}\"").parse() {
                    headers.append(header::LINK, value);
                }
            }
        }
        let named = (!rows.is_empty()).then(|| Named {
            id: format!("urn:uuid:{}", blake3::hash(&feed.answers.to_le_bytes()).to_hex()),
            updated: rfc3339(shared.clock.now_ms()),
        });
        let newest_first = rows.iter().rev().copied();
        let body = if self.json || feed.json_only {
            insert(&mut headers, header::CONTENT_TYPE, "application/json");
            json_page(named.as_ref(), &links, newest_first).to_string()
        } else {
            insert(&mut headers, header::CONTENT_TYPE, "application/atom+xml");
            xml_page(named.as_ref(), &links, newest_first)
        };
        (headers, body).into_response()
    }

    fn single(&self, row: &Row, feed: &Feed, shared: &Shared) -> Response {
        if self.json || feed.json_only {
            let body = json!({"entry": json_entry(row)}).to_string();
            return ([(header::CONTENT_TYPE, "application/json")], body).into_response();
        }
        let mut body = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n");
        xml_entry(&mut body, row, &format!(r#" xmlns="{ATOM}""#));
        let _ = write!(body, "<!-- {} -->", shared.base);
        ([(header::CONTENT_TYPE, "application/atom+xml;type=entry")], body).into_response()
    }
}

/// What a page has that is not empty.
struct Named {
    id: String,
    updated: String,
}

const ATOM: &str = "http://www.w3.org/2005/Atom";

fn xml_page<'a>(named: Option<&Named>, links: &[(&str, String)], rows: impl Iterator<Item = &'a Row>) -> String {
    let mut xml = format!("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<feed xmlns=\"{ATOM}\">\n");
    for (rel, href) in links {
        let _ = writeln!(xml, r#"<link href="{}" rel="{rel}"/>"#, escape(href));
    }
    if let Some(Named { id, updated }) = named {
        let _ = writeln!(xml, "<id>{id}</id><title type=\"text\">nova/events</title><updated>{updated}</updated>");
    }
    for row in rows {
        xml_entry(&mut xml, row, "");
    }
    xml.push_str("</feed>\n");
    xml
}

fn xml_entry(xml: &mut String, Row { updated_ms, post, .. }: &Row, attributes: &str) {
    let (id, kind, media) = (escape(&post.id), escape(&post.kind), escape(&post.media));
    let (updated, content) = (rfc3339(*updated_ms), escape(&post.content));
    let _ = writeln!(
        xml,
        r#"<entry{attributes} xml:lang="en"><title>{kind}</title><updated>{updated}</updated><id>{id}</id><summary type="html">{kind}</summary><category term="{kind}"></category><category term="north"></category><content type="{media}">{content}</content></entry>"#
    );
}

fn json_page<'a>(named: Option<&Named>, links: &[(&str, String)], rows: impl Iterator<Item = &'a Row>) -> Value {
    let links: Vec<Value> = links.iter().map(|(rel, href)| json!({"rel": rel, "href": href})).collect();
    let mut feed = json!({"@type": ATOM, "link": links});
    if let Some(Named { id, updated }) = named {
        feed["id"] = json!(id);
        feed["updated"] = json!(updated);
        feed["title"] = json!({"@text": "nova/events", "type": "text"});
    }
    let mut entries: Vec<Value> = rows.map(json_entry).collect();
    match entries.len() {
        0 => {}
        // The filter knows a list only by there being more than one.
        1 => feed["entry"] = entries.remove(0),
        _ => feed["entry"] = Value::Array(entries),
    }
    json!({"feed": feed})
}

fn json_entry(Row { updated_ms, post, .. }: &Row) -> Value {
    json!({
        "id": post.id,
        "updated": rfc3339(*updated_ms),
        "title": post.kind,
        "category": [{"term": post.kind}, {"term": "north"}],
        "content": {"type": post.media, "@text": post.content},
    })
}

fn last<T>(mut all: Vec<T>, most: usize) -> Vec<T> {
    all.drain(..all.len().saturating_sub(most));
    all
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = value.parse() {
        headers.insert(name, value);
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The pairs of a query, decoded.
fn pairs(query: &str) -> Vec<(String, String)> {
    let url = reqwest::Url::parse(&format!("http://localhost/?{query}"));
    url.map(|url| url.query_pairs().into_owned().collect()).unwrap_or_default()
}
