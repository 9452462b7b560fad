//! `weir test`: the tests that stand in policy files, run in virtual time.

use super::{
    Exit, Failure, Output,
    check::count,
    files::{self, Source},
    junit,
    output::Tone,
    rehearsal,
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};
use weir_engine::{
    decision::Decision,
    rehearse::{Rehearsed, rehearse},
};
use weir_grammar::{
    Severity, check, locate,
    policy::{Policy, Test},
    render,
};

/// Run the tests that stand in policy files
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  weir test                                  every policy in this folder and below
  weir test --coverage policies/web.weir     which rules no test reached
  weir test --junit report.xml policies/     for a build server

Exit codes: 0 all passed, 1 one failed or a policy has errors, 2 wrong usage.")]
pub struct Args {
    /// Policy files, and folders with policy files
    #[arg(default_value = ".", value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Name the rules that no test reached
    #[arg(long)]
    coverage: bool,
    /// Also write the results as JUnit's XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// Runs and prints.
pub fn run(args: &Args, output: &mut Output) -> Result<Exit, Failure> {
    let sources = files::read(&args.paths)?;
    let mut suites = Vec::new();
    let (mut passed, mut failed, mut broken) = (0_usize, 0_usize, 0_usize);
    for source in &sources {
        let checked = check(&source.shown, &source.text);
        let Some(policy) = checked.policy else {
            broken += 1;
            for found in checked.diagnostics.iter().filter(|found| found.severity == Severity::Error) {
                if output.json {
                    output.object(&locate(found, &source.shown, &source.text))?;
                } else {
                    output.line(&format!("{}\n", render(found, &source.shown, &source.text, output.colour)))?;
                }
            }
            let error = Some("the policy has errors; `weir check` shows them".to_owned());
            let cases = vec![(String::new(), "compiles".to_owned(), error)];
            suites.push(junit::Suite { name: source.shown.clone(), cases });
            continue;
        };
        let mut suite = junit::Suite { name: source.shown.clone(), cases: Vec::new() };
        let mut reached: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
        for (test, rehearsed) in policy.tests.iter().zip(rehearse(&policy, &source.text)) {
            let account = rehearsal::failed(source, test, &rehearsed);
            report(source, &policy, test, &rehearsed, &account, output)?;
            reached.entry(test.group).or_default().extend(rehearsed.reached.iter().cloned());
            let failure = (!rehearsed.failures.is_empty()).then_some(account);
            if failure.is_some() {
                failed += 1
            } else {
                passed += 1
            }
            suite.cases.push((group(&policy, test).to_owned(), test.name.clone(), failure));
        }
        if args.coverage {
            cover(source, &policy, &reached, output)?;
        }
        suites.push(suite);
    }
    if let Some(path) = &args.junit {
        fs::write(path, junit::document(&suites))
            .map_err(|error| Failure::usage(format!("`{}` cannot be written: {error}", path.display())))?;
    }
    if !output.json {
        let mut summary = vec![format!("{passed} passed")];
        summary.extend((failed > 0).then(|| format!("{failed} failed")));
        summary.extend((broken > 0).then(|| format!("{} with errors", count(broken, "policy"))));
        output.line(&format!(
            "\n{} in {}: {}",
            count(passed + failed, "test"),
            count(sources.len(), "policy"),
            summary.join(", ")
        ))?;
    }
    Ok(if failed + broken == 0 { Exit::Done } else { Exit::Found })
}

fn group<'a>(policy: &'a Policy, test: &Test) -> &'a str {
    policy.groups.get(test.group).map_or("", |group| group.name.as_str())
}

/// A test's result, for programs.
#[derive(Serialize)]
struct Told<'a> {
    file: &'a str,
    line: u32,
    group: &'a str,
    test: &'a str,
    passed: bool,
    failures: Vec<ToldFailure<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    timeline: Vec<ToldRow<'a>>,
}

#[derive(Serialize)]
struct ToldFailure<'a> {
    line: u32,
    column: u32,
    offset_ms: i64,
    message: &'a str,
}

#[derive(Serialize)]
struct ToldRow<'a> {
    offset_ms: i64,
    decision: &'a Decision,
}

fn report(
    source: &Source,
    policy: &Policy,
    test: &Test,
    rehearsed: &Rehearsed,
    account: &str,
    output: &mut Output,
) -> Result<(), Failure> {
    let passed = rehearsed.failures.is_empty();
    if output.json {
        let failures = rehearsed.failures.iter().map(|failure| {
            let (line, column) = rehearsal::place(source, failure.span);
            ToldFailure { line, column, offset_ms: failure.offset.0, message: &failure.words }
        });
        let rows = rehearsed.timeline.iter().filter(|_| !passed);
        output.object(&Told {
            file: &source.shown,
            line: rehearsal::place(source, test.span).0,
            group: group(policy, test),
            test: &test.name,
            passed,
            failures: failures.collect(),
            timeline: rows.map(|row| ToldRow { offset_ms: row.offset.0, decision: &row.decision }).collect(),
        })?;
    } else if passed {
        output.line(&format!("{}      {}: {}", output.paint(Tone::Good, "ok"), group(policy, test), test.name))?;
    } else {
        output.line(&format!("{}  {}: {}\n", output.paint(Tone::Bad, "FAILED"), group(policy, test), test.name))?;
        output.line(account)?;
    }
    Ok(())
}

fn cover(
    source: &Source,
    policy: &Policy,
    reached: &BTreeMap<usize, BTreeSet<String>>,
    output: &mut Output,
) -> Result<(), Failure> {
    for (index, group) in policy.groups.iter().enumerate() {
        for rule in &group.rules {
            let known = reached.get(&index).is_some_and(|reached| reached.contains(&rule.name));
            let (line, _) = rehearsal::place(source, rule.span);
            if output.json {
                output.object(&serde_json::json!({
                    "file": source.shown, "line": line, "group": group.name, "rule": rule.name, "reached": known,
                }))?;
            } else if !known {
                let mark = output.paint(Tone::Waiting, "unreached");
                output.line(&format!(
                    "{mark}  {}:{line}: no test of `{}` reaches the rule `{}`",
                    source.shown, group.name, rule.name
                ))?;
            }
        }
    }
    Ok(())
}
