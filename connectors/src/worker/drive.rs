//! From one ownership to the next: what a failed one means for the worker. Errors are tried again, since they are the log's
//! or the store's; what the engine cannot get past halts the partition, since trying again would change nothing.

use super::{Engine, Settings, Shared, status::Halted, tenure::Tenure};
use crate::{
    backend::{self, Backend},
    replay,
};
use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use weir_engine::id::Position;

/// How an ownership ended.
#[derive(Debug)]
pub(super) enum End {
    /// The worker was asked to stop, and has.
    Stopped,
    /// The log or store failed, or somebody else took over: drop everything and take over again.
    Again(backend::Error),
    /// No record after this one can be applied.
    Halted(Halted),
    /// The engine panicked at this offset.
    Panicked(u64, String),
}

impl From<backend::Error> for End {
    fn from(error: backend::Error) -> Self {
        Self::Again(error)
    }
}

impl From<replay::Error> for End {
    fn from(error: replay::Error) -> Self {
        match error {
            replay::Error::Backend(error) => Self::Again(error),
            replay::Error::Halted { at, reason } => Self::Halted(Halted { at, reason }),
        }
    }
}

/// The way from one ownership to the next.
pub(super) struct Drive {
    partition: u32,
    /// Where the engine panicked once. It may have been the machine's fault; twice at one record is the record's.
    pub(super) suspect: Option<u64>,
    retry: Duration,
    /// How far the worker was when the ownership began.
    before: u64,
}

impl Drive {
    pub(super) fn new(partition: u32, settings: &Settings) -> Self {
        Self { partition, suspect: None, retry: settings.retry_min, before: 0 }
    }

    /// An ownership begins.
    pub(super) fn begin(&mut self, shared: &Shared) {
        self.before = shared.status.lock().map_or(0, |status| status.next);
    }

    /// An ownership has ended. Answers the pause before the next one, or nothing where there is none.
    pub(super) fn after(&mut self, end: End, settings: &Settings, shared: &Shared) -> Option<Duration> {
        let partition = self.partition;
        shared.update(|status| status.live = false);
        let trouble = match end {
            End::Stopped => return None,
            End::Halted(halted) => return halt(shared, halted),
            End::Panicked(offset, reason) if self.suspect == Some(offset) => {
                let reason = format!("the engine broke off twice: {reason}");
                return halt(shared, Halted { at: Position { partition, offset }, reason });
            }
            End::Panicked(offset, reason) => {
                self.suspect = Some(offset);
                format!("the engine broke off at record `{partition}:{offset}`, trying once more: {reason}")
            }
            End::Again(error) => error.to_string(),
        };
        tracing::warn!(partition, trouble, "taking over again");
        shared.update(|status| status.trouble = Some(trouble));
        // Whoever got further starts counting anew.
        let moved = shared.status.lock().map_or(0, |status| status.next) > self.before;
        self.retry = if moved { settings.retry_min } else { (self.retry * 2).min(settings.retry_max) };
        Some(self.retry)
    }
}

/// The thread.
pub(super) fn run<E: Engine>(backend: &dyn Backend, partition: u32, settings: &Settings, shared: &Arc<Shared>) {
    let mut drive = Drive::new(partition, settings);
    loop {
        drive.begin(shared);
        let end = Tenure::<E>::run(backend, partition, settings, shared, drive.suspect);
        let Some(pause) = drive.after(end, settings, shared) else {
            if wait_for_a_skip(backend, partition, settings, shared) {
                drive = Drive::new(partition, settings);
                continue;
            }
            return;
        };
        let until = Instant::now() + pause;
        while Instant::now() < until {
            if shared.stopping() {
                return;
            }
            thread::sleep(settings.poll.min(until.saturating_duration_since(Instant::now())));
        }
    }
}

/// Where the partition has halted, waits until an operator lets it pass over the record. Answers whether it may go on.
fn wait_for_a_skip(backend: &dyn Backend, partition: u32, settings: &Settings, shared: &Shared) -> bool {
    let halted = shared.status.lock().map_or(None, |status| status.halted.clone());
    let Some(Halted { at, .. }) = halted else { return false };
    while !shared.stopping() {
        // A log that is away has nothing to say now.
        if backend.skips(partition).is_ok_and(|skips| skips.iter().any(|skip| skip.offset == at.offset)) {
            tracing::warn!(%at, "goes on past the record, as an operator said");
            shared.update(|status| status.halted = None);
            return true;
        }
        thread::sleep(settings.poll);
    }
    false
}

fn halt(shared: &Shared, halted: Halted) -> Option<Duration> {
    tracing::error!(at = %halted.at, reason = halted.reason, "the partition has halted");
    shared.update(|status| status.halted = Some(halted));
    None
}
