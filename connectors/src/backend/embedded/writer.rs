//! The one writer. Whoever wants to write hands it a job; all jobs that are waiting go into one durable transaction, and
//! all are answered when it is on the disk. So a hundred appends at once cost one sync, and one alone costs one.
//!
//! INVARIANT: a job refuses before it writes. A refused job leaves the batch as it was, so the others go on.

use super::{
    super::{Error, Result},
    room::Room,
    signals::{Change, Signals},
    store::{Stop, Store},
    tables::{META_BATCH, Tables, number},
    trim::{self, Keep},
};
use crate::clock::Clock;
use redb::Durability;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender},
    },
    time::{Duration, Instant},
};

/// Jobs that wait for the writer; more wait in their callers.
pub(super) const WAITING_MAX: usize = 1_024;
/// A batch is closed at this many bytes, so that one does not hold up the next for long.
const BATCH_BYTES_MAX: usize = 16 << 20;
/// How often the writer looks for what is too old to keep.
const TRIM_EVERY: Duration = Duration::from_secs(1);
/// How often it goes on while more of it is left.
const TRIM_AGAIN: Duration = Duration::from_millis(50);

/// What a job sees: the tables, and what holds for the whole batch.
pub(super) struct Batch<'t> {
    pub(super) tables: Tables<'t>,
    /// The clock when the batch was begun, epoch milliseconds.
    pub(super) now_ms: i64,
    /// Why no event is taken, where the disk is too full.
    pub(super) full: Option<String>,
    /// What waiters are told once the batch is durable.
    pub(super) changes: Vec<(u32, Change)>,
}

/// Something to be written.
pub(super) trait Job: Send {
    /// Writes into the batch. Answers whether there was anything to write.
    fn apply(&mut self, batch: &mut Batch<'_>) -> std::result::Result<bool, Stop>;

    /// Tells the caller, once it is known what became of the batch.
    fn answer(self: Box<Self>, fate: &Result<()>);

    /// About how many bytes it writes.
    fn bytes(&self) -> usize;
}

/// A job made of a closure.
struct Pending<T, F> {
    work: Option<F>,
    bytes: usize,
    got: Option<Result<T>>,
    reply: SyncSender<Result<T>>,
}

impl<T, F> Job for Pending<T, F>
where
    T: Send,
    F: FnOnce(&mut Batch<'_>) -> std::result::Result<T, Stop> + Send,
{
    fn apply(&mut self, batch: &mut Batch<'_>) -> std::result::Result<bool, Stop> {
        let Some(work) = self.work.take() else { return Ok(false) };
        let (got, wrote) = match work(batch) {
            Ok(value) => (Ok(value), true),
            Err(Stop::Refused(error)) => (Err(error), false),
            Err(broken) => return Err(broken),
        };
        self.got = Some(got);
        Ok(wrote)
    }

    fn answer(self: Box<Self>, fate: &Result<()>) {
        let answer = match (self.got, fate) {
            (Some(Err(refused)), _) => Err(refused),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (_, Err(error)) => Err(error.clone()),
            (None, Ok(())) => Err(Error::Failed("the writer passed a job over".into())),
        };
        // Nobody listens any more only where the caller's thread is gone.
        let _ = self.reply.send(answer);
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Where jobs are handed in.
pub(super) type Jobs = SyncSender<Box<dyn Job>>;

/// Hands `work` to the writer and waits until it is durable.
pub(super) fn submit<T, F>(writer: &Jobs, bytes: usize, work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce(&mut Batch<'_>) -> std::result::Result<T, Stop> + Send + 'static,
{
    let (reply, answer) = mpsc::sync_channel(1);
    let ended = || Error::Failed("the store's writer has ended: restart the process".into());
    writer.send(Box::new(Pending { work: Some(work), bytes, got: None, reply })).map_err(|_| ended())?;
    // Were the writer to end in the middle, the job may be on the disk or not.
    answer.recv().map_err(|_| Error::Unclear(ended().to_string()))?
}

/// The writer's own things.
pub(super) struct Writer {
    pub(super) store: Arc<Store>,
    pub(super) signals: Arc<Signals>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) room: Room,
    pub(super) keep: Keep,
}

impl Writer {
    /// Writes until the last sender is gone.
    pub(super) fn run(mut self, jobs: &Receiver<Box<dyn Job>>) {
        let (mut trimmed, mut pause) = (Instant::now(), TRIM_EVERY);
        loop {
            match jobs.recv_timeout(pause) {
                Ok(first) => self.write(collect(first, jobs)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if trimmed.elapsed() >= pause {
                pause = if self.trim() { TRIM_AGAIN } else { TRIM_EVERY };
                trimmed = Instant::now();
            }
        }
    }

    fn write(&mut self, mut jobs: Vec<Box<dyn Job>>) {
        let fate = self.transact(|batch| {
            let mut wrote = false;
            for job in &mut jobs {
                wrote |= job.apply(batch)?;
            }
            Ok(wrote)
        });
        for job in jobs {
            job.answer(&fate);
        }
    }

    // One small step at a time, so that appends never wait for long behind it. Answers whether there may be more.
    fn trim(&mut self) -> bool {
        let (keep, now_ms) = (self.keep, self.clock.now_ms());
        let trimmed = match self.store.read_once(|read| trim::due(read, keep, now_ms)) {
            Ok(false) => Ok(false),
            Ok(true) => self.transact(|batch| trim::step(&mut batch.tables, keep, now_ms)).map(|()| true),
            // A reader may have met the error first; it waits for this.
            Err(_) => self.store.reopen().map(|_| false),
        };
        // What cannot be trimmed now can be trimmed in a second: nothing is lost but room, and the room is watched.
        trimmed.unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot look after the store; trying again");
            false
        })
    }

    /// Runs `work` in one durable transaction. `Ok`: it is on the disk, or there was nothing to write.
    fn transact<F>(&mut self, work: F) -> Result<()>
    where
        F: FnOnce(&mut Batch<'_>) -> std::result::Result<bool, Stop>,
    {
        let (now_ms, full) = (self.clock.now_ms(), self.room.full());
        let (mut changes, mut number_of_batch) = (Vec::new(), None);
        let store = Arc::clone(&self.store);
        // A page that cannot be right can make redb panic. The batch is then lost, never the writer.
        let outcome = catch_unwind(AssertUnwindSafe(|| -> std::result::Result<(), Stop> {
            let mut write = store.begin_write()?;
            write.set_durability(Durability::Immediate)?;
            write.set_quick_repair(store.is_large());
            let mut batch = Batch { tables: Tables::open(&write)?, now_ms, full, changes: Vec::new() };
            let wrote = work(&mut batch)?;
            if !wrote {
                drop(batch);
                return Ok(write.abort()?);
            }
            let this = number(&batch.tables.meta, META_BATCH)? + 1;
            batch.tables.meta.insert(META_BATCH, this.to_le_bytes().as_slice())?;
            number_of_batch = Some(this);
            changes = std::mem::take(&mut batch.changes);
            drop(batch);
            store.commit(write)
        }));
        let error = match outcome {
            Ok(Ok(())) => {
                self.signals.set(&changes);
                return Ok(());
            }
            Ok(Err(Stop::Broken(error))) => self.store.explain(*error),
            Ok(Err(Stop::Refused(error))) => error,
            Err(_) => self.store.damaged(),
        };
        if matches!(error, Error::Full(_)) {
            self.room.ran_out();
        }
        // After an error redb wants to be opened anew. What is in the file then says whether the batch is: the number of
        // the newest batch is written with it.
        match (self.store.reopen(), number_of_batch) {
            (Ok(newest), Some(this)) if newest >= this => {
                self.signals.set(&changes);
                Ok(())
            }
            (Ok(_), _) | (Err(_), None) => Err(error),
            (Err(_), Some(_)) => Err(Error::Unclear(error.to_string())),
        }
    }
}

fn collect(first: Box<dyn Job>, jobs: &Receiver<Box<dyn Job>>) -> Vec<Box<dyn Job>> {
    let mut bytes = first.bytes();
    let mut batch = vec![first];
    while batch.len() < WAITING_MAX && bytes < BATCH_BYTES_MAX {
        let Ok(job) = jobs.try_recv() else { break };
        bytes += job.bytes();
        batch.push(job);
    }
    batch
}
