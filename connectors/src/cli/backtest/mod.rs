//! `weir backtest`: what another policy would have done in a recorded stretch, beside the one that is compared with.

use super::{
    Exit, Failure, Output,
    clock::{self, Reader},
    export::Export,
    files,
};
use crate::config::Length;
use clap::ValueEnum;
use serde_json::json;
use std::{fs, path::PathBuf};
use weir_engine::backtest::{self, Course, Error, Load, Run, Settings, recorded};
use weir_grammar::{Severity, check, locate, policy::Unit, render};

mod chart;
mod page;
mod table;

/// Run a recorded stretch under another policy, and compare
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  weir log export --group web --from 02:00 --to 04:00 > night.ndjson
  weir backtest web-fixed.weir --against web.weir --events night.ndjson --html night.html
  weir backtest web-fixed.weir --events night.ndjson           against the policy that was in force

Servers follow the target: new ones are ready after a build as long as those of the stretch, removed ones are gone
at once. The facts are the recorded ones. A percentage that each server measures of itself is spread: it is
multiplied by servers then over servers now, so that the whole load stays as it was. No other metric reacts to the
number of servers; latency, for one, is what it was.

Exit codes: 0 done; 1 a policy has errors; 2 the stretch is of something else.")]
pub struct Args {
    /// The policy to try
    new: PathBuf,
    /// The policy to compare with; the one that was in force where it is left out
    #[arg(long, value_name = "OLD")]
    against: Option<PathBuf>,
    /// What `weir log export` wrote; `-` for the standard input
    #[arg(long, value_name = "FILE")]
    events: PathBuf,
    /// Only this group
    #[arg(long)]
    group: Option<String>,
    /// Write a page that shows both over time, with every decision
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Percentages of servers: spread over as many as there are, or as they were recorded
    #[arg(long, value_enum, default_value_t = LoadIs::Spread)]
    load: LoadIs,
    /// How long a build takes, in place of the stretch's median
    #[arg(long, value_name = "DURATION")]
    build: Option<Length>,
}

/// [`Load`] as an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LoadIs {
    Spread,
    AsRecorded,
}

/// A policy and what it did.
pub struct Side {
    /// What it is called.
    pub name: String,
    /// What it did.
    pub run: Run,
}

/// Both sides, and what was assumed.
pub struct Comparison {
    /// The one that is compared with.
    pub old: Side,
    /// The one that is tried.
    pub new: Side,
    /// What became of the load.
    pub load: Load,
    /// Metrics that are spread, by name.
    pub spread: Vec<String>,
    /// Records of the stretch.
    pub records: usize,
}

/// Runs both and prints.
pub fn run(args: &Args, output: &mut Output) -> Result<Exit, Failure> {
    let export = Export::open(&args.events)?;
    let Some((new_name, new)) = policy(&args.new, output)? else { return Ok(Exit::Found) };
    let old = match &args.against {
        Some(path) => policy(path, output)?,
        None => {
            let (file, text) = recorded(&export.stretch(), &new).map_err(failed)?;
            Some((format!("{file}, as it was"), text))
        }
    };
    let Some((old_name, old)) = old else { return Ok(Exit::Found) };
    let load = match args.load {
        LoadIs::Spread => Load::Spread,
        LoadIs::AsRecorded => Load::AsRecorded,
    };
    let settings = Settings { build_ms: args.build.map(Length::ms), load };
    let side = |name: String, text: &str| {
        let run = backtest::run(&export.stretch(), text, &settings).map_err(failed)?;
        Ok::<_, Failure>(Side { name, run })
    };
    let mut comparison = Comparison {
        old: side(old_name, &old)?,
        new: side(new_name, &new)?,
        load,
        spread: spread(&new, load),
        records: export.records.len(),
    };
    let group = args.group.as_deref().or(export.header.group.as_deref());
    comparison.keep(group)?;
    if let Some(path) = &args.html {
        let page = page::page(&comparison);
        fs::write(path, page).map_err(|error| Failure::found(format!("`{}`: {error}", path.display())))?;
    }
    if output.json {
        for (old, new) in comparison.pairs() {
            output.object(&json!({
                "group": new.group,
                "old": { "policy": comparison.old.name, "course": old },
                "new": { "policy": comparison.new.name, "course": new },
                "difference": table::difference(&old.figures, &new.figures),
                "load": load,
                "build_ms": comparison.new.run.build_ms,
                "builds": comparison.new.run.builds,
                "left_out": comparison.new.run.left_out,
            }))?;
        }
        return Ok(Exit::Done);
    }
    for (old, new) in comparison.pairs() {
        let reader = Reader::on_day_of(new.began_ms);
        let clock = |at_ms: i64| reader.minute(at_ms);
        let zone = clock::zone(new.began_ms);
        output.text(&text(&comparison, old, new, &clock, &zone))?;
    }
    output.text(&wrapped(&assumptions(&comparison)))?;
    if let Some(path) = &args.html {
        output.line(&format!("\nThe page with every decision is in {}", path.display()))?;
    }
    Ok(Exit::Done)
}

impl Comparison {
    /// Drops the other groups, where one is wanted.
    fn keep(&mut self, group: Option<&str>) -> Result<(), Failure> {
        let Some(wanted) = group else { return Ok(()) };
        for side in [&mut self.old, &mut self.new] {
            side.run.groups.retain(|course| course.group == wanted);
            if side.run.groups.is_empty() {
                let name = &side.name;
                return Err(Failure::usage(format!("{name} has no group `{wanted}` that is in the stretch")));
            }
        }
        Ok(())
    }

    /// Groups that both have, in the order of the new policy.
    pub fn pairs(&self) -> impl Iterator<Item = (&Course, &Course)> {
        self.new.run.groups.iter().filter_map(|new| {
            let old = self.old.run.groups.iter().find(|old| old.group == new.group)?;
            Some((old, new))
        })
    }
}

/// A policy file without errors, with what it is called; `None` where it has some, which are printed.
fn policy(path: &PathBuf, output: &mut Output) -> Result<Option<(String, String)>, Failure> {
    let source = files::read(std::slice::from_ref(path))?.into_iter().next();
    let source = source.ok_or_else(|| Failure::usage(format!("there is no `{}`", path.display())))?;
    let checked = check(&source.shown, &source.text);
    let errors = checked.diagnostics.iter().filter(|found| found.severity == Severity::Error);
    for found in errors {
        if output.json {
            output.object(&locate(found, &source.shown, &source.text))?;
        } else {
            output.text(&render(found, &source.shown, &source.text, output.colour))?;
        }
    }
    let name = path.file_name().map_or_else(|| source.shown.clone(), |name| name.to_string_lossy().into_owned());
    Ok(checked.policy.map(|_| (name, source.text)))
}

fn failed(error: Error) -> Failure {
    match error {
        Error::NoGroup(_) => Failure::usage(error).help("name the export that is of this policy"),
        Error::Refused(_) => Failure::found(error).help("a policy must keep the groups that its file has"),
        Error::Policy(_) | Error::Halted(_) => Failure::found(error),
    }
}

/// The metrics that are spread.
fn spread(text: &str, load: Load) -> Vec<String> {
    let policy = check("policy.weir", text).policy.filter(|_| load == Load::Spread);
    let metrics = policy.into_iter().flat_map(|policy| policy.metrics);
    metrics.filter(|metric| !metric.shared && metric.unit == Unit::Percent).map(|metric| metric.name).collect()
}

/// Sentences in lines that fit.
fn wrapped(sentences: &[String]) -> String {
    const WIDTH: usize = 100;
    let mut text = String::new();
    for sentence in sentences {
        let mut column = 0;
        for word in sentence.split(' ') {
            let width = word.chars().count();
            if column > 0 && column + 1 + width > WIDTH {
                text.push('\n');
                column = 0;
            }
            if column > 0 {
                text.push(' ');
                column += 1;
            }
            text.push_str(word);
            column += width;
        }
        text.push('\n');
    }
    text
}

/// One group for a terminal: what is compared, the figures, the sizes over time.
fn text(comparison: &Comparison, old: &Course, new: &Course, clock: &dyn Fn(i64) -> String, zone: &str) -> String {
    // Nobody has a day in mind yet.
    let dated = Reader::on_day_of(i64::MIN);
    let (from, until) = (dated.minute(new.began_ms), dated.minute(new.ended_ms));
    let (records, group) = (comparison.records, &new.group);
    let mut text = format!("{group} · {from} to {until} · {records} records · times in {zone}\n\n");
    text.push_str(&table::table(comparison, old, new));
    text.push('\n');
    text.push_str(&chart::chart(comparison, old, new, clock));
    text.push('\n');
    text
}

/// What a reader must know to believe any of it.
pub fn assumptions(comparison: &Comparison) -> Vec<String> {
    let run = &comparison.new.run;
    let build = weir_grammar::quantity::Millis(run.build_ms);
    let how = match run.builds {
        0 => "as was said, or assumed where no build was recorded".to_owned(),
        1 => "the one that was recorded".to_owned(),
        builds => format!("the median of {builds} that were recorded"),
    };
    let mut lines = vec![format!("Builds take {build} ({how}); servers that are removed are gone at once.")];
    lines.push(match (comparison.load, comparison.spread.is_empty()) {
        (Load::Spread, false) => format!(
            "The load of {} is spread over the servers that there are. No other metric reacts to their number.",
            comparison.spread.join(", ")
        ),
        (Load::Spread, true) => "No metric reacts to the number of servers: none is a percentage of theirs.".into(),
        (Load::AsRecorded, _) => "No metric reacts to the number of servers (--load as-recorded).".into(),
    });
    if !run.left_out.is_empty() {
        lines.push(format!("Recorded and not repeated: {}.", run.left_out.join(", ")));
    }
    lines
}

#[cfg(test)]
mod tests;
