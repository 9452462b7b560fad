//! An installation over Kafka and Cassandra: a folder with what its processes share, and in it a folder for each process.

use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use weir::backend::{kafka, partition_of};
use weir_tests::{cassandra::Node, kafka::Broker, service::free_port};

/// Partitions of the log, and tenants: one in each.
pub const PARTITIONS: u32 = 4;
/// How long anything may take on a machine that has other things to do.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// An owner that is fewer records behind the log's end than this keeps up with it.
const BEHIND_MAX: u64 = 1_000;

/// What the processes share.
pub struct Site {
    folder: tempfile::TempDir,
    pub broker: Arc<Broker>,
    pub node: &'static Node,
    pub settings: kafka::Settings,
    pub tenants: Vec<String>,
    /// Of the simulated clouds, one a tenant.
    cloud: String,
    client: Client,
}

impl Site {
    /// A new one, set up. Nothing runs yet.
    pub fn new(broker: Arc<Broker>, node: &'static Node, cloud: &str) -> Self {
        let tenant = |partition| {
            let mut names = (0..).map(|number| format!("t{number}"));
            names.find(|name| partition_of(name, PARTITIONS) == partition).unwrap()
        };
        let settings = broker.settings(PARTITIONS);
        let site = Self {
            folder: tempfile::tempdir().unwrap(),
            broker,
            node,
            settings,
            tenants: (0..PARTITIONS).map(tenant).collect(),
            cloud: cloud.to_owned(),
            client: weir::http::client().unwrap(),
        };
        let write = |name: &str, text: &str| fs::write(site.path().join(name), text).unwrap();
        write("cassandra.toml", "username = \"cassandra\"\npassword = \"cassandra\"\n");
        site.tenants.iter().for_each(|tenant| write(tenant, &token(tenant)));
        let made = site.process("setup", "api").run(&["setup"]);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        site
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The keyspace, which is nobody else's.
    pub fn keyspace(&self) -> String {
        format!("weir_{}", self.settings.prefix)
    }

    /// Where a tenant's cloud is kept.
    pub fn cloud_of(&self, tenant: &str) -> PathBuf {
        self.path().join(format!("cloud-{tenant}"))
    }

    /// A process of these roles, with its folder. It does not run yet.
    pub fn process(&self, name: &str, roles: &'static str) -> Process {
        let folder = self.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        let address = format!("127.0.0.1:{}", free_port().unwrap());
        let mut text = format!(
            "listen = \"{address}\"\n[log]\nkind = \"kafka\"\nbrokers = [\"{}\"]\nprefix = \"{}\"\n\
             partitions = {PARTITIONS}\nreplication = 1\n[store]\nkind = \"cassandra\"\nnodes = [\"{}\"]\n\
             keyspace = \"{}\"\nreplication = 1\ncredentials_file = \"../cassandra.toml\"\n\
             [executor]\nlook = \"300ms\"\nsweep = \"2s\"\n",
            self.broker.address,
            self.settings.prefix,
            self.node.address,
            self.keyspace()
        );
        for tenant in &self.tenants {
            text.push_str(&format!(
                "[[tenant]]\nname = \"{tenant}\"\ntoken_file = \"../{tenant}\"\n[[cloud]]\ntenant = \"{tenant}\"\n\
                 kind = \"simulated\"\nlaunch_budget = \"1000 per 1s\"\n[cloud.simulated]\nfile = \"../cloud-{tenant}\"\n{}\n",
                self.cloud
            ));
        }
        fs::write(folder.join("weir.toml"), text).unwrap();
        Process { name: name.to_owned(), roles, url: format!("http://{address}"), folder, child: None, stopped: false }
    }

    /// A request to a process in a tenant's name.
    pub fn request(&self, process: &str, tenant: &str, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{process}{path}"));
        request.bearer_auth(token(tenant)).timeout(Duration::from_secs(10))
    }

    /// Reads JSON, as often as it takes.
    pub async fn read(&self, process: &Process, tenant: &str, path: &str) -> Value {
        let began = Instant::now();
        loop {
            let said = match self.request(&process.url, tenant, Method::GET, path).send().await {
                Ok(answer) if answer.status().is_success() => return answer.json().await.unwrap(),
                Ok(answer) => answer.text().await.unwrap_or_default(),
                Err(error) => error.to_string(),
            };
            assert!(began.elapsed() < PATIENCE, "{path} of {tenant}: {said}\n{}", process.said());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Deploys a policy in a tenant's name, as often as it takes.
    pub async fn deploy(&self, process: &Process, tenant: &str, name: &str, text: &str) {
        let began = Instant::now();
        loop {
            let put = self.request(&process.url, tenant, Method::PUT, &format!("/v1/policies/{name}"));
            let said = match put.body(text.to_owned()).send().await {
                Ok(answer) if answer.status().is_success() => return,
                Ok(answer) => answer.text().await.unwrap_or_default(),
                Err(error) => error.to_string(),
            };
            assert!(began.elapsed() < PATIENCE, "{name} of {tenant}: {said}\n{}", process.said());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// The partitions that a process decides for, where it is live in all of them.
    async fn live(&self, process: &Process) -> BTreeSet<u64> {
        let asked = self.client.get(format!("{}/readyz", process.url)).timeout(Duration::from_secs(2)).send().await;
        let Ok(answer) = asked else { return BTreeSet::new() };
        let answer: Value = answer.json().await.unwrap_or_default();
        let partitions = answer["partitions"].as_array().cloned().unwrap_or_default();
        // While facts come an owner is always a commit behind.
        let behind =
            |status: &Value| status["end"].as_u64().zip(status["next"].as_u64()).map(|(end, next)| end - next.min(end));
        let live = partitions
            .iter()
            .filter(|status| status["live"] == true && behind(status).is_some_and(|records| records < BEHIND_MAX));
        live.filter_map(|status| status["partition"].as_u64()).collect()
    }

    /// Waits until all partitions have a live owner among the processes, and each process one of them.
    pub async fn live_everywhere(&self, engines: &[&Process]) -> Duration {
        let began = Instant::now();
        loop {
            let mut all = Vec::new();
            for engine in engines {
                all.push(self.live(engine).await);
            }
            let owned: BTreeSet<u64> = all.iter().flatten().copied().collect();
            if owned.len() == PARTITIONS as usize && all.iter().all(|owned| !owned.is_empty()) {
                return began.elapsed();
            }
            let said: String = engines.iter().map(|engine| engine.said()).collect();
            assert!(began.elapsed() < PATIENCE, "live are {all:?}\n{said}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// What opens a tenant's door.
fn token(tenant: &str) -> String {
    format!("token-of-{tenant}-aaaaaaaaaaaa")
}

/// `weir run` with some roles, whether it runs or not.
pub struct Process {
    pub name: String,
    roles: &'static str,
    /// `http://127.0.0.1:PORT`, the same at each start.
    pub url: String,
    folder: PathBuf,
    child: Option<Child>,
    stopped: bool,
}

impl Process {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir-under-test"));
        command.args(arguments).current_dir(&self.folder).env("TZ", "UTC").stdin(Stdio::null());
        command
    }

    /// Another command in its folder, to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub fn start(&mut self) {
        assert!(self.child.is_none(), "`{}` runs already", self.name);
        let said = File::options().create(true).append(true).open(self.folder.join("said")).unwrap();
        let mut command = self.command(&["run", "--role", self.roles]);
        self.child = Some(command.stdout(said.try_clone().unwrap()).stderr(said).spawn().unwrap());
    }

    pub fn runs(&self) -> bool {
        self.child.is_some()
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// How it ended, where it has by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().unwrap()?;
        self.child = None;
        Some(status)
    }

    /// `kill -9`, also of one that is stopped.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        self.stopped = false;
    }

    fn signal(&self, signal: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// It does nothing from now on, and is not dead. Answers when each of its threads has stopped.
    pub fn stop(&mut self) {
        self.signal("-STOP");
        self.stopped = true;
        let threads = format!("/proc/{}/task", self.child.as_ref().unwrap().id());
        let stopped = |thread: fs::DirEntry| {
            let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with('T'))
        };
        while !fs::read_dir(&threads).unwrap().flatten().all(stopped) {
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// It goes on where it was, and does not know that time has passed.
    pub fn go_on(&mut self) {
        self.signal("-CONT");
        self.stopped = false;
    }

    /// Asks it to end, and waits until it has.
    pub fn end(&mut self) {
        self.signal("-TERM");
        let (mut child, began) = (self.child.take().unwrap(), Instant::now());
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success(), "`{}` ended with {status}\n{}", self.name, self.said());
                return;
            }
            if began.elapsed() > PATIENCE {
                child.kill().unwrap();
                panic!("`{}` did not end\n{}", self.name, self.said());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// All that it has said.
    pub fn all_said(&self) -> String {
        fs::read_to_string(self.folder.join("said")).unwrap_or_default()
    }

    /// The end of what it has said, with its name.
    pub fn said(&self) -> String {
        let said = self.all_said();
        let lines: Vec<&str> = said.lines().collect();
        format!("--- {} ---\n{}\n", self.name, lines[lines.len().saturating_sub(25)..].join("\n"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.said());
        }
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself; then there is nothing to kill.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
