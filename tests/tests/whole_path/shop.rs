//! The installation under test, its shop and its monitoring, and what the test asks of them.

use super::{
    monitoring::{Measured, Monitoring},
    site::Site,
};
use serde_json::{Value, json, value::RawValue};
use std::{
    collections::BTreeMap,
    fs,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;
use weir_engine::decision::{Decision, RuleState, Verdict};
use weir_tests::{
    feed_server::FeedServer,
    process::{Installation, PATIENCE},
};

const POLICY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/policies/shop.weir");

/// Everything that runs. It ends with the value.
pub struct Shop {
    pub weir: Arc<Installation>,
    pub site: Arc<Site>,
    pub feed: FeedServer,
    carried: JoinHandle<()>,
    sampled: JoinHandle<()>,
    /// Decisions of the group before this one are told.
    told: u64,
}

impl Shop {
    pub async fn open() -> Self {
        let feed = FeedServer::start(Arc::new(weir::clock::WallClock)).await.unwrap();
        let mut weir = Installation::new(env!("CARGO_BIN_EXE_weir-under-test"), &config(&feed.url())).unwrap();
        fs::copy(POLICY, weir.folder().join("shop.weir")).unwrap();
        weir.start(&["shop.weir"]).unwrap();
        weir.ready().await.unwrap();
        let weir = Arc::new(weir);
        let site = Arc::new(Site::open().await);
        let monitoring = Monitoring::start(weir.folder(), site.address, &weir.door.url);
        let carried = tokio::spawn(carry(Arc::clone(&weir), Arc::clone(&site)));
        let sampled = tokio::spawn(sample(Arc::clone(&weir), monitoring));
        Self { weir, site, feed, carried, sampled, told: 0 }
    }

    /// Waits until the group has this many servers, all ready.
    pub async fn settled(&self, size: u64) {
        self.until(&format!("{size} servers"), async || {
            let row = self.weir.door.get("/v1/groups/web").await.ok()?;
            (row["target"] == size && row["ready"] == size && row["state"] == "ok").then_some(())
        })
        .await;
    }

    /// Waits for the next decision of which `wanted` is true, and takes those up to it as told.
    pub async fn decided(&mut self, what: &str, wanted: impl Fn(&Decision) -> bool) -> Decision {
        let told = self.told;
        let (serial, decision) = self
            .until(what, async || {
                let new = self.decisions_after(told).await;
                new.into_iter().find(|(_, decision)| wanted(decision))
            })
            .await;
        self.told = serial;
        decision
    }

    /// Waits for the next change of the target; it must be this one.
    pub async fn changes(&mut self, by: &str, from: u32, to: u32) -> Decision {
        let decision = self.decided(&format!("{by}: {from} → {to}"), |decision| decision.from != decision.to).await;
        assert_eq!((decision.from, decision.to), (from, to), "{decision:#?}");
        assert!(matches!(&decision.outcome, Verdict::Changed { by: rule, .. } if rule == by), "{decision:#?}");
        decision
    }

    /// Nothing changes for so long.
    pub async fn stays(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let changed = self.decisions_after(self.told).await.into_iter().find(|(_, one)| one.from != one.to);
        assert!(changed.is_none(), "{changed:#?}");
    }

    /// Oldest first, each with its serial.
    async fn decisions_after(&self, told: u64) -> Vec<(u64, Decision)> {
        let mut page = self.weir.door.get("/v1/groups/web/decisions?limit=100").await.unwrap();
        let kept: Vec<Value> = serde_json::from_value(page["decisions"].take()).unwrap();
        let kept = kept.into_iter().rev().map(|one| (one["serial"].as_u64().unwrap(), one));
        kept.filter(|(serial, _)| *serial > told)
            .map(|(serial, one)| (serial, serde_json::from_value(one).unwrap()))
            .collect()
    }

    /// What `why` says of the group at an instant, in words.
    pub async fn why(&self, at_ms: i64) -> String {
        let at = weir_engine::time::rfc3339(at_ms);
        let output = self.weir.run(&["why", "web", "--at", &at]).unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The servers that take their part: names by the cloud's ids.
    pub async fn servers(&self) -> BTreeMap<String, String> {
        ready(&self.weir).await
    }

    /// Asks until there is an answer.
    pub async fn until<T>(&self, what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            for task in [&self.carried, &self.sampled] {
                assert!(!task.is_finished(), "the shop or its samples broke off; see above");
            }
            if began.elapsed() > PATIENCE {
                let group = self.weir.door.get("/v1/groups/web").await;
                panic!(
                    "waited in vain for {what}; the group: {group:#?}\n{:#?}\n{}",
                    self.decisions_after(0).await,
                    self.weir.said()
                );
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.carried.abort();
        self.sampled.abort();
    }
}

/// A rule, as a decision saw it.
pub fn rule<'a>(decision: &'a Decision, name: &str) -> &'a RuleState {
    decision.rules.iter().find(|rule| rule.rule == name).unwrap()
}

/// A sweep so rare that only a notice can be why the executor looks.
fn config(feed: &str) -> String {
    format!(
        r#"
[executor]
sweep = "1h"
look = "200ms"
[[cloud]]
tenant = "acme"
kind = "simulated"
[cloud.simulated]
build_ms = [300, 900]
[[feed]]
tenant = "acme"
name = "nova"
url = "{feed}"
every = "1s"
"#
    )
}

/// The servers that are ready carry the load.
async fn carry(weir: Arc<Installation>, site: Arc<Site>) {
    loop {
        site.set_servers(ready(&weir).await);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn ready(weir: &Installation) -> BTreeMap<String, String> {
    let mut answer = weir.door.get("/v1/groups/web/servers").await.unwrap();
    let servers: Vec<Value> = serde_json::from_value(answer["servers"].take()).unwrap();
    let text = |server: &Value, field: &str| server[field].as_str().unwrap().to_owned();
    let ready = servers.iter().filter(|server| server["state"] == "ready");
    ready.map(|server| (text(server, "server"), text(server, "name"))).collect()
}

/// What Prometheus measures goes to the door, once a second.
async fn sample(weir: Arc<Installation>, monitoring: Monitoring) {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    loop {
        second.tick().await;
        let samples: Vec<Value> = monitoring.query("cpu_usage_percent").await.iter().map(pushed).collect();
        if !samples.is_empty() {
            weir.door.post("/v1/samples", &json!({ "samples": samples })).await.unwrap();
        }
    }
}

fn pushed(measured: &Measured) -> Value {
    let value: Box<RawValue> = RawValue::from_string(measured.value.clone()).unwrap();
    json!({ "metric": "cpu.usage", "value": value, "server": measured.server, "at": measured.at_ms })
}
