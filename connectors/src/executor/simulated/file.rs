//! Where a simulated cloud is kept: one JSON line a change, appended and synced before the change is answered.
//!
//! Lines rather than a database, because three readers want the file that a database would lock or hide: other
//! processes that share the cloud, a test that counts servers after `kill -9`, and a person with `tail -f`. Each
//! change takes the file's lock, reads what others wrote since, appends, syncs. When most lines are history, the file
//! is written anew beside itself and renamed into place.

use super::state::{Change, Server, State};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Lines of history that are kept before the file is written anew, beside four for each thing that is there.
const HISTORY_LINES_MAX: usize = 1_000;

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk says no.
    #[error("the simulated cloud's file `{path}`: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
    /// Somebody else wrote into it, or cut it short.
    #[error(
        "the simulated cloud's file `{path}` is not readable at byte {at}: move it away to start with an empty cloud"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        at: u64,
    },
}

/// The servers in the file at `path` that nobody has deleted, whether a process holds it or died holding it.
///
/// # Errors
/// The file cannot be read, or holds something else.
pub fn read_file(path: &Path) -> Result<Vec<Server>, Error> {
    let bytes = fs::read(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let mut state = State::default();
    replay(&bytes, &mut state).map_err(|at| Error::Damaged { path: path.to_owned(), at })?;
    Ok(state.servers.into_values().filter(|server| server.gone_ms.is_none()).collect())
}

/// Applies whole lines. Answers how many bytes and lines they were; what follows the last end of line is half a
/// write.
fn replay(bytes: &[u8], state: &mut State) -> Result<(u64, usize), u64> {
    let (mut read, mut lines) = (0, 0);
    for line in bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")) {
        state.apply(serde_json::from_slice(line).map_err(|_| read)?);
        read += line.len() as u64;
        lines += 1;
    }
    Ok((read, lines))
}

/// The open file, and how far it was read.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    read_to: u64,
    lines: usize,
}

impl Journal {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let file = open(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), file, read_to: 0, lines: 0 })
    }

    /// Brings `state` up to date, lets `work` decide, writes what it decided. Alone among all processes.
    pub(super) fn transact<T>(
        &mut self,
        state: &mut State,
        work: impl FnOnce(&mut State) -> (Vec<Change>, T),
    ) -> Result<T, Error> {
        self.lock_newest(state).map_err(|source| self.io(source))?;
        let done = self.locked(state, work);
        // Closing releases it too, so an error here holds nobody up for longer than this process lives.
        let released = self.file.unlock().map_err(|source| self.io(source));
        done.and_then(|value| released.map(|()| value))
    }

    /// Takes the lock of the file that is at the path now, which another process may have renamed there.
    fn lock_newest(&mut self, state: &mut State) -> io::Result<()> {
        loop {
            self.file.lock()?;
            let there = fs::metadata(&self.path).map(|there| (there.dev(), there.ino()));
            let held = self.file.metadata()?;
            match there {
                Ok(there) if there == (held.dev(), held.ino()) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            (self.file, self.read_to, self.lines) = (open(&self.path)?, 0, 0);
            *state = State::default();
        }
    }

    fn locked<T>(&mut self, state: &mut State, work: impl FnOnce(&mut State) -> (Vec<Change>, T)) -> Result<T, Error> {
        self.catch_up(state)?;
        let (changes, value) = work(state);
        if !changes.is_empty() {
            self.append(&changes).map_err(|source| self.io(source))?;
            changes.into_iter().for_each(|change| state.apply(change));
            if self.lines > HISTORY_LINES_MAX + 4 * state.len() {
                self.write_anew(state).map_err(|source| self.io(source))?;
            }
        }
        Ok(value)
    }

    /// Reads what others wrote, and cuts off half a line that a killed process left.
    fn catch_up(&mut self, state: &mut State) -> Result<(), Error> {
        let length = self.file.metadata().map_err(|source| self.io(source))?.len();
        if length == self.read_to {
            return Ok(());
        }
        if length < self.read_to {
            return Err(Error::Damaged { path: self.path.clone(), at: length });
        }
        let mut bytes = Vec::new();
        self.file
            .seek(SeekFrom::Start(self.read_to))
            .and_then(|_| self.file.read_to_end(&mut bytes))
            .map_err(|source| self.io(source))?;
        let (read, lines) =
            replay(&bytes, state).map_err(|at| Error::Damaged { path: self.path.clone(), at: self.read_to + at })?;
        self.read_to += read;
        self.lines += lines;
        self.file.set_len(self.read_to).map_err(|source| self.io(source))
    }

    fn append(&mut self, changes: &[Change]) -> io::Result<()> {
        let bytes = lines(changes)?;
        self.file.seek(SeekFrom::Start(self.read_to))?;
        // What fails here leaves bytes past `read_to`. If whole, the next to look reads them as a change that
        // happened, and the caller was told that nobody knows; if not, it cuts them off.
        self.file.write_all(&bytes)?;
        self.file.sync_data()?;
        self.read_to += bytes.len() as u64;
        self.lines += changes.len();
        Ok(())
    }

    fn write_anew(&mut self, state: &State) -> io::Result<()> {
        let beside = self.path.with_added_extension("new");
        let changes = state.changes();
        let bytes = lines(&changes)?;
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&beside)?;
        // Locked before it has its name, so whoever opens it by that name waits until this transaction is over.
        file.lock()?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&beside, &self.path)?;
        (self.file, self.read_to, self.lines) = (file, bytes.len() as u64, changes.len());
        sync_folder(&self.path)
    }

    fn io(&self, source: io::Error) -> Error {
        Error::Io { path: self.path.clone(), source }
    }
}

/// Opens the file, made if need be; a name that was just given is synced, or a power cut would take the cloud away.
fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    sync_folder(path)?;
    Ok(file)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn lines(changes: &[Change]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for change in changes {
        serde_json::to_writer(&mut bytes, change)?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}
