//! What the writer has made durable, in memory, for those who wait. Written by the writer after each commit; never ahead
//! of the file.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How far one partition is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// The next offset to be written.
    pub(super) next: u64,
    /// The next offset to be stepped.
    pub(super) stepped: u64,
    /// The newest command's mark.
    pub(super) mark: u64,
    /// The step machine's owner says that it has caught up. Lives here only: after a restart nobody has.
    pub(super) live: bool,
}

/// All partitions, and a bell.
#[derive(Debug, Default)]
pub(super) struct Signals {
    seen: Mutex<Vec<Seen>>,
    bell: Condvar,
}

impl Signals {
    pub(super) fn new(seen: Vec<Seen>) -> Self {
        Self { seen: Mutex::new(seen), bell: Condvar::new() }
    }

    // Nobody panics while holding it, and were it so, numbers are still numbers.
    fn lock(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, partition: u32) -> Seen {
        self.lock().get(partition as usize).copied().unwrap_or_default()
    }

    /// Changes what is seen and rings.
    pub(super) fn set(&self, changes: &[(u32, Change)]) {
        let mut seen = self.lock();
        for (partition, change) in changes {
            if let Some(seen) = seen.get_mut(*partition as usize) {
                match *change {
                    Change::Next(next) => seen.next = next,
                    Change::Mark(mark) => seen.mark = mark,
                    Change::Stepped { next, live } => (seen.stepped, seen.live) = (next, live),
                    Change::TakenOver => seen.live = false,
                }
            }
        }
        drop(seen);
        self.bell.notify_all();
    }

    /// Waits until it is so, or for `patience`; answers whether it is.
    pub(super) fn wait(&self, partition: u32, patience: Duration, so: impl Fn(&Seen) -> bool) -> bool {
        let until = Instant::now().checked_add(patience);
        let mut seen = self.lock();
        loop {
            match seen.get(partition as usize) {
                None => return false,
                Some(seen) if so(seen) => return true,
                Some(_) => {}
            }
            let left =
                until.map_or(Duration::from_secs(3_600), |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return false;
            }
            seen = self.bell.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// What a commit changed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    /// The log grew to here.
    Next(u64),
    /// Commands were added up to this mark.
    Mark(u64),
    /// The step machine came to here.
    Stepped { next: u64, live: bool },
    /// The step machine has a new owner, who is not live yet.
    TakenOver,
}
