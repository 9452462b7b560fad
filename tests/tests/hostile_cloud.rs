//! A cloud that answers wrongly, in every way that was thought of: each is an error that names the call. None is an
//! empty list, which would be a reason to build everything anew; none is half a list, a reason to build the other half.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use secrecy::SecretString;
use serde_json::{Value, json};
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use weir::{
    clock::HeldClock,
    executor::{
        Cloud, CloudError, CloudErrorKind, ServerOrder,
        rackspace::{Credentials, Rackspace, RackspaceSettings, Secret},
    },
};
use weir_engine::{
    command::Spec,
    id::{GroupUid, Slot},
};
use weir_grammar::policy::{Launch, RemoveOrder};
use weir_tests::raw_server::{RawServer, Reply};

const WEB: GroupUid = GroupUid(0xa1);
const KEY: &str = "canary-key-5b1f";
const TOKEN: &str = "canary-token-77e0";
const NOON_MS: i64 = 1_800_000_000_000;

/// A cloud whose identity service is sound and whose Nova answers by `nova`.
async fn cloud(nova: impl Fn(&str) -> Reply + Send + Sync + 'static) -> (Rackspace, RawServer) {
    cloud_at(HeldClock::at(NOON_MS), nova).await
}

async fn cloud_at(clock: HeldClock, nova: impl Fn(&str) -> Reply + Send + Sync + 'static) -> (Rackspace, RawServer) {
    let address = Arc::new(OnceLock::<String>::new());
    let own = Arc::clone(&address);
    let server = RawServer::start(move |request| {
        if request.starts_with("POST /v2.0/tokens ") {
            return Reply::json(200, &access(own.get().unwrap(), "2027-01-15T09:00:00.000Z"));
        }
        nova(request)
    });
    let server = server.await.unwrap();
    address.set(format!("http://{}/v2/91111", server.address)).unwrap();
    (rackspace(&format!("http://{}/v2.0", server.address), clock), server)
}

fn rackspace(auth_url: &str, clock: HeldClock) -> Rackspace {
    let secret = Secret::ApiKey(SecretString::from(KEY));
    let credentials = Credentials { username: "ops".to_owned(), secret, tenant: None };
    let settings = RackspaceSettings::new(auth_url, "LON", credentials, "prod");
    let settings = RackspaceSettings { page_size: 3, answer_within: Duration::from_millis(1_500), ..settings };
    Rackspace::new(settings, Arc::new(clock)).unwrap()
}

/// NOON is 2027-01-15T08:00:00Z.
fn access(compute: &str, expires: &str) -> String {
    json!({ "access": {
        "token": { "id": TOKEN, "expires": expires },
        "serviceCatalog": [
            { "name": "cloudFiles", "type": "object-store", "endpoints": [{ "region": "LON", "publicURL": "http://127.0.0.1:1" }] },
            { "name": "cloudServersOpenStack", "type": "compute", "endpoints": [{ "region": "LON", "publicURL": compute }] },
        ],
    } })
    .to_string()
}

fn server(id: &str) -> Value {
    json!({
        "id": id, "name": "web-1-1", "status": "ACTIVE", "created": "2027-01-15T07:00:00Z",
        "metadata": { "weir_install": "prod", "weir_group": WEB.to_string(), "weir_slot": "1.1" },
        "addresses": { "private": [{ "addr": "10.0.0.1", "version": 4 }] },
    })
}

fn page(servers: &[Value], next: bool) -> String {
    let mut page = json!({ "servers": servers });
    if next {
        page["servers_links"] = json!([{ "rel": "next", "href": "http://127.0.0.1:1/elsewhere" }]);
    }
    page.to_string()
}

fn order() -> ServerOrder {
    ServerOrder {
        uid: WEB,
        slot: Slot { serial: 1, incarnation: 1 },
        name: "web-1-1".to_owned(),
        zone: Some("az-2".to_owned()),
        spec: Spec {
            region: "LON".to_owned(),
            launch: Launch {
                image: "image-1".to_owned(),
                flavor: "2".to_owned(),
                key: Some("ops".to_owned()),
                networks: vec!["private".to_owned(), "net-7".to_owned()],
                metadata: vec![("role".to_owned(), "web".to_owned()), ("weir_group".to_owned(), "stolen".to_owned())],
                ..Launch::default()
            },
            setup: Some("#!/bin/sh\n".to_owned()),
            ready_within_ms: 600_000,
            drain_ms: 0,
            remove: RemoveOrder::OldestFirst,
            notify: None,
        },
    }
}

/// A Nova that knows every image and flavor and answers creates by `reply`.
fn creating(reply: impl Fn(&str) -> Reply + Send + Sync + 'static) -> impl Fn(&str) -> Reply + Send + Sync + 'static {
    move |request| if request.starts_with("GET ") { Reply::json(200, "{}") } else { reply(request) }
}

fn raw(text: &str) -> Reply {
    Reply::Bytes(text.as_bytes().to_vec())
}

/// A whole listing of one server, to be spoiled.
fn spoiled(change: impl FnOnce(&mut Value)) -> String {
    let mut server = server("s-1");
    change(&mut server);
    page(&[server], false)
}

fn check(what: &str, error: &CloudError) {
    assert!(error.text.contains("list servers"), "{what}: the call is not named in {:?}", error.text);
    assert!(!error.text.contains("canary"), "{what}: a secret in {:?}", error.text);
    assert!(error.text.chars().count() < 500, "{what}: a long story: {:?}", error.text);
}

#[tokio::test]
async fn a_spoiled_listing_is_an_error_that_names_the_call() {
    let long = "x".repeat(256);
    let deep = format!("{{\"servers\": {}", "[".repeat(200_000));
    let html = "<!DOCTYPE html><html><body><h1>We will be back soon</h1></body></html>";
    let bodies: Vec<(&str, String)> = vec![
        ("a page for people", html.to_owned()),
        ("nothing", String::new()),
        ("blanks", " \r\n ".to_owned()),
        ("null", "null".to_owned()),
        ("a bare list", "[]".to_owned()),
        ("a bare list of servers", json!([server("s-1")]).to_string()),
        ("an object without servers", "{}".to_owned()),
        ("servers are null", r#"{"servers": null}"#.to_owned()),
        ("servers are an object", r#"{"servers": {}}"#.to_owned()),
        ("servers are a number", r#"{"servers": 0}"#.to_owned()),
        ("servers are text", r#"{"servers": "[]"}"#.to_owned()),
        ("another case", r#"{"Servers": []}"#.to_owned()),
        ("an error with status 200", r#"{"computeFault": {"code": 500, "message": "no"}}"#.to_owned()),
        ("two lists", r#"{"servers": [], "servers": []}"#.to_owned()),
        ("two names for the list", r#"{"servers": [], "flavors": []}"#.to_owned()),
        ("something after the end", r#"{"servers": []} {"servers": []}"#.to_owned()),
        ("a byte order mark", "\u{feff}{\"servers\": []}".to_owned()),
        ("single quotes", "{'servers': []}".to_owned()),
        ("a comment", "{\"servers\": [] /* all */}".to_owned()),
        ("a trailing comma", r#"{"servers": [],}"#.to_owned()),
        ("a server that is nothing", r#"{"servers": [{}]}"#.to_owned()),
        ("a server that is null", r#"{"servers": [null]}"#.to_owned()),
        ("two hundred thousand brackets", deep),
        ("an empty page before another", page(&[], true)),
        ("one server twice", page(&[server("s-1"), server("s-1")], false)),
        ("links that are none", r#"{"servers": [], "servers_links": 7}"#.to_owned()),
        ("the brief listing, without metadata", spoiled(|s| drop(s.as_object_mut().unwrap().remove("metadata")))),
        ("metadata null", spoiled(|s| s["metadata"] = Value::Null)),
        ("metadata a list", spoiled(|s| s["metadata"] = json!([]))),
        ("metadata with numbers", spoiled(|s| s["metadata"]["weir_slot"] = json!(1.1))),
        ("no id", spoiled(|s| drop(s.as_object_mut().unwrap().remove("id")))),
        ("a number for an id", spoiled(|s| s["id"] = json!(7))),
        ("an empty id", spoiled(|s| s["id"] = json!(""))),
        ("an id that climbs", spoiled(|s| s["id"] = json!(".."))),
        ("an id with a path", spoiled(|s| s["id"] = json!("a/b"))),
        ("an id with a query", spoiled(|s| s["id"] = json!("a?b"))),
        ("an id with a line end", spoiled(|s| s["id"] = json!("a\r\nb"))),
        ("an id without end", spoiled(|s| s["id"] = json!(long))),
        ("no status", spoiled(|s| drop(s.as_object_mut().unwrap().remove("status")))),
        ("status null", spoiled(|s| s["status"] = Value::Null)),
        ("created never", spoiled(|s| s["created"] = json!(""))),
        ("created in words", spoiled(|s| s["created"] = json!("yesterday"))),
        ("created in seconds", spoiled(|s| s["created"] = json!(1_800_000_000))),
        ("addresses a list", spoiled(|s| s["addresses"] = json!(["10.0.0.1"]))),
        ("a fault without words", spoiled(|s| s["fault"] = json!({ "code": 500 }))),
    ];
    let mut replies: Vec<(&str, Reply)> = bodies.iter().map(|(what, body)| (*what, Reply::json(200, body))).collect();
    let empty = r#"{"servers": []}"#;
    replies.extend([
        ("not UTF-8", Reply::with(200, "", b"{\"servers\": [], \"a\": \"\xff\xfe\"}")),
        ("UTF-16", Reply::with(200, "", &[0xff, 0xfe, b'{', 0, b'}', 0])),
        ("compressed unasked", Reply::with(200, "content-encoding: gzip\r\n", b"\x1f\x8b\x08\0\0\0\0\0\0\x03")),
        ("no content", Reply::with(204, "", b"")),
        ("a longer length than there is", raw(&format!("HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{empty}"))),
        ("a shorter length than there is", raw(&format!("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{empty}"))),
        ("two lengths", raw(&format!("HTTP/1.1 200 OK\r\ncontent-length: 15\r\ncontent-length: 16\r\n\r\n{empty}"))),
        ("a length that is none", raw(&format!("HTTP/1.1 200 OK\r\ncontent-length: all\r\n\r\n{empty}"))),
        ("chunks cut short", raw(&format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nf\r\n{empty}\r\n"))),
        ("a chunk cut short", raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\n{\"servers\": []}")),
        ("chunks of nonsense", raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n")),
        ("no answer", raw("")),
        ("half a status", raw("HTTP/1.1 2")),
        ("no HTTP", raw("SSH-2.0-OpenSSH_9.2\r\n")),
        ("headers without end", raw(&format!("HTTP/1.1 200 OK\r\n{}", "a: b\r\n".repeat(100_000)))),
        ("silence", Reply::Silence),
        ("elsewhere", Reply::with(302, "location: http://127.0.0.1:1/\r\n", empty.as_bytes())),
        ("elsewhere for good", Reply::with(308, "location: /v2/91111/servers\r\n", empty.as_bytes())),
        ("not modified", Reply::with(304, "", b"")),
    ]);
    for status in [400, 401, 403, 404, 405, 406, 409, 410, 413, 418, 429, 500, 501, 502, 503, 504, 520, 599] {
        replies.push(("a status with a list", Reply::json(status, empty)));
        replies.push(("a status with a page for people", Reply::with(status, "", html.as_bytes())));
    }
    assert!(replies.len() >= 100, "{}", replies.len());
    for (what, reply) in replies {
        let (cloud, _server) = cloud(move |_| reply.clone()).await;
        let error = cloud.list(WEB).await.expect_err(what);
        check(what, &error);
    }
}

#[tokio::test]
async fn a_listing_cut_anywhere_is_an_error_and_a_whole_one_is_not() {
    let whole = page(&[server("s-1"), server("s-2")], false);
    let cut = Arc::new(AtomicUsize::new(0));
    let (body, at) = (whole.clone(), Arc::clone(&cut));
    let (cloud, _server) = cloud(move |_| Reply::with(200, "", &body.as_bytes()[..at.load(Ordering::SeqCst)])).await;
    for at in 0..whole.len() {
        cut.store(at, Ordering::SeqCst);
        check("cut", &cloud.list(WEB).await.expect_err("cut"));
    }
    cut.store(whole.len(), Ordering::SeqCst);
    assert_eq!(cloud.list(WEB).await.unwrap().len(), 2);
}

#[tokio::test]
async fn an_account_without_servers_is_empty_and_unknown_states_and_fields_are_no_error() {
    let (cloud, server_) = cloud(|_| Reply::json(200, r#"{"servers": [], "servers_links": []}"#)).await;
    assert_eq!(cloud.list(WEB).await.unwrap(), []);
    assert_eq!(server_.requests()[1], "GET /v2/91111/servers/detail?limit=3");
    let body = spoiled(|s| {
        (s["status"], s["host"]) = (json!("TELEPORTING"), json!({ "rack": [1, 2] }));
        s["id"] = json!("x".repeat(255));
    });
    let (cloud, _server) = self::cloud(move |_| Reply::json(200, &body)).await;
    assert_eq!(cloud.list(WEB).await.unwrap()[0].state, weir::executor::SeenState::Other);
}

#[tokio::test]
async fn a_listing_whose_later_page_is_bad_is_no_listing() {
    let first = page(&[server("s-1"), server("s-2")], true);
    for (what, second) in [
        ("a page for people", Reply::json(200, "<html>")),
        ("an error", Reply::json(500, "{}")),
        ("nothing", raw("")),
        ("the same page again", Reply::json(200, &first)),
        ("an older server again", Reply::json(200, &page(&[server("s-3"), server("s-1")], false))),
        ("an empty page before another", Reply::json(200, &page(&[], true))),
    ] {
        let first = first.clone();
        let (cloud, server) =
            cloud(
                move |request| {
                    if request.contains("marker=s-2") { second.clone() } else { Reply::json(200, &first) }
                },
            )
            .await;
        check(what, &cloud.list(WEB).await.expect_err(what));
        let asked = server.requests();
        assert_eq!(asked.last().unwrap(), "GET /v2/91111/servers/detail?limit=3&marker=s-2", "{what}");
    }
    // The marker was deleted between two pages: true, and no reason to give up on the cloud.
    let gone = Reply::json(400, r#"{"badRequest": {"message": "marker [s-2] not found", "code": 400}}"#);
    let (cloud, _server) =
        cloud(move |request| if request.contains("marker=") { gone.clone() } else { Reply::json(200, &first) }).await;
    assert_eq!(cloud.list(WEB).await.unwrap_err().kind, CloudErrorKind::Unclear);
}

#[tokio::test]
async fn a_full_page_without_a_link_is_not_believed_to_be_the_last() {
    let (cloud, _server) = cloud(|request| {
        let servers: &[&str] = if request.contains("marker=s-3") { &["s-4"] } else { &["s-1", "s-2", "s-3"] };
        Reply::json(200, &page(&servers.iter().map(|id| server(id)).collect::<Vec<_>>(), false))
    })
    .await;
    assert_eq!(cloud.list(WEB).await.unwrap().len(), 4);
}

#[tokio::test]
async fn paging_without_end_ends_at_a_hundred_thousand() {
    for (last_page, expected) in [(9, Ok(100_000)), (usize::MAX, Err("more than 100000"))] {
        let turn = AtomicUsize::new(0);
        let (cloud, server_) = cloud(move |_| {
            let turn = turn.fetch_add(1, Ordering::SeqCst);
            let mut server = server("");
            drop(server.as_object_mut().unwrap().remove("addresses"));
            let text = server.to_string();
            let size = if turn <= last_page { 10_000 } else { 0 };
            let servers: Vec<_> =
                (0..size).map(|number| text.replace(r#""id":"""#, &format!(r#""id":"s-{turn}-{number}""#))).collect();
            Reply::json(200, &format!(r#"{{"servers": [{}]}}"#, servers.join(",")))
        })
        .await;
        match (cloud.list(WEB).await, expected) {
            (Ok(seen), expected) => assert_eq!(Ok(seen.len()), expected),
            (Err(error), Ok(_)) => panic!("{error}"),
            (Err(error), Err(words)) => {
                check("endless", &error);
                assert!(error.text.contains(words), "{error}");
            }
        }
        assert_eq!(server_.requests().len(), 12, "a token, ten pages, and one more");
    }
}

#[tokio::test]
async fn an_answer_is_read_up_to_32_mib_and_no_further() {
    for (length, fits) in [((32 << 20) - 1, true), (32 << 20, true), ((32 << 20) + 1, false)] {
        let mut body = page(&[server("s-1")], false).into_bytes();
        body.resize(length, b' ');
        let (cloud, _server) = cloud(move |_| Reply::with(200, "", &body)).await;
        match cloud.list(WEB).await {
            Ok(seen) => assert!(fits && seen.len() == 1, "{length}"),
            Err(error) => {
                assert!(!fits, "{length}: {error}");
                check("too long", &error);
                assert!(error.text.contains("longer than 33554432 bytes"), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn an_unsure_create_is_unclear_and_one_that_never_arrived_is_for_later() {
    for (what, reply, kind) in [
        ("a page for people", Reply::with(202, "", b"<html>"), CloudErrorKind::Unclear),
        ("nothing", Reply::with(202, "", b""), CloudErrorKind::Unclear),
        ("half", Reply::with(202, "", b"{\"server\": {\"id\": \"s-"), CloudErrorKind::Unclear),
        ("no id", Reply::json(202, r#"{"server": {}}"#), CloudErrorKind::Unclear),
        ("a strange id", Reply::json(202, r#"{"server": {"id": "../7"}}"#), CloudErrorKind::Unclear),
        ("hung up", raw(""), CloudErrorKind::Unclear),
        ("silence", Reply::Silence, CloudErrorKind::Unclear),
        ("502", Reply::with(502, "", b"<html>"), CloudErrorKind::Unclear),
        ("503", Reply::with(503, "retry-after: 9\r\n", b""), CloudErrorKind::Unclear),
        ("elsewhere", Reply::with(307, "location: /v2/91111/servers\r\n", b""), CloudErrorKind::Refused),
        ("slow down", Reply::with(429, "retry-after: 9\r\n", b""), CloudErrorKind::Later { after_ms: 9_000 }),
        (
            "slow down until",
            Reply::with(413, "retry-after: Fri, 15 Jan 2027 08:00:05 GMT\r\n", b""),
            CloudErrorKind::Later { after_ms: 5_000 },
        ),
    ] {
        let (cloud, server) = cloud(creating(move |_| reply.clone())).await;
        let error = cloud.create(&order()).await.expect_err(what);
        assert_eq!(error.kind, kind, "{what}: {error}");
        assert!(error.text.contains("create a server"), "{what}: {error}");
        let posts = server.requests().iter().filter(|line| *line == "POST /v2/91111/servers").count();
        assert_eq!(posts, 1, "{what}: a create is never repeated here");
    }

    // Nobody listens: for the token, and for Nova alone.
    let nobody = { std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap() };
    let cloud = rackspace(&format!("http://{nobody}/v2.0"), HeldClock::at(NOON_MS));
    assert_eq!(cloud.create(&order()).await.unwrap_err().kind, CloudErrorKind::Later { after_ms: 0 });
    let identity =
        RawServer::start(move |_| Reply::json(200, &access(&format!("http://{nobody}/v2"), "2027-01-15T09:00:00Z")));
    let identity = identity.await.unwrap();
    let cloud = rackspace(&format!("http://{}/v2.0", identity.address), HeldClock::at(NOON_MS));
    let error = cloud.create(&order()).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Later { after_ms: 0 });
    assert!(error.text.contains("onnection refused"), "{error}");

    // The image cannot be looked up: odd, but nothing was made.
    let (cloud, _server) = self::cloud(|_| Reply::json(500, "{}")).await;
    assert_eq!(cloud.create(&order()).await.unwrap_err().kind, CloudErrorKind::Later { after_ms: 0 });
}

#[tokio::test]
async fn a_create_says_all_that_the_launch_says_and_the_mark_is_ours() {
    let (cloud, _server) = cloud(creating(|request| {
        let body: Value = serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap();
        let expected = json!({ "server": {
            "name": "web-1-1", "imageRef": "image-1", "flavorRef": "2", "key_name": "ops", "availability_zone": "az-2",
            "networks": [{ "uuid": "11111111-1111-1111-1111-111111111111" }, { "uuid": "net-7" }],
            "metadata": { "role": "web", "weir_install": "prod", "weir_group": "00000000000000a1", "weir_slot": "1.1" },
            "user_data": "IyEvYmluL3NoCg==", "config_drive": false,
        } });
        if body == expected { Reply::json(202, r#"{"server": {"id": "s-1"}}"#) } else { Reply::json(400, request) }
    }))
    .await;
    assert_eq!(cloud.create(&order()).await.unwrap(), "s-1");
}

#[tokio::test]
async fn a_delete_is_done_when_the_server_is_not_there_and_for_later_when_nova_is_busy() {
    for (status, expected) in [
        (204, Ok(())),
        (202, Ok(())),
        (404, Ok(())),
        (409, Err(CloudErrorKind::Later { after_ms: 0 })),
        (403, Err(CloudErrorKind::Refused)),
        (500, Err(CloudErrorKind::Unclear)),
    ] {
        let (cloud, server) = cloud(move |_| Reply::json(status, "")).await;
        assert_eq!(cloud.delete("s-1").await.map_err(|error| error.kind), expected, "{status}");
        assert_eq!(server.requests()[1], "DELETE /v2/91111/servers/s-1");
    }
    let (cloud, server) = cloud(|_| Reply::json(204, "")).await;
    for id in ["", ".", "..", "a/b", "../images/1", "a?b", "a#b", "a%2fb"] {
        assert_eq!(cloud.delete(id).await.unwrap_err().kind, CloudErrorKind::Refused, "{id}");
    }
    assert_eq!(server.requests(), [""; 0], "nothing was asked");
}

#[tokio::test]
async fn a_token_is_used_until_shortly_before_its_end_or_a_401() {
    let clock = HeldClock::at(NOON_MS);
    let reject = Arc::new(AtomicUsize::new(0));
    let rejecting = Arc::clone(&reject);
    let (cloud, server) = cloud_at(clock.clone(), move |_| {
        let left = rejecting.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_ok() { Reply::json(401, "{}") } else { Reply::json(200, r#"{"servers": []}"#) }
    })
    .await;
    let tokens = || server.requests().iter().filter(|line| line.starts_with("POST /v2.0/tokens")).count();

    // Ten at once have one token made for them.
    let both = tokio::join!(cloud.survey(), cloud.survey(), cloud.survey(), cloud.survey());
    assert!(both.0.is_ok() && both.1.is_ok() && both.2.is_ok() && both.3.is_ok());
    assert_eq!(tokens(), 1);
    clock.pass(54 * 60_000);
    cloud.survey().await.unwrap();
    assert_eq!(tokens(), 1);
    clock.pass(2 * 60_000);
    cloud.survey().await.unwrap();
    assert_eq!(tokens(), 2, "it had four minutes left");

    clock.pass(-56 * 60_000);
    reject.store(1, Ordering::SeqCst);
    cloud.survey().await.unwrap();
    assert_eq!(tokens(), 3);
    reject.store(usize::MAX, Ordering::SeqCst);
    let before = server.requests().len();
    let error = cloud.survey().await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Unauthorized);
    assert_eq!(server.requests().len() - before, 3, "refused, a new token, refused: and no more");
}

#[tokio::test]
async fn a_bad_identity_service_is_an_error_and_repeats_no_secret() {
    let good = access("http://127.0.0.1:1/v2", "2027-01-15T09:00:00Z");
    let elsewhere = good.replace("LON", "DFW");
    for (what, reply, kind) in [
        ("a page for people", Reply::with(200, "", b"<html>"), CloudErrorKind::Later { after_ms: 0 }),
        ("nothing", Reply::json(200, ""), CloudErrorKind::Later { after_ms: 0 }),
        ("no token", Reply::json(200, r#"{"access": {"serviceCatalog": []}}"#), CloudErrorKind::Later { after_ms: 0 }),
        ("no end", Reply::json(200, &good.replace("2027-", "x")), CloudErrorKind::Later { after_ms: 0 }),
        (
            "a token with lines",
            Reply::json(200, &good.replace(TOKEN, "a\\r\\nb")),
            CloudErrorKind::Later { after_ms: 0 },
        ),
        ("another region", Reply::json(200, &elsewhere), CloudErrorKind::Refused),
        ("no address", Reply::json(200, &good.replace("http://127.0.0.1:1/v2", "mailto:x")), CloudErrorKind::Refused),
        ("a wrong key", Reply::json(401, r#"{"unauthorized": {"message": "bad key"}}"#), CloudErrorKind::Unauthorized),
        (
            "an echo",
            Reply::json(400, &json!({ "m": { "message": format!("you said {KEY}") } }).to_string()),
            CloudErrorKind::Refused,
        ),
        ("500", Reply::json(500, ""), CloudErrorKind::Later { after_ms: 0 }),
        ("elsewhere", Reply::with(301, "location: http://127.0.0.1:1/\r\n", b""), CloudErrorKind::Refused),
    ] {
        let identity = RawServer::start(move |_| reply.clone()).await.unwrap();
        let cloud = rackspace(&format!("http://{}/v2.0", identity.address), HeldClock::at(NOON_MS));
        let error = cloud.survey().await.expect_err(what);
        assert_eq!(error.kind, kind, "{what}: {error}");
        assert!(!error.text.contains("canary"), "{what}: {error}");
        assert!(!format!("{cloud:?}").contains("canary"), "{what}");
    }
    let echo = json!({ "forbidden": { "message": format!("token {TOKEN} may not") } }).to_string();
    let (cloud, _server) = cloud(move |_| Reply::json(403, &echo)).await;
    assert_eq!(cloud.survey().await.unwrap_err().text, "token … may not (list servers: 403)");
    assert!(!format!("{cloud:?}").contains("canary"), "also while a token is held");
}

#[tokio::test]
async fn silence_is_not_waited_for_longer_than_was_said() {
    let (cloud, _server) = cloud(|_| Reply::Silence).await;
    let started = Instant::now();
    assert_eq!(cloud.list(WEB).await.unwrap_err().kind, CloudErrorKind::Unclear);
    assert!(started.elapsed() < Duration::from_secs(10));
}
