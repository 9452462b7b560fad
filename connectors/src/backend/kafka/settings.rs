//! What may be chosen about Kafka, and the clients that are made of it.

use super::{
    super::{Error, Result},
    failure::cannot,
    refusal::Quiet,
};
use crate::config;
use rdkafka::{
    ClientConfig,
    consumer::{self, Consumer},
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// What may be chosen.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Brokers to ask first, `host:port`.
    pub brokers: Vec<String>,
    /// Names this installation: topics, groups and transactions begin with it.
    pub prefix: String,
    /// Partitions of a log that is made; of one that exists, what it must have. `None`: 16, or what there is.
    pub partitions: Option<u32>,
    /// Copies of each partition.
    pub replication: u32,
    /// Events are kept for this long at least, milliseconds.
    pub events_ms: i64,
    /// An owner of the step machine that commits nothing for this long is not live, milliseconds. It writes the time down once
    /// a minute at least.
    pub silence_ms: i64,
    /// From this long a silence of `control` on no server is made.
    pub control_silence: Duration,
    /// How clients prove who they are, and to whom they speak.
    pub security: Security,
    /// How long a call waits for brokers that do not answer.
    pub patience: Duration,
}

/// Encryption and names. All left out: plain text, for a network of one's own.
#[derive(Clone, Debug, Default)]
pub struct Security {
    /// Speak TLS. Needs a build with the feature `tls`.
    pub tls: bool,
    /// Authorities to trust instead of the system's, PEM.
    pub ca_file: Option<PathBuf>,
    /// A client's certificate and key, PEM.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Mechanism (`PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512`), user and password.
    pub sasl: Option<(String, String, SecretString)>,
}

/// Partitions of a new log unless said otherwise.
pub const PARTITIONS: u32 = 16;

/// How long a configured installation waits for brokers that do not answer: whoever asked is told soon and asks again.
const PATIENCE: Duration = Duration::from_secs(10);

/// One question of several, while no broker answers.
const LOOK: Duration = Duration::from_secs(2);

/// How long a client is listened to for why that was so.
const HEAR: Duration = Duration::from_millis(200);

/// Bytes of the largest record: a line, a ledger, a view's row, with room for what Kafka writes beside it.
pub(super) const RECORD_BYTES_MAX: usize = 4 << 20;

impl Default for Settings {
    fn default() -> Self {
        Self {
            brokers: vec!["127.0.0.1:9092".to_owned()],
            prefix: "weir".to_owned(),
            partitions: None,
            replication: 3,
            events_ms: 30 * 24 * 3_600_000,
            silence_ms: 180_000,
            control_silence: Duration::from_secs(30),
            security: Security::default(),
            patience: Duration::from_secs(30),
        }
    }
}

/// A consumer that belongs to no group and reads what it is given.
pub(super) type BaseConsumer = consumer::BaseConsumer<Quiet>;

/// Which records a consumer is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sees {
    /// Those of committed transactions, up to the first open one.
    Committed,
    /// All, for asking where the log ends.
    Everything,
}

impl Settings {
    /// What the configuration says. Reads the file with the credentials.
    ///
    /// # Errors
    /// Where that file cannot be used.
    pub fn of(log: &config::Log, retention: &config::Retention) -> Result<Self> {
        let proof = |path: &PathBuf| {
            let (user, password) = credentials(path)?;
            Ok::<_, Error>((log.mechanism.clone(), user, password))
        };
        Ok(Self {
            brokers: log.brokers.clone(),
            prefix: log.prefix.clone(),
            partitions: log.partitions,
            replication: log.replication,
            events_ms: retention.events.ms(),
            security: Security {
                tls: log.tls,
                ca_file: log.ca_file.clone(),
                certificate: None,
                sasl: log.credentials_file.as_ref().map(proof).transpose()?,
            },
            patience: PATIENCE,
            ..Self::default()
        })
    }

    /// What all clients have in common.
    pub(super) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.brokers.join(","))
            .set("client.id", &self.prefix)
            .set("socket.keepalive.enable", "true")
            // A broker that comes back is found in a second, not in ten.
            .set("reconnect.backoff.max.ms", "1000");
        let Security { tls, ca_file, certificate, sasl } = &self.security;
        let protocol = match (tls, sasl.is_some()) {
            (false, false) => "plaintext",
            (true, false) => "ssl",
            (false, true) => "sasl_plaintext",
            (true, true) => "sasl_ssl",
        };
        config.set("security.protocol", protocol);
        if let Some(file) = ca_file {
            config.set("ssl.ca.location", file.to_string_lossy());
        }
        if let Some((certificate, key)) = certificate {
            config.set("ssl.certificate.location", certificate.to_string_lossy());
            config.set("ssl.key.location", key.to_string_lossy());
        }
        if let Some((mechanism, user, password)) = sasl {
            config.set("sasl.mechanism", mechanism).set("sasl.username", user);
            config.set("sasl.password", password.expose_secret());
        }
        config
    }

    /// A producer's settings: nothing is answered before all copies in step have it, nothing is there twice.
    pub(super) fn producer(&self) -> ClientConfig {
        let mut config = self.client();
        config
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("compression.type", "lz4")
            .set("message.max.bytes", RECORD_BYTES_MAX.to_string());
        config
    }

    /// A consumer that never joins its group and never guesses where to begin.
    pub(super) fn consumer(&self, group: &str, sees: Sees) -> Result<BaseConsumer> {
        self.consumer_config(group, sees).create_with_context(Quiet::default()).map_err(|error| self.unusable(&error))
    }

    /// One that reads what is there and is dropped: it is told of the end at once, and not when the broker has waited for more.
    pub(super) fn reader_to_the_end(&self) -> Result<BaseConsumer> {
        let mut config = self.consumer_config("reader", Sees::Committed);
        config.set("fetch.wait.max.ms", "5");
        config.create_with_context(Quiet::default()).map_err(|error| self.unusable(&error))
    }

    fn consumer_config(&self, group: &str, sees: Sees) -> ClientConfig {
        let mut config = self.client();
        config
            .set("group.id", format!("{}-{group}", self.prefix))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "error")
            .set("isolation.level", if sees == Sees::Committed { "read_committed" } else { "read_uncommitted" })
            // Read ahead is memory for each partition; a full queue is asked again at once, not in a second.
            .set("queued.max.messages.kbytes", "16384")
            .set("fetch.queue.backoff.ms", "5")
            .set("fetch.error.backoff.ms", "50");
        config
    }
}

impl Settings {
    /// A consumer for questions, once a broker has answered it.
    ///
    /// # Errors
    /// Where none does, or all refuse who asks.
    pub(super) fn asker(&self) -> Result<BaseConsumer> {
        let asker = self.consumer("asker", Sees::Everything)?;
        let brokers = self.brokers.join(",");
        let until = Instant::now() + self.patience;
        loop {
            let Err(error) = asker.fetch_metadata(None, LOOK) else { return Ok(asker) };
            // Who is not let in sees only that nobody answers; why is told beside it, among much else.
            let heard = Instant::now() + HEAR;
            while Instant::now() < heard {
                drop(asker.poll(HEAR / 10));
            }
            let late = Instant::now() > until;
            if let Some(why) = asker.context().refusal(self, late) {
                return Err(Error::Failed(why));
            }
            if late {
                return Err(cannot(&format!("ask Kafka (`{brokers}`) for its topics"), &error));
            }
        }
    }
}

/// One past the newest record that `consumer` is shown, and the oldest that is kept.
pub(super) fn ends(consumer: &BaseConsumer, topic: &str, partition: u32, patience: Duration) -> Result<(u64, u64)> {
    let (low, high) = consumer
        .fetch_watermarks(topic, number(partition), patience)
        .map_err(|error| cannot(&format!("find the end of `{topic}` {partition}"), &error))?;
    Ok((u64::try_from(low).unwrap_or(0), u64::try_from(high).unwrap_or(0)))
}

/// A partition as Kafka counts it. Those of a log are few.
pub(super) fn number(partition: u32) -> i32 {
    i32::try_from(partition).unwrap_or(i32::MAX)
}

/// The file with a user and its password, as written. No `Debug`: it is plain text for a moment.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CredentialsFile {
    username: String,
    password: String,
}

fn credentials(path: &Path) -> Result<(String, SecretString)> {
    let shown = path.display();
    let text = fs::read_to_string(path).map(SecretString::from);
    let text = text.map_err(|error| Error::Failed(format!("the credentials in `{shown}` cannot be read: {error}")))?;
    // The parser's own message would quote the line, and with it the password.
    let file: CredentialsFile = toml::from_str(text.expose_secret()).map_err(|_| {
        Error::Failed(format!(
            "`{shown}` holds no credentials for Kafka: write `username = \"…\"` and `password = \"…\"`"
        ))
    })?;
    Ok((file.username, file.password.into()))
}
