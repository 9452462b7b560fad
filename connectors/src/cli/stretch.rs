//! A stretch of the log itself, for `weir replay kafka:…`: read from the brokers and the store by the configuration, not asked
//! of a server. It is written as an export is, so that a replay reads one thing only.

use super::{Failure, Global, clock, run};
use crate::{
    api::export::{FORMAT, Header, Whose, write},
    backend::{self, Backend, partition_of},
    clock::{Clock, WallClock},
    config::Config,
    replay,
    worker::Engine,
};
use std::{
    io::{self, BufRead, BufReader, Write},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread,
};
use weir_engine::{id::Position, partition::Partition};

/// Which stretch of which partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    partition: u32,
    from: Option<u64>,
    until: Option<u64>,
}

/// Its lines, as they come from the log.
pub struct Source {
    /// The lines.
    pub input: Box<dyn BufRead + Send>,
    /// What it is called in messages.
    pub shown: String,
    broken: Arc<Mutex<Option<backend::Error>>>,
}

impl Source {
    /// Why it broke off, where it did; to whoever found it not whole that says more.
    #[must_use]
    pub fn broken(&self) -> Option<Failure> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).take().map(failed)
    }
}

/// `kafka:P`, `kafka:P@FROM`, `kafka:P@FROM..TO`; `None` where it is the name of a file.
///
/// # Errors
/// Where it begins like that and goes on otherwise.
pub fn wanted(file: &Path) -> Result<Option<Wanted>, Failure> {
    let Some(text) = file.to_str().and_then(|text| text.strip_prefix("kafka:")) else { return Ok(None) };
    let wrong = || {
        Failure::usage(format!("`kafka:{text}` is no stretch of the log"))
            .help("write `kafka:PARTITION@FROM..TO`, as in `kafka:4@188000..188400`; FROM and TO may be left out")
    };
    let (partition, stretch) = text.split_once('@').map_or((text, ""), |(partition, stretch)| (partition, stretch));
    let (from, until) = stretch.split_once("..").unwrap_or((stretch, ""));
    let number = |text: &str| match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| wrong()),
    };
    let partition = partition.parse().map_err(|_| wrong())?;
    Ok(Some(Wanted { partition, from: number(from)?, until: number(until)? }))
}

/// The stretch as lines. `from` and `to` are times for bounds that were not given as offsets.
///
/// # Errors
/// Where the log or store is away, the stretch is empty or no longer kept, or it is not clear whose decisions are meant.
pub async fn open(
    wanted: &Wanted,
    from: Option<&str>,
    to: Option<&str>,
    tenant: Option<&str>,
    global: &Global,
) -> Result<Source, Failure> {
    let config = global.config()?;
    if !config.log.is_kafka() {
        return Err(Failure::usage("the configuration has no `[log]` of kind `kafka`")
            .help("name it with --config; of an embedded log, take `weir log export` and replay the file"));
    }
    let backend = run_open(&config).await?;
    let bounds = |text: Option<&str>| text.map(|text| clock::moment(text, WallClock.now_ms())).transpose();
    let (from_ms, to_ms) = (bounds(from)?.map(|at| at.from_ms), bounds(to)?.map(|at| at.from_ms));
    let (wanted, tenant) = (wanted.clone(), tenant.map(str::to_owned));
    tokio::task::spawn_blocking(move || read(&config, &backend, &wanted, from_ms, to_ms, tenant))
        .await
        .map_err(Failure::found)?
}

async fn run_open(config: &Config) -> Result<Arc<dyn Backend>, Failure> {
    crate::run::open(config).await.map_err(run::explained)
}

fn failed(error: backend::Error) -> Failure {
    run::explained(error.into())
}

fn read(
    config: &Config,
    backend: &Arc<dyn Backend>,
    wanted: &Wanted,
    from_ms: Option<i64>,
    to_ms: Option<i64>,
    tenant: Option<String>,
) -> Result<Source, Failure> {
    let (partition, partitions) = (wanted.partition, backend.partitions());
    if partition >= partitions {
        return Err(Failure::usage(format!("there is no partition {partition}: the log has {partitions}")));
    }
    let here = |name: &String| partition_of(name, partitions) == partition;
    let tenants: Vec<String> = config.tenants.iter().map(|tenant| tenant.name.clone()).filter(here).collect();
    let tenant = match (tenant, &tenants[..]) {
        (Some(tenant), _) if here(&tenant) => tenant,
        (Some(tenant), _) => {
            let there = partition_of(&tenant, partitions);
            return Err(Failure::usage(format!("tenant `{tenant}` is in partition {there}, not in {partition}")));
        }
        (None, [one]) => one.clone(),
        (None, []) => {
            return Err(Failure::usage(format!("no tenant of the configuration is in partition {partition}")));
        }
        (None, several) => {
            return Err(Failure::usage(format!("partition {partition} is several tenants': {}", several.join(", ")))
                .help("say whose decisions with --tenant"));
        }
    };
    let (oldest, end) = backend.range(partition).map_err(failed)?;
    let at = |at_ms: i64| -> backend::Result<u64> {
        if oldest == end {
            return Ok(end);
        }
        // The newest at or before that time is the last that is not after it.
        let offset = backend.offset_at(partition, at_ms)?;
        let before = backend.read(partition, offset, 1)?.first().is_some_and(|line| line.appended_ms < at_ms);
        Ok(if before { offset + 1 } else { offset })
    };
    let edge = |offset: Option<u64>, at_ms: Option<i64>, none: u64| match (offset, at_ms) {
        (Some(offset), _) => Ok(offset),
        (None, Some(at_ms)) => at(at_ms),
        (None, None) => Ok(none),
    };
    let (committed, _) = backend.stepped(partition).map_err(failed)?;
    let from = edge(wanted.from, from_ms, oldest).map_err(failed)?;
    let until = edge(wanted.until, to_ms, end).map_err(failed)?.min(committed.next);
    if from < oldest || from >= until {
        let (next, from) = (committed.next, Position { partition, offset: from });
        return Err(Failure::found(format!("there is nothing to replay from `{from}` on"))
            .help(format!("the log has `{partition}:{oldest}` to `{partition}:{next}`, as far as it is decided")));
    }
    let replay::Recovered { state, snapshot, .. } =
        replay::recover(&**backend, partition, from, <Partition as Engine>::restore, &|| false)
            .map_err(|error| failed(error.into()))?;
    let begins = snapshot.map_or("the first record".to_owned(), |next| format!("the snapshot at `{partition}:{next}`"));
    let header = Header {
        format: FORMAT,
        log_id: backend.log_id(),
        partition,
        tenant,
        group: None,
        from,
        until,
        semantics: state.semantics(),
    };
    let (reads, writes) = io::pipe().map_err(Failure::found)?;
    let broken = Arc::<Mutex<Option<backend::Error>>>::default();
    let (state, backend, why) = (state.snapshot(), Arc::clone(backend), Arc::clone(&broken));
    thread::Builder::new()
        .name("weir-stretch".into())
        .spawn(move || {
            let sent = write(&*backend, &header, &state, Whose::Everybody, &|chunk| writes_all(&writes, &chunk));
            *why.lock().unwrap_or_else(PoisonError::into_inner) = sent.err();
        })
        .map_err(Failure::found)?;
    let shown = format!("the log from `{partition}:{from}` to `{partition}:{until}`, with the state of {begins}");
    Ok(Source { input: Box::new(BufReader::new(reads)), shown, broken })
}

fn writes_all(mut pipe: &io::PipeWriter, chunk: &[u8]) -> bool {
    pipe.write_all(chunk).is_ok()
}
