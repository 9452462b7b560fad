//! The engine's workers of this process: one for each partition that is its.

use super::share::Changes;
use crate::{
    backend::{Backend, Machine, kafka::membership::Change},
    worker::{self, Settings, Status, WorkerHandle},
};
use std::{
    collections::{BTreeMap, btree_map::Entry},
    io, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::watch, task::JoinSet};

/// Between a thread that was not to be had and the next try.
const AGAIN: Duration = Duration::from_secs(1);

/// The workers, which the door asks how they stand.
pub(super) struct Workers {
    backend: Arc<dyn Backend>,
    settings: Settings,
    running: Mutex<BTreeMap<u32, WorkerHandle>>,
}

impl Workers {
    /// None yet.
    pub(super) fn new(backend: Arc<dyn Backend>, settings: Settings) -> Self {
        Self { backend, settings, running: Mutex::default() }
    }

    /// Starts the worker of a partition, where it does not run.
    pub(super) fn start(&self, partition: u32) -> io::Result<()> {
        if let Entry::Vacant(place) = self.lock().entry(partition) {
            place.insert(worker::start(Arc::clone(&self.backend), partition, self.settings.clone())?);
        }
        Ok(())
    }

    /// Starts and stops workers as the share changes, until the process is to stop; those that run then are left running,
    /// since they have what is in the log to apply.
    pub(super) async fn follow(&self, changes: &mut Changes, mut stopping: watch::Receiver<bool>) {
        let mut ending = JoinSet::new();
        while let Some(change) = changes.next(&mut stopping).await {
            match change {
                Change::Gained(partition) => {
                    // One that comes back at once must not be fenced by what is left of it here.
                    while ending.join_next().await.is_some() {}
                    tracing::info!(partition, "this process is to decide for the partition");
                    while let Err(error) = self.start(partition) {
                        tracing::error!(partition, %error, "no thread for a worker, trying again");
                        if tokio::time::timeout(AGAIN, stopping.wait_for(|stop| *stop)).await.is_ok() {
                            return;
                        }
                    }
                }
                Change::Lost(partition) => {
                    tracing::info!(partition, "another process is to decide for the partition");
                    if let Some(worker) = self.lock().remove(&partition) {
                        // Off this task: several are lost at once, and each has a snapshot to keep.
                        let backend = Arc::clone(&self.backend);
                        ending.spawn_blocking(move || {
                            worker.stop();
                            backend.let_go(Machine::Step, partition);
                        });
                    }
                }
            }
            while ending.try_join_next().is_some() {}
        }
        // What was lost a moment before the end keeps its snapshot, too.
        while ending.join_next().await.is_some() {}
    }

    /// How each stands, without asking the log.
    pub(super) fn known(&self) -> Vec<Status> {
        self.lock().values().map(WorkerHandle::known).collect()
    }

    /// How each stands. Asks the log where it ends, so it blocks; one that is away is asked once, not for each partition.
    pub(super) fn status(&self) -> Vec<Status> {
        let mut away = false;
        let ask = |mut status: Status| {
            if !away {
                match self.backend.range(status.partition) {
                    Ok((_, end)) => status.end = end.max(status.next),
                    Err(error) => {
                        away = true;
                        tracing::debug!(%error, "where the log ends is not known");
                    }
                }
            }
            status
        };
        self.known().into_iter().map(ask).collect()
    }

    /// Lets all of them apply what is in the log, and ends them.
    pub(super) async fn stop(&self) {
        let mut ending = JoinSet::new();
        for worker in mem::take(&mut *self.lock()).into_values() {
            ending.spawn_blocking(move || worker.stop());
        }
        while let Some(ended) = ending.join_next().await {
            if ended.is_err() {
                tracing::warn!("a worker broke off");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, WorkerHandle>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
