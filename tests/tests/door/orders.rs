//! What people order: policies put in force, pauses, overrides, single servers; each answered with what it did.

use super::{WEB, deployed, get, now_ms, post, put, request, send};
use reqwest::Method;
use serde_json::{Value, json};
use weir::backend::{Deed, Switches};
use weir_engine::time::rfc3339;
use weir_tests::house::{House, tokens};

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
