//! Orders of people: `weir force`, `pause`, `resume`, `remove`. Each says what came of it.

use super::{
    Exit, Failure, Global, Output,
    client::{Client, Connect},
    clock::{self, Reader},
    timeline,
    why::server_now,
};
use crate::config::Length;
use reqwest::Method;
use serde_json::{Map, Value, json};
use weir_engine::{decision::Decision, time, view::GroupRow};

/// Let a rule fire now
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  weir force web surge

A force skips cooldowns, limits and `stabilize`; pause, kill switch and a freeze that blocks all hold it.
Exit codes: 0 the size changed, 1 it was held or refused.")]
pub struct Force {
    /// The group
    group: String,
    /// The rule
    rule: String,
    #[command(flatten)]
    connect: Connect,
}

/// Let nothing change in a group
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  weir pause nightly --for 2h --reason \"database move\"
  weir pause nightly --until 12:00 --reason \"database move\"
  weir pause nightly --reason \"until I say otherwise\"")]
pub struct Pause {
    /// The group
    group: String,
    /// How long: `90s`, `1h30m`, `7d`
    #[arg(long = "for", value_name = "DURATION", conflicts_with = "until")]
    length: Option<Length>,
    /// Until when
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Why; `weir status` and every decision show it
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    connect: Connect,
}

/// End a pause
#[derive(Debug, clap::Args)]
pub struct Resume {
    /// The group
    group: String,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
    #[command(flatten)]
    connect: Connect,
}

/// Remove a group
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  weir remove old --servers keep --dry-run   what would become of how many servers
  weir remove old --servers delete")]
pub struct Remove {
    /// The group
    group: String,
    /// What becomes of its servers: they are deleted, or left running and forgotten
    #[arg(long, value_name = "FATE")]
    servers: Fate,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
    /// Say what would happen, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    connect: Connect,
}

/// What becomes of a removed group's servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Fate {
    /// They are deleted
    Delete,
    /// They are left running and forgotten
    Keep,
}

/// `weir force`.
pub async fn force(args: &Force, global: &Global, output: &mut Output) -> Result<Exit, Failure> {
    let client = Client::open(global, &args.connect)?;
    let path = ["v1", "groups", &args.group, "rules", &args.rule, "force"];
    let answer = client.order(Method::POST, &path, &[], &json!({})).await??;
    let decision = answer.get("decision").filter(|decision| !decision.is_null()).cloned();
    let decision: Option<Decision> = decision.map(read).transpose()?;
    if output.json {
        output.object(&answer)?;
    } else {
        output.line(&match (&decision, answer.get("note").and_then(Value::as_str)) {
            (Some(decision), _) => forced(decision),
            (None, Some(note)) => format!("the force is {note}"),
            // The same key found a force whose decision said nothing new.
            (None, None) => format!("{} is as it was", args.group),
        })?;
    }
    Ok(match decision {
        Some(decision) if decision.from == decision.to => Exit::Found,
        _ => Exit::Done,
    })
}

fn forced(decision: &Decision) -> String {
    let reader = Reader::on_day_of(decision.at);
    let reason = timeline::reason(decision, &|at_ms| reader.second(at_ms));
    let (group, from, to) = (&decision.group, decision.from, decision.to);
    if from == to { format!("{group} stays at {to}: {reason}") } else { format!("{group}: {from} → {to}, {reason}") }
}

/// `weir pause`.
pub async fn pause(args: &Pause, global: &Global, output: &mut Output) -> Result<Exit, Failure> {
    let client = Client::open(global, &args.connect)?;
    let mut body = Map::new();
    body.insert("reason".into(), args.reason.clone().into());
    let until = end(&client, args.length, args.until.as_deref()).await?;
    until.map(|until| body.insert("until".into(), time::rfc3339(until).into()));
    let path = ["v1", "groups", &args.group, "pause"];
    obeyed(&client.order(Method::POST, &path, &[], &Value::Object(body)).await??, &args.group, output)
}

/// `weir resume`.
pub async fn resume(args: &Resume, global: &Global, output: &mut Output) -> Result<Exit, Failure> {
    let client = Client::open(global, &args.connect)?;
    let path = ["v1", "groups", &args.group, "resume"];
    let body = json!({ "reason": args.reason });
    obeyed(&client.order(Method::POST, &path, &[], &body).await??, &args.group, output)
}

/// `weir remove`.
pub async fn remove(args: &Remove, global: &Global, output: &mut Output) -> Result<Exit, Failure> {
    let client = Client::open(global, &args.connect)?;
    let group = args.group.as_str();
    let fate = match args.servers {
        Fate::Delete => "delete",
        Fate::Keep => "keep",
    };
    if args.dry_run {
        let answer = client.get(&["v1", "groups", group, "servers"], &[]).await?;
        let servers = answer.get("servers").and_then(Value::as_array).map_or(0, Vec::len);
        let then = if args.servers == Fate::Delete { "would be deleted" } else { "would be left running" };
        if output.json {
            output.object(&json!({ "dry_run": true, "group": group, "servers": servers, "fate": fate }))?;
        } else {
            output.line(&format!("{group} would be gone; its {servers} servers {then}"))?;
        }
        return Ok(Exit::Done);
    }
    let body = json!({ "reason": args.reason });
    let path = ["v1", "groups", group];
    let answer = client.order(Method::DELETE, &path, &[("servers", fate)], &body).await??;
    if output.json {
        output.object(&answer)?;
    } else if let Some(note) = answer.get("note").and_then(Value::as_str) {
        output.line(&format!("the removal is {note}"))?;
    } else {
        let then = if args.servers == Fate::Delete { "are being deleted" } else { "are left running" };
        output.line(&format!("{group} is gone; its servers {then}"))?;
    }
    Ok(Exit::Done)
}

/// When an order ends.
pub(super) async fn end(client: &Client, length: Option<Length>, until: Option<&str>) -> Result<Option<i64>, Failure> {
    match (length, until) {
        (Some(length), _) => Ok(Some(server_now(client).await?.saturating_add(length.ms()))),
        (None, Some(text)) => Ok(Some(clock::moment(text, server_now(client).await?)?.from_ms)),
        (None, None) => Ok(None),
    }
}

/// Prints how the group stands once an order is obeyed.
pub(super) fn obeyed(answer: &Value, group: &str, output: &mut Output) -> Result<Exit, Failure> {
    if output.json {
        output.object(answer)?;
    } else if let Some(note) = answer.get("note").and_then(Value::as_str) {
        output.line(&format!("the order is {note}"))?;
    } else {
        let row: Option<GroupRow> = answer.get("group").filter(|row| !row.is_null()).cloned().map(read).transpose()?;
        let standing = row.map_or_else(
            || "gone".to_owned(),
            |row| {
                let reader = Reader::on_day_of(row.at);
                format!(
                    "at {} of {}..{}, {}",
                    row.target,
                    row.min,
                    row.max,
                    timeline::localised(&row.state, &|at_ms| reader.minute(at_ms))
                )
            },
        );
        output.line(&format!("{group} is {standing}"))?;
    }
    Ok(Exit::Done)
}

pub(super) fn read<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, Failure> {
    serde_json::from_value(value)
        .map_err(|error| Failure::found(format!("the server's answer cannot be read: {error}")))
}
