//! The open file: read by anyone, written by the writer, and opened anew after an error, since redb refuses everything
//! once a read or write of the file has failed.

use super::{
    super::{Error, Result},
    folder::Folder,
    tables::{META, META_BATCH, number},
};
use redb::{Database, ReadTransaction, ReadableDatabase, WriteTransaction};
use std::{
    fs, io,
    sync::{PoisonError, RwLock},
    time::{Duration, Instant},
};

/// How long a reader waits for the file to be opened anew.
const REOPEN_PATIENCE: Duration = Duration::from_secs(2);
/// How long it waits between two looks.
const REOPEN_LOOK: Duration = Duration::from_millis(10);

/// Why a read or a job stops.
#[derive(Debug)]
pub(super) enum Stop {
    /// By its own rules.
    Refused(Error),
    /// The file said so.
    Broken(Box<redb::Error>),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

macro_rules! broken {
    ($($error:ty),*) => {
        $(impl From<$error> for Stop {
            fn from(error: $error) -> Self {
                Self::Broken(Box::new(error.into()))
            }
        })*
    };
}

broken!(redb::StorageError, redb::TableError, redb::TransactionError, redb::CommitError, redb::SetDurabilityError);

/// The store's file.
#[derive(Debug)]
pub(super) struct Store {
    folder: Folder,
    cache_bytes: usize,
    large_bytes: u64,
    // `None` only where it could not be opened anew.
    db: RwLock<Option<Database>>,
    /// How the next commits fail.
    #[cfg(test)]
    pub(super) faults: std::sync::Mutex<Vec<Fault>>,
}

/// How a commit fails: an error of the disk either way.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing of it is in the file.
    Lost,
    /// All of it is in the file.
    AnswerLost,
}

impl Store {
    pub(super) fn open(folder: Folder, cache_bytes: usize, large_bytes: u64) -> Result<Self> {
        let db = folder.open(cache_bytes)?;
        Ok(Self {
            folder,
            cache_bytes,
            large_bytes,
            db: RwLock::new(Some(db)),
            #[cfg(test)]
            faults: Default::default(),
        })
    }

    pub(super) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Whether the file is so large that a repair would take long.
    pub(super) fn is_large(&self) -> bool {
        fs::metadata(self.folder.store_path()).is_ok_and(|metadata| metadata.len() >= self.large_bytes)
    }

    pub(super) fn begin_write(&self) -> std::result::Result<WriteTransaction, Stop> {
        let db = self.db.read().unwrap_or_else(PoisonError::into_inner);
        Ok(db.as_ref().ok_or(redb::StorageError::DatabaseClosed)?.begin_write()?)
    }

    /// Commits, durably.
    pub(super) fn commit(&self, write: WriteTransaction) -> std::result::Result<(), Stop> {
        #[cfg(test)]
        if let Some(fault) = self.faults.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            if fault == Fault::AnswerLost {
                write.commit()?;
            }
            return Err(redb::StorageError::Io(io::Error::other("a fault of the test's")).into());
        }
        Ok(write.commit()?)
    }

    /// Reads at one moment of the store. Read again where the file was opened anew under it.
    pub(super) fn read<T>(&self, read: impl Fn(&ReadTransaction) -> std::result::Result<T, Stop>) -> Result<T> {
        let until = Instant::now() + REOPEN_PATIENCE;
        loop {
            let error = match self.read_once(&read) {
                Ok(value) => return Ok(value),
                Err(Stop::Refused(error)) => return Err(error),
                Err(Stop::Broken(error)) => error,
            };
            let closed = matches!(*error, redb::Error::DatabaseClosed | redb::Error::PreviousIo);
            if !closed || Instant::now() >= until {
                return Err(self.explain(*error));
            }
            std::thread::sleep(REOPEN_LOOK);
        }
    }

    /// Reads at one moment of the store, once.
    pub(super) fn read_once<T>(
        &self,
        read: impl Fn(&ReadTransaction) -> std::result::Result<T, Stop>,
    ) -> std::result::Result<T, Stop> {
        let db = self.db.read().unwrap_or_else(PoisonError::into_inner);
        let moment = db.as_ref().ok_or(redb::StorageError::DatabaseClosed)?.begin_read()?;
        // Let go before reading, so that a long read does not keep the file from being opened anew.
        drop(db);
        read(&moment)
    }

    /// Closes the file and opens it again, repairing it. Answers the number of the newest batch in it.
    pub(super) fn reopen(&self) -> Result<u64> {
        let mut slot = self.db.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(db) = slot.take() {
            // It is closed because it failed, so its closing may fail too; the repair does not count on it.
            let _ = db.close();
        }
        *slot = Some(self.folder.open(self.cache_bytes)?);
        drop(slot);
        self.read(|read| Ok(number(&read.open_table(META)?, META_BATCH)?))
    }

    /// An error of redb in our words.
    pub(super) fn explain(&self, error: redb::Error) -> Error {
        match error {
            redb::Error::Corrupted(how) => self.folder.damaged(&how),
            redb::Error::TableDoesNotExist(_) | redb::Error::TableTypeMismatch { .. } => {
                self.folder.damaged("it is a file of redb's, but not one of ours")
            }
            redb::Error::Io(error) if is_full(&error) => {
                Error::Full(format!("the disk of `{}` is full", self.folder.path().display()))
            }
            redb::Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.folder.damaged(&error.to_string())
            }
            error => Error::Failed(format!("the store in `{}`: {error}", self.folder.path().display())),
        }
    }

    /// For a panic of redb's.
    pub(super) fn damaged(&self) -> Error {
        self.folder.damaged("its pages contradict each other")
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
