//! `weir deploy`: policies to the server, with the setup files beside them; and the same for `weir run` at its start.

use super::{
    Exit, Failure, Global, Output,
    client::{Client, Connect, Refusal},
    files::{self, Source},
    output::Tone,
};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use weir_grammar::{Severity, check, locate, policy::Policy, render};

/// Put policies in force
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  weir deploy policies/web.weir              its setup files are read from beside it
  weir deploy --dry-run policies/            what the server would say

A policy with errors changes nothing: what was deployed before stays live.
The URL of a `webhook` rule is shown once, when the rule gets it.")]
pub struct Args {
    /// Policy files, and folders with policy files
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Ask whether it would be accepted, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    connect: Connect,
}

/// A policy ready to be sent.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// The file.
    pub source: Source,
    /// Its name on the server.
    pub name: String,
    /// The texts of the setup files that it names.
    pub setup: BTreeMap<String, String>,
}

/// What the server says of a deploy.
#[derive(Clone, Debug, Deserialize)]
pub struct Deployed {
    /// The version in force; 0 where it is not known yet.
    #[serde(default)]
    pub version: u32,
    /// Its groups.
    #[serde(default)]
    pub groups: Vec<String>,
    /// The URLs of `webhook` rules that are new.
    #[serde(default)]
    pub capabilities: Vec<Url>,
    /// Why not, of a dry run.
    #[serde(default)]
    pub refused: Option<String>,
    /// In the log, and not applied yet.
    #[serde(default)]
    pub note: Option<String>,
}

/// A URL that fires one rule, whoever calls it.
#[derive(Clone, Debug, Deserialize)]
pub struct Url {
    /// The group.
    pub group: String,
    /// The rule.
    pub rule: String,
    /// Its path on the server.
    pub path: String,
}

/// Checks, sends, and says what came of it.
pub async fn run(args: &Args, global: &Global, output: &mut Output) -> Result<Exit, Failure> {
    let Some(parcels) = pack(&args.paths, output)? else { return Ok(Exit::Found) };
    let client = Client::open(global, &args.connect)?;
    let mut exit = Exit::Done;
    for parcel in &parcels {
        match send(&client, parcel, args.dry_run).await? {
            Ok(answer) => {
                let refused = say(&client, parcel, &answer, args.dry_run, output)?;
                exit = if refused { Exit::Found } else { exit };
            }
            Err(refusal) => {
                exit = Exit::Found;
                refuse(parcel, &refusal, output)?;
            }
        }
    }
    Ok(exit)
}

/// Reads policies and their setup files, and prints what is wrong with them. `None` where one has errors.
pub fn pack(paths: &[PathBuf], output: &mut Output) -> Result<Option<Vec<Parcel>>, Failure> {
    let (mut parcels, mut errors) = (Vec::new(), 0_usize);
    for source in files::read(paths)? {
        let checked = check(&source.shown, &source.text);
        for found in &checked.diagnostics {
            errors += usize::from(found.severity == Severity::Error);
            if output.json {
                output.object(&locate(found, &source.shown, &source.text))?;
            } else {
                output.line(&format!("{}\n", render(found, &source.shown, &source.text, output.colour)))?;
            }
        }
        let name = source.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if let Some(policy) = &checked.policy {
            parcels.push(Parcel { setup: setup(&source, policy)?, name, source });
        }
    }
    if errors > 0 {
        if !output.json {
            output.line("nothing was deployed; what was deployed before stays live")?;
        }
        return Ok(None);
    }
    Ok(Some(parcels))
}

fn setup(source: &Source, policy: &Policy) -> Result<BTreeMap<String, String>, Failure> {
    let folder = source.path.parent().unwrap_or(Path::new(""));
    let named = policy.launches.iter().filter_map(|launch| launch.setup.clone());
    named
        .map(|name| {
            let path = folder.join(&name);
            let text = fs::read_to_string(&path).map_err(|error| {
                Failure::usage(format!(
                    "`{}`, a setup file of {}, cannot be read: {error}",
                    path.display(),
                    source.shown
                ))
            })?;
            Ok((name, text))
        })
        .collect()
}

/// Sends one.
pub async fn send(client: &Client, parcel: &Parcel, dry_run: bool) -> Result<Result<Value, Refusal>, Failure> {
    let body = json!({ "text": parcel.source.text, "setup": parcel.setup });
    let query: &[(&str, &str)] = if dry_run { &[("dry_run", "true")] } else { &[] };
    client.order(Method::PUT, &["v1", "policies", &parcel.name], query, &body).await
}

/// Whether the server has just this text and these files in force.
pub async fn is_in_force(client: &Client, parcel: &Parcel) -> Result<bool, Failure> {
    let rows = client.get(&["v1", "policies"], &[]).await?;
    let rows = rows.get("policies").and_then(Value::as_array).cloned().unwrap_or_default();
    if !rows.iter().any(|row| row.get("name").and_then(Value::as_str) == Some(&parcel.name)) {
        return Ok(false);
    }
    let row = client.get(&["v1", "policies", &parcel.name], &[]).await?;
    let text = row.get("text").and_then(Value::as_str) == Some(&parcel.source.text);
    Ok(text && row.get("setup") == Some(&json!(parcel.setup)))
}

/// Prints what the server answered; says whether a dry run would be refused.
pub fn say(
    client: &Client,
    parcel: &Parcel,
    answer: &Value,
    dry_run: bool,
    output: &mut Output,
) -> Result<bool, Failure> {
    let deployed: Deployed = serde_json::from_value(answer.clone())
        .map_err(|error| Failure::found(format!("the server's answer cannot be read: {error}")))?;
    if output.json {
        output.object(answer)?;
        return Ok(deployed.refused.is_some());
    }
    let name = &parcel.name;
    let groups = deployed.groups.join(", ");
    if let Some(refused) = &deployed.refused {
        output.line(&format!("{} {name} would be refused: {refused}", output.paint(Tone::Bad, "✗")))?;
        return Ok(true);
    }
    let good = output.paint(Tone::Good, "✓");
    match (&deployed.note, dry_run) {
        (Some(note), _) => output.line(&format!("{name} is {note}"))?,
        (None, true) => output.line(&format!("{good} {name} would be accepted: {groups}"))?,
        (None, false) => output.line(&format!("{good} {name} version {}: {groups}", deployed.version))?,
    }
    for url in &deployed.capabilities {
        output.line(&format!(
            "  {} of {} fires, shown this once, with  curl -X POST {}",
            url.rule,
            url.group,
            client.url(&url.path)
        ))?;
    }
    Ok(false)
}

/// Prints why the server refused one.
pub fn refuse(parcel: &Parcel, refusal: &Refusal, output: &mut Output) -> Result<(), Failure> {
    if output.json {
        return Ok(output.object(&refusal.body)?);
    }
    // This build found nothing, so a server of another build says it in its own words.
    let found = refusal.body.get("diagnostics").and_then(Value::as_array).cloned().unwrap_or_default();
    for one in found.iter().filter(|_| refusal.status == StatusCode::UNPROCESSABLE_ENTITY) {
        let text = |name: &str| one.get(name).and_then(Value::as_str).unwrap_or_default();
        let line = one.get("line").and_then(Value::as_u64).unwrap_or_default();
        output.line(&format!(
            "{}[{}]: {}\n  --> {}:{line}",
            text("severity"),
            text("code"),
            text("message"),
            parcel.source.shown
        ))?;
    }
    let failure = Failure::from(refusal.clone());
    output.line(&format!("{} {}: {}", output.paint(Tone::Bad, "✗"), parcel.name, failure.message))?;
    Ok(())
}
