//! A process that is stopped in the middle of its work for longer than anybody waits for it, and then goes on: somebody else
//! has all that was its, nothing that it says counts, it begins nothing, and what it had begun is put right.

use super::{
    at_rest, audit,
    site::{PATIENCE, Process, Site},
};
use reqwest::Method;
use serde_json::Value;
use std::{
    fs::{self, File},
    path::Path,
    time::{Duration, Instant},
};
use weir_tests::{cassandra::Node, kafka::Broker};

const POLICY: &str = r#"edition 2026

launch small {
  image  "app-1"
  flavor "small"
}

group app {
  region   "LON"
  capacity 2..40
  launch   small
  cooldown 1s

  rule surge {
    manual
    add 2
    cooldown 1s
  }
}
"#;
/// Servers that one force adds.
const SURGE: usize = 2;
/// A look is answered so late that there is time to stop the process between the look and the orders that follow from it.
const CLOUD: &str = "build_ms = [100, 300]\nanswer_ms = 2000";

#[test]
fn a_zombie_says_nothing_begins_nothing_and_what_it_had_begun_is_put_right() {
    let (node, _alone) = Node::alone();
    super::run(async {
        let site = Site::new(Broker::shared().unwrap(), node, CLOUD);
        let tenant = site.tenants[0].clone();
        let mut zombie = site.process("zombie", "engine,executor,api");
        zombie.start();
        site.live_everywhere(&[&zombie]).await;
        site.deploy(&zombie, &tenant, "app.weir", POLICY).await;
        at_rest(&site, &zombie, &tenant).await;

        // With the cloud's file in our hands the orders are under way, and none of them is done.
        let (mut forces, cloud) = (0, site.cloud_of(&tenant));
        let held = loop {
            forces += 1;
            assert!(forces < 8, "the orders are never under way\n{}", zombie.said());
            force(&site, &zombie, &tenant, forces).await;
            tokio::time::sleep(Duration::from_millis(1_000)).await;
            let held = File::options().append(true).open(&cloud).unwrap();
            held.lock().unwrap();
            if orders_are_under_way(&site, &zombie, &tenant).await {
                break held;
            }
            drop(held);
            at_rest(&site, &zombie, &tenant).await;
        };
        let before = made(&cloud);
        zombie.stop();
        drop(held);

        let mut heir = site.process("heir", "engine,executor,api");
        heir.start();
        let took = site.live_everywhere(&[&heir]).await;
        println!("figure: {:.1} s from a stop to another owner of everything", took.as_secs_f64());
        at_rest(&site, &heir, &tenant).await;
        forces += 1;
        force(&site, &heir, &tenant, forces).await;
        at_rest(&site, &heir, &tenant).await;
        let (target, made_by_heir) = (2 + SURGE * forces, made(&cloud));
        assert_eq!(
            made_by_heir - before,
            2 * SURGE,
            "the heir made what the zombie had not, and what it was told itself"
        );

        zombie.go_on();
        let began = Instant::now();
        while !zombie.all_said().contains("was taken over by another process") {
            assert!(began.elapsed() < PATIENCE, "{}", zombie.said());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // It is one of the living again and may have partitions of its own, by the rules.
        site.live_everywhere(&[&zombie, &heir]).await;
        let (groups, ledger) = at_rest(&site, &heir, &tenant).await;
        assert_eq!(audit::a_cloud_is_as_wanted(&site, &tenant, &groups, &ledger), target);
        assert_eq!(made(&cloud) - made_by_heir, SURGE, "the orders that were under way, and not one more");
        println!("figure: {SURGE} orders of a zombie arrived late and were put right; it made no other");

        let export = audit::export(&heir, &tenant);
        println!("figure: {tenant}, replayed: {}", audit::a_replay_is_equal(&heir, site.path(), &tenant, &export));
        let (commands, given_twice) = audit::generations_rise(&site);
        assert_eq!(given_twice, 0, "no broker fell");
        let forced = commands.iter().filter(|command| command.by.starts_with("surge")).count();
        assert_eq!(forced, forces, "one command a force: {commands:#?}");
    });
}

async fn force(site: &Site, process: &Process, tenant: &str, number: usize) {
    let (path, began) = ("/v1/groups/app/rules/surge/force", Instant::now());
    loop {
        let request = site.request(&process.url, tenant, Method::POST, path);
        let sent = request.header("idempotency-key", format!("force-{number}")).send().await;
        if sent.is_ok_and(|answer| answer.status().is_success()) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{}", process.said());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Whether the ledger has the orders of a force, and the cloud nothing of them. Answers after a while if not.
async fn orders_are_under_way(site: &Site, process: &Process, tenant: &str) -> bool {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(6) {
        let answer = site.read(process, tenant, "/v1/groups/app/servers").await;
        let rows = answer["servers"].as_array().cloned().unwrap_or_default();
        if rows.iter().filter(|row| row["state"] == "ordered" && row["server"].is_null()).count() == SURGE {
            // From the commit of the ledger to the call there is a look at whether one may act.
            tokio::time::sleep(Duration::from_millis(700)).await;
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}

/// Servers that a cloud ever made.
fn made(cloud: &Path) -> usize {
    let lines = fs::read_to_string(cloud).unwrap();
    let numbers = lines.lines().filter_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        line["server"]["number"].as_u64()
    });
    usize::try_from(numbers.max().unwrap_or_default()).unwrap()
}
