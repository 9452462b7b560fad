//! Cassandra, started for a test program by `tests/services/cassandra` and ended with it.
//!
//! Tests share one node and differ in the log they write for, or in the keyspace. One that stops the node takes it
//! [`Node::alone`], so the others wait.

use super::service::free_port;
use anyhow::{Context, Result, ensure};
use scylla::client::{session::Session, session_builder::SessionBuilder};
use std::{
    path::{Path, PathBuf},
    process::{self, Command},
    sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    thread,
    time::{Duration, Instant},
};
use weir::{
    backend::cassandra::{self, Credentials, Settings},
    clock::WallClock,
    config::Replication,
};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/services/cassandra");
const DAY_MS: i64 = 86_400_000;
/// The keyspace that tests share.
const KEYSPACE: &str = "weir_shared";

static NODE: OnceLock<Node> = OnceLock::new();
static RUNS: RwLock<()> = RwLock::new(());

/// A running node.
#[derive(Debug)]
pub struct Node {
    port: String,
    /// `127.0.0.1:PORT`.
    pub address: String,
    /// What signs its certificate: itself.
    pub certificate: PathBuf,
}

impl Node {
    /// The node, with the shared keyspace, for as long as the guard is held.
    pub fn shared() -> (&'static Self, RwLockReadGuard<'static, ()>) {
        let node = NODE.get_or_init(|| Self::start().unwrap());
        (node, RUNS.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The node, and nobody else with it.
    pub fn alone() -> (&'static Self, RwLockWriteGuard<'static, ()>) {
        let node = NODE.get_or_init(|| Self::start().unwrap());
        (node, RUNS.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// One that speaks TLS alone, with the key and certificate in `server.pem` of a folder, which `authority` signs.
    ///
    /// # Errors
    /// The script could not start it; what it said is in the error.
    pub fn encrypted(folder: &Path, authority: &Path) -> Result<Self> {
        let port = free_ports()?.to_string();
        let address = script("up", &port, Some(folder))?.trim().to_owned();
        let node = Self { port, address, certificate: authority.to_owned() };
        node.let_in(&Settings { ca_file: Some(authority.to_owned()), ..node.settings() })?;
        Ok(node)
    }

    fn start() -> Result<Self> {
        let port = free_ports()?.to_string();
        let address = script("up", &port, None)?.trim().to_owned();
        let cache = std::env::var_os("WEIR_TEST_CACHE")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/services"), PathBuf::from);
        let certificate = cache.join(format!("cassandra-{port}/certificate.pem"));
        let node = Self { port, address, certificate };
        node.let_in(&node.settings())?;
        Ok(node)
    }

    /// Waits for the user, who is made a moment after the port opens.
    fn let_in(&self, settings: &Settings) -> Result<()> {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            match cassandra::setup(settings) {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > until => return Err(error.into()),
                Err(_) => thread::sleep(Duration::from_millis(500)),
            }
        }
    }

    /// For the shared keyspace, as its administrator.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings {
            nodes: vec![self.address.clone()],
            keyspace: KEYSPACE.into(),
            replication: Replication::Everywhere(1),
            datacenter: None,
            credentials: Some(Credentials { username: "cassandra".into(), password: "cassandra".into() }),
            ca_file: None,
            clock: std::sync::Arc::new(WallClock),
            events_ms: 7 * DAY_MS,
            decisions_ms: 90 * DAY_MS,
        }
    }

    /// Ends it as a power cut would.
    pub fn kill(&self) {
        script("kill", &self.port, None).unwrap();
    }

    /// Starts it again with its data.
    pub fn restart(&self) {
        script("start", &self.port, None).unwrap();
    }

    /// A session that may do everything, in the shared keyspace, to damage what is there or look at it. Ends with the
    /// runtime that it is used on.
    ///
    /// # Errors
    /// Cassandra's.
    pub async fn session(&self) -> Result<Session> {
        let builder = SessionBuilder::new().known_node(&self.address).user("cassandra", "cassandra");
        Ok(builder.use_keyspace(KEYSPACE, false).build().await?)
    }
}

/// A port whose next one is free too: gossip wants it.
fn free_ports() -> Result<u16> {
    for _ in 0..100 {
        let (port, next) = (free_port()?, free_port()?);
        if next == port + 1 {
            return Ok(port);
        }
    }
    anyhow::bail!("no two free ports beside each other")
}

fn script(what: &str, port: &str, tls: Option<&Path>) -> Result<String> {
    let shown = format!("{SCRIPT} {what} {port}");
    let mut command = Command::new(SCRIPT);
    command.args([what, port]).env("WEIR_TEST_SERVICE_WHILE", process::id().to_string());
    if let Some(folder) = tls {
        command.env("WEIR_TEST_TLS", folder);
    }
    let output = command.output().with_context(|| shown.clone())?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`{shown}` failed; run it by hand. It said:\n{said}");
    Ok(String::from_utf8(output.stdout)?)
}
