//! Where a command writes to: the standard output, with colours on a terminal only, and errors beside it.

use super::Failure;
use serde::Serialize;
use std::{
    env,
    io::{self, IsTerminal, Write},
};

/// The width of a page.
pub const COLUMNS: usize = 100;

/// The standard output and what suits it.
pub struct Output {
    /// One JSON object a line.
    pub json: bool,
    /// Colours may be used. None of them carries a meaning alone.
    pub colour: bool,
    /// A person is looking on.
    pub terminal: bool,
    to: Box<dyn Write>,
}

/// What a word is, for those who see colours.
#[derive(Clone, Copy, Debug)]
pub enum Tone {
    /// It went well, or grew.
    Good,
    /// It went wrong.
    Bad,
    /// It waits, or was held.
    Waiting,
    /// Beside the point.
    Faint,
}

impl Output {
    /// The process's own.
    #[must_use]
    pub fn standard(json: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        // https://no-color.org: present and not empty.
        let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = env::var_os("TERM").is_none_or(|term| term == "dumb");
        Self { json, colour: terminal && !json && !refused && !dumb, terminal, to: Box::new(io::stdout()) }
    }

    /// One that keeps what is written.
    #[cfg(test)]
    pub(super) fn to(to: impl Write + 'static, json: bool) -> Self {
        Self { json, colour: false, terminal: false, to: Box::new(to) }
    }

    /// Writes a line.
    ///
    /// # Errors
    /// Where nobody reads any more, or nothing can be written.
    pub fn line(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.to, "{line}")?;
        self.to.flush()
    }

    /// Writes as it is.
    ///
    /// # Errors
    /// As for [`Output::line`].
    pub fn text(&mut self, text: &str) -> io::Result<()> {
        self.to.write_all(text.as_bytes())?;
        self.to.flush()
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// As for [`Output::line`].
    pub fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.to.write_all(bytes)
    }

    /// Writes an object as a line.
    ///
    /// # Errors
    /// As for [`Output::line`].
    pub fn object(&mut self, object: &impl Serialize) -> io::Result<()> {
        let line = serde_json::to_string(object).map_err(io::Error::other)?;
        self.line(&line)
    }

    /// Says why a command could not do what it was asked to, on the standard error.
    pub fn fail(&self, failure: &Failure) {
        if !failure.message.is_empty() {
            // Where not even this can be written, the exit code still says it.
            let _ = writeln!(io::stderr(), "{failure}");
        }
    }

    /// A word in its tone.
    #[must_use]
    pub fn paint(&self, tone: Tone, word: &str) -> String {
        if !self.colour || word.is_empty() {
            return word.to_owned();
        }
        let code = match tone {
            Tone::Good => "32",
            Tone::Bad => "1;31",
            Tone::Waiting => "33",
            Tone::Faint => "2",
        };
        format!("\x1b[{code}m{word}\x1b[0m")
    }
}

/// A text of at most so many columns; what is cut off is to be had elsewhere.
#[must_use]
pub fn shortened(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    text.chars().take(columns.saturating_sub(1)).chain(['…']).collect()
}
