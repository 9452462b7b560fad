//! The whole way, with nothing left out: servers get hot, Prometheus measures it, its alerts fire, Alertmanager tells the
//! door, the program decides, and a cloud builds. Then the same with Rackspace Monitoring's bodies and with a feed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod monitoring;
mod shop;
mod site;

use shop::{Shop, rule};
use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};
use weir::{
    clock::WallClock,
    executor::simulated::{Settings, Simulated},
};
use weir_engine::decision::{GuardName, Truth, Verdict};
use weir_tests::feed_server::Post;

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_grows_holds_shrinks_and_is_mended() {
    let mut shop = Shop::open().await;
    shop.changes("bounds", 0, 2).await;
    shop.settled(2).await;

    grows_by_an_alarm_on_servers_and_is_held_by_a_cooldown(&mut shop).await;
    shrinks_by_samples(&mut shop).await;
    shrinks_by_a_shared_alarm(&mut shop).await;
    grows_by_an_alarm_of_rackspace_monitoring(&mut shop).await;
    replaces_a_server_that_the_feed_tells_of(&mut shop).await;
    is_told_by_its_log(&shop);
}

async fn grows_by_an_alarm_on_servers_and_is_held_by_a_cooldown(shop: &mut Shop) {
    // As much as six servers carry: two are hot, four still are.
    shop.site.set_load(380);
    let grown = shop.changes("hot", 2, 4).await;
    assert_eq!(grown.cause, "alarm hot");
    assert_eq!(rule(&grown, "hot").state, Truth::Fires);
    let held = |verdict: &Verdict| match verdict {
        Verdict::Held { by, wish: 6, guard, .. } => by == "hot" && guard.name == GuardName::Cooldown,
        _ => false,
    };
    let held = shop.decided("hot held by its cooldown", |decision| held(&decision.outcome)).await;
    let guard = rule(&held, "hot").guard.clone().unwrap();
    assert_eq!((guard.name, guard.until), (GuardName::Cooldown, Some(grown.at + 8_000)), "{held:#?}");
    // Two alarms may come in one millisecond, for which the change is what is told.
    let words = shop.why(held.at.max(grown.at + 1)).await;
    assert!(words.contains("`cooldown`") && words.contains("hot"), "{words}");

    let again = shop.changes("hot", 4, 6).await;
    assert!(again.at >= grown.at + 8_000, "the cooldown was kept: {} after {}", again.at, grown.at);
    shop.settled(6).await;
    // All are cool now, and Alertmanager says so; were it not heard, the rule would fire again after its cooldown.
    shop.stays(12).await;
    println!("figure: an alarm on two servers: 2 → 4, held by its cooldown, 4 → 6 after {} ms", again.at - grown.at);
}

async fn shrinks_by_samples(shop: &mut Shop) {
    // 21.7 % on each of six, 26 % of five, 32.5 % of four.
    shop.site.set_load(130);
    for (from, to) in [(6, 5), (5, 4)] {
        let shrunk = shop.changes("quiet", from, to).await;
        assert!(rule(&shrunk, "quiet").seen.contains("avg(cpu.usage over 10s) = "), "{shrunk:#?}");
    }
    shop.settled(4).await;
    shop.stays(6).await;
    println!("figure: samples that Prometheus measured: 6 → 5 → 4");
}

async fn shrinks_by_a_shared_alarm(shop: &mut Shop) {
    shop.site.set_load(200);
    shop.site.set_queue(0);
    let shrunk = shop.changes("idle", 4, 2).await;
    assert_eq!(shrunk.cause, "alarm site_idle");
    shop.site.set_queue(50);
    shop.settled(2).await;
    println!("figure: a shared alarm: 4 → 2");
}

async fn grows_by_an_alarm_of_rackspace_monitoring(shop: &mut Shop) {
    shop.site.set_load(100);
    let name = shop.servers().await.into_values().next().unwrap();
    let said = shop.weir.door.post_maas(maas(&name, "CRITICAL", 1)).await.unwrap();
    assert!(said["position"].is_string() && said["note"].is_null(), "it fits a server and an alarm: {said}");
    let grown = shop.changes("failing", 2, 3).await;
    assert_eq!(grown.cause, "alarm web_5xx");
    shop.weir.door.post_maas(maas(&name, "OK", 2)).await.unwrap();
    shop.settled(3).await;
    println!("figure: an alarm of Rackspace Monitoring: 2 → 3");
}

async fn replaces_a_server_that_the_feed_tells_of(shop: &mut Shop) {
    let before = shop.servers().await;
    let victim = before.keys().next().unwrap().clone();
    let hands =
        Simulated::open(&shop.weir.data().join("simulated-acme.ndjson"), Settings::default(), Arc::new(WallClock));
    assert!(hands.unwrap().lose(&victim).unwrap(), "the cloud has `{victim}`");
    // Nobody looks by himself: the sweep comes once an hour.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(shop.servers().await, before);

    let published = Instant::now();
    shop.feed.publish(Post::notification("urn:uuid:9a2e41c0-0000-4000-8000-000000000001", &victim, "deleted"));
    shop.until("another server in its place", async || {
        let now = shop.servers().await;
        (now.len() == 3 && !now.contains_key(&victim)).then_some(())
    })
    .await;
    println!("figure: a lost server, told by the feed, replaced {:.1} s later", published.elapsed().as_secs_f64());
    shop.settled(3).await;
    shop.stays(1).await;
}

/// The day's log says what happened, and run again it decides the same.
fn is_told_by_its_log(shop: &Shop) {
    let export = shop.weir.run(&["log", "export"]).unwrap();
    assert!(export.status.success(), "{export:?}");
    fs::write(shop.weir.folder().join("day.ndjson"), &export.stdout).unwrap();
    let export = String::from_utf8(export.stdout).unwrap();
    let told = |words: &[&str]| export.lines().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(told(&["\"type\":\"weir.server\"", "deleted"]), "the feed's notice");
    assert!(told(&["\"type\":\"weir.outcome\"", "\"what\":\"lost\""]), "the loss");
    let verified = shop.weir.run(&["replay", "day.ndjson", "--verify"]).unwrap();
    assert!(verified.status.success(), "{verified:?}");
    println!("figure: {}", String::from_utf8(verified.stdout).unwrap().lines().last().unwrap());
}

/// What Rackspace Monitoring sends when an alarm on a server changes its state.
fn maas(server: &str, state: &str, number: u64) -> String {
    let now_ms = weir::clock::Clock::now_ms(&WallClock);
    serde_json::json!({
        "event_id": format!("acA1b2C3:enServer:al5xxRate:chHttp:{now_ms}:{state}"),
        "log_entry_id": format!("5c0d3e80-0000-11f1-8000-{number:012}"),
        "details": {
            "target": null, "timestamp": now_ms, "state": state, "status": "the share of 5xx answers is high",
            "metrics": { "code_500": { "type": "n", "data": 12.5, "unit": "percent" } },
            "txn_id": ".rh-test.h-test", "collector_address_v4": "192.0.2.7", "observations": [],
        },
        "entity": { "id": "enServer", "label": server, "ip_addresses": { "default": "198.51.100.9" }, "uri": null, "agent_id": null },
        "check": { "id": "chHttp", "label": "answers", "type": "remote.http", "period": 30 },
        "alarm": { "id": "al5xxRate", "label": "web-5xx", "check_id": "chHttp", "entity_id": "enServer" },
        "tenant_id": "91111",
    })
    .to_string()
}
