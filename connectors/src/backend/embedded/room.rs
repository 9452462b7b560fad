//! How full the disk is. Asked by the writer before each batch, which costs nothing beside the sync that follows: a log
//! that fills the disk to the last block could not even write down that a group should shrink.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

/// For how long the disk is believed that it is full, before it is tried again. Each try that fails makes the file be
/// opened anew.
const BELIEVED: Duration = Duration::from_secs(1);

/// Watches the room left on the data folder's filesystem.
#[derive(Debug)]
pub(super) struct Room {
    folder: PathBuf,
    full_percent: u8,
    ran_out: Option<Instant>,
}

impl Room {
    pub(super) fn new(folder: PathBuf, full_percent: u8) -> Self {
        Self { folder, full_percent, ran_out: None }
    }

    /// The disk itself said that it is full.
    pub(super) fn ran_out(&mut self) {
        self.ran_out = Some(Instant::now());
    }

    /// Why no event is taken, where none is.
    pub(super) fn full(&self) -> Option<String> {
        let folder = self.folder.display();
        if self.ran_out.is_some_and(|when| when.elapsed() < BELIEVED) {
            return Some(format!("the disk of `{folder}` is full"));
        }
        // A filesystem that cannot be asked is not a reason to stop: the write itself will say so.
        let stat = rustix::fs::statvfs(&self.folder).ok()?;
        // As `df` counts: blocks kept for root are neither used nor free.
        let used = stat.f_blocks.saturating_sub(stat.f_bfree);
        let percent = (used * 100).checked_div(used + stat.f_bavail)?;
        let most = self.full_percent;
        (percent >= u64::from(most))
            .then(|| format!("the disk of `{folder}` is {percent} % full and no event is taken from {most} % on"))
    }
}
