//! Policy files on the disk: which ones a command is about, and what is in them.

use super::Failure;
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use weir_grammar::limits::FILE_BYTES_MAX;

/// A policy file's ending.
const ENDING: &str = "weir";
/// Folders within folders that are looked through.
const DEPTH_MAX: usize = 16;

/// A policy file that was read.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where it lies, as it was named.
    pub path: PathBuf,
    /// As it is shown.
    pub shown: String,
    /// Its text.
    pub text: String,
}

/// Reads the files that `paths` name, and every `.weir` file in the folders among them, each once, in order of name
/// within a folder.
///
/// # Errors
/// Where one is not there, cannot be read, or where there is none at all.
pub fn read(paths: &[PathBuf]) -> Result<Vec<Source>, Failure> {
    let mut found = Vec::new();
    for path in paths {
        let metadata = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
        if metadata.is_dir() {
            let before = found.len();
            walk(path, 0, &mut found)?;
            if found.len() == before {
                return Err(Failure::usage(format!("no policy in `{}`", path.display()))
                    .help("policies are files that end in `.weir`"));
            }
        } else {
            found.push(path.clone());
        }
    }
    let mut sources: Vec<Source> = Vec::new();
    for path in found {
        if !sources.iter().any(|known| known.path == path) {
            sources.push(source(path)?);
        }
    }
    Ok(sources)
}

fn source(path: PathBuf) -> Result<Source, Failure> {
    let bytes = fs::metadata(&path).map_err(|error| unreadable(&path, &error))?.len();
    // One byte more and the checker says that it is too long; far more is not worth reading.
    if bytes > 16 * FILE_BYTES_MAX as u64 {
        return Err(Failure::usage(format!("`{}` is no policy: it has {bytes} bytes", path.display())));
    }
    let text = fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
    Ok(Source { shown: path.display().to_string(), path, text })
}

fn walk(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    if depth > DEPTH_MAX {
        return Ok(());
    }
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut entries = entries.map_err(|error| unreadable(folder, &error))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        // Hidden folders are other programs'.
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        // A link to a folder is not followed: it may lead back here.
        let kind = entry.file_type().map_err(|error| unreadable(&path, &error))?;
        if kind.is_dir() {
            walk(&path, depth + 1, found)?;
        } else if path.extension().is_some_and(|ending| ending == ENDING) {
            found.push(path);
        }
    }
    Ok(())
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::NotFound => Failure::usage(format!("there is no `{}`", path.display())),
        io::ErrorKind::InvalidData => Failure::usage(format!("`{}` is not UTF-8 text", path.display())),
        _ => Failure::usage(format!("`{}` cannot be read: {error}", path.display())),
    }
}
