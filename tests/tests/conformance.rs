//! Every log and store keeps the same promises; they are asked here of the embedded one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::sync::Arc;
use weir::{
    backend::{
        Backend,
        embedded::{Embedded, Settings},
    },
    clock::HeldClock,
};
use weir_tests::conformance::{DECISIONS_MS, EVENTS_MS, PARTITIONS, START_MS, System};

struct InAFolder {
    folder: tempfile::TempDir,
    clock: HeldClock,
}

impl InAFolder {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), clock: HeldClock::at(START_MS) }
    }
}

impl System for InAFolder {
    fn open(&self) -> Arc<dyn Backend> {
        let settings = Settings {
            partitions: Some(PARTITIONS),
            clock: Arc::new(self.clock.clone()),
            events_ms: EVENTS_MS,
            decisions_ms: DECISIONS_MS,
            ..Settings::default()
        };
        Arc::new(Embedded::open(self.folder.path(), settings).unwrap())
    }

    fn clock(&self) -> &HeldClock {
        &self.clock
    }
}

weir_tests::promises!(InAFolder::new());
