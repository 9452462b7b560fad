//! The worker with the real engine, on the embedded log and store.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::{thread, time::Duration};
use weir_tests::{load::Load, stepping};

/// Whatever the moment: no record is decided twice or never, and a replay from the first record gives the same commands,
/// decisions and state, to the last byte.
#[test]
fn a_killed_engine_decides_everything_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut said = Vec::new();
    for run in 0..9_usize {
        let mut load = Load::start("step", folder.path(), &run.to_string());
        load.hear(run * run * 2);
        thread::sleep(Duration::from_millis(u64::try_from(run).unwrap()));
        said.extend(load.kill());
        stepping::audit(folder.path(), &said);
    }

    // What was in the log at the last kill is decided by the next start, and then it stops in order.
    let (backend, worker) = stepping::start(folder.path());
    stepping::caught_up(&worker);
    let status = worker.stop();
    assert_eq!(status.snapshot, Some(status.next));
    assert!(!backend.commands_since(0, 0, usize::MAX).unwrap().is_empty(), "nothing was ever commanded");
    drop(backend);
    stepping::audit(folder.path(), &said);
}
