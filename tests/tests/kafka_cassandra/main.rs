//! The cluster by real processes over a real Kafka and a real Cassandra: the promises of log and store on both, a storm of kills
//! and stops over a hundred thousand facts, a zombie by itself, and a restart of one process after the other under load.
//!
//! `WEIR_EVENTS`, `WEIR_KILLS` and `WEIR_STOPS` set the storm's size (100000, 40, 10), `WEIR_SEED` the seed, which is printed.
//! With `WEIR_LONG` there are ten storms of another fifty kills each; those that passed are written into the file it names and
//! not run again.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod audit;
mod ports;
mod site;
mod storm;
mod weather;
mod zombie;

use serde_json::Value;
use site::{PATIENCE, Process, Site};
use std::{
    collections::BTreeMap,
    fs,
    future::Future,
    io::Write,
    sync::Arc,
    time::{Duration, Instant},
};
use storm::{Acknowledged, Sent, Storm, calm, policy};
use tokio::task::block_in_place;
use weather::{Keeper, plan};
use weir_engine::{
    id::{GroupUid, Slot},
    view::GroupRow,
};
use weir_tests::{cassandra::Node, dice::Dice, kafka::Broker};

/// Slow answers, so that many a kill comes between a deed and its answer; and builds that fail.
const CLOUD: &str = "build_ms = [50, 900]\ndelete_ms = 200\nanswer_ms = 20\nfailing = 0.02";
/// The sweep is two seconds, so two of them have passed when nothing moves for longer.
const STILL: Duration = Duration::from_secs(5);
/// While one process after the other is started again, no fact waits for a door longer than this.
const REFUSED_MAX: Duration = Duration::from_secs(5);

#[test]
fn a_storm_of_kills_and_zombies_loses_nothing_and_does_nothing_twice() {
    let (node, _alone) = Node::alone();
    let (facts, stops) = (number("WEIR_EVENTS", 100_000), number("WEIR_STOPS", 10));
    let Some(file) = std::env::var_os("WEIR_LONG") else {
        let weather = Weather { facts, kills: number("WEIR_KILLS", 40), stops, seed: Dice::seed() };
        return run(weather.over(node));
    };
    let passed = fs::read_to_string(&file).unwrap_or_default().lines().count();
    for round in passed..10 {
        let weather = Weather { facts, kills: number("WEIR_KILLS", 50), stops, seed: Dice::seed() };
        let seed = weather.seed;
        run(weather.over(node));
        let mut file = fs::File::options().create(true).append(true).open(&file).unwrap();
        writeln!(file, "storm {round} passed, WEIR_SEED={seed}").unwrap();
    }
}

fn number<T: std::str::FromStr>(name: &str, unless: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(unless)
}

fn run(future: impl Future<Output = ()>) {
    tokio::runtime::Runtime::new().unwrap().block_on(future);
}

/// How bad a storm is.
struct Weather {
    facts: u64,
    kills: u32,
    stops: u32,
    seed: u64,
}

impl Weather {
    async fn over(self, node: &'static Node) {
        let Self { facts, kills, stops, seed } = self;
        println!("figure: {facts} facts, {kills} × kill -9, {stops} × stop, WEIR_SEED={seed}");
        eprintln!("WEIR_SEED={seed}");
        let mut dice = Dice::new(seed);
        let site = Arc::new(Site::new(Arc::new(Broker::new().unwrap()), node, CLOUD));
        let mut processes: Vec<Process> = [
            ("engine-1", "engine"),
            ("engine-2", "engine"),
            ("executor-1", "executor"),
            ("executor-2", "executor"),
            ("door-1", "api"),
            ("door-2", "api"),
        ]
        .map(|(name, roles)| site.process(name, roles))
        .into();
        let plan = plan(kills, stops, processes.len(), &mut dice);
        processes.iter_mut().for_each(Process::start);
        site.live_everywhere(&[&processes[0], &processes[1]]).await;
        for tenant in &site.tenants {
            site.deploy(&processes[4], tenant, "storm.weir", &policy(0)).await;
            site.read(&processes[4], tenant, "/v1/groups/web").await;
        }

        let began = Instant::now();
        let doors = [processes[4].url.clone(), processes[5].url.clone()];
        let storm = Storm::begin(&site, &doors, dice.below(u64::MAX));
        let mut keeper = Keeper::new(&site, &mut processes);
        block_in_place(|| {
            let share = facts / (plan.len() as u64 + 1);
            for (done, deed) in plan.iter().enumerate() {
                keeper.pass(dice.moment(3_000));
                // Over all of the facts, not over the first of them.
                while storm.facts() < share * done as u64 {
                    keeper.pass(Duration::from_millis(50));
                    storm.must_go_on();
                }
                eprintln!("{:>6.1} s, {:>6} facts: {deed:?}", began.elapsed().as_secs_f64(), storm.facts());
                keeper.does(*deed);
            }
            while storm.facts() < facts {
                keeper.pass(Duration::from_millis(50));
                storm.must_go_on();
            }
            keeper.calm();
        });
        let gave_up = keeper.gave_up;
        let (acknowledged, sent) = storm.end().await;
        println!("figure: {:.0} s; {}", began.elapsed().as_secs_f64(), words(&sent));
        let fenced: usize =
            processes.iter().map(|one| one.all_said().matches("taken over by another process").count()).sum();
        println!(
            "figure: {fenced} times somebody was told that another has its partition; {gave_up} starts met no broker or database"
        );
        assert!(sent.iter().all(|sent| sent.taken > 0), "{sent:?}");
        let took = site.live_everywhere(&[&processes[0], &processes[1]]).await;
        println!("figure: every partition live {:.1} s after the last fact", took.as_secs_f64());
        judge(&site, &processes[4], &acknowledged, true).await;
    }
}

/// One process after the other ends in order and is started again, twice, while facts come: each finds a door at once.
#[test]
fn a_restart_of_one_after_the_other_refuses_nothing_for_long() {
    let (node, _alone) = Node::alone();
    run(async {
        let site = Arc::new(Site::new(Broker::shared().unwrap(), node, CLOUD));
        let mut processes = ["one", "two"].map(|name| site.process(name, "engine,executor,api"));
        processes.iter_mut().for_each(Process::start);
        site.live_everywhere(&processes.iter().collect::<Vec<_>>()).await;
        for tenant in &site.tenants {
            site.deploy(&processes[0], tenant, "storm.weir", &policy(0)).await;
            site.read(&processes[0], tenant, "/v1/groups/web").await;
        }
        let doors = processes.each_ref().map(|process| process.url.clone());
        let storm = Storm::begin(&site, &doors, Dice::seed());
        tokio::time::sleep(Duration::from_secs(2)).await;
        for number in [0, 1, 0, 1] {
            block_in_place(|| {
                processes[number].end();
                processes[number].start();
            });
            site.live_everywhere(&processes.iter().collect::<Vec<_>>()).await;
            storm.must_go_on();
        }
        let (acknowledged, sent) = storm.end().await;
        println!("figure: 4 × restarted: {}", words(&sent));
        for sent in sent.iter().filter(|sent| sent.kind != "deploys") {
            assert!(sent.refused < REFUSED_MAX && sent.given_up == 0 && sent.taken > 0, "{sent:?}");
        }
        judge(&site, &processes[1], &acknowledged, false).await;
    });
}

fn words(sent: &[Sent]) -> String {
    let one = |sent: &Sent| {
        let [longest, refused] = [sent.longest, sent.refused].map(|length| length.as_secs_f64());
        format!(
            "{} {} ({} given up; at most {refused:.1} s refused, {longest:.1} s to the answer)",
            sent.taken, sent.kind, sent.given_up
        )
    };
    sent.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// All that must be true, once the policies wish nothing any more and everything has come to rest.
async fn judge(site: &Site, door: &Process, acknowledged: &[Acknowledged], a_broker_fell: bool) {
    for tenant in &site.tenants {
        // From here on what is at rest stays so while one looks at it.
        site.deploy(door, tenant, "storm.weir", &calm()).await;
    }
    let (mut servers, mut facts, mut twice) = (0, 0, 0);
    for tenant in &site.tenants {
        let (groups, ledger) = at_rest(site, door, tenant).await;
        servers += audit::a_cloud_is_as_wanted(site, tenant, &groups, &ledger);
    }
    // Half a minute a tenant, one after the other.
    block_in_place(|| {
        std::thread::scope(|scope| {
            let audits = site.tenants.iter().map(|tenant| scope.spawn(|| audit(site, door, tenant, acknowledged)));
            for audit in audits.collect::<Vec<_>>() {
                let (found, again) = audit.join().unwrap();
                (facts, twice) = (facts + found, twice + again);
            }
        });
    });
    let (commands, given_twice) = audit::generations_rise(site);
    assert!(a_broker_fell || given_twice == 0, "{given_twice} commands were decided again, and no broker fell");
    println!(
        "figure: {facts} facts acknowledged, all in the log; {twice} stand there more than once, and no order of them was obeyed twice"
    );
    println!(
        "figure: {} commands, every generation over the one before, {given_twice} decided again alike; {servers} servers",
        commands.len()
    );
}

/// What a tenant's log says of it. Answers how many facts were found and how many of them twice.
fn audit(site: &Site, door: &Process, tenant: &String, acknowledged: &[Acknowledged]) -> (usize, usize) {
    let export = audit::export(door, tenant);
    let of_tenant: Vec<&Acknowledged> = acknowledged.iter().filter(|fact| fact.tenant == *tenant).collect();
    let counted = audit::nothing_is_lost_or_done_twice(&export, &of_tenant);
    println!("figure: {tenant}, replayed: {}", audit::a_replay_is_equal(door, site.path(), tenant, &export));
    counted
}

/// Waits until every group has what it wants, every server of its ledger is ready, and nothing has changed for a while.
async fn at_rest(site: &Site, door: &Process, tenant: &str) -> (Vec<GroupRow>, BTreeMap<String, (GroupUid, Slot)>) {
    let (began, mut since, mut before) = (Instant::now(), Instant::now(), Vec::new());
    loop {
        let mut answer = site.read(door, tenant, "/v1/groups").await;
        let groups: Vec<GroupRow> = serde_json::from_value(answer["groups"].take()).unwrap();
        let mut servers: Vec<(GroupUid, Value)> = Vec::new();
        for group in &groups {
            let answer = site.read(door, tenant, &format!("/v1/groups/{}/servers", group.group)).await;
            let rows = answer["servers"].as_array().cloned().unwrap_or_default();
            servers.extend(rows.into_iter().map(|row| (group.uid, row)));
        }
        let shape: Vec<_> = groups.iter().map(|row| (row.uid, row.generation, row.target, row.ready)).collect();
        let wanted: usize = groups.iter().map(|row| row.target as usize).sum();
        let calm = groups.iter().all(|row| row.ready == row.target && row.state == "ok")
            && servers.len() == wanted
            && servers.iter().all(|(_, row)| row["state"] == "ready");
        if shape != before || !calm {
            (since, before) = (Instant::now(), shape);
        }
        if since.elapsed() > STILL {
            return (groups, ledger(servers));
        }
        assert!(
            began.elapsed() < PATIENCE,
            "{tenant} does not come to rest: {groups:#?}\n{servers:#?}\n{}",
            door.said()
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
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
