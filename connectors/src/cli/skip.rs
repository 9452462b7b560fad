//! `weir skip`: lets a partition go past a record that no engine can apply. It works on the log itself, with the
//! configuration's credentials, since the partition whose record it is belongs to no one tenant.

use super::{Exit, Failure, Global, Output, run};
use crate::{
    backend::{self, Backend, Line, Machine, Skip},
    clock::{Clock, WallClock},
    replay,
};
use serde::Serialize;
use std::{
    panic::{self, AssertUnwindSafe},
    sync::Arc,
};
use weir_engine::{id::Position, partition::Partition, time};

/// Go past a record at which a partition has halted
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  weir skip 3@188213 --reason \"a producer of the shop wrote into our topic\" --dry-run
  weir skip 3@188213 --reason \"a producer of the shop wrote into our topic\"

`/readyz` and the metrics of the partition's owner name the record. Nothing of it ever happens: every replay passes over it, too,
and that cannot be taken back. Over Kafka the owner goes on within a second or two. The embedded log's folder is in use while
`weir run` runs: stop that, skip, start it again.
Exit codes: 0 done, 1 refused.")]
pub struct Args {
    /// The record: partition and offset, `3@188213`, or as messages name it, `3:188213`
    #[arg(value_name = "P@X", value_parser = position)]
    at: Position,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Show the record and what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Also where this build can apply it
    #[arg(long)]
    even_so: bool,
}

fn position(text: &str) -> Result<Position, String> {
    let wrong = || format!("`{text}` is no record: write `PARTITION@OFFSET`, as in `3@188213`");
    let (partition, offset) = text.split_once('@').or_else(|| text.split_once(':')).ok_or_else(wrong)?;
    match (partition.parse(), offset.parse()) {
        (Ok(partition), Ok(offset)) => Ok(Position { partition, offset }),
        _ => Err(wrong()),
    }
}

/// What is passed over, or would be.
#[derive(Debug, Serialize)]
struct Said {
    position: String,
    /// When the log took it.
    #[serde(with = "time::wire")]
    appended: i64,
    bytes: usize,
    /// Its beginning, for a person to know it by.
    begins: String,
    /// Why it cannot be applied; empty where it can.
    trouble: String,
    reason: String,
    dry_run: bool,
}

/// Looks, refuses what is a mistake, and does it.
pub async fn run(args: &Args, global: &Global, output: &mut Output) -> Result<Exit, Failure> {
    if args.reason.trim().is_empty() {
        return Err(Failure::usage("`--reason` is empty").help("say why, for who asks in a year"));
    }
    let config = global.config()?;
    let backend = crate::run::open(&config).await.map_err(run::explained)?;
    let (at, reason, even_so, dry_run) = (args.at, args.reason.clone(), args.even_so, args.dry_run);
    let done = tokio::task::spawn_blocking(move || {
        let said = look(&backend, at, reason, even_so, dry_run)?;
        if !dry_run {
            skip(&backend, at, &said.reason)?;
        }
        Ok::<_, Failure>(said)
    });
    let said = done.await.map_err(Failure::found)??;
    if output.json {
        output.object(&said)?;
        return Ok(Exit::Done);
    }
    let what = if dry_run { "would be passed over" } else { "is passed over from now on" };
    output.line(&format!(
        "record {} {what}, {} bytes of {}:",
        said.position,
        said.bytes,
        time::rfc3339(said.appended)
    ))?;
    output.line(&format!("  {}", said.begins))?;
    if !said.trouble.is_empty() {
        output.line(&format!("it cannot be applied: {}", said.trouble))?;
    }
    Ok(Exit::Done)
}

fn failed(error: backend::Error) -> Failure {
    run::explained(error.into())
}

/// Finds the record, and refuses what should not be passed over.
fn look(
    backend: &Arc<dyn Backend>,
    at: Position,
    reason: String,
    even_so: bool,
    dry_run: bool,
) -> Result<Said, Failure> {
    let Position { partition, offset } = at;
    let (committed, _) = backend.stepped(partition).map_err(failed)?;
    let stands = committed.next;
    if offset != stands {
        let past = if offset < stands { "is applied already" } else { "is not the one at which the partition stands" };
        return Err(Failure::found(format!(
            "record `{at}` {past}: partition {partition} stands at `{partition}:{stands}`"
        ))
        .help("`/readyz` of the partition's owner names the record at which it has halted"));
    }
    if backend.skips(partition).map_err(failed)?.iter().any(|skip| skip.offset == offset) {
        return Err(Failure::found(format!("record `{at}` is passed over already")).help("start its owner: `weir run`"));
    }
    let line = backend.read(partition, offset, 1).map_err(failed)?.into_iter().next();
    let line = line.ok_or_else(|| Failure::found(format!("there is no record `{at}` yet: the log ends there")))?;
    let state = replay::state_at(&**backend, partition, offset).map_err(|error| failed(error.into()))?;
    let trouble = trouble(state, &line);
    if trouble.is_none() && !even_so {
        return Err(Failure::found(format!(
            "record `{at}` can be applied by this build, so there is nothing to go past"
        ))
        .help("start its owner with this build: `weir run`; or say --even-so"));
    }
    Ok(Said {
        position: at.to_string(),
        appended: line.appended_ms,
        bytes: line.bytes.len(),
        begins: String::from_utf8_lossy(&line.bytes).chars().take(160).flat_map(char::escape_default).collect(),
        trouble: trouble.unwrap_or_default(),
        reason,
        dry_run,
    })
}

/// Why the engine cannot apply the record, where it cannot.
fn trouble(mut state: Partition, line: &Line) -> Option<String> {
    let hook = panic::take_hook();
    // A record that breaks the engine off is what this command is for; its words follow below.
    panic::set_hook(Box::new(|_| {}));
    let stepped = panic::catch_unwind(AssertUnwindSafe(|| crate::worker::Engine::step(&mut state, line)));
    panic::set_hook(hook);
    match stepped {
        Ok(Ok(_)) => None,
        Ok(Err(reason)) => Some(reason),
        Err(_) => Some("the engine breaks off at it".to_owned()),
    }
}

/// Takes the partition over, so that nobody applies the record meanwhile, and says it.
fn skip(backend: &Arc<dyn Backend>, at: Position, reason: &str) -> Result<(), Failure> {
    let (owner, _) = backend.take_over(Machine::Step, at.partition).map_err(failed)?;
    let actor = std::env::var("USER").unwrap_or_default();
    let actor = if actor.is_empty() { "an operator".to_owned() } else { actor };
    let skip = Skip { offset: at.offset, reason: reason.to_owned(), actor, at_ms: WallClock.now_ms() };
    let said = backend.skip(&owner, skip).map_err(failed);
    backend.let_go(Machine::Step, at.partition);
    said
}
