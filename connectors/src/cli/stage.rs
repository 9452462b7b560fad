//! The folder of a demonstration: one a user, at a place that other commands know, gone when the demonstration ends.

use super::{Failure, client::ADDRESS};
use std::{
    env, fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

/// A folder that is deleted when this is dropped, unless it is the user's own.
#[derive(Debug)]
pub struct Stage {
    path: PathBuf,
    passing: bool,
}

impl Stage {
    /// The given folder, which must be new or empty; or the usual one, made anew.
    ///
    /// # Errors
    /// Where it holds something, or cannot be made.
    pub fn set(given: Option<&Path>) -> Result<Self, Failure> {
        match given {
            Some(path) => {
                let full = fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
                if full {
                    return Err(Failure::usage(format!("`{}` is not empty", path.display()))
                        .help("a demonstration has a clock of its own, and so needs a folder of its own"));
                }
                Ok(Self { path: path.to_owned(), passing: false })
            }
            None => {
                let path = usual();
                let failed = |error: io::Error| {
                    Failure::found(format!("`{}` cannot be used: {error}", path.display()))
                        .help("name an empty folder with --data")
                };
                // What a demonstration left that was ended hard. A lock on its store says that one is under way.
                if is_ours(&path) {
                    if is_locked(&path) {
                        return Err(Failure::found("a demonstration is under way already")
                            .help("end it, or name an empty folder with --data"));
                    }
                    fs::remove_dir_all(&path).map_err(failed)?;
                }
                fs::DirBuilder::new().mode(0o700).create(&path).map_err(failed)?;
                Ok(Self { path, passing: true })
            }
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether other commands find it by themselves.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        self.passing
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if self.passing {
            // One that stays is taken away by the next.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// The folder of a demonstration under way, where this user has one.
#[must_use]
pub fn running() -> Option<PathBuf> {
    let path = usual();
    (is_ours(&path) && path.join(ADDRESS).exists()).then_some(path)
}

fn usual() -> PathBuf {
    env::temp_dir().join(format!("weir-demo-{}", rustix::process::geteuid().as_raw()))
}

/// A folder, no link, and nobody else's: what is in it may be trusted, and deleted.
fn is_ours(path: &Path) -> bool {
    let ours = rustix::process::geteuid().as_raw();
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == ours && found.mode() & 0o077 == 0)
}

fn is_locked(path: &Path) -> bool {
    let lock = fs::File::open(path.join("lock"));
    lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(fs::TryLockError::WouldBlock)))
}
