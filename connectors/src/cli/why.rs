//! `weir why`: which rule fired or was nearest to firing, with numbers, and what held it.

use super::{
    Exit, Failure, Global, Output,
    client::{Client, Connect},
    clock::{self, Reader},
};
use crate::{
    clock::{Clock, WallClock},
    why,
};
use serde_json::Value;
use weir_engine::time;

/// Say why a group is as it is, or was as it was
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  weir why web                               now
  weir why web --at 09:20                    on your clock, today or yesterday; the whole minute is meant
  weir why web --at '2026-11-23 09:20'
  weir why web --at 2026-11-24T09:20:00Z")]
pub struct Args {
    /// The group
    group: String,
    /// When
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    #[command(flatten)]
    connect: Connect,
}

/// Asks and prints.
pub async fn run(args: &Args, global: &Global, output: &mut Output) -> Result<Exit, Failure> {
    let client = Client::open(global, &args.connect)?;
    let group = args.group.as_str();
    let mut query = Vec::new();
    if let Some(at) = &args.at {
        let now_ms = if clock::names_its_day(at) { WallClock.now_ms() } else { server_now(&client).await? };
        let moment = clock::past(at, now_ms)?;
        query.push(("at", moment.from_ms.to_string()));
        query.push(("until", moment.until_ms.to_string()));
    }
    let answer = client.get(&["v1", "groups", group, "why"], &query).await?;
    if output.json {
        output.object(&answer)?;
        return Ok(Exit::Done);
    }
    let account: why::Account = serde_json::from_value(answer)
        .map_err(|error| Failure::found(format!("the server's answer cannot be read: {error}")))?;
    let at_ms = account.why.decision.at;
    let reader = Reader::on_day_of(at_ms);
    let text = why::words(&account, &|at_ms| reader.second(at_ms));
    output.line(&format!("{} · times in {}", text.trim_end(), clock::zone(at_ms)))?;
    Ok(Exit::Done)
}

/// The server's clock, which says what "today" is.
pub async fn server_now(client: &Client) -> Result<i64, Failure> {
    let answer = client.get(&["v1", "groups"], &[]).await?;
    let now = answer.get("now").and_then(Value::as_str).and_then(|text| time::parse_rfc3339(text).ok());
    Ok(now.unwrap_or_else(|| WallClock.now_ms()))
}
