//! The worker without its thread: one turn after another, for who holds the clock and has to know what happens when.

use super::{
    Settings, Shared, Status,
    drive::{Drive, End},
    tenure::Tenure,
};
use crate::backend::Backend;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use weir_engine::partition::Partition;

/// A worker that moves when it is told to. Dropped, it is as if its process were killed.
pub struct ByHand<'a> {
    backend: &'a dyn Backend,
    partition: u32,
    settings: &'a Settings,
    shared: Arc<Shared>,
    drive: Drive,
    tenure: Option<Tenure<'a, Partition>>,
}

impl<'a> ByHand<'a> {
    /// A worker that owns nothing yet.
    #[must_use]
    pub fn new(backend: &'a dyn Backend, partition: u32, settings: &'a Settings) -> Self {
        let status = Status { partition, ..Status::default() };
        let shared = Arc::new(Shared { status: Mutex::new(status), ..Shared::default() });
        Self { backend, partition, settings, shared, drive: Drive::new(partition, settings), tenure: None }
    }

    /// Takes over where nothing is owned; else applies and commits what the log holds, or writes the time down where that
    /// is due. Answers whether there was anything to do. After an error the next turn takes over again, without a pause.
    pub fn turn(&mut self) -> bool {
        if self.status().halted.is_some() {
            return false;
        }
        let done = match &mut self.tenure {
            // A commit for each read: who moves it by hand must find the same commits again, however fast the machine is.
            Some(tenure) => match tenure.advance(Duration::ZERO) {
                Ok(false) => tenure.idle(),
                done => done,
            },
            None => self.take_over().map(|()| true),
        };
        done.unwrap_or_else(|end| {
            self.tenure = None;
            self.drive.after(end, self.settings, &self.shared).is_some()
        })
    }

    fn take_over(&mut self) -> Result<(), End> {
        self.drive.begin(&self.shared);
        let (partition, suspect) = (self.partition, self.drive.suspect);
        self.tenure = Tenure::begin(self.backend, partition, self.settings, &self.shared, suspect)?;
        Ok(())
    }

    /// Ends in order: keeps a snapshot, and is not live any more.
    pub fn stop(mut self) -> Status {
        if let Some(mut tenure) = self.tenure.take() {
            tenure.finish();
        }
        self.status()
    }

    /// How it stands; what only the handle of a running worker knows is zero.
    #[must_use]
    pub fn status(&self) -> Status {
        self.shared.status.lock().map(|status| status.clone()).unwrap_or_default()
    }
}
