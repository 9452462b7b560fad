//! How a command ends: with an exit code, or with a message that says what is wrong and what to do.

use std::{fmt, io, process::ExitCode};

/// Exit codes, the same for every command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It is done.
    Done = 0,
    /// It found something: a mistake in a policy, a failed test, a difference, a refusal.
    Found = 1,
    /// It was asked for in the wrong way.
    Usage = 2,
    /// The server could not be reached.
    Unreachable = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command could not do what it was asked to.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What is wrong, lower case, without a full stop. Empty where there is nobody left to read it.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl Failure {
    /// It cannot be done.
    pub fn found(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Found, message: message.to_string(), help: None }
    }

    /// It was asked for in the wrong way.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Usage, message: message.to_string(), help: None }
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl From<io::Error> for Failure {
    /// From writing to the standard output: whoever closed it, as `head` does, has read enough.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { exit: Exit::Done, message: String::new(), help: None };
        }
        Self::found(format!("the output cannot be written: {error}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        match &self.help {
            Some(help) => write!(f, "\n  = help: {help}"),
            None => Ok(()),
        }
    }
}
