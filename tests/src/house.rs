//! A whole door on loopback: real HTTP, the embedded log and store in a folder of its own, and the step machine beside
//! it. Two tenants share the one partition, so that what is one's can be seen to stay away from the other.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::{net::TcpListener, sync::oneshot};
use weir::{
    api::{Door, Hooks, serve},
    backend::{
        Backend, Committed, Log, Machine, Machines, Settled, Stepped, View, ViewKind,
        embedded::{Embedded, Settings},
    },
    clock::WallClock,
    config::Config,
    http,
    secret::Keyring,
};
use weir_engine::{
    event::{Event, Record},
    id::Slot,
    ledger::ServerRow,
    partition::Partition,
    view::{Change, Row},
};

/// Tokens of the house, by what they are for.
pub mod tokens {
    /// Administers `acme`.
    pub const ADMIN: &str = "acme-administrator-canary-1";
    /// Reads `acme`.
    pub const VIEWER: &str = "acme-viewer-canary-2";
    /// Sends facts of `acme`.
    pub const SENDER: &str = "acme-sender-canary-3";
    /// Rackspace Monitoring's, for `acme`.
    pub const MAAS: &str = "acme-monitoring-canary-4";
    /// Administers `beta`, who may send five facts a second.
    pub const BETA: &str = "beta-administrator-canary-5";
    /// Rackspace Monitoring's, for `beta`.
    pub const BETA_MAAS: &str = "beta-monitoring-canary-6";
    /// All of them.
    pub const ALL: [&str; 6] = [ADMIN, VIEWER, SENDER, MAAS, BETA, BETA_MAAS];
}

const CONFIG: &str = r#"
[[tenant]]
name = "acme"
maas_token_file = "t4"
maas_tenant_ids = ["91111"]
token_file = "t1"
quota = { servers = 40 }
[[tenant.token]]
name = "watcher"
role = "viewer"
file = "t2"
[[tenant.token]]
name = "prometheus"
role = "sender"
file = "t3"

[[tenant]]
name = "beta"
token_file = "t5"
maas_token_file = "t6"
quota = { facts_per_second = 5 }
"#;

/// A running door.
pub struct House {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    /// Its log and store.
    pub store: Arc<Embedded>,
    /// For requests.
    pub client: reqwest::Client,
    farewell: Option<oneshot::Sender<()>>,
    stop: Arc<AtomicBool>,
    engine: Option<JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

impl House {
    /// Opens one.
    ///
    /// # Errors
    /// The system's, or the first thing that does not come up.
    pub async fn open() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        for (index, token) in tokens::ALL.iter().enumerate() {
            std::fs::write(folder.path().join(format!("t{}", index + 1)), token)?;
        }
        let config = Config::read(CONFIG, &folder.path().join("weir.toml"))?;
        let (keys, _) = Keyring::open(&config)?;
        let store = Arc::new(Embedded::open(Path::new(&config.data), Settings::default())?);
        let stop = Arc::new(AtomicBool::new(false));
        let engine = {
            let (store, stop) = (Arc::clone(&store), Arc::clone(&stop));
            thread::spawn(move || run(&store, &stop))
        };
        let reader = Arc::clone(&store);
        let state_at = move |_: &str, partition, offset| state_at(&reader, partition, offset);
        let hooks = Hooks { state_at: Some(Arc::new(state_at)), ..Hooks::default() };
        let backend: Arc<dyn Backend> = store.clone();
        let door = Arc::new(Door::new(config, keys, backend, Arc::new(WallClock), hooks)?);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (farewell, stopping) = oneshot::channel();
        tokio::spawn(serve(listener, door, async move { drop(stopping.await) }));
        let client = http::client()?;
        let house = Self { url, store, client, farewell: Some(farewell), stop, engine: Some(engine), _folder: folder };
        house.wait_until_ready().await?;
        Ok(house)
    }

    async fn wait_until_ready(&self) -> anyhow::Result<()> {
        for _ in 0..200 {
            if let Ok(answer) = self.client.get(format!("{}/readyz", self.url)).send().await
                && answer.status().is_success()
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        anyhow::bail!("the door was not ready within five seconds")
    }

    /// The events of a tenant in the log.
    ///
    /// # Errors
    /// The store's.
    pub fn log(&self, tenant: &str) -> anyhow::Result<Vec<Event>> {
        let lines = self.store.read(0, 0, usize::MAX)?;
        let events = lines.iter().map(|line| Event::from_line(&line.bytes)).collect::<Result<Vec<_>, _>>()?;
        Ok(events.into_iter().filter(|event| event.tenant == tenant).collect())
    }

    /// Writes one server into the ledger's view of a group, as an executor would.
    ///
    /// # Errors
    /// The store's.
    pub fn tell_servers(&self, tenant: &str, uid: &str, name: &str) -> anyhow::Result<()> {
        let (owner, _) = self.store.take_over(Machine::Settle, 0)?;
        let row = ServerRow {
            slot: Some(Slot { serial: 1, incarnation: 1 }),
            server: Some("sim-1".into()),
            name: name.to_owned(),
            state: "serving".into(),
            protected: false,
            since: Some(0),
            addresses: vec!["10.0.0.1".into()],
            detail: String::new(),
        };
        let row = Some(serde_json::to_value([row])?);
        let view = View { kind: ViewKind::Servers, tenant: tenant.to_owned(), name: uid.to_owned(), row };
        Ok(self.store.commit_settle(&owner, Settled { views: vec![view], ..Settled::default() })?)
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        drop(self.farewell.take());
        if let Some(engine) = self.engine.take() {
            // A panic in it has already failed whatever waited for it.
            drop(engine.join());
        }
    }
}

/// Steps whatever is in the log, one record a commit.
fn run(store: &Embedded, stop: &AtomicBool) {
    let mut next = 0;
    if let Err(error) = steps(store, stop, &mut next) {
        eprintln!("the step machine ended at {next}: {error}");
    }
}

fn steps(store: &Embedded, stop: &AtomicBool, next: &mut u64) -> anyhow::Result<()> {
    let (owner, _) = store.take_over(Machine::Step, 0)?;
    let mut partition = Partition::new(&store.log_id(), 0);
    // An empty log is caught up with too.
    store.commit_step(&owner, Stepped { committed: committed(&partition), live: true, ..Stepped::default() })?;
    while !stop.load(Ordering::SeqCst) {
        if !store.wait_for(0, *next, Duration::from_millis(50)) {
            continue;
        }
        for line in store.read(0, *next, 64)? {
            let event = Event::from_line(&line.bytes)?;
            let record = Record { offset: line.offset, appended_ms: line.appended_ms, event };
            let effects = partition.step(&record).map_err(|halt| io::Error::other(halt.to_string()))?;
            let views = effects.rows.into_iter().map(view).collect::<Result<Vec<_>, _>>()?;
            let (commands, decisions) = (effects.commands, effects.decisions);
            let committed = committed(&partition);
            store.commit_step(&owner, Stepped { committed, live: true, commands, decisions, views })?;
            *next = partition.next();
        }
    }
    Ok(())
}

fn committed(partition: &Partition) -> Committed {
    Committed { next: partition.next(), semantics: partition.semantics(), digest: partition.digest() }
}

fn view(row: Row) -> Result<View, serde_json::Error> {
    let (kind, value) = match row.change {
        Change::Group(row) => (ViewKind::Groups, Some(serde_json::to_value(row)?)),
        Change::GroupGone => (ViewKind::Groups, None),
        Change::Policy(row) => (ViewKind::Policies, Some(serde_json::to_value(row)?)),
        Change::Cursor(row) => (ViewKind::Cursors, Some(serde_json::to_value(row)?)),
        Change::Tenant(row) => (ViewKind::Tenants, Some(serde_json::to_value(row)?)),
    };
    Ok(View { kind, tenant: row.tenant, name: row.name, row: value })
}

/// The state before an offset, by a replay from the beginning.
fn state_at(store: &Embedded, partition: u32, offset: u64) -> weir::backend::Result<Partition> {
    let wrong = |error: String| weir::backend::Error::Damaged(error);
    let mut state = Partition::new(&store.log_id(), partition);
    for line in store.read(partition, 0, usize::try_from(offset).unwrap_or(usize::MAX))? {
        let event = Event::from_line(&line.bytes).map_err(|error| wrong(error.to_string()))?;
        let record = Record { offset: line.offset, appended_ms: line.appended_ms, event };
        state.step(&record).map_err(|halt| wrong(halt.to_string()))?;
    }
    Ok(state)
}
