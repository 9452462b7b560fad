//! Servers that nobody here wrote, started for a test by the scripts in `tests/services` and stopped after it.

use anyhow::{Context, Result, ensure};
use std::{
    net::TcpListener,
    path::Path,
    process::Command,
    sync::atomic::{AtomicU16, Ordering},
};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/services");

/// A running server. It ends with the value.
#[derive(Debug)]
pub struct Service {
    name: &'static str,
    port: String,
    /// `http://127.0.0.1:PORT`.
    pub url: String,
}

impl Service {
    /// Starts `tests/services/NAME` on a free port. `with` follows the port.
    ///
    /// # Errors
    /// The script could not start it; the command and what it said are in the error.
    pub fn up(name: &'static str, with: &[&str]) -> Result<Self> {
        let port = free_port()?.to_string();
        let arguments: Vec<&str> = ["up", &port].into_iter().chain(with.iter().copied()).collect();
        let url = script(name, &arguments)?.trim().to_owned();
        Ok(Self { name, port, url })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Err(error) = script(self.name, &["down", &self.port]) {
            eprintln!("{error:#}");
        }
    }
}

fn script(name: &str, arguments: &[&str]) -> Result<String> {
    let path = Path::new(SCRIPTS).join(name);
    let command = format!("tests/services/{name} {}", arguments.join(" "));
    ensure!(path.exists(), "`tests/services/{name}` is not there");
    let output = Command::new(path).args(arguments).output().with_context(|| command.clone())?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`{command}` failed; run it by hand. It said:\n{said}");
    Ok(String::from_utf8(output.stdout)?)
}

/// A port of loopback that nobody has. Below those that systems give to connections: a client that asks a closed port of
/// that range over and over is one day given the very port it asks, and talks to itself.
///
/// # Errors
/// Every one of them is taken.
pub fn free_port() -> Result<u16> {
    // Kafka's script takes further ports, up to 7,000 above: those too are below 32,768.
    const FIRST: u16 = 10_000;
    const COUNT: u16 = 15_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes that run side by side begin at other places.
    let start = u16::try_from(std::process::id() * 37 % u32::from(COUNT))?;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let port = FIRST + (start + step) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    anyhow::bail!("no port of {FIRST}..{} is free", FIRST + COUNT)
}
