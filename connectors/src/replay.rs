//! The state of a partition at any kept record, by the newest snapshot before it and the records since, run through the
//! engine with nobody listening. Recovery does it after a take-over; `why` and export do it for a moment in the past.

use crate::{
    backend::{self, Backend, Skips},
    worker::Engine,
};
use weir_engine::{
    event::{Event, Fact, Record, Tick},
    id::Position,
    partition::Partition,
};

#[cfg(test)]
mod tests;

/// Records read at one time.
const PAGE: usize = 1_024;

/// Why there is no state.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The log or store said so.
    #[error(transparent)]
    Backend(#[from] backend::Error),
    /// A record cannot be applied; nothing after it can be either.
    #[error("record `{at}` cannot be applied: {reason}")]
    Halted {
        /// Which.
        at: Position,
        /// In words.
        reason: String,
    },
}

impl From<Error> for backend::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Backend(error) => error,
            halted @ Error::Halted { .. } => Self::Damaged(halted.to_string()),
        }
    }
}

/// The state of `partition` after all records before the offset `until`.
///
/// # Errors
/// [`backend::Error::OutOfRange`] where what it takes is no longer kept, or `until` is past the end.
pub fn state_at(backend: &dyn Backend, partition: u32, until: u64) -> Result<Partition, Error> {
    Ok(recover(backend, partition, until, <Partition as Engine>::restore, &|| false)?.state)
}

/// The same of one tenant alone: of the snapshot only what is the tenant's is compiled, and of the records only its own are more
/// than the time. So it costs what a tenant costs, in a partition of many. It decides for it as the whole does, but where more
/// timers are due than [one record runs](weir_engine::partition::GROUPS_PER_RECORD_MAX), perhaps at an earlier record.
///
/// # Errors
/// As for [`state_at`].
pub fn state_of(backend: &dyn Backend, tenant: &str, partition: u32, until: u64) -> Result<Partition, Error> {
    let state = start(backend, partition, until, <Partition as Engine>::restore_to_step)?.state.only(tenant);
    let mut state = state.map_err(|damaged| backend::Error::Damaged(damaged.to_string()))?;
    run_on(&mut state, backend, partition, until, &|line| heard(line, tenant), &|| false)?;
    Ok(state)
}

/// What a tenant hears of the log: its own records and those of nobody, and that time passes by those of others.
#[must_use]
pub fn own(event: Event, tenant: &str) -> Event {
    if event.tenant == tenant || event.tenant.is_empty() {
        return event;
    }
    let id = format!("other-{}", event.time);
    Event { id, source: "/clock".to_owned(), tenant: String::new(), fact: Fact::Tick(Tick {}), ..event }
}

fn heard(line: backend::Line, tenant: &str) -> backend::Line {
    // One that nobody can read stops the tenant, too, as it did the partition.
    let Ok(event) = Event::from_line(&line.bytes) else { return line };
    backend::Line { bytes: own(event, tenant).to_line().into_bytes(), ..line }
}

/// A state, and where its replay began.
pub(crate) struct Recovered<E> {
    pub(crate) state: E,
    /// The position of the snapshot; `None` where it was the first record.
    pub(crate) snapshot: Option<u64>,
    /// The log's time there.
    pub(crate) snapshot_ms: Option<i64>,
}

/// How a machine is made from a snapshot's bytes.
pub(crate) type Restore<E> = fn(&[u8]) -> Result<E, String>;

/// As [`state_at`], for any machine. Gives up between pages where `stop` says so; the state then is of an earlier record.
pub(crate) fn recover<E: Engine>(
    backend: &dyn Backend,
    partition: u32,
    until: u64,
    restore: Restore<E>,
    stop: &dyn Fn() -> bool,
) -> Result<Recovered<E>, Error> {
    let Recovered { mut state, snapshot, snapshot_ms } = start(backend, partition, until, restore)?;
    run_on(&mut state, backend, partition, until, &|line| line, stop)?;
    Ok(Recovered { state, snapshot, snapshot_ms })
}

/// Applies the records before the offset `until`, as `heard`.
fn run_on<E: Engine>(
    state: &mut E,
    backend: &dyn Backend,
    partition: u32,
    until: u64,
    heard: &dyn Fn(backend::Line) -> backend::Line,
    stop: &dyn Fn() -> bool,
) -> Result<(), Error> {
    let skips = Skips::of(&backend.skips(partition)?);
    while state.next() < until && !stop() {
        let wanted = usize::try_from(until - state.next()).unwrap_or(PAGE).min(PAGE);
        let lines = backend.read(partition, state.next(), wanted)?;
        if lines.is_empty() {
            let (asked, end) = (Position { partition, offset: until }, Position { partition, offset: state.next() });
            let text = format!("there is no record before `{asked}` yet: the log ends at `{end}`");
            return Err(backend::Error::OutOfRange(text).into());
        }
        let lines: Vec<backend::Line> = lines.into_iter().map(|line| heard(skips.obey(line))).collect();
        let mut done = 0;
        // Muted: what comes out was committed when it was first decided.
        state.step_all(&lines, &mut |_| done += 1).map_err(|reason| {
            let offset = lines.get(done).map_or(until, |line| line.offset);
            Error::Halted { at: Position { partition, offset }, reason }
        })?;
    }
    Ok(())
}

/// The newest state that is kept and readable, at or before `until`.
fn start<E: Engine>(
    backend: &dyn Backend,
    partition: u32,
    until: u64,
    restore: Restore<E>,
) -> Result<Recovered<E>, Error> {
    let mut at_most = Some(until);
    while let Some(most) = at_most {
        let Some(snapshot) = backend.snapshot(partition, most)? else { break };
        let at = Position { partition, offset: snapshot.at.next };
        match restore(&snapshot.state) {
            Ok(state) if state.next() == at.offset && state.digest() == snapshot.at.digest => {
                let snapshot_ms = Some(state.t());
                return Ok(Recovered { state, snapshot: Some(at.offset), snapshot_ms });
            }
            Ok(_) => tracing::warn!(%at, "a snapshot holds the state of another position; using the one before"),
            Err(reason) => tracing::warn!(%at, reason, "a snapshot cannot be read; using the one before"),
        }
        at_most = at.offset.checked_sub(1);
    }
    // A log that an installation was moved to does not begin with nothing.
    if let Some(from) = backend.lineage()?.from {
        let text = format!("the log began with {}, and no snapshot of that or later is kept", from.of);
        return Err(backend::Error::OutOfRange(text).into());
    }
    Ok(Recovered { state: E::new(&backend.log_id(), partition), snapshot: None, snapshot_ms: None })
}

/// A line as the engine takes it.
///
/// # Errors
/// Where it is not an event that this build knows, in words.
pub fn record(line: &backend::Line) -> Result<Record, String> {
    let event = Event::from_line(&line.bytes).map_err(|error| {
        format!("it is no event that this build knows ({error}); use the build that wrote it, or a newer one")
    })?;
    Ok(Record { offset: line.offset, appended_ms: line.appended_ms, event })
}
