//! The project's own sources, for the tests that read them.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The folders that hold Rust.
pub const ROOMS: [&str; 4] = ["grammar", "engine", "connectors", "tests"];

/// A source file.
#[derive(Clone, Debug)]
pub struct Source {
    /// From the project's top.
    pub path: String,
    /// All of it.
    pub text: String,
}

impl Source {
    /// Its lines without comments. Good enough to look for names; it knows nothing of strings.
    #[must_use]
    pub fn code(&self) -> String {
        let lines = self.text.lines().map(|line| line.split("//").next().unwrap_or_default());
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// The project's top.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the project's top is there")
}

/// All Rust files under these folders of the top, by path.
#[must_use]
pub fn sources(folders: &[&str]) -> Vec<Source> {
    let root = root();
    let mut found = Vec::new();
    for folder in folders {
        walk(&root, &root.join(folder), &mut found);
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() && name != "target" {
            walk(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push(Source { path: path.strip_prefix(root).unwrap().display().to_string(), text });
        }
    }
}
