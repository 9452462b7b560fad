//! `weir check`: what is wrong with policies, drawn as a compiler draws it.

use super::{
    Exit, Failure, Output,
    files::{self, Source},
};
use serde_json::json;
use std::path::PathBuf;
use weir_grammar::{Severity, check, cost, limits::FUEL_MAX, locate, policy::Policy, render};

/// Find what is wrong with policies, before a deploy does
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  weir check                                 every policy in this folder and below
  weir check policies/web.weir               one file
  weir check --json policies/ | jq -r .code  for programs: one finding a line

Exit codes: 0 nothing found, 1 errors or warnings, 2 wrong usage.
A warning that is meant takes a line above: # allow(W0411): reason")]
pub struct Args {
    /// Policy files, and folders with policy files
    #[arg(default_value = ".", value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Also say what an evaluation of each group costs at the most
    #[arg(long)]
    cost: bool,
}

/// Checks and prints.
pub fn run(args: &Args, output: &mut Output) -> Result<Exit, Failure> {
    let sources = files::read(&args.paths)?;
    let (mut errors, mut warnings) = (0_usize, 0_usize);
    for source in &sources {
        let checked = check(&source.shown, &source.text);
        for found in checked.diagnostics {
            match found.severity {
                Severity::Error => errors += 1,
                Severity::Warning => warnings += 1,
            }
            if output.json {
                output.object(&locate(&found, &source.shown, &source.text))?;
            } else {
                output.line(&format!("{}\n", render(&found, &source.shown, &source.text, output.colour)))?;
            }
        }
        if let Some(policy) = checked.policy.filter(|_| args.cost) {
            costs(source, &policy, output)?;
        }
    }
    if !output.json {
        let found = match (errors, warnings) {
            (0, 0) => "no findings".to_owned(),
            (errors, 0) => count(errors, "error"),
            (0, warnings) => count(warnings, "warning"),
            (errors, warnings) => format!("{}, {}", count(errors, "error"), count(warnings, "warning")),
        };
        output.line(&format!("{} checked: {found}", count(sources.len(), "policy")))?;
    }
    Ok(if errors + warnings == 0 { Exit::Done } else { Exit::Found })
}

fn costs(source: &Source, policy: &Policy, output: &mut Output) -> Result<(), Failure> {
    for group in &policy.groups {
        let (file, name, cost) = (&source.shown, &group.name, cost(&policy.metrics, group));
        if output.json {
            output.object(&json!({ "file": file, "group": name, "cost": cost, "most": FUEL_MAX }))?;
        } else {
            output.line(&format!("{file}: an evaluation of `{name}` costs at most {cost} of {FUEL_MAX}"))?;
        }
    }
    Ok(())
}

/// `1 policy`, `2 policies`.
pub fn count(number: usize, noun: &str) -> String {
    match (number, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        (_, None) => format!("{number} {noun}s"),
    }
}
