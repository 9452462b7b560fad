//! Two processes over a real Kafka and a real Cassandra, as a person runs them, and one of them is killed in the middle of
//! its work. Nothing is lost, nothing is done twice, and what was decided is decided again by a replay.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

#[path = "program/server.rs"]
#[expect(dead_code, reason = "not all that the other suite asks for is asked here")]
mod server;

use serde_json::{Value, json};
use server::{Ended, Server, run};
use std::{
    collections::BTreeSet,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;
use weir::{
    backend::{History, Log, cassandra::Cassandra, kafka::Kafka, partition_of},
    executor::simulated,
};
use weir_tests::{cassandra::Node, kafka::Broker};

const PARTITIONS: u32 = 4;
/// From a kill to an owner in every place of the dead: the group gives a silent member up after 10 s.
const TAKE_OVER_MAX: Duration = Duration::from_secs(45);

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

/// An installation: a folder a process, and beside them what the processes share.
struct Cluster {
    folder: tempfile::TempDir,
    broker: Arc<Broker>,
    node: &'static Node,
    settings: weir::backend::kafka::Settings,
    /// One in each partition.
    tenants: Vec<String>,
}

impl Cluster {
    fn new(node: &'static Node, broker: Arc<Broker>) -> Self {
        let tenant = |partition| {
            let mut names = (0..).map(|number| format!("t{number}"));
            names.find(|name| partition_of(name, PARTITIONS) == partition).unwrap()
        };
        let tenants: Vec<String> = (0..PARTITIONS).map(tenant).collect();
        let folder = tempfile::tempdir().unwrap();
        let settings = broker.settings(PARTITIONS);
        let cluster = Self { folder, broker, node, settings, tenants };
        let write = |name: &str, text: &str| fs::write(cluster.folder.path().join(name), text).unwrap();
        write("app.weir", POLICY);
        write("cassandra.toml", "username = \"cassandra\"\npassword = \"cassandra\"\n");
        cluster.tenants.iter().for_each(|tenant| write(tenant, &format!("token-of-{tenant}-aaaaaaaaaaaa\n")));
        cluster
    }

    /// A process's folder, with its configuration.
    fn process(&self, name: &str, broker: &str) -> PathBuf {
        let folder = self.folder.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        let mut text = format!(
            "[log]\nkind = \"kafka\"\nbrokers = [\"{broker}\"]\nprefix = \"{}\"\npartitions = {PARTITIONS}\nreplication = 1\n\
             [store]\nkind = \"cassandra\"\nnodes = [\"{}\"]\nkeyspace = \"weir_cluster\"\nreplication = 1\n\
             credentials_file = \"../cassandra.toml\"\n[executor]\nlook = \"250ms\"\nsweep = \"5s\"\n",
            self.settings.prefix, self.node.address
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

    /// The servers that stand in a tenant's cloud.
    fn servers(&self, tenant: &str) -> usize {
        simulated::read_file(&self.folder.path().join(format!("cloud-{tenant}"))).unwrap().len()
    }
}

fn done(ended: Ended) -> String {
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    ended.out
}

/// A client of both processes' doors.
struct Asker {
    runtime: Runtime,
    client: reqwest::Client,
}

impl Asker {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { runtime, client: weir::http::client().unwrap() }
    }

    /// The partitions that a process decides for, once it is live in all of them.
    fn live(&self, server: &Server) -> Option<BTreeSet<u64>> {
        let answer = self.runtime.block_on(async {
            let answer = self.client.get(format!("{}/readyz", server.url())).send().await.ok()?;
            answer.json::<Value>().await.ok()
        })?;
        (answer["ready"] == true).then_some(())?;
        answer["partitions"].as_array()?.iter().map(|status| status["partition"].as_u64()).collect()
    }

    /// Waits until the processes are live in all partitions between them. Answers how long that took.
    fn wait_live(&self, servers: &[&Server], most: Duration) -> Duration {
        let began = Instant::now();
        loop {
            let live: Vec<_> = servers.iter().map(|server| self.live(server)).collect();
            let all: BTreeSet<u64> = live.iter().flatten().flatten().copied().collect();
            let none_is_idle = live.iter().all(|live| live.as_ref().is_some_and(|live| !live.is_empty()));
            if none_is_idle && all.len() == PARTITIONS as usize {
                return began.elapsed();
            }
            let said: String = servers.iter().map(|server| server.said()).collect();
            assert!(began.elapsed() < most, "live are {live:?}: {said}");
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Raises the alarm through a door.
    fn alarm(&self, server: &Server, tenant: &str) {
        let alert = json!({
            "status": "firing", "labels": { "alertname": "down", "severity": "critical" }, "annotations": {},
            "startsAt": "2026-03-01T10:00:00Z", "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": "1",
        });
        let body = json!({
            "version": "4", "groupKey": "{}", "receiver": "weir", "status": "firing", "alerts": [alert],
            "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "", "truncatedAlerts": 0,
        });
        let url = format!("{}/v1/alarms/alertmanager", server.url());
        let post = self.client.post(url).bearer_auth(format!("token-of-{tenant}-aaaaaaaaaaaa")).json(&body);
        let (status, text) = self.runtime.block_on(async {
            let answer = post.send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        });
        assert_eq!(status, 202, "{text}");
    }
}

/// Waits until the group has its size, and as many servers ready, as one of the processes tells it.
fn wait_ready(server: &Server, tenant: &str, target: u64) {
    server.ask_until(&["status", "--json", "--tenant", tenant], |ended| {
        let row: Value = serde_json::from_str(ended.out.trim()).unwrap_or_default();
        row["target"] == target && row["ready"] == target
    });
}

fn force(server: &Server, tenant: &str) -> Ended {
    server.ask(&["force", "app", "surge", "--tenant", tenant])
}

/// A replay of what the log has, compared with what was recorded.
fn verify(server: &Server, tenant: &str, folder: &Path) {
    let exported = done(server.ask(&["log", "export", "--tenant", tenant]));
    fs::write(folder.join("log.ndjson"), exported).unwrap();
    let verified = done(run(folder, &["replay", "log.ndjson", "--verify"]));
    assert!(verified.contains("decisions: equal to the record"), "{verified}");
}

#[test]
fn a_killed_process_leaves_its_work_to_the_other() {
    let broker = thread::spawn(|| Broker::shared().unwrap());
    let (node, _shared) = Node::shared();
    let cluster = Cluster::new(node, broker.join().unwrap());
    let first = cluster.process("first", &cluster.broker.address);
    let second = cluster.process("second", &cluster.broker.address);

    // Before anything is made, and where nobody answers, a start ends with what to do.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let nowhere = cluster.process("nowhere", &closed);
    let away = thread::spawn(move || (run(&nowhere, &["run", "--listen", "127.0.0.1:0"]), closed));
    let early = run(&first, &["run", "--listen", "127.0.0.1:0"]);
    assert_eq!(early.code, 1, "{early:?}");
    assert!(early.err.contains("run `weir setup`"), "{}", early.err);

    let made = done(run(&first, &["setup"]));
    assert!(made.contains(&format!("made {}-events", cluster.settings.prefix)), "{made}");
    let again = done(run(&second, &["setup"]));
    assert!(again.contains("all topics were there"), "{again}");
    let (away, closed) = away.join().unwrap();
    assert_eq!(away.code, 1, "{away:?}");
    assert!(away.err.contains(&closed) && away.err.contains("= help: start it, or correct"), "{}", away.err);

    let asker = Asker::new();
    let (first, second) = (Server::start(&first, &[]), Server::start(&second, &[]));
    asker.wait_live(&[&first, &second], Duration::from_secs(60));

    // Whatever door it comes by, the owner decides: deployed here, forced there, alarmed here.
    for tenant in &cluster.tenants {
        done(first.ask(&["deploy", "../app.weir", "--tenant", tenant]));
        let forced = done(force(&second, tenant));
        // Decided within two seconds, or on a machine that has other things to do a moment later.
        assert!(forced.contains("app: 2 → 5, surge forced by") || forced.contains("not applied yet"), "{forced}");
        asker.alarm(&first, tenant);
        wait_ready(&second, tenant, 7);
    }

    // Builds are under way, and a force has just been taken, as the process dies.
    for tenant in &cluster.tenants {
        done(force(&second, tenant));
    }
    assert_eq!(first.end("-KILL"), None, "it was killed");
    let took = asker.wait_live(&[&second], TAKE_OVER_MAX);
    println!("figure: every partition live again {:.1} s after kill -9", took.as_secs_f64());
    for tenant in &cluster.tenants {
        wait_ready(&second, tenant, 10);
        let forced = done(force(&second, tenant));
        assert!(forced.contains("app: 10 → 13") || forced.contains("not applied yet"), "{forced}");
        wait_ready(&second, tenant, 13);
        assert_eq!(cluster.servers(tenant), 13, "no server too many, none forgotten");
        verify(&second, tenant, cluster.folder.path());
    }
    assert_eq!(second.end("-TERM"), Some(0));

    // Each command rises over the one before it, so none was given twice.
    let kafka = Kafka::open(cluster.settings.clone()).unwrap();
    let keyspace = "weir_cluster".to_owned();
    let settings = weir::backend::cassandra::Settings { keyspace, ..node.settings() };
    let store = Cassandra::open(&settings, &kafka.log_id(), PARTITIONS).unwrap();
    for partition in 0..PARTITIONS {
        let commands = store.commands_since(partition, 0, 1_000).unwrap();
        let given: Vec<_> = commands.iter().map(|(_, command)| (command.uid, command.generation)).collect();
        assert!(given.len() >= 5, "{given:?}");
        assert!(given.windows(2).all(|pair| pair[0].0 == pair[1].0 && pair[0].1 < pair[1].1), "{given:?}");
    }
}
