//! What monitoring sends: taken, refused and in which words; a 2xx is in the log.

use super::{CRITICAL, FIRING, TIMEOUT, deployed, get, maas, now_ms, post, request, send};
use reqwest::Method;
use serde_json::json;
use weir::api::BODY_MAX;
use weir_engine::{
    event::{Event, Fact},
    grammar::policy::AlarmState,
    time::rfc3339,
};
use weir_tests::house::{House, tokens};

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
