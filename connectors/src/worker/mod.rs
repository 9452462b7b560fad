//! The harness that drives the step machine of one partition, on a thread of its own: take over, recover, go live, commit.
//!
//! Started by whoever runs the process, once for each partition. It reads the log, lets the engine step, and commits what
//! came out together with the position. It never calls a cloud and never decides.

use crate::{
    backend::Backend,
    clock::{Clock, WallClock},
};
use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::sync::broadcast;
use weir_engine::{decision::Decision, partition::Partition};

mod by_hand;
mod commit;
mod drive;
mod engine;
mod gathered;
mod status;
mod tenure;
mod ticks;

#[cfg(test)]
mod tests;

pub use by_hand::ByHand;
pub use engine::Engine;
pub(crate) use gathered::Rows;
pub use status::Status;

/// What may be chosen. Times named `_ms` are of the clock given, which may run faster than the world.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The clock of ticks; the log's own should be the same.
    pub clock: Arc<dyn Clock>,
    /// Records of one read at most.
    pub batch: usize,
    /// As long as reads are full, the log is behind, and what comes out of them is gathered for this long into one commit: over
    /// Kafka a commit takes some tens of milliseconds, however much is in it.
    pub gather: Duration,
    /// A snapshot after so many records …
    pub snapshot_records: u64,
    /// … and at the latest after this long, where there were any.
    pub snapshot_ms: i64,
    /// After one was saved, the next is not for so many times as long as that took: a log that is behind is not held up by them.
    pub snapshot_rest: u32,
    /// A due timer makes at most one tick in this time.
    pub tick_min_ms: i64,
    /// Where nothing else moves the log's time, a tick does after this long.
    pub tick_max_ms: i64,
    /// The log's time may be this far behind the clock for executors to act.
    pub live_ms: i64,
    /// The clock may be this far behind the log's time for the owner to be trusted.
    pub ahead_ms: i64,
    /// How long the thread sleeps at most, in the world's time: how soon it notices that it is to stop.
    pub poll: Duration,
    /// After an error, how long before the next try; doubles up to [`Settings::retry_max`].
    pub retry_min: Duration,
    /// See there.
    pub retry_max: Duration,
    /// How long a stop waits for the records already in the log.
    pub drain: Duration,
    /// Told of each decision once it is committed.
    pub decisions: Option<broadcast::Sender<Arc<Decision>>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            clock: Arc::new(WallClock),
            batch: 1_024,
            gather: Duration::from_millis(100),
            snapshot_records: 10_000,
            snapshot_ms: 3_600_000,
            snapshot_rest: 9,
            tick_min_ms: 1_000,
            tick_max_ms: 60_000,
            live_ms: 5_000,
            ahead_ms: 60_000,
            poll: Duration::from_millis(100),
            retry_min: Duration::from_millis(100),
            retry_max: Duration::from_secs(10),
            drain: Duration::from_secs(5),
            decisions: None,
        }
    }
}

/// What the thread and its handle share.
#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    status: Mutex<Status>,
}

impl Shared {
    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// A running worker. Dropping it stops it, too.
pub struct WorkerHandle {
    partition: u32,
    shared: Arc<Shared>,
    backend: Arc<dyn Backend>,
    clock: Arc<dyn Clock>,
    thread: Option<JoinHandle<()>>,
}

/// Starts the worker of `partition`.
///
/// # Errors
/// Where the machine gives no thread.
pub fn start(backend: Arc<dyn Backend>, partition: u32, settings: Settings) -> std::io::Result<WorkerHandle> {
    start_with::<Partition>(backend, partition, settings)
}

/// Starts a worker that drives another machine than the engine's.
///
/// # Errors
/// As for [`start`].
pub fn start_with<E: Engine>(
    backend: Arc<dyn Backend>,
    partition: u32,
    settings: Settings,
) -> std::io::Result<WorkerHandle> {
    let status = Status { partition, ..Status::default() };
    let shared = Arc::new(Shared { stop: AtomicBool::new(false), status: Mutex::new(status) });
    let clock = Arc::clone(&settings.clock);
    let (on_thread, log) = (Arc::clone(&shared), Arc::clone(&backend));
    let thread = thread::Builder::new()
        .name(format!("weir-step-{partition}"))
        .spawn(move || drive::run::<E>(&*log, partition, &settings, &on_thread))?;
    Ok(WorkerHandle { partition, shared, backend, clock, thread: Some(thread) })
}

impl WorkerHandle {
    /// Which partition.
    #[must_use]
    pub fn partition(&self) -> u32 {
        self.partition
    }

    /// How it stands, now.
    #[must_use]
    pub fn status(&self) -> Status {
        let mut status = self.known();
        // A log that cannot be asked has no newer end to tell; what is wrong with it stands in `trouble`.
        if let Ok((_, end)) = self.backend.range(self.partition) {
            status.end = end.max(status.next);
        }
        status
    }

    /// How it stands, without asking the log where it ends: for who must not wait. `end` is `next`.
    #[must_use]
    pub fn known(&self) -> Status {
        let mut status = self.shared.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (status.end, status.now_ms) = (status.next, self.clock.now_ms());
        status
    }

    /// Applies what is in the log, keeps a snapshot, and ends. Answers how it stood at the end.
    pub fn stop(mut self) -> Status {
        self.end();
        self.status()
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // The thread catches the engine's panics. One of its own is told by the status, which then never ends well.
            if thread.join().is_err() {
                self.shared.update(|status| status.trouble = Some("the worker broke off".into()));
            }
        }
    }
}

impl Drop for WorkerHandle {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for WorkerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerHandle").field("status", &self.shared.status).finish_non_exhaustive()
    }
}
