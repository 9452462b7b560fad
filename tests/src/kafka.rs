//! Kafka, started for a test by `tests/services/kafka` and stopped after the last that uses it.
//!
//! Tests share one broker and differ in their prefix: each has topics, groups and transactions of its own.

use super::{kafka_proxy::Proxy, service::free_port};
use anyhow::{Context, Result, bail, ensure};
use std::{
    net::TcpListener,
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use weir::backend::kafka::Settings;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/services/kafka");

static RUNNING: Mutex<Weak<Broker>> = Mutex::new(Weak::new());
static PREFIXES: AtomicU32 = AtomicU32::new(0);

/// A running broker.
#[derive(Debug)]
pub struct Broker {
    port: String,
    /// `127.0.0.1:PORT`.
    pub address: String,
    /// The door that asks for a name.
    pub sasl: String,
}

/// Doors of a broker that speak TLS.
#[derive(Debug)]
pub struct Doors {
    /// Asks for no name.
    pub unnamed: String,
    /// Asks for one, by `PLAIN` or `SCRAM-SHA-512`.
    pub named: String,
}

impl Broker {
    /// The one that runs, or a new one.
    ///
    /// # Errors
    /// The script could not start it; what it said is in the error.
    pub fn shared() -> Result<Arc<Self>> {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(broker) = running.upgrade() {
            return Ok(broker);
        }
        let broker = Arc::new(Self::new()?);
        *running = Arc::downgrade(&broker);
        Ok(broker)
    }

    /// One for a test that ends it.
    ///
    /// # Errors
    /// As for [`Broker::shared`].
    pub fn new() -> Result<Self> {
        Ok(Self::up(&[])?.0)
    }

    /// One that speaks TLS too, with the key and certificate in `server.pem` of a folder.
    ///
    /// # Errors
    /// As for [`Broker::shared`].
    pub fn encrypted(folder: &Path) -> Result<(Self, Doors)> {
        let (broker, doors) = Self::up(&[("WEIR_TEST_TLS", &folder.to_string_lossy())])?;
        match &doors[..] {
            [unnamed, named] => Ok((broker, Doors { unnamed: unnamed.clone(), named: named.clone() })),
            others => bail!("it names {others:?} instead of two doors"),
        }
    }

    /// One whose records stand in a folder of one's own.
    ///
    /// # Errors
    /// As for [`Broker::shared`].
    pub fn on(folder: &Path) -> Result<Self> {
        Ok(Self::up(&[("WEIR_KAFKA_DATA", &folder.to_string_lossy())])?.0)
    }

    /// One whose clients come by a proxy, and the proxy.
    ///
    /// # Errors
    /// As for [`Broker::shared`].
    pub fn behind_a_proxy() -> Result<(Self, Proxy)> {
        let front = TcpListener::bind("127.0.0.1:0")?;
        let port = front.local_addr()?.port().to_string();
        let (mut broker, _) = Self::up(&[("WEIR_KAFKA_BEHIND", &port)])?;
        let behind = std::mem::replace(&mut broker.address, front.local_addr()?.to_string());
        let proxy = Proxy::start(front, behind)?;
        Ok((broker, proxy))
    }

    /// With what the script is told besides. Answers further doors, where it has some.
    fn up(told: &[(&str, &str)]) -> Result<(Self, Vec<String>)> {
        let port = free_port()?.to_string();
        let mut command = Command::new(SCRIPT);
        command.args(["up", &port]).envs(told.iter().copied());
        let said = answer(command, &format!("{SCRIPT} up {port}"))?;
        let mut addresses = said.lines().map(str::to_owned);
        let (address, sasl) = addresses.next().zip(addresses.next()).context("it names one address")?;
        Ok((Self { port, address, sasl }, addresses.collect()))
    }

    /// Ends it as a fallen machine would.
    ///
    /// # Errors
    /// As for [`Broker::shared`].
    pub fn kill(&self) -> Result<()> {
        script("kill", &self.port).map(drop)
    }

    /// Starts it again on what it wrote.
    ///
    /// # Errors
    /// As for [`Broker::shared`].
    pub fn start(&self) -> Result<()> {
        script("start", &self.port).map(drop)
    }

    /// Settings of an installation that nobody else has.
    #[must_use]
    pub fn settings(&self, partitions: u32) -> Settings {
        Settings {
            brokers: vec![self.address.clone()],
            prefix: format!("t{}", PREFIXES.fetch_add(1, Ordering::Relaxed)),
            partitions: Some(partitions),
            replication: 1,
            patience: Duration::from_secs(20),
            ..Settings::default()
        }
    }

    /// Runs one of Kafka's own tools, `org.apache.kafka.tools.…`.
    ///
    /// # Errors
    /// It failed; what it said is in the error.
    pub fn tool(&self, class: &str, arguments: &[&str]) -> Result<String> {
        let output = Command::new(SCRIPT)
            .args(["tool", &self.port, class, "--bootstrap-server", &self.address])
            .args(arguments)
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`{class}` failed: {said}{}", String::from_utf8_lossy(&output.stdout));
        Ok(String::from_utf8(output.stdout)?)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Err(error) = script("down", &self.port) {
            eprintln!("{error:#}");
        }
    }
}

fn script(what: &str, port: &str) -> Result<String> {
    let mut command = Command::new(SCRIPT);
    command.args([what, port]);
    answer(command, &format!("{SCRIPT} {what} {port}"))
}

fn answer(mut command: Command, shown: &str) -> Result<String> {
    let output = command.output().with_context(|| shown.to_owned())?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`{shown}` failed; run it by hand. It said:\n{said}");
    Ok(String::from_utf8(output.stdout)?)
}
