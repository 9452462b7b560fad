//! The embedded log and store: one file, `weir.redb`, in the data folder. What a new installation starts with, and all
//! that a single machine needs.
//!
//! Reads go to the file at once, each at one moment of it. Writes go through the one [`writer`], which commits all that
//! wait in one durable transaction. Nobody else may have the folder meanwhile. It never starts empty where a store was.

use super::{Error, Result, switches::Board};
use crate::clock::{Clock, WallClock};
use folder::Folder;
use redb::Durability;
use signals::{Seen, Signals};
use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex, mpsc},
    thread::{self, JoinHandle},
};
use store::{Stop, Store};
use tables::{ENDS, FORMAT, META, META_FORMAT, META_LOG_ID, META_PARTITIONS, STEPPED, Tables, number};
use trim::Keep;
use writer::{Batch, Jobs, WAITING_MAX, Writer, submit};

mod folder;
mod history;
mod lineage;
mod log;
mod machines;
mod room;
mod signals;
mod snapshots;
mod store;
mod switches;
mod tables;
mod trim;
mod writer;

#[cfg(test)]
mod tests;

/// Most partitions of a log.
pub const PARTITIONS_MAX: u32 = 1_024;

/// What may be chosen.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Partitions of a log that is made; of one that exists, what it must have. `None`: 1, or what there is.
    pub partitions: Option<u32>,
    /// The clock of append times and retention.
    pub clock: Arc<dyn Clock>,
    /// Events are kept for this long, milliseconds, and longer where a snapshot still needs them.
    pub events_ms: i64,
    /// Decisions and replaced commands are kept for this long, milliseconds.
    pub decisions_ms: i64,
    /// From here on no event is taken: used part of the disk, percent. Over 100: until it is full.
    pub full_percent: u8,
    /// Memory for pages of the file, bytes.
    pub cache_bytes: usize,
    /// From this size of the file on a commit also writes down which pages are free, at the price of a second sync:
    /// without it a start after a crash reads the whole file.
    pub large_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        const DAY_MS: i64 = 24 * 3_600_000;
        Self {
            partitions: None,
            clock: Arc::new(WallClock),
            events_ms: 7 * DAY_MS,
            decisions_ms: 90 * DAY_MS,
            full_percent: 95,
            cache_bytes: 128 << 20,
            large_bytes: 1 << 30,
        }
    }
}

/// The open log and store. Dropping it closes the file and lets the folder go.
pub struct Embedded {
    log_id: String,
    partitions: u32,
    store: Arc<Store>,
    signals: Arc<Signals>,
    switches: Mutex<Board>,
    /// Held by who sets a switch.
    setting: Mutex<()>,
    keep: Keep,
    // `None` only while it is being dropped: the writer ends when the sender is gone.
    writer: Option<(Jobs, JoinHandle<()>)>,
}

impl Embedded {
    /// Opens the log and store in `folder`, and makes both where there never was one.
    ///
    /// # Errors
    /// [`Error::InUse`] where another process has the folder, [`Error::Damaged`] where the store is not whole or is
    /// missing, [`Error::Failed`] where `settings` does not fit what is there.
    pub fn open(folder: &Path, settings: Settings) -> Result<Self> {
        let folder = Folder::take(folder)?;
        let identity = folder.identity()?;
        if identity.is_none() && !folder.has_store() {
            let wanted = settings.partitions.unwrap_or(1);
            if wanted == 0 || wanted > PARTITIONS_MAX {
                return Err(Error::Failed(format!("`{wanted}` partitions: choose 1 to {PARTITIONS_MAX}")));
            }
            folder.create(|db| fill(db, wanted))?;
        }
        let store = Arc::new(Store::open(folder, settings.cache_bytes, settings.large_bytes)?);
        let Header { format, log_id, partitions, seen } = store.read(Header::read)?;
        if format != FORMAT {
            return Err(folder::other_format(format));
        }
        match identity {
            Some(identity) if identity != log_id => {
                return Err(store
                    .folder()
                    .damaged(&format!("it holds the log `{log_id}`, not this folder's `{identity}`")));
            }
            Some(_) => {}
            None => store.folder().set_identity(&log_id)?,
        }
        if let Some(wanted) = settings.partitions.filter(|wanted| *wanted != partitions) {
            return Err(Error::Failed(format!(
                "the log in `{}` has {partitions} partitions and {wanted} are asked for: the number is fixed when a log is \
                 made",
                store.folder().path().display()
            )));
        }
        let switches = Mutex::new(Board::of(store.read(switches::all)?));
        let signals = Arc::new(Signals::new(seen));
        let keep = Keep { events_ms: settings.events_ms, decisions_ms: settings.decisions_ms, partitions };
        let writer = Writer {
            store: Arc::clone(&store),
            signals: Arc::clone(&signals),
            clock: settings.clock,
            room: room::Room::new(store.folder().path().to_owned(), settings.full_percent),
            keep,
        };
        let (sender, jobs) = mpsc::sync_channel(WAITING_MAX);
        let thread = thread::Builder::new()
            .name("weir-writer".into())
            .spawn(move || writer.run(&jobs))
            .map_err(|error| Error::Failed(format!("cannot start the store's writer: {error}")))?;
        Ok(Self {
            log_id,
            partitions,
            store,
            signals,
            switches,
            setting: Mutex::default(),
            keep,
            writer: Some((sender, thread)),
        })
    }

    /// Writes; answers when it is on the disk. `bytes`: about how many.
    fn write<T, F>(&self, bytes: usize, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Batch<'_>) -> std::result::Result<T, Stop> + Send + 'static,
    {
        match &self.writer {
            Some((writer, _)) => submit(writer, bytes, work),
            None => Err(Error::Failed("the store is closed".into())),
        }
    }

    /// Refuses a partition that is not there.
    fn check(&self, partition: u32) -> Result<()> {
        if partition < self.partitions {
            return Ok(());
        }
        Err(Error::Failed(format!("there is no partition `{partition}`: the log has {}", self.partitions)))
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        if let Some((sender, thread)) = self.writer.take() {
            drop(sender);
            // It catches its own panics; were there one still, the file is as whole as after a crash.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded").field("folder", &self.store.folder().path()).field("log_id", &self.log_id).finish()
    }
}

/// What is read first.
struct Header {
    format: u64,
    log_id: String,
    partitions: u32,
    seen: Vec<Seen>,
}

impl Header {
    fn read(read: &redb::ReadTransaction) -> std::result::Result<Self, Stop> {
        let meta = read.open_table(META)?;
        let log_id = meta.get(META_LOG_ID)?.map(|row| String::from_utf8_lossy(row.value()).into_owned());
        let partitions = u32::try_from(number(&meta, META_PARTITIONS)?).unwrap_or(u32::MAX).min(PARTITIONS_MAX);
        let (ends, stepped) = (read.open_table(ENDS)?, read.open_table(STEPPED)?);
        let mut seen = Vec::new();
        for partition in 0..partitions {
            let (next, _, mark) = ends.get(partition)?.map(|row| row.value()).unwrap_or_default();
            let stepped = stepped.get(partition)?.map(|row| row.value().0).unwrap_or_default();
            seen.push(Seen { next, stepped, mark, live: false });
        }
        Ok(Self { format: number(&meta, META_FORMAT)?, log_id: log_id.unwrap_or_default(), partitions, seen })
    }
}

/// The first transaction of a new store.
fn fill(db: &redb::Database, partitions: u32) -> Result<()> {
    let mut name = [0; 16];
    getrandom::fill(&mut name).map_err(|error| Error::Failed(format!("no random bytes to name the log: {error}")))?;
    let log_id = format!("{:032x}", u128::from_be_bytes(name));
    let fill = || -> std::result::Result<(), redb::Error> {
        let mut write = db.begin_write()?;
        write.set_durability(Durability::Immediate)?;
        let mut tables = Tables::open(&write)?;
        tables.meta.insert(META_FORMAT, FORMAT.to_le_bytes().as_slice())?;
        tables.meta.insert(META_LOG_ID, log_id.as_bytes())?;
        tables.meta.insert(META_PARTITIONS, u64::from(partitions).to_le_bytes().as_slice())?;
        drop(tables);
        Ok(write.commit()?)
    };
    fill().map_err(|error| Error::Failed(format!("cannot make a new store: {error}")))
}
