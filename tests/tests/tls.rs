//! Kafka and Cassandra over TLS, by the program as a person runs it: with the certificates of an authority made here it works,
//! and whose certificate or password is wrong is said by name, with the setting that is to be corrected.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

#[path = "tls/authority.rs"]
mod authority;
#[path = "program/server.rs"]
#[expect(dead_code, reason = "not all that the other suite asks for is asked here")]
mod server;

use authority::Authority;
use server::{Ended, Server, run};
use std::{fs, path::PathBuf};
use weir_tests::{
    cassandra::Node,
    kafka::{Broker, Doors},
};

const POLICY: &str = r#"edition 2026

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
    manual
    add 3
    cooldown 1s
  }
}
"#;

/// A broker and a node whose certificates one authority signs, for `127.0.0.1` and no other name.
struct Site {
    folder: tempfile::TempDir,
    broker: Broker,
    doors: Doors,
    node: Node,
}

/// What a process is told; each test of a mistake changes one thing.
#[derive(Clone)]
struct Told {
    broker: String,
    log_ca: &'static str,
    mechanism: &'static str,
    kafka: &'static str,
    node: String,
    store_ca: &'static str,
    cassandra: &'static str,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let authority = Authority::new("ours");
        write("ca.pem", &authority.certificate());
        write("server.pem", &authority.signs("127.0.0.1"));
        write("stranger.pem", &Authority::new("a stranger").certificate());
        write("nothing.pem", "this is no certificate\n");
        for (name, user, password) in [
            ("kafka", "weir", "weir-secret"),
            ("kafka-wrong", "weir", "canary"),
            ("cassandra", "cassandra", "cassandra"),
            ("cassandra-wrong", "cassandra", "canary"),
        ] {
            write(&format!("{name}.toml"), &format!("username = \"{user}\"\npassword = \"{password}\"\n"));
        }
        write("app.weir", POLICY);
        write("token", "token-of-acme-aaaaaaaaaaaa\n");
        let (broker, doors) = Broker::encrypted(folder.path()).unwrap();
        let node = Node::encrypted(folder.path(), &folder.path().join("ca.pem")).unwrap();
        Self { folder, broker, doors, node }
    }

    fn told(&self) -> Told {
        Told {
            broker: self.doors.named.clone(),
            log_ca: "tls = true\nca_file = \"../ca.pem\"",
            mechanism: "SCRAM-SHA-512",
            kafka: "kafka",
            node: self.node.address.clone(),
            store_ca: "tls = true\nca_file = \"../ca.pem\"",
            cassandra: "cassandra",
        }
    }

    /// A process's folder, with its configuration.
    fn process(&self, name: &str, told: &Told) -> PathBuf {
        let folder = self.folder.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        let Told { broker, log_ca, mechanism, kafka, node, store_ca, cassandra } = told;
        let credentials = match kafka.is_empty() {
            true => String::new(),
            false => format!("credentials_file = \"../{kafka}.toml\"\nmechanism = \"{mechanism}\"\n"),
        };
        let text = format!(
            "[log]\nkind = \"kafka\"\nbrokers = [\"{broker}\"]\npartitions = 1\nreplication = 1\n{log_ca}\n{credentials}\
             [store]\nkind = \"cassandra\"\nnodes = [\"{node}\"]\nkeyspace = \"weir_tls\"\nreplication = 1\n{store_ca}\n\
             credentials_file = \"../{cassandra}.toml\"\n\
             [[tenant]]\nname = \"acme\"\ntoken_file = \"../token\"\n[[cloud]]\ntenant = \"acme\"\nkind = \"simulated\"\n\
             [cloud.simulated]\nfile = \"../cloud\"\nbuild_ms = [50, 100]\n"
        );
        fs::write(folder.join("weir.toml"), text).unwrap();
        folder
    }

    /// What a start says that must not succeed.
    fn refused(&self, name: &str, change: impl FnOnce(&mut Told)) -> String {
        let mut told = self.told();
        change(&mut told);
        let ended = run(&self.process(name, &told), &["run", "--listen", "127.0.0.1:0"]);
        assert_eq!(ended.code, 1, "{name}: {}{}", ended.out, ended.err);
        assert!(!ended.err.contains("canary") && !ended.out.contains("canary"), "{name}: {}", ended.err);
        ended.err
    }
}

fn done(ended: Ended) -> String {
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    ended.out
}

#[test]
fn all_goes_over_tls_and_a_wrong_certificate_or_password_is_said_by_name() {
    let site = Site::new();
    it_works(&site);
    let says = |name: &str, change: &dyn Fn(&mut Told), words: &[&str]| {
        let said = site.refused(name, change);
        println!("figure: {name}: {}", said.trim());
        for word in words {
            assert!(said.contains(word), "{name}: `{word}` is not in: {said}");
        }
    };
    let stranger = "tls = true\nca_file = \"../stranger.pem\"";
    let nothing = "tls = true\nca_file = \"../nothing.pem\"";
    says(
        "kafka-authority",
        &|told| told.log_ca = stranger,
        &["the certificate of Kafka", "stranger.pem` does not sign it", "`ca_file`", "of `[log]`"],
    );
    says(
        "kafka-name",
        &|told| told.broker = told.broker.replace("127.0.0.1", "localhost"),
        &["the certificate of Kafka", "another name", "`brokers` of `[log]`"],
    );
    says("kafka-nothing", &|told| told.log_ca = nothing, &["nothing.pem` holds no certificates", "of `[log]`"]);
    for mechanism in ["SCRAM-SHA-512", "PLAIN"] {
        let wrong = |told: &mut Told| (told.mechanism, told.kafka) = (mechanism, "kafka-wrong");
        let refuses = format!("refuses the credentials of `weir` by {mechanism}");
        says(&format!("kafka-password-{mechanism}"), &wrong, &["Kafka", &refuses, "`credentials_file`"]);
    }
    says(
        "kafka-plain-port",
        &|told| told.broker = site.broker.address.clone(),
        &["Kafka", "does not speak TLS", "`tls` of `[log]`"],
    );
    says("kafka-without", &|told| told.log_ca = "", &["Kafka", "`tls = true`"]);
    says(
        "cassandra-authority",
        &|told| told.store_ca = stranger,
        &["the certificate of Cassandra", "stranger.pem` does not sign it", "`ca_file` of `[store]`"],
    );
    says("cassandra-nothing", &|told| told.store_ca = nothing, &["nothing.pem` holds no certificates"]);
    says(
        "cassandra-password",
        &|told| told.cassandra = "cassandra-wrong",
        &["Cassandra", "refuses the credentials", "`credentials_file` of `[store]`"],
    );
    says("cassandra-without", &|told| told.store_ca = "", &["Cassandra", "`tls = true`"]);
}

/// Setup, a life with a decision that is read back, another life that recovers: by a name that is proved in one way and in
/// another, and by none.
fn it_works(site: &Site) {
    let told = site.told();
    for (name, told, from) in [
        ("scram", told.clone(), 2),
        ("plain", Told { mechanism: "PLAIN", ..told.clone() }, 5),
        ("nobody", Told { broker: site.doors.unnamed.clone(), kafka: "", ..told }, 8),
    ] {
        let folder = site.process(name, &told);
        done(run(&folder, &["setup"]));
        let examined = done(run(&folder, &["doctor"]));
        assert!(examined.lines().all(|line| line.starts_with("ok ")), "{name}: {examined}");
        let server = Server::start(&folder, &[]);
        server.ask_until(&["deploy", "../app.weir", "--tenant", "acme"], |ended| ended.code == 0);
        let forced = server.ask_until(&["force", "app", "surge", "--tenant", "acme"], |ended| ended.code == 0);
        assert!(forced.out.contains(&format!("app: {from} → {}", from + 3)), "{name}: {forced:?}");
        let exported = done(server.ask(&["log", "export", "--tenant", "acme"]));
        assert!(exported.contains("\"cause\":\"force surge"), "{name}: {exported}");
        assert_eq!(server.end("-TERM"), Some(0));
    }
}
