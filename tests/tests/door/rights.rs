//! Who may do what: tokens, tenants, capabilities, and floods.

use super::{CRITICAL, deployed, get, maas, request, send};
use reqwest::Method;
use serde_json::json;
use std::collections::BTreeSet;
use weir_engine::event::Event;
use weir_tests::house::{House, tokens};

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
