//! `weir replay`: a stretch of the log, exported or as it stands in Kafka, run through the engine again. It reaches no door and
//! no cloud.

use super::{
    Exit, Failure, Global, Output, clock,
    clock::Reader,
    export::{self, Lines},
    files, stretch, timeline, walk,
};
use crate::{
    api::export::{Header, Line, Recorded},
    clock::{Clock, WallClock},
};
use serde_json::json;
use std::{
    io::{self, BufRead, IsTerminal},
    path::{Path, PathBuf},
};
use weir_engine::{
    decision::Decision,
    event::Record,
    id::Position,
    replay::{Replay, compare},
};

/// Run a stretch of the log again, and print what is decided
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  weir replay night.ndjson                   every decision, on a line
  weir replay night.ndjson --verify          are they the ones that were recorded?
  weir replay night.ndjson --step            record by record; Enter goes on, q ends
  weir replay night.ndjson --policy web.weir what another policy decides, with the servers that there were
  weir log export | weir replay - --verify
  weir replay kafka:4@188000..188400         from the log itself, by offsets of partition 4 …
  weir replay kafka:4 --from 02:00 --to 04:00 --tenant acme --verify
                                             … or by times; with the snapshot before, and no server asked

Exit codes: 0 done, and equal with --verify; 1 there is a difference, and the first is named.")]
pub struct Args {
    /// What `weir log export` wrote, `-` for the standard input, or `kafka:P@FROM..TO` of the configuration's log
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Of `kafka:P`: from this time on
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Of `kafka:P`: what is no longer in it
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Compare with the decisions that were recorded
    #[arg(long, conflicts_with_all = ["step", "policy"])]
    verify: bool,
    /// Print every record with what it did; on a terminal, wait after each
    #[arg(long, conflicts_with = "json")]
    step: bool,
    /// Another policy from the beginning on, in the place of the one that has its groups
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Stop before this: a time, or a position
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only this group's decisions
    #[arg(long)]
    group: Option<String>,
    /// Only if it is this tenant's; of `kafka:P`, whose decisions, where several share the partition
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
}

/// Reads, runs, prints.
pub async fn run(args: &Args, global: &Global, output: &mut Output) -> Result<Exit, Failure> {
    if let Some(wanted) = stretch::wanted(&args.file)? {
        let bounds = (args.from.as_deref(), args.to.as_deref());
        let mut source = stretch::open(&wanted, bounds.0, bounds.1, args.tenant.as_deref(), global).await?;
        let shown = source.shown.clone();
        if !output.json {
            output.line(&format!("replaying {shown}"))?;
        }
        let replayed = replay(args, source.input.as_mut(), &shown, output);
        return replayed.map_err(|failure| source.broken().unwrap_or(failure));
    }
    if args.from.is_some() || args.to.is_some() {
        return Err(Failure::usage("`--from` and `--to` are for `kafka:P`; a file begins and ends as it was exported"));
    }
    let (mut input, shown) = export::open(&args.file)?;
    replay(args, input.as_mut(), &shown, output)
}

fn replay(args: &Args, input: &mut dyn BufRead, shown: &str, output: &mut Output) -> Result<Exit, Failure> {
    let mut lines = Lines::new(input, shown);
    let (header, state) = lines.head()?;
    for (what, has, wanted) in
        [("group", header.group.as_ref(), &args.group), ("tenant", Some(&header.tenant), &args.tenant)]
    {
        if let (Some(has), Some(wanted)) = (has, wanted)
            && has != wanted
        {
            return Err(Failure::usage(format!("{shown} has the decisions of {what} `{has}`, not of `{wanted}`")));
        }
    }
    let group = args.group.as_deref().or(header.group.as_deref());
    // Where a terminal is both ends, somebody is there to press a key; a log that comes by pipe leaves none.
    let waits = args.step && output.terminal && io::stdin().is_terminal() && args.file != Path::new("-");
    let mut run = Run {
        replay: Replay::new(state, &header.tenant, group),
        until: args.until.as_deref().map(|text| Until::read(text, &header)).transpose()?,
        verify: args.verify,
        step: args.step.then_some(waits),
        records: 0,
        decisions: 0,
        reader: None,
    };
    if let Some(path) = &args.policy {
        let source = files::read(std::slice::from_ref(path))?;
        let text = source.first().map_or("", |source| source.text.as_str());
        let first = run.replay.swap(text).map_err(|error| Failure::found(format!("`{}`: {error}", path.display())))?;
        for decision in &first {
            run.decisions += 1;
            run.print(decision, output)?;
        }
    }
    run.through(&header, &mut lines, output)
}

/// A replay under way.
struct Run {
    replay: Replay,
    until: Option<Until>,
    verify: bool,
    /// Records are printed, and waited for where somebody is there.
    step: Option<bool>,
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
                    if self.step == Some(true) && ends_here()? {
                        return Ok(Exit::Done);
                    }
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
        let next = self.replay.next();
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
        if self.step.is_some() {
            let at_ms = record.event.time.min(record.appended_ms);
            let reader = *self.reader.get_or_insert_with(|| Reader::on_day_of(at_ms));
            let told = walk::told(&record.event.fact, &|at_ms| reader.second(at_ms));
            output.line(&format!("{}  {:<10}  {told}", reader.second(at_ms), at.to_string()))?;
        }
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
        if self.step.is_some() {
            return Ok(output.line(&format!("{:10}  {group}  {change}   {reason}", ""))?);
        }
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

/// Waits for Enter; whether that was enough.
fn ends_here() -> Result<bool, Failure> {
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer).map_err(Failure::found)?;
    Ok(read == 0 || answer.trim() == "q")
}
