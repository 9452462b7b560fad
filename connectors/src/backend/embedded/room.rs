//! How full the disk is. Asked by the writer before it takes events, at most once a second, since a log that fills the
//! disk to the last block could not even write down that a group should shrink.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

/// For how long an answer is believed.
const BELIEVED: Duration = Duration::from_secs(1);

/// Watches the room left on the data folder's filesystem.
#[derive(Debug)]
pub(super) struct Room {
    folder: PathBuf,
    full_percent: u8,
    asked: Option<Instant>,
    full: Option<String>,
}

impl Room {
    pub(super) fn new(folder: PathBuf, full_percent: u8) -> Self {
        Self { folder, full_percent, asked: None, full: None }
    }

    /// Why no event is taken, where none is.
    pub(super) fn full(&mut self) -> Option<&str> {
        if self.asked.is_none_or(|asked| asked.elapsed() >= BELIEVED) {
            self.asked = Some(Instant::now());
            self.full = self.look();
        }
        self.full.as_deref()
    }

    /// The disk itself said that it is full: believed as an answer is.
    pub(super) fn ran_out(&mut self) {
        self.asked = Some(Instant::now());
        self.full = Some(format!("the disk of `{}` is full", self.folder.display()));
    }

    // A filesystem that cannot be asked is not a reason to stop: the write itself will say so.
    fn look(&self) -> Option<String> {
        let stat = rustix::fs::statvfs(&self.folder).ok()?;
        // As `df` counts: blocks kept for root are neither used nor free.
        let used = stat.f_blocks.saturating_sub(stat.f_bfree);
        let percent = (used * 100).checked_div(used + stat.f_bavail)?;
        (percent >= u64::from(self.full_percent)).then(|| {
            format!(
                "the disk of `{}` is {percent} % full and no event is taken from {} % on",
                self.folder.display(),
                self.full_percent
            )
        })
    }
}
