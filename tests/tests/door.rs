//! The door from outside: what is taken, what is refused and in which words, and that a 2xx is in the log.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use weir::{
    api::{
        BODY_MAX,
        export::{Line, Recorded},
    },
    backend::{Deed, Switches},
};
use weir_engine::{
    event::{Event, Fact, Record},
    grammar::policy::AlarmState,
    partition::Partition,
    time::rfc3339,
};
use weir_tests::house::{House, tokens};

const CRITICAL: &str = include_str!("../samples/maas/critical.json");
const TIMEOUT: &str = include_str!("../samples/maas/timeout.json");
const FIRING: &str = include_str!("../samples/alertmanager/firing.json");

const WEB: &str = r#"edition 2026

metric cpu.usage: percent every 1m
metric queue.depth: number every 30s shared

alarm web_5xx: from "web-5xx"
alarm site_down: shared from "site-down"
event deploy.done: from "com.example.deploy.done"

launch small {
  image  "debian-13"
  flavor "general1-1"
}

group web {
  region   "LON"
  capacity 1..10
  launch   small
  cooldown 1s

  rule outage {
    when alarm site_down is critical
    raise to 4
    cooldown 1h
  }

  rule surge {
    webhook "surge"
    add 1
    cooldown 1h
  }
}
"#;

struct Answer {
    status: StatusCode,
    kind: String,
    body: Value,
    headers: reqwest::header::HeaderMap,
}

impl Answer {
    fn detail(&self) -> &str {
        self.body["detail"].as_str().unwrap_or_default()
    }

    fn note(&self) -> &str {
        self.body["note"].as_str().unwrap_or_default()
    }

    fn is(&self, status: u16) -> bool {
        let problem = self.kind == "application/problem+json" && !self.detail().is_empty();
        self.status.as_u16() == status && (self.status.is_success() || problem)
    }
}

async fn send(request: RequestBuilder) -> Answer {
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status(), answer.headers().clone());
    let kind = headers.get("content-type").map(|kind| kind.to_str().unwrap().to_owned()).unwrap_or_default();
    let body = answer.bytes().await.unwrap();
    let body = serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into());
    Answer { status, kind, body, headers }
}

fn request(house: &House, method: Method, path: &str, token: &str) -> RequestBuilder {
    house.client.request(method, format!("{}{path}", house.url)).bearer_auth(token)
}

async fn get(house: &House, path: &str) -> Answer {
    send(request(house, Method::GET, path, tokens::ADMIN)).await
}

async fn post(house: &House, path: &str, body: impl Into<reqwest::Body>) -> Answer {
    send(request(house, Method::POST, path, tokens::ADMIN).body(body)).await
}

async fn put(house: &House, path: &str, text: impl Into<reqwest::Body>) -> Answer {
    send(request(house, Method::PUT, path, tokens::ADMIN).body(text)).await
}

async fn maas(house: &House, token: &str, body: impl Into<reqwest::Body>) -> Answer {
    let url = format!("{}/v1/alarms/maas", house.url);
    send(house.client.post(url).header("x-rackspace-webhook-token", token).body(body)).await
}

async fn deployed(house: &House) -> Value {
    let answer = put(house, "/v1/policies/web.weir", WEB).await;
    assert!(answer.is(200), "{} {}", answer.status, answer.body);
    answer.body
}

fn now_ms() -> i64 {
    i64::try_from(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap()
}

#[tokio::test]
async fn what_monitoring_sends_is_in_the_log_as_read() {
    let house = House::open().await.unwrap();
    for (body, place) in [(CRITICAL, 0), (TIMEOUT, 1)] {
        let answer = maas(&house, tokens::MAAS, body).await;
        assert!(answer.is(202), "{}", answer.body);
        let found = &house.log("acme").unwrap();
        let facts: Vec<&Event> = found.iter().filter(|event| event.source == "/maas").collect();
        assert_eq!(facts.len(), place + 1, "a 2xx is in the log");
    }
    let answer = post(&house, "/v1/alarms/alertmanager", FIRING).await;
    assert!(answer.is(202) && answer.note().contains("left out 2 alerts"), "{}", answer.body);
    let alarms: Vec<_> = house
        .log("acme")
        .unwrap()
        .into_iter()
        .filter_map(|event| if let Fact::Alarm(alarm) = event.fact { Some((event.id, alarm)) } else { None })
        .collect();
    let (id, first) = &alarms[0];
    assert_eq!(id, "acRx42:enWeb3:alHttp5:chHttp:1772359200000:CRITICAL:0f6d1c10-1554-11f1-9c55-5b1e0e2a7f01");
    assert_eq!((first.name.as_str(), first.state, first.at), ("web-5xx", AlarmState::Critical, 1_772_359_200_417));
    assert_eq!(first.about.server, ["4c1d7e0a-3f53-4b7f-9a59-0d7d6f6a9c13", "web-3", "10.20.0.13", "192.0.2.13"]);
    assert_eq!(first.numbers["duration"], "2412");
    assert_eq!(alarms[1].1.name, "alPing", "without an alarm its id is in the event's");
    let states: Vec<_> = alarms[2..].iter().map(|(_, alarm)| (alarm.state, rfc3339(alarm.at))).collect();
    assert_eq!(
        states,
        [
            (AlarmState::Critical, "2026-03-01T10:00:00.217Z".to_owned()),
            (AlarmState::Warning, "2026-03-01T10:00:30.001Z".to_owned()),
            (AlarmState::Ok, "2026-03-01T10:00:15.500Z".to_owned()),
        ]
    );
    assert_eq!(alarms[3].1.about.server, ["4c1d7e0a", "[2001:db8::14]:9100", "2001:db8::14"]);
    assert_eq!(alarms[4].1.about.group.as_deref(), Some("batch"));
}

#[tokio::test]
async fn unreadable_bodies_are_refused_with_the_place_and_leave_no_trace_in_the_log() {
    let house = House::open().await.unwrap();
    let before = house.log("acme").unwrap().len();
    let bad = [
        ("/v1/alarms/maas", "{\n  \"event_id\": \"a\",\n}", "line 3, column 1: trailing comma"),
        ("/v1/alarms/maas", "", "line 1, column 0"),
        ("/v1/alarms/maas", "{\"state\": \"OK\"}", "missing field `event_id`"),
        ("/v1/alarms/alertmanager", "[1, 2", "line 1, column 5"),
        (
            "/v1/alarms/alertmanager",
            "{\"version\": \"4\", \"version\": \"4\", \"alerts\": []}",
            "`version` stands twice",
        ),
        (
            "/v1/samples",
            "{\"samples\": [{\"metric\": \"m\", \"value\": 1, \"metric\": \"n\"}]}",
            "`metric` stands twice",
        ),
        ("/v1/samples", "{\"samples\": [{\"metric\": \"m\", \"value\": \"68.4\"}]}", "`samples[0].value` is no number"),
        ("/v1/samples", "{\"samples\": []}", "`samples` is empty"),
        ("/v1/events", "{\"specversion\": \"1.0\"}", "missing field"),
    ];
    for (path, body, said) in bad {
        let answer = post(&house, path, body).await;
        assert!(answer.is(400) && answer.detail().contains(said), "{path} {body}: {}", answer.body);
    }
    let binary = post(&house, "/v1/samples", vec![0xff, 0xfe, 0x00]).await;
    assert!(binary.is(400), "{}", binary.body);
    assert_eq!(house.log("acme").unwrap().len(), before);
    let metrics = get(&house, "/metrics").await.body;
    assert!(metrics.as_str().unwrap().contains("weir_refused_total{reason=\"malformed\"} 10"), "{metrics}");
    let kept = get(&house, "/v1/refused").await.body;
    assert_eq!(kept["refused"].as_array().unwrap().len(), 10);
    assert!(kept["refused"][9]["detail"].as_str().unwrap().contains("line 3, column 1"), "newest first: {kept}");
}

#[tokio::test]
async fn a_token_opens_what_it_is_for_and_a_forged_one_nothing() {
    let house = House::open().await.unwrap();
    let before = house.log("acme").unwrap().len();
    // Every place of the real token bent four ways, and what else comes to mind.
    let real = tokens::MAAS.as_bytes();
    let bent = (0..real.len()).flat_map(|at| [1, 2, 4, 64].map(|bit| (at, real[at] ^ bit)));
    let mut forged: BTreeSet<String> = bent
        .filter(|(_, byte)| byte.is_ascii_graphic())
        .map(|(at, byte)| {
            let mut token = real.to_vec();
            token[at] = byte;
            String::from_utf8(token).unwrap()
        })
        .collect();
    forged.extend((0..real.len()).map(|length| tokens::MAAS[..length].to_owned()));
    forged.extend((1..100).map(|more| format!("{}{}", tokens::MAAS, "x".repeat(more))));
    forged.extend([tokens::ADMIN, tokens::SENDER, tokens::BETA, "null", "*"].map(str::to_owned));
    assert!(forged.len() >= 200, "{}", forged.len());
    for token in &forged {
        let answer = maas(&house, token, CRITICAL).await;
        assert!(answer.is(401) && answer.headers.contains_key("www-authenticate"), "{token}: {}", answer.body);
    }
    assert_eq!(house.log("acme").unwrap().len(), before, "none was taken");

    let may = async |token: &str, method: Method, path: &str| send(request(&house, method, path, token)).await.status;
    assert_eq!(may(tokens::MAAS, Method::POST, "/v1/samples").await, 401, "that token is for its own header and path");
    assert_eq!(may("wrong", Method::GET, "/v1/groups").await, 401);
    assert_eq!(may(tokens::SENDER, Method::GET, "/v1/groups").await, 403);
    assert_eq!(may(tokens::SENDER, Method::POST, "/v1/samples").await, 400, "it may send, but not nothing");
    assert_eq!(may(tokens::VIEWER, Method::GET, "/v1/groups").await, 200);
    for (method, path) in [
        (Method::POST, "/v1/samples"),
        (Method::PUT, "/v1/policies/web.weir"),
        (Method::POST, "/v1/groups/web/pause"),
        (Method::DELETE, "/v1/groups/web?servers=delete"),
        (Method::GET, "/v1/log/export"),
    ] {
        assert_eq!(may(tokens::VIEWER, method, path).await, 403, "{path}");
    }
    assert_eq!(may(tokens::ADMIN, Method::GET, "/v1/nothing").await, 404);
    assert_eq!(may(tokens::ADMIN, Method::PATCH, "/v1/groups").await, 405);
}

#[tokio::test]
async fn a_body_cannot_speak_for_another_tenant() {
    let house = House::open().await.unwrap();
    let answer = maas(&house, tokens::MAAS, CRITICAL.replace("91111", "92222")).await;
    assert!(answer.is(403) && answer.detail().contains("`tenant_id` \"92222\""), "{}", answer.body);
    assert!(house.log("acme").unwrap().iter().all(|event| event.source != "/maas"));
    let answer = maas(&house, tokens::BETA_MAAS, CRITICAL).await;
    assert!(answer.is(202), "beta's sender may call it what it likes, and it is beta's");
    assert_eq!(house.log("beta").unwrap().len(), 1);
    deployed(&house).await;
    for path in ["/v1/groups/web", "/v1/groups/web/decisions", "/v1/policies/web.weir"] {
        let answer = send(request(&house, Method::GET, path, tokens::BETA)).await;
        assert!(answer.is(404), "{path}: {}", answer.body);
    }
    let groups = send(request(&house, Method::GET, "/v1/groups", tokens::BETA)).await;
    assert_eq!(groups.body["groups"], json!([]));
}

#[tokio::test]
async fn a_body_of_a_mebibyte_is_read_and_one_byte_more_is_not() {
    let house = House::open().await.unwrap();
    let padded = |length: usize| format!("{FIRING}{}", " ".repeat(length - FIRING.len()));
    for (length, status) in [(BODY_MAX - 1, 202), (BODY_MAX, 202), (BODY_MAX + 1, 413)] {
        let answer = post(&house, "/v1/alarms/alertmanager", padded(length)).await;
        assert!(answer.is(status), "{length}: {}", answer.body);
    }
}

#[tokio::test]
async fn samples_of_another_day_are_answered_by_name() {
    let house = House::open().await.unwrap();
    deployed(&house).await;
    let sample = |at: i64| json!({"metric": "queue.depth", "value": 3, "at": rfc3339(at)});
    let (now, tomorrow) = (now_ms(), now_ms() + 86_400_000);
    let all = post(&house, "/v1/samples", json!({"samples": [sample(tomorrow)]}).to_string()).await;
    assert!(all.is(422) && all.detail().contains("ahead of our clock"), "{}", all.body);
    assert!(all.body["now"].is_string(), "so that the sender can be set right");
    let some = json!({"samples": [sample(now), sample(tomorrow), sample(now - 60_000)]}).to_string();
    let some = post(&house, "/v1/samples", some).await;
    assert!(some.is(202) && some.note().contains("sample 1 is of") && some.note().contains("sample 2 is of"));
    let facts = house.log("acme").unwrap();
    let taken = facts.iter().find_map(|event| if let Fact::Samples(taken) = &event.fact { Some(taken) } else { None });
    assert_eq!(taken.unwrap().len(), 1);
    let metrics = get(&house, "/metrics").await.body;
    assert!(metrics.as_str().unwrap().contains("weir_facts_dropped_total{kind=\"sample\"} 3"), "{metrics}");
    let far = now + 2 * 86_400_000;
    let alarm = maas(&house, tokens::MAAS, CRITICAL.replace("1772359200417", &far.to_string())).await;
    assert!(alarm.is(422) && alarm.detail().contains("over a day ahead"), "{}", alarm.body);
}

#[tokio::test]
async fn what_nothing_hears_is_taken_with_a_note_that_names_the_nearest() {
    let house = House::open().await.unwrap();
    let unknown = CRITICAL.replace("\"web-5xx\"", "\"web-5x\"");
    let none = maas(&house, tokens::MAAS, unknown.clone()).await;
    assert!(none.is(202) && none.note().ends_with("tenant `acme` has no policy yet"), "{}", none.body);
    deployed(&house).await;
    let near = maas(&house, tokens::MAAS, unknown).await;
    assert!(near.is(202), "{}", near.body);
    assert_eq!(
        near.note(),
        "no policy of tenant `acme` declares an alarm from \"web-5x\"; nearest: web_5xx (web.weir:6)"
    );
    let stranger = maas(&house, tokens::MAAS, CRITICAL).await;
    assert!(stranger.note().starts_with("no group of tenant `acme` has a server `4c1d7e0a-"), "{}", stranger.body);
    let uid = get(&house, "/v1/groups/web").await.body["uid"].as_str().unwrap().to_owned();
    house.tell_servers("acme", &uid, "web-3").unwrap();
    assert_eq!(get(&house, "/v1/groups/web/servers").await.body["servers"][0]["name"], "web-3");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while !maas(&house, tokens::MAAS, CRITICAL).await.note().is_empty() {
        assert!(std::time::Instant::now() < deadline, "its server is in the ledger, and it is still noted");
    }
    let sample = |fields: &str| format!("{{\"samples\": [{{\"value\": 1, {fields}}}]}}");
    for (fields, said) in [
        ("\"metric\": \"cpu.usge\", \"server\": \"web-3\"", "a metric \"cpu.usge\"; nearest: cpu.usage (web.weir:3)"),
        ("\"metric\": \"cpu.usage\"", "names no server and no group, and `cpu.usage` (web.weir:3) is not shared"),
        ("\"metric\": \"cpu.usage\", \"group\": \"wep\"", "tenant `acme` has no group `wep`; nearest: web"),
        ("\"metric\": \"queue.depth\"", ""),
    ] {
        let answer = post(&house, "/v1/samples", sample(fields)).await;
        assert!(answer.is(202) && answer.note().contains(said), "{fields}: {}", answer.body);
        assert_eq!(answer.note().is_empty(), said.is_empty(), "{fields}: {}", answer.body);
    }
    let event = json!({"specversion": "1.0", "type": "com.example.deploy.dun", "source": "/ci", "id": "1"});
    let answer = post(&house, "/v1/events", event.to_string()).await;
    assert!(answer.note().contains("nearest: deploy.done (web.weir:8)"), "{}", answer.body);
}

#[tokio::test]
async fn a_policy_is_put_in_force_whole_or_not_at_all() {
    let house = House::open().await.unwrap();
    let dry = put(&house, "/v1/policies/web.weir?dry_run=true", WEB).await;
    assert!(dry.is(200) && dry.body["accepted"] == true && dry.body["groups"] == json!(["web"]), "{}", dry.body);
    assert!(get(&house, "/v1/policies/web.weir").await.is(404), "a dry run leaves nothing");

    let answer = deployed(&house).await;
    assert_eq!((&answer["version"], &answer["groups"]), (&json!(1), &json!(["web"])));
    let broken = put(&house, "/v1/policies/web.weir", WEB.replace("raise to 4", "rase to 4")).await;
    assert!(broken.is(422) && broken.detail().contains("stays live"), "{}", broken.body);
    assert_eq!(broken.body["diagnostics"][0]["line"], 23, "{}", broken.body);
    let large = put(&house, "/v1/policies/web.weir", format!("{WEB}{}", "#".repeat(300_000))).await;
    assert!(large.is(422) && large.body["diagnostics"][0]["code"] == "E0310", "{}", large.body);
    let many: String =
        (0..65).map(|n| WEB.split("group web").nth(1).map(|g| format!("group g{n}{g}")).unwrap()).collect();
    let many = put(&house, "/v1/policies/many.weir", format!("{}{many}", WEB.split("group web").next().unwrap())).await;
    assert!(many.is(422) && many.body["diagnostics"].to_string().contains("E0310"), "{}", many.detail());
    let lost = put(&house, "/v1/policies/web.weir", WEB.replace("group web", "group shop")).await;
    assert!(lost.is(409) && lost.detail().contains("version 1 stays live"), "{}", lost.body);
    let foreseen = put(&house, "/v1/policies/web.weir?dry_run=true", WEB.replace("group web", "group shop")).await;
    assert!(foreseen.body["accepted"] == false, "{}", foreseen.body);
    let taken = put(&house, "/v1/policies/other.weir", WEB).await;
    assert!(taken.is(409) && taken.detail().contains("lives in `web.weir`"), "{}", taken.body);
    for name in ["web", "a%20b.weir", ".weir", "..%2Fweb.weir"] {
        assert!(put(&house, &format!("/v1/policies/{name}"), WEB).await.is(422), "{name}");
    }
    let live = get(&house, "/v1/policies/web.weir").await.body;
    assert_eq!((live["version"].clone(), live["text"].clone()), (json!(1), json!(WEB)));
    assert_eq!(live["capabilities"], json!([{"group": "web", "rule": "surge"}]), "no hash is shown");

    let setup = WEB.replace("  flavor \"general1-1\"", "  flavor \"general1-1\"\n  setup \"setup/web.sh\"");
    let alone = put(&house, "/v1/policies/web.weir", setup.clone()).await;
    assert!(alone.is(422) && alone.detail().contains("`setup/web.sh`"), "{}", alone.body);
    let whole = json!({"text": setup, "setup": {"setup/web.sh": "#!/bin/sh\n"}}).to_string();
    let whole = request(&house, Method::PUT, "/v1/policies/web.weir", tokens::ADMIN)
        .header("content-type", "application/json")
        .body(whole);
    let whole = send(whole).await;
    assert!(whole.is(200) && whole.body["version"] == 2, "{}", whole.body);
    assert_eq!(whole.body["capabilities"], json!([]), "the rule has its URL already");
}

#[tokio::test]
async fn a_capability_fires_its_rule_and_is_never_shown_again() {
    let house = House::open().await.unwrap();
    let answer = deployed(&house).await;
    let path = answer["capabilities"][0]["path"].as_str().unwrap().to_owned();
    let secret = path.rsplit('/').next().unwrap();
    let call = |path: String| house.client.post(format!("{}{path}", house.url));
    let answer = send(call(path.clone()).header("idempotency-key", "one")).await;
    assert!(answer.is(202), "{}", answer.body);
    let again = send(call(path.clone()).header("idempotency-key", "one")).await;
    assert_eq!(answer.body["position"], again.body["position"], "the same key is the same deed");
    let decisions = get(&house, answer.body["read"].as_str().unwrap()).await;
    let newest = &decisions.body["decisions"][0];
    assert_eq!(
        (&newest["outcome"]["verdict"], &newest["outcome"]["by"]),
        (&json!("changed"), &json!("surge")),
        "{newest}"
    );
    let held = send(call(path.clone())).await;
    let held = get(&house, held.body["read"].as_str().unwrap()).await;
    assert_eq!(held.body["decisions"][0]["outcome"]["guard"]["name"], "cooldown", "a URL obeys its rule's cooldown");

    for forged in [format!("{path}x"), path[..path.len() - 1].to_owned(), "/v1/execute/%FF".to_owned()] {
        let answer = send(call(forged)).await;
        assert!(answer.status.is_client_error() && answer.kind == "application/problem+json");
    }
    let shown = [get(&house, "/v1/refused").await, get(&house, "/v1/policies").await, get(&house, "/metrics").await];
    let mut shown: Vec<String> = shown.iter().map(|answer| answer.body.to_string()).collect();
    shown.extend(house.log("acme").unwrap().iter().map(Event::to_line));
    for text in shown {
        assert!(!text.contains(secret), "the secret shows in {text}");
        assert!(tokens::ALL.iter().all(|token| !text.contains(token)), "a token shows in {text}");
    }
}

#[tokio::test]
async fn the_same_fact_again_has_no_second_effect() {
    let house = House::open().await.unwrap();
    deployed(&house).await;
    let down = CRITICAL.replace("\"web-5xx\"", "\"site-down\"").replace("1772359200417", &now_ms().to_string());
    let mut last = String::new();
    for _ in 0..200 {
        let answer = maas(&house, tokens::MAAS, down.clone()).await;
        assert!(answer.is(202), "{}", answer.body);
        last = answer.body["position"].as_str().unwrap().to_owned();
    }
    let group = get(&house, &format!("/v1/groups/web?after={last}")).await.body;
    assert_eq!((&group["target"], &group["last_change"]["by"]), (&json!(4), &json!("outage")), "{group}");
    let history = get(&house, "/v1/groups/web/decisions").await.body;
    let decisions = history["decisions"].as_array().unwrap();
    let changed = decisions.iter().filter(|decision| decision["outcome"]["by"] == "outage");
    assert_eq!(changed.filter(|decision| decision["outcome"]["verdict"] == "changed").count(), 1, "{history}");

    let force = async |key: &str, rule: &str| {
        let path = format!("/v1/groups/web/rules/{rule}/force");
        send(request(&house, Method::POST, &path, tokens::ADMIN).header("idempotency-key", key)).await
    };
    let first = force("k1", "surge").await;
    assert!(first.is(200) && first.body["decision"]["to"] == 5, "{}", first.body);
    let second = force("k1", "surge").await;
    assert_eq!(first.body, second.body);
    assert!(force("k1", "outage").await.is(422), "a key is one deed");
    assert!(force("k2", "surge").await.body["decision"]["to"] == 6, "another key is another deed, over the cooldown");
    let unknown = force("k3", "surg").await;
    assert!(unknown.is(404) && unknown.detail().contains("nearest: surge"), "{}", unknown.body);

    let event =
        json!({"specversion": "1.0", "type": "com.example.deploy.done", "source": "/ci", "id": "1"}).to_string();
    let (one, two) = (post(&house, "/v1/events", event.clone()).await, post(&house, "/v1/events", event).await);
    assert_eq!(one.body["position"], two.body["position"]);
    assert!(two.note().contains("in the log already"), "{}", two.body);
}

#[tokio::test]
async fn orders_hold_and_are_answered_with_what_they_did() {
    let house = House::open().await.unwrap();
    deployed(&house).await;
    let until = rfc3339(now_ms() + 3_600_000);
    let pause = json!({"reason": "database move", "until": until}).to_string();
    let paused = post(&house, "/v1/groups/web/pause", pause).await;
    let state = paused.body["group"]["state"].as_str().unwrap();
    assert!(paused.is(200) && state.starts_with("paused by admin@acme until"), "{}", paused.body);
    let held = post(&house, "/v1/groups/web/rules/surge/force", "").await;
    assert_eq!(held.body["decision"]["outcome"]["guard"]["name"], "pause", "{}", held.body);
    let resumed = post(&house, "/v1/groups/web/resume", "").await;
    assert!(resumed.is(200) && !resumed.body["group"]["state"].as_str().unwrap().starts_with("paused"));
    assert!(post(&house, "/v1/groups/web/pause", "{\"untill\": 1}").await.is(400), "a misspelt bound is none");
    assert!(post(&house, "/v1/groups/web/pause", "{\"until\": \"2001-01-01T00:00:00Z\"}").await.is(422));
    let switched =
        post(&house, "/v1/kill-switch", "{\"region\": \"LON\", \"adding\": true, \"reason\": \"images\"}").await;
    assert!(switched.is(200), "{}", switched.body);
    let held = || house.store.held("acme", "LON", Deed::Adding, now_ms());
    assert!(held().unwrap().contains("stopped by admin@acme: \"images\""), "executors see it before any event");
    let tenant = get(&house, "/v1/tenant").await.body;
    assert_eq!(tenant["standing"]["quota"], 40, "the configured quota is in the log: {tenant}");
    assert_eq!(tenant["standing"]["kill_switches"].as_array().unwrap().len(), 1, "{tenant}");

    let delete = async |query: &str| {
        send(request(&house, Method::DELETE, &format!("/v1/groups/web{query}"), tokens::ADMIN)).await
    };
    assert!(delete("").await.is(400) && delete("?servers=maybe").await.is(400), "there is no default");
    let gone = delete("?servers=keep").await;
    assert!(gone.is(200) && gone.body["group"].is_null(), "{}", gone.body);
    assert!(get(&house, "/v1/groups/web").await.is(404));
    assert!(!get(&house, "/v1/groups/web/decisions").await.body["decisions"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn an_override_has_an_end_a_reason_and_the_policys_capacity_above_it() {
    let house = House::open().await.unwrap();
    deployed(&house).await;
    let path = "/v1/groups/web/override";
    let hour = rfc3339(now_ms() + 3_600_000);
    let set = post(&house, path, json!({"floor": 3, "until": hour, "reason": "the launch"}).to_string()).await;
    let group = &set.body["group"];
    assert!(set.is(200), "{}", set.body);
    assert_eq!((&group["target"], &group["min"], &group["max"]), (&json!(3), &json!(3), &json!(10)));
    assert_eq!(group["overridden"]["actor"], "admin@acme", "{group}");
    assert!(group["state"].as_str().unwrap().contains(", floor 3 by admin@acme until "), "{group}");
    let decisions = get(&house, "/v1/groups/web/decisions?limit=1").await.body;
    let decision = &decisions["decisions"][0];
    assert_eq!(decision["overridden"]["reason"], "the launch", "{decisions}");

    let far = rfc3339(now_ms() + 31 * 86_400_000);
    let wrong = [
        (json!({"floor": 3, "reason": "x"}), 400, "missing field `until`"),
        (json!({"floor": 3, "until": hour}), 400, "missing field `reason`"),
        (json!({"flor": 3, "until": hour, "reason": "x"}), 400, "unknown field `flor`"),
        (json!({"floor": 3, "until": hour, "reason": " "}), 422, "`reason` is empty"),
        (json!({"until": hour, "reason": "x"}), 422, "name `floor`, `ceiling` or `size`"),
        (json!({"floor": 4, "ceiling": 3, "until": hour, "reason": "x"}), 422, "above the ceiling"),
        (json!({"floor": 4, "size": 3, "until": hour, "reason": "x"}), 422, "name it alone"),
        (json!({"size": 11, "until": hour, "reason": "x"}), 422, "outside of the policy's capacity 1..10"),
        (json!({"floor": 0, "until": hour, "reason": "x"}), 422, "outside of the policy's capacity 1..10"),
        (json!({"size": 3, "until": far, "reason": "x"}), 422, "30 days at most"),
        (json!({"size": 3, "until": "2001-01-01T00:00:00Z", "reason": "x"}), 422, "past"),
    ];
    for (body, status, said) in wrong {
        let answer = post(&house, path, body.to_string()).await;
        assert!(answer.is(status) && answer.detail().contains(said), "{body}: {}", answer.body);
    }
    let viewer = request(&house, Method::POST, path, tokens::VIEWER).body("{}");
    assert!(send(viewer).await.is(403));

    let keyed = async |body: String| {
        let order = request(&house, Method::POST, path, tokens::ADMIN).header("idempotency-key", "k1").body(body);
        send(order).await
    };
    let body = json!({"size": 5, "until": hour, "reason": "x"}).to_string();
    let (first, again) = (keyed(body.clone()).await, keyed(body).await);
    assert!(first.is(200) && first.body["position"] == again.body["position"], "{} {}", first.body, again.body);
    assert!(keyed(json!({"size": 6, "until": hour, "reason": "x"}).to_string()).await.is(422));

    let lift = async || send(request(&house, Method::DELETE, path, tokens::ADMIN)).await;
    let lifted = lift().await;
    assert!(lifted.is(200), "{}", lifted.body);
    assert!(lifted.body["group"].get("overridden").is_none() && lifted.body["group"]["min"] == 1, "{}", lifted.body);
    assert!(lift().await.is(200), "what is lifted is lifted");
}

#[tokio::test]
async fn what_is_done_with_one_server_is_answered_with_the_decision() {
    let house = House::open().await.unwrap();
    deployed(&house).await;
    let uid = get(&house, "/v1/groups/web").await.body["uid"].as_str().unwrap().to_owned();
    house.tell_servers("acme", &uid, "web-1-1").unwrap();
    let act = async |server: &str, act: &str, body: Value| {
        post(&house, &format!("/v1/groups/web/servers/{server}/{act}"), body.to_string()).await
    };
    let adopted = act("id-7", "adopt", json!({"reason": "made before Weir"})).await;
    let decision = &adopted.body["decision"];
    assert!(adopted.is(200) && decision["from"] == 1 && decision["to"] == 2, "{}", adopted.body);
    assert_eq!(decision["outcome"]["because"], "adopt id-7 by admin@acme: \"made before Weir\"");
    let again = act("id-7", "adopt", json!({"reason": "x"})).await;
    assert_eq!(again.body["decision"]["outcome"]["verdict"], "refused", "{}", again.body);

    // The ledger has it, and the log does not tell of it: the engine says so.
    let early = act("web-1-1", "remove", json!({"reason": "x", "replace": true})).await;
    let because = early.body["decision"]["outcome"]["because"].as_str().unwrap();
    assert!(early.is(200) && because == "group `web` has no server `web-1-1`", "{}", early.body);

    let hour = rfc3339(now_ms() + 3_600_000);
    let wrong = [
        ("web-1-2", "protect", json!({"reason": "x"}), 404, "nearest: web-1-1"),
        ("web-1-1", "protekt", json!({"reason": "x"}), 404, "nearest: protect"),
        ("web-1-1", "protect", json!({}), 400, "missing field `reason`"),
        ("web-1-1", "protect", json!({"reason": ""}), 422, "`reason` is empty"),
        ("web-1-1", "protect", json!({"reason": "x", "until": "2001-01-01T00:00:00Z"}), 422, "past"),
        ("web-1-1", "remove", json!({"reason": "x", "until": hour}), 422, "`until` is not for `remove`"),
        ("web-1-1", "protect", json!({"reason": "x", "replace": true}), 422, "`replace` is for a server that leaves"),
    ];
    for (server, word, body, status, said) in wrong {
        let answer = act(server, word, body).await;
        assert!(answer.is(status) && answer.detail().contains(said), "{server} {word}: {}", answer.body);
    }
    let viewer = request(&house, Method::POST, "/v1/groups/web/servers/web-1-1/remove", tokens::VIEWER).body("{}");
    assert!(send(viewer).await.is(403));
}

#[tokio::test]
async fn a_read_waits_for_its_position_and_a_page_follows_the_other() {
    let house = House::open().await.unwrap();
    deployed(&house).await;
    for _ in 0..5 {
        assert!(post(&house, "/v1/groups/web/rules/surge/force", "").await.is(200));
    }
    let early = get(&house, "/v1/groups?after=0:9999").await;
    assert!(early.is(425) && early.headers.contains_key("retry-after"), "{}", early.body);
    assert!(get(&house, "/v1/groups?after=7:1").await.is(400), "another partition is not this tenant's");
    assert!(get(&house, "/v1/groups?after=x").await.is(400) && get(&house, "/v1/groups?afte=0:1").await.is(400));
    let whole = get(&house, "/v1/groups/web/decisions?limit=1000").await.body["decisions"].clone();
    let (mut paged, mut before) = (Vec::new(), String::new());
    loop {
        let page = get(&house, &format!("/v1/groups/web/decisions?limit=2{before}")).await.body;
        paged.extend(page["decisions"].as_array().unwrap().iter().cloned());
        match page["before"].as_u64() {
            Some(serial) => before = format!("&before={serial}"),
            None => break,
        }
    }
    assert!(paged.len() >= 6);
    assert_eq!(json!(paged), whole, "newest first, nothing twice, nothing left out");
    assert!(get(&house, "/v1/groups/web/decisions?limit=0").await.is(400));
    assert!(get(&house, "/v1/groups/wep").await.detail().contains("nearest: web"));
}

#[tokio::test]
async fn a_flood_is_held_and_other_tenants_do_not_feel_it() {
    let house = House::open().await.unwrap();
    let mut held = 0;
    for _ in 0..30 {
        let answer = maas(&house, tokens::BETA_MAAS, CRITICAL).await;
        if answer.is(429) {
            assert!(answer.headers.contains_key("retry-after"));
            held += 1;
        }
    }
    assert!(held >= 10, "30 at 5 a second are not all let in, {held} were held");
    assert!(maas(&house, tokens::MAAS, CRITICAL).await.is(202));
}

#[tokio::test]
async fn an_export_stands_alone_and_shows_nobody_else() {
    let house = House::open().await.unwrap();
    deployed(&house).await;
    maas(&house, tokens::BETA_MAAS, CRITICAL).await;
    post(&house, "/v1/groups/web/rules/surge/force", "").await;
    maas(&house, tokens::BETA_MAAS, TIMEOUT).await;
    let last = post(&house, "/v1/groups/web/rules/surge/force", "").await.body["position"].clone();
    let text = request(&house, Method::GET, "/v1/log/export?from=0:1", tokens::ADMIN).send().await.unwrap();
    let text = text.text().await.unwrap();
    let lines: Vec<Line> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [Line::Header(header), Line::State(state), rest @ ..] = &lines[..] else { panic!("{text}") };
    assert_eq!((header.from, header.tenant.as_str()), (1, "acme"));
    assert_eq!(format!("0:{}", header.until - 1), last);
    assert!(!text.contains("beta"), "another tenant shows: {text}");
    // The stretch is run again from the state it carries: the same decisions at the same records.
    use base64::Engine as _;
    let state = base64::engine::general_purpose::STANDARD.decode(state).unwrap();
    let mut partition = Partition::restore(&state).unwrap();
    let (mut recorded, mut again) = (Vec::new(), Vec::new());
    for line in rest {
        match line {
            Line::Record(Recorded { offset, appended, event }) => {
                let record = Record { offset: *offset, appended_ms: *appended, event: event.clone() };
                again.extend(partition.step(&record).unwrap().decisions);
            }
            Line::Decision(decision) => recorded.push((**decision).clone()),
            Line::Header(_) | Line::State(_) | Line::Command(_) | Line::Digest(_) => panic!("{line:?}"),
        }
    }
    assert_eq!(recorded.len(), 3, "the start and two forces");
    assert_eq!(again, recorded);
    let group = get(&house, "/v1/log/export?from=0:1&group=other").await.body;
    assert!(!group.as_str().unwrap().contains("\"decision\""), "decisions of one group only");
    assert!(get(&house, "/v1/log/export?from=yesterday").await.is(400));
    let future = rfc3339(now_ms() + 3_600_000);
    assert!(get(&house, &format!("/v1/log/export?from={future}")).await.is(404));
}

#[tokio::test]
async fn what_this_process_does_not_run_is_said_and_not_made_up() {
    let house = House::open().await.unwrap();
    deployed(&house).await;
    let why = get(&house, "/v1/groups/web/why").await;
    assert!(why.is(501), "{}", why.body);
    let ready = get(&house, "/readyz").await;
    assert!(ready.is(200) && ready.body["partitions"][0]["live"] == true, "{}", ready.body);
    assert_eq!(get(&house, "/healthz").await.body, "ok\n");
}
