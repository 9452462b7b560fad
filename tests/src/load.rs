//! The process `weir-load`, started, and killed at a moment of the test's choice.

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

/// A running load. Killed when dropped.
pub struct Load {
    child: Child,
    lines: BufReader<ChildStdout>,
    said: String,
}

impl Load {
    /// Starts `weir-load WHAT FOLDER RUN` and waits until it has said something.
    ///
    /// # Panics
    /// Where it does not start.
    #[must_use]
    pub fn start(what: &str, folder: &Path, run: &str) -> Self {
        let mut child = Command::new(program()).arg(what).arg(folder).arg(run).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut load = Self { child, lines, said: String::new() };
        load.hear(1);
        load
    }

    /// Waits until it has said so many lines more, however long a slow machine takes.
    ///
    /// # Panics
    /// Where it ends by itself.
    pub fn hear(&mut self, lines: usize) {
        for _ in 0..lines {
            assert!(self.lines.read_line(&mut self.said).unwrap() > 0, "the load ended by itself; its output says why");
        }
    }

    /// Waits until it has said a line that begins so.
    ///
    /// # Panics
    /// Where it ends by itself.
    pub fn hear_of(&mut self, what: &str) {
        while !self.said.lines().any(|line| line.starts_with(what)) {
            self.hear(1);
        }
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it with no word of warning. Answers all that it has said, whole lines only.
    ///
    /// # Panics
    /// Where it had ended by itself.
    pub fn kill(mut self) -> Vec<String> {
        assert!(self.child.try_wait().unwrap().is_none(), "the load ended by itself; its output says why");
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let mut said = std::mem::take(&mut self.said);
        self.lines.read_to_string(&mut said).unwrap();
        // What follows the last newline was cut off.
        said.rsplit_once('\n').map_or("", |(whole, _)| whole).lines().map(str::to_owned).collect()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // It may be dead already, and then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program, which Cargo puts beside the folder of the test that asks.
///
/// # Panics
/// Where it is not there.
#[must_use]
pub fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.ancestors().nth(2).unwrap().join("weir-load");
    assert!(program.exists(), "`{}` is missing: run `cargo build -p weir-tests`", program.display());
    program
}
