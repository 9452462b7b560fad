//! `weir setup`: what many processes share, made once.

use super::{Exit, Failure, Global, Output, run};
use crate::{
    backend::{self, cassandra, kafka},
    clock::WallClock,
    config::Config,
};
use serde::Serialize;
use std::sync::Arc;

/// Make the topics and tables of a cluster
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  weir setup --config /etc/weir/weir.toml    before the first `weir run`, and after an update

What is there already stays as it is, so it may be run again. The embedded log and store need none.")]
pub struct Args {}

/// What was found and done.
#[derive(Serialize)]
pub struct Done {
    log_id: String,
    partitions: u32,
    topics_made: Vec<String>,
    keyspace: String,
}

/// Makes what is missing.
pub async fn run(_: &Args, global: &Global, output: &mut Output) -> Result<Exit, Failure> {
    let config = global.config()?;
    if !config.log.is_kafka() {
        output.line("nothing to set up: the embedded log and store are made by `weir run`")?;
        return Ok(Exit::Done);
    }
    let done = make(&config).await?;
    if output.json {
        output.object(&done)?;
        return Ok(Exit::Done);
    }
    let (brokers, nodes) = (config.log.brokers.join(", "), config.store.nodes.join(", "));
    output.line(&match done.topics_made.as_slice() {
        [] => format!("Kafka at {brokers}: all topics were there"),
        made => format!("Kafka at {brokers}: made {}", made.join(", ")),
    })?;
    output.line(&format!("Cassandra at {nodes}: the keyspace {} and its tables are there", done.keyspace))?;
    output.line(&format!("the log is {}, {} partitions; next: weir run", done.log_id, done.partitions))?;
    Ok(Exit::Done)
}

/// Makes topics and tables of a configuration, where they are not there.
///
/// # Errors
/// Where brokers or nodes are away, or what is there breaks the rules.
pub async fn make(config: &Config) -> Result<Done, Failure> {
    let config = config.clone();
    let done = tokio::task::spawn_blocking(move || make_now(&config)).await.map_err(Failure::found)?;
    done.map_err(|error| run::explained(error.into()))
}

fn make_now(config: &Config) -> backend::Result<Done> {
    let log = kafka::Settings::of(&config.log, &config.retention)?;
    let store = cassandra::Settings::of(&config.store, &config.retention, Arc::new(WallClock))?;
    // The tables first: a log that has its name is one that `weir run` takes for whole.
    cassandra::setup(&store)?;
    let kafka::Setup { log_id, partitions, made } = kafka::setup(&log)?;
    Ok(Done { log_id, partitions, topics_made: made, keyspace: store.keyspace })
}
