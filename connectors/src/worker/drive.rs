//! From one ownership to the next: what a failed one means for the worker. Errors are tried again, since they are the log's
//! or the store's; what the engine cannot get past halts the partition, since trying again would change nothing.

use super::{Engine, Settings, Shared, status::Halted, tenure::Tenure};
use crate::{
    backend::{self, Backend},
    replay,
};
use std::{thread, time::Instant};
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

/// The thread.
pub(super) fn run<E: Engine>(backend: &dyn Backend, partition: u32, settings: &Settings, shared: &Shared) {
    // Where the engine panicked once. It may have been the machine's fault; twice at one record is the record's.
    let mut suspect = None;
    let mut retry = settings.retry_min;
    loop {
        let before = shared.status.lock().map_or(0, |status| status.next);
        let end = Tenure::<E>::run(backend, partition, settings, shared, suspect);
        shared.update(|status| status.live = false);
        let trouble = match end {
            End::Stopped => return,
            End::Halted(halted) => return halt(shared, halted),
            End::Panicked(offset, reason) if suspect == Some(offset) => {
                let reason = format!("the engine broke off twice: {reason}");
                return halt(shared, Halted { at: Position { partition, offset }, reason });
            }
            End::Panicked(offset, reason) => {
                suspect = Some(offset);
                format!("the engine broke off at record `{partition}:{offset}`, trying once more: {reason}")
            }
            End::Again(error) => error.to_string(),
        };
        tracing::warn!(partition, trouble, "taking over again");
        shared.update(|status| status.trouble = Some(trouble));
        // Whoever got further starts counting anew.
        let moved = shared.status.lock().map_or(0, |status| status.next) > before;
        retry = if moved { settings.retry_min } else { (retry * 2).min(settings.retry_max) };
        let until = Instant::now() + retry;
        while Instant::now() < until {
            if shared.stopping() {
                return;
            }
            thread::sleep(settings.poll.min(until.saturating_duration_since(Instant::now())));
        }
    }
}

fn halt(shared: &Shared, halted: Halted) {
    tracing::error!(at = %halted.at, reason = halted.reason, "the partition has halted");
    shared.update(|status| status.halted = Some(halted));
}
