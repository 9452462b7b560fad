//! The door from outside: what is taken, what is refused and in which words, and that a 2xx is in the log.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod facts;
mod orders;
mod reads;
mod rights;

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;
use weir_tests::house::{House, tokens};

const CRITICAL: &str = include_str!("../../samples/maas/critical.json");
const TIMEOUT: &str = include_str!("../../samples/maas/timeout.json");
const FIRING: &str = include_str!("../../samples/alertmanager/firing.json");

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
