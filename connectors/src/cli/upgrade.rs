//! `weir upgrade`: a newer meaning of the rules, once every process has the build that knows it.

use super::{
    Exit, Failure, Global, Output,
    client::{Client, Connect},
};
use reqwest::Method;
use serde_json::{Value, json};

/// Let the rules mean what the new release says, once every process runs it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  weir upgrade --dry-run      by what each partition decides, and what each process knows
  weir upgrade                to the newest that the server knows

A release that changes what a rule means still decides by the old meaning, so its processes run beside old ones. This writes a
record into every partition, for all tenants, from which on the new one holds; replays keep to it. It refuses while a process runs
that does not know the new meaning, and there is no way back. An administrator's token asks for it.
Exit codes: 0 done, or done before; 1 refused.")]
pub struct Args {
    /// Which one; the newest that the server knows where left out
    #[arg(long, value_name = "N")]
    to: Option<u32>,
    /// Show how it stands, and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    connect: Connect,
}

/// Asks, or orders.
pub async fn run(args: &Args, global: &Global, output: &mut Output) -> Result<Exit, Failure> {
    let client = Client::open(global, &args.connect)?;
    let path = ["v1", "upgrade"];
    if args.dry_run {
        let answer = client.get(&path, &[]).await?;
        return show(&answer, output);
    }
    let body = args.to.map_or_else(|| json!({}), |to| json!({ "semantics": to }));
    let answer = client.order(Method::POST, &path, &[], &body).await??;
    if output.json {
        output.object(&answer)?;
        return Ok(Exit::Done);
    }
    let semantics = answer.get("semantics").and_then(Value::as_u64).unwrap_or_default();
    let positions: Vec<&str> =
        answer.get("positions").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    output.line(&match (positions.as_slice(), answer.get("note").and_then(Value::as_str)) {
        ([], _) => format!("every partition decides by semantics {semantics} already"),
        (at, None) => format!("every partition decides by semantics {semantics}, from {} on", at.join(", ")),
        (at, Some(note)) => format!("semantics {semantics} at {}: {note}", at.join(", ")),
    })?;
    Ok(Exit::Done)
}

fn show(answer: &Value, output: &mut Output) -> Result<Exit, Failure> {
    if output.json {
        output.object(answer)?;
        return Ok(Exit::Done);
    }
    for (partition, semantics) in answer.get("partitions").and_then(Value::as_object).into_iter().flatten() {
        output.line(&format!("partition {partition} decides by semantics {semantics}"))?;
    }
    for process in answer.get("processes").and_then(Value::as_array).into_iter().flatten() {
        let name = process.get("name").and_then(Value::as_str).unwrap_or_default();
        let semantics = process.get("semantics").and_then(Value::as_u64).unwrap_or_default();
        output.line(&format!("{name} knows semantics up to {semantics}"))?;
    }
    Ok(Exit::Done)
}
