//! An installation on a broker and a node that are shared, with one tenant in each partition.

use super::server::{Ended, Server, run};
use serde_json::{Value, json};
use std::{
    any::Any,
    fs,
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;
use weir::backend::{
    Log,
    kafka::{Kafka, Settings},
    partition_of,
};
use weir_tests::{cassandra::Node, kafka::Broker};

/// How long anything may take on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(60);

const POLICY: &str = r#"edition 2026

alarm down: shared from "down"

launch small {
  image  "app-1"
  flavor "small"
}

group app {
  region   "LON"
  capacity 2..30
  launch   small
  cooldown 1s

  rule surge {
    webhook "surge"
    add 3
    cooldown 1s
  }

  rule rescue {
    when alarm down is critical
    add 2
    cooldown 1h
  }
}
"#;

/// What the processes of an installation share, and a client of their doors.
pub struct Place {
    folder: tempfile::TempDir,
    pub broker: Arc<Broker>,
    pub node: &'static Node,
    /// The right to the node: beside others, or alone.
    _runs: Box<dyn Any>,
    settings: Settings,
    pub tenants: Vec<String>,
    runtime: Runtime,
    client: reqwest::Client,
}

impl Place {
    pub fn new(partitions: u32) -> Self {
        Self::on(Broker::shared().unwrap(), partitions)
    }

    pub fn on(broker: Arc<Broker>, partitions: u32) -> Self {
        let (node, runs) = Node::shared();
        Self::with(broker, node, Box::new(runs), partitions)
    }

    /// With the node to itself, for who ends it.
    pub fn alone(partitions: u32) -> Self {
        let (node, runs) = Node::alone();
        Self::with(Broker::shared().unwrap(), node, Box::new(runs), partitions)
    }

    fn with(broker: Arc<Broker>, node: &'static Node, runs: Box<dyn Any>, partitions: u32) -> Self {
        let tenant = |partition| {
            let mut names = (0..).map(|number| format!("t{number}"));
            names.find(|name| partition_of(name, partitions) == partition).unwrap()
        };
        let tenants: Vec<String> = (0..partitions).map(tenant).collect();
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
            settings: broker.settings(partitions),
            broker,
            node,
            _runs: runs,
            tenants,
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            client: weir::http::client().unwrap(),
        };
        place.write("app.weir", POLICY);
        place.write("cassandra.toml", "username = \"cassandra\"\npassword = \"cassandra\"\n");
        place.tenants.iter().for_each(|tenant| place.write(tenant, &format!("token-of-{tenant}-aaaaaaaaaaaa\n")));
        place
    }

    /// Writes a file that the processes share.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// A process's folder, with its configuration.
    pub fn process(&self, name: &str) -> PathBuf {
        let folder = self.folder.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        let partitions = self.tenants.len();
        let mut text = format!(
            "[log]\nkind = \"kafka\"\nbrokers = [\"{}\"]\nprefix = \"{}\"\npartitions = {partitions}\nreplication = 1\n\
             [store]\nkind = \"cassandra\"\nnodes = [\"{}\"]\nkeyspace = \"weir_operating\"\nreplication = 1\n\
             credentials_file = \"../cassandra.toml\"\n[executor]\nlook = \"250ms\"\nsweep = \"5s\"\n",
            self.broker.address, self.settings.prefix, self.node.address
        );
        for tenant in &self.tenants {
            text.push_str(&format!(
                "[[tenant]]\nname = \"{tenant}\"\ntoken_file = \"../{tenant}\"\n[[cloud]]\ntenant = \"{tenant}\"\n\
                 kind = \"simulated\"\n[cloud.simulated]\nfile = \"../cloud-{tenant}\"\nbuild_ms = [200, 600]\n"
            ));
        }
        fs::write(folder.join("weir.toml"), text).unwrap();
        folder
    }

    pub fn topic(&self, name: &str) -> String {
        format!("{}-{name}", self.settings.prefix)
    }

    /// What the names of topics begin with.
    pub fn prefix(&self) -> &str {
        &self.settings.prefix
    }

    /// The servers that stand in a tenant's cloud, which all processes share.
    pub fn servers(&self, tenant: &str) -> Vec<String> {
        let file = self.folder.path().join(format!("cloud-{tenant}"));
        let servers = weir::executor::simulated::read_file(&file).unwrap();
        let mut ids: Vec<String> = servers.into_iter().map(|server| server.id).collect();
        ids.sort();
        ids
    }

    /// Deletes a topic and makes it again as it was, as somebody would by hand.
    pub fn make_again(&self, name: &str, partitions: u32) {
        const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";
        let (topic, partitions) = (self.topic(name), partitions.to_string());
        self.broker.tool(TOPICS, &["--delete", "--topic", &topic]).unwrap();
        let began = Instant::now();
        let make = [
            "--create",
            "--topic",
            &topic,
            "--partitions",
            &partitions,
            "--config",
            "message.timestamp.type=LogAppendTime",
        ];
        while let Err(error) = self.broker.tool(TOPICS, &make) {
            assert!(began.elapsed() < PATIENCE, "{error}");
        }
    }

    /// A GET without a token.
    pub fn get(&self, url: &str) -> (u16, String) {
        self.runtime.block_on(async {
            let Ok(answer) = self.client.get(url).send().await else { return (0, String::new()) };
            (answer.status().as_u16(), answer.text().await.unwrap_or_default())
        })
    }

    fn wait(&self, server: &Server, what: &str, so: impl Fn(u16, &str) -> bool) -> String {
        let began = Instant::now();
        loop {
            let (status, body) = self.get(&format!("{}/readyz", server.url()));
            if so(status, &body) {
                return body;
            }
            assert!(began.elapsed() < PATIENCE, "not {what}: {status} {body}: {}", server.said());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until the server is live in all partitions.
    pub fn wait_ready(&self, server: &Server) {
        self.wait(server, "ready", |status, body| {
            let body: Value = serde_json::from_str(body).unwrap_or_default();
            let partitions = body["partitions"].as_array().map_or(0, Vec::len);
            status == 200 && partitions == self.tenants.len()
        });
    }

    /// Waits until the server has taken over all that another one, which sleeps, had.
    pub fn wait_live_but(&self, server: &Server, asleep: &Server) {
        self.wait(server, &format!("live without process {}", asleep.pid()), |status, body| {
            let body: Value = serde_json::from_str(body).unwrap_or_default();
            let partitions = body["partitions"].as_array().cloned().unwrap_or_default();
            let ended = partitions.iter().filter(|one| one["live"] == true && one["next"] == one["end"]).count();
            status == 200 && ended == self.tenants.len()
        });
    }

    /// Waits until the server is not, for this reason, and answers its words.
    pub fn wait_not_ready(&self, server: &Server, why: &str) -> String {
        let body = self.wait(server, why, |status, body| status == 503 && body.contains(why));
        let body: Value = serde_json::from_str(&body).unwrap();
        body["detail"].as_str().unwrap().to_owned()
    }

    /// Waits until the server has said something, and answers the line.
    pub fn wait_said(&self, server: &Server, what: &str) -> String {
        let began = Instant::now();
        loop {
            let said = server.said();
            if let Some(line) = said.lines().find(|line| line.contains(what)) {
                return line.to_owned();
            }
            assert!(began.elapsed() < PATIENCE, "it does not say `{what}`: {said}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until a tenant's cloud has so many servers.
    pub fn wait_servers(&self, tenant: &str, servers: usize) {
        let began = Instant::now();
        while self.servers(tenant).len() != servers {
            assert!(began.elapsed() < PATIENCE, "not {servers} servers: {:?}", self.servers(tenant));
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Takes a piece out of partition 0's newest snapshot. Answers its position.
    pub fn take_a_piece_of_the_newest_snapshot(&self) -> u64 {
        let log = Kafka::open(self.settings.clone()).unwrap().log_id();
        self.runtime.block_on(async {
            let session = self.node.session().await.unwrap();
            let ask = "SELECT log_id, semantics, position, digest FROM weir_operating.chunks WHERE part = 0 ALLOW FILTERING";
            let rows = session.query_unpaged(ask, ()).await.unwrap().into_rows_result().unwrap();
            let mut pieces: Vec<(i64, i32, String)> = Vec::new();
            for row in rows.rows::<(String, i32, i64, String)>().unwrap() {
                let (of, semantics, position, digest) = row.unwrap();
                if of == log {
                    pieces.push((position, semantics, digest));
                }
            }
            pieces.sort();
            let (newest, semantics, digest) = pieces.last().unwrap();
            let key = format!(
                "log_id = '{log}' AND machine = 'step' AND part = 0 AND semantics = {semantics} AND position = {newest} AND \
                 digest = '{digest}' AND chunk = 0"
            );
            let gone = format!("DELETE FROM weir_operating.chunks WHERE {key}");
            session.query_unpaged(gone, ()).await.unwrap();
            newest.unsigned_abs()
        })
    }

    /// Raises an alarm through a door. Answers the status, the body, and when to come again.
    pub fn alarm(&self, server: &Server, tenant: &str) -> (u16, String, Option<String>) {
        let now = weir_engine::time::rfc3339(weir::clock::Clock::now_ms(&weir::clock::WallClock));
        let alert = json!({
            "status": "firing", "labels": { "alertname": "down", "severity": "critical" }, "annotations": {},
            "startsAt": now, "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": "1",
        });
        let body = json!({
            "version": "4", "groupKey": "{}", "receiver": "weir", "status": "firing", "alerts": [alert],
            "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "", "truncatedAlerts": 0,
        });
        let url = format!("{}/v1/alarms/alertmanager", server.url());
        let post = self.client.post(url).bearer_auth(format!("token-of-{tenant}-aaaaaaaaaaaa")).json(&body);
        self.runtime.block_on(async {
            let answer = post.send().await.unwrap();
            let retry = answer.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
            (answer.status().as_u16(), answer.text().await.unwrap(), retry)
        })
    }

    /// A replay of what the log has, compared with what was recorded.
    pub fn verify(&self, server: &Server, tenant: &str) {
        let exported = done(server.ask(&["log", "export", "--tenant", tenant]));
        self.write("log.ndjson", &exported);
        let verified = done(run(self.folder.path(), &["replay", "log.ndjson", "--verify"]));
        assert!(verified.contains("decisions: equal to the record"), "{verified}");
    }
}

/// What a command said that did what it was asked.
pub fn done(ended: Ended) -> String {
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    ended.out
}

/// Why a command refused.
pub fn found(ended: Ended) -> String {
    assert_eq!(ended.code, 1, "{}{}", ended.out, ended.err);
    ended.err
}
