//! The feed server of these tests has the oddities of the real one; a poller proven against a friendlier server is not
//! proven.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use reqwest::{Client, Response, StatusCode};
use std::sync::Arc;
use weir::{
    clock::{Clock, HeldClock},
    source::atom::page::{Page, read},
};
use weir_tests::feed_server::{Fault, FeedServer, HEAD_DELAY_MS, Post};

struct Bench {
    clock: HeldClock,
    server: FeedServer,
    client: Client,
}

impl Bench {
    /// With entries `e0`, `e1` … one second apart, the newest old enough to be shown.
    async fn with(entries: i64) -> Self {
        let clock = HeldClock::at(1_800_000_000_000);
        let server = FeedServer::start(Arc::new(clock.clone())).await.unwrap();
        for entry in 0..entries {
            clock.pass(1_000);
            server.publish(Post::notification(&format!("e{entry}"), "s", "active"));
        }
        clock.pass(HEAD_DELAY_MS);
        let client = weir::http::client().unwrap();
        Self { clock, server, client }
    }

    async fn get(&self, query: &str) -> Response {
        self.client.get(format!("{}{query}", self.server.url())).send().await.unwrap()
    }

    async fn text(&self, query: &str) -> String {
        self.get(query).await.text().await.unwrap()
    }

    async fn ids(&self, query: &str) -> Vec<String> {
        ids(&read(self.text(query).await.as_bytes(), None).unwrap())
    }
}

fn ids(page: &Page) -> Vec<String> {
    page.entries.iter().map(|entry| entry.id.clone()).collect()
}

#[tokio::test]
async fn newest_first_and_markers_excluded_forward_and_included_backward() {
    let bench = Bench::with(6).await;
    assert_eq!(bench.ids("?limit=2").await, ["e5", "e4"]);
    assert_eq!(bench.ids("?marker=e1&limit=2&direction=forward").await, ["e3", "e2"], "the oldest of the newer ones");
    assert_eq!(bench.ids("?marker=e1&limit=2").await, ["e3", "e2"], "forward is the default");
    assert_eq!(bench.ids("?marker=e3&limit=2&direction=backward").await, ["e3", "e2"]);
    assert_eq!(bench.ids("?marker=last&limit=2&direction=backward").await, ["e1", "e0"]);
    assert_eq!(bench.ids("?marker=e5").await, [""; 0]);
    assert_eq!(bench.ids("entries/e3").await, ["e3"]);
}

#[tokio::test]
async fn the_newest_two_seconds_are_hidden_but_not_from_pages_read_backward() {
    let bench = Bench::with(2).await;
    bench.server.publish(Post::plain("young", "a"));
    assert_eq!(bench.ids("").await, ["e1", "e0"]);
    assert_eq!(bench.ids("?marker=e0").await, ["e1"]);
    assert_eq!(bench.ids("?marker=young&direction=backward").await, ["young", "e1", "e0"]);
    assert_eq!(bench.ids("?marker=young").await, [""; 0], "it is accepted as a marker at once");
    bench.clock.pass(HEAD_DELAY_MS);
    assert_eq!(bench.ids("").await, ["young", "e1", "e0"]);
}

#[tokio::test]
async fn an_entry_of_the_past_is_behind_who_has_read_on() {
    let bench = Bench::with(3).await;
    bench.server.publish_at(bench.clock.now_ms() - HEAD_DELAY_MS - 1_500, Post::plain("late", "a"));
    assert_eq!(bench.ids("").await, ["e2", "e1", "late", "e0"]);
    assert_eq!(bench.ids("?marker=e2").await, [""; 0]);
}

#[tokio::test]
async fn limits_are_1_to_1000_and_25_by_default() {
    let bench = Bench::with(30).await;
    assert_eq!(bench.ids("").await.len(), 25);
    for (query, status) in [
        ("?limit=1", StatusCode::OK),
        ("?limit=1000", StatusCode::OK),
        ("?limit=0", StatusCode::BAD_REQUEST),
        ("?limit=1001", StatusCode::BAD_REQUEST),
        ("?limit=x", StatusCode::BAD_REQUEST),
        ("?marker=e1&direction=sideways", StatusCode::BAD_REQUEST),
        ("?marker=nobody", StatusCode::NOT_FOUND),
        ("?marker=nobody&direction=backward", StatusCode::NOT_FOUND),
        ("entries/nobody", StatusCode::NOT_FOUND),
    ] {
        assert_eq!(bench.get(query).await.status(), status, "{query}");
    }
    let head = bench.client.head(bench.server.url()).send().await.unwrap();
    assert_eq!(head.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn an_empty_page_has_no_way_on() {
    let bench = Bench::with(1).await;
    let empty = bench.get("?marker=e0").await;
    assert_eq!(empty.status(), StatusCode::OK);
    assert!(empty.headers().get("etag").is_none() && empty.headers().get("link").is_none());
    let empty = empty.text().await.unwrap();
    assert!(empty.contains("rel=\"current\"") && empty.contains("rel=\"self\""));
    assert!(
        !["rel=\"previous\"", "rel=\"next\"", "<id>", "<updated>"].iter().any(|part| empty.contains(part)),
        "{empty}"
    );
}

#[tokio::test]
async fn links_carry_markers_as_they_are() {
    let bench = Bench::with(2).await;
    bench.server.publish(Post::plain("x?a=1&b", "a"));
    bench.clock.pass(HEAD_DELAY_MS);
    let head = bench.text("?limit=1").await;
    assert!(
        head.contains("?marker=x?a=1&amp;b&amp;limit=1&amp;search=&amp;direction=forward\" rel=\"previous\""),
        "{head}"
    );
    assert!(head.contains("marker=e1&amp;limit=1&amp;search=&amp;direction=backward\" rel=\"next\""), "{head}");
    assert!(head.contains("marker=last&amp;limit=1"));
    assert_eq!(bench.get("?marker=x?a=1&b&limit=1").await.status(), StatusCode::NOT_FOUND, "the feed's own link");
    assert!(!bench.text("?marker=e1").await.contains("rel=\"last\""), "only the head has it");
}

#[tokio::test]
async fn bodies_never_compare_equal_and_the_tag_is_weak() {
    let bench = Bench::with(3).await;
    assert_ne!(bench.text("").await, bench.text("").await, "a new feed id each time");
    let tag = bench.get("").await.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(tag, "W/\"e2:e0\"");
    let ask = async |tag: &str| {
        let request = bench.client.get(bench.server.url()).header("if-none-match", tag);
        request.send().await.unwrap().status()
    };
    assert_eq!(ask(&tag).await, StatusCode::NOT_MODIFIED);
    assert_eq!(ask("\"e2:e0\"").await, StatusCode::NOT_MODIFIED);
    assert_eq!(ask("*").await, StatusCode::OK);
    assert_eq!(ask(&format!("{tag}, \"x\"")).await, StatusCode::OK);
    bench.server.publish_at(bench.clock.now_ms() - HEAD_DELAY_MS - 1_500, Post::plain("between", "a"));
    assert_eq!(ask(&tag).await, StatusCode::NOT_MODIFIED, "what came between first and last is hidden by a 304");
}

#[tokio::test]
async fn json_says_the_same() {
    let bench = Bench::with(3).await;
    for query in ["", "?marker=e1", "?marker=e2", "entries/e1"] {
        let xml = read(bench.text(query).await.as_bytes(), None).unwrap();
        let url = format!("{}{query}", bench.server.url());
        let json = bench.client.get(url).header("accept", "application/json").send().await.unwrap();
        assert_eq!(json.headers()["content-type"], "application/json");
        assert_eq!(read(&json.bytes().await.unwrap(), Some("application/json")).unwrap(), xml, "{query}");
    }
}

#[tokio::test]
async fn faults_come_once_each_and_in_order() {
    let bench = Bench::with(3).await;
    bench.server.fail([
        Fault::Down,
        Fault::Cut(500),
        Fault::Status(302, "location", "http://127.0.0.1:9/".to_owned()),
        Fault::Body("text/plain", b"hello".to_vec()),
    ]);
    let down = bench.get("").await;
    assert_eq!(down.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(down.text().await.unwrap().contains("select * from"));
    let cut = bench.text("").await;
    assert!(cut.starts_with("<?xml") && read(cut.as_bytes(), None).is_err(), "{cut}");
    assert_eq!(bench.get("").await.status(), StatusCode::FOUND);
    assert_eq!(bench.text("").await, "hello");
    assert_eq!(bench.ids("").await, ["e2", "e1", "e0"]);
}

#[tokio::test]
async fn what_was_purged_is_no_marker_any_more() {
    let bench = Bench::with(3).await;
    bench.server.purge_before(bench.clock.now_ms() - HEAD_DELAY_MS);
    assert_eq!(bench.ids("").await, ["e2"]);
    assert_eq!(bench.get("?marker=e1").await.status(), StatusCode::NOT_FOUND);
}
