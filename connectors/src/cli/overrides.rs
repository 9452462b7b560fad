//! `weir override`: other bounds for a group than its policy's windows give, for a time.

use super::{
    Exit, Failure, Global, Output,
    client::{Client, Connect},
    orders::{end, obeyed},
};
use crate::config::Length;
use reqwest::Method;
use serde_json::{Map, Value, json};
use weir_engine::time;

/// Set a group's bounds, or its size, by hand for a time
#[derive(Debug, clap::Args)]
#[command(
    group(clap::ArgGroup::new("what").args(["floor", "ceiling", "size", "lift"]).required(true).multiple(true)),
    group(clap::ArgGroup::new("end").args(["length", "until", "lift"]).required(true)),
    after_help = "\
Examples:
  weir override web --floor 8 --for 2h --reason \"the launch\"
  weir override web --ceiling 4 --until 18:00 --reason \"the database is slow\"
  weir override web --size 5 --for 1d --reason \"load test\"
  weir override web --lift

It stands in place of what the policy's windows say, within the policy's capacity. A raised floor is met at once, over
cooldown and limit; a lowered ceiling is walked down under `limit remove`; its end shrinks nothing."
)]
pub struct Override {
    /// The group
    group: String,
    /// Fewest servers
    #[arg(long, value_name = "N")]
    floor: Option<u32>,
    /// Most servers
    #[arg(long, value_name = "N")]
    ceiling: Option<u32>,
    /// Exactly so many: floor and ceiling at once
    #[arg(long, value_name = "N", conflicts_with_all = ["floor", "ceiling"])]
    size: Option<u32>,
    /// How long: `90s`, `1h30m`, `7d`; 30 days at most
    #[arg(long = "for", value_name = "DURATION")]
    length: Option<Length>,
    /// Until when
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Why; `weir status` and every decision show it
    #[arg(long, value_name = "TEXT", required_unless_present = "lift", default_value = "", hide_default_value = true)]
    reason: String,
    /// End it now
    #[arg(long, conflicts_with_all = ["floor", "ceiling", "size", "length", "until"])]
    lift: bool,
    #[command(flatten)]
    connect: Connect,
}

/// Sends the order and prints how the group stands.
pub async fn run(args: &Override, global: &Global, output: &mut Output) -> Result<Exit, Failure> {
    let client = Client::open(global, &args.connect)?;
    let path = ["v1", "groups", &args.group, "override"];
    if args.lift {
        let body = json!({ "reason": args.reason });
        return obeyed(&client.order(Method::DELETE, &path, &[], &body).await??, &args.group, output);
    }
    let mut body = Map::new();
    for (name, bound) in [("floor", args.floor), ("ceiling", args.ceiling), ("size", args.size)] {
        bound.map(|bound| body.insert(name.into(), bound.into()));
    }
    let until = end(&client, args.length, args.until.as_deref()).await?;
    until.map(|until| body.insert("until".into(), time::rfc3339(until).into()));
    body.insert("reason".into(), args.reason.clone().into());
    obeyed(&client.order(Method::POST, &path, &[], &Value::Object(body)).await??, &args.group, output)
}
