//! What is asked of the server, and which entries answer it.

use super::{
    Feed, HEAD_DELAY_MS, PATH, Row, Shared, error,
    page::{Named, json_entry, json_page, xml_page, xml_single},
};
use axum::{
    http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use serde_json::json;
use weir_engine::time::rfc3339;

const LIMIT: usize = 25;
const LIMIT_MAX: usize = 1_000;

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
pub(super) type Refusal = (u16, &'static str);

/// What is asked, once it is understood.
pub(super) struct Request {
    ask: Ask,
    limit: usize,
    json: bool,
    if_none_match: Option<String>,
    uri: String,
}

impl Request {
    pub(super) fn read(method: &Method, uri: &Uri, query: Option<&str>, headers: &HeaderMap) -> Result<Self, Refusal> {
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

    pub(super) fn answer(&self, feed: &Feed, shared: &Shared) -> Response {
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
                Some(at) => return self.single(&all[at], feed),
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

    fn single(&self, row: &Row, feed: &Feed) -> Response {
        if self.json || feed.json_only {
            let body = json!({"entry": json_entry(row)}).to_string();
            return ([(header::CONTENT_TYPE, "application/json")], body).into_response();
        }
        ([(header::CONTENT_TYPE, "application/atom+xml;type=entry")], xml_single(row)).into_response()
    }
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

/// The pairs of a query, decoded.
fn pairs(query: &str) -> Vec<(String, String)> {
    let url = reqwest::Url::parse(&format!("http://localhost/?{query}"));
    url.map(|url| url.query_pairs().into_owned().collect()).unwrap_or_default()
}
