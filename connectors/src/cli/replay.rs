//! `weir replay`: an exported stretch of the log, run through the engine again. It reaches no server and no cloud.

use super::{Exit, Failure, Output, clock, clock::Reader, timeline};
use crate::{
    api::export::{FORMAT, Header, Line, Recorded},
    clock::{Clock, WallClock},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;
use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};
use weir_engine::{
    decision::Decision,
    event::Record,
    id::Position,
    partition::Partition,
    replay::{Replay, compare},
};

/// Run an exported stretch of the log again, and print what is decided
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  weir replay night.ndjson                   every decision, on a line
  weir replay night.ndjson --verify          are they the ones that were recorded?
  weir log export | weir replay - --verify

Exit codes: 0 done, and equal with --verify; 1 there is a difference, and the first is named.")]
pub struct Args {
    /// What `weir log export` wrote; `-` for the standard input
    file: PathBuf,
    /// Compare with the decisions that were recorded
    #[arg(long)]
    verify: bool,
    /// Stop before this: a time, or a position
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only this group's decisions
    #[arg(long)]
    group: Option<String>,
}

/// Reads, runs, prints.
pub fn run(args: &Args, output: &mut Output) -> Result<Exit, Failure> {
    if args.file == Path::new("-") {
        return replay(args, &mut io::stdin().lock(), "the standard input", output);
    }
    let shown = args.file.display().to_string();
    let file = File::open(&args.file).map_err(|error| Failure::usage(format!("`{shown}` cannot be read: {error}")))?;
    replay(args, &mut BufReader::new(file), &format!("`{shown}`"), output)
}

fn replay(args: &Args, input: &mut dyn BufRead, shown: &str, output: &mut Output) -> Result<Exit, Failure> {
    let mut lines = Lines { input, shown, number: 0 };
    let Some(Line::Header(header)) = lines.next()? else {
        return Err(lines.wrong("it is no export: the first line is no header"));
    };
    if header.format != FORMAT {
        return Err(lines.wrong(&format!("its format is {}, this build reads {FORMAT}", header.format)));
    }
    let Some(Line::State(state)) = lines.next()? else {
        return Err(lines.wrong("it is no export: the second line is no state"));
    };
    let state = if state.is_empty() && header.from == 0 {
        Partition::new(&header.log_id, header.partition)
    } else {
        let state = STANDARD.decode(state).map_err(|error| lines.wrong(&error.to_string()))?;
        Partition::restore(&state).map_err(|error| lines.wrong(&error.to_string()))?
    };
    if state.semantics() != header.semantics {
        return Err(lines.wrong(&format!(
            "it was decided by semantics {}, this build decides by {}",
            header.semantics,
            state.semantics()
        )));
    }
    if state.next() != header.from {
        return Err(lines.wrong(&format!(
            "the state is of record {}, the records begin at {}",
            state.next(),
            header.from
        )));
    }
    if let (Some(has), Some(wanted)) = (&header.group, &args.group)
        && has != wanted
    {
        return Err(Failure::usage(format!("{shown} has the decisions of group `{has}`, not of `{wanted}`")));
    }
    let group = args.group.as_deref().or(header.group.as_deref());
    let run = Run {
        replay: Replay::new(state, &header.tenant, group),
        until: args.until.as_deref().map(|text| Until::read(text, &header)).transpose()?,
        verify: args.verify,
        records: 0,
        decisions: 0,
        reader: None,
    };
    run.through(&header, &mut lines, output)
}

/// A replay under way.
struct Run {
    replay: Replay,
    until: Option<Until>,
    verify: bool,
    records: u64,
    decisions: u64,
    reader: Option<Reader>,
}

impl Run {
    fn through(mut self, header: &Header, lines: &mut Lines<'_>, output: &mut Output) -> Result<Exit, Failure> {
        // The record that was applied last, what the replay decided at it, and what was recorded so far.
        let mut open: Option<(Position, Vec<Decision>, Vec<Decision>)> = None;
        let mut whole = true;
        while let Some(line) = lines.next()? {
            match line {
                Line::Record(recorded) => {
                    if self.differs(open.take(), output)? {
                        return Ok(Exit::Found);
                    }
                    if self.until.is_some_and(|until| until.is_reached(&recorded)) {
                        whole = false;
                        break;
                    }
                    open = Some(self.step(header, recorded, lines, output)?);
                }
                Line::Decision(decision) => match &mut open {
                    Some((.., recorded)) if self.replay.wants(&decision) => recorded.push(*decision),
                    Some(_) => {}
                    None => return Err(lines.wrong("a decision comes before any record")),
                },
                // What a command says stands in its decision, and the digest is of all of them.
                Line::Command(_) => {}
                Line::Digest(digest) => {
                    if self.differs(open.take(), output)? || self.commands_differ(&digest, output)? {
                        return Ok(Exit::Found);
                    }
                }
                Line::Header(_) | Line::State(_) => return Err(lines.wrong("a second export begins here")),
            }
        }
        if self.differs(open.take(), output)? {
            return Ok(Exit::Found);
        }
        let next = self.replay.state().next();
        if whole && next != header.until {
            return Err(lines.wrong(&format!("it ends before record {}, and should at {}", next, header.until)));
        }
        if self.verify {
            let (records, decisions) = (self.records, self.decisions);
            if output.json {
                output.object(&json!({ "equal": true, "records": records, "decisions": decisions }))?;
            } else {
                output.line(&format!("{records} records, {decisions} decisions: equal to the record"))?;
            }
        }
        Ok(Exit::Done)
    }

    fn step(
        &mut self,
        header: &Header,
        recorded: Recorded,
        lines: &Lines<'_>,
        output: &mut Output,
    ) -> Result<(Position, Vec<Decision>, Vec<Decision>), Failure> {
        let at = Position { partition: header.partition, offset: recorded.offset };
        let record = Record { offset: recorded.offset, appended_ms: recorded.appended, event: recorded.event };
        let decisions = self.replay.step(&record).map_err(|halt| lines.wrong(&halt.to_string()))?;
        self.records += 1;
        self.decisions += decisions.len() as u64;
        if !self.verify {
            for decision in &decisions {
                self.print(decision, output)?;
            }
        }
        Ok((at, decisions, Vec::new()))
    }

    fn print(&mut self, decision: &Decision, output: &mut Output) -> Result<(), Failure> {
        if output.json {
            return Ok(output.object(decision)?);
        }
        let reader = *self.reader.get_or_insert_with(|| Reader::on_day_of(decision.at));
        let reason = timeline::reason(decision, &|at_ms| reader.second(at_ms));
        let change = if decision.from == decision.to {
            format!("{:>8}", decision.to)
        } else {
            format!("{:>3} → {:>2}", decision.from, decision.to)
        };
        let (time, at, group) = (reader.second(decision.at), decision.position.to_string(), &decision.group);
        Ok(output.line(&format!("{time}  {at:<10}  {group}  {change}   {reason}"))?)
    }

    /// Compares what was decided at a record with what was recorded of it, and names the first difference.
    fn differs(
        &self,
        open: Option<(Position, Vec<Decision>, Vec<Decision>)>,
        output: &mut Output,
    ) -> Result<bool, Failure> {
        let Some((at, replayed, recorded)) = open.filter(|_| self.verify) else { return Ok(false) };
        let Some(difference) = compare(at, &recorded, &replayed) else { return Ok(false) };
        if output.json {
            output.object(&json!({ "equal": false, "records": self.records, "difference": difference }))?;
        } else {
            output.line(&format!("NOT equal to the record after {} records:\n  {difference}", self.records))?;
        }
        Ok(true)
    }
}

impl Run {
    /// Compares all commands so far with the recorded ones.
    fn commands_differ(&self, recorded: &str, output: &mut Output) -> Result<bool, Failure> {
        let replayed = self.replay.state().digest();
        if !self.verify || replayed == recorded {
            return Ok(false);
        }
        if output.json {
            let difference = json!({ "recorded": recorded, "replayed": replayed });
            output.object(&json!({ "equal": false, "records": self.records, "digests": difference }))?;
        } else {
            output.line(&format!("NOT equal to the record: other commands were given than the {recorded} recorded"))?;
        }
        Ok(true)
    }
}

/// Where to stop.
#[derive(Clone, Copy, Debug)]
enum Until {
    Offset(u64),
    Time(i64),
}

impl Until {
    fn read(text: &str, header: &Header) -> Result<Self, Failure> {
        let position = text.split_once(':').filter(|(partition, _)| *partition == header.partition.to_string());
        if let Some(offset) = position.and_then(|(_, offset)| offset.parse().ok()) {
            return Ok(Self::Offset(offset));
        }
        Ok(Self::Time(clock::moment(text, WallClock.now_ms())?.from_ms))
    }

    fn is_reached(self, recorded: &Recorded) -> bool {
        match self {
            Self::Offset(offset) => recorded.offset >= offset,
            Self::Time(at_ms) => recorded.appended >= at_ms,
        }
    }
}

/// The lines of an export.
struct Lines<'a> {
    input: &'a mut dyn BufRead,
    shown: &'a str,
    number: u64,
}

impl Lines<'_> {
    fn next(&mut self) -> Result<Option<Line>, Failure> {
        let mut text = String::new();
        let read = self.input.read_line(&mut text);
        self.number += 1;
        match read {
            Ok(0) => Ok(None),
            Ok(_) => serde_json::from_str(&text).map(Some).map_err(|error| self.wrong(&error.to_string())),
            Err(error) => Err(self.wrong(&error.to_string())),
        }
    }

    fn wrong(&self, why: &str) -> Failure {
        Failure::usage(format!("{}, line {}: {why}", self.shown, self.number))
    }
}
