//! `kill -9` at random moments under a steady stream of facts, on the simulated cloud and on Mimic: nothing that was
//! acknowledged is lost, nothing is done twice, no server is left over.
//!
//! `WEIR_CRASHES` is how often in all (200), `WEIR_SEED` the seed, which is printed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod audit;
mod storm;

use audit::Standing;
use reqwest::Method;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    sync::Arc,
    time::{Duration, Instant},
};
use storm::{Policies, Storm};
use weir::{
    clock::WallClock,
    executor::{
        rackspace::{Credentials, Rackspace, RackspaceSettings},
        simulated,
    },
};
use weir_engine::{
    id::{GroupUid, Slot},
    view::GroupRow,
};
use weir_tests::{dice::Dice, mimic::Mimic, process::Installation};

/// The last seconds of a run: the sweep is two seconds, so two of them have passed when nothing moves for longer.
const STILL: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(120);

const EXECUTOR: &str = "[executor]\nsweep = \"2s\"\nlook = \"300ms\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn on_the_simulated_cloud() {
    // Slow answers, so that many a kill comes between a deed and its answer; and builds that fail.
    let cloud = "[[cloud]]\ntenant = \"acme\"\nkind = \"simulated\"\nlaunch_budget = \"1000 per 1s\"\n[cloud.simulated]\n\
                 build_ms = [50, 900]\ndelete_ms = 200\nanswer_ms = 20\nfailing = 0.02\n";
    let weir = Installation::new(env!("CARGO_BIN_EXE_weir-under-test"), &format!("{EXECUTOR}{cloud}")).unwrap();
    let ended = run("simulated", weir, policies("SIM", "small-1", "small")).await;
    let servers = simulated::read_file(&ended.weir.data().join("simulated-acme.ndjson")).unwrap();
    let standing = servers
        .into_iter()
        .map(|server| Standing { id: server.id, mark: server.mark.map(|mark| (mark.uid, mark.slot)) });
    audit::the_cloud_is_as_wanted(&ended.groups, &ended.ledger, &standing.collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn on_mimic() {
    const USER: &str = "crash";
    let mimic = Mimic::in_real_time().unwrap();
    let cloud = format!(
        "[[cloud]]\ntenant = \"acme\"\nregion = \"ORD\"\nkind = \"rackspace\"\nauth_url = \"{}\"\n\
         credentials_file = \"account\"\nlaunch_budget = \"1000 per 1s\"\n",
        mimic.auth_url()
    );
    let weir = Installation::new(env!("CARGO_BIN_EXE_weir-under-test"), &format!("{EXECUTOR}{cloud}")).unwrap();
    fs::write(weir.folder().join("account"), format!("username = \"{USER}\"\napi_key = \"any\"\n")).unwrap();
    let ended = run("mimic", weir, policies("ORD", "CentOS 6 (PV)", "1 GB Performance")).await;

    let credentials = Credentials::read(&ended.weir.folder().join("account")).unwrap();
    let installation = ended.log_id.get(..16).unwrap();
    let settings = RackspaceSettings::new(&mimic.auth_url(), "ORD", credentials, installation);
    let ours = Rackspace::new(settings, Arc::new(WallClock)).unwrap().survey().await.unwrap();
    let marks: BTreeMap<String, _> = ours.into_iter().map(|(uid, seen)| (seen.id, (uid, seen.slot))).collect();
    // Asked of Mimic itself, so that a server without a mark is seen too.
    let standing = mimic.server_ids(USER, "ORD").await.unwrap().into_iter();
    let standing = standing.map(|id| Standing { mark: marks.get(&id).copied(), id });
    audit::the_cloud_is_as_wanted(&ended.groups, &ended.ledger, &standing.collect::<Vec<_>>());
}

/// How it stood at the end.
struct Ended {
    weir: Installation,
    log_id: String,
    groups: Vec<GroupRow>,
    ledger: BTreeMap<String, (GroupUid, Slot)>,
}

/// Kills the program its half of all times, lets it come to rest, and looks at everything but the cloud.
async fn run(name: &str, mut weir: Installation, policies: Policies) -> Ended {
    let crashes = std::env::var("WEIR_CRASHES").map_or(200, |crashes| crashes.parse::<u32>().unwrap()).div_ceil(2);
    let seed = Dice::seed();
    println!("figure: {name}: {crashes} × kill -9, WEIR_SEED={seed}");
    fs::write(weir.folder().join("storm.weir"), policies(0)).unwrap();
    weir.start(&["storm.weir"]).unwrap();
    weir.ready().await.unwrap();
    deployed(&weir).await;

    let mut dice = Dice::new(seed);
    let storm = Storm::begin(&weir.door, dice.below(u64::MAX), &policies);
    let mut recoveries = Vec::new();
    for _ in 0..crashes {
        // Most kills hit a running program, some one that has just begun to recover.
        if dice.below(4) > 0 {
            weir.ready().await.unwrap();
            tokio::time::sleep(dice.moment(1_500)).await;
        } else {
            tokio::time::sleep(dice.moment(150)).await;
        }
        weir.kill().unwrap();
        storm.must_go_on();
        let began = Instant::now();
        weir.start(&["storm.weir"]).unwrap();
        if dice.below(4) > 0 {
            weir.ready().await.unwrap();
            recoveries.push(began.elapsed());
        }
    }
    weir.ready().await.unwrap();
    let (acknowledged, sent) = storm.end().await;
    for sent in &sent {
        assert!(sent.taken > 0, "{sent:?}");
    }
    let sent: Vec<String> =
        sent.iter().map(|sent| format!("{} {} ({} given up)", sent.taken, sent.kind, sent.given_up)).collect();
    println!("figure: taken: {}", sent.join(", "));
    recoveries.sort_unstable();
    let shown = |at: usize| format!("{:.0} ms", recoveries[at].as_secs_f64() * 1_000.0);
    let (median, longest) = (shown(recoveries.len() / 2), shown(recoveries.len() - 1));
    println!(
        "figure: from start to ready after a kill: median {median}, longest {longest}, {} times",
        recoveries.len()
    );

    // From here on no rule wishes anything, so what is at rest stays so while one looks at it.
    let calm = weir.door.request(Method::PUT, "/v1/policies/storm.weir").body(calm(&policies)).send().await.unwrap();
    assert!(calm.status().is_success(), "{}", calm.text().await.unwrap());
    let (groups, ledger) = at_rest(&weir).await;
    let export = weir.run(&["log", "export"]).unwrap();
    assert!(export.status.success(), "{}", String::from_utf8_lossy(&export.stderr));
    weir.stop().unwrap();
    let export = String::from_utf8(export.stdout).unwrap();
    let log_id = audit::nothing_acknowledged_is_lost(&export, &acknowledged);
    audit::a_replay_is_equal(&weir, &export);
    audit::generations_rise(&weir);
    Ended { weir, log_id, groups, ledger }
}

/// The policy at its `number`-th deploy: the ceiling goes up and down, and each text is its own.
fn policies(region: &'static str, image: &'static str, flavor: &'static str) -> Policies {
    Arc::new(move |number| {
        let swaps = [
            ("# deploy 0", format!("# deploy {number}")),
            ("\"SIM\"", format!("\"{region}\"")),
            ("\"small-1\"", format!("\"{image}\"")),
            // Mimic builds for as long as a server's metadata says, in seconds; the simulated cloud does not care.
            ("\"small\"", format!("\"{flavor}\"\n  metadata {{\n    server_building \"1\"\n  }}")),
            ("2..8", format!("2..{}", 8 + number % 2)),
        ];
        let text = include_str!("../../samples/policies/storm.weir").to_owned();
        swaps.into_iter().fold(text, |text, (this, that)| {
            assert!(text.contains(this), "{this}");
            text.replace(this, &that)
        })
    })
}

/// The policy with thresholds that nothing reaches.
fn calm(policies: &Policies) -> String {
    let swaps = [("critical on 2 servers", "critical on 99 servers"), ("< 40%", "< 0.001%"), (">= 20", ">= 4000")];
    swaps.into_iter().fold(policies(0), |text, (this, that)| {
        assert!(text.contains(this), "{this}");
        text.replace(this, that)
    })
}

async fn deployed(weir: &Installation) {
    let began = Instant::now();
    while weir.door.get("/v1/groups/web").await.is_err() {
        assert!(began.elapsed() < PATIENCE, "the policy is not deployed:\n{}", weir.said());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until every group has what it wants, every server of its ledger is ready, and nothing has changed for a while. (A
/// server that leaves counts as gone for the rules at once, and is gone from the cloud later: a delete that a kill cut off
/// is asked for again after ten seconds.)
async fn at_rest(weir: &Installation) -> (Vec<GroupRow>, BTreeMap<String, (GroupUid, Slot)>) {
    let (began, mut since, mut before) = (Instant::now(), Instant::now(), Vec::new());
    loop {
        let mut answer = weir.door.get("/v1/groups").await.unwrap();
        let groups: Vec<GroupRow> = serde_json::from_value(answer["groups"].take()).unwrap();
        let servers = servers(weir, &groups).await;
        let shape: Vec<_> = groups.iter().map(|row| (row.uid, row.generation, row.target, row.ready)).collect();
        let wanted: usize = groups.iter().map(|row| row.target as usize).sum();
        let calm = groups.iter().all(|row| row.ready == row.target && row.state == "ok")
            && servers.len() == wanted
            && servers.iter().all(|(_, row)| row["state"] == "ready");
        if shape != before || !calm {
            (since, before) = (Instant::now(), shape);
        }
        if since.elapsed() > STILL {
            println!("figure: at rest {:.0} s after the last fact", (began.elapsed() - STILL).as_secs_f64());
            return (groups, ledger(servers));
        }
        assert!(began.elapsed() < PATIENCE, "it does not come to rest: {groups:#?}\n{servers:#?}\n{}", weir.said());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The ledger's rows, each with its group's uid.
async fn servers(weir: &Installation, groups: &[GroupRow]) -> Vec<(GroupUid, Value)> {
    let mut rows = Vec::new();
    for group in groups {
        let mut answer = weir.door.get(&format!("/v1/groups/{}/servers", group.group)).await.unwrap();
        let servers: Vec<Value> = serde_json::from_value(answer["servers"].take()).unwrap();
        rows.extend(servers.into_iter().map(|row| (group.uid, row)));
    }
    rows
}

/// What the ledger says of each of the cloud's servers.
fn ledger(rows: Vec<(GroupUid, Value)>) -> BTreeMap<String, (GroupUid, Slot)> {
    let mut ledger = BTreeMap::new();
    for (uid, row) in rows {
        let slot: Slot = serde_json::from_value(row["slot"].clone()).unwrap();
        let before = ledger.insert(row["server"].as_str().unwrap().to_owned(), (uid, slot));
        assert!(before.is_none(), "one server in two slots: {row}");
    }
    ledger
}
