//! The program as a process in a folder of its own, for tests that start it, ask it, and kill it.

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// How long anything may take on a machine that has other things to do.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The administrator's token of the one tenant, `acme`.
pub const TOKEN: &str = "acme-administrator-0123456789";
/// The token that Rackspace Monitoring sends for it.
pub const MAAS_TOKEN: &str = "acme-monitoring-0123";

/// An installation: a folder with a configuration, and a process now and then.
#[derive(Debug)]
pub struct Installation {
    program: PathBuf,
    folder: tempfile::TempDir,
    /// The way in, the same at each start.
    pub door: Door,
    child: Option<Child>,
}

/// Where an installation is asked, whether it runs or not. Clones ask the same one.
#[derive(Clone, Debug)]
pub struct Door {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    client: Client,
}

impl Installation {
    /// A new one, of the tenant `acme`, with `more` in its configuration. Nothing runs yet.
    ///
    /// # Errors
    /// The system's.
    pub fn new(program: &str, more: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let listen = format!("127.0.0.1:{}", super::service::free_port()?);
        let config = format!(
            "listen = \"{listen}\"\ndata = \"data\"\n{more}\n[[tenant]]\nname = \"acme\"\ntoken_file = \"token\"\n\
             maas_token_file = \"maas-token\"\nmaas_tenant_ids = [\"91111\"]\n"
        );
        for (name, text) in [("weir.toml", config.as_str()), ("token", TOKEN), ("maas-token", MAAS_TOKEN)] {
            fs::write(folder.path().join(name), text)?;
        }
        let door = Door { url: format!("http://{listen}"), client: weir::http::client()? };
        Ok(Self { program: program.into(), folder, door, child: None })
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts `weir run` with these policies. What it says goes into the file `said`. It may not serve yet.
    ///
    /// # Errors
    /// It runs already, or cannot be started.
    pub fn start(&mut self, policies: &[&str]) -> Result<()> {
        ensure!(self.child.is_none(), "it runs already");
        let said = File::options().create(true).append(true).open(self.folder().join("said"))?;
        let child = self.command(&["run"]).args(policies).stdout(said.try_clone()?).stderr(said).spawn();
        self.child = Some(child.with_context(|| self.program.display().to_string())?);
        Ok(())
    }

    /// Waits until it serves and its engine has caught up.
    ///
    /// # Errors
    /// It ended, or is not there in [`PATIENCE`]; what it said is in the error.
    pub async fn ready(&mut self) -> Result<()> {
        let began = Instant::now();
        while !self.door.is_ready().await {
            let child = self.child.as_mut().context("it does not run")?;
            if let Some(status) = child.try_wait()? {
                bail!("it ended with {status}:\n{}", self.said());
            }
            ensure!(began.elapsed() < PATIENCE, "it is not ready after {PATIENCE:?}:\n{}", self.said());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// It did not run.
    pub fn kill(&mut self) -> Result<()> {
        let mut child = self.child.take().context("it does not run")?;
        ensure!(child.try_wait()?.is_none(), "it had ended by itself:\n{}", self.said());
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    /// It did not run, or ended badly.
    pub fn stop(&mut self) -> Result<()> {
        let mut child = self.child.take().context("it does not run")?;
        ensure!(Command::new("kill").arg(child.id().to_string()).status()?.success(), "it had ended by itself");
        let began = Instant::now();
        loop {
            if let Some(status) = child.try_wait()? {
                ensure!(status.success(), "it ended with {status}:\n{}", self.said());
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                child.kill()?;
                bail!("it did not end:\n{}", self.said());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Runs another command of the program in this folder, to its end.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn run(&self, arguments: &[&str]) -> Result<Output> {
        Ok(self.command(arguments).output()?)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(self.folder()).env("TZ", "UTC").stdin(Stdio::null());
        command
    }

    /// The end of what its process has said so far.
    #[must_use]
    pub fn said(&self) -> String {
        let said = fs::read_to_string(self.folder().join("said")).unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Door {
    async fn is_ready(&self) -> bool {
        let asked = self.client.get(format!("{}/readyz", self.url)).timeout(Duration::from_secs(2)).send().await;
        asked.is_ok_and(|answer| answer.status().is_success())
    }

    /// A request without a token. It times out after ten seconds.
    pub fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).timeout(Duration::from_secs(10))
    }

    /// A request with the administrator's token.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.bare(method, path).bearer_auth(TOKEN)
    }

    /// Reads JSON.
    ///
    /// # Errors
    /// The answer is none, or says that something is wrong.
    pub async fn get(&self, path: &str) -> Result<Value> {
        answer(self.request(Method::GET, path)).await
    }

    /// Sends JSON, reads JSON.
    ///
    /// # Errors
    /// As for [`Door::get`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        answer(self.request(Method::POST, path).json(body)).await
    }

    /// Sends what Rackspace Monitoring would, with its token.
    ///
    /// # Errors
    /// As for [`Door::get`].
    pub async fn post_maas(&self, body: String) -> Result<Value> {
        let request = self.client.post(format!("{}/v1/alarms/maas", self.url)).timeout(Duration::from_secs(10));
        let request =
            request.header("x-rackspace-webhook-token", MAAS_TOKEN).header("content-type", "application/json");
        answer(request.body(body)).await
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself; then there is nothing to kill.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

async fn answer(request: RequestBuilder) -> Result<Value> {
    let response = request.send().await?;
    let (status, url) = (response.status(), response.url().clone());
    let bytes = response.bytes().await?;
    ensure!(status.is_success(), "{url}: {status}: {}", String::from_utf8_lossy(&bytes));
    Ok(serde_json::from_slice(&bytes)?)
}
