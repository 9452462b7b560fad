//! What `weir log export` wrote, read: line by line for a replay, whole for whoever looks at a stretch more than once.

use super::Failure;
use crate::api::export::{FORMAT, Header, Line};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::Path,
};
use weir_engine::{backtest::Stretch, event::Record, partition::Partition};

/// A stretch in memory.
pub struct Export {
    /// What it is of.
    pub header: Header,
    /// The state before its first record.
    pub start: Partition,
    /// Its records, in order.
    pub records: Vec<Record>,
}

impl Export {
    /// Reads a file; `-` is the standard input.
    ///
    /// # Errors
    /// Where it cannot be read, or is no whole export.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let (mut input, shown) = open(path)?;
        Self::read(&mut input, &shown)
    }

    /// Reads lines; `shown` is what they are called in a message.
    ///
    /// # Errors
    /// Where they are no whole export.
    pub fn read(input: &mut dyn BufRead, shown: &str) -> Result<Self, Failure> {
        let mut lines = Lines::new(input, shown);
        let (header, start) = lines.head()?;
        let mut records = Vec::new();
        while let Some(line) = lines.next()? {
            match line {
                Line::Record(recorded) => {
                    let (offset, appended_ms, event) = (recorded.offset, recorded.appended, recorded.event);
                    records.push(Record { offset, appended_ms, event });
                }
                Line::Decision(_) | Line::Command(_) | Line::Digest(_) => {}
                Line::Header(_) | Line::State(_) => return Err(lines.wrong("a second export begins here")),
            }
        }
        let next = records.last().map_or(header.from, |last| last.offset + 1);
        if next != header.until {
            return Err(lines.wrong(&format!("it ends before record {next}, and should at {}", header.until)));
        }
        Ok(Self { header, start, records })
    }

    /// As the engine takes it.
    #[must_use]
    pub fn stretch(&self) -> Stretch<'_> {
        Stretch { start: &self.start, tenant: &self.header.tenant, records: &self.records }
    }
}

/// Opens a file, or the standard input for `-`; and what it is called in a message.
///
/// # Errors
/// Where it cannot be opened.
pub fn open(path: &Path) -> Result<(Box<dyn BufRead>, String), Failure> {
    if path == Path::new("-") {
        return Ok((Box::new(BufReader::new(io::stdin())), "the standard input".to_owned()));
    }
    let shown = format!("`{}`", path.display());
    let file = File::open(path).map_err(|error| Failure::usage(format!("{shown} cannot be read: {error}")))?;
    Ok((Box::new(BufReader::new(file)), shown))
}

/// The lines of an export.
pub struct Lines<'a> {
    input: &'a mut dyn BufRead,
    shown: &'a str,
    number: u64,
}

impl<'a> Lines<'a> {
    /// Before the first.
    pub fn new(input: &'a mut dyn BufRead, shown: &'a str) -> Self {
        Self { input, shown, number: 0 }
    }

    /// The first two lines: what it is of, and the state before the first record.
    ///
    /// # Errors
    /// Where they are something else.
    pub fn head(&mut self) -> Result<(Header, Partition), Failure> {
        let Some(Line::Header(header)) = self.next()? else {
            return Err(self.wrong("it is no export: the first line is no header"));
        };
        if header.format != FORMAT {
            return Err(self.wrong(&format!("its format is {}, this build reads {FORMAT}", header.format)));
        }
        let Some(Line::State(state)) = self.next()? else {
            return Err(self.wrong("it is no export: the second line is no state"));
        };
        let state = if state.is_empty() && header.from == 0 {
            Partition::new(&header.log_id, header.partition)
        } else {
            let state = STANDARD.decode(state).map_err(|error| self.wrong(&error.to_string()))?;
            Partition::restore(&state).map_err(|error| self.wrong(&error.to_string()))?
        };
        if state.semantics() != header.semantics {
            let (by, here) = (header.semantics, state.semantics());
            return Err(self.wrong(&format!("it was decided by semantics {by}, this build decides by {here}")));
        }
        if state.next() != header.from {
            let (next, from) = (state.next(), header.from);
            return Err(self.wrong(&format!("the state is of record {next}, the records begin at {from}")));
        }
        Ok((header, state))
    }

    /// The next line, if there is one.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn next(&mut self) -> Result<Option<Line>, Failure> {
        let mut text = String::new();
        let read = self.input.read_line(&mut text);
        self.number += 1;
        match read {
            Ok(0) => Ok(None),
            Ok(_) => serde_json::from_str(&text).map(Some).map_err(|error| self.wrong(&error.to_string())),
            Err(error) => Err(self.wrong(&error.to_string())),
        }
    }

    /// What is wrong with the line that was read last.
    #[must_use]
    pub fn wrong(&self, why: &str) -> Failure {
        Failure::usage(format!("{}, line {}: {why}", self.shown, self.number))
    }
}
