//! One life of the process: the embedded log and store, the step machine's worker and the executors', over a cloud that is
//! not part of it. Dropped it is killed, since nothing of it runs by itself.

use super::{backend, cloud, faults::Faults};
use std::{path::Path, sync::Arc};
use tokio::runtime::Runtime;
use weir::{
    backend::{
        Log as _,
        embedded::{Embedded, Settings},
    },
    clock::{Clock, HeldClock},
    executor::{self, Executor, ExecutorSettings, Shift, simulated::Simulated},
    worker::{self, ByHand},
};
use weir_engine::event::Event;

/// The log and store of the process, with faults.
pub type Store = backend::Faulty<Embedded>;

/// Between two rounds. A sweep is no longer, so a group is looked at in every round: where in the sweep it has its place is a
/// matter of the log's name, which no two plays share.
pub const ROUND_MS: i64 = 5_000;

/// The store of the data folder, without faults.
///
/// # Panics
/// Where it does not open.
#[must_use]
pub fn open(folder: &Path, clock: &HeldClock) -> Embedded {
    let settings = Settings {
        clock: Arc::new(clock.clone()),
        // The disk of who runs this is not the subject.
        full_percent: 101,
        cache_bytes: 1 << 20,
        ..Settings::default()
    };
    Embedded::open(folder, settings).unwrap()
}

/// How the step machine's worker is set: a snapshot every few records, so that there are some.
#[must_use]
pub fn settings(clock: &HeldClock) -> worker::Settings {
    let clock = Arc::new(clock.clone());
    // Whenever one is due: how long one took must not change what comes next.
    worker::Settings { clock, snapshot_records: 8, snapshot_rest: 0, ..worker::Settings::default() }
}

/// The executors' half.
pub(super) struct Executors {
    executor: Executor<Store>,
    shift: Option<Shift>,
}

impl Executors {
    pub(super) fn new(store: &Arc<Store>, cloud: &Simulated, clock: &HeldClock, faults: &Arc<Faults>) -> Self {
        let clouds = cloud::Faulty::everywhere(cloud.clone(), Arc::clone(faults));
        let clock: Arc<dyn Clock> = Arc::new(clock.clone());
        let settings = ExecutorSettings { sweep_ms: ROUND_MS, ..ExecutorSettings::default() };
        let (executor, _) = Executor::new(Arc::clone(store), clouds, clock, settings);
        Self { executor, shift: None }
    }

    /// Takes over or makes the visits that are due. After an error it takes over again with the next turn.
    pub(super) fn turn(&mut self, runtime: &Runtime) {
        let turn = async {
            match &mut self.shift {
                None => self.shift = Some(self.executor.begin(0).await?),
                Some(shift) => drop(self.executor.turn(shift).await?),
            }
            Ok::<_, executor::worker::Error>(())
        };
        if runtime.block_on(turn).is_err() {
            self.shift = None;
        }
    }
}

/// The step machine takes as many turns as it has something to do.
///
/// # Errors
/// Where it does not come to rest.
pub(super) fn step(worker: &mut ByHand<'_>, faults: &Faults) -> Result<(), String> {
    const TURNS_MAX: usize = 100;
    for _ in 0..TURNS_MAX {
        if faults.is_dead() || !worker.turn() {
            return match worker.status().halted {
                Some(halted) => Err(format!("halted at {}: {}", halted.at, halted.reason)),
                None => Ok(()),
            };
        }
    }
    Err(format!("the step machine does not come to rest: {:?}", worker.status()))
}

/// Hands a fact to the process; its answer, where one comes.
pub(super) fn tell(store: &Store, event: &Event) -> Option<u64> {
    store.append(0, std::slice::from_ref(event)).ok()
}
