//! Kafka, started for a test by `tests/services/kafka` and stopped after the last that uses it.
//!
//! Tests share one broker and differ in their prefix: each has topics, groups and transactions of its own.

use super::{kafka_proxy::Proxy, service::free_port};
use anyhow::{Context, Result, ensure};
use std::{
    net::TcpListener,
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
        Self::up(None)
    }

    /// One whose clients come by a proxy, and the proxy.
    ///
    /// # Errors
    /// As for [`Broker::shared`].
    pub fn behind_a_proxy() -> Result<(Self, Proxy)> {
        let front = TcpListener::bind("127.0.0.1:0")?;
        let mut broker = Self::up(Some(front.local_addr()?.port()))?;
        let behind = std::mem::replace(&mut broker.address, front.local_addr()?.to_string());
        let proxy = Proxy::start(front, behind)?;
        Ok((broker, proxy))
    }

    fn up(front: Option<u16>) -> Result<Self> {
        let port = free_port()?.to_string();
        let mut command = Command::new(SCRIPT);
        command.args(["up", &port]);
        if let Some(front) = front {
            command.env("WEIR_KAFKA_BEHIND", front.to_string());
        }
        let said = answer(command, &format!("{SCRIPT} up {port}"))?;
        let (address, sasl) = said.trim().split_once('\n').context("it names one address")?;
        Ok(Self { port, address: address.to_owned(), sasl: sasl.to_owned() })
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
