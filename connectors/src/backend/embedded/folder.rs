//! The data folder: who has it, which log lives in it, and the one file of the store. Called when the store is opened;
//! never starts empty where something was before.

use super::{
    super::{Error, Result},
    tables,
};
use redb::{Builder, Database, DatabaseError, StorageError, backends::FileBackend};
use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

/// The store.
const STORE: &str = "weir.redb";
/// The store while it is being made; it gets its name when it is whole.
const UNBORN: &str = "weir.redb.new";
/// Says that there was a store here, and which: where this is and the store is not, the store was lost.
const IDENTITY: &str = "log-id";
/// Held locked for as long as a process has the folder; holds its number.
const LOCK: &str = "lock";

/// A store up to this size is read through and its checksums compared whenever it is opened, which takes under a second.
/// A larger one only after a crash, or where a page turns out not to be readable.
const CHECKED_WHOLE_BYTES: u64 = 256 << 20;

/// A data folder that is ours until it is dropped.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    // Never read: the lock lives as long as the open file.
    _lock: File,
}

impl Folder {
    /// Makes the folder where it is missing, readable by its owner only, and locks it.
    pub(super) fn take(path: &Path) -> Result<Self> {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::StorageFull => Error::Full(format!("the data folder `{}`: {error}", path.display())),
            _ => Error::Failed(format!("cannot use the data folder `{}`: {error}", path.display())),
        };
        // An existing folder keeps its mode: it may be one that others share. The files in it are closed to them anyway.
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let mut lock = private().create(true).read(true).open(path.join(LOCK)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // A process that has just taken the lock may not have written its number yet.
                let known = lock.read_to_string(&mut pid).is_ok() && !pid.trim().is_empty();
                let holder = if known { format!(" by process {}", pid.trim()) } else { String::new() };
                return Err(Error::InUse { path: path.display().to_string(), holder });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // A full disk must not keep a process from reading what is there, so a number that cannot be written is left out.
        let _ = lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| writeln!(lock, "{}", std::process::id()));
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The folder.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The store's file.
    pub(super) fn store_path(&self) -> PathBuf {
        self.path.join(STORE)
    }

    /// The log that lives here, where one does or did.
    pub(super) fn identity(&self) -> Result<Option<String>> {
        match fs::read_to_string(self.path.join(IDENTITY)) {
            Ok(text) => Ok(Some(text.trim().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Writes down which log lives here; done once the store is whole.
    pub(super) fn set_identity(&self, log_id: &str) -> Result<()> {
        let write = || -> io::Result<()> {
            let mut file = private().create(true).truncate(true).open(self.path.join(IDENTITY))?;
            writeln!(file, "{log_id}")?;
            file.sync_all()?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(|error| self.failed(&error))
    }

    /// Whether the store's file is here.
    pub(super) fn has_store(&self) -> bool {
        self.path.join(STORE).exists()
    }

    /// Makes the store under another name, lets `fill` write its first transaction, and gives it its name: a crash in
    /// between leaves a folder that is still new.
    pub(super) fn create(&self, fill: impl FnOnce(&Database) -> Result<()>) -> Result<()> {
        let unborn = self.path.join(UNBORN);
        let file = || private().create(true).read(true).truncate(true).open(&unborn);
        let backend = file().map_err(|error| self.failed(&error)).and_then(|file| {
            FileBackend::new(file).map_err(|error| Error::Failed(format!("cannot make `{STORE}`: {error}")))
        })?;
        let db = Builder::new().create_with_backend(backend).map_err(|error| self.explain(error))?;
        fill(&db)?;
        db.close().map_err(|error| self.explain(error))?;
        fs::rename(&unborn, self.path.join(STORE))
            .and_then(|()| File::open(&self.path)?.sync_all())
            .map_err(|error| self.failed(&error))
    }

    /// Opens the store, repairing what a crash left. Refuses one that is not whole.
    pub(super) fn open(&self, cache_bytes: usize) -> Result<Database> {
        let path = self.path.join(STORE);
        let bytes = match fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(self.damaged("it is missing")),
            Err(error) => return Err(self.failed(&error)),
        };
        // redb takes an empty file for a new store.
        if bytes == 0 {
            return Err(self.damaged("it is empty"));
        }
        // A damaged page that no checksum was asked about can make redb panic; that is one more way to say damaged.
        let opened = catch_unwind(AssertUnwindSafe(|| {
            Builder::new()
                .set_cache_size(cache_bytes)
                .set_check_integrity_on_open(bytes <= CHECKED_WHOLE_BYTES)
                .open(&path)
        }));
        match opened {
            Ok(Ok(db)) => Ok(db),
            Ok(Err(error)) => Err(self.explain(error)),
            Err(_) => Err(self.damaged("its pages contradict each other")),
        }
    }

    /// A store that is not whole, and what to do.
    pub(super) fn damaged(&self, how: &str) -> Error {
        Error::Damaged(format!(
            "the store `{}` cannot be used: {how}; put a backup of it in its place, or move the folder `{}` away to \
             start with an empty log",
            self.path.join(STORE).display(),
            self.path.display()
        ))
    }

    fn failed(&self, error: &io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::StorageFull => Error::Full(format!("the data folder `{}`: {error}", self.path.display())),
            _ => Error::Failed(format!("the data folder `{}`: {error}", self.path.display())),
        }
    }

    fn explain(&self, error: DatabaseError) -> Error {
        match error {
            DatabaseError::DatabaseAlreadyOpen => {
                Error::InUse { path: self.path.display().to_string(), holder: String::new() }
            }
            DatabaseError::UpgradeRequired(version) => {
                self.damaged(&format!("it has the file format {version} of an older redb"))
            }
            DatabaseError::Storage(StorageError::Corrupted(how)) => self.damaged(&how),
            // Not a store at all, or cut off.
            DatabaseError::Storage(StorageError::Io(error))
                if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
            {
                self.damaged(&error.to_string())
            }
            DatabaseError::Storage(StorageError::Io(error)) => self.failed(&error),
            error => Error::Failed(format!("cannot open `{}`: {error}", self.path.join(STORE).display())),
        }
    }
}

/// Where a file of another format is found.
pub(super) fn other_format(found: u64) -> Error {
    Error::Failed(format!(
        "the store has format {found} and this build reads {}: use the build that wrote it",
        tables::FORMAT
    ))
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}
