//! F9: from an alarm's first byte at the door to the command that an executor can read: HTTP, log, sync, step, commit.
//! Alone, and beside 70 % of the samples that the same door takes at most; with what one sync of the same disk takes.

use super::{fleet, quantile, say};
use std::{
    io::Write as _,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{net::TcpListener, sync::oneshot};
use weir::{
    api::{Door, Hooks, serve},
    backend::{
        Backend, History, Log, Machines,
        embedded::{Embedded, Settings},
    },
    clock::{Clock, WallClock},
    config::Config,
    http,
    secret::Keyring,
    worker::{self, WorkerHandle},
};
use weir_engine::time::rfc3339;

/// Syncs measured.
const SYNCS: usize = 200;
/// Clients that find the peak, and for how long.
const CLIENTS: usize = 64;
const PEAK_FOR: Duration = Duration::from_secs(3);
const TOKEN: &str = "bench-token-0123456789";

/// Prints the time from alarm to command, alone and beside a stream of samples.
///
/// # Errors
/// The first thing that does not come up.
pub async fn run() -> anyhow::Result<()> {
    println!("alarm in, command out: HTTP door, embedded log, synced; {} groups", fleet::GROUPS);
    let show = |took: &[Duration], permille| format!("{:.1} ms", quantile(took, permille).as_secs_f64() * 1_000.0);
    let syncs = syncs()?;
    let note = format!("p99 {}; 4 KiB written, then fdatasync, {} times", show(&syncs, 990), syncs.len());
    say("one sync: p50", &show(&syncs, 500), &note);
    let peak = peak().await?;
    say("peak: samples, each in its request", &super::each_second(f64::from(peak)), &format!("{CLIENTS} clients"));
    for (name, samples_each_second) in [("F9 alone: p50", 0), ("F9 beside 70 % of the peak: p50", peak * 7 / 10)] {
        let mut took = Vec::new();
        for _ in 0..super::ROUNDS {
            took.extend(round(samples_each_second).await?);
        }
        took.sort_unstable();
        let promised = quantile(&syncs, 990).as_secs_f64() * 1_000.0 + 10.0;
        let note = format!("p99 {}; promised {promised:.1} ms; {} alarms", show(&took, 990), took.len());
        say(name, &show(&took, 500), &note);
    }
    Ok(())
}

/// What one sync of the disk takes on which the bench's folders lie, sorted.
fn syncs() -> anyhow::Result<Vec<Duration>> {
    let folder = tempfile::tempdir()?;
    let mut file = std::fs::File::create(folder.path().join("sync"))?;
    let mut took = Vec::new();
    for _ in 0..SYNCS {
        let started = Instant::now();
        file.write_all(&[0x5a; 4_096])?;
        file.sync_data()?;
        took.push(started.elapsed());
    }
    took.sort_unstable();
    Ok(took)
}

/// How many samples a second the door takes, each in a request of its own, from clients that never wait.
async fn peak() -> anyhow::Result<u32> {
    let (_house, url, _) = House::new().await?;
    let client = http::client()?;
    let until = Instant::now() + PEAK_FOR;
    let mut clients = tokio::task::JoinSet::new();
    for first in 0..CLIENTS {
        let (client, url) = (client.clone(), url.clone());
        clients.spawn(async move {
            let mut taken = 0;
            while Instant::now() < until {
                let sent = push(&client, &url, (first + taken as usize) % fleet::GROUPS).send().await;
                taken += u32::from(sent.is_ok_and(|sent| sent.status().is_success()));
            }
            taken
        });
    }
    let taken: u32 = clients.join_all().await.into_iter().sum();
    Ok(taken / u32::try_from(PEAK_FOR.as_secs())?)
}

/// A new installation with the fleet's first tenant in it, in one process.
struct House {
    _folder: tempfile::TempDir,
    store: Arc<Embedded>,
    worker: Option<WorkerHandle>,
    _farewell: oneshot::Sender<()>,
}

impl House {
    /// With the door's URL and the mark of the newest command.
    async fn new() -> anyhow::Result<(Self, String, u64)> {
        let folder = tempfile::tempdir()?;
        let store = Arc::new(Embedded::open(folder.path(), Settings::default())?);
        let backend: Arc<dyn Backend> = store.clone();
        let worker = Some(worker::start(Arc::clone(&backend), 0, worker::Settings::default())?);
        let mark = populate(&store)?;
        let (url, farewell) = open(folder.path(), backend).await?;
        Ok((Self { _folder: folder, store, worker, _farewell: farewell }, url, mark))
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(worker) = self.worker.take() {
            worker.stop();
        }
    }
}

/// One alarm for each group of a new installation, one after the other.
async fn round(samples_each_second: u32) -> anyhow::Result<Vec<Duration>> {
    let (house, url, mut mark) = House::new().await?;
    let client = http::client()?;
    let load = tokio::spawn(load(client.clone(), url.clone(), samples_each_second));
    let mut took = Vec::new();
    for group in 0..fleet::GROUPS {
        let body = alert(&fleet::server(0, group, 1));
        let started = Instant::now();
        let (reader, after) = (Arc::clone(&house.store), mark);
        let seen = tokio::task::spawn_blocking(move || {
            let answer = reader.commands_after(0, after, Duration::from_secs(10));
            (answer, Instant::now())
        });
        let sent = client.post(format!("{url}/v1/alarms/alertmanager")).bearer_auth(TOKEN).body(body).send().await?;
        anyhow::ensure!(sent.status().is_success(), "{}: {}", sent.status(), sent.text().await?);
        let (answer, at) = seen.await?;
        let (next, commands) = answer?;
        anyhow::ensure!(commands.len() == 1, "{} commands of one alarm", commands.len());
        mark = next;
        took.push(at - started);
    }
    load.abort();
    Ok(took)
}

/// The fleet's first tenant, its servers ready. Answers the mark of its newest command.
fn populate(store: &Embedded) -> anyhow::Result<u64> {
    store.append(0, &fleet::policies(0))?;
    let applied = || store.range(0).map(|(_, end)| store.wait_stepped(0, end - 1, Duration::from_secs(30)));
    anyhow::ensure!(applied()?, "the policies are not applied");
    let commands: Vec<_> = store.commands_since(0, 0, usize::MAX)?;
    let outcomes = fleet::servers(&commands.iter().map(|(_, command)| command.clone()).collect::<Vec<_>>());
    store.append(0, &outcomes)?;
    anyhow::ensure!(applied()?, "the servers are not applied");
    Ok(store.commands_after(0, 0, Duration::ZERO)?.0)
}

async fn open(folder: &Path, backend: Arc<dyn Backend>) -> anyhow::Result<(String, oneshot::Sender<()>)> {
    std::fs::write(folder.join("token"), TOKEN)?;
    let text = "[[tenant]]\nname = \"tenant-0\"\ntoken_file = \"token\"\nquota = { facts_per_second = 1000000 }\n";
    let config = Config::read(text, &folder.join("weir.toml"))?;
    let (keys, _) = Keyring::open(&config)?;
    let door = Arc::new(Door::new(config, keys, backend, Arc::new(WallClock), Hooks::default())?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let (farewell, stopping) = oneshot::channel();
    tokio::spawn(serve(listener, door, async move { drop(stopping.await) }));
    Ok((url, farewell))
}

/// Sends samples, each in a request of its own, until it is aborted.
async fn load(client: reqwest::Client, url: String, each_second: u32) {
    if each_second == 0 {
        return;
    }
    let mut pace = tokio::time::interval(Duration::from_secs(1) / each_second);
    let mut number = 0;
    loop {
        pace.tick().await;
        number = (number + 1) % fleet::GROUPS;
        let request = push(&client, &url, number);
        // Its answers are not what is measured; a door that refuses them shows in the alarms' own answers.
        tokio::spawn(async move { drop(request.send().await) });
    }
}

fn push(client: &reqwest::Client, url: &str, group: usize) -> reqwest::RequestBuilder {
    let sample = serde_json::json!({ "metric": "cpu.usage", "value": 50, "server": fleet::server(0, group, 2) });
    client.post(format!("{url}/v1/samples")).bearer_auth(TOKEN).json(&serde_json::json!({ "samples": [sample] }))
}

fn alert(server: &str) -> String {
    let starts = rfc3339(WallClock.now_ms());
    serde_json::json!({ "version": "4", "status": "firing", "alerts": [{
        "status": "firing", "labels": { "alertname": "hot", "severity": "critical", "server_id": server },
        "startsAt": starts, "endsAt": "0001-01-01T00:00:00Z", "fingerprint": server,
    }] })
    .to_string()
}
