//! What every handler works with: one [`Door`] a process.

use super::{Problem, Reason, declared::Declared, keys::SeenKeys, metrics::Counters, pace::Paces, refused::Refusals};
use crate::{
    backend::{Backend, partition_of},
    clock::Clock,
    config::{Config, Tenant},
    secret::{Caller, Keyring},
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::Semaphore;
use weir_engine::{event::Event, id::Position, partition::Partition};

/// Requests that may wait for the store at one time; more are answered 503, since a queue here would only grow.
const UNDER_WAY_MAX: usize = 1_024;
/// Exports at one time; each holds a thread for as long as its reader takes.
const EXPORTS_MAX: usize = 4;
/// Of these, so many may wait for a position; else waiting reads could take all the threads that writes need.
const WAITING_MAX: usize = 128;
/// How long a read waits for the position it asks for.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// Everything that the handlers share.
pub struct Door {
    pub(super) config: Config,
    pub(super) keys: Keyring,
    pub(super) backend: Arc<dyn Backend>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) hooks: Hooks,
    pub(super) counters: Counters,
    pub(super) refused: Refusals,
    pub(super) paces: Paces,
    pub(super) seen: SeenKeys,
    pub(super) seen_events: SeenKeys,
    pub(super) exports: Arc<Semaphore>,
    pub(super) declared: Declared,
    under_way: Semaphore,
    waiting: Semaphore,
    boot: u64,
    made: AtomicU64,
}

/// What `why` says, for machines and for people.
#[derive(Clone, Debug)]
pub struct Said {
    /// As JSON.
    pub json: serde_json::Value,
    /// As a terminal shows it.
    pub text: String,
}

/// A moment, half-open, epoch milliseconds: the minute that a person means who says `09:20`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Its beginning.
    pub from_ms: i64,
    /// What is no longer in it.
    pub until_ms: i64,
}

/// Answers why a group stood as it did: tenant, group, and the moment, now where `None`. `None` where there was no such
/// group.
pub type WhyHook = dyn Fn(&str, &str, Option<Moment>) -> crate::backend::Result<Option<Said>> + Send + Sync;
/// The engine's state of a partition before the record at an offset, with nothing in it that is another tenant's: it is
/// handed to the tenant named first.
pub type StateHook = dyn Fn(&str, u32, u64) -> crate::backend::Result<Partition> + Send + Sync;
/// How each partition that this process owns stands.
pub type StatusHook = dyn Fn() -> Vec<PartitionStatus> + Send + Sync;

/// What other parts of the process lend to the door. Where one is absent, what needs it answers 501.
#[derive(Clone, Default)]
pub struct Hooks {
    /// For `why`.
    pub why: Option<Arc<WhyHook>>,
    /// For exports.
    pub state_at: Option<Arc<StateHook>>,
    /// For `/readyz` and `/metrics`; asked of the store where absent.
    pub status: Option<Arc<StatusHook>>,
}

/// How a partition stands.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct PartitionStatus {
    /// Which.
    pub partition: u32,
    /// The next offset to apply.
    pub next: u64,
    /// One past the newest offset in the log.
    pub end: u64,
    /// Its owner has caught up, and executors may act.
    pub live: bool,
    /// The log's time, epoch milliseconds, where the owner knows it.
    pub t_ms: Option<i64>,
    /// What goes wrong there at the moment, and is tried again.
    pub trouble: Option<String>,
    /// Why its worker ended, where it did.
    pub halted: Option<String>,
    /// The log's time at its newest snapshot, epoch milliseconds.
    pub snapshot_ms: Option<i64>,
    /// Times this process took it over.
    pub take_overs: u64,
    /// Commits of this process.
    pub commits: u64,
    /// How long these took in all, microseconds.
    pub commit_us: u64,
}

impl Door {
    /// A door of `config` and its tokens over a log and store.
    ///
    /// # Errors
    /// Where the machine gives no random bytes.
    pub fn new(
        config: Config,
        keys: Keyring,
        backend: Arc<dyn Backend>,
        clock: Arc<dyn Clock>,
        hooks: Hooks,
    ) -> Result<Self, crate::secret::Error> {
        let mut boot = [0; 8];
        getrandom::fill(&mut boot).map_err(crate::secret::Error::Random)?;
        Ok(Self {
            config,
            keys,
            backend,
            clock,
            hooks,
            counters: Counters::default(),
            refused: Refusals::default(),
            paces: Paces::default(),
            seen: SeenKeys::default(),
            seen_events: SeenKeys::default(),
            exports: Arc::new(Semaphore::new(EXPORTS_MAX)),
            declared: Declared::default(),
            under_way: Semaphore::new(UNDER_WAY_MAX),
            waiting: Semaphore::new(WAITING_MAX),
            boot: u64::from_le_bytes(boot),
            made: AtomicU64::new(0),
        })
    }

    /// The partition of a tenant.
    pub(super) fn partition(&self, tenant: &str) -> u32 {
        partition_of(tenant, self.backend.partitions())
    }

    /// What is configured of the caller's tenant.
    pub(super) fn tenant(&self, caller: &Caller) -> Result<&Tenant, Problem> {
        // Tokens are made from the same configuration, so this does not happen; if it did, nothing must be inferred.
        self.config.tenant(&caller.tenant).ok_or_else(|| {
            Problem::new(Reason::Forbidden, format!("tenant `{}` is not configured here", caller.tenant))
        })
    }

    /// A key for what came without one.
    pub(super) fn fresh_key(&self) -> String {
        format!("{:016x}-{}", self.boot, self.made.fetch_add(1, Ordering::Relaxed))
    }

    /// Asks the store, off the async threads.
    pub(super) async fn ask<T, F>(self: &Arc<Self>, work: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: FnOnce(&Self) -> Result<T, Problem> + Send + 'static,
    {
        let Ok(_permit) = self.under_way.try_acquire() else {
            return Err(Problem::new(Reason::Busy, "too many requests are under way; try again").retry_after(1));
        };
        let door = Arc::clone(self);
        match tokio::task::spawn_blocking(move || work(&door)).await {
            Ok(answer) => answer,
            Err(_) => {
                Err(Problem::new(Reason::Failed, "the request broke off inside; the log of this process says why"))
            }
        }
    }

    /// Writes facts of one tenant, in order. Answers the place of the last; it is in the log, synced.
    pub(super) async fn write(self: &Arc<Self>, tenant: &str, events: Vec<Event>) -> Result<Position, Problem> {
        let partition = self.partition(tenant);
        let more = (events.len() as u64).saturating_sub(1);
        let first = self.ask(move |door| Ok(door.backend.append(partition, &events)?)).await?;
        Ok(Position { partition, offset: first + more })
    }

    /// Waits until the record at `position` is applied. Answers whether it is.
    pub(super) async fn applied(self: &Arc<Self>, position: Position, patience: Duration) -> Result<bool, Problem> {
        let Ok(_permit) = self.waiting.try_acquire() else {
            let detail = format!("too many requests wait for a position; ask again for `{position}`");
            return Err(Problem::new(Reason::Busy, detail).retry_after(1));
        };
        self.ask(move |door| Ok(door.backend.wait_stepped(position.partition, position.offset, patience))).await
    }

    /// Makes a read wait for what its caller has written.
    pub(super) async fn after(self: &Arc<Self>, caller: &Caller, after: Option<Position>) -> Result<(), Problem> {
        let Some(position) = after else { return Ok(()) };
        let partition = self.partition(&caller.tenant);
        if position.partition != partition {
            let tenant = &caller.tenant;
            let detail = format!("`{position}` is no position of tenant `{tenant}`, whose partition is {partition}");
            return Err(Problem::new(Reason::Malformed, detail));
        }
        if self.applied(position, PATIENCE).await? {
            return Ok(());
        }
        Err(Problem::new(Reason::TooEarly, format!("`{position}` is not applied yet; ask again")).retry_after(1))
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("config", &self.config).finish_non_exhaustive()
    }
}
