//! F9: from an alarm's first byte at the door to the command that an executor can read: HTTP, log, sync, step, commit.
//! Alone, and beside 70 % of the samples that the same door takes at most; with what one sync of the same disk takes.

use super::{fleet, quantile, say};
use std::{
    io::Write as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{net::TcpListener, sync::oneshot, task::JoinSet, time::interval_at};
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
        let (mut took, mut taken) = (Vec::new(), Vec::new());
        for _ in 0..super::ROUNDS {
            let round = round(samples_each_second).await?;
            took.extend(round.took);
            taken.push(round.taken);
        }
        took.sort_unstable();
        taken.sort_by(f64::total_cmp);
        let (promised, taken) = (quantile(&syncs, 990).as_secs_f64() * 1_000.0 + 10.0, taken[super::ROUNDS / 2]);
        let note = format!(
            "p99 {}; promised {promised:.1} ms; {} alarms beside {}",
            show(&took, 990),
            took.len(),
            super::each_second(taken)
        );
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
    let mut clients = JoinSet::new();
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

/// What came of a round.
struct Round {
    /// From alarm to command, each.
    took: Vec<Duration>,
    /// Samples that the door took meanwhile, a second.
    taken: f64,
}

/// One alarm for each group of a new installation, one after the other.
async fn round(samples_each_second: u32) -> anyhow::Result<Round> {
    let (house, url, mut mark) = House::new().await?;
    let client = http::client()?;
    let taken = Arc::new(AtomicU32::new(0));
    let _load = load(&client, &url, samples_each_second, &taken);
    let (mut took, began) = (Vec::new(), Instant::now());
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
    let taken = f64::from(taken.load(Ordering::Relaxed)) / began.elapsed().as_secs_f64();
    Ok(Round { took, taken })
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

/// Sends samples, each in a request of its own, until it is dropped: from as many clients as found the peak, each with a
/// connection and an even pace. Who is late sends at once until it has caught up. Counts what was taken.
fn load(client: &reqwest::Client, url: &str, each_second: u32, taken: &Arc<AtomicU32>) -> JoinSet<()> {
    let mut clients = JoinSet::new();
    if each_second == 0 {
        return clients;
    }
    let pace = Duration::from_secs(CLIENTS as u64) / each_second;
    for first in 0..CLIENTS {
        let (client, url, taken) = (client.clone(), url.to_owned(), Arc::clone(taken));
        let mut pace = interval_at((Instant::now() + pace * first as u32 / CLIENTS as u32).into(), pace);
        clients.spawn(async move {
            for number in (first..).step_by(CLIENTS) {
                pace.tick().await;
                let sent = push(&client, &url, number % fleet::GROUPS).send().await;
                taken.fetch_add(u32::from(sent.is_ok_and(|sent| sent.status().is_success())), Ordering::Relaxed);
            }
        });
    }
    clients
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
