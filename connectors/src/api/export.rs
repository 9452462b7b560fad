//! `GET /v1/log/export`: a stretch of a tenant's log as lines that stand alone, for `replay`, `backtest` and `record`.
//!
//! First a header, then the engine's state at the start, then each record followed by the decisions made at it. What
//! other tenants of the partition said is not shown: their records become ticks, which keep their offsets and move the
//! time as they did, so that a replay comes to the same decisions.

use super::{
    Door, Problem, Reason,
    auth::Administers,
    body::{Asked, Instant},
};
use crate::{
    backend::{self, Backend, Skips},
    replay,
};
use axum::{
    body::{Body, Bytes},
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_core::Stream;
use serde::{Deserialize, Serialize};
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{runtime::Handle, sync::mpsc, time::timeout};
use weir_engine::{command::Command, decision::Decision, event::Event, id::Position, time};

/// The shape of the lines. Rises when an old reader could not read them.
pub const FORMAT: u32 = 1;
/// Records read at once.
const CHUNK: usize = 256;
/// How long a reader may stand still before the export is given up.
const STALLED: Duration = Duration::from_secs(30);

/// One line of an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// The first line.
    Header(Header),
    /// The second: the engine's state before the first record, base64 of `Partition::snapshot`. It may be left empty where
    /// the first record is the log's first: there is no state before that, in any build.
    State(String),
    /// A record.
    Record(Recorded),
    /// A decision made at the record above it.
    Decision(Box<Decision>),
    /// A command given at the record above it. Golden logs have them; exports do not, since each decision that gave one says
    /// its generation and target.
    Command(Box<Command>),
    /// The last line of a golden log: the rolling digest of all commands of the partition.
    Digest(String),
}

/// What an export is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`].
    pub format: u32,
    /// The log.
    pub log_id: String,
    /// The partition.
    pub partition: u32,
    /// Whose records these are.
    pub tenant: String,
    /// Whose decisions, where it is one group's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The first offset.
    pub from: u64,
    /// One past the last.
    pub until: u64,
    /// The meaning of the rules by which the first record was decided; an upgrade in it raises that.
    #[serde(default = "first")]
    pub semantics: u32,
}

/// The meaning of the rules in files that do not say.
fn first() -> u32 {
    1
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// Its offset.
    pub offset: u64,
    /// When the log took it.
    #[serde(with = "time::wire")]
    pub appended: i64,
    /// The fact; a tick where it was another tenant's.
    pub event: Event,
}

/// Which stretch: times, or positions `4:188213`; the whole log where left out. `to` is not in it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stretch {
    from: Option<String>,
    to: Option<String>,
    group: Option<String>,
}

/// The handler.
pub(super) async fn export(
    State(door): State<Arc<Door>>,
    Administers(caller): Administers,
    Asked(Stretch { from, to, group }): Asked<Stretch>,
) -> Result<Response, Problem> {
    let Some(state_at) = door.hooks.state_at.clone() else {
        return Err(Problem::new(Reason::NotOffered, "this process runs no engine, so it has no state to export"));
    };
    let permit = Arc::clone(&door.exports).try_acquire_owned();
    let Ok(permit) = permit else {
        return Err(Problem::new(Reason::Busy, "other exports are under way; try again").retry_after(5));
    };
    let tenant = caller.tenant;
    let (header, state) = door
        .ask(move |door| {
            let partition = door.partition(&tenant);
            let (oldest, end) = door.backend.range(partition)?;
            let from = edge(door, partition, from.as_deref(), oldest)?.max(oldest);
            let until = edge(door, partition, to.as_deref(), end)?.min(end);
            // What is exported has been decided, so that the decisions can be in it.
            let (committed, _) = door.backend.stepped(partition)?;
            let until = until.min(committed.next);
            if from >= until {
                let detail = format!("nothing is between these; the log has {partition}:{oldest} to {partition}:{end}");
                return Err(Problem::new(Reason::NotFound, detail));
            }
            // The store may be behind what is decided, and an export without its last decisions would look like a replay that
            // differs. Asked for now, since a body that has begun can only be broken off.
            match door.backend.decisions_between(partition, until - 1, until) {
                Err(backend::Error::Away(detail)) => return Err(Problem::new(Reason::TooEarly, detail).retry_after(1)),
                last => drop(last?),
            }
            let state = state_at(&tenant, partition, from)?;
            let (log_id, semantics) = (door.backend.log_id(), state.semantics());
            Ok((Header { format: FORMAT, log_id, partition, tenant, group, from, until, semantics }, state.snapshot()))
        })
        .await?;
    let (sender, receiver) = mpsc::channel(4);
    let (runtime, reading) = (Handle::current(), Arc::clone(&door));
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let send =
            |chunk: io::Result<Bytes>| matches!(runtime.block_on(timeout(STALLED, sender.send(chunk))), Ok(Ok(())));
        let whose = Whose::Tenant;
        if let Err(error) = write(&*reading.backend, &header, &state, whose, &|chunk| send(Ok(chunk))) {
            // The answer has begun: breaking it off is the one way left to say that it is not whole.
            send(Err(io::Error::other(error)));
        }
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(Lines(receiver))).into_response())
}

/// A bound: a position of this partition, a time, or what stands for none.
fn edge(door: &Door, partition: u32, text: Option<&str>, none: u64) -> Result<u64, Problem> {
    let Some(text) = text else { return Ok(none) };
    if let Some(Instant(at_ms)) = Instant::parse(text) {
        let (oldest, end) = door.backend.range(partition)?;
        if oldest == end {
            return Ok(none);
        }
        // The newest record at or before that time is the last that is not after it.
        let offset = door.backend.offset_at(partition, at_ms)?;
        let line = door.backend.read(partition, offset, 1)?;
        let before = line.first().is_some_and(|line| line.appended_ms < at_ms);
        return Ok(if before { offset + 1 } else { offset });
    }
    match text.split_once(':').and_then(|_| text.parse::<Position>().ok()) {
        Some(position) if position.partition == partition => Ok(position.offset),
        Some(_) => {
            Err(Problem::new(Reason::Malformed, format!("`{text}` is not of this tenant's partition, {partition}")))
        }
        None => Err(Problem::new(
            Reason::Malformed,
            format!("`{text}` is neither a time nor a position; write `2026-11-24T02:00:00Z` or `{partition}:188213`"),
        )),
    }
}

/// Whose records are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The tenant's; those of others become ticks.
    Tenant,
    /// Everybody's, for who may read the log itself.
    Everybody,
}

/// Sends all lines, chunk by chunk, until done or the reader is gone.
///
/// # Errors
/// Where a record is no longer kept or cannot be read; or the log's or store's.
pub fn write(
    backend: &dyn Backend,
    header: &Header,
    state: &[u8],
    whose: Whose,
    send: &dyn Fn(Bytes) -> bool,
) -> backend::Result<()> {
    let mut text = Vec::new();
    push(&mut text, &Line::Header(header.clone()))?;
    push(&mut text, &Line::State(STANDARD.encode(state)))?;
    let skips = Skips::of(&backend.skips(header.partition)?);
    let mut next = header.from;
    while next < header.until {
        let most = usize::try_from(header.until - next).unwrap_or(CHUNK).min(CHUNK);
        let lines = backend.read(header.partition, next, most)?;
        let Some(last) = lines.last().map(|line| line.offset) else {
            return Err(backend::Error::OutOfRange(format!("offset {next} is no longer kept")));
        };
        let mut decisions = backend.decisions_between(header.partition, next, last + 1)?.into_iter().peekable();
        for line in lines {
            let line = skips.obey(line);
            let offset = line.offset;
            let event = Event::from_line(&line.bytes)
                .map_err(|error| backend::Error::Damaged(format!("record {}:{offset}: {error}", header.partition)))?;
            let event = if whose == Whose::Tenant { replay::own(event, &header.tenant) } else { event };
            push(&mut text, &Line::Record(Recorded { offset, appended: line.appended_ms, event }))?;
            while let Some(decision) = decisions.next_if(|decision| decision.position.offset <= offset) {
                let wanted = header.group.as_ref().is_none_or(|group| *group == decision.group);
                if wanted && decision.tenant == header.tenant {
                    push(&mut text, &Line::Decision(Box::new(decision)))?;
                }
            }
        }
        if !send(Bytes::from(std::mem::take(&mut text))) {
            return Ok(());
        }
        next = last + 1;
    }
    Ok(())
}

fn push(text: &mut Vec<u8>, line: &Line) -> backend::Result<()> {
    serde_json::to_writer(&mut *text, line).map_err(|error| backend::Error::Failed(error.to_string()))?;
    text.push(b'\n');
    Ok(())
}

/// Chunks as they come.
struct Lines(mpsc::Receiver<io::Result<Bytes>>);

impl Stream for Lines {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}
