//! `weir doctor`: reads the configuration and says what will not work. It changes nothing, but for a heartbeat in `control`.

use super::{Exit, Failure, Global, Output, output::Tone};
use crate::{
    backend::{
        Finding, Snapshots,
        cassandra::{self, Cassandra},
        embedded::{self, Embedded},
        kafka::{self, Kafka},
    },
    clock::{Clock, WallClock},
    config::{CloudKind, Config},
    executor::rackspace,
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Say what will not work, before it matters
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  weir doctor
  weir doctor --config /etc/weir/weir.toml --json

A line for each thing it looked at: the configuration, secrets, data folder and disk; over Kafka and Cassandra also who answers and
lets us in, the log's name and partitions, how topics are set, copies, clocks, schema, and how old each partition's newest snapshot
is.
Exit codes: 0 nothing is wrong, 1 something is.")]
pub struct Args {}

/// Used part of a disk from which on the embedded log takes nothing, percent.
const FULL_PERCENT: u64 = 95;
/// A newest snapshot may be this part of the events' retention old.
const OLD_PART: i64 = 4;

/// Looks, and prints what it saw.
pub async fn run(_: &Args, global: &Global, output: &mut Output) -> Result<Exit, Failure> {
    let looked = match global.config() {
        Ok(config) => tokio::task::spawn_blocking(move || look(&config)).await.map_err(Failure::found)?,
        Err(failure) => vec![Finding::wrong("configuration", failure.message)],
    };
    for Finding { about, ok, text } in &looked {
        if output.json {
            output.object(&serde_json::json!({ "about": about, "ok": ok, "text": text }))?;
        } else {
            let (tone, word) = if *ok { (Tone::Good, "ok   ") } else { (Tone::Bad, "WRONG") };
            let word = output.paint(tone, word);
            output.line(&format!("{word}  {about:<13}  {text}"))?;
        }
    }
    Ok(if looked.iter().all(|finding| finding.ok) { Exit::Done } else { Exit::Found })
}

fn look(config: &Config) -> Vec<Finding> {
    let mut found = vec![Finding::fine("configuration", format!("{} tenants", config.tenants.len()))];
    found.extend(secrets(config));
    found.extend(folder(config));
    if config.log.is_kafka() {
        found.extend(cluster(config))
    } else {
        found.push(store(config))
    }
    found
}

/// Every file that holds a secret is there and can be read.
fn secrets(config: &Config) -> Vec<Finding> {
    let tenants = config.tenants.iter().flat_map(|tenant| {
        let named = tenant.tokens.iter().map(|token| &token.file);
        tenant.token_file.iter().chain(&tenant.maas_token_file).chain(named)
    });
    let others = config.feeds.iter().filter_map(|feed| feed.token_file.as_ref());
    let files: Vec<&PathBuf> = tenants.chain(others).collect();
    let mut found = Vec::new();
    for file in &files {
        match fs::read_to_string(file) {
            Ok(text) if text.trim().is_empty() => {
                found
                    .push(Finding::wrong("secrets", format!("`{}` is empty: write the token into it", file.display())));
            }
            Ok(_) => {}
            Err(error) => {
                found.push(Finding::wrong("secrets", format!("`{}` cannot be read: {error}", file.display())))
            }
        }
    }
    let mut accounts = 0;
    for cloud in config.clouds.iter().filter(|cloud| cloud.kind == CloudKind::Rackspace) {
        accounts += 1;
        if let Some(Err(error)) = cloud.credentials_file.as_deref().map(rackspace::Credentials::read) {
            found.push(Finding::wrong("secrets", error));
        }
    }
    if found.is_empty() {
        found.push(Finding::fine("secrets", format!("{} files with tokens, {accounts} accounts", files.len())));
    }
    found
}

/// The data folder can be written, and its disk has room.
fn folder(config: &Config) -> Vec<Finding> {
    let shown = config.data.display();
    // One that is not there yet is made by `weir run`, where something above it can be written.
    let there = config.data.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    let mut found = Vec::new();
    found.push(match rustix::fs::access(there, rustix::fs::Access::WRITE_OK) {
        Ok(()) => Finding::fine("data folder", format!("`{shown}` can be written")),
        Err(error) => {
            Finding::wrong("data folder", format!("`{shown}` cannot be written: {error}; give it to this user"))
        }
    });
    if let Ok(stat) = rustix::fs::statvfs(there) {
        let used = stat.f_blocks.saturating_sub(stat.f_bfree);
        let percent = (used * 100).checked_div(used + stat.f_bavail).unwrap_or_default();
        let free = stat.f_bavail.saturating_mul(stat.f_frsize) >> 20;
        let text = format!("{percent} % used, {free} MiB free");
        found.push(if percent >= FULL_PERCENT {
            Finding::wrong("disk", format!("{text}: no event is taken from {FULL_PERCENT} % on; make room"))
        } else {
            Finding::fine("disk", text)
        });
    }
    found
}

/// The embedded store is whole, or a running process has it.
fn store(config: &Config) -> Finding {
    if !config.data.join("weir.redb").exists() {
        return Finding::fine("store", "embedded; there is none yet, `weir run` makes it");
    }
    match Embedded::open(&config.data, embedded::Settings::default()) {
        Ok(store) => Finding::fine("store", format!("embedded and whole: {}", crate::backend::Log::log_id(&store))),
        Err(error @ crate::backend::Error::InUse { .. }) => Finding::fine("store", format!("embedded; {error}")),
        Err(error) => Finding::wrong("store", error),
    }
}

/// Kafka, Cassandra, and what is in both.
fn cluster(config: &Config) -> Vec<Finding> {
    let (mut found, log) = match kafka::Settings::of(&config.log, &config.retention) {
        Ok(settings) => kafka::examine(&settings),
        Err(error) => (vec![Finding::wrong("kafka", error)], None),
    };
    let settings = match cassandra::Settings::of(&config.store, &config.retention, Arc::new(WallClock)) {
        Ok(settings) => settings,
        Err(error) => {
            found.push(Finding::wrong("cassandra", error));
            return found;
        }
    };
    let store = cassandra::examine(&settings);
    let sound = store.iter().all(|finding| finding.ok);
    found.extend(store);
    let Some(log) = log.filter(|_| sound) else { return found };
    found.extend(snapshots(config, &log, &settings));
    found
}

/// No partition's newest snapshot is so old that the events it needs go soon.
fn snapshots(config: &Config, log: &Kafka, settings: &cassandra::Settings) -> Vec<Finding> {
    use crate::backend::Log as _;
    let partitions = log.partitions();
    let store = match Cassandra::open(settings, &log.log_id(), partitions) {
        Ok(store) => store,
        Err(error) => return vec![Finding::wrong("snapshots", error)],
    };
    let retention_ms = config.retention.events.ms();
    let mut found = Vec::new();
    let mut oldest_ms = 0;
    for partition in 0..partitions {
        let age = || {
            let next = store.snapshot(partition, u64::MAX)?.map_or(0, |snapshot| snapshot.at.next);
            let of_ms = log.appended_before(partition, next)?;
            Ok::<_, crate::backend::Error>(of_ms.map_or(0, |of_ms| WallClock.now_ms().saturating_sub(of_ms)))
        };
        match age() {
            Ok(age_ms) if age_ms > retention_ms / OLD_PART => found.push(Finding::wrong(
                "snapshots",
                format!(
                    "partition {partition}: the newest is {} h old and events are kept for {} h: let its owner run, and see why it \
                     keeps none",
                    age_ms / 3_600_000,
                    retention_ms / 3_600_000
                ),
            )),
            Ok(age_ms) => oldest_ms = age_ms.max(oldest_ms),
            Err(error) => found.push(Finding::wrong("snapshots", format!("partition {partition}: {error}"))),
        }
    }
    if found.is_empty() {
        let text =
            format!("none is needed for longer than {} min back, of {partitions} partitions", oldest_ms / 60_000);
        found.push(Finding::fine("snapshots", text));
    }
    found
}
