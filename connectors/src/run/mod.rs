//! Everything in one process: log and store, the engine's workers, executors, feeds and sources, and the door; or, over a
//! log that many processes share, some of it.
//!
//! `weir run` and `weir demo` start one [`Process`] and stop it. This is the only place where the rooms are put together;
//! it decides nothing, and whatever fails after the start is tried again by the part that it failed in.

use crate::{
    api::{self, Door, Hooks, PartitionStatus, Said},
    backend::{self, Backend, kafka::membership::Share},
    clock::{Clock, WallClock},
    config::Config,
    executor::{Executor, ExecutorHandle, ExecutorSettings},
    replay,
    secret::{self, Fresh, Keyring},
    source, why,
    worker::{self, Status},
};
use feeds::Feeds;
use share::{Changes, keep};
use sources::Sources;
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use system::System;
use tokio::{
    net::TcpListener,
    sync::{broadcast, watch},
    task::{JoinHandle, JoinSet},
};
use weir_engine::{decision::Decision, time};

mod clouds;
mod declared;
mod feeds;
mod roles;
mod share;
mod sources;
mod system;
mod workers;

pub use clouds::ConfiguredClouds;
pub use roles::{Role, Roles};
use workers::Workers;

/// Opens the log and store of a configuration, for a command that works on them itself.
///
/// # Errors
/// Where they are away, in use, or not set up.
pub async fn open(config: &Config) -> Result<Arc<dyn Backend>, Error> {
    let clock: Arc<dyn Clock> = Arc::new(WallClock);
    Ok(System::open(config, &clock).await?.backend)
}

/// Decisions that a slow listener may be behind; it then misses some and is told how many.
const DECISIONS_MAX: usize = 4_096;
/// Between an executor's end that nobody asked for and its next beginning.
const AGAIN: Duration = Duration::from_secs(1);
/// Executors and feeds get this long to end: a call to a cloud, and a little.
const FAREWELL: Duration = Duration::from_secs(40);

/// What a process may be given beside its configuration.
#[derive(Clone, Debug)]
pub struct Options {
    /// The time, everywhere in the process.
    pub clock: Arc<dyn Clock>,
    /// How far the log's time may be behind the clock for executors to act, milliseconds of the clock.
    pub live_ms: i64,
    /// What the process does; all of it, unless others share the log.
    pub roles: Roles,
}

impl Default for Options {
    fn default() -> Self {
        Self { clock: Arc::new(WallClock), live_ms: worker::Settings::default().live_ms, roles: Roles::default() }
    }
}

/// Why a process cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log and store.
    #[error(transparent)]
    Backend(#[from] backend::Error),
    /// The tokens.
    #[error(transparent)]
    Tokens(#[from] secret::Error),
    /// The address is not to be had.
    #[error("`{address}` cannot be listened on: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's words.
        error: io::Error,
    },
    /// A cloud of the configuration.
    #[error(transparent)]
    Cloud(#[from] clouds::Error),
    /// A feed of the configuration.
    #[error("the feed `{name}` of tenant `{tenant}`: {error}")]
    Feed {
        /// Whose.
        tenant: String,
        /// Which.
        name: String,
        /// Why.
        error: source::atom::Error,
    },
    /// The machine gives no thread.
    #[error("no thread for a worker: {0}")]
    Thread(io::Error),
}

/// A running process.
pub struct Process {
    address: SocketAddr,
    fresh: Vec<Fresh>,
    workers: Arc<Workers>,
    executor: ExecutorHandle,
    decisions: broadcast::Sender<Arc<Decision>>,
    close_door: watch::Sender<bool>,
    stop: watch::Sender<bool>,
    door: JoinHandle<io::Result<()>>,
    tasks: JoinSet<()>,
    /// Ends with the engine's place in the group, which is given up after its workers have ended.
    engine: Option<JoinHandle<Changes>>,
}

impl Process {
    /// Starts everything. The address is bound and every part runs when this answers.
    ///
    /// # Errors
    /// [`Error`]; what was started is stopped again.
    pub async fn start(config: Config, options: Options) -> Result<Self, Error> {
        let Options { clock, live_ms, roles } = options;
        let System { backend, shared } = System::open(&config, &clock).await?;
        let partitions = backend.partitions();
        let installation = here(&backend).await?;
        let (keys, fresh) = Keyring::open(&config)?;
        let listen = |error| Error::Listen { address: config.listen, error };
        let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let clouds = ConfiguredClouds::open(&config, &installation, &clock)?;

        let (decisions, _) = broadcast::channel(DECISIONS_MAX);
        let (stop, stopping) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let (now, told) = (Arc::clone(&clock), Some(decisions.clone()));
        let settings = worker::Settings { clock: now, live_ms, decisions: told, ..worker::Settings::default() };
        let workers = Arc::new(Workers::new(Arc::clone(&backend), settings));
        let mut engine = None;
        match &shared {
            _ if !roles.have(Role::Engine) => {}
            // Before the door opens, so that nobody sees a process without them.
            None => (0..partitions).try_for_each(|partition| workers.start(partition)).map_err(Error::Thread)?,
            Some(_) => {
                let mut changes = Changes::of(Share::Step, partitions, shared.as_ref()).await?;
                let (workers, stopping) = (Arc::clone(&workers), stopping.clone());
                engine = Some(tokio::spawn(async move {
                    workers.follow(&mut changes, stopping).await;
                    changes
                }));
            }
        }

        let executing = ExecutorSettings {
            sweep_ms: config.executor.sweep.ms(),
            look_ms: config.executor.look.ms(),
            ..ExecutorSettings::default()
        };
        let (executors, executor) =
            Executor::new(Arc::clone(&backend), Arc::new(clouds), Arc::clone(&clock), executing);
        if roles.have(Role::Executor) {
            let executors = Arc::new(executors);
            let changes = Changes::of(Share::Settle, partitions, shared.as_ref()).await?;
            let work = move |partition, stopping| execute(Arc::clone(&executors), partition, stopping);
            tasks.spawn(keep(changes, stopping.clone(), work));
        }
        if roles.have(Role::Source) && !(config.feeds.is_empty() && config.sources.is_empty()) {
            let feeds = Feeds::new(&config, Arc::clone(&backend), Arc::clone(&clock), executor.clone())?;
            let feeds = Arc::new(feeds);
            let sources = Arc::new(Sources::new(&config, Arc::clone(&backend), Arc::clone(&clock)));
            let changes = Changes::of(Share::Sources, partitions, shared.as_ref()).await?;
            tasks.spawn(keep(changes, stopping, move |partition, stopping| {
                let feeds = Arc::clone(&feeds).read(partition, stopping.clone());
                let sources = Arc::clone(&sources).read(partition, stopping);
                async {
                    let ((), ()) = tokio::join!(feeds, sources);
                }
            }));
        }

        let hooks = hooks(&backend, &clock, &workers);
        let door = Arc::new(Door::new(config, keys, backend, clock, hooks)?);
        let (close_door, mut closing) = watch::channel(false);
        // An error says that the process is gone without a word.
        let closed = async move { drop(closing.wait_for(|closing| *closing).await) };
        let door = match roles.have(Role::Api) {
            true => tokio::spawn(api::serve(listener, door, closed)),
            false => tokio::spawn(api::serve_vitals(listener, door, closed)),
        };
        Ok(Self { address, fresh, workers, executor, decisions, close_door, stop, door, tasks, engine })
    }

    /// Where the door is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The tokens that were made just now, to be shown once.
    #[must_use]
    pub fn fresh(&self) -> &[Fresh] {
        &self.fresh
    }

    /// Decisions from now on, each once it is committed.
    #[must_use]
    pub fn decisions(&self) -> broadcast::Receiver<Arc<Decision>> {
        self.decisions.subscribe()
    }

    /// How each partition stands that is this process's, as its worker knows; the log is not asked where it ends.
    #[must_use]
    pub fn status(&self) -> Vec<Status> {
        self.workers.known()
    }

    /// Tells executors that there may be something to see.
    #[must_use]
    pub fn executor(&self) -> &ExecutorHandle {
        &self.executor
    }

    /// Lets the door close, calls to clouds come to their end, and workers apply what is in the log. Each has its time, so
    /// this ends within a minute whatever hangs.
    pub async fn stop(mut self) {
        let _ = self.close_door.send(true);
        let _ = self.stop.send(true);
        let tasks = &mut self.tasks;
        let ended = tokio::time::timeout(FAREWELL, async { while tasks.join_next().await.is_some() {} }).await;
        if ended.is_err() {
            tracing::warn!("a call to a cloud or a feed did not end in time; its answer is lost");
            tasks.abort_all();
        }
        match self.door.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the door did not close well"),
            Err(error) => tracing::warn!(%error, "the door broke off"),
        }
        let share = match self.engine {
            Some(following) => following.await.ok(),
            None => None,
        };
        self.workers.stop().await;
        if let Some(changes) = share {
            changes.leave().await;
        }
    }
}

/// The installation's name, where it is here and has not gone elsewhere.
async fn here(backend: &Arc<dyn Backend>) -> Result<String, Error> {
    let asked = Arc::clone(backend);
    let lineage = tokio::task::spawn_blocking(move || asked.lineage()).await;
    let lineage =
        lineage.map_err(|error| backend::Error::Failed(format!("reading the lineage broke off: {error}")))??;
    lineage.must_be_here()?;
    Ok(lineage.installation(&backend.log_id()))
}

/// The executors of a partition, taken over again whenever they end without being asked to.
async fn execute(executors: Arc<Executor<dyn Backend>>, partition: u32, stopping: watch::Receiver<bool>) {
    while let Err(error) = executors.run(partition, stopping.clone()).await {
        tracing::warn!(partition, %error, "executors take the partition over again");
        let mut stopping = stopping.clone();
        if tokio::time::timeout(AGAIN, stopping.wait_for(|stop| *stop)).await.is_ok() {
            return;
        }
    }
}

/// What the door cannot know by itself.
fn hooks(backend: &Arc<dyn Backend>, clock: &Arc<dyn Clock>, workers: &Arc<Workers>) -> Hooks {
    let (asked, now) = (Arc::clone(backend), Arc::clone(clock));
    let why = move |tenant: &str, group: &str, moment: Option<api::Moment>| {
        let account = why::account(&*asked, &*now, tenant, group, moment)?;
        let said = |account: why::Account| -> backend::Result<Said> {
            let json = serde_json::to_value(&account).map_err(|error| backend::Error::Failed(error.to_string()))?;
            Ok(Said { json, text: why::words(&account, &|at_ms| time::rfc3339(at_ms)) })
        };
        account.map(said).transpose()
    };
    let log = Arc::clone(backend);
    let state_at = move |tenant: &str, partition: u32, offset: u64| {
        let state = replay::state_at(&*log, partition, offset)?.only(tenant);
        state.map_err(|damaged| backend::Error::Damaged(damaged.to_string()))
    };
    let workers = Arc::clone(workers);
    let status = move || {
        let standing = |status: Status| PartitionStatus {
            partition: status.partition,
            next: status.next,
            end: status.end,
            live: status.live,
            t_ms: Some(status.t_ms),
            trouble: status.trouble,
            snapshot_ms: status.snapshot_ms,
            take_overs: status.take_overs,
            commits: status.commits,
            commit_us: status.commit_us,
            halted: status.halted.map(|halted| format!("at record `{}`: {}", halted.at, halted.reason)),
        };
        workers.status().into_iter().map(standing).collect()
    };
    Hooks { why: Some(Arc::new(why)), state_at: Some(Arc::new(state_at)), status: Some(Arc::new(status)) }
}
